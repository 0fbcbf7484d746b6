//! Objects out of a node's disk, and pieces from other pieces.

use crate::{
    Error, Folder, InvalidManifest, Kind, Layout, MAX_MANIFEST, Manifest, ObjectId, Owner, Seal,
    coding::Coder,
    counted::Counted,
    pipeline::{Buffers, ordered},
    store::{BlobReader, BlobWriter, Claim, Root, Source, Store, WINDOW, Written},
    tree::{Run, Tree},
};
use rustix::{
    fs::{CWD, Mode, OFlags, RenameFlags, renameat_with},
    io::Errno,
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};
use stoa_base::gone;

/// What of an object is here, and of all that is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Here {
    /// Objects that can be read, each folder before what is in it.
    pub objects: Vec<ObjectId>,
    /// Objects that cannot, as far as the folders that are here name them.
    pub missing: Vec<ObjectId>,
}

impl Here {
    /// Whether all of it is here.
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty()
    }
}

impl Store {
    /// The manifest of an object.
    ///
    /// # Errors
    ///
    /// If it is not here.
    pub fn manifest(&self, id: ObjectId) -> Result<Manifest, Error> {
        let blob = self.blob(id.manifest())?;
        // Anybody may ask for any blob by this name.
        if blob.len() > MAX_MANIFEST as u64 {
            return Err(InvalidManifest::Form("it is longer than any".into()).into());
        }
        Ok(Manifest::verify(id, &blob.read(0..blob.len())?)?)
    }

    /// Whether enough of an object is here to read it; of a folder that is its list of names, and [`Store::here`] tells of what is
    /// in it.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub fn is_complete(&self, id: ObjectId) -> Result<bool, Error> {
        if !self.has(id.manifest())? {
            return Ok(false);
        }
        let manifest = self.manifest(id)?;
        Ok(self.count_pieces(id, &manifest)? >= manifest.needed())
    }

    /// How many of an object's pieces are here, without those that are known to be wrong.
    pub(crate) fn count_pieces(&self, id: ObjectId, manifest: &Manifest) -> Result<usize, Error> {
        let (mut here, wrong) = (0, self.wrong(id));
        for (number, (hash, len)) in manifest.blobs().into_iter().enumerate() {
            here += usize::from(!wrong.contains(&number) && self.length(hash)? == Some(len));
        }
        Ok(here)
    }

    /// What of an object is here, and if it is a folder, of all that is in it. `open` reads what is in a folder that is here, whose
    /// names may be sealed. What is damaged or cannot be read is missing.
    ///
    /// # Errors
    ///
    /// What `open` says.
    pub fn here<E: From<Error>>(&self, id: ObjectId, open: impl Fn(ObjectId) -> Result<Folder, E>) -> Result<Here, E> {
        let (mut here, mut next, mut seen) = (Here::default(), vec![id], BTreeSet::from([id]));
        while let Some(id) = next.pop() {
            if !self.is_complete(id).unwrap_or(false) {
                here.missing.push(id);
                continue;
            }
            here.objects.push(id);
            if self.manifest(id)?.kind == Kind::Folder {
                next.extend(open(id)?.entries().iter().map(|entry| entry.id).filter(|id| seen.insert(*id)));
            }
        }
        Ok(here)
    }

    /// Writes an object's content as it is stored, sealed or not. All that is written has been checked.
    ///
    /// # Errors
    ///
    /// If it is not here, damaged beyond what the code makes good, or `out` refuses.
    pub fn get(&self, id: ObjectId, out: impl Write) -> Result<Manifest, Error> {
        let (manifest, out) = (self.manifest(id)?, Counted::new(out, self));
        match manifest.layout() {
            None => {
                let blob = self.blob(manifest.content)?;
                // Whoever bounds what he reads goes by what the manifest says.
                if blob.len() != manifest.size {
                    return Err(Error::Inconsistent(id));
                }
                copy(&blob, out)?;
            }
            Some(layout) => decode(id, &manifest, layout, &self.pieces(id, &manifest)?, out)?,
        }
        Ok(manifest)
    }

    /// Writes an object's content, opened, into a file, which is there whole or not at all. If the process ends meanwhile, the next try
    /// goes on behind what is right of the file that was written beside it. A file of that name is replaced.
    ///
    /// # Errors
    ///
    /// See [`Store::get`]; or the seal cannot be opened.
    pub fn get_to(&self, id: ObjectId, path: &Path, seal: &dyn Seal) -> Result<Manifest, Error> {
        self.get_by(id, path, seal, replace)
    }

    /// The same, as a file that is not there yet, also if one appears there meanwhile.
    ///
    /// # Errors
    ///
    /// See [`Store::get_to`]; or there is something of that name.
    pub fn get_new(&self, id: ObjectId, path: &Path, seal: &dyn Seal) -> Result<Manifest, Error> {
        self.get_by(id, path, seal, put)
    }

    /// Writes an object's content, opened, into a file, to which `put` gives its name in the end.
    fn get_by(
        &self,
        id: ObjectId,
        path: &Path,
        seal: &dyn Seal,
        put: impl FnOnce(&Path, &Path) -> io::Result<()>,
    ) -> Result<Manifest, Error> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", &id.to_string()[..16]));
        let part = Part(path.with_file_name(name));
        let manifest = self.manifest(id)?;
        let file = part.open(manifest.sealing.mode(0o666)).map_err(Error::at(&part.0))?;
        let written = Written::after(file.metadata().map_err(Error::at(&part.0))?.len());
        let mut file = Resumed { file, written, store: self };
        {
            let mut out = seal.open(&manifest.sealing, Box::new(&mut file))?;
            self.get(id, &mut out)?;
            out.flush()?;
        }
        file.written.finish(&file.file).map_err(Error::at(&part.0))?;
        put(&part.0, path).map_err(Error::at(path))?;
        Ok(manifest)
    }

    /// The pieces that are here, with their numbers, those that need no decoding first. Those that are known to be wrong are left out.
    pub(crate) fn pieces(&self, id: ObjectId, manifest: &Manifest) -> Result<Vec<(usize, BlobReader)>, Error> {
        let (mut pieces, wrong) = (Vec::new(), self.wrong(id));
        for (number, (hash, len)) in manifest.blobs().into_iter().enumerate() {
            if wrong.contains(&number) {
                continue;
            }
            match self.blob(hash) {
                Ok(blob) if blob.len() == len => pieces.push((number, blob)),
                // What has another length is something else, whoever calls it a piece.
                Ok(_) | Err(Error::NotHere(_) | Error::Corrupt(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let needed = manifest.needed();
        if pieces.len() < needed {
            return Err(Error::TooFewPieces { id, have: pieces.len(), needed });
        }
        Ok(pieces)
    }

    /// Makes pieces of an object from any k that are here, without its content, and keeps them under the roots that keep
    /// them already or are given.
    ///
    /// # Errors
    ///
    /// If fewer than k pieces are here, or those that are don't make what the manifest says: [`Error::WrongPieces`] names those of the
    /// wanted ones that are not what it says though it says the same content, and [`Error::Inconsistent`] says that the content differs
    /// as well.
    pub fn rebuild(&self, id: ObjectId, root: Root, until: Option<u64>, wanted: &[usize]) -> Result<(), Error> {
        let manifest = self.manifest(id)?;
        let Some(layout) = manifest.layout() else { return Ok(()) };
        let (pieces, blobs) = (self.pieces(id, &manifest)?, manifest.blobs());
        let mut room = self.reservation(root.owner);
        let mut writers: Vec<_> = wanted.iter().map(|_| self.writer()).collect();
        let (code, buffers, mut next) = (layout.code(), Buffers::default(), 0);
        ordered(
            layout.place_of(0).end as usize * code.pieces(),
            || {
                next += 1;
                Ok((next <= layout.stripes()).then(|| next - 1))
            },
            || Coder::new(code),
            |coder, stripe| {
                let [mut data, mut coded] = [buffers.take(), buffers.take()];
                read_stripe(coder, id, &layout, &pieces, stripe, &mut data)?;
                let length = coder.encode(&mut data, &mut coded)?;
                let start = layout.place_of(stripe).start;
                let runs = wanted.iter().map(|number| Run::new(start, shard(&data, &coded, length, *number)));
                Ok((runs.collect::<Vec<_>>(), length, data, coded))
            },
            |(runs, length, data, coded)| {
                for ((writer, run), number) in writers.iter_mut().zip(&runs).zip(wanted) {
                    writer.push(shard(&data, &coded, length, *number), run, &mut room)?;
                }
                buffers.give(data);
                buffers.give(coded);
                Ok(())
            },
        )?;
        let staged = writers.into_iter().map(BlobWriter::finish).collect::<Result<Vec<_>, _>>()?;
        let wrong = staged.iter().zip(wanted).filter(|(staged, number)| staged.hash != blobs[**number].0);
        let wrong: Vec<_> = wrong.map(|(_, number)| *number).collect();
        if !wrong.is_empty() {
            decode(id, &manifest, layout, &pieces, io::sink())?;
            return Err(Error::WrongPieces { id, pieces: wrong });
        }
        let blobs = staged.iter().map(|staged| staged.hash).collect();
        // What is made for others is here only on its way to them.
        self.commit(staged, &[Claim { root, until, blobs, stamp: None }], root.owner != Owner::TRANSIT)
    }
}

/// A file that may have been written in part before.
struct Resumed<'a> {
    file: File,
    written: Written,
    store: &'a Store,
}

impl Write for Resumed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let before = self.written.found();
        self.written.append(&self.file, bytes)?;
        self.store.count_resumed(self.written.found() - before);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is removed unless it was renamed.
struct Part(PathBuf);

impl Part {
    /// Opens what an earlier try has left, or begins one that nobody but who `mode` says may read. What is there of somebody else's is
    /// removed: anybody knows what a part is called.
    fn open(&self, mode: u32) -> io::Result<File> {
        if let Some(left) = self.left(mode)? {
            return Ok(left);
        }
        fs::remove_file(&self.0).or_else(gone)?;
        File::options().read(true).write(true).create_new(true).mode(mode).open(&self.0)
    }

    /// What an earlier try has left: a file of this user's own, which is in no other place, and which no more may read than `mode` says.
    fn left(&self, mode: u32) -> io::Result<Option<File>> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::open(&self.0, flags, Mode::empty()) else { return Ok(None) };
        let file = File::from(file);
        let is = file.metadata()?;
        let own = is.is_file() && is.nlink() == 1 && is.uid() == user()? && is.mode() & 0o777 & !mode == 0;
        Ok(own.then_some(file))
    }
}

/// Whose files are that this process makes.
fn user() -> io::Result<u32> {
    let (pipe, _) = io::pipe()?;
    Ok(File::from(OwnedFd::from(pipe)).metadata()?.uid())
}

/// Gives a part its name, in place of what has it.
fn replace(part: &Path, path: &Path) -> io::Result<()> {
    fs::rename(part, path)
}

/// Gives a part its name, unless there is something of that name.
fn put(part: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, part, CWD, path, RenameFlags::NOREPLACE) {
        // Not all file systems can.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
        renamed => return Ok(renamed?),
    }
    match fs::hard_link(part, path) {
        // Some have one name for each file.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => match path.symlink_metadata() {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(part, path),
        },
        linked => linked,
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// One shard of an encoded stripe.
pub(crate) fn shard<'a>(data: &'a [u8], coded: &'a [u8], length: usize, number: usize) -> &'a [u8] {
    let start = number * length;
    match start.checked_sub(data.len()) {
        None => &data[start..][..length],
        Some(start) => &coded[start..][..length],
    }
}

fn copy(blob: &BlobReader, mut out: impl Write) -> Result<(), Error> {
    // All of it was compared with its hash when it was opened.
    if let Source::Memory(bytes) = blob.source() {
        return Ok(out.write_all(bytes)?);
    }
    let (windows, buffers, mut next) = (blob.len().div_ceil(WINDOW as u64), Buffers::default(), 0);
    ordered(
        WINDOW,
        || {
            next += 1;
            Ok((next <= windows).then(|| next - 1))
        },
        || (),
        |(), number| {
            let mut bytes = buffers.take();
            blob.window(number, &mut bytes).map(|()| bytes)
        },
        |bytes| {
            out.write_all(&bytes)?;
            buffers.give(bytes);
            Ok(())
        },
    )
}

/// The data shards of a stripe. A piece that is damaged there is passed over.
fn read_stripe(
    coder: &mut Coder,
    id: ObjectId,
    layout: &Layout,
    pieces: &[(usize, BlobReader)],
    stripe: u64,
    data: &mut Vec<u8>,
) -> Result<(), Error> {
    let numbers: Vec<_> = pieces.iter().map(|(number, _)| *number).collect();
    let (mut have, start) = (0, layout.place_of(stripe).start);
    let read = |place: usize, shard: &mut [u8]| match pieces[place].1.node(start, shard) {
        Ok(()) => {
            have += 1;
            Ok(true)
        }
        Err(Error::Corrupt(_)) => Ok(false),
        Err(error) => Err(error),
    };
    match coder.decode(&numbers, layout.shard_of(stripe), read, data)? {
        true => Ok(()),
        false => Err(Error::TooFewPieces { id, have, needed: layout.code().needed() }),
    }
}

fn decode(
    id: ObjectId,
    manifest: &Manifest,
    layout: Layout,
    pieces: &[(usize, BlobReader)],
    mut out: impl Write,
) -> Result<(), Error> {
    let (mut tree, mut pairs, buffers, mut next) = (Tree::default(), Vec::new(), Buffers::default(), 0);
    ordered(
        2 * layout.stripe(),
        || {
            next += 1;
            Ok((next <= layout.stripes()).then(|| next - 1))
        },
        || Coder::new(layout.code()),
        |coder, stripe| {
            let mut data = buffers.take();
            read_stripe(coder, id, &layout, pieces, stripe, &mut data)?;
            let length = layout.content_of(stripe);
            let (node, start) = (layout.node(stripe, length), stripe * layout.stripe() as u64);
            Ok((Run::by(node, start, &data[..length]), length, data))
        },
        |(run, length, data)| {
            tree.push(&run, &mut pairs);
            pairs.clear();
            out.write_all(&data[..length])?;
            buffers.give(data);
            Ok(())
        },
    )?;
    if tree.finish(&mut pairs) == manifest.content { Ok(()) } else { Err(Error::Inconsistent(id)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Put, seal::Plain};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn nothing_is_written_into_a_part_that_others_may_read_or_that_leads_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let part = Part(at("copy.part"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let begun = || part.open(0o600).unwrap().write_all(b"secret").unwrap();
        // One that leads to a file of somebody else's, is that file, or may be read by anybody.
        fs::write(at("other"), "open").unwrap();
        symlink(at("other"), &part.0).unwrap();
        begun();
        assert!(!part.0.is_symlink());
        fs::remove_file(&part.0).unwrap();
        fs::hard_link(at("other"), &part.0).unwrap();
        begun();
        fs::set_permissions(&part.0, fs::Permissions::from_mode(0o644)).unwrap();
        let mut seen = File::open(&part.0).unwrap();
        begun();
        assert_eq!((fs::read(&part.0).unwrap(), mode(&part.0)), (b"secret".to_vec(), 0o600));
        assert_eq!(fs::read(at("other")).unwrap(), b"open");
        // Whoever had it open before sees nothing of what is written from now on.
        part.open(0o600).unwrap().write_all(b"SECRET").unwrap();
        let mut old = Vec::new();
        io::Read::read_to_end(&mut seen, &mut old).unwrap();
        assert_eq!((old, fs::read(&part.0).unwrap()), (b"secret".to_vec(), b"SECRET".to_vec()));
    }

    #[test]
    fn a_file_that_appears_where_one_is_to_be_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Limits { margin: 0, ..Limits::default() }).unwrap();
        let id = store.put(&b"new"[..], Put::default()).unwrap();
        let to = folder.path().join("copy");
        fs::write(&to, "old").unwrap();
        let error = store.get_new(id, &to, &Plain).unwrap_err();
        assert!(matches!(&error, Error::File { path, .. } if *path == to), "{error}");
        assert_eq!((fs::read(&to).unwrap(), fs::read_dir(folder.path()).unwrap().count()), (b"old".to_vec(), 2));
        fs::remove_file(&to).unwrap();
        store.get_new(id, &to, &Plain).unwrap();
        assert_eq!((fs::read(&to).unwrap(), fs::read_dir(folder.path()).unwrap().count()), (b"new".to_vec(), 2));
    }
}

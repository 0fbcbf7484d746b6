//! Folders from a file system and back into one.

use crate::{
    Batch, BlobHash, Entry, EntryKind, Error, Folder, Kind, MAX_FOLDER, ObjectId, Owner, Put, Root, Seal, Store,
    check_name, store::Claim,
};
use commonware_codec::Encode as _;
use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
};

/// What a folder that somebody made may hold, so that restoring it ends. Folders share objects: a small object can stand for
/// more files than there are disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Folders in each other.
    pub depth: usize,
    /// Files and folders in all.
    pub entries: u64,
    /// Bytes of all files, as they are stored.
    pub bytes: u64,
}

impl Default for Bounds {
    /// 64 deep, ten million entries, 1 TiB.
    fn default() -> Self {
        Self { depth: 64, entries: 10_000_000, bytes: 1 << 40 }
    }
}

/// What was put, as long as it has no reason to be kept but to be part of a folder.
struct Parts<'a> {
    batch: Batch<'a>,
    objects: BTreeSet<ObjectId>,
    depth: usize,
}

impl Store {
    /// Puts a folder with everything in it, under one root.
    ///
    /// If it breaks off, what was put is kept until `resume` (seconds since 1970): the next try finds the files that have not
    /// changed since, and does not read them again.
    ///
    /// # Errors
    ///
    /// If something in it is neither file nor folder or has a name that no folder may hold, a file changes while it is read,
    /// or there is no room.
    pub fn put_folder(&self, path: &Path, put: Put<'_>, resume: u64) -> Result<ObjectId, Error> {
        let parts = Put { owner: Owner::TRANSIT, until: Some(resume), ..put };
        let batch = self.batch(parts).for_owner(put.owner);
        let mut parts = Parts { batch, objects: BTreeSet::new(), depth: 0 };
        let object = parts.put(path)?;
        let Parts { batch, objects, .. } = parts;
        batch.commit()?;
        let blobs = self.blobs_of(&objects)?;
        self.commit(
            Vec::new(),
            &[Claim { root: Root { object, owner: put.owner }, until: put.until, blobs, stamp: None }],
            put.durable,
        )?;
        for object in objects {
            self.release(Root { object, owner: Owner::TRANSIT })?;
        }
        Ok(object)
    }

    /// What is in a folder.
    ///
    /// # Errors
    ///
    /// If it is not here, is no folder, or `seal` cannot open it.
    pub fn folder(&self, id: ObjectId, seal: &dyn Seal) -> Result<Folder, Error> {
        let manifest = self.manifest(id)?;
        if manifest.kind != Kind::Folder {
            return Err(Error::NotAFolder(id));
        }
        // A seal adds less than half.
        if manifest.size > 2 * MAX_FOLDER as u64 {
            return Err(Error::FolderBounds("names may be in a list"));
        }
        let mut bytes = Vec::new();
        {
            let mut out = seal.open(&manifest.sealing, Box::new(&mut bytes))?;
            self.get(id, &mut out)?;
            out.flush()?;
        }
        Ok(Folder::from_bytes(&bytes)?)
    }

    /// Restores a folder as `path`, which must not be there yet. It is built beside it, and there whole or not at all; if it
    /// breaks off, the next try goes on from the files that were done.
    ///
    /// # Errors
    ///
    /// If something of it is not here or damaged, it holds more than `bounds` allow, or the file system refuses.
    pub fn get_folder(&self, id: ObjectId, path: &Path, seal: &dyn Seal, bounds: Bounds) -> Result<(), Error> {
        if path.symlink_metadata().is_ok() {
            return Err(Error::at(path)(io::ErrorKind::AlreadyExists.into()));
        }
        let beside = |suffix: &str| {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}.{suffix}", &id.to_string()[..16]));
            path.with_file_name(name)
        };
        // A file is written outside of the folder, where no name in it can mean it.
        let (whole, file) = (beside("folder"), beside("file"));
        let mut left = bounds;
        self.restore(id, &whole, &file, seal, &mut left)?;
        fs::rename(&whole, path).map_err(Error::at(path))
    }

    fn restore(&self, id: ObjectId, at: &Path, file: &Path, seal: &dyn Seal, left: &mut Bounds) -> Result<(), Error> {
        left.depth = left.depth.checked_sub(1).ok_or(Error::FolderBounds("folders may be in each other"))?;
        match DirBuilder::new().mode(self.manifest(id)?.sealing.mode(0o777)).create(at) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(Error::at(at)(error)),
            _ => {}
        }
        for Entry { name, kind, id } in self.folder(id, seal)?.entries() {
            left.entries = left.entries.checked_sub(1).ok_or(Error::FolderBounds("files may be in it"))?;
            let target = at.join(name);
            if *kind == EntryKind::Folder {
                self.restore(*id, &target, file, seal, left)?;
                continue;
            }
            let manifest = self.manifest(*id)?;
            left.bytes = left.bytes.checked_sub(manifest.size).ok_or(Error::FolderBounds("bytes may be in it"))?;
            if target.symlink_metadata().is_ok() {
                continue;
            }
            self.get_to(*id, file, seal)?;
            if *kind == EntryKind::Program {
                let mode = manifest.sealing.mode(0o755);
                fs::set_permissions(file, fs::Permissions::from_mode(mode)).map_err(Error::at(file))?;
            }
            fs::rename(file, &target).map_err(Error::at(&target))?;
        }
        left.depth += 1;
        Ok(())
    }

    fn blobs_of(&self, objects: &BTreeSet<ObjectId>) -> Result<Vec<BlobHash>, Error> {
        let mut blobs = Vec::new();
        for object in objects {
            blobs.push(object.manifest());
            for (hash, _) in self.manifest(*object)?.blobs() {
                if self.has(hash)? {
                    blobs.push(hash);
                }
            }
        }
        Ok(blobs)
    }
}

impl Parts<'_> {
    fn put(&mut self, path: &Path) -> Result<ObjectId, Error> {
        self.depth += 1;
        if self.depth > Bounds::default().depth {
            return Err(Error::FolderBounds("folders may be in each other"));
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(path).map_err(Error::at(path))? {
            let entry = entry.map_err(Error::at(path))?;
            let at = entry.path();
            let name = name_of(&entry).ok_or_else(|| Error::at(&at)(io::Error::other("its name is not UTF-8")))?;
            check_name(&name)?;
            let kind = entry.file_type().map_err(Error::at(&at))?;
            let (kind, id) = if kind.is_dir() {
                (EntryKind::Folder, self.put(&at)?)
            } else if kind.is_file() {
                let mode = entry.metadata().map_err(Error::at(&at))?.permissions().mode();
                let kind = if mode & 0o100 == 0 { EntryKind::File } else { EntryKind::Program };
                (kind, self.batch.put_file(&at)?)
            } else {
                let why = match kind.is_symlink() {
                    true => "it is a symbolic link: leave it out, or put a copy of what it leads to in its place",
                    false => "it is neither a file nor a folder: leave it out",
                };
                return Err(Error::at(&at)(io::Error::other(why)));
            };
            self.objects.insert(id);
            entries.push(Entry { name, kind, id });
        }
        let folder = Folder::new(entries)?.encode();
        let id = self.batch.put(&folder[..], Kind::Folder)?;
        self.objects.insert(id);
        self.depth -= 1;
        Ok(id)
    }
}

fn name_of(entry: &fs::DirEntry) -> Option<String> {
    entry.file_name().into_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Limits, Plain, Sealing};
    use std::{collections::BTreeMap, io::Read, path::PathBuf, time::Duration};

    fn open(folder: &Path) -> Store {
        Store::open(folder, Limits { margin: 0, ..Limits::default() }).unwrap()
    }

    /// Every file with its content, and whether it is a program.
    fn files(at: &Path) -> BTreeMap<PathBuf, (Vec<u8>, bool)> {
        let mut found = BTreeMap::new();
        let mut folders = vec![at.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    found.insert(path.strip_prefix(at).unwrap().to_owned(), (Vec::new(), false));
                    folders.push(path);
                } else {
                    let program = path.metadata().unwrap().permissions().mode() & 0o100 != 0;
                    found.insert(path.strip_prefix(at).unwrap().to_owned(), (fs::read(&path).unwrap(), program));
                }
            }
        }
        found
    }

    fn example(at: &Path) {
        fs::create_dir_all(at.join("a/b/empty")).unwrap();
        for number in 0..20_u8 {
            fs::write(at.join(format!("a/{number}")), vec![number; 5_000 * usize::from(number)]).unwrap();
        }
        fs::write(at.join("a/b/same"), vec![7; 35_000]).unwrap();
        fs::write(at.join("no\\thing"), b"").unwrap();
        fs::write(at.join("run"), b"#!/bin/sh\n").unwrap();
        fs::set_permissions(at.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        let old = std::time::SystemTime::now() - Duration::from_secs(60);
        for (path, _) in files(at) {
            if !at.join(&path).is_dir() {
                fs::File::open(at.join(path)).unwrap().set_modified(old).unwrap();
            }
        }
    }

    #[test]
    fn a_folder_comes_back_as_it_was_and_goes_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let (store, from) = (open(&folder.path().join("store")), folder.path().join("from"));
        example(&from);
        for code in [None, Code::new(2, 3)] {
            let put = Put { code, ..Put::default() };
            let id = store.put_folder(&from, put, 100).unwrap();
            assert_eq!(store.status().unwrap().roots, 1);
            let to = folder.path().join("to");
            store.get_folder(id, &to, &Plain, Bounds::default()).unwrap();
            assert_eq!(files(&to), files(&from));
            assert!(store.get_folder(id, &to, &Plain, Bounds::default()).is_err(), "it is there");
            fs::remove_dir_all(&to).unwrap();
            store.release(Root { object: id, owner: Owner::LOCAL }).unwrap();
            assert_eq!(store.status().unwrap().blobs, 0);
        }
    }

    /// Lets so many files through.
    struct Breaks(std::sync::atomic::AtomicI64);

    impl Breaks {
        fn after(files: i64) -> Self {
            Self(files.into())
        }

        fn next(&self) -> io::Result<()> {
            match self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) {
                ..=0 => Err(io::Error::other("broken off")),
                _ => Ok(()),
            }
        }
    }

    impl Seal for Breaks {
        fn seal<'a>(&self, plain: Box<dyn Read + Send + 'a>) -> io::Result<(Sealing, Box<dyn Read + Send + 'a>)> {
            self.next()?;
            Plain.seal(plain)
        }

        fn open<'a>(&self, sealing: &Sealing, plain: Box<dyn io::Write + 'a>) -> io::Result<Box<dyn io::Write + 'a>> {
            self.next()?;
            Plain.open(sealing, plain)
        }

        fn fits(&self, sealing: &Sealing, alone: bool) -> bool {
            Plain.fits(sealing, alone)
        }
    }

    #[test]
    fn what_breaks_off_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (store, from, to) =
            (open(&folder.path().join("store")), folder.path().join("from"), folder.path().join("to"));
        example(&from);
        // 23 files and four folders; what a batch holds in memory when it breaks off is lost.
        let seal = Breaks::after(26);
        assert!(store.put_folder(&from, Put { seal: &seal, ..Put::default() }, 100).is_err());
        let mut batch = store.batch(Put { owner: Owner::TRANSIT, until: Some(100), ..Put::default() });
        batch = batch.for_owner(Owner::LOCAL);
        for number in 0..20 {
            batch.put_file(&from.join(format!("a/{number}"))).unwrap();
        }
        batch.commit().unwrap();
        let seal = Breaks::after(7);
        let id = store.put_folder(&from, Put { seal: &seal, ..Put::default() }, 100).unwrap();
        assert_eq!(store.resumed(), (0..20).map(|number| 5_000 * number).sum::<u64>());

        assert!(store.get_folder(id, &to, &Breaks::after(15), Bounds::default()).is_err());
        assert!(!to.exists());
        // Folders are read again, files are not.
        store.get_folder(id, &to, &Breaks::after(27 - 15 + 4), Bounds::default()).unwrap();
        assert_eq!(files(&to), files(&from));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "nothing lies about");
    }

    #[test]
    fn a_folder_without_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("store"));
        let mut batch = store.batch(Put::default());
        let mut id = batch.put(&b"0123456789"[..], Kind::File).unwrap();
        let mut kind = EntryKind::File;
        for _ in 0..70 {
            let entry = |name: &str| Entry { name: name.into(), kind, id };
            let twice = Folder::new(vec![entry("a"), entry("b")]).unwrap().encode();
            (id, kind) = (batch.put(&twice[..], Kind::Folder).unwrap(), EntryKind::Folder);
        }
        let deep = id;
        batch.commit().unwrap();
        let to = folder.path().join("to");
        let error = store.get_folder(deep, &to, &Plain, Bounds::default()).unwrap_err();
        assert!(matches!(error, Error::FolderBounds(what) if what.contains("each other")), "{error}");
        let few = Bounds { depth: 100, entries: 100, bytes: u64::MAX };
        assert!(
            matches!(store.get_folder(deep, &to, &Plain, few), Err(Error::FolderBounds(what)) if what.contains("files"))
        );
        let small = Bounds { depth: 100, entries: u64::MAX, bytes: 55 };
        assert!(
            matches!(store.get_folder(deep, &to, &Plain, small), Err(Error::FolderBounds(what)) if what.contains("bytes"))
        );
        assert!(!to.exists());
        assert!(matches!(
            store.folder(store.put(&b"x"[..], Put::default()).unwrap(), &Plain),
            Err(Error::NotAFolder(_))
        ));
    }

    #[test]
    fn what_is_neither_file_nor_folder_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let (store, from) = (open(&folder.path().join("store")), folder.path().join("from"));
        fs::create_dir(&from).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", from.join("one")).unwrap();
        let error = store.put_folder(&from, Put::default(), 1).unwrap_err();
        assert!(error.to_string().contains("one: it is a symbolic link"), "{error}");
        fs::remove_file(from.join("one")).unwrap();
        let _listens = std::os::unix::net::UnixListener::bind(from.join("one")).unwrap();
        let error = store.put_folder(&from, Put::default(), 1).unwrap_err();
        assert!(error.to_string().contains("one: it is neither"), "{error}");
    }
}

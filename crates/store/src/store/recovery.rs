//! What a start finds, and what is done about what is damaged.

use super::{
    Found, Inner, Root, Scrubbed, Store,
    blob::{Temporary, WINDOW, cost, paths},
    index::{Index, Place},
    partial,
    space::overhead,
    sync_folder,
};
use crate::{
    BlobHash, Error,
    tree::{Run, Tree, outboard_len},
};
use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read as _, Seek as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use stoa_base::{gone, write_private};

impl Store {
    /// Reads everything and compares it with its hash. What is damaged is expected again, with its room and everybody's reason to keep
    /// it, so that it can be fetched or put anew; what the node keeps for itself is [set aside](Self::set_aside), for there may be no
    /// other copy. What cannot be read is not damaged for that: it stays as it is.
    ///
    /// # Errors
    ///
    /// If the index cannot be read or written, or what is damaged cannot be set aside.
    pub fn scrub(&self) -> Result<Scrubbed, Error> {
        let mut scrubbed = Scrubbed { damaged: self.lost()?, unread: Vec::new() };
        for blob in self.inner.index.blobs() {
            let (hash, place, _) = blob?;
            match self.is_right(hash, place, |bytes| self.count(bytes)) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    scrubbed.unread.push((hash, error));
                    continue;
                }
            }
            let (index, _changing) = (&self.inner.index, self.inner.changing.lock());
            // It may have been let go of meanwhile, and have come again.
            if let Some((place, len)) = index.blob(hash)?
                && !self.is_right(hash, place, drop)?
            {
                self.inner.lose(index, hash, place, len)?;
                scrubbed.damaged.push(hash);
            }
        }
        Ok(scrubbed)
    }

    /// Blobs that the node keeps for itself and that are not here, for they were damaged: nobody brings them but who puts them again.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub fn lost(&self) -> Result<Vec<BlobHash>, Error> {
        let mut lost = Vec::new();
        for blob in self.inner.index.blobs() {
            let (hash, place, _) = blob?;
            if place == Place::Expected && self.inner.damaged_path(hash).exists() && self.inner.is_local(hash)? {
                lost.push(hash);
            }
        }
        Ok(lost)
    }

    /// By what a blob is kept.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub fn holders(&self, hash: BlobHash) -> impl Iterator<Item = Result<Root, Error>> {
        self.inner.index.holders(hash)
    }

    /// Where the bytes of a damaged blob are, if there were any to set aside: until it is put again or let go of.
    pub fn set_aside(&self, hash: BlobHash) -> Option<PathBuf> {
        let path = self.inner.damaged_path(hash);
        fs::metadata(&path).is_ok_and(|file| file.len() > 0).then_some(path)
    }

    /// Whether a blob is what its hash says, or is not here yet. Says how much is read.
    fn is_right(&self, hash: BlobHash, place: Place, mut read: impl FnMut(usize)) -> Result<bool, Error> {
        match place {
            Place::Expected => Ok(true),
            // All of it is compared with its hash.
            Place::Small => match self.blob(hash) {
                Ok(blob) => {
                    read(blob.len() as usize);
                    Ok(true)
                }
                Err(Error::NotHere(_) | Error::Corrupt(_)) => Ok(false),
                Err(error) => Err(error),
            },
            Place::File | Place::Unsynced => self.inner.reread(hash, read),
        }
    }
}

impl Inner {
    /// Bytes of an expected blob that the disk has not set aside for it.
    pub(super) fn outstanding(&self, hash: BlobHash, len: u64) -> u64 {
        let taken = partial::partial_paths(&self.partial, hash).map(|path| {
            // A block is 512 bytes, whatever the file system's are (stat(2)).
            fs::metadata(path).map_or(0, |file| 512 * file.blocks())
        });
        cost(len).saturating_sub(taken.iter().sum())
    }

    /// Expects a blob again that is damaged. What the node keeps for itself is set aside.
    pub(super) fn lose(&self, index: &Index, hash: BlobHash, place: Place, len: u64) -> Result<(), Error> {
        // First: if the process ends in between, the next start finds that it is not here.
        if self.is_local(hash)? {
            self.set_aside(hash)?;
        }
        let mut change = index.change();
        change.remove_blob(hash, place);
        change.put_blob(hash, Place::Expected, len);
        change.commit()?;
        self.space.expect(hash, cost(len));
        self.remove_files(hash, place);
        Ok(())
    }

    /// Where the data of a blob lie that was damaged.
    fn damaged_path(&self, hash: BlobHash) -> PathBuf {
        let [data, _] = partial::partial_paths(&self.damaged, hash);
        data
    }

    /// Moves a blob to where damaged ones are. Where nothing is left of it an empty file says that it was here.
    fn set_aside(&self, hash: BlobHash) -> Result<(), Error> {
        for (from, to) in paths(&self.blobs, hash).iter().zip(&partial::partial_paths(&self.damaged, hash)) {
            fs::rename(from, to).or_else(gone).map_err(Error::at(from))?;
        }
        let path = self.damaged_path(hash);
        if !path.exists() {
            let small = self.index.small(hash)?;
            write_private(&path, small.as_deref().unwrap_or_default()).map_err(Error::at(&path))?;
        }
        sync_folder(&self.damaged)
    }

    /// Reads a blob that stands in files, and says how far it is. Whether its data are what they should be: if so, a tree that does not
    /// follow from them is made anew; if not, nothing is written.
    pub(super) fn reread(&self, hash: BlobHash, read: impl FnMut(usize)) -> Result<bool, Error> {
        let [path, tree_path] = &paths(&self.blobs, hash);
        let Some(data) = there(path, File::open(path))? else { return Ok(false) };
        let len = data.metadata().map_err(Error::at(path))?.len();
        let is_as_long = there(tree_path, fs::metadata(tree_path))?.is_some_and(|tree| tree.len() == outboard_len(len));
        let mut tree = match is_as_long {
            true => there(tree_path, File::open(tree_path))?.map(BufReader::new),
            false => None,
        };
        let mut known: Vec<u8> = Vec::new();
        let found = hash_of(path, &data, read, |pairs| {
            known.resize(pairs.len(), 0);
            if let Some(right) = &mut tree {
                right.read_exact(&mut known).map_err(Error::at(tree_path))?;
                if known != pairs {
                    tree = None;
                }
            }
            Ok(())
        })?;
        if found == hash && tree.is_none() {
            self.plant(path, &data, tree_path)?;
        }
        Ok(found == hash)
    }

    /// Writes the tree of data that are right, whole or not at all.
    fn plant(&self, path: &Path, data: &File, tree_path: &Path) -> Result<(), Error> {
        let temporary = Temporary::new(&self.temporary);
        let beside = &temporary.path;
        let tree = File::options().write(true).create_new(true).mode(0o600).open(beside).map_err(Error::at(beside))?;
        let mut tree = BufWriter::new(tree);
        hash_of(path, data, drop, |pairs| tree.write_all(pairs).map_err(Error::at(beside)))?;
        let tree = tree.into_inner().map_err(|error| Error::at(beside)(error.into_error()))?;
        tree.sync_data().map_err(Error::at(beside))?;
        fs::rename(beside, tree_path).map_err(Error::at(tree_path))?;
        sync_folder(tree_path.parent().unwrap_or(&self.blobs))
    }

    /// Compares what the index says with what is there.
    pub(super) fn recover(&self) -> Result<Found, Error> {
        let index = &self.index;
        let mut found = Found::default();
        let mut remove = |path: PathBuf| {
            found.leftovers += 1;
            fs::remove_file(&path).map_err(Error::at(&path))
        };
        for file in list(&self.temporary)? {
            remove(file)?;
        }
        for folder in list(&self.blobs)? {
            for file in list(&folder)? {
                let known = named(&file).map(|hash| index.blob(hash)).transpose()?.flatten();
                if known.is_none_or(|(place, _)| !place.is_file()) {
                    remove(file)?;
                }
            }
        }
        for file in list(&self.partial)? {
            let place = named(&file).map(|hash| index.blob(hash)).transpose()?.flatten();
            if !matches!(place, Some((Place::Expected, _))) {
                remove(file)?;
            }
        }
        found.leftovers += self.unfinished.find()?;
        let (mut lost, mut doubtful) = (Vec::new(), Vec::new());
        for blob in index.blobs() {
            let (hash, place, len) = blob?;
            self.space.keep(cost(len) as i64);
            if place == Place::Expected {
                self.space.expect(hash, self.outstanding(hash, len));
            }
            if place.is_file() {
                let [data, tree] = paths(&self.blobs, hash)
                    .map(|path| there(&path, fs::metadata(&path)).map(|file| file.map(|file| file.len())));
                if data? != Some(len) {
                    lost.push((hash, place, len));
                } else if tree? != Some(outboard_len(len)) || place == Place::Unsynced {
                    doubtful.push((hash, place, len));
                }
            }
        }
        // If only the process ended, they are as they were, and a tree can be made of its data.
        for (hash, place, len) in doubtful {
            match self.reread(hash, drop) {
                Ok(true) => self.settle(hash)?,
                Ok(false) => lost.push((hash, place, len)),
                // What cannot be read is not damaged for that.
                Err(error) => tracing::warn!(%hash, %error, "what is stored cannot be read"),
            }
        }
        for (hash, place, len) in lost {
            self.lose(index, hash, place, len)?;
            found.lost.push(hash);
        }
        for root in index.roots() {
            let (root, kept) = root?;
            self.space.keep(overhead(root.owner) as i64);
            self.space.charge(None, Some(kept.charge(root)));
        }
        Ok(found)
    }
}

pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(Error::at(folder))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(Error::at(folder))).collect()
}

/// What the disk says of a path; nothing if nothing is there.
fn there<T>(path: &Path, said: io::Result<T>) -> Result<Option<T>, Error> {
    match said {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        said => said.map(Some).map_err(Error::at(path)),
    }
}

/// Reads all data from their beginning, says how far it is, and gives their tree part by part; the hash.
fn hash_of(
    path: &Path,
    mut data: &File,
    mut read: impl FnMut(usize),
    mut part: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<BlobHash, Error> {
    let (mut made, mut pairs, mut window, mut at) = (Tree::default(), Vec::new(), Vec::with_capacity(WINDOW), 0);
    data.rewind().map_err(Error::at(path))?;
    loop {
        window.clear();
        data.take(WINDOW as u64).read_to_end(&mut window).map_err(Error::at(path))?;
        if window.is_empty() {
            break;
        }
        made.push(&Run::new(at, &window), &mut pairs);
        part(&pairs)?;
        pairs.clear();
        at += window.len() as u64;
        read(window.len());
    }
    let found = made.finish(&mut pairs);
    part(&pairs)?;
    Ok(found)
}

/// The blob that a file belongs to.
fn named(file: &Path) -> Option<BlobHash> {
    file.file_name()?.to_str()?.trim_end_matches(".tree").parse().ok()
}

//! What a start finds, and what is done about what is damaged.

use super::{
    Found, Inner, Store,
    blob::{WINDOW, cost, paths},
    index::{Index, Place},
    partial,
    space::overhead,
    unfinished::Written,
};
use crate::{
    BlobHash, Error,
    tree::{Run, Tree, outboard_len},
};
use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

impl Store {
    /// Reads everything and compares it with its hash. What is damaged is removed and expected again, with its room and
    /// everybody's reason to keep it, so that it can be fetched anew.
    ///
    /// # Errors
    ///
    /// If the index cannot be read or written.
    pub fn scrub(&self) -> Result<Vec<BlobHash>, Error> {
        let mut damaged = Vec::new();
        for blob in self.inner.index.blobs() {
            let (hash, place, _) = blob?;
            if self.is_right(hash, place, |bytes| self.count(bytes)) {
                continue;
            }
            let (index, _changing) = (&self.inner.index, self.inner.changing.lock());
            // It may have been let go of meanwhile, and have come again.
            if let Some((place, len)) = index.blob(hash)?
                && !self.is_right(hash, place, drop)
            {
                self.inner.lose(index, hash, place, len)?;
                damaged.push(hash);
            }
        }
        Ok(damaged)
    }

    /// Whether a blob is what its hash says, or is not here yet. Says how much is read.
    fn is_right(&self, hash: BlobHash, place: Place, mut read: impl FnMut(usize)) -> bool {
        match place {
            Place::Expected => true,
            // All of it is compared with its hash.
            Place::Small => self.blob(hash).inspect(|blob| read(blob.len() as usize)).is_ok(),
            Place::File | Place::Unsynced => self.inner.reread(hash, read).unwrap_or(false),
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

    /// Expects a blob again that is damaged.
    pub(super) fn lose(&self, index: &Index, hash: BlobHash, place: Place, len: u64) -> Result<(), Error> {
        let mut change = index.change();
        change.remove_blob(hash, place);
        change.put_blob(hash, Place::Expected, len);
        change.commit()?;
        self.remove_files(hash, place);
        self.space.expect(hash, cost(len));
        Ok(())
    }

    /// Reads a blob that stands in files, says how far it is, and writes anew what of its tree does not follow from its data. Whether these
    /// are what they should be: if not, nothing of it is of use.
    pub(super) fn reread(&self, hash: BlobHash, mut read: impl FnMut(usize)) -> io::Result<bool> {
        let [data, tree] = paths(&self.blobs, hash);
        let (data, tree) = (File::open(data)?, File::options().read(true).write(true).open(tree)?);
        let mut written = Written::after(tree.metadata()?.len());
        let (mut made, mut pairs, mut window, mut at) = (Tree::default(), Vec::new(), Vec::with_capacity(WINDOW), 0);
        loop {
            window.clear();
            (&data).take(WINDOW as u64).read_to_end(&mut window)?;
            if window.is_empty() {
                break;
            }
            made.push(&Run::new(at, &window), &mut pairs);
            written.append(&tree, &pairs)?;
            pairs.clear();
            at += window.len() as u64;
            read(window.len());
        }
        let found = made.finish(&mut pairs);
        written.append(&tree, &pairs)?;
        written.finish(&tree)?;
        if written.found() < outboard_len(at) {
            tree.sync_data()?;
        }
        Ok(found == hash)
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
        let (mut lost, mut unsynced) = (Vec::new(), Vec::new());
        for blob in index.blobs() {
            let (hash, place, len) = blob?;
            self.space.keep(cost(len) as i64);
            if place == Place::Expected {
                self.space.expect(hash, self.outstanding(hash, len));
            }
            if place.is_file() {
                let sizes = paths(&self.blobs, hash).map(|path| fs::metadata(path).map(|file| file.len()).ok());
                if sizes != [Some(len), Some(outboard_len(len))] {
                    lost.push((hash, place, len));
                } else if place == Place::Unsynced {
                    unsynced.push((hash, len));
                }
            }
        }
        // If only the process ended, they are as they were.
        for (hash, len) in unsynced {
            match self.reread(hash, drop) {
                Ok(true) => self.settle(hash)?,
                _ => lost.push((hash, Place::Unsynced, len)),
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

/// The blob that a file belongs to.
fn named(file: &Path) -> Option<BlobHash> {
    file.file_name()?.to_str()?.trim_end_matches(".tree").parse().ok()
}

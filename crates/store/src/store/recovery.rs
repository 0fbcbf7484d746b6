//! What a start finds, and what is done about what is damaged.

use super::{
    Found, Inner,
    blob::{cost, paths},
    index::{Index, Place},
    partial,
    space::overhead,
};
use crate::{BlobHash, Error, tree::outboard_len};
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

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
                if !matches!(named(&file).map(|hash| index.blob(hash)).transpose()?.flatten(), Some((Place::File, _))) {
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
        let mut lost = Vec::new();
        for blob in index.blobs() {
            let (hash, place, len) = blob?;
            self.space.keep(cost(len) as i64);
            if place == Place::Expected {
                self.space.expect(hash, self.outstanding(hash, len));
            }
            if place == Place::File {
                let sizes = paths(&self.blobs, hash).map(|path| fs::metadata(path).map(|file| file.len()).ok());
                if sizes != [Some(len), Some(outboard_len(len))] {
                    lost.push((hash, len));
                }
            }
        }
        for (hash, len) in lost {
            self.lose(index, hash, Place::File, len)?;
            found.lost.push(hash);
        }
        for root in index.roots() {
            let (root, kept) = root?;
            let overhead = overhead(root.owner);
            self.space.keep(overhead as i64);
            self.space.charge(root.owner, (kept.bytes + overhead) as i64);
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

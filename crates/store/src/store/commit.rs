//! Taking blobs in, and having the disk take them.

use super::{
    Inner, Root, Staged, Store,
    blob::{StagedBody, cost, paths},
    index::{Change, Place},
    partial,
    roots::later,
    space::overhead,
    sync_folder,
};
use crate::{BlobHash, Error, Manifest};
use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    path::PathBuf,
};

/// A root that is to be, with what it keeps.
pub(crate) struct Claim {
    pub root: Root,
    pub until: Option<u64>,
    pub blobs: Vec<BlobHash>,
    /// Of the file that it was made of.
    pub stamp: Option<[u8; 32]>,
}

impl Store {
    /// Keeps the encoded manifest of an object under a root of it.
    ///
    /// # Errors
    ///
    /// If the bytes are not what the id stands for, or there is no room.
    pub fn keep_manifest(&self, root: Root, until: Option<u64>, bytes: &[u8]) -> Result<(), Error> {
        Manifest::verify(root.object, bytes)?;
        let mut room = self.reservation(root.owner);
        let mut writer = self.writer();
        writer.push(bytes, &crate::tree::Run::new(0, bytes), &mut room)?;
        let staged = writer.finish()?;
        let blobs = vec![staged.hash];
        self.commit(vec![staged], &[Claim { root, until, blobs, stamp: None }], true)
    }

    /// Takes blobs in, each with the roots that keep it. If they are to be durable, the disk has all that the roots keep when
    /// this returns, or none of them is there.
    pub(crate) fn commit(&self, staged: Vec<Staged>, claims: &[Claim], durable: bool) -> Result<(), Error> {
        let unsynced = self.take_in(staged, claims, durable)?;
        unsynced.into_iter().filter(|_| durable).try_for_each(|hash| self.inner.settle(hash))
    }

    /// Takes blobs in; which of those that are kept were here already, and not on the disk.
    fn take_in(&self, staged: Vec<Staged>, claims: &[Claim], durable: bool) -> Result<Vec<BlobHash>, Error> {
        staged.iter().filter(|_| durable).try_for_each(Staged::sync)?;
        let (index, _changing) = (&self.inner.index, self.inner.changing.lock());
        // Whoever was promised one may have said a wrong length.
        staged.iter().try_for_each(|blob| self.inner.end_others(index, blob.hash, blob.len))?;
        let mut change = index.change();
        let (mut kept, mut arrived, mut unsynced, mut lens) = (0, Vec::new(), Vec::new(), HashMap::new());
        for blob in staged {
            let (hash, len) = (blob.hash, blob.len);
            if lens.insert(hash, len).is_some() {
                continue;
            }
            let mut durable = durable;
            match index.blob(hash)? {
                Some((Place::Expected, _)) => {
                    arrived.push(hash);
                    // Somebody else was promised it on the disk.
                    if !durable && !self.inner.passes(hash)? {
                        blob.sync()?;
                        durable = true;
                    }
                }
                Some((place, _)) => {
                    unsynced.extend((place == Place::Unsynced).then_some(hash));
                    continue;
                }
                None => kept += cost(len) as i64,
            }
            self.inner.put(&mut change, blob, durable)?;
        }
        // What one change makes is seen in the index after it alone: the same object may be claimed twice.
        let (mut charges, mut roots, mut edges) = (Vec::new(), HashMap::new(), HashSet::new());
        for Claim { root, until, blobs, stamp } in claims {
            let mut owned = 0;
            for hash in blobs {
                let len = match lens.get(hash) {
                    Some(len) => *len,
                    None => {
                        let (place, len) = index.blob(*hash)?.ok_or(Error::NotHere(*hash))?;
                        unsynced.extend((place == Place::Unsynced).then_some(*hash));
                        len
                    }
                };
                if !edges.insert((*root, *hash)) {
                    continue;
                }
                if !index.has_edge(*root, *hash)? {
                    change.put_edge(*root, *hash, len, true);
                    owned += cost(len);
                } else if index.is_unshown(*root, *hash)? {
                    change.show(*root, *hash);
                }
            }
            let old = match roots.get(root) {
                Some(old) => Some(*old),
                None => index.root(*root)?,
            };
            kept += if old.is_none() { overhead(root.owner) as i64 } else { 0 };
            let new = later(*root, old, root.owner, *until, owned);
            change.put_root(*root, new);
            roots.insert(*root, new);
            charges.push((old.map(|old| old.charge(*root)), new.charge(*root)));
            if let Some(stamp) = stamp {
                change.put_stamp(*stamp, root.object);
            }
        }
        change.commit()?;
        self.inner.space.keep(kept);
        for hash in arrived {
            self.inner.space.settle(hash);
            self.inner.discard(hash);
        }
        charges.into_iter().for_each(|(before, now)| self.inner.space.charge(before, Some(now)));
        Ok(unsynced)
    }
}

impl Inner {
    /// Has the disk take a blob that it may not have yet. It may take long, and others change what is kept meanwhile.
    pub(super) fn settle(&self, hash: BlobHash) -> Result<(), Error> {
        let paths = paths(&self.blobs, hash);
        while let Some((Place::Unsynced, _)) = self.index.blob(hash)? {
            let files = self.files(hash)?;
            files.iter().try_for_each(File::sync_data).map_err(Error::at(&paths[0]))?;
            sync_folder(paths[0].parent().unwrap_or(&self.blobs))?;
            let (index, _changing) = (&self.index, self.changing.lock());
            let is_here = files.iter().zip(&paths).all(|(file, path)| partial::is_at(file, path));
            // It may have gone and come again meanwhile: what stands there then is another file, which the disk may not have.
            if is_here && let Some((Place::Unsynced, len)) = index.blob(hash)? {
                let mut change = index.change();
                change.put_blob(hash, Place::File, len);
                change.commit()?;
            }
        }
        Ok(())
    }

    /// Puts a whole blob where it belongs; the index says so with the change.
    fn put(&self, change: &mut Change<'_>, blob: Staged, durable: bool) -> Result<(), Error> {
        let (hash, len) = (blob.hash, blob.len);
        let place = match blob.body {
            StagedBody::Memory(bytes) => {
                change.put_small(hash, bytes);
                Place::Small
            }
            StagedBody::Files(files) => {
                let from = [&files[0].1.path, &files[1].1.path].map(Clone::clone);
                self.install(&from, &paths(&self.blobs, hash), durable)?;
                if durable { Place::File } else { Place::Unsynced }
            }
        };
        change.put_blob(hash, place, len);
        Ok(())
    }

    /// Moves the files of a blob to their place, which is durable or not.
    pub(super) fn install(&self, from: &[PathBuf; 2], to: &[PathBuf; 2], durable: bool) -> Result<(), Error> {
        let folder = to[0].parent().unwrap_or(&self.blobs);
        if !folder.exists() {
            fs::create_dir_all(folder).map_err(Error::at(folder))?;
            // Once for all that comes into it, durable or not.
            sync_folder(&self.blobs)?;
        }
        // The tree first: where the data are, it is as well.
        for (from, to) in from.iter().zip(to).rev() {
            fs::rename(from, to).map_err(Error::at(to))?;
        }
        if durable { sync_folder(folder) } else { Ok(()) }
    }
}

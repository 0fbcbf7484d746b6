//! Who keeps what, until when, and at whose charge.
//!
//! What a [`Root`] keeps is charged to one key: its owner's, or that of whoever asked in his name. Room is set aside for what
//! is promised and not here yet; what is here already costs whoever has it kept as much.
//!
//! To know a hash is not to have what it is of. What another node asks for opens nothing to others before it came from the network, or
//! he has shown that he has it: what this node put for itself, before he asked or since, stays its own.

use super::{
    Inner, Kept, Payer, Reservation, Root, Store,
    blob::{cost, paths},
    index::{Index, Place},
    partial,
    space::overhead,
};
use crate::{BlobHash, Error, Owner};
use std::{collections::HashSet, fs};

/// What a collection has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Promises that had run out.
    pub roots: u64,
    /// Blobs that nobody keeps any more.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Store {
    /// Every reason to keep something.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub fn roots(&self) -> impl Iterator<Item = Result<(Root, Kept), Error>> {
        self.inner.index.roots()
    }

    /// Until when and how much a root keeps; `None` if there is no such root.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub fn kept(&self, root: Root) -> Result<Option<Kept>, Error> {
        self.inner.index.root(root)
    }

    /// Bytes that could be promised to somebody.
    pub(crate) fn room(&self, payer: Payer) -> Result<u64, Error> {
        Ok(self.inner.space.room(payer)?)
    }

    /// Whether others may have a blob: it is kept for somebody else than the node who has shown it, and is not only on its way to it.
    pub(crate) fn is_open(&self, hash: BlobHash) -> Result<bool, Error> {
        let index = &self.inner.index;
        for root in index.holders(hash) {
            let root = root?;
            if ![Owner::LOCAL, Owner::TRANSIT].contains(&root.owner) && !index.is_unshown(root, hash)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Notes that whoever asked for a root has shown these blobs of it.
    pub(crate) fn show(&self, root: Root, blobs: &[(BlobHash, u64)]) -> Result<(), Error> {
        let (index, _changing) = (&self.inner.index, self.inner.changing.lock());
        let mut change = index.change();
        for (hash, _) in blobs {
            if index.is_unshown(root, *hash)? {
                change.show(root, *hash);
            }
        }
        change.commit()
    }

    /// Promises to keep blobs for an object until `until` (seconds since 1970; `None`: for ever), whether they are here
    /// already or not. The manifest of the object should be among them. The room is set aside when this returns: whatever
    /// happens on this disk, they will fit.
    ///
    /// A root that is there already keeps what it kept as well, and until the later of both times. Its owner is charged.
    ///
    /// # Errors
    ///
    /// If there is no room, or too little for this owner; or a blob is known with another length.
    pub fn promise(&self, root: Root, until: Option<u64>, blobs: &[(BlobHash, u64)]) -> Result<(), Error> {
        self.take_on(Payer { key: root.owner, stranger: false }, root, until, blobs, true)
    }

    /// The same at the charge of whoever asks, who has [shown](Self::show) nothing yet. Of a root that is there already he is charged for
    /// all if he asks for more than it keeps, or is its owner: nobody has others keep anything, or keep it for longer, at somebody else's
    /// charge.
    pub(crate) fn promise_by(
        &self,
        payer: Payer,
        root: Root,
        until: Option<u64>,
        blobs: &[(BlobHash, u64)],
    ) -> Result<(), Error> {
        self.take_on(payer, root, until, blobs, false)
    }

    /// Promises blobs, and has the disk take those that are here already.
    fn take_on(
        &self,
        payer: Payer,
        root: Root,
        until: Option<u64>,
        blobs: &[(BlobHash, u64)],
        shown: bool,
    ) -> Result<(), Error> {
        let unsynced = self.expect(payer, root, until, blobs, shown)?;
        // What is here already may have been here only on its way.
        unsynced.into_iter().filter(|_| root.owner != Owner::TRANSIT).try_for_each(|hash| self.inner.settle(hash))
    }

    /// Promises blobs; which of them are here already, and not on the disk.
    fn expect(
        &self,
        payer: Payer,
        root: Root,
        until: Option<u64>,
        blobs: &[(BlobHash, u64)],
        shown: bool,
    ) -> Result<Vec<BlobHash>, Error> {
        let mut room = Reservation::new(&self.inner.space, payer);
        let (index, _changing) = (&self.inner.index, self.inner.changing.lock());
        let (mut change, mut seen) = (index.change(), HashSet::new());
        let old = index.root(root)?;
        let overhead = if old.is_none() { overhead(root.owner) } else { 0 };
        room.grow(overhead)?;
        let (mut new, mut owned, mut fresh, mut unsynced) = (0, 0, Vec::new(), Vec::new());
        for &(hash, len) in blobs {
            if len > crate::MAX_SIZE {
                return Err(Error::TooLarge);
            }
            if !seen.insert(hash) {
                continue;
            }
            match index.blob(hash)? {
                Some((_, known)) if known != len => return Err(Error::Length { expected: known, came: len }),
                Some((place, _)) => unsynced.extend((place == Place::Unsynced).then_some(hash)),
                None => {
                    room.grow(cost(len))?;
                    change.put_blob(hash, Place::Expected, len);
                    new += cost(len);
                    fresh.push((hash, len));
                }
            }
            if !index.has_edge(root, hash)? {
                change.put_edge(root, hash, len, shown);
                owned += cost(len);
            } else if shown && index.is_unshown(root, hash)? {
                change.show(root, hash);
            }
        }
        let kept = later(root, old, payer.key, until, owned);
        // What is here already costs as much as what is not.
        self.inner.space.allow(payer, more(root, old, kept).saturating_sub(overhead + new))?;
        change.put_root(root, kept);
        let made = fresh.iter().try_for_each(|(hash, len)| partial::allocate(&self.inner.partial, *hash, *len));
        if let Err(error) = made.and_then(|()| change.commit()) {
            fresh.iter().for_each(|(hash, _)| partial::discard(&self.inner.partial, *hash));
            return Err(error);
        }
        self.inner.space.keep((new + overhead) as i64);
        for (hash, len) in fresh {
            self.inner.space.expect(hash, self.inner.outstanding(hash, len));
        }
        self.inner.space.charge(old.map(|old| old.charge(root)), Some(kept.charge(root)));
        Ok(unsynced)
    }

    /// How long a blob is that is here, whole. A manifest may say anything else.
    pub(crate) fn length(&self, hash: BlobHash) -> Result<Option<u64>, Error> {
        Ok(self.inner.index.blob(hash)?.filter(|(place, _)| *place != Place::Expected).map(|(_, len)| len))
    }

    /// Whether a blob of this length is here, whole, and not only on its way to others.
    pub(crate) fn keeps(&self, (hash, len): (BlobHash, u64)) -> Result<bool, Error> {
        Ok(self.length(hash)? == Some(len) && !self.inner.passes(hash)?)
    }

    /// Whether a blob is expected, and with another length than this.
    pub(crate) fn expects_another(&self, hash: BlobHash, len: u64) -> Result<bool, Error> {
        Ok(matches!(self.inner.index.blob(hash)?, Some((Place::Expected, known)) if known != len))
    }

    /// Ends what was promised of a blob with any other length than this, which somebody has proven.
    pub(crate) fn end_others(&self, hash: BlobHash, len: u64) -> Result<(), Error> {
        let (index, _changing) = (&self.inner.index, self.inner.changing.lock());
        self.inner.end_others(index, hash, len)
    }

    /// Keeps what a root keeps until the later of when it does anyway and this; whether there is such a root still. Whoever
    /// asks is charged as he is for a [promise](Self::promise_by).
    pub(crate) fn renew(&self, payer: Payer, root: Root, until: u64) -> Result<bool, Error> {
        let (index, _changing) = (&self.inner.index, self.inner.changing.lock());
        let Some(old) = index.root(root)? else { return Ok(false) };
        let kept = later(root, Some(old), payer.key, Some(until), 0);
        self.inner.space.allow(payer, more(root, Some(old), kept))?;
        let mut change = index.change();
        change.put_root(root, kept);
        change.commit()?;
        self.inner.space.charge(Some(old.charge(root)), Some(kept.charge(root)));
        Ok(true)
    }

    /// Ends somebody's reason to keep an object, and removes what nobody keeps any more. Whether there was one.
    ///
    /// # Errors
    ///
    /// If the index cannot be read or written.
    pub fn release(&self, root: Root) -> Result<bool, Error> {
        let (index, _changing) = (&self.inner.index, self.inner.changing.lock());
        let known = index.root(root)?.is_some();
        if known {
            self.inner.end(index, &[root])?;
        }
        Ok(known)
    }

    /// Ends the promises that have run out by `now` (seconds since 1970), and removes what nobody keeps any more, and what of
    /// a put that was broken off nobody has gone on with for a week.
    ///
    /// # Errors
    ///
    /// If the index cannot be read or written.
    pub fn collect(&self, now: u64) -> Result<Collected, Error> {
        self.inner.unfinished.collect(now);
        let (index, _changing) = (&self.inner.index, self.inner.changing.lock());
        let over = index.roots_that(|_, kept| kept.until.is_some_and(|until| until <= now))?;
        let collected = self.inner.end(index, &over)?;
        let mut change = index.change();
        for stamp in index.stamps() {
            let (stamp, object) = stamp?;
            if index.blob(object.manifest())?.is_none() {
                change.remove_stamp(stamp);
            }
        }
        change.commit()?;
        Ok(collected)
    }

    /// Drops what puts and gets that were broken off have left for the next try, and what those that are under way have
    /// brought; how many files and objects it was.
    ///
    /// # Errors
    ///
    /// If the index cannot be read or written.
    pub fn drop_unfinished(&self) -> Result<u64, Error> {
        let files = self.inner.unfinished.clear();
        let (index, _changing) = (&self.inner.index, self.inner.changing.lock());
        let passing = index.roots_that(|root, _| root.owner == Owner::TRANSIT)?;
        Ok(files + self.inner.end(index, &passing)?.roots)
    }
}

/// A root that keeps `more` bytes than before, until the later of both times, as somebody asks. He is charged for it unless
/// it is somebody else's and kept all that anyway.
pub(super) fn later(root: Root, old: Option<Kept>, asks: Owner, until: Option<u64>, more: u64) -> Kept {
    let Some(old) = old else { return Kept { until, bytes: more, charged: asks } };
    let until = old.until.zip(until).map(|(old, new)| old.max(new));
    let is_his = asks == root.owner || more > 0 || until != old.until;
    Kept { until, bytes: old.bytes + more, charged: if is_his { asks } else { old.charged } }
}

/// Bytes that whoever is charged for a root is charged for more than before.
fn more(root: Root, old: Option<Kept>, new: Kept) -> u64 {
    let before = old.filter(|old| old.charged == new.charged).map_or(0, |old| old.charge(root).1);
    new.charge(root).1 - before
}

impl Inner {
    /// Whether a blob is here only on its way to somewhere else.
    pub(super) fn passes(&self, hash: BlobHash) -> Result<bool, Error> {
        for root in self.index.holders(hash) {
            if root?.owner != Owner::TRANSIT {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the node keeps a blob for itself.
    pub(super) fn is_local(&self, hash: BlobHash) -> Result<bool, Error> {
        for root in self.index.holders(hash) {
            if root?.owner == Owner::LOCAL {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends what was promised of a blob with any other length than it has: that can never come, and would be in the way of what
    /// can. What else the same roots keep stays.
    pub(super) fn end_others(&self, index: &Index, hash: BlobHash, len: u64) -> Result<(), Error> {
        // All who wait for it wait for one length.
        let Some((Place::Expected, wrong)) = index.blob(hash)?.filter(|(_, known)| *known != len) else {
            return Ok(());
        };
        let (mut change, mut charges, mut freed) = (index.change(), Vec::new(), cost(wrong));
        change.remove_blob(hash, Place::Expected);
        for root in index.holders(hash) {
            let root = root?;
            change.remove_edge(root, hash);
            let Some(old) = index.root(root)? else { continue };
            let rest = Kept { bytes: old.bytes.saturating_sub(cost(wrong)), ..old };
            if rest.bytes > 0 {
                change.put_root(root, rest);
            } else {
                change.remove_root(root);
                freed += overhead(root.owner);
            }
            charges.push((old.charge(root), (rest.bytes > 0).then(|| rest.charge(root))));
        }
        change.commit()?;
        self.remove_files(hash, Place::Expected);
        self.space.settle(hash);
        self.space.keep(-(freed as i64));
        charges.into_iter().for_each(|(before, now)| self.space.charge(Some(before), now));
        Ok(())
    }

    /// Ends roots, then removes the blobs that no other keeps.
    fn end(&self, index: &Index, roots: &[Root]) -> Result<Collected, Error> {
        let gone: HashSet<_> = roots.iter().copied().collect();
        let (mut change, mut blobs, mut charges) = (index.change(), HashSet::new(), Vec::new());
        let mut overheads = 0;
        for root in &gone {
            for edge in index.edges(*root) {
                let (hash, _) = edge?;
                change.remove_edge(*root, hash);
                blobs.insert(hash);
            }
            charges.push(index.root(*root)?.map(|kept| kept.charge(*root)));
            overheads += overhead(root.owner);
            change.remove_root(*root);
        }
        let mut collected = Collected { roots: gone.len() as u64, ..Collected::default() };
        let mut files = Vec::new();
        for hash in blobs {
            let others = index.holders(hash).map(|holder| holder.map(|root| !gone.contains(&root)));
            if others.collect::<Result<Vec<_>, _>>()?.contains(&true) {
                continue;
            }
            let Some((place, len)) = index.blob(hash)? else { continue };
            change.remove_blob(hash, place);
            collected.blobs += 1;
            collected.bytes += cost(len);
            files.push((hash, place));
        }
        change.commit()?;
        for (hash, place) in files {
            self.remove_files(hash, place);
            self.space.settle(hash);
        }
        self.space.keep(-((collected.bytes + overheads) as i64));
        charges.into_iter().for_each(|charge| self.space.charge(charge, None));
        Ok(collected)
    }

    pub(super) fn remove_files(&self, hash: BlobHash, place: Place) {
        match place {
            Place::Small => {}
            // If it fails, the next start does it.
            Place::File | Place::Unsynced => {
                paths(&self.blobs, hash).iter().for_each(|path| drop(fs::remove_file(path)))
            }
            Place::Expected => self.discard(hash),
        }
    }

    /// Removes what has come of a blob that is not expected any more, and what was set aside of it.
    pub(super) fn discard(&self, hash: BlobHash) {
        [&self.partial, &self.damaged].into_iter().for_each(|folder| partial::discard(folder, hash));
    }
}

//! What the store knows of itself: which blobs are here, who keeps them and until when.
//!
//! ```text
//! blobs   hash                      → where u8, length u64
//! small   hash                      → the bytes of a blob of at most 64 KiB
//! roots   object 32, owner 32       → until u64, bytes u64, and who is charged 32 if it is not the owner
//! edges   object, owner, hash       → length u64        what a root keeps
//! held    hash, object, owner       → nothing, or 0      by what roots a blob is kept; 0: whoever asked for it has not shown it
//! stamps  how a file was            → object            what was made of it
//! ```
//!
//! A log-structured store (`fjall`) takes each change as one batch, which the disk has when the call returns or which was
//! never made. Small blobs stand in it as well: a hundred thousand files of 4 KiB cost more than what is in them.
//!
//! **What is removed of them is not given out any more, and its bytes stay in the files of the index** until these are written anew.
//! `fjall` (3.1) begins a new journal when the last one has 64 MB, removes an old one when all tables that it is of were written since,
//! and rewrites a file of values when a quarter of it is stale; there is no call that has it do so at once.

use super::space::overhead;
use crate::{BlobHash, Error, ObjectId, Owner};
use fjall::{
    Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, OwnedWriteBatch as WriteBatch, PersistMode,
};
use std::path::Path;

/// Blobs up to this length stand in the store's index, whose files have the bytes of one that was removed until they are written anew.
pub const SMALL: usize = 64 << 10;

/// A pin has no end.
pub(crate) const FOR_EVER: u64 = u64::MAX;

/// Somebody's reason to keep an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Root {
    /// What is kept.
    pub object: ObjectId,
    /// For whom.
    pub owner: Owner,
}

impl Root {
    fn key(self) -> [u8; 64] {
        let mut key = [0; 64];
        key[..32].copy_from_slice(&self.object.0);
        key[32..].copy_from_slice(&self.owner.0);
        key
    }

    fn from_key(key: &[u8]) -> Option<Self> {
        let key: [u8; 64] = key.try_into().ok()?;
        let (object, owner) = key.split_at(32);
        Some(Self { object: ObjectId(object.try_into().ok()?), owner: Owner(owner.try_into().ok()?) })
    }
}

/// Until when and how much, and at whose charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Seconds since 1970; `None` for ever.
    pub until: Option<u64>,
    /// Bytes that are kept for it.
    pub bytes: u64,
    /// Who is charged: whoever asked for it, unless its owner has asked himself since.
    pub charged: Owner,
}

impl Kept {
    /// Who is charged for how many bytes.
    pub(super) fn charge(self, root: Root) -> (Owner, u64) {
        (self.charged, self.bytes + overhead(root.owner))
    }
}

/// Where a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the index.
    Small,
    /// In a file.
    File,
    /// In a file that the disk may not have yet: if the machine stops, it may be gone or hold anything.
    Unsynced,
    /// Not here yet: there is room for it.
    Expected,
}

#[derive(Clone)]
pub(crate) struct Index {
    database: Database,
    blobs: Keyspace,
    small: Keyspace,
    roots: Keyspace,
    edges: Keyspace,
    held: Keyspace,
    stamps: Keyspace,
}

/// One change, which happens whole or not at all.
pub(crate) struct Change<'a> {
    index: &'a Index,
    batch: WriteBatch,
}

fn number(bytes: &[u8], what: &'static str) -> Result<u64, Error> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| Error::Damaged(what))
}

impl Index {
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let database = Database::builder(folder)
            // With more, the first of them spins for as long as another compacts.
            .worker_threads(1)
            // What is sealed does not get smaller.
            .journal_compression(fjall::CompressionType::None)
            .open()
            .map_err(|error| match error {
                fjall::Error::Locked => Error::InUse(folder.to_owned()),
                other => other.into(),
            })?;
        let plain = |name| database.keyspace(name, KeyspaceCreateOptions::default);
        let separated = KvSeparationOptions::default().compression(fjall::CompressionType::None);
        // Values of that size are not rewritten when their keys are compacted.
        let large = KeyspaceCreateOptions::default().with_kv_separation(Some(separated)).max_memtable_size(16 << 20);
        Ok(Self {
            blobs: plain("blobs")?,
            small: database.keyspace("small", || large)?,
            roots: plain("roots")?,
            edges: plain("edges")?,
            held: plain("held")?,
            stamps: plain("stamps")?,
            database,
        })
    }

    pub fn change(&self) -> Change<'_> {
        Change { index: self, batch: self.database.batch().durability(Some(PersistMode::SyncAll)) }
    }

    pub fn blob(&self, hash: BlobHash) -> Result<Option<(Place, u64)>, Error> {
        self.blobs.get(hash.0)?.map(|value| place(&value)).transpose()
    }

    pub fn small(&self, hash: BlobHash) -> Result<Option<fjall::Slice>, Error> {
        Ok(self.small.get(hash.0)?)
    }

    pub fn root(&self, root: Root) -> Result<Option<Kept>, Error> {
        self.roots.get(root.key())?.map(|value| kept(root, &value)).transpose()
    }

    /// Every blob.
    pub fn blobs(&self) -> impl Iterator<Item = Result<(BlobHash, Place, u64), Error>> {
        self.blobs.iter().map(|entry| {
            let (key, value) = entry.into_inner()?;
            let hash = BlobHash(key[..].try_into().map_err(|_| Error::Damaged("a blob's key"))?);
            let (place, length) = place(&value)?;
            Ok((hash, place, length))
        })
    }

    /// Every reason to keep something.
    pub fn roots(&self) -> impl Iterator<Item = Result<(Root, Kept), Error>> {
        self.roots.iter().map(|entry| {
            let (key, value) = entry.into_inner()?;
            let root = Root::from_key(&key).ok_or(Error::Damaged("a root's key"))?;
            Ok((root, kept(root, &value)?))
        })
    }

    /// The roots of which something holds.
    pub fn roots_that(&self, holds: impl Fn(Root, Kept) -> bool) -> Result<Vec<Root>, Error> {
        let mut those = Vec::new();
        for root in self.roots() {
            let (root, kept) = root?;
            if holds(root, kept) {
                those.push(root);
            }
        }
        Ok(those)
    }

    /// What a root keeps, with lengths.
    pub fn edges(&self, root: Root) -> impl Iterator<Item = Result<(BlobHash, u64), Error>> {
        self.edges.prefix(root.key()).map(|entry| {
            let (key, value) = entry.into_inner()?;
            let hash = key.get(64..).and_then(|hash| hash.try_into().ok()).ok_or(Error::Damaged("an edge"))?;
            Ok((BlobHash(hash), number(&value, "an edge")?))
        })
    }

    pub fn has_edge(&self, root: Root, hash: BlobHash) -> Result<bool, Error> {
        Ok(self.edges.contains_key([&root.key()[..], &hash.0].concat())?)
    }

    /// Whether a root keeps a blob that whoever asked for it has not shown.
    pub fn is_unshown(&self, root: Root, hash: BlobHash) -> Result<bool, Error> {
        Ok(self.held.get([&hash.0[..], &root.key()].concat())?.is_some_and(|value| !value.is_empty()))
    }

    /// What was made of a file.
    pub fn stamp(&self, stamp: &[u8; 32]) -> Result<Option<ObjectId>, Error> {
        let id = |id: fjall::Slice| id[..].try_into().map(ObjectId).map_err(|_| Error::Damaged("a stamp"));
        self.stamps.get(stamp)?.map(id).transpose()
    }

    /// Every file of which something was made.
    pub fn stamps(&self) -> impl Iterator<Item = Result<(fjall::Slice, ObjectId), Error>> {
        self.stamps.iter().map(|entry| {
            let (key, id) = entry.into_inner()?;
            Ok((key, ObjectId(id[..].try_into().map_err(|_| Error::Damaged("a stamp"))?)))
        })
    }

    /// By what a blob is kept.
    pub fn holders(&self, hash: BlobHash) -> impl Iterator<Item = Result<Root, Error>> {
        self.held.prefix(hash.0).map(|entry| {
            let key = entry.key()?;
            key.get(32..).and_then(Root::from_key).ok_or(Error::Damaged("a holder"))
        })
    }
}

fn place(value: &[u8]) -> Result<(Place, u64), Error> {
    let (place, length) = value.split_first().ok_or(Error::Damaged("a blob"))?;
    let place = match place {
        0 => Place::Small,
        1 => Place::File,
        2 => Place::Expected,
        3 => Place::Unsynced,
        _ => return Err(Error::Damaged("a blob's place")),
    };
    Ok((place, number(length, "a blob's length")?))
}

fn kept(root: Root, value: &[u8]) -> Result<Kept, Error> {
    let (numbers, charged) = value.split_at_checked(16).ok_or(Error::Damaged("a root"))?;
    let (until, bytes) = numbers.split_at(8);
    let (until, bytes) = (number(until, "a root")?, number(bytes, "a root")?);
    let charged = match charged {
        [] => root.owner,
        key => Owner(key.try_into().map_err(|_| Error::Damaged("a root"))?),
    };
    Ok(Kept { until: (until != FOR_EVER).then_some(until), bytes, charged })
}

impl Place {
    /// Whether there is a file, whole.
    pub fn is_file(self) -> bool {
        matches!(self, Self::File | Self::Unsynced)
    }
}

impl Change<'_> {
    pub fn put_blob(&mut self, hash: BlobHash, place: Place, length: u64) {
        let mut value = [0; 9];
        value[0] = match place {
            Place::Small => 0,
            Place::File => 1,
            Place::Expected => 2,
            Place::Unsynced => 3,
        };
        value[1..].copy_from_slice(&length.to_be_bytes());
        self.batch.insert(&self.index.blobs, hash.0, value);
    }

    pub fn put_small(&mut self, hash: BlobHash, bytes: Vec<u8>) {
        self.batch.insert(&self.index.small, hash.0, bytes);
    }

    pub fn remove_blob(&mut self, hash: BlobHash, place: Place) {
        self.batch.remove(&self.index.blobs, hash.0);
        if place == Place::Small {
            self.batch.remove(&self.index.small, hash.0);
        }
    }

    pub fn put_root(&mut self, root: Root, kept: Kept) {
        let mut value = [kept.until.unwrap_or(FOR_EVER).to_be_bytes(), kept.bytes.to_be_bytes()].concat();
        if kept.charged != root.owner {
            value.extend_from_slice(&kept.charged.0);
        }
        self.batch.insert(&self.index.roots, root.key(), value);
    }

    pub fn put_stamp(&mut self, stamp: [u8; 32], object: ObjectId) {
        self.batch.insert(&self.index.stamps, stamp, object.0);
    }

    pub fn remove_stamp(&mut self, stamp: fjall::Slice) {
        self.batch.remove(&self.index.stamps, stamp);
    }

    pub fn remove_root(&mut self, root: Root) {
        self.batch.remove(&self.index.roots, root.key());
    }

    pub fn put_edge(&mut self, root: Root, hash: BlobHash, length: u64, shown: bool) {
        self.batch.insert(&self.index.edges, [&root.key()[..], &hash.0].concat(), length.to_be_bytes());
        let unshown: &[u8] = if shown { &[] } else { &[0] };
        self.batch.insert(&self.index.held, [&hash.0[..], &root.key()].concat(), unshown);
    }

    /// Notes that a blob which a root keeps was shown.
    pub fn show(&mut self, root: Root, hash: BlobHash) {
        self.batch.insert(&self.index.held, [&hash.0[..], &root.key()].concat(), []);
    }

    pub fn remove_edge(&mut self, root: Root, hash: BlobHash) {
        self.batch.remove(&self.index.edges, [&root.key()[..], &hash.0].concat());
        self.batch.remove(&self.index.held, [&hash.0[..], &root.key()].concat());
    }

    /// Returns when the disk has it.
    pub fn commit(self) -> Result<(), Error> {
        Ok(self.batch.commit()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_says_who_is_charged_and_one_of_which_nothing_is_said_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path()).unwrap();
        let root = Root { object: ObjectId([1; 32]), owner: Owner([2; 32]) };
        let said = |charged| Some(Kept { until: Some(7), bytes: 9, charged });
        let mut change = index.change();
        change.batch.insert(&index.roots, root.key(), [7_u64.to_be_bytes(), 9_u64.to_be_bytes()].concat());
        change.commit().unwrap();
        assert_eq!(index.root(root).unwrap(), said(root.owner));
        for charged in [Owner([3; 32]), root.owner] {
            let mut change = index.change();
            change.put_root(root, said(charged).unwrap());
            change.commit().unwrap();
            assert_eq!(index.root(root).unwrap(), said(charged));
            assert_eq!(index.roots().collect::<Result<Vec<_>, _>>().unwrap(), [(root, said(charged).unwrap())]);
        }
        for wrong in [15, 17, 47, 49] {
            assert!(kept(root, &vec![0; wrong]).is_err(), "{wrong}");
        }
    }
}

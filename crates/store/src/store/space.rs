//! How much may be kept, and for whom: what was promised once must fit for ever.
//!
//! Room is set aside before a byte is taken. The sum of what is kept, what is expected and what is being written stays below
//! the store's limit, of what each key is charged for below its quota, and the disk's free bytes above the margin even if all that is
//! set aside is written. Keys cost nothing, so that quotas bind no stranger: for all of them together the store is filled up to a mark
//! below its limit, and no further.

use crate::{BlobHash, Error, Owner};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What the store may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in all.
    pub total: u64,
    /// Bytes that each key is charged for at most, but the node's own.
    pub owner: u64,
    /// Bytes up to which the store is filled for those who ask and are no registered nodes. What is above is left for these, which
    /// make lost pieces anew, and for what the node itself fetches and keeps.
    pub strangers: u64,
    /// Bytes of the disk that are left free, for the index to move about and for others on the machine: never more than a quarter
    /// of the disk.
    pub margin: u64,
}

impl Default for Limits {
    /// As much as fits, with 1 GiB left free, or a quarter of a disk of less than 4 GiB.
    fn default() -> Self {
        Self { total: u64::MAX, owner: u64::MAX, strangers: u64::MAX, margin: 1 << 30 }
    }
}

/// Bytes that are charged for each object that is kept for others, beside its blobs: it is listed, and watched over for as long.
const OBJECT: u64 = 16 << 10;

/// Bytes that keeping an object takes beside its blobs.
pub(super) fn overhead(owner: Owner) -> u64 {
    if is_own(owner) { 0 } else { OBJECT }
}

/// Whether something is kept for the node alone, or is on its way to it.
fn is_own(owner: Owner) -> bool {
    [Owner::LOCAL, Owner::TRANSIT].contains(&owner)
}

/// Who asks to have something kept, and is charged for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payer {
    /// His key.
    pub key: Owner,
    /// Whether he is no registered node.
    pub stranger: bool,
}

#[derive(Default)]
struct Used {
    /// Bytes of blobs that are kept or expected.
    kept: u64,
    /// Bytes that are charged for roots, by who is charged.
    owners: HashMap<Owner, u64>,
    /// Bytes set aside for what is being written, in all and by who is charged.
    reserved: u64,
    reserving: HashMap<Owner, u64>,
    /// Bytes set aside or expected that the disk does not hold yet, and how many of them are of which expected blob.
    unwritten: u64,
    expected: HashMap<BlobHash, u64>,
}

impl Used {
    /// Bytes that a key may be charged for still.
    fn left(&self, owner: Owner, limit: u64) -> u64 {
        if is_own(owner) {
            return u64::MAX;
        }
        let [has, asks] = [&self.owners, &self.reserving].map(|of| of.get(&owner).copied().unwrap_or(0));
        limit.saturating_sub(has + asks)
    }

    fn allow(&self, owner: Owner, bytes: u64, limit: u64) -> Result<(), Error> {
        let free = self.left(owner, limit);
        if bytes > free { Err(Error::Quota { owner, needed: bytes, free, limit }) } else { Ok(()) }
    }
}

pub(crate) struct Space {
    folder: PathBuf,
    limits: Limits,
    used: Mutex<Used>,
    /// Free bytes of a disk that is only imagined.
    #[cfg(test)]
    pub disk: Mutex<Option<u64>>,
}

impl Space {
    pub fn new(folder: &Path, limits: Limits) -> Self {
        Self {
            folder: folder.to_owned(),
            limits,
            used: Mutex::default(),
            #[cfg(test)]
            disk: Mutex::default(),
        }
    }

    /// Where the store is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Free bytes of the disk, and how many of them are left free.
    fn measure(&self) -> io::Result<(u64, u64)> {
        let disk = rustix::fs::statvfs(&self.folder)?;
        let [all, free] = [disk.f_blocks, disk.f_bavail].map(|blocks| blocks.saturating_mul(disk.f_frsize));
        #[cfg(test)]
        let free = self.disk.lock().unwrap_or(free);
        Ok((free, self.limits.margin.min(all / 4)))
    }

    /// Bytes kept, set aside, and what could be set aside still.
    pub fn figures(&self) -> io::Result<(u64, u64, u64)> {
        let (free, margin) = self.measure()?;
        let used = self.used.lock();
        let disk = free.saturating_sub(margin).saturating_sub(used.unwritten);
        let taken = used.kept + used.reserved;
        Ok((used.kept, used.reserved, disk.min(self.limits.total.saturating_sub(taken))))
    }

    /// Bytes that could be promised to somebody.
    pub fn room(&self, payer: Payer) -> io::Result<u64> {
        let (kept, reserved, free) = self.figures()?;
        let mark = if payer.stranger { self.limits.strangers.saturating_sub(kept + reserved) } else { u64::MAX };
        Ok(free.min(mark).min(self.used.lock().left(payer.key, self.limits.owner)))
    }

    /// Bytes that are charged for roots, by who is charged.
    pub fn owners(&self) -> HashMap<Owner, u64> {
        self.used.lock().owners.clone()
    }

    fn take(&self, payer: Payer, bytes: u64) -> Result<(), Error> {
        let (free, margin) = self.measure()?;
        let mut used = self.used.lock();
        let taken = used.kept + used.reserved;
        let limit = self.limits.total;
        let room = limit.saturating_sub(taken);
        if bytes > room {
            return Err(Error::StoreFull { needed: bytes, free: room, limit });
        }
        let limit = self.limits.strangers;
        let room = limit.saturating_sub(taken);
        if payer.stranger && bytes > room {
            return Err(Error::Strangers { needed: bytes, free: room, limit });
        }
        used.allow(payer.key, bytes, self.limits.owner)?;
        let room = free.saturating_sub(margin).saturating_sub(used.unwritten);
        if bytes > room {
            return Err(Error::DiskFull { needed: bytes, free: room, margin });
        }
        used.reserved += bytes;
        *used.reserving.entry(payer.key).or_default() += bytes;
        used.unwritten += bytes;
        Ok(())
    }

    /// Notes that `kept` bytes more are kept for good or, if negative, fewer.
    pub fn keep(&self, kept: i64) {
        let mut used = self.used.lock();
        used.kept = used.kept.saturating_add_signed(kept);
    }

    /// Notes that the disk is still to hold `bytes` more of an expected blob.
    pub fn expect(&self, hash: BlobHash, bytes: u64) {
        let mut used = self.used.lock();
        let old = used.expected.insert(hash, bytes).unwrap_or(0);
        used.unwritten = used.unwritten - old + bytes;
    }

    /// Notes that a blob is not expected any more.
    pub fn settle(&self, hash: BlobHash) {
        let mut used = self.used.lock();
        used.unwritten -= used.expected.remove(&hash).unwrap_or(0);
    }

    /// Checks that somebody may be charged for `bytes` more which are here already. Above the mark strangers get nothing of that either:
    /// registered nodes may have brought it.
    pub fn allow(&self, payer: Payer, bytes: u64) -> Result<(), Error> {
        let (used, limit) = (self.used.lock(), self.limits.strangers);
        if payer.stranger && bytes > 0 && used.kept + used.reserved > limit {
            return Err(Error::Strangers { needed: bytes, free: 0, limit });
        }
        used.allow(payer.key, bytes, self.limits.owner)
    }

    /// Notes who is charged for how much of a root from now on, and was before.
    pub fn charge(&self, before: Option<(Owner, u64)>, now: Option<(Owner, u64)>) {
        let mut used = self.used.lock();
        if let Some((owner, bytes)) = now {
            *used.owners.entry(owner).or_default() += bytes;
        }
        if let Some((owner, bytes)) = before {
            let charged = used.owners.entry(owner).or_default();
            *charged = charged.saturating_sub(bytes);
            if *charged == 0 {
                used.owners.remove(&owner);
            }
        }
    }
}

/// Room that is set aside until this is dropped.
pub(crate) struct Reservation {
    space: Arc<Space>,
    payer: Payer,
    bytes: u64,
    unwritten: u64,
}

impl Reservation {
    pub fn new(space: &Arc<Space>, payer: Payer) -> Self {
        Self { space: space.clone(), payer, bytes: 0, unwritten: 0 }
    }

    /// Sets more room aside.
    pub fn grow(&mut self, bytes: u64) -> Result<(), Error> {
        self.space.take(self.payer, bytes)?;
        self.bytes += bytes;
        self.unwritten += bytes;
        Ok(())
    }

    /// Sets room aside for `bytes` more in writing, if what is left does not suffice: at least `step` at once.
    pub fn need(&mut self, bytes: u64, step: u64) -> Result<(), Error> {
        if bytes <= self.unwritten {
            return Ok(());
        }
        let missing = bytes - self.unwritten;
        // Near the limit a whole step may be too much.
        self.grow(missing.max(step)).or_else(|_| self.grow(missing))
    }

    /// Notes that the disk holds `bytes` of it by now.
    pub fn wrote(&mut self, bytes: u64) {
        let bytes = bytes.min(self.unwritten);
        self.unwritten -= bytes;
        self.space.used.lock().unwritten -= bytes;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut used = self.space.used.lock();
        used.reserved -= self.bytes;
        used.unwritten -= self.unwritten;
        let owned = used.reserving.entry(self.payer.key).or_default();
        *owned -= self.bytes;
        if *owned == 0 {
            used.reserving.remove(&self.payer.key);
        }
    }
}

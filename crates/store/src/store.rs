//! A node's disk.
//!
//! ```text
//! index/         what is here, who keeps it, and blobs of at most 64 KiB
//! blobs/ab/      longer blobs under their hash, each with its hash tree
//! partial/       blobs that are expected, as far as they have come
//! temporary/     blobs whose hash is not known yet; emptied at the start
//! unfinished/    files that are being put, as far as they have come; a put that was broken off goes on with them
//! silent         pieces that no other node shows, and since when; written by whoever watches over them
//! ```
//!
//! Nobody but the owner of the folder can look into it: what is kept here need not be sealed, whatever the mode of the file that it
//! was.
//!
//! **Whatever the index says is on the disk.** A blob is written beside its place, synced, moved there, the folder synced,
//! and only then does the index take it in, in the same batch as the reason to keep it. A crash in between leaves a file that
//! the index does not know, which the next start removes. The other way round, the index forgets a blob before its file goes.
//!
//! What is here only on its way to other nodes or to whoever reads it is not synced, and the index says so: the next start reads it,
//! and expects again what it does not find as it was. Whoever is promised such a blob is promised it on the disk.
//!
//! **A blob is kept as long as a [`Root`] keeps it**: somebody's pin, which has no end, or a promise until some time. Objects
//! share blobs; the last root that goes takes them along. [`Store::collect`] ends what has run out. It reads no clock.

mod blob;
mod index;
mod partial;
mod recovery;
mod space;
#[cfg(test)]
mod tests;
mod unfinished;

pub use blob::BlobReader;
pub(crate) use blob::{BlobWriter, Source, Staged, WINDOW};
pub use index::{Kept, Root};
pub use partial::Partial;
pub(crate) use partial::{chunks, proves};
pub use space::Limits;
pub(crate) use space::{Payer, Reservation};
pub(crate) use unfinished::Written;

use crate::{BlobHash, Error, ObjectId, Owner};
use bao_tree::ChunkRanges;
use blob::{StagedBody, cost, paths};
use index::{Index, Place};
use parking_lot::Mutex;
use space::{Space, overhead};
use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use stoa_base::create_private;
use unfinished::Unfinished;

/// A node's disk. Blocking; a clone is the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    blobs: PathBuf,
    partial: PathBuf,
    temporary: PathBuf,
    unfinished: Arc<Unfinished>,
    index: Index,
    /// Locked while what is kept changes: who has it sees no blob go away.
    changing: Mutex<()>,
    space: Arc<Space>,
    found: Found,
    /// Bytes that have gone in and out.
    moved: AtomicU64,
    /// Bytes of them that had not to be written.
    resumed: AtomicU64,
}

/// What a start has found that was not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Files that no blob has: what a write left that was broken off.
    pub leftovers: usize,
    /// Blobs whose files are gone or have another length, or other bytes where the disk may not have had them. They are expected again.
    pub lost: Vec<BlobHash>,
}

/// How full the store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Objects that are kept, each once for everyone who keeps it.
    pub roots: u64,
    /// Blobs that are here.
    pub blobs: u64,
    /// Blobs that are expected.
    pub expected: u64,
    /// Bytes of all blobs, expected ones as well, of files whose put was broken off, and 16 KiB for each object that is kept for
    /// somebody else.
    pub kept: u64,
    /// Files and objects of puts and gets that were broken off, or are under way: they wait for the next try.
    pub unfinished: u64,
    /// Their bytes, which count as kept.
    pub unfinished_bytes: u64,
    /// Bytes set aside for what is being written.
    pub reserved: u64,
    /// Bytes that can be promised still.
    pub free: u64,
    /// Bytes that each key is charged for, which is the owner's or that of whoever asked in his name, with what is charged for each object.
    pub owners: HashMap<Owner, u64>,
}

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

/// A root that is to be, with what it keeps.
pub(crate) struct Claim {
    pub root: Root,
    pub until: Option<u64>,
    pub blobs: Vec<BlobHash>,
    /// Of the file that it was made of.
    pub stamp: Option<[u8; 32]>,
}

/// Creates a folder, if it is not there, that nobody but its owner can look into.
fn private(path: &Path) -> Result<(), Error> {
    create_private(path).map_err(Error::at(path))?;
    let mode = fs::metadata(path).map_err(Error::at(path))?.permissions().mode();
    if mode & 0o077 != 0
        && let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(mode & !0o077))
    {
        // It may be somebody else's, or on a disk that knows no modes.
        tracing::warn!(path = %path.display(), %error, "others on this machine may read what is stored");
    }
    Ok(())
}

fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::at(path))
}

impl Inner {
    fn count(&self, bytes: u64) {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Data and tree of a blob.
    fn files(&self, hash: BlobHash) -> Result<[File; 2], Error> {
        let open = |path: PathBuf| {
            File::open(&path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Error::NotHere(hash),
                _ => Error::at(&path)(error),
            })
        };
        let [data, tree] = paths(&self.blobs, hash);
        Ok([open(data)?, open(tree)?])
    }

    /// Whether a blob is kept for anybody but these.
    fn is_kept_for_others(&self, hash: BlobHash, than: &[Owner]) -> Result<bool, Error> {
        for root in self.index.holders(hash) {
            if !than.contains(&root?.owner) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a blob is here only on its way to somewhere else.
    fn passes(&self, hash: BlobHash) -> Result<bool, Error> {
        self.is_kept_for_others(hash, &[Owner::TRANSIT]).map(|is_kept| !is_kept)
    }

    /// Has the disk take a blob that it may not have yet. It may take long, and others change what is kept meanwhile.
    fn settle(&self, hash: BlobHash) -> Result<(), Error> {
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

    /// Moves the files of a blob to their place, which is durable or not.
    fn install(&self, from: &[PathBuf; 2], to: &[PathBuf; 2], durable: bool) -> Result<(), Error> {
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

impl Store {
    /// Opens the store in a folder, or creates it there, and removes what broken-off writes have left.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read or written, another process has it open, or the index is damaged.
    pub fn open(folder: impl AsRef<Path>, limits: Limits) -> Result<Self, Error> {
        let folder = folder.as_ref();
        private(folder)?;
        let part = |name: &str| {
            let path = folder.join(name);
            private(&path).map(|()| path)
        };
        let [blobs, partial, temporary, unfinished] = ["blobs", "partial", "temporary", "unfinished"].map(part);
        let (blobs, partial, temporary, unfinished) = (blobs?, partial?, temporary?, unfinished?);
        // Whoever made them may have ended before the disk had them.
        [folder, blobs.as_path()].into_iter().try_for_each(sync_folder)?;
        // Whoever has the index has the folder.
        let index = Index::open(&folder.join("index"))?;
        let space = Arc::new(Space::new(folder, limits));
        let mut inner = Inner {
            blobs,
            partial,
            temporary,
            unfinished: Arc::new(Unfinished::new(unfinished, &space)),
            index,
            changing: Mutex::default(),
            space,
            found: Found::default(),
            moved: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
        };
        inner.found = inner.recover()?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Where it is.
    pub(crate) fn place(&self) -> &Path {
        self.inner.space.folder()
    }

    /// What the start has found.
    pub fn found(&self) -> &Found {
        &self.inner.found
    }

    /// How full the store is.
    ///
    /// # Errors
    ///
    /// If the disk cannot be asked.
    pub fn status(&self) -> Result<Status, Error> {
        let (kept, reserved, free) = self.inner.space.figures()?;
        let (unfinished, bytes) = self.inner.unfinished.figures();
        let owners = self.inner.space.owners();
        let unfinished_bytes = bytes + owners.get(&Owner::TRANSIT).copied().unwrap_or(0);
        let mut status = Status { kept, unfinished, unfinished_bytes, reserved, free, owners, ..Status::default() };
        for blob in self.inner.index.blobs() {
            match blob?.1 {
                Place::Expected => status.expected += 1,
                _ => status.blobs += 1,
            }
        }
        for root in self.inner.index.roots() {
            status.roots += 1;
            status.unfinished += u64::from(root?.0.owner == Owner::TRANSIT);
        }
        Ok(status)
    }

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

    /// Whether the whole blob is here.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub fn has(&self, hash: BlobHash) -> Result<bool, Error> {
        Ok(self.inner.index.blob(hash)?.is_some_and(|(place, _)| place != Place::Expected))
    }

    /// The same, and that the disk has it.
    pub(crate) fn has_on_disk(&self, hash: BlobHash) -> Result<bool, Error> {
        self.inner.settle(hash)?;
        self.has(hash)
    }

    /// Bytes that could be promised to somebody.
    pub(crate) fn room(&self, payer: Payer) -> Result<u64, Error> {
        Ok(self.inner.space.room(payer)?)
    }

    /// Whether others may have a blob: it is kept for somebody else than the node, and is not only on its way to it.
    pub(crate) fn is_open(&self, hash: BlobHash) -> Result<bool, Error> {
        self.inner.is_kept_for_others(hash, &[Owner::LOCAL, Owner::TRANSIT])
    }

    /// Opens a blob.
    ///
    /// # Errors
    ///
    /// [`Error::NotHere`] if it is not here, whole; or the disk refuses.
    pub fn blob(&self, hash: BlobHash) -> Result<BlobReader, Error> {
        let index = &self.inner.index;
        // A small one comes and goes with what the index says of it, which so needs not be asked as well.
        if let Some(bytes) = index.small(hash)? {
            return BlobReader::new(hash, bytes.len() as u64, Source::Memory(bytes));
        }
        let Some((place, len)) = index.blob(hash)? else { return Err(Error::NotHere(hash)) };
        if !place.is_file() {
            return Err(Error::NotHere(hash));
        }
        BlobReader::new(hash, len, Source::Files(self.inner.files(hash)?))
    }

    /// Writes a range of a blob, rounded to 16 KiB, with the hashes that prove it to whoever knows the blob's hash and
    /// length: the encoding of bao over groups of 16 KiB, without the length, as iroh's blobs have it.
    ///
    /// # Errors
    ///
    /// If the blob is not here or damaged, or `out` refuses.
    pub fn encode(&self, hash: BlobHash, range: Range<u64>, out: impl io::Write) -> Result<(), Error> {
        self.encode_chunks(hash, &partial::chunks(&range), out)
    }

    /// The same for any ranges, of which parts may lie behind the blob's end.
    pub(crate) fn encode_chunks(&self, hash: BlobHash, ranges: &ChunkRanges, out: impl io::Write) -> Result<(), Error> {
        let blob = self.blob(hash)?;
        partial::encode(hash, blob.len(), blob.source(), ranges, out)
    }

    /// Promises to keep blobs for an object until `until` (seconds since 1970; `None`: for ever), whether they are here
    /// already or not. The manifest of the object should be among them. The room is set aside when this returns: whatever
    /// happens on this disk, they will fit.
    ///
    /// A root that is there already keeps what it kept as well, and until the later of both times. Its owner is charged.
    ///
    /// # Errors
    ///
    /// If there is no room, or too little for this owner.
    pub fn promise(&self, root: Root, until: Option<u64>, blobs: &[(BlobHash, u64)]) -> Result<(), Error> {
        self.promise_by(Payer { key: root.owner, stranger: false }, root, until, blobs)
    }

    /// The same at the charge of whoever asks. Of a root that is there already he is charged for all if he asks for more than it keeps, or
    /// is its owner: nobody has others keep anything, or keep it for longer, at somebody else's charge.
    pub(crate) fn promise_by(
        &self,
        payer: Payer,
        root: Root,
        until: Option<u64>,
        blobs: &[(BlobHash, u64)],
    ) -> Result<(), Error> {
        let unsynced = self.take_on(payer, root, until, blobs)?;
        // What is here already may have been here only on its way.
        unsynced.into_iter().filter(|_| root.owner != Owner::TRANSIT).try_for_each(|hash| self.inner.settle(hash))
    }

    /// Promises blobs; which of them are here already, and not on the disk.
    fn take_on(
        &self,
        payer: Payer,
        root: Root,
        until: Option<u64>,
        blobs: &[(BlobHash, u64)],
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
                change.put_edge(root, hash, len);
                owned += cost(len);
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

    /// Keeps what a root keeps until the later of when it does anyway and this; whether there is such a root still. Whoever asks is charged
    /// as he is for a [promise](Self::promise_by).
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

    /// Opens a promised blob to be filled; `None` if it is here.
    ///
    /// # Errors
    ///
    /// [`Error::NotHere`] if it was never promised.
    pub fn partial(&self, hash: BlobHash) -> Result<Option<Partial>, Error> {
        match self.inner.index.blob(hash)? {
            None => Err(Error::NotHere(hash)),
            Some((Place::Expected, len)) => Partial::open(self.inner.clone(), hash, len).map(Some),
            Some(_) => Ok(None),
        }
    }

    /// Keeps the encoded manifest of an object under a root of it.
    ///
    /// # Errors
    ///
    /// If the bytes are not what the id stands for, or there is no room.
    pub fn keep_manifest(&self, root: Root, until: Option<u64>, bytes: &[u8]) -> Result<(), Error> {
        crate::Manifest::verify(root.object, bytes)?;
        let mut room = self.reservation(root.owner);
        let mut writer = self.writer();
        writer.push(bytes, &crate::tree::Run::new(0, bytes), &mut room)?;
        let staged = writer.finish()?;
        let blobs = vec![staged.hash];
        self.commit(vec![staged], &[Claim { root, until, blobs, stamp: None }], true)
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

    /// Ends the promises that have run out by `now` (seconds since 1970), and removes what nobody keeps any more, and what of a put that
    /// was broken off nobody has gone on with for a week.
    ///
    /// # Errors
    ///
    /// If the index cannot be read or written.
    pub fn collect(&self, now: u64) -> Result<Collected, Error> {
        self.inner.unfinished.collect(now);
        let (index, _changing) = (&self.inner.index, self.inner.changing.lock());
        let over = |kept: &Kept| kept.until.is_some_and(|until| until <= now);
        let all = index.roots().collect::<Result<Vec<_>, _>>()?;
        let over: Vec<_> = all.into_iter().filter(|(_, kept)| over(kept)).map(|(root, _)| root).collect();
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

    /// Drops what puts and gets that were broken off have left for the next try, and what those that are under way have brought; how
    /// many files and objects it was.
    ///
    /// # Errors
    ///
    /// If the index cannot be read or written.
    pub fn drop_unfinished(&self) -> Result<u64, Error> {
        let files = self.inner.unfinished.clear();
        let (index, _changing) = (&self.inner.index, self.inner.changing.lock());
        let all = index.roots().collect::<Result<Vec<_>, _>>()?;
        let roots: Vec<_> = all.into_iter().map(|(root, _)| root).filter(|root| root.owner == Owner::TRANSIT).collect();
        Ok(files + self.inner.end(index, &roots)?.roots)
    }

    /// Bytes that have gone in and out since the store was opened: content that was put and got, and parts of blobs that came from
    /// other nodes or went to them, and what was scrubbed. Tells how far long work is.
    pub fn moved(&self) -> u64 {
        self.inner.moved.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, bytes: usize) {
        self.inner.count(bytes as u64);
    }

    /// Bytes that puts and gets have found written by an earlier try that was broken off, since the store was opened: they were
    /// compared, and not written again.
    pub fn resumed(&self) -> u64 {
        self.inner.resumed.load(Ordering::Relaxed)
    }

    pub(crate) fn count_resumed(&self, bytes: u64) {
        self.inner.resumed.fetch_add(bytes, Ordering::Relaxed);
    }

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
            let is_right = match place {
                Place::Expected => continue,
                // All of it is compared with its hash.
                Place::Small => self.blob(hash).inspect(|blob| self.count(blob.len() as usize)).is_ok(),
                Place::File | Place::Unsynced => self.inner.reread(hash, |bytes| self.count(bytes)).unwrap_or(false),
            };
            if is_right {
                continue;
            }
            let (index, _changing) = (&self.inner.index, self.inner.changing.lock());
            // It may have been let go of meanwhile.
            if let Some((place, len)) = index.blob(hash)?.filter(|(place, _)| *place != Place::Expected) {
                self.inner.lose(index, hash, place, len)?;
                damaged.push(hash);
            }
        }
        Ok(damaged)
    }

    /// What was made of a file, by how it was.
    pub(crate) fn stamped(&self, stamp: &[u8; 32]) -> Result<Option<ObjectId>, Error> {
        self.inner.index.stamp(stamp)
    }

    /// Sets no room aside yet.
    pub(crate) fn reservation(&self, owner: Owner) -> Reservation {
        Reservation::new(&self.inner.space, Payer { key: owner, stranger: false })
    }

    /// A blob whose hash is known at its end.
    pub(crate) fn writer(&self) -> BlobWriter {
        self.writer_of(None)
    }

    /// The same of a file that is put as it is, by the hash of what tells it: goes on with what an earlier try has left of it.
    pub(crate) fn writer_of(&self, file: Option<[u8; 32]>) -> BlobWriter {
        let earlier = file.map(|file| (self.inner.unfinished.clone(), BlobHash(file)));
        BlobWriter::new(&self.inner.temporary, earlier)
    }

    /// Takes blobs in, each with the roots that keep it. If they are to be durable, the disk has all that the roots keep when this
    /// returns, or none of them is there.
    pub(crate) fn commit(&self, staged: Vec<Staged>, claims: &[Claim], durable: bool) -> Result<(), Error> {
        let unsynced = self.take_in(staged, claims, durable)?;
        unsynced.into_iter().filter(|_| durable).try_for_each(|hash| self.inner.settle(hash))
    }

    /// Takes blobs in; which of those that are kept were here already, and not on the disk.
    fn take_in(&self, staged: Vec<Staged>, claims: &[Claim], durable: bool) -> Result<Vec<BlobHash>, Error> {
        staged.iter().filter(|_| durable).try_for_each(Staged::sync)?;
        let (index, _changing) = (&self.inner.index, self.inner.changing.lock());
        let mut change = index.change();
        let (mut kept, mut arrived, mut unsynced, mut lens) = (0, Vec::new(), Vec::new(), HashMap::new());
        for blob in staged {
            let (hash, len) = (blob.hash, blob.len);
            let known = match lens.insert(hash, len) {
                Some(_) => continue,
                None => index.blob(hash)?,
            };
            let mut durable = durable;
            match known {
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
                None => kept += cost(len),
            }
            let place = match blob.body {
                StagedBody::Memory(bytes) => {
                    change.put_small(hash, bytes);
                    Place::Small
                }
                StagedBody::Files(files) => {
                    let from = [&files[0].1.path, &files[1].1.path].map(Clone::clone);
                    self.inner.install(&from, &paths(&self.inner.blobs, hash), durable)?;
                    if durable { Place::File } else { Place::Unsynced }
                }
            };
            change.put_blob(hash, place, len);
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
                if edges.insert((*root, *hash)) && !index.has_edge(*root, *hash)? {
                    change.put_edge(*root, *hash, len);
                    owned += cost(len);
                }
            }
            let old = match roots.get(root) {
                Some(old) => Some(*old),
                None => index.root(*root)?,
            };
            kept += if old.is_none() { overhead(root.owner) } else { 0 };
            let new = later(*root, old, root.owner, *until, owned);
            change.put_root(*root, new);
            roots.insert(*root, new);
            charges.push((old.map(|old| old.charge(*root)), new.charge(*root)));
            if let Some(stamp) = stamp {
                change.put_stamp(*stamp, root.object);
            }
        }
        change.commit()?;
        self.inner.space.keep(kept as i64);
        for hash in arrived {
            self.inner.space.settle(hash);
            partial::discard(&self.inner.partial, hash);
        }
        charges.into_iter().for_each(|(before, now)| self.inner.space.charge(before, Some(now)));
        Ok(unsynced)
    }
}

/// A root that keeps `more` bytes than before, until the later of both times, as somebody asks. He is charged for it unless it is
/// somebody else's and kept all that anyway.
fn later(root: Root, old: Option<Kept>, asks: Owner, until: Option<u64>, more: u64) -> Kept {
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
    /// Ends roots, then removes the blobs that no other keeps.
    fn end(&self, index: &Index, roots: &[Root]) -> Result<Collected, Error> {
        let gone: HashSet<_> = roots.iter().copied().collect();
        let (mut change, mut blobs, mut charges) = (index.change(), HashMap::new(), Vec::new());
        let mut overheads = 0;
        for root in &gone {
            for edge in index.edges(*root) {
                let (hash, len) = edge?;
                change.remove_edge(*root, hash);
                blobs.insert(hash, len);
            }
            charges.push(index.root(*root)?.map(|kept| kept.charge(*root)));
            overheads += overhead(root.owner);
            change.remove_root(*root);
        }
        let mut collected = Collected { roots: gone.len() as u64, ..Collected::default() };
        let mut files = Vec::new();
        for (hash, len) in blobs {
            let others = index.holders(hash).map(|holder| holder.map(|root| !gone.contains(&root)));
            if others.collect::<Result<Vec<_>, _>>()?.contains(&true) {
                continue;
            }
            let Some((place, _)) = index.blob(hash)? else { continue };
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

    fn remove_files(&self, hash: BlobHash, place: Place) {
        match place {
            Place::Small => {}
            // If it fails, the next start does it.
            Place::File | Place::Unsynced => {
                paths(&self.blobs, hash).iter().for_each(|path| drop(fs::remove_file(path)))
            }
            Place::Expected => partial::discard(&self.partial, hash),
        }
    }
}

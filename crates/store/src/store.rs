//! A node's disk.
//!
//! ```text
//! index/         what is here, who keeps it, and blobs of at most 64 KiB
//! blobs/ab/      longer blobs under their hash, each with its hash tree
//! partial/       blobs that are expected, as far as they have come
//! temporary/     blobs whose hash is not known yet; emptied at the start
//! damaged/       what was found damaged and is the node's own, under the hash that it should have: until it comes again or is let go of
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
//!
//! Here is how a store is opened and read; in `roots` who keeps what, at whose charge; in `commit` how blobs come in; in
//! `partial` those that come in parts; in `recovery` what is damaged; in `space` how much there is room for.

mod blob;
mod commit;
mod index;
mod partial;
mod recovery;
mod roots;
mod space;
#[cfg(test)]
mod tests;
mod unfinished;

pub use blob::BlobReader;
pub(crate) use blob::{BlobWriter, Source, Staged, WINDOW};
pub(crate) use commit::Claim;
pub use index::{Kept, Root, SMALL};
pub use partial::Partial;
pub(crate) use partial::{chunks, proves};
pub use roots::Collected;
pub use space::Limits;
pub(crate) use space::{Payer, Reservation};
pub(crate) use unfinished::Written;

use crate::{BlobHash, Error, ObjectId, Owner};
use bao_tree::ChunkRanges;
use blob::paths;
use index::{Index, Place};
use parking_lot::Mutex;
use space::Space;
use std::{
    collections::{BTreeSet, HashMap},
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
    damaged: PathBuf,
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
    /// Pieces that are not read, since their hashes in the manifest are wrong.
    wrong: Mutex<HashMap<ObjectId, BTreeSet<usize>>>,
}

/// What a start has found that was not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Files that no blob has: what a write left that was broken off.
    pub leftovers: usize,
    /// Blobs whose files are gone or have another length, or other bytes where the disk may not have had them. They are expected again.
    pub lost: Vec<BlobHash>,
}

/// What a [scrub](Store::scrub) has found.
#[derive(Debug, Default)]
pub struct Scrubbed {
    /// Blobs that are damaged, and those that are [lost](Store::lost) since an earlier one.
    pub damaged: Vec<BlobHash>,
    /// Blobs that cannot be read, and why.
    pub unread: Vec<(BlobHash, Error)>,
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
        let [blobs, partial, temporary] = ["blobs", "partial", "temporary"].map(part);
        let (blobs, partial, temporary) = (blobs?, partial?, temporary?);
        let (damaged, unfinished) = (part("damaged")?, part("unfinished")?);
        // Whoever made them may have ended before the disk had them.
        [folder, blobs.as_path()].into_iter().try_for_each(sync_folder)?;
        // Whoever has the index has the folder.
        let index = Index::open(&folder.join("index"))?;
        let space = Arc::new(Space::new(folder, limits));
        let mut inner = Inner {
            blobs,
            partial,
            temporary,
            damaged,
            unfinished: Arc::new(Unfinished::new(unfinished, &space)),
            index,
            changing: Mutex::default(),
            space,
            found: Found::default(),
            moved: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
            wrong: Mutex::default(),
        };
        inner.found = inner.recover()?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Where it is.
    pub fn place(&self) -> &Path {
        self.inner.space.folder()
    }

    /// What the start has found.
    pub fn found(&self) -> &Found {
        &self.inner.found
    }

    /// Pieces of an object that were found to be wrong.
    pub(crate) fn wrong(&self, id: ObjectId) -> BTreeSet<usize> {
        self.inner.wrong.lock().get(&id).cloned().unwrap_or_default()
    }

    /// Remembers, until the store is closed, pieces that are not the object's, whatever its manifest says.
    pub(crate) fn pass_over(&self, id: ObjectId, pieces: &[usize]) {
        self.inner.wrong.lock().entry(id).or_default().extend(pieces);
    }

    /// Forgets such pieces of all objects but these.
    pub(crate) fn pass_over_only(&self, is_kept: impl Fn(&ObjectId) -> bool) {
        self.inner.wrong.lock().retain(|id, _| is_kept(id));
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

    /// Opens a promised blob to be filled; `None` if it is here.
    ///
    /// # Errors
    ///
    /// [`Error::NotHere`] if it was never promised.
    pub fn partial(&self, hash: BlobHash) -> Result<Option<Partial>, Error> {
        Partial::open(self.inner.clone(), hash)
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
    /// compared, or are of files that have not changed since, and were not written again.
    pub fn resumed(&self) -> u64 {
        self.inner.resumed.load(Ordering::Relaxed)
    }

    pub(crate) fn count_resumed(&self, bytes: u64) {
        self.inner.resumed.fetch_add(bytes, Ordering::Relaxed);
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

//! A blob that comes in parts, from anybody, in any order.

use super::{
    Inner,
    blob::{Source, paths},
    index::{Place, SMALL},
};
use crate::{
    BlobHash, Error,
    tree::{BLOCK, GROUP, PAIR, Part, decode, outboard_len},
};
use bao_tree::{
    BaoTree, ChunkNum, ChunkRanges,
    io::{
        outboard::{PostOrderMemOutboard, PostOrderOutboard},
        sync::{encode_ranges_validated, valid_ranges},
    },
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    ops::Range,
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Bytes after which the disk is told to take what has come.
const SYNC: u64 = 32 << 20;

/// Bytes that one answer brings: many, for each costs a question.
const WINDOW: usize = 64 * GROUP;

/// A blob that is expected. What comes is checked before it touches the disk, and what was there when the process ended is
/// checked when this is opened: a part is either known to be right or missing.
pub struct Partial {
    inner: Arc<Inner>,
    hash: BlobHash,
    len: u64,
    body: Body,
    /// Which windows are here.
    here: Mutex<Vec<bool>>,
    /// Bytes that came since the disk was last told to take what is there.
    unsynced: AtomicU64,
}

enum Body {
    Memory(Mutex<Vec<u8>>),
    Files([File; 2]),
}

/// Chunks of a range of bytes. Of a blob without bytes there is one, for nobody can be asked for none.
pub(crate) fn chunks(range: &Range<u64>) -> ChunkRanges {
    let first = ChunkNum::full_chunks(range.start);
    ChunkRanges::from(first..ChunkNum::chunks(range.end).max(first + 1))
}

/// Where the parts of a blob stand.
pub(super) fn partial_paths(folder: &Path, hash: BlobHash) -> [PathBuf; 2] {
    let name = hash.to_string();
    [folder.join(&name), folder.join(name + ".tree")]
}

/// Makes the files of an expected blob, with all the room that they will take where the file system can say so.
pub(super) fn allocate(folder: &Path, hash: BlobHash, len: u64) -> Result<(), Error> {
    if len <= SMALL as u64 {
        return Ok(());
    }
    for (path, len) in partial_paths(folder, hash).into_iter().zip([len, outboard_len(len)]) {
        let open = || {
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            #[cfg(target_os = "linux")]
            match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len) {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
                Err(error) => return Err(error.into()),
            }
            file.set_len(len)
        };
        open().map_err(Error::at(&path))?;
    }
    Ok(())
}

impl Body {
    /// Makes what is not there yet.
    fn open(folder: &Path, hash: BlobHash, len: u64) -> Result<Self, Error> {
        if len <= SMALL as u64 {
            return Ok(Self::Memory(Mutex::default()));
        }
        allocate(folder, hash, len)?;
        let open = |path: &PathBuf| OpenOptions::new().read(true).write(true).open(path).map_err(Error::at(path));
        let [data, tree] = partial_paths(folder, hash);
        Ok(Self::Files([open(&data)?, open(&tree)?]))
    }
}

impl Partial {
    pub(super) fn open(inner: Arc<Inner>, hash: BlobHash) -> Result<Option<Self>, Error> {
        let (len, body) = {
            // If it were let go of meanwhile, the files that are made here would stay, and be counted nowhere.
            let (index, _changing) = (&inner.index, inner.changing.lock());
            match index.blob(hash)? {
                None => return Err(Error::NotHere(hash)),
                Some((Place::Expected, len)) => (len, Body::open(&inner.partial, hash, len)?),
                Some(_) => return Ok(None),
            }
        };
        let mut valid = ChunkRanges::empty();
        if let Body::Files([data, tree]) = &body {
            let outboard = PostOrderOutboard { root: hash.0.into(), tree: BaoTree::new(len, BLOCK), data: tree };
            for range in valid_ranges(outboard, data, &ChunkRanges::all()) {
                valid |= ChunkRanges::from(range?);
            }
        }
        let windows = len.div_ceil(WINDOW as u64).max(1) as usize;
        let is_here = |window: usize| valid.is_superset(&chunks(&range_of(len, window)));
        let here = Mutex::new((0..windows).map(is_here).collect());
        Ok(Some(Self { inner, hash, len, body, here, unsynced: AtomicU64::new(0) }))
    }

    /// Which blob.
    pub fn hash(&self) -> BlobHash {
        self.hash
    }

    /// Bytes of the whole blob.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the blob has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The ranges that are missing, each of which one answer may bring: at most 1 MiB long.
    pub fn missing(&self) -> Vec<Range<u64>> {
        let here = self.here.lock();
        here.iter().enumerate().filter(|(_, here)| !**here).map(|(number, _)| range_of(self.len, number)).collect()
    }

    /// Bytes that are here.
    pub fn received(&self) -> u64 {
        self.len - self.missing().iter().map(|range| range.end - range.start).sum::<u64>()
    }

    /// Takes one of the [missing](Self::missing) ranges in the encoding that [`Store::encode`](super::Store::encode) gives.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the bytes are not the blob's, too few or too many; nothing of them is kept then.
    pub fn accept(&self, range: Range<u64>, encoded: &[u8]) -> Result<(), Error> {
        let refused = |why: String| Error::Refused { hash: self.hash, why };
        let number = (range.start / WINDOW as u64) as usize;
        if range != range_of(self.len, number) {
            return Err(refused(format!("bytes {} to {} are no part that was asked for", range.start, range.end)));
        }
        let parts = decode(self.hash, self.len, &range, encoded).map_err(refused)?;
        match &self.body {
            Body::Memory(memory) => {
                let mut memory = memory.lock();
                memory.resize(self.len as usize, 0);
                for part in parts {
                    if let Part::Bytes(start, bytes) = part {
                        memory[start as usize..][..bytes.len()].copy_from_slice(bytes);
                    }
                }
            }
            Body::Files([data, tree]) => {
                let mut pairs = BTreeMap::new();
                for part in parts {
                    match part {
                        Part::Bytes(start, bytes) => data.write_all_at(bytes, start)?,
                        Part::Pair(number, pair) => _ = pairs.insert(number, pair),
                    }
                }
                write_pairs(tree, pairs)?;
            }
        }
        self.here.lock()[number] = true;
        let came = range.end - range.start;
        self.inner.count(came);
        // The disk writes while the next parts come, so that little is left to write at the end.
        if self.unsynced.fetch_add(came, Ordering::Relaxed) + came >= SYNC && !self.inner.passes(self.hash)? {
            self.unsynced.store(0, Ordering::Relaxed);
            if let Body::Files([data, _]) = &self.body {
                data.sync_data()?;
            }
        }
        Ok(())
    }

    /// Keeps the blob. The disk has it when this returns, unless it is here only on its way ([`Owner::TRANSIT`]).
    ///
    /// # Errors
    ///
    /// If a part is missing, or the disk refuses.
    pub fn finish(self) -> Result<(), Error> {
        if let Some(missing) = self.missing().first() {
            let why = format!("bytes {} to {} are missing", missing.start, missing.end);
            return Err(Error::Refused { hash: self.hash, why });
        }
        let from = partial_paths(&self.inner.partial, self.hash);
        let sync = || match &self.body {
            Body::Memory(_) => Ok(()),
            Body::Files(files) => {
                let all = files.iter().zip(&from);
                all.into_iter().try_for_each(|(file, path)| file.sync_data().map_err(Error::at(path)))
            }
        };
        let passed = self.inner.passes(self.hash)?;
        // Before others have to wait: a long one takes a while.
        if !passed {
            sync()?;
        }
        let (index, _changing) = (&self.inner.index, self.inner.changing.lock());
        match index.blob(self.hash)? {
            None => return Err(Error::NotHere(self.hash)),
            Some((Place::Expected, _)) => {}
            // Another one who filled it was faster.
            Some(_) => return Ok(()),
        }
        let mut change = index.change();
        let place = match &self.body {
            Body::Memory(memory) => {
                change.put_small(self.hash, std::mem::take(&mut *memory.lock()));
                Place::Small
            }
            Body::Files(files) => {
                // It may have been let go of, and promised anew since: what stands there then is not what came.
                if !files.iter().zip(&from).all(|(file, path)| is_at(file, path)) {
                    return Err(Error::NotHere(self.hash));
                }
                let passes = self.inner.passes(self.hash)?;
                // Somebody has come meanwhile who is to have it on the disk.
                if passed && !passes {
                    sync()?;
                }
                self.inner.install(&from, &paths(&self.inner.blobs, self.hash), !passes)?;
                if passes { Place::Unsynced } else { Place::File }
            }
        };
        change.put_blob(self.hash, place, self.len);
        // It came from others, who give it to anybody, or to this node to be given to anybody.
        for root in index.holders(self.hash) {
            let root = root?;
            if index.is_unshown(root, self.hash)? {
                change.show(root, self.hash);
            }
        }
        change.commit()?;
        self.inner.space.settle(self.hash);
        self.inner.discard(self.hash);
        Ok(())
    }
}

/// Whether a file stands at a place still.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let name = |file: fs::Metadata| (file.dev(), file.ino());
    file.metadata().is_ok_and(|file| fs::metadata(path).is_ok_and(|there| name(there) == name(file)))
}

/// Writes pairs of an outboard by their numbers, those that follow each other at once.
fn write_pairs(tree: &File, pairs: BTreeMap<u64, &[u8; PAIR]>) -> io::Result<()> {
    let (mut run, mut next) = (Vec::new(), 0);
    for (number, pair) in pairs {
        if number != next {
            tree.write_all_at(&run, next * PAIR as u64 - run.len() as u64)?;
            run.clear();
        }
        run.extend_from_slice(pair);
        next = number + 1;
    }
    tree.write_all_at(&run, next * PAIR as u64 - run.len() as u64)
}

/// Whether an answer holds these bytes of a blob, or what is wrong with it.
pub(crate) fn proves(hash: BlobHash, len: u64, range: &Range<u64>, encoded: &[u8]) -> Result<(), String> {
    decode(hash, len, range, encoded).map(drop)
}

/// What an answer brings.
fn range_of(len: u64, window: usize) -> Range<u64> {
    let start = (window * WINDOW) as u64;
    start..(start + WINDOW as u64).min(len)
}

/// Writes ranges of a blob with the hashes that prove it: the encoding of bao, with groups of 16 KiB and without the
/// length, as iroh's blobs have it.
pub(super) fn encode(
    hash: BlobHash,
    len: u64,
    source: &Source,
    ranges: &ChunkRanges,
    out: impl Write,
) -> Result<(), Error> {
    let damaged = |error: bao_tree::io::EncodeError| match error {
        bao_tree::io::EncodeError::Io(error) => error.into(),
        _ => Error::Corrupt(hash),
    };
    match source {
        Source::Memory(bytes) => {
            let outboard = PostOrderMemOutboard::create(bytes, BLOCK);
            encode_ranges_validated(&bytes[..], outboard, ranges, out).map_err(damaged)
        }
        Source::Files([data, tree]) => {
            let outboard = PostOrderOutboard { root: hash.0.into(), tree: BaoTree::new(len, BLOCK), data: tree };
            encode_ranges_validated(data, outboard, ranges, out).map_err(damaged)
        }
    }
}

/// Removes what is left of a blob that nobody expects any more.
pub(super) fn discard(folder: &Path, hash: BlobHash) {
    for path in partial_paths(folder, hash) {
        let _ = fs::remove_file(path);
    }
}

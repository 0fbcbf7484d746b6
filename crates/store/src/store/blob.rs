//! Blobs on their way to the disk and back.

use super::{
    index::SMALL,
    space::Reservation,
    unfinished::{Turn, Unfinished, Written},
};
use crate::{
    BlobHash, Error,
    tree::{GROUP, PAIR, Run, Tree, matches, outboard_len},
};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    ops::Range,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Bytes that are read and checked in one go: a node of every tree that is larger, and few enough to be in a core's cache when
/// they are written.
pub(crate) const WINDOW: usize = 16 * GROUP;

/// Room is taken by as much at once.
const STEP: u64 = 8 << 20;

/// Bytes that are charged for what the index says of a blob: even one without bytes costs something.
const ENTRY: u64 = 256;

/// Bytes that a blob takes, with its tree and what is known of it.
pub(crate) fn cost(len: u64) -> u64 {
    let tree = if len <= SMALL as u64 { 0 } else { outboard_len(len) };
    len + tree + ENTRY
}

/// Where a blob's file stands, and that of its tree.
pub(crate) fn paths(blobs: &Path, hash: BlobHash) -> [PathBuf; 2] {
    let name = hash.to_string();
    let folder = blobs.join(&name[..2]);
    [folder.join(&name), folder.join(name + ".tree")]
}

/// A file that is gone unless it is moved to its place.
pub(crate) struct Temporary {
    pub path: PathBuf,
    /// Of a file that is gone on with: let go of when it is gone from here.
    _turn: Option<Turn>,
}

impl Temporary {
    /// A new name in a folder that is emptied when the store is opened.
    pub fn new(folder: &Path) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { path: folder.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string()), _turn: None }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename there is nothing to remove.
        let _ = fs::remove_file(&self.path);
    }
}

enum Body {
    Memory(Vec<u8>),
    Files(Box<Files>),
}

struct Files {
    data: File,
    written: Written,
    tree: BufWriter<File>,
    names: [Temporary; 2],
}

impl Files {
    /// Files in a folder, or with the data that an earlier try has left.
    fn new(folder: &Path, earlier: Option<(Arc<Unfinished>, BlobHash)>) -> Result<Self, Error> {
        let create = |name: &Temporary| {
            let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&name.path);
            file.map_err(Error::at(&name.path))
        };
        let (data, data_name, left) = match earlier.and_then(|(unfinished, file)| unfinished.begin(file)) {
            Some((data, path, left, turn)) => (data, Temporary { path, _turn: Some(turn) }, left),
            None => {
                let name = Temporary::new(folder);
                (create(&name)?, name, 0)
            }
        };
        let tree_name = Temporary::new(folder);
        let tree = BufWriter::with_capacity(SMALL, create(&tree_name)?);
        Ok(Self { data, written: Written::after(left), tree, names: [data_name, tree_name] })
    }

    /// Appends to the data.
    fn append(&mut self, bytes: &[u8], room: &mut Reservation) -> Result<(), Error> {
        self.written.append(&self.data, bytes).map_err(Error::at(&self.names[0].path))?;
        room.wrote(bytes.len() as u64);
        Ok(())
    }
}

/// A blob whose hash is known at its end.
pub(crate) struct BlobWriter {
    folder: PathBuf,
    /// The file that is put, of which an earlier try may have left something.
    earlier: Option<(Arc<Unfinished>, BlobHash)>,
    tree: Tree,
    pairs: Vec<u8>,
    len: u64,
    body: Body,
}

/// A whole blob that is not in its place yet.
pub(crate) struct Staged {
    pub hash: BlobHash,
    pub len: u64,
    pub body: StagedBody,
}

pub(crate) enum StagedBody {
    Memory(Vec<u8>),
    /// Data and tree.
    Files(Box<[(File, Temporary); 2]>),
}

impl Staged {
    /// Has the disk take it.
    pub fn sync(&self) -> Result<(), Error> {
        let StagedBody::Files(files) = &self.body else { return Ok(()) };
        files.iter().try_for_each(|(file, name)| file.sync_data().map_err(Error::at(&name.path)))
    }

    /// Bytes in memory.
    pub fn memory(&self) -> usize {
        match &self.body {
            StagedBody::Memory(bytes) => bytes.len(),
            StagedBody::Files(_) => 0,
        }
    }
}

impl BlobWriter {
    /// Writes into `folder` whatever is longer than a small blob.
    pub fn new(folder: &Path, earlier: Option<(Arc<Unfinished>, BlobHash)>) -> Self {
        let body = Body::Memory(Vec::new());
        Self { folder: folder.to_owned(), earlier, tree: Tree::default(), pairs: Vec::new(), len: 0, body }
    }

    /// Bytes that an earlier try had written.
    pub fn found(&self) -> u64 {
        match &self.body {
            Body::Memory(_) => 0,
            Body::Files(files) => files.written.found(),
        }
    }

    /// Appends bytes whose hashes are known. Room for them is taken from `room`.
    pub fn push(&mut self, bytes: &[u8], run: &Run, room: &mut Reservation) -> Result<(), Error> {
        room.need(cost(bytes.len() as u64) + outboard_len(bytes.len() as u64) + PAIR as u64, STEP)?;
        self.tree.push(run, &mut self.pairs);
        self.len += bytes.len() as u64;
        if let Body::Memory(memory) = &mut self.body {
            if memory.len() + bytes.len() <= SMALL {
                memory.extend_from_slice(bytes);
                return Ok(());
            }
            let mut files = Files::new(&self.folder, self.earlier.take())?;
            files.append(memory, room)?;
            self.body = Body::Files(Box::new(files));
        }
        let Body::Files(files) = &mut self.body else { return Ok(()) };
        files.append(bytes, room)?;
        files.tree.write_all(&self.pairs).map_err(Error::at(&files.names[1].path))?;
        room.wrote(self.pairs.len() as u64);
        self.pairs.clear();
        Ok(())
    }

    /// The blob, whole.
    pub fn finish(mut self) -> Result<Staged, Error> {
        let hash = self.tree.finish(&mut self.pairs);
        let body = match self.body {
            Body::Memory(memory) => StagedBody::Memory(memory),
            Body::Files(files) => {
                let Files { data, mut written, mut tree, names: [data_name, tree_name] } = *files;
                written.finish(&data).map_err(Error::at(&data_name.path))?;
                tree.write_all(&self.pairs).map_err(Error::at(&tree_name.path))?;
                let tree = tree.into_inner().map_err(|error| Error::at(&tree_name.path)(error.into_error()))?;
                StagedBody::Files(Box::new([(data, data_name), (tree, tree_name)]))
            }
        };
        Ok(Staged { hash, len: self.len, body })
    }
}

/// A blob on this disk. What is read was checked against the hash, or is not given out.
pub struct BlobReader {
    hash: BlobHash,
    len: u64,
    source: Source,
}

pub(crate) enum Source {
    Memory(fjall::Slice),
    Files([File; 2]),
}

impl BlobReader {
    pub(crate) fn new(hash: BlobHash, len: u64, source: Source) -> Result<Self, Error> {
        match &source {
            Source::Memory(bytes) if bytes.len() as u64 != len || BlobHash::of(bytes) != hash => {
                Err(Error::Corrupt(hash))
            }
            _ => Ok(Self { hash, len, source }),
        }
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The blob's hash.
    pub fn hash(&self) -> BlobHash {
        self.hash
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Reads what is a node of the tree, and as long as `bytes`: a power of two of groups, at a multiple of that.
    pub(crate) fn node(&self, start: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let range = start..start + bytes.len() as u64;
        match &self.source {
            Source::Memory(all) => {
                // Where somebody's manifest says that it is longer.
                let part = all.get(range.start as usize..range.end as usize).ok_or(Error::Corrupt(self.hash))?;
                bytes.copy_from_slice(part);
                Ok(())
            }
            Source::Files([data, tree]) => {
                let damaged = |error: io::Error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => Error::Corrupt(self.hash),
                    _ => error.into(),
                };
                data.read_exact_at(bytes, range.start).map_err(damaged)?;
                let pair = |number: u64| {
                    let mut pair = [0; PAIR];
                    tree.read_exact_at(&mut pair, number * PAIR as u64).map(|()| pair)
                };
                match matches(self.hash, self.len, range, bytes, pair).map_err(damaged)? {
                    true => Ok(()),
                    false => Err(Error::Corrupt(self.hash)),
                }
            }
        }
    }

    /// The window of that number: [`WINDOW`] bytes, or what is left at the end.
    pub(crate) fn window(&self, number: u64, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let start = number * WINDOW as u64;
        bytes.resize((self.len - start).min(WINDOW as u64) as usize, 0);
        self.node(start, bytes)
    }

    /// Bytes of a range, as far as the blob reaches.
    ///
    /// # Errors
    ///
    /// If the disk does not give them, or gives others than were stored.
    pub fn read(&self, range: Range<u64>) -> Result<Vec<u8>, Error> {
        let (start, end) = (range.start.min(self.len), range.end.min(self.len));
        let (mut bytes, mut window) = (Vec::new(), Vec::new());
        let mut at = start;
        while at < end {
            let number = at / WINDOW as u64;
            let first = number * WINDOW as u64;
            self.window(number, &mut window)?;
            let stop = (first + window.len() as u64).min(end);
            bytes.extend_from_slice(&window[(at - first) as usize..(stop - first) as usize]);
            at = stop;
        }
        Ok(bytes)
    }
}

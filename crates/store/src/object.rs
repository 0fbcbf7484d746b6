//! Objects into a node's disk.

use crate::{
    BlobHash, Code, Coding, Error, Kind, Layout, MAX_SIZE, Manifest, ObjectId, Owner, Seal, Sealing,
    coding::Coder,
    counted::Counted,
    pipeline::{Buffers, ordered},
    read::shard,
    seal::Plain,
    store::{BlobWriter, Claim, Reservation, Root, Staged, Store, WINDOW},
    tree::{Run, Tree},
};
use commonware_codec::Encode as _;
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, SystemTime},
};

/// What a batch holds in memory before it gives it to the disk.
const BATCH: usize = 8 << 20;

/// A file whose last change is as young as this may change again without its time telling.
const SETTLED: Duration = Duration::from_secs(2);

/// How an object is put.
#[derive(Clone, Copy)]
pub struct Put<'a> {
    /// Who keeps it and is charged for it.
    pub owner: Owner,
    /// Until when, in seconds since 1970; `None`: for ever.
    pub until: Option<u64>,
    /// In pieces of this code, or whole.
    pub code: Option<Code>,
    /// How its content is sealed.
    pub seal: &'a dyn Seal,
    /// Whether it survives that the machine stops. What is here only on its way to others need not, and saves writing it to the disk.
    pub durable: bool,
}

impl Default for Put<'_> {
    /// The node's own, for ever, whole and plain.
    fn default() -> Self {
        Self { owner: Owner::LOCAL, until: None, code: None, seal: &Plain, durable: true }
    }
}

/// Objects that are put together.
///
/// An object is durable, if it is to be, when [`Batch::commit`] has returned. Earlier objects of a long batch may be so before, for what it
/// holds in memory is bounded; each is there whole or not at all.
pub struct Batch<'a> {
    store: &'a Store,
    put: Put<'a>,
    /// For whom files are sealed: what one owner put is not another's.
    sealed_for: Owner,
    room: Reservation,
    staged: Vec<Staged>,
    claims: Vec<Claim>,
    memory: usize,
}

impl Store {
    /// Starts a batch.
    pub fn batch<'a>(&'a self, put: Put<'a>) -> Batch<'a> {
        let (room, staged, claims) = (self.reservation(put.owner), Vec::new(), Vec::new());
        Batch { store: self, put, sealed_for: put.owner, room, staged, claims, memory: 0 }
    }

    /// Puts one object.
    ///
    /// # Errors
    ///
    /// See [`Batch::put`].
    pub fn put(&self, content: impl Read + Send, put: Put<'_>) -> Result<ObjectId, Error> {
        let mut batch = self.batch(put);
        let id = batch.put(content, Kind::File)?;
        batch.commit().map(|()| id)
    }

    /// Puts a file.
    ///
    /// # Errors
    ///
    /// See [`Batch::put_file`].
    pub fn put_file(&self, path: &Path, put: Put<'_>) -> Result<ObjectId, Error> {
        let mut batch = self.batch(put);
        let id = batch.put_file(path)?;
        batch.commit().map(|()| id)
    }
}

impl Batch<'_> {
    /// Objects are sealed for somebody else than the one who keeps them for now.
    pub(crate) fn for_owner(self, owner: Owner) -> Self {
        Self { sealed_for: owner, ..self }
    }

    /// Puts an object: what `content` gives, sealed on the way.
    ///
    /// # Errors
    ///
    /// If there is no room for it, `content` cannot be read, or the disk refuses. The batch goes on without it.
    pub fn put(&mut self, content: impl Read + Send, kind: Kind) -> Result<ObjectId, Error> {
        self.put_with(content, kind, None, None).map(|(id, _)| id)
    }

    /// The object, and the bytes that were read. `file` tells the file that they are of, so that what an earlier try has written of it
    /// is found.
    fn put_with(
        &mut self,
        content: impl Read + Send,
        kind: Kind,
        file: Option<[u8; 32]>,
        stamp: Option<[u8; 32]>,
    ) -> Result<(ObjectId, u64), Error> {
        if self.memory > BATCH || self.staged.len() > BATCH / 1024 {
            self.flush()?;
        }
        let mut counted = Counted::new(content, self.store);
        let (sealing, sealed) = self.put.seal.seal(Box::new(&mut counted))?;
        let mut staged = Vec::new();
        let (size, content, coding) = match self.put.code {
            None => {
                // What is sealed is sealed otherwise each time.
                let blob = self.whole(sealed, file.filter(|_| sealing == Sealing::Plain))?;
                let (size, hash) = (blob.len, blob.hash);
                staged.push(blob);
                (size, hash, Coding::Whole)
            }
            Some(code) => {
                let (size, content, pieces) = self.spread(sealed, code)?;
                let hashes = pieces.iter().map(|piece| piece.hash).collect();
                staged.extend(pieces);
                (size, content, Coding::Spread(code, hashes))
            }
        };
        let manifest = Manifest { kind, sealing, size, content, coding };
        let encoded = manifest.encode();
        let mut writer = self.store.writer();
        writer.push(&encoded, &Run::new(0, &encoded), &mut self.room)?;
        let manifest = writer.finish()?;
        let object = ObjectId(manifest.hash.0);
        staged.push(manifest);
        let blobs = staged.iter().map(|blob| blob.hash).collect();
        self.memory += staged.iter().map(Staged::memory).sum::<usize>();
        self.staged.append(&mut staged);
        self.claims.push(Claim { root: Root { object, owner: self.put.owner }, until: self.put.until, blobs, stamp });
        Ok((object, counted.bytes))
    }

    /// Puts a file, or finds that it was put before, under a seal that [fits](Seal::fits), and has not changed since. If the process
    /// ends meanwhile, the next try goes on behind what came to the disk of a file that is neither sealed nor cut into pieces and has not
    /// changed: it's read and hashed again, and compared with that, but not written again.
    ///
    /// # Errors
    ///
    /// [`Error::Changed`] if it is written to meanwhile; or see [`Batch::put`]. What is neither a file nor a folder is refused.
    pub fn put_file(&mut self, path: &Path) -> Result<ObjectId, Error> {
        let kind = fs::metadata(path).map_err(Error::at(path))?.file_type();
        // To open a pipe waits for whoever writes to it.
        if !kind.is_file() && !kind.is_dir() {
            return Err(Error::at(path)(io::Error::other("it is neither a file nor a folder")));
        }
        let file = File::open(path).map_err(Error::at(path))?;
        let before = file.metadata().map_err(Error::at(path))?;
        let told = self.told(path, &before);
        let stamp = told.filter(|_| is_settled(&before));
        // What carries its own key carries its owner's, and these two have none.
        let alone = ![Owner::LOCAL, Owner::TRANSIT].contains(&self.put.owner);
        if let Some(stamp) = stamp
            && let Some(object) = self.store.stamped(&stamp)?
            && self.store.is_complete(object)?
            && self.put.seal.fits(&self.store.manifest(object)?.sealing, alone)
        {
            // What waits is of a folder whose put was broken off.
            if self.store.kept(Root { object, owner: Owner::TRANSIT })?.is_some() {
                self.store.count_resumed(before.len());
            }
            self.adopt(object, &[object])?;
            return Ok(object);
        }
        let result = self.put_with(&file, Kind::File, told, stamp);
        let after = file.metadata().map_err(Error::at(path))?;
        let same = |one: &fs::Metadata, other: &fs::Metadata| {
            let times = |file: &fs::Metadata| (file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec());
            one.len() == other.len() && times(one) == times(other)
        };
        let (object, read) = result?;
        if !same(&before, &after) || read != before.len() {
            if let Some(claim) = self.claims.pop() {
                self.staged.truncate(self.staged.len() - claim.blobs.len());
            }
            return Err(Error::Changed(path.to_owned()));
        }
        Ok(object)
    }

    /// Keeps what other objects keep under one root: a folder with what is in it.
    ///
    /// # Errors
    ///
    /// If one of them is not here.
    pub fn adopt(&mut self, object: ObjectId, children: &[ObjectId]) -> Result<(), Error> {
        let mut blobs = Vec::new();
        for child in children {
            match self.claims.iter().find(|claim| claim.root.object == *child) {
                Some(claim) => blobs.extend_from_slice(&claim.blobs),
                None => {
                    let manifest = self.store.manifest(*child)?;
                    blobs.push(child.manifest());
                    for (hash, _) in manifest.blobs() {
                        if self.store.has(hash)? {
                            blobs.push(hash);
                        }
                    }
                }
            }
        }
        let root = Root { object, owner: self.put.owner };
        self.claims.push(Claim { root, until: self.put.until, blobs, stamp: None });
        Ok(())
    }

    /// Gives everything to the disk.
    ///
    /// # Errors
    ///
    /// If it refuses.
    pub fn commit(mut self) -> Result<(), Error> {
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.memory = 0;
        let (staged, claims) = (std::mem::take(&mut self.staged), std::mem::take(&mut self.claims));
        self.store.commit(staged, &claims, self.put.durable)?;
        self.room = self.store.reservation(self.put.owner);
        Ok(())
    }

    /// What tells whether a file is the one of which an object was made, or was begun to be made.
    fn told(&self, path: &Path, file: &fs::Metadata) -> Option<[u8; 32]> {
        let mut hasher = blake3::Hasher::new();
        let code = self.put.code.map_or([0; 2], |code| [code.needed() as u8, code.pieces() as u8]);
        hasher.update(&code).update(&self.sealed_for.0);
        let numbers = [
            file.dev(),
            file.ino(),
            file.len(),
            file.mtime() as u64,
            file.mtime_nsec() as u64,
            file.ctime() as u64,
            file.ctime_nsec() as u64,
        ];
        for number in numbers {
            hasher.update(&number.to_be_bytes());
        }
        Some(hasher.update(path.canonicalize().ok()?.as_os_str().as_encoded_bytes()).finalize().into())
    }

    fn whole(&mut self, mut content: impl Read + Send, file: Option<[u8; 32]>) -> Result<Staged, Error> {
        let (mut writer, buffers, mut at, mut found) = (self.store.writer_of(file), Buffers::default(), 0, 0);
        ordered(
            WINDOW,
            || take(&mut content, WINDOW, &mut at, &buffers),
            || (),
            |(), (offset, bytes)| Ok((Run::new(offset, &bytes), bytes)),
            |(run, bytes)| {
                writer.push(&bytes, &run, &mut self.room)?;
                self.store.count_resumed(writer.found() - found);
                found = writer.found();
                buffers.give(bytes);
                Ok(())
            },
        )?;
        writer.finish()
    }

    fn spread(&mut self, mut content: impl Read + Send, code: Code) -> Result<(u64, BlobHash, Vec<Staged>), Error> {
        let (layout, buffers) = (Layout::new(MAX_SIZE, code), Buffers::default());
        let (stripe, full) = (layout.stripe(), layout.shard_of(0));
        let (mut at, mut size, mut tree, mut pairs) = (0, 0, Tree::default(), Vec::new());
        let mut writers: Vec<_> = (0..code.pieces()).map(|_| self.store.writer()).collect();
        ordered(
            full * code.pieces(),
            || take(&mut content, stripe, &mut at, &buffers),
            || Coder::new(code),
            |coder, (offset, mut data)| {
                let node = layout.node(offset / stripe as u64, data.len());
                let (run, bytes, mut coded) = (Run::by(node, offset, &data), data.len() as u64, buffers.take());
                let length = coder.encode(&mut data, &mut coded)?;
                let start = offset / stripe as u64 * full as u64;
                let runs = (0..code.pieces()).map(|number| Run::new(start, shard(&data, &coded, length, number)));
                Ok((run, bytes, runs.collect::<Vec<_>>(), length, data, coded))
            },
            |(run, bytes, runs, length, data, coded)| {
                size += bytes;
                tree.push(&run, &mut pairs);
                pairs.clear();
                for (number, (writer, run)) in writers.iter_mut().zip(&runs).enumerate() {
                    writer.push(shard(&data, &coded, length, number), run, &mut self.room)?;
                }
                buffers.give(data);
                buffers.give(coded);
                Ok(())
            },
        )?;
        let pieces = writers.into_iter().map(BlobWriter::finish).collect::<Result<_, _>>()?;
        Ok((size, tree.finish(&mut pairs), pieces))
    }
}

/// Whether a file was not changed just now, when it could change again without its times telling.
fn is_settled(file: &fs::Metadata) -> bool {
    let age = file.modified().ok().and_then(|changed| SystemTime::now().duration_since(changed).ok());
    age.is_some_and(|age| age >= SETTLED)
}

/// The next `length` bytes, fewer only at the end, with where they stand; `None` after it.
fn take(
    content: &mut impl Read,
    length: usize,
    at: &mut u64,
    buffers: &Buffers,
) -> Result<Option<(u64, Vec<u8>)>, Error> {
    let mut bytes = buffers.take();
    bytes.clear();
    content.take(length as u64).read_to_end(&mut bytes)?;
    let offset = *at;
    *at += bytes.len() as u64;
    if *at > MAX_SIZE {
        return Err(Error::TooLarge);
    }
    Ok((!bytes.is_empty()).then_some((offset, bytes)))
}

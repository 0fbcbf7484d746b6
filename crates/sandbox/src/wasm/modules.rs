//! Compiled modules and components: the last ones in memory, all of them in a private folder.
//!
//! What is compiled is machine code, which runs as it is: whoever can write to the folder is the node. So the folder and its
//! files have to belong to this user and nobody else may enter; anything else is not used. Files are named by the hash of the
//! program and of the engine's settings, and begin with a hash of the rest, so that a disk that rots is noticed.
//!
//! A compiler cannot be broken off, and a hostile program keeps it busy for minutes. So whoever sends programs has one compiled at a
//! time, until that ends, and one that was refused or took too long is not compiled again.

use super::{
    bounds, canonical,
    program::{Compiled, Linkers, Program},
};
use crate::Error;
use rustix::{
    fs::{Mode, OFlags, open},
    process::geteuid,
};
use std::{
    collections::VecDeque,
    fs::{self, DirBuilder, File, Metadata},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};
use wasmtime::Engine;

/// Modules kept in memory.
const MOST_RECENT: usize = 16;
/// Programs that are known to be refused.
pub(super) const MOST_REFUSED: usize = 1024;
/// Bytes that are kept of why.
const MOST_WHY: usize = 1 << 10;
/// Modules that are compiled at the same time, at most: one of a sender's, and one of another's. Each takes memory.
const MOST_AT_ONCE: usize = 2;
/// Bytes of compiled modules on the disk; the oldest go first.
const MOST_STORED: u64 = 2 << 30;
/// How long a compilation may take, and how long it may wait for others.
const MOST_TIME: Duration = Duration::from_secs(120);

type Id = [u8; 32];

/// Whose a program is; nobody's in particular is this machine's own.
type Sender = Option<[u8; 32]>;

/// The modules and components of one engine.
pub(super) struct Modules {
    engine: Engine,
    linkers: Linkers,
    folder: Option<PathBuf>,
    recent: Mutex<VecDeque<(Id, Program)>>,
    pub(super) refused: Mutex<VecDeque<(Id, Error)>>,
    pub(super) slots: Arc<Slots>,
    pub(super) time: Duration,
}

/// Whose programs are being compiled.
#[derive(Default)]
pub(super) struct Slots {
    taken: Mutex<Vec<Sender>>,
    changed: Condvar,
}

/// The right to compile a program, until it is dropped.
pub(super) struct Slot {
    slots: Arc<Slots>,
    sender: Sender,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Modules {
    /// With a folder for what is compiled, which is made if it is not there.
    pub fn new(engine: Engine, linkers: Linkers, folder: Option<PathBuf>) -> Result<Self, Error> {
        if let Some(folder) = &folder {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            let metadata = made.and_then(|()| fs::symlink_metadata(folder)).map_err(Error::machine("the cache"))?;
            if !metadata.is_dir() || !private(&metadata) {
                let place = folder.display();
                return Err(Error::Machine(format!(
                    "{place} has to be a folder of this user that nobody else may enter: chmod 700 {place}"
                )));
            }
        }
        let (recent, refused, slots) = (Mutex::default(), Mutex::default(), Arc::default());
        Ok(Self { engine, linkers, folder, recent, refused, slots, time: MOST_TIME })
    }

    /// A module, ready to start: from memory, from the disk, or compiled.
    pub fn get(&self, code: Arc<[u8]>, sender: Sender) -> Result<Program, Error> {
        let id = self.id(&code);
        if let Some(known) = self.known(id) {
            return known;
        }
        let made = self.make(id, code, sender);
        match &made {
            Ok(module) => {
                let mut recent = lock(&self.recent);
                recent.retain(|(known, _)| *known != id);
                recent.push_front((id, module.clone()));
                recent.truncate(MOST_RECENT);
            }
            Err(error) => {
                if let Some(refusal) = refusal(error) {
                    let mut refused = lock(&self.refused);
                    refused.retain(|(known, _)| *known != id);
                    refused.push_front((id, refusal));
                    refused.truncate(MOST_REFUSED);
                }
            }
        }
        made
    }

    fn make(&self, id: Id, code: Arc<[u8]>, sender: Sender) -> Result<Program, Error> {
        let module = match self.load(id, &code) {
            Some(module) => module,
            None => {
                bounds::check(&code)?;
                let slot = self.slots.take(sender, self.time)?;
                // Others may have had it compiled meanwhile.
                if let Some(known) = self.known(id) {
                    return known;
                }
                let module = self.compile(slot, code)?;
                if let Err(error) = self.store(id, &module) {
                    tracing::warn!(%error, "a compiled module was not kept");
                }
                module
            }
        };
        self.linkers.link(&module)
    }

    /// What memory has of a program: that it is ready, or why it is refused.
    fn known(&self, id: Id) -> Option<Result<Program, Error>> {
        if let Some(module) = self.recall(id) {
            return Some(Ok(module));
        }
        let refused = lock(&self.refused);
        let (_, error) = refused.iter().find(|(known, _)| *known == id)?;
        refusal(error).map(Err)
    }

    fn id(&self, code: &[u8]) -> Id {
        let mut settings = DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut settings);
        let mut id = blake3::Hasher::new_derive_key("stoa sandbox module 2");
        id.update(&settings.finish().to_le_bytes()).update(code);
        id.finalize().into()
    }

    fn recall(&self, id: Id) -> Option<Program> {
        let mut recent = lock(&self.recent);
        let at = recent.iter().position(|(known, _)| *known == id)?;
        let found = recent.remove(at)?;
        recent.push_front(found.clone());
        Some(found.1)
    }

    /// Compiles on a thread of its own. A compilation cannot be broken off: one that takes too long keeps its slot until it
    /// ends, but not the caller.
    fn compile(&self, slot: Slot, code: Arc<[u8]>) -> Result<Compiled, Error> {
        let (send, receive) = mpsc::sync_channel(1);
        let engine = self.engine.clone();
        let compile = move || {
            let written = canonical::rewrite(&code);
            let compiled =
                |code: Vec<u8>| Compiled::new(&engine, &code).map_err(|error| Error::Code(format!("{error:#}")));
            let made = written.and_then(compiled);
            drop(slot);
            // Whoever has waited for this may have gone.
            let _ = send.send(made);
        };
        let thread = thread::Builder::new().name("compile".into());
        thread.spawn(compile).map_err(Error::machine("a thread to compile on"))?;
        match receive.recv_timeout(self.time) {
            Ok(module) => module,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(Error::CompileTime(self.time)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(Error::Code("the compiler gave up on it".into())),
        }
    }

    fn place(&self, id: Id) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(blake3::Hash::from(id).to_hex().as_str()))
    }

    fn load(&self, id: Id, code: &[u8]) -> Option<Compiled> {
        let bytes = read_private(&self.place(id)?).ok()?;
        let (hash, compiled) = bytes.split_first_chunk::<32>()?;
        if blake3::hash(compiled) != *hash {
            tracing::warn!("a compiled module is damaged on the disk; it is compiled again");
            return None;
        }
        deserialize(&self.engine, code, compiled)
    }

    fn store(&self, id: Id, module: &Compiled) -> io::Result<()> {
        let (Some(folder), Some(place)) = (&self.folder, self.place(id)) else { return Ok(()) };
        let compiled = module.serialize().map_err(io::Error::other)?;
        make_room(folder, compiled.len() as u64)?;
        // Made for this user alone.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(blake3::hash(&compiled).as_bytes())?;
        file.write_all(&compiled)?;
        file.persist(place)?;
        Ok(())
    }
}

impl Slots {
    /// Waits for so long until a program of this sender may be compiled.
    pub(super) fn take(self: &Arc<Self>, sender: Sender, time: Duration) -> Result<Slot, Error> {
        let waits =
            |taken: &mut Vec<Sender>| taken.len() >= MOST_AT_ONCE || (sender.is_some() && taken.contains(&sender));
        let taken = self.changed.wait_timeout_while(lock(&self.taken), time, waits);
        let (mut taken, waited) = taken.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(Error::Machine(format!("other programs are being compiled, for longer than {time:?}")));
        }
        taken.push(sender);
        Ok(Slot { slots: self.clone(), sender })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = lock(&self.slots.taken);
        if let Some(at) = taken.iter().position(|sender| *sender == self.sender) {
            taken.swap_remove(at);
        }
        self.slots.changed.notify_all();
    }
}

/// The same once more, if it is about the program itself.
fn refusal(error: &Error) -> Option<Error> {
    match error {
        Error::Code(why) => Some(Error::Code(why[..why.floor_char_boundary(MOST_WHY)].to_owned())),
        Error::CompileTime(time) => Some(Error::CompileTime(*time)),
        _ => None,
    }
}

fn private(metadata: &Metadata) -> bool {
    metadata.uid() == geteuid().as_raw() && metadata.mode() & 0o077 == 0
}

fn read_private(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::from(open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() || !private(&metadata) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[expect(unsafe_code, reason = "machine code that this node has compiled and that nobody else could write")]
fn deserialize(engine: &Engine, code: &[u8], compiled: &[u8]) -> Option<Compiled> {
    // SAFETY: the bytes come from `Compiled::serialize`: they were read from a file in a folder that only this user may
    // enter, where only `Modules::store` writes, and their hash is the one that was written with them. That they fit this
    // engine, and are of the kind that `code` is, `deserialize` checks.
    unsafe { Compiled::deserialize(engine, code, compiled) }.ok()
}

/// Removes the oldest files until so many bytes more are within the bound.
fn make_room(folder: &Path, needed: u64) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        files.push((metadata.modified()?, metadata.len(), entry.path()));
    }
    files.sort();
    let mut sum = needed + files.iter().map(|(_, size, _)| size).sum::<u64>();
    for (_, size, path) in files {
        if sum <= MOST_STORED {
            break;
        }
        fs::remove_file(path)?;
        sum -= size;
    }
    Ok(())
}

//! Compiled modules and components: the last ones in memory, all of them in a private folder.
//!
//! What is compiled is machine code, which runs as it is: whoever can write to the folder is the node. So the folder and its
//! files have to belong to this user and nobody else may enter; anything else is not used. Files are named by the hash of the
//! program and of the engine's settings, and begin with a hash of the rest, so that a disk that rots is noticed.

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
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};
use wasmtime::Engine;

/// Modules kept in memory.
const MOST_RECENT: usize = 16;
/// Modules that are compiled at the same time, at most. A hostile one takes memory and keeps a processor for minutes.
const MOST_AT_ONCE: usize = 2;
/// Bytes of compiled modules on the disk; the oldest go first.
const MOST_STORED: u64 = 2 << 30;
/// How long a compilation may take, waiting for others included.
const MOST_TIME: Duration = Duration::from_secs(120);

type Id = [u8; 32];

/// The modules and components of one engine.
pub(super) struct Modules {
    engine: Engine,
    linkers: Linkers,
    folder: Option<PathBuf>,
    recent: Mutex<VecDeque<(Id, Program)>>,
    slots: Arc<Slots>,
}

/// How many modules may be compiled at the same time.
struct Slots {
    free: Mutex<usize>,
    changed: Condvar,
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
        let free = thread::available_parallelism().map_or(1, usize::from).min(MOST_AT_ONCE);
        Ok(Self {
            engine,
            linkers,
            folder,
            recent: Mutex::default(),
            slots: Arc::new(Slots { free: Mutex::new(free), changed: Condvar::new() }),
        })
    }

    /// A module, ready to start: from memory, from the disk, or compiled.
    pub fn get(&self, code: Arc<[u8]>) -> Result<Program, Error> {
        let id = self.id(&code);
        if let Some(module) = self.recall(id) {
            return Ok(module);
        }
        let module = match self.load(id, &code) {
            Some(module) => module,
            None => {
                bounds::check(&code)?;
                let module = self.compile(code)?;
                if let Err(error) = self.store(id, &module) {
                    tracing::warn!(%error, "a compiled module was not kept");
                }
                module
            }
        };
        let module = self.linkers.link(&module)?;
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push_front((id, module.clone()));
        recent.truncate(MOST_RECENT);
        Ok(module)
    }

    fn id(&self, code: &[u8]) -> Id {
        let mut settings = DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut settings);
        let mut id = blake3::Hasher::new_derive_key("stoa sandbox module 2");
        id.update(&settings.finish().to_le_bytes()).update(code);
        id.finalize().into()
    }

    fn recall(&self, id: Id) -> Option<Program> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let at = recent.iter().position(|(known, _)| *known == id)?;
        let found = recent.remove(at)?;
        recent.push_front(found.clone());
        Some(found.1)
    }

    /// Compiles on a thread of its own. A compilation cannot be broken off: one that takes too long keeps its slot until it
    /// ends, but not the caller.
    fn compile(&self, code: Arc<[u8]>) -> Result<Compiled, Error> {
        let (send, receive) = mpsc::sync_channel(1);
        let (engine, slots) = (self.engine.clone(), self.slots.clone());
        let compile = move || {
            slots.take();
            // Whoever has waited for this may have gone.
            let written = canonical::rewrite(&code);
            let compiled =
                |code: Vec<u8>| Compiled::new(&engine, &code).map_err(|error| Error::Code(format!("{error:#}")));
            let _ = send.send(written.and_then(compiled));
            slots.give();
        };
        let thread = thread::Builder::new().name("compile".into());
        thread.spawn(compile).map_err(Error::machine("a thread to compile on"))?;
        match receive.recv_timeout(MOST_TIME) {
            Ok(module) => module,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(Error::CompileTime(MOST_TIME)),
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
    fn take(&self) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.changed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
    }

    fn give(&self) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_one();
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

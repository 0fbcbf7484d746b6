//! What a run has left: how it ended, its files, its log, what it used.

use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// How a run ended. Only [`Exited`](Self::Exited) with 0 is success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Exited(u32),
    /// The program did what WebAssembly does not allow, or gave up; in words.
    Trapped(String),
    /// The process was killed by this signal, or says by its code that one of its own was, as shells do (128 more).
    Signalled(i32),
    /// [`Limits::fuel`](crate::Limits::fuel) was used up.
    OutOfFuel,
    /// [`Limits::cpu`](crate::Limits::cpu) was used up.
    OutOfCpu,
    /// More than [`Limits::memory`](crate::Limits::memory): a WebAssembly program was refused memory and then trapped;
    /// processes together had more.
    OutOfMemory,
    /// It ran longer than [`Limits::wall`](crate::Limits::wall), or waited longer than [`Limits::idle`](crate::Limits::idle).
    OutOfTime,
    /// It wrote, or tried to write, more under `/out` than it may, so that its files are not whole; or processes made more
    /// files under `/tmp` and `/dev/shm` than they may.
    OutputTooLarge,
    /// More than [`Limits::processes`](crate::Limits::processes).
    TooManyProcesses,
    /// [`Control::cancel`] was called.
    Cancelled,
}

/// What was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Steps of a WebAssembly program. As exact as the next call of a function or of the system.
    pub fuel: u64,
    /// Most bytes of memory at one time; of processes, as seen every few milliseconds.
    pub memory: u64,
    /// Processor time; of processes, that of all that there were: as their control group counts it, or else as seen every few milliseconds,
    /// in ticks of the kernel's clock that have begun.
    pub cpu: Duration,
    /// Time that passed.
    pub wall: Duration,
}

/// Standard output and standard error in the order in which they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The first bytes, as many as may be kept.
    pub bytes: Vec<u8>,
    /// Whether there were more.
    pub truncated: bool,
}

impl Log {
    /// Takes what there is room for.
    pub(crate) fn push(&mut self, bytes: &[u8], limit: u64) {
        let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(self.bytes.len());
        self.truncated |= bytes.len() > room;
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// As text, what is none replaced; says so at the end if it was truncated.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        if self.truncated { format!("{text}\n[the log is truncated here]\n") } else { text.into_owned() }
    }
}

/// The files that a program has left under `/out`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Their bytes by their path within `/out`: parts joined by `/`, none of them empty, `.` or `..`. Regular files only.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What was left there and is no regular file with a name in UTF-8, has more than one name, or cannot be looked at: links,
    /// pipes, sockets, devices, files without rights. Nothing of it was read. Empty folders are neither here nor there.
    pub skipped: Vec<String>,
}

impl Output {
    /// Writes the files into a folder, which is created.
    ///
    /// # Errors
    ///
    /// If the folder is there already, or cannot be written.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir(folder)?;
        for (path, bytes) in &self.files {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, bytes)?;
        }
        Ok(())
    }
}

/// What a run has left. None of it has been judged: whether it may leave the machine is for whoever owns the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// What it wrote under `/out`, however it ended.
    pub output: Output,
    /// What it said.
    pub log: Log,
    /// What it took.
    pub used: Used,
    /// Whether whoever runs the same job in the same runtime gets the same `ended`, `output`, `log` and `used.fuel`, bit for
    /// bit. Not so for processes, and where time, cancellation or the depth of the stack ended a WebAssembly program.
    pub deterministic: bool,
}

impl Outcome {
    /// Whether the program ended by itself and says that all is well.
    pub fn succeeded(&self) -> bool {
        self.ended == Ended::Exited(0)
    }
}

/// One run as seen from another thread: a clone of it cancels the run, and tells how far it is.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<State>);

#[derive(Debug, Default)]
struct State {
    cancelled: AtomicBool,
    fuel: AtomicU64,
    cpu_micros: AtomicU64,
}

impl Control {
    /// For one run.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the run, within some ten milliseconds.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }

    /// Steps that a WebAssembly program has used so far.
    pub fn fuel(&self) -> u64 {
        self.0.fuel.load(Ordering::Relaxed)
    }

    /// Processor time that processes have used so far.
    pub fn cpu(&self) -> Duration {
        Duration::from_micros(self.0.cpu_micros.load(Ordering::Relaxed))
    }

    pub(crate) fn set_fuel(&self, fuel: u64) {
        self.0.fuel.store(fuel, Ordering::Relaxed);
    }

    pub(crate) fn set_cpu(&self, cpu: Duration) {
        self.0.cpu_micros.store(u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

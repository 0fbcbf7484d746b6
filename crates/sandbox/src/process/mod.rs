//! Processes in a sandbox of bubblewrap, for programs that are no WebAssembly.
//!
//! A program sees the system's programs and libraries, its code, its data, two folders in memory and nothing else: no other
//! files, processes, network or environment. It has no rights that an ordinary user has not, a filter ([`seccomp`]) keeps
//! it from the parts of the kernel that it has no use for, and where the kernel has Landlock, its rules ([`landlock`]) say
//! once more what it may do with what it sees. What it uses is bounded by the kernel where the kernel can
//! (memory of one process, size of folders) and is otherwise looked at every few milliseconds ([`measure`]). It ends by the
//! end of its first process, which takes all others along; only then are its files read ([`collect`]).
//!
//! The time of processors that it has used is its control group's ([`group`]). Where there can be none it is what its processes show, and
//! those that have ended for whoever has waited for them. A process whose parent has the kernel throw it away, unwaited for, would be
//! nobody's there, so the filter lets no parent say that.

mod arguments;
mod collect;
mod environment;
mod group;
mod landlock;
mod launch;
mod measure;
mod sandbox;
mod seccomp;
#[cfg(test)]
mod tests;

use crate::{Control, Ended, Error, Job, Limits, Outcome, Runtime, RuntimeId, Used};
use collect::{Collected, collect};
pub use launch::launch;
use measure::{Usage, measure};
use sandbox::Sandbox;
use seccomp::Filters;
use std::{
    path::{self, Path, PathBuf},
    time::{Duration, Instant},
};

/// How often a sandbox is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Runs command lines in sandboxes of bubblewrap (`bwrap`). Works for ordinary users and for root.
pub struct Process {
    bubblewrap: PathBuf,
    folders: Vec<PathBuf>,
    filters: Filters,
    landlock: Option<u32>,
}

impl Process {
    /// Looks for `bwrap`.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] if it is not installed, [`Error::Machine`] if there is no filter for this processor.
    pub fn new() -> Result<Self, Error> {
        let missing = |error| Error::Missing { program: "bwrap", package: "bubblewrap", error };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places = std::env::split_paths(&path).map(|folder| folder.join("bwrap"));
        let bubblewrap = places.find(|place| place.is_file()).ok_or(std::io::ErrorKind::NotFound.into());
        let bubblewrap = bubblewrap.map_err(missing)?;
        let landlock = landlock::version().filter(|_| launch::is_ready());
        Ok(Self { bubblewrap, folders: Vec::new(), filters: Filters::new()?, landlock })
    }

    /// The version of Landlock that programs are under: none if the kernel has none that is of use (before Linux 5.19), or if
    /// this executable has not called [`launch()`]. Each refuses more: 3 that files are cut off, 4 TCP, 5 calls of devices, 6
    /// signals and sockets without a file to whoever is outside.
    pub fn landlock(&self) -> Option<u32> {
        self.landlock
    }

    /// Shows programs a folder of this machine, at its own place and read-only, and looks for programs in its `bin` first: an
    /// environment of Python, for example, whose packages the runtime's name tells, and whose own Python is shown as well.
    ///
    /// # Errors
    ///
    /// [`Error::Input`] if it is given by no path, or from a folder that there is not any more.
    pub fn with_folder(mut self, folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        // Programs start in another folder. Links stay: an environment may be one.
        self.folders.push(path::absolute(folder).map_err(Error::input(folder))?);
        Ok(self)
    }
}

impl Runtime for Process {
    fn id(&self) -> RuntimeId {
        let folders: Vec<_> = self.folders.iter().map(|folder| environment::describe(folder)).collect();
        RuntimeId(format!("stoa-process-3 / {} / {}", std::env::consts::ARCH, folders.join(", ")))
    }

    fn deterministic(&self) -> bool {
        false
    }

    fn run(&self, job: &Job, control: &Control) -> Result<Outcome, Error> {
        job.check()?;
        if job.command.is_empty() {
            return Err(Error::Job("it has no command line: give the program and its arguments".into()));
        }
        // What comes as bytes lies here for the time of the run.
        let stage = tempfile::tempdir().map_err(Error::machine("a temporary folder"))?;
        let arguments = arguments::arguments(job, stage.path(), &self.folders)?;
        let started = Instant::now();
        let mut sandbox = Sandbox::start(&self.bubblewrap, &arguments, &self.filters, self.landlock, &job.limits)?;
        let (ended, mut used) = watch(&mut sandbox, &job.limits, control, started)?;
        let (status, log) = sandbox.end()?;
        // With what was used since it was looked at last.
        used.cpu = used.cpu.max(sandbox.cpu().unwrap_or_default());
        let ended = ended.unwrap_or(if used.cpu > job.limits.cpu { Ended::OutOfCpu } else { status });
        let (ended, output) = match collect(sandbox.out(), &job.limits).map_err(Error::machine("reading /out"))? {
            Collected::Whole(output) => (ended, output),
            Collected::TooLarge(output) if matches!(ended, Ended::Exited(_) | Ended::Signalled(_)) => {
                (Ended::OutputTooLarge, output)
            }
            Collected::TooLarge(output) => (ended, output),
        };
        Ok(Outcome { ended, output, log, used, deterministic: false })
    }
}

/// Looks at a sandbox until it ends or has to. Returns why it has to, if so.
fn watch(
    sandbox: &mut Sandbox,
    limits: &Limits,
    control: &Control,
    started: Instant,
) -> Result<(Option<Ended>, Used), Error> {
    let mut used = Used::default();
    loop {
        let over = sandbox.wait(LOOK)?;
        let mut usage = measure(sandbox.proc());
        usage.cpu = sandbox.cpu().unwrap_or(usage.cpu);
        used.memory = used.memory.max(usage.memory);
        used.cpu = used.cpu.max(usage.cpu);
        used.wall = started.elapsed();
        control.set_cpu(used.cpu);
        let full = sandbox.output_full(limits)?;
        if over {
            return Ok((full.then_some(Ended::OutputTooLarge), used));
        }
        let ended = if control.is_cancelled() {
            Some(Ended::Cancelled)
        } else if is_late(used, limits) {
            Some(Ended::OutOfTime)
        } else if full {
            Some(Ended::OutputTooLarge)
        } else {
            beyond(usage, limits)
        };
        if let Some(ended) = ended {
            return Ok((Some(ended), used));
        }
    }
}

/// Whether so much time has passed as may, or too little was computed in it.
fn is_late(used: Used, limits: &Limits) -> bool {
    let computed = used.cpu.saturating_mul(Limits::WALL_PER_CPU);
    used.wall > limits.wall || used.wall > limits.idle.saturating_add(computed)
}

fn beyond(usage: Usage, limits: &Limits) -> Option<Ended> {
    if usage.processes > u64::from(limits.processes) {
        Some(Ended::TooManyProcesses)
    } else if usage.memory > limits.memory {
        Some(Ended::OutOfMemory)
    } else if usage.cpu > limits.cpu {
        Some(Ended::OutOfCpu)
    } else {
        None
    }
}

/// Whether there is something at a path, links not followed.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

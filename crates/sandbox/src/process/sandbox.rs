//! One sandbox: starting it, waiting for it, ending it.
//!
//! Bubblewrap sets everything up, tells the number of the sandbox's first process, and waits. Meanwhile this side takes hold
//! of `/out`, `/tmp`, `/dev/shm` and `/proc` as the sandbox sees them, which stay readable until they are let go of, and sets the
//! limits that the program will inherit. Then it lets the program start, by way of this executable where there is Landlock.

use super::{arguments::Arguments, group::Group, landlock::Rules, launch, seccomp::Filters};
use crate::{Ended, Error, Limits, Log, SCRATCH_FILES};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{MemfdFlags, Mode, OFlags, fstat, fstatvfs, memfd_create, open, openat, stat},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, Resource, Rlimit, Signal, geteuid, pidfd_open, pidfd_send_signal, prlimit},
};
use std::{
    fs::File,
    io::{self, Read as _, Seek as _, Write as _},
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd, RawFd},
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long bubblewrap may take to set up a sandbox.
const SETTING_UP: Duration = Duration::from_secs(20);
/// Descriptors that a process may have open. Whole buffers hang on some of them.
const MOST_OPEN: u64 = 256;

/// How folders of a sandbox are opened.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A sandbox. It ends, with all its processes, when it is dropped.
pub(super) struct Sandbox {
    bubblewrap: Child,
    /// The first process.
    first: OwnedFd,
    out: OwnedFd,
    /// `/tmp`, and `/dev/shm`.
    scratch: [OwnedFd; 2],
    proc: OwnedFd,
    log: Option<JoinHandle<Log>>,
    group: Group,
}

/// A sandbox that is being set up: ended if that fails.
struct Unfinished(Option<Child>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Sandbox {
    /// Sets up a sandbox and starts the program in it, under Landlock in the version that is given.
    ///
    /// # Errors
    ///
    /// If the machine does not allow it, in bubblewrap's words.
    pub fn start(
        bubblewrap: &Path,
        arguments: &Arguments,
        filters: &Filters,
        landlock: Option<u32>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let group = Group::new(limits);
        let filter = filters.of(group.cpu().is_some());
        if geteuid().is_root() && !group.counts_processes {
            return Err(Error::Machine(
                "the kernel does not count root's processes, and there is no control group for them: run as an ordinary \
                 user, or let this process make control groups with the controller \"pids\""
                    .into(),
            ));
        }
        let rules = landlock.map(Rules::new).transpose().map_err(Error::machine("Landlock"))?;
        let started = Self::spawn(bubblewrap, arguments, filter, rules.as_ref(), limits.log_bytes)
            .map_err(Error::machine("starting bubblewrap"))?;
        let Started { mut child, info, mut go, log } = started;
        let mut take = || {
            let until = Instant::now() + SETTING_UP;
            let number = first_process(&info, until)?;
            let first = pidfd_open(number, PidfdFlags::empty())?;
            let mut hold = || {
                let (root, folders) = folders(number, &first, until)?;
                if let Some(rules) = &rules {
                    rules.allow(&root, &arguments.programs)?;
                }
                set_limits(number, limits)?;
                group.take(number)?;
                go.write_all(b"!").map(|()| folders)
            };
            // It would go on without limits once nobody can tell it to any more.
            let held = hold().inspect_err(|_| {
                let _ = pidfd_send_signal(&first, Signal::KILL);
            });
            held.map(|[out, scratch, shared, proc]| (first, out, [scratch, shared], proc))
        };
        let taken: io::Result<_> = take();
        match (taken, child.0.take()) {
            (Ok((first, out, scratch, proc)), Some(bubblewrap)) => {
                Ok(Self { bubblewrap, first, out, scratch, proc, log: Some(log), group })
            }
            (taken, bubblewrap) => {
                drop(Unfinished(bubblewrap));
                let why = taken.err().map(|error| error.to_string()).unwrap_or_default();
                let said = log.join().map(|log| log.text()).unwrap_or_default();
                Err(Error::Machine(format!("bubblewrap could not set up a sandbox ({why}): {}", said.trim())))
            }
        }
    }

    fn spawn(
        bubblewrap: &Path,
        arguments: &Arguments,
        filter: &[u8],
        rules: Option<&Rules>,
        log_bytes: u64,
    ) -> io::Result<Started> {
        let mut seccomp = File::from(memfd_create("seccomp", MemfdFlags::CLOEXEC)?);
        seccomp.write_all(filter)?;
        seccomp.rewind()?;
        let (info, tell) = pipe_with(PipeFlags::CLOEXEC)?;
        let (wait, go) = pipe_with(PipeFlags::CLOEXEC)?;
        let (read, written) = pipe_with(PipeFlags::CLOEXEC)?;

        let mut command = Command::new(bubblewrap);
        command.args(&arguments.sandbox);
        let passed = [("--seccomp", seccomp.as_fd()), ("--info-fd", tell.as_fd()), ("--block-fd", wait.as_fd())];
        for (name, descriptor) in passed {
            command.args([name, &descriptor.as_raw_fd().to_string()]);
        }
        let mut inherited = passed.map(|(_, descriptor)| descriptor.as_raw_fd()).to_vec();
        let mut executable = None;
        if let Some(rules) = rules {
            // What runs, whatever lies at its place by now, and not among what programs see.
            let own = executable.insert(File::open("/proc/self/exe")?).as_raw_fd();
            inherited.extend([own, rules.descriptor()]);
            command.args(["--", &format!("/proc/self/fd/{own}"), launch::WORD, &rules.descriptor().to_string()]);
            command.arg(arguments.variables.len().to_string());
            command.args(arguments.variables.iter().flat_map(|(name, value)| [name, value]));
        } else {
            for (name, value) in &arguments.variables {
                command.args(["--setenv", name, value]);
            }
            command.arg("--");
        }
        command.args(&arguments.command).env_clear();
        command.stdin(Stdio::null()).stdout(written.try_clone()?).stderr(written);
        inherit(&mut command, inherited);
        let child = Unfinished(Some(command.spawn()?));
        // With the command goes this side's end of the log.
        drop((seccomp, tell, wait, executable, command));
        let log = thread::Builder::new().name("log".into()).spawn(move || drain(read, log_bytes))?;
        Ok(Started { child, info: info.into(), go: go.into(), log })
    }

    /// Waits for the end, so long at most. Returns whether it has ended.
    pub fn wait(&mut self, time: Duration) -> Result<bool, Error> {
        ready(&self.first, time).map_err(Error::machine("waiting for a sandbox"))
    }

    /// The sandbox's `/proc`.
    pub fn proc(&self) -> &OwnedFd {
        &self.proc
    }

    /// The time of processors that all its processes have used, if their control group counts it.
    pub fn cpu(&self) -> Option<Duration> {
        self.group.cpu()
    }

    /// The sandbox's `/out`.
    pub fn out(&self) -> &OwnedFd {
        &self.out
    }

    /// Whether more is in `/out`, or more files are in `/tmp` and `/dev/shm`, than there may be.
    pub fn output_full(&self, limits: &Limits) -> Result<bool, Error> {
        let look = |folder| fstatvfs(folder).map_err(|error| Error::Machine(format!("looking at a folder: {error}")));
        let (out, [scratch, shared]) = (look(&self.out)?, [look(&self.scratch[0])?, look(&self.scratch[1])?]);
        // The folder itself is one.
        let files = |folder: &rustix::fs::StatVfs| folder.f_files.saturating_sub(folder.f_ffree).saturating_sub(1);
        let most = limits.output_files.saturating_add(SCRATCH_FILES);
        Ok(out.f_bfree == 0
            || files(&out) > limits.output_files
            || files(&scratch).saturating_add(files(&shared)) > most)
    }

    /// Ends all processes and waits until they are gone. Returns how the program ended, and what it said.
    pub fn end(&mut self) -> Result<(Ended, Log), Error> {
        // What has ended before cannot be ended again.
        let _ = pidfd_send_signal(&self.first, Signal::KILL);
        while !self.wait(Duration::from_secs(1))? {}
        let status = self.bubblewrap.wait().map_err(Error::machine("waiting for bubblewrap"))?;
        let log = self.log.take().and_then(|log| log.join().ok()).unwrap_or_default();
        Ok((if self.group.out_of_memory() { Ended::OutOfMemory } else { ended(status) }, log))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Nothing is left to do for whoever finds it gone.
        let _ = pidfd_send_signal(&self.first, Signal::KILL);
        let _ = self.bubblewrap.kill();
        let _ = self.bubblewrap.wait();
    }
}

/// Lets what is started have these descriptors beside the first three, and none that this process has open otherwise,
/// whoever opened it.
#[expect(unsafe_code, reason = "what happens between fork and exec")]
fn inherit(command: &mut Command, descriptors: Vec<RawFd>) {
    let setup = move || {
        // SAFETY: these calls of the kernel take numbers, touch no memory, and may be made after a fork.
        let done = unsafe {
            libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) == 0
                && descriptors.iter().all(|descriptor| libc::fcntl(*descriptor, libc::F_SETFD, 0) == 0)
        };
        if done { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: the closure neither allocates nor locks.
    unsafe { command.pre_exec(setup) };
}

struct Started {
    child: Unfinished,
    info: File,
    go: File,
    log: JoinHandle<Log>,
}

/// Waits until something can be read from a descriptor, or a process has ended.
fn ready(descriptor: &impl AsFd, time: Duration) -> io::Result<bool> {
    let time = Timespec::try_from(time).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(descriptor, PollFlags::IN)], Some(&time)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Reads the number of the first process from what bubblewrap tells, which is JSON.
fn first_process(mut info: &File, until: Instant) -> io::Result<Pid> {
    #[derive(serde::Deserialize)]
    struct Info {
        #[serde(rename = "child-pid")]
        child_pid: i32,
    }
    let mut text = Vec::new();
    while !text.contains(&b'}') && text.len() < 4096 {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if ready(&info, left)? {
            let mut bytes = [0; 512];
            let count = info.read(&mut bytes)?;
            if count == 0 {
                break;
            }
            text.extend_from_slice(&bytes[..count]);
        }
    }
    let info: Info = serde_json::from_slice(&text).map_err(io::Error::other)?;
    Pid::from_raw(info.child_pid).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Opens the root, and `/out`, `/tmp`, `/dev/shm` and `/proc`, as a process sees them. They appear all at once, when bubblewrap
/// has set up everything and makes it the process's root.
fn folders(number: Pid, process: &OwnedFd, until: Instant) -> io::Result<(OwnedFd, [OwnedFd; 4])> {
    let look = || -> io::Result<_> {
        let root = root(number)?;
        let folder = |name: &str| openat(&root, name, FOLDER, Mode::empty()).map_err(io::Error::from);
        let folders = [folder("out")?, folder("tmp")?, folder("dev/shm")?, folder("proc")?];
        Ok((root, folders))
    };
    loop {
        match look() {
            Ok(folders) => return Ok(folders),
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) if ready(process, Duration::from_millis(1))? => return Err(io::Error::other("it has ended")),
            Err(_) => {}
        }
    }
}

/// The root of a process that has one of its own.
///
/// # Errors
///
/// If it has not, or not yet: this machine's may have folders of the same names.
fn root(number: Pid) -> io::Result<OwnedFd> {
    let root = open(format!("/proc/{}/root", number.as_raw_nonzero()), FOLDER, Mode::empty())?;
    let (its, own) = (fstat(&root)?, stat("/")?);
    if (its.st_dev, its.st_ino) == (own.st_dev, own.st_ino) {
        return Err(io::Error::other("it has no root of its own"));
    }
    Ok(root)
}

/// Sets limits of the first process, which the others inherit.
fn set_limits(number: Pid, limits: &Limits) -> io::Result<()> {
    let largest = limits.output_bytes.max(limits.scratch_bytes).saturating_add(1);
    let limit = [
        // What is written to, so that libraries may reserve what they do not use.
        (Resource::Data, limits.memory),
        (Resource::As, limits.memory.saturating_mul(4).saturating_add(4 << 30)),
        (Resource::Fsize, largest),
        (Resource::Cpu, limits.cpu.as_secs().saturating_add(2)),
        // Not for root, which needs a control group.
        (Resource::Nproc, u64::from(limits.processes).saturating_add(8)),
        (Resource::Nofile, MOST_OPEN),
        (Resource::Core, 0),
        (Resource::Memlock, 64 << 10),
        (Resource::Msgqueue, 0),
        (Resource::Sigpending, 1_000),
    ];
    for (resource, most) in limit {
        let before = rustix::process::getrlimit(resource).maximum;
        let most = before.map_or(most, |before| before.min(most));
        prlimit(Some(number), resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// Reads all that is written, and keeps the first of it.
fn drain(from: OwnedFd, limit: u64) -> Log {
    let (mut log, mut bytes, mut from) = (Log::default(), vec![0; 64 << 10], File::from(from));
    loop {
        match from.read(&mut bytes) {
            Ok(0) => return log,
            Ok(count) => log.push(&bytes[..count], limit),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return log,
        }
    }
}

/// Bubblewrap says as shells do that its program was ended by a signal.
fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) if code - 128 == Signal::XCPU.as_raw() => Ended::OutOfCpu,
        (Some(code @ 129..=192), _) => Ended::Signalled(code - 128),
        (Some(code), _) => Ended::Exited(code.cast_unsigned()),
        (None, signal) => Ended::Signalled(signal.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::getpid;

    #[test]
    fn folders_of_this_machine_are_never_taken_for_a_sandboxs() {
        assert!(root(getpid()).unwrap_err().to_string().contains("no root of its own"));
    }
}

//! Control groups: limits of the kernel over all processes of a sandbox together.
//!
//! A group of our own is made beside or below that of this process, in whatever versions of control groups the machine has:
//! beside it in version 2, where only leaves have processes, below it in version 1. Who may not make one does without, if
//! the kernel counts his processes otherwise. It does not count root's, so that root needs a group.
//!
//! A group counts the time of processors as well, to the microsecond at least, and that of processes which nobody has waited for.

use crate::{Limits, SCRATCH_FILES};
use rustix::process::Pid;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

/// Where control groups are mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// What the kernel counts beside a program's own memory: page tables, what is open, names of files.
const KERNEL: u64 = 64 << 20;

/// The groups of one sandbox: removed when dropped, when its processes have to be gone.
#[derive(Debug, Default)]
pub(super) struct Group {
    folders: Vec<PathBuf>,
    /// Whether the kernel bounds the number of processes.
    pub counts_processes: bool,
    /// The file that tells of processes that were killed for want of memory.
    killed: Option<PathBuf>,
    /// The file that tells what time of processors they have used.
    time: Option<PathBuf>,
}

impl Group {
    /// Makes groups with these limits, as far as this process may.
    pub fn new(limits: &Limits) -> Self {
        let processes = (u64::from(limits.processes) + 4).to_string();
        // The folders in memory count as well.
        let memory = [limits.memory, limits.output_bytes, limits.scratch_bytes, KERNEL];
        let files = limits.output_files.saturating_mul(2).saturating_add(SCRATCH_FILES).saturating_mul(4096);
        let memory = memory.into_iter().fold(files, u64::saturating_add).min(i64::MAX.cast_unsigned()).to_string();

        let mut group = Self::default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        for line in own.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(place)) = (fields.next(), fields.next()) else { continue };
            let place = place.trim_start_matches('/');
            match controllers {
                "" => {
                    let beside = Path::new(place).parent().unwrap_or(Path::new(""));
                    let _ = group
                        .add(&Path::new(ROOT).join(beside), &[("pids.max", &processes), ("memory.max", &memory)])
                        || group.add(Path::new(ROOT), &[("pids.max", &processes), ("memory.max", &memory)]);
                }
                "pids" => drop(group.add(&Path::new(ROOT).join("pids").join(place), &[("pids.max", &processes)])),
                "memory" => {
                    let below = Path::new(ROOT).join("memory").join(place);
                    group.add(&below, &[("memory.limit_in_bytes", &memory)]);
                }
                controllers if controllers.split(',').any(|controller| controller == "cpuacct") => {
                    group.add(&Path::new(ROOT).join("cpuacct").join(place), &[]);
                }
                _ => {}
            }
        }
        group
    }

    /// Makes a group in a folder. Returns whether it is there with its limits.
    fn add(&mut self, parent: &Path, limits: &[(&str, &str)]) -> bool {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("stoa-sandbox-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = parent.join(name);
        if fs::create_dir(&folder).is_err() {
            return false;
        }
        let set = limits.iter().try_for_each(|(name, value)| write(&folder.join(name), value));
        if set.is_err() {
            remove(&folder);
            return false;
        }
        // Not everywhere is there swap to be kept from.
        let _ = write(&folder.join("memory.swap.max"), "0");
        self.counts_processes |= limits.iter().any(|(name, _)| *name == "pids.max");
        let first = |names: [&str; 2]| names.map(|name| folder.join(name)).into_iter().find(|file| file.exists());
        self.killed = first(["memory.events", "memory.oom_control"]).or(self.killed.take());
        self.time = first(["cpuacct.usage", "cpu.stat"]).or(self.time.take());
        self.folders.push(folder);
        true
    }

    /// Puts a process into the groups; those that it starts will be in them.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn take(&self, process: Pid) -> io::Result<()> {
        let number = process.as_raw_nonzero().to_string();
        self.folders.iter().try_for_each(|folder| write(&folder.join("cgroup.procs"), &number))
    }

    /// The time of processors that all processes have used that were ever in the groups, if the kernel counts it for them.
    pub fn cpu(&self) -> Option<Duration> {
        time(&fs::read_to_string(self.time.as_ref()?).ok()?)
    }

    /// Whether the kernel has killed a process because they had too much memory.
    pub fn out_of_memory(&self) -> bool {
        let told = self.killed.as_ref().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        told.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.folders.iter().for_each(|folder| remove(folder));
    }
}

/// Reads `cpu.stat` of version 2, or `cpuacct.usage` of version 1, which is nanoseconds.
fn time(told: &str) -> Option<Duration> {
    match told.lines().find_map(|line| line.strip_prefix("usage_usec ")) {
        Some(micros) => micros.trim().parse().ok().map(Duration::from_micros),
        None => told.trim().parse().ok().map(Duration::from_nanos),
    }
}

/// Writes to a file that is there.
fn write(file: &Path, value: &str) -> io::Result<()> {
    use io::Write as _;
    fs::OpenOptions::new().write(true).open(file)?.write_all(value.as_bytes())
}

/// Removes a group. Processes that have ended take a moment to leave it.
fn remove(folder: &Path) {
    for _ in 0..50 {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => thread::sleep(Duration::from_millis(10)),
            Err(error) => return tracing::warn!(%error, "a control group is left: {}", folder.display()),
            Ok(()) => return,
        }
    }
    tracing::warn!("a control group is left: {}", folder.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_read_as_either_version_tells_it() {
        assert_eq!(time("usage_usec 1234\nuser_usec 1000\nsystem_usec 234\n"), Some(Duration::from_micros(1234)));
        assert_eq!(time("1234567\n"), Some(Duration::from_nanos(1_234_567)));
        // What version 1 calls `cpu.stat` tells nothing of it.
        assert_eq!(time("nr_periods 0\nnr_throttled 0\nthrottled_time 0\n"), None);
        assert_eq!(time(""), None);
    }
}

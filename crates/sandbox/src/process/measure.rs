//! What the processes of a sandbox use, as its own `/proc` shows it.

use rustix::{
    fs::{Dir, Mode, OFlags, openat},
    io::read,
    param::{clock_ticks_per_second, page_size},
};
use std::{os::fd::OwnedFd, time::Duration};

/// All processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Processes and threads, without the first one, which is the sandbox's own.
    pub processes: u64,
    /// Bytes in memory.
    pub memory: u64,
    /// Time of processors, that of processes which have ended included.
    pub cpu: Duration,
}

/// Measures the processes in a `/proc`. Those that end meanwhile are not counted. A tick that each has begun counts whole, one for those
/// that have ended too, or what takes less would be free.
pub(super) fn measure(proc: &OwnedFd) -> Usage {
    let tick = ticks(1);
    let mut sum = Usage { cpu: tick, ..Usage::default() };
    for entry in Dir::read_from(proc).into_iter().flatten().flatten() {
        let Ok(number) = entry.file_name().to_str() else { continue };
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        if let Some(usage) = stat(proc, number).as_deref().and_then(parse) {
            let (processes, begun) = if number == "1" { (0, Duration::ZERO) } else { (usage.processes, tick) };
            sum.processes += processes;
            sum.memory = sum.memory.saturating_add(usage.memory);
            sum.cpu = sum.cpu.saturating_add(usage.cpu).saturating_add(begun);
        }
    }
    sum
}

fn stat(proc: &OwnedFd, number: &str) -> Option<String> {
    let file = openat(proc, format!("{number}/stat"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut bytes = [0; 1024];
    let count = read(&file, &mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes[..count]).into_owned())
}

/// So many ticks of the kernel's clock.
fn ticks(count: u64) -> Duration {
    Duration::from_millis(count.saturating_mul(1000) / clock_ticks_per_second().max(1))
}

/// Reads `/proc/<pid>/stat` (proc(5)). The second field is a name that the process chooses: what counts is behind its last
/// bracket.
fn parse(stat: &str) -> Option<Usage> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_ascii_whitespace().collect();
    // The third field of the manual is the first one here.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let cpu = ticks(field(14)? + field(15)? + field(16)? + field(17)?);
    Some(Usage { processes: field(20)?, memory: field(24)?.saturating_mul(page_size() as u64), cpu })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_cannot_name_its_way_out_of_being_measured() {
        let numbers = "S 1 2 2 0 -1 4194560 9 0 0 0 100 50 25 25 20 0 3 0 7 8 9 18446744073709551615 1";
        for name in ["python3", "a) R 1 1 1", ") ", "(("] {
            let usage = parse(&format!("12 ({name}) {numbers}")).unwrap();
            assert_eq!((usage.processes, usage.memory), (3, 9 * page_size() as u64));
            assert_eq!(usage.cpu.as_millis() as u64, 200 * 1000 / clock_ticks_per_second());
        }
        assert_eq!(parse("12 (cut off"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_tick_that_has_begun_counts() {
        let proc = tempfile::tempdir().unwrap();
        let cpu = || measure(&rustix::fs::open(proc.path(), OFlags::RDONLY, Mode::empty()).unwrap()).cpu;
        assert_eq!(cpu(), ticks(1), "a sandbox that has ended before anybody looked");
        for (process, so_far) in [("1", 1), ("12", 2)] {
            let folder = proc.path().join(process);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("stat"), "12 (a) S 1 2 2 0 -1 4194560 9 0 0 0 0 0 0 0 20 0 3 0 7 8 9 1 1")
                .unwrap();
            assert_eq!(cpu(), ticks(so_far));
        }
    }
}

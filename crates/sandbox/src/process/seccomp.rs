//! Which calls of the kernel a process may make.
//!
//! A list of what is allowed, so that what is new or forgotten is refused, the calls of other modes of the processor as well.
//! It is what programs, interpreters and numerical libraries use: files, memory, processes and threads, signals, time, pipes.
//! Not in it: new namespaces, mounts, sockets (a pair that is connected to nobody else is), tracing, keys, BPF, `io_uring`,
//! performance counters, modules, clocks, memory that no limit counts (`memfd_create`, System V's), `userfaultfd`; and where no
//! control group counts time, what is done when a child ends.
//!
//! All sandboxes see the same files of the system. So nothing is in it by which whoever has one open tells something to whoever else has:
//! locks, leases and watches of files, what is asked about the memory in which the kernel keeps them, or taken out of it.

use crate::Error;
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Is, SeccompCondition as Condition,
    SeccompFilter, SeccompRule as Rule,
};
use std::collections::BTreeMap;

/// What is allowed whatever its arguments are.
const ALLOWED: &[c_long] = &[
    // Files.
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_copy_file_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fallocate,
    libc::SYS_fchdir,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fdatasync,
    libc::SYS_fgetxattr,
    libc::SYS_flistxattr,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_linkat,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pipe2,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_read,
    libc::SYS_readahead,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_renameat2,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_symlinkat,
    libc::SYS_sync_file_range,
    libc::SYS_tee,
    libc::SYS_truncate,
    libc::SYS_umask,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_chdir,
    // Waiting.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_signalfd4,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_gettime,
    libc::SYS_timerfd_settime,
    // Memory.
    libc::SYS_brk,
    libc::SYS_membarrier,
    libc::SYS_mlock,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_msync,
    libc::SYS_munlock,
    libc::SYS_munmap,
    libc::SYS_get_mempolicy,
    // Processes and threads.
    libc::SYS_capget,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_getcpu,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getgroups,
    libc::SYS_getpgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getpriority,
    libc::SYS_getresgid,
    libc::SYS_getresuid,
    libc::SYS_getrusage,
    libc::SYS_getsid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    // By rules that this side has made, for no others can be.
    libc::SYS_landlock_restrict_self,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
    libc::SYS_rseq,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getattr,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_setpgid,
    libc::SYS_setpriority,
    libc::SYS_setsid,
    libc::SYS_sysinfo,
    libc::SYS_times,
    libc::SYS_uname,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_getrandom,
    // Signals.
    libc::SYS_kill,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    libc::SYS_tkill,
    // Time.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getitimer,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_setitimer,
    libc::SYS_timer_create,
    libc::SYS_timer_delete,
    libc::SYS_timer_getoverrun,
    libc::SYS_timer_gettime,
    libc::SYS_timer_settime,
    // Between the two ends of a pair.
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
];

/// What this processor has beside: older forms of the same.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_alarm,
    libc::SYS_arch_prctl,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_creat,
    libc::SYS_dup2,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_fork,
    libc::SYS_futimesat,
    libc::SYS_getdents,
    libc::SYS_getpgrp,
    libc::SYS_lchown,
    libc::SYS_link,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_mknod,
    libc::SYS_open,
    libc::SYS_pause,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_rmdir,
    libc::SYS_select,
    libc::SYS_signalfd,
    libc::SYS_stat,
    libc::SYS_symlink,
    libc::SYS_time,
    libc::SYS_unlink,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_vfork,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[libc::SYS_renameat];

/// New namespaces of every kind (`CLONE_NEW*`), that of time among them.
const NAMESPACES: u64 = 0x7e02_0080;
/// Puts characters into a terminal's input, as if somebody had typed them (`TIOCSTI`, `TIOCLINUX`).
const TYPING: [u64; 2] = [0x5412, 0x541c];
/// What may be asked of an open file: nothing that whoever has opened the same one notices, as he does its locks and leases.
const ASKED: [libc::c_int; 8] = [
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETPIPE_SZ,
    libc::F_SETPIPE_SZ,
];
/// Takes a file out of memory (`POSIX_FADV_DONTNEED`; of what is mapped `MADV_COLD`, `MADV_PAGEOUT`).
const FORGET: u64 = libc::POSIX_FADV_DONTNEED as u64;
const FORGET_MAPPED: [u64; 2] = [libc::MADV_COLD as u64, libc::MADV_PAGEOUT as u64];
/// Reads what is in memory, and says so if it is not (`RWF_NOWAIT`).
const IN_MEMORY: u64 = libc::RWF_NOWAIT as u64;
/// `AF_UNIX`.
const UNIX: u64 = 1;
/// A child has ended.
const CHILD: u64 = libc::SIGCHLD as u64;

/// The filters, as bytes for `bwrap --seccomp`. What they refuse fails with `ENOSYS`, as if the kernel did not have it.
pub(super) struct Filters {
    counted: Vec<u8>,
    uncounted: Vec<u8>,
}

impl Filters {
    /// Made once, and not for each program.
    ///
    /// # Errors
    ///
    /// If there are none for this processor.
    pub fn new() -> Result<Self, Error> {
        // The kernel's own form: code, two jumps, and a value.
        let bytes = |step: &seccompiler::sock_filter| {
            let [low, high] = step.code.to_ne_bytes();
            let [a, b, c, d] = step.k.to_ne_bytes();
            [low, high, step.jt, step.jf, a, b, c, d]
        };
        let filter = |counted| Ok::<_, Error>(program(counted)?.iter().flat_map(bytes).collect());
        Ok(Self { counted: filter(true)?, uncounted: filter(false)? })
    }

    /// That for processes whose time a control group counts, or not.
    pub fn of(&self, counted: bool) -> &[u8] {
        if counted { &self.counted } else { &self.uncounted }
    }
}

/// The filter's steps; `counted` is whether a control group counts the processes' time.
fn program(counted: bool) -> Result<BpfProgram, Error> {
    let failed =
        |error: seccompiler::BackendError| Error::Machine(format!("no filter for calls of the kernel: {error}"));
    let when = |conditions: Vec<Result<Condition, _>>| {
        let conditions = conditions.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(vec![Rule::new(conditions)?])
    };
    let mut rules: BTreeMap<c_long, Vec<Rule>> =
        ALLOWED.iter().chain(OLDER).map(|number| (*number, Vec::new())).collect();
    // Its flags come as the first argument. `clone3` has them in memory, where no filter sees them: the C library falls back.
    let clone = vec![Condition::new(0, Length::Qword, Is::MaskedEq(NAMESPACES), 0)];
    rules.insert(libc::SYS_clone, when(clone).map_err(failed)?);
    let typing = TYPING.map(|request| Condition::new(1, Length::Dword, Is::Ne, request)).into();
    rules.insert(libc::SYS_ioctl, when(typing).map_err(failed)?);
    let pair = vec![Condition::new(0, Length::Dword, Is::Eq, UNIX)];
    rules.insert(libc::SYS_socketpair, when(pair).map_err(failed)?);
    let asked =
        ASKED.map(|command| when(vec![Condition::new(1, Length::Dword, Is::Eq, u64::from(command.cast_unsigned()))]));
    let asked = asked.into_iter().collect::<Result<Vec<_>, _>>().map_err(failed)?;
    rules.insert(libc::SYS_fcntl, asked.concat());
    let advice = vec![Condition::new(3, Length::Dword, Is::Ne, FORGET)];
    rules.insert(libc::SYS_fadvise64, when(advice).map_err(failed)?);
    let advice = FORGET_MAPPED.map(|advice| Condition::new(2, Length::Dword, Is::Ne, advice)).into();
    rules.insert(libc::SYS_madvise, when(advice).map_err(failed)?);
    let flags = vec![Condition::new(5, Length::Dword, Is::MaskedEq(IN_MEMORY), 0)];
    rules.insert(libc::SYS_preadv2, when(flags).map_err(failed)?);
    if !counted {
        // What a signal does lies in memory, where no filter sees it. So at this one it stays as it is, and may be asked for.
        let mut either = when(vec![Condition::new(0, Length::Dword, Is::Ne, CHILD)]).map_err(failed)?;
        either.extend(when(vec![Condition::new(1, Length::Qword, Is::Eq, 0)]).map_err(failed)?);
        rules.insert(libc::SYS_rt_sigaction, either);
    }

    let refuse = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let target = std::env::consts::ARCH.try_into().map_err(failed)?;
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, target).map_err(failed)?;
    BpfProgram::try_from(filter).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, io, mem::MaybeUninit, os::fd::AsRawFd as _, ptr, thread};

    /// Whether a thread under the filter may ask what a signal does, and set it to that.
    #[expect(unsafe_code, reason = "calls of the kernel")]
    fn may(counted: bool, signal: libc::c_int) -> (bool, bool) {
        let program = program(counted).unwrap();
        let tried = thread::spawn(move || {
            seccompiler::apply_filter(&program).unwrap();
            let mut action = MaybeUninit::<libc::sigaction>::zeroed();
            // SAFETY: one is written and read, and nothing changes.
            unsafe {
                (
                    libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0,
                    libc::sigaction(signal, action.as_ptr(), ptr::null_mut()) == 0,
                )
            }
        });
        tried.join().unwrap()
    }

    #[test]
    #[expect(unsafe_code, reason = "calls of the kernel")]
    fn nobody_tells_by_a_file_that_others_have_open_as_well() {
        let (program, file) = (program(true).unwrap(), tempfile::tempfile().unwrap());
        // SAFETY: these calls take numbers, and nothing that they are given to write to; a descriptor that is made stays open.
        let call = |number, arguments: [c_long; 6]| unsafe {
            let [a, b, c, d, e, f] = arguments;
            match libc::syscall(number, a, b, c, d, e, f) {
                -1 => io::Error::last_os_error().raw_os_error().unwrap(),
                _ => 0,
            }
        };
        let of = move |file: &File| {
            let file = c_long::from(file.as_raw_fd());
            let fcntl = |command: libc::c_int| call(libc::SYS_fcntl, [file, command.into(), 0, 0, 0, 0]);
            let asked = [libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL].map(fcntl);
            // Locks of a process (5 to 7) and of an open file (36 to 38), signals about it, leases, watches, hints to its file system.
            let told =
                [5, 6, 7, 36, 37, 38, libc::F_SETLEASE, libc::F_GETLEASE, libc::F_NOTIFY, 8, 10, 1036].map(fcntl);
            let others = [
                call(libc::SYS_flock, [file, libc::LOCK_EX.into(), 0, 0, 0, 0]),
                call(libc::SYS_inotify_init1, [0; 6]),
                call(libc::SYS_mincore, [0; 6]),
                call(libc::SYS_openat2, [0; 6]),
                call(libc::SYS_fadvise64, [file, 0, 0, libc::POSIX_FADV_DONTNEED.into(), 0, 0]),
                call(libc::SYS_preadv2, [file, 0, 0, 0, 0, libc::RWF_NOWAIT.into()]),
                call(libc::SYS_madvise, [0, 0, libc::MADV_COLD.into(), 0, 0, 0]),
                call(libc::SYS_madvise, [0, 0, libc::MADV_PAGEOUT.into(), 0, 0, 0]),
            ];
            let read = [
                call(libc::SYS_fadvise64, [file, 0, 0, libc::POSIX_FADV_WILLNEED.into(), 0, 0]),
                call(libc::SYS_preadv2, [file, 0, 0, 0, 0, 0]),
                call(libc::SYS_madvise, [0, 0, libc::MADV_DONTNEED.into(), 0, 0, 0]),
            ];
            (asked, told, others, read)
        };
        let tried = thread::spawn(move || {
            seccompiler::apply_filter(&program).unwrap();
            of(&file)
        });
        let no = libc::ENOSYS;
        assert_eq!(tried.join().unwrap(), ([0; 5], [no; 12], [no; 8], [0; 3]));
    }

    #[test]
    fn nobody_has_his_children_thrown_away_whose_time_no_group_counts() {
        assert_eq!(may(false, libc::SIGCHLD), (true, false));
        assert_eq!([may(true, libc::SIGCHLD), may(false, libc::SIGUSR1)], [(true, true); 2]);
    }
}

use super::*;
use std::thread;

#[test]
fn a_loop_without_end_runs_out_of_time_or_of_the_processor() {
    let mut job = script("while True: pass");
    job.limits.wall = Duration::from_millis(500);
    let outcome = run(&job);
    assert_eq!((outcome.ended, outcome.deterministic), (Ended::OutOfTime, false));
    assert!(outcome.used.wall < Duration::from_secs(20), "{:?}", outcome.used);
    job.limits.wall = Duration::from_secs(60);
    job.limits.cpu = Duration::from_millis(500);
    assert_eq!(run(&job).ended, Ended::OutOfCpu);
    // Many together use up what one may.
    let many = "import os\nfor _ in range(4): os.fork() or [None for _ in iter(int, 1)]\nimport time; time.sleep(100)";
    assert_eq!(run(&Job { code: Source::from(many.as_bytes()), ..job }).ended, Ended::OutOfCpu);
}

#[test]
fn who_waits_much_longer_than_it_computes_is_ended() {
    let mut job = script("import time; time.sleep(40)");
    job.limits.idle = Duration::from_secs(2);
    let outcome = run(&job);
    assert!(outcome.ended == Ended::OutOfTime && outcome.used.wall < Duration::from_secs(20), "{outcome:?}");
    let late = |wall, cpu| {
        let [wall, cpu] = [wall, cpu].map(Duration::from_secs);
        is_late(Used { wall, cpu, ..Used::default() }, &job.limits)
    };
    // With an eighth of a processor it goes on, until its time is over.
    assert_eq!([late(2, 0), late(3, 0), late(10, 1), late(11, 1), late(61, 60)], [false, true, false, true, true]);
}

#[test]
fn processes_that_nobody_waits_for_use_up_what_one_may() {
    // The kernel throws them away as soon as they end, if it lets itself be told so: their time is in nobody's then.
    let flag = "libc.sigaction(17, bytes(136) + (2).to_bytes(8, 'little') + bytes(8), None)";
    for ignoring in ["signal.signal(signal.SIGCHLD, signal.SIG_IGN)", flag] {
        let mut job = script(&format!(
            "import ctypes, os, signal, time
libc = ctypes.CDLL(None)
try: {ignoring}
except OSError: pass
for _ in range(200):
    if os.fork() == 0:
        while time.process_time() < 0.02: pass
        os._exit(0)
    try: os.wait()
    except ChildProcessError: pass"
        ));
        job.limits.cpu = Duration::from_millis(500);
        let outcome = run(&job);
        assert_eq!(outcome.ended, Ended::OutOfCpu, "{ignoring}: {outcome:?}");
    }
}

#[test]
fn what_ends_before_anybody_has_looked_is_not_free_and_has_limits() {
    let mut job = script("");
    job.command = vec!["true".into()];
    let outcome = run(&job);
    assert!(outcome.succeeded() && !outcome.used.cpu.is_zero(), "{outcome:?}");
    job.limits.cpu = Duration::from_nanos(1);
    assert_eq!(run(&job).ended, Ended::OutOfCpu);
}

#[test]
fn a_fork_bomb_is_ended_with_all_its_processes() {
    let outcome = run(&script("import os\nwhile True:\n  try: os.fork()\n  except OSError: pass"));
    // Where the kernel refuses more processes, they use up the processor instead.
    assert!(matches!(outcome.ended, Ended::TooManyProcesses | Ended::OutOfCpu), "{:?}", outcome.ended);
    assert!(outcome.used.wall < Duration::from_secs(40), "{:?}", outcome.used);
}

#[test]
fn what_goes_on_in_the_background_ends_with_the_program() {
    let script = script(
        "import os, time
if os.fork() == 0:
    os.setsid()
    while True: open('/out/late', 'w').write(str(time.time())); time.sleep(0.01)
time.sleep(0.1)",
    );
    let outcome = run(&script);
    assert!(outcome.succeeded(), "{outcome:?}");
    assert!(outcome.used.wall < Duration::from_secs(20));
}

#[test]
fn memory_beyond_the_limit_is_refused_or_ends_the_program() {
    let one = script("x = []\nwhile True: x.append(b'x' * (1 << 20))");
    let outcome = run(&one);
    assert!(outcome.ended == Ended::OutOfMemory || outcome.log.text().contains("MemoryError"), "{outcome:?}");
    assert!(outcome.used.memory < 512 << 20);
    // Each within the limit of one.
    let many = script("import os, time\nfor _ in range(3): os.fork()\nx = b'x' * (100 << 20)\ntime.sleep(30)");
    assert_eq!(run(&many).ended, Ended::OutOfMemory);
    // Memory that is nobody's.
    let hidden = "import os, ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.memfd_create(b'x', 0), libc.shmget(0, 1 << 20, 0o1600))";
    assert_eq!(says(hidden), "-1 -1\n");
}

#[test]
fn a_full_disk_is_an_error_and_too_much_output_is_no_result() {
    let fill = |place: &str| {
        format!(
            "import sys
try:
    for number in range(100): open(f'{place}/{{number % 8}}', 'ab').write(b'x' * (256 << 10))
except OSError as error: sys.exit(error.errno)"
        )
    };
    assert_eq!(run(&script(&fill("/tmp"))).ended, Ended::Exited(28));
    assert_eq!(run(&script(&fill("/out"))).ended, Ended::OutputTooLarge);
    let many = script("for number in range(1000): open(f'/out/{number}', 'w')");
    assert_eq!(run(&many).ended, Ended::OutputTooLarge);
    // What is in memory beside: of files without anything in them its bounds in bytes know nothing.
    for place in ["/tmp", "/dev/shm"] {
        let many = format!("import time\nfor number in range(20000): open(f'{place}/{{number}}', 'w')\ntime.sleep(1)");
        assert_eq!(run(&script(&many)).ended, Ended::OutputTooLarge, "{place}");
    }
    for place in ["/", "/dev", "/data", "/code", "/usr", "/proc", "/home"] {
        let outcome = run(&script(&format!("open('{place}/new', 'w')")));
        assert_eq!(outcome.ended, Ended::Exited(1), "{place}");
    }
}

#[test]
fn what_a_program_left_does_not_change_while_it_is_read() {
    // Whoever would put a link in the place of a file is gone by then.
    let script = script(
        "import os
open('/out/result', 'w').write('as it was')
if os.fork() == 0:
    os.setsid()
    while True:
        os.symlink('/etc/passwd', '/out/link'); os.rename('/out/link', '/out/result')
        open('/out/file', 'w').write('as it was'); os.rename('/out/file', '/out/result')",
    );
    for _ in 0..5 {
        let outcome = run(&script);
        assert!(outcome.succeeded(), "{outcome:?}");
        let files: Vec<_> = outcome.output.files.values().collect();
        assert!(files.iter().all(|bytes| b"as it was".starts_with(bytes)), "{outcome:?}");
    }
}

#[test]
fn a_flood_of_the_log_is_cut_off_and_does_no_harm() {
    let outcome = run(&script("import sys\nfor _ in range(10000): print('x' * 1000)\nprint('y', file=sys.stderr)"));
    assert_eq!((outcome.ended, outcome.log.bytes.len(), outcome.log.truncated), (Ended::Exited(0), 10_000, true));
}

#[test]
fn there_is_no_network() {
    let text = "import socket
for family, kind in [(socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET6, socket.SOCK_DGRAM),
                     (socket.AF_UNIX, socket.SOCK_STREAM), (socket.AF_NETLINK, socket.SOCK_RAW)]:
    try: socket.socket(family, kind); print('opened', family)
    except OSError as error: print(error.errno)
one, two = socket.socketpair()
one.send(b'between us'); print(two.recv(100))";
    assert_eq!(says(text), "38\n38\n38\n38\nb'between us'\n");
}

#[test]
fn the_kernel_refuses_what_programs_have_no_use_for() {
    let text = "import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments): return ctypes.get_errno() if libc.syscall(*arguments) == -1 else 'done'
# mount, ptrace, bpf, keyctl, io_uring_setup, unshare, perf_event_open, setns, clone3, userfaultfd, pivot_root, add_key
print({call(number, 0, 0, 0, 0, 0) for number in [165, 101, 321, 250, 425, 272, 298, 308, 435, 323, 155, 248]})
# A new namespace of users, by way of clone; a form of open that is of another mode of the processor (x32).
print(call(56, 0x10000000 | 17, 0, 0, 0, 0), call(0x40000002, b'/data', 0))";
    if cfg!(target_arch = "x86_64") {
        assert_eq!(says(text), "{38}\n38 38\n");
    }
}

#[test]
fn two_sandboxes_tell_each_other_nothing_by_locks_of_what_both_see() {
    let text = "import fcntl, os, struct, subprocess
file = open('/usr/bin/env', 'rb')
lock = struct.pack('hhqqi', fcntl.F_WRLCK, 0, 0, 0, 0)
for call in [lambda: fcntl.flock(file, fcntl.LOCK_EX), lambda: fcntl.lockf(file, fcntl.LOCK_SH), lambda: fcntl.fcntl(file, 36, lock),
             lambda: fcntl.fcntl(file, fcntl.F_GETLK, lock), lambda: fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK),
             lambda: fcntl.fcntl(file, fcntl.F_NOTIFY, fcntl.DN_ACCESS),
             lambda: os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED),
             lambda: os.preadv(file.fileno(), [bytearray(9)], 0, os.RWF_NOWAIT)]:
    try: call(); print('done')
    except OSError as error: print(error.errno, end=' ')
# What programs do with descriptors goes on.
os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
os.set_blocking(os.dup(file.fileno()), False)
print(subprocess.run(['sh', '-c', 'exec 7</usr/bin/env; cat | sort'], input=b'b\\na\\n', capture_output=True).stdout)";
    // Of the last the C library says so in its own words.
    assert_eq!(says(text), "38 38 38 38 38 38 38 95 b'a\\nb\\n'\n");
}

#[test]
fn nothing_of_the_machine_is_seen() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "of another job").unwrap();
    let text = format!(
        "import os
for path in ['/etc/shadow', '/etc/passwd', '/root', '/home', '/var', '/sys', '/run', '/data/other', {:?}]:
    print(path, os.path.exists(path)) if os.path.exists(path) else None
print(sorted(os.listdir('/')))
print(sorted(os.environ))
print(os.getuid(), os.uname().nodename, os.listdir('/tmp'), os.listdir('/out'))
print(len([name for name in os.listdir('/proc') if name.isdigit()]) < 5, os.getpid() < 10)
print([line for line in open('/proc/self/status') if line.startswith('CapEff')])",
        secret.path().display().to_string()
    );
    let said = says(&text);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 5, "{said}");
    assert!(lines[0].contains("'code', 'data', 'dev'") && !lines[0].contains("home"), "{said}");
    assert!(!lines[1].contains("CARGO"), "{said}");
    assert_eq!(lines[2], "1000 sandbox [] []");
    assert_eq!(lines[3], "True True");
    assert!(lines[4].contains("0000000000000000"), "{said}");
}

#[test]
fn other_processes_and_the_kernels_switches_are_out_of_reach() {
    let text = "import os
for path, how in [('/proc/sys/kernel/core_pattern', 'w'), ('/proc/sys/kernel/hostname', 'w'), ('/proc/sysrq-trigger', 'w'),
                  ('/proc/sys/vm/drop_caches', 'w'), ('/proc/1/environ', 'r'), ('/proc/1/mem', 'r+b'), ('/proc/kcore', 'rb'),
                  ('/proc/self/oom_score_adj', 'w'), ('/proc/cmdline', 'r'), ('/dev/tty', 'r')]:
    try:
        file = open(path, how)
        said = file.read(10) if how[0] == 'r' else 'for writing'
        if said: print('opened', path, said)
    except OSError: pass
try: os.listdir('/proc/1/root/etc/shadow'); print('listed')
except OSError: pass
try: os.kill(1, 9); print('sent')
except OSError: pass";
    let said = says(text);
    // A signal to the sandbox's own first process does nothing: it is the first one of its namespace.
    assert_eq!(said.replace("sent\n", ""), "");
}

#[test]
fn descriptors_of_this_process_are_not_inherited() {
    let open = std::fs::File::open("/etc/passwd").unwrap();
    // As a descriptor that came from whoever started this process.
    rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
    // The fourth is the folder that is being listed.
    assert_eq!(says("import os\nprint(sorted(os.listdir('/proc/self/fd')))"), "['0', '1', '2', '3']\n");
}

#[test]
fn a_run_is_cancelled_from_another_thread() {
    let (job, control) = (script("while True: pass"), Control::new());
    let outcome = thread::scope(|scope| {
        let run = scope.spawn(|| PROCESS.run(&job, &control).unwrap());
        while control.cpu().is_zero() && !run.is_finished() {
            thread::sleep(Duration::from_millis(5));
        }
        control.cancel();
        run.join().unwrap()
    });
    assert_eq!(outcome.ended, Ended::Cancelled);
}

#[test]
fn codes_and_signals_are_told_apart() {
    assert_eq!(run(&script("")).ended, Ended::Exited(0));
    assert_eq!(run(&script("import sys; sys.exit(7)")).ended, Ended::Exited(7));
    assert_eq!(run(&script("import os; os.kill(os.getpid(), 11)")).ended, Ended::Signalled(11));
    let mut job = script("");
    job.command = vec!["no-such-program".into()];
    let outcome = run(&job);
    assert!(!outcome.succeeded() && outcome.log.text().contains("no-such-program"), "{outcome:?}");
    job.command.clear();
    assert!(matches!(PROCESS.run(&job, &Control::new()), Err(Error::Job(_))));
}

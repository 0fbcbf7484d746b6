//! What Landlock refuses and nothing else does: each is tried without it as well. Where the kernel has none, nothing is tried.

use super::*;

/// What a script says with Landlock and without, if there is Landlock in this version.
fn with_and_without(least: u32, job: &Job) -> Option<[String; 2]> {
    if PROCESS.landlock() < Some(least) {
        return None;
    }
    let without = Process { landlock: None, ..Process::new().unwrap() };
    Some([&*PROCESS, &without].map(|process| {
        let outcome = process.run(job, &Control::new()).unwrap();
        assert!(outcome.succeeded(), "{:?}\n{}", outcome.ended, outcome.log.text());
        outcome.log.text()
    }))
}

/// A script that tries some things, and says for each whether it worked or the number of its error.
fn tries(least: u32, setup: &str, tried: &[&str]) -> Option<[String; 2]> {
    let tried: Vec<_> = tried.iter().map(|tried| format!("lambda: {tried}")).collect();
    let text = format!(
        "import os, signal, socket, subprocess, termios, tty
{setup}
for does in [{}]:
    try: does(); print('worked', end=' ')
    except OSError as error: print(error.errno, end=' ')",
        tried.join(", ")
    );
    with_and_without(least, &script(&text))
}

#[test]
fn a_program_opens_no_terminal() {
    let tried = ["os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY)", "os.openpty()", "os.open('/dev/ptmx', os.O_RDONLY)"];
    if let Some(said) = tries(1, "", &tried) {
        assert_eq!(said, ["13 13 13 ", "worked worked worked "]);
    }
}

#[test]
fn a_program_makes_no_calls_of_devices() {
    // `RNDGETENTCNT`.
    let tried = ["__import__('fcntl').ioctl(open('/dev/urandom'), 0x80045200, bytes(4))"];
    if let Some(said) = tries(5, "", &tried) {
        assert_eq!(said, ["13 ", "worked "]);
    }
}

#[test]
fn a_program_does_not_look_into_the_first_process_of_its_sandbox() {
    let tried = ["os.readlink('/proc/1/fd/0')", "open('/proc/1/maps').read()", "os.readlink('/proc/1/exe')"];
    if let Some(said) = tries(1, "", &tried) {
        assert_eq!(said, ["13 13 13 ", "worked worked worked "]);
    }
    if let Some(said) = tries(6, "", &["os.kill(1, signal.SIGTERM)", "os.kill(os.getpid(), 0)"]) {
        assert_eq!(said, ["1 worked ", "worked worked "]);
    }
}

#[test]
fn data_and_results_are_not_executed() {
    let setup = "for place in ['/out/program', '/dev/shm/program', '/tmp/program']:
    open(place, 'w').write('#!/bin/sh\\n'); os.chmod(place, 0o755)";
    let tried = ["/data/program", "/out/program", "/dev/shm/program", "/tmp/program"]
        .map(|program| format!("subprocess.run(['{program}'])"));
    let mut job = script(&format!(
        "import os, subprocess
{setup}
for does in [{}]:
    try: does(); print('worked', end=' ')
    except OSError as error: print(error.errno, end=' ')",
        tried.map(|tried| format!("lambda: {tried}")).join(", ")
    ));
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    std::fs::copy("/bin/true", &program).unwrap();
    job.inputs = vec![Input { name: "program".into(), source: program.into() }];
    if let Some(said) = with_and_without(1, &job) {
        assert_eq!(said, ["13 13 13 worked ", "worked worked worked worked "]);
    }
}

#[test]
fn what_a_jobs_variables_say_is_done_under_the_rules_alone() {
    // The loader complains once for each program that it loads with this variable.
    let mut job = script("");
    job.variables = vec![("LD_PRELOAD".into(), "/no-such-library".into())];
    if let Some(said) = with_and_without(1, &job) {
        assert_eq!(said.map(|said| said.matches("/no-such-library").count()), [1, 1]);
    }
}

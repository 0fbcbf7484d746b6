use super::*;
use crate::Input;
use std::{path::Path, process::Command};

#[test]
fn a_program_in_c_finds_what_it_expects() {
    let place = tempfile::tempdir().unwrap();
    let module = place.path().join("program.wasm");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wasm/tests/program.c");
    let compiled =
        Command::new("clang").args(["--target=wasm32-wasi", "-O2"]).arg(source).arg("-o").arg(&module).output();
    if !compiled.is_ok_and(|output| output.status.success()) {
        println!("skipped: it takes clang, lld, wasi-libc and libclang-rt-dev-wasm32");
        return;
    }
    let set = place.path().join("set");
    std::fs::create_dir(&set).unwrap();
    for name in ["two", "one"] {
        std::fs::write(set.join(name), name).unwrap();
    }
    let mut job = Job::new(module);
    job.command = ["program", "x", "y"].map(str::to_owned).to_vec();
    job.params = b"[1]".to_vec();
    job.inputs = vec![Input { name: "set".into(), source: set.into() }];
    job.time = 1_700_000_000;
    let outcome = run(&job);
    assert_eq!(outcome.ended, Ended::Exited(5), "{}", outcome.log.text());
    let expected = "3 arguments, the last is y, at 1700000000
params [1]
entry one
entry two
size 21, dated 1700000000
no such file
Read-only file system
bye
";
    assert_eq!(outcome.log.text(), expected);
    assert_eq!(outcome.output.files["final"], b"Pi is 3.142\nand more\n"[..]);
    assert_eq!(outcome.output.files.len(), 1);
    assert_eq!(run(&job).used.fuel, outcome.used.fuel);
}

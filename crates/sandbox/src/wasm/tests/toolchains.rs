use super::*;
use crate::Input;
use std::{path::Path, process::Command};

#[test]
fn a_program_in_c_finds_what_it_expects() {
    let place = tempfile::tempdir().unwrap();
    let module = place.path().join("program.wasm");
    let source =
        Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("src/wasm/tests/program.c");
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

#[test]
fn a_program_in_rust_finds_what_it_expects_and_is_refused_the_rest() {
    let place = tempfile::tempdir().unwrap();
    let component = place.path().join("program.wasm");
    let source =
        Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("src/wasm/tests/program.rs");
    let compiled = Command::new("rustc")
        .args(["--edition", "2024", "-O", "--target", "wasm32-wasip2"])
        .arg(source)
        .arg("-o")
        .arg(&component)
        .output()
        .unwrap();
    if !compiled.status.success() {
        let said = String::from_utf8_lossy(&compiled.stderr);
        assert!(said.contains("target may not be installed"), "{said}");
        println!("skipped: it takes rustup target add wasm32-wasip2");
        return;
    }
    let mut job = Job::new(component);
    job.command = ["program", "x", "y"].map(str::to_owned).to_vec();
    job.params = b"[1]".to_vec();
    let set = place.path().join("set");
    std::fs::create_dir(&set).unwrap();
    for name in ["two", "three"] {
        std::fs::write(set.join(name), name).unwrap();
    }
    job.inputs = vec![Input { name: "set".into(), source: set.into() }];
    job.time = 1_700_000_000;
    let outcome = run(&job);
    let expected = r#"["x", "y"] at 1700000000
params [1]
entry "three" 5
entry "two" 3
final: "Pi is 3.142\nand more\n"
the same again: true
an hour: 1
read /etc/passwd: refused
read /data/../../etc/passwd: refused
write to /data: refused
make in /data: refused
connect: refused
listen: refused
bind: refused
look up: refused
bye
"#;
    assert_eq!((outcome.log.text().as_str(), &outcome.ended), (expected, &Ended::Exited(0)));
    assert_eq!(outcome.output.files.keys().collect::<Vec<_>>(), ["final", "large", "order"]);
    assert_eq!(outcome.output.files["large"].len(), 3_000_000);
    let again = Wasm::new(None).unwrap().run(&job, &Control::new()).unwrap();
    assert_eq!((&again.output, again.used.fuel), (&outcome.output, outcome.used.fuel));
    job.seed = [1; 32];
    assert_ne!(run(&job).output.files["order"], outcome.output.files["order"]);
}

use super::{errno::Errno, *};
use crate::Input;
use std::fs;

fn with_input(program: &Program, name: &str, source: Source) -> Job {
    let mut job = program.job();
    job.inputs.push(Input { name: name.into(), source });
    job
}

/// Copies what can be read from a path under `/data` to the log; ends with the first error.
fn cat(path: &str) -> Program {
    let mut program = Program::new();
    let open = program.open(3, path, 0, READ);
    program.does(&format!(
        "(if (local.tee $i {open}) (then (call $exit (local.get $i))))
        (i32.store (i32.const 100) (i32.const 65536))
        (i32.store (i32.const 104) (i32.const 7))
        (loop $again
            (if (local.tee $i (call $fd_read (call $told) (i32.const 100) (i32.const 1) (i32.const 108)))
                (then (call $exit (local.get $i))))
            (drop (call $put (i32.const 1) (i32.const 65536) (i32.load (i32.const 108))))
            (br_if $again (i32.load (i32.const 108))))"
    ));
    program
}

#[test]
fn inputs_are_read_where_the_job_puts_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("deep/er")).unwrap();
    fs::write(folder.path().join("deep/er/file.txt"), "within a folder").unwrap();
    fs::write(folder.path().join("alone"), "a file").unwrap();

    let sources = [
        ("set/deep/er/file.txt", Source::Path(folder.path().into()), "within a folder"),
        ("set/./deep/../alone", Source::Path(folder.path().into()), "a file"),
        ("set", Source::Path(folder.path().join("alone")), "a file"),
        ("set", Source::from(&b"bytes alone"[..]), "bytes alone"),
    ];
    for (path, source, content) in sources {
        let outcome = run(&with_input(&cat(path), "set", source));
        assert_eq!((outcome.ended, outcome.log.text().as_str()), (Ended::Exited(0), content), "{path}");
    }
    let mut job = cat("params.json").job();
    job.params = br#"{"epochs": 3}"#.to_vec();
    assert_eq!(run(&job).log.text(), r#"{"epochs": 3}"#);
    assert_eq!(cat("other-job/secret").ended(), code(Errno::NotFound));
}

#[test]
fn links_in_inputs_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::os::unix::fs::symlink(secret.path(), folder.path().join("link")).unwrap();
    std::os::unix::fs::symlink("/etc", folder.path().join("etc")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    for path in ["set/link", "set/etc/passwd", "set/pipe"] {
        assert_eq!(run(&with_input(&cat(path), "set", folder.path().to_owned().into())).ended, code(Errno::NotFound));
    }
}

#[test]
fn an_input_that_becomes_shorter_or_a_link_voids_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "as it was").unwrap();
    let files = fs_of(&with_input(&Program::new(), "set", folder.path().to_owned().into()));
    fs::write(&path, "less").unwrap();
    let changed = open(files);
    assert!(matches!(changed, Some(Error::Input { .. })), "{changed:?}");

    fs::write(&path, "as it was").unwrap();
    let files = fs_of(&with_input(&Program::new(), "set", folder.path().to_owned().into()));
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    assert!(matches!(open(files), Some(Error::Input { .. })));
}

fn fs_of(job: &Job) -> super::super::fs::Files {
    super::super::fs::Files::new(job).unwrap()
}

fn open(mut files: super::super::fs::Files) -> Option<Error> {
    let id = files.find(super::super::fs::Files::DATA, &["set", "file"]).unwrap();
    assert_eq!(files.open(id), Err(Errno::Io));
    files.take_failure()
}

#[test]
fn data_cannot_be_changed() {
    let path = "set";
    for (how, rights) in [(0, WRITE), (8, READ), (CREATE, WRITE)] {
        let mut program = Program::new();
        let open = program.open(3, path, how, rights);
        program.exits(&open);
        assert_eq!(run(&with_input(&program, "set", Source::from(&b"x"[..]))).ended, code(Errno::ReadOnly));
    }
    for call in ["$mkdir", "$unlink"] {
        let mut program = Program::new();
        let name = program.text(if call == "$mkdir" { "new" } else { "set" });
        program.exits(&format!("(call {call} (i32.const 3) {name})"));
        assert_eq!(run(&with_input(&program, "set", Source::from(&b"x"[..]))).ended, code(Errno::ReadOnly), "{call}");
    }
    let mut program = Program::new();
    let (open, write) = (program.open(3, path, 0, READ), program.write("(call $told)", "x"));
    program.does(&format!("(drop {open})")).exits(&write);
    assert_eq!(run(&with_input(&program, "set", Source::from(&b"x"[..]))).ended, code(Errno::BadFile));
}

#[test]
fn what_is_written_under_out_comes_out_and_nothing_else() {
    let mut program = Program::new();
    let folder = program.text("a");
    program.does(&format!("(drop (call $mkdir (i32.const 4) {folder}))"));
    for (number, path) in [(4, "a/result"), (4, "top"), (5, "scratch")] {
        let (open, write) = (program.open(number, path, CREATE, WRITE), program.write("(call $told)", path));
        program.does(&format!("(drop {open}) (drop {write})"));
    }
    let (from, to) = (program.text("top"), program.text("a/moved"));
    program.exits(&format!("(call $rename (i32.const 4) {from} (i32.const 4) {to})"));
    let outcome = program.run();
    assert!(outcome.succeeded(), "{outcome:?}");
    let files: Vec<_> = outcome.output.files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
    assert_eq!(files, [("a/moved", &b"top"[..]), ("a/result", b"a/result")]);

    let place = tempfile::tempdir().unwrap();
    outcome.output.write_to(&place.path().join("out")).unwrap();
    assert_eq!(fs::read(place.path().join("out/a/moved")).unwrap(), b"top");
}

#[test]
fn links_cannot_be_made() {
    let mut program = Program::new();
    let (to, name) = (program.text("/etc/shadow"), program.text("link"));
    program.exits(&format!("(call $symlink {to} (i32.const 4) {name})"));
    let outcome = program.run();
    assert_eq!(outcome.ended, code(Errno::NotSupported));
    assert!(outcome.output.files.is_empty());
}

#[test]
fn parameters_that_are_not_json_and_bad_names_are_refused() {
    let program = Program::new();
    let refused = |change: &dyn Fn(&mut Job)| {
        let mut job = program.job();
        change(&mut job);
        match WASM.run(&job, &Control::new()) {
            Err(Error::Job(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    assert!(refused(&|job| job.params = b"{epochs: 3}".to_vec()).contains("not JSON"));
    for name in ["", "..", "a/b", ".hidden", "params.json", "a\0"] {
        refused(&|job| job.inputs.push(Input { name: name.into(), source: Source::from(&b""[..]) }));
    }
    let missing = with_input(&program, "set", Source::Path("/nowhere/at/all".into()));
    assert!(matches!(WASM.run(&missing, &Control::new()), Err(Error::Input { .. })));
}

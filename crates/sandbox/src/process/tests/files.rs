use super::*;
use std::{fs, os::unix::fs::symlink};

#[test]
fn a_program_reads_its_data_and_leaves_files() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("deep")).unwrap();
    fs::write(folder.path().join("deep/file"), "in a folder").unwrap();
    let mut job = script(
        "import json, os
params = json.load(open('/data/params.json'))
os.makedirs('/out/a/b')
text = open('/data/set/deep/file').read() + open('/data/bytes').read()
open('/out/a/b/result', 'w').write(text * params['times'])
open('/tmp/scratch', 'w').write('x')
print('done')",
    );
    job.params = br#"{"times": 2}"#.to_vec();
    job.inputs = vec![
        Input { name: "set".into(), source: folder.path().to_owned().into() },
        Input { name: "bytes".into(), source: Source::from(&b", and bytes. "[..]) },
    ];
    let outcome = run(&job);
    assert!(outcome.succeeded(), "{}", outcome.log.text());
    let files: Vec<_> = outcome.output.files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
    assert_eq!(files, [("a/b/result", &b"in a folder, and bytes. in a folder, and bytes. "[..])]);
    assert_eq!((outcome.log.text().as_str(), outcome.output.skipped.len()), ("done\n", 0));
}

#[test]
fn a_program_finds_its_variables_and_its_files_at_places_of_its_own() {
    let mut job = script(
        "import os
open('/data/outputs/result', 'w').write(os.environ['DIDS'] + open('/data/inputs/0').read())
print(os.path.samefile('/data/deep/algorithm', '/code/main'), os.listdir('/data/outputs'), os.environ['HOME'])",
    );
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("0"), "rows").unwrap();
    job.inputs = vec![Input { name: "inputs".into(), source: folder.path().to_owned().into() }];
    job.variables = vec![("DIDS".into(), "[\"did:op:1\"] ".into())];
    let link = |link: &str, to: &str| (link.to_owned(), to.to_owned());
    job.links = vec![link("/data/outputs", "/out"), link("/data/deep/algorithm", "/code/main")];
    let outcome = run(&job);
    assert_eq!(outcome.log.text(), "True ['result'] /tmp\n");
    assert_eq!(outcome.output.files["result"], b"[\"did:op:1\"] rows");
    for (variables, links) in [
        (vec![link("", "1")], vec![]),
        (vec![link("A=B", "1")], vec![]),
        (vec![link("A", "\0")], vec![]),
        (vec![], vec![link("outputs", "/out")]),
    ] {
        let job = Job { variables, links, ..script("") };
        assert!(matches!(PROCESS.run(&job, &Control::new()), Err(Error::Job(_))));
    }
}

#[test]
fn code_is_a_file_or_a_folder_of_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("helper.py"), "word = 'help'").unwrap();
    fs::write(folder.path().join("main.py"), "import helper; print(helper.word)").unwrap();
    let mut job = script("");
    job.command = vec!["python3".into(), "/code/main.py".into()];
    job.code = folder.path().to_owned().into();
    assert_eq!(run(&job).log.text(), "help\n");
    fs::write(folder.path().join("main.py"), "print('alone')").unwrap();
    job.code = folder.path().join("main.py").into();
    assert_eq!(run(&job).log.text(), "alone\n");
}

#[test]
fn data_cannot_be_changed_and_links_in_it_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "as it was").unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    symlink(secret.path(), folder.path().join("secret")).unwrap();
    symlink("/etc/shadow", folder.path().join("shadow")).unwrap();
    let mut job = script(
        "import os, shutil
def fails(does, *arguments):
    try: does(*arguments); print('worked', does, arguments)
    except OSError: pass
fails(open, '/data/set/file', 'w'); fails(open, '/data/set/new', 'w'); fails(os.remove, '/data/set/file')
fails(os.chmod, '/data/set/file', 0o777); fails(os.rename, '/data/set/file', '/data/set/other')
fails(open, '/data/set/secret'); fails(open, '/data/set/shadow')
fails(os.link, '/data/set/file', '/out/link')
os.symlink('/data/set/file', '/out/file'); fails(open, '/out/file', 'w')",
    );
    job.inputs = vec![Input { name: "set".into(), source: folder.path().to_owned().into() }];
    let outcome = run(&job);
    assert_eq!((outcome.log.text().as_str(), outcome.ended), ("", Ended::Exited(0)));
    assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "as it was");
    assert_eq!(outcome.output.skipped, ["file"]);
}

#[test]
fn links_pipes_and_second_names_in_out_are_not_followed() {
    let job = script(
        "import os, socket
os.symlink('/etc/shadow', '/out/link'); os.symlink('/', '/out/root'); os.symlink('.', '/out/self')
os.mkfifo('/out/pipe'); open('/out/one', 'w').write('x'); os.link('/out/one', '/out/two')
os.mknod('/out/socket', 0o140600)
open(b'/out/\\xff', 'w'); open('/out/good', 'w').write('good')
try: os.mknod('/out/memory', 0o020600, os.makedev(1, 1)); print('a device')
except OSError: pass",
    );
    let outcome = run(&job);
    assert!(outcome.succeeded(), "{}", outcome.log.text());
    assert_eq!(outcome.log.text(), "");
    assert_eq!(outcome.output.files.keys().collect::<Vec<_>>(), ["good"]);
    assert_eq!(outcome.output.skipped, ["link", "one", "pipe", "root", "self", "socket", "two", "\u{fffd}"]);
}

#[test]
fn what_a_program_lets_nobody_look_at_is_passed_over_and_its_run_has_come_to_its_end() {
    let job = script(
        "import os
for folder in ['shut', 'dark']: os.mkdir('/out/' + folder); open(f'/out/{folder}/file', 'w').write('x')
for name in ['own', 'set', 'good']: open('/out/' + name, 'w').write(name)
for name, mode in [('shut', 0o444), ('dark', 0), ('own', 0), ('set', 0o6755)]: os.chmod('/out/' + name, mode)",
    );
    let outcome = run(&job);
    assert!(outcome.succeeded(), "{:?} {}", outcome.ended, outcome.log.text());
    let seen: Vec<_> = outcome.output.files.keys().map(String::as_str).collect();
    // Root looks everywhere.
    match rustix::process::geteuid().is_root() {
        true => assert_eq!(seen, ["dark/file", "good", "own", "set", "shut/file"]),
        false => {
            assert_eq!(seen, ["good", "set"]);
            assert_eq!(outcome.output.skipped, ["dark", "own", "shut/file"]);
        }
    }
    let all = run(&script("import os; open('/out/good', 'w').write('good'); os.chmod('/out', 0)"));
    assert!(all.succeeded(), "{:?} {}", all.ended, all.log.text());
}

#[test]
fn folders_within_each_other_are_followed_to_a_bound_and_names_have_one() {
    let mut job = script(
        "import os
os.chdir('/out')
open('n' * 255, 'w').write('long')
try: open('n' * 256, 'w'); print('longer')
except OSError: pass
for _ in range(200): os.mkdir('n'); os.chdir('n')
open('file', 'w').write('deep')",
    );
    job.limits.output_files = 1_000;
    let outcome = run(&job);
    assert_eq!((outcome.ended, outcome.log.text().as_str()), (Ended::Exited(0), ""));
    assert_eq!(outcome.output.files.keys().collect::<Vec<_>>(), [&"n".repeat(255)]);
    assert_eq!(outcome.output.skipped, [["n"; 65].join("/")]);
}

#[test]
fn a_file_cannot_be_made_huge_by_leaving_holes() {
    // Beyond what one file may have, the kernel refuses; several together are noticed.
    let one = run(&script("open('/out/sparse', 'wb').truncate(1 << 40)"));
    assert!(one.log.text().contains("File too large"), "{one:?}");
    let many = run(&script("for name in 'abcd': open('/out/' + name, 'wb').truncate(1 << 20)"));
    assert_eq!(many.ended, Ended::OutputTooLarge);
}

#[test]
fn a_folder_can_be_shown_at_its_own_place() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("module.py"), "word = 'shown'").unwrap();
    let place = folder.path().display().to_string();
    let process = Process::new().unwrap().with_folder(folder.path()).unwrap();
    let job = script(&format!("import sys; sys.path.append({place:?}); import module; print(module.word)"));
    assert_eq!(process.run(&job, &Control::new()).unwrap().log.text(), "shown\n");
    assert_ne!(process.id(), PROCESS.id());
    // Programs of its own come before the system's; one file is a program by its first line.
    fs::create_dir(folder.path().join("bin")).unwrap();
    symlink("/bin/echo", folder.path().join("bin/python3")).unwrap();
    let mut job = script("#!/usr/bin/env python3\nprint('python')");
    job.command = vec!["/code/main".into(), "argument".into()];
    assert_eq!(process.run(&job, &Control::new()).unwrap().log.text(), "/code/main argument\n");
    assert_eq!(run(&job).log.text(), "python\n");
}

#[test]
fn a_folder_that_is_said_from_here_is_shown_and_its_programs_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let up: PathBuf = std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect();
    fs::create_dir(folder.path().join("bin")).unwrap();
    symlink("/bin/echo", folder.path().join("bin/python3")).unwrap();
    let from_here = up.join(folder.path().strip_prefix("/").unwrap());
    let process = Process::new().unwrap().with_folder(from_here).unwrap();
    let outcome = process.run(&script("print('python')"), &Control::new()).unwrap();
    assert_eq!(outcome.log.text(), "/code/main\n");
    assert!(Process::new().unwrap().with_folder("").is_err());
}

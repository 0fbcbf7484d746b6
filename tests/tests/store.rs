//! `stoa store`, as people and programs call it.

use eyre::{ContextCompat as _, Result, ensure};
use serde_json::Value;
use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use stoa_tests::variable;

/// Runs `stoa --json store` in a folder; the object that it printed, or what it complained of.
fn store(folder: &Path, arguments: &[&str]) -> Result<std::result::Result<Value, String>> {
    let program = variable("STOA_BIN")?;
    let output = Command::new(program).current_dir(folder).args(["--json", "store"]).args(arguments).output()?;
    match output.status.success() {
        true => Ok(Ok(serde_json::from_slice(&output.stdout)?)),
        false => Ok(Err(String::from_utf8([output.stdout, output.stderr].concat())?)),
    }
}

#[test]
fn files_and_folders_go_in_and_come_back_and_are_freed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let run = |arguments: &[&str]| store(folder.path(), arguments);
    let done = |arguments: &[&str]| run(arguments)?.map_err(eyre::Report::msg);
    let content = (0..200_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>();
    fs::write(at("rows"), &content)?;
    fs::create_dir(at("set"))?;
    fs::write(at("set").join("rows"), &content)?;
    fs::write(at("set").join("licence"), "CC0")?;

    let put = done(&["put", "rows"])?;
    let id = put["id"].as_str().wrap_err("an id")?;
    ensure!(put["kind"] == "file" && put["size"] == content.len());
    ensure!(done(&["put", "rows"])?["id"] == id, "the same file has another id");
    done(&["get", id, "--to", "again"])?;
    ensure!(fs::read(at("again"))? == content);
    let set = done(&["put", "set"])?;
    ensure!(set["size"] == content.len() + 3, "{set}");
    let set = set["id"].as_str().wrap_err("an id")?;
    ensure!(done(&["get", set, "--to", "copy"])?["size"] == content.len() + 3);
    ensure!(fs::read(at("copy").join("rows"))? == content && fs::read(at("copy").join("licence"))? == b"CC0");

    // The folder still needs the rows.
    ensure!(done(&["ls"])?["objects"].as_array().map(Vec::len) == Some(2));
    ensure!(done(&["rm", id])?["freed"].as_u64() < Some(1000));
    ensure!(done(&["rm", set])?["freed"].as_u64() > Some(content.len() as u64));

    for (arguments, complaint) in [
        (["rm", id].as_slice(), "does not keep"),
        (&["get", id, "--to", "nowhere"], "does not have"),
        (&["put", "nothing"], "cannot read nothing"),
    ] {
        let said = run(arguments)?.err().wrap_err("it should have failed")?;
        ensure!(said.contains(complaint), "{arguments:?}: {said}");
    }
    Ok(())
}

#[test]
fn damage_is_named_and_never_given_out() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let run = |arguments: &[&str]| store(folder.path(), arguments);
    fs::write(folder.path().join("rows"), vec![7; 500_000])?;
    let put = run(&["put", "rows"])?.map_err(eyre::Report::msg)?;
    let id = put["id"].as_str().wrap_err("an id")?;
    let mut files = Vec::new();
    let mut folders = vec![folder.path().join(".stoa/store")];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let (path, length) = {
                let entry = entry?;
                (entry.path(), entry.metadata()?.len())
            };
            if path.is_dir() {
                folders.push(path)
            } else if length == 500_000 {
                files.push(path)
            }
        }
    }
    ensure!(files.len() == 1, "the rows lie in {files:?}");
    let mut bytes = fs::read(&files[0])?;
    bytes[250_000] ^= 1;
    fs::write(&files[0], bytes)?;
    let said = run(&["get", id, "--to", "again"])?.err().wrap_err("damaged rows were given out")?;
    ensure!(said.contains(id) && !folder.path().join("again").exists(), "{said}");
    // Each time, in one object, by the name that it is listed under.
    for _ in 0..2 {
        let said = run(&["status", "--scrub"])?.err().wrap_err("the damage is not noticed")?;
        let said: Value = serde_json::from_str(&said)?;
        ensure!(said["error"].as_str().is_some_and(|error| error.contains("1 object damaged")), "{said}");
        ensure!(said["damaged"][0]["object"] == id && said["objects"] == 1, "{said}");
        let aside = said["damaged"][0]["setAside"].as_str().wrap_err("a place")?;
        ensure!(fs::metadata(folder.path().join(aside))?.len() == 500_000, "{said}");
        let listed = run(&["ls"])?.map_err(eyre::Report::msg)?;
        ensure!(listed["objects"][0]["damaged"] == true, "{listed}");
    }
    let said = run(&["get", id, "--to", "again"])?.err().wrap_err("damaged rows were given out")?;
    ensure!(said.contains("damaged here"), "{said}");
    // Until it is put again.
    ensure!(run(&["put", "rows"])?.map_err(eyre::Report::msg)?["id"] == id);
    let status = run(&["status", "--scrub"])?.map_err(eyre::Report::msg)?;
    ensure!(status["damaged"].as_array().is_some_and(Vec::is_empty), "{status}");
    Ok(())
}

/// The length of the longest file in a folder whose name begins like this.
fn come(folder: &Path, name: &str) -> u64 {
    let named = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(name);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().filter(named);
    entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).max().unwrap_or(0)
}

/// Kills a command with -9 when something of it has come to a file in a folder. How much it was.
fn killed(folder: &Path, arguments: &[&str], at: &Path, name: &str) -> Result<u64> {
    const SOME: u64 = 8 << 20;
    let mut command = Command::new(variable("STOA_BIN")?);
    let mut child =
        command.current_dir(folder).arg("store").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let until = Instant::now() + Duration::from_secs(60);
    while come(at, name) < SOME {
        ensure!(Instant::now() < until && child.try_wait()?.is_none(), "{} bytes came", come(at, name));
        thread::sleep(Duration::from_millis(1));
    }
    child.kill()?;
    child.wait()?;
    Ok(come(at, name))
}

#[test]
fn a_large_put_and_a_large_get_that_were_killed_go_on_where_they_were() -> Result<()> {
    const LENGTH: u64 = 192 << 20;
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let done = |arguments: &[&str]| store(folder.path(), arguments)?.map_err(eyre::Report::msg);
    let mut file = fs::File::create(at("rows"))?;
    for number in 0..LENGTH / (1 << 20) {
        let words = (0..1 << 17).map(|at| ((number << 32) | at).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        file.write_all(&words.flat_map(u64::to_le_bytes).collect::<Vec<_>>())?;
    }
    drop(file);
    let resumed = |said: &Value| said["resumed"].as_u64().wrap_err_with(|| said.to_string());
    let unfinished = at(".stoa/store/unfinished");
    killed(folder.path(), &["put", "rows"], &unfinished, "")?;
    let status = done(&["status"])?;
    ensure!(status["objects"] == 0 && status["unfinished"] == 1, "{status}");
    ensure!(status["unfinishedBytes"].as_u64() >= Some(8 << 20), "{status}");
    let put = done(&["put", "rows"])?;
    let id = put["id"].as_str().wrap_err("an id")?;
    ensure!((8 << 20..LENGTH).contains(&resumed(&put)?), "{put}");
    ensure!(fs::read_dir(&unfinished)?.next().is_none(), "something was left behind");

    let there = killed(folder.path(), &["get", id, "--to", "copy"], folder.path(), "copy.")?;
    ensure!(!at("copy").exists() && there < LENGTH, "it was whole before it was killed");
    let got = done(&["get", id, "--to", "copy"])?;
    ensure!((8 << 20..LENGTH).contains(&resumed(&got)?), "{got}");
    ensure!(fs::read(at("copy"))? == fs::read(at("rows"))?, "it is something else");
    ensure!(come(folder.path(), "copy.") == 0, "something was left behind");
    // What nothing was left of says so.
    ensure!(resumed(&done(&["get", id, "--to", "other"])?)? == 0);

    // What nobody wants to go on with is dropped when it is asked for.
    killed(folder.path(), &["put", "other"], &unfinished, "")?;
    let dropped = done(&["rm", "--unfinished"])?;
    ensure!(dropped["dropped"] == 1 && dropped["freed"].as_u64() >= Some(8 << 20), "{dropped}");
    ensure!(fs::read_dir(&unfinished)?.next().is_none() && done(&["status"])?["unfinished"] == 0);
    ensure!(done(&["ls"])?["objects"].as_array().map(Vec::len) == Some(1), "what was put went as well");
    Ok(())
}

#[test]
fn what_is_neither_a_file_nor_a_folder_is_refused_at_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    ensure!(Command::new("mkfifo").arg(folder.path().join("pipe")).status()?.success(), "no pipe");
    for what in ["/dev/null", "pipe"] {
        let said = store(folder.path(), &["put", what])?.err().wrap_err("it was kept")?;
        ensure!(said.contains("neither a file nor a folder"), "{said}");
    }
    Ok(())
}

#[test]
fn output_that_nobody_reads_ends_a_command_and_a_full_disk_is_said() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("rows"), vec![7; 500_000])?;
    let put = store(folder.path(), &["put", "rows"])?.map_err(eyre::Report::msg)?;
    let id = put["id"].as_str().wrap_err("an id")?;
    let program = variable("STOA_BIN")?;
    let into = |stdout: Stdio, words: &[&str]| -> Result<(Option<i32>, String)> {
        let mut command = Command::new(&program);
        let output = command.current_dir(folder.path()).args(words).stdout(stdout).output()?;
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    };
    for words in [&["store", "ls"][..], &["--json", "store", "ls"], &["store", "get", id, "--to", "-"]] {
        // Nobody has the other end any more.
        let (_, closed) = std::io::pipe()?;
        let (code, said) = into(closed.into(), words)?;
        ensure!(code == Some(141) && said.is_empty(), "{words:?}: {code:?}, {said}");
        let full = fs::File::options().write(true).open("/dev/full")?;
        let (code, said) = into(full.into(), words)?;
        ensure!(code == Some(1) && said.contains("cannot write to standard output"), "{words:?}: {code:?}, {said}");
        ensure!(!said.contains("history"), "{said}");
    }
    Ok(())
}

#[test]
fn what_was_typed_wrong_is_said_to_programs_as_other_errors_are() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let run = |words: &[&str]| -> Result<Output> {
        Ok(Command::new(variable("STOA_BIN")?).current_dir(folder.path()).args(words).output()?)
    };
    for (words, complaint) in [
        (&["store", "frobnicate", "--json"][..], "frobnicate"),
        (&["--json", "store", "put"], "required"),
        (&["--json", "store", "rm", "--unfinished", "--everywhere"], "cannot be used with"),
        (&["--json", "verify", "0x12", "--network-key", "0x8a"], "0x12 is no address: want 0x and 40 hex digits"),
        (
            &["--json", "verify", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92267", "--network-key", "0x8a"],
            "its checksum does not fit",
        ),
        (
            &["--json", "verify", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "--network-key", "0x8a"],
            "192 hex digits",
        ),
    ] {
        let output = run(words)?;
        ensure!(output.status.code() == Some(2) && output.stderr.is_empty(), "{words:?}: {output:?}");
        let said: Value = serde_json::from_slice(&output.stdout)?;
        ensure!(said["error"].as_str().is_some_and(|error| error.contains(complaint)), "{words:?}: {said}");
    }
    // People read it where errors are, and help is no error.
    let output = run(&["store", "frobnicate"])?;
    ensure!(output.status.code() == Some(2) && output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
    let output = run(&["--json", "--help"])?;
    ensure!(output.status.success() && output.stdout.starts_with(b"Stoa"), "{output:?}");
    Ok(())
}

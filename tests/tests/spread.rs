//! Six nodes that keep what others want to have kept, each a process.

use eyre::{ContextCompat as _, Result, WrapErr as _, ensure};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use stoa_tests::{Network, Node, variable};
use tempfile::TempDir;

/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// A network of one validator, nodes that follow it and keep things, and people's folders.
struct Stage {
    folder: TempDir,
    chain: Node,
    keepers: Vec<Node>,
    /// How many there have been.
    started: usize,
}

/// A command of the program that prints one object.
fn stoa(folder: &Path, words: &[&str]) -> Result<Command> {
    let mut command = Command::new(variable("STOA_BIN")?);
    command.current_dir(folder).arg("--json").args(words).stdin(Stdio::null());
    Ok(command)
}

impl Stage {
    fn new(keepers: usize) -> Result<Self> {
        let (folder, chain) = (tempfile::tempdir()?, Node::start(Network::Up)?);
        fs::write(folder.path().join("passphrase"), "correct horse")?;
        let mut stage = Self { folder, chain, keepers: Vec::new(), started: 0 };
        (0..keepers).try_for_each(|_| stage.add())?;
        Ok(stage)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command with one of the development accounts, and returns the object that it printed.
    fn run(&self, account: usize, words: &[&str]) -> Result<Value> {
        let mut command = stoa(self.folder.path(), words)?;
        let output = command.args(["--http", self.chain.http(), "--account", &account.to_string()]).output()?;
        let (said, errors) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        ensure!(output.status.success(), "{words:?}: {said}{errors}");
        serde_json::from_str(&said).wrap_err_with(|| format!("{words:?}: {said}"))
    }

    /// Starts one more node that keeps things, and registers it, as a failure domain of its own.
    fn add(&mut self) -> Result<()> {
        let name = format!("node-{}.key", self.started);
        let key = ["node", "key", "--file", &name, "--passphrase-file", "passphrase"];
        ensure!(stoa(self.folder.path(), &key)?.output()?.status.success(), "no key");
        let (key, passphrase) = (self.at(&name), self.at("passphrase"));
        let options = ["--listen", "127.0.0.1:0", "--store-gib", "1", "--repair-after", "4"];
        let files =
            ["--key", &key.to_string_lossy(), "--passphrase-file", &passphrase.to_string_lossy()].map(String::from);
        let options: Vec<_> = options.into_iter().chain(files.iter().map(String::as_str)).collect();
        let peers = [self.chain.announced("followAt")?.to_owned()];
        let node = Node::follow(self.chain.announced("networkKey")?, &peers, &options)?;
        let address = node.announced("followAt")?;
        let (_, host) = address.split_once('@').wrap_err("an address")?;
        let join =
            ["node", "join", "--key", &name, "--key-passphrase-file", "passphrase", "--host", host, "--gib", "1"];
        self.run(self.started % 10, &join)?;
        self.keepers.push(node);
        self.started += 1;
        Ok(())
    }

    /// Kills some of the nodes with -9; they are not started again.
    fn kill(&mut self, count: usize) {
        drop(self.keepers.drain(..count));
    }
}

fn wait(mut child: Child) -> Result<bool> {
    let until = Instant::now() + LONG;
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        thread::sleep(Duration::from_millis(20));
    }
    child.kill()?;
    Ok(false)
}

#[test]
fn a_file_survives_three_of_six_nodes_then_is_repaired_and_survives_the_others() -> Result<()> {
    let mut stage = Stage::new(6)?;
    let content: Vec<_> = (0..12_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(stage.at("data"), &content)?;
    let put = stage.run(7, &["store", "--dir", "alice", "put", "data", "--spread"])?;
    let id = put["id"].as_str().wrap_err("an id")?.to_owned();
    ensure!(put["nodes"].as_array().map(Vec::len) == Some(6) && put["missingPieces"] == 0, "{put}");
    ensure!(put["survivesADomain"] == true, "{put}");
    // Sealed, coded three of six: twice the bytes, and nothing is left where it came from.
    ensure!(put["bytes"].as_u64() > Some(2 * content.len() as u64), "{put}");
    ensure!(stage.run(7, &["store", "--dir", "alice", "status"])?["blobs"] == 0);
    // The nodes cannot read it: no piece has any part of it.
    for keeper in &stage.keepers {
        let held = held(keeper)?;
        ensure!(held.len() > content.len() / 4, "{} bytes are held", held.len());
        ensure!(!held.windows(64).step_by(64).any(|window| window == &content[..64]));
    }

    // Three die while it is read.
    let words =
        ["store", "--dir", "reader", "get", &id, "--to", "copy", "--account", "7", "--http", stage.chain.http()];
    let reading = stoa(stage.folder.path(), &words)?.stdout(Stdio::null()).spawn()?;
    thread::sleep(Duration::from_millis(300));
    stage.kill(3);
    ensure!(wait(reading)?, "it was not read");
    ensure!(fs::read(stage.at("copy"))? == content, "it is something else");
    // Nobody but its owner opens it.
    let mut other = stoa(stage.folder.path(), &["store", "--dir", "other", "get", &id, "--to", "stolen"])?;
    let other = other.args(["--account", "3", "--http", stage.chain.http()]).output()?;
    ensure!(!other.status.success() && String::from_utf8(other.stdout)?.contains("another wallet"));
    ensure!(!stage.at("stolen").exists());

    // Three new nodes get the pieces that are gone, from those that are left: the owner is not there.
    (0..3).try_for_each(|_| stage.add())?;
    let until = Instant::now() + LONG;
    while stage.keepers[3..].iter().any(|keeper| held(keeper).map_or(0, |held| held.len()) < content.len() / 4) {
        ensure!(Instant::now() < until, "the pieces were not made anew: {}", stage.keepers[0].said());
        thread::sleep(Duration::from_millis(200));
    }
    stage.kill(3);
    stage.run(7, &["store", "--dir", "later", "get", &id, "--to", "again"])?;
    ensure!(fs::read(stage.at("again"))? == content, "it is something else");

    // Its owner takes it back: those that are there keep it no longer.
    let gone = stage.run(7, &["store", "--dir", "later", "rm", &id, "--everywhere"])?;
    ensure!(gone["letGo"].as_array().map(Vec::len) == Some(3), "{gone}");
    let mut after = stoa(stage.folder.path(), &["store", "--dir", "after", "get", &id, "--to", "nothing"])?;
    let after = after.args(["--account", "7", "--http", stage.chain.http()]).output()?;
    ensure!(!after.status.success(), "it is still there");
    Ok(())
}

/// The bytes of the blobs that a node keeps.
fn held(node: &Node) -> Result<Vec<u8>> {
    let (mut bytes, mut folders) = (Vec::new(), vec![node.chain_folder().join("store/blobs")]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry?.path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_none() => bytes.extend(fs::read(path)?),
                false => {}
            }
        }
    }
    Ok(bytes)
}

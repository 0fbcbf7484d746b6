//! A network whose nodes keep things for others, and people who use them from the command line.

use crate::{Network, Node, variable};
use eyre::{ContextCompat as _, Result, WrapErr as _, ensure, eyre};
use serde_json::Value;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Longer than anything takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(120);

/// A network of one validator, nodes that follow it and keep things, and people's folders.
pub struct Stage {
    /// Where people's files are.
    pub folder: TempDir,
    /// The validator.
    pub chain: Node,
    /// The nodes that keep things.
    pub keepers: Vec<Node>,
    /// Their public keys; node N was registered by account N.
    pub keys: Vec<String>,
    /// How many there have been.
    started: usize,
}

/// A command of the program that prints one object.
///
/// # Errors
///
/// If xtask did not say where the program is.
pub fn stoa(folder: &Path, words: &[&str]) -> Result<Command> {
    let mut command = Command::new(variable("STOA_BIN")?);
    command.current_dir(folder).arg("--json").args(words).stdin(Stdio::null());
    Ok(command)
}

/// A program that copies a file to `/out/result.json`.
///
/// # Errors
///
/// If the path is none that a module can hold.
pub fn copies(path: &str) -> Result<Vec<u8>> {
    let text = format!(
        r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (memory (export "memory") 4)
        (data (i32.const 4096) "{path}") (data (i32.const 5000) "result.json")
        (func (export "_start")
            (if (call $open (i32.const 3) (i32.const 0) (i32.const 4096) (i32.const {}) (i32.const 0) (i64.const 2) (i64.const 0)
                    (i32.const 0) (i32.const 0)) (then (call $exit (i32.const 7))))
            (i32.store (i32.const 100) (i32.const 65536)) (i32.store (i32.const 104) (i32.const 60000))
            (drop (call $read (i32.load (i32.const 0)) (i32.const 100) (i32.const 1) (i32.const 108)))
            (i32.store (i32.const 104) (i32.load (i32.const 108)))
            (drop (call $open (i32.const 4) (i32.const 0) (i32.const 5000) (i32.const 11) (i32.const 1) (i64.const 66)
                (i64.const 0) (i32.const 0) (i32.const 4)))
            (drop (call $write (i32.load (i32.const 4)) (i32.const 100) (i32.const 1) (i32.const 108)))))"#,
        path.len()
    );
    Ok(wat::parse_str(text)?)
}

impl Stage {
    /// A network with so many nodes that keep things.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn new(keepers: usize) -> Result<Self> {
        let (folder, chain) = (tempfile::tempdir()?, Node::start(Network::Up)?);
        let passphrase = folder.path().join("passphrase");
        fs::write(&passphrase, "correct horse")?;
        fs::set_permissions(&passphrase, Permissions::from_mode(0o600))?;
        let mut stage = Self { folder, chain, keepers: Vec::new(), keys: Vec::new(), started: 0 };
        (0..keepers).try_for_each(|_| stage.add())?;
        Ok(stage)
    }

    /// Where a file of this name is.
    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command with one of the development accounts, and returns the object that it printed.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn run(&self, account: usize, words: &[&str]) -> Result<Value> {
        let said = self.attempt(account, words)?;
        said.map_err(|why| eyre!("{words:?}: {why}"))
    }

    /// As [`run`](Self::run), or what the command complained of.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or prints no object.
    pub fn attempt(&self, account: usize, words: &[&str]) -> Result<std::result::Result<Value, String>> {
        let mut command = stoa(self.folder.path(), words)?;
        let output = command.args(["--http", self.chain.http(), "--account", &account.to_string()]).output()?;
        let (said, errors) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        match output.status.success() {
            true => serde_json::from_str(&said).map(Ok).wrap_err_with(|| format!("{words:?}: {said}")),
            false => Ok(Err(said + &errors)),
        }
    }

    /// Starts a node that follows with these options, and lets an account register it, saying this of it. Its public key as well.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn node(&self, name: &str, account: usize, options: &[&str], says: &[&str]) -> Result<(Node, String)> {
        let name = format!("{name}.key");
        let make = ["node", "key", "--file", &name, "--passphrase-file", "passphrase"];
        ensure!(stoa(self.folder.path(), &make)?.output()?.status.success(), "no key");
        let [key, passphrase] = [&name, "passphrase"].map(|name| self.at(name).to_string_lossy().into_owned());
        let own = ["--listen", "127.0.0.1:0", "--key", &key, "--key-passphrase-file", &passphrase];
        let peers = [self.chain.announced("followAt")?.to_owned()];
        let node = Node::follow(self.chain.announced("networkKey")?, &peers, &[&own[..], options].concat())?;
        let address = node.announced("followAt")?;
        let (_, host) = address.split_once('@').wrap_err("an address")?;
        let join = ["node", "join", "--key", &name, "--key-passphrase-file", "passphrase", "--host", host];
        let joined = self.run(account, &[&join[..], &["--fund", "1"], says].concat())?;
        let key = joined["key"].as_str().wrap_err("a key")?.to_owned();
        Ok((node, key))
    }

    /// Starts one more node that keeps things, and registers it, as a failure domain of its own, and as a keeper.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn add(&mut self) -> Result<()> {
        let (name, account) = (format!("node-{}", self.started), self.started % 10);
        let options = ["--store-gib", "1", "--repair-after", "4"];
        let (node, key) = self.node(&name, account, &options, &["--gib", "1", "--keeper"])?;
        self.keys.push(key);
        self.keepers.push(node);
        self.started += 1;
        Ok(())
    }

    /// Kills some of the nodes with -9; they are not started again.
    pub fn kill(&mut self, count: usize) {
        drop(self.keepers.drain(..count));
        self.keys.drain(..count);
    }
}

/// Holds a process still, or lets it go on: what is done meanwhile is done while it works, however fast it is.
///
/// # Errors
///
/// If the system refuses.
pub fn hold(process: &Child, still: bool) -> Result<()> {
    let signal = if still { "-STOP" } else { "-CONT" };
    let asked = Command::new("kill").args([signal, &process.id().to_string()]).status()?;
    ensure!(asked.success(), "it cannot be held");
    Ok(())
}

/// Waits for a process; whether it went well.
///
/// # Errors
///
/// If the system does not tell.
pub fn wait(mut child: Child) -> Result<bool> {
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

/// The bytes of the blobs that a node keeps.
///
/// # Errors
///
/// If they cannot be read.
pub fn held(node: &Node) -> Result<Vec<u8>> {
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

//! A node for a test: the program `stoa` on a free port of its own with a folder of its own, ended with the test.
//!
//! `cargo xtask test` builds the program and says where it and the other languages' packages are, in the environment:
//! `STOA_BIN`, `STOA_SOLIDITY`, `STOA_PYTHON`, `STOA_HARDHAT`.

pub mod load;
pub mod stage;
pub mod validators;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure, eyre};
use serde_json::Value;
use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{LazyLock, mpsc},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// Who gets what [`transfer`] sends.
pub const RECIPIENT: Address = Address::repeat_byte(0xaa);

/// A key that could be a network's (the generator of G2), and is no network's here.
pub const OTHER_KEY: &str = "0x93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e\
                             024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8";

/// A signed transfer of one wei to [`RECIPIENT`]: its hash, and its bytes.
///
/// # Errors
///
/// If it cannot be signed.
pub fn transfer(chain_id: u64, from: &PrivateKeySigner, nonce: u64) -> Result<(B256, Bytes)> {
    transaction(chain_id, from, nonce, TxKind::Call(RECIPIENT), 1, Bytes::new())
}

/// A signed transaction with so many wei: its hash, and its bytes.
///
/// # Errors
///
/// If it cannot be signed.
pub fn transaction(
    chain_id: u64,
    from: &PrivateKeySigner,
    nonce: u64,
    to: TxKind,
    value: u64,
    input: Bytes,
) -> Result<(B256, Bytes)> {
    let transaction = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: if input.is_empty() { 21_000 } else { 200_000 },
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to,
        value: U256::from(value),
        input,
        ..TxEip1559::default()
    };
    let signature = from.sign_hash_sync(&transaction.signature_hash())?;
    let envelope = TxEnvelope::from(transaction.into_signed(signature));
    Ok((*envelope.tx_hash(), envelope.encoded_2718().into()))
}

/// How long a node may take from its start until it serves.
const START: Duration = Duration::from_secs(30);

/// Which of the program's networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// `stoa up`: one validator through the real consensus engine.
    Up,
    /// `stoa dev`: a block for each transaction, time under the caller's control.
    Dev,
}

/// A running node. It is ended when this is dropped.
pub struct Node {
    process: Child,
    folder: TempDir,
    /// The command line.
    line: Vec<String>,
    /// The first line that it said.
    said: Value,
}

impl Node {
    /// Starts a new chain and waits until it is served.
    ///
    /// # Errors
    ///
    /// If the program is not there or does not serve within half a minute; what it said is part of the error.
    pub fn start(network: Network) -> Result<Self> {
        Self::start_with(network, &[])
    }

    /// As [`start`](Self::start), with further options.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(network: Network, options: &[&str]) -> Result<Self> {
        Self::on_network(&[], network, options)
    }

    /// As [`start`](Self::start), on one core of the machine's.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_on_one_core(network: Network) -> Result<Self> {
        Self::on_network(&["taskset", "--cpu-list", "0"], network, &[])
    }

    /// Starts a node that follows others, and waits until it serves. `options` are further ones of `stoa follow`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn follow(network_key: &str, peers: &[String], options: &[&str]) -> Result<Self> {
        let peers = peers.iter().flat_map(|peer| ["--peer", peer]);
        let words = ["follow", "--network-key", network_key].into_iter().chain(peers).chain(options.iter().copied());
        Self::launch(Vec::new(), words.map(str::to_owned).collect())
    }

    fn on_network(before: &[&str], network: Network, options: &[&str]) -> Result<Self> {
        // One validator: what other people's clients see does not depend on how many there are.
        let words: &[&str] = match network {
            Network::Up => &["up", "--validators", "1"],
            Network::Dev => &["dev"],
        };
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self::launch(owned(before), [owned(words), owned(options)].concat())
    }

    /// Starts the program with these words, and others before it.
    fn launch(before: Vec<String>, words: Vec<String>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut line = before;
        line.push(variable("STOA_BIN")?.to_string_lossy().into_owned());
        line.push("--json".to_owned());
        line.extend(words);
        line.extend(["--http", "127.0.0.1:0"].map(str::to_owned));
        line.extend(["--dir".to_owned(), folder.path().join("chain").to_string_lossy().into_owned()]);
        let (process, said) = Self::spawn(&line, folder.path())?;
        Ok(Self { process, folder, line, said })
    }

    /// Starts a process, and returns it with the first line that it says.
    fn spawn(line: &[String], folder: &Path) -> Result<(Child, Value)> {
        let errors = folder.join("stderr");
        let mut process = Command::new(&line[0])
            .args(&line[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors)?)
            .spawn()
            .wrap_err_with(|| format!("cannot start {line:?}"))?;
        let lines = BufReader::new(process.stdout.take().wrap_err("no standard output")?).lines();
        let (sender, receiver) = mpsc::channel();
        // Reads to the end, so that the node never waits for somebody to read.
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let said = match receiver.recv_timeout(START) {
            Ok(first) => match serde_json::from_str::<Value>(&first) {
                Ok(said) if said["error"].is_null() => Ok(said),
                Ok(said) => Err(eyre!("{line:?} ends: {}", said["error"])),
                Err(error) => Err(error).wrap_err_with(|| format!("not JSON: {first}")),
            },
            Err(_) => Err(eyre!("{line:?} does not serve")),
        };
        match said {
            Ok(said) => Ok((process, said)),
            Err(error) => {
                drop(process.kill());
                drop(process.wait());
                Err(error.wrap_err(fs::read_to_string(&errors).unwrap_or_default()))
            }
        }
    }

    /// `kill -9`. Its folder stays until this is dropped.
    ///
    /// # Errors
    ///
    /// If it has ended already.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// `kill -9`, and the same again in the same folder.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        (self.process, self.said) = Self::spawn(&self.line, self.folder.path())?;
        Ok(())
    }

    /// What the node said of itself when it began to serve.
    ///
    /// # Errors
    ///
    /// If it did not say that.
    pub fn announced(&self, name: &str) -> Result<&str> {
        self.said[name].as_str().wrap_err_with(|| format!("{name}: {}", self.said))
    }

    /// The address of JSON-RPC over HTTP.
    ///
    /// # Panics
    ///
    /// If the node did not say.
    pub fn http(&self) -> &str {
        self.announced("http").expect("every node says where it serves")
    }

    /// The address of JSON-RPC over WebSocket.
    ///
    /// # Panics
    ///
    /// If the node did not say.
    pub fn ws(&self) -> &str {
        self.announced("ws").expect("every node says where it serves")
    }

    /// The folder of its chain, and of what it keeps beside it.
    pub fn chain_folder(&self) -> PathBuf {
        self.folder.path().join("chain")
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What the node wrote to its standard error.
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    /// Runs a client's suite against the node, its output shown.
    ///
    /// # Errors
    ///
    /// If the suite fails, or the node has ended meanwhile.
    pub fn suite(&mut self, command: &mut Command) -> Result<()> {
        command.env("STOA_URL", self.http()).env("STOA_WS", self.ws()).env("STOA_PID", self.pid().to_string());
        let status = command.stdin(Stdio::null()).status().wrap_err_with(|| format!("cannot start {command:?}"))?;
        if let Some(ended) = self.process.try_wait()? {
            bail!("the node ended, {ended}: {}", self.said());
        }
        if !status.success() {
            bail!("the suite failed, {status}; the node said: {:?}", self.said());
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended on its own; then there is nothing to end.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The folder of JavaScript, Python and Solidity, where this package lies.
pub fn folder() -> &'static Path {
    // Asked for when it runs: what was built in another checkout may be what runs in this one.
    static FOLDER: LazyLock<PathBuf> =
        LazyLock::new(|| env::var_os("CARGO_MANIFEST_DIR").expect("Cargo says where a test's package is").into());
    &FOLDER
}

/// A suite for Node's own test runner.
pub fn node_suite(file: &str) -> Command {
    let mut command = Command::new("node");
    command.arg("--test-reporter=spec").arg(folder().join(file)).current_dir(folder());
    command
}

/// A suite for Python's own test runner, in the environment that xtask made.
///
/// # Errors
///
/// If xtask did not say where that is.
pub fn python_suite(file: &str) -> Result<Command> {
    let mut command = Command::new(variable("STOA_PYTHON")?);
    command.args(["-B", "-W", "ignore"]).arg(folder().join(file)).arg("--verbose").current_dir(folder());
    Ok(command)
}

/// A run of the Hardhat project on one of its networks.
pub fn hardhat_suite(network: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(folder().join("node_modules/.bin/hardhat")).args(["test", "--no-compile", "--network", network]);
    command.current_dir(folder().join("hardhat"));
    command
}

/// The program.
///
/// # Errors
///
/// If xtask did not say where it is.
pub fn program() -> Result<PathBuf> {
    variable("STOA_BIN")
}

/// A path that xtask puts into the environment.
///
/// # Errors
///
/// If it is not set, or nothing is there.
pub fn variable(name: &str) -> Result<PathBuf> {
    let path = env::var_os(name).map(PathBuf::from);
    let path = path.wrap_err_with(|| format!("{name} is not set: run this as `cargo xtask test --only clients`"))?;
    if !path.exists() {
        bail!("{name} is {}, which is not there: run `cargo xtask test --only clients`", path.display());
    }
    Ok(path)
}

/// Whether this may do what only root may: network namespaces, small disks.
///
/// # Errors
///
/// If it may not, unless `STOA_WITHOUT_ROOT` says that what needs root is to be left out.
pub fn is_root() -> Result<bool> {
    if env::var_os("STOA_WITHOUT_ROOT").is_some() {
        eprintln!("SKIPPED, for STOA_WITHOUT_ROOT is set: what needs root");
        return Ok(false);
    }
    let user = String::from_utf8(Command::new("id").arg("-u").output()?.stdout)?;
    ensure!(
        user.trim() == "0",
        "this needs root: run it as root, or leave out what needs root with STOA_WITHOUT_ROOT=1"
    );
    Ok(true)
}

/// Every file of a folder that is not empty.
///
/// # Errors
///
/// If it cannot be read.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(self::files(&path)?);
        } else if fs::metadata(&path)?.len() > 0 {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What a node answers to `GET path`: the status, and the body.
///
/// # Errors
///
/// If it does not answer, or not in HTTP.
pub fn get(node: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(node)?;
    stream.set_read_timeout(Some(START))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {node}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").wrap_err_with(|| format!("no HTTP: {answer}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.wrap_err_with(|| format!("no status: {head}"))?, body.to_owned()))
}

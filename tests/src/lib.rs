//! A node for a test: the program `stoa` on a free port of its own with a folder of its own, ended with the test.
//!
//! `cargo xtask test` builds the program and says where it and the other languages' packages are, in the environment:
//! `STOA_BIN`, `STOA_SOLIDITY`, `STOA_PYTHON`, `STOA_HARDHAT`.

pub mod validators;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, eyre};
use serde_json::Value;
use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{LazyLock, mpsc},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// A signed transfer of one wei: its hash, and its bytes.
///
/// # Errors
///
/// If it cannot be signed.
pub fn transfer(chain_id: u64, from: &PrivateKeySigner, nonce: u64) -> Result<(B256, Bytes)> {
    let transaction = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::repeat_byte(0xaa)),
        value: U256::from(1),
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
    http: String,
    ws: String,
}

impl Node {
    /// Starts a new chain and waits until it is served.
    ///
    /// # Errors
    ///
    /// If the program is not there or does not serve within half a minute; what it said is part of the error.
    pub fn start(network: Network) -> Result<Self> {
        Self::launch(Command::new(variable("STOA_BIN")?), network)
    }

    /// As [`start`](Self::start), on one core of the machine's.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_on_one_core(network: Network) -> Result<Self> {
        let mut program = Command::new("taskset");
        program.args(["--cpu-list", "0"]).arg(variable("STOA_BIN")?);
        Self::launch(program, network)
    }

    fn launch(mut program: Command, network: Network) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let errors = folder.path().join("stderr");
        let command = match network {
            Network::Up => "up",
            Network::Dev => "dev",
        };
        // One validator: what other people's clients see does not depend on how many there are.
        let validators: &[&str] = if network == Network::Up { &["--validators", "1"] } else { &[] };
        let mut process = program
            .args(["--json", command, "--http", "127.0.0.1:0"])
            .args(validators)
            .arg("--dir")
            .arg(folder.path().join("chain"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors)?)
            .spawn()
            .wrap_err_with(|| format!("cannot start {program:?}"))?;

        let lines = BufReader::new(process.stdout.take().wrap_err("no standard output")?).lines();
        let (sender, receiver) = mpsc::channel();
        // Reads to the end, so that the node never waits for somebody to read.
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let mut node = Self { process, folder, http: String::new(), ws: String::new() };
        let first = receiver.recv_timeout(START).map_err(|_| eyre!("`stoa {command}` does not serve"));
        let served = first.and_then(|line| {
            let said: Value = serde_json::from_str(&line).wrap_err_with(|| format!("not JSON: {line}"))?;
            let text = |name: &str| said[name].as_str().map(str::to_owned).wrap_err_with(|| format!("{name}: {line}"));
            Ok((text("http")?, text("ws")?))
        });
        (node.http, node.ws) = served.map_err(|error| error.wrap_err(node.said()))?;
        Ok(node)
    }

    /// The address of JSON-RPC over HTTP.
    pub fn http(&self) -> &str {
        &self.http
    }

    /// The address of JSON-RPC over WebSocket.
    pub fn ws(&self) -> &str {
        &self.ws
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
        command.env("STOA_URL", &self.http).env("STOA_WS", &self.ws).env("STOA_PID", self.pid().to_string());
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

/// A path that xtask puts into the environment.
fn variable(name: &str) -> Result<PathBuf> {
    let path = env::var_os(name).map(PathBuf::from);
    let path = path.wrap_err_with(|| format!("{name} is not set: run this as `cargo xtask test --only clients`"))?;
    if !path.exists() {
        bail!("{name} is {}, which is not there: run `cargo xtask test --only clients`", path.display());
    }
    Ok(path)
}

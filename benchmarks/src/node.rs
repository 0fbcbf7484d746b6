//! Nodes to measure: programs on free loopback ports with folders of their own, ended when dropped.

use alloy_primitives::Address;
use eyre::{ContextCompat as _, Result, WrapErr as _, bail};
use serde_json::Value;
use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use stoa_tests::validators::{Validators, on_loopback};
use tempfile::TempDir;

/// How long a node may take from its start until it serves.
const START: Duration = Duration::from_secs(30);

/// What a node is started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `stoa up`: so many validators through the real consensus engine, state and history on disk.
    Stoa {
        /// How many.
        validators: u32,
    },
    /// `stoa node run`: so many validators, each a process with its own configuration, as `stoa init` writes it.
    Validators(usize),
    /// Anvil with these options, in memory.
    Anvil(&'static [&'static str]),
}

/// What runs.
enum Running {
    One(Child),
    Many(Validators),
}

/// A running node, or several.
pub struct Node {
    running: Running,
    address: SocketAddr,
    _folder: TempDir,
}

impl Node {
    /// Starts a new chain on which `funded` has coins, and waits until it is served.
    ///
    /// # Errors
    ///
    /// If the program is not there or does not serve within half a minute.
    pub async fn start(program: Program, funded: Address) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (running, address) = match program {
            Program::Stoa { validators } => {
                let mut command = Command::new(variable("STOA_BIN")?);
                command
                    .args(["--json", "up", "--validators", &validators.to_string(), "--http", "127.0.0.1:0", "--dir"])
                    .arg(folder.path().join("chain"));
                let mut process = spawn(command.stdout(Stdio::piped()))?;
                let output = process.stdout.take().wrap_err("the node has no output")?;
                // Ended also if it says something else.
                let running = Running::One(process);
                let mut line = String::new();
                BufReader::new(output).read_line(&mut line)?;
                let said: Value = serde_json::from_str(&line).wrap_err("the node does not serve")?;
                let http = said["http"].as_str().and_then(|http| http.strip_prefix("http://")?.parse().ok());
                (running, http.wrap_err_with(|| format!("the node does not serve: {line}"))?)
            }
            Program::Validators(count) => {
                let machines = on_loopback(count)?;
                let address = machines.first().wrap_err("no validators")?.http;
                let validators = Validators::start(folder.path(), funded, machines)?;
                validators.agree().await?;
                (Running::Many(validators), address)
            }
            Program::Anvil(options) => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
                let mut command = Command::new(variable("STOA_ANVIL")?);
                // Without a line of log for each request, and no files in the user's home.
                command.args(["--silent", "--host", "127.0.0.1", "--port", &address.port().to_string()]).args(options);
                command.env("HOME", folder.path()).stdout(Stdio::null());
                (Running::One(spawn(&mut command)?), address)
            }
        };
        let node = Self { running, address, _folder: folder };
        let deadline = Instant::now() + START;
        while TcpStream::connect(node.address).is_err() {
            if Instant::now() > deadline {
                bail!("{program:?} does not serve within {START:?}");
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(node)
    }

    /// Where it serves JSON-RPC, over HTTP and WebSocket.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Processor time that the node, or all of several, has used so far, all threads together. Linux only; else an error.
    ///
    /// # Errors
    ///
    /// If the system does not say.
    pub fn processor_time(&self) -> Result<Duration> {
        let ids = match &self.running {
            Running::One(process) => vec![process.id()],
            Running::Many(validators) => validators.ids().collect(),
        };
        let times = ids.into_iter().map(|id| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
            // Fields 14 and 15 of proc(5), in hundredths of a second; the second field may hold spaces.
            let fields = stat.rsplit(')').next().wrap_err("no fields")?.split_whitespace();
            let ticks = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
            Ok(Duration::from_millis(10 * ticks))
        });
        times.sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::One(process) = self {
            // It may have ended on its own; then there is nothing to end.
            drop(process.kill());
            drop(process.wait());
        }
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().wrap_err("cannot start a node")
}

/// A port that nobody listens on.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn variable(name: &str) -> Result<PathBuf> {
    let path = env::var_os(name).map(PathBuf::from);
    let path = path.wrap_err_with(|| format!("{name} is not set: run this as `cargo xtask bench ledger`"))?;
    if !path.exists() {
        bail!("{name} is {}, which is not there: run `cargo xtask bench ledger`", path.display());
    }
    Ok(path)
}

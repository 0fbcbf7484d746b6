//! Nodes to measure: programs on free loopback ports with folders of their own, ended when dropped.

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
    /// Anvil with these options, in memory.
    Anvil(&'static [&'static str]),
}

/// A running node.
pub struct Node {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Node {
    /// Starts a new chain and waits until it is served.
    ///
    /// # Errors
    ///
    /// If the program is not there or does not serve within half a minute.
    pub fn start(program: Program) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = match program {
            Program::Stoa { validators } => {
                let mut command = Command::new(variable("STOA_BIN")?);
                command
                    .args(["--json", "up", "--validators", &validators.to_string(), "--http", "127.0.0.1:0", "--dir"])
                    .arg(folder.path().join("chain"));
                command.stdout(Stdio::piped());
                command
            }
            Program::Anvil(options) => {
                let mut command = Command::new(variable("STOA_ANVIL")?);
                // Without a line of log for each request, and no files in the user's home.
                command.args(["--silent", "--host", "127.0.0.1", "--port", &free_port()?.to_string()]).args(options);
                command.env("HOME", folder.path()).stdout(Stdio::null());
                command
            }
        };
        let address = match program {
            Program::Stoa { .. } => None,
            Program::Anvil(_) => {
                let port = command.get_args().nth(4).and_then(|port| port.to_str()?.parse().ok());
                Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.wrap_err("the port was put there")?)))
            }
        };
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().wrap_err("cannot start a node")?;
        let output = process.stdout.take();
        let mut node = Self { process, address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), _folder: folder };
        node.address = match (address, output) {
            (Some(address), _) => address,
            (None, Some(output)) => {
                let mut line = String::new();
                BufReader::new(output).read_line(&mut line)?;
                let said: Value = serde_json::from_str(&line).wrap_err("the node does not serve")?;
                let http = said["http"].as_str().and_then(|http| http.strip_prefix("http://")?.parse().ok());
                http.wrap_err_with(|| format!("the node does not serve: {line}"))?
            }
            (None, None) => bail!("the node has no output"),
        };
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

    /// Processor time that the node has used so far, all threads together. Linux only; else an error.
    ///
    /// # Errors
    ///
    /// If the system does not say.
    pub fn processor_time(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // Fields 14 and 15 of proc(5), in hundredths of a second; the second field may hold spaces.
        let fields = stat.rsplit(')').next().wrap_err("no fields")?.split_whitespace();
        let ticks = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(10 * ticks))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended on its own; then there is nothing to end.
        drop(self.process.kill());
        drop(self.process.wait());
    }
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

//! A network of processes: each validator from its own configuration file, as `stoa init` writes it.

use crate::{transfer, variable};
use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure};
use serde_json::Value;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use stoa_client::{Client, Status, Vote};

/// Chain id of such a network.
pub const CHAIN_ID: u64 = 4242;

/// So many blocks that no test sees the end of an epoch: a validator that joins late in one has no share of the key in the next.
pub const LONG_EPOCH: u64 = 10_000;

/// By how many blocks the others are ahead when a validator catches up as followers do.
pub const SYNC_FROM: u64 = 20;

/// Longer than anything takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(120);

/// Where a validator runs.
pub struct Machine {
    /// Host and port where it listens to the others.
    pub host: String,
    /// Where it serves JSON-RPC.
    pub http: SocketAddr,
    /// What is put before its command line.
    pub before: Vec<String>,
}

/// So many machines on loopback, on free ports.
///
/// # Errors
///
/// If there are none.
pub fn on_loopback(count: usize) -> Result<Vec<Machine>> {
    let bound = (0..2 * count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<Vec<_>, _>>()?;
    let addresses = bound.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
    let machine = |pair: &[SocketAddr]| Machine { host: pair[0].to_string(), http: pair[1], before: Vec::new() };
    Ok(addresses.chunks(2).map(machine).collect())
}

/// A command that says nothing, from its words.
fn command(before: &[String], program: &Path) -> Command {
    let mut command = match before.split_first() {
        Some((first, words)) => {
            let mut command = Command::new(first);
            command.args(words).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A receipt's block, if there is a receipt.
///
/// # Errors
///
/// If the node does not answer.
pub async fn place(client: &Client, hash: B256) -> Result<Option<B256>> {
    let receipt: Option<Value> = client.call("eth_getTransactionReceipt", (hash,)).await?;
    receipt.map(|receipt| Ok(serde_json::from_value(receipt["blockHash"].clone())?)).transpose()
}

/// The last vote of a validator that a node has heard, if any.
pub fn last_vote(status: &Status, validator: B256) -> Option<Vote> {
    status.validators.iter().find(|known| known.key == validator).and_then(|known| known.last_vote)
}

/// Waits for a receipt, and returns its block.
///
/// # Errors
///
/// If the node does not answer, or there is none in two minutes.
pub async fn included(client: &Client, hash: B256) -> Result<B256> {
    let until = Instant::now() + LONG;
    loop {
        if let Some(block) = place(client, hash).await? {
            return Ok(block);
        }
        ensure!(Instant::now() < until, "{hash} is not final");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Tells a validator's configuration file where the passphrase is.
fn give_passphrase(config: &Path, passphrase: &Path) -> Result<()> {
    let text = fs::read_to_string(config).wrap_err_with(|| format!("cannot read {}", config.display()))?;
    let told = text.replace("# passphrase_file = \"passphrase\"", &format!("passphrase_file = {passphrase:?}"));
    ensure!(told != text, "there is no place for the passphrase in {}", config.display());
    Ok(fs::write(config, told)?)
}

/// Validators, each a process. They are ended when this is dropped.
pub struct Validators {
    /// What each runs.
    programs: Vec<PathBuf>,
    passphrase: PathBuf,
    machines: Vec<Machine>,
    folders: Vec<PathBuf>,
    processes: Vec<Option<Child>>,
    clients: Vec<Client>,
}

impl Validators {
    /// Makes keys and files as the handbook says, and starts all.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn start(folder: &Path, funded: Address, machines: Vec<Machine>) -> Result<Self> {
        Self::start_with(folder, funded, machines, |_| Ok(()))
    }

    /// As [`start`](Self::start), with something done to the folders before.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(
        folder: &Path,
        funded: Address,
        machines: Vec<Machine>,
        prepare: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<Self> {
        Self::start_in_epochs(folder, &[funded], machines, LONG_EPOCH, prepare)
    }

    /// The same with epochs of so many blocks, and any number of accounts that have coins.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_in_epochs(
        folder: &Path,
        funded: &[Address],
        machines: Vec<Machine>,
        epoch_length: u64,
        prepare: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<Self> {
        Self::start_program(&variable("STOA_BIN")?, folder, funded, machines, epoch_length, prepare)
    }

    /// The same with another program than this build's.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_program(
        program: &Path,
        folder: &Path,
        funded: &[Address],
        machines: Vec<Machine>,
        epoch_length: u64,
        prepare: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<Self> {
        let (dir, passphrase) = (folder.join("network"), folder.join("passphrase"));
        fs::write(&passphrase, "correct horse battery staple")?;
        let hosts = machines.iter().map(|machine| machine.host.as_str()).collect::<Vec<_>>().join(",");
        let funded = funded.iter().map(|address| format!("{address}=1000")).collect::<Vec<_>>().join(",");
        let made = command(&[], program)
            .args(["init", "--chain-id", &CHAIN_ID.to_string(), "--block-time", "20", "--hosts", &hosts])
            .args(["--epoch-length", &epoch_length.to_string()])
            .args(["--fund", &funded, "--passphrase-file"])
            .arg(&passphrase)
            .arg("--dir")
            .arg(&dir)
            .status()?;
        ensure!(made.success(), "`stoa init` failed");
        let folders = (0..machines.len()).map(|index| dir.join(format!("validator-{index}"))).collect::<Vec<_>>();
        for (folder, machine) in folders.iter().zip(&machines) {
            let path = folder.join("stoa.toml");
            give_passphrase(&path, &passphrase)?;
            let text = fs::read_to_string(&path)?;
            let text = text.replace("sync_from_blocks = 5000", &format!("sync_from_blocks = {SYNC_FROM}"));
            let lines = text.lines().map(|line| match line.starts_with("http =") {
                true => format!("http = \"{}\"\n", machine.http),
                false => format!("{line}\n"),
            });
            fs::write(&path, lines.collect::<String>())?;
        }
        let clients = machines.iter().map(|machine| Client::new(format!("http://{}", machine.http))).collect();
        let processes = machines.iter().map(|_| None).collect();
        let programs = vec![program.to_owned(); machines.len()];
        let mut network = Self { programs, passphrase, machines, folders, processes, clients };
        prepare(&network)?;
        (0..network.machines.len()).try_for_each(|index| network.launch(index))?;
        Ok(network)
    }

    /// A client of each.
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// The ids of those that run.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.processes.iter().flatten().map(Child::id)
    }

    /// Where a validator keeps configuration, key, chain and secrets.
    pub fn folder(&self, index: usize) -> &Path {
        &self.folders[index]
    }

    /// Where a validator keeps chain and secrets.
    pub fn data(&self, index: usize) -> PathBuf {
        self.folders[index].join("data")
    }

    /// The machine that a validator runs on.
    pub fn machine(&self, index: usize) -> &Machine {
        &self.machines[index]
    }

    /// From now on a validator runs from another folder, whose configuration file is told where the passphrase is.
    ///
    /// # Errors
    ///
    /// If there is no such file.
    pub fn move_to(&mut self, index: usize, folder: PathBuf) -> Result<()> {
        give_passphrase(&folder.join("stoa.toml"), &self.passphrase)?;
        self.folders[index] = folder;
        Ok(())
    }

    /// From now on a validator runs this build's program.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub fn upgrade(&mut self, index: usize) -> Result<()> {
        self.programs[index] = variable("STOA_BIN")?;
        Ok(())
    }

    /// Starts one that does not run.
    ///
    /// # Errors
    ///
    /// If the program is not there.
    pub fn launch(&mut self, index: usize) -> Result<()> {
        let config = self.folders[index].join("stoa.toml");
        let errors = fs::File::create(self.folders[index].join("stderr"))?;
        let mut command = command(&self.machines[index].before, &self.programs[index]);
        self.processes[index] = Some(command.args(["node", "run", "--config"]).arg(config).stderr(errors).spawn()?);
        Ok(())
    }

    /// `kill -9`.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn kill(&mut self, index: usize) -> Result<()> {
        let mut process = self.processes[index].take().wrap_err("it does not run")?;
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    /// Asks one to stop, and waits until it has.
    ///
    /// # Errors
    ///
    /// If it does not run, or ends with an error.
    pub fn stop(&mut self, index: usize) -> Result<()> {
        let mut process = self.processes[index].take().wrap_err("it does not run")?;
        let asked = Command::new("kill").args(["-TERM", &process.id().to_string()]).status()?;
        ensure!(asked.success(), "it cannot be asked");
        let status = process.wait()?;
        ensure!(status.success(), "it ended with {status}: {}", self.said(index));
        Ok(())
    }

    /// Waits until one ends by itself; returns what it said.
    ///
    /// # Errors
    ///
    /// If it does not, in two minutes.
    pub async fn ended(&mut self, index: usize) -> Result<String> {
        let until = Instant::now() + LONG;
        let mut process = self.processes[index].take().wrap_err("it does not run")?;
        while process.try_wait()?.is_none() {
            if Instant::now() > until {
                self.processes[index] = Some(process);
                bail!("validator {index} goes on");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(self.said(index))
    }

    fn said(&self, index: usize) -> String {
        fs::read_to_string(self.folders[index].join("stderr")).unwrap_or_default()
    }

    /// What `stoa status` says on a validator's own machine.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub fn status(&self, index: usize) -> Result<Status> {
        let machine = &self.machines[index];
        let mut command = command(&machine.before, &self.programs[index]);
        let output = command
            .args(["--json", "status", "--http", &format!("http://{}", machine.http)])
            .stdout(Stdio::piped())
            .output()?;
        // Of a network that stands still it ends as with an error.
        serde_json::from_slice(&output.stdout).wrap_err_with(|| format!("validator {index} does not answer"))
    }

    /// Gives a node transfers of an account, of which these have been given before, and waits until each is final; adds them
    /// with their blocks.
    ///
    /// # Errors
    ///
    /// If the node does not take them, or they are not final in two minutes.
    pub async fn pay(
        &self,
        node: usize,
        signer: &PrivateKeySigner,
        count: usize,
        seen: &mut Vec<(B256, B256)>,
    ) -> Result<()> {
        for _ in 0..count {
            let (hash, raw) = transfer(CHAIN_ID, signer, seen.len() as u64)?;
            let given: B256 = self.clients[node].call("eth_sendRawTransaction", (raw,)).await?;
            ensure!(given == hash, "a transfer has another hash");
            seen.push((hash, included(&self.clients[node], hash).await?));
        }
        Ok(())
    }

    /// The last vote of a validator that the first node has heard, if any.
    ///
    /// # Errors
    ///
    /// If the node does not answer.
    pub fn last_vote(&self, validator: B256) -> Result<Option<Vote>> {
        Ok(last_vote(&self.status(0)?, validator))
    }

    /// Gives the first node transfers of an account, until it hears another vote of a validator.
    ///
    /// # Errors
    ///
    /// If it hears none in 150 blocks.
    pub async fn next_vote(
        &self,
        validator: B256,
        before: Option<Vote>,
        signer: &PrivateKeySigner,
        seen: &mut Vec<(B256, B256)>,
    ) -> Result<Vote> {
        for _ in 0..150 {
            match self.last_vote(validator)? {
                Some(vote) if Some(vote) != before => return Ok(vote),
                _ => self.pay(0, signer, 1, seen).await?,
            }
        }
        bail!("validator {validator} does not vote any more")
    }

    /// Waits until every node has a receipt, and returns its block, which is the same everywhere.
    ///
    /// # Errors
    ///
    /// If one has none in two minutes, or another one.
    pub async fn agreed(&self, hash: B256) -> Result<B256> {
        let mut block = None;
        for client in &self.clients {
            let here = included(client, hash).await?;
            ensure!(*block.get_or_insert(here) == here, "{hash} is in different blocks");
        }
        block.wrap_err("there are no validators")
    }

    /// Every node has these receipts: transactions and their blocks.
    ///
    /// # Errors
    ///
    /// If one is missing, or another one.
    pub async fn hold(&self, seen: &[(B256, B256)]) -> Result<()> {
        for (index, client) in self.clients.iter().enumerate() {
            for (hash, block) in seen {
                let here = place(client, *hash).await?;
                ensure!(here == Some(*block), "validator {index} has lost the receipt of {hash}, or has another one");
            }
        }
        Ok(())
    }

    /// Waits until a node is at a height.
    ///
    /// # Errors
    ///
    /// If it is not in two minutes; what it said is part of the error.
    pub async fn reach(&self, index: usize, height: u64) -> Result<()> {
        let until = Instant::now() + LONG;
        while !self.clients[index].block_number().await.is_ok_and(|number| number >= height) {
            let late = Instant::now() > until;
            ensure!(!late, "validator {index} does not reach block {height}; it said: {}", self.said(index));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Waits until all have generated a key, and a block.
    ///
    /// # Errors
    ///
    /// As [`reach`](Self::reach).
    pub async fn agree(&self) -> Result<()> {
        for index in 0..self.clients.len() {
            self.reach(index, 1).await.wrap_err("the validators did not generate a key")?;
        }
        Ok(())
    }

    /// Waits until this holds of what a node says of itself; `what` names it.
    ///
    /// # Errors
    ///
    /// If it does not in two minutes; what the node said is part of the error.
    pub async fn until(&self, index: usize, what: &str, holds: impl Fn(&Status) -> bool) -> Result<()> {
        let until = Instant::now() + LONG;
        let mut last = None;
        loop {
            if let Ok(status) = self.clients[index].call::<Status>("stoa_status", ()).await {
                if holds(&status) {
                    return Ok(());
                }
                last = Some(status);
            }
            if Instant::now() > until {
                let last = last.map(|status| status.to_string()).unwrap_or_default();
                bail!("validator {index} should be so that it {what}: {last}; it said: {}", self.said(index));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Validators {
    fn drop(&mut self) {
        for mut process in self.processes.iter_mut().filter_map(Option::take) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

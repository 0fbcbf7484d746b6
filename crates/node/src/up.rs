//! An embedded network: several validators in one process, each with its own folder, keys and sockets.

use crate::{
    store,
    thread::{self, Starting, Thread},
    validator::{self, Keys},
};
use alloy_primitives::{Address, Bytes};
use alloy_signer_local::PrivateKeySigner;
use eyre::{WrapErr as _, bail, ensure};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    num::NonZeroU32,
    path::PathBuf,
    time::{Duration, Instant},
};
use stoa_base::Genesis;
use stoa_consensus::{Committee, Identity, Pace};
use stoa_ledger::Ledger;
use stoa_net::PeerAddress;

/// The most validators that run in one process.
pub const MAX_VALIDATORS: u32 = 32;

/// How long validators may take to find each other before people are let in all the same.
const CONNECT: Duration = Duration::from_secs(10);

/// The least memory for a validator's state, and the most for all together, in bytes.
const LEAST_CACHE: usize = 64 << 20;
const MOST_CACHE: usize = 1 << 30;

/// What an embedded network runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of the network; each validator has one of its own in it.
    pub folder: PathBuf,
    /// Where the first validator serves JSON-RPC; the others take the ports after it, or free ones if this is port 0.
    pub http: SocketAddr,
    /// What the chain begins with.
    pub genesis: Genesis,
    /// The validators' keys, and who gets the tips of each.
    pub validators: Vec<(Identity, Address)>,
    /// Keys that the nodes sign with when asked to; only on development networks.
    pub accounts: Vec<PrivateKeySigner>,
    /// How often blocks come.
    pub pace: Pace,
    /// Of how many blocks back the state can be read.
    pub history: u64,
    /// Gibibytes of disk for what others want to have kept, at each validator; 0 keeps nothing.
    pub store_gib: u64,
    /// Whether the first validator keeps an index of the market's assets, and answers Ocean's indexers' questions.
    pub index: bool,
}

/// The committee of a development network, dealt from a seed.
pub fn deal(seed: [u8; 32], validators: NonZeroU32) -> (Committee, Vec<Identity>) {
    use rand::SeedableRng as _;
    Committee::deal(&mut rand::rngs::StdRng::from_seed(seed), validators)
}

/// A running network.
pub struct Network {
    configs: Vec<validator::Config>,
    nodes: Vec<Option<Node>>,
}

/// A validator on a thread of its own.
struct Node {
    served: Served,
    thread: Thread,
}

/// What the network knows of a validator.
struct Served {
    http: SocketAddr,
    address: Option<PeerAddress>,
    ledger: Ledger,
}

impl Network {
    /// Starts all validators, and returns when all of them serve. Blocking.
    ///
    /// # Errors
    ///
    /// If a folder holds another chain or damaged data, or a port is taken.
    pub fn start(config: Config) -> eyre::Result<Self> {
        let configs = configs(config)?;
        let starting = configs.iter().map(|config| launch(config.clone())).collect::<eyre::Result<Vec<_>>>()?;
        let nodes = starting.into_iter().map(|node| serving(node).map(Some)).collect::<eyre::Result<Vec<_>>>()?;
        let network = Self { configs, nodes };
        network.first_block();
        Ok(network)
    }

    /// Waits until the validators have found each other, and agreed on a block; not for ever.
    fn first_block(&self) {
        let (ledger, until) = (self.ledger(0), Instant::now() + CONNECT);
        let before = ledger.head().number();
        while ledger.head().number() == before && Instant::now() < until && self.is_running() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Where each running validator serves JSON-RPC.
    pub fn http(&self) -> impl Iterator<Item = SocketAddr> {
        self.nodes.iter().flatten().map(|node| node.served.http)
    }

    /// Where the running validators can be followed.
    pub fn addresses(&self) -> impl Iterator<Item = &PeerAddress> {
        self.nodes.iter().flatten().filter_map(|node| node.served.address.as_ref())
    }

    /// The key that verifies all certificates of the network.
    pub fn network_key(&self) -> Option<Bytes> {
        self.configs.first().and_then(|config| crate::network_key(&config.genesis))
    }

    /// The chain as a validator has it.
    ///
    /// # Panics
    ///
    /// If the validator was stopped or killed.
    pub fn ledger(&self, validator: usize) -> &Ledger {
        &self.nodes[validator].as_ref().expect("it is running").served.ledger
    }

    /// Stops a validator, which says goodbye to its clients and peers.
    ///
    /// # Errors
    ///
    /// What it failed with before.
    pub fn stop(&mut self, validator: usize) -> eyre::Result<()> {
        self.nodes[validator].take().map_or(Ok(()), |node| node.thread.stop())
    }

    /// Ends a validator in the middle of what it does, as far as that goes within a process: all its tasks and connections are
    /// dropped where they are, and only what has been written stays.
    ///
    /// # Errors
    ///
    /// What it failed with before.
    pub fn kill(&mut self, validator: usize) -> eyre::Result<()> {
        self.nodes[validator].take().map_or(Ok(()), |node| node.thread.kill())
    }

    /// Starts a validator that was stopped or killed, from its folder.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn restart(&mut self, validator: usize) -> eyre::Result<()> {
        self.stop(validator)?;
        self.nodes[validator] = Some(serving(launch(self.configs[validator].clone())?)?);
        Ok(())
    }

    /// Whether all validators that were not stopped or killed still run.
    pub fn is_running(&self) -> bool {
        self.nodes.iter().flatten().all(|node| !node.thread.is_finished())
    }

    /// Stops all validators.
    ///
    /// # Errors
    ///
    /// What one failed with before.
    pub fn end(mut self) -> eyre::Result<()> {
        (0..self.nodes.len()).map(|validator| self.stop(validator)).collect::<Vec<_>>().into_iter().collect()
    }
}

fn launch(config: validator::Config) -> eyre::Result<Starting<Served>> {
    thread::launch("validator", config.storage(), async move |runtime, tell, stopped| {
        let running = Box::pin(validator::start(runtime, config)).await?;
        let (http, address, ledger) = (running.http(), running.address(), running.ledger.clone());
        let _ = tell.send(Served { http, address, ledger });
        // Whoever kills it says nothing.
        if stopped.await.is_ok() {
            running.stop().await;
        }
        Ok(())
    })
}

fn serving(starting: Starting<Served>) -> eyre::Result<Node> {
    let (served, thread) = starting.serving()?;
    Ok(Node { served, thread })
}

/// What each validator runs with.
fn configs(config: Config) -> eyre::Result<Vec<validator::Config>> {
    let Config { folder, http, genesis, validators, accounts, pace, history, store_gib, index: indexed } = config;
    ensure!(!validators.is_empty(), "a network has at least one validator");
    let count = u16::try_from(validators.len())?;
    if http.port() != 0 && http.port().checked_add(count - 1).is_none() {
        bail!("there are no {count} ports from {http} on (use a lower port in --http)");
    }
    // All are bound at once, so that they differ.
    let listeners = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<Vec<_>, _>>();
    let listeners = listeners.wrap_err("no free port on loopback")?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
    let peers = validators.iter().map(|(identity, _)| identity.public()).zip(addresses.clone()).collect::<Vec<_>>();
    let cache = ((memory() / 16).min(MOST_CACHE) / usize::from(count)).max(LEAST_CACHE);
    let each = (0..count).zip(validators).zip(addresses);
    let each = each.map(|((index, (identity, beneficiary)), listen)| validator::Config {
        store: store::Config::of(store_gib, &folder.join(index.to_string())),
        index: indexed && index == 0,
        folder: folder.join(index.to_string()),
        http: SocketAddr::new(http.ip(), if http.port() == 0 { 0 } else { http.port() + index }),
        genesis: genesis.clone(),
        accounts: accounts.clone(),
        beneficiary,
        pace,
        history,
        cache,
        keys: Keys::Dealt(identity),
        listen,
        peers: peers.clone(),
        sync_from: None,
    });
    Ok(each.collect())
}

/// Bytes of memory that the machine has; a gigabyte if it does not say.
fn memory() -> usize {
    let said = std::fs::read_to_string("/proc/meminfo").ok();
    let kilobytes = said.as_deref().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()
    });
    kilobytes.map_or(1 << 30, |kilobytes| kilobytes << 10)
}

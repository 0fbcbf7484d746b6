//! An embedded network: several validators in one process, each with its own folder, keys and sockets.

use crate::{
    common,
    kept::Kept,
    store,
    thread::{self, Starting, Thread},
    validator::{self, Keys},
};
use alloy_primitives::{Address, Bytes};
use alloy_signer_local::PrivateKeySigner;
use eyre::{WrapErr as _, bail, ensure, eyre};
use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use stoa_base::{Genesis, write_private};
use stoa_consensus::{Committee, Identity, Pace};
use stoa_ledger::Ledger;
use stoa_net::PeerAddress;

/// The file of the network's folder with the ports at which its validators are followed, one a line.
pub const PORTS: &str = "ports";

/// The most validators that run in one process.
pub const MAX_VALIDATORS: u32 = 32;

/// How long validators may take to find each other before people are let in all the same.
const CONNECT: Duration = Duration::from_secs(10);

/// The least memory for a validator's state, and the most for all together, in bytes: all of it is taken at the start.
const LEAST_CACHE: usize = 64 << 20;
const MOST_CACHE: usize = 256 << 20;

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
    /// Names in the `Host` header that JSON-RPC is served under besides `localhost`.
    pub hosts: Vec<String>,
    /// Whether transactions without a chain id (EIP-155) are taken.
    pub allow_unprotected: bool,
}

/// The committee of a development network, dealt from a seed.
pub fn deal(seed: [u8; 32], validators: NonZeroU32) -> (Committee, Vec<Identity>) {
    use rand::SeedableRng as _;
    Committee::deal(&mut rand::rngs::StdRng::from_seed(seed), validators)
}

/// Where so many validators serve JSON-RPC, from an address on; each at a free port if its port is 0.
///
/// # Errors
///
/// If it is served to other machines and everybody has the keys of its money, there are not so many ports, or one is taken.
pub fn serving_at(genesis: &Genesis, http: SocketAddr, validators: usize) -> eyre::Result<Vec<SocketAddr>> {
    common::check_loopback(genesis, http)?;
    let last = u16::try_from(validators.saturating_sub(1)).ok().and_then(|more| http.port().checked_add(more));
    let last =
        last.ok_or_else(|| eyre!("there are no {validators} ports from {http} on (use a lower port in --http)"))?;
    let all = match http.port() {
        0 => vec![http; validators],
        first => (first..=last).map(|port| SocketAddr::new(http.ip(), port)).collect(),
    };
    all.iter().try_for_each(|address| common::check_free(*address, " (--http names another address)"))?;
    Ok(all)
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
        if !network.is_running() {
            // With the error of the one that ended.
            network.end()?;
            bail!("a validator ended while it started");
        }
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
    let kept = Kept::by_one_of(config.peers.len(), &config.folder);
    thread::launch("validator", kept, config.storage(), async move |runtime, tell, stopped| {
        let running = validator::start(runtime, config).await?;
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
    let Config { folder, http, genesis, validators, accounts, pace, history, store_gib, index: indexed, .. } = config;
    let (hosts, allow_unprotected) = (config.hosts, config.allow_unprotected);
    ensure!(!validators.is_empty(), "a network has at least one validator");
    let count = u16::try_from(validators.len())?;
    // Of a network that has begun, one validator cannot stop without the others.
    let served = serving_at(&genesis, http, validators.len())?;
    let addresses = listening(&folder, count)?;
    let peers = validators.iter().map(|(identity, _)| identity.public());
    let peers = peers.zip(addresses.iter().map(ToString::to_string)).collect::<Vec<_>>();
    let cache = ((memory() / 16).min(MOST_CACHE) / usize::from(count)).max(LEAST_CACHE);
    let each = (0..count).zip(validators).zip(addresses).zip(served);
    let each = each.map(|(((index, (identity, beneficiary)), listen), http)| validator::Config {
        store: store::Config::of(store_gib, &folder.join(index.to_string())),
        index: indexed && index == 0,
        folder: folder.join(index.to_string()),
        http,
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
        hosts: hosts.clone(),
        allow_unprotected,
    });
    Ok(each.collect())
}

/// A port on loopback, for validators (TCP) and for followers (UDP); 0 takes a free one.
fn take(port: u16) -> io::Result<(TcpListener, UdpSocket)> {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let udp = UdpSocket::bind(tcp.local_addr()?)?;
    Ok((tcp, udp))
}

/// A free port: the one that is free for TCP may not be so for UDP.
fn take_free() -> io::Result<(TcpListener, UdpSocket)> {
    (0..16).find_map(|_| take(0).ok()).map_or_else(|| take(0), Ok)
}

/// Where so many validators listen: at the ports that they had before, as whoever follows them knows them, where those are
/// free.
fn listening(folder: &Path, count: u16) -> eyre::Result<Vec<SocketAddr>> {
    let file = folder.join(PORTS);
    // Without it they are followed elsewhere, and nothing else is lost.
    let text = fs::read_to_string(&file).unwrap_or_default();
    let mut lines = text.lines().map(|line| line.parse::<u16>().ok().filter(|port| *port != 0));
    let before = (0..count).map(|_| lines.next().flatten()).collect::<Vec<_>>();
    // All are held at once, so that they differ; those of before first.
    let again = before.iter().map(|port| port.and_then(|port| take(port).ok())).collect::<Vec<_>>();
    let held = again.into_iter().map(|again| again.map_or_else(take_free, Ok)).collect::<io::Result<Vec<_>>>();
    let held = held.wrap_err("no free port on loopback")?;
    let addresses = held.iter().map(|(tcp, _)| tcp.local_addr()).collect::<io::Result<Vec<_>>>()?;
    for (before, now) in before.iter().zip(&addresses) {
        if let Some(before) = before.filter(|before| *before != now.port()) {
            tracing::warn!(
                "port {before} is taken by another program: who followed a validator there has to follow it at {now} from now \
                 on"
            );
        }
    }
    let ports = addresses.iter().map(|address| format!("{}\n", address.port())).collect::<String>();
    if ports != text {
        write_private(&file, ports.as_bytes()).wrap_err_with(|| format!("cannot write {}", file.display()))?;
    }
    Ok(addresses)
}

/// Bytes of memory that the machine has; a gigabyte if it does not say.
pub(crate) fn memory() -> usize {
    let said = std::fs::read_to_string("/proc/meminfo").ok();
    let kilobytes = said.as_deref().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()
    });
    kilobytes.map_or(1 << 30, |kilobytes| kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::development;

    /// Of two validators.
    fn config(folder: &Path, port: u16) -> Config {
        let (committee, identities) = deal([7; 32], NonZeroU32::new(2).unwrap());
        let committee = Some((&committee).into());
        Config {
            folder: folder.to_owned(),
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            genesis: Genesis { committee, ..development::genesis(31337, &[], 1_700_000_000) },
            validators: identities.into_iter().map(|identity| (identity, Address::ZERO)).collect(),
            accounts: Vec::new(),
            pace: Pace { busy: Duration::from_millis(50), idle: Duration::from_secs(1) },
            history: 100,
            store_gib: 0,
            index: false,
            hosts: Vec::new(),
            allow_unprotected: false,
        }
    }

    #[test]
    fn a_network_that_starts_again_is_followed_where_it_was_before_unless_somebody_else_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let listen = || {
            let configs = configs(config(folder.path(), 0)).unwrap();
            configs.iter().map(|validator| validator.listen).collect::<Vec<_>>()
        };
        let first = listen();
        assert_eq!(listen(), first);
        let taken = UdpSocket::bind(first[0]).unwrap();
        let then = listen();
        assert!(then[0] != first[0] && then[1] == first[1], "{first:?} {then:?}");
        drop(taken);
        assert_eq!(listen(), then, "who follows it was told so");
        // Whatever happened to the file.
        for content in ["none\n99999\n", "0\n0\n", "", "1\n-1\n\0"] {
            fs::write(folder.path().join(PORTS), content).unwrap();
            assert_eq!(listen().len(), 2);
        }
    }

    #[test]
    fn a_port_that_is_taken_is_named_before_any_validator_starts() {
        let folder = tempfile::tempdir().unwrap();
        // The second validator's port.
        let (_taken, port) = loop {
            let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = taken.local_addr().unwrap().port();
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port - 1)).is_ok() {
                break (taken, port);
            }
        };
        let error = Network::start(config(folder.path(), port - 1)).err().unwrap();
        assert_eq!(error.to_string(), format!("cannot listen on 127.0.0.1:{port} (--http names another address)"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a validator has started");
    }
}

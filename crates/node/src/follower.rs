//! A node that follows the chain, and serves JSON-RPC and further followers.

use crate::{
    account,
    common::{self, Background, Serving},
    compute,
    kept::Kept,
    network_methods::About,
    provider::{self, Role},
    quic::{self, Quic},
    store,
    syncing::Progress,
    thread::{self, Thread},
    waiting::Mempool,
};
use alloy_primitives::Bytes;
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_cryptography::ed25519::PrivateKey;
use commonware_runtime::{Clock as _, Spawner as _, Supervisor as _, tokio::Context};
use eyre::{Result, WrapErr as _, bail, ensure, eyre};
use futures::future::BoxFuture;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use stoa_base::{Genesis, write_private};
use stoa_consensus::{
    Committee, NetworkKey,
    follow::{self, FollowError, Follower, Options, Peers, Server, Start, Verifier},
};
use stoa_ledger::{Ledger, LedgerConfig};
use stoa_mempool::Pool;
use stoa_net::{Endpoint, PeerAddress, iroh::protocol::Router};
use tokio::sync::oneshot;

/// How often peers are asked for the genesis file before the node gives up.
const TRIES: usize = 40;

/// After how long an idle network makes a block, unless its validators make them more seldom, which the newest ones show.
const BLOCK_TIME: Duration = Duration::from_secs(1);

/// What a follower runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of chain, state and waiting transactions.
    pub folder: PathBuf,
    /// Where JSON-RPC is served.
    pub http: SocketAddr,
    /// The key that verifies all certificates, encoded.
    pub network_key: Bytes,
    /// Nodes to follow.
    pub peers: Vec<PeerAddress>,
    /// Where further followers are served, and by which key they know this node.
    pub listen: Option<(SocketAddr, PrivateKey)>,
    /// Of how many blocks back the state can be read.
    pub history: u64,
    /// Bytes of memory for the state.
    pub cache: usize,
    /// How to begin where there is nothing yet.
    pub start: Start,
    /// The store for others, if it has one; they have to be able to reach it.
    pub store: Option<store::Config>,
    /// What it computes on for others, if it does.
    pub compute: Option<compute::Config>,
    /// Whether it keeps an index of the market's assets, in its folder, and answers Ocean's indexers' questions.
    pub index: bool,
    /// Which files it gives to those who have ordered them, or has programs run on if it computes; this takes an index, and a key that
    /// others know it by.
    pub provider: Option<provider::Config>,
    /// Names in the `Host` header that JSON-RPC is served under besides `localhost`.
    pub hosts: Vec<String>,
}

impl Config {
    /// The part of a folder that the runtime's storage takes.
    pub fn storage(&self) -> PathBuf {
        self.folder.join("state")
    }
}

/// A running follower.
pub struct Running {
    /// The chain.
    pub ledger: Ledger,
    /// Transactions that wait to be included by the validators.
    pub pool: Pool,
    rpc: stoa_rpc::Handle,
    endpoint: Endpoint,
    address: Option<PeerAddress>,
    _router: Option<Router>,
    _store: Option<Background>,
    _compute: Option<Background>,
    _index: Option<Background>,
    failed: oneshot::Receiver<FollowError>,
}

impl Running {
    /// Where JSON-RPC is served.
    pub fn http(&self) -> SocketAddr {
        self.rpc.local_addr()
    }

    /// Where further followers are served. Of a node that listens on all addresses of its machine it is the one from which it calls its
    /// peers.
    pub fn address(&self) -> Option<PeerAddress> {
        self.address.clone()
    }

    /// Resolves when the chain cannot be followed any further.
    pub async fn failed(&mut self) -> eyre::Report {
        match (&mut self.failed).await {
            Ok(error) => error.into(),
            Err(_) => eyre!("the follower stopped"),
        }
    }

    /// Serves nobody any more. The chain stops with the runtime.
    pub async fn stop(self) {
        self.rpc.shutdown().await;
        self.endpoint.close().await;
    }
}

/// Starts a follower: finds the chain that the network key signs, takes over its state if there is none yet, and serves.
///
/// # Errors
///
/// If no peer has such a chain, the folder holds another or damaged data, or a port is taken.
pub fn start(runtime: Context, config: Config) -> BoxFuture<'static, Result<Running>> {
    // Compiled here, and not in each program that starts one.
    Box::pin(begin(runtime, config))
}

async fn begin(runtime: Context, config: Config) -> Result<Running> {
    ensure!(!config.peers.is_empty(), "there are no peers to follow");
    let key = NetworkKey::decode(Copying(&config.network_key)).map_err(|error| eyre!("the network key: {error}"))?;
    let (listen, identity) = match &config.listen {
        Some((listen, identity)) => (*listen, identity.clone()),
        None => {
            let peers = config.peers.clone();
            // Looking up hosts' names blocks.
            (tokio::task::spawn_blocking(move || PeerAddress::toward(&peers)).await?, new_identity()?)
        }
    };
    let endpoint = Endpoint::bind(&identity, listen).await?;
    let called = config.peers.clone();
    let peers = Peers::new(Quic::new(&endpoint, config.peers));
    let genesis = genesis(&runtime, &config.folder, &peers, key).await?;
    common::check_loopback(&genesis, config.http)?;

    let state = common::state_config(&runtime, config.cache);
    // What is lost in a power cut can be had again.
    let ledger_config =
        LedgerConfig { durable: false, ..common::ledger_config(&config.folder, config.history, config.cache) };
    let ledger = Ledger::open(runtime.child("genesis"), genesis, ledger_config, state.clone()).await;
    let ledger = ledger.map_err(|error| Kept::elsewhere(&config.folder).unopened(error))?;
    let waiting = Mempool::default();
    let options = Options { start: config.start, max_bytes: common::BLOCK_BYTES };
    let opening =
        Follower::open(runtime.child("follower"), ledger.clone(), state, peers.clone(), waiting.clone(), options);
    // Boxed, for the state of all that starts is large.
    let follower = Box::pin(opening).await?;

    let clock = runtime.child("clock");
    let (mut router, mut served, mut store, mut compute) = (None, None, None, None);
    if config.listen.is_some() {
        let server = Server::new(runtime.child("serve"), ledger.clone(), waiting.clone());
        let (answering, counted) = quic::serve(&endpoint, server);
        served = Some(counted);
        let (answering, kept) = store::add(config.store, &endpoint, &identity, &ledger, answering)?;
        let (answering, computes) =
            compute::add(config.compute, &config.folder, &endpoint, &identity, &ledger, answering)?;
        (router, store, compute) = (Some(answering.spawn()), kept, computes);
    }
    let others = [
        store.as_ref().map(|_| "store"),
        compute.as_ref().map(|_| "compute"),
        config.provider.as_ref().map(|_| "provider"),
    ];
    let progress = Arc::<Progress>::default();
    if let Some(verifier) = Verifier::of(&ledger) {
        let (progress, ledger, peers) = (progress.clone(), ledger.clone(), peers.clone());
        runtime.child("progress").spawn(move |runtime| progress.watch(runtime, ledger, peers, verifier));
    }
    let address = match router.as_ref().and_then(|_| endpoint.address()) {
        // Looking up hosts' names blocks.
        Some(address) => Some(tokio::task::spawn_blocking(move || reached(address, &called)).await?),
        None => None,
    };
    let about = About {
        roles: ["follower"].into_iter().chain(others.into_iter().flatten()).collect(),
        validator: None,
        peers: Arc::new(move || peers.status(clock.current())),
        progress,
        address: address.clone(),
        served,
        block_time: BLOCK_TIME,
    };
    let index = config.index.then(|| account::of(&identity)).transpose()?;
    let chain_id = ledger.genesis().chain_id;
    let computer = compute.as_ref().map(compute::Opened::computer);
    let provider = config.provider.map(|config| Role::new(config, &identity, chain_id, computer)).transpose()?;
    let serving = Serving {
        folder: &config.folder,
        http: config.http,
        hosts: config.hosts,
        allow_unprotected: false,
        accounts: Vec::new(),
        index,
        provider,
    };
    let (pool, rpc, index) = common::serve(&runtime, &ledger, &waiting, about, serving).await?;
    let store = store.map(|store| store.start(rpc.local_addr(), &runtime.child("stoa")));
    let compute = compute.map(|compute| compute.start(rpc.local_addr()));
    let (tell, failed) = oneshot::channel();
    runtime.child("run").spawn(async move |_| {
        let Err(error) = Box::pin(follower.run()).await;
        let _ = tell.send(error);
    });
    Ok(Running {
        ledger,
        pool,
        rpc,
        endpoint,
        address,
        _router: router,
        _store: store,
        _compute: compute,
        _index: index,
        failed,
    })
}

/// Where others reach a node that listens there: if that is on all addresses of its machine, at the one from which it calls its peers.
/// Blocking.
fn reached(listens: PeerAddress, peers: &[PeerAddress]) -> PeerAddress {
    let Some(all) = listens.host.parse::<SocketAddr>().ok().filter(|address| address.ip().is_unspecified()) else {
        return listens;
    };
    let from = |ip: IpAddr| {
        let called = |peer: &PeerAddress| {
            let socket = UdpSocket::bind((ip, 0)).ok()?;
            // This sends nothing.
            socket.connect(peer.host.as_str()).ok()?;
            Some(socket.local_addr().ok()?.ip().to_canonical())
        };
        peers.iter().find_map(called)
    };
    // Who listens on all addresses of IPv6 does so on those of IPv4 as well.
    let own = from(all.ip()).or_else(|| from(Ipv4Addr::UNSPECIFIED.into()));
    let ip = own.unwrap_or_else(|| common::reachable(all).ip());
    PeerAddress { host: SocketAddr::new(ip, all.port()).to_string(), ..listens }
}

/// A follower on a thread of its own.
pub struct Launched {
    /// Where JSON-RPC is served.
    pub http: SocketAddr,
    /// The chain.
    pub ledger: Ledger,
    /// Where others reach it, if it listens.
    pub address: Option<PeerAddress>,
    thread: Thread,
}

impl Launched {
    /// Stops it.
    ///
    /// # Errors
    ///
    /// What it failed with before.
    pub fn stop(self) -> Result<()> {
        self.thread.stop()
    }
}

/// Starts a follower on a thread of its own, and returns when it serves. Blocking.
///
/// # Errors
///
/// As [`start`].
pub fn launch(config: Config) -> Result<Launched> {
    let kept = Kept::elsewhere(&config.folder);
    let starting = thread::launch("follower", kept, config.storage(), async move |runtime, tell, stopped| {
        let mut running = Box::pin(start(runtime, config)).await?;
        let _ = tell.send((running.http(), running.address(), running.ledger.clone()));
        let outcome = tokio::select! {
            error = running.failed() => Err(error),
            _ = stopped => Ok(()),
        };
        running.stop().await;
        outcome
    })?;
    let ((http, address, ledger), thread) = starting.serving()?;
    Ok(Launched { http, ledger, address, thread })
}

/// The genesis file in the folder, or that which the peers prove to be the network's.
async fn genesis<L: follow::Link>(
    runtime: &Context,
    folder: &std::path::Path,
    peers: &Peers<L>,
    key: NetworkKey,
) -> Result<Genesis> {
    let path = folder.join("genesis.json");
    if !path.exists() {
        let genesis = follow::genesis(runtime, peers, key, common::BLOCK_BYTES, TRIES).await?;
        write_private(&path, serde_json::to_string_pretty(&genesis)?.as_bytes())
            .wrap_err_with(|| format!("cannot write {}", path.display()))?;
        return Ok(genesis);
    }
    let genesis = crate::read_genesis(&path)?;
    let committee = genesis.committee.as_ref().map(Committee::try_from).transpose()?;
    match committee.map(|committee| committee.network_key()) {
        Some(other) if other == key => Ok(genesis),
        Some(other) => bail!(
            "the folder {} holds the chain of another network, whose key is {}",
            folder.display(),
            Bytes::from(other.encode().to_vec())
        ),
        None => bail!("the chain in {} has no validators", folder.display()),
    }
}

/// A key for one run: nobody need know a node that serves none.
pub(crate) fn new_identity() -> Result<PrivateKey> {
    PrivateKey::decode(Copying(&rand::random::<[u8; 32]>())).map_err(|error| eyre!("no key: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_cryptography::Signer as _;

    #[test]
    fn a_node_that_listens_on_all_addresses_names_one_that_others_can_call() {
        let key = new_identity().unwrap().public_key();
        let at = |host: &str| PeerAddress::new((&key).into(), host).unwrap();
        let peers = [at("nowhere.invalid:9000"), at("127.0.0.1:9000")];
        for (listens, called) in [
            ("0.0.0.0:21500", "127.0.0.1:21500"),
            ("[::]:21500", "127.0.0.1:21500"),
            ("127.0.0.2:21500", "127.0.0.2:21500"),
        ] {
            assert_eq!(reached(at(listens), &peers), at(called), "{listens}");
        }
        assert_eq!(reached(at("0.0.0.0:21500"), &[]).host, "127.0.0.1:21500");
    }
}

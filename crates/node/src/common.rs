//! What validators and followers have in common.

use crate::{
    connected, health, index,
    network_methods::{self, About},
    provider::{Provider, Role},
    silence::{self, Said},
    stoa_methods,
    waiting::{Head, Mempool},
};
use alloy_signer_local::PrivateKeySigner;
use commonware_runtime::{Supervisor as _, tokio::Context};
use eyre::WrapErr as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use stoa_base::Genesis;
use stoa_ledger::{
    Ledger, LedgerConfig,
    state::{self, StateConfig},
};
use stoa_mempool::Pool;
use stoa_rpc::{Server, Traffic};

/// Bytes of transactions in a block.
pub(crate) const BLOCK_BYTES: usize = 4 << 20;

/// Work that goes on until this is dropped.
pub(crate) struct Background(tokio::task::JoinHandle<()>);

impl Background {
    pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where this machine reaches what listens there.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback = if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    address
}

/// Refuses to serve a chain whose money everybody has the keys of to other machines.
pub(crate) fn check_loopback(genesis: &Genesis, http: SocketAddr) -> eyre::Result<()> {
    if genesis.development && !http.ip().is_loopback() {
        eyre::bail!(
            "this is a development network, whose keys everybody knows: it is served on loopback only, not on {http} \
             (use --http 127.0.0.1:{})",
            http.port()
        );
    }
    Ok(())
}

/// Refuses an address that cannot be listened on before anything starts that would have to be stopped again; `hint` ends the error.
pub(crate) fn check_free(http: SocketAddr, hint: &str) -> eyre::Result<()> {
    TcpListener::bind(http).map(drop).wrap_err_with(|| format!("cannot listen on {http}{hint}"))
}

/// How the state is laid out, with `cache` bytes of memory.
pub(crate) fn state_config(runtime: &Context, cache: usize) -> StateConfig {
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    state::config(runtime, "stoa", cache, threads)
}

/// How the chain is kept in a folder.
pub(crate) fn ledger_config(folder: &Path, history: u64, cache: usize) -> LedgerConfig {
    // Values that are read again and again, at some 200 bytes each, take an eighth of what the log's pages take.
    LedgerConfig {
        history,
        cache_entries: cache / 8 / 200,
        natives: crate::natives(),
        ..LedgerConfig::new(folder.join("history"))
    }
}

/// Open files that are kept back for the node itself: chain, state, and connections to other nodes.
const OWN_FILES: u64 = 512;

/// So many connections are few, and so many there are in any case.
const FEW_CONNECTIONS: usize = 512;
const LEAST_CONNECTIONS: usize = 16;

/// How many files this process may have open: as many as the system lets it.
fn open_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Programs begin with a low limit, which they may raise.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    raised.map_or(current, |()| maximum).unwrap_or(u64::MAX)
}

/// How many connections JSON-RPC may have where so many files may be open, each being one.
fn connections(files: u64) -> usize {
    usize::try_from(files.saturating_sub(OWN_FILES)).unwrap_or(usize::MAX).max(LEAST_CONNECTIONS)
}

/// Bounds on what clients of JSON-RPC cost.
pub(crate) fn bounds() -> stoa_rpc::Config {
    let (usual, files) = (stoa_rpc::Config::default(), open_files());
    let most = connections(files);
    if most < FEW_CONNECTIONS {
        tracing::warn!(
            files,
            connections = most,
            "this process may open few files, so that JSON-RPC has few connections (ulimit -n, or LimitNOFILE of systemd)"
        );
    }
    stoa_rpc::Config {
        max_connections: usual.max_connections.min(most),
        max_websockets: usual.max_websockets.min(most / 2),
        ..usual
    }
}

/// Where and for whom JSON-RPC is served.
pub(crate) struct Serving<'a> {
    /// Of the waiting transactions.
    pub(crate) folder: &'a Path,
    pub(crate) http: SocketAddr,
    /// Names in the `Host` header that are served besides `localhost`.
    pub(crate) hosts: Vec<String>,
    /// Whether transactions without a chain id (EIP-155) are taken.
    pub(crate) allow_unprotected: bool,
    /// Keys that the node signs with when asked to.
    pub(crate) accounts: Vec<PrivateKeySigner>,
    /// If it keeps an index of the market's assets and answers what is asked of it: the account that it does so as.
    pub(crate) index: Option<PrivateKeySigner>,
    /// If it gives files to those who have ordered them, which takes an index.
    pub(crate) provider: Option<Role>,
}

/// Opens the waiting transactions, which are checked against the state, and serves JSON-RPC.
pub(crate) async fn serve(
    runtime: &Context,
    ledger: &Ledger,
    waiting: &Mempool,
    about: About,
    serving: Serving<'_>,
) -> eyre::Result<(Pool, stoa_rpc::Handle, Option<Background>)> {
    let Serving { folder, http, hosts, allow_unprotected, accounts, index, provider } = serving;
    let index = index::open(index, folder, ledger)?;
    let provider = provider.map(|role| Provider::open(role, ledger, index.as_ref())).transpose()?;
    let state = Arc::new(Head { ledger: ledger.clone(), development: false });
    // One wei of tip, as geth asks for: who pays nothing costs the network something all the same.
    let pool_config = stoa_mempool::Config { minimum_tip: 1, allow_unprotected, ..stoa_mempool::Config::default() };
    let pool = Pool::open(&folder.join("mempool"), pool_config, state)
        .wrap_err("the file of waiting transactions cannot be opened")?;
    waiting.open(pool.clone());
    tokio::spawn(maintain(pool.clone()));
    tokio::spawn(health::watch_clock(ledger.clone()));
    let (about, traffic) = (Arc::new(about), Traffic::default());
    let (chain, known) = (ledger.clone(), about.clone());
    let patience = move || health::patience(&chain, &known);
    let (chain, say) = (ledger.clone(), tell(about.clone()));
    tokio::spawn(silence::watch(runtime.child("silence"), patience, move || chain.head().number(), say));
    let watched = health::Watched {
        ledger: ledger.clone(),
        pool: pool.clone(),
        executed: waiting.executed.clone(),
        traffic: traffic.clone(),
        about: about.clone(),
        folder: folder.to_owned(),
    };
    let rpc = Server::builder(ledger.clone(), pool.clone())
        .config(stoa_rpc::Config { hosts, ..bounds() })
        .accounts(accounts)
        .traffic(traffic)
        .methods(stoa_methods::register)
        .methods(|methods| {
            network_methods::register(methods, ledger, about);
            if ledger.genesis().development {
                stoa_rpc::dev::register_network(methods);
            }
        })
        .router(health::routes(watched, runtime.child("stoa")))
        .router(index.as_ref().map_or_else(axum::Router::new, index::Opened::routes))
        .router(match (&provider, &index) {
            (Some(provider), _) => provider.routes(),
            (None, Some(_)) => index::nonces(),
            (None, None) => axum::Router::new(),
        })
        .home(provider.as_ref().map(|provider| provider.home()).unwrap_or_default())
        .bind(http)
        .await
        .wrap_err_with(|| format!("cannot listen on {http}"))?;
    Ok((pool, rpc, index.map(index::Opened::start)))
}

/// Tells whoever runs the node that no block comes, with what is known of why, and that they come again.
fn tell(about: Arc<About>) -> impl Fn(Said) + Send {
    move |said| match said {
        Said::Silent(block, lasted) => {
            let peers = (about.peers)();
            tracing::warn!(
                block,
                seconds = lasted.as_secs(),
                connected = connected::count(&peers),
                peers = peers.len(),
                voting = about.voting(),
                "no block becomes final"
            );
        }
        Said::Again(block, lasted) => tracing::info!(block, seconds = lasted.as_secs(), "blocks become final again"),
    }
}

/// Lets the pool tidy up every few seconds.
async fn maintain(pool: Pool) {
    let start = Instant::now();
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        every.tick().await;
        let pool = pool.clone();
        let now = start.elapsed().as_millis() as u64;
        let tidied = tokio::task::spawn_blocking(move || pool.maintain(now)).await;
        if let Ok(Err(error)) = tidied {
            tracing::error!(%error, "the file of waiting transactions cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_node_the_files_that_it_needs() {
        assert!(connections(u64::MAX) > stoa_rpc::Config::default().max_connections);
        assert_eq!(connections(1024), 512);
        assert_eq!(connections(100), LEAST_CONNECTIONS);
        let bounds = bounds();
        assert!(bounds.max_connections as u64 <= open_files() && bounds.max_websockets <= bounds.max_connections);
    }
}

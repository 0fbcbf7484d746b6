//! What a node keeps for others: pieces of objects, which it watches over and makes anew when they are gone, and shares of
//! keys, which it releases while the ledger says that it may.

use crate::{
    account::{self, Payer},
    common::Background,
    view::Own,
};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall as _;
use commonware_cryptography::{Signer as _, ed25519::PrivateKey};
use eyre::{Result, WrapErr as _};
use futures::FutureExt as _;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use stoa_base::NodeId;
use stoa_data::{
    abi::{CONSENT, IConsent::moveKeepersCall},
    keeper::{KEEPER, Keeper, Look},
    registry::Registry,
};
use stoa_ledger::Ledger;
use stoa_net::{Answers, Endpoint, iroh::protocol::RouterBuilder};
use stoa_store::{BLOBS, Guard, Limits, Network, STORE, Store, Watch};

/// What a node's store runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where objects are kept.
    pub folder: PathBuf,
    /// How much of the disk it may take.
    pub limits: Limits,
    /// Seconds that another node may be silent before its pieces count as lost; half a day if not given.
    pub grace: Option<u64>,
    /// How often it looks at what it has promised.
    pub every: Duration,
}

impl Config {
    /// A store of so many gibibytes beside a node's chain; none if that is 0.
    pub fn of(gib: u64, node: &Path) -> Option<Self> {
        let total = gib.saturating_mul(1 << 30);
        // Nobody pays yet: one who asks for much leaves room for others.
        let limits = Limits { total, owner: total / 4, ..Limits::default() };
        let config = Self { folder: node.join("store"), limits, grace: None, every: Duration::from_secs(600) };
        (gib > 0).then_some(config)
    }
}

/// A store that answers others, and does not look at what it has promised yet.
pub(crate) struct Opened {
    watch: Watch,
    keeper: Arc<Keeper>,
    endpoint: Endpoint,
    account: PrivateKeySigner,
    every: Duration,
}

/// Adds a node's store to what it answers, if it has one.
pub(crate) fn add(
    config: Option<Config>,
    endpoint: &Endpoint,
    key: &PrivateKey,
    ledger: &Ledger,
    router: RouterBuilder,
) -> Result<(RouterBuilder, Option<Opened>)> {
    let Some(config) = config else { return Ok((router, None)) };
    let (router, opened) = open(config, endpoint, key, ledger, router)?;
    Ok((router, Some(opened)))
}

/// Opens the store, and lets `router` answer for it.
fn open(
    config: Config,
    endpoint: &Endpoint,
    key: &PrivateKey,
    ledger: &Ledger,
    router: RouterBuilder,
) -> Result<(RouterBuilder, Opened)> {
    let store = Store::open(&config.folder, config.limits)
        .wrap_err_with(|| format!("cannot open the store in {}", config.folder.display()))?;
    let registry = Arc::new(Registry::new(Arc::new(Own(ledger.clone()))));
    let key_folder = config.folder.with_file_name("keeper");
    let chain_id = ledger.genesis().chain_id;
    let chain = Arc::new(Own(ledger.clone()));
    let keeper = Keeper::open(&key_folder, key.clone(), chain_id, chain, Some(store.clone()))
        .wrap_err_with(|| format!("cannot open {}", key_folder.display()))?;
    let keeper = Arc::new(keeper);
    let router = router.accept(KEEPER, Answers::new(keeper.clone()));
    let network = Network::new(store, endpoint, registry.clone());
    let server = network.server(Guard { keeps: true, members: registry });
    let router = router.accept(BLOBS, server.blobs_only()).accept(STORE, server);
    let watch = Watch::new(network, NodeId::from(&key.public_key()), config.grace);
    let (account, endpoint) = (account::of(key)?, endpoint.clone());
    Ok((router, Opened { watch, keeper, endpoint, account, every: config.every }))
}

impl Opened {
    /// Begins to look at what it has promised. `http` is the node's own JSON-RPC, to which it sends its transactions.
    pub(crate) fn start(self, http: SocketAddr) -> Background {
        let Self { watch, keeper, endpoint, account, every } = self;
        let payer = Payer::new(account, http);
        let send = move |call: moveKeepersCall| payer.clone().call(CONSENT, call.abi_encode()).boxed();
        let look = Look::new(keeper, &endpoint, Box::new(send), every);
        Background::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                if let Err(error) = look.all().await {
                    tracing::warn!(%error, "shares of keys could not be looked at");
                }
                watch_once(&watch).await;
            }
        })
    }
}

async fn watch_once(watch: &Watch) {
    let looked = match watch.look().await {
        Ok(looked) => looked,
        Err(error) => return tracing::warn!(%error, "the store could not be looked at"),
    };
    for (id, repaired) in looked.repaired {
        let (read, written, pieces) = (repaired.read, repaired.written, repaired.kept.len());
        tracing::info!(object = %id, pieces, read, written, "pieces were made anew");
    }
    for (id, why) in looked.failed {
        tracing::warn!(object = %id, why, "pieces could not be made anew");
    }
    for id in looked.lost {
        tracing::error!(object = %id, "too few pieces are left to make the others");
    }
    for report in looked.reports {
        tracing::warn!(%report, "a node does not have what it says it has");
    }
}

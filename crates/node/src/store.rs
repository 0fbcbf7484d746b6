//! What a node keeps for others: pieces of objects, which it watches over and makes anew when they are gone, and shares of
//! keys, which it releases while the ledger says that it may.

use crate::{
    account::{self, Payer},
    common::Background,
    known::known,
    view::Own,
};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall as _;
use commonware_cryptography::{Signer as _, ed25519::PrivateKey};
use commonware_runtime::{
    Metrics,
    telemetry::metrics::{Counter, Gauge, GaugeExt as _, MetricsExt as _},
};
use eyre::{Result, WrapErr as _};
use futures::FutureExt as _;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use stoa_base::{NodeId, since_1970};
use stoa_data::{
    abi::{CONSENT, IConsent::moveKeepersCall},
    keeper::{KEEPER, Keeper, Look},
    registry::Registry,
};
use stoa_ledger::Ledger;
use stoa_net::{Answers, Endpoint, iroh::protocol::RouterBuilder};
use stoa_store::{BLOBS, Guard, Limits, Looked, Network, STORE, Store, Watch};

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
        // Nobody pays yet, and keys cost nothing: one who asks for much leaves room for others, and all strangers together for
        // registered nodes, which make lost pieces anew.
        let limits = Limits { total, owner: total / 4, strangers: total / 4 * 3, ..Limits::default() };
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
    let router = router.accept(KEEPER, Answers::new(keeper.clone()).leaving_room_for(known(ledger)));
    let network = Network::new(store, endpoint, registry.clone());
    let server = network.server(Guard { keeps: true, members: registry });
    let router = router.accept(BLOBS, server.blobs_only()).accept(STORE, server);
    let watch = Watch::new(network, NodeId::from(&key.public_key()), config.grace);
    let (account, endpoint) = (account::of(key)?, endpoint.clone());
    Ok((router, Opened { watch, keeper, endpoint, account, every: config.every }))
}

impl Opened {
    /// Begins to look at what it has promised, and to count what comes of it. `http` is the node's own JSON-RPC, to which it sends its
    /// transactions.
    pub(crate) fn start(self, http: SocketAddr, metrics: &impl Metrics) -> Background {
        let Self { watch, keeper, endpoint, account, every } = self;
        let payer = Payer::new(account, http);
        let send = move |call: moveKeepersCall| payer.clone().call(CONSENT, call.abi_encode()).boxed();
        let look = Look::new(keeper, &endpoint, Box::new(send), every);
        let counts = Counts::register(metrics);
        // Side by side: other nodes may keep either of them waiting.
        Background::spawn(async move {
            futures::join!(after_keys(look, every), after_pieces(watch, counts, every));
        })
    }
}

/// Looks after shares of keys.
async fn after_keys(look: Look, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        if let Err(error) = look.all().await {
            tracing::warn!(%error, "shares of keys could not be looked at");
        }
    }
}

/// Looks after pieces of objects.
async fn after_pieces(watch: Watch, counts: Counts, every: Duration) {
    let mut pause = every;
    loop {
        tokio::time::sleep(pause).await;
        pause = every;
        match watch.look().await {
            Ok(looked) => {
                tell(&looked);
                counts.add(&looked);
                let again = looked.again.map(|again| Duration::from_secs(again).saturating_sub(since_1970()));
                pause = again.map_or(every, |again| again.min(every));
            }
            Err(error) => tracing::warn!(%error, "the store could not be looked at"),
        }
    }
}

/// What monitoring is told of what was promised.
struct Counts {
    repairs: Counter,
    pieces: Counter,
    failures: Counter,
    read: Counter,
    written: Counter,
    faults: Counter,
    lost: Gauge,
    postponed: Gauge,
}

impl Counts {
    fn register(metrics: &impl Metrics) -> Self {
        Self {
            repairs: metrics.counter("store_repairs", "Objects whose missing pieces this node has made anew"),
            pieces: metrics
                .counter("store_repaired_pieces", "Pieces that this node has made anew and others have taken"),
            failures: metrics
                .counter("store_repair_failures", "Repairs that failed, and pieces that a node did not take"),
            read: metrics.counter("store_repair_read_bytes", "Bytes that repairs have fetched from other nodes"),
            written: metrics.counter("store_repair_written_bytes", "Bytes that repairs have handed to other nodes"),
            faults: metrics
                .counter("store_faults", "Faults of other nodes: wrong bytes, or none of what they should have"),
            lost: metrics.gauge("store_lost_objects", "Objects of which too few pieces were left at the last look"),
            postponed: metrics.gauge("store_postponed_repairs", "Repairs that the last look left to the next one"),
        }
    }

    fn add(&self, looked: &Looked) {
        let pieces: usize = looked.repaired.iter().map(|(_, repaired)| repaired.kept.len()).sum();
        let refused: usize = looked.repaired.iter().map(|(_, repaired)| repaired.failed.len()).sum();
        let made = looked.repaired.iter().filter(|(_, repaired)| !repaired.kept.is_empty()).count();
        self.repairs.inc_by(made as u64);
        self.pieces.inc_by(pieces as u64);
        self.failures.inc_by((looked.failed.len() + looked.let_go.len() + refused) as u64);
        self.read.inc_by(looked.read);
        self.written.inc_by(looked.written);
        self.faults.inc_by(looked.reports.len() as u64);
        let _ = self.lost.try_set(looked.lost.len());
        let _ = self.postponed.try_set(looked.postponed);
    }
}

/// Whoever runs the node is told without asking for it: a repair means that nodes are gone, and costs traffic.
fn tell(looked: &Looked) {
    for (id, repaired) in &looked.repaired {
        let (read, written, pieces) = (repaired.read, repaired.written, repaired.kept.len());
        if pieces > 0 {
            tracing::warn!(object = %id, pieces, read, written, "pieces were made anew, for their nodes are gone");
        }
        for piece in &repaired.wrong {
            tracing::warn!(object = %id, piece, "what its manifest says of a piece is wrong: that piece is not made anew, and the others do");
        }
        for (piece, node, why) in &repaired.failed {
            tracing::warn!(object = %id, piece, %node, %why, "a node did not take a piece that was made anew");
        }
    }
    for (id, why) in &looked.failed {
        tracing::warn!(object = %id, why, "pieces could not be made anew");
    }
    for id in &looked.let_go {
        tracing::warn!(object = %id, "it was let go of: its pieces do not belong together, whoever made it made it wrong");
    }
    for id in &looked.lost {
        tracing::error!(object = %id, "too few pieces are left to make the others");
    }
    for report in &looked.reports {
        tracing::warn!(%report, "a node did not do what it should");
    }
    if looked.postponed > 0 {
        tracing::warn!(repairs = looked.postponed, "repairs wait for the next look, for this one has moved enough");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_runtime::{Runner as _, deterministic};
    use stoa_store::{BlobHash, Denied, Fault, ObjectId, Repaired, Report};

    #[test]
    fn strangers_leave_a_quarter_of_what_a_node_offers_to_registered_nodes_however_many_they_are() {
        let Limits { total, owner, strangers, .. } = Config::of(100, Path::new("node")).unwrap().limits;
        assert_eq!([total, owner, strangers], [100_u64, 25, 75].map(|gib| gib << 30));
        assert!(Config::of(0, Path::new("node")).is_none());
    }

    #[test]
    fn repairs_their_traffic_and_who_lied_to_them_are_counted() {
        let (id, node) = (ObjectId([1; 32]), NodeId([2; 32]));
        let done = Repaired {
            kept: vec![(0, node), (1, node)],
            failed: vec![(2, node, Denied::NotHere)],
            ..Repaired::default()
        };
        let report = Report { node, blob: BlobHash([3; 32]), fault: Fault::Wrong("other bytes".into()) };
        let looked = Looked {
            repaired: vec![(id, done), (id, Repaired::default())],
            failed: vec![(id, "nobody has room".into())],
            let_go: vec![id],
            lost: vec![id],
            reports: vec![report],
            read: 300,
            written: 200,
            postponed: 4,
            ..Looked::default()
        };
        deterministic::Runner::default().start(async |runtime| {
            let counts = Counts::register(&runtime);
            counts.add(&looked);
            counts.add(&looked);
            let said = runtime.encode();
            for line in [
                "store_repairs_total 2",
                "store_repaired_pieces_total 4",
                "store_repair_failures_total 6",
                "store_repair_read_bytes_total 600",
                "store_repair_written_bytes_total 400",
                "store_faults_total 2",
                "store_lost_objects 1",
                "store_postponed_repairs 4",
            ] {
                assert!(said.lines().any(|said| said.ends_with(line)), "{line}: {said}");
            }
            assert_eq!(said.lines().filter(|line| line.starts_with("# HELP") && line.contains("store_")).count(), 8);
        });
    }
}

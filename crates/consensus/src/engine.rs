use crate::{
    application::{LedgerApplication, Node, Scheme, Waiting},
    block::SealedBlock,
    floor::Floor,
    gossip,
    observe::{Running, Votes, keep_certificates},
    pace::{Moving, Pace, Paced},
    seeds::Seeds,
};
use alloy_primitives::Address;
use commonware_broadcast::buffered;
use commonware_consensus::{
    Reporters,
    marshal::{
        self,
        core::Actor as Marshal,
        resolver::p2p as marshal_resolver,
        standard::{Deferred, Standard},
    },
    simplex::{
        self,
        config::{Floor as Root, ForwardPolicy, SkipPolicy},
        elector::RoundRobin,
    },
    types::{Epoch, FixedEpocher, ViewDelta},
};
use commonware_cryptography::{
    Digested, Digestible as _,
    certificate::ConstantProvider,
    ed25519::PublicKey,
    sha256::{Digest, Sha256},
};
use commonware_glue::stateful::{
    Config as StatefulConfig, PruneConfig, Stateful, SyncPlan,
    db::{AttachableResolver, Shared, SyncEngineConfig},
};
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Quota, buffer::paged::CacheRef};
use commonware_storage::{
    archive::prunable,
    qmdb::sync::{Request, Source, source},
    translator::EightCap,
};
use commonware_utils::{NZDuration, NZU16, NZU32, NZU64, NZUsize, channel::oneshot};
use futures::FutureExt as _;
use rand::CryptoRng;
use std::{num::NonZeroU64, time::Duration};
use stoa_ledger::{
    Ledger,
    state::{Family, Runtime, StateConfig, SyncOperation},
};

/// Channels of the validators' network, with how many messages a second a peer may send on each.
pub const CHANNELS: [(u64, Quota); 6] = [
    (0, Quota::per_second(NZU32!(1024))),
    (1, Quota::per_second(NZU32!(1024))),
    (2, Quota::per_second(NZU32!(128))),
    (3, Quota::per_second(NZU32!(256))),
    (4, Quota::per_second(NZU32!(256))),
    (5, Quota::per_second(NZU32!(512))),
];

/// Blocks until the validator set may change.
const EPOCH_LENGTH: NonZeroU64 = NZU64!(u64::MAX);
const BUFFER: std::num::NonZeroUsize = NZUsize!(1 << 20);
/// What a block has besides its transactions, at most.
pub const BLOCK_OVERHEAD: usize = 4096;
/// Operations of the state's log that one message of state sync carries.
const SYNC_OPERATIONS: NonZeroU64 = NZU64!(1024);
const MAILBOX: std::num::NonZeroUsize = NZUsize!(1024);

/// What a validator runs with.
pub struct Config<W, B, P> {
    /// The chain; its state database joins it here.
    pub ledger: Ledger,
    /// How the state database is laid out.
    pub state: StateConfig,
    /// What the names of consensus' own storage begin with.
    pub partition: String,
    /// Transactions to include.
    pub waiting: W,
    /// This validator's keys, and the others'.
    pub scheme: Scheme,
    /// This validator's identity on the network.
    pub me: PublicKey,
    /// Who gets the tips of blocks built here.
    pub beneficiary: Address,
    /// How often blocks come.
    pub pace: Pace,
    /// The most bytes of a block.
    pub max_bytes: usize,
    /// The block to go on from, if the node has come to it without consensus.
    pub floor: Option<Floor>,
    /// Cuts off peers that break the rules.
    pub blocker: B,
    /// Tells which peers there are.
    pub peers: P,
    #[cfg(test)]
    pub(crate) malice: crate::application::Malice,
}

/// Where `stateful` would sync a state from. A validator comes here with the state that it needs (see [`Floor`]), so that
/// nobody asks.
#[derive(Clone)]
struct NoPeers;

/// There is nobody to sync the state from.
#[derive(Debug, thiserror::Error)]
#[error("there is no peer to sync the state from")]
struct NoPeer;

impl Source for NoPeers {
    type Family = Family;
    type Digest = Digest;
    type Op = SyncOperation;
    type Error = NoPeer;

    async fn serve(&self, _: Request<Family>) -> source::Result<Self> {
        Err(NoPeer)
    }
}

impl<DB: Send + Sync + 'static> AttachableResolver<DB> for NoPeers {
    async fn attach_database(&self, _: Shared<DB>) {}
}

/// Blocks and certificates that are kept for peers that have fallen behind.
const RETAINED_BLOCKS: usize = 10_000;

/// What is given up of consensus and state: nothing that belongs to the last `window` blocks, whose states can be proven.
fn prune_config(window: u64) -> Option<PruneConfig> {
    // The targets of all these blocks are in memory, some 100 bytes each: an archive prunes nothing.
    let window = usize::try_from(window).ok().filter(|window| *window <= 1 << 20)?;
    Some(PruneConfig {
        maintenance_interval: NZUsize!(1000),
        retained_marshal_blocks: RETAINED_BLOCKS.max(window),
        retained_qmdb_blocks: window,
    })
}

/// How what marshal keeps is laid out.
fn archive<C>(partition: &str, name: &str, codec_config: C, page_cache: CacheRef) -> prunable::Config<EightCap, C> {
    prunable::Config {
        translator: EightCap,
        metadata_partition: format!("{partition}-{name}-metadata"),
        key_partition: format!("{partition}-{name}-keys"),
        key_page_cache: page_cache,
        value_partition: format!("{partition}-{name}-values"),
        compression: None,
        codec_config,
        items_per_section: NZU64!(1024),
        key_write_buffer: BUFFER,
        value_write_buffer: BUFFER,
        replay_buffer: BUFFER,
    }
}

/// Starts everything that a validator runs, over the [`CHANNELS`] of its network.
///
/// Returns when the state database has joined the ledger. The engine ends only when the runtime stops.
///
/// # Panics
///
/// If the storage cannot be opened.
pub async fn start<E, W, B, P, S, R>(runtime: E, config: Config<W, B, P>, channels: Vec<(S, R)>) -> Running
where
    E: Runtime + CryptoRng,
    W: Waiting,
    B: Blocker<PublicKey = PublicKey>,
    P: Provider<PublicKey = PublicKey>,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    let [vote_channel, certificate_channel, resolver, backfill, broadcast, transactions] =
        <[(S, R); 6]>::try_from(channels).unwrap_or_else(|_| panic!("one pair for each channel"));
    #[cfg(test)]
    let malice = config.malice;
    let Config {
        ledger,
        state,
        partition,
        waiting,
        scheme,
        me,
        beneficiary,
        pace,
        max_bytes,
        floor,
        blocker,
        peers,
        ..
    } = config;
    let page_cache = CacheRef::new(NZU16!(4084), NZUsize!(2048));
    let first = SealedBlock::new(ledger.first()).expect("block 0 has no context");

    let fetch = marshal_resolver::Config {
        public_key: me.clone(),
        peer_provider: peers.clone(),
        blocker: blocker.clone(),
        mailbox_size: MAILBOX,
        fetch_timeout: NZDuration!(Duration::from_secs(2)),
        fetch_retry_delay: Duration::from_millis(100),
        priority_requests: false,
        priority_responses: false,
    };
    let fetch = marshal_resolver::init(runtime.child("marshal_resolver"), fetch, backfill);

    let spread = buffered::Config {
        public_key: me,
        mailbox_size: MAILBOX,
        deque_size: 16,
        priority: false,
        codec_config: max_bytes + BLOCK_OVERHEAD,
        peer_provider: peers,
        strategy: Sequential,
    };
    let (spread, buffer) = buffered::Engine::new(runtime.child("broadcast"), spread);
    spread.start(broadcast);

    let finalizations = archive(&partition, "finalizations", (), page_cache.clone());
    let finalizations = prunable::Archive::init(runtime.child("finalizations"), finalizations)
        .await
        .expect("the archive of certificates cannot be opened");
    let blocks = archive(&partition, "blocks", max_bytes + BLOCK_OVERHEAD, page_cache.clone());
    let mut blocks =
        prunable::Archive::init(runtime.child("blocks"), blocks).await.expect("the archive of blocks cannot be opened");
    if let Some(floor) = &floor {
        floor.note(runtime.child("floor"), &partition).await;
        blocks = floor.keep(blocks).await;
    }

    let plan = SyncPlan::init(runtime.child("plan"), &partition).await;
    let provider = ConstantProvider::new(scheme.clone());
    let digest = first.digest();
    let marshal = marshal::Config {
        provider,
        epocher: FixedEpocher::new(EPOCH_LENGTH),
        start: match &floor {
            Some(floor) => marshal::Start::Floor(floor.certificate.clone()),
            None => plan.marshal_start(Digested::precomputed(first.clone(), digest)),
        },
        partition_prefix: partition.clone(),
        mailbox_size: MAILBOX,
        view_retention: ViewDelta::new(64),
        prunable_items_per_section: NZU64!(1024),
        page_cache: page_cache.clone(),
        replay_buffer: BUFFER,
        key_write_buffer: BUFFER,
        value_write_buffer: BUFFER,
        block_codec_config: max_bytes + BLOCK_OVERHEAD,
        max_repair: NZUsize!(16),
        max_pending_acks: NZUsize!(1),
        strategy: Sequential,
    };
    let (marshal, marshal_mailbox, marshal_floor) = Marshal::<_, Standard<SealedBlock>, _, _, _, _, _>::init(
        runtime.child("marshal"),
        finalizations,
        blocks,
        marshal,
    )
    .await;

    let (joined, ready) = oneshot::channel::<()>();
    let ready = async move {
        let _ = ready.await;
    };
    let moving = Moving::default();
    let (seeds, votes) = (Seeds::default(), Votes::default());
    let certificates = keep_certificates(ledger.clone(), marshal_mailbox.clone());
    let application = LedgerApplication {
        ledger: ledger.clone(),
        first,
        beneficiary,
        max_bytes,
        scheme: scheme.clone(),
        seeds: seeds.clone(),
        moving: moving.clone(),
        #[cfg(test)]
        malice,
        ready: ready.boxed().shared(),
    };
    let stateful = StatefulConfig {
        application: Node { application, waiting: waiting.clone() },
        db_config: state,
        provider: (),
        marshal: (marshal_mailbox.clone(), marshal_floor),
        mailbox_size: MAILBOX,
        plan,
        resolvers: NoPeers,
        sync_config: SyncEngineConfig {
            fetch_batch_size: SYNC_OPERATIONS,
            apply_batch_size: NZU64!(4096),
            max_outstanding_requests: NZUsize!(8),
        },
        prune_config: prune_config(ledger.window()),
        strategy: Sequential,
    };
    let (stateful, stateful_mailbox) = Stateful::new(runtime.child("stateful"), stateful);
    let deferred = Deferred::new(
        runtime.child("deferred"),
        stateful_mailbox.clone(),
        marshal_mailbox,
        FixedEpocher::new(EPOCH_LENGTH),
    );
    // Asked for before marshal can hand on the first block: executing one waits for the database to join the ledger,
    // and while a final block is executed nobody is answered.
    let mut database = Box::pin(stateful_mailbox.subscribe_databases());
    let asked = futures::poll!(&mut database);
    assert!(asked.is_pending(), "nobody can have answered yet");
    marshal.start(stateful_mailbox.clone(), buffer, fetch);
    stateful.start();
    let database = database.await;
    ledger.attach(database).await.unwrap_or_else(|error| panic!("{error}"));
    let _ = joined.send(());
    runtime.child("certificates").spawn(move |_| certificates);

    let gossip = gossip::run(runtime.child("gossip"), waiting.clone(), transactions);
    runtime.child("transactions").spawn(move |_| gossip);

    let paced = Paced::new(runtime.child("pace"), deferred.clone(), ledger, waiting, pace, moving);
    let simplex = simplex::Config {
        scheme,
        elector: RoundRobin::<Sha256>::default(),
        blocker,
        automaton: paced,
        relay: deferred.clone(),
        reporter: Reporters::from((deferred, Reporters::from((seeds, votes.clone())))),
        strategy: Sequential,
        partition: format!("{partition}-simplex"),
        mailbox_size: MAILBOX,
        epoch: Epoch::zero(),
        floor: floor.map_or(Root::Genesis(digest), |floor| Root::Finalized(floor.certificate)),
        replay_buffer: BUFFER,
        write_buffer: BUFFER,
        page_cache,
        leader_timeout: pace.idle + Duration::from_millis(250),
        certification_timeout: pace.idle + Duration::from_millis(500),
        timeout_retry: Duration::from_millis(500),
        view_retention: ViewDelta::new(64),
        skip: SkipPolicy::Enabled {
            timeout: pace.idle + Duration::from_secs(5),
            budget: simplex::SkipBudget::Participants,
        },
        fetch_timeout: NZDuration!(Duration::from_secs(2)),
        fetch_retry_delay: Duration::from_millis(100),
        forward: ForwardPolicy::Disabled,
        track_historical_votes: false,
    };
    simplex::Engine::new(runtime.child("simplex"), simplex).start(vote_channel, certificate_channel, resolver);
    Running { votes }
}

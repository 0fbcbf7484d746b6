use crate::{
    application::{LedgerApplication, Node, Waiting},
    block::{Bounds, SealedBlock},
    committee::Committee,
    epochs::{Compared, Founders, Registered, Schemes, Secrets, Voting},
    equivocation::{Equivocations, Telling},
    floor::Floor,
    gossip,
    observe::{Running, Standing, Votes, keep_certificates},
    pace::{Moving, Pace, Paced, Timeouts},
    seeds::Seeds,
    validator::namespace,
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
        config::{ForwardPolicy, SkipPolicy},
        elector::RoundRobin,
    },
    types::{Epoch, FixedEpocher, ViewDelta},
};
use commonware_cryptography::{
    Digested, Digestible as _, Signer as _,
    bls12381::{
        dkg::feldman_desmedt::Reveal,
        primitives::sharing::{Mode, ModeVersion},
    },
    certificate::ConstantProvider,
    ed25519::{PrivateKey, PublicKey},
    sha256::{Digest, Sha256},
};
use commonware_glue::{
    dkg::{fence::Fence, orchestrator, reshare, state_sync},
    stateful::{
        Config as StatefulConfig, PruneConfig, Stateful, SyncPlan,
        db::{AttachableResolver, Shared, SyncEngineConfig},
    },
};
use commonware_p2p::{Blocker, Manager, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Network, Quota, buffer::paged::CacheRef};
use commonware_storage::{
    archive::prunable,
    qmdb::sync::{Request, Source, source},
    translator::EightCap,
};
use commonware_utils::{NZDuration, NZU16, NZU32, NZU64, NZUsize, channel::oneshot};
use futures::FutureExt as _;
use rand::CryptoRng;
use std::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};
use stoa_ledger::{
    Ledger,
    state::{Family, Runtime, StateConfig, SyncOperation},
};

/// Channels of the validators' network, with how many messages a second a peer may send on each.
pub const CHANNELS: [(u64, Quota); 7] = [
    (0, Quota::per_second(NZU32!(1024))),
    (1, Quota::per_second(NZU32!(1024))),
    (2, Quota::per_second(NZU32!(128))),
    (3, Quota::per_second(NZU32!(256))),
    (4, Quota::per_second(NZU32!(256))),
    (5, Quota::per_second(NZU32!(512))),
    (6, Quota::per_second(NZU32!(256))),
];

const BUFFER: std::num::NonZeroUsize = NZUsize!(1 << 20);
/// What a block has besides its transactions, at most: as many validators as there may be share a key.
pub const BLOCK_OVERHEAD: usize = 4096 + (1 << 19);
/// Operations of the state's log that one message of state sync carries.
const SYNC_OPERATIONS: NonZeroU64 = NZU64!(1024);
const MAILBOX: std::num::NonZeroUsize = NZUsize!(1024);

/// What a validator runs with.
pub struct Config<W, K, B, P> {
    /// The chain; its state database joins it here.
    pub ledger: Ledger,
    /// How the state database is laid out.
    pub state: StateConfig,
    /// What the names of consensus' own storage begin with.
    pub partition: String,
    /// Transactions to include.
    pub waiting: W,
    /// The first validators.
    pub committee: Committee,
    /// Identifies this validator to the others.
    pub key: PrivateKey,
    /// This validator's shares of the network key.
    pub secrets: K,
    /// Who gets the tips of blocks built here.
    pub beneficiary: Address,
    /// How often blocks come.
    pub pace: Pace,
    /// The most bytes of a block.
    pub max_bytes: usize,
    /// The block to go on from, if the node has come to it without consensus.
    pub floor: Option<Floor>,
    /// How this machine's clock stands to the others' newest block, if any of them has said so.
    pub compared: Option<Compared>,
    /// Cuts off peers that break the rules.
    pub blocker: B,
    /// Tells which peers there are.
    pub peers: P,
    #[cfg(test)]
    pub(crate) malice: crate::application::Malice,
    #[cfg(test)]
    pub(crate) notes: crate::application::Notes,
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
fn prune_config(window: u64, epoch_length: NonZeroU64) -> Option<PruneConfig> {
    // The targets of all these blocks are in memory, some 100 bytes each: an archive prunes nothing.
    let window = usize::try_from(window).ok().filter(|window| *window <= 1 << 20)?;
    Some(PruneConfig {
        maintenance_interval: NZUsize!(1000),
        // The last block of the epoch before says who agrees in this one.
        retained_marshal_blocks: RETAINED_BLOCKS.max(window).max(usize::try_from(epoch_length.get()).ok()?),
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
pub async fn start<E, W, K, B, P, S, R>(runtime: E, config: Config<W, K, B, P>, channels: Vec<(S, R)>) -> Running
where
    E: Runtime + CryptoRng + Network,
    W: Waiting,
    K: Secrets,
    B: Blocker<PublicKey = PublicKey>,
    P: Manager<PublicKey = PublicKey> + Clone,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    let [vote_channel, certificate_channel, resolver, backfill, broadcast, transactions, sharing] =
        <[(S, R); 7]>::try_from(channels).unwrap_or_else(|_| panic!("one pair for each channel"));
    #[cfg(test)]
    let (malice, notes) = (config.malice, config.notes.clone());
    let Config {
        ledger,
        state,
        partition,
        waiting,
        committee,
        key,
        secrets,
        beneficiary,
        pace,
        max_bytes,
        floor,
        compared,
        blocker,
        peers,
        ..
    } = config;
    let (me, namespace) = (key.public_key(), namespace(&ledger));
    let equivocations = Equivocations::new(committee.validators().clone(), &me);
    let blocker = Telling { blocker, told: equivocations.clone() };
    let schemes = Schemes::new(&namespace, committee.network_key());
    let epoch_length =
        NonZeroU64::new(ledger.genesis().epoch_length).expect("a genesis file is checked when it is read");
    let epocher = FixedEpocher::new(epoch_length);
    let validators = u32::try_from(committee.validators().len()).ok().and_then(NonZeroU32::new);
    let validators = validators.expect("a committee has validators, and not too many");
    let bounds = Bounds { bytes: max_bytes + BLOCK_OVERHEAD, validators };
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
        codec_config: bounds,
        peer_provider: peers.clone(),
        strategy: Sequential,
    };
    let (spread, buffer) = buffered::Engine::new(runtime.child("broadcast"), spread);
    spread.start(broadcast);

    let finalizations = archive(&partition, "finalizations", (), page_cache.clone());
    let finalizations = prunable::Archive::init(runtime.child("finalizations"), finalizations)
        .await
        .expect("the archive of certificates cannot be opened");
    let blocks = archive(&partition, "blocks", bounds, page_cache.clone());
    let mut blocks =
        prunable::Archive::init(runtime.child("blocks"), blocks).await.expect("the archive of blocks cannot be opened");
    if let Some(floor) = &floor {
        floor.note(runtime.child("floor"), &partition).await;
        blocks = floor.keep(blocks).await;
    }

    let plan = SyncPlan::init(runtime.child("plan"), &partition).await;
    let provider = ConstantProvider::<_, Epoch>::new(schemes.certificates().clone());
    let digest = first.digest();
    let marshal = marshal::Config {
        provider,
        epocher: epocher.clone(),
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
        block_codec_config: bounds,
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
    let (seeds, votes, standing) = (Seeds::default(), Votes::default(), Standing::default());
    let certificates = keep_certificates(ledger.clone(), marshal_mailbox.clone());
    let application = LedgerApplication {
        ledger: ledger.clone(),
        first,
        beneficiary,
        max_bytes,
        scheme: schemes.certificates().clone(),
        seeds: seeds.clone(),
        moving: moving.clone(),
        equivocations: equivocations.clone(),
        #[cfg(test)]
        malice,
        #[cfg(test)]
        notes,
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
        prune_config: prune_config(ledger.window(), epoch_length),
        strategy: Sequential,
    };
    let (stateful, stateful_mailbox) = Stateful::new(runtime.child("stateful"), stateful);

    // What this validator starts from if not from the last block of an epoch that it has.
    let joined_at = floor.map(|floor| state_sync::StateSync { info: floor.info, floor: floor.certificate });
    let joining = state_sync::Config {
        partition_prefix: partition.clone(),
        max_participants: validators,
        max_supported_mode: ModeVersion::v0(),
    };
    let joining = state_sync::Plan::init(runtime.child("joining"), joining, joined_at).await;
    let (fence, gate) = Fence::new();
    let simplex_partition = format!("{partition}-simplex");
    let me = key.public_key();
    let reshare = reshare::Config {
        signer: key,
        manager: peers.clone(),
        blocker: blocker.clone(),
        participants_provider: Founders(committee.validators().clone()),
        secret_store: secrets.clone(),
        strategy: Sequential,
        registrar: Registered {
            runtime: runtime.child("votes"),
            schemes: schemes.clone(),
            partition: simplex_partition.clone(),
            secrets: secrets.clone(),
            key: me,
            standing: standing.clone(),
            marshal: marshal_mailbox.clone(),
            epocher: epocher.clone(),
            first: ledger.genesis().timestamp,
            compared,
            block_time: pace.longest(),
        },
        marshal: marshal_mailbox.clone(),
        state_sync: joining.clone(),
        fence,
        // It lives as long as the validator, which is as long as the process.
        namespace: Box::leak([namespace.as_slice(), b"-share"].concat().into_boxed_slice()),
        sharing_mode: Mode::NonZeroCounter,
        reveal: Reveal::V1,
        mailbox_size: MAILBOX,
        partition_prefix: format!("{partition}-share"),
        page_cache: page_cache.clone(),
        write_buffer: BUFFER,
        replay_buffer: BUFFER,
        max_participants: validators,
        blocks_per_epoch: epoch_length,
    };
    let (reshare, reshare_mailbox) = reshare::Actor::new(runtime.child("share"), reshare);
    let sharing_stateful = reshare::Application::new(stateful_mailbox.clone(), reshare_mailbox.clone(), epoch_length);
    let deferred = Deferred::new(runtime.child("deferred"), sharing_stateful, marshal_mailbox.clone(), epocher);
    let paced = Paced::new(runtime.child("pace"), deferred.clone(), ledger.clone(), waiting.clone(), pace, moving);
    let watching = Reporters::from((votes.clone(), equivocations.clone()));
    let timeouts = Timeouts::at(pace);
    let orchestrator = orchestrator::Config {
        oracle: blocker,
        manager: peers,
        provider: schemes.clone(),
        marshal: marshal_mailbox,
        application: Voting {
            automaton: paced,
            relay: deferred.clone(),
            reporter: Reporters::from((deferred, Reporters::from((seeds, watching)))),
        },
        strategy: Sequential,
        simplex: orchestrator::SimplexConfig {
            elector: RoundRobin::<Sha256>::default(),
            mailbox_size: MAILBOX,
            replay_buffer: BUFFER,
            write_buffer: BUFFER,
            page_cache,
            leader_timeout: timeouts.leader,
            certification_timeout: timeouts.certification,
            timeout_retry: Duration::from_millis(500),
            view_retention: ViewDelta::new(64),
            skip: SkipPolicy::Enabled { timeout: timeouts.silent, budget: simplex::SkipBudget::Participants },
            fetch_timeout: NZDuration!(Duration::from_secs(2)),
            fetch_retry_delay: Duration::from_millis(100),
            forward: ForwardPolicy::Disabled,
            track_historical_votes: false,
        },
        gate,
        state_sync: joining,
        blocks_per_epoch: epoch_length,
        mailbox_size: MAILBOX,
        partition_prefix: simplex_partition,
    };
    let (orchestrator, orchestrator_mailbox) = orchestrator::Actor::new(runtime.child("epochs"), orchestrator);

    // Asked for before marshal can hand on the first block: executing one waits for the database to join the ledger,
    // and while a final block is executed nobody is answered.
    let mut database = Box::pin(stateful_mailbox.subscribe_databases());
    let asked = futures::poll!(&mut database);
    assert!(asked.is_pending(), "nobody can have answered yet");
    let reporters =
        Reporters::from((stateful_mailbox.clone(), Reporters::from((orchestrator_mailbox, reshare_mailbox))));
    marshal.start(reporters, buffer, fetch);
    stateful.start();
    let database = database.await;
    ledger.attach(database).await.unwrap_or_else(|error| panic!("{error}"));
    let _ = joined.send(());
    runtime.child("certificates").spawn(move |_| certificates);

    let gossip = gossip::run(runtime.child("gossip"), waiting, transactions);
    runtime.child("transactions").spawn(move |_| gossip);

    reshare.start(sharing);
    let running = orchestrator.start(vote_channel, certificate_channel, resolver);
    runtime.child("watch").spawn(async move |_| {
        if running.await.is_ok() {
            panic!("consensus has ended: the block that says who agrees in this epoch is missing from the storage");
        }
    });
    Running { votes, equivocations, standing }
}

#[cfg(test)]
mod tests {
    use crate::{MAX_VALIDATORS, block::Payload};

    #[test]
    fn a_block_has_room_for_what_the_most_validators_share_a_key_with() {
        assert!(Payload::max_encode_size(MAX_VALIDATORS) < 1 << 19);
    }
}

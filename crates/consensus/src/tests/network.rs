//! Several validators on a simulated network, for tests to break.

use super::{
    List,
    checks::Told,
    disorder::{Disorder, Disorderly},
    genesis,
    malice::{Twin, flood, run_twins, vote_for_everything},
    secrets::Secrets,
    transfer_from,
};
use crate::{
    BLOCK_OVERHEAD, CHANNELS, Committee, Compared, Identity, Pace, Running,
    application::{Malice, Notes},
    engine,
};
use alloy_primitives::{Address, B256};
use commonware_consensus::types::{Epoch, Height, Round, View};
use commonware_cryptography::{Signer as _, ed25519::PublicKey};
use commonware_glue::simulate::{
    engine::{ChannelPair, EngineDefinition, InitContext},
    processed::ProcessedHeight,
    tracker::FinalizationUpdate,
};
use commonware_p2p::{
    Recipients,
    simulated::{Control, Link, Manager, Oracle},
};
use commonware_runtime::{Clock as _, Handle, IoBuf, Quota, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::{NZUsize, channel::mpsc, probability};
use futures::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};
use stoa_base::{Genesis, Recovered};
use stoa_ledger::{Ledger, LedgerConfig, LedgerError, state};
use tempfile::TempDir;

/// The most bytes of a block's transactions.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// How many transfers each validator's client gives to it.
const TRANSFERS: u64 = 15;

/// The chain as a running validator has it; none once it starts again after a crash.
type Chain = Mutex<Option<Ledger>>;

/// Several validators; each has a client of its own.
#[derive(Clone)]
pub(super) struct Validators {
    identities: Arc<Vec<Identity>>,
    genesis: Arc<Genesis>,
    committee: Committee,
    /// What each keeps to itself, which outlives a crash as well.
    secrets: Arc<Vec<Secrets>>,
    /// History of each, which outlives a crash as the simulated storage does.
    folders: Arc<Vec<TempDir>>,
    /// Held by the simulation alone, whose storage a ledger must not outlive.
    chains: Arc<Vec<Mutex<Weak<Chain>>>>,
    /// What each one's client has to give.
    transfers: Arc<Vec<Vec<Arc<Recovered>>>>,
    told: Arc<Mutex<Told>>,
    notes: Notes,
    malicious: BTreeMap<usize, Malice>,
    pace: Pace,
    disorder: Disorder,
    measured: Option<Measured>,
    losing: Option<Arc<Losing>>,
    misplacing: Option<Arc<Misplacing>>,
    compared: Option<Compared>,
}

/// A validator that has nothing but its secrets when it starts again.
struct Losing {
    index: usize,
    /// Where it begins anew.
    folder: TempDir,
    /// Whether it has started before.
    started: AtomicBool,
}

/// A validator that has all but its secrets when it starts for the second time, and has them back for the third.
struct Misplacing {
    index: usize,
    starts: AtomicUsize,
}

/// What is measured of validators that are given a transfer now and then.
#[derive(Clone, Default)]
pub(super) struct Measured {
    /// How long each took until it was final where it was given.
    pub(super) latencies: Arc<Mutex<Vec<Duration>>>,
    /// Messages and bytes that all sent, on all channels but that of the transactions.
    pub(super) sent: Arc<Mutex<(u64, u64)>>,
    /// Blocks that became final.
    pub(super) blocks: Arc<Mutex<u64>>,
}

/// What a simulated validator runs with.
pub(super) type Config = engine::Config<
    List,
    Secrets,
    Control<PublicKey, deterministic::Context>,
    Manager<PublicKey, deterministic::Context>,
>;

impl Validators {
    pub(super) fn new(count: NonZeroU32, malicious: BTreeMap<usize, Malice>) -> Self {
        let (committee, identities) = Committee::deal(&mut StdRng::seed_from_u64(1), count);
        let each = 0..count.get();
        let transfers = |index: u32| (0..TRANSFERS).map(|nonce| transfer_from(index as u8, nonce)).collect::<Vec<_>>();
        Self {
            genesis: Arc::new(genesis(&committee, count.get() as u8)),
            committee,
            secrets: Arc::new(identities.iter().map(|identity| Secrets::dealt(identity.share.clone())).collect()),
            identities: Arc::new(identities),
            folders: Arc::new(each.clone().map(|_| tempfile::tempdir().unwrap()).collect()),
            transfers: Arc::new(each.clone().map(transfers).collect()),
            chains: Arc::new(each.map(|_| Mutex::default()).collect()),
            told: Arc::default(),
            notes: Notes::default(),
            malicious,
            pace: Pace { busy: Duration::from_millis(50), idle: Duration::from_millis(200) },
            disorder: Disorder::default(),
            measured: None,
            losing: None,
            misplacing: None,
            compared: None,
        }
    }

    /// Such that no transfer is given to a validator before the last is final, and all that they do is measured.
    pub(super) fn measured(count: NonZeroU32, measured: Measured) -> Self {
        let validators = Self::new(count, BTreeMap::new());
        // As a node has it.
        let pace = Pace { idle: Duration::from_secs(1), ..validators.pace };
        Self { measured: Some(measured), pace, ..validators }
    }

    /// What a validator runs with.
    async fn config(
        &self,
        context: &deterministic::Context,
        oracle: &Oracle<PublicKey, deterministic::Context>,
        public_key: &PublicKey,
        secrets: Secrets,
        Place { index, name, folder }: Place,
    ) -> Config {
        let state = state::config(context, &name, 1 << 20, NZUsize!(1));
        let folder = LedgerConfig { durable: false, ..LedgerConfig::new(folder) };
        let mut tries = 0;
        let ledger = loop {
            let genesis = (*self.genesis).clone();
            match Ledger::open(context.child("genesis"), genesis, folder.clone(), state.clone()).await {
                Ok(ledger) => break ledger,
                Err(LedgerError::Storage(why)) if tries < 1000 => {
                    tracing::debug!(why, "the crashed validator still holds its folder");
                    tries += 1;
                    // Threads of the store let go of it in real time, which must not show in the simulation's.
                    std::thread::sleep(Duration::from_millis(1));
                    if tries % 100 == 0 {
                        context.sleep(Duration::from_millis(1)).await;
                    }
                }
                Err(error) => panic!("{error}"),
            }
        };
        Config {
            ledger,
            state,
            partition: name,
            waiting: List::new(self.kept(index)),
            committee: self.committee.clone(),
            key: self.identities[index].key.clone(),
            secrets,
            beneficiary: beneficiary(index),
            pace: self.pace,
            max_bytes: MAX_BYTES,
            floor: None,
            compared: self.compared,
            blocker: oracle.control(public_key.clone()),
            peers: oracle.manager(),
            malice: self.malicious.get(&index).copied().unwrap_or_default(),
            notes: self.notes.clone(),
        }
    }

    /// What a validator has accepted before and still keeps when it starts: what is not final.
    fn kept(&self, index: usize) -> Vec<Arc<Recovered>> {
        let told = self.told.lock();
        let waits = |hash: &B256| told.accepted.contains(hash) && !told.receipts.contains_key(hash);
        self.transfers[index].iter().filter(|transfer| waits(transfer.tx_hash())).cloned().collect()
    }

    /// What a validator's client has not given to it yet.
    fn left(&self, index: usize) -> Vec<Arc<Recovered>> {
        let told = self.told.lock();
        let left = self.transfers[index].iter().filter(|transfer| !told.accepted.contains(transfer.tx_hash()));
        left.cloned().collect()
    }

    /// On links that repeat messages and let them overtake each other.
    pub(super) fn with_disorder(self, disorder: Disorder) -> Self {
        Self { disorder, ..self }
    }

    /// That make blocks at another pace.
    pub(super) fn with_pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// On a chain with epochs of another length.
    pub(super) fn with_epochs(self, length: u64) -> Self {
        Self { genesis: Arc::new(Genesis { epoch_length: length, ..(*self.genesis).clone() }), ..self }
    }

    /// A validator has lost what it was dealt.
    pub(super) fn without_share(self, index: usize) -> Self {
        let mut secrets = (*self.secrets).clone();
        secrets[index] = Secrets::default();
        Self { secrets: Arc::new(secrets), ..self }
    }

    /// A validator has voted, and has lost its votes.
    pub(super) fn without_votes(self, index: usize) -> Self {
        crate::Secrets::note_voting(&self.secrets[index]);
        self
    }

    /// Whose machines' clocks stand so to the newest block.
    pub(super) fn with_clocks(self, compared: Compared) -> Self {
        Self { compared: Some(compared), ..self }
    }

    /// A validator loses all but its secrets when it crashes.
    pub(super) fn losing_storage(self, index: usize) -> Self {
        let losing = Losing { index, folder: tempfile::tempdir().unwrap(), started: AtomicBool::new(false) };
        Self { losing: Some(Arc::new(losing)), ..self }
    }

    /// A validator does not have its secrets when it starts again after a crash, and has them back after another.
    pub(super) fn misplacing_secrets(self, index: usize) -> Self {
        let misplacing = Misplacing { index, starts: AtomicUsize::new(0) };
        Self { misplacing: Some(Arc::new(misplacing)), ..self }
    }

    /// The secrets of a validator, now that it starts.
    fn secrets(&self, index: usize) -> Secrets {
        let misplacing = self.misplacing.as_ref().filter(|misplacing| misplacing.index == index);
        match misplacing.map(|misplacing| misplacing.starts.fetch_add(1, Ordering::Relaxed)) {
            Some(1) => Secrets::default(),
            _ => self.secrets[index].clone(),
        }
    }

    /// Where a validator keeps what, now that it starts.
    fn place(&self, index: usize) -> Place {
        let is_anew = |losing: &&Arc<Losing>| losing.index == index && losing.started.swap(true, Ordering::Relaxed);
        let (name, folder) = match self.losing.as_ref().filter(is_anew) {
            Some(losing) => (format!("validator-{index}-anew"), &losing.folder),
            None => (format!("validator-{index}"), &self.folders[index]),
        };
        Place { index, name, folder: folder.path().to_owned() }
    }

    /// Which validators contradict themselves.
    fn contradictory(&self) -> BTreeSet<usize> {
        let is = |malice: &Malice| malice.conflicting_votes || malice.twins;
        self.malicious.iter().filter(|(_, malice)| is(malice)).map(|(index, _)| *index).collect()
    }

    pub(super) fn keys(&self) -> Vec<PublicKey> {
        self.identities.iter().map(Identity::public).collect()
    }
}

/// Which validator, and where it keeps what.
struct Place {
    index: usize,
    name: String,
    folder: PathBuf,
}

/// What a running validator has noticed of the votes.
pub(super) type Noticed = Arc<Mutex<Option<Running>>>;

/// What a validator runs besides its engine.
struct Surroundings {
    twin: Option<Twin>,
    noticed: Noticed,
    /// What its client has to give to it.
    left: Vec<Arc<Recovered>>,
    told: Arc<Mutex<Told>>,
    disorder: Disorder,
}

/// A validator, ready to run.
pub(super) struct Engine {
    context: deterministic::Context,
    run: BoxFuture<'static, ()>,
}

/// What tests see of a validator.
pub(super) struct State {
    chain: Arc<Chain>,
    pub(super) genesis: Arc<Genesis>,
    pub(super) told: Arc<Mutex<Told>>,
    pub(super) notes: Notes,
    pub(super) secrets: Secrets,
    /// Nothing if it runs no engine.
    noticed: Noticed,
    /// Which validators contradict themselves.
    pub(super) contradictory: BTreeSet<usize>,
    /// Whether it follows the chain at all.
    pub(super) follows: bool,
    /// Shows the simulated time.
    pub(super) clock: deterministic::Context,
}

impl State {
    pub(super) fn ledger(&self) -> Ledger {
        self.chain.lock().clone().expect("it is running")
    }

    /// Which validators it has noticed to contradict themselves, by their places.
    pub(super) fn accused(&self) -> BTreeSet<usize> {
        self.noticed.lock().iter().flat_map(|noticed| noticed.equivocations.counted().into_keys()).collect()
    }

    /// Which validators it has cut off.
    pub(super) fn cut_off(&self) -> BTreeSet<usize> {
        self.noticed.lock().iter().flat_map(|noticed| noticed.equivocations.cut_off().into_keys()).collect()
    }

    /// Whether it has noticed that somebody else signs with its key.
    pub(super) fn notices_itself(&self) -> bool {
        self.noticed.lock().as_ref().is_some_and(|noticed| noticed.equivocations.of_own_key())
    }

    /// How many views it has seen that a quorum gave up.
    pub(super) fn skipped(&self) -> u64 {
        self.noticed.lock().as_ref().map_or(0, |noticed| noticed.votes.skipped())
    }

    /// The number of the newest final block that it shows.
    pub(super) fn height(&self) -> u64 {
        self.chain.lock().as_ref().map_or(0, |ledger| ledger.head().number())
    }
}

impl ProcessedHeight for State {
    async fn processed_height(&self) -> u64 {
        self.height()
    }
}

/// A good network: 10 ms between any two nodes.
pub(super) fn good() -> Link {
    Link { latency: Duration::from_millis(10), jitter: Duration::from_millis(2), success_rate: probability!(1.0) }
}

impl EngineDefinition for Validators {
    type PublicKey = PublicKey;
    type Engine = Engine;
    type State = State;

    fn participants(&self) -> Vec<PublicKey> {
        self.keys()
    }

    fn channels(&self) -> Vec<(u64, Quota)> {
        CHANNELS.to_vec()
    }

    fn max_message_size(&self) -> u32 {
        (MAX_BYTES + BLOCK_OVERHEAD + (1 << 20)) as u32
    }

    async fn init(&self, init: InitContext<'_, PublicKey>) -> (Engine, State) {
        let InitContext { context, index, oracle, public_key, channels, monitor, .. } = init;
        // The one that crashed is gone, with its hold on the folder.
        if let Some(chain) = self.chains[index].lock().upgrade() {
            drop(chain.lock().take());
        }
        let secrets = self.secrets(index);
        let config = self.config(&context, oracle, public_key, secrets, self.place(index)).await;
        let chain = Arc::new(Mutex::new(Some(config.ledger.clone())));
        *self.chains[index].lock() = Arc::downgrade(&chain);
        let twin = match config.malice.twins {
            true => {
                let folder = tempfile::tempdir().unwrap();
                let me = Place { index, name: format!("twin-{index}"), folder: folder.path().to_owned() };
                let secrets = Secrets::dealt(self.identities[index].share.clone());
                let twin = self.config(&context.child("twin"), oracle, public_key, secrets, me).await;
                let half = self.keys().into_iter().filter(|key| key != public_key).take(self.keys().len() / 3);
                let overhears = config.malice.overhears;
                Some(Twin { config: twin, first_half: half.collect(), folder, overhears })
            }
            false => None,
        };
        let follows = config.malice.follows();
        let left = if config.malice.is_honest() { self.left(index) } else { Vec::new() };
        let noticed = Noticed::default();
        let surroundings =
            Surroundings { twin, noticed: noticed.clone(), left, told: self.told.clone(), disorder: self.disorder };
        let run = match &self.measured {
            Some(measured) => measure(context.child("run"), index, config, channels, monitor, measured.clone()).boxed(),
            None => run(context.child("run"), config, channels, monitor, surroundings).boxed(),
        };
        let state = State {
            chain,
            genesis: self.genesis.clone(),
            told: self.told.clone(),
            notes: self.notes.clone(),
            secrets: self.secrets[index].clone(),
            noticed,
            contradictory: self.contradictory(),
            follows,
            clock: context.child("clock"),
        };
        (Engine { context, run }, state)
    }

    fn start(engine: Engine) -> Handle<()> {
        let Engine { context, run } = engine;
        context.spawn(move |_| run)
    }
}

/// Who gets the tips of a validator's blocks.
pub(super) fn beneficiary(index: usize) -> Address {
    Address::repeat_byte(0xf0 | index as u8)
}

/// Gives transfers to a validator, one now and then: what it takes it has accepted.
async fn give(mut context: deterministic::Context, waiting: List, left: Vec<Arc<Recovered>>, told: Arc<Mutex<Told>>) {
    for transfer in left {
        let pause = context.random_range(10..70);
        context.sleep(Duration::from_millis(pause)).await;
        let hash = *transfer.tx_hash();
        waiting.give(transfer);
        told.lock().accepted.insert(hash);
    }
}

/// Runs a validator, and tells the simulation of every block that becomes final on it.
async fn run(
    context: deterministic::Context,
    config: Config,
    channels: Vec<ChannelPair<PublicKey>>,
    monitor: mpsc::UnboundedSender<FinalizationUpdate<PublicKey>>,
    Surroundings { twin, noticed, left, told, disorder }: Surroundings,
) {
    if config.malice.conflicting_votes {
        return vote_for_everything(context, config, channels).await;
    }
    if config.malice.floods {
        return flood(context, channels).await;
    }
    if let Some(twin) = twin {
        return run_twins(context, config, twin, channels, noticed).await;
    }
    let (ledger, waiting, pk) = (config.ledger.clone(), config.waiting.clone(), config.key.public_key());
    let mut blocks = ledger.subscribe();
    let withholds = config.malice.withholds;
    let channels = channels.into_iter().enumerate().map(|(channel, (sender, receiver))| {
        // Neither as proposals nor when asked for.
        let silent = withholds && (channel == 3 || channel == 4);
        (Disorderly::new(context.child("disorder"), sender, Disorder { silent, ..disorder }), receiver)
    });
    let channels = channels.collect();
    let engine = Box::pin(engine::start(context.child("engine"), config, channels)).await;
    *noticed.lock() = Some(engine);
    let accepted = told.clone();
    context.child("client").spawn(move |context| give(context, waiting, left, accepted));
    while let Ok(committed) = blocks.recv().await {
        told.lock().show(&committed, context.current());
        let block = &committed.block;
        let update = FinalizationUpdate {
            pk: pk.clone(),
            round: Round::new(Epoch::zero(), View::new(block.number())),
            height: Height::new(block.number()),
            block_digest: block.hash().to_vec(),
        };
        let _ = monitor.send(update);
    }
}

/// Runs a validator, gives it a transfer now and then, and measures.
async fn measure(
    context: deterministic::Context,
    index: usize,
    config: Config,
    channels: Vec<ChannelPair<PublicKey>>,
    monitor: mpsc::UnboundedSender<FinalizationUpdate<PublicKey>>,
    measured: Measured,
) {
    let others = config.committee.validators().len() as u64 - 1;
    let counted = channels.into_iter().enumerate().map(|(channel, (sender, receiver))| {
        let sent = measured.sent.clone();
        let count = move |_, recipients: &Recipients<_>, message: &IoBuf| {
            if channel < 5 {
                let copies = match recipients {
                    Recipients::All => others,
                    Recipients::Some(some) => some.len() as u64,
                    Recipients::One(_) => 1,
                };
                let mut sent = sent.lock();
                *sent = (sent.0 + copies, sent.1 + copies * message.len() as u64);
            }
            Some(recipients.clone())
        };
        (sender.split_with(count).0, receiver)
    });
    let channels = counted.collect();
    let (ledger, waiting, pk) = (config.ledger.clone(), config.waiting.clone(), config.key.public_key());
    let mut blocks = ledger.subscribe();
    let _engine = Box::pin(engine::start(context.child("engine"), config, channels)).await;
    let (mut nonce, mut given) = (0, None::<(B256, SystemTime)>);
    // At times that have nothing to do with those of blocks.
    let mut random = StdRng::seed_from_u64(index as u64);
    let mut pause = move || Duration::from_millis(random.random_range(2000..6000));
    let mut next = context.current() + pause();
    loop {
        let committed = futures::select_biased! {
            committed = Box::pin(blocks.recv()).fuse() => committed,
            () = Box::pin(context.sleep_until(next)).fuse() => {
                // A light load, however many validators there are.
                if given.is_none() && index < 2 {
                    let transfer = transfer_from(index as u8, nonce);
                    given = Some((*transfer.tx_hash(), context.current()));
                    nonce += 1;
                    waiting.give(transfer);
                }
                next = context.current() + pause();
                continue;
            }
        };
        let Ok(committed) = committed else { return };
        let block = &committed.block;
        if let Some((hash, since)) = given
            && block.transactions().iter().any(|transaction| *transaction.tx_hash() == hash)
        {
            measured.latencies.lock().push(context.current().duration_since(since).unwrap());
            given = None;
        }
        if index == 0 {
            *measured.blocks.lock() += 1;
        }
        let update = FinalizationUpdate {
            pk: pk.clone(),
            round: Round::new(Epoch::zero(), View::new(block.number())),
            height: Height::new(block.number()),
            block_digest: block.hash().to_vec(),
        };
        let _ = monitor.send(update);
    }
}

//! Several validators on a simulated network, for tests to break.

use super::{List, RECIPIENT, WEALTH, genesis, secrets::Secrets, signer, transfer_from};
use crate::{BLOCK_OVERHEAD, CHANNELS, Committee, Identity, Pace, application::Malice, engine, namespace};
use alloy_primitives::{Address, B256, U256};
use commonware_consensus::{
    simplex::mocks::conflicter::{self, Conflicter},
    types::{Epoch, Height, Round, View},
};
use commonware_cryptography::{Sha256, Signer as _, ed25519::PublicKey};
use commonware_glue::simulate::{
    engine::{ChannelPair, EngineDefinition, InitContext},
    exit::ExitCondition,
    plan::{PlanBuilder, PlanResult},
    processed::ProcessedHeight,
    property::Property,
    tracker::{FinalizationUpdate, ProgressTracker},
};
use commonware_p2p::{
    Recipients, Sender as _,
    simulated::{Control, Link, Manager, Oracle, SplitOrigin, SplitTarget},
    utils::mux::Muxer,
};
use commonware_runtime::{Clock as _, Handle, IoBuf, Quota, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::{NZUsize, channel::mpsc, probability};
use futures::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};
use stoa_base::Genesis;
use stoa_ledger::{
    Ledger, LedgerConfig, LedgerError,
    state::{self, Leaf, account_key, verify_key},
};
use tempfile::TempDir;

const MAX_BYTES: usize = 1 << 20;

/// How many transfers each validator's client gives to it.
const TRANSFERS: u64 = 15;

/// A receipt that somebody has seen: transaction, and the block that it says.
type Seen = Arc<Mutex<BTreeMap<B256, (u64, B256)>>>;

/// The chain as each validator has it; none where one has crashed.
type Ledgers = Arc<Vec<Mutex<Option<Ledger>>>>;

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
    ledgers: Ledgers,
    seen: Seen,
    malicious: BTreeMap<usize, Malice>,
    measured: Option<Measured>,
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

type Config = engine::Config<
    List,
    Secrets,
    Control<PublicKey, deterministic::Context>,
    Manager<PublicKey, deterministic::Context>,
>;

impl Validators {
    pub(super) fn new(count: NonZeroU32, malicious: BTreeMap<usize, Malice>) -> Self {
        let (committee, identities) = Committee::deal(&mut StdRng::seed_from_u64(1), count);
        let each = 0..count.get();
        Self {
            genesis: Arc::new(genesis(&committee, count.get() as u8)),
            committee,
            secrets: Arc::new(identities.iter().map(|identity| Secrets::dealt(identity.share.clone())).collect()),
            identities: Arc::new(identities),
            folders: Arc::new(each.clone().map(|_| tempfile::tempdir().unwrap()).collect()),
            ledgers: Arc::new(each.map(|_| Mutex::default()).collect()),
            seen: Seen::default(),
            malicious,
            measured: None,
        }
    }

    /// Such that no transfer is given to a validator before the last is final, and all that they do is measured.
    pub(super) fn measured(count: NonZeroU32, measured: Measured) -> Self {
        Self { measured: Some(measured), ..Self::new(count, BTreeMap::new()) }
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
                Err(LedgerError::Storage(why)) if tries < 100 => {
                    tracing::debug!(why, "the crashed validator still holds its folder");
                    tries += 1;
                    context.sleep(Duration::from_millis(1)).await;
                }
                Err(error) => panic!("{error}"),
            }
        };
        let transfers = if self.measured.is_some() { 0 } else { TRANSFERS };
        let transfers = (0..transfers).map(|nonce| transfer_from(index as u8, nonce)).collect();
        // As a node has it, where time is measured.
        let idle = if self.measured.is_some() { 1000 } else { 200 };
        Config {
            ledger,
            state,
            partition: name,
            waiting: List::new(transfers),
            committee: self.committee.clone(),
            key: self.identities[index].key.clone(),
            secrets,
            beneficiary: beneficiary(index),
            pace: Pace { busy: Duration::from_millis(50), idle: Duration::from_millis(idle) },
            max_bytes: MAX_BYTES,
            floor: None,
            blocker: oracle.control(public_key.clone()),
            peers: oracle.manager(),
            malice: self.malicious.get(&index).copied().unwrap_or_default(),
        }
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

/// A second validator with the same key.
struct Twin {
    config: Config,
    /// Those that the first talks to; it talks to the others.
    first_half: Vec<PublicKey>,
    _folder: TempDir,
}

impl Malice {
    /// Whether it follows the chain at all.
    const fn follows(&self) -> bool {
        !(self.conflicting_votes || self.twins || self.withholds || self.floods)
    }
}

/// A validator, ready to run.
pub(super) struct Engine {
    context: deterministic::Context,
    run: BoxFuture<'static, ()>,
}

/// What tests see of a validator.
pub(super) struct State {
    ledgers: Ledgers,
    index: usize,
    genesis: Arc<Genesis>,
    seen: Seen,
    pub(super) secrets: Secrets,
    /// Whether it follows the chain at all.
    follows: bool,
}

impl State {
    pub(super) fn ledger(&self) -> Ledger {
        self.ledgers[self.index].lock().clone().expect("it is running")
    }
}

impl ProcessedHeight for State {
    async fn processed_height(&self) -> u64 {
        self.ledgers[self.index].lock().as_ref().map_or(0, |ledger| ledger.head().number())
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
        drop(self.ledgers[index].lock().take());
        let me = Place { index, name: format!("validator-{index}"), folder: self.folders[index].path().to_owned() };
        let config = self.config(&context, oracle, public_key, self.secrets[index].clone(), me).await;
        *self.ledgers[index].lock() = Some(config.ledger.clone());
        let twin = match config.malice.twins {
            true => {
                let folder = tempfile::tempdir().unwrap();
                let me = Place { index, name: format!("twin-{index}"), folder: folder.path().to_owned() };
                let secrets = Secrets::dealt(self.identities[index].share.clone());
                let twin = self.config(&context.child("twin"), oracle, public_key, secrets, me).await;
                let half = self.keys().into_iter().filter(|key| key != public_key).take(self.keys().len() / 3);
                Some(Twin { config: twin, first_half: half.collect(), _folder: folder })
            }
            false => None,
        };
        let follows = config.malice.follows();
        let run = match &self.measured {
            Some(measured) => measure(context.child("run"), index, config, channels, monitor, measured.clone()).boxed(),
            None => run(context.child("run"), config, twin, channels, monitor, self.seen.clone()).boxed(),
        };
        let state = State {
            ledgers: self.ledgers.clone(),
            index,
            genesis: self.genesis.clone(),
            seen: self.seen.clone(),
            secrets: self.secrets[index].clone(),
            follows,
        };
        (Engine { context, run }, state)
    }

    fn start(engine: Engine) -> Handle<()> {
        let Engine { context, run } = engine;
        context.spawn(move |_| run)
    }
}

fn beneficiary(index: usize) -> Address {
    Address::repeat_byte(0xf0 | index as u8)
}

/// Sends as much as it may on every channel, for ever.
async fn flood(context: deterministic::Context, channels: Vec<ChannelPair<PublicKey>>) {
    let flooding = channels.into_iter().enumerate().map(|(at, (mut sender, _receiver))| {
        let context = context.child("channel");
        async move {
            let mut random = StdRng::seed_from_u64(at as u64);
            loop {
                let length = random.random_range(0..4096_usize);
                let junk = (0..length).map(|_| random.random::<u8>()).collect::<Vec<_>>();
                let _ = sender.send(Recipients::All, junk, random.random());
                context.sleep(Duration::from_millis(2)).await;
            }
        }
    });
    futures::future::join_all(flooding).await;
}

/// Runs two validators with one key, each of which hears one part of the others and is heard by it.
async fn run_twins(context: deterministic::Context, one: Config, twin: Twin, channels: Vec<ChannelPair<PublicKey>>) {
    let Twin { config: other, first_half, _folder } = twin;
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for (sender, receiver) in channels {
        let half = first_half.clone();
        let all = other.committee.validators().clone();
        let forward = move |origin, recipients: &Recipients<PublicKey>, _: &_| {
            let wanted = match recipients {
                Recipients::All => all.iter().cloned().collect(),
                Recipients::Some(some) => some.clone(),
                Recipients::One(one) => vec![one.clone()],
            };
            let first = matches!(origin, SplitOrigin::Primary);
            Some(Recipients::Some(wanted.into_iter().filter(|key| half.contains(key) == first).collect()))
        };
        let half = first_half.clone();
        let route = move |(from, _): &(PublicKey, _)| match half.contains(from) {
            true => SplitTarget::Primary,
            false => SplitTarget::Secondary,
        };
        let (senders, receivers) = (sender.split_with(forward), receiver.split_with(context.child("split"), route));
        ones.push((senders.0, receivers.0));
        others.push((senders.1, receivers.1));
    }
    let _one = Box::pin(engine::start(context.child("one"), one, ones)).await;
    let _other = Box::pin(engine::start(context.child("other"), other, others)).await;
    futures::future::pending::<()>().await;
}

/// Runs a validator, and tells the simulation of every block that becomes final on it.
async fn run(
    context: deterministic::Context,
    config: Config,
    twin: Option<Twin>,
    channels: Vec<ChannelPair<PublicKey>>,
    monitor: mpsc::UnboundedSender<FinalizationUpdate<PublicKey>>,
    seen: Seen,
) {
    if config.malice.conflicting_votes {
        let (sender, receiver) = channels.into_iter().next().expect("the first channel is that of the votes");
        let (muxer, mut epochs) = Muxer::new(context.child("muxer"), sender, receiver);
        muxer.start();
        let votes = epochs.register(0).await.expect("the first epoch is asked for once");
        let secret = config.secrets.shares().into_values().next().expect("it was dealt one");
        let identity = Identity { key: config.key, share: secret };
        let scheme = config.committee.signer(&namespace(&config.ledger), &identity).expect("it is one of them");
        let conflicter = Conflicter::<_, _, Sha256>::new(context.child("conflicter"), conflicter::Config { scheme });
        return drop(conflicter.start(votes).await);
    }
    if config.malice.floods {
        return flood(context, channels).await;
    }
    if let Some(twin) = twin {
        return run_twins(context, config, twin, channels).await;
    }
    let (ledger, pk) = (config.ledger.clone(), config.key.public_key());
    let mut blocks = ledger.subscribe();
    if config.malice.withholds {
        // Neither as a proposal nor when asked for.
        let quiet = channels.into_iter().enumerate().map(|(channel, (sender, receiver))| {
            let blocks = channel == 3 || channel == 4;
            let forward = move |_, recipients: &Recipients<_>, _: &_| {
                Some(if blocks { Recipients::Some(Vec::new()) } else { recipients.clone() })
            };
            (sender.split_with(forward).0, receiver)
        });
        let channels = quiet.collect();
        let _engine = Box::pin(engine::start(context.child("engine"), config, channels)).await;
    } else {
        let _engine = Box::pin(engine::start(context.child("engine"), config, channels)).await;
    }
    while let Ok(committed) = blocks.recv().await {
        let block = &committed.block;
        for transaction in block.transactions() {
            let place = (block.number(), block.hash());
            let before = seen.lock().insert(*transaction.tx_hash(), place);
            assert!(before.is_none_or(|before| before == place), "a transaction is final in two blocks");
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

/// What must be true of every validator when a simulation ends: each has every block and receipt that any of them has shown,
/// the state that its head says, and as much money as there was, but for the fees that were burnt.
#[derive(Clone)]
struct NothingLost;

impl NothingLost {
    async fn check(states: &[&State]) -> Result<(), String> {
        let states = states.iter().filter(|state| state.follows).collect::<Vec<_>>();
        let lowest = states.iter().map(|state| state.ledger().head().number()).min().ok_or("nobody runs")?;
        for state in states {
            let ledger = state.ledger();
            let receipts = state.seen.lock().clone();
            for (hash, (number, block)) in receipts.iter().filter(|(_, (number, _))| *number <= lowest) {
                let place = ledger.transaction(*hash).map_err(|error| error.to_string())?;
                if place.map(|(number, _)| number) != Some(*number) {
                    return Err(format!("transaction {hash} was in block {number}, here it is in {place:?}"));
                }
                let here = ledger.block(*number).map_err(|error| error.to_string())?;
                if here.is_none_or(|here| here.block.hash() != *block || here.receipts.is_empty()) {
                    return Err(format!("block {number} is another one here"));
                }
            }
            conserved(state, &ledger).await?;
        }
        Ok(())
    }
}

/// Adds up all balances, which are proven against the root of the head.
async fn conserved(state: &State, ledger: &Ledger) -> Result<(), String> {
    let count = state.ledgers.len();
    let accounts = (0..count).flat_map(|index| [signer(index as u8).address(), beneficiary(index)]).chain([RECIPIENT]);
    let (mut sum, mut burnt, mut height) = (U256::ZERO, U256::ZERO, None);
    for account in accounts {
        let proof = ledger.prove(height, account, &[]).await.map_err(|error| error.to_string())?;
        height = Some(proof.block.number());
        let root = proof.block.header().state_root;
        let leaf = verify_key(root, account_key(&account), &proof.account).map_err(|error| error.to_string())?;
        if let Some(Leaf::Account(account)) = leaf {
            sum += account.balance;
        }
    }
    for number in 0..=height.unwrap_or_default() {
        let block = ledger.block(number).map_err(|error| error.to_string())?.ok_or("a block is missing")?.block;
        burnt += U256::from(block.header().gas_used) * U256::from(block.header().base_fee_per_gas.unwrap_or_default());
    }
    let supply = U256::from(state.genesis.alloc.len() as u64) * U256::from(WEALTH);
    if sum + burnt != supply { Err(format!("{sum} wei and {burnt} burnt, of {supply}")) } else { Ok(()) }
}

/// Every validator that follows the chain is at a height.
#[derive(Clone)]
pub(super) struct AllFollowers {
    pub(super) height: u64,
}

impl ExitCondition<PublicKey, State> for AllFollowers {
    fn name(&self) -> &str {
        "all followers"
    }

    fn requires_polling(&self) -> bool {
        true
    }

    fn reached<'a>(
        &'a self,
        _: &'a ProgressTracker<PublicKey>,
        states: &'a [&'a State],
        all: usize,
    ) -> Pin<Box<dyn Future<Output = Result<bool, String>> + Send + 'a>> {
        Box::pin(async move {
            let mut there = 0;
            for state in states {
                there += usize::from(!state.follows || state.processed_height().await >= self.height);
            }
            Ok(there >= all)
        })
    }
}

/// Lets go of the ledgers: the simulation's storage must not be held any longer than the simulation.
fn let_go(states: &[&State]) {
    states.iter().flat_map(|state| state.ledgers.iter()).for_each(|ledger| drop(ledger.lock().take()));
}

/// A check of what the validators have in the end.
#[derive(Clone)]
pub(super) struct Check<F>(pub(super) &'static str, pub(super) F);

impl<F: Fn(&[&State]) -> Result<(), String> + Send + Sync> Property<PublicKey, State> for Check<F> {
    fn name(&self) -> &str {
        self.0
    }

    fn check<'a>(
        &'a self,
        _: &'a ProgressTracker<PublicKey>,
        states: &'a [&'a State],
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(std::future::ready((self.1)(states)))
    }
}

/// Lets go of the ledgers, and checks nothing.
pub(super) fn only_let_go(states: &[&State]) -> Result<(), String> {
    let_go(states);
    Ok(())
}

impl Property<PublicKey, State> for NothingLost {
    fn name(&self) -> &str {
        "nothing lost"
    }

    fn check<'a>(
        &'a self,
        _: &'a ProgressTracker<PublicKey>,
        states: &'a [&'a State],
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(async move {
            let outcome = Self::check(states).await;
            let_go(states);
            outcome
        })
    }
}

/// Simulates so many validators with a seed until every one of them is at block `height`, with the faults that `plan` adds,
/// and checks what must be true in the end.
pub(super) fn simulate(
    count: NonZeroU32,
    seed: u64,
    height: u64,
    malicious: impl IntoIterator<Item = (usize, Malice)>,
    plan: impl FnOnce(PlanBuilder<Validators>, &[PublicKey]) -> PlanBuilder<Validators> + Send,
) -> PlanResult<Validators> {
    simulate_these(Validators::new(count, malicious.into_iter().collect()), seed, height, plan)
}

/// The same of validators that are there.
pub(super) fn simulate_these(
    validators: Validators,
    seed: u64,
    height: u64,
    plan: impl FnOnce(PlanBuilder<Validators>, &[PublicKey]) -> PlanBuilder<Validators> + Send,
) -> PlanResult<Validators> {
    super::with_stack(|| {
        let keys = validators.keys();
        let builder = PlanBuilder::new(validators)
            .seed(seed)
            .link(good())
            .exit_condition(AllFollowers { height })
            .timeout(Duration::from_secs(600));
        // What the plan checks comes first: the last check lets go of what the others look at.
        let plan = plan(builder, &keys).property(NothingLost);
        plan.build().run().unwrap_or_else(|why| panic!("seed {seed}: {why}"))
    })
}

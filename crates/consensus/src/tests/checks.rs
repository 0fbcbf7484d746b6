//! What must be true of simulated validators: on the way, and in the end.

use super::{
    RECIPIENT, WEALTH,
    network::{State, beneficiary},
    signer,
};
use alloy_primitives::{B256, U256};
use commonware_cryptography::ed25519::PublicKey;
use commonware_glue::simulate::{exit::ExitCondition, property::Property, tracker::ProgressTracker};
use commonware_runtime::Clock as _;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};
use stoa_ledger::{
    Committed, Ledger,
    state::{Leaf, account_key, verify_key},
};

/// How many new blocks must be final on every validator after the last fault, and within how long.
const NEW_BLOCKS: u64 = 3;
const RESUMES: Duration = Duration::from_secs(20);

/// What a future of the simulation's traits comes to.
type Outcome<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send + 'a>>;

/// What clients have been told, which outlives any crash.
#[derive(Default)]
pub(super) struct Told {
    /// Transactions that a validator has accepted.
    pub(super) accepted: BTreeSet<B256>,
    /// Receipts that somebody was shown: transaction, and the block that it is in.
    pub(super) receipts: BTreeMap<B256, (u64, B256)>,
    /// When all had been started.
    start: Option<SystemTime>,
    /// When each block was first shown by anybody.
    blocks: BTreeMap<u64, SystemTime>,
    /// What cannot be true of what somebody was shown.
    wrong: Vec<String>,
}

impl Told {
    /// A validator shows a final block. Noted rather than asserted: where disks fail, panics of validators are caught.
    pub(super) fn show(&mut self, committed: &Committed, now: SystemTime) {
        let block = &committed.block;
        let place = (block.number(), block.hash());
        self.blocks.entry(place.0).or_insert(now);
        if let Err(error) = committed.check() {
            self.wrong.push(format!("block {}: {error}", place.0));
        }
        for transaction in block.transactions() {
            let before = self.receipts.insert(*transaction.tx_hash(), place);
            if before.is_some_and(|before| before != place) {
                self.wrong.push(format!("transaction {} is final in two blocks", transaction.tx_hash()));
            }
        }
    }

    /// How many accepted transactions are in no block up to this one.
    fn missing(&self, last: u64) -> usize {
        let is_there = |hash: &B256| self.receipts.get(hash).is_some_and(|(number, _)| *number <= last);
        self.accepted.iter().filter(|hash| !is_there(hash)).count()
    }
}

/// The simulation ends when every validator that follows the chain is at a height, when all that was accepted is final on each,
/// and when all have gone on after the last fault. It fails if they do not go on, or lose what was accepted.
#[derive(Clone)]
pub(super) struct Progress {
    height: u64,
    /// When the last scheduled fault is over, from the start on.
    over: Duration,
    /// How long it may take after that until new blocks are final.
    resumes: Duration,
    /// Since when all validators run and no fault is to come, and the highest block then.
    calm: Arc<Mutex<Option<(SystemTime, u64)>>>,
}

impl Progress {
    pub(super) fn until(height: u64, over: Duration) -> Self {
        Self { height, over, resumes: RESUMES, calm: Arc::default() }
    }

    /// The same of validators that make blocks seldom.
    pub(super) fn within(self, resumes: Duration) -> Self {
        Self { resumes, ..self }
    }

    fn look(&self, states: &[&State], all: usize) -> Result<bool, String> {
        let Some(first) = states.first() else { return Ok(false) };
        let (now, mut calm, mut told) = (first.clock.current(), self.calm.lock(), first.told.lock());
        let start = *told.start.get_or_insert(now);
        if now < start + self.over || states.len() < all {
            *calm = None;
            return Ok(false);
        }
        let heights = states.iter().filter(|state| state.follows).map(|state| state.height()).collect::<Vec<_>>();
        let (lowest, highest) = (heights.iter().min().copied(), heights.iter().max().copied());
        let (lowest, highest) = (lowest.unwrap_or_default(), highest.unwrap_or_default());
        let (since, before) = *calm.get_or_insert((now, highest));
        let missing = told.missing(lowest);
        let goal = before + NEW_BLOCKS;
        if now > since + self.resumes && (lowest < goal || missing > 0) {
            let resumes = self.resumes;
            return Err(format!("after {resumes:?} without faults: blocks {heights:?} of {goal}, {missing} missing"));
        }
        Ok(lowest >= goal.max(self.height) && missing == 0)
    }
}

impl ExitCondition<PublicKey, State> for Progress {
    fn name(&self) -> &str {
        "progress"
    }

    fn requires_polling(&self) -> bool {
        true
    }

    fn reached<'a>(
        &'a self,
        _: &'a ProgressTracker<PublicKey>,
        states: &'a [&'a State],
        all: usize,
    ) -> Outcome<'a, bool> {
        Box::pin(std::future::ready(self.look(states, all)))
    }
}

/// What must be true of every validator when a simulation ends: each has every block and receipt that any of them has shown,
/// the state that its head says, and as much money as there was, but for the fees that were burnt; and it accuses nobody who does not
/// contradict himself.
#[derive(Clone)]
pub(super) struct NothingLost;

impl NothingLost {
    async fn check(states: &[&State]) -> Result<(), String> {
        let states = states.iter().filter(|state| state.follows).collect::<Vec<_>>();
        let first = states.first().ok_or("nobody runs")?;
        let lowest = states.iter().map(|state| state.height()).min().unwrap_or_default();
        let receipts = {
            let told = first.told.lock();
            if !told.wrong.is_empty() {
                return Err(told.wrong.join("; "));
            }
            if told.accepted.is_empty() {
                return Err("no client was served".into());
            }
            told.receipts.clone()
        };
        for state in &states {
            let ledger = state.ledger();
            same_blocks(&first.ledger(), &ledger, lowest)?;
            for (hash, (number, block)) in receipts.iter().filter(|(_, (number, _))| *number <= lowest) {
                let place = ledger.transaction(*hash).map_err(|error| error.to_string())?;
                if place.map(|(number, _)| number) != Some(*number) {
                    return Err(format!("transaction {hash} was in block {number}, here it is in {place:?}"));
                }
                if read(&ledger, *number)?.block.hash() != *block {
                    return Err(format!("block {number} is another one here"));
                }
            }
            conserved(state, &ledger).await?;
            if let Some(accused) = state.accused().difference(&state.contradictory).next() {
                return Err(format!("validator {accused} is said to contradict itself, and does not"));
            }
        }
        Ok(())
    }
}

/// A block that must be there.
fn read(ledger: &Ledger, number: u64) -> Result<Committed, String> {
    let committed = ledger.block(number).map_err(|error| error.to_string())?;
    committed.ok_or_else(|| format!("block {number} is missing"))
}

/// That two validators have the same blocks up to `last`, with the same receipts and senders, to which the headers commit.
fn same_blocks(one: &Ledger, other: &Ledger, last: u64) -> Result<(), String> {
    for number in 1..=last {
        let (expected, here) = (read(one, number)?, read(other, number)?);
        here.check().map_err(|error| format!("block {number}: {error}"))?;
        if here.block != expected.block || here.receipts != expected.receipts || here.senders != expected.senders {
            return Err(format!("block {number} is another one here"));
        }
    }
    Ok(())
}

/// Adds up all balances, which are proven against the root of the head.
async fn conserved(state: &State, ledger: &Ledger) -> Result<(), String> {
    let each = 0..state.genesis.alloc.len();
    let accounts = each.flat_map(|index| [signer(index as u8).address(), beneficiary(index)]).chain([RECIPIENT]);
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
        let block = read(ledger, number)?.block;
        burnt += U256::from(block.header().gas_used) * U256::from(block.header().base_fee_per_gas.unwrap_or_default());
    }
    let supply = U256::from(state.genesis.alloc.len() as u64) * U256::from(WEALTH);
    if sum + burnt != supply { Err(format!("{sum} wei and {burnt} burnt, of {supply}")) } else { Ok(()) }
}

impl Property<PublicKey, State> for NothingLost {
    fn name(&self) -> &str {
        "nothing lost"
    }

    fn check<'a>(&'a self, _: &'a ProgressTracker<PublicKey>, states: &'a [&'a State]) -> Outcome<'a, ()> {
        Box::pin(Self::check(states))
    }
}

/// A check of what the validators have in the end.
#[derive(Clone)]
pub(super) struct Check<F>(pub(super) &'static str, pub(super) F);

impl<F: Fn(&[&State]) -> Result<(), String> + Send + Sync> Property<PublicKey, State> for Check<F> {
    fn name(&self) -> &str {
        self.0
    }

    fn check<'a>(&'a self, _: &'a ProgressTracker<PublicKey>, states: &'a [&'a State]) -> Outcome<'a, ()> {
        Box::pin(std::future::ready((self.1)(states)))
    }
}

/// That somebody who follows the chain has noticed that this validator contradicts itself.
pub(super) fn noticed(index: usize) -> Check<impl Fn(&[&State]) -> Result<(), String> + Clone> {
    Check("noticed", move |states: &[&State]| {
        let mut followers = states.iter().filter(|state| state.follows);
        let is_noticed = followers.any(|state| state.accused().contains(&index) || state.cut_off().contains(&index));
        if is_noticed { Ok(()) } else { Err(format!("nobody has noticed validator {index}")) }
    })
}

/// How many final blocks each validator has proposed.
fn proposed(states: &[&State]) -> Result<Vec<usize>, String> {
    let state = states.iter().find(|state| state.follows).ok_or("nobody runs")?;
    let ledger = state.ledger();
    let blocks = (1..=state.height()).map(|number| read(&ledger, number)).collect::<Result<Vec<_>, _>>()?;
    let by =
        |index| blocks.iter().filter(|committed| committed.block.header().beneficiary == beneficiary(index)).count();
    Ok((0..state.genesis.alloc.len()).map(by).collect())
}

/// That no block of this validator is final, and that somebody has noted why.
pub(super) fn never_final(proposer: u8, note: &'static str) -> Check<impl Fn(&[&State]) -> Result<(), String> + Clone> {
    Check("never final", move |states: &[&State]| {
        let proposed = proposed(states)?;
        if proposed[usize::from(proposer)] > 0 {
            return Err(format!("blocks were final: {proposed:?}"));
        }
        let notes = states[0].notes.lock();
        if notes.iter().any(|noted| noted.contains(note)) { Ok(()) } else { Err(format!("{note}: not in {notes:?}")) }
    })
}

/// That blocks became final between two times, or none; from when all had been started.
pub(super) fn agreed(
    from: Duration,
    to: Duration,
    expected: bool,
) -> Check<impl Fn(&[&State]) -> Result<(), String> + Clone> {
    Check("agreed", move |states: &[&State]| {
        let told = states[0].told.lock();
        let start = told.start.ok_or("it never began")?;
        let blocks = told.blocks.iter().filter(|(_, at)| (start + from..start + to).contains(*at)).collect::<Vec<_>>();
        let is_as_expected = blocks.is_empty() != expected;
        if is_as_expected { Ok(()) } else { Err(format!("final between {from:?} and {to:?}: {blocks:?}")) }
    })
}

/// That blocks of all validators are final.
pub(super) fn all_propose(states: &[&State]) -> Result<(), String> {
    let proposed = proposed(states)?;
    if proposed.contains(&0) { Err(format!("blocks were final: {proposed:?}")) } else { Ok(()) }
}

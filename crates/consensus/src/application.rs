use crate::{
    block::{Context, SealedBlock, encode_seal},
    equivocation::Equivocations,
    pace::Moving,
    seeds::{Seeds, randomness, round_of_parent},
};
use alloy_consensus::{Transaction as _, transaction::SignerRecoverable as _};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, map::HashMap};
use commonware_consensus::{
    CertifiableBlock as _, marshal::ancestry::Ancestry, simplex::scheme::bls12381_threshold::vrf,
};
use commonware_cryptography::{bls12381::primitives::variant::MinSig, ed25519};
use commonware_glue::{
    dkg::reshare,
    stateful::{Application, Finality, Input, Proposed, db::DatabaseSet},
};
use futures::{Stream, StreamExt as _, future::Shared};
use rayon::prelude::*;
use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use stoa_base::{Block, Recovered, Transaction};
use stoa_ledger::{
    Committed, Ledger,
    execute::{Changes, Choices, Refusal, Transactions},
    state::{self, Runtime, State},
};

/// How votes and certificates are signed: threshold BLS with randomness.
pub type Scheme = vrf::Scheme<ed25519::PublicKey, MinSig>;

/// The transactions that wait for a block.
pub trait Waiting: Clone + Send + Sync + 'static {
    /// What to include next, best first, in an order that each sender's nonces allow: all that there is, or what has gas limits
    /// of at least `gas` together. `used` has the next nonces of senders with transactions in blocks that are not final yet.
    fn best(&self, base_fee: u64, gas: u64, used: &HashMap<Address, u64>) -> Vec<Arc<Recovered>>;

    /// Whether nothing can be included on top of blocks that are not final yet: `used` has the next nonces of senders with
    /// transactions in those.
    fn is_empty(&self, used: &HashMap<Address, u64>) -> bool;

    /// Resolves when something may have come in since this was called.
    fn arrived(&self) -> impl Future<Output = ()> + Send + use<Self>;

    /// What clients give to this node from now on: the other validators are to have it as well.
    fn given(&self) -> impl Stream<Item = Arc<Recovered>> + Send + use<Self>;

    /// Takes in what another node was given, unless there is too much of that already. Does not wait; whether it is taken in.
    fn take(&self, transactions: Vec<Transaction>, from: Origin) -> bool;

    /// The sender of a waiting transaction, which need not be recovered again.
    fn sender(&self, hash: &B256) -> Option<Address>;

    /// Refused while building a block.
    fn refused(&self, transaction: &Recovered, why: &Refusal);

    /// A block is final and has changed this: what it includes waits no longer.
    fn finalized(&self, committed: &Committed, changes: &Changes);

    /// A block was executed in this time, be it to propose, to check, or to follow it.
    fn executed(&self, _time: Duration) {}
}

/// Which node has sent transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// One that has sent them to all validators.
    Validator,
    /// One that relies on this node to pass them on, as if a client had given them to it.
    Follower,
    /// The same, and unknown: there may be any number.
    Stranger,
}

/// The ledger as consensus drives it.
#[derive(Clone)]
pub struct LedgerApplication {
    pub(crate) ledger: Ledger,
    pub(crate) first: SealedBlock,
    /// Gets the tips of blocks built here.
    pub(crate) beneficiary: Address,
    /// Bytes of transactions in a block, at most.
    pub(crate) max_bytes: usize,
    pub(crate) scheme: Scheme,
    pub(crate) seeds: Seeds,
    pub(crate) moving: Moving,
    /// Is told of final blocks.
    pub(crate) equivocations: Equivocations,
    #[cfg(test)]
    pub(crate) malice: Malice,
    #[cfg(test)]
    pub(crate) notes: Notes,
    /// Resolves when the state database has joined the ledger.
    pub(crate) ready: Shared<futures::future::BoxFuture<'static, ()>>,
}

/// What a validator makes of a block that it has built on a parent; `None` if it proposes nothing instead.
#[cfg(test)]
pub(crate) type Forge = fn(&Block, Block) -> Option<Block>;

/// Which blocks were forged and why blocks were refused, by all validators, for tests to look at.
#[cfg(test)]
pub(crate) type Notes = Arc<parking_lot::Mutex<std::collections::BTreeSet<String>>>;

/// What [`Notes`] say when a block was forged.
#[cfg(test)]
pub(crate) const FORGED: &str = "a block was forged";

/// How a validator breaks the rules.
#[cfg(test)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Malice {
    /// What it proposes instead of what it has built.
    pub(crate) forge: Option<Forge>,
    /// By how many milliseconds its clock is ahead of the others'; it is behind if this is negative.
    pub(crate) skew: i64,
    /// It does nothing but vote, for whatever others vote for and for something else as well.
    pub(crate) conflicting_votes: bool,
    /// It is two validators with one key, each of which talks to one half of the others: as a leader it proposes a block to
    /// each half.
    pub(crate) twins: bool,
    /// Of the two, the first is heard by nobody, and hears everybody.
    pub(crate) overhears: bool,
    /// It votes, but gives nobody the blocks that it proposes.
    pub(crate) withholds: bool,
    /// It sends as much as it may on every channel, none of which means anything.
    pub(crate) floods: bool,
}

/// What a clock that is off by `skew` milliseconds shows at a time.
#[cfg(test)]
fn shown(time: std::time::SystemTime, skew: i64) -> std::time::SystemTime {
    let by = Duration::from_millis(skew.unsigned_abs());
    if skew < 0 { time - by } else { time + by }
}

/// The furthest that a block's time may be after its parent's, in seconds: after a longer stop the chain catches up in such
/// steps.
const MAX_STEP: u64 = 3600;

/// How far a block's time may be ahead of a validator's clock before the validator waits with its vote.
const MAX_AHEAD: Duration = Duration::from_secs(2);

impl LedgerApplication {
    /// What is checked of a proposed block besides its execution.
    fn check(&self, block: &SealedBlock, parent: &SealedBlock) -> Result<(), &'static str> {
        let context = block.context();
        if let (Some(round), Some(signature)) = (round_of_parent(&context), block.seed())
            && !self.seeds.verify(&self.scheme, round, signature)
        {
            return Err("the validators have not signed its randomness");
        }
        if block.header().mix_hash != randomness(parent.header().mix_hash, block.seed()) {
            return Err("its randomness is not that of its parent's round");
        }
        if block.header().timestamp > parent.header().timestamp + MAX_STEP {
            return Err("its time is too far after its parent's");
        }
        if block.transactions().iter().map(|transaction| transaction.encode_2718_len()).sum::<usize>() > self.max_bytes
        {
            return Err("it is too large");
        }
        Ok(())
    }
}

/// Waiting transactions on their way into a block.
struct Building<'a, W> {
    waiting: &'a W,
    base_fee: u64,
    /// How much gas was asked for last.
    gas: u64,
    /// With less gas left than this the block counts as full, and nothing more is asked for: what is left is not worth a look at all
    /// that waits.
    worth: u64,
    list: std::vec::IntoIter<Arc<Recovered>>,
    /// Whether there may be more than the list has.
    more: bool,
    /// The next nonces of senders, here and in blocks that are not final yet; [`DONE`] where no later one can be included either.
    used: HashMap<Address, u64>,
    bytes_left: usize,
}

/// After the last nonce that there is.
const DONE: u64 = u64::MAX;

impl<'a, W: Waiting> Building<'a, W> {
    fn new(waiting: &'a W, base_fee: u64, gas: u64, used: HashMap<Address, u64>, bytes_left: usize) -> Self {
        let (worth, list) = (gas / 16, Vec::new().into_iter());
        let mut building = Self { waiting, base_fee, gas, worth, list, more: true, used, bytes_left };
        building.ask();
        building
    }

    /// Asks for what comes next, a list that may be cut where its gas limits are beyond what was asked for.
    fn ask(&mut self) {
        let list = self.waiting.best(self.base_fee, self.gas, &self.used);
        let limits = list.iter().fold(0_u64, |sum, transaction| sum.saturating_add(transaction.gas_limit()));
        (self.list, self.more) = (list.into_iter(), limits >= self.gas);
    }
}

impl<W: Waiting> Transactions for Building<'_, W> {
    fn next(&mut self, gas_left: u64) -> Option<Arc<Recovered>> {
        loop {
            if gas_left < 21_000 {
                return None;
            }
            let Some(transaction) = self.list.next() else {
                if !self.more || gas_left < self.worth {
                    return None;
                }
                // Gas limits say little of what is used, or can be included at all: whoever asks for much must not keep others out.
                // More each time, so that it is not asked often.
                self.gas = self.gas.saturating_mul(4);
                self.ask();
                continue;
            };
            let next = self.used.entry(transaction.signer()).or_default();
            if transaction.nonce() < *next {
                continue;
            }
            let bytes = transaction.inner().encode_2718_len();
            if bytes > self.bytes_left {
                *next = DONE;
                continue;
            }
            *next = transaction.nonce().saturating_add(1);
            self.bytes_left -= bytes;
            return Some(transaction);
        }
    }

    fn refuse(&mut self, transaction: &Recovered, why: Refusal) -> Result<(), Refusal> {
        self.bytes_left += transaction.inner().encode_2718_len();
        // A block that is not final yet may hold the transaction already.
        if !why.is_nonce_too_low() {
            self.used.insert(transaction.signer(), DONE);
            self.waiting.refused(transaction, &why);
        }
        Ok(())
    }
}

/// The senders of a block's transactions, recovered on all cores but for those that are known.
pub(crate) fn recover(
    block: &Block,
    known: &(impl Fn(&B256) -> Option<Address> + Sync),
) -> Option<Vec<Arc<Recovered>>> {
    let recover = |transaction: &Transaction| {
        let sender = match known(transaction.tx_hash()) {
            Some(sender) => sender,
            None => transaction.recover_signer().ok()?,
        };
        Some(Arc::new(Recovered::new_unchecked(transaction.clone(), sender)))
    };
    block.transactions().par_iter().map(recover).collect()
}

/// [`LedgerApplication`] with the transactions that wait at this node.
#[derive(Clone)]
pub struct Node<W> {
    pub(crate) application: LedgerApplication,
    pub(crate) waiting: W,
}

impl<E: Runtime, W: Waiting> Application<E> for Node<W> {
    type SigningScheme = Scheme;
    type Context = Context;
    type Block = SealedBlock;
    type Databases = State<E>;
    type Captured = ();
    type Provider = ();
    type Input = reshare::Input<(), MinSig, ed25519::PrivateKey>;

    fn sync_targets(block: &SealedBlock) -> <State<E> as DatabaseSet<E>>::SyncTargets {
        state::target(block.seal())
    }

    async fn genesis(&mut self) -> SealedBlock {
        self.application.first.clone()
    }

    async fn propose(
        &mut self,
        (clock, context): (E, Context),
        ancestry: impl Ancestry<SealedBlock>,
        batches: <State<E> as DatabaseSet<E>>::Unmerkleized,
        input: Input<Self::Input, ()>,
    ) -> Option<Proposed<Self, E>> {
        let application = &self.application;
        application.ready.clone().await;
        let parent = pin!(ancestry).next().await?.inner().clone();
        let seed = match round_of_parent(&context) {
            Some(round) => Some(application.seeds.of(round).await),
            None => None,
        };
        let now = clock.current();
        #[cfg(test)]
        let now = shown(now, application.malice.skew);
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let earliest = parent.header().timestamp;
        let choices = Choices {
            timestamp: now.clamp(earliest, earliest + MAX_STEP),
            beneficiary: application.beneficiary,
            prevrandao: randomness(parent.header().mix_hash, seed.as_ref()),
            base_fee: None,
            gas_limit: None,
        };
        let base_fee = stoa_ledger::next_base_fee(&application.ledger.genesis().fees, parent.header());
        let used = application.ledger.pending_nonces(parent.hash());
        let gas = parent.header().gas_limit;
        let transactions = Box::new(Building::new(&self.waiting, base_fee, gas, used, application.max_bytes));
        let list = transactions.list.as_slice().to_vec();
        let seal = encode_seal(&context, seed.as_ref(), input.upstream.payload.as_ref());
        let began = clock.current();
        let built = application.ledger.build::<E>(batches, &parent, &choices, seal, transactions, &list).await;
        self.waiting.executed(clock.current().duration_since(began).unwrap_or_default());
        let (block, merkleized) = built.unwrap_or_else(|error| panic!("cannot build a block: {error}"));
        #[cfg(test)]
        let block = match application.malice.forge {
            Some(forge) => {
                let forged = forge(&parent, block)?;
                application.notes.lock().insert(FORGED.into());
                forged
            }
            None => block,
        };
        let block = SealedBlock::new(Arc::new(block)).expect("the context was encoded here");
        Some(Proposed { block, merkleized })
    }

    async fn process(
        &mut self,
        (clock, _): (E, Context),
        ancestry: impl Ancestry<SealedBlock>,
        batches: <State<E> as DatabaseSet<E>>::Unmerkleized,
        finality: Finality,
    ) -> Option<<State<E> as DatabaseSet<E>>::Merkleized> {
        let application = &self.application;
        application.ready.clone().await;
        let mut ancestry = pin!(ancestry);
        let block = ancestry.next().await?.inner().clone();
        let parent = ancestry.next().await?.inner().clone();
        let invalid = |why: &str| {
            tracing::warn!(number = block.number(), hash = %block.hash(), why, "a block is invalid");
            #[cfg(test)]
            application.notes.lock().insert(why.into());
            None
        };
        if finality == Finality::Candidate {
            if let Err(why) = application.check(&block, &parent) {
                return invalid(why);
            }
            // It only delays: a clock says nothing of a block's validity.
            let time = UNIX_EPOCH + Duration::from_secs(block.header().timestamp);
            let until = time - MAX_AHEAD.min(Duration::from_secs(block.header().timestamp));
            #[cfg(test)]
            let until = shown(until, -application.malice.skew);
            clock.sleep_until(until).await;
        }
        let Some(senders) = recover(&block, &|hash| self.waiting.sender(hash)) else {
            return invalid("a transaction's signature");
        };
        let began = clock.current();
        let verified = application.ledger.verify::<E>(batches, &parent, &block, senders).await;
        self.waiting.executed(clock.current().duration_since(began).unwrap_or_default());
        match verified {
            Ok(sealed) => Some(sealed),
            Err(stoa_ledger::InvalidBlock::Ledger(error)) => panic!("cannot check a block: {error}"),
            Err(error) => invalid(&error.to_string()),
        }
    }

    async fn capture(
        &mut self,
        _: (E, Context),
        block: &SealedBlock,
        _: &<State<E> as DatabaseSet<E>>::Merkleized,
        _: <State<E> as DatabaseSet<E>>::Readers,
    ) {
        let recorded = self.application.ledger.record(block.hash());
        recorded.unwrap_or_else(|error| panic!("cannot write the history: {error}"));
    }

    async fn finalized(
        &mut self,
        _: (E, Context),
        block: &SealedBlock,
        (): (),
        _: <State<E> as DatabaseSet<E>>::Readers,
    ) {
        self.application.equivocations.finalized(block);
        let _moving = self.application.moving.lock().await;
        let published = self.application.ledger.publish(block.hash());
        let (committed, changes) = published.unwrap_or_else(|error| panic!("cannot show a final block: {error}"));
        self.waiting.finalized(&committed, &changes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{List, signed, unsigned};
    use alloy_consensus::TxLegacy;

    #[test]
    fn whoever_asks_for_much_gas_and_uses_little_keeps_nobody_out() {
        const GAS: u64 = 30_000_000;
        let greedy = (0..20).map(|sender| signed(sender, TxLegacy { gas_limit: GAS, ..unsigned(0) }));
        let modest = (20..40).flat_map(|sender| (0..3).map(move |nonce| signed(sender, unsigned(nonce))));
        let all = greedy.chain(modest).collect::<Vec<_>>();
        let list = List::new(all.clone());
        assert!(list.best(0, GAS, &HashMap::default()).len() < all.len());
        let mut building = Building::new(&list, 0, GAS, HashMap::default(), 1 << 20);
        let mut included = Vec::new();
        while let Some(transaction) = building.next(GAS - 21_000 * included.len() as u64) {
            included.push(*transaction.tx_hash());
        }
        included.sort_unstable();
        let mut all = all.iter().map(|transaction| *transaction.tx_hash()).collect::<Vec<_>>();
        all.sort_unstable();
        assert_eq!(included, all);
    }

    #[test]
    fn what_is_refused_takes_no_room() {
        const GAS: u64 = 30_000_000;
        let both = [0, 1].map(|sender| signed(sender, unsigned(0)));
        let bytes = both.iter().map(|transaction| transaction.inner().encode_2718_len()).max().unwrap();
        let list = List::new(both.to_vec());
        let mut building = Building::new(&list, 0, GAS, HashMap::default(), bytes);
        let refused = building.next(GAS).unwrap();
        building.refuse(&refused, Refusal::BlockFull { needs: 1, left: 0 }).unwrap();
        let included = building.next(GAS).unwrap();
        assert_ne!(included.signer(), refused.signer());
    }

    #[test]
    fn of_a_block_that_is_almost_full_little_is_left_to_ask_for() {
        const GAS: u64 = 30_000_000;
        let all = (0..4).map(|sender| signed(sender, TxLegacy { gas_limit: GAS / 2, ..unsigned(0) }));
        let list = List::new(all.collect());
        for (left, found) in [(GAS / 16, 4), (GAS / 16 - 1, 2)] {
            let mut building = Building::new(&list, 0, GAS, HashMap::default(), 1 << 20);
            assert_eq!(std::iter::from_fn(|| building.next(left)).count(), found);
        }
    }
}

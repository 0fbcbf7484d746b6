use crate::{
    block::{Context, SealedBlock, encode_context},
    pace::Moving,
};
use alloy_consensus::transaction::SignerRecoverable as _;
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{
    Address, B256, keccak256,
    map::{HashMap, HashSet},
};
use commonware_consensus::{
    CertifiableBlock as _, marshal::ancestry::Ancestry, simplex::scheme::bls12381_threshold::vrf,
};
use commonware_cryptography::{bls12381::primitives::variant::MinSig, ed25519};
use commonware_glue::stateful::{Application, Finality, Input, Proposed, db::DatabaseSet};
use futures::{FutureExt as _, StreamExt as _, future::Shared};
use rayon::prelude::*;
use std::{future::Future, pin::pin, sync::Arc, time::UNIX_EPOCH};
use stoa_base::{Block, Recovered};
use stoa_ledger::{
    Committed, Ledger,
    execute::{Choices, Refusal, Transactions},
    state::{self, Runtime, State},
};

/// How votes and certificates are signed: threshold BLS with randomness.
pub type Scheme = vrf::Scheme<ed25519::PublicKey, MinSig>;

/// The transactions that wait for a block.
pub trait Waiting: Clone + Send + Sync + 'static {
    /// What to include next, best first, in an order that each sender's nonces allow; about as many as `gas` holds.
    /// `used` has the next nonces of senders with transactions in blocks that are not final yet.
    fn best(&self, base_fee: u64, gas: u64, used: &HashMap<Address, u64>) -> Vec<Arc<Recovered>>;

    /// Whether nothing can be included on top of blocks that are not final yet: `used` has the next nonces of senders with
    /// transactions in those.
    fn is_empty(&self, used: &HashMap<Address, u64>) -> bool;

    /// Resolves when something may have come in since this was called.
    fn arrived(&self) -> impl Future<Output = ()> + Send + use<Self>;

    /// The sender of a waiting transaction, which need not be recovered again.
    fn sender(&self, hash: &B256) -> Option<Address>;

    /// Refused while building a block.
    fn refused(&self, transaction: &Recovered, why: &Refusal);

    /// A block is final: what it includes waits no longer.
    fn finalized(&self, committed: &Committed);
}

/// The ledger as consensus drives it.
#[derive(Clone)]
pub struct LedgerApplication {
    ledger: Ledger,
    first: SealedBlock,
    beneficiary: Address,
    max_bytes: usize,
    moving: Moving,
    /// Resolves when the state database has joined the ledger.
    ready: Shared<futures::future::BoxFuture<'static, ()>>,
}

impl LedgerApplication {
    /// `beneficiary` gets the tips of blocks built here; blocks have at most `max_bytes` of transactions.
    pub(crate) fn new(
        ledger: Ledger,
        first: SealedBlock,
        beneficiary: Address,
        max_bytes: usize,
        moving: Moving,
        ready: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let ready = ready.boxed().shared();
        Self { ledger, first, beneficiary, max_bytes, moving, ready }
    }
}

/// Waiting transactions on their way into a block.
struct Building<'a, W> {
    waiting: &'a W,
    list: std::vec::IntoIter<Arc<Recovered>>,
    /// Senders of whom one transaction was refused: later ones cannot be included either.
    skipped: HashSet<Address>,
    bytes_left: usize,
}

impl<W: Waiting> Transactions for Building<'_, W> {
    fn next(&mut self, gas_left: u64) -> Option<Arc<Recovered>> {
        loop {
            if gas_left < 21_000 {
                return None;
            }
            let transaction = self.list.next()?;
            let bytes = transaction.inner().encode_2718_len();
            if self.skipped.contains(&transaction.signer()) {
                continue;
            }
            if bytes > self.bytes_left {
                self.skipped.insert(transaction.signer());
                continue;
            }
            self.bytes_left -= bytes;
            return Some(transaction);
        }
    }

    fn refuse(&mut self, transaction: &Recovered, why: Refusal) -> Result<(), Refusal> {
        // A block that is not final yet may hold the transaction already.
        if !why.is_nonce_too_low() {
            self.skipped.insert(transaction.signer());
            self.waiting.refused(transaction, &why);
        }
        Ok(())
    }
}

/// The senders of a block's transactions, recovered on all cores but for those that are known.
fn recover(block: &Block, known: &(impl Fn(&B256) -> Option<Address> + Sync)) -> Option<Vec<Arc<Recovered>>> {
    let recover = |transaction: &stoa_base::Transaction| {
        let sender = match known(transaction.tx_hash()) {
            Some(sender) => sender,
            None => transaction.recover_signer().ok()?,
        };
        Some(Arc::new(Recovered::new_unchecked(transaction.clone(), sender)))
    };
    block.transactions().par_iter().map(recover).collect()
}

/// Until validators sign randomness of their own, it is drawn from the parent's hash and the round.
fn randomness(context: &Context) -> B256 {
    keccak256([context.parent.1.0.as_slice(), &context.round.view().get().to_be_bytes()].concat())
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
    type Input = ();

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
        _: Input<(), ()>,
    ) -> Option<Proposed<Self, E>> {
        let application = &self.application;
        application.ready.clone().await;
        let parent = pin!(ancestry).next().await?.inner().clone();
        let now = clock.current().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let choices = Choices {
            timestamp: now.max(parent.header().timestamp),
            beneficiary: application.beneficiary,
            prevrandao: randomness(&context),
            base_fee: None,
            gas_limit: None,
        };
        let base_fee = stoa_ledger::next_base_fee(&application.ledger.genesis().fees, parent.header());
        let used = application.ledger.pending_nonces(parent.hash());
        let list = self.waiting.best(base_fee, parent.header().gas_limit, &used);
        let transactions = Box::new(Building {
            waiting: &self.waiting,
            list: list.clone().into_iter(),
            skipped: HashSet::default(),
            bytes_left: application.max_bytes,
        });
        let seal = encode_context(&context);
        let built = application.ledger.build::<E>(batches, &parent, &choices, seal, transactions, &list).await;
        let (block, merkleized) = built.unwrap_or_else(|error| panic!("cannot build a block: {error}"));
        let block = SealedBlock::new(Arc::new(block)).expect("the context was encoded here");
        Some(Proposed { block, merkleized })
    }

    async fn process(
        &mut self,
        _: (E, Context),
        ancestry: impl Ancestry<SealedBlock>,
        batches: <State<E> as DatabaseSet<E>>::Unmerkleized,
        _: Finality,
    ) -> Option<<State<E> as DatabaseSet<E>>::Merkleized> {
        let application = &self.application;
        application.ready.clone().await;
        let mut ancestry = pin!(ancestry);
        let block = ancestry.next().await?.inner().clone();
        let parent = ancestry.next().await?.inner().clone();
        let expected = randomness(&block.context());
        let senders = recover(&block, &|hash| self.waiting.sender(hash));
        let Some(senders) = senders.filter(|_| block.header().mix_hash == expected) else {
            tracing::warn!(number = block.number(), hash = %block.hash(), "a block is invalid: signature or randomness");
            return None;
        };
        match application.ledger.verify::<E>(batches, &parent, &block, senders).await {
            Ok(sealed) => Some(sealed),
            Err(stoa_ledger::InvalidBlock::Ledger(error)) => panic!("cannot check a block: {error}"),
            Err(error) => {
                tracing::warn!(number = block.number(), hash = %block.hash(), %error, "a block is invalid");
                None
            }
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
        let _moving = self.application.moving.lock().await;
        let published = self.application.ledger.publish(block.hash());
        let committed = published.unwrap_or_else(|error| panic!("cannot show a final block: {error}"));
        self.waiting.finalized(&committed);
    }
}

//! How blocks join the chain.

use super::{Committed, Ledger, Pending};
use crate::{
    LedgerError, Set,
    execute::{self, Changes, Choices, Executed, ExecutionError, Rules, Summary, Transactions},
    history::History,
    state::{self, Batch, Runtime, Sealed},
    view::{BatchSource, Source},
};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bytes, map::HashMap};
use std::sync::Arc;
use stoa_base::{Block, Recovered};

impl Ledger {
    /// Builds the block after `parent` on `batch`, the state after `parent`, from waiting transactions.
    ///
    /// `ahead` are those that will probably be included: what they need is read at once. `context` goes into the seal.
    ///
    /// # Errors
    ///
    /// If the state can't be read, or `transactions` insists on one that is refused.
    pub async fn build<E: Runtime>(
        &self,
        batch: Batch<E>,
        parent: &Block,
        choices: &Choices,
        context: Bytes,
        transactions: Box<dyn Transactions + '_>,
        ahead: &[Arc<Recovered>],
    ) -> Result<(Block, Sealed<E>), ExecutionError> {
        let executed = self.execute(&BatchSource::<E>(&batch), parent, choices, transactions, ahead).await?;
        let number = executed.header.number;
        let summary = Summary::begin(&executed);
        let sealed = state::seal(batch, &executed.changes, number).await?;
        let seal = state::seal_of(&sealed, context);
        let mut header = executed.header.clone();
        summary().complete(&mut header);
        header.state_root = state::root(&sealed);
        header.extra_data = Bytes::copy_from_slice(seal.hash().as_slice());
        let transactions = executed.transactions.iter().map(|tx| tx.inner().clone()).collect();
        let block = Block::new(header, seal, transactions);
        self.remember(&block, executed);
        Ok((block, sealed))
    }

    /// Executes a block that somebody proposed on `batch`, the state after its parent, and checks all that it claims.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the block, or that the state can't be read.
    pub async fn verify<E: Runtime>(
        &self,
        batch: Batch<E>,
        parent: &Block,
        block: &Block,
        senders: Vec<Arc<Recovered>>,
    ) -> Result<Sealed<E>, InvalidBlock> {
        let executed = self.execute_known(&BatchSource::<E>(&batch), parent, block, senders).await?;
        let sealed = self.seal_known(batch, block, &executed).await?;
        self.remember(block, executed);
        Ok(sealed)
    }

    /// Executes a known block: the first half of [`verify`](Self::verify).
    pub(crate) async fn execute_known<S: Source>(
        &self,
        source: &S,
        parent: &Block,
        block: &Block,
        senders: Vec<Arc<Recovered>>,
    ) -> Result<Executed, InvalidBlock> {
        let header = block.header();
        let choices = Choices {
            timestamp: header.timestamp,
            beneficiary: header.beneficiary,
            prevrandao: header.mix_hash,
            base_fee: None,
            gas_limit: None,
        };
        if header.timestamp < parent.header().timestamp {
            return Err(InvalidBlock::Timestamp { block: header.timestamp, parent: parent.header().timestamp });
        }
        let all = Box::new(Fixed(senders.iter()));
        Ok(self.execute(source, parent, &choices, all, &senders).await?)
    }

    /// Computes the root and checks all that a block claims: the second half of [`verify`](Self::verify).
    pub(crate) async fn seal_known<E: Runtime>(
        &self,
        batch: Batch<E>,
        block: &Block,
        executed: &Executed,
    ) -> Result<Sealed<E>, InvalidBlock> {
        let header = block.header();
        let summary = Summary::begin(executed);
        let sealed = state::seal(batch, &executed.changes, header.number).await?;
        let seal = state::seal_of(&sealed, block.seal().context.clone());
        let mut expected = executed.header.clone();
        summary().complete(&mut expected);
        expected.state_root = state::root(&sealed);
        expected.extra_data = Bytes::copy_from_slice(seal.hash().as_slice());
        if expected != *header || seal != *block.seal() {
            return Err(InvalidBlock::Mismatch { expected: Box::new(expected), claimed: Box::new(header.clone()) });
        }
        Ok(sealed)
    }

    /// Sets a balance or a delegation outside any block: what that changes in the state at the head.
    pub(crate) async fn set_counted<E: Runtime>(
        &self,
        batch: &Batch<E>,
        address: Address,
        what: &Set,
    ) -> Result<Changes, ExecutionError> {
        let head = self.head();
        let rules = self.rules(&|_| None);
        execute::set_counted(&rules, &BatchSource::<E>(batch), head.header(), address, what).await
    }

    fn rules<'a>(&'a self, hashes: &'a (dyn Fn(u64) -> Option<B256> + Send + Sync)) -> Rules<'a> {
        Rules {
            genesis: &self.inner.genesis,
            natives: &self.inner.natives,
            cache: &self.inner.cache,
            hashes,
            cfg: self.cfg(),
        }
    }

    async fn execute<S: Source>(
        &self,
        source: &S,
        parent: &Block,
        choices: &Choices,
        transactions: Box<dyn Transactions + '_>,
        ahead: &[Arc<Recovered>],
    ) -> Result<Executed, ExecutionError> {
        let (pending, hashes) = self.pending_changes(parent.hash());
        let look_up = |number: u64| {
            let known = hashes.iter().find(|(n, _)| *n == number).map(|(_, hash)| *hash);
            known.or_else(|| Some(self.block(number).ok()??.block.hash()))
        };
        let rules = self.rules(&look_up);
        execute::execute(&rules, source, pending, (parent.header(), parent.hash()), choices, transactions, ahead).await
    }

    /// What blocks that are not final yet changed, from `hash` backwards, and their numbers and hashes.
    fn pending_changes(&self, mut hash: B256) -> (Vec<Arc<Changes>>, Vec<(u64, B256)>) {
        let pending = self.inner.pending.lock();
        let (mut changes, mut hashes) = (Vec::new(), Vec::new());
        while let Some(entry) = pending.get(&hash) {
            changes.push(entry.changes.clone());
            hashes.push((entry.committed.block.number(), hash));
            hash = entry.committed.block.header().parent_hash;
        }
        (changes, hashes)
    }

    /// The next nonces of the senders of transactions in blocks that are not final yet, from `hash` backwards.
    pub fn pending_nonces(&self, mut hash: B256) -> HashMap<Address, u64> {
        let pending = self.inner.pending.lock();
        let mut nonces = HashMap::default();
        while let Some(entry) = pending.get(&hash) {
            let committed = &entry.committed;
            for (sender, transaction) in committed.senders.iter().zip(committed.block.transactions()) {
                let next = nonces.entry(*sender).or_insert(0);
                *next = (transaction.nonce() + 1).max(*next);
            }
            hash = committed.block.header().parent_hash;
        }
        nonces
    }

    /// How many transactions a block has that is the head or not final yet; 0 of any other.
    pub fn transactions_in(&self, hash: B256) -> usize {
        let pending = self.inner.pending.lock().get(&hash).map(|entry| entry.committed.block.transactions().len());
        pending.unwrap_or_else(|| {
            let head = self.head();
            if head.hash() == hash { head.transactions().len() } else { 0 }
        })
    }

    /// Keeps what the execution of a block left behind until the block is final.
    pub(crate) fn remember(&self, block: &Block, executed: Executed) {
        let committed =
            Committed { block: Arc::new(block.clone()), receipts: executed.receipts, senders: executed.senders };
        self.inner.pending.lock().insert(block.hash(), Pending { committed, changes: executed.changes });
    }

    /// Drops what blocks that are not final left behind.
    pub(crate) fn forget_pending(&self) {
        self.inner.pending.lock().clear();
    }

    /// Writes an executed block to the history: to be called when it is final and before the state changes.
    ///
    /// # Errors
    ///
    /// If the block was not executed here, or the disk fails.
    pub fn record(&self, hash: B256) -> Result<(), LedgerError> {
        let entry = self.executed(hash)?;
        self.inner.history.append(&entry.committed, &entry.changes, self.inner.config.durable)?;
        self.inner.cache.apply(entry.committed.block.number(), &entry.changes);
        Ok(())
    }

    /// Writes blocks on the head to the history, each with what it changed: to be called before the state changes.
    pub(crate) fn record_all(&self, blocks: &[(Committed, Arc<Changes>)]) -> Result<(), LedgerError> {
        self.inner.history.extend(blocks, self.inner.config.durable)?;
        for (committed, changes) in blocks {
            self.inner.cache.apply(committed.block.number(), changes);
        }
        Ok(())
    }

    /// Makes a recorded block the head and tells subscribers: to be called when the state has changed. Returns what the
    /// block was and what it changed.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub fn publish(&self, hash: B256) -> Result<(Committed, Arc<Changes>), LedgerError> {
        let Pending { committed, changes } = self.executed(hash)?;
        self.advance(&committed);
        let number = committed.block.number();
        self.inner.pending.lock().retain(|_, entry| entry.committed.block.number() > number);
        Ok((committed, changes))
    }

    /// Makes a recorded block the head and tells subscribers.
    pub(crate) fn advance(&self, committed: &Committed) {
        self.inner.recent.insert(committed.block.number(), committed.clone());
        *self.inner.head.write() = committed.block.clone();
        let _ = self.inner.events.send(committed.clone());
    }

    fn executed(&self, hash: B256) -> Result<Pending, LedgerError> {
        let entry = self.inner.pending.lock().get(&hash).cloned();
        entry.ok_or_else(|| LedgerError::Storage(format!("block {hash} was not executed here")))
    }

    /// What an executed block changed.
    pub(crate) fn changes(&self, hash: B256) -> Result<Arc<Changes>, LedgerError> {
        Ok(self.executed(hash)?.changes)
    }

    pub(crate) fn history(&self) -> &History {
        &self.inner.history
    }

    /// Sets head and cache back after the state was changed by hand.
    pub(crate) fn reset(&self, head: Arc<Block>) {
        self.inner.recent.retain(|number, _| *number <= head.number());
        self.forget_pending();
        self.inner.cache.reset(head.number());
        *self.inner.head.write() = head;
    }
}

/// A block's transactions as they stand: none may be refused.
struct Fixed<'a>(std::slice::Iter<'a, Arc<Recovered>>);

impl Transactions for Fixed<'_> {
    fn next(&mut self, _: u64) -> Option<Arc<Recovered>> {
        self.0.next().cloned()
    }

    fn refuse(&mut self, _: &Recovered, why: execute::Refusal) -> Result<(), execute::Refusal> {
        Err(why)
    }
}

/// Why a proposed block is refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBlock {
    /// Time ran backwards.
    #[error("its timestamp {block} is before its parent's {parent}")]
    Timestamp {
        /// Seconds since 1970.
        block: u64,
        /// Seconds since 1970.
        parent: u64,
    },
    /// Execution gives another header.
    #[error("execution gives {expected:?}, the block claims {claimed:?}")]
    Mismatch {
        /// By our execution.
        expected: Box<alloy_consensus::Header>,
        /// By the block.
        claimed: Box<alloy_consensus::Header>,
    },
    /// It can't be executed.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// The state can't be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

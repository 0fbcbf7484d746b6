mod state_at;

pub use state_at::{Sender, StateAt};

use crate::{
    LedgerError,
    execute::{self, Changes, Choices, Executed, ExecutionError, Rules, Summary, Transactions},
    genesis::first_block,
    history::{History, matching_logs},
    state::{self, Batch, Key, KeyProof, Leaf, PastState, Runtime, Sealed, State, StateConfig, account_key, slot_key},
    view::{BatchSource, Source, StateCache},
};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bytes, Log, U256, map::HashMap};
use commonware_glue::stateful::db::DatabaseSet;
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use quick_cache::{Weighter, sync::Cache};
use revm::context::BlockEnv;
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};
use stoa_base::{Block, Genesis, Receipt, Recovered, Seal};
use stoa_contract::Natives;
use tokio::sync::broadcast;

/// How many final blocks a slow subscriber may lag behind before it misses some.
const EVENTS: usize = 1024;

/// How many transactions of recent blocks stay decoded in memory.
const RECENT_TRANSACTIONS: u64 = 200_000;

/// For how many past blocks proofs can be made without reading the state's log again.
const PAST_STATES: usize = 4;

/// Where and how much a [`Ledger`] keeps.
#[derive(Clone, Debug)]
pub struct LedgerConfig {
    /// Folder of the history; created if missing.
    pub folder: PathBuf,
    /// Of how many blocks back the state can be read; `u64::MAX` keeps all (an archive).
    pub history: u64,
    /// How many values of the state stay in memory.
    pub cache_entries: usize,
    /// Bytes of memory for reading history.
    pub history_cache: u64,
    /// Whether a block must survive a power cut before it is shown, and not only the end of the process.
    pub durable: bool,
    /// Whether contracts may send transactions (against EIP-3607), as impersonated ones do on a development node.
    pub contract_senders: bool,
}

impl LedgerConfig {
    /// The defaults, in this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            history: 10_000,
            cache_entries: 1 << 20,
            history_cache: 64 << 20,
            durable: true,
            contract_senders: false,
        }
    }
}

/// A handle on the chain as this node has it: blocks, receipts, logs and state, and how new blocks join them. Cheap to
/// clone.
///
/// Every method that reads is blocking (disk): call it from a thread that may block, not from an async task.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    genesis: Genesis,
    natives: Natives,
    config: LedgerConfig,
    history: History,
    cache: StateCache,
    state: OnceLock<Box<dyn StateReader>>,
    first: Arc<Block>,
    head: RwLock<Arc<Block>>,
    /// Executed, not final, by hash.
    pending: Mutex<HashMap<B256, Pending>>,
    recent: Cache<u64, Committed, ByTransactions>,
    events: broadcast::Sender<Committed>,
    /// What proofs against past blocks were made from last, by the size of the state's log, newest first.
    past: futures::lock::Mutex<Vec<(u64, Arc<PastState>)>>,
}

#[derive(Clone)]
struct Pending {
    committed: Committed,
    changes: Arc<Changes>,
}

#[derive(Clone)]
struct ByTransactions;

impl Weighter<u64, Committed> for ByTransactions {
    fn weight(&self, _: &u64, committed: &Committed) -> u64 {
        committed.receipts.len() as u64 + 1
    }
}

/// The state database behind a runtime's type.
trait StateReader: Send + Sync {
    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Leaf>, LedgerError>>;
    fn prove(&self, keys: Vec<Key>) -> BoxFuture<'_, Result<(B256, Vec<KeyProof>), LedgerError>>;
    fn past<'a>(&'a self, seal: &'a Seal) -> BoxFuture<'a, Result<PastState, LedgerError>>;
    fn prove_past<'a>(
        &'a self,
        past: &'a PastState,
        keys: &'a [Key],
    ) -> BoxFuture<'a, Result<Vec<KeyProof>, LedgerError>>;
}

impl<E: Runtime> StateReader for State<E> {
    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Leaf>, LedgerError>> {
        Box::pin(async move {
            let db = self.read().await;
            db.get(&key).await.map_err(|error| LedgerError::Storage(format!("state: {error}")))
        })
    }

    fn prove(&self, keys: Vec<Key>) -> BoxFuture<'_, Result<(B256, Vec<KeyProof>), LedgerError>> {
        Box::pin(state::prove(self, keys))
    }

    fn past<'a>(&'a self, seal: &'a Seal) -> BoxFuture<'a, Result<PastState, LedgerError>> {
        Box::pin(PastState::read(self, seal))
    }

    fn prove_past<'a>(
        &'a self,
        past: &'a PastState,
        keys: &'a [Key],
    ) -> BoxFuture<'a, Result<Vec<KeyProof>, LedgerError>> {
        Box::pin(past.prove(self, keys))
    }
}

/// A final block with what its execution left behind.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The block.
    pub block: Arc<Block>,
    /// One receipt per transaction, in order.
    pub receipts: Arc<Vec<Receipt>>,
    /// Who sent each transaction, in order.
    pub senders: Arc<Vec<Address>>,
}

/// Which logs to find: an empty list matches everything, as in `eth_getLogs`.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Emitting contracts, any of them.
    pub addresses: Vec<Address>,
    /// For each position the topics that match, any of them.
    pub topics: [Vec<B256>; 4],
}

impl LogFilter {
    /// Whether the filter wants this log.
    pub fn matches(&self, log: &Log) -> bool {
        let topic = |at: usize| log.topics().get(at);
        (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && self
                .topics
                .iter()
                .enumerate()
                .all(|(at, any)| any.is_empty() || topic(at).is_some_and(|topic| any.contains(topic)))
    }
}

/// A log with its place in the chain.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// The log.
    pub log: Log,
    /// Number of the block.
    pub block_number: u64,
    /// Hash of the block.
    pub block_hash: B256,
    /// Seconds since 1970.
    pub block_timestamp: u64,
    /// Hash of the transaction.
    pub transaction_hash: B256,
    /// Position of the transaction in the block.
    pub transaction_index: u64,
    /// Position of the log in the block.
    pub log_index: u64,
}

/// An account and some of its slots, proven against the state root of a block.
#[derive(Clone, Debug)]
pub struct AccountProof {
    /// The block whose `stateRoot` the proofs lead to.
    pub block: Arc<Block>,
    /// Proof under the account's key.
    pub account: KeyProof,
    /// One proof per slot, in the order asked.
    pub slots: Vec<KeyProof>,
}

impl Ledger {
    /// Opens the chain in `config.folder` and the runtime's storage, or starts it. The state database joins with
    /// [`attach`](Self::attach).
    ///
    /// # Errors
    ///
    /// [`LedgerError::Damaged`] if what lies there cannot be read, or belongs to another chain.
    pub async fn open<E: Runtime>(
        runtime: E,
        genesis: Genesis,
        config: LedgerConfig,
        state_config: StateConfig,
    ) -> Result<Self, LedgerError> {
        let history = History::open(&config.folder, config.history_cache, config.history)?;
        history.check_genesis(&genesis)?;
        let first = match history.block(0)? {
            Some(committed) => committed.block,
            None => {
                let state = <State<E> as DatabaseSet<E>>::init(runtime, state_config, None).await;
                let block = Arc::new(first_block(&state, &genesis).await?);
                let first = Committed { block: block.clone(), receipts: Arc::default(), senders: Arc::default() };
                history.append(&first, &Arc::default(), true)?;
                block
            }
        };
        let inner = Inner {
            genesis,
            natives: Natives::stoa(),
            history,
            cache: StateCache::new(config.cache_entries),
            state: OnceLock::new(),
            head: RwLock::new(first.clone()),
            first,
            pending: Mutex::default(),
            recent: Cache::with_weighter(4096, RECENT_TRANSACTIONS, ByTransactions),
            events: broadcast::Sender::new(EVENTS),
            past: futures::lock::Mutex::default(),
            config,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The newest block that the history holds. After a crash the state may take a moment to come up to it again.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub fn newest_recorded(&self) -> Result<u64, LedgerError> {
        Ok(self.inner.history.newest()?.unwrap_or(0))
    }

    /// Block 0.
    pub fn first(&self) -> Arc<Block> {
        self.inner.first.clone()
    }

    /// Joins the state database, whose newest commit becomes the head.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Damaged`] if history and state do not belong together.
    pub async fn attach<E: Runtime>(&self, state: State<E>) -> Result<(), LedgerError> {
        let (number, root) = state::tip(&state).await?;
        let committed = self.inner.history.block(number)?.ok_or_else(|| {
            LedgerError::Damaged(format!("the state is that of block {number}, which the history does not hold"))
        })?;
        let expected = committed.block.header().state_root;
        if !self.inner.genesis.development && root != expected {
            return Err(LedgerError::Damaged(format!("the state's root is {root}, block {number} says {expected}")));
        }
        *self.inner.head.write() = committed.block;
        self.inner.cache.reset(number);
        self.inner.state.set(Box::new(state)).map_err(|_| LedgerError::Storage("attached twice".into()))
    }

    /// What the chain began with and the numbers it runs by.
    pub fn genesis(&self) -> &Genesis {
        &self.inner.genesis
    }

    /// The native contracts of this chain.
    pub fn natives(&self) -> &Natives {
        &self.inner.natives
    }

    /// The newest final block. Never blocks.
    pub fn head(&self) -> Arc<Block> {
        self.inner.head.read().clone()
    }

    /// A final block by number, `None` above the head.
    ///
    /// # Errors
    ///
    /// If the disk fails or holds something else than was written.
    pub fn block(&self, number: u64) -> Result<Option<Committed>, LedgerError> {
        if number > self.head().number() {
            return Ok(None);
        }
        if let Some(committed) = self.inner.recent.get(&number) {
            return Ok(Some(committed));
        }
        let Some(committed) = self.inner.history.block(number)? else { return Ok(None) };
        self.inner.recent.insert(number, committed.clone());
        Ok(Some(committed))
    }

    /// The number of the block with this hash.
    ///
    /// # Errors
    ///
    /// As [`block`](Self::block).
    pub fn block_number(&self, hash: B256) -> Result<Option<u64>, LedgerError> {
        let head = self.head();
        if head.hash() == hash {
            return Ok(Some(head.number()));
        }
        Ok(self.inner.history.block_number(hash)?.filter(|number| *number <= head.number()))
    }

    /// Block number and position of a transaction.
    ///
    /// # Errors
    ///
    /// As [`block`](Self::block).
    pub fn transaction(&self, hash: B256) -> Result<Option<(u64, usize)>, LedgerError> {
        for (number, position) in self.inner.history.transaction(hash)? {
            let block = self.block(number)?.map(|committed| committed.block);
            if block.is_some_and(|block| block.transactions().get(position).is_some_and(|tx| *tx.tx_hash() == hash)) {
                return Ok(Some((number, position)));
            }
        }
        Ok(None)
    }

    /// Logs of blocks `from..=to`, oldest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`LedgerError::TooManyLogs`] if there are more; else as [`block`](Self::block).
    pub fn logs(&self, from: u64, to: u64, filter: &LogFilter, limit: usize) -> Result<Vec<LogEntry>, LedgerError> {
        let to = to.min(self.head().number());
        let mut found = Vec::new();
        let mut look = |number| {
            let Some(committed) = self.block(number)? else { return Ok(()) };
            found.extend(matching_logs(&committed, filter).take(limit + 1 - found.len()));
            if found.len() > limit { Err(LedgerError::TooManyLogs { limit }) } else { Ok(()) }
        };
        match self.inner.history.blocks_with_logs(from, to, filter)? {
            Some(numbers) => numbers.into_iter().try_for_each(&mut look)?,
            None => (from..=to).try_for_each(&mut look)?,
        }
        Ok(found)
    }

    /// Of how many blocks back the state can be read and proven; `u64::MAX` for an archive.
    pub fn window(&self) -> u64 {
        self.inner.config.history
    }

    /// State after block `number`.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Unknown`] above the head, [`LedgerError::Pruned`] below what is kept.
    pub fn state(&self, number: u64) -> Result<StateAt, LedgerError> {
        let head = self.head().number();
        if number > head {
            return Err(LedgerError::Unknown { asked: number, head });
        }
        let oldest = self.oldest_state(head);
        if number < oldest {
            return Err(LedgerError::Pruned { asked: number, oldest });
        }
        Ok(StateAt { ledger: self.clone(), number })
    }

    fn oldest_state(&self, head: u64) -> u64 {
        head.saturating_sub(self.inner.config.history).max(self.inner.history.oldest_state())
    }

    /// Proves an account and slots of it against the state root of block `number`.
    ///
    /// At the newest block that takes next to nothing; the first proof at an earlier one reads the part of the state's log
    /// that was needed then, some microseconds for each account there was.
    ///
    /// # Errors
    ///
    /// As [`state`](Self::state), and [`LedgerError::TooLarge`] if the state of a past block was too large for that.
    pub async fn prove(&self, number: u64, address: Address, slots: &[U256]) -> Result<AccountProof, LedgerError> {
        self.state(number)?;
        let head = self.head().number();
        let block = self.block(number)?.ok_or(LedgerError::Unknown { asked: number, head })?.block;
        let keys = std::iter::once(account_key(&address))
            .chain(slots.iter().map(|slot| slot_key(&address, slot)))
            .collect::<Vec<_>>();
        let mut proofs = self.prove_keys(&block, keys).await?;
        let account = proofs.remove(0);
        Ok(AccountProof { block, account, slots: proofs })
    }

    async fn prove_keys(&self, block: &Block, keys: Vec<Key>) -> Result<Vec<KeyProof>, LedgerError> {
        let (reader, root) = (self.reader()?, block.header().state_root);
        if block.number() == self.head().number() {
            let (newest, proofs) = reader.prove(keys.clone()).await?;
            // Else the state has moved on meanwhile, or was set by hand after the block.
            if newest == root {
                return Ok(proofs);
            }
        }
        let size = block.seal().ops_end;
        let past = {
            // One at a time: whoever waits may find what it wants.
            let mut past = self.inner.past.lock().await;
            match past.iter().position(|(known, _)| *known == size) {
                Some(at) => past[at].1.clone(),
                None => {
                    let read = Arc::new(reader.past(block.seal()).await?);
                    past.truncate(PAST_STATES - 1);
                    past.insert(0, (size, read.clone()));
                    read
                }
            }
        };
        let proofs = reader.prove_past(&past, &keys).await?;
        for (key, proof) in keys.iter().zip(&proofs) {
            let checked = state::verify_key(root, *key, proof);
            checked.map_err(|why| LedgerError::Damaged(format!("the state of block {}: {why}", block.number())))?;
        }
        Ok(proofs)
    }

    fn reader(&self) -> Result<&dyn StateReader, LedgerError> {
        let reader = self.inner.state.get().ok_or_else(|| LedgerError::Storage("the state is not open yet".into()))?;
        Ok(&**reader)
    }

    /// The environment in which block `number` was executed.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Unknown`] above the head.
    pub fn block_env(&self, number: u64) -> Result<BlockEnv, LedgerError> {
        let head = self.head().number();
        let committed = self.block(number)?.ok_or(LedgerError::Unknown { asked: number, head })?;
        Ok(execute::block_env(committed.block.header()))
    }

    /// The environment that a block on top of the head would have one second later.
    pub fn next_block_env(&self) -> BlockEnv {
        let head = self.head();
        let parent = head.header();
        let choices = Choices {
            timestamp: parent.timestamp + 1,
            beneficiary: parent.beneficiary,
            prevrandao: parent.mix_hash,
            base_fee: None,
            gas_limit: None,
        };
        execute::block_env(&execute::next_header(&self.inner.genesis, parent, head.hash(), &choices))
    }

    /// Every final block from now on, in order.
    pub fn subscribe(&self) -> broadcast::Receiver<Committed> {
        self.inner.events.subscribe()
    }

    /// Bytes of history on disk.
    pub fn disk_space(&self) -> u64 {
        self.inner.history.disk_space()
    }

    // How blocks join the chain.

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

    /// Sets a balance outside any block: what that changes in the state at the head.
    pub(crate) async fn set_balance<E: Runtime>(
        &self,
        batch: &Batch<E>,
        address: Address,
        balance: U256,
    ) -> Result<Changes, ExecutionError> {
        let head = self.head();
        let rules = self.rules(&|_| None);
        execute::set_balance(&rules, &BatchSource::<E>(batch), head.header(), address, balance).await
    }

    fn rules<'a>(&'a self, hashes: &'a (dyn Fn(u64) -> Option<B256> + Send + Sync)) -> Rules<'a> {
        let contract_senders = self.inner.config.contract_senders;
        Rules {
            genesis: &self.inner.genesis,
            natives: &self.inner.natives,
            cache: &self.inner.cache,
            hashes,
            contract_senders,
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

    /// Makes a recorded block the head and tells subscribers: to be called when the state has changed.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub fn publish(&self, hash: B256) -> Result<Committed, LedgerError> {
        let entry = self.executed(hash)?;
        let committed = entry.committed;
        let number = committed.block.number();
        self.inner.recent.insert(number, committed.clone());
        *self.inner.head.write() = committed.block.clone();
        self.inner.pending.lock().retain(|_, entry| entry.committed.block.number() > number);
        let _ = self.inner.events.send(committed.clone());
        Ok(committed)
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

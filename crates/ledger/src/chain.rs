mod certified;
mod grow;
mod logs;
mod proofs;
mod state_at;

pub use certified::ForeignReceipts;
pub use grow::InvalidBlock;
pub use logs::{LogEntry, LogFilter};
pub use proofs::AccountProof;
pub use state_at::{Sender, StateAt};

use crate::{
    LedgerError,
    execute::{self, Changes, Choices},
    genesis::first_block,
    history::History,
    state::{MAX_CODE, PastState, Runtime, State, StateConfig, Tip},
    view::StateCache,
};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, map::HashMap};
use commonware_glue::stateful::db::DatabaseSet;
use parking_lot::{Mutex, RwLock};
use quick_cache::{Weighter, sync::Cache};
use revm::context::{BlockEnv, CfgEnv};
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};
use stoa_base::{Block, Genesis, Receipt};
use stoa_contract::Natives;
use tokio::sync::{broadcast, watch};

/// How many final blocks a slow subscriber may lag behind before it misses some.
const EVENTS: usize = 1024;

/// How many transactions of recent blocks stay decoded in memory.
const RECENT_TRANSACTIONS: u64 = 200_000;

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
    /// Whether contracts may send transactions (against EIP-3607), as impersonated ones do on a development node, and
    /// transactions may have all the gas of a block (against EIP-7825).
    pub lenient: bool,
    /// Whether code may be as long as the [state can hold](MAX_CODE), and code that creates it twice as long (against EIP-170
    /// and EIP-3860).
    pub disable_code_size_limit: bool,
    /// The native contracts: a rule of the chain, the same on all of its nodes.
    pub natives: Natives,
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
            lenient: false,
            disable_code_size_limit: false,
            natives: Natives::stoa(),
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
    state: OnceLock<Box<dyn proofs::StateReader>>,
    first: Arc<Block>,
    head: RwLock<Arc<Block>>,
    /// Executed, not final, by hash.
    pending: Mutex<HashMap<B256, Pending>>,
    recent: Cache<u64, Committed, ByTransactions>,
    events: broadcast::Sender<Committed>,
    /// Number of the newest block with a certificate.
    certified: watch::Sender<u64>,
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

impl Ledger {
    /// Opens the chain in `config.folder` and the runtime's storage, or starts it. The state database joins with
    /// [`attach`](Self::attach).
    ///
    /// # Errors
    ///
    /// [`LedgerError::Damaged`] if what lies there cannot be read, [`LedgerError::OtherGenesis`] if it belongs to another chain.
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
        let certified = history.certified(.., true)?.map_or(0, |(number, _)| number);
        let inner = Inner {
            genesis,
            natives: config.natives.clone(),
            history,
            cache: StateCache::new(config.cache_entries),
            state: OnceLock::new(),
            head: RwLock::new(first.clone()),
            first,
            pending: Mutex::default(),
            recent: Cache::with_weighter(4096, RECENT_TRANSACTIONS, ByTransactions),
            events: broadcast::Sender::new(EVENTS),
            certified: watch::Sender::new(certified),
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
        let Tip { number, root } = Tip::of(&*state.read().await).await?;
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
    /// [`LedgerError::NotKept`] if this node does not keep it; and if the disk fails or holds something else than was written.
    pub fn block(&self, number: u64) -> Result<Option<Committed>, LedgerError> {
        if number > self.head().number() {
            return Ok(None);
        }
        if let Some(committed) = self.inner.recent.get(&number) {
            return Ok(Some(committed));
        }
        let Some(committed) = self.inner.history.block(number)? else {
            return Err(LedgerError::NotKept { asked: number, first: self.inner.history.kept_from()? });
        };
        self.inner.recent.insert(number, committed.clone());
        Ok(Some(committed))
    }

    /// The header of a final block by number, `None` above the head. Costs less than the [`block`](Self::block).
    ///
    /// # Errors
    ///
    /// As [`block`](Self::block).
    pub fn header(&self, number: u64) -> Result<Option<Header>, LedgerError> {
        if number > self.head().number() {
            return Ok(None);
        }
        if let Some(committed) = self.inner.recent.get(&number) {
            return Ok(Some(committed.block.header().clone()));
        }
        let Some(header) = self.inner.history.header(number)? else {
            return Err(LedgerError::NotKept { asked: number, first: self.inner.history.kept_from()? });
        };
        Ok(Some(header))
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
    /// [`LedgerError::TooManyLogs`] if there are more, [`LedgerError::NotKept`] if this node lacks some of the blocks; else as [`block`](Self::block).
    pub fn logs(&self, from: u64, to: u64, filter: &LogFilter, limit: usize) -> Result<Vec<LogEntry>, LedgerError> {
        Ok(self.logs_while(from, to, filter, limit, || true)?.unwrap_or_default())
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

    /// How the virtual machine is set on this chain.
    pub fn cfg(&self) -> CfgEnv {
        let mut cfg = stoa_contract::cfg(self.inner.genesis.chain_id);
        if self.inner.config.lenient {
            (cfg.disable_eip3607, cfg.tx_gas_limit_cap) = (true, Some(u64::MAX));
        }
        if self.inner.config.disable_code_size_limit {
            (cfg.limit_contract_code_size, cfg.limit_contract_initcode_size) = (Some(MAX_CODE), Some(2 * MAX_CODE));
        }
        cfg
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
}

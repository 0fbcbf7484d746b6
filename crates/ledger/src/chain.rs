use crate::LedgerError;
use alloy_primitives::{Address, B256, Bytes, Log, U256};
use std::sync::Arc;
use stoa_base::{Block, Genesis, Receipt, Recovered};
use tokio::sync::broadcast;

/// A handle on the chain as this node has it: reading blocks, receipts, logs and state. Cheap to clone.
///
/// Every method that reads is blocking (disk): call it from a thread that may block, not from an async task.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<()>,
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

/// The state after one block, read-only; a `revm` database (`DatabaseRef`). Blocking.
#[derive(Clone)]
pub struct StateAt {
    number: u64,
}
impl StateAt {
    /// The block after which this state stands.
    pub fn number(&self) -> u64 { self.number }
    /// Wei.
    pub fn balance(&self, address: Address) -> Result<U256, LedgerError> { todo!() }
    /// Transactions sent, or contracts created.
    pub fn nonce(&self, address: Address) -> Result<u64, LedgerError> { todo!() }
    /// Runtime code, empty where there is none.
    pub fn code(&self, address: Address) -> Result<Bytes, LedgerError> { todo!() }
    /// One slot.
    pub fn storage(&self, address: Address, slot: U256) -> Result<U256, LedgerError> { todo!() }
}
impl revm::DatabaseRef for StateAt {
    type Error = LedgerError;
    fn basic_ref(&self, address: Address) -> Result<Option<revm::state::AccountInfo>, LedgerError> { todo!() }
    fn code_by_hash_ref(&self, code_hash: B256) -> Result<revm::bytecode::Bytecode, LedgerError> { todo!() }
    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, LedgerError> { todo!() }
    fn block_hash_ref(&self, number: u64) -> Result<B256, LedgerError> { todo!() }
}

impl Ledger {
    /// What the chain began with and the numbers it runs by.
    pub fn genesis(&self) -> &Genesis { todo!() }
    /// The newest final block. Never blocks.
    pub fn head(&self) -> Arc<Block> { todo!() }
    /// A block by number.
    pub fn block(&self, number: u64) -> Result<Option<Committed>, LedgerError> { todo!() }
    /// The number of the block with this hash.
    pub fn block_number(&self, hash: B256) -> Result<Option<u64>, LedgerError> { todo!() }
    /// Block number and position of a transaction.
    pub fn transaction(&self, hash: B256) -> Result<Option<(u64, usize)>, LedgerError> { todo!() }
    /// Logs of blocks `from..=to`, oldest first, at most `limit`.
    pub fn logs(&self, from: u64, to: u64, filter: &LogFilter, limit: usize) -> Result<Vec<LogEntry>, LedgerError> { todo!() }
    /// State after block `number`.
    pub fn state(&self, number: u64) -> Result<StateAt, LedgerError> { todo!() }
    /// The block environment for executing on top of the head (`pending`) or as block `number` was executed.
    pub fn block_env(&self, number: u64) -> Result<revm::context::BlockEnv, LedgerError> { todo!() }
    /// The block environment that the next block will have, at least one second after the head.
    pub fn next_block_env(&self) -> revm::context::BlockEnv { todo!() }
    /// Every final block from now on, in order.
    pub fn subscribe(&self) -> broadcast::Receiver<Committed> { todo!() }
}

use alloy_primitives::{Address, B256, U256};
use std::sync::Arc;
use stoa_base::Recovered;
use tokio::sync::broadcast;

/// What the methods need of the transactions that wait for a block.
pub trait Pool: Send + Sync + 'static {
    /// Takes a transaction in, so that it survives a restart once this has returned. May block.
    ///
    /// # Errors
    ///
    /// Says why the transaction cannot wait here.
    fn add(&self, transaction: Recovered) -> Result<(), PoolError>;

    /// A waiting transaction by its hash.
    fn get(&self, hash: &B256) -> Option<Arc<Recovered>>;

    /// The nonce after the last of the sender's transactions that can run one after the other, `None` if none waits.
    fn next_nonce(&self, sender: Address) -> Option<u64>;

    /// How many can run now, and how many wait for an earlier nonce.
    fn counts(&self) -> (usize, usize);

    /// All that wait, or those of one sender, each part ordered by sender and nonce.
    fn content(&self, sender: Option<Address>) -> PoolContent;

    /// Every transaction that is taken in from now on.
    fn subscribe(&self) -> broadcast::Receiver<Arc<Recovered>>;
}

/// Waiting transactions.
#[derive(Clone, Debug, Default)]
pub struct PoolContent {
    /// Those that can run now.
    pub pending: Vec<Arc<Recovered>>,
    /// Those that wait for an earlier nonce.
    pub queued: Vec<Arc<Recovered>>,
}

/// Why a transaction is not taken. The words are geth's: clients look for them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// This very transaction waits already.
    #[error("already known")]
    AlreadyKnown,
    /// The nonce has been used.
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow {
        /// The sender's next nonce.
        next: u64,
        /// The transaction's nonce.
        nonce: u64,
    },
    /// The nonce is too far ahead of the sender's.
    #[error("nonce too high: next nonce {next}, tx nonce {nonce}")]
    NonceTooHigh {
        /// The sender's next nonce.
        next: u64,
        /// The transaction's nonce.
        nonce: u64,
    },
    /// Another transaction with this nonce waits and pays as much.
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    /// It pays less than what the node keeps.
    #[error("transaction underpriced: {0}")]
    Underpriced(String),
    /// The sender cannot pay for it.
    #[error("insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, overshot {}", cost.saturating_sub(*balance))]
    InsufficientFunds {
        /// Wei.
        balance: U256,
        /// Wei.
        cost: U256,
    },
    /// The node keeps no more transactions.
    #[error("txpool is full")]
    Full,
    /// The sender has too many transactions waiting.
    #[error("account limit exceeded: {0} transactions wait already")]
    AccountLimit(usize),
    /// It can never run; the message says why.
    #[error("{0}")]
    Invalid(String),
}

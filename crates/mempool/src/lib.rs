//! Transactions that wait for a block.
//!
//! A signed transaction comes in through [`Pool::add`]. What can be said of it alone is checked first, on the caller's
//! thread: form, chain, signature, gas. Then it joins its sender's queue, ordered by nonce. Those that follow each other
//! from the account's nonce, and that the balance pays for together, are *pending*: a block can have them now. The rest
//! is *queued* behind a gap. A second transaction of the same nonce replaces the first if it pays a tenth more.
//!
//! [`Pool::best`] gives the pending ones to a block's proposer, best paid first, each sender's in order.
//! [`Pool::on_block`] tells what a block changed; its cost grows with the block, not with the pool.
//!
//! Everything is bounded ([`Config`]): transactions and bytes in all, transactions per sender, those behind a gap, how
//! long they may wait there. In a full pool a newcomer pushes out what is worth less: first what is queued, then the
//! last transactions of senders that hold more than their share, then the cheapest. Only the last transaction of a
//! sender is ever pushed out, so that no queue gets a hole, and a sender's transactions count as no better paid than the
//! worst paid among those before them, so that a dear last one doesn't shield cheap ones. Nobody's few transactions are
//! crowded out by somebody's many.
//!
//! A pool with a journal keeps what it has accepted through the end of the process: a transaction is handed to the
//! operating system before `add` returns. It is not synced to the disk, so a power cut may lose the last ones.
//!
//! Nothing here reads a clock: the caller says how late it is ([`Pool::maintain`]).

mod best;
mod check;
mod config;
mod decode;
mod error;
mod journal;
mod pool;
mod queue;
mod records;
mod table;
#[cfg(test)]
mod tests;

pub use best::Best;
pub use config::Config;
pub use decode::{MAX_TRANSACTION_BYTES, recover};
pub use error::PoolError;
pub use pool::{Content, Pool, Status};

use alloy_primitives::{Address, U256};

/// What the pool must know of the chain's head.
pub trait State: Send + Sync + 'static {
    /// EIP-155 chain id.
    fn chain_id(&self) -> u64;

    /// Gas limit of the next block.
    fn gas_limit(&self) -> u64;

    /// An account after the newest block. May block.
    ///
    /// # Errors
    ///
    /// Says why the state cannot be read.
    fn account(&self, address: Address) -> Result<Account, String>;
}

/// A sender's account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Transactions sent: the nonce of the next one.
    pub nonce: u64,
    /// Wei.
    pub balance: U256,
    /// Whether code stands there that is not an EIP-7702 delegation: such an account cannot send (EIP-3607).
    pub has_code: bool,
}

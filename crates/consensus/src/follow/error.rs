//! What ends a follower.

use alloy_primitives::B256;
use stoa_ledger::LedgerError;

/// Why a node cannot follow its chain any further.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The validators have signed two chains.
    #[error(
        "the validators have signed two blocks of number {number}: {ours} and {theirs}; more than a third of them are \
         dishonest or have lost their keys, and what either chain says must not be relied upon"
    )]
    Fork {
        /// At which height.
        number: u64,
        /// What this node has.
        ours: B256,
        /// What it was shown now.
        theirs: B256,
    },
    /// A quorum has signed a block that breaks the rules.
    #[error("the validators have signed block {number}, which breaks the rules ({why}); is this program up to date?")]
    Rules {
        /// Which.
        number: u64,
        /// Execution's words.
        why: String,
    },
    /// State or history fail.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A genesis file names no committee, or one that cannot be.
    #[error("no peer has a chain of which the validators with this network key have signed anything ({0})")]
    NoChain(String),
    /// Nobody has a block that is needed.
    #[error(
        "no peer has block {0}, which says who agrees on the blocks after it (name more peers, or ones that keep all)"
    )]
    NoBlock(u64),
}

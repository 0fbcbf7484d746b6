use alloy_primitives::{Address, U256};

/// Why a transaction is not taken. The words are geth's where geth has any: clients look for them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The bytes are no transaction.
    #[error("{0}")]
    Decode(String),
    /// It is longer than any transaction may be.
    #[error("oversized data: transaction size {size}, limit {limit}")]
    Oversized {
        /// Bytes.
        size: usize,
        /// Bytes.
        limit: usize,
    },
    /// Its type is none of 0, 1, 2 and 4.
    #[error("transaction type not supported")]
    UnknownType,
    /// It is of type 3.
    #[error("transaction type not supported: blob transactions are not accepted on this chain")]
    Blob,
    /// The signature is of no account, or its `s` is in the upper half (EIP-2).
    #[error("invalid sender")]
    Signature,
    /// It is meant for another chain.
    #[error("invalid sender: invalid chain id for signer: have {have} want {want}")]
    ChainId {
        /// The transaction's.
        have: u64,
        /// Ours.
        want: u64,
    },
    /// It names no chain, so that it could be replayed on any.
    #[error("only replay-protected (EIP-155) transactions allowed over RPC")]
    Unprotected,
    /// The code that creates a contract is too long (EIP-3860).
    #[error("max initcode size exceeded: code size {size}, limit {limit}")]
    InitCode {
        /// Bytes.
        size: usize,
        /// Bytes.
        limit: usize,
    },
    /// It wants more gas than a block has.
    #[error("exceeds block gas limit")]
    BlockGasLimit,
    /// It wants more gas than a transaction may (EIP-7825).
    #[error("transaction gas limit too high (cap: {cap}, tx: {gas})")]
    GasCap {
        /// The most.
        cap: u64,
        /// What it wants.
        gas: u64,
    },
    /// Its gas does not even pay for starting it.
    #[error("intrinsic gas too low: gas {gas}, minimum needed {needed}")]
    IntrinsicGas {
        /// Gas limit.
        gas: u64,
        /// The least.
        needed: u64,
    },
    /// Its gas does not pay for its data (EIP-7623).
    #[error("insufficient gas for floor data gas cost: gas {gas}, minimum needed {needed}")]
    FloorGas {
        /// Gas limit.
        gas: u64,
        /// The least.
        needed: u64,
    },
    /// It would pay a higher tip than it would pay at all.
    #[error("max priority fee per gas higher than max fee per gas")]
    TipAboveFeeCap,
    /// It pays less than this node takes.
    #[error("transaction gas price below minimum: gas tip cap {tip}, minimum needed {needed}")]
    BelowMinimum {
        /// Wei per gas.
        tip: u128,
        /// Wei per gas.
        needed: u128,
    },
    /// An EIP-7702 transaction without authorizations.
    #[error("set code tx must have at least one authorization tuple")]
    EmptyAuthorizationList,
    /// The last nonce there is cannot be used (EIP-2681).
    #[error("nonce has max value")]
    NonceMax,
    /// The nonce has been used.
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow {
        /// The account's next nonce.
        next: u64,
        /// The transaction's.
        nonce: u64,
    },
    /// The sender is a contract (EIP-3607).
    #[error("sender not an eoa: address {0}")]
    SenderNotEoa(Address),
    /// The sender cannot pay for this transaction.
    #[error("insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, overshot {}", cost.saturating_sub(*balance))]
    InsufficientFunds {
        /// Wei.
        balance: U256,
        /// Wei, at the highest fee the transaction allows.
        cost: U256,
    },
    /// The sender cannot pay for this transaction together with those that wait already.
    #[error("insufficient funds for gas * price + value: balance {balance}, queued cost {queued}, tx cost {cost}, overshot {}", queued.saturating_add(*cost).saturating_sub(*balance))]
    QueueOverdraft {
        /// Wei.
        balance: U256,
        /// Wei, of what waits and stays.
        queued: U256,
        /// Wei, of the transaction.
        cost: U256,
    },
    /// This very transaction waits already.
    #[error("already known")]
    AlreadyKnown,
    /// Another one with this nonce waits and pays nearly as much, or more.
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    /// The pool is full of better paid ones.
    #[error("transaction underpriced")]
    Underpriced,
    /// The pool is full of those that can run, and this one has to wait for an earlier nonce.
    #[error("txpool is full")]
    Full,
    /// The sender has too many waiting.
    #[error("account limit exceeded: {waiting} transactions wait already, limit {limit}")]
    AccountLimit {
        /// Those that wait.
        waiting: usize,
        /// The most.
        limit: usize,
    },
    /// The sender's account cannot be read.
    #[error("the state cannot be read: {0}")]
    State(String),
    /// The transaction cannot be kept through the end of the process, so it is not taken.
    #[error("the transaction journal cannot be written: {0}")]
    Journal(String),
}

//! Methods of a development node: blocks on demand, time, accounts set by hand, snapshots, impersonation.
//!
//! They are those of Hardhat's network (`hardhat_`, `evm_`) and of Anvil (`anvil_`), so that a contract project's test
//! suite runs here over HTTP as it does there. Parameters are read at least as leniently as in both.
//!
//! What fails is told in two ways. To Hardhat, which is known by its `User-Agent`, a failed call or transaction answers with
//! an error in its own words, whose data are an object with the bytes that the contract returned: its assertion libraries read
//! them. To all others as geth and Anvil tell it: a call or an estimate by code 3 and the bytes as data, and a transaction by
//! its receipt alone. So one that they have this node send is estimated first, unless it says how much gas it may use.
//!
//! [`register`] adds them to a server, and replaces methods that behave differently here: sending mines a block at once
//! (automine), an estimate comes after what waits, the pending block has the time and fees that the next one is going to have,
//! and an account that is impersonated sends without a key. What contracts say with Solidity's `console.log` in a call, or in a
//! transaction that is mined at once, goes to standard error. What the methods need of the chain is [`Dev`].
//!
//! One method of Anvil's is missing for good: the chain id does not change. Transactions are signed for it, and the first block
//! commits to it. As on Anvil, a transaction may ask for all the gas of a block: EIP-7825 does not hold.
//!
//! Anybody who reaches the port may do all of this: such a node serves on loopback only.

mod calls;
mod clock;
mod console;
mod failure;
mod methods;
mod network;
mod node;
mod numbers;
mod state;
#[cfg(test)]
mod tests;
mod written;

pub use methods::register;
pub use network::register_network;

use crate::RpcError;
use alloy_primitives::{Address, B256, U256};
use std::collections::{BTreeMap, BTreeSet};
use stoa_base::Account;
use stoa_ledger::{Committed, Set, execute::Choices};

/// Addresses, each with slots of it.
pub type Names = BTreeMap<Address, BTreeSet<U256>>;

/// A chain that is driven by hand. One change at a time: callers wait for each other.
pub trait Dev: Send + Sync + 'static {
    /// Mines one block for each of the choices, from what waits and can run; what a block included waits no longer when
    /// it has been mined.
    ///
    /// # Errors
    ///
    /// If the chain's storage fails.
    fn mine(&self, blocks: Vec<Choices>) -> impl Future<Output = Result<Vec<Committed>, RpcError>> + Send;

    /// Sets fields of accounts at the head; waiting transactions are checked against them.
    ///
    /// # Errors
    ///
    /// If the chain's storage fails.
    fn set(&self, fields: Vec<(Address, Set)>) -> impl Future<Output = Result<(), RpcError>> + Send;

    /// All accounts at the head, with code and storage. `names` is what the first block and the transactions since can have
    /// written; what was [set](Self::set) is known here.
    ///
    /// # Errors
    ///
    /// If the chain's storage fails, or it is not known what was set.
    fn dump(&self, names: Names) -> impl Future<Output = Result<BTreeMap<Address, Account>, RpcError>> + Send;

    /// Remembers the chain and the waiting transactions as they are; numbers start at 1 and never come again.
    ///
    /// # Errors
    ///
    /// If the chain's storage fails.
    fn snapshot(&self) -> impl Future<Output = Result<u64, RpcError>> + Send;

    /// Goes back to a snapshot, which is used up, with those after it. `false` if there is none of that number.
    ///
    /// # Errors
    ///
    /// If the chain's storage fails.
    fn revert(&self, id: u64) -> impl Future<Output = Result<bool, RpcError>> + Send;

    /// Goes back to the first block. Nothing waits afterwards, and all snapshots are gone.
    ///
    /// # Errors
    ///
    /// If the chain's storage fails.
    fn reset(&self) -> impl Future<Output = Result<(), RpcError>> + Send;

    /// Takes a waiting transaction away. `false` if it does not wait.
    fn drop_transaction(&self, hash: B256) -> bool;
}

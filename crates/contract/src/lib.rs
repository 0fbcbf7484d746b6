//! The kit for native contracts, and the virtual machine that runs them beside Solidity.
//!
//! A native contract is Rust at a fixed address of the chain ([`natives`]). Its callers see a Solidity contract: ABI,
//! storage layout, events, custom errors, gas. It is written in four pieces:
//!
//! 1. the interface, with [`sol!`](alloy_sol_types::sol);
//! 2. the state, with [`storage!`](crate::storage!), whose fields are Solidity's types in Solidity's layout ([`mod@storage`]);
//! 3. the logic: methods that take the call's [`Context`], which reads, writes, emits, calls, and charges for it;
//! 4. the dispatch, from the calls of the interface to the methods ([`abi`]).
//!
//! [`parts`] are the pieces that every area needs, equal to OpenZeppelin's. [`coin`] is the first contract: the
//! chain's own currency as an ERC-20 with votes.
//!
//! [`mod@bench`] runs contracts in tests.
//!
//! [`Evm`] is the machine: revm, which enters native code where an address has some ([`evm`]). A contract must behave
//! alike on all machines: it has no clock but the block's, no floating point, no order that a hash map gives, no I/O,
//! and no memory but its storage.

pub mod abi;
pub mod bench;
pub mod coin;
mod context;
mod error;
pub mod evm;
pub mod interfaces;
pub mod natives;
pub mod nodes;
pub mod parts;
pub mod randomness;
pub mod storage;

pub use coin::{delegate_of, set_delegate};
pub use context::{BASE_GAS, Context, Outcome, WORD_GAS};
pub use error::{Error, Result};
pub use evm::{Ctx, Evm, MAX_NATIVE_DEPTH, cfg};
pub use natives::{NativeAccount, NativeContract, Natives};

#[doc(hidden)]
pub use alloy_primitives::U256;

//! Ready parts of contracts, equal to OpenZeppelin Contracts 5.7 in functions, events, errors, order of checks and
//! layout of storage.
//!
//! A part is a struct for its storage and, where contracts adapt it, a trait whose provided methods are its functions
//! and whose overridable ones are OpenZeppelin's `virtual`s. Each has a `dispatch` that takes the decoded calls of its
//! interface.

pub mod access_control;
pub mod checkpoints;
pub mod clones;
pub mod eip712;
pub(crate) mod erc165;
pub mod erc20;
pub mod erc721;
pub mod nonces;
pub mod ownable;
pub mod pausable;
pub mod reentrancy;
pub mod votes;

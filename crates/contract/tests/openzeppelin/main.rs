//! The native parts against OpenZeppelin's own Solidity, in the same machine: the same calls to both must give the
//! same results, events, errors and storage.
//!
//! The compiled Solidity of `tests/solidity/` is expected in the folder that `STOA_SOLIDITY` names;
//! `cargo xtask test` makes it.

mod access;
mod calls;
mod collection;
mod layout;
mod pair;
mod token;

//! Blocks, execution, state, history and proofs.

mod chain;
mod changes;
mod direct;
mod error;
pub mod execute;
mod fees;
mod fiber;
mod genesis;
mod history;
pub mod state;
#[cfg(test)]
mod tests;
mod view;

pub use chain::{
    AccountProof, Committed, ForeignReceipts, InvalidBlock, Ledger, LedgerConfig, LogEntry, LogFilter, Sender, StateAt,
};
pub use direct::{Direct, Set};
pub use error::LedgerError;
pub use fees::next_base_fee;
pub use genesis::first_hash;

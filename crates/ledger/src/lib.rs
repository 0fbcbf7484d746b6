//! Blocks, execution, state, history and proofs.

mod chain;
mod error;

pub use chain::{Committed, Ledger, LogEntry, LogFilter, StateAt};
pub use error::LedgerError;

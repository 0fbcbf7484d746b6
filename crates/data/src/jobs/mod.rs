//! Computing on data where they are: a program goes to the data, and what may leave comes back.
//!
//! [`abi`] and [`Jobs`] are the rules on the ledger.

pub mod abi;
mod contract;
mod dispatch;
#[cfg(test)]
mod tests;

pub use contract::{Jobs, MILLION, receipt_digest};

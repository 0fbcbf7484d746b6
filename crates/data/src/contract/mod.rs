//! The rules on the ledger.

mod consent;
mod dispatch;
#[cfg(test)]
pub(crate) mod tests;

pub use consent::{Consent, asset_id, move_digest};

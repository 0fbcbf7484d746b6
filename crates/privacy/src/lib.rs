//! Sealing objects. No network, no ledger, no clock.
//!
//! An object is sealed in chunks under a fresh key ([`object`]). The key follows from two halves, of which one stays with
//! the owner ([`DataKey::from_halves`]).

mod id;
mod key;
pub mod object;
#[cfg(test)]
mod testing;

pub use id::{GrantId, ObjectId};
pub use key::{DataKey, KEY_LEN, KeeperHalf, OwnerHalf};

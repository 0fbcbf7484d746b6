//! Sealing objects, and their keys to readers. No network, no ledger, no clock.
//!
//! An object is sealed in chunks under a fresh key ([`object`]). The key follows from two halves
//! ([`DataKey::from_halves`]), of which the owner seals one to each reader ([`GrantedHalf`]): to a node's own key, or to one
//! that a wallet derived from a signature and announced ([`ReadingKey`], [`Announcement`]).

mod grant;
mod id;
mod key;
pub mod object;
mod reader;
mod sealed;
#[cfg(test)]
mod testing;
mod wallet;

pub use grant::{Grant, GrantedHalf};
pub use id::{GrantId, ObjectId};
pub use key::{DataKey, KEY_LEN, KeeperHalf, OwnerHalf};
pub use reader::{NoReaderKey, NodeId, Reader, ReaderKey, ReadingSecret};
pub use sealed::{CannotSeal, Refused, SealedSecret};
pub use wallet::{Announcement, ReadingKey, WalletError};

//! Sealing objects, and sharing their keys. No network, no ledger, no clock.
//!
//! An object is sealed in chunks under a fresh key ([`object`]). The key follows from two halves
//! ([`DataKey::from_halves`]). The owner seals one to each reader ([`GrantedHalf`]): to a node's own key, or to one that a
//! wallet derived from a signature and announced ([`ReadingKey`], [`Announcement`]). The other is shared among keepers, any
//! `t` of `m` of whom give it back ([`deal`], [`Sharing`]), and moved when they change ([`Handover`]).

mod grade;
mod grant;
mod id;
mod key;
pub mod object;
mod reader;
mod sealed;
mod sharing;
mod statement;
#[cfg(test)]
mod testing;
mod wallet;

pub use grade::{PrivacyGrade, Threshold};
pub use grant::{Grant, GrantedHalf};
pub use id::{GrantId, ObjectId};
pub use key::{DataKey, KEY_LEN, KeeperHalf, OwnerHalf};
pub use reader::{NoReaderKey, NodeId, Reader, ReaderKey, ReadingSecret};
pub use sealed::{CannotSeal, Refused, SealedSecret};
pub use sharing::{Dealing, Dealt, Handover, HandoverError, Share, Sharing, SharingError, deal};
pub use wallet::{Announcement, ReadingKey, WalletError};

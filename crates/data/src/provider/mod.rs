//! Giving files to those who have ordered them, as Ocean's clients ask for it: what Ocean calls a provider.
//!
//! ```text
//! publisher   encrypt: where his files are, sealed by the node ──▶ `files` of a service in the asset's document
//! buyer       initialize: a quote that the datatoken takes ──▶ startOrder ──▶ download, signed ──▶ the file
//! ```
//!
//! Messages, parameters and answers are those of `@oceanprotocol/lib` 8.6.2. What is different from Ocean's nodes:
//!
//! - **The ledger decides**, asked when a file is asked for: whose the asset is, whether the order is of this datatoken and this service,
//!   for this consumer, and stands now ([`Wanted`]). A receipt that a client shows only says which order he means. What the document
//!   adds, how long orders stand and who may use them ([`Service`]), counts as well.
//! - **One publisher.** Only the account that the node serves has places of files sealed ([`Seal`]), and only assets that it owns are
//!   served, with documents that it has published itself: the signature with which files are sealed says neither which nor for what, so
//!   whoever sees one could else have them sealed for an asset that he has given to that account and manages. Seals cannot be made without
//!   the node's key and name asset and datatoken, so that whoever copies them into a document of his own has nothing of it.
//! - **A fee is paid in a transaction that is shown** ([`Fees`]): the datatoken took a quote for it, which names its consumer.
//! - **A signature is good once, and for ten minutes** ([`Nonces`]). It names account, number and command, and no more: clients of this
//!   version sign nothing else. So whoever gets hold of one before it is used can ask for another file that its signer has ordered.
//! - **A token is its account's** ([`Tokens`]), ends after an hour if its account asks for no other time, after a day at most, with the
//!   node, or when its account says so.
//! - **Two kinds of files** ([`Sources`]): those in one folder of the node, by name, and those at hosts that its operator has named. No
//!   other address is asked, redirects are not followed, nothing of a request is passed on. What a stranger describes
//!   ([`Place::Described`]) is looked at only outside of the node's own network, and not often.
//! - **Services of type `compute` give nothing away**, nor do files that are sealed with rules of what may leave, whatever a document makes
//!   of them. Programs run on their data ([`compute`]), or by [jobs](crate::jobs).

pub mod compute;
mod fee;
mod files;
mod order;
mod service;
mod signed;
mod source;
mod token;

pub use fee::{Fees, Pays, Quote};
pub use files::{Files, MOST_SEALED, Place, Seal};
pub use order::{Standing, Wanted};
pub use service::Service;
pub use signed::{Nonces, Signed};
pub use source::{Look, Opened, Sources};
pub use token::Tokens;

use crate::sale;
use stoa_client::ViewError;

/// What a client signs to have places of files sealed.
pub const ENCRYPT: &str = "encrypt";

/// What a client signs to be given a file.
pub const DOWNLOAD: &str = "download";

/// What a client signs to start a job.
pub const START: &str = "startCompute";

/// What a client signs to start a job that it wants for nothing.
pub const START_FREE: &str = "freeStartCompute";

/// What a client would sign to be told of its jobs; those of this version sign nothing for it.
pub const STATUS: &str = "getComputeStatus";

/// What a client signs to stop a job.
pub const STOP: &str = "stopCompute";

/// What a client signs to be given what a job has left.
pub const RESULT: &str = "getComputeResult";

/// What a client signs to be given a token.
pub const MAKE_TOKEN: &str = "createAuthToken";

/// What a client signs to have a token ended: clients of this version sign account and number alone, Ocean's nodes look for the word.
pub const END_TOKEN: [&str; 2] = ["", "invalidateAuthToken"];

/// Why a request gets nothing, in words for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It cannot be understood.
    #[error("{0}")]
    Malformed(String),
    /// It bears no signature that is good now.
    #[error("{0}")]
    Unsigned(String),
    /// Whoever asks has no right to it.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing.
    #[error("{0}")]
    Unknown(String),
    /// It is more than is read.
    #[error("{0}")]
    TooLarge(String),
    /// Not now.
    #[error("{0}")]
    Unavailable(String),
}

impl Refusal {
    /// As HTTP says it.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Unsigned(_) => 401,
            Self::Forbidden(_) => 403,
            Self::Unknown(_) => 404,
            Self::TooLarge(_) => 413,
            Self::Unavailable(_) => 503,
        }
    }
}

/// A contract's no, or that it could not be asked.
fn asked(error: ViewError) -> Refusal {
    match sale::words(&error) {
        Some(why) => Refusal::Forbidden(why),
        None => Refusal::Unavailable(format!("the ledger cannot be asked: {error}")),
    }
}

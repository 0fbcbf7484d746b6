//! Data that are used without being given away.
//!
//! [`contract::Consent`] is where an owner says who may use an asset, for what, until when and how often, and takes it back.
//! Its events are the record of consent, which [`record::Record`] reads for people and programs.
//!
//! [`look`] says what a file or folder is that somebody wants to publish, before anybody else sees it.
//!
//! [`jobs`] is computing on data where they are, and [`audit`] follows what came of it back to what it rests on. [`breach`] shows
//! keepers that served although a grant was revoked.
//!
//! [`market`] is where assets are published, priced, ordered and paid for; [`ddo`] is what they say of themselves, and [`sale`] what
//! publishers and buyers do there. [`search`] is where they are found, and [`provider`] gives files to those who ordered them with
//! Ocean's clients.

pub mod abi;
pub mod audit;
pub mod breach;
pub mod client;
pub mod contract;
pub mod ddo;
pub mod jobs;
pub mod keeper;
pub mod look;
pub mod market;
mod patience;
pub mod provider;
pub mod reading;
pub mod record;
pub mod registry;
pub mod sale;
pub mod search;

use stoa_contract::Natives;

/// Adds this area's contracts to a chain's.
#[must_use]
pub fn natives(natives: Natives) -> Natives {
    let natives = natives.with(abi::CONSENT, contract::Consent).with(jobs::abi::JOBS, jobs::Jobs);
    market::natives(natives, market::Router::default())
}

//! Data that are used without being given away.
//!
//! [`contract::Consent`] is where an owner says who may use an asset, for what, until when and how often, and takes it back.
//! Its events are the record of consent, which [`record::Record`] reads for people and programs.
//!
//! [`jobs`] is computing on data where they are.
//!
//! [`market`] is where assets are published, priced, ordered and paid for, and [`search`] where they are found.

pub mod abi;
pub mod client;
pub mod contract;
pub mod jobs;
pub mod keeper;
pub mod market;
mod patience;
pub mod reading;
pub mod record;
pub mod registry;
pub mod search;

use stoa_contract::Natives;

/// Adds this area's contracts to a chain's.
#[must_use]
pub fn natives(natives: Natives) -> Natives {
    let natives = natives.with(abi::CONSENT, contract::Consent).with(jobs::abi::JOBS, jobs::Jobs);
    market::natives(natives, market::Router::default())
}

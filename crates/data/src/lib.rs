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
#[cfg(test)]
mod answering;
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, FixedBytes};
    use stoa_contract::{bench::Bench, coin, interfaces::IERC165::supportsInterfaceCall};

    #[test]
    fn every_native_contract_tells_its_interfaces() {
        let natives = natives(Natives::stoa());
        let mut bench = Bench::new(natives.clone());
        let mut has = |contract: Address, id: u32| {
            bench.view(contract, &supportsInterfaceCall { interfaceId: FixedBytes(id.to_be_bytes()) })
        };
        for address in natives.addresses() {
            let named = natives.get(&address).map(|contract| contract.interfaces()).unwrap_or_default();
            assert!(!named.is_empty(), "{address} names no interface");
            for id in named.into_iter().map(u32::from_be_bytes).chain([0x01ff_c9a7]) {
                assert_eq!(has(address, id), Ok(true), "{address}: {id:#x}");
            }
            assert_eq!(has(address, u32::MAX), Ok(false), "{address}");
        }
        // ERC-20 and its metadata, ERC-2612, ERC-5805, ERC-6372, ERC-5267.
        for id in [0x3637_2b07, 0xa219_a025, 0x9d8f_f7da, 0xe90f_b3f6, 0xda28_7a1d, 0x84b0_196e] {
            assert_eq!(has(coin::ADDRESS, id), Ok(true), "{id:#x}");
        }
    }
}

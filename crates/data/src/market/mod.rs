//! The market: assets, their datatokens, prices, and money held until work is done.
//!
//! | contract | address | what it is |
//! |---|---|---|
//! | [`Factory`] | `0x…0C05` | makes assets and datatokens, with price and metadata in one call |
//! | [`Nft`] | `0x…0C06` | the code of an asset: an ERC-721 with metadata, state, roles, origins |
//! | [`Datatoken`] | `0x…0C07` | the code of a datatoken: an ERC-20 of which one buys one order |
//! | [`Router`] | `0x…0C08` | the table of community fees |
//! | [`FixedRate`] | `0x…0C09` | datatokens at a fixed rate in any ERC-20 token |
//! | [`Dispenser`] | `0x…0C0A` | datatokens for nothing |
//! | [`Escrow`] | `0x…0C0B` | money locked for jobs |
//! | [`AccessList`] | `0x…0C0C` | the code of a list of people |
//! | [`AccessListFactory`] | `0x…0C0D` | makes lists of people |
//!
//! Functions, events and structs are those of Ocean Protocol's contracts, so that its published clients work when they are
//! pointed at these addresses. What is different is different on purpose, and told in each contract's docs: orders are kept on
//! the ledger and asked for their state, provider's quotes end, exchanges round for themselves, roles end at once.
//!
//! A publisher creates an asset with a datatoken and a price, sets metadata, and sells. A buyer buys a datatoken with `buyDT`, or
//! takes one from the dispenser, and pays it with `startOrder`, whose record says what a node must give, to whom and until
//! when. What a job costs beyond the order is locked in the escrow and claimed by who did it.
//!
//! Thousands of gas, the transaction's own 21 among them, and in brackets what Ocean's contracts cost: an asset with datatoken
//! and price 668 (1,412); `buyDT` 184 the first time at an exchange, 98 later (216); `startOrder` 129 the first time, when
//! seller and community get their first datatoken, 95 later (126, and Ocean keeps no orders); `reuseOrder` 37; in the escrow
//! the first `deposit` 147, `authorize` 115, `createLock` 234, `claimLock` 220.

#![allow(non_snake_case, reason = "values that go into events and structs of the ABI are called as they are there")]

pub mod abi;
mod access_list;
mod datatoken;
mod dispenser;
mod escrow;
mod factory;
mod fixed_rate;
pub(crate) mod lock;
pub(crate) mod money;
mod nft;
mod router;
#[cfg(test)]
pub(crate) mod tests;

pub use access_list::{AccessList, AccessListFactory};
pub use datatoken::{Datatoken, datatoken_of, order_id};
pub use dispenser::Dispenser;
pub use escrow::Escrow;
pub use factory::Factory;
pub use fixed_rate::{FixedRate, exchange_id};
pub use nft::Nft;
pub use router::Router;

use stoa_contract::Natives;

/// Adds the market's contracts to a chain's, with this table of fees.
#[must_use]
pub fn natives(natives: Natives, router: Router) -> Natives {
    natives
        .with(abi::FACTORY, Factory)
        .with(abi::NFT, Nft)
        .with(abi::DATATOKEN, Datatoken)
        .with(abi::ROUTER, router)
        .with(abi::FIXED_RATE, FixedRate)
        .with(abi::DISPENSER, Dispenser)
        .with(abi::ESCROW, Escrow)
        .with(abi::ACCESS_LIST, AccessList)
        .with(abi::ACCESS_LIST_FACTORY, AccessListFactory)
}

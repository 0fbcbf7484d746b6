//! The Solidity interfaces of the market.
//!
//! Functions, events and structs that Ocean Protocol's contracts (2.6.0) have keep their names, arguments and order, so that
//! its clients work unchanged. Names of structs are no part of an ABI: they are this project's. What Ocean has not stands at
//! the end of each interface.

#![allow(clippy::too_many_arguments, reason = "functions that `sol!` writes for calls with many arguments")]

mod assets;
mod trade;

use alloy_primitives::Address;
use stoa_contract::natives;

pub use assets::*;
pub use trade::*;

/// Makes data NFTs and datatokens.
pub const FACTORY: Address = natives::address(5);
/// The code of every data NFT.
pub const NFT: Address = natives::address(6);
/// The code of every datatoken.
pub const DATATOKEN: Address = natives::address(7);
/// The table of community fees.
pub const ROUTER: Address = natives::address(8);
/// Datatokens at a fixed rate.
pub const FIXED_RATE: Address = natives::address(9);
/// Datatokens for nothing.
pub const DISPENSER: Address = natives::address(10);
/// Money locked until the work is done.
pub const ESCROW: Address = natives::address(11);
/// The code of every list of people.
pub const ACCESS_LIST: Address = natives::address(12);
/// Makes lists of people.
pub const ACCESS_LIST_FACTORY: Address = natives::address(13);

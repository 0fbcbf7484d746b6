//! Puts the roles of a node together.
//!
//! [`validator`] is a validator that serves JSON-RPC, [`up`] an embedded network of several; [`dev`] is the same ledger
//! driven without consensus.

pub mod config;
pub mod dev;
pub mod development;
mod health;
mod stoa_methods;
pub mod up;
pub mod validator;
mod validator_methods;
pub mod vault;
mod waiting;

use alloy_primitives::{Address, U256};
use std::{collections::BTreeMap, net::SocketAddr};
use stoa_base::{Account, Fees, Genesis};
use stoa_contract::Natives;

/// Gas limit of a new network's blocks.
const GAS_LIMIT: u64 = 30_000_000;

/// What a new chain begins with: accounts with so many wei, the native contracts, and Solidity ones that tools expect.
/// `timestamp` is in seconds since 1970.
pub fn genesis(chain_id: u64, funded: impl IntoIterator<Item = (Address, U256)>, timestamp: u64) -> Genesis {
    let funded = funded.into_iter().map(|(address, balance)| (address, Account { balance, ..Account::default() }));
    let mut alloc = funded.collect::<BTreeMap<_, _>>();
    let supply = alloc.values().fold(U256::ZERO, |sum, account| sum.saturating_add(account.balance));
    alloc.extend(stoa_base::canonical::canonical_contracts());
    for native in Natives::stoa().genesis(supply, timestamp) {
        let storage = native.storage.into_iter().collect();
        alloc.insert(native.address, Account { nonce: 1, code: native.code, storage, ..Account::default() });
    }
    Genesis {
        chain_id,
        timestamp,
        gas_limit: GAS_LIMIT,
        fees: Fees::default(),
        development: false,
        committee: None,
        alloc,
    }
}

/// Refuses to serve a chain whose money everybody has the keys of to other machines.
fn check_loopback(genesis: &Genesis, http: SocketAddr) -> eyre::Result<()> {
    if genesis.development && !http.ip().is_loopback() {
        eyre::bail!(
            "this is a development network, whose keys everybody knows: it is served on loopback only, not on {http} \
             (use --http 127.0.0.1:{})",
            http.port()
        );
    }
    Ok(())
}

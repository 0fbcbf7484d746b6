//! Puts the roles of a node together.
//!
//! [`validator`] is a validator that serves JSON-RPC, [`up`] an embedded network of several, [`follower`] a node that needs
//! nobody's permission; [`dev`] is the same ledger driven without consensus.

pub mod account;
pub mod backup;
mod common;
pub mod compute;
pub mod config;
mod connected;
pub mod dev;
pub mod development;
mod elsewhere;
pub mod folder;
pub mod follower;
mod health;
mod index;
mod kept;
mod known;
mod network_methods;
pub mod provider;
pub mod quic;
mod silence;
mod stoa_methods;
pub mod store;
mod syncing;
mod thread;
pub mod up;
pub mod validator;
pub mod vault;
pub mod view;
mod waiting;

pub use kept::Kept;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use commonware_codec::Encode as _;
use eyre::{Result, WrapErr as _};
use std::{collections::BTreeMap, fs, path::Path};
use stoa_base::{Account, Fees, Genesis};
use stoa_consensus::Committee;
use stoa_contract::Natives;

/// Gas limit of a new network's blocks.
const GAS_LIMIT: u64 = 30_000_000;

/// The native contracts of every chain: the kit's own and those of the areas.
pub fn natives() -> Natives {
    stoa_data::natives(Natives::stoa())
}

/// What a new chain begins with: accounts with so many wei, the native contracts, and Solidity ones that tools expect.
/// `timestamp` is in seconds since 1970.
pub fn genesis(chain_id: u64, funded: impl IntoIterator<Item = (Address, U256)>, timestamp: u64) -> Genesis {
    let funded = funded.into_iter().map(|(address, balance)| (address, Account { balance, ..Account::default() }));
    let mut alloc = funded.collect::<BTreeMap<_, _>>();
    let supply = alloc.values().fold(U256::ZERO, |sum, account| sum.saturating_add(account.balance));
    alloc.extend(stoa_base::canonical::canonical_contracts());
    for native in natives().genesis(supply, timestamp) {
        let storage = native.storage.into_iter().collect();
        alloc.insert(native.address, Account { nonce: 1, code: native.code, storage, ..Account::default() });
    }
    Genesis {
        chain_id,
        timestamp,
        gas_limit: GAS_LIMIT,
        fees: Fees::default(),
        development: false,
        epoch_length: stoa_base::EPOCH_LENGTH,
        committee: None,
        alloc,
    }
}

/// Reads and checks a genesis file.
///
/// # Errors
///
/// If it is missing, damaged, or says what cannot be.
pub fn read_genesis(path: &Path) -> Result<Genesis> {
    let text = fs::read_to_string(path).wrap_err_with(|| format!("cannot read {}", path.display()))?;
    let genesis: Genesis =
        serde_json::from_str(&text).wrap_err_with(|| format!("{} is no genesis file", path.display()))?;
    genesis.validate()?;
    Ok(genesis)
}

/// By what operators compare their genesis files: Keccak-256 of the file as JSON without its committee, the same before and after
/// the validators have a key. Block 0 has another hash.
pub fn genesis_hash(genesis: &Genesis) -> B256 {
    let genesis = Genesis { committee: None, ..genesis.clone() };
    keccak256(serde_json::to_vec(&genesis).expect("numbers, bytes and lists can be written as JSON"))
}

/// The key that verifies all certificates of a network, as people pass it on; `None` if the genesis file names no committee
/// that can be one.
pub fn network_key(genesis: &Genesis) -> Option<Bytes> {
    let committee = Committee::try_from(genesis.committee.as_ref()?).ok()?;
    Some(committee.network_key().encode().to_vec().into())
}

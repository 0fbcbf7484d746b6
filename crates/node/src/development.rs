//! What exists on development networks only: well-known accounts with money, and contracts that tools expect.

use alloy_primitives::{Address, B256, U256};
use alloy_signer_local::{MnemonicBuilder, PrivateKeySigner, coins_bip39::English};
use stoa_base::Genesis;

/// How many accounts are derived from the mnemonic.
pub const ACCOUNTS: u32 = 10;

/// Coins that each account starts with.
pub const COINS: u64 = 10_000;

/// Chain id of development networks, the one that Hardhat and Anvil use.
pub const CHAIN_ID: u64 = 31337;

/// Gas limit of a development network's blocks.
const GAS_LIMIT: u64 = 150_000_000;

/// The mnemonic is no BIP-39 one.
#[derive(Debug, thiserror::Error)]
#[error("the mnemonic is not one of BIP-39: {0}")]
pub struct MnemonicError(String);

/// The accounts of a mnemonic, derived as `m/44'/60'/0'/0/i` (BIP-44).
///
/// # Errors
///
/// If it is no BIP-39 mnemonic.
pub fn accounts(mnemonic: &str) -> Result<Vec<PrivateKeySigner>, MnemonicError> {
    (0..ACCOUNTS).map(|index| account(mnemonic, index)).collect()
}

/// Who gets a validator's tips: the account of the mnemonic that comes so many after those with money. What costs gas in a
/// block depends on whose block it is, so it is none that people use.
///
/// # Errors
///
/// As [`accounts`].
pub fn beneficiary(mnemonic: &str, validator: u32) -> Result<Address, MnemonicError> {
    account(mnemonic, ACCOUNTS + validator).map(|signer| signer.address())
}

fn account(mnemonic: &str, index: u32) -> Result<PrivateKeySigner, MnemonicError> {
    let builder = MnemonicBuilder::<English>::default().phrase(mnemonic).index(index);
    builder.and_then(|builder| builder.build()).map_err(|error| MnemonicError(error.to_string()))
}

/// The genesis of a development network.
pub fn genesis(chain_id: u64, accounts: &[PrivateKeySigner], timestamp: u64) -> Genesis {
    let coins = U256::from(COINS) * U256::from(10).pow(U256::from(18));
    let rich = accounts.iter().map(|signer| (signer.address(), coins));
    Genesis { gas_limit: GAS_LIMIT, development: true, ..crate::genesis(chain_id, rich, timestamp) }
}

/// The private key of a development account, to be printed.
pub fn private_key(signer: &PrivateKeySigner) -> B256 {
    signer.to_bytes()
}

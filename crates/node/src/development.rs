//! What exists on development networks only: well-known accounts with money, and contracts that tools expect.

use alloy_primitives::{Address, B256, U256};
use alloy_signer_local::{MnemonicBuilder, MnemonicKey, PrivateKeySigner};
use stoa_base::Genesis;

/// How many accounts of the mnemonic have money on an embedded network of validators.
pub const ACCOUNTS: u32 = 10;

/// How many have money on a chain without consensus if nobody says: as many as on Hardhat's network.
pub const DEV_ACCOUNTS: u32 = 20;

/// The most that can have money.
pub const MAX_ACCOUNTS: u32 = 1000;

/// Coins that each account starts with.
pub const COINS: u64 = 10_000;

/// Chain id of development networks, the one that Hardhat and Anvil use.
pub const CHAIN_ID: u64 = 31337;

/// Gas limit of a development network's blocks.
pub const GAS_LIMIT: u64 = 150_000_000;

/// The mnemonic is no BIP-39 one.
#[derive(Debug, thiserror::Error)]
#[error("the mnemonic is not one of BIP-39: {0}")]
pub struct MnemonicError(String);

/// The first so many accounts of a mnemonic, derived as `m/44'/60'/0'/0/i` (BIP-44).
///
/// # Errors
///
/// If it is no BIP-39 mnemonic.
pub fn accounts(mnemonic: &str, count: u32) -> Result<Vec<PrivateKeySigner>, MnemonicError> {
    let parent = parent(mnemonic)?;
    (0..count).map(|index| child(&parent, index)).collect()
}

/// The accounts of a mnemonic that a chain began with, from the first one on.
///
/// # Errors
///
/// As [`accounts`].
pub fn accounts_of(mnemonic: &str, genesis: &Genesis) -> Result<Vec<PrivateKeySigner>, MnemonicError> {
    let parent = parent(mnemonic)?;
    let mut accounts = Vec::new();
    for index in 0..MAX_ACCOUNTS {
        let signer = child(&parent, index)?;
        if !genesis.alloc.contains_key(&signer.address()) {
            break;
        }
        accounts.push(signer);
    }
    Ok(accounts)
}

/// Who gets a validator's tips: the account of the mnemonic that comes so many after the [`ACCOUNTS`]. What costs gas in a
/// block depends on whose block it is, so it is none that people use.
///
/// # Errors
///
/// As [`accounts`].
pub fn beneficiary(mnemonic: &str, validator: u32) -> Result<Address, MnemonicError> {
    child(&parent(mnemonic)?, ACCOUNTS + validator).map(|signer| signer.address())
}

/// What accounts are derived from. It takes longer to compute than any of them.
fn parent(mnemonic: &str) -> Result<MnemonicKey, MnemonicError> {
    let builder = MnemonicBuilder::from_phrase(mnemonic);
    builder.build_parent_key().map_err(|error| MnemonicError(error.to_string()))
}

fn child(parent: &MnemonicKey, index: u32) -> Result<PrivateKeySigner, MnemonicError> {
    let child = parent.child(index).map_err(|error| MnemonicError(error.to_string()))?;
    Ok(child.signer())
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::address;
    use stoa_base::DEVELOPMENT_MNEMONIC;

    #[test]
    fn accounts_are_those_of_other_development_chains() {
        let accounts = accounts(DEVELOPMENT_MNEMONIC, DEV_ACCOUNTS).unwrap();
        assert_eq!(accounts.len(), 20);
        // As Hardhat and Anvil print them.
        assert_eq!(accounts[0].address(), address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"));
        assert_eq!(accounts[19].address(), address!("8626f6940E2eb28930eFb4CeF49B2d1F2C9C1199"));
    }

    #[test]
    fn a_validators_tips_go_to_nobody_who_has_money_on_its_network() {
        let accounts = accounts(DEVELOPMENT_MNEMONIC, 12).unwrap();
        for validator in 0..2 {
            let beneficiary = beneficiary(DEVELOPMENT_MNEMONIC, validator).unwrap();
            assert_eq!(beneficiary, accounts[(ACCOUNTS + validator) as usize].address());
        }
    }

    #[test]
    fn the_accounts_of_a_chain_are_those_that_it_began_with() {
        let all = accounts(DEVELOPMENT_MNEMONIC, 5).unwrap();
        let genesis = genesis(CHAIN_ID, &all[..3], 0);
        let found = accounts_of(DEVELOPMENT_MNEMONIC, &genesis).unwrap();
        let addresses =
            |accounts: &[PrivateKeySigner]| accounts.iter().map(PrivateKeySigner::address).collect::<Vec<_>>();
        assert_eq!(addresses(&found), addresses(&all[..3]));
        let others = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
        assert!(accounts_of(others, &genesis).unwrap().is_empty());
        assert!(accounts_of("no such words", &genesis).is_err());
    }
}

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The mnemonic of the development accounts, the one that Hardhat and Anvil use.
pub const DEVELOPMENT_MNEMONIC: &str = "test test test test test test test test test test test junk";

/// The first state of a chain and the numbers it runs by; the genesis file in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Genesis {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// Gas limit of every block.
    pub gas_limit: u64,
    /// The fee market.
    pub fees: Fees,
    /// Whether well-known keys hold money here: such a chain serves on loopback only.
    #[serde(default)]
    pub development: bool,
    /// Blocks until the validators share the network key anew.
    #[serde(default = "epoch_length")]
    pub epoch_length: u64,
    /// Who agrees on blocks; nobody where the ledger is driven directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committee: Option<Committee>,
    /// Accounts with balance, nonce, code and storage.
    pub alloc: BTreeMap<Address, Account>,
}

/// [`Genesis::epoch_length`] of new chains.
pub const EPOCH_LENGTH: u64 = 10_000;

const fn epoch_length() -> u64 {
    EPOCH_LENGTH
}

/// The first validators, and the public side of the key that they share. Stands in the seal of block 0 (RLP).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, RlpEncodable, RlpDecodable)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Committee {
    /// ed25519 public keys, in ascending order.
    pub validators: Vec<B256>,
    /// What the generation of the key led to: who took part, and the polynomial that the network key and each validator's
    /// public share come from (BLS12-381, keys in G2, in the encoding of `commonware-cryptography`).
    pub output: Bytes,
}

/// EIP-1559's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fees {
    /// Base fee of the first block, wei per gas.
    pub initial_base_fee: u64,
    /// Base fees never fall below this, wei per gas.
    pub minimum_base_fee: u64,
    /// The gas target is the limit divided by this.
    pub elasticity: u64,
    /// A full block raises the base fee by one part in this.
    pub change_denominator: u64,
}

impl Default for Fees {
    fn default() -> Self {
        Self { initial_base_fee: 1_000_000_000, minimum_base_fee: 7, elasticity: 2, change_denominator: 8 }
    }
}

/// One account of the genesis file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    /// Wei.
    #[serde(default)]
    pub balance: U256,
    /// Number of transactions sent.
    #[serde(default)]
    pub nonce: u64,
    /// Runtime code.
    #[serde(default, skip_serializing_if = "<[u8]>::is_empty")]
    pub code: Bytes,
    /// Storage slots.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub storage: BTreeMap<B256, B256>,
}

/// Why a genesis file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// A parameter that no chain can run by.
    #[error("genesis: {field} is {value}, it must be {expected}")]
    Parameter {
        /// Name in the file.
        field: &'static str,
        /// What stands there.
        value: u64,
        /// What may stand there.
        expected: &'static str,
    },
}

impl Genesis {
    /// Keccak-256 of the file without its accounts, as JSON. Block 0 carries it as its `prevrandao`; the accounts are in its
    /// state root.
    pub fn parameters_hash(&self) -> B256 {
        let Self { chain_id, timestamp, gas_limit, fees, development, epoch_length, ref committee, .. } = *self;
        let committee = committee.clone();
        let alloc = BTreeMap::new();
        let parameters = Self { chain_id, timestamp, gas_limit, fees, development, epoch_length, committee, alloc };
        keccak256(serde_json::to_vec(&parameters).expect("numbers, bytes and lists can be written as JSON"))
    }

    /// Checks that a chain can run by these numbers.
    ///
    /// # Errors
    ///
    /// Names the first parameter that is out of bounds.
    pub fn validate(&self) -> Result<(), GenesisError> {
        let check = |ok: bool, field, value, expected| {
            if ok { Ok(()) } else { Err(GenesisError::Parameter { field, value, expected }) }
        };
        check(self.chain_id > 0, "chainId", self.chain_id, "at least 1")?;
        check(self.gas_limit >= 1_000_000, "gasLimit", self.gas_limit, "at least 1000000")?;
        check(self.epoch_length >= 8, "epochLength", self.epoch_length, "at least 8 (and some 4 for each validator)")?;
        check(self.fees.elasticity > 0, "fees.elasticity", self.fees.elasticity, "at least 1")?;
        check(self.fees.change_denominator > 1, "fees.changeDenominator", self.fees.change_denominator, "at least 2")
    }
}

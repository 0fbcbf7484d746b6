use crate::{
    key::{KeyProof, ProofError, verify_key},
    leaf::{Leaf, account_key, slot_key},
};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use alloy_rlp::Decodable as _;
use commonware_codec::{Copying, DecodeExt as _};
use serde::{Deserialize, Serialize};

/// The answer to `stoa_getProof`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProofReply {
    /// RLP of the header whose `stateRoot` the proofs lead to.
    pub header: Bytes,
    /// Keccak-256 of the header.
    pub block_hash: B256,
    /// Number of the block.
    pub block_number: U256,
    /// Proof of what the account holds, or that there is none.
    pub account_proof: Bytes,
    /// The same for each slot, in the order asked.
    pub storage_proof: Vec<SlotProof>,
}

/// Proof of what a slot holds, or that it is zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotProof {
    /// The slot.
    pub key: U256,
    /// The proof's bytes.
    pub proof: Bytes,
}

/// What a proof has shown of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenAccount {
    /// Wei; zero for an account that there is not.
    pub balance: U256,
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// Keccak-256 of the code.
    pub code_hash: B256,
    /// Slots in the order asked, with their values.
    pub storage: Vec<(U256, U256)>,
}

/// Why an answer proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum InvalidProof {
    /// The header is of another block than the one trusted.
    #[error("the header hashes to {got}, the trusted block is {trusted}")]
    Header {
        /// Hash of the header that came.
        got: B256,
        /// Hash of the block that the caller trusts.
        trusted: B256,
    },
    /// Part of the answer cannot be read.
    #[error("{what} cannot be read: {why}")]
    Malformed {
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A proof does not hold.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The key holds a value of another kind.
    #[error("the key of {0} holds something else")]
    Kind(&'static str),
    /// The node answered for other slots than were asked.
    #[error("the answer is about other slots than were asked")]
    Slots,
}

impl ProofReply {
    /// Checks that at the block `trusted`, `address` and `slots` hold what the answer says, and returns that.
    ///
    /// # Errors
    ///
    /// Says which part of the answer does not hold. Nothing of it must be believed then.
    pub fn verify(&self, trusted: B256, address: Address, slots: &[U256]) -> Result<ProvenAccount, InvalidProof> {
        let malformed = |what| move |why: alloy_rlp::Error| InvalidProof::Malformed { what, why: why.to_string() };
        let header = Header::decode(&mut self.header.as_ref()).map_err(malformed("the header"))?;
        let got = header.hash_slow();
        if got != trusted {
            return Err(InvalidProof::Header { got, trusted });
        }
        if slots.len() != self.storage_proof.len() || !slots.iter().eq(self.storage_proof.iter().map(|slot| &slot.key))
        {
            return Err(InvalidProof::Slots);
        }
        let root = header.state_root;
        let account = decode(&self.account_proof)?;
        let (balance, nonce, code_hash) = match verify_key(root, account_key(&address), &account)? {
            None => (U256::ZERO, 0, KECCAK256_EMPTY),
            Some(Leaf::Account(account)) => (account.balance, account.nonce, account.code_hash()),
            Some(_) => return Err(InvalidProof::Kind("an account")),
        };
        let slot = |slot: &SlotProof| match verify_key(root, slot_key(&address, &slot.key), &decode(&slot.proof)?)? {
            None => Ok((slot.key, U256::ZERO)),
            Some(Leaf::Slot(value)) => Ok((slot.key, *value)),
            Some(_) => Err(InvalidProof::Kind("a slot")),
        };
        let storage = self.storage_proof.iter().map(slot).collect::<Result<_, _>>()?;
        Ok(ProvenAccount { balance, nonce, code_hash, storage })
    }
}

fn decode(bytes: &Bytes) -> Result<KeyProof, InvalidProof> {
    KeyProof::decode(Copying(bytes)).map_err(|why| InvalidProof::Malformed { what: "a proof", why: why.to_string() })
}

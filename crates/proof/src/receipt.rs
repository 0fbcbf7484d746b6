//! What a block says of its transactions and receipts, and proofs of one of them.

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, U256};
use alloy_rlp::Decodable as _;
use commonware_codec::{Copying, Decode as _, Encode as _};
use commonware_cryptography::{Sha256, sha256::Digest};
use commonware_storage::bmt::{self, Tree};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use stoa_base::Receipt;

fn tree(leaves: impl ExactSizeIterator<Item = Digest>) -> Tree<Digest> {
    let mut tree = bmt::Builder::<Sha256>::new(leaves.len());
    for leaf in leaves {
        tree.add(&leaf);
    }
    tree.build()
}

/// Root of a binary Merkle tree (`commonware-storage`'s `bmt`, SHA-256) over the leaves in order.
pub fn merkle_root(leaves: impl ExactSizeIterator<Item = Digest>) -> B256 {
    B256::from(tree(leaves).root().0)
}

/// The leaf of a receipt under `receiptsRoot`: SHA-256 of its RLP.
pub fn receipt_digest(receipt: &Receipt) -> Digest {
    Digest(sha2::Sha256::digest(alloy_rlp::encode(receipt)).into())
}

/// The root of transactions, given their hashes in order.
pub fn transactions_root(hashes: impl ExactSizeIterator<Item = B256>) -> B256 {
    merkle_root(hashes.map(|hash| Digest(hash.0)))
}

/// The answer to `stoa_getReceiptProof`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptReply {
    /// RLP of the header that commits to the transaction and to its receipt.
    pub header: Bytes,
    /// Number of the block.
    pub block_number: U256,
    /// Position of the transaction in the block, from 0.
    pub index: U256,
    /// RLP of the receipt.
    pub receipt: Bytes,
    /// Proof that the transaction has this position, under `transactionsRoot`.
    pub transaction_proof: Bytes,
    /// Proof that the receipt has the same position, under `receiptsRoot`.
    pub receipt_proof: Bytes,
}

/// Why an answer proves nothing of a receipt.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidReceipt {
    /// The header is of another block than the one trusted.
    #[error("the header hashes to {got}, the trusted block is {trusted}")]
    Header {
        /// Hash of the header that came.
        got: B256,
        /// Hash of the block that the caller trusts.
        trusted: B256,
    },
    /// Part of the answer cannot be read.
    #[error("{0} cannot be read")]
    Malformed(&'static str),
    /// A proof does not hold.
    #[error("the block does not commit to {0} at this position")]
    Mismatch(&'static str),
}

/// A receipt that a block commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenReceipt {
    /// The block's header.
    pub header: Header,
    /// Position of the transaction in the block, from 0.
    pub index: u32,
    /// What the transaction left behind, its events among it.
    pub receipt: Receipt,
}

impl ReceiptReply {
    /// Proves the receipt at a position, given the hashes of all transactions of the block and all receipts.
    /// `None` if there is no such position.
    pub fn new(
        header: &Header,
        hashes: impl ExactSizeIterator<Item = B256>,
        receipts: &[Receipt],
        index: u32,
    ) -> Option<Self> {
        let receipt = receipts.get(index as usize)?;
        let transactions = tree(hashes.map(|hash| Digest(hash.0)));
        let all = tree(receipts.iter().map(receipt_digest));
        Some(Self {
            header: alloy_rlp::encode(header).into(),
            block_number: U256::from(header.number),
            index: U256::from(index),
            receipt: alloy_rlp::encode(receipt).into(),
            transaction_proof: transactions.proof(index).ok()?.encode().to_vec().into(),
            receipt_proof: all.proof(index).ok()?.encode().to_vec().into(),
        })
    }

    /// Checks that the block `trusted` holds `transaction`, and that it left behind what the answer says; returns that.
    ///
    /// # Errors
    ///
    /// Says which part of the answer does not hold. Nothing of it must be believed then.
    pub fn verify(&self, trusted: B256, transaction: B256) -> Result<ProvenReceipt, InvalidReceipt> {
        let mut rest = self.header.as_ref();
        let header = Header::decode(&mut rest).map_err(|_| InvalidReceipt::Malformed("the header"))?;
        if !rest.is_empty() {
            return Err(InvalidReceipt::Malformed("the header"));
        }
        let got = header.hash_slow();
        if got != trusted {
            return Err(InvalidReceipt::Header { got, trusted });
        }
        let index = u32::try_from(self.index).map_err(|_| InvalidReceipt::Malformed("the position"))?;
        let mut rest = self.receipt.as_ref();
        let receipt = Receipt::decode(&mut rest).map_err(|_| InvalidReceipt::Malformed("the receipt"))?;
        if !rest.is_empty() {
            return Err(InvalidReceipt::Malformed("the receipt"));
        }
        let holds = |proof: &Bytes, leaf: &Digest, root: B256, what| {
            let proof = bmt::Proof::<Digest>::decode_cfg(Copying(proof), &1);
            let proof = proof.map_err(|_| InvalidReceipt::Malformed("a proof"))?;
            let holds = proof.verify_element_inclusion::<Sha256>(leaf, index, &Digest(root.0));
            holds.map_err(|_| InvalidReceipt::Mismatch(what))
        };
        holds(&self.transaction_proof, &Digest(transaction.0), header.transactions_root, "the transaction")?;
        holds(&self.receipt_proof, &receipt_digest(&receipt), header.receipts_root, "the receipt")?;
        Ok(ProvenReceipt { header, index, receipt })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, Log};
    use proptest::prelude::*;

    fn receipt(at: u64) -> Receipt {
        let log = Log::new_unchecked(
            Address::repeat_byte(at as u8),
            vec![B256::repeat_byte(7)],
            Bytes::from(vec![at as u8; 3]),
        );
        Receipt {
            tx_type: 2,
            success: at.is_multiple_of(2),
            gas_used: 21_000 + at,
            cumulative_gas_used: 21_000 * (at + 1),
            effective_gas_price: 1,
            logs: vec![log],
            contract_address: None,
        }
    }

    proptest! {
        #[test]
        fn a_receipt_is_proven_in_its_place_and_in_no_other(count in 1_u64..40, at in 0_u64..40) {
            let at = at % count;
            let receipts = (0..count).map(receipt).collect::<Vec<_>>();
            let hashes = (0..count).map(|at| B256::from(U256::from(at + 1))).collect::<Vec<_>>();
            let header = Header {
                transactions_root: transactions_root(hashes.iter().copied()),
                receipts_root: merkle_root(receipts.iter().map(receipt_digest)),
                ..Header::default()
            };
            let proof = ReceiptReply::new(&header, hashes.iter().copied(), &receipts, at as u32).unwrap();
            let block = header.hash_slow();
            let proven = proof.verify(block, hashes[at as usize]).unwrap();
            prop_assert_eq!(&proven.receipt, &receipts[at as usize]);
            prop_assert_eq!(u64::from(proven.index), at);

            let other = proof.verify(block, B256::repeat_byte(9));
            prop_assert_eq!(other, Err(InvalidReceipt::Mismatch("the transaction")));
            let other = proof.verify(B256::ZERO, hashes[at as usize]);
            prop_assert!(other.is_err());
            let moved = ReceiptReply { index: U256::from(at + 1), ..proof.clone() };
            prop_assert!(moved.verify(block, hashes[at as usize]).is_err());
            let forged = Receipt { success: !proven.receipt.success, ..proven.receipt };
            let forged = ReceiptReply { receipt: alloy_rlp::encode(&forged).into(), ..proof.clone() };
            prop_assert_eq!(forged.verify(block, hashes[at as usize]), Err(InvalidReceipt::Mismatch("the receipt")));
            let longer = [&proof.header[..], &[0]].concat();
            let longer = ReceiptReply { header: longer.into(), ..proof.clone() };
            prop_assert_eq!(longer.verify(block, hashes[at as usize]), Err(InvalidReceipt::Malformed("the header")));
            for cut in 0..proof.receipt_proof.len() {
                let cut = ReceiptReply { receipt_proof: proof.receipt_proof.slice(..cut), ..proof.clone() };
                prop_assert!(cut.verify(block, hashes[at as usize]).is_err());
            }
        }
    }
}

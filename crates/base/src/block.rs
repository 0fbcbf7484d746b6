use crate::Transaction;
use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::{RlpDecodable, RlpEncodable};

/// What a block says beyond an Ethereum header; its [`hash`](Seal::hash) is the header's `extraData`.
#[derive(Clone, Debug, Default, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Seal {
    /// Consensus context in the encoding of the consensus engine; empty on a ledger driven directly.
    pub context: Bytes,
    /// Root of the state database's operation log, which state sync downloads and checks.
    pub ops_root: B256,
    /// First operation that state sync needs.
    pub ops_start: u64,
    /// Number of operations ever logged.
    pub ops_end: u64,
}

impl Seal {
    /// Keccak-256 of the RLP encoding.
    pub fn hash(&self) -> B256 {
        keccak256(alloy_rlp::encode(self))
    }
}

/// A block as it is proposed, voted on, stored and served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    hash: B256,
    header: Header,
    seal: Seal,
    transactions: Vec<Transaction>,
}

impl Block {
    /// Joins the parts and computes the block's hash. Says nothing of validity.
    pub fn new(header: Header, seal: Seal, transactions: Vec<Transaction>) -> Self {
        let hash = header.hash_slow();
        Self { hash, header, seal, transactions }
    }

    /// Keccak-256 of the RLP-encoded header.
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// Height; the genesis block's is 0.
    pub const fn number(&self) -> u64 {
        self.header.number
    }

    /// The Ethereum header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// What the block says beyond the header.
    pub const fn seal(&self) -> &Seal {
        &self.seal
    }

    /// The transactions in the order of execution.
    pub fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }
}

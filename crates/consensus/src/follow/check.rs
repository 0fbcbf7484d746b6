//! What is checked of what a peer says, with nothing but the network key.

use crate::{Committee, NetworkKey, application::Scheme, block::SealedBlock, validator::namespace_of};
use alloy_primitives::B256;
use commonware_consensus::simplex::types::Finalization;
use commonware_cryptography::sha256::Digest;
use commonware_parallel::Sequential;
use stoa_ledger::{Ledger, execute::transactions_root};

/// What a quorum has signed of a block.
pub type Certificate = Finalization<Scheme, Digest>;

/// Checks certificates of one chain. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Verifier {
    scheme: Scheme,
}

/// How a peer was caught.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Lie {
    /// It is not in the form that was asked for.
    #[error("its answer cannot be read")]
    Malformed,
    /// The network key has not signed it.
    #[error("a certificate that the validators have not signed")]
    Certificate,
    /// The certificate is of another block.
    #[error("a certificate of another block")]
    OtherBlock,
    /// The blocks are not those asked for, or no chain.
    #[error("block {0} is not the successor of the one before it")]
    Chain(u64),
    /// A block with another's transactions or receipts.
    #[error("block {0} comes with transactions or receipts that it does not commit to")]
    Contents(u64),
    /// The genesis file is another chain's.
    #[error("a genesis file of which the validators have signed nothing")]
    Genesis,
    /// It said that there was no such block when there was.
    #[error("it kept block {0} back")]
    Withheld(u64),
    /// Operations that do not lead to the state's root.
    #[error("a part of the state that the block does not commit to")]
    State,
}

impl Verifier {
    /// For the chain of a ledger; `None` if its genesis file names no committee that can be one.
    pub fn of(ledger: &Ledger) -> Option<Self> {
        let committee = Committee::try_from(ledger.genesis().committee.as_ref()?).ok()?;
        Some(Self::new(ledger.first().hash(), committee.network_key()))
    }

    /// For the chain that begins with the block of this hash.
    pub fn new(first: B256, key: NetworkKey) -> Self {
        Self { scheme: Scheme::certificate_verifier(&namespace_of(first), key) }
    }

    /// Checks that a quorum has signed this block.
    ///
    /// # Errors
    ///
    /// If it has not.
    pub fn check(&self, block: &SealedBlock, certificate: &Certificate) -> Result<(), Lie> {
        if certificate.proposal.payload.0 != block.hash().0 {
            return Err(Lie::OtherBlock);
        }
        if !certificate.verify(&mut rand::rng(), &self.scheme, &Sequential) {
            return Err(Lie::Certificate);
        }
        Ok(())
    }

    /// Checks that these blocks begin at `from`, that each names the one before as its parent and holds the transactions
    /// that it commits to, and that a quorum has signed the last.
    ///
    /// # Errors
    ///
    /// Says what does not hold.
    pub(super) fn check_chain(&self, from: u64, blocks: &[SealedBlock], certificate: &Certificate) -> Result<(), Lie> {
        let last = blocks.last().ok_or(Lie::Malformed)?;
        for (after, block) in (0..).zip(blocks) {
            if from.checked_add(after) != Some(block.number()) {
                return Err(Lie::Chain(from.saturating_add(after)));
            }
        }
        if let Some(pair) = blocks.windows(2).find(|pair| pair[1].header().parent_hash != pair[0].hash()) {
            return Err(Lie::Chain(pair[1].number()));
        }
        self.check(last, certificate)?;
        let hashes = |block: &SealedBlock| transactions_root(block.transactions().iter().map(|tx| *tx.tx_hash()));
        match blocks.iter().find(|block| hashes(block) != block.header().transactions_root) {
            Some(block) => Err(Lie::Contents(block.number())),
            None => Ok(()),
        }
    }
}

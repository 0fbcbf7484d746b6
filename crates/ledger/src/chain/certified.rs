//! The certificates of blocks, and what a node takes over from others instead of executing it.

use super::{Committed, Ledger};
use crate::{
    LedgerError,
    execute::{bloom, merkle_root, receipt_digest, transactions_root},
    state::{self, Runtime, State, StateConfig, SyncRequest, SyncSource},
};
use alloy_primitives::Bytes;
use stoa_base::Block;
use tokio::sync::watch;

/// A block that comes with receipts which it did not lead to.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("its transactions or receipts are not those that its header commits to")]
pub struct ForeignReceipts;

impl Ledger {
    /// Keeps what proves that a final block is final, in the encoding of the consensus engine.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub fn certify(&self, number: u64, certificate: &[u8]) -> Result<(), LedgerError> {
        self.inner.history.certify(number, certificate)?;
        self.inner.certified.send_if_modified(|newest| {
            let newer = number > *newest;
            *newest = number.max(*newest);
            newer
        });
        Ok(())
    }

    /// Number of the newest block that has a certificate, as it grows; 0 while none has.
    pub fn newest_certified(&self) -> watch::Receiver<u64> {
        self.inner.certified.subscribe()
    }

    /// The first certificate of block `number` or one after it, with the block's number: it proves all blocks before.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub fn certificate_from(&self, number: u64) -> Result<Option<(u64, Bytes)>, LedgerError> {
        self.certified(number, u64::MAX, false)
    }

    /// The last certificate of a block in `from..=to`, with the block's number.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub fn certificate_within(&self, from: u64, to: u64) -> Result<Option<(u64, Bytes)>, LedgerError> {
        self.certified(from, to, true)
    }

    fn certified(&self, from: u64, to: u64, last: bool) -> Result<Option<(u64, Bytes)>, LedgerError> {
        let to = to.min(self.head().number());
        if from > to {
            return Ok(None);
        }
        let found = self.inner.history.certified(from..=to, last)?;
        Ok(found.map(|(number, certificate)| (number, certificate.into())))
    }

    /// Answers somebody who takes over the state: operations of its log with their proof, encoded.
    ///
    /// # Errors
    ///
    /// If the log no longer holds what is asked for, or the disk fails.
    pub async fn serve_sync(&self, request: SyncRequest) -> Result<Bytes, LedgerError> {
        self.reader()?.serve_sync(request).await
    }

    /// Whether the state is of no use, because a take-over was begun and not finished.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub fn is_syncing(&self) -> Result<bool, LedgerError> {
        self.inner.history.is_syncing()
    }

    /// Takes over the state after `block`, whose hash the caller trusts, without executing anything. Operations of the
    /// state's log that are here already are not asked for again. Until [`restart`](Self::restart) nothing else is of use.
    ///
    /// # Errors
    ///
    /// If the source does not give what the block commits to, or the disk fails.
    pub async fn sync_state<E: Runtime, S: SyncSource>(
        &self,
        runtime: E,
        config: StateConfig,
        block: &Block,
        source: S,
    ) -> Result<State<E>, LedgerError> {
        self.inner.history.begin_sync()?;
        let synced = state::sync(runtime, config, block.seal(), source).await?;
        let root = state::root_of(&synced).await;
        if root != block.header().state_root {
            let number = block.number();
            return Err(LedgerError::Damaged(format!("the log that block {number} commits to leads to root {root}")));
        }
        Ok(synced)
    }

    /// Goes on from blocks without gaps, checked by the caller, the state after the last of which was taken over.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub fn restart(&self, blocks: Vec<Committed>) -> Result<(), LedgerError> {
        self.inner.history.restart(blocks)
    }
}

impl Committed {
    /// Checks that transactions and receipts are those that the block's header commits to.
    ///
    /// # Errors
    ///
    /// If they are not.
    pub fn check(&self) -> Result<(), ForeignReceipts> {
        let header = self.block.header();
        let matches = self.block.transactions().len() == self.receipts.len()
            && transactions_root(self.block.transactions().iter().map(|tx| *tx.tx_hash())) == header.transactions_root
            && merkle_root(self.receipts.iter().map(receipt_digest)) == header.receipts_root
            && bloom(&self.receipts) == header.logs_bloom;
        if matches { Ok(()) } else { Err(ForeignReceipts) }
    }
}

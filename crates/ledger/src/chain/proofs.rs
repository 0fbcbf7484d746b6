//! Proofs of what the state holds.

use super::Ledger;
use crate::{
    LedgerError,
    state::{self, Key, KeyProof, Leaf, PastState, Runtime, State, SyncRequest, account_key, slot_key},
};
use alloy_primitives::{Address, Bytes, U256};
use futures::future::BoxFuture;
use std::sync::Arc;
use stoa_base::{Block, Seal};

/// For how many past blocks proofs can be made without reading the state's log again.
const PAST_STATES: usize = 4;

/// An account and some of its slots, proven against the state root of a block.
#[derive(Clone, Debug)]
pub struct AccountProof {
    /// The block whose `stateRoot` the proofs lead to.
    pub block: Arc<Block>,
    /// Proof under the account's key.
    pub account: KeyProof,
    /// One proof per slot, in the order asked.
    pub slots: Vec<KeyProof>,
}

/// The state database behind a runtime's type.
pub(super) trait StateReader: Send + Sync {
    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Leaf>, LedgerError>>;
    fn prove<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<(state::Tip, Vec<KeyProof>), LedgerError>>;
    fn past<'a>(&'a self, seal: &'a Seal) -> BoxFuture<'a, Result<PastState, LedgerError>>;
    fn serve_sync(&self, request: SyncRequest) -> BoxFuture<'_, Result<Bytes, LedgerError>>;
    fn prove_past<'a>(
        &'a self,
        past: &'a PastState,
        keys: &'a [Key],
    ) -> BoxFuture<'a, Result<Vec<KeyProof>, LedgerError>>;
}

impl<E: Runtime> StateReader for State<E> {
    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Leaf>, LedgerError>> {
        Box::pin(async move {
            let db = self.read().await;
            db.get(&key).await.map_err(|error| LedgerError::Storage(format!("state: {error}")))
        })
    }

    fn prove<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<(state::Tip, Vec<KeyProof>), LedgerError>> {
        Box::pin(state::prove(self, keys))
    }

    fn past<'a>(&'a self, seal: &'a Seal) -> BoxFuture<'a, Result<PastState, LedgerError>> {
        Box::pin(PastState::read(self, seal))
    }

    fn serve_sync(&self, request: SyncRequest) -> BoxFuture<'_, Result<Bytes, LedgerError>> {
        Box::pin(state::serve(self, request))
    }

    fn prove_past<'a>(
        &'a self,
        past: &'a PastState,
        keys: &'a [Key],
    ) -> BoxFuture<'a, Result<Vec<KeyProof>, LedgerError>> {
        Box::pin(past.prove(self, keys))
    }
}

impl Ledger {
    /// Proves an account and slots of it against the state root of block `number`, or of the newest there is.
    ///
    /// At the newest block that takes next to nothing; the first proof at an earlier one reads the part of the state's log
    /// that was needed then, some microseconds for each account there was.
    ///
    /// # Errors
    ///
    /// As [`state`](Self::state), and [`LedgerError::TooLarge`] if the state of a past block was too large for that.
    pub async fn prove(
        &self,
        number: Option<u64>,
        address: Address,
        slots: &[U256],
    ) -> Result<AccountProof, LedgerError> {
        let keys = std::iter::once(account_key(&address))
            .chain(slots.iter().map(|slot| slot_key(&address, slot)))
            .collect::<Vec<_>>();
        let (block, mut proofs) = match self.prove_at_tip(number, &keys).await? {
            Some(proven) => proven,
            None => {
                let number = number.unwrap_or_else(|| self.head().number());
                self.state(number)?;
                let block = self.block(number)?.map(|committed| committed.block);
                let block = block.ok_or_else(|| LedgerError::Unknown { asked: number, head: self.head().number() })?;
                let proofs = self.prove_past(&block, &keys).await?;
                (block, proofs)
            }
        };
        let account = proofs.remove(0);
        Ok(AccountProof { block, account, slots: proofs })
    }

    fn recorded(&self, number: u64) -> Result<Arc<Block>, LedgerError> {
        let recorded = self.inner.history.block(number)?.map(|committed| committed.block);
        recorded.ok_or_else(|| LedgerError::Unknown { asked: number, head: self.head().number() })
    }

    /// Proves what keys hold in the state as it is, `None` if that is not the state of the block asked for. With it comes
    /// the block, which may have been recorded and not yet shown.
    async fn prove_at_tip(
        &self,
        number: Option<u64>,
        keys: &[Key],
    ) -> Result<Option<(Arc<Block>, Vec<KeyProof>)>, LedgerError> {
        if number.is_some_and(|number| number != self.head().number()) {
            return Ok(None);
        }
        let (tip, proofs) = self.reader()?.prove(keys).await?;
        if number.is_some_and(|number| number != tip.number) {
            return Ok(None);
        }
        // Else the state was set by hand after the block.
        let block = self.recorded(tip.number)?;
        Ok((block.header().state_root == tip.root).then_some((block, proofs)))
    }

    async fn prove_past(&self, block: &Block, keys: &[Key]) -> Result<Vec<KeyProof>, LedgerError> {
        let (reader, root, size) = (self.reader()?, block.header().state_root, block.seal().ops_end);
        let past = {
            // One at a time: whoever waits may find what it wants.
            let mut past = self.inner.past.lock().await;
            match past.iter().position(|(known, _)| *known == size) {
                Some(at) => past[at].1.clone(),
                None => {
                    let read = Arc::new(reader.past(block.seal()).await?);
                    past.truncate(PAST_STATES - 1);
                    past.insert(0, (size, read.clone()));
                    read
                }
            }
        };
        let proofs = reader.prove_past(&past, keys).await?;
        for (key, proof) in keys.iter().zip(&proofs) {
            let checked = state::verify_key(root, *key, proof);
            checked.map_err(|why| LedgerError::Damaged(format!("the state of block {}: {why}", block.number())))?;
        }
        Ok(proofs)
    }

    pub(super) fn reader(&self) -> Result<&dyn StateReader, LedgerError> {
        let reader = self.inner.state.get().ok_or_else(|| LedgerError::Storage("the state is not open yet".into()))?;
        Ok(&**reader)
    }
}

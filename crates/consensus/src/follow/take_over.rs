//! Taking over the state of a block, with the blocks before it that contracts can ask for.

use super::{
    Certificate, FollowError, Lie, Link, NOBODY, PATIENCE, Peers, Request, Verifier,
    messages::{MOST_BLOCKS, Past},
    source::FromPeers,
    tip::{ask_later, tips},
};
use crate::{BLOCK_OVERHEAD, application::recover, block::SealedBlock};
use alloy_primitives::B256;
use commonware_codec::Encode as _;
use std::sync::Arc;
use stoa_ledger::{
    Committed, Ledger, LedgerError,
    state::{Runtime, State, StateConfig},
};

/// How many blocks before the state that is taken over are fetched: as far back as contracts can ask for hashes.
const BEFORE: u64 = 256;

/// What a state is taken over with.
pub(super) struct TakeOver<'a, E, L> {
    pub(super) runtime: &'a E,
    pub(super) ledger: &'a Ledger,
    pub(super) peers: &'a Peers<L>,
    pub(super) verifier: &'a Verifier,
    /// Of transactions in a block, at most.
    pub(super) max_bytes: usize,
}

impl<E: Runtime, L: Link> TakeOver<'_, E, L> {
    /// The newest block that any peer has. Waits until one answers.
    async fn newest(&self) -> (SealedBlock, Certificate) {
        loop {
            let tips = tips(self.runtime, self.peers, self.verifier, self.max_bytes, PATIENCE).await;
            let newest = tips.iter().map(|(_, newest)| newest).max_by_key(|(block, _)| block.number()).cloned();
            if let Some(newest) = newest {
                let number = newest.0.number();
                for (peer, (block, _)) in tips.iter().filter(|(_, (block, _))| block.number() < number) {
                    let before = (*peer, block.number());
                    ask_later(self.runtime, self.peers, before, number, self.verifier, self.max_bytes);
                }
                return newest;
            }
            self.runtime.sleep(NOBODY).await;
        }
    }

    /// Takes over the state of the newest block, if its number is `from` or more. Tries until it succeeds.
    pub(super) async fn run(&self, config: StateConfig, from: u64) -> Result<Option<State<E>>, FollowError> {
        loop {
            let (block, certificate) = self.newest().await;
            let number = block.number();
            if number < from || number == 0 {
                return Ok(None);
            }
            tracing::info!(number, "taking over the state");
            // Meanwhile: neither needs the other.
            let (peers, last, max_bytes) = (self.peers.clone(), block.clone(), self.max_bytes);
            let blocks = self.runtime.child("before").spawn(move |runtime| before(runtime, peers, last, max_bytes));
            let blocks = blocks.abort_on_drop();
            let source = FromPeers::new(self.runtime.child("source"), self.peers.clone());
            let synced = self.ledger.sync_state(self.runtime.child("state"), config.clone(), &block, source).await;
            let synced = match synced {
                Ok(synced) => synced,
                // Another may have what this one no longer has, and everybody has a newer one.
                Err(LedgerError::Storage(why)) => {
                    tracing::warn!(why, "the state of block {number} could not be taken over, trying a newer one");
                    self.runtime.sleep(NOBODY).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let blocks = blocks.join().await.map_err(|error| LedgerError::Storage(error.to_string()))?;
            self.ledger.restart(blocks)?;
            self.ledger.certify(number, &certificate.encode())?;
            tracing::info!(number, "the state is taken over");
            return Ok(Some(synced));
        }
    }
}

/// A block and those before it as far as contracts can ask for hashes, with their receipts. Asks until it has them.
async fn before<E: Runtime, L: Link>(
    runtime: E,
    peers: Peers<L>,
    block: SealedBlock,
    max_bytes: usize,
) -> Vec<Committed> {
    let oldest = block.number().saturating_sub(BEFORE).max(1);
    let mut blocks = Vec::new();
    let (mut number, mut hash, mut turn) = (block.number(), block.hash(), 0);
    while number >= oldest {
        let Some(peer) = peers.usable(runtime.current(), turn).first().copied() else {
            runtime.sleep(NOBODY).await;
            continue;
        };
        turn = peer + 1;
        let request = Request::Past { to: number, count: number - oldest + 1 };
        let Ok(bytes) = peers.ask(&runtime, peer, &request, MOST_BLOCKS * 2, PATIENCE).await else { continue };
        match read_past(&bytes, number, hash, max_bytes) {
            Ok(read) => {
                for committed in read {
                    (number, hash) = (number - 1, committed.block.header().parent_hash);
                    blocks.push(committed);
                }
            }
            Err(lie) => peers.caught(runtime.current(), peer, lie),
        }
    }
    blocks.reverse();
    blocks
}

/// Reads blocks from the one with this number and hash downwards.
fn read_past(bytes: &[u8], mut number: u64, mut hash: B256, max_bytes: usize) -> Result<Vec<Committed>, Lie> {
    let past = Past::read(bytes, max_bytes + BLOCK_OVERHEAD).ok_or(Lie::Malformed)?;
    if past.is_empty() {
        return Err(Lie::Malformed);
    }
    let mut blocks = Vec::with_capacity(past.len());
    for (block, receipts) in past {
        if block.hash() != hash || block.number() != number || number == 0 {
            return Err(Lie::Chain(number));
        }
        let senders = recover(&block, &|_| None).ok_or(Lie::Contents(number))?;
        let committed = Committed {
            block: block.block().clone(),
            receipts: Arc::new(receipts),
            senders: Arc::new(senders.iter().map(|transaction| transaction.signer()).collect()),
        };
        committed.check().map_err(|_| Lie::Contents(number))?;
        (number, hash) = (number - 1, block.header().parent_hash);
        blocks.push(committed);
    }
    Ok(blocks)
}

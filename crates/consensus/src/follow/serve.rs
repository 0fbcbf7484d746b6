//! What a node gives to those that follow it.

use super::messages::{Blocks, MOST_BLOCKS, MOST_GENESIS, Past, Request, encode, encode_answer};
use crate::{
    application::{Origin, Waiting},
    block::SealedBlock,
};
use alloy_primitives::Bytes;
use commonware_codec::{Encode as _, EncodeSize as _};
use futures::FutureExt as _;
use std::{sync::Arc, time::Duration};
use stoa_ledger::{Committed, Ledger, LedgerError, state::Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long somebody who asks for a block that there is not yet waits for it.
pub(super) const WAIT: Duration = Duration::from_secs(10);

/// Bytes of blocks in an answer, about.
const BYTES: usize = 4 << 20;

/// How many answers are read from the ledger at a time: whoever follows must not keep those who vote from it.
const READING: usize = 8;

/// How many parts of the state: a block that is to become final waits for those that are being read.
const PARTS: usize = 4;

/// How many blocks are enough for an answer. Who takes them in keeps the certificate of the last alone, which has to prove the others
/// from then on.
const BLOCKS: u64 = 1024;

/// By how many blocks the first certificate from a block on may come after it, for the block to be given and to be proven.
pub const REACH: u64 = 4096;

/// The most blocks in an answer that come with their receipts.
const PAST: u64 = 4096;

/// Answers followers. Cheap to clone.
pub struct Server<E, W> {
    runtime: E,
    ledger: Ledger,
    waiting: W,
    genesis: Bytes,
    /// Who may read the ledger at a time, and the state.
    reading: Turns,
    parts: Turns,
}

/// So many turns, three in four of which strangers may have: `Places` of `stoa-net`, which comes with QUIC, for tasks of
/// their own.
#[derive(Clone)]
struct Turns {
    all: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

impl Turns {
    fn new(count: usize) -> Self {
        let [all, strangers] = [count, count - count / 4].map(|count| Arc::new(Semaphore::new(count)));
        Self { all, strangers }
    }

    /// Waits for one.
    async fn take(&self, stranger: bool) -> [Option<OwnedSemaphorePermit>; 2] {
        let among_strangers = if stranger { self.strangers.clone().acquire_owned().await.ok() } else { None };
        [among_strangers, self.all.clone().acquire_owned().await.ok()]
    }
}

impl<E: Runtime, W: Waiting> Clone for Server<E, W> {
    fn clone(&self) -> Self {
        Self {
            runtime: self.runtime.child("again"),
            ledger: self.ledger.clone(),
            waiting: self.waiting.clone(),
            genesis: self.genesis.clone(),
            reading: self.reading.clone(),
            parts: self.parts.clone(),
        }
    }
}

impl<E: Runtime, W: Waiting> Server<E, W> {
    /// Serves this chain, and passes transactions on to these.
    ///
    /// # Panics
    ///
    /// If the genesis file is too large for followers.
    pub fn new(runtime: E, ledger: Ledger, waiting: W) -> Self {
        let genesis = serde_json::to_vec(ledger.genesis()).expect("what was read from JSON can be written as it");
        assert!(genesis.len() < MOST_GENESIS, "the genesis file is too large for followers");
        let (reading, parts) = (Turns::new(READING), Turns::new(PARTS));
        Self { runtime, ledger, waiting, genesis: genesis.into(), reading, parts }
    }

    /// The chain.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How many turns at reading the ledger are free.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.reading.all.available_permits()
    }

    /// The answer to a request, be it of a stranger or of a node that is known. Waits up to some seconds if it is for a block to
    /// come.
    pub async fn answer(&self, request: &[u8], stranger: bool) -> Vec<u8> {
        let Some(request) = Request::decode(request) else {
            return encode_answer(Err("this is no request".into()));
        };
        let answer = match request {
            Request::Genesis => Ok(self.genesis.to_vec()),
            Request::State(request) => {
                let _turn = self.parts.take(stranger).await;
                self.ledger.serve_sync(request).await.map(|bytes| bytes.to_vec())
            }
            Request::Transactions(transactions) => {
                let from = if stranger { Origin::Stranger } else { Origin::Follower };
                let taken = self.waiting.take(transactions, from);
                let taken = if taken { Ok(Vec::new()) } else { Err("too many transactions at once".to_owned()) };
                return encode_answer(taken);
            }
            Request::Tip => self.read(stranger, |ledger| tip(&ledger)).await,
            Request::Blocks { from } => {
                self.wait(from).await;
                self.read(stranger, move |ledger| blocks(&ledger, from)).await
            }
            Request::Past { to, count } => self.read(stranger, move |ledger| past(&ledger, to, count)).await,
        };
        encode_answer(answer.map_err(|error| match error {
            LedgerError::Storage(_) | LedgerError::Damaged(_) => {
                tracing::debug!(%error, "a follower cannot be answered");
                "it is not kept here".to_owned()
            }
            other => other.to_string(),
        }))
    }

    /// Reads the ledger on a thread that may block.
    async fn read<F>(&self, stranger: bool, read: F) -> Result<Vec<u8>, LedgerError>
    where
        F: FnOnce(Ledger) -> Result<Vec<u8>, LedgerError> + Send + 'static,
    {
        let (turn, ledger) = (self.reading.take(stranger).await, self.ledger.clone());
        let reading = self.runtime.child("read").shared(true).spawn(async move |_| {
            // It is read to the end, though whoever asked may have gone.
            let _turn = turn;
            read(ledger)
        });
        reading.await.unwrap_or_else(|error| Err(LedgerError::Storage(error.to_string())))
    }

    /// Waits until there is a block from `from` on with a certificate, for a while.
    async fn wait(&self, from: u64) {
        let mut newest = self.ledger.newest_certified();
        let there = newest.wait_for(|newest| *newest >= from);
        futures::select_biased! {
            _ = Box::pin(there).fuse() => {}
            () = Box::pin(self.runtime.sleep(WAIT)).fuse() => {}
        }
    }
}

fn sealed(committed: Committed) -> Result<SealedBlock, LedgerError> {
    let number = committed.block.number();
    SealedBlock::new(committed.block)
        .map_err(|error| LedgerError::Damaged(format!("the seal of block {number}: {error}")))
}

fn block(ledger: &Ledger, number: u64) -> Result<Committed, LedgerError> {
    let head = ledger.head().number();
    ledger.block(number)?.ok_or(LedgerError::Unknown { asked: number, head })
}

fn tip(ledger: &Ledger) -> Result<Vec<u8>, LedgerError> {
    let head = ledger.head().number();
    let newest = ledger.certificate_within(0, head)?;
    let (number, certificate) = newest.ok_or(LedgerError::NoCertificate)?;
    Ok(encode(&Blocks::new(&[sealed(block(ledger, number)?)?], certificate)))
}

fn blocks(ledger: &Ledger, from: u64) -> Result<Vec<u8>, LedgerError> {
    let Some((first, _)) = ledger.certificate_from(from)? else { return Ok(encode(&Blocks::new(&[], Bytes::new()))) };
    let head = ledger.head().number();
    let (mut given, mut bytes) = (Vec::new(), 0);
    for number in from..=head.min(from.saturating_add(REACH)) {
        let is_enough = bytes >= BYTES || given.len() as u64 >= BLOCKS;
        // The first that has a certificate is given in any case.
        if (is_enough && number > first) || bytes >= MOST_BLOCKS {
            break;
        }
        let block = sealed(block(ledger, number)?)?;
        bytes += block.encode_size();
        given.push(block);
    }
    let last = from + given.len() as u64 - 1;
    let found = ledger.certificate_within(from, last)?;
    let (last, certificate) = found.ok_or(LedgerError::NotKept { asked: from, first })?;
    given.truncate(usize::try_from(last - from).unwrap_or(usize::MAX) + 1);
    Ok(encode(&Blocks::new(&given, certificate)))
}

fn past(ledger: &Ledger, to: u64, count: u64) -> Result<Vec<u8>, LedgerError> {
    let (mut given, mut bytes) = (Vec::new(), 0);
    for number in (0..=to).rev().take(usize::try_from(count.min(PAST)).unwrap_or(usize::MAX)) {
        let committed = block(ledger, number)?;
        let receipts = committed.receipts.to_vec();
        let block = Bytes::from(sealed(committed)?.encode().to_vec());
        bytes += block.len() + receipts.iter().map(alloy_rlp::Encodable::length).sum::<usize>();
        given.push(Past { block, receipts });
        if bytes >= BYTES {
            break;
        }
    }
    Ok(encode(&given))
}

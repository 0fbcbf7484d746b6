//! The newest block of each peer.

use super::{Certificate, Failure, LATE, Lie, Link, PATIENCE, Peers, Request, Verifier, messages::Blocks};
use crate::{BLOCK_OVERHEAD, block::SealedBlock};
use futures::{StreamExt as _, stream};
use std::time::Duration;
use stoa_ledger::state::Runtime;

/// The newest block that any peer has, among those that answered in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Its number.
    pub number: u64,
    /// Its time, in seconds since 1970.
    pub timestamp: u64,
    /// How many peers answered.
    pub answers: usize,
}

/// Asks all peers for their newest blocks; nothing if none of them answers in time.
pub async fn newest<E: Runtime, L: Link>(
    runtime: &E,
    peers: &Peers<L>,
    verifier: &Verifier,
    max_bytes: usize,
    patience: Duration,
) -> Option<Newest> {
    let tips = tips(runtime, peers, verifier, max_bytes, patience).await;
    let newest = tips.iter().map(|(_, (block, _))| (block.number(), block.header().timestamp)).max();
    newest.map(|(number, timestamp)| Newest { number, timestamp, answers: tips.len() })
}

/// The newest blocks of all peers that answer in time, and which peer each is of.
pub(super) async fn tips<E: Runtime, L: Link>(
    runtime: &E,
    peers: &Peers<L>,
    verifier: &Verifier,
    max_bytes: usize,
    patience: Duration,
) -> Vec<(usize, (SealedBlock, Certificate))> {
    let usable = peers.usable(runtime.current(), 0);
    let tips =
        usable.into_iter().map(async |peer| match tip_of(runtime, peers, peer, verifier, max_bytes, patience).await {
            Ok(tip) => Some((peer, tip)),
            Err(Useless::Failure(_)) => None,
            Err(Useless::Lie(lie)) => {
                peers.caught(runtime.current(), peer, lie);
                None
            }
        });
    stream::iter(tips).buffer_unordered(16).filter_map(std::future::ready).collect().await
}

/// Asks a peer for its newest block again, after a while: it was at a block before block `newest` of another, which may
/// happen, and should not be any more.
pub(super) fn ask_later<E: Runtime, L: Link>(
    runtime: &E,
    peers: &Peers<L>,
    (peer, was): (usize, u64),
    newest: u64,
    verifier: &Verifier,
    max_bytes: usize,
) {
    let (peers, verifier) = (peers.clone(), verifier.clone());
    runtime.child("later").spawn(async move |runtime| {
        runtime.sleep(LATE).await;
        let lie = match tip_of(&runtime, &peers, peer, &verifier, max_bytes, PATIENCE).await {
            // One that is catching up has later ones.
            Ok((block, _)) if block.number() <= was => Lie::Withheld(newest),
            Err(Useless::Lie(lie)) => lie,
            _ => return,
        };
        peers.caught(runtime.current(), peer, lie);
    });
}

/// Asks a peer for its newest block.
pub(super) async fn tip_of<E: Runtime, L: Link>(
    runtime: &E,
    peers: &Peers<L>,
    peer: usize,
    verifier: &Verifier,
    max_bytes: usize,
    patience: Duration,
) -> Result<(SealedBlock, Certificate), Useless> {
    let most = max_bytes + BLOCK_OVERHEAD;
    let bytes = peers.ask(runtime, peer, &Request::Tip, most + 4096, patience).await?;
    let (mut blocks, certificate) = Blocks::read(&bytes, most).ok_or(Lie::Malformed)?;
    let (block, certificate) = blocks.pop().zip(certificate).ok_or(Lie::Malformed)?;
    verifier.check_chain(block.number(), std::slice::from_ref(&block), &certificate)?;
    Ok((block, certificate))
}

/// Why an answer is of no use.
pub(super) enum Useless {
    Failure(Failure),
    Lie(Lie),
}

impl From<Failure> for Useless {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Lie> for Useless {
    fn from(lie: Lie) -> Self {
        Self::Lie(lie)
    }
}

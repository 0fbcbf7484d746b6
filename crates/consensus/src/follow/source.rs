//! The peers as a source of the state.
//!
//! The state's sync does all on one task: it checks the proofs of what comes, and writes it. So each part is asked for and read
//! by a task of its own. Parts are written in order, and those that come while one is late wait in memory: that one is asked for
//! elsewhere as well.

use super::{Failure, Lie, Link, Peers, Request};
use commonware_cryptography::sha256::Digest;
use commonware_storage::qmdb::sync::{
    Source,
    source::{Feedback, Result as Served},
};
use commonware_utils::channel::{mpsc, oneshot};
use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};
use stoa_ledger::state::{self, Family, Runtime, SyncOperation, SyncRequest, SyncResponse};

/// How long a peer may take for a part of the state.
const PATIENCE: Duration = Duration::from_secs(20);

/// After how long another is asked as well.
const LATE: Duration = Duration::from_secs(5);

/// How often a part is asked for before the take-over begins anew, at a newer block.
const TRIES: usize = 8;

/// How long to wait before asking again where nobody may be asked.
const NOBODY: Duration = Duration::from_millis(500);

/// Asks each peer for as much as it gives in time.
pub(super) struct FromPeers<E, L> {
    runtime: E,
    peers: Peers<L>,
    /// For how many parts each is asked at present.
    asked: Arc<[AtomicUsize]>,
}

/// No peer has given a part of the state.
#[derive(Debug, thiserror::Error)]
#[error("no peer gives a part of the state: {0}")]
pub(super) struct NobodyGives(String);

impl<E: Runtime, L: Link> FromPeers<E, L> {
    pub(super) fn new(runtime: E, peers: Peers<L>) -> Self {
        let asked = (0..peers.count()).map(|_| AtomicUsize::default()).collect();
        Self { runtime, peers, asked }
    }
}

impl<E: Runtime, L: Link> Source for FromPeers<E, L> {
    type Family = Family;
    type Digest = Digest;
    type Op = SyncOperation;
    type Error = NobodyGives;

    async fn serve(&self, request: SyncRequest) -> Served<Self> {
        let part = Part { request, peers: self.peers.clone(), asked: self.asked.clone() };
        let getting = self.runtime.child("part").spawn(move |runtime| part.get(runtime)).abort_on_drop();
        let got = getting.join().await.map_err(|error| NobodyGives(error.to_string()))?;
        let (peer, response) = got.map_err(NobodyGives)?;
        let (verdict, judged) = oneshot::channel();
        let (_others, candidates) = mpsc::channel(1);
        let peers = self.peers.clone();
        self.runtime.child("verdict").spawn(async move |runtime| {
            if judged.await == Ok(false) {
                peers.caught(runtime.current(), peer, Lie::State);
            }
        });
        Ok((response, Some(Feedback::new(verdict, candidates))))
    }
}

/// A part of the state that is asked for.
struct Part<L> {
    request: SyncRequest,
    peers: Peers<L>,
    asked: Arc<[AtomicUsize]>,
}

impl<L: Link> Part<L> {
    /// The part, and the peer that gave it first; or why the last that was asked did not.
    async fn get<E: Runtime>(self, runtime: E) -> Result<(usize, SyncResponse), String> {
        let (mut why, mut tries) = ("there is none".to_owned(), 0);
        // Peers that have not answered yet, and since when.
        let mut asked = Vec::<(usize, SystemTime)>::new();
        let mut answers = FuturesUnordered::new();
        while tries < TRIES || !asked.is_empty() {
            if tries < TRIES {
                match self.idlest(runtime.current(), &asked) {
                    Some(peer) => {
                        tries += 1;
                        asked.push((peer, runtime.current()));
                        answers.push(self.ask(&runtime, peer));
                    }
                    None if asked.is_empty() => {
                        tries += 1;
                        runtime.sleep(NOBODY).await;
                        continue;
                    }
                    None => {}
                }
            }
            let answer = futures::select_biased! {
                answer = answers.select_next_some() => Some(answer),
                () = Box::pin(runtime.sleep(LATE)).fuse() => None,
            };
            let Some((peer, answer)) = answer else { continue };
            asked.retain(|(other, _)| *other != peer);
            match answer {
                Ok(response) => {
                    let now = runtime.current();
                    for (late, _) in asked.iter().filter(|(_, since)| *since + LATE <= now) {
                        self.peers.failed(now, *late, &Failure::Unreachable("another was faster".into()));
                    }
                    return Ok((peer, response));
                }
                Err(failure) => why = failure,
            }
        }
        Err(why)
    }

    /// The peer that is asked for the fewest parts at present, of those that are not asked for this one.
    fn idlest(&self, now: SystemTime, asked: &[(usize, SystemTime)]) -> Option<usize> {
        let usable = self.peers.usable(now, 0).into_iter();
        let others = usable.filter(|peer| asked.iter().all(|(other, _)| other != peer));
        others.min_by_key(|peer| self.asked[*peer].load(Ordering::Relaxed))
    }

    /// What a peer gives, or why it does not.
    async fn ask<E: Runtime>(&self, runtime: &E, peer: usize) -> (usize, Result<SyncResponse, String>) {
        let _asked = Counted::new(&self.asked[peer]);
        let request = Request::State(self.request);
        let bytes = match self.peers.ask(runtime, peer, &request, state::MOST_BYTES, PATIENCE).await {
            Ok(bytes) => bytes,
            Err(failure) => return (peer, Err(failure.to_string())),
        };
        let Ok(response) = state::decode_response(&self.request, &bytes) else {
            self.peers.caught(runtime.current(), peer, Lie::Malformed);
            return (peer, Err(Lie::Malformed.to_string()));
        };
        if !is_whole(&self.request, &response) {
            let failure = Failure::Refused("it gives less than it was asked for".into());
            self.peers.failed(runtime.current(), peer, &failure);
            return (peer, Err(failure.to_string()));
        }
        (peer, Ok(response))
    }
}

/// Whether an answer has all operations that were asked for. Every log of the size that the request names has them: who gives one
/// at a time makes the take-over last.
fn is_whole(request: &SyncRequest, response: &SyncResponse) -> bool {
    match response {
        SyncResponse::Operations { operations, .. } => operations.len() as u64 >= request.max_ops().get(),
        SyncResponse::Boundary { .. } => true,
    }
}

/// Counts one more, until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

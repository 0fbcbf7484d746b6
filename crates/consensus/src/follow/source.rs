//! The peers as a source of the state.

use super::{Lie, Link, Peers, Request};
use commonware_cryptography::sha256::Digest;
use commonware_storage::qmdb::sync::{
    Source,
    source::{Feedback, Result as Served},
};
use commonware_utils::channel::{mpsc, oneshot};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use stoa_ledger::state::{self, Family, Runtime, SyncOperation, SyncRequest};

/// How long a peer may take for a part of the state.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a part is asked for before the take-over begins anew, at a newer block.
const TRIES: usize = 8;

/// How long to wait before asking again where nobody may be asked.
const NOBODY: Duration = Duration::from_millis(500);

/// Asks all peers in turn.
pub(super) struct FromPeers<E, L> {
    pub(super) runtime: E,
    pub(super) peers: Peers<L>,
    pub(super) turn: AtomicUsize,
}

/// No peer has given a part of the state.
#[derive(Debug, thiserror::Error)]
#[error("no peer gives a part of the state: {0}")]
pub(super) struct NobodyGives(String);

impl<E: Runtime, L: Link> Source for FromPeers<E, L> {
    type Family = Family;
    type Digest = Digest;
    type Op = SyncOperation;
    type Error = NobodyGives;

    async fn serve(&self, request: SyncRequest) -> Served<Self> {
        let mut why = "there is none".to_owned();
        for _ in 0..TRIES {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let Some(peer) = self.peers.usable(self.runtime.current(), turn).first().copied() else {
                self.runtime.sleep(NOBODY).await;
                continue;
            };
            let asked = Request::State(request);
            let bytes = match self.peers.ask(&self.runtime, peer, &asked, state::MOST_BYTES, PATIENCE).await {
                Ok(bytes) => bytes,
                Err(failure) => {
                    why = failure.to_string();
                    continue;
                }
            };
            let Ok(response) = state::decode_response(&request, &bytes) else {
                self.peers.caught(self.runtime.current(), peer, Lie::Malformed);
                continue;
            };
            let (verdict, judged) = oneshot::channel();
            let (_others, candidates) = mpsc::channel(1);
            let peers = self.peers.clone();
            self.runtime.child("verdict").spawn(async move |runtime| {
                if judged.await == Ok(false) {
                    peers.caught(runtime.current(), peer, Lie::State);
                }
            });
            return Ok((response, Some(Feedback::new(verdict, candidates))));
        }
        Err(NobodyGives(why))
    }
}

//! What this node offers to those whom it asks to keep it, and how far they are.
//!
//! Whoever is asked takes it himself, and answers when he has all: for something large that may be hours. So he is waited for as long as
//! he takes what he was offered, and for some time before and after it.

use super::serve::SLOWEST;
use crate::{BlobHash, Denied};
use parking_lot::Mutex;
use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};
use stoa_base::NodeId;
use tokio::time::{Instant, timeout_at};

/// How long a node may take nothing and say nothing: it may wait for its turn.
const STALLED: Duration = Duration::from_secs(90);

/// Bytes a second that its disk reads or writes at least: it checks what it has of something, and syncs what came.
const DISK: u64 = 4 << 20;

/// What is offered at present, each blob to some nodes. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Offers(Arc<Mutex<HashMap<BlobHash, Vec<Arc<Taking>>>>>);

/// How far a node is with what it was offered.
struct Taking {
    node: NodeId,
    /// Bytes that it was offered.
    length: u64,
    begun: Instant,
    /// Bytes that it has taken, and when it took the last.
    taken: Mutex<(u64, Instant)>,
}

impl Taking {
    /// Until when it is waited for, if it takes nothing more.
    fn until(&self) -> Instant {
        let (taken, last) = *self.taken.lock();
        // Who takes the same again and again comes no further.
        let slowest = self.begun + Duration::from_secs(taken.min(self.length) / SLOWEST);
        last.min(slowest) + STALLED + Duration::from_secs(self.length / DISK)
    }
}

impl Offers {
    /// Whether somebody is offered a blob.
    pub fn has(&self, hash: BlobHash) -> bool {
        self.0.lock().contains_key(&hash)
    }

    /// Offers blobs to a node until what comes back is dropped.
    pub fn to(&self, node: NodeId, blobs: &[(BlobHash, u64)]) -> Offer {
        let length = blobs.iter().fold(0, |sum: u64, (_, length)| sum.saturating_add(*length));
        let begun = Instant::now();
        let taking = Arc::new(Taking { node, length, begun, taken: Mutex::new((0, begun)) });
        let blobs: Vec<_> = blobs.iter().map(|(hash, _)| *hash).collect();
        let mut all = self.0.lock();
        blobs.iter().for_each(|hash| all.entry(*hash).or_default().push(taking.clone()));
        Offer { offers: self.clone(), blobs, taking }
    }

    /// Notes that a node has taken so much of a blob.
    pub fn took(&self, node: NodeId, hash: BlobHash, bytes: usize) {
        let all = self.0.lock();
        for taking in all.get(&hash).into_iter().flatten().filter(|taking| taking.node == node) {
            let mut taken = taking.taken.lock();
            *taken = (taken.0 + bytes as u64, Instant::now());
        }
    }

    /// How much of a blob, and what it is offered with, has been taken.
    #[cfg(test)]
    pub fn taken(&self, hash: BlobHash) -> u64 {
        self.0.lock().get(&hash).into_iter().flatten().map(|taking| taking.taken.lock().0).sum()
    }
}

/// What a node is offered.
pub(super) struct Offer {
    offers: Offers,
    blobs: Vec<BlobHash>,
    taking: Arc<Taking>,
}

impl Offer {
    /// What the node answers, if it goes on taking until then.
    pub async fn answered<T>(&self, answer: impl Future<Output = Result<T, Denied>>) -> Result<T, Denied> {
        let mut answer = pin!(answer);
        loop {
            let until = self.taking.until();
            match timeout_at(until, answer.as_mut()).await {
                Ok(answer) => return answer,
                Err(_) if self.taking.until() > until => {}
                Err(_) => return Err(Denied::Gone("it takes nothing of what it is to keep, and says nothing".into())),
            }
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        let mut all = self.offers.0.lock();
        for hash in &self.blobs {
            let left = all.get_mut(hash).map(|takings| {
                takings.retain(|taking| !Arc::ptr_eq(taking, &self.taking));
                takings.len()
            });
            if left == Some(0) {
                all.remove(hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const NODE: NodeId = NodeId([1; 32]);
    const PIECE: BlobHash = BlobHash([2; 32]);
    const LENGTH: u64 = 1 << 30;

    /// For how long a node is waited for that does so.
    fn waited_for(taking: impl AsyncFnOnce(Offers)) -> Duration {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (offers, begun) = (Offers::default(), Instant::now());
            let offer = offers.to(NODE, &[(BlobHash([3; 32]), 0), (PIECE, LENGTH)]);
            let answer = async {
                taking(offers.clone()).await;
                std::future::pending::<Result<(), Denied>>().await
            };
            let why = offer.answered(answer).await.unwrap_err().to_string();
            assert!(why.contains("takes nothing"), "{why}");
            drop(offer);
            assert!(!offers.has(PIECE) && offers.0.lock().is_empty());
            begun.elapsed()
        })
    }

    /// As a paused clock counts.
    fn about(waited: Duration, seconds: u64) -> bool {
        waited.as_secs().abs_diff(seconds) <= 1
    }

    #[test]
    fn who_takes_what_it_was_offered_is_waited_for_and_who_takes_nothing_for_minutes_at_most() {
        let silent = 90 + LENGTH / DISK;
        assert!(about(waited_for(async |_| {}), silent));
        // Neither does what others take count, nor what they take of something else.
        let others = async |offers: Offers| {
            sleep(Duration::from_secs(60)).await;
            offers.took(NodeId([9; 32]), PIECE, LENGTH as usize);
            offers.took(NODE, BlobHash([9; 32]), LENGTH as usize);
        };
        assert!(about(waited_for(others), silent));
        let hours = 3 * 3600;
        let slowly = async |offers: Offers| {
            for _ in 0..hours {
                sleep(Duration::from_secs(1)).await;
                offers.took(NODE, PIECE, 64 << 10);
            }
        };
        assert!(about(waited_for(slowly), hours + silent));
        // Who had all at once has as long for the rest.
        let at_once = async |offers: Offers| offers.took(NODE, PIECE, LENGTH as usize);
        assert!(about(waited_for(at_once), silent));
        // Who takes a little now and then does not get far.
        let hardly = async |offers: Offers| {
            for _ in 0..hours {
                sleep(Duration::from_secs(60)).await;
                offers.took(NODE, PIECE, 16 << 10);
            }
        };
        assert!(waited_for(hardly) < Duration::from_secs(silent + 10));
        // Nor does who takes the same again and again for ever.
        let again = async |offers: Offers| {
            for _ in 0..10 * hours {
                sleep(Duration::from_secs(1)).await;
                offers.took(NODE, PIECE, 1 << 20);
            }
        };
        assert!(about(waited_for(again), silent + LENGTH / SLOWEST));
    }

    #[test]
    fn what_two_are_offered_is_offered_until_both_have_it() {
        let offers = Offers::default();
        let (one, other) = (offers.to(NODE, &[(PIECE, 1)]), offers.to(NodeId([9; 32]), &[(PIECE, 1)]));
        drop(one);
        assert!(offers.has(PIECE));
        drop(other);
        assert!(!offers.has(PIECE));
    }
}

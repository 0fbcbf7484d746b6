//! When a block is due.
//!
//! A proposer waits here, in front of everything that builds and finalizes blocks: waiting while building would hold up the
//! finalization of the block before.

use crate::application::Waiting;
use alloy_primitives::B256;
use commonware_consensus::{Automaton, CertifiableAutomaton, Handoff, simplex::types::Context, types::Round};
use commonware_cryptography::{PublicKey, sha256::Digest};
use commonware_runtime::{Clock, Spawner};
use commonware_utils::channel::{fallible::OneshotExt as _, oneshot};
use futures::{FutureExt as _, lock};
use parking_lot::Mutex;
use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use stoa_ledger::Ledger;

/// How often blocks come.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// At least this long between blocks while transactions wait; up to [50 ms](Self::FULL) if they hold many.
    pub busy: Duration,
    /// An empty block after this long without transactions.
    pub idle: Duration,
}

/// Why a pace cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "blocks cannot come {0:?} apart: want a block time of {least} ms to {most} s",
    least = Pace::SHORTEST.as_millis(),
    most = Pace::LONGEST.as_secs()
)]
pub struct PaceError(Duration);

impl Pace {
    /// The least time between blocks that may be asked for.
    pub const SHORTEST: Duration = Duration::from_millis(1);
    /// The most.
    pub const LONGEST: Duration = Duration::from_secs(60);

    /// As far apart as blocks get because they hold many transactions.
    pub const FULL: Duration = Duration::from_millis(50);
    /// A block of so many transactions is worth what it costs to agree on it.
    const WORTH: u32 = 32;

    /// How long after a block of so many transactions the next is due while others wait. To agree on a block costs as much whatever
    /// it holds: the more there is to do, the more of it is done at once.
    fn after(&self, transactions: usize) -> Duration {
        let many = self.busy.saturating_mul(u32::try_from(transactions).unwrap_or(u32::MAX)) / Self::WORTH;
        self.busy.max(many.min(Self::FULL))
    }

    /// How far apart blocks are at most while all is well.
    pub fn longest(&self) -> Duration {
        self.busy.max(self.idle).max(Self::FULL)
    }

    /// Checks that blocks may come so often.
    ///
    /// # Errors
    ///
    /// If they are to come faster or more seldom than is allowed.
    pub fn check(&self) -> Result<(), PaceError> {
        let wrong = [self.busy, self.idle].into_iter().find(|time| !(Self::SHORTEST..=Self::LONGEST).contains(time));
        wrong.map_or(Ok(()), |time| Err(PaceError(time)))
    }
}

/// How long a validator waits for others in a view, which begins when the block before is there: whoever leads it may take until
/// the next is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// For the block of whoever leads.
    pub(crate) leader: Duration,
    /// For a quorum's votes for it.
    pub(crate) certification: Duration,
    /// For any vote of whoever leads: who has been silent for longer is not waited for.
    pub(crate) silent: Duration,
}

impl Timeouts {
    /// Those at a pace.
    pub(crate) fn at(pace: Pace) -> Self {
        let due = pace.longest();
        Self {
            leader: due + Duration::from_millis(250),
            certification: due + Duration::from_millis(500),
            silent: due + Duration::from_secs(5),
        }
    }
}

/// Held while a block becomes final: ledger and waiting transactions move on together.
pub(crate) type Moving = Arc<lock::Mutex<()>>;

/// Proposes when it is time to, else does what `inner` does.
pub(crate) struct Paced<E, A, W> {
    inner: A,
    timer: Arc<Timer<E, W>>,
}

struct Timer<E, W> {
    runtime: E,
    ledger: Ledger,
    waiting: W,
    pace: Pace,
    moving: Moving,
    /// When this node last proposed, or was asked to check what another did.
    newest: Mutex<SystemTime>,
}

impl<E, A: Clone, W> Clone for Paced<E, A, W> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), timer: self.timer.clone() }
    }
}

impl<E, A, W> Paced<E, A, W> {
    pub fn new(runtime: E, inner: A, ledger: Ledger, waiting: W, pace: Pace, moving: Moving) -> Self {
        let newest = Mutex::new(UNIX_EPOCH);
        Self { inner, timer: Arc::new(Timer { runtime, ledger, waiting, pace, moving, newest }) }
    }
}

impl<E: Clock, W: Waiting> Timer<E, W> {
    /// Waits until it is time for a block on `parent`: at once when transactions wait, but not faster than the pace.
    async fn due(&self, parent: B256) {
        let clock = &self.runtime;
        // A clock that was set back says that it is yet to come.
        let last = (*self.newest.lock()).min(clock.current());
        let busy = last + self.pace.after(self.ledger.transactions_in(parent));
        if clock.current() < busy {
            clock.sleep_until(busy).await;
        }
        let idle = last + self.pace.idle;
        while clock.current() < idle {
            // Before looking, so that what comes in while looking is not missed.
            let arrived = self.waiting.arrived();
            if self.something_waits(parent).await {
                break;
            }
            let mut arrived = pin!(arrived.fuse());
            let mut over = pin!(clock.sleep_until(idle).fuse());
            futures::select! {
                () = arrived => {}
                () = over => {}
            }
        }
        *self.newest.lock() = clock.current();
    }

    /// Whether there are transactions that no block up to `parent` holds.
    async fn something_waits(&self, parent: B256) -> bool {
        let _moving = self.moving.lock().await;
        !self.waiting.is_empty(&self.ledger.pending_nonces(parent))
    }
}

impl<E, A, W, P> Automaton for Paced<E, A, W>
where
    E: Spawner + Clock,
    A: Automaton<Digest = Digest, Context = Context<Digest, P>>,
    P: PublicKey,
    W: Waiting,
{
    type Context = Context<Digest, P>;
    type Digest = Digest;

    async fn propose(&mut self, context: Self::Context) -> oneshot::Receiver<Digest> {
        let (mut response, receiver) = oneshot::channel();
        let Self { mut inner, timer } = self.clone();
        self.timer.runtime.child("propose").spawn(async move |_| {
            let proposal = async {
                timer.due(B256::from(context.parent.1.0)).await;
                inner.propose(context).await.await
            };
            let mut proposal = pin!(proposal.fuse());
            let proposed = futures::select! {
                proposed = proposal => proposed,
                () = response.closed().fuse() => return,
            };
            if let Ok(digest) = proposed {
                response.send_lossy(digest);
            }
        });
        receiver
    }

    async fn verify(&mut self, context: Self::Context, payload: Digest) -> oneshot::Receiver<bool> {
        *self.timer.newest.lock() = self.timer.runtime.current();
        self.inner.verify(context, payload).await
    }
}

impl<E, A, W, P> CertifiableAutomaton for Paced<E, A, W>
where
    E: Spawner + Clock,
    A: CertifiableAutomaton<Digest = Digest, Context = Context<Digest, P>>,
    P: PublicKey,
    W: Waiting,
{
    async fn prepare(&mut self, context: Self::Context) -> oneshot::Receiver<Handoff<Digest>> {
        self.inner.prepare(context).await
    }

    async fn certify(&mut self, round: Round, payload: Digest) -> oneshot::Receiver<bool> {
        self.inner.certify(round, payload).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_hold_many_come_further_apart_but_not_beyond_a_bound() {
        let after = |busy, transactions| {
            let pace = Pace { busy: Duration::from_millis(busy), idle: Duration::from_secs(1) };
            pace.after(transactions).as_millis()
        };
        assert_eq!([0, 24, 32, 64, 160, 10_000].map(|held| after(10, held)), [10, 10, 10, 20, 50, 50]);
        assert_eq!([0, usize::MAX].map(|held| after(50, held)), [50, 50]);
        assert_eq!([0, usize::MAX].map(|held| after(60_000, held)), [60_000, 60_000]);
    }

    #[test]
    fn a_pace_outside_what_may_be_asked_for_is_refused_in_words() {
        let check = |busy, idle| Pace { busy: Duration::from_millis(busy), idle: Duration::from_millis(idle) }.check();
        for (busy, idle) in [(1, 1000), (10, 1000), (60_000, 1000), (100, 60_000)] {
            assert_eq!(check(busy, idle), Ok(()));
        }
        for (busy, idle) in [(0, 1000), (60_001, 1000), (10, 0), (10, 60_001)] {
            let error = check(busy, idle).unwrap_err().to_string();
            assert!(error.contains("want a block time of 1 ms to 60 s"), "{error}");
        }
        assert!(check(75_000, 1000).unwrap_err().to_string().contains("75s apart"));
    }
}

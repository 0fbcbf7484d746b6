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
    /// At least this long between blocks while transactions wait.
    pub busy: Duration,
    /// An empty block after this long without transactions.
    pub idle: Duration,
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
        let last = *self.newest.lock();
        let busy = last + self.pace.busy;
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

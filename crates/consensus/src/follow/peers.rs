//! Nodes that a follower asks, and what it has come to think of each.

use super::{Lie, Request, messages::decode_answer};
use commonware_runtime::Clock;
use futures::FutureExt as _;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// How long a peer that was caught is not asked any more.
const DROPPED: Duration = Duration::from_secs(600);

/// How long one that did not answer is left alone, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// The way to other nodes. Cheap to clone.
pub trait Link: Clone + Send + Sync + 'static {
    /// How many peers there are.
    fn count(&self) -> usize;

    /// What a peer is called in messages to people.
    fn name(&self, peer: usize) -> String;

    /// Sends a request to a peer and brings its answer, of at most `most` bytes.
    fn ask(
        &self,
        peer: usize,
        request: Vec<u8>,
        most: usize,
    ) -> impl Future<Output = Result<Vec<u8>, String>> + Send + use<Self>;
}

/// Why a peer gave no answer.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Failure {
    /// It cannot be reached, or took too long.
    #[error("{0}")]
    Unreachable(String),
    /// It does not have what was asked for.
    #[error("it refuses: {0}")]
    Refused(String),
}

#[derive(Clone, Debug, Default)]
struct Standing {
    /// Not asked before this.
    until: Option<SystemTime>,
    /// How often it has failed in a row.
    failures: u32,
    /// What it was caught with.
    lie: Option<Lie>,
    /// Blocks that it said it did not have, and when.
    denied: BTreeMap<u64, SystemTime>,
}

impl Standing {
    /// Until when it is not asked. What lies further ahead than anybody is left for was said before the clock was set back.
    fn left(&self, now: SystemTime) -> Option<SystemTime> {
        self.until.filter(|until| now < *until && *until <= now + DROPPED)
    }
}

/// How it stands with a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Key and address.
    pub name: String,
    /// Whether it is asked at present.
    pub used: bool,
    /// What it was caught with, if it is left for that.
    pub lie: Option<Lie>,
}

/// The peers of a follower. Cheap to clone.
#[derive(Clone)]
pub struct Peers<L> {
    link: L,
    standing: Arc<Mutex<Vec<Standing>>>,
}

impl<L: Link> Peers<L> {
    /// All that a link leads to.
    pub fn new(link: L) -> Self {
        let standing = vec![Standing::default(); link.count()];
        Self { link, standing: Arc::new(Mutex::new(standing)) }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.link.count()
    }

    /// What a peer is called.
    pub(super) fn name(&self, peer: usize) -> String {
        self.link.name(peer)
    }

    /// How it stands with each.
    pub fn status(&self, now: SystemTime) -> Vec<PeerStatus> {
        let standing = self.standing.lock();
        let status = |(peer, standing): (usize, &Standing)| {
            let used = standing.left(now).is_none();
            PeerStatus { name: self.link.name(peer), used, lie: standing.lie.clone().filter(|_| !used) }
        };
        standing.iter().enumerate().map(status).collect()
    }

    /// Those that may be asked, from `first` on in a circle.
    pub(super) fn usable(&self, now: SystemTime, first: usize) -> Vec<usize> {
        let standing = self.standing.lock();
        let count = standing.len().max(1);
        let circle = (0..standing.len()).map(|step| (first + step) % count);
        circle.filter(|peer| standing[*peer].left(now).is_none()).collect()
    }

    /// Asks a peer, and waits so long for its answer.
    pub(super) async fn ask(
        &self,
        clock: &impl Clock,
        peer: usize,
        request: &Request,
        most: usize,
        patience: Duration,
    ) -> Result<Vec<u8>, Failure> {
        let answer = self.link.ask(peer, request.encode(), most);
        let answer = futures::select_biased! {
            answer = Box::pin(answer).fuse() => answer,
            () = Box::pin(clock.sleep(patience)).fuse() => Err("it does not answer in time".to_owned()),
        };
        let answered = match answer {
            Ok(bytes) => match decode_answer(&bytes) {
                Some(Ok(answer)) => Ok(answer.to_vec()),
                Some(Err(why)) => Err(Failure::Refused(why)),
                None => {
                    self.caught(clock.current(), peer, Lie::Malformed);
                    Err(Failure::Unreachable("its answer is none".into()))
                }
            },
            Err(why) => Err(Failure::Unreachable(why)),
        };
        match &answered {
            // To tell its newest block is not to give what was asked for before.
            Ok(_) if matches!(request, Request::Tip) => {}
            Ok(_) => self.standing.lock()[peer].failures = 0,
            // It has its share of them. Others may take these, and it still has blocks to give.
            Err(Failure::Refused(_)) if matches!(request, Request::Transactions(_)) => {}
            Err(failure) => self.failed(clock.current(), peer, failure),
        }
        answered
    }

    /// A peer has not given what it was asked for: it is left alone for a while, and for longer each time.
    pub(super) fn failed(&self, now: SystemTime, peer: usize, why: &Failure) {
        let times = {
            let mut standing = self.standing.lock();
            let standing = &mut standing[peer];
            let left = standing.left(now);
            if left.is_none() {
                // It was asked again since it was caught.
                standing.lie = None;
            }
            let pause = PAUSE.0.saturating_mul(1 << standing.failures.min(10)).min(PAUSE.1);
            standing.until = Some(left.unwrap_or(now).max(now + pause));
            standing.failures = standing.failures.saturating_add(1);
            standing.failures
        };
        let name = self.link.name(peer);
        // Some refuse for ever: who keeps no early blocks, say.
        match why {
            Failure::Refused(_) if times.is_power_of_two() => {
                tracing::warn!(peer = name, %why, times, "a peer gives no answer");
            }
            _ => tracing::debug!(peer = name, %why, times, "a peer gives no answer"),
        }
    }

    /// A peer was caught: it is left.
    pub(super) fn caught(&self, now: SystemTime, peer: usize, lie: Lie) {
        tracing::warn!(peer = self.link.name(peer), %lie, "a peer is left");
        let mut standing = self.standing.lock();
        standing[peer].until = Some(now + DROPPED);
        standing[peer].lie = Some(lie);
    }

    /// A peer said that there is no block of this number yet.
    pub(super) fn denied(&self, now: SystemTime, peer: usize, number: u64) {
        let mut standing = self.standing.lock();
        let denied = &mut standing[peer].denied;
        denied.insert(number, now);
        while denied.len() > 16 {
            denied.pop_first();
        }
    }

    /// There is a block of this number, made at this time. Which peers have said later that there is none: they keep it back,
    /// or it was not final yet, or this clock is ahead.
    pub(super) fn made(&self, number: u64, made: SystemTime) -> Vec<usize> {
        let mut standing = self.standing.lock();
        let said = standing.iter_mut().map(|standing| standing.denied.remove(&number)).enumerate();
        said.filter_map(|(peer, said)| (said? > made + TRAVEL).then_some(peer)).collect()
    }
}

/// How long a block may take to everywhere.
const TRAVEL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::ready, time::UNIX_EPOCH};

    #[derive(Clone)]
    struct One;

    impl Link for One {
        fn count(&self) -> usize {
            1
        }

        fn name(&self, _: usize) -> String {
            "a peer".into()
        }

        fn ask(&self, _: usize, _: Vec<u8>, _: usize) -> impl Future<Output = Result<Vec<u8>, String>> + Send + use<> {
            ready(Err("nobody".to_owned()))
        }
    }

    #[test]
    fn a_clock_that_was_set_back_leaves_nobody_for_longer() {
        let (peers, failure) = (Peers::new(One), Failure::Unreachable("nobody".into()));
        let now = UNIX_EPOCH + Duration::from_secs(1 << 30);
        peers.caught(now, 0, Lie::Malformed);
        assert!(peers.usable(now + DROPPED / 2, 0).is_empty());
        assert_eq!(peers.usable(now + DROPPED, 0), [0]);
        let earlier = now - Duration::from_secs(3600);
        assert_eq!(peers.usable(earlier, 0), [0]);
        peers.failed(earlier, 0, &failure);
        assert!(peers.usable(earlier, 0).is_empty());
        assert_eq!(peers.usable(earlier + PAUSE.0, 0), [0]);
        // A failure does not end it sooner that a peer was caught.
        peers.caught(now, 0, Lie::Malformed);
        peers.failed(now, 0, &failure);
        assert!(peers.usable(now + PAUSE.1, 0).is_empty());
    }
}

//! What a follower does with peers that give a state slowly, or in crumbs.

use super::*;
use commonware_utils::NZU64;
use std::sync::atomic::{AtomicUsize, Ordering};
use stoa_ledger::state::SyncRequest;

/// A peer that takes so long to answer requests of these kinds.
fn slow(runtime: &Runtime, honest: Ask, kinds: &'static [u8], by: Duration) -> Ask {
    let runtime = Arc::new(runtime.child("slow"));
    Arc::new(move |request: Vec<u8>| {
        let is_slow = request.first().is_some_and(|kind| kinds.contains(kind));
        let (answer, runtime) = (honest(request), runtime.clone());
        async move {
            if is_slow {
                runtime.sleep(by).await;
            }
            answer.await
        }
        .boxed()
    })
}

/// Takes over the state of a chain of 60 blocks from such peers, given an honest one; how long that takes, and what they are
/// caught with.
fn taken_over(peers: impl FnOnce(&Runtime, Ask) -> Vec<Ask> + Send) -> (Duration, Vec<Option<Lie>>) {
    simulate(async |runtime| {
        let mut chain = Chain::open(&runtime, "validators", 1).await;
        chain.grow_by(60).await;
        let (genesis, folder) = (chain.ledger().genesis().clone(), tempfile::tempdir().unwrap());
        let peers = peers(&runtime, honest(&runtime, chain.ledger(), List::default()));
        let (start, since) = (Start::State { from: 10 }, runtime.current());
        let following = follow(&runtime, "first", genesis, &folder, peers, start).await.unwrap();
        assert_eq!(following.follower.ledger().head().hash(), chain.ledger().head().hash());
        (runtime.current().duration_since(since).unwrap(), lies(&following.peers, &runtime))
    })
}

#[test]
fn a_part_of_the_state_that_a_peer_gives_slowly_is_asked_of_another_as_well() {
    let seconds = Duration::from_secs;
    let (taken, lies) = taken_over(|runtime, good| vec![slow(runtime, good.clone(), &[4], seconds(19)), good]);
    assert!(taken < seconds(10), "{taken:?}");
    assert_eq!(lies, [None, None], "it is slow and does not lie");
}

#[test]
fn the_last_blocks_come_while_the_state_does() {
    let seconds = Duration::from_secs;
    let (taken, _) = taken_over(|runtime, good| vec![slow(runtime, good, &[3, 4], seconds(3))]);
    assert!((seconds(3)..seconds(5)).contains(&taken), "{taken:?}");
}

#[test]
fn a_peer_that_gives_less_of_the_state_than_it_was_asked_for_is_not_asked_again_and_again() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let (_, lies) = taken_over(move |_, good| {
        let crumbs = |good: Ask, count: Arc<AtomicUsize>| -> Ask {
            Arc::new(move |request: Vec<u8>| {
                let request = match Request::decode(&request) {
                    Some(Request::State(SyncRequest::Operations { size, start, .. })) => {
                        count.fetch_add(1, Ordering::Relaxed);
                        Request::State(SyncRequest::Operations { size, start, max_ops: NZU64!(1) }).encode()
                    }
                    _ => request,
                };
                good(request)
            })
        };
        vec![crumbs(good.clone(), counted.clone()), crumbs(good.clone(), counted), good]
    });
    assert!((1..=2).contains(&count.load(Ordering::Relaxed)), "{count:?}");
    assert_eq!(lies, [None, None, None]);
}

//! What a follower does with the transactions that its clients give it, and with peers that stay behind.

use super::*;
use crate::{
    Origin, Waiting,
    tests::{signed, unsigned},
};
use alloy_consensus::TxLegacy;
use alloy_primitives::map::HashMap;
use futures::Stream;
use std::sync::atomic::{AtomicUsize, Ordering};
use stoa_base::Transaction;
use stoa_ledger::{Committed, execute::Changes};

/// What was given waits for ever, as if nobody included it.
#[derive(Clone)]
struct Forever(List);

impl Waiting for Forever {
    fn best(&self, base_fee: u64, gas: u64, used: &HashMap<Address, u64>) -> Vec<Arc<Recovered>> {
        self.0.best(base_fee, gas, used)
    }

    fn is_empty(&self, used: &HashMap<Address, u64>) -> bool {
        self.0.is_empty(used)
    }

    fn arrived(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.arrived()
    }

    fn given(&self) -> impl Stream<Item = Arc<Recovered>> + Send + use<> {
        self.0.given()
    }

    fn take(&self, transactions: Vec<Transaction>, from: Origin) -> bool {
        self.0.take(transactions, from)
    }

    fn sender(&self, _: &B256) -> Option<Address> {
        Some(signer(0).address())
    }

    fn refused(&self, transaction: &Recovered, why: &Refusal) {
        self.0.refused(transaction, why);
    }

    fn finalized(&self, committed: &Committed, changes: &Changes) {
        self.0.finalized(committed, changes);
    }
}

/// Three peers of a follower that is given three transactions at once, and how many messages with transactions each got.
struct Handing {
    counts: [Arc<AtomicUsize>; 3],
    _folder: TempDir,
}

impl Handing {
    /// `refuses` is the peer that takes none.
    async fn start<W: Waiting>(runtime: &Runtime, chain: &Chain, refuses: Option<usize>, given: W) -> Self {
        let counts: [Arc<AtomicUsize>; 3] = Default::default();
        let peer = |(at, count): (usize, &Arc<AtomicUsize>)| {
            let count = count.clone();
            lying(honest(runtime, chain.ledger(), List::default()), 5, move |answer| {
                count.fetch_add(1, Ordering::Relaxed);
                if refuses == Some(at) { messages::encode_answer(Err("too many".into())) } else { answer }
            })
        };
        let peers = Peers::new(Here(Arc::new(counts.iter().enumerate().map(peer).collect())));
        let (genesis, folder) = (chain.ledger().genesis().clone(), tempfile::tempdir().unwrap());
        let layout = state::config(runtime, "first", 1 << 20, NZUsize!(1));
        let ledger = Ledger::open(runtime.child("first"), genesis, config(&folder), layout.clone()).await.unwrap();
        let options = Options { start: Start::Blocks, max_bytes: MAX_BYTES };
        let follower = Follower::open(runtime.child("first"), ledger, layout, peers, given, options).await.unwrap();
        runtime.child("follower").spawn(move |_| follower.run().map(drop));
        Self { counts, _folder: folder }
    }

    fn counted(&self) -> [usize; 3] {
        self.counts.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

fn given() -> List {
    List::new((0..3).map(transfer).collect())
}

#[test]
fn a_transaction_is_handed_to_one_peer_once() {
    simulate(async |runtime| {
        let chain = Chain::open(&runtime, "validators", 1).await;
        let handing = Handing::start(&runtime, &chain, None, given()).await;
        runtime.sleep(Duration::from_secs(1)).await;
        assert_eq!(handing.counted(), [1, 0, 0]);
        runtime.sleep(Duration::from_secs(60)).await;
        assert_eq!(handing.counted(), [1, 0, 0], "it waits no longer");
    });
}

#[test]
fn a_transaction_that_a_peer_refuses_is_handed_to_the_next() {
    simulate(async |runtime| {
        let chain = Chain::open(&runtime, "validators", 1).await;
        let handing = Handing::start(&runtime, &chain, Some(0), given()).await;
        runtime.sleep(Duration::from_secs(60)).await;
        assert_eq!(handing.counted(), [1, 1, 0]);
    });
}

#[test]
fn large_transactions_that_come_at_once_go_in_messages_that_are_read() {
    simulate(async |runtime| {
        let chain = Chain::open(&runtime, "validators", 1).await;
        let large = |nonce| signed(0, TxLegacy { input: vec![1_u8; 100 << 10].into(), ..unsigned(nonce) });
        let handing = Handing::start(&runtime, &chain, None, List::new((0..8).map(large).collect())).await;
        runtime.sleep(Duration::from_secs(60)).await;
        assert_eq!(handing.counted(), [4, 0, 0], "two in each");
    });
}

#[test]
fn a_transaction_that_still_waits_is_handed_to_others_but_not_to_all() {
    simulate(async |runtime| {
        let chain = Chain::open(&runtime, "validators", 1).await;
        let handing = Handing::start(&runtime, &chain, None, Forever(given())).await;
        for (seconds, counted) in [(1, [1, 0, 0]), (10, [1, 1, 0]), (10, [1, 1, 1]), (60, [1, 1, 1])] {
            runtime.sleep(Duration::from_secs(seconds)).await;
            assert_eq!(handing.counted(), counted);
        }
    });
}

#[test]
fn a_peer_whose_newest_block_stays_an_old_one_is_noticed_and_one_that_was_late_is_not() {
    simulate(async |runtime| {
        let mut chain = Chain::open(&runtime, "validators", 1).await;
        chain.grow_by(10).await;
        let good = honest(&runtime, chain.ledger(), List::default());
        let old = good(Request::Tip.encode()).await.unwrap();
        chain.grow_by(10).await;
        let later = good(Request::Tip.encode()).await.unwrap();
        chain.grow_by(40).await;
        let (genesis, folder) = (chain.ledger().genesis().clone(), tempfile::tempdir().unwrap());
        // What a peer says first, and what it says later: nothing else than an honest one, if nothing.
        let says = |first: &Vec<u8>, later: Option<&Vec<u8>>| {
            let (first, later, asked) = (first.clone(), later.cloned(), AtomicUsize::new(0));
            lying(good.clone(), 1, move |answer| match asked.fetch_add(1, Ordering::Relaxed) {
                0 => first.clone(),
                _ => later.clone().unwrap_or(answer),
            })
        };
        let peers = vec![says(&old, Some(&old)), says(&old, Some(&later)), says(&old, None), good.clone()];
        let start = Start::State { from: 10 };
        let following = follow(&runtime, "first", genesis, &folder, peers, start).await.unwrap();
        assert_eq!(following.follower.ledger().head().hash(), chain.ledger().head().hash());
        let nobody = [None, None, None, None];
        assert_eq!(lies(&following.peers, &runtime), nobody, "another may have a block a little earlier");
        runtime.sleep(Duration::from_secs(60)).await;
        assert_eq!(lies(&following.peers, &runtime), [Some(Lie::Withheld(60)), None, None, None], "one catches up");
    });
}

#[test]
fn a_peer_that_takes_no_transactions_is_asked_for_blocks_all_the_same() {
    simulate(async |runtime| {
        let refuses: Ask = Arc::new(|_| async { Ok(messages::encode_answer(Err("too many".into()))) }.boxed());
        let peers = Peers::new(Here(Arc::new(vec![refuses])));
        let transactions = Request::Transactions(vec![transfer(0).inner().clone()]);
        for (request, used) in [(transactions, true), (Request::Tip, false)] {
            let refused = peers.ask(&runtime, 0, &request, 1024, LONG).await;
            assert_eq!(refused, Err(Failure::Refused("too many".into())));
            assert_eq!(peers.status(runtime.current())[0].used, used, "{request:?}");
        }
    });
}

#[test]
fn a_peer_that_was_caught_long_ago_and_only_fails_now_is_not_said_to_lie() {
    simulate(async |runtime| {
        let gone: Ask = Arc::new(|_| async { Err("it is gone".to_owned()) }.boxed());
        let peers = Peers::new(Here(Arc::new(vec![gone])));
        let status = |runtime: &Runtime| {
            let status = peers.status(runtime.current()).remove(0);
            (status.used, status.lie)
        };
        peers.caught(runtime.current(), 0, Lie::Certificate);
        assert_eq!(status(&runtime), (false, Some(Lie::Certificate)));
        // What was asked before it was caught.
        peers.ask(&runtime, 0, &Request::Tip, 1024, LONG).await.unwrap_err();
        assert_eq!(status(&runtime), (false, Some(Lie::Certificate)));
        runtime.sleep(LONG).await;
        assert_eq!(status(&runtime), (true, None));
        peers.ask(&runtime, 0, &Request::Tip, 1024, LONG).await.unwrap_err();
        assert_eq!(status(&runtime), (false, None));
    });
}

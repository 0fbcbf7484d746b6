//! Transactions on their way to the validators.

use super::{Link, NOBODY, Peers, Request};
use crate::{
    again::{Again, Sent},
    application::Waiting,
    gossip,
};
use futures::{FutureExt as _, StreamExt as _, stream};
use std::{pin::pin, time::Duration};
use stoa_ledger::state::Runtime;

/// How long a peer may take to say whether it takes transactions.
const TAKING: Duration = Duration::from_secs(5);

/// How often all peers are asked to take transactions, with pauses that grow.
const ROUNDS: u32 = 8;

/// How long a transaction may wait at a peer before another gets it as well: the first may have lost it, or keep it to itself.
const HANDED: Duration = Duration::from_secs(10);

/// To how many peers a transaction goes at most.
const MOST_HANDED: u32 = 3;

/// Of how many messages with transactions it is remembered who has them.
const REMEMBERED: usize = 1024;

/// Passes what clients give to this node on to a peer, which does the same or sends it to all validators: to one, for each
/// would send it to all.
pub(super) async fn pass_on<E: Runtime, L: Link, W: Waiting>(runtime: E, waiting: W, peers: Peers<L>) {
    // Those that come in meanwhile go together, as far as a message holds them.
    let given = waiting.given().ready_chunks(128).flat_map(|given| stream::iter(gossip::messages(given)));
    let mut given = pin!(given.fuse());
    let mut again = Again::new(HANDED, MOST_HANDED, REMEMBERED);
    loop {
        let due = again.next(&runtime, |transaction| waiting.sender(transaction.tx_hash()).is_some());
        let next = futures::select_biased! {
            // What is new first: each time costs a peer's answer.
            transactions = given.select_next_some() => Some(Sent::new(transactions)),
            due = Box::pin(due).fuse() => due,
        };
        let Some(sent) = next else { continue };
        let taken = hand(&runtime, &peers, &sent).await.or(sent.taken);
        again.sent(Sent { taken, ..sent }, runtime.current());
    }
}

/// Gives transactions to a peer that takes them, if possible another than the last time, and says which; `None` if nobody
/// does for some seconds.
async fn hand<E: Runtime, L: Link>(runtime: &E, peers: &Peers<L>, sent: &Sent) -> Option<usize> {
    let transactions = sent.transactions.iter().map(|transaction| transaction.inner().clone()).collect();
    let (request, first) = (Request::Transactions(transactions), sent.taken.map_or(0, |peer| peer + 1));
    for round in 1..=ROUNDS {
        for peer in peers.usable(runtime.current(), first) {
            if peers.ask(runtime, peer, &request, 1024, TAKING).await.is_ok() {
                return Some(peer);
            }
        }
        runtime.sleep(NOBODY * round).await;
    }
    None
}

//! Pending transactions for a block's proposer.

use crate::pool::Pool;
use alloy_primitives::{
    Address,
    map::{HashMap, HashSet},
};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    sync::Arc,
};
use stoa_base::Recovered;

/// Pending transactions, best tip first, each sender's by nonce, the earliest first among equals. From [`Pool::best`].
///
/// Holds one entry per sender and takes the pool's lock for each transaction only, so that a block can be built while
/// others are added; those are seen as well, if their sender was not done yet.
pub struct Best {
    pool: Pool,
    base_fee: u64,
    heads: BinaryHeap<Head>,
    skipped: HashSet<Address>,
}

/// The next transaction of a sender; ordered by tip, then by arrival.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    /// Wei per gas.
    tip: u128,
    seq: Reverse<u64>,
    sender: Address,
    nonce: u64,
}

impl Best {
    pub(crate) fn new(pool: Pool, base_fee: u64, used: &HashMap<Address, u64>) -> Self {
        let heads: Vec<Head> = {
            let table = pool.table();
            let first = |(sender, queue): (&Address, &crate::queue::Queue)| {
                let nonce = used.get(sender).map_or(queue.account.nonce, |used| queue.account.nonce.max(*used));
                let (_, entry) = queue.pending_at(nonce)?;
                let tip = entry.checked.price.tip(base_fee)?;
                Some(Head { tip, seq: Reverse(entry.seq), sender: *sender, nonce })
            };
            table.queues().filter_map(first).collect()
        };
        Self { pool, base_fee, heads: heads.into(), skipped: HashSet::default() }
    }

    /// Passes over the rest of a sender's transactions: one of them cannot be included.
    pub fn mark_invalid(&mut self, sender: Address) {
        self.skipped.insert(sender);
    }
}

impl Iterator for Best {
    type Item = Arc<Recovered>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut top = self.heads.peek_mut()?;
            let Head { sender, nonce, .. } = *top;
            if self.skipped.contains(&sender) {
                PeekMut::pop(top);
                continue;
            }
            let table = self.pool.table();
            let found = table.queue(&sender).and_then(|queue| Some((queue, queue.pending_at(nonce)?)));
            let Some((queue, (position, entry))) = found else {
                // A block has taken it meanwhile.
                PeekMut::pop(top);
                continue;
            };
            let (transaction, pays) =
                (entry.checked.transaction.clone(), entry.checked.price.tip(self.base_fee).is_some());
            let next = queue.get(position + 1).filter(|_| position + 1 < queue.pending()).and_then(|entry| {
                let tip = entry.checked.price.tip(self.base_fee)?;
                Some(Head { tip, seq: Reverse(entry.seq), sender, nonce: nonce + 1 })
            });
            drop(table);
            match next {
                Some(next) => {
                    *top = next;
                    drop(top);
                }
                None => {
                    PeekMut::pop(top);
                }
            }
            // It may have been replaced meanwhile, by one that can't pay the base fee: then the sender is done.
            if !pays {
                self.skipped.insert(sender);
                continue;
            }
            return Some(transaction);
        }
    }
}

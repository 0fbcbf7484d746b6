//! The waiting transactions of one sender.

use crate::{
    Account,
    check::{Checked, Price},
};
use alloy_consensus::Transaction as _;
use alloy_primitives::U256;
use std::{collections::VecDeque, sync::Arc};
use stoa_base::Recovered;

/// One waiting transaction.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub checked: Checked,
    /// Order of arrival.
    pub seq: u64,
    /// Whether subscribers have heard of it.
    announced: bool,
    /// When it came to wait behind a gap, in the caller's milliseconds; `None` while it is pending.
    queued_since: Option<u64>,
    /// The worst price up to here: it can't be included before those in front of it.
    floor: Price,
    /// Cost of all up to here, in wei.
    spent: U256,
}

impl Entry {
    pub fn nonce(&self) -> u64 {
        self.checked.transaction.nonce()
    }
}

/// Transactions by nonce; the first [`pending`](Self::pending) of them can run one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub account: Account,
    /// Order of arrival of the sender.
    pub born: u64,
    entries: VecDeque<Entry>,
    pending: usize,
}

impl Queue {
    pub fn new(account: Account, born: u64) -> Self {
        Self { account, born, entries: VecDeque::new(), pending: 0 }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn pending(&self) -> usize {
        self.pending
    }

    pub fn queued(&self) -> usize {
        self.entries.len() - self.pending
    }

    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    pub fn get(&self, position: usize) -> Option<&Entry> {
        self.entries.get(position)
    }

    pub fn tail(&self) -> Option<&Entry> {
        self.entries.back()
    }

    /// What all of them cost together, in wei.
    pub fn cost(&self) -> U256 {
        self.tail().map_or(U256::ZERO, |entry| entry.spent)
    }

    /// The worst price among the transactions before `position`.
    pub fn floor_before(&self, position: usize) -> Option<Price> {
        Some(self.entries.get(position.checked_sub(1)?)?.floor)
    }

    /// The worst price of all.
    pub fn floor(&self) -> Option<Price> {
        self.tail().map(|entry| entry.floor)
    }

    /// Where the nonce stands, or would.
    pub fn position(&self, nonce: u64) -> Result<usize, usize> {
        if self.tail().is_none_or(|tail| tail.nonce() < nonce) {
            return Err(self.len());
        }
        self.entries.binary_search_by_key(&nonce, Entry::nonce)
    }

    /// The pending transaction of this nonce and its position.
    pub fn pending_at(&self, nonce: u64) -> Option<(usize, &Entry)> {
        // Pending nonces follow each other from the account's.
        let position = usize::try_from(nonce.checked_sub(self.account.nonce)?).ok()?;
        (position < self.pending).then(|| (position, &self.entries[position]))
    }

    /// Puts a transaction in, in the place of the one with its nonce if there is one, which is returned.
    pub fn insert(&mut self, checked: Checked, seq: u64, now: u64) -> (Option<Entry>, Vec<Arc<Recovered>>) {
        let (floor, spent) = (checked.price, U256::ZERO);
        let entry = Entry { checked, seq, announced: false, queued_since: None, floor, spent };
        let (position, replaced) = match self.position(entry.nonce()) {
            Ok(position) => (position, Some(std::mem::replace(&mut self.entries[position], entry))),
            Err(position) => {
                self.entries.insert(position, entry);
                (position, None)
            }
        };
        (replaced, self.settle(position, now))
    }

    /// Takes the last one away.
    pub fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_back();
        self.pending = self.pending.min(self.entries.len());
        entry
    }

    /// Puts back what [`pop`](Self::pop) took.
    pub fn push(&mut self, entry: Entry) {
        let since = entry.queued_since;
        self.pending += usize::from(since.is_none());
        self.entries.push_back(entry);
    }

    /// Takes one away from anywhere; those behind it wait for its nonce from then on.
    pub fn remove(&mut self, position: usize, now: u64) -> Option<Entry> {
        let entry = self.entries.remove(position);
        self.settle(position, now);
        entry
    }

    /// Takes over what a block left of the account. Drops what is stale, and what the account could not pay for even
    /// alone. Returns the dropped and the newly pending.
    pub fn update(&mut self, account: Account, now: u64) -> (Vec<Entry>, Vec<Arc<Recovered>>) {
        self.account = account;
        let stale = self.entries.partition_point(|entry| entry.nonce() < account.nonce);
        let mut dropped: Vec<_> = self.entries.drain(..stale).collect();
        if self.cost() > account.balance {
            let (kept, unpayable) =
                std::mem::take(&mut self.entries).into_iter().partition(|entry| entry.checked.cost <= account.balance);
            self.entries = kept;
            dropped.extend::<VecDeque<_>>(unpayable);
        }
        let promoted = self.settle(0, now);
        (dropped, promoted)
    }

    /// Drops those that have waited behind a gap since `deadline` or longer.
    pub fn expire(&mut self, deadline: u64) -> Vec<Entry> {
        let expired = |entry: &Entry| entry.queued_since.is_some_and(|since| since <= deadline);
        let Some(first) = self.entries.iter().position(expired) else { return Vec::new() };
        let (gone, kept) = std::mem::take(&mut self.entries).into_iter().partition(expired);
        self.entries = kept;
        // Only queued ones are gone: those that are left stay what they are.
        self.settle(first, deadline);
        gone.into()
    }

    /// Works out sums and who is pending again, from a position on. Returns the newly pending.
    fn settle(&mut self, from: usize, now: u64) -> Vec<Arc<Recovered>> {
        let mut before =
            from.checked_sub(1).and_then(|at| self.entries.get(at)).map(|entry| (entry.floor, entry.spent));
        for entry in self.entries.iter_mut().skip(from) {
            let (price, cost) = (entry.checked.price, entry.checked.cost);
            (entry.floor, entry.spent) = match before {
                Some((floor, spent)) => (floor.min(price), spent.saturating_add(cost)),
                None => (price, cost),
            };
            before = Some((entry.floor, entry.spent));
        }
        let first = self.pending.min(from);
        self.pending = first;
        let mut promoted = Vec::new();
        while let Some(entry) = self.entries.get_mut(self.pending)
            && self.account.nonce.checked_add(self.pending as u64) == Some(entry.nonce())
            && entry.spent <= self.account.balance
        {
            entry.queued_since = None;
            if !std::mem::replace(&mut entry.announced, true) {
                promoted.push(entry.checked.transaction.clone());
            }
            self.pending += 1;
        }
        for entry in self.entries.iter_mut().skip(self.pending.max(from)) {
            entry.queued_since.get_or_insert(now);
        }
        promoted
    }

    /// Panics unless everything that is derived agrees with what it is derived from.
    #[cfg(test)]
    pub fn assert_consistent(&self) {
        let mut fresh = self.clone();
        fresh.settle(0, 0);
        assert_eq!(fresh.pending, self.pending);
        for (position, (entry, fresh)) in self.entries.iter().zip(&fresh.entries).enumerate() {
            assert_eq!((entry.floor, entry.spent), (fresh.floor, fresh.spent));
            assert_eq!(entry.queued_since.is_none(), position < self.pending);
            assert!(entry.nonce() >= self.account.nonce);
        }
        assert!(self.entries.iter().zip(self.entries.iter().skip(1)).all(|(a, b)| a.nonce() < b.nonce()));
    }
}

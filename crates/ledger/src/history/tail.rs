//! The newest blocks, in memory.

use crate::{
    Committed,
    execute::Changes,
    state::{Key, Leaf},
};
use alloy_primitives::{B256, map::HashMap};
use std::{collections::VecDeque, sync::Arc};
use stoa_base::Block;

/// What the tail shall hold at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Index entries that its blocks stand for.
    pub(super) entries: usize,
    /// Blocks: a look-up of a past value goes through them.
    pub(super) blocks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 200_000, blocks: 1024 }
    }
}

/// A block of the tail.
#[derive(Clone)]
pub(super) struct Recent {
    pub(super) committed: Committed,
    /// Only the old values matter here.
    pub(super) changes: Arc<Changes>,
}

impl Recent {
    pub(super) fn number(&self) -> u64 {
        self.committed.block.number()
    }

    /// How many index entries it makes, about.
    pub(super) fn entries(&self) -> usize {
        1 + self.committed.receipts.len() + self.changes.len()
    }
}

/// Blocks without gaps, up to the newest. Never empty once there is a block.
#[derive(Default)]
pub(super) struct Tail {
    blocks: VecDeque<Recent>,
    transactions: HashMap<B256, (u64, usize)>,
    entries: usize,
    /// How many of the blocks are on their way to the disk, counted from the newest.
    unwritten: usize,
    limits: Limits,
}

impl Tail {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes a block in that is still to be written.
    pub(super) fn push_unwritten(&mut self, recent: Recent) {
        self.push(recent);
        self.unwritten += 1;
    }

    /// The blocks up to `number` are written.
    pub(super) fn written(&mut self, number: u64) {
        let above = self.newest().map_or(0, |newest| newest.saturating_sub(number));
        self.unwritten = self.unwritten.min(usize::try_from(above).unwrap_or(usize::MAX));
    }

    /// Takes a block in that was read from the disk.
    pub(super) fn push(&mut self, recent: Recent) {
        let number = recent.number();
        debug_assert!(self.newest().is_none_or(|newest| newest + 1 == number), "the tail has no gaps");
        self.entries += recent.entries();
        let transactions = recent.committed.block.transactions().iter().enumerate();
        self.transactions.extend(transactions.map(|(at, transaction)| (*transaction.tx_hash(), (number, at))));
        self.blocks.push_back(recent);
    }

    pub(super) fn pop_newest(&mut self) -> Option<Recent> {
        let recent = self.blocks.pop_back()?;
        self.unwritten = self.unwritten.saturating_sub(1);
        self.left(&recent);
        Some(recent)
    }

    /// Drops all blocks, of which none waits to be written.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.limits);
    }

    /// Drops the blocks up to `number`.
    pub(super) fn drop_up_to(&mut self, number: u64) {
        while self.oldest().is_some_and(|oldest| oldest <= number) {
            let recent = self.blocks.pop_front().expect("there is an oldest");
            self.left(&recent);
        }
    }

    fn left(&mut self, recent: &Recent) {
        self.entries -= recent.entries();
        for transaction in recent.committed.block.transactions() {
            self.transactions.remove(transaction.tx_hash());
        }
    }

    /// By how many times the tail is over what it shall hold, rounded down.
    pub(super) fn excess(&self) -> usize {
        (self.entries / self.limits.entries).max(self.blocks.len() / self.limits.blocks)
    }

    /// The blocks to index next: all that are written, but for the newest.
    pub(super) fn to_index(&self) -> Vec<Recent> {
        self.blocks.iter().take(self.blocks.len().saturating_sub(self.unwritten.max(1))).cloned().collect()
    }

    pub(super) fn oldest(&self) -> Option<u64> {
        self.blocks.front().map(Recent::number)
    }

    pub(super) fn newest(&self) -> Option<u64> {
        self.blocks.back().map(Recent::number)
    }

    /// The newest block, whose old values are about to change.
    pub(super) fn note(&mut self, changes: &Changes) -> Option<u64> {
        let newest = self.blocks.back_mut()?;
        self.entries -= newest.entries();
        Arc::make_mut(&mut newest.changes).add(changes);
        self.entries += newest.entries();
        self.unwritten = self.unwritten.max(1);
        Some(newest.number())
    }

    pub(super) fn get(&self, number: u64) -> Option<&Recent> {
        self.blocks.get(usize::try_from(number.checked_sub(self.oldest()?)?).ok()?)
    }

    pub(super) fn number(&self, hash: B256) -> Option<u64> {
        self.blocks.iter().rev().find(|recent| recent.committed.block.hash() == hash).map(Recent::number)
    }

    pub(super) fn transaction(&self, hash: &B256) -> Option<(u64, usize)> {
        self.transactions.get(hash).copied()
    }

    /// The value that `key` had before the first block from `number` on that changed it.
    #[expect(clippy::option_option, reason = "whether it changed, and then whether there was a value")]
    pub(super) fn value_before(&self, key: &Key, number: u64) -> Option<Option<Leaf>> {
        let skip = number.saturating_sub(self.oldest()?);
        let mut blocks = self.blocks.iter().skip(usize::try_from(skip).ok()?);
        blocks.find_map(|recent| recent.changes.get(key)).map(|change| change.old.clone())
    }

    /// The blocks of `from..=to` that are here.
    pub(super) fn blocks(&self, from: u64, to: u64) -> Vec<Arc<Block>> {
        let blocks = self.blocks.iter().filter(|recent| (from..=to).contains(&recent.number()));
        blocks.map(|recent| recent.committed.block.clone()).collect()
    }
}

use alloy_primitives::B256;
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use stoa_base::Block;
use stoa_ledger::Committed;

/// The newest blocks in memory: receipts are asked for right after their block, by everybody who sent something.
#[derive(Default)]
pub(crate) struct Recent {
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    blocks: BTreeMap<u64, Committed>,
    transactions: HashMap<B256, (u64, usize)>,
}

/// How many blocks and transactions are remembered at most.
const MAX_BLOCKS: usize = 128;
const MAX_TRANSACTIONS: usize = 100_000;

impl Inner {
    fn remove(&mut self, number: u64) {
        if let Some(committed) = self.blocks.remove(&number) {
            for transaction in committed.block.transactions() {
                self.transactions.remove(transaction.hash());
            }
        }
    }

    fn remove_from(&mut self, number: u64) {
        let gone: Vec<u64> = self.blocks.range(number..).map(|(number, _)| *number).collect();
        for number in gone {
            self.remove(number);
        }
    }
}

/// Whether a remembered block is still part of the chain, as far as the newest block shows.
fn stands(committed: &Committed, head: &Block) -> bool {
    let number = committed.block.number();
    number < head.number() || committed.block.hash() == head.hash()
}

impl Recent {
    /// Remembers a block that has just become final.
    pub fn insert(&self, committed: Committed) {
        let number = committed.block.number();
        let mut inner = self.inner.write();
        // On a development node a block may take the place of one that was undone.
        inner.remove_from(number);
        for (index, transaction) in committed.block.transactions().iter().enumerate() {
            inner.transactions.insert(*transaction.hash(), (number, index));
        }
        inner.blocks.insert(number, committed);
        while inner.blocks.len() > 1 && (inner.blocks.len() > MAX_BLOCKS || inner.transactions.len() > MAX_TRANSACTIONS)
        {
            let Some(oldest) = inner.blocks.keys().next().copied() else { break };
            inner.remove(oldest);
        }
    }

    pub fn forget_after(&self, number: u64) {
        self.inner.write().remove_from(number.saturating_add(1));
    }

    pub fn block(&self, number: u64, head: &Block) -> Option<Committed> {
        self.inner.read().blocks.get(&number).filter(|committed| stands(committed, head)).cloned()
    }

    pub fn transaction(&self, hash: B256, head: &Block) -> Option<(Committed, usize)> {
        let inner = self.inner.read();
        let (number, index) = *inner.transactions.get(&hash)?;
        inner.blocks.get(&number).filter(|committed| stands(committed, head)).map(|found| (found.clone(), index))
    }
}

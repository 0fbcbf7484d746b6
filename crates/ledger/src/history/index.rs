//! Indexing blocks many at a time.
//!
//! The entries of many blocks are sorted and handed to the store as whole tables, past its journal and memtable. What
//! they are made from is durable before, and indexing the same blocks again gives the same entries, so that a crash at any
//! point does no harm.

use super::{
    Store,
    encoding::{log_keys, transaction_key, undo_key, with_number},
    failed,
    tail::Recent,
};
use crate::LedgerError;
use fjall::{
    Keyspace, OwnedWriteBatch as WriteBatch, PersistMode,
    compaction::filter::{CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

impl Store {
    /// Moves all but the newest block of the tail to the indices, and forgets what nobody may ask for any more.
    pub(super) fn index(&self) -> Result<(), LedgerError> {
        let blocks = self.tail.read().to_index();
        let Some(newest) = blocks.last().map(Recent::number) else { return Ok(()) };
        self.database.persist(PersistMode::SyncData).map_err(failed)?;

        self.ingest_blocks(&blocks)?;
        let before = self.forgotten();
        let forgotten = newest.saturating_sub(self.window).max(before);
        let undo = blocks.iter().flat_map(|recent| {
            let keys = recent.changes.iter().map(|(key, _)| key);
            keys.map(|key| undo_key(key, recent.number()))
        });
        ingest(&self.undo, undo.collect())?;

        let mut batch = self.database.batch();
        batch.insert(&self.meta, "indexed", newest.to_be_bytes());
        batch.insert(&self.meta, "forgotten", forgotten.to_be_bytes());
        for number in before + 1..=forgotten {
            batch.remove(&self.changes, number.to_be_bytes());
        }
        // Nobody may ask for them any more before they go.
        self.forgotten.store(forgotten, Ordering::Relaxed);
        batch.commit().map_err(failed)?;
        self.tail.write().drop_up_to(newest);
        Ok(())
    }

    /// Adds blocks to the indices of transactions and logs.
    pub(super) fn ingest_blocks(&self, blocks: &[Recent]) -> Result<(), LedgerError> {
        let transactions = blocks.iter().flat_map(|recent| {
            let transactions = recent.committed.block.transactions().iter().enumerate();
            transactions.map(|(at, transaction)| transaction_key(transaction, recent.number(), at))
        });
        ingest(&self.transactions, transactions.collect())?;
        let logs = blocks.iter().flat_map(|recent| {
            let keys = log_keys(&recent.committed.receipts).into_iter();
            keys.map(|key| with_number(&key, recent.number()))
        });
        ingest(&self.logs, logs.collect())
    }

    /// Takes a block out of the indices.
    pub(super) fn remove_from_index(&self, batch: &mut WriteBatch, recent: &Recent) {
        let number = recent.number();
        for (at, transaction) in recent.committed.block.transactions().iter().enumerate() {
            batch.remove(&self.transactions, transaction_key(transaction, number, at));
        }
        for key in log_keys(&recent.committed.receipts) {
            batch.remove(&self.logs, with_number(&key, number));
        }
        for (key, _) in recent.changes.iter() {
            batch.remove(&self.undo, undo_key(key, number));
        }
    }
}

/// Adds entries without values to a keyspace as whole tables.
fn ingest<const N: usize>(keyspace: &Keyspace, mut entries: Vec<[u8; N]>) -> Result<(), LedgerError> {
    entries.sort_unstable();
    entries.dedup();
    let mut ingestion = keyspace.start_ingestion().map_err(failed)?;
    for key in entries {
        ingestion.write(key, []).map_err(failed)?;
    }
    ingestion.finish().map_err(failed)
}

/// Says which keyspace is compacted with which filter.
type Assigner = Arc<dyn Fn(&str) -> Option<Arc<dyn Factory>> + Send + Sync>;

/// Drops where old values are that no state within the window needs, whenever their tables are compacted.
pub(super) struct ForgetOld(Arc<AtomicU64>);

impl ForgetOld {
    /// For the keyspace of this name.
    pub(super) fn assign(keyspace: &'static str, forgotten: &Arc<AtomicU64>) -> Assigner {
        let forgotten = forgotten.clone();
        Arc::new(move |name| (name == keyspace).then(|| Arc::new(Self(forgotten.clone())) as Arc<dyn Factory>))
    }
}

impl Factory for ForgetOld {
    fn name(&self) -> &'static str {
        "forget-old"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(UpTo(self.0.load(Ordering::Relaxed)))
    }
}

struct UpTo(u64);

impl CompactionFilter for UpTo {
    fn filter_item(&mut self, item: ItemAccessor<'_>, _: &Context) -> CompactionFilterResult {
        let number = item.key().last_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        Ok(if number.is_some_and(|number| number <= self.0) { Verdict::Remove } else { Verdict::Keep })
    }
}

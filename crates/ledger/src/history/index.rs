//! Indexing blocks many at a time.
//!
//! The entries of many blocks are sorted and handed to the store as whole tables, past its journal and memtable. What
//! they are made from is durable before, and indexing the same blocks again gives the same entries, so that a crash at any
//! point does no harm.

use super::{
    Store,
    encoding::{TOGETHER, log_keys, transaction_key, undo_entry, undo_keys, undo_prefix, with_number},
    failed,
    tail::Recent,
};
use crate::{LedgerError, state::Key};
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
        ingest(&self.undo, undo_keys(blocks.iter().map(|recent| (recent.number(), &*recent.changes))))?;

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

    /// Numbers of the indexed blocks from `number` on that may have changed a key, in order.
    pub(super) fn changed_since(
        &self,
        key: &Key,
        number: u64,
    ) -> impl Iterator<Item = Result<u64, LedgerError>> + use<> {
        let entries = self.undo.range(undo_prefix(key, number)..undo_prefix(key, u64::MAX));
        let mut entries = entries.map(|entry| undo_entry(&entry.key().map_err(failed)?)).peekable();
        let together = std::iter::from_fn(move || {
            let first = entries.next()?;
            Some(first.map(|(first, mut blocks)| {
                // Indexed at another time.
                while let Some(Ok((_, more))) =
                    entries.next_if(|next| next.as_ref().is_ok_and(|(other, _)| *other == first))
                {
                    blocks |= more;
                }
                (first, blocks)
            }))
        });
        together.flat_map(move |entry| {
            let (first, blocks, error) = match entry {
                Ok((first, blocks)) => (first, blocks, None),
                Err(error) => (0, 0, Some(error)),
            };
            let changed = (first..).zip(0..u64::BITS).filter(move |(_, bit)| blocks >> bit & 1 == 1);
            let changed = changed.map(|(changed, _)| changed).filter(move |changed| *changed >= number);
            changed.map(Ok).chain(error.map(Err))
        })
    }

    /// Takes a block out of the indices. That of old values still says that there may be some, which costs a look.
    pub(super) fn remove_from_index(&self, batch: &mut WriteBatch, recent: &Recent) {
        let number = recent.number();
        for (at, transaction) in recent.committed.block.transactions().iter().enumerate() {
            batch.remove(&self.transactions, transaction_key(transaction, number, at));
        }
        for key in log_keys(&recent.committed.receipts) {
            batch.remove(&self.logs, with_number(&key, number));
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
        let entry = undo_entry(item.key());
        let forgotten = entry.is_ok_and(|(first, _)| first.saturating_add(TOGETHER) <= self.0.saturating_add(1));
        Ok(if forgotten { Verdict::Remove } else { Verdict::Keep })
    }
}

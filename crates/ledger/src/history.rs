//! What has happened: blocks, receipts, indices, and the old values that past states are read from.
//!
//! One log-structured store (`fjall`) beside the state database. A block is written as a few large values, in one batch
//! that is durable before its changes are applied to the state, so that a crash can leave history ahead of the state,
//! never behind it; writing a block again is harmless. The newest blocks also stay in memory ([`Tail`]), where reads find
//! them without an index; a thread indexes them many at a time, sorted ([`index`]), which costs a fraction of an index
//! entry by entry. What the indices lacked at a crash is read back from the blocks.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | blocks | number | header, seal, transactions, senders (RLP) |
//! | receipts | number | receipts (RLP) |
//! | changes | number | the state keys that the block changed, each with its value before |
//! | hashes | block hash | number |
//! | transactions | 8 bytes of the transaction's hash, number, position | - |
//! | logs | 8 bytes of the hash of address or topic, number | - |
//! | undo64 | 8 bytes of a state key, the first of 64 blocks, which of them changed it: a bit for each, the first's the lowest | - |
//! | certificates | number | what a quorum has signed of the block |
//! | meta | "genesis" | the genesis file (JSON) |
//! | meta | "indexed" | number of the newest indexed block |
//! | meta | "forgotten" | number of the newest block whose old values are gone |
//! | meta | "kept" | number of the block from which on all are there; 0 if it is missing |
//! | meta | "syncing" | there while the state is being taken over from a peer, and is of no use |
//!
//! A node that took over its state from a peer has block 0, then those from some way before that state on.

mod encoding;
mod index;
mod tail;
#[cfg(test)]
mod tests;

use crate::{
    Committed, LedgerError, LogFilter,
    execute::Changes,
    state::{Key, Leaf},
};
use alloy_consensus::Header;
use alloy_primitives::B256;
use encoding::{damaged, log_key, number_of};
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode,
    compaction::Leveled,
    config::{CompressionPolicy, FilterPolicy},
};
use index::ForgetOld;
use parking_lot::{Condvar, Mutex, RwLock};
use std::{
    collections::BTreeSet,
    ops::{Bound, RangeBounds, RangeInclusive},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
};
use stoa_base::Genesis;
use tail::{Limits, Recent, Tail};

/// The keyspace where old values are found.
const UNDO: &str = "undo64";

/// How many jobs may wait for the history's thread.
const JOBS: usize = 8;

/// The store. Blocking.
pub(crate) struct History {
    store: Arc<Store>,
    /// `None` only while the history is dropped.
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// What the history's thread does behind the caller's back.
enum Job {
    /// Write the blocks of these numbers, which are in the tail.
    Write(RangeInclusive<u64>),
    /// Index what the tail has too much of.
    Index,
}

struct Store {
    database: Database,
    blocks: Keyspace,
    receipts: Keyspace,
    changes: Keyspace,
    hashes: Keyspace,
    transactions: Keyspace,
    logs: Keyspace,
    undo: Keyspace,
    certificates: Keyspace,
    meta: Keyspace,
    tail: RwLock<Tail>,
    /// Of how many blocks back the state can be read.
    window: u64,
    /// Values replaced by blocks up to this one are needed by nobody.
    forgotten: Arc<AtomicU64>,
    progress: Mutex<Progress>,
    moved: Condvar,
}

#[derive(Default)]
struct Progress {
    queued: u64,
    done: u64,
    /// Blocks that wait to be written.
    writes: u64,
    /// Whether [`Job::Index`] waits already.
    indexing: bool,
    error: Option<String>,
}

fn failed(error: fjall::Error) -> LedgerError {
    LedgerError::Storage(format!("history: {error}"))
}

impl History {
    /// Opens or creates the store in a folder, with `cache` bytes for blocks read; old values are kept for `window` blocks.
    pub(crate) fn open(folder: &Path, cache: u64, window: u64) -> Result<Self, LedgerError> {
        Self::open_with(folder, cache, window, Limits::default())
    }

    fn open_with(folder: &Path, cache: u64, window: u64, limits: Limits) -> Result<Self, LedgerError> {
        let forgotten = Arc::new(AtomicU64::new(0));
        let database = Database::builder(folder)
            .cache_size(cache)
            // With more, the first of them spins for as long as another compacts.
            .worker_threads(1)
            // What is in it is written once more, compressed, and then gone.
            .journal_compression(CompressionType::None)
            .with_compaction_filter_factories(ForgetOld::assign(UNDO, &forgotten))
            .open()
            .map_err(failed)?;
        let is_told = database.keyspace_exists(UNDO);
        let small = |name| database.keyspace(name, KeyspaceCreateOptions::default).map_err(failed);
        // Keys that begin with hashes and are looked for by ranges: nothing to compress, no use for a filter of whole keys.
        // Each run of them covers all keys, so that merging one rewrites the whole next level: seldom, many at once.
        let merging = Leveled::default().with_l0_threshold(16).with_table_target_size(4 << 20);
        let ranges = KeyspaceCreateOptions::default()
            .compaction_strategy(Arc::new(merging))
            .data_block_compression_policy(CompressionPolicy::disabled())
            .filter_policy(FilterPolicy::disabled());
        let ranges = |name| database.keyspace(name, || ranges.clone()).map_err(failed);
        // Large values are not rewritten when their keys are compacted.
        let large = KeyspaceCreateOptions::default().with_kv_separation(Some(KvSeparationOptions::default()));
        let large = |name| database.keyspace(name, || large.clone()).map_err(failed);
        let store = Store {
            blocks: large("blocks")?,
            receipts: large("receipts")?,
            changes: large("changes")?,
            hashes: small("hashes")?,
            transactions: ranges("transactions")?,
            logs: ranges("logs")?,
            undo: ranges(UNDO)?,
            certificates: small("certificates")?,
            meta: small("meta")?,
            database,
            tail: RwLock::new(Tail::new(limits)),
            window,
            forgotten,
            progress: Mutex::default(),
            moved: Condvar::new(),
        };
        if !is_told && let Some(indexed) = store.indexed()? {
            // A folder from before this index had its present form: its old values are found no more.
            store.meta.insert("forgotten", indexed.to_be_bytes()).map_err(failed)?;
        }
        store.fill_tail()?;
        let store = Arc::new(store);
        let (jobs, queue) = sync_channel(JOBS);
        let worker = store.clone();
        let thread = std::thread::Builder::new().name("history".into()).spawn(move || {
            for job in queue {
                worker.work(&job);
            }
        });
        let thread = thread.map_err(|error| LedgerError::Storage(format!("no thread for the history: {error}")))?;
        Ok(Self { store, jobs: Some(jobs), thread: Some(thread) })
    }

    fn queue(&self, job: Job) -> Result<(), LedgerError> {
        let mut progress = self.store.progress.lock();
        progress.queued += 1;
        progress.writes += u64::from(matches!(job, Job::Write(_)));
        drop(progress);
        let jobs = self.jobs.as_ref().expect("only dropping takes it");
        jobs.send(job).map_err(|_| LedgerError::Storage("the history's thread ended".into()))
    }

    /// Waits until the history's thread has nothing to do.
    fn settle(&self) -> Result<(), LedgerError> {
        let mut progress = self.store.progress.lock();
        while progress.done < progress.queued {
            self.store.moved.wait(&mut progress);
        }
        progress.error.clone().map_or(Ok(()), |error| Err(LedgerError::Storage(error)))
    }

    /// Takes a block in: durably if `durable`, else it is on its way to the disk when this returns.
    pub(crate) fn append(
        &self,
        committed: &Committed,
        changes: &Arc<Changes>,
        durable: bool,
    ) -> Result<(), LedgerError> {
        let number = committed.block.number();
        let is_old = self.newest()?.is_some_and(|newest| newest >= number);
        if is_old && self.block_number(committed.block.hash())? == Some(number) {
            return Ok(());
        }
        self.extend(&[(committed.clone(), changes.clone())], durable)
    }

    /// Takes in blocks in a row, as [`append`](Self::append) does: written together. Those that are there from the first one's
    /// number on never joined the chain, and go.
    pub(crate) fn extend(&self, blocks: &[(Committed, Arc<Changes>)], durable: bool) -> Result<(), LedgerError> {
        let number = |(committed, _): &(Committed, Arc<Changes>)| committed.block.number();
        let (Some(first), Some(last)) = (blocks.first().map(number), blocks.last().map(number)) else { return Ok(()) };
        if self.newest()?.is_some_and(|newest| newest >= first) {
            self.truncate(first - 1)?;
        }
        let too_much = {
            let mut tail = self.store.tail.write();
            for (committed, changes) in blocks {
                tail.push_unwritten(Recent { committed: committed.clone(), changes: changes.clone() });
            }
            tail.excess()
        };
        if durable {
            // Blocks are written in order.
            if self.store.progress.lock().writes > 0 {
                self.settle()?;
            }
            self.store.write(first..=last, true)?;
        } else {
            self.queue(Job::Write(first..=last))?;
        }
        if too_much > 0 && !std::mem::replace(&mut self.store.progress.lock().indexing, true) {
            self.queue(Job::Index)?;
        }
        // Indexing lags far behind: let it catch up rather than fill the memory.
        if too_much > 4 { self.settle() } else { Ok(()) }
    }

    /// Writes down the genesis file, or checks that it is the one the chain began with.
    pub(crate) fn check_genesis(&self, genesis: &Genesis) -> Result<(), LedgerError> {
        let json = serde_json::to_vec(genesis).map_err(|error| LedgerError::Storage(error.to_string()))?;
        match self.store.meta.get("genesis").map_err(failed)? {
            None => self.store.meta.insert("genesis", json).map_err(failed),
            Some(kept) if *kept == *json => Ok(()),
            Some(_) => Err(LedgerError::OtherGenesis),
        }
    }

    /// Notes old values that were replaced after the newest block, unless that has noted older ones.
    pub(crate) fn note(&self, changes: &Changes) -> Result<(), LedgerError> {
        let newest = self.store.tail.write().note(changes);
        newest.map_or(Ok(()), |number| self.queue(Job::Write(number..=number)))
    }

    /// Forgets the blocks above `number`.
    pub(crate) fn truncate(&self, number: u64) -> Result<(), LedgerError> {
        self.settle()?;
        self.store.truncate(number)
    }

    /// The oldest block whose state can be told: the values that it left are all kept.
    pub(crate) fn oldest_state(&self) -> u64 {
        self.store.forgotten()
    }

    /// The newest block.
    pub(crate) fn newest(&self) -> Result<Option<u64>, LedgerError> {
        let newest = self.store.tail.read().newest();
        Ok(newest)
    }

    /// The values that keys had before block `number` or any later one changed them first.
    pub(crate) fn values_before(&self, number: u64) -> Result<Vec<(Key, Option<Leaf>)>, LedgerError> {
        self.settle()?;
        let mut first = alloy_primitives::map::HashMap::<Key, Option<Leaf>>::default();
        for number in number..=self.newest()?.unwrap_or(0) {
            for (key, change) in self.store.changes_of(number)?.iter() {
                first.entry(*key).or_insert_with(|| change.old.clone());
            }
        }
        Ok(first.into_iter().collect())
    }

    /// The value that `key` had after block `number`, if a later block changed it: `None` if none did.
    #[expect(clippy::option_option, reason = "whether it changed, and then whether there was a value")]
    pub(crate) fn value_after(&self, key: &Key, number: u64) -> Result<Option<Option<Leaf>>, LedgerError> {
        let found = self.value_before(key, number.saturating_add(1))?;
        // Asked again: old values may have been forgotten while this looked for one.
        let oldest = self.oldest_state();
        if number < oldest { Err(LedgerError::Pruned { asked: number, oldest }) } else { Ok(found) }
    }

    #[expect(clippy::option_option, reason = "whether it changed, and then whether there was a value")]
    fn value_before(&self, key: &Key, number: u64) -> Result<Option<Option<Leaf>>, LedgerError> {
        // The tail first: what leaves it meanwhile is in the index by then. The index is for the blocks before it.
        let (in_tail, oldest) = {
            let tail = self.store.tail.read();
            (tail.value_before(key, number), tail.oldest().unwrap_or(0))
        };
        if oldest <= number {
            return Ok(in_tail);
        }
        for changed in self.store.changed_since(key, number) {
            let changed = changed?;
            if changed >= oldest {
                break;
            }
            // Missing if it was forgotten meanwhile.
            let Some(changes) = self.store.changes.get(changed.to_be_bytes()).map_err(failed)? else { continue };
            let old = encoding::old_value(changed, &changes, key)?;
            // Else the block changed another key that begins alike.
            if old.is_some() {
                return Ok(old);
            }
        }
        Ok(in_tail)
    }

    /// A block with senders and receipts.
    pub(crate) fn block(&self, number: u64) -> Result<Option<Committed>, LedgerError> {
        let recent = self.store.tail.read().get(number).map(|recent| recent.committed.clone());
        recent.map_or_else(|| self.store.read(number), |committed| Ok(Some(committed)))
    }

    /// The header of a block, without its receipts being read.
    pub(crate) fn header(&self, number: u64) -> Result<Option<Header>, LedgerError> {
        let recent = self.store.tail.read().get(number).map(|recent| recent.committed.block.header().clone());
        if recent.is_some() {
            return Ok(recent);
        }
        let block = self.store.blocks.get(number.to_be_bytes()).map_err(failed)?;
        block.map(|block| encoding::header(number, &block)).transpose()
    }

    /// The number of the block with this hash.
    pub(crate) fn block_number(&self, hash: B256) -> Result<Option<u64>, LedgerError> {
        if let Some(number) = self.store.tail.read().number(hash) {
            return Ok(Some(number));
        }
        self.store.hashes.get(hash.0).map_err(failed)?.map(|bytes| number_of(&bytes)).transpose()
    }

    /// Block numbers and positions where a transaction with this hash may be: mostly one, sometimes another beside it.
    pub(crate) fn transaction(&self, hash: B256) -> Result<Vec<(u64, usize)>, LedgerError> {
        if let Some(place) = self.store.tail.read().transaction(&hash) {
            return Ok(vec![place]);
        }
        let entries = self.store.transactions.prefix(&hash[..8]);
        let places = entries.map(|entry| {
            let key = entry.key().map_err(failed)?;
            let position = key.get(16..).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
            let position = position.ok_or_else(|| LedgerError::Damaged("an index entry is too short".into()))?;
            Ok((number_of(&key[8..16])?, position as usize))
        });
        places.collect()
    }

    /// Numbers of the blocks in `from..=to` that may hold a log the filter wants; `None` if the filter says nothing. Looks for as
    /// long as `goes_on` says so; what it gives when that says no is of no use.
    pub(crate) fn blocks_with_logs_while(
        &self,
        from: u64,
        to: u64,
        filter: &LogFilter,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Option<BTreeSet<u64>>, LedgerError> {
        let addresses = filter.addresses.iter().map(|address| log_key(4, address.as_slice())).collect::<Vec<_>>();
        let topics = (0u8..).zip(&filter.topics);
        let topics = topics.map(|(at, any)| any.iter().map(|topic| log_key(at, topic.as_slice())).collect());
        let mut found: Option<BTreeSet<u64>> = None;
        // What is in them is looked at later: the next block waits for this lock.
        let recent = self.store.tail.read().blocks(from, to);
        for any in std::iter::once(addresses).chain(topics).filter(|any: &Vec<_>| !any.is_empty()) {
            let mut numbers = BTreeSet::new();
            for key in any {
                if !goes_on() {
                    return Ok(Some(BTreeSet::new()));
                }
                let (first, last) = (encoding::with_number(&key, from), encoding::with_number(&key, to));
                for entry in self.store.logs.range(first..=last) {
                    let key = entry.key().map_err(failed)?;
                    numbers.insert(number_of(&key[8..])?);
                }
            }
            found = Some(match found {
                Some(found) => found.intersection(&numbers).copied().collect(),
                None => numbers,
            });
        }
        Ok(found.map(|mut found| {
            let may_be_in = filter.hashed();
            let recent = recent.iter().filter(|block| may_be_in(&block.header().logs_bloom));
            found.extend(recent.map(|block| block.number()));
            found
        }))
    }

    /// From this block on all are kept.
    pub(crate) fn kept_from(&self) -> Result<u64, LedgerError> {
        Ok(self.store.noted("kept")?.unwrap_or(0))
    }

    /// Keeps a block's certificate.
    pub(crate) fn certify(&self, number: u64, certificate: &[u8]) -> Result<(), LedgerError> {
        self.store.certificates.insert(number.to_be_bytes(), certificate).map_err(failed)
    }

    /// The first block in `range` that has a certificate, or the last.
    pub(crate) fn certified(
        &self,
        range: impl RangeBounds<u64>,
        last: bool,
    ) -> Result<Option<(u64, Vec<u8>)>, LedgerError> {
        let bound = |bound: Bound<&u64>| bound.map(|number| number.to_be_bytes());
        let range = (bound(range.start_bound()), bound(range.end_bound()));
        let mut entries = self.store.certificates.range(range);
        let entry = if last { entries.next_back() } else { entries.next() };
        let Some(entry) = entry else { return Ok(None) };
        let (key, certificate) = entry.into_inner().map_err(failed)?;
        Ok(Some((number_of(&key)?, certificate.to_vec())))
    }

    /// Notes that the state is about to be taken over from a peer.
    pub(crate) fn begin_sync(&self) -> Result<(), LedgerError> {
        self.store.meta.insert("syncing", []).map_err(failed)?;
        self.store.database.persist(PersistMode::SyncAll).map_err(failed)
    }

    /// Whether the state was being taken over from a peer, and is of no use yet.
    pub(crate) fn is_syncing(&self) -> Result<bool, LedgerError> {
        self.store.meta.contains_key("syncing").map_err(failed)
    }

    /// Goes on from blocks without gaps whose last one's state was taken over from a peer.
    pub(crate) fn restart(&self, blocks: Vec<Committed>) -> Result<(), LedgerError> {
        self.settle()?;
        self.store.restart(blocks)
    }

    /// Bytes on disk.
    pub(crate) fn disk_space(&self) -> u64 {
        self.store.database.disk_space().unwrap_or(0)
    }

    /// Makes everything written so far survive a power cut.
    pub(crate) fn sync(&self) -> Result<(), LedgerError> {
        self.settle()?;
        self.store.database.persist(PersistMode::SyncAll).map_err(failed)
    }
}

impl Drop for History {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Store {
    fn work(&self, job: &Job) {
        let result = match job {
            Job::Write(numbers) => self.write(numbers.clone(), false),
            Job::Index => {
                self.progress.lock().indexing = false;
                self.index()
            }
        };
        let mut progress = self.progress.lock();
        progress.done += 1;
        progress.writes -= u64::from(matches!(job, Job::Write(_)));
        if let Err(error) = result {
            progress.error.get_or_insert(error.to_string());
        }
        self.moved.notify_all();
    }

    /// Writes blocks of the tail. They survive the end of the process on return, and a power cut if `durable`.
    fn write(&self, numbers: RangeInclusive<u64>, durable: bool) -> Result<(), LedgerError> {
        let blocks = {
            let tail = self.tail.read();
            numbers.filter_map(|number| tail.get(number).cloned()).collect::<Vec<_>>()
        };
        let Some(newest) = blocks.last().map(Recent::number) else { return Ok(()) };
        let mut batch = self.database.batch();
        for Recent { committed, changes } in &blocks {
            let key = committed.block.number().to_be_bytes();
            batch.insert(&self.blocks, key, encoding::block(committed));
            batch.insert(&self.receipts, key, alloy_rlp::encode(&*committed.receipts));
            batch.insert(&self.changes, key, encoding::changes(changes));
            batch.insert(&self.hashes, committed.block.hash().0, key);
        }
        let mode = if durable { PersistMode::SyncData } else { PersistMode::Buffer };
        batch.durability(Some(mode)).commit().map_err(failed)?;
        self.tail.write().written(newest);
        Ok(())
    }

    fn read(&self, number: u64) -> Result<Option<Committed>, LedgerError> {
        let key = number.to_be_bytes();
        let Some(block) = self.blocks.get(key).map_err(failed)? else { return Ok(None) };
        let receipts = self.receipts.get(key).map_err(failed)?;
        let receipts = receipts.ok_or_else(|| damaged("the receipts", number, "they are missing"))?;
        encoding::committed(number, &block, &receipts).map(Some)
    }

    /// What a block changed, with no new values; nothing where that is no longer kept.
    fn changes_of(&self, number: u64) -> Result<Changes, LedgerError> {
        let bytes = self.changes.get(number.to_be_bytes()).map_err(failed)?;
        bytes.map_or_else(|| Ok(Changes::default()), |bytes| encoding::decode_changes(number, &bytes))
    }

    fn load(&self, number: u64) -> Result<Recent, LedgerError> {
        let committed = self.read(number)?.ok_or_else(|| damaged("the body", number, "it is missing"))?;
        Ok(Recent { committed, changes: Arc::new(self.changes_of(number)?) })
    }

    fn noted(&self, what: &str) -> Result<Option<u64>, LedgerError> {
        self.meta.get(what).map_err(failed)?.map(|bytes| number_of(&bytes)).transpose()
    }

    fn indexed(&self) -> Result<Option<u64>, LedgerError> {
        self.noted("indexed")
    }

    fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Reads back what is not indexed, and the newest block in any case.
    fn fill_tail(&self) -> Result<(), LedgerError> {
        let newest = self.blocks.last_key_value().map(|entry| number_of(&entry.key().map_err(failed)?)).transpose()?;
        let Some(newest) = newest else { return Ok(()) };
        let from = self.indexed()?.map_or(0, |indexed| indexed + 1).min(newest);
        let mut tail = self.tail.write();
        for number in from..=newest {
            tail.push(self.load(number)?);
        }
        self.forgotten.store(self.noted("forgotten")?.unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }

    fn restart(&self, blocks: Vec<Committed>) -> Result<(), LedgerError> {
        let numbers = |committed: &Committed| committed.block.number();
        let (Some(oldest), Some(newest)) = (blocks.first().map(numbers), blocks.last().map(numbers)) else {
            return Ok(());
        };
        let recent = |committed| Recent { committed, changes: Arc::default() };
        let blocks = blocks.into_iter().map(recent).collect::<Vec<_>>();
        self.ingest_blocks(&blocks)?;
        let mut batch = self.database.batch();
        for Recent { committed, .. } in &blocks {
            let key = committed.block.number().to_be_bytes();
            batch.insert(&self.blocks, key, encoding::block(committed));
            batch.insert(&self.receipts, key, alloy_rlp::encode(&*committed.receipts));
            batch.insert(&self.hashes, committed.block.hash().0, key);
        }
        batch.insert(&self.meta, "indexed", newest.to_be_bytes());
        batch.insert(&self.meta, "forgotten", newest.to_be_bytes());
        batch.insert(&self.meta, "kept", oldest.to_be_bytes());
        batch.remove(&self.meta, "syncing");
        batch.durability(Some(PersistMode::SyncAll)).commit().map_err(failed)?;
        self.forgotten.store(newest, Ordering::Relaxed);
        let mut tail = self.tail.write();
        tail.clear();
        blocks.into_iter().next_back().into_iter().for_each(|newest| tail.push(newest));
        Ok(())
    }

    fn truncate(&self, number: u64) -> Result<(), LedgerError> {
        let mut tail = self.tail.write();
        let indexed = self.indexed()?;
        while let Some(newest) = tail.newest().filter(|newest| *newest > number) {
            let mut batch = self.database.batch();
            // In pieces, so that a long way back does not fill the memory.
            let down_to = newest.saturating_sub(1000).max(number);
            for gone in (down_to + 1..=newest).rev() {
                let recent = tail.pop_newest().map_or_else(|| self.load(gone), Ok)?;
                let key = gone.to_be_bytes();
                if indexed.is_some_and(|indexed| indexed >= gone) {
                    self.remove_from_index(&mut batch, &recent);
                }
                batch.remove(&self.blocks, key);
                batch.remove(&self.receipts, key);
                batch.remove(&self.changes, key);
                batch.remove(&self.hashes, recent.committed.block.hash().0);
                batch.remove(&self.certificates, key);
            }
            if indexed.is_some_and(|indexed| indexed > down_to) {
                batch.insert(&self.meta, "indexed", down_to.to_be_bytes());
            }
            batch.commit().map_err(failed)?;
            if tail.newest().is_none() {
                tail.push(self.load(down_to)?);
            }
        }
        if self.forgotten() > number {
            // What was forgotten had been replaced by blocks that are gone themselves now.
            self.meta.insert("forgotten", number.to_be_bytes()).map_err(failed)?;
            self.forgotten.store(number, Ordering::Relaxed);
        }
        Ok(())
    }
}

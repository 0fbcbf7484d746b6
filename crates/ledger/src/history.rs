//! What has happened: blocks, receipts, indices, and the old values that past states are read from.
//!
//! One log-structured store (`fjall`) beside the state database. A block's entries are written in one batch and are
//! durable before its changes are applied to the state, so that a crash can leave history ahead of the state, never
//! behind it; writing a block again is harmless.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | blocks | number | header, seal, transactions, senders (RLP) |
//! | receipts | number | receipts (RLP) |
//! | hashes | block hash | number |
//! | transactions | transaction hash | number, position |
//! | logs | 8 bytes of the hash of address or topic, number | - |
//! | undo | state key, number | the value before that block, empty if none |
//! | touched | number | the state keys that the block changed |
//! | meta | "genesis" | the genesis file (JSON) |
//!
//! Numbers are big-endian, so that ranges are scans.

use crate::{
    Committed, LedgerError, LogEntry, LogFilter,
    execute::Changes,
    state::{Key, Leaf},
};
use alloy_primitives::{Address, B256, keccak256};
use alloy_rlp::{Decodable, RlpDecodable, RlpEncodable};
use commonware_codec::{Copying, DecodeExt, Encode};
use commonware_cryptography::sha256::Digest;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use parking_lot::{Condvar, Mutex};
use std::{
    collections::{BTreeSet, HashSet},
    path::Path,
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
};
use stoa_base::{Block, Genesis, Receipt, Seal, Transaction};

#[derive(RlpEncodable, RlpDecodable)]
struct StoredBlock {
    header: alloy_consensus::Header,
    seal: Seal,
    transactions: Vec<Transaction>,
    senders: Vec<Address>,
}

/// The store. Cheap to clone; blocking.
#[derive(Clone)]
pub(crate) struct History {
    database: Database,
    blocks: Keyspace,
    receipts: Keyspace,
    hashes: Keyspace,
    transactions: Keyspace,
    logs: Keyspace,
    undo: Keyspace,
    touched: Keyspace,
    meta: Keyspace,
    /// Writes blocks behind the caller's back, where the caller does not need them on disk at once.
    writer: Option<Arc<Writer>>,
}

/// A thread that appends blocks in order.
struct Writer {
    queue: SyncSender<(Committed, Arc<Changes>)>,
    progress: Mutex<Progress>,
    moved: Condvar,
}

#[derive(Default)]
struct Progress {
    queued: u64,
    written: u64,
    error: Option<String>,
}

impl Writer {
    fn start(history: History) -> Arc<Self> {
        let (queue, blocks) = sync_channel::<(Committed, Arc<Changes>)>(WRITE_BEHIND);
        let writer = Arc::new(Self { queue, progress: Mutex::default(), moved: Condvar::new() });
        let weak = Arc::downgrade(&writer);
        std::thread::spawn(move || {
            for (committed, changes) in blocks {
                let result = history.write(&committed, &changes, false);
                let Some(writer) = weak.upgrade() else { return };
                let mut progress = writer.progress.lock();
                progress.written += 1;
                if let Err(error) = result {
                    progress.error.get_or_insert(error.to_string());
                }
                writer.moved.notify_all();
            }
        });
        writer
    }

    fn push(&self, committed: Committed, changes: Arc<Changes>) -> Result<(), LedgerError> {
        self.progress.lock().queued += 1;
        self.queue.send((committed, changes)).map_err(|_| LedgerError::Storage("the history's writer ended".into()))
    }

    /// Waits until everything that was pushed is written.
    fn flush(&self) -> Result<(), LedgerError> {
        let mut progress = self.progress.lock();
        while progress.written < progress.queued {
            self.moved.wait(&mut progress);
        }
        match &progress.error {
            Some(error) => Err(LedgerError::Storage(error.clone())),
            None => Ok(()),
        }
    }
}

/// How many blocks may wait to be written.
const WRITE_BEHIND: usize = 4;

fn failed(error: fjall::Error) -> LedgerError {
    LedgerError::Storage(format!("history: {error}"))
}

fn damaged(what: &str, number: u64, why: impl std::fmt::Display) -> LedgerError {
    LedgerError::Damaged(format!("{what} of block {number} in the history cannot be read ({why})"))
}

fn number_of(bytes: &[u8]) -> Result<u64, LedgerError> {
    let bytes = bytes.try_into().map_err(|_| LedgerError::Damaged("a number in the history is not 8 bytes".into()))?;
    Ok(u64::from_be_bytes(bytes))
}

fn with_number(prefix: &[u8], number: u64) -> Vec<u8> {
    [prefix, &number.to_be_bytes()].concat()
}

/// What an address or a topic at some position is indexed by. Collisions cost a look at one block more.
fn log_key(position: u8, value: &[u8]) -> [u8; 8] {
    let hash = keccak256([&[position], value].concat());
    hash[..8].try_into().expect("a hash has 32 bytes")
}

impl History {
    /// Opens or creates the store in a folder, with `cache` bytes for blocks read.
    ///
    /// With `behind`, blocks are appended behind the caller's back; whoever reads waits for them.
    pub(crate) fn open(folder: &Path, cache: u64, behind: bool) -> Result<Self, LedgerError> {
        let database = Database::builder(folder).cache_size(cache).open().map_err(failed)?;
        let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default).map_err(failed);
        let history = Self {
            blocks: keyspace("blocks")?,
            receipts: keyspace("receipts")?,
            hashes: keyspace("hashes")?,
            transactions: keyspace("transactions")?,
            logs: keyspace("logs")?,
            undo: keyspace("undo")?,
            touched: keyspace("touched")?,
            meta: keyspace("meta")?,
            database,
            writer: None,
        };
        let writer = behind.then(|| Writer::start(history.clone()));
        Ok(Self { writer, ..history })
    }

    /// Waits for blocks that are being written.
    fn settle(&self) -> Result<(), LedgerError> {
        self.writer.as_ref().map_or(Ok(()), |writer| writer.flush())
    }

    /// Takes a block in, durably if `durable`; else it may still be on its way when this returns.
    pub(crate) fn append(
        &self,
        committed: &Committed,
        changes: &Arc<Changes>,
        durable: bool,
    ) -> Result<(), LedgerError> {
        match &self.writer {
            Some(writer) if !durable => writer.push(committed.clone(), changes.clone()),
            _ => self.write(committed, changes, durable),
        }
    }

    /// Writes down the genesis file, or checks that it is the one the chain began with.
    pub(crate) fn check_genesis(&self, genesis: &Genesis) -> Result<(), LedgerError> {
        let json = serde_json::to_vec(genesis).map_err(|error| LedgerError::Storage(error.to_string()))?;
        match self.meta.get("genesis").map_err(failed)? {
            None => self.meta.insert("genesis", json).map_err(failed),
            Some(kept) if *kept == *json => Ok(()),
            Some(_) => Err(LedgerError::Damaged("the folder holds a chain with another genesis".into())),
        }
    }

    /// Notes old values that were replaced after block `number` was written, unless it has noted older ones.
    pub(crate) fn note(&self, number: u64, changes: &Changes) -> Result<(), LedgerError> {
        self.settle()?;
        let mut touched = self.touched(number)?;
        let mut batch = self.database.batch();
        for (key, change) in changes {
            let place = with_number(&key.0, number);
            if !self.undo.contains_key(&place).map_err(failed)? {
                let old = change.old.as_ref().map(|leaf| leaf.encode().to_vec()).unwrap_or_default();
                batch.insert(&self.undo, place, old);
                touched.push(*key);
            }
        }
        let touched = touched.iter().flat_map(|key| key.0).collect::<Vec<u8>>();
        batch.insert(&self.touched, number.to_be_bytes(), touched);
        batch.commit().map_err(failed)
    }

    /// Writes a block with all its entries. Survives the end of the process on return, and a power cut if `durable`.
    fn write(&self, committed: &Committed, changes: &Changes, durable: bool) -> Result<(), LedgerError> {
        let block = &committed.block;
        let number = block.number();
        let mut batch = self.database.batch();
        let stored = StoredBlock {
            header: block.header().clone(),
            seal: block.seal().clone(),
            transactions: block.transactions().to_vec(),
            senders: committed.senders.to_vec(),
        };
        let key = number.to_be_bytes();
        batch.insert(&self.blocks, key, alloy_rlp::encode(&stored));
        batch.insert(&self.receipts, key, alloy_rlp::encode(&*committed.receipts));
        batch.insert(&self.hashes, block.hash().0, key);
        for (index, transaction) in block.transactions().iter().enumerate() {
            let place = with_number(&key, index as u64);
            batch.insert(&self.transactions, transaction.tx_hash().0, place);
        }
        for entry in log_keys(&committed.receipts) {
            batch.insert(&self.logs, with_number(&entry, number), []);
        }
        let mut touched = Vec::with_capacity(changes.len() * 32);
        for (state_key, change) in changes.iter() {
            touched.extend_from_slice(&state_key.0);
            let old = change.old.as_ref().map(|leaf| leaf.encode().to_vec()).unwrap_or_default();
            batch.insert(&self.undo, with_number(&state_key.0, number), old);
        }
        batch.insert(&self.touched, key, touched);
        let mode = if durable { PersistMode::SyncData } else { PersistMode::Buffer };
        batch.durability(Some(mode)).commit().map_err(failed)
    }

    /// Forgets the blocks above `number`, newest first.
    pub(crate) fn truncate(&self, number: u64) -> Result<(), LedgerError> {
        self.settle()?;
        while let Some(newest) = self.newest()?
            && newest > number
        {
            let committed = self.block(newest)?.ok_or_else(|| damaged("the body", newest, "it is missing"))?;
            let key = newest.to_be_bytes();
            let mut batch = self.database.batch();
            batch.remove(&self.blocks, key);
            batch.remove(&self.receipts, key);
            batch.remove(&self.hashes, committed.block.hash().0);
            for transaction in committed.block.transactions() {
                batch.remove(&self.transactions, transaction.tx_hash().0);
            }
            for entry in log_keys(&committed.receipts) {
                batch.remove(&self.logs, with_number(&entry, newest));
            }
            for state_key in self.touched(newest)? {
                batch.remove(&self.undo, with_number(&state_key.0, newest));
            }
            batch.remove(&self.touched, key);
            batch.commit().map_err(failed)?;
        }
        Ok(())
    }

    /// Forgets the old values that only states before block `number` need.
    pub(crate) fn prune_undo(&self, number: u64) -> Result<(), LedgerError> {
        self.settle()?;
        let key = number.to_be_bytes();
        let mut batch = self.database.batch();
        for state_key in self.touched(number)? {
            batch.remove(&self.undo, with_number(&state_key.0, number));
        }
        batch.remove(&self.touched, key);
        batch.commit().map_err(failed)
    }

    /// The newest block.
    pub(crate) fn newest(&self) -> Result<Option<u64>, LedgerError> {
        self.settle()?;
        self.blocks.last_key_value().map(|entry| number_of(&entry.key().map_err(failed)?)).transpose()
    }

    /// The state keys that a block changed.
    pub(crate) fn touched(&self, number: u64) -> Result<Vec<Key>, LedgerError> {
        self.settle()?;
        let bytes = self.touched.get(number.to_be_bytes()).map_err(failed)?.unwrap_or_default();
        if bytes.len() % 32 != 0 {
            return Err(damaged("the list of changes", number, "its length is no multiple of 32"));
        }
        Ok(bytes.chunks_exact(32).map(|key| Digest(key.try_into().expect("chunks of 32"))).collect())
    }

    /// The value that `key` had after block `number`, if a later block changed it: `None` if none did.
    #[expect(clippy::option_option, reason = "whether it changed, and then whether there was a value")]
    pub(crate) fn value_after(&self, key: &Key, number: u64) -> Result<Option<Option<Leaf>>, LedgerError> {
        self.value_since(key, number.saturating_add(1))
    }

    /// The value that `key` had before the first change in block `number` or later, if there was one.
    #[expect(clippy::option_option, reason = "whether it changed, and then whether there was a value")]
    pub(crate) fn value_since(&self, key: &Key, number: u64) -> Result<Option<Option<Leaf>>, LedgerError> {
        self.settle()?;
        let range = with_number(&key.0, number)..=with_number(&key.0, u64::MAX);
        let Some(entry) = self.undo.range(range).next() else { return Ok(None) };
        let value = entry.value().map_err(failed)?;
        if value.is_empty() {
            return Ok(Some(None));
        }
        Leaf::decode(Copying(&value)).map(|leaf| Some(Some(leaf))).map_err(|why| damaged("an old value", number, why))
    }

    /// A block with senders and receipts.
    pub(crate) fn block(&self, number: u64) -> Result<Option<Committed>, LedgerError> {
        self.settle()?;
        let key = number.to_be_bytes();
        let Some(bytes) = self.blocks.get(key).map_err(failed)? else { return Ok(None) };
        let stored = StoredBlock::decode(&mut &*bytes).map_err(|why| damaged("the body", number, why))?;
        let bytes = self.receipts.get(key).map_err(failed)?;
        let bytes = bytes.ok_or_else(|| damaged("the receipts", number, "they are missing"))?;
        let receipts = Vec::<Receipt>::decode(&mut &*bytes).map_err(|why| damaged("the receipts", number, why))?;
        let block = Block::new(stored.header, stored.seal, stored.transactions);
        Ok(Some(Committed { block: Arc::new(block), receipts: Arc::new(receipts), senders: Arc::new(stored.senders) }))
    }

    /// The number of the block with this hash.
    pub(crate) fn block_number(&self, hash: B256) -> Result<Option<u64>, LedgerError> {
        self.settle()?;
        self.hashes.get(hash.0).map_err(failed)?.map(|bytes| number_of(&bytes)).transpose()
    }

    /// Block number and position of a transaction.
    pub(crate) fn transaction(&self, hash: B256) -> Result<Option<(u64, usize)>, LedgerError> {
        self.settle()?;
        let Some(bytes) = self.transactions.get(hash.0).map_err(failed)? else { return Ok(None) };
        let (number, index) = bytes.split_at_checked(8).unwrap_or((&bytes, &[]));
        Ok(Some((number_of(number)?, number_of(index)? as usize)))
    }

    /// Numbers of the blocks in `from..=to` that may hold a log the filter wants; `None` if the filter says nothing.
    pub(crate) fn blocks_with_logs(
        &self,
        from: u64,
        to: u64,
        filter: &LogFilter,
    ) -> Result<Option<BTreeSet<u64>>, LedgerError> {
        self.settle()?;
        let addresses = filter.addresses.iter().map(|address| log_key(4, address.as_slice())).collect::<Vec<_>>();
        let topics = (0u8..).zip(&filter.topics);
        let topics = topics.map(|(at, any)| any.iter().map(|topic| log_key(at, topic.as_slice())).collect());
        let mut found: Option<BTreeSet<u64>> = None;
        for any in std::iter::once(addresses).chain(topics).filter(|any| !any.is_empty()) {
            let mut numbers = BTreeSet::new();
            for key in any {
                for entry in self.logs.range(with_number(&key, from)..=with_number(&key, to)) {
                    let key = entry.key().map_err(failed)?;
                    numbers.insert(number_of(&key[8..])?);
                }
            }
            found = Some(match found {
                Some(found) => found.intersection(&numbers).copied().collect(),
                None => numbers,
            });
        }
        Ok(found)
    }

    /// Bytes on disk.
    pub(crate) fn disk_space(&self) -> u64 {
        self.database.disk_space().unwrap_or(0)
    }

    /// Makes everything written so far survive a power cut.
    pub(crate) fn sync(&self) -> Result<(), LedgerError> {
        self.settle()?;
        self.database.persist(PersistMode::SyncAll).map_err(failed)
    }
}

/// The index entries of a block's logs, each once.
fn log_keys(receipts: &[Receipt]) -> HashSet<[u8; 8]> {
    let mut seen = HashSet::new();
    let mut keys = HashSet::new();
    for log in receipts.iter().flat_map(|receipt| &receipt.logs) {
        if seen.insert((4, B256::left_padding_from(log.address.as_slice()))) {
            keys.insert(log_key(4, log.address.as_slice()));
        }
        for (at, topic) in (0u8..).zip(log.topics()) {
            if seen.insert((at, *topic)) {
                keys.insert(log_key(at, topic.as_slice()));
            }
        }
    }
    keys
}

/// The logs of one block that the filter wants, in order.
pub(crate) fn matching_logs<'a>(
    committed: &'a Committed,
    filter: &'a LogFilter,
) -> impl Iterator<Item = LogEntry> + 'a {
    let block = &committed.block;
    let mut index = 0;
    committed.receipts.iter().enumerate().flat_map(move |(at, receipt)| {
        let first = index;
        index += receipt.logs.len() as u64;
        receipt.logs.iter().zip(first..).filter(|(log, _)| filter.matches(log)).map(move |(log, log_index)| LogEntry {
            log: log.clone(),
            block_number: block.number(),
            block_hash: block.hash(),
            block_timestamp: block.header().timestamp,
            transaction_hash: *block.transactions()[at].tx_hash(),
            transaction_index: at as u64,
            log_index,
        })
    })
}

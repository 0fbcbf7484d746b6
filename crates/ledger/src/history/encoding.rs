//! Bytes of the history's keys and values.

use crate::{
    Committed, LedgerError,
    execute::{Change, Changes},
    state::{Key, Leaf},
};
use alloy_consensus::Header;
use alloy_primitives::{
    Address, keccak256,
    map::{AddressSet, B256Set},
};
use alloy_rlp::{Decodable as _, RlpDecodable, RlpEncodable};
use commonware_codec::{Copying, DecodeExt as _, EncodeSize as _, Write as _};
use commonware_cryptography::sha256::Digest;
use std::sync::Arc;
use stoa_base::{Block, Receipt, Seal, Transaction};

#[derive(RlpDecodable)]
struct StoredBlock {
    header: Header,
    seal: Seal,
    transactions: Vec<Transaction>,
    senders: Vec<Address>,
}

/// The same, to write.
#[derive(RlpEncodable)]
struct BlockToStore<'a> {
    header: &'a Header,
    seal: &'a Seal,
    transactions: Vec<&'a Transaction>,
    senders: &'a Vec<Address>,
}

pub(super) fn damaged(what: &str, number: u64, why: impl std::fmt::Display) -> LedgerError {
    LedgerError::Damaged(format!("{what} of block {number} in the history cannot be read ({why})"))
}

pub(super) fn number_of(bytes: &[u8]) -> Result<u64, LedgerError> {
    let bytes = bytes.try_into().map_err(|_| LedgerError::Damaged("a number in the history is not 8 bytes".into()))?;
    Ok(u64::from_be_bytes(bytes))
}

pub(super) fn with_number(prefix: &[u8; 8], number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(prefix);
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

/// How many blocks the index of old values tells together, from a multiple of it on.
pub(super) const TOGETHER: u64 = u64::BITS as u64;

/// The beginning of all index entries of what the blocks that are told together with this one changed.
pub(super) fn undo_prefix(key: &Key, number: u64) -> [u8; 16] {
    with_number(key.0.first_chunk().expect("a key has 32 bytes"), number - number % TOGETHER)
}

/// The first of the blocks that an index entry tells of, and which of them changed the key, a bit for each.
pub(super) fn undo_entry(entry: &[u8]) -> Result<(u64, u64), LedgerError> {
    let (first, blocks) = entry.get(8..).and_then(|numbers| numbers.split_at_checked(8)).unwrap_or_default();
    Ok((number_of(first)?, number_of(blocks)?))
}

/// The index entries of what blocks changed.
pub(super) fn undo_keys<'a>(blocks: impl Iterator<Item = (u64, &'a Changes)>) -> Vec<[u8; 24]> {
    let places = blocks.flat_map(|(number, changes)| {
        changes.iter().map(move |(key, _)| (*key.0.first_chunk::<8>().expect("a key has 32 bytes"), number))
    });
    let mut places = places.collect::<Vec<_>>();
    // Those of each block are in order already, and only have to be merged.
    places.sort();
    let together = places.chunk_by(|a, b| (a.0, a.1 / TOGETHER) == (b.0, b.1 / TOGETHER));
    let entry = |together: &[([u8; 8], u64)]| {
        let (beginning, number) = together[0];
        let blocks = together.iter().fold(0, |blocks, (_, number)| blocks | 1 << (number % TOGETHER));
        let mut entry = [0; 24];
        entry[..16].copy_from_slice(&with_number(&beginning, number - number % TOGETHER));
        entry[16..].copy_from_slice(&u64::to_be_bytes(blocks));
        entry
    };
    together.map(entry).collect()
}

pub(super) fn transaction_key(transaction: &Transaction, number: u64, position: usize) -> [u8; 20] {
    let mut key = [0; 20];
    key[..8].copy_from_slice(&transaction.tx_hash()[..8]);
    key[8..16].copy_from_slice(&number.to_be_bytes());
    key[16..].copy_from_slice(&(position as u32).to_be_bytes());
    key
}

/// What an address or a topic at some position is indexed by. Collisions cost a look at one block more.
pub(super) fn log_key(position: u8, value: &[u8]) -> [u8; 8] {
    let mut input = [0; 33];
    input[0] = position;
    input[1..=value.len()].copy_from_slice(value);
    let hash = keccak256(&input[..=value.len()]);
    hash[..8].try_into().expect("a hash has 32 bytes")
}

/// The index entries of a block's logs, each once.
pub(super) fn log_keys(receipts: &[Receipt]) -> Vec<[u8; 8]> {
    let (mut addresses, mut topics) = (AddressSet::default(), [(); 4].map(|()| B256Set::default()));
    let mut keys = Vec::new();
    for log in receipts.iter().flat_map(|receipt| &receipt.logs) {
        if addresses.insert(log.address) {
            keys.push(log_key(4, log.address.as_slice()));
        }
        for ((at, topic), seen) in (0u8..).zip(log.topics()).zip(&mut topics) {
            if seen.insert(*topic) {
                keys.push(log_key(at, topic.as_slice()));
            }
        }
    }
    keys
}

pub(super) fn block(committed: &Committed) -> Vec<u8> {
    let block = &committed.block;
    alloy_rlp::encode(BlockToStore {
        header: block.header(),
        seal: block.seal(),
        transactions: block.transactions().iter().collect(),
        senders: &committed.senders,
    })
}

/// The header alone of what [`block`] wrote.
pub(super) fn header(number: u64, block: &[u8]) -> Result<Header, LedgerError> {
    let fields = alloy_rlp::Header::decode_bytes(&mut &*block, true);
    fields.and_then(|mut fields| Header::decode(&mut fields)).map_err(|why| damaged("the body", number, why))
}

pub(super) fn committed(number: u64, block: &[u8], receipts: &[u8]) -> Result<Committed, LedgerError> {
    let stored = StoredBlock::decode(&mut &*block).map_err(|why| damaged("the body", number, why))?;
    let receipts = Vec::<Receipt>::decode(&mut &*receipts).map_err(|why| damaged("the receipts", number, why))?;
    let block = Block::new(stored.header, stored.seal, stored.transactions);
    Ok(Committed { block: Arc::new(block), receipts: Arc::new(receipts), senders: Arc::new(stored.senders) })
}

/// Each key, the length of its old value in 4 bytes, and the old value.
pub(super) fn changes(changes: &Changes) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(changes.len() * 64);
    for (key, change) in changes.iter() {
        bytes.extend_from_slice(&key.0);
        let length = change.old.as_ref().map_or(0, |old| old.encode_size());
        bytes.extend_from_slice(&(length as u32).to_be_bytes());
        if let Some(old) = &change.old {
            old.write(&mut bytes);
        }
    }
    bytes
}

/// Goes through what [`changes`] wrote: each key with the bytes of its old value.
fn entries(number: u64, mut bytes: &[u8]) -> impl Iterator<Item = Result<(&[u8; 32], &[u8]), LedgerError>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let entry = (|| {
            let (key, rest) = bytes.split_first_chunk::<32>()?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let (old, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            bytes = rest;
            Some((key, old))
        })();
        if entry.is_none() {
            bytes = &[];
        }
        Some(entry.ok_or_else(|| damaged("the old values", number, "they end too early")))
    })
}

fn decode_old(number: u64, old: &[u8]) -> Result<Option<Leaf>, LedgerError> {
    if old.is_empty() {
        return Ok(None);
    }
    Leaf::decode(Copying(old)).map(Some).map_err(|why| damaged("an old value", number, why))
}

pub(super) fn decode_changes(number: u64, bytes: &[u8]) -> Result<Changes, LedgerError> {
    let change = |entry: Result<(&[u8; 32], &[u8]), LedgerError>| {
        let (key, old) = entry?;
        Ok((Digest(*key), Change { old: decode_old(number, old)?, new: None }))
    };
    entries(number, bytes).map(change).collect::<Result<Vec<_>, LedgerError>>().map(Into::into)
}

/// The value that `key` had before a block, if the block changed it: `None` if it did not.
#[expect(clippy::option_option, reason = "whether it changed, and then whether there was a value")]
pub(super) fn old_value(number: u64, bytes: &[u8], key: &Key) -> Result<Option<Option<Leaf>>, LedgerError> {
    // Every entry up to the key's is looked at, for they are in order.
    for entry in entries(number, bytes) {
        let (found, old) = entry?;
        if *found == key.0 {
            return decode_old(number, old).map(Some);
        }
        if *found > key.0 {
            break;
        }
    }
    Ok(None)
}

//! Bytes of the history's keys and values.

use crate::{
    Committed, LedgerError,
    execute::{Change, Changes},
    state::{Key, Leaf},
};
use alloy_consensus::Header;
use alloy_primitives::{Address, keccak256};
use alloy_rlp::{Decodable as _, RlpDecodable, RlpEncodable};
use commonware_codec::{Copying, DecodeExt as _, EncodeSize as _, Write as _};
use commonware_cryptography::sha256::Digest;
use std::{collections::HashSet, sync::Arc};
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

pub(super) fn undo_key(key: &Key, number: u64) -> [u8; 40] {
    let mut bytes = [0; 40];
    bytes[..32].copy_from_slice(&key.0);
    bytes[32..].copy_from_slice(&number.to_be_bytes());
    bytes
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
    let mut seen = HashSet::<(u8, [u8; 32]), alloy_primitives::map::DefaultHashBuilder>::default();
    let mut keys = Vec::new();
    for log in receipts.iter().flat_map(|receipt| &receipt.logs) {
        if seen.insert((4, log.address.into_word().0)) {
            keys.push(log_key(4, log.address.as_slice()));
        }
        for (at, topic) in (0u8..).zip(log.topics()) {
            if seen.insert((at, topic.0)) {
                keys.push(log_key(at, topic.as_slice()));
            }
        }
    }
    keys
}

/// An old value as the undo index holds it.
pub(super) fn old_value(change: &Change) -> Vec<u8> {
    let Some(old) = &change.old else { return Vec::new() };
    let mut bytes = Vec::with_capacity(old.encode_size());
    old.write(&mut bytes);
    bytes
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

pub(super) fn decode_changes(number: u64, mut bytes: &[u8]) -> Result<Changes, LedgerError> {
    let short = || damaged("the old values", number, "they end too early");
    let mut changes = Vec::new();
    while !bytes.is_empty() {
        let (key, rest) = bytes.split_first_chunk::<32>().ok_or_else(short)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (old, rest) = rest.split_at_checked(length).ok_or_else(short)?;
        let old = if old.is_empty() {
            None
        } else {
            Some(Leaf::decode(Copying(old)).map_err(|why| damaged("an old value", number, why))?)
        };
        changes.push((Digest(*key), Change { old, new: None }));
        bytes = rest;
    }
    Ok(changes.into())
}

//! How the journal's records are written and read.
//!
//! A record is a mark, the payload's length (4 bytes, little-endian), a checksum (XXH3, 8 bytes) and the payload: a byte
//! that says what follows, then a sender with its EIP-2718 transaction, or the hash of a transaction that was removed.
//!
//! A record that does not check is passed over, up to the next mark. Bytes of a transaction could look like a record of
//! their own to a reader that has lost its way, so once something was damaged, senders are recovered from the signatures
//! instead of believed.

use crate::{
    MAX_TRANSACTION_BYTES,
    decode::{decode, recover},
};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256};
use std::io::{self, Read};
use stoa_base::Recovered;
use xxhash_rust::xxh3::xxh3_64;

/// Begins each record; the digit is the format's version.
const MARK: [u8; 4] = *b"Stx1";
/// Mark, length and checksum.
const HEAD: usize = 16;
const TRANSACTION: u8 = 1;
const REMOVED: u8 = 2;
/// The longest payload.
const MAX_PAYLOAD: usize = 1 + 20 + MAX_TRANSACTION_BYTES;

/// What the journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Accepted(Box<Recovered>),
    Removed(B256),
}

/// Encodes a record of an accepted transaction.
pub(crate) fn accepted(transaction: &Recovered) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEAD + 21 + transaction.inner().encode_2718_len());
    record.extend([0; HEAD]);
    record.push(TRANSACTION);
    record.extend(transaction.signer());
    transaction.inner().encode_2718(&mut record);
    seal(record)
}

/// Encodes a record of a removal.
pub(crate) fn removed(hash: &B256) -> Vec<u8> {
    let mut record = vec![0; HEAD];
    record.push(REMOVED);
    record.extend(hash);
    seal(record)
}

fn seal(mut record: Vec<u8>) -> Vec<u8> {
    let (head, payload) = record.split_at_mut(HEAD);
    head[..4].copy_from_slice(&MARK);
    // A transaction is at most 128 KiB.
    head[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    head[8..].copy_from_slice(&xxh3_64(payload).to_le_bytes());
    record
}

/// Reads records one after the other.
pub(crate) struct Records<R> {
    source: R,
    window: Vec<u8>,
    at: usize,
    ended: bool,
    damaged: u64,
}

impl<R: Read> Records<R> {
    pub fn new(source: R) -> Self {
        Self { source, window: Vec::new(), at: 0, ended: false, damaged: 0 }
    }

    /// Bytes that were passed over so far.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// The next record that is whole.
    ///
    /// # Errors
    ///
    /// If the source cannot be read.
    pub fn next(&mut self) -> io::Result<Option<Record>> {
        loop {
            self.fill()?;
            let rest = &self.window[self.at..];
            if rest.is_empty() {
                return Ok(None);
            }
            let skipped = match frame(rest) {
                Some(payload) => {
                    let used = HEAD + payload.len();
                    match parse(payload, self.damaged == 0) {
                        Some(record) => {
                            self.at += used;
                            return Ok(Some(record));
                        }
                        None => used,
                    }
                }
                None => match memchr::memmem::find(&rest[1..], &MARK) {
                    Some(next) => next + 1,
                    None if self.ended => rest.len(),
                    // A mark may begin in the last bytes.
                    None => rest.len() - (MARK.len() - 1),
                },
            };
            self.at += skipped;
            self.damaged += skipped as u64;
        }
    }

    /// Makes sure that the window holds a whole record, if the source does.
    fn fill(&mut self) -> io::Result<()> {
        const WHOLE: usize = HEAD + MAX_PAYLOAD;
        if self.ended || self.window.len() - self.at >= WHOLE {
            return Ok(());
        }
        self.window.drain(..self.at);
        self.at = 0;
        let wanted = (8 * WHOLE - self.window.len()) as u64;
        let read = self.source.by_ref().take(wanted).read_to_end(&mut self.window)?;
        self.ended = (read as u64) < wanted;
        Ok(())
    }
}

/// The payload of the record that `bytes` begin with, if it is whole.
fn frame(bytes: &[u8]) -> Option<&[u8]> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let (mark, head) = head.split_first_chunk()?;
    let (length, checksum) = head.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= MAX_PAYLOAD)?;
    let payload = rest.get(..length)?;
    (*mark == MARK && xxh3_64(payload).to_le_bytes() == checksum).then_some(payload)
}

fn parse(payload: &[u8], believe: bool) -> Option<Record> {
    let (kind, rest) = payload.split_first()?;
    match *kind {
        TRANSACTION => {
            let (sender, raw) = rest.split_first_chunk::<20>()?;
            let sender = Address::from(sender);
            let transaction = match believe {
                true => Recovered::new_unchecked(decode(raw).ok()?, sender),
                false => recover(raw).ok().filter(|recovered| recovered.signer() == sender)?,
            };
            Some(Record::Accepted(Box::new(transaction)))
        }
        REMOVED => Some(Record::Removed(B256::try_from(rest).ok()?)),
        _ => None,
    }
}

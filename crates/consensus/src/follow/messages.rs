//! What followers ask, and how answers are written.

use super::check::Certificate;
use crate::{
    MAX_VALIDATORS,
    block::{Bounds, SealedBlock},
    gossip,
};
use alloy_primitives::Bytes;
use alloy_rlp::{Header, RlpDecodable, RlpEncodable};
use commonware_codec::{Copying, Decode as _, DecodeExt as _, Encode as _};
use stoa_base::{Receipt, Transaction, plain};
use stoa_ledger::state::{self, SyncRequest};

/// The most bytes of a request.
pub const MOST_REQUEST: usize = 1 << 20;

/// The most bytes of a genesis file.
pub(super) const MOST_GENESIS: usize = 16 << 20;

/// The most bytes of blocks in an answer. So many are given only where no earlier block has a certificate.
pub(super) const MOST_BLOCKS: usize = 64 << 20;

/// The most bytes that are shown of why there is no answer.
const MOST_REASON: usize = 200;

/// What a follower asks.
#[derive(Clone, Debug)]
pub enum Request {
    /// The genesis file (JSON).
    Genesis,
    /// The newest block that has a certificate, with it.
    Tip,
    /// Blocks from this one on, the last with a certificate. Answered when there are any, or after a while.
    Blocks {
        /// Number of the first.
        from: u64,
    },
    /// Blocks up to this one with their receipts.
    Past {
        /// Number of the last.
        to: u64,
        /// How many are wanted at most.
        count: u64,
    },
    /// Operations of the state's log.
    State(SyncRequest),
    /// Transactions to pass on to the validators.
    Transactions(Vec<Transaction>),
}

impl Request {
    /// The bytes that are sent.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Genesis => vec![0],
            Self::Tip => vec![1],
            Self::Blocks { from } => [&[2][..], &from.to_be_bytes()].concat(),
            Self::Past { to, count } => [&[3][..], &to.to_be_bytes(), &count.to_be_bytes()].concat(),
            Self::State(request) => [&[4][..], &request.encode()].concat(),
            Self::Transactions(transactions) => [&[5][..], &gossip::encode_all(transactions)].concat(),
        }
    }

    /// Reads what came; `None` if it is no request.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
        match tag {
            0 if rest.is_empty() => Some(Self::Genesis),
            1 if rest.is_empty() => Some(Self::Tip),
            2 => Some(Self::Blocks { from: number(rest)? }),
            3 => {
                let (to, count) = rest.split_first_chunk::<8>()?;
                Some(Self::Past { to: u64::from_be_bytes(*to), count: number(count)? })
            }
            4 => state::decode_request(rest).ok().map(Self::State),
            5 => gossip::decode(rest).map(Self::Transactions),
            _ => None,
        }
    }
}

/// Blocks without gaps, and the certificate of the last.
#[derive(RlpEncodable)]
pub(super) struct Blocks {
    blocks: Vec<Bytes>,
    /// Empty if there are no blocks.
    certificate: Bytes,
}

impl Blocks {
    pub(super) fn new(blocks: &[SealedBlock], certificate: Bytes) -> Self {
        let blocks = blocks.iter().map(|block| block.encode().to_vec().into());
        Self { blocks: blocks.collect(), certificate }
    }

    /// Blocks of at most `most` bytes, and the certificate; `None` if that is not what these are.
    pub(super) fn read(bytes: &[u8], most: usize) -> Option<(Vec<SealedBlock>, Option<Certificate>)> {
        let mut rest = bytes;
        let mut fields = Header::decode_bytes(&mut rest, true).ok()?;
        let block = |item: &mut &[u8]| read_block(Header::decode_bytes(item, false).ok()?, most);
        let blocks = gossip::list(&mut fields, block)?;
        let certificate = Header::decode_bytes(&mut fields, false).ok()?;
        if !rest.is_empty() || !fields.is_empty() {
            return None;
        }
        if blocks.is_empty() {
            return Some((blocks, None));
        }
        Some((blocks, Some(Certificate::decode(Copying(certificate)).ok()?)))
    }
}

/// A block and the receipts that it led to.
#[derive(RlpEncodable, RlpDecodable)]
pub(super) struct Past {
    pub(super) block: Bytes,
    pub(super) receipts: Vec<Receipt>,
}

impl Past {
    pub(super) fn read(bytes: &[u8], most: usize) -> Option<Vec<(SealedBlock, Vec<Receipt>)>> {
        let mut rest = bytes;
        let past = |item: &mut &[u8]| {
            let Self { block, receipts } = <Self as alloy_rlp::Decodable>::decode(item).ok()?;
            Some((read_block(&block, most)?, receipts))
        };
        gossip::list(&mut rest, past).filter(|_| rest.is_empty())
    }
}

fn read_block(bytes: &[u8], most: usize) -> Option<SealedBlock> {
    SealedBlock::decode_cfg(Copying(bytes), &Bounds { bytes: most, validators: MAX_VALIDATORS }).ok()
}

/// An answer as it is sent: whether there is one, then it or the reason.
pub(super) fn encode_answer(answer: Result<Vec<u8>, String>) -> Vec<u8> {
    match answer {
        Ok(bytes) => [&[0][..], &bytes].concat(),
        Err(why) => [&[1][..], why.as_bytes()].concat(),
    }
}

/// Reads what [`encode_answer`] wrote; `None` if it did not write this.
pub(super) fn decode_answer(bytes: &[u8]) -> Option<Result<&[u8], String>> {
    match bytes.split_first()? {
        (0, answer) => Some(Ok(answer)),
        (1, why) => {
            // It may be shown on a terminal.
            let why = &why[..why.len().min(MOST_REASON)];
            Some(Err(plain(&String::from_utf8_lossy(why))))
        }
        _ => None,
    }
}

pub(super) fn encode<T: alloy_rlp::Encodable>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.length());
    value.encode(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_peer_does_not_answer_is_short_and_steers_no_terminal() {
        let said = format!("no\u{1b}[2J \u{202e}block {}", "x".repeat(MOST_REASON));
        let why = decode_answer(&encode_answer(Err(said))).unwrap().unwrap_err();
        assert!(why.starts_with("no [2J  block x") && why.len() <= MOST_REASON, "{why}");
    }
}

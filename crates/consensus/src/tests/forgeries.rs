//! Blocks that break the rules, as a validator forges them.

use super::{network::MAX_BYTES, signed, unsigned};
use crate::{
    Committee, Context, SealedBlock,
    application::{FORGED, Forge},
    block::{Payload, encode_seal},
    seeds::randomness,
};
use alloy_consensus::{Header, SignableTransaction as _, TxLegacy};
use alloy_primitives::{B256, Bytes, Signature, U256};
use commonware_consensus::{CertifiableBlock as _, types::Round};
use commonware_glue::dkg::ReshareBlock as _;
use commonware_utils::NZU32;
use rand::{SeedableRng as _, rngs::StdRng};
use std::sync::Arc;
use stoa_base::{Block, Seal, Transaction};
use stoa_ledger::execute::transactions_root;

/// What is forged, and what those say who refuse it; where nobody says anything, that it was forged.
pub(super) type Forgery = (Forge, &'static str);

/// Who forges in tests of one forgery. Its client gives it nothing, so that its account is at nonce 0.
pub(super) const FORGER: u8 = 0;

/// Headers that are not what execution gives.
pub(super) const HEADERS: [Forgery; 5] = [
    (|_, block| with_header(&block, |header| header.receipts_root = B256::repeat_byte(1)), "execution gives"),
    (|_, block| with_header(&block, |header| header.state_root = B256::repeat_byte(2)), "execution gives"),
    (|_, block| with_header(&block, |header| header.gas_used += 1), "execution gives"),
    (|_, block| with_header(&block, |header| header.base_fee_per_gas = Some(0)), "execution gives"),
    (|_, block| with_header(&block, |header| header.mix_hash = B256::repeat_byte(3)), "its randomness is not"),
];

/// Transactions that break the rules.
pub(super) const TRANSACTIONS: [Forgery; 4] = [
    (signed_by_nobody, "a transaction's signature"),
    (of_a_later_nonce, "cannot be executed"),
    (not_in_the_root, "execution gives"),
    (too_large, "it is too large"),
];

/// Times that no clock explains.
pub(super) const TIMES: [Forgery; 2] =
    [(before_its_parent, "is before its parent's"), (long_after, "its time is too far")];

/// Seals that say something else than what consensus says of the block.
pub(super) const SEALS: [Forgery; 3] = [
    (of_another_round, FORGED),
    (with_the_randomness_before, "the validators have not signed its randomness"),
    (with_another_payload, FORGED),
];

/// All of them.
pub(super) fn all() -> impl Iterator<Item = Forgery> {
    HEADERS.into_iter().chain(TRANSACTIONS).chain(TIMES).chain(SEALS)
}

fn with_header(block: &Block, change: impl FnOnce(&mut Header)) -> Option<Block> {
    let mut header = block.header().clone();
    change(&mut header);
    Some(Block::new(header, block.seal().clone(), block.transactions().to_vec()))
}

/// With these transactions alone, to which the header commits.
fn with_transaction(block: &Block, transaction: Transaction) -> Option<Block> {
    let root = transactions_root([*transaction.tx_hash()].into_iter());
    let header = Header { transactions_root: root, ..block.header().clone() };
    Some(Block::new(header, block.seal().clone(), vec![transaction]))
}

/// What the forger has signed.
fn forgers(tx: TxLegacy) -> Transaction {
    signed(FORGER, tx).inner().clone()
}

fn signed_by_nobody(_: &Block, block: Block) -> Option<Block> {
    let nobody = Signature::new(U256::MAX, U256::MAX, false);
    with_transaction(&block, unsigned(0).into_signed(nobody).into())
}

fn of_a_later_nonce(_: &Block, block: Block) -> Option<Block> {
    with_transaction(&block, forgers(unsigned(1000)))
}

fn not_in_the_root(_: &Block, block: Block) -> Option<Block> {
    let transactions = block.transactions().iter().cloned().chain([forgers(unsigned(0))]).collect();
    Some(Block::new(block.header().clone(), block.seal().clone(), transactions))
}

fn too_large(_: &Block, block: Block) -> Option<Block> {
    let large = TxLegacy { input: vec![0; MAX_BYTES].into(), ..unsigned(0) };
    with_transaction(&block, forgers(large))
}

/// Nothing is before the first second of the simulation.
fn before_its_parent(parent: &Block, block: Block) -> Option<Block> {
    let before = parent.header().timestamp.checked_sub(1)?;
    with_header(&block, |header| header.timestamp = before)
}

fn long_after(parent: &Block, block: Block) -> Option<Block> {
    with_header(&block, |header| header.timestamp = parent.header().timestamp + 3601)
}

/// With this in its seal, to which the header commits.
fn with_context(block: &Block, context: Bytes) -> Block {
    let seal = Seal { context, ..block.seal().clone() };
    let header = Header { extra_data: Bytes::copy_from_slice(seal.hash().as_slice()), ..block.header().clone() };
    Block::new(header, seal, block.transactions().to_vec())
}

fn of_another_round(_: &Block, block: Block) -> Option<Block> {
    let sealed = SealedBlock::new(Arc::new(block)).ok()?;
    let context = sealed.context();
    let round = Round::new(context.round.epoch(), context.round.view().next());
    let context = Context { round, ..context };
    Some(with_context(&sealed, encode_seal(&context, sealed.seed(), sealed.payload().as_ref())))
}

/// With the signature that its parent's randomness comes from.
fn with_the_randomness_before(parent: &Block, block: Block) -> Option<Block> {
    let parent = SealedBlock::new(Arc::new(parent.clone())).ok()?;
    let sealed = SealedBlock::new(Arc::new(block)).ok()?;
    let (old, _) = (parent.seed()?, sealed.seed()?);
    let forged = with_context(&sealed, encode_seal(&sealed.context(), Some(old), sealed.payload().as_ref()));
    with_header(&forged, |header| header.mix_hash = randomness(parent.header().mix_hash, Some(old)))
}

/// Says who agrees in the next epoch where that is not due, and nothing where it is.
fn with_another_payload(_: &Block, block: Block) -> Option<Block> {
    let sealed = SealedBlock::new(Arc::new(block)).ok()?;
    let payload = match sealed.payload() {
        Some(Payload::EpochInfo(_)) => None,
        _ => {
            let (committee, _) = Committee::deal(&mut StdRng::seed_from_u64(1), NZU32!(4));
            Some(Payload::EpochInfo(committee.first_epoch()))
        }
    };
    Some(with_context(&sealed, encode_seal(&sealed.context(), sealed.seed(), payload.as_ref())))
}

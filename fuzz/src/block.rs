//! Blocks, as validators send them to each other.

use crate::{Target, transaction};
use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes};
use commonware_codec::{Copying, Decode as _, Encode as _, EncodeSize as _};
use commonware_consensus::{
    CertifiableBlock as _,
    types::{Epoch, Round, View},
};
use commonware_cryptography::{Digestible as _, Signer as _, ed25519, sha256::Digest};
use std::sync::Arc;
use stoa_base::{Block, Seal, Transaction};
use stoa_consensus::{Bounds, Context, MAX_VALIDATORS, SealedBlock};

/// Blocks, as validators send them to each other.
pub const TARGET: Target = Target { name: "block", run, seeds };

/// The most that a block may have.
const MOST: Bounds = Bounds { bytes: 1 << 20, validators: MAX_VALIDATORS };

/// A signature, as far as decoding goes: the generator of BLS12-381's G1.
const SIGNATURE: [u8; 48] = alloy_primitives::hex!(
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
);

/// The bytes are a block, or a block's without the length before it, or the consensus context of one.
fn run(bytes: &[u8]) -> bool {
    let framed = [&(bytes.len() as u32).to_be_bytes(), bytes].concat();
    let whole = decode(bytes);
    let body = decode(&framed);
    // Nothing but the hash in the header stands between a forged context and its decoder: pass it by.
    let seal = Seal { context: Bytes::copy_from_slice(bytes), ..Seal::default() };
    let sealed = |number| {
        let header = Header { number, ..Header::default() };
        SealedBlock::new(Arc::new(Block::new(header, seal.clone(), Vec::new())))
    };
    // That of block 0 names the first validators instead, or nobody.
    let _ = sealed(0);
    let context = sealed(1);
    if let Ok(block) = &context {
        let again = Context::decode_cfg(Copying(&block.context().encode()), &()).expect("an encoded context decodes");
        assert_eq!(again, block.context());
    }
    whole || body || context.is_ok()
}

fn decode(bytes: &[u8]) -> bool {
    let Ok(block) = SealedBlock::decode_cfg(Copying(bytes), &MOST) else { return false };
    assert_eq!(block.encode().as_ref(), bytes, "a block has one encoding");
    assert_eq!(block.encode_size(), bytes.len());
    assert_eq!(block.digest().0, block.header().hash_slow().0);
    true
}

fn context(view: u64) -> Context {
    Context {
        round: Round::new(Epoch::zero(), View::new(view)),
        leader: ed25519::PrivateKey::from_seed(view).public_key(),
        parent: (View::new(view.saturating_sub(1)), Digest([view as u8; 32])),
    }
}

/// What consensus says of a block: its context, and a signature where its parent is not block 0.
fn consent(view: u64) -> Vec<u8> {
    let mut bytes = context(view).encode().to_vec();
    if view > 1 {
        bytes.extend_from_slice(&SIGNATURE);
    }
    bytes
}

fn seeds() -> Vec<Vec<u8>> {
    let block = |number: u64, transactions: Vec<Transaction>| {
        let context = consent(number).into();
        let seal = Seal { context, ops_root: B256::repeat_byte(1), ops_start: number, ops_end: 300 * number };
        let header = Header {
            parent_hash: B256::repeat_byte(2),
            number,
            gas_limit: 30_000_000,
            timestamp: 1_700_000_000 + number,
            extra_data: seal.hash().into(),
            base_fee_per_gas: Some(1_000_000_000),
            withdrawals_root: Some(B256::repeat_byte(3)),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(B256::repeat_byte(4)),
            ..Header::default()
        };
        let block = SealedBlock::new(Arc::new(Block::new(header, seal, transactions)));
        block.expect("the seal carries a context").encode().to_vec()
    };
    let mut seeds: Vec<_> =
        transaction::examples().into_iter().map(|transaction| block(7, vec![transaction])).collect();
    seeds.extend([block(1, Vec::new()), block(1 << 40, transaction::examples())]);
    seeds.extend([0, 1, 1 << 40].map(consent));
    seeds
}

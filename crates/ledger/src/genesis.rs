//! From a genesis file to the first block and its state.

use crate::{
    LedgerError,
    execute::{Change, Changes, merkle_root},
    state::{self, AccountLeaf, Leaf, Runtime, State, Tip, account_key, code_key, slot_key},
};
use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header, constants::EMPTY_WITHDRAWALS};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{B256, Bytes, U256, keccak256};
use commonware_glue::stateful::db::DatabaseSet;
use commonware_runtime::{Runner as _, deterministic};
use std::num::NonZeroUsize;
use stoa_base::{Block, Genesis, Seal};

/// The values that a genesis file puts into the state.
fn changes(genesis: &Genesis) -> Changes {
    let mut changes = Vec::new();
    let mut put = |key, leaf| changes.push((key, Change { old: None, new: Some(leaf) }));
    for (address, account) in &genesis.alloc {
        let code_hash = keccak256(&account.code);
        let leaf = AccountLeaf::new(account.nonce, account.balance, code_hash, None);
        if !account.code.is_empty() {
            put(code_key(&code_hash), Leaf::Code(account.code.clone()));
        }
        if !leaf.is_empty() {
            put(account_key(address), Leaf::Account(leaf));
        }
        for (slot, value) in account.storage.iter().filter(|(_, value)| !value.is_zero()) {
            put(slot_key(address, &U256::from_be_bytes(slot.0)), Leaf::Slot(U256::from_be_bytes(value.0)));
        }
    }
    changes.into()
}

/// The first block, given the root of its state and what its seal says of the operation log.
fn block(genesis: &Genesis, state_root: B256, log: Seal) -> Block {
    // Who agrees on the blocks of the first epoch, as the last block of each epoch says it of the next.
    let context = genesis.committee.as_ref().map(|committee| alloy_rlp::encode(committee).into());
    let seal = Seal { context: context.unwrap_or_default(), ..log };
    let header = Header {
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        state_root,
        transactions_root: merkle_root(std::iter::empty()),
        receipts_root: merkle_root(std::iter::empty()),
        gas_limit: genesis.gas_limit,
        timestamp: genesis.timestamp,
        // Nothing is random yet: whoever knows the hash of block 0 knows by which rules the chain runs.
        mix_hash: genesis.parameters_hash(),
        base_fee_per_gas: Some(genesis.fees.initial_base_fee),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        extra_data: Bytes::copy_from_slice(seal.hash().as_slice()),
        ..Header::default()
    };
    Block::new(header, seal, Vec::new())
}

/// The hash of the first block of a chain, which nothing need be stored for. Blocking.
///
/// # Errors
///
/// If there is no memory for it.
pub fn first_hash(genesis: &Genesis) -> Result<B256, LedgerError> {
    let genesis = genesis.clone();
    deterministic::Runner::default().start(async move |runtime| {
        let config = state::config(&runtime, "first", 1 << 20, NonZeroUsize::MIN);
        let state = <State<_> as DatabaseSet<_>>::init(runtime, config, None).await;
        Ok(first_block(&state, &genesis).await?.hash())
    })
}

/// The first block. Its state is written if the state database is empty.
///
/// # Errors
///
/// If the storage fails, or holds the state of a later block.
pub(crate) async fn first_block<E: Runtime>(state: &State<E>, genesis: &Genesis) -> Result<Block, LedgerError> {
    if state.read().await.is_empty() {
        let batch = state.new_batches().await;
        let sealed = state::seal::<E>(batch, &changes(genesis), 0).await?;
        state.apply(sealed).await;
        if !state.finalize().await.durable().await {
            return Err(LedgerError::Storage("the runtime stopped before the first state was written".into()));
        }
    }
    match Tip::of(&*state.read().await).await? {
        Tip { number: 0, root } => Ok(block(genesis, root, state::seal_of_tip(state).await)),
        Tip { number, .. } => {
            let what = format!("the state is that of block {number}, and the history does not even hold block 0");
            Err(LedgerError::Damaged(what))
        }
    }
}

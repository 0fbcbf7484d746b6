//! Balances, nonces, code and storage.

use crate::{
    BlockId, Context, Methods, Params, RpcError,
    evm::{Base, Pairs},
    hex::{self, Account, Hash, Slot},
    params::Few,
};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use revm::DatabaseRef;
use std::collections::BTreeMap;

pub(super) fn register(methods: &mut Methods) {
    methods
        .read("eth_getBalance", |context, params| {
            let (address, id) = account(params)?;
            Ok(Base::of(context, id)?.account(address)?.balance)
        })
        .read("eth_getCode", |context, params| {
            let (address, id) = account(params)?;
            Ok(Base::of(context, id)?.code(address)?)
        })
        .read("eth_getTransactionCount", |context, params| {
            let (address, id) = account(params)?;
            if id == BlockId::Pending {
                return pending_nonce(context, address).map(U64::from);
            }
            Ok(U64::from(context.state(id)?.nonce(address)?))
        })
        .read("eth_getStorageAt", |context, params| {
            let mut reader = params.reader()?;
            let (Account(address), key) = (reader.required()?, reader.required::<String>()?);
            let id: BlockId = reader.optional()?.unwrap_or_default();
            reader.end()?;
            let slot = hex::slot(&key).map_err(|why| {
                let shown: String = key.chars().take(100).collect();
                RpcError::invalid_params(format!("{why}: {shown:?}"))
            })?;
            Ok(B256::from(Base::of(context, id)?.storage_ref(address, slot)?))
        })
        .read("eth_getStorageValues", storage_values)
        .instant("eth_getProof", |_, _| {
            Err::<(), _>(RpcError::new(
                -32601,
                "the method eth_getProof is not available: the state is no Merkle Patricia trie; use stoa_getProof",
            ))
        })
        .read("eth_getAccount", |context, params| {
            let (address, id) = account(params)?;
            let info = Base::of(context, id)?.account(address)?;
            Ok(AccountView { balance: info.balance, nonce: U64::from(info.nonce), code_hash: info.code_hash })
        })
        .read("eth_getAccountInfo", |context, params| {
            let (address, id) = account(params)?;
            let state = Base::of(context, id)?;
            let info = state.account(address)?;
            Ok(AccountInfo { balance: info.balance, nonce: U64::from(info.nonce), code: state.code(address)? })
        });
}

#[derive(serde::Serialize)]
struct AccountInfo {
    balance: U256,
    nonce: U64,
    code: Bytes,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountView {
    balance: U256,
    nonce: U64,
    code_hash: B256,
}

/// Slots in one request, as in geth.
const MOST_SLOTS: usize = 1024;

/// What slots of several accounts hold. Blocking.
fn storage_values(context: &Context, params: &Params) -> Result<BTreeMap<Address, Vec<B256>>, RpcError> {
    let mut reader = params.reader()?;
    let Pairs(wanted): Pairs<Account, Few<Slot, MOST_SLOTS>> = reader.required()?;
    let id: BlockId = reader.optional()?.unwrap_or_default();
    reader.end()?;
    match wanted.iter().map(|(_, Few(slots))| slots.len()).sum::<usize>() {
        0 => return Err(RpcError::invalid_params("empty request")),
        1..=MOST_SLOTS => {}
        _ => return Err(RpcError::new(-38026, format!("too many slots (max {MOST_SLOTS})"))),
    }
    let state = Base::of(context, id)?;
    let mut values = BTreeMap::new();
    for (Account(address), Few(slots)) in wanted {
        let read = slots.into_iter().map(|Slot(slot)| state.storage_ref(address, slot).map(B256::from));
        values.insert(address, read.collect::<Result<_, _>>()?);
    }
    Ok(values)
}

fn account(params: &Params) -> Result<(Address, BlockId), RpcError> {
    let mut reader = params.reader()?;
    let Account(address) = reader.required()?;
    let id = reader.optional()?.unwrap_or_default();
    reader.end()?;
    Ok((address, id))
}

/// The nonce for the sender's next transaction, after those that wait. Blocking.
pub(crate) fn pending_nonce(context: &Context, address: Address) -> Result<u64, RpcError> {
    // First the pool: what leaves it for a block in between is in the state then.
    let waiting = context.pool().pending_nonce(address);
    let state = context.state(BlockId::Latest)?.nonce(address)?;
    Ok(waiting.map_or(state, |next| next.max(state)))
}

/// One hash as the only parameter.
pub(super) fn hash(params: &Params) -> Result<B256, RpcError> {
    let mut reader = params.reader()?;
    let Hash(hash) = reader.required()?;
    reader.end()?;
    Ok(hash)
}

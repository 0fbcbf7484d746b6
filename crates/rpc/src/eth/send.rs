//! Taking in transactions.

use super::{
    call::estimate,
    fees::{default_fees, gas_price},
    state::pending_nonce,
};
use crate::{
    Context, Methods, Params, RpcError,
    context::LARGE,
    evm::Sandbox,
    hex::{Data, Uint64},
    request::{Call, Price},
    view::OwnedReceipt,
};
use alloy_consensus::TypedTransaction;
use alloy_primitives::{B256, TxKind};
use alloy_rpc_types_eth::TransactionRequest;
use std::fmt;
use stoa_base::Recovered;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, timeout_at},
};

pub(super) fn register(methods: &mut Methods) {
    methods.add("eth_sendRawTransaction", send_raw).add("eth_sendRawTransactionSync", send_and_wait);
}

async fn send_raw(context: Context, params: Params) -> Result<B256, RpcError> {
    if context.in_batch || params.size() > LARGE {
        // One after the other, they would hold up the thread for long.
        return context.read(move |context| submit(context, recover_only(&params)?)).await;
    }
    // On the connection's own task: handing this to another thread costs as much. Reading the state has to be handed over,
    // since it may have to wait for what this task's thread would do next.
    let transaction = recover_only(&params)?;
    match context.pool().add_if_known(&transaction) {
        Some(added) => added.map_err(|error| RpcError::server(error.to_string())),
        None => context.read(move |context| submit(context, transaction)).await,
    }
}

/// The only parameter, as [`recover`] gives it.
fn recover_only(params: &Params) -> Result<Recovered, RpcError> {
    let mut reader = params.reader()?;
    let Data(raw) = reader.required()?;
    reader.end()?;
    recover(&raw)
}

/// Decodes a signed transaction and recovers its sender. Expensive: one signature.
///
/// # Errors
///
/// -32000 if it cannot be decoded, is of a type that is not taken, or badly signed.
pub fn recover(raw: &[u8]) -> Result<Recovered, RpcError> {
    stoa_mempool::recover(raw).map_err(|error| RpcError::server(error.to_string()))
}

/// Hands a transaction to the pool. Blocking.
///
/// # Errors
///
/// The pool's, as -32000.
pub(crate) fn submit(context: &Context, transaction: Recovered) -> Result<B256, RpcError> {
    context.pool().add(transaction).map_err(|error| RpcError::server(error.to_string()))
}

/// What is told of a transaction that was taken, whatever came then: its hash, under the code that says so (EIP-7966).
pub(crate) fn taken(hash: B256, what: impl fmt::Display) -> RpcError {
    let message = format!("The transaction was added to the mempool but {what}");
    RpcError { data: Some(hash.0.into()), ..RpcError::new(4, message) }
}

/// `eth_sendRawTransactionSync` (EIP-7966): sends and waits for the receipt.
pub(crate) async fn send_and_wait(context: Context, params: Params) -> Result<OwnedReceipt, RpcError> {
    // Before the transaction is sent, so that its block cannot be missed.
    let mut blocks = context.ledger().subscribe();
    let sent = context.read(move |context| {
        let mut reader = params.reader()?;
        let Data(raw) = reader.required()?;
        let limit: Option<Milliseconds> = reader.optional()?;
        reader.end()?;
        let limit = context.sync_timeout(limit.map(|Milliseconds(limit)| limit));
        Ok((submit(context, recover(&raw)?)?, limit))
    });
    let (hash, limit) = sent.await?;
    let deadline = Instant::now() + limit;
    loop {
        match timeout_at(deadline, blocks.recv()).await {
            Err(_) => return Err(taken(hash, format_args!("wasn't processed in {}ms", limit.as_millis()))),
            Ok(Ok(committed)) => {
                let position = committed.block.transactions().iter().position(|found| *found.hash() == hash);
                if let Some(index) = position {
                    return Ok(OwnedReceipt(committed, index));
                }
            }
            Ok(Err(RecvError::Lagged(_))) => match context.read(move |context| context.transaction(hash)).await {
                Ok(Some((committed, index))) => return Ok(OwnedReceipt(committed, index)),
                Ok(None) => {}
                Err(why) => return Err(taken(hash, format_args!("cannot be looked for: {why}"))),
            },
            Ok(Err(RecvError::Closed)) => return Err(taken(hash, "wasn't processed before the node shuts down")),
        }
    }
}

/// A time as a JSON number or a quantity.
struct Milliseconds(u64);

impl<'de> serde::Deserialize<'de> for Milliseconds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u64),
            Text(Uint64),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Number(limit) | Either::Text(Uint64(limit)) => Self(limit),
        })
    }
}

/// Completes a transaction object to one that can be signed: nonce, gas limit, fees, as geth chooses them. Blocking.
///
/// # Errors
///
/// Those of the estimate, where no gas limit is given, and fields that do not go with the type that the object names.
pub fn fill(context: &Context, call: &Call) -> Result<TypedTransaction, RpcError> {
    if call.to.is_none() && call.input.is_empty() {
        return Err(RpcError::server("contract creation without any data provided"));
    }
    complete(context, call)
}

/// As [`fill`], but a contract without code may be created as well. Blocking.
pub(super) fn complete(context: &Context, call: &Call) -> Result<TypedTransaction, RpcError> {
    let nonce = match call.nonce {
        Some(nonce) => nonce,
        None => pending_nonce(context, call.from)?,
    };
    let gas_limit = match call.gas {
        Some(gas) => gas,
        None => estimate(context, &mut Sandbox::next(context)?, call)?,
    };
    let (gas_price, dynamic) = match call.price {
        Price::Legacy(price) => (Some(price), None),
        Price::Unset if matches!(call.kind, Some(0 | 1)) => (Some(gas_price(context)?), None),
        price => (None, Some(fees(context, price)?)),
    };
    let request = TransactionRequest {
        chain_id: Some(context.chain_id()),
        from: Some(call.from),
        nonce: Some(nonce),
        gas: Some(gas_limit),
        gas_price,
        max_fee_per_gas: dynamic.map(|(max_fee, _)| max_fee),
        max_priority_fee_per_gas: dynamic.map(|(_, priority_fee)| priority_fee),
        to: Some(call.to.map_or(TxKind::Create, TxKind::Call)),
        value: Some(call.value),
        input: call.input.clone().into(),
        access_list: call.access_list.clone().or_else(|| (call.kind == Some(1)).then(Default::default)),
        authorization_list: Some(call.authorization_list.clone()).filter(|list| !list.is_empty()),
        ..TransactionRequest::default()
    };
    let transaction = request
        .build_typed_tx()
        .map_err(|_| RpcError::server("gasPrice cannot pay for an authorizationList: use maxFeePerGas"))?;
    let has = transaction.tx_type() as u64;
    match call.kind {
        Some(kind) if kind != has => Err(RpcError::server(format!(
            "type is {kind:#x}, but the fields are those of a transaction of type {has:#x}"
        ))),
        _ => Ok(transaction),
    }
}

/// The most per gas and the tip, where the object leaves one or both open.
fn fees(context: &Context, price: Price) -> Result<(u128, u128), RpcError> {
    let (max_fee, priority_fee) = match price {
        Price::Dynamic { max_fee, priority_fee } => (max_fee, priority_fee),
        Price::Unset | Price::Legacy(_) => (None, None),
    };
    if let (Some(max_fee), Some(priority_fee)) = (max_fee, priority_fee) {
        return Ok((max_fee, priority_fee));
    }
    let (default_max, default_tip) = default_fees(context)?;
    let tip = priority_fee.unwrap_or(match max_fee {
        Some(max_fee) => default_tip.min(max_fee),
        None => default_tip,
    });
    let max_fee = max_fee.unwrap_or((default_max - default_tip).saturating_add(tip));
    if max_fee < tip {
        return Err(RpcError::server(format!("maxFeePerGas ({max_fee}) < maxPriorityFeePerGas ({tip})")));
    }
    Ok((max_fee, tip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_was_taken_the_hash_is_told_whatever_came_then() {
        let hash = B256::repeat_byte(7);
        let error = taken(hash, format_args!("cannot be looked for: {}", RpcError::server("pruned")));
        assert_eq!((error.code, error.data), (4, Some(hash.0.into())));
        assert_eq!(error.message, "The transaction was added to the mempool but cannot be looked for: pruned");
    }
}

//! Calls and transactions, where a development node treats them in its own way.

use super::{Dev, console::Console, failure, node::Node};
use crate::{
    BlockId, Context, Params, RpcError,
    eth::{estimate, fill, newest, prepare, priority_fee, recover, relax, send_and_wait, taken},
    evm::{Sandbox, output},
    hex::Data,
    request::{Call, CallRequest, Price},
    view::OwnedReceipt,
};
use alloy_consensus::SignableTransaction;
use alloy_primitives::{Address, B256, Bytes, Signature, U64, U256};
use alloy_signer::SignerSync;
use revm::primitives::eip7825::TX_GAS_LIMIT_CAP;
use std::sync::Arc;
use stoa_base::{Recovered, Transaction};

/// `eth_call`, failing in the client's words. Blocking.
pub(crate) fn call(context: &Context, params: &Params) -> Result<Bytes, RpcError> {
    let (call, mut sandbox) = prepare(context, params, newest)?;
    sandbox.cfg.disable_balance_check = is_free(context, &call);
    let gas = relax(context, &mut sandbox, &call);
    let env = call.tx_env(gas, context.chain_id(), sandbox.block.basefee);
    let (traced, Console) = sandbox.inspect(env, Console)?;
    let result = traced.result;
    match failure::failure(&result, None).filter(|_| context.hardhat) {
        Some(error) => Err(error),
        None => output(result),
    }
}

/// `eth_estimateGas`, after what waits unless another block is named, failing in the client's words. Blocking.
pub(crate) fn estimate_gas(context: &Context, params: &Params) -> Result<U64, RpcError> {
    let (mut call, mut sandbox) = prepare(context, params, pending)?;
    sandbox.cfg.disable_balance_check = is_free(context, &call);
    if context.hardhat && call.price == Price::Unset {
        // As a transaction that says no price: contracts that refund what it costs do more than at none.
        call.price = Price::Legacy(priority_fee(context)?.saturating_add(sandbox.block.basefee.into()));
    }
    let error = match estimate(context, &mut sandbox, &call) {
        Err(error) if context.hardhat => error,
        estimated => return estimated.map(U64::from),
    };
    // To Hardhat, how the execution ended says more than that there is no estimate.
    let gas = call.gas.unwrap_or(sandbox.block.gas_limit).min(context.config().gas_cap);
    let ended = sandbox.run(call.tx_env(gas, context.chain_id(), sandbox.block.basefee));
    Err(ended.ok().and_then(|result| failure::failure(&result, None)).unwrap_or(error))
}

/// Whether nobody asks if the sender can pay: Hardhat does not for what is no transaction. It must fit a sum with the fee.
fn is_free(context: &Context, call: &Call) -> bool {
    context.hardhat && !call.value.bit(255)
}

/// After what waits. Blocking.
fn pending(context: &Context) -> Result<Sandbox, RpcError> {
    Sandbox::new(context, BlockId::Pending)
}

/// `eth_sendRawTransaction`.
pub(crate) async fn send_raw<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<B256, RpcError> {
    node.deliver(&context, move |_| raw(&params)).await
}

fn raw(params: &Params) -> Result<Recovered, RpcError> {
    let mut reader = params.reader()?;
    let Data(raw) = reader.required()?;
    // `eth_sendRawTransactionSync` has a time limit as well.
    let _limit: Option<&serde_json::value::RawValue> = reader.optional()?;
    reader.end()?;
    recover(&raw)
}

/// `eth_sendRawTransactionSync`: what is mined at once need not be waited for.
pub(crate) async fn send_raw_sync<D: Dev>(
    node: Arc<Node<D>>,
    context: Context,
    params: Params,
) -> Result<OwnedReceipt, RpcError> {
    if !node.automine() {
        return send_and_wait(context, params).await;
    }
    let hash = send_raw(node, context.clone(), params).await?;
    match context.read(move |context| context.transaction(hash)).await {
        Ok(Some((committed, index))) => Ok(OwnedReceipt(committed, index)),
        Ok(None) => Err(taken(hash, "is in no block")),
        Err(why) => Err(taken(hash, format_args!("cannot be looked for: {why}"))),
    }
}

/// `eth_sendTransaction`: signed with the account's key, or not at all if the account is impersonated.
pub(crate) async fn send<D: Dev>(node: Arc<Node<D>>, context: Context, params: Params) -> Result<B256, RpcError> {
    let completing = node.clone();
    let may_send = move |from| completing.is_impersonated(from);
    node.deliver(&context, move |context| complete(may_send, context, &params)).await
}

/// `eth_sendUnsignedTransaction`: as if every account were impersonated.
pub(crate) async fn send_unsigned<D: Dev>(
    node: Arc<Node<D>>,
    context: Context,
    params: Params,
) -> Result<B256, RpcError> {
    node.deliver(&context, move |context| complete(|_| true, context, &params)).await
}

/// The transaction that an object asks for. Of accounts without a key here, only those that `may_send` do.
fn complete(may_send: impl Fn(Address) -> bool, context: &Context, params: &Params) -> Result<Recovered, RpcError> {
    let mut reader = params.reader()?;
    let request: CallRequest = reader.required()?;
    reader.end()?;
    let call = request.check(context.chain_id())?;
    let from = call.from;
    let key = context.accounts().iter().find(|signer| signer.address() == from);
    if key.is_none() && !may_send(from) {
        return Err(RpcError::server(format!("Unknown account {from}")));
    }
    let gas = match call.gas {
        Some(gas) => gas,
        // As Hardhat does: all the gas that there is, instead of an estimate that a failing transaction would not have.
        None if context.hardhat => context.next_block_env().gas_limit.min(TX_GAS_LIMIT_CAP),
        None => estimate(context, &mut pending(context)?, &call)?,
    };
    let unsigned = fill(context, &Call { gas: Some(gas), ..call })?;
    let signature = match key {
        Some(key) => key
            .sign_hash_sync(&unsigned.signature_hash())
            .map_err(|error| RpcError::server(format!("cannot sign: {error}")))?,
        None => nobodys_signature(from),
    };
    Ok(Recovered::new_unchecked(Transaction::from(unsigned.into_signed(signature)), from))
}

/// What stands in the place of an impersonated account's signature: another one for each account, so that equal
/// transactions of two accounts have different hashes.
fn nobodys_signature(from: Address) -> Signature {
    let number = U256::from_be_slice(from.as_slice()) + U256::from(1);
    Signature::new(number, number, false)
}

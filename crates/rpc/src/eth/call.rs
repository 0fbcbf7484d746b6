//! `eth_call`, `eth_estimateGas`, `eth_createAccessList`.

use crate::{
    BlockId, Context, Methods, Params, Reader, RpcError,
    evm::{BlockOverrides, Sandbox, StateOverrides, halted, output},
    request::{Call, CallRequest, Price},
};
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Bytes, U64, U256};
use revm::{
    Database,
    context::result::{ExecutionResult, HaltReason},
};
use revm_inspectors::access_list::AccessListInspector;
use serde::Serialize;

pub(super) fn register(methods: &mut Methods) {
    methods
        .execute("eth_call", |context, params| {
            let (call, mut sandbox) = prepare(context, params, newest)?;
            execute(context, &mut sandbox, &call)
        })
        .execute("eth_estimateGas", |context, params| {
            let (call, mut sandbox) = prepare(context, params, Sandbox::next)?;
            estimate(context, &mut sandbox, &call).map(U64::from)
        })
        .execute("eth_createAccessList", |context, params| {
            let (call, mut sandbox) = prepare(context, params, Sandbox::next)?;
            create_access_list(context, &mut sandbox, call)
        });
}

/// On top of the newest block, as if in it. Blocking.
///
/// # Errors
///
/// If the ledger cannot read.
pub(crate) fn newest(context: &Context) -> Result<Sandbox, RpcError> {
    Sandbox::new(context, BlockId::Latest)
}

/// Reads `call, block?, stateOverrides?, blockOverrides?`; where no block is named, `default` says where to be. Blocking.
///
/// # Errors
///
/// -32602 for parameters of a wrong form, -32000 for contradictions and where there is no such state.
pub(crate) fn prepare(
    context: &Context,
    params: &Params,
    default: impl FnOnce(&Context) -> Result<Sandbox, RpcError>,
) -> Result<(Call, Sandbox), RpcError> {
    let mut reader = params.reader()?;
    let request: CallRequest = reader.required()?;
    let call = request.check(context.chain_id())?;
    Ok((call, place(context, reader, default)?))
}

/// Reads `block?, stateOverrides?, blockOverrides?`, which end the parameters. Blocking.
///
/// # Errors
///
/// As [`prepare`].
pub(crate) fn place(
    context: &Context,
    mut reader: Reader<'_>,
    default: impl FnOnce(&Context) -> Result<Sandbox, RpcError>,
) -> Result<Sandbox, RpcError> {
    let id: Option<BlockId> = reader.optional()?;
    let state: Option<StateOverrides> = reader.optional()?;
    let block: Option<BlockOverrides> = reader.optional()?;
    reader.end()?;
    let mut sandbox = match id {
        Some(id) => Sandbox::new(context, id)?,
        None => default(context)?,
    };
    if let Some(overrides) = state {
        sandbox.override_state(overrides)?;
    }
    if let Some(overrides) = block {
        sandbox.override_block(overrides)?;
    }
    Ok(sandbox)
}

/// Prepares a sandbox for a call that nobody signed; gives back the gas limit.
pub(crate) fn relax(context: &Context, sandbox: &mut Sandbox, call: &Call) -> u64 {
    sandbox.relax();
    if call.max_fee(sandbox.block.basefee) == 0 {
        // As in geth, who pays nothing sees a base fee of nothing.
        sandbox.block.basefee = 0;
    }
    call.gas.unwrap_or(u64::MAX).min(context.config().gas_cap)
}

fn execute(context: &Context, sandbox: &mut Sandbox, call: &Call) -> Result<Bytes, RpcError> {
    let gas = relax(context, sandbox, call);
    output(sandbox.run(call.tx_env(gas, context.chain_id(), sandbox.block.basefee))?)
}

/// The least gas a plain transfer takes.
const TRANSFER_GAS: u64 = 21_000;
/// Gas that a call with value hands on for free.
const CALL_STIPEND: u64 = 2_300;
/// The estimate may be above the least gas limit by this part of itself; geth's default.
const ERROR_RATIO: f64 = 0.015;

/// The gas limit with which the call succeeds, found by bisection as geth finds it. Blocking.
///
/// # Errors
///
/// 3 if the call reverts with all the gas it may have, -32000 if it fails otherwise or cannot be paid for.
pub(crate) fn estimate(context: &Context, sandbox: &mut Sandbox, call: &Call) -> Result<u64, RpcError> {
    let cap = sandbox.cfg.tx_gas_limit_cap.unwrap_or(revm::primitives::eip7825::TX_GAS_LIMIT_CAP);
    let asked = call.gas.filter(|gas| *gas >= TRANSFER_GAS).unwrap_or(sandbox.block.gas_limit);
    relax(context, sandbox, call);
    let mut high = asked.min(cap).min(context.config().gas_cap);

    let (chain_id, base_fee) = (context.chain_id(), sandbox.block.basefee);
    let max_fee = call.max_fee(base_fee);
    if max_fee > 0 && !sandbox.cfg.disable_balance_check {
        let balance = sandbox.db.basic(call.from)?.unwrap_or_default().balance;
        let available =
            balance.checked_sub(call.value).ok_or_else(|| RpcError::server("insufficient funds for transfer"))?;
        let affordable = available / U256::from(max_fee);
        high = high.min(affordable.saturating_to());
    }
    let mut attempt = |gas: u64| -> Result<Option<ExecutionResult>, RpcError> {
        match sandbox.run(call.tx_env(gas, chain_id, base_fee)) {
            Ok(result) => Ok(Some(result)),
            Err(error) if too_little_gas(&error) => Ok(None),
            Err(error) => Err(error),
        }
    };

    // A transfer to an account without code needs no search.
    if call.input.is_empty()
        && call.authorization_list.is_empty()
        && call.access_list.as_ref().is_none_or(|list| list.is_empty())
        && high >= TRANSFER_GAS
        && let Some(result) = attempt(TRANSFER_GAS)?
        && result.is_success()
        && result.tx_gas_used() == TRANSFER_GAS
    {
        return Ok(TRANSFER_GAS);
    }

    let exceeded = || RpcError::server(format!("gas required exceeds allowance ({high})"));
    let first = attempt(high)?.ok_or_else(exceeded)?;
    match &first {
        ExecutionResult::Success { .. } => {}
        ExecutionResult::Revert { output, .. } => return Err(RpcError::reverted(output.clone())),
        ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. } => return Err(exceeded()),
        ExecutionResult::Halt { reason, .. } => return Err(halted(reason)),
    }
    let mut low = first.tx_gas_used().saturating_sub(1);
    // What was refunded at the end had to be there before, and a call keeps back one part in 64.
    let optimistic = (first.gas().total_gas_spent() + CALL_STIPEND) * 64 / 63;
    let succeeds = |result: Option<ExecutionResult>| result.is_some_and(|result| result.is_success());
    if optimistic < high {
        if succeeds(attempt(optimistic)?) {
            high = optimistic;
        } else {
            low = optimistic;
        }
    }
    while low + 1 < high {
        if ((high - low) as f64) < high as f64 * ERROR_RATIO {
            break;
        }
        // Most calls need little more than the lower bound: do not jump far above it.
        let middle = (low + (high - low) / 2).min(low.saturating_mul(2));
        if succeeds(attempt(middle)?) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(high)
}

/// Whether more gas could help a transaction that was refused.
fn too_little_gas(error: &RpcError) -> bool {
    error.message.starts_with("intrinsic gas too low") || error.message.starts_with("insufficient gas for floor")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessListAnswer {
    access_list: AccessList,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    gas_used: U64,
}

/// More rounds than any honest contract needs until its list no longer changes what it touches.
const MAX_ROUNDS: usize = 8;

fn create_access_list(context: &Context, sandbox: &mut Sandbox, mut call: Call) -> Result<AccessListAnswer, RpcError> {
    let limit = sandbox.block.gas_limit;
    let gas = relax(context, sandbox, &call).min(call.gas.unwrap_or(limit));
    let given = call.access_list.clone().unwrap_or_default();
    if call.price == Price::Unset && call.access_list.is_none() {
        call.access_list = Some(AccessList::default());
    }
    for round in 1.. {
        let env = call.tx_env(gas, context.chain_id(), sandbox.block.basefee);
        let (traced, inspector) = sandbox.inspect(env, AccessListInspector::new(given.clone()))?;
        let access_list = inspector.into_access_list();
        let settled = call.access_list.as_ref() == Some(&access_list);
        if settled || round == MAX_ROUNDS {
            let gas_used = U64::from(traced.result.tx_gas_used());
            let error = output(traced.result).err().map(|error| error.message.into_owned());
            return Ok(AccessListAnswer { access_list, error, gas_used });
        }
        call.access_list = Some(access_list);
    }
    Err(RpcError::new(-32603, "internal error: an access list never settles"))
}

//! `trace_`: what transactions did, in OpenEthereum's form, which explorers read: their calls one after the other, each with its
//! place in the tree (`trace`), what they changed in the state (`stateDiff`), and each instruction (`vmTrace`), of which native
//! contracts have none.
//!
//! As there, the gas of a transaction's own call is what its base cost has left, calls of precompiled contracts that move no
//! value are left out, and what does not exist is null.

use crate::{
    BlockId, Context, Methods, Params, RpcError,
    eth::{find_block, newest, place, recover, relax},
    evm::{Sandbox, Traced, recorded},
    hex::{Account, Data, Hash, Uint64},
    params::{BlockNumber, Few},
    request::CallRequest,
    trace::{Bounded, leave_out},
};
use alloy_primitives::{Address, B256, map::HashSet};
use alloy_rpc_types_trace::{
    filter::{TraceFilter, TraceFilterMode},
    parity::{LocalizedTransactionTrace, TraceResults, TraceResultsWithTransactionHash, TraceType},
};
use revm::{DatabaseCommit, context::TxEnv};
use serde::Deserialize;
use serde_json::Number;
use stoa_ledger::{Committed, execute::tx_env};
use stoa_mempool::PoolError;

pub(crate) fn register(methods: &mut Methods) {
    methods
        .execute("trace_transaction", |context, params| {
            let mut reader = params.reader()?;
            let Hash(hash) = reader.required()?;
            reader.end()?;
            calls_of_transaction(context, hash)
        })
        .execute("trace_get", get)
        .execute("trace_block", |context, params| {
            let mut reader = params.reader()?;
            let id = reader.required()?;
            reader.end()?;
            let Some(committed) = find(context, id)? else { return Ok(None) };
            Ok(Some(calls_of_block(context, &committed, context.config().max_trace_bytes)?.0))
        })
        .execute("trace_filter", filter)
        .execute("trace_replayTransaction", |context, params| {
            let mut reader = params.reader()?;
            let (Hash(hash), types) = (reader.required()?, reader.required()?);
            reader.end()?;
            Ok(replay_one(context, hash, &types)?.map(|(.., results)| results))
        })
        .execute("trace_replayBlockTransactions", replay_block)
        .execute("trace_call", call)
        .execute("trace_callMany", call_many)
        .execute("trace_rawTransaction", raw);
}

/// The kinds of traces that are wanted.
type Types = HashSet<TraceType>;

fn calls_alone() -> Types {
    Types::from_iter([TraceType::Trace])
}

/// A block of the chain, `None` for the one being built. Blocking.
fn find(context: &Context, id: BlockId) -> Result<Option<Committed>, RpcError> {
    if id == BlockId::Pending { Ok(None) } else { find_block(context, id) }
}

/// Runs a transaction and tells what it did, what is left of the budget, and how it ended. What it changed is not applied.
fn run(
    sandbox: &mut Sandbox,
    env: TxEnv,
    types: &Types,
    budget: usize,
) -> Result<(TraceResults, usize, Traced), RpcError> {
    let (traced, tracer) = sandbox.inspect(env, Bounded::parity(types, sandbox.max_trace_bytes, budget))?;
    // What instructions write to memory is counted by the inspector within alone.
    let left = tracer.left().min(budget.saturating_sub(tracer.inner.recorded_bytes()));
    let builder = tracer.inner.into_parity_builder();
    let mut results = builder.into_trace_results_with_state(&traced, types, &sandbox.db)?;
    results.trace = leave_out(results.trace, |trace| trace, sandbox);
    Ok((results, left, traced))
}

/// What a transaction of the chain did, with its block and its position there. Blocking.
fn replay_one(
    context: &Context,
    hash: B256,
    types: &Types,
) -> Result<Option<(Committed, usize, TraceResults)>, RpcError> {
    let Some((committed, index)) = context.transaction(hash)? else { return Ok(None) };
    let mut sandbox = Sandbox::replay(context, &committed, index)?;
    let (results, ..) = run(&mut sandbox, recorded(&committed, index)?, types, context.config().max_trace_bytes)?;
    Ok(Some((committed, index, results)))
}

/// What each transaction of a block did, and what is left of the budget. Blocking.
fn replay(
    context: &Context,
    committed: &Committed,
    types: &Types,
    mut budget: usize,
) -> Result<(Vec<TraceResults>, usize), RpcError> {
    let count = committed.block.transactions().len();
    if count == 0 {
        // Nor is there a state before the first block.
        return Ok((Vec::new(), budget));
    }
    let mut sandbox = Sandbox::replay(context, committed, 0)?;
    let mut all = Vec::with_capacity(count);
    for index in 0..count {
        let (results, left, traced) = run(&mut sandbox, recorded(committed, index)?, types, budget)?;
        budget = left;
        sandbox.db.commit(traced.state);
        all.push(results);
    }
    Ok((all, budget))
}

/// The calls of a block's transaction.
fn calls(committed: &Committed, index: usize, results: TraceResults) -> Vec<LocalizedTransactionTrace> {
    let block = &committed.block;
    let localized = |trace| LocalizedTransactionTrace {
        trace,
        block_hash: Some(block.hash()),
        block_number: Some(block.number()),
        transaction_hash: Some(*block.transactions()[index].hash()),
        transaction_position: Some(index as u64),
    };
    results.trace.into_iter().map(localized).collect()
}

fn calls_of_transaction(context: &Context, hash: B256) -> Result<Option<Vec<LocalizedTransactionTrace>>, RpcError> {
    let found = replay_one(context, hash, &calls_alone())?;
    Ok(found.map(|(committed, index, results)| calls(&committed, index, results)))
}

/// The calls of a block, and what is left of the budget.
fn calls_of_block(
    context: &Context,
    committed: &Committed,
    budget: usize,
) -> Result<(Vec<LocalizedTransactionTrace>, usize), RpcError> {
    let (all, left) = replay(context, committed, &calls_alone(), budget)?;
    let of_all = all.into_iter().enumerate().flat_map(|(index, results)| calls(committed, index, results));
    Ok((of_all.collect(), left))
}

/// The call at a place in a transaction's tree.
fn get(context: &Context, params: &Params) -> Result<Option<LocalizedTransactionTrace>, RpcError> {
    let mut reader = params.reader()?;
    let (Hash(hash), wanted): (_, Vec<Uint64>) = (reader.required()?, reader.required()?);
    reader.end()?;
    let is_wanted = |call: &LocalizedTransactionTrace| {
        let at = call.trace.trace_address.iter().map(|at| *at as u64);
        at.eq(wanted.iter().map(|Uint64(at)| *at))
    };
    Ok(calls_of_transaction(context, hash)?.and_then(|calls| calls.into_iter().find(is_wanted)))
}

fn replay_block(context: &Context, params: &Params) -> Result<Option<Vec<TraceResultsWithTransactionHash>>, RpcError> {
    let mut reader = params.reader()?;
    let (id, types) = (reader.required()?, reader.required()?);
    reader.end()?;
    let Some(committed) = find(context, id)? else { return Ok(None) };
    let (all, _) = replay(context, &committed, &types, context.config().max_trace_bytes)?;
    let hashes = committed.block.transactions().iter().map(|transaction| *transaction.hash());
    let named = all.into_iter().zip(hashes);
    let named =
        named.map(|(full_trace, transaction_hash)| TraceResultsWithTransactionHash { full_trace, transaction_hash });
    Ok(Some(named.collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    from_block: Option<BlockNumber>,
    to_block: Option<BlockNumber>,
    from_address: Option<Vec<Account>>,
    to_address: Option<Vec<Account>>,
    #[serde(default)]
    mode: TraceFilterMode,
    after: Option<Number>,
    count: Option<Number>,
}

/// Blocks that a filter may span.
const MOST_BLOCKS: u64 = 1_000;

/// All transactions of these blocks are executed again: together they may have used so many times the gas of a call.
const MOST_GAS: u64 = 10;

/// The calls from and to certain accounts in a range of blocks, those before `after` left out, and `count` of them at most.
fn filter(context: &Context, params: &Params) -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
    let mut reader = params.reader()?;
    let filter: Filter = reader.required()?;
    reader.end()?;
    let head = context.head().number();
    let number = |id| match id {
        Some(BlockNumber(BlockId::Number(number))) => number,
        _ => head,
    };
    let (from, to) = (number(filter.from_block), number(filter.to_block));
    if from > to {
        return Err(RpcError::invalid_params("invalid block range params"));
    }
    let to = to.min(head);
    if to.saturating_sub(from) >= MOST_BLOCKS {
        return Err(RpcError::limit(format!("block range too large: {} blocks, at most {MOST_BLOCKS}", to - from + 1)));
    }
    let addresses = |list: Option<Vec<Account>>| -> Vec<Address> {
        list.unwrap_or_default().into_iter().map(|Account(address)| address).collect()
    };
    let (from_address, to_address) = (addresses(filter.from_address), addresses(filter.to_address));
    let matcher = TraceFilter::default().from_address(from_address).to_address(to_address).mode(filter.mode).matcher();
    let most_gas = MOST_GAS.saturating_mul(context.config().gas_cap);
    let (mut gas, mut budget) = (0_u64, context.config().max_trace_bytes);
    let whole = |number: Number| {
        let whole = number.as_u64().and_then(|number| usize::try_from(number).ok());
        whole.ok_or_else(|| RpcError::invalid_params(format!("{number} is no count: expected a whole number")))
    };
    let left_out = filter.after.map(whole).transpose()?;
    let most = filter.count.map(whole).transpose()?;
    let (mut left_out, most) = (left_out.unwrap_or(0), most.unwrap_or(usize::MAX));
    let mut told = Vec::new();
    for number in from..=to {
        if told.len() >= most {
            break;
        }
        if !context.is_awaited() {
            return Err(RpcError::timeout());
        }
        let Some(committed) = context.block(number)? else { break };
        gas = gas.saturating_add(committed.block.header().gas_used);
        if gas > most_gas {
            let why = format!(
                "the transactions of blocks {from} to {number} used more than {most_gas} gas, which is too much to execute again: \
                 narrow the block range or the count"
            );
            return Err(RpcError::limit(why));
        }
        let (calls, left) = calls_of_block(context, &committed, budget)?;
        budget = left;
        let found = calls.into_iter().filter(|call| matcher.matches(&call.trace)).collect::<Vec<_>>();
        let skipped = left_out.min(found.len());
        left_out -= skipped;
        told.extend(found.into_iter().skip(skipped).take(most - told.len()));
    }
    Ok(told)
}

fn call(context: &Context, params: &Params) -> Result<TraceResults, RpcError> {
    let mut reader = params.reader()?;
    let (request, types): (CallRequest, Types) = (reader.required()?, reader.required()?);
    let call = request.check(context.chain_id())?;
    let mut sandbox = place(context, reader, newest)?;
    let gas = relax(context, &mut sandbox, &call);
    let env = call.tx_env(gas, context.chain_id(), sandbox.block.basefee);
    Ok(run(&mut sandbox, env, &types, context.config().max_trace_bytes)?.0)
}

/// Calls in one request.
const MOST_CALLS: usize = 1_000;

/// Calls one on top of the other, which together may use the gas of one.
fn call_many(context: &Context, params: &Params) -> Result<Vec<TraceResults>, RpcError> {
    let mut reader = params.reader()?;
    let Few(wanted): Few<(CallRequest, Types), MOST_CALLS> = reader.required()?;
    if wanted.len() > MOST_CALLS {
        return Err(RpcError::limit(format!("too many calls, at most {MOST_CALLS}")));
    }
    let mut sandbox = place(context, reader, newest)?;
    let (base_fee, chain_id) = (sandbox.block.basefee, context.chain_id());
    let (mut gas, mut budget) = (context.config().gas_cap, context.config().max_trace_bytes);
    let mut all = Vec::with_capacity(wanted.len());
    for (request, types) in wanted {
        let call = request.check(chain_id)?;
        sandbox.block.basefee = base_fee;
        let limit = relax(context, &mut sandbox, &call).min(gas);
        let env = call.tx_env(limit, chain_id, sandbox.block.basefee);
        let (results, left, traced) = run(&mut sandbox, env, &types, budget)?;
        gas = gas.saturating_sub(traced.result.tx_gas_used());
        budget = left;
        sandbox.db.commit(traced.state);
        all.push(results);
    }
    Ok(all)
}

/// A signed transaction, as if it came next, or in the block that is named.
fn raw(context: &Context, params: &Params) -> Result<TraceResults, RpcError> {
    let mut reader = params.reader()?;
    let (Data(raw), types) = (reader.required()?, reader.required()?);
    let id: Option<BlockId> = reader.optional()?;
    reader.end()?;
    let transaction = recover(&raw)?;
    let env = tx_env(&transaction).ok_or_else(|| RpcError::server(PoolError::Blob.to_string()))?;
    let mut sandbox = match id {
        Some(id) => Sandbox::new(context, id)?,
        None => Sandbox::next(context)?,
    };
    Ok(run(&mut sandbox, env, &types, context.config().max_trace_bytes)?.0)
}

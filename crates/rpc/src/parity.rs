//! `trace_`: what transactions called, in OpenEthereum's form, which explorers read: one call after the other, each with its
//! place in the tree.
//!
//! As there, the gas of a transaction's own call is what its base cost has left, calls of precompiled contracts that move no
//! value are left out, and what does not exist is null.

use crate::{
    BlockId, Context, Methods, RpcError,
    eth::find_block,
    evm::{Sandbox, recorded},
    hex::Hash,
    trace::Bounded,
};
use alloy_rpc_types_eth::TransactionInfo;
use alloy_rpc_types_trace::parity::LocalizedTransactionTrace;
use revm::{DatabaseCommit, handler::EthPrecompiles, state::EvmState};
use revm_inspectors::tracing::{TracingInspector, types::CallTraceNode};
use stoa_ledger::Committed;

pub(crate) fn register(methods: &mut Methods) {
    methods
        .execute("trace_transaction", |context, params| {
            let mut reader = params.reader()?;
            let Hash(hash) = reader.required()?;
            reader.end()?;
            let Some((committed, index)) = context.transaction(hash)? else { return Ok(None) };
            let mut sandbox = Sandbox::replay(context, &committed, index)?;
            let (calls, ..) = calls(&mut sandbox, &committed, index, context.config().max_trace_bytes)?;
            Ok(Some(calls))
        })
        .execute("trace_block", |context, params| {
            let mut reader = params.reader()?;
            let id: BlockId = reader.required()?;
            reader.end()?;
            let found = if id == BlockId::Pending { None } else { find_block(context, id)? };
            found.map(|committed| calls_of_block(context, &committed)).transpose()
        });
}

fn calls_of_block(context: &Context, committed: &Committed) -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
    let count = committed.block.transactions().len();
    if count == 0 {
        // Nor is there a state before the first block.
        return Ok(Vec::new());
    }
    let mut sandbox = Sandbox::replay(context, committed, 0)?;
    let (mut all, mut budget) = (Vec::new(), context.config().max_trace_bytes);
    for index in 0..count {
        let (calls, left, state) = calls(&mut sandbox, committed, index, budget)?;
        budget = left;
        sandbox.db.commit(state);
        all.extend(calls);
    }
    Ok(all)
}

/// The calls of one transaction, what is left of the budget, and what the transaction changed, which is not applied.
fn calls(
    sandbox: &mut Sandbox,
    committed: &Committed,
    index: usize,
    budget: usize,
) -> Result<(Vec<LocalizedTransactionTrace>, usize, EvmState), RpcError> {
    let precompiled = EthPrecompiles::new(*sandbox.cfg.spec());
    let (traced, tracer) = sandbox.inspect(recorded(committed, index)?, Bounded::calls(budget))?;
    let left = tracer.left();
    let mut inspector = tracer.inner;
    leave_out(&mut inspector, &precompiled);
    let info = TransactionInfo {
        hash: Some(*committed.block.transactions()[index].hash()),
        index: Some(index as u64),
        block_hash: Some(committed.block.hash()),
        block_number: Some(committed.block.number()),
        ..TransactionInfo::default()
    };
    Ok((inspector.into_parity_builder().into_localized_transaction_traces(info), left, traced.state))
}

/// Leaves out calls of precompiled contracts that move no value; they call nothing in their turn.
fn leave_out(inspector: &mut TracingInspector, precompiled: &EthPrecompiles) {
    let nodes = inspector.traces_mut().nodes_mut();
    let is_out = |node: &CallTraceNode| {
        node.parent.is_some() && node.trace.value.is_zero() && precompiled.contains(&node.trace.address)
    };
    let out = nodes.iter().map(is_out).collect::<Vec<_>>();
    for (node, is_out) in nodes.iter_mut().zip(&out) {
        node.trace.maybe_precompile = Some(*is_out);
        node.children.retain(|child| !out[*child]);
    }
}

//! `debug_`: traces, and blocks, transactions and code as bytes.
//!
//! A trace replays the transactions before the one asked for and runs that one under an inspector of
//! `revm-inspectors`, which knows geth's formats. What an inspector records is counted and cut off
//! ([`Bounded`]), in all transactions of a block together: a contract can be written so that its trace would fill any memory.

use crate::{
    BlockId, Context, Methods, Params, Reader, RpcError,
    eth::{find_block, raw_block, raw_transaction, relax},
    evm::{Base, BlockOverrides, Sandbox, StateOverrides, recorded},
    hex::{Hash, Uint64},
    params::{BlockNumber, json_error},
    request::CallRequest,
    trace::{Bounded, Selectors, leave_out},
};
use alloy_consensus::{Eip658Value, Receipt as ConsensusReceipt, ReceiptEnvelope, TxType};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Bytes, KECCAK256_EMPTY};
use alloy_rpc_types_trace::{
    geth::{
        FlatCallConfig,
        GethDebugBuiltInTracerType::{FlatCallTracer, FourByteTracer, MuxTracer, NoopTracer},
        GethDebugTracerConfig,
        GethDebugTracerType::{BuiltInTracer, JsTracer},
        GethDebugTracingOptions, GethTrace,
    },
    parity::TraceOutput,
};
use revm::{DatabaseCommit, DatabaseRef, context::TxEnv, state::EvmState};
use revm_inspectors::tracing::{DebugInspector, TransactionContext};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, value::RawValue};
use stoa_ledger::{Committed, LedgerError};

pub(crate) fn register(methods: &mut Methods) {
    methods
        .execute("debug_traceTransaction", |context, params| {
            let mut reader = params.reader()?;
            let Hash(hash) = reader.required()?;
            let options = parsed(options(reader)?, 1)?;
            let (committed, index) =
                context.transaction(hash)?.ok_or_else(|| RpcError::server("transaction not found"))?;
            let mut sandbox = Sandbox::replay(context, &committed, index)?;
            let (place, budget) = (transaction_context(&committed, index), context.config().max_trace_bytes);
            Ok(trace(&mut sandbox, recorded(&committed, index)?, options, budget, place)?.0)
        })
        .execute("debug_traceCall", trace_call)
        .execute("debug_traceBlockByNumber", |context, params| {
            let mut reader = params.reader()?;
            let BlockNumber(id) = reader.required()?;
            trace_block(context, id, parsed(options(reader)?, 1)?)
        })
        .execute("debug_traceBlockByHash", |context, params| {
            let mut reader = params.reader()?;
            let Hash(hash) = reader.required()?;
            trace_block(context, BlockId::Hash(hash), parsed(options(reader)?, 1)?)
        })
        .read("debug_getRawTransaction", raw_transaction)
        .read("debug_getRawBlock", |context, params| Ok(raw_block(&block(context, params)?.block)))
        .read("debug_getRawHeader", |context, params| {
            Ok(Bytes::from(alloy_rlp::encode(block(context, params)?.block.header())))
        })
        .read("debug_getRawReceipts", |context, params| {
            let committed = block(context, params)?;
            Ok(committed.receipts.iter().map(raw_receipt).collect::<Vec<_>>())
        })
        .read("debug_codeByHash", code_by_hash)
        .instant("debug_getBadBlocks", |_, params| {
            params.none()?;
            // What no quorum has signed is no block.
            Ok([(); 0])
        });
}

/// The code with this hash at a block, null where no account has or had it.
fn code_by_hash(context: &Context, params: &Params) -> Result<Option<Bytes>, RpcError> {
    let mut reader = params.reader()?;
    let Hash(hash) = reader.required()?;
    let id: BlockId = reader.optional()?.unwrap_or_default();
    reader.end()?;
    if hash == KECCAK256_EMPTY {
        return Ok(Some(Bytes::new()));
    }
    match Base::of(context, id)?.code_by_hash_ref(hash) {
        Ok(code) => Ok(Some(code.original_bytes())),
        // What the ledger says of a hash that nothing stands under.
        Err(LedgerError::Damaged(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn block(context: &Context, params: &Params) -> Result<Committed, RpcError> {
    let mut reader = params.reader()?;
    let id: BlockId = reader.required()?;
    reader.end()?;
    find_block(context, id)?.ok_or_else(|| RpcError::server("block not found"))
}

/// A receipt in Ethereum's own encoding (EIP-2718).
fn raw_receipt(receipt: &stoa_base::Receipt) -> Bytes {
    let with_bloom = ConsensusReceipt {
        status: Eip658Value::Eip658(receipt.success),
        cumulative_gas_used: receipt.cumulative_gas_used,
        logs: receipt.logs.clone(),
    }
    .with_bloom();
    let envelope = match TxType::try_from(receipt.tx_type) {
        Ok(TxType::Eip2930) => ReceiptEnvelope::Eip2930(with_bloom),
        Ok(TxType::Eip1559) => ReceiptEnvelope::Eip1559(with_bloom),
        Ok(TxType::Eip7702) => ReceiptEnvelope::Eip7702(with_bloom),
        Ok(TxType::Eip4844) => ReceiptEnvelope::Eip4844(with_bloom),
        Ok(TxType::Legacy) | Err(_) => ReceiptEnvelope::Legacy(with_bloom),
    };
    envelope.encoded_2718().into()
}

/// Bytes of a trace's options, which take many times as much memory once they are read.
const MOST_OPTIONS: usize = 1 << 20;

/// The options that end the parameters, as JSON text.
fn options(mut reader: Reader<'_>) -> Result<&str, RpcError> {
    let json = reader.optional::<&RawValue>()?.map_or("{}", RawValue::get);
    reader.end()?;
    match json.len() {
        length if length > MOST_OPTIONS => {
            Err(RpcError::invalid_params(format!("the options have {length} bytes, at most {MOST_OPTIONS} are read")))
        }
        _ => Ok(json),
    }
}

fn parsed<T: DeserializeOwned>(json: &str, position: usize) -> Result<T, RpcError> {
    serde_json::from_str(json).map_err(|error| RpcError::invalid_argument(position, json_error(&error)))
}

/// What is asked of a trace where it is flat.
#[derive(Clone, Copy)]
struct Flat {
    /// Whether calls of precompiled contracts are told.
    precompiles: bool,
    /// Whether errors are told in OpenEthereum's words.
    parity_errors: bool,
}

/// Whether a text is a duration as Go writes it, such as `1m30s`.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut parts = 0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !is_number(c)).unwrap_or(rest.len()));
        let (unit, next) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let valid = number.contains(|c: char| c.is_ascii_digit()) && number.matches('.').count() <= 1;
        if !valid || !["ns", "us", "µs", "μs", "ms", "s", "m", "h"].contains(&unit) {
            return false;
        }
        rest = next;
        parts += 1;
    }
    parts > 0
}

/// What records a trace, and what is to be done with it.
struct Asked {
    inspector: DebugInspector,
    /// What is asked of it where it is flat: all calls are recorded ([`leave_out`]).
    flat: Option<Flat>,
    /// Whether calls are counted by what they call.
    selectors: bool,
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

fn tracer_not_found(name: &str) -> RpcError {
    // The name of none has a brace in it: this is a program.
    RpcError::server(if name.contains('{') {
        "tracers in JavaScript are not run; there are callTracer, flatCallTracer, prestateTracer, erc7562Tracer, 4byteTracer, \
         muxTracer and noopTracer"
            .to_owned()
    } else {
        format!("tracer not found: {}", short(name))
    })
}

/// Brings the tracers that a `muxTracer` runs into the form that its inspector takes, which is stricter than geth.
fn prepare_mux(tracers: &mut Map<String, Value>) -> Result<(), RpcError> {
    for (name, config) in tracers {
        match name.as_str() {
            "callTracer" | "flatCallTracer" | "prestateTracer" if config.is_null() => *config = Map::new().into(),
            "callTracer" | "flatCallTracer" | "prestateTracer" => {}
            // There is nothing to be set of them.
            "noopTracer" | "stateGasTracer" => *config = Value::Null,
            "erc7562Tracer" | "muxTracer" => return Err(RpcError::server(format!("muxTracer cannot run {name}"))),
            _ => return Err(tracer_not_found(name)),
        }
    }
    Ok(())
}

fn asked(mut options: GethDebugTracingOptions) -> Result<Asked, RpcError> {
    if let Some(timeout) = options.timeout.as_deref().filter(|timeout| !is_duration(timeout)) {
        return Err(RpcError::server(format!("invalid timeout {:?}: not a duration", short(timeout))));
    }
    let mut selectors = false;
    match &options.tracer {
        Some(JsTracer(name)) if !name.is_empty() => return Err(tracer_not_found(name)),
        Some(BuiltInTracer(FourByteTracer)) => {
            selectors = true;
            options.tracer = Some(BuiltInTracer(NoopTracer));
        }
        Some(BuiltInTracer(MuxTracer)) => {
            if let Some(tracers) = options.tracer_config.0.as_object_mut() {
                selectors = tracers.remove("4byteTracer").is_some();
                prepare_mux(tracers)?;
            }
        }
        _ => {}
    }
    let flat = match &options.tracer {
        Some(BuiltInTracer(FlatCallTracer)) => Some(&mut options.tracer_config.0),
        Some(BuiltInTracer(MuxTracer)) => options.tracer_config.0.get_mut("flatCallTracer"),
        _ => None,
    };
    let mut finish = None;
    if let Some(flat) = flat {
        let config = GethDebugTracerConfig(flat.take()).into_flat_call_config();
        let config = config.map_err(|_| RpcError::server("invalid tracer config"))?;
        finish = Some(Flat {
            precompiles: config.include_precompiles.unwrap_or_default(),
            parity_errors: config.convert_parity_errors.unwrap_or_default(),
        });
        *flat = GethDebugTracerConfig::from(FlatCallConfig { include_precompiles: Some(true), ..config }).0;
    }
    let inspector = DebugInspector::new(options).map_err(|error| RpcError::server(error.to_string()))?;
    Ok(Asked { inspector, flat: finish, selectors })
}

impl Flat {
    /// Makes what is flat in the trace of a transaction, which used so much gas, what was asked for.
    fn finish(self, trace: &mut GethTrace, sandbox: &Sandbox, gas_used: u64) {
        match trace {
            GethTrace::FlatCallTracer(calls) => {
                if !self.precompiles {
                    *calls = leave_out(std::mem::take(calls), |call| &mut call.trace, sandbox);
                }
                // The first call is the transaction's.
                match calls.first_mut().and_then(|call| call.trace.result.as_mut()) {
                    Some(TraceOutput::Call(output)) => output.gas_used = gas_used,
                    Some(TraceOutput::Create(output)) => output.gas_used = gas_used,
                    None => {}
                }
                if !self.parity_errors {
                    for error in calls.iter_mut().filter_map(|call| call.trace.error.as_mut()) {
                        *error = in_geths_words(error).to_owned();
                    }
                }
            }
            GethTrace::MuxTracer(traces) => {
                traces.0.values_mut().for_each(|trace| self.finish(trace, sandbox, gas_used));
            }
            _ => {}
        }
    }
}

/// Takes its logs from a transaction that failed, as geth does; the inspector takes those of the calls in it.
fn clear_failed_logs(trace: &mut GethTrace) {
    match trace {
        GethTrace::CallTracer(call) if call.error.is_some() => call.logs.clear(),
        GethTrace::Erc7562Tracer(call) if call.error.is_some() => call.logs.clear(),
        GethTrace::MuxTracer(traces) => traces.0.values_mut().for_each(clear_failed_logs),
        _ => {}
    }
}

/// Leaves out of the steps what geth leaves out: a refund of nothing, and empty memory and return data.
fn leave_out_nothing(trace: &mut GethTrace) {
    let GethTrace::Default(steps) = trace else { return };
    for step in &mut steps.struct_logs {
        step.refund_counter = step.refund_counter.filter(|refund| *refund > 0);
        step.memory = step.memory.take().filter(|memory| !memory.is_empty());
        step.return_data = step.return_data.take().filter(|data| !data.is_empty());
    }
}

/// What geth calls an error that has OpenEthereum's name.
fn in_geths_words(error: &str) -> &str {
    match error {
        "Reverted" => "execution reverted",
        "Out of gas" => "out of gas",
        "Insufficient balance for transfer" => "insufficient balance for transfer",
        "Bad instruction" => "invalid opcode",
        "Stack underflow" => "stack underflow",
        "Mutable Call In Static Context" => "write protection",
        "Out of bounds" => "return data out of bounds",
        "Invalid code" => "invalid code: must not begin with 0xef",
        "Contract address collision" => "contract address collision",
        "Nonce overflow" => "nonce uint64 overflow",
        "Max call depth exceeded" => "max call depth exceeded",
        "Bad jump destination" => "invalid jump destination",
        "Built-in failed" => "precompiled failed",
        other => other,
    }
}

fn transaction_context(committed: &Committed, index: usize) -> TransactionContext {
    TransactionContext {
        block_hash: Some(committed.block.hash()),
        tx_index: Some(index),
        tx_hash: Some(*committed.block.transactions()[index].hash()),
    }
}

/// Traces one transaction; gives back what is left of the budget, and what changed, which is not applied to the sandbox.
fn trace(
    sandbox: &mut Sandbox,
    env: TxEnv,
    options: GethDebugTracingOptions,
    budget: usize,
    place: TransactionContext,
) -> Result<(GethTrace, usize, EvmState), RpcError> {
    let Asked { inspector, flat, selectors } = asked(options)?;
    let mut tracer = Bounded::new(inspector, sandbox.max_trace_bytes, budget);
    tracer.selectors = selectors.then(|| Selectors::new(sandbox.natives.clone()));
    let (traced, mut tracer) = sandbox.inspect(env.clone(), tracer)?;
    let block = sandbox.block.clone();
    let mut trace = tracer
        .inner
        .get_result(Some(place), &env, &block, &traced, &mut sandbox.db)
        .map_err(|error| RpcError::server(format!("the trace cannot be put together: {error}")))?;
    if let Some(flat) = flat {
        flat.finish(&mut trace, sandbox, traced.result.tx_gas_used());
    }
    clear_failed_logs(&mut trace);
    leave_out_nothing(&mut trace);
    if let Some(selectors) = tracer.selectors.take() {
        let counted = selectors.into_frame().into();
        match &mut trace {
            GethTrace::MuxTracer(traces) => {
                traces.0.insert(BuiltInTracer(FourByteTracer), counted);
            }
            alone => *alone = counted,
        }
    }
    Ok((trace, tracer.left(), traced.state))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockTrace {
    tx_hash: B256,
    result: GethTrace,
}

fn trace_block(context: &Context, id: BlockId, options: GethDebugTracingOptions) -> Result<Vec<BlockTrace>, RpcError> {
    let committed = match id {
        BlockId::Pending => None,
        id => find_block(context, id)?,
    };
    let committed = committed.ok_or_else(|| {
        RpcError::server(match id {
            BlockId::Hash(hash) => format!("block {hash} not found"),
            BlockId::Number(number) => format!("block #{number} not found"),
            BlockId::Latest | BlockId::Pending => "block not found".to_owned(),
        })
    })?;
    let mut sandbox = Sandbox::replay(context, &committed, 0)?;
    let mut traces = Vec::new();
    let mut budget = context.config().max_trace_bytes;
    for index in 0..committed.block.transactions().len() {
        let place = transaction_context(&committed, index);
        let tx_hash = *committed.block.transactions()[index].hash();
        let env = recorded(&committed, index)?;
        let (result, left, state) = trace(&mut sandbox, env, options.clone(), budget, place)?;
        budget = left;
        sandbox.db.commit(state);
        traces.push(BlockTrace { tx_hash, result });
    }
    Ok(traces)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallOptions {
    state_overrides: Option<StateOverrides>,
    block_overrides: Option<BlockOverrides>,
    tx_index: Option<Uint64>,
}

fn trace_call(context: &Context, params: &Params) -> Result<GethTrace, RpcError> {
    let mut reader = params.reader()?;
    let request: CallRequest = reader.required()?;
    let id: BlockId = reader.optional()?.unwrap_or_default();
    let json = options(reader)?;
    let call = request.check(context.chain_id())?;
    let (tracing, extra) = (parsed(json, 2)?, parsed::<CallOptions>(json, 2)?);

    let mut sandbox = match extra.tx_index {
        None => Sandbox::new(context, id)?,
        Some(Uint64(index)) => {
            let committed = find_block(context, id)?.ok_or_else(RpcError::header_not_found)?;
            let most = committed.block.transactions().len();
            Sandbox::replay(context, &committed, usize::try_from(index).map_or(most, |index| index.min(most)))?
        }
    };
    if let Some(overrides) = extra.state_overrides {
        sandbox.override_state(overrides)?;
    }
    if let Some(overrides) = extra.block_overrides {
        sandbox.override_block(overrides)?;
    }
    let gas = relax(context, &mut sandbox, &call);
    let env = call.tx_env(gas, context.chain_id(), sandbox.block.basefee);
    Ok(trace(&mut sandbox, env, tracing, context.config().max_trace_bytes, TransactionContext::default())?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, Log};

    #[test]
    fn a_duration_is_one_of_gos() {
        for text in ["0", "5s", "1m30s", "1.5h", "-2ms", "10µs"] {
            assert!(is_duration(text), "{text}");
        }
        for text in ["", "5", "s", "soon", "1.2.3s", "5 s", "+", ".s", "5S"] {
            assert!(!is_duration(text), "{text}");
        }
    }

    #[test]
    fn a_raw_receipt_is_ethereums() {
        let receipt = stoa_base::Receipt {
            tx_type: 2,
            success: true,
            gas_used: 21_000,
            cumulative_gas_used: 42_000,
            effective_gas_price: 7,
            logs: vec![Log::new_unchecked(Address::repeat_byte(1), vec![B256::repeat_byte(2)], Bytes::new())],
            contract_address: None,
        };
        let raw = raw_receipt(&receipt);
        assert_eq!(raw[0], 2);
        let decoded: ReceiptEnvelope = alloy_eips::Decodable2718::decode_2718(&mut raw.as_ref()).unwrap();
        assert_eq!((decoded.cumulative_gas_used(), decoded.logs().len()), (42_000, 1));
        assert_eq!(*decoded.logs_bloom(), crate::view::bloom(&receipt));
    }
}

use crate::evm::Sandbox;
use alloy_primitives::{
    Selector,
    map::{HashMap, HashSet},
};
use alloy_rpc_types_trace::{
    geth::FourByteFrame,
    parity::{Action, TraceType, TransactionTrace},
};
use revm::{
    Inspector,
    bytecode::opcode,
    context_interface::{ContextError, ContextTr, Database, JournalTr},
    handler::FrameResult,
    inspector::JournalExt,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, FrameInput, Interpreter,
        interpreter_types::{Jumps, LoopControl},
    },
    primitives::{Address, Log, U256},
};
use revm_inspectors::tracing::{
    DebugInspector, TraceLimitBehavior, TraceLimits, TracingInspector, TracingInspectorConfig,
};
use std::collections::BTreeMap;
use stoa_contract::Natives;

/// An inspector that gives up when what it has recorded takes too much memory: one of geth's traces, if no other is named.
#[derive(Debug)]
pub(crate) struct Bounded<I = DebugInspector> {
    pub inner: I,
    /// What counts selectors, where that is asked for.
    pub selectors: Option<Selectors>,
    /// Bytes in all, of which some may be taken by what was recorded before, and those left.
    most: usize,
    left: usize,
    exceeded: bool,
    /// How many steps are still recorded, with the stack.
    steps: u64,
    beside: Beside,
}

/// What is told of each step beside the stack.
#[derive(Debug, Default)]
struct Beside {
    memory: bool,
    /// The slots of each contract that were touched so far: all of them are told each time that it touches one.
    slots: Option<HashMap<Address, HashSet<U256>>>,
}

impl Beside {
    /// What it takes of the next step, about.
    fn bytes(&mut self, interp: &Interpreter) -> usize {
        let memory = if self.memory { interp.memory.len() / 32 * WORD_BYTES } else { 0 };
        let storage = match &mut self.slots {
            Some(slots) if matches!(interp.bytecode.opcode(), opcode::SLOAD | opcode::SSTORE) => {
                let slots = slots.entry(interp.input.target_address).or_default();
                slots.extend(interp.stack.data().last());
                slots.len() * SLOT_BYTES
            }
            _ => 0,
        };
        memory + storage
    }
}

/// Counts calls by what they call, as geth's `4byteTracer` does. The one of `revm-inspectors` takes native contracts for
/// precompiled ones, which are not counted.
#[derive(Debug)]
pub(crate) struct Selectors {
    natives: Natives,
    /// By selector, and bytes of the arguments.
    counts: BTreeMap<(Selector, usize), u64>,
}

impl Selectors {
    pub fn new(natives: Natives) -> Self {
        Self { natives, counts: BTreeMap::new() }
    }

    fn count<CTX: ContextTr>(&mut self, context: &CTX, inputs: &CallInputs) {
        let to = inputs.bytecode_address;
        if context.journal_ref().precompile_addresses().contains(&to) && self.natives.get(&to).is_none() {
            return;
        }
        if let Some((selector, arguments)) = inputs.input.as_bytes(context).split_first_chunk::<4>() {
            *self.counts.entry((Selector::from(*selector), arguments.len())).or_default() += 1;
        }
    }

    /// What geth answers.
    pub fn into_frame(self) -> FourByteFrame {
        let counts = self.counts.into_iter();
        FourByteFrame(counts.map(|((selector, size), count)| (format!("{selector}-{size}"), count)).collect())
    }
}

/// What one entry of a list takes beside its bytes, about.
const STEP_BYTES: usize = 256;
const CALL_BYTES: usize = 1024;
const LOG_BYTES: usize = 256;
/// And a word of the memory, which is told as text, and a slot with its value.
const WORD_BYTES: usize = 96;
const SLOT_BYTES: usize = 80;

fn limits(budget: usize) -> TraceLimits {
    TraceLimits::default().set_max_recorded_bytes(Some(budget)).set_behavior(TraceLimitBehavior::Halt)
}

impl Bounded {
    /// Lets `inner` record about `left` bytes, of `most` in all.
    pub fn new(inner: DebugInspector, most: usize, left: usize) -> Self {
        let limits = limits(left);
        let inner = match inner {
            DebugInspector::CallTracer(tracer, config) => {
                DebugInspector::CallTracer(tracer.with_limits(limits), config)
            }
            DebugInspector::PreStateTracer(tracer, config) => {
                DebugInspector::PreStateTracer(tracer.with_limits(limits), config)
            }
            DebugInspector::FlatCallTracer(tracer) => DebugInspector::FlatCallTracer(tracer.with_limits(limits)),
            DebugInspector::Erc7562Tracer(tracer, config) => {
                DebugInspector::Erc7562Tracer(tracer.with_limits(limits), config)
            }
            DebugInspector::Default(tracer, config) => DebugInspector::Default(tracer.with_limits(limits), config),
            other => other,
        };
        let (steps, beside) = match &inner {
            DebugInspector::Default(_, config) => {
                // None at all means that all are.
                let steps = config.limit.filter(|limit| *limit > 0).unwrap_or(u64::MAX);
                let slots = config.is_storage_enabled().then(HashMap::default);
                (steps, Beside { memory: config.is_memory_enabled(), slots })
            }
            DebugInspector::Erc7562Tracer(..) | DebugInspector::Mux(..) => (u64::MAX, Beside::default()),
            _ => (0, Beside::default()),
        };
        Self { inner, selectors: None, most, left, exceeded: false, steps, beside }
    }
}

impl Bounded<TracingInspector> {
    /// Records what Parity's traces of these types tell, and calls of precompiled contracts ([`leave_out`]); about `left`
    /// bytes, of `most` in all.
    pub fn parity(types: &HashSet<TraceType>, most: usize, left: usize) -> Self {
        let config = TracingInspectorConfig::from_parity_config(types).set_exclude_precompile_calls(false);
        let inner = TracingInspector::new(config).with_limits(limits(left));
        let steps = if types.contains(&TraceType::VmTrace) { u64::MAX } else { 0 };
        Self { inner, selectors: None, most, left, exceeded: false, steps, beside: Beside::default() }
    }
}

/// Leaves out calls of precompiled contracts that move no value, which call nothing in their turn, and closes the gaps in the
/// places of the others. Where an inspector leaves them out, it does so with native contracts, which are precompiled ones to it.
pub(crate) fn leave_out<T>(traces: Vec<T>, of: impl Fn(&mut T) -> &mut TransactionTrace, sandbox: &Sandbox) -> Vec<T> {
    let mut told = Vec::<T>::with_capacity(traces.len());
    // The calls that the next one is made in: where they are told, and how many of those made in them are left out so far.
    let mut around = Vec::<(usize, usize)>::new();
    for mut next in traces {
        let trace = of(&mut next);
        around.truncate(trace.trace_address.len());
        if let Some((at, gone)) = around.last_mut()
            && is_precompiled(trace, sandbox)
        {
            of(&mut told[*at]).subtraces -= 1;
            *gone += 1;
            continue;
        }
        for (place, (_, gone)) in trace.trace_address.iter_mut().zip(&around) {
            *place -= gone;
        }
        around.push((told.len(), 0));
        told.push(next);
    }
    told
}

fn is_precompiled(trace: &TransactionTrace, sandbox: &Sandbox) -> bool {
    match &trace.action {
        Action::Call(call) => call.value.is_zero() && sandbox.precompile(call.to).is_some(),
        Action::Create(_) | Action::Selfdestruct(_) | Action::Reward(_) => false,
    }
}

impl<I> Bounded<I> {
    /// What is left of the budget.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Counts bytes; execution fails once there are too many.
    fn record<CTX: ContextTr>(&mut self, context: &mut CTX, bytes: usize) {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => {
                self.exceeded = true;
                if context.error().is_ok() {
                    *context.error() = Err(ContextError::<<CTX::Db as Database>::Error>::Custom(format!(
                        "the trace is too large, at most {} bytes are recorded: ask for less of it, or with a tracer that \
                         records less",
                        self.most
                    )));
                }
            }
        }
    }

    fn stop(&self, interp: &mut Interpreter) {
        if self.exceeded {
            interp.bytecode.action().take();
            interp.bytecode.reset_action();
            interp.halt_fatal();
        }
    }
}

impl<CTX, I> Inspector<CTX> for Bounded<I>
where
    CTX: ContextTr<Journal: JournalExt>,
    I: Inspector<CTX>,
{
    fn initialize_interp(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        self.inner.initialize_interp(interp, context);
    }

    fn step(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        if self.steps > 0 && !self.exceeded {
            self.steps -= 1;
            let beside = self.beside.bytes(interp);
            self.record(context, STEP_BYTES + 32 * interp.stack.len() + beside);
        }
        if self.exceeded {
            return self.stop(interp);
        }
        self.inner.step(interp, context);
    }

    fn step_end(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        if !self.exceeded {
            self.inner.step_end(interp, context);
        }
    }

    fn log(&mut self, context: &mut CTX, log: Log) {
        self.record(context, LOG_BYTES + log.data.data.len());
        self.inner.log(context, log);
    }

    fn log_full(&mut self, interp: &mut Interpreter, context: &mut CTX, log: Log) {
        self.record(context, LOG_BYTES + log.data.data.len());
        self.inner.log_full(interp, context, log);
    }

    fn call(&mut self, context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.record(context, CALL_BYTES + inputs.input.len());
        if let Some(selectors) = &mut self.selectors {
            selectors.count(context, inputs);
        }
        self.inner.call(context, inputs)
    }

    fn call_end(&mut self, context: &mut CTX, inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.record(context, outcome.result.output.len());
        self.inner.call_end(context, inputs, outcome);
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.record(context, CALL_BYTES + inputs.init_code().len());
        self.inner.create(context, inputs)
    }

    fn create_end(&mut self, context: &mut CTX, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        self.record(context, outcome.result.output.len());
        self.inner.create_end(context, inputs, outcome);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        Inspector::<CTX>::selfdestruct(&mut self.inner, contract, target, value);
    }

    fn frame_start(&mut self, context: &mut CTX, frame_input: &mut FrameInput) -> Option<FrameResult> {
        self.inner.frame_start(context, frame_input)
    }

    fn frame_end(&mut self, context: &mut CTX, frame_input: &FrameInput, frame_result: &mut FrameResult) {
        self.inner.frame_end(context, frame_input, frame_result);
    }
}

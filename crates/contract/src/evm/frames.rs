//! Call frames: where one starts as Rust, and loops of frames within a native call.

use super::{
    Ctx, Evm, MAX_NATIVE_DEPTH, Precompiles,
    machine::{Inspected, Plain},
};
use crate::{Context, Error, NativeContract, Result as CallResult, context::entry_gas};
use alloy_primitives::Bytes;
use revm::{
    Database, Inspector,
    context::{ContextTr, FrameStack, JournalTr},
    context_interface::context::ContextError,
    handler::{
        EthFrame, EvmTr, FrameInitOrResult, FrameResult, ItemOrResult,
        evm::{ContextDbError, FrameInitResult},
        instructions::EthInstructions,
    },
    inspector::{
        InspectorEvmTr,
        handler::{frame_end, frame_start},
    },
    interpreter::{
        CallInputs, CallOutcome, FrameInput, Gas, InstructionResult, InterpreterResult, SharedMemory,
        interpreter::EthInterpreter, interpreter_action::FrameInit,
    },
    primitives::constants::CALL_STACK_LIMIT,
};
use std::sync::Arc;

type Frame = EthFrame<EthInterpreter>;
type DbResult<T, DB> = Result<T, ContextError<<DB as Database>::Error>>;

impl<DB: Database, I> EvmTr for Evm<DB, I> {
    type Context = Ctx<DB>;
    type Instructions = EthInstructions<EthInterpreter, Ctx<DB>>;
    type Precompiles = Precompiles;
    type Frame = Frame;

    #[inline]
    fn all(&self) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Frame>) {
        let inner = &self.inner;
        (&inner.ctx, &inner.instruction, &inner.precompiles, &inner.frame_stack)
    }

    #[inline]
    fn all_mut(
        &mut self,
    ) -> (&mut Self::Context, &mut Self::Instructions, &mut Self::Precompiles, &mut FrameStack<Frame>) {
        let inner = &mut self.inner;
        (&mut inner.ctx, &mut inner.instruction, &mut inner.precompiles, &mut inner.frame_stack)
    }

    #[inline]
    fn frame_init(&mut self, init: FrameInit) -> Result<FrameInitResult<'_, Frame>, ContextDbError<Ctx<DB>>> {
        match native(self, &init) {
            Some(contract) => {
                let result = run_native(self, init, |evm, call| Context::run(&mut Plain(evm), call, &*contract))?;
                Ok(ItemOrResult::Result(result))
            }
            None => self.inner.frame_init(init),
        }
    }

    #[inline]
    fn frame_run(&mut self) -> Result<FrameInitOrResult<Frame>, ContextDbError<Ctx<DB>>> {
        self.inner.frame_run()
    }

    #[inline]
    fn frame_return_result(&mut self, result: FrameResult) -> Result<Option<FrameResult>, ContextDbError<Ctx<DB>>> {
        self.inner.frame_return_result(result)
    }
}

impl<DB: Database, I: Inspector<Ctx<DB>>> InspectorEvmTr for Evm<DB, I> {
    type Inspector = I;

    fn all_inspector(
        &self,
    ) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Frame>, &Self::Inspector) {
        let inner = &self.inner;
        (&inner.ctx, &inner.instruction, &inner.precompiles, &inner.frame_stack, &inner.inspector)
    }

    fn all_mut_inspector(
        &mut self,
    ) -> (
        &mut Self::Context,
        &mut Self::Instructions,
        &mut Self::Precompiles,
        &mut FrameStack<Frame>,
        &mut Self::Inspector,
    ) {
        let inner = &mut self.inner;
        (&mut inner.ctx, &mut inner.instruction, &mut inner.precompiles, &mut inner.frame_stack, &mut inner.inspector)
    }

    fn inspect_frame_init(
        &mut self,
        mut init: FrameInit,
    ) -> Result<FrameInitResult<'_, Frame>, ContextDbError<Ctx<DB>>> {
        let Some(contract) = native(self, &init) else {
            return self.inner.inspect_frame_init(init);
        };
        // A native frame tells its own logs and inner calls as they come; only its start and end are told here.
        let (ctx, inspector) = self.ctx_inspector();
        let early = frame_start(ctx, inspector, &mut init.frame_input);
        let input = init.frame_input.clone();
        let mut result = match early {
            Some(result) => result,
            None => run_native(self, init, |evm, call| Context::run(&mut Inspected(evm), call, &*contract))?,
        };
        let (ctx, inspector) = self.ctx_inspector();
        frame_end(ctx, inspector, &input, &mut result);
        Ok(ItemOrResult::Result(result))
    }
}

/// A native frame that is about to run.
pub(crate) struct NativeCall {
    /// What revm says about the call.
    pub(crate) inputs: CallInputs,
    /// The call data, out of the caller's memory.
    pub(crate) data: Bytes,
    /// The frame's part of the memory that all frames share. Native code keeps none in it; frames below continue it.
    pub(crate) memory: SharedMemory,
    /// Frames above this one.
    pub(crate) depth: usize,
    /// What the frame may use, with its entry paid.
    pub(crate) gas: Gas,
}

/// The contract whose code the frame is to run, if it is a native one.
#[inline]
fn native<DB: Database, I>(evm: &Evm<DB, I>, init: &FrameInit) -> Option<Arc<dyn NativeContract>> {
    match &init.frame_input {
        FrameInput::Call(inputs) => evm.natives.get(&inputs.bytecode_address).cloned(),
        _ => None,
    }
}

/// What every frame does around its code: depth, value, checkpoint, gas.
fn run_native<DB: Database, I>(
    evm: &mut Evm<DB, I>,
    init: FrameInit,
    code: impl FnOnce(&mut Evm<DB, I>, NativeCall) -> (Gas, CallResult<Bytes>),
) -> DbResult<FrameResult, DB> {
    let FrameInit { depth, memory, frame_input: FrameInput::Call(inputs) } = init else {
        unreachable!("only calls are native");
    };
    let inputs = *inputs;
    let return_memory = inputs.return_memory_offset.clone();
    let charged_new_account = inputs.charged_new_account_state_gas;
    let untouched = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit, inputs.reservoir);
    let outcome = |result, gas, output| {
        let mut outcome = CallOutcome::new(InterpreterResult { result, output, gas }, return_memory);
        outcome.charged_new_account_state_gas = charged_new_account;
        Ok(FrameResult::Call(outcome))
    };

    if depth > CALL_STACK_LIMIT as usize || evm.native_depth >= MAX_NATIVE_DEPTH {
        return outcome(InstructionResult::CallTooDeep, untouched, Bytes::new());
    }
    let ctx = &mut evm.inner.ctx;
    let checkpoint = ctx.journal_mut().checkpoint();
    if let Some(value) = inputs.value.transfer()
        && let Some(error) = ctx.journal_mut().transfer_loaded(inputs.caller, inputs.target_address, value)
    {
        ctx.journal_mut().checkpoint_revert(checkpoint);
        return outcome(error.into(), untouched, Bytes::new());
    }
    let mut gas = untouched;
    if !gas.record_regular_cost(entry_gas(inputs.input.len())) {
        ctx.journal_mut().checkpoint_revert(checkpoint);
        gas.spend_all();
        return outcome(InstructionResult::OutOfGas, gas, Bytes::new());
    }
    let data = inputs.input.bytes_local(ctx.local());

    evm.native_depth += 1;
    let (mut gas, result) = code(evm, NativeCall { inputs, data, memory, depth, gas });
    evm.native_depth -= 1;

    let ctx = &mut evm.inner.ctx;
    std::mem::replace(ctx.error(), Ok(()))?;
    let (result, output) = match result {
        Ok(output) => (InstructionResult::Return, output),
        Err(Error::Revert(output)) => (InstructionResult::Revert, output),
        Err(Error::UnknownFunction) => (InstructionResult::Revert, Bytes::new()),
        Err(Error::Halt(reason)) => (reason, Bytes::new()),
        Err(Error::Fatal) => return Err(ContextError::Custom("a native call lost its state".to_owned())),
    };
    match result.is_ok() {
        true => ctx.journal_mut().checkpoint_commit(),
        false => ctx.journal_mut().checkpoint_revert(checkpoint),
    }
    if result.is_halt() {
        gas.spend_all();
    }
    outcome(result, gas, output)
}

macro_rules! frame_loop {
    ($(#[$doc:meta])* $name:ident, [$($bound:tt)*], $init:path, $run:path) => {
        $(#[$doc])*
        pub(super) fn $name<DB: Database, I $($bound)*>(evm: &mut Evm<DB, I>, init: FrameInit) -> DbResult<FrameResult, DB> {
            let first = evm.inner.frame_stack.index().map_or(0, |index| index + 1);
            if let ItemOrResult::Result(result) = $init(evm, init)? {
                return Ok(result);
            }
            loop {
                let result = match $run(evm)? {
                    ItemOrResult::Result(result) => result,
                    ItemOrResult::Item(init) => match $init(evm, init)? {
                        ItemOrResult::Result(result) => result,
                        ItemOrResult::Item(_) => continue,
                    },
                };
                let stack = &mut evm.inner.frame_stack;
                if stack.index() == Some(first) && stack.get().is_finished() {
                    stack.pop();
                    std::mem::replace(evm.inner.ctx.error(), Ok(()))?;
                    return Ok(result);
                }
                evm.frame_return_result(result)?;
            }
        }
    };
}

frame_loop!(
    /// Runs a frame that native code starts, and all below it. They lie on the same stack as the frames above, which
    /// stay as they are: the loop ends when the frame that it began with does.
    run, [], EvmTr::frame_init, EvmTr::frame_run
);
frame_loop!(
    /// The same, with the inspector watching.
    inspect, [: Inspector<Ctx<DB>>], InspectorEvmTr::inspect_frame_init, InspectorEvmTr::inspect_frame_run
);

//! Calls from native code to other contracts, and the making of contracts.
//!
//! Whoever calls a native contract chooses what gas it has and how many frames lie above it, and so may have what it calls fail. That
//! is no answer, and nothing may follow from it but that the whole call fails:
//!
//! - Typed calls tell a callee that refused, which is a revert, from one that the machine stopped or did not run ([`Outcome::answered`]):
//!   that ends the caller in the same way, and so all native code above. Code in between, such as a clone's or a proxy's, makes a revert
//!   without data of it. Where native code goes on after a revert, it does so for the errors that it knows, by their types.
//! - Where any failure of somebody else's contract counts, it has gas and room of its own, or is not called at all:
//!   [`Context::call_with_gas`], [`Context::view_with_gas`].

use super::{Context, missing};
use crate::{Error, MAX_NATIVE_DEPTH, Result};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;
use revm::{
    context_interface::CreateScheme,
    handler::{FrameResult, handle_reservoir_remaining_gas},
    interpreter::{
        CallInput, CallInputs, CallScheme, CallValue, CreateInputs, FrameInput, InstructionResult,
        instructions::contract::load_account_delegated, interpreter_action::FrameInit,
    },
    primitives::{constants::CALL_STACK_LIMIT, hardfork::SpecId},
};
use std::ops::RangeInclusive;

/// Frames that a callee may have below its caller where any failure of it counts: many more than proxies and hooks take.
const ROOM: usize = 64;

/// How many of them may be native.
const NATIVE_ROOM: usize = MAX_NATIVE_DEPTH / 2;

/// What a call, or the creation of a contract, came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it succeeded. If not, it changed nothing.
    pub success: bool,
    /// What it returned, or the data that it reverted with.
    pub output: Bytes,
    /// Why the machine stopped it, or did not run it at all: too little gas, too deep, not enough coin. Nothing if it returned or
    /// reverted by itself.
    pub stopped: Option<InstructionResult>,
}

impl Outcome {
    /// Passes if this is the callee's own doing, be it a revert.
    ///
    /// # Errors
    ///
    /// Halts as the callee did, if the machine stopped it or did not run it.
    pub fn answered(self) -> Result<Self> {
        match self.stopped {
            Some(reason) => Err(Error::Halt(reason)),
            None => Ok(self),
        }
    }
}

impl Context<'_> {
    /// Calls another contract with up to 63/64 of the gas, as CALL. A failed call is no error: see [`Outcome`].
    ///
    /// # Errors
    ///
    /// Out of gas; halts when value is sent in a static call.
    pub fn call(&mut self, to: Address, value: U256, data: Bytes) -> Result<Outcome> {
        if self.is_static && !value.is_zero() {
            return Err(Error::Halt(InstructionResult::CallNotAllowedInsideStatic));
        }
        self.call_with(CallScheme::Call, to, value, data, 0..=u64::MAX)
    }

    /// As [`Context::call`] without value, with exactly so much gas, and room for frames below: whoever is called cannot use more, and
    /// whoever calls this contract cannot have the call fail for less. However it ends, it is the callee's own doing.
    ///
    /// # Errors
    ///
    /// Out of gas, also where 63/64 of what is left are less; halts where fewer than 64 frames may follow, or fewer than half of
    /// [`MAX_NATIVE_DEPTH`] native ones.
    pub fn call_with_gas(&mut self, to: Address, data: Bytes, gas: u64) -> Result<Outcome> {
        self.require_room()?;
        self.call_with(CallScheme::Call, to, U256::ZERO, data, gas..=gas)
    }

    /// Calls another contract, which may change nothing, as STATICCALL.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn static_call(&mut self, to: Address, data: Bytes) -> Result<Outcome> {
        self.call_with(CallScheme::StaticCall, to, U256::ZERO, data, 0..=u64::MAX)
    }

    /// Runs another contract's code on this account, for this caller, as DELEGATECALL.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn delegate_call(&mut self, code: Address, data: Bytes) -> Result<Outcome> {
        self.call_with(CallScheme::DelegateCall, code, U256::ZERO, data, 0..=u64::MAX)
    }

    /// Halts where a callee would have less than its [`ROOM`].
    fn require_room(&self) -> Result<()> {
        let too_deep = self.depth + ROOM > CALL_STACK_LIMIT as usize
            || self.machine.native_depth() + NATIVE_ROOM > MAX_NATIVE_DEPTH;
        if too_deep { Err(Error::Halt(InstructionResult::CallTooDeep)) } else { Ok(()) }
    }

    /// Calls with up to 63/64 of the gas, and so much as `gas` says.
    fn call_with(
        &mut self,
        scheme: CallScheme,
        to: Address,
        value: U256,
        data: Bytes,
        gas: RangeInclusive<u64>,
    ) -> Result<Outcome> {
        let transfers = !value.is_zero();
        let host = self.machine.host();
        let params = host.gas_params();
        let (warm, transfer, stipend) =
            (params.warm_storage_read_cost(), params.transfer_value_cost(), params.call_stipend());
        self.charge(if transfers { warm + transfer } else { warm })?;
        let left = self.gas.remaining();
        let creates = scheme == CallScheme::Call;
        let (cost, _, bytecode, hash) =
            load_account_delegated(self.machine.host(), SpecId::OSAKA, left, to, transfers, creates)
                .map_err(missing)?;
        self.charge(cost)?;
        let forwarded = self.machine.host().gas_params().call_stipend_reduction(self.gas.remaining());
        if forwarded < *gas.start() {
            return Err(Error::OUT_OF_GAS);
        }
        let forwarded = forwarded.min(*gas.end());
        self.charge(forwarded)?;

        let delegated = scheme == CallScheme::DelegateCall;
        let inputs = CallInputs {
            input: CallInput::Bytes(data),
            return_memory_offset: 0..0,
            gas_limit: forwarded + if transfers { stipend } else { 0 },
            reservoir: self.gas.reservoir(),
            bytecode_address: to,
            known_bytecode: (hash, bytecode),
            target_address: if delegated { self.this } else { to },
            caller: if delegated { self.caller } else { self.this },
            value: if delegated { CallValue::Apparent(self.value) } else { CallValue::Transfer(value) },
            scheme,
            is_static: self.is_static || scheme == CallScheme::StaticCall,
            charged_new_account_state_gas: false,
        };
        self.execute(FrameInput::Call(Box::new(inputs))).map(|(outcome, _)| outcome)
    }

    /// Creates a contract from its init code, as CREATE, or CREATE2 where there is a salt. `Ok(Err(_))` is a
    /// creation that failed.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call or when the code is longer than the EVM allows.
    pub fn create(
        &mut self,
        init_code: Bytes,
        value: U256,
        salt: Option<B256>,
    ) -> Result<std::result::Result<Address, Outcome>> {
        self.require_writable()?;
        let (len, host) = (init_code.len(), self.machine.host());
        if len > host.max_initcode_size() {
            return Err(Error::Halt(InstructionResult::CreateInitCodeSizeLimit));
        }
        let params = host.gas_params();
        let (init, create) = (params.initcode_cost(len), params.create_cost());
        let (create2, scheme) = match salt {
            Some(salt) => (params.create2_cost(len), CreateScheme::Create2 { salt: salt.into() }),
            None => (create, CreateScheme::Create),
        };
        self.charge(init + create2)?;
        let forwarded = self.machine.host().gas_params().call_stipend_reduction(self.gas.remaining());
        self.charge(forwarded)?;
        let inputs = CreateInputs::new(self.this, scheme, value, init_code, forwarded, self.gas.reservoir());
        let (outcome, address) = self.execute(FrameInput::Create(Box::new(inputs)))?;
        Ok(match address {
            Some(address) if outcome.success => Ok(address),
            _ => Err(outcome),
        })
    }

    /// Runs a frame and takes its unused gas back.
    fn execute(&mut self, frame_input: FrameInput) -> Result<(Outcome, Option<Address>)> {
        let memory = self.memory.new_child_context();
        let result = self.machine.execute(FrameInit { depth: self.depth + 1, memory, frame_input });
        self.memory.free_child_context();
        let mut result = result?;
        let ended = result.instruction_result();
        handle_reservoir_remaining_gas(ended, self.gas.tracker_mut(), result.gas_mut().tracker_mut());
        let created = match &result {
            FrameResult::Create(outcome) => outcome.address,
            FrameResult::Call(_) => None,
        };
        let (success, output) = (ended.is_ok(), result.into_interpreter_result().output);
        let stopped = (!success && ended != InstructionResult::Revert).then_some(ended);
        Ok((Outcome { success, output, stopped }, created))
    }

    /// A typed call, as Solidity writes `contract.function(arguments)`.
    ///
    /// # Errors
    ///
    /// Reverts as Solidity does: with the callee's own data if it reverted, without data if there is no contract or its
    /// answer cannot be decoded. Halts as the callee does if the machine stops it or does not run it. Out of gas.
    pub fn call_typed<C: SolCall>(&mut self, to: Address, value: U256, call: &C) -> Result<C::Return> {
        let outcome = self.call(to, value, call.abi_encode().into())?.answered()?;
        self.returned::<C>(to, outcome)
    }

    /// A typed call of a function that changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Context::call_typed`].
    pub fn view_typed<C: SolCall>(&mut self, to: Address, call: &C) -> Result<C::Return> {
        let outcome = self.static_call(to, call.abi_encode().into())?.answered()?;
        self.returned::<C>(to, outcome)
    }

    /// As [`Context::view_typed`], of a contract that nobody vouches for, with gas and room as [`Context::call_with_gas`] gives them.
    ///
    /// # Errors
    ///
    /// Reverts as [`Context::call_typed`], also if the callee halts. Halts as [`Context::call_with_gas`].
    pub fn view_with_gas<C: SolCall>(&mut self, to: Address, call: &C, gas: u64) -> Result<C::Return> {
        self.require_room()?;
        let data = call.abi_encode().into();
        let outcome = self.call_with(CallScheme::StaticCall, to, U256::ZERO, data, gas..=gas)?;
        self.returned::<C>(to, outcome)
    }

    /// What a callee returned, or a revert with what it reverted with.
    fn returned<C: SolCall>(&mut self, to: Address, outcome: Outcome) -> Result<C::Return> {
        if !outcome.success {
            return Err(Error::Revert(outcome.output));
        }
        if outcome.output.is_empty() && !self.has_code(to)? {
            return Err(Error::EMPTY);
        }
        C::abi_decode_returns_with_config(&outcome.output, crate::abi::decoder(outcome.output.len()))
            .map_err(|_| Error::EMPTY)
    }
}

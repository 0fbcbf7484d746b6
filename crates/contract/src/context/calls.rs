//! Calls from native code to other contracts, and the making of contracts.

use super::{Context, missing};
use crate::{Error, Result};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;
use revm::{
    context_interface::CreateScheme,
    handler::{FrameResult, handle_reservoir_remaining_gas},
    interpreter::{
        CallInput, CallInputs, CallScheme, CallValue, CreateInputs, FrameInput, InstructionResult,
        instructions::contract::load_account_delegated, interpreter_action::FrameInit,
    },
    primitives::hardfork::SpecId,
};
use std::ops::RangeInclusive;

/// What a call, or the creation of a contract, came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it succeeded. If not, it changed nothing.
    pub success: bool,
    /// What it returned, or the data that it reverted with.
    pub output: Bytes,
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

    /// As [`Context::call`] without value, with exactly so much gas: whoever is called cannot use more, and whoever pays for the gas cannot
    /// have the call fail for less.
    ///
    /// # Errors
    ///
    /// Out of gas, also where 63/64 of what is left are less.
    pub fn call_with_gas(&mut self, to: Address, data: Bytes, gas: u64) -> Result<Outcome> {
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
        let output = result.into_interpreter_result().output;
        Ok((Outcome { success: ended.is_ok(), output }, created))
    }

    /// A typed call, as Solidity writes `contract.function(arguments)`.
    ///
    /// # Errors
    ///
    /// Reverts as Solidity does: with the callee's own data if it failed, without data if there is no contract or its
    /// answer cannot be decoded. Out of gas.
    pub fn call_typed<C: SolCall>(&mut self, to: Address, value: U256, call: &C) -> Result<C::Return> {
        let outcome = self.call(to, value, call.abi_encode().into())?;
        self.answer::<C>(to, outcome)
    }

    /// A typed call of a function that changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Context::call_typed`].
    pub fn view_typed<C: SolCall>(&mut self, to: Address, call: &C) -> Result<C::Return> {
        self.view_within(to, call, u64::MAX)
    }

    /// As [`Context::view_typed`], of a contract that nobody vouches for: it gets no more gas than `most`.
    ///
    /// # Errors
    ///
    /// As [`Context::call_typed`].
    pub fn view_within<C: SolCall>(&mut self, to: Address, call: &C, most: u64) -> Result<C::Return> {
        let outcome = self.call_with(CallScheme::StaticCall, to, U256::ZERO, call.abi_encode().into(), 0..=most)?;
        self.answer::<C>(to, outcome)
    }

    fn answer<C: SolCall>(&mut self, to: Address, outcome: Outcome) -> Result<C::Return> {
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

//! A native call while it runs: who called, what it may use, what it costs.
//!
//! Everything that native code does to the chain goes through its [`Context`], and is paid for there as the EVM's own
//! instructions are: storage by SLOAD and SSTORE (warm, cold, refunds, the stipend rule), logs by LOG, hashes of
//! mapping keys by KECCAK256, calls by CALL with its 63/64 rule. Besides that a call costs [`BASE_GAS`] and
//! [`WORD_GAS`] for each word of call data, which is copied and decoded. What it computes is free: a native contract
//! computes little between its accesses. Functions that do heavier work charge for it with [`Context::charge`].

mod calls;

pub use calls::Outcome;

use crate::{
    Error, NativeContract, Result,
    evm::{Machine, NativeCall},
    natives,
};
use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256, keccak256};
use alloy_sol_types::SolEvent;
use revm::{
    context_interface::host::LoadError,
    interpreter::{Gas, InstructionResult, SharedMemory},
    state::{AccountExtension, AccountInfo},
};
use std::fmt;

/// What entering native code costs, in gas, beyond what the call itself does: finding and decoding its function.
pub const BASE_GAS: u64 = 100;

/// What entering native code costs for each 32 bytes of call data, in gas: a caller in the machine gives the same
/// memory again and again at no cost of its own.
pub const WORD_GAS: u64 = 6;

/// What entering native code costs with so many bytes of call data, in gas.
pub(crate) const fn entry_gas(len: usize) -> u64 {
    BASE_GAS + WORD_GAS * len.div_ceil(32) as u64
}

/// A native call while it runs.
pub struct Context<'a> {
    machine: &'a mut dyn Machine,
    gas: Gas,
    memory: SharedMemory,
    data: Bytes,
    caller: Address,
    this: Address,
    code: Address,
    value: U256,
    is_static: bool,
    depth: usize,
}

impl<'a> Context<'a> {
    /// Runs a contract's code in a frame of its own.
    pub(crate) fn run(
        machine: &'a mut dyn Machine,
        call: NativeCall,
        contract: &dyn NativeContract,
    ) -> (Gas, Result<Bytes>) {
        let NativeCall { inputs, data, memory, depth, gas } = call;
        let mut cx = Self {
            machine,
            gas,
            memory,
            data,
            caller: inputs.caller,
            this: inputs.target_address,
            code: inputs.bytecode_address,
            value: inputs.value.get(),
            is_static: inputs.is_static,
            depth,
        };
        let result = cx.enter(contract);
        (cx.gas, result)
    }

    fn enter(&mut self, contract: &dyn NativeContract) -> Result<Bytes> {
        if self.is_delegated() && !contract.may_be_delegated() {
            return Err(Error::EMPTY);
        }
        natives::run(contract, self)
    }

    /// Runs code as the contract at `this`, without a limit of gas.
    pub(crate) fn system<T>(
        machine: &'a mut dyn Machine,
        memory: SharedMemory,
        this: Address,
        code: impl FnOnce(&mut Context<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut cx = Context {
            machine,
            gas: Gas::new(u64::MAX),
            memory,
            data: Bytes::new(),
            caller: this,
            this,
            code: this,
            value: U256::ZERO,
            is_static: false,
            depth: 0,
        };
        let checkpoint = cx.machine.checkpoint();
        let result = code(&mut cx);
        cx.machine.end(checkpoint, result.is_ok());
        result
    }

    /// Who called: an account that signed a transaction, or a contract.
    pub const fn caller(&self) -> Address {
        self.caller
    }

    /// The account whose storage and coin this call works on.
    pub const fn this(&self) -> Address {
        self.this
    }

    /// Where the running code lives; differs from [`Context::this`] in a delegated call.
    pub const fn code(&self) -> Address {
        self.code
    }

    /// Whether the code runs on the storage of another account, as a clone's implementation does.
    pub fn is_delegated(&self) -> bool {
        self.this != self.code
    }

    /// The coin that came with the call, in wei.
    pub const fn value(&self) -> U256 {
        self.value
    }

    /// The call data: a selector and the encoded arguments.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Whether nothing may be changed.
    pub const fn is_static(&self) -> bool {
        self.is_static
    }

    /// The block's time, in seconds since 1970.
    pub fn timestamp(&self) -> u64 {
        self.machine.env().timestamp().saturating_to()
    }

    /// The block's number.
    pub fn block_number(&self) -> u64 {
        self.machine.env().block_number().saturating_to()
    }

    /// The block's randomness. Its proposer knows it first, and may give the block up for it.
    pub fn prevrandao(&self) -> B256 {
        self.machine.env().prevrandao().unwrap_or_default().into()
    }

    /// The chain's id.
    pub fn chain_id(&self) -> u64 {
        self.machine.env().chain_id().saturating_to()
    }

    /// The account that signed the transaction.
    pub fn origin(&self) -> Address {
        self.machine.env().caller()
    }

    /// Gas that the call has left.
    pub const fn gas_left(&self) -> u64 {
        self.gas.remaining()
    }

    /// Pays for work.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn charge(&mut self, gas: u64) -> Result<()> {
        if self.gas.record_regular_cost(gas) { Ok(()) } else { Err(Error::OUT_OF_GAS) }
    }

    /// Refuses to go on in a static call.
    ///
    /// # Errors
    ///
    /// Halts, as the EVM does for a write in a static call.
    pub const fn require_writable(&self) -> Result<()> {
        match self.is_static {
            true => Err(Error::Halt(InstructionResult::StateChangeDuringStaticCall)),
            false => Ok(()),
        }
    }

    /// The keccak256 hash, paid for.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn keccak256(&mut self, bytes: &[u8]) -> Result<B256> {
        let cost = self.machine.host().gas_params().keccak256_cost(bytes.len());
        // KECCAK256's constant part is charged by the interpreter's table, not by its formula.
        self.charge(30 + cost)?;
        Ok(keccak256(bytes))
    }

    /// Reads a slot of storage, as SLOAD.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn sload(&mut self, slot: U256) -> Result<U256> {
        let params = self.machine.host().gas_params();
        let (warm, cold) = (params.warm_storage_read_cost(), params.cold_storage_additional_cost());
        self.charge(warm)?;
        let skip_cold = self.gas.remaining() < cold;
        let load = self.machine.host().sload_skip_cold_load(self.this, slot, skip_cold).map_err(missing)?;
        if load.is_cold {
            self.charge(cold)?;
        }
        Ok(load.data)
    }

    /// Writes a slot of storage, as SSTORE.
    ///
    /// # Errors
    ///
    /// Out of gas, also where no more than the stipend of a plain transfer is left; halts in a static call.
    pub fn sstore(&mut self, slot: U256, value: U256) -> Result<()> {
        self.require_writable()?;
        let params = self.machine.host().gas_params();
        let (stipend, base, cold) = (params.call_stipend(), params.sstore_static_gas(), params.cold_storage_cost());
        if self.gas.remaining() <= stipend {
            return Err(Error::Halt(InstructionResult::ReentrancySentryOOG));
        }
        self.charge(base)?;
        let skip_cold = self.gas.remaining() < cold;
        let this = self.this;
        let load = self.machine.host().sstore_skip_cold_load(this, slot, value, skip_cold).map_err(missing)?;
        let params = self.machine.host().gas_params();
        let (cost, refund) =
            (params.sstore_dynamic_gas(true, &load.data, load.is_cold), params.sstore_refund(true, &load.data));
        self.charge(cost)?;
        self.gas.record_refund(refund);
        Ok(())
    }

    /// Reads a slot of the storage that lasts one transaction, as TLOAD.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn tload(&mut self, slot: U256) -> Result<U256> {
        self.charge(100)?;
        Ok(self.machine.host().tload(self.this, slot))
    }

    /// Writes a slot of the storage that lasts one transaction, as TSTORE.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call.
    pub fn tstore(&mut self, slot: U256, value: U256) -> Result<()> {
        self.require_writable()?;
        self.charge(100)?;
        self.machine.host().tstore(self.this, slot, value);
        Ok(())
    }

    /// Emits an event, as LOG.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call.
    pub fn emit<E: SolEvent>(&mut self, event: &E) -> Result<()> {
        self.emit_raw(event.encode_log_data())
    }

    fn emit_raw(&mut self, data: LogData) -> Result<()> {
        self.require_writable()?;
        let topics = data.topics().len() as u8;
        let cost = self.machine.host().gas_params().log_cost(topics, data.data.len() as u64);
        // LOG's constant part is charged by the interpreter's table, not by its formula.
        self.charge(375 + cost)?;
        self.machine.log(Log { address: self.this, data });
        Ok(())
    }

    /// An account's coin, in wei, as BALANCE.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn balance(&mut self, address: Address) -> Result<U256> {
        self.look_at(address, false, |account| account.balance)
    }

    /// Whether an account has code, as EXTCODESIZE tells.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn has_code(&mut self, address: Address) -> Result<bool> {
        self.look_at(address, true, |account| !account.is_empty_code_hash())
    }

    /// Looks at an account, with its code or without, and charges what that costs an instruction.
    fn look_at<T>(&mut self, address: Address, code: bool, look: impl FnOnce(&AccountInfo) -> T) -> Result<T> {
        let params = self.machine.host().gas_params();
        let (warm, cold) = (params.warm_storage_read_cost(), params.cold_account_additional_cost());
        self.charge(warm)?;
        let skip_cold = self.gas.remaining() < cold;
        let load = self.machine.host().load_account_info_skip_cold_load(address, code, skip_cold).map_err(missing)?;
        let (seen, is_cold) = (look(&load), load.is_cold);
        if is_cold {
            self.charge(cold)?;
        }
        Ok(seen)
    }

    /// Sends coin of this account to another, running no code there. For payments to accounts that might refuse them
    /// or reenter. `false` if this account has not enough. Costs what a CALL with value costs less its stipend, and
    /// the making of an account where there is none.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call.
    pub fn transfer(&mut self, to: Address, value: U256) -> Result<bool> {
        let from = self.this;
        self.transfer_from(from, to, value)
    }

    /// Moves coin between any two accounts: the coin's own right.
    pub(crate) fn transfer_from(&mut self, from: Address, to: Address, value: U256) -> Result<bool> {
        self.require_writable()?;
        self.balance(from)?;
        self.balance(to)?;
        if !value.is_zero() {
            let host = self.machine.host();
            let params = host.gas_params();
            let (moving, creating) =
                (params.transfer_value_cost() - params.call_stipend(), params.new_account_cost(true, true));
            let is_new = host.load_account_info_skip_cold_load(to, false, false).map_err(missing)?.is_empty;
            self.charge(if is_new { moving + creating } else { moving })?;
        }
        Ok(self.machine.transfer(from, to, value)?.is_none())
    }

    /// What an account carries beside Ethereum's fields, its balance, and whether it ends with the transaction. Not
    /// charged: it comes with a balance.
    pub(crate) fn extension(&mut self, address: Address) -> Result<(AccountExtension, U256, bool)> {
        let (info, destroyed) = self.machine.account(address)?;
        Ok((info.extension.clone(), info.balance, destroyed))
    }

    /// Replaces what an account carries. Not charged.
    pub(crate) fn set_extension(&mut self, address: Address, extension: AccountExtension) -> Result<()> {
        self.require_writable()?;
        self.machine.set_extension(address, extension)
    }

    /// Runs code that sees other call data.
    pub(crate) fn with_data<T>(&mut self, data: Bytes, code: impl FnOnce(&mut Context<'_>) -> Result<T>) -> Result<T> {
        let before = std::mem::replace(&mut self.data, data);
        let result = code(self);
        self.data = before;
        result
    }

    /// Reads another account as its own code would, without a call: runs a function of the native contract whose code
    /// that account is known to run. Costs what a look at the account costs, and what the function reads.
    ///
    /// # Errors
    ///
    /// What the function fails with; halts where it would change something; out of gas.
    pub fn view_native<T>(&mut self, other: Address, code: impl FnOnce(&mut Context<'_>) -> Result<T>) -> Result<T> {
        self.balance(other)?;
        let (this, is_static) = (self.this, self.is_static);
        (self.this, self.is_static) = (other, true);
        let result = code(self);
        (self.this, self.is_static) = (this, is_static);
        result
    }

    /// Runs code whose effects are undone, and only they, if it fails.
    ///
    /// # Errors
    ///
    /// What the code fails with.
    pub fn attempt<T>(&mut self, code: impl FnOnce(&mut Context<'_>) -> Result<T>) -> Result<T> {
        let checkpoint = self.machine.checkpoint();
        let refunded = self.gas.refunded();
        let result = code(self);
        if result.is_err() {
            self.gas.set_refunded(refunded);
        }
        self.machine.end(checkpoint, result.is_ok());
        result
    }
}

/// What is not there: not paid for, or not readable.
fn missing(error: LoadError) -> Error {
    match error {
        LoadError::ColdLoadSkipped => Error::OUT_OF_GAS,
        LoadError::DBError => Error::Fatal,
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("caller", &self.caller)
            .field("this", &self.this)
            .field("code", &self.code)
            .field("value", &self.value)
            .field("is_static", &self.is_static)
            .field("gas_left", &self.gas.remaining())
            .finish_non_exhaustive()
    }
}

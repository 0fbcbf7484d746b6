//! The virtual machine: revm, with Rust at some addresses.
//!
//! [`Evm`] executes transactions as revm's mainnet machine does. The difference is in how a call frame starts: where
//! the address of its code is a native contract's, the frame runs Rust to its end, and nothing is interpreted. That
//! Rust holds the machine itself (through [`Context`]), so it can call, create and look at anything, and what it
//! calls may call it again. All share one journal: a revert on either side undoes what lies below it.
//!
//! Depth is bounded twice: by the 1024 frames of the EVM, and, because every native frame that calls out keeps
//! Rust's own stack, by [`MAX_NATIVE_DEPTH`] native frames within each other. A call beyond either fails as
//! Ethereum's calls that are too deep do: the caller gets a failed call and goes on. Both are rules of the chain. Native
//! code takes such a call for no answer, and fails as well ([`Outcome`](crate::Outcome)).
//!
//! After each transaction the coin's votes are settled ([`crate::coin`]). That is the only other difference.

mod frames;
mod handler;
mod machine;
#[cfg(test)]
mod tests;

pub(crate) use frames::NativeCall;
pub(crate) use machine::Machine;

use crate::{Context, Natives, Result, coin};
use alloy_primitives::{Address, Log, U256};
use handler::StoaHandler;
use revm::{
    Database, Inspector, Journal,
    context::{
        BlockEnv, CfgEnv, ContextSetters, ContextTr, JournalTr, LocalContextTr, TxEnv,
        result::{EVMError, ExecutionResult},
    },
    context_interface::{context::take_error, journaled_state::account::JournaledAccountTr},
    handler::{EthFrame, EthPrecompiles, Handler, PrecompileProvider, instructions::EthInstructions},
    inspector::{InspectorHandler, NoOpInspector},
    interpreter::{CallInputs, InterpreterResult, SharedMemory, interpreter::EthInterpreter},
    primitives::{AddressSet, hardfork::SpecId},
    state::EvmState,
};
use std::{collections::BTreeMap, fmt};

/// Native frames that may lie within each other, with Solidity's in between. Chosen so that a debug build, where each
/// takes some 22 KiB with a contract of a dozen functions, stays on a stack of 1 MiB with room for larger contracts
/// and for the database below.
pub const MAX_NATIVE_DEPTH: usize = 16;

/// revm's context with Ethereum's own types.
pub type Ctx<DB> = revm::Context<BlockEnv, TxEnv, CfgEnv, DB, Journal<DB>, ()>;

type Inner<DB, I> =
    revm::context::Evm<Ctx<DB>, I, EthInstructions<EthInterpreter, Ctx<DB>>, Precompiles, EthFrame<EthInterpreter>>;

/// The rules of our chain: the newest fork that is live on Ethereum.
pub fn cfg(chain_id: u64) -> CfgEnv {
    let mut cfg = CfgEnv::new_with_spec(SpecId::OSAKA);
    cfg.chain_id = chain_id;
    cfg
}

/// The virtual machine on a database, within one block.
///
/// ```
/// use alloy_primitives::{Address, TxKind, U256};
/// use revm::{context::{BlockEnv, TxEnv}, database::InMemoryDB, state::AccountInfo};
/// use stoa_contract::{Evm, Natives, cfg};
///
/// let (from, to) = (Address::repeat_byte(1), Address::repeat_byte(2));
/// let mut db = InMemoryDB::default();
/// db.insert_account_info(from, AccountInfo::from_balance(U256::from(10).pow(U256::from(18))));
///
/// let mut evm = Evm::new(db, BlockEnv::default(), cfg(31337), Natives::stoa());
/// let tx = TxEnv::builder().caller(from).kind(TxKind::Call(to)).value(U256::from(7)).gas_limit(21_000).chain_id(Some(31337));
/// let result = evm.transact_one(tx.build().expect("complete")).expect("valid");
/// assert!(result.is_success());
/// assert_eq!(evm.finalize()[&to].info.balance, U256::from(7));
/// ```
pub struct Evm<DB: Database, I = NoOpInspector> {
    inner: Inner<DB, I>,
    natives: Natives,
    native_depth: usize,
}

impl<DB: Database> Evm<DB> {
    /// A machine that runs plainly.
    pub fn new(db: DB, block: BlockEnv, cfg: CfgEnv, natives: Natives) -> Self {
        let spec = *cfg.spec();
        let precompiles = Precompiles::new(spec, &natives);
        let ctx = Ctx::new(db, spec).with_block(block).with_cfg(cfg);
        let instructions = EthInstructions::new_mainnet_with_spec(spec);
        let inner = Inner::new_with_inspector(ctx, NoOpInspector, instructions, precompiles);
        Self { inner, natives, native_depth: 0 }
    }
}

impl<DB: Database, I> Evm<DB, I> {
    /// The same machine, watched by an inspector in [`Evm::inspect_one`].
    pub fn with_inspector<J>(self, inspector: J) -> Evm<DB, J> {
        Evm { inner: self.inner.with_inspector(inspector), natives: self.natives, native_depth: 0 }
    }

    /// Says of addresses which of Ethereum's precompiled contracts runs there, by the address where it is otherwise, or that
    /// none does: for calls that only ask what would be.
    #[must_use]
    pub fn with_precompiles(mut self, elsewhere: BTreeMap<Address, Option<Address>>) -> Self {
        let precompiles = &mut self.inner.precompiles;
        for (at, runs) in &elsewhere {
            match runs {
                Some(_) => precompiles.warm.insert(*at),
                None => precompiles.warm.remove(at),
            };
        }
        precompiles.elsewhere = elsewhere;
        self
    }

    /// Executes a transaction. Its changes stay in the journal, on top of those of the transactions before it.
    ///
    /// # Errors
    ///
    /// If the transaction is invalid or the state cannot be read. The journal is then as it was before.
    pub fn transact_one(&mut self, tx: TxEnv) -> Result<ExecutionResult, EVMError<DB::Error>> {
        self.inner.ctx.set_tx(tx);
        StoaHandler::default().run(self)
    }

    /// Takes out all changes since the last time and clears the journal.
    pub fn finalize(&mut self) -> EvmState {
        self.inner.ctx.journal_mut().finalize()
    }

    /// Runs native code outside transactions, as the contract at `this` and its own caller, without a limit of gas.
    /// Returns what the code returned and the logs that it emitted; the changes stay in the journal.
    ///
    /// # Errors
    ///
    /// If the state cannot be read, or the code failed; the journal is then as it was before.
    pub fn system<T>(
        &mut self,
        this: Address,
        code: impl FnOnce(&mut Context<'_>) -> Result<T>,
    ) -> Result<(T, Vec<Log>), EVMError<DB::Error>> {
        // Nothing of the transaction before, which may be one that was refused, must be seen.
        self.inner.ctx.set_tx(TxEnv { caller: this, ..TxEnv::default() });
        let result = self.as_system(this, code);
        let journal = self.inner.ctx.journal_mut();
        match result {
            Ok(value) => {
                let logs = journal.take_logs();
                journal.commit_tx();
                Ok((value, logs))
            }
            Err(error) => {
                journal.discard_tx();
                self.inner.frame_stack.clear();
                Err(error)
            }
        }
    }

    /// [`Evm::system`] within the transaction that is going on.
    fn as_system<T>(
        &mut self,
        this: Address,
        code: impl FnOnce(&mut Context<'_>) -> Result<T>,
    ) -> Result<T, EVMError<DB::Error>> {
        let precompiles = &self.inner.precompiles.warm;
        if self.inner.ctx.journal().precompile_addresses().is_empty() {
            self.inner.ctx.journaled_state.warm_precompiles(precompiles);
        }
        self.inner.ctx.journal_mut().load_account(this)?;
        self.inner.ctx.journal_mut().touch_account(this);
        // What the code calls finds its callers' memory in the buffer of the machine.
        let memory = SharedMemory::new_with_buffer(self.inner.ctx.local().shared_memory_buffer().clone());
        let result = Context::system(&mut machine::Plain(self), memory, this, code);
        take_error::<EVMError<DB::Error>, _>(self.inner.ctx.error())?;
        result.map_err(|error| EVMError::Custom(format!("system code failed: {error}")))
    }

    /// Tells the coin how the sum of all balances changed in this block: what was added and what was removed, in wei.
    /// Call it last, before [`Evm::finalize`].
    ///
    /// # Errors
    ///
    /// If the state cannot be read.
    pub fn end_block(&mut self, (added, removed): (U256, U256)) -> Result<(), EVMError<DB::Error>> {
        if added == removed {
            return Ok(());
        }
        self.system(coin::ADDRESS, |cx| coin::end_block(cx, added, removed)).map(|_| ())
    }

    /// Sets an account's balance outside transactions, in wei, and moves its votes along; there is no receipt that
    /// could hold the logs of that. The total supply follows with [`Evm::end_block`].
    ///
    /// # Errors
    ///
    /// If the state cannot be read.
    pub fn set_balance(&mut self, address: Address, balance: U256) -> Result<(), EVMError<DB::Error>> {
        self.inner.ctx.journal_mut().load_account_mut(address)?.set_balance(balance);
        self.settle()?;
        self.inner.ctx.journal_mut().commit_tx();
        Ok(())
    }

    /// Settles the votes of all accounts whose balance the journal says has changed.
    fn settle(&mut self) -> Result<(), EVMError<DB::Error>> {
        let accounts = coin::unsettled(&self.inner.ctx.journaled_state.inner);
        if accounts.is_empty() || self.natives.get(&coin::ADDRESS).is_none() {
            return Ok(());
        }
        self.as_system(coin::ADDRESS, |cx| coin::settle(cx, &accounts))
    }

    /// revm's context: block, configuration, journal.
    pub const fn ctx(&self) -> &Ctx<DB> {
        &self.inner.ctx
    }

    /// The same, to change.
    pub const fn ctx_mut(&mut self) -> &mut Ctx<DB> {
        &mut self.inner.ctx
    }

    /// All accounts that the journal holds.
    pub const fn state(&self) -> &EvmState {
        &self.inner.ctx.journaled_state.inner.state
    }

    /// The database below.
    pub const fn db(&self) -> &DB {
        &self.inner.ctx.journaled_state.database
    }

    /// The same, to change.
    pub const fn db_mut(&mut self) -> &mut DB {
        &mut self.inner.ctx.journaled_state.database
    }

    /// The database, when the machine is not needed any more. What [`Evm::finalize`] did not take out is lost.
    pub fn into_db(self) -> DB {
        self.inner.ctx.journaled_state.database
    }

    /// Which native contracts there are.
    pub const fn natives(&self) -> &Natives {
        &self.natives
    }

    /// The inspector.
    pub const fn inspector(&self) -> &I {
        &self.inner.inspector
    }

    /// The same, to change.
    pub const fn inspector_mut(&mut self) -> &mut I {
        &mut self.inner.inspector
    }

    /// The inspector, when the machine is not needed any more.
    pub fn into_inspector(self) -> I {
        self.inner.inspector
    }
}

impl<DB: Database, I: Inspector<Ctx<DB>>> Evm<DB, I> {
    /// [`Evm::transact_one`], with the inspector watching.
    ///
    /// # Errors
    ///
    /// As [`Evm::transact_one`].
    pub fn inspect_one(&mut self, tx: TxEnv) -> Result<ExecutionResult, EVMError<DB::Error>> {
        self.inner.ctx.set_tx(tx);
        StoaHandler::default().inspect_run(self)
    }
}

impl<DB: Database + fmt::Debug, I> fmt::Debug for Evm<DB, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evm").field("ctx", &self.inner.ctx).field("natives", &self.natives).finish_non_exhaustive()
    }
}

/// Ethereum's precompiled contracts, and the addresses of the native ones among the warm.
#[derive(Clone, Debug)]
pub struct Precompiles {
    eth: EthPrecompiles,
    warm: AddressSet,
    /// See [`Evm::with_precompiles`].
    elsewhere: BTreeMap<Address, Option<Address>>,
}

impl Precompiles {
    fn new(spec: SpecId, natives: &Natives) -> Self {
        let eth = EthPrecompiles::new(spec);
        let warm = eth.warm_addresses().iter().copied().chain(natives.addresses()).collect();
        Self { eth, warm, elsewhere: BTreeMap::new() }
    }
}

impl<DB: Database> PrecompileProvider<Ctx<DB>> for Precompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        if !PrecompileProvider::<Ctx<DB>>::set_spec(&mut self.eth, spec) {
            return false;
        }
        self.warm.extend(self.eth.warm_addresses());
        true
    }

    fn run(
        &mut self,
        ctx: &mut Ctx<DB>,
        inputs: &CallInputs,
    ) -> std::result::Result<Option<InterpreterResult>, String> {
        match self.elsewhere.get(&inputs.bytecode_address) {
            None => self.eth.run(ctx, inputs),
            Some(None) => Ok(None),
            Some(Some(runs)) => self.eth.run(ctx, &CallInputs { bytecode_address: *runs, ..inputs.clone() }),
        }
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.warm
    }
}

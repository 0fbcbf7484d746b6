//! Running calls on the state of a block: overrides, errors in geth's words, replay of a block's transactions.

use crate::{
    BlockId, Context, RpcError,
    hex::{Account, Big, Data, Slot, Uint64},
    pending::Pending,
};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use revm::{
    Database, DatabaseCommit, DatabaseRef,
    bytecode::Bytecode,
    context::{
        BlockEnv, CfgEnv, TxEnv,
        result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction, ResultAndState},
    },
    context_interface::block::BlobExcessGasAndPrice,
    database::CacheDB,
    handler::EthPrecompiles,
    state::AccountInfo,
};
use serde::{Deserialize, Deserializer, de};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use stoa_contract::{Natives, natives};
use stoa_ledger::{Committed, LedgerError, StateAt, execute::kept_for_later};

/// Checks that code does not take the place of a native contract, which would run on.
///
/// # Errors
///
/// -32000 if a native contract is at the address, and the code is not what its account shows.
pub(crate) fn check_native(natives: &Natives, address: Address, code: &[u8]) -> Result<(), RpcError> {
    if natives.get(&address).is_some() && code != natives::CODE {
        return Err(RpcError::server(format!("{address} is a native contract, its code cannot be replaced")));
    }
    Ok(())
}

/// Whose state it is.
pub(crate) enum Below {
    /// That of a block of the chain.
    Block(StateAt),
    /// That of the block being built.
    Pending(Arc<Overlay>),
}

/// A state that is only read, with hashes of blocks that a client made up.
pub(crate) struct Base {
    below: Below,
    hashes: BTreeMap<u64, B256>,
}

impl From<Below> for Base {
    fn from(below: Below) -> Self {
        Self { below, hashes: BTreeMap::new() }
    }
}

impl Base {
    /// The state after the block that `id` names, the one being built for `pending`. Blocking.
    ///
    /// # Errors
    ///
    /// -32000 if there is no such block or its state is no longer kept.
    pub fn of(context: &Context, id: BlockId) -> Result<Self, RpcError> {
        Ok(Self::from(match id {
            BlockId::Pending => Below::Pending(context.pending()?.state.clone()),
            id => Below::Block(context.state(id)?),
        }))
    }

    /// An account, one with nothing where there is none. Blocking.
    ///
    /// # Errors
    ///
    /// If the ledger cannot read.
    pub fn account(&self, address: Address) -> Result<AccountInfo, LedgerError> {
        Ok(self.basic_ref(address)?.unwrap_or_default())
    }

    /// Runtime code, empty where there is none. Blocking.
    ///
    /// # Errors
    ///
    /// If the ledger cannot read.
    pub fn code(&self, address: Address) -> Result<Bytes, LedgerError> {
        let info = self.account(address)?;
        match info.is_empty_code_hash() {
            true => Ok(Bytes::new()),
            false => Ok(self.code_by_hash_ref(info.code_hash)?.original_bytes()),
        }
    }
}

impl DatabaseRef for Base {
    type Error = LedgerError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, LedgerError> {
        match &self.below {
            Below::Block(state) => state.basic_ref(address),
            Below::Pending(state) => state.basic_ref(address),
        }
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, LedgerError> {
        match &self.below {
            Below::Block(state) => state.code_by_hash_ref(code_hash),
            Below::Pending(state) => state.code_by_hash_ref(code_hash),
        }
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, LedgerError> {
        match &self.below {
            Below::Block(state) => state.storage_ref(address, index),
            Below::Pending(state) => state.storage_ref(address, index),
        }
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, LedgerError> {
        match (self.hashes.get(&number), &self.below) {
            (Some(hash), _) => Ok(*hash),
            (None, Below::Block(state)) => state.block_hash_ref(number),
            (None, Below::Pending(state)) => state.block_hash_ref(number),
        }
    }
}

pub(crate) type Overlay = CacheDB<Base>;

/// Reads a JSON object as pairs.
#[derive(Clone, Debug)]
pub(crate) struct Pairs<K, V>(pub Vec<(K, V)>);

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Pairs<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<K, V>(std::marker::PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> de::Visitor<'de> for Visitor<K, V> {
            type Value = Pairs<K, V>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Visitor(std::marker::PhantomData))
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountOverride {
    balance: Option<Big>,
    nonce: Option<Uint64>,
    code: Option<Data>,
    state: Option<Pairs<Slot, Slot>>,
    state_diff: Option<Pairs<Slot, Slot>>,
    move_precompile_to_address: Option<Account>,
}

/// The state override set of `eth_call` and its relatives.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StateOverrides(Pairs<Account, AccountOverride>);

/// The block overrides of `eth_call` and its relatives.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlockOverrides {
    number: Option<Big>,
    difficulty: Option<Big>,
    #[serde(alias = "timestamp")]
    time: Option<Uint64>,
    gas_limit: Option<Uint64>,
    #[serde(alias = "coinbase")]
    fee_recipient: Option<Account>,
    #[serde(alias = "random")]
    prev_randao: Option<crate::hex::Hash>,
    #[serde(alias = "baseFee")]
    base_fee_per_gas: Option<Big>,
    blob_base_fee: Option<Big>,
    block_hash: Option<Pairs<String, crate::hex::Hash>>,
}

impl BlockOverrides {
    /// The number, where one is given.
    pub fn number(&self) -> Option<U256> {
        self.number.map(|Big(number)| number)
    }
}

/// A place to run transactions: a state with changes on top, a block environment, the chain's rules.
pub(crate) struct Sandbox {
    pub db: Overlay,
    pub block: BlockEnv,
    pub cfg: CfgEnv,
    pub natives: Natives,
    /// Which precompiled contract runs at an address, where that was overridden.
    precompiles: BTreeMap<Address, Option<Address>>,
    /// Bytes of memory that what a trace records may take, about.
    pub max_trace_bytes: usize,
    /// How a transaction that cannot be executed is answered.
    pub refused: fn(EVMError<LedgerError>, Address) -> RpcError,
}

impl Sandbox {
    /// On top of the block that `id` names, as if in that block; for `pending` in the one being built, after the transactions
    /// that wait. Blocking.
    ///
    /// # Errors
    ///
    /// -32000 if there is no such block or its state is no longer kept.
    pub fn new(context: &Context, id: BlockId) -> Result<Self, RpcError> {
        if id == BlockId::Pending {
            return Ok(Self::after(context, &*context.pending()?));
        }
        let state = context.state(id)?;
        let block = context.ledger().block_env(state.number())?;
        Ok(Self::on(context, Below::Block(state), block))
    }

    /// As if in the block being built, after the transactions that wait.
    pub fn after(context: &Context, pending: &Pending) -> Self {
        Self::on(context, Below::Pending(pending.state.clone()), pending.env.clone())
    }

    /// On top of the newest block, as if first in the next one. Blocking.
    ///
    /// # Errors
    ///
    /// If the ledger cannot read.
    pub fn next(context: &Context) -> Result<Self, RpcError> {
        let state = context.state(BlockId::Latest)?;
        Ok(Self::on(context, Below::Block(state), context.next_block_env()))
    }

    fn on(context: &Context, below: Below, block: BlockEnv) -> Self {
        Self {
            db: CacheDB::new(below.into()),
            block,
            cfg: context.ledger().cfg(),
            natives: context.ledger().natives().clone(),
            precompiles: BTreeMap::new(),
            max_trace_bytes: context.config().max_trace_bytes,
            refused,
        }
    }

    fn evm(&mut self) -> stoa_contract::Evm<&mut Overlay> {
        stoa_contract::Evm::new(&mut self.db, self.block.clone(), self.cfg.clone(), self.natives.clone())
            .with_precompiles(self.precompiles.clone())
    }

    /// The precompiled contract that runs at an address, by the address where it is otherwise.
    pub fn precompile(&self, at: Address) -> Option<Address> {
        let own = || EthPrecompiles::new(*self.cfg.spec()).contains(&at).then_some(at);
        self.precompiles.get(&at).copied().unwrap_or_else(own)
    }

    /// Has every precompiled contract run where it is otherwise.
    pub fn restore_precompiles(&mut self) {
        self.precompiles.clear();
    }

    /// Where transaction `index` of a block was executed, all before it applied. Blocking.
    ///
    /// # Errors
    ///
    /// -32000 for the genesis block and where the state is no longer kept.
    pub fn replay(context: &Context, committed: &Committed, index: usize) -> Result<Self, RpcError> {
        let number = committed.block.number();
        let parent = number.checked_sub(1).ok_or_else(|| RpcError::server("genesis is not traceable"))?;
        let (state, env) = (context.ledger().state(parent)?, context.ledger().block_env(number)?);
        let mut sandbox = Self::begin(context, state, env, committed.block.header())?;
        for position in 0..index {
            let tx = recorded(committed, position)?;
            sandbox.commit(tx)?;
        }
        Ok(sandbox)
    }

    /// Where the first transaction of a block with this header is executed. Blocking.
    ///
    /// # Errors
    ///
    /// If the ledger cannot read.
    pub fn begin(context: &Context, parent: StateAt, env: BlockEnv, header: &Header) -> Result<Self, RpcError> {
        let mut sandbox = Self::on(context, Below::Block(parent), env);
        for (contract, slot, value) in kept_for_later(header) {
            if sandbox.db.basic(contract)?.is_some_and(|info| !info.is_empty_code_hash()) {
                sandbox.db.insert_account_storage(contract, slot, value.into())?;
            }
        }
        Ok(sandbox)
    }

    /// Switches off what is asked of a signed transaction but not of a call: nonce, sender without code, gas limits.
    pub fn relax(&mut self) {
        self.cfg.disable_nonce_check = true;
        self.cfg.disable_eip3607 = true;
        self.cfg.disable_block_gas_limit = true;
        self.cfg.tx_gas_limit_cap = Some(u64::MAX);
    }

    /// Makes the hash of a block known to contracts.
    pub fn know_block(&mut self, number: u64, hash: B256) {
        self.db.db.hashes.insert(number, hash);
    }

    /// Applies block overrides.
    ///
    /// # Errors
    ///
    /// -32000 for values that no block can have.
    pub fn override_block(&mut self, overrides: BlockOverrides) -> Result<(), RpcError> {
        let block = &mut self.block;
        if let Some(Big(number)) = overrides.number {
            block.number = number;
        }
        if let Some(Big(difficulty)) = overrides.difficulty {
            block.difficulty = difficulty;
        }
        if let Some(Uint64(time)) = overrides.time {
            block.timestamp = U256::from(time);
        }
        if let Some(Uint64(limit)) = overrides.gas_limit {
            block.gas_limit = limit;
        }
        if let Some(Account(address)) = overrides.fee_recipient {
            block.beneficiary = address;
        }
        if let Some(crate::hex::Hash(hash)) = overrides.prev_randao {
            block.prevrandao = Some(hash);
        }
        if let Some(Big(fee)) = overrides.base_fee_per_gas {
            block.basefee =
                fee.try_into().map_err(|_| RpcError::server(format!("base fee {fee} is more than 64 bits")))?;
        }
        if let Some(Big(fee)) = overrides.blob_base_fee {
            // Nothing looks at the excess, which the fee would follow from.
            block.blob_excess_gas_and_price = Some(BlobExcessGasAndPrice {
                excess_blob_gas: 0,
                blob_gasprice: fee
                    .try_into()
                    .map_err(|_| RpcError::server(format!("blob base fee {fee} is more than 128 bits")))?,
            });
        }
        for (number, crate::hex::Hash(hash)) in overrides.block_hash.map(|pairs| pairs.0).unwrap_or_default() {
            let parsed = number.strip_prefix("0x").map_or_else(|| number.parse(), |hex| u64::from_str_radix(hex, 16));
            let number = parsed.map_err(|_| RpcError::invalid_params("a key of blockHash is no block number"))?;
            self.db.db.hashes.insert(number, hash);
        }
        Ok(())
    }

    /// Applies state overrides. Blocking.
    ///
    /// # Errors
    ///
    /// -32000 for contradictions.
    pub fn override_state(&mut self, overrides: StateOverrides) -> Result<(), RpcError> {
        let overridden = overrides.0.0.iter().map(|(Account(address), _)| *address).collect::<BTreeSet<_>>();
        for (Account(address), account) in overrides.0.0 {
            let precompile = self.precompile(address);
            if let Some(Account(to)) = account.move_precompile_to_address {
                if precompile.is_none() {
                    return Err(RpcError::server(format!("account {address} is not a precompile")));
                }
                if overridden.contains(&to) {
                    return Err(RpcError::server(format!("account {to} is already overridden")));
                }
                self.precompiles.insert(to, precompile);
            }
            if precompile.is_some() {
                // As in geth: what is overridden in any way is an account like others.
                self.precompiles.insert(address, None);
            }
            let mut info = self.db.basic(address)?.unwrap_or_default();
            if let Some(Uint64(nonce)) = account.nonce {
                info.nonce = nonce;
            }
            if let Some(Big(balance)) = account.balance {
                info.balance = balance;
            }
            if let Some(Data(code)) = account.code {
                check_native(&self.natives, address, &code)?;
                info.code_hash = keccak256(&code);
                let code = Bytecode::new_raw_checked(code)
                    .map_err(|_| RpcError::server(format!("code of account {address} is no valid code")))?;
                info.code = Some(code);
            }
            self.db.insert_account_info(address, info);
            match (account.state, account.state_diff) {
                (Some(_), Some(_)) => {
                    return Err(RpcError::server(format!("account {address} has both 'state' and 'stateDiff'")));
                }
                (Some(all), None) => {
                    let slots = all.0.into_iter().map(|(Slot(key), Slot(value))| (key, value)).collect();
                    self.db.replace_account_storage(address, slots)?;
                }
                (None, Some(some)) => {
                    for (Slot(key), Slot(value)) in some.0 {
                        self.db.insert_account_storage(address, key, value)?;
                    }
                }
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// Runs a transaction and forgets what it changed. Blocking.
    ///
    /// # Errors
    ///
    /// -32000 if the transaction is invalid; a revert is no error here.
    pub fn run(&mut self, tx: TxEnv) -> Result<ExecutionResult, RpcError> {
        let (from, refused) = (tx.caller, self.refused);
        self.evm().transact_one(tx).map_err(|error| refused(error, from))
    }

    /// Runs a transaction and keeps what it changed. Blocking.
    ///
    /// # Errors
    ///
    /// -32000 if the transaction is invalid.
    pub fn commit(&mut self, tx: TxEnv) -> Result<ExecutionResult, RpcError> {
        let (from, refused) = (tx.caller, self.refused);
        self.include(tx).map_err(|error| refused(error, from))
    }

    /// As [`commit`](Self::commit), with the machine's own error. Blocking.
    ///
    /// # Errors
    ///
    /// If the transaction is invalid, or the state cannot be read.
    pub fn include(&mut self, tx: TxEnv) -> Result<ExecutionResult, EVMError<LedgerError>> {
        let mut evm = self.evm();
        let result = evm.transact_one(tx)?;
        let state = evm.finalize();
        drop(evm);
        self.db.commit(state);
        Ok(result)
    }
}

/// A transaction of a block as the virtual machine wants it.
///
/// # Errors
///
/// -32603 for a type that no block of this chain holds.
pub(crate) fn recorded(committed: &Committed, index: usize) -> Result<TxEnv, RpcError> {
    let (transaction, sender) = (&committed.block.transactions()[index], committed.senders[index]);
    let recovered = stoa_base::Recovered::new_unchecked(transaction.clone(), sender);
    stoa_ledger::execute::tx_env(&recovered)
        .ok_or_else(|| RpcError::new(-32603, "internal error: a blob transaction in a block"))
}

/// Geth's words for a transaction that cannot be executed.
pub(crate) fn refused(error: EVMError<LedgerError>, from: Address) -> RpcError {
    let invalid = match error {
        EVMError::Database(error) => return error.into(),
        EVMError::Transaction(invalid) => invalid,
        other => return RpcError::server(other.to_string()),
    };
    RpcError::server(match invalid {
        InvalidTransaction::LackOfFundForMaxFee { fee, balance } => {
            format!("insufficient funds for gas * price + value: address {from} have {balance} want {fee}")
        }
        InvalidTransaction::NonceTooLow { tx, state } => format!("nonce too low: next nonce {state}, tx nonce {tx}"),
        InvalidTransaction::NonceTooHigh { tx, state } => {
            format!("nonce too high: address {from}, tx: {tx} state: {state}")
        }
        InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            format!("intrinsic gas too low: have {gas_limit}, want {initial_gas}")
        }
        InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            format!("insufficient gas for floor data gas cost: have {gas_limit}, want {gas_floor}")
        }
        InvalidTransaction::GasPriceLessThanBasefee => {
            format!("max fee per gas less than block base fee: address {from}")
        }
        InvalidTransaction::PriorityFeeGreaterThanMaxFee => {
            format!("max priority fee per gas higher than max fee per gas: address {from}")
        }
        InvalidTransaction::CallerGasLimitMoreThanBlock => "exceeds block gas limit".into(),
        InvalidTransaction::TxGasLimitGreaterThanCap { gas_limit, cap } => {
            format!("transaction gas limit too high (cap: {cap}, tx: {gas_limit})")
        }
        InvalidTransaction::RejectCallerWithCode => format!("sender not an eoa: address {from}"),
        InvalidTransaction::CreateInitCodeSizeLimit => "max initcode size exceeded".into(),
        InvalidTransaction::InvalidChainId => "invalid chain id for signer".into(),
        InvalidTransaction::OverflowPaymentInTransaction => {
            format!("insufficient funds for gas * price + value: address {from} required balance exceeds 256 bits")
        }
        other => other.to_string(),
    })
}

/// Geth's words for an execution that stopped.
pub(crate) fn halted(reason: &HaltReason) -> RpcError {
    RpcError::server(match reason {
        HaltReason::OutOfGas(_) => "out of gas".into(),
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid opcode".into(),
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID".into(),
        HaltReason::InvalidJump => "invalid jump destination".into(),
        HaltReason::StackUnderflow => "stack underflow".into(),
        HaltReason::StackOverflow => "stack limit reached 1024".into(),
        HaltReason::OutOfOffset => "return data out of bounds".into(),
        HaltReason::CreateCollision => "contract address collision".into(),
        HaltReason::NonceOverflow => "nonce uint64 overflow".into(),
        HaltReason::CreateContractSizeLimit => "max code size exceeded".into(),
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef".into(),
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded".into(),
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => "write protection".into(),
        HaltReason::OutOfFunds => "insufficient balance for transfer".into(),
        HaltReason::CallTooDeep => "max call depth exceeded".into(),
        other => other.to_string(),
    })
}

/// The output of an execution, or the error that a caller sees.
///
/// # Errors
///
/// 3 for a revert, -32000 for anything else that stopped it.
pub(crate) fn output(result: ExecutionResult) -> Result<Bytes, RpcError> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        ExecutionResult::Revert { output, .. } => Err(RpcError::reverted(output)),
        ExecutionResult::Halt { reason, .. } => Err(halted(&reason)),
    }
}

/// The result and the changed accounts, for tracers.
pub(crate) type Traced = ResultAndState;

impl Sandbox {
    /// Runs a transaction under an inspector and gives back what it changed, not applied. Blocking.
    ///
    /// # Errors
    ///
    /// -32000 if the transaction is invalid or the inspector gave up.
    pub fn inspect<I>(&mut self, tx: TxEnv, inspector: I) -> Result<(Traced, I), RpcError>
    where
        I: for<'a> revm::Inspector<stoa_contract::Ctx<&'a mut Overlay>>,
    {
        let (from, refused) = (tx.caller, self.refused);
        let mut evm = self.evm().with_inspector(inspector);
        let result = evm.inspect_one(tx).map_err(|error| refused(error, from))?;
        let state = evm.finalize();
        Ok((Traced::new(result, state), evm.into_inspector()))
    }
}

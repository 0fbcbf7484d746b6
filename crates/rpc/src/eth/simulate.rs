//! `eth_simulateV1`: calls in blocks that never were, one on top of the other.
//!
//! Nothing of such a block is stored, so its roots are zero; its hash is that of the header shown.

use super::{send::complete, transfers::Transfers};
use crate::{
    BlockId, Context, Methods, Params, RpcError,
    eth::find_block,
    evm::{self, BlockOverrides, Sandbox, StateOverrides, output},
    hex::to_quantity,
    params::Few,
    request::{Call, CallRequest, Price},
    view::{BlockView, Detail, LogView, Place, bloom},
};
use alloy_consensus::{Header, SignableTransaction};
use alloy_primitives::{Address, B256, Bytes, Log, Signature, U256};
use revm::{
    Database, DatabaseCommit,
    context::result::{EVMError, ExecutionResult, InvalidTransaction},
    handler::pre_execution::validate_account_nonce_and_code,
};
use serde::{Deserialize, Serialize, Serializer};
use std::sync::Arc;
use stoa_base::{Block, Receipt, Seal, Transaction};
use stoa_ledger::{Committed, LedgerError};

pub(super) fn register(methods: &mut Methods) {
    methods.execute("eth_simulateV1", simulate);
}

/// Blocks in one request, those that fill gaps between their numbers included.
const MAX_BLOCKS: u64 = 256;
/// Calls in all of them together.
const MAX_CALLS: usize = 1_000;
/// Seconds between blocks whose time is not given.
const INTERVAL: u64 = 1;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    block_state_calls: Few<Wanted, { MAX_BLOCKS as usize }>,
    #[serde(default)]
    trace_transfers: bool,
    #[serde(default)]
    validation: bool,
    #[serde(default)]
    return_full_transactions: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    block_overrides: Option<BlockOverrides>,
    state_overrides: Option<StateOverrides>,
    #[serde(default)]
    calls: Few<CallRequest, MAX_CALLS>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockAnswer {
    #[serde(flatten)]
    block: BlockView,
    calls: Vec<CallAnswer>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallAnswer {
    return_data: Bytes,
    logs: Logs,
    #[serde(serialize_with = "to_quantity")]
    gas_used: u64,
    /// Before what is given back.
    #[serde(serialize_with = "to_quantity")]
    max_used_gas: u64,
    #[serde(serialize_with = "to_quantity")]
    status: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RpcError>,
}

/// The logs of one call.
struct Logs {
    committed: Committed,
    index: usize,
}

impl Serialize for Logs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (committed, index) = (&self.committed, self.index);
        let first: usize = committed.receipts[..index].iter().map(|receipt| receipt.logs.len()).sum();
        let place = Place::new(committed, index);
        let transaction_hash = *committed.block.transactions()[index].hash();
        let logs = committed.receipts[index].logs.iter().zip(first as u64..);
        serializer.collect_seq(logs.map(|(log, log_index)| LogView { log, place, transaction_hash, log_index }))
    }
}

fn simulate(context: &Context, params: &Params) -> Result<Vec<BlockAnswer>, RpcError> {
    let mut reader = params.reader()?;
    let payload: Payload = reader.required()?;
    let id: BlockId = reader.optional()?.unwrap_or_default();
    reader.end()?;
    let Few(blocks) = payload.block_state_calls;
    let calls: usize = blocks.iter().map(|block| block.calls.0.len()).sum();
    if blocks.is_empty() {
        return Err(RpcError::invalid_params("empty input"));
    }
    if blocks.len() as u64 > MAX_BLOCKS || calls > MAX_CALLS {
        return Err(too_many());
    }
    let (parent, sandbox) = base(context, id)?;
    let mut simulation = Simulation {
        context,
        sandbox,
        parent,
        gas: context.config().gas_cap,
        traced: payload.trace_transfers,
        validated: payload.validation,
        detail: if payload.return_full_transactions { Detail::Full } else { Detail::Hashes },
        answers: Vec::new(),
    };
    simulation.sandbox.relax();
    simulation.sandbox.refused = refused;
    simulation.sandbox.cfg.disable_nonce_check = !payload.validation;
    simulation.sandbox.cfg.disable_base_fee = !payload.validation;
    for wanted in blocks {
        simulation.add(wanted)?;
    }
    Ok(simulation.answers)
}

/// The block that the first one comes after, and the state after it. Blocking.
fn base(context: &Context, id: BlockId) -> Result<(Arc<Block>, Sandbox), RpcError> {
    if id == BlockId::Pending {
        let pending = context.pending()?;
        let block = pending.committed.block.clone();
        let mut sandbox = Sandbox::after(context, &pending);
        sandbox.know_block(block.number(), block.hash());
        return Ok((block, sandbox));
    }
    let block = find_block(context, id)?.ok_or_else(RpcError::header_not_found)?.block;
    let sandbox = Sandbox::new(context, BlockId::Number(block.number()))?;
    Ok((block, sandbox))
}

fn too_many() -> RpcError {
    RpcError::new(-38026, format!("too many blocks or calls, at most {MAX_BLOCKS} blocks and {MAX_CALLS} calls"))
}

/// A transaction that cannot be executed, with the code that the method has for why.
fn refused(error: EVMError<LedgerError>, from: Address) -> RpcError {
    let code = match &error {
        EVMError::Transaction(InvalidTransaction::NonceTooLow { .. }) => Some(-38010),
        EVMError::Transaction(InvalidTransaction::NonceTooHigh { .. }) => Some(-38011),
        EVMError::Transaction(InvalidTransaction::GasPriceLessThanBasefee) => Some(-38012),
        EVMError::Transaction(
            InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
            | InvalidTransaction::GasFloorMoreThanGasLimit { .. },
        ) => Some(-38013),
        EVMError::Transaction(
            InvalidTransaction::LackOfFundForMaxFee { .. } | InvalidTransaction::OverflowPaymentInTransaction,
        ) => Some(-38014),
        EVMError::Transaction(InvalidTransaction::RejectCallerWithCode) => Some(-38024),
        EVMError::Transaction(InvalidTransaction::CreateInitCodeSizeLimit) => Some(-38025),
        _ => None,
    };
    let error = evm::refused(error, from);
    RpcError { code: code.unwrap_or(error.code), ..error }
}

struct Simulation<'a> {
    context: &'a Context,
    sandbox: Sandbox,
    parent: Arc<Block>,
    /// What all calls together may still use.
    gas: u64,
    traced: bool,
    validated: bool,
    detail: Detail,
    answers: Vec<BlockAnswer>,
}

impl Simulation<'_> {
    /// Sets the environment of the block after the last one.
    fn begin(&mut self) {
        // As in geth, overrides of precompiled contracts hold for one block, others for all that come.
        self.sandbox.restore_precompiles();
        let parent = self.parent.header();
        let next_base_fee = stoa_ledger::next_base_fee(&self.context.ledger().genesis().fees, parent);
        let block = &mut self.sandbox.block;
        block.number = U256::from(parent.number + 1);
        block.timestamp = U256::from(parent.timestamp.saturating_add(INTERVAL));
        block.basefee = if self.validated { next_base_fee } else { 0 };
        block.blob_excess_gas_and_price = self.context.next_block_env().blob_excess_gas_and_price;
    }

    fn add(&mut self, wanted: Wanted) -> Result<(), RpcError> {
        self.begin();
        if let Some(overrides) = wanted.block_overrides {
            let number = overrides.number();
            self.fill_up_to(number)?;
            self.begin();
            self.sandbox.override_block(overrides)?;
        }
        let (number, timestamp) = (self.sandbox.block.number, self.sandbox.block.timestamp);
        let parent = self.parent.header();
        if number != U256::from(parent.number + 1) {
            let why = format!("block numbers must be in order: {number} <= {}", parent.number);
            return Err(RpcError::new(-38020, why));
        }
        if timestamp <= U256::from(parent.timestamp) {
            let why = format!("block timestamps must be in order: {timestamp} <= {}", parent.timestamp);
            return Err(RpcError::new(-38021, why));
        }
        if let Some(overrides) = wanted.state_overrides {
            self.sandbox.override_state(overrides)?;
        }
        let chain_id = self.context.chain_id();
        let calls = wanted.calls.0.into_iter().map(|request| request.check(chain_id)).collect::<Result<Vec<_>, _>>()?;
        self.execute(calls)
    }

    /// Empty blocks up to the one before `number`.
    fn fill_up_to(&mut self, number: Option<U256>) -> Result<(), RpcError> {
        let Some(number) = number else { return Ok(()) };
        while U256::from(self.parent.number() + 1) < number {
            if self.answers.len() as u64 >= MAX_BLOCKS {
                return Err(too_many());
            }
            self.begin();
            self.execute(Vec::new())?;
        }
        Ok(())
    }

    fn execute(&mut self, calls: Vec<Call>) -> Result<(), RpcError> {
        if self.answers.len() as u64 >= MAX_BLOCKS {
            return Err(too_many());
        }
        let (mut transactions, mut senders, mut receipts, mut results) = (vec![], vec![], vec![], vec![]);
        let mut used = 0;
        for call in calls {
            let left = self.sandbox.block.gas_limit.saturating_sub(used);
            if call.gas.is_some_and(|gas| gas > left) {
                let why = format!("block gas limit reached: {left} gas left, the call wants {}", call.gas.unwrap_or(0));
                return Err(RpcError::new(-38015, why));
            }
            let (transaction, from, result, logs) = self.call(call, left)?;
            let gas_used = result.tx_gas_used();
            used += gas_used;
            self.gas = self.gas.saturating_sub(gas_used);
            receipts.push(Receipt {
                tx_type: 2,
                success: result.is_success(),
                gas_used,
                cumulative_gas_used: used,
                effective_gas_price: 0,
                logs,
                contract_address: result.created_address(),
            });
            transactions.push(transaction);
            senders.push(from);
            results.push(result);
        }
        self.finish(transactions, senders, receipts, results)
    }

    fn call(
        &mut self,
        mut call: Call,
        left: u64,
    ) -> Result<(Transaction, Address, ExecutionResult, Vec<Log>), RpcError> {
        let account = self.sandbox.db.basic(call.from)?.unwrap_or_default();
        let nonce = call.nonce.unwrap_or(account.nonce);
        // As in geth, before what it pays, which the machine looks at first.
        validate_account_nonce_and_code(&account, nonce, true, self.sandbox.cfg.disable_nonce_check)
            .map_err(|invalid| refused(EVMError::Transaction(invalid), call.from))?;
        call.nonce = Some(nonce);
        let gas = call.gas.unwrap_or(left).min(left).min(self.gas);
        call.gas = Some(gas);
        if call.price == Price::Unset {
            call.price = Price::Dynamic { max_fee: Some(0), priority_fee: Some(0) };
        }
        let env = call.tx_env(gas, self.context.chain_id(), self.sandbox.block.basefee);
        let (result, logs) = if self.traced {
            let (traced, transfers) = self.sandbox.inspect(env, Transfers::default())?;
            self.sandbox.db.commit(traced.state);
            let logs = transfers.among(traced.result.logs());
            (traced.result, logs)
        } else {
            let result = self.sandbox.commit(env)?;
            let logs = result.logs().to_vec();
            (result, logs)
        };
        // Nobody signed this.
        let signature = Signature::new(U256::ZERO, U256::ZERO, false);
        Ok((complete(self.context, &call)?.into_signed(signature).into(), call.from, result, logs))
    }

    fn finish(
        &mut self,
        transactions: Vec<Transaction>,
        senders: Vec<Address>,
        receipts: Vec<Receipt>,
        results: Vec<ExecutionResult>,
    ) -> Result<(), RpcError> {
        let env = &self.sandbox.block;
        let header = Header {
            parent_hash: self.parent.hash(),
            number: env.number.saturating_to(),
            timestamp: env.timestamp.saturating_to(),
            gas_limit: env.gas_limit,
            gas_used: receipts.last().map_or(0, |receipt| receipt.cumulative_gas_used),
            base_fee_per_gas: Some(env.basefee),
            beneficiary: env.beneficiary,
            mix_hash: env.prevrandao.unwrap_or_default(),
            difficulty: env.difficulty,
            state_root: B256::ZERO,
            transactions_root: B256::ZERO,
            receipts_root: B256::ZERO,
            logs_bloom: receipts.iter().map(bloom).fold(Default::default(), |all, one| all | one),
            extra_data: Bytes::new(),
            ..self.parent.header().clone()
        };
        let block = Arc::new(Block::new(header, Seal::default(), transactions));
        self.sandbox.know_block(block.number(), block.hash());
        self.parent = block.clone();
        let committed = Committed { block, receipts: Arc::new(receipts), senders: Arc::new(senders) };
        let calls = results.into_iter().enumerate().map(|(index, result)| {
            let (gas_used, success) = (result.tx_gas_used(), result.is_success());
            let max_used_gas = result.gas().total_gas_spent().max(result.gas().floor_gas());
            // What a call reverted with stands in the error alone.
            let (return_data, error) = match output(result) {
                Ok(returned) => (returned, None),
                Err(error) if error.code == 3 => (Bytes::new(), Some(error)),
                Err(error) => (Bytes::new(), Some(RpcError { code: -32015, ..error })),
            };
            let logs = Logs { committed: committed.clone(), index };
            CallAnswer { return_data, logs, gas_used, max_used_gas, status: u8::from(success), error }
        });
        let calls = calls.collect();
        let block = BlockView { committed, detail: self.detail, pending: false };
        self.answers.push(BlockAnswer { block, calls });
        Ok(())
    }
}

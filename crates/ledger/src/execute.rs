//! Executing a block: transactions in, receipts and changes out.
//!
//! The same code builds a block from waiting transactions and checks a block that somebody proposed; they differ in
//! what happens to a transaction that cannot be included ([`Transactions::refuse`]). The virtual machine runs on a
//! coroutine, so that a read from disk suspends it without blocking a thread, on a real runtime or a simulated one.

pub use crate::changes::{Change, Changes};

use crate::{
    LedgerError, Set,
    fees::next_base_fee,
    fiber::{self, Suspender},
    state::{AccountLeaf, Key, Leaf, account_key, code_key},
    view::{Reads, Source, StateCache, View},
};
use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header, Transaction as _, Typed2718, constants::EMPTY_WITHDRAWALS};
use alloy_eips::{
    eip2935::{HISTORY_SERVE_WINDOW, HISTORY_STORAGE_ADDRESS},
    eip7685::EMPTY_REQUESTS_HASH,
};
use alloy_primitives::{
    Address, B64, B256, Bloom, BloomInput, U256,
    map::{AddressSet, B256Set, HashMap},
};
use revm::{
    context::{
        BlockEnv, CfgEnv, TxEnv,
        result::{EVMError, ExecutionResult, InvalidTransaction, Output},
    },
    context_interface::{ContextTr, JournalTr, block::BlobExcessGasAndPrice, either::Either},
    state::EvmState,
};
use std::sync::Arc;
use stoa_base::{Genesis, Receipt, Recovered};
use stoa_contract::{
    Natives,
    coin::{self, Coin},
    parts::votes::Votes as _,
    randomness,
};
pub use stoa_proof::{merkle_root, receipt_digest, transactions_root};

/// What the proposer of a block chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choices {
    /// Seconds since 1970.
    pub timestamp: u64,
    /// Who gets the tips.
    pub beneficiary: Address,
    /// The block's randomness.
    pub prevrandao: B256,
    /// Overrides for development: the base fee in wei per gas, and the gas limit.
    pub base_fee: Option<u64>,
    /// See `base_fee`.
    pub gas_limit: Option<u64>,
}

/// Where a block's transactions come from.
pub trait Transactions: Send {
    /// The next one to execute, `None` at the end; `gas_left` is what the block still holds.
    fn next(&mut self, gas_left: u64) -> Option<Arc<Recovered>>;

    /// The transaction cannot be included. `Err` ends the execution.
    ///
    /// # Errors
    ///
    /// The refusal itself, if the block must not go on without the transaction.
    fn refuse(&mut self, transaction: &Recovered, why: Refusal) -> Result<(), Refusal>;
}

impl<T: Transactions + ?Sized> Transactions for &mut T {
    fn next(&mut self, gas_left: u64) -> Option<Arc<Recovered>> {
        (**self).next(gas_left)
    }

    fn refuse(&mut self, transaction: &Recovered, why: Refusal) -> Result<(), Refusal> {
        (**self).refuse(transaction, why)
    }
}

/// Why a transaction cannot be part of a block.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// It breaks a rule.
    #[error(transparent)]
    Invalid(#[from] InvalidTransaction),
    /// It needs more gas than the block has left.
    #[error("needs {needs} gas, the block has {left} left")]
    BlockFull {
        /// Gas limit of the transaction.
        needs: u64,
        /// Gas left in the block.
        left: u64,
    },
    /// It is of type 3.
    #[error("transaction type not supported: blob transactions are not accepted on this chain")]
    Blob,
}

impl Refusal {
    /// Whether the sender's account is past this transaction, perhaps because of it.
    pub const fn is_nonce_too_low(&self) -> bool {
        matches!(self, Self::Invalid(InvalidTransaction::NonceTooLow { .. }))
    }
}

/// Why a block cannot be executed.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// A transaction breaks the rules, and with it the block.
    #[error("transaction {index} cannot be executed: {why}")]
    Transaction {
        /// Position in the block.
        index: usize,
        /// What is wrong with it.
        why: Refusal,
    },
    /// The state can't be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What an execution left behind. Its header lacks what is computed from it: the roots, the bloom filter, `extraData`.
#[derive(Clone, Debug)]
pub struct Executed {
    /// The header of the executed block.
    pub header: Header,
    /// The transactions that were executed.
    pub transactions: Arc<Vec<Arc<Recovered>>>,
    /// One receipt for each.
    pub receipts: Arc<Vec<Receipt>>,
    /// Who sent each.
    pub senders: Arc<Vec<Address>>,
    /// What changed in the state.
    pub changes: Arc<Changes>,
}

/// What execution needs to know of the chain.
pub(crate) struct Rules<'a> {
    pub(crate) genesis: &'a Genesis,
    pub(crate) natives: &'a Natives,
    pub(crate) cache: &'a StateCache,
    pub(crate) hashes: &'a (dyn Fn(u64) -> Option<B256> + Send + Sync),
    pub(crate) cfg: CfgEnv,
}

/// The block environment of a header.
pub(crate) fn block_env(header: &Header) -> BlockEnv {
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or_default(),
        difficulty: U256::ZERO,
        prevrandao: Some(header.mix_hash),
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new(0, 1)),
        ..BlockEnv::default()
    }
}

/// The header of the block after `parent` before anything is executed.
pub(crate) fn next_header(genesis: &Genesis, parent: &Header, parent_hash: B256, choices: &Choices) -> Header {
    Header {
        parent_hash,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: choices.beneficiary,
        number: parent.number + 1,
        gas_limit: choices.gas_limit.unwrap_or(parent.gas_limit),
        timestamp: choices.timestamp,
        mix_hash: choices.prevrandao,
        nonce: B64::ZERO,
        base_fee_per_gas: Some(choices.base_fee.unwrap_or_else(|| next_base_fee(&genesis.fees, parent))),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}

/// A transaction as the virtual machine wants it. `None` for blob transactions.
pub fn tx_env(transaction: &Recovered) -> Option<TxEnv> {
    let tx = transaction.inner();
    if tx.is_eip4844() {
        return None;
    }
    let authorizations = tx.authorization_list().unwrap_or_default();
    Some(TxEnv {
        tx_type: tx.ty(),
        caller: transaction.signer(),
        gas_limit: tx.gas_limit(),
        gas_price: tx.max_fee_per_gas(),
        kind: tx.kind(),
        value: tx.value(),
        data: tx.input().clone(),
        nonce: tx.nonce(),
        chain_id: tx.chain_id(),
        access_list: tx.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: tx.max_priority_fee_per_gas(),
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: authorizations.iter().cloned().map(Either::Left).collect(),
    })
}

/// Executes transactions on top of `parent`.
pub(crate) async fn execute<S: Source>(
    rules: &Rules<'_>,
    source: &S,
    pending: Vec<Arc<Changes>>,
    parent: (&Header, B256),
    choices: &Choices,
    mut transactions: Box<dyn Transactions + '_>,
    ahead: &[Arc<Recovered>],
) -> Result<Executed, ExecutionError> {
    let mut header = next_header(rules.genesis, parent.0, parent.1, choices);
    let reads = Reads { source, pending, cache: rules.cache };
    let known = ahead.iter().flat_map(|tx| std::iter::once(tx.signer()).chain(tx.to()));
    let accounts = reads.prefetch(known, ahead.len() * 2).await?;

    let run = |suspender: &Suspender<'_>| {
        run(rules, View::new(reads, suspender, rules.hashes, accounts), &mut header, &mut *transactions)
    };
    let (executed, receipts, changes) = on_fiber(run).await?;

    let senders = executed.iter().map(|tx| tx.signer()).collect();
    Ok(Executed {
        header,
        transactions: Arc::new(executed),
        receipts: Arc::new(receipts),
        senders: Arc::new(senders),
        changes: Arc::new(changes),
    })
}

/// What a header says of its transactions and receipts.
#[derive(Debug)]
pub(crate) struct Summary {
    transactions_root: B256,
    receipts_root: B256,
    logs_bloom: Bloom,
}

impl Summary {
    /// Begins to compute it, on another thread if it is worth one.
    pub(crate) fn begin(executed: &Executed) -> impl FnOnce() -> Self + Send + use<> {
        let (transactions, receipts) = (executed.transactions.clone(), executed.receipts.clone());
        let worth_it = transactions.len() >= WORTH_A_THREAD;
        let (done, result) = std::sync::mpsc::sync_channel(1);
        let compute = move || Self {
            transactions_root: transactions_root(transactions.iter().map(|tx| *tx.tx_hash())),
            receipts_root: merkle_root(receipts.iter().map(receipt_digest)),
            logs_bloom: bloom(&receipts),
        };
        let work = move || drop(done.send(compute()));
        let work = if worth_it {
            rayon::spawn(work);
            None
        } else {
            Some(work)
        };
        move || {
            if let Some(work) = work {
                work();
            }
            result.recv().expect("computing it does not fail")
        }
    }

    /// Completes a header.
    pub(crate) fn complete(self, header: &mut Header) {
        header.transactions_root = self.transactions_root;
        header.receipts_root = self.receipts_root;
        header.logs_bloom = self.logs_bloom;
    }
}

/// From how many transactions on hashing them takes longer than handing them to another thread.
const WORTH_A_THREAD: usize = 128;

/// Runs code that reads a [`View`]: what is not at hand suspends it.
async fn on_fiber<T: Send>(
    code: impl FnOnce(&Suspender<'_>) -> Result<T, ExecutionError> + Send,
) -> Result<T, ExecutionError> {
    fiber::run(code).await.map_err(|error| LedgerError::Storage(format!("no memory for a stack: {error}")))?
}

/// Sets a balance or a delegation outside any block, votes and total supply included, on the state after `header`.
pub(crate) async fn set_counted<S: Source>(
    rules: &Rules<'_>,
    source: &S,
    header: &Header,
    address: Address,
    what: &Set,
) -> Result<Changes, ExecutionError> {
    let reads = Reads { source, pending: Vec::new(), cache: rules.cache };
    on_fiber(|suspender| {
        let view = View::new(reads, suspender, rules.hashes, HashMap::default());
        let mut evm = stoa_contract::Evm::new(view, block_env(header), rules.cfg.clone(), rules.natives.clone());
        let set = match *what {
            Set::Balance(balance) => evm.set_balance(address, balance),
            Set::Delegate(to) => evm.system(coin::ADDRESS, |cx| Coin.delegate(cx, address, to)).map(drop),
            Set::Nonce(_) | Set::Code(_) | Set::Storage(..) => Ok(()),
        };
        set.map_err(machine_failed)?;
        evm.ctx_mut().journal_mut().touch_account(address);
        finish(evm)
    })
    .await
}

/// The error of a machine that has no transaction to blame.
fn machine_failed(error: EVMError<LedgerError>) -> ExecutionError {
    match error {
        EVMError::Database(error) => error.into(),
        error => LedgerError::Storage(format!("the virtual machine failed: {error}")).into(),
    }
}

type Run = (Vec<Arc<Recovered>>, Vec<Receipt>, Changes);

fn run<S: Source>(
    rules: &Rules<'_>,
    view: View<'_, S>,
    header: &mut Header,
    transactions: &mut (dyn Transactions + '_),
) -> Result<Run, ExecutionError> {
    let mut evm = stoa_contract::Evm::new(view, block_env(header), rules.cfg.clone(), rules.natives.clone());
    keep(&mut evm, header)?;
    let mut executed = Vec::new();
    let mut receipts = Vec::<Receipt>::new();
    let mut used = 0;
    while let Some(transaction) = transactions.next(header.gas_limit - used) {
        let index = executed.len();
        let refused = |why| ExecutionError::Transaction { index, why };
        let left = header.gas_limit - used;
        if transaction.gas_limit() > left {
            let why = Refusal::BlockFull { needs: transaction.gas_limit(), left };
            transactions.refuse(&transaction, why).map_err(refused)?;
            continue;
        }
        let Some(env) = tx_env(&transaction) else {
            transactions.refuse(&transaction, Refusal::Blob).map_err(refused)?;
            continue;
        };
        let result = match evm.transact_one(env) {
            Ok(result) => result,
            Err(EVMError::Transaction(why)) => {
                transactions.refuse(&transaction, why.into()).map_err(refused)?;
                continue;
            }
            Err(error) => return Err(machine_failed(error)),
        };
        used += result.tx_gas_used();
        receipts.push(receipt(&transaction, result, used, header.base_fee_per_gas.unwrap_or_default()));
        executed.push(transaction);
    }
    header.gas_used = used;
    let changes = finish(evm)?;
    Ok((executed, receipts, changes))
}

/// What a block writes before its first transaction, for contracts to ask later: its parent's hash (EIP-2935) and its
/// randomness. Contract, slot and value; nothing is written where the contract is not deployed.
pub fn kept_for_later(header: &Header) -> [(Address, U256, B256); 2] {
    let parent = U256::from(header.number.saturating_sub(1) % HISTORY_SERVE_WINDOW as u64);
    [
        (HISTORY_STORAGE_ADDRESS, parent, header.parent_hash),
        (randomness::ADDRESS, randomness::slot(header.number), header.mix_hash),
    ]
}

fn keep<S: Source>(evm: &mut stoa_contract::Evm<View<'_, S>>, header: &Header) -> Result<(), ExecutionError> {
    let journal = evm.ctx_mut().journal_mut();
    for (address, slot, value) in kept_for_later(header) {
        let has_code = !journal.load_account(address)?.data.info.is_empty_code_hash();
        if has_code {
            journal.sstore(address, slot, value.into())?;
            journal.touch_account(address);
        }
    }
    journal.commit_tx();
    Ok(())
}

fn receipt(transaction: &Recovered, result: ExecutionResult, cumulative: u64, base_fee: u64) -> Receipt {
    let tx = transaction.inner();
    let (gas_used, success) = (result.tx_gas_used(), result.is_success());
    let contract_address = match &result {
        ExecutionResult::Success { output: Output::Create(_, address), .. } => *address,
        _ => None,
    };
    Receipt {
        tx_type: tx.ty(),
        success,
        gas_used,
        cumulative_gas_used: cumulative,
        effective_gas_price: tx.effective_gas_price(Some(base_fee)),
        logs: result.into_logs(),
        contract_address,
    }
}

/// Turns what the virtual machine holds into changes of keys.
fn finish<S: Source>(mut evm: stoa_contract::Evm<View<'_, S>>) -> Result<Changes, ExecutionError> {
    let delta = balance_delta(evm.state(), &evm.db().accounts);
    evm.end_block(delta).map_err(machine_failed)?;
    let state = evm.finalize();
    let mut view = evm.into_db();
    let mut changes = Vec::with_capacity(state.len() + view.slots.len());
    let mut accounts = Vec::with_capacity(state.len());
    let mut put = |key: Key, old: Option<Leaf>, new: Option<Leaf>| {
        if old != new {
            changes.push((key, Change { old, new }));
        }
    };
    for (address, account) in state {
        if !account.is_touched() {
            continue;
        }
        let known = view.accounts.remove(&address);
        let (key, old) = known.unwrap_or_else(|| (account_key(&address), AccountLeaf::default()));
        let gone = account.is_selfdestructed();
        let new = if gone { AccountLeaf::default() } else { leaf(&account.info) };
        if new.code_hash() != old.code_hash()
            && let Some(code) = account.info.code.as_ref().filter(|code| !code.is_empty() && !gone)
        {
            let key = code_key(&new.code_hash());
            // Another account may have the same code already.
            put(key, view.read(&key)?, Some(Leaf::Code(code.original_bytes())));
        }
        if new != old {
            accounts.push((address, new.nonce, new.balance));
        }
        put(key, kept(old), kept(new));
        for (slot, value) in account.storage {
            let (key, old) = match view.slots.get(&(address, slot)) {
                Some((key, old)) => (*key, *old),
                None => (crate::state::slot_key(&address, &slot), U256::ZERO),
            };
            let new = if gone { U256::ZERO } else { value.present_value };
            put(key, nonzero(old), nonzero(new));
        }
    }
    Ok(Changes::from(changes).with_accounts(accounts))
}

/// By how much all balances together changed: `(added, removed)`, in wei.
fn balance_delta(state: &EvmState, before: &HashMap<Address, (Key, AccountLeaf)>) -> (U256, U256) {
    let (mut added, mut removed) = (U256::ZERO, U256::ZERO);
    for (address, account) in state.iter().filter(|(_, account)| account.is_touched()) {
        let old = before.get(address).map_or(U256::ZERO, |(_, leaf)| leaf.balance);
        let new = if account.is_selfdestructed() { U256::ZERO } else { account.info.balance };
        added += new.saturating_sub(old);
        removed += old.saturating_sub(new);
    }
    let both = added.min(removed);
    (added - both, removed - both)
}

fn leaf(info: &revm::state::AccountInfo) -> AccountLeaf {
    AccountLeaf::new(info.nonce, info.balance, info.code_hash, stoa_contract::delegate_of(info))
}

fn kept(leaf: AccountLeaf) -> Option<Leaf> {
    (!leaf.is_empty()).then_some(Leaf::Account(leaf))
}

fn nonzero(value: U256) -> Option<Leaf> {
    (!value.is_zero()).then_some(Leaf::Slot(value))
}

/// The logs' bloom filter as Ethereum computes it. Hashes each address and topic once.
pub(crate) fn bloom(receipts: &[Receipt]) -> Bloom {
    let (mut addresses, mut topics) = (AddressSet::default(), B256Set::default());
    let mut bloom = Bloom::ZERO;
    for log in receipts.iter().flat_map(|receipt| &receipt.logs) {
        if addresses.insert(log.address) {
            bloom.accrue(BloomInput::Raw(log.address.as_slice()));
        }
        for topic in log.topics() {
            if topics.insert(*topic) {
                bloom.accrue(BloomInput::Raw(topic.as_slice()));
            }
        }
    }
    bloom
}

//! The pool as its callers see it.

mod admission;
mod building;
mod persistence;
mod random;

use crate::{Account, Config, Pool, PoolError, State};
use alloy_consensus::{SignableTransaction, Transaction as _, TxEip1559};
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};
use stoa_base::{Recovered, Transaction};

/// A key that is known by its number.
pub(crate) fn signer(number: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::with_last_byte(number + 1)).unwrap()
}

/// Really signed, for what recovers senders.
pub(crate) fn signed<T>(signer: &PrivateKeySigner, tx: T) -> Transaction
where
    T: SignableTransaction<Signature>,
    Transaction: From<alloy_consensus::Signed<T>>,
{
    let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    tx.into_signed(signature).into()
}

/// Accounts in memory; those that nobody has set are rich.
#[derive(Default)]
pub(crate) struct Chain {
    accounts: Mutex<HashMap<Address, Account>>,
    broken: Mutex<bool>,
}

const RICH: Account = Account { nonce: 0, balance: U256::MAX, has_code: false };

impl Chain {
    fn set(&self, address: Address, account: Account) {
        self.accounts.lock().insert(address, account);
    }
}

impl State for Chain {
    fn chain_id(&self) -> u64 {
        31337
    }

    fn gas_limit(&self) -> u64 {
        30_000_000
    }

    fn account(&self, address: Address) -> Result<Account, String> {
        if *self.broken.lock() {
            return Err("no disk".into());
        }
        Ok(self.accounts.lock().get(&address).copied().unwrap_or(RICH))
    }
}

fn address(number: u8) -> Address {
    Address::with_last_byte(number)
}

/// A transfer that pays `price` per gas as tip and cap; its signature is that of nobody.
fn tx(sender: u8, nonce: u64, price: u128) -> Recovered {
    fees(sender, nonce, price, price)
}

fn fees(sender: u8, nonce: u64, fee_cap: u128, tip_cap: u128) -> Recovered {
    with(
        sender,
        TxEip1559 { nonce, max_fee_per_gas: fee_cap, max_priority_fee_per_gas: tip_cap, ..TxEip1559::default() },
    )
}

/// Completes a transaction. The recipient makes the hash the sender's own.
fn with(sender: u8, tx: TxEip1559) -> Recovered {
    let tx = TxEip1559 {
        chain_id: 31337,
        gas_limit: tx.gas_limit.max(21_000),
        to: TxKind::Call(Address::repeat_byte(sender)),
        ..tx
    };
    Recovered::new_unchecked(tx.into_signed(Signature::test_signature()).into(), address(sender))
}

fn pool(config: Config) -> (Pool, Arc<Chain>) {
    let chain = Arc::new(Chain::default());
    (Pool::new(config, chain.clone()), chain)
}

fn roomy() -> (Pool, Arc<Chain>) {
    pool(Config::default())
}

/// Adds transactions that must be taken.
fn add(pool: &Pool, all: impl IntoIterator<Item = Recovered>) {
    for transaction in all {
        pool.add(transaction).unwrap();
        pool.table().assert_consistent();
    }
}

fn refusal(pool: &Pool, transaction: Recovered) -> PoolError {
    let error = pool.add(transaction).unwrap_err();
    pool.table().assert_consistent();
    error
}

/// Sender and nonce of transactions.
fn places<'a>(all: impl IntoIterator<Item = &'a Arc<Recovered>>) -> Vec<(u8, u64)> {
    let place = |tx: &Arc<Recovered>| (tx.signer()[19], tx.nonce());
    all.into_iter().map(place).collect()
}

fn pending(pool: &Pool) -> Vec<(u8, u64)> {
    places(&pool.content().pending)
}

fn queued(pool: &Pool) -> Vec<(u8, u64)> {
    places(&pool.content().queued)
}

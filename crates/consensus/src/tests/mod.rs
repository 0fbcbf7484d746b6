use crate::{Pace, Single, Waiting, start_single};
use alloy_consensus::{SignableTransaction, TxLegacy, transaction::Recovered as AlloyRecovered};
use alloy_primitives::{Address, B256, TxKind, U256, map::HashMap};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use commonware_runtime::{Network, Resolver, Runner as _, deterministic, tokio};
use commonware_utils::NZUsize;
use parking_lot::Mutex;
use rand::CryptoRng;
use std::{path::Path, sync::Arc, time::Duration};
use stoa_base::{Account, Genesis, Recovered};
use stoa_ledger::{
    Committed, Ledger, LedgerConfig,
    execute::Refusal,
    state::{self, Runtime},
};

const RECIPIENT: Address = Address::repeat_byte(0xaa);

/// Transactions in a list that nothing takes out again.
#[derive(Clone, Default)]
struct List(Arc<Mutex<Vec<Arc<Recovered>>>>);

impl Waiting for List {
    fn best(&self, _: u64, _: u64, _: &HashMap<Address, u64>) -> Vec<Arc<Recovered>> {
        self.0.lock().clone()
    }

    fn is_empty(&self, _: &HashMap<Address, u64>) -> bool {
        self.0.lock().is_empty()
    }

    fn arrived(&self) -> impl Future<Output = ()> + Send + use<> {
        std::future::pending()
    }

    fn sender(&self, _: &B256) -> Option<Address> {
        None
    }

    fn refused(&self, transaction: &Recovered, why: &Refusal) {
        panic!("{:?} was refused: {why}", transaction.tx_hash());
    }

    fn finalized(&self, _: &Committed) {}
}

fn signer() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap()
}

fn transfer(nonce: u64) -> Arc<Recovered> {
    let tx = TxLegacy {
        chain_id: Some(31337),
        nonce,
        gas_limit: 21_000,
        gas_price: 2_000_000_000,
        to: TxKind::Call(RECIPIENT),
        value: U256::from(1),
        ..TxLegacy::default()
    };
    let signature = signer().sign_hash_sync(&tx.signature_hash()).unwrap();
    Arc::new(AlloyRecovered::new_unchecked(tx.into_signed(signature).into(), signer().address()))
}

fn genesis() -> Genesis {
    let rich = Account { balance: U256::from(10).pow(U256::from(24)), ..Account::default() };
    Genesis {
        chain_id: 31337,
        timestamp: 0,
        gas_limit: 30_000_000,
        fees: Default::default(),
        development: true,
        alloc: [(signer().address(), rich)].into(),
    }
}

/// Runs a validator until the recipient has `balance`, and returns its ledger.
async fn run<E>(runtime: E, folder: &Path, transactions: std::ops::Range<u64>, balance: u64) -> Ledger
where
    E: Runtime + CryptoRng + Network + Resolver,
{
    let state = state::config(&runtime, "stoa", 1 << 20, NZUsize!(1));
    let ledger =
        Ledger::open(runtime.child("genesis"), genesis(), LedgerConfig::new(folder), state.clone()).await.unwrap();
    let single = Single {
        ledger: ledger.clone(),
        state,
        waiting: List(Arc::new(Mutex::new(transactions.map(transfer).collect()))),
        beneficiary: Address::ZERO,
        pace: Pace { busy: Duration::from_millis(10), idle: Duration::from_millis(100) },
        max_bytes: 1 << 20,
        seed: [7; 32],
    };
    Box::pin(start_single(runtime.child("validator"), single)).await;
    for _ in 0..1000 {
        let now = ledger.state(ledger.head().number()).unwrap().balance(RECIPIENT).unwrap();
        if now == U256::from(balance) {
            return ledger;
        }
        runtime.sleep(Duration::from_millis(10)).await;
    }
    panic!("the recipient never had {balance}, the chain is at block {}", ledger.head().number());
}

/// Runs on a thread with a stack that unoptimized futures fit on.
fn with_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(32 << 20).spawn_scoped(scope, run).unwrap();
        thread.join().unwrap()
    })
}

#[test]
fn one_validator_finalizes_transactions_and_goes_on_after_a_restart() {
    let (storage, history) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let validator = |transactions: std::ops::Range<u64>, balance| {
        let config = tokio::Config::new().with_storage_directory(storage.path());
        tokio::Runner::new(config).start(async |runtime| {
            let ledger = Box::pin(run(runtime, history.path(), transactions, balance)).await;
            let head = ledger.head();
            let block = ledger.transaction(*transfer(0).tx_hash()).unwrap().unwrap().0;
            (head.number(), ledger.block(block).unwrap().unwrap().block.hash())
        })
    };
    let (height, first) = with_stack(|| validator(0..3, 3));
    let (later, again) = with_stack(|| validator(0..5, 5));
    assert!(later > height);
    assert_eq!(first, again);
}

#[test]
fn one_validator_runs_on_the_deterministic_runtime() {
    let run = |seed| {
        let history = tempfile::tempdir().unwrap();
        deterministic::Runner::seeded(seed).start(async |runtime| {
            let ledger = Box::pin(run(runtime, history.path(), 0..3, 3)).await;
            ledger.head().hash()
        })
    };
    assert_eq!(with_stack(|| run(1)), with_stack(|| run(1)));
}

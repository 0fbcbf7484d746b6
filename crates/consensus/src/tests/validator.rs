//! One validator, on its own network.

use super::{List, RECIPIENT, genesis, secrets::Secrets, transfer, with_stack};
use crate::{Committee, Identity, Pace, Validator, connect, peers, start_validator};
use alloy_primitives::{Address, U256};
use commonware_runtime::{Network, Resolver, Runner as _, deterministic, tokio};
use commonware_utils::{NZU32, NZUsize};
use rand::{CryptoRng, SeedableRng as _, rngs::StdRng};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};
use stoa_ledger::{
    Ledger, LedgerConfig,
    state::{self, Runtime},
};

fn deal() -> (Committee, Vec<Identity>) {
    Committee::deal(&mut StdRng::seed_from_u64(7), NZU32!(1))
}

/// What it has been dealt.
fn dealt() -> Secrets {
    Secrets::dealt(deal().1.remove(0).share)
}

/// Runs a validator until the recipient has `balance`, and returns its ledger.
async fn run<E>(runtime: E, folder: &Path, secrets: Secrets, transactions: std::ops::Range<u64>, balance: u64) -> Ledger
where
    E: Runtime + CryptoRng + Network + Resolver,
{
    let (committee, mut identities) = deal();
    let state = state::config(&runtime, "stoa", 1 << 20, NZUsize!(1));
    let genesis = genesis(&committee, 1);
    let ledger =
        Ledger::open(runtime.child("genesis"), genesis, LedgerConfig::new(folder), state.clone()).await.unwrap();
    let identity = identities.remove(0);
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let peers = peers([(identity.public(), listen.to_string())]).unwrap();
    let wire = connect(runtime.child("wire"), identity.key, b"test", listen, peers, 1 << 20).unwrap();
    let validator = Validator {
        ledger: ledger.clone(),
        state,
        waiting: List::new(transactions.map(transfer).collect()),
        beneficiary: Address::ZERO,
        pace: Pace { busy: Duration::from_millis(10), idle: Duration::from_millis(100) },
        max_bytes: 1 << 20,
        secrets,
        floor: None,
        compared: None,
    };
    Box::pin(start_validator(runtime.child("validator"), wire, validator)).await.unwrap();
    for _ in 0..1000 {
        let now = ledger.state(ledger.head().number()).unwrap().balance(RECIPIENT).unwrap();
        if now == U256::from(balance) {
            return ledger;
        }
        runtime.sleep(Duration::from_millis(10)).await;
    }
    panic!("the recipient never had {balance}, the chain is at block {}", ledger.head().number());
}

#[test]
fn one_validator_finalizes_transactions_and_goes_on_after_a_restart() {
    let (storage, history) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let secrets = dealt();
    let validator = |transactions: std::ops::Range<u64>, balance| {
        let config = tokio::Config::new().with_storage_directory(storage.path());
        tokio::Runner::new(config).start(async |runtime| {
            let ledger = Box::pin(run(runtime, history.path(), secrets.clone(), transactions, balance)).await;
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
            let ledger = Box::pin(run(runtime, history.path(), dealt(), 0..3, 3)).await;
            ledger.head().hash()
        })
    };
    assert_eq!(with_stack(|| run(1)), with_stack(|| run(1)));
}

//! What the benchmarks share: accounts, transactions, and figures in a table.

pub mod chain;
pub mod load;
pub mod node;
pub mod wire;

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, keccak256};
use std::{sync::Arc, time::Duration};
use stoa_base::Recovered;

/// Chain id of the benchmark's chain.
pub const CHAIN_ID: u64 = 31337;

/// The address of account `n`; nobody has its key.
pub fn account(n: u64) -> Address {
    Address::from_slice(&keccak256(n.to_be_bytes())[12..])
}

/// A transaction whose sender is known, with a signature that nobody looks at.
pub fn transaction(from: Address, nonce: u64, to: TxKind, value: U256, gas_limit: u64, input: Bytes) -> Arc<Recovered> {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit,
        max_fee_per_gas: 1_000_000_000,
        max_priority_fee_per_gas: 1,
        to,
        value,
        input,
        ..TxEip1559::default()
    };
    let signed = tx.into_signed(Signature::test_signature());
    Arc::new(Recovered::new_unchecked(signed.into(), from))
}

/// How many a second.
pub fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// The middle one; sorts in place.
pub fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Prints a row of the table: what, ours, the other's, the ratio, and what is to be reached.
pub fn row(what: &str, ours: f64, other: f64, unit: &str, goal: &str) {
    println!("| {what} | {ours:.0} {unit} | {other:.0} {unit} | {:.2} | {goal} |", ours / other);
}

/// The same numbers in each run, evenly spread (xorshift64).
pub fn random() -> impl FnMut() -> u64 {
    let mut next = 0x2545_f491_4f6c_dd1d_u64;
    move || {
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        next
    }
}

//! Sender recovery: transactions as they come in, decoded, checked and their senders recovered on all cores, against one
//! bare secp256k1 recovery times the number of cores.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope, transaction::SignerRecoverable as _};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{TxKind, U256, keccak256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use eyre::{Result, ensure};
use rayon::prelude::*;
use secp256k1::{
    Message, SECP256K1,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use std::time::Instant;
use stoa_base::Transaction;
use stoa_benchmarks::{CHAIN_ID, account, median, rate, row};

/// How many transactions, each with a key of its own.
const COUNT: u64 = 20_000;

/// How often each is measured, one after the other.
const ROUNDS: usize = 5;

fn transfer(n: u64) -> Result<TxEnvelope> {
    let signer = PrivateKeySigner::from_bytes(&keccak256(n.to_be_bytes()))?;
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        gas_limit: 21_000,
        to: TxKind::Call(account(n)),
        value: U256::from(1),
        ..TxEip1559::default()
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash())?;
    Ok(tx.into_signed(signature).into())
}

/// What the library needs for one recovery.
fn bare(transaction: &TxEnvelope) -> Result<(RecoverableSignature, Message)> {
    let signature = transaction.signature();
    let parity = RecoveryId::try_from(i32::from(signature.v()))?;
    let signature = RecoverableSignature::from_compact(&signature.as_rsy()[..64], parity)?;
    Ok((signature, Message::from_digest(transaction.signature_hash().0)))
}

/// How many a second; all must be done.
fn measure(work: impl FnOnce() -> bool) -> Result<f64> {
    let start = Instant::now();
    ensure!(work(), "a sender was not recovered");
    Ok(rate(COUNT, start.elapsed()))
}

fn main() -> Result<()> {
    let transactions = (0..COUNT).into_par_iter().map(transfer).collect::<Result<Vec<_>>>()?;
    let raw: Vec<_> = transactions.iter().map(|transaction| transaction.encoded_2718()).collect();
    let signatures = transactions.iter().map(bare).collect::<Result<Vec<_>>>()?;
    // Fresh ones, which do not know their hashes yet, as a block's do not.
    let fresh = || raw.iter().map(|raw| Ok(stoa_mempool::recover(raw)?.into_inner())).collect::<Result<Vec<_>>>();
    let recover = |(signature, message): &(_, _)| SECP256K1.recover_ecdsa(message, signature).is_ok();

    let cores = rayon::current_num_threads();
    let (mut one, mut all, mut incoming, mut block) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        one.push(measure(|| signatures.iter().all(recover))?);
        all.push(measure(|| signatures.par_iter().all(recover))?);
        incoming.push(measure(|| raw.par_iter().all(|raw| stoa_mempool::recover(raw).is_ok()))?);
        let fresh: Vec<Transaction> = fresh()?;
        block.push(measure(|| fresh.par_iter().all(|transaction| transaction.recover_signer().is_ok()))?);
    }
    let limit = median(&mut one) * cores as f64;
    println!("Sender recovery of {COUNT} transfers on {cores} cores.\n");
    println!("| work | ours | one libsecp256k1 recovery × {cores} cores | ratio | to reach |\n|---|---|---|---|---|");
    row("transactions of a block: recover", median(&mut block), limit, "a second", "0.9");
    row("incoming transactions: decode, check, hash, recover", median(&mut incoming), limit, "a second", "0.9");
    row("the library alone, on all cores at once", median(&mut all), limit, "a second", "-");
    Ok(())
}

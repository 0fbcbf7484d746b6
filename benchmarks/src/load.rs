//! The generator of load: signed transfers over JSON-RPC to final receipts.
//!
//! Every sender is a wallet of its own: one keep-alive connection, on which it sends its transactions one after the other,
//! each once the node has answered the one before. They are signed before the clock starts, all by one thread of the
//! generator, which shares the machine with the node.
//!
//! One more connection asks for the receipts of the next block until there is one, and so on, until all are there.
//!
//! **Throughput.** As fast as the node answers, from the first transaction sent to the last receipt, or what has been
//! included after twenty seconds. So many may be on their way, sent but not yet included, as suits the node: Anvil slows
//! down where many wait.
//!
//! **Latency.** Transactions go out at fixed times, from each to its receipt. One that had to wait for its sender's
//! connection counts from when it was due.

use crate::{
    median,
    node::{Node, Program},
    rate,
    wire::{self, Wire},
};
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, TxKind, U64, U256, hex, keccak256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use eyre::{Result, WrapErr as _, bail, ensure};
use futures::future::try_join_all;
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::json;
use std::{
    cell::RefCell,
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// How long a node may take for what it was sent.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks for the next block.
const POLL: Duration = Duration::from_millis(1);

/// How many transactions may be on their way to us, for throughput.
pub const WINDOW: usize = 10_000;

/// Seconds of each measurement of latency.
const SECONDS: f64 = 5.0;

/// One signed transaction, ready to be sent.
struct Signed {
    hash: B256,
    request: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    transaction_hash: B256,
    status: U64,
}

/// Who has coins on a new chain: the first development account.
fn bank() -> Result<PrivateKeySigner> {
    Ok("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80".parse()?)
}

fn sign(chain_id: u64, signer: &PrivateKeySigner, nonce: u64, to: Address, value: U256) -> Result<(B256, String)> {
    let tx = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(to),
        value,
        ..TxEip1559::default()
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash())?;
    let envelope = TxEnvelope::from(tx.into_signed(signature));
    Ok((*envelope.tx_hash(), hex::encode_prefixed(envelope.encoded_2718())))
}

/// Wallets with coins on a node's chain, and what each is going to send: `count` transfers in all.
struct Load {
    address: SocketAddr,
    lanes: Vec<Vec<Signed>>,
    first_block: u64,
}

impl Load {
    async fn prepare(node: &Node, senders: usize, count: usize) -> Result<Self> {
        let key = |n: usize| keccak256([b"load".as_slice(), &n.to_be_bytes()].concat());
        let signers = (0..senders).map(|n| Ok(PrivateKeySigner::from_bytes(&key(n))?)).collect::<Result<Vec<_>>>()?;
        let mut wire = Wire::open(node.address()).await?;
        let chain_id = wire.call::<U64>("eth_chainId", json!([])).await?.to::<u64>();

        // A hundred transfers in a batch.
        let bank = bank()?;
        let each = U256::from(count / senders + 1) * U256::from(5_000_000_000_000_000_u64);
        let mut last = B256::ZERO;
        for (part, signers) in signers.chunks(100).enumerate() {
            let mut batch = Vec::new();
            for (index, signer) in signers.iter().enumerate() {
                let (hash, raw) = sign(chain_id, &bank, (100 * part + index) as u64, signer.address(), each)?;
                batch.push(wire::call("eth_sendRawTransaction", &json!([raw])));
                last = hash;
            }
            wire.send(&wire::request(&serde_json::Value::Array(batch).to_string())).await?;
        }
        wait_for(&mut wire, last).await?;

        let lanes = signers.par_iter().enumerate().map(|(sender, signer)| {
            let mine = (sender..count).step_by(senders).zip(0..);
            mine.map(|(index, nonce)| {
                // Ten recipients: Anvil hashes every account that there is for each block.
                let to = Address::from_word(keccak256((index % 10).to_be_bytes()));
                let (hash, raw) = sign(chain_id, signer, nonce, to, U256::from(1))?;
                let body = wire::call("eth_sendRawTransaction", &json!([raw])).to_string();
                Ok(Signed { hash, request: wire::request(&body) })
            })
            .collect()
        });
        let lanes = lanes.collect::<Result<Vec<_>>>()?;
        let first_block = wire.call::<U64>("eth_blockNumber", json!([])).await?.to::<u64>() + 1;
        Ok(Self { address: node.address(), lanes, first_block })
    }

    async fn connect(&self) -> Result<Vec<Wire>> {
        try_join_all(self.lanes.iter().map(|_| Wire::open(self.address))).await
    }

    /// Transactions per second, and the node's processor time for each.
    async fn throughput(&self, node: &Node, window: usize) -> Result<(f64, Duration)> {
        let mut wires = self.connect().await?;
        let watcher = Wire::open(self.address).await?;
        let before = node.processor_time()?;
        let start = Instant::now();
        let (window, mut included) = (Semaphore::new(window), 0);
        let sending = self.lanes.iter().zip(&mut wires).map(async |(lane, wire)| {
            for signed in lane {
                window.acquire().await?.forget();
                wire.send(&signed.request).await?;
            }
            eyre::Ok(())
        });
        let receiving = self.receive(watcher, |receipts| {
            included += receipts.len();
            window.add_permits(receipts.len());
        });
        let all = async { tokio::try_join!(try_join_all(sending), receiving) };
        if let Ok(outcome) = tokio::time::timeout(PATIENCE, all).await {
            outcome?;
        }
        let used = (node.processor_time()? - before) / included.max(1) as u32;
        Ok((rate(included as u64, start.elapsed()), used))
    }

    /// How many transactions there are.
    fn count(&self) -> usize {
        self.lanes.iter().map(Vec::len).sum()
    }

    /// Shows the receipts of one block after the other, until those of all transactions have come.
    async fn receive(&self, mut watcher: Wire, mut each: impl FnMut(&[Receipt])) -> Result<()> {
        let (mut next, mut found) = (self.first_block, 0);
        while found < self.count() {
            let receipts: Option<Vec<Receipt>> = watcher.call("eth_getBlockReceipts", json!([U64::from(next)])).await?;
            let Some(receipts) = receipts else {
                tokio::time::sleep(POLL).await;
                continue;
            };
            ensure!(receipts.iter().all(|receipt| receipt.status == U64::ONE), "a transfer failed");
            next += 1;
            found += receipts.len();
            each(&receipts);
        }
        Ok(())
    }

    /// Milliseconds from sending to receipt, at `pace` transactions per second.
    async fn latencies(&self, pace: f64) -> Result<Vec<f64>> {
        let wires = self.connect().await?;
        let senders = self.lanes.len();
        let sent = RefCell::new(HashMap::<B256, Instant>::new());
        let watcher = Wire::open(self.address).await?;
        let start = tokio::time::Instant::now();
        let sending = self.lanes.iter().zip(wires).enumerate().map(async |(sender, (lane, mut wire))| {
            for (index, signed) in lane.iter().enumerate() {
                let due = start + Duration::from_secs_f64((index * senders + sender) as f64 / pace);
                let late = tokio::time::Instant::now() > due;
                let began = if late {
                    due.into_std()
                } else {
                    tokio::time::sleep_until(due).await;
                    Instant::now()
                };
                sent.borrow_mut().insert(signed.hash, began);
                wire.send(&signed.request).await?;
            }
            eyre::Ok(())
        });
        let mut took = Vec::with_capacity(self.count());
        let receiving = self.receive(watcher, |receipts| {
            let now = Instant::now();
            let sent = sent.borrow();
            let ours = receipts.iter().filter_map(|receipt| sent.get(&receipt.transaction_hash));
            took.extend(ours.map(|sent| (now - *sent).as_secs_f64() * 1e3));
        });
        let all = async { tokio::try_join!(try_join_all(sending), receiving) };
        tokio::time::timeout(PATIENCE, all).await.wrap_err("not all was included in time")??;
        Ok(took)
    }
}

/// Waits for a receipt.
async fn wait_for(wire: &mut Wire, hash: B256) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if wire.call::<Option<Receipt>>("eth_getTransactionReceipt", json!([hash])).await?.is_some() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bail!("{hash} was never included")
}

/// How many transactions a measurement of throughput takes.
fn count(senders: usize) -> usize {
    if senders == 1 { 10_000 } else { 20_000 }
}

/// Transactions per second of a new node with so many senders, of whose transactions `window` may be on their way.
///
/// # Errors
///
/// If the node does not do what it is asked.
pub async fn throughput(program: Program, senders: usize, window: usize) -> Result<f64> {
    let node = Node::start(program, bank()?.address()).await?;
    let load = Load::prepare(&node, senders, count(senders)).await?;
    let (figure, used) = load.throughput(&node, window).await?;
    eprintln!(
        "{program:?}, {senders} senders, {window} on their way: {figure:.0} tx/s, {used:?} of the node's processor time for each"
    );
    Ok(figure)
}

/// p50 and p99 in milliseconds of a new node that is sent so many transactions a second.
///
/// # Errors
///
/// If the node does not keep up.
pub async fn latency(program: Program, senders: usize, pace: f64) -> Result<(f64, f64)> {
    let node = Node::start(program, bank()?.address()).await?;
    let load = Load::prepare(&node, senders, (pace * SECONDS) as usize).await?;
    let mut took = load.latencies(pace).await?;
    let p50 = median(&mut took);
    let p99 = took[(took.len() * 99 / 100).min(took.len() - 1)];
    Ok((p50, p99))
}

//! Clients that keep transfers on their way, whatever happens to the nodes.

use crate::{
    transfer,
    validators::{CHAIN_ID, Validators, included, place},
};
use alloy_primitives::{B256, Bytes};
use alloy_signer_local::PrivateKeySigner;
use eyre::{Result, WrapErr as _, ensure};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use stoa_client::{Client, ClientError};
use tokio::task::JoinHandle;

/// How many transfers of a client are on their way at most.
const AHEAD: usize = 8;

/// How long a client waits between two: the nodes of a test are not optimised, and share a few cores.
const PAUSE: Duration = Duration::from_millis(50);

/// How long what was taken may take to be final once all nodes are back, before it is sent again.
const SETTLED: Duration = Duration::from_secs(30);

/// What a client knows of its transfers.
#[derive(Debug, Default)]
pub struct Sent {
    /// Those that a node took, in the order of their nonces: their hashes, and their bytes.
    pub taken: Vec<(B256, Bytes)>,
    /// Those that a node gave a receipt of, with their blocks.
    pub seen: Vec<(B256, B256)>,
}

/// Clients, each with an account, that send until they are told to stop.
pub struct Load {
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Result<Sent>>>,
}

impl Load {
    /// Accounts that have sent nothing yet begin to send, each through all nodes in turn. It wants a runtime of several threads.
    pub fn start(signers: &[PrivateKeySigner], nodes: &[Client]) -> Self {
        let over = Arc::<AtomicBool>::default();
        let client = |signer: &PrivateKeySigner| tokio::spawn(send(signer.clone(), nodes.to_vec(), over.clone()));
        let clients = signers.iter().map(client).collect();
        Self { over, clients }
    }

    /// Lets all stop. Returns what each knows.
    ///
    /// # Errors
    ///
    /// If a node refused a transfer.
    pub async fn stop(self) -> Result<Vec<Sent>> {
        self.over.store(true, Ordering::Relaxed);
        let mut sent = Vec::new();
        for client in self.clients {
            sent.push(client.await??);
        }
        Ok(sent)
    }
}

/// Sends transfers and asks for their receipts until it is over.
async fn send(signer: PrivateKeySigner, nodes: Vec<Client>, over: Arc<AtomicBool>) -> Result<Sent> {
    let mut sent = Sent::default();
    let mut next = transfer(CHAIN_ID, &signer, 0)?;
    // Nodes that are down are passed over.
    let mut turns = nodes.iter().cycle();
    while !over.load(Ordering::Relaxed) {
        let Some(node) = turns.next() else { break };
        if sent.taken.len() < sent.seen.len() + AHEAD && takes(node, &next.1).await? {
            let following = transfer(CHAIN_ID, &signer, sent.taken.len() as u64 + 1)?;
            sent.taken.push(std::mem::replace(&mut next, following));
        }
        if let Some((hash, _)) = sent.taken.get(sent.seen.len())
            && let Ok(Some(block)) = place(node, *hash).await
        {
            sent.seen.push((*hash, block));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(sent)
}

/// Whether a node has a transaction: it takes it now, has it already, or has it in a block. Not if the node is down.
async fn takes(node: &Client, raw: &Bytes) -> Result<bool> {
    match node.call::<B256>("eth_sendRawTransaction", (raw,)).await {
        Ok(_) => Ok(true),
        Err(ClientError::Unreachable { .. } | ClientError::Malformed { .. }) => Ok(false),
        // Nobody else sends from this account.
        Err(ClientError::Refused { message, .. })
            if message.contains("already known") || message.contains("nonce too low") =>
        {
            Ok(true)
        }
        Err(refused) => Err(refused).wrap_err("a transfer is refused"),
    }
}

/// Now that all nodes run again: every receipt that was seen is on all of them, and what was taken is final on all of them, or can
/// be sent again and is then.
///
/// # Errors
///
/// If it is not so.
pub async fn settled(network: &Validators, sent: &[Sent]) -> Result<()> {
    let Some(first) = network.clients().first() else { return Ok(()) };
    let until = Instant::now() + SETTLED;
    for Sent { taken, seen } in sent {
        for (at, (hash, raw)) in taken.iter().enumerate() {
            while place(first, *hash).await?.is_none() {
                if Instant::now() > until {
                    eprintln!("{hash} was taken, is not final, and is sent again");
                    ensure!(takes(first, raw).await?, "{hash} was taken, is not final, and is not taken again");
                    included(first, *hash).await?;
                }
                tokio::time::sleep(PAUSE).await;
            }
            let block = network.agreed(*hash).await?;
            // Receipts were asked for in the same order.
            let same = seen.get(at).is_none_or(|seen| *seen == (*hash, block));
            ensure!(same, "{hash} was seen in another block than {block}");
        }
    }
    Ok(())
}

//! A node that has one core: what waits there must not keep from running what it waits for.

use alloy_primitives::{B256, U256};
use alloy_signer_local::PrivateKeySigner;
use eyre::{Result, bail, ensure};
use std::{sync::Arc, time::Duration};
use stoa_client::Client;
use stoa_tests::{Network, Node, transfer};

const CHAIN_ID: u64 = 31337;

/// Longer than any answer takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn transactions_of_unknown_senders_do_not_hold_up_the_chain() -> Result<()> {
    let node = Node::start_on_one_core(Network::Up)?;
    let client = Arc::new(Client::new(node.http()));
    let known: PrivateKeySigner = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80".parse()?;
    // Their accounts are in no cache: each makes the node read its state, while blocks change it.
    let unknown = (0..16_u8).map(|task| {
        let client = client.clone();
        tokio::spawn(async move {
            for n in 0..50_u8 {
                let mut key = [7; 32];
                (key[30], key[31]) = (task, n);
                let (_, raw) = transfer(CHAIN_ID, &PrivateKeySigner::from_bytes(&B256::from(key))?, 0)?;
                let answer = client.call::<B256>("eth_sendRawTransaction", (raw,));
                let Err(error) = tokio::time::timeout(LONG, answer).await? else {
                    bail!("there was nothing to pay with")
                };
                ensure!(error.to_string().contains("insufficient funds"), "{error}");
            }
            Ok(())
        })
    });
    let unknown = unknown.collect::<Vec<_>>();
    for nonce in 0..200 {
        let answer = client.call::<B256>("eth_sendRawTransaction", (transfer(CHAIN_ID, &known, nonce)?.1,));
        tokio::time::timeout(LONG, answer).await??;
    }
    for task in unknown {
        task.await??;
    }
    let all_final = async {
        loop {
            let sent: U256 = client.call("eth_getTransactionCount", (known.address(), "latest")).await?;
            if sent == U256::from(200) {
                return Ok::<_, eyre::Report>(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, all_final).await?
}

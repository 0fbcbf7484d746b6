//! `stoa verify`: what a node says, checked with the network key.

use crate::network;
use alloy_primitives::{Address, Bytes, U256, utils::format_ether};
use clap::Args;
use eyre::{Result, WrapErr as _};
use serde_json::json;
use stoa_client::Client;

/// Options of `stoa verify`.
#[derive(Args)]
pub(crate) struct Options {
    /// The account.
    #[arg(value_name = "ADDRESS")]
    address: Address,
    /// A slot of its storage; may be given several times.
    #[arg(long, value_name = "SLOT")]
    slot: Vec<U256>,
    /// The key that verifies the network's certificates (`stoa status` shows it; get it from people whom you trust).
    #[arg(long, value_name = "HEX")]
    network_key: Bytes,
    /// A block of the past; the newest if not given.
    #[arg(long, value_name = "NUMBER")]
    block: Option<u64>,
    /// The node that is asked.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    http: String,
}

/// Asks a node, and believes nothing that is not proven.
pub(crate) fn run(options: Options, json: bool) -> Result<()> {
    let client = Client::new(&options.http);
    let (proof, header) = network::wait(async {
        let proof = client.prove(options.address, &options.slot, options.block).await?;
        let number = proof.block_number.saturating_to();
        // The certificate of the very newest block may be on its way.
        let mut certificate = client.certificate(Some(number)).await;
        for _ in 0..20 {
            if certificate.is_ok() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            certificate = client.certificate(Some(number)).await;
        }
        let header = certificate?.verify(&options.network_key).wrap_err("the node's certificate does not hold")?;
        Ok::<_, eyre::Report>((proof, header))
    })??;
    let proven =
        proof.verify(header.hash_slow(), options.address, &options.slot).wrap_err("the node's proof does not hold")?;
    if json {
        let storage = proven.storage.iter().map(|(slot, value)| json!({ "slot": slot, "value": value }));
        let storage = storage.collect::<Vec<_>>();
        let said = json!({
            "block": U256::from(header.number),
            "blockHash": header.hash_slow(),
            "balance": proven.balance,
            "nonce": U256::from(proven.nonce),
            "codeHash": proven.code_hash,
            "storage": storage,
        });
        println!("{said}");
        return Ok(());
    }
    println!("Proven at block {}, which the network has signed ({}):", header.number, header.hash_slow());
    println!("  balance  {} STOA", format_ether(proven.balance));
    println!("  nonce    {}", proven.nonce);
    for (slot, value) in &proven.storage {
        println!("  slot {slot}  {value:#066x}");
    }
    Ok(())
}

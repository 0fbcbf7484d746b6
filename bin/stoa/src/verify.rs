//! `stoa verify`: what a node says, checked with the network key.

use crate::network;
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256, utils::format_ether};
use clap::Args;
use eyre::{ContextCompat as _, Report, Result, WrapErr as _, bail, eyre};
use serde_json::json;
use std::time::Duration;
use stoa_base::now;
use stoa_client::{Client, ClientError, ProvenReceipt, when};

/// Options of `stoa verify`.
#[derive(Args)]
#[group(id = "what", required = true, multiple = false)]
pub(crate) struct What {
    /// The account whose balance, and whose slots, are checked.
    #[arg(value_name = "ADDRESS", value_parser = crate::typed::address)]
    address: Option<Address>,
    /// The transaction whose receipt and events are checked, instead of an account.
    #[arg(long, value_name = "TRANSACTION", value_parser = hash)]
    receipt: Option<B256>,
}

/// Options of `stoa verify`.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    what: What,
    /// A slot of the account's storage; may be given several times.
    #[arg(long, value_name = "SLOT", conflicts_with = "receipt")]
    slot: Vec<U256>,
    /// The key that verifies the network's certificates (`stoa status` shows it; get it from people whom you trust).
    #[arg(long, value_name = "HEX", value_parser = crate::typed::network_key)]
    network_key: Bytes,
    /// A block of the past at which the account is looked at; the newest if not given.
    #[arg(long, value_name = "NUMBER", conflicts_with = "receipt", value_parser = height)]
    block: Option<u64>,
    /// The node that is asked.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    http: String,
}

/// The hash of a transaction.
fn hash(text: &str) -> Result<B256, String> {
    text.parse().map_err(|_| format!("{text} is no hash of a transaction: want 0x and 64 hex digits"))
}

/// The number of a block, as people write it or as nodes do.
fn height(text: &str) -> Result<u64, String> {
    let number = text.strip_prefix("0x").map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
    number.map_err(|_| {
        format!("{text} is no block's number: want, for example, 16 or 0x10 (without --block, the newest)")
    })
}

/// What is said of a proof that does not hold.
const NO_PROOF: &str = "the node's proof does not hold (ask another node: --http)";

/// What is said of a certificate that does not hold.
const NO_CERTIFICATE: &str =
    "the node's certificate does not hold (ask another node, --http, if the network key is right)";

/// How long to wait for the certificate of a block.
const PATIENCE: Duration = Duration::from_secs(5);

/// From how many seconds on an answer about the newest block counts as old: an idle network makes a block each second.
const OLD: u64 = 60;

/// Says of what time something is proven.
fn tell_time(header: &Header) {
    println!("  its time {}", when(header.timestamp, now()));
}

/// What is said of an answer that is about the newest block, and about none of the last minute's.
fn old(timestamp: u64, now: u64) -> Option<String> {
    let is_old = now.saturating_sub(timestamp) > OLD;
    is_old.then(|| "the node's newest block is old: ask another node as well for what has changed since".to_owned())
}

/// Asks a node, and believes nothing that is not proven.
pub(crate) fn run(options: Options, json: bool) -> Result<()> {
    let client = Client::new(&options.http);
    match (options.what.address, options.what.receipt) {
        (Some(address), _) => account(&client, address, &options, json),
        (None, Some(transaction)) => receipt(&client, transaction, &options.network_key, json),
        (None, None) => bail!("want an address, or --receipt"),
    }
}

/// The header of a block, of which the network key has signed that it is final.
async fn certified(client: &Client, number: U256, network_key: &Bytes) -> Result<Header> {
    let certificate = client.certificate_within(number.saturating_to(), PATIENCE).await.map_err(told)?;
    certificate.verify(network_key).wrap_err(NO_CERTIFICATE)
}

/// That a header is of the block that was asked for: the number beside it in an answer is the node's word alone.
fn about(header: &Header, wanted: Option<u64>) -> Result<()> {
    match wanted {
        Some(wanted) if header.number != wanted => {
            bail!(
                "the node's certificate is of block {}, asked for was {wanted} (ask another node: --http)",
                header.number
            )
        }
        _ => Ok(()),
    }
}

/// What a client says, and what to do where a node's answer makes no sense.
fn told(why: ClientError) -> Report {
    let is_nonsense = matches!(why, ClientError::Malformed { .. });
    if is_nonsense { eyre!("{why} (ask another node: --http)") } else { why.into() }
}

/// Why nothing is proven about a block: a node that knows no such block says no more than that there is no header.
async fn unproven(client: &Client, wanted: Option<u64>, why: ClientError) -> Report {
    if let (ClientError::Refused { .. }, Some(wanted)) = (&why, wanted)
        && let Ok(newest) = client.block_number().await
        && wanted > newest
    {
        return eyre!("there is no block {wanted} yet: the newest of the node at {} is {newest}", client.url());
    }
    told(why)
}

fn account(client: &Client, address: Address, options: &Options, json: bool) -> Result<()> {
    let (proof, header) = network::wait(async {
        let proof = match client.prove(address, &options.slot, options.block).await {
            Ok(proof) => proof,
            Err(why) => return Err(unproven(client, options.block, why).await),
        };
        let header = certified(client, proof.block_number, &options.network_key).await?;
        Ok::<_, eyre::Report>((proof, header))
    })??;
    about(&header, options.block)?;
    let proven = proof.verify(header.hash_slow(), address, &options.slot).wrap_err(NO_PROOF)?;
    let warning = if options.block.is_none() { old(header.timestamp, now()) } else { None };
    if json {
        let storage = proven.storage.iter().map(|(slot, value)| json!({ "slot": slot, "value": value }));
        let storage = storage.collect::<Vec<_>>();
        let said = json!({
            "block": header.number,
            "blockHash": header.hash_slow(),
            "timestamp": header.timestamp,
            "warning": warning,
            "balance": proven.balance,
            "nonce": proven.nonce,
            "codeHash": proven.code_hash,
            "storage": storage,
        });
        println!("{said}");
        return Ok(());
    }
    println!("Proven at block {}, which the network has signed ({}):", header.number, header.hash_slow());
    tell_time(&header);
    println!("  balance  {} STOA", format_ether(proven.balance));
    println!("  nonce    {}", proven.nonce);
    for (slot, value) in &proven.storage {
        println!("  slot {slot}  {value:#066x}");
    }
    if let Some(warning) = warning {
        eprintln!("Warning: {warning}.");
    }
    Ok(())
}

fn receipt(client: &Client, transaction: B256, network_key: &Bytes, json: bool) -> Result<()> {
    let (proof, header) = network::wait(async {
        let proof = client.prove_receipt(transaction).await.map_err(told)?;
        let proof = proof.wrap_err_with(|| format!("the node knows no block with transaction {transaction}"))?;
        let header = certified(client, proof.block_number, network_key).await?;
        Ok::<_, eyre::Report>((proof, header))
    })??;
    let proven = proof.verify(header.hash_slow(), transaction).wrap_err(NO_PROOF)?;
    let ProvenReceipt { header, index, receipt } = proven;
    if json {
        let logs = receipt
            .logs
            .iter()
            .map(|log| json!({ "address": log.address, "topics": log.topics(), "data": log.data.data }));
        let said = json!({
            "block": header.number,
            "blockHash": header.hash_slow(),
            "timestamp": header.timestamp,
            "index": index,
            "success": receipt.success,
            "gasUsed": receipt.gas_used,
            "contractAddress": receipt.contract_address,
            "logs": logs.collect::<Vec<_>>(),
        });
        println!("{said}");
        return Ok(());
    }
    println!("Proven at block {}, which the network has signed ({}):", header.number, header.hash_slow());
    tell_time(&header);
    println!("  transaction {index} of the block {}", if receipt.success { "succeeded" } else { "failed" });
    println!("  gas used  {}", receipt.gas_used);
    if let Some(contract) = receipt.contract_address {
        println!("  created   {contract}");
    }
    for (at, log) in receipt.logs.iter().enumerate() {
        println!("  event {at} of {}", log.address);
        log.topics().iter().for_each(|topic| println!("    topic  {topic}"));
        println!("    data   {}", log.data.data);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Command, error::ErrorKind};
    use std::{
        io::{Read as _, Write as _},
        net::{Ipv4Addr, TcpListener},
    };

    /// A node that is asked once for the number of its newest block.
    fn node_at(newest: u64) -> Client {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = Client::new(listener.local_addr().unwrap().to_string());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut asked, mut part) = (Vec::new(), [0; 4096]);
            while !asked.ends_with(b"}") {
                let length = stream.read(&mut part).unwrap();
                assert!(length > 0, "the request has no end");
                asked.extend_from_slice(&part[..length]);
            }
            let said = json!({ "result": U256::from(newest) });
            write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{said}").unwrap();
        });
        client
    }

    #[tokio::test]
    async fn whoever_asks_about_a_block_that_is_not_there_yet_is_told_which_is_the_newest() {
        let said = async |wanted: Option<u64>| {
            let refused = ClientError::Refused { code: -32000, message: "header not found".into(), data: None };
            unproven(&node_at(7), wanted, refused).await.to_string()
        };
        let told = said(Some(8)).await;
        assert!(told.starts_with("there is no block 8 yet") && told.ends_with(" is 7"), "{told}");
        for wanted in [Some(7), None] {
            assert_eq!(said(wanted).await, "the node answered: header not found (code -32000)");
        }
    }

    #[test]
    fn an_answer_that_makes_no_sense_comes_with_advice() {
        let why = told(ClientError::Malformed { method: "stoa_getProof".into(), why: "it is none".into() }).to_string();
        assert_eq!(why, "the answer to stoa_getProof cannot be understood: it is none (ask another node: --http)");
    }

    #[test]
    fn what_is_no_hash_and_no_number_is_told_what_one_looks_like() {
        assert_eq!([height("16"), height("0x10")], [Ok(16), Ok(16)]);
        let said = |words: [&str; 2]| {
            let typed = Options::augment_args(Command::new("verify").no_binary_name(true)).try_get_matches_from(words);
            typed.unwrap_err().to_string()
        };
        let why = said(["--receipt", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"]);
        assert!(why.contains("want 0x and 64 hex digits"), "{why}");
        for wrong in ["latest", "0x", "0xg", "1e3"] {
            let why = said(["--block", wrong]);
            assert!(why.contains("16 or 0x10"), "{why}");
        }
    }

    #[test]
    fn a_receipt_is_not_asked_for_at_another_block_nor_with_slots() {
        let [transaction, address] = [B256::ZERO.to_string(), Address::ZERO.to_string()];
        let typed = |words: &[&str]| {
            let typed = Options::augment_args(Command::new("verify").no_binary_name(true)).try_get_matches_from(words);
            typed.unwrap_err().kind()
        };
        for words in [["--block", "5"], ["--slot", "0"]] {
            let kind = typed(&[&["--receipt", transaction.as_str()][..], &words].concat());
            assert_eq!(kind, ErrorKind::ArgumentConflict, "{words:?}");
            // Of an account, all that is missing is the network key; it is no account's if there is none.
            for account in [&[address.as_str()][..], &[]] {
                assert_eq!(typed(&[account, &words].concat()), ErrorKind::MissingRequiredArgument, "{words:?}");
            }
        }
    }

    #[test]
    fn an_answer_about_another_block_than_was_asked_for_is_refused() {
        let header = Header { number: 7, ..Header::default() };
        assert!(about(&header, None).is_ok() && about(&header, Some(7)).is_ok());
        assert!(about(&header, Some(8)).unwrap_err().to_string().contains("of block 7, asked for was 8"));
    }

    #[test]
    fn an_answer_about_a_block_of_long_ago_comes_with_a_warning() {
        assert!(old(1000, 1060).is_none());
        assert!(old(1000, 1061).unwrap().contains("is old"));
        // A block may be a little ahead of this machine's clock.
        assert!(old(1000, 990).is_none());
    }
}

//! Load over JSON-RPC: signed transfers to final receipts, against any Ethereum node.
//!
//! `load URL SENDERS TRANSACTIONS CONNECTIONS` sends as fast as the node answers and prints transactions per second from
//! the first sent to the last receipt; `load URL SENDERS TRANSACTIONS CONNECTIONS RATE` sends RATE a second and prints how
//! long it took from sending each to having its receipt. The node's first development account pays for everything.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, TxKind, U256, hex, keccak256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use eyre::{Result, bail, ensure, eyre};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};
use stoa_benchmarks::{median, rate};

/// One keep-alive connection, as plain as it can be: the generator shall cost little beside the node.
struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    fn open(url: &str) -> Result<Self> {
        let host = url.strip_prefix("http://").ok_or_else(|| eyre!("{url} does not begin with http://"))?;
        let host = host.trim_end_matches('/').to_owned();
        let stream = TcpStream::connect(&host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream: BufReader::new(stream), host })
    }

    fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let request = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            ensure!(self.stream.read_line(&mut line)? > 0, "the node closed the connection");
            if line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let mut reply: Value = serde_json::from_slice(&body)?;
        if let Some(error) = reply.get("error").filter(|error| !error.is_null()) {
            bail!("{method}: {error}");
        }
        Ok(reply["result"].take())
    }

    fn number(&mut self, method: &str, params: Value) -> Result<u64> {
        let result = self.call(method, params)?;
        Ok(serde_json::from_value::<U256>(result)?.saturating_to())
    }

    fn wait_for(&mut self, hash: B256, pause: Duration) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(120);
        while Instant::now() < deadline {
            if !self.call("eth_getTransactionReceipt", json!([hash]))?.is_null() {
                return Ok(());
            }
            thread::sleep(pause);
        }
        bail!("{hash} was never included")
    }
}

fn sign(signer: &PrivateKeySigner, chain_id: u64, nonce: u64, to: Address, value: U256) -> Result<(B256, String)> {
    let tx = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 1_000_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(to),
        value,
        ..TxEip1559::default()
    };
    let signature = signer.sign_hash_sync(&tx.signature_hash())?;
    let envelope = TxEnvelope::from(tx.into_signed(signature));
    Ok((*envelope.tx_hash(), hex::encode_prefixed(envelope.encoded_2718())))
}

/// Gives every sender coins, a thousand transfers at a time.
fn fund(connection: &mut Connection, chain_id: u64, senders: &[PrivateKeySigner]) -> Result<()> {
    let bank: PrivateKeySigner = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80".parse()?;
    let coins = U256::from(5) * U256::from(10).pow(U256::from(18));
    let mut nonce = connection.number("eth_getTransactionCount", json!([bank.address(), "latest"]))?;
    for part in senders.chunks(1000) {
        let mut last = B256::ZERO;
        for sender in part {
            let (hash, raw) = sign(&bank, chain_id, nonce, sender.address(), coins)?;
            connection.call("eth_sendRawTransaction", json!([raw]))?;
            (nonce, last) = (nonce + 1, hash);
        }
        connection.wait_for(last, Duration::from_millis(5))?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let [url, senders, count, connections, rest @ ..] = &*arguments else {
        bail!("usage: load URL SENDERS TRANSACTIONS CONNECTIONS [RATE]");
    };
    let (senders, count, connections): (u64, u64, usize) = (senders.parse()?, count.parse()?, connections.parse()?);
    let pace = rest.first().map(|text| text.parse::<f64>()).transpose()?;
    let mut connection = Connection::open(url)?;
    let chain_id = connection.number("eth_chainId", json!([]))?;
    // New senders each time, so that every run begins at nonce 0.
    let salt = connection.number("eth_blockNumber", json!([]))?;
    let key = |n: u64| keccak256([b"load".as_slice(), &salt.to_be_bytes(), &n.to_be_bytes()].concat());
    let signers = (0..senders).map(|n| Ok(PrivateKeySigner::from_bytes(&key(n))?)).collect::<Result<Vec<_>>>()?;
    fund(&mut connection, chain_id, &signers)?;

    // Signed before the clock starts. A sender's transactions stay in order: one connection sends them all.
    let mut lanes = vec![Vec::<(B256, String)>::new(); connections.min(signers.len())];
    let lane_count = lanes.len();
    for index in 0..count {
        let (sender, nonce) = (index % senders, index / senders);
        let to = Address::from_word(keccak256(index.to_be_bytes()));
        let signed = sign(&signers[sender as usize], chain_id, nonce, to, U256::from(1))?;
        lanes[sender as usize % lane_count].push(signed);
    }

    let latencies = Mutex::new(Vec::with_capacity(count as usize));
    let start = Instant::now();
    thread::scope(|scope| {
        let lanes = lanes.iter().enumerate().map(|(lane, list)| {
            let (latencies, url) = (&latencies, url.as_str());
            scope.spawn(move || -> Result<()> {
                let mut connection = Connection::open(url)?;
                let mut waiting = Vec::new();
                for (index, (hash, raw)) in list.iter().enumerate() {
                    if let Some(pace) = pace {
                        let due = Duration::from_secs_f64((index * lane_count + lane) as f64 / pace);
                        thread::sleep(due.saturating_sub(start.elapsed()));
                        let sent = Instant::now();
                        connection.call("eth_sendRawTransaction", json!([raw]))?;
                        connection.wait_for(*hash, Duration::from_micros(500))?;
                        latencies.lock().expect("no thread panics").push(sent.elapsed().as_secs_f64() * 1e3);
                    } else {
                        connection.call("eth_sendRawTransaction", json!([raw]))?;
                        waiting.push(*hash);
                    }
                }
                waiting.last().map_or(Ok(()), |hash| connection.wait_for(*hash, Duration::from_millis(5)))
            })
        });
        let lanes = lanes.collect::<Vec<_>>();
        lanes.into_iter().try_for_each(|lane| lane.join().map_err(|_| eyre!("a sender failed"))?)
    })?;
    let took = start.elapsed();
    let mut latencies = latencies.into_inner()?;
    let mut result = json!({ "transactions": count, "seconds": took.as_secs_f64(), "perSecond": rate(count, took) });
    if !latencies.is_empty() {
        let p50 = median(&mut latencies);
        result["p50ms"] = json!(p50);
        result["p99ms"] = json!(latencies[(latencies.len() * 99 / 100).min(latencies.len() - 1)]);
    }
    println!("{result}");
    Ok(())
}

//! A node's own account on the ledger, from which it pays for what it sends of its own accord: moves of shares, receipts of jobs.
//!
//! Its key follows from the node's key, so that there is no second secret to keep. Whoever runs the node puts some coin there.

use crate::common;
use alloy_primitives::{Address, B256, TxKind, U256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use commonware_codec::EncodeFixed as _;
use commonware_cryptography::ed25519::PrivateKey;
use eyre::{Result, WrapErr as _};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use stoa_client::{Client, Fate, SendError, Sent, Wallet};
use stoa_data::{client::DataError, provider::Seal};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

const DOMAIN: &[u8] = b"stoa/node/account/v1";

const SEAL_DOMAIN: &[u8] = b"stoa/node/provider/v1";

/// The account of the node with this key.
///
/// # Errors
///
/// If no key of an account follows, as it does for one key in 2¹²⁸.
pub fn of(key: &PrivateKey) -> Result<PrivateKeySigner> {
    PrivateKeySigner::from_bytes(&derived(key, DOMAIN))
        .wrap_err("no account follows from this node's key: make another")
}

/// What the node with this key seals places of files with, as a provider.
pub(crate) fn seal(key: &PrivateKey, chain_id: u64) -> Seal {
    Seal::new(derived(key, SEAL_DOMAIN).0, chain_id)
}

/// For how long it is known that a call was sent and has not come to a block.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

fn derived(key: &PrivateKey, domain: &[u8]) -> B256 {
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(key.encode_fixed());
    keccak256(&*Zeroizing::new([domain, &seed[..]].concat()))
}

/// Calls by contract and call data.
type Late = HashMap<(Address, Vec<u8>), (Instant, Sent)>;

/// Sends what a node has to say of its own accord to its own JSON-RPC. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Payer {
    client: Client,
    account: PrivateKeySigner,
    /// One for all that is sent: it gives each transaction on its way a nonce of its own.
    wallet: Arc<OnceCell<Wallet>>,
    /// Calls that were sent, and were not in a block in time: when, and as what.
    late: Arc<Mutex<Late>>,
}

impl Payer {
    /// From this account, to what listens there.
    pub(crate) fn new(account: PrivateKeySigner, http: SocketAddr) -> Self {
        let client = Client::new(format!("http://{}", common::reachable(http)));
        Self { client, account, wallet: Arc::default(), late: Arc::default() }
    }

    /// Calls a contract with this call data; an error is in words. What was late is not sent again while it may come to a block.
    pub(crate) async fn call(self, to: Address, data: Vec<u8>) -> Result<(), String> {
        let address = self.account.address();
        let said = |error: String| format!("{error} (the node's account, {address}, pays for it)");
        let wallet = self.wallet.get_or_try_init(|| Wallet::new(self.client.clone(), self.account.clone())).await;
        let wallet = wallet.map_err(|error| error.to_string())?;
        let call = (to, data);
        let late = self.late.lock().get(&call).map(|(_, sent)| sent.clone());
        if let Some(sent) = late {
            match wallet.fate(&sent).await.map_err(|error| error.to_string())? {
                Fate::Waiting => return Err(said(format!("transaction {sent} still waits for a block"))),
                fate => {
                    self.late.lock().remove(&call);
                    if fate == Fate::Included {
                        return Ok(());
                    }
                }
            }
        }
        let sent = wallet.send(TxKind::Call(to), U256::ZERO, call.1.clone().into()).await;
        if let Err(SendError::Late(sent)) = &sent {
            let mut late = self.late.lock();
            late.retain(|_, (at, _)| at.elapsed() < REMEMBERED);
            late.insert(call, (Instant::now(), sent.clone()));
        }
        sent.map(drop).map_err(|error| said(DataError::from(error).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::U64;
    use serde_json::{Value, json};
    use std::{
        io::{Read as _, Write as _},
        net::{Ipv4Addr, TcpListener},
    };

    /// A node that refuses what is sent, has one transaction that waits, and tells which methods were called.
    fn node(waits: Arc<Mutex<bool>>, asked: Arc<Mutex<Vec<String>>>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut request, mut part) = (stream.unwrap(), Vec::new(), [0; 4096]);
                while !request.ends_with(b"}") {
                    let length = stream.read(&mut part).unwrap();
                    assert!(length > 0, "the request has no end");
                    request.extend_from_slice(&part[..length]);
                }
                let body = request.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
                let request: Value = serde_json::from_slice(&request[body..]).unwrap();
                let method = request["method"].as_str().unwrap().to_owned();
                let said = match method.as_str() {
                    "eth_getTransactionReceipt" => json!({ "result": null }),
                    "eth_getTransactionByHash" => json!({ "result": waits.lock().then(|| json!({})) }),
                    "eth_sendRawTransactionSync" => {
                        json!({ "error": { "code": -32000, "message": "txpool is full" } })
                    }
                    _ => json!({ "result": U64::from(7) }),
                };
                asked.lock().push(method);
                write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{said}").unwrap();
            }
        });
        at
    }

    #[tokio::test]
    async fn what_waits_for_a_block_is_not_paid_for_twice() {
        let (waits, asked) = (Arc::new(Mutex::new(true)), Arc::<Mutex<Vec<String>>>::default());
        let payer = Payer::new(PrivateKeySigner::random(), node(waits.clone(), asked.clone()));
        let (to, data) = (Address::repeat_byte(1), vec![1, 2, 3]);
        let sent = Sent { nonce: 7, hashes: vec![B256::repeat_byte(5)] };
        payer.late.lock().insert((to, data.clone()), (Instant::now(), sent));
        let sends = || asked.lock().iter().filter(|method| *method == "eth_sendRawTransactionSync").count();
        let call = async |data: &[u8]| payer.clone().call(to, data.to_vec()).await.unwrap_err();
        assert!(call(&data).await.contains("still waits"));
        assert_eq!(sends(), 0);
        // Another call is its own affair.
        assert!(call(&[4]).await.contains("txpool is full"));
        assert_eq!(sends(), 1);
        // The node has lost it.
        *waits.lock() = false;
        assert!(call(&data).await.contains("txpool is full"));
        assert_eq!(sends(), 2);
        assert!(payer.late.lock().is_empty());
    }
}

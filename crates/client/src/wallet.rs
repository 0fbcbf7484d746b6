//! An account that sends transactions.

use crate::{Client, ClientError, ViewError, coins};
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_rpc_types_eth::TransactionReceipt;
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall;
use futures::join;
use serde_json::json;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a transaction may take to become final.
const PATIENCE: Duration = Duration::from_secs(60);

/// By which code a node says that a transaction was taken and is not included yet (EIP-7966).
const NOT_YET: i64 = 4;

/// What is offered to the proposer, in wei for each unit of gas.
const TIP: u128 = 1_000_000;

/// How nodes say that an account cannot pay for a transaction.
const POOR: [&str; 2] = ["insufficient funds", "Sender doesn't have enough funds"];

/// How nodes say that another transaction of the account has this nonce, or that this very one waits already: another program has sent
/// the same with it. Either way this one was not taken.
const TAKEN: [&str; 3] = ["already known", "nonce too low", "replacement transaction underpriced"];

/// How often a transaction is sent with the next nonce then.
const TRIES: u32 = 10;

/// How long to wait before a node is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// What an account lacks that has so much and sends so much, in words; `fee` is what the transaction costs at most besides,
/// if that is known.
fn lacking(account: Address, has: U256, value: U256, fee: Option<U256>) -> String {
    let needed = fee.map(|fee| value.saturating_add(fee));
    let needs = match (needed, value.is_zero()) {
        (Some(needed), _) if needed <= has => "which its transactions that wait need as well".to_owned(),
        (Some(needed), true) => format!("and up to {} are needed for the fee of the transaction", coins(needed)),
        (Some(needed), false) => format!("and up to {} are needed, the fee of the transaction included", coins(needed)),
        (None, true) => "which is too little for the fee of the transaction".to_owned(),
        (None, false) => format!("and {} and the fee of the transaction are needed", coins(value)),
    };
    format!("account {account} has {}, {needs}: send it some", coins(has))
}

/// Whether a node says that it has another transaction in place of this one.
fn is_taken(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused { message, .. } if TAKEN.iter().any(|taken| message.starts_with(taken)))
}

/// Why a transaction did nothing.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It would be reverted: it was not sent.
    #[error(transparent)]
    Refused(#[from] ViewError),
    /// The account has too few coins for it; in words.
    #[error("{0}")]
    Poor(String),
    /// It was reverted after it was sent.
    #[error("transaction {0} was reverted")]
    Reverted(B256),
    /// It was not included in time. It may be later.
    #[error("transaction {0} was not included within {patience} seconds; it may be later", patience = PATIENCE.as_secs())]
    Late(B256),
    /// Others sent from the account at the same time, and were first each time: it was not sent.
    #[error("other programs send transactions of account {0} at the same time: try again when they are done")]
    Crowded(Address),
    /// What was sent before from the account is not included in time.
    #[error(
        "a transaction of account {0} has waited for a block for more than {patience} seconds: try again later",
        patience = PATIENCE.as_secs()
    )]
    Waiting(Address),
    /// It could not be signed.
    #[error("the transaction could not be signed: {0}")]
    Signer(#[from] alloy_signer::Error),
}

impl From<ClientError> for SendError {
    fn from(error: ClientError) -> Self {
        Self::Refused(error.into())
    }
}

/// An account whose key is here, at a node. Its `Debug` shows no secret. Clones can send at the same time, as one account.
#[derive(Clone, Debug)]
pub struct Wallet {
    client: Client,
    signer: PrivateKeySigner,
    chain_id: u64,
    flight: Arc<Mutex<Flight>>,
}

/// The transactions of an account that are on their way: a node that is asked for the next nonce may not have them yet.
#[derive(Debug, Default)]
struct Flight {
    /// How many there are, and how many there have been.
    now: usize,
    ever: u64,
    /// The nonce after theirs.
    next: u64,
}

/// A transaction on its way.
struct Flying(Arc<Mutex<Flight>>);

impl Flying {
    /// Begins one, with its nonce: `pending` is what the node said, and `before` how things were before it was asked.
    fn begin(flight: &Arc<Mutex<Flight>>, before: (usize, u64), pending: u64) -> (Self, u64) {
        let mut now = flight.lock().unwrap_or_else(PoisonError::into_inner);
        let alone = before == (0, now.ever) && now.now == 0;
        let nonce = if alone { pending } else { pending.max(now.next) };
        (now.now, now.ever, now.next) = (now.now + 1, now.ever + 1, nonce + 1);
        (Self(flight.clone()), nonce)
    }

    /// It never came to a block: its nonce is the next again.
    fn failed(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next = 0;
    }
}

impl Drop for Flying {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now -= 1;
    }
}

impl Wallet {
    /// The account of this key on the node's chain.
    ///
    /// # Errors
    ///
    /// If the node does not say which chain that is.
    pub async fn new(client: Client, signer: PrivateKeySigner) -> Result<Self, ClientError> {
        let chain_id: U256 = client.call("eth_chainId", ()).await?;
        Ok(Self { client, signer, chain_id: chain_id.saturating_to(), flight: Arc::default() })
    }

    /// Who it is.
    pub fn address(&self) -> Address {
        self.signer.address()
    }

    /// The key.
    pub fn signer(&self) -> &PrivateKeySigner {
        &self.signer
    }

    /// EIP-155 id of its chain.
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Its node.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The same account at another node of the chain.
    #[must_use]
    pub fn at(&self, client: Client) -> Self {
        Self { client, ..self.clone() }
    }

    /// Signs a transaction, sends it, and waits for its receipt, which may say that it was reverted. Each call is a transaction of its
    /// own, whoever else sends from the account at the same time.
    ///
    /// # Errors
    ///
    /// If it would be refused, or is not included in time.
    pub async fn send(&self, to: TxKind, value: U256, input: Bytes) -> Result<TransactionReceipt, SendError> {
        for _ in 0..TRIES {
            if let Some(receipt) = self.attempt(to, value, input.clone()).await? {
                return Ok(receipt);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(SendError::Crowded(self.address()))
    }

    /// Waits until all that was sent from the account is in blocks, whichever program has sent it. The newest block then.
    ///
    /// # Errors
    ///
    /// If the node does not answer, or something waits for too long.
    pub async fn settled(&self) -> Result<u64, SendError> {
        let deadline = Instant::now() + PATIENCE;
        let count = |at: &'static str| self.client.call::<U256>("eth_getTransactionCount", (self.address(), at));
        loop {
            // In this order: what comes into a block meanwhile has been counted.
            let (sent, included) = (count("pending").await?, count("latest").await?);
            if included >= sent {
                return Ok(self.client.block_number().await?);
            }
            if Instant::now() >= deadline {
                return Err(SendError::Waiting(self.address()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sends a transaction with the next nonce, as [`send`](Self::send) does; nothing if another one took that first.
    async fn attempt(&self, to: TxKind, value: U256, input: Bytes) -> Result<Option<TransactionReceipt>, SendError> {
        let before = {
            let flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
            (flight.now, flight.ever)
        };
        let mut call = json!({ "from": self.address(), "value": value, "input": input });
        if let TxKind::Call(to) = to {
            call["to"] = json!(to);
        }
        let (nonce, gas_price, gas) = join!(
            self.client.call::<U256>("eth_getTransactionCount", (self.address(), "pending")),
            self.client.call::<U256>("eth_gasPrice", ()),
            self.client.call::<U256>("eth_estimateGas", (call,)),
        );
        let (nonce, gas_price) = (nonce?, gas_price?);
        let gas: U256 = match gas {
            Ok(gas) => gas,
            Err(error) => return Err(self.refused(error, value, None).await),
        };
        let (flying, nonce) = Flying::begin(&self.flight, before, nonce.saturating_to());
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            // What it takes may have changed when it is included.
            gas_limit: gas.saturating_to::<u64>().saturating_mul(6) / 5,
            max_fee_per_gas: gas_price.saturating_to::<u128>().saturating_mul(2).saturating_add(TIP),
            max_priority_fee_per_gas: TIP,
            to,
            value,
            input,
            ..TxEip1559::default()
        };
        let fee = U256::from(transaction.gas_limit) * U256::from(transaction.max_fee_per_gas);
        let signature = self.signer.sign_hash_sync(&transaction.signature_hash())?;
        let signed = TxEnvelope::from(transaction.into_signed(signature));
        let (hash, deadline) = (*signed.tx_hash(), Instant::now() + PATIENCE);
        let raw = Bytes::from(signed.encoded_2718());
        match self.client.call("eth_sendRawTransactionSync", (raw,)).await {
            Err(ClientError::Refused { code: NOT_YET, .. }) => {}
            Err(error) => {
                flying.failed();
                return match is_taken(&error) {
                    true => Ok(None),
                    false => Err(self.refused(error, value, Some(fee)).await),
                };
            }
            Ok(receipt) => return Ok(Some(receipt)),
        }
        while Instant::now() < deadline {
            if let Some(receipt) = self.client.call("eth_getTransactionReceipt", (hash,)).await? {
                return Ok(Some(receipt));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(SendError::Late(hash))
    }

    /// Why a node takes no transaction that sends so much: if its account cannot pay, what it has and what it takes.
    async fn refused(&self, error: ClientError, value: U256, fee: Option<U256>) -> SendError {
        let is_poor = |message: &str| POOR.iter().any(|poor| message.starts_with(poor));
        match &error {
            ClientError::Refused { message, .. } if is_poor(message) => {}
            _ => return error.into(),
        }
        match self.client.balance(self.address()).await {
            Ok(has) => SendError::Poor(lacking(self.address(), has, value, fee)),
            Err(_) => error.into(),
        }
    }

    /// Calls a function of a contract in a transaction.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), or if it was reverted.
    pub async fn call(&self, to: Address, call: &impl SolCall) -> Result<TransactionReceipt, SendError> {
        let receipt = self.send(TxKind::Call(to), U256::ZERO, call.abi_encode().into()).await?;
        if receipt.status() { Ok(receipt) } else { Err(SendError::Reverted(receipt.transaction_hash)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::tests::asked;
    use alloy_primitives::Bloom;
    use serde_json::Value;
    use std::{
        io::Write as _,
        net::{Ipv4Addr, TcpListener},
    };

    /// The account of some key, at a node that says this of each request.
    async fn at_node(answer: impl Fn(&str, &Value) -> Value + Send + 'static) -> Wallet {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = Client::new(format!("http://{}", listener.local_addr().unwrap()));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = asked(&mut stream);
                let body = request.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
                let request: Value = serde_json::from_slice(&request[body..]).unwrap();
                let said = match request["method"].as_str().unwrap() {
                    "eth_chainId" => json!({ "result": "0x7a69" }),
                    method => answer(method, &request["params"]),
                };
                write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{said}").unwrap();
            }
        });
        Wallet::new(client, PrivateKeySigner::random()).await.unwrap()
    }

    #[tokio::test]
    async fn whose_nonce_another_program_took_sends_a_transaction_of_its_own_with_the_next() {
        let sent = Arc::<Mutex<Vec<Value>>>::default();
        let raw = sent.clone();
        let wallet = at_node(move |method, params| {
            let mut raw = raw.lock().unwrap();
            match method {
                "eth_getTransactionCount" => json!({ "result": U256::from(7 + raw.len()) }),
                "eth_sendRawTransactionSync" => {
                    raw.push(params[0].clone());
                    let error = |message: &str| json!({ "error": { "code": -32000, "message": message } });
                    match raw.len() {
                        1 => error("already known"),
                        2 => error("nonce too low: next nonce 9, tx nonce 8"),
                        _ => json!({ "result": {
                            "type": "0x2", "status": "0x1", "cumulativeGasUsed": "0x5208", "logsBloom": Bloom::ZERO, "logs": [],
                            "transactionHash": B256::ZERO, "transactionIndex": "0x0", "blockHash": B256::ZERO,
                            "blockNumber": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": "0x1", "from": Address::ZERO,
                            "to": Address::ZERO, "contractAddress": null,
                        } }),
                    }
                }
                _ => json!({ "result": "0x5208" }),
            }
        });
        let wallet = wallet.await;
        let receipt = wallet.send(Address::ZERO.into(), U256::ONE, Bytes::new()).await.unwrap();
        assert!(receipt.status());
        let sent = sent.lock().unwrap();
        assert!(sent.len() == 3 && sent[0] != sent[1] && sent[1] != sent[2], "{sent:?}");
    }

    #[tokio::test]
    async fn what_the_account_has_sent_is_waited_for_whichever_program_sent_it() {
        let looks = Arc::<Mutex<u64>>::default();
        let count = looks.clone();
        let wallet = at_node(move |method, params| match (method, params[1].as_str()) {
            ("eth_getTransactionCount", Some("pending")) => json!({ "result": "0x8" }),
            ("eth_getTransactionCount", _) => {
                let mut looks = count.lock().unwrap();
                *looks += 1;
                json!({ "result": if *looks < 3 { "0x7" } else { "0x8" } })
            }
            _ => json!({ "result": "0x2a" }),
        });
        assert_eq!(wallet.await.settled().await.unwrap(), 42);
        assert_eq!(*looks.lock().unwrap(), 3);
    }

    #[test]
    fn who_cannot_pay_is_told_what_he_has_and_what_it_takes() {
        let (account, units) = (Address::repeat_byte(1), U256::from(10).pow(U256::from(15)));
        let said = |has: u64, value: u64, fee: Option<u64>| {
            lacking(account, units * U256::from(has), units * U256::from(value), fee.map(|fee| units * U256::from(fee)))
        };
        assert_eq!(
            said(0, 0, Some(2)),
            format!(
                "account {account} has 0 STOA, and up to 0.002 STOA are needed for the fee of the transaction: send it some"
            )
        );
        assert!(said(1, 5, Some(2)).contains("has 0.001 STOA, and up to 0.007 STOA are needed"));
        assert!(said(1, 5, None).contains("and 0.005 STOA and the fee of the transaction are needed"));
        assert!(said(9, 5, Some(2)).contains("has 0.009 STOA, which its transactions that wait need as well"));
    }

    #[test]
    fn each_transaction_on_its_way_has_a_nonce_of_its_own() {
        let flight = Arc::<Mutex<Flight>>::default();
        let before = || {
            let flight = flight.lock().unwrap();
            (flight.now, flight.ever)
        };
        let begin = |before, pending| Flying::begin(&flight, before, pending);
        // Two that were asked for at once, and one that begins before the node has either.
        let early = before();
        let ((one, first), (two, second), (three, third)) = (begin(early, 7), begin(early, 7), begin(before(), 8));
        assert_eq!((first, second, third), (7, 8, 9));
        // What the node said before the others were through is not believed afterwards.
        let asked = before();
        drop((one, two, three));
        assert_eq!(begin(asked, 9).1, 10);
        // Alone, the node knows best: a chain may have been set back.
        assert_eq!(begin(before(), 3).1, 3);
        // One that failed leaves no gap.
        let (failing, nonce) = begin(before(), 3);
        assert_eq!(nonce, 3);
        failing.failed();
        assert_eq!(begin(before(), 3).1, 3);
    }
}

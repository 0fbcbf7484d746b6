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

    /// Signs a transaction, sends it, and waits for its receipt, which may say that it was reverted.
    ///
    /// # Errors
    ///
    /// If it would be refused, or is not included in time.
    pub async fn send(&self, to: TxKind, value: U256, input: Bytes) -> Result<TransactionReceipt, SendError> {
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
                return Err(self.refused(error, value, Some(fee)).await);
            }
            Ok(receipt) => return Ok(receipt),
        }
        while Instant::now() < deadline {
            if let Some(receipt) = self.client.call("eth_getTransactionReceipt", (hash,)).await? {
                return Ok(receipt);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
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

//! An account that sends transactions.
//!
//! A transaction that was handed to a node may come to a block, whatever the node has said or not said since: "not sent" is said only of
//! what a node has refused, or could not be asked for at all. Anything else is asked for by its hash until it is in a block or it took too
//! long, handed to the node again where that has lost it, and replaced by one that pays more while it waits.

use crate::{
    Client, ClientError, ViewError, coins,
    flight::{Flight, Flying},
};
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_rpc_types_eth::TransactionReceipt;
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall;
use futures::join;
use serde::de::IgnoredAny;
use serde_json::json;
use std::{
    fmt,
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// How long a transaction may take to become final.
const PATIENCE: Duration = Duration::from_secs(60);

/// After how many sixths of that another one takes its place that pays more.
const RISES: [u32; 3] = [1, 2, 4];

/// By which code a node says that a transaction was taken and is not included yet (EIP-7966).
const NOT_YET: i64 = 4;

/// With which codes a node may have taken it besides: it took too long, or the node has a fault of its own.
const UNCLEAR: [i64; 2] = [-32002, -32603];

/// How nodes say, with whatever code, that they took a transaction and cannot tell what becomes of it.
const UNFINISHED: [&str; 6] =
    ["shut", "timeout", "timed out", "response too large", "no room for the answer", "waits behind"];

/// What is offered to the proposer, in wei for each unit of gas.
const TIP: u128 = 1_000_000;

/// Gas that sending coins takes.
const TRANSFER: u64 = 21_000;

/// How nodes say that an account cannot pay for a transaction.
const POOR: [&str; 2] = ["insufficient funds", "Sender doesn't have enough funds"];

/// How a node says that it has this very transaction.
const KNOWN: &str = "already known";

/// How nodes say that another transaction of the account has this nonce, or that this very one waits already: another program has sent
/// the same with it. Either way this one was not taken.
const TAKEN: [&str; 3] = [KNOWN, "nonce too low", "replacement transaction underpriced"];

/// How often a transaction is sent with the next nonce then.
const TRIES: u32 = 10;

/// How long to wait before a node is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// How often a node is asked whether it still has a transaction that waits.
const LOOK: Duration = Duration::from_secs(1);

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

/// Whether a node refuses in one of these words.
fn begins(error: &ClientError, words: &[&str]) -> bool {
    matches!(error, ClientError::Refused { message, .. } if words.iter().any(|word| message.starts_with(word)))
}

/// Whether a node has not taken a transaction, for certain.
fn is_refused(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { code, message, .. } => {
            let message = message.to_ascii_lowercase();
            *code != NOT_YET && !UNCLEAR.contains(code) && !UNFINISHED.iter().any(|said| message.contains(said))
        }
        ClientError::Unreachable { asked, .. } => !asked,
        // It may be of a proxy before the node.
        ClientError::Malformed { .. } => false,
    }
}

/// The most that is paid for a unit of gas: what it costs may have doubled when it is included.
fn most(price: u128, tip: u128) -> u128 {
    price.saturating_mul(2).saturating_add(tip)
}

/// The same transaction, paying enough to take the other's place where a unit of gas costs so much now: pools want a tenth more, in both.
fn dearer(transaction: &TxEip1559, price: u128) -> TxEip1559 {
    let (was, tip) = (transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas.saturating_mul(2));
    TxEip1559 {
        max_fee_per_gas: most(price, tip).max(was.saturating_add(was.div_ceil(10))),
        max_priority_fee_per_gas: tip,
        ..transaction.clone()
    }
}

/// A transaction that was sent, for [`Wallet::fate`]. Its `Display` is its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its nonce, which one transaction of the account has in the end.
    pub nonce: u64,
    /// Its hash, and those of the same at higher prices that were sent to take its place: any of them may come to a block.
    pub hashes: Vec<B256>,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.hashes.last().copied().unwrap_or_default(), f)
    }
}

/// What has become of a transaction that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in a block.
    Included,
    /// It waits for a block.
    Waiting,
    /// The node does not have it: another one has its nonce, or the next that is sent will.
    Gone,
}

/// Why a transaction did nothing.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It would be reverted, or no node has taken it: it was not sent.
    #[error(transparent)]
    Refused(#[from] ViewError),
    /// The account has too few coins for it; in words.
    #[error("{0}")]
    Poor(String),
    /// It was reverted after it was sent.
    #[error("transaction {0} was reverted")]
    Reverted(B256),
    /// It was sent, and was not included in time. It may be later.
    #[error(
        "transaction {0} was not included within {patience} seconds; it may be later, so look before you send it again",
        patience = PATIENCE.as_secs()
    )]
    Late(Sent),
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
    flight: Flight,
    patience: Duration,
}

impl Wallet {
    /// The account of this key on the node's chain.
    ///
    /// # Errors
    ///
    /// If the node does not say which chain that is.
    pub async fn new(client: Client, signer: PrivateKeySigner) -> Result<Self, ClientError> {
        let chain_id: U256 = client.call("eth_chainId", ()).await?;
        Ok(Self { client, signer, chain_id: chain_id.saturating_to(), flight: Flight::default(), patience: PATIENCE })
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
    /// own, whoever else sends from the account at the same time. While it waits it may be replaced by one that pays more, and the receipt
    /// is of whichever is included.
    ///
    /// Where one is refused while clones have sent later ones, those wait for its nonce: an empty transaction to the account itself is sent
    /// with it, so that they come to a block now and not when something else is sent.
    ///
    /// # Errors
    ///
    /// If it would be refused, or is not included in time: but for [`SendError::Late`] and [`SendError::Reverted`] it was not sent.
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
        let before = self.flight.before();
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
        let flying = self.flight.begin(before, nonce.saturating_to());
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce: flying.nonce(),
            // What it takes may have changed when it is included.
            gas_limit: gas.saturating_to::<u64>().saturating_mul(6) / 5,
            max_fee_per_gas: most(gas_price.saturating_to(), TIP),
            max_priority_fee_per_gas: TIP,
            to,
            value,
            input,
            ..TxEip1559::default()
        };
        let fee = U256::from(transaction.gas_limit) * U256::from(transaction.max_fee_per_gas);
        let ((hash, raw), begun) = (self.sign(&transaction)?, Instant::now());
        let answer = self.client.call::<TransactionReceipt>("eth_sendRawTransactionSync", (&raw,));
        let answer = timeout(self.patience / 6 * RISES[0], answer).await;
        match answer {
            Ok(Ok(receipt)) => Ok(Some(receipt)),
            Ok(Err(error)) if is_refused(&error) => self.unsent(error, &flying, transaction, fee).await,
            // It was taken, or may have been.
            Ok(Err(_)) | Err(_) => {
                let mut sent = Sent { nonce: flying.nonce(), hashes: vec![hash] };
                let left = self.patience.saturating_sub(begun.elapsed());
                let included = timeout(left, self.follow(&mut sent, transaction, raw, begun)).await;
                included.map(Some).map_err(|_| SendError::Late(sent))
            }
        }
    }

    /// A signed transaction: its hash, and what is sent.
    fn sign(&self, transaction: &TxEip1559) -> Result<(B256, Bytes), SendError> {
        let signature = self.signer.sign_hash_sync(&transaction.signature_hash())?;
        let signed = TxEnvelope::from(transaction.clone().into_signed(signature));
        Ok((*signed.tx_hash(), signed.encoded_2718().into()))
    }

    /// What comes of a transaction that a node has refused: nothing if another one has its nonce, else why.
    async fn unsent(
        &self,
        error: ClientError,
        flying: &Flying,
        transaction: TxEip1559,
        fee: U256,
    ) -> Result<Option<TransactionReceipt>, SendError> {
        let (awaited, value) = (flying.failed(), transaction.value);
        if begins(&error, &TAKEN) {
            return Ok(None);
        }
        if awaited {
            self.fill(transaction).await;
        }
        Err(self.refused(error, value, Some(fee)).await)
    }

    /// Sends an empty transaction in the place of one that is not sent, for which later ones wait.
    async fn fill(&self, unsent: TxEip1559) {
        let (to, value, input) = (self.address().into(), U256::ZERO, Bytes::new());
        let Ok((_, raw)) = self.sign(&TxEip1559 { to, value, input, gas_limit: TRANSFER, ..unsent }) else { return };
        for _ in 0..TRIES {
            match self.client.call::<B256>("eth_sendRawTransaction", (&raw,)).await {
                Err(error) if !is_refused(&error) => tokio::time::sleep(PAUSE).await,
                _ => return,
            }
        }
    }

    /// Waits for a transaction that a node has taken, or may have: sends it again where the node does not have it, and in its place such
    /// that pay more, which are noted.
    async fn follow(
        &self,
        sent: &mut Sent,
        mut transaction: TxEip1559,
        mut raw: Bytes,
        begun: Instant,
    ) -> TransactionReceipt {
        let mut rises = RISES.map(|sixths| self.patience / 6 * sixths).into_iter().peekable();
        let mut look = Instant::now();
        loop {
            // A node that does not answer now may do so later.
            for hash in sent.hashes.iter().rev() {
                if let Ok(Some(receipt)) = self.receipt(*hash).await {
                    return receipt;
                }
            }
            if look <= Instant::now() {
                look = Instant::now() + LOOK;
                if let Some(hash) = sent.hashes.last()
                    && let Ok(false) = self.knows(*hash).await
                {
                    let _ = self.client.call::<B256>("eth_sendRawTransaction", (&raw,)).await;
                }
            }
            if rises.next_if(|rise| *rise <= begun.elapsed()).is_some() {
                let price: U256 = self.client.call("eth_gasPrice", ()).await.unwrap_or_default();
                let more = dearer(&transaction, price.saturating_to());
                if let Ok((hash, bytes)) = self.sign(&more) {
                    // Before it is sent: whatever comes then, it may have been taken.
                    sent.hashes.push(hash);
                    let answer = self.client.call::<B256>("eth_sendRawTransaction", (&bytes,)).await;
                    if answer.is_err_and(|error| is_refused(&error) && !begins(&error, &[KNOWN])) {
                        sent.hashes.pop();
                    } else {
                        (transaction, raw) = (more, bytes);
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn receipt(&self, hash: B256) -> Result<Option<TransactionReceipt>, ClientError> {
        self.client.call("eth_getTransactionReceipt", (hash,)).await
    }

    /// Whether the node has a transaction, waiting or in a block.
    async fn knows(&self, hash: B256) -> Result<bool, ClientError> {
        Ok(self.client.call::<Option<IgnoredAny>>("eth_getTransactionByHash", (hash,)).await?.is_some())
    }

    /// What has become of a transaction of this account that was [late](SendError::Late), as the node has it.
    ///
    /// # Errors
    ///
    /// If the node does not answer.
    pub async fn fate(&self, sent: &Sent) -> Result<Fate, ClientError> {
        // In this order: what comes into a block meanwhile has a receipt.
        let next: U256 = self.client.call("eth_getTransactionCount", (self.address(), "latest")).await?;
        for hash in &sent.hashes {
            if self.receipt(*hash).await?.is_some() {
                return Ok(Fate::Included);
            }
        }
        if next > U256::from(sent.nonce) {
            return Ok(Fate::Gone);
        }
        for hash in &sent.hashes {
            if self.knows(*hash).await? {
                return Ok(Fate::Waiting);
            }
        }
        Ok(Fate::Gone)
    }

    /// Why a node takes no transaction that sends so much: if its account cannot pay, what it has and what it takes.
    async fn refused(&self, error: ClientError, value: U256, fee: Option<U256>) -> SendError {
        if !begins(&error, &POOR) {
            return error.into();
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
mod tests;

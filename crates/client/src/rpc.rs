use alloy_primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use stoa_proof::{CertificateReply, ProofReply, ReceiptReply};

/// Calls a node over JSON-RPC. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    id: Arc<AtomicU64>,
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The node cannot be reached, or did not answer in time.
    #[error("the node at {url} cannot be reached: {why}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What the network said.
        why: String,
    },
    /// The node refused.
    #[error("{message} (code {code})")]
    Refused {
        /// JSON-RPC error code.
        code: i64,
        /// The node's words.
        message: String,
        /// What else it said, for example the bytes that a contract reverted with.
        data: Option<Value>,
    },
    /// The answer has another shape than the method's.
    #[error("the answer to {method} cannot be understood: {why}")]
    Malformed {
        /// The method called.
        method: String,
        /// What is wrong with it.
        why: String,
    },
}

#[derive(Deserialize)]
struct Reply {
    result: Option<Value>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    message: String,
    data: Option<Value>,
}

impl Client {
    /// A client of the node at `url`, for example `http://127.0.0.1:8545`.
    pub fn new(url: impl Into<String>) -> Self {
        // Whoever builds the program may have chosen one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build().unwrap_or_default();
        Self { http, url: url.into(), id: Arc::default() }
    }

    /// Calls a method with positional parameters.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn call<T: DeserializeOwned>(&self, method: &str, params: impl Serialize) -> Result<T, ClientError> {
        let unreachable = |why: reqwest::Error| ClientError::Unreachable {
            url: self.url.clone(),
            why: why.without_url().to_string(),
        };
        let malformed = |why: String| ClientError::Malformed { method: method.to_owned(), why };
        let id = self.id.fetch_add(1, Ordering::Relaxed);
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let reply = self.http.post(&self.url).json(&request).send().await.map_err(unreachable)?;
        let reply = reply.json::<Reply>().await.map_err(|why| malformed(why.without_url().to_string()))?;
        if let Some(Refusal { code, message, data }) = reply.error {
            return Err(ClientError::Refused { code, message, data });
        }
        serde_json::from_value(reply.result.unwrap_or(Value::Null)).map_err(|why| malformed(why.to_string()))
    }

    /// Number of the newest block.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn block_number(&self) -> Result<u64, ClientError> {
        Ok(self.call::<U256>("eth_blockNumber", ()).await?.saturating_to())
    }

    /// What proves that block `number`, or the newest that there is such a proof of, is final; to be
    /// [verified](CertificateReply::verify).
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn certificate(&self, number: Option<u64>) -> Result<CertificateReply, ClientError> {
        let block = number.map_or_else(|| "latest".to_owned(), |number| format!("{number:#x}"));
        self.call("stoa_getCertificate", (block,)).await
    }

    /// As [`certificate`](Self::certificate) of block `number`, waiting for it up to `patience`: that of the very newest block
    /// may be on its way.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn certificate_within(&self, number: u64, patience: Duration) -> Result<CertificateReply, ClientError> {
        let until = Instant::now() + patience;
        loop {
            let certificate = self.certificate(Some(number)).await;
            if certificate.is_ok() || Instant::now() > until {
                return certificate;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What a transaction left behind, with proofs to [`verify`](ReceiptReply::verify). `None` if there is no such
    /// transaction in a final block.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn prove_receipt(&self, transaction: B256) -> Result<Option<ReceiptReply>, ClientError> {
        self.call("stoa_getReceiptProof", (transaction,)).await
    }

    /// What an account and slots of it hold at block `number`, or at the newest, with proofs to
    /// [`verify`](ProofReply::verify).
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; an answer about another block than was asked for is malformed.
    pub async fn prove(
        &self,
        address: Address,
        slots: &[U256],
        number: Option<u64>,
    ) -> Result<ProofReply, ClientError> {
        let block = number.map_or_else(|| "latest".to_owned(), |number| format!("{number:#x}"));
        let reply: ProofReply = self.call("stoa_getProof", (address, slots, block)).await?;
        match number {
            Some(number) if reply.block_number != U256::from(number) => Err(ClientError::Malformed {
                method: "stoa_getProof".into(),
                why: format!("it is about block {}, {number} was asked for (ask another node)", reply.block_number),
            }),
            _ => Ok(reply),
        }
    }
}

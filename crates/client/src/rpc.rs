use crate::words::words;
use alloy_primitives::{Address, B256, U256};
use reqwest::{header::LOCATION, redirect::Policy};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};
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
        /// Whether it may have been asked nevertheless: then only its answer is missing.
        asked: bool,
    },
    /// The node refused.
    #[error("the node answered: {message} (code {code})")]
    Refused {
        /// JSON-RPC error code.
        code: i64,
        /// The node's words.
        message: String,
        /// What else it said, for example the bytes that a contract reverted with.
        data: Option<Value>,
    },
    /// The answer has another shape than the method's, or an HTTP status of failure.
    #[error("the answer to {method} cannot be understood: {why}")]
    Malformed {
        /// The method called.
        method: String,
        /// What is wrong with it.
        why: String,
    },
}

/// An answer, whose parts stay text until it is known what they should be: as a tree they may take fifty times as much memory.
#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<Refusal<'a>>,
}

#[derive(Deserialize)]
struct Refusal<'a> {
    code: i64,
    message: String,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The most bytes of an answer that are read.
const MOST_BYTES: usize = 64 << 20;

/// The most bytes of what an error says besides its message, unless that is a string.
const MOST_DATA: usize = 64 << 10;

/// What else an error says; nothing if it is too much.
fn said_besides(data: &RawValue) -> Option<Value> {
    let text = data.get();
    if text.starts_with('"') || text.len() <= MOST_DATA { serde_json::from_str(text).ok() } else { None }
}

/// Why a request failed: the last of an error's sources knows it, the first ones say that it did.
fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut last: &dyn std::error::Error = &error;
    while let Some(source) = last.source() {
        last = source;
    }
    // It may be about what somebody else has sent.
    let why = words(&last.to_string());
    // What begins as no message of TLS does is another protocol.
    let advice = if why.contains("InvalidContentType") { " (no https is spoken there: try http://)" } else { "" };
    why + advice
}

/// What is wrong with an answer's status, if anything.
fn failure(reply: &reqwest::Response) -> Option<String> {
    let status = reply.status();
    let place = reply.headers().get(LOCATION).filter(|_| status.is_redirection());
    let place = place.map(|place| format!(", and points to {}", String::from_utf8_lossy(place.as_bytes())));
    (!status.is_success()).then(|| format!("it has the HTTP status {status}{}", place.unwrap_or_default()))
}

/// Reads an answer, unless it has no end.
async fn read(mut reply: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(part) = reply.chunk().await.map_err(cause)? {
        if body.len() + part.len() > MOST_BYTES {
            return Err(format!("it has more than {MOST_BYTES} bytes"));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

impl Client {
    /// A client of the node at `url`, for example `http://127.0.0.1:8545`; a mere `127.0.0.1:8545` means the same.
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        let url = if url.contains("://") { url } else { format!("http://{url}") };
        // Whoever builds the program may have chosen one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Whoever follows a redirect asks anew, often without the question.
        let builder =
            || reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().redirect(Policy::none());
        // Where the system has no certificates, as in small containers, it reaches nodes by http, and none by https.
        let http = builder().build().or_else(|_| builder().tls_certs_only([]).build()).unwrap_or_default();
        Self { http, url, id: Arc::default() }
    }

    /// Where the node is, for people: without the name and the password that may stand in it.
    pub fn url(&self) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("http", self.url.as_str()));
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        format!("{scheme}://{place}")
    }

    /// Calls a method with positional parameters.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn call<T: DeserializeOwned>(&self, method: &str, params: impl Serialize) -> Result<T, ClientError> {
        let unreachable = |why: reqwest::Error| {
            let asked = !(why.is_builder() || why.is_connect());
            let why = if why.is_builder() {
                "it is no URL such as http://127.0.0.1:8545".to_owned()
            } else if why.is_connect() || why.is_timeout() {
                cause(why)
            } else {
                format!("something answers there, and not as a node does: {}", cause(why))
            };
            ClientError::Unreachable { url: self.url(), why, asked }
        };
        let malformed = |why: String| ClientError::Malformed { method: method.to_owned(), why: words(&why) };
        let id = self.id.fetch_add(1, Ordering::Relaxed);
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let reply = self.http.post(&self.url).json(&request).send().await.map_err(unreachable)?;
        let failure = failure(&reply);
        let reply = read(reply).await;
        let reply = match &reply {
            Ok(reply) => serde_json::from_slice::<Reply<'_>>(reply).map_err(|why| why.to_string()),
            Err(why) => Err(why.clone()),
        };
        let result = match (reply, failure) {
            (Ok(Reply { error: Some(Refusal { code, message, data }), .. }), _) => {
                let data = data.and_then(said_besides);
                return Err(ClientError::Refused { code, message: words(&message), data });
            }
            // It may be of a proxy before the node.
            (_, Some(why)) | (Err(why), None) => return Err(malformed(why)),
            (Ok(reply), None) => reply.result.map_or("null", RawValue::get),
        };
        serde_json::from_str(result).map_err(|why| malformed(why.to_string()))
    }

    /// Number of the newest block.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn block_number(&self) -> Result<u64, ClientError> {
        Ok(self.call::<U256>("eth_blockNumber", ()).await?.saturating_to())
    }

    /// What an account has, in wei.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn balance(&self, account: Address) -> Result<U256, ClientError> {
        self.call("eth_getBalance", (account, "latest")).await
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
                why: format!("it is about block {}, {number} was asked for", reply.block_number),
            }),
            _ => Ok(reply),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::{
        io::{Read as _, Write as _},
        net::{Ipv4Addr, TcpListener, TcpStream},
    };

    /// A request with an object in it, whole.
    pub(crate) fn asked(stream: &mut TcpStream) -> Vec<u8> {
        let (mut asked, mut part) = (Vec::new(), [0; 4096]);
        while !asked.ends_with(b"}") {
            let length = stream.read(&mut part).unwrap();
            assert!(length > 0, "the request has no end");
            asked.extend_from_slice(&part[..length]);
        }
        asked
    }

    /// Where somebody answers one request with these parts.
    pub(crate) fn answering(parts: impl IntoIterator<Item = Vec<u8>> + Send + 'static) -> String {
        answering_with("200 OK", parts)
    }

    /// The same with another status, and headers after it.
    fn answering_with(head: &str, parts: impl IntoIterator<Item = Vec<u8>> + Send + 'static) -> String {
        let head = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            asked(&mut stream);
            stream.write_all(head.as_bytes()).unwrap();
            // Whoever asked may hang up.
            parts.into_iter().find(|part| stream.write_all(part).is_err());
        });
        url
    }

    #[tokio::test]
    async fn an_answer_without_end_is_refused() {
        let url = answering(std::iter::repeat_with(|| vec![b' '; 1 << 20]));
        let error = Client::new(url).block_number().await.unwrap_err().to_string();
        assert!(error.contains("more than 67108864 bytes"), "{error}");
    }

    #[tokio::test]
    async fn what_a_node_says_does_not_steer_a_terminal() {
        let said = json!({ "error": { "code": 3, "message": "\u{1b}[2Jall is well\u{7}" } });
        let error = Client::new(answering([said.to_string().into_bytes()])).block_number().await.unwrap_err();
        assert_eq!(error.to_string(), "the node answered:  [2Jall is well  (code 3)");
        let said = json!({ "result": "\u{1b}]0;title" }).to_string().into_bytes();
        let error = Client::new(answering([said])).block_number().await.unwrap_err().to_string();
        assert!(error.contains("cannot be understood") && !error.contains('\u{1b}'), "{error}");
    }

    #[tokio::test]
    async fn what_a_node_says_is_not_made_a_tree_that_takes_far_more_memory() {
        let refused = async |data: Value| {
            let said = json!({ "error": { "code": -32000, "message": "no", "data": data } });
            match Client::new(answering([said.to_string().into_bytes()])).block_number().await {
                Err(ClientError::Refused { data, .. }) => data,
                other => panic!("{other:?}"),
            }
        };
        for data in [json!({ "a": [0] }), json!("0x".to_owned() + &"ab".repeat(MOST_DATA))] {
            assert_eq!(refused(data.clone()).await, Some(data));
        }
        assert_eq!(refused(Value::Null).await, None);
        assert_eq!(refused(json!(vec![0; MOST_DATA])).await, None);
    }

    #[tokio::test]
    async fn an_answer_of_nothing_is_nothing() {
        for said in [json!({ "result": null }), json!({ "result": null, "error": null }), json!({})] {
            let client = Client::new(answering([said.to_string().into_bytes()]));
            assert_eq!(client.call::<Option<U256>>("eth_getTransactionReceipt", ()).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_node_that_was_not_reached_is_told_from_one_whose_answer_is_missing() {
        let reached = async |url: &str| match Client::new(url).block_number().await {
            Err(ClientError::Unreachable { asked, .. }) => asked,
            other => panic!("{other:?}"),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || drop(asked(&mut listener.accept().unwrap().0)));
        assert!(reached(&url).await);
        // Nobody listens there.
        assert!(!reached("http://127.0.0.1:1").await && !reached("http://no place").await);
    }

    async fn unreachable(url: &str) -> String {
        Client::new(url).block_number().await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn an_error_says_what_a_url_is_and_no_password() {
        // Nobody listens there.
        let said = unreachable("127.0.0.1:1").await;
        assert!(said.starts_with("the node at http://127.0.0.1:1 cannot be reached"), "{said}");
        assert!(said.contains("Connection refused"), "{said}");
        let said = unreachable("http://user:secret@127.0.0.1:1/rpc").await;
        assert!(said.starts_with("the node at http://127.0.0.1:1/rpc cannot be reached"), "{said}");
        let said = unreachable("http://user:sec/ret@nowhere").await;
        assert!(said.contains("no URL such as http://") && !said.contains("sec"), "{said}");
    }

    #[tokio::test]
    async fn what_is_no_node_is_told_from_what_is_not_there() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            asked(&mut stream);
            stream.write_all(b"SSH-2.0-server\r\n\r\n").unwrap();
        });
        let said = unreachable(&url).await;
        assert!(said.contains("something answers there, and not as a node does: "), "{said}");
        assert!(!said.contains("error sending request"), "{said}");
    }

    #[tokio::test]
    async fn a_status_is_said_unless_the_node_says_more() {
        for (head, body, wanted) in [
            ("401 Unauthorized", "", "it has the HTTP status 401 Unauthorized"),
            ("429 Too Many Requests", r#"{"message":"slower"}"#, "it has the HTTP status 429 Too Many Requests"),
            ("502 Bad Gateway", r#"{"error":"<html>"}"#, "it has the HTTP status 502 Bad Gateway"),
            ("503 Service Unavailable", r#"{"result":"0x7"}"#, "it has the HTTP status 503 Service Unavailable"),
        ] {
            let said = unreachable(&answering_with(head, [body.as_bytes().to_vec()])).await;
            assert_eq!(said, format!("the answer to eth_blockNumber cannot be understood: {wanted}"));
        }
        for head in ["400 Bad Request", "503 Service Unavailable"] {
            let said = json!({ "error": { "code": -32000, "message": "busy" } }).to_string();
            let said = unreachable(&answering_with(head, [said.into_bytes()])).await;
            assert_eq!(said, "the node answered: busy (code -32000)");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_named_and_not_followed() {
        let said = json!({ "result": "0x7" }).to_string().into_bytes();
        let place = answering([said]);
        let said = unreachable(&answering_with(&format!("302 Found\r\nlocation: {place}"), [Vec::new()])).await;
        assert!(said.ends_with(&format!("the HTTP status 302 Found, and points to {place}")), "{said}");
    }

    #[tokio::test]
    async fn whoever_asks_by_https_where_http_is_spoken_is_told() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            // Until whoever asked hangs up.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let said = unreachable(&url).await;
        assert!(said.contains("cannot be reached: ") && said.ends_with("try http://)"), "{said}");
    }
}

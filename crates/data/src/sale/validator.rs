//! Having a document looked at by somebody's node, whose signature over its hash is published beside it.
//!
//! The node is asked as Ocean's nodes are. That its signature is good, the ledger says: an asset takes no other.

use super::Result;
use crate::{client::DataError, market::abi::MetaDataProof};
use alloy_primitives::{Address, B256};
use serde::Deserialize;
use std::time::Duration;
use stoa_client::plain;

/// Where nodes look at documents.
const PATH: &str = "/api/aquarius/assets/ddo/validate";

/// Bytes of an answer at most, and how long it may take.
const MOST: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(30);

/// A part of a signature: Ocean's nodes put it into a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Alone(B256),
    Listed([B256; 1]),
}

impl From<Part> for B256 {
    fn from(part: Part) -> Self {
        match part {
            Part::Alone(part) | Part::Listed([part]) => part,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    hash: B256,
    public_key: Address,
    v: u8,
    r: Part,
    s: Part,
}

/// Asks a node to look at a document. What is published of its answer.
///
/// # Errors
///
/// If it cannot be reached, does not take the document, or says something else.
pub(super) async fn validated(url: &str, document: &[u8], hash: B256) -> Result<MetaDataProof> {
    let failed = |why: String| DataError::Ledger(format!("validator {url}: {why}"));
    let unreachable = |error: reqwest::Error| failed(error.without_url().to_string());
    let text = std::str::from_utf8(document).map_err(|error| failed(error.to_string()))?;
    let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().map_err(unreachable)?;
    let request = http.post(format!("{}{PATH}", url.trim_end_matches('/'))).header("content-type", "application/json");
    // As it is: the hash is of these bytes.
    let mut answer = request.body(format!(r#"{{"ddo":{text}}}"#)).send().await.map_err(unreachable)?;
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(unreachable)? {
        bytes.extend_from_slice(&part);
        if bytes.len() > MOST {
            return Err(failed("its answer is too long".into()));
        }
    }
    let status = answer.status();
    if !status.is_success() {
        let said: String = plain(&String::from_utf8_lossy(&bytes)).chars().take(400).collect();
        return Err(failed(format!("it does not take the document ({status}): {said}")));
    }
    let verdict: Verdict =
        serde_json::from_slice(&bytes).map_err(|error| failed(format!("its answer is none: {error}")))?;
    if verdict.hash != hash {
        return Err(failed(format!("it has signed {}, and the document's hash is {hash}", verdict.hash)));
    }
    let Verdict { public_key, v, r, s, .. } = verdict;
    Ok(MetaDataProof { validatorAddress: public_key, v, r: r.into(), s: s.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    /// A node that answers once, with this.
    fn node(status: &'static str, body: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut part = [0; 1024];
            while !asked.ends_with(b"}}") {
                let read = stream.read(&mut part).unwrap();
                asked.extend_from_slice(&part[..read]);
            }
            assert!(asked.starts_with(b"POST /api/aquarius/assets/ddo/validate HTTP/1.1"));
            // Whoever asked may have heard enough.
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        });
        url
    }

    #[tokio::test]
    async fn a_validators_word_is_taken_for_this_document_alone() {
        // Chooses what signs and seals connections, for all clients of the program.
        drop(stoa_client::Client::new("http://127.0.0.1:1"));
        let (document, hash) = (br#"{"a":{}}"#, B256::repeat_byte(1));
        let verdict = |hash: B256| {
            let (key, r, s) = (Address::repeat_byte(2), B256::repeat_byte(3), B256::repeat_byte(4));
            format!(r#"{{"hash":"{hash}","publicKey":"{key}","r":["{r}"],"s":"{s}","v":27}}"#)
        };
        let proof = validated(&node("200 OK", verdict(hash)), document, hash).await.unwrap();
        assert_eq!((proof.validatorAddress, proof.v), (Address::repeat_byte(2), 27));
        assert_eq!((proof.r, proof.s), (B256::repeat_byte(3), B256::repeat_byte(4)));
        for (status, body, want) in [
            ("200 OK", verdict(B256::ZERO), "it has signed 0x0000"),
            ("200 OK", "{}".to_owned(), "its answer is none"),
            ("200 OK", " ".repeat(MOST + 1), "too long"),
            ("400 Bad Request", "\u{1b}[2J\u{202e}wrong".to_owned(), "the document (400 Bad Request):  [2J wrong"),
        ] {
            let why = validated(&node(status, body), document, hash).await.unwrap_err().to_string();
            assert!(why.contains(want), "{why}");
        }
        assert!(validated("http://127.0.0.1:1", document, hash).await.is_err());
    }
}

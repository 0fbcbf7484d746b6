//! What can be asked, and what is answered: JSON with quantities and bytes in hexadecimal, as the node's own.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::value::RawValue;
use stoa_proof::{
    CertificateReply, InvalidCertificate, InvalidProof, InvalidReceipt, ProofReply, ProvenReceipt, ReceiptReply,
};

/// Bytes of the longest request: above a proof of as many slots as a node proves at once, with the longest certificate.
pub const MAX_REQUEST: usize = 32 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Request<'a> {
    /// Is a block final?
    #[serde(borrow)]
    Certificate(Final<'a>),
    /// What do an account and slots of its storage hold at a block?
    Account {
        #[serde(borrow)]
        block: Final<'a>,
        #[serde(deserialize_with = "address")]
        address: Address,
        slots: Vec<U256>,
        #[serde(borrow)]
        proof: &'a RawValue,
    },
    /// What did a transaction leave behind?
    Receipt {
        #[serde(borrow)]
        block: Final<'a>,
        transaction: B256,
        #[serde(borrow)]
        proof: &'a RawValue,
    },
}

/// What shows that a block is final. What nodes have answered is read by itself: who asks is told whose mistake it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Final<'a> {
    network_key: Bytes,
    /// The block that was asked for; none if any would do.
    #[serde(default)]
    number: Option<U256>,
    #[serde(borrow)]
    certificate: &'a RawValue,
}

/// An address. If its letters are of both cases they are a checksum (EIP-55), which has to fit.
fn address<'de, D: Deserializer<'de>>(text: D) -> Result<Address, D::Error> {
    let text = String::deserialize(text)?;
    let malformed = |_| D::Error::custom(format!("{text} is no address: want 0x and 40 hex digits"));
    let address = text.parse::<Address>().map_err(malformed)?;
    let digits = text.strip_prefix("0x").unwrap_or(&text);
    let has = |is: fn(&u8) -> bool| digits.as_bytes().iter().any(is);
    let is_mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    if is_mixed && address.to_checksum(None)[2..] != *digits {
        return Err(D::Error::custom(format!("{text} has a mistyped letter or digit: its checksum does not fit")));
    }
    Ok(address)
}

/// What a node has answered to a method.
fn read<'a, T: Deserialize<'a>>(answer: &'a RawValue, method: &'static str) -> Result<T, Refusal> {
    serde_json::from_str(answer.get()).map_err(|why| Refusal::Answer { method, why })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Answer {
    Proven(Box<Proven>),
    Error(String),
}

/// Each with the block that it is true of.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", untagged)]
enum Proven {
    Certificate {
        #[serde(flatten)]
        at: Block,
        parent_hash: B256,
        state_root: B256,
        transactions_root: B256,
        receipts_root: B256,
    },
    Account {
        #[serde(flatten)]
        at: Block,
        balance: U256,
        nonce: U256,
        code_hash: B256,
        storage: Vec<Slot>,
    },
    Receipt {
        #[serde(flatten)]
        at: Block,
        index: U256,
        success: bool,
        gas_used: U256,
        contract_address: Option<Address>,
        logs: Vec<Log>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    block: U256,
    block_hash: B256,
    timestamp: U256,
}

#[derive(Serialize)]
struct Slot {
    slot: U256,
    value: U256,
}

#[derive(Serialize)]
struct Log {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the request has {0} bytes, want at most {MAX_REQUEST}")]
    TooLong(usize),
    #[error("the request cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("the network key cannot be read: want 0x and its 192 hex digits, as `stoa status` shows them")]
    NetworkKey,
    #[error("the node's answer to {method} cannot be read: {why}")]
    Answer { method: &'static str, why: serde_json::Error },
    #[error("the node's certificate does not hold: {0}")]
    Certificate(InvalidCertificate),
    #[error("the node's certificate is of block {got}, asked for was {wanted}")]
    Block { got: u64, wanted: U256 },
    #[error("the node's proof does not hold: {0}")]
    Proof(#[from] InvalidProof),
    #[error("the node's proof does not hold: {0}")]
    Receipt(#[from] InvalidReceipt),
}

/// Answers a request. Whatever the bytes are, there is an answer, and it says `proven` only of what the network key has signed.
pub fn answer(request: &[u8]) -> Vec<u8> {
    let answer = match prove(request) {
        Ok(proven) => Answer::Proven(Box::new(proven)),
        Err(refusal) => Answer::Error(refusal.to_string()),
    };
    // Its keys are strings and its values cannot fail to be written.
    serde_json::to_vec(&answer).unwrap_or_default()
}

fn prove(request: &[u8]) -> Result<Proven, Refusal> {
    if request.len() > MAX_REQUEST {
        return Err(Refusal::TooLong(request.len()));
    }
    match serde_json::from_slice(request)? {
        Request::Certificate(block) => {
            let header = block.verify()?;
            Ok(Proven::Certificate {
                at: Block::of(&header),
                parent_hash: header.parent_hash,
                state_root: header.state_root,
                transactions_root: header.transactions_root,
                receipts_root: header.receipts_root,
            })
        }
        Request::Account { block, address, slots, proof } => {
            let header = block.verify()?;
            let proof = read::<ProofReply>(proof, "stoa_getProof")?;
            let proven = proof.verify(header.hash_slow(), address, &slots)?;
            Ok(Proven::Account {
                at: Block::of(&header),
                balance: proven.balance,
                nonce: U256::from(proven.nonce),
                code_hash: proven.code_hash,
                storage: proven.storage.into_iter().map(|(slot, value)| Slot { slot, value }).collect(),
            })
        }
        Request::Receipt { block, transaction, proof } => {
            let trusted = block.verify()?.hash_slow();
            let proof = read::<ReceiptReply>(proof, "stoa_getReceiptProof")?;
            let ProvenReceipt { header, index, receipt } = proof.verify(trusted, transaction)?;
            let logs = receipt.logs.into_iter().map(|log| {
                let (topics, data) = log.data.split();
                Log { address: log.address, topics, data }
            });
            Ok(Proven::Receipt {
                at: Block::of(&header),
                index: U256::from(index),
                success: receipt.success,
                gas_used: U256::from(receipt.gas_used),
                contract_address: receipt.contract_address,
                logs: logs.collect(),
            })
        }
    }
}

impl Final<'_> {
    /// The header of the block, which the network key has signed, and which has the number that was asked for.
    fn verify(&self) -> Result<Header, Refusal> {
        let certificate = read::<CertificateReply>(self.certificate, "stoa_getCertificate")?;
        let header = certificate.verify(&self.network_key).map_err(|why| match why {
            InvalidCertificate::Malformed("the network key") => Refusal::NetworkKey,
            why => Refusal::Certificate(why),
        })?;
        match self.number {
            Some(wanted) if wanted != U256::from(header.number) => Err(Refusal::Block { got: header.number, wanted }),
            _ => Ok(header),
        }
    }
}

impl Block {
    fn of(header: &Header) -> Self {
        Self {
            block: U256::from(header.number),
            block_hash: header.hash_slow(),
            timestamp: U256::from(header.timestamp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What a node of a development network answered: to be recorded anew when a format changes, by
    /// `STOA_RECORD=crates/light/src/recorded.json cargo xtask test --only clients -- light_client`.
    fn recorded() -> Value {
        serde_json::from_str(include_str!("recorded.json")).unwrap()
    }

    fn certificate(of: &Value) -> Value {
        json!({ "certificate": { "networkKey": of["networkKey"], "certificate": of["certificate"] } })
    }

    fn account(of: &Value, which: &str) -> Value {
        let block = &certificate(of)["certificate"];
        let Value::Object(asked) = &of[which] else { panic!("no {which}") };
        json!({ "account": { "block": block, "address": asked["address"], "slots": asked["slots"], "proof": asked["reply"] } })
    }

    fn receipt(of: &Value) -> Value {
        let block = &certificate(of)["certificate"];
        let (transaction, proof) = (&of["receipt"]["transaction"], &of["receipt"]["reply"]);
        json!({ "receipt": { "block": block, "transaction": transaction, "proof": proof } })
    }

    /// What is proven, or why nothing is.
    fn ask(request: &Value) -> Result<Value, String> {
        let said: Value = serde_json::from_slice(&answer(request.to_string().as_bytes())).unwrap();
        match (&said["proven"], &said["error"]) {
            (Value::Null, Value::String(why)) => Err(why.clone()),
            (proven @ Value::Object(_), Value::Null) => Ok(proven.clone()),
            _ => panic!("neither proven nor refused: {said}"),
        }
    }

    #[test]
    fn what_a_node_answered_is_proven() {
        let recorded = recorded();
        let header = ask(&certificate(&recorded)).unwrap();
        let of_contract = ask(&account(&recorded, "contract")).unwrap();
        assert_eq!(of_contract["balance"], "0x5");
        assert_eq!(of_contract["nonce"], "0x1");
        let storage = json!([{ "slot": "0x0", "value": "0x67" }, { "slot": "0x63", "value": "0x0" }]);
        assert_eq!(of_contract["storage"], storage);
        let of_nobody = ask(&account(&recorded, "nobody")).unwrap();
        assert_eq!(of_nobody["balance"], "0x0");
        assert_eq!(of_nobody["codeHash"], alloy_primitives::KECCAK256_EMPTY.to_string());
        let of_transaction = ask(&receipt(&recorded)).unwrap();
        assert_eq!(of_transaction["success"], true);
        assert_eq!(of_transaction["logs"].as_array().unwrap().len(), 3);
        assert_eq!(
            of_transaction["logs"][0]["address"],
            recorded["contract"]["address"].as_str().unwrap().to_lowercase()
        );
        for proven in [of_contract, of_nobody, of_transaction] {
            for name in ["block", "blockHash", "timestamp"] {
                assert!(!header[name].is_null());
                assert_eq!(proven[name], header[name]);
            }
        }
    }

    #[test]
    fn a_certificate_of_another_block_than_was_asked_for_is_refused() {
        let recorded = recorded();
        for mut request in [certificate(&recorded), account(&recorded, "contract"), receipt(&recorded)] {
            let number = ask(&request).unwrap()["block"].clone();
            let name = request.as_object().unwrap().keys().next().unwrap().clone();
            let asked = if name == "certificate" { &mut request[&name] } else { &mut request[&name]["block"] };
            asked["number"] = number;
            assert!(ask(&request).is_ok());
            let asked = if name == "certificate" { &mut request[&name] } else { &mut request[&name]["block"] };
            asked["number"] = json!("0xfffffffffffffffffff");
            assert!(ask(&request).unwrap_err().contains("asked for was"), "{name}");
        }
    }

    #[test]
    fn what_was_asked_wrongly_is_told_from_what_a_node_says() {
        let recorded = recorded();
        let nonsense = [Value::Null, json!(7), json!("0x"), json!([]), json!({}), json!({ "certificate": ["0x"] })];
        for nonsense in nonsense {
            let with = |mut request: Value, place: &str| {
                *request.pointer_mut(place).unwrap() = nonsense.clone();
                ask(&request).unwrap_err()
            };
            for (why, method) in [
                (with(certificate(&recorded), "/certificate/certificate"), "stoa_getCertificate"),
                (with(account(&recorded, "contract"), "/account/block/certificate"), "stoa_getCertificate"),
                (with(account(&recorded, "contract"), "/account/proof"), "stoa_getProof"),
                (with(receipt(&recorded), "/receipt/block/certificate"), "stoa_getCertificate"),
                (with(receipt(&recorded), "/receipt/proof"), "stoa_getReceiptProof"),
            ] {
                assert!(why.starts_with(&format!("the node's answer to {method} cannot be read: ")), "{why}");
            }
        }
        let asked = |name: &str, wrong: Value| {
            let mut request = account(&recorded, "contract");
            request["account"][name] = wrong;
            ask(&request).unwrap_err()
        };
        for why in [
            asked("address", Value::Null),
            asked("address", json!("0x12")),
            asked("slots", json!(["x"])),
            asked("block", json!({ "networkKey": "key", "certificate": {} })),
        ] {
            assert!(why.starts_with("the request cannot be read: "), "{why}");
        }
        let mut request = certificate(&recorded);
        request["certificate"]["networkKey"] = json!("0x12");
        assert!(ask(&request).unwrap_err().starts_with("the network key cannot be read: "));
    }

    #[test]
    fn an_address_whose_checksum_does_not_fit_is_refused() {
        let recorded = recorded();
        let right = recorded["contract"]["address"].as_str().unwrap();
        let ask = |address: &str| {
            let mut request = account(&recorded, "contract");
            request["account"]["address"] = address.into();
            ask(&request)
        };
        assert!(ask(right).is_ok() && ask(&right.to_lowercase()).is_ok());
        let wrong = right.replace("FbDB", "fbDB");
        assert_ne!(wrong, right);
        assert!(ask(&wrong).unwrap_err().contains("its checksum does not fit"));
    }

    /// Every string of a request.
    fn strings(value: &mut Value) -> Vec<&mut String> {
        match value {
            Value::String(text) => vec![text],
            Value::Array(values) => values.iter_mut().flat_map(strings).collect(),
            Value::Object(values) => values.values_mut().flat_map(strings).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn no_tampering_makes_anything_else_proven() {
        let recorded = recorded();
        for request in [certificate(&recorded), account(&recorded, "contract"), receipt(&recorded)] {
            let truth = ask(&request).unwrap();
            let lengths: Vec<_> = strings(&mut request.clone()).iter().map(|text| text.len()).collect();
            let (mut tried, mut believed) = (0, 0);
            for (which, length) in lengths.into_iter().enumerate() {
                // Some thirty digits of each, among them the first and the last.
                for at in (2..length).step_by((length / 30).max(1)).chain([length - 1]) {
                    let mut copy = request.clone();
                    let text = strings(&mut copy).swap_remove(which);
                    let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
                    text.replace_range(at..=at, other);
                    tried += 1;
                    if let Ok(proven) = ask(&copy) {
                        assert_eq!(proven, truth, "{copy}");
                        believed += 1;
                    }
                }
            }
            // What nothing is made of can be anything: the node's word for its key, the number and hash beside a header.
            assert!(believed * 2 < tried, "{believed} of {tried}");
        }
    }

    #[test]
    fn whatever_the_bytes_are_there_is_an_answer() {
        let request = account(&recorded(), "contract").to_string();
        let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        let long = vec![b' '; MAX_REQUEST + 1];
        let junk: [&[u8]; 8] = [b"", b"\0", b"null", b"{}", b"{\"account\":{}}", b"\xff\xfe", &deep, &long];
        let cut = (0..request.len()).step_by(97).map(|length| &request.as_bytes()[..length]);
        for bytes in junk.into_iter().chain(cut) {
            let said: Value = serde_json::from_slice(&answer(bytes)).unwrap();
            assert!(said["error"].is_string() && said["proven"].is_null(), "{said}");
        }
    }
}

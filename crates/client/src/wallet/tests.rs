use super::*;
use crate::rpc::tests::asked;
use alloy_consensus::Transaction as _;
use alloy_eips::Decodable2718 as _;
use alloy_primitives::Bloom;
use serde::Deserialize as _;
use serde_json::Value;
use std::{
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    sync::{Arc, Mutex},
};

/// The account of some key, at a node that says this of each request: an answer, an HTTP status, or nothing at all.
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
            // Whoever asked may have hung up.
            let _ = match said {
                Value::Null => continue,
                Value::String(status) => write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\n\r\n"),
                said => write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{said}"),
            };
        }
    });
    Wallet::new(client, PrivateKeySigner::random()).await.unwrap()
}

fn error(message: &str) -> Value {
    json!({ "error": { "code": -32000, "message": message } })
}

/// That of a transaction with this hash.
fn receipt(hash: B256) -> Value {
    json!({ "result": {
        "type": "0x2", "status": "0x1", "cumulativeGasUsed": "0x5208", "logsBloom": Bloom::ZERO, "logs": [],
        "transactionHash": hash, "transactionIndex": "0x0", "blockHash": B256::ZERO,
        "blockNumber": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": "0x1", "from": Address::ZERO,
        "to": Address::ZERO, "contractAddress": null,
    } })
}

/// The transaction that is to be sent.
fn raw(params: &Value) -> TxEnvelope {
    let raw = Bytes::deserialize(&params[0]).unwrap();
    TxEnvelope::decode_2718_exact(&raw).unwrap()
}

async fn send(wallet: &Wallet) -> Result<TransactionReceipt, SendError> {
    wallet.send(Address::ZERO.into(), U256::ONE, Bytes::new()).await
}

/// What a node was sent.
type Sends = Arc<Mutex<Vec<TxEnvelope>>>;

#[tokio::test]
async fn whose_nonce_another_program_took_sends_a_transaction_of_its_own_with_the_next() {
    let sent = Sends::default();
    let seen = sent.clone();
    let wallet = at_node(move |method, params| {
        let mut seen = seen.lock().unwrap();
        match method {
            "eth_getTransactionCount" => json!({ "result": U256::from(7 + seen.len()) }),
            "eth_sendRawTransactionSync" => {
                seen.push(raw(params));
                match seen.len() {
                    1 => error("already known"),
                    2 => error("nonce too low: next nonce 9, tx nonce 8"),
                    _ => receipt(B256::ZERO),
                }
            }
            _ => json!({ "result": "0x5208" }),
        }
    });
    let receipt = send(&wallet.await).await.unwrap();
    assert!(receipt.status());
    let nonces: Vec<_> = sent.lock().unwrap().iter().map(|sent| sent.nonce()).collect();
    assert_eq!(nonces, [7, 8, 9]);
}

#[tokio::test]
async fn what_may_have_been_taken_is_waited_for_and_handed_again_to_a_node_that_has_lost_it() {
    for answer in [
        Value::Null,
        json!("502 Bad Gateway"),
        json!("504 Gateway Timeout"),
        error("the node shuts down"),
        json!({ "error": { "code": -32002, "message": "request timed out" } }),
        json!({ "error": { "code": NOT_YET, "message": "it was added and not processed" } }),
        json!({ "error": { "code": -32003, "message": "response too large, at most 9 bytes" } }),
        json!({ "error": { "code": -32005, "message": "no room for the answer: the node is busy with large requests" } }),
    ] {
        let (sent, faults) = (Sends::default(), Mutex::new(0));
        let seen = sent.clone();
        let said = answer.clone();
        let wallet = at_node(move |method, params| {
            let mut seen = seen.lock().unwrap();
            match method {
                "eth_getTransactionCount" => json!({ "result": "0x7" }),
                "eth_sendRawTransactionSync" => {
                    seen.push(raw(params));
                    said.clone()
                }
                // It starts again, without what it has not written down.
                "eth_getTransactionReceipt" if *faults.lock().unwrap() < 2 => {
                    let mut faults = faults.lock().unwrap();
                    *faults += 1;
                    [Value::Null, json!("503 Service Unavailable")][*faults % 2].clone()
                }
                "eth_getTransactionReceipt" if seen.len() < 2 => json!({ "result": null }),
                "eth_getTransactionReceipt" => receipt(B256::deserialize(&params[0]).unwrap()),
                "eth_getTransactionByHash" => json!({ "result": null }),
                "eth_sendRawTransaction" => {
                    seen.push(raw(params));
                    json!({ "result": seen[0].tx_hash() })
                }
                _ => json!({ "result": "0x5208" }),
            }
        });
        let receipt = send(&wallet.await).await.unwrap_or_else(|why| panic!("{answer}: {why}"));
        let sent = sent.lock().unwrap();
        assert!(sent.len() == 2 && sent[0].tx_hash() == sent[1].tx_hash(), "{answer}: {sent:?}");
        assert_eq!(receipt.transaction_hash, *sent[0].tx_hash());
    }
}

#[tokio::test]
async fn what_no_node_has_taken_was_not_sent() {
    let crowded = "the node is busy with large requests, try again later";
    for answer in [
        error("txpool is full"),
        error("transaction gas price below minimum: gas tip cap 1, minimum needed 2"),
        json!({ "error": { "code": -32005, "message": crowded } }),
    ] {
        let wallet = at_node(move |method, _| match method {
            "eth_sendRawTransactionSync" => answer.clone(),
            "eth_getTransactionCount" | "eth_gasPrice" | "eth_estimateGas" => json!({ "result": "0x7" }),
            other => panic!("{other} is not answered"),
        });
        let why = send(&wallet.await).await.unwrap_err();
        assert!(matches!(why, SendError::Refused(ViewError::Unreachable(_))), "{why}");
    }
    let unreached = ClientError::Unreachable { url: String::new(), why: String::new(), asked: false };
    assert!(is_refused(&unreached));
}

/// A node where the price of gas is this, that takes each transaction but the one with this number, and has none in a block but, once
/// all rises came, the one with this number.
fn takes(price: u64, but: usize, included: Option<usize>) -> (Sends, impl Fn(&str, &Value) -> Value + Send + 'static) {
    let sends = Sends::default();
    let seen = sends.clone();
    let answer = move |method: &str, params: &Value| {
        let mut seen = seen.lock().unwrap();
        match method {
            "eth_getTransactionCount" => json!({ "result": "0x7" }),
            "eth_gasPrice" => json!({ "result": U256::from(price << seen.len()) }),
            "eth_sendRawTransactionSync" | "eth_sendRawTransaction" => {
                seen.push(raw(params));
                match seen.len() - 1 == but {
                    true => error("insufficient funds for gas * price + value"),
                    false if seen.len() == 1 => json!({ "error": { "code": NOT_YET, "message": "not yet" } }),
                    false => json!({ "result": seen[seen.len() - 1].tx_hash() }),
                }
            }
            "eth_getTransactionReceipt" => match included.and_then(|at| seen.get(at)) {
                Some(one) if seen.len() > RISES.len() && json!(one.tx_hash()) == params[0] => receipt(*one.tx_hash()),
                _ => json!({ "result": null }),
            },
            "eth_getTransactionByHash" => json!({ "result": {} }),
            _ => json!({ "result": "0x5208" }),
        }
    };
    (sends, answer)
}

#[tokio::test]
async fn a_transaction_that_waits_is_replaced_by_one_that_pays_more_and_any_of_them_may_be_included() {
    for included in [0, 3] {
        let (sent, answer) = takes(100, usize::MAX, Some(included));
        let mut wallet = at_node(answer).await;
        wallet.patience = Duration::from_secs(3);
        let receipt = send(&wallet).await.unwrap();
        let sent = sent.lock().unwrap();
        assert_eq!(receipt.transaction_hash, *sent[included].tx_hash());
        assert!(sent.len() == 4 && sent.iter().all(|one| one.nonce() == 7 && one.value() == U256::ONE), "{sent:?}");
        for (place, two) in sent.windows(2).enumerate() {
            let tip = |one: &TxEnvelope| one.max_priority_fee_per_gas().unwrap();
            assert!(two[1].max_fee_per_gas() * 10 >= two[0].max_fee_per_gas() * 11);
            assert!(tip(&two[1]) * 10 >= tip(&two[0]) * 11);
            assert!(two[1].max_fee_per_gas() >= 2 * (100 << (place + 1)));
        }
    }
}

#[tokio::test]
async fn what_is_late_says_what_was_sent_and_only_what_was_taken() {
    let (sent, answer) = takes(100, 2, None);
    let mut wallet = at_node(answer).await;
    wallet.patience = Duration::from_secs(2);
    let Err(SendError::Late(late)) = send(&wallet).await else { panic!("it is not late") };
    let hashes: Vec<_> = sent.lock().unwrap().iter().map(|one| *one.tx_hash()).collect();
    assert_eq!((hashes.len(), late.nonce), (4, 7));
    assert_eq!(late.hashes, [hashes[0], hashes[1], hashes[3]]);
    assert!(SendError::Late(late).to_string().contains(&hashes[3].to_string()));
}

#[test]
fn a_price_rises_by_a_tenth_where_it_has_fallen_and_to_twice_what_it_is_where_it_has_risen() {
    let first = TxEip1559 { max_fee_per_gas: 1001, max_priority_fee_per_gas: 1, ..TxEip1559::default() };
    let prices = |now: u128| {
        let TxEip1559 { max_fee_per_gas, max_priority_fee_per_gas, .. } = dearer(&first, now);
        (max_fee_per_gas, max_priority_fee_per_gas)
    };
    assert_eq!([prices(0), prices(5000), prices(u128::MAX)], [(1102, 2), (10_002, 2), (u128::MAX, 2)]);
}

#[tokio::test]
async fn later_ones_do_not_wait_for_the_nonce_of_one_that_was_refused() {
    for awaited in [true, false] {
        let (filled, flight) = (Sends::default(), Arc::<Mutex<Option<Flight>>>::default());
        let (seen, shared) = (filled.clone(), flight.clone());
        let wallet = at_node(move |method, params| match method {
            "eth_getTransactionCount" => json!({ "result": "0x7" }),
            "eth_sendRawTransactionSync" => {
                if let Some(flight) = shared.lock().unwrap().take() {
                    // A clone sends another one meanwhile.
                    std::mem::forget(flight.begin(flight.before(), 7));
                }
                error("txpool is full")
            }
            "eth_sendRawTransaction" => {
                seen.lock().unwrap().push(raw(params));
                json!({ "result": B256::ZERO })
            }
            _ => json!({ "result": "0x5208" }),
        });
        let wallet = wallet.await;
        *flight.lock().unwrap() = awaited.then(|| wallet.flight.clone());
        let why = wallet.send(Address::ZERO.into(), U256::ONE, Bytes::from(vec![1_u8])).await.unwrap_err().to_string();
        assert!(why.contains("txpool is full"), "{why}");
        let filled = filled.lock().unwrap();
        assert_eq!(filled.len(), usize::from(awaited));
        if let Some(one) = filled.first() {
            assert_eq!((one.nonce(), one.to(), one.value()), (7, Some(wallet.address()), U256::ZERO));
            assert!(one.input().is_empty() && one.gas_limit() == TRANSFER);
        }
    }
}

#[tokio::test]
async fn what_has_become_of_a_late_transaction_is_told() {
    let [one, other] = [1, 2].map(B256::repeat_byte);
    let sent = Sent { nonce: 7, hashes: vec![one, other] };
    for (next, included, waits, fate) in [
        (8_u64, Some(one), None, Fate::Included),
        (8, Some(other), None, Fate::Included),
        (8, None, None, Fate::Gone),
        (7, None, Some(one), Fate::Waiting),
        (7, None, Some(other), Fate::Waiting),
        (7, None, None, Fate::Gone),
    ] {
        let wallet = at_node(move |method, params| match method {
            "eth_getTransactionCount" => json!({ "result": U256::from(next) }),
            "eth_getTransactionReceipt" if json!(included) == params[0] => receipt(B256::ZERO),
            "eth_getTransactionByHash" if json!(waits) == params[0] => json!({ "result": {} }),
            _ => json!({ "result": null }),
        });
        assert_eq!(wallet.await.fate(&sent).await.unwrap(), fate, "{next} {included:?} {waits:?}");
    }
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

//! The block being built.

use super::*;

fn word(number: u64) -> Value {
    json!(B256::from(U256::from(number)))
}

#[test]
fn what_waits_is_seen_executed_in_the_block_being_built() {
    with_default_node(async |node| {
        node.automine.store(false, Ordering::Relaxed);
        let (from, to) = (signer(0).address(), Address::repeat_byte(0x77));
        let first = node.send(&transaction(0, 0, to, 5)).await;
        let second = node.send(&transaction(0, 1, COUNTER, 0)).await;
        let init = bytes!("600160005360016000f3");
        let third = node.send(&sign(&signer(0), unsigned(2, TxKind::Create, 0, init))).await;
        for (method, what, latest, pending) in [
            ("eth_getBalance", vec![json!(to)], json!("0x0"), json!("0x5")),
            ("eth_getTransactionCount", vec![json!(from)], json!("0x0"), json!("0x3")),
            ("eth_getStorageAt", vec![json!(COUNTER), json!("0x0")], word(0), word(1)),
            ("eth_getCode", vec![json!(from.create(2))], json!("0x"), json!("0x01")),
            ("eth_call", vec![json!({"to": COUNTER})], word(1), word(2)),
        ] {
            let at = async |tag: &str| {
                let params = what.iter().cloned().chain([json!(tag)]).collect::<Vec<_>>();
                node.call(method, json!(params)).await
            };
            assert_eq!((at("latest").await, at("pending").await), (latest, pending), "{method}");
        }
        let spend = json!({"from": to, "to": Address::ZERO, "value": "0x5"});
        let (_, message, _) = node.fails("eth_estimateGas", json!([spend, "latest"])).await;
        assert!(message.starts_with("insufficient funds"), "{message}");
        assert_eq!(node.call("eth_estimateGas", json!([spend, "pending"])).await, "0x5208");

        let block = node.call("eth_getBlockByNumber", json!(["pending", false])).await;
        assert_eq!(block["transactions"], json!([first, second, third]));
        let receipts = node.call("eth_getBlockReceipts", json!(["pending"])).await;
        assert_eq!((&receipts[2]["status"], &receipts[2]["cumulativeGasUsed"]), (&json!("0x1"), &block["gasUsed"]));
        node.mine();
        node.receipt(&third).await;
        let mined = node.call("eth_getBlockByNumber", json!(["latest", false])).await;
        for field in ["number", "gasUsed", "baseFeePerGas", "logsBloom", "transactionsRoot", "receiptsRoot"] {
            assert_eq!(block[field], mined[field], "{field}");
        }
        let next = node.call("eth_getBlockByNumber", json!(["pending", false])).await;
        assert_eq!((&next["parentHash"], &next["transactions"]), (&mined["hash"], &json!([])));
    });
}

#[test]
fn the_history_of_fees_may_end_with_the_block_being_built() {
    with_default_node(async |node| {
        node.automine.store(false, Ordering::Relaxed);
        node.send(&transaction(0, 0, Address::repeat_byte(0x77), 5)).await;
        let block = node.call("eth_getBlockByNumber", json!(["pending", false])).await;
        let history = node.call("eth_feeHistory", json!(["0x2", "pending", [50]])).await;
        assert_eq!((&history["oldestBlock"], &history["baseFeePerGas"][1]), (&json!("0x1"), &block["baseFeePerGas"]));
        assert_eq!(history["reward"], json!([["0x0"], ["0x5"]]));
        let number = |text: &Value| u64::from_str_radix(&text.as_str().unwrap()[2..], 16).unwrap() as f64;
        assert_eq!(history["gasUsedRatio"], json!([0.0, number(&block["gasUsed"]) / number(&block["gasLimit"])]));
        node.mine();
        while node.ledger.head().number() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mined = node.call("eth_feeHistory", json!(["0x2", "0x2", [50]])).await;
        assert_eq!(mined, history, "the block came as it was foreseen");
    });
}

#[test]
fn the_block_being_built_changes_with_what_waits() {
    with_default_node(async |node| {
        node.automine.store(false, Ordering::Relaxed);
        let to = Address::repeat_byte(0x77);
        let balance = async || node.call("eth_getBalance", json!([to, "pending"])).await;
        assert_eq!(balance().await, "0x0");
        node.send(&transaction(0, 0, to, 5)).await;
        assert_eq!(balance().await, "0x5");
        node.send(&transaction(1, 0, to, 2)).await;
        assert_eq!(balance().await, "0x7");
        // One that takes the place of another, of the same size.
        let better = unsigned(0, TxKind::Call(to), 6, Bytes::new());
        let better = TxEip1559 { max_fee_per_gas: 4_000_000_000, max_priority_fee_per_gas: 6, ..better };
        node.send(&sign(&signer(0), better)).await;
        assert_eq!(balance().await, "0x8");
        // Behind a gap.
        node.send(&transaction(1, 2, to, 1)).await;
        assert_eq!(balance().await, "0x8");
        let many = futures::future::join_all((0..50).map(|_| balance())).await;
        assert!(many.iter().all(|balance| balance == "0x8"), "{many:?}");
    });
}

#[test]
fn simulated_blocks_come_after_the_one_being_built() {
    with_default_node(async |node| {
        node.automine.store(false, Ordering::Relaxed);
        node.send(&transaction(0, 0, COUNTER, 0)).await;
        // Returns the hash of the block before.
        let (parent, code) = (Address::repeat_byte(0x88), bytes!("600143034060005260206000f3"));
        let overrides = json!({parent.to_string(): {"code": code}});
        let from = signer(0).address();
        let calls = json!([{"from": from, "to": COUNTER}, {"to": parent}]);
        let payload = json!({"blockStateCalls": [{"stateOverrides": overrides, "calls": calls}, {"calls": calls}]});
        for (tag, first) in [("latest", 2), ("pending", 3)] {
            let blocks = node.call("eth_simulateV1", json!([payload, tag])).await;
            for (block, number) in blocks.as_array().unwrap().iter().zip(first..) {
                assert_eq!(block["number"], format!("{number:#x}"));
                assert_eq!(block["calls"][0]["returnData"], word(number - 1), "{tag}");
                assert_eq!(block["calls"][1]["returnData"], block["parentHash"], "{tag}");
            }
            assert_eq!(blocks[1]["parentHash"], blocks[0]["hash"]);
        }
        let pending = node.call("eth_getBlockByNumber", json!(["pending", false])).await;
        let simulated = node.call("eth_simulateV1", json!([{"blockStateCalls": [{}]}, "pending"])).await;
        assert!(simulated[0]["timestamp"].as_str().unwrap() > pending["timestamp"].as_str().unwrap());
    });
}

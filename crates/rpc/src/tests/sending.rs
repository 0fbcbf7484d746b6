//! Sending, waiting transactions, accounts of the node.

use super::*;
use alloy_primitives::{Signature, eip191_hash_message};

#[test]
fn what_cannot_be_a_transaction_is_refused_in_geths_words() {
    with_default_node(async |node| {
        let good = transaction(0, 0, Address::ZERO, 1);
        let mut unsigned_sender = good.to_vec();
        let last = unsigned_sender.len();
        unsigned_sender[last - 32..].fill(0xff);
        for (raw, wanted) in [
            (Bytes::new(), "typed transaction too short"),
            (Bytes::from_static(&[2]), "rlp: "),
            (good.slice(..good.len() - 1), "rlp: "),
            ([good.as_ref(), &[0]].concat().into(), "rlp: input contains more than one value"),
            (Bytes::from_static(&[0x7f, 1, 2]), "transaction type not supported"),
            (unsigned_sender.into(), "invalid sender"),
        ] {
            let (code, message, _) = node.fails("eth_sendRawTransaction", json!([raw])).await;
            assert!(code == -32000 && message.starts_with(wanted), "{raw}: {message}");
        }
        node.send(&good).await;
    });
}

#[test]
fn a_waiting_transaction_can_be_seen() {
    with_default_node(async |node| {
        node.automine.store(false, Ordering::Relaxed);
        let sender = signer(0).address();
        let raw = transaction(0, 0, Address::repeat_byte(0xab), 1);
        let hash = node.send(&raw).await;
        assert_eq!(node.fails("eth_sendRawTransaction", json!([raw])).await.1, "already known");
        let waiting = node.call("eth_getTransactionByHash", json!([hash])).await;
        for field in ["blockHash", "blockNumber", "blockTimestamp", "transactionIndex"] {
            assert_eq!(waiting.get(field), Some(&Value::Null), "{field}");
        }
        assert_eq!(waiting["gasPrice"], waiting["maxFeePerGas"]);
        assert!(node.call("eth_getTransactionReceipt", json!([hash])).await.is_null());
        assert_eq!(node.call("eth_getTransactionCount", json!([sender, "latest"])).await, "0x0");
        assert_eq!(node.call("eth_getTransactionCount", json!([sender, "pending"])).await, "0x1");
        assert_eq!(node.call("txpool_status", json!([])).await, json!({"pending": "0x1", "queued": "0x0"}));
        let content = node.call("txpool_content", json!([])).await;
        assert_eq!(content["pending"][sender.to_string()]["0"], waiting);
        let content = node.call("txpool_contentFrom", json!([sender])).await;
        assert_eq!(content["pending"]["0"], waiting);
        let inspected = node.call("txpool_inspect", json!([])).await;
        let line = inspected["pending"][sender.to_string()]["0"].as_str().unwrap();
        assert_eq!(line, format!("{}: 1 wei + 200000 gas × 3000000000 wei", Address::repeat_byte(0xab)));
        node.mine();
        node.receipt(&hash).await;
        assert_eq!(node.call("txpool_status", json!([])).await["pending"], "0x0");
    });
}

#[test]
fn sending_can_wait_for_the_receipt() {
    with_default_node(async |node| {
        let raw = transaction(0, 0, Address::ZERO, 1);
        let receipt = node.call("eth_sendRawTransactionSync", json!([raw])).await;
        assert_eq!(receipt["status"], "0x1");
        node.automine.store(false, Ordering::Relaxed);
        let raw = transaction(0, 1, Address::ZERO, 1);
        let (code, message, data) = node.fails("eth_sendRawTransactionSync", json!([raw, 50])).await;
        assert_eq!(code, 4);
        assert!(message.ends_with("wasn't processed in 50ms"), "{message}");
        assert_eq!(data, json!(alloy_primitives::keccak256(&raw)));
    });
}

#[test]
fn keys_handed_in_sign_and_send() {
    with_node(
        Config::default(),
        |builder| builder.accounts([signer(0), signer(1)]),
        async |node| {
            let from = signer(0).address();
            let mut accounts = vec![from, signer(1).address()];
            accounts.sort();
            assert_eq!(node.call("eth_accounts", json!([])).await, json!(accounts));

            let hash = node.call("eth_sendTransaction", json!([{"from": from, "to": COUNTER}])).await;
            let receipt = node.receipt(&hash).await;
            assert_eq!((&receipt["status"], &receipt["type"]), (&json!("0x1"), &json!("0x2")));
            let legacy = json!([{"from": from, "to": COUNTER, "gasPrice": "0xb2d05e00", "gas": "0x186a0"}]);
            let receipt = node.receipt(&node.call("eth_sendTransaction", legacy).await).await;
            assert_eq!((&receipt["status"], &receipt["type"]), (&json!("0x1"), &json!("0x0")));
            let deploy = json!([{"from": from, "data": "0x600160005360016000f3"}]);
            let receipt = node.receipt(&node.call("eth_sendTransaction", deploy).await).await;
            assert_eq!(receipt["contractAddress"], json!(from.create(2)));
            assert_eq!(node.call("eth_getCode", json!([from.create(2)])).await, "0x01");

            let filled = node.call("eth_fillTransaction", json!([{"from": from, "to": COUNTER}])).await;
            let signed = node.call("eth_signTransaction", json!([{"from": from, "to": COUNTER}])).await;
            for field in
                ["type", "chainId", "nonce", "gas", "maxFeePerGas", "maxPriorityFeePerGas", "from", "to", "input"]
            {
                assert_eq!(filled["tx"][field], signed["tx"][field], "{field}");
            }
            assert_eq!([&filled["tx"]["r"], &filled["tx"]["s"]], [&json!("0x0"); 2]);
            let hash = node.call("eth_sendRawTransaction", json!([signed["raw"]])).await;
            assert_eq!(hash, signed["tx"]["hash"]);

            let message = json!("0x68656c6c6f");
            let eth = node.call("eth_sign", json!([from, message])).await;
            assert_eq!(eth, node.call("personal_sign", json!([message, from])).await);
            let bytes: Bytes = serde_json::from_value(eth).unwrap();
            let signature = Signature::from_raw(&bytes).unwrap();
            assert_eq!(signature.recover_address_from_prehash(&eip191_hash_message(b"hello")).unwrap(), from);

            let stranger = Address::repeat_byte(0x44);
            for (method, params) in [
                ("eth_sendTransaction", json!([{"from": stranger, "to": COUNTER}])),
                ("eth_sign", json!([stranger, "0x"])),
            ] {
                let (code, message, _) = node.fails(method, params).await;
                assert_eq!((code, message.as_str()), (-32000, "unknown account"), "{method}");
            }
        },
    );
}

#[test]
fn who_names_only_a_tip_pays_up_to_twice_the_base_fee_with_it() {
    with_node(
        Config::default(),
        |builder| builder.accounts([signer(0)]),
        async |node| {
            let request = json!([{"from": signer(0).address(), "to": COUNTER, "maxPriorityFeePerGas": "0x5"}]);
            let base_fee: U256 = serde_json::from_value(node.call("eth_baseFee", json!([])).await).unwrap();
            assert!(base_fee > U256::from(5));
            let filled = node.call("eth_fillTransaction", request.clone()).await;
            assert_eq!(filled["tx"]["maxFeePerGas"], json!(base_fee * U256::from(2) + U256::from(5)));
            assert_eq!(filled["tx"]["maxPriorityFeePerGas"], "0x5");
            assert_eq!(node.call("eth_estimateGas", request.clone()).await, filled["tx"]["gas"]);
            assert!(node.call("eth_createAccessList", request.clone()).await.get("error").is_none());
            assert_eq!(node.call("eth_call", request.clone()).await, json!(B256::from(U256::from(1))));
            let receipt = node.receipt(&node.call("eth_sendTransaction", request).await).await;
            assert_eq!((&receipt["status"], &receipt["type"]), (&json!("0x1"), &json!("0x2")));
        },
    );
}

#[test]
fn what_an_account_sends_at_once_gets_a_nonce_each() {
    with_node(
        Config::default(),
        |builder| builder.accounts([signer(0)]),
        async |node| {
            let request = json!([{"from": signer(0).address(), "to": COUNTER, "gas": "0x186a0"}]);
            let sent = (0..16).map(|_| node.call("eth_sendTransaction", request.clone()));
            let hashes = futures::future::join_all(sent).await;
            let hashes: std::collections::HashSet<_> = hashes.iter().map(Value::to_string).collect();
            assert_eq!(hashes.len(), 16);
        },
    );
}

#[test]
fn the_type_of_a_completed_transaction_follows_its_fields() {
    with_node(
        Config::default(),
        |builder| builder.accounts([signer(0)]),
        async |node| {
            let list = json!([{"address": COUNTER, "storageKeys": [B256::ZERO]}]);
            let authorizations = json!([
                {"chainId": "0x7a69", "address": COUNTER, "nonce": "0x0", "yParity": "0x0", "r": "0x1", "s": "0x1"}
            ]);
            let request = |fields: Value| {
                let mut request = json!({"from": signer(0).address(), "to": COUNTER, "gas": "0x186a0"});
                request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
                json!([request])
            };
            for (fields, wanted) in [
                (json!({"gasPrice": "0xb2d05e00"}), "0x0"),
                (json!({"gasPrice": "0xb2d05e00", "accessList": list}), "0x1"),
                (json!({"accessList": list}), "0x2"),
                (json!({"accessList": list, "authorizationList": authorizations}), "0x4"),
            ] {
                let signed = node.call("eth_signTransaction", request(fields.clone())).await;
                assert_eq!(signed["tx"]["type"], wanted, "{fields}");
                let is_listed = fields.get("accessList").is_some();
                assert_eq!(signed["tx"].get("accessList").is_some_and(|kept| *kept == list), is_listed, "{fields}");
            }
            let mixed = request(json!({"gasPrice": "0xb2d05e00", "authorizationList": authorizations}));
            let (code, message, _) = node.fails("eth_signTransaction", mixed).await;
            assert_eq!(
                (code, message.as_str()),
                (-32000, "gasPrice cannot pay for an authorizationList: use maxFeePerGas")
            );
        },
    );
}

#[test]
fn typed_data_are_signed_as_an_object_or_as_text() {
    with_node(
        Config::default(),
        |builder| builder.accounts([signer(0)]),
        async |node| {
            let data = json!({
                "types": {
                    "EIP712Domain": [{"name": "name", "type": "string"}, {"name": "chainId", "type": "uint256"}],
                    "Mail": [{"name": "to", "type": "address"}, {"name": "words", "type": "string"}],
                },
                "primaryType": "Mail",
                "domain": {"name": "post", "chainId": 31337},
                "message": {"to": COUNTER, "words": "hello"},
            });
            let from = signer(0).address();
            let object = node.call("eth_signTypedData_v4", json!([from, data])).await;
            let text = node.call("eth_signTypedData_v4", json!([from, data.to_string()])).await;
            assert_eq!(object, text);
            let hash = serde_json::from_value::<alloy_dyn_abi::TypedData>(data).unwrap().eip712_signing_hash().unwrap();
            let bytes: Bytes = serde_json::from_value(object).unwrap();
            let signature = Signature::from_raw(&bytes).unwrap();
            assert_eq!(signature.recover_address_from_prehash(&hash).unwrap(), from);
            let (code, _, _) = node.fails("eth_signTypedData_v4", json!([from, {"types": {}}])).await;
            assert_eq!(code, -32602);
            // Strangers' data are not even read.
            let (_, message, _) = node.fails("eth_signTypedData_v4", json!([COUNTER, {"types": {}}])).await;
            assert_eq!(message, "unknown account");
        },
    );
}

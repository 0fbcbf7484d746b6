//! Calls, estimates, access lists, overrides.

use super::*;
use alloy_primitives::hex;
use alloy_sol_types::{Revert, SolError};

fn word(number: u64) -> Value {
    json!(B256::from(U256::from(number)))
}

#[test]
fn a_call_sees_its_block() {
    with_default_node(async |node| {
        let call = async |tag: &str| -> Vec<U256> {
            let answer = node.call("eth_call", json!([{"to": BLOCK}, tag])).await;
            let bytes: Bytes = serde_json::from_value(answer).unwrap();
            bytes.chunks(32).map(U256::from_be_slice).collect()
        };
        let head = node.ledger.head();
        let latest = call("latest").await;
        assert_eq!(latest[0], U256::from(1));
        assert_eq!(latest[1], U256::from(head.header().timestamp));
        assert_eq!(latest[2], U256::ZERO, "who pays nothing sees no base fee");
        assert_eq!(call("pending").await[0], U256::from(2));
        assert_eq!(call("earliest").await[0], U256::ZERO);
    });
}

#[test]
fn a_revert_shows_its_reason_and_its_bytes() {
    with_default_node(async |node| {
        let data = Bytes::from(Revert::from("not today").abi_encode());
        for method in ["eth_call", "eth_estimateGas"] {
            let error = node.fails(method, json!([{"to": REVERTER, "data": data}])).await;
            assert_eq!(error, (3, "execution reverted: not today".into(), json!(data)), "{method}");
        }
        let error = node.fails("eth_call", json!([{"to": REVERTER}, "latest"])).await;
        assert_eq!(error, (3, "execution reverted".into(), json!("0x")));
    });
}

#[test]
fn an_endless_loop_ends_at_the_gas_cap() {
    let config = Config { gas_cap: 1_000_000, ..Config::default() };
    with_node(
        config,
        |builder| builder,
        async |node| {
            let (code, message, _) = node.fails("eth_call", json!([{"to": LOOP, "gas": "0xffffffffffff"}])).await;
            assert_eq!((code, message.as_str()), (-32000, "out of gas"));
            let (code, message, _) = node.fails("eth_estimateGas", json!([{"to": LOOP}])).await;
            assert_eq!((code, message.as_str()), (-32000, "gas required exceeds allowance (1000000)"));
        },
    );
}

#[test]
fn who_has_nothing_cannot_give() {
    with_default_node(async |node| {
        let poor = Address::repeat_byte(0x55);
        let call = json!([{"from": poor, "to": Address::ZERO, "value": "0x1"}]);
        let (code, message, _) = node.fails("eth_call", call.clone()).await;
        assert_eq!(code, -32000);
        assert!(message.starts_with("insufficient funds for gas * price + value: address"), "{message}");
        let (_, message, _) = node.fails("eth_estimateGas", call).await;
        assert!(message.starts_with("insufficient funds"), "{message}");
        let call = json!([{"from": poor, "to": Address::ZERO, "gasPrice": "0xb2d05e00"}]);
        let (_, message, _) = node.fails("eth_estimateGas", call).await;
        assert_eq!(message, "gas required exceeds allowance (0)");
    });
}

#[test]
fn an_estimate_is_enough_and_not_much_more() {
    with_default_node(async |node| {
        let transfer = json!([{"from": signer(0).address(), "to": Address::repeat_byte(1), "value": "0x1"}]);
        assert_eq!(node.call("eth_estimateGas", transfer).await, "0x5208");
        for contract in [COUNTER, CALLER, LOGGER] {
            let answer = node.call("eth_estimateGas", json!([{"from": signer(0).address(), "to": contract}])).await;
            let estimate = u64::from_str_radix(&answer.as_str().unwrap()[2..], 16).unwrap();
            let nonce = node.ledger.state(node.ledger.head().number()).unwrap().nonce(signer(0).address()).unwrap();
            let tx = TxEip1559 { gas_limit: estimate, ..unsigned(nonce, TxKind::Call(contract), 0, Bytes::new()) };
            let receipt = node.receipt(&node.send(&sign(&signer(0), tx)).await).await;
            assert_eq!(receipt["status"], "0x1", "{contract}");
            let used = u64::from_str_radix(&receipt["gasUsed"].as_str().unwrap()[2..], 16).unwrap();
            assert!(estimate <= used + used / 20 + 2_300, "{contract}: {estimate} for {used}");
        }
    });
}

#[test]
fn state_overrides_hold_for_one_call() {
    with_default_node(async |node| {
        let slot = B256::ZERO;
        let call = async |overrides: Value| node.call("eth_call", json!([{"to": COUNTER}, "latest", overrides])).await;
        assert_eq!(call(json!({})).await, word(1));
        let nine = B256::from(U256::from(9));
        assert_eq!(call(json!({COUNTER.to_string(): {"stateDiff": {slot.to_string(): nine}}})).await, word(10));
        assert_eq!(call(json!({COUNTER.to_string(): {"state": {slot.to_string(): nine}}})).await, word(10));
        assert_eq!(call(json!({})).await, word(1));
        let code = json!({COUNTER.to_string(): {"code": super::code(BLOCK)}});
        let answer = call(code).await;
        assert_eq!(answer.as_str().unwrap().len(), 2 + 4 * 64);
        let poor = Address::repeat_byte(0x55);
        let rich = json!([{"from": poor, "to": Address::ZERO, "value": "0x1"}, "latest", {poor.to_string(): {"balance": "0x1"}}]);
        assert_eq!(node.call("eth_call", rich).await, "0x");
        let both = json!([{"to": COUNTER}, "latest", {COUNTER.to_string(): {"state": {}, "stateDiff": {}}}]);
        assert!(node.fails("eth_call", both).await.1.contains("has both 'state' and 'stateDiff'"));
    });
}

#[test]
fn a_precompiled_contract_can_be_replaced_and_moved_for_one_call() {
    with_default_node(async |node| {
        let (identity, elsewhere) = (Address::with_last_byte(4), Address::repeat_byte(0x44));
        let call = async |to: Address, overrides: Value| {
            node.call("eth_call", json!([{"to": to, "input": "0xabcd"}, "latest", overrides])).await
        };
        assert_eq!(call(identity, json!({})).await, "0xabcd");
        let answer = call(identity, json!({identity.to_string(): {"code": super::code(BLOCK)}})).await;
        assert_eq!(answer.as_str().unwrap().len(), 2 + 4 * 64);
        let moved = json!({identity.to_string(): {"movePrecompileToAddress": elsewhere, "code": super::code(COUNTER)}});
        assert_eq!(call(elsewhere, moved.clone()).await, "0xabcd");
        assert_eq!(call(identity, moved).await, word(1));
        assert_eq!(call(elsewhere, json!({})).await, "0x");
        for (from, to, said) in [
            (elsewhere, identity, format!("account {elsewhere} is not a precompile")),
            (identity, identity, format!("account {identity} is already overridden")),
        ] {
            let overrides = json!({from.to_string(): {"movePrecompileToAddress": to}});
            assert_eq!(node.fails("eth_call", json!([{"to": to}, "latest", overrides])).await.1, said);
        }
    });
}

#[test]
fn block_overrides_hold_for_one_call() {
    with_default_node(async |node| {
        let overrides = json!({
            "number": "0x64", "time": "0x65", "baseFeePerGas": "0x66",
            "feeRecipient": Address::with_last_byte(0x67),
        });
        let call = json!([{"to": BLOCK, "gasPrice": "0x66", "gas": "0x186a0", "from": signer(0).address()}, "latest", {}, overrides]);
        let answer = node.call("eth_call", call).await;
        let bytes: Bytes = serde_json::from_value(answer).unwrap();
        let words: Vec<u64> = bytes.chunks(32).map(|word| U256::from_be_slice(word).to()).collect();
        assert_eq!(words, [0x64, 0x65, 0x66, 0x67]);
    });
}

#[test]
fn an_overridden_blob_base_fee_is_what_contracts_see() {
    with_default_node(async |node| {
        let asking = Address::repeat_byte(0x61);
        // Returns the blob base fee.
        let state = json!({asking.to_string(): {"code": "0x4a60005260206000f3"}});
        let (call, block) = (json!({"to": asking}), json!({"blobBaseFee": "0x2a"}));
        assert_eq!(node.call("eth_call", json!([call, "latest", state])).await, word(1));
        assert_eq!(node.call("eth_call", json!([call, "latest", state, block])).await, word(42));
        let options = json!({"tracer": "callTracer", "stateOverrides": state, "blockOverrides": block});
        assert_eq!(node.call("debug_traceCall", json!([call, "latest", options])).await["output"], word(42));
        let blocks = json!([{"stateOverrides": state, "blockOverrides": block, "calls": [call]}, {"calls": [call]}]);
        let answer = node.call("eth_simulateV1", json!([{"blockStateCalls": blocks}])).await;
        assert_eq!([0, 1].map(|index| answer[index]["calls"][0]["returnData"].clone()), [word(42), word(1)]);
        let much = json!([call, "latest", {}, {"blobBaseFee": "0x100000000000000000000000000000000"}]);
        assert!(node.fails("eth_call", much).await.1.ends_with("is more than 128 bits"));
    });
}

#[test]
fn an_access_list_names_what_is_touched() {
    with_default_node(async |node| {
        let call = json!([{"from": signer(0).address(), "to": CALLER}]);
        let answer = node.call("eth_createAccessList", call).await;
        assert_eq!(answer["accessList"], json!([{"address": COUNTER, "storageKeys": [B256::ZERO]}]));
        assert!(answer.get("error").is_none());
        assert!(answer["gasUsed"].as_str().unwrap().starts_with("0x"));
        let failing = node.call("eth_createAccessList", json!([{"to": REVERTER}])).await;
        assert_eq!(failing["error"], "execution reverted");
    });
}

#[test]
fn code_and_storage_can_be_read() {
    with_default_node(async |node| {
        let hash = node.send(&transaction(0, 0, COUNTER, 0)).await;
        node.receipt(&hash).await;
        assert_eq!(node.call("eth_getStorageAt", json!([COUNTER, "0x0", "latest"])).await, word(1));
        assert_eq!(node.call("eth_getStorageAt", json!([COUNTER, B256::ZERO, "0x1"])).await, word(0));
        assert_eq!(node.call("eth_getCode", json!([COUNTER, "latest"])).await, json!(super::code(COUNTER)));
        assert_eq!(node.call("eth_getCode", json!([Address::ZERO, "latest"])).await, "0x");
        let info = node.call("eth_getAccountInfo", json!([COUNTER, "latest"])).await;
        assert_eq!(info, json!({"balance": "0x0", "nonce": "0x1", "code": super::code(COUNTER)}));
    });
}

#[test]
fn blocks_that_never_were_build_on_each_other() {
    with_default_node(async |node| {
        let (from, to) = (signer(0).address(), Address::repeat_byte(0x31));
        let blocks = json!([
            {"calls": [{"from": from, "to": COUNTER}, {"from": from, "to": COUNTER}]},
            {
                "blockOverrides": {"number": "0x5", "time": "0x70000000"},
                "stateOverrides": {to.to_string(): {"balance": "0x7"}},
                "calls": [
                    {"from": to, "to": from, "value": "0x7"},
                    {"from": from, "to": REVERTER},
                    {"to": BLOCK},
                    {"from": from, "to": LOGGER},
                ],
            },
        ]);
        let payload = json!({"blockStateCalls": blocks, "traceTransfers": true});
        let answer = node.call("eth_simulateV1", json!([payload, "latest"])).await;
        let numbers: Vec<_> = answer.as_array().unwrap().iter().map(|block| block["number"].clone()).collect();
        assert_eq!(numbers, ["0x2", "0x3", "0x4", "0x5"]);
        assert_eq!(answer[0]["calls"][1]["returnData"], word(2));
        assert_eq!(answer[3]["parentHash"], answer[2]["hash"]);
        let calls = &answer[3]["calls"];
        assert_eq!((&calls[0]["status"], &calls[0]["gasUsed"]), (&json!("0x1"), &json!("0x5208")));
        assert_eq!(calls[0]["logs"][0]["address"], json!(Address::repeat_byte(0xee)));
        assert_eq!((&calls[1]["status"], &calls[1]["error"]["code"]), (&json!("0x0"), &json!(3)));
        assert!(calls[2]["returnData"].as_str().unwrap().starts_with(word(5).as_str().unwrap()));
        assert_eq!(
            (&calls[3]["logs"][0]["logIndex"], &calls[3]["logs"][0]["blockHash"]),
            (&json!("0x1"), &answer[3]["hash"])
        );
        assert_eq!(answer[3]["transactions"].as_array().unwrap().len(), 4);
        // Nothing of this has happened.
        assert_eq!(node.call("eth_getStorageAt", json!([COUNTER, "0x0"])).await, word(0));

        for (blocks, code) in [
            (json!([]), -32602),
            (json!(vec![json!({}); 300]), -38026),
            (json!([{"calls": vec![json!({}); 2_000]}]), -38026),
            (json!([{"blockOverrides": {"number": "0xffff"}}]), -38026),
            (json!([{"blockOverrides": {"number": "0x1"}}]), -38020),
            (json!([{"blockOverrides": {"time": "0x1"}}]), -38021),
            (json!([{"calls": [{"from": Address::repeat_byte(0x55), "to": from, "value": "0x1"}]}]), -38014),
        ] {
            assert_eq!(node.fails("eth_simulateV1", json!([{"blockStateCalls": blocks}])).await.0, code, "{blocks}");
        }
    });
}

#[test]
fn transfers_of_simulated_calls_that_failed_are_not_told() {
    with_default_node(async |node| {
        let (from, acting) = (signer(0).address(), Address::repeat_byte(0x61));
        // Sends five wei to the contract that reverts, and all that it has to its caller.
        let code = [&hex!("6000600060006000600573")[..], REVERTER.as_slice(), &hex!("5af15033ff")].concat();
        let payload = json!({"traceTransfers": true, "blockStateCalls": [{
            "stateOverrides": {acting.to_string(): {"balance": "0x9", "code": Bytes::from(code)}},
            "calls": [
                {"from": from, "to": acting, "value": "0x1"},
                {"from": from, "to": REVERTER, "value": "0x1", "input": "0x1234"},
            ],
        }]});
        let answer = node.call("eth_simulateV1", json!([payload])).await;
        let [moved, reverted] = [0, 1].map(|index| &answer[0]["calls"][index]);
        let told = |log: &Value| json!([log["topics"][1], log["topics"][2], log["data"]]);
        let told = moved["logs"].as_array().unwrap().iter().map(told).collect::<Vec<_>>();
        let party = |address: Address| json!(address.into_word());
        assert_eq!(told, [json!([party(from), party(acting), word(1)]), json!([party(acting), party(from), word(10)])]);
        assert_eq!((&reverted["logs"], &reverted["returnData"]), (&json!([]), &json!("0x")));
        assert_eq!(reverted["error"], json!({"code": 3, "message": "execution reverted", "data": "0x1234"}));
    });
}

#[test]
fn a_simulated_call_may_create_nothing_and_says_what_it_used_before_it_got_some_back() {
    with_default_node(async |node| {
        let (from, clearing) = (signer(0).address(), Address::repeat_byte(0x61));
        let cleared = json!({"code": "0x6000600055", "stateDiff": {B256::ZERO.to_string(): word(1)}});
        let payload = json!({"blockStateCalls": [{
            "stateOverrides": {clearing.to_string(): cleared},
            "calls": [{"from": from, "to": clearing}, {"from": from}],
        }]});
        let answer = node.call("eth_simulateV1", json!([payload])).await;
        let calls = &answer[0]["calls"];
        assert_eq!((&calls[0]["gasUsed"], &calls[0]["maxUsedGas"]), (&json!("0x52d6"), &json!("0x6596")));
        assert_eq!((&calls[1]["status"], &calls[1]["returnData"]), (&json!("0x1"), &json!("0x")));
        let create = json!([{"from": from, "gas": "0x186a0"}]);
        assert_eq!(node.fails("eth_fillTransaction", create).await.1, "contract creation without any data provided");
    });
}

#[test]
fn a_precompiled_contract_is_moved_for_one_simulated_block() {
    with_default_node(async |node| {
        let (identity, to) = (Address::with_last_byte(4), Address::repeat_byte(0x61));
        let calls = json!([{"to": identity, "input": "0x1234"}, {"to": to, "input": "0x1234"}]);
        let moved = json!({identity.to_string(): {"movePrecompileToAddress": to}});
        let payload = json!({"blockStateCalls": [{"stateOverrides": moved, "calls": calls}, {"calls": calls}]});
        let answer = node.call("eth_simulateV1", json!([payload])).await;
        let returned = |block: usize| [0, 1].map(|index| answer[block]["calls"][index]["returnData"].clone());
        assert_eq!([returned(0), returned(1)], [[json!("0x"), json!("0x1234")], [json!("0x1234"), json!("0x")]]);
    });
}

#[test]
fn what_a_simulated_block_refuses_is_told_by_its_code() {
    with_default_node(async |node| {
        let (from, poor) = (signer(0).address(), Address::repeat_byte(0x55));
        let raw = transaction(0, 0, poor, 0);
        node.receipt(&node.send(&raw).await).await;
        let fee = "0xb2d05e00";
        for (call, code) in [
            (json!({"from": from, "to": poor, "nonce": "0x0", "maxFeePerGas": fee}), -38010),
            (json!({"from": from, "to": poor, "nonce": "0x0"}), -38010),
            (json!({"from": from, "to": poor, "nonce": "0x9", "maxFeePerGas": fee}), -38011),
            (json!({"from": from, "to": poor, "maxFeePerGas": "0x1"}), -38012),
            (json!({"from": from, "to": poor, "gas": "0x1", "maxFeePerGas": fee}), -38013),
            (json!({"from": poor, "to": from, "value": "0x1", "gas": "0x5208", "maxFeePerGas": fee}), -38014),
            (json!({"from": from, "input": Bytes::from(vec![0; 0xc001]), "maxFeePerGas": fee}), -38025),
        ] {
            for traced in [false, true] {
                let payload =
                    json!({"blockStateCalls": [{"calls": [call]}], "validation": true, "traceTransfers": traced});
                let (said, message, _) = node.fails("eth_simulateV1", json!([payload])).await;
                assert_eq!(said, code, "{call}: {message}");
            }
        }
    });
}

//! `debug_trace*` and `trace_*`.

use super::*;

#[test]
fn a_transaction_is_replayed_where_it_stood() {
    with_default_node(async |node| {
        node.automine.store(false, Ordering::Relaxed);
        let first = node.send(&transaction(0, 0, COUNTER, 0)).await;
        let second = node.send(&transaction(0, 1, CALLER, 0)).await;
        node.mine();
        let receipt = node.receipt(&second).await;
        node.receipt(&first).await;
        let options = json!({"tracer": "callTracer"});
        let trace = node.call("debug_traceTransaction", json!([second, options])).await;
        assert_eq!((&trace["type"], &trace["to"]), (&json!("CALL"), &json!(CALLER)));
        assert_eq!(trace["gasUsed"], receipt["gasUsed"]);
        let inner = &trace["calls"][0];
        assert_eq!(inner["to"], json!(COUNTER));
        // The first transaction of the same block has counted already.
        assert_eq!(inner["output"], json!(B256::from(U256::from(2))));
        let block = node.call("debug_traceBlockByNumber", json!(["latest", options])).await;
        assert_eq!(block[1], json!({"txHash": second, "result": trace}));
        assert_eq!(block[0]["txHash"], first);
        assert_eq!(node.call("debug_traceBlockByHash", json!([receipt["blockHash"], options])).await, block);

        let steps = node.call("debug_traceTransaction", json!([second])).await;
        assert_eq!((&steps["failed"], &steps["structLogs"][0]["op"]), (&json!(false), &json!("PUSH1")));
        let prestate = node.call("debug_traceTransaction", json!([second, {"tracer": "prestateTracer"}])).await;
        assert_eq!(
            prestate[COUNTER.to_string().to_lowercase()]["storage"][B256::ZERO.to_string()],
            json!(B256::from(U256::from(1)))
        );
        let (_, message, _) = node.fails("debug_traceTransaction", json!([B256::ZERO])).await;
        assert_eq!(message, "transaction not found");
        let (_, message, _) = node.fails("debug_traceBlockByNumber", json!(["0x0"])).await;
        assert_eq!(message, "genesis is not traceable");
    });
}

#[test]
fn a_call_is_traced_with_overrides() {
    with_default_node(async |node| {
        let seven = B256::from(U256::from(7));
        let options = json!({
            "tracer": "callTracer",
            "stateOverrides": {COUNTER.to_string(): {"stateDiff": {B256::ZERO.to_string(): seven}}},
        });
        let trace = node.call("debug_traceCall", json!([{"to": COUNTER}, "latest", options])).await;
        assert_eq!(trace["output"], json!(B256::from(U256::from(8))));
        let selectors = json!([{"to": REVERTER, "data": "0x12345678"}, "latest", {"tracer": "4byteTracer"}]);
        assert_eq!(node.call("debug_traceCall", selectors).await["0x12345678-0"], 1);
        let failed = node.call("debug_traceCall", json!([{"to": REVERTER}, "latest", {"tracer": "callTracer"}])).await;
        assert_eq!(failed["error"], "execution reverted");
        let (code, _, _) = node.fails("debug_traceCall", json!([{"to": REVERTER}, "latest", {"tracer": "{}"}])).await;
        assert_eq!(code, -32000);
    });
}

#[test]
fn a_trace_that_would_fill_the_memory_is_cut_off() {
    let config = Config { max_trace_bytes: 1 << 20, ..Config::default() };
    with_node(
        config,
        |builder| builder,
        async |node| {
            let (code, message, _) = node.fails("debug_traceCall", json!([{"to": LOOP, "gas": "0x2000000"}])).await;
            assert!(code == -32000 && message.contains("trace is too large"), "{message}");
            let calls = json!([{"to": LOOP, "gas": "0x200000"}, "latest", {"tracer": "callTracer"}]);
            assert_eq!(node.call("debug_traceCall", calls).await["error"], "out of gas");
        },
    );
}

#[test]
fn what_a_block_called_is_told_one_call_after_the_other() {
    with_default_node(async |node| {
        node.automine.store(false, Ordering::Relaxed);
        let plain = node.send(&transaction(0, 0, Address::repeat_byte(1), 5)).await;
        let nested = node.send(&transaction(0, 1, CALLER, 0)).await;
        let failed = node.send(&transaction(0, 2, REVERTER, 0)).await;
        let init = bytes!("600160005360016000f3");
        let created = node.send(&sign(&signer(0), unsigned(3, TxKind::Create, 0, init.clone()))).await;
        node.mine();
        let receipt = node.receipt(&created).await;
        let of = async |hash: &Value| node.call("trace_transaction", json!([hash])).await;

        let calls = of(&nested).await;
        for (field, value) in [
            ("type", json!("call")),
            ("traceAddress", json!([])),
            ("subtraces", json!(1)),
            ("blockHash", receipt["blockHash"].clone()),
            ("blockNumber", json!(2)),
            ("transactionHash", nested.clone()),
            ("transactionPosition", json!(1)),
        ] {
            assert_eq!(calls[0][field], value, "{field}");
        }
        assert!(calls[0].get("error").is_none());
        let action = &calls[1]["action"];
        assert_eq!((&calls[1]["traceAddress"], &calls[1]["subtraces"]), (&json!([0]), &json!(0)));
        assert_eq!(
            (&action["from"], &action["to"], &action["callType"]),
            (&json!(CALLER), &json!(COUNTER), &json!("call"))
        );
        assert_eq!(calls[1]["result"]["output"], json!(B256::from(U256::from(1))));
        assert_eq!(calls.as_array().unwrap().len(), 2);

        // What a transaction costs before its call begins is not the call's.
        let transfer = of(&plain).await;
        assert_eq!(
            (&transfer[0]["action"]["gas"], &transfer[0]["action"]["value"]),
            (&json!("0x2bb38"), &json!("0x5"))
        );
        assert_eq!(transfer[0]["result"]["gasUsed"], "0x0");
        assert_eq!(of(&failed).await[0]["error"], "Reverted");
        let creation = of(&created).await;
        assert_eq!((&creation[0]["type"], &creation[0]["action"]["init"]), (&json!("create"), &json!(init)));
        assert_eq!(
            (&creation[0]["result"]["address"], &creation[0]["result"]["code"]),
            (&receipt["contractAddress"], &json!("0x01"))
        );

        let mut all = Vec::new();
        for hash in [&plain, &nested, &failed, &created] {
            all.extend(of(hash).await.as_array().unwrap().clone());
        }
        for block in [json!("latest"), json!("0x2"), receipt["blockHash"].clone()] {
            assert_eq!(node.call("trace_block", json!([block])).await, json!(all));
        }
        assert_eq!(node.call("trace_block", json!(["0x0"])).await, json!([]));
        for nothing in [json!("0x99"), json!("pending"), json!(B256::ZERO)] {
            assert!(node.call("trace_block", json!([nothing])).await.is_null());
        }
        assert!(node.call("trace_transaction", json!([B256::ZERO])).await.is_null());
    });
}

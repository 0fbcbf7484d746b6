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
        let everything = json!({"enableMemory": true, "enableReturnData": true});
        let steps = node.call("debug_traceTransaction", json!([second, everything])).await;
        let steps = steps["structLogs"].as_array().unwrap();
        for field in ["memory", "returnData", "refund"] {
            assert_eq!(steps[0].get(field), None, "there is no {field} at first");
        }
        let last = steps.last().unwrap();
        let two = format!("{:064x}", 2);
        assert!(last["memory"][0].as_str().unwrap().ends_with(&two), "{last}");
        assert_eq!(last["returnData"], json!(format!("0x{two}")));
        let prestate = node.call("debug_traceTransaction", json!([second, {"tracer": "prestateTracer"}])).await;
        assert_eq!(
            prestate[COUNTER.to_string().to_lowercase()]["storage"][B256::ZERO.to_string()],
            json!(B256::from(U256::from(1)))
        );
        let (_, message, _) = node.fails("debug_traceTransaction", json!([B256::ZERO])).await;
        assert_eq!(message, "transaction not found");
        let (_, message, _) = node.fails("debug_traceBlockByNumber", json!(["0x0"])).await;
        assert_eq!(message, "genesis is not traceable");
        for (method, block, named) in [
            ("debug_traceBlockByNumber", json!("0x99"), "#153".to_owned()),
            ("debug_traceBlockByHash", json!(B256::ZERO), B256::ZERO.to_string()),
        ] {
            let (code, message, _) = node.fails(method, json!([block])).await;
            assert_eq!((code, message), (-32000, format!("block {named} not found")));
        }
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
        let config = json!({"tracer": "flatCallTracer", "tracerConfig": vec![0; 1 << 20]});
        for options in [json!({"tracer": 1}), config] {
            assert_eq!(node.fails("debug_traceCall", json!([{"to": REVERTER}, "latest", options])).await.0, -32602);
            assert_eq!(node.fails("debug_traceBlockByNumber", json!(["0x1", options])).await.0, -32602);
        }
    });
}

#[test]
fn a_flat_trace_tells_the_gas_of_the_transaction_and_errors_as_geth_does() {
    with_default_node(async |node| {
        node.automine.store(false, Ordering::Relaxed);
        let nested = node.send(&transaction(0, 0, CALLER, 0)).await;
        let failed = node.send(&transaction(0, 1, REVERTER, 0)).await;
        node.mine();
        let trace = async |hash: &Value, config: Value| {
            let options = json!({"tracer": "flatCallTracer", "tracerConfig": config});
            node.call("debug_traceTransaction", json!([hash, options])).await
        };
        for hash in [&nested, &failed] {
            let used = node.receipt(hash).await["gasUsed"].clone();
            assert_eq!(trace(hash, json!({})).await[0]["result"]["gasUsed"], used);
            let options = json!({"tracer": "muxTracer", "tracerConfig": {"flatCallTracer": {}, "4byteTracer": {}}});
            let both = node.call("debug_traceTransaction", json!([hash, options])).await;
            assert_eq!(both["flatCallTracer"][0]["result"]["gasUsed"], used);
        }
        assert_eq!(trace(&failed, json!({})).await[0]["error"], "execution reverted");
        assert_eq!(trace(&failed, json!({"convertParityErrors": true})).await[0]["error"], "Reverted");
    });
}

#[test]
fn a_call_that_failed_has_no_logs() {
    with_default_node(async |node| {
        // LOG0 of nothing, and then STOP or REVERT.
        for (code, logs) in [("0x5f5fa000", 1), ("0x5f5fa05f5ffd", 0)] {
            let trace = async |tracer: &str, config: Value| {
                let overrides = json!({COUNTER.to_string(): {"code": code}});
                let options = json!({"tracer": tracer, "tracerConfig": config, "stateOverrides": overrides});
                node.call("debug_traceCall", json!([{"to": COUNTER}, "latest", options])).await
            };
            let config = json!({"withLog": true});
            let both = trace("muxTracer", json!({"callTracer": config})).await;
            let calls = [
                trace("callTracer", config.clone()).await,
                trace("erc7562Tracer", config).await,
                both["callTracer"].clone(),
            ];
            for call in calls {
                assert_eq!(call["logs"].as_array().map_or(0, Vec::len), logs, "{call}");
            }
        }
    });
}

#[test]
fn options_of_a_trace_that_mean_nothing_are_refused() {
    with_default_node(async |node| {
        for (options, said) in [
            (json!({"tracer": "noTracer"}), "tracer not found: noTracer"),
            (
                json!({"tracer": "{step: function() {}, fault: function() {}, result: function() { return 0; }}"}),
                "tracers in JavaScript are not run; there are callTracer, flatCallTracer, prestateTracer, erc7562Tracer, \
                 4byteTracer, muxTracer and noopTracer",
            ),
            (json!({"timeout": "soon"}), "invalid timeout \"soon\": not a duration"),
            (json!({"tracer": "muxTracer", "tracerConfig": {"noTracer": {}}}), "tracer not found: noTracer"),
            (json!({"tracer": "muxTracer", "tracerConfig": {"muxTracer": {}}}), "muxTracer cannot run muxTracer"),
        ] {
            let (code, message, _) = node.fails("debug_traceCall", json!([{"to": COUNTER}, "latest", options])).await;
            assert_eq!((code, message.as_str()), (-32000, said));
        }
        node.call("debug_traceCall", json!([{"to": COUNTER}, "latest", {"timeout": "10s"}])).await;
        // A tracer may do without settings, and have some that mean nothing to it.
        let several = json!({"callTracer": null, "prestateTracer": null, "noopTracer": {}, "4byteTracer": {"a": 1}});
        let options = json!({"tracer": "muxTracer", "tracerConfig": several});
        let traces = node.call("debug_traceCall", json!([{"to": COUNTER}, "latest", options])).await;
        assert_eq!((traces.as_object().unwrap().len(), &traces["callTracer"]["to"]), (4, &json!(COUNTER)));
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
            // What is created over and over again reverts with eight kilobytes each time.
            let creates = json!({LOOP.to_string(): {"code": "0x5b646120005ffd5f526005601b5ff0505f56"}});
            let options = json!({"tracer": "callTracer", "stateOverrides": creates});
            let create = json!([{"to": LOOP, "gas": "0x800000"}, "latest", options]);
            let (_, message, _) = node.fails("debug_traceCall", create).await;
            assert!(message.contains("trace is too large"), "{message}");
            // Steps that nobody wants told take nothing.
            let first = json!([{"to": LOOP, "gas": "0x200000"}, "latest", {"limit": 3}]);
            assert_eq!(node.call("debug_traceCall", first).await["structLogs"].as_array().unwrap().len(), 3);
        },
    );
}

#[test]
fn slots_that_are_told_again_and_again_count_each_time() {
    with_node(
        Config { max_trace_bytes: 4 << 20, ..Config::default() },
        |builder| builder,
        async |node| {
            // Reads one slot after the other, without end.
            let reads = json!({LOOP.to_string(): {"code": "0x5f5b805450600101600156"}});
            let without = |storage: bool| {
                let options = json!({"disableStorage": storage, "stateOverrides": reads});
                json!([{"to": LOOP, "gas": "0x200000"}, "latest", options])
            };
            let (code, message, _) = node.fails("debug_traceCall", without(false)).await;
            assert!(code == -32000 && message.contains("at most 4194304 bytes are recorded"), "{message}");
            assert_eq!(node.call("debug_traceCall", without(true)).await["failed"], true);
        },
    );
}

#[test]
fn the_traces_of_a_block_have_one_bound_together() {
    with_node(
        Config { max_trace_bytes: 500_000, ..Config::default() },
        |builder| builder,
        async |node| {
            node.automine.store(false, Ordering::Relaxed);
            // Eight kilobytes of memory, and some steps with them.
            let init = Bytes::from([&bytes!("600061200052")[..], &[0x5b; 10], &[0]].concat());
            let create = |nonce| sign(&signer(0), unsigned(nonce, TxKind::Create, 0, init.clone()));
            let sent = [node.send(&create(0)).await, node.send(&create(1)).await];
            node.mine();
            let block = node.receipt(&sent[1]).await["blockHash"].clone();
            let options = json!({"enableMemory": true});
            for hash in sent {
                let trace = node.call("debug_traceTransaction", json!([hash, options])).await;
                assert_eq!(trace["structLogs"][13]["memory"].as_array().unwrap().len(), 257);
            }
            for (method, id) in [("debug_traceBlockByNumber", json!("latest")), ("debug_traceBlockByHash", block)] {
                let (code, message, _) = node.fails(method, json!([id, options])).await;
                assert!(code == -32000 && message.contains("at most 500000 bytes are recorded"), "{message}");
                node.call(method, json!([id])).await;
            }
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

#[test]
fn a_transaction_is_replayed_with_its_instructions_and_what_it_changed() {
    with_default_node(async |node| {
        node.automine.store(false, Ordering::Relaxed);
        let first = node.send(&transaction(0, 0, COUNTER, 0)).await;
        let second = node.send(&transaction(0, 1, CALLER, 0)).await;
        node.mine();
        node.receipt(&second).await;
        let word = |number: u64| B256::from(U256::from(number)).to_string();
        let all = json!(["trace", "vmTrace", "stateDiff"]);
        let replayed = node.call("trace_replayTransaction", json!([second, all])).await;
        assert_eq!(replayed["output"], json!(word(2)));
        let calls = node.call("trace_transaction", json!([second])).await;
        for (call, localized) in replayed["trace"].as_array().unwrap().iter().zip(calls.as_array().unwrap()) {
            for (field, value) in call.as_object().unwrap() {
                assert_eq!(localized[field], *value, "{field}");
            }
        }
        let address = |address: Address| address.to_string().to_lowercase();
        let changed = json!({
            "balance": "=", "code": "=", "nonce": "=",
            "storage": {word(0): {"*": {"from": word(1), "to": word(2)}}},
        });
        let sender = signer(0).address();
        assert_eq!(replayed["stateDiff"][address(COUNTER)], changed);
        assert_eq!(replayed["stateDiff"][address(sender)]["nonce"], json!({"*": {"from": "0x1", "to": "0x2"}}));
        assert!(replayed["stateDiff"].get(address(CALLER)).is_none(), "it has not changed");
        let steps = &replayed["vmTrace"]["ops"];
        assert_eq!((&replayed["vmTrace"]["code"], steps.as_array().unwrap().len()), (&json!(code(CALLER)), 12));
        let inner = &steps[7]["sub"]["ops"];
        assert_eq!((inner.as_array().unwrap().len(), &inner[6]["op"]), (12, &json!("SSTORE")));
        assert_eq!(inner[6]["ex"]["store"], json!({"key": "0x0", "val": "0x2"}));

        let block = node.call("trace_replayBlockTransactions", json!(["latest", all])).await;
        assert_eq!(block[0]["transactionHash"], first);
        let mut named = replayed;
        named["transactionHash"] = second.clone();
        assert_eq!(block[1], named);
        assert_eq!(node.call("trace_replayBlockTransactions", json!(["0x0", all])).await, json!([]));

        let only = node.call("trace_replayTransaction", json!([second, ["stateDiff"]])).await;
        assert_eq!(
            (&only["trace"], &only["vmTrace"], &only["stateDiff"]),
            (&json!([]), &Value::Null, &named["stateDiff"])
        );
        for (method, nothing) in [
            ("trace_replayTransaction", json!(B256::ZERO)),
            ("trace_replayBlockTransactions", json!("0x99")),
            ("trace_replayBlockTransactions", json!("pending")),
        ] {
            assert!(node.call(method, json!([nothing, []])).await.is_null());
        }
        let (code, message, _) = node.fails("trace_replayTransaction", json!([second, ["weather"]])).await;
        assert!(code == -32602 && message.contains("unknown variant `weather`"), "{message}");
    });
}

#[test]
fn calls_and_signed_transactions_are_traced_and_change_nothing() {
    with_node(
        Config { gas_cap: 200_000, ..Config::default() },
        |builder| builder,
        async |node| {
            let word = |number: u64| json!(B256::from(U256::from(number)));
            let trace = json!(["trace"]);
            let seven = B256::from(U256::from(7));
            let seventh = json!({COUNTER.to_string(): {"stateDiff": {B256::ZERO.to_string(): seven}}});
            let call = json!([{"to": CALLER}, trace, "latest", seventh]);
            let traced = node.call("trace_call", call).await;
            assert_eq!((&traced["output"], &traced["trace"][1]["action"]["to"]), (&word(8), &json!(COUNTER)));
            let count = json!([{"to": COUNTER}, trace]);
            let many = node.call("trace_callMany", json!([[count, count]])).await;
            assert_eq!((&many[0]["output"], &many[1]["output"]), (&word(1), &word(2)));
            let raw = transaction(0, 0, CALLER, 0);
            let sent = node.call("trace_rawTransaction", json!([raw, trace])).await;
            assert_eq!((&sent["output"], &sent["trace"][0]["action"]["from"]), (&word(1), &json!(signer(0).address())));
            assert_eq!(node.call("eth_getStorageAt", json!([COUNTER, "0x0"])).await, word(0));

            let endless = json!([{"to": LOOP}, trace]);
            let failed = node.call("trace_call", endless.clone()).await;
            assert_eq!(failed["trace"][0]["error"], "Out of gas");
            // All calls together have the gas of one.
            let (code, message, _) = node.fails("trace_callMany", json!([[endless, count]])).await;
            assert!(code == -32000 && message.starts_with("intrinsic gas too low"), "{message}");
            assert_eq!(node.fails("trace_callMany", json!([vec![count; 1_001]])).await.0, -32005);
            let (code, message, _) =
                node.fails("trace_rawTransaction", json!([transaction(0, 9, CALLER, 0), trace])).await;
            assert!(code == -32000 && message.starts_with("nonce too high"), "{message}");
        },
    );
}

#[test]
fn calls_are_found_by_their_place_and_by_whose_they_are() {
    with_node(
        Config { gas_cap: 9_000, ..Config::default() },
        |builder| builder,
        async |node| {
            let plain = node.send(&transaction(1, 0, Address::repeat_byte(1), 5)).await;
            node.receipt(&plain).await;
            let nested = node.send(&transaction(0, 0, CALLER, 0)).await;
            node.receipt(&nested).await;
            let calls = node.call("trace_transaction", json!([nested])).await;
            for (place, call) in [(json!([]), &calls[0]), (json!(["0x0"]), &calls[1]), (json!(["0x1"]), &Value::Null)] {
                assert_eq!(node.call("trace_get", json!([nested, place])).await, *call, "{place}");
            }
            assert!(node.call("trace_get", json!([B256::ZERO, []])).await.is_null());

            let transfer = node.call("trace_transaction", json!([plain])).await[0].clone();
            let filter = async |fields: Value| {
                let mut filter = json!({"fromBlock": "earliest"});
                filter.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
                node.call("trace_filter", json!([filter])).await
            };
            let sender = signer(0).address();
            assert_eq!(filter(json!({})).await, json!([transfer, calls[0], calls[1]]));
            assert_eq!(filter(json!({"after": 1, "count": 1})).await, json!([calls[0]]));
            assert_eq!(filter(json!({"fromAddress": [CALLER, sender]})).await, calls);
            assert_eq!(filter(json!({"fromAddress": [sender], "toAddress": [COUNTER]})).await, json!([]));
            let either = json!({"fromAddress": [sender], "toAddress": [COUNTER], "mode": "union"});
            assert_eq!(filter(either).await, calls);
            assert_eq!(filter(json!({"toBlock": "0x2"})).await, json!([transfer]));
            assert_eq!(node.call("trace_filter", json!([{}])).await, calls, "the newest block");

            for (fields, code, why) in [
                (json!({"fromBlock": "0x2", "toBlock": "0x1"}), -32602, "invalid block range"),
                (json!({"fromAddress": ["0x12"]}), -32602, "want 40 for common.Address"),
                (json!({"after": "0x1"}), -32602, "expected a JSON number"),
                (json!({"count": -1}), -32602, "expected a whole number"),
            ] {
                let (said, message, _) = node.fails("trace_filter", json!([fields])).await;
                assert!(said == code && message.contains(why), "{message}");
            }
            let third = node.send(&transaction(0, 1, CALLER, 0)).await;
            node.receipt(&third).await;
            let (code, message, _) = node.fails("trace_filter", json!([{"fromBlock": "0x1"}])).await;
            assert!(code == -32005 && message.contains("more than 90000 gas"), "{message}");
            assert_eq!(filter(json!({"count": 1})).await, json!([transfer]));
        },
    );
}

//! Blocks, transactions, receipts, state, fees, logs.

use super::*;
use std::time::Instant;

#[test]
fn a_transfer_shows_up_everywhere() {
    with_default_node(async |node| {
        let to = Address::repeat_byte(0x77);
        let hash = node.send(&transaction(0, 0, to, 5)).await;
        let receipt = node.receipt(&hash).await;
        let from = json!(signer(0).address().to_string().to_lowercase());
        let block = node.call("eth_getBlockByNumber", json!(["latest", false])).await;
        assert_eq!(block["number"], "0x2");
        assert_eq!(block["transactions"], json!([hash]));
        for (field, value) in [
            ("status", json!("0x1")),
            ("type", json!("0x2")),
            ("gasUsed", json!("0x5208")),
            ("cumulativeGasUsed", json!("0x5208")),
            ("contractAddress", Value::Null),
            ("transactionIndex", json!("0x0")),
            ("blockNumber", json!("0x2")),
            ("blockHash", block["hash"].clone()),
            ("logs", json!([])),
            ("from", from.clone()),
            ("to", json!(to)),
            ("logsBloom", json!(format!("0x{}", "0".repeat(512)))),
        ] {
            assert_eq!(receipt[field], value, "{field}");
        }
        let base_fee = u64::from_str_radix(&block["baseFeePerGas"].as_str().unwrap()[2..], 16).unwrap();
        assert_eq!(receipt["effectiveGasPrice"], format!("{:#x}", base_fee + 5));

        let transaction = node.call("eth_getTransactionByHash", json!([hash])).await;
        for (field, value) in [
            ("hash", hash.clone()),
            ("nonce", json!("0x0")),
            ("value", json!("0x5")),
            ("gas", json!("0x30d40")),
            ("gasPrice", receipt["effectiveGasPrice"].clone()),
            ("maxFeePerGas", json!("0xb2d05e00")),
            ("maxPriorityFeePerGas", json!("0x5")),
            ("chainId", json!("0x7a69")),
            ("accessList", json!([])),
            ("input", json!("0x")),
            ("from", from),
            ("blockHash", block["hash"].clone()),
            ("transactionIndex", json!("0x0")),
        ] {
            assert_eq!(transaction[field], value, "{field}");
        }
        assert_eq!(transaction["v"], transaction["yParity"]);
        let full = node.call("eth_getBlockByHash", json!([block["hash"], true])).await;
        assert_eq!(full["transactions"][0], transaction);
        for (method, params) in [
            ("eth_getTransactionByBlockNumberAndIndex", json!(["0x2", "0x0"])),
            ("eth_getTransactionByBlockHashAndIndex", json!([block["hash"], "0x0"])),
        ] {
            assert_eq!(node.call(method, params).await, transaction);
        }
        assert!(node.call("eth_getTransactionByBlockNumberAndIndex", json!(["0x2", "0x1"])).await.is_null());
        for id in [json!("latest"), block["hash"].clone()] {
            assert_eq!(node.call("eth_getBlockReceipts", json!([id])).await, json!([receipt]));
        }
        assert!(node.call("eth_getBlockReceipts", json!([B256::ZERO])).await.is_null());
        assert_eq!(node.call("eth_getBlockTransactionCountByNumber", json!(["0x2"])).await, "0x1");
        assert_eq!(node.call("eth_getBalance", json!([to, "latest"])).await, "0x5");
        assert_eq!(node.call("eth_getBalance", json!([to, "0x1"])).await, "0x0");
        assert_eq!(node.call("eth_getBalance", json!([to, {"blockHash": block["hash"]}])).await, "0x5");
        let sender = signer(0).address();
        assert_eq!(node.call("eth_getTransactionCount", json!([sender, "latest"])).await, "0x1");
    });
}

#[test]
fn a_block_has_the_fields_of_ethereums() {
    with_default_node(async |node| {
        let block = node.call("eth_getBlockByNumber", json!(["0x1", false])).await;
        let header = node.call("eth_getHeaderByNumber", json!(["0x1"])).await;
        assert_eq!(block["uncles"], json!([]));
        assert_eq!(block["withdrawals"], json!([]));
        assert!(header.get("transactions").is_none() && header["hash"] == block["hash"]);
        // Alloy's own type reads it and computes the same hash and size.
        let read: alloy_rpc_types_eth::Block = serde_json::from_value(block.clone()).unwrap();
        assert_eq!(json!(read.header.inner.hash_slow()), block["hash"]);
        let raw: Bytes = serde_json::from_value(node.call("debug_getRawBlock", json!(["0x1"])).await).unwrap();
        assert_eq!(read.header.size, Some(U256::from(raw.len())));
        assert!(node.call("eth_getBlockByNumber", json!(["0x99", false])).await.is_null());
        assert!(node.call("eth_getBlockByHash", json!([B256::ZERO, false])).await.is_null());
        let pending = node.call("eth_getBlockByNumber", json!(["pending", false])).await;
        assert_eq!(
            (&pending["hash"], &pending["nonce"], &pending["miner"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        assert_eq!((&pending["number"], &pending["parentHash"]), (&json!("0x2"), &block["hash"]));
        assert_eq!(node.call("eth_getBlockByNumber", json!(["earliest", false])).await["number"], "0x0");
        for tag in ["latest", "safe", "finalized"] {
            assert_eq!(node.call("eth_getBlockByNumber", json!([tag, false])).await["number"], "0x1");
        }
    });
}

#[test]
fn raw_transactions_and_receipts_come_back_as_sent() {
    with_default_node(async |node| {
        let raw = transaction(0, 0, Address::repeat_byte(0x77), 5);
        let hash = node.send(&raw).await;
        node.receipt(&hash).await;
        assert_eq!(node.call("eth_getRawTransactionByHash", json!([hash])).await, json!(raw));
        assert_eq!(node.call("debug_getRawTransaction", json!([hash])).await, json!(raw));
        assert_eq!(node.call("debug_getRawReceipts", json!(["latest"])).await.as_array().unwrap().len(), 1);
    });
}

#[test]
fn slots_of_several_accounts_are_read_at_once() {
    with_default_node(async |node| {
        let hash = node.send(&transaction(0, 0, COUNTER, 0)).await;
        node.receipt(&hash).await;
        let word = |number: u64| B256::from(U256::from(number));
        let nobody = Address::repeat_byte(0x77);
        let wanted = json!({COUNTER.to_string(): [word(0), "0x1"], nobody.to_string(): ["0x0"]});
        let lower = |address: Address| address.to_string().to_lowercase();
        let held = json!({lower(COUNTER): [word(1), word(0)], lower(nobody): [word(0)]});
        assert_eq!(node.call("eth_getStorageValues", json!([wanted])).await, held);
        let before = node.call("eth_getStorageValues", json!([wanted, "0x1"])).await;
        assert_eq!(before[lower(COUNTER)], json!([word(0), word(0)]));
        for nothing in [json!({}), json!({COUNTER.to_string(): []})] {
            let (code, message, _) = node.fails("eth_getStorageValues", json!([nothing])).await;
            assert_eq!((code, message.as_str()), (-32602, "empty request"));
        }
        for slots in [1_025, 10_000] {
            let many = json!([{COUNTER.to_string(): vec!["0x0"; slots]}]);
            let (code, message, _) = node.fails("eth_getStorageValues", many).await;
            assert_eq!((code, message.as_str()), (-38026, "too many slots (max 1024)"));
        }
        let halves = json!([{COUNTER.to_string(): vec!["0x0"; 513], nobody.to_string(): vec!["0x0"; 512]}]);
        assert_eq!(node.fails("eth_getStorageValues", halves).await.0, -38026);
    });
}

#[test]
fn code_is_found_by_its_hash() {
    with_default_node(async |node| {
        let code = super::code(COUNTER);
        let at = async |hash: B256| node.call("debug_codeByHash", json!([hash])).await;
        assert_eq!(at(alloy_primitives::keccak256(&code)).await, json!(code));
        assert_eq!(at(alloy_primitives::KECCAK256_EMPTY).await, "0x");
        for nothing in [B256::ZERO, B256::repeat_byte(1)] {
            assert!(at(nothing).await.is_null());
        }
    });
}

#[test]
fn the_rules_of_the_chain_are_told() {
    with_default_node(async |node| {
        let config = node.call("eth_config", json!([])).await;
        let current = &config["current"];
        let precompiles = current["precompiles"].as_object().unwrap();
        assert_eq!((precompiles.len(), &precompiles["ECREC"]), (18, &json!(Address::with_last_byte(1))));
        let p256 = address!("0000000000000000000000000000000000000100");
        assert_eq!(precompiles["P256VERIFY"], json!(p256));
        // CRC-32, as EIP-2124 has it, bit by bit.
        let bit = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        let crc = node.ledger.first().hash().iter().fold(!0_u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit));
        let expected = json!({
            "activationTime": 0,
            "blobSchedule": {"baseFeeUpdateFraction": 1, "max": 0, "target": 0},
            "chainId": "0x7a69",
            "forkId": format!("0x{:08x}", !crc),
            "precompiles": precompiles,
            "systemContracts": {},
        });
        assert_eq!(config, json!({"current": expected, "next": null, "last": null}));
    });
}

#[test]
fn old_state_is_refused_in_words_and_unknown_blocks_too() {
    with_default_node(async |node| {
        for number in 2..12 {
            node.mine();
            while node.ledger.head().number() < number {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        let account = signer(0).address();
        let (code, message, _) = node.fails("eth_getBalance", json!([account, "0x1"])).await;
        assert!(code == -32000 && message.contains("no longer kept"), "{message}");
        let (_, message, _) = node.fails("eth_getBalance", json!([account, "0x99"])).await;
        assert_eq!(message, "header not found");
        let (_, message, _) = node.fails("eth_getBalance", json!([account, B256::ZERO])).await;
        assert_eq!(message, "header for hash not found");
    });
}

#[test]
fn parameters_are_checked_and_named() {
    with_default_node(async |node| {
        for (method, params, wanted) in [
            ("eth_getBalance", json!([]), "missing value for required argument 0"),
            (
                "eth_getBalance",
                json!(["0x12"]),
                "invalid argument 0: json: cannot unmarshal hex string has length 2, want 40 for common.Address \
                 into Go value of type common.Address",
            ),
            (
                "eth_getBalance",
                json!([Address::ZERO, "0x01"]),
                "invalid argument 1: hex number with leading zero digits",
            ),
            ("eth_getBalance", json!([Address::ZERO, "latest", 1]), "too many arguments, want at most 2"),
            ("eth_getBalance", json!({"a": 1}), "non-array args"),
            ("eth_getBlockByNumber", json!(["newest", false]), "invalid argument 0: hex string without 0x prefix"),
            ("eth_blockNumber", json!([1]), "too many arguments, want at most 0"),
            ("eth_getStorageAt", json!([Address::ZERO, "0xasdf"]), "invalid hex in storage key: \"0xasdf\""),
        ] {
            let (code, message, _) = node.fails(method, params).await;
            assert_eq!((code, message.as_str()), (-32602, wanted), "{method}");
        }
        let (code, message, _) = node.fails("eth_nonsense", json!([])).await;
        assert_eq!((code, message.as_str()), (-32601, "the method eth_nonsense does not exist/is not available"));
        let (code, message, _) = node.fails("eth_getProof", json!([])).await;
        assert!(code == -32601 && message.contains("stoa_getProof"));
    });
}

#[test]
fn the_node_says_what_it_is() {
    with_node(
        Config::default(),
        |builder| builder.client_version("Stoa/v0/test"),
        async |node| {
            for (method, wanted) in [
                ("web3_clientVersion", json!("Stoa/v0/test")),
                ("net_version", json!("31337")),
                ("net_listening", json!(true)),
                ("net_peerCount", json!("0x0")),
                ("eth_chainId", json!("0x7a69")),
                ("eth_syncing", json!(false)),
                ("eth_blockNumber", json!("0x1")),
                ("eth_accounts", json!([])),
                ("eth_blobBaseFee", json!("0x1")),
                ("debug_getBadBlocks", json!([])),
            ] {
                assert_eq!(node.call(method, json!([])).await, wanted, "{method}");
            }
            // Geth has them no more. Tools take a node that does not know `eth_mining` for one whose blocks come by themselves.
            for method in ["eth_mining", "eth_hashrate"] {
                assert_eq!(node.fails(method, json!([])).await.0, -32601, "{method}");
            }
            let modules = node.call("rpc_modules", json!([])).await;
            assert!(["eth", "net", "web3", "txpool", "debug"].iter().all(|space| modules[space] == "1.0"), "{modules}");
            let hash = node.call("web3_sha3", json!(["0x"])).await;
            assert_eq!(hash, "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
        },
    );
}

#[test]
fn prices_follow_the_chain() {
    with_default_node(async |node| {
        assert_eq!(node.call("eth_maxPriorityFeePerGas", json!([])).await, "0x3b9aca00");
        let hash = node.send(&transaction(0, 0, Address::ZERO, 1)).await;
        node.receipt(&hash).await;
        assert_eq!(node.call("eth_maxPriorityFeePerGas", json!([])).await, "0x5");
        let history = node.call("eth_feeHistory", json!(["0x5", "latest", [10.0, 90.0]])).await;
        assert_eq!(history["oldestBlock"], "0x0");
        assert_eq!(history["baseFeePerGas"].as_array().unwrap().len(), 4);
        assert_eq!(history["gasUsedRatio"].as_array().unwrap().len(), 3);
        assert_eq!(history["reward"], json!([["0x0", "0x0"], ["0x0", "0x0"], ["0x5", "0x5"]]));
        let next = node.call("eth_getBlockByNumber", json!(["pending", false])).await;
        assert_eq!(history["baseFeePerGas"][3], next["baseFeePerGas"]);
        assert_eq!(node.call("eth_baseFee", json!([])).await, next["baseFeePerGas"]);
        let (_, message, _) = node.fails("eth_feeHistory", json!(["0x1", "latest", [90, 10]])).await;
        assert!(message.starts_with("invalid reward percentile"), "{message}");
        let (_, message, _) = node.fails("eth_feeHistory", json!(["0x1", "0x99"])).await;
        assert!(message.starts_with("request beyond head block"), "{message}");
    });
}

#[test]
fn logs_are_found_by_what_they_say() {
    with_node(
        Config { max_log_blocks: 3, max_logs: 2, ..Config::default() },
        |builder| builder,
        async |node| {
            let hash = node.send(&transaction(0, 0, LOGGER, 0)).await;
            let receipt = node.receipt(&hash).await;
            let topic = B256::with_last_byte(7);
            let logs = node.call("eth_getLogs", json!([{"fromBlock": "0x0", "address": LOGGER}])).await;
            assert_eq!(logs, receipt["logs"]);
            let log = &logs[0];
            assert_eq!(log["topics"], json!([topic]));
            assert_eq!((&log["logIndex"], &log["removed"]), (&json!("0x0"), &json!(false)));
            assert_eq!(log["transactionHash"], hash);
            assert_ne!(receipt["logsBloom"], json!(format!("0x{}", "0".repeat(512))));
            let by_hash = json!([{"blockHash": receipt["blockHash"], "topics": [topic]}]);
            assert_eq!(node.call("eth_getLogs", by_hash).await, logs);
            let others = json!([{"fromBlock": "0x0", "topics": [B256::ZERO]}]);
            assert_eq!(node.call("eth_getLogs", others).await, json!([]));

            let (code, message, _) = node.fails("eth_getLogs", json!([{"blockHash": B256::ZERO}])).await;
            assert_eq!((code, message.as_str()), (-32000, "unknown block"));
            for method in ["eth_getLogs", "eth_newFilter"] {
                for (range, wanted) in [
                    (json!({"fromBlock": "pending"}), "pending logs are not supported"),
                    (json!({"fromBlock": "0x1", "toBlock": "pending"}), "pending logs are not supported"),
                    (json!({"fromBlock": "0x2", "toBlock": "0x1"}), "invalid block range params"),
                ] {
                    let (code, message, _) = node.fails(method, json!([range])).await;
                    assert_eq!((code, message.as_str()), (-32602, wanted), "{method} of {range}");
                }
            }
            for nonce in 1..3 {
                let hash = node.send(&transaction(0, nonce, LOGGER, 0)).await;
                node.receipt(&hash).await;
            }
            let (code, message, _) = node.fails("eth_getLogs", json!([{"fromBlock": "0x0"}])).await;
            assert!(code == -32005 && message.contains("block range too large"), "{message}");
            for from in ["0x4", "0x5"] {
                let beyond = json!([{"fromBlock": from, "toBlock": "0x5"}]);
                let (code, message, _) = node.fails("eth_getLogs", beyond).await;
                assert_eq!((code, message.as_str()), (-32602, "block range extends beyond current head block"));
            }
            let both = json!([{"blockHash": receipt["blockHash"], "toBlock": "0x1"}]);
            let (code, message, _) = node.fails("eth_getLogs", both).await;
            assert_eq!(code, -32602);
            assert!(message.contains("cannot specify both BlockHash and FromBlock/ToBlock"), "{message}");
            let (code, message, _) = node.fails("eth_getLogs", json!([{"fromBlock": "0x2"}])).await;
            assert!(code == -32005 && message.contains("more than 2 results"), "{message}");
        },
    );
}

#[test]
fn filters_report_what_is_new_once() {
    with_default_node(async |node| {
        let blocks = node.call("eth_newBlockFilter", json!([])).await;
        let logs = node.call("eth_newFilter", json!([{"address": LOGGER}])).await;
        let pending = node.call("eth_newPendingTransactionFilter", json!([])).await;
        let ended = node.call("eth_newFilter", json!([{"address": LOGGER, "toBlock": "0x1"}])).await;
        let hash = node.send(&transaction(0, 0, LOGGER, 0)).await;
        let receipt = node.receipt(&hash).await;
        let changes = async |id: &Value| node.call("eth_getFilterChanges", json!([id])).await;
        assert_eq!(changes(&blocks).await, json!([receipt["blockHash"]]));
        assert_eq!(changes(&logs).await, receipt["logs"]);
        // It is told of on another way than blocks.
        let until = Instant::now() + Duration::from_secs(10);
        let mut waited = changes(&pending).await;
        while waited == json!([]) && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
            waited = changes(&pending).await;
        }
        assert_eq!(waited, json!([hash]));
        assert_eq!(changes(&ended).await, json!([]));
        for id in [&blocks, &logs, &pending] {
            assert_eq!(changes(id).await, json!([]));
        }
        assert_eq!(node.call("eth_getFilterLogs", json!([logs])).await, receipt["logs"]);
        assert_eq!(node.call("eth_uninstallFilter", json!([logs])).await, true);
        assert_eq!(node.call("eth_uninstallFilter", json!([logs])).await, false);
        let (code, message, _) = node.fails("eth_getFilterChanges", json!([logs])).await;
        assert_eq!((code, message.as_str()), (-32000, "filter not found"));
    });
}

#[test]
fn a_development_network_says_which_it_is() {
    with_node(
        Config::default(),
        |builder| builder.accounts([signer(0)]).methods(crate::dev::register_network),
        async |node| {
            for method in ["hardhat_metadata", "anvil_metadata"] {
                let metadata = node.call(method, json!([])).await;
                assert_eq!(metadata["chainId"], 31337);
                assert_eq!(metadata["instanceId"], json!(node.ledger.first().hash()));
                let head = node.ledger.head();
                assert_eq!(
                    (&metadata["latestBlockNumber"], &metadata["latestBlockHash"]),
                    (&json!(head.number()), &json!(head.hash()))
                );
                assert_eq!((&metadata["snapshots"], metadata.get("forkedNetwork")), (&json!({}), None));
            }
            assert_eq!(node.call("eth_requestAccounts", json!([])).await, json!([signer(0).address()]));
        },
    );
}

//! A development chain behind a real server, driven as Hardhat's and Anvil's tools drive theirs.

mod state;

use super::{Dev, Names, register};
use crate::{
    Config, Handle, RpcError, Server,
    tests::{COUNTER, LOOP, REVERTER, genesis, mempool, mine, sign, signer, unsigned},
};
use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, bytes};
use alloy_sol_types::{Revert, SolError};
use commonware_runtime::{Runner as _, tokio as runtime};
use commonware_utils::NZUsize;
use futures::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use revm::primitives::eip7825::TX_GAS_LIMIT_CAP;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use stoa_base::Account;
use stoa_ledger::{Committed, Direct, Ledger, LedgerConfig, Set, execute::Choices, state::Runtime};
use stoa_mempool::{Content, Pool};
use tokio::sync::Mutex as AsyncMutex;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

/// A ledger and its pool. The first snapshot of the ledger is the way back to its first block.
struct Chain<E: Runtime> {
    direct: AsyncMutex<Direct<E>>,
    pool: Pool,
    waiting: Mutex<Vec<(u64, Content)>>,
    by_hand: Mutex<Names>,
}

fn failed(error: impl std::fmt::Display) -> RpcError {
    RpcError::server(error.to_string())
}

impl<E: Runtime> Dev for Chain<E> {
    async fn mine(&self, blocks: Vec<Choices>) -> Result<Vec<Committed>, RpcError> {
        let mut direct = self.direct.lock().await;
        let mut mined = Vec::new();
        if blocks.len() > 1 && self.pool.status().pending == 0 {
            return direct.mine_empty(&blocks).await.map_err(failed);
        }
        for choices in blocks {
            let committed = mine(&mut direct, &self.pool, &choices).await.map_err(failed)?;
            mined.push(committed);
        }
        Ok(mined)
    }

    async fn set(&self, fields: Vec<(Address, Set)>) -> Result<(), RpcError> {
        for (address, what) in &fields {
            let mut names = self.by_hand.lock();
            names.entry(*address).or_default();
            if let Some((of, slot)) = what.slot(*address) {
                names.entry(of).or_default().insert(slot);
            }
        }
        self.direct.lock().await.set_all(fields).await.map_err(failed)?;
        self.pool.refresh().map_err(failed)
    }

    async fn dump(&self, mut names: Names) -> Result<BTreeMap<Address, Account>, RpcError> {
        for (address, slots) in &*self.by_hand.lock() {
            names.entry(*address).or_default().extend(slots);
        }
        self.direct.lock().await.dump(&names).await.map_err(failed)
    }

    async fn snapshot(&self) -> Result<u64, RpcError> {
        let id = self.direct.lock().await.snapshot() - 1;
        self.waiting.lock().push((id, self.pool.content()));
        Ok(id)
    }

    async fn revert(&self, id: u64) -> Result<bool, RpcError> {
        if !self.direct.lock().await.revert(id + 1).await.map_err(failed)? {
            return Ok(false);
        }
        self.pool.clear().map_err(failed)?;
        let mut waiting = self.waiting.lock();
        let at = waiting.iter().position(|(known, _)| *known == id).unwrap();
        let (_, content) = waiting.drain(at..).next().unwrap();
        for transaction in content.pending.iter().chain(&content.queued) {
            self.pool.add((**transaction).clone()).map_err(failed)?;
        }
        Ok(true)
    }

    async fn reset(&self) -> Result<(), RpcError> {
        let mut direct = self.direct.lock().await;
        direct.revert(1).await.map_err(failed)?;
        self.pool.clear().map_err(failed)
    }

    fn drop_transaction(&self, hash: B256) -> bool {
        self.pool.remove(&hash).is_some()
    }
}

struct Node {
    handle: Handle,
    client: reqwest::Client,
    /// What it says that it is.
    agent: &'static str,
}

impl Node {
    async fn ask(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let url = format!("http://{}", self.handle.local_addr());
        let request = self.client.post(url).header("content-type", "application/json").header("user-agent", self.agent);
        let request = request.body(body);
        serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    async fn fails(&self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, params).await;
        assert!(answer["error"].is_object(), "{method} did not fail: {answer}");
        answer["error"].take()
    }

    /// A number that the method gives as a quantity.
    async fn number(&self, method: &str, params: Value) -> u64 {
        let text = self.call(method, params).await;
        u64::from_str_radix(text.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    /// A field of the newest block, or of the pending one.
    async fn block(&self, tag: &str, field: &str) -> u64 {
        let block = self.call("eth_getBlockByNumber", json!([tag, false])).await;
        u64::from_str_radix(block[field].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    async fn height(&self) -> u64 {
        self.number("eth_blockNumber", json!([])).await
    }
}

fn with_chain<Fut: Future<Output = ()>>(test: impl FnOnce(Node) -> Fut) {
    with_config(Config::default(), async |node, _| test(node).await);
}

fn with_config(settings: Config, test: impl AsyncFnOnce(Node, Ledger)) {
    with_block_time(None, settings, test);
}

fn with_block_time(block_time: Option<u64>, settings: Config, test: impl AsyncFnOnce(Node, Ledger)) {
    let (storage, history) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let threads = runtime::Config::new().with_storage_directory(storage.path()).with_worker_threads(2);
    runtime::Runner::new(threads).start(async |context| {
        let config = LedgerConfig { durable: false, lenient: true, ..LedgerConfig::new(history.path()) };
        let mut direct = Direct::open(context, genesis(), config, 1 << 20, NZUsize!(1)).await.unwrap();
        assert_eq!(direct.snapshot(), 1);
        let ledger = direct.ledger().clone();
        let pool = mempool(&ledger);
        let chain = Chain {
            direct: AsyncMutex::new(direct),
            pool: pool.clone(),
            waiting: Mutex::default(),
            by_hand: Mutex::default(),
        };
        let builder = Server::builder(ledger.clone(), pool)
            .config(settings)
            .client_version("HardhatNetwork/test")
            .accounts([signer(1), signer(0)]);
        let builder = register(builder, Arc::new(chain), &ledger, block_time).await;
        let handle = builder.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        test(Node { handle, client: crate::tests::http_client(), agent: "cast" }, ledger).await;
    });
}

#[test]
fn what_nobody_waits_for_any_more_is_done_to_its_end() {
    with_config(Config { request_timeout: Duration::ZERO, ..Config::default() }, async |node, ledger| {
        let mut blocks = ledger.subscribe();
        let raw = sign(&signer(0), unsigned(0, TxKind::Call(COUNTER), 0, Bytes::new()));
        node.ask("eth_sendRawTransaction", json!([raw])).await;
        // It would never come if the request's end had ended this too.
        let mined = tokio::time::timeout(Duration::from_secs(60), blocks.recv()).await.unwrap().unwrap();
        assert_eq!(mined.block.transactions().len(), 1);
    });
}

const HARDHAT: &str = "hardhat 2.26.3";

const STRANGER: &str = "0x00000000000000000000000000000000000000c0";

fn account(n: u8) -> String {
    signer(n).address().to_string()
}

#[test]
fn sending_mines_a_block_at_once() {
    with_chain(async |node| {
        assert_eq!(
            node.call("eth_accounts", json!([])).await,
            json!([account(1), account(0)].map(|a| a.to_lowercase()))
        );
        let hash =
            node.call("eth_sendTransaction", json!([{"from": account(0), "to": STRANGER, "value": "0x7"}])).await;
        assert_eq!(node.height().await, 1);
        let receipt = node.call("eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!((receipt["status"].as_str(), receipt["gasUsed"].as_str()), (Some("0x1"), Some("0x5208")));
        let raw = sign(&signer(0), unsigned(1, TxKind::Call(COUNTER), 0, Bytes::new()));
        node.call("eth_sendRawTransaction", json!([raw])).await;
        assert_eq!(node.height().await, 2);
        let raw = sign(&signer(0), unsigned(2, TxKind::Call(COUNTER), 0, Bytes::new()));
        let receipt = node.call("eth_sendRawTransactionSync", json!([raw])).await;
        assert_eq!(receipt["blockNumber"], "0x3");
        assert_eq!(node.call("eth_getBalance", json!([STRANGER, "latest"])).await, "0x7");
    });
}

#[test]
fn a_failed_transaction_is_mined_and_its_receipt_says_so() {
    with_chain(async |node| {
        let data = Bytes::from(Revert::from("no").abi_encode());
        let request = json!({"from": account(0), "to": REVERTER, "data": data});
        // What is not said to fit some gas is estimated before it is sent.
        for method in ["eth_call", "eth_estimateGas", "eth_sendTransaction"] {
            let error = node.fails(method, json!([request])).await;
            assert_eq!(error, json!({"code": 3, "message": "execution reverted: no", "data": data}), "{method}");
        }
        assert_eq!(node.height().await, 0);
        let mut with_gas = request.clone();
        with_gas["gas"] = json!("0x30000");
        let first = node.call("eth_sendTransaction", json!([with_gas])).await;
        let raw = |nonce| sign(&signer(1), unsigned(nonce, TxKind::Call(REVERTER), 0, bytes!("dead")));
        let second = node.call("eth_sendRawTransaction", json!([raw(0)])).await;
        for (hash, block) in [(first, "0x1"), (second, "0x2")] {
            let receipt = node.call("eth_getTransactionReceipt", json!([hash])).await;
            assert_eq!((receipt["status"].as_str(), receipt["blockNumber"].as_str()), (Some("0x0"), Some(block)));
        }
        let third = node.call("eth_sendRawTransactionSync", json!([raw(1)])).await;
        assert_eq!((&third["status"], &third["blockNumber"]), (&json!("0x0"), &json!("0x3")));
        let error = node.fails("eth_call", json!([{"to": LOOP, "gas": "0x30000"}])).await;
        assert_eq!(error, json!({"code": -32000, "message": "out of gas"}));
    });
}

#[test]
fn hardhat_is_told_the_reason_of_a_failed_transaction_that_is_mined() {
    with_chain(async |mut node| {
        node.agent = HARDHAT;
        let data = Bytes::from(Revert::from("no").abi_encode());
        let request = json!({"from": account(0), "to": REVERTER, "data": data, "gas": "0x30000"});
        let said = "VM Exception while processing transaction: reverted with reason string 'no'";
        let error = node.fails("eth_sendTransaction", json!([request])).await;
        assert_eq!(error["code"], -32603);
        assert_eq!(error["message"], said);
        assert_eq!((&error["data"]["message"], &error["data"]["data"]), (&json!(said), &json!(data)));
        let receipt = node.call("eth_getTransactionReceipt", json!([error["data"]["txHash"]])).await;
        assert_eq!((receipt["status"].as_str(), receipt["blockNumber"].as_str()), (Some("0x0"), Some("0x1")));

        let raw = sign(&signer(1), unsigned(0, TxKind::Call(REVERTER), 0, Bytes::from_static(&[0xde, 0xad])));
        let error = node.fails("eth_sendRawTransaction", json!([raw])).await;
        assert!(error["message"].as_str().unwrap().ends_with("unrecognized custom error (return data: 0xdead)"));
        assert_eq!(node.height().await, 2);

        for method in ["eth_call", "eth_estimateGas"] {
            let error = node.fails(method, json!([request])).await;
            assert_eq!((&error["message"], &error["data"]["data"]), (&json!(said), &json!(data)), "{method}");
            assert!(error["data"].get("txHash").is_none());
        }
        let error = node.fails("eth_call", json!([{"to": LOOP, "gas": "0x30000"}])).await;
        assert_eq!((&error["message"], &error["data"]["data"]), (&json!("Transaction ran out of gas"), &json!("0x")));
        // Nothing is estimated before it is sent.
        let error = node.fails("eth_sendTransaction", json!([{"from": account(0), "to": REVERTER}])).await;
        assert_eq!(error["message"], "Transaction reverted without a reason string");
        assert_eq!(node.height().await, 3);
        // The same client may say that it is another the next time.
        node.agent = "cast";
        assert_eq!(node.fails("eth_call", json!([request])).await["code"], 3);
    });
}

#[test]
fn hardhat_estimates_at_the_price_of_a_transaction_that_says_none() {
    with_chain(async |mut node| {
        // Stores the price of gas: storing nothing where nothing was is cheaper.
        node.call("hardhat_setCode", json!([STRANGER, "0x3a600055"])).await;
        let request = json!({"from": account(0), "to": STRANGER});
        let free = node.number("eth_estimateGas", json!([request])).await;
        node.agent = HARDHAT;
        let paid = node.number("eth_estimateGas", json!([request])).await;
        assert!(free < 30_000 && paid > 40_000, "{free} {paid}");
        let mut with_gas = request.clone();
        with_gas["gas"] = json!(format!("{paid:#x}"));
        node.call("eth_sendTransaction", json!([with_gas])).await;

        // It need not be paid for.
        let poor = json!([{"from": STRANGER, "to": account(0), "value": "0x7", "gasPrice": "0x77359400"}]);
        assert_eq!(node.number("eth_estimateGas", poor.clone()).await, 21_000);
        assert_eq!(node.call("eth_call", poor.clone()).await, "0x");
        let absurd = json!([{"from": STRANGER, "to": account(0), "value": U256::MAX, "gasPrice": "0x77359400"}]);
        for method in ["eth_estimateGas", "eth_call"] {
            assert_eq!(node.fails(method, absurd.clone()).await["code"], -32000, "{method}");
        }
        node.agent = "cast";
        for method in ["eth_estimateGas", "eth_call"] {
            assert_eq!(node.fails(method, poor.clone()).await["code"], -32000, "{method}");
        }
    });
}

#[test]
fn what_an_account_sends_at_once_gets_a_nonce_each() {
    with_chain(async |node| {
        let request = json!([{"from": account(0), "to": COUNTER, "gas": "0x30000"}]);
        let sent = futures::future::join_all((0..64).map(|_| node.call("eth_sendTransaction", request.clone()))).await;
        let hashes: std::collections::HashSet<_> = sent.iter().map(Value::to_string).collect();
        assert_eq!((hashes.len(), node.height().await), (64, 64));
        assert_eq!(node.number("eth_getTransactionCount", json!([account(0), "latest"])).await, 64);
    });
}

#[test]
fn a_websocket_is_hardhats_if_its_upgrade_says_so() {
    with_chain(async |node| {
        for (agent, code) in [("Hardhat 3.0.1", -32603), ("python-websockets", 3)] {
            let mut upgrade = format!("ws://{}", node.handle.local_addr()).into_client_request().unwrap();
            upgrade.headers_mut().insert("user-agent", agent.parse().unwrap());
            let (mut socket, _) = connect_async(upgrade).await.unwrap();
            let call = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{"to": REVERTER}]});
            socket.send(Message::text(call.to_string())).await.unwrap();
            let answer = socket.next().await.unwrap().unwrap();
            let answer: Value = serde_json::from_str(answer.to_text().unwrap()).unwrap();
            assert_eq!(answer["error"]["code"], code, "{agent}: {answer}");
        }
    });
}

#[test]
fn a_transaction_may_have_all_the_gas_of_a_block() {
    with_chain(async |node| {
        let send = json!([{"from": account(0), "to": COUNTER, "gas": "0x1c9c380"}]);
        let hash = node.call("eth_sendTransaction", send).await;
        assert_eq!(node.call("eth_getTransactionReceipt", json!([hash])).await["status"], "0x1");
        let trace = node.call("debug_traceTransaction", json!([hash, {"tracer": "callTracer"}])).await;
        assert!(trace["error"].is_null(), "{trace}");
        // Writes behind three million bytes of memory.
        let code = json!({STRANGER: {"code": "0x5f622d69005200"}});
        let estimate = node.number("eth_estimateGas", json!([{"to": STRANGER}, "latest", code])).await;
        assert!(estimate > TX_GAS_LIMIT_CAP, "{estimate}");
    });
}

#[test]
fn what_cannot_be_sent_is_refused_in_the_clients_words() {
    with_chain(async |mut node| {
        node.call("eth_sendTransaction", json!([{"from": account(0), "to": STRANGER}])).await;
        let refusals = [
            (
                json!({"from": account(0), "to": STRANGER, "nonce": "0x0"}),
                "Nonce too low. Expected nonce to be at least 1 but got 0.",
            ),
            (json!({"from": STRANGER, "to": account(0)}), "Unknown account 0x00000000000000000000000000000000000000C0"),
            (
                json!({"from": account(0), "to": STRANGER, "maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x1"}),
                "Transaction maxFeePerGas (1) is too low for the next block, which has a baseFeePerGas of ",
            ),
            (
                json!({"from": account(0), "to": STRANGER, "gasPrice": "0x1"}),
                "Transaction gasPrice (1) is too low for the next block, which has a baseFeePerGas of ",
            ),
            (
                json!({"from": account(0), "to": STRANGER, "value": "0xffffffffffffffffffffff"}),
                "Sender doesn't have enough funds to send tx. The max upfront cost is: ",
            ),
        ];
        node.agent = HARDHAT;
        for (request, said) in refusals {
            let error = node.fails("eth_sendTransaction", json!([request])).await;
            assert!(error["message"].as_str().unwrap().starts_with(said), "{error}");
        }
        node.agent = "cast";
        for (nonce, most, said) in [
            (0, 2_000_000_000, "nonce too low: next nonce 1, tx nonce 0"),
            (1, 1, "max fee per gas less than block base fee: address "),
        ] {
            let transaction = unsigned(nonce, TxKind::Call(COUNTER), 0, Bytes::new());
            let transaction = TxEip1559 { max_fee_per_gas: most, max_priority_fee_per_gas: 1, ..transaction };
            let error = node.fails("eth_sendRawTransaction", json!([sign(&signer(0), transaction)])).await;
            assert!(error["message"].as_str().unwrap().starts_with(said), "{error}");
        }
        assert_eq!(node.height().await, 1);
        assert_eq!(node.call("txpool_status", json!([])).await, json!({"pending": "0x0", "queued": "0x0"}));
    });
}

#[test]
fn blocks_are_mined_on_demand_when_automining_is_off() {
    with_chain(async |node| {
        assert_eq!(node.call("eth_mining", json!([])).await, true);
        assert_eq!(node.call("evm_setAutomine", json!([false])).await, true);
        assert_eq!(node.call("hardhat_getAutomine", json!([])).await, false);
        assert_eq!(node.call("eth_mining", json!([])).await, false);
        let send = async |nonce: &str| {
            node.call("eth_sendTransaction", json!([{"from": account(0), "to": STRANGER, "nonce": nonce}])).await
        };
        let (first, second) = (send("0x0").await, send("0x1").await);
        assert_eq!(node.height().await, 0);
        assert_eq!(node.call("hardhat_dropTransaction", json!([second])).await, true);
        assert_eq!(node.call("hardhat_dropTransaction", json!([second])).await, false);
        assert_eq!(node.call("evm_mine", json!([])).await, "0x0");
        assert_eq!(node.call("eth_getTransactionReceipt", json!([first])).await["blockNumber"], "0x1");
        let error = node.fails("hardhat_dropTransaction", json!([first])).await;
        assert_eq!(
            error["message"],
            format!("Transaction {} cannot be dropped because it's already mined", first.as_str().unwrap())
        );
        // Nonces cannot be changed under waiting transactions.
        send("0x1").await;
        let error = node.fails("hardhat_setNonce", json!([STRANGER, "0x5"])).await;
        assert_eq!(error["message"], "Cannot set account nonce when the transaction pool is not empty");
    });
}

#[test]
fn many_blocks_come_with_a_time_between_them() {
    with_chain(async |node| {
        node.call("hardhat_mine", json!(["0x258", "0x3c"])).await;
        assert_eq!(node.height().await, 600);
        let time = async |number: u64| {
            let block = node.call("eth_getBlockByNumber", json!([format!("{number:#x}"), false])).await;
            u64::from_str_radix(block["timestamp"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
        };
        assert_eq!(time(600).await - time(1).await, 599 * 60);
        assert_eq!(time(257).await - time(256).await, 60);
        node.call("evm_mine", json!([{"blocks": 3}])).await;
        assert_eq!(node.height().await, 603);
        let error = node.fails("hardhat_mine", json!(["0x100000000"])).await;
        assert_eq!(error["code"], -32602);
    });
}

#[test]
fn time_is_set_and_moves_on() {
    with_chain(async |node| {
        node.call("evm_mine", json!([])).await;
        let start = node.block("latest", "timestamp").await;
        assert_eq!(node.call("evm_increaseTime", json!([1000])).await, "1000");
        assert_eq!(node.call("anvil_increaseTime", json!(["0xa"])).await, 1010);
        // What is estimated sees the next block's time.
        assert!(node.block("pending", "timestamp").await >= start + 1010);
        node.call("evm_mine", json!([])).await;
        let now = node.block("latest", "timestamp").await;
        assert!((start + 1010..start + 1070).contains(&now));

        let next = now + 5000;
        assert_eq!(node.call("evm_setNextBlockTimestamp", json!([format!("{next:#x}")])).await, next.to_string());
        assert_eq!(node.block("pending", "timestamp").await, next);
        node.call("eth_sendTransaction", json!([{"from": account(0), "to": COUNTER}])).await;
        assert_eq!(node.block("latest", "timestamp").await, next);
        let error = node.fails("evm_setNextBlockTimestamp", json!([1])).await;
        assert_eq!(error["message"], format!("Timestamp 1 is lower than the previous block's timestamp {next}"));
        assert_eq!(node.fails("evm_mine", json!([next])).await["code"], -32000);
        node.call("evm_mine", json!([next + 7])).await;
        assert_eq!(node.block("latest", "timestamp").await, next + 7);

        node.call("anvil_setBlockTimestampInterval", json!([12])).await;
        node.call("anvil_mine", json!([])).await;
        assert_eq!(node.block("latest", "timestamp").await, next + 19);
        assert_eq!(node.call("anvil_removeBlockTimestampInterval", json!([])).await, true);
        assert_eq!(node.call("anvil_removeBlockTimestampInterval", json!([])).await, false);
        assert_eq!(node.fails("evm_increaseTime", json!([-1])).await["code"], -32602);
    });
}

#[test]
fn blocks_come_by_themselves_at_intervals() {
    with_chain(async |node| {
        node.call("evm_setIntervalMining", json!([[10, 20]])).await;
        while node.height().await < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        node.call("evm_setIntervalMining", json!([0])).await;
        let height = node.height().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(node.height().await, height);
        assert_eq!(node.fails("evm_setIntervalMining", json!([[2, 1]])).await["code"], -32602);
    });
}

#[test]
fn a_node_with_a_block_time_mines_by_itself_and_again_when_it_is_reset() {
    with_block_time(Some(20), Config::default(), async |node, _| {
        assert_eq!(node.call("hardhat_getAutomine", json!([])).await, false);
        let request = json!([{"from": account(0), "to": STRANGER, "value": "0x1"}]);
        let sent = node.call("eth_sendTransaction", request.clone()).await;
        while node.call("eth_getTransactionReceipt", json!([sent])).await.is_null() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // What was said meanwhile is forgotten.
        node.call("evm_setIntervalMining", json!([0])).await;
        node.call("evm_setAutomine", json!([true])).await;
        node.call("hardhat_reset", json!([])).await;
        assert_eq!(node.call("hardhat_getAutomine", json!([])).await, false);
        while node.height().await < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

#[test]
fn a_snapshot_brings_back_chain_pool_settings_and_time() {
    with_chain(async |node| {
        node.call("hardhat_setBalance", json!([STRANGER, "0x5"])).await;
        node.call("evm_setAutomine", json!([false])).await;
        let waiting = node.call("eth_sendTransaction", json!([{"from": account(1), "to": STRANGER}])).await;
        let id = node.call("evm_snapshot", json!([])).await;
        assert_eq!(id, "0x1");
        let later = node.call("evm_snapshot", json!([])).await;
        node.call("evm_setAutomine", json!([true])).await;
        node.call("evm_increaseTime", json!([100_000])).await;
        node.call("hardhat_setCoinbase", json!([STRANGER])).await;
        node.call("eth_sendTransaction", json!([{"from": account(0), "to": STRANGER, "value": "0x64"}])).await;
        assert!(!node.call("eth_getTransactionReceipt", json!([waiting])).await.is_null());
        assert!(node.block("latest", "timestamp").await > 100_000);

        assert_eq!(node.call("evm_revert", json!([id])).await, true);
        assert_eq!(node.height().await, 0);
        assert_eq!(node.call("eth_getBalance", json!([STRANGER, "latest"])).await, "0x5");
        assert!(node.call("eth_getTransactionReceipt", json!([waiting])).await.is_null());
        assert_eq!(node.call("txpool_status", json!([])).await["pending"], "0x1");
        assert_ne!(node.call("eth_coinbase", json!([])).await, STRANGER);
        // A snapshot is used up, with those after it.
        for used in [&id, &later, &json!("0x99")] {
            assert_eq!(node.call("evm_revert", json!([used])).await, false);
        }
        assert_eq!(node.call("evm_snapshot", json!([])).await, "0x3");
        node.call("evm_mine", json!([])).await;
        let real = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        assert!(node.block("latest", "timestamp").await <= real + 5);
        assert_eq!(node.call("eth_getTransactionReceipt", json!([waiting])).await["status"], "0x1");
    });
}

#[test]
fn accounts_are_set_by_hand() {
    with_chain(async |node| {
        node.call("hardhat_setBalance", json!([STRANGER, "0xde0b6b3a7640000"])).await;
        node.call("hardhat_setNonce", json!([STRANGER, "0x5"])).await;
        node.call("hardhat_setCode", json!([STRANGER, "0x6000"])).await;
        let word = B256::from(U256::from(7));
        node.call("hardhat_setStorageAt", json!([STRANGER, "0x0", word])).await;
        assert_eq!(node.call("eth_getBalance", json!([STRANGER, "latest"])).await, "0xde0b6b3a7640000");
        assert_eq!(node.call("eth_getTransactionCount", json!([STRANGER, "latest"])).await, "0x5");
        assert_eq!(node.call("eth_getCode", json!([STRANGER, "latest"])).await, "0x6000");
        assert_eq!(node.call("eth_getStorageAt", json!([STRANGER, "0x0", "latest"])).await, json!(word));
        let error = node.fails("hardhat_setNonce", json!([STRANGER, "0x4"])).await;
        assert_eq!(error["message"], "New nonce (4) must not be smaller than the existing nonce (5)");
        node.call("anvil_setNonce", json!([STRANGER, "0x4"])).await;
        assert_eq!(node.call("eth_getTransactionCount", json!([STRANGER, "latest"])).await, "0x4");
        for (method, params) in [
            ("hardhat_setStorageAt", json!([STRANGER, "0x0", "0x07"])),
            ("hardhat_setBalance", json!(["0x1", "0x1"])),
            ("hardhat_setBalance", json!([STRANGER])),
            ("hardhat_setCode", json!([STRANGER, "0x600"])),
            ("hardhat_setNonce", json!([STRANGER, format!("0x{}", "f".repeat(17))])),
        ] {
            node.fails(method, params).await;
        }
    });
}

#[test]
fn the_next_block_is_what_was_asked_for() {
    with_chain(async |node| {
        let randomness = B256::repeat_byte(0x11);
        node.call("hardhat_setCoinbase", json!([STRANGER])).await;
        node.call("hardhat_setPrevRandao", json!([randomness])).await;
        node.call("hardhat_setNextBlockBaseFeePerGas", json!(["0x77359400"])).await;
        node.call("evm_setBlockGasLimit", json!(["0x1c9c380"])).await;
        assert_eq!(node.block("pending", "baseFeePerGas").await, 2_000_000_000);
        node.call("eth_sendTransaction", json!([{"from": account(0), "to": STRANGER}])).await;
        let block = node.call("eth_getBlockByNumber", json!(["latest", false])).await;
        assert_eq!(block["miner"], STRANGER);
        assert_eq!(block["mixHash"], json!(randomness));
        assert_eq!(block["baseFeePerGas"], "0x77359400");
        assert_eq!(block["gasLimit"], "0x1c9c380");
        node.call("evm_mine", json!([])).await;
        let block = node.call("eth_getBlockByNumber", json!(["latest", false])).await;
        assert_eq!((block["miner"].as_str(), block["gasLimit"].as_str()), (Some(STRANGER), Some("0x1c9c380")));
        assert_ne!(block["mixHash"], json!(randomness));
        assert_ne!(block["baseFeePerGas"], "0x77359400");
        assert_eq!(
            node.fails("evm_setBlockGasLimit", json!(["0x0"])).await["message"],
            "Block gas limit must be greater than 0"
        );
    });
}

#[test]
fn what_is_sent_fits_into_the_next_block() {
    with_chain(async |node| {
        let send = |gas: &str| json!([{"from": account(0), "to": STRANGER, "gas": gas}]);
        node.call("evm_setBlockGasLimit", json!(["0x186a0"])).await;
        node.call("evm_mine", json!([])).await;
        assert_eq!(node.fails("eth_sendTransaction", send("0x186a1")).await["message"], "exceeds block gas limit");
        node.call("evm_setBlockGasLimit", json!(["0x1c9c380"])).await;
        let hash = node.call("eth_sendTransaction", send("0x186a1")).await;
        assert_eq!(node.call("eth_getTransactionReceipt", json!([hash])).await["status"], "0x1");
    });
}

#[test]
fn a_transaction_has_the_type_that_is_asked_for() {
    with_chain(async |node| {
        let request = |kind: &str| json!([{"from": account(0), "to": STRANGER, "type": kind}]);
        for kind in ["0x0", "0x1", "0x2"] {
            let hash = node.call("eth_sendTransaction", request(kind)).await;
            assert_eq!(node.call("eth_getTransactionByHash", json!([hash])).await["type"], kind);
        }
        let error = node.fails("eth_sendTransaction", request("0x4")).await;
        assert_eq!(error["message"], "type is 0x4, but the fields are those of a transaction of type 0x2");
        let error = node.fails("eth_sendTransaction", request("0x3")).await;
        assert_eq!(
            error["message"],
            "transaction type not supported: blob transactions are not accepted on this chain"
        );
    });
}

#[test]
fn an_impersonated_account_sends_without_a_key() {
    with_chain(async |node| {
        let request = json!([{"from": STRANGER, "to": account(0), "value": "0x1"}]);
        node.call("hardhat_setBalance", json!([STRANGER, "0xde0b6b3a7640000"])).await;
        assert_eq!(node.call("hardhat_impersonateAccount", json!([STRANGER])).await, true);
        let hash = node.call("eth_sendTransaction", request.clone()).await;
        let transaction = node.call("eth_getTransactionByHash", json!([hash])).await;
        assert_eq!((transaction["from"].as_str(), transaction["nonce"].as_str()), (Some(STRANGER), Some("0x0")));
        assert_eq!(node.call("hardhat_stopImpersonatingAccount", json!([STRANGER])).await, true);
        assert_eq!(node.call("hardhat_stopImpersonatingAccount", json!([STRANGER])).await, false);
        node.fails("eth_sendTransaction", request.clone()).await;
        node.call("anvil_autoImpersonateAccount", json!([true])).await;
        node.call("eth_sendTransaction", request).await;
        assert_eq!(node.call("eth_getTransactionCount", json!([STRANGER, "latest"])).await, "0x2");
    });
}

#[test]
fn a_reset_goes_back_to_the_first_block() {
    with_chain(async |mut node| {
        let metadata = node.call("hardhat_metadata", json!([])).await;
        assert_eq!((metadata["chainId"].as_u64(), metadata["latestBlockNumber"].as_u64()), (Some(31337), Some(0)));
        assert_eq!(metadata["clientVersion"], "HardhatNetwork/test");
        assert!(metadata.get("forkedNetwork").is_none());
        node.call("evm_snapshot", json!([])).await;
        let snapshots = node.call("anvil_metadata", json!([])).await["snapshots"].clone();
        assert_eq!(snapshots, json!({"0x1": [0, metadata["latestBlockHash"]]}));
        let usual = std::mem::replace(&mut node.agent, HARDHAT);
        assert_eq!(node.call("hardhat_metadata", json!([])).await["snapshots"], json!({}));
        node.agent = usual;
        node.call("evm_setAutomine", json!([false])).await;
        node.call("hardhat_mine", json!(["0x3"])).await;
        assert!(
            node.fails("hardhat_reset", json!([{"forking": {"jsonRpcUrl": "http://localhost"}}])).await["message"]
                .as_str()
                .unwrap()
                .contains("not supported")
        );
        assert_eq!(node.call("hardhat_reset", json!([])).await, true);
        assert_eq!((node.height().await, node.call("hardhat_getAutomine", json!([])).await), (0, json!(true)));
        let after = node.call("hardhat_metadata", json!([])).await;
        assert_ne!(after["instanceId"], metadata["instanceId"]);
        assert_eq!(after["latestBlockHash"], metadata["latestBlockHash"]);
        let info = node.call("anvil_nodeInfo", json!([])).await;
        assert_eq!(
            (info["currentBlockNumber"].as_str(), info["environment"]["chainId"].as_u64()),
            (Some("0x0"), Some(31337))
        );
    });
}

#[test]
fn waiting_transactions_are_shown_and_dropped() {
    with_chain(async |node| {
        node.call("evm_setAutomine", json!([false])).await;
        let send = async |from: String| node.call("eth_sendTransaction", json!([{"from": from, "to": STRANGER}])).await;
        let (first, second) = (send(account(0)).await, send(account(1)).await);
        let waiting = node.call("eth_pendingTransactions", json!([])).await;
        let hashes = waiting.as_array().unwrap().iter().map(|waiting| waiting["hash"].clone()).collect::<Vec<_>>();
        assert!(hashes.len() == 2 && hashes.contains(&first) && hashes.contains(&second));
        let pending = node.call("eth_getTransactionByBlockNumberAndIndex", json!(["pending", "0x0"])).await;
        assert!(hashes.contains(&pending["hash"]));
        assert!(pending["blockHash"].is_null() && pending["blockNumber"].is_null(), "{pending}");
        node.call("anvil_removePoolTransactions", json!([account(0)])).await;
        assert_eq!(node.call("txpool_status", json!([])).await["pending"], "0x1");
        node.call("anvil_dropAllTransactions", json!([])).await;
        assert_eq!(node.call("eth_pendingTransactions", json!([])).await, json!([]));
    });
}

#[test]
fn anvils_smaller_questions_are_answered() {
    with_chain(async |node| {
        assert_eq!(node.call("eth_requestAccounts", json!([])).await, node.call("eth_accounts", json!([])).await);
        assert_eq!(node.call("anvil_getGenesisTime", json!([])).await, 1_700_000_000);
        node.call("hardhat_setBalance", json!([STRANGER, "0xde0b6b3a7640000"])).await;
        node.call("anvil_addBalance", json!([STRANGER, "0x5"])).await;
        assert_eq!(node.call("eth_getBalance", json!([STRANGER])).await, "0xde0b6b3a7640005");
        node.call("eth_sendUnsignedTransaction", json!([{"from": STRANGER, "to": account(0), "value": "0x1"}])).await;
        assert_eq!(node.call("eth_getTransactionCount", json!([STRANGER])).await, "0x1");
        for method in ["evm_mine_detailed", "anvil_mine_detailed"] {
            let before = node.height().await;
            let blocks = node.call(method, json!([{"blocks": 2}])).await;
            let numbers = blocks.as_array().unwrap().iter().map(|block| block["number"].clone()).collect::<Vec<_>>();
            assert_eq!(numbers, [1, 2].map(|more| json!(format!("{:#x}", before + more))));
        }
        assert_eq!(node.fails("evm_mine_detailed", json!([{"blocks": 1000}])).await["code"], -32602);
        assert!(node.call("anvil_getIntervalMining", json!([])).await.is_null());
        node.call("anvil_setIntervalMining", json!([600])).await;
        assert_eq!(node.call("anvil_getIntervalMining", json!([])).await, 600);
    });
}

#[test]
fn transactions_behind_a_gap_wait_until_it_closes() {
    with_chain(async |node| {
        let send = async |nonce: u64, fee: &str| {
            let request = json!({"from": account(0), "to": STRANGER, "nonce": format!("{nonce:#x}"), "gasPrice": fee});
            node.call("eth_sendTransaction", json!([request])).await
        };
        for nonce in [3, 1, 2] {
            send(nonce, "0x77359400").await;
        }
        // One that waits can be replaced.
        let better = send(2, "0xee6b2800").await;
        assert_eq!(
            (node.height().await, node.call("txpool_status", json!([])).await["queued"].clone()),
            (0, json!("0x3"))
        );
        send(0, "0x77359400").await;
        assert_eq!(node.call("txpool_status", json!([])).await, json!({"pending": "0x0", "queued": "0x0"}));
        assert_eq!(node.call("eth_getTransactionCount", json!([account(0)])).await, "0x4");
        assert!(!node.call("eth_getTransactionReceipt", json!([better])).await.is_null());
    });
}

//! A real server on a real ledger, asked over real sockets.

mod calls;
mod chain;
mod hostile;
mod natives;
mod pending;
mod sending;
mod sockets;
mod traces;

use crate::{Builder, Config, Handle, Server, Traffic};
use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, bytes};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use commonware_runtime::{Runner as _, tokio as runtime};
use commonware_utils::NZUsize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use stoa_base::{Account, Genesis, Recovered, Transaction};
use stoa_contract::{NativeContract, Natives};
use stoa_ledger::{
    Committed, Direct, Ledger, LedgerConfig,
    execute::{Choices, ExecutionError, Refusal, Transactions},
    state::Runtime,
};
use stoa_mempool::{Best, Pool, State};
use tokio::sync::mpsc;

/// Emits a log with topic 7 and the word 0x2a.
pub(crate) const LOGGER: Address = address!("00000000000000000000000000000000000a0001");
/// Reverts with its call data.
pub(crate) const REVERTER: Address = address!("00000000000000000000000000000000000a0002");
/// Adds one to slot 0 and returns the sum.
pub(crate) const COUNTER: Address = address!("00000000000000000000000000000000000a0003");
/// Never ends.
pub(crate) const LOOP: Address = address!("00000000000000000000000000000000000a0004");
/// Returns number, timestamp, base fee and coinbase.
pub(crate) const BLOCK: Address = address!("00000000000000000000000000000000000a0005");
/// Calls the counter with all gas.
pub(crate) const CALLER: Address = address!("00000000000000000000000000000000000a0006");
/// A native contract that calls the counter, and sends on the coin that it gets.
const PASSER: Address = stoa_contract::natives::address(0xf0);
/// To whom.
const HEIR: Address = address!("00000000000000000000000000000000000a0007");

struct Passer;

impl NativeContract for Passer {
    fn call(&self, cx: &mut stoa_contract::Context<'_>) -> stoa_contract::Result<Bytes> {
        let counted = cx.call(COUNTER, U256::ZERO, Bytes::new())?;
        let value = cx.value();
        cx.call(HEIR, value, Bytes::new())?;
        Ok(counted.output)
    }
}

fn all_natives() -> Natives {
    Natives::stoa().with(PASSER, Passer)
}

pub(crate) fn code(address: Address) -> Bytes {
    match address {
        LOGGER => bytes!("602a600052600760206000a100"),
        REVERTER => bytes!("366000600037366000fd"),
        COUNTER => bytes!("6000546001018060005560005260206000f3"),
        LOOP => bytes!("5b600056"),
        BLOCK => bytes!("4360005242602052486040524160605260806000f3"),
        _ => {
            let mut code = alloy_primitives::hex!("6020600060006000600073").to_vec();
            code.extend_from_slice(COUNTER.as_slice());
            code.extend_from_slice(&alloy_primitives::hex!("5af15060206000f3"));
            code.into()
        }
    }
}

pub(crate) fn signer(n: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(n + 1)).unwrap()
}

pub(crate) fn genesis() -> Genesis {
    let rich = Account { balance: U256::from(10).pow(U256::from(22)), ..Account::default() };
    let contract = |address| (address, Account { code: code(address), nonce: 1, ..Account::default() });
    let contracts = [LOGGER, REVERTER, COUNTER, LOOP, BLOCK, CALLER].map(contract);
    let mut alloc: BTreeMap<_, _> = (0..4).map(|n| (signer(n).address(), rich.clone())).chain(contracts).collect();
    let supply = alloc.values().map(|account| account.balance).sum();
    let timestamp = 1_700_000_000;
    for native in all_natives().genesis(supply, timestamp) {
        let storage = native.storage.into_iter().collect();
        alloc.insert(native.address, Account { code: native.code, storage, ..Account::default() });
    }
    Genesis {
        chain_id: 31337,
        timestamp,
        gas_limit: 30_000_000,
        fees: Default::default(),
        development: true,
        epoch_length: stoa_base::EPOCH_LENGTH,
        committee: None,
        alloc,
    }
}

/// The chain's head, as the mempool sees it.
struct Head(Ledger);

impl State for Head {
    fn chain_id(&self) -> u64 {
        self.0.genesis().chain_id
    }

    fn gas_limit(&self) -> u64 {
        // Tests of a development node raise and lower it.
        u64::MAX
    }

    fn account(&self, address: Address) -> Result<stoa_mempool::Account, String> {
        let state = self.0.state(self.0.head().number()).map_err(|error| error.to_string())?;
        let account = state.sender(address).map_err(|error| error.to_string())?;
        Ok(stoa_mempool::Account { nonce: account.nonce, balance: account.balance, has_code: false })
    }
}

/// An empty mempool over a chain.
pub(crate) fn mempool(ledger: &Ledger) -> Pool {
    let usual = stoa_mempool::Config::default();
    let max_gas = ledger.cfg().tx_gas_limit_cap.unwrap_or(usual.max_gas);
    Pool::new(stoa_mempool::Config { max_gas, ..usual }, Arc::new(Head(ledger.clone())))
}

struct FromPool(Best);

impl Transactions for FromPool {
    fn next(&mut self, _: u64) -> Option<Arc<Recovered>> {
        self.0.next()
    }

    fn refuse(&mut self, transaction: &Recovered, _: Refusal) -> Result<(), Refusal> {
        self.0.mark_invalid(transaction.signer());
        Ok(())
    }
}

/// Mines what waits, and tells the pool.
pub(crate) async fn mine<E: Runtime>(
    direct: &mut Direct<E>,
    pool: &Pool,
    choices: &Choices,
) -> Result<Committed, ExecutionError> {
    let base_fee = choices.base_fee.unwrap_or_else(|| direct.ledger().next_block_env().basefee);
    let (committed, _) = direct.mine(choices, Default::default(), Box::new(FromPool(pool.best(base_fee))), &[]).await?;
    let head = Head(direct.ledger().clone());
    let changed = committed.senders.iter().map(|sender| {
        let account = head.account(*sender).unwrap();
        (*sender, account.nonce, account.balance)
    });
    pool.on_block(changed, committed.block.transactions().iter().map(|tx| *tx.hash()));
    Ok(committed)
}

/// An HTTP client. Other crates of the same build may have told it to expect TLS, which wants a provider of cryptography.
pub(crate) fn http_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// A running server.
pub(crate) struct Node {
    pub handle: Handle,
    pub ledger: Ledger,
    /// Whether a transaction is mined as soon as it waits.
    pub automine: Arc<AtomicBool>,
    mine: mpsc::UnboundedSender<()>,
    client: reqwest::Client,
}

impl Node {
    pub fn url(&self) -> String {
        format!("http://{}", self.handle.local_addr())
    }

    /// Has a block mined of what waits.
    pub fn mine(&self) {
        self.mine.send(()).unwrap();
    }

    /// Posts a body and reads the answer.
    pub async fn post(&self, body: impl Into<String>) -> Value {
        let request = self.client.post(self.url()).header("content-type", "application/json").body(body.into());
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    async fn ask(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = self.post(body.to_string()).await;
        assert_eq!(answer["id"], 1, "{answer}");
        answer
    }

    /// The result of a call that must succeed.
    pub async fn call(&self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Code, message and data of a call that must fail.
    pub async fn fails(&self, method: &str, params: Value) -> (i64, String, Value) {
        let mut answer = self.ask(method, params).await;
        let error = answer["error"].take();
        assert!(error.is_object(), "{method} did not fail: {answer}");
        (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned(), error["data"].clone())
    }

    /// Sends a raw transaction, which must be taken; gives back its hash.
    pub async fn send(&self, raw: &Bytes) -> Value {
        self.call("eth_sendRawTransaction", json!([raw])).await
    }

    /// Waits for a receipt.
    pub async fn receipt(&self, hash: &Value) -> Value {
        for _ in 0..200 {
            let receipt = self.call("eth_getTransactionReceipt", json!([hash])).await;
            if !receipt.is_null() {
                return receipt;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no receipt for {hash}");
    }
}

pub(crate) fn unsigned(nonce: u64, to: TxKind, value: u64, input: Bytes) -> TxEip1559 {
    TxEip1559 {
        chain_id: 31337,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: 3_000_000_000,
        max_priority_fee_per_gas: 5,
        to,
        value: U256::from(value),
        input,
        ..TxEip1559::default()
    }
}

pub(crate) fn sign(from: &PrivateKeySigner, tx: TxEip1559) -> Bytes {
    let signature = from.sign_hash_sync(&tx.signature_hash()).unwrap();
    Transaction::from(tx.into_signed(signature)).encoded_2718().into()
}

pub(crate) fn transaction(from: u8, nonce: u64, to: Address, value: u64) -> Bytes {
    sign(&signer(from), unsigned(nonce, TxKind::Call(to), value, Bytes::new()))
}

/// Runs a test against a server with these settings, on a fresh chain with one empty block.
pub(crate) fn with_node<F, Fut>(config: Config, build: impl FnOnce(Builder) -> Builder, test: F)
where
    F: FnOnce(Node) -> Fut,
    Fut: Future<Output = ()>,
{
    let (storage, history) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = runtime::Config::new().with_storage_directory(storage.path()).with_worker_threads(2);
    runtime::Runner::new(settings).start(async |context| {
        let ledger_config = LedgerConfig {
            durable: false,
            history: 8,
            natives: all_natives(),
            ..LedgerConfig::new(history.path())
        };
        let mut direct = Direct::open(context, genesis(), ledger_config, 1 << 20, NZUsize!(1)).await.unwrap();
        let ledger = direct.ledger().clone();
        let (mine, mut wanted) = mpsc::unbounded_channel();
        let automine = Arc::new(AtomicBool::new(true));
        let pool = mempool(&ledger);
        let (waiting, at_once, mut arrived) = (pool.clone(), automine.clone(), pool.subscribe());
        let miner = tokio::spawn(async move {
            loop {
                tokio::select! {
                    asked = wanted.recv() => if asked.is_none() { return },
                    transaction = arrived.recv() => if transaction.is_err() || !at_once.load(Ordering::Relaxed) { continue },
                }
                let choices = Choices {
                    timestamp: direct.ledger().head().header().timestamp + 1,
                    beneficiary: Address::repeat_byte(0xbe),
                    prevrandao: B256::repeat_byte(9),
                    base_fee: None,
                    gas_limit: None,
                };
                self::mine(&mut direct, &waiting, &choices).await.unwrap();
            }
        });
        let builder = build(Server::builder(ledger.clone(), pool).config(config));
        let handle = builder.bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        mine.send(()).unwrap();
        while ledger.head().number() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        test(Node { handle, ledger, automine, mine, client: http_client() }).await;
        miner.abort();
    });
}

pub(crate) fn with_default_node<F, Fut>(test: F)
where
    F: FnOnce(Node) -> Fut,
    Fut: Future<Output = ()>,
{
    with_node(Config::default(), |builder| builder, test);
}

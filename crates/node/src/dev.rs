//! A ledger for contract developers, driven without consensus: a block per transaction, or when asked.

use crate::{
    kept::Kept,
    waiting::{Head, Mempool},
};
use alloy_primitives::{Address, B256, Bytes, U256, map::HashMap};
use alloy_signer_local::PrivateKeySigner;
use eyre::WrapErr as _;
use parking_lot::Mutex;
use revm::context::Cfg as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::{self, Write as _},
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use stoa_base::{Account, Genesis, Recovered};
use stoa_consensus::Waiting as _;
use stoa_ledger::{
    Committed, Direct, Ledger, LedgerConfig, LedgerError, Set,
    execute::{Choices, ExecutionError, Refusal, Transactions},
    state::Runtime,
};
use stoa_mempool::Pool;
use stoa_rpc::{
    RpcError, Server,
    dev::{self, Dev, Names},
};

/// Bytes of the state database's pages in memory.
const STATE_CACHE: usize = 64 << 20;

/// The file of the folder that names what was set by hand.
pub const BY_HAND: &str = "set-by-hand";

/// How often what was mined or set is written so that it survives a crash.
const SYNC: Duration = Duration::from_secs(5);

/// Hardhat's helpers work with nodes whose version begins with a name that they know.
const CLIENT_VERSION: &str = concat!("anvil-compatible/Stoa/v", env!("CARGO_PKG_VERSION"));

/// What a development node runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of chain, state and waiting transactions.
    pub folder: PathBuf,
    /// Where JSON-RPC is served.
    pub http: SocketAddr,
    /// What the chain begins with.
    pub genesis: Genesis,
    /// Keys that the node signs with when asked to.
    pub accounts: Vec<PrivateKeySigner>,
    /// Of how many blocks back the state can be read.
    pub history: u64,
    /// Names in the `Host` header that JSON-RPC is served under besides `localhost`.
    pub hosts: Vec<String>,
    /// See [`LedgerConfig::disable_code_size_limit`].
    pub disable_code_size_limit: bool,
    /// Milliseconds between blocks, which come by themselves then, instead of one for each transaction.
    pub block_time: Option<u64>,
}

impl Config {
    /// The part of a folder that the runtime's storage takes.
    pub fn storage(&self) -> PathBuf {
        self.folder.join("state")
    }
}

struct Node<E: Runtime> {
    direct: tokio::sync::Mutex<Direct<E>>,
    /// Whether the chain has changed since it was written.
    changed: AtomicBool,
    ledger: Ledger,
    mempool: Mempool,
    pool: Pool,
    /// What waited when a snapshot was taken.
    waiting: Mutex<HashMap<u64, Vec<Arc<Recovered>>>>,
    /// Missing where an earlier program began the chain, which did not keep them.
    by_hand: Option<Mutex<ByHand>>,
}

/// The names of accounts and slots that were set by hand, in a file: the state holds hashes of them alone, and no block has them.
struct ByHand {
    file: File,
    names: Names,
}

impl ByHand {
    /// Each line of the file is an address, and behind it a slot if one was set.
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut names = Names::new();
        for line in io::read_to_string(&file)?.lines() {
            let (address, slot) = line.split_once(' ').map_or((line, None), |(address, slot)| (address, Some(slot)));
            // What the end of the process cut off names nothing.
            let Ok(address) = address.parse::<Address>() else { continue };
            let slots = names.entry(address).or_default();
            slots.extend(slot.and_then(|slot| slot.parse::<U256>().ok()));
        }
        Ok(Self { file, names })
    }

    fn add(&mut self, fields: &[(Address, Set)]) -> io::Result<()> {
        let mut lines = String::new();
        for (address, what) in fields {
            let written = what.slot(*address);
            // Each line begins with its end, so that one that was cut off does not spoil the next. A slot's names its account.
            if !self.names.contains_key(address) && written.is_none_or(|(of, _)| of != *address) {
                self.names.insert(*address, BTreeSet::new());
                lines += &format!("\n{address}");
            }
            if let Some((of, slot)) = written
                && self.names.entry(of).or_default().insert(slot)
            {
                lines += &format!("\n{of} {slot:#x}");
            }
        }
        self.file.write_all(lines.as_bytes())
    }
}

/// Waiting transactions, in order; of a sender with one that is refused, the later ones wait on.
struct Block {
    list: std::vec::IntoIter<Arc<Recovered>>,
    skipped: Vec<Address>,
    invalid: Vec<B256>,
}

impl Transactions for Block {
    fn next(&mut self, _: u64) -> Option<Arc<Recovered>> {
        let skipped = &self.skipped;
        self.list.find(|transaction| !skipped.contains(&transaction.signer()))
    }

    fn refuse(&mut self, transaction: &Recovered, why: Refusal) -> Result<(), Refusal> {
        tracing::debug!(hash = %transaction.tx_hash(), %why, "a waiting transaction cannot be included");
        self.skipped.push(transaction.signer());
        if !matches!(why, Refusal::BlockFull { .. }) {
            self.invalid.push(*transaction.tx_hash());
        }
        Ok(())
    }
}

fn failed(error: impl Into<ExecutionError>) -> RpcError {
    RpcError::server(error.into().to_string())
}

impl<E: Runtime> Node<E> {
    /// The chain, to change it.
    async fn change(&self) -> tokio::sync::MutexGuard<'_, Direct<E>> {
        let direct = self.direct.lock().await;
        self.changed.store(true, Ordering::Relaxed);
        direct
    }

    /// Writes what has changed, so that it survives a crash.
    async fn write(&self) -> Result<(), LedgerError> {
        let mut direct = self.direct.lock().await;
        if self.changed.load(Ordering::Relaxed) {
            direct.sync().await?;
            self.changed.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn mine_one(&self, direct: &mut Direct<E>, choices: &Choices) -> Result<Committed, ExecutionError> {
        let head = self.ledger.head();
        let next = stoa_ledger::next_base_fee(&self.ledger.genesis().fees, head.header());
        let gas = choices.gas_limit.unwrap_or(head.header().gas_limit);
        let list = self.mempool.best(choices.base_fee.unwrap_or(next), gas, &HashMap::default());
        let mut block = Block { list: list.clone().into_iter(), skipped: Vec::new(), invalid: Vec::new() };
        let (committed, changes) = direct.mine(choices, Bytes::new(), Box::new(&mut block), &list).await?;
        for hash in &block.invalid {
            self.pool.remove(hash);
        }
        self.mempool.on_block(&committed, &changes);
        Ok(committed)
    }

    /// Makes what waits what waited before, as far as it still can.
    fn restore(&self, waiting: Vec<Arc<Recovered>>) -> Result<(), RpcError> {
        self.pool.clear().map_err(|error| RpcError::server(error.to_string()))?;
        for transaction in waiting {
            if let Err(error) = self.pool.add((*transaction).clone()) {
                tracing::debug!(hash = %transaction.tx_hash(), %error, "a transaction does not wait any more");
            }
        }
        Ok(())
    }
}

impl<E: Runtime> Dev for Node<E> {
    async fn mine(&self, blocks: Vec<Choices>) -> Result<Vec<Committed>, RpcError> {
        let mut direct = self.change().await;
        let mut mined = Vec::with_capacity(blocks.len());
        let mut left = blocks.as_slice();
        while let Some((choices, later)) = left.split_first() {
            if !later.is_empty() && self.pool.status().pending == 0 {
                mined.extend(direct.mine_empty(left).await.map_err(failed)?);
                break;
            }
            mined.push(self.mine_one(&mut direct, choices).await.map_err(failed)?);
            left = later;
        }
        Ok(mined)
    }

    async fn set(&self, fields: Vec<(Address, Set)>) -> Result<(), RpcError> {
        if let Some(by_hand) = &self.by_hand {
            let written = by_hand.lock().add(&fields);
            written.map_err(|error| RpcError::server(format!("what is set by hand cannot be written: {error}")))?;
        }
        self.change().await.set_all(fields).await.map_err(failed)?;
        self.pool.refresh().map_err(|error| RpcError::server(error.to_string()))
    }

    async fn dump(&self, mut names: Names) -> Result<BTreeMap<Address, Account>, RpcError> {
        let Some(by_hand) = &self.by_hand else {
            return Err(RpcError::server(
                "this chain was begun by an earlier version of the program, which did not keep the names of what is set by \
                 hand: its state cannot be dumped (start a new chain with --fresh)",
            ));
        };
        for (address, slots) in &by_hand.lock().names {
            names.entry(*address).or_default().extend(slots);
        }
        self.direct.lock().await.dump(&names).await.map_err(failed)
    }

    async fn snapshot(&self) -> Result<u64, RpcError> {
        let mut direct = self.direct.lock().await;
        let id = direct.snapshot();
        let content = self.pool.content();
        self.waiting.lock().insert(id, content.pending.into_iter().chain(content.queued).collect());
        Ok(id)
    }

    async fn revert(&self, id: u64) -> Result<bool, RpcError> {
        let mut direct = self.change().await;
        if !direct.revert(id).await.map_err(failed)? {
            return Ok(false);
        }
        let waiting = {
            let mut kept = self.waiting.lock();
            let waiting = kept.remove(&id).unwrap_or_default();
            kept.retain(|other, _| *other < id);
            waiting
        };
        self.restore(waiting)?;
        Ok(true)
    }

    async fn reset(&self) -> Result<(), RpcError> {
        self.change().await.reset().await.map_err(failed)?;
        self.waiting.lock().clear();
        self.restore(Vec::new())
    }

    fn drop_transaction(&self, hash: B256) -> bool {
        self.pool.remove(&hash).is_some()
    }
}

/// A running development node.
pub struct Running<E: Runtime> {
    node: Arc<Node<E>>,
    rpc: stoa_rpc::Handle,
}

impl<E: Runtime> Running<E> {
    /// Where JSON-RPC is served.
    pub fn http(&self) -> SocketAddr {
        self.rpc.local_addr()
    }

    /// The chain.
    pub fn ledger(&self) -> &Ledger {
        &self.node.ledger
    }

    /// Serves nobody any more, and writes everything to the disk.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub async fn stop(self) -> Result<(), LedgerError> {
        self.rpc.shutdown().await;
        self.node.write().await
    }
}

/// Starts a development node.
///
/// # Errors
///
/// If the folder holds another chain or damaged data, or the port is taken.
pub async fn start<E: Runtime>(runtime: E, config: Config) -> eyre::Result<Running<E>> {
    crate::common::check_loopback(&config.genesis, config.http)?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let folder = config.folder.join("history");
    let ledger_config = LedgerConfig {
        history: config.history,
        durable: false,
        lenient: true,
        disable_code_size_limit: config.disable_code_size_limit,
        natives: crate::natives(),
        ..LedgerConfig::new(folder)
    };
    // Boxed, for the state of all that starts is large.
    let opened = Box::pin(Direct::open(runtime, config.genesis, ledger_config, STATE_CACHE, threads)).await;
    let opened = opened.and_then(|mut direct| direct.pin_first().map(|()| direct));
    let direct = opened.map_err(|error| Kept::here(&config.folder).unopened(error))?;
    let ledger = direct.ledger().clone();
    let pool = Pool::open(
        &config.folder.join("mempool"),
        stoa_mempool::Config {
            allow_unprotected: true,
            max_gas: u64::MAX,
            max_initcode: ledger.cfg().max_initcode_size(),
            ..stoa_mempool::Config::default()
        },
        Arc::new(Head { ledger: ledger.clone(), development: true }),
    )
    .wrap_err("the file of waiting transactions cannot be opened")?;
    let mempool = Mempool::default();
    mempool.open(pool.clone());
    let by_hand = config.folder.join(BY_HAND);
    let by_hand = if ledger.head().number() > 0 && !by_hand.exists() {
        None
    } else {
        let opened = ByHand::open(&by_hand);
        Some(Mutex::new(opened.wrap_err_with(|| format!("cannot open {}", by_hand.display()))?))
    };
    let node = Arc::new(Node {
        direct: tokio::sync::Mutex::new(direct),
        // The first block is not written yet where the chain is new.
        changed: AtomicBool::new(true),
        ledger: ledger.clone(),
        mempool,
        pool: pool.clone(),
        waiting: Mutex::default(),
        by_hand,
    });
    let server = Server::builder(ledger.clone(), pool)
        .accounts(config.accounts)
        .config(stoa_rpc::Config { hosts: config.hosts, ..crate::common::bounds() })
        .client_version(CLIENT_VERSION)
        .methods(crate::stoa_methods::register);
    let rpc = dev::register(server, node.clone(), &ledger, config.block_time)
        .await
        .bind(config.http)
        .await
        .wrap_err_with(|| format!("cannot listen on {} (--http names another address)", config.http))?;
    tokio::spawn(sync(Arc::downgrade(&node)));
    Ok(Running { node, rpc })
}

/// Writes what was mined or set every few seconds, while the node is there.
async fn sync<E: Runtime>(node: std::sync::Weak<Node<E>>) {
    loop {
        tokio::time::sleep(SYNC).await;
        let Some(node) = node.upgrade() else { return };
        if let Err(error) = node.write().await {
            tracing::error!(%error, "the chain cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_runtime::{Runner as _, tokio as runtime};
    use serde_json::{Value, json};
    use stoa_client::Client;

    fn config(folder: &Path) -> Config {
        let rich = PrivateKeySigner::from_bytes(&B256::repeat_byte(1)).unwrap();
        Config {
            folder: folder.to_owned(),
            http: ([127, 0, 0, 1], 0).into(),
            genesis: crate::development::genesis(31337, std::slice::from_ref(&rich), 1_700_000_000),
            accounts: vec![rich],
            history: 8,
            hosts: Vec::new(),
            disable_code_size_limit: false,
            block_time: None,
        }
    }

    #[test]
    fn a_chain_whose_state_is_gone_is_not_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let run = || {
            let config = config(folder.path());
            let storage = runtime::Config::new().with_storage_directory(config.storage());
            runtime::Runner::new(storage).start(async |context| {
                let running = Box::pin(start(context, config)).await?;
                Ok::<_, eyre::Report>(running.stop().await?)
            })
        };
        run().unwrap();
        std::fs::remove_dir_all(config(folder.path()).storage()).unwrap();
        let error = format!("{:#}", run().unwrap_err());
        assert!(error.contains(&folder.path().display().to_string()) && error.contains("remove nothing"), "{error}");
    }

    #[test]
    fn code_beyond_the_limits_is_deployed_only_where_they_are_disabled() {
        let deploy = |disable_code_size_limit: bool| {
            let folder = tempfile::tempdir().unwrap();
            let config = Config { disable_code_size_limit, ..config(folder.path()) };
            let (storage, from) = (config.storage(), config.accounts[0].address());
            let storage = runtime::Config::new().with_storage_directory(storage);
            runtime::Runner::new(storage).start(async move |context| {
                let running = Box::pin(start(context, config)).await.unwrap();
                let client = Client::new(running.http().to_string());
                // Returns 32 KiB of zeros; what follows is never run.
                let short = Bytes::from_static(&[0x61, 0x80, 0, 0x5f, 0xf3]);
                let long = Bytes::from([&short[..], &[0; 60_000]].concat());
                for (code, is_long) in [(short, false), (long, true)] {
                    let request = json!({ "from": from, "data": code, "gas": "0x1000000" });
                    let call = client.call::<Bytes>("eth_call", (&request, "latest")).await;
                    let estimate = client.call::<U256>("eth_estimateGas", (&request,)).await;
                    let sent = client.call::<B256>("eth_sendTransaction", (&request,)).await;
                    if disable_code_size_limit {
                        assert_eq!(call.unwrap().len(), 0x8000);
                        assert!(estimate.unwrap() > U256::from(200 * 0x8000));
                    } else {
                        assert!(call.is_err() && estimate.is_err(), "{call:?} {estimate:?}");
                    }
                    if is_long && !disable_code_size_limit {
                        let refused = sent.unwrap_err().to_string();
                        assert!(refused.contains("max initcode size exceeded"), "{refused}");
                        continue;
                    }
                    let receipt = client.call::<Value>("eth_getTransactionReceipt", (sent.unwrap(),)).await.unwrap();
                    assert_eq!(receipt["status"], if disable_code_size_limit { "0x1" } else { "0x0" });
                    if disable_code_size_limit {
                        let deployed = client.call::<Bytes>("eth_getCode", (&receipt["contractAddress"], "latest"));
                        assert_eq!(deployed.await.unwrap().len(), 0x8000);
                    }
                }
                running.stop().await.unwrap();
            });
        };
        deploy(false);
        deploy(true);
    }

    #[test]
    fn what_is_set_by_hand_is_written_without_a_block() {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::repeat_byte(1);
        let run = |first: bool| {
            let config = config(folder.path());
            let storage = runtime::Config::new().with_storage_directory(config.storage());
            runtime::Runner::new(storage).start(async move |context| {
                let Running { node, rpc } = Box::pin(start(context, config)).await.unwrap();
                if first {
                    node.write().await.unwrap();
                    node.set(vec![(address, Set::Balance(U256::from(5)))]).await.unwrap();
                    node.write().await.unwrap();
                }
                rpc.shutdown().await;
                node.ledger.state(0).unwrap().balance(address).unwrap()
            })
        };
        assert_eq!(run(true), U256::from(5));
        assert_eq!(run(false), U256::from(5));
    }

    #[test]
    fn names_of_what_was_set_by_hand_are_kept_whatever_cut_the_file_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(BY_HAND);
        let [first, second, third] = [1, 2, 3].map(Address::repeat_byte);
        let slot = |slot: u64, value: u64| Set::Storage(U256::from(slot), U256::from(value));
        let fields = [
            (third, Set::Delegate(first)),
            (first, Set::Balance(U256::ONE)),
            (first, slot(7, 1)),
            (first, slot(7, 2)),
            (second, slot(8, 0)),
            (second, Set::Nonce(3)),
        ];
        ByHand::open(&path).unwrap().add(&fields).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 6, "no name is written twice");
        let (coin, slot) = Set::Delegate(first).slot(third).unwrap();
        let expected = Names::from([
            (first, [U256::from(7)].into()),
            (second, [U256::from(8)].into()),
            (third, [].into()),
            (coin, [slot].into()),
        ]);
        assert_eq!(ByHand::open(&path).unwrap().names, expected);

        let file = OpenOptions::new().append(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() - 20).unwrap();
        let mut by_hand = ByHand::open(&path).unwrap();
        assert!(!by_hand.names.contains_key(&second));
        by_hand.add(&fields).unwrap();
        assert_eq!(ByHand::open(&path).unwrap().names, expected);
    }
}

//! `stoa up` and `stoa dev`: embedded networks.

use alloy_primitives::hex;
use alloy_signer_local::PrivateKeySigner;
use clap::Args;
use commonware_runtime::{Runner as _, tokio as runtime};
use eyre::{Result, WrapErr as _, bail};
use serde_json::json;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use stoa_base::{DEVELOPMENT_MNEMONIC, Genesis};
use stoa_consensus::Pace;
use stoa_node::{dev, development, up};

/// Options that embedded networks share.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Folder of the chain; goes on where it stopped.
    #[arg(long, value_name = "DIR", default_value = ".stoa")]
    dir: PathBuf,
    /// Start a new chain: delete the one in the folder.
    #[arg(long)]
    fresh: bool,
    /// Address to serve JSON-RPC on, HTTP and WebSocket; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8545")]
    http: SocketAddr,
    /// Milliseconds between blocks while transactions wait.
    #[arg(long, value_name = "MS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    block_time: u64,
    /// Chain id of a new chain.
    #[arg(long, value_name = "N", default_value_t = development::CHAIN_ID)]
    chain_id: u64,
    /// BIP-39 words that the ten development accounts of a new chain are derived from.
    #[arg(long, value_name = "WORDS", default_value = DEVELOPMENT_MNEMONIC)]
    mnemonic: String,
    /// Of how many blocks back the state can be read; 0 keeps all (an archive).
    #[arg(long, value_name = "BLOCKS", default_value_t = 10_000)]
    history: u64,
}

/// The file of a folder that holds the chain's genesis.
const GENESIS: &str = "genesis.json";

impl Options {
    /// For an embedded network in `dir`, on any free port.
    pub(crate) fn embedded(dir: PathBuf) -> Self {
        Self {
            dir,
            fresh: false,
            http: SocketAddr::from(([127, 0, 0, 1], 0)),
            block_time: 50,
            chain_id: development::CHAIN_ID,
            mnemonic: DEVELOPMENT_MNEMONIC.to_owned(),
            history: 10_000,
        }
    }

    pub(crate) fn config(&self) -> Result<up::Config> {
        if self.fresh {
            remove_chain(&self.dir)?;
        }
        fs::create_dir_all(&self.dir).wrap_err_with(|| format!("cannot create the folder {}", self.dir.display()))?;
        let accounts = development::accounts(&self.mnemonic).wrap_err("--mnemonic")?;
        Ok(up::Config {
            genesis: self.genesis(&accounts)?,
            folder: self.dir.clone(),
            http: self.http,
            accounts,
            pace: Pace { busy: Duration::from_millis(self.block_time), idle: Duration::from_secs(1) },
            history: if self.history == 0 { u64::MAX } else { self.history },
        })
    }

    /// The genesis in the folder, or a new one.
    fn genesis(&self, accounts: &[PrivateKeySigner]) -> Result<Genesis> {
        let path = self.dir.join(GENESIS);
        if path.exists() {
            let text = fs::read_to_string(&path).wrap_err_with(|| format!("cannot read {}", path.display()))?;
            let genesis: Genesis =
                serde_json::from_str(&text).wrap_err_with(|| format!("{} is no genesis file", path.display()))?;
            genesis.validate()?;
            if genesis.chain_id != self.chain_id {
                bail!(
                    "the chain in {} has id {}, not {} (use --chain-id {0}, or --fresh for a new chain)",
                    genesis.chain_id,
                    self.dir.display(),
                    self.chain_id
                );
            }
            if accounts.iter().any(|signer| !genesis.alloc.contains_key(&signer.address())) {
                bail!("the chain in {} has other accounts (--fresh starts a new chain)", self.dir.display());
            }
            return Ok(genesis);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let genesis = development::genesis(self.chain_id, accounts, now);
        genesis.validate()?;
        fs::write(&path, serde_json::to_string_pretty(&genesis)?)
            .wrap_err_with(|| format!("cannot write {}", path.display()))?;
        Ok(genesis)
    }
}

/// Deletes a chain, and nothing that is not one.
fn remove_chain(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let empty = fs::read_dir(folder).wrap_err_with(|| format!("cannot read {}", folder.display()))?.next().is_none();
    if !empty && !folder.join(GENESIS).exists() {
        bail!("{} holds no chain (there is no {GENESIS} in it), so --fresh does not delete it", folder.display());
    }
    for name in ["state", "history", "mempool", GENESIS] {
        let path = folder.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).wrap_err_with(|| format!("cannot delete {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What moves an embedded network on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Driver {
    /// One validator's consensus engine: `stoa up`.
    Consensus,
    /// Whoever sends a transaction or asks for a block: `stoa dev`.
    Direct,
}

/// Runs until interrupted.
pub(crate) fn run(driver: Driver, options: Options, json: bool) -> Result<()> {
    let config = options.config()?;
    let (chain_id, accounts) = (config.genesis.chain_id, config.accounts.clone());
    let storage = runtime::Config::new().with_storage_directory(config.storage());
    runtime::Runner::new(storage).start(async move |runtime| {
        let serve = async |what, http, block| {
            announce(what, http, block, chain_id, &accounts, &options.dir, json);
            interrupted().await
        };
        match driver {
            Driver::Consensus => {
                let running = Box::pin(up::start(runtime, config)).await?;
                serve("an embedded network of one validator", running.http(), running.ledger.head().number()).await?;
                running.stop().await;
            }
            Driver::Direct => {
                let running = Box::pin(dev::start(runtime, config)).await?;
                serve("a development node without consensus", running.http(), running.ledger().head().number()).await?;
                running.stop().await?;
            }
        }
        Ok(())
    })
}

fn announce(
    what: &str,
    address: SocketAddr,
    block: u64,
    chain_id: u64,
    accounts: &[PrivateKeySigner],
    dir: &Path,
    json: bool,
) {
    let (http, ws) = (format!("http://{address}"), format!("ws://{address}"));
    let key = |signer| hex::encode_prefixed(development::private_key(signer));
    if json {
        let accounts = accounts.iter().map(|signer| json!({ "address": signer.address(), "privateKey": key(signer) }));
        let accounts = accounts.collect::<Vec<_>>();
        println!("{}", json!({ "http": http, "ws": ws, "chainId": chain_id, "dir": dir, "accounts": accounts }));
        return;
    }
    println!("Stoa: {what}, chain {chain_id}, in {}", dir.display());
    println!("\n  JSON-RPC   {http}\n  WebSocket  {ws}\n  block      {block}\n");
    println!("  Development accounts, {} STOA each at the start. Everybody knows their keys.", development::COINS);
    for (index, signer) in accounts.iter().enumerate() {
        println!("  ({index}) {}  {}", signer.address(), key(signer));
    }
    println!("\n  Stop with Ctrl-C; the next start goes on from here.");
}

/// Resolves on Ctrl-C or when the system asks the program to end.
pub(crate) async fn interrupted() -> Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt.wrap_err("cannot wait for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
    }
}

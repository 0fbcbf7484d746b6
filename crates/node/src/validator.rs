//! A validator that serves JSON-RPC.

use crate::{
    vault::{Vault, write_private},
    waiting::{Head, Mempool},
};
use alloy_primitives::{Address, keccak256};
use alloy_signer_local::PrivateKeySigner;
use commonware_consensus::types::Epoch;
use commonware_cryptography::{
    Signer as _,
    bls12381::primitives::group::Share,
    ed25519::{PrivateKey, PublicKey},
};
use commonware_glue::dkg::SecretStore as _;
use commonware_runtime::{Supervisor as _, tokio::Context};
use eyre::{WrapErr as _, bail, eyre};
use std::{
    fs,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use stoa_base::Genesis;
use stoa_consensus::{Identity, Pace, Wire, start_validator};
use stoa_ledger::{Ledger, LedgerConfig, state};
use stoa_mempool::Pool;
use stoa_rpc::Server;

/// Bytes of transactions in a block.
const BLOCK_BYTES: usize = 4 << 20;

/// How long the last blocks before a crash may take to be executed again.
const REPLAY: Duration = Duration::from_secs(60);

/// What a validator runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of chain, state and waiting transactions.
    pub folder: PathBuf,
    /// Where JSON-RPC is served.
    pub http: SocketAddr,
    /// What the chain begins with.
    pub genesis: Genesis,
    /// Keys that the node signs with when asked to; only on development networks.
    pub accounts: Vec<PrivateKeySigner>,
    /// Who gets the tips.
    pub beneficiary: Address,
    /// How often blocks come.
    pub pace: Pace,
    /// Of how many blocks back the state can be read.
    pub history: u64,
    /// Bytes of memory for the state.
    pub cache: usize,
    /// What only this validator knows.
    pub keys: Keys,
    /// Where it listens to the other validators.
    pub listen: SocketAddr,
    /// Where the validators listen, this one included.
    pub peers: Vec<(PublicKey, SocketAddr)>,
}

/// What only a validator knows.
#[derive(Clone, Debug)]
pub enum Keys {
    /// A key, and a share of the network key that was dealt to it.
    Dealt(Identity),
    /// A key; the share comes from a ceremony of the validators, which is held when there is none yet.
    Own(PrivateKey),
}

/// The file of a folder that holds the outcome of the ceremony.
const COMMITTEE: &str = "committee.json";

/// The file of a folder that holds a validator's secrets but for its key.
const SECRETS: &str = "secrets";

impl Config {
    /// The part of a folder that the runtime's storage takes.
    pub fn storage(&self) -> PathBuf {
        self.folder.join("state")
    }
}

/// A running validator.
pub struct Running {
    /// The chain.
    pub ledger: Ledger,
    /// Transactions that wait.
    pub pool: Pool,
    rpc: stoa_rpc::Handle,
}

impl Running {
    /// Where JSON-RPC is served.
    pub fn http(&self) -> SocketAddr {
        self.rpc.local_addr()
    }

    /// Serves nobody any more. The chain stops with the runtime.
    pub async fn stop(self) {
        self.rpc.shutdown().await;
    }
}

/// Starts a validator that serves JSON-RPC.
///
/// # Errors
///
/// If the folder holds another chain or damaged data, a port is taken, or the keys are not those of a validator.
pub async fn start(runtime: Context, config: Config) -> eyre::Result<Running> {
    crate::check_loopback(&config.genesis, config.http)?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    // Values that are read again and again, at some 200 bytes each, take an eighth of what the log's pages take.
    let state_config = state::config(&runtime, "stoa", config.cache, threads);
    let ledger_config = LedgerConfig {
        history: config.history,
        cache_entries: config.cache / 8 / 200,
        ..LedgerConfig::new(config.folder.join("history"))
    };
    let key = match &config.keys {
        Keys::Dealt(identity) => identity.key.clone(),
        Keys::Own(key) => key.clone(),
    };
    let mut genesis = config.genesis;
    // The same for all validators, before and after they have a key.
    let network = keccak256(serde_json::to_vec(&Genesis { committee: None, ..genesis.clone() })?);
    let peers = stoa_consensus::peers(config.peers)?;
    let wire = runtime.child("wire");
    let mut wire = stoa_consensus::connect(wire, key.clone(), network.as_slice(), config.listen, peers, BLOCK_BYTES)?;
    let share = match config.keys {
        Keys::Dealt(identity) => identity.share,
        Keys::Own(_) => {
            let (committee, share) = Box::pin(own_share(&runtime, &config.folder, &key, &mut wire)).await?;
            genesis.committee = Some(committee);
            share
        }
    };
    let ledger = Ledger::open(runtime.child("genesis"), genesis, ledger_config, state_config.clone()).await?;

    let waiting = Mempool::default();
    let validator = stoa_consensus::Validator {
        ledger: ledger.clone(),
        state: state_config,
        waiting: waiting.clone(),
        beneficiary: config.beneficiary,
        pace: config.pace,
        max_bytes: BLOCK_BYTES,
        share,
    };
    // Boxed, for the state of all that starts is large.
    let consensus = Box::pin(start_validator(runtime.child("validator"), wire, validator)).await?;

    // Clients have seen what the history holds: serve nobody before the state has come up to it.
    let newest = ledger.newest_recorded()?;
    let deadline = Instant::now() + REPLAY;
    while ledger.head().number() < newest {
        if Instant::now() > deadline {
            bail!("block {newest} was final before the last stop, but the state stays at {}", ledger.head().number());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    // The pool checks what it kept against the state, which has joined the ledger now.
    let state = Arc::new(Head { ledger: ledger.clone(), contract_senders: false });
    // One wei of tip, as geth asks for: who pays nothing costs the network something all the same.
    let pool_config = stoa_mempool::Config { minimum_tip: 1, ..stoa_mempool::Config::default() };
    let pool = Pool::open(&config.folder.join("mempool"), pool_config, state)
        .wrap_err("the file of waiting transactions cannot be opened")?;
    waiting.open(pool.clone());
    tokio::spawn(maintain(pool.clone()));

    let rpc = Server::builder(ledger.clone(), pool.clone())
        .accounts(config.accounts)
        .methods(crate::stoa_methods::register)
        .methods(|methods| crate::validator_methods::register(methods, &ledger, key.public_key(), consensus))
        .router(crate::health::routes(ledger.clone(), runtime.child("metrics")))
        .bind(config.http)
        .await
        .wrap_err_with(|| format!("cannot listen on {}", config.http))?;
    Ok(Running { ledger, pool, rpc })
}

/// The committee, and a validator's share of its key: from the folder, or from a ceremony.
async fn own_share(
    runtime: &Context,
    folder: &Path,
    key: &PrivateKey,
    wire: &mut Wire<Context>,
) -> eyre::Result<(stoa_base::Committee, Share)> {
    fs::create_dir_all(folder).wrap_err_with(|| format!("cannot create {}", folder.display()))?;
    let (path, mut vault) = (folder.join(COMMITTEE), Vault::open(&folder.join(SECRETS), key)?);
    if path.exists() {
        let text = fs::read_to_string(&path).wrap_err_with(|| format!("cannot read {}", path.display()))?;
        let committee = serde_json::from_str(&text).wrap_err_with(|| format!("{} is damaged", path.display()))?;
        let share = vault.get_share(Epoch::zero()).await;
        let share =
            share.ok_or_else(|| eyre!("{} holds no share of the network key", folder.join(SECRETS).display()))?;
        return Ok((committee, share));
    }
    let (committee, share, helping) = stoa_consensus::generate(runtime.child("ceremony"), wire, vault).await?;
    let committee = stoa_base::Committee::from(&committee);
    write_private(&path, serde_json::to_string_pretty(&committee)?.as_bytes())
        .wrap_err_with(|| format!("cannot write {}", path.display()))?;
    tracing::info!(validators = committee.validators.len(), "the network key is there");
    tokio::spawn(helping);
    Ok((committee, share))
}

/// Lets the pool tidy up every few seconds.
async fn maintain(pool: Pool) {
    let start = Instant::now();
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        every.tick().await;
        let pool = pool.clone();
        let now = start.elapsed().as_millis() as u64;
        let tidied = tokio::task::spawn_blocking(move || pool.maintain(now)).await;
        if let Ok(Err(error)) = tidied {
            tracing::error!(%error, "the file of waiting transactions cannot be written");
        }
    }
}

//! `stoa up` and `stoa dev`: embedded networks.

use alloy_primitives::{Bytes, hex};
use alloy_signer_local::PrivateKeySigner;
use clap::Args;
use commonware_cryptography::ed25519;
use commonware_runtime::{Runner as _, tokio as runtime};
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure, eyre};
use serde_json::json;
use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};
use stoa_base::{DEVELOPMENT_MNEMONIC, Genesis, gone, now, write_private};
use stoa_client::{Client, Wallet};
use stoa_consensus::Pace;
use stoa_data::{
    client::DataError,
    registry::{self, Listing},
};
use stoa_net::PeerAddress;
use stoa_node::{Kept, dev, development, folder, up};

/// Options that embedded networks share.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Folder of the chain; goes on where it stopped.
    #[arg(long, value_name = "DIR", default_value = ".stoa")]
    pub(crate) dir: PathBuf,
    /// Start a new chain: delete the one in the folder.
    #[arg(long)]
    fresh: bool,
    /// Address to serve JSON-RPC on, HTTP and WebSocket; port 0 takes a free one. With several validators, this is the first
    /// one's, and the others take the ports after it.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8545", value_parser = served)]
    http: SocketAddr,
    /// A name that programs may call this node by besides `localhost`; may be given several times. Others are refused while it
    /// listens on loopback, lest a web page reach it under a name of its own. Pages of these names, and of this machine, may call
    /// it, and have it sign with its accounts; no others may. Example: --allow-host node.example
    #[arg(long = "allow-host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Chain id of a new chain, 31337 if not given; of a chain that is there already, the one that it has.
    #[arg(long, value_name = "N")]
    chain_id: Option<u64>,
    /// BIP-39 words that the development accounts of a new chain are derived from.
    #[arg(long, value_name = "WORDS", default_value = DEVELOPMENT_MNEMONIC)]
    mnemonic: String,
    /// Of how many blocks back the state can be read; 0 keeps all (an archive).
    #[arg(long, value_name = "BLOCKS", default_value_t = 10_000)]
    history: u64,
}

/// Options of `stoa up`.
#[derive(Args, Clone, Debug)]
pub(crate) struct UpOptions {
    /// How many validators run in this process; of a chain that is there already, as many as it has.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(up::MAX_VALIDATORS)))]
    validators: Option<u32>,
    /// Milliseconds between blocks while transactions wait, at least; where blocks hold many, they come up to 50 ms apart.
    #[arg(long, value_name = "MS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    block_time: u64,
    /// Gibibytes of disk at each validator for what others want to have kept; they are registered as stores and keepers by
    /// the last development account, so that `stoa store --spread` and `stoa data` have somebody to turn to.
    #[arg(long, value_name = "GIB", default_value_t = 0)]
    store_gib: u64,
    /// The first validator keeps an index of the market's assets, and answers what programs ask Ocean's indexers
    /// (`/api/aquarius`).
    #[arg(long)]
    index: bool,
    /// Take transactions without a chain id too, which hold on every chain (from before EIP-155): some contracts are deployed
    /// by one at the same address everywhere.
    #[arg(long)]
    allow_unprotected: bool,
    #[command(flatten)]
    options: Options,
}

/// Options of `stoa dev`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DevOptions {
    /// How many development accounts a new chain has, 20 if not given; of a chain that is there already, as many as it has.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(development::MAX_ACCOUNTS)))]
    accounts: Option<u32>,
    /// Milliseconds between blocks, which come by themselves then, instead of one for each transaction.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    block_time: Option<u64>,
    /// Gas limit of a new chain's blocks, 150,000,000 if not given; of a chain that is there already, the one that it began
    /// with.
    #[arg(long, value_name = "GAS")]
    gas_limit: Option<u64>,
    /// Base fee of a new chain's first block in wei per gas, 1,000,000,000 if not given; of a chain that is there already, the
    /// one that it began with. 0 stays 0 until a block is more than half full.
    #[arg(long, visible_alias = "block-base-fee-per-gas", value_name = "WEI")]
    base_fee: Option<u64>,
    /// Let a contract's code be longer than 24,576 bytes (EIP-170), and the code that creates it longer than 49,152 (EIP-3860),
    /// as Hardhat's `allowUnlimitedContractSize` does. Code has 1 MiB at most, and a transaction 128 KiB. To be said at each start
    /// of a chain that has such code.
    #[arg(long)]
    disable_code_size_limit: bool,
    #[command(flatten)]
    options: Options,
}

/// Where JSON-RPC is served.
pub(crate) fn served(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "want an IP address and a port, such as 127.0.0.1:8545".to_owned())
}

/// The file of a folder that holds the chain's genesis.
const GENESIS: &str = "genesis.json";

/// The file that a development network's keys are derived from.
const SEED: &str = "validators.seed";

/// What is left of these two where writing them was cut off.
const PARTS: [&str; 2] = ["genesis.json.part", "validators.seed.part"];

/// How many validators a new network has.
const VALIDATORS: NonZeroU32 = NonZeroU32::new(4).expect("it is not zero");

impl Options {
    /// For an embedded network in `dir`, on any free port.
    pub(crate) fn embedded(dir: PathBuf) -> Self {
        Self {
            dir,
            fresh: false,
            http: SocketAddr::from(([127, 0, 0, 1], 0)),
            hosts: Vec::new(),
            chain_id: None,
            mnemonic: DEVELOPMENT_MNEMONIC.to_owned(),
            history: 10_000,
        }
    }

    /// Takes the folder for this process. Where JSON-RPC could not be served, none is made.
    fn hold(&self, validators: NonZeroU32) -> Result<folder::Held> {
        if !self.dir.exists() {
            self.servable(&development::genesis(development::CHAIN_ID, &[], now()), validators)?;
        }
        folder::hold(&self.dir)
    }

    /// Refuses what so many validators of a chain that begins so could not serve JSON-RPC on.
    fn servable(&self, genesis: &Genesis, validators: NonZeroU32) -> Result<()> {
        up::serving_at(genesis, self.http, validators.get() as usize).map(drop)
    }

    fn window(&self) -> u64 {
        if self.history == 0 { u64::MAX } else { self.history }
    }

    /// Of a network of so many validators.
    pub(crate) fn up(&self, validators: Option<NonZeroU32>) -> Result<up::Config> {
        let (new, count) = (rand::random::<[u8; 32]>(), validators.unwrap_or(VALIDATORS));
        let (genesis, accounts) = self.genesis(development::ACCOUNTS, count, Some(new), |genesis| {
            let (committee, _) = up::deal(new, count);
            genesis.committee = Some((&committee).into());
        })?;
        let Some(committee) = &genesis.committee else {
            bail!("the chain in {} has no validators (run it with `stoa dev`)", self.dir.display());
        };
        let count = committee.validators.len();
        if validators.is_some_and(|wanted| wanted.get() as usize != count) {
            bail!("the chain in {} has {count} validators (--fresh starts a new chain)", self.dir.display());
        }
        let (dealt, identities) =
            up::deal(self.seed()?, NonZeroU32::new(u32::try_from(count)?).wrap_err("no validators")?);
        if stoa_base::Committee::from(&dealt) != *committee {
            bail!("{} is not that of the chain in {}", SEED, self.dir.display());
        }
        let with_beneficiary = |(index, identity)| {
            let beneficiary = development::beneficiary(&self.mnemonic, index).wrap_err("--mnemonic")?;
            Ok((identity, beneficiary))
        };
        Ok(up::Config {
            genesis,
            validators: (0..).zip(identities).map(with_beneficiary).collect::<Result<_>>()?,
            folder: self.dir.clone(),
            http: self.http,
            accounts,
            pace: Pace { busy: Duration::from_millis(50), idle: Duration::from_secs(1) },
            history: self.window(),
            store_gib: 0,
            index: false,
            hosts: self.hosts.clone(),
            allow_unprotected: false,
        })
    }

    /// What the validators' keys were derived from.
    fn seed(&self) -> Result<[u8; 32]> {
        let path = self.dir.join(SEED);
        let text = fs::read_to_string(&path)
            .wrap_err_with(|| format!("cannot read {}, which the validators' keys come from", path.display()))
            .wrap_err_with(|| {
                format!("the chain in {} is not whole (--fresh starts a new chain)", self.dir.display())
            })?;
        let bytes = hex::decode(text.trim()).wrap_err_with(|| format!("{} is damaged", path.display()))?;
        bytes.try_into().map_err(|_| eyre!("{} is damaged: want 32 bytes", path.display()))
    }

    /// The genesis in the folder, or a new one with so many accounts, of so many validators, whose keys are derived from `seed`, and
    /// which `complete` completes; and the accounts. Nothing is deleted or written if no chain can begin so, or JSON-RPC could not be
    /// served then.
    fn genesis(
        &self,
        count: u32,
        validators: NonZeroU32,
        seed: Option<[u8; 32]>,
        complete: impl FnOnce(&mut Genesis),
    ) -> Result<(Genesis, Vec<PrivateKeySigner>)> {
        let path = self.dir.join(GENESIS);
        if !self.fresh && path.exists() {
            let genesis = stoa_node::read_genesis(&path)?;
            if let Some(wanted) = self.chain_id.filter(|wanted| *wanted != genesis.chain_id) {
                let (dir, has) = (self.dir.display(), genesis.chain_id);
                bail!("the chain in {dir} has id {has}, not {wanted} (--fresh starts a new chain)");
            }
            let accounts = development::accounts_of(&self.mnemonic, &genesis).wrap_err("--mnemonic")?;
            if accounts.is_empty() {
                bail!("the chain in {} has other accounts (--fresh starts a new chain)", self.dir.display());
            }
            return Ok((genesis, accounts));
        }
        let accounts = development::accounts(&self.mnemonic, count).wrap_err("--mnemonic")?;
        let chain_id = self.chain_id.unwrap_or(development::CHAIN_ID);
        let mut genesis = development::genesis(chain_id, &accounts, now());
        complete(&mut genesis);
        genesis.validate()?;
        self.servable(&genesis, validators)?;
        if self.fresh {
            remove_chain(&self.dir)?;
        }
        fs::create_dir_all(&self.dir).wrap_err_with(|| format!("cannot create the folder {}", self.dir.display()))?;
        if let Some(seed) = seed {
            let path = self.dir.join(SEED);
            ensure!(
                !path.exists(),
                "{} is there already, without the {GENESIS} that belongs to it: the chain was not begun to its end, or that file is lost \
                 (--fresh starts a new chain)",
                path.display()
            );
            write_private(&path, hex::encode(seed).as_bytes())
                .wrap_err_with(|| format!("cannot write {}", path.display()))?;
        }
        // The last of all, and whole or not at all: with it the chain is there.
        write_private(&path, &serde_json::to_vec_pretty(&genesis)?)
            .wrap_err_with(|| format!("cannot write {}", path.display()))?;
        Ok((genesis, accounts))
    }
}

impl DevOptions {
    /// Of a node without consensus.
    fn config(&self) -> Result<dev::Config> {
        let options = &self.options;
        let count = self.accounts.unwrap_or(development::DEV_ACCOUNTS);
        let (genesis, accounts) = options.genesis(count, NonZeroU32::MIN, None, |genesis| {
            genesis.gas_limit = self.gas_limit.unwrap_or(genesis.gas_limit);
            genesis.fees.initial_base_fee = self.base_fee.unwrap_or(genesis.fees.initial_base_fee);
            // Tools set the base fee to nothing, and count on it to stay so.
            genesis.fees.minimum_base_fee = 0;
        })?;
        let dir = options.dir.display();
        if genesis.committee.is_some() {
            bail!("the chain in {dir} is that of validators (run it with `stoa up`)");
        }
        for (option, wanted, has) in [
            ("--accounts", self.accounts.map(u64::from), accounts.len() as u64),
            ("--gas-limit", self.gas_limit, genesis.gas_limit),
            ("--base-fee", self.base_fee, genesis.fees.initial_base_fee),
        ] {
            if let Some(wanted) = wanted.filter(|wanted| *wanted != has) {
                bail!("the chain in {dir} began with {option} {has}, not {wanted} (--fresh starts a new chain)");
            }
        }
        Ok(dev::Config {
            genesis,
            folder: options.dir.clone(),
            http: options.http,
            accounts,
            history: options.window(),
            hosts: options.hosts.clone(),
            disable_code_size_limit: self.disable_code_size_limit,
            block_time: self.block_time,
        })
    }
}

/// Deletes a chain, and nothing that is not one. What tells that there is one goes last, so that what is cut off can be repeated.
fn remove_chain(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let mut entries = fs::read_dir(folder).wrap_err_with(|| format!("cannot read {}", folder.display()))?;
    // The lock is this process's own.
    let is_nothing = |name: OsString| name == folder::LOCK || PARTS.iter().any(|part| name == *part);
    let empty = entries.all(|entry| entry.is_ok_and(|entry| is_nothing(entry.file_name())));
    // A seed alone is that of a chain that was not begun to its end.
    if !empty && ![GENESIS, SEED].iter().any(|file| folder.join(file).exists()) {
        bail!("{} holds no chain (there is no {GENESIS} in it), so --fresh does not delete it", folder.display());
    }
    let validators = (0..up::MAX_VALIDATORS).map(|index| index.to_string());
    // Without its seed no network starts, whatever is left of its folders.
    let first = [SEED, "state", "history", "mempool", dev::BY_HAND, up::PORTS, PARTS[0], PARTS[1]].map(str::to_owned);
    for name in first.into_iter().chain(validators).chain([GENESIS.to_owned()]) {
        let path = folder.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.or_else(gone).wrap_err_with(|| format!("cannot delete {}", path.display()))?;
    }
    Ok(())
}

/// Runs a node without consensus until interrupted.
pub(crate) fn run_dev(options: DevOptions, json: bool) -> Result<()> {
    // Before a chain is deleted: another process may be running it.
    let _held = options.options.hold(NonZeroU32::MIN)?;
    let config = options.config()?;
    let (chain_id, accounts, dir) = (config.genesis.chain_id, config.accounts.clone(), config.folder.clone());
    // Who waits for each answer has it soonest where no thread hands over to another; but a block that takes long stops that thread.
    let threads = if config.genesis.gas_limit > development::GAS_LIMIT { 2 } else { 1 };
    let storage = runtime::Config::new().with_storage_directory(config.storage()).with_worker_threads(threads);
    Kept::here(&dir).guard(|| {
        runtime::Runner::new(storage).start(async move |runtime| {
            let running = Box::pin(dev::start(runtime, config)).await?;
            let block = running.ledger().head().number();
            let chain = Chain { id: chain_id, block, accounts: &accounts, followed: None };
            announce("a development node without consensus", &[running.http()], &chain, &options.options.dir, json);
            interrupted().await?;
            Ok(running.stop().await?)
        })
    })
}

/// Runs a network of validators until interrupted.
pub(crate) fn run_up(options: UpOptions, json: bool) -> Result<()> {
    let UpOptions { validators, block_time, store_gib, index, allow_unprotected, options } = options;
    let validators = validators.and_then(NonZeroU32::new);
    let _held = options.hold(validators.unwrap_or(VALIDATORS))?;
    let mut config = options.up(validators)?;
    config.pace.busy = Duration::from_millis(block_time);
    config.store_gib = store_gib;
    config.index = index;
    config.allow_unprotected = allow_unprotected;
    let (chain_id, accounts) = (config.genesis.chain_id, config.accounts.clone());
    let keys = config.validators.iter().map(|(identity, _)| identity.key.clone()).collect::<Vec<_>>();
    let network = up::Network::start(config)?;
    let http = network.http().collect::<Vec<_>>();
    if store_gib > 0
        && let (Some(operator), Some(first)) = (accounts.last(), http.first())
    {
        let addresses = network.addresses().cloned().collect::<Vec<_>>();
        wait(async {
            let operator = Wallet::new(Client::new(format!("http://{first}")), operator.clone()).await?;
            register(&operator, &keys, &addresses, store_gib).await
        })??;
    }
    let what = match http.len() {
        1 => "an embedded network of one validator".to_owned(),
        count => format!("an embedded network of {count} validators"),
    };
    let head = network.ledger(0).head().number();
    let followed = network.network_key().zip(network.addresses().next().cloned());
    let chain = Chain { id: chain_id, block: head, accounts: &accounts, followed };
    announce(&what, &http, &chain, &options.dir, json);
    wait(interrupted_or(|| !network.is_running()))??;
    network.end()
}

/// Registers an embedded network's validators as nodes that keep things for others, each as a machine of its own.
pub(crate) async fn register(
    operator: &Wallet,
    keys: &[ed25519::PrivateKey],
    addresses: &[PeerAddress],
    gib: u64,
) -> Result<()> {
    for (number, (key, address)) in keys.iter().zip(addresses).enumerate() {
        let domain = format!("machine {}", number + 1);
        let roles = registry::STORE | registry::KEEPER;
        let listing = Listing { host: address.host.clone(), domain, capacity: gib.saturating_mul(1 << 30), roles };
        let joined = registry::join(operator, key, listing).await.map_err(DataError::from);
        joined.wrap_err("a node cannot be registered")?;
    }
    Ok(())
}

/// Runs a future on this thread.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(future))
}

/// Resolves as [`interrupted`], or when something is over.
async fn interrupted_or(over: impl Fn() -> bool) -> Result<()> {
    let polled = async {
        while !over() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        interrupted = interrupted() => interrupted,
        () = polled => Ok(()),
    }
}

/// What is said of a chain when it starts.
struct Chain<'a> {
    id: u64,
    block: u64,
    accounts: &'a [PrivateKeySigner],
    /// The network key, and where the network can be followed.
    followed: Option<(Bytes, PeerAddress)>,
}

fn announce(what: &str, addresses: &[SocketAddr], chain: &Chain<'_>, dir: &Path, json: bool) {
    let url = |scheme: &str, address: &SocketAddr| format!("{scheme}://{address}");
    let key = |signer| hex::encode_prefixed(development::private_key(signer));
    let [address, others @ ..] = addresses else { return };
    let (http, ws, chain_id) = (url("http", address), url("ws", address), chain.id);
    if json {
        let accounts =
            chain.accounts.iter().map(|signer| json!({ "address": signer.address(), "privateKey": key(signer) }));
        let (accounts, nodes) = (accounts.collect::<Vec<_>>(), addresses.iter().map(|node| url("http", node)));
        let nodes = nodes.collect::<Vec<_>>();
        let (network_key, follow_at) = match &chain.followed {
            Some((key, address)) => (Some(key), Some(address.to_string())),
            None => (None, None),
        };
        let said = json!({
            "http": http, "ws": ws, "nodes": nodes, "chainId": chain_id, "dir": dir, "networkKey": network_key,
            "followAt": follow_at, "accounts": accounts,
        });
        println!("{said}");
        return;
    }
    println!("Stoa: {what}, chain {chain_id}, in {}", dir.display());
    println!("\n  JSON-RPC   {http}\n  WebSocket  {ws}");
    for other in others {
        println!("  also at    {}", url("http", other));
    }
    println!("  block      {}\n", chain.block);
    if let Some((key, address)) = &chain.followed {
        println!("  Follow it with a node of your own, which trusts none of these:");
        println!("  stoa follow --http 127.0.0.1:0 --network-key {key} --peer {address}\n");
    }
    println!("  Development accounts, {} STOA each at the start. Everybody knows their keys.", development::COINS);
    for (index, signer) in chain.accounts.iter().enumerate() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::ffi::OsStr;

    #[derive(Parser)]
    struct Dev {
        #[command(flatten)]
        options: DevOptions,
    }

    fn dev(options: Options) -> DevOptions {
        DevOptions {
            accounts: None,
            block_time: None,
            gas_limit: None,
            base_fee: None,
            disable_code_size_limit: false,
            options,
        }
    }

    /// Words of other accounts.
    const OTHERS: &str =
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

    /// What `stoa dev` starts in this folder with these words.
    fn dev_in(dir: &Path, words: &[&str]) -> Result<dev::Config> {
        let line = ["dev", "--http", "127.0.0.1:0", "--dir"].map(OsStr::new).into_iter().chain([dir.as_os_str()]);
        Dev::try_parse_from(line.chain(words.iter().map(OsStr::new)))?.options.config()
    }

    #[test]
    fn a_chain_without_consensus_begins_as_it_is_told_and_keeps_that() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("dev");
        let refused = |words: &[&str]| format!("{:#}", dev_in(&dir, words).unwrap_err());
        for (words, part) in [
            (["--accounts", "0"], "0 is not in 1..=1000"),
            (["--accounts", "1001"], "1001 is not in 1..=1000"),
            (["--gas-limit", "7"], "gasLimit is 7"),
        ] {
            assert!(refused(&words).contains(part), "{}", refused(&words));
        }
        let begun = dev_in(&dir, &["--accounts", "12", "--gas-limit", "60000000", "--base-fee", "0"]).unwrap();
        let funded = |config: &dev::Config| {
            let accounts = config.accounts.iter().map(|signer| config.genesis.alloc[&signer.address()].balance);
            accounts.filter(|balance| !balance.is_zero()).count()
        };
        assert_eq!((begun.accounts.len(), funded(&begun)), (12, 12));
        assert_eq!((begun.genesis.gas_limit, begun.genesis.fees.initial_base_fee), (60_000_000, 0));
        assert!(!begun.disable_code_size_limit);

        let again = dev_in(&dir, &["--disable-code-size-limit"]).unwrap();
        assert_eq!((again.accounts.len(), &again.genesis), (12, &begun.genesis));
        assert!(again.disable_code_size_limit);
        dev_in(&dir, &["--accounts", "12", "--gas-limit", "60000000", "--block-base-fee-per-gas", "0"]).unwrap();
        let fresh = |words: [&str; 2]| dev_in(&dir, &["--fresh", words[0], words[1]]);
        for wrong in [["--gas-limit", "7"], ["--mnemonic", "no words"]] {
            assert!(fresh(wrong).is_err() && dir.join(GENESIS).exists(), "{wrong:?} deletes nothing");
        }
        for (words, part) in [
            (["--accounts", "20"], "began with --accounts 12, not 20 (--fresh"),
            (["--gas-limit", "30000000"], "began with --gas-limit 60000000, not 30000000 (--fresh"),
            (["--gas-limit", "7"], "began with --gas-limit 60000000, not 7 (--fresh"),
            (["--base-fee", "1"], "began with --base-fee 0, not 1 (--fresh"),
            (["--mnemonic", OTHERS], "has other accounts (--fresh"),
        ] {
            assert!(refused(&words).contains(part), "{}", refused(&words));
        }
    }

    #[test]
    fn without_consensus_there_are_as_many_accounts_as_on_hardhats_network() {
        let folder = tempfile::tempdir().unwrap();
        let options = |name: &str| Options::embedded(folder.path().join(name));
        assert_eq!(dev(options("dev")).config().unwrap().accounts.len(), 20);
        let up = options("up").up(None).unwrap();
        assert_eq!(up.accounts.len(), 10);
        assert!(up.validators.iter().all(|(_, beneficiary)| !up.genesis.alloc.contains_key(beneficiary)));
        assert_eq!(options("up").up(None).unwrap().accounts.len(), 10);
    }

    #[test]
    fn only_without_consensus_the_base_fee_may_fall_to_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let options = |name: &str| Options::embedded(folder.path().join(name));
        assert_eq!(dev(options("dev")).config().unwrap().genesis.fees.minimum_base_fee, 0);
        assert_eq!(options("up").up(None).unwrap().genesis.fees.minimum_base_fee, 7);
    }

    #[test]
    fn a_new_chain_has_the_id_that_is_asked_for_and_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let id = |name: &str, chain_id: Option<u64>| -> Result<u64> {
            let options = Options { chain_id, ..Options::embedded(folder.path().join(name)) };
            let is_dev = name.starts_with("dev");
            let genesis = if is_dev { dev(options).config()?.genesis } else { options.up(None)?.genesis };
            Ok(genesis.chain_id)
        };
        for name in ["dev", "up"] {
            assert_eq!(id(name, Some(7)).unwrap(), 7);
            assert_eq!((id(name, None).unwrap(), id(name, Some(7)).unwrap()), (7, 7));
            let refused = id(name, Some(8)).unwrap_err().to_string();
            assert!(refused.contains("has id 7, not 8 (--fresh"), "{refused}");
            assert_eq!(id(&format!("{name}-plain"), None).unwrap(), development::CHAIN_ID);
        }
    }

    #[test]
    fn a_chain_whose_begin_or_end_was_cut_off_can_be_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::embedded(folder.path().join("up"));
        let fresh = Options { fresh: true, ..options.clone() };
        let at = |name: &str| options.dir.join(name);
        options.up(None).unwrap();
        let begun = fs::read(at(SEED)).unwrap();
        // Killed before the genesis was there.
        fs::remove_file(at(GENESIS)).unwrap();
        let why = format!("{:#}", options.up(None).err().unwrap());
        assert!(why.contains(SEED) && why.contains("--fresh"), "{why}");
        fresh.up(None).unwrap();
        assert!(fs::read(at(SEED)).unwrap() != begun && at(GENESIS).exists());
        // Killed while it was deleted, or while the first file was written.
        fs::remove_file(at(SEED)).unwrap();
        let why = format!("{:#}", options.up(None).err().unwrap());
        assert!(why.contains(SEED) && why.contains("--fresh"), "{why}");
        fs::remove_file(at(GENESIS)).unwrap();
        fs::write(at(PARTS[1]), "12").unwrap();
        fresh.up(None).unwrap();
        assert!(at(GENESIS).exists() && PARTS.iter().all(|part| !at(part).exists()));
        // What is no chain stays.
        for file in [GENESIS, SEED] {
            fs::remove_file(at(file)).unwrap();
        }
        fs::write(at("notes.txt"), "mine").unwrap();
        let why = format!("{:#}", fresh.up(None).err().unwrap());
        assert!(why.contains("holds no chain") && at("notes.txt").exists(), "{why}");
    }

    #[test]
    fn names_that_are_allowed_reach_the_servers() {
        let folder = tempfile::tempdir().unwrap();
        let options =
            |name: &str| Options { hosts: vec!["node.example".into()], ..Options::embedded(folder.path().join(name)) };
        assert_eq!(dev(options("dev")).config().unwrap().hosts, ["node.example"]);
        assert_eq!(options("up").up(None).unwrap().hosts, ["node.example"]);
    }

    fn up(options: Options) -> UpOptions {
        UpOptions { validators: None, block_time: 10, store_gib: 0, index: false, allow_unprotected: false, options }
    }

    #[test]
    fn where_json_rpc_cannot_be_served_no_chain_is_begun_and_none_deleted() {
        let here = tempfile::tempdir().unwrap();
        let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap();
        let old = here.path().join("old");
        dev(Options::embedded(old.clone())).config().unwrap();
        let genesis = fs::read(old.join(GENESIS)).unwrap();
        for (http, part) in [(port, "names another address"), (([0, 0, 0, 0], 0).into(), "on loopback only")] {
            for dir in [here.path().join("new"), old.clone()] {
                let options = Options { fresh: true, http, ..Options::embedded(dir) };
                for refused in [run_dev(dev(options.clone()), true), run_up(up(options.clone()), true)] {
                    let error = refused.unwrap_err().to_string();
                    assert!(error.contains("--http") && error.contains(part), "{error}");
                }
            }
        }
        assert!(!here.path().join("new").exists(), "something was written");
        assert_eq!(fs::read(old.join(GENESIS)).unwrap(), genesis);
    }

    #[test]
    fn whoever_names_no_address_to_serve_on_is_told_what_one_looks_like() {
        assert_eq!(served("[::1]:0").unwrap().port(), 0);
        for wrong in ["localhost:8545", "127.0.0.1", "8545"] {
            let why = Dev::try_parse_from(["dev", "--http", wrong]).err().unwrap().to_string();
            assert!(why.contains(wrong) && why.contains("such as 127.0.0.1:8545"), "{why}");
        }
    }

    #[test]
    fn the_chain_of_a_running_node_is_not_deleted() {
        let here = tempfile::tempdir().unwrap();
        let options = Options { fresh: true, ..Options::embedded(here.path().join("chain")) };
        let held = folder::hold(&options.dir).unwrap();
        // A folder that holds nothing but the lock is as good as an empty one.
        dev(options.clone()).config().unwrap();
        let genesis = fs::read(options.dir.join(GENESIS)).unwrap();
        for refused in [run_dev(dev(options.clone()), true), run_up(up(options.clone()), true)] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("is used by another process"), "{error}");
        }
        assert_eq!(fs::read(options.dir.join(GENESIS)).unwrap(), genesis);
        drop(held);
    }
}

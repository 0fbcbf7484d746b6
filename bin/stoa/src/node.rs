//! `stoa init`, `stoa node` and `stoa status`: validators of a real network.

mod prompt;

use crate::{network, output, sale::Token, typed, wallet::WalletOptions};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_signer_local::PrivateKeySigner;
use clap::{Args, Subcommand};
use commonware_cryptography::ed25519::PrivateKey;
use commonware_runtime::{Runner as _, tokio as runtime};
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure, eyre};
use serde_json::{Value, json};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use stoa_base::{Genesis, now};
use stoa_client::{Client, SendError, Status, Wallet, view};
use stoa_consensus::MAX_VALIDATORS;
use stoa_contract::interfaces::IERC20;
use stoa_data::{
    client::DataError,
    jobs::COIN,
    registry::{self, Listing},
};
use stoa_node::{
    Kept, account, backup,
    config::{self, File, Peer},
    folder, validator,
};

/// Options of `stoa init`.
#[derive(Args)]
pub(crate) struct InitOptions {
    /// Folder to write to: one folder for each validator, numbered.
    #[arg(long, value_name = "DIR", default_value = "network")]
    dir: PathBuf,
    /// Host and port of each validator, separated by commas.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', required = true)]
    hosts: Vec<String>,
    /// Public keys of validators that have made their own (`stoa node key`), one for each host; else new ones are made.
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    keys: Vec<B256>,
    /// Chain id (EIP-155).
    #[arg(long, value_name = "N")]
    chain_id: u64,
    /// Accounts that have coins at the start: address=STOA, separated by commas.
    #[arg(long, value_name = "ADDRESS=COINS", value_delimiter = ',')]
    fund: Vec<String>,
    /// File with the passphrase that the new keys are encrypted with; asked for if not given.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Port of JSON-RPC on each host; on one host, the validators after the first take the ports after it.
    #[arg(long, value_name = "PORT", default_value_t = 8545, value_parser = clap::value_parser!(u16).range(1..))]
    http_port: u16,
    /// Milliseconds between blocks while transactions wait, at least.
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    block_time: u64,
    /// Blocks until the validators share the network key anew: 8 or more, and some 4 for each validator.
    #[arg(long, value_name = "BLOCKS", default_value_t = stoa_base::EPOCH_LENGTH)]
    epoch_length: u64,
}

/// Commands on one node.
#[derive(Subcommand)]
#[command(
    after_help = "Examples: stoa node key --file validator.key\n          stoa node run --config validator/stoa.toml"
)]
pub(crate) enum Command {
    /// Run a validator.
    #[command(after_help = "Example: stoa node run --config validator/stoa.toml")]
    Run {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = "stoa.toml")]
        config: PathBuf,
    },
    /// Make a validator's key, and print what others know it by.
    #[command(after_help = "Example: stoa node key --file validator.key")]
    Key {
        /// The file to write.
        #[arg(long, value_name = "FILE", default_value = "validator.key")]
        file: PathBuf,
        /// File with the passphrase to encrypt it with; asked for if not given.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Copy what a validator cannot get back from others into a new folder: key, secrets, configuration, genesis file.
    #[command(
        after_help = "Example: stoa node backup --config validator/stoa.toml --to /media/backup/validator\nThe copy is a folder \
                      to run from. The passphrase is not in it, nor is the chain."
    )]
    Backup {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = "stoa.toml")]
        config: PathBuf,
        /// The folder to write to.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Copy a backup into a new folder, from which the validator takes the chain from the others again.
    #[command(
        after_help = "Example: stoa node restore --from /media/backup/validator --to validator\nFirst make sure that this \
                      validator runs nowhere else: one that votes twice is taken for dishonest."
    )]
    Restore {
        /// The folder of the backup.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// The folder to write to.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Register a node, so that others find it and let it keep what they want to have kept. Costs a transaction.
    #[command(
        after_help = "Example: stoa node join --key validator.key --host a.example:9000 --domain rack-1 --gib 100 --wallet me.key"
    )]
    Join {
        /// The node's key.
        #[arg(long, value_name = "FILE", default_value = "validator.key")]
        key: PathBuf,
        /// File with the passphrase of the node's key; asked for if not given.
        #[arg(long, value_name = "FILE")]
        key_passphrase_file: Option<PathBuf>,
        /// Host and UDP port where others reach it.
        #[arg(long, value_name = "HOST:PORT", value_parser = callable)]
        host: String,
        /// What it fails together with: an operator, a region, a rack. Pieces of an object go to as many as there are.
        #[arg(long, value_name = "NAME", default_value = "")]
        domain: String,
        /// Gibibytes of disk for what others want to have kept, as `store_gib` of its configuration says.
        #[arg(long, value_name = "GIB", default_value_t = 0)]
        gib: u64,
        /// It keeps shares of keys for owners of data, and releases them while the ledger says that it may.
        #[arg(long)]
        keeper: bool,
        /// Coins to put on the node's own account, from which it pays when it moves shares of keys to other keepers.
        #[arg(long, value_name = "STOA", value_parser = coins)]
        fund: Option<U256>,
        #[command(flatten)]
        wallet: WalletOptions,
    },
    /// Remove a node from the registry. Other keepers take over the shares that it kept, other nodes the pieces.
    #[command(after_help = "Example: stoa node leave --node 0x5f8e… --wallet me.key")]
    Leave {
        /// The node's public key, as `stoa node join` printed it.
        #[arg(long, value_name = "KEY", value_parser = typed::id)]
        node: B256,
        #[command(flatten)]
        wallet: WalletOptions,
    },
    /// Pay out what a node has earned: from its own account, where fees and rewards come in and from which it pays for what it sends.
    #[command(after_help = "Example: stoa node withdraw --key node.key --amount 2.5 --to 0x7099…")]
    Withdraw {
        /// The node's key.
        #[arg(long, value_name = "FILE", default_value = "validator.key")]
        key: PathBuf,
        /// File with the passphrase of the node's key; asked for if not given.
        #[arg(long, value_name = "FILE", alias = "passphrase-file")]
        key_passphrase_file: Option<PathBuf>,
        /// How much.
        #[arg(long, value_name = "AMOUNT")]
        amount: String,
        /// Who gets it.
        #[arg(long, value_name = "ADDRESS", value_parser = typed::address)]
        to: Address,
        /// Of which ERC-20 token; the network's coin if not given.
        #[arg(long, value_name = "ADDRESS", value_parser = typed::address)]
        token: Option<Address>,
        /// A node of the network: its JSON-RPC.
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
        http: String,
    },
    /// Check a configuration file and all that it names, without running anything: also whether the key is that of the
    /// validator that the file, and the folder of its chain, were made for, and the chain that of the genesis file.
    #[command(
        after_help = "Example: stoa node check --config validator/stoa.toml\nIt prints the genesis file's hash, which must be the \
                      same on all validators. It does not read the chain: what is damaged there shows when the validator starts."
    )]
    Check {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = "stoa.toml")]
        config: PathBuf,
        /// File with the passphrase of the key, instead of the one that the configuration file names.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
}

/// An amount of coins in wei; or of any token in parts of 10^18, as prices and fees are said whatever decimals it has.
pub(crate) fn coins(text: &str) -> Result<U256, String> {
    typed::amount(text, 18)
}

/// Where a node can be called.
fn callable(text: &str) -> Result<String, String> {
    config::port(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// Options of `stoa status`.
#[derive(Args)]
pub(crate) struct StatusOptions {
    /// The node's JSON-RPC.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    http: String,
}

/// The passphrase in a file, which only its owner should be able to read, or one that is typed in; a new one twice.
pub(crate) fn passphrase(file: Option<&Path>, new: bool) -> Result<String> {
    if let Some(warning) = file.and_then(config::exposed) {
        tracing::warn!("{warning}");
    }
    secret_words(file, new)
}

/// The same without a warning.
fn secret_words(file: Option<&Path>, new: bool) -> Result<String> {
    let passphrase = match file {
        Some(file) => {
            let text = fs::read_to_string(file).wrap_err_with(|| format!("cannot read {}", file.display()))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        None => {
            let typed =
                prompt::hidden("Passphrase: ").wrap_err("cannot ask for the passphrase (use a passphrase file)")?;
            if new {
                ensure!(prompt::hidden("The same again: ")? == typed, "the two passphrases differ");
            }
            typed
        }
    };
    ensure!(!passphrase.is_empty(), "the passphrase is empty");
    Ok(passphrase)
}

fn funded(fund: &[String]) -> Result<Vec<(Address, U256)>> {
    let one = |text: &String| {
        let (address, coins) = text.split_once('=').wrap_err_with(|| format!("--fund {text}: want ADDRESS=COINS"))?;
        let address = typed::address(address.trim()).map_err(|why| eyre!("--fund {text}: {why}"))?;
        Ok((address, self::coins(coins.trim()).map_err(|why| eyre!("--fund {text}: {why}"))?))
    };
    let funded = fund.iter().map(one).collect::<Result<Vec<_>>>()?;
    if let Some(address) = config::twice(funded.iter().map(|(address, _)| *address)) {
        bail!("--fund names {address} twice: want one amount for each address");
    }
    let most = U256::from(MOST_COINS) * U256::from(10).pow(U256::from(18));
    let all = funded.iter().fold(U256::ZERO, |sum, (_, wei)| sum.saturating_add(*wei));
    ensure!(all <= most, "--fund: these are too many coins, want {MOST_COINS} in all at most");
    Ok(funded)
}

/// The most coins that a chain begins with.
const MOST_COINS: u64 = 1_000_000_000_000_000_000;

/// The port of JSON-RPC for each of these hosts and ports: validators on the same host must not serve on the same one.
fn http_ports(hosts: &[String], first: u16) -> Result<Vec<u16>> {
    let host = |at: usize| hosts[at].rsplit_once(':').map(|(host, _)| host);
    let port = |index: usize| {
        let before = (0..index).filter(|before| host(*before) == host(index)).count();
        let port = u16::try_from(before).ok().and_then(|before| first.checked_add(before));
        let port =
            port.wrap_err_with(|| format!("--http-port {first} leaves too few ports after it: want a lower one"))?;
        let taken = (0..hosts.len()).find(|at| host(*at) == host(index) && hosts[*at].ends_with(&format!(":{port}")));
        if let Some(taken) = taken {
            bail!("--http-port {first}: port {port} is that of validator {}, want another", hosts[taken]);
        }
        Ok(port)
    };
    (0..hosts.len()).map(port).collect()
}

/// Writes genesis, keys and configuration files for a new network.
pub(crate) fn init(options: InitOptions, json: bool) -> Result<()> {
    let InitOptions { dir, hosts, keys, chain_id, fund, passphrase_file, http_port, block_time, epoch_length } =
        options;
    let given = !keys.is_empty();
    if given && keys.len() != hosts.len() {
        bail!("{} hosts and {} keys: want one key for each host", hosts.len(), keys.len());
    }
    if dir.exists() && fs::read_dir(&dir)?.next().is_some() {
        bail!("{} is not empty (choose another folder with --dir)", dir.display());
    }
    config::check_peers(&keys, &hosts)?;
    ensure!(hosts.len() <= MAX_VALIDATORS.get() as usize, "a network has {MAX_VALIDATORS} validators at most");
    let ports = hosts.iter().map(|host| config::port(host)).collect::<Result<Vec<_>>>()?;
    let http_ports = http_ports(&hosts, http_port)?;
    let genesis = Genesis { epoch_length, ..stoa_node::genesis(chain_id, funded(&fund)?, now()) };
    genesis.validate()?;
    let genesis_hash = stoa_node::genesis_hash(&genesis);
    let genesis = serde_json::to_string_pretty(&genesis)?;
    let secret = if given { None } else { Some(passphrase(passphrase_file.as_deref(), true)?) };

    let folder = |index: usize| dir.join(format!("validator-{index}"));
    let public = match &secret {
        Some(passphrase) => {
            let make = |index| config::new_key(&folder(index).join("validator.key"), passphrase);
            let made = (0..hosts.len()).map(|index| Ok(config::public(&make(index)?)));
            made.collect::<Result<Vec<_>>>()?
        }
        None => keys,
    };
    let validators = public.iter().zip(&hosts).map(|(key, address)| Peer { key: *key, address: address.clone() });
    let validators = validators.collect::<Vec<_>>();
    for (index, port) in ports.iter().enumerate() {
        let folder = folder(index);
        fs::create_dir_all(&folder).wrap_err_with(|| format!("cannot create {}", folder.display()))?;
        let host = hosts[index].rsplit_once(':').map(|(host, _)| host);
        let local = host.is_some_and(|host| host == "127.0.0.1" || host == "localhost");
        let file = File {
            genesis: "genesis.json".into(),
            data: "data".into(),
            key: "validator.key".into(),
            passphrase_file: None,
            listen: SocketAddr::from((if local { [127, 0, 0, 1] } else { [0, 0, 0, 0] }, *port)),
            http: SocketAddr::from(([127, 0, 0, 1], http_ports[index])),
            beneficiary: config::beneficiary_of(public[index]),
            block_time_ms: block_time,
            history_blocks: 10_000,
            state_cache_mb: 256,
            sync_from_blocks: config::sync_from(),
            store_gib: 0,
            index: false,
            validators: validators.clone(),
        };
        for (name, text) in [("genesis.json", &genesis), ("stoa.toml", &file.to_text()?)] {
            let path = folder.join(name);
            fs::write(&path, text).wrap_err_with(|| format!("cannot write {}", path.display()))?;
        }
    }
    let may_fail = (hosts.len() - 1) / 3;
    if json {
        let said = json!({
            "dir": dir, "validators": public, "chainId": chain_id, "genesisFileHash": genesis_hash,
            "mayFail": may_fail,
        });
        println!("{said}");
        return Ok(());
    }
    println!("A network of {} validators, chain {chain_id}, in {}:", hosts.len(), dir.display());
    for (index, host) in hosts.iter().enumerate() {
        println!("  {}  {}  for {host}", folder(index).display(), public[index]);
    }
    match may_fail {
        0 => println!("None of them may fail: the chain stops when one does. From four on, one may."),
        count => println!("So many of them may fail at the same time: {count}."),
    }
    println!(
        "\nPut the `beneficiary` of your own into each stoa.toml: tips go there, and nobody has the key of what stands there."
    );
    if given {
        println!("Put each validator's own key beside its stoa.toml, as validator.key.");
    }
    println!("The hash of the genesis file is {genesis_hash}: `stoa node check` must print the same on all hosts.");
    println!("Copy each folder to its host, and start all of them: stoa node run --config stoa.toml");
    println!("At the first start they generate the network key together; none of them ever has it.");
    Ok(())
}

/// Runs one of the node's commands.
pub(crate) fn run(command: Command, json: bool) -> Result<()> {
    match command {
        Command::Key { file, passphrase_file } => {
            let key = config::new_key(&file, &passphrase(passphrase_file.as_deref(), true)?)?;
            let public = config::public(&key);
            if json {
                println!("{}", json!({ "file": file, "key": public }));
            } else {
                println!("{public}");
            }
            Ok(())
        }
        Command::Check { config, passphrase_file } => {
            let (file, config, mut warnings) = read(&config, passphrase_file.as_deref())?;
            warnings.extend(config.check()?);
            let (chain_id, validators) = (config.genesis.chain_id, file.validators.len());
            let genesis_hash = stoa_node::genesis_hash(&config.genesis);
            if json {
                let said = json!({
                    "chainId": chain_id, "genesisFileHash": genesis_hash, "validators": validators,
                    "warnings": warnings,
                });
                println!("{said}");
            } else {
                println!("Chain {chain_id}, {validators} validators: this one can run.");
                println!("The hash of the genesis file, which must be the same on all: {genesis_hash}");
                warnings.iter().for_each(|warning| println!("Warning: {warning}."));
            }
            Ok(())
        }
        Command::Backup { config, to } => copied(&backup::copy(&config, &to)?, json),
        Command::Restore { from, to } => copied(&backup::copy(&from.join("stoa.toml"), &to)?, json),
        Command::Join { key, key_passphrase_file, host, domain, gib, keeper, fund, wallet } => {
            let key = self::key(&key, key_passphrase_file.as_deref())?;
            let roles = if gib > 0 { registry::STORE } else { 0 } | if keeper { registry::KEEPER } else { 0 };
            let listing = Listing { host, domain, capacity: gib.saturating_mul(1 << 30), roles };
            let (public, account) = (config::public(&key), account::of(&key)?.address());
            network::wait(async {
                let wallet = wallet.open().await?;
                let joined = registry::join(&wallet, &key, listing).await.map_err(DataError::from);
                joined.wrap_err("the node was not registered")?;
                if let Some(fund) = fund {
                    let sent = wallet.send(account.into(), fund, Bytes::new()).await;
                    let sent = sent.wrap_err("the node is registered, but its account got nothing")?;
                    ensure!(sent.status(), "the node is registered, but its account got nothing");
                }
                Ok(())
            })??;
            match json {
                true => println!("{}", json!({ "key": public, "account": account })),
                false => println!("Node {public} is registered. It pays for what it sends from {account}."),
            }
            Ok(())
        }
        Command::Leave { node, wallet } => {
            network::wait(async {
                let wallet = wallet.open().await?;
                let left = registry::leave(&wallet, node).await.map_err(DataError::from);
                left.wrap_err("the node was not removed from the registry")
            })??;
            match json {
                true => println!("{}", json!({ "left": node })),
                false => println!(
                    "Node {node} is registered no longer. Let it run until others have taken over: it is needed for the shares of keys that \
                     `ls keeper/*/share` lists beside its chain, and for half an hour after them."
                ),
            }
            Ok(())
        }
        Command::Withdraw { key, key_passphrase_file, amount, to, token, http } => {
            let signer = account::of(&self::key(&key, key_passphrase_file.as_deref())?)?;
            network::wait(withdraw(signer, &http, &amount, token.unwrap_or(COIN), to, json))?
        }
        Command::Run { config } => {
            let (_, config, warnings) = read(&config, None)?;
            warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            serve(config, json)
        }
    }
}

/// Pays out of a node's account.
async fn withdraw(
    signer: PrivateKeySigner,
    http: &str,
    amount: &str,
    token: Address,
    to: Address,
    json: bool,
) -> Result<()> {
    let client = Client::new(http);
    let url = client.url();
    let wallet = Wallet::new(client, signer).await.wrap_err_with(|| output::unanswered(&url))?;
    let (token, from) = (Token::at(wallet.client(), token).await?, wallet.address());
    let (paid, of) = (token.amount(amount)?, IERC20::balanceOfCall { account: from });
    let (has, _) = view(wallet.client(), token.address, &of).await?;
    ensure!(paid <= has, "the node's account {from} has {}, which is less than that", token.shown(has));
    let sent = wallet.call(token.address, &IERC20::transferCall { to, value: paid }).await;
    let late = matches!(sent, Err(SendError::Late(_)));
    let why = if late { "it is not known yet whether anything is paid out" } else { "nothing was paid out" };
    sent.map_err(DataError::from).wrap_err(why)?;
    // What was paid is said whether or not the node goes on to answer.
    let left = view(wallet.client(), token.address, &of).await.ok().map(|(left, _)| left);
    if json {
        let said = json!({ "account": from, "to": to, "token": token.address, "paid": paid, "left": left });
        println!("{said}");
        return Ok(());
    }
    match left {
        Some(left) => println!("{to} has got {} from {from}, which has {} left.", token.shown(paid), token.shown(left)),
        None => println!("{to} has got {} from {from}.", token.shown(paid)),
    }
    Ok(())
}

/// The passphrase of a key's file, such as the command `maker` makes: in the file that `option` names, or asked for.
pub(crate) fn passphrase_of(key: &Path, maker: &str, option: &str, passphrase_file: Option<&Path>) -> Result<String> {
    // Before anybody is asked for the passphrase of nothing.
    fs::File::open(key).wrap_err_with(|| format!("cannot read the key {} (`{maker}` makes one)", key.display()))?;
    let unknown = || format!("what is the passphrase of {}? {option} names a file with it", key.display());
    passphrase(passphrase_file, false).wrap_err_with(unknown)
}

/// A node's key from its file, whose passphrase is in another or is asked for.
pub(crate) fn key(file: &Path, passphrase_file: Option<&Path>) -> Result<PrivateKey> {
    let passphrase = passphrase_of(file, "stoa node key", "--key-passphrase-file", passphrase_file)?;
    config::read_key(file, &passphrase)
}

fn copied(files: &[PathBuf], json: bool) -> Result<()> {
    if json {
        println!("{}", json!({ "files": files }));
    } else {
        files.iter().for_each(|file| println!("{}", file.display()));
        println!("The passphrase is not among them, and `passphrase_file` is commented out in this stoa.toml.");
    }
    Ok(())
}

/// A configuration file, what it says, and what had better be changed in it. The passphrase is in the file that is given, or else in the
/// one that it names.
fn read(path: &Path, passphrase_file: Option<&Path>) -> Result<(File, validator::Config, Vec<String>)> {
    let file = File::read(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let named = file.passphrase_file.as_ref().map(|name| folder.join(name));
    // Of whose file the warnings below tell.
    let passphrase = secret_words(passphrase_file.or(named.as_deref()), false)?;
    let config = file.config(folder, &passphrase)?;
    let warnings = file.warnings(folder, config::public(config.keys.key()));
    Ok((file, config, warnings))
}

fn serve(config: validator::Config, json: bool) -> Result<()> {
    let _held = folder::hold(&config.folder)?;
    let (chain_id, listen) = (config.genesis.chain_id, config.listen);
    let kept = Kept::by_one_of(config.peers.len(), &config.folder);
    let storage = runtime::Config::new().with_storage_directory(config.storage());
    kept.guard(|| {
        runtime::Runner::new(storage).start(async move |runtime| {
            let starting = async {
                let running = validator::start(runtime, config).await?;
                let (http, block) = (format!("http://{}", running.http()), running.ledger.head().number());
                let follow_at = running.address().map(|address| address.to_string());
                if json {
                    let said = json!({
                        "http": http, "listen": listen, "chainId": chain_id, "block": block, "followAt": follow_at,
                    });
                    println!("{said}");
                } else {
                    println!("Stoa: a validator of chain {chain_id}, at block {block}");
                    println!("\n  JSON-RPC    {http}\n  validators  {listen} (TCP)");
                    println!("  followers   {} (UDP)", follow_at.unwrap_or_default());
                    println!("\n  Stop with Ctrl-C.");
                }
                Ok::<_, eyre::Report>(running)
            };
            tokio::select! {
                running = starting => {
                    let running = running?;
                    network::interrupted().await?;
                    running.stop().await;
                    Ok(())
                }
                interrupted = network::interrupted() => interrupted,
            }
        })
    })
}

/// The fields of a status that are numbers, which JSON-RPC has in hex.
const NUMBERS: [&str; 11] = [
    "chainId",
    "blockNumber",
    "catchingUpTo",
    "timestamp",
    "clock",
    "patience",
    "epoch",
    "view",
    "equivocations",
    "pending",
    "queued",
];

/// Writes the numbers in a status as numbers.
fn write_plainly(said: &mut Value) {
    match said {
        Value::Array(list) => list.iter_mut().for_each(write_plainly),
        Value::Object(fields) => {
            for (name, value) in fields {
                let number = NUMBERS.contains(&name.as_str()).then(|| serde_json::from_value::<U64>(value.clone()));
                match number {
                    Some(Ok(number)) => *value = number.to::<u64>().into(),
                    // What is no such number stays as it is.
                    _ => write_plainly(value),
                }
            }
        }
        _ => {}
    }
}

/// A status for programs.
fn for_programs(status: &Status, now: u64) -> Result<Value> {
    let mut said = serde_json::to_value(status)?;
    write_plainly(&mut said);
    said["age"] = status.age(now).into();
    said["health"] = status.health(now).into();
    Ok(said)
}

/// Asks a node how it is.
pub(crate) fn status(options: StatusOptions, json: bool) -> Result<()> {
    let client = Client::new(&options.http);
    let status = network::wait(client.call::<Status>("stoa_status", ()))?;
    let status = status.wrap_err_with(|| output::unanswered(&client.url()))?;
    let now = now();
    let (age, stalled, clocks) = (status.age(now), status.is_stalled(now), status.clocks(now));
    if json {
        println!("{}", for_programs(&status, now)?);
        if stalled || clocks.is_some() || status.key_elsewhere {
            std::process::exit(1);
        }
        return Ok(());
    }
    println!("{status}");
    ensure!(
        !status.key_elsewhere,
        "this validator's key is in use elsewhere as well: stop one of the two at once, for together they can break the network's \
         promise that what is final stays"
    );
    clocks.map_or(Ok(()), Err)?;
    if let (true, Some(newest)) = (stalled, status.catching_up_to) {
        bail!("this node catches up with the others: it is at block {} of {newest}", status.block_number);
    }
    ensure!(!stalled, "the network is stalled, or this node is: its newest block is {age} seconds old");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Init {
        #[command(flatten)]
        options: InitOptions,
    }

    #[derive(Parser)]
    struct Typed {
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn a_key_that_is_not_there_is_named_before_its_passphrase_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("nokey");
        let why = format!("{:#}", key(&file, None).err().unwrap());
        assert!(why.contains(&file.display().to_string()) && !why.contains("passphrase"), "{why}");
        // Who has not typed it is told what else there is.
        fs::write(&file, "{}").unwrap();
        let why = format!("{:#}", key(&file, Some(&folder.path().join("nothing"))).err().unwrap());
        assert!(why.contains("--key-passphrase-file") && why.contains("nothing"), "{why}");
    }

    #[test]
    fn programs_are_told_a_status_with_its_numbers_as_numbers() {
        let said = json!({
            "version": "1", "roles": ["validator"], "chainId": "0x7", "blockNumber": "0x7", "blockHash": B256::ZERO,
            "catchingUpTo": "0x8",
            "timestamp": "0x7", "clock": "0x7", "patience": "0x7", "epoch": "0x7", "genesisHash": B256::ZERO,
            "networkKey": "0x07", "followAt": null, "pending": "0x7", "queued": U256::MAX,
            "validators": [{
                "key": B256::ZERO, "lastVote": { "epoch": "0x7", "view": "0x7" }, "me": true, "equivocations": "0x7",
            }],
            "peers": [{ "address": "there", "used": false, "leftFor": "0x7" }],
        });
        let status = serde_json::from_value::<Status>(said).unwrap();
        let told = for_programs(&status, 9).unwrap();
        // What a peer has said stays as it is.
        assert_eq!(told.to_string().matches("\"0x7\"").count(), 1, "{told}");
        assert_eq!((&told["blockNumber"], &told["validators"][0]["lastVote"]["view"]), (&json!(7), &json!(7)));
        assert_eq!((&told["age"], &told["health"], &told["catchingUpTo"]), (&json!(2), &json!("ok"), &json!(8)));
        assert_eq!(serde_json::from_value::<Status>(told).unwrap(), status);
    }

    #[test]
    fn the_passphrase_of_a_nodes_key_is_asked_for_by_one_name_and_by_the_one_of_before() {
        let to = Address::ZERO.to_string();
        for name in ["--key-passphrase-file", "--passphrase-file"] {
            let typed = Typed::try_parse_from(["node", "withdraw", "--amount", "1", "--to", &to, name, "words"]);
            let Command::Withdraw { key_passphrase_file, .. } = typed.unwrap().command else {
                panic!("another command")
            };
            assert_eq!(key_passphrase_file.unwrap(), Path::new("words"));
        }
    }

    #[test]
    fn whoever_asks_what_a_group_of_commands_does_is_shown_some() {
        let group = || clap::Command::new("stoa");
        for group in [
            Command::augment_subcommands(group()),
            crate::wallet::Command::augment_subcommands(group()),
            crate::algo::Command::augment_subcommands(group()),
            crate::consent::Command::augment_subcommands(group()),
        ] {
            let shown = group.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(shown.starts_with("Example") && shown.contains(": stoa "), "{shown}");
        }
    }

    const FOUR: &str = "a.example:9000,b.example:9000,c.example:9000,d.example:9000";

    /// Runs `stoa init` with these words; what it wrote is gone afterwards.
    fn run_init(hosts: &str, words: &[&str]) -> Result<(), String> {
        let here = tempfile::tempdir().unwrap();
        let (dir, passphrase) = (here.path().join("network"), here.path().join("passphrase"));
        fs::write(&passphrase, "correct horse").unwrap();
        let (to, file) = (dir.display().to_string(), passphrase.display().to_string());
        let usual = ["init", "--dir", &to, "--passphrase-file", &file, "--hosts", hosts];
        let chain: &[&str] = if words.contains(&"--chain-id") { &[] } else { &["--chain-id", "7"] };
        let line = usual.iter().chain(chain).chain(words).copied();
        let parsed = Init::try_parse_from(line).map_err(|error| error.to_string())?;
        let outcome = init(parsed.options, true).map_err(|error| format!("{error:#}"));
        assert!(outcome.is_ok() || !dir.exists(), "something was written: {outcome:?}");
        outcome
    }

    #[test]
    fn what_no_network_can_run_with_is_refused_before_anything_is_written() {
        run_init("a.example:9000", &[]).unwrap();
        let key = "0xd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let (keys, short, none) = (format!("{key},{key}"), "0x02".repeat(16), format!("0x{}", "02".repeat(32)));
        let cases: [(&str, &[&str], &str); 13] = [
            ("a..example:9000", &[], "want HOST:PORT"),
            ("a.example:9000,A.example:9000", &[], "two validators have the address"),
            ("a.example:0", &[], "want HOST:PORT"),
            ("a.example:9000, b.example:9000", &[], "want HOST:PORT"),
            ("a.example:9000,b.example:9000", &["--keys", keys.as_str()], "two validators have the key"),
            ("a.example:9000", &["--keys", short.as_str()], "--keys"),
            ("a.example:9000", &["--keys", none.as_str()], "is no ed25519 public key"),
            ("a.example:1,a.example:2,a.example:3", &["--http-port", "65534"], "too few ports"),
            ("a.example:8546,a.example:9000", &[], "is that of validator a.example:8546"),
            (FOUR, &["--http-port", "0"], "--http-port"),
            (FOUR, &["--block-time", "0"], "--block-time"),
            (FOUR, &["--chain-id", "0"], "chainId is 0"),
            (FOUR, &["--epoch-length", "7"], "epochLength is 7"),
        ];
        for (hosts, words, part) in cases {
            let error = run_init(hosts, words).unwrap_err();
            assert!(error.contains(part) && !error.contains("Wrapped"), "{hosts} {words:?}: {error}");
        }
    }

    #[test]
    fn nobody_registers_a_node_that_cannot_be_called() {
        for right in ["a.example:9000", "[::1]:9000"] {
            assert_eq!(callable(right).unwrap(), right);
        }
        for wrong in ["nohostport", "a.example:0", ":9000"] {
            assert!(callable(wrong).unwrap_err().contains("want HOST:PORT"), "{wrong}");
        }
    }

    #[test]
    fn amounts_that_lose_digits_or_have_a_sign_are_refused() {
        let ether = U256::from(10).pow(U256::from(18));
        for (text, wei) in [
            ("2.5", ether * U256::from(5) / U256::from(2)),
            (".5", ether / U256::from(2)),
            ("7", ether * U256::from(7)),
        ] {
            assert_eq!(coins(text).unwrap(), wei, "{text}");
        }
        assert_eq!(coins("0.000000000000000001").unwrap(), U256::from(1));
        for wrong in ["-1", "+1", "", ".", "1.2.3", "1e18", "1_000", "0.0000000000000000001", &"9".repeat(60)] {
            assert!(coins(wrong).unwrap_err().contains("such as 0.5"), "{wrong}");
        }
    }

    #[test]
    fn accounts_are_funded_once_and_with_what_a_chain_can_hold() {
        let (one, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let fund = |list: &[String]| funded(list).map_err(|error| error.to_string());
        assert_eq!(fund(&[format!("{one}=1000"), format!("{other}= 0.5")]).unwrap().len(), 2);
        for (list, part) in [
            (vec![format!("{one}=1"), format!("{one:#x}=2")], "twice"),
            (vec![format!("{one}={}", "9".repeat(59))], "too many coins"),
            (vec![format!("{one}=1000000000000000000"), format!("{other}=1")], "too many coins"),
            (vec![format!("{one}=-1")], "such as 0.5"),
            (vec![format!("{one}")], "ADDRESS=COINS"),
        ] {
            let error = fund(&list).unwrap_err();
            assert!(error.contains(part), "{list:?}: {error}");
        }
    }
}

//! `stoa init`, `stoa node` and `stoa status`: validators of a real network.

use crate::{network, wallet::WalletOptions};
use alloy_primitives::{Address, B256, Bytes, U256, utils::parse_ether};
use clap::{Args, Subcommand};
use commonware_runtime::{Runner as _, tokio as runtime};
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure};
use serde_json::json;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use stoa_base::Genesis;
use stoa_client::Client;
use stoa_data::registry::{self, Listing};
use stoa_node::{
    account, backup,
    config::{self, File, Peer},
    validator,
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
    #[arg(long, value_name = "PORT", default_value_t = 8545)]
    http_port: u16,
    /// Milliseconds between blocks while transactions wait, at least.
    #[arg(long, value_name = "MS", default_value_t = 100)]
    block_time: u64,
    /// Blocks until the validators share the network key anew: 8 or more, and some 4 for each validator.
    #[arg(long, value_name = "BLOCKS", default_value_t = stoa_base::EPOCH_LENGTH)]
    epoch_length: u64,
}

/// Commands on one node.
#[derive(Subcommand)]
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
        #[arg(long, value_name = "HOST:PORT")]
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
        #[arg(long, value_name = "KEY")]
        node: B256,
        #[command(flatten)]
        wallet: WalletOptions,
    },
    /// Check a configuration file and all that it names, without running anything.
    #[command(after_help = "Example: stoa node check --config validator/stoa.toml")]
    Check {
        /// The configuration file.
        #[arg(long, value_name = "FILE", default_value = "stoa.toml")]
        config: PathBuf,
    },
}

pub(crate) fn coins(text: &str) -> Result<U256, String> {
    parse_ether(text).map_err(|_| format!("want an amount of coins such as 0.5, got {text}"))
}

/// Options of `stoa status`.
#[derive(Args)]
pub(crate) struct StatusOptions {
    /// The node's JSON-RPC.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    http: String,
}

/// The passphrase in a file, or one that is typed in; a new one twice.
pub(crate) fn passphrase(file: Option<&Path>, new: bool) -> Result<String> {
    let passphrase = match file {
        Some(file) => {
            let text = fs::read_to_string(file).wrap_err_with(|| format!("cannot read {}", file.display()))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        None => {
            let typed = rpassword::prompt_password("Passphrase: ")
                .wrap_err("cannot ask for the passphrase (use a passphrase file)")?;
            if new {
                ensure!(rpassword::prompt_password("The same again: ")? == typed, "the two passphrases differ");
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
        let address = address.trim().parse().wrap_err_with(|| format!("--fund {text}: no address"))?;
        Ok((address, parse_ether(coins.trim()).wrap_err_with(|| format!("--fund {text}: no amount"))?))
    };
    fund.iter().map(one).collect()
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
    let ports = hosts.iter().map(|host| {
        let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        port.wrap_err_with(|| format!("--hosts {host}: want HOST:PORT"))
    });
    let ports = ports.collect::<Result<Vec<_>>>()?;
    let funded = funded(&fund)?;
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
    let genesis = Genesis { epoch_length, ..stoa_node::genesis(chain_id, funded, network::now()) };
    genesis.validate()?;
    let genesis = serde_json::to_string_pretty(&genesis)?;
    let validators = public.iter().zip(&hosts).map(|(key, address)| Peer { key: *key, address: address.clone() });
    let validators = validators.collect::<Vec<_>>();
    for (index, port) in ports.iter().enumerate() {
        let folder = folder(index);
        fs::create_dir_all(&folder).wrap_err_with(|| format!("cannot create {}", folder.display()))?;
        // Hosts that are the same machine must not serve on the same port.
        let host = |at: usize| hosts[at].rsplit_once(':').map(|(host, _)| host);
        let before = (0..index).filter(|before| host(*before) == host(index)).count();
        let local = host(index).is_some_and(|host| host == "127.0.0.1" || host == "localhost");
        let file = File {
            genesis: "genesis.json".into(),
            data: "data".into(),
            key: "validator.key".into(),
            passphrase_file: None,
            listen: SocketAddr::from((if local { [127, 0, 0, 1] } else { [0, 0, 0, 0] }, *port)),
            http: SocketAddr::from(([127, 0, 0, 1], http_port + u16::try_from(before)?)),
            beneficiary: Address::from_slice(&alloy_primitives::keccak256(public[index])[12..]),
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
    if json {
        println!("{}", json!({ "dir": dir, "validators": public, "chainId": chain_id }));
        return Ok(());
    }
    println!("A network of {} validators, chain {chain_id}, in {}:", hosts.len(), dir.display());
    for (index, host) in hosts.iter().enumerate() {
        println!("  {}  {}  for {host}", folder(index).display(), public[index]);
    }
    println!(
        "\nPut the `beneficiary` of your own into each stoa.toml: tips go there, and nobody has the key of what stands there."
    );
    if given {
        println!("Put each validator's own key beside its stoa.toml, as validator.key.");
    }
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
        Command::Check { config } => {
            let (file, config) = read(&config)?;
            if json {
                println!("{}", json!({ "chainId": config.genesis.chain_id, "validators": file.validators.len() }));
            } else {
                println!("Chain {}, {} validators: this one can run.", config.genesis.chain_id, file.validators.len());
            }
            Ok(())
        }
        Command::Backup { config, to } => copied(&backup::copy(&config, &to)?, json),
        Command::Restore { from, to } => copied(&backup::copy(&from.join("stoa.toml"), &to)?, json),
        Command::Join { key, key_passphrase_file, host, domain, gib, keeper, fund, wallet } => {
            let key = config::read_key(&key, &passphrase(key_passphrase_file.as_deref(), false)?)?;
            let roles = if gib > 0 { registry::STORE } else { 0 } | if keeper { registry::KEEPER } else { 0 };
            let listing = Listing { host, domain, capacity: gib.saturating_mul(1 << 30), roles };
            let (public, account) = (config::public(&key), account::of(&key)?.address());
            network::wait(async {
                let wallet = wallet.open().await?;
                registry::join(&wallet, &key, listing).await.wrap_err("the node is not registered")?;
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
                registry::leave(&wallet, node).await.wrap_err("the node is still registered")
            })??;
            match json {
                true => println!("{}", json!({ "left": node })),
                false => println!("Node {node} is registered no longer. Let it run until others have taken over."),
            }
            Ok(())
        }
        Command::Run { config } => serve(read(&config)?.1, json),
    }
}

fn copied(files: &[PathBuf], json: bool) -> Result<()> {
    if json {
        println!("{}", json!({ "files": files }));
    } else {
        files.iter().for_each(|file| println!("{}", file.display()));
    }
    Ok(())
}

fn read(path: &Path) -> Result<(File, validator::Config)> {
    let file = File::read(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let passphrase = passphrase(file.passphrase_file.as_ref().map(|name| folder.join(name)).as_deref(), false)?;
    let config = file.config(folder, &passphrase)?;
    Ok((file, config))
}

fn serve(config: validator::Config, json: bool) -> Result<()> {
    let (chain_id, listen) = (config.genesis.chain_id, config.listen);
    let storage = runtime::Config::new().with_storage_directory(config.storage());
    runtime::Runner::new(storage).start(async move |runtime| {
        let starting = async {
            let running = Box::pin(validator::start(runtime, config)).await?;
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
}

/// Asks a node how it is.
pub(crate) fn status(options: StatusOptions, json: bool) -> Result<()> {
    let client = Client::new(&options.http);
    let status = network::wait(client.call::<stoa_client::Status>("stoa_status", ()))?;
    let status = status.wrap_err_with(|| format!("no node answers at {}", options.http))?;
    if json {
        println!("{}", serde_json::to_string(&status)?);
        return Ok(());
    }
    println!("{}", status);
    Ok(())
}

//! `stoa follow`: a node that needs nobody's permission.

use crate::{network, node};
use alloy_primitives::{Address, Bytes, U256};
use clap::Args;
use commonware_runtime::{Runner as _, tokio as runtime};
use eyre::Result;
use serde_json::json;
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use stoa_consensus::follow::Start;
use stoa_data::provider::Fees;
use stoa_net::PeerAddress;
use stoa_node::{Kept, compute, config, folder, follower, provider, store};

/// Options of `stoa follow`.
#[derive(Args)]
pub(crate) struct Options {
    /// The key that verifies the network's certificates (`stoa status` shows it; get it from people whom you trust).
    #[arg(long, value_name = "HEX", value_parser = crate::typed::network_key)]
    network_key: Bytes,
    /// A node of the network, validator or follower, as `stoa status` there shows it; may be given several times. None of
    /// them is trusted.
    #[arg(long = "peer", value_name = "KEY@HOST:PORT", required = true)]
    peers: Vec<PeerAddress>,
    /// Folder of the chain; goes on where it stopped.
    #[arg(long, value_name = "DIR", default_value = ".stoa-follower")]
    dir: PathBuf,
    /// Address to serve JSON-RPC on, HTTP and WebSocket; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8545", value_parser = network::served)]
    http: SocketAddr,
    /// A name that programs may call this node by besides `localhost`; may be given several times. Others are refused while it
    /// listens on loopback, lest a web page reach it under a name of its own. Example: --allow-host node.example
    #[arg(long = "allow-host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Address to serve further followers on (UDP); none are served if not given.
    #[arg(long, value_name = "ADDR", requires = "key")]
    listen: Option<SocketAddr>,
    /// The key by which further followers know this node (`stoa node key` makes one).
    #[arg(long, value_name = "FILE", requires = "listen")]
    key: Option<PathBuf>,
    /// File with the passphrase of the key; asked for if not given.
    #[arg(long, value_name = "FILE", requires = "key", alias = "passphrase-file")]
    key_passphrase_file: Option<PathBuf>,
    /// Execute all blocks since the first and keep them, instead of taking over the state of a late one.
    #[arg(long, conflicts_with = "sync_from")]
    from_genesis: bool,
    /// Take over the state of a chain that has so many blocks or more, if there is nothing in the folder yet.
    #[arg(long, value_name = "BLOCKS", default_value_t = 10_000)]
    sync_from: u64,
    /// Of how many blocks back the state can be read; 0 keeps all (an archive).
    #[arg(long, value_name = "BLOCKS", default_value_t = 10_000)]
    history: u64,
    /// Megabytes of memory for the state.
    #[arg(long, value_name = "MB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(16..))]
    state_cache: u64,
    /// Gibibytes of disk for what others want to have kept, in DIR/store; 0 keeps nothing. Register with `stoa node join`.
    #[arg(long, value_name = "GIB", default_value_t = 0, requires = "listen")]
    store_gib: u64,
    /// Folder of the data sets that others may have programs run on (see `stoa job offer`), under their owners' rules.
    #[arg(long, value_name = "DIR", requires = "listen")]
    data: Option<PathBuf>,
    /// Let programs run on the data as processes too, in sandboxes of bubblewrap: Python and whatever else is no WebAssembly. Owners
    /// say for each of their data sets whether they want it (`stoa job offer --processes`).
    #[arg(long, requires = "data")]
    processes: bool,
    /// A folder that processes see besides the system's programs, such as an environment of Python (`python3 -m venv DIR`);
    /// programs in its `bin` come first. May be given several times.
    #[arg(long, value_name = "DIR", requires = "processes")]
    environment: Vec<PathBuf>,
    /// Keep an index of the market's assets, from the first block on, and answer what programs ask Ocean's indexers
    /// (`/api/aquarius`).
    #[arg(long, requires = "from_genesis")]
    index: bool,
    /// Give the files in this folder to those who have ordered them, as programs with ocean.js ask for it (`ProviderInstance`): plain
    /// files, which whoever orders may keep. Example: --provide files --provide-for 0x7099…
    #[arg(long, value_name = "DIR", requires = "provide_for", requires = "index", requires = "key")]
    provide: Option<PathBuf>,
    /// Whose assets these files are: this account alone has them sealed for its documents. Example: --provide-for 0x7099…
    #[arg(long, value_name = "ADDRESS", value_parser = crate::typed::address, requires = "provide")]
    provide_for: Option<Address>,
    /// A host whose files may be given away as well, where the account has sealed their URLs; may be given several times, and no
    /// other host is asked. Example: --provide-from files.example --provide-from 10.0.0.7:8080
    #[arg(long, value_name = "HOST[:PORT]", requires = "provide")]
    provide_from: Vec<String>,
    /// What whoever orders files pays this node's account, for a day of downloads: so much of the token of --provide-fee-token.
    /// Nothing if not given. Example: --provide-fee 0.5
    #[arg(long, value_name = "AMOUNT", value_parser = node::coins, requires = "provide")]
    provide_fee: Option<U256>,
    /// What a minute of a processor costs whoever has programs run with ocean.js, of the longest time that a job may take: paid
    /// with the order, in the same token. Nothing if not given. Example: --provide-fee-minute 0.01
    #[arg(long, value_name = "AMOUNT", value_parser = node::coins, requires = "provide", requires = "data")]
    provide_fee_minute: Option<U256>,
    /// The ERC-20 token in which these fees are paid. Example: --provide-fee-token 0x0000000000000000000000000000000000000c01,
    /// the coin
    #[arg(long, value_name = "ADDRESS", value_parser = crate::typed::address, requires = "provide")]
    provide_fee_token: Option<Address>,
    /// Seconds that another node may be silent before its pieces are made anew.
    #[arg(long, value_name = "SECONDS", default_value_t = 12 * 3600)]
    repair_after: u64,
}

/// Follows a chain until interrupted.
pub(crate) fn run(options: Options, json: bool) -> Result<()> {
    let fees = Fees::new(options.provide_fee_token, options.provide_fee, options.provide_fee_minute);
    let fees = fees.map_err(eyre::Report::msg)?;
    let listen = match (options.listen, &options.key) {
        (Some(listen), Some(file)) => Some((listen, node::key(file, options.key_passphrase_file.as_deref())?)),
        _ => None,
    };
    let mut config = follower::Config {
        store: store::Config::of(options.store_gib, &options.dir),
        compute: options
            .data
            .map(|data| compute::Config { data, processes: options.processes.then_some(options.environment) }),
        index: options.index,
        provider: options.provide.zip(options.provide_for).map(|(folder, publisher)| provider::Config {
            folder,
            publisher,
            hosts: options.provide_from,
            fees,
        }),
        folder: options.dir.clone(),
        http: options.http,
        hosts: options.hosts,
        network_key: options.network_key,
        peers: options.peers,
        listen,
        history: if options.history == 0 { u64::MAX } else { options.history },
        cache: config::cache(usize::try_from(options.state_cache)?)?,
        start: if options.from_genesis { Start::Blocks } else { Start::State { from: options.sync_from } },
    };
    if let Some(store) = &mut config.store {
        store.grace = Some(options.repair_after);
        // Often enough to notice in time, and once in ten minutes at least.
        store.every = Duration::from_secs((options.repair_after / 4).clamp(1, 600));
    }
    let _held = folder::hold(&config.folder)?;
    if !json {
        println!("Stoa: looking for the chain that the validators with this key have signed …");
    }
    let (storage, folder) = (runtime::Config::new().with_storage_directory(config.storage()), config.folder.clone());
    Kept::elsewhere(&folder).guard(|| {
        runtime::Runner::new(storage).start(async move |runtime| {
            let mut running = tokio::select! {
                running = follower::start(runtime, config) => running?,
                interrupted = network::interrupted() => return interrupted,
            };
            let (http, head) = (format!("http://{}", running.http()), running.ledger.head());
            let (chain_id, address) = (running.ledger.genesis().chain_id, running.address().map(|at| at.to_string()));
            if json {
                let ws = format!("ws://{}", running.http());
                let said =
                    json!({ "http": http, "ws": ws, "chainId": chain_id, "block": head.number(), "followAt": address });
                println!("{said}");
            } else {
                println!(
                    "Stoa: a follower of chain {chain_id}, at block {}, in {}",
                    head.number(),
                    options.dir.display()
                );
                println!("\n  JSON-RPC   {http}");
                if let Some(address) = &address {
                    println!("  follow at  {address}");
                }
                println!("\n  Stop with Ctrl-C; the next start goes on from here.");
            }
            tokio::select! {
                error = running.failed() => return Err(error),
                interrupted = network::interrupted() => interrupted?,
            }
            running.stop().await;
            Ok(())
        })
    })
}

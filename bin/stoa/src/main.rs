//! The one program: commands, configuration, start-up and what people see.

mod algo;
mod audit;
mod consent;
mod data;
mod follow;
mod job;
mod network;
mod node;
mod note;
mod output;
mod progress;
mod sale;
mod search;
mod spread;
mod store;
mod tour;
mod typed;
mod verify;
mod wallet;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Stoa: an open network for AI that nobody owns.
#[derive(Parser)]
#[command(name = "stoa", version, after_help = "Example: stoa tour")]
struct Cli {
    /// Print one JSON object for programs instead of text for people.
    #[arg(long, global = true)]
    json: bool,
    /// How logs are written to standard error; RUST_LOG says how much of them.
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "text")]
    log_format: output::LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run an embedded network of validators through the real consensus engine.
    #[command(after_help = "Example: stoa up --validators 4 --dir ./chain --http 127.0.0.1:8545")]
    Up(network::UpOptions),
    /// Run the ledger without consensus, for contract developers: Hardhat's and Anvil's development methods.
    ///
    /// The chain is written to the disk every five seconds, and when it is stopped: a kill -9 may lose the last seconds.
    ///
    /// Clients whose `User-Agent` begins with `hardhat` are told of what fails as Hardhat's own network tells it, all others
    /// as geth and Anvil do.
    #[command(after_help = "Example: stoa dev --http 127.0.0.1:8545")]
    Dev(network::DevOptions),
    /// Make keys, genesis and configuration files for a network of validators on several hosts.
    #[command(
        after_help = "Example: stoa init --hosts a.example:9000,b.example:9000,c.example:9000,d.example:9000 --chain-id 4242"
    )]
    Init(node::InitOptions),
    /// Run one node of a network, or prepare to.
    #[command(subcommand)]
    Node(node::Command),
    /// Follow a network without anybody's permission: check every certificate, execute, serve JSON-RPC and proofs.
    #[command(
        after_help = "Examples: stoa follow --network-key 0x8a… --peer 0x3f…@a.example:9000 --http 127.0.0.1:8545\n          stoa \
                      follow --network-key 0x8a… --peer 0x3f…@a.example:9000 --listen 0.0.0.0:9000 --key node.key --from-genesis \
                      --index --provide files --provide-for 0x7099…"
    )]
    Follow(follow::Options),
    /// Show a node's height, committee and health.
    #[command(after_help = "Example: stoa status --http http://127.0.0.1:8545")]
    Status(node::StatusOptions),
    /// Check an account, a slot, a receipt or an event from a node that need not be trusted, with nothing but the network key.
    #[command(after_help = "Example: stoa verify 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 --network-key 0x8a…")]
    Verify(verify::Options),
    /// Keep files and folders under the hash of what they are: on this machine, or sealed and spread over the network's nodes.
    #[command(after_help = "Example: stoa store put measurements.parquet --spread --wallet me.key")]
    Store(store::Options),
    /// Make accounts that sign what other commands send, see what they have, and send coins.
    #[command(subcommand)]
    Wallet(wallet::Command),
    /// Share data with those whom you allow, for as long as you do.
    Data(data::Options),
    /// Have programs run on data where they are, or let others run theirs on yours.
    Job(job::Options),
    /// Follow the receipt of a job back to whose data it is about, who allowed it, what ran, who paid and who checked it, with
    /// nothing but the network key. Each step says whether it holds.
    #[command(
        after_help = "Examples: stoa audit 0x77d1… --network-key 0x8a… --html audit.html\n          stoa audit audit.html --network-key 0x8a…"
    )]
    Audit(audit::Options),
    /// Write programs that go to the data, in one of several languages, and try them here.
    #[command(subcommand)]
    Algo(algo::Command),
    /// Show who was allowed to use an asset, for what, and what they did with it.
    #[command(subcommand)]
    Consent(consent::Command),
    /// See in a few minutes what Stoa does: real transactions, contracts and proofs on an embedded network.
    #[command(after_help = "Example: stoa tour --exit --report my-tour")]
    Tour(tour::Options),
}

/// Unoptimized builds keep large futures on the stack while they start.
const STACK: usize = 64 << 20;

fn main() -> ExitCode {
    stoa_sandbox::launch();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error, std::env::args_os()),
    };
    let log = cli.log_format;
    output::log(log);
    let fault = output::catch_faults();
    let json = cli.json;
    let run = move || match cli.command {
        Command::Up(options) => network::run_up(options, json),
        Command::Dev(options) => network::run_dev(options, json),
        Command::Init(options) => node::init(options, json),
        Command::Node(command) => node::run(command, json),
        Command::Follow(options) => follow::run(options, json),
        Command::Status(options) => node::status(options, json),
        Command::Verify(options) => verify::run(options, json),
        Command::Store(options) => store::run(options, json),
        Command::Wallet(command) => wallet::run(command, json),
        Command::Data(options) => data::run(options, json),
        Command::Job(options) => job::run(options, json),
        Command::Audit(options) => audit::run(options, json),
        Command::Algo(command) => algo::run(command, json),
        Command::Consent(command) => consent::run(command, json),
        Command::Tour(options) => tour::run(options, json),
    };
    let thread = std::thread::Builder::new().name("stoa".into()).stack_size(STACK).spawn(run);
    let result =
        thread.map_err(eyre::Report::from).and_then(|thread| thread.join().unwrap_or_else(|_| Err(fault.report())));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output::failure(&error, json, log),
    }
}

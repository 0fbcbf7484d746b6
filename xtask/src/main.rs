//! `cargo xtask test`, `soak` and `bench NAME`: everything the project is checked and measured with, and its set-up. And
//! `light` and `algorithms`, which build what Cargo alone cannot.
//!
//! A check is a [`steps::Step`]; the steps that install or compile what others need remember in a [`stamp`] what they
//! worked from, and do nothing while that stays the same. Nothing reads from standard input.

mod algorithms;
mod bench;
mod fuzz;
mod junit;
mod light;
mod place;
mod setup;
mod soak;
mod stamp;
mod steps;
mod upgrade;

use clap::{Args, Parser, Subcommand};
use eyre::Result;
use place::Place;
use std::process::ExitCode;
use steps::Step;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Checks and measures Stoa.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sets up what the tests need and runs them: style, lints, unit tests, documentation, other people's clients.
    Test(TestArgs),
    /// Builds the light client for web pages: a WebAssembly module and the script that loads it.
    Light,
    /// Builds the WebAssembly modules in `algorithms/` from their sources.
    Algorithms(AlgorithmsArgs),
    /// Draws faults of machines and networks from thousands of seeds, and simulates each.
    Soak(SoakArgs),
    /// Takes a network of four from an older program to this one, machine by machine, while clients go on.
    Upgrade(UpgradeArgs),
    /// Runs a benchmark, or lists them when no name is given.
    Bench(BenchArgs),
}

#[derive(Args)]
struct TestArgs {
    /// Runs these steps only, and the set-up they need.
    #[arg(long, value_enum, value_name = "STEP", value_delimiter = ',')]
    only: Vec<Step>,
    /// Leaves these steps out.
    #[arg(long, value_enum, value_name = "STEP", value_delimiter = ',', conflicts_with = "only")]
    skip: Vec<Step>,
    /// Says which steps there are, and runs none.
    #[arg(long)]
    list: bool,
    /// Options and filters for nextest, as in `cargo xtask test --only clients -- viem`.
    #[arg(last = true, value_name = "NEXTEST")]
    nextest: Vec<String>,
}

#[derive(Args)]
struct AlgorithmsArgs {
    /// Changes nothing; fails if a module is not what its source compiles to.
    #[arg(long)]
    check: bool,
}

#[derive(Args)]
struct SoakArgs {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first: u64,
}

#[derive(Args)]
struct UpgradeArgs {
    /// The commit that the older program is built from.
    #[arg(long, default_value = "HEAD^")]
    from: String,
}

#[derive(Args)]
struct BenchArgs {
    /// Which benchmark.
    name: Option<String>,
    /// Options for the benchmark itself.
    #[arg(last = true)]
    options: Vec<String>,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all that was asked for passed.
fn run(cli: Cli) -> Result<bool> {
    let place = Place::find()?;
    match cli.command {
        Command::Test(args) if args.list => {
            steps::list();
            Ok(true)
        }
        Command::Test(args) => steps::run(&place, &steps::choose(&args.only, &args.skip), &args.nextest),
        Command::Light => {
            light::tools(&place)?;
            light::build(&place)?;
            Ok(true)
        }
        Command::Algorithms(args) => {
            let tools = algorithms::tools(&place)?;
            if args.check { algorithms::compare(&place, &tools) } else { algorithms::build(&place, &tools) }?;
            Ok(true)
        }
        Command::Soak(args) => soak::run(&place, args.first, args.seeds),
        Command::Upgrade(args) => upgrade::run(&place, &args.from),
        Command::Bench(args) => bench::run(&place, args.name.as_deref(), &args.options),
    }
}

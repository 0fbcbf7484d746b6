//! Load over JSON-RPC: signed transfers to final receipts, `stoa up` against Anvil, with one generator in one run.

use eyre::{Result, bail};
use stoa_benchmarks::{
    load::{WINDOW, latency, throughput},
    median,
    node::Program,
};

/// One validator: what Anvil is compared with.
const ONE: Program = Program::Stoa { validators: 1 };

/// How often each throughput is measured.
const ROUNDS: usize = 3;

/// Anvil at its quickest, which makes a block at once where something waits: without the rules of Prague, by which hashes of
/// blocks stand in the state, all of which it hashes for each block; and without old states.
const QUICK: &[&str] = &["--hardfork", "cancun", "--prune-history"];

/// What Anvil may be run with for throughput, and how many transactions on their way; the best of these counts.
const ANVIL: [(&[&str], usize); 4] = [
    (&[], 10),
    (QUICK, 100),
    (&["--hardfork", "cancun", "--block-time", "1", "--gas-limit", "1000000000"], 10_000),
    (&["--hardfork", "cancun", "--prune-history", "--block-time", "1", "--gas-limit", "1000000000"], 10_000),
];

/// A latency, endless where the node did not keep up.
fn in_time(latency: Result<(f64, f64)>) -> (f64, f64) {
    latency.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        (f64::INFINITY, f64::INFINITY)
    })
}

fn options(options: &[&str]) -> String {
    if options.is_empty() { "its defaults".to_owned() } else { format!("`{}`", options.join(" ")) }
}

fn settings((arguments, window): (&[&str], usize)) -> String {
    format!("{} and {window} on their way", options(arguments))
}

async fn compare(all_senders: &[usize]) -> Result<()> {
    println!(
        "Load over JSON-RPC, `stoa up` against Anvil: for throughput with the best, for each number of senders, of"
    );
    println!("{}; for latency with {}.\n", ANVIL.map(settings).join(", "), options(QUICK));
    println!("| signed transfers to final receipts | stoa up | anvil | ratio | to reach |\n|---|---|---|---|---|");
    let mut paces = Vec::new();
    for &senders in all_senders {
        let mut best = (0.0, ANVIL[0]);
        for setting in ANVIL {
            let figure = throughput(Program::Anvil(setting.0), senders, setting.1).await?;
            if setting.0 == QUICK {
                paces.push((senders, figure));
            }
            if figure > best.0 {
                best = (figure, setting);
            }
        }
        let (_, (best, window)) = best;
        let (mut ours, mut others) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(throughput(ONE, senders, WINDOW).await?);
            others.push(throughput(Program::Anvil(best), senders, window).await?);
        }
        let (ours, others) = (median(&mut ours), median(&mut others));
        stoa_benchmarks::row(&format!("throughput, {senders} senders"), ours, others, "tx/s", "3");
    }
    for (senders, most) in paces {
        for share in [0.25, 0.5, 0.75] {
            let pace = most * share;
            let ours = in_time(latency(ONE, senders, pace).await);
            let others = in_time(latency(Program::Anvil(QUICK), senders, pace).await);
            for (name, ours, others) in [("p50", ours.0, others.0), ("p99", ours.1, others.1)] {
                println!(
                    "| {name}, {senders} senders, {pace:.0} tx/s | {ours:.1} ms | {others:.1} ms | {:.2} | at most 1 |",
                    ours / others
                );
            }
        }
    }
    Ok(())
}

async fn run(arguments: &[&str]) -> Result<()> {
    let (program, senders, pace) = match arguments {
        [] => return compare(&[1, 100, 1000]).await,
        [program, senders] => (*program, senders.parse()?, None),
        [program, senders, pace] => (*program, senders.parse()?, Some(pace.parse()?)),
        _ => bail!("usage: load [stoa|anvil SENDERS [TRANSACTIONS_PER_SECOND]]"),
    };
    let program = if program == "stoa" { ONE } else { Program::Anvil(&[]) };
    if let Some(pace) = pace {
        let (p50, p99) = latency(program, senders, pace).await?;
        println!("p50 {p50:.1} ms, p99 {p99:.1} ms");
    } else {
        println!("{:.0} tx/s", throughput(program, senders, WINDOW).await?);
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let arguments = arguments.iter().map(String::as_str).collect::<Vec<_>>();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(&arguments))
}

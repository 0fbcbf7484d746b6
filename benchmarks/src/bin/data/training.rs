//! Federated training over several owners, the same training with all rows in one place, and Flower's simulation of it.

use crate::{
    MODULE,
    market::{Market, rules},
    milliseconds,
    native::{Native, alike},
    program::sandboxed,
    table::Table,
    timed, variable,
};
use alloy_primitives::{B256, U256};
use eyre::{ContextCompat as _, Result, WrapErr as _, ensure, eyre};
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};
use stoa_benchmarks::median;
use stoa_data::jobs::{
    Files, MILLION,
    client::Who,
    rounds::{RESULT, Work, plan, run_rounds},
};
use stoa_sandbox::Wasm;

/// Ten rounds of ten epochs, a summary before and an evaluation after them.
pub const PLAN: &[u8] = include_bytes!("../../../../data/heart/plan.json");
const EPOCHS: usize = 100;

/// How many owners there are.
const OWNERS: [usize; 3] = [4, 16, 64];

/// How many of them run nodes of their own here.
const NODES: usize = 4;

/// What a training came to.
struct Trained {
    /// Milliseconds.
    time: f64,
    /// The last result.
    result: Value,
    /// Bytes to owners and from them.
    moved: u64,
}

/// What Flower's simulation says.
#[derive(Deserialize)]
struct Flower {
    seconds: f64,
    seconds_of_rounds: f64,
    bytes: u64,
    accuracy: f64,
}

/// The owners' tables in a folder, in the order of their names.
fn tables(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut tables = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    tables.retain(|table| table.extension().is_some_and(|ending| ending == "csv"));
    tables.sort();
    Ok(tables)
}

/// All owners on this machine, each round in the sandbox, as many at a time as there are cores.
fn sandbox(wasm: &Wasm, folder: &Path, cache: &Path) -> Result<Trained> {
    let (tables, start) = (tables(folder)?, Instant::now());
    let (rounds, combining) = plan(PLAN, MODULE, Some(cache.to_owned()))?;
    let (mut passed, mut moved) = (None, (MODULE.len() * tables.len()) as u64);
    for mut params in rounds {
        combining.pass_on(passed.take(), &mut params);
        let params = Value::Object(params);
        let results = tables.par_iter().map(|table| Ok(sandboxed(wasm, table, &params)?.0));
        let results = results.collect::<Result<Vec<_>>>()?;
        let sent = params.to_string().len() * tables.len();
        moved += (sent + results.iter().map(Vec::len).sum::<usize>()) as u64;
        let left: Vec<_> = results.into_iter().map(|result| Files::from([(RESULT.to_owned(), result)])).collect();
        passed = Some(combining.combine(&left)?.1);
    }
    Ok(Trained { time: milliseconds(start.elapsed()), result: passed.wrap_err("the plan has rounds")?, moved })
}

/// Four owners' nodes, with the ledger between them and the buyer: from the first job's begin to the last receipt.
fn network(market: &Market, assets: &[B256], cache: &Path) -> Result<Trained> {
    market.runtime.block_on(async {
        let start = Instant::now();
        let (rounds, combining) = plan(PLAN, MODULE, Some(cache.to_owned()))?;
        let (on, code, combining) = (assets.to_vec(), MODULE.to_vec(), Some(combining));
        let (fuel, most) = (1_000_000 * MILLION, U256::MAX);
        let worked = run_rounds(&market.buyer, Work { on, code, rounds, combining, fuel, most }, &|_| ()).await?;
        let time = milliseconds(start.elapsed());
        let result = serde_json::from_slice(worked.files.get(RESULT).wrap_err("a result")?)?;
        let sent = MODULE.len() + worked.params.iter().map(Vec::len).sum::<usize>();
        let left = worked.left.iter().flatten().flat_map(Files::values).map(Vec::len).sum::<usize>();
        Ok(Trained { time, result, moved: (sent * assets.len() + left) as u64 })
    })
}

fn flower(folder: &Path) -> Result<Flower> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("flower/train.py");
    let mut command = Command::new(variable("STOA_FLOWER")?);
    command.arg(script).arg(folder).stdin(Stdio::null());
    // It asks its makers' server otherwise whether there is a newer one, and tells them that it runs.
    command.env("FLWR_TELEMETRY_ENABLED", "0").env("FLWR_DISABLE_UPDATE_CHECK", "1");
    command.env("RAY_USAGE_STATS_ENABLED", "0").env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().wrap_err("Flower does not start")?;
    ensure!(output.status.success(), "Flower failed: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout)?;
    let last = said.lines().last().ok_or_else(|| eyre!("Flower says nothing"))?;
    serde_json::from_str(last).wrap_err_with(|| format!("Flower says {last}"))
}

fn accuracy(result: &Value) -> Result<f64> {
    result["accuracy"].as_f64().wrap_err("the last round evaluates")
}

/// Prints the tables.
pub fn run(rows: usize, times: usize) -> Result<()> {
    let (folder, table) = (tempfile::tempdir()?, Table::new(rows));
    // Where whoever combines keeps what it has compiled, as the nodes do.
    let cache = folder.path().join("cache");
    let (rounds, _) = plan(PLAN, MODULE, Some(cache.clone()))?;
    let native = Native::new()?;
    let whole = table.whole();
    native.put(&whole)?;
    let folders = OWNERS.map(|owners| folder.path().join(owners.to_string()));
    for (owners, folder) in OWNERS.into_iter().zip(&folders) {
        table.deal(owners, folder)?;
    }
    let wasm = Wasm::new(None)?;
    sandboxed(&wasm, &tables(&folders[0])?[0], &serde_json::json!({ "step": "summarize" }))?;

    let market = Market::start(NODES)?;
    let assets = market.runtime.block_on(async {
        let (rules, mut assets) = (rules()?, Vec::new());
        for (owner, site) in market.sites.iter().enumerate() {
            assets.push(site.offer(&table.part(owner, NODES), &rules, Who::Account(market.wallet.address())).await?);
        }
        Ok::<_, eyre::Report>(assets)
    })?;
    let (central, at_once) = (median_of(times, || native_rounds(&native, &rounds))?, &mut Vec::new());
    for _ in 0..times {
        at_once.push(timed(|| native.at_once(EPOCHS))?.0);
    }
    let at_once = median(at_once);
    let first = network(&market, &assets, &cache)?;
    println!(
        "\nFederated training, {rows} rows in all ({} MB), {times} times each, medians.\n",
        whole.len() / 1_000_000
    );
    println!(
        "In one place, native, one core: the same rounds {:.0} ms, all epochs at once {at_once:.0} ms.\n",
        central.time
    );
    println!(
        "Over nodes, the first time, when each node and whoever combines compile the program: {:.0} ms. After that they have it.\n",
        first.time
    );
    println!(
        "| owners | where | time | of one place, same rounds | of one place, at once | to reach | moved | accuracy |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let print = |owners: usize, place: &str, trained: &Trained, goal: &str| {
        let (time, moved, accuracy) = (trained.time, trained.moved >> 10, accuracy(&trained.result)?);
        let (same, at_once) = (time / central.time, time / at_once);
        println!(
            "| {owners} | {place} | {time:.0} ms | {same:.2} | {at_once:.2} | {goal} | {moved} KiB | {accuracy:.4} |"
        );
        Ok::<_, eyre::Report>(())
    };
    print(1, "native, in one place", &central, "-")?;
    let over_network = median_of(times, || network(&market, &assets, &cache))?;
    print(NODES, "nodes and a ledger", &over_network, "2")?;
    market.stop()?;
    let mut ours = Vec::new();
    for (owners, folder) in OWNERS.into_iter().zip(&folders) {
        let trained = median_of(times, || sandbox(&wasm, folder, &cache))?;
        print(owners, "sandboxes alone", &trained, "2")?;
        ours.push(trained);
    }
    ensure!(alike(&ours[0].result, &over_network.result), "network and sandboxes come to different results");

    println!(
        "\n| owners | ours | Flower's simulation | ratio | its rounds alone | ratio | to reach | moved | accuracy |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for ((owners, folder), ours) in OWNERS.into_iter().zip(&folders).zip(&ours) {
        let other = flower(folder)?;
        let [whole, alone] = [other.seconds, other.seconds_of_rounds].map(|seconds| seconds * 1e3);
        let (time, moved, accuracy) = (ours.time, other.bytes >> 10, other.accuracy);
        println!(
            "| {owners} | {time:.0} ms | {whole:.0} ms | {:.2} | {alone:.0} ms | {:.2} | below 1 | {moved} KiB | {accuracy:.4} |",
            time / whole,
            time / alone
        );
    }
    Ok(())
}

fn native_rounds(native: &Native, rounds: &[Map<String, Value>]) -> Result<Trained> {
    let (time, result) = timed(|| native.rounds(rounds))?;
    Ok(Trained { time, result, moved: 0 })
}

/// Trains so often: the last result, and the median of the times.
fn median_of(times: usize, mut train: impl FnMut() -> Result<Trained>) -> Result<Trained> {
    let all = (0..times.max(1)).map(|_| train()).collect::<Result<Vec<_>>>()?;
    let mut each: Vec<_> = all.iter().map(|one| one.time).collect();
    let last = all.into_iter().next_back().wrap_err("it was trained")?;
    Ok(Trained { time: median(&mut each), ..last })
}

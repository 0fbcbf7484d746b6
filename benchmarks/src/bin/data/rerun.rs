//! A job through the network, and the same job run again by somebody who has the data.

use crate::{
    MODULE,
    market::{Market, rules},
    milliseconds,
    table::Table,
    timed, times,
};
use alloy_primitives::{B256, U256};
use eyre::{Result, ensure};
use serde_json::{Map, Value};
use std::time::Instant;
use stoa_benchmarks::median;
use stoa_data::jobs::{
    MILLION,
    abi::{IJobs::Receipt, WASM},
    algorithm,
    client::{Wanted, Who},
    rerun,
    rounds::{Combining, plan},
};
use stoa_sandbox::{Control, Wasm};

/// Rows that the owner has.
const ROWS: usize = 100_000;

/// How often each is measured.
const JOBS: usize = 5;

/// Prints the table.
pub fn run() -> Result<()> {
    let market = Market::start(1)?;
    let site = &market.sites[0];
    let (table, rules, who) = (Table::new(ROWS).whole(), rules()?, Who::Account(market.wallet.address()));
    let offering = site.offer(&table, &rules, who);
    let asset = market.runtime.block_on(offering)?;
    let (rounds, combining) = plan(crate::training::PLAN, MODULE, None)?;
    let folder = tempfile::tempdir()?;
    let wasm = Wasm::new(Some(folder.path().join("cache")))?;
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for number in 0..=JOBS {
        let (job, time, params, receipt) = market.runtime.block_on(once(&market, asset, &rounds, &combining))?;
        let is = market.runtime.block_on(market.buyer.job(job))?;
        let (later, same) = timed(|| rerun(&wasm, job, &is, &site.data(asset)?, MODULE, &params, &Control::new()))?;
        ensure!(same.receipt == receipt, "another run came to another receipt");
        // The first one compiles.
        if number > 0 {
            first.push(time);
            again.push(later);
        }
    }
    market.stop()?;
    println!("\nA job of {} rounds over {ROWS} rows, {JOBS} times, medians.\n", rounds.len());
    println!("| work | run again | the first time | ratio | to reach |\n|---|---|---|---|---|");
    times("all rounds, the data's hash among them", median(&mut again), median(&mut first), "1.1");
    Ok(())
}

type Once = (B256, f64, Vec<Vec<u8>>, Receipt);

/// A job through the network: its id, the milliseconds that the node took for it, its parameters and its receipt.
async fn once(market: &Market, asset: B256, rounds: &[Map<String, Value>], combining: &Combining) -> Result<Once> {
    let buyer = &market.buyer;
    let (fuel, count) = (100_000 * MILLION, u32::try_from(rounds.len())?);
    let wanted = Wanted { algorithm: algorithm(MODULE), runtime: WASM, rounds: count, fuel, most: U256::MAX };
    let begun = buyer.begin(asset, &wanted).await?;
    let (mut time, mut sent, mut passed) = (0.0, Vec::new(), None);
    let start = Instant::now();
    buyer.send(&begun, MODULE).await?;
    time += milliseconds(start.elapsed());
    for (number, params) in rounds.iter().enumerate() {
        let mut params = params.clone();
        combining.pass_on(passed.take(), &mut params);
        let bytes = serde_json::to_vec(&params)?;
        let start = Instant::now();
        let left = buyer.round(&begun, u32::try_from(number)?, &bytes, |_| ()).await?;
        time += milliseconds(start.elapsed());
        passed = Some(combining.combine(&[left.files])?.1);
        sent.push(bytes);
    }
    let ended = buyer.end(&begun).await?;
    Ok((begun.job, time, sent, ended.receipt))
}

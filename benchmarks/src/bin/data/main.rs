//! Programs that go to the data: how soon they start, how fast they are, what training over several owners takes, orders, and
//! running a job again.
//!
//! `data [PART]`: one of `start`, `program`, `training`, `orders` and `rerun`, else all. `data training ROWS [ROUNDS]`: of so many
//! rows in all (64,000).

mod market;
mod native;
mod orders;
mod program;
mod rerun;
mod start;
mod table;
mod training;

use eyre::{ContextCompat as _, Result, bail, ensure};
use std::{
    env,
    path::PathBuf,
    time::{Duration, Instant},
};
use stoa_benchmarks::median;

/// The program that trains: `algorithms/federated`.
const MODULE: &[u8] = include_bytes!("../../../../algorithms/federated.wasm");

/// A program that is there, by the variable that names it.
fn variable(name: &str) -> Result<PathBuf> {
    let path = env::var_os(name).map(PathBuf::from);
    let path = path.wrap_err_with(|| format!("{name} is not set: run this as `cargo xtask bench data`"))?;
    ensure!(path.exists(), "{name} is {}, which is not there: run `cargo xtask bench data`", path.display());
    Ok(path)
}

/// Milliseconds that something takes, and what came of it.
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let start = Instant::now();
    let outcome = work()?;
    Ok((milliseconds(start.elapsed()), outcome))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Milliseconds that two things take, one after the other, so often each: the medians.
fn both(
    rounds: usize,
    mut ours: impl FnMut() -> Result<()>,
    mut other: impl FnMut() -> Result<()>,
) -> Result<(f64, f64)> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        first.push(timed(&mut ours)?.0);
        second.push(timed(&mut other)?.0);
    }
    Ok((median(&mut first), median(&mut second)))
}

/// A row of a table of times.
fn times(what: &str, ours: f64, other: f64, goal: &str) {
    println!("| {what} | {ours:.2} ms | {other:.2} ms | {:.2} | {goal} |", ours / other);
}

fn main() -> Result<()> {
    stoa_sandbox::launch();
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => {
            start::run()?;
            program::run()?;
            training::run(64_000, 3)?;
            orders::run()?;
            rerun::run()
        }
        ["start"] => start::run(),
        ["program"] => program::run(),
        ["training"] => training::run(64_000, 3),
        ["training", rows] => training::run(rows.parse()?, 3),
        ["training", rows, rounds] => training::run(rows.parse()?, rounds.parse()?),
        ["orders"] => orders::run(),
        ["rerun"] => rerun::run(),
        _ => bail!("usage: data [start|program|training [ROWS [ROUNDS]]|orders|rerun]"),
    }
}

//! A program as WebAssembly in the sandbox, and the same Rust code native.

use crate::{
    MODULE, milliseconds,
    native::{Native, alike},
    table::Table,
    timed,
};
use eyre::{ContextCompat as _, Result, ensure};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};
use stoa_benchmarks::median;
use stoa_sandbox::{Control, Input, Job, Runtime as _, Source, Wasm};

/// Rows of the table: 4 MB.
const ROWS: usize = 100_000;

/// How often each is measured.
const ROUNDS: usize = 7;

/// Runs the module on a file.
pub fn sandboxed(wasm: &Wasm, table: &Path, params: &Value) -> Result<(Vec<u8>, Duration)> {
    let mut job = Job::new(MODULE);
    job.command = vec!["algorithm".into()];
    job.params = params.to_string().into_bytes();
    job.inputs = vec![Input { name: "table.csv".into(), source: Source::Path(table.to_owned()) }];
    let mut outcome = wasm.run(&job, &Control::new())?;
    ensure!(outcome.succeeded(), "the program failed: {}", outcome.log.text());
    Ok((outcome.output.files.remove("result.json").wrap_err("a result")?, outcome.used.wall))
}

/// Prints the table.
pub fn run() -> Result<()> {
    let (folder, table) = (tempfile::tempdir()?, Table::new(ROWS).whole());
    let file = folder.path().join("table.csv");
    fs::write(&file, &table)?;
    let native = Native::new()?;
    native.put(&table)?;
    let wasm = Wasm::new(None)?;
    wasm.prepare(&Job::new(MODULE))?;
    println!(
        "\n`federated` over a table of {ROWS} rows ({} MB), {ROUNDS} times each, medians.\n",
        table.len() / 1_000_000
    );
    println!("| step | WebAssembly | native | ratio of speeds | to reach |\n|---|---|---|---|---|");
    let model = native.combine(&native.step(&json!({ "step": "summarize" }))?)?;
    let steps = [
        ("summarize: reads the table, sums up", json!({ "step": "summarize" })),
        ("train, 10 epochs", json!({ "step": "train", "model": model })),
        ("train, 100 epochs", json!({ "step": "train", "model": model, "epochs": 100 })),
        ("evaluate", json!({ "step": "evaluate", "model": model })),
    ];
    for (name, params) in steps {
        let (mut ours, mut others) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (result, time) = sandboxed(&wasm, &file, &params)?;
            ours.push(milliseconds(time));
            let (time, same) = timed(|| native.step(&params))?;
            others.push(time);
            let (same, result) = (serde_json::from_str(&same)?, serde_json::from_slice(&result)?);
            ensure!(alike(&same, &result), "{name}: WebAssembly and native come to different results");
        }
        let (ours, other) = (median(&mut ours), median(&mut others));
        println!("| {name} | {ours:.1} ms | {other:.1} ms | {:.2} | 0.6 |", other / ours);
    }
    Ok(())
}

//! Programs that run on other people's data, as processes: owners' nodes, a buyer, and an owner who changes his mind.

use eyre::{ContextCompat as _, Result, ensure};
use serde_json::Value;
use std::fs;
use stoa_tests::{Node, stage::Stage};

const OWNERS: [usize; 2] = [5, 6];
const BUYER: usize = 8;
const BUYERS_ADDRESS: &str = "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f";

/// A program that copies a file to `/out/result.json`.
fn copies(path: &str) -> Result<Vec<u8>> {
    let text = format!(
        r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (memory (export "memory") 4)
        (data (i32.const 4096) "{path}") (data (i32.const 5000) "result.json")
        (func (export "_start")
            (if (call $open (i32.const 3) (i32.const 0) (i32.const 4096) (i32.const {}) (i32.const 0) (i64.const 2) (i64.const 0)
                    (i32.const 0) (i32.const 0)) (then (call $exit (i32.const 7))))
            (i32.store (i32.const 100) (i32.const 65536)) (i32.store (i32.const 104) (i32.const 60000))
            (drop (call $read (i32.load (i32.const 0)) (i32.const 100) (i32.const 1) (i32.const 108)))
            (i32.store (i32.const 104) (i32.load (i32.const 108)))
            (drop (call $open (i32.const 4) (i32.const 0) (i32.const 5000) (i32.const 11) (i32.const 1) (i64.const 66)
                (i64.const 0) (i32.const 0) (i32.const 4)))
            (drop (call $write (i32.load (i32.const 4)) (i32.const 100) (i32.const 1) (i32.const 108)))))"#,
        path.len()
    );
    Ok(wat::parse_str(text)?)
}

/// An owner's node, which computes on what lies in a folder; its public key.
fn computing(stage: &Stage, account: usize) -> Result<(Node, String)> {
    let data = stage.at(&format!("data-{account}"));
    fs::create_dir(&data)?;
    stage.node(&format!("computer-{account}"), account, &["--data", &data.to_string_lossy()], &[])
}

fn text(value: &Value, name: &str) -> Result<String> {
    Ok(value[name].as_str().wrap_err_with(|| format!("{name} in {value}"))?.to_owned())
}

#[test]
fn a_program_runs_on_the_data_of_two_owners_is_paid_and_after_a_revocation_refused() -> Result<()> {
    let stage = Stage::new(0)?;
    let (mut nodes, mut assets, mut grants) = (Vec::new(), Vec::new(), Vec::new());
    for (number, account) in OWNERS.into_iter().enumerate() {
        let (node, key) = computing(&stage, account)?;
        nodes.push(node);
        let file = format!("rows-{account}.csv");
        fs::write(stage.at(&file), format!("63,1,{number},145"))?;
        let data = format!("data-{account}");
        let offer = ["job", "offer", &file, "--data", &data, "--node", &key, "--base", "0.5", "--price", "0.25"];
        let asset = text(&stage.run(account, &offer)?, "asset")?;
        let early = stage.attempt(BUYER, &["job", "run", "--algorithm", "none", "--on", &asset, "--to", "early"])?;
        ensure!(early.err().is_some_and(|why| why.contains("cannot read none")), "it ran");
        let allow = ["job", "allow", &asset, "--to", BUYERS_ADDRESS, "--purpose", "ScientificResearch"];
        grants.push(text(&stage.run(account, &allow)?, "grant")?);
        assets.push((asset, file));
    }
    // Parameters come out as they went in, of each owner, and each job is paid by use: half a coin, and a quarter for the million
    // steps that it began.
    fs::write(stage.at("echo.wasm"), copies("params.json")?)?;
    let on = format!("{},{}", assets[0].0, assets[1].0);
    let words =
        ["job", "run", "--algorithm", "echo.wasm", "--on", &on, "--param", "rows=12", "--param", "values=[1,2.5]"];
    let ran = stage.run(BUYER, &[&words[..], &["--to", "first", "--steps", "10", "--most", "3"]].concat())?;
    for (asset, _) in &assets {
        let left = fs::read_to_string(stage.at("first").join(asset).join("result.json"))?;
        ensure!(left == r#"{"rows":12,"values":[1,2.5]}"#, "{left}");
    }
    let jobs = ran["jobs"].as_array().wrap_err("jobs")?;
    for job in jobs {
        ensure!(job["ended"] == "succeeded" && job["rounds"] == 1 && job["steps"] == 1_000_000, "{job}");
        ensure!(job["paid"] == "0xa688906bd8b0000" && job["refunded"] == "0x1f399b1438a10000", "{job}");
        let shown = stage.run(BUYER, &["job", "show", &text(job, "job")?])?;
        ensure!(shown["state"] == "finished" && shown["receipt"]["output"] == job["output"], "{shown}");
    }
    // What has not the shape that leaves stays, costs what it used, and the message says nothing of it.
    fs::write(stage.at("steal.wasm"), copies(&assets[1].1)?)?;
    let small = ["--steps", "10", "--most", "3"];
    let steal = ["job", "run", "--algorithm", "steal.wasm", "--on", &assets[1].0, "--to", "stolen"];
    let steal = [&steal[..], &small].concat();
    let refused = stage.attempt(BUYER, &steal)?.err().wrap_err("it ran")?;
    ensure!(refused.contains("result.json: it is not JSON") && !refused.contains("145"), "{refused}");
    ensure!(!stage.at("stolen").exists());

    // One owner takes it back: with his data it is refused, without it works.
    stage.run(OWNERS[0], &["data", "revoke", &grants[0]])?;
    let words = |on: &str, to: &'static str| {
        let words = ["job", "run", "--algorithm", "echo.wasm", "--on", on, "--param", "rows=12", "--to", to];
        [&words[..], &small].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let [with, without] = [words(&on, "second"), words(&assets[1].0, "third")];
    let refused =
        stage.attempt(BUYER, &with.iter().map(String::as_str).collect::<Vec<_>>())?.err().wrap_err("it ran")?;
    ensure!(refused.contains("no grant of asset") && !stage.at("second").exists(), "{refused}");
    stage.run(BUYER, &without.iter().map(String::as_str).collect::<Vec<_>>())?;
    ensure!(stage.at("third").join(&assets[1].0).join("result.json").exists());
    Ok(())
}

#[test]
fn four_hospitals_train_a_model_without_a_row_leaving_any_of_them() -> Result<()> {
    let stage = Stage::new(0)?;
    let repository = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let at = |path: &str| repository.join(path).to_string_lossy().into_owned();
    let (mut nodes, mut assets, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (account, hospital) in (1..).zip(["cleveland", "hungary", "switzerland", "va"]) {
        let (node, key) = computing(&stage, account)?;
        nodes.push(node);
        let (file, data, rules) =
            (at(&format!("data/heart/{hospital}.csv")), format!("data-{account}"), at("data/heart/rules.json"));
        let offer = ["job", "offer", &file, "--data", &data, "--node", &key, "--rules", &rules, "--price", "0.001"];
        let asset = text(&stage.run(account, &offer)?, "asset")?;
        let allow = ["job", "allow", &asset, "--to", BUYERS_ADDRESS, "--purpose", "ScientificResearch"];
        stage.run(account, &allow)?;
        assets.push(asset);
        rows.extend(fs::read_to_string(file)?.lines().skip(1).map(str::to_owned));
    }
    let (algorithm, plan, on) = (at("algorithms/federated.wasm"), at("data/heart/plan.json"), assets.join(","));
    let run =
        ["job", "run", "--algorithm", &algorithm, "--plan", &plan, "--on", &on, "--to", "model", "--steps", "1000"];
    let ran = stage.run(BUYER, &run)?;
    ensure!(ran["rounds"] == 12, "{ran}");
    for job in ran["jobs"].as_array().wrap_err("jobs")? {
        ensure!(job["ended"] == "succeeded" && job["rounds"] == 12, "{job}");
        ensure!(job["paid"] != "0x0" && job["refunded"] != "0x0", "{job}");
    }
    let scores: Value = serde_json::from_slice(&fs::read(stage.at("model/result.json"))?)?;
    ensure!(scores["rows"] == 274 && scores["sites"] == 4, "{scores}");
    ensure!(scores["accuracy"].as_f64() > Some(0.8) && scores["auc"].as_f64() > Some(0.85), "{scores}");
    // The model is what the last round of training came to.
    let model: Value = serde_json::from_slice(&fs::read(stage.at("model/rounds/011.json"))?)?;
    ensure!(model["weights"].as_array().map(Vec::len) == model["features"].as_array().map(Vec::len), "{model}");
    // No patient is in anything that left.
    for number in 1..=12 {
        let left = fs::read_to_string(stage.at(&format!("model/rounds/{number:03}.json")))?;
        ensure!(!rows.iter().any(|row| left.contains(row.as_str())), "a row left in round {number}");
    }
    Ok(())
}

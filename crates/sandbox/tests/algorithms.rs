//! The modules of `algorithms/` in the sandbox, as nodes run them.

use serde_json::{Value, json};
use std::{path::PathBuf, sync::LazyLock};
use stoa_sandbox::{Control, Ended, Input, Job, Outcome, Runtime as _, Source, Wasm};

const HOSPITALS: [&str; 4] = ["cleveland", "hungary", "switzerland", "va"];

static WASM: LazyLock<Wasm> = LazyLock::new(|| Wasm::new(None).expect("a runtime"));

fn repository(path: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../..").join(path)
}

fn run(params: &Value, inputs: Vec<Input>) -> Outcome {
    let mut job = Job::new(repository("algorithms/federated.wasm"));
    job.command = vec!["federated".into()];
    job.params = params.to_string().into_bytes();
    job.inputs = inputs;
    WASM.run(&job, &Control::new()).expect("a run")
}

fn result(outcome: &Outcome) -> Value {
    assert_eq!(outcome.ended, Ended::Exited(0), "{}", outcome.log.text());
    assert!(outcome.deterministic && outcome.log.bytes.is_empty());
    assert_eq!(outcome.output.files.keys().collect::<Vec<_>>(), ["result.json"]);
    serde_json::from_slice(&outcome.output.files["result.json"]).expect("JSON")
}

fn at(hospital: &str, params: &Value) -> Outcome {
    let source = repository(&format!("data/heart/{hospital}.csv")).into();
    run(params, vec![Input { name: hospital.into(), source }])
}

/// A step at each hospital, and what the aggregator makes of it. Adds up the steps of all programs.
fn round(params: &Value, fuel: &mut u64) -> Value {
    let results = HOSPITALS.map(|hospital| {
        let mut outcome = at(hospital, params);
        *fuel += outcome.used.fuel;
        result(&outcome);
        Input {
            name: format!("{hospital}.json"),
            source: Source::from(&outcome.output.files.remove("result.json").unwrap_or_default()[..]),
        }
    });
    let outcome = run(&json!({"step": "combine"}), results.into());
    *fuel += outcome.used.fuel;
    result(&outcome)
}

#[test]
fn four_hospitals_train_a_model_in_ten_rounds() {
    let mut fuel = 0;
    let mut model = round(&json!({"step": "summarize"}), &mut fuel);
    for _ in 0..10 {
        model = round(&json!({"step": "train", "model": model}), &mut fuel);
    }
    let scores = round(&json!({"step": "evaluate", "model": model}), &mut fuel);
    println!("{scores}, {fuel} steps");
    assert_eq!(scores["rows"], 274);
    assert!(scores["accuracy"].as_f64().is_some_and(|accuracy| accuracy > 0.83), "{scores}");
    assert!(scores["auc"].as_f64().is_some_and(|area| area > 0.9), "{scores}");
    assert!(fuel < 10_000_000_000, "{fuel}");
}

#[test]
fn a_folder_with_a_table_is_an_input_as_well_and_a_second_run_gives_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(repository("data/heart/va.csv"), folder.path().join("patients.csv")).expect("a copy");
    let params = json!({"step": "summarize"});
    let once = run(&params, vec![Input { name: "va".into(), source: folder.path().to_owned().into() }]);
    let again = run(&params, vec![Input { name: "va".into(), source: folder.path().to_owned().into() }]);
    assert_eq!((&once.output, once.used.fuel), (&again.output, again.used.fuel));
    assert_eq!(result(&once), result(&at("va", &params)));
}

#[test]
fn what_cannot_be_done_ends_with_1_and_a_reason() {
    for (params, said) in [
        (json!({"step": "train"}), "error: parameter `model` is missing"),
        (json!({"step": "summarize", "features": ["weight"]}), "there is no column \"weight\""),
        (json!({"step": "summarize", "min_rows": 1000}), "fewer than 1000 training rows"),
    ] {
        let outcome = at("va", &params);
        assert_eq!(outcome.ended, Ended::Exited(1));
        assert!(outcome.log.text().contains(said), "{}", outcome.log.text());
        assert!(outcome.output.files.is_empty());
    }
}

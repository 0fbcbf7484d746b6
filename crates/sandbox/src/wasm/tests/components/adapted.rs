//! The same programs as modules and as components: of their modules, by the adapter of wasmtime's makers.

use super::*;
use crate::Input;
use std::path::PathBuf;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
};

fn adapted(module: &[u8]) -> Vec<u8> {
    let encoder = ComponentEncoder::default().module(module).unwrap();
    let adapter = (WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER);
    encoder.adapter(adapter.0, adapter.1).unwrap().encode().unwrap()
}

/// Runs a job with its module and with the component of that.
fn both(mut job: Job) -> [Outcome; 2] {
    let module = job.code.read(1 << 20).unwrap();
    let one = run(&job);
    job.code = adapted(&module)[..].into();
    let two = run(&job);
    assert_eq!(run(&job).used.fuel, two.used.fuel);
    [one, two]
}

#[test]
fn an_algorithm_leaves_the_same_as_a_module_and_as_a_component() {
    let place = |path: &str| {
        PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../..").join(path)
    };
    let mut job = Job::new(place("algorithms/federated.wasm"));
    job.params = br#"{"step": "summarize"}"#.to_vec();
    job.inputs = vec![Input { name: "va".into(), source: place("data/heart/va.csv").into() }];
    let [module, component] = both(job.clone());
    assert!(module.succeeded() && component.succeeded(), "{}", component.log.text());
    assert_eq!(module.output.files.keys().collect::<Vec<_>>(), ["result.json"]);
    assert_eq!((module.output, module.log), (component.output, component.log));

    job.params = br#"{"step": "train"}"#.to_vec();
    let [module, component] = both(job);
    assert_eq!((module.ended, component.ended), (Ended::Exited(1), Ended::Exited(1)));
    assert_eq!((module.output, module.log), (component.output, component.log));
}

#[test]
fn calls_of_preview_1_do_the_same() {
    let mut programs = Vec::new();
    let mut program = Program::new();
    let say = program.write("(i32.const 1)", "hello");
    program.does(&format!("(drop {say})"));
    program.does("(drop (call $random (i32.const 65536) (i32.const 32)))");
    program.does("(drop (call $put (i32.const 2) (i32.const 65536) (i32.const 32)))");
    programs.push(program);
    for folder in [3, 4, 5] {
        let mut program = Program::new();
        let (open, write) = (program.open(folder, "file", CREATE, WRITE), program.write("(call $told)", "text"));
        program.does(&format!("(i32.store (i32.const 300) (i32.eqz {open}))"));
        program.does(&format!("(if (i32.load (i32.const 300)) (then (drop {write})))"));
        program.does("(drop (call $put (i32.const 1) (i32.const 300) (i32.const 4)))");
        programs.push(program);
    }
    for program in programs {
        let [module, component] = both(program.job());
        assert_eq!((&module.ended, &module.output, &module.log), (&component.ended, &component.output, &component.log));
    }
}

//! Runs a WebAssembly module or component, and tells what it took: `run MODULE [NAME=INPUT ...] [-- ARGUMENT ...]`.
//!
//! It runs twice: compiled, and from the cache.

use std::{path::PathBuf, time::Instant};
use stoa_sandbox::{Control, Input, Job, Runtime as _, Wasm};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let module = words.next().ok_or("usage: run MODULE [NAME=INPUT ...] [-- ARGUMENT ...]")?;
    let mut job = Job::new(PathBuf::from(&module));
    job.params = b"{}".to_vec();
    for word in words.by_ref().take_while(|word| word != "--") {
        let (name, path) = word.split_once('=').ok_or("inputs are NAME=PATH")?;
        job.inputs.push(Input { name: name.into(), source: PathBuf::from(path).into() });
    }
    job.command = [module].into_iter().chain(words).collect();

    let cache = tempfile::tempdir()?;
    for what in ["compiled", "from the disk"] {
        let wasm = Wasm::new(Some(cache.path().join("modules")))?;
        let started = Instant::now();
        let outcome = wasm.run(&job, &Control::new())?;
        let took = started.elapsed();
        println!("{what}: {took:?}, of which the program ran {:?}", outcome.used.wall);
        if what != "compiled" {
            print!("{}", outcome.log.text());
            println!("{:?}, {:?}", outcome.ended, outcome.used);
            for (path, bytes) in outcome.output.files {
                println!("/out/{path}: {} bytes", bytes.len());
            }
        }
        let started = Instant::now();
        let outcome = wasm.run(&job, &Control::new())?;
        println!("from memory: {:?}, of which the program ran {:?}", started.elapsed(), outcome.used.wall);
    }
    Ok(())
}

//! WebAssembly, bit for bit the same wherever it runs.
//!
//! Wasmtime compiles a program and counts its steps (fuel). What it sees of the world is ours ([`system`]): files in memory
//! ([`fs`]), a clock that counts steps, randomness that follows from the job's seed, behind WASI preview 1 for modules
//! ([`wasi`]) and preview 2 for components ([`wasi2`]). Fuel is also what lets a run be stopped: each slice of it ends with a
//! look at the time and at whether somebody cancelled.

mod bounds;
mod canonical;
mod errno;
mod fs;
mod lookup;
mod modules;
mod path;
mod program;
mod run;
mod system;
#[cfg(test)]
mod tests;
mod wasi;
mod wasi2;

use crate::{Control, Error, Job, Outcome, Runtime, RuntimeId};
use modules::Modules;
use program::{Linkers, Program};
use std::path::PathBuf;
use wasmparser::WasmFeatures;
use wasmtime::{Collector, Config, Engine, OperatorCost, OptLevel};

/// The version of wasmtime in `Cargo.lock`, which names the runtime: what a module costs and does may differ in another.
const WASMTIME: &str = "48.0.8";

/// What programs may have: what compilers make use of, and no more, whatever wasmtime would have by default. So there are no types
/// that are collected, no threads, and no memories of 64 bits. MicroPython throws exceptions.
const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::RELAXED_SIMD)
    .union(WasmFeatures::EXCEPTIONS)
    .union(WasmFeatures::COMPONENT_MODEL);

/// Bytes of the stack that calls of functions within a program take at most.
const STACK: usize = 1 << 20;

/// Runs modules of WebAssembly that use WASI preview 1, and components that use WASI preview 2.
pub struct Wasm {
    engine: Engine,
    modules: Modules,
}

impl Wasm {
    /// Keeps the programs that it has compiled last in memory, and, if a folder is given, many of them there. The folder is
    /// made if it is not there. It has to be this user's alone: what lies there is run.
    ///
    /// # Errors
    ///
    /// If the folder cannot be made or others may enter it, or if this processor is none that can be compiled for.
    pub fn new(cache: Option<PathBuf>) -> Result<Self, Error> {
        let failed = |error: wasmtime::Error| Error::Machine(format!("{error:#}"));
        let engine = Engine::new(&config()).map_err(failed)?;
        let linkers = Linkers::new(&engine).map_err(failed)?;
        Ok(Self { modules: Modules::new(engine.clone(), linkers, cache)?, engine })
    }

    /// A job's program, ready to start.
    fn program(&self, job: &Job) -> Result<Program, Error> {
        self.modules.get(job.code.read(bounds::MOST_MODULE)?, job.sender)
    }
}

fn config() -> Config {
    let mut config = Config::new();
    // Whoever throws may have all exceptions that are on the stack looked for: the most that an instruction can cost.
    let cost = OperatorCost { Throw: u8::MAX, ThrowRef: u8::MAX, ..OperatorCost::new() };
    config
        .consume_fuel(true)
        .operator_cost(cost)
        .wasm_features(FEATURES, true)
        .wasm_features(WasmFeatures::all().difference(FEATURES), false)
        // `canonical` sees to that.
        .cranelift_nan_canonicalization(false)
        .relaxed_simd_deterministic(true)
        .cranelift_opt_level(OptLevel::Speed)
        .max_wasm_stack(STACK)
        // What is left is for calls of the system.
        .async_stack_size(STACK + (1 << 20))
        .wasm_backtrace_max_frames(None)
        // Exceptions are collected.
        .collector(Collector::DeferredReferenceCounting)
        .concurrency_support(false);
    config
}

impl Runtime for Wasm {
    fn id(&self) -> RuntimeId {
        RuntimeId(format!("wasmtime {WASMTIME} / stoa-wasm-4"))
    }

    fn deterministic(&self) -> bool {
        true
    }

    fn prepare(&self, job: &Job) -> Result<(), Error> {
        self.program(job).map(drop)
    }

    fn run(&self, job: &Job, control: &Control) -> Result<Outcome, Error> {
        job.check()?;
        run::run(&self.engine, &self.program(job)?, job, control)
    }
}

//! The benchmarks by name. Each is one or more programs of the package `stoa-benchmarks`, which print their figures; adding
//! one is a line in the table. Fuzzing is one as well: it runs for minutes and says how much it has seen.

use crate::{
    fuzz,
    place::{Place, check, show},
    setup,
    steps::{self, Step},
};
use eyre::{Result, bail};
use std::path::PathBuf;

/// Name, what it measures, and the programs that measure it, in this order.
const BENCHMARKS: &[(&str, &str, &[&str])] = &[
    (
        "ledger",
        "blocks against bare revm, load against Anvil, and how cost grows",
        &["execution", "recovery", "growth", "restart", "load"],
    ),
    (
        "network",
        "several validators: latency, throughput, certificates; taking over a state",
        &["network", "sync", LATENCY],
    ),
    ("privacy", "sealing against the bare cipher, giving out keys against the bare primitives", &["privacy"]),
    (
        "store",
        "large and small objects against the file system, coding and spreading against their slowest stages",
        &["store", "spread"],
    ),
    (
        DATA,
        "programs at the data: start, WebAssembly against native, training against Flower, orders, search",
        &["data", "search"],
    ),
    ("search", "the index of a market of a million assets: building it, and how long searches take", &["search"]),
];

/// The benchmark that needs more: Flower, and the program that trains as native code.
const DATA: &str = "data";

/// A program that is a test: what it measures is simulated time, which the machine has no part in.
const LATENCY: &str = "latency";

/// Name of the fuzz targets, and what they are.
const FUZZ: (&str, &str) = ("fuzz", "decoders under any bytes, a minute each");

/// Runs a benchmark after the set-up it needs; lists them when no name is given. Whether it ran to its end.
///
/// `options` are for one program, whose name they begin with; without any all its programs run as they do for the docs.
///
/// Its programs find the release build of the node in `STOA_BIN`, compiled Solidity in `STOA_SOLIDITY` and Anvil in
/// `STOA_ANVIL`.
pub fn run(place: &Place, name: Option<&str>, options: &[String]) -> Result<bool> {
    let Some(name) = name else {
        for (name, what, _) in BENCHMARKS {
            println!("{name:<9} {what}");
        }
        println!("{:<9} {}", FUZZ.0, FUZZ.1);
        return Ok(true);
    };
    if name == FUZZ.0 {
        return fuzz::run(place, options);
    }
    let Some((_, _, programs)) = BENCHMARKS.iter().find(|(known, _, _)| *known == name) else {
        let known: Vec<_> = BENCHMARKS.iter().map(|(name, _, _)| *name).chain([FUZZ.0]).collect();
        bail!("no benchmark is called {name:?}; there is: {}", known.join(", "));
    };
    let (programs, options): (&[&str], _) = match options.split_first() {
        None => (programs, options),
        Some((one, options)) => match programs.iter().position(|known| known == one) {
            Some(at) => (&programs[at..=at], options),
            None => bail!("{name} has no program {one:?}; it has: {}", programs.join(", ")),
        },
    };
    if !steps::run(place, &steps::choose(&[Step::Solidity], &[]), &[])? {
        return Ok(false);
    }
    let release = ["--release", "--locked"];
    check(place.cargo()?.arg("build").args(release).args([
        "--package",
        "stoa",
        "--package",
        "stoa-benchmarks",
        "--bins",
    ]))?;
    let mut beside = Vec::new();
    if programs.contains(&DATA) {
        setup::flower(place)?;
        beside = vec![("STOA_FEDERATED", native(place)?), ("STOA_FLOWER", place.flower()?.join("bin/python"))];
    }
    for &program in programs {
        let mut command = place.cargo()?;
        if program == LATENCY {
            command.args(["test", "--locked", "--quiet", "--package", "stoa-consensus", "--lib"]);
            command.args(["--", "--ignored", "--nocapture", "latency::table"]);
            println!("\n── {}", show(&command));
            check(&mut command)?;
            continue;
        }
        command.arg("run").args(release).args(["--quiet", "--package", "stoa-benchmarks", "--bin", program, "--"]);
        command.args(options).env("STOA_BIN", place.target.join("release/stoa"));
        command.envs(beside.iter().map(|(name, path)| (name, path)));
        command.env("STOA_ANVIL", place.tests().join("node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"));
        println!("\n── {}", show(&command));
        check(&mut command)?;
    }
    Ok(true)
}

/// Builds `algorithms/federated` for this machine.
fn native(place: &Place) -> Result<PathBuf> {
    let folder = place.target.join("native");
    let mut command = place.cargo()?;
    command.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]);
    command.arg(place.root.join("algorithms/federated/Cargo.toml")).arg("--target-dir").arg(&folder);
    check(&mut command)?;
    Ok(folder.join("release/federated"))
}

//! The benchmarks by name. Each is a program of the workspace that prints its figures; adding one is a line in the table.

use crate::{
    place::{Place, check, show},
    steps::{self, Step},
};
use eyre::{Result, bail};

/// Name, what it measures, and cargo's arguments.
const BENCHMARKS: &[(&str, &str, &[&str])] = &[(
    "ledger",
    "execution, transactions over JSON-RPC, native against Solidity, growth, start",
    &["run", "--release", "--locked", "--package", "stoa-bench-ledger", "--"],
)];

/// Runs a benchmark after the set-up it needs; lists them when no name is given. Whether it ran to its end.
pub fn run(place: &Place, name: Option<&str>, options: &[String]) -> Result<bool> {
    let Some(name) = name else {
        for (name, what, _) in BENCHMARKS {
            println!("{name:<9} {what}");
        }
        return Ok(true);
    };
    let Some((_, _, arguments)) = BENCHMARKS.iter().find(|(known, _, _)| *known == name) else {
        let known: Vec<_> = BENCHMARKS.iter().map(|(name, _, _)| *name).collect();
        bail!("no benchmark is called {name:?}; there is: {}", known.join(", "));
    };
    if !steps::run(place, &steps::choose(&[Step::Solidity], &[]), &[])? {
        return Ok(false);
    }
    let mut command = place.cargo()?;
    command.args(*arguments).args(options).env("STOA_BIN", place.target.join("release/stoa"));
    println!("\n── {}", show(&command));
    check(&mut command)?;
    Ok(true)
}

//! `cargo xtask bench fuzz`: libFuzzer on every decoder of the package `stoa-fuzz`, one after the other.
//!
//! libFuzzer is linked as any library, and what it watches is compiled with LLVM's coverage counters, which the stable
//! compiler can write as well. What it has found stays in the build folder and is where the next run goes on from.

use crate::{
    place::{Place, check, output, show},
    setup,
};
use eyre::{ContextCompat as _, Result, WrapErr as _, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The targets of `stoa-fuzz`.
const TARGETS: [&str; 12] = [
    "transaction",
    "block",
    "rpc",
    "leaf",
    "proof",
    "object",
    "grant",
    "manifest",
    "folder",
    "piece",
    "request",
    "look",
];

/// Counters on every edge, and the operands of comparisons.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Seconds that each target runs.
const SECONDS: u64 = 60;

/// Runs the targets that the options name, all if they name none, for as many seconds each as a first number says.
/// Whether no input broke any.
pub fn run(place: &Place, options: &[String]) -> Result<bool> {
    let (seconds, names) = match options.split_first().map(|(first, rest)| (first.parse(), rest)) {
        Some((Ok(seconds), names)) => (seconds, names),
        _ => (SECONDS, options),
    };
    if let Some(name) = names.iter().find(|name| !TARGETS.contains(&name.as_str())) {
        bail!("no decoder is called {name:?}; there are: {}", TARGETS.join(", "));
    }
    setup::cpp(place)?;
    let binaries = build(place)?;
    let mut passed = true;
    for name in TARGETS.into_iter().filter(|name| names.is_empty() || names.iter().any(|wanted| wanted == name)) {
        passed &= one(place, &binaries.join(format!("fuzz-{name}")), name, seconds)?;
    }
    Ok(passed)
}

/// The folder of the programs.
fn build(place: &Place) -> Result<PathBuf> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let host = output(place.command(&rustc).args(["--print", "host-tuple"])).wrap_err("rustc does not run")?;
    let mut command = place.cargo()?;
    command.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", COVERAGE);
    command.args(["build", "--quiet", "--locked", "--profile", "fuzz", "--package", "stoa-fuzz", "--features", "link"]);
    // With a target named, what runs at build time is compiled without counters.
    command.args(["--target", &host]);
    println!("── {}", show(&command));
    check(&mut command)?;
    Ok(place.target.join(host).join("fuzz"))
}

fn one(place: &Place, binary: &Path, name: &str, seconds: u64) -> Result<bool> {
    let folder = place.target.join("fuzzing").join(name);
    let [corpus, seeds, crashes] = ["corpus", "seeds", "crashes"].map(|part| folder.join(part));
    for folder in [&corpus, &seeds, &crashes] {
        fs::create_dir_all(folder).wrap_err_with(|| format!("cannot make {}", folder.display()))?;
    }
    println!("\n── {name}, {seconds} s");
    let mut command = Command::new(binary);
    command.env("STOA_SEEDS", &seeds).stdin(Stdio::null());
    // What crashed once is tried first.
    command.args([&corpus, &seeds, &crashes]).arg(format!("-artifact_prefix={}/", crashes.display()));
    command.arg(format!("-max_total_time={seconds}"));
    // A hang is a crash, and so is a process that grows.
    command.args(["-timeout=10", "-rss_limit_mb=1024", "-max_len=16384", "-print_final_stats=1"]);
    let output = command.output().wrap_err_with(|| format!("cannot start {}", binary.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let log = folder.join("log");
    fs::write(&log, said.as_bytes()).wrap_err_with(|| format!("cannot write {}", log.display()))?;
    let figures = Figures::read(&said);
    if output.status.success() {
        println!("   {} executions, {} a second", figures.executions, figures.rate);
        println!(
            "   {} of {} edges, {} features, {} inputs kept",
            figures.edges, figures.of, figures.features, figures.kept
        );
        println!("   0 crashes");
        return Ok(true);
    }
    let reason = said.lines().skip_while(|line| !line.contains("panicked at") && !line.contains("ERROR: "));
    reason.take(2).for_each(|line| println!("   {line}"));
    println!("   crashed after {} executions: {}, see {}", figures.executions, output.status, log.display());
    if let Some(input) = said.lines().find_map(|line| line.split_once("Test unit written to ")) {
        println!("   the input: {}", input.1);
        println!("   again: {} {}", binary.display(), input.1);
    }
    Ok(false)
}

/// What libFuzzer has said of a run, in its words.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures<'a> {
    executions: &'a str,
    /// Executions a second.
    rate: &'a str,
    /// Edges that were taken.
    edges: &'a str,
    /// Edges there are.
    of: &'a str,
    /// Edges by how often they were taken, and comparisons.
    features: &'a str,
    /// Inputs that reach something that no smaller one does.
    kept: &'a str,
}

impl<'a> Figures<'a> {
    fn read(said: &'a str) -> Self {
        let word = |line: &'a str, before| line.split_once(before).and_then(|(_, rest)| rest.split_whitespace().next());
        let mut figures = Self::default();
        for line in said.lines() {
            let take = |figure: &mut &'a str, before| *figure = word(line, before).unwrap_or(figure);
            take(&mut figures.executions, "stat::number_of_executed_units:");
            take(&mut figures.rate, "stat::average_exec_per_sec:");
            take(&mut figures.of, "INFO: Loaded 1 modules   (");
            if line.starts_with('#') {
                take(&mut figures.edges, " cov: ");
                take(&mut figures.features, " ft: ");
                take(&mut figures.kept, " corp: ");
            }
        }
        figures.kept = figures.kept.split('/').next().unwrap_or_default();
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_figures_count() {
        let said = "INFO: Loaded 1 modules   (158 inline 8-bit counters): 158 [0x55, 0x56), \n\
            #2\tINITED cov: 8 ft: 9 corp: 1/1b exec/s: 0 rss: 27Mb\n\
            #721\tNEW    cov: 9 ft: 12 corp: 2/12b lim: 11 exec/s: 0 rss: 27Mb L: 11/11 MS: 1 CMP- DE: \" cov: \"-\n\
            stat::number_of_executed_units: 300\n\
            stat::average_exec_per_sec:     150\n";
        let wanted = Figures { executions: "300", rate: "150", edges: "9", of: "158", features: "12", kept: "2" };
        assert_eq!(Figures::read(said), wanted);
    }
}

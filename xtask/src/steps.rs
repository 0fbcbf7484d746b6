//! The steps of `cargo xtask test`: which there are, what each needs, and running them in order.

use crate::{
    algorithms,
    junit::{self, Count},
    light,
    place::{Place, check, show},
    setup,
};
use clap::ValueEnum;
use eyre::Result;
use std::{
    env, fs, thread,
    time::{Duration, Instant},
};

/// One step; they run in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Step {
    /// Programs that everything needs; installed if missing.
    Programs,
    /// Style of the code: `cargo fmt`.
    Format,
    /// Lints: `cargo clippy`, warnings refused.
    Clippy,
    /// The program and all tests, built.
    Build,
    /// Packages of the Python clients.
    Python,
    /// Packages of the JavaScript clients.
    Node,
    /// Solidity contracts of the tests, compiled.
    Solidity,
    /// The light client's WebAssembly module, and the browser that it is tried in.
    Light,
    /// Algorithms in WebAssembly: their tests, and that the modules are what the sources compile to.
    Algorithms,
    /// Tests of every crate.
    Crates,
    /// Examples in the documentation.
    Docs,
    /// Other people's clients, and bad input, against a running node.
    Clients,
}

impl Step {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn help(self) -> String {
        let help = self.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
        help.unwrap_or_default()
    }

    fn needs(self) -> &'static [Self] {
        match self {
            Self::Python
            | Self::Node
            | Self::Format
            | Self::Clippy
            | Self::Build
            | Self::Light
            | Self::Docs
            | Self::Algorithms => &[Self::Programs],
            Self::Solidity => &[Self::Node],
            Self::Crates => &[Self::Solidity, Self::Build],
            Self::Clients => &[Self::Python, Self::Node, Self::Solidity, Self::Build, Self::Light],
            Self::Programs => &[],
        }
    }

    /// Whether it compiles Rust and nothing else, and so leaves the network to others.
    fn compiles(self) -> bool {
        matches!(self, Self::Format | Self::Clippy | Self::Build)
    }

    /// Steps that others cannot do without.
    fn is_setup(self) -> bool {
        matches!(self, Self::Programs | Self::Python | Self::Node | Self::Solidity | Self::Build)
    }
}

/// How a step ended.
enum Outcome {
    /// This machine lacks what it needs, which is no fault of the project's; says what.
    Skipped(String),
    /// It did its work.
    Done,
    /// Nothing has changed since it did its work.
    Unchanged,
    /// Tests ran.
    Tested(Count),
}

/// Prints the steps.
pub fn list() {
    for step in Step::value_variants() {
        println!("{:<10} {}", step.name(), step.help());
    }
}

/// The steps asked for, with those they need, in order.
pub fn choose(only: &[Step], skip: &[Step]) -> Vec<Step> {
    fn add(step: Step, chosen: &mut Vec<Step>) {
        if !chosen.contains(&step) {
            chosen.push(step);
            step.needs().iter().for_each(|need| add(*need, chosen));
        }
    }
    let mut chosen = Vec::new();
    if only.is_empty() {
        chosen.extend(Step::value_variants().iter().filter(|step| !skip.contains(step)));
    } else {
        only.iter().for_each(|step| add(*step, &mut chosen));
    }
    chosen.sort();
    chosen
}

/// Runs steps; a failed check does not keep the others from running, a failed set-up does. Whether all passed.
pub fn run(place: &Place, steps: &[Step], nextest: &[String]) -> Result<bool> {
    let begin = Instant::now();
    let mut total = Count::default();
    let mut results: Vec<(Step, Duration, String)> = Vec::new();
    let mut passed = true;
    thread::scope(|scope| {
        let mut fetching = None;
        for &step in steps {
            println!("\n── {}: {}", step.name(), step.help());
            let begin = Instant::now();
            if step.compiles() {
                fetching.get_or_insert_with(|| scope.spawn(move || fetch(place, steps)));
            } else if let Some(fetching) = fetching.take() {
                // What it was fetching is not fetched twice at a time. If it failed, the step itself says why.
                let _ = fetching.join();
            }
            let said = match one(place, step, nextest) {
                Ok(Outcome::Done) => "done".to_owned(),
                Ok(Outcome::Unchanged) => "unchanged".to_owned(),
                Ok(Outcome::Tested(count)) => {
                    total.passed += count.passed;
                    total.failed += count.failed;
                    passed &= count.failed == 0;
                    format!("{} passed, {} failed", count.passed, count.failed)
                }
                Ok(Outcome::Skipped(lacking)) => format!("SKIPPED: {lacking}"),
                Err(error) => {
                    eprintln!("error: {error:#}");
                    passed = false;
                    "FAILED".to_owned()
                }
            };
            println!("   {said} in {:.1} s", begin.elapsed().as_secs_f64());
            let failed = said == "FAILED";
            results.push((step, begin.elapsed(), said));
            if failed && step.is_setup() {
                break;
            }
        }
    });

    println!("\n── {} in {:.1} s", if passed { "passed" } else { "failed" }, begin.elapsed().as_secs_f64());
    for (step, time, said) in &results {
        println!("{:<10} {:>7.1} s  {said}", step.name(), time.as_secs_f64());
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(passed)
}

/// Does ahead, while others compile, what steps to come need of the network; they find it done, or do it again.
fn fetch(place: &Place, steps: &[Step]) {
    for step in steps {
        let _ = match step {
            Step::Python => setup::python(place).map(drop),
            Step::Node => setup::node(place).map(drop),
            Step::Solidity => setup::solidity(place).map(drop),
            Step::Algorithms => algorithms::tools(place).map(drop),
            _ => Ok(()),
        };
    }
}

fn one(place: &Place, step: Step, nextest: &[String]) -> Result<Outcome> {
    let unchanged = |worked: bool| if worked { Outcome::Done } else { Outcome::Unchanged };
    let cargo = |arguments: &[&str]| -> Result<Outcome> {
        let mut command = place.cargo()?;
        command.args(arguments);
        println!("   {}", show(&command));
        check(&mut command)?;
        Ok(Outcome::Done)
    };
    match step {
        Step::Programs => setup::programs(place).map(unchanged),
        Step::Python => setup::python(place).map(unchanged),
        Step::Node => setup::node(place).map(unchanged),
        Step::Solidity => setup::solidity(place).map(unchanged),
        Step::Format => cargo(&["fmt", "--all", "--check"]),
        Step::Clippy => {
            // The fuzzer as well, which is not linked elsewhere.
            let all = ["--workspace", "--all-targets", "--features", "stoa-fuzz/libfuzzer"];
            cargo(&[&["clippy", "--quiet", "--locked"], &all[..], &["--", "-D", "warnings"]].concat())
        }
        // All targets at once, so that dependencies are built with one set of features.
        Step::Build => cargo(&["build", "--quiet", "--locked", "--workspace", "--all-targets"]),
        Step::Docs => cargo(&["test", "--quiet", "--locked", "--doc", "--workspace"]),
        Step::Light => light(place),
        Step::Algorithms => {
            algorithms::test(place)?;
            let mut skipped = Vec::new();
            if let Err(lacking) = setup::wasi(place) {
                skipped.push(format!("algorithms in C: {lacking:#}"));
            }
            if let Err(lacking) = light::target(place, "wasm32-wasip2") {
                skipped.push(format!("components in Rust: {lacking:#}"));
            }
            match algorithms::tools(place) {
                Ok(tools) => algorithms::compare(place, &tools)?,
                Err(lacking) => skipped.push(format!("the modules were not built anew: {lacking:#}")),
            }
            Ok(if skipped.is_empty() { Outcome::Done } else { Outcome::Skipped(skipped.join("; ")) })
        }
        Step::Crates => tests(place, "not package(stoa-tests)", nextest),
        Step::Clients => {
            let without = if !place.light().join("light.wasm").exists() {
                println!("   WITHOUT the light client's suite: its module could not be built");
                " and not binary(light)"
            } else if !setup::has_browser(place) {
                println!("   WITHOUT the light client in a page: there is no browser");
                " and not (binary(light) and test(page))"
            } else {
                ""
            };
            tests(place, &format!("package(stoa-tests){without}"), nextest)
        }
    }
}

/// Builds the light client's module and gets a browser, if that is possible here: nothing else of the project needs what they need.
fn light(place: &Place) -> Result<Outcome> {
    if let Err(lacking) = light::tools(place) {
        // One that was built before is not this one.
        if place.light().exists() {
            fs::remove_dir_all(place.light())?;
        }
        return Ok(Outcome::Skipped(format!("{lacking:#}")));
    }
    light::build(place)?;
    match setup::browser(place) {
        Ok(_) => Ok(Outcome::Done),
        Err(lacking) => Ok(Outcome::Skipped(format!("the browser alone: {lacking:#}"))),
    }
}

/// Runs the tests of the workspace that a nextest filter picks.
fn tests(place: &Place, filter: &str, nextest: &[String]) -> Result<Outcome> {
    let profile = env::var("NEXTEST_PROFILE").unwrap_or_else(|_| "default".into());
    let report = place.root.join("target/nextest").join(profile).join("junit.xml");
    if report.exists() {
        fs::remove_file(&report)?;
    }
    let mut command = place.cargo()?;
    command.args(["nextest", "run", "--locked", "--workspace", "--no-fail-fast", "--no-tests=pass"]);
    command.args(["--cargo-quiet", "--filterset", filter]).args(nextest);
    // Errors of tests say what they need to; panics keep their backtrace.
    command.env("RUST_LIB_BACKTRACE", "0");
    println!("   {}", show(&command));
    let result = check(&mut command);
    match junit::count(&report) {
        // A run that ends badly though no test failed did not run its tests.
        Some(count) if count.failed > 0 || result.is_ok() => Ok(Outcome::Tested(count)),
        _ => result.map(|()| Outcome::Tested(Count::default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_step_brings_the_steps_it_needs_in_order() {
        let chosen = choose(&[Step::Crates], &[]);
        assert_eq!(chosen, [Step::Programs, Step::Build, Step::Node, Step::Solidity, Step::Crates]);
    }

    #[test]
    fn a_skipped_step_is_left_out_and_no_other() {
        let chosen = choose(&[], &[Step::Clippy]);
        assert_eq!(chosen.len(), Step::value_variants().len() - 1);
        assert!(!chosen.contains(&Step::Clippy));
    }

    #[test]
    fn every_step_comes_after_those_it_needs() {
        for step in Step::value_variants() {
            assert!(step.needs().iter().all(|need| need < step), "{step:?}");
        }
    }
}

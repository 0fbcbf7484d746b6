//! Simulated faults, thousands of times: each seed draws its own, and replays exactly.

use crate::place::Place;
use eyre::Result;
use std::time::Instant;

/// How many seeds one run of the test goes through.
const PIECE: u64 = 100;

/// Runs so many seeds from `first` on. Whether all passed; says which one did not.
pub fn run(place: &Place, first: u64, count: u64) -> Result<bool> {
    let (last, start) = (first + count, Instant::now());
    let mut from = first;
    while from < last {
        let to = (from + PIECE).min(last);
        let mut test = place.cargo()?;
        // With release's speed; the simulation's own checks are not debug assertions.
        test.args(["test", "--release", "--locked", "--package", "stoa-consensus", "--lib", "--quiet"]);
        test.args(["--", "--ignored", "tests::drawn::soak"]).env("STOA_SEEDS", format!("{from}..{to}"));
        if !test.status()?.success() {
            eprintln!("a seed in {from}..{to} failed: its number stands above; STOA_SEEDS=seed..seed+1 replays it");
            return Ok(false);
        }
        let (done, seconds) = (to - first, start.elapsed().as_secs_f64());
        println!("{done} of {count} seeds passed, {:.1} a second", done as f64 / seconds);
        from = to;
    }
    Ok(true)
}

//! How long it takes from a transfer to its final receipt where light is slow, and how much validators tell each other.

use super::{
    checks::Progress,
    network::{Measured, Validators},
    with_stack,
};
use commonware_glue::simulate::plan::PlanBuilder;
use commonware_p2p::simulated::Link;
use commonware_utils::probability;
use std::{num::NonZeroU32, time::Duration};

/// Between any two validators.
const HOP: Duration = Duration::from_millis(100);

/// As the simulated validators have it.
const BLOCK_TIME: Duration = Duration::from_millis(50);

/// Simulates so many validators, each 100 ms from any other, until `height`.
fn measured(count: u32, height: u64) -> Measured {
    let measured = Measured::default();
    let validators = Validators::measured(NonZeroU32::new(count).expect("one or more"), measured.clone());
    let link = Link { latency: HOP, jitter: Duration::ZERO, success_rate: probability!(1.0) };
    with_stack(|| {
        let progress = Progress::until(height, Duration::ZERO);
        let plan = PlanBuilder::new(validators).seed(1).link(link).exit_condition(progress);
        plan.timeout(Duration::from_secs(600)).build().run().unwrap_or_else(|why| panic!("{count}: {why}"))
    });
    measured
}

/// The middle of the latencies, and all but one of a hundred.
fn percentiles(measured: &Measured) -> (Duration, Duration) {
    let mut latencies = measured.latencies.lock().clone();
    latencies.sort();
    (latencies[latencies.len() / 2], latencies[latencies.len() * 99 / 100])
}

#[test]
fn a_transfer_is_final_four_hops_after_it_was_given_to_any_validator() {
    let (p50, p99) = percentiles(&measured(4, 40));
    // To whoever proposes, then three: simulated time, which no machine makes longer.
    assert!(p50 <= 4 * HOP + BLOCK_TIME, "{p50:?}");
    assert!(p99 <= 8 * HOP, "{p99:?}");
}

#[test]
#[ignore = "takes minutes: `cargo xtask bench network` runs it"]
fn table() {
    let bound = 3 * HOP + BLOCK_TIME;
    println!("\nSimulated validators, {} ms between any two; light load.\n", HOP.as_millis());
    println!(
        "| validators | p50 | p99 | p50 against three hops and a block time (to reach: 1.3) | messages a block and node | bytes a block and node |"
    );
    println!("|---|---|---|---|---|---|");
    for (count, height) in [(4, 100), (10, 100), (30, 60), (100, 40)] {
        let measured = measured(count, height);
        let (p50, p99) = percentiles(&measured);
        let ((messages, bytes), blocks) = (*measured.sent.lock(), *measured.blocks.lock());
        let each = f64::from(count) * blocks as f64;
        println!(
            "| {count} | {} ms | {} ms | {:.2} | {:.0} | {:.0} |",
            p50.as_millis(),
            p99.as_millis(),
            p50.as_secs_f64() / bound.as_secs_f64(),
            messages as f64 / each,
            bytes as f64 / each,
        );
    }
}

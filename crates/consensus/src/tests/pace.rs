//! Validators that are to make blocks seldom.

use super::{
    checks::{Check, NothingLost, Progress},
    network::{State, Validators, good},
    with_stack,
};
use crate::Pace;
use commonware_glue::simulate::plan::PlanBuilder;
use commonware_utils::NZU32;
use std::{collections::BTreeMap, time::Duration};

/// That everybody waits for the blocks of whoever leads: at most the first view went by without one, for not all start at once.
fn given_up(states: &[&State]) -> Result<(), String> {
    let skipped = states.iter().map(|state| state.skipped()).collect::<Vec<_>>();
    let is_few = skipped.iter().all(|skipped| *skipped <= 1);
    if is_few { Ok(()) } else { Err(format!("so many were given up: {skipped:?}")) }
}

#[test]
fn however_seldom_blocks_come_no_view_is_given_up_before_its_block_is_due() {
    // Over the end of an epoch, but for the last.
    for (seed, seconds, height) in [(70, 2, 20), (71, 10, 15), (72, Pace::LONGEST.as_secs(), 5)] {
        let pace = Pace { busy: Duration::from_secs(seconds), idle: Duration::from_secs(1) };
        let validators = Validators::new(NZU32!(4), BTreeMap::new()).with_pace(pace);
        with_stack(|| {
            let progress = Progress::until(height, Duration::ZERO).within(5 * pace.longest());
            let plan = PlanBuilder::new(validators).seed(seed).link(good()).exit_condition(progress);
            let plan = plan.timeout(Duration::from_secs(600)).property(NothingLost).property(Check("views", given_up));
            plan.build().run().unwrap_or_else(|why| panic!("a block in {seconds} s: {why}"))
        });
    }
}

//! The change of epochs, in which the validators share the network key anew.

use super::network::{State, Validators, simulate_these};
use crate::{
    block::{Payload, SealedBlock},
    committee::EpochInfo,
};
use commonware_codec::Encode as _;
use commonware_consensus::types::Epoch;
use commonware_cryptography::ed25519::PublicKey;
use commonware_glue::{
    dkg::{ReshareBlock as _, types::EpochOutcome},
    simulate::{action::Crash, property::Property, tracker::ProgressTracker},
};
use commonware_utils::NZU32;
use std::{collections::BTreeMap, pin::Pin, time::Duration};

const LENGTH: u64 = 12;

fn four() -> Validators {
    Validators::new(NZU32!(4), BTreeMap::new()).with_epochs(LENGTH)
}

/// That the key was shared anew by the end of an epoch, that it is the same key, and that everybody has a new share.
#[derive(Clone)]
struct SharedAnew {
    epoch: u64,
    /// Validators whose share all may have seen, since they were not there when it was dealt.
    revealed: usize,
}

/// What a block says of the epoch after it.
fn said(state: &State, number: u64) -> Result<EpochInfo, String> {
    let committed = state.ledger().block(number).map_err(|error| error.to_string())?;
    let block = SealedBlock::new(committed.ok_or("a block is missing")?.block).map_err(|error| error.to_string())?;
    match block.payload() {
        Some(Payload::EpochInfo(info)) => Ok(info),
        _ => Err(format!("block {number} does not say who agrees on those after it")),
    }
}

impl SharedAnew {
    fn check(&self, states: &[&State]) -> Result<(), String> {
        let next = Epoch::new(self.epoch + 1);
        for state in states {
            let (info, before) = (said(state, LENGTH * next.get() - 1)?, said(state, 0)?);
            if info.outcome != EpochOutcome::Success || info.epoch != next {
                return Err(format!("epoch {} came to {:?}", self.epoch, info.outcome));
            }
            if info.output.public().public() != before.output.public().public() {
                return Err("the network key is another".into());
            }
            if info.output.revealed().len() > self.revealed {
                return Err(format!("{} shares were revealed", info.output.revealed().len()));
            }
            let shares = state.secrets.shares().into_values().map(|share| share.encode()).collect::<Vec<_>>();
            if shares.len() < 2 || shares.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err("a validator has no new share".into());
            }
        }
        Ok(())
    }
}

impl Property<PublicKey, State> for SharedAnew {
    fn name(&self) -> &str {
        "shared anew"
    }

    fn check<'a>(
        &'a self,
        _: &'a ProgressTracker<PublicKey>,
        states: &'a [&'a State],
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(std::future::ready(self.check(states)))
    }
}

/// That too few could deal in the first epoch.
#[derive(Clone)]
struct NotShared;

impl Property<PublicKey, State> for NotShared {
    fn name(&self) -> &str {
        "not shared"
    }

    fn check<'a>(
        &'a self,
        _: &'a ProgressTracker<PublicKey>,
        states: &'a [&'a State],
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        let failed = |state: &&State| said(state, 7).is_ok_and(|info| info.outcome == EpochOutcome::Failure);
        let outcome = if states.iter().all(failed) { Ok(()) } else { Err("enough have dealt".into()) };
        Box::pin(std::future::ready(outcome))
    }
}

#[test]
fn the_key_is_shared_anew_in_every_epoch_and_stays_the_same() {
    simulate_these(four(), 30, 3 * LENGTH + 2, |plan, _| {
        plan.property(SharedAnew { epoch: 1, revealed: 0 }).property(SharedAnew { epoch: 2, revealed: 0 })
    });
}

/// Crashes a validator at a height.
fn crash(participant: &PublicKey, height: u64) -> Crash<PublicKey> {
    let downtime = Duration::from_millis(700);
    Crash::ProcessedHeight { participant: participant.clone(), heights: height..=height + 1, downtime }
}

#[test]
fn a_validator_that_crashes_at_the_change_of_an_epoch_goes_on_in_the_next() {
    for (seed, height) in (31..).zip(LENGTH - 3..LENGTH + 1) {
        simulate_these(four(), seed, 2 * LENGTH + 2, |plan, keys| {
            plan.crash(crash(&keys[1], height)).property(SharedAnew { epoch: 1, revealed: 1 })
        });
    }
}

#[test]
fn all_validators_crash_at_the_change_of_an_epoch_and_go_on_in_the_next() {
    for (seed, height) in (41..).zip(LENGTH - 3..LENGTH) {
        simulate_these(four(), seed, 2 * LENGTH + 2, |plan, keys| {
            let plan = keys.iter().fold(plan, |plan, key| plan.crash(crash(key, height)));
            plan.property(SharedAnew { epoch: 1, revealed: 1 })
        });
    }
}

#[test]
fn a_validator_without_a_share_gets_one_in_the_next_epoch() {
    simulate_these(four().without_share(2), 51, 2 * LENGTH + 2, |plan, _| {
        plan.property(SharedAnew { epoch: 1, revealed: 0 })
    });
}

#[test]
fn the_key_stays_shared_as_it_was_where_too_few_could_deal() {
    // Of the four blocks in which it is said what was dealt, the last is for the outcome: three say it, want five.
    let validators = Validators::new(NZU32!(7), BTreeMap::new()).with_epochs(8);
    simulate_these(validators, 52, 12, |plan, _| plan.property(NotShared));
}

//! The change of epochs, in which the validators share the network key anew.

use super::{
    checks::Check,
    network::{State, Validators, beneficiary},
    simulation::{Plan, simulate_these},
};
use crate::{
    Compared,
    block::{Payload, SealedBlock},
    committee::EpochInfo,
    pace::Pace,
};
use commonware_codec::Encode as _;
use commonware_consensus::types::Epoch;
use commonware_cryptography::ed25519::PublicKey;
use commonware_glue::{
    dkg::{ReshareBlock as _, types::EpochOutcome},
    simulate::action::Crash,
};
use commonware_utils::NZU32;
use std::{collections::BTreeMap, ops::Range, time::Duration};

const LENGTH: u64 = 12;

fn four() -> Validators {
    Validators::new(NZU32!(4), BTreeMap::new()).with_epochs(LENGTH)
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

/// That the key was shared anew by the end of an epoch, that it is the same key, and that everybody has a new share; all may have
/// seen those of `revealed` validators, who were not there when they were dealt.
fn shared_anew(epoch: u64, revealed: usize) -> Check<impl Fn(&[&State]) -> Result<(), String> + Clone> {
    Check("shared anew", move |states: &[&State]| check_shared(states, epoch, revealed))
}

fn check_shared(states: &[&State], epoch: u64, revealed: usize) -> Result<(), String> {
    let next = Epoch::new(epoch + 1);
    for state in states {
        let (info, before) = (said(state, LENGTH * next.get() - 1)?, said(state, 0)?);
        if info.outcome != EpochOutcome::Success || info.epoch != next {
            return Err(format!("epoch {} came to {:?}", epoch, info.outcome));
        }
        if info.output.public().public() != before.output.public().public() {
            return Err("the network key is another".into());
        }
        if info.output.revealed().len() > revealed {
            return Err(format!("{} shares were revealed", info.output.revealed().len()));
        }
        let shares = state.secrets.shares().into_values().map(|share| share.encode()).collect::<Vec<_>>();
        if shares.len() < 2 || shares.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("a validator has no new share".into());
        }
    }
    Ok(())
}

/// That too few could deal in the first epoch.
fn not_shared(states: &[&State]) -> Result<(), String> {
    let failed = |state: &&State| said(state, 7).is_ok_and(|info| info.outcome == EpochOutcome::Failure);
    if states.iter().all(failed) { Ok(()) } else { Err("enough have dealt".into()) }
}

#[test]
fn the_key_is_shared_anew_in_every_epoch_and_stays_the_same() {
    simulate_these(four(), 30, 3 * LENGTH + 2, |plan, _| plan.property(shared_anew(1, 0)).property(shared_anew(2, 0)));
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
            plan.crash(crash(&keys[1], height)).property(shared_anew(1, 1))
        });
    }
}

#[test]
fn all_validators_crash_at_the_change_of_an_epoch_and_go_on_in_the_next() {
    for (seed, height) in (41..).zip(LENGTH - 3..LENGTH) {
        simulate_these(four(), seed, 2 * LENGTH + 2, |plan, keys| {
            let plan = keys.iter().fold(plan, |plan, key| plan.crash(crash(key, height)));
            plan.property(shared_anew(1, 1))
        });
    }
}

#[test]
fn a_validator_without_a_share_gets_one_in_the_next_epoch() {
    simulate_these(four().without_share(2), 51, 2 * LENGTH + 2, |plan, _| plan.property(shared_anew(1, 0)));
}

/// Such that an epoch takes longer than clocks and blocks may be apart.
fn slow() -> Validators {
    let second = Duration::from_secs(1);
    four().with_pace(Pace { busy: second, idle: second })
}

/// That a validator led none of some blocks, and some of others.
fn abstained(
    index: usize,
    from: Range<u64>,
    but_not_from: Range<u64>,
) -> Check<impl Fn(&[&State]) -> Result<(), String> + Clone> {
    Check("abstained", move |states: &[&State]| {
        let led = |state: &State, numbers: Range<u64>| {
            let blocks = numbers.filter_map(|number| state.ledger().block(number).ok().flatten());
            blocks.filter(|committed| committed.block.header().beneficiary == beneficiary(index)).count()
        };
        for state in states {
            match (led(state, from.clone()), led(state, but_not_from.clone())) {
                (0, 1..) => {}
                other => return Err(format!("it led (when it may not, when it may) {other:?} blocks")),
            }
        }
        Ok(())
    })
}

#[test]
fn a_validator_whose_votes_are_gone_votes_again_in_the_next_epoch() {
    let votes_again = |plan: Plan| plan.property(abstained(2, 1..LENGTH, LENGTH..2 * LENGTH));
    simulate_these(slow().without_votes(2), 53, 2 * LENGTH + 2, |plan, _| votes_again(plan));
    // And that had no share in the first: it was there before the next began.
    simulate_these(slow().without_share(2).without_votes(2), 54, 2 * LENGTH + 2, |plan, _| votes_again(plan));
}

#[test]
fn a_validator_whose_votes_are_gone_and_whose_clock_is_behind_waits_until_it_is_right() {
    // Until the second epoch has begun.
    let behind = Compared { newest: 15, clock: 0, by_enough: true };
    simulate_these(slow().without_votes(2).with_clocks(behind), 57, 4 * LENGTH + 2, |plan, _| {
        plan.property(abstained(2, 1..2 * LENGTH, 2 * LENGTH..4 * LENGTH))
    });
}

#[test]
fn a_validator_that_loses_its_votes_abstains_in_the_epoch_that_it_comes_back_in_and_not_in_one_long_over() {
    let lost = 2 * LENGTH + 2;
    simulate_these(slow().losing_storage(2), 55, 5 * LENGTH + 2, |plan, keys| {
        // What it has proposed before that may still become final.
        let silent = abstained(2, lost + 4..3 * LENGTH, 4 * LENGTH..5 * LENGTH);
        plan.crash(crash(&keys[2], lost)).property(silent).property(abstained(2, 0..1, 1..lost))
    });
}

#[test]
fn a_validator_that_started_without_its_secrets_abstains_in_that_epoch_when_it_has_them_back() {
    let lost = 2 * LENGTH + 2;
    simulate_these(slow().misplacing_secrets(2), 56, 5 * LENGTH + 2, |plan, keys| {
        let silent = abstained(2, lost + 4..3 * LENGTH, 4 * LENGTH..5 * LENGTH);
        let plan = plan.crash(crash(&keys[2], lost)).crash(crash(&keys[2], lost + 3));
        plan.property(silent).property(abstained(2, 0..1, 1..lost))
    });
}

#[test]
fn the_key_stays_shared_as_it_was_where_too_few_could_deal() {
    // Of the four blocks in which it is said what was dealt, the last is for the outcome: three say it, want five.
    let validators = Validators::new(NZU32!(7), BTreeMap::new()).with_epochs(8);
    simulate_these(validators, 52, 12, |plan, _| plan.property(Check("not shared", not_shared)));
}

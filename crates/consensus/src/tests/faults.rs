//! Faults of machines, of the network between them, and of validators that break the rules. Every run checks what must be true
//! in the end (see `checks`).

use super::{
    checks::{Check, agreed, all_propose, never_final, noticed},
    disorder::Disorder,
    forgeries::{self, FORGER, Forgery},
    malice::TOLERATED_SKEW,
    network::{State, Validators, good},
    simulation::{simulate, simulate_these},
};
use crate::application::Malice;
use commonware_cryptography::ed25519::PublicKey;
use commonware_glue::simulate::action::{Action, Crash, Schedule};
use commonware_p2p::simulated::Link;
use commonware_runtime::deterministic::{FaultConfig, PartialWriteMode, WriteConfig};
use commonware_utils::{NZU32, probability};
use std::{collections::BTreeMap, time::Duration};

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A link that lets nothing through.
fn cut() -> Link {
    Link { latency: ms(1), jitter: ms(0), success_rate: probability!(0.0) }
}

/// Cuts links at a time: those from one validator to another of which `is_cut` says so.
pub(super) fn partition(
    mut schedule: Schedule<PublicKey>,
    at: Duration,
    keys: &[PublicKey],
    is_cut: impl Fn(usize, usize) -> bool,
) -> Schedule<PublicKey> {
    for (one, from) in keys.iter().enumerate() {
        for (other, to) in keys.iter().enumerate() {
            if one != other && is_cut(one, other) {
                schedule = schedule.at(at, Action::UpdateLink { from: from.clone(), to: to.clone(), link: cut() });
            }
        }
    }
    schedule
}

/// Disks that fail so often, leaving parts of what was written.
pub(super) fn failing(mode: PartialWriteMode) -> FaultConfig {
    let write = WriteConfig { failure_rate: probability!(0.3), retention_rate: probability!(0.5), mode };
    FaultConfig::default().write(write).sync(probability!(0.3))
}

#[test]
fn four_validators_agree_and_a_seed_replays_them_exactly() {
    let run = |seed| simulate(NZU32!(4), seed, 10, [], |plan, _| plan).state;
    let once = run(1);
    assert_eq!(once, run(1));
    assert_ne!(once, run(2));
}

#[test]
fn validators_that_crash_again_and_again_come_back() {
    simulate(NZU32!(4), 2, 20, [], |plan, keys| {
        let mut schedule = Schedule::new();
        for (at, index) in (300..).step_by(700).zip([2, 0, 3, 0, 1]) {
            let key = &keys[index];
            schedule = schedule.at(ms(at), Action::Crash(key.clone())).at(ms(at + 400), Action::Restart(key.clone()));
        }
        plan.crash(Crash::Schedule(schedule))
    });
}

/// So many validators are down for a while.
fn down(count: usize, keys: &[PublicKey], from: Duration, to: Duration) -> Crash<PublicKey> {
    let crash = |schedule: Schedule<_>, key: &PublicKey| schedule.at(from, Action::Crash(key.clone()));
    let restart = |schedule: Schedule<_>, key: &PublicKey| schedule.at(to, Action::Restart(key.clone()));
    let keys = &keys[..count];
    Crash::Schedule(keys.iter().fold(keys.iter().fold(Schedule::new(), crash), restart))
}

#[test]
fn seven_validators_go_on_while_two_are_down() {
    simulate(NZU32!(7), 3, 12, [], |plan, keys| {
        plan.crash(down(2, keys, ms(300), ms(4000))).property(agreed(ms(1000), ms(3900), true))
    });
}

#[test]
fn four_validators_stop_while_two_are_down_and_go_on_when_they_are_back() {
    simulate(NZU32!(4), 21, 10, [], |plan, keys| {
        plan.crash(down(2, keys, ms(300), ms(2000))).property(agreed(ms(500), ms(1900), false))
    });
}

#[test]
fn all_validators_crash_at_once_and_go_on_from_their_disks() {
    simulate(NZU32!(4), 4, 15, [], |plan, keys| plan.crash(down(4, keys, ms(900), ms(1500))));
}

/// Cuts four validators' links for a while, in which they go on or not.
fn cut_for_a_while(seed: u64, goes_on: bool, is_cut: impl Fn(usize, usize) -> bool + Send) {
    simulate(NZU32!(4), seed, 20, [], |plan, keys| {
        let schedule = partition(Schedule::new(), ms(400), keys, is_cut).at(ms(4000), Action::Heal(good()));
        plan.crash(Crash::Schedule(schedule)).property(agreed(ms(1000), ms(3900), goes_on))
    });
}

#[test]
fn a_network_cut_in_two_halves_stops_and_goes_on_when_healed() {
    cut_for_a_while(5, false, |from, to| (from < 2) != (to < 2));
}

#[test]
fn the_larger_part_of_a_cut_network_goes_on_and_the_other_catches_up() {
    cut_for_a_while(6, true, |from, to| from == 0 || to == 0);
}

#[test]
fn a_validator_that_hears_nobody_catches_up() {
    cut_for_a_while(22, true, |_, to| to == 0);
}

#[test]
fn a_validator_that_nobody_hears_goes_on_when_it_is_heard() {
    cut_for_a_while(23, true, |from, _| from == 0);
}

#[test]
fn four_validators_each_of_whom_hears_one_other_stop_and_go_on_when_they_hear_all() {
    cut_for_a_while(24, false, |from, to| (from + 1) % 4 != to);
}

#[test]
fn a_network_cut_in_three_parts_stops_and_goes_on_when_healed() {
    simulate(NZU32!(7), 25, 10, [], |plan, keys| {
        let schedule = partition(Schedule::new(), ms(400), keys, |from, to| from % 3 != to % 3);
        let schedule = schedule.at(ms(2500), Action::Heal(good()));
        plan.crash(Crash::Schedule(schedule)).property(agreed(ms(1000), ms(2400), false))
    });
}

#[test]
fn a_network_that_is_cut_and_healed_again_and_again_goes_on() {
    simulate(NZU32!(4), 26, 15, [], |plan, keys| {
        let mut schedule = Schedule::new();
        for (at, alone) in (300..).step_by(700).zip([[0, 1], [1, 1], [2, 3], [0, 3]]) {
            let apart = |from: usize, to: usize| alone.contains(&from) != alone.contains(&to);
            schedule = partition(schedule, ms(at), keys, apart).at(ms(at + 500), Action::Heal(good()));
        }
        plan.crash(Crash::Schedule(schedule))
    });
}

#[test]
fn a_lossy_slow_network_only_slows() {
    let link = Link { latency: ms(40), jitter: ms(30), success_rate: probability!(0.9) };
    simulate(NZU32!(4), 7, 15, [], |plan, _| plan.link(link));
}

/// Simulates four validators whose messages come in disorder.
fn in_disorder(seed: u64, disorder: Disorder) {
    let validators = Validators::new(NZU32!(4), BTreeMap::new()).with_disorder(disorder);
    simulate_these(validators, seed, 15, |plan, _| plan);
}

#[test]
fn messages_that_come_twice_change_nothing() {
    in_disorder(27, Disorder { repeated: 0.5, longest: 300, ..Disorder::default() });
}

#[test]
fn messages_that_overtake_each_other_only_slow() {
    in_disorder(28, Disorder { held: 0.3, longest: 300, ..Disorder::default() });
}

/// A validator forges its blocks in each of these ways, from this seed on: none becomes final, somebody says why, and the chain goes
/// on.
fn refused(first: u64, height: u64, forgeries: impl IntoIterator<Item = Forgery>) {
    for (seed, (forge, why)) in (first..).zip(forgeries) {
        let malice = Malice { forge: Some(forge), ..Malice::default() };
        let forger = (usize::from(FORGER), malice);
        simulate(NZU32!(4), seed, height, [forger], |plan, _| plan.property(never_final(FORGER, why)));
    }
}

#[test]
fn blocks_with_forged_headers_are_never_agreed_on() {
    refused(8, 6, forgeries::HEADERS);
}

#[test]
fn blocks_with_transactions_that_break_the_rules_are_never_agreed_on() {
    refused(30, 6, forgeries::TRANSACTIONS);
}

#[test]
fn blocks_of_a_time_that_no_clock_explains_are_never_agreed_on() {
    // Long enough for a parent's time to be after the first second.
    refused(35, 40, forgeries::TIMES);
}

#[test]
fn blocks_with_a_forged_seal_are_never_agreed_on() {
    refused(40, 8, forgeries::SEALS);
}

#[test]
fn votes_for_two_blocks_at_once_do_not_fork_the_chain() {
    let malice = Malice { conflicting_votes: true, ..Malice::default() };
    simulate(NZU32!(4), 14, 8, [(2, malice)], |plan, _| plan.property(noticed(2)));
}

#[test]
fn a_leader_that_proposes_two_blocks_does_not_fork_the_chain() {
    for (seed, count) in [(15, NZU32!(4)), (16, NZU32!(4)), (17, NZU32!(7))] {
        let malice = Malice { twins: true, ..Malice::default() };
        // They cannot share a key anew: each deals, and neither knows what the other has dealt.
        let validators = Validators::new(count, BTreeMap::from([(1, malice)])).with_epochs(1000);
        // Of seven each may hear only one of the two.
        simulate_these(
            validators,
            seed,
            10,
            |plan, _| if count == NZU32!(4) { plan.property(noticed(1)) } else { plan },
        );
    }
}

/// That a validator has noticed that somebody else signs with its key.
fn notices_itself(states: &[&State]) -> Result<(), String> {
    let notices = states.iter().any(|state| state.notices_itself());
    if notices { Ok(()) } else { Err("it has not noticed the other".into()) }
}

#[test]
fn a_validator_whose_key_runs_elsewhere_as_well_notices_it() {
    let malice = Malice { twins: true, overhears: true, ..Malice::default() };
    let validators = Validators::new(NZU32!(4), BTreeMap::from([(1, malice)])).with_epochs(1000);
    simulate_these(validators, 60, 20, |plan, _| plan.property(Check("notices itself", notices_itself)));
}

#[test]
fn a_leader_that_gives_nobody_its_blocks_is_passed_over() {
    let malice = Malice { withholds: true, ..Malice::default() };
    simulate(NZU32!(4), 18, 8, [(3, malice)], |plan, _| plan);
}

#[test]
fn a_validator_that_floods_the_others_does_not_stop_them() {
    let malice = Malice { floods: true, ..Malice::default() };
    simulate(NZU32!(4), 19, 10, [(0, malice)], |plan, _| plan);
}

#[test]
fn disks_that_fail_in_the_middle_of_a_write_lose_nothing() {
    for (seed, mode) in (20..).step_by(30).zip([PartialWriteMode::Prefix, PartialWriteMode::Subset]) {
        simulate(NZU32!(4), seed, 15, [], |plan, keys| {
            // Whoever cannot write stops; all are started again when the disks are well.
            let mut schedule = Schedule::new().at(ms(900), Action::SetStorageFault(failing(mode)));
            for key in keys {
                schedule = schedule.at(ms(1200), Action::Crash(key.clone()));
            }
            schedule = schedule.at(ms(1250), Action::SetStorageFault(FaultConfig::default()));
            for key in keys {
                schedule = schedule.at(ms(1500), Action::Restart(key.clone()));
            }
            plan.crash(Crash::Schedule(schedule))
        });
    }
}

/// Validators with these clocks, in milliseconds ahead of the simulation's.
fn with_clocks<const N: usize>(clocks: [(usize, i64); N]) -> [(usize, Malice); N] {
    clocks.map(|(index, skew)| (index, Malice { skew, ..Malice::default() }))
}

#[test]
fn a_clock_that_is_ahead_does_not_take_the_chain_with_it() {
    simulate(NZU32!(4), 13, 10, with_clocks([(1, 1_000_000)]), |plan, _| plan);
}

#[test]
fn a_validator_whose_clock_is_behind_follows_and_holds_up_nobody() {
    simulate(NZU32!(4), 53, 10, with_clocks([(2, -1_000_000)]), |plan, _| plan);
}

#[test]
fn a_clock_that_is_ahead_and_one_that_is_behind_stop_no_seven_validators() {
    simulate(NZU32!(7), 54, 10, with_clocks([(1, 1_000_000), (4, -1_000_000)]), |plan, _| plan);
}

#[test]
fn clocks_that_differ_by_less_than_two_seconds_keep_nobody_from_proposing() {
    let clocks = with_clocks([(0, TOLERATED_SKEW), (1, -TOLERATED_SKEW), (2, TOLERATED_SKEW), (3, -TOLERATED_SKEW)]);
    simulate(NZU32!(4), 55, 20, clocks, |plan, _| plan.property(Check("all propose", all_propose)));
}

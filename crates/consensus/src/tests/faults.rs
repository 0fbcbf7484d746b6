//! Faults of machines, of the network between them, and of validators that break the rules. Every run checks what must be true
//! in the end (see `network`).

use super::network::{Validators, good, simulate, simulate_these};
use crate::application::Malice;
use alloy_primitives::B256;
use commonware_cryptography::ed25519::PublicKey;
use commonware_glue::simulate::{
    action::{Action, Crash, Schedule},
    plan::PlanBuilder,
};
use commonware_p2p::simulated::Link;
use commonware_runtime::deterministic::{FaultConfig, PartialWriteMode, WriteConfig};
use commonware_utils::{NZU32, probability};
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use std::{env, num::NonZeroU32, time::Duration};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A link that lets nothing through.
fn cut() -> Link {
    Link { latency: ms(1), jitter: ms(0), success_rate: probability!(0.0) }
}

/// Cuts every link between two groups.
fn partition(
    mut schedule: Schedule<PublicKey>,
    at: Duration,
    one: &[PublicKey],
    other: &[PublicKey],
) -> Schedule<PublicKey> {
    for a in one {
        for b in other {
            for (from, to) in [(a, b), (b, a)] {
                schedule = schedule.at(at, Action::UpdateLink { from: from.clone(), to: to.clone(), link: cut() });
            }
        }
    }
    schedule
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
    let crashes = Crash::Random { frequency: ms(700), downtime: ms(400), count: 1 };
    simulate(NZU32!(4), 2, 25, [], |plan, _| plan.crash(crashes));
}

#[test]
fn seven_validators_go_on_while_two_are_down() {
    simulate(NZU32!(7), 3, 12, [], |plan, keys| {
        let down = |schedule: Schedule<_>, at| {
            schedule.at(at, Action::Crash(keys[0].clone())).at(at, Action::Crash(keys[1].clone()))
        };
        let up = |schedule: Schedule<_>, at| {
            schedule.at(at, Action::Restart(keys[0].clone())).at(at, Action::Restart(keys[1].clone()))
        };
        plan.crash(Crash::Schedule(up(down(Schedule::new(), ms(300)), ms(4000))))
    });
}

#[test]
fn all_validators_crash_at_once_and_go_on_from_their_disks() {
    simulate(NZU32!(4), 4, 15, [], |plan, keys| {
        let crash = |schedule: Schedule<_>, key: &PublicKey| schedule.at(ms(900), Action::Crash(key.clone()));
        let restart = |schedule: Schedule<_>, key: &PublicKey| schedule.at(ms(1500), Action::Restart(key.clone()));
        let schedule = keys.iter().fold(keys.iter().fold(Schedule::new(), crash), restart);
        plan.crash(Crash::Schedule(schedule))
    });
}

#[test]
fn a_network_cut_in_two_halves_stops_and_goes_on_when_healed() {
    simulate(NZU32!(4), 5, 30, [], |plan, keys| {
        let schedule = partition(Schedule::new(), ms(500), &keys[..2], &keys[2..]);
        plan.crash(Crash::Schedule(schedule.at(ms(5000), Action::Heal(good()))))
    });
}

#[test]
fn the_larger_part_of_a_cut_network_goes_on_and_the_other_catches_up() {
    simulate(NZU32!(4), 6, 30, [], |plan, keys| {
        let schedule = partition(Schedule::new(), ms(500), &keys[..1], &keys[1..]);
        plan.crash(Crash::Schedule(schedule.at(ms(6000), Action::Heal(good()))))
    });
}

#[test]
fn a_lossy_slow_network_that_reorders_only_slows() {
    let link = Link { latency: ms(40), jitter: ms(30), success_rate: probability!(0.9) };
    simulate(NZU32!(4), 7, 15, [], |plan, _| plan.link(link));
}

#[test]
fn blocks_with_forged_headers_are_never_agreed_on() {
    let forgeries: [fn(&mut alloy_consensus::Header); 5] = [
        |header| header.receipts_root = B256::repeat_byte(1),
        |header| header.state_root = B256::repeat_byte(2),
        |header| header.gas_used += 1,
        |header| header.mix_hash = B256::repeat_byte(3),
        |header| header.base_fee_per_gas = Some(0),
    ];
    for (seed, forge) in (8..).zip(forgeries) {
        let malice = Malice { forge: Some(forge), ..Malice::default() };
        simulate(NZU32!(4), seed, 8, [(0, malice)], |plan, _| plan);
    }
}

#[test]
fn votes_for_two_blocks_at_once_do_not_fork_the_chain() {
    let malice = Malice { conflicting_votes: true, ..Malice::default() };
    simulate(NZU32!(4), 14, 8, [(2, malice)], |plan, _| plan);
}

#[test]
fn a_leader_that_proposes_two_blocks_does_not_fork_the_chain() {
    for (seed, count) in [(15, NZU32!(4)), (16, NZU32!(4)), (17, NZU32!(7))] {
        let malice = Malice { twins: true, ..Malice::default() };
        simulate(count, seed, 10, [(1, malice)], |plan, _| plan);
    }
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
    for (seed, mode) in (20..).zip([PartialWriteMode::Prefix, PartialWriteMode::Subset]) {
        let some = |rate| WriteConfig { failure_rate: rate, retention_rate: probability!(0.5), mode };
        simulate(NZU32!(4), seed, 15, [], |plan, keys| {
            let fails = FaultConfig::default().write(some(probability!(0.3))).sync(probability!(0.3));
            // Whoever cannot write stops; all are started again when the disks are well.
            let mut schedule = Schedule::new().at(ms(900), Action::SetStorageFault(fails));
            for key in keys {
                schedule = schedule.at(ms(1200), Action::Crash(key.clone()));
            }
            schedule = schedule.at(ms(1250), Action::SetStorageFault(FaultConfig::default()));
            for key in keys {
                schedule = schedule.at(ms(1500), Action::Restart(key.clone()));
            }
            plan.with_storage_fault(FaultConfig::default()).crash(Crash::Schedule(schedule))
        });
    }
}

#[test]
fn a_clock_that_is_ahead_does_not_take_the_chain_with_it() {
    let malice = Malice { ahead: Duration::from_secs(1000), ..Malice::default() };
    simulate(NZU32!(4), 13, 10, [(1, malice)], |plan, _| plan);
}

/// Faults drawn from a seed: how many validators, how good the network, who crashes when, which part is cut off.
fn drawn(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let count = [4, 4, 4, 7, 10][random.random_range(0..5)];
    let link = Link {
        latency: ms(random.random_range(2..60)),
        jitter: ms(random.random_range(0..30)),
        success_rate: if random.random_bool(0.5) { probability!(1.0) } else { probability!(0.95) },
    };
    let malicious = random.random_bool(0.2);
    // One of four may fail at a time: nobody crashes while another is down, or beside one that breaks the rules.
    let crashes = (!malicious && random.random_bool(0.6)).then(|| {
        let frequency = random.random_range(400..1500);
        Crash::Random { frequency: ms(frequency), downtime: ms(random.random_range(50..frequency - 200)), count: 1 }
    });
    let cut_off = random.random_bool(0.5).then(|| {
        let at = random.random_range(50..600);
        (at, at + random.random_range(500..3000), random.random_range(1..count))
    });
    let malice = malicious.then(|| {
        let forge: fn(&mut alloy_consensus::Header) = |header| header.receipts_root = B256::repeat_byte(1);
        (0, Malice { forge: Some(forge), ..Malice::default() })
    });
    // Long enough for no change, or one or two of them.
    let epoch = random.random_range(5..16);
    let plan = |mut plan: PlanBuilder<_>, keys: &[PublicKey]| {
        plan = plan.link(link.clone());
        if let Some(crashes) = crashes {
            plan = plan.crash(crashes);
        }
        if let Some((from, to, size)) = cut_off {
            let mut keys = keys.to_vec();
            keys.shuffle(&mut random);
            let schedule = partition(Schedule::new(), ms(from), &keys[..size as usize], &keys[size as usize..]);
            plan = plan.crash(Crash::Schedule(schedule.at(ms(to), Action::Heal(link))));
        }
        plan
    };
    let validators = Validators::new(NonZeroU32::new(count).expect("four or more"), malice.into_iter().collect());
    simulate_these(validators.with_epochs(epoch), seed, 12, plan);
}

/// Runs a seed, and names it if it fails.
fn named(seed: u64) {
    let outcome = std::panic::catch_unwind(|| drawn(seed));
    assert!(outcome.is_ok(), "seed {seed} failed");
}

/// Ten seeds a test, so that tests run beside each other.
fn ten(first: u64) {
    for seed in first..first + 10 {
        named(seed);
    }
}

#[test]
fn drawn_faults_break_nothing_00() {
    ten(0);
}

#[test]
fn drawn_faults_break_nothing_10() {
    ten(10);
}

#[test]
fn drawn_faults_break_nothing_20() {
    ten(20);
}

#[test]
fn drawn_faults_break_nothing_30() {
    ten(30);
}

#[test]
fn drawn_faults_break_nothing_40() {
    ten(40);
}

#[test]
#[ignore = "takes hours: `cargo xtask soak` runs it"]
fn soak() {
    let seeds = env::var("STOA_SEEDS").expect("STOA_SEEDS says which seeds: first..last");
    let (first, last) = seeds.split_once("..").expect("STOA_SEEDS is first..last");
    let seeds: std::ops::Range<u64> = first.parse().expect("a number")..last.parse().expect("a number");
    // Not on the threads of rayon's pool, which validators use.
    let seeds = Mutex::new(seeds);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = { seeds.lock().next() } {
                    named(seed);
                }
            });
        }
    });
}

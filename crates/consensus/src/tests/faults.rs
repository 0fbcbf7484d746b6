//! Faults of machines and of the network between them. Every run checks what must be true in the end (see `network`).

use super::network::{good, simulate};
use commonware_cryptography::ed25519::PublicKey;
use commonware_glue::simulate::action::{Action, Crash, Schedule};
use commonware_p2p::simulated::Link;
use commonware_utils::{NZU32, probability};
use std::time::Duration;

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
fn four_validators_agree() {
    let once = simulate(NZU32!(4), 1, 10, |plan, _| plan).state;
    assert_eq!(once, simulate(NZU32!(4), 1, 10, |plan, _| plan).state, "the same seed gives another run");
}

#[test]
fn validators_that_crash_again_and_again_come_back() {
    let crashes = Crash::Random { frequency: ms(700), downtime: ms(400), count: 1 };
    simulate(NZU32!(4), 2, 25, |plan, _| plan.crash(crashes));
}

#[test]
fn a_network_cut_in_two_halves_stops_and_goes_on_when_healed() {
    simulate(NZU32!(4), 3, 30, |plan, keys| {
        let schedule = partition(Schedule::new(), ms(500), &keys[..2], &keys[2..]);
        plan.crash(Crash::Schedule(schedule.at(ms(5000), Action::Heal(good()))))
    });
}

#[test]
fn a_lossy_slow_network_only_slows() {
    let link = Link { latency: ms(40), jitter: ms(30), success_rate: probability!(0.9) };
    simulate(NZU32!(4), 4, 15, |plan, _| plan.link(link));
}

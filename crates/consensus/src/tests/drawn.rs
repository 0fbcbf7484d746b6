//! Faults drawn from seeds: what a seed draws, and a simulation of it.

use super::{
    disorder::Disorder,
    faults::{failing, ms, partition},
    forgeries,
    malice::TOLERATED_SKEW,
    network::Validators,
    simulation::simulate_these,
};
use crate::application::Malice;
use commonware_cryptography::ed25519::PublicKey;
use commonware_glue::simulate::{
    action::{Action, Crash, Schedule},
    plan::PlanResult,
};
use commonware_p2p::simulated::Link;
use commonware_runtime::deterministic::{FaultConfig, PartialWriteMode};
use commonware_utils::probability;
use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use std::{collections::BTreeMap, env, num::NonZeroU32, ops::Range};

/// What is simulated of a seed.
struct Drawn {
    count: usize,
    epoch_length: u64,
    link: Link,
    disorder: Disorder,
    malice: BTreeMap<usize, Malice>,
    /// By time, in milliseconds.
    events: Vec<(u64, Event)>,
}

/// What happens at a time; validators by their place.
enum Event {
    /// Links are cut, from the first to the second.
    Cut(Vec<(usize, usize)>),
    /// All links are whole again.
    Heal,
    Crash(usize),
    Restart(usize),
    /// All disks fail from now on as this says.
    Disks(FaultConfig),
}

/// How a validator breaks the rules.
fn malice(random: &mut StdRng) -> Malice {
    let honest = Malice::default();
    match random.random_range(0..8) {
        0 => Malice { conflicting_votes: true, ..honest },
        1 => Malice { twins: true, ..honest },
        2 => Malice { withholds: true, ..honest },
        3 => Malice { floods: true, ..honest },
        4 => Malice { skew: 1_000_000, ..honest },
        5 => Malice { skew: -1_000_000, ..honest },
        _ => {
            let forgeries = forgeries::all().collect::<Vec<_>>();
            let (forge, _) = forgeries[random.random_range(0..forgeries.len())];
            Malice { forge: Some(forge), ..honest }
        }
    }
}

/// Links to cut: those between two or three groups in both directions or one, those of one validator, or some.
fn cut(random: &mut StdRng, count: usize) -> Vec<(usize, usize)> {
    let parts = random.random_range(2..4);
    let groups = (0..count).map(|_| random.random_range(0..parts)).collect::<Vec<u8>>();
    let alone = random.random_range(0..count);
    let shape = random.random_range(0..5);
    let mut links = Vec::new();
    for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))).filter(|(from, to)| from != to) {
        let is_cut = match shape {
            0 | 1 => groups[from] != groups[to],
            2 => groups[from] < groups[to],
            3 => from == alone || to == alone,
            _ => random.random_bool(0.4),
        };
        if is_cut {
            links.push((from, to));
        }
    }
    links
}

/// Once or twice, some links are cut for a while.
fn cuts(random: &mut StdRng, count: usize) -> Vec<(u64, Event)> {
    let (mut events, mut at) = (Vec::new(), random.random_range(50..500_u64));
    for _ in 0..random.random_range(1..3) {
        events.push((at, Event::Cut(cut(random, count))));
        at += random.random_range(200..1200_u64);
        events.push((at, Event::Heal));
        at += random.random_range(50..300_u64);
    }
    events
}

/// Once or twice, some of these crash and come back: as many as may fail beside those that break the rules, now and then more,
/// so that nothing goes on until they are back. And when it is all over.
fn crashes(random: &mut StdRng, all: &[usize], tolerated: usize) -> (Vec<(u64, Event)>, u64) {
    let (mut events, mut at) = (Vec::new(), random.random_range(50..500_u64));
    for _ in 0..random.random_range(1..3) {
        let too_many = tolerated == 0 || random.random_bool(0.2);
        let most = if too_many { all.len() } else { tolerated };
        let mut down = all.to_vec();
        down.shuffle(random);
        down.truncate(random.random_range(1..=most));
        let back = at + random.random_range(100..700_u64);
        for index in down {
            events.push((at + random.random_range(0..50_u64), Event::Crash(index)));
            events.push((back + random.random_range(0..100_u64), Event::Restart(index)));
        }
        at = back + random.random_range(200..500_u64);
    }
    (events, at)
}

/// All disks fail for a while, in which whoever cannot write stops; all start again when they are well.
fn disks(random: &mut StdRng, all: &[usize], at: u64) -> Vec<(u64, Event)> {
    let mode = if random.random_bool(0.5) { PartialWriteMode::Prefix } else { PartialWriteMode::Subset };
    let down = at + random.random_range(50..400_u64);
    let mut events = vec![(at, Event::Disks(failing(mode))), (down + 20, Event::Disks(FaultConfig::default()))];
    for index in all {
        events.push((down, Event::Crash(*index)));
        events.push((down + random.random_range(100..400_u64), Event::Restart(*index)));
    }
    events
}

fn draw(seed: u64) -> Drawn {
    let mut random = StdRng::seed_from_u64(seed);
    let random = &mut random;
    let count = [4, 4, 4, 7, 10][random.random_range(0..5)];
    let link = Link {
        latency: ms(random.random_range(2..60)),
        jitter: ms(random.random_range(0..30)),
        success_rate: if random.random_bool(0.5) { probability!(1.0) } else { probability!(0.95) },
    };
    let disorder = if random.random_bool(0.4) {
        Disorder { repeated: 0.1, held: 0.1, longest: random.random_range(20..300), ..Disorder::default() }
    } else {
        Disorder::default()
    };

    // Fewer than a third break the rules, and the clocks of the others are off by no more than is tolerated.
    let most = (count - 1) / 3;
    let wicked = if random.random_bool(0.4) { random.random_range(1..=most) } else { 0 };
    let skewed = random.random_bool(0.3);
    let mut order = (0..count).collect::<Vec<_>>();
    order.shuffle(random);
    let mut drawn = BTreeMap::new();
    for (place, index) in order.into_iter().enumerate() {
        if place < wicked {
            drawn.insert(index, malice(random));
        } else if skewed {
            let skew = random.random_range(-TOLERATED_SKEW..=TOLERATED_SKEW);
            drawn.insert(index, Malice { skew, ..Malice::default() });
        }
    }
    let follows = |index: &usize| drawn.get(index).is_none_or(Malice::follows);
    // The others start but once.
    let followers = (0..count).filter(follows).collect::<Vec<_>>();

    let mut events = if random.random_bool(0.5) { cuts(random, count) } else { Vec::new() };
    let mut at = random.random_range(100..1000_u64);
    if random.random_bool(0.55) {
        let (more, over) = crashes(random, &followers, most - wicked);
        events.extend(more);
        at = over;
    }
    if random.random_bool(0.12) {
        events.extend(disks(random, &followers, at));
    }
    events.sort_by_key(|(at, _)| *at);

    // Two with one key cannot share the network key anew; else long enough for no change, or some.
    let twins = drawn.values().any(|malice| malice.twins);
    let epoch_length = if twins { 1000 } else { random.random_range(5..16) };
    Drawn { count, epoch_length, link, disorder, malice: drawn, events }
}

impl Drawn {
    /// Whether something of this kind happens.
    fn has(&self, kind: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(|(_, event)| kind(event))
    }

    fn schedule(&self, keys: &[PublicKey]) -> Schedule<PublicKey> {
        self.events.iter().fold(Schedule::new(), |schedule, (at, event)| match event {
            Event::Cut(links) => partition(schedule, ms(*at), keys, |from, to| links.contains(&(from, to))),
            Event::Heal => schedule.at(ms(*at), Action::Heal(self.link.clone())),
            Event::Crash(index) => schedule.at(ms(*at), Action::Crash(keys[*index].clone())),
            Event::Restart(index) => schedule.at(ms(*at), Action::Restart(keys[*index].clone())),
            Event::Disks(faults) => schedule.at(ms(*at), Action::SetStorageFault(faults.clone())),
        })
    }

    fn run(&self, seed: u64) -> PlanResult<Validators> {
        let count = u32::try_from(self.count).ok().and_then(NonZeroU32::new).expect("four or more");
        let validators = Validators::new(count, self.malice.clone());
        let validators = validators.with_epochs(self.epoch_length).with_disorder(self.disorder);
        simulate_these(validators, seed, 10, |plan, keys| {
            plan.link(self.link.clone()).crash(Crash::Schedule(self.schedule(keys)))
        })
    }
}

/// Runs a seed, and names it if it fails.
fn named(seed: u64) {
    let outcome = std::panic::catch_unwind(|| drop(draw(seed).run(seed)));
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

/// Runs the first seed of four validators that draws something twice.
fn replays(wanted: impl Fn(&Drawn) -> bool) {
    let mut drawn = (0..).map(|seed| (seed, draw(seed)));
    let (seed, drawn) = drawn.find(|(_, drawn)| drawn.count == 4 && wanted(drawn)).expect("there is no last");
    assert_eq!(drawn.run(seed).state, drawn.run(seed).state, "seed {seed}");
}

#[test]
fn a_seed_with_crashes_and_cut_links_replays_exactly() {
    let crashes = |drawn: &Drawn| drawn.has(|event| matches!(event, Event::Crash(_)));
    let cuts = |drawn: &Drawn| drawn.has(|event| matches!(event, Event::Cut(_)));
    replays(|drawn| crashes(drawn) && cuts(drawn) && !drawn.has(|event| matches!(event, Event::Disks(_))));
}

#[test]
fn a_seed_with_failing_disks_replays_exactly() {
    replays(|drawn| drawn.has(|event| matches!(event, Event::Disks(_))));
}

#[test]
#[ignore = "takes hours: `cargo xtask soak` runs it"]
fn soak() {
    let seeds = env::var("STOA_SEEDS").expect("STOA_SEEDS says which seeds: first..last");
    let (first, last) = seeds.split_once("..").expect("STOA_SEEDS is first..last");
    let seeds: Range<u64> = first.parse().expect("a number")..last.parse().expect("a number");
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

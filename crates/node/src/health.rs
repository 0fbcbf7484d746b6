//! What monitoring asks a node: `/health`, `/ready`, `/metrics`.

use crate::{connected, network_methods::About, silence, waiting::Executed};
use alloy_primitives::B256;
use axum::{
    Router,
    body::Bytes,
    http::{StatusCode, header::CONTENT_TYPE},
    routing::get,
};
use commonware_runtime::{
    Metrics,
    telemetry::metrics::{Counter, CounterFamily, Gauge, GaugeExt as _, Histogram, MetricsExt as _},
};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use stoa_base::Block;
use stoa_consensus::{Equivocations, Pace, follow::PeerStatus};
use stoa_ledger::Ledger;
use stoa_mempool::Pool;
use stoa_rpc::Traffic;
use tokio::sync::Mutex;

/// A node whose newest block is older than this is not ready: an idle network makes a block each second.
const STALE: Duration = Duration::from_secs(30);

/// Where blocks come more slowly, so many of them may be missing.
const MISSING: u32 = 20;

/// So many of the newest blocks show how slowly they come.
const NEWEST: u64 = 16;

/// A clock that is so far off is too far off: validators refuse to connect to one whose clock differs by more from theirs.
const SKEW: Duration = Duration::from_secs(5);

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(30);

/// For how long an answer that takes work is given again.
const FRESH: Duration = Duration::from_secs(1);

/// How [OpenMetrics](https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md) calls its text.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a node's health is read from.
pub(crate) struct Watched {
    pub(crate) ledger: Ledger,
    pub(crate) pool: Pool,
    pub(crate) executed: Executed,
    pub(crate) traffic: Traffic,
    pub(crate) about: Arc<About>,
    /// On the disk of which the node is.
    pub(crate) folder: PathBuf,
}

/// How long no block may come to a node before something is wrong.
pub(crate) fn patience(ledger: &Ledger, about: &About) -> Duration {
    // A validator knows how often they come; others see it.
    let seen = if about.validator.is_some() { Duration::ZERO } else { seen_apart(ledger) };
    bearable(about.block_time.max(seen))
}

/// How long no block may come where they come so often.
fn bearable(block_time: Duration) -> Duration {
    STALE.max(block_time * MISSING)
}

/// How far apart the newest blocks of a chain are.
fn seen_apart(ledger: &Ledger) -> Duration {
    let head = ledger.head().number();
    let time = |number| Some(ledger.header(number).ok()??.timestamp);
    let times = (head.saturating_sub(NEWEST).max(1)..=head).map(time).collect::<Option<Vec<_>>>();
    times.map_or(Duration::ZERO, |times| apart(&times))
}

/// How far apart blocks of these times came, if they are enough to tell: those that were the closest, for between others the
/// network may have stood still.
fn apart(times: &[u64]) -> Duration {
    let gaps = times.windows(2).map(|pair| Duration::from_secs(pair[1].saturating_sub(pair[0])));
    gaps.min().filter(|_| times.len() as u64 > NEWEST).unwrap_or_default().min(Pace::LONGEST)
}

/// An answer that takes work, and when it was made.
type Kept<T> = Arc<Mutex<Option<(Instant, T)>>>;

/// An answer that takes work: it is made on a thread that may block, once at a time, and given again for a while, so that whoever
/// asks again and again costs no more than who asks once. Nothing if it could not be made.
async fn answered<T: Clone + Send + 'static>(kept: Kept<T>, make: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let mut kept = kept.lock_owned().await;
    if let Some((_, answer)) = kept.as_ref().filter(|(made, _)| made.elapsed() < FRESH) {
        return Some(answer.clone());
    }
    // It goes with the work, which goes on when whoever asked has gone.
    let made = tokio::task::spawn_blocking(move || {
        let answer = make();
        *kept = Some((Instant::now(), answer.clone()));
        answer
    });
    made.await.ok()
}

/// Routes beside JSON-RPC.
///
/// - `/health`: 200 while the process answers.
/// - `/ready`: 200 while its newest block is fresh and not of this clock's future, and its key in use nowhere else; else 503.
/// - `/metrics`: everything that is counted, as Prometheus reads it.
///
/// The last two may be a second old.
pub(crate) fn routes(watched: Watched, metrics: impl Metrics + Send + Sync + 'static) -> Router {
    let watched = Arc::new(watched);
    let (own, metrics) = (Arc::new(Own::register(&watched, &metrics)), Arc::new(metrics));
    let (measured, kept) = (watched.clone(), Kept::<Bytes>::default());
    let metrics = move || {
        let (own, measured, metrics) = (own.clone(), measured.clone(), metrics.clone());
        let text = answered(kept.clone(), move || {
            own.update(&measured);
            Bytes::from(metrics.encode())
        });
        async move {
            let text = text.await.ok_or(StatusCode::INTERNAL_SERVER_ERROR);
            text.map(|text| ([(CONTENT_TYPE, OPEN_METRICS)], text))
        }
    };
    let kept = Kept::default();
    let ready = move || {
        let watched = watched.clone();
        let ready = answered(kept.clone(), move || watched.readiness(SystemTime::now()));
        async move { ready.await.ok_or(StatusCode::INTERNAL_SERVER_ERROR) }
    };
    Router::new().route("/health", get(|| async { "ok\n" })).route("/ready", get(ready)).route("/metrics", get(metrics))
}

impl Watched {
    /// The answer of `/ready`.
    fn readiness(&self, now: SystemTime) -> (StatusCode, String) {
        if self.about.key_elsewhere() {
            let said = "this validator's key is in use elsewhere as well: stop one of the two\n".to_owned();
            return (StatusCode::SERVICE_UNAVAILABLE, said);
        }
        let head = self.ledger.head();
        readiness(head.number(), head.header().timestamp, now, patience(&self.ledger, &self.about))
    }
}

/// The same where the newest block has this number and time, in seconds since 1970, and nothing else is wrong.
fn readiness(number: u64, timestamp: u64, now: SystemTime, patience: Duration) -> (StatusCode, String) {
    if let Some(behind) = behind(timestamp, now) {
        let said = format!("the clocks differ: this machine's is {behind} seconds behind block {number}\n");
        return (StatusCode::SERVICE_UNAVAILABLE, said);
    }
    let age = age(timestamp, now);
    let status = if age < patience { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("block {number} is {} seconds old\n", age.as_secs()))
}

/// Whether the newest block here is older than that of a network whose blocks come as they did.
pub(crate) fn is_old(ledger: &Ledger, now: SystemTime) -> bool {
    let age = age(ledger.head().header().timestamp, now);
    age >= STALE && age >= bearable(seen_apart(ledger))
}

/// How old a block of this time is.
fn age(timestamp: u64, now: SystemTime) -> Duration {
    now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(Duration::from_secs(timestamp))
}

/// By how many seconds a clock is behind a block of this time, if those are too many.
fn behind(timestamp: u64, now: SystemTime) -> Option<u64> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let behind = Duration::from_secs(timestamp).saturating_sub(now);
    (behind > SKEW).then_some(behind.as_secs())
}

/// Warns as long as the newest block is of this clock's future, ever more seldom.
pub(crate) async fn watch_clock(ledger: Ledger) {
    let (mut every, mut lasted) = (tokio::time::interval(LOOK), 0);
    loop {
        every.tick().await;
        let head = ledger.head();
        let Some(seconds) = behind(head.header().timestamp, SystemTime::now()) else {
            lasted = 0;
            continue;
        };
        lasted += 1;
        if silence::is_due(lasted) {
            let block = head.number();
            tracing::warn!(
                block,
                seconds,
                "this machine's clock is behind the newest block: validators refuse those whose clocks differ by more than 5 \
                 seconds (set it, by NTP)"
            );
        }
    }
}

/// What is read for an answer of `/metrics`.
struct Seen<'a> {
    watched: &'a Watched,
    head: Arc<Block>,
    waiting: stoa_mempool::Status,
    peers: Vec<PeerStatus>,
    now: SystemTime,
}

/// Reads a figure; nothing where the node has no such thing.
type Read = fn(&Seen<'_>) -> Option<u64>;

/// Figures that go up and down: their names, after `stoa_`, what they are, and where they come from.
const GAUGES: [(&str, &str, Read); 25] = [
    ("head_block", "Number of the newest final block", |seen| Some(seen.head.number())),
    ("certified_block", "Number of the newest block whose certificate is kept", |seen| {
        Some(*seen.watched.ledger.newest_certified().borrow())
    }),
    ("head_timestamp_seconds", "Time of the newest final block, in seconds since 1970", |seen| {
        Some(seen.head.header().timestamp)
    }),
    (
        "head_age_seconds",
        "Seconds since the newest final block was made, which become fewer while a node catches up",
        |seen| Some(age(seen.head.header().timestamp, seen.now).as_secs()),
    ),
    ("ready", "Whether the node is ready, as /ready says: 1 or 0", |seen| {
        Some(u64::from(seen.watched.readiness(seen.now).0 == StatusCode::OK))
    }),
    ("peers_expected", "The other validators; of a follower, the nodes that it was told to follow", |seen| {
        Some(seen.peers.len() as u64)
    }),
    ("peers_connected", "Those of them that the node is connected to, or asks at present", |seen| {
        Some(connected::count(&seen.peers) as u64)
    }),
    ("pending_transactions", "Waiting transactions that can run now", |seen| Some(seen.waiting.pending as u64)),
    ("queued_transactions", "Waiting transactions behind a gap or beyond a balance", |seen| {
        Some(seen.waiting.queued as u64)
    }),
    ("mempool_bytes", "Bytes of all waiting transactions", |seen| Some(seen.watched.pool.bytes() as u64)),
    ("mempool_max_transactions", "How many transactions may wait", |seen| {
        Some(seen.watched.pool.config().max_transactions as u64)
    }),
    ("mempool_max_bytes", "How many bytes all waiting transactions may have", |seen| {
        Some(seen.watched.pool.config().max_bytes as u64)
    }),
    ("history_bytes", "Bytes of blocks, receipts and indices on disk", |seen| Some(seen.watched.ledger.disk_space())),
    ("disk_free_bytes", "Bytes that are free on the disk of the node's folder", |seen| {
        let disk = rustix::fs::statvfs(&seen.watched.folder).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }),
    ("rpc_requests_in_flight", "Requests of JSON-RPC that are being answered", |seen| {
        Some(seen.watched.traffic.in_flight() as u64)
    }),
    ("rpc_connections", "Open connections of JSON-RPC, WebSockets among them", |seen| {
        Some(seen.watched.traffic.connections() as u64)
    }),
    ("rpc_websockets", "Open WebSockets", |seen| Some(seen.watched.traffic.websockets() as u64)),
    ("rpc_subscriptions", "Subscriptions of all WebSockets", |seen| Some(seen.watched.traffic.subscriptions() as u64)),
    ("followers", "Nodes that are connected to follow this one", |seen| {
        Some(seen.watched.about.served.as_ref()?.followers() as u64)
    }),
    ("consensus_votes", "Whether this validator votes in its epoch: 1 or 0", |seen| {
        Some(u64::from(seen.watched.about.validator.as_ref()?.votes()))
    }),
    ("consensus_epoch", "Newest epoch that a vote was heard of", |seen| {
        Some(seen.watched.about.validator.as_ref()?.newest_vote().unwrap_or_default().0)
    }),
    ("consensus_view", "Newest view of that epoch that a vote was heard of", |seen| {
        Some(seen.watched.about.validator.as_ref()?.newest_vote().unwrap_or_default().1)
    }),
    ("consensus_own_epoch", "Epoch of this validator's own last vote", |seen| {
        Some(seen.watched.about.validator.as_ref()?.own_vote().unwrap_or_default().0)
    }),
    ("consensus_own_view", "View of this validator's own last vote", |seen| {
        Some(seen.watched.about.validator.as_ref()?.own_vote().unwrap_or_default().1)
    }),
    ("consensus_key_elsewhere", "Whether this validator's key is in use elsewhere as well: 1 or 0", |seen| {
        seen.watched.about.validator.as_ref()?;
        Some(u64::from(seen.watched.about.key_elsewhere()))
    }),
];

/// Figures that only grow, in the same way; their names end in `_total`.
const COUNTERS: [(&str, &str, Read); 5] = [
    ("executed_blocks", "Final blocks that this node has executed", |seen| Some(seen.watched.executed.counts()[0])),
    ("executed_transactions", "Transactions in these blocks", |seen| Some(seen.watched.executed.counts()[1])),
    ("executed_gas", "Gas that these blocks used", |seen| Some(seen.watched.executed.counts()[2])),
    ("follow_requests", "Requests of nodes that follow this one", |seen| {
        Some(seen.watched.about.served.as_ref()?.requests())
    }),
    ("consensus_skipped_views", "Views that a quorum gave up without a block", |seen| {
        Some(seen.watched.about.validator.as_ref()?.consensus.votes.skipped())
    }),
];

/// What this node tells beside its parts: read when it is asked for.
struct Own {
    gauges: Vec<(Gauge, Read)>,
    counters: Vec<(Counter, Read)>,
    requests: CounterFamily<[(&'static str, &'static str); 2]>,
    /// Of a validator alone.
    validators: Option<OfValidators>,
    _execution: Histogram,
}

impl Own {
    /// What the node does not have is left out.
    fn register(watched: &Watched, metrics: &impl Metrics) -> Self {
        let seen = Seen::of(watched);
        let has = |(_, _, read): &&(&'static str, &'static str, Read)| read(&seen).is_some();
        let seconds = watched.executed.seconds.clone();
        let execution = "Seconds that it took to execute a block: to propose, to check or to follow it";
        let own = Self {
            gauges: GAUGES.iter().filter(has).map(|(name, what, read)| (metrics.gauge(*name, *what), *read)).collect(),
            counters: COUNTERS
                .iter()
                .filter(has)
                .map(|(name, what, read)| (metrics.counter(*name, *what), *read))
                .collect(),
            requests: metrics
                .family("rpc_requests", "Requests of JSON-RPC by the class of their methods, and how they ended"),
            validators: watched.about.validator.as_ref().map(|_| OfValidators::register(watched, metrics)),
            _execution: metrics.register("block_execution_seconds", execution, seconds),
        };
        own.update(watched);
        own
    }

    fn update(&self, watched: &Watched) {
        let seen = Seen::of(watched);
        for (gauge, read) in &self.gauges {
            if let Some(value) = read(&seen) {
                let _ = gauge.try_set(value);
            }
        }
        for (counter, read) in &self.counters {
            if let Some(value) = read(&seen) {
                counter.inner().fetch_max(value, Ordering::Relaxed);
            }
        }
        for ([class, outcome], count) in watched.traffic.requests() {
            let requests = self.requests.get_or_create(&[("class", class), ("outcome", outcome)]);
            requests.inner().fetch_max(count, Ordering::Relaxed);
        }
        if let (Some(validators), Some(validator)) = (&self.validators, &watched.about.validator) {
            validators.update(&validator.consensus.equivocations);
        }
    }
}

impl<'a> Seen<'a> {
    fn of(watched: &'a Watched) -> Self {
        let peers = (watched.about.peers)();
        Self { watched, head: watched.ledger.head(), waiting: watched.pool.status(), peers, now: SystemTime::now() }
    }
}

/// What a validator has noticed of each.
struct OfValidators {
    keys: Vec<B256>,
    equivocations: CounterFamily<[(&'static str, String); 1]>,
    cut_off: CounterFamily<[(&'static str, String); 1]>,
}

impl OfValidators {
    fn register(watched: &Watched, metrics: &impl Metrics) -> Self {
        let committee = watched.ledger.genesis().committee.as_ref();
        Self {
            keys: committee.map(|committee| committee.validators.clone()).unwrap_or_default(),
            equivocations: metrics.family(
                "consensus_equivocations",
                "Views in which a validator has contradicted itself: it is dishonest, or its key runs on two machines",
            ),
            cut_off: metrics
                .family("consensus_cut_off", "How often a validator was cut off for an hour, for it broke the rules"),
        }
    }

    /// All are there from the beginning, for the first is to be seen as more than none.
    fn update(&self, noticed: &Equivocations) {
        let set = |family: &CounterFamily<[(&'static str, String); 1]>, counted: BTreeMap<usize, u64>| {
            for (place, key) in self.keys.iter().enumerate() {
                let count = counted.get(&place).copied().unwrap_or_default();
                family.get_or_create(&[("validator", key.to_string())]).inner().fetch_max(count, Ordering::Relaxed);
            }
        };
        set(&self.equivocations, noticed.counted());
        set(&self.cut_off, noticed.cut_off());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use tokio::time::{sleep, timeout};

    #[tokio::test]
    async fn whoever_asks_again_and_again_costs_no_more_than_who_asks_once() {
        let (kept, made) = (Kept::default(), Arc::new(AtomicU32::new(0)));
        let ask = || {
            let made = made.clone();
            answered(kept.clone(), move || {
                std::thread::sleep(Duration::from_millis(100));
                made.fetch_add(1, Ordering::Relaxed)
            })
        };
        // Those who go at once leave the work behind.
        for _ in 0..3 {
            assert!(timeout(Duration::from_millis(10), ask()).await.is_err());
        }
        assert_eq!(tokio::join!(ask(), ask(), ask()), (Some(0), Some(0), Some(0)));
        assert_eq!(made.load(Ordering::Relaxed), 1);
        sleep(FRESH).await;
        assert_eq!(ask().await, Some(1));
    }

    #[test]
    fn a_node_whose_newest_block_is_old_is_not_ready() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let (fresh, said) = readiness(7, 971, now, STALE);
        assert_eq!((fresh, said.as_str()), (StatusCode::OK, "block 7 is 29 seconds old\n"));
        assert_eq!(readiness(7, 970, now, STALE).0, StatusCode::SERVICE_UNAVAILABLE);
        // A block's time may be a little ahead of this clock.
        assert_eq!(readiness(7, 1005, now, STALE), (StatusCode::OK, "block 7 is 0 seconds old\n".to_owned()));
    }

    #[test]
    fn a_node_whose_clock_is_behind_is_not_ready() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let (status, said) = readiness(7, 1060, now, STALE);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(said, "the clocks differ: this machine's is 60 seconds behind block 7\n");
        assert_eq!(readiness(7, 1006, now, STALE).0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn where_blocks_come_seldom_a_node_is_ready_for_longer_without_one() {
        assert_eq!(bearable(Duration::from_millis(100)), STALE);
        assert_eq!(bearable(Duration::from_secs(60)), Duration::from_secs(1200));
        let now = UNIX_EPOCH + Duration::from_secs(2000);
        assert_eq!(readiness(7, 900, now, bearable(Duration::from_secs(60))).0, StatusCode::OK);
        assert_eq!(readiness(7, 800, now, bearable(Duration::from_secs(60))).0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn how_seldom_blocks_come_is_seen_by_the_newest_however_long_the_network_stood_still_among_them() {
        let times = |gaps: &[u64]| {
            let later = |time: &mut u64, gap: &u64| {
                *time += gap;
                Some(*time)
            };
            std::iter::once(1000).chain(gaps.iter().scan(1000, later)).collect::<Vec<_>>()
        };
        assert_eq!(apart(&times(&[60; 16])), Duration::from_secs(60));
        assert_eq!(apart(&times(&[&[1_u64; 8][..], &[0], &[1; 7]].concat())), Duration::ZERO);
        assert_eq!(apart(&times(&[&[30_u64; 8][..], &[3000], &[30; 7]].concat())), Duration::from_secs(30));
        assert_eq!(apart(&times(&[3000; 16])), Pace::LONGEST);
        assert_eq!(apart(&times(&[60; 15])), Duration::ZERO, "they are too few");
        assert_eq!(apart(&[]), Duration::ZERO);
    }

    #[test]
    fn the_handbook_explains_every_figure_and_alerts_are_about_no_others() {
        let [handbook, alerts] = [include_str!("../../../docs/operate.md"), include_str!("../../../deploy/alerts.yml")];
        let others = [
            "rpc_requests_total",
            "block_execution_seconds",
            "consensus_equivocations_total",
            "consensus_cut_off_total",
        ];
        let totals = COUNTERS.iter().map(|(name, ..)| format!("stoa_{name}_total"));
        let gauges = GAUGES.iter().map(|(name, ..)| *name).chain(others).map(|name| format!("stoa_{name}"));
        let known = gauges.chain(totals).collect::<Vec<_>>();
        for name in &known {
            assert!(handbook.contains(&format!("`{name}`")), "{name} is not explained");
        }
        let words = alerts.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let named = words.filter(|word| word.starts_with("stoa_")).collect::<Vec<_>>();
        assert!(!named.is_empty());
        for word in named {
            assert!(known.iter().any(|name| name == word), "there is no {word}");
        }
    }
}

//! What monitoring asks a node: `/health`, `/ready`, `/metrics`.

use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
    routing::get,
};
use commonware_runtime::{
    Metrics,
    telemetry::metrics::{Gauge, GaugeExt as _, MetricsExt as _},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use stoa_ledger::Ledger;
use stoa_mempool::Pool;

/// A node whose newest block is older than this is not ready: an idle network makes a block each second.
const STALE: Duration = Duration::from_secs(30);

/// A clock that is so far off is too far off: validators refuse to connect to one whose clock differs by more from theirs.
const SKEW: Duration = Duration::from_secs(5);

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(30);

/// How [OpenMetrics](https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md) calls its text.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Routes beside JSON-RPC.
///
/// - `/health`: 200 while the process answers.
/// - `/ready`: 200 while its newest block is fresh and not of this clock's future, else 503.
/// - `/metrics`: everything that is counted, as Prometheus reads it.
pub(crate) fn routes(ledger: Ledger, pool: Pool, metrics: impl Metrics + Send + Sync + 'static) -> Router {
    let own = Arc::new(Own::register(&metrics));
    let metrics = Arc::new(metrics);
    let measured = ledger.clone();
    let metrics = move || {
        own.update(&measured, &pool);
        std::future::ready(([(CONTENT_TYPE, OPEN_METRICS)], metrics.encode()))
    };
    let ready = move || {
        let head = ledger.head();
        std::future::ready(readiness(head.number(), head.header().timestamp, SystemTime::now()))
    };
    Router::new().route("/health", get(|| async { "ok\n" })).route("/ready", get(ready)).route("/metrics", get(metrics))
}

/// The answer of `/ready` when the newest block has this number and time, in seconds since 1970.
fn readiness(number: u64, timestamp: u64, now: SystemTime) -> (StatusCode, String) {
    if let Some(behind) = behind(timestamp, now) {
        let said = format!("the clocks differ: this machine's is {behind} seconds behind block {number}\n");
        return (StatusCode::SERVICE_UNAVAILABLE, said);
    }
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let age = now.saturating_sub(Duration::from_secs(timestamp));
    let status = if age < STALE { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("block {number} is {} seconds old\n", age.as_secs()))
}

/// By how many seconds a clock is behind a block of this time, if those are too many.
fn behind(timestamp: u64, now: SystemTime) -> Option<u64> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let behind = Duration::from_secs(timestamp).saturating_sub(now);
    (behind > SKEW).then_some(behind.as_secs())
}

/// Warns as long as the newest block is of this clock's future.
pub(crate) async fn watch_clock(ledger: Ledger) {
    let mut every = tokio::time::interval(LOOK);
    loop {
        every.tick().await;
        let head = ledger.head();
        if let Some(seconds) = behind(head.header().timestamp, SystemTime::now()) {
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

/// What this node counts beside its parts: read when it is asked for.
struct Own {
    head: Gauge,
    certified: Gauge,
    time: Gauge,
    pending: Gauge,
    queued: Gauge,
    disk: Gauge,
}

impl Own {
    fn register(metrics: &impl Metrics) -> Self {
        Self {
            head: metrics.gauge("head_block", "Number of the newest final block"),
            certified: metrics.gauge("certified_block", "Number of the newest block whose certificate is kept"),
            time: metrics.gauge("head_timestamp_seconds", "Time of the newest final block, in seconds since 1970"),
            pending: metrics.gauge("pending_transactions", "Waiting transactions that can run now"),
            queued: metrics.gauge("queued_transactions", "Waiting transactions behind a gap or beyond a balance"),
            disk: metrics.gauge("history_bytes", "Bytes of blocks, receipts and indices on disk"),
        }
    }

    fn update(&self, ledger: &Ledger, pool: &Pool) {
        let (head, waiting) = (ledger.head(), pool.status());
        let certified = *ledger.newest_certified().borrow();
        let values = [
            (&self.head, head.number()),
            (&self.certified, certified),
            (&self.time, head.header().timestamp),
            (&self.pending, waiting.pending as u64),
            (&self.queued, waiting.queued as u64),
            (&self.disk, ledger.disk_space()),
        ];
        for (gauge, value) in values {
            let _ = gauge.try_set(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_whose_newest_block_is_old_is_not_ready() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let (fresh, said) = readiness(7, 971, now);
        assert_eq!((fresh, said.as_str()), (StatusCode::OK, "block 7 is 29 seconds old\n"));
        assert_eq!(readiness(7, 970, now).0, StatusCode::SERVICE_UNAVAILABLE);
        // A block's time may be a little ahead of this clock.
        assert_eq!(readiness(7, 1005, now), (StatusCode::OK, "block 7 is 0 seconds old\n".to_owned()));
    }

    #[test]
    fn a_node_whose_clock_is_behind_is_not_ready() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let (status, said) = readiness(7, 1060, now);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(said, "the clocks differ: this machine's is 60 seconds behind block 7\n");
        assert_eq!(readiness(7, 1006, now).0, StatusCode::SERVICE_UNAVAILABLE);
    }
}

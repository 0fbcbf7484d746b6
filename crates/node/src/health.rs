//! What monitoring asks a node: `/health`, `/ready`, `/metrics`.

use axum::{Router, http::StatusCode, routing::get};
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

/// Routes beside JSON-RPC.
///
/// - `/health`: 200 while the process answers.
/// - `/ready`: 200 while its newest block is fresh, else 503.
/// - `/metrics`: everything that is counted, as Prometheus reads it.
pub(crate) fn routes(ledger: Ledger, pool: Pool, metrics: impl Metrics + Send + Sync + 'static) -> Router {
    let own = Arc::new(Own::register(&metrics));
    let metrics = Arc::new(metrics);
    let measured = ledger.clone();
    let metrics = move || {
        own.update(&measured, &pool);
        std::future::ready(metrics.encode())
    };
    let ready = move || {
        let head = ledger.head();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let age = now.saturating_sub(Duration::from_secs(head.header().timestamp));
        let status = if age < STALE { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let answer = (status, format!("block {} is {} seconds old\n", head.number(), age.as_secs()));
        std::future::ready(answer)
    };
    Router::new().route("/health", get(|| async { "ok\n" })).route("/ready", get(ready)).route("/metrics", get(metrics))
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

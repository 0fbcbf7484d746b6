//! What monitoring asks a node: `/health`, `/ready`, `/metrics`.

use axum::{Router, http::StatusCode, routing::get};
use commonware_runtime::Metrics;
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use stoa_ledger::Ledger;

/// A node whose newest block is older than this is not ready: an idle network makes a block each second.
const STALE: Duration = Duration::from_secs(30);

/// Routes beside JSON-RPC.
///
/// - `/health`: 200 while the process answers.
/// - `/ready`: 200 while its newest block is fresh, else 503.
/// - `/metrics`: everything that is counted, as Prometheus reads it.
pub(crate) fn routes(ledger: Ledger, metrics: impl Metrics + Send + Sync + 'static) -> Router {
    let metrics = Arc::new(metrics);
    let ready = move || {
        let head = ledger.head();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let age = now.saturating_sub(Duration::from_secs(head.header().timestamp));
        let status = if age < STALE { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let answer = (status, format!("block {} is {} seconds old\n", head.number(), age.as_secs()));
        std::future::ready(answer)
    };
    Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(move || std::future::ready(metrics.encode())))
}

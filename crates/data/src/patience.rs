//! Asking a node that may not have seen the newest block yet.

use std::time::Duration;
use stoa_net::Denied;

/// How often it is asked again, and how long to wait in between.
pub(crate) const TRIES: usize = 20;
pub(crate) const PAUSE: Duration = Duration::from_millis(300);

/// Asks until what is denied is nothing that a later block could change, some seconds at most.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, Denied>>>(
    ask: impl Fn() -> F,
    may_change: impl Fn(&Denied) -> bool,
) -> Result<T, Denied> {
    let mut outcome = ask().await;
    for _ in 0..TRIES {
        if !outcome.as_ref().is_err_and(&may_change) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        outcome = ask().await;
    }
    outcome
}

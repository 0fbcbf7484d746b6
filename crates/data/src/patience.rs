//! Asking a node that may not have seen the newest block yet.

use std::time::Duration;
use stoa_net::Denied;
use tokio::time::{Instant, sleep};

/// How often it is asked again, and how long to wait in between.
pub(crate) const TRIES: u32 = 20;
pub(crate) const PAUSE: Duration = Duration::from_millis(300);

/// How long to wait at first: mostly it is one block behind, and that is on its way.
const FIRST: Duration = Duration::from_millis(3);

/// Asks until what is denied is nothing that a later block could change, some seconds at most.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, Denied>>>(
    ask: impl Fn() -> F,
    may_change: impl Fn(&Denied) -> bool,
) -> Result<T, Denied> {
    let (until, mut pause) = (Instant::now() + PAUSE * TRIES, FIRST);
    let mut outcome = ask().await;
    while outcome.as_ref().is_err_and(&may_change) && Instant::now() < until {
        sleep(pause).await;
        pause = PAUSE.min(pause * 2);
        outcome = ask().await;
    }
    outcome
}

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long after 1970 it is by this machine's clock; no time at all where that shows an earlier one.
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The same in seconds.
pub fn now() -> u64 {
    since_1970().as_secs()
}

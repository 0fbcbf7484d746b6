//! Places for jobs: a node has so many at a time, one buyer some of them, and one asset no more than are left.

use super::session::Session;
use alloy_primitives::B256;
use std::{collections::HashMap, sync::Arc};

/// Jobs that are open at a time, and those of one buyer among them: such as have not ended, and with those of whose end the ledger has
/// still to be told.
const MOST_JOBS: usize = 256;
const MOST_EACH: usize = 16;
const MOST_ENDED: usize = 64;

/// Why there is no room for one more job of somebody's (`whose` in words) on an asset, if there is none.
pub(super) fn full(
    sessions: &HashMap<B256, Arc<Session>>,
    asset: B256,
    whose: &str,
    his: impl Fn(&Session) -> bool,
) -> Option<String> {
    let free = MOST_JOBS.saturating_sub(sessions.len());
    if free == 0 {
        return Some("the node has too many jobs; ask later".into());
    }
    let own: Vec<_> = sessions.values().filter(|session| his(session)).collect();
    let open = own.iter().filter(|session| session.state.lock().done.ended.is_none()).count();
    if open >= MOST_EACH || own.len() >= MOST_ENDED {
        return Some(format!("the node has {} jobs {whose} at a time; ask later", own.len()));
    }
    // One person may have many accounts. One asset alone has half of all places, each of two a third, and another finds some.
    let on_it = sessions.values().filter(|session| session.job.asset == asset).count();
    (on_it >= free).then(|| {
        format!("the node has {on_it} jobs on this asset, and keeps the {free} places left for others; ask later")
    })
}

//! How far a node has come that catches up with others, as `eth_syncing` and `stoa_status` tell it.

use crate::{common, health};
use alloy_primitives::U64;
use commonware_runtime::{Clock as _, tokio::Context};
use parking_lot::Mutex;
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use stoa_consensus::follow::{self, Link, Peers, Verifier};
use stoa_ledger::Ledger;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(10);

/// How long to wait for others to say how far they are. They may be busy with giving blocks.
const ASK: Duration = Duration::from_secs(30);

/// The answer to `eth_syncing`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(crate) enum Syncing {
    /// Blocks are missing.
    Behind { starting_block: U64, current_block: U64, highest_block: U64 },
    /// None is known to be missing: `false`.
    Not(bool),
}

#[derive(Default)]
struct Known {
    /// Where it began to catch up.
    start: u64,
    /// The newest block that others were seen to have.
    highest: u64,
}

/// What is known of how far the others are.
#[derive(Default)]
pub(crate) struct Progress(Mutex<Known>);

impl Progress {
    /// What to tell where the newest block here is `current`.
    pub(crate) fn syncing(&self, current: u64) -> Syncing {
        let Known { start, highest } = *self.0.lock();
        if current >= highest {
            return Syncing::Not(false);
        }
        Syncing::Behind {
            starting_block: U64::from(start),
            current_block: U64::from(current),
            highest_block: U64::from(highest),
        }
    }

    /// The newest block that others were seen to have, if that here, `current`, is an earlier one.
    pub(crate) fn ahead(&self, current: u64) -> Option<u64> {
        Some(self.0.lock().highest).filter(|highest| *highest > current)
    }

    /// Others have block `highest`, and the newest here is `current`.
    fn saw(&self, current: u64, highest: u64) {
        let mut known = self.0.lock();
        if current >= known.highest {
            // What was missing has come.
            known.start = current;
        }
        known.highest = known.highest.max(highest);
    }

    /// Asks the others for ever how far they are, as long as the newest block here is old.
    pub(crate) async fn watch<L: Link>(
        self: Arc<Self>,
        runtime: Context,
        ledger: Ledger,
        peers: Peers<L>,
        verifier: Verifier,
    ) {
        loop {
            if health::is_old(&ledger, runtime.current())
                && let Some(newest) = follow::newest(&runtime, &peers, &verifier, common::BLOCK_BYTES, ASK).await
            {
                self.saw(ledger.head().number(), newest.number);
            }
            runtime.sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_tells_from_where_to_where_blocks_are_missing_until_they_have_come() {
        let progress = Progress::default();
        let told = |current| serde_json::to_value(progress.syncing(current)).unwrap();
        assert_eq!(told(0), json!(false), "nothing is known of others");
        progress.saw(3, 20);
        assert_eq!(told(5), json!({"startingBlock": "0x3", "currentBlock": "0x5", "highestBlock": "0x14"}));
        progress.saw(10, 30);
        assert_eq!([29, 30].map(|current| progress.ahead(current)), [Some(30), None]);
        assert_eq!(told(29), json!({"startingBlock": "0x3", "currentBlock": "0x1d", "highestBlock": "0x1e"}));
        // A peer that is behind the others changes nothing.
        progress.saw(12, 11);
        assert_eq!(told(30), json!(false));
        assert_eq!(told(31), json!(false));
        progress.saw(40, 50);
        assert_eq!(told(40), json!({"startingBlock": "0x28", "currentBlock": "0x28", "highestBlock": "0x32"}));
    }
}

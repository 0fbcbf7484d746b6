use crate::{Client, ClientError, utc};
use alloy_primitives::U256;
use serde::Deserialize;
use stoa_base::now;

/// Clocks that differ by more seconds are too far apart for anybody to sign until when something holds.
const APART: u64 = 3600;

/// This machine's clock and the network's show other times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this machine's clock says {}, and the network's says {}: set the one that is wrong (NTP does)",
    utc(*here),
    utc(*there)
)]
pub struct ClocksApart {
    /// This machine's, in seconds since 1970.
    pub here: u64,
    /// The node's, or that of its newest block.
    pub there: u64,
}

/// Why nothing is signed that holds until a time.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// It would end at another time.
    #[error("nothing was signed, for it would end at another time than is meant: {0}")]
    Apart(ClocksApart),
    /// The node does not tell the time.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// What a node says of the time; of a node without a status, its newest block.
#[derive(Deserialize)]
struct Told {
    timestamp: U256,
    #[serde(default)]
    clock: Option<U256>,
}

/// How a clock differs from a network's whose newest block has this time; `node` is what the node's own clock says, if it
/// tells.
pub(crate) fn apart(here: u64, block: U256, node: Option<U256>) -> Option<ClocksApart> {
    let differs = |there: u64| here.abs_diff(there) > APART;
    let block = block.saturating_to();
    if !differs(block) {
        return None;
    }
    // A chain that stands still has an old block, which says nothing of clocks. One that is of this clock's future does.
    let there = if block > here { block } else { node?.saturating_to() };
    differs(there).then_some(ClocksApart { here, there })
}

impl Client {
    /// Compares this machine's clock with the network's. To be called before something is signed that holds until a time.
    ///
    /// # Errors
    ///
    /// If they are more than an hour apart, or the node does not answer.
    pub async fn check_clock(&self) -> Result<(), ClockError> {
        let Told { timestamp, clock } = match self.call("stoa_status", ()).await {
            // A node without consensus has no status.
            Err(ClientError::Refused { .. }) => self.call("eth_getBlockByNumber", ("latest", false)).await?,
            told => told?,
        };
        apart(now(), timestamp, clock).map_or(Ok(()), |apart| Err(ClockError::Apart(apart)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::tests::answering;
    use serde_json::json;

    #[test]
    fn clocks_are_told_apart_and_an_old_block_alone_says_nothing_of_them() {
        let (day, now) = (24 * 3600, 1_700_000_000);
        let differ = |here: u64, block: u64, node: Option<u64>| {
            apart(here, U256::from(block), node.map(U256::from)).map(|ClocksApart { there, .. }| there)
        };
        assert_eq!(differ(now, now, None), None);
        assert_eq!(differ(now, now - 30 * day, None), None, "a chain that stands still");
        assert_eq!(differ(now, now - 30 * day, Some(now + 60)), None, "the same, and the node's clock is right");
        assert_eq!(differ(now + 300 * day, now, Some(now)), Some(now));
        assert_eq!(differ(now - 2 * day, now, Some(now)), Some(now));
        assert_eq!(differ(now - 2 * day, now, None), Some(now), "no block is of the future");
        assert_eq!(
            differ(now, now, Some(now + 300 * day)),
            None,
            "the node's clock is wrong, and the network's is not"
        );
        assert_eq!((differ(now, now + APART, None), differ(now, now + APART + 1, None)), (None, Some(now + APART + 1)));
        let said = ClocksApart { here: 951_787_425, there: 951_868_800 }.to_string();
        assert!(said.contains("2000-02-29 01:23:45 UTC") && said.contains("2000-03-01 00:00:00 UTC"), "{said}");
    }

    #[tokio::test]
    async fn nothing_is_signed_by_a_clock_that_is_not_the_networks() {
        let check = async |clock: u64| {
            let said = json!({ "result": { "timestamp": "0x1", "clock": U256::from(clock) } }).to_string();
            Client::new(answering([said.into_bytes()])).check_clock().await
        };
        check(now()).await.unwrap();
        let why = check(now() - 300 * 24 * 3600).await.unwrap_err().to_string();
        assert!(why.starts_with("nothing was signed") && why.contains("NTP"), "{why}");
    }
}

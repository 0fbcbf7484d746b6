//! Which of the others a validator is connected to.

use alloy_primitives::hex;
use commonware_runtime::Metrics;
use stoa_consensus::follow::PeerStatus;
use stoa_net::PeerAddress;

/// What a line of the metrics has in it that stands for a connection between validators: their network tells nowhere else whom it
/// has reached.
const CONNECTED: &str = "_tracker_directory_connected{";

/// How it stands with each of the others.
pub(crate) fn status(metrics: &impl Metrics, others: &[PeerAddress]) -> Vec<PeerStatus> {
    of(&metrics.encode(), others)
}

/// How many of them it is connected to, or asks at present.
pub(crate) fn count(peers: &[PeerStatus]) -> usize {
    peers.iter().filter(|peer| peer.used).count()
}

fn of(metrics: &str, others: &[PeerAddress]) -> Vec<PeerStatus> {
    let connected = metrics.lines().filter(|line| line.contains(CONNECTED)).collect::<Vec<_>>();
    let status = |other: &PeerAddress| {
        let label = format!("peer=\"{}\"", hex::encode(other.node().0));
        let used = connected.iter().any(|line| line.contains(&label));
        PeerStatus { name: other.to_string(), used, lie: None }
    };
    others.iter().map(status).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validator_is_connected_to_those_whose_connections_its_network_counts() {
        let other = |seed| {
            let key = stoa_net::iroh::SecretKey::from_bytes(&[seed; 32]).public();
            PeerAddress { key, host: format!("{seed}.example:9000") }
        };
        let others = [other(1), other(2)];
        let key = hex::encode(others[1].node().0);
        let metrics = format!(
            "# HELP wire_network_tracker_directory_connected Since when.\n\
             wire_network_tracker_directory_connected{{peer=\"{key}\"}} 1700000000000\n\
             wire_network_tracker_directory_updates_total{{peer=\"{}\"}} 3\n",
            hex::encode(others[0].node().0)
        );
        let connected = of(&metrics, &others);
        assert_eq!(count(&connected), 1);
        let used = connected.into_iter().map(|peer| (peer.name, peer.used)).collect::<Vec<_>>();
        assert_eq!(used, [(others[0].to_string(), false), (others[1].to_string(), true)]);
        assert_eq!(count(&of("", &others)), 0, "nobody is counted");
    }
}

//! What clients ask and have open, for monitoring.

use crate::context::Slot;
use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// What methods are told apart by: the beginning of their names. Those that nobody knows are `other`, and so is what is no request.
const CLASSES: [&str; 8] = ["debug", "eth", "net", "stoa", "trace", "txpool", "web3", "other"];

/// How a request may end: with a result; with an error that its client can do something about; because it went over a bound or took too
/// long; or because the node failed.
const OUTCOMES: [&str; 4] = ["ok", "refused", "limited", "failed"];

/// Counts what clients ask, and what they have open. Clones share the counts.
#[derive(Clone, Default)]
pub struct Traffic(Arc<Counts>);

#[derive(Default)]
struct Counts {
    /// By class and outcome.
    requests: [[AtomicU64; OUTCOMES.len()]; CLASSES.len()],
    in_flight: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    websockets: Arc<AtomicUsize>,
    subscriptions: Arc<AtomicUsize>,
}

fn class(method: &str) -> usize {
    let name = method.split_once('_').map_or("", |(class, _)| class);
    CLASSES.iter().position(|class| *class == name).unwrap_or(CLASSES.len() - 1)
}

/// Which outcome it is to get an error of this code, or none.
const fn outcome(error: Option<i64>) -> usize {
    match error {
        None => 0,
        // The codes of too much, of too long and of an answer that is too large.
        Some(-32005 | -32002 | -32003) => 2,
        Some(-32603) => 3,
        Some(_) => 1,
    }
}

impl Traffic {
    /// How many requests have ended so far, by the class of their methods and their outcomes: all pairs there are.
    pub fn requests(&self) -> impl Iterator<Item = ([&'static str; 2], u64)> + '_ {
        self.0.requests.iter().zip(CLASSES).flat_map(|(ended, class)| {
            ended.iter().zip(OUTCOMES).map(move |(count, outcome)| ([class, outcome], count.load(Ordering::Relaxed)))
        })
    }

    /// Requests that are being answered.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight.load(Ordering::Relaxed)
    }

    /// Open connections, WebSockets among them.
    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::Relaxed)
    }

    /// Open WebSockets.
    pub fn websockets(&self) -> usize {
        self.0.websockets.load(Ordering::Relaxed)
    }

    /// Subscriptions of all WebSockets.
    pub fn subscriptions(&self) -> usize {
        self.0.subscriptions.load(Ordering::Relaxed)
    }

    /// A request is being answered, until what this gives is dropped.
    pub(crate) fn begun(&self) -> Option<Slot> {
        Slot::take(&self.0.in_flight, usize::MAX)
    }

    /// A request has ended, with an error of this code or with none.
    pub(crate) fn ended(&self, method: &str, error: Option<i64>) {
        self.0.requests[class(method)][outcome(error)].fetch_add(1, Ordering::Relaxed);
    }

    /// A place among so many connections, if there is one.
    pub(crate) fn connect(&self, most: usize) -> Option<Slot> {
        Slot::take(&self.0.connections, most)
    }

    /// A place among so many WebSockets, if there is one.
    pub(crate) fn open_websocket(&self, most: usize) -> Option<Slot> {
        Slot::take(&self.0.websockets, most)
    }

    /// A place among so many subscriptions, if there is one.
    pub(crate) fn subscribe(&self, most: usize) -> Option<Slot> {
        Slot::take(&self.0.subscriptions, most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_the_beginning_of_their_methods_and_how_they_end() {
        let traffic = Traffic::default();
        traffic.ended("eth_call", None);
        traffic.ended("eth_getLogs", Some(-32005));
        traffic.ended("eth_sendRawTransaction", Some(-32000));
        traffic.ended("stoa_status", Some(-32603));
        for unknown in ["", "eth", "weather_today", "Eth_call"] {
            traffic.ended(unknown, Some(-32601));
        }
        let counted = traffic.requests().filter(|(_, count)| *count > 0).collect::<Vec<_>>();
        let expected = [
            (["eth", "ok"], 1),
            (["eth", "refused"], 1),
            (["eth", "limited"], 1),
            (["stoa", "failed"], 1),
            (["other", "refused"], 4),
        ];
        assert_eq!(counted, expected);
        assert_eq!(traffic.requests().count(), CLASSES.len() * OUTCOMES.len());
        let slot = traffic.clone().begun();
        assert_eq!(traffic.in_flight(), 1);
        drop(slot);
        assert_eq!(traffic.in_flight(), 0);
    }
}

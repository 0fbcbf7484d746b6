//! What those who ask may have of a node's memory.
//!
//! Keys cost nothing, and addresses do: a share is that of a node which is known, or that of a network of strangers, over all of its
//! connections. All strangers together leave a quarter to those who are known.

use crate::places::{Places, take};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Weak},
};
use stoa_base::NodeId;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

/// Connections that a protocol answers at a time: in all, of a known node, and of a network of strangers.
const PEERS: usize = 1024;
const PEERS_OF_KNOWN: usize = 8;
pub(crate) const PEERS_OF_STRANGERS: usize = 64;

/// Long requests that are read and answered at a time, so that strangers cannot fill the memory: in all, and of one asker.
const LARGE: usize = 32;
pub(crate) const LARGE_OF_ONE: usize = 4;

/// Kibibytes of answers that wait until they are taken: in all, and of one asker. Who is that far behind gets no other until he
/// has taken some, so that strangers who ask for much and take nothing cannot fill the memory either.
const UNTAKEN: usize = 256 << 10;
const UNTAKEN_OF_ONE: usize = 64 << 10;

/// Who asks: a known node, or a network of strangers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    Known(NodeId),
    Strangers(IpAddr),
}

/// The network of an address: as much as one party has at least who has more than one address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80)).into(),
    }
}

/// What all who ask have together.
#[derive(Debug)]
pub(crate) struct Room {
    peers: Places,
    large: Places,
    untaken: Places,
    /// What each asker has of it.
    own: Mutex<HashMap<Asker, Weak<Own>>>,
}

/// What one asker has, over all of its connections.
#[derive(Debug)]
struct Own {
    peers: Semaphore,
    large: Semaphore,
    untaken: Semaphore,
}

/// One connection of an asker.
pub(crate) struct Caller {
    room: Arc<Room>,
    own: Arc<Own>,
    stranger: bool,
}

impl Room {
    pub(crate) fn new() -> Arc<Self> {
        let own = Mutex::default();
        Arc::new(Self { peers: Places::new(PEERS), large: Places::new(LARGE), untaken: Places::new(UNTAKEN), own })
    }

    /// How many connections there are.
    pub(crate) fn connected(&self) -> usize {
        self.peers.taken()
    }

    /// One more connection of an asker, which has no place yet.
    pub(crate) async fn enter(self: &Arc<Self>, asker: Asker) -> Caller {
        let (peers, stranger) = match asker {
            Asker::Known(_) => (PEERS_OF_KNOWN, false),
            Asker::Strangers(_) => (PEERS_OF_STRANGERS, true),
        };
        let mut all = self.own.lock().await;
        let there = all.get(&asker).and_then(Weak::upgrade);
        let own = there.unwrap_or_else(|| {
            all.retain(|_, own| own.strong_count() > 0);
            let (large, untaken) = (Semaphore::new(LARGE_OF_ONE), Semaphore::new(UNTAKEN_OF_ONE));
            let own = Arc::new(Own { peers: Semaphore::new(peers), large, untaken });
            all.insert(asker, Arc::downgrade(&own));
            own
        });
        Caller { room: self.clone(), own, stranger }
    }
}

impl Caller {
    /// A place for the connection, if there is one.
    pub(crate) fn connect(&self) -> Option<Vec<SemaphorePermit<'_>>> {
        take(self.room.peers.after(&self.own.peers, self.stranger), 1)
    }

    /// Where a long request waits for its turn.
    pub(crate) fn large(&self) -> Vec<&Semaphore> {
        self.room.large.after(&self.own.large, self.stranger)
    }

    /// Places for an answer, if they are free. The longest answers take all that one asker has.
    pub(crate) fn hold(&self, answer: &[u8]) -> Option<Vec<SemaphorePermit<'_>>> {
        let kibibytes = answer.len().div_ceil(1024).min(UNTAKEN_OF_ONE);
        take(self.room.untaken.after(&self.own.untaken, self.stranger), kibibytes as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(address: [u8; 4]) -> Asker {
        Asker::Strangers(network(address.into()))
    }

    fn connect(callers: &[Caller]) -> Vec<Vec<SemaphorePermit<'_>>> {
        callers.iter().filter_map(Caller::connect).collect()
    }

    #[tokio::test]
    async fn no_network_of_strangers_takes_all_places_and_all_together_leave_some_to_known_nodes() {
        let room = Room::new();
        let enter = async |askers: Vec<Asker>| {
            let mut callers = Vec::new();
            for asker in askers {
                callers.push(room.enter(asker).await);
            }
            callers
        };
        let neighbours = enter((0..200).map(|last| stranger([10, 0, 0, last])).collect()).await;
        let networks =
            enter((0..=255).flat_map(|of| (0..10).map(move |last| stranger([11, 0, of, last]))).collect()).await;
        let known = enter((0..=255).flat_map(|name| [Asker::Known(NodeId([name; 32])); 10]).collect()).await;
        assert_eq!(connect(&known[..10]).len(), PEERS_OF_KNOWN);
        let (of_one, of_many) = (connect(&neighbours), connect(&networks));
        assert_eq!((of_one.len(), of_one.len() + of_many.len()), (PEERS_OF_STRANGERS, PEERS / 4 * 3));
        let friends = connect(&known);
        assert_eq!((friends.len(), room.connected()), (PEERS / 4, PEERS));
        // So it is with answers that nobody takes.
        let answer = vec![0; UNTAKEN_OF_ONE << 10];
        let untaken = networks.iter().step_by(10).filter_map(|caller| caller.hold(&answer)).collect::<Vec<_>>();
        assert_eq!(untaken.len(), 3);
        assert!(neighbours[0].hold(&[0]).is_none() && known[0].hold(&answer).is_some());
        // Who is gone is forgotten.
        drop((of_one, of_many, friends, untaken));
        drop((neighbours, networks, known));
        drop(room.enter(stranger([12, 0, 0, 1])).await);
        assert_eq!((room.connected(), room.own.lock().await.len()), (0, 1));
    }

    #[test]
    fn a_network_is_what_one_party_has_of_addresses() {
        let of = |address: &str| network(address.parse().unwrap()).to_string();
        assert_eq!([of("10.1.2.3"), of("::ffff:10.1.2.3")], ["10.1.2.0"; 2]);
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1::");
    }
}

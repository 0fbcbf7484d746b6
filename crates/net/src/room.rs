//! What those who ask may have of a node: of its connections, its memory, its turns.
//!
//! Keys cost nothing, and addresses do: a share is that of a node which is known, or that of a network of strangers, over all of its
//! connections. All strangers together leave a quarter to those who are known.

use crate::places::{Places, take};
use iroh::{TransportAddr, endpoint::Connection};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Weak},
};
use stoa_base::NodeId;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

/// How many places of one kind there are.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// In all.
    pub all: usize,
    /// Of a known node.
    pub known: usize,
    /// Of a network of strangers.
    pub strangers: usize,
}

/// Who asks: a known node, or a network of strangers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Asker {
    Known(NodeId),
    Strangers(IpAddr),
}

/// Where a peer is.
fn address(connection: &Connection) -> IpAddr {
    let paths = connection.paths();
    let address = paths.iter().find_map(|path| match path.remote_addr() {
        TransportAddr::Ip(address) => Some(address.ip()),
        _ => None,
    });
    address.unwrap_or(Ipv4Addr::UNSPECIFIED.into())
}

/// The network of an address: as much as one party has at least who has more than one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8)).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80)).into(),
    }
}

/// What all who ask have together, of `N` kinds of places.
#[derive(Debug)]
pub struct Room<const N: usize> {
    shares: [Share; N],
    all: [Places; N],
    /// What each asker has of it, over all of its connections.
    own: Mutex<HashMap<Asker, Weak<[Semaphore; N]>>>,
}

/// One connection of somebody who asks.
#[derive(Debug)]
pub struct Caller<const N: usize> {
    room: Arc<Room<N>>,
    own: Arc<[Semaphore; N]>,
    stranger: bool,
}

impl<const N: usize> Room<N> {
    /// So many places of each kind, all of them free.
    pub fn new(shares: [Share; N]) -> Arc<Self> {
        Arc::new(Self { shares, all: shares.map(|share| Places::new(share.all)), own: Mutex::default() })
    }

    /// How many places of a kind are taken.
    pub fn taken(&self, kind: usize) -> usize {
        self.all[kind].taken()
    }

    /// One more connection of a node, known or not, which has no place yet.
    pub async fn enter(self: &Arc<Self>, connection: &Connection, known: bool) -> Caller<N> {
        let node = NodeId(*connection.remote_id().as_bytes());
        let asker = if known { Asker::Known(node) } else { Asker::Strangers(network(address(connection))) };
        self.enter_as(asker).await
    }

    async fn enter_as(self: &Arc<Self>, asker: Asker) -> Caller<N> {
        let stranger = matches!(asker, Asker::Strangers(_));
        let mut all = self.own.lock().await;
        let there = all.get(&asker).and_then(Weak::upgrade);
        let own = there.unwrap_or_else(|| {
            all.retain(|_, own| own.strong_count() > 0);
            let count = |share: Share| if stranger { share.strangers } else { share.known };
            let own = Arc::new(self.shares.map(|share| Semaphore::new(count(share))));
            all.insert(asker, Arc::downgrade(&own));
            own
        });
        Caller { room: self.clone(), own, stranger }
    }
}

impl<const N: usize> Caller<N> {
    fn turns(&self, kind: usize) -> Vec<&Semaphore> {
        self.room.all[kind].after(&self.own[kind], self.stranger)
    }

    /// So many places of a kind, if they are free.
    pub fn try_take(&self, kind: usize, count: u32) -> Option<Vec<SemaphorePermit<'_>>> {
        take(self.turns(kind), count)
    }

    /// A place of a kind, when it is its turn.
    pub async fn take(&self, kind: usize) -> Vec<SemaphorePermit<'_>> {
        let mut places = Vec::new();
        for turn in self.turns(kind) {
            // None of them is ever closed.
            places.extend(turn.acquire().await);
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEERS: usize = 0;
    const UNTAKEN: usize = 1;
    const SHARES: [Share; 2] =
        [Share { all: 1024, known: 8, strangers: 64 }, Share { all: 4096, known: 1024, strangers: 1024 }];

    fn stranger(address: [u8; 4]) -> Asker {
        Asker::Strangers(network(address.into()))
    }

    fn connect(callers: &[Caller<2>]) -> Vec<Vec<SemaphorePermit<'_>>> {
        callers.iter().filter_map(|caller| caller.try_take(PEERS, 1)).collect()
    }

    #[tokio::test]
    async fn no_network_of_strangers_takes_all_places_and_all_together_leave_some_to_known_nodes() {
        let room = Room::new(SHARES);
        let enter = async |askers: Vec<Asker>| {
            let mut callers = Vec::new();
            for asker in askers {
                callers.push(room.enter_as(asker).await);
            }
            callers
        };
        let neighbours = enter((0..200).map(|last| stranger([10, 0, 0, last])).collect()).await;
        let networks =
            enter((0..=255).flat_map(|of| (0..10).map(move |last| stranger([11, 0, of, last]))).collect()).await;
        let known = enter((0..=255).flat_map(|name| [Asker::Known(NodeId([name; 32])); 10]).collect()).await;
        let [Share { all, known: of_known, strangers }, untaken] = SHARES;
        assert_eq!(connect(&known[..10]).len(), of_known);
        let (of_one, of_many) = (connect(&neighbours), connect(&networks));
        assert_eq!((of_one.len(), of_one.len() + of_many.len()), (strangers, all / 4 * 3));
        let friends = connect(&known);
        assert_eq!((friends.len(), room.taken(PEERS)), (all / 4, all));
        // So it is with more than one at a time.
        let most = untaken.strangers as u32;
        let taken = networks.iter().step_by(10).filter_map(|caller| caller.try_take(UNTAKEN, most)).collect::<Vec<_>>();
        assert_eq!(taken.len(), 3);
        assert!(neighbours[0].try_take(UNTAKEN, 1).is_none() && known[0].try_take(UNTAKEN, most).is_some());
        // Who is gone is forgotten.
        drop((of_one, of_many, friends, taken));
        drop((neighbours, networks, known));
        drop(room.enter_as(stranger([12, 0, 0, 1])).await);
        assert_eq!((room.taken(PEERS), room.own.lock().await.len()), (0, 1));
    }

    #[test]
    fn a_network_is_what_one_party_has_of_addresses() {
        let of = |address: &str| network(address.parse().unwrap()).to_string();
        assert_eq!([of("10.1.2.3"), of("::ffff:10.1.2.3")], ["10.1.2.0"; 2]);
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1::");
    }
}

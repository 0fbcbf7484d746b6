//! The store over QUIC: what a node serves to others, and how it finds and uses them.
//!
//! ```text
//!  Network ──asks──▶ Remote (a Peer) ═══ stoa/store/1 ═══▶ Server ──▶ Store
//!     │                   ◀── takes what it is to keep, on the same connection ──┘
//!     └─ Members: who there is (the ledger's registry)        /iroh-bytes/4: iroh's own protocol, for any client
//! ```
//!
//! **Nobody writes down where pieces are.** Whoever looks for an object asks the registered nodes, those first that rendezvous
//! hashing would have chosen, which of its pieces they have. So there is no record that can be lost or be wrong.
//!
//! **Who is asked to keep something takes it himself**, from the one who asks and over the connection that he asked on: he
//! need not be reachable from outside.
//!
//! **What a node serves** is what it has promised to somebody else who brought it or has shown that he has it, and what it offers to
//! those it asks to keep it. What its owner put for himself alone nobody gets.

mod find;
mod offer;
mod remote;
mod serve;
mod silent;
mod watch;
pub(crate) mod wire;

#[cfg(test)]
mod tests;

pub use find::{Member, Members, Spreading, Terms, Where, code_for, days_from_now};
pub use serve::{Guard, Server};
pub use silent::Silent;
pub use watch::{Looked, Watch};
#[doc(hidden)]
pub use wire::again as request_again;
pub use wire::{BLOBS, STORE};

use crate::{BlobHash, Peer, Store};
use offer::Offers;
use remote::Remote;
use std::sync::Arc;
use stoa_base::now;
use stoa_net::{Connections, Endpoint, PeerAddress, Room};

/// A store, and what others may have of it.
pub(crate) struct Shared {
    pub store: Store,
    /// What it offers of its own for now.
    offers: Offers,
    /// Turns of those who call this node, and of those whom it has called.
    room: Arc<Room<3>>,
}

impl Shared {
    /// Whether others may have a blob.
    fn may_serve(&self, hash: BlobHash) -> bool {
        self.offers.has(hash) || self.store.is_open(hash).unwrap_or(false)
    }
}

/// Other nodes' stores, seen from this one. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    shared: Arc<Shared>,
    connections: Connections,
    members: Arc<dyn Members>,
}

impl Network {
    /// The stores of these members, for this store.
    pub fn new(store: Store, endpoint: &Endpoint, members: Arc<dyn Members>) -> Self {
        let shared = Arc::new(Shared { store, offers: Offers::default(), room: Room::new(serve::SHARES) });
        Self { shared, connections: Connections::new(endpoint, STORE), members }
    }

    /// This node's own store.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// What answers others for this node.
    pub fn server(&self, guard: Guard) -> Server {
        Server::new(self.shared.clone(), guard)
    }

    /// The store of another node.
    pub fn peer(&self, address: &PeerAddress) -> Arc<dyn Peer> {
        Arc::new(self.remote(address))
    }

    fn remote(&self, address: &PeerAddress) -> Remote {
        Remote { shared: self.shared.clone(), connections: self.connections.clone(), address: address.clone() }
    }
}

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
use parking_lot::Mutex;
use remote::Remote;
use std::{collections::HashMap, sync::Arc};
use stoa_base::now;
use stoa_net::{Connections, Endpoint, PeerAddress};

/// A store, and what it offers of its own for now.
pub(crate) struct Shared {
    pub store: Store,
    /// How many are being asked to take a blob.
    offers: Mutex<HashMap<BlobHash, usize>>,
}

impl Shared {
    /// Whether others may have a blob.
    fn may_serve(&self, hash: BlobHash) -> bool {
        self.offers.lock().contains_key(&hash) || self.store.is_open(hash).unwrap_or(false)
    }

    /// Offers blobs until what comes back is dropped.
    fn offer(self: &Arc<Self>, blobs: impl IntoIterator<Item = BlobHash>) -> Offer {
        let blobs: Vec<_> = blobs.into_iter().collect();
        let mut offers = self.offers.lock();
        blobs.iter().for_each(|hash| *offers.entry(*hash).or_default() += 1);
        Offer { shared: self.clone(), blobs }
    }
}

struct Offer {
    shared: Arc<Shared>,
    blobs: Vec<BlobHash>,
}

impl Drop for Offer {
    fn drop(&mut self) {
        let mut offers = self.shared.offers.lock();
        for hash in &self.blobs {
            match offers.get_mut(hash) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(offers.remove(hash)),
            }
        }
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
        let shared = Arc::new(Shared { store, offers: Mutex::default() });
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

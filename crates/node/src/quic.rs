//! Who follows whom, over QUIC.

use crate::known::known;
use commonware_runtime::tokio::Context;
use futures::{FutureExt as _, future::BoxFuture};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use stoa_base::NodeId;
use stoa_consensus::{
    Waiting,
    follow::{Link, MOST_REQUEST, Server},
};
use stoa_net::{Answers, Connected, Connections, Endpoint, Known, PeerAddress, Service, iroh::protocol::RouterBuilder};

/// The protocol between a follower and the node that it follows.
const FOLLOW: &[u8] = b"stoa/follow/1";

/// What a node does for those that follow it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Served {
    connected: Connected,
    requests: Arc<AtomicU64>,
}

impl Served {
    /// How many nodes are connected to follow this one.
    pub fn followers(&self) -> usize {
        self.connected.count()
    }

    /// How many requests of followers have come.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Begins to answer those that follow this node.
pub fn serve<W: Waiting>(endpoint: &Endpoint, server: Server<Context, W>) -> (RouterBuilder, Served) {
    let requests = Arc::<AtomicU64>::default();
    let known = known(server.ledger());
    let followers = Followers { server, known: known.clone(), requests: requests.clone() };
    let answers = Answers::new(Arc::new(followers)).leaving_room_for(known);
    let served = Served { connected: answers.connected(), requests };
    (endpoint.router().accept(FOLLOW, answers), served)
}

/// Answers followers.
struct Followers<W: Waiting> {
    server: Server<Context, W>,
    known: Known,
    requests: Arc<AtomicU64>,
}

impl<W: Waiting> Service for Followers<W> {
    const MOST_REQUEST: usize = MOST_REQUEST;

    fn answer(&self, from: NodeId, request: Vec<u8>) -> BoxFuture<'_, Vec<u8>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        async move { self.server.answer(&request, !(self.known)(from).await).await }.boxed()
    }
}

/// Peers over QUIC. Cheap to clone.
#[derive(Clone)]
pub struct Quic {
    connections: Connections,
    peers: Arc<Vec<PeerAddress>>,
}

impl Quic {
    /// The way to peers.
    pub fn new(endpoint: &Endpoint, peers: Vec<PeerAddress>) -> Self {
        Self { connections: Connections::new(endpoint, FOLLOW), peers: Arc::new(peers) }
    }
}

impl Link for Quic {
    fn count(&self) -> usize {
        self.peers.len()
    }

    fn name(&self, peer: usize) -> String {
        self.peers[peer].to_string()
    }

    fn ask(
        &self,
        peer: usize,
        request: Vec<u8>,
        most: usize,
    ) -> impl Future<Output = Result<Vec<u8>, String>> + Send + use<> {
        let quic = self.clone();
        let asked = async move { quic.connections.ask(&quic.peers[peer], &request, most).await };
        async move { asked.await.map_err(|error| format!("{error:#}")) }
    }
}

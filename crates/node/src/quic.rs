//! Who follows whom, over QUIC.

use commonware_runtime::tokio::Context;
use futures::{FutureExt as _, future::BoxFuture};
use std::sync::Arc;
use stoa_base::NodeId;
use stoa_consensus::{
    Waiting,
    follow::{Link, MOST_REQUEST, Server},
};
use stoa_net::{Answers, Connections, Endpoint, PeerAddress, Service, iroh::protocol::RouterBuilder};

/// The protocol between a follower and the node that it follows.
const FOLLOW: &[u8] = b"stoa/follow/1";

/// Begins to answer those that follow this node.
pub fn serve<W: Waiting>(endpoint: &Endpoint, server: Server<Context, W>) -> RouterBuilder {
    endpoint.router().accept(FOLLOW, Answers::new(Arc::new(Followers(server))))
}

/// Answers followers.
struct Followers<W: Waiting>(Server<Context, W>);

impl<W: Waiting> Service for Followers<W> {
    const MOST_REQUEST: usize = MOST_REQUEST;

    fn answer(&self, _: NodeId, request: Vec<u8>) -> BoxFuture<'_, Vec<u8>> {
        async move { self.0.answer(&request).await }.boxed()
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

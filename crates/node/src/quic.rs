//! Who follows whom, over QUIC.

use commonware_runtime::tokio::Context;
use eyre::Result;
use std::{fmt, sync::Arc, time::Duration};
use stoa_consensus::{
    Waiting,
    follow::{Link, MOST_REQUEST, Server},
};
use stoa_net::{
    Connections, Endpoint, PeerAddress,
    iroh::{
        endpoint::{Connection, RecvStream, SendStream, VarInt},
        protocol::{AcceptError, ProtocolHandler, RouterBuilder},
    },
};
use tokio::{sync::Semaphore, time::timeout};

/// The protocol between a follower and the node that it follows.
const FOLLOW: &[u8] = b"stoa/follow/1";

/// How many others may follow a node at a time.
const FOLLOWERS: usize = 1024;

/// How long a request may take to arrive.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// Begins to answer those that follow this node.
pub fn serve<W: Waiting>(endpoint: &Endpoint, server: Server<Context, W>) -> RouterBuilder {
    let followers = Arc::new(Semaphore::new(FOLLOWERS));
    endpoint.router().accept(FOLLOW, Followers { server, followers })
}

/// Answers followers.
struct Followers<W: Waiting> {
    server: Server<Context, W>,
    followers: Arc<Semaphore>,
}

impl<W: Waiting> fmt::Debug for Followers<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Followers").finish_non_exhaustive()
    }
}

impl<W: Waiting> ProtocolHandler for Followers<W> {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let Ok(_place) = self.followers.try_acquire() else {
            connection.close(VarInt::from_u32(1), b"too many follow this node");
            return Ok(());
        };
        // Until the follower goes.
        while let Ok((send, receive)) = connection.accept_bi().await {
            let server = self.server.clone();
            tokio::spawn(async move {
                if let Err(error) = answer(&server, send, receive).await {
                    tracing::debug!(%error, "a follower was not answered");
                }
            });
        }
        Ok(())
    }
}

async fn answer<W: Waiting>(server: &Server<Context, W>, mut send: SendStream, mut receive: RecvStream) -> Result<()> {
    let request = timeout(REQUEST_TIME, receive.read_to_end(MOST_REQUEST)).await??;
    // Nobody waits for an answer after the follower has gone.
    let answer = tokio::select! {
        answer = server.answer(&request) => answer,
        _ = send.stopped() => return Ok(()),
    };
    send.write_all(&answer).await?;
    send.finish()?;
    Ok(())
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
        let asked = async move {
            let connection = quic.connections.to(&quic.peers[peer], |_| ()).await?;
            let (mut send, mut receive) = connection.open_bi().await?;
            send.write_all(&request).await?;
            send.finish()?;
            Ok::<_, eyre::Report>(receive.read_to_end(most).await?)
        };
        async move { asked.await.map_err(|error| format!("{error:#}")) }
    }
}

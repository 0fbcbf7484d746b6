//! QUIC between nodes: who follows whom.
//!
//! Each node has one endpoint, known by its ed25519 key; a validator's is that by which the other validators know it, and it
//! listens on the UDP port of the same number as the TCP port of the validators' network. Protocols are told apart by their
//! ALPN string.

use commonware_codec::Encode as _;
use commonware_cryptography::ed25519::PrivateKey;
use commonware_runtime::tokio::Context;
use eyre::{ContextCompat as _, Result, WrapErr as _, eyre};
use iroh::{
    EndpointAddr, EndpointId, RelayMode, SecretKey,
    endpoint::{Connection, QuicTransportConfig, RecvStream, SendStream, VarInt, presets},
    protocol::{AcceptError, ProtocolHandler, Router},
};
use std::{fmt, net::SocketAddr, str::FromStr, sync::Arc, time::Duration};
use stoa_consensus::{
    Waiting,
    follow::{Link, MOST_REQUEST, Server},
};
use tokio::{
    sync::{Mutex, Semaphore},
    time::timeout,
};

/// The protocol between a follower and the node that it follows.
const FOLLOW: &[u8] = b"stoa/follow/1";

/// How many others may follow a node at a time.
const FOLLOWERS: usize = 1024;

/// How many requests one of them may have under way.
const REQUESTS: u32 = 32;

/// How long a request may take to arrive.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// How long it may take to reach a peer.
const CONNECT_TIME: Duration = Duration::from_secs(4);

/// How long a peer that says nothing counts as there; and how often it is made to say something.
const SILENCE: Duration = Duration::from_secs(6);
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// Where a node that can be followed is: `KEY@HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// ed25519 public key.
    pub key: EndpointId,
    /// Host and UDP port.
    pub host: String,
}

impl FromStr for PeerAddress {
    type Err = eyre::Report;

    fn from_str(text: &str) -> Result<Self> {
        let (key, host) = text.split_once('@').wrap_err_with(|| format!("{text}: want KEY@HOST:PORT"))?;
        let bytes = alloy_primitives::B256::from_str(key).map_err(|_| eyre!("{key} is no ed25519 public key"))?;
        let key = EndpointId::from_bytes(&bytes.0).map_err(|_| eyre!("{key} is no ed25519 public key"))?;
        let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        port.wrap_err_with(|| format!("{host}: want HOST:PORT"))?;
        Ok(Self { key, host: host.to_owned() })
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", alloy_primitives::B256::from(*self.key.as_bytes()), self.host)
    }
}

/// A node's endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint(iroh::Endpoint);

impl Endpoint {
    /// Opens one on a UDP port. It uses no relays, and asks nobody for addresses.
    ///
    /// # Errors
    ///
    /// If the port is taken.
    pub async fn bind(key: &PrivateKey, listen: SocketAddr) -> Result<Self> {
        let secret: [u8; 32] = key.encode().as_ref().try_into().map_err(|_| eyre!("a key has 32 bytes"))?;
        let transport = QuicTransportConfig::builder()
            .max_concurrent_bidi_streams(VarInt::from_u32(REQUESTS))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            // An answer has up to some megabytes, at a few hundred milliseconds.
            .stream_receive_window(VarInt::from_u32(16 << 20))
            .receive_window(VarInt::from_u32(32 << 20))
            .send_window(32 << 20)
            .max_idle_timeout(Some(SILENCE.try_into().wrap_err("the time of silence")?))
            .keep_alive_interval(KEEP_ALIVE)
            .default_path_max_idle_timeout(SILENCE)
            .default_path_keep_alive_interval(KEEP_ALIVE)
            .build();
        let endpoint = iroh::Endpoint::builder(presets::Minimal)
            .secret_key(SecretKey::from_bytes(&secret))
            .relay_mode(RelayMode::Disabled)
            .clear_address_lookup()
            .clear_ip_transports()
            .transport_config(transport)
            .bind_addr(listen)
            .wrap_err_with(|| format!("cannot listen on {listen}/udp"))?;
        let endpoint = endpoint.bind().await.wrap_err_with(|| format!("cannot listen on {listen}/udp"))?;
        Ok(Self(endpoint))
    }

    /// The key by which others know it, and the address that it listens on.
    pub fn address(&self) -> Option<PeerAddress> {
        let host = self.0.bound_sockets().first()?.to_string();
        Some(PeerAddress { key: self.0.id(), host })
    }

    /// Answers those that follow this node, until the router is dropped.
    pub fn serve<W: Waiting>(&self, server: Server<Context, W>) -> Router {
        let followers = Arc::new(Semaphore::new(FOLLOWERS));
        Router::builder(self.0.clone()).accept(FOLLOW, Followers { server, followers }).spawn()
    }

    /// The way to peers.
    pub fn link(&self, peers: Vec<PeerAddress>) -> Quic {
        let peers = peers.into_iter().map(|address| Peer { address, connection: Mutex::default() }).collect();
        Quic { endpoint: self.0.clone(), peers: Arc::new(peers) }
    }

    /// Lets what is under way end.
    pub async fn close(&self) {
        self.0.close().await;
    }
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

struct Peer {
    address: PeerAddress,
    connection: Mutex<Option<Connection>>,
}

/// Peers over QUIC. Cheap to clone.
#[derive(Clone)]
pub struct Quic {
    endpoint: iroh::Endpoint,
    peers: Arc<Vec<Peer>>,
}

impl Quic {
    /// The connection to a peer: that which there is, or a new one.
    async fn connection(&self, peer: &Peer) -> Result<Connection> {
        let mut connection = peer.connection.lock().await;
        if let Some(open) = connection.as_ref().filter(|open| open.close_reason().is_none()) {
            return Ok(open.clone());
        }
        let connecting = async {
            let addresses = tokio::net::lookup_host(&peer.address.host).await?;
            let address = addresses.fold(EndpointAddr::new(peer.address.key), EndpointAddr::with_ip_addr);
            Ok::<_, eyre::Report>(self.endpoint.connect(address, FOLLOW).await?)
        };
        let new = timeout(CONNECT_TIME, connecting).await.map_err(|_| eyre!("it cannot be reached"))??;
        *connection = Some(new.clone());
        Ok(new)
    }
}

impl Link for Quic {
    fn count(&self) -> usize {
        self.peers.len()
    }

    fn name(&self, peer: usize) -> String {
        self.peers[peer].address.to_string()
    }

    fn ask(
        &self,
        peer: usize,
        request: Vec<u8>,
        most: usize,
    ) -> impl Future<Output = Result<Vec<u8>, String>> + Send + use<> {
        let quic = self.clone();
        let asked = async move {
            let connection = quic.connection(&quic.peers[peer]).await?;
            let (mut send, mut receive) = connection.open_bi().await?;
            send.write_all(&request).await?;
            send.finish()?;
            Ok::<_, eyre::Report>(receive.read_to_end(most).await?)
        };
        async move { asked.await.map_err(|error| format!("{error:#}")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_was_written() {
        let key = SecretKey::generate().public();
        let address = PeerAddress { key, host: "a.example:9000".into() };
        assert_eq!(address.to_string().parse::<PeerAddress>().unwrap(), address);
        for wrong in ["", "a.example:9000", "0x12@a.example:9000", &format!("{}@a.example", "0x00".repeat(16))] {
            assert!(wrong.parse::<PeerAddress>().is_err(), "{wrong}");
        }
    }
}

//! QUIC between nodes.
//!
//! Each node has one endpoint, known by its ed25519 key; a validator's is that by which the other validators know it, and it
//! listens on the UDP port of the same number as the TCP port of the validators' network. Protocols are told apart by their
//! ALPN string. iroh is used without relays and without discovery: nobody else is asked for anything.

mod address;
mod answers;
mod beginning;
mod connections;
#[cfg(test)]
mod loss;
mod places;
mod room;

pub use address::PeerAddress;
pub use answers::{Answers, Connected, Denied, Known, Service, answer, answered, give_up, read_answer, send};
pub use connections::Connections;
pub use iroh;
pub use room::{Caller, Room, Share};

use commonware_codec::Encode as _;
use commonware_cryptography::ed25519::PrivateKey;
use eyre::{Result, WrapErr as _, eyre};
use iroh::{
    EndpointAddr, RelayMode, SecretKey,
    endpoint::{ConnectOptions, Connection, QuicTransportConfig, VarInt, presets},
    protocol::{Router, RouterBuilder},
};
use std::{net::SocketAddr, time::Duration};
use stoa_base::NodeId;

/// How many requests a peer may have under way on one connection.
pub const REQUESTS: u32 = 64;

/// Bytes that may wait here to be read: of a peer that has called this node, and of one that it has called itself, which gives
/// what it asks for. What a caller is to give takes [`Connection::set_receive_window`].
const FROM_CALLERS: VarInt = VarInt::from_u32(1 << 20);
/// The most there may be.
pub const MOST_UNREAD: VarInt = VarInt::from_u32(32 << 20);

/// Bytes that may wait here, on one connection, until the peer says that they have come.
const UNHEARD: u64 = 8 << 20;

/// How long a peer that says nothing counts as there; and how often it is made to say something.
const SILENCE: Duration = Duration::from_secs(6);
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// How bytes go over a connection on which so many may wait here to be read.
fn transport(unread: VarInt) -> Result<QuicTransportConfig> {
    let config = QuicTransportConfig::builder()
        .max_concurrent_bidi_streams(VarInt::from_u32(REQUESTS))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        // Of a stream on which a packet is missing `noq` keeps 2,048 packets that came behind it, and ends the connection at
        // one more: no window may have more of them, and the smallest has some 1,150 bytes of a stream.
        .stream_receive_window(VarInt::from_u32(2 << 20))
        .receive_window(unread)
        .send_window(UNHEARD)
        .max_idle_timeout(Some(SILENCE.try_into().wrap_err("the time of silence")?))
        .keep_alive_interval(KEEP_ALIVE)
        .default_path_max_idle_timeout(SILENCE)
        .default_path_keep_alive_interval(KEEP_ALIVE);
    Ok(config.build())
}

/// A node's endpoint. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Endpoint(iroh::Endpoint);

impl Endpoint {
    /// Opens one on a UDP port.
    ///
    /// # Errors
    ///
    /// If the port is taken.
    pub async fn bind(key: &PrivateKey, listen: SocketAddr) -> Result<Self> {
        let secret: [u8; 32] = key.encode().as_ref().try_into().map_err(|_| eyre!("a key has 32 bytes"))?;
        let endpoint = iroh::Endpoint::builder(presets::Minimal)
            .secret_key(SecretKey::from_bytes(&secret))
            .relay_mode(RelayMode::Disabled)
            .clear_address_lookup()
            .clear_ip_transports()
            .transport_config(transport(FROM_CALLERS)?)
            .bind_addr(listen)
            .wrap_err_with(|| format!("cannot listen on {listen}/udp"))?;
        let endpoint = endpoint.bind().await.wrap_err_with(|| format!("cannot listen on {listen}/udp"))?;
        Ok(Self(endpoint))
    }

    /// The key by which others know it.
    pub fn node(&self) -> NodeId {
        NodeId(*self.0.id().as_bytes())
    }

    /// The same, and the address that it listens on.
    pub fn address(&self) -> Option<PeerAddress> {
        let host = self.0.bound_sockets().first()?.to_string();
        Some(PeerAddress { key: self.0.id(), host })
    }

    /// Calls another node.
    async fn connect(&self, address: EndpointAddr, alpn: &[u8]) -> Result<Connection> {
        let options = ConnectOptions::new().with_transport_config(transport(MOST_UNREAD)?);
        Ok(self.0.connect_with_opts(address, alpn, options).await?.await?)
    }

    /// Begins to answer others: each protocol is added by its ALPN string.
    pub fn router(&self) -> RouterBuilder {
        beginning::guard(Router::builder(self.0.clone()))
    }

    /// Lets what is under way end.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

//! QUIC between nodes.
//!
//! Each node has one endpoint, known by its ed25519 key; a validator's is that by which the other validators know it, and it
//! listens on the UDP port of the same number as the TCP port of the validators' network. Protocols are told apart by their
//! ALPN string. iroh is used without relays and without discovery: nobody else is asked for anything.

mod address;
mod answers;
mod connections;

pub use address::PeerAddress;
pub use answers::{Answers, Connected, Denied, Service, answer, answered, read_answer, send};
pub use connections::Connections;
pub use iroh;

use commonware_codec::Encode as _;
use commonware_cryptography::ed25519::PrivateKey;
use eyre::{Result, WrapErr as _, eyre};
use iroh::{
    RelayMode, SecretKey,
    endpoint::{QuicTransportConfig, VarInt, presets},
    protocol::{Router, RouterBuilder},
};
use std::{net::SocketAddr, time::Duration};

/// How many requests a peer may have under way on one connection.
pub const REQUESTS: u32 = 64;

/// How long a peer that says nothing counts as there; and how often it is made to say something.
const SILENCE: Duration = Duration::from_secs(6);
const KEEP_ALIVE: Duration = Duration::from_secs(2);

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
        let transport = QuicTransportConfig::builder()
            .max_concurrent_bidi_streams(VarInt::from_u32(REQUESTS))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            // Of a stream on which a packet is missing `noq` keeps 2,048 packets that came behind it, and ends the connection at
            // one more: no window may have more of them, and the smallest has some 1,150 bytes of a stream.
            .stream_receive_window(VarInt::from_u32(2 << 20))
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

    /// Begins to answer others: each protocol is added by its ALPN string.
    pub fn router(&self) -> RouterBuilder {
        Router::builder(self.0.clone())
    }

    /// Lets what is under way end.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

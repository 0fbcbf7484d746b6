use alloy_primitives::B256;
use eyre::{ContextCompat as _, Result, eyre};
use iroh::EndpointId;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _},
    str::FromStr,
};
use stoa_base::NodeId;

/// Where a node is: `KEY@HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddress {
    /// ed25519 public key.
    pub key: EndpointId,
    /// Host and UDP port.
    pub host: String,
}

impl PeerAddress {
    /// The node of this name at `HOST:PORT`.
    ///
    /// # Errors
    ///
    /// If the name is no key, or there is no port.
    pub fn new(node: NodeId, host: &str) -> Result<Self> {
        let key = EndpointId::from_bytes(&node.0).map_err(|_| eyre!("{node} is no ed25519 public key"))?;
        let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        port.wrap_err_with(|| format!("{host}: want HOST:PORT"))?;
        Ok(Self { key, host: host.to_owned() })
    }

    /// The node's name.
    pub fn node(&self) -> NodeId {
        NodeId(*self.key.as_bytes())
    }

    /// Where to call such nodes from: loopback if all of them are there.
    pub fn toward<'a>(peers: impl IntoIterator<Item = &'a Self>) -> SocketAddr {
        let resolved = |peer: &'a Self| peer.host.to_socket_addrs().into_iter().flatten();
        let resolved = peers.into_iter().flat_map(resolved).collect::<Vec<_>>();
        let local = !resolved.is_empty() && resolved.iter().all(|address| address.ip().is_loopback());
        let six = resolved.iter().any(SocketAddr::is_ipv6) && !resolved.iter().any(SocketAddr::is_ipv4);
        let ip: IpAddr = match (local, six) {
            (true, false) => Ipv4Addr::LOCALHOST.into(),
            (true, true) => Ipv6Addr::LOCALHOST.into(),
            (false, false) => Ipv4Addr::UNSPECIFIED.into(),
            (false, true) => Ipv6Addr::UNSPECIFIED.into(),
        };
        SocketAddr::new(ip, 0)
    }
}

impl FromStr for PeerAddress {
    type Err = eyre::Report;

    fn from_str(text: &str) -> Result<Self> {
        let (key, host) = text.split_once('@').wrap_err_with(|| format!("{text}: want KEY@HOST:PORT"))?;
        Self::new(key.parse().map_err(|_| eyre!("{key} is no ed25519 public key"))?, host)
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", B256::from(*self.key.as_bytes()), self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use iroh::SecretKey;

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

//! A validator's connections to the others.

use crate::engine::{BLOCK_OVERHEAD, CHANNELS};
use alloy_primitives::keccak256;
use commonware_codec::Encode as _;
use commonware_cryptography::{
    ChaCha20Poly1305, Signer as _,
    ed25519::{PrivateKey, PublicKey},
};
use commonware_p2p::{Address, Ingress, authenticated::lookup};
use commonware_runtime::{Clock, Network, Quota, Resolver};
use commonware_stream::{
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{Hostname, NZU32, NZUsize, TryCollect as _, ordered::Map};
use rand::CryptoRng;
use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    num::NonZeroUsize,
    time::Duration,
};
use stoa_ledger::state::Runtime;

/// Channels of the ceremony, with how many messages a second a peer may send on each.
const CEREMONY: [(u64, Quota); 7] = [
    (16, Quota::per_second(NZU32!(1024))),
    (17, Quota::per_second(NZU32!(1024))),
    (18, Quota::per_second(NZU32!(128))),
    (19, Quota::per_second(NZU32!(128))),
    (20, Quota::per_second(NZU32!(256))),
    (21, Quota::per_second(NZU32!(256))),
    (22, Quota::per_second(NZU32!(16))),
];

/// Both ends of a channel.
pub(crate) type Pair<E> = (lookup::Sender<PublicKey, E>, lookup::Receiver<PublicKey>);

/// Where validators listen.
pub type Peers = Map<PublicKey, Address>;

/// A validator's connections to the others.
pub struct Wire<E: Clock> {
    pub(crate) key: PrivateKey,
    pub(crate) peers: Peers,
    pub(crate) namespace: Vec<u8>,
    pub(crate) oracle: lookup::Oracle<PublicKey>,
    pub(crate) consensus: Vec<Pair<E>>,
    pub(crate) ceremony: Option<Vec<Pair<E>>>,
}

/// Why a validator cannot connect.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WireError {
    /// An address is missing or there twice.
    #[error("two validators have the same key")]
    Twice,
    /// The keys are somebody else's.
    #[error("this validator's key is not one of those of the network")]
    NotMine,
    /// Nobody could be called there.
    #[error("{0}: want HOST:PORT")]
    Host(String),
}

/// Where validators listen, by key, each as `HOST:PORT`. Names are looked up now and whenever somebody is called, so that a host
/// which nobody knows at present keeps no validator from starting. Blocking: for as long as it takes to look one of them up.
///
/// # Errors
///
/// If one comes twice, or is no address.
pub fn peers(peers: impl IntoIterator<Item = (PublicKey, String)>) -> Result<Peers, WireError> {
    let (peers, hosts) = peers.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
    let addresses = std::thread::scope(|scope| {
        let looking = hosts.iter().map(|host| scope.spawn(move || address(host))).collect::<Vec<_>>();
        let found = looking.into_iter().map(|looking| looking.join().expect("looking up a name does not panic"));
        found.collect::<Result<Vec<_>, _>>()
    })?;
    peers.into_iter().zip(addresses).try_collect::<Peers>().map_err(|_| WireError::Twice)
}

fn address(host: &str) -> Result<Address, WireError> {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return Ok(address.into());
    }
    let parts = host.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse::<u16>().ok()?)));
    let (name, port) = parts.ok_or_else(|| WireError::Host(host.to_owned()))?;
    let found = host.to_socket_addrs().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    match (Hostname::new(name), found.as_slice()) {
        // Who has one address calls from there; of others it is not known.
        (Ok(host), [egress]) => Ok(Address::Asymmetric { ingress: Ingress::Dns { host, port }, egress: *egress }),
        (Ok(name), found) => {
            if found.is_empty() {
                tracing::warn!(host, "nobody knows where this validator is: it is called as soon as somebody does");
            }
            let egress = SocketAddr::from(([0, 0, 0, 0], port));
            Ok(Address::Asymmetric { ingress: Ingress::Dns { host: name, port }, egress })
        }
        // A name that is none for the domain name system, but is for this machine.
        (Err(_), [first, ..]) => Ok((*first).into()),
        (Err(_), []) => Err(WireError::Host(host.to_owned())),
    }
}

/// Listens to the other validators and calls them. `network` tells one network from another; blocks have at most
/// `max_bytes` of transactions.
///
/// # Errors
///
/// [`WireError::NotMine`] if the key is not among the peers'.
///
/// # Panics
///
/// If the address cannot be listened on.
pub fn connect<E>(
    runtime: E,
    key: PrivateKey,
    network: &[u8],
    listen: SocketAddr,
    peers: Peers,
    max_bytes: usize,
) -> Result<Wire<E>, WireError>
where
    E: Runtime + CryptoRng + Network + Resolver,
{
    if peers.get_value(&key.public_key()).is_none() {
        return Err(WireError::NotMine);
    }
    let handshake = Cups::<_, ChaCha20Poly1305>::new(
        Sake {
            signer: key.clone(),
            synchrony_bound: Duration::from_secs(5),
            max_handshake_age: Duration::from_secs(10),
            version: sake::Version::V1,
        },
        cups::Version::V1,
    );
    // Validators of another list are on another network.
    let namespace = [b"stoa-", network, keccak256(peers.keys().encode()).as_slice()].concat();
    let most = u32::try_from(max_bytes + BLOCK_OVERHEAD + (1 << 20)).expect("blocks stay far below 4 GiB");
    let count = NonZeroUsize::new(peers.len()).expect("the key is among them");
    let mut config = lookup::Config::local(handshake, &namespace, listen, count, most, NZUsize!(1024));
    // One peer is called at a time.
    config.dial_frequency = Duration::from_millis(100);
    // Where it is not known from where one of them calls, whoever shows its key may call from anywhere.
    config.bypass_ip_check = peers.values().iter().any(|address| address.egress_ip().is_unspecified());
    let (mut network, oracle) = lookup::Network::new(runtime.child("network"), config);
    let consensus = CHANNELS.iter().map(|(channel, quota)| network.register(*channel, *quota)).collect();
    let ceremony = CEREMONY.iter().map(|(channel, quota)| network.register(*channel, *quota)).collect();
    network.start();
    Ok(Wire { key, peers, namespace, oracle, consensus, ceremony: Some(ceremony) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_looked_up_when_it_is_called_and_need_not_be_known_before() {
        let peer = |host: &str| peers([(PrivateKey::from_seed(1).public_key(), host.to_owned())]);
        let address = |host: &str| peer(host).unwrap().values()[0].clone();
        assert_eq!(address("127.0.0.1:9000"), Address::Symmetric(SocketAddr::from(([127, 0, 0, 1], 9000))));
        let unknown = address("nowhere.invalid:9000");
        let host = Hostname::new("nowhere.invalid").unwrap();
        assert_eq!(unknown.ingress(), Ingress::Dns { host, port: 9000 });
        assert!(unknown.egress_ip().is_unspecified());
        assert!(matches!(peer("nowhere.invalid"), Err(WireError::Host(_))));
    }
}

//! One validator on its network.

use crate::{
    Committee, CommitteeError, Identity,
    application::Waiting,
    engine::{self, BLOCK_OVERHEAD, CHANNELS},
    pace::Pace,
};
use alloy_primitives::Address;
use commonware_cryptography::{ChaCha20Poly1305, ed25519::PublicKey};
use commonware_p2p::{Address as PeerAddress, AddressableManager as _, authenticated::lookup};
use commonware_runtime::{Handle, Network, Resolver};
use commonware_stream::{
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{NZUsize, TryCollect as _, ordered::Map};
use rand::CryptoRng;
use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};
use stoa_ledger::{
    Ledger,
    state::{Runtime, StateConfig},
};

/// What a validator runs with.
pub struct Validator<W> {
    /// The chain; its genesis names the committee.
    pub ledger: Ledger,
    /// How the state database is laid out.
    pub state: StateConfig,
    /// Transactions to include.
    pub waiting: W,
    /// Who gets the tips.
    pub beneficiary: Address,
    /// How often blocks come.
    pub pace: Pace,
    /// The most bytes of transactions in a block.
    pub max_bytes: usize,
    /// What only this validator knows.
    pub identity: Identity,
    /// Where it listens to the others.
    pub listen: SocketAddr,
    /// Where the validators listen, this one included.
    pub peers: Vec<(PublicKey, SocketAddr)>,
}

/// Why a validator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ValidatorError {
    /// The genesis file names none.
    #[error("the genesis file names no committee")]
    NoCommittee,
    /// It names one that cannot be.
    #[error(transparent)]
    Committee(#[from] CommitteeError),
    /// The keys are not a validator's.
    #[error("these keys belong to none of the validators that the genesis file names")]
    NotMine,
    /// An address is missing, or of somebody else.
    #[error("the addresses of the validators are not those of the committee: {0}")]
    Peers(&'static str),
}

/// What keeps signatures of one chain from counting on another.
pub fn namespace(ledger: &Ledger) -> Vec<u8> {
    [b"stoa-", ledger.first().hash().as_slice()].concat()
}

/// Starts a validator. Returns when its state has joined the ledger; the handle is that of its consensus engine, which ends
/// only when the runtime stops.
///
/// # Errors
///
/// If keys, addresses and genesis file do not belong together.
///
/// # Panics
///
/// If the storage cannot be opened or the address cannot be listened on.
pub async fn start<E, W>(runtime: E, validator: Validator<W>) -> Result<Handle<()>, ValidatorError>
where
    E: Runtime + CryptoRng + Network + Resolver,
    W: Waiting,
{
    let committee = validator.ledger.genesis().committee.as_ref().ok_or(ValidatorError::NoCommittee)?;
    let committee = Committee::try_from(committee)?;
    let namespace = namespace(&validator.ledger);
    let scheme = committee.signer(&namespace, &validator.identity).ok_or(ValidatorError::NotMine)?;
    let peers = validator.peers.into_iter().map(|(peer, address)| (peer, PeerAddress::from(address)));
    let peers = peers.try_collect::<Map<_, PeerAddress>>().map_err(|_| ValidatorError::Peers("one comes twice"))?;
    if peers.keys() != committee.validators() {
        return Err(ValidatorError::Peers("want one for each validator"));
    }

    let handshake = Cups::<_, ChaCha20Poly1305>::new(
        Sake {
            signer: validator.identity.key.clone(),
            synchrony_bound: Duration::from_secs(5),
            max_handshake_age: Duration::from_secs(10),
            version: sake::Version::V1,
        },
        cups::Version::V1,
    );
    let most = u32::try_from(validator.max_bytes + BLOCK_OVERHEAD + (1 << 20)).expect("blocks stay far below 4 GiB");
    let count = NonZeroUsize::new(peers.len()).expect("a committee is not empty");
    let config = lookup::Config::local(handshake, &namespace, validator.listen, count, most, NZUsize!(1024));
    let (mut network, mut oracle) = lookup::Network::new(runtime.child("network"), config);
    oracle.track(0, peers);
    let channels = CHANNELS.map(|(channel, quota)| network.register(channel, quota));
    network.start();

    let config = engine::Config {
        ledger: validator.ledger,
        state: validator.state,
        partition: "consensus".into(),
        waiting: validator.waiting,
        scheme,
        me: validator.identity.public(),
        beneficiary: validator.beneficiary,
        pace: validator.pace,
        max_bytes: validator.max_bytes,
        blocker: oracle.clone(),
        peers: oracle,
    };
    // Boxed, for the state of all that starts is large.
    Ok(Box::pin(engine::start(runtime, config, channels.into())).await)
}

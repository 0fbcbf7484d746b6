use crate::{
    application::{Scheme, Waiting},
    engine::{self, BLOCK_OVERHEAD, CHANNELS},
    pace::Pace,
};
use alloy_primitives::Address;
use commonware_cryptography::{
    ChaCha20Poly1305, Signer as _,
    bls12381::{
        dkg::feldman_desmedt::deal,
        primitives::{sharing::Mode, variant::MinSig},
    },
    ed25519::PrivateKey,
};
use commonware_p2p::{Address as PeerAddress, AddressableManager as _, authenticated::lookup};
use commonware_runtime::{Handle, Network, Resolver};
use commonware_stream::{
    cups::{self, Cups},
    sake::{self, Sake},
};
use commonware_utils::{
    N3f1, NZUsize, TryCollect as _,
    ordered::{Map, Set},
};
use rand::{CryptoRng, SeedableRng as _, rngs::StdRng};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use stoa_ledger::{
    Ledger,
    state::{Runtime, StateConfig},
};

/// What a network of one validator runs with.
pub struct Single<W> {
    /// The chain.
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
    /// From what the validator's keys are derived: the same after a restart.
    pub seed: [u8; 32],
}

/// Starts a network of one validator through the real consensus engine, on a loopback socket of its own.
///
/// # Panics
///
/// If the storage cannot be opened or no socket can be bound.
pub async fn start<E, W>(runtime: E, single: Single<W>) -> Handle<()>
where
    E: Runtime + CryptoRng + Network + Resolver,
    W: Waiting,
{
    let namespace = [b"stoa-", single.ledger.first().hash().as_slice()].concat();
    let mut rng = StdRng::from_seed(single.seed);
    let key = PrivateKey::from_seed(rand::Rng::next_u64(&mut rng));
    let me = key.public_key();
    let participants = [me.clone()].into_iter().try_collect::<Set<_>>().expect("one is no duplicate");
    let (output, shares) = deal::<MinSig, _, N3f1>(&mut rng, Mode::NonZeroCounter, participants.clone())
        .expect("a key can be dealt to one participant");
    let share = shares.get_value(&me).cloned().expect("the only participant has a share");
    let scheme = Scheme::signer(&namespace, participants, output.public().clone(), share).expect("the share fits");

    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let handshake = Cups::<_, ChaCha20Poly1305>::new(
        Sake {
            signer: key,
            synchrony_bound: Duration::from_secs(5),
            max_handshake_age: Duration::from_secs(10),
            version: sake::Version::V1,
        },
        cups::Version::V1,
    );
    let most = u32::try_from(single.max_bytes + BLOCK_OVERHEAD + (1 << 20)).expect("blocks stay far below 4 GiB");
    let config = lookup::Config::local(handshake, &namespace, listen, NZUsize!(1), most, NZUsize!(1024));
    let (mut network, mut oracle) = lookup::Network::new(runtime.child("network"), config);
    let peers: Map<_, PeerAddress> =
        [(me.clone(), listen.into())].into_iter().try_collect().expect("one is no duplicate");
    oracle.track(0, peers);
    let channels = CHANNELS.map(|(channel, quota)| network.register(channel, quota));
    network.start();

    let config = engine::Config {
        ledger: single.ledger,
        state: single.state,
        waiting: single.waiting,
        scheme,
        me,
        beneficiary: single.beneficiary,
        pace: single.pace,
        max_bytes: single.max_bytes,
        blocker: oracle.clone(),
        peers: oracle,
    };
    // Boxed, for the state of all that starts is large.
    Box::pin(engine::start(runtime, config, channels.into())).await
}

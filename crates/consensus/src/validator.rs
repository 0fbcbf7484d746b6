//! One validator on its network.

use crate::{
    Committee, CommitteeError,
    application::Waiting,
    engine,
    epochs::{Compared, Known, Secrets},
    floor::Floor,
    observe::Running,
    pace::{Pace, PaceError},
    wire::Wire,
};
use alloy_primitives::{Address, B256};
use commonware_cryptography::Signer as _;
use commonware_p2p::AddressableManager as _;
use commonware_runtime::Network;
use rand::CryptoRng;
use stoa_ledger::{
    Ledger,
    state::{Runtime, StateConfig},
};

/// What a validator runs with.
pub struct Validator<W, K> {
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
    /// This validator's shares of the network key.
    pub secrets: K,
    /// The block to go on from, if the node has come to it without consensus.
    pub floor: Option<Floor>,
    /// How this machine's clock stands to the others' newest block, if any of them has said so.
    pub compared: Option<Compared>,
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
    #[error("this key belongs to none of the validators that the genesis file names")]
    NotMine,
    /// An address is missing, or of somebody else.
    #[error("the validators that addresses are given of are not those that the genesis file names")]
    Peers,
    /// Blocks would come too fast or too seldom.
    #[error(transparent)]
    Pace(#[from] PaceError),
}

/// What keeps signatures of one chain from counting on another.
pub fn namespace(ledger: &Ledger) -> Vec<u8> {
    namespace_of(ledger.first().hash())
}

/// The same of the chain that begins with the block of this hash.
pub(crate) fn namespace_of(first: B256) -> Vec<u8> {
    [b"stoa-", first.as_slice()].concat()
}

/// Starts a validator. Returns when its state has joined the ledger. It ends only when the runtime stops.
///
/// # Errors
///
/// If keys, addresses and genesis file do not belong together, or blocks are to come faster or more seldom than is allowed.
///
/// # Panics
///
/// If the storage cannot be opened.
pub async fn start<E, W, K>(
    runtime: E,
    mut wire: Wire<E>,
    validator: Validator<W, K>,
) -> Result<Running, ValidatorError>
where
    E: Runtime + CryptoRng + Network,
    W: Waiting,
    K: Secrets,
{
    validator.pace.check()?;
    let committee = validator.ledger.genesis().committee.as_ref().ok_or(ValidatorError::NoCommittee)?;
    let committee = Committee::try_from(committee)?;
    if committee.validators().position(&wire.key.public_key()).is_none() {
        return Err(ValidatorError::NotMine);
    }
    if wire.peers.keys() != committee.validators() {
        return Err(ValidatorError::Peers);
    }
    // Blocks are asked for before it is known which epoch it is.
    wire.oracle.track(0, wire.peers.clone());
    let config = engine::Config {
        ledger: validator.ledger,
        state: validator.state,
        partition: "consensus".into(),
        waiting: validator.waiting,
        committee,
        key: wire.key,
        secrets: validator.secrets,
        beneficiary: validator.beneficiary,
        pace: validator.pace,
        max_bytes: validator.max_bytes,
        floor: validator.floor,
        compared: validator.compared,
        blocker: wire.oracle.clone(),
        peers: Known { oracle: wire.oracle, addresses: wire.peers },
        #[cfg(test)]
        malice: Default::default(),
        #[cfg(test)]
        notes: Default::default(),
    };
    // Boxed, for the state of all that starts is large.
    Ok(Box::pin(engine::start(runtime, config, wire.consensus)).await)
}

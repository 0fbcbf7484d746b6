//! The validators, and the key that they share.

use crate::application::Scheme;
use commonware_codec::{Copying, Decode as _, Encode as _};
use commonware_consensus::types::Epoch;
use commonware_cryptography::{
    Signer as _,
    bls12381::{
        dkg::feldman_desmedt::{Output, deal},
        primitives::{
            group::Share,
            sharing::{Mode, ModeVersion},
            variant::{MinSig, Variant},
        },
    },
    ed25519::{PrivateKey, PublicKey},
};
use commonware_glue::dkg::types::{EpochInfo as Info, EpochOutcome};
use commonware_math::algebra::Random as _;
use commonware_utils::{
    N3f1, NZU32, TryCollect as _,
    ordered::{Quorum as _, Set},
    sequence::Unit,
};
use rand::CryptoRng;
use std::num::NonZeroU32;

/// The most validators that a genesis file may name.
pub const MAX_VALIDATORS: NonZeroU32 = NZU32!(1000);

/// The key that verifies all certificates: a point of G2.
pub type NetworkKey = <MinSig as Variant>::Public;

/// Who agrees on blocks in an epoch, and who is to receive shares of the key in it.
pub(crate) type EpochInfo = Info<MinSig, PublicKey, Unit>;

/// Who agrees on blocks, and the public side of the key that they share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committee {
    output: Output<MinSig, PublicKey>,
}

/// Why a committee of a genesis file cannot be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the committee of the genesis file cannot be used: {0}")]
pub struct CommitteeError(String);

/// What only one validator knows.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Identifies it to the others.
    pub key: PrivateKey,
    /// Its share of the network key in the first epoch.
    pub share: Share,
}

impl Identity {
    /// What the others know of it.
    pub fn public(&self) -> PublicKey {
        self.key.public_key()
    }
}

impl Committee {
    /// That of a genesis file, which names so many validators at most.
    pub(crate) fn read(committee: &stoa_base::Committee, most: NonZeroU32) -> Result<Self, CommitteeError> {
        let output = Output::decode_cfg(Copying(&committee.output), &(most, ModeVersion::v0()))
            .map_err(|error| CommitteeError(format!("the outcome of the key generation: {error}")))?;
        let committee_of_output = Self::new(output)?;
        if !committee_of_output.validators().iter().map(bytes).eq(committee.validators.iter().copied()) {
            return Err(CommitteeError("the validators are not those who generated the key".into()));
        }
        Ok(committee_of_output)
    }

    /// The one that the generation of a key led to.
    ///
    /// # Errors
    ///
    /// If the key is not one that so many share, a quorum of whom can sign.
    pub fn new(output: Output<MinSig, PublicKey>) -> Result<Self, CommitteeError> {
        let (validators, sharing) = (output.players(), output.public());
        let count = validators.len();
        if count == 0 || count > MAX_VALIDATORS.get() as usize {
            return Err(CommitteeError(format!("it has {count} validators, want 1 to {MAX_VALIDATORS}")));
        }
        if sharing.total().get() as usize != count {
            return Err(CommitteeError(format!("{count} validators, but the key is shared by {}", sharing.total())));
        }
        if sharing.required() != validators.quorum::<N3f1>() {
            return Err(CommitteeError(format!("{} of {count} can sign, which is no quorum", sharing.required())));
        }
        Ok(Self { output })
    }

    /// Deals a key to new validators. Whoever does that knows all shares: for development only.
    pub fn deal(rng: &mut impl CryptoRng, count: NonZeroU32) -> (Self, Vec<Identity>) {
        let keys = (0..count.get()).map(|_| PrivateKey::random(&mut *rng)).collect::<Vec<_>>();
        let validators = keys.iter().map(PrivateKey::public_key);
        let validators = validators.try_collect::<Set<_>>().expect("random keys differ");
        let (output, shares) =
            deal::<MinSig, _, N3f1>(rng, Mode::NonZeroCounter, validators).expect("a key can be dealt to one or more");
        let identity = |key: PrivateKey| {
            let share = shares.get_value(&key.public_key()).cloned().expect("every validator has a share");
            Identity { key, share }
        };
        let mut identities = keys.into_iter().map(identity).collect::<Vec<_>>();
        identities.sort_by_key(Identity::public);
        (Self { output }, identities)
    }

    /// The validators, in the order of their keys.
    pub const fn validators(&self) -> &Set<PublicKey> {
        self.output.players()
    }

    /// The key that verifies all certificates.
    pub fn network_key(&self) -> NetworkKey {
        *self.output.public().public()
    }

    /// What the chain says of its first epoch: these validators agree on blocks, and share the key among themselves anew.
    pub(crate) fn first_epoch(&self) -> EpochInfo {
        EpochInfo {
            outcome: EpochOutcome::Success,
            epoch: Epoch::zero(),
            output: self.output.clone(),
            players: self.validators().clone(),
            next_players: self.validators().clone(),
            directory: Unit,
        }
    }

    /// How a validator signs in the first epoch, and checks what others sign. `None` if the identity is not one of the
    /// committee's.
    pub fn signer(&self, namespace: &[u8], identity: &Identity) -> Option<Scheme> {
        if self.validators().index(&identity.public()) != Some(identity.share.index) {
            return None;
        }
        let public = self.output.public().clone();
        Scheme::signer(namespace, self.validators().clone(), public, identity.share.clone())
    }
}

fn bytes(key: &PublicKey) -> alloy_primitives::B256 {
    alloy_primitives::B256::from_slice(key.as_ref())
}

impl TryFrom<&stoa_base::Committee> for Committee {
    type Error = CommitteeError;

    fn try_from(committee: &stoa_base::Committee) -> Result<Self, CommitteeError> {
        Self::read(committee, MAX_VALIDATORS)
    }
}

impl From<&Committee> for stoa_base::Committee {
    fn from(committee: &Committee) -> Self {
        Self {
            validators: committee.validators().iter().map(bytes).collect(),
            output: committee.output.encode().to_vec().into(),
        }
    }
}

//! Moving shares from old keepers to new ones, or to the same ones anew.
//!
//! ```text
//!  old keeper ──Handover::deal──▶ Dealing { commitment, a part sealed to each new keeper, signature }   published
//!  anybody    ──Handover::check, sharing──▶ the new Sharing
//!  new keeper ──Handover::finish──▶ its share, or the names of those who dealt it false parts
//! ```
//!
//! The new shares depend on whose dealings were used, so all must use those of the same `t` old keepers: the ledger lists
//! them, and the digest of the new sharing that follows. Anybody sees from a dealing that it hands on the dealer's own
//! share. Only its receiver sees that a part is false. It names the dealer then, and `t` others do without it: whoever
//! moves the shares leaves out dealers that are named, at the price that a new keeper who lies has one left out as well.
//! With `t` old keepers who deal truly and are not named falsely, every new keeper has its share.
//!
//! A part is secret for as long as the node key of its receiver is: there is no key of the move alone. A keeper that was away
//! gets its share from what others kept of the move, which any node that took part can keep for ever.

use super::{
    Commitment, Share, Sharing, SharingError, check,
    polynomial::{Polynomial, interpolate, weights},
    read_count,
};
use crate::{
    key::KEY_LEN,
    reader::{ReaderKey, node},
    sealed::{Purpose, SealedSecret},
    statement,
};
use alloy_primitives::B256;
use bytes::BufMut;
use commonware_codec::{Buf, Encode as _, EncodeSize, Error as CodecError, FixedSize, Read, ReadExt as _, Write};
use commonware_cryptography::{Secret, Signer as _, Verifier as _, ed25519};
use curve25519_dalek::Scalar;
use rand::CryptoRng;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeSet, fmt};
use stoa_base::NodeId;

/// Why shares do not move.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoverError {
    /// The keepers, or the number of them, cannot be.
    #[error(transparent)]
    Sharing(#[from] SharingError),
    /// There have been too many generations.
    #[error("the shares have been moved 2³² times; seal the asset under a new key")]
    Generations,
    /// It's not as many dealings as it takes, each of another old keeper.
    #[error("expected the dealings of {expected} different keepers, got {got} of {different}")]
    Count {
        /// How many it takes.
        expected: usize,
        /// How many came.
        got: usize,
        /// From how many keepers.
        different: usize,
    },
    /// A dealing is of another handover, hands on something else than its dealer's share, or is not signed by the dealer.
    #[error("the dealing in the name of {0} is false: leave it out and take that of another keeper")]
    FalseDealing(NodeId),
    /// What these dealers sealed to this keeper is not what they committed to.
    #[error("these keepers dealt false parts: {}", names(.0))]
    FalseParts(Vec<NodeId>),
}

fn names(keys: &[NodeId]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A move of an object's shares to other keepers, another threshold, or both.
#[derive(Clone, Debug)]
pub struct Handover<'a> {
    from: &'a Sharing,
    generation: u32,
    t: usize,
    keepers: Vec<ed25519::PublicKey>,
    /// Names the handover: what is dealt for one is no good for another.
    digest: B256,
}

/// What an old keeper publishes for the new ones.
///
/// `dealer (32) | t (1) | commitment (32 each) | m (1) | parts (80 each) | signature (64)`
#[derive(Clone, PartialEq, Eq)]
pub struct Dealing {
    dealer: ed25519::PublicKey,
    pub(super) commitment: Commitment,
    pub(super) parts: Vec<SealedSecret>,
    pub(super) signature: ed25519::Signature,
}

impl<'a> Handover<'a> {
    /// To these keepers, `t` of whom release the half from then on.
    ///
    /// # Errors
    ///
    /// If there cannot be so many keepers, or one is named twice.
    pub fn new(from: &'a Sharing, t: usize, keepers: Vec<ed25519::PublicKey>) -> Result<Self, HandoverError> {
        check(t, &keepers)?;
        let generation = from.generation.checked_add(1).ok_or(HandoverError::Generations)?;
        let mut hash = Sha256::new().chain_update(from.digest).chain_update([t as u8, keepers.len() as u8]);
        keepers.iter().for_each(|keeper| hash.update(keeper));
        Ok(Self { from, generation, t, keepers, digest: B256::new(hash.finalize().into()) })
    }

    /// Deals an old keeper's share to the new ones.
    ///
    /// # Errors
    ///
    /// If the share is not this node's, or a new keeper's key takes no secrets.
    pub fn deal(
        &self,
        share: &Share,
        key: &ed25519::PrivateKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Dealing, HandoverError> {
        let dealer = key.public_key();
        if self.from.index(&dealer)? != share.index {
            return Err(SharingError::NoKeeper((&dealer).into()).into());
        }
        self.from.verify(share)?;
        self.deal_value(&share.value, key, rng)
    }

    /// Deals any value, true or not.
    pub(super) fn deal_value(
        &self,
        value: &Secret<Scalar>,
        key: &ed25519::PrivateKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Dealing, HandoverError> {
        let dealer = key.public_key();
        let polynomial = Polynomial::with_constant(value, self.t, rng);
        let commitment = polynomial.commit();
        let mut parts = Vec::with_capacity(self.keepers.len());
        for (place, keeper) in self.keepers.iter().enumerate() {
            let to = ReaderKey::of_node(keeper).map_err(SharingError::from)?;
            let binding = self.binding(&dealer, keeper);
            let part = polynomial.at(place as u8 + 1);
            let sealed = part.expose(|part| SealedSecret::seal(&to, Purpose::Part, &binding, part.as_bytes(), rng));
            parts.push(sealed.map_err(SharingError::from)?);
        }
        let signature = key.sign(statement::DEALING, &self.signed(&dealer, &commitment, &parts));
        Ok(Dealing { dealer, commitment, parts, signature })
    }

    /// What a part is bound to on its way.
    pub(super) fn binding(&self, dealer: &ed25519::PublicKey, keeper: &ed25519::PublicKey) -> Vec<u8> {
        [self.digest.as_slice(), dealer.as_ref(), keeper.as_ref()].concat()
    }

    pub(super) fn signed(
        &self,
        dealer: &ed25519::PublicKey,
        commitment: &Commitment,
        parts: &[SealedSecret],
    ) -> Vec<u8> {
        let mut message = [self.digest.as_slice(), dealer.as_ref(), &commitment.encode()].concat();
        parts.iter().for_each(|part| message.extend_from_slice(part.as_bytes()));
        message
    }

    /// Whether a dealing hands on its dealer's own share. Anybody can tell; whether each part is true only its receiver.
    ///
    /// # Errors
    ///
    /// [`HandoverError::FalseDealing`] names the dealer, unless it is no old keeper at all.
    pub fn check(&self, dealing: &Dealing) -> Result<(), HandoverError> {
        let Dealing { dealer, commitment, parts, signature } = dealing;
        let index = self.from.index(dealer)?;
        let holds = commitment.len() == self.t
            && parts.len() == self.keepers.len()
            && !commitment.has_identity()
            && commitment.at(0) == self.from.commitment.at(index)
            && dealer.verify(statement::DEALING, &self.signed(dealer, commitment, parts), signature);
        if holds { Ok(()) } else { Err(HandoverError::FalseDealing(dealer.into())) }
    }

    /// The new sharing, which follows from the dealings of any `t` old keepers. Anybody can tell it.
    ///
    /// # Errors
    ///
    /// If it's not `t` dealings of different keepers, or one is false.
    pub fn sharing(&self, dealings: &[Dealing]) -> Result<Sharing, HandoverError> {
        let expected = self.from.commitment.len();
        let different = dealings.iter().map(|dealing| &dealing.dealer).collect::<BTreeSet<_>>().len();
        if dealings.len() != expected || different != expected {
            return Err(HandoverError::Count { expected, got: dealings.len(), different });
        }
        dealings.iter().try_for_each(|dealing| self.check(dealing))?;
        let commitments: Vec<_> = dealings.iter().map(|dealing| &dealing.commitment).collect();
        let commitment = Commitment::sum(&weights(&self.indices(dealings)?), &commitments);
        Ok(Sharing::new(self.from.asset, self.generation, self.keepers.clone(), commitment)?)
    }

    fn indices(&self, dealings: &[Dealing]) -> Result<Vec<u8>, SharingError> {
        dealings.iter().map(|dealing| self.from.index(&dealing.dealer)).collect()
    }

    /// A new keeper's share, and the sharing that it belongs to.
    ///
    /// # Errors
    ///
    /// Those of [`Self::sharing`]; [`HandoverError::FalseParts`] names those who dealt this keeper something false.
    pub fn finish(&self, dealings: &[Dealing], key: &ed25519::PrivateKey) -> Result<(Sharing, Share), HandoverError> {
        let sharing = self.sharing(dealings)?;
        let (keeper, secret) = node(key);
        let index = sharing.index(&keeper)?;
        let (mut parts, mut liars) = (Vec::with_capacity(dealings.len()), Vec::new());
        for (old, dealing) in self.indices(dealings)?.into_iter().zip(dealings) {
            let sealed = &dealing.parts[usize::from(index) - 1];
            let opened = sealed.open(&secret, Purpose::Part, &self.binding(&dealing.dealer, &keeper));
            match opened.ok().and_then(|part| true_part(&dealing.commitment, index, &part)) {
                Some(part) => parts.push((old, part)),
                None => liars.push((&dealing.dealer).into()),
            }
        }
        if !liars.is_empty() {
            return Err(HandoverError::FalseParts(liars));
        }
        let value = interpolate(&parts.iter().map(|(old, part)| (*old, part)).collect::<Vec<_>>());
        let share = Share { index, value };
        sharing.verify(&share)?;
        Ok((sharing, share))
    }
}

/// The part, if it's what its dealer committed to.
fn true_part(commitment: &Commitment, index: u8, part: &Secret<[u8; KEY_LEN]>) -> Option<Secret<Scalar>> {
    let part = part.expose(|part| Option::<Scalar>::from(Scalar::from_canonical_bytes(*part)))?;
    commitment.opens_to(index, &part).then(|| Secret::new(part))
}

impl Dealing {
    /// The old keeper that dealt.
    pub const fn dealer(&self) -> &ed25519::PublicKey {
        &self.dealer
    }
}

impl fmt::Debug for Dealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dealing").field("dealer", &self.dealer).finish_non_exhaustive()
    }
}

impl Write for Dealing {
    fn write(&self, buf: &mut impl BufMut) {
        self.dealer.write(buf);
        self.commitment.write(buf);
        (self.parts.len() as u8).write(buf);
        self.parts.iter().for_each(|part| part.write(buf));
        self.signature.write(buf);
    }
}

impl EncodeSize for Dealing {
    fn encode_size(&self) -> usize {
        let parts = 1 + self.parts.len() * SealedSecret::SIZE;
        ed25519::PublicKey::SIZE + self.commitment.encode_size() + parts + ed25519::Signature::SIZE
    }
}

impl Read for Dealing {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let (dealer, commitment) = (ed25519::PublicKey::read(buf)?, Commitment::read(buf)?);
        let parts = (0..read_count(buf)?).map(|_| SealedSecret::read(buf)).collect::<Result<_, _>>()?;
        Ok(Self { dealer, commitment, parts, signature: ed25519::Signature::read(buf)? })
    }
}

//! The keepers' half, shared so that any `t` of `m` keepers release it and fewer know nothing of it.
//!
//! **Sharing** (Shamir, "How to share a secret", 1979; Feldman, "A practical scheme for non-interactive verifiable secret
//! sharing", FOCS 1987). The owner draws a polynomial `f` of degree `t − 1` over the scalars of ristretto255 (RFC 9496) at
//! random. The secret is `f(0)`, keeper `i` has `f(i)`, and all see the commitment, each coefficient times the base point.
//! The half of the key is HKDF-SHA256 of the secret, bound to the object. Whether a share is right anybody sees who has it
//! and the commitment: a false one names its keeper.
//!
//! **What `t − 1` keepers know.** Their shares fit every secret equally well. Beyond that there is the commitment, which
//! says `f(0)·B` and no more: to find the half is to find the discrete logarithm of a point that was drawn at random, or to
//! predict HKDF without its input. (Pedersen's commitments would hide the secret from unbounded computers as well; HPKE, on
//! the same curve, does not withstand those either.) The secret is uniform because its owner draws it, alone and before
//! any keeper has a part in it; what biases a key in Joint-Feldman, dealers who answer to each other, does not happen.
//!
//! **Dealing again.** An owner who has to deal the same half anew, to other keepers, in another order or with another `t`,
//! takes another polynomial with the same `f(0)` ([`deal_again`]). Otherwise a keeper whose number changed would have two
//! points of one polynomial, and fewer than `t` keepers could have the half.
//!
//! **Moving** (Desmedt and Jajodia, "Redistributing secret shares to new access structures and its applications", 1997;
//! after Herzberg et al., "Proactive secret sharing", CRYPTO 1995). `t` of the old keepers each share
//! their share among the new ones ([`Handover`]): `f(i)` becomes the constant of a new polynomial, which the old commitment
//! lets anybody check. A new keeper combines its parts as the secret would be combined. The secret stays, everything else
//! is new: old shares fit no new ones, and whoever gathers fewer than `t` of each has nothing. Old keepers have to delete
//! theirs, and sign that they did ([`DeletionReceipt`](crate::DeletionReceipt)). Refreshing is moving to the same keepers.
//!
//! **Stolen shares, and stolen keys.** A move makes shares worthless that got known. It does not make a node's key
//! worthless: parts are sealed to the new keepers' node keys, which stay the same, and each dealing holds the parts of all
//! of them. Whoever has kept the dealings that a move used, as any node can that took part in it, and gets the node key of
//! one of its new keepers, then or years later, has that keeper's share of that generation, though the keeper has deleted
//! it. With `t` such keys of one generation he has the half, however often it has moved since. (Herzberg et al. renew the
//! keepers' keys as well.) A network that encrypts with keys of the moment keeps dealings from those who listen to it, not
//! from the nodes that are sent them.
//!
//! **Why not a library for the polynomial.** `vsss-rs` (6.0.1) shares and combines over this very curve, but moves no shares,
//! and gives no weights to move them with. It wants a `t` of 2 at least, and leaves polynomials and shares in memory: what it
//! keeps is erased only where the scalar erases itself, which `curve25519-dalek`'s does not. commonware's `feldman_desmedt`
//! moves them, but fixes `t` by its fault model (a quorum of 2f + 1) and publishes shares that were not acknowledged. What is
//! left of both is Horner's rule and Lagrange's formula, over `curve25519-dalek`, which is here for x25519 anyway.

mod handover;
mod polynomial;
#[cfg(test)]
mod tests;

pub use handover::{Dealing, Handover, HandoverError};

use crate::{
    id::AssetId,
    key::{DataKey, KEY_LEN, KeeperHalf, derive},
    reader::{NoReaderKey, ReaderKey, node},
    sealed::{CannotSeal, Purpose, Refused, SealedSecret},
    threshold::Threshold,
};
use alloy_primitives::B256;
use bytes::BufMut;
use commonware_codec::{Buf, Encode as _, EncodeSize, Error as CodecError, FixedSize, Read, ReadExt as _, Write};
use commonware_cryptography::{Secret, ed25519};
use curve25519_dalek::Scalar;
use polynomial::{Commitment, Polynomial, interpolate};
use rand::CryptoRng;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeSet, fmt};
use stoa_base::NodeId;

const HALF: &[u8] = b"stoa/privacy/keeper-half/v1";

/// Why shares cannot be dealt, taken or combined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SharingError {
    /// One key stands twice among the keepers, and would have two shares.
    #[error("keeper {0} is named twice; each of the keepers must be another node")]
    Twice(NodeId),
    /// So many keepers, or so many of them to release a key, there cannot be.
    #[error("expected 1 ≤ t ≤ m ≤ {most} keepers, got t = {t} and m = {m}", most = Threshold::MOST)]
    Threshold {
        /// How many are to release the key.
        t: usize,
        /// How many there are to be.
        m: usize,
    },
    /// No polynomial that was drawn at random has such a commitment.
    #[error("the commitment holds the identity, which no commitment drawn at random does")]
    Identity,
    /// A share has a number that no keeper has.
    #[error("there is no keeper {index}, for there are {m}: the share is of another sharing")]
    NoIndex {
        /// The share's number, from 1.
        index: u8,
        /// How many keepers there are.
        m: usize,
    },
    /// The node keeps no share of this object.
    #[error("node {0} is none of the keepers of this asset")]
    NoKeeper(NodeId),
    /// A share does not fit the commitment.
    #[error("the share of keeper {0} is false: it does not fit what the owner committed to; ask another keeper")]
    FalseShare(NodeId),
    /// There are too few shares.
    #[error("expected shares of {expected} different keepers, got {got}; ask more keepers")]
    TooFew {
        /// How many it takes.
        expected: usize,
        /// How many different ones there are.
        got: usize,
    },
    /// A keeper's key is none.
    #[error(transparent)]
    Key(#[from] NoReaderKey),
    /// A share was sealed to another keeper, for another sharing, or was changed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A keeper's key takes no secret.
    #[error(transparent)]
    CannotSeal(#[from] CannotSeal),
}

/// How an object's half is shared: public, and named on the ledger by its [`digest`](Self::digest).
///
/// `object (32) | generation (4) | m (1) | keepers (32 each) | t (1) | commitment (32 each)`
#[derive(Clone, PartialEq, Eq)]
pub struct Sharing {
    asset: AssetId,
    generation: u32,
    keepers: Vec<ed25519::PublicKey>,
    commitment: Commitment,
    digest: B256,
}

impl Sharing {
    fn new(
        asset: AssetId,
        generation: u32,
        keepers: Vec<ed25519::PublicKey>,
        commitment: Commitment,
    ) -> Result<Self, SharingError> {
        check(commitment.len(), &keepers)?;
        if commitment.has_identity() {
            return Err(SharingError::Identity);
        }
        let mut sharing = Self { asset, generation, keepers, commitment, digest: B256::ZERO };
        sharing.digest = B256::new(Sha256::digest(sharing.encode()).into());
        Ok(sharing)
    }

    /// The object whose half is shared.
    pub const fn asset(&self) -> AssetId {
        self.asset
    }

    /// How often the shares have been moved or refreshed.
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Who has a share: the first has `f(1)`.
    pub fn keepers(&self) -> &[ed25519::PublicKey] {
        &self.keepers
    }

    /// How many of how many keepers release the half.
    pub fn threshold(&self) -> Threshold {
        Threshold::new(self.commitment.len(), self.keepers.len()).expect("was checked when it was made")
    }

    /// SHA-256 of the encoding: names this sharing and no other.
    pub const fn digest(&self) -> B256 {
        self.digest
    }

    /// The index of a keeper, from 1.
    fn index(&self, keeper: &ed25519::PublicKey) -> Result<u8, SharingError> {
        let place = self.keepers.iter().position(|key| key == keeper);
        place.map(|place| place as u8 + 1).ok_or_else(|| SharingError::NoKeeper(keeper.into()))
    }

    fn keeper(&self, index: u8) -> &ed25519::PublicKey {
        &self.keepers[usize::from(index) - 1]
    }

    /// What a keeper's share is bound to on its way to the keeper.
    fn binding(&self, keeper: &ed25519::PublicKey) -> Vec<u8> {
        [self.digest.as_slice(), keeper.as_ref()].concat()
    }

    /// Seals a share to its keeper.
    ///
    /// # Errors
    ///
    /// If the keeper's key takes no secrets.
    pub fn seal(&self, share: &Share, rng: &mut impl CryptoRng) -> Result<SealedSecret, SharingError> {
        let keeper = self.keeper(share.index);
        let binding = self.binding(keeper);
        let to = ReaderKey::of_node(keeper)?;
        Ok(share.expose(|bytes| SealedSecret::seal(&to, Purpose::Share, &binding, bytes, rng))?)
    }

    /// Opens and checks the share that was sealed to this keeper. A keeper that takes it stands for it: what it later
    /// gives readers is checked against the same commitment.
    ///
    /// # Errors
    ///
    /// If the node is no keeper, the box does not open, or what is in it is not the share. The owner must deal again then.
    pub fn open(&self, sealed: &SealedSecret, key: &ed25519::PrivateKey) -> Result<Share, SharingError> {
        let (keeper, secret) = node(key);
        self.index(&keeper)?;
        let opened = sealed.open(&secret, Purpose::Share, &self.binding(&keeper))?;
        opened.expose(|bytes| self.share(&keeper, bytes))
    }

    /// Takes these bytes for the share of this keeper: as it came, or from where the keeper stores it.
    ///
    /// # Errors
    ///
    /// [`SharingError::FalseShare`] if they aren't, [`SharingError::NoKeeper`] if it has none.
    pub fn share(&self, keeper: &ed25519::PublicKey, bytes: &[u8; KEY_LEN]) -> Result<Share, SharingError> {
        let index = self.index(keeper)?;
        let value = Option::<Scalar>::from(Scalar::from_canonical_bytes(*bytes));
        let share = value.map(|value| Share { index, value: Secret::new(value) });
        share.filter(|share| self.fits(share)).ok_or_else(|| SharingError::FalseShare(keeper.into()))
    }

    fn fits(&self, share: &Share) -> bool {
        share.value.expose(|value| self.commitment.opens_to(share.index, value))
    }

    /// Whether a share is this sharing's.
    ///
    /// # Errors
    ///
    /// [`SharingError::FalseShare`] names its keeper.
    pub fn verify(&self, share: &Share) -> Result<(), SharingError> {
        match self.keepers.get(usize::from(share.index) - 1) {
            Some(_) if self.fits(share) => Ok(()),
            Some(keeper) => Err(SharingError::FalseShare(keeper.into())),
            None => Err(SharingError::NoIndex { index: share.index, m: self.keepers.len() }),
        }
    }

    /// Combines the shares of any `t` keepers to the half. More do no harm.
    ///
    /// # Errors
    ///
    /// If they are of too few keepers, or one of the `t` that are used is false.
    pub fn combine(&self, shares: &[Share]) -> Result<KeeperHalf, SharingError> {
        let t = self.commitment.len();
        let mut seen = BTreeSet::new();
        let used: Vec<_> = shares.iter().filter(|share| seen.insert(share.index)).take(t).collect();
        if used.len() < t {
            return Err(SharingError::TooFew { expected: t, got: used.len() });
        }
        let secret = interpolate(&used.iter().map(|share| (share.index, &share.value)).collect::<Vec<_>>());
        // One multiplication instead of `t`, for shares have mostly been checked when they came.
        if !secret.expose(|secret| self.commitment.opens_to(0, secret)) {
            used.iter().try_for_each(|share| self.verify(share))?;
        }
        Ok(self.half(&secret))
    }

    fn half(&self, secret: &Secret<Scalar>) -> KeeperHalf {
        let half = secret.expose(|secret| derive(HALF, secret.as_bytes(), &[self.asset.0.as_slice()]));
        KeeperHalf::from_bytes(half)
    }
}

/// Whether there can be so many keepers, each of them once.
fn check(t: usize, keepers: &[ed25519::PublicKey]) -> Result<(), SharingError> {
    Threshold::new(t, keepers.len()).ok_or(SharingError::Threshold { t, m: keepers.len() })?;
    let mut seen = BTreeSet::new();
    match keepers.iter().find(|keeper| !seen.insert(*keeper)) {
        Some(keeper) => Err(SharingError::Twice(keeper.into())),
        None => Ok(()),
    }
}

impl fmt::Debug for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asset, generation, digest, .. } = self;
        let mut shown = f.debug_struct("Sharing");
        shown.field("asset", asset).field("generation", generation).field("digest", digest);
        shown.field("threshold", &self.threshold()).finish_non_exhaustive()
    }
}

impl Write for Sharing {
    fn write(&self, buf: &mut impl BufMut) {
        self.asset.write(buf);
        self.generation.write(buf);
        write_keepers(&self.keepers, buf);
        self.commitment.write(buf);
    }
}

impl EncodeSize for Sharing {
    fn encode_size(&self) -> usize {
        32 + 4 + 1 + self.keepers.len() * ed25519::PublicKey::SIZE + self.commitment.encode_size()
    }
}

impl Read for Sharing {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let (asset, generation) = (AssetId::read(buf)?, u32::read(buf)?);
        let keepers = (0..read_count(buf)?).map(|_| ed25519::PublicKey::read(buf)).collect::<Result<_, _>>()?;
        Self::new(asset, generation, keepers, Commitment::read(buf)?)
            .map_err(|error| CodecError::Wrapped("Sharing", error.into()))
    }
}

fn write_keepers(keepers: &[ed25519::PublicKey], buf: &mut impl BufMut) {
    (keepers.len() as u8).write(buf);
    keepers.iter().for_each(|keeper| keeper.write(buf));
}

/// A number of keepers, or of what there is one for each.
fn read_count(buf: &mut impl Buf) -> Result<usize, CodecError> {
    match usize::from(u8::read(buf)?) {
        count if (1..=usize::from(Threshold::MOST)).contains(&count) => Ok(count),
        count => Err(CodecError::InvalidLength(count)),
    }
}

/// What one keeper keeps. Erased when it is dropped; its `Debug` shows the index alone.
#[derive(Debug)]
pub struct Share {
    /// From 1.
    index: u8,
    value: Secret<Scalar>,
}

impl Share {
    /// Lets `look` see the bytes that a keeper stores, for as long as it runs.
    pub fn expose<T>(&self, look: impl for<'a> FnOnce(&'a [u8; KEY_LEN]) -> T) -> T {
        self.value.expose(|value| look(value.as_bytes()))
    }

    /// Which keeper's it is, from 1.
    pub const fn index(&self) -> u8 {
        self.index
    }
}

/// What an owner has after it shared a half.
#[derive(Debug)]
pub struct Dealt {
    /// To be published.
    pub sharing: Sharing,
    /// To be sealed to the keepers ([`Sharing::seal`]), in their order, and forgotten.
    pub shares: Vec<Share>,
    /// The half, for sealing the object, and to be forgotten.
    pub half: KeeperHalf,
}

/// Draws the keepers' half of an object and shares it, so that `t` of the keepers release it.
///
/// # Errors
///
/// If there cannot be so many keepers, or one is named twice.
pub fn deal(
    asset: AssetId,
    t: usize,
    keepers: Vec<ed25519::PublicKey>,
    rng: &mut impl CryptoRng,
) -> Result<Dealt, SharingError> {
    check(t, &keepers)?;
    dealt(asset, keepers, &Polynomial::random(t, rng))
}

/// The same for an owner who may have to deal the same half again, to others. It is the one that [`deal`] draws from this
/// `rng`, which has to give the same each time. The rest of the polynomial follows (HKDF-SHA256) from `seed`, the object,
/// `t` and the keepers in their order: the same for the same ones, and another for any others.
///
/// # Errors
///
/// As [`deal`].
pub fn deal_again(
    asset: AssetId,
    t: usize,
    keepers: Vec<ed25519::PublicKey>,
    seed: &DataKey,
    rng: &mut impl CryptoRng,
) -> Result<Dealt, SharingError> {
    check(t, &keepers)?;
    let mut named = asset.0.to_vec();
    named.extend([t as u8, keepers.len() as u8]);
    keepers.iter().for_each(|keeper| named.extend_from_slice(keeper));
    dealt(asset, keepers, &Polynomial::random(t, rng).rederived(seed, &named))
}

fn dealt(asset: AssetId, keepers: Vec<ed25519::PublicKey>, polynomial: &Polynomial) -> Result<Dealt, SharingError> {
    let sharing = Sharing::new(asset, 0, keepers, polynomial.commit())?;
    let shares = (1..=sharing.keepers.len() as u8).map(|index| Share { index, value: polynomial.at(index) }).collect();
    let half = sharing.half(&polynomial.at(0));
    Ok(Dealt { sharing, shares, half })
}

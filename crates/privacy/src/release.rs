//! A keeper gives its share to a reader, and signs that it did.
//!
//! ```text
//!  reader ──which grant?──▶ keeper ──looks at its own copy of the ledger──▶ Release { claim, box, signature }
//!  claim:     grant (object, id, reader), sharing, keeper, block at which the keeper saw that the grant stands
//!  box:       the share, sealed to the reader, bound to the claim
//!  signature: by the keeper's ed25519 key, over the claim and the hash of the box
//! ```
//!
//! **Replays.** A release is of one grant, reader, sharing and block; the box opens under its own claim alone. A reader
//! accepts none whose block is older than it says it will ([`Wanted::not_before`]), so that nobody passes off an old one.
//!
//! **Evidence.** Whoever has a release can show that the keeper gave it, without the box and without any secret
//! ([`Release::evidence`]), and anybody with the ledger can judge that ([`Evidence::breach`]): the keeper says it saw the
//! grant stand at a block at which it was revoked, or names a block that does not exist, or says it had deleted the share.
//!
//! **What evidence does not reach.** A keeper that hands its share to a friend unsigned, or signs an old block for one who
//! accepts that, leaves no trace. What stands against it is `t`: as many keepers have to do so.

use crate::{
    grant::Grant,
    reader::{ReaderKey, ReadingSecret},
    sealed::{CannotSeal, Purpose, Refused, SealedSecret},
    sharing::{Share, Sharing, SharingError},
    statement::{RELEASE, Seen},
};
use alloy_primitives::B256;
use bytes::BufMut;
use commonware_codec::{Buf, EncodeFixed as _, Error as CodecError, FixedSize, Read, ReadExt as _, Write};
use commonware_cryptography::{Signer as _, Verifier as _, ed25519};
use rand::CryptoRng;
use sha2::{Digest as _, Sha256};
use stoa_base::NodeId;

/// Why a release is not made, or not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// The grant is of another object than the share.
    #[error("the grant is of another asset than the share")]
    Asset,
    /// It was asked for another grant, reader or object, or of another sharing.
    #[error("the release is for another grant, reader, asset or generation of shares than was asked for")]
    Other,
    /// The keeper looked at the ledger too long ago.
    #[error("the keeper looked at block {seen}, expected {not_before} or later; ask it again")]
    Old {
        /// The block it looked at.
        seen: u64,
        /// The first that is accepted.
        not_before: u64,
    },
    /// It's not the keeper's signature.
    #[error("the release in the name of keeper {0} is not signed by it")]
    Signature(NodeId),
    /// The keeper signed a box that does not open: it lies, or sealed to another key.
    #[error("what keeper {0} signed does not open; ask another keeper")]
    Box(NodeId),
    /// The node has no share, or the share is false.
    #[error(transparent)]
    Sharing(#[from] SharingError),
    /// The reader's key takes no secrets.
    #[error(transparent)]
    CannotSeal(#[from] CannotSeal),
}

/// What a keeper states when it releases a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The grant that it saw stand.
    pub grant: Grant,
    /// Digest of the sharing whose share it gave.
    pub sharing: B256,
    /// The keeper.
    pub keeper: ed25519::PublicKey,
    /// The block at which it looked.
    pub seen: Seen,
}

impl FixedSize for Claim {
    const SIZE: usize = Grant::SIZE + 32 + ed25519::PublicKey::SIZE + Seen::SIZE;
}

impl Write for Claim {
    fn write(&self, buf: &mut impl BufMut) {
        self.grant.write(buf);
        self.sharing.0.write(buf);
        self.keeper.write(buf);
        self.seen.write(buf);
    }
}

impl Read for Claim {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let (grant, sharing) = (Grant::read(buf)?, <[u8; 32]>::read(buf)?.into());
        Ok(Self { grant, sharing, keeper: ed25519::PublicKey::read(buf)?, seen: Seen::read(buf)? })
    }
}

/// What a reader asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The grant, as the ledger has it.
    pub grant: &'a Grant,
    /// The sharing, whose digest the ledger has.
    pub sharing: &'a Sharing,
    /// The first block at which the keeper may have looked: some blocks before the reader's newest.
    pub not_before: u64,
}

/// A share on its way from a keeper to a reader.
///
/// `claim (201) | box (80) | signature (64)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    claim: Claim,
    sealed: SealedSecret,
    signature: ed25519::Signature,
}

impl Release {
    /// Seals a keeper's share to the reader of a grant. The caller has seen, on its own copy of the ledger at the block
    /// that it names, that the grant stands.
    ///
    /// # Errors
    ///
    /// If the grant is another object's or reader's, or the share is not this node's.
    pub fn new(
        key: &ed25519::PrivateKey,
        sharing: &Sharing,
        share: &Share,
        grant: &Grant,
        reader: &ReaderKey,
        seen: Seen,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, ReleaseError> {
        if grant.asset != sharing.asset() {
            return Err(ReleaseError::Asset);
        }
        if grant.reader != reader.reader() {
            return Err(ReleaseError::Other);
        }
        let keeper = key.public_key();
        if sharing.keepers().get(usize::from(share.index()) - 1) != Some(&keeper) {
            return Err(SharingError::NoKeeper((&keeper).into()).into());
        }
        let claim = Claim { grant: *grant, sharing: sharing.digest(), keeper, seen };
        let bytes = claim.encode_fixed::<{ Claim::SIZE }>();
        let sealed = share.expose(|share| SealedSecret::seal(reader, Purpose::Release, &bytes, share, rng))?;
        let signature = key.sign(RELEASE, &signed(&bytes, hash(&sealed)));
        Ok(Self { claim, sealed, signature })
    }

    /// The keeper's statement.
    pub const fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Opens the share, if it's what was asked for, signed, recent and true.
    ///
    /// # Errors
    ///
    /// Says what is wrong; [`ReleaseError::Box`] and [`SharingError::FalseShare`] name a keeper that signed a lie.
    pub fn open(&self, wanted: &Wanted<'_>, secret: &ReadingSecret) -> Result<Share, ReleaseError> {
        let Claim { grant, sharing, keeper, seen } = &self.claim;
        if grant != wanted.grant || *sharing != wanted.sharing.digest() || grant.asset != wanted.sharing.asset() {
            return Err(ReleaseError::Other);
        }
        if seen.number < wanted.not_before {
            return Err(ReleaseError::Old { seen: seen.number, not_before: wanted.not_before });
        }
        let bytes = self.claim.encode_fixed::<{ Claim::SIZE }>();
        if !keeper.verify(RELEASE, &signed(&bytes, hash(&self.sealed)), &self.signature) {
            return Err(ReleaseError::Signature(keeper.into()));
        }
        let opened = self.sealed.open(secret, Purpose::Release, &bytes);
        let opened = opened.map_err(|Refused| ReleaseError::Box(keeper.into()))?;
        Ok(opened.expose(|bytes| wanted.sharing.share(keeper, bytes))?)
    }

    /// The same with something else in the box, under a signature that holds: what a keeper does that lies.
    #[cfg(test)]
    pub(crate) fn with_share(&self, key: &ed25519::PrivateKey, reader: &ed25519::PrivateKey, share: &[u8; 32]) -> Self {
        let (reader, bytes) = (crate::testing::reader_key(reader), self.claim.encode_fixed());
        let sealed = SealedSecret::seal(&reader, Purpose::Release, &bytes, share, &mut crate::testing::rng(0));
        let sealed = sealed.expect("the reader's key takes secrets");
        let signature = key.sign(RELEASE, &signed(&bytes, hash(&sealed)));
        Self { claim: self.claim.clone(), sealed, signature }
    }

    /// What shows to others that the keeper gave this release, without what was in it.
    pub fn evidence(&self) -> Evidence {
        Evidence { claim: self.claim.clone(), sealed: hash(&self.sealed), signature: self.signature.clone() }
    }
}

fn hash(sealed: &SealedSecret) -> B256 {
    B256::new(Sha256::digest(sealed.as_bytes()).into())
}

fn signed(claim: &[u8; Claim::SIZE], sealed: B256) -> [u8; Claim::SIZE + 32] {
    let mut message = [0; Claim::SIZE + 32];
    message[..Claim::SIZE].copy_from_slice(claim);
    message[Claim::SIZE..].copy_from_slice(sealed.as_slice());
    message
}

/// That a keeper gave a release: for third parties.
///
/// `claim (201) | SHA-256 of the box (32) | signature (64)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub(crate) claim: Claim,
    sealed: B256,
    signature: ed25519::Signature,
}

/// What a keeper did that it must not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// It gave a share although it says that it had seen the block at which the grant was revoked, or a later one.
    #[error("keeper {keeper} released a share at block {seen}, though the grant was revoked at block {revoked}")]
    AfterRevocation {
        /// Who.
        keeper: NodeId,
        /// The block at which it says it saw the grant stand.
        seen: u64,
        /// The block that revoked it.
        revoked: u64,
    },
    /// It gave a share although the grant's time was over in the block that it names.
    #[error(
        "keeper {keeper} released a share at block {seen}, though the grant had ended at second {until} since 1970"
    )]
    AfterEnd {
        /// Who.
        keeper: NodeId,
        /// The block at which it says it saw the grant stand.
        seen: u64,
        /// The first second at which the grant stood no longer.
        until: u64,
    },
    /// It names a block that the ledger does not have.
    #[error("keeper {keeper} released a share at a block {seen} that the ledger does not have")]
    NoSuchBlock {
        /// Who.
        keeper: NodeId,
        /// The number it gave.
        seen: u64,
    },
    /// It gave a share that it says it had deleted.
    #[error(
        "keeper {keeper} released a share at block {seen}, though it says that it deleted it as of block {deleted}"
    )]
    AfterDeletion {
        /// Who.
        keeper: NodeId,
        /// The block at which it says it saw the grant stand.
        seen: u64,
        /// The block as of which it says it had deleted the share.
        deleted: u64,
    },
}

/// The evidence is none: the keeper has not signed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not signed by keeper {0}: this shows nothing about it")]
pub struct NoEvidence(pub NodeId);

impl Evidence {
    /// The keeper's statement.
    pub const fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Checks the keeper's signature.
    ///
    /// # Errors
    ///
    /// If it's not the keeper's.
    pub fn verify(&self) -> Result<(), NoEvidence> {
        let message = signed(&self.claim.encode_fixed(), self.sealed);
        let holds = self.claim.keeper.verify(RELEASE, &message, &self.signature);
        if holds { Ok(()) } else { Err(NoEvidence((&self.claim.keeper).into())) }
    }

    /// What the keeper did wrong, if anything. `revoked` is the number of the block that revoked the grant, if one did: the
    /// grant stands no more from that block on. `hash` is that of the block whose number the keeper gave, `None` if the
    /// ledger has not come so far.
    ///
    /// # Errors
    ///
    /// If the keeper has not signed it: then it shows nothing.
    pub fn breach(&self, revoked: Option<u64>, hash: Option<B256>) -> Result<Option<Breach>, NoEvidence> {
        self.verify()?;
        let (keeper, seen) = (NodeId::from(&self.claim.keeper), self.claim.seen);
        Ok(match revoked {
            Some(revoked) if seen.number >= revoked => {
                Some(Breach::AfterRevocation { keeper, seen: seen.number, revoked })
            }
            _ if hash.is_some_and(|hash| hash != seen.hash) => Some(Breach::NoSuchBlock { keeper, seen: seen.number }),
            _ => None,
        })
    }
}

impl FixedSize for Release {
    const SIZE: usize = Claim::SIZE + SealedSecret::SIZE + ed25519::Signature::SIZE;
}

impl Write for Release {
    fn write(&self, buf: &mut impl BufMut) {
        self.claim.write(buf);
        self.sealed.write(buf);
        self.signature.write(buf);
    }
}

impl Read for Release {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let (claim, sealed) = (Claim::read(buf)?, SealedSecret::read(buf)?);
        Ok(Self { claim, sealed, signature: ed25519::Signature::read(buf)? })
    }
}

impl FixedSize for Evidence {
    const SIZE: usize = Claim::SIZE + 32 + ed25519::Signature::SIZE;
}

impl Write for Evidence {
    fn write(&self, buf: &mut impl BufMut) {
        self.claim.write(buf);
        self.sealed.0.write(buf);
        self.signature.write(buf);
    }
}

impl Read for Evidence {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let (claim, sealed) = (Claim::read(buf)?, <[u8; 32]>::read(buf)?.into());
        Ok(Self { claim, sealed, signature: ed25519::Signature::read(buf)? })
    }
}

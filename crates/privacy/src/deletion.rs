//! A keeper signs that it has deleted what it kept.
//!
//! Nobody can see that something is deleted. What the receipt is good for: a keeper that gives out afterwards what it says
//! it has not is shown to have lied ([`DeletionReceipt::contradicts`]).

use crate::{
    id::{AssetId, GrantId},
    release::{Breach, Evidence, NoEvidence},
    statement::{DELETION, Seen},
};
use alloy_primitives::B256;
use bytes::BufMut;
use commonware_codec::{Buf, Error as CodecError, FixedSize, Read, ReadExt as _, Write};
use commonware_cryptography::{Signer as _, Verifier as _, ed25519};
use stoa_base::NodeId;

/// What a keeper will not give out any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deleted {
    /// Anything for this grant; the share stays, for others.
    Grant(GrantId),
    /// Its share of the sharing with this digest, after a handover.
    Sharing(B256),
    /// Every share of the object that it ever had.
    Asset,
}

const GRANT: u8 = 0;
const SHARING: u8 = 1;
const ASSET: u8 = 2;

impl FixedSize for Deleted {
    const SIZE: usize = 1 + 32;
}

impl Write for Deleted {
    fn write(&self, buf: &mut impl BufMut) {
        let (tag, word) = match self {
            Self::Grant(id) => (GRANT, id.0.0),
            Self::Sharing(digest) => (SHARING, digest.0),
            Self::Asset => (ASSET, [0; 32]),
        };
        tag.write(buf);
        word.write(buf);
    }
}

impl Read for Deleted {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        match (u8::read(buf)?, <[u8; 32]>::read(buf)?) {
            (GRANT, id) => Ok(Self::Grant(GrantId(id.into()))),
            (SHARING, digest) => Ok(Self::Sharing(digest.into())),
            (ASSET, word) if word == [0; 32] => Ok(Self::Asset),
            (ASSET, _) => Err(CodecError::Invalid("Deleted", "all of an asset has zeros behind it")),
            (tag, _) => Err(CodecError::InvalidEnum(tag)),
        }
    }
}

/// A keeper's signed statement that it deleted what it kept, as of a block.
///
/// `keeper (32) | object (32) | what (33) | block (40) | signature (64)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletionReceipt {
    keeper: ed25519::PublicKey,
    asset: AssetId,
    deleted: Deleted,
    seen: Seen,
    signature: ed25519::Signature,
}

const SIGNED: usize = ed25519::PublicKey::SIZE + 32 + Deleted::SIZE + Seen::SIZE;

fn signed(keeper: &ed25519::PublicKey, asset: AssetId, deleted: Deleted, seen: Seen) -> [u8; SIGNED] {
    let mut message = [0; SIGNED];
    let mut buf = &mut message[..];
    keeper.write(&mut buf);
    asset.write(&mut buf);
    deleted.write(&mut buf);
    seen.write(&mut buf);
    message
}

impl DeletionReceipt {
    /// Signs that this keeper has deleted it, knowing the ledger up to this block.
    pub fn new(key: &ed25519::PrivateKey, asset: AssetId, deleted: Deleted, seen: Seen) -> Self {
        let keeper = key.public_key();
        let signature = key.sign(DELETION, &signed(&keeper, asset, deleted, seen));
        Self { keeper, asset, deleted, seen, signature }
    }

    /// Checks the keeper's signature.
    ///
    /// # Errors
    ///
    /// If it's not the keeper's.
    pub fn verify(&self) -> Result<(), NoEvidence> {
        let message = signed(&self.keeper, self.asset, self.deleted, self.seen);
        let holds = self.keeper.verify(DELETION, &message, &self.signature);
        if holds { Ok(()) } else { Err(NoEvidence((&self.keeper).into())) }
    }

    /// The keeper.
    pub const fn keeper(&self) -> &ed25519::PublicKey {
        &self.keeper
    }

    /// The object.
    pub const fn asset(&self) -> AssetId {
        self.asset
    }

    /// What it says it deleted.
    pub const fn deleted(&self) -> Deleted {
        self.deleted
    }

    /// As of which block.
    pub const fn seen(&self) -> Seen {
        self.seen
    }

    /// Whether a release is of something that its keeper says it had deleted, at a block after that.
    ///
    /// # Errors
    ///
    /// If either is not signed: then they show nothing.
    pub fn contradicts(&self, release: &Evidence) -> Result<Option<Breach>, NoEvidence> {
        self.verify()?;
        release.verify()?;
        let claim = release.claim();
        let covered = match self.deleted {
            Deleted::Grant(id) => claim.grant.id == id,
            Deleted::Sharing(digest) => claim.sharing == digest,
            Deleted::Asset => true,
        };
        let same = self.keeper == claim.keeper && self.asset == claim.grant.asset;
        if !same || !covered || claim.seen.number <= self.seen.number {
            return Ok(None);
        }
        let (keeper, seen, deleted) = (NodeId::from(&self.keeper), claim.seen.number, self.seen.number);
        Ok(Some(Breach::AfterDeletion { keeper, seen, deleted }))
    }
}

impl FixedSize for DeletionReceipt {
    const SIZE: usize = SIGNED + ed25519::Signature::SIZE;
}

impl Write for DeletionReceipt {
    fn write(&self, buf: &mut impl BufMut) {
        buf.put_slice(&signed(&self.keeper, self.asset, self.deleted, self.seen));
        self.signature.write(buf);
    }
}

impl Read for DeletionReceipt {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let (keeper, asset) = (ed25519::PublicKey::read(buf)?, AssetId::read(buf)?);
        let (deleted, seen) = (Deleted::read(buf)?, Seen::read(buf)?);
        Ok(Self { keeper, asset, deleted, seen, signature: ed25519::Signature::read(buf)? })
    }
}

//! What keepers are asked.
//!
//! ```text
//! 0  deposit   sharing, sealed share 80     → nothing            from an owner: keep this share
//! 1  deposit   granted half 177             → nothing            from an owner: keep the half for a grant's reader
//! 2  sharing   asset 32                     → sharing            how the key is shared
//! 3  half      grant 32                     → granted half 177
//! 4  release   use 32                       → release            the share, sealed to the use's reader, if its grant stands
//! 5  receipts  asset 32                     → receipts of deletion
//! 6  deal      asset 32, plan, signature?   → dealing            from a fellow keeper, or signed by the owner for who asks (0 | 1, 65 bytes)
//! 7  take      move, signature?             → acceptance 96, or whose parts are false: their keys; signed as a deal is
//! 8  vote      move, acceptances            → until 8, signature 64, from a fellow keeper: good before that time
//! ```

use super::plan::{Acceptance, Move, Plan, several, write_several};
use alloy_primitives::B256;
use bytes::BufMut;
use commonware_codec::{
    Buf, Copying, DecodeExt as _, Encode as _, EncodeSize, Error as CodecError, FixedSize as _, Read, ReadExt as _,
    Write,
};
use stoa_privacy::{GrantedHalf, SealedSecret, Sharing};

/// The protocol of keepers.
pub const KEEPER: &[u8] = b"stoa/keeper/1";

/// Longest request: a move among 64 keepers, all of which are needed, with their acceptances.
pub(super) const MOST_REQUEST: usize = 512 << 10;

/// Longest answer: receipts of a thousand grants.
pub const MOST_ANSWER: usize = 256 << 10;

/// What a keeper is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Keep this share.
    Share(Sharing, SealedSecret),
    /// Keep the owner's half for a grant's reader.
    Half(GrantedHalf),
    /// How the key of an asset is shared.
    Sharing(B256),
    /// The owner's half for a grant.
    HalfOf(B256),
    /// A share, for a use.
    Release(B256),
    /// What was deleted of an asset.
    Receipts(B256),
    /// Deal your share to the keepers that follow; with the owner's signature, for who asks, if he chose them.
    Deal(B256, Plan, Option<[u8; 65]>),
    /// Take your share of a key that moves to you; with the owner's signature, for who asks, if he chose where.
    Take(Box<Move>, Option<[u8; 65]>),
    /// Agree that the key moves, for these have their shares.
    Vote(Box<Move>, Vec<Acceptance>),
}

impl Request {
    /// As it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode().to_vec()
    }

    /// Reads one that anybody may have sent.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        Self::decode(Copying(bytes))
    }
}

impl Write for Request {
    fn write(&self, buf: &mut impl BufMut) {
        let mut word = |tag: u8, word: &B256| {
            tag.write(buf);
            word.0.write(buf);
        };
        match self {
            Self::Sharing(asset) => word(2, asset),
            Self::HalfOf(grant) => word(3, grant),
            Self::Release(id) => word(4, id),
            Self::Receipts(asset) => word(5, asset),
            Self::Share(sharing, share) => {
                0u8.write(buf);
                sharing.write(buf);
                share.write(buf);
            }
            Self::Half(half) => {
                1u8.write(buf);
                half.write(buf);
            }
            Self::Deal(asset, plan, signature) => {
                word(6, asset);
                plan.write(buf);
                signature.write(buf);
            }
            Self::Take(moved, signature) => {
                7u8.write(buf);
                moved.write(buf);
                signature.write(buf);
            }
            Self::Vote(moved, acceptances) => {
                8u8.write(buf);
                moved.write(buf);
                write_several(acceptances, buf);
            }
        }
    }
}

impl EncodeSize for Request {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Share(sharing, _) => sharing.encode_size() + SealedSecret::SIZE,
            Self::Half(_) => GrantedHalf::SIZE,
            Self::Deal(_, plan, signature) => 32 + plan.encode_size() + signature.encode_size(),
            Self::Take(moved, signature) => moved.encode_size() + signature.encode_size(),
            Self::Vote(moved, acceptances) => moved.encode_size() + 1 + acceptances.len() * Acceptance::SIZE,
            Self::Sharing(_) | Self::HalfOf(_) | Self::Release(_) | Self::Receipts(_) => 32,
        }
    }
}

impl Read for Request {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let tag = u8::read(buf)?;
        let mut word = || <[u8; 32]>::read(buf).map(B256::from);
        Ok(match tag {
            2 => Self::Sharing(word()?),
            3 => Self::HalfOf(word()?),
            4 => Self::Release(word()?),
            5 => Self::Receipts(word()?),
            0 => Self::Share(Sharing::read(buf)?, SealedSecret::read(buf)?),
            1 => Self::Half(GrantedHalf::read(buf)?),
            6 => Self::Deal(word()?, Plan::read(buf)?, Option::<[u8; 65]>::read(buf)?),
            7 => Self::Take(Box::new(Move::read(buf)?), Option::<[u8; 65]>::read(buf)?),
            8 => Self::Vote(Box::new(Move::read(buf)?), several(buf)?),
            tag => return Err(CodecError::InvalidEnum(tag)),
        })
    }
}

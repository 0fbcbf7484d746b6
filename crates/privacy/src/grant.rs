//! Who may read what: the names that all keys and statements here are bound to, and the owner's half on its way.
//!
//! A grant stands on the ledger; this crate knows its name alone. What an owner seals when it makes a grant is bound to the
//! object, the grant and the reader, so that it opens for no other. It carries no signature: the transaction that makes
//! the grant is signed by the owner and names [`GrantedHalf::hash`]. Whoever slips a false half in between makes a key that
//! does not open the object, and learns nothing.

use crate::{
    id::{AssetId, GrantId},
    key::OwnerHalf,
    reader::{Reader, ReaderKey, ReadingSecret},
    sealed::{CannotSeal, Purpose, Refused, SealedSecret},
};
use alloy_primitives::B256;
use bytes::BufMut;
use commonware_codec::{Buf, EncodeFixed as _, Error as CodecError, FixedSize, Read, ReadExt as _, Write};
use rand::CryptoRng;
use sha2::{Digest as _, Sha256};

/// That a reader may read an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    /// What may be read.
    pub asset: AssetId,
    /// Which grant of the ledger says so.
    pub id: GrantId,
    /// Who may read.
    pub reader: Reader,
}

impl FixedSize for Grant {
    const SIZE: usize = 32 + 32 + Reader::SIZE;
}

impl Write for Grant {
    fn write(&self, buf: &mut impl BufMut) {
        self.asset.write(buf);
        self.id.write(buf);
        self.reader.write(buf);
    }
}

impl Read for Grant {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(Self { asset: AssetId::read(buf)?, id: GrantId::read(buf)?, reader: Reader::read(buf)? })
    }
}

/// The owner's half of an object's key, sealed to the reader of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantedHalf {
    /// The grant that it belongs to.
    pub grant: Grant,
    sealed: SealedSecret,
}

impl GrantedHalf {
    /// Seals the owner's half to the reader of a grant.
    ///
    /// # Errors
    ///
    /// If nobody can have the secret of the reader's key.
    pub fn seal(
        asset: AssetId,
        id: GrantId,
        reader: &ReaderKey,
        half: &OwnerHalf,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, CannotSeal> {
        let grant = Grant { asset, id, reader: reader.reader() };
        let sealed = half.expose(|half| SealedSecret::seal(reader, Purpose::OwnerHalf, &binding(&grant), half, rng))?;
        Ok(Self { grant, sealed })
    }

    /// Opens it as the reader of `grant`, as the ledger has that.
    ///
    /// # Errors
    ///
    /// If it belongs to another grant, object or reader, or was sealed to another key.
    pub fn open(&self, grant: &Grant, secret: &ReadingSecret) -> Result<OwnerHalf, Refused> {
        if self.grant != *grant {
            return Err(Refused);
        }
        let half = self.sealed.open(secret, Purpose::OwnerHalf, &binding(grant))?;
        Ok(half.expose(|half| OwnerHalf::from_bytes(*half)))
    }

    /// What the transaction that makes the grant names: SHA-256 of the encoding.
    pub fn hash(&self) -> B256 {
        B256::new(Sha256::digest(self.encode_fixed::<{ Self::SIZE }>()).into())
    }
}

fn binding(grant: &Grant) -> [u8; Grant::SIZE] {
    grant.encode_fixed()
}

impl FixedSize for GrantedHalf {
    const SIZE: usize = Grant::SIZE + SealedSecret::SIZE;
}

impl Write for GrantedHalf {
    fn write(&self, buf: &mut impl BufMut) {
        self.grant.write(buf);
        self.sealed.write(buf);
    }
}

impl Read for GrantedHalf {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(Self { grant: Grant::read(buf)?, sealed: SealedSecret::read(buf)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ASSET, has_one_encoding, node, reader_key, rng};
    use commonware_cryptography::Signer as _;

    #[test]
    fn a_granted_half_opens_for_its_grant_object_and_reader_alone() {
        let (key, other) = (node(77), node(3));
        let (id, half) = (GrantId(B256::repeat_byte(6)), OwnerHalf::generate(&mut rng(2)));
        let granted = GrantedHalf::seal(ASSET, id, &reader_key(&key), &half, &mut rng(4)).unwrap();
        let grant = Grant { asset: ASSET, id, reader: Reader::Node((&key.public_key()).into()) };
        let secret = ReadingSecret::of_node(&key);
        assert_eq!(granted.grant, grant);
        assert_eq!(granted.open(&grant, &secret).unwrap(), half);
        for other in [
            Grant { id: GrantId(B256::ZERO), ..grant },
            Grant { asset: AssetId(B256::ZERO), ..grant },
            Grant { reader: Reader::Node((&other.public_key()).into()), ..grant },
        ] {
            assert_eq!(granted.open(&other, &secret), Err(Refused));
        }
        assert_eq!(granted.open(&grant, &ReadingSecret::of_node(&other)), Err(Refused));
        has_one_encoding(&granted);
    }
}

//! A data key sealed to one reader: what somebody keeps for himself, or gives to one other for ever. There is nothing to
//! revoke: no keeper has a part in it.

use crate::{
    id::AssetId,
    key::DataKey,
    reader::{ReaderKey, ReadingSecret},
    sealed::{CannotSeal, Purpose, Refused, SealedSecret},
};
use bytes::BufMut;
use commonware_codec::{Buf, Error as CodecError, FixedSize, Read, ReadExt as _, Write};
use rand::CryptoRng;

/// A data key, sealed to one reader.
///
/// `asset (32) | box (80)`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedKey {
    /// What the key opens.
    pub asset: AssetId,
    sealed: SealedSecret,
}

impl SealedKey {
    /// Seals the key of an asset.
    ///
    /// # Errors
    ///
    /// If nobody can have the secret of the reader's key.
    pub fn seal(asset: AssetId, to: &ReaderKey, key: &DataKey, rng: &mut impl CryptoRng) -> Result<Self, CannotSeal> {
        let seal = |key: &[u8; 32]| SealedSecret::seal(to, Purpose::DataKey, asset.0.as_slice(), key, rng);
        Ok(Self { asset, sealed: key.expose(seal)? })
    }

    /// Opens it as the reader that it was sealed to.
    ///
    /// # Errors
    ///
    /// If that was another, or it was changed.
    pub fn open(&self, secret: &ReadingSecret) -> Result<DataKey, Refused> {
        let key = self.sealed.open(secret, Purpose::DataKey, self.asset.0.as_slice())?;
        Ok(key.expose(|key| DataKey::from_bytes(*key)))
    }
}

impl FixedSize for SealedKey {
    const SIZE: usize = 32 + SealedSecret::SIZE;
}

impl Write for SealedKey {
    fn write(&self, buf: &mut impl BufMut) {
        self.asset.write(buf);
        self.sealed.write(buf);
    }
}

impl Read for SealedKey {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(Self { asset: AssetId::read(buf)?, sealed: SealedSecret::read(buf)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ASSET, has_one_encoding, node, reader_key, rng};

    #[test]
    fn a_sealed_key_opens_for_its_reader_and_asset_alone() {
        let (to, key) = (node(1), DataKey::generate(&mut rng(1)));
        let sealed = SealedKey::seal(ASSET, &reader_key(&to), &key, &mut rng(2)).unwrap();
        assert_eq!(sealed.open(&ReadingSecret::of_node(&to)).unwrap(), key);
        assert_eq!(sealed.open(&ReadingSecret::of_node(&node(2))), Err(Refused));
        let other = SealedKey { asset: AssetId(alloy_primitives::B256::ZERO), ..sealed };
        assert_eq!(other.open(&ReadingSecret::of_node(&to)), Err(Refused));
        has_one_encoding(&sealed);
    }
}

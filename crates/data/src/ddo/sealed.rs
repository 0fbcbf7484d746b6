//! A document that only some can read: its key is sealed to each of them, and stands with the document in the ledger's event.
//!
//! ```text
//! "stoa" (4) | readers (1) | sealed key (112) for each | the document, sealed in chunks
//! ```
//!
//! All of it is bound to the asset's [identity](super::identity), so that nothing opens as another asset's. Who the readers are is not
//! said; how many is. The document's hash is public, so a sealed document has a random [salt](SALT): nobody finds out what it says by
//! trying. What was sealed to somebody stays readable for him, as everything that he has read.

use super::{CarriedError, MOST};
use alloy_primitives::B256;
use commonware_codec::{Copying, DecodeExt as _, Encode as _, FixedSize as _};
use stoa_privacy::{
    AssetId, CannotSeal, DataKey, ReaderKey, ReadingSecret, SealedKey,
    object::{ObjectError, open, seal},
};

/// What tells it from what Ocean's nodes have sealed.
const MAGIC: &[u8; 4] = b"stoa";

/// To how many a document is sealed at most, its owner among them.
pub const MOST_READERS: usize = 64;

/// What a sealed document's salt is called in `metadata.additionalInformation.stoa`.
pub const SALT: &str = "salt";

/// A sealed document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    keys: Vec<SealedKey>,
    chunks: Vec<u8>,
}

/// Why a document cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// More than there is room for.
    #[error("a document is sealed to {MOST_READERS} at most, and these are {0}")]
    Readers(usize),
    /// Nobody can have the secret of a key.
    #[error(transparent)]
    Key(#[from] CannotSeal),
    /// It is too long.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

impl Sealed {
    /// Seals the document of the asset with this identity.
    ///
    /// # Errors
    ///
    /// See [`SealError`].
    pub fn seal(identity: B256, document: &[u8], readers: &[ReaderKey]) -> Result<Self, SealError> {
        if readers.len() > MOST_READERS {
            return Err(SealError::Readers(readers.len()));
        }
        let (object, key) = (AssetId(identity), DataKey::generate(&mut rand::rng()));
        let keys = readers.iter().map(|reader| SealedKey::seal(object, reader, &key, &mut rand::rng()));
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, chunks: seal(&key, object, document, &mut rand::rng())? })
    }

    /// Another document in this one's place, for the same readers: only one of them can seal it.
    ///
    /// # Errors
    ///
    /// If this one is not sealed to this reader, or the new one is too long.
    pub fn again(&self, identity: B256, document: &[u8], reader: &ReadingSecret) -> Result<Self, CarriedError> {
        let chunks = seal(&self.key(identity, reader)?, AssetId(identity), document, &mut rand::rng());
        let chunks = chunks.map_err(|_| CarriedError::TooLong(document.len()))?;
        Ok(Self { keys: self.keys.clone(), chunks })
    }

    /// How many can read it.
    pub const fn readers(&self) -> usize {
        self.keys.len()
    }

    /// As an event carries it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(self.keys.len() as u8);
        self.keys.iter().for_each(|key| bytes.extend(key.encode()));
        bytes.extend(&self.chunks);
        bytes
    }

    /// Reads what an event carries. Nothing if it is no document that was sealed so.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (readers, rest) = bytes.strip_prefix(MAGIC)?.split_first()?;
        let readers = usize::from(*readers);
        let (keys, chunks) = rest.split_at_checked(readers * SealedKey::SIZE)?;
        if readers > MOST_READERS || chunks.len() > 2 * MOST {
            return None;
        }
        let keys = keys.chunks(SealedKey::SIZE).map(|key| SealedKey::decode(Copying(key)).ok());
        Some(Self { keys: keys.collect::<Option<_>>()?, chunks: chunks.to_vec() })
    }

    fn key(&self, identity: B256, reader: &ReadingSecret) -> Result<DataKey, CarriedError> {
        let own = self.keys.iter().filter(|key| key.asset == AssetId(identity));
        own.filter_map(|key| key.open(reader).ok()).next().ok_or(CarriedError::Sealed)
    }

    /// The document, if it is sealed to this reader; its hash is not looked at.
    ///
    /// # Errors
    ///
    /// If it is not, or what is sealed is longer than a document or was changed.
    pub fn open(&self, identity: B256, reader: &ReadingSecret) -> Result<Vec<u8>, CarriedError> {
        let document = open(&self.key(identity, reader)?, AssetId(identity), &self.chunks);
        let document = document.map_err(|_| CarriedError::Sealed)?;
        if document.len() > MOST { Err(CarriedError::TooLong(document.len())) } else { Ok(document) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Reading;
    use alloy_signer_local::PrivateKeySigner;

    const IDENTITY: B256 = B256::repeat_byte(1);

    fn readers() -> [Reading; 3] {
        [1, 2, 3].map(|number| {
            let wallet = PrivateKeySigner::from_bytes(&B256::with_last_byte(number)).unwrap();
            Reading::of(&wallet, 1).unwrap()
        })
    }

    #[test]
    fn a_document_opens_for_its_readers_and_its_asset_alone() {
        let [owner, reader, other] = readers();
        let sealed = Sealed::seal(IDENTITY, b"what it is", &[owner.key.clone(), reader.key.clone()]).unwrap();
        let bytes = sealed.to_bytes();
        assert!(!bytes.windows(4).any(|part| part == b"what"));
        let sealed = Sealed::from_bytes(&bytes).unwrap();
        assert_eq!((sealed.readers(), sealed.to_bytes() == bytes), (2, true));
        for reading in [&owner, &reader] {
            assert_eq!(sealed.open(IDENTITY, &reading.secret).unwrap(), b"what it is");
            assert!(matches!(sealed.open(B256::ZERO, &reading.secret), Err(CarriedError::Sealed)));
        }
        assert!(matches!(sealed.open(IDENTITY, &other.secret), Err(CarriedError::Sealed)));
        assert!(matches!(sealed.again(IDENTITY, b"", &other.secret), Err(CarriedError::Sealed)));

        // A newer one for the same readers, without knowing who they are.
        let newer = sealed.again(IDENTITY, b"what it is now", &owner.secret).unwrap();
        assert_eq!(newer.open(IDENTITY, &reader.secret).unwrap(), b"what it is now");
        assert!(newer.open(IDENTITY, &other.secret).is_err());
    }

    #[test]
    fn what_was_changed_does_not_open_and_what_is_no_document_is_none() {
        let [owner, ..] = readers();
        let bytes = Sealed::seal(IDENTITY, b"what it is", std::slice::from_ref(&owner.key)).unwrap().to_bytes();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let opened = Sealed::from_bytes(&changed).map(|sealed| sealed.open(IDENTITY, &owner.secret));
            assert!(opened.is_none_or(|opened| opened.is_err()), "byte {at}");
        }
        for length in 0..bytes.len() {
            let opened = Sealed::from_bytes(&bytes[..length]).map(|sealed| sealed.open(IDENTITY, &owner.secret));
            assert!(opened.is_none_or(|opened| opened.is_err()), "{length} bytes");
        }
        let nobody = Sealed::seal(IDENTITY, b"", &vec![owner.key; MOST_READERS + 1]);
        assert!(matches!(nobody, Err(SealError::Readers(65))));
    }

    #[test]
    fn longer_than_a_document_is_none() {
        let [owner, ..] = readers();
        let long = Sealed::seal(IDENTITY, &vec![b' '; MOST + 1], std::slice::from_ref(&owner.key)).unwrap();
        assert!(matches!(long.open(IDENTITY, &owner.secret), Err(CarriedError::TooLong(_))));
    }
}

//! What the tests share.

use crate::{id::AssetId, reader::ReaderKey, statement::Seen};
use alloy_primitives::{B256, hex};
use commonware_codec::{Copying, Decode, DecodeExt as _, Encode};
use commonware_cryptography::{Signer as _, ed25519};
use rand::{TryCryptoRng, TryRng, rngs::StdRng};
use sha2::{Digest as _, Sha256};
use std::{convert::Infallible, fmt::Debug};

/// Not random at all, and the same with every version of every crate: what frozen formats are made with.
pub(crate) struct Counter(pub(crate) u8);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            *byte = self.0;
            self.0 = self.0.wrapping_add(1);
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}

pub(crate) fn rng(seed: u64) -> StdRng {
    rand::SeedableRng::seed_from_u64(seed)
}

pub(crate) const ASSET: AssetId = AssetId(B256::repeat_byte(0x0b));

pub(crate) fn node(seed: u64) -> ed25519::PrivateKey {
    let bytes = Sha256::digest(seed.to_be_bytes());
    ed25519::PrivateKey::decode(Copying(&bytes[..])).expect("any 32 bytes are a key")
}

/// Keys of so many keepers.
pub(crate) fn keepers(count: usize) -> (Vec<ed25519::PrivateKey>, Vec<ed25519::PublicKey>) {
    let keys: Vec<_> = (0..count as u64).map(node).collect();
    let public = keys.iter().map(ed25519::PrivateKey::public_key).collect();
    (keys, public)
}

pub(crate) fn reader_key(key: &ed25519::PrivateKey) -> ReaderKey {
    ReaderKey::of_node(&key.public_key()).expect("a key from a seed has a secret")
}

/// A block of the tests' ledger.
pub(crate) fn block(number: u64) -> Seen {
    Seen { number, hash: B256::left_padding_from(&number.to_be_bytes()) }
}

/// SHA-256 of an encoding that must never change.
pub(crate) fn fingerprint(value: &impl Encode) -> String {
    hex::encode(Sha256::digest(value.encode()))
}

/// What has one encoding: it's given back as it was, and nothing shorter, longer or random is taken for another.
pub(crate) fn has_one_encoding<T: Encode + Decode<Cfg = ()> + PartialEq + Debug>(value: &T) {
    let bytes = value.encode();
    assert_eq!(&T::decode(Copying(bytes.as_ref())).unwrap(), value);
    for length in 0..bytes.len() {
        assert!(T::decode(Copying(&bytes[..length])).is_err(), "cut to {length}");
    }
    assert!(T::decode(Copying(&[bytes.as_ref(), &[0]].concat()[..])).is_err());
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut changed = bytes.to_vec();
            changed[at] ^= flip;
            if let Ok(decoded) = T::decode(Copying(&changed[..])) {
                assert_eq!(decoded.encode(), changed, "byte {at}");
            }
        }
    }
}

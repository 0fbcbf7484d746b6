//! The keys of an object, and how they come from each other.
//!
//! ```text
//!  owner's half ──┐
//!                 ├─HKDF-SHA256─▶ data key ──▶ the object's chunks
//!  keepers' half ─┘
//! ```
//!
//! HKDF (RFC 5869) extracts from the halves and expands for one object, so that a half that is used for two objects gives
//! two keys, and whoever has one half and not the other has 32 bytes of the key to guess. The two ways to a key, from both
//! halves and from the keepers' alone, expand under different labels: neither can be passed off as the other.

use crate::id::AssetId;
use commonware_cryptography::Secret;
use hkdf::Hkdf;
use rand::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of every symmetric key and of every half.
pub const KEY_LEN: usize = 32;

const DATA_KEY: &[u8] = b"stoa/privacy/data-key/v1";

/// What stands before the object in the expansion.
const TWO_HALVES: u8 = 1;
const KEEPERS_ONLY: u8 = 2;

macro_rules! secret {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        ///
        /// Erased when it is dropped; its `Debug` shows nothing; compared in constant time.
        #[derive(Debug, PartialEq, Eq)]
        pub struct $name(Secret<[u8; KEY_LEN]>);

        impl $name {
            /// Takes these bytes, which must be as hard to guess as random ones.
            pub const fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
                Self(Secret::new(bytes))
            }

            /// Lets `look` see the bytes, for as long as it runs.
            pub fn expose<T>(&self, look: impl for<'a> FnOnce(&'a [u8; KEY_LEN]) -> T) -> T {
                self.0.expose(look)
            }
        }
    };
}

secret! {
    /// What an object is sealed with. Fresh for each object.
    DataKey
}
secret! {
    /// The half of a data key that the owner seals to each reader.
    OwnerHalf
}
secret! {
    /// The half of a data key that is shared among keepers.
    KeeperHalf
}

fn random(rng: &mut impl CryptoRng) -> [u8; KEY_LEN] {
    let mut bytes = [0; KEY_LEN];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// HKDF-SHA256: 32 bytes from `secret`, for the purpose that `salt` names and what `info` says.
pub(crate) fn derive(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> [u8; KEY_LEN] {
    let mut key = [0; KEY_LEN];
    expand(salt, secret, info, &mut key);
    key
}

/// The same into `out`, which is some blocks long at most.
pub(crate) fn expand(salt: &[u8], secret: &[u8], info: &[&[u8]], out: &mut [u8]) {
    let hkdf = Hkdf::<Sha256>::new(Some(salt), secret);
    hkdf.expand_multi_info(info, out).expect("HKDF gives up to 255 blocks");
}

impl DataKey {
    /// A key that is nobody else's: for what an owner keeps to itself.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_bytes(random(rng))
    }

    /// The key of `object` from both halves.
    pub fn from_halves(owner: &OwnerHalf, keepers: &KeeperHalf, asset: AssetId) -> Self {
        let mut halves = Zeroizing::new([0; 2 * KEY_LEN]);
        owner.expose(|half| halves[..KEY_LEN].copy_from_slice(half));
        keepers.expose(|half| halves[KEY_LEN..].copy_from_slice(half));
        Self::from_bytes(derive(DATA_KEY, &halves[..], &[&[TWO_HALVES], asset.0.as_slice()]))
    }

    /// The key of `object` from the keepers' half alone. As many keepers as release it can open the object without
    /// anybody's leave: whoever shows the asset has to say so.
    pub fn from_keepers_only(keepers: &KeeperHalf, asset: AssetId) -> Self {
        let key = keepers.expose(|half| derive(DATA_KEY, half, &[&[KEEPERS_ONLY], asset.0.as_slice()]));
        Self::from_bytes(key)
    }
}

impl OwnerHalf {
    /// A fresh half, for one object.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::from_bytes(random(rng))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{B256, hex};

    fn halves() -> (OwnerHalf, KeeperHalf) {
        (OwnerHalf::from_bytes([1; KEY_LEN]), KeeperHalf::from_bytes([2; KEY_LEN]))
    }

    #[test]
    fn the_derivation_is_frozen() {
        let (owner, keepers) = halves();
        let asset = AssetId(B256::repeat_byte(3));
        let two = DataKey::from_halves(&owner, &keepers, asset).expose(|key| hex::encode(key));
        assert_eq!(two, "0f640810d589dc3c353001248443407d2f4bd31c151367720f864c5b58fc3b89");
        let one = DataKey::from_keepers_only(&keepers, asset).expose(|key| hex::encode(key));
        assert_eq!(one, "cec5db0c877bdc9e16ab5ddc060ae2970bd8053f9d92e1b7d9adbc56e128ccd7");
    }

    #[test]
    fn every_half_the_object_and_the_way_count() {
        let (owner, keepers) = halves();
        let asset = AssetId(B256::repeat_byte(3));
        let key = DataKey::from_halves(&owner, &keepers, asset);
        assert_eq!(key, DataKey::from_halves(&owner, &keepers, asset));
        assert_ne!(key, DataKey::from_halves(&OwnerHalf::from_bytes([9; KEY_LEN]), &keepers, asset));
        assert_ne!(key, DataKey::from_halves(&owner, &KeeperHalf::from_bytes([9; KEY_LEN]), asset));
        assert_ne!(key, DataKey::from_halves(&owner, &keepers, AssetId(B256::repeat_byte(4))));
        assert_ne!(key, DataKey::from_keepers_only(&keepers, asset));
    }

    #[test]
    fn debug_shows_no_secret() {
        let (owner, keepers) = halves();
        let key = DataKey::from_bytes([0xab; KEY_LEN]);
        let shown = format!("{owner:?} {keepers:?} {key:?}");
        assert_eq!(shown, "OwnerHalf(Secret([REDACTED])) KeeperHalf(Secret([REDACTED])) DataKey(Secret([REDACTED]))");
    }
}

//! Mappings: a value for every key, found by hashing the key with the mapping's slot.

use super::{Layout, Place, Size, Word};
use alloy_primitives::{U256, keccak256};
use std::marker::PhantomData;

/// What a mapping can be keyed with.
pub trait Key {
    /// Where the value of this key lies, for a mapping at `slot`, and how many bytes were hashed for it.
    fn slot(&self, slot: U256) -> (U256, usize);
}

impl<T: Word + KeyWord> Key for T {
    fn slot(&self, slot: U256) -> (U256, usize) {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.key_word());
        bytes[32..].copy_from_slice(&slot.to_be_bytes::<32>());
        (keccak256(bytes).into(), 64)
    }
}

/// A value type as the ABI encodes it, which is how mappings hash it.
pub trait KeyWord {
    /// The 32 bytes.
    fn key_word(&self) -> [u8; 32];
}

macro_rules! low_bytes {
    ($([$($generics:tt)*] $kind:ty),+ $(,)?) => {$(
        impl $($generics)* KeyWord for $kind {
            #[inline]
            fn key_word(&self) -> [u8; 32] {
                self.to_word().to_be_bytes()
            }
        }
    )+};
}

low_bytes!(
    [] bool,
    [] u8,
    [] u16,
    [] u32,
    [] u64,
    [] u128,
    [] alloy_primitives::Address,
    [<const BITS: usize, const LIMBS: usize>] alloy_primitives::Uint<BITS, LIMBS>,
);

impl<const N: usize> KeyWord for alloy_primitives::FixedBytes<N> {
    fn key_word(&self) -> [u8; 32] {
        let mut word = [0; 32];
        word[..N].copy_from_slice(self.as_slice());
        word
    }
}

impl Key for [u8] {
    fn slot(&self, slot: U256) -> (U256, usize) {
        let bytes = [self, &slot.to_be_bytes::<32>()].concat();
        (keccak256(&bytes).into(), bytes.len())
    }
}

impl Key for str {
    fn slot(&self, slot: U256) -> (U256, usize) {
        self.as_bytes().slot(slot)
    }
}

/// A mapping in storage: `mapping(K => V)`. String keys are `Mapping<str, V>`, keys of type `bytes` `Mapping<[u8], V>`.
#[derive(Debug)]
pub struct Mapping<K: ?Sized, V> {
    place: Place,
    kind: PhantomData<fn(&K) -> V>,
}

impl<K: ?Sized, V> Clone for Mapping<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: ?Sized, V> Copy for Mapping<K, V> {}

impl<K: ?Sized, V> Layout for Mapping<K, V> {
    const SIZE: Size = Size::Slots(1);

    fn at(place: Place) -> Self {
        Self { place, kind: PhantomData }
    }

    fn place(&self) -> Place {
        self.place
    }
}

impl<K: Key + ?Sized, V: Layout> Mapping<K, V> {
    /// The value of a key.
    pub fn at(&self, key: &K) -> V {
        let (slot, bytes) = key.slot(self.place.slot);
        let gas = 30 + 6 * bytes.div_ceil(32) as u32;
        V::at(Place { slot, offset: 0, gas: self.place.gas.saturating_add(gas) })
    }
}

//! Values: what fits in a slot, and may share it.

use super::{Layout, Place, Size};
use crate::{Context, Result};
use alloy_primitives::{Address, FixedBytes, Signed, U256, Uint};
use std::marker::PhantomData;

/// A Solidity value type.
pub trait Word: Copy {
    /// Bytes that it takes in storage.
    const BYTES: usize;

    /// From the low bytes of a word; bits above are zero.
    fn from_word(word: U256) -> Self;

    /// To the low bytes of a word; bits above are zero.
    fn to_word(self) -> U256;
}

impl Word for bool {
    const BYTES: usize = 1;

    fn from_word(word: U256) -> Self {
        !word.is_zero()
    }

    fn to_word(self) -> U256 {
        U256::from(self)
    }
}

macro_rules! unsigned {
    ($($int:ty)+) => {$(
        impl Word for $int {
            const BYTES: usize = size_of::<$int>();

            fn from_word(word: U256) -> Self {
                word.wrapping_to()
            }

            fn to_word(self) -> U256 {
                U256::from(self)
            }
        }
    )+};
}

unsigned!(u8 u16 u32 u64 u128);

impl<const BITS: usize, const LIMBS: usize> Word for Uint<BITS, LIMBS> {
    const BYTES: usize = BITS / 8;

    fn from_word(word: U256) -> Self {
        Self::wrapping_from(word)
    }

    fn to_word(self) -> U256 {
        U256::from(self)
    }
}

impl<const BITS: usize, const LIMBS: usize> Word for Signed<BITS, LIMBS> {
    const BYTES: usize = BITS / 8;

    fn from_word(word: U256) -> Self {
        Self::from_raw(Uint::wrapping_from(word))
    }

    fn to_word(self) -> U256 {
        U256::from(self.into_raw())
    }
}

impl Word for Address {
    const BYTES: usize = 20;

    fn from_word(word: U256) -> Self {
        Self::from_word(word.into())
    }

    fn to_word(self) -> U256 {
        self.into_word().into()
    }
}

impl<const N: usize> Word for FixedBytes<N> {
    const BYTES: usize = N;

    fn from_word(word: U256) -> Self {
        Self::from_slice(&word.to_be_bytes::<32>()[32 - N..])
    }

    fn to_word(self) -> U256 {
        U256::from_be_slice(self.as_slice())
    }
}

/// Makes a field-less enum with `#[repr(u8)]`, numbered from 0 without gaps, a value type as Solidity's enums are.
#[macro_export]
macro_rules! storage_enum {
    ($name:ident { $($variant:ident),+ $(,)? }) => {
        impl $crate::storage::Word for $name {
            const BYTES: usize = 1;

            fn from_word(word: $crate::U256) -> Self {
                // What storage holds was written as one of these.
                const VARIANTS: &[$name] = &[$($name::$variant),+];
                VARIANTS[word.saturating_to::<usize>().min(VARIANTS.len() - 1)]
            }

            fn to_word(self) -> $crate::U256 {
                $crate::U256::from(self as u8)
            }
        }

        impl $crate::storage::KeyWord for $name {
            fn key_word(&self) -> [u8; 32] {
                $crate::U256::from(*self as u8).to_be_bytes()
            }
        }
    };
}

/// A value in storage.
#[derive(Debug)]
pub struct Value<T> {
    place: Place,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Value<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Value<T> {}

impl<T: Word> Layout for Value<T> {
    const SIZE: Size = Size::Bytes(T::BYTES);

    fn at(place: Place) -> Self {
        Self { place, kind: PhantomData }
    }

    fn place(&self) -> Place {
        self.place
    }
}

impl<T: Word> Value<T> {
    const MASK: U256 = if T::BYTES == 32 { U256::MAX } else { mask(T::BYTES) };

    /// Reads it.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn read(&self, cx: &mut Context<'_>) -> Result<T> {
        let word = self.place.sload(cx)?;
        Ok(T::from_word(match T::BYTES {
            32 => word,
            _ => (word >> (8 * usize::from(self.place.offset))) & Self::MASK,
        }))
    }

    /// Writes it. What shares the slot stays, at the cost of reading it.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call.
    pub fn write(&self, cx: &mut Context<'_>, value: T) -> Result<()> {
        let word = match T::BYTES {
            32 => value.to_word(),
            _ => {
                let shift = 8 * usize::from(self.place.offset);
                (self.place.sload(cx)? & !(Self::MASK << shift)) | (value.to_word() << shift)
            }
        };
        self.place.sstore(cx, word)
    }
}

const fn mask(bytes: usize) -> U256 {
    let mut limbs = [0; 4];
    let mut i = 0;
    while i < bytes {
        limbs[i / 8] |= 0xff << (8 * (i % 8));
        i += 1;
    }
    U256::from_limbs(limbs)
}

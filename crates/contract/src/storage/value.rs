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

    #[inline]
    fn from_word(word: U256) -> Self {
        !word.is_zero()
    }

    #[inline]
    fn to_word(self) -> U256 {
        U256::from(self)
    }
}

macro_rules! unsigned {
    ($($int:ty)+) => {$(
        impl Word for $int {
            const BYTES: usize = size_of::<$int>();

            #[inline]
            fn from_word(word: U256) -> Self {
                word.wrapping_to()
            }

            #[inline]
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

    #[inline]
    fn from_word(word: U256) -> Self {
        Self::from_word(word.into())
    }

    #[inline]
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

    fn shift(&self) -> usize {
        8 * usize::from(self.place.offset)
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn read(&self, cx: &mut Context<'_>) -> Result<T> {
        Ok(self.of(self.word(cx)?))
    }

    /// Reads the slot that it lies in, for all that shares it: each is told by [`Value::of`], without another read.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn word(&self, cx: &mut Context<'_>) -> Result<U256> {
        self.place.sload(cx)
    }

    /// It, in the word that its slot holds.
    pub fn of(&self, word: U256) -> T {
        T::from_word(match T::BYTES {
            32 => word,
            _ => (word >> self.shift()) & Self::MASK,
        })
    }

    /// The word that its slot holds, with it in place of what was there.
    pub fn put(&self, word: U256, value: T) -> U256 {
        match T::BYTES {
            32 => value.to_word(),
            _ => (word & !(Self::MASK << self.shift())) | (value.to_word() << self.shift()),
        }
    }

    /// Writes the slot that it lies in, and so all that shares it.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call.
    pub fn write_word(&self, cx: &mut Context<'_>, word: U256) -> Result<()> {
        self.place.sstore(cx, word)
    }

    /// Writes it. What shares the slot stays, at the cost of reading it.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call.
    pub fn write(&self, cx: &mut Context<'_>, value: T) -> Result<()> {
        let before = if T::BYTES == 32 { U256::ZERO } else { self.word(cx)? };
        self.write_word(cx, self.put(before, value))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Natives, bench::Bench, natives};

    crate::storage! {
        struct Shared {
            owner: Value<Address>,
            count: Value<u64>,
            open: Value<bool>,
        }
    }

    #[test]
    fn what_shares_a_slot_is_read_and_written_at_once() {
        let (mut bench, kept) = (Bench::new(Natives::none()), Shared::root());
        let owner = Address::repeat_byte(0xa1);
        let word = kept.open.put(kept.count.put(kept.owner.put(U256::MAX, owner), 7), false);
        assert_eq!(word >> 232_usize, U256::MAX >> 232_usize, "what nothing was put in place of");
        assert_eq!((kept.owner.of(word), kept.count.of(word), kept.open.of(word)), (owner, 7, false));
        let code = |cx: &mut Context<'_>| -> Result<_> {
            kept.owner.write_word(cx, word)?;
            kept.open.write(cx, true)?;
            Ok((kept.owner.read(cx)?, kept.count.read(cx)?, kept.open.read(cx)?, kept.count.word(cx)?))
        };
        let (told, _) = bench.evm.system(natives::address(0xff), code).expect("a state in memory");
        assert_eq!(told, (owner, 7, true, kept.open.put(word, true)));
    }
}

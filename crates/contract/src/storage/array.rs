//! Arrays. Elements that fit several times into a slot share it.

use super::{Layout, Place, Size, Value, Word};
use crate::{Context, Error, Result};
use alloy_primitives::U256;
use alloy_sol_types::PanicKind;
use std::marker::PhantomData;

/// Where an element lies in the data of an array.
fn element<V: Layout>(data: Place, index: usize) -> V {
    let (slots, offset) = match V::SIZE {
        Size::Bytes(size) => (index / (32 / size), index % (32 / size) * size),
        Size::Slots(size) => (index.saturating_mul(size), 0),
    };
    V::at(Place { offset: offset as u8, ..data.plus(U256::from(slots)) })
}

macro_rules! handle {
    ($name:ident<$kind:ident $(, const $len:ident: usize)?>) => {
        impl<$kind $(, const $len: usize)?> Clone for $name<$kind $(, $len)?> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<$kind $(, const $len: usize)?> Copy for $name<$kind $(, $len)?> {}
    };
}

/// An array that grows: `V[]`.
#[derive(Debug)]
pub struct Array<V> {
    place: Place,
    kind: PhantomData<fn() -> V>,
}

handle!(Array<V>);

impl<V> Layout for Array<V> {
    const SIZE: Size = Size::Slots(1);

    fn at(place: Place) -> Self {
        Self { place, kind: PhantomData }
    }

    fn place(&self) -> Place {
        self.place
    }
}

impl<V: Layout> Array<V> {
    /// The number of elements.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn len(&self, cx: &mut Context<'_>) -> Result<usize> {
        // More elements than a machine can count cannot have been paid for.
        Ok(self.place.sload(cx)?.saturating_to())
    }

    /// Whether there is no element.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn is_empty(&self, cx: &mut Context<'_>) -> Result<bool> {
        Ok(self.len(cx)? == 0)
    }

    /// An element.
    ///
    /// # Errors
    ///
    /// `Panic(0x32)` if there is none at this index; out of gas.
    pub fn get(&self, cx: &mut Context<'_>, index: usize) -> Result<V> {
        match index < self.len(cx)? {
            true => Ok(self.get_unchecked(index)),
            false => Err(Error::panic(PanicKind::ArrayOutOfBounds)),
        }
    }

    /// An element that the caller knows to be there.
    pub fn get_unchecked(&self, index: usize) -> V {
        element(self.place.data(), index)
    }

    /// Adds an element at the end, for the caller to write.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call.
    pub fn grow(&self, cx: &mut Context<'_>) -> Result<V> {
        let len = self.len(cx)?;
        self.place.sstore(cx, U256::from(len) + U256::ONE)?;
        Ok(self.get_unchecked(len))
    }

    /// Takes the last element off; the caller clears what it holds.
    ///
    /// # Errors
    ///
    /// `Panic(0x31)` if there is none; out of gas; halts in a static call.
    pub fn shrink(&self, cx: &mut Context<'_>) -> Result<V> {
        let Some(last) = self.len(cx)?.checked_sub(1) else {
            return Err(Error::panic(PanicKind::EmptyArrayPop));
        };
        self.place.sstore(cx, U256::from(last))?;
        Ok(self.get_unchecked(last))
    }
}

impl<T: Word> Array<Value<T>> {
    /// Adds a value at the end.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call.
    pub fn push(&self, cx: &mut Context<'_>, value: T) -> Result<()> {
        self.grow(cx)?.write(cx, value)
    }

    /// Takes the last value off.
    ///
    /// # Errors
    ///
    /// `Panic(0x31)` if there is none; out of gas; halts in a static call.
    pub fn pop(&self, cx: &mut Context<'_>) -> Result<T> {
        let last = self.shrink(cx)?;
        let value = last.read(cx)?;
        last.write(cx, T::from_word(U256::ZERO))?;
        Ok(value)
    }

    /// At most `most` values from number `from` on: what a caller of a contract can ask for, however long the list.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn page(&self, cx: &mut Context<'_>, from: U256, most: U256) -> Result<Vec<T>> {
        let len = self.len(cx)?;
        let from = from.saturating_to::<usize>().min(len);
        let to = from.saturating_add(most.saturating_to()).min(len);
        (from..to).map(|index| self.get_unchecked(index).read(cx)).collect()
    }

    /// All values. The caller knows that they are few: each is paid for.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn values(&self, cx: &mut Context<'_>) -> Result<Vec<T>> {
        let len = self.len(cx)?;
        let mut values = Vec::new();
        for index in 0..len {
            values.push(self.get_unchecked(index).read(cx)?);
        }
        Ok(values)
    }
}

/// An array of `N` elements: `V[N]`.
#[derive(Debug)]
pub struct FixedArray<V, const N: usize> {
    place: Place,
    kind: PhantomData<fn() -> V>,
}

handle!(FixedArray<V, const N: usize>);

impl<V: Layout, const N: usize> Layout for FixedArray<V, N> {
    const SIZE: Size = Size::Slots(match V::SIZE {
        Size::Bytes(size) => N.div_ceil(32 / size),
        Size::Slots(size) => N * size,
    });

    fn at(place: Place) -> Self {
        Self { place, kind: PhantomData }
    }

    fn place(&self) -> Place {
        self.place
    }
}

impl<V: Layout, const N: usize> FixedArray<V, N> {
    /// An element.
    ///
    /// # Errors
    ///
    /// `Panic(0x32)` if there is none at this index.
    pub fn get(&self, index: usize) -> Result<V> {
        match index < N {
            true => Ok(element(self.place, index)),
            false => Err(Error::panic(PanicKind::ArrayOutOfBounds)),
        }
    }
}

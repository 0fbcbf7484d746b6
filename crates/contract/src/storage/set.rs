//! Sets that can be listed, in the layout of OpenZeppelin's `EnumerableSet`.

use super::{Array, Layout, Mapping, Place, Size, Value, Word};
use crate::{Context, Result};
use alloy_primitives::{B256, U256};
use std::marker::PhantomData;

crate::storage! {
    struct Inner {
        values: Array<Value<B256>>,
        // Where a value is among the values, counted from 1; 0 if it is not.
        positions: Mapping<B256, Value<U256>>,
    }
}

/// A set of values: `EnumerableSet.AddressSet` and its relatives. The order is that of OpenZeppelin: of addition,
/// except that the last takes the place of one that is removed.
#[derive(Debug)]
pub struct EnumerableSet<T> {
    place: Place,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for EnumerableSet<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for EnumerableSet<T> {}

impl<T: Word> Layout for EnumerableSet<T> {
    const SIZE: Size = Inner::SIZE;

    fn at(place: Place) -> Self {
        Self { place, kind: PhantomData }
    }

    fn place(&self) -> Place {
        self.place
    }
}

impl<T: Word> EnumerableSet<T> {
    fn inner(&self) -> Inner {
        Inner::at(self.place)
    }

    fn stored(value: T) -> B256 {
        value.to_word().into()
    }

    /// Adds a value; `false` if it is there already.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call.
    pub fn add(&self, cx: &mut Context<'_>, value: T) -> Result<bool> {
        if self.contains(cx, value)? {
            return Ok(false);
        }
        let (inner, stored) = (self.inner(), Self::stored(value));
        inner.values.push(cx, stored)?;
        let len = inner.values.len(cx)?;
        inner.positions.at(&stored).write(cx, U256::from(len))?;
        Ok(true)
    }

    /// Removes a value; `false` if it is not there.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call.
    pub fn remove(&self, cx: &mut Context<'_>, value: T) -> Result<bool> {
        let (inner, stored) = (self.inner(), Self::stored(value));
        let position: usize = inner.positions.at(&stored).read(cx)?.saturating_to();
        if position == 0 {
            return Ok(false);
        }
        let last = inner.values.len(cx)?;
        if position != last {
            let moved = inner.values.get(cx, last - 1)?.read(cx)?;
            inner.values.get(cx, position - 1)?.write(cx, moved)?;
            inner.positions.at(&moved).write(cx, U256::from(position))?;
        }
        inner.values.pop(cx)?;
        inner.positions.at(&stored).write(cx, U256::ZERO)?;
        Ok(true)
    }

    /// Whether a value is there.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn contains(&self, cx: &mut Context<'_>, value: T) -> Result<bool> {
        Ok(!self.inner().positions.at(&Self::stored(value)).read(cx)?.is_zero())
    }

    /// The number of values.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn len(&self, cx: &mut Context<'_>) -> Result<usize> {
        self.inner().values.len(cx)
    }

    /// Whether there is none.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn is_empty(&self, cx: &mut Context<'_>) -> Result<bool> {
        self.inner().values.is_empty(cx)
    }

    /// A value by its place in the order.
    ///
    /// # Errors
    ///
    /// `Panic(0x32)` if there is none at this index; out of gas.
    pub fn get(&self, cx: &mut Context<'_>, index: usize) -> Result<T> {
        Ok(T::from_word(self.inner().values.get(cx, index)?.read(cx)?.into()))
    }

    /// All values. The caller knows that they are few: each is paid for.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn values(&self, cx: &mut Context<'_>) -> Result<Vec<T>> {
        Ok(self.inner().values.values(cx)?.into_iter().map(|value| T::from_word(value.into())).collect())
    }
}

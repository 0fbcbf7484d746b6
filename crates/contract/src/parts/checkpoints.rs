//! Histories of a number: OpenZeppelin's `Checkpoints.Trace208`.

use crate::{
    Context, Result,
    interfaces::ICheckpointErrors::{CheckpointUnorderedInsertion, SafeCastOverflowedUintDowncast},
    storage::{Array, Value},
};
use alloy_primitives::{U256, Uint, aliases::U48};

/// 208 bits, of which votes have no more.
pub type U208 = Uint<208, 4>;

crate::storage! {
    /// A value from a time on.
    pub struct Checkpoint {
        /// The time.
        pub key: Value<U48>,
        /// The value.
        pub value: Value<U208>,
    }

    /// A value's history, in order of time.
    pub struct Trace208 {
        /// All points at which it changed.
        pub checkpoints: Array<Checkpoint>,
    }
}

impl Trace208 {
    /// The newest value; zero if there is none.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn latest(&self, cx: &mut Context<'_>) -> Result<U208> {
        Ok(self.latest_checkpoint(cx)?.1)
    }

    /// The newest point: its time and value; zeros if there is none.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn latest_checkpoint(&self, cx: &mut Context<'_>) -> Result<(u64, U208)> {
        match self.checkpoints.len(cx)? {
            0 => Ok((0, U208::ZERO)),
            len => self.read(cx, len - 1),
        }
    }

    /// The number of points.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn len(&self, cx: &mut Context<'_>) -> Result<usize> {
        self.checkpoints.len(cx)
    }

    /// Whether there is no point.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn is_empty(&self, cx: &mut Context<'_>) -> Result<bool> {
        self.checkpoints.is_empty(cx)
    }

    /// A point by its place.
    ///
    /// # Errors
    ///
    /// `Panic(0x32)` if there is none at this index; out of gas.
    pub fn get(&self, cx: &mut Context<'_>, index: usize) -> Result<(u64, U208)> {
        self.checkpoints.get(cx, index)?;
        self.read(cx, index)
    }

    /// One slot holds both parts of a point: one read.
    fn read(&self, cx: &mut Context<'_>, index: usize) -> Result<(u64, U208)> {
        let place = crate::storage::Layout::place(&self.checkpoints.get_unchecked(index));
        cx.charge(place.gas.into())?;
        let word = cx.sload(place.slot)?;
        Ok(((word & U256::from((1u64 << 48) - 1)).to(), U208::wrapping_from(word >> 48)))
    }

    fn write(&self, cx: &mut Context<'_>, index: usize, key: u64, value: U208) -> Result<()> {
        let place = crate::storage::Layout::place(&self.checkpoints.get_unchecked(index));
        cx.charge(place.gas.into())?;
        cx.sstore(place.slot, (U256::from(value) << 48) | U256::from(key))
    }

    /// Sets the value from a time on, and returns the old and the new one. A second value at the same time replaces
    /// the first.
    ///
    /// # Errors
    ///
    /// `CheckpointUnorderedInsertion` if the time lies before the newest point; out of gas; halts in a static call.
    pub fn push(&self, cx: &mut Context<'_>, key: u64, value: U208) -> Result<(U208, U208)> {
        let len = self.checkpoints.len(cx)?;
        let mut old = U208::ZERO;
        if len > 0 {
            let (newest, latest) = self.read(cx, len - 1)?;
            if newest > key {
                return Err(CheckpointUnorderedInsertion {}.into());
            }
            if newest == key {
                self.write(cx, len - 1, key, value)?;
                return Ok((latest, value));
            }
            old = latest;
        }
        self.checkpoints.grow(cx)?;
        self.write(cx, len, key, value)?;
        Ok((old, value))
    }

    /// The value at a time: that of the last point not after it. Fast for times near the newest.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn upper_lookup_recent(&self, cx: &mut Context<'_>, key: u64) -> Result<U208> {
        let len = self.checkpoints.len(cx)?;
        let (mut low, mut high) = (0, len);
        if len > 5 {
            let middle = len - len.isqrt();
            match key < self.read(cx, middle)?.0 {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        while low < high {
            let middle = low.midpoint(high);
            match self.read(cx, middle)?.0 > key {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        match high {
            0 => Ok(U208::ZERO),
            index => Ok(self.read(cx, index - 1)?.1),
        }
    }
}

/// `SafeCast.toUint208`.
///
/// # Errors
///
/// `SafeCastOverflowedUintDowncast` if the number has more bits.
pub fn to_u208(value: U256) -> Result<U208> {
    match value.bit_len() <= 208 {
        true => Ok(U208::from(value)),
        false => Err(SafeCastOverflowedUintDowncast { bits: 208, value }.into()),
    }
}

/// `SafeCast.toUint48`.
///
/// # Errors
///
/// `SafeCastOverflowedUintDowncast` if the number has more bits.
pub fn to_u48(value: U256) -> Result<u64> {
    match value.bit_len() <= 48 {
        true => Ok(value.to()),
        false => Err(SafeCastOverflowedUintDowncast { bits: 48, value }.into()),
    }
}

//! What the tests share.

use crate::id::ObjectId;
use alloy_primitives::B256;
use rand::{TryCryptoRng, TryRng, rngs::StdRng};
use std::convert::Infallible;

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

pub(crate) const OBJECT: ObjectId = ObjectId(B256::repeat_byte(0x0b));

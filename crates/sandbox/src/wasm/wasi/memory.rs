//! The program's memory, which every pointer from the program is checked against.

use crate::wasm::errno::Errno;
use std::ops::Range;

/// Buffers in one call at most, as `IOV_MAX`.
const MOST_BUFFERS: u32 = 1024;

/// A program's memory during one call.
pub(crate) struct Memory<'a>(pub &'a mut [u8]);

/// A part of the memory, which lies in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Buffer(Range<usize>);

impl Buffer {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Its first bytes, at most `length` of them.
    pub fn first(&self, length: usize) -> Self {
        Self(self.0.start..self.0.start + length.min(self.0.len()))
    }
}

impl Memory<'_> {
    /// The part that begins at `pointer`.
    ///
    /// # Errors
    ///
    /// [`Errno::Fault`] if it does not lie in the memory.
    pub fn buffer(&self, pointer: u32, length: u32) -> Result<Buffer, Errno> {
        let start = pointer as usize;
        let end = start.checked_add(length as usize).filter(|end| *end <= self.0.len()).ok_or(Errno::Fault)?;
        Ok(Buffer(start..end))
    }

    pub fn get(&self, buffer: &Buffer) -> &[u8] {
        self.0.get(buffer.0.clone()).unwrap_or_default()
    }

    pub fn get_mut(&mut self, buffer: &Buffer) -> &mut [u8] {
        self.0.get_mut(buffer.0.clone()).unwrap_or_default()
    }

    pub fn write(&mut self, pointer: u32, bytes: &[u8]) -> Result<(), Errno> {
        let buffer = self.buffer(pointer, bytes.len().try_into().map_err(|_| Errno::Fault)?)?;
        self.get_mut(&buffer).copy_from_slice(bytes);
        Ok(())
    }

    pub fn write_u32(&mut self, pointer: u32, value: u32) -> Result<(), Errno> {
        self.write(pointer, &value.to_le_bytes())
    }

    pub fn write_u64(&mut self, pointer: u32, value: u64) -> Result<(), Errno> {
        self.write(pointer, &value.to_le_bytes())
    }

    /// The buffers of a list of pointers and lengths (`iovec`).
    pub fn buffers(&self, list: u32, count: u32) -> Result<Vec<Buffer>, Errno> {
        if count > MOST_BUFFERS {
            return Err(Errno::Invalid);
        }
        let list = self.buffer(list, count * 8)?;
        let (pairs, _) = self.get(&list).as_chunks::<8>();
        let word = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes).map_err(|_| Errno::Fault);
        pairs.iter().map(|pair| self.buffer(word(&pair[..4])?, word(&pair[4..])?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_pointer_leaves_the_memory(bytes in prop::collection::vec(any::<u8>(), 0..64), at: u32, length: u32, small in 0u32..80) {
            let mut bytes = bytes;
            let size = bytes.len();
            let mut memory = Memory(&mut bytes);
            for pointer in [at, small, u32::MAX - small] {
                for length in [length, small, u32::MAX] {
                    if let Ok(buffer) = memory.buffer(pointer, length) {
                        prop_assert!(pointer as usize + length as usize <= size);
                        prop_assert_eq!(memory.get(&buffer).len(), length as usize);
                    }
                    if let Ok(buffers) = memory.buffers(pointer, length) {
                        prop_assert!(buffers.iter().all(|buffer| buffer.0.end <= size));
                    }
                }
                prop_assert_eq!(memory.write_u64(pointer, 7).is_ok(), pointer as usize + 8 <= size);
            }
        }
    }
}

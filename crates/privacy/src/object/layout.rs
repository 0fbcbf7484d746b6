//! Where in an object which chunk lies.

use super::ObjectError;
use std::ops::Range;

/// Bytes of a chunk before it is sealed. The last has as many as are left.
pub const CHUNK_LEN: usize = 1 << CHUNK_LOG2;

/// Bytes that sealing adds to each chunk.
pub const TAG_LEN: usize = 16;

/// Bytes before the first chunk.
pub const HEADER_LEN: usize = 57;

/// The most bytes an object holds: 2³² chunks, 256 TiB.
pub const MAX_PLAIN_LEN: u64 = (CHUNK_LEN as u64) << 32;

pub(super) const CHUNK_LOG2: u8 = 16;

const CHUNK: u64 = CHUNK_LEN as u64;
const SEALED_CHUNK: u64 = (CHUNK_LEN + TAG_LEN) as u64;
const HEADER: u64 = HEADER_LEN as u64;

/// Where in an object which chunk lies: follows from its length alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    plain_len: u64,
    chunks: u64,
}

impl Layout {
    /// Of an object that holds so many bytes.
    ///
    /// # Errors
    ///
    /// [`ObjectError::TooLong`].
    pub const fn of_plain(plain_len: u64) -> Result<Self, ObjectError> {
        if plain_len > MAX_PLAIN_LEN {
            return Err(ObjectError::TooLong { plain: plain_len });
        }
        let chunks = if plain_len == 0 { 1 } else { plain_len.div_ceil(CHUNK) };
        Ok(Self { plain_len, chunks })
    }

    /// Of an object that is so many bytes long when sealed. The length is its holder's word until the last chunk is opened.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Length`] if no object is that long.
    pub const fn of_sealed(sealed_len: u64) -> Result<Self, ObjectError> {
        let error = Err(ObjectError::Length { sealed: sealed_len });
        let Some(body) = sealed_len.checked_sub(HEADER) else { return error };
        let chunks = body.div_ceil(SEALED_CHUNK);
        let Some(plain_len) = body.checked_sub(chunks * TAG_LEN as u64) else { return error };
        match Self::of_plain(plain_len) {
            // A last chunk without content is none, unless it is the only one.
            Ok(layout) if layout.chunks == chunks => Ok(layout),
            _ => error,
        }
    }

    /// Bytes that the object holds.
    pub const fn plain_len(&self) -> u64 {
        self.plain_len
    }

    /// Bytes of the sealed object.
    pub const fn sealed_len(&self) -> u64 {
        HEADER + self.plain_len + self.chunks * TAG_LEN as u64
    }

    /// How many chunks there are: 1 to 2³².
    pub const fn chunks(&self) -> u64 {
        self.chunks
    }

    /// The chunks' indices.
    pub fn indices(&self) -> impl Iterator<Item = u32> + use<> {
        0..=self.last()
    }

    /// Index of the last chunk.
    pub const fn last(&self) -> u32 {
        (self.chunks - 1) as u32
    }

    /// Which bytes of the content are in a chunk; none behind the last.
    pub fn plain_range(&self, index: u32) -> Range<u64> {
        let start = u64::from(index) * CHUNK;
        start.min(self.plain_len)..(start + CHUNK).min(self.plain_len)
    }

    /// Which bytes of the sealed object are a chunk with its tag; none behind the last.
    pub fn sealed_range(&self, index: u32) -> Range<u64> {
        let start = HEADER + u64::from(index) * SEALED_CHUNK;
        start.min(self.sealed_len())..(start + SEALED_CHUNK).min(self.sealed_len())
    }

    /// The chunks that hold these bytes of the content.
    pub const fn covering(&self, plain: &Range<u64>) -> Range<u64> {
        let end = if plain.end < self.plain_len { plain.end } else { self.plain_len };
        if plain.start >= end {
            return 0..0;
        }
        plain.start / CHUNK..end.div_ceil(CHUNK)
    }
}

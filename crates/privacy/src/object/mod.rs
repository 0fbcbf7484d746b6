//! Sealed objects: chunks of XChaCha20-Poly1305 in the STREAM construction.
//!
//! ```text
//!  "STOA" | version 1 | log2 of the chunk's length | nonce prefix (19) | key commitment (32)      header, 57 bytes
//!  chunk 0: 65,536 bytes of ciphertext | tag (16)
//!  chunk 1: …
//!  the last: 0 to 65,536 bytes of ciphertext | tag (16)       empty only where the object is
//! ```
//!
//! **STREAM** (Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
//! Misuse-Resistance", CRYPTO 2015): the nonce of a chunk is `prefix | index, 32 bits big-endian | 1 for the last, 0 for
//! others`. So a chunk opens in its own place alone, and the last nowhere but at the end: whoever swaps, repeats, drops or
//! appends chunks makes one that does not open.
//!
//! **One derivation for all chunks.** XChaCha20 derives a key from the first 16 bytes of the nonce (HChaCha20,
//! draft-irtf-cfrg-xchacha) and goes on with ChaCha20-Poly1305 (RFC 8439). All these bytes lie in the prefix, so it is done
//! once for each object, and chunks cost what ChaCha20-Poly1305 costs in assembler. The bytes are those that any
//! XChaCha20-Poly1305 makes.
//!
//! **The header is authenticated by derivation**: HKDF-SHA256 makes the cipher's key, and the commitment, from the data
//! key, the header's other fields and the object's id. A chunk of another object, or one under a changed header, does not
//! open. The commitment is there because Poly1305 binds nobody to a key: without it an owner could make an object that
//! shows one content to one reader and another to the next (Albertini et al., "How to Abuse and Fix Authenticated
//! Encryption Without Key Commitment", USENIX Security 2022). It also tells a wrong key before any chunk is read.
//!
//! **65,536 bytes a chunk**: a tag costs 0.02 % of space, starting the cipher some hundred nanoseconds out of some twenty
//! microseconds, and a chunk fits a core's second cache; whoever reads a few bytes fetches no more than that.
//!
//! **What reading a part shows.** A chunk that opens is that chunk of that object. That the object ends where its holder
//! says is shown by its last chunk alone: open that one first where the length matters. Whoever reads to the end needs not.

mod chunk;
mod layout;
mod stream;
#[cfg(test)]
mod tests;

pub use chunk::{Header, Opener, Piece, Sealer};
pub use layout::{CHUNK_LEN, HEADER_LEN, Layout, MAX_PLAIN_LEN, TAG_LEN};
pub use stream::{OpenReader, OpenWriter, SealReader};

use crate::{id::AssetId, key::DataKey};
use rand::CryptoRng;

/// Why an object cannot be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// It does not begin as a sealed object does.
    #[error("not a sealed object: {0}")]
    Header(&'static str),
    /// The key or the id is another object's, or the header was changed.
    #[error("the key is not this object's, or the object's header was changed; check the object's id and its grant")]
    Key,
    /// A chunk was changed, moved, or cut off.
    #[error(
        "chunk {index} of the object does not open: it was changed, moved, or what follows it was cut off or added"
    )]
    Chunk {
        /// Which, from 0.
        index: u32,
    },
    /// No object is as long as this.
    #[error("no sealed object is {sealed} bytes long: it was cut off or added to")]
    Length {
        /// Bytes of it.
        sealed: u64,
    },
    /// There is more than fits one object.
    #[error("{plain} bytes do not fit one object, which holds {MAX_PLAIN_LEN}; split them")]
    TooLong {
        /// Bytes that were to be sealed.
        plain: u64,
    },
    /// The buffer does not have the length that it must have.
    #[error("expected a buffer of {expected} bytes, got {got}")]
    Buffer {
        /// Bytes that it must have.
        expected: u64,
        /// Bytes that it has.
        got: u64,
    },
    /// There are fewer chunks.
    #[error("there is no chunk {index}: the object has {chunks}")]
    NoChunk {
        /// Which was asked for, from 0.
        index: u32,
        /// How many there are.
        chunks: u64,
    },
}

/// Seals what is in memory. What is larger, or sealed on several cores, goes through [`Sealer`].
///
/// # Errors
///
/// [`ObjectError::TooLong`].
pub fn seal(key: &DataKey, object: AssetId, plain: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, ObjectError> {
    let sealed = Layout::of_plain(plain.len() as u64)?.sealed_len();
    let mut out = vec![0; usize::try_from(sealed).map_err(|_| ObjectError::TooLong { plain: plain.len() as u64 })?];
    for mut piece in Sealer::new(key, object, rng).pieces(plain.len() as u64, &mut out)? {
        let range = piece.plain_range();
        piece.plain_mut().copy_from_slice(&plain[range.start as usize..range.end as usize]);
        piece.seal();
    }
    Ok(out)
}

/// Opens what is in memory, whole.
///
/// # Errors
///
/// Says what does not hold. Nothing of the object is given out then.
pub fn open(key: &DataKey, object: AssetId, sealed: &[u8]) -> Result<Vec<u8>, ObjectError> {
    let layout = Layout::of_sealed(sealed.len() as u64)?;
    let opener = Opener::new(key, object, &Header::from_bytes(sealed)?)?;
    let mut out = sealed[HEADER_LEN..].to_vec();
    let mut filled = 0;
    for index in layout.indices() {
        let range = layout.sealed_range(index);
        let range = range.start as usize - HEADER_LEN..range.end as usize - HEADER_LEN;
        let opened = range.start..range.start + opener.open_chunk(&layout, index, &mut out[range])?.len();
        let next = filled + opened.len();
        out.copy_within(opened, filled);
        filled = next;
    }
    out.truncate(filled);
    Ok(out)
}

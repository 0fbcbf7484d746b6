//! What keepers sign: one encoding for each statement, under a name of its own, so that no signature passes for another.
//!
//! The name goes before the message with its length (commonware's namespaces); the message is the statement's encoding,
//! in which every field has a fixed length or its length before it.

use bytes::BufMut;
use commonware_codec::{Buf, Error as CodecError, FixedSize, Read, ReadExt as _, Write};

/// A keeper gave a share to a reader.
pub(crate) const RELEASE: &[u8] = b"stoa/privacy/release/v1";
/// A keeper deleted what it kept.
pub(crate) const DELETION: &[u8] = b"stoa/privacy/deletion/v1";
/// A keeper dealt its share to new keepers.
pub(crate) const DEALING: &[u8] = b"stoa/privacy/dealing/v1";

/// The block of the ledger at which a keeper looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: alloy_primitives::B256,
}

impl FixedSize for Seen {
    const SIZE: usize = 8 + 32;
}

impl Write for Seen {
    fn write(&self, buf: &mut impl BufMut) {
        self.number.write(buf);
        self.hash.0.write(buf);
    }
}

impl Read for Seen {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(Self { number: u64::read(buf)?, hash: <[u8; 32]>::read(buf)?.into() })
    }
}

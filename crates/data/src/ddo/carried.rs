//! How an event carries a document: plain, packed with LZMA, or [sealed](super::sealed) to its readers, or to a node of Ocean's.

use super::{MOST, hash};
use alloy_primitives::B256;
use std::{
    borrow::Cow,
    io::{self, Write},
};

/// How many times as long as its packed bytes a document may be, beside so many bytes: a few hundred bytes, which cost next to
/// nothing, would else be a megabyte that all who read it unpack. Columns that are numbered pack to an eightieth.
const SWELLS: usize = 16;
const ROOM: usize = 64 << 10;

/// What is done to a document before it is published: Ocean's `flags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// It is packed with LZMA.
    pub packed: bool,
    /// It is sealed: to its readers, or as Ocean's nodes do it to the one at `decryptorUrl`.
    pub sealed: bool,
}

/// Why there is no document in what an event carries.
#[derive(Debug, thiserror::Error)]
pub enum CarriedError {
    /// It is not for everybody.
    #[error("the document is sealed, and who asks is none of its readers")]
    Sealed,
    /// Unknown flags.
    #[error("the document is carried in a way that is not known (flags {0})")]
    Flags(String),
    /// It cannot be unpacked, or is too long then.
    #[error("the document cannot be unpacked: {0}")]
    Packed(String),
    /// It is too long.
    #[error("the document has {0} bytes, and {MOST} at most are read")]
    TooLong(usize),
    /// Its hash is another one.
    #[error("the document's hash is {is}, and {said} was published")]
    Hash {
        /// What it is.
        is: B256,
        /// What the event says.
        said: B256,
    },
}

impl Flags {
    /// Reads the bytes of an event; none of them is as zero.
    ///
    /// # Errors
    ///
    /// If there are bits that nobody has given a meaning.
    pub fn read(bytes: &[u8]) -> Result<Self, CarriedError> {
        let (last, before) = bytes.split_last().unwrap_or((&0, &[]));
        if *last > 3 || before.iter().any(|byte| *byte != 0) {
            let shown = &bytes[..bytes.len().min(32)];
            return Err(CarriedError::Flags(alloy_primitives::hex::encode_prefixed(shown)));
        }
        Ok(Self { packed: last & 1 > 0, sealed: last & 2 > 0 })
    }

    /// As an event has them.
    pub fn to_bytes(self) -> Vec<u8> {
        vec![u8::from(self.packed) | u8::from(self.sealed) << 1]
    }

    /// What an event carries of a document.
    ///
    /// # Errors
    ///
    /// If it is to be sealed, which [`Sealed`](super::Sealed) does, or cannot be packed.
    pub fn carry(self, document: &[u8]) -> Result<Vec<u8>, CarriedError> {
        match self {
            Self { sealed: true, .. } => Err(CarriedError::Sealed),
            Self { packed: false, .. } => Ok(document.to_vec()),
            Self { packed: true, .. } => {
                let mut packed = Vec::new();
                let done = lzma_rs::lzma_compress(&mut &document[..], &mut packed);
                done.map(|()| packed).map_err(|error| CarriedError::Packed(error.to_string()))
            }
        }
    }
}

/// The document that an event carries, if it has the hash that the event says.
///
/// # Errors
///
/// See [`CarriedError`].
pub fn opened<'a>(flags: &[u8], data: &'a [u8], said: B256) -> Result<Cow<'a, [u8]>, CarriedError> {
    let flags = Flags::read(flags)?;
    if flags.sealed {
        return Err(CarriedError::Sealed);
    }
    if data.len() > MOST {
        return Err(CarriedError::TooLong(data.len()));
    }
    let document = if flags.packed { Cow::Owned(unpacked(data)?) } else { Cow::Borrowed(data) };
    let is = hash(&document);
    if is == said { Ok(document) } else { Err(CarriedError::Hash { is, said }) }
}

/// Takes so many bytes at most.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = self.most;
        if self.bytes.len() + bytes.len() > most {
            return Err(io::Error::other(format!("it has more than {most} bytes then")));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unpacked(mut data: &[u8]) -> Result<Vec<u8>, CarriedError> {
    let packed = |why: String| CarriedError::Packed(why);
    // The header: properties, the size of the dictionary, how long it will be. What is unpacked stays in the dictionary until that is
    // full, so it is bounded as well, by a byte more: then it is the document that is said to be too long.
    let most = data.len().saturating_mul(SWELLS).saturating_add(ROOM).min(MOST);
    let options = lzma_rs::decompress::Options { memlimit: Some(most + 1), ..lzma_rs::decompress::Options::default() };
    let mut document = Bounded { bytes: Vec::new(), most };
    match lzma_rs::lzma_decompress_with_options(&mut data, &mut document, &options) {
        Ok(()) => Ok(document.bytes),
        Err(lzma_rs::error::Error::LzmaError(why)) if why.starts_with("exceeded memory limit") => {
            Err(packed(format!("it has more than {most} bytes then")))
        }
        Err(error) => Err(packed(error.to_string())),
    }
}

//! How an event carries a document: plain, packed with LZMA, or [sealed](super::sealed) to its readers, or to a node of Ocean's.

use super::{MOST, hash};
use alloy_primitives::B256;
use std::{
    borrow::Cow,
    io::{self, Write},
};

/// Bytes that unpacking may take beside the document: the dictionary that the packed bytes ask for.
const MOST_DICTIONARY: usize = 16 << 20;

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

/// Takes as many bytes as a document has at most.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MOST {
            return Err(io::Error::other(format!("it has more than {MOST} bytes then")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unpacked(mut data: &[u8]) -> Result<Vec<u8>, CarriedError> {
    let packed = |why: String| CarriedError::Packed(why);
    // The header: properties, the size of the dictionary, how long it will be. A dictionary need not be longer than the whole.
    let options =
        lzma_rs::decompress::Options { memlimit: Some(MOST_DICTIONARY), ..lzma_rs::decompress::Options::default() };
    let mut document = Bounded(Vec::new());
    match lzma_rs::lzma_decompress_with_options(&mut data, &mut document, &options) {
        Ok(()) => Ok(document.0),
        Err(error) => Err(packed(error.to_string())),
    }
}

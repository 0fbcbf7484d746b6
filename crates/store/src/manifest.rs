//! What an object's id stands for.
//!
//! ```text
//! version     u8       1
//! kind        u8       0 file, 1 folder
//! sealing     u8       0 plain; 1 sealed, then u16 length and the seal's own header
//! size        u64      bytes of the content, as it is stored
//! content     32       BLAKE3 of the content, as it is stored
//! coding      u8       0 whole; 1 spread, then u8 k, u8 n, and the BLAKE3 hash of each of the n pieces
//! ```
//!
//! Numbers are big-endian. Every field has one form, so that a manifest has one encoding, and the same content stored the
//! same way has the same id. The hash of the encoding is the id: a manifest may come from anybody.
//!
//! The pieces' hashes are the owner's claim. A reader checks each piece against its hash as it arrives, and the content
//! against its own at the end, so that pieces which don't belong together are noticed, whoever made the manifest. How long they
//! are is his claim as well: a blob that is here and has another length is none of the object's, whatever its hash.

use crate::{
    id::{BlobHash, ObjectId},
    layout::{Code, Layout, MAX_SIZE},
};
use bytes::{Buf, BufMut};
use commonware_codec::{
    Copying, DecodeExt as _, Encode as _, EncodeSize, Error as CodecError, Read, ReadExt as _, Write,
};

/// Longest header of a seal.
pub const MAX_SEAL: usize = 1024;

/// Longest manifest: 255 pieces and the longest header.
pub const MAX_MANIFEST: usize = 3 + 2 + MAX_SEAL + 8 + 32 + 3 + 255 * 32;

const VERSION: u8 = 1;

/// What the content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    File,
    /// A list of names and ids ([`Folder`](crate::Folder)).
    Folder,
}

/// How the content was sealed before it came here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// Not at all: whoever has the pieces can read it.
    Plain,
    /// Encrypted by its owner. The header is what the one who opens it needs beside the key; its meaning is not ours.
    Sealed(Vec<u8>),
}

impl Sealing {
    /// With which of these permissions the content is written, opened: what was sealed is for nobody else on this machine.
    pub(crate) const fn mode(&self, of: u32) -> u32 {
        match self {
            Self::Plain => of,
            Self::Sealed(_) => of & 0o700,
        }
    }
}

/// In what form nodes keep the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coding {
    /// In one blob.
    Whole,
    /// In pieces, any k of which suffice; their hashes.
    Spread(Code, Vec<BlobHash>),
}

/// What an object's id stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What the content is.
    pub kind: Kind,
    /// How it was sealed.
    pub sealing: Sealing,
    /// Bytes of the content, as it is stored.
    pub size: u64,
    /// Hash of the content, as it is stored.
    pub content: BlobHash,
    /// How it is kept.
    pub coding: Coding,
}

/// The bytes are no manifest.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManifest {
    /// They are something else.
    #[error("not a manifest: {0}")]
    Form(String),
    /// They are not what the id stands for.
    #[error("a manifest of another object: expected {expected}, came {came}")]
    Other {
        /// Asked for.
        expected: ObjectId,
        /// What the bytes are.
        came: ObjectId,
    },
}

impl Manifest {
    /// The id.
    pub fn id(&self) -> ObjectId {
        ObjectId(BlobHash::of(&self.encode()).0)
    }

    /// Reads the manifest of `id` from bytes that anybody may have sent.
    ///
    /// # Errors
    ///
    /// If their hash is not the id, or they are no manifest.
    pub fn verify(id: ObjectId, bytes: &[u8]) -> Result<Self, InvalidManifest> {
        let came = ObjectId(BlobHash::of(bytes).0);
        if came != id {
            return Err(InvalidManifest::Other { expected: id, came });
        }
        Self::decode(Copying(bytes)).map_err(|error| InvalidManifest::Form(error.to_string()))
    }

    /// Where the content stands in its pieces; `None` of an object that is kept whole.
    pub fn layout(&self) -> Option<Layout> {
        match &self.coding {
            Coding::Whole => None,
            Coding::Spread(code, _) => Some(Layout::new(self.size, *code)),
        }
    }

    /// How many of its [blobs](Self::blobs) it takes to read it.
    pub fn needed(&self) -> usize {
        self.layout().map_or(1, |layout| layout.code().needed())
    }

    /// The blobs that the content is kept in, and the length of each: the content itself or its pieces.
    pub fn blobs(&self) -> Vec<(BlobHash, u64)> {
        match &self.coding {
            Coding::Whole => vec![(self.content, self.size)],
            Coding::Spread(code, pieces) => {
                let length = Layout::new(self.size, *code).piece();
                pieces.iter().map(|piece| (*piece, length)).collect()
            }
        }
    }
}

impl Write for Manifest {
    fn write(&self, buf: &mut impl BufMut) {
        buf.put_u8(VERSION);
        buf.put_u8(match self.kind {
            Kind::File => 0,
            Kind::Folder => 1,
        });
        match &self.sealing {
            Sealing::Plain => buf.put_u8(0),
            Sealing::Sealed(header) => {
                buf.put_u8(1);
                buf.put_u16(header.len() as u16);
                buf.put_slice(header);
            }
        }
        buf.put_u64(self.size);
        buf.put_slice(&self.content.0);
        match &self.coding {
            Coding::Whole => buf.put_u8(0),
            Coding::Spread(code, pieces) => {
                buf.put_u8(1);
                buf.put_u8(code.needed() as u8);
                buf.put_u8(code.pieces() as u8);
                for piece in pieces {
                    buf.put_slice(&piece.0);
                }
            }
        }
    }
}

impl EncodeSize for Manifest {
    fn encode_size(&self) -> usize {
        let sealing = match &self.sealing {
            Sealing::Plain => 0,
            Sealing::Sealed(header) => 2 + header.len(),
        };
        let coding = match &self.coding {
            Coding::Whole => 0,
            Coding::Spread(_, pieces) => 2 + 32 * pieces.len(),
        };
        3 + sealing + 8 + 32 + 1 + coding
    }
}

impl Read for Manifest {
    type Cfg = ();

    fn read_cfg(buf: &mut impl commonware_codec::Buf, (): &()) -> Result<Self, CodecError> {
        let [version, kind, sealing] = <[u8; 3]>::read(buf)?;
        if version != VERSION {
            return Err(CodecError::Invalid("Manifest", "its version is not 1"));
        }
        let kind = match kind {
            0 => Kind::File,
            1 => Kind::Folder,
            other => return Err(CodecError::InvalidEnum(other)),
        };
        let sealing = match sealing {
            0 => Sealing::Plain,
            1 => {
                let length = usize::from(u16::read(buf)?);
                if length > MAX_SEAL {
                    return Err(CodecError::InvalidLength(length));
                }
                if buf.remaining() < length {
                    return Err(CodecError::EndOfBuffer);
                }
                Sealing::Sealed(buf.copy_to_bytes(length).to_vec())
            }
            other => return Err(CodecError::InvalidEnum(other)),
        };
        let size = u64::read(buf)?;
        if size > MAX_SIZE {
            return Err(CodecError::Invalid("Manifest", "the object is larger than 1 PiB"));
        }
        let content = BlobHash(<[u8; 32]>::read(buf)?);
        let coding = match u8::read(buf)? {
            0 => Coding::Whole,
            1 => {
                let [k, n] = <[u8; 2]>::read(buf)?;
                let code = Code::new(k, n).ok_or(CodecError::Invalid("Manifest", "no code has this k and n"))?;
                let pieces = (0..n).map(|_| <[u8; 32]>::read(buf).map(BlobHash)).collect::<Result<_, _>>()?;
                Coding::Spread(code, pieces)
            }
            other => return Err(CodecError::InvalidEnum(other)),
        };
        Ok(Self { kind, sealing, size, content, coding })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn manifests() -> impl Strategy<Value = Manifest> {
        let sealing = prop_oneof![
            Just(Sealing::Plain),
            prop::collection::vec(any::<u8>(), 0..=MAX_SEAL).prop_map(Sealing::Sealed)
        ];
        let coding = prop_oneof![
            Just(Coding::Whole),
            (1..=255_u8).prop_flat_map(|n| (1..=n, prop::collection::vec(any::<[u8; 32]>(), usize::from(n)))).prop_map(
                |(k, pieces)| Coding::Spread(
                    Code::new(k, pieces.len() as u8).unwrap(),
                    pieces.into_iter().map(BlobHash).collect()
                )
            )
        ];
        let kind = prop_oneof![Just(Kind::File), Just(Kind::Folder)];
        (kind, sealing, 0..=MAX_SIZE, any::<[u8; 32]>(), coding).prop_map(|(kind, sealing, size, content, coding)| {
            Manifest { kind, sealing, size, content: BlobHash(content), coding }
        })
    }

    proptest! {
        #[test]
        fn a_manifest_survives_encoding_under_its_id(manifest in manifests()) {
            let bytes = manifest.encode();
            prop_assert_eq!(bytes.len(), manifest.encode_size());
            prop_assert!(bytes.len() <= MAX_MANIFEST);
            prop_assert_eq!(Manifest::verify(manifest.id(), &bytes).unwrap(), manifest);
        }

        #[test]
        fn no_changed_byte_keeps_the_id(
            manifest in manifests(), at in any::<prop::sample::Index>(), flip in 1..=255_u8,
        ) {
            let mut bytes = manifest.encode().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let refused = matches!(Manifest::verify(manifest.id(), &bytes), Err(InvalidManifest::Other { .. }));
            prop_assert!(refused);
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_decode_to_one_encoding_only(bytes: Vec<u8>) {
            if let Ok(manifest) = Manifest::decode(Copying(&bytes)) {
                prop_assert_eq!(manifest.encode().to_vec(), bytes);
            }
        }

        #[test]
        fn a_cut_or_longer_one_is_none(manifest in manifests(), cut in any::<prop::sample::Index>()) {
            let mut bytes = manifest.encode().to_vec();
            prop_assert!(Manifest::decode(Copying(&bytes[..cut.index(bytes.len())])).is_err());
            bytes.push(0);
            prop_assert!(Manifest::decode(Copying(&bytes)).is_err());
        }
    }

    #[test]
    fn sizes_that_would_overflow_are_refused() {
        let manifest = Manifest {
            kind: Kind::File,
            sealing: Sealing::Plain,
            size: MAX_SIZE + 1,
            content: BlobHash([0; 32]),
            coding: Coding::Whole,
        };
        assert!(Manifest::decode(manifest.encode()).is_err());
    }
}

//! What nodes say to each other: a request and an answer for each stream.
//!
//! ```text
//! 0x00 …  a request of iroh's blobs protocol, as postcard writes it; its answer is length u64 little-endian, then bao's encoding
//! 0x80    has      count u16, hash 32 each                         → count bytes, 1 where it is here whole
//! 0x81    keep     object 32, owner 32, until u64, count u16, (hash 32, length u64) each   → nothing
//! 0x82    room                                                     → u64: bytes that it would promise
//! 0x83    let go   object 32                                       → u8: whether it had kept it for the one who asks
//!
//! answer: u8 status (0 done, then what follows; 1 not here; 2 refused, then why as UTF-8)
//! ```
//!
//! Numbers are big-endian but for iroh's.

use crate::{BlobHash, ObjectId, Owner};
use bytes::BufMut;
use commonware_codec::{
    Buf, Copying, DecodeExt as _, Encode as _, EncodeSize, Error as CodecError, Read, ReadExt as _, Write,
};

/// iroh's own protocol, served to anybody's clients.
pub const BLOBS: &[u8] = iroh_blobs::ALPN;

/// The same with our requests beside it; both ends answer.
pub const STORE: &[u8] = b"stoa/store/1";

/// Longest request.
pub(super) const MOST_REQUEST: usize = 1 + 64 + 8 + 2 + MOST_BLOBS * 40;

/// Longest answer but for blobs.
pub(super) const MOST_ANSWER: usize = 1 + MOST_BLOBS + 1024;

/// Blobs that one request names: the manifest and pieces of an object, and some.
pub(super) const MOST_BLOBS: usize = 512;

/// A request that is not iroh's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Has(Vec<BlobHash>),
    Keep { object: ObjectId, owner: Owner, until: u64, blobs: Vec<(BlobHash, u64)> },
    Room,
    LetGo(ObjectId),
}

const HAS: u8 = 0x80;
const KEEP: u8 = 0x81;
const ROOM: u8 = 0x82;
const LET_GO: u8 = 0x83;

/// Whether a request is one of ours.
pub(super) const fn is_ours(first: u8) -> bool {
    first >= 0x80
}

fn read_count(buf: &mut impl Buf) -> Result<usize, CodecError> {
    match usize::from(u16::read(buf)?) {
        count if count <= MOST_BLOBS => Ok(count),
        count => Err(CodecError::InvalidLength(count)),
    }
}

impl Write for Request {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Has(blobs) => {
                HAS.write(buf);
                (blobs.len() as u16).write(buf);
                blobs.iter().for_each(|hash| hash.0.write(buf));
            }
            Self::Keep { object, owner, until, blobs } => {
                KEEP.write(buf);
                object.0.write(buf);
                owner.0.write(buf);
                until.write(buf);
                (blobs.len() as u16).write(buf);
                for (hash, len) in blobs {
                    hash.0.write(buf);
                    len.write(buf);
                }
            }
            Self::Room => ROOM.write(buf),
            Self::LetGo(object) => {
                LET_GO.write(buf);
                object.0.write(buf);
            }
        }
    }
}

impl EncodeSize for Request {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Has(blobs) => 2 + 32 * blobs.len(),
            Self::Keep { blobs, .. } => 64 + 8 + 2 + 40 * blobs.len(),
            Self::Room => 0,
            Self::LetGo(_) => 32,
        }
    }
}

impl Read for Request {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(match u8::read(buf)? {
            HAS => {
                let blobs = (0..read_count(buf)?).map(|_| Ok(BlobHash(<[u8; 32]>::read(buf)?)));
                Self::Has(blobs.collect::<Result<_, CodecError>>()?)
            }
            KEEP => {
                let (object, owner) = (ObjectId(<[u8; 32]>::read(buf)?), Owner(<[u8; 32]>::read(buf)?));
                let until = u64::read(buf)?;
                let blobs = (0..read_count(buf)?).map(|_| Ok((BlobHash(<[u8; 32]>::read(buf)?), u64::read(buf)?)));
                Self::Keep { object, owner, until, blobs: blobs.collect::<Result<_, CodecError>>()? }
            }
            ROOM => Self::Room,
            LET_GO => Self::LetGo(ObjectId(<[u8; 32]>::read(buf)?)),
            tag => return Err(CodecError::InvalidEnum(tag)),
        })
    }
}

impl Request {
    /// Reads one that anybody may have sent.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        Self::decode(Copying(bytes))
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.encode().to_vec()
    }
}

/// For fuzzing: what a request from outside is written as again, if it is one.
#[doc(hidden)]
pub fn again(bytes: &[u8]) -> Option<Vec<u8>> {
    Request::from_bytes(bytes).ok().map(|request| request.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_one_encoding_and_fits() {
        let hash = |byte| BlobHash([byte; 32]);
        let all = (0..MOST_BLOBS).map(|at| (hash(at as u8), at as u64)).collect::<Vec<_>>();
        let requests = [
            Request::Has(vec![]),
            Request::Has(all.iter().map(|(hash, _)| *hash).collect()),
            Request::Keep { object: ObjectId([1; 32]), owner: Owner([2; 32]), until: 9, blobs: all },
            Request::Room,
            Request::LetGo(ObjectId([3; 32])),
        ];
        for request in requests {
            let bytes = request.to_bytes();
            assert!(bytes.len() <= MOST_REQUEST && is_ours(bytes[0]));
            assert_eq!(Request::from_bytes(&bytes).unwrap(), request);
            assert!(Request::from_bytes(&bytes[..bytes.len() - 1]).is_err());
            assert!(Request::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
        }
        let long = [&[HAS, 0xff, 0xff][..], &[0; 40]].concat();
        assert!(Request::from_bytes(&long).is_err());
    }
}

//! The header, and sealing and opening chunk by chunk.

use super::{
    ObjectError,
    layout::{CHUNK_LEN, CHUNK_LOG2, HEADER_LEN, Layout, TAG_LEN},
};
use crate::{
    id::AssetId,
    key::{DataKey, KEY_LEN, expand},
};
use aws_lc_rs::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    constant_time::verify_slices_are_equal,
};
use chacha20::{R20, hchacha};
use rand::CryptoRng;
use std::{fmt, ops::Range, sync::Arc};
use zeroize::Zeroizing;

const MAGIC: [u8; 4] = *b"STOA";
const VERSION: u8 = 1;
const PREFIX_LEN: usize = 19;
/// Bytes of the nonce that XChaCha20 makes a key of.
const SUBKEY_NONCE: usize = 16;
const FIELDS_LEN: usize = MAGIC.len() + 2 + PREFIX_LEN;

const DOMAIN: &[u8] = b"stoa/privacy/object/v1";

/// What stands before the chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    prefix: [u8; PREFIX_LEN],
    commitment: [u8; KEY_LEN],
}

impl Header {
    /// Reads it from the beginning of an object; what follows is left alone.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Header`] if it's no header of this format.
    pub fn from_bytes(sealed: &[u8]) -> Result<Self, ObjectError> {
        let (fields, rest) = sealed.split_at_checked(FIELDS_LEN).ok_or(ObjectError::Header("it is too short"))?;
        let commitment = rest.first_chunk().ok_or(ObjectError::Header("it is too short"))?;
        if fields[..4] != MAGIC {
            return Err(ObjectError::Header("it does not begin with \"STOA\""));
        }
        if fields[4] != VERSION {
            return Err(ObjectError::Header("its version is not 1; a newer program may read it"));
        }
        if fields[5] != CHUNK_LOG2 {
            return Err(ObjectError::Header("version 1 has chunks of 65,536 bytes"));
        }
        let prefix = fields[6..].try_into().expect("the rest of the fields is the prefix");
        Ok(Self { prefix, commitment: *commitment })
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..FIELDS_LEN].copy_from_slice(&self.fields());
        bytes[FIELDS_LEN..].copy_from_slice(&self.commitment);
        bytes
    }

    /// All but the commitment.
    fn fields(&self) -> [u8; FIELDS_LEN] {
        let mut fields = [0; FIELDS_LEN];
        fields[..4].copy_from_slice(&MAGIC);
        fields[4] = VERSION;
        fields[5] = CHUNK_LOG2;
        fields[6..].copy_from_slice(&self.prefix);
        fields
    }
}

/// XChaCha20-Poly1305 under one nonce prefix.
struct Cipher {
    key: LessSafeKey,
    /// What XChaCha20 leaves of the prefix for ChaCha20's own nonce.
    rest: [u8; PREFIX_LEN - SUBKEY_NONCE],
}

impl Cipher {
    /// The cipher of an object, and the commitment to its key.
    fn new(key: &DataKey, object: AssetId, header: &Header) -> (Self, [u8; KEY_LEN]) {
        let mut keys = Zeroizing::new([0; 2 * KEY_LEN]);
        key.expose(|key| expand(DOMAIN, key, &[&header.fields(), object.0.as_slice()], &mut keys[..]));
        let (stream, commitment) = keys.split_first_chunk::<KEY_LEN>().expect("there are two keys");
        let (nonce, rest) = header.prefix.split_first_chunk::<SUBKEY_NONCE>().expect("the prefix is longer");
        let subkey: Zeroizing<[u8; KEY_LEN]> = Zeroizing::new(hchacha::<R20>(stream.into(), nonce.into()).into());
        let key = UnboundKey::new(&CHACHA20_POLY1305, &subkey[..]).expect("the cipher takes keys of 32 bytes");
        let rest = rest.try_into().expect("19 bytes less 16");
        (Self { key: LessSafeKey::new(key), rest }, commitment.try_into().expect("a key's length"))
    }

    /// Four zeros, as XChaCha20 has it, then STREAM's nonce behind its first 16 bytes.
    fn nonce(&self, index: u32, last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..7].copy_from_slice(&self.rest);
        nonce[7..11].copy_from_slice(&index.to_be_bytes());
        nonce[11] = u8::from(last);
        Nonce::assume_unique_for_key(nonce)
    }

    /// Seals `chunk`, all but its last 16 bytes, which become the tag.
    fn seal(&self, index: u32, last: bool, chunk: &mut [u8]) {
        let (plain, place) = chunk.split_at_mut(chunk.len() - TAG_LEN);
        let tag = self.key.seal_in_place_separate_tag(self.nonce(index, last), Aad::empty(), plain);
        place.copy_from_slice(tag.expect("a chunk is far shorter than the cipher's limit").as_ref());
    }

    fn open<'a>(&self, index: u32, last: bool, chunk: &'a mut [u8]) -> Result<&'a mut [u8], ObjectError> {
        let error = ObjectError::Chunk { index };
        let Some(length) = chunk.len().checked_sub(TAG_LEN) else { return Err(error) };
        let (sealed, tag) = chunk.split_at_mut(length);
        let opened = self.key.open_in_place_separate_tag(self.nonce(index, last), Aad::empty(), tag, sealed);
        opened.map_err(|_| error)
    }
}

/// Seals one object, once: a nonce prefix is made with it and used up with it.
pub struct Sealer {
    header: Header,
    cipher: Cipher,
}

impl Sealer {
    /// Begins an object.
    pub fn new(key: &DataKey, object: AssetId, rng: &mut impl CryptoRng) -> Self {
        let mut prefix = [0; PREFIX_LEN];
        rng.fill_bytes(&mut prefix);
        let mut header = Header { prefix, commitment: [0; KEY_LEN] };
        let (cipher, commitment) = Cipher::new(key, object, &header);
        header.commitment = commitment;
        Self { header, cipher }
    }

    /// What the object begins with.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Writes the header into `out` and divides the rest into the chunks' places, for any threads to fill and seal in any
    /// order. Nothing is copied but what the caller puts there.
    ///
    /// # Errors
    ///
    /// If that is too much for an object, or `out` is not as long as the sealed object will be.
    pub fn pieces(self, plain_len: u64, out: &mut [u8]) -> Result<Vec<Piece<'_>>, ObjectError> {
        let layout = Layout::of_plain(plain_len)?;
        if layout.sealed_len() != out.len() as u64 {
            return Err(ObjectError::Buffer { expected: layout.sealed_len(), got: out.len() as u64 });
        }
        let (header, body) = out.split_at_mut(HEADER_LEN);
        header.copy_from_slice(&self.header.to_bytes());
        let cipher = Arc::new(self.cipher);
        let piece = |(index, place)| {
            let (index, cipher) = (index as u32, cipher.clone());
            Piece { cipher, index, last: index == layout.last(), plain: layout.plain_range(index), place }
        };
        Ok(body.chunks_mut(CHUNK_LEN + TAG_LEN).enumerate().map(piece).collect())
    }

    /// Seals the next chunk of a stream.
    pub(super) fn seal(&mut self, index: u32, last: bool, chunk: &mut [u8]) {
        self.cipher.seal(index, last, chunk);
    }
}

/// The place of one chunk in a sealed object: to be filled, then sealed, once.
pub struct Piece<'a> {
    cipher: Arc<Cipher>,
    index: u32,
    last: bool,
    plain: Range<u64>,
    place: &'a mut [u8],
}

impl Piece<'_> {
    /// Which bytes of the content belong here.
    pub fn plain_range(&self) -> Range<u64> {
        self.plain.clone()
    }

    /// Where they go.
    pub fn plain_mut(&mut self) -> &mut [u8] {
        let length = self.place.len() - TAG_LEN;
        &mut self.place[..length]
    }

    /// Seals what stands there.
    pub fn seal(self) {
        self.cipher.seal(self.index, self.last, self.place);
    }
}

/// Opens the chunks of one object, in any order and on any thread.
pub struct Opener(Cipher);

impl Opener {
    /// Checks that the key and the id are those of the object that begins with this header.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Key`] if they are not.
    pub fn new(key: &DataKey, object: AssetId, header: &Header) -> Result<Self, ObjectError> {
        let (cipher, commitment) = Cipher::new(key, object, header);
        verify_slices_are_equal(&commitment, &header.commitment).map_err(|_| ObjectError::Key)?;
        Ok(Self(cipher))
    }

    /// Opens a chunk in place; `chunk` is what [`Layout::sealed_range`] names. Returns its content.
    ///
    /// # Errors
    ///
    /// [`ObjectError::Chunk`] if it is not that chunk of that object. `chunk` then holds nothing of use.
    pub fn open_chunk<'a>(
        &self,
        layout: &Layout,
        index: u32,
        chunk: &'a mut [u8],
    ) -> Result<&'a mut [u8], ObjectError> {
        let range = layout.sealed_range(index);
        if range.is_empty() {
            return Err(ObjectError::NoChunk { index, chunks: layout.chunks() });
        }
        let (expected, got) = (range.end - range.start, chunk.len() as u64);
        if expected != got {
            return Err(ObjectError::Buffer { expected, got });
        }
        self.0.open(index, index == layout.last(), chunk)
    }

    /// Opens the next chunk of a stream, which has no layout before its end.
    pub(super) fn open<'a>(&self, index: u32, last: bool, chunk: &'a mut [u8]) -> Result<&'a mut [u8], ObjectError> {
        self.0.open(index, last, chunk)
    }
}

// The key is the cipher's affair, which shows nothing of it either.
impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("header", &self.header).finish_non_exhaustive()
    }
}

impl fmt::Debug for Piece<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece").field("index", &self.index).field("last", &self.last).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").finish_non_exhaustive()
    }
}

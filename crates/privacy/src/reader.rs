//! Readers, and their x25519 keys.
//!
//! A **wallet** has a key that it derives from one of its signatures ([`ReadingKey`](crate::ReadingKey)) and announces with
//! another. A **node** (a keeper, or a machine that computes on data) has an ed25519 key, known to all; its x25519 key is
//! the same curve point in Montgomery form (RFC 7748), its secret the scalar that RFC 8032 (section 5.1.5) makes of the
//! seed. That one key serves both is sound for this very pair, signatures by Ed25519 and a KEM over X25519 that hashes
//! both public keys into its secret, as HPKE's does (Thormarker, "On using the same key pair for Ed25519 and an X25519
//! based KEM", 2021).

use crate::{
    key::KEY_LEN,
    sealed::{PrivateKey, PublicKey, public},
};
use alloy_primitives::Address;
use bytes::BufMut;
use commonware_codec::{Buf, EncodeFixed as _, Error as CodecError, FixedSize, Read, ReadExt as _, Write};
use commonware_cryptography::{Signer as _, ed25519};
use curve25519_dalek::edwards::CompressedEdwardsY;
use hpke::{Deserializable as _, Serializable as _};
use sha2::{Digest as _, Sha512};
use std::fmt;
use stoa_base::NodeId;
use zeroize::Zeroizing;

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reader {
    /// A person, or a program, with a wallet.
    Wallet(Address),
    /// A node of the network.
    Node(NodeId),
}

const WALLET: u8 = 0;
const NODE: u8 = 1;

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wallet(address) => write!(f, "{address}"),
            Self::Node(node) => write!(f, "node {node}"),
        }
    }
}

impl FixedSize for Reader {
    const SIZE: usize = 1 + 32;
}

impl Write for Reader {
    fn write(&self, buf: &mut impl BufMut) {
        match self {
            Self::Wallet(address) => {
                WALLET.write(buf);
                address.into_word().0.write(buf);
            }
            Self::Node(node) => {
                NODE.write(buf);
                node.0.write(buf);
            }
        }
    }
}

impl Read for Reader {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        match u8::read(buf)? {
            WALLET => match <[u8; 32]>::read(buf)? {
                word if word[..12] == [0; 12] => Ok(Self::Wallet(Address::from_slice(&word[12..]))),
                _ => Err(CodecError::Invalid("Reader", "an address has twelve zeros before it")),
            },
            NODE => Ok(Self::Node(NodeId(<[u8; 32]>::read(buf)?))),
            tag => Err(CodecError::InvalidEnum(tag)),
        }
    }
}

/// A reader's public key, of which it is known that it is this reader's: from a node's own key, or from an announcement
/// that a wallet signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderKey {
    reader: Reader,
    key: PublicKey,
}

/// There is no x25519 key for this ed25519 key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node key {0} is of small order: whoever has it can have no secret, so nothing is sealed to it")]
pub struct NoReaderKey(pub NodeId);

impl ReaderKey {
    /// The key of a node.
    ///
    /// # Errors
    ///
    /// If the node's key is one that nobody can have made from a secret.
    pub fn of_node(node: &ed25519::PublicKey) -> Result<Self, NoReaderKey> {
        let compressed = CompressedEdwardsY(node.as_ref().try_into().expect("an ed25519 key is 32 bytes"));
        let point = compressed.decompress().filter(|point| !point.is_small_order());
        let montgomery = point.ok_or_else(|| NoReaderKey(node.into()))?.to_montgomery();
        Ok(Self::new(Reader::Node(node.into()), &montgomery.0))
    }

    pub(crate) fn new(reader: Reader, key: &[u8; KEY_LEN]) -> Self {
        Self { reader, key: PublicKey::from_bytes(key).expect("any 32 bytes are an x25519 key") }
    }

    /// Whose it is.
    pub const fn reader(&self) -> Reader {
        self.reader
    }

    /// The x25519 key.
    pub fn to_bytes(&self) -> [u8; KEY_LEN] {
        self.key.to_bytes().into()
    }

    pub(crate) const fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// A reader's secret x25519 key. Erased when it is dropped; its `Debug` shows nothing.
pub struct ReadingSecret(PrivateKey);

impl ReadingSecret {
    /// The secret of a node.
    pub fn of_node(node: &ed25519::PrivateKey) -> Self {
        let seed = Zeroizing::new(node.encode_fixed::<{ ed25519::PrivateKey::SIZE }>());
        let hash: Zeroizing<[u8; 64]> = Zeroizing::new(Sha512::digest(&seed[..]).into());
        Self::from_bytes(hash.first_chunk().expect("half of the hash"))
    }

    /// Takes any 32 bytes; they are clamped as RFC 7748 has it.
    pub(crate) fn from_bytes(bytes: &[u8; KEY_LEN]) -> Self {
        Self(PrivateKey::from_bytes(bytes).expect("any 32 bytes are an x25519 secret"))
    }

    /// The public key that belongs to it.
    pub fn public(&self) -> [u8; KEY_LEN] {
        public(&self.0).to_bytes().into()
    }

    pub(crate) const fn key(&self) -> &PrivateKey {
        &self.0
    }
}

impl fmt::Debug for ReadingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadingSecret([REDACTED])")
    }
}

/// A node's public key with its secret for reading: what a keeper works with.
pub(crate) fn node(key: &ed25519::PrivateKey) -> (ed25519::PublicKey, ReadingSecret) {
    (key.public_key(), ReadingSecret::of_node(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{has_one_encoding, node as key, reader_key};
    use alloy_primitives::hex;
    use commonware_codec::{Copying, DecodeExt as _};

    #[test]
    fn both_sides_of_a_nodes_key_belong_together() {
        for seed in 0..20 {
            assert_eq!(reader_key(&key(seed)).to_bytes(), ReadingSecret::of_node(&key(seed)).public());
        }
    }

    /// The first key of RFC 8032, section 7.1; u = (1 + y) / (1 − y) of RFC 7748, section 4.1, from arithmetic on integers.
    #[test]
    fn a_nodes_key_is_converted_as_the_rfc_has_it() {
        let public = hex!("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let public = ed25519::PublicKey::decode(Copying(&public[..])).unwrap();
        let expected = hex!("d85e07ec22b0ad881537c2f44d662d1a143cf830c57aca4305d85c7a90f6b62e");
        assert_eq!(ReaderKey::of_node(&public).unwrap().to_bytes(), expected);
    }

    #[test]
    fn a_key_of_small_order_is_nobodys() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let identity = ed25519::PublicKey::decode(Copying(&identity[..])).unwrap();
        assert_eq!(ReaderKey::of_node(&identity), Err(NoReaderKey((&identity).into())));
    }

    #[test]
    fn a_reader_has_one_encoding() {
        has_one_encoding(&Reader::Wallet(Address::repeat_byte(7)));
        has_one_encoding(&reader_key(&key(1)).reader());
        let mut dirty = [0; Reader::SIZE];
        dirty[5] = 1;
        assert!(Reader::decode(Copying(&dirty[..])).is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", ReadingSecret::of_node(&key(1))), "ReadingSecret([REDACTED])");
    }
}

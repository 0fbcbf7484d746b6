//! Proofs under a state root: that a key has a value, or that it has none.

use crate::leaf::{Key, Leaf};
use alloy_primitives::B256;
use commonware_codec::{Encode, EncodeSize, Error as CodecError, Read, ReadExt, Write};
use commonware_cryptography::{Sha256, sha256::Digest};
use commonware_storage::{
    merkle::mmr,
    mmr::MAX_PROOF_DIGESTS_PER_ELEMENT,
    qmdb::{
        any::value::VariableEncoding,
        current::ordered::proof::constant::{ExclusionProof, KeyValueProof},
    },
};

/// Bytes of a chunk of the activity bitmap: the size of one SHA-256 digest.
pub const CHUNK: usize = 32;

/// How the operation log is hashed: a Merkle mountain range.
pub type Family = mmr::Family;

type Present = KeyValueProof<Family, Key, Digest, CHUNK>;
type Absent = ExclusionProof<Family, Key, VariableEncoding<Leaf>, Digest, CHUNK>;

/// Proof that a key has a value under a state root, or that it has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyProof {
    /// The key has this value.
    Present(Leaf, Present),
    /// The key has no value.
    Absent(Absent),
}

/// Why a proof proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The bytes are no proof.
    #[error("not a proof: {0}")]
    Malformed(#[from] CodecError),
    /// It's a proof, but not of this key under this root.
    #[error("the proof does not lead from this key to the state root {root}")]
    Mismatch {
        /// The root it was checked against.
        root: B256,
    },
}

const PRESENT: u8 = 1;
const ABSENT: u8 = 0;

impl Write for KeyProof {
    fn write(&self, buf: &mut impl bytes::BufMut) {
        match self {
            Self::Present(leaf, proof) => {
                PRESENT.write(buf);
                leaf.write(buf);
                proof.write(buf);
            }
            Self::Absent(proof) => {
                ABSENT.write(buf);
                proof.write(buf);
            }
        }
    }
}

impl EncodeSize for KeyProof {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::Present(leaf, proof) => leaf.encode_size() + proof.encode_size(),
            Self::Absent(proof) => proof.encode_size(),
        }
    }
}

impl Read for KeyProof {
    type Cfg = ();

    fn read_cfg(buf: &mut impl commonware_codec::Buf, (): &()) -> Result<Self, CodecError> {
        match u8::read(buf)? {
            PRESENT => {
                Ok(Self::Present(Leaf::read(buf)?, Present::read_cfg(buf, &(MAX_PROOF_DIGESTS_PER_ELEMENT, ()))?))
            }
            ABSENT => Ok(Self::Absent(Absent::read_cfg(buf, &(MAX_PROOF_DIGESTS_PER_ELEMENT, ((), ()), ()))?)),
            tag => Err(CodecError::InvalidEnum(tag)),
        }
    }
}

impl KeyProof {
    /// The bytes that travel.
    pub fn to_bytes(&self) -> alloy_primitives::Bytes {
        alloy_primitives::Bytes::from(self.encode().to_vec())
    }
}

/// Checks `proof` and returns what `key` holds under `root`, `None` if it has no value.
///
/// # Errors
///
/// [`ProofError::Mismatch`] if the proof is not one of this key under this root.
pub fn verify_key(root: B256, key: Key, proof: &KeyProof) -> Result<Option<&Leaf>, ProofError> {
    let digest = Digest(root.0);
    let (holds, value) = match proof {
        KeyProof::Present(leaf, proof) => {
            (proof.verify::<Sha256, VariableEncoding<Leaf>>(key, leaf.clone(), &digest), Some(leaf))
        }
        KeyProof::Absent(proof) => (proof.verify::<Sha256>(&key, &digest), None),
    };
    if holds { Ok(value) } else { Err(ProofError::Mismatch { root }) }
}

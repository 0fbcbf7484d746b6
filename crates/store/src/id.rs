use std::{fmt, str::FromStr};

macro_rules! hash {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&blake3::Hash::from(self.0).to_hex())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Takes 64 lower-case hexadecimal digits and nothing else: an id has one spelling.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    return Err(InvalidId);
                }
                blake3::Hash::from_hex(text).map(|hash| Self(hash.into())).map_err(|_| InvalidId)
            }
        }

        impl From<blake3::Hash> for $name {
            fn from(hash: blake3::Hash) -> Self {
                Self(hash.into())
            }
        }
    };
}

hash! {
    /// Name of an object: the BLAKE3 hash of its encoded [`Manifest`](crate::Manifest).
    ///
    /// Whoever holds the id alone can check a manifest that anybody gave him, and with the manifest everything else.
    ObjectId
}

hash! {
    /// BLAKE3 hash of a blob: a manifest, an object's content, or a piece.
    BlobHash
}

hash! {
    /// For whom something is kept, or who is charged for it: whatever names a person or a node elsewhere, hashed or as it is.
    Owner
}

impl ObjectId {
    /// The manifest as a blob.
    pub fn manifest(self) -> BlobHash {
        BlobHash(self.0)
    }
}

impl BlobHash {
    /// Of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        blake3::hash(bytes).into()
    }
}

impl Owner {
    /// The node's own.
    pub const LOCAL: Self = Self([0; 32]);

    /// What is only on its way: pieces that are fetched for a reader or a repair.
    pub const TRANSIT: Self = Self([0xff; 32]);
}

/// The text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 64 hexadecimal digits in lower case")]
pub struct InvalidId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = ObjectId([0xab; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "ab", &id.to_string().to_uppercase(), &format!("{id} "), &format!("0x{id}")] {
            assert_eq!(wrong.parse::<ObjectId>(), Err(InvalidId), "{wrong}");
        }
    }
}

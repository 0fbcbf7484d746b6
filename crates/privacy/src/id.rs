//! The names that all keys and statements are bound to.

use alloy_primitives::B256;
use bytes::BufMut;
use commonware_codec::{Buf, Error as CodecError, FixedSize, Read, ReadExt as _, Write};

/// Names what is sealed and shared: known before there is anything of it, and never used for two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetId(pub B256);

/// Names a grant on the ledger: never used for two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId(pub B256);

macro_rules! word {
    ($name:ident) => {
        impl FixedSize for $name {
            const SIZE: usize = 32;
        }

        impl Write for $name {
            fn write(&self, buf: &mut impl BufMut) {
                self.0.0.write(buf);
            }
        }

        impl Read for $name {
            type Cfg = ();

            fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
                Ok(Self(<[u8; 32]>::read(buf)?.into()))
            }
        }
    };
}
word!(AssetId);
word!(GrantId);

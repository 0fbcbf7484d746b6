use alloy_primitives::B256;
use commonware_cryptography::ed25519;
use std::{fmt, str::FromStr};

/// Names a node: the bytes of its ed25519 key. What is only named need not be a point of the curve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 32]);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", B256::from(self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeId {
    type Err = <B256 as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<B256>().map(|word| Self(word.0))
    }
}

impl From<B256> for NodeId {
    fn from(word: B256) -> Self {
        Self(word.0)
    }
}

impl From<NodeId> for B256 {
    fn from(node: NodeId) -> Self {
        Self(node.0)
    }
}

impl From<&ed25519::PublicKey> for NodeId {
    fn from(key: &ed25519::PublicKey) -> Self {
        Self(B256::from_slice(key.as_ref()).0)
    }
}

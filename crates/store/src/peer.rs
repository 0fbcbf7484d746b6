//! The seam to other nodes: what a node asks of another, whatever carries it.

use crate::{BlobHash, NodeId, ObjectId, Root};
use futures::future::BoxFuture;
use std::ops::Range;
use tokio::io::AsyncRead;

/// What comes from another node. Nothing of it is believed.
pub type Answer = Box<dyn AsyncRead + Send + Unpin>;

/// Another node, as the transport sees it.
pub trait Peer: Send + Sync {
    /// Its public key, which the transport has checked.
    fn id(&self) -> NodeId;

    /// Asks for the encoded manifest of an object.
    fn manifest(&self, id: ObjectId) -> BoxFuture<'_, Result<Answer, PeerError>>;

    /// Asks for a range of a blob with the hashes that prove it, as [`Store::encode`](crate::Store::encode) writes them.
    fn get(&self, hash: BlobHash, range: Range<u64>) -> BoxFuture<'_, Result<Answer, PeerError>>;

    /// Asks which of these blobs it holds whole.
    fn has(&self, blobs: Vec<BlobHash>) -> BoxFuture<'_, Result<Vec<bool>, PeerError>>;

    /// Asks it to promise to keep blobs, and to take those that it lacks from this node. `Ok` when it says that its disk has
    /// them all. Who pays, and whether the promise is bound by a deal, is for whoever implements this.
    fn keep(&self, root: Root, until: Option<u64>, blobs: Vec<(BlobHash, u64)>)
    -> BoxFuture<'_, Result<(), PeerError>>;
}

/// Why another node did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// It says that it does not have it.
    #[error("it does not have it")]
    NotHere,
    /// It says why it will not.
    #[error("it refuses: {0}")]
    Refused(String),
    /// It could not be reached, or the connection broke.
    #[error("it is gone: {0}")]
    Gone(String),
}

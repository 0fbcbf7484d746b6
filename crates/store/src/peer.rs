//! The seam to other nodes: what a node asks of another, whatever carries it.

use crate::{BlobHash, NodeId, ObjectId, Root};
use futures::future::BoxFuture;
use std::ops::Range;
pub use stoa_net::Denied;
use tokio::io::AsyncRead;

/// What comes from another node. Nothing of it is believed.
pub type Answer = Box<dyn AsyncRead + Send + Unpin>;

/// Another node, as the transport sees it.
pub trait Peer: Send + Sync {
    /// Its public key, which the transport has checked.
    fn id(&self) -> NodeId;

    /// Asks for the encoded manifest of an object.
    fn manifest(&self, id: ObjectId) -> BoxFuture<'_, Result<Answer, Denied>>;

    /// Asks for a range of a blob with the hashes that prove it, as [`Store::encode`](crate::Store::encode) writes them.
    fn get(&self, hash: BlobHash, range: Range<u64>) -> BoxFuture<'_, Result<Answer, Denied>>;

    /// Asks which of these blobs it holds whole.
    fn has(&self, blobs: Vec<BlobHash>) -> BoxFuture<'_, Result<Vec<bool>, Denied>>;

    /// Asks it to promise to keep blobs, and to take those that it lacks from this node. `Ok` when it says that its disk has
    /// them all. Who pays, and whether the promise is bound by a deal, is for whoever implements this.
    fn keep(&self, root: Root, until: Option<u64>, blobs: Vec<(BlobHash, u64)>) -> BoxFuture<'_, Result<(), Denied>>;
}

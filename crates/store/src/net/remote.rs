//! Another node's store, asked over a connection.

use super::{Shared, serve, wire, wire::Request};
use crate::{Answer, BlobHash, Denied, ObjectId, Peer, Root, store::chunks};
use bao_tree::ChunkRanges;
use futures::{FutureExt as _, future::BoxFuture};
use iroh_blobs::protocol::GetRequest;
use std::{ops::Range, sync::Arc, time::Duration};
use stoa_base::NodeId;
use stoa_net::{
    Connections, PeerAddress, answered,
    iroh::endpoint::{Connection, ReadError, ReadExactError},
    send,
};

/// How long an answer may take that is not a blob.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a node may take for what it is to keep, if it goes on taking.
const KEEP_PATIENCE: Duration = Duration::from_secs(24 * 3600);

pub(super) struct Remote {
    pub shared: Arc<Shared>,
    pub connections: Connections,
    pub address: PeerAddress,
}

fn gone(error: impl std::fmt::Display) -> Denied {
    Denied::Gone(error.to_string())
}

impl Remote {
    async fn connection(&self) -> eyre::Result<Connection> {
        // What this node asks others to keep they take over the same connection.
        let serve = |connection: &Connection| {
            let (shared, connection) = (self.shared.clone(), connection.clone());
            tokio::spawn(serve::offered(shared, connection));
        };
        self.connections.to(&self.address, serve).await
    }

    async fn ask(&self, request: &Request, patience: Duration) -> Result<Vec<u8>, Denied> {
        let asked = async {
            let mut stream = send(&self.connection().await?, &request.to_bytes()).await?;
            Ok(stream.read_to_end(wire::MOST_ANSWER).await?)
        };
        answered(patience, asked).await
    }

    /// Bytes that the node would promise.
    pub async fn room(&self) -> Result<u64, Denied> {
        let room = self.ask(&Request::Room, PATIENCE).await?;
        room.try_into().map(u64::from_be_bytes).map_err(|_| gone("its answer is none"))
    }

    /// Asks the node to keep an object for this one no longer; whether it did.
    pub async fn let_go(&self, id: ObjectId) -> Result<bool, Denied> {
        self.ask(&Request::LetGo(id), PATIENCE).await.map(|answer| answer == [1])
    }
}

/// Asks for a blob's ranges in iroh's protocol; what comes is what stands behind the length.
pub(super) async fn get(connection: &Connection, hash: BlobHash, ranges: ChunkRanges) -> Result<Answer, Denied> {
    let request = iroh_blobs::protocol::Request::Get(GetRequest::blob_ranges(hash.0.into(), ranges));
    let request = postcard::to_allocvec(&request).map_err(gone)?;
    let mut stream = send(connection, &request).await.map_err(gone)?;
    let mut length = [0; 8];
    stream.read_exact(&mut length).await.map_err(|error| match error {
        ReadExactError::ReadError(ReadError::Reset(code)) if code == serve::NOT_HERE => Denied::NotHere,
        error => gone(error),
    })?;
    Ok(Box::new(stream))
}

impl Peer for Remote {
    fn id(&self) -> NodeId {
        self.address.node()
    }

    fn manifest(&self, id: ObjectId) -> BoxFuture<'_, Result<Answer, Denied>> {
        // A manifest is shorter than a group: its encoding is the manifest.
        async move { get(&self.connection().await.map_err(gone)?, id.manifest(), ChunkRanges::all()).await }.boxed()
    }

    fn get(&self, hash: BlobHash, range: Range<u64>) -> BoxFuture<'_, Result<Answer, Denied>> {
        async move { get(&self.connection().await.map_err(gone)?, hash, chunks(&range)).await }.boxed()
    }

    fn has(&self, blobs: Vec<BlobHash>) -> BoxFuture<'_, Result<Vec<bool>, Denied>> {
        async move {
            let count = blobs.len();
            let answer = self.ask(&Request::Has(blobs), PATIENCE).await?;
            if answer.len() == count {
                Ok(answer.iter().map(|has| *has == 1).collect())
            } else {
                Err(gone("its answer is none"))
            }
        }
        .boxed()
    }

    fn keep(&self, root: Root, until: Option<u64>, blobs: Vec<(BlobHash, u64)>) -> BoxFuture<'_, Result<(), Denied>> {
        async move {
            let offer = self.shared.offers.to(self.id(), &blobs);
            let until = until.unwrap_or(u64::MAX);
            let request = Request::Keep { object: root.object, owner: root.owner, until, blobs };
            offer.answered(self.ask(&request, KEEP_PATIENCE)).await.map(drop)
        }
        .boxed()
    }
}

/// The one who asked this node to keep something, over the connection on which he asked.
pub(super) struct Asker(pub Connection);

impl Peer for Asker {
    fn id(&self) -> NodeId {
        NodeId(*self.0.remote_id().as_bytes())
    }

    fn manifest(&self, id: ObjectId) -> BoxFuture<'_, Result<Answer, Denied>> {
        get(&self.0, id.manifest(), ChunkRanges::all()).boxed()
    }

    fn get(&self, hash: BlobHash, range: Range<u64>) -> BoxFuture<'_, Result<Answer, Denied>> {
        async move { get(&self.0, hash, chunks(&range)).await }.boxed()
    }

    fn has(&self, _: Vec<BlobHash>) -> BoxFuture<'_, Result<Vec<bool>, Denied>> {
        async { Err(Denied::Refused("an asker keeps nothing for others".into())) }.boxed()
    }

    fn keep(&self, _: Root, _: Option<u64>, _: Vec<(BlobHash, u64)>) -> BoxFuture<'_, Result<(), Denied>> {
        async { Err(Denied::Refused("an asker keeps nothing for others".into())) }.boxed()
    }
}

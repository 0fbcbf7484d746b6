//! Blobs from other nodes, none of whom is believed.
//!
//! A blob comes in windows of at most 1 MiB, each asked for by itself, from all nodes at once that should have it. An answer
//! is read up to the length that an honest one has, within a time, and checked against the blob's hash before it touches the
//! disk. Whoever gives wrong bytes, too many or too few, or none in time is reported, not asked again, and what he owed is
//! asked of the next. What has come stays on the disk: a fetch that breaks off goes on from there.

use crate::{
    BlobHash, Code, Denied, Error, MAX_MANIFEST, MAX_SIZE, Manifest, NodeId, ObjectId, Owner, Partial, Peer, Root,
    Store,
    tree::{GROUP, PAIR},
};
use futures::future::join_all;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncReadExt as _, sync::Semaphore, task::spawn_blocking, time::timeout};

/// Answers that are read at once, from all nodes together.
const AT_ONCE: usize = 64;

/// How long a node may take to show a part of what it has said that it keeps.
const SHOW: Duration = Duration::from_secs(30);

/// How patient a fetch is, and how much it asks for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// For each answer of up to 1 MiB.
    pub patience: Duration,
    /// Windows that are asked of one node at once. Each takes 1 MiB of memory; there are at most 64 in all.
    pub lanes: usize,
    /// Until when what has come may wait for the rest, in seconds since 1970.
    pub until: u64,
}

impl Fetch {
    /// 30 seconds a window, four windows a node.
    pub fn until(until: u64) -> Self {
        Self { patience: Duration::from_secs(30), lanes: 4, until }
    }
}

/// What a node did wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who.
    pub node: NodeId,
    /// With which blob.
    pub blob: BlobHash,
    /// What.
    pub fault: Fault,
}

/// A way to do wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What came are not the blob's bytes: others, old ones, too few or too many.
    Wrong(String),
    /// It took longer than this.
    Slow(Duration),
    /// It said that it would not or could not.
    Failed(Denied),
}

impl Fault {
    /// Whether an honest node never does it, whatever its disk and its network do. Worth a penalty where there is one.
    pub fn is_lie(&self) -> bool {
        matches!(self, Self::Wrong(_))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, blob, fault } = self;
        match fault {
            Fault::Wrong(why) => write!(f, "node {node} sent wrong bytes of blob {blob}: {why}"),
            Fault::Slow(patience) => {
                write!(f, "node {node} was asked for blob {blob} and did not answer within {patience:?}")
            }
            Fault::Failed(error) => write!(f, "node {node} was asked for blob {blob}: {error}"),
        }
    }
}

/// A node, and the piece that it should have.
#[derive(Clone)]
pub struct Holder {
    /// Number of the piece; of an object that is kept whole, 0.
    pub piece: usize,
    /// The node.
    pub peer: Arc<dyn Peer>,
}

/// What a fetch has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Bytes that came, those of refused answers as well.
    pub bytes: u64,
    /// What nodes did wrong.
    pub reports: Vec<Report>,
}

/// Reads an answer of at most `most` bytes.
async fn answer(
    patience: Duration,
    most: u64,
    ask: impl Future<Output = Result<crate::Answer, Denied>>,
) -> Result<Vec<u8>, Fault> {
    let read = async {
        let mut bytes = Vec::with_capacity(most as usize + 1);
        let answer = ask.await.map_err(Fault::Failed)?;
        let gone = |error: std::io::Error| Fault::Failed(Denied::Gone(error.to_string()));
        answer.take(most + 1).read_to_end(&mut bytes).await.map_err(gone)?;
        if bytes.len() as u64 > most { Err(Fault::Wrong(format!("more than {most} bytes"))) } else { Ok(bytes) }
    };
    timeout(patience, read).await.unwrap_or(Err(Fault::Slow(patience)))
}

/// Bytes that an honest answer has at most: the data, the hashes within, and a path of 64 pairs to the root.
fn most(range: &Range<u64>) -> u64 {
    let data = range.end - range.start;
    data + (data.div_ceil(GROUP as u64) + 64) * PAIR as u64
}

/// Runs what blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(std::io::Error::other(error).into()),
    }
}

/// Fetches a promised blob from those who should have it. Whether it is here now.
async fn fetch_blob(
    store: &Store,
    hash: BlobHash,
    peers: Vec<Arc<dyn Peer>>,
    fetch: Fetch,
    at_once: &Semaphore,
    fetched: &Mutex<Fetched>,
) -> Result<bool, Error> {
    let opened = store.clone();
    let Some(partial) = blocking(move || opened.partial(hash)).await? else { return Ok(true) };
    let partial = Arc::new(partial);
    let queue = Mutex::new(VecDeque::from(partial.missing()));
    let peers: Vec<_> = peers.into_iter().map(|peer| (peer, AtomicBool::new(true))).collect();
    loop {
        let lanes = peers.iter().filter(|(_, good)| good.load(Ordering::Relaxed)).flat_map(|(peer, good)| {
            (0..fetch.lanes.max(1)).map(|_| lane(&partial, &**peer, good, &queue, fetch, at_once, fetched))
        });
        let lanes: Vec<_> = lanes.collect();
        if lanes.is_empty() {
            return Ok(false);
        }
        for outcome in join_all(lanes).await {
            outcome?;
        }
        // One lane may have given back what it owed after the others had ended.
        if queue.lock().is_empty() {
            break;
        }
    }
    let partial = Arc::into_inner(partial).expect("every lane has ended");
    blocking(move || partial.finish()).await.map(|()| true)
}

/// Asks one node for one window after the other, until there are no more or it does wrong.
async fn lane(
    partial: &Arc<Partial>,
    peer: &dyn Peer,
    good: &AtomicBool,
    queue: &Mutex<VecDeque<Range<u64>>>,
    fetch: Fetch,
    at_once: &Semaphore,
    fetched: &Mutex<Fetched>,
) -> Result<(), Error> {
    while good.load(Ordering::Relaxed) {
        let _turn = at_once.acquire().await;
        let Some(range) = queue.lock().pop_front() else { break };
        let came = answer(fetch.patience, most(&range), peer.get(partial.hash(), range.clone())).await;
        let fault = match came {
            Err(fault) => fault,
            Ok(bytes) => {
                fetched.lock().bytes += bytes.len() as u64;
                let (partial, range) = (partial.clone(), range.clone());
                match blocking(move || partial.accept(range, &bytes)).await {
                    Ok(()) => continue,
                    Err(Error::Refused { why, .. }) => Fault::Wrong(why),
                    Err(error) => return Err(error),
                }
            }
        };
        queue.lock().push_front(range);
        // The other lanes of the same node tell the same story.
        if good.swap(false, Ordering::Relaxed) {
            fetched.lock().reports.push(Report { node: peer.id(), blob: partial.hash(), fault });
        }
    }
    Ok(())
}

/// Fetches a manifest from the first of those who have it.
///
/// # Errors
///
/// [`Error::NotFetched`] if none of them gives it.
pub async fn fetch_manifest(
    id: ObjectId,
    peers: &[Arc<dyn Peer>],
    fetch: Fetch,
) -> Result<(Manifest, Vec<u8>, Vec<Report>), Error> {
    let mut reports = Vec::new();
    for peer in peers {
        let came = answer(fetch.patience, MAX_MANIFEST as u64, peer.manifest(id)).await;
        let fault = match came {
            Err(fault) => fault,
            Ok(bytes) => match Manifest::verify(id, &bytes) {
                Ok(manifest) => return Ok((manifest, bytes, reports)),
                Err(error) => Fault::Wrong(error.to_string()),
            },
        };
        reports.push(Report { node: peer.id(), blob: id.manifest(), fault });
    }
    Err(Error::NotFetched { id, why: "nobody gave its manifest".into(), reports })
}

/// Root under which pieces of an object wait while they are fetched.
pub fn transit(id: ObjectId) -> Root {
    Root { object: id, owner: Owner::TRANSIT }
}

/// Brings enough of an object here to read it or to rebuild its pieces: its manifest, and k pieces or the whole content.
///
/// What comes is kept under [`transit`] until `fetch.until`; [`Store::release`] it when it was read. What is here already is
/// not fetched again.
///
/// # Errors
///
/// [`Error::NotFetched`] if those who were asked did not give enough; what came waits for the next try. Or there is no room.
pub async fn fetch(store: &Store, id: ObjectId, holders: &[Holder], fetch: Fetch) -> Result<Fetched, Error> {
    let fetched = Mutex::default();
    fetch_into(store, id, holders, fetch, &fetched).await?;
    Ok(fetched.into_inner())
}

/// The same. What has come before it failed stands in `fetched` as well.
pub(crate) async fn fetch_into(
    store: &Store,
    id: ObjectId,
    holders: &[Holder],
    fetch: Fetch,
    fetched: &Mutex<Fetched>,
) -> Result<(), Error> {
    let at_once = Semaphore::new(AT_ONCE);
    let known = store.clone();
    let manifest = if blocking(move || known.has(id.manifest())).await? {
        let known = store.clone();
        blocking(move || known.manifest(id)).await?
    } else {
        let peers: Vec<_> = holders.iter().map(|holder| holder.peer.clone()).collect();
        let (manifest, bytes, reports) = fetch_manifest(id, &peers, fetch).await?;
        *fetched.lock() = Fetched { bytes: bytes.len() as u64, reports };
        let known = store.clone();
        blocking(move || known.keep_manifest(transit(id), Some(fetch.until), &bytes)).await?;
        manifest
    };
    let blobs = manifest.blobs();
    let needed = manifest.needed();
    let (mut have, mut rest, wrong) = (0, VecDeque::new(), store.wrong(id));
    // Data pieces first: they need no decoding.
    for (piece, (hash, len)) in blobs.iter().enumerate().filter(|(piece, _)| !wrong.contains(piece)) {
        match store.length(*hash)? {
            Some(here) if here == *len => have += 1,
            None if holders.iter().any(|holder| holder.piece == piece) => rest.push_back(piece),
            // Nobody has it, or it has another length, so that it can never come with this one.
            _ => {}
        }
    }
    while have < needed {
        let mut next = Vec::new();
        while next.len() < needed - have
            && let Some(piece) = rest.pop_front()
        {
            if is_as_long(store, blobs[piece], &peers_of(holders, piece), fetch.patience).await? {
                next.push(piece);
            }
        }
        if next.is_empty() {
            let why = format!("{have} of the {needed} pieces that it needs came");
            return Err(Error::NotFetched { id, why, reports: fetched.lock().reports.clone() });
        }
        let promised: Vec<_> = next.iter().map(|piece| blobs[*piece]).collect();
        let promising = store.clone();
        blocking(move || promising.promise(transit(id), Some(fetch.until), &promised)).await?;
        let pieces = next
            .iter()
            .map(|piece| fetch_blob(store, blobs[*piece].0, peers_of(holders, *piece), fetch, &at_once, fetched));
        for came in join_all(pieces).await {
            have += usize::from(came?);
        }
    }
    Ok(())
}

/// Those who should have a piece.
fn peers_of(holders: &[Holder], piece: usize) -> Vec<Arc<dyn Peer>> {
    holders.iter().filter(|holder| holder.piece == piece).map(|holder| holder.peer.clone()).collect()
}

/// Whether a blob may be promised with this length: it is not expected with another, or one of those who should have it shows
/// its end. That proves how long it is, so what was promised with another length ends.
pub(crate) async fn is_as_long(
    store: &Store,
    (hash, len): (BlobHash, u64),
    peers: &[Arc<dyn Peer>],
    patience: Duration,
) -> Result<bool, Error> {
    let known = store.clone();
    if len > MAX_SIZE || !blocking(move || known.expects_another(hash, len)).await? {
        return Ok(true);
    }
    let last = len.saturating_sub(1) / GROUP as u64;
    for peer in peers {
        if check(&**peer, (hash, len), last, patience).await.is_ok() {
            let known = store.clone();
            return blocking(move || known.end_others(hash, len)).await.map(|()| true);
        }
    }
    Ok(false)
}

/// What came of spreading an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Pieces that nodes have now, and have shown a part of, and which node.
    pub kept: Vec<(usize, NodeId)>,
    /// Pieces that were not taken, or not shown, and why: who said that he has his and could not show it, does not have it.
    pub failed: Vec<(usize, NodeId, Denied)>,
    /// Bytes that were handed over, without those that nodes had before.
    pub bytes: u64,
}

impl Spread {
    /// Whether as many pieces are out as the code needs.
    pub fn is_readable(&self, code: Code) -> bool {
        self.kept.len() >= code.needed()
    }
}

/// Hands pieces that are here to the nodes that are to keep them, each with the manifest, and has each show a part of its piece. Those
/// who have theirs already, because an earlier try broke off, are only asked to promise and to show it.
///
/// An object that is not sealed goes out only if `public`: its keepers could read it.
///
/// # Errors
///
/// [`Error::NotSealed`], or the pieces are not here. What nodes refuse stands in the outcome.
pub async fn spread(
    store: &Store,
    root: Root,
    until: Option<u64>,
    to: &[Holder],
    public: bool,
) -> Result<Spread, Error> {
    let (opened, id) = (store.clone(), root.object);
    let manifest = blocking(move || opened.manifest(id)).await?;
    if manifest.layout().is_none() {
        return Err(Error::NotCoded(id));
    }
    if manifest.sealing == crate::Sealing::Plain && !public {
        return Err(Error::NotSealed(id));
    }
    let own = (id.manifest(), store.blob(id.manifest())?.len());
    let (blobs, bytes) = (manifest.blobs(), AtomicU64::new(0));
    let each = to.iter().map(|Holder { piece, peer }| {
        let (blob, bytes) = (blobs.get(*piece).copied(), &bytes);
        async move {
            let Some(blob) = blob else { return Err(Denied::Refused("there is no such piece".into())) };
            let has = peer.has(vec![blob.0]).await?;
            peer.keep(root, until, vec![own, blob]).await?;
            if has.first() != Some(&true) {
                bytes.fetch_add(own.1 + blob.1, Ordering::Relaxed);
            }
            show(&**peer, blob).await
        }
    });
    let mut outcome = Spread::default();
    for (Holder { piece, peer }, kept) in to.iter().zip(join_all(each).await) {
        match kept {
            Ok(()) => outcome.kept.push((*piece, peer.id())),
            Err(error) => outcome.failed.push((*piece, peer.id(), error)),
        }
    }
    outcome.bytes = bytes.into_inner();
    Ok(outcome)
}

/// Has a node show a part of a piece that it has promised to keep: its word alone costs it nothing.
pub(crate) async fn show(peer: &dyn Peer, blob: (BlobHash, u64)) -> Result<(), Denied> {
    check(peer, blob, rand::random(), SHOW).await.map_err(|report| match report.fault {
        Fault::Slow(patience) => Denied::Gone(format!("it showed nothing of the piece within {patience:?}")),
        Fault::Failed(Denied::Gone(why)) => Denied::Gone(why),
        Fault::Wrong(_) | Fault::Failed(_) => Denied::NotHere,
    })
}

/// Fetches promised blobs from the one node that has them.
///
/// # Errors
///
/// [`Error::Refused`] with what it did wrong, or the disk refuses.
pub(crate) async fn take(store: &Store, blobs: &[BlobHash], from: Arc<dyn Peer>, asked: Fetch) -> Result<(), Error> {
    let (fetched, at_once) = (Mutex::new(Fetched::default()), Semaphore::new(AT_ONCE));
    for hash in blobs {
        if !fetch_blob(store, *hash, vec![from.clone()], asked, &at_once, &fetched).await? {
            let report = fetched.lock().reports.last().map(ToString::to_string);
            return Err(Error::Refused { hash: *hash, why: report.unwrap_or_default() });
        }
    }
    Ok(())
}

/// Asks a node for one group of 16 KiB of a blob that it should have, and checks it: saying so is not enough.
///
/// # Errors
///
/// What it did wrong.
pub async fn check(
    peer: &dyn Peer,
    (hash, len): (BlobHash, u64),
    drawn: u64,
    patience: Duration,
) -> Result<(), Report> {
    let groups = len.div_ceil(GROUP as u64).max(1);
    let start = drawn % groups * GROUP as u64;
    let range = start..(start + GROUP as u64).min(len);
    let came = answer(patience, most(&range), peer.get(hash, range.clone())).await;
    let fault = match came {
        Err(fault) => fault,
        Ok(bytes) => match crate::store::proves(hash, len, &range, &bytes) {
            Ok(()) => return Ok(()),
            Err(why) => Fault::Wrong(why),
        },
    };
    Err(Report { node: peer.id(), blob: hash, fault })
}

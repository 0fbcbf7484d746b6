//! Answering others.
//!
//! Whoever asks may be anybody, with as many keys as he likes. What he can hold is bounded for each registered node, for each network of
//! others, for all of these together, and in all: connections, blobs that are read and taken in at a time ([`Room`](stoa_net::Room)), and
//! the room of the store ([`Limits`](crate::Limits)). So there is a share of each that is left for registered nodes, who repair. To be
//! registered costs little: these may have things kept in the name of others, and are charged for it themselves.

use super::{
    Members, Shared, now,
    remote::Asker,
    wire::{self, Request},
};
use crate::{BlobHash, Denied, Error, Fetch, Manifest, Owner, Peer, Root, Store, fetch, store::Payer};
use bao_tree::ChunkRanges;
use iroh_blobs::protocol::Request as BlobsRequest;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fmt,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use stoa_base::NodeId;
use stoa_net::{
    MOST_UNREAD, Share, give_up,
    iroh::{
        endpoint::{Connection, RecvStream, SendStream, VarInt},
        protocol::{AcceptError, ProtocolHandler},
    },
};
use tokio::{
    sync::{SemaphorePermit, mpsc},
    task::spawn_blocking,
    time::timeout,
};

/// Kinds of places: peers that are connected, what is read of the store, requests to keep something that are taken in.
pub(super) const PEERS: usize = 0;
pub(super) const READS: usize = 1;
const KEEPS: usize = 2;

pub(super) const SHARES: [Share; 3] = [
    Share { all: 1024, known: 8, strangers: 64 },
    Share { all: 128, known: 8, strangers: 32 },
    // Each holds files and some megabytes, and reads what has come before it.
    Share { all: 64, known: 4, strangers: 8 },
];

/// How long a request may take to arrive.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// Bytes a second below which a peer takes too long, and the time that it has besides.
pub(super) const SLOWEST: u64 = 32 << 10;
const GRACE: Duration = Duration::from_secs(30);

/// How long room stays set aside for what a peer has not brought yet.
const PENDING: u64 = 3600;

/// For how long a stranger may ask to keep something, in seconds: what is paid for may be longer.
const LONGEST: u64 = 366 * 24 * 3600;

/// Bytes that are passed on at once, and how many parts wait for that: a window of 1 MiB with its hashes has no more, so that whoever reads
/// it for others waits for nobody.
const PART: usize = 256 << 10;
const PARTS: usize = 5;

/// Says that a blob is not here.
pub(super) const NOT_HERE: VarInt = VarInt::from_u32(4);

const REFUSED: VarInt = iroh_blobs::protocol::ERR_PERMISSION;
const BUSY: VarInt = iroh_blobs::protocol::ERR_LIMIT;
const INTERNAL: VarInt = iroh_blobs::protocol::ERR_INTERNAL;

/// What this node does for others.
#[derive(Clone)]
pub struct Guard {
    /// Whether it keeps anything for them.
    pub keeps: bool,
    /// Who may ask in the name of others, as those who repair do: registered nodes.
    pub members: Arc<dyn Members>,
}

/// Answers others. A clone answers for the same store.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
    guard: Guard,
    /// Whether only iroh's own requests are answered.
    blobs_only: bool,
    asked: Arc<Mutex<Asked>>,
}

/// Somebody who asks over one connection.
struct Caller {
    connection: Connection,
    /// Whether he was no registered node when he came.
    stranger: bool,
    places: stoa_net::Caller<3>,
}

impl Caller {
    async fn new(shared: &Shared, connection: Connection, stranger: bool) -> Arc<Self> {
        let places = shared.room.enter(&connection, !stranger).await;
        Arc::new(Self { connection, stranger, places })
    }

    /// A place of a kind, if it is his turn in time.
    async fn turn(&self, kind: usize) -> Result<Vec<SemaphorePermit<'_>>, Denied> {
        let busy = "this node does as much as it can at a time: ask again later";
        timeout(GRACE, self.places.take(kind)).await.map_err(|_| Denied::Refused(busy.into()))
    }

    fn node(&self) -> NodeId {
        NodeId(*self.connection.remote_id().as_bytes())
    }

    fn payer(&self, stranger: bool) -> Payer {
        Payer { key: Owner(self.node().0), stranger }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    pub(super) fn new(shared: Arc<Shared>, guard: Guard) -> Self {
        Self { shared, guard, blobs_only: false, asked: Arc::default() }
    }

    /// The same for [`BLOBS`](super::BLOBS): iroh's requests alone.
    #[must_use]
    pub fn blobs_only(&self) -> Self {
        Self { blobs_only: true, ..self.clone() }
    }

    async fn stream(&self, caller: &Caller, send: SendStream, mut receive: RecvStream) {
        let Ok(Ok(request)) = timeout(REQUEST_TIME, receive.read_to_end(wire::MOST_REQUEST)).await else { return };
        match request.first() {
            Some(first) if wire::is_ours(*first) && !self.blobs_only => {
                let result = match Request::from_bytes(&request) {
                    Ok(request) => self.answer(caller, request).await,
                    Err(error) => Err(Denied::Refused(format!("the request is none: {error}"))),
                };
                say(send, &stoa_net::answer(result)).await;
            }
            _ => get(&self.shared, caller, &request, send).await,
        }
    }

    async fn answer(&self, caller: &Caller, request: Request) -> Result<Vec<u8>, Denied> {
        let from = caller.node();
        match request {
            Request::Has(blobs) => {
                let _place = caller.turn(READS).await?;
                let shared = self.shared.clone();
                let has = move |hash| Ok(u8::from(shared.may_serve(hash) && shared.store.has(hash)?));
                blocking(move || blobs.into_iter().map(has).collect()).await
            }
            Request::Room => {
                let _place = caller.turn(READS).await?;
                let (store, payer) = (self.shared.store.clone(), caller.payer(caller.stranger));
                let room = move || store.room(payer);
                let free = if self.guard.keeps { blocking(room).await? } else { 0 };
                Ok(free.to_be_bytes().to_vec())
            }
            Request::LetGo(object) => {
                let _place = caller.turn(READS).await?;
                let (store, root) = (self.shared.store.clone(), Root { object, owner: Owner(from.0) });
                blocking(move || store.release(root)).await.map(|had| vec![had.into()])
            }
            Request::Keep { object, owner, until, blobs } => {
                let root = Root { object, owner };
                self.keep(caller, root, until, blobs).await.map(|()| Vec::new())
            }
        }
    }

    /// Refuses unless a peer shows that he has those of the blobs that nobody but this node has here: what is kept for others is given to
    /// others, and to know a hash is not to have what it is of. If he is to have brought all that was not here (`taken`), he shows all
    /// that is not open.
    async fn shown(&self, asker: &dyn Peer, blobs: &[(BlobHash, u64)], taken: bool) -> Result<(), Denied> {
        let (store, all) = (self.shared.store.clone(), blobs.to_vec());
        let own = blocking(move || {
            let mut own = Vec::new();
            for blob in all {
                if (taken || store.has(blob.0)?) && !store.is_open(blob.0)? {
                    own.push(blob);
                }
            }
            Ok(own)
        });
        for blob in own.await? {
            if fetch::check(asker, blob, rand::random(), GRACE).await.is_err() {
                let why =
                    "this node has some of it for itself alone: only who shows that he has it may have it kept here";
                return Err(Denied::Refused(why.into()));
            }
        }
        Ok(())
    }

    /// Takes what a peer asks this node to keep.
    async fn keep(&self, caller: &Caller, root: Root, until: u64, blobs: Vec<(BlobHash, u64)>) -> Result<(), Denied> {
        let (from, refused) = (caller.node(), |why: &str| Err(Denied::Refused(why.into())));
        if !self.guard.keeps {
            return refused("this node keeps nothing for others");
        }
        if [Owner::LOCAL, Owner::TRANSIT].contains(&root.owner) {
            return refused("this owner is nobody");
        }
        let stranger = !self.guard.members.is_member(from).await;
        if root.owner.0 != from.0 && stranger {
            return refused("only registered nodes ask in the name of others");
        }
        if until <= now() {
            return refused("its time is over already");
        }
        if until > now() + LONGEST {
            return refused("it is for too long: ask for a year at most, and again before it is over");
        }
        let Some(own) = blobs.iter().find(|(hash, _)| *hash == root.object.manifest()) else {
            return refused("the manifest is not among the blobs");
        };
        if own.1 > crate::MAX_MANIFEST as u64 {
            return refused("no manifest is as long");
        }
        let _place = caller.turn(KEEPS).await?;
        // What it takes comes on the connection on which it was asked.
        caller.connection.set_receive_window(MOST_UNREAD);
        let store = self.shared.store.clone();
        let asker: Arc<dyn Peer> = Arc::new(Asker(caller.connection.clone()));
        self.shown(&*asker, &blobs, false).await?;
        for blob in &blobs {
            if !fetch::is_as_long(&store, *blob, std::slice::from_ref(&asker), GRACE).await.map_err(said)? {
                return refused(
                    "another length was named for one of the blobs, and nothing shows that this one is right",
                );
            }
        }
        let (turn, payer) = (Arc::new(Turn::begin(&self.asked, root)), caller.payer(stranger));
        let promised = {
            let (store, blobs) = (store.clone(), blobs.clone());
            let promise = move || {
                // What is known to be no part of the object changes nothing.
                if let Ok(manifest) = store.manifest(root.object) {
                    belong(&manifest, root, &blobs)?;
                }
                let new = store.kept(root)?.is_none();
                // Room for what may never come is not set aside for long.
                store.promise_by(payer, root, Some(until.min(now() + PENDING)), &blobs).map(|()| new)
            };
            blocking(promise).await
        };
        let new = promised?;
        let hashes: Vec<_> = blobs.iter().map(|(hash, _)| *hash).collect();
        let taking = fetch::take(&store, &hashes, asker.clone(), Fetch::until(until));
        let taken = waited_for(&store, payer, root, taking).await;
        if let Err(error) = taken {
            // What was said of these blobs was false, and would be in the way of who says true things of them.
            if new && matches!(error, Error::Refused { .. }) {
                blocking(move || turn.release(&store)).await?;
            }
            return Err(said(error));
        }
        // This node may have put some of it for itself since it was promised.
        if let Err(why) = self.shown(&*asker, &blobs, true).await {
            if new {
                blocking(move || turn.release(&store)).await?;
            }
            return Err(why);
        }
        blocking(move || {
            // What is kept is what the manifest says, or nobody could use it.
            if let Err(error) = belong(&store.manifest(root.object)?, root, &blobs) {
                if new {
                    turn.release(&store)?;
                }
                return Err(error);
            }
            // It may have been let go of meanwhile, and is not to come back then.
            if !store.renew(payer, root, until)? {
                return Err(Error::NotHere(root.object.manifest()));
            }
            store.show(root, &blobs)?;
            blobs.iter().try_for_each(|(hash, _)| match store.has_on_disk(*hash)? {
                true => Ok(()),
                false => Err(Error::NotHere(*hash)),
            })
        })
        .await
    }
}

/// Does what takes long, and keeps what is kept under a root for as long: whoever brings nothing is noticed much sooner.
async fn waited_for<T>(store: &Store, payer: Payer, root: Root, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        if let Ok(done) = timeout(Duration::from_secs(PENDING / 2), work.as_mut()).await {
            return done;
        }
        let store = store.clone();
        // What was let go of meanwhile is gone, and the work finds that out, as it does if the disk refuses.
        drop(blocking(move || store.renew(payer, root, now() + PENDING)).await);
    }
}

/// Passes if blobs are those of the object.
fn belong(manifest: &Manifest, root: Root, blobs: &[(BlobHash, u64)]) -> Result<(), Error> {
    let known = manifest.blobs();
    let belongs = |blob: &&(BlobHash, u64)| blob.0 != root.object.manifest() && !known.contains(blob);
    match blobs.iter().find(belongs) {
        None => Ok(()),
        Some((hash, _)) => Err(Error::Refused { hash: *hash, why: "it is no part of the object".into() }),
    }
}

/// Which request for what was the last, while they are answered. A connection that broke is noticed late: its peer may have asked anew by
/// then, and been promised what it asked for.
#[derive(Default)]
struct Asked {
    count: u64,
    last: HashMap<Root, u64>,
}

/// A request to keep something.
struct Turn {
    asked: Arc<Mutex<Asked>>,
    root: Root,
    number: u64,
}

impl Turn {
    fn begin(asked: &Arc<Mutex<Asked>>, root: Root) -> Self {
        let mut all = asked.lock();
        all.count += 1;
        let number = all.count;
        all.last.insert(root, number);
        Self { asked: asked.clone(), root, number }
    }

    /// Lets go of what was asked for, unless somebody has asked for it since.
    fn release(&self, store: &Store) -> Result<(), Error> {
        let asked = self.asked.lock();
        if asked.last.get(&self.root) == Some(&self.number) {
            store.release(self.root)?;
        }
        Ok(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut asked = self.asked.lock();
        if asked.last.get(&self.root) == Some(&self.number) {
            asked.last.remove(&self.root);
        }
    }
}

/// An error in the words that another node gets.
fn said(error: Error) -> Denied {
    match error {
        Error::NotHere(_) => Denied::NotHere,
        // Whose fault it is is nobody else's business.
        Error::Io(_) | Error::File { .. } | Error::Index(_) | Error::Damaged(_) => {
            tracing::warn!(%error, "the store could not answer another node");
            Denied::Refused("the store cannot do it now".into())
        }
        error => Denied::Refused(error.to_string()),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Denied> {
    fetch::blocking(work).await.map_err(said)
}

async fn say(mut send: SendStream, answer: &[u8]) {
    if timeout(GRACE, send.write_all(answer)).await.is_ok() {
        let _ = send.finish();
    }
}

/// How long a peer has kept this node waiting, of how long it may.
#[derive(Default)]
struct Pace {
    bytes: u64,
    waited: Duration,
}

impl Pace {
    /// How long it may take for so many bytes more: what is left of the grace, which it has once, and what the slowest takes.
    fn more(&mut self, bytes: usize) -> Duration {
        self.bytes += bytes as u64;
        (GRACE + Duration::from_secs(self.bytes / SLOWEST)).saturating_sub(self.waited)
    }
}

/// Answers a request of iroh's protocol for one blob, or a part of it, when it is its turn.
async fn get(shared: &Arc<Shared>, caller: &Caller, request: &[u8], mut send: SendStream) {
    let refuse = |mut send: SendStream, code| drop(send.reset(code));
    let Ok(BlobsRequest::Get(request)) = postcard::from_bytes(request) else { return refuse(send, REFUSED) };
    let Some((0, ranges)) = request.ranges.as_single() else { return refuse(send, REFUSED) };
    // It is his until what he asked for has come, which waits here before that.
    let Ok(_place) = caller.turn(READS).await else { return refuse(send, BUSY) };
    let (hash, ranges) = (BlobHash(*request.hash.as_bytes()), ranges.clone());
    let (parts, mut rest) = mpsc::channel(PARTS);
    let reading = {
        let shared = shared.clone();
        spawn_blocking(move || read(&shared, hash, &ranges, parts))
    };
    let (mut sent, mut pace) = (true, Pace::default());
    while sent && let Some(part) = rest.recv().await {
        let (length, begun) = (part.len(), Instant::now());
        sent = matches!(timeout(pace.more(length), send.write_chunk(part.into())).await, Ok(Ok(())));
        pace.waited += begun.elapsed();
        if sent {
            shared.store.count(length);
            shared.offers.took(caller.node(), hash, length);
        }
    }
    drop(rest);
    let code = match reading.await {
        _ if !sent => BUSY,
        Ok(Ok(())) => {
            let _ = send.finish();
            match timeout(pace.more(0), send.stopped()).await {
                Ok(Ok(None)) => return,
                _ => BUSY,
            }
        }
        Ok(Err(Error::NotHere(_))) => return refuse(send, NOT_HERE),
        Ok(Err(error)) => {
            tracing::warn!(%error, %hash, "a blob could not be read for another node");
            INTERNAL
        }
        Err(_) => INTERNAL,
    };
    give_up(&caller.connection, &mut send, code).await;
}

/// Reads a blob's length and ranges, and gives them away in parts.
fn read(shared: &Shared, hash: BlobHash, ranges: &ChunkRanges, parts: mpsc::Sender<Vec<u8>>) -> Result<(), Error> {
    if !shared.may_serve(hash) {
        return Err(Error::NotHere(hash));
    }
    let mut out = Parts { parts, part: shared.store.blob(hash)?.len().to_le_bytes().to_vec() };
    shared.store.encode_chunks(hash, ranges, &mut out)?;
    std::io::Write::flush(&mut out)?;
    Ok(())
}

struct Parts {
    parts: mpsc::Sender<Vec<u8>>,
    part: Vec<u8>,
}

impl std::io::Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.part.len() + bytes.len() > PART {
            self.flush()?;
        }
        self.part.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let part = std::mem::replace(&mut self.part, Vec::with_capacity(PART));
        // Nobody wants the rest.
        self.parts.blocking_send(part).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}

impl ProtocolHandler for Server {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let stranger = !self.guard.members.is_member(NodeId(*connection.remote_id().as_bytes())).await;
        let caller = Caller::new(&self.shared, connection, stranger).await;
        let Some(_place) = caller.places.try_take(PEERS, 1) else {
            caller.connection.close(VarInt::from_u32(1), b"too many use this store");
            return Ok(());
        };
        while let Ok((send, receive)) = caller.connection.accept_bi().await {
            let (server, caller) = (self.clone(), caller.clone());
            tokio::spawn(async move { server.stream(&caller, send, receive).await });
        }
        Ok(())
    }
}

/// Answers a node that was asked to keep something and takes it. Whom this node has called is no stranger.
pub(super) async fn offered(shared: Arc<Shared>, connection: Connection) {
    let caller = Caller::new(&shared, connection, false).await;
    while let Ok((send, mut receive)) = caller.connection.accept_bi().await {
        let (shared, caller) = (shared.clone(), caller.clone());
        tokio::spawn(async move {
            if let Ok(Ok(request)) = timeout(REQUEST_TIME, receive.read_to_end(wire::MOST_REQUEST)).await {
                get(&shared, &caller, &request, send).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, ObjectId, Put};

    #[test]
    fn a_request_that_broke_off_lets_go_of_nothing_that_was_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Limits::default()).unwrap();
        let object: ObjectId = store.put(&b"content"[..], Put::default()).unwrap();
        let root = Root { object, owner: Owner([7; 32]) };
        let blobs = [(object.manifest(), store.blob(object.manifest()).unwrap().len())];
        store.promise(root, Some(1), &blobs).unwrap();
        let asked = Arc::default();
        let (first, second) = (Turn::begin(&asked, root), Turn::begin(&asked, root));
        first.release(&store).unwrap();
        assert!(store.kept(root).unwrap().is_some());
        drop(first);
        second.release(&store).unwrap();
        assert!(store.kept(root).unwrap().is_none());
        // The later one may have been answered by the time that the earlier one breaks off.
        store.promise(root, Some(1), &blobs).unwrap();
        let (first, second) = (Turn::begin(&asked, root), Turn::begin(&asked, root));
        drop(second);
        first.release(&store).unwrap();
        assert!(store.kept(root).unwrap().is_some());
        drop(first);
        assert!(asked.lock().last.is_empty());
    }

    #[test]
    fn a_window_is_read_without_waiting_for_whoever_asked_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Limits::default()).unwrap();
        let object: ObjectId = store.put(&vec![7_u8; 3 << 20][..], Put::default()).unwrap();
        let blob = store.manifest(object).unwrap().content;
        let shared = Shared { store, offers: Default::default(), room: stoa_net::Room::new(SHARES) };
        let _offer = shared.offers.to(NodeId([1; 32]), &[(blob, 3 << 20)]);
        let (parts, mut rest) = mpsc::channel(PARTS);
        let window = crate::store::chunks(&(1 << 20..2 << 20));
        let reading = std::thread::spawn(move || read(&shared, blob, &window, parts));
        let until = Instant::now() + Duration::from_secs(20);
        while !reading.is_finished() {
            assert!(Instant::now() < until, "it waits");
            std::thread::sleep(Duration::from_millis(10));
        }
        reading.join().unwrap().unwrap();
        let mut length = 0;
        while let Ok(part) = rest.try_recv() {
            length += part.len();
        }
        assert!(length > 1 << 20);
    }

    #[test]
    fn who_takes_each_part_at_the_last_moment_has_the_grace_once_and_not_each_time() {
        let (mut pace, slowest) = (Pace::default(), Duration::from_secs(PART as u64 / SLOWEST));
        let first = pace.more(PART);
        assert_eq!(first, GRACE + slowest);
        pace.waited += first;
        for _ in 0..100 {
            let next = pace.more(PART);
            assert_eq!(next, slowest);
            pace.waited += next;
        }
        // Who was faster has it still.
        pace.waited -= GRACE;
        assert_eq!(pace.more(PART), GRACE + slowest);
    }

    #[test]
    fn what_takes_longer_than_room_is_set_aside_for_keeps_it_until_it_is_let_go_of() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), Limits { margin: 0, ..Limits::default() }).unwrap();
            let root = Root { object: ObjectId([1; 32]), owner: Owner([7; 32]) };
            store.promise(root, Some(1), &[(BlobHash([1; 32]), 100)]).unwrap();
            let work = || tokio::time::sleep(Duration::from_secs(PENDING));
            let payer = Payer { key: root.owner, stranger: true };
            waited_for(&store, payer, root, work()).await;
            let until = store.kept(root).unwrap().unwrap().until.unwrap();
            assert!(until > now(), "{until}");
            store.release(root).unwrap();
            waited_for(&store, payer, root, work()).await;
            assert_eq!((store.kept(root).unwrap(), store.status().unwrap().expected), (None, 0));
        });
    }
}

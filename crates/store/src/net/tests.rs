//! Stores behind real sockets on loopback.

use super::*;
use crate::{
    BlobHash, Code, Denied, Domain, Fault, Fetch, Here, Kind, Limits, Manifest, ObjectId, Owner, Plain, Put, Root,
    Seal, Sealing, tests::Way, transit,
};
use bao_tree::ChunkRanges;
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::ed25519::PrivateKey;
use futures::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use iroh_blobs::protocol::GetRequest;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use stoa_base::NodeId;
use stoa_net::iroh::{
    EndpointAddr,
    endpoint::{Connection, SendStream},
    protocol::{AcceptError, ProtocolHandler, Router},
};
use tempfile::TempDir;
use tokio::{net::UdpSocket, time::timeout};

mod liars;
mod watch;

/// The registry of a test.
#[derive(Default)]
struct Registry(Mutex<Vec<Member>>);

impl Members for Registry {
    fn members(&self) -> BoxFuture<'_, Result<Vec<Member>, String>> {
        async { Ok(self.0.lock().clone()) }.boxed()
    }
}

struct Node {
    network: Network,
    address: PeerAddress,
    endpoint: Endpoint,
    router: Router,
    _folder: TempDir,
}

async fn open(number: u8) -> (TempDir, Store, Endpoint) {
    open_with(number, Limits::default()).await
}

async fn open_with(number: u8, limits: Limits) -> (TempDir, Store, Endpoint) {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let limits = Limits { margin: 0, total: 64 << 20, ..limits };
    let store = Store::open(folder.path(), limits).unwrap();
    let key = PrivateKey::decode(Copying(&[number; 32])).unwrap();
    (folder, store, Endpoint::bind(&key, ([127, 0, 0, 1], 0).into()).await.unwrap())
}

async fn node(number: u8, registry: &Arc<Registry>, registered: bool) -> Node {
    node_with(number, registry, registered, Limits::default()).await
}

async fn node_with(number: u8, registry: &Arc<Registry>, registered: bool, limits: Limits) -> Node {
    let (folder, store, endpoint) = open_with(number, limits).await;
    let network = Network::new(store, &endpoint, registry.clone());
    let server = network.server(Guard { keeps: registered, members: registry.clone() });
    let router = endpoint.router().accept(BLOBS, server.blobs_only()).accept(STORE, server).spawn();
    let address = endpoint.address().unwrap();
    if registered {
        let domain = Domain(format!("operator {number}"));
        registry.0.lock().push(Member { address: address.clone(), domain });
    }
    Node { network, address, endpoint, router, _folder: folder }
}

async fn nodes(count: u8) -> (Arc<Registry>, Vec<Node>) {
    let (registry, mut all) = (Arc::default(), Vec::new());
    for number in 1..=count {
        all.push(node(number, &registry, true).await);
    }
    (registry, all)
}

impl Node {
    fn store(&self) -> &Store {
        self.network.store()
    }

    fn owner(&self) -> Owner {
        Owner(self.address.node().0)
    }

    fn terms(&self) -> Terms {
        Terms { owner: self.owner(), until: now() + 1000, public: false }
    }

    /// It is gone, without a word.
    async fn kill(&self) {
        self.router.shutdown().await.unwrap();
        self.endpoint.close().await;
    }
}

fn quick() -> Fetch {
    Fetch { patience: Duration::from_secs(10), ..Fetch::until(now() + 1000) }
}

fn bytes(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

/// Not a seal that hides anything: these tests look at who gets what.
struct Marked;

impl Seal for Marked {
    fn seal<'a>(&self, plain: Box<dyn io::Read + Send + 'a>) -> io::Result<(Sealing, Box<dyn io::Read + Send + 'a>)> {
        Ok((Sealing::Sealed(b"marked".to_vec()), plain))
    }

    fn open<'a>(&self, _: &Sealing, plain: Box<dyn io::Write + 'a>) -> io::Result<Box<dyn io::Write + 'a>> {
        Ok(plain)
    }

    fn fits(&self, sealing: &Sealing, _: bool) -> bool {
        *sealing == Sealing::Sealed(b"marked".to_vec())
    }
}

const ALL: [usize; 6] = [0, 1, 2, 3, 4, 5];

/// An object in six pieces, three of which suffice, on six nodes; its owner keeps nothing.
async fn spread_out(owner: &Node, content: &[u8]) -> ObjectId {
    let put = Put { code: Code::new(3, 6), seal: &Marked, ..Put::default() };
    let id = owner.store().put(content, put).unwrap();
    let outcome = owner.network.spread(id, &ALL, owner.terms()).await.unwrap();
    assert_eq!((outcome.kept.len(), &outcome.missing[..], &outcome.failed[..]), (6, &[][..], &[][..]));
    assert!(outcome.survives_a_domain && outcome.bytes > content.len() as u64 * 2);
    assert!(owner.store().release(Root { object: id, owner: Owner::LOCAL }).unwrap());
    id
}

fn content(node: &Node, id: ObjectId) -> Vec<u8> {
    let mut out = Vec::new();
    node.store().get(id, &mut out).unwrap();
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn three_of_six_nodes_die_and_the_object_is_read_then_repaired_then_three_others_die() {
    let (registry, nodes) = nodes(6).await;
    let (owner, reader) = (node(100, &registry, false).await, node(101, &registry, false).await);
    let data = bytes(1, 5_000_000);
    let id = spread_out(&owner, &data).await;
    owner.kill().await;
    for gone in &nodes[..3] {
        gone.kill().await;
    }
    reader.network.fetch(id, quick()).await.unwrap();
    assert_eq!(content(&reader, id), data);
    reader.kill().await;

    // Three new nodes; one of those that are left makes their pieces, without owner, reader or key.
    registry.0.lock().drain(..3);
    let fresh = [node(10, &registry, true).await, node(11, &registry, true).await, node(12, &registry, true).await];
    let watches = nodes[3..].iter().map(|node| watch::of(node, 1)).collect::<Vec<_>>();
    let mut repaired = Vec::new();
    for _ in 0..20 {
        for watch in &watches {
            let looked = watch.look().await.unwrap();
            assert_eq!((looked.lost, looked.reports), (vec![], vec![]));
            repaired.extend(looked.repaired);
        }
        if !repaired.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let made: usize = repaired.iter().map(|(_, repaired)| repaired.kept.len()).sum();
    assert_eq!(made, 3, "{repaired:?}");
    // What moves is what must: two pieces read beside the own one, three handed over, their trees and the manifests.
    let piece = data.len().div_ceil(3) as f64;
    let moved: u64 = repaired.iter().map(|(_, repaired)| repaired.read + repaired.written).sum();
    assert!((moved as f64) < 5.0 * piece * 1.2, "{moved}");
    for gone in &nodes[3..] {
        gone.kill().await;
    }
    registry.0.lock().drain(..3);
    let reader = node(102, &registry, false).await;
    reader.network.fetch(id, quick()).await.unwrap();
    assert_eq!(content(&reader, id), data);
    drop(fresh);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_bytes_is_spread_and_read() {
    let (registry, _nodes) = nodes(6).await;
    let (owner, reader) = (node(100, &registry, false).await, node(101, &registry, false).await);
    let id = spread_out(&owner, &[]).await;
    reader.network.fetch(id, quick()).await.unwrap();
    assert_eq!(content(&reader, id), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_folder_of_which_a_part_is_here_the_rest_is_fetched_and_nothing_twice() {
    let (registry, _nodes) = nodes(6).await;
    let (owner, reader) = (node(100, &registry, false).await, node(101, &registry, false).await);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("more")).unwrap();
    for (seed, name) in (1..).zip(["one", "more/two", "more/three"]) {
        fs::write(folder.path().join(name), bytes(seed, 200_000)).unwrap();
    }
    let put = Put { code: Code::new(3, 6), seal: &Marked, ..Put::default() };
    let id = owner.store().put_folder(folder.path(), put, now() + 1000).unwrap();
    let all = owner.store().here(id, |id| owner.store().folder(id, &Marked)).unwrap();
    assert!(all.is_whole() && all.objects.len() == 5 && all.objects[0] == id, "{all:?}");
    for object in &all.objects {
        assert!(owner.network.spread(*object, &ALL, owner.terms()).await.unwrap().missing.is_empty());
    }

    let open = |id: ObjectId| reader.store().folder(id, &Marked);
    let here = || reader.store().here(id, open).unwrap();
    assert_eq!(here(), Here { objects: vec![], missing: vec![id] });
    // An earlier try ended with the names, for it had no key to read them.
    reader.network.fetch(id, quick()).await.unwrap();
    assert!(reader.store().is_complete(id).unwrap() && !here().is_whole());
    assert!(reader.store().here(id, |id| reader.store().folder(id, &Plain)).is_err());
    let mut fetched = BTreeSet::from([id]);
    while let Some(missing) = here().missing.pop() {
        assert!(reader.network.fetch(missing, quick()).await.unwrap().bytes > 0);
        assert!(fetched.insert(missing), "{missing} was fetched twice");
    }
    assert_eq!(fetched, BTreeSet::from_iter(all.objects.iter().copied()));
    for object in here().objects {
        assert_eq!(reader.network.fetch(object, quick()).await.unwrap().bytes, 0);
    }
    // What is gone of it is missing again.
    let last = all.objects[4];
    reader.store().release(transit(last)).unwrap();
    assert_eq!(here().missing, [last]);
}

/// Says that it has everything, and gives something else. One that turns bad has what it says, and gives what it has as long as no
/// more than so many bytes are asked for.
#[derive(Clone)]
struct Liar {
    store: Store,
    manifest: BlobHash,
    way: Way,
}

impl std::fmt::Debug for Liar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.way.fmt(f)
    }
}

impl Liar {
    async fn answer(&self, connection: &Connection, mut send: SendStream, request: &[u8]) {
        if let Ok(wire::Request::Has(blobs)) = wire::Request::from_bytes(request) {
            let says =
                |hash: &BlobHash| u8::from(!matches!(self.way, Way::TurnsBad(_)) || self.store.has(*hash).unwrap());
            let _ = send.write_all(&stoa_net::answer(Ok(blobs.iter().map(says).collect()))).await;
            let _ = send.finish();
            return;
        }
        if self.way == Way::Gone {
            return connection.close(1_u32.into(), b"");
        }
        let Ok(iroh_blobs::protocol::Request::Get(get)) = postcard::from_bytes(request) else { return };
        let (hash, ranges) = (BlobHash(*get.hash.as_bytes()), get.ranges.as_single().unwrap().1.clone());
        let mut bytes = self.store.blob(hash).unwrap().len().to_le_bytes().to_vec();
        let head = bytes.len();
        self.store.encode_chunks(hash, &ranges, &mut bytes).unwrap();
        let way = match self.way {
            _ if hash == self.manifest => Way::Honest,
            Way::TurnsBad(most) if bytes.len() as u64 <= most => Way::Honest,
            Way::TurnsBad(_) => Way::Flipped,
            way => way,
        };
        match way {
            Way::Old => bytes[head..].iter_mut().for_each(|byte| *byte = byte.wrapping_add(1)),
            Way::Slow => {
                let _ = send.write_all(&bytes[..head + 1]).await;
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
            way => way.change(&mut bytes),
        }
        if send.write_all(&bytes).await.is_ok() {
            while way == Way::Endless && send.write_all(&[7; 1 << 16]).await.is_ok() {}
        }
        let _ = send.finish();
    }
}

impl ProtocolHandler for Liar {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        while let Ok((send, mut receive)) = connection.accept_bi().await {
            let (liar, connection) = (self.clone(), connection.clone());
            tokio::spawn(async move {
                let Ok(request) = receive.read_to_end(wire::MOST_REQUEST).await else { return };
                liar.answer(&connection, send, &request).await;
            });
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_wrong_old_slow_endless_or_half_bytes_over_sockets_is_reported_and_others_give_them() {
    let (registry, _nodes) = nodes(6).await;
    let owner = node(100, &registry, false).await;
    let data = bytes(3, 5_000_000);
    let id = spread_out(&owner, &data).await;
    // Nobody knows of the node that has the first piece any more, so that whoever says that he has it is asked.
    let found = owner.network.find(id, quick()).await.unwrap();
    let first = found.holders.iter().find(|holder| holder.piece == 0).unwrap().peer.id();
    registry.0.lock().retain(|member| member.address.node() != first);
    let lies = [Way::Flipped, Way::Old, Way::Slow, Way::Endless, Way::Long, Way::Cut, Way::Gone];
    let mut reported = 0;
    for (number, lie) in (110..).zip(lies) {
        let (_folder, store, endpoint) = open(number).await;
        let reader = node(number + 50, &registry, false).await;
        // It knows what it should say.
        let put = Put { code: Code::new(3, 6), seal: &Marked, ..Put::default() };
        assert_eq!(store.put(&data[..], put).unwrap(), id);
        let _router = endpoint.router().accept(STORE, Liar { store, manifest: id.manifest(), way: lie }).spawn();
        let address = endpoint.address().unwrap();
        let liar = address.node();
        registry.0.lock().push(Member { address, domain: Domain("liars".into()) });
        let patience = Duration::from_secs(if lie == Way::Slow { 3 } else { 10 });
        let fetched = reader.network.fetch(id, Fetch { patience, ..quick() }).await;
        let fetched = fetched.unwrap_or_else(|error| panic!("{lie:?}: {error}"));
        assert_eq!(content(&reader, id), data, "{lie:?}");
        // Whoever answers late is not asked.
        reported += usize::from(!fetched.reports.is_empty());
        for report in &fetched.reports {
            assert_eq!(report.node, liar, "{lie:?}: {report}");
            let fault = &report.fault;
            match lie {
                Way::Slow => assert_eq!(*fault, Fault::Slow(patience)),
                Way::Gone => assert!(matches!(fault, Fault::Failed(Denied::Gone(_))), "{lie:?}: {report}"),
                // What is never read blocks the connection in the end.
                Way::Endless => assert!(fault.is_lie() || matches!(fault, Fault::Failed(Denied::Gone(_)))),
                _ => assert!(fault.is_lie(), "{lie:?}: {report}"),
            }
        }
        registry.0.lock().pop();
    }
    assert!(reported > lies.len() / 2, "{reported} of {}", lies.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_irohs_own_reads_a_piece() {
    let (registry, nodes) = nodes(6).await;
    let owner = node(100, &registry, false).await;
    let data = bytes(2, 900_000);
    let id = spread_out(&owner, &data).await;
    let found = owner.network.find(id, quick()).await.unwrap();
    let holder = &found.holders[0];
    let (hash, length) = found.manifest.blobs()[holder.piece];
    let node = nodes.iter().find(|node| node.address.node() == holder.peer.id()).unwrap();

    let client = stoa_net::iroh::Endpoint::bind(stoa_net::iroh::endpoint::presets::Minimal).await.unwrap();
    let address = EndpointAddr::new(node.address.key).with_ip_addr(node.address.host.parse().unwrap());
    let connection = client.connect(address, iroh_blobs::ALPN).await.unwrap();
    let piece = iroh_blobs::get::request::get_blob(connection.clone(), hash.0.into()).bytes().await.unwrap();
    assert_eq!((piece.len() as u64, BlobHash::of(&piece)), (length, hash));
    // So does the manifest, which is shorter than a group.
    let manifest = iroh_blobs::get::request::get_blob(connection.clone(), id.0.into()).bytes().await.unwrap();
    assert_eq!(Manifest::verify(id, &manifest).unwrap(), found.manifest);
    // What it does not have, and what is no request of iroh's, is refused; the connection goes on.
    assert!(iroh_blobs::get::request::get_blob(connection.clone(), [7; 32].into()).bytes().await.is_err());
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(&[0x82]).await.unwrap();
    send.finish().unwrap();
    assert!(receive.read_to_end(100).await.is_err());
    assert!(iroh_blobs::get::request::get_blob(connection, hash.0.into()).bytes().await.is_ok());
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_owner_keeps_for_himself_nobody_gets() {
    let (registry, nodes) = nodes(2).await;
    let id = nodes[0].store().put(&b"mine alone"[..], Put::default()).unwrap();
    let peer = nodes[1].network.peer(&nodes[0].address);
    let blobs = nodes[0].store().manifest(id).unwrap().blobs();
    assert_eq!(peer.has(vec![id.manifest(), blobs[0].0]).await, Ok(vec![false, false]));
    assert_eq!(peer.manifest(id).await.err(), Some(Denied::NotHere));
    assert_eq!(peer.get(blobs[0].0, 0..blobs[0].1).await.err(), Some(Denied::NotHere));
    assert!(nodes[1].network.fetch(id, quick()).await.is_err());
    // Nor does it leave by mistake.
    let plain = nodes[0].store().put(&b"not sealed"[..], Put { code: Code::new(1, 2), ..Put::default() }).unwrap();
    let error = nodes[0].network.spread(plain, &[0, 1], nodes[0].terms()).await.unwrap_err();
    assert!(matches!(error, crate::Error::NotSealed(_)), "{error}");
    drop(registry);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_may_not_ask_for_is_refused_with_the_reason() {
    let (registry, nodes) = nodes(1).await;
    let (owner, stranger) = (node(100, &registry, false).await, node(101, &registry, false).await);
    let put = Put { code: Code::new(2, 3), seal: &Marked, ..Put::default() };
    let id = owner.store().put(&bytes(3, 300_000)[..], put).unwrap();
    let manifest = owner.store().manifest(id).unwrap();
    let own = (id.manifest(), owner.store().blob(id.manifest()).unwrap().len());
    let piece = manifest.blobs()[0];
    let root = |owner| Root { object: id, owner };
    let ask = |from: &Node, root: Root, until: u64, blobs: Vec<(BlobHash, u64)>| {
        let peer = from.network.peer(&nodes[0].address);
        async move { peer.keep(root, Some(until), blobs).await.map_err(|error| error.to_string()) }
    };
    let (mine, soon) = (root(owner.owner()), now() + 100);
    for (asked, why) in [
        (ask(&owner, mine, u64::MAX, vec![own, piece]).await, "too long"),
        (ask(&owner, root(Owner::LOCAL), soon, vec![own, piece]).await, "nobody"),
        (ask(&stranger, mine, soon, vec![own, piece]).await, "only registered nodes"),
        (ask(&owner, mine, soon, vec![piece]).await, "manifest is not among"),
        (ask(&owner, mine, soon, vec![own, (piece.0, piece.1 + 1)]).await, "wrong bytes"),
        (ask(&owner, mine, soon, vec![own, (BlobHash([1; 32]), 1 << 40)]).await, "full"),
        (ask(&owner, mine, soon, vec![own, (BlobHash([1; 32]), 9)]).await, "does not have it"),
    ] {
        let error = asked.unwrap_err();
        assert!(error.contains(why), "{error}: {why}");
    }
    // A blob that is no part of the object.
    let other = owner.store().put(&b"something else"[..], Put::default()).unwrap();
    let other = owner.store().manifest(other).unwrap().blobs()[0];
    let error = ask(&owner, mine, soon, vec![own, other]).await.unwrap_err();
    assert!(error.contains("no part of the object"), "{error}");
    // What should be asked for is done, twice as well as once; it ends when its owner says so, and for him alone.
    let keeper = owner.network.peer(&nodes[0].address);
    for _ in 0..2 {
        ask(&owner, mine, soon, vec![own, piece]).await.unwrap();
        assert_eq!(keeper.has(vec![piece.0, manifest.blobs()[1].0]).await, Ok(vec![true, false]));
    }
    assert_eq!(stranger.network.let_go(id).await.unwrap()[0].1, Ok(false));
    assert_eq!(keeper.has(vec![piece.0]).await, Ok(vec![true]));
    // Who is not registered is asked if he is named, and everybody once.
    let also = [nodes[0].address.clone(), stranger.address.clone()];
    let answers = owner.network.let_go_with(id, &also).await.unwrap().into_iter().collect::<BTreeMap<_, _>>();
    assert_eq!(answers, BTreeMap::from([(also[0].node(), Ok(true)), (also[1].node(), Ok(false))]));
    assert_eq!(keeper.has(vec![piece.0]).await, Ok(vec![false]));
    // One that is registered for nothing keeps nothing.
    let error = owner.network.peer(&stranger.address).keep(mine, Some(soon), vec![own, piece]).await.unwrap_err();
    assert!(error.to_string().contains("keeps nothing for others"), "{error}");
    assert_eq!(manifest.kind, Kind::File);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_promised_a_false_length_is_not_in_the_way_of_who_shows_the_right_one() {
    let (registry, nodes) = nodes(1).await;
    let owner = node(100, &registry, false).await;
    let put = Put { code: Code::new(2, 3), seal: &Marked, ..Put::default() };
    let id = owner.store().put(&bytes(3, 300_000)[..], put).unwrap();
    let own = (id.manifest(), owner.store().blob(id.manifest()).unwrap().len());
    let piece = owner.store().manifest(id).unwrap().blobs()[0];
    let (keeper, until) = (nodes[0].store(), now() + 100);
    let [liar, mine] = [Owner([7; 32]), owner.owner()].map(|owner| Root { object: id, owner });
    let longer = |by: u64| [own, piece].map(|(hash, len)| (hash, len + by));
    let ask = async |blobs: [(BlobHash, u64); 2]| {
        owner.network.peer(&nodes[0].address).keep(mine, Some(until), blobs.to_vec()).await
    };
    keeper.promise(liar, Some(until), &longer(1)).unwrap();
    // Nobody shows a length that is false as well.
    let why = ask(longer(2)).await.unwrap_err().to_string();
    assert!(why.contains("nothing shows"), "{why}");
    assert!(keeper.kept(liar).unwrap().is_some() && keeper.kept(mine).unwrap().is_none());
    ask(longer(0)).await.unwrap();
    assert!(keeper.kept(liar).unwrap().is_none() && keeper.kept(mine).unwrap().is_some());
    assert!(keeper.has(own.0).unwrap() && keeper.has(piece.0).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_may_not_have_kept_registered_nodes_may() {
    let registry = Arc::default();
    let limits = Limits { strangers: 1 << 20, owner: 3 << 20, ..Limits::default() };
    let keeper = node_with(1, &registry, true, limits).await;
    let (repairs, owner) = (node(2, &registry, true).await, node(100, &registry, false).await);
    let put = Put { code: Code::new(1, 1), seal: &Marked, ..Put::default() };
    let mut asked = Vec::new();
    for node in [&owner, &repairs] {
        let id = node.store().put(&bytes(6, 2 << 20)[..], put).unwrap();
        let own = (id.manifest(), node.store().blob(id.manifest()).unwrap().len());
        let blobs = vec![own, node.store().manifest(id).unwrap().blobs()[0]];
        let root = Root { object: id, owner: owner.owner() };
        asked.push(node.network.peer(&keeper.address).keep(root, Some(now() + 100), blobs).await);
    }
    let why = asked[0].clone().unwrap_err().to_string();
    assert!(why.contains("no registered nodes") && asked[1] == Ok(()), "{asked:?}");
    // What they are told of its room is what they may have of it: who repairs is charged for what it has brought.
    let room = async |node: &Node| node.network.remote(&keeper.address).room().await.unwrap();
    let charged = keeper.store().status().unwrap().owners[&repairs.owner()];
    assert!(charged > 2 << 20);
    assert_eq!((room(&owner).await, room(&repairs).await), (0, (3 << 20) - charged));
    // What is over is not asked for.
    let root = Root { object: ObjectId([1; 32]), owner: repairs.owner() };
    let over = repairs.network.peer(&keeper.address).keep(root, Some(now() - 1), vec![(BlobHash([1; 32]), 9)]).await;
    assert!(over.unwrap_err().to_string().contains("over already"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_in_the_name_of_others_uses_up_what_he_may_have_himself_and_nothing_of_theirs() {
    let registry = Arc::default();
    let keeper = node_with(1, &registry, true, Limits { owner: 3 << 20, ..Limits::default() }).await;
    let (fellow, owner) = (node(2, &registry, true).await, node(100, &registry, false).await);
    let ask = async |from: &Node, owner: Owner, seed: u8| {
        let put = Put { code: Code::new(1, 1), seal: &Marked, ..Put::default() };
        let id = from.store().put(&bytes(seed, 2 << 20)[..], put).unwrap();
        let own = (id.manifest(), from.store().blob(id.manifest()).unwrap().len());
        let (root, piece) = (Root { object: id, owner }, from.store().manifest(id).unwrap().blobs()[0]);
        let asked = from.network.peer(&keeper.address).keep(root, Some(now() + 100), vec![own, piece]).await;
        (id, asked.map_err(|error| error.to_string()))
    };
    let charged = || {
        let mut charged: Vec<_> = keeper.store().status().unwrap().owners.into_keys().collect();
        charged.sort();
        charged
    };
    let both = || {
        let mut both = vec![fellow.owner(), owner.owner()];
        both.sort();
        both
    };
    let is_full = |asked: Result<(), String>, who: Owner| {
        let why = asked.unwrap_err();
        assert!(why.contains(&format!("{who} may have 3145728 bytes")), "{why}");
    };
    // Whoever has used up his own may have another ask for him, who does not get more than his own by naming others.
    let (first, asked) = ask(&owner, owner.owner(), 1).await;
    asked.unwrap();
    is_full(ask(&owner, owner.owner(), 2).await.1, owner.owner());
    let (second, asked) = ask(&fellow, owner.owner(), 2).await;
    asked.unwrap();
    is_full(ask(&fellow, owner.owner(), 3).await.1, fellow.owner());
    is_full(ask(&fellow, Owner([7; 32]), 3).await.1, fellow.owner());
    assert_eq!(charged(), both());
    // It is the owner's to let go of, and to take on himself as soon as he may have as much: then the other may ask for more.
    is_full(ask(&owner, owner.owner(), 2).await.1, owner.owner());
    owner.network.let_go(first).await.unwrap();
    assert_eq!(charged(), [fellow.owner()]);
    ask(&owner, owner.owner(), 2).await.1.unwrap();
    assert_eq!(charged(), [owner.owner()]);
    ask(&fellow, Owner([7; 32]), 3).await.1.unwrap();
    assert_eq!(charged(), both());
    assert!(owner.network.let_go(second).await.unwrap().contains(&(keeper.address.node(), Ok(true))));
    assert_eq!(charged(), [fellow.owner()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_on_its_way_to_a_node_is_nothing_that_it_serves() {
    let (_registry, nodes) = nodes(2).await;
    let put = Put { owner: Owner::TRANSIT, until: Some(now() + 100), ..Put::default() };
    let id = nodes[0].store().put(&b"on its way"[..], put).unwrap();
    let content = nodes[0].store().manifest(id).unwrap().content;
    let peer = nodes[1].network.peer(&nodes[0].address);
    assert_eq!(peer.has(vec![id.manifest(), content]).await, Ok(vec![false, false]));
    assert_eq!(peer.get(content, 0..10).await.err(), Some(Denied::NotHere));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_has_for_itself_is_given_to_nobody_who_knows_its_hash() {
    let (registry, nodes) = nodes(1).await;
    let (keeper, content) = (&nodes[0], bytes(7, 100_000));
    let id = keeper.store().put(&content[..], Put::default()).unwrap();
    let blob = keeper.store().manifest(id).unwrap().content;
    let all = vec![(id.manifest(), keeper.store().blob(id.manifest()).unwrap().len()), (blob, 100_000)];
    let (knows, has) = (node(100, &registry, false).await, node(101, &registry, false).await);
    let ask = async |from: &Node, blobs: &[(BlobHash, u64)]| {
        let root = Root { object: id, owner: from.owner() };
        from.network.peer(&keeper.address).keep(root, Some(now() + 100), blobs.to_vec()).await
    };
    for blobs in [&all[..1], &all[..]] {
        let why = ask(&knows, blobs).await.unwrap_err().to_string();
        assert!(why.contains("only who shows that he has it"), "{why}");
    }
    let read = async || knows.network.peer(&keeper.address).get(blob, 0..10).await.err();
    assert_eq!(read().await, Some(Denied::NotHere));
    // Somebody who has the same may have it kept, and then it is no secret of the node's.
    has.store().put(&content[..], Put::default()).unwrap();
    ask(&has, &all).await.unwrap();
    assert_eq!(read().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_puts_for_itself_while_somebody_has_it_promised_is_given_to_nobody_before_he_shows_it() {
    let (registry, nodes) = nodes(1).await;
    let (keeper, content) = (&nodes[0], bytes(7, 100_000));
    let (knows, has) = (node(100, &registry, false).await, node(101, &registry, false).await);
    let id = has.store().put(&content[..], Put::default()).unwrap();
    let (manifest, blob) = (id.manifest(), has.store().manifest(id).unwrap().content);
    let len = has.store().blob(manifest).unwrap().len();
    let root = Root { object: id, owner: knows.owner() };
    let connection = Connections::new(&knows.endpoint, STORE).to(&keeper.address, |_| ()).await.unwrap();
    let blobs = vec![(manifest, len), (blob, 100_000)];
    let request = wire::Request::Keep { object: id, owner: root.owner, until: now() + 100, blobs }.to_bytes();
    let asked = stoa_net::answered(Duration::from_secs(60), async {
        Ok(stoa_net::send(&connection, &request).await?.read_to_end(wire::MOST_ANSWER).await?)
    });
    // He knows the manifest, and before the node asks him for the rest it puts that for itself.
    let answering = async {
        while let Ok((mut send, mut receive)) = connection.accept_bi().await {
            let request = receive.read_to_end(wire::MOST_REQUEST).await.unwrap();
            let Ok(iroh_blobs::protocol::Request::Get(get)) = postcard::from_bytes(&request) else {
                panic!("another request")
            };
            if BlobHash(*get.hash.as_bytes()) != manifest {
                send.reset(serve::NOT_HERE).unwrap();
                continue;
            }
            assert_eq!(keeper.store().put(&content[..], Put::default()).unwrap(), id);
            let mut answer = len.to_le_bytes().to_vec();
            has.store().encode_chunks(manifest, get.ranges.as_single().unwrap().1, &mut answer).unwrap();
            send.write_all(&answer).await.unwrap();
            send.finish().unwrap();
        }
    };
    let answer = tokio::select! { answer = asked => answer, () = answering => panic!("the node hung up") };
    let why = answer.unwrap_err().to_string();
    assert!(why.contains("only who shows that he has it"), "{why}");
    assert_eq!((keeper.store().kept(root).unwrap(), keeper.store().has(blob).unwrap()), (None, true));
    assert_eq!(has.network.peer(&keeper.address).get(blob, 0..10).await.err(), Some(Denied::NotHere));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_are_fewer_nodes_than_pieces_it_says_which_are_missing() {
    let (registry, _nodes) = nodes(4).await;
    let owner = node(100, &registry, false).await;
    let put = Put { code: Code::new(3, 6), seal: &Marked, ..Put::default() };
    let id = owner.store().put(&bytes(4, 100_000)[..], put).unwrap();
    let outcome = owner.network.spread(id, &ALL, owner.terms()).await.unwrap();
    assert_eq!((outcome.kept.len(), outcome.missing.len()), (4, 2));
    // With two more nodes the next try places the rest, and moves nothing twice.
    let more = [node(5, &registry, true).await, node(6, &registry, true).await];
    let again = owner.network.spread(id, &ALL, owner.terms()).await.unwrap();
    assert_eq!((again.kept.len(), again.missing), (6, vec![]));
    assert!(again.bytes < outcome.bytes);
    assert!(again.kept.iter().all(|(_, node)| *node != NodeId([0; 32])));
    drop(more);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_without_room_for_a_piece_are_named_with_the_room_that_they_have() {
    let registry = Arc::default();
    let full = node_with(1, &registry, true, Limits { owner: 1000, ..Limits::default() }).await;
    let (_roomy, owner) = (node(2, &registry, true).await, node(100, &registry, false).await);
    let put = Put { code: Code::new(2, 3), seal: &Marked, ..Put::default() };
    let id = owner.store().put(&bytes(8, 100_000)[..], put).unwrap();
    for _ in 0..2 {
        let outcome = owner.network.spread(id, &[0, 1], owner.terms()).await.unwrap();
        assert_eq!((outcome.kept.len(), outcome.missing.len(), &outcome.failed[..]), (1, 1, &[][..]));
        assert_eq!(outcome.full, [(full.address.node(), 1000)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spread_that_is_repeated_says_again_whether_a_domain_may_go() {
    let (registry, nodes) = nodes(6).await;
    let owner = node(100, &registry, false).await;
    let put = Put { code: Code::new(3, 6), seal: &Marked, ..Put::default() };
    let id = owner.store().put(&bytes(5, 100_000)[..], put).unwrap();
    for _ in 0..2 {
        let outcome = owner.network.spread(id, &ALL, owner.terms()).await.unwrap();
        assert_eq!((outcome.kept.len(), outcome.missing), (6, vec![]));
        assert!(outcome.survives_a_domain);
    }
    assert!(owner.network.extend(id, owner.terms(), quick()).await.unwrap().1.survives_a_domain);
    // Four of the six fail together from now on.
    for member in &mut registry.0.lock()[..4] {
        member.domain = Domain("one".into());
    }
    assert!(!owner.network.spread(id, &ALL, owner.terms()).await.unwrap().survives_a_domain);
    assert!(!owner.network.extend(id, owner.terms(), quick()).await.unwrap().1.survives_a_domain);
    drop(nodes);
}

/// An object in one piece of so many bytes, how it is asked to be kept, and its piece.
fn in_one_piece(owner: &Node, seed: u8, len: usize) -> (Root, Vec<(BlobHash, u64)>, BlobHash) {
    let put = Put { code: Code::new(1, 1), seal: &Marked, ..Put::default() };
    let id = owner.store().put(&bytes(seed, len)[..], put).unwrap();
    let own = (id.manifest(), owner.store().blob(id.manifest()).unwrap().len());
    let piece = owner.store().manifest(id).unwrap().blobs()[0];
    (Root { object: id, owner: owner.owner() }, vec![own, piece], piece.0)
}

/// Such an object, and its piece, which a node keeps.
async fn kept(keeper: &Node, owner: &Node, len: usize) -> (ObjectId, BlobHash) {
    let (root, blobs, piece) = in_one_piece(owner, 9, len);
    owner.network.peer(&keeper.address).keep(root, Some(now() + 1000), blobs).await.unwrap();
    (root.object, piece)
}

/// Asks for all of a blob.
fn whole(hash: BlobHash) -> Vec<u8> {
    let get = GetRequest::blob_ranges(hash.0.into(), ChunkRanges::all());
    postcard::to_allocvec(&iroh_blobs::protocol::Request::Get(get)).unwrap()
}

/// How many read something of a node's store.
fn reads(node: &Node) -> usize {
    node.network.shared.room.taken(serve::READS)
}

async fn until(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), waiting).await.unwrap();
}

/// Stands between a client and a node: where it is called, and whether what the node says is passed on.
async fn between(node: &Node) -> Option<(String, Arc<AtomicBool>)> {
    // By IPv6, so that the two have no other way to each other, which they would take.
    let outer = UdpSocket::bind("[::1]:0").await.ok()?;
    let inner = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    inner.connect(&node.address.host).await.unwrap();
    let (host, heard) = (outer.local_addr().unwrap().to_string(), Arc::new(AtomicBool::new(true)));
    let passes = heard.clone();
    tokio::spawn(async move {
        let (mut asked, mut answered, mut client) = ([0_u8; 2048], [0_u8; 2048], None);
        loop {
            tokio::select! {
                Ok((length, from)) = outer.recv_from(&mut asked) => {
                    client = Some(from);
                    let _ = inner.send(&asked[..length]).await;
                }
                Ok(length) = inner.recv(&mut answered) => {
                    if let Some(client) = client && passes.load(Ordering::Relaxed) {
                        let _ = outer.send_to(&answered[..length], client).await;
                    }
                }
                else => break,
            }
        }
    });
    Some((host, heard))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_taken_yet_holds_its_turn_even_if_it_is_not_wanted_any_more() {
    let (registry, nodes) = nodes(1).await;
    let (keeper, owner) = (&nodes[0], node(100, &registry, false).await);
    let (_, piece) = kept(keeper, &owner, 100_000).await;
    let Some((host, heard)) = between(keeper).await else {
        eprintln!("SKIPPED, for this machine has no IPv6: a client that hears nothing");
        return;
    };
    let key = PrivateKey::decode(Copying(&[101; 32])).unwrap();
    let client = Endpoint::bind(&key, "[::1]:0".parse().unwrap()).await.unwrap();
    let address = PeerAddress { host, ..keeper.address.clone() };
    let connection = Connections::new(&client, STORE).to(&address, |_| ()).await.unwrap();
    until(|| reads(keeper) == 0).await;
    for stops in [false, true] {
        heard.store(false, Ordering::Relaxed);
        let mut receive = stoa_net::send(&connection, &whole(piece)).await.unwrap();
        until(|| reads(keeper) == 1).await;
        if stops {
            receive.stop(1_u32.into()).unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(reads(keeper), 1, "{stops}");
        heard.store(true, Ordering::Relaxed);
        if !stops {
            assert!(receive.read_to_end(1 << 20).await.unwrap().len() > 100_000);
        }
        until(|| reads(keeper) == 0).await;
    }
    assert!(connection.close_reason().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_network_takes_neither_all_connections_nor_all_turns_however_many_keys_it_has() {
    let (_registry, nodes) = nodes(2).await;
    let (keeper, room) = (&nodes[0], nodes[0].network.shared.room.clone());
    let registered = nodes[1].network.peer(&keeper.address);
    let strangers = [open(100).await, open(101).await];
    let [peers, turns] = [serve::PEERS, serve::READS].map(|kind| serve::SHARES[kind].strangers);
    let calls = (0..peers + 2).map(|number| {
        let (.., endpoint) = &strangers[number % 2];
        async move { Connections::new(endpoint, STORE).to(&keeper.address, |_| ()).await.unwrap() }
    });
    let called = join_all(calls).await;
    let is_over = |connection: &&Connection| connection.close_reason().is_some();
    until(|| called.iter().filter(is_over).count() == 2).await;
    assert_eq!(room.taken(serve::PEERS), peers);
    assert_eq!(registered.has(vec![]).await, Ok(vec![]));

    // Both ends of a connection on one machine are of the same network.
    let connection = called.iter().find(|connection| !is_over(connection)).unwrap();
    let caller = room.enter(connection, false).await;
    let taken: Vec<_> = (0..turns + 1).filter_map(|_| caller.try_take(serve::READS, 1)).collect();
    assert_eq!(taken.len(), turns);
    let ask = async || {
        let request = wire::Request::Has(vec![]).to_bytes();
        stoa_net::send(connection, &request).await.unwrap().read_to_end(100).await.unwrap()
    };
    assert!(timeout(Duration::from_secs(1), ask()).await.is_err());
    assert_eq!(registered.has(vec![]).await, Ok(vec![]));
    drop(taken);
    assert_eq!(ask().await, stoa_net::answer(Ok(vec![])));
}

/// Is asked to keep something, asks for it many times at once, and takes nothing of it.
#[derive(Clone, Debug)]
struct Hoards;

impl ProtocolHandler for Hoards {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        while let Ok((send, mut receive)) = connection.accept_bi().await {
            let request = receive.read_to_end(wire::MOST_REQUEST).await.unwrap_or_default();
            let Ok(wire::Request::Keep { blobs, .. }) = wire::Request::from_bytes(&request) else { continue };
            let request = whole(blobs[1].0);
            let asked = join_all((0..40).map(|_| stoa_net::send(&connection, &request))).await;
            connection.closed().await;
            drop((send, asked));
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_to_keep_something_reads_no_more_of_it_at_a_time_than_anybody_may_and_what_he_takes_is_known() {
    let owner = node(100, &Arc::default(), false).await;
    let (_folder, _, endpoint) = open(1).await;
    let router = endpoint.router().accept(STORE, Hoards).spawn();
    let (root, blobs, piece) = in_one_piece(&owner, 1, 3_000_000);
    let peer = owner.network.peer(&endpoint.address().unwrap());
    let keeping = tokio::spawn(async move { peer.keep(root, Some(now() + 1000), blobs).await });
    let most = serve::SHARES[serve::READS].known;
    until(|| reads(&owner) == most && owner.network.shared.offers.taken(piece) > 0).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(reads(&owner), most);
    router.shutdown().await.unwrap();
    endpoint.close().await;
    assert!(matches!(keeping.await.unwrap(), Err(Denied::Gone(_))));
    until(|| reads(&owner) == 0).await;
}

/// Says that it has everything, and gives nothing.
#[derive(Clone, Debug)]
struct Boasts;

impl ProtocolHandler for Boasts {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        let mut waiting = Vec::new();
        while let Ok((mut send, mut receive)) = connection.accept_bi().await {
            let request = receive.read_to_end(wire::MOST_REQUEST).await.unwrap_or_default();
            match wire::Request::from_bytes(&request) {
                Ok(wire::Request::Has(blobs)) => {
                    let _ = send.write_all(&stoa_net::answer(Ok(vec![1; blobs.len()]))).await;
                }
                _ => waiting.push(send),
            }
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_say_that_they_have_a_manifest_and_do_not_give_it_keep_nobody_waiting() {
    let (registry, nodes) = nodes(1).await;
    let (owner, reader) = (node(100, &registry, false).await, node(101, &registry, false).await);
    let (id, _) = kept(&nodes[0], &owner, 100_000).await;
    let mut boasters = Vec::new();
    for number in 10..20 {
        let (folder, _, endpoint) = open(number).await;
        let (router, address) = (endpoint.router().accept(STORE, Boasts).spawn(), endpoint.address().unwrap());
        registry.0.lock().push(Member { address, domain: Domain("boasters".into()) });
        boasters.push((folder, router));
    }
    let asked = Fetch { patience: Duration::from_secs(60), ..quick() };
    let found = timeout(Duration::from_secs(20), reader.network.find(id, asked)).await.unwrap().unwrap();
    assert_eq!(found.manifest, owner.store().manifest(id).unwrap());
}

//! A network in memory: stores on disks, and between them whatever a test wants to happen. Time stands still but for what
//! waits.

use crate::{store::Payer, *};
use futures::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use proptest::prelude::*;
use std::{
    collections::BTreeSet,
    io::Cursor,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::io::{AsyncWriteExt as _, duplex};

/// What a node does when it is asked for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Honest,
    /// One byte is wrong.
    Flipped,
    /// The bytes of another blob that it has.
    Old,
    /// A byte a minute.
    Slow,
    /// Without end.
    Endless,
    /// One byte too many.
    Long,
    /// Half.
    Cut,
    /// Honest for so many answers, then flipped.
    TurnsBad(u64),
    /// It cannot be reached.
    Gone,
}

impl Way {
    /// Changes what an honest node would say, where that is all.
    pub(crate) fn change(self, bytes: &mut Vec<u8>) {
        match self {
            Self::Flipped => *bytes.last_mut().unwrap() ^= 1,
            Self::Long => bytes.push(0),
            Self::Cut => bytes.truncate(bytes.len() / 2),
            Self::Honest | Self::Old | Self::Slow | Self::Endless | Self::TurnsBad(_) | Self::Gone => {}
        }
    }
}

struct Node {
    id: NodeId,
    store: Store,
    way: Mutex<Way>,
    sent: AtomicU64,
    answers: AtomicU64,
    _folder: TempDir,
}

/// A node as another sees it.
struct Link {
    to: Arc<Node>,
    from: Arc<Node>,
}

fn node(number: u8) -> Arc<Node> {
    node_with(number, Limits::default())
}

fn node_with(number: u8, limits: Limits) -> Arc<Node> {
    // In memory where there is such a place: these tests are not about the disk.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let store = Store::open(folder.path(), Limits { margin: 0, ..limits }).unwrap();
    let (way, sent, answers) = (Mutex::new(Way::Honest), AtomicU64::new(0), AtomicU64::new(0));
    Arc::new(Node { id: NodeId([number; 32]), store, way, sent, answers, _folder: folder })
}

fn nodes(count: u8) -> Vec<Arc<Node>> {
    (1..=count).map(node).collect()
}

impl Node {
    fn reach(&self) -> Result<(), Denied> {
        if *self.way.lock() == Way::Gone { Err(Denied::Gone("no route".into())) } else { Ok(()) }
    }

    fn answer(&self, honest: Vec<u8>, old: Vec<u8>) -> Answer {
        let number = self.answers.fetch_add(1, Ordering::Relaxed);
        let mut bytes = honest;
        let way = *self.way.lock();
        match way {
            Way::TurnsBad(after) if number >= after => bytes[0] ^= 1,
            Way::Old => bytes = old,
            way => way.change(&mut bytes),
        }
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if way != Way::Slow && way != Way::Endless {
            return Box::new(Cursor::new(bytes));
        }
        let (mut ours, theirs) = duplex(1 << 16);
        tokio::spawn(async move {
            if way == Way::Endless {
                while ours.write_all(&[7; 1 << 16]).await.is_ok() {}
            }
            for byte in bytes {
                tokio::time::sleep(Duration::from_secs(60)).await;
                if ours.write_all(&[byte]).await.is_err() {
                    return;
                }
            }
        });
        Box::new(theirs)
    }
}

impl Peer for Link {
    fn id(&self) -> NodeId {
        self.to.id
    }

    fn manifest(&self, id: ObjectId) -> BoxFuture<'_, Result<Answer, Denied>> {
        async move {
            self.to.reach()?;
            let blob = self.to.store.blob(id.manifest()).map_err(|_| Denied::NotHere)?;
            Ok(self.to.answer(blob.read(0..u64::MAX).unwrap(), b"old".to_vec()))
        }
        .boxed()
    }

    fn get(&self, hash: BlobHash, range: Range<u64>) -> BoxFuture<'_, Result<Answer, Denied>> {
        async move {
            self.to.reach()?;
            let (mut bytes, mut old) = (Vec::new(), Vec::new());
            self.to.store.encode(hash, range.clone(), &mut bytes).map_err(|_| Denied::NotHere)?;
            // The blob of the same length that an earlier version of the object had.
            let earlier = BlobHash::of(b"earlier");
            if self.to.store.encode(earlier, range, &mut old).is_err() {
                old = vec![0; bytes.len()];
            }
            Ok(self.to.answer(bytes, old))
        }
        .boxed()
    }

    fn has(&self, blobs: Vec<BlobHash>) -> BoxFuture<'_, Result<Vec<bool>, Denied>> {
        async move {
            self.to.reach()?;
            Ok(blobs.into_iter().map(|hash| self.to.store.has(hash).unwrap()).collect())
        }
        .boxed()
    }

    fn keep(&self, root: Root, until: Option<u64>, blobs: Vec<(BlobHash, u64)>) -> BoxFuture<'_, Result<(), Denied>> {
        async move {
            self.to.reach()?;
            let refused = |error: Error| Denied::Refused(error.to_string());
            if until.is_some_and(|until| until > LONGEST) {
                return Err(Denied::Refused("it is for too long".into()));
            }
            let payer = Payer { key: Owner(self.from.id.0), stranger: false };
            self.to.store.promise_by(payer, root, until, &blobs).map_err(refused)?;
            for (hash, _) in blobs {
                if let Some(partial) = self.to.store.partial(hash).map_err(refused)? {
                    for range in partial.missing() {
                        let mut bytes = Vec::new();
                        self.from.store.encode(hash, range.clone(), &mut bytes).map_err(refused)?;
                        self.from.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                        partial.accept(range, &bytes).map_err(refused)?;
                    }
                    partial.finish().map_err(refused)?;
                }
            }
            Ok(())
        }
        .boxed()
    }
}

fn holder(piece: usize, from: &Arc<Node>, to: &Arc<Node>) -> Holder {
    Holder { piece, peer: Arc::new(Link { to: to.clone(), from: from.clone() }) }
}

/// Piece i at node i, as `from` sees them.
fn holders(from: &Arc<Node>, nodes: &[Arc<Node>]) -> Vec<Holder> {
    nodes.iter().enumerate().map(|(piece, to)| holder(piece, from, to)).collect()
}

/// Until when a node promises anything at most.
const LONGEST: u64 = 1_000_000;

fn bytes(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

fn quick() -> Fetch {
    Fetch { patience: Duration::from_secs(10), ..Fetch::until(1_000) }
}

fn root(object: ObjectId) -> Root {
    Root { object, owner: Owner([9; 32]) }
}

/// To whom repairs have pieces promised, and until when.
const TERMS: [(Owner, Option<u64>); 1] = [(Owner([9; 32]), Some(900))];

fn content(store: &Store, id: ObjectId) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    store.get(id, &mut out).map(|_| out)
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(test)
}

/// Spreads an object over nodes; the owner keeps nothing.
async fn spread_out(owner: &Arc<Node>, nodes: &[Arc<Node>], k: u8, content: &[u8]) -> ObjectId {
    let code = Code::new(k, nodes.len() as u8);
    let id = owner.store.put(content, Put { code, until: Some(5), ..Put::default() }).unwrap();
    let outcome = spread(&owner.store, root(id), Some(500), &holders(owner, nodes), true).await.unwrap();
    assert_eq!((outcome.kept.len(), outcome.failed), (nodes.len(), vec![]));
    owner.store.collect(6).unwrap();
    assert!(content.is_empty() || self::content(&owner.store, id).is_err());
    id
}

#[test]
fn any_n_minus_k_nodes_may_go_then_repair_then_others() {
    run(async {
        for (k, n, len) in [(4, 10, 3_000_000), (1, 3, 50_000), (16, 24, 9_000_000), (2, 4, 0)] {
            let (owner, nodes, reader) = (node(200), nodes(n), node(201));
            let data = bytes(1, len);
            let id = spread_out(&owner, &nodes, k, &data).await;
            let spare = usize::from(n - k);
            for gone in &nodes[..spare] {
                *gone.way.lock() = Way::Gone;
            }
            fetch(&reader.store, id, &holders(&reader, &nodes), quick()).await.unwrap();
            assert_eq!(content(&reader.store, id).unwrap(), data);
            // One that is left repairs, without the owner and without the content.
            let (me, fresh) = (&nodes[spare], self::nodes(spare as u8));
            let to: Vec<_> = fresh.iter().enumerate().map(|(piece, to)| holder(piece, me, to)).collect();
            let policy = Policy::new(Code::new(k, n).unwrap());
            let terms = (id, &TERMS[..]);
            let mut done = Repaired::default();
            repair(&me.store, terms, &holders(me, &nodes), &to, quick(), &policy, &mut done).await.unwrap();
            assert_eq!((done.kept.len(), done.failed), (spare, vec![]));
            // The others go as well, as many as may.
            let mut all = fresh;
            all.extend_from_slice(&nodes[spare..]);
            for gone in all.iter().rev().take(spare) {
                *gone.way.lock() = Way::Gone;
            }
            let reader = node(202);
            fetch(&reader.store, id, &holders(&reader, &all), quick()).await.unwrap();
            assert_eq!(content(&reader.store, id).unwrap(), data, "{k} of {n}");
            reader.store.release(transit(id)).unwrap();
            assert_eq!(reader.store.status().unwrap().kept, 0);
        }
    });
}

#[test]
fn liars_are_reported_and_what_they_owe_is_fetched_elsewhere() {
    run(async {
        let lies = [Way::Flipped, Way::Old, Way::Endless, Way::Long, Way::Cut, Way::TurnsBad(2)];
        for way in lies.into_iter().chain([Way::Slow, Way::Gone]) {
            let (owner, nodes, reader) = (node(200), nodes(6), node(201));
            let data = bytes(2, 7_000_000);
            let id = spread_out(&owner, &nodes, 2, &data).await;
            nodes[0].store.put(&b"earlier"[..], Put::default()).unwrap();
            let manifest = nodes[1].store.manifest(id).unwrap();
            reader.store.keep_manifest(root(id), None, &commonware_codec::Encode::encode(&manifest)).unwrap();
            *nodes[0].way.lock() = way;
            let fetched = fetch(&reader.store, id, &holders(&reader, &nodes), quick()).await.unwrap();
            assert_eq!(content(&reader.store, id).unwrap(), data, "{way:?}");
            assert_eq!(fetched.reports.len(), 1, "{way:?}: {:?}", fetched.reports);
            let report = &fetched.reports[0];
            assert_eq!((report.node, report.blob), (nodes[0].id, manifest.blobs()[0].0));
            let lie = !matches!(way, Way::Slow | Way::Gone);
            assert_eq!(report.fault.is_lie(), lie, "{report}");
            // What is refused is little, however much is sent.
            assert!(fetched.bytes < 7_000_000 * 5 / 2, "{way:?}: {}", fetched.bytes);
        }
    });
}

#[test]
fn pieces_that_were_promised_with_false_lengths_are_fetched_if_one_who_has_them_shows_how_long_they_are() {
    run(async {
        let (owner, nodes, reader) = (node(200), nodes(3), node(201));
        let data = bytes(2, 700_000);
        let id = spread_out(&owner, &nodes, 2, &data).await;
        let blobs = nodes[0].store.manifest(id).unwrap().blobs();
        let wrong: Vec<_> = blobs.iter().map(|(hash, len)| (*hash, len + 1)).collect();
        reader.store.promise(root(id), Some(500), &wrong).unwrap();
        // Nobody shows it of the first, which is in no other's way.
        *nodes[0].way.lock() = Way::Gone;
        fetch(&reader.store, id, &holders(&reader, &nodes), quick()).await.unwrap();
        assert_eq!(content(&reader.store, id).unwrap(), data);
        assert_eq!((reader.store.has(blobs[0].0).unwrap(), reader.store.status().unwrap().expected), (false, 1));
    });
}

#[test]
fn what_is_here_under_a_pieces_hash_and_has_another_length_is_no_piece_that_came() {
    run(async {
        let (owner, nodes, reader) = (node(200), nodes(3), node(201));
        let data = bytes(2, 700_000);
        let mut manifest = nodes[0].store.manifest(spread_out(&owner, &nodes, 2, &data).await).unwrap();
        let Coding::Spread(_, pieces) = &mut manifest.coding else { panic!("it is in pieces") };
        pieces[0] = BlobHash::of(b"ten bytes?");
        reader.store.put(&b"ten bytes?"[..], Put::default()).unwrap();
        let encoded = commonware_codec::Encode::encode(&manifest);
        reader.store.keep_manifest(root(manifest.id()), None, &encoded).unwrap();
        fetch(&reader.store, manifest.id(), &holders(&reader, &nodes), quick()).await.unwrap();
        assert_eq!(content(&reader.store, manifest.id()).unwrap(), data);
    });
}

#[test]
fn the_manifests_of_known_contents_are_frozen() {
    // Nodes let go of objects whose pieces do not belong together: with another coding, that would be all of them.
    let node = node(1);
    let put = |code, len| node.store.put(&bytes(7, len)[..], Put { code, ..Put::default() }).unwrap().to_string();
    let ids = [(Code::new(4, 10), 100), (Code::new(4, 10), 1 << 20), (Code::new(10, 14), (3 << 20) + 7), (None, 5000)]
        .map(|(code, len)| put(code, len));
    let frozen = [
        "e4632a2930c262f82eb5bf97cc7e0e45e69e1888a18deb53bf784dfe56fcbc70",
        "02e0742a3f05dfd72cacb254d16d6bd31dfc4f7becedcb7e38b1bd3721989a6d",
        "c06193f636e74d31da7d478f7b395375b06cf4290dad67674ec88ad497308455",
        "6b0c99601e414ad82055db717e867b74ea23c85ba461af0519518a9ab6c8afc7",
    ];
    assert_eq!(ids, frozen);
}

#[test]
fn a_manifest_is_believed_by_its_hash_alone() {
    run(async {
        let (owner, nodes, reader) = (node(200), nodes(3), node(201));
        let id = spread_out(&owner, &nodes, 1, b"content").await;
        for (node, way) in nodes.iter().zip([Way::Flipped, Way::Endless, Way::Honest]) {
            *node.way.lock() = way;
        }
        let peers: Vec<_> = holders(&reader, &nodes).into_iter().map(|holder| holder.peer).collect();
        let (manifest, _, reports) = fetch_manifest(id, &peers, quick()).await.unwrap();
        assert_eq!(manifest.id(), id);
        assert!(reports.len() == 2 && reports.iter().all(|report| report.fault.is_lie()), "{reports:?}");
        let error = fetch_manifest(id, &peers[..2], quick()).await.unwrap_err();
        assert!(matches!(&error, Error::NotFetched { reports, .. } if reports.len() == 2), "{error}");
    });
}

#[test]
fn several_who_have_the_same_piece_share_the_work() {
    run(async {
        let owner = node(200);
        let id = owner.store.put(&bytes(3, 9_000_000)[..], Put::default()).unwrap();
        let all = nodes(3);
        let blobs = [(id.manifest(), owner.store.blob(id.manifest()).unwrap().len())];
        let blobs: Vec<_> = blobs.into_iter().chain(owner.store.manifest(id).unwrap().blobs()).collect();
        for to in &all {
            holder(0, &owner, to).peer.keep(root(id), None, blobs.clone()).await.unwrap();
        }
        *all[1].way.lock() = Way::Flipped;
        // Where the others are quick, nothing may be left for one of them.
        for reader in (201..221).map(node) {
            all.iter().for_each(|node| node.answers.store(0, Ordering::Relaxed));
            let holders: Vec<_> = all.iter().map(|to| holder(0, &reader, to)).collect();
            let fetched = fetch(&reader.store, id, &holders, Fetch { lanes: 1, ..quick() }).await.unwrap();
            assert_eq!(content(&reader.store, id).unwrap(), bytes(3, 9_000_000));
            assert!(fetched.reports.len() <= 1);
            if fetched.reports.len() == 1 && all.iter().all(|node| node.answers.load(Ordering::Relaxed) > 0) {
                return;
            }
        }
        panic!("not all of them were ever asked");
    });
}

#[test]
fn a_broken_off_fetch_and_a_broken_off_spread_go_on() {
    run(async {
        let (owner, nodes, reader) = (node(200), nodes(3), node(201));
        let data = bytes(4, 9_000_000);
        let code = Code::new(2, 3);
        let id = owner.store.put(&data[..], Put { code, ..Put::default() }).unwrap();
        *nodes[1].way.lock() = Way::Gone;
        let first = spread(&owner.store, root(id), None, &holders(&owner, &nodes), true).await.unwrap();
        assert_eq!((first.kept.len(), first.failed.len()), (2, 1));
        assert!(first.is_readable(code.unwrap()));
        *nodes[1].way.lock() = Way::Honest;
        let second = spread(&owner.store, root(id), None, &holders(&owner, &nodes), true).await.unwrap();
        assert_eq!(second.kept.len(), 3);
        let piece = owner.store.manifest(id).unwrap().blobs()[0].1;
        assert!(second.bytes < piece + 10_000, "one piece, the others are there");

        // Nobody has enough at first; what came stays.
        *nodes[1].way.lock() = Way::Gone;
        *nodes[2].way.lock() = Way::TurnsBad(3);
        let error = fetch(&reader.store, id, &holders(&reader, &nodes), quick()).await.unwrap_err();
        assert!(matches!(&error, Error::NotFetched { reports, .. } if reports.len() == 2), "{error}");
        *nodes[2].way.lock() = Way::Honest;
        let again = fetch(&reader.store, id, &holders(&reader, &nodes), quick()).await.unwrap();
        assert!(again.bytes < piece * 9 / 10, "{} of {piece}", again.bytes);
        assert_eq!(content(&reader.store, id).unwrap(), data);
    });
}

#[test]
fn what_is_not_sealed_goes_to_strangers_only_if_it_is_public() {
    run(async {
        let (owner, nodes) = (node(200), nodes(3));
        let put = Put { code: Code::new(2, 3), ..Put::default() };
        let id = owner.store.put(&b"secret"[..], put).unwrap();
        let error = spread(&owner.store, root(id), None, &holders(&owner, &nodes), false).await.unwrap_err();
        assert!(matches!(error, Error::NotSealed(_)), "{error}");
        let whole = owner.store.put(&b"secret"[..], Put::default()).unwrap();
        let error = spread(&owner.store, root(whole), None, &holders(&owner, &nodes), true).await.unwrap_err();
        assert!(matches!(error, Error::NotCoded(_)), "{error}");
        assert!(nodes.iter().all(|node| node.store.status().unwrap().blobs == 0));
    });
}

#[test]
fn a_lost_node_of_ten_costs_little_more_than_what_must_move() {
    run(async {
        let (owner, nodes, fresh) = (node(200), nodes(10), node(100));
        let id = spread_out(&owner, &nodes, 4, &bytes(5, 16 << 20)).await;
        *nodes[3].way.lock() = Way::Gone;
        let (me, policy) = (&nodes[7], Policy::new(Code::default()));
        let before: u64 = nodes.iter().map(|node| node.sent.load(Ordering::Relaxed)).sum();
        let terms = (id, &TERMS[..]);
        let to = [holder(3, me, &fresh)];
        let mut done = Repaired::default();
        repair(&me.store, terms, &holders(me, &nodes), &to, quick(), &policy, &mut done).await.unwrap();
        let after: u64 = nodes.iter().map(|node| node.sent.load(Ordering::Relaxed)).sum();
        // Its own piece, three others, and the new one to its node.
        let must = 4 * me.store.manifest(id).unwrap().blobs()[0].1;
        let moved = after - before;
        assert!(moved >= must && moved * 100 <= must * 102, "{moved} of {must}");
        assert!(done.read + done.written <= moved + moved / 100);
        // Nothing but its own piece is left at the one who repaired.
        assert_eq!(me.store.status().unwrap().roots, 1);
        let tight = Policy { traffic: must - 1, ..policy };
        *nodes[4].way.lock() = Way::Gone;
        let to = [holder(4, me, &node(101))];
        let mut moved = Repaired::default();
        let error = repair(&me.store, terms, &holders(me, &nodes), &to, quick(), &tight, &mut moved).await.unwrap_err();
        assert!(matches!(error, Error::TooMuchTraffic { .. }), "{error}");
    });
}

#[test]
fn a_piece_is_made_anew_at_the_charge_of_whoever_makes_it_though_its_owner_may_have_no_more() {
    run(async {
        let (owner, nodes) = (node(200), nodes(4));
        let id = spread_out(&owner, &nodes, 2, &bytes(9, 200_000)).await;
        *nodes[0].way.lock() = Way::Gone;
        let (me, him) = (&nodes[1], TERMS[0].0);
        let fresh = node_with(100, Limits { owner: 150_000, ..Limits::default() });
        fresh.store.put(&bytes(1, 120_000)[..], Put { owner: him, ..Put::default() }).unwrap();
        let used = || fresh.store.status().unwrap().owners;
        let before = used()[&him];
        let (to, policy) = ([holder(0, me, &fresh)], Policy::new(Code::new(2, 4).unwrap()));
        let mut done = Repaired::default();
        repair(&me.store, (id, &TERMS[..]), &holders(me, &nodes), &to, quick(), &policy, &mut done).await.unwrap();
        assert_eq!((done.kept, done.failed), (vec![(0, fresh.id)], vec![]));
        let kept = fresh.store.kept(root(id)).unwrap().unwrap();
        let mine = Owner(me.id.0);
        assert!(kept.charged == mine && used()[&mine] > kept.bytes && used()[&him] == before, "{:?}", used());
        // Who has used up what he may have makes nothing there, in whoever's name; others do.
        let others = &nodes[1..];
        let id = spread_out(&owner, others, 2, &bytes(8, 200_000)).await;
        *others[2].way.lock() = Way::Gone;
        for (me, makes) in [(&others[0], false), (&others[1], true)] {
            let (to, mut done, terms) = ([holder(2, me, &fresh)], Repaired::default(), (id, &TERMS[..]));
            repair(&me.store, terms, &holders(me, others), &to, quick(), &policy, &mut done).await.unwrap();
            assert_eq!((done.kept.len(), done.failed.len()), (usize::from(makes), usize::from(!makes)));
        }
    });
}

#[test]
fn a_piece_is_made_anew_for_another_owner_where_a_node_refuses_the_first() {
    run(async {
        let (owner, nodes) = (node(200), nodes(4));
        let id = spread_out(&owner, &nodes, 2, &bytes(9, 200_000)).await;
        *nodes[0].way.lock() = Way::Gone;
        // Somebody wants the object kept for longer than the node that is to take the piece promises anything.
        let (me, greedy, fresh) = (&nodes[1], Owner([1; 32]), node(100));
        let (to, policy) = ([holder(0, me, &fresh)], Policy::new(Code::new(2, 4).unwrap()));
        let all = [(greedy, Some(LONGEST + 1)), TERMS[0]];
        for (terms, kept) in [(&all[..1], vec![]), (&all[..], vec![(0, fresh.id)])] {
            let mut done = Repaired::default();
            repair(&me.store, (id, terms), &holders(me, &nodes), &to, quick(), &policy, &mut done).await.unwrap();
            assert_eq!(done.failed.len(), 1 - kept.len(), "{:?}", done.failed);
            assert_eq!(done.kept, kept);
        }
        assert_eq!(fresh.store.kept(root(id)).unwrap().unwrap().until, Some(900));
        assert_eq!(fresh.store.kept(Root { object: id, owner: greedy }).unwrap(), None);
    });
}

#[test]
fn who_says_that_he_has_a_piece_is_asked_for_a_part_of_it() {
    run(async {
        let (owner, nodes) = (node(200), nodes(3));
        let id = spread_out(&owner, &nodes, 2, &bytes(6, 1_000_000)).await;
        let piece = nodes[0].store.manifest(id).unwrap().blobs()[0];
        let peer = holder(0, &owner, &nodes[0]).peer;
        for drawn in [0, 7, u64::MAX] {
            check(&*peer, piece, drawn, Duration::from_secs(5)).await.unwrap();
        }
        for way in [Way::Flipped, Way::Cut, Way::Long, Way::Endless, Way::Slow, Way::Gone] {
            *nodes[0].way.lock() = way;
            let report = check(&*peer, piece, 3, Duration::from_secs(5)).await.unwrap_err();
            assert_eq!(report.node, nodes[0].id, "{report}");
        }
        *nodes[0].way.lock() = Way::Honest;
        nodes[0].store.release(root(id)).unwrap();
        let report = check(&*peer, piece, 3, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(report.fault, Fault::Failed(Denied::NotHere));
    });
}

fn manifest(k: u8, n: u8) -> Manifest {
    let pieces = (0..n).map(|piece| BlobHash([piece; 32])).collect();
    let coding = Coding::Spread(Code::new(k, n).unwrap(), pieces);
    Manifest { kind: Kind::File, sealing: Sealing::Plain, size: 1 << 20, content: BlobHash([0; 32]), coding }
}

fn seen(piece: usize, at: u64) -> Seen {
    Seen { piece, node: NodeId([piece as u8 + 1; 32]), domain: Domain(String::new()), at, caught: false }
}

/// Everybody who has one of these pieces, and what he is to do.
fn plans(manifest: &Manifest, all: &[Seen], have: &BTreeSet<usize>, policy: &Policy, now: u64) -> Vec<(NodeId, Plan)> {
    let those = all.iter().filter(|seen| have.contains(&seen.piece));
    those.map(|me| (me.node, plan(ObjectId([3; 32]), manifest, all, me.node, policy, now))).collect()
}

proptest! {
    #[test]
    fn exactly_one_repairs_in_a_round_and_nobody_too_early(
        (k, n) in (1..12_u8, 0..12_u8).prop_map(|(k, spare)| (k, k + spare)),
        ats in prop::collection::vec(prop_oneof![Just(2_000_u64), 0..2_000_u64], 24),
        caught in prop::collection::vec(prop::bool::weighted(0.2), 24),
        floor in 0..12_usize,
        given_up in 1_000..3_000_u64,
    ) {
        let (manifest, now) = (manifest(k, n), 2_000);
        let policy = Policy { grace: 1_000, given_up, floor, turn: 100, traffic: u64::MAX };
        let all: Vec<_> = (0..usize::from(n)).map(|piece| Seen { caught: caught[piece], ..seen(piece, ats[piece]) }).collect();
        let left: BTreeSet<_> = all.iter().filter(|seen| !seen.caught && now - seen.at < 1_000).map(|seen| seen.piece).collect();
        let (have, spare) = (left.len(), usize::from(n - k));
        let awake = all.iter().filter(|seen| left.contains(&seen.piece) && now - seen.at < 100).count();
        let gone = (0..usize::from(n)).filter(|piece| !left.contains(piece)).any(|piece| now - ats[piece] >= given_up);
        let enough = have == usize::from(n) || have >= usize::from(k) + floor.min(spare) && !gone;
        let (mut repairs, mut waits) = (0, 0);
        for (_, plan) in plans(&manifest, &all, &left, &policy, now) {
            match plan {
                Plan::Fine { left } => prop_assert!(enough && left == have),
                Plan::Lost { left, needed } => prop_assert!(left == have && needed == usize::from(k) && left < needed),
                Plan::Wait { until } => {
                    prop_assert_eq!(until, 2_100, "until the next round");
                    waits += 1;
                }
                Plan::Repair { pieces, reads, writes } => {
                    let missing: Vec<_> = (0..usize::from(n)).filter(|piece| !left.contains(piece)).collect();
                    prop_assert_eq!(&pieces, &missing);
                    let piece = manifest.blobs()[0].1;
                    prop_assert_eq!((reads, writes), (u64::from(k - 1) * piece, pieces.len() as u64 * piece));
                    repairs += 1;
                }
            }
        }
        if enough || have < usize::from(k) {
            prop_assert_eq!((repairs, waits), (0, 0));
            return Ok(());
        }
        // One of those who were heard of lately, and everybody draws the same.
        prop_assert_eq!((repairs, waits), (awake.min(1), have - awake.min(1)));
        // Whoever looks late in a round would still be at it in the next.
        let late: Vec<_> = all.iter().map(|seen| Seen {
            at: if left.contains(&seen.piece) { 2_070 } else { seen.at }, ..seen.clone()
        }).collect();
        let waits = plans(&manifest, &late, &left, &policy, 2_070).iter().all(|(_, plan)| *plan == Plan::Wait { until: 2_100 });
        prop_assert!(waits);
    }
}

#[test]
fn who_does_not_repair_in_his_round_is_followed_by_the_others() {
    let (manifest, policy) = (manifest(2, 6), Policy { turn: 10, ..Policy::new(Code::new(2, 6).unwrap()) });
    let left = BTreeSet::from([0, 1, 2]);
    let mut drawn = BTreeSet::new();
    for now in (1_000_000..1_000_400).step_by(10) {
        let all: Vec<_> = (0..6).map(|piece| seen(piece, if left.contains(&piece) { now } else { 0 })).collect();
        let plans = plans(&manifest, &all, &left, &policy, now);
        let repair = plans.iter().filter(|(_, plan)| matches!(plan, Plan::Repair { .. }));
        drawn.extend(repair.map(|(node, _)| *node));
    }
    assert_eq!(drawn.len(), 3);
}

#[test]
fn what_a_repair_moved_before_it_failed_is_known() {
    run(async {
        let (owner, nodes) = (node(200), nodes(6));
        let id = spread_out(&owner, &nodes, 3, &bytes(7, 3_000_000)).await;
        // Three are left, and one of them gives nothing of use.
        for (node, way) in nodes.iter().zip([Way::Gone, Way::Gone, Way::Gone, Way::Honest, Way::Honest, Way::Flipped]) {
            *node.way.lock() = way;
        }
        let (me, fresh, policy) = (&nodes[3], node(100), Policy::new(Code::new(3, 6).unwrap()));
        let (terms, to) = ((id, &TERMS[..]), [holder(0, me, &fresh)]);
        let mut done = Repaired::default();
        let others = holders(me, &nodes);
        let repairing = repair(&me.store, terms, &others, &to, quick(), &policy, &mut done);
        let error = repairing.await.unwrap_err();
        assert!(matches!(error, Error::NotFetched { .. }), "{error}");
        let piece = me.store.manifest(id).unwrap().blobs()[0].1;
        assert!(done.read > 2 * piece && done.read < 2 * piece + piece / 10, "{} of {piece}", done.read);
        assert!(done.reports.iter().any(|report| report.node == nodes[5].id && report.fault.is_lie()));
        assert_eq!((done.written, done.kept), (0, vec![]));
    });
}

#[test]
fn a_piece_that_nobody_shows_for_a_week_is_made_anew_though_enough_are_left() {
    let (manifest, policy) = (manifest(4, 10), Policy::new(Code::default()));
    let (hour, now) = (3600, 10_000 * 3600);
    let (week, piece) = (7 * 24 * hour, manifest.blobs()[0].1);
    // What those come to who have pieces, and have not to wait, where the first pieces were last shown so long ago.
    let does = |ago: &[u64], caught: bool| -> Vec<Plan> {
        let last = |piece: usize| ago.get(piece).map_or(now, |ago| now - ago);
        let mut all: Vec<_> = (0..10).map(|piece| seen(piece, last(piece))).collect();
        all.iter_mut().take(ago.len()).for_each(|seen| seen.caught = caught);
        let have: BTreeSet<_> = (0..10).filter(|piece| last(*piece) == now).collect();
        let plans = plans(&manifest, &all, &have, &policy, now).into_iter().map(|(_, plan)| plan);
        plans.filter(|plan| !matches!(plan, Plan::Wait { .. })).collect()
    };
    let made = |pieces: Vec<usize>| {
        let writes = pieces.len() as u64 * piece;
        vec![Plan::Repair { pieces, reads: 3 * piece, writes }]
    };
    for caught in [false, true] {
        assert_eq!(does(&[week - 1], caught), vec![Plan::Fine { left: 9 }; 9]);
        assert_eq!(does(&[week], caught), made(vec![0]), "one of the nine who have others makes it");
        // What else counts as lost is made along with it, and who is silent for an hour is not replaced.
        assert_eq!(does(&[week, 13 * hour], caught), made(vec![0, 1]));
    }
    assert_eq!(does(&[week, hour], false), made(vec![0]));
    // Somebody else has shown the piece since.
    let mut all: Vec<_> = (0..10).map(|piece| seen(piece, if piece == 0 { now - 2 * week } else { now })).collect();
    all.push(Seen { node: NodeId([99; 32]), ..seen(0, now - 13 * hour) });
    assert_eq!(plan(ObjectId([3; 32]), &manifest, &all, all[1].node, &policy, now), Plan::Fine { left: 9 });
}

#[test]
fn one_of_ten_that_never_comes_back_is_replaced_after_a_week_and_nothing_moves_before() {
    run(async {
        let (owner, nodes, fresh) = (node(200), nodes(10), node(100));
        let id = spread_out(&owner, &nodes, 4, &bytes(8, 3_000_000)).await;
        let (manifest, policy) = (nodes[0].store.manifest(id).unwrap(), Policy::new(Code::default()));
        let blobs = manifest.blobs();
        *nodes[3].way.lock() = Way::Gone;
        let (begun, hour, week) = (1_000_000 * policy.turn, 3600, 7 * 24 * 3600);
        let sent = || nodes.iter().map(|node| node.sent.load(Ordering::Relaxed)).sum::<u64>();
        let (before, mut repairs) = (sent(), 0);
        let mut all: Vec<_> = (0..10).map(|piece| seen(piece, begun)).collect();
        for now in (begun..=begun + week).step_by(hour) {
            for (holder, seen) in holders(&owner, &nodes).iter().zip(&mut all) {
                if holder.peer.has(vec![blobs[seen.piece].0]).await == Ok(vec![true]) {
                    seen.at = now;
                }
            }
            for me in nodes.iter().filter(|node| node.id != nodes[3].id) {
                match plan(id, &manifest, &all, me.id, &policy, now) {
                    Plan::Fine { .. } => assert!(now < begun + week),
                    Plan::Repair { pieces, .. } => {
                        assert_eq!((now, pieces, sent()), (begun + week, vec![3], before));
                        let (terms, to) = ((id, &TERMS[..]), [holder(3, me, &fresh)]);
                        let mut done = Repaired::default();
                        repair(&me.store, terms, &holders(me, &nodes), &to, quick(), &policy, &mut done).await.unwrap();
                        assert_eq!((done.kept, done.failed), (vec![(3, fresh.id)], vec![]));
                        repairs += 1;
                    }
                    plan => assert_eq!(plan, Plan::Wait { until: begun + week + policy.turn }),
                }
            }
        }
        assert_eq!(repairs, 1);
        for (piece, (hash, _)) in blobs.iter().enumerate() {
            let there = if piece == 3 { &fresh } else { &nodes[piece] };
            assert!(there.store.has(*hash).unwrap(), "piece {piece}");
        }
    });
}

#[test]
fn a_node_that_is_silent_for_a_while_is_not_replaced() {
    let (manifest, id, policy) = (manifest(4, 10), ObjectId([3; 32]), Policy::new(Code::default()));
    let hour = 3600;
    let mut all: Vec<_> = (0..10).map(|piece| seen(piece, 100 * hour)).collect();
    all.iter_mut().take(6).for_each(|seen| seen.at = 90 * hour);
    let me = all[9].node;
    assert_eq!(plan(id, &manifest, &all, me, &policy, 100 * hour), Plan::Fine { left: 10 });
    assert!(!matches!(plan(id, &manifest, &all, me, &policy, 102 * hour + 1), Plan::Fine { .. }));
    all.iter_mut().take(3).for_each(|seen| seen.at = 100 * hour);
    assert_eq!(plan(id, &manifest, &all, me, &policy, 103 * hour), Plan::Fine { left: 7 }, "three above k are enough");
}

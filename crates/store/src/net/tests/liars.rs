//! Nodes that say that they keep what they do not, and owners who have others keep what nobody can make anew.

use super::*;
use crate::Coding;
use commonware_codec::Encode as _;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

/// Longer than it takes until a piece counts as lost.
const LONG: Duration = Duration::from_secs(40);

/// Longer than a node is silent that counts as there, or is left out that did not take a piece.
const SILENT: Duration = Duration::from_millis(2100);

/// Offers more room than all others together, and says that it keeps whatever it is asked to, or hangs up; it takes nothing. It may say
/// that it has everything.
#[derive(Clone, Debug)]
struct Shirker {
    hangs_up: bool,
    has_all: bool,
    asked: Arc<AtomicUsize>,
}

impl ProtocolHandler for Shirker {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        while let Ok((mut send, mut receive)) = connection.accept_bi().await {
            let Ok(request) = receive.read_to_end(wire::MOST_REQUEST).await else { continue };
            let answer = match wire::Request::from_bytes(&request) {
                Ok(wire::Request::Has(blobs)) => vec![u8::from(self.has_all); blobs.len()],
                Ok(wire::Request::Room) => (1_u64 << 40).to_be_bytes().to_vec(),
                Ok(wire::Request::Keep { .. }) => {
                    self.asked.fetch_add(1, Ordering::Relaxed);
                    if self.hangs_up {
                        connection.close(1_u32.into(), b"");
                        continue;
                    }
                    Vec::new()
                }
                _ => {
                    let _ = send.reset(serve::NOT_HERE);
                    continue;
                }
            };
            let _ = send.write_all(&stoa_net::answer(Ok(answer))).await;
            let _ = send.finish();
        }
        Ok(())
    }
}

/// A node that shirks, while it is there.
struct Shirking {
    id: NodeId,
    asked: Arc<AtomicUsize>,
    _endpoint: Endpoint,
    _router: Router,
}

impl Shirking {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn shirker(number: u8, registry: &Arc<Registry>, hangs_up: bool) -> Shirking {
    shirking(number, registry, hangs_up, false).await
}

async fn shirking(number: u8, registry: &Arc<Registry>, hangs_up: bool, has_all: bool) -> Shirking {
    let key = PrivateKey::decode(Copying(&[number; 32])).unwrap();
    let endpoint = Endpoint::bind(&key, ([127, 0, 0, 1], 0).into()).await.unwrap();
    let asked = Arc::<AtomicUsize>::default();
    let router = endpoint.router().accept(STORE, Shirker { hangs_up, has_all, asked: asked.clone() }).spawn();
    let address = endpoint.address().unwrap();
    let id = address.node();
    registry.0.lock().push(Member { address, domain: Domain(format!("operator {number}")) });
    Shirking { id, asked, _endpoint: endpoint, _router: router }
}

/// Gives a node some of the pieces of an object, and its manifest.
async fn hand(owner: &Node, keeper: &Node, id: ObjectId, pieces: &[usize]) -> Vec<(BlobHash, u64)> {
    let blobs = owner.store().manifest(id).unwrap().blobs();
    let mut all = vec![(id.manifest(), owner.store().blob(id.manifest()).unwrap().len())];
    all.extend(pieces.iter().map(|piece| blobs[*piece]));
    let (root, until) = (Root { object: id, owner: owner.owner() }, owner.terms().until);
    owner.network.peer(&keeper.address).keep(root, Some(until), all.clone()).await.unwrap();
    all
}

/// Gives one node two of the four pieces of an object, any two of which should suffice. Nobody has the others.
async fn hand_two(owner: &Node, keeper: &Node, id: ObjectId) -> [(BlobHash, u64); 3] {
    hand(owner, keeper, id, &[0, 1]).await.try_into().unwrap()
}

async fn two_of_four(owner: &Node, keeper: &Node, seed: u8) -> ObjectId {
    let put = Put { code: Code::new(2, 4), seal: &Marked, ..Put::default() };
    let id = owner.store().put(&bytes(seed, 100_000)[..], put).unwrap();
    hand_two(owner, keeper, id).await;
    id
}

/// Looks until something was repaired.
async fn repaired(watch: &Watch) -> Looked {
    let until = Instant::now() + LONG;
    loop {
        let looked = watch.look().await.unwrap();
        if !looked.repaired.is_empty() {
            return looked;
        }
        assert!(Instant::now() < until, "{looked:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_that_he_keeps_a_piece_and_does_not_show_it_or_drops_it_is_not_given_another() {
    let (registry, nodes) = nodes(1).await;
    let (owner, keeper) = (node(100, &registry, false).await, &nodes[0]);
    let id = two_of_four(&owner, keeper, 1).await;
    let liars = [shirker(20, &registry, false).await, shirker(21, &registry, false).await];
    let asked = || liars.iter().map(Shirking::asked).sum::<usize>();
    let watch = super::watch::of(keeper, 1);
    let done = repaired(&watch).await.repaired.pop().unwrap().1;
    assert_eq!((done.kept, asked()), (vec![], 2));
    assert!(
        done.failed.len() == 2 && done.failed.iter().all(|(_, _, why)| *why == Denied::NotHere),
        "{:?}",
        done.failed
    );
    // Who takes one has it, though the liars say that they have more room.
    let fresh = node(11, &registry, true).await;
    let done = repaired(&watch).await.repaired.pop().unwrap().1;
    assert_eq!((done.kept.len(), &done.failed[..], asked()), (1, &[][..], 2));
    let (piece, taker) = done.kept[0];
    let (hash, _) = keeper.store().manifest(id).unwrap().blobs()[piece];
    assert!(taker == fresh.address.node() && fresh.store().has(hash).unwrap());
    // It lets go of it, and says that it has room.
    assert!(fresh.store().release(Root { object: id, owner: owner.owner() }).unwrap());
    for _ in 0..10 {
        let looked = watch.look().await.unwrap();
        assert_eq!((looked.repaired, looked.failed.len(), asked()), (vec![], 1, 2));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(!fresh.store().has(hash).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_when_he_is_to_keep_a_piece_is_asked_once_in_a_look() {
    let (registry, nodes) = nodes(1).await;
    let (owner, keeper) = (node(100, &registry, false).await, &nodes[0]);
    for seed in 0..2 {
        two_of_four(&owner, keeper, seed).await;
    }
    let rude = shirker(20, &registry, true).await;
    let watch = super::watch::of(keeper, 1);
    watch.look().await.unwrap();
    for looks in 1..=2 {
        // What is not there is lost by then, and who hung up is not left out any more.
        tokio::time::sleep(SILENT).await;
        let looked = watch.look().await.unwrap();
        assert_eq!((looked.repaired.len(), looked.failed.len(), rude.asked()), (1, 1, looks), "{looked:?}");
        let failed = &looked.repaired[0].1.failed;
        assert!(matches!(&failed[..], [(_, node, Denied::Gone(_))] if *node == rude.id), "{failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_told_who_says_that_he_keeps_a_piece_and_does_not_show_it() {
    let (registry, _nodes) = nodes(2).await;
    let owner = node(100, &registry, false).await;
    let liar = shirker(20, &registry, false).await;
    let put = Put { code: Code::new(2, 3), seal: &Marked, ..Put::default() };
    let id = owner.store().put(&bytes(1, 100_000)[..], put).unwrap();
    let outcome = owner.network.spread(id, &[0, 1, 2], owner.terms()).await.unwrap();
    assert_eq!((outcome.kept.len(), outcome.missing.len(), liar.asked()), (2, 1, 1));
    assert!(matches!(&outcome.failed[..], [(_, node, Denied::NotHere)] if *node == liar.id), "{:?}", outcome.failed);
}

/// An object of four pieces that have nothing to do with each other.
fn unrelated(owner: &Node, seed: u8) -> ObjectId {
    let pieces: Vec<_> = (0..4).map(|piece| bytes(seed + piece, 1000)).collect();
    for piece in &pieces {
        owner.store().put(&piece[..], Put::default()).unwrap();
    }
    let hashes = pieces.iter().map(|piece| BlobHash::of(piece)).collect();
    let (content, sealing) = (BlobHash([1; 32]), Sealing::Sealed(b"marked".to_vec()));
    let coding = Coding::Spread(Code::new(2, 4).unwrap(), hashes);
    let manifest = Manifest { kind: Kind::File, sealing, size: 2000, content, coding };
    let root = Root { object: manifest.id(), owner: Owner::LOCAL };
    owner.store().keep_manifest(root, None, &manifest.encode()).unwrap();
    root.object
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_pieces_do_not_belong_together_is_let_go_of_but_for_the_nodes_own_sake() {
    let (registry, nodes) = nodes(2).await;
    let (owner, keeper) = (node(100, &registry, false).await, &nodes[0]);
    let [thrown, wanted] = [10, 20].map(|seed| unrelated(&owner, seed));
    let (gone, stays) = (hand_two(&owner, keeper, thrown).await, hand_two(&owner, keeper, wanted).await);
    let honest = two_of_four(&owner, keeper, 30).await;
    // One of them the node wants for itself as well.
    let own = Root { object: wanted, owner: Owner::LOCAL };
    keeper.store().promise(own, None, &stays).unwrap();

    let watch = super::watch::of(keeper, 1);
    watch.look().await.unwrap();
    tokio::time::sleep(SILENT).await;
    let looked = watch.look().await.unwrap();
    assert_eq!(BTreeSet::from_iter(looked.let_go), BTreeSet::from([thrown, wanted]));
    assert_eq!((looked.objects, looked.repaired.len(), looked.failed), (3, 1, vec![]));
    let done = &looked.repaired[0];
    assert_eq!((done.0, done.1.kept.len()), (honest, 1));
    let has = |blobs: [(BlobHash, u64); 3]| blobs.map(|(hash, _)| keeper.store().has(hash).unwrap());
    assert_eq!((has(gone), has(stays)), ([false; 3], [true; 3]));
    let roots: BTreeSet<_> = keeper.store().roots().map(|root| root.unwrap().0).collect();
    assert_eq!(roots, BTreeSet::from([own, Root { object: honest, owner: owner.owner() }]));
    assert_eq!(watch.look().await.unwrap().objects, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_of_an_object_that_is_let_go_of_goes_with_it() {
    let (registry, nodes) = nodes(3).await;
    let owner = node(100, &registry, false).await;
    let id = unrelated(&owner, 10);
    let (keepers, until) = (&nodes[..2], Instant::now() + LONG);
    let mut watches = Vec::new();
    for (piece, keeper) in keepers.iter().enumerate() {
        hand(&owner, keeper, id, &[piece]).await;
        watches.push(super::watch::of(keeper, 1));
    }
    loop {
        assert!(Instant::now() < until, "nobody repairs");
        for (watch, keeper) in watches.iter().zip(keepers) {
            let looked = watch.look().await.unwrap();
            if looked.let_go == [id] {
                assert!(looked.read >= 1000, "{looked:?}");
                let status = keeper.store().status().unwrap();
                assert_eq!((status.roots, status.blobs, status.expected), (0, 0, 0));
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_can_be_read_is_not_let_go_of_for_the_sake_of_a_piece_whose_hash_is_wrong() {
    let (registry, nodes) = nodes(3).await;
    let (owner, keeper) = (node(100, &registry, false).await, &nodes[0]);
    let data = bytes(1, 100_000);
    let put = Put { code: Code::new(2, 4), seal: &Marked, ..Put::default() };
    let mut manifest = owner.store().manifest(owner.store().put(&data[..], put).unwrap()).unwrap();
    let Coding::Spread(_, pieces) = &mut manifest.coding else { panic!("it is in pieces") };
    pieces[3] = BlobHash([7; 32]);
    let id = manifest.id();
    owner.store().keep_manifest(Root { object: id, owner: Owner::LOCAL }, None, &manifest.encode()).unwrap();
    hand_two(&owner, keeper, id).await;

    let watch = super::watch::of(keeper, 1);
    let looked = repaired(&watch).await;
    let done = &looked.repaired[0].1;
    assert_eq!((&looked.let_go[..], &looked.failed[..], &done.wrong[..]), (&[][..], &[][..], &[3][..]));
    assert!(matches!(done.kept[..], [(2, _)]) && done.failed.is_empty(), "{done:?}");
    let roots: Vec<_> = keeper.store().roots().map(|root| root.unwrap().0).collect();
    assert_eq!(roots, [Root { object: id, owner: owner.owner() }]);
    assert_eq!(content(keeper, id), data);
    // That it is missing is no reason to try again.
    tokio::time::sleep(SILENT).await;
    for _ in 0..5 {
        let looked = watch.look().await.unwrap();
        assert_eq!((looked.repaired, looked.failed, looked.lost, looked.let_go), (vec![], vec![], vec![], vec![]));
        assert_eq!((looked.read, looked.written, looked.again), (0, 0, None));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_that_he_keeps_longer_what_he_cannot_show_does_not_count_and_is_asked_once() {
    let (registry, nodes) = nodes(1).await;
    let (owner, keeper) = (node(100, &registry, false).await, &nodes[0]);
    let id = two_of_four(&owner, keeper, 1).await;
    let liar = shirking(20, &registry, false, true).await;
    let (_, outcome) = owner.network.extend(id, owner.terms(), quick()).await.unwrap();
    let honest = keeper.address.node();
    assert_eq!((outcome.kept, outcome.missing), (vec![(0, honest), (1, honest)], vec![2, 3]));
    assert_eq!((outcome.failed, liar.asked()), (vec![(0, liar.id, Denied::NotHere)], 1));
}

//! Several who watch over the same objects.

use super::*;
use futures::future::join_all;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

/// Longer than it takes until each has had its turn.
const LONG: Duration = Duration::from_secs(40);

/// What a node watches with: silence is a second, a round has so many.
pub(super) fn of(node: &Node, turn: u64) -> Watch {
    let mut watch = Watch::new(node.network.clone(), node.address.node(), Some(1));
    watch.least_turn = turn;
    watch
}

/// Objects of so many bytes on six nodes, of which the first three are gone then, as is the owner.
async fn half_gone(objects: u8, len: usize) -> (Arc<Registry>, Vec<Node>, Vec<ObjectId>) {
    let (registry, mut nodes) = nodes(6).await;
    let owner = node(100, &registry, false).await;
    let mut ids = Vec::new();
    for seed in 0..objects {
        ids.push(spread_out(&owner, &bytes(seed, len)).await);
    }
    owner.kill().await;
    registry.0.lock().drain(..3);
    for gone in nodes.drain(..3) {
        gone.kill().await;
    }
    (registry, nodes, ids)
}

async fn three_more(registry: &Arc<Registry>) -> [Node; 3] {
    [node(10, registry, true).await, node(11, registry, true).await, node(12, registry, true).await]
}

fn made(repaired: &[(ObjectId, crate::Repaired)]) -> usize {
    repaired.iter().map(|(_, repaired)| repaired.kept.len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_all_who_see_at_once_that_there_is_room_for_pieces_again_one_makes_them() {
    let (registry, nodes, ids) = half_gone(1, 3_000_000).await;
    let watches: Vec<_> = nodes.iter().map(|node| of(node, 10)).collect();
    // Nobody has room for them for so long that everybody would have had his turn.
    for _ in 0..2 {
        for looked in join_all(watches.iter().map(Watch::look)).await {
            assert_eq!(looked.unwrap().repaired, vec![]);
        }
        tokio::time::sleep(Duration::from_millis(2100)).await;
    }
    let fresh = three_more(&registry).await;
    let (mut repaired, until) = (Vec::new(), Instant::now() + LONG);
    while repaired.is_empty() {
        assert!(Instant::now() < until, "nobody repairs");
        for looked in join_all(watches.iter().map(Watch::look)).await {
            repaired.extend(looked.unwrap().repaired);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((repaired.len(), made(&repaired)), (1, 3), "{repaired:?}");
    // Those who waited see that nothing is left to do.
    for looked in join_all(watches.iter().map(Watch::look)).await {
        let looked = looked.unwrap();
        assert_eq!((looked.repaired, looked.failed, looked.again), (vec![], vec![], None));
    }
    for (hash, _) in nodes[0].store().manifest(ids[0]).unwrap().blobs() {
        let holders = nodes.iter().chain(&fresh).filter(|node| node.store().has(hash).unwrap());
        assert_eq!(holders.count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_moves_no_more_than_it_may_but_one_object_that_is_larger_is_repaired_alone() {
    let (registry, nodes, ids) = half_gone(12, 300_000).await;
    let _fresh = three_more(&registry).await;
    let mut watches: Vec<_> = nodes.iter().map(|node| of(node, 1)).collect();
    let mut repaired = Vec::new();
    let mut postponed = 0;
    let until = Instant::now() + LONG;
    // Each is made of two pieces that are read and three that are handed over, a hundred thousand bytes each: at first all of them are
    // larger than the bound, then one of them fits, and two do not.
    while repaired.len() < ids.len() {
        assert!(Instant::now() < until, "{} of {}", repaired.len(), ids.len());
        let most = if repaired.len() < 3 { 1 } else { 700_000 };
        for watch in &mut watches {
            watch.traffic = most;
            let looked = watch.look().await.unwrap();
            assert_eq!((looked.failed, looked.lost), (vec![], vec![]));
            assert!(looked.repaired.len() < 2, "{} bytes", looked.read + looked.written);
            postponed += looked.postponed;
            repaired.extend(looked.repaired);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(made(&repaired), 3 * ids.len());
    assert!(postponed > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_takes_too_long_ends_and_the_next_goes_on_behind_it() {
    let (registry, nodes, ids) = half_gone(4, 30_000).await;
    let _fresh = three_more(&registry).await;
    let mut watches: Vec<_> = nodes.iter().map(|node| of(node, 1)).collect();
    watches.iter_mut().for_each(|watch| watch.longest = Duration::ZERO);
    let (mut repaired, until) = (BTreeSet::new(), Instant::now() + LONG);
    while repaired.len() < ids.len() {
        assert!(Instant::now() < until, "{} of {}", repaired.len(), ids.len());
        for watch in &watches {
            let looked = watch.look().await.unwrap();
            assert_eq!((looked.objects, looked.failed), (1, vec![]));
            repaired.extend(looked.repaired.into_iter().map(|(id, _)| id));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_started_again_and_again_counts_silence_from_its_beginning() {
    let (registry, nodes, ids) = half_gone(1, 300_000).await;
    let _fresh = three_more(&registry).await;
    let (mut repaired, until) = (Vec::new(), Instant::now() + LONG);
    for node in &nodes {
        assert_eq!(of(node, 1).look().await.unwrap().repaired, vec![], "they are silent for the first time");
    }
    while made(&repaired) < 3 {
        assert!(Instant::now() < until, "nobody repairs {ids:?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
        for node in &nodes {
            repaired.extend(of(node, 1).look().await.unwrap().repaired);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_ten_that_is_gone_for_good_is_replaced_though_nine_are_left() {
    let (registry, nodes) = nodes(10).await;
    let owner = node(100, &registry, false).await;
    let put = Put { code: Code::new(4, 10), seal: &Marked, ..Put::default() };
    let id = owner.store().put(&bytes(1, 1_000_000)[..], put).unwrap();
    let all: Vec<_> = (0..10).collect();
    let spread = owner.network.spread(id, &all, owner.terms()).await.unwrap();
    let kept: BTreeMap<_, _> = spread.kept.into_iter().collect();
    assert_eq!(kept.len(), 10);
    owner.kill().await;
    let holder = |piece: usize| nodes.iter().find(|node| node.address.node() == kept[&piece]).unwrap();
    let leave = async |piece: usize| {
        registry.0.lock().retain(|member| member.address.node() != kept[&piece]);
        holder(piece).kill().await;
    };
    leave(0).await;
    let fresh = node(11, &registry, true).await;
    let (given_up, begun) = (4, now());
    let watch = |piece: usize| {
        let mut watch = of(holder(piece), 1);
        watch.given_up = Some(given_up);
        watch
    };
    let watches: Vec<_> = (2..10).map(watch).collect();
    let (mut repaired, until) = (Vec::new(), Instant::now() + LONG);
    'repaired: loop {
        assert!(Instant::now() < until, "nobody repairs");
        for watch in &watches {
            let looked = watch.look().await.unwrap();
            repaired.extend(looked.repaired);
            if !repaired.is_empty() {
                assert!(now() >= begun + given_up, "too early");
                break 'repaired;
            }
            assert_eq!((looked.failed, looked.read, looked.written), (vec![], 0, 0));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((repaired.len(), made(&repaired)), (1, 1), "{repaired:?}");
    for (piece, (hash, _)) in fresh.store().manifest(id).unwrap().blobs().into_iter().enumerate() {
        let there = if piece == 0 { &fresh } else { holder(piece) };
        assert!(there.store().has(hash).unwrap(), "piece {piece}");
    }
    // When another one goes and nobody has room in its place, enough are left, and nothing has failed.
    leave(1).await;
    let until = now() + 3 * given_up;
    while now() < until {
        for watch in &watches {
            let looked = watch.look().await.unwrap();
            assert_eq!((looked.repaired, looked.failed, looked.read), (vec![], vec![], 0));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lies_to_a_repair_is_reported() {
    let (registry, nodes) = nodes(6).await;
    let owner = node(100, &registry, false).await;
    let put = Put { code: Code::new(3, 6), seal: &Marked, ..Put::default() };
    let id = owner.store().put(&bytes(1, 3_000_000)[..], put).unwrap();
    let kept = owner.network.spread(id, &ALL, owner.terms()).await.unwrap().kept;
    owner.kill().await;
    let holder = |piece: usize| nodes.iter().position(|node| node.address.node() == kept[piece].1).unwrap();
    // Two are gone. A third shows a part of the first piece whenever it is asked, and gives something else to whoever wants it all.
    for piece in 0..3 {
        nodes[holder(piece)].kill().await;
    }
    let lies = &nodes[holder(0)];
    let key = PrivateKey::decode(Copying(&[holder(0) as u8 + 1; 32])).unwrap();
    let endpoint = Endpoint::bind(&key, ([127, 0, 0, 1], 0).into()).await.unwrap();
    let liar = Liar { store: lies.store().clone(), manifest: id.manifest(), way: Way::TurnsBad(20_000) };
    let _router = endpoint.router().accept(STORE, liar).spawn();
    for member in registry.0.lock().iter_mut().filter(|member| member.address.node() == kept[0].1) {
        member.address = endpoint.address().unwrap();
    }
    registry.0.lock().retain(|member| ![kept[1].1, kept[2].1].contains(&member.address.node()));
    let _fresh = three_more(&registry).await;

    let watches: Vec<_> = (3..6).map(|piece| of(&nodes[holder(piece)], 1)).collect();
    let until = Instant::now() + LONG;
    let looked = 'repaired: loop {
        assert!(Instant::now() < until, "nobody repairs");
        for watch in &watches {
            let looked = watch.look().await.unwrap();
            if !looked.repaired.is_empty() {
                break 'repaired looked;
            }
            assert_eq!(looked.reports, vec![], "a part is shown as it should be");
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    assert_eq!(made(&looked.repaired), 2);
    assert_eq!(looked.reports.len(), 1, "{:?}", looked.reports);
    let report = &looked.reports[0];
    assert!(report.node == kept[0].1 && report.fault.is_lie(), "{report}");
}

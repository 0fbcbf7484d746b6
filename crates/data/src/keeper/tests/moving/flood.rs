//! Moves with which somebody would fill the disks of keepers, or keep their threads.

use super::*;
use crate::keeper::{
    moving::{MOST_MOVES, ROOM, ROOM_OF_ASSET, ROOM_OF_KEEPER, SURE, WAITS},
    shelf::Brought,
};

/// An asset that a stranger registers, whose keepers are two keys of his own.
struct Own {
    keys: [ed25519::PrivateKey; 2],
    dealt: Dealt,
}

impl Own {
    fn register(circle: &Circle, salt: u8) -> Self {
        let (stranger, salt, keys) = (Address::repeat_byte(0xbb), B256::with_last_byte(salt), [21, 22].map(key));
        let public: Vec<_> = keys.iter().map(|key| key.public_key()).collect();
        let asset = asset_id(CHAIN, stranger, salt);
        let dealt = deal(AssetId(asset), 1, public.clone(), &mut rand::rng()).unwrap();
        let register = registerCall {
            salt,
            object: B256::ZERO,
            sharing: dealt.sharing.digest(),
            needed: 1,
            keepers: public.iter().map(|key| NodeId::from(key).into()).collect(),
            ownerHalf: true,
        };
        assert_eq!(circle.ledger.send(stranger, register), asset);
        Self { keys, dealt }
    }

    /// A move to this node and one of his own, another each time.
    fn moved(&self, to: &Node) -> plan::Move {
        let plan = Plan { needed: 2, keepers: vec![to.key.public_key(), self.keys[0].public_key()] };
        let handover = plan.handover(&self.dealt.sharing).unwrap();
        let dealing = handover.deal(&self.dealt.shares[0], &self.keys[0], &mut rand::rng()).unwrap();
        plan::Move { from: self.dealt.sharing.clone(), plan, dealings: vec![dealing] }
    }
}

/// What a keeper says to whoever has this key and brings it a move.
async fn brought(
    to: &Keeper,
    by: &ed25519::PrivateKey,
    moved: &plan::Move,
    signature: Option<[u8; 65]>,
) -> Outcome<Vec<u8>> {
    let request = Request::Take(Box::new(moved.clone()), signature);
    let answered = to.answer(NodeId::from(&by.public_key()), request.to_bytes()).await;
    stoa_net::read_answer(&answered).map(<[u8]>::to_vec)
}

/// Has a move lie in a keeper's folder that fills all the room there is for moves, and takes none of the disk.
fn fill(folder: &Path) {
    let (shelf, asset) = (Shelf::open(folder).unwrap(), B256::repeat_byte(0xff));
    shelf.put_move(asset, Brought::named(B256::ZERO), &[]).unwrap();
    let file = std::fs::read_dir(folder.join(asset.to_string())).unwrap().next().unwrap().unwrap().path();
    std::fs::File::options().write(true).open(file).unwrap().set_len(ROOM).unwrap();
}

/// A move that somebody has brought, from one sharing to another.
fn waits(by: Option<B256>) -> Brought {
    Brought { to: B256::with_last_byte(1), from: Some(B256::with_last_byte(2)), by, since: 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_never_were_nodes_bring_no_moves_and_who_was_one_or_has_the_owners_word_does() {
    use alloy_signer::SignerSync as _;
    let circle = circle(4, 2, 3).await;
    let (victim, own) = (&circle.nodes[3], Own::register(&circle, 0));
    let bring = async |by: u8, signature| brought(&victim.keeper, &key(by), &own.moved(victim), signature).await;
    for _ in 0..3 {
        assert!(why(bring(21, None).await).contains("never were registered"));
    }
    assert!(why(bring(23, None).await).contains("only a keeper"));
    assert!(why(bring(21, Some([7; 65])).await).contains("not the asset's owner"));
    assert_eq!(victim.keeper.shelf.bytes(|_, _| true), 0);

    join(&circle.ledger, 21, "a.example:1".into());
    bring(21, None).await.unwrap();
    let leave = INodes::leaveCall { key: NodeId::from(&key(21).public_key()).into() };
    circle.ledger.attempt(operator(21), nodes::ADDRESS, leave).unwrap();
    bring(21, None).await.unwrap();

    // An owner says so by which node he likes, and no other has his word.
    circle.leave(2);
    let (moved, _) = circle.taken(circle.plan().await, &[]).await;
    let digest = moved.plan.digest(CHAIN, &moved.from, NodeId::from(&key(23).public_key()));
    let word = Some(circle.owner.sign_hash_sync(&digest).unwrap().as_bytes());
    assert!(why(brought(&victim.keeper, &key(24), &moved, word).await).contains("not the asset's owner"));
    brought(&victim.keeper, &key(23), &moved, word).await.unwrap();
    let by: Vec<_> = victim.keeper.shelf.moves(circle.asset).iter().map(|moved| moved.by).collect();
    assert_eq!(by, [None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_brings_moves_of_assets_of_its_own_fills_its_own_room_and_others_have_theirs() {
    let circle = circle(4, 2, 3).await;
    let (victim, flooder) = (&circle.nodes[3], key(21));
    join(&circle.ledger, 21, "a.example:1".into());
    // Move after move of one asset.
    let own = Own::register(&circle, 0);
    for _ in 0..MOST_MOVES {
        brought(&victim.keeper, &flooder, &own.moved(victim), None).await.unwrap();
    }
    let refused = why(brought(&victim.keeper, &flooder, &own.moved(victim), None).await);
    assert!(refused.contains("of this key that you have brought"), "{refused}");
    assert_eq!(victim.keeper.shelf.moves(own.dealt.sharing.asset().0).len(), MOST_MOVES);
    // Asset after asset, long ones.
    let by = Some(NodeId::from(&flooder.public_key()).into());
    let long = vec![0_u8; ROOM_OF_ASSET as usize];
    for asset in 0..ROOM_OF_KEEPER / ROOM_OF_ASSET {
        victim.keeper.shelf.put_move(B256::with_last_byte(asset as u8), waits(by), &long).unwrap();
    }
    let refused = why(brought(&victim.keeper, &flooder, &Own::register(&circle, 1).moved(victim), None).await);
    assert!(refused.contains("of all keys that you have brought"), "{refused}");

    // It is nowhere: nobody is to try it as the next keeper.
    let left = INodes::leaveCall { key: NodeId::from(&flooder.public_key()).into() };
    circle.ledger.attempt(operator(21), nodes::ADDRESS, left).unwrap();
    circle.leave(2);
    circle.until_moved(&[0, 1]).await;
    assert_eq!(circle.keepers().await, [0, 1, 3]);
    let grant = circle.grant().await;
    assert_eq!(circle.read(grant, &[0, 3]).await, Ok(circle.data_key()));
}

#[tokio::test(flavor = "multi_thread")]
async fn short_moves_have_room_when_others_fill_all_that_there_is() {
    let (circle, folder) = (circle(4, 2, 3).await, tempfile::tempdir().unwrap());
    fill(folder.path());
    let keeper = Keeper::open(folder.path(), key(4), CHAIN, circle.ledger.clone(), None).unwrap();
    let node = Some(B256::with_last_byte(9));
    let room = |by: Option<B256>, bytes: u64| keeper.has_room(circle.asset, &waits(by), bytes);
    for by in [None, node] {
        room(by, SURE).unwrap();
        assert!(why(room(by, SURE + 1)).contains("fill the room"));
    }
    // Of a node that is of all assets, of an owner of each.
    for by in [None, node] {
        keeper.shelf.put_move(B256::with_last_byte(8), waits(by), &[0; 100]).unwrap();
    }
    room(None, SURE).unwrap();
    room(node, SURE - 100).unwrap();
    assert!(why(room(node, SURE - 99)).contains("fill the room"));
    circle.leave(2);
    let (moved, _) = circle.taken(circle.plan().await, &[]).await;
    brought(&keeper, &circle.nodes[0].key, &moved, None).await.unwrap();
    assert_eq!(keeper.shelf.moves(circle.asset).len(), 1);
}

#[tokio::test]
async fn a_long_move_that_the_ledger_has_named_goes_where_there_is_no_room_and_its_share_stays() {
    let scene = scene().await;
    let folder = scene.folder.path().join(scene.keys[0].public_key().to_string());
    fill(&folder);
    let keeper = Keeper::open(&folder, scene.keys[0].clone(), CHAIN, scene.ledger.clone(), None).unwrap();
    let named = Brought::named(scene.dealt.sharing.digest());
    for (bytes, stays) in [(SURE, true), (SURE + 1, false)] {
        keeper.shelf.put_move(scene.asset, named, &vec![0; bytes as usize]).unwrap();
        keeper.sweep(scene.asset).await.unwrap();
        assert_eq!(keeper.shelf.moves(scene.asset) == [named], stays);
    }
    assert!(keeper.share(scene.asset).unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_the_ledger_does_not_name_for_a_day_goes_and_one_that_is_brought_again_waits_as_long_again() {
    let circle = circle(4, 2, 3).await;
    circle.leave(2);
    let (moved, _) = circle.taken(circle.plan().await, &[3]).await;
    let keeper = &circle.nodes[3].keeper;
    let after = async |seconds: u64| {
        circle.ledger.with(move |bench| bench.pass(seconds));
        keeper.sweep(circle.asset).await.unwrap();
        keeper.shelf.moves(circle.asset).len()
    };
    assert_eq!(after(WAITS - 60).await, 1);
    circle.said(3, 1, Request::Take(Box::new(moved), None)).await.unwrap();
    assert_eq!(after(WAITS - 60).await, 1);
    assert_eq!(after(120).await, 0);
    // Nor is there anything left to look at.
    assert!(keeper.shelf.assets().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_waits_when_a_keeper_is_upgraded_waits_on() {
    let circle = circle(4, 2, 3).await;
    circle.leave(2);
    let (moved, _) = circle.taken(circle.plan().await, &[3]).await;
    let (keeper, asset) = (&circle.nodes[3].keeper, circle.asset);
    let waiting = keeper.shelf.moves(asset)[0];
    // As an earlier version named it, beside one that is no use.
    let old = Brought { by: waiting.by, ..Brought::named(waiting.to) };
    keeper.shelf.rename_move(asset, waiting, old).unwrap();
    let other = Brought { by: waiting.by, ..Brought::named(B256::with_last_byte(1)) };
    keeper.shelf.put_move(asset, other, b"it is none").unwrap();
    circle.ledger.with(|bench| bench.pass(60));
    keeper.sweep(asset).await.unwrap();
    let now = Brought { since: circle.now(), ..waiting };
    assert_eq!(keeper.shelf.moves(asset), [now]);
    // It is brought again before anybody looks.
    keeper.shelf.rename_move(asset, now, old).unwrap();
    circle.said(3, 1, Request::Take(Box::new(moved), None)).await.unwrap();
    assert_eq!(keeper.shelf.moves(asset), [now]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_that_has_moved_comes_to_its_place_and_no_other_move_is_read_for_that() {
    let circle = circle(4, 2, 3).await;
    circle.leave(2);
    let (keeper, from) = (&circle.nodes[3].keeper, Some(circle.dealt.sharing.digest()));
    let since = circle.ledger.with(|bench| bench.time());
    for by in [None, Some(B256::with_last_byte(9))] {
        let waits = Brought { from, since, ..waits(by) };
        keeper.shelf.put_move(circle.asset, waits, b"it is none").unwrap();
    }
    keeper.sweep(circle.asset).await.unwrap();
    assert_eq!(keeper.shelf.moves(circle.asset).len(), 2);
    circle.until_moved(&[0, 1]).await;
    keeper.sweep(circle.asset).await.unwrap();
    let (sharing, _) = keeper.share(circle.asset).unwrap().expect("it has moved here");
    assert_eq!(sharing.digest(), circle.asset().await.sharing);
    assert_eq!(keeper.shelf.moves(circle.asset), [Brought::named(sharing.digest())]);
}

/// On one thread.
#[tokio::test]
async fn who_waits_for_a_change_on_the_shelf_keeps_no_thread_from_others() {
    let scene = scene().await;
    let (grant, half) = scene.grant().await;
    let keeper = &scene.keepers[0];
    let changing = keeper.changing.lock().await;
    let waiting = timeout(Duration::from_millis(50), ask(keeper, Request::Half(half)));
    let (waited, other) = futures::join!(waiting, ask(keeper, Request::HalfOf(grant)));
    assert!(waited.is_err() && other.is_ok());
    drop(changing);
    ask(keeper, Request::Half(half)).await.unwrap();
}

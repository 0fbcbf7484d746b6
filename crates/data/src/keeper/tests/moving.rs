//! Shares that move from node to node, over QUIC on loopback.

mod flood;

use super::*;
use crate::{
    abi::IConsent::{
        ConsentInvalidVote, ConsentMoveEnded, ConsentOtherSharing, ConsentTooFewVotes, Vote, keepersOfCall,
        nextGrantCall,
    },
    contract::move_digest,
    keeper::plan::Plan,
    registry::{UNKNOWN, sign_digest},
};
use commonware_codec::Write as _;
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use stoa_contract::nodes::{self, INodes};
use stoa_net::{Answers, Endpoint, PeerAddress, iroh::protocol::Router};
use stoa_privacy::Dealing;

/// So many half hours are the grace for those who are silent.
const GRACE: usize = (silent::GRACE / 1800) as usize;

struct Node {
    key: ed25519::PrivateKey,
    keeper: Arc<Keeper>,
    voice: Arc<Voice>,
    look: Look,
    endpoint: Endpoint,
    router: Router,
}

/// A keeper as the others hear it, or do not.
struct Voice {
    keeper: Arc<Keeper>,
    silent_to: Mutex<Vec<NodeId>>,
}

impl Service for Voice {
    const MOST_REQUEST: usize = wire::MOST_REQUEST;

    fn answer(&self, from: NodeId, request: Vec<u8>) -> BoxFuture<'_, Vec<u8>> {
        if self.silent_to.lock().contains(&from) {
            return async { Vec::new() }.boxed();
        }
        self.keeper.answer(from, request)
    }
}

struct Circle {
    ledger: Arc<Ledger>,
    nodes: Vec<Node>,
    folder: TempDir,
    asset: B256,
    dealt: Dealt,
    half: OwnerHalf,
    owner: PrivateKeySigner,
    wallet: PrivateKeySigner,
    reading: Reading,
}

fn operator(seed: u8) -> Address {
    Address::repeat_byte(seed)
}

fn host(address: &PeerAddress) -> String {
    address.to_string().split_once('@').unwrap().1.to_owned()
}

/// Registers the node of this key for the first time.
fn join(ledger: &Ledger, seed: u8, host: String) {
    let (key, by) = (key(seed), operator(seed));
    let public = B256::from(NodeId::from(&key.public_key()));
    let join = INodes::joinCall {
        key: public,
        signature: sign_digest(&key, nodes::operator_digest(CHAIN, public, by, U256::ZERO)).into(),
        host,
        domain: String::new(),
        capacity: 0,
        roles: nodes::KEEPER,
    };
    ledger.attempt(by, nodes::ADDRESS, join).unwrap();
}

async fn node(seed: u8, ledger: &Arc<Ledger>, folder: &Path) -> Node {
    let key = key(seed);
    let endpoint = Endpoint::bind(&key, ([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = endpoint.address().unwrap();
    let folder = folder.join(key.public_key().to_string());
    let keeper = Arc::new(Keeper::open(&folder, key.clone(), CHAIN, ledger.clone(), None).unwrap());
    let voice = Arc::new(Voice { keeper: keeper.clone(), silent_to: Mutex::default() });
    let router = endpoint.router().accept(KEEPER, Answers::new(voice.clone())).spawn();
    join(ledger, seed, host(&address));
    let payer = ledger.clone();
    let send = move |call: moveKeepersCall| {
        let payer = payer.clone();
        let sent = async move { payer.attempt(operator(seed), CONSENT, call).map(drop) };
        sent.map(|sent| sent.map_err(|error| format!("{error:?}"))).boxed()
    };
    // Whose turn it is changes with each look.
    let look = Look::new(keeper.clone(), &endpoint, Box::new(send), Duration::from_millis(1));
    Node { key, keeper, voice, look, endpoint, router }
}

/// An asset whose key `needed` of the first `count` of the nodes release.
async fn circle(all: u8, needed: usize, count: usize) -> Circle {
    let (ledger, folder) = (Arc::new(Ledger::new()), tempfile::tempdir().unwrap());
    let mut nodes = Vec::new();
    for seed in 1..=all {
        nodes.push(node(seed, &ledger, folder.path()).await);
    }
    let (owner, wallet) = (PrivateKeySigner::random(), PrivateKeySigner::random());
    let asset = asset_id(CHAIN, owner.address(), B256::ZERO);
    let public: Vec<_> = nodes[..count].iter().map(|node| node.key.public_key()).collect();
    let dealt = deal(AssetId(asset), needed, public, &mut rand::rng()).unwrap();
    let register = registerCall {
        salt: B256::ZERO,
        object: B256::ZERO,
        sharing: dealt.sharing.digest(),
        needed: needed as u8,
        keepers: nodes[..count].iter().map(|node| node.keeper.id().into()).collect(),
        ownerHalf: true,
    };
    assert_eq!(ledger.send(owner.address(), register), asset);
    for (node, share) in nodes.iter().zip(&dealt.shares) {
        let sealed = dealt.sharing.seal(share, &mut rand::rng()).unwrap();
        ask(&node.keeper, Request::Share(dealt.sharing.clone(), sealed)).await.unwrap();
    }
    let reading = Reading::of(&wallet, CHAIN).unwrap();
    let announcement = reading.announcement.encode().to_vec().into();
    ledger.send(wallet.address(), announceCall { announcement });
    let half = OwnerHalf::generate(&mut rand::rng());
    Circle { ledger, nodes, folder, asset, dealt, half, owner, wallet, reading }
}

impl Circle {
    /// A grant for the reader, with its half at the first keeper alone.
    async fn grant(&self) -> B256 {
        let grant = view(&*self.ledger, CONSENT, &nextGrantCall { asset: self.asset }).await.unwrap().0;
        let id = GrantId(grant);
        let half = GrantedHalf::seal(AssetId(self.asset), id, &self.reading.key, &self.half, &mut rand::rng()).unwrap();
        let terms = terms(self.wallet.address(), half.hash());
        self.ledger.send(self.owner.address(), grantCall { asset: self.asset, terms });
        ask(&self.nodes[0].keeper, Request::Half(half)).await.unwrap();
        grant
    }

    fn leave(&self, index: usize) {
        let key = self.nodes[index].keeper.id().into();
        self.ledger.attempt(operator(index as u8 + 1), nodes::ADDRESS, INodes::leaveCall { key }).unwrap();
        self.nodes.iter().for_each(|node| node.keeper.registry.forget());
    }

    /// From now on a node answers all but these.
    fn is_silent_to(&self, index: usize, others: &[usize]) {
        *self.nodes[index].voice.silent_to.lock() = others.iter().map(|other| self.nodes[*other].keeper.id()).collect();
    }

    /// Lets so many half hours pass. After each of them these nodes look.
    async fn half_hours(&self, count: usize, looking: &[usize]) {
        for _ in 0..count {
            self.ledger.with(|bench| bench.pass(1800));
            for index in looking {
                self.nodes[*index].look.all().await.unwrap();
            }
        }
    }

    async fn asset(&self) -> crate::abi::IConsent::Asset {
        view(&*self.ledger, CONSENT, &assetOfCall { asset: self.asset }).await.unwrap().0
    }

    /// The nodes that the ledger names as keepers, by their place.
    async fn keepers(&self) -> Vec<usize> {
        let keepers = view(&*self.ledger, CONSENT, &keepersOfCall { asset: self.asset }).await.unwrap().0;
        let place = |key: B256| self.nodes.iter().position(|node| B256::from(node.keeper.id()) == key).unwrap();
        keepers.into_iter().map(place).collect()
    }

    /// Lets these nodes look until the shares have moved.
    async fn until_moved(&self, looking: &[usize]) {
        let before = self.asset().await.generation;
        for _ in 0..200 {
            for index in looking {
                self.nodes[*index].look.all().await.unwrap();
            }
            if self.asset().await.generation > before {
                return;
            }
        }
        panic!("the shares did not move");
    }

    /// What the reader gets from these keepers for a use of a grant.
    async fn read(&self, grant: B256, from: &[usize]) -> Result<DataKey, String> {
        let use_it = useGrantCall { grant, kind: READ, algorithm: B256::ZERO };
        let id = self.ledger.send(self.wallet.address(), use_it);
        let granted = Grant { asset: AssetId(self.asset), id: GrantId(grant), reader: self.reading.key.reader() };
        let (mut shares, mut sharing, mut half) = (Vec::new(), None, None);
        for index in from {
            let keeper = &self.nodes[*index].keeper;
            let how = ask(keeper, Request::Sharing(self.asset)).await.map_err(|why| why.to_string())?;
            let how = sharing.insert(Sharing::decode(Copying(&how[..])).unwrap());
            let release = ask(keeper, Request::Release(id)).await.map_err(|why| why.to_string())?;
            let release = Release::decode(Copying(&release[..])).unwrap();
            let wanted = Wanted { grant: &granted, sharing: how, not_before: 0 };
            shares.push(release.open(&wanted, &self.reading.secret).unwrap());
            half = half.or(ask(keeper, Request::HalfOf(grant)).await.ok());
        }
        let half = GrantedHalf::decode(Copying(&half.ok_or("no half")?[..])).unwrap();
        let half = half.open(&granted, &self.reading.secret).unwrap();
        let keepers_half = sharing.unwrap().combine(&shares).unwrap();
        Ok(DataKey::from_halves(&half, &keepers_half, AssetId(self.asset)))
    }

    fn data_key(&self) -> DataKey {
        DataKey::from_halves(&self.half, &self.dealt.half, AssetId(self.asset))
    }

    /// Where the shares go without these nodes.
    async fn plan(&self) -> Plan {
        self.followed_by(0).await.expect("somebody left")
    }

    /// Where the shares go as a node sees it.
    async fn followed_by(&self, index: usize) -> Option<Plan> {
        self.nodes[index].keeper.follows(&self.dealt.sharing, self.now()).await.unwrap()
    }

    /// The ledger's time.
    fn now(&self) -> u64 {
        self.ledger.with(|bench| bench.time())
    }

    fn asking(&self, index: usize) -> crate::keeper::Circle {
        crate::keeper::Circle::new(self.nodes[index].keeper.registry.clone(), &self.nodes[index].endpoint)
    }

    /// What a node says to a fellow.
    async fn said(&self, by: usize, to: usize, request: Request) -> Outcome<Vec<u8>> {
        let answered = self.nodes[by].keeper.answer(self.nodes[to].keeper.id(), request.to_bytes()).await;
        stoa_net::read_answer(&answered).map(<[u8]>::to_vec)
    }

    /// A move that the first two keepers have dealt, and the word of these nodes that they have their shares.
    async fn taken(&self, plan: Plan, by: &[usize]) -> (plan::Move, Vec<plan::Acceptance>) {
        let mut dealings = Vec::new();
        for dealer in [0, 1] {
            let dealing = self.said(dealer, 1, Request::Deal(self.asset, plan.clone(), None)).await.unwrap();
            dealings.push(Dealing::decode(Copying(&dealing[..])).unwrap());
        }
        let moved = plan::Move { from: self.dealt.sharing.clone(), plan, dealings };
        let mut acceptances = Vec::new();
        for index in by {
            let taken = self.said(*index, 1, Request::Take(Box::new(moved.clone()), None)).await.unwrap();
            let Some(Taken::Accepted(acceptance)) = Taken::from_bytes(&taken) else { panic!("it was false") };
            acceptances.push(*acceptance);
        }
        (moved, acceptances)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_keeper_leaves_the_others_move_its_share_and_readers_notice_nothing() {
    let circle = circle(5, 2, 3).await;
    let grant = circle.grant().await;
    assert_eq!(circle.read(grant, &[0, 1]).await, Ok(circle.data_key()));
    // Nothing moves while all are there.
    for node in &circle.nodes {
        node.look.all().await.unwrap();
    }
    assert_eq!(circle.asset().await.generation, 0);

    circle.leave(2);
    circle.until_moved(&[0, 1, 3, 4]).await;
    let is = circle.asset().await;
    assert_eq!((is.generation, is.needed, is.keepers), (1, 2, 3));
    let keepers = circle.keepers().await;
    assert!(keepers[..2] == [0, 1] && keepers[2] > 2, "{keepers:?}");
    // Shares are served before anybody looks again.
    assert_eq!(circle.read(grant, &keepers[..2]).await, Ok(circle.data_key()));
    // When all have looked, the new one has the reader's half as well, which it never was given.
    for index in &keepers {
        circle.nodes[*index].look.all().await.unwrap();
    }
    assert_eq!(circle.read(grant, &keepers[1..]).await, Ok(circle.data_key()));
    // The old shares are deleted, and that is signed, by the one that left as well.
    let left = circle.dealt.sharing.digest();
    for index in [0, 1, 2] {
        let bytes = ask(&circle.nodes[index].keeper, Request::Receipts(circle.asset)).await.unwrap();
        let receipt = DeletionReceipt::decode(Copying(&bytes[..])).unwrap();
        assert_eq!((receipt.verify(), receipt.deleted()), (Ok(()), Deleted::Sharing(left)));
    }
    assert!(circle.read(grant, &[2, 0]).await.unwrap_err().contains("does not have it"));
    // An old share and a new one make no key.
    let moved = circle.nodes[0].keeper.share(circle.asset).unwrap().unwrap();
    let fresh = moved.0.open(&moved.1, &circle.nodes[0].key).unwrap();
    let old =
        circle.dealt.sharing.share(&circle.nodes[2].key.public_key(), &circle.dealt.shares[2].expose(|share| *share));
    assert!(moved.0.combine(&[fresh, old.unwrap()]).is_err());

    // And again: one of those that follow leaves as well.
    circle.leave(keepers[2]);
    circle.until_moved(&[0, 1, 3, 4]).await;
    let keepers = circle.keepers().await;
    for index in &keepers {
        circle.nodes[*index].look.all().await.unwrap();
    }
    assert_eq!(circle.asset().await.generation, 2);
    assert_eq!(circle.read(grant, &keepers[1..]).await, Ok(circle.data_key()));
    drop(circle.folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_keepers_leave_at_once_than_may_be_lost_and_go_on_until_others_have_taken_over() {
    let circle = circle(8, 3, 5).await;
    let grant = circle.grant().await;
    for index in [0, 1, 2] {
        circle.leave(index);
    }
    // Only the ledger's events tell where they were, and there they are asked.
    let (registry, gone) = (&circle.nodes[3].keeper.registry, circle.nodes[0].keeper.id());
    assert_eq!(registry.addresses([gone.into()]).await.unwrap(), []);
    let found = registry.last_addresses([gone.into()]).await.unwrap();
    assert_eq!(found, [circle.nodes[0].endpoint.address().unwrap()]);
    circle.asking(5).ask(&found[0], &Request::Sharing(circle.asset)).await.unwrap();

    circle.until_moved(&[3, 4]).await;
    let keepers = circle.keepers().await;
    // Two follow, who alone could read nothing.
    assert!(keepers.len() == 4 && keepers[..2] == [3, 4] && keepers[2..].iter().all(|index| *index > 4), "{keepers:?}");
    // The reader's half comes from the one that had it, which has left.
    for index in &keepers {
        circle.nodes[*index].look.all().await.unwrap();
    }
    assert_eq!(circle.read(grant, &keepers[1..]).await, Ok(circle.data_key()));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_keepers_leave_they_serve_until_the_owner_moves_their_shares_and_give_strangers_none_without_him() {
    use alloy_signer::SignerSync as _;
    let circle = circle(7, 2, 3).await;
    let grant = circle.grant().await;
    for index in [0, 1, 2] {
        circle.leave(index);
    }
    for _ in 0..10 {
        for index in [0, 1, 2] {
            circle.nodes[index].look.all().await.unwrap();
        }
    }
    assert_eq!(circle.asset().await.generation, 0);
    assert_eq!(circle.followed_by(0).await, None);
    // A keeper that asks for what only the owner may have gets nothing.
    let nodes = circle.nodes[0].keeper.registry.nodes().await.unwrap();
    let plan = Plan::of(&circle.dealt.sharing, &*nodes).unwrap();
    let deal = Request::Deal(circle.asset, plan.clone(), None);
    assert!(why(circle.said(1, 0, deal).await).contains("elsewhere, or stay"));
    assert_eq!(circle.read(grant, &[0, 1]).await, Ok(circle.data_key()));

    // He asks by the one that gets no share: no node calls itself.
    let asks = (3..7).find(|index: &usize| !plan.keepers.contains(&circle.nodes[*index].key.public_key())).unwrap();
    let owners = circle.asking(asks);
    let digest = plan.digest(CHAIN, &circle.dealt.sharing, owners.node());
    let signature = circle.owner.sign_hash_sync(&digest).unwrap().as_bytes();
    let moving = owners.hand_over(&circle.dealt.sharing, &plan, Some(signature)).await.unwrap();
    circle.ledger.send(circle.owner.address(), moving.call(Vec::new(), circle.now()));
    let keepers = circle.keepers().await;
    assert!(keepers.len() == 3 && keepers.iter().all(|index| *index > 2), "{keepers:?}");
    // Readers' halves come from those who have left.
    for index in &keepers {
        circle.nodes[*index].look.all().await.unwrap();
    }
    assert_eq!(circle.read(grant, &keepers[1..]).await, Ok(circle.data_key()));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_one_that_stays_cannot_move_shares_one_that_has_left_does() {
    let mut circle = circle(4, 2, 3).await;
    for index in [0, 1] {
        circle.leave(index);
    }
    let poor = &mut circle.nodes[2];
    let send = |_: moveKeepersCall| async { Err("its account is empty".to_owned()) }.boxed();
    poor.look = Look::new(poor.keeper.clone(), &poor.endpoint, Box::new(send), Duration::from_millis(1));
    circle.until_moved(&[0, 1, 2]).await;
    assert_eq!(circle.keepers().await, [2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_not_do_what_it_takes_to_move_shares_is_named_with_why() {
    let circle = circle(8, 3, 5).await;
    for index in [0, 1, 2] {
        circle.leave(index);
    }
    let plan = circle.plan().await;
    // Where they were is in blocks that this copy of the ledger does not have.
    circle.ledger.events.lock().clear();
    circle.nodes.iter().for_each(|node| node.keeper.registry.forget());
    let few = circle.asking(5).hand_over(&circle.dealt.sharing, &plan, None).await.unwrap_err().to_string();
    assert!(few.contains("0 keepers did it, 3 must; ") && !few.ends_with("; "), "{few}");
    for (index, why) in [(0, UNKNOWN), (1, UNKNOWN), (2, UNKNOWN), (3, "only a keeper"), (4, "only a keeper")] {
        let (_, said) = few.split_once(&circle.nodes[index].keeper.id().to_string()).expect("it is named");
        assert!(said.split("; ").next().unwrap().contains(why), "{said}");
    }
    let (done, failed) = (1, Vec::new());
    let one = MovingError::TooFew { what: "taking their shares", done, needed: 2, failed };
    assert_eq!(one.to_string(), "taking their shares: 1 keeper did it, 2 must");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_moves_shares_again_before_their_keepers_have_seen_the_last_move() {
    use alloy_signer::SignerSync as _;
    let circle = circle(5, 2, 3).await;
    let (owners, owner) = (circle.asking(4), circle.owner.address());
    let keepers = [0, 1, 3].map(|index: usize| circle.nodes[index].key.public_key()).to_vec();
    let plan = Plan { needed: 2, keepers };
    let sign = |from: &Sharing| {
        let digest = plan.digest(CHAIN, from, owners.node());
        Some(circle.owner.sign_hash_sync(&digest).unwrap().as_bytes())
    };
    let first = &circle.dealt.sharing;
    let call = owners.hand_over(first, &plan, sign(first)).await.unwrap().call(Vec::new(), circle.now());
    let moved = circle.nodes[0].keeper.moved(circle.asset, call.sharing).await.unwrap().expect("it was taken");
    let next = moved.sharing().unwrap();
    // The keepers' ledgers are behind, and none of them looks when they are not any more.
    let told = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        circle.ledger.send(owner, call);
    };
    let (again, ()) = futures::join!(owners.hand_over(&next, &plan, sign(&next)), told);
    circle.ledger.send(owner, again.unwrap().call(Vec::new(), circle.now()));
    assert_eq!(circle.asset().await.generation, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owners_move_that_comes_late_or_after_another_is_refused_and_the_key_is_there() {
    use alloy_signer::SignerSync as _;
    let circle = circle(5, 2, 3).await;
    let grant = circle.grant().await;
    let (owners, asset, from) = (circle.asking(4), circle.asset, &circle.dealt.sharing);
    let keepers = [0, 1, 3].map(|index: usize| circle.nodes[index].key.public_key()).to_vec();
    let plan = Plan { needed: 2, keepers };
    let signature = circle.owner.sign_hash_sync(&plan.digest(CHAIN, from, owners.node())).unwrap().as_bytes();
    let begun = async || {
        let now = circle.now();
        owners.hand_over(from, &plan, Some(signature)).await.unwrap().call(Vec::new(), now)
    };
    let tell = |call: moveKeepersCall| circle.ledger.attempt(circle.owner.address(), CONSENT, call).map(drop);
    let sweep = async || {
        for node in &circle.nodes[..4] {
            node.keeper.sweep(asset).await.unwrap();
        }
    };
    // Its transaction waits until those who follow have let go of it.
    let late = begun().await;
    circle.ledger.with(|bench| bench.pass(crate::keeper::moving::WAITS + 60));
    sweep().await;
    assert_eq!(circle.nodes[3].keeper.shelf.moves(asset), []);
    let until = late.until;
    assert_eq!(tell(late), Err(Failure::revert(ConsentMoveEnded { asset, until })));
    sweep().await;
    assert_eq!(circle.read(grant, &[0, 1]).await, Ok(circle.data_key()));

    // He begins two, and between their blocks those who follow let go of the second.
    let (first, second) = (begun().await, begun().await);
    let sharing = first.sharing;
    tell(first).unwrap();
    sweep().await;
    assert_eq!(tell(second), Err(Failure::revert(ConsentOtherSharing { asset, sharing })));
    sweep().await;
    assert_eq!(circle.read(grant, &[0, 3]).await, Ok(circle.data_key()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_was_away_during_a_move_gets_its_share_from_its_fellows() {
    let mut circle = circle(5, 2, 4).await;
    let grant = circle.grant().await;
    // One leaves, and another is only down: it stays a keeper.
    circle.leave(3);
    circle.nodes[2].router.shutdown().await.unwrap();
    circle.nodes[2].endpoint.close().await;
    circle.until_moved(&[0, 1, 4]).await;
    assert_eq!(circle.keepers().await, [0, 1, 2, 4]);
    // It comes back, elsewhere, with what it had: worth nothing.
    let key = circle.nodes[2].key.clone();
    let endpoint = Endpoint::bind(&key, ([127, 0, 0, 1], 0).into()).await.unwrap();
    let keeper = circle.nodes[2].keeper.clone();
    let router = endpoint.router().accept(KEEPER, Answers::new(keeper.clone())).spawn();
    let set = INodes::setCall {
        key: keeper.id().into(),
        host: host(&endpoint.address().unwrap()),
        domain: String::new(),
        capacity: 0,
        roles: nodes::KEEPER,
    };
    circle.ledger.attempt(operator(3), nodes::ADDRESS, set).unwrap();
    keeper.sweep(circle.asset).await.unwrap();
    assert!(circle.read(grant, &[2, 0]).await.unwrap_err().contains("does not have it"));
    circle.nodes.iter().for_each(|node| node.keeper.registry.forget());
    // Not the one before it in the circle, which may be of no help.
    circle.nodes[0].look.all().await.unwrap();
    circle.nodes[2].look = {
        let send = |_: moveKeepersCall| async { Err("it is nobody's turn".to_owned()) }.boxed();
        Look::new(keeper, &endpoint, Box::new(send), Duration::from_millis(1))
    };
    circle.nodes[2].look.all().await.unwrap();
    assert_eq!(circle.read(grant, &[2, 4]).await, Ok(circle.data_key()));
    router.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_go_where_the_registry_says_or_the_owner_and_nowhere_else() {
    let circle = circle(6, 2, 3).await;
    let (sharing, asset) = (&circle.dealt.sharing, circle.asset);
    let (keeper, fellow) = (&circle.nodes[0].keeper, circle.nodes[1].keeper.id());
    let asked = async |from: NodeId, request: Request| {
        let answered = keeper.answer(from, request.to_bytes()).await;
        stoa_net::read_answer(&answered).map(<[u8]>::to_vec)
    };
    let to = |seeds: [usize; 3]| Plan {
        needed: 2,
        keepers: seeds.map(|index| circle.nodes[index].key.public_key()).to_vec(),
    };
    // While all are registered, no fellow makes it deal.
    assert!(why(asked(fellow, Request::Deal(asset, to([0, 1, 3]), None)).await).contains("elsewhere, or stay"));
    circle.leave(2);
    let plan = circle.plan().await;
    asked(fellow, Request::Deal(asset, plan.clone(), None)).await.unwrap();
    let elsewhere = Plan { keepers: plan.keepers.iter().rev().cloned().collect(), ..plan.clone() };
    for other in [elsewhere, Plan { needed: 1, ..plan.clone() }] {
        assert!(why(asked(fellow, Request::Deal(asset, other, None)).await).contains("elsewhere"));
    }
    // A stranger, and one who says that he has the owner's signature.
    let stranger = circle.nodes[5].keeper.id();
    assert!(why(asked(stranger, Request::Deal(asset, plan.clone(), None)).await).contains("only a keeper"));
    let owners = circle.asking(3);
    let sign = |by: &PrivateKeySigner, plan: &Plan| {
        use alloy_signer::SignerSync as _;
        by.sign_hash_sync(&plan.digest(CHAIN, sharing, owners.node())).unwrap().as_bytes()
    };
    let chosen = to([0, 4, 5]);
    let forged = Request::Deal(asset, chosen.clone(), Some(sign(&circle.wallet, &chosen)));
    assert!(why(asked(owners.node(), forged).await).contains("not the asset's owner"));
    let replayed = Request::Deal(asset, to([5, 4, 0]), Some(sign(&circle.owner, &chosen)));
    assert!(why(asked(owners.node(), replayed).await).contains("not the asset's owner"));
    // What he signed for his own node a keeper that was asked shows to another, which deals nothing for it.
    let shown = Request::Deal(asset, chosen.clone(), Some(sign(&circle.owner, &chosen)));
    for other in [fellow, stranger] {
        assert!(why(asked(other, shown.clone()).await).contains("not the asset's owner"));
    }
    // The owner himself, who needs nobody's vote.
    let moving = owners.hand_over(sharing, &chosen, Some(sign(&circle.owner, &chosen))).await.unwrap();
    circle.ledger.send(circle.owner.address(), moving.call(Vec::new(), circle.now()));
    let grant = circle.grant().await;
    for index in [0, 4, 5] {
        circle.nodes[index].look.all().await.unwrap();
    }
    assert_eq!(circle.read(grant, &[0, 5]).await, Ok(circle.data_key()));
    // What was dealt before is of no use any more.
    assert!(why(asked(fellow, Request::Deal(asset, plan, None)).await).contains("only a keeper"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_agrees_to_a_move_only_when_enough_have_their_shares() {
    let circle = circle(4, 2, 3).await;
    circle.leave(2);
    let (moved, acceptances) = circle.taken(circle.plan().await, &[0, 1, 3]).await;
    let sharing = moved.sharing().unwrap();
    let vote = async |from: usize, acceptances: Vec<plan::Acceptance>| {
        circle.said(0, from, Request::Vote(Box::new(moved.clone()), acceptances)).await
    };
    let mut forged = acceptances.clone();
    forged[2].signature = forged[1].signature.clone();
    let other = plan::Acceptance::new(&circle.nodes[2].key, &sharing);
    let few = [
        (2, acceptances[..2].to_vec()),
        (1, vec![acceptances[0].clone(); 3]),
        (2, forged),
        (2, [&acceptances[..2], &[other]].concat()),
    ];
    for (count, few) in few {
        assert!(why(vote(1, few).await).contains(&format!("{count} new keepers have their shares, 3 must")));
    }
    assert!(why(vote(3, acceptances.clone()).await).contains("only a keeper"));
    let signature = vote(1, acceptances).await.unwrap();
    assert_eq!(signature.len(), 8 + 64);
    // Before the ledger has it, everybody has what he had.
    let (now, _) = circle.nodes[0].keeper.share(circle.asset).unwrap().unwrap();
    assert_eq!(now, circle.dealt.sharing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_stops_for_ever_is_followed_by_another_after_the_grace_without_the_owner() {
    let circle = circle(5, 2, 3).await;
    let grant = circle.grant().await;
    circle.is_silent_to(2, &[0, 1, 3, 4]);
    // As long as the grace lasts it keeps its place.
    circle.half_hours(GRACE, &[0, 1, 3, 4]).await;
    assert_eq!(circle.asset().await.generation, 0);
    circle.ledger.with(|bench| bench.pass(1800));
    circle.until_moved(&[0, 1, 3, 4]).await;
    let is = circle.asset().await;
    assert_eq!((is.generation, is.needed, is.keepers), (1, 2, 3));
    let keepers = circle.keepers().await;
    assert!(keepers[..2] == [0, 1] && keepers[2] > 2, "{keepers:?}");
    for index in &keepers {
        circle.nodes[*index].look.all().await.unwrap();
    }
    assert_eq!(circle.read(grant, &keepers[1..]).await, Ok(circle.data_key()));
    // When it comes back all the same, it has nothing that is worth anything, and its place is another's.
    circle.is_silent_to(2, &[]);
    circle.half_hours(2, &[0, 1, 2, 3, 4]).await;
    assert_eq!(circle.keepers().await, keepers);
    let signed = receipts(&circle.nodes[2].keeper, circle.asset).await;
    let left = Deleted::Sharing(circle.dealt.sharing.digest());
    assert_eq!(signed.iter().map(DeletionReceipt::deleted).collect::<Vec<_>>(), [left]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_keepers_than_release_the_key_leave_nobody_out_however_they_sign() {
    // Three of four release it. Two do not hear the fourth, or say so; the third does.
    let circle = circle(5, 3, 4).await;
    circle.is_silent_to(3, &[0, 1]);
    circle.half_hours(GRACE + 6, &[0, 1, 2]).await;
    assert_eq!(circle.asset().await.generation, 0);
    let plan = circle.plan().await;
    assert_eq!(plan.keepers, [0, 1, 2, 4].map(|index| circle.nodes[index].key.public_key()));
    let deal = Request::Deal(circle.asset, plan, None);
    circle.said(1, 0, deal.clone()).await.unwrap();
    assert!(why(circle.said(2, 0, deal.clone()).await).contains("elsewhere, or stay"));

    // They make up shares, and sign twice, or in the name of the third.
    let (asset, sharing) = (circle.asset, B256::repeat_byte(7));
    let keepers = [0, 1, 2, 4].map(|index| B256::from(circle.nodes[index].keeper.id())).to_vec();
    let digest = move_digest(CHAIN, asset, 0, sharing, 3, &keepers);
    let vote = |name: usize, signer: usize| Vote {
        keeper: circle.nodes[name].keeper.id().into(),
        signature: sign_digest(&circle.nodes[signer].key, digest).into(),
    };
    let from = circle.dealt.sharing.digest();
    let tell = |votes: Vec<Vote>| {
        let call = moveKeepersCall { asset, from, sharing, needed: 3, keepers: keepers.clone(), until: 0, votes };
        circle.ledger.attempt(operator(1), CONSENT, call).map(drop)
    };
    let few = Failure::revert(ConsentTooFewVotes { asset, needed: 3, votes: U256::from(2) });
    assert_eq!(tell(vec![vote(0, 0), vote(1, 1)]), Err(few.clone()));
    assert_eq!(tell(vec![vote(0, 0), vote(1, 1), vote(1, 1)]), Err(few));
    let invalid = |name: usize| Failure::revert(ConsentInvalidVote { asset, keeper: keepers[name] });
    assert_eq!(tell(vec![vote(0, 0), vote(1, 1), vote(2, 1)]), Err(invalid(2)));

    // When the third hears nothing for as long, the fourth is left out; what was signed before is of no use after that.
    circle.is_silent_to(3, &[0, 1, 2]);
    circle.half_hours(GRACE, &[0, 1, 2]).await;
    assert_eq!(circle.asset().await.generation, 0);
    circle.ledger.with(|bench| bench.pass(1800));
    circle.until_moved(&[0, 1, 2]).await;
    assert_eq!(circle.keepers().await, [0, 1, 2, 4]);
    assert_eq!(tell(vec![vote(0, 0), vote(1, 1), vote(2, 2)]), Err(invalid(0)));
    assert!(circle.said(1, 0, deal).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_answers_again_before_enough_have_voted_stays() {
    let mut circle = circle(4, 2, 3).await;
    // Once in a grace is enough.
    circle.is_silent_to(2, &[0, 1]);
    circle.half_hours(GRACE, &[0, 1]).await;
    circle.is_silent_to(2, &[]);
    circle.half_hours(1, &[0, 1]).await;
    circle.is_silent_to(2, &[0, 1]);
    circle.half_hours(GRACE, &[0, 1]).await;
    assert_eq!(circle.asset().await.generation, 0);
    // When all is dealt and taken, and one of two has voted, it is not too late.
    for node in &mut circle.nodes {
        let send = |_: moveKeepersCall| async { Err("it is not sent yet".to_owned()) }.boxed();
        node.look = Look::new(node.keeper.clone(), &node.endpoint, Box::new(send), Duration::from_millis(1));
    }
    circle.half_hours(1, &[0, 1]).await;
    let (moved, acceptances) = circle.taken(circle.plan().await, &[0, 1, 3]).await;
    let vote = Request::Vote(Box::new(moved), acceptances);
    circle.said(0, 1, vote.clone()).await.unwrap();
    circle.is_silent_to(2, &[]);
    circle.half_hours(1, &[0, 1]).await;
    for voter in [0, 1] {
        assert!(why(circle.said(voter, 1, vote.clone()).await).contains("elsewhere, or stay"));
    }
    assert_eq!(circle.followed_by(0).await, None);
    assert_eq!(circle.keepers().await, [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_is_not_begun_before_enough_of_those_who_follow_answer() {
    let circle = circle(4, 2, 3).await;
    circle.is_silent_to(3, &[0, 1]);
    circle.half_hours(2, &[0, 1]).await;
    circle.leave(2);
    circle.half_hours(12, &[0, 1]).await;
    assert!(circle.nodes[0].keeper.shelf.moves(circle.asset).is_empty());
    circle.is_silent_to(3, &[]);
    circle.ledger.with(|bench| bench.pass(1800));
    circle.until_moved(&[0, 1]).await;
    assert_eq!(circle.keepers().await, [0, 1, 3]);
}

/// What a keeper dealt, with another's part in place of that of the keeper with this number, under its own signature.
fn falsified(by: &Keeper, plan: &Plan, dealing: &[u8], victim: usize) -> Vec<u8> {
    let ((sharing, _), mut dealing) = (by.share(asset_of(by)).unwrap().unwrap(), dealing.to_vec());
    // `… | m | parts | signature`
    let (count, signature) = (plan.keepers.len(), dealing.len() - 64);
    let part = |number: usize| signature - 80 * (count - number % count);
    dealing.copy_within(part(victim + 1)..part(victim + 1) + 80, part(victim));
    let mut digest = Sha256::new().chain_update(sharing.digest()).chain_update([plan.needed, count as u8]);
    plan.keepers.iter().for_each(|keeper| digest.update(keeper));
    let mut message = digest.finalize().to_vec();
    // The dealer, the commitment with its length, and the parts without theirs.
    message.extend(&dealing[..part(0) - 1]);
    message.extend(&dealing[part(0)..signature]);
    let signed = by.key.sign(b"stoa/privacy/dealing/v1", &message);
    let mut end = Vec::new();
    signed.write(&mut end);
    dealing.splice(signature.., end);
    dealing
}

/// The one asset of which a keeper has a share.
fn asset_of(keeper: &Keeper) -> B256 {
    keeper.shelf.assets().unwrap()[0]
}

/// An old keeper that deals a false part to the last of those that follow, and votes with what is no signature.
struct Liar(Arc<Keeper>);

impl Service for Liar {
    const MOST_REQUEST: usize = wire::MOST_REQUEST;

    fn answer(&self, from: NodeId, request: Vec<u8>) -> BoxFuture<'_, Vec<u8>> {
        async move {
            let answered = self.0.answer(from, request.clone()).await;
            match Request::from_bytes(&request) {
                Ok(Request::Deal(_, plan, _)) => {
                    let dealing = stoa_net::read_answer(&answered).unwrap();
                    answer(Ok(falsified(&self.0, &plan, dealing, plan.keepers.len() - 1)))
                }
                Ok(Request::Vote(..)) => answer(Ok(vec![0xff; 8 + 64])),
                _ => answered,
            }
        }
        .boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_keeper_that_deals_false_parts_is_left_out() {
    let mut circle = circle(5, 2, 4).await;
    circle.leave(3);
    let plan = circle.plan().await;
    // The first that is asked lies.
    let liar = &mut circle.nodes[0];
    liar.router.shutdown().await.unwrap();
    let endpoint = Endpoint::bind(&liar.key, ([127, 0, 0, 1], 0).into()).await.unwrap();
    let lying = endpoint.router().accept(KEEPER, Answers::new(Arc::new(Liar(liar.keeper.clone())))).spawn();
    let set = INodes::setCall {
        key: liar.keeper.id().into(),
        host: host(&endpoint.address().unwrap()),
        domain: String::new(),
        capacity: 0,
        roles: nodes::KEEPER,
    };
    circle.ledger.attempt(operator(1), nodes::ADDRESS, set).unwrap();
    circle.nodes.iter().for_each(|node| node.keeper.registry.forget());
    let request = Request::Deal(circle.asset, plan, None);
    let dealt = circle.asking(1).ask(&endpoint.address().unwrap(), &request).await.unwrap();
    assert!(Dealing::decode(Copying(&dealt[..])).is_ok(), "it looks like a dealing");

    circle.until_moved(&[1, 2, 4]).await;
    let keepers = circle.keepers().await;
    let grant = circle.grant().await;
    for index in &keepers {
        circle.nodes[*index].look.all().await.unwrap();
    }
    // Who was dealt something false has its share all the same: from the others.
    assert_eq!(circle.read(grant, &[keepers[1], keepers[3]]).await, Ok(circle.data_key()));
    lying.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_counts_while_it_is_fresh_and_no_longer() {
    let circle = circle(4, 2, 3).await;
    circle.is_silent_to(2, &[0, 1]);
    for node in [0, 1] {
        circle.nodes[node].look.all().await.unwrap();
    }
    // The others hear nothing of it for the whole grace, and move nothing.
    for _ in 0..=GRACE {
        circle.ledger.with(|bench| bench.pass(1800));
        for node in [0, 1] {
            let now = circle.ledger.with(|bench| bench.time());
            let heard = [(0, true), (1, true), (2, false), (3, true)].into_iter().filter(|(index, _)| *index != node);
            let heard: Vec<_> = heard.map(|(index, is)| (B256::from(circle.nodes[index].keeper.id()), is)).collect();
            circle.nodes[node].keeper.silent.lock().note(&heard, now);
        }
    }
    let (moved, acceptances) = circle.taken(circle.plan().await, &[0, 1, 3]).await;
    let (sharing, asset) = (moved.sharing().unwrap(), circle.asset);
    let request = Request::Vote(Box::new(moved), acceptances);
    let keepers: Vec<B256> = sharing.keepers().iter().map(|key| NodeId::from(key).into()).collect();
    let voted = async |voter: usize| Vote {
        keeper: circle.nodes[voter].keeper.id().into(),
        signature: circle.said(voter, 1, request.clone()).await.unwrap().into(),
    };
    let (from, to) = (circle.dealt.sharing.digest(), sharing.digest());
    let tell = |votes: Vec<Vote>| {
        let keepers = keepers.clone();
        let call = moveKeepersCall { asset, from, sharing: to, needed: 2, keepers, until: 0, votes };
        circle.ledger.attempt(operator(1), CONSENT, call).map(drop)
    };
    let (old, fresh) = (voted(0).await, voted(1).await);
    circle.ledger.with(|bench| bench.pass(crate::keeper::moving::VOTE));
    // Whoever has kept a vote until now has nothing of it, together with a fresh one as well.
    let refused = |voter: usize| {
        let keeper = circle.nodes[voter].keeper.id().into();
        Err(Failure::revert(ConsentInvalidVote { asset, keeper }))
    };
    assert_eq!(tell(vec![old.clone(), fresh]), refused(0));
    let fresh = voted(1).await;
    assert_eq!(tell(vec![fresh.clone(), old.clone()]), refused(0));
    // Nor is it good for longer if somebody says so.
    let mut longer = old.signature.to_vec();
    longer[..8].copy_from_slice(&u64::MAX.to_be_bytes());
    assert_eq!(tell(vec![Vote { signature: longer.into(), ..old }, fresh.clone()]), refused(0));
    assert_eq!(circle.asset().await.generation, 0);
    assert_eq!(tell(vec![voted(0).await, fresh]), Ok(()));
    assert_eq!(circle.keepers().await, [0, 1, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_was_dealt_a_false_part_does_not_agree_though_enough_others_have_theirs() {
    let circle = circle(6, 2, 5).await;
    circle.leave(4);
    let plan = circle.plan().await;
    let deal = Request::Deal(circle.asset, plan.clone(), None);
    let mut dealings = Vec::new();
    for dealer in [1, 2] {
        let mut dealt = circle.said(dealer, 1, deal.clone()).await.unwrap();
        if dealer == 1 {
            dealt = falsified(&circle.nodes[1].keeper, &plan, &dealt, 0);
        }
        dealings.push(Dealing::decode(Copying(&dealt[..])).unwrap());
    }
    let moved = plan::Move { from: circle.dealt.sharing.clone(), plan, dealings };
    let sharing = moved.sharing().unwrap();
    let acceptances: Vec<_> =
        [1, 2, 3, 5].map(|index| plan::Acceptance::new(&circle.nodes[index].key, &sharing)).to_vec();
    let vote = Request::Vote(Box::new(moved), acceptances);
    let (refused, liar) = (why(circle.said(0, 1, vote.clone()).await), circle.nodes[1].keeper.id());
    assert!(refused.contains("dealt is false") && refused.contains(&liar.to_string()), "{refused}");
    circle.said(2, 1, vote).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_keeper_that_begins_move_after_move_leaves_the_others_room_for_theirs() {
    let circle = circle(4, 2, 3).await;
    circle.leave(2);
    let plan = circle.plan().await;
    let take = async |from: usize| {
        let (moved, _) = circle.taken(plan.clone(), &[]).await;
        circle.said(3, from, Request::Take(Box::new(moved), None)).await
    };
    let mut taken = 0;
    let refused = loop {
        match take(1).await {
            Ok(_) => taken += 1,
            Err(why) => break why.to_string(),
        }
        assert!(taken < 100, "there is no end");
    };
    assert!(refused.contains("that you have brought"), "{refused}");
    assert_eq!(taken, crate::keeper::moving::MOST_MOVES);
    take(0).await.unwrap();
    circle.until_moved(&[0]).await;
    assert_eq!(circle.keepers().await, [0, 1, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_whose_account_is_empty_goes_on_with_the_move_that_it_has_begun() {
    let mut circle = circle(4, 2, 3).await;
    circle.leave(2);
    let sends: Vec<_> = circle.nodes[..2]
        .iter_mut()
        .map(|node| {
            let send = |_: moveKeepersCall| async { Err("it has no coin".to_owned()) }.boxed();
            let look = Look::new(node.keeper.clone(), &node.endpoint, Box::new(send), Duration::from_millis(1));
            std::mem::replace(&mut node.look, look)
        })
        .collect();
    for _ in 0..60 {
        for node in &circle.nodes[..2] {
            node.look.all().await.unwrap();
        }
    }
    for index in [0, 1, 3] {
        let waiting = circle.nodes[index].keeper.shelf.moves(circle.asset).len();
        assert!((1..=2).contains(&waiting), "{waiting} moves wait");
    }
    for (node, look) in circle.nodes.iter_mut().zip(sends) {
        node.look = look;
    }
    circle.until_moved(&[0, 1]).await;
    assert_eq!(circle.keepers().await, [0, 1, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn halves_that_are_missing_keep_no_look_from_what_else_there_is_to_do() {
    let mut circle = circle(4, 2, 3).await;
    let grant = circle.grant().await;
    let fetching = std::mem::take(&mut circle.nodes[1].look.fetching);
    // The time for them is over.
    circle.nodes[1].look.all().await.unwrap();
    assert!(circle.nodes[1].keeper.shelf.halves(circle.asset).unwrap().is_empty());
    circle.leave(2);
    circle.until_moved(&[1]).await;
    // Another look has some again.
    circle.nodes[1].look.fetching = fetching;
    circle.nodes[1].look.all().await.unwrap();
    assert_eq!(circle.nodes[1].keeper.shelf.halves(circle.asset).unwrap(), [grant]);
}

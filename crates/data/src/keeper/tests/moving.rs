//! Shares that move from node to node, over QUIC on loopback.

use super::*;
use crate::{
    abi::IConsent::{keepersOfCall, nextGrantCall},
    keeper::plan::Plan,
    registry::sign_digest,
};
use commonware_codec::Write as _;
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use stoa_contract::nodes::{self, INodes};
use stoa_net::{Answers, Endpoint, PeerAddress, iroh::protocol::Router};
use stoa_privacy::Dealing;

struct Node {
    key: ed25519::PrivateKey,
    keeper: Arc<Keeper>,
    look: Look,
    endpoint: Endpoint,
    router: Router,
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

async fn node(seed: u8, ledger: &Arc<Ledger>, folder: &Path) -> Node {
    let key = key(seed);
    let endpoint = Endpoint::bind(&key, ([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = endpoint.address().unwrap();
    let folder = folder.join(key.public_key().to_string());
    let keeper = Arc::new(Keeper::open(&folder, key.clone(), CHAIN, ledger.clone(), None).unwrap());
    let router = endpoint.router().accept(KEEPER, Answers::new(keeper.clone())).spawn();
    let public = B256::from(keeper.id());
    let join = INodes::joinCall {
        key: public,
        signature: sign_digest(&key, nodes::operator_digest(CHAIN, public, operator(seed))).into(),
        host: host(&address),
        domain: String::new(),
        capacity: 0,
        roles: nodes::KEEPER,
    };
    ledger.attempt(operator(seed), nodes::ADDRESS, join).unwrap();
    let payer = ledger.clone();
    let send = move |call: moveKeepersCall| {
        let payer = payer.clone();
        let sent = async move { payer.attempt(operator(seed), CONSENT, call).map(drop) };
        sent.map(|sent| sent.map_err(|error| format!("{error:?}"))).boxed()
    };
    // Whose turn it is changes with each look.
    let look = Look::new(keeper.clone(), &endpoint, Box::new(send), Duration::from_millis(1));
    Node { key, keeper, look, endpoint, router }
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
        self.nodes[0].keeper.follows(&self.dealt.sharing).await.unwrap().expect("somebody left")
    }

    fn asking(&self, index: usize) -> crate::keeper::Circle {
        crate::keeper::Circle::new(self.nodes[index].keeper.registry.clone(), &self.nodes[index].endpoint)
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
    for index in [0, 1, 4] {
        circle.nodes[index].look.all().await.unwrap();
    }
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
    let sign = |by: &PrivateKeySigner, plan: &Plan| {
        use alloy_signer::SignerSync as _;
        by.sign_message_sync(plan.digest(CHAIN, sharing).as_slice()).unwrap().as_bytes()
    };
    let chosen = to([0, 4, 5]);
    let forged = Request::Deal(asset, chosen.clone(), Some(sign(&circle.wallet, &chosen)));
    assert!(why(asked(stranger, forged).await).contains("not the asset's owner"));
    let replayed = Request::Deal(asset, to([5, 4, 0]), Some(sign(&circle.owner, &chosen)));
    assert!(why(asked(stranger, replayed).await).contains("not the asset's owner"));
    // The owner himself, who needs nobody's vote.
    let moving = circle.asking(3).hand_over(sharing, &chosen, Some(sign(&circle.owner, &chosen))).await.unwrap();
    circle.ledger.send(circle.owner.address(), moving.call(Vec::new()));
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
    let plan = circle.plan().await;
    let mut dealings = Vec::new();
    for node in &circle.nodes[..2] {
        let deal = Request::Deal(circle.asset, plan.clone(), None).to_bytes();
        let answered = node.keeper.answer(circle.nodes[1].keeper.id(), deal).await;
        dealings.push(Dealing::decode(Copying(stoa_net::read_answer(&answered).unwrap())).unwrap());
    }
    let moved = plan::Move { from: circle.dealt.sharing.clone(), plan, dealings };
    let sharing = moved.sharing().unwrap();
    let mut acceptances = Vec::new();
    for index in [0, 1, 3] {
        let taken = ask(&circle.nodes[index].keeper, Request::Take(Box::new(moved.clone()))).await.unwrap();
        let Some(Taken::Accepted(acceptance)) = Taken::from_bytes(&taken) else { panic!("it was false") };
        acceptances.push(*acceptance);
    }
    let vote = async |from: usize, acceptances: Vec<plan::Acceptance>| {
        let request = Request::Vote(Box::new(moved.clone()), acceptances).to_bytes();
        let answered = circle.nodes[0].keeper.answer(circle.nodes[from].keeper.id(), request).await;
        stoa_net::read_answer(&answered).map(<[u8]>::to_vec)
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
    assert_eq!(signature.len(), 64);
    // Before the ledger has it, everybody has what he had.
    let (now, _) = circle.nodes[0].keeper.share(circle.asset).unwrap().unwrap();
    assert_eq!(now, circle.dealt.sharing);
}

/// An old keeper that deals a false part to one of those that follow, under its own signature.
struct Liar(Arc<Keeper>);

impl Service for Liar {
    const MOST_REQUEST: usize = wire::MOST_REQUEST;

    fn answer(&self, from: NodeId, request: Vec<u8>) -> BoxFuture<'_, Vec<u8>> {
        async move {
            let answered = self.0.answer(from, request.clone()).await;
            let Ok(Request::Deal(asset, plan, _)) = Request::from_bytes(&request) else { return answered };
            let (sharing, _) = self.0.share(asset).unwrap().unwrap();
            let mut dealing = stoa_net::read_answer(&answered).unwrap().to_vec();
            // `… | m | parts | signature`: the last part is another's.
            let (parts, signature) = (dealing.len() - 64 - 80 * plan.keepers.len(), dealing.len() - 64);
            dealing.copy_within(parts..parts + 80, signature - 80);
            let mut digest = Sha256::new().chain_update(sharing.digest()).chain_update([2, plan.keepers.len() as u8]);
            plan.keepers.iter().for_each(|keeper| digest.update(keeper));
            let mut message = digest.finalize().to_vec();
            message.extend(&dealing[..32]);
            // The commitment with its length, and the parts without theirs.
            message.extend(&dealing[32..parts - 1]);
            message.extend(&dealing[parts..signature]);
            let signed = self.0.key.sign(b"stoa/privacy/dealing/v1", &message);
            let mut end = Vec::new();
            signed.write(&mut end);
            dealing.splice(signature.., end);
            answer(Ok(dealing))
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
    assert_eq!(circle.read(grant, &keepers[1..3]).await, Ok(circle.data_key()));
    lying.shutdown().await.unwrap();
}

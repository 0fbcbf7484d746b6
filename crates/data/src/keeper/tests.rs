//! Keepers that look at the contract itself, on a ledger in memory.

mod moving;

use super::*;
use crate::{
    abi::IConsent::{
        Terms, announceCall, eraseCall, grantCall, moveKeepersCall, registerCall, revokeCall, setObjectCall,
        useGrantCall,
    },
    contract::asset_id,
    reading::Reading,
};
use alloy_primitives::{Address, Bytes, Log, LogData, U256};
use alloy_signer_local::PrivateKeySigner;
use commonware_cryptography::Signer as _;
use std::sync::mpsc;
use stoa_contract::{
    Natives,
    bench::{Bench, Failure},
};
use stoa_privacy::{Breach, DataKey, Dealt, OwnerHalf, ReaderKey, Wanted, deal};
use stoa_store::{KeySource, Limits, ObjectId, Owner, Plain, Put, Root, Seal, Sealed};
use tempfile::TempDir;

const CHAIN: u64 = 31337;
const OWNER: Address = Address::repeat_byte(0xa1);

type Work = Box<dyn FnOnce(&mut Bench) + Send>;

/// The ledger of a test, on a thread of its own, and whether keepers see it as it is or as it was.
pub(crate) struct Ledger {
    work: mpsc::Sender<Work>,
    /// What a keeper that hides from the present says that it sees.
    frozen: Mutex<Option<(Bytes, At)>>,
    /// What transactions have left.
    events: Mutex<Vec<Log>>,
}

fn now(bench: &Bench) -> At {
    let number: u64 = bench.evm.ctx().block.number.saturating_to();
    At { number, hash: B256::with_last_byte(number as u8), timestamp: bench.time() }
}

impl Ledger {
    pub(crate) fn new() -> Self {
        let (work, next) = mpsc::channel::<Work>();
        std::thread::spawn(move || {
            let mut bench = Bench::new(crate::natives(Natives::stoa()));
            next.into_iter().for_each(|work| work(&mut bench));
        });
        Self { work, frozen: Mutex::default(), events: Mutex::default() }
    }

    pub(crate) fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut Bench) -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        self.work.send(Box::new(move |bench| drop(done.send(work(bench))))).unwrap();
        result.recv().unwrap()
    }

    pub(crate) fn send<C: SolCall + Send + 'static>(&self, from: Address, call: C) -> C::Return
    where
        C::Return: Send + 'static,
    {
        self.attempt(from, CONSENT, call).expect("the ledger takes it")
    }

    pub(crate) fn attempt<C: SolCall + Send + 'static>(
        &self,
        from: Address,
        to: Address,
        call: C,
    ) -> Result<C::Return, Failure>
    where
        C::Return: Send + 'static,
    {
        let sent = self.with(move |bench| {
            bench.pass(1);
            bench.send(from, to, &call).map(|sent| (sent.value, sent.logs))
        });
        let (value, logs) = sent?;
        self.events.lock().extend(logs);
        Ok(value)
    }
}

impl Chain for Ledger {
    fn view(&self, to: Address, data: Bytes) -> BoxFuture<'_, Result<(Bytes, At), ViewError>> {
        let frozen = self.frozen.lock().clone().filter(|_| data[..4] == checkUseCall::SELECTOR);
        let answer = match frozen {
            Some(frozen) => Ok(frozen),
            None => self.with(move |bench| {
                let at = now(bench);
                match bench.send_raw(Address::ZERO, to, U256::ZERO, data) {
                    Ok(sent) => Ok((sent.value, at)),
                    Err(Failure::Revert(data)) => Err(ViewError::Reverted(data)),
                    Err(Failure::Halt(why)) => Err(ViewError::Unreachable(why)),
                }
            }),
        };
        async { answer }.boxed()
    }

    fn last_event(
        &self,
        of: Address,
        signature: B256,
        word: B256,
    ) -> BoxFuture<'_, Result<Option<LogData>, ViewError>> {
        let is = |log: &&Log| log.address == of && log.topics().starts_with(&[signature, word]);
        let found = self.events.lock().iter().rfind(is).map(|log| log.data.clone());
        async { Ok(found) }.boxed()
    }
}

struct Scene {
    ledger: Arc<Ledger>,
    keys: Vec<ed25519::PrivateKey>,
    keepers: Vec<Keeper>,
    folder: TempDir,
    asset: B256,
    dealt: Dealt,
    half: OwnerHalf,
    wallet: PrivateKeySigner,
    reading: Reading,
}

fn key(seed: u8) -> ed25519::PrivateKey {
    ed25519::PrivateKey::decode(Copying(&[seed; 32])).unwrap()
}

/// An asset with two of three keepers, all of which have their shares, and a reader who has announced his key.
async fn scene() -> Scene {
    scene_with(true).await
}

/// The same with or without a half of the key that is the owner's.
async fn scene_with(owner_half: bool) -> Scene {
    let (ledger, folder) = (Arc::new(Ledger::new()), tempfile::tempdir().unwrap());
    let keys: Vec<_> = (1..=3).map(key).collect();
    let open = |key: &ed25519::PrivateKey| {
        let folder = folder.path().join(key.public_key().to_string());
        Keeper::open(&folder, key.clone(), CHAIN, ledger.clone(), None).unwrap()
    };
    let keepers = keys.iter().map(open).collect::<Vec<_>>();
    let asset = asset_id(CHAIN, OWNER, B256::ZERO);
    let public: Vec<_> = keys.iter().map(|key| key.public_key()).collect();
    let dealt = deal(AssetId(asset), 2, public.clone(), &mut rand::rng()).unwrap();
    let register = registerCall {
        salt: B256::ZERO,
        object: B256::ZERO,
        sharing: dealt.sharing.digest(),
        needed: 2,
        keepers: public.iter().map(|key| NodeId::from(key).into()).collect(),
        ownerHalf: owner_half,
    };
    assert_eq!(ledger.send(OWNER, register), asset);
    let (wallet, half) = (PrivateKeySigner::random(), OwnerHalf::generate(&mut rand::rng()));
    let reading = Reading::of(&wallet, CHAIN).unwrap();
    let announcement = reading.announcement.encode().to_vec().into();
    ledger.send(wallet.address(), announceCall { announcement });
    let scene = Scene { ledger, keys, keepers, folder, asset, dealt, half, wallet, reading };
    for (keeper, share) in scene.keepers.iter().zip(&scene.dealt.shares) {
        let share = scene.dealt.sharing.seal(share, &mut rand::rng()).unwrap();
        ask(keeper, Request::Share(scene.dealt.sharing.clone(), share)).await.unwrap();
    }
    scene
}

/// Asks as a peer does, through the encoding.
async fn ask(keeper: &Keeper, request: Request) -> Outcome<Vec<u8>> {
    let answered = keeper.answer(NodeId([9; 32]), request.to_bytes()).await;
    stoa_net::read_answer(&answered).map(<[u8]>::to_vec)
}

fn why<T: std::fmt::Debug>(outcome: Outcome<T>) -> String {
    outcome.expect_err("it was done").to_string()
}

/// What lets somebody read, with this half of the key.
fn terms(who: Address, half: B256) -> Terms {
    Terms { half, ..crate::contract::tests::terms(who) }
}

impl Scene {
    /// A grant for the reader, with its half at all keepers.
    async fn grant(&self) -> (B256, GrantedHalf) {
        let id = {
            let call = crate::abi::IConsent::nextGrantCall { asset: self.asset };
            view(&*self.ledger, CONSENT, &call).await.unwrap().0
        };
        let (asset, to): (_, &ReaderKey) = (AssetId(self.asset), &self.reading.key);
        let half = GrantedHalf::seal(asset, GrantId(id), to, &self.half, &mut rand::rng()).unwrap();
        let made =
            self.ledger.send(OWNER, grantCall { asset: self.asset, terms: terms(self.wallet.address(), half.hash()) });
        assert_eq!(made, id);
        for keeper in &self.keepers {
            ask(keeper, Request::Half(half)).await.unwrap();
        }
        (id, half)
    }

    fn use_it(&self, grant: B256) -> B256 {
        self.ledger.send(self.wallet.address(), useGrantCall { grant, kind: READ, algorithm: B256::ZERO })
    }

    async fn receipts(&self, keeper: usize) -> Vec<DeletionReceipt> {
        receipts(&self.keepers[keeper], self.asset).await
    }

    /// A node that is no keeper of the key, and its store.
    fn holder(&self) -> (Keeper, Store) {
        let folder = self.folder.path().join("holder");
        let store = Store::open(folder.join("store"), Limits { margin: 0, ..Limits::default() }).unwrap();
        let keeper = Keeper::open(&folder.join("keeper"), key(9), CHAIN, self.ledger.clone(), Some(store.clone()));
        (keeper.unwrap(), store)
    }
}

/// What a node has signed that it deleted.
async fn receipts(keeper: &Keeper, asset: B256) -> Vec<DeletionReceipt> {
    let bytes = ask(keeper, Request::Receipts(asset)).await.unwrap();
    let receipts = bytes.chunks(DeletionReceipt::SIZE).map(|bytes| DeletionReceipt::decode(Copying(bytes)).unwrap());
    let receipts: Vec<_> = receipts.collect();
    receipts.iter().for_each(|receipt| receipt.verify().unwrap());
    receipts
}

/// A seal of an asset's data.
fn sealed_for(asset: B256) -> Sealed {
    Sealed::new(DataKey::from_bytes([1; 32]), KeySource::Asset(AssetId(asset)))
}

/// Has a store keep something for somebody.
fn kept(store: &Store, content: &[u8], owner: Owner, seal: &dyn Seal) -> Root {
    let object: ObjectId = store.put(content, Put { owner, seal, ..Put::default() }).unwrap();
    Root { object, owner }
}

fn stands(store: &Store, root: Root) -> bool {
    store.kept(root).unwrap().is_some()
}

#[tokio::test]
async fn two_keepers_and_the_owners_half_open_it_and_nothing_less_does() {
    let scene = scene().await;
    let (grant, _) = scene.grant().await;
    let id = scene.use_it(grant);
    let granted = Grant { asset: AssetId(scene.asset), id: GrantId(grant), reader: scene.reading.key.reader() };
    let wanted = Wanted { grant: &granted, sharing: &scene.dealt.sharing, not_before: 0 };
    let mut shares = Vec::new();
    for keeper in &scene.keepers[..2] {
        let bytes = ask(keeper, Request::Release(id)).await.unwrap();
        let release = Release::decode(Copying(&bytes[..])).unwrap();
        shares.push(release.open(&wanted, &scene.reading.secret).unwrap());
    }
    let how = ask(&scene.keepers[2], Request::Sharing(scene.asset)).await.unwrap();
    assert_eq!(Sharing::decode(Copying(&how[..])).unwrap(), scene.dealt.sharing);
    let half = ask(&scene.keepers[0], Request::HalfOf(grant)).await.unwrap();
    let half = GrantedHalf::decode(Copying(&half[..])).unwrap().open(&granted, &scene.reading.secret).unwrap();
    let combined = scene.dealt.sharing.combine(&shares).unwrap();
    let key = |keepers| DataKey::from_halves(&half, keepers, AssetId(scene.asset));
    assert_eq!(key(&combined), key(&scene.dealt.half));
    // One keeper is too few.
    assert!(scene.dealt.sharing.combine(&shares[..1]).is_err());
}

#[tokio::test]
async fn what_the_ledger_does_not_name_is_not_kept() {
    let scene = scene().await;
    let other = deal(AssetId(scene.asset), 2, scene.dealt.sharing.keepers().to_vec(), &mut rand::rng()).unwrap();
    let seal = |sharing: &Sharing, share| sharing.seal(share, &mut rand::rng()).unwrap();
    let forged = Request::Share(other.sharing.clone(), seal(&other.sharing, &other.shares[0]));
    assert!(why(ask(&scene.keepers[0], forged).await).contains("another sharing"));
    // The share of another keeper, and a false one.
    let sharing = &scene.dealt.sharing;
    let swapped = Request::Share(sharing.clone(), seal(sharing, &scene.dealt.shares[1]));
    assert!(why(ask(&scene.keepers[0], swapped).await).contains("does not open"));
    let unknown = deal(AssetId(B256::repeat_byte(9)), 1, vec![scene.keys[0].public_key()], &mut rand::rng()).unwrap();
    let share = seal(&unknown.sharing, &unknown.shares[0]);
    assert!(why(ask(&scene.keepers[0], Request::Share(unknown.sharing, share)).await).contains("no asset"));
    // A half that no grant names.
    let (grant, half) = scene.grant().await;
    let id = GrantId(grant);
    let again = GrantedHalf::seal(AssetId(scene.asset), id, &scene.reading.key, &scene.half, &mut rand::rng()).unwrap();
    assert_ne!(again.hash(), half.hash());
    assert!(why(ask(&scene.keepers[0], Request::Half(again)).await).contains("another half"));
    // What is no request at all.
    for wrong in [vec![], vec![9; 33], vec![7; 2 * LONG], [&Request::Release(grant).to_bytes()[..], &[0]].concat()] {
        let answered = scene.keepers[0].answer(NodeId([9; 32]), wrong).await;
        assert!(why(stoa_net::read_answer(&answered)).contains("the request is none"));
    }
    assert!(why(ask(&scene.keepers[0], Request::Sharing(B256::repeat_byte(9))).await).contains("no asset"));
}

#[tokio::test]
async fn after_a_revocation_nothing_is_released_and_what_was_kept_is_deleted_and_signed() {
    let scene = scene().await;
    let (grant, _) = scene.grant().await;
    let (other, _) = scene.grant().await;
    let (id, still) = (scene.use_it(grant), scene.use_it(other));
    ask(&scene.keepers[0], Request::Release(id)).await.unwrap();
    assert_eq!(scene.receipts(0).await, []);
    scene.ledger.send(OWNER, revokeCall { grant });
    // A use from before, replayed.
    assert!(why(ask(&scene.keepers[0], Request::Release(id)).await).contains("was revoked in block"));
    // Nor is the reader's half given to anybody, before the node has looked.
    assert_eq!(scene.keepers[0].shelf.halves(scene.asset).unwrap().len(), 2);
    assert!(why(ask(&scene.keepers[0], Request::HalfOf(grant)).await).contains("was revoked"));
    let receipts = scene.receipts(0).await;
    assert_eq!(receipts.iter().map(DeletionReceipt::deleted).collect::<Vec<_>>(), [Deleted::Grant(GrantId(grant))]);
    assert_eq!(scene.keepers[0].shelf.halves(scene.asset).unwrap(), [other]);
    // The other grant stands.
    ask(&scene.keepers[0], Request::Release(still)).await.unwrap();
}

#[tokio::test]
async fn a_keeper_that_serves_after_a_revocation_has_signed_the_proof_of_it() {
    let scene = scene().await;
    let (grant, _) = scene.grant().await;
    let id = scene.use_it(grant);
    // Its ledger is wherever it says, but what it says of a use is what was true before.
    let seen = view(&*scene.ledger, CONSENT, &checkUseCall { id }).await.unwrap();
    scene.ledger.send(OWNER, revokeCall { grant });
    let now = scene.ledger.with(|bench| now(bench));
    let answer: Bytes = checkUseCall::abi_encode_returns(&seen.0).into();
    *scene.ledger.frozen.lock() = Some((answer, now));
    let bytes = ask(&scene.keepers[1], Request::Release(id)).await.unwrap();
    let evidence = Release::decode(Copying(&bytes[..])).unwrap().evidence();
    evidence.verify().unwrap();
    assert_eq!(evidence.claim().keeper, scene.keys[1].public_key());
    let breach = evidence.breach(Some(now.number), Some(now.hash)).unwrap();
    assert!(matches!(breach, Some(Breach::AfterRevocation { .. })), "{breach:?}");
    // One that has deleted the reader's half does not even do that.
    *scene.ledger.frozen.lock() = None;
    scene.receipts(2).await;
    *scene.ledger.frozen.lock() = Some((checkUseCall::abi_encode_returns(&seen.0).into(), seen.1));
    assert!(why(ask(&scene.keepers[2], Request::Release(id)).await).contains("has deleted"));
}

#[tokio::test]
async fn a_keeper_that_ended_between_signing_and_deleting_deletes_when_it_looks_again() {
    let scene = scene().await;
    let (grant, half) = scene.grant().await;
    let id = scene.use_it(grant);
    let share = scene.keepers[0].shelf.get(scene.asset, Kind::Share).unwrap().unwrap();
    scene.ledger.send(OWNER, eraseCall { asset: scene.asset });
    assert_eq!(scene.receipts(0).await.len(), 2);
    // As it was before the deletion.
    scene.keepers[0].shelf.put(scene.asset, Kind::Share, &share).unwrap();
    scene.keepers[0].shelf.put_half(scene.asset, grant, &half.encode()).unwrap();
    assert!(ask(&scene.keepers[0], Request::Release(id)).await.is_err());
    assert_eq!(scene.receipts(0).await.len(), 2, "each is signed once");
    assert_eq!(scene.keepers[0].shelf.get(scene.asset, Kind::Share).unwrap(), None);
    assert!(scene.keepers[0].shelf.halves(scene.asset).unwrap().is_empty());
}

#[tokio::test]
async fn an_erased_asset_leaves_no_share_and_a_moved_one_leaves_the_old_keepers() {
    let scene = scene().await;
    let fresh: Vec<B256> = scene.dealt.sharing.keepers().iter().map(|key| NodeId::from(key).into()).collect();
    let (from, sharing, asset) = (scene.dealt.sharing.digest(), B256::repeat_byte(7), scene.asset);
    let call = moveKeepersCall { asset, from, sharing, needed: 2, keepers: fresh, until: 0, votes: vec![] };
    scene.ledger.send(OWNER, call);
    let moved: Vec<_> = scene.receipts(0).await.iter().map(DeletionReceipt::deleted).collect();
    assert_eq!(moved, [Deleted::Sharing(scene.dealt.sharing.digest())]);
    assert_eq!(ask(&scene.keepers[0], Request::Sharing(asset)).await, Err(Denied::NotHere));

    scene.ledger.send(OWNER, eraseCall { asset });
    scene.keepers[1].sweep_all().await.unwrap();
    let erased: Vec<_> = scene.receipts(1).await.iter().map(DeletionReceipt::deleted).collect();
    assert_eq!(erased, [Deleted::Asset]);
    // It is deleted once, and so it stays.
    assert_eq!(scene.receipts(1).await.len(), 1);
    let share = scene.dealt.sharing.seal(&scene.dealt.shares[1], &mut rand::rng()).unwrap();
    let again = Request::Share(scene.dealt.sharing.clone(), share);
    assert!(why(ask(&scene.keepers[1], again).await).contains("was erased"));
}

#[tokio::test]
async fn a_share_that_was_signed_away_is_served_no_more_when_the_ledger_names_it_again() {
    let scene = scene().await;
    let (grant, _) = scene.grant().await;
    let (asset, sharing) = (scene.asset, &scene.dealt.sharing);
    let keepers: Vec<B256> = sharing.keepers().iter().map(|key| NodeId::from(key).into()).collect();
    let name = |from: B256, sharing: B256| {
        let keepers = keepers.clone();
        scene.ledger.send(OWNER, moveKeepersCall { asset, from, sharing, needed: 2, keepers, until: 0, votes: vec![] });
    };
    let share = scene.keepers[0].shelf.get(asset, Kind::Share).unwrap().unwrap();
    name(sharing.digest(), B256::repeat_byte(7));
    let signed = scene.receipts(0).await;
    assert_eq!(signed.iter().map(DeletionReceipt::deleted).collect::<Vec<_>>(), [Deleted::Sharing(sharing.digest())]);
    // The owner names it again, and brings the share. Who released it would have signed the proof against himself.
    name(B256::repeat_byte(7), sharing.digest());
    let again = sharing.seal(&scene.dealt.shares[0], &mut rand::rng()).unwrap();
    let refused = why(ask(&scene.keepers[0], Request::Share(sharing.clone(), again)).await);
    assert!(refused.contains("has signed that it deleted"), "{refused}");
    // Nor does one release it that ended between signing and deleting.
    scene.keepers[0].shelf.put(asset, Kind::Share, &share).unwrap();
    let id = scene.use_it(grant);
    assert!(why(ask(&scene.keepers[0], Request::Release(id)).await).contains("has deleted"));
    // One that has not looked meanwhile has signed nothing.
    ask(&scene.keepers[1], Request::Release(id)).await.unwrap();
}

#[tokio::test]
async fn looks_that_others_ask_for_take_a_part_of_the_time_and_a_nodes_own_go_on() {
    let turns = Turns::new(Instant::now());
    let turn = Turn::of(&turns).await.unwrap();
    let begun = turn.begun;
    tokio::time::sleep(Duration::from_millis(5)).await;
    drop(turn);
    assert!(*turns.lock().await >= begun + (REST + 1) * Duration::from_millis(5));

    let scene = scene().await;
    let (grant, _) = scene.grant().await;
    scene.ledger.send(OWNER, revokeCall { grant });
    // Somebody's look has taken minutes.
    *scene.keepers[0].turns.lock().await = Instant::now() + Duration::from_secs(3600);
    assert_eq!(scene.receipts(0).await, []);
    assert!(why(ask(&scene.keepers[0], Request::HalfOf(grant)).await).contains("was revoked"));
    scene.keepers[0].sweep_all().await.unwrap();
    assert_eq!(scene.receipts(0).await.len(), 1);
    // Another node has time.
    assert_eq!(scene.receipts(1).await.len(), 1);
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart_and_the_disk_alone_tells_no_share() {
    let scene = scene().await;
    let (grant, _) = scene.grant().await;
    let folder = scene.folder.path().join(scene.keys[0].public_key().to_string());
    let again = Keeper::open(&folder, scene.keys[0].clone(), CHAIN, scene.ledger.clone(), None).unwrap();
    ask(&again, Request::Release(scene.use_it(grant))).await.unwrap();
    let share = scene.dealt.shares[0].expose(|share| *share);
    let half = scene.half.expose(|half| *half);
    for entry in std::fs::read_dir(folder.join(scene.asset.to_string())).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(bytes.windows(32).all(|window| window != share && window != half));
    }
    // A damaged share is no share: it is said, and nothing wrong is released.
    let path = folder.join(scene.asset.to_string()).join("share");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(why(ask(&again, Request::Release(scene.use_it(grant))).await).contains("does not open"));
}

#[tokio::test]
async fn what_a_stranger_registers_as_his_own_and_erases_stays_where_it_is() {
    let scene = scene().await;
    let (holder, store) = scene.holder();
    let (stranger, one, other) = (Address::repeat_byte(0xbb), Owner([5; 32]), Owner([6; 32]));
    // Somebody else's data that are sealed, data that anybody may read, and what the node's own operator keeps.
    let sealed = kept(&store, b"rows", one, &sealed_for(scene.asset));
    let open = kept(&store, b"a list", other, &Plain);
    let own = kept(&store, b"mine", Owner::LOCAL, &Plain);
    for (salt, root) in [sealed, open, own].into_iter().enumerate() {
        let register = registerCall {
            salt: B256::with_last_byte(salt as u8),
            object: root.object.0.into(),
            sharing: B256::ZERO,
            needed: 0,
            keepers: vec![],
            ownerHalf: true,
        };
        let asset = scene.ledger.send(stranger, register);
        scene.ledger.send(stranger, eraseCall { asset });
        assert_eq!(receipts(&holder, asset).await, []);
        assert!(stands(&store, root), "somebody else's object was dropped");
    }
    // What is his own goes, and nothing else.
    let asset = asset_id(CHAIN, stranger, B256::ZERO);
    let his = kept(&store, b"rows", one, &sealed_for(asset));
    assert_eq!(receipts(&holder, asset).await.len(), 1);
    assert!(!stands(&store, his) && [sealed, open, own].into_iter().all(|root| stands(&store, root)));
}

#[tokio::test]
async fn an_erased_asset_leaves_none_of_its_files_with_a_node_that_is_no_keeper_of_its_key() {
    let scene = scene().await;
    let (holder, store) = scene.holder();
    let (owner, asset, seal) = (Owner([5; 32]), scene.asset, sealed_for(scene.asset));
    // The ledger names the folder alone. What a node has of it may be any of its files.
    let folder = ObjectId([7; 32]);
    scene.ledger.send(OWNER, setObjectCall { asset, object: folder.0.into() });
    let files = [kept(&store, b"rows", owner, &seal), kept(&store, b"licence", owner, &seal)];
    let pinned = kept(&store, b"more rows", Owner::LOCAL, &seal);
    assert_eq!(receipts(&holder, asset).await, []);
    assert!(files.into_iter().chain([pinned]).all(|root| stands(&store, root)));

    scene.ledger.send(OWNER, eraseCall { asset });
    let signed = receipts(&holder, asset).await;
    assert_eq!(signed.iter().map(DeletionReceipt::deleted).collect::<Vec<_>>(), [Deleted::Asset]);
    assert!(!files.into_iter().chain([pinned]).any(|root| stands(&store, root)));
    // What comes later goes as well, and is signed already.
    let late = kept(&store, b"rows", owner, &seal);
    holder.sweep_all().await.unwrap();
    assert!(!stands(&store, late));
    assert_eq!(receipts(&holder, asset).await, signed);
}

#[tokio::test]
async fn a_revoked_grant_is_signed_away_once_where_keepers_alone_release_the_key() {
    let scene = scene_with(false).await;
    let (asset, who) = (scene.asset, scene.wallet.address());
    let allow = || scene.ledger.send(OWNER, grantCall { asset, terms: terms(who, B256::ZERO) });
    let (grant, other) = (allow(), allow());
    let (id, still) = (scene.use_it(grant), scene.use_it(other));
    let seen = view(&*scene.ledger, CONSENT, &checkUseCall { id }).await.unwrap();
    assert_eq!(scene.receipts(0).await, []);
    scene.ledger.send(OWNER, revokeCall { grant });
    let signed = scene.receipts(0).await;
    assert_eq!(signed.iter().map(DeletionReceipt::deleted).collect::<Vec<_>>(), [Deleted::Grant(GrantId(grant))]);
    let (is, _) = view(&*scene.ledger, CONSENT, &grantOfCall { grant }).await.unwrap();
    assert!(signed[0].seen().number >= is.revoked);
    assert_eq!(scene.receipts(0).await, signed, "it is signed once");
    // Whatever its ledger says then, it serves the other grant alone.
    ask(&scene.keepers[0], Request::Release(still)).await.unwrap();
    *scene.ledger.frozen.lock() = Some((checkUseCall::abi_encode_returns(&seen.0).into(), seen.1));
    assert!(why(ask(&scene.keepers[0], Request::Release(id)).await).contains("has deleted"));
    // The end of the asset is the end of all its grants: one signature for them.
    scene.ledger.send(OWNER, eraseCall { asset });
    let all: Vec<_> = scene.receipts(0).await.iter().map(DeletionReceipt::deleted).collect();
    assert_eq!(all, [Deleted::Grant(GrantId(grant)), Deleted::Asset]);
}

//! What a node does as a keeper: it keeps shares of keys, and releases them while its own copy of the ledger says that it may.
//!
//! Before a share or half is kept, and before each release, the ledger is asked, at its newest block: is this the sharing
//! that the owner registered; does the grant of this use stand. A release names that block and is signed, so that who
//! releases after a revocation has proven it against himself. What the ledger has ended is deleted when the node next looks,
//! at an interval and whenever somebody asks for receipts, and the deletion is signed as well. A grant that a node has signed
//! away it serves no more, whatever the ledger says then, and a share that it has signed away neither. Of an asset that was erased its
//! data go as well: the objects that say themselves that they are sealed for it ([`pieces`]), whatever object the ledger names.
//!
//! Anybody may ask, and have a node look, as often as he likes. So looks that others ask for come one after the other, and take a quarter
//! of the time at most ([`Turn`]); and what takes long to work out is worked out beside everything else, one at a time.
//!
//! When a keeper leaves the registry of nodes, or answers the others no more for half a day ([`silent`]), they move the key's
//! shares to a new circle ([`plan`], [`moving`]): one of them, another at each look, has them dealt, taken and agreed to
//! ([`Look`]). Who has left goes on serving and deals as well, where it was registered last, until others have taken over; so more may
//! leave at once than may be lost. One move takes fewer new keepers than release the key: where too many have left, its owner moves it.
//! What a keeper has of a move it keeps until the next, so that it can give a fellow that was away its share later. It holds what was dealt
//! to all of them, each part sealed to a node's key: see [`stoa_privacy`] for what that means where such a key is stolen.
//!
//! Who brings moves is a keeper of the key that is or was a registered node, or has its owner's word. Each has a room for those that the
//! ledger has not named, and they wait for a day ([`moving`]): an account may register any assets and keepers that it likes.

mod look;
mod moving;
mod pieces;
pub mod plan;
mod shelf;
mod silent;
#[cfg(test)]
pub(crate) mod tests;
mod wire;

pub use look::{Circle, Look, Moving, MovingError};
pub use moving::Taken;
pub use wire::{KEEPER, MOST_ANSWER, Request};

use crate::abi::{
    CONSENT,
    IConsent::{Asset, IConsentErrors, announcementOfCall, assetOfCall, checkUseCall, grantOfCall, grantsOfCall},
    READ,
};
use crate::registry::Registry;
use alloy_primitives::{B256, U256};
use alloy_sol_types::SolCall;
use commonware_codec::{Copying, DecodeExt as _, Encode as _, FixedSize as _};
use commonware_cryptography::{Signer as _, ed25519};
use futures::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use pieces::Pieces;
use shelf::{Kind, Shelf};
use silent::Hearing;
use std::{collections::BTreeSet, io, path::Path, sync::Arc, time::Duration};
use stoa_base::NodeId;
use stoa_client::{At, Chain, ViewError, view};
use stoa_net::{Denied, Service, answer};
use stoa_privacy::{
    Announcement, AssetId, Deleted, DeletionReceipt, Grant, GrantId, GrantedHalf, Reader, Release, SealedSecret, Seen,
    Sharing,
};
use stoa_store::Store;
use tokio::{
    sync::{Mutex as Turns, MutexGuard, Semaphore},
    task::spawn_blocking,
    time::{Instant, sleep_until, timeout},
};

/// Halves that are kept for one asset at most: one for each of its readers.
const MOST_HALVES: usize = 10_000;

/// Grants of one asset that are looked at, at most: anybody may have a node look.
const MOST_GRANTS: usize = 10_000;

/// Grants that one question brings.
const PAGE: usize = 500;

/// For how many times as long as a look has taken that somebody asked for, nobody else gets one.
const REST: u32 = 3;

/// How long somebody waits for such a look, once for those before him and once for his own. Who gets none is told what was signed before,
/// and the node's own look does the rest.
const WAIT: Duration = Duration::from_secs(2);

/// Bytes of a request from which on it takes long to read: each point of the curve takes some microseconds.
const LONG: usize = 8 << 10;

/// A keeper.
pub struct Keeper {
    key: ed25519::PrivateKey,
    chain_id: u64,
    chain: Arc<dyn Chain>,
    registry: Registry,
    shelf: Shelf,
    /// Pieces of an asset's data go with it when it is erased.
    pieces: Option<Pieces>,
    /// Held while something on the shelf changes. Who waits for it keeps no thread.
    changing: Turns<()>,
    /// Which other keepers do not answer.
    silent: Mutex<Hearing>,
    /// From when on somebody may have this node look.
    turns: Turns<Instant>,
    /// Held while something is worked out that takes long.
    working: Arc<Semaphore>,
}

type Outcome<T> = Result<T, Denied>;

fn refused<T>(why: impl Into<String>) -> Outcome<T> {
    Err(Denied::Refused(why.into()))
}

/// Somebody has this node look. When it has, or he is gone before the end, others wait for [`REST`] times as long.
struct Turn<'a> {
    next: MutexGuard<'a, Instant>,
    begun: Instant,
}

impl<'a> Turn<'a> {
    /// Nothing if it does not come soon.
    async fn of(turns: &'a Turns<Instant>) -> Option<Self> {
        let next = timeout(WAIT, turns.lock()).await.ok()?;
        if *next > Instant::now() + WAIT {
            return None;
        }
        sleep_until(*next).await;
        Some(Self { next, begun: Instant::now() })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.next = Instant::now() + REST * self.begun.elapsed();
    }
}

/// What a look has found of an asset.
struct Found {
    /// Grants that are over.
    revoked: Vec<B256>,
    /// The node's share of the key as it is shared now, if it has moved here, as it lies on the shelf.
    arrived: Option<Vec<u8>>,
    /// Whether there are pieces of its data that go.
    pieces: bool,
}

/// The disk's troubles are this node's own business.
fn disk(error: io::Error) -> Denied {
    tracing::error!(%error, "a keeper's folder cannot be read or written");
    Denied::Refused("the keeper's disk refuses; ask later".into())
}

/// Works something out while this thread does other things.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Outcome<T> {
    spawn_blocking(work).await.map_err(|error| disk(io::Error::other(error)))
}

impl Keeper {
    /// Opens a keeper's folder. `chain` is the node's own copy of the ledger, `store` where it keeps pieces for others.
    ///
    /// # Errors
    ///
    /// If the folder cannot be made.
    pub fn open(
        folder: &Path,
        key: ed25519::PrivateKey,
        chain_id: u64,
        chain: Arc<dyn Chain>,
        store: Option<Store>,
    ) -> io::Result<Self> {
        let (registry, shelf, pieces) = (Registry::new(chain.clone()), Shelf::open(folder)?, store.map(Pieces::new));
        let silent = Mutex::new(Hearing::open(folder.join("silent")));
        let (turns, working) = (Turns::new(Instant::now()), Arc::new(Semaphore::new(1)));
        Ok(Self { key, chain_id, chain, registry, shelf, pieces, changing: Turns::default(), silent, turns, working })
    }

    /// Works out what takes long, when what came before is done, and while this node does other things.
    async fn apart<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Outcome<T> {
        let turn = self.working.clone().acquire_owned().await;
        // Whoever asked may be gone before the end: the next one begins then all the same, and no sooner.
        beside(move || {
            let _turn = turn;
            work()
        })
        .await
    }

    /// The node's key.
    pub fn id(&self) -> NodeId {
        NodeId::from(&self.key.public_key())
    }

    async fn asks<C: SolCall>(&self, call: &C) -> Outcome<(C::Return, At)> {
        view(&*self.chain, CONSENT, call).await.map_err(|error| match &error {
            ViewError::Reverted(_) => match error.reason::<IConsentErrors>() {
                Some(reason) => Denied::Refused(crate::client::words(&reason)),
                None => Denied::Refused("the ledger says no".into()),
            },
            _ => {
                tracing::error!(%error, "a keeper cannot read its own ledger");
                Denied::Refused("the keeper's ledger cannot be read; ask later".into())
            }
        })
    }

    async fn handle(&self, from: NodeId, request: Request) -> Outcome<Vec<u8>> {
        match request {
            Request::Share(sharing, share) => self.keep_share(&sharing, &share).await.map(|()| Vec::new()),
            Request::Half(half) => self.keep_half(&half).await.map(|()| Vec::new()),
            Request::Sharing(asset) => {
                let (sharing, _) = self.share_now(asset).await?;
                Ok(sharing.encode().to_vec())
            }
            Request::HalfOf(grant) => {
                let (is, _) = self.asks(&grantOfCall { grant }).await?;
                if is.revoked > 0 {
                    return refused("the grant was revoked");
                }
                self.shelf.half(is.asset, grant).map_err(disk)?.ok_or(Denied::NotHere)
            }
            Request::Release(id) => self.release(id).await,
            Request::Receipts(asset) => self.receipts(asset).await,
            Request::Deal(asset, plan, signature) => self.deal(from, asset, &plan, signature.as_ref()).await,
            Request::Take(moved, signature) => {
                self.take(from, moved.into(), signature.as_ref()).await.map(|taken| taken.to_bytes())
            }
            Request::Vote(moved, acceptances) => self.vote(from, moved.into(), &acceptances).await,
        }
    }

    /// The sharing of an asset, and the node's share as it came.
    fn share(&self, asset: B256) -> Outcome<Option<(Sharing, SealedSecret)>> {
        let Some(bytes) = self.shelf.get(asset, Kind::Share).map_err(disk)? else { return Ok(None) };
        let damaged = || disk(io::Error::other(format!("the share of asset {asset} is damaged")));
        let split = bytes.len().checked_sub(SealedSecret::SIZE).ok_or_else(damaged)?;
        let (sharing, share) = bytes.split_at(split);
        let sharing = Sharing::decode(Copying(sharing)).map_err(|_| damaged())?;
        Ok(Some((sharing, SealedSecret::decode(Copying(share)).map_err(|_| damaged())?)))
    }

    /// The share that this node has of a key as the ledger says that it is shared now: one that has moved here takes its place as
    /// soon as somebody asks.
    async fn share_now(&self, asset: B256) -> Outcome<(Sharing, SealedSecret)> {
        let fits = |found: &(Sharing, SealedSecret), is: &Asset| found.0.digest() == is.sharing;
        let (mut found, (is, _)) = (self.share(asset)?, self.asks(&assetOfCall { asset }).await?);
        if !found.as_ref().is_some_and(|found| fits(found, &is)) && !self.shelf.moves(asset).is_empty() {
            self.sweep_for_others(asset).await?;
            found = self.share(asset)?;
        }
        found.filter(|found| fits(found, &is)).ok_or(Denied::NotHere)
    }

    async fn keep_share(&self, sharing: &Sharing, share: &SealedSecret) -> Outcome<()> {
        let asset = sharing.asset().0;
        let (is, _) = self.asks(&assetOfCall { asset }).await?;
        if is.erased > 0 {
            return refused("the asset was erased");
        }
        if is.sharing != sharing.digest() {
            return refused("the ledger names another sharing of this asset");
        }
        if self.has_deleted(asset, &[Deleted::Sharing(sharing.digest())])? {
            return refused("this keeper has signed that it deleted this share; the key must be shared anew");
        }
        if let Err(error) = sharing.open(share, &self.key) {
            return refused(error.to_string());
        }
        let _changing = self.changing.lock().await;
        self.shelf.put(asset, Kind::Share, &moving::share_bytes(sharing, share)).map_err(disk)
    }

    async fn keep_half(&self, half: &GrantedHalf) -> Outcome<()> {
        let (asset, grant) = (half.grant.asset.0, half.grant.id.0);
        let (is, _) = self.asks(&grantOfCall { grant }).await?;
        if is.revoked > 0 {
            return refused("the grant was revoked");
        }
        if is.asset != asset || is.terms.half != half.hash() {
            return refused("the ledger names another half for this grant");
        }
        let _changing = self.changing.lock().await;
        if self.shelf.get(asset, Kind::Share).map_err(disk)?.is_none() {
            return refused("this node keeps no share of the asset");
        }
        if self.shelf.halves(asset).map_err(disk)?.len() >= MOST_HALVES {
            return refused("the asset has too many grants here");
        }
        self.shelf.put_half(asset, grant, &half.encode()).map_err(disk)
    }

    /// The node's share, sealed to the reader of a use whose grant stands now.
    async fn release(&self, id: B256) -> Outcome<Vec<u8>> {
        let (used, at) = self.asks(&checkUseCall { id }).await?;
        if used.kind != READ {
            return refused("the grant is for computing where the data are: the key goes to no reader");
        }
        let (sharing, share) = self.share_now(used.asset).await?;
        let over = [Deleted::Grant(GrantId(used.grant)), Deleted::Sharing(sharing.digest())];
        if self.has_deleted(used.asset, &over)? {
            return refused("this keeper has deleted what it had for this grant");
        }
        let (announcement, _) = self.asks(&announcementOfCall { wallet: used.user }).await?;
        let announced = Announcement::decode(Copying(&announcement[..])).ok();
        let reader = announced.and_then(|announced| announced.verify(self.chain_id).ok());
        let Some(reader) = reader.filter(|reader| reader.reader() == Reader::Wallet(used.user)) else {
            return refused(format!("{} has announced no key to seal to", used.user));
        };
        let share = sharing.open(&share, &self.key).map_err(|error| Denied::Refused(error.to_string()))?;
        let grant = Grant { asset: AssetId(used.asset), id: GrantId(used.grant), reader: reader.reader() };
        let release = Release::new(&self.key, &sharing, &share, &grant, &reader, seen(at), &mut rand::rng());
        release.map(|release| release.encode().to_vec()).map_err(|error| Denied::Refused(error.to_string()))
    }

    /// Whether this node has signed that it deleted one of these, or all that it had of the asset. The ledger may name again what was
    /// signed away: its owner moves a key to any sharing that he likes.
    fn has_deleted(&self, asset: B256, what: &[Deleted]) -> Outcome<bool> {
        let is = |deleted: Deleted| deleted == Deleted::Asset || what.contains(&deleted);
        Ok(self.signed(asset)?.iter().map(DeletionReceipt::deleted).any(is))
    }

    /// What this node has signed that it deleted.
    fn signed(&self, asset: B256) -> Outcome<Vec<DeletionReceipt>> {
        let bytes = self.shelf.get(asset, Kind::Receipts).map_err(disk)?.unwrap_or_default();
        let receipts = bytes.chunks_exact(DeletionReceipt::SIZE).map(|bytes| DeletionReceipt::decode(Copying(bytes)));
        receipts.collect::<Result<_, _>>().map_err(|error| disk(io::Error::other(error)))
    }

    async fn receipts(&self, asset: B256) -> Outcome<Vec<u8>> {
        self.sweep_for_others(asset).await?;
        let receipts = self.signed(asset)?;
        let newest = &receipts[receipts.len().saturating_sub(MOST_ANSWER / DeletionReceipt::SIZE - 1)..];
        Ok(newest.iter().flat_map(|receipt| receipt.encode().to_vec()).collect())
    }

    /// The grants of an asset, in the order in which they were made: so many at least, if there are as many.
    async fn grants(&self, asset: B256, most: usize) -> Outcome<Vec<B256>> {
        let mut grants = Vec::new();
        while grants.len() < most {
            let page = grantsOfCall { asset, from: U256::from(grants.len()), most: U256::from(PAGE) };
            let (page, _) = self.asks(&page).await?;
            let is_last = page.len() < PAGE;
            grants.extend(page);
            if is_last {
                break;
            }
        }
        Ok(grants)
    }

    /// The grants that the ledger has revoked, of those for which this node keeps something: a reader's half, or its share, which
    /// it releases for grants without such a half as well. What it has signed away is not looked at again.
    async fn revoked(&self, asset: B256, is: &Asset) -> Outcome<Vec<B256>> {
        let mut kept: BTreeSet<_> = self.shelf.halves(asset).map_err(disk)?.into_iter().collect();
        // With an asset that was erased its share goes, and with that all its grants.
        if is.erased == 0 && self.shelf.get(asset, Kind::Share).map_err(disk)?.is_some() {
            let known: BTreeSet<_> = self.signed(asset)?.iter().map(DeletionReceipt::deleted).map(grant_of).collect();
            let grants = self.grants(asset, MOST_GRANTS).await?;
            kept.extend(grants.into_iter().filter(|grant| !known.contains(&Some(*grant))));
        }
        let mut revoked = Vec::new();
        for grant in kept {
            if self.asks(&grantOfCall { grant }).await?.0.revoked > 0 {
                revoked.push(grant);
            }
        }
        Ok(revoked)
    }

    /// Deletes what the ledger has ended of an asset, and signs that. The block at which it looked.
    ///
    /// # Errors
    ///
    /// If the ledger or the disk cannot be read.
    pub async fn sweep(&self, asset: B256) -> Result<At, Denied> {
        let (mut is, at) = self.asks(&assetOfCall { asset }).await?;
        self.note_beginnings(asset, &is, at.timestamp).await?;
        let revoked = self.revoked(asset, &is).await?;
        let (changing, at, arrived) = loop {
            let (to, arriving) = (is.sharing, self.arriving(asset, &is).await?);
            let changing = self.changing.lock().await;
            // Asked again: what is signed names a block at which all of it was over.
            let (now, at) = self.asks(&assetOfCall { asset }).await?;
            is = now;
            if is.sharing == to {
                break (changing, at, arriving.filter(|_| is.erased == 0));
            }
        };
        let mut found = Found { revoked, arrived, pieces: false };
        let Some(pieces) = self.pieces.as_ref().filter(|_| is.erased > 0) else {
            return self.delete(asset, &is, at, &found).map(|()| at);
        };
        // It may take long, and what was erased stays erased.
        drop(changing);
        let stored = |error: stoa_store::Error| disk(io::Error::other(error));
        let roots = pieces.of(AssetId(asset)).await.map_err(stored)?;
        found.pieces = !roots.is_empty();
        let changing = self.changing.lock().await;
        self.delete(asset, &is, at, &found)?;
        drop(changing);
        pieces.let_go(roots).await.map_err(stored)?;
        Ok(at)
    }

    /// The same because somebody asks, unless it is not his turn for too long.
    async fn sweep_for_others(&self, asset: B256) -> Outcome<()> {
        let Some(_turn) = Turn::of(&self.turns).await else { return Ok(()) };
        self.sweep(asset).await.map(drop)
    }

    /// Deletes what is over of an asset from the shelf, and signs that, while nothing else changes there; puts a share that has arrived in
    /// its place.
    fn delete(&self, asset: B256, is: &Asset, at: At, found: &Found) -> Outcome<()> {
        let here = self.share(asset)?.map(|(sharing, _)| sharing.digest());
        let share = match here {
            Some(_) if is.erased > 0 => Some(Deleted::Asset),
            Some(sharing) if sharing != is.sharing => Some(Deleted::Sharing(sharing)),
            _ => None,
        };
        let mut over: Vec<_> = found.revoked.iter().map(|grant| Deleted::Grant(GrantId(*grant))).collect();
        over.extend(share);
        if found.pieces && !over.contains(&Deleted::Asset) {
            over.push(Deleted::Asset);
        }
        // Signed first: whatever happens in between, nothing is served that was signed away, and the next look deletes the rest.
        if !over.is_empty() {
            self.sign(asset, over, at)?;
        }
        for grant in &found.revoked {
            self.shelf.remove_half(asset, *grant).map_err(disk)?;
        }
        if let Some(arrived) = &found.arrived {
            self.shelf.put(asset, Kind::Share, arrived).map_err(disk)?;
        } else if share.is_some() {
            self.shelf.remove(asset, Kind::Share).map_err(disk)?;
        }
        let has_share = found.arrived.is_some() || here == Some(is.sharing);
        self.clear_moves(asset, is, at.timestamp, has_share)
    }

    /// Signs that this was deleted, so far as it has not before.
    fn sign(&self, asset: B256, over: Vec<Deleted>, at: At) -> Outcome<()> {
        let known: Vec<_> = self.signed(asset)?.iter().map(DeletionReceipt::deleted).collect();
        let mut bytes = self.shelf.get(asset, Kind::Receipts).map_err(disk)?.unwrap_or_default();
        for deleted in over.into_iter().filter(|deleted| !known.contains(deleted)) {
            bytes.extend(DeletionReceipt::new(&self.key, AssetId(asset), deleted, seen(at)).encode());
        }
        self.shelf.put(asset, Kind::Receipts, &bytes).map_err(disk)
    }

    /// Looks at everything that is kept, as [`sweep`](Self::sweep) does at one asset.
    ///
    /// # Errors
    ///
    /// If the ledger or the disk cannot be read.
    pub async fn sweep_all(&self) -> Result<(), Denied> {
        for asset in self.shelf.assets().map_err(disk)? {
            self.sweep(asset).await?;
        }
        Ok(())
    }
}

/// The grant that a receipt is about, if it is about one.
fn grant_of(deleted: Deleted) -> Option<B256> {
    match deleted {
        Deleted::Grant(id) => Some(id.0),
        Deleted::Sharing(_) | Deleted::Asset => None,
    }
}

fn seen(at: At) -> Seen {
    Seen { number: at.number, hash: at.hash }
}

impl Service for Keeper {
    const MOST_REQUEST: usize = wire::MOST_REQUEST;

    fn answer(&self, from: NodeId, request: Vec<u8>) -> BoxFuture<'_, Vec<u8>> {
        async move {
            let read = match request.len() {
                ..LONG => Ok(Request::from_bytes(&request)),
                _ => self.apart(move || Request::from_bytes(&request)).await,
            };
            let handled = match read {
                Ok(Ok(request)) => self.handle(from, request).await,
                Ok(Err(error)) => refused(format!("the request is none: {error}")),
                Err(why) => Err(why),
            };
            answer(handled)
        }
        .boxed()
    }
}

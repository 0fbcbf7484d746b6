//! What a keeper does in a move: as an old one it deals and agrees, as a new one it takes its share.
//!
//! ```text
//!  who moves          old keepers                new keepers              ledger
//!     │ deal ───────────▶│ the plan is its own
//!     │◀──────── dealing │ too, or the owner's
//!     │ take ────────────────────────────────────▶│ the parts are true
//!     │◀──────────────────────────── acceptance   │
//!     │ vote ───────────▶│ enough have accepted
//!     │◀────────── vote  │
//!     │ moveKeepers, votes ───────────────────────────────────────────────▶│
//! ```
//!
//! Until the ledger names the new sharing, old keepers keep what they have, and new ones have something more that is good
//! for nothing. Whoever stops in between, or lies, has spoilt nothing. A vote is good for a quarter of an hour of the ledger's time:
//! who was silent when it was given, and is not when it is shown, keeps its place.
//!
//! The ledger names no move that begins in another sharing than it names now, nor an owner's half a day after that was begun: those who
//! took it may have let go of it, and where it is named the old keepers let go of what they have.
//!
//! Anybody may register an asset, name any keys as its keepers, and deal its shares to any node. So a move is taken from a keeper of
//! the key that is or was a registered node, or under the owner's signature, and each of them has room for some: none makes place for
//! another, for the ledger may name any that was taken. One that it has not named a day after it was brought last goes. Of a named one
//! the share is put in its place, and the move stays for fellows that were away, unless it is long and moves fill their room. Whatever
//! others bring, everybody has room for short ones: what a stranger fills so he has paid for, node by node and asset by asset.

use super::{
    Keeper, Outcome, beside, disk,
    plan::{Acceptance, Move, Plan},
    refused,
    shelf::Brought,
};
use crate::{
    abi::IConsent::{Asset, assetOfCall},
    contract::{Consent, move_digest},
    registry::sign_digest,
};
use alloy_primitives::B256;
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_cryptography::ed25519;
use std::{collections::BTreeSet, sync::Arc};
use stoa_base::NodeId;
use stoa_client::{At, ViewError, view};
use stoa_contract::nodes::{
    self,
    INodes::{Node, noncesCall},
};
use stoa_net::Denied;
use stoa_privacy::{HandoverError, Sharing};

/// Moves of one asset that wait for the ledger here at most, for each keeper that brings them, and for its owner.
pub(super) const MOST_MOVES: usize = 16;

/// Bytes that they have at most: two of the longest.
pub(super) const ROOM_OF_ASSET: u64 = 1 << 20;

/// Bytes of moves that one keeper has brought and that wait here at most, of all assets.
pub(super) const ROOM_OF_KEEPER: u64 = 16 << 20;

/// Bytes of all moves here, those that the ledger has named as well, from which on nobody has more room than is [`SURE`].
pub(super) const ROOM: u64 = 1 << 30;

/// Bytes of moves for which each keeper, and the owner of each asset, has room whatever others have brought. Circles of up to 14 of 20
/// have shorter moves.
pub(super) const SURE: u64 = 32 << 10;

/// Seconds for which a move waits for the ledger after it was brought last.
pub(super) const WAITS: u64 = 24 * 3600;

/// Seconds after that by which the ledger has to name it, and does not later: before those who took it let go of it, though their
/// ledgers be behind.
pub(super) const IN_TIME: u64 = WAITS / 2;

/// Seconds for which a vote for a move is good.
pub(super) const VOTE: u64 = 900;

/// Why somebody moves no shares.
const NO_KEEPER: &str = "only a keeper of this key, or who has its owner's signature, moves its shares";
const NO_OWNER: &str = "it is not the asset's owner who signed that you may have shares moved there";

/// What a new keeper says of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It has its share.
    Accepted(Box<Acceptance>),
    /// These old keepers dealt it false parts.
    False(Vec<NodeId>),
}

impl Taken {
    /// As it is sent: `0 | acceptance 96`, or `1 | keys, 32 each`.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Accepted(acceptance) => [&[0][..], &acceptance.encode()].concat(),
            Self::False(dealers) => {
                let keys = dealers.iter().flat_map(|dealer| dealer.0);
                std::iter::once(1).chain(keys).collect()
            }
        }
    }

    /// Reads what a peer sent.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (0, acceptance) => Acceptance::decode(Copying(acceptance)).ok().map(Box::new).map(Self::Accepted),
            (1, keys) if keys.len() % 32 == 0 && !keys.is_empty() => {
                let dealers = keys.chunks_exact(32).map(|key| NodeId(key.try_into().expect("they are 32 bytes")));
                Some(Self::False(dealers.collect()))
            }
            _ => None,
        }
    }
}

impl Keeper {
    /// Deals this node's share to the keepers that follow.
    pub(super) async fn deal(
        &self,
        from: NodeId,
        asset: B256,
        plan: &Plan,
        signature: Option<&[u8; 65]>,
    ) -> Outcome<Vec<u8>> {
        // The last move may have come just now.
        let (sharing, share) = self.share_now(asset).await?;
        let (is, at) = self.current(asset, &sharing).await?;
        match signature {
            Some(signature) if plan.is_signed_by(is.owner, self.chain_id, &sharing, from, signature) => {}
            Some(_) => return refused(NO_OWNER),
            None => self.agrees(from, &sharing, plan, at.timestamp).await?,
        }
        let (key, plan) = (self.key.clone(), plan.clone());
        let dealt = move || {
            let handover = plan.handover(&sharing)?;
            handover.deal(&sharing.open(&share, &key)?, &key, &mut rand::rng())
        };
        let dealing = self.apart(dealt).await?.map_err(no_move)?;
        Ok(dealing.encode().to_vec())
    }

    /// The asset, if this is how its key is shared now.
    async fn current(&self, asset: B256, sharing: &Sharing) -> Outcome<(Asset, At)> {
        let (is, at) = self.asks(&assetOfCall { asset }).await?;
        if is.erased > 0 {
            return refused("the asset was erased");
        }
        if is.sharing != sharing.digest() {
            return refused("the ledger names another sharing of this asset");
        }
        Ok((is, at))
    }

    /// Whether it is a fellow keeper who asks, and the shares go there.
    async fn agrees(&self, from: NodeId, sharing: &Sharing, plan: &Plan, now: u64) -> Outcome<()> {
        if !is_among(sharing.keepers(), from) {
            return refused(NO_KEEPER);
        }
        let (nodes, silent) = self.others(now).await?;
        if !plan.stands(sharing, &nodes, &silent) {
            return refused("by this node's registry, and by whom it hears, the shares go elsewhere, or stay");
        }
        Ok(())
    }

    /// Where the shares go, as this node sees the registry and hears the others; nothing if they stay.
    pub(super) async fn follows(&self, sharing: &Sharing, now: u64) -> Outcome<Option<Plan>> {
        let (nodes, silent) = self.others(now).await?;
        Ok(Plan::without(sharing, &nodes, &silent))
    }

    /// All nodes, and those of them that have been silent for the whole grace.
    async fn others(&self, now: u64) -> Outcome<(Arc<Vec<Node>>, BTreeSet<B256>)> {
        let nodes = self.registry.nodes().await.map_err(unread)?;
        let silent = self.silent.lock().gone(now);
        Ok((nodes, silent))
    }

    /// Takes this node's share of a key that moves here, or has.
    pub(super) async fn take(&self, from: NodeId, moved: Arc<Move>, signature: Option<&[u8; 65]>) -> Outcome<Taken> {
        let asset = moved.asset().0;
        let (is, at) = self.asks(&assetOfCall { asset }).await?;
        if is.erased > 0 {
            return refused("the asset was erased");
        }
        let waits = is.sharing == moved.from.digest();
        // Those who keep it now: before the ledger names the move, or, if it has, after it.
        let keepers = if waits { moved.from.keepers() } else { &moved.plan.keepers[..] };
        let by = self.brings(from, keepers, &is, &moved, signature).await?;
        let (key, given) = (self.key.clone(), moved);
        let finished = move || given.finish(&key).map(|(sharing, _)| (sharing, given.encode()));
        let (sharing, bytes) = match self.apart(finished).await? {
            Ok(finished) => finished,
            Err(HandoverError::FalseParts(dealers)) => return Ok(Taken::False(dealers)),
            Err(error) => return Err(no_move(error)),
        };
        let to = sharing.digest();
        if waits {
            let brought = Brought { to, from: Some(is.sharing), by, since: at.timestamp };
            self.keep_move(asset, brought, &bytes).await?;
        } else if is.sharing == to {
            self.keep_move(asset, Brought::named(to), &bytes).await?;
            self.sweep_for_others(asset).await?;
        } else {
            return refused("the ledger names another sharing of this asset");
        }
        Ok(Taken::Accepted(Box::new(Acceptance::new(&self.key, &sharing))))
    }

    /// Who brings a move, if he may: one of these keepers, or its owner, who is nobody here: he has as many keys as he likes.
    async fn brings(
        &self,
        from: NodeId,
        keepers: &[ed25519::PublicKey],
        is: &Asset,
        moved: &Move,
        signature: Option<&[u8; 65]>,
    ) -> Outcome<Option<B256>> {
        if let Some(signature) = signature {
            let is_owner = moved.plan.is_signed_by(is.owner, self.chain_id, &moved.from, from, signature);
            return if is_owner { Ok(None) } else { refused(NO_OWNER) };
        }
        if !is_among(keepers, from) {
            return refused(NO_KEEPER);
        }
        // Who has left goes on until others have taken over. Keys that never were nodes cost nothing.
        let key = B256::from(from);
        let (times, _) = view(&*self.chain, nodes::ADDRESS, &noncesCall { key }).await.map_err(unread)?;
        if times.is_zero() {
            return refused("you never were registered as a node, and keepers of keys are");
        }
        Ok(Some(key))
    }

    /// Keeps a move. One that is here waits for as long again.
    async fn keep_move(&self, asset: B256, brought: Brought, bytes: &[u8]) -> Outcome<()> {
        let _changing = self.changing.lock().await;
        let here = self.shelf.moves(asset).into_iter().find(|other| other.to == brought.to);
        match here {
            Some(other) if brought.from.is_some() => {
                let again = Brought { by: other.by, ..brought };
                self.shelf.rename_move(asset, other, again).map_err(disk)
            }
            Some(_) => Ok(()),
            None if brought.from.is_none() && self.has_share(asset, brought.to)? => Ok(()),
            None => {
                self.has_room(asset, &brought, bytes.len() as u64)?;
                self.shelf.put_move(asset, brought, bytes).map_err(disk)
            }
        }
    }

    /// Whether so many bytes of a move have room. The one of an asset that the ledger names has, until its share is in its place.
    pub(super) fn has_room(&self, asset: B256, brought: &Brought, bytes: u64) -> Outcome<()> {
        if brought.from.is_none() {
            return Ok(());
        }
        let waits = |other: &Brought| other.from.is_some() && other.by == brought.by;
        let count = self.shelf.moves(asset).iter().filter(|other| waits(other)).count();
        let of_asset = self.shelf.bytes(|of, other| of == asset && waits(other));
        if count >= MOST_MOVES || of_asset + bytes > ROOM_OF_ASSET {
            return refused("too many moves of this key that you have brought wait here already");
        }
        let of_all = if brought.by.is_some() { self.shelf.bytes(|_, other| waits(other)) } else { of_asset };
        if of_all + bytes > ROOM_OF_KEEPER {
            return refused("too many moves of all keys that you have brought wait here already");
        }
        if of_all + bytes > SURE && self.shelf.bytes(|_, _| true) + bytes > ROOM {
            return refused("moves fill the room that this keeper has for them; bring so long a one later");
        }
        Ok(())
    }

    /// Agrees to a move for a while, if enough of the new keepers have their shares, and this one does if it is one of them:
    /// `until (8) | signature (64)`.
    pub(super) async fn vote(&self, from: NodeId, moved: Arc<Move>, acceptances: &[Acceptance]) -> Outcome<Vec<u8>> {
        let (is, at) = self.current(moved.asset().0, &moved.from).await?;
        self.agrees(from, &moved.from, &moved.plan, at.timestamp).await?;
        let given = moved.clone();
        let sharing = self.apart(move || given.sharing()).await?.map_err(no_move)?;
        let mut accepted: Vec<_> = acceptances.iter().filter(|acceptance| acceptance.holds(&sharing)).collect();
        accepted.sort_by(|one, other| one.keeper.cmp(&other.keeper));
        accepted.dedup_by(|one, other| one.keeper == other.keeper);
        if accepted.len() < moved.plan.enough() {
            return refused(format!("{} new keepers have their shares, {} must", accepted.len(), moved.plan.enough()));
        }
        // Whoever moves the shares chooses whom he asks, and may leave out one that was dealt something false.
        if is_among(sharing.keepers(), self.id())
            && let Taken::False(dealers) = self.take(from, moved, None).await?
        {
            let dealers = dealers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return refused(format!("what this keeper was dealt is false, by {dealers}"));
        }
        let until = at.timestamp.saturating_add(VOTE);
        let digest = Consent::vote_digest(self.move_digest(&is, &sharing), until);
        Ok([&until.to_be_bytes()[..], &sign_digest(&self.key, digest)].concat())
    }

    /// What is voted on: that the key of this asset moves from where it is to this sharing.
    pub(super) fn move_digest(&self, is: &Asset, sharing: &Sharing) -> B256 {
        let keepers: Vec<B256> = sharing.keepers().iter().map(|keeper| NodeId::from(keeper).into()).collect();
        let (asset, needed) = (sharing.asset().0, sharing.threshold().required());
        move_digest(self.chain_id, asset, is.generation, sharing.digest(), needed, &keepers)
    }

    /// Whether this node's share of this sharing is in its place.
    fn has_share(&self, asset: B256, sharing: B256) -> Outcome<bool> {
        Ok(self.share(asset)?.is_some_and(|(found, _)| found.digest() == sharing))
    }

    /// The share that this node took of the sharing that the ledger names now, as it lies on the shelf, if it did and it is not in its
    /// place. No other move is read.
    pub(super) async fn arriving(&self, asset: B256, is: &Asset) -> Outcome<Option<Vec<u8>>> {
        if is.erased > 0 || self.has_share(asset, is.sharing)? {
            return Ok(None);
        }
        let Some(bytes) = self.move_bytes(asset, is.sharing).await? else { return Ok(None) };
        let key = self.key.clone();
        let finished = move || -> Outcome<Option<Vec<u8>>> {
            let (sharing, share) = read_move(asset, &bytes)?.finish(&key).map_err(no_move)?;
            let sealed = sharing.seal(&share, &mut rand::rng()).map_err(|error| Denied::Refused(error.to_string()))?;
            Ok(Some(share_bytes(&sharing, &sealed)))
        };
        beside(finished).await?
    }

    /// Clears away moves that lead elsewhere than the ledger says, or that have waited for too long, while nothing else changes there.
    /// `has_share` says whether this node's share is in its place.
    pub(super) fn clear_moves(&self, asset: B256, is: &Asset, now: u64, has_share: bool) -> Outcome<()> {
        for brought in self.shelf.moves(asset) {
            if is.erased == 0 && brought.to == is.sharing {
                let named = Brought::named(brought.to);
                if brought != named {
                    self.shelf.rename_move(asset, brought, named).map_err(disk)?;
                }
                let bytes = self.shelf.bytes(|of, other| of == asset && *other == named);
                // Fellows that were away have it from others.
                if has_share && bytes > SURE && self.shelf.bytes(|_, _| true) > ROOM {
                    self.shelf.remove_move(asset, named).map_err(disk)?;
                }
                continue;
            }
            let waits = brought.from == Some(is.sharing) && now.saturating_sub(brought.since) <= WAITS;
            if is.erased > 0 || !waits {
                self.shelf.remove_move(asset, brought).map_err(disk)?;
            }
        }
        Ok(())
    }

    /// Notes of moves that wait where they begin, so far as that is not known, as if they had been brought `now`: earlier versions did not
    /// write it down.
    pub(super) async fn note_beginnings(&self, asset: B256, is: &Asset, now: u64) -> Outcome<()> {
        let is_unknown = |brought: &Brought| is.erased == 0 && brought.from.is_none() && brought.to != is.sharing;
        for brought in self.shelf.moves(asset).into_iter().filter(is_unknown) {
            let _changing = self.changing.lock().await;
            let shelf = self.shelf.clone();
            let read =
                move || shelf.moved(asset, brought).ok().flatten().and_then(|bytes| read_move(asset, &bytes).ok());
            // What cannot be read is of no use.
            let Some(moved) = beside(read).await? else { continue };
            if moved.from.digest() == is.sharing {
                let waits = Brought { from: Some(is.sharing), since: now, ..brought };
                self.shelf.rename_move(asset, brought, waits).map_err(disk)?;
            }
        }
        Ok(())
    }

    /// Whether the move to this sharing is here: this node took part in it.
    pub(super) fn has_moved(&self, asset: B256, to: B256) -> bool {
        self.shelf.moves(asset).iter().any(|brought| brought.to == to)
    }

    /// The move to this sharing, if this node took part in it.
    pub(super) async fn moved(&self, asset: B256, to: B256) -> Outcome<Option<Move>> {
        let Some(bytes) = self.move_bytes(asset, to).await? else { return Ok(None) };
        beside(move || read_move(asset, &bytes)).await?.map(Some)
    }

    /// The same as it lies on the shelf, where it may be given another name meanwhile.
    async fn move_bytes(&self, asset: B256, to: B256) -> Outcome<Option<Vec<u8>>> {
        let _changing = self.changing.lock().await;
        let here = self.shelf.moves(asset).into_iter().find(|brought| brought.to == to);
        let Some(brought) = here else { return Ok(None) };
        let shelf = self.shelf.clone();
        beside(move || shelf.moved(asset, brought)).await?.map_err(disk)
    }

    /// Moves of these shares there that this node has begun, and that wait here.
    pub(super) async fn begun(&self, sharing: &Sharing, plan: &Plan) -> Outcome<Vec<Move>> {
        let (asset, by, from) = (sharing.asset().0, Some(B256::from(self.id())), Some(sharing.digest()));
        let mut begun = Vec::new();
        for brought in self.shelf.moves(asset).into_iter().filter(|brought| brought.by == by && brought.from == from) {
            let moved = self.moved(asset, brought.to).await?;
            begun.extend(moved.filter(|moved| moved.from == *sharing && moved.plan == *plan));
        }
        Ok(begun)
    }
}

/// A sharing with a share, as they lie on the shelf.
pub(super) fn share_bytes(sharing: &Sharing, share: &stoa_privacy::SealedSecret) -> Vec<u8> {
    [&sharing.encode()[..], share.as_bytes()].concat()
}

/// A move as it lies on the shelf.
fn read_move(asset: B256, bytes: &[u8]) -> Outcome<Move> {
    let damaged = |_| disk(std::io::Error::other(format!("a move of the key of asset {asset} is damaged")));
    Move::decode(Copying(bytes)).map_err(damaged)
}

fn is_among(keepers: &[ed25519::PublicKey], node: NodeId) -> bool {
    keepers.iter().any(|keeper| NodeId::from(keeper) == node)
}

fn unread(error: ViewError) -> Denied {
    tracing::error!(%error, "a keeper cannot read its own ledger");
    Denied::Refused("the keeper's ledger cannot be read; ask later".into())
}

fn no_move(error: HandoverError) -> Denied {
    Denied::Refused(error.to_string())
}

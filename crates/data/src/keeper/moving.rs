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

use super::{
    Keeper, Kind, Outcome, disk,
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
use std::{collections::BTreeSet, sync::Arc};
use stoa_base::NodeId;
use stoa_client::At;
use stoa_contract::nodes::INodes::Node;
use stoa_net::Denied;
use stoa_privacy::{HandoverError, Sharing};

/// Moves of one asset that wait for the ledger here at most, for each keeper that brings them, and for all others together: its owner,
/// and whoever says that he is. None makes place for another, for the ledger may name any of them that was taken.
const MOST_MOVES: usize = 16;

/// Seconds for which a vote for a move is good.
pub(super) const VOTE: u64 = 900;

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
            Some(_) => return refused("it is not the asset's owner who signed that you may have shares moved there"),
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
        if !is_keeper(sharing, from) {
            return refused("only a keeper of this key, or who has its owner's signature, moves its shares");
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
        let nodes = self.registry.nodes().await.map_err(|error| {
            tracing::error!(%error, "a keeper cannot read its own ledger");
            Denied::Refused("the keeper's ledger cannot be read; ask later".into())
        })?;
        let silent = self.silent.lock().gone(now);
        Ok((nodes, silent))
    }

    /// Takes this node's share of a key that moves here, or has.
    pub(super) async fn take(&self, from: NodeId, moved: Arc<Move>) -> Outcome<Taken> {
        let asset = moved.asset().0;
        let (is, _) = self.asks(&assetOfCall { asset }).await?;
        if is.erased > 0 {
            return refused("the asset was erased");
        }
        let (key, given) = (self.key.clone(), moved.clone());
        let sharing = match self.apart(move || given.finish(&key)).await? {
            Ok((sharing, _)) => sharing,
            Err(HandoverError::FalseParts(dealers)) => return Ok(Taken::False(dealers)),
            Err(error) => return Err(no_move(error)),
        };
        let has_moved = is.sharing == sharing.digest();
        if is.sharing != moved.from.digest() && !has_moved {
            return refused("the ledger names another sharing of this asset");
        }
        {
            let _changing = self.changing.lock();
            let waiting = self.shelf.moves(asset).map_err(disk)?;
            if !waiting.iter().any(|other| other.to == sharing.digest()) {
                // Who brings them may have as many keys as he likes, but for the keepers'.
                let pool = |by: Option<B256>| by.filter(|by| is_keeper(&moved.from, (*by).into()));
                let by = Some(from.into());
                let before = waiting.iter().filter(|other| pool(other.by) == pool(by)).count();
                if before >= MOST_MOVES && !has_moved {
                    return refused("too many moves of this key that you have brought wait here already");
                }
                self.shelf.put_move(asset, Brought { to: sharing.digest(), by }, &moved.encode()).map_err(disk)?;
            }
        }
        if has_moved {
            self.sweep_for_others(asset).await?;
        }
        Ok(Taken::Accepted(Box::new(Acceptance::new(&self.key, &sharing))))
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
        if is_keeper(&sharing, self.id())
            && let Taken::False(dealers) = self.take(from, moved).await?
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

    /// Puts the share in its place that this node took of the sharing that the ledger names now, if it did, and clears away what
    /// led elsewhere. Whether there is one.
    pub(super) fn arrive(&self, asset: B256, is: &Asset) -> Outcome<bool> {
        let mut arrived = false;
        for brought in self.shelf.moves(asset).map_err(disk)? {
            let Some(moved) = self.read_move(asset, brought)? else { continue };
            if is.erased == 0 && brought.to == is.sharing {
                let (sharing, share) = moved.finish(&self.key).map_err(no_move)?;
                let sealed =
                    sharing.seal(&share, &mut rand::rng()).map_err(|error| Denied::Refused(error.to_string()))?;
                self.shelf.put(asset, Kind::Share, &share_bytes(&sharing, &sealed)).map_err(disk)?;
                arrived = true;
            } else if is.erased > 0 || moved.from.digest() != is.sharing {
                self.shelf.remove_move(asset, brought).map_err(disk)?;
            }
        }
        Ok(arrived)
    }

    /// The move to this sharing, if this node took part in it.
    pub(super) fn moved(&self, asset: B256, to: B256) -> Outcome<Option<Move>> {
        let brought = self.shelf.moves(asset).map_err(disk)?.into_iter().find(|brought| brought.to == to);
        brought.map_or(Ok(None), |brought| self.read_move(asset, brought))
    }

    /// Moves of these shares there that this node has begun, and that wait here.
    pub(super) fn begun(&self, sharing: &Sharing, plan: &Plan) -> Outcome<Vec<Move>> {
        let (asset, mut begun) = (sharing.asset().0, Vec::new());
        for brought in self.shelf.moves(asset).map_err(disk)? {
            if brought.by == Some(self.id().into())
                && let Some(moved) = self.read_move(asset, brought)?
                && moved.from == *sharing
                && moved.plan == *plan
            {
                begun.push(moved);
            }
        }
        Ok(begun)
    }

    fn read_move(&self, asset: B256, brought: Brought) -> Outcome<Option<Move>> {
        let Some(bytes) = self.shelf.moved(asset, brought).map_err(disk)? else { return Ok(None) };
        let damaged = |_| disk(std::io::Error::other(format!("a move of the key of asset {asset} is damaged")));
        Move::decode(Copying(&bytes[..])).map(Some).map_err(damaged)
    }
}

/// A sharing with a share, as they lie on the shelf.
pub(super) fn share_bytes(sharing: &Sharing, share: &stoa_privacy::SealedSecret) -> Vec<u8> {
    [&sharing.encode()[..], share.as_bytes()].concat()
}

fn is_keeper(sharing: &Sharing, node: NodeId) -> bool {
    sharing.keepers().iter().any(|keeper| NodeId::from(keeper) == node)
}

fn no_move(error: HandoverError) -> Denied {
    Denied::Refused(error.to_string())
}

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
//! for nothing. Whoever stops in between, or lies, has spoilt nothing.

use super::{
    Keeper, Kind, Outcome, disk,
    plan::{Acceptance, Move, Plan},
    refused,
};
use crate::{
    abi::IConsent::{Asset, assetOfCall},
    contract::move_digest,
    registry::sign_digest,
};
use alloy_primitives::B256;
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use std::{collections::BTreeSet, sync::Arc};
use stoa_base::NodeId;
use stoa_contract::nodes::INodes::Node;
use stoa_net::Denied;
use stoa_privacy::{HandoverError, Sharing};

/// Moves of one asset that wait for the ledger here at most.
const MOST_MOVES: usize = 64;

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
        let (sharing, share) = self.share(asset)?.ok_or(Denied::NotHere)?;
        let is = self.current(asset, &sharing).await?;
        match signature {
            Some(signature) if plan.is_signed_by(is.owner, self.chain_id, &sharing, signature) => {}
            Some(_) => return refused("it is not the asset's owner who signed where the shares go"),
            None => self.agrees(from, &sharing, plan).await?,
        }
        let handover = plan.handover(&sharing).map_err(no_move)?;
        let share = sharing.open(&share, &self.key).map_err(|error| Denied::Refused(error.to_string()))?;
        let dealing = handover.deal(&share, &self.key, &mut rand::rng()).map_err(no_move)?;
        Ok(dealing.encode().to_vec())
    }

    /// The asset, if this is how its key is shared now.
    async fn current(&self, asset: B256, sharing: &Sharing) -> Outcome<Asset> {
        let (is, _) = self.asks(&assetOfCall { asset }).await?;
        if is.erased > 0 {
            return refused("the asset was erased");
        }
        if is.sharing != sharing.digest() {
            return refused("the ledger names another sharing of this asset");
        }
        Ok(is)
    }

    /// Whether it is a fellow keeper who asks, and the shares go there.
    async fn agrees(&self, from: NodeId, sharing: &Sharing, plan: &Plan) -> Outcome<()> {
        if !sharing.keepers().iter().any(|keeper| NodeId::from(keeper) == from) {
            return refused("only a keeper of this key, or who has its owner's signature, moves its shares");
        }
        let (nodes, silent) = self.others(sharing).await?;
        if !plan.stands(sharing, &nodes, &silent) {
            return refused("by this node's registry, and by whom it hears, the shares go elsewhere, or stay");
        }
        Ok(())
    }

    /// Where the shares go, as this node sees the registry and hears the others; nothing if they stay.
    pub(super) async fn follows(&self, sharing: &Sharing) -> Outcome<Option<Plan>> {
        let (nodes, silent) = self.others(sharing).await?;
        Ok(Plan::without(sharing, &nodes, &silent))
    }

    /// All nodes, and those of them that have been silent for the whole grace.
    async fn others(&self, sharing: &Sharing) -> Outcome<(Arc<Vec<Node>>, BTreeSet<B256>)> {
        let (_, at) = self.asks(&assetOfCall { asset: sharing.asset().0 }).await?;
        let nodes = self.registry.nodes().await.map_err(|error| {
            tracing::error!(%error, "a keeper cannot read its own ledger");
            Denied::Refused("the keeper's ledger cannot be read; ask later".into())
        })?;
        let silent = self.silent.lock().gone(at.timestamp);
        Ok((nodes, silent))
    }

    /// Takes this node's share of a key that moves here, or has.
    pub(super) async fn take(&self, moved: &Move) -> Outcome<Taken> {
        let asset = moved.asset().0;
        let (is, _) = self.asks(&assetOfCall { asset }).await?;
        if is.erased > 0 {
            return refused("the asset was erased");
        }
        let sharing = match moved.finish(&self.key) {
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
            if !waiting.contains(&sharing.digest()) {
                if waiting.len() >= MOST_MOVES && !has_moved {
                    return refused("too many moves of this key wait here already");
                }
                self.shelf.put_move(asset, sharing.digest(), &moved.encode()).map_err(disk)?;
            }
        }
        if has_moved {
            self.sweep(asset).await?;
        }
        Ok(Taken::Accepted(Box::new(Acceptance::new(&self.key, &sharing))))
    }

    /// Agrees to a move, if enough of the new keepers have their shares.
    pub(super) async fn vote(&self, from: NodeId, moved: &Move, acceptances: &[Acceptance]) -> Outcome<Vec<u8>> {
        let is = self.current(moved.asset().0, &moved.from).await?;
        self.agrees(from, &moved.from, &moved.plan).await?;
        let sharing = moved.sharing().map_err(no_move)?;
        let mut accepted: Vec<_> = acceptances.iter().filter(|acceptance| acceptance.holds(&sharing)).collect();
        accepted.sort_by(|one, other| one.keeper.cmp(&other.keeper));
        accepted.dedup_by(|one, other| one.keeper == other.keeper);
        if accepted.len() < moved.plan.enough() {
            return refused(format!("{} new keepers have their shares, {} must", accepted.len(), moved.plan.enough()));
        }
        let keepers: Vec<B256> = sharing.keepers().iter().map(|keeper| NodeId::from(keeper).into()).collect();
        let (asset, needed) = (moved.asset().0, moved.plan.needed);
        let digest = move_digest(self.chain_id, asset, is.generation, sharing.digest(), needed, &keepers);
        Ok(sign_digest(&self.key, digest).to_vec())
    }

    /// Puts the share in its place that this node took of the sharing that the ledger names now, if it did, and clears away what
    /// led elsewhere. Whether there is one.
    pub(super) fn arrive(&self, asset: B256, is: &Asset) -> Outcome<bool> {
        let mut arrived = false;
        for to in self.shelf.moves(asset).map_err(disk)? {
            let Some(moved) = self.moved(asset, to)? else { continue };
            if is.erased == 0 && to == is.sharing {
                let (sharing, share) = moved.finish(&self.key).map_err(no_move)?;
                let sealed =
                    sharing.seal(&share, &mut rand::rng()).map_err(|error| Denied::Refused(error.to_string()))?;
                self.shelf.put(asset, Kind::Share, &share_bytes(&sharing, &sealed)).map_err(disk)?;
                arrived = true;
            } else if is.erased > 0 || moved.from.digest() != is.sharing {
                self.shelf.remove_move(asset, to).map_err(disk)?;
            }
        }
        Ok(arrived)
    }

    /// The move to this sharing, if this node took part in it.
    pub(super) fn moved(&self, asset: B256, to: B256) -> Outcome<Option<Move>> {
        let Some(bytes) = self.shelf.moved(asset, to).map_err(disk)? else { return Ok(None) };
        let damaged = |_| disk(std::io::Error::other(format!("a move of the key of asset {asset} is damaged")));
        Move::decode(Copying(&bytes[..])).map(Some).map_err(damaged)
    }
}

/// A sharing with a share, as they lie on the shelf.
pub(super) fn share_bytes(sharing: &Sharing, share: &stoa_privacy::SealedSecret) -> Vec<u8> {
    [&sharing.encode()[..], share.as_bytes()].concat()
}

fn no_move(error: HandoverError) -> Denied {
    Denied::Refused(error.to_string())
}

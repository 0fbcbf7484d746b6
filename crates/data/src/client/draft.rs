//! An asset before its data are sealed: all that is secret of it follows from a seed, which its owner's machine keeps, sealed to his own
//! wallet, until it is registered. So whoever is cut off goes on with the same asset and the same key, and seals and spreads nothing
//! twice.
//!
//! Who its keepers are is not secret, and the key does not depend on it. None has a share before the ledger names all of them, so until
//! then those that are gone are replaced. For others the key is shared by another polynomial: the points of one are dealt to one circle
//! only. Who was chosen before stays noted, for what a try that was cut off has sent to the ledger may come there later.

use super::{Data, DataError, Failure, Prepared, Result, read::enough};
use crate::{
    abi::{
        CONSENT,
        IConsent::{Asset, assetOfCall},
    },
    contract::asset_id,
};
use alloy_primitives::{B256, Bytes};
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_cryptography::ed25519;
use futures::future::join_all;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, mem};
use stoa_base::NodeId;
use stoa_client::{ViewError, view};
use stoa_net::PeerAddress;
use stoa_privacy::{AssetId, DataKey, Dealt, OwnerHalf, SealedKey, SharingError, deal_again};
use stoa_store::Member;

/// Keepers that are asked at once whether they are there, where some of the first are not, and in all at most: anybody may register
/// nodes that are none.
const AT_ONCE: usize = 32;
const MOST_ASKED: usize = 256;

/// What an asset is to be, and the seed from which its keys follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draft {
    /// The asset.
    pub asset: B256,
    /// How many keepers release the key.
    needed: usize,
    /// The keepers, chosen at random of those that were there.
    keepers: Vec<B256>,
    /// Those that were chosen before.
    #[serde(default)]
    tried: Vec<Vec<B256>>,
    /// Whether the owner's half is needed as well.
    own_half: bool,
    /// Sealed to the wallet's own reading key.
    seed: Bytes,
}

impl Draft {
    /// Whether it is of an asset with so many keepers.
    pub fn is(&self, needed: usize, total: usize, own_half: bool) -> bool {
        (self.needed, self.keepers.len(), self.own_half) == (needed, total, own_half)
    }

    /// The same with these keepers.
    fn with(mut self, keepers: Vec<B256>) -> Self {
        let before = mem::replace(&mut self.keepers, keepers);
        if before != self.keepers && !self.tried.contains(&before) {
            self.tried.push(before);
        }
        self
    }

    /// The keepers' half of the key, as these keepers are dealt it, and the owner's.
    fn deal(&self, seed: &DataKey, keepers: &[B256]) -> std::result::Result<(Dealt, Option<OwnerHalf>), SharingError> {
        let (_, mut rng) = drawn(seed);
        let public = |keeper: &B256| ed25519::PublicKey::decode(Copying(&keeper[..])).ok();
        let public = keepers.iter().filter_map(public).collect();
        let dealt = deal_again(AssetId(self.asset), self.needed, public, seed, &mut rng)?;
        Ok((dealt, self.own_half.then(|| OwnerHalf::generate(&mut rng))))
    }

    /// The keepers whom the ledger names, if it names some of those that were chosen; else those that were chosen last.
    fn named(&self, seed: &DataKey, sharing: Option<B256>) -> &[B256] {
        let is_named = |keepers: &&Vec<B256>| {
            self.deal(seed, keepers).is_ok_and(|(dealt, _)| Some(dealt.sharing.digest()) == sharing)
        };
        match sharing {
            Some(_) => self.tried.iter().find(is_named).unwrap_or(&self.keepers),
            None => &self.keepers,
        }
    }
}

/// What is drawn from a seed: the salt first, which is public.
fn drawn(seed: &DataKey) -> (B256, StdRng) {
    let mut rng = seed.expose(|seed| StdRng::from_seed(*seed));
    (rng.random::<[u8; 32]>().into(), rng)
}

/// Nodes in the order in which they become keepers: who is one already, then as many failure domains as there are, for those of one
/// fail, or act, together.
fn in_order(mut nodes: Vec<Member>, keepers: &[B256]) -> Vec<PeerAddress> {
    let place = |node: &Member| keepers.iter().position(|keeper| *keeper == B256::from(node.address.node()));
    nodes.sort_by_key(|node| place(node).unwrap_or(usize::MAX));
    let mut seen = BTreeSet::new();
    let (mut first, rest): (Vec<_>, Vec<_>) =
        nodes.into_iter().partition(|node| seen.insert(node.domain.clone().0) || place(node).is_some());
    first.extend(rest);
    first.into_iter().map(|node| node.address).collect()
}

/// The first `total` of these that are there, as `ask` finds; if there are fewer, with the first that are gone, as long as those are
/// there that it takes.
async fn there<F: Future<Output = std::result::Result<NodeId, Failure>>>(
    nodes: Vec<PeerAddress>,
    needed: usize,
    total: usize,
    ask: impl Fn(PeerAddress) -> F,
) -> Result<Vec<B256>> {
    let mut left = nodes.into_iter().take(MOST_ASKED.max(total));
    let (mut asked, mut count) = (Vec::<std::result::Result<NodeId, Failure>>::new(), total);
    while asked.iter().filter(|answer| answer.is_ok()).count() < total {
        let some: Vec<_> = left.by_ref().take(count).collect();
        if some.is_empty() {
            break;
        }
        asked.extend(join_all(some.into_iter().map(&ask)).await);
        count = AT_ONCE;
    }
    let (there, gone) = enough("answering", asked, needed)?;
    let gone = gone.into_iter().map(|failure| failure.node);
    Ok(there.into_iter().chain(gone).take(total).map(B256::from).collect())
}

impl Data {
    /// A new asset: its key is to be shared among `total` keepers, chosen at random, `needed` of which release it. With `own_half` the
    /// owner's half is needed as well.
    ///
    /// # Errors
    ///
    /// If there are too few keepers.
    pub async fn draft(&self, needed: usize, total: usize, own_half: bool) -> Result<Draft> {
        let seed = DataKey::generate(&mut rand::rng());
        let asset = asset_id(self.wallet.chain_id(), self.wallet.address(), drawn(&seed).0);
        let sealed = SealedKey::seal(AssetId(asset), &self.reading.key, &seed, &mut rand::rng())?;
        let keepers = self.choose(asset, &[], needed, total).await?;
        Ok(Draft { asset, needed, keepers, tried: Vec::new(), own_half, seed: sealed.encode().to_vec().into() })
    }

    /// The same asset with the same key, and others in place of keepers that are gone, as long as the ledger does not know it.
    ///
    /// # Errors
    ///
    /// If there are too few keepers, or the ledger cannot be asked.
    pub async fn renew(&self, draft: Draft) -> Result<Draft> {
        if self.registered(draft.asset).await?.is_some() {
            return Ok(draft);
        }
        let keepers = self.choose(draft.asset, &draft.keepers, draft.needed, draft.keepers.len()).await?;
        Ok(draft.with(keepers))
    }

    /// An asset, if the ledger knows it.
    async fn registered(&self, asset: B256) -> Result<Option<Asset>> {
        match view(self.wallet.client(), CONSENT, &assetOfCall { asset }).await {
            Ok((is, _)) => Ok(Some(is)),
            Err(ViewError::Reverted(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keepers that are there: these, and others in place of those that are not.
    async fn choose(&self, asset: B256, keepers: &[B256], needed: usize, total: usize) -> Result<Vec<B256>> {
        let mut nodes = self.circle.registry().keepers().await?;
        if nodes.len() < total {
            return Err(DataError::Keepers { needed: total, there: nodes.len() });
        }
        nodes.shuffle(&mut rand::rng());
        there(in_order(nodes, keepers), needed, total, async |node: PeerAddress| self.is_there(asset, &node).await)
            .await
    }

    /// The keys of an asset that is to be: the same each time, and shares of them for the keepers whom the ledger names, if it knows the
    /// asset.
    ///
    /// # Errors
    ///
    /// [`DataError::Draft`] if one of its keepers is registered no longer, or it is of another wallet or chain; or the ledger cannot be
    /// asked.
    pub async fn prepare(&self, draft: &Draft) -> Result<Prepared> {
        let asset = draft.asset;
        let cannot = |why| DataError::Draft { asset, why };
        let sealed = SealedKey::decode(Copying(&draft.seed[..])).map_err(|_| cannot("its seed is damaged"))?;
        let seed = sealed.open(&self.reading.secret).map_err(|_| cannot("its seed is another wallet's"))?;
        let (salt, _) = drawn(&seed);
        if asset_id(self.wallet.chain_id(), self.wallet.address(), salt) != asset {
            return Err(cannot("it is of another chain"));
        }
        let sharing = self.registered(asset).await?.map(|is| is.sharing);
        let named = draft.named(&seed, sharing);
        let keepers = self.circle.registry().addresses(named.iter().copied()).await?;
        if keepers.len() < named.len() {
            return Err(cannot("one of its keepers is registered no longer"));
        }
        let (dealt, half) = draft.deal(&seed, named)?;
        Ok(Prepared { asset, salt, dealt, keepers, half })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_cryptography::Signer as _;
    use stoa_store::Domain;

    fn member(key: &ed25519::PrivateKey, domain: &str) -> Member {
        let address = PeerAddress::new(NodeId::from(&key.public_key()), "127.0.0.1:9000").unwrap();
        Member { address, domain: Domain(domain.into()) }
    }

    fn keys<const COUNT: usize>() -> [ed25519::PrivateKey; COUNT] {
        std::array::from_fn(|at| ed25519::PrivateKey::decode(Copying(&[at as u8 + 1; 32])).unwrap())
    }

    #[tokio::test]
    async fn keepers_that_are_gone_are_replaced_and_those_that_are_there_stay() {
        let keys = keys::<5>();
        let nodes: Vec<_> =
            keys.iter().zip(["a", "a", "b", "a", "c"]).map(|(key, domain)| member(key, domain)).collect();
        let ids: Vec<_> = nodes.iter().map(|node| B256::from(node.address.node())).collect();
        let choose = async |before: &[B256], gone: &[B256]| {
            let ask = async |node: PeerAddress| match gone.contains(&node.node().into()) {
                true => Err(Failure::new(&node, "it is gone")),
                false => Ok(node.node()),
            };
            there(in_order(nodes.clone(), before), 2, 3, ask).await
        };
        // A node of each failure domain, then others.
        assert_eq!(choose(&[], &[]).await.unwrap(), [ids[0], ids[2], ids[4]]);
        let before = [ids[3], ids[1], ids[2]];
        assert_eq!(choose(&before, &[]).await.unwrap(), before);
        assert_eq!(choose(&before, &[ids[1]]).await.unwrap(), [ids[3], ids[2], ids[4]]);
        // Where there are too few, some are taken that may come back, unless the key could not be put together without them.
        assert_eq!(choose(&before, &[ids[0], ids[1], ids[4]]).await.unwrap(), [ids[3], ids[2], ids[1]]);
        let why = choose(&before, &[ids[0], ids[1], ids[3], ids[4]]).await.unwrap_err().to_string();
        assert!(why.contains("1 of the 2 keepers"), "{why}");
    }

    /// A draft with these of the keepers, and its seed.
    fn draft(of: [usize; 3]) -> (Draft, DataKey) {
        let draft = Draft {
            asset: B256::ZERO,
            needed: 2,
            keepers: nodes(of),
            tried: Vec::new(),
            own_half: true,
            seed: Bytes::new(),
        };
        (draft, DataKey::from_bytes([7; 32]))
    }

    fn nodes(of: [usize; 3]) -> Vec<B256> {
        let keys = keys::<4>();
        of.map(|at| NodeId::from(&keys[at].public_key()).into()).to_vec()
    }

    #[test]
    fn the_key_does_not_depend_on_who_its_keepers_are_and_no_two_circles_get_points_of_one_polynomial() {
        let (draft, seed) = draft([0, 1, 2]);
        let dealt = |of| draft.deal(&seed, &nodes(of)).unwrap();
        let key = |of| {
            let (dealt, half) = dealt(of);
            DataKey::from_halves(&half.unwrap(), &dealt.half, AssetId(B256::ZERO))
        };
        let shares = |of| {
            let shares = dealt(of).0.shares;
            shares.iter().map(|share| share.expose(|share| *share)).collect::<Vec<_>>()
        };
        assert_eq!(shares([0, 1, 2]), shares([0, 1, 2]));
        for other in [[0, 3, 2], [1, 0, 2]] {
            assert_eq!(key([0, 1, 2]), key(other));
            assert!(shares([0, 1, 2]).iter().zip(shares(other)).all(|(one, other)| *one != other));
        }
    }

    #[test]
    fn a_draft_knows_what_a_try_that_was_cut_off_has_registered() {
        let (first, seed) = draft([0, 1, 2]);
        let sharing = |draft: &Draft, of| draft.deal(&seed, &nodes(of)).unwrap().0.sharing.digest();
        let draft = first.clone().with(nodes([0, 3, 2])).with(nodes([0, 3, 2])).with(nodes([1, 3, 2]));
        assert!(draft.is(2, 3, true) && draft.tried == [nodes([0, 1, 2]), nodes([0, 3, 2])]);
        for of in [[0, 1, 2], [0, 3, 2], [1, 3, 2]] {
            assert_eq!(draft.named(&seed, Some(sharing(&draft, of))), nodes(of));
        }
        // Nothing is registered, or something else.
        for registered in [None, Some(sharing(&draft, [3, 2, 1]))] {
            assert_eq!(draft.named(&seed, registered), nodes([1, 3, 2]));
        }
        // A note of one that has none reads as one.
        let mut note = serde_json::to_value(&first).unwrap();
        note.as_object_mut().unwrap().remove("tried");
        assert_eq!(serde_json::from_value::<Draft>(note).unwrap(), first);
    }

    #[test]
    fn the_same_follows_from_the_same_seed() {
        let half = |number| {
            let (salt, mut rng) = drawn(&DataKey::from_bytes([number; 32]));
            (salt, OwnerHalf::generate(&mut rng))
        };
        assert_eq!(half(1), half(1));
        assert!(half(1).0 != half(2).0 && half(1).1 != half(2).1);
    }
}

//! An asset before its data are sealed: all that is secret of it follows from a seed, which its owner's machine keeps, sealed to his own
//! wallet, until it is registered. So whoever is cut off goes on with the same asset and the same key, and seals and spreads nothing
//! twice.
//!
//! Who its keepers are is not secret, and the key does not depend on it. None has a share before the ledger names all of them, so until
//! then those that are gone are replaced.

use super::{Data, DataError, Failure, Prepared, Result, read::enough};
use crate::{
    abi::{CONSENT, IConsent::assetOfCall},
    contract::asset_id,
};
use alloy_primitives::{B256, Bytes};
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_cryptography::ed25519;
use futures::future::join_all;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use stoa_base::NodeId;
use stoa_client::{ViewError, view};
use stoa_net::PeerAddress;
use stoa_privacy::{AssetId, DataKey, OwnerHalf, SealedKey, deal};
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
        Ok(Draft { asset, needed, keepers, own_half, seed: sealed.encode().to_vec().into() })
    }

    /// The same asset with the same key, and others in place of keepers that are gone, as long as the ledger does not know it.
    ///
    /// # Errors
    ///
    /// If there are too few keepers, or the ledger cannot be asked.
    pub async fn renew(&self, draft: Draft) -> Result<Draft> {
        match view(self.wallet.client(), CONSENT, &assetOfCall { asset: draft.asset }).await {
            Ok(_) => return Ok(draft),
            Err(ViewError::Reverted(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let keepers = self.choose(draft.asset, &draft.keepers, draft.needed, draft.keepers.len()).await?;
        Ok(Draft { keepers, ..draft })
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

    /// The keys of an asset that is to be: the same each time.
    ///
    /// # Errors
    ///
    /// [`DataError::Draft`] if one of its keepers is registered no longer, or it is of another wallet or chain; or the ledger cannot be
    /// asked.
    pub async fn prepare(&self, draft: &Draft) -> Result<Prepared> {
        let Draft { asset, needed, own_half, .. } = *draft;
        let cannot = |why| DataError::Draft { asset, why };
        let sealed = SealedKey::decode(Copying(&draft.seed[..])).map_err(|_| cannot("its seed is damaged"))?;
        let seed = sealed.open(&self.reading.secret).map_err(|_| cannot("its seed is another wallet's"))?;
        let (salt, mut rng) = drawn(&seed);
        if asset_id(self.wallet.chain_id(), self.wallet.address(), salt) != asset {
            return Err(cannot("it is of another chain"));
        }
        let keepers = self.circle.registry().addresses(draft.keepers.iter().copied()).await?;
        if keepers.len() < draft.keepers.len() {
            return Err(cannot("one of its keepers is registered no longer"));
        }
        let public = |keeper: &PeerAddress| ed25519::PublicKey::decode(Copying(&keeper.node().0[..])).ok();
        let public: Vec<_> = keepers.iter().filter_map(public).collect();
        let dealt = deal(AssetId(asset), needed, public, &mut rng)?;
        let half = own_half.then(|| OwnerHalf::generate(&mut rng));
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

    #[test]
    fn the_key_does_not_depend_on_who_its_keepers_are() {
        let keys = keys::<4>();
        let key = |of: [usize; 3]| {
            let (_, mut rng) = drawn(&DataKey::from_bytes([7; 32]));
            let keepers = of.map(|at| keys[at].public_key()).to_vec();
            let dealt = deal(AssetId(B256::ZERO), 2, keepers, &mut rng).unwrap();
            DataKey::from_halves(&OwnerHalf::generate(&mut rng), &dealt.half, AssetId(B256::ZERO))
        };
        assert_eq!(key([0, 1, 2]), key([0, 3, 2]));
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

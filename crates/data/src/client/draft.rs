//! An asset before its data are sealed: all that is secret of it follows from a seed, which its owner's machine keeps, sealed to his own
//! wallet, until it is registered. So whoever is cut off goes on with the same asset and the same key, and seals and spreads nothing
//! twice.

use super::{Data, DataError, Prepared, Result};
use crate::contract::asset_id;
use alloy_primitives::{B256, Bytes};
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use commonware_cryptography::ed25519;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use stoa_net::PeerAddress;
use stoa_privacy::{AssetId, DataKey, OwnerHalf, SealedKey, deal};

/// What an asset is to be, and the seed from which its keys follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draft {
    /// The asset.
    pub asset: B256,
    /// How many keepers release the key.
    needed: usize,
    /// The keepers, chosen at random.
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

impl Data {
    /// A new asset: its key is to be shared among `total` keepers, chosen at random, `needed` of which release it. With `own_half` the
    /// owner's half is needed as well.
    ///
    /// # Errors
    ///
    /// If there are too few keepers.
    pub async fn draft(&self, needed: usize, total: usize, own_half: bool) -> Result<Draft> {
        let mut keepers: Vec<_> = self.circle.registry().keepers().await?;
        if keepers.len() < total {
            return Err(DataError::Keepers { needed: total, there: keepers.len() });
        }
        let mut rng = rand::rng();
        keepers.shuffle(&mut rng);
        // Those of one domain fail, or act together: as many domains as there are first.
        let mut seen = BTreeSet::new();
        let (mut apart, rest): (Vec<_>, Vec<_>) =
            keepers.into_iter().partition(|keeper| seen.insert(keeper.domain.clone().0));
        apart.extend(rest);
        let keepers = apart.into_iter().take(total).map(|member| member.address.node().into()).collect();
        let seed = DataKey::generate(&mut rng);
        let asset = asset_id(self.wallet.chain_id(), self.wallet.address(), drawn(&seed).0);
        let sealed = SealedKey::seal(AssetId(asset), &self.reading.key, &seed, &mut rng)?;
        Ok(Draft { asset, needed, keepers, own_half, seed: sealed.encode().to_vec().into() })
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

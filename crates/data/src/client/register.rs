//! Registering an asset: from then on the ledger names its keepers, and they are given their shares.

use super::{Data, DataError, Failure, Prepared, Published, Result, read::enough};
use crate::{
    abi::{
        CONSENT,
        IConsent::{Asset, IConsentErrors, assetOfCall, registerCall, setObjectCall},
    },
    keeper::Request,
};
use alloy_primitives::{B256, Bytes};
use commonware_codec::Encode as _;
use futures::future::join_all;
use stoa_client::view;
use stoa_net::PeerAddress;
use stoa_privacy::{AssetId, Dealt, GrantId, GrantedHalf, OwnerHalf};
use stoa_store::ObjectId;

impl Data {
    /// Registers an asset whose data are sealed and spread, if that was not done before, and gives the keepers their shares, unless these
    /// have moved since. Keepers that have not taken theirs are told as well: they get one when the shares [move](Self::move_shares).
    ///
    /// # Errors
    ///
    /// If the ledger refuses, or names other shares than these, or fewer keepers take their share than are needed.
    pub async fn register(&self, prepared: Prepared, objects: &[ObjectId]) -> Result<(Published, Vec<Failure>)> {
        let Prepared { asset, salt, dealt, keepers, half } = prepared;
        let (object, needed) = (objects.first().copied().unwrap_or(ObjectId([0; 32])), dealt.sharing.threshold());
        let call = registerCall {
            salt,
            object: object.0.into(),
            sharing: dealt.sharing.digest(),
            needed: needed.required(),
            keepers: keepers.iter().map(|keeper| keeper.node().into()).collect(),
            ownerHalf: half.is_some(),
        };
        let due = match view(self.wallet.client(), CONSENT, &assetOfCall { asset }).await {
            Ok((is, _)) => {
                let due = are_due(asset, &is, call.sharing)?;
                // Sealed again since, under the same key.
                if is.object != call.object {
                    self.wallet.call(CONSENT, &setObjectCall { asset, object: call.object }).await?;
                }
                due
            }
            Err(error) if matches!(error.reason(), Some(IConsentErrors::ConsentAssetUnknown(_))) => {
                // From then on these are its keepers; before that the next try takes others.
                let there = join_all(keepers.iter().map(|keeper| self.is_there(asset, keeper))).await;
                enough("answering", there, needed.required().into())?;
                self.wallet.call(CONSENT, &call).await?;
                true
            }
            Err(error) => return Err(error.into()),
        };
        let failed = if due { self.deposit(&dealt, &keepers).await? } else { Vec::new() };
        let half = match &half {
            Some(half) => Some(self.own(asset, half)?),
            None => None,
        };
        let objects = objects.iter().map(|object| object.0.into()).collect();
        Ok((Published { asset, salt, objects, half }, failed))
    }

    /// Gives keepers their shares; who has not taken his.
    async fn deposit(&self, dealt: &Dealt, keepers: &[PeerAddress]) -> Result<Vec<Failure>> {
        let (asset, needed) = (dealt.sharing.asset().0, dealt.sharing.threshold().required());
        let mut deposits = Vec::new();
        for share in &dealt.shares {
            let sealed = dealt.sharing.seal(share, &mut rand::rng())?;
            deposits.push(Request::Share(dealt.sharing.clone(), sealed));
        }
        let each = keepers.iter().zip(&deposits).map(|(keeper, deposit)| self.ask_patiently(keeper, deposit));
        let kept = enough("keeping a share of the key", join_all(each).await, needed.into());
        let (_, failed) = kept.map_err(|why| DataError::Unshared { asset, why: Box::new(why) })?;
        Ok(failed)
    }

    /// The owner's half, sealed to the owner.
    fn own(&self, asset: B256, half: &OwnerHalf) -> Result<Bytes> {
        let nobody = GrantId(B256::ZERO);
        let sealed = GrantedHalf::seal(AssetId(asset), nobody, &self.reading.key, half, &mut rand::rng())?;
        Ok(sealed.encode().to_vec().into())
    }
}

/// Whether keepers of an asset that is registered are to be given these shares. Where these have moved since, they were given before; where
/// the ledger names others, nobody is given any.
fn are_due(asset: B256, is: &Asset, dealt: B256) -> Result<bool> {
    let has_moved = is.generation > 0 && is.erased == 0;
    match is.sharing == dealt {
        true => Ok(true),
        false if has_moved => Ok(false),
        false => Err(DataError::OtherShares { asset }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Address;

    #[test]
    fn shares_are_given_to_the_keepers_whom_the_ledger_names_with_them_and_to_no_others() {
        let [asset, sharing, other] = [1, 2, 3].map(B256::repeat_byte);
        let is = |generation| Asset {
            owner: Address::ZERO,
            object: B256::ZERO,
            sharing,
            needed: 2,
            keepers: 3,
            ownerHalf: true,
            generation,
            registered: 1,
            erased: 0,
        };
        assert!(are_due(asset, &is(0), sharing).unwrap());
        let why = are_due(asset, &is(0), other).unwrap_err().to_string();
        assert!(why.contains("same command again") && why.contains(&format!("stoa data erase {asset}")), "{why}");
        // What was shared has moved.
        assert!(!are_due(asset, &is(1), other).unwrap());
        are_due(asset, &Asset { erased: 2, ..is(1) }, other).unwrap_err();
    }
}

//! By which grant somebody has a program run, or why by none.

use super::{PAGE, Result};
use crate::{
    abi::{
        ADDRESS, COMPUTE, CONSENT, CREDENTIAL,
        IConsent::{Grant, IConsentErrors as E, checkCall, grantOfCall, grantsOfCall},
        TOKEN,
    },
    client::{DataError, words},
    sale,
};
use alloy_primitives::{B256, U256};
use stoa_client::{ViewError, Wallet, view};

/// Grants at most that are looked at to say why none lets a program run.
const MOST_TOLD: usize = 200;

/// Of how many grants that are for somebody it is said why they do not: the newest.
const MOST_SAID: usize = 5;

/// A grant of an asset under which a wallet may have a program run: the newest.
///
/// # Errors
///
/// If there is none: why those that are for the wallet do not. Or if the ledger cannot be asked.
pub(super) async fn grant_for(wallet: &Wallet, asset: B256, algorithm: B256) -> Result<B256> {
    let (client, user) = (wallet.client(), wallet.address());
    let mut grants = Vec::new();
    for from in (0..).step_by(PAGE as usize) {
        let page = grantsOfCall { asset, from: U256::from(from), most: U256::from(PAGE) };
        let page = view(client, CONSENT, &page).await?.0;
        let is_last = (page.len() as u64) < PAGE;
        grants.extend(page);
        if is_last {
            break;
        }
    }
    let mut refused = Vec::new();
    for grant in grants.into_iter().rev() {
        match view(client, CONSENT, &checkCall { grant, user, kind: COMPUTE, algorithm }).await {
            Ok(_) => return Ok(grant),
            Err(why @ ViewError::Reverted(_)) => refused.push((grant, why)),
            Err(error) => return Err(error.into()),
        }
    }
    let why = match why_none(wallet, &refused).await? {
        Some(why) => format!(": {why}"),
        None => String::new(),
    };
    Err(DataError::Ledger(format!("no grant of asset {asset} lets {user} have this program run{why}")))
}

/// Why none of these grants, the newest first, lets a wallet have a program run: what is wrong with each that is for it, by name or for what
/// it holds, or else with one for whoever holds something.
async fn why_none(wallet: &Wallet, refused: &[(B256, ViewError)]) -> Result<Option<String>> {
    let (client, user) = (wallet.client(), wallet.address());
    let (mut own, mut holders) = (Vec::new(), None);
    for (grant, why) in refused.iter().take(MOST_TOLD) {
        if own.len() == MOST_SAID {
            break;
        }
        let Some(reason) = why.reason::<E>() else { continue };
        let Grant { terms, .. } = view(client, CONSENT, &grantOfCall { grant: *grant }).await?.0;
        let (who, lacks) = (terms.who, matches!(reason, E::ConsentNotGranted(_)));
        // The contract looks at these only once it knows that he holds what is wanted.
        let holds = matches!(reason, E::ConsentUseNotGranted(_) | E::ConsentOtherAlgorithm(_) | E::ConsentUsedUp(_));
        match terms.kind {
            ADDRESS if who == user => own.push(words(&reason)),
            TOKEN | CREDENTIAL if holds => own.push(words(&reason)),
            TOKEN | CREDENTIAL if holders.is_none() => {
                let denied = match terms.kind {
                    CREDENTIAL if lacks => sale::denied(client, who, user).await,
                    _ => None,
                };
                holders = Some(match (denied, lacks, terms.kind) {
                    (Some(denied), ..) => denied,
                    (None, false, _) => words(&reason),
                    (None, true, TOKEN) => {
                        format!("grant {grant} is for who holds a token of {who}, and {user} holds none")
                    }
                    (None, true, _) => {
                        format!(
                            "grant {grant} is for who has an order or another credential of {who}, and {user} has none"
                        )
                    }
                });
            }
            _ => {}
        }
    }
    Ok(if own.is_empty() { holders } else { Some(own.join("; ")) })
}

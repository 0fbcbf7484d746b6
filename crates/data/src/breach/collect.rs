//! Asking a node for what releases are judged by.

use super::{Case, CaseError, ends, shared, told};
use crate::{
    abi::{
        CONSENT,
        IConsent::{AllRevoked, AssetRegistered, Erased, Granted, KeepersMoved, Revoked},
    },
    audit::prove,
    record::{paged, registered},
};
use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::SolEvent as _;
use futures::{StreamExt as _, stream};
use std::{collections::BTreeSet, time::Duration};
use stoa_client::Client;
use stoa_privacy::Evidence;

/// How long to wait for the certificate of a new block.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many blocks behind the newest are new.
const NEW: u64 = 4;

/// How many certificates are asked for at once.
const AT_ONCE: usize = 8;

/// What is looked for.
const EVENTS: [B256; 6] = [
    AssetRegistered::SIGNATURE_HASH,
    KeepersMoved::SIGNATURE_HASH,
    Granted::SIGNATURE_HASH,
    Revoked::SIGNATURE_HASH,
    AllRevoked::SIGNATURE_HASH,
    Erased::SIGNATURE_HASH,
];

/// Whether an event is one that these releases are judged by. `standing` are the grants that have been made and have not ended.
fn counts(log: &alloy_primitives::Log, asset: B256, releases: &[Evidence], standing: &mut BTreeSet<B256>) -> bool {
    if let Some((sharing, _)) = shared(log, asset) {
        return releases.iter().any(|release| release.claim().sharing == sharing);
    }
    if let Some(granted) = told::<Granted>(log, asset) {
        let wanted = releases.iter().any(|release| release.claim().grant.id.0 == granted.grant);
        return wanted && standing.insert(granted.grant);
    }
    let before = standing.len();
    standing.retain(|grant| !ends(log, asset, *grant));
    standing.len() < before
}

impl Case {
    /// Asks a node for all that these releases of an asset's keepers are judged by. A block that it does not prove is left out.
    ///
    /// # Errors
    ///
    /// If there is no such asset, or the node does not tell.
    pub async fn collect(client: &Client, asset: B256, releases: &[Evidence]) -> Result<Self, CaseError> {
        let chain_id: U256 = client.call("eth_chainId", ()).await?;
        let (is, head) = registered(client, asset).await?;
        let filter = Filter::new().address(CONSENT).event_signature(EVENTS.to_vec()).topic1(asset);
        let logs = paged(is.registered, head.number, async |from, to| {
            client.call::<Vec<Log>>("eth_getLogs", (filter.clone().from_block(from).to_block(to),)).await
        });
        let mut logs = logs.await?;
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        let mut standing = BTreeSet::new();
        logs.retain(|log| counts(&log.inner, asset, releases, &mut standing));
        let mut hashes: Vec<_> = logs.iter().filter_map(|log| log.transaction_hash).collect();
        let mut seen = BTreeSet::new();
        hashes.retain(|hash| seen.insert(*hash));

        let mut case = Self::new(chain_id.saturating_to(), asset, releases);
        for hash in hashes {
            case.transactions.push(prove(client, hash).await?);
        }
        let named: BTreeSet<_> = releases.iter().map(|release| release.claim().seen.number).collect();
        let named = named.into_iter().filter(|number| *number <= head.number);
        let certificates = named.map(|number| {
            let patience = if number + NEW > head.number { PATIENCE } else { Duration::ZERO };
            client.certificate_within(number, patience)
        });
        let certificates: Vec<_> = stream::iter(certificates).buffered(AT_ONCE).collect().await;
        case.blocks = certificates.into_iter().filter_map(Result::ok).collect();
        Ok(case)
    }
}

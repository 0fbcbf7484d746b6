//! The record of consent: all that happened to an asset, read from the ledger's events.
//!
//! Nobody keeps this record: it is what owners and users did, each by a transaction that they signed. [`Record::read`] puts it
//! together from a node's answers. They are the node's word; what any of its transactions did is checked with the network
//! key alone (`stoa verify --receipt`).
//!
//! Its [`Display`](std::fmt::Display) is for people. [`Record::json_ld`] is for programs: one `dpv:ConsentRecord` for each grant
//! in the terms of the W3C's Data Privacy Vocabulary, and each use as a `prov:Activity`. Whoever answers for personal data under
//! the General Data Protection Regulation finds there, beside what only they know (names, contracts):
//!
//! | article | asks for | where it is |
//! |---|---|---|
//! | 7(1) | proof that consent was given, by whom and for what | `dpv:hasConsentStatus` with its history in `dct:hasPart` (`dct:date`, `dpv:isIndicatedBy`), `dpv:hasPurpose`, `stoa:transaction` |
//! | 7(3) | when it was withdrawn | the `dpv:ConsentWithdrawn` in `dct:hasPart`; of one that was over before, the `dpv:ConsentExpired` |
//! | 15(1)(a) | purposes | `dpv:hasPurpose`, `dpv:hasProcessing` |
//! | 15(1)(c) | recipients | `dpv:hasRecipient`; who began to use it, and may have it: `prov:wasAssociatedWith` of each use |
//! | 15(1)(d) | how long | `dct:valid`; `prov:invalidatedAtTime` of an asset that was erased |
//! | 30(1)(a), (b), (d) | controller, purposes, recipients | `dpv:hasDataController`, `dpv:hasPurpose`, `dpv:hasRecipient` |
//! | 15(1)(b), 30(1)(c) | categories of data subjects and of personal data | `dpv:hasDataSubject`, `dpv:hasPersonalData`, if the owner says them in the document that he has published; `stoa:notSaid` names what he does not say |
//! | 30(1)(f) | time limits for erasure | `dct:valid` |
//! | 30(1)(g) | measures of security | `stoa:keepers`, `stoa:neededKeepers`, `stoa:ownerHalf` of the asset |

mod linked;
mod said;
mod text;

use crate::abi::{
    CONSENT,
    IConsent::{self, Asset, IConsentErrors, IConsentEvents, Terms, Used, assetOfCall},
    within,
};
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::SolEventInterface as _;
use std::{
    cmp::min,
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};
use stoa_client::{At, Client, ClientError, ViewError, view};

pub(crate) use linked::{did, urn};
pub use said::Said;
pub use stoa_client::iso_8601;

/// Blocks that a node is asked for at once, at most.
const PAGE: u64 = 10_000;

/// Why there is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is no such asset on the node's chain.
    #[error("no asset {0} is registered on this chain")]
    Unknown(B256),
    /// The contract could not be asked.
    #[error(transparent)]
    View(ViewError),
    /// The node cannot be reached, or refuses.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The node told an event that is not one of this asset's consent.
    #[error("the node tells an event of block {0:?} that is none of consent to this asset")]
    Malformed(Option<u64>),
}

/// Where on the ledger something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The block's number.
    pub number: u64,
    /// The block's time, in seconds since 1970.
    pub time: u64,
    /// The transaction's hash.
    pub transaction: B256,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where.
    pub place: Place,
    /// What.
    pub event: IConsentEvents,
}

/// All that happened to an asset, up to a block.
#[derive(Clone, Debug)]
pub struct Record {
    /// EIP-155 id of the chain.
    pub chain_id: u64,
    /// Which asset.
    pub id: B256,
    /// What it is now.
    pub asset: Asset,
    /// The ed25519 keys of its keepers now.
    pub keepers: Vec<B256>,
    /// Whose data it is, as its owner says.
    pub said: Said,
    /// The block up to which this tells all.
    pub at: At,
    /// In the order in which it happened.
    pub entries: Vec<Entry>,
}

/// How it stands with a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It stands.
    Given,
    /// The owner took it back.
    Withdrawn,
    /// Whom it was for gave it up.
    Renounced,
    /// Its time was over before anybody ended it.
    Expired,
}

/// A grant with all that came of it.
#[derive(Clone, Debug)]
pub struct Granted<'a> {
    /// Its id.
    pub id: B256,
    /// What it allows.
    pub terms: &'a Terms,
    /// Where it was made.
    pub made: Place,
    /// Where it was revoked and by whom, if it was.
    pub revoked: Option<(Place, Address)>,
    /// Its uses, in order.
    pub uses: Vec<(Place, &'a Used)>,
}

impl Granted<'_> {
    /// How it stands at a time, in seconds since 1970, which is not before the record's. What was over when it was revoked had
    /// nothing left to take back.
    pub fn status(&self, asset: &Asset, time: u64) -> Status {
        let over = self.revoked.map_or(time, |(place, _)| place.time);
        match self.revoked {
            _ if !within(self.terms.until, over) => Status::Expired,
            Some((_, by)) if by == asset.owner => Status::Withdrawn,
            Some(_) => Status::Renounced,
            None => Status::Given,
        }
    }
}

/// An asset as it is registered now, and at which block that is.
pub(crate) async fn registered(client: &Client, id: B256) -> Result<(Asset, At), RecordError> {
    let unknown = |error: ViewError| match error.reason::<IConsentErrors>() {
        Some(IConsentErrors::ConsentAssetUnknown(_)) => RecordError::Unknown(id),
        _ => RecordError::View(error),
    };
    view(client, CONSENT, &assetOfCall { asset: id }).await.map_err(unknown)
}

impl Record {
    /// Reads it from a node, in pages that the node is willing to answer, from the block in which the asset was registered to
    /// the newest. `progress` is told how many of how many blocks have been looked at.
    ///
    /// # Errors
    ///
    /// See [`RecordError`]. A node that has dropped old blocks refuses: ask one that keeps them.
    pub async fn read(client: &Client, id: B256, mut progress: impl FnMut(u64, u64)) -> Result<Self, RecordError> {
        let chain_id: U256 = client.call("eth_chainId", ()).await?;
        let (asset, at) = registered(client, id).await?;
        let first = asset.registered;
        let logs = paged(first, at.number, async |from, to| {
            progress(from - first, at.number + 1 - first);
            let filter = Filter::new().address(CONSENT).topic1(id).from_block(from).to_block(to);
            client.call::<Vec<Log>>("eth_getLogs", (filter,)).await
        });
        let mut logs = logs.await?;
        logs.sort_by_key(|log| (log.block_number, log.log_index));
        let entries = logs.iter().map(|log| entry(id, first..=at.number, log)).collect::<Result<Vec<_>, _>>()?;
        let keepers = entries.iter().rev().find_map(|entry| match &entry.event {
            IConsentEvents::AssetRegistered(event) => Some(event.keepers.clone()),
            IConsentEvents::KeepersMoved(event) => Some(event.keepers.clone()),
            _ => None,
        });
        let keepers = keepers.ok_or(RecordError::Malformed(None))?;
        let said = Said::read(client, id, asset.owner, (first, at.number)).await?;
        Ok(Self { chain_id: chain_id.saturating_to(), id, asset, keepers, said, at, entries })
    }

    /// Every node that the ledger names as a keeper of its key, now or before, with the digests of the sharings that it was to have a share
    /// of. Whether it took its share the ledger does not say.
    pub fn sharings(&self) -> BTreeMap<B256, BTreeSet<B256>> {
        let mut sharings = BTreeMap::<B256, BTreeSet<B256>>::new();
        for entry in &self.entries {
            let (sharing, keepers) = match &entry.event {
                IConsentEvents::AssetRegistered(event) => (event.sharing, &event.keepers),
                IConsentEvents::KeepersMoved(event) => (event.sharing, &event.keepers),
                _ => continue,
            };
            for keeper in keepers {
                sharings.entry(*keeper).or_default().insert(sharing);
            }
        }
        sharings
    }

    /// Everybody of whom a use of a grant of it is on record: [`READ`](crate::abi::READ), or [`COMPUTE`](crate::abi::COMPUTE). The use
    /// comes first, and what is used after it: whether that came, the ledger does not say.
    pub fn users(&self, kind: u8) -> BTreeSet<Address> {
        let grants = self.grants();
        let uses = grants.iter().flat_map(|grant| &grant.uses).filter(|(_, used)| used.kind == kind);
        uses.map(|(_, used)| used.user).collect()
    }

    /// All grants, in the order in which they were made.
    pub fn grants(&self) -> Vec<Granted<'_>> {
        let mut grants = Vec::<Granted<'_>>::new();
        for Entry { place, event } in &self.entries {
            match event {
                IConsentEvents::Granted(IConsent::Granted { grant, terms, .. }) => {
                    grants.push(Granted { id: *grant, terms, made: *place, revoked: None, uses: Vec::new() });
                }
                IConsentEvents::Revoked(event) => {
                    let own = grants.iter_mut().filter(|grant| grant.id == event.grant);
                    own.for_each(|grant| grant.revoked = Some((*place, event.by)));
                }
                IConsentEvents::AllRevoked(IConsent::AllRevoked { by, .. })
                | IConsentEvents::Erased(IConsent::Erased { by, .. }) => {
                    let standing = grants.iter_mut().filter(|grant| grant.revoked.is_none());
                    standing.for_each(|grant| grant.revoked = Some((*place, *by)));
                }
                IConsentEvents::Used(event) => {
                    let own = grants.iter_mut().filter(|grant| grant.id == event.grant);
                    own.for_each(|grant| grant.uses.push((*place, event)));
                }
                IConsentEvents::AssetRegistered(_)
                | IConsentEvents::ObjectSet(_)
                | IConsentEvents::KeepersMoved(_)
                | IConsentEvents::Announced(_) => {}
            }
        }
        grants
    }
}

/// Asks for what lies in blocks `first..=last`, in ranges as large as are answered.
pub(crate) async fn paged<T>(
    first: u64,
    last: u64,
    mut ask: impl AsyncFnMut(u64, u64) -> Result<Vec<T>, ClientError>,
) -> Result<Vec<T>, ClientError> {
    let (mut from, mut page, mut found) = (first, PAGE, Vec::new());
    while from <= last {
        let to = min(last, from.saturating_add(page - 1));
        match ask(from, to).await {
            Ok(part) => {
                found.extend(part);
                from = to + 1;
                page = min(2 * page, PAGE);
            }
            // Too many blocks, or too many events: how many is the node's own rule.
            Err(ClientError::Refused { .. }) if to > from => page = (to - from).div_ceil(2),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// An event that a node tells. It must be one of those that were asked for.
fn entry(asset: B256, blocks: RangeInclusive<u64>, log: &Log) -> Result<Entry, RecordError> {
    let malformed = || RecordError::Malformed(log.block_number);
    let (number, time) = log.block_number.zip(log.block_timestamp).ok_or_else(malformed)?;
    let transaction = log.transaction_hash.ok_or_else(malformed)?;
    if log.address() != CONSENT || log.topics().get(1) != Some(&asset) || !blocks.contains(&number) {
        return Err(malformed());
    }
    let event = IConsentEvents::decode_log(&log.inner).map_err(|_| malformed())?.data;
    Ok(Entry { place: Place { number, time, transaction }, event })
}

#[cfg(test)]
mod tests;

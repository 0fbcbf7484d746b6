//! Keepers that released a share of a key after its grant was revoked, shown to whoever has the network key.
//!
//! ```text
//!  network key ── signed ──▶ blocks ── commit to ──▶ transactions and their events
//!
//!    AssetRegistered, KeepersMoved     Granted ──▶ Revoked, AllRevoked, Erased     the block that the keeper names
//!    who kept shares of the key        and until when; since when it is over       whether there is one, and its time
//!                 ▲                                          ▲                                 ▲
//!                 └──────────────── a release: who, of which grant, at which block it saw that stand
//! ```
//!
//! Whoever reads keeps what keepers have signed when they released their shares ([`Kept`]), without the shares. A [`Case`] is some of that
//! with what of the ledger it is judged by: for each transaction the proof that a block holds it, with its events, and the certificate of
//! that block. [`Case::collect`] asks a node, which need not be trusted: it can leave something out, and so hide a breach, but makes none.
//! [`Case::judge`] believes nothing but the key, and asks nobody.
//!
//! A release that was good when it was given stays so: a revocation that comes later names a later block. So the oldest may be forgotten.

mod collect;
mod kept;
#[cfg(test)]
mod tests;

pub use kept::{Kept, MOST_KEPT};

use crate::{
    abi::{
        CONSENT,
        IConsent::{AllRevoked, AssetRegistered, Erased, Granted, KeepersMoved, Revoked},
    },
    audit::{CollectError, Proven, json},
    record::RecordError,
};
use alloy_primitives::{B256, Bytes, Log};
use alloy_sol_types::SolEvent;
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use stoa_base::NodeId;
use stoa_client::{CertificateReply, ClientError};
use stoa_privacy::{Breach, Evidence};

/// What a case is called that this version reads.
const FORMAT: &str = "stoa-breach/1";

/// The most that is read, in bytes.
const MOST: usize = 64 << 20;

/// What keepers have signed of an asset, and what of the ledger it is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    /// Which form it has.
    pub format: String,
    /// EIP-155 id of the chain, as the node said.
    pub chain_id: u64,
    /// The asset.
    pub asset: B256,
    /// Releases, without what was in them ([`Evidence`]).
    pub releases: Vec<Bytes>,
    /// Transactions that say who kept shares, and which grants were made and ended.
    pub transactions: Vec<Proven>,
    /// That there are the blocks of these numbers, which keepers name.
    pub blocks: Vec<CertificateReply>,
}

/// What is to be said of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The grant stood, as far as the case shows.
    Stood,
    /// The keeper did what it must not.
    Breach(Breach),
    /// Nothing, and why.
    Open(String),
}

/// A release with what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The release, without what was in it.
    pub release: Evidence,
    /// What is to be said of it.
    pub verdict: Verdict,
}

/// Why there is no case, or none that could be judged.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// There is no such asset, or it could not be asked for.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The node cannot be reached, or refuses.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The node does not prove something.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// It is too long.
    #[error("it has more than {MOST} bytes")]
    TooLong,
    /// It is something else, or an object of it has a key twice.
    #[error("there is no evidence of a breach in it: want what `stoa consent breach` wrote ({0})")]
    None(#[from] serde_json::Error),
    /// It is of another version.
    #[error("it has the form {0:?}, this program reads {FORMAT:?}")]
    Format(String),
    /// A release is none.
    #[error("one of its releases cannot be read")]
    Release,
    /// A proof does not hold.
    #[error("{what} is not proven: {why}")]
    Proof {
        /// What should be.
        what: String,
        /// Why it is not.
        why: String,
    },
    /// Its blocks are no chain's.
    #[error("its blocks are of {0} chains")]
    Chains(usize),
}

/// Where an event stands: block, transaction in it, event of that.
type At = (u64, u32, usize);

/// What a certificate says of a block.
#[derive(Clone, Copy)]
struct Block {
    hash: B256,
    /// In seconds since 1970.
    time: u64,
}

/// An event of this kind by the contract of consent, if it is about this asset.
fn told<E: SolEvent>(log: &Log, asset: B256) -> Option<E> {
    let own = log.address == CONSENT && log.topics().get(1) == Some(&asset);
    if own { E::decode_log(log).ok().map(|event| event.data) } else { None }
}

/// How the key of an asset is shared from an event on: the sharing's digest, and its keepers.
fn shared(log: &Log, asset: B256) -> Option<(B256, Vec<B256>)> {
    let registered = told::<AssetRegistered>(log, asset).map(|event| (event.sharing, event.keepers));
    registered.or_else(|| told::<KeepersMoved>(log, asset).map(|event| (event.sharing, event.keepers)))
}

/// Whether an event ends this grant, which was made before.
fn ends(log: &Log, asset: B256, grant: B256) -> bool {
    told::<Revoked>(log, asset).is_some_and(|event| event.grant == grant)
        || told::<AllRevoked>(log, asset).is_some()
        || told::<Erased>(log, asset).is_some()
}

impl Case {
    /// Of these releases, with nothing to judge them by.
    fn new(chain_id: u64, asset: B256, releases: &[Evidence]) -> Self {
        let releases = releases.iter().map(|release| release.encode().to_vec().into()).collect();
        Self { format: FORMAT.into(), chain_id, asset, releases, transactions: Vec::new(), blocks: Vec::new() }
    }

    /// Reads one that was written as JSON: as it is, or as `evidence` of what was said of it.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn read(bytes: &[u8]) -> Result<Self, CaseError> {
        if bytes.len() > MOST {
            return Err(CaseError::TooLong);
        }
        let mut value = json::read(bytes)?;
        if let Some(evidence) = value.get_mut("evidence") {
            value = evidence.take();
        }
        let case: Self = serde_json::from_value(value)?;
        if case.format == FORMAT { Ok(case) } else { Err(CaseError::Format(case.format)) }
    }

    /// Says of each release whether its keeper might give it, with nothing but the network key.
    ///
    /// # Errors
    ///
    /// If a part of the case is not proven: nothing of it must be believed then.
    pub fn judge(&self, network_key: &[u8]) -> Result<Vec<Judged>, CaseError> {
        let (mut events, mut blocks, mut chains) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        for proven in &self.transactions {
            let unproven = |why| CaseError::Proof { what: format!("transaction {}", proven.transaction), why };
            let left = proven.verify(network_key).map_err(unproven)?;
            chains.insert(proven.certificate.genesis_hash);
            let (block, index) = (left.header.number, left.index);
            let logs = left.receipt.logs.into_iter().enumerate();
            events.extend(logs.map(|(position, log)| ((block, index, position), log)));
        }
        for certificate in &self.blocks {
            let unproven = |why: stoa_client::InvalidCertificate| CaseError::Proof {
                what: "a block".into(),
                why: why.to_string(),
            };
            let header = certificate.verify(network_key).map_err(unproven)?;
            chains.insert(certificate.genesis_hash);
            blocks.insert(header.number, Block { hash: header.hash_slow(), time: header.timestamp });
        }
        // Certificates are bound to block 0: those of two chains with one key are told apart by it.
        if chains.len() > 1 {
            return Err(CaseError::Chains(chains.len()));
        }
        events.sort_by_key(|(at, _)| *at);
        self.judge_by(&events, &blocks)
    }

    /// The same by events in order, and blocks by their numbers, that are known to be so.
    fn judge_by(&self, events: &[(At, Log)], blocks: &BTreeMap<u64, Block>) -> Result<Vec<Judged>, CaseError> {
        let each = self.releases.iter().map(|bytes| {
            let release = Evidence::decode(Copying(&bytes[..])).map_err(|_| CaseError::Release)?;
            let verdict = self.verdict(&release, events, blocks).unwrap_or_else(Verdict::Open);
            Ok::<_, CaseError>(Judged { release, verdict })
        });
        each.collect()
    }

    fn verdict(
        &self,
        release: &Evidence,
        events: &[(At, Log)],
        blocks: &BTreeMap<u64, Block>,
    ) -> Result<Verdict, String> {
        let (claim, asset) = (release.claim(), self.asset);
        release.verify().map_err(|error| error.to_string())?;
        if claim.grant.asset.0 != asset {
            return Err(format!("it is of asset {}", claim.grant.asset.0));
        }
        let (grant, seen, keeper) = (claim.grant.id.0, claim.seen.number, NodeId::from(&claim.keeper));
        let keeps =
            |(sharing, keepers): (B256, Vec<B256>)| sharing == claim.sharing && keepers.contains(&B256::from(keeper));
        if !events.iter().filter_map(|(_, log)| shared(log, asset)).any(keeps) {
            return Err(format!("no block shows that node {keeper} ever kept such a share"));
        }
        let made = |log: &Log| told::<Granted>(log, asset).filter(|event| event.grant == grant);
        let made = events.iter().enumerate().find_map(|(place, (_, log))| Some((place, made(log)?.terms.until)));
        let (granted, until) = made.ok_or_else(|| format!("no block shows grant {grant}"))?;
        if seen < events[granted].0.0 {
            return Err(format!("node {keeper} says that it saw the grant stand before it was made"));
        }
        let ended = events[granted + 1..].iter().find(|(_, log)| ends(log, asset, grant));
        let block = blocks.get(&seen);
        let breach = release.breach(ended.map(|(at, _)| at.0), block.map(|block| block.hash));
        match (breach.map_err(|error| error.to_string())?, block) {
            (Some(breach), _) => Ok(Verdict::Breach(breach)),
            (None, Some(block)) if until > 0 && block.time >= until => {
                Ok(Verdict::Breach(Breach::AfterEnd { keeper, seen, until }))
            }
            (None, Some(_)) => Ok(Verdict::Stood),
            (None, None) => Err(format!("the node does not prove block {seen}, at which node {keeper} looked")),
        }
    }
}

//! The record for people.

use super::{Entry, Granted, Record, Said, Status, iso_8601};
use crate::{
    abi::{
        ADDRESS, COMPUTE,
        IConsent::{IConsentEvents, Terms},
        READ, TOKEN,
    },
    ddo::People,
};
use alloy_primitives::{Address, B256, U256};
use std::fmt;
use stoa_client::counted;

impl fmt::Display for Record {
    /// What the asset is, what happened to it in order, each with its transaction, and how it stands with each grant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, asset, at, .. } = self;
        writeln!(f, "asset    {id}")?;
        writeln!(f, "owner    {}", asset.owner)?;
        writeln!(f, "object   {}", asset.object)?;
        writeln!(f, "key      {}", parts(asset.needed, self.keepers.len(), asset.ownerHalf))?;
        let (subjects, personal) = whose(&self.said);
        writeln!(f, "about    {subjects}")?;
        writeln!(f, "kinds    {personal}")?;
        writeln!(f, "told at  block {}, {}", at.number, iso_8601(at.timestamp))?;
        writeln!(f, "\n   block  time                  what")?;
        for Entry { place, event } in &self.entries {
            let (headline, lines) = told(event);
            writeln!(f, "{:>8}  {}  {headline}", place.number, iso_8601(place.time))?;
            lines.iter().try_for_each(|line| writeln!(f, "          {line}"))?;
            writeln!(f, "          in {}", place.transaction)?;
        }
        let grants = self.grants();
        write!(f, "\ngrants   {}", grants.len())?;
        for grant in &grants {
            let Granted { id, terms, revoked, uses, .. } = grant;
            let status = match (grant.status(asset, at.timestamp), revoked) {
                (Status::Expired, _) => format!("ended {}", iso_8601(terms.until)),
                (Status::Withdrawn, Some((place, _))) => format!("revoked {}", iso_8601(place.time)),
                (Status::Renounced, Some((place, _))) => format!("given up {}", iso_8601(place.time)),
                _ => "stands".to_owned(),
            };
            let begun = match terms.limit {
                0 => counted(uses.len() as u64, "use"),
                limit => format!("{} of {limit} uses", uses.len()),
            };
            write!(f, "\n  {id}\n    {status}; {begun} on record")?;
        }
        Ok(())
    }
}

/// Categories of data subjects, and of personal data.
fn whose(said: &Said) -> (String, String) {
    let names = |terms: &[String], what: &str| match terms {
        [] => format!("not said: {what}"),
        terms => terms.iter().map(|term| name(term)).collect::<Vec<_>>().join(", "),
    };
    let (nobody, none) = ("which people the data are about", "which kinds of personal data they are");
    match said {
        Said::This { people: People { subjects, personal }, .. } => (names(subjects, nobody), names(personal, none)),
        Said::Nothing => (names(&[], nobody), names(&[], none)),
        Said::Sealed(_) => {
            let sealed = "in a document that is sealed, if at all";
            (format!("said {sealed}"), format!("said {sealed}"))
        }
    }
}

/// The name of a term of a vocabulary.
fn name(term: &str) -> &str {
    term.rsplit_once('#').map_or(term, |(_, name)| name)
}

/// Who has a part in the key.
fn parts(needed: u8, keepers: usize, owner_half: bool) -> String {
    match (keepers, owner_half) {
        (0, _) => "the owner's, with no keepers".to_owned(),
        (_, true) => format!("{needed} of {keepers} keepers, and the owner's half"),
        (_, false) => format!("{needed} of {keepers} keepers, without the owner"),
    }
}

/// The beginning of a hash, which its whole is found by above or below.
fn short(hash: &B256) -> String {
    let hash = hash.to_string();
    format!("{}…", &hash[..10])
}

/// What happened: a headline, and lines below it.
fn told(event: &IConsentEvents) -> (String, Vec<String>) {
    let by = |account: &Address| vec![format!("by {account}")];
    match event {
        IConsentEvents::AssetRegistered(event) => {
            let key = parts(event.needed, event.keepers.len(), event.ownerHalf);
            ("registered".to_owned(), vec![format!("by {}", event.owner), format!("key: {key}")])
        }
        IConsentEvents::ObjectSet(event) => (format!("object is now {}", short(&event.object)), Vec::new()),
        IConsentEvents::KeepersMoved(event) => {
            let keepers = format!("{} of {}, generation {}", event.needed, event.keepers.len(), event.generation);
            (format!("keepers are now {keepers}"), Vec::new())
        }
        IConsentEvents::Granted(event) => (format!("granted {}", short(&event.grant)), allowed(&event.terms)),
        IConsentEvents::Revoked(event) => (format!("revoked {}", short(&event.grant)), by(&event.by)),
        IConsentEvents::AllRevoked(event) => ("revoked all grants".to_owned(), by(&event.by)),
        IConsentEvents::Erased(event) => ("erased, and all grants revoked".to_owned(), by(&event.by)),
        IConsentEvents::Used(event) => {
            let way = way(event.kind, &event.algorithm);
            // Keepers release, and jobs run, after that: whether they did, the ledger does not say.
            (format!("began to use {}", short(&event.grant)), vec![format!("by {}", event.user), format!("to {way}")])
        }
        IConsentEvents::Announced(event) => ("announced a reading key".to_owned(), by(&event.wallet)),
    }
}

/// The service whose orders a credential stands for: datatokens count them from 1, and other credentials are hardly ever so small.
fn service(credential: &B256) -> Option<u64> {
    let service = U256::from_be_bytes(credential.0).checked_sub(U256::ONE)?;
    u32::try_from(service).ok().map(u64::from)
}

/// To whom, for what, how, until when and how often.
fn allowed(terms: &Terms) -> Vec<String> {
    let mut lines = match terms.kind {
        ADDRESS => vec![format!("to {}", terms.who)],
        TOKEN => vec![format!("to holders of a token of {}", terms.who)],
        _ => {
            let whom = match service(&terms.credential) {
                Some(number) => format!("to whoever has an order of service {number} (credential {})", number + 1),
                None => format!("to holders of credential {}", short(&terms.credential)),
            };
            vec![whom, format!("according to {}", terms.who)]
        }
    };
    lines.push(format!("for {}", name(&terms.purpose)));
    let mut how = format!("to {}", way(terms.uses, &terms.algorithm));
    if terms.limit > 0 {
        how += &format!(", {} at most", counted(terms.limit.into(), "time"));
    }
    lines.push(how);
    if terms.until > 0 {
        lines.push(format!("until {}", iso_8601(terms.until)));
    }
    lines
}

fn way(uses: u8, algorithm: &B256) -> String {
    let ways = match uses {
        READ => "read",
        COMPUTE => "compute",
        _ => "read and compute",
    };
    if algorithm.is_zero() { ways.to_owned() } else { format!("{ways} by algorithm {}", short(algorithm)) }
}

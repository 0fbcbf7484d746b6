//! Following a job's receipt back to what it rests on, from the network key alone.
//!
//! ```text
//!  network key ── signed ──▶ blocks ── commit to ──▶ transactions and their events
//!
//!    AssetRegistered ──▶ Offered ──▶ Granted ──▶ JobStarted + Used ──▶ JobFinished ──▶ JobChecked
//!    whose data           what for     by whom     under which leave     the receipt     who ran it again
//!                                                   ▲             ▲
//!                           OrderStarted + OrderRecorded     ProgramPublished
//!                           who paid for the leave           who says what the program is built from
//! ```
//!
//! The job's id is the hash of the use of the grant, the asset, the program and the order, and the node signs it with the receipt.
//!
//! [`Evidence`] is what somebody needs to check all of that without asking anybody: for each transaction the proof that a block
//! holds it, with its events, and the certificate of that block. [`Evidence::collect`] asks a node for it, which need not be
//! trusted; [`Evidence::audit`] believes nothing but the key and says of each step whether it holds. That a contract's event is
//! there proves that the contract's rules let it be: that the grant stood in that block, that the node had signed, who was paid.
//! That one is not there proves nothing: whoever has made the evidence may have left out that a job was checked, and what came of that.
//! Which chain it is, one of the transactions tells: its signature is for that chain alone, and its hash is what the block holds.
//!
//! What is not on the ledger (program, parameters, results, data) is compared with the hashes that are, by whoever has it:
//! [`Audit::compare`].
//!
//! The same evidence is in each form that an audit is written in: [`page`](Audit::page) for people, and
//! [`prov`](Audit::prov) and [`in_toto`](Audit::in_toto) for programs. [`Evidence::read`] finds it in any of them, and
//! [`Audit::shown`] tells whether the rest of the file is what the evidence proves.

mod collect;
mod in_toto;
pub(crate) mod json;
mod page;
mod prov;
mod shown;
mod steps;
#[cfg(test)]
mod tests;

use alloy_primitives::{B256, Bytes, Log};
use alloy_sol_types::SolEvent;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use stoa_client::{CertificateReply, ReceiptReply};

use crate::{
    abi::IConsent::{AssetRegistered, Erased, Granted, Used},
    jobs::{
        abi::IJobs::{JobChecked, JobDrawn, JobFinished, JobSpared, JobStarted, Offered, ProgramPublished},
        data::DataSet,
    },
    market::abi::IDatatoken::{OrderRecorded, OrderStarted},
};
pub use collect::CollectError;
pub(crate) use collect::prove;
pub use shown::Shown;

/// What evidence is called that this version reads.
const FORMAT: &str = "stoa-audit/2";

/// What begins evidence within a page.
const SCRIPT: &str = r#"<script type="application/json" id="evidence">"#;

/// The most that is read, in bytes.
const MOST: usize = 64 << 20;

/// A transaction with what proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proven {
    /// Its hash.
    pub transaction: B256,
    /// That a block holds it, and what it left behind.
    pub proof: ReceiptReply,
    /// That the network agreed on the block.
    pub certificate: CertificateReply,
}

/// All that is needed to check what led to a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Which form it has.
    pub format: String,
    /// EIP-155 id of the chain: names are built with it.
    pub chain_id: u64,
    /// One of the transactions as it was signed, which names the chain.
    pub signed: Bytes,
    /// The job.
    pub job: B256,
    /// Transactions, in the order in which they were.
    pub transactions: Vec<Proven>,
}

/// Why something is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// It is too long.
    #[error("it has more than {MOST} bytes")]
    TooLong,
    /// It is in none of the forms.
    #[error("there is no evidence in it: want what `stoa audit` wrote, as JSON, a page, PROV or in-toto")]
    None,
    /// It is no JSON, or of another form, or an object of it has a key twice.
    #[error("it cannot be read")]
    Json(#[from] serde_json::Error),
    /// It is of another version.
    #[error("it has the form {0:?}, this program reads {FORMAT:?}")]
    Format(String),
}

/// A step of an audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What was looked at.
    pub name: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// What was found.
    pub found: String,
}

/// Where an event was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The block's number.
    pub block: u64,
    /// Its time, in seconds since 1970.
    pub time: u64,
    /// The transaction's hash.
    pub transaction: B256,
}

/// An event, and where it was.
#[derive(Clone, Debug)]
pub struct Found<E> {
    /// Where.
    pub at: Place,
    /// What.
    pub event: E,
}

/// What the evidence proves.
#[derive(Clone, Debug)]
pub struct Audit {
    /// What it rests on.
    pub evidence: Evidence,
    /// The key that everything was checked with.
    pub network_key: Bytes,
    /// Each step, in order.
    pub steps: Vec<Step>,
    /// The asset.
    pub registered: Option<Found<AssetRegistered>>,
    /// What its owner offered.
    pub offered: Option<Found<Offered>>,
    /// What he allowed.
    pub granted: Option<Found<Granted>>,
    /// The beginning of the job.
    pub started: Option<Found<JobStarted>>,
    /// The use of the grant that it is.
    pub used: Option<Found<Used>>,
    /// The order of a datatoken by which its buyer had the grant, as the datatoken wrote it down.
    pub ordered: Option<Found<OrderRecorded>>,
    /// That the order was paid.
    pub order_paid: Option<Found<OrderStarted>>,
    /// Who had published the program before, and said from which source it is built.
    pub sources: Vec<Found<ProgramPublished>>,
    /// Its receipt.
    pub finished: Option<Found<JobFinished>>,
    /// Who was drawn to check it.
    pub drawn: Option<Found<JobDrawn>>,
    /// That nobody was.
    pub spared: Option<Found<JobSpared>>,
    /// What came of that.
    pub checked: Option<Found<JobChecked>>,
    /// The ends of assets that their owners have erased: of the data, and of programs whose publishers have withdrawn them.
    pub erased: Vec<Found<Erased>>,
}

/// What is not on the ledger, so far as whoever audits has it.
#[derive(Default)]
pub struct Material {
    /// The program.
    pub program: Option<Vec<u8>>,
    /// The parameters of the job's rounds, as its buyer has noted them.
    pub params: Option<Vec<Vec<u8>>>,
    /// What left in its rounds: files by their paths.
    pub left: Option<Vec<BTreeMap<String, Vec<u8>>>>,
    /// The data.
    pub data: Option<DataSet>,
}

impl Evidence {
    /// Finds it in what an audit was written as.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn read(bytes: &[u8]) -> Result<Self, EvidenceError> {
        if bytes.len() > MOST {
            return Err(EvidenceError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| EvidenceError::None)?;
        let text = match text.split_once(SCRIPT) {
            Some((_, rest)) => rest.split_once("</script>").ok_or(EvidenceError::None)?.0,
            None => text,
        };
        let value = json::read(text.as_bytes())?;
        let found = [Some(value.clone()), prov::evidence(&value), in_toto::evidence(&value)];
        let found = found.into_iter().flatten().find(|value| value.get("format").is_some());
        let found = found.ok_or(EvidenceError::None)?;
        match &found["format"] {
            serde_json::Value::String(format) if format != FORMAT => Err(EvidenceError::Format(format.clone())),
            _ => Ok(serde_json::from_value(found)?),
        }
    }

    /// Block 0 of the chain that it says it is of, which the network's signatures are bound to: proven where its blocks are.
    pub fn genesis_hash(&self) -> Option<B256> {
        self.transactions.first().map(|one| one.certificate.genesis_hash)
    }
}

impl Audit {
    /// Whether every step holds.
    pub fn holds(&self) -> bool {
        self.steps.iter().all(|step| step.holds)
    }

    fn step(&mut self, name: &'static str, outcome: Result<String, String>) {
        let (holds, found) = match outcome {
            Ok(found) => (true, found),
            Err(why) => (false, why),
        };
        self.steps.push(Step { name, holds, found });
    }
}

/// The events that are of this kind, by this contract, and wanted.
fn all<E: SolEvent>(
    events: &[(Place, Log)],
    by: alloy_primitives::Address,
    wanted: impl Fn(&E) -> bool,
) -> impl Iterator<Item = Found<E>> {
    events.iter().filter(move |(_, log)| log.address == by).filter_map(move |(at, log)| {
        let event = E::decode_log(log).ok()?.data;
        wanted(&event).then_some(Found { at: *at, event })
    })
}

/// The first of them.
fn find<E: SolEvent>(
    events: &[(Place, Log)],
    by: alloy_primitives::Address,
    wanted: impl Fn(&E) -> bool,
) -> Option<Found<E>> {
    all(events, by, wanted).next()
}

//! An audit as an in-toto statement (v1) with SLSA's provenance (v1) as its predicate. Where others have a signature, it has the
//! evidence: who trusts the network key needs nobody's.
//!
//! in-toto's names of digests are kept for what they say, a hash of a file's bytes. BLAKE3 has no name there and goes by its own. What is
//! a hash of hashes has names of ours. All are in lower-case hexadecimal.

use super::{Audit, steps::ended};
use crate::{
    jobs::{abi::IJobs::Receipt, receipt_digest},
    market::datatoken_of,
    record::{did, iso_8601, urn},
};
use alloy_primitives::{B256, hex};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The evidence's media type.
const MEDIA_TYPE: &str = "application/vnd.stoa.audit+json";

/// Finds the evidence.
pub(super) fn evidence(value: &Value) -> Option<Value> {
    let byproducts = value.pointer("/predicate/runDetails/byproducts")?.as_array()?;
    let found = byproducts.iter().find(|one| one["mediaType"] == MEDIA_TYPE)?;
    found.pointer("/annotations/evidence").cloned()
}

/// What the hash of a list of files is called ([`list_hash`](crate::jobs::data)): SHA-256 over each one's length of path, path and BLAKE3.
const FILES: &str = "stoaFiles";

/// What the chain of hashes over the rounds' parameters is called ([`params_hash`](crate::jobs::params_hash)).
const PARAMETERS: &str = "stoaParameters";

/// What the chain of hashes over what left in the rounds is called ([`outputs_hash`](crate::jobs::outputs_hash)).
const OUTPUTS: &str = "stoaOutputs";

/// What the hash of a receipt is called that its node signs ([`receipt_digest`]).
const RECEIPT: &str = "stoaReceipt";

fn digest(algorithm: &str, hash: B256) -> Value {
    json!({ algorithm: hex::encode(hash) })
}

impl Audit {
    /// The chain of hashes over what left, or the receipt if nothing did.
    fn subject(&self, receipt: &Receipt) -> Value {
        let (chain, job) = (self.evidence.chain_id, self.evidence.job);
        let (kind, digest) = match receipt.output.is_zero() {
            false => ("job", digest(OUTPUTS, receipt.output)),
            true => ("receipt", digest(RECEIPT, receipt_digest(chain, job, receipt))),
        };
        json!({ "name": urn(chain, kind, job), "digest": digest })
    }

    /// The statement that the job gave this output: its subject is the chain of hashes over what left, or the receipt if nothing did; its
    /// materials are data, program, parameters, rules, and the sources that were published of the program. Nothing if the evidence shows no
    /// receipt.
    pub fn in_toto(&self) -> Option<Value> {
        let chain = self.evidence.chain_id;
        let (started, finished) = (self.started.as_ref()?, self.finished.as_ref()?);
        let (offered, granted) = (self.offered.as_ref()?, self.granted.as_ref()?);
        let receipt = &finished.event.receipt;
        let order = (!started.event.order.is_zero()).then_some(started.event.order);
        let material = |kind: &str, algorithm: &str, hash: B256| json!({ "uri": urn(chain, kind, hash), "digest": digest(algorithm, hash) });
        let mut materials = vec![
            material("data", FILES, receipt.data),
            material("program", "blake3", started.event.algorithm),
            material("rules", "sha256", offered.event.offer.rules),
        ];
        // Of a job that was over before its first round there are none.
        if !receipt.params.is_zero() {
            materials.push(material("parameters", PARAMETERS, receipt.params));
        }
        materials.extend(self.sources.iter().map(|found| material("source", FILES, found.event.source)));
        // As a file of evidence has it.
        let evidence = Sha256::digest(serde_json::to_vec(&self.evidence).ok()?);
        Some(json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [self.subject(receipt)],
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {
                "buildDefinition": {
                    "buildType": "urn:stoa:job:v1",
                    "externalParameters": {
                        "asset": started.event.asset, "buyer": did(chain, started.event.buyer),
                        "grant": started.event.grant, "purpose": granted.event.terms.purpose, "steps": started.event.fuel,
                        "order": order, "datatoken": order.map(datatoken_of),
                    },
                    "internalParameters": { "runtime": receipt.runtime, "offer": started.event.offer },
                    "resolvedDependencies": materials,
                },
                "runDetails": {
                    "builder": { "id": urn(chain, "node", offered.event.node) },
                    "metadata": {
                        "invocationId": urn(chain, "job", self.evidence.job),
                        "startedOn": iso_8601(started.at.time), "finishedOn": iso_8601(finished.at.time),
                        "stoa_outcome": ended(receipt),
                    },
                    "byproducts": [{
                        "name": "evidence", "mediaType": MEDIA_TYPE, "digest": digest("sha256", B256::new(evidence.into())),
                        "annotations": { "evidence": self.evidence },
                    }],
                },
            },
        }))
    }
}

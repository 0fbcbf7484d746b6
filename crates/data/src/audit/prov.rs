//! An audit as W3C PROV, in JSON-LD with its context in it: what was used and made, by what, for whom.

use super::{
    Audit, Found, Place,
    steps::{ended, plain},
};
use crate::{
    jobs::abi::IJobs::ProgramPublished,
    market::datatoken_of,
    record::{did, iso_8601, urn},
};
use alloy_primitives::B256;
use serde_json::{Value, json};

/// What the evidence is called: a property of the receipt. Beside the graph it would give that a name.
const EVIDENCE: &str = "stoa:evidence";

/// Finds the evidence, which earlier versions have beside the graph.
pub(super) fn evidence(value: &Value) -> Option<Value> {
    let nodes = value.get("@graph").and_then(Value::as_array).into_iter().flatten();
    nodes.chain([value]).find_map(|node| node.get(EVIDENCE)?.get("@value").cloned())
}

fn context() -> Value {
    let node = |term: &str| json!({ "@id": term, "@type": "@id" });
    let time = |term: &str| json!({ "@id": term, "@type": "xsd:dateTime" });
    json!({
        "@version": 1.1,
        "prov": "http://www.w3.org/ns/prov#",
        "dct": "http://purl.org/dc/terms/",
        "xsd": "http://www.w3.org/2001/XMLSchema#",
        "stoa": "urn:stoa:terms:",
        "prov:used": node("prov:used"),
        "prov:wasGeneratedBy": node("prov:wasGeneratedBy"),
        "prov:wasDerivedFrom": node("prov:wasDerivedFrom"),
        "prov:wasAssociatedWith": node("prov:wasAssociatedWith"),
        "prov:wasAttributedTo": node("prov:wasAttributedTo"),
        "prov:actedOnBehalfOf": node("prov:actedOnBehalfOf"),
        "prov:startedAtTime": time("prov:startedAtTime"),
        "prov:endedAtTime": time("prov:endedAtTime"),
        "prov:generatedAtTime": time("prov:generatedAtTime"),
        "stoa:transaction": node("stoa:transaction"),
    })
}

impl Audit {
    /// The job as a `prov:Activity` that used data, program, parameters, grant and order, and generated output and receipt; who was
    /// part of it as agents; the sources that were published of the program. There is no output if nothing left, and the receipt has the
    /// evidence. Nothing if the evidence shows no receipt.
    pub fn prov(&self) -> Option<Value> {
        let chain = self.evidence.chain_id;
        let name = |kind: &str, hash: B256| urn(chain, kind, hash);
        let (started, finished) = (self.started.as_ref()?, self.finished.as_ref()?);
        let (offered, granted, registered) =
            (self.offered.as_ref()?, self.granted.as_ref()?, self.registered.as_ref()?);
        let receipt = &finished.event.receipt;
        let place = |at: &Place| json!({ "stoa:block": at.block, "stoa:transaction": name("tx", at.transaction) });
        let entity = |kind: &str, hash: B256, more: Value| {
            with(json!({ "@id": name(kind, hash), "@type": "prov:Entity" }), more)
        };
        let job = name("job", self.evidence.job);
        let (owner, buyer) = (did(chain, registered.event.owner), did(chain, started.event.buyer));
        let node = name("node", offered.event.node);
        let (data, program) = (name("data", receipt.data), name("program", started.event.algorithm));
        // Of a job that was over before its first round there are none.
        let params = (!receipt.params.is_zero()).then(|| name("parameters", receipt.params));
        let inputs: Vec<_> = [data, program].into_iter().chain(params).collect();
        let sources: Vec<_> = self.sources.iter().map(|found| name("source", found.event.source)).collect();
        let mut used = inputs.clone();
        used.push(name("grant", started.event.grant));
        if let Some(found) = &self.ordered {
            used.push(name("order", found.event.order));
        }
        let mut graph = vec![
            json!({ "@id": owner, "@type": "prov:Agent", "stoa:role": "owner" }),
            json!({ "@id": buyer, "@type": "prov:Agent", "stoa:role": "buyer" }),
            json!({
                "@id": node, "@type": ["prov:Agent", "prov:SoftwareAgent"], "stoa:role": "node",
                "prov:actedOnBehalfOf": owner,
            }),
            with(
                entity(
                    "data",
                    receipt.data,
                    json!({
                        "stoa:asset": registered.event.asset, "prov:wasAttributedTo": owner, "stoa:rules": offered.event.offer.rules,
                    }),
                ),
                self.end_node(registered.event.asset),
            ),
            entity(
                "program",
                started.event.algorithm,
                json!({ "stoa:runtime": receipt.runtime, "prov:wasDerivedFrom": sources }),
            ),
            with(
                entity(
                    "grant",
                    started.event.grant,
                    json!({
                        "prov:wasAttributedTo": owner, "stoa:purpose": granted.event.terms.purpose,
                        "prov:generatedAtTime": iso_8601(granted.at.time),
                    }),
                ),
                place(&granted.at),
            ),
            with(
                json!({
                    "@id": job, "@type": "prov:Activity", "prov:startedAtTime": iso_8601(started.at.time),
                    "prov:endedAtTime": iso_8601(finished.at.time),
                    "prov:used": used, "prov:wasAssociatedWith": [node, buyer],
                    "stoa:steps": receipt.fuel, "stoa:rounds": receipt.rounds, "stoa:ended": receipt.ended,
                    "stoa:outcome": ended(receipt),
                    "stoa:paid": finished.event.paid, "stoa:refunded": finished.event.refunded,
                }),
                place(&started.at),
            ),
            with(
                json!({
                    "@id": name("receipt", self.evidence.job), "@type": "prov:Entity", "prov:wasGeneratedBy": job,
                    "prov:wasAttributedTo": node, "prov:generatedAtTime": iso_8601(finished.at.time),
                    EVIDENCE: { "@type": "@json", "@value": self.evidence },
                }),
                place(&finished.at),
            ),
        ];
        if !receipt.params.is_zero() {
            graph.push(entity("parameters", receipt.params, json!({ "prov:wasAttributedTo": buyer })));
        }
        if !receipt.output.is_zero() {
            let made = json!({ "prov:wasGeneratedBy": job, "prov:wasDerivedFrom": inputs });
            graph.push(entity("output", receipt.output, made));
        }
        if let Some(Found { at, event }) = &self.ordered {
            let order = json!({
                "prov:wasAttributedTo": did(chain, event.payer), "prov:generatedAtTime": iso_8601(at.time),
                "stoa:datatoken": datatoken_of(event.order), "stoa:consumer": did(chain, event.consumer),
                "stoa:service": event.serviceIndex, "stoa:until": event.until,
            });
            graph.push(with(entity("order", event.order, order), place(at)));
        }
        graph.extend(self.source_nodes(place));
        if let Some((at, check)) = self.check_node(inputs) {
            graph.push(with(check, place(&at)));
        }
        Some(json!({ "@context": context(), "@graph": graph }))
    }

    /// The sources that were published of the program.
    fn source_nodes(&self, place: impl Fn(&Place) -> Value) -> Vec<Value> {
        let chain = self.evidence.chain_id;
        let node = |Found { at, event }: &Found<ProgramPublished>| {
            let source = json!({
                "@id": urn(chain, "source", event.source), "@type": "prov:Entity",
                "prov:wasAttributedTo": did(chain, event.publisher), "prov:generatedAtTime": iso_8601(at.time),
                "stoa:asset": event.asset, "stoa:url": plain(&event.url),
            });
            with(with(source, place(at)), self.end_node(event.asset))
        };
        self.sources.iter().map(node).collect()
    }

    /// When an asset was erased, if it was.
    fn end_node(&self, asset: B256) -> Value {
        match self.end_of(asset) {
            Some(at) => json!({ "prov:invalidatedAtTime": { "@type": "xsd:dateTime", "@value": iso_8601(at.time) } }),
            None => json!({}),
        }
    }

    /// Another run of what the job had, to be compared with its receipt, and where it ended.
    fn check_node(&self, inputs: Vec<String>) -> Option<(Place, Value)> {
        let name = |kind: &str, hash: B256| urn(self.evidence.chain_id, kind, hash);
        let (Found { at, event }, drawn) = (self.checked.as_ref()?, self.drawn.as_ref()?);
        let auditors: Vec<_> = drawn.event.auditors.iter().map(|key| name("node", *key)).collect();
        let used: Vec<_> = inputs.into_iter().chain([name("receipt", self.evidence.job)]).collect();
        let check = json!({
            "@id": name("check", self.evidence.job), "@type": "prov:Activity", "prov:used": used,
            "prov:wasAssociatedWith": auditors, "prov:endedAtTime": iso_8601(at.time), "stoa:verdict": event.verdict,
            "stoa:confirmed": event.state == crate::jobs::abi::CONFIRMED,
        });
        Some((*at, check))
    }
}

fn with(mut node: Value, more: Value) -> Value {
    if let (Value::Object(node), Value::Object(more)) = (&mut node, more) {
        node.extend(more);
    }
    node
}

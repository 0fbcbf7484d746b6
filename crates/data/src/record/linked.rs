//! The record as linked data: JSON-LD 1.1 with its context in it, so that nothing is fetched to read it.

use super::{Entry, Granted, Place, Record, Said, Status, iso_8601};
use crate::{
    abi::{
        COMPUTE,
        IConsent::{IConsentEvents, Terms, Used},
        READ, TOKEN,
    },
    ddo::People,
};
use alloy_primitives::{Address, B256};
use serde_json::{Map, Value, json};

/// What the names mean: the vocabularies' namespaces, and which values are times or other nodes.
fn context() -> Value {
    let time = |term: &str| (term.to_owned(), json!({ "@id": term, "@type": "xsd:dateTime" }));
    let node = |term: &str| (term.to_owned(), json!({ "@id": term, "@type": "@id" }));
    let namespaces = [
        ("dpv", "https://w3id.org/dpv#"),
        ("prov", "http://www.w3.org/ns/prov#"),
        ("dct", "http://purl.org/dc/terms/"),
        ("xsd", "http://www.w3.org/2001/XMLSchema#"),
        ("stoa", "urn:stoa:terms:"),
    ];
    let mut context = Map::from_iter([("@version".to_owned(), json!(1.1))]);
    context.extend(namespaces.map(|(name, iri)| (name.to_owned(), json!(iri))));
    context.extend(
        [
            "dct:created",
            "dct:date",
            "dct:valid",
            "prov:generatedAtTime",
            "prov:invalidatedAtTime",
            "prov:startedAtTime",
        ]
        .map(time),
    );
    context.extend(
        [
            "dct:subject",
            "dpv:hasConsentStatus",
            "dpv:hasData",
            "dpv:hasDataController",
            "dpv:hasDataSubject",
            "dpv:hasPersonalData",
            "dpv:hasProcessing",
            "dpv:hasPurpose",
            "dpv:hasRecipient",
            "dpv:isIndicatedBy",
            "prov:used",
            "prov:wasAssociatedWith",
            "stoa:contract",
            "stoa:notSaid",
            "stoa:saidIn",
            "stoa:sealedIn",
            "stoa:transaction",
        ]
        .map(node),
    );
    Value::Object(context)
}

/// What something on a chain is called in linked data.
pub(crate) fn urn(chain_id: u64, kind: &str, hash: B256) -> String {
    format!("urn:stoa:eip155:{chain_id}:{kind}:{hash}")
}

/// An account, as the method `did:pkh` names it.
pub(crate) fn did(chain_id: u64, account: Address) -> String {
    format!("did:pkh:eip155:{chain_id}:{account}")
}

impl Record {
    /// The record as a JSON-LD document: the asset, each grant as a `dpv:ConsentRecord`, each use and whatever else happened to
    /// the asset as a `prov:Activity`. Accounts are `did:pkh` identifiers, times ISO 8601.
    pub fn json_ld(&self) -> Value {
        let mut graph = vec![
            json!({
                "@id": format!("{}:record:{}", self.urn("asset", self.id), self.at.number),
                "@type": "prov:Entity",
                "dct:subject": self.urn("asset", self.id),
                "prov:generatedAtTime": iso_8601(self.at.timestamp),
                "stoa:block": self.at.number,
                "stoa:blockHash": self.at.hash,
            }),
            self.asset_node(),
        ];
        for grant in self.grants() {
            graph.push(self.grant_node(&grant));
            graph.extend(grant.uses.iter().map(|(place, used)| self.use_node(*place, used)));
        }
        graph.extend(self.entries.iter().filter_map(|entry| self.change_node(entry)));
        json!({ "@context": context(), "@graph": graph })
    }

    fn urn(&self, kind: &str, hash: B256) -> String {
        urn(self.chain_id, kind, hash)
    }

    fn did(&self, account: Address) -> String {
        did(self.chain_id, account)
    }

    fn asset_node(&self) -> Value {
        let mut node = json!({
            "@id": self.urn("asset", self.id),
            "@type": ["dpv:Data", "prov:Entity"],
            "dct:identifier": self.id,
            "dpv:hasDataController": self.did(self.asset.owner),
            "stoa:object": self.asset.object,
            "stoa:keepers": self.keepers,
            "stoa:neededKeepers": self.asset.needed,
            "stoa:ownerHalf": self.asset.ownerHalf,
            "stoa:generation": self.asset.generation,
        });
        self.say_whose(&mut node);
        match &self.said {
            Said::This { document, place, .. } => {
                node["stoa:document"] = json!(document);
                node["stoa:saidIn"] = json!(self.urn("tx", place.transaction));
            }
            Said::Sealed(place) => node["stoa:sealedIn"] = json!(self.urn("tx", place.transaction)),
            Said::Nothing => {}
        }
        for Entry { place, event } in &self.entries {
            match event {
                IConsentEvents::AssetRegistered(_) => node["dct:created"] = json!(iso_8601(place.time)),
                IConsentEvents::Erased(_) => node["prov:invalidatedAtTime"] = json!(iso_8601(place.time)),
                _ => {}
            }
        }
        node
    }

    /// Categories of data subjects and of personal data, or that they are not said.
    fn say_whose(&self, node: &mut Value) {
        let nobody = People::default();
        let people = if let Said::This { people, .. } = &self.said { people } else { &nobody };
        let mut not_said = Vec::new();
        for (name, terms) in [("dpv:hasDataSubject", &people.subjects), ("dpv:hasPersonalData", &people.personal)] {
            match terms.is_empty() {
                true => not_said.push(name),
                false => node[name] = json!(terms),
            }
        }
        if !not_said.is_empty() {
            node["stoa:notSaid"] = json!(not_said);
        }
    }

    fn grant_node(&self, grant: &Granted<'_>) -> Value {
        let Granted { id, terms, made, revoked, uses } = grant;
        let status = grant.status(&self.asset, self.at.timestamp);
        let ended = match (status, revoked) {
            // Nobody did it, and no transaction says so.
            (Status::Expired, _) => {
                let date = iso_8601(terms.until);
                Some((date.clone(), json!({ "@type": status_term(status), "dct:date": date })))
            }
            (_, Some((place, by))) => Some((iso_8601(place.time), self.status_node(status, place, *by))),
            (_, None) => None,
        };
        let mut history = vec![self.status_node(Status::Given, made, self.asset.owner)];
        history.extend(ended.iter().map(|(_, node)| node.clone()));
        let mut node = json!({
            "@id": self.urn("grant", *id),
            "@type": ["dpv:ConsentRecord", "prov:Entity"],
            "dct:identifier": id,
            "dct:created": iso_8601(made.time),
            "dpv:hasData": self.urn("asset", self.id),
            "dpv:hasDataController": self.did(self.asset.owner),
            "dpv:hasRecipient": self.recipient(terms),
            "dpv:hasPurpose": terms.purpose,
            "dpv:hasProcessing": processing(terms.uses),
            "dpv:hasConsentStatus": status_term(status),
            "dct:hasPart": history,
            "stoa:used": uses.len(),
            "stoa:block": made.number,
            "stoa:transaction": self.urn("tx", made.transaction),
        });
        self.say_whose(&mut node);
        if terms.until > 0 {
            // The first second at which it no longer stands.
            node["dct:valid"] = json!(iso_8601(terms.until));
        }
        if terms.limit > 0 {
            node["stoa:limit"] = json!(terms.limit);
        }
        if !terms.algorithm.is_zero() {
            node["stoa:algorithm"] = json!(terms.algorithm);
        }
        if let Some((date, _)) = ended {
            node["prov:invalidatedAtTime"] = json!(date);
        }
        node
    }

    fn status_node(&self, status: Status, place: &Place, by: Address) -> Value {
        json!({
            "@type": status_term(status),
            "dct:date": iso_8601(place.time),
            "dpv:isIndicatedBy": self.did(by),
            "stoa:block": place.number,
            "stoa:transaction": self.urn("tx", place.transaction),
        })
    }

    fn recipient(&self, terms: &Terms) -> Value {
        let Terms { kind, who, credential, .. } = terms;
        match *kind {
            crate::abi::ADDRESS => json!(self.did(*who)),
            TOKEN => json!({
                "@type": "dpv:Recipient",
                "dct:description": "whoever holds a token of the contract",
                "stoa:contract": self.did(*who),
            }),
            _ => json!({
                "@type": "dpv:Recipient",
                "dct:description": "whoever holds the credential according to the contract",
                "stoa:contract": self.did(*who),
                "stoa:credential": credential,
            }),
        }
    }

    fn use_node(&self, place: Place, used: &Used) -> Value {
        let mut node = json!({
            "@id": self.urn("use", used.r#use),
            "@type": "prov:Activity",
            "dct:identifier": used.r#use,
            "prov:startedAtTime": iso_8601(place.time),
            "prov:used": [self.urn("asset", self.id), self.urn("grant", used.grant)],
            "prov:wasAssociatedWith": self.did(used.user),
            "dpv:hasProcessing": processing(used.kind),
            "stoa:block": place.number,
            "stoa:transaction": self.urn("tx", place.transaction),
        });
        if !used.algorithm.is_zero() {
            node["stoa:algorithm"] = json!(used.algorithm);
        }
        node
    }

    /// What happened to the asset itself after it was registered.
    fn change_node(&self, entry: &Entry) -> Option<Value> {
        let Entry { place, event } = entry;
        let (kind, details) = match event {
            IConsentEvents::ObjectSet(event) => ("stoa:ObjectSet", json!({ "stoa:object": event.object })),
            IConsentEvents::KeepersMoved(event) => (
                "stoa:KeepersMoved",
                json!({
                    "stoa:keepers": event.keepers,
                    "stoa:neededKeepers": event.needed,
                    "stoa:generation": event.generation,
                }),
            ),
            IConsentEvents::Erased(event) => (
                "stoa:Erased",
                json!({ "prov:wasAssociatedWith": self.did(event.by), "dpv:hasProcessing": "dpv:Erase" }),
            ),
            _ => return None,
        };
        let mut node = json!({
            "@type": ["prov:Activity", kind],
            "prov:startedAtTime": iso_8601(place.time),
            "prov:used": self.urn("asset", self.id),
            "stoa:block": place.number,
            "stoa:transaction": self.urn("tx", place.transaction),
        });
        if let (Value::Object(node), Value::Object(details)) = (&mut node, details) {
            node.extend(details);
        }
        Some(node)
    }
}

/// The vocabulary's names for the ways of use.
fn processing(uses: u8) -> Vec<&'static str> {
    let names = [(READ, "dpv:Access"), (COMPUTE, "dpv:Analyse")];
    names.into_iter().filter(|(bit, _)| uses & bit != 0).map(|(_, name)| name).collect()
}

/// The vocabulary's name. It tells who takes back what he gave from others who end it.
fn status_term(status: Status) -> &'static str {
    match status {
        Status::Given => "dpv:ConsentGiven",
        Status::Withdrawn => "dpv:ConsentWithdrawn",
        Status::Renounced => "dpv:ConsentRevoked",
        Status::Expired => "dpv:ConsentExpired",
    }
}

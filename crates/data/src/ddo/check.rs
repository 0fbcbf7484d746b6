//! What Ocean's schemas ask of a document (`schemas/4.7.0.ttl` of `@oceanprotocol/ddo-js` 0.2.0), field by field, so that whoever made
//! it is told what to change. Lengths are in UTF-16 units, as its programs count them.

use super::{Credential, Ddo, Document, Metadata, Service, did, did_v5};
use alloy_primitives::Address;
use serde_json::Value;
use std::fmt;

/// A field that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which, for example `metadata.name`.
    pub field: String,
    /// What it should be.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.what)
    }
}

/// Most services, links, tags.
const MOST: usize = 64;

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, field: &str, what: impl Into<String>) {
        self.0.push(Fault { field: field.into(), what: what.into() });
    }

    /// A text has so many characters.
    fn length(&mut self, field: &str, text: &str, least: usize, most: usize) {
        let length = text.encode_utf16().count();
        if !(least..=most).contains(&length) {
            let want = match least {
                0 => format!("{most} characters at most are wanted, and it has {length}"),
                least => format!("{least} to {most} characters are wanted, and it has {length}"),
            };
            self.add(field, want);
        }
    }

    /// So does one that is a single line.
    fn line(&mut self, field: &str, text: &str, least: usize, most: usize) {
        self.length(field, text, least, most);
        if text.contains(['\n', '\r', '\u{2028}', '\u{2029}']) {
            self.add(field, "one line is wanted");
        }
    }

    fn list(&mut self, field: &str, texts: Option<&Vec<String>>, most: usize) {
        let texts = texts.map_or(&[][..], Vec::as_slice);
        if texts.len() > MOST {
            self.add(field, format!("{MOST} at most are wanted, and there are {}", texts.len()));
        }
        for (number, text) in texts.iter().take(MOST).enumerate() {
            self.length(&format!("{field}[{number}]"), text, 0, most);
        }
    }

    fn address(&mut self, field: &str, text: &str) -> Option<Address> {
        // With or without checksum, but not with a wrong one.
        let address = text.parse::<Address>().ok().filter(|_| text.starts_with("0x"));
        let mixed = |text: &str| {
            text[2..].chars().any(|each| each.is_lowercase()) && text[2..].chars().any(|each| each.is_uppercase())
        };
        let address = address.filter(|_| !mixed(text) || Address::parse_checksummed(text, None).is_ok());
        if address.is_none() {
            self.add(field, "an address is wanted (0x and 40 digits, with its checksum if it has capitals)");
        }
        address
    }

    fn place(&mut self, id: &str, chain: u64, nft: &str, nft_field: &str, did: fn(Address, u64) -> String) {
        if chain == 0 {
            self.add("chainId", "the chain's number is wanted");
        }
        if let Some(nft) = self.address(nft_field, nft)
            && did(nft, chain) != id
        {
            self.add("id", format!("{} is wanted, which follows from chain and NFT", did(nft, chain)));
        }
    }

    fn metadata(&mut self, metadata: &Metadata) {
        self.length("metadata.name", &metadata.name, 4, 512);
        self.length("metadata.description", &metadata.description, 10, 7_000);
        for (field, text) in [
            ("metadata.type", &metadata.kind),
            ("metadata.author", &metadata.author),
            ("metadata.license", &metadata.license),
        ] {
            self.length(field, text, 1, 256);
        }
        if !matches!(metadata.kind.as_str(), "dataset" | "algorithm") {
            self.add("metadata.type", "dataset or algorithm is wanted");
        }
        for (field, text) in [("metadata.created", &metadata.created), ("metadata.updated", &metadata.updated)] {
            self.line(field, text, 1, 64);
        }
        self.list("metadata.links", metadata.links.as_ref(), 512);
        self.list("metadata.tags", metadata.tags.as_ref(), 256);
        if metadata.kind == "algorithm" {
            self.container(metadata.rest.get("algorithm"));
        }
    }

    /// What an algorithm of Ocean's runs in.
    fn container(&mut self, algorithm: Option<&Value>) {
        let container = algorithm.and_then(|algorithm| algorithm.get("container"));
        let Some(container) = container.and_then(Value::as_object) else {
            return self.add("metadata.algorithm.container", "an algorithm says what it runs in");
        };
        for (name, least, most) in [("entrypoint", 3, 256), ("image", 1, 256), ("tag", 1, 256), ("checksum", 7, 512)] {
            let field = format!("metadata.algorithm.container.{name}");
            match container.get(name).and_then(Value::as_str) {
                Some(text) => self.line(&field, text, least, most),
                None => self.add(&field, "it is missing"),
            }
        }
    }

    fn service(&mut self, at: &str, service: &Service) {
        let field = |name: &str| format!("{at}.{name}");
        self.line(&field("id"), &service.id, 1, 256);
        if !matches!(service.kind.as_str(), "access" | "compute") {
            self.add(&field("type"), "access or compute is wanted");
        }
        self.address(&field("datatokenAddress"), &service.datatoken_address);
        self.line(&field("serviceEndpoint"), &service.service_endpoint, 10, 2_048);
        self.line(&field("files"), &service.files, 0, 8_192);
        for (name, least) in [("name", 4), ("description", 10)] {
            match service.rest.get(name) {
                None => {}
                Some(Value::String(text)) => {
                    self.length(&field(name), text, least, if name == "name" { 256 } else { 7_000 })
                }
                Some(_) => self.add(&field(name), "a text is wanted"),
            }
        }
        if service.kind == "compute" {
            let says = |name: &str| {
                service.compute.as_ref().and_then(|compute| compute.get(name)).is_some_and(Value::is_boolean)
            };
            for name in ["allowRawAlgorithm", "allowNetworkAccess"] {
                if !says(name) {
                    self.add(&field(&format!("compute.{name}")), "true or false is wanted");
                }
            }
        }
    }

    fn v4(&mut self, ddo: &Ddo) {
        self.place(&ddo.id, ddo.chain_id, &ddo.nft_address, "nftAddress", did);
        if !matches!(ddo.version.as_str(), "4.1.0" | "4.3.0" | "4.5.0" | "4.7.0") {
            self.add("version", "4.1.0, 4.3.0, 4.5.0 or 4.7.0 is wanted");
        }
        self.metadata(&ddo.metadata);
        if ddo.services.len() > MOST {
            self.add("services", format!("{MOST} at most are wanted, and there are {}", ddo.services.len()));
        }
        for (number, service) in ddo.services.iter().take(MOST).enumerate() {
            self.service(&format!("services[{number}]"), service);
        }
    }

    fn v5(&mut self, ddo: &Credential) {
        let subject = &ddo.credential_subject;
        self.place(&ddo.id, subject.chain_id, &subject.nft_address, "credentialSubject.nftAddress", did_v5);
        if ddo.version != "5.0.0" {
            self.add("version", "5.0.0 is wanted");
        }
        if ddo.issuer.is_empty() {
            self.add("issuer", "it is missing");
        }
        for name in ["created", "updated", "name", "providedBy"] {
            if !subject.metadata.contains_key(name) {
                self.add(&format!("credentialSubject.metadata.{name}"), "it is missing");
            }
        }
        for (number, service) in subject.services.iter().take(MOST).enumerate() {
            for name in ["id", "type", "datatokenAddress", "serviceEndpoint", "timeout"] {
                if service.get(name).is_none_or(Value::is_null) {
                    self.add(&format!("credentialSubject.services[{number}].{name}"), "it is missing");
                }
            }
        }
    }
}

impl Document {
    /// What is not as it should be; nothing if all is well.
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        match self {
            Self::V4(ddo) => faults.v4(ddo),
            Self::V5(ddo) => faults.v5(ddo),
        }
        faults.0
    }
}

impl Ddo {
    /// What is not as it should be; nothing if all is well.
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        faults.v4(self);
        faults.0
    }
}

//! What an asset says of itself: Ocean Protocol's DDO, the JSON document that `setMetaData` puts into the ledger's events.
//!
//! Documents of version 4 ([`Ddo`], built as 4.7.0) are read and written field by field, and keep what they have beyond that. Of
//! version 5 ([`Credential`]) the parts that every document has are known. Anybody publishes what he likes, so what is read has bounds,
//! and [`Document::check`] names each field that is not as Ocean's own schema (`@oceanprotocol/ddo-js` 0.2.0) wants it.
//!
//! Public, or [sealed](Sealed) to some readers. What this project adds stands in `metadata.additionalInformation.stoa` ([`About`]): what the data are, and the asset of
//! [consent](crate::abi::CONSENT) whose grants say who may use them.

mod carried;
mod check;
mod sealed;
#[cfg(test)]
mod tests;

use crate::{
    jobs::rules::Rules,
    look::{Format, Kind, Looked},
    record::iso_8601,
};
use alloy_primitives::{Address, B256, hex};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

pub use carried::{CarriedError, Flags, opened};
pub use check::Fault;
pub use sealed::{MOST_READERS, SealError, Sealed};

/// Bytes of a document at most.
pub const MOST: usize = 1 << 20;

/// The version that is written.
const VERSION: &str = "4.7.0";

/// What an algorithm runs in, as Ocean wants to know it of a container: the program is its own.
const ENTRYPOINT: &str = "$ALGO";

/// Columns that a document names at most: each costs its publisher gas.
pub const MOST_COLUMNS: usize = 256;

/// The DID of an asset in version 4: `did:op:`, and the SHA-256 hash of the NFT's address with its checksum, followed by the chain's
/// number.
pub fn did(nft: Address, chain_id: u64) -> String {
    format!("did:op:{}", hex::encode(identity(nft, chain_id)))
}

/// The same in version 5: `did:ope:`.
pub fn did_v5(nft: Address, chain_id: u64) -> String {
    format!("did:ope:{}", hex::encode(identity(nft, chain_id)))
}

/// What follows the method in a DID of either version.
pub fn identity(nft: Address, chain_id: u64) -> B256 {
    hash((nft.to_checksum(None) + &chain_id.to_string()).as_bytes())
}

/// Whether a DID is that of an asset, in either version.
pub fn names(did: &str, nft: Address, chain_id: u64) -> bool {
    let hash = did.strip_prefix("did:op:").or_else(|| did.strip_prefix("did:ope:"));
    hash.is_some_and(|hash| hash == hex::encode(identity(nft, chain_id)))
}

/// The hash of a document: SHA-256 of its bytes as they are published.
pub fn hash(document: &[u8]) -> B256 {
    B256::new(Sha256::digest(document).into())
}

/// A document of version 4.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ddo {
    /// What its words mean.
    #[serde(rename = "@context", default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Value>,
    /// The DID.
    pub id: String,
    /// Of the shape of the document.
    pub version: String,
    /// EIP-155.
    pub chain_id: u64,
    /// The asset's NFT.
    pub nft_address: String,
    /// What it is.
    pub metadata: Metadata,
    /// How it can be used.
    #[serde(default)]
    pub services: Vec<Service>,
    /// Who may, beyond what consent says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Value>,
    /// What else it has.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What an asset is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// ISO 8601.
    pub created: String,
    /// ISO 8601.
    pub updated: String,
    /// In a few words.
    pub name: String,
    /// In some sentences.
    pub description: String,
    /// `dataset` or `algorithm`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who made it.
    pub author: String,
    /// Under what it may be used.
    pub license: String,
    /// Where there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Vec<String>>,
    /// By what it is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Anything else; `stoa` is [`About`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_information: Option<Map<String, Value>>,
    /// What else it has.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// How an asset can be used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its name among the services.
    pub id: String,
    /// `access` or `compute`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The files, which Ocean has sealed to its node. Here they are found by the asset of consent.
    pub files: String,
    /// What an order of it costs one of.
    pub datatoken_address: String,
    /// Where it is.
    pub service_endpoint: String,
    /// For how many seconds an order stands; 0 for ever.
    pub timeout: u64,
    /// What programs may run; of `compute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compute: Option<Value>,
    /// What else it has.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A document of version 5, as far as it is known: a credential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// The DID.
    pub id: String,
    /// Of the shape of the document.
    pub version: String,
    /// Who says it.
    pub issuer: String,
    /// What is said.
    pub credential_subject: Subject,
    /// What else it has.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What a document of version 5 says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// EIP-155.
    pub chain_id: u64,
    /// The asset's NFT.
    pub nft_address: String,
    /// What it is.
    pub metadata: Map<String, Value>,
    /// How it can be used.
    pub services: Vec<Value>,
    /// What else it has.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A document.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// Of version 4.
    V4(Box<Ddo>),
    /// Of version 5.
    V5(Box<Credential>),
}

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DdoError {
    /// Longer than any is.
    #[error("the document has {0} bytes, and {MOST} at most are read")]
    TooLong(usize),
    /// Another one.
    #[error("the document is of version {0:?}, and versions 4 and 5 are known")]
    Version(String),
    /// Not JSON, or parts are missing.
    #[error("the document cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
}

#[derive(Deserialize)]
struct Versioned {
    version: String,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    ///
    /// If it is too long, none, or of another version.
    pub fn read(bytes: &[u8]) -> Result<Self, DdoError> {
        if bytes.len() > MOST {
            return Err(DdoError::TooLong(bytes.len()));
        }
        let Versioned { version } = serde_json::from_slice(bytes)?;
        match version.as_bytes().first() {
            Some(b'4') => Ok(Self::V4(serde_json::from_slice(bytes)?)),
            Some(b'5') => Ok(Self::V5(serde_json::from_slice(bytes)?)),
            _ => Err(DdoError::Version(version.chars().take(16).collect())),
        }
    }

    /// The DID.
    pub fn id(&self) -> &str {
        match self {
            Self::V4(ddo) => &ddo.id,
            Self::V5(ddo) => &ddo.id,
        }
    }

    /// What this project's programs have said of the data, as it stands there.
    fn own(&self) -> Option<&Value> {
        let information = match self {
            Self::V4(ddo) => ddo.metadata.additional_information.as_ref()?,
            Self::V5(ddo) => ddo.credential_subject.metadata.get("additionalInformation")?.as_object()?,
        };
        information.get("stoa")
    }

    /// What this project's programs have said of the data.
    pub fn about(&self) -> Option<About> {
        About::deserialize(self.own()?).ok()
    }

    /// The rules of what may leave of it, where programs run on it, if it says them. Whether they are those of the offer on the ledger
    /// tells their hash. Longer ones than publishers write are passed over: they would be shown to whoever looks.
    pub fn rules(&self) -> Option<Rules> {
        let text = self.own()?.get(LEAVING)?.as_str()?;
        serde_json::from_str(text).ok().filter(|_| text.len() <= MOST_RULES)
    }

    /// The asset of consent that it is about, and whose data that is. What is no term of the vocabulary is passed over.
    pub fn people(&self) -> Option<(B256, People)> {
        let own = self.own()?;
        let terms = |name: &str| {
            let terms = own[name].as_array().into_iter().flatten().filter_map(Value::as_str);
            terms.filter(|term| is_term(term)).take(MOST_TERMS).map(str::to_owned).collect()
        };
        let people = People { subjects: terms(SUBJECTS), personal: terms(PERSONAL) };
        Some((B256::deserialize(&own["asset"]).ok()?, people))
    }
}

/// What the rules of what may leave are called in `metadata.additionalInformation.stoa`: the text whose SHA-256 is `rules` there.
const LEAVING: &str = "leaving";

/// Bytes of rules at most that a document has: each costs its publisher gas.
const MOST_RULES: usize = 64 << 10;

/// Where terms of the Data Privacy Vocabulary are, and those of its extension for personal data.
const VOCABULARIES: [&str; 2] = ["https://w3id.org/dpv#", "https://w3id.org/dpv/pd#"];

/// What categories of data subjects and of personal data are called in `metadata.additionalInformation.stoa`.
const SUBJECTS: &str = "dataSubjects";
const PERSONAL: &str = "personalData";

/// Categories of either that are read at most.
pub const MOST_TERMS: usize = 64;

/// Whether this is the IRI of a term of the vocabulary: a name of 128 letters, digits, `-` and `_` at most.
pub fn is_term(iri: &str) -> bool {
    let name = VOCABULARIES.iter().find_map(|vocabulary| iri.strip_prefix(vocabulary)).unwrap_or_default();
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=128).contains(&name.len()) && name.bytes().all(is_letter)
}

/// Whose data something is, if it is about people, as its owner says: IRIs of the Data Privacy Vocabulary. Categories, and never
/// anybody's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct People {
    /// Categories of data subjects, such as `https://w3id.org/dpv#Patient`.
    pub subjects: Vec<String>,
    /// Categories of personal data, such as `https://w3id.org/dpv/pd#HealthRecord`.
    pub personal: Vec<String>,
}

/// What is known of data that are published, in `metadata.additionalInformation.stoa`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// What they are.
    pub format: Format,
    /// How many bytes.
    pub bytes: u64,
    /// How many files.
    pub files: u64,
    /// How many rows, if they are a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Their columns, the first 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Named>,
    /// How many columns there are, where not all are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u64>,
    /// Whose data they are: categories of data subjects, as [`People`] has them.
    #[serde(default, rename = "dataSubjects", skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// Categories of personal data in them.
    #[serde(default, rename = "personalData", skip_serializing_if = "Vec::is_empty")]
    pub personal: Vec<String>,
    /// The asset of consent: its grants say who may use the data.
    pub asset: B256,
    /// The node that computes on them, where they stay with their owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<B256>,
    /// The hash of the rules of what may leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<B256>,
    /// Which jobs they came of, and on what those computed: what a result or a model was derived from.
    #[serde(default, rename = "derivedFrom", skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<Derived>,
    /// The rules themselves, where they are known: [`Document::rules`] reads them. Which programs may run stands with the service as
    /// well, as Ocean has it.
    #[serde(skip)]
    pub ruled: Option<Rules>,
}

/// A job that something came of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derived {
    /// The job; its receipt says what left.
    pub job: B256,
    /// The asset that it computed on.
    pub asset: B256,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// What it is called.
    pub name: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: Kind,
}

impl About {
    /// What of `looked` becomes public, with the asset of consent.
    pub fn new(looked: &Looked, asset: B256) -> Self {
        let named = |column: &crate::look::Column| Named { name: column.name.clone(), kind: column.kind };
        let columns = looked.table.iter().flat_map(|table| table.columns.iter().take(MOST_COLUMNS));
        let columns: Vec<_> = columns.map(named).collect();
        let width = looked.table.as_ref().map(|table| table.width).filter(|width| *width > columns.len() as u64);
        let rows = looked.table.as_ref().and_then(|table| table.rows);
        let (format, bytes, files) = (looked.format, looked.bytes, looked.files);
        Self {
            format,
            bytes,
            files,
            rows,
            columns,
            width,
            subjects: Vec::new(),
            personal: Vec::new(),
            asset,
            node: None,
            rules: None,
            derived: Vec::new(),
            ruled: None,
        }
    }

    /// The same of data whose they are said to be.
    #[must_use]
    pub fn of(self, people: People) -> Self {
        let People { subjects, personal } = people;
        Self { subjects, personal, ..self }
    }

    /// The same of data on which programs run by these rules.
    #[must_use]
    pub fn ruled_by(self, rules: &Rules) -> Self {
        Self { ruled: Some(rules.clone()), ..self }
    }
}

/// What a program is called where Ocean has the checksum of a container.
fn checksum(program: B256) -> String {
    format!("blake3:{program:x}")
}

/// Which programs may run, in Ocean's words. To its nodes an empty list is nothing, `*` is anything, and raw is what nobody has
/// published; both lists together are what they both let run, here it is what either does. No runtime has a network.
fn computing(rules: Option<&Rules>) -> Value {
    let any = || "*".to_owned();
    let container = |program: &B256| hex::encode(hash((ENTRYPOINT.to_owned() + &checksum(*program)).as_bytes()));
    let algorithm = |container: String| {
        let star = any();
        json!({ "did": star, "serviceId": star, "filesChecksum": star, "containerSectionChecksum": container })
    };
    let (algorithms, publishers, raw) = match rules {
        None => (Vec::new(), Vec::new(), false),
        Some(Rules { algorithms, publishers, .. }) => {
            let mut named: Vec<_> = algorithms.iter().map(|program| algorithm(container(program))).collect();
            let mut by: Vec<_> = publishers.iter().map(|account| account.to_checksum(None)).collect();
            let raw = named.is_empty() && by.is_empty();
            if named.is_empty() {
                named.push(algorithm(any()));
            }
            if raw {
                by.push(any());
            }
            (named, by, raw)
        }
    };
    json!({
        "allowRawAlgorithm": raw, "allowNetworkAccess": false,
        "publisherTrustedAlgorithmPublishers": publishers, "publisherTrustedAlgorithms": algorithms,
    })
}

/// What an asset is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// Data.
    #[default]
    Dataset,
    /// A program that runs on data where they are, by its hash.
    Algorithm(B256),
    /// A trained model.
    Model,
    /// Data that go on.
    Feed,
    /// Any other file.
    File,
}

impl Sort {
    /// As it is said.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dataset => "dataset",
            Self::Algorithm(_) => "algorithm",
            Self::Model => "model",
            Self::Feed => "feed",
            Self::File => "file",
        }
    }
}

/// What the owner says of his data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// What it is.
    pub sort: Sort,
    /// In a few words: 4 characters at least.
    pub name: String,
    /// In some sentences: 10 characters at least.
    pub description: String,
    /// Who made them.
    pub author: String,
    /// Under what they may be used.
    pub license: String,
    /// By what they are found.
    pub tags: Vec<String>,
    /// Where there is more.
    pub links: Vec<String>,
}

/// How data are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// They are read.
    Access,
    /// Programs run on them.
    Compute,
}

/// Where an asset is on the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// EIP-155.
    pub chain_id: u64,
    /// The NFT.
    pub nft: Address,
    /// The datatoken that orders cost.
    pub datatoken: Address,
    /// For how many seconds an order stands; 0 for ever.
    pub timeout: u64,
    /// Now, in seconds since 1970.
    pub now: u64,
}

impl Ddo {
    /// The document of a data set with one service.
    pub fn new(answers: &Answers, about: &About, used: Use, place: Place) -> Self {
        let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
        let (id, date) = (did(place.nft, place.chain_id), iso_8601(place.now));
        let service = match used {
            Use::Access => "access",
            Use::Compute => "compute",
        };
        let compute = (used == Use::Compute).then(|| computing(about.ruled.as_ref()));
        let service = Service {
            id: service.into(),
            kind: service.into(),
            files: String::new(),
            datatoken_address: place.datatoken.to_checksum(None),
            service_endpoint: format!("stoa:{}", about.asset),
            timeout: place.timeout,
            compute,
            rest: Map::new(),
        };
        let mut own = json!(about);
        own["kind"] = answers.sort.name().into();
        let rules = about.ruled.as_ref().map(Rules::to_json).filter(|rules| rules.len() <= MOST_RULES);
        if let Some(rules) = rules {
            own[LEAVING] = String::from_utf8_lossy(&rules).into();
        }
        // Ocean knows two kinds, and wants to know of an algorithm which container it runs in: here it is its own.
        let mut rest = Map::new();
        let kind = match answers.sort {
            Sort::Algorithm(program) => {
                let container = json!({
                    "entrypoint": ENTRYPOINT, "image": "stoa", "tag": "1", "checksum": checksum(program),
                });
                rest.insert("algorithm".to_owned(), json!({ "version": "1", "container": container }));
                "algorithm"
            }
            _ => "dataset",
        };
        let about = Map::from_iter([("stoa".to_owned(), own)]);
        Self {
            context: Some(json!(["https://w3id.org/did/v1"])),
            id,
            version: VERSION.into(),
            chain_id: place.chain_id,
            nft_address: place.nft.to_checksum(None),
            metadata: Metadata {
                created: date.clone(),
                updated: date,
                name: answers.name.clone(),
                description: answers.description.clone(),
                kind: kind.into(),
                author: answers.author.clone(),
                license: answers.license.clone(),
                links: some(&answers.links),
                tags: some(&answers.tags),
                additional_information: Some(about),
                rest,
            },
            services: vec![service],
            credentials: None,
            rest: Map::new(),
        }
    }

    /// What this project says of it beside what Ocean's documents have: an object.
    fn own(&mut self) -> &mut Value {
        let information = self.metadata.additional_information.get_or_insert_default();
        let own = information.entry("stoa").or_insert_with(|| Value::Object(Map::new()));
        if !own.is_object() {
            *own = Value::Object(Map::new());
        }
        own
    }

    /// Says whose data they are, in place of what was said before, as far as it is said.
    pub fn say_whose(&mut self, people: &People) {
        let own = self.own();
        for (name, terms) in [(SUBJECTS, &people.subjects), (PERSONAL, &people.personal)] {
            if !terms.is_empty() {
                own[name] = json!(terms);
            }
        }
    }

    /// Gives a document that is to be sealed a salt, as its hash is public; one that has one keeps it.
    pub fn salt(&mut self) {
        let salt = &mut self.own()[sealed::SALT];
        if salt.is_null() {
            *salt = hex::encode(rand::random::<[u8; 32]>()).into();
        }
    }

    /// Takes the salt away, of a document that becomes public; of one without, nothing is changed.
    pub fn unsalted(&mut self) {
        let information = self.metadata.additional_information.as_mut();
        let own = information.and_then(|information| information.get_mut("stoa")?.as_object_mut());
        own.and_then(|own| own.remove(sealed::SALT));
    }

    /// The document as it is published; [`hash`] is of these bytes.
    ///
    /// # Errors
    ///
    /// If it is longer than is read.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DdoError> {
        let bytes = serde_json::to_vec(self)?;
        if bytes.len() > MOST { Err(DdoError::TooLong(bytes.len())) } else { Ok(bytes) }
    }
}

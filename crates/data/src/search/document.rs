//! What an asset says of itself, read from the event that published it.
//!
//! A document comes from anybody. What [`ddo`] opens has a bound and the hash that its publisher put on the ledger; it must name
//! this asset and no other. Of what it says, what a search can use is taken out in bounded amounts; whatever has another
//! type than the format says is passed over. It need not be as Ocean's schemas want it: many that were published are not.

use crate::{
    ddo::{self, CarriedError},
    sale::MOST_DERIVED,
};
use alloy_primitives::{Address, B256};
use serde::Serialize;
use serde_json::Value;

/// The longest texts that are taken over, in bytes.
pub(super) const NAME: usize = 512;
const DESCRIPTION: usize = 8_000;
const SHORT: usize = 256;
const WORD: usize = 128;

/// How many tags, services and columns are taken over.
const TAGS: usize = 64;
const COLUMNS: usize = 1_024;

/// A column of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as the publisher calls it.
    #[serde(rename = "type")]
    pub kind: String,
}

/// What a search can use of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Who made it.
    pub author: String,
    /// Under which licence.
    pub licence: String,
    /// `dataset`, `algorithm`, `model`, `feed`, `file` or another kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about.
    pub tags: Vec<String>,
    /// The kinds of its services: `access`, `compute`.
    pub services: Vec<String>,
    /// Of the data: their format, for example `csv`.
    pub format: String,
    /// How many bytes they are.
    pub bytes: Option<u64>,
    /// How many files.
    pub files: Option<u64>,
    /// How many rows.
    pub rows: Option<u64>,
    /// Their columns.
    pub columns: Vec<Column>,
    /// How many columns they have, where it says that not all are named.
    pub width: Option<u64>,
    /// The asset of the contract of consent that they are sealed as.
    pub asset: String,
    /// The node that lets programs run on them.
    pub node: String,
    /// The assets of which they say that they were derived.
    pub derived: Vec<String>,
}

/// What came of an asset's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// They can be read.
    Read(String, Box<Summary>),
    /// They are encrypted.
    Sealed,
    /// They cannot be used, and why.
    Bad(String),
}

/// Reads metadata as an event has them.
pub(super) fn read(nft: Address, chain_id: u64, flags: &[u8], data: &[u8], hash: B256) -> Reading {
    let text = match text(flags, data, hash) {
        Ok(text) => text,
        Err(reading) => return reading,
    };
    match summary(&text, nft, chain_id) {
        Ok(summary) => Reading::Read(text, Box::new(summary)),
        Err(why) => Reading::Bad(why),
    }
}

/// The text of metadata as an event has them, whatever it says.
pub(super) fn text(flags: &[u8], data: &[u8], hash: B256) -> Result<String, Reading> {
    match ddo::opened(flags, data, hash) {
        Ok(text) => String::from_utf8(text.into_owned()).map_err(|_| Reading::Bad("it is not UTF-8".to_owned())),
        Err(CarriedError::Sealed) => Err(Reading::Sealed),
        Err(error) => Err(Reading::Bad(error.to_string())),
    }
}

/// Checks a document and takes out what a search can use.
fn summary(text: &str, nft: Address, chain_id: u64) -> Result<Summary, String> {
    let document: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    if !document.is_object() {
        return Err("it is not a JSON object".to_owned());
    }
    check(&document, nft, chain_id)?;
    Ok(Summary::of(&document))
}

/// The part that says what the asset is: since version 5 documents are credentials, and that is their subject.
fn subject(document: &Value) -> &Value {
    match &document["credentialSubject"] {
        subject @ Value::Object(_) => subject,
        _ => document,
    }
}

/// The DID that a document gives its asset, which is another in version 5 than before.
pub(super) fn did_of(document: &Value) -> Option<&str> {
    [&document["id"], &subject(document)["id"]].into_iter().find_map(Value::as_str)
}

/// That a document is this asset's.
fn check(document: &Value, nft: Address, chain_id: u64) -> Result<(), String> {
    let (own, subject) = (ddo::did(nft, chain_id), subject(document));
    let ids: Vec<_> = [&document["id"], &subject["id"]].into_iter().filter_map(Value::as_str).collect();
    match ids.iter().find(|id| !ddo::names(id, nft, chain_id)) {
        _ if ids.is_empty() => return Err(format!("it has no id: want {own}")),
        Some(other) => return Err(format!("it is that of {}, and not {own}", cut(other, SHORT))),
        None => {}
    }
    let chain = &subject["chainId"];
    if !chain.is_null() && chain.as_u64() != Some(chain_id) {
        return Err(format!("it is of chain {}, and not {chain_id}", cut(&chain.to_string(), SHORT)));
    }
    let address = &subject["nftAddress"];
    let same = address.as_str().and_then(|text| text.parse::<Address>().ok()) == Some(nft);
    if !address.is_null() && !same {
        return Err(format!("its nftAddress is {}, and not {nft}", cut(&address.to_string(), SHORT)));
    }
    Ok(())
}

/// The beginning of a text.
pub(super) fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

impl Summary {
    /// What a search can use of a document that was [checked](check).
    pub(super) fn of(document: &Value) -> Self {
        // Since version 5 texts may be values with a language.
        let text = |value: &Value, most| {
            let text = value.as_str().or_else(|| value["@value"].as_str());
            cut(text.unwrap_or_default(), most)
        };
        let list =
            |value: &Value, most| value.as_array().map(|list| list.iter().take(most).cloned().collect::<Vec<_>>());
        let metadata = &subject(document)["metadata"];
        let stoa = &metadata["additionalInformation"]["stoa"];
        let kind = [&stoa["kind"], &metadata["type"]];
        let licence = [&metadata["license"], &metadata["license"]["name"]];
        let column = |value: &Value| Column { name: text(&value["name"], WORD), kind: text(&value["type"], WORD) };
        let columns = list(&stoa["columns"], COLUMNS).unwrap_or_default();
        let tags = list(&metadata["tags"], TAGS).unwrap_or_default();
        let services = list(&subject(document)["services"], TAGS).unwrap_or_default();
        let derived = list(&stoa["derivedFrom"], MOST_DERIVED).unwrap_or_default();
        let own = |value: &Value| text(value, SHORT);
        Self {
            name: text(&metadata["name"], NAME),
            description: text(&metadata["description"], DESCRIPTION),
            author: own(&metadata["author"]),
            licence: licence.map(own).into_iter().find(|text| !text.is_empty()).unwrap_or_default(),
            kind: kind.map(|kind| text(kind, WORD)).into_iter().find(|text| !text.is_empty()).unwrap_or_default(),
            tags: tags.iter().map(|tag| text(tag, WORD)).filter(|tag| !tag.is_empty()).collect(),
            services: services.iter().map(|service| text(&service["type"], WORD)).collect(),
            format: text(&stoa["format"], WORD),
            bytes: stoa["bytes"].as_u64(),
            files: stoa["files"].as_u64(),
            rows: stoa["rows"].as_u64(),
            columns: columns.iter().map(column).filter(|column| !column.name.is_empty()).collect(),
            width: stoa["width"].as_u64(),
            asset: own(&stoa["asset"]),
            node: own(&stoa["node"]),
            derived: derived.iter().map(|from| own(&from["asset"])).filter(|asset| !asset.is_empty()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ddo::{Flags, did, hash};
    use proptest::prelude::*;
    use serde_json::json;

    const NFT: Address = alloy_primitives::address!("967da4048cD07aB37855c090aAF366e4ce1b9F48");

    fn packed(text: &[u8]) -> Vec<u8> {
        Flags { packed: true, sealed: false }.carry(text).unwrap()
    }

    fn document() -> Value {
        json!({
            "@context": ["https://w3id.org/did/v1"], "id": did(NFT, 8996), "version": "4.7.0", "chainId": 8996,
            "nftAddress": NFT.to_checksum(None),
            "metadata": {
                "name": "Heart disease", "description": "Of Cleveland", "type": "dataset", "author": "UCI",
                "license": "CC-BY-4.0", "tags": ["health", 7, "heart"],
                "additionalInformation": { "stoa": {
                    "format": "csv", "bytes": 1000, "files": 1, "rows": 303,
                    "columns": [{ "name": "age", "type": "integer" }, { "type": "?" }, 3, { "name": "sex" }],
                } },
            },
            "services": [],
        })
    }

    fn bad(flags: &[u8], data: &[u8], hash: B256) -> String {
        match read(NFT, 8996, flags, data, hash) {
            Reading::Bad(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_document_is_read_plain_and_packed() {
        let text = document().to_string();
        let Reading::Read(kept, summary) = read(NFT, 8996, &[0], text.as_bytes(), hash(text.as_bytes())) else {
            panic!()
        };
        assert_eq!(kept, text);
        assert_eq!((&*summary.name, &*summary.licence, summary.rows), ("Heart disease", "CC-BY-4.0", Some(303)));
        assert_eq!(summary.tags, ["health", "heart"]);
        let columns: Vec<_> = summary.columns.iter().map(|column| (&*column.name, &*column.kind)).collect();
        assert_eq!(columns, [("age", "integer"), ("sex", "")]);
        assert_eq!(
            read(NFT, 8996, &[1], &packed(text.as_bytes()), hash(text.as_bytes())),
            Reading::Read(kept, summary)
        );
    }

    #[test]
    fn a_document_of_version_5_is_read_from_the_credentials_subject() {
        let mut subject = document();
        subject["metadata"]["name"] = json!({ "@value": "Herz", "@language": "de" });
        subject["metadata"]["license"] = json!({ "name": "CC0" });
        let id = did(NFT, 8996).replace("did:op:", "did:ope:");
        subject["id"] = json!(id);
        let text = json!({ "id": id, "version": "5.0.0", "credentialSubject": subject }).to_string();
        let Reading::Read(_, summary) = read(NFT, 8996, &[], text.as_bytes(), hash(text.as_bytes())) else { panic!() };
        assert_eq!((&*summary.name, &*summary.licence), ("Herz", "CC0"));
    }

    #[test]
    fn what_is_encrypted_is_sealed_whatever_it_is() {
        for flag in [2, 3] {
            assert_eq!(read(NFT, 8996, &[flag], b"\xff", B256::ZERO), Reading::Sealed);
        }
    }

    #[test]
    fn a_bad_document_says_what_is_wrong_with_it() {
        let text = document().to_string();
        assert!(bad(&[0], text.as_bytes(), B256::ZERO).contains("hash is"));
        let with = |change: fn(&mut Value)| {
            let mut document = document();
            change(&mut document);
            let text = document.to_string();
            bad(&[0], text.as_bytes(), hash(text.as_bytes()))
        };
        assert!(with(|document| document["id"] = json!(did(Address::ZERO, 8996))).contains("it is that of did:op:"));
        assert!(with(|document| document["id"] = Value::Null).contains("it has no id"));
        assert!(with(|document| document["chainId"] = json!(1)).contains("of chain 1"));
        assert!(with(|document| document["nftAddress"] = json!(Address::ZERO)).contains("nftAddress"));
        assert!(with(|document| *document = json!([])).contains("not a JSON object"));
        let deep = "[".repeat(100_000);
        for (flags, data, want) in [
            (&[4][..], &b"{}"[..], "flags 0x04"),
            (&[0], b"\xff", "not UTF-8"),
            (&[0], b"{", "not JSON"),
            (&[0], deep.as_bytes(), "not JSON"),
            (&[0], &vec![b' '; ddo::MOST + 1], "bytes, and"),
            (&[1], b"{}", "cannot be unpacked"),
            (&[1], &packed(&vec![b' '; ddo::MOST + 1]), "more than"),
        ] {
            let why = bad(flags, data, hash(data));
            assert!(why.contains(want), "{why}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_end_the_reader(flags in prop::collection::vec(0..5_u8, 0..3), data in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(NFT, 8996, &flags, &data, hash(&data));
            // As if it were the rest of a packed document.
            let header = [&[0x5d, 0, 0, 0x80, 0, 255, 255, 255, 255, 255, 255, 255, 255][..], &data].concat();
            let _ = read(NFT, 8996, &[1], &header, B256::ZERO);
        }
    }
}

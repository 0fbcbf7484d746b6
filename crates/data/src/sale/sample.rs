//! Sample rows: what an owner shows everybody of data that nobody sees, for programs to be tried on.
//!
//! They stand in the document, in `metadata.additionalInformation.stoa.sample`, so that they are where the document is and as public,
//! and the ledger has their hash. Ocean's documents have links alone for that.

use super::Result;
use crate::{client::DataError, ddo::Ddo};
use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Bytes of a sample at most: it goes onto the ledger.
pub const MOST_SAMPLE: usize = 64 << 10;

/// Bytes of its name at most.
const MOST_NAME: usize = 128;

/// Its name in what is known of data.
const SAMPLE: &str = "sample";

/// A file with sample rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// What the file is called; programs see it by this name.
    pub name: String,
    /// The BLAKE3 hash of what is in it.
    pub hash: B256,
    /// What is in it.
    pub text: String,
}

impl Sample {
    /// A file with this name and content.
    ///
    /// # Errors
    ///
    /// If it is too long, no text, or has a name that no file has.
    pub fn new(name: &str, content: Vec<u8>) -> Result<Self> {
        let length = content.len();
        if length > MOST_SAMPLE {
            let why = format!("a sample has {MOST_SAMPLE} bytes at most, and {name} has {length}: fewer rows will do");
            return Err(DataError::Ledger(why));
        }
        let text = String::from_utf8(content)
            .map_err(|_| DataError::Ledger(format!("a sample is a text, such as CSV or JSON, and {name} is none")))?;
        let hash = (*blake3::hash(text.as_bytes()).as_bytes()).into();
        Self { name: name.to_owned(), hash, text }.checked()
    }

    fn checked(self) -> Result<Self> {
        let Self { name, hash, text } = &self;
        let plain = name.chars().all(|letter| !letter.is_control() && !matches!(letter, '/' | '\\'));
        let wrong = match blake3::hash(text.as_bytes()).as_bytes() {
            _ if !plain || name.is_empty() || name.len() > MOST_NAME || name.starts_with('.') => {
                "has no name of a file"
            }
            _ if text.len() > MOST_SAMPLE => "is too long",
            is if is != &hash.0 => "has not the hash that is said of it",
            _ => return Ok(self),
        };
        Err(DataError::Ledger(format!("the sample {wrong}")))
    }

    /// What a document has of it; nothing if it has none.
    ///
    /// # Errors
    ///
    /// If what it has is no sample, or has not the hash that is said of it.
    pub fn of(document: &[u8]) -> Result<Option<Self>> {
        let none =
            |error: serde_json::Error| DataError::Ledger(format!("the document's sample cannot be read: {error}"));
        let document: Value = serde_json::from_slice(document).map_err(none)?;
        // Since version 5 documents are credentials.
        let subject = document.get("credentialSubject").unwrap_or(&document);
        match &subject["metadata"]["additionalInformation"]["stoa"][SAMPLE] {
            Value::Null => Ok(None),
            sample => Self::deserialize(sample).map_err(none)?.checked().map(Some),
        }
    }

    /// Puts it into a document.
    pub(super) fn put(&self, ddo: &mut Ddo) {
        let information = ddo.metadata.additional_information.get_or_insert_default();
        let own = information.entry("stoa").or_insert_with(|| Value::Object(Map::new()));
        own[SAMPLE] = json!(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ddo::{About, Answers, Place, Use},
        look::{Looking, look_into},
    };
    use alloy_primitives::Address;
    use std::io::Cursor;

    fn document(sample: &Sample) -> Ddo {
        let rows = b"age\n63\n";
        let looked = look_into("a.csv", 7, Cursor::new(rows), Looking::default(), &|_| ()).unwrap();
        let nowhere =
            Place { chain_id: 1, nft: Address::ZERO, datatoken: Address::ZERO, timeout: 0, now: 1_700_000_000 };
        let mut ddo = Ddo::new(&Answers::default(), &About::new(&looked, B256::repeat_byte(7)), Use::Compute, nowhere);
        sample.put(&mut ddo);
        ddo
    }

    #[test]
    fn a_sample_is_found_in_its_document_and_one_that_was_changed_is_not_believed() {
        let sample = Sample::new("sample.csv", b"age\n63\n41\n".to_vec()).unwrap();
        let ddo = document(&sample);
        let bytes = ddo.to_bytes().unwrap();
        assert_eq!(Sample::of(&bytes).unwrap().as_ref(), Some(&sample));
        let text = String::from_utf8(bytes).unwrap();
        let why = Sample::of(text.replace("63\\n41", "63\\n42").as_bytes()).unwrap_err().to_string();
        assert!(why.contains("hash"), "{why}");
        let why = Sample::of(text.replace("sample.csv", "../sample").as_bytes()).unwrap_err().to_string();
        assert!(why.contains("name of a file"), "{why}");
        // What is known of the data is still there.
        assert_eq!(crate::ddo::Document::V4(Box::new(ddo)).about().unwrap().asset, B256::repeat_byte(7));
        assert_eq!(Sample::of(b"{}").unwrap(), None);
        assert!(Sample::of(b"[").is_err());
    }

    #[test]
    fn a_sample_is_a_text_of_bounded_length() {
        assert!(Sample::new("a.csv", vec![b'1'; MOST_SAMPLE]).is_ok());
        let why = Sample::new("a.csv", vec![b'1'; MOST_SAMPLE + 1]).unwrap_err().to_string();
        assert!(why.contains("fewer rows"), "{why}");
        assert!(Sample::new("a.parquet", vec![0xff]).unwrap_err().to_string().contains("text"));
        for name in ["", ".", "..", "a/b", "a\\b", "a\n", &"x".repeat(129)] {
            assert!(Sample::new(name, Vec::new()).is_err(), "{name}");
        }
    }
}

//! Where the files of a service are: what a publisher has sealed, and what stands in a document.
//!
//! ```json
//! { "nftAddress": "0x…", "datatokenAddress": "0x…", "files": [{ "type": "local", "file": "hearts.csv" }] }
//! ```
//!
//! Beside them may stand `rules`: what programs that run on the files may leave.

use super::Refusal;
use crate::jobs::rules::{Rules, RulesError};
use alloy_primitives::{Address, hex, keccak256};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use stoa_privacy::{
    AssetId, DataKey,
    object::{open, seal},
};

/// Bytes that are sealed at most: in hex, what they become is no longer than Ocean's schema lets `files` be (8,192 characters).
pub const MOST_SEALED: usize = 4_000;

/// Files of a service at most.
const MOST_FILES: usize = 64;

const DOMAIN: &[u8] = b"stoa/provider/files/v1";

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the node's folder, under this name.
    Local(String),
    /// On the web, as the publisher has said.
    Url(Url),
    /// On the web, as anybody has described it.
    Described(Url),
}

impl Place {
    /// Reads a file object that anybody describes: `local`, or Ocean's `url` without headers.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] for everything else.
    pub fn read(object: &Value) -> Result<Self, Refusal> {
        Ok(match Self::published(object)? {
            Self::Url(url) => Self::Described(url),
            place => place,
        })
    }

    /// Reads the same of a publisher's.
    fn published(object: &Value) -> Result<Self, Refusal> {
        let malformed = |why: &str| Err(Refusal::Malformed(format!("a file: {why}")));
        let text = |name: &str| object[name].as_str().unwrap_or_default();
        match text("type") {
            "local" => {
                let name = text("file");
                if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) || name.len() > 255 {
                    return malformed(
                        r#"want {"type":"local","file":"NAME"}, the name of a file in the node's folder"#,
                    );
                }
                Ok(Self::Local(name.to_owned()))
            }
            "url" => {
                let Ok(url) = text("url").parse::<Url>() else { return malformed("url: want an address") };
                if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
                    return malformed("url: want http or https");
                }
                if !url.username().is_empty() || url.password().is_some() {
                    return malformed("url: names and passwords are not passed on");
                }
                if !matches!(text("method"), "" | "GET" | "get") {
                    return malformed("method: files are asked for with GET alone");
                }
                let bare = match &object["headers"] {
                    Value::Null => true,
                    Value::Object(headers) => headers.is_empty(),
                    Value::Array(headers) => headers.is_empty(),
                    _ => false,
                };
                if bare { Ok(Self::Url(url)) } else { malformed("headers: none are passed on") }
            }
            _ => malformed(r#"want one of type "local" or "url"; no other storage is served here"#),
        }
    }

    /// Its type, as its object says it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Local(_) => "local",
            Self::Url(_) | Self::Described(_) => "url",
        }
    }
}

/// The files of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The asset's NFT.
    pub nft: Address,
    /// The datatoken that orders of the service cost.
    pub datatoken: Address,
    /// Where they are.
    pub places: Vec<Place>,
    /// What programs that run on them may leave; if nothing is said, what they like.
    pub rules: Option<Rules>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form {
    nft_address: Address,
    datatoken_address: Address,
    files: Vec<Value>,
    rules: Option<Rules>,
}

impl Files {
    /// Reads what a publisher says.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] if it is too long, or a part is none.
    pub fn read(said: &[u8]) -> Result<Self, Refusal> {
        if said.len() > MOST_SEALED {
            return Err(Refusal::Malformed(format!(
                "files are named in {MOST_SEALED} bytes at most, got {}",
                said.len()
            )));
        }
        let malformed = |error: serde_json::Error| {
            Refusal::Malformed(format!(
                "want nftAddress, datatokenAddress and files, as JSON; documents are published in the clear (encryptDDO: \
                 false), or sealed to people with `stoa data publish --sealed`: {error}"
            ))
        };
        // Clients write what they are given as JSON, also what is JSON already.
        let form: serde_json::Result<Form> = match serde_json::from_slice(said).map_err(malformed)? {
            Value::String(text) => serde_json::from_str(&text),
            value => serde_json::from_value(value),
        };
        let Form { nft_address: nft, datatoken_address: datatoken, files, rules } = form.map_err(malformed)?;
        if files.is_empty() || files.len() > MOST_FILES {
            return Err(Refusal::Malformed(format!("files: want 1 to {MOST_FILES}, got {}", files.len())));
        }
        let wrong = |error: RulesError| Refusal::Malformed(format!("rules: {error}"));
        let rules = rules.map(Rules::checked).transpose().map_err(wrong)?;
        Ok(Self { nft, datatoken, places: files.iter().map(Place::published).collect::<Result<_, _>>()?, rules })
    }

    /// One of them, by its number.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unknown`] if there are fewer.
    pub fn place(&self, index: usize) -> Result<&Place, Refusal> {
        let none = || Refusal::Unknown(format!("fileIndex {index}: the service has {} files", self.places.len()));
        self.places.get(index).ok_or_else(none)
    }
}

/// What a node seals places of files with. They open at this node, on this chain, and nowhere else.
#[derive(Debug)]
pub struct Seal {
    key: DataKey,
    object: AssetId,
}

impl Seal {
    /// With these bytes, which must be as hard to guess as random ones.
    pub fn new(secret: [u8; 32], chain_id: u64) -> Self {
        let object = AssetId(keccak256([DOMAIN, &chain_id.to_be_bytes()].concat()));
        Self { key: DataKey::from_bytes(secret), object }
    }

    /// Seals what a publisher has said of his files, and [`Files::read`] takes. As a document has it: hex after `0x`.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] if it is too long.
    pub fn seal(&self, said: &[u8]) -> Result<String, Refusal> {
        let sealed = seal(&self.key, self.object, said, &mut rand::rng());
        sealed.map(hex::encode_prefixed).map_err(|error| Refusal::Malformed(error.to_string()))
    }

    /// Opens what stands in the document of an asset, whose service costs this datatoken.
    ///
    /// # Errors
    ///
    /// [`Refusal::Forbidden`] if this node has not sealed it, or for another asset or datatoken.
    pub fn open(&self, text: &str, nft: Address, datatoken: Address) -> Result<Files, Refusal> {
        let forbidden = |why: &str| Refusal::Forbidden(why.to_owned());
        let foreign =
            || forbidden("another node has sealed the files of this service: ask the one at its serviceEndpoint");
        let sealed = Some(text).filter(|text| text.len() <= 2 * (MOST_SEALED + 256)).map(hex::decode);
        let sealed = sealed.and_then(Result::ok).ok_or_else(foreign)?;
        let files = Files::read(&open(&self.key, self.object, &sealed).map_err(|_| foreign())?)?;
        if (files.nft, files.datatoken) != (nft, datatoken) {
            return Err(forbidden("the files of this service were sealed for another asset or datatoken"));
        }
        Ok(files)
    }
}

/// What a name on disk has in common with one that a header can say.
pub(super) fn plain_name(name: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '_' };
    let name: String = name.chars().take(128).map(plain).collect();
    if name.is_empty() { "file".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const NFT: Address = Address::repeat_byte(1);
    const TOKEN: Address = Address::repeat_byte(2);

    fn said(files: Value) -> Vec<u8> {
        json!({ "nftAddress": NFT, "datatokenAddress": TOKEN, "files": files }).to_string().into_bytes()
    }

    #[test]
    fn places_are_read_and_nothing_that_leads_elsewhere() {
        let read = |object: Value| Place::read(&object);
        assert_eq!(read(json!({ "type": "local", "file": "a b.csv" })), Ok(Place::Local("a b.csv".into())));
        for name in ["", ".", "..", "../a", "a/b", "/etc/passwd", ".hidden", "a/", "./a", &"a".repeat(256)] {
            assert!(read(json!({ "type": "local", "file": name })).is_err(), "{name}");
        }
        let url = json!({ "type": "url", "url": "https://a.example/b.csv?c=d", "method": "GET", "headers": {} });
        let address: Url = "https://a.example/b.csv?c=d".parse().unwrap();
        assert_eq!(read(url.clone()), Ok(Place::Described(address.clone())));
        assert_eq!(Files::read(&said(json!([url]))).unwrap().places, [Place::Url(address)]);
        for object in [
            json!({ "type": "url", "url": "ftp://a.example/b" }),
            json!({ "type": "url", "url": "file:///etc/passwd" }),
            json!({ "type": "url", "url": "http://me:secret@a.example/b" }),
            json!({ "type": "url", "url": "b.csv" }),
            json!({ "type": "url", "url": "http://a.example", "method": "POST" }),
            json!({ "type": "url", "url": "http://a.example", "headers": { "authorization": "x" } }),
            json!({ "type": "ipfs", "hash": "Qm" }),
            json!({}),
            json!(1),
            json!([]),
        ] {
            assert!(matches!(read(object.clone()), Err(Refusal::Malformed(_))), "{object}");
        }
    }

    #[test]
    fn what_is_sealed_opens_at_this_node_for_this_asset_and_datatoken_alone() {
        let (node, text) = (Seal::new([1; 32], 7), said(json!([{ "type": "local", "file": "a.csv" }])));
        let sealed = node.seal(&text).unwrap();
        let files = node.open(&sealed, NFT, TOKEN).unwrap();
        assert_eq!(files.places, [Place::Local("a.csv".into())]);
        assert_eq!((files.place(0), &files.rules), (Ok(&files.places[0]), &None));
        assert!(matches!(files.place(1), Err(Refusal::Unknown(_))));
        assert!(!sealed.contains(&hex::encode("a.csv")));
        for (node, nft, token) in [
            (Seal::new([2; 32], 7), NFT, TOKEN),
            (Seal::new([1; 32], 8), NFT, TOKEN),
            (Seal::new([1; 32], 7), TOKEN, TOKEN),
            (Seal::new([1; 32], 7), NFT, NFT),
        ] {
            assert!(matches!(node.open(&sealed, nft, token), Err(Refusal::Forbidden(_))));
        }
        for text in ["", "0x", "0x00", "not hex", &sealed[..sealed.len() - 2], &"00".repeat(100_000)] {
            assert!(node.open(text, NFT, TOKEN).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_sealed_fits_a_document_and_what_does_not_is_refused() {
        let node = Seal::new([1; 32], 7);
        let mut longest = said(json!([{ "type": "local", "file": "a" }]));
        longest.resize(MOST_SEALED, b' ');
        assert!(node.seal(&longest).unwrap().len() <= 8_192);
        Files::read(&longest).unwrap();
        longest.push(b' ');
        for text in [longest, said(json!([])), b"{}".to_vec(), b"[".to_vec(), b"\"{}\"".to_vec()] {
            assert!(matches!(Files::read(&text), Err(Refusal::Malformed(_))));
        }
        // As clients write what is text already.
        let text = String::from_utf8(said(json!([{ "type": "local", "file": "a" }]))).unwrap();
        Files::read(json!(text).to_string().as_bytes()).unwrap();
    }

    #[test]
    fn rules_of_what_may_leave_are_sealed_with_the_files_and_none_that_nobody_understands() {
        let said = |rules: Value| {
            let files = json!([{ "type": "local", "file": "a" }]);
            json!({ "nftAddress": NFT, "datatokenAddress": TOKEN, "files": files, "rules": rules }).to_string()
        };
        let usual = Rules::usual(alloy_primitives::B256::ZERO);
        let rules: Value = serde_json::from_slice(&usual.to_json()).unwrap();
        let node = Seal::new([1; 32], 7);
        let files = node.open(&node.seal(said(rules.clone()).as_bytes()).unwrap(), NFT, TOKEN).unwrap();
        assert_eq!(files.rules, Some(usual));
        assert_eq!(Files::read(said(Value::Null).as_bytes()).unwrap().rules, None);
        for (name, value) in [("files", json!({})), ("budget", json!(0)), ("logs", json!(true)), ("rounds", json!("1"))]
        {
            let mut rules = rules.clone();
            rules[name] = value;
            assert!(matches!(Files::read(said(rules.clone()).as_bytes()), Err(Refusal::Malformed(_))), "{rules}");
        }
    }

    #[test]
    fn names_in_headers_are_plain() {
        assert_eq!(plain_name("a b\r\n\"c\".csv"), "a_b___c_.csv");
        assert_eq!(plain_name(""), "file");
    }

    proptest! {
        #[test]
        fn no_bytes_end_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Files::read(&bytes);
            let _ = Seal::new([1; 32], 7).open(&hex::encode(&bytes), NFT, TOKEN);
        }
    }
}

//! Which programs an asset's document lets run on its data, and what runs them here.
//!
//! ```json
//! { "allowRawAlgorithm": false, "publisherTrustedAlgorithmPublishers": ["0x…"],
//!   "publisherTrustedAlgorithms": [{ "did": "did:op:…", "filesChecksum": "…", "containerSectionChecksum": "…" }] }
//! ```
//!
//! As Ocean's nodes read it: a program may run if one of the lists has it, `*` is any, and what is missing is nothing. Two empty lists
//! let nothing run, raw code included. A publisher is named by the program's NFT, as Ocean's nodes have it, or by the account that
//! published its document, as Ocean's documentation has it; never by whose the NFT is, for anybody can give one away to whom he likes.
//! `allowNetworkAccess` is not looked at: no program has a network.

use super::super::Refusal;
use crate::jobs::{
    abi::{PROCESS, WASM},
    runtime_of,
};
use alloy_primitives::{Address, hex};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Entries of either list at most.
const MOST: usize = 256;

const ANY: &str = "*";

/// What stands for the program in an entrypoint.
const ALGO: &str = "$ALGO";

/// Which programs may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    raw: bool,
    any_publisher: bool,
    publishers: Vec<Address>,
    programs: Vec<Trusted>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Trusted {
    did: String,
    service: String,
    files: String,
    container: String,
}

/// A program that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The asset.
    pub did: String,
    /// Its service.
    pub service: String,
    /// The asset's NFT.
    pub nft: Address,
    /// Who published the asset's document.
    pub publisher: Option<Address>,
    /// [`checksum`] of the service's file.
    pub files: String,
    /// [`Container::hash`] of what its document says.
    pub container: String,
}

/// What Ocean calls a file's checksum, of which `filesChecksum` is made: SHA-256, in hex.
pub fn checksum(file: &[u8]) -> String {
    hex::encode(Sha256::digest(file))
}

fn list<'a>(said: &'a Value, name: &str) -> Result<&'a [Value], Refusal> {
    match &said[name] {
        Value::Null => Ok(&[]),
        Value::Array(list) if list.len() <= MOST => Ok(list),
        _ => Err(Refusal::Forbidden(format!("the service's {name} is no list of {MOST} at most"))),
    }
}

impl Trust {
    /// Reads the `compute` of a service.
    ///
    /// # Errors
    ///
    /// [`Refusal::Forbidden`] if a list is none, or too long.
    pub fn read(said: &Value) -> Result<Self, Refusal> {
        let publishers = list(said, "publisherTrustedAlgorithmPublishers")?;
        let programs = list(said, "publisherTrustedAlgorithms")?;
        Ok(Self {
            raw: said["allowRawAlgorithm"] == true,
            any_publisher: publishers.iter().any(|publisher| publisher == ANY),
            publishers: publishers.iter().filter_map(|publisher| publisher.as_str()?.parse().ok()).collect(),
            programs: programs.iter().filter_map(Trusted::read).collect(),
        })
    }

    /// Whether a program may run; none is code that nobody has published.
    pub fn lets(&self, program: Option<&Published>) -> bool {
        let Some(program) = program else {
            let named = self.any_publisher || !self.publishers.is_empty() || !self.programs.is_empty();
            return self.raw && named;
        };
        self.any_publisher || self.names_publisher(program) || self.programs.iter().any(|trusted| trusted.is(program))
    }

    /// Whether a program may run that the lists name, or whose publisher: with `*` they name nobody, nor is raw code named.
    pub fn names(&self, program: Option<&Published>) -> bool {
        program.is_some_and(|program| {
            self.names_publisher(program)
                || self.programs.iter().any(|trusted| !trusted.is_any() && trusted.is(program))
        })
    }

    fn names_publisher(&self, program: &Published) -> bool {
        let by = |account: &Address| self.publishers.contains(account);
        by(&program.nft) || program.publisher.as_ref().is_some_and(by)
    }
}

impl Trusted {
    /// Nothing if a part is missing, but for the service's id, which older documents lack.
    fn read(said: &Value) -> Option<Self> {
        if said == ANY {
            let any = || ANY.to_owned();
            return Some(Self { did: any(), service: any(), files: any(), container: any() });
        }
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        Some(Self {
            did: text("did")?.replacen("did:ope:", "did:op:", 1),
            service: if said.get("serviceId").is_some() { text("serviceId")? } else { ANY.to_owned() },
            files: text("filesChecksum")?,
            container: text("containerSectionChecksum")?,
        })
    }

    /// Whether it says neither of which asset nor of which file it speaks.
    fn is_any(&self) -> bool {
        self.did == ANY && self.files == ANY
    }

    fn is(&self, program: &Published) -> bool {
        let Published { did, service, files, container, .. } = program;
        [(&self.did, did), (&self.service, service), (&self.files, files), (&self.container, container)]
            .into_iter()
            .all(|(trusted, is)| trusted == ANY || trusted == is)
    }
}

/// What a program runs in, so far as it matters where no images are pulled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Container {
    /// Its command line, in which `$ALGO` is the program.
    pub entrypoint: String,
    /// The image's digest, which is of no use here but in the hash.
    pub checksum: String,
}

impl Container {
    /// That of an algorithm's document, of version 4 or 5.
    pub fn of(document: &Value) -> Option<Self> {
        let said = document.get("credentialSubject").unwrap_or(document);
        Self::deserialize(&said["metadata"]["algorithm"]["container"]).ok()
    }

    /// What Ocean calls `containerSectionChecksum`: SHA-256 of entrypoint and checksum in a row, in hex.
    pub fn hash(&self) -> String {
        checksum(&[self.entrypoint.as_bytes(), self.checksum.as_bytes()].concat())
    }

    /// What runs a program here, and its command line.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] if nothing does.
    pub fn command(&self, code: &[u8]) -> Result<(u8, Vec<String>), Refusal> {
        let words: Vec<_> = self.entrypoint.split_whitespace().collect();
        let (runtime, mut line, rest) = match &words[..] {
            [python, ALGO, rest @ ..] if is_python(python) => (PROCESS, vec!["python3", "/code/main"], rest),
            [ALGO, rest @ ..] | ["wasmtime", ALGO, rest @ ..] | ["wasmtime", "run", ALGO, rest @ ..] => {
                if runtime_of(code) != WASM {
                    return Err(Refusal::Malformed("the algorithm's file is no WebAssembly module".to_owned()));
                }
                (WASM, vec!["algorithm"], rest)
            }
            _ => {
                let entrypoint: String = self.entrypoint.chars().take(100).collect();
                return Err(Refusal::Malformed(format!(
                    "the entrypoint {entrypoint:?} is not run here: want \"python $ALGO\" for a script of Python, or \"$ALGO\" for a \
                     WebAssembly module; no images are pulled"
                )));
            }
        };
        line.extend(rest);
        Ok((runtime, line.into_iter().map(str::to_owned).collect()))
    }
}

/// Whether this is a name of Python 3, of which a node has one.
fn is_python(name: &str) -> bool {
    let version = name.strip_prefix("python").filter(|version| version.is_empty() || version.starts_with('3'));
    version.is_some_and(|version| version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const DID: &str = "did:op:01";
    const NFT: Address = Address::repeat_byte(0xa1);
    const ACCOUNT: Address = Address::repeat_byte(0xa2);
    const OTHER: Address = Address::repeat_byte(0xa3);

    fn program() -> Published {
        Published {
            did: DID.into(),
            service: "run".into(),
            nft: NFT,
            publisher: Some(ACCOUNT),
            files: "f1".into(),
            container: "c1".into(),
        }
    }

    fn trust(compute: &Value) -> Trust {
        Trust::read(compute).unwrap()
    }

    /// Whether a document lets the program run, and raw code.
    fn lets(compute: &Value) -> (bool, bool) {
        let trust = trust(compute);
        (trust.lets(Some(&program())), trust.lets(None))
    }

    fn entry(did: &str, files: &str, container: &str) -> Value {
        json!({ "did": did, "filesChecksum": files, "containerSectionChecksum": container })
    }

    #[test]
    fn what_is_missing_or_empty_lets_nothing_run() {
        for compute in [
            Value::Null,
            json!({}),
            json!([]),
            json!({ "allowRawAlgorithm": false, "allowNetworkAccess": true }),
            json!({ "publisherTrustedAlgorithms": [], "publisherTrustedAlgorithmPublishers": [] }),
            json!({ "publisherTrustedAlgorithms": null, "publisherTrustedAlgorithmPublishers": null }),
            // Nor does raw code run where no list has anything.
            json!({ "allowRawAlgorithm": true }),
            json!({
                "allowRawAlgorithm": true, "publisherTrustedAlgorithms": [{}],
                "publisherTrustedAlgorithmPublishers": ["me"],
            }),
        ] {
            assert_eq!(lets(&compute), (false, false), "{compute}");
        }
        for name in ["publisherTrustedAlgorithms", "publisherTrustedAlgorithmPublishers"] {
            for list in [json!("*"), json!({}), json!(true), Value::Array(vec![json!("*"); MOST + 1])] {
                assert!(matches!(Trust::read(&json!({ name: list })), Err(Refusal::Forbidden(_))), "{name}");
            }
        }
    }

    #[test]
    fn a_program_that_is_named_runs_as_it_was_when_it_was_named_and_no_other() {
        for (entry, runs) in [
            (entry(DID, "f1", "c1"), true),
            (entry("*", "*", "*"), true),
            (entry("*", "f1", "c1"), true),
            (entry(DID, "*", "*"), true),
            (json!("*"), true),
            (entry("did:ope:01", "f1", "c1"), true),
            // Another file, another entrypoint or image, another asset.
            (entry(DID, "f2", "c1"), false),
            (entry(DID, "f1", "c2"), false),
            (entry("did:op:02", "f1", "c1"), false),
            (entry(DID, "", ""), false),
            (entry("", "*", "*"), false),
            // What an entry does not say is nothing.
            (json!({ "did": DID }), false),
            (json!({ "did": DID, "filesChecksum": "f1" }), false),
            (json!({ "did": DID, "containerSectionChecksum": "c1" }), false),
            (json!({ "filesChecksum": "f1", "containerSectionChecksum": "c1" }), false),
            (json!({ "did": DID, "filesChecksum": null, "containerSectionChecksum": "c1" }), false),
            (json!(DID), false),
            (json!(null), false),
        ] {
            let compute = json!({ "publisherTrustedAlgorithms": [entry] });
            assert_eq!(lets(&compute), (runs, false), "{compute}");
            let with_another = json!({ "publisherTrustedAlgorithms": [self::entry("did:op:03", "*", "*"), entry] });
            assert_eq!(lets(&with_another), (runs, false), "{with_another}");
        }
        for (service, runs) in
            [(json!("run"), true), (json!("*"), true), (json!("other"), false), (json!(null), false), (json!(1), false)]
        {
            let mut entry = entry(DID, "f1", "c1");
            entry["serviceId"] = service;
            assert_eq!(lets(&json!({ "publisherTrustedAlgorithms": [entry] })), (runs, false), "{entry}");
        }
    }

    #[test]
    fn a_publisher_is_an_nft_or_whoever_published_the_document() {
        for (publishers, runs) in [
            (json!(["*"]), true),
            (json!([NFT]), true),
            (json!([NFT.to_checksum(None)]), true),
            (json!([ACCOUNT]), true),
            (json!([OTHER, ACCOUNT]), true),
            (json!([OTHER]), false),
            (json!(["0x"]), false),
            (json!([1, null, {}]), false),
        ] {
            let compute = json!({ "publisherTrustedAlgorithmPublishers": publishers });
            assert_eq!(lets(&compute), (runs, false), "{compute}");
            // Either list will do.
            let both = json!({
                "publisherTrustedAlgorithmPublishers": publishers,
                "publisherTrustedAlgorithms": [entry("did:op:02", "*", "*")],
            });
            assert_eq!(lets(&both), (runs, false), "{both}");
        }
        let unknown = Published { publisher: None, ..program() };
        assert!(!trust(&json!({ "publisherTrustedAlgorithmPublishers": [ACCOUNT] })).lets(Some(&unknown)));
    }

    #[test]
    fn raw_code_runs_where_it_may_and_is_nothing_that_was_named() {
        let named = json!([entry(DID, "f1", "c1")]);
        for (compute, runs) in [
            (json!({ "allowRawAlgorithm": true, "publisherTrustedAlgorithms": named }), true),
            (json!({ "allowRawAlgorithm": true, "publisherTrustedAlgorithmPublishers": ["*"] }), true),
            (json!({ "allowRawAlgorithm": "true", "publisherTrustedAlgorithmPublishers": ["*"] }), false),
            (json!({ "allowRawAlgorithm": 1, "publisherTrustedAlgorithmPublishers": ["*"] }), false),
            (json!({ "publisherTrustedAlgorithms": [entry("*", "*", "*")] }), false),
            (json!({ "publisherTrustedAlgorithmPublishers": ["*"] }), false),
        ] {
            assert_eq!(lets(&compute).1, runs, "{compute}");
        }
    }

    #[test]
    fn who_lets_any_program_run_has_named_none() {
        let list = |entry: Value| json!({ "publisherTrustedAlgorithms": [entry] });
        let by =
            |publisher: Value| json!({ "publisherTrustedAlgorithmPublishers": [publisher], "allowRawAlgorithm": true });
        for (compute, names) in [
            (list(entry(DID, "f1", "c1")), true),
            (list(entry(DID, "*", "*")), true),
            (list(entry("*", "f1", "c1")), true),
            (by(json!(NFT)), true),
            (by(json!(ACCOUNT)), true),
            (by(json!("*")), false),
            (list(json!("*")), false),
            (list(entry("*", "*", "*")), false),
            // A program is not named by what it runs in.
            (list(entry("*", "*", "c1")), false),
            (list(entry("did:op:02", "*", "*")), false),
        ] {
            let trust = trust(&compute);
            assert_eq!((trust.names(Some(&program())), trust.names(None)), (names, false), "{compute}");
        }
    }

    #[test]
    fn a_containers_hash_is_oceans() {
        let container = json!({ "entrypoint": "python $ALGO", "image": "python", "tag": "3", "checksum": "sha256:1" });
        let document = json!({ "metadata": { "algorithm": { "container": container } } });
        for document in [document.clone(), json!({ "credentialSubject": document })] {
            let container = Container::of(&document).unwrap();
            // createHash("sha256").update("python $ALGO" + "sha256:1").digest("hex")
            assert_eq!(container.hash(), checksum(b"python $ALGOsha256:1"));
        }
        for document in [json!({}), json!({ "metadata": { "algorithm": { "container": "python" } } })] {
            assert_eq!(Container::of(&document), None);
        }
    }

    #[test]
    fn scripts_of_python_and_modules_run_and_nothing_else_does() {
        let command = |entrypoint: &str, code: &[u8]| {
            let container = Container { entrypoint: entrypoint.into(), checksum: String::new() };
            container.command(code).map(|(runtime, words)| (runtime, words.join(" ")))
        };
        for python in ["python $ALGO", "python3 $ALGO", " python3.9  $ALGO "] {
            assert_eq!(command(python, b"1"), Ok((PROCESS, "python3 /code/main".into())), "{python}");
        }
        assert_eq!(command("python $ALGO --deep 3", b""), Ok((PROCESS, "python3 /code/main --deep 3".into())));
        for module in ["$ALGO", "wasmtime $ALGO", "wasmtime run $ALGO"] {
            assert_eq!(command(module, b"\0asm\x01\0\0\0"), Ok((WASM, "algorithm".into())), "{module}");
            assert!(matches!(command(module, b"#!/bin/sh"), Err(Refusal::Malformed(_))), "{module}");
        }
        let others = ["", "$ALGO2", "python", "python2 $ALGO", "python3;id $ALGO", "python -c $ALGO", "node $ALGO"];
        for other in others {
            let refused = command(other, b"\0asm");
            assert!(matches!(&refused, Err(Refusal::Malformed(why)) if why.contains("python $ALGO")), "{refused:?}");
        }
    }
}

use super::*;
use crate::{
    abi::{
        ADDRESS, COMPUTE, CREDENTIAL,
        IConsent::{
            eraseCall, grantCall, moveKeepersCall, registerCall, revokeAllCall, revokeCall, setObjectCall, useGrantCall,
        },
        READ,
    },
    ddo::People,
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;
use futures::FutureExt as _;
use serde_json::Value;
use stoa_contract::{Natives, bench::Bench};

const OWNER: Address = Address::repeat_byte(0xa1);
const ALICE: Address = Address::repeat_byte(0xa2);
const BOB: Address = Address::repeat_byte(0xb0);
const DAY: u64 = 24 * 3600;
const CHAIN: u64 = 31337;

/// A chain, and what an asset's events on it would be told as.
struct Told {
    bench: Bench,
    logs: Vec<Log>,
    asset: B256,
}

impl Told {
    fn new() -> Self {
        let bench = Bench::new(crate::natives(Natives::stoa()));
        let mut told = Self { bench, logs: Vec::new(), asset: B256::ZERO };
        let keepers = vec![B256::repeat_byte(1), B256::repeat_byte(2)];
        let (salt, object, sharing) = (B256::ZERO, B256::repeat_byte(4), B256::repeat_byte(5));
        told.asset = told.send(OWNER, registerCall { salt, object, sharing, needed: 1, keepers, ownerHalf: true });
        told
    }

    fn send<C: SolCall>(&mut self, from: Address, call: C) -> C::Return {
        let sent = self.bench.send(from, CONSENT, &call).unwrap();
        let place = self.bench.evm.ctx().block.clone();
        self.logs.extend(sent.logs.into_iter().map(|inner| Log {
            inner,
            block_number: Some(place.number.to()),
            block_timestamp: Some(place.timestamp.to()),
            transaction_hash: Some(B256::repeat_byte(9)),
            ..Log::default()
        }));
        self.bench.pass(DAY);
        sent.value
    }

    fn grant(&mut self, terms: Terms) -> B256 {
        self.send(OWNER, grantCall { asset: self.asset, terms })
    }

    fn record(&mut self) -> Record {
        let asset = self.bench.view(CONSENT, &assetOfCall { asset: self.asset }).unwrap();
        let keepers = self.bench.view(CONSENT, &IConsent::keepersOfCall { asset: self.asset }).unwrap();
        let number = self.bench.evm.ctx().block.number.to();
        let entries = self.logs.iter().map(|log| entry(self.asset, 0..=number, log).unwrap()).collect();
        let at = At { number, hash: B256::repeat_byte(8), timestamp: self.bench.time() };
        Record { chain_id: CHAIN, id: self.asset, asset, keepers, said: Said::Nothing, at, entries }
    }
}

fn terms(who: Address) -> Terms {
    let purpose = "https://w3id.org/dpv#ScientificResearch".into();
    let zero = B256::ZERO;
    let (kind, uses) = (ADDRESS, READ);
    Terms { kind, who, credential: zero, purpose, uses, algorithm: zero, until: 0, limit: 0, half: zero }
}

fn status_of(record: &Record, id: B256) -> Status {
    record.grants().iter().find(|grant| grant.id == id).unwrap().status(&record.asset, record.at.timestamp)
}

#[test]
fn each_grant_stands_as_what_happened_says() {
    let mut told = Told::new();
    let until = told.bench.time() + 3 * DAY;
    let short = told.grant(Terms { until, ..terms(ALICE) });
    let revoked = told.grant(terms(ALICE));
    let renounced = told.grant(terms(BOB));
    let all = told.grant(terms(BOB));
    assert_eq!(status_of(&told.record(), short), Status::Expired);
    told.send(ALICE, useGrantCall { grant: revoked, kind: READ, algorithm: B256::ZERO });
    told.send(OWNER, revokeCall { grant: revoked });
    told.send(BOB, revokeCall { grant: renounced });
    assert_eq!(status_of(&told.record(), all), Status::Given);
    told.send(OWNER, revokeAllCall { asset: told.asset });
    let last = told.grant(terms(ALICE));
    told.send(OWNER, eraseCall { asset: told.asset });
    let record = told.record();
    let status = [short, revoked, renounced, all, last].map(|id| status_of(&record, id));
    let withdrawn = Status::Withdrawn;
    // The first was over before all were revoked: nothing of it was taken back.
    assert_eq!(status, [Status::Expired, withdrawn, Status::Renounced, withdrawn, withdrawn]);
    // The blocks are those that the contract itself names.
    for grant in record.grants() {
        let is = told.bench.view(CONSENT, &IConsent::grantOfCall { grant: grant.id }).unwrap();
        let (revoked, _) = grant.revoked.unwrap();
        assert_eq!((grant.made.number, revoked.number, grant.uses.len() as u32), (is.granted, is.revoked, is.used));
    }
}

#[test]
fn people_read_everything_that_happened() {
    let mut told = Told::new();
    let until = told.bench.time() + 30 * DAY;
    let algorithm = B256::repeat_byte(3);
    let grant = told.grant(Terms { uses: COMPUTE, algorithm, until, limit: 2, ..terms(ALICE) });
    told.grant(Terms { kind: CREDENTIAL, credential: B256::repeat_byte(6), uses: READ | COMPUTE, ..terms(BOB) });
    told.grant(Terms { kind: CREDENTIAL, credential: B256::with_last_byte(1), ..terms(BOB) });
    told.send(ALICE, useGrantCall { grant, kind: COMPUTE, algorithm });
    told.send(OWNER, setObjectCall { asset: told.asset, object: B256::repeat_byte(7) });
    let (asset, from, sharing, keepers) =
        (told.asset, B256::repeat_byte(5), B256::repeat_byte(6), vec![B256::repeat_byte(3)]);
    told.send(OWNER, moveKeepersCall { asset, from, sharing, needed: 1, keepers, until: 0, votes: vec![] });
    told.send(OWNER, revokeCall { grant });
    told.send(OWNER, eraseCall { asset: told.asset });
    let text = told.record().to_string();
    let short = &grant.to_string()[..10];
    for part in [
        "       1  2023-11-14T22:13:20Z  registered\n",
        "          key: 1 of 2 keepers, and the owner's half\n",
        &format!("  granted {short}…\n          to {ALICE}\n          for ScientificResearch\n"),
        "          to compute by algorithm 0x03030303…, 2 times at most\n          until 2023-12-15T22:13:20Z\n",
        &format!("          to holders of credential 0x06060606…\n          according to {BOB}\n"),
        "          to read and compute\n",
        &format!("          to whoever has an order of service 0 (credential 1)\n          according to {BOB}\n"),
        &format!("  began to use {short}…\n          by {ALICE}\n          to compute by algorithm 0x03030303…\n"),
        "  object is now 0x07070707…\n",
        "  keepers are now 1 of 1, generation 1\n",
        &format!("  revoked {short}…\n          by {OWNER}\n          in {}\n", B256::repeat_byte(9)),
        &format!("  erased, and all grants revoked\n          by {OWNER}\n"),
        "\ngrants   3\n",
        &format!("  {grant}\n    revoked 2023-11-21T22:13:20Z; 1 of 2 uses on record"),
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() < 80), "{text}");
}

#[test]
fn who_had_a_share_is_known_after_the_key_has_moved() {
    let mut told = Told::new();
    let [first, second, third] = [1, 2, 3].map(B256::repeat_byte);
    let (begun, moved) = (B256::repeat_byte(5), B256::repeat_byte(6));
    let (asset, keepers) = (told.asset, vec![second, third]);
    let call = moveKeepersCall { asset, from: begun, sharing: moved, needed: 1, keepers, until: 0, votes: vec![] };
    told.send(OWNER, call);
    let sharings = told.record().sharings();
    let wanted = [(first, vec![begun]), (second, vec![begun, moved]), (third, vec![moved])];
    assert!(sharings.into_iter().eq(wanted.map(|(keeper, of)| (keeper, of.into_iter().collect::<BTreeSet<_>>()))));
}

/// All nodes of a type.
fn nodes<'a>(document: &'a Value, kind: &str) -> Vec<&'a Value> {
    let is = |node: &&Value| match &node["@type"] {
        Value::Array(kinds) => kinds.iter().any(|one| one == kind),
        one => one == kind,
    };
    document["@graph"].as_array().unwrap().iter().filter(is).collect()
}

#[test]
fn programs_read_it_in_the_words_of_the_vocabularies() {
    let mut told = Told::new();
    let until = told.bench.time() + 30 * DAY;
    let grant = told.grant(Terms { uses: READ | COMPUTE, until, limit: 5, ..terms(ALICE) });
    told.send(ALICE, useGrantCall { grant, kind: READ, algorithm: B256::ZERO });
    told.send(OWNER, revokeCall { grant });
    let record = told.record();
    let document = record.json_ld();
    let [given] = nodes(&document, "dpv:ConsentRecord")[..] else { panic!("{document:#}") };
    assert_eq!(given["dct:identifier"], grant.to_string());
    assert_eq!(given["dpv:hasDataController"], format!("did:pkh:eip155:{CHAIN}:{OWNER}"));
    assert_eq!(given["dpv:hasRecipient"], format!("did:pkh:eip155:{CHAIN}:{ALICE}"));
    assert_eq!(given["dpv:hasPurpose"], "https://w3id.org/dpv#ScientificResearch");
    assert_eq!(given["dpv:hasProcessing"], serde_json::json!(["dpv:Access", "dpv:Analyse"]));
    assert_eq!(given["dpv:hasConsentStatus"], "dpv:ConsentWithdrawn");
    assert_eq!(given["dct:created"], "2023-11-15T22:13:20Z");
    assert_eq!(given["dct:valid"], "2023-12-15T22:13:20Z");
    let history = given["dct:hasPart"].as_array().unwrap();
    let history = history.iter().map(|part| (part["@type"].as_str().unwrap(), part["dct:date"].as_str().unwrap()));
    let expected = [("dpv:ConsentGiven", "2023-11-15T22:13:20Z"), ("dpv:ConsentWithdrawn", "2023-11-17T22:13:20Z")];
    assert_eq!(history.collect::<Vec<_>>(), expected);
    let [used] = nodes(&document, "prov:Activity")[..] else { panic!("{document:#}") };
    assert_eq!(used["prov:wasAssociatedWith"], format!("did:pkh:eip155:{CHAIN}:{ALICE}"));
    assert_eq!((&used["prov:used"][1], &used["dpv:hasProcessing"][0]), (&given["@id"], &"dpv:Access".into()));
    // Every name has its vocabulary in the document.
    let context = document["@context"].as_object().unwrap();
    for node in document["@graph"].as_array().unwrap() {
        for name in node.as_object().unwrap().keys().filter(|name| !name.starts_with('@')) {
            assert!(context.contains_key(name.split(':').next().unwrap()), "{name}");
        }
    }
    told.send(OWNER, eraseCall { asset: told.asset });
    let document = told.record().json_ld();
    assert_eq!(nodes(&document, "stoa:Erased").len(), 1);
    assert_eq!(nodes(&document, "dpv:Data")[0]["prov:invalidatedAtTime"], "2023-11-18T22:13:20Z");
}

#[test]
fn whose_data_they_are_is_in_the_record_or_that_it_is_not_said() {
    let mut told = Told::new();
    told.grant(terms(ALICE));
    let (patient, kind) = ("https://w3id.org/dpv#Patient", "https://w3id.org/dpv/pd#HealthRecord");
    let place = Place { number: 1, time: 1_700_000_000, transaction: B256::repeat_byte(3) };
    let document = B256::repeat_byte(5);
    let said = |subjects: &[&str], personal: &[&str]| {
        let owned = |terms: &[&str]| terms.iter().map(|term| (*term).to_owned()).collect();
        Said::This { people: People { subjects: owned(subjects), personal: owned(personal) }, document, place }
    };
    let both = ["dpv:hasDataSubject", "dpv:hasPersonalData"];
    for (said, not_said, text) in [
        (said(&[patient], &[kind]), &both[2..], ["about    Patient\n", "kinds    HealthRecord\n"]),
        (said(&[patient], &[]), &both[1..], ["about    Patient\n", "kinds    not said: "]),
        (Said::Nothing, &both[..], ["about    not said: ", "kinds    not said: "]),
        (Said::Sealed(place), &both[..], ["about    said in a document that is sealed", "kinds    said in a document"]),
    ] {
        let record = Record { said: said.clone(), ..told.record() };
        let linked = record.json_ld();
        let (asset, grant) = (nodes(&linked, "dpv:Data")[0], nodes(&linked, "dpv:ConsentRecord")[0]);
        for node in [asset, grant] {
            for name in both {
                let term = if name == both[0] { patient } else { kind };
                let wanted = if not_said.contains(&name) { Value::Null } else { serde_json::json!([term]) };
                assert_eq!(node[name], wanted, "{name} of {node:#}");
            }
            let wanted = if not_said.is_empty() { Value::Null } else { serde_json::json!(not_said) };
            assert_eq!(node["stoa:notSaid"], wanted);
        }
        let at = serde_json::json!(urn(CHAIN, "tx", place.transaction));
        let (is, sealed) = (matches!(said, Said::This { .. }), matches!(said, Said::Sealed(_)));
        assert_eq!(asset["stoa:saidIn"], if is { at.clone() } else { Value::Null });
        assert_eq!(asset["stoa:document"], if is { serde_json::json!(document) } else { Value::Null });
        assert_eq!(asset["stoa:sealedIn"], if sealed { at } else { Value::Null });
        let printed = record.to_string();
        assert!(text.iter().all(|part| printed.contains(part)), "{text:?} is not in\n{printed}");
        assert!(printed.lines().all(|line| line.chars().count() < 80), "{printed}");
    }
}

#[test]
fn a_grant_that_was_over_before_it_was_revoked_is_dated_by_its_end() {
    let mut told = Told::new();
    let start = told.bench.time();
    let over = told.grant(Terms { until: start + 2 * DAY, ..terms(ALICE) });
    let exact = told.grant(Terms { until: start + 4 * DAY, ..terms(ALICE) });
    let given_up = told.grant(Terms { until: start + 2 * DAY + 1, ..terms(BOB) });
    told.send(BOB, revokeCall { grant: given_up });
    // In the very second in which the second ends.
    told.send(OWNER, revokeAllCall { asset: told.asset });
    let late = told.grant(Terms { until: start + 30 * DAY, ..terms(BOB) });
    told.send(OWNER, eraseCall { asset: told.asset });
    let record = told.record();
    let status = [over, exact, given_up, late].map(|id| status_of(&record, id));
    assert_eq!(status, [Status::Expired, Status::Expired, Status::Expired, Status::Withdrawn]);
    let ended = iso_8601(start + 2 * DAY);
    assert!(record.to_string().contains(&format!("  {over}\n    ended {ended}; 0 uses on record")), "{record}");
    let document = record.json_ld();
    let given = nodes(&document, "dpv:ConsentRecord");
    let given = given.iter().find(|node| node["dct:identifier"] == over.to_string()).unwrap();
    assert_eq!(given["dpv:hasConsentStatus"], "dpv:ConsentExpired");
    assert_eq!(given["dct:valid"], ended);
    assert_eq!(given["prov:invalidatedAtTime"], ended);
    assert_eq!(given["dct:hasPart"][1], serde_json::json!({ "@type": "dpv:ConsentExpired", "dct:date": ended }));
    // Where nobody revoked it, it is the same.
    let mut told = Told::new();
    let until = told.bench.time() + DAY;
    told.grant(Terms { until, ..terms(ALICE) });
    let document = told.record().json_ld();
    let [given] = nodes(&document, "dpv:ConsentRecord")[..] else { panic!("{document:#}") };
    assert_eq!(given["dct:hasPart"][1]["dct:date"], iso_8601(until));
}

#[test]
fn all_blocks_are_asked_for_once_whatever_a_node_bears() {
    let refusal = || ClientError::Refused { code: -32005, message: "too many".to_owned(), data: None };
    for (first, last, most) in
        [(1, 1, 1), (7, 25_000, 10_000), (1, 25_000, 999), (3, 30, 1), (u64::MAX - 2, u64::MAX - 1, 1)]
    {
        let asked =
            paged(
                first,
                last,
                async |from, to| {
                    if to - from < most { Ok((from..=to).collect::<Vec<_>>()) } else { Err(refusal()) }
                },
            );
        let asked = asked.now_or_never().unwrap().unwrap();
        assert!(asked.into_iter().eq(first..=last), "{first}..={last} by {most}");
    }
    // What is not there for any number of blocks is an error.
    let none = paged(1, 25_000, async |_, _| Err::<Vec<u8>, _>(refusal())).now_or_never().unwrap();
    assert!(matches!(none, Err(ClientError::Refused { .. })));
}

#[test]
fn events_that_were_not_asked_for_are_refused() {
    let told = Told::new();
    let log = &told.logs[0];
    assert!(entry(told.asset, 1..=1, log).is_ok());
    assert!(entry(told.asset, 2..=3, log).is_err());
    assert!(entry(B256::repeat_byte(1), 1..=1, log).is_err());
    for wrong in [
        Log { block_number: None, ..log.clone() },
        Log { block_timestamp: None, ..log.clone() },
        Log { transaction_hash: None, ..log.clone() },
        Log { inner: alloy_primitives::Log { address: BOB, ..log.inner.clone() }, ..log.clone() },
        Log {
            inner: alloy_primitives::Log::new_unchecked(CONSENT, log.topics().to_vec(), Bytes::new()),
            ..log.clone()
        },
    ] {
        assert!(entry(told.asset, 1..=1, &wrong).is_err(), "{wrong:?}");
    }
}

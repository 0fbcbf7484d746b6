use super::*;
use crate::{
    jobs::rules::Shape,
    look::{Looking, look_into},
};
use alloy_primitives::address;
use std::io::Cursor;

const NFT: Address = address!("967da4048cD07aB37855c090aAF366e4ce1b9F48");
const DID: &str = "did:op:343c2ef7b7119ff6d2f8aa233c811989572b8ce38427c36ac81d3970f868ddee";

fn answers() -> Answers {
    Answers {
        sort: Sort::Dataset,
        name: "Heart".into(),
        description: "Rows of people and their hearts.".into(),
        author: "A hospital".into(),
        license: "CC-BY-4.0".into(),
        tags: vec!["heart".into(), "table".into()],
        links: vec!["https://example.org/heart".into()],
    }
}

fn example(used: Use) -> Ddo {
    described(&answers(), used)
}

fn described(answers: &Answers, used: Use) -> Ddo {
    ruled(answers, used, None)
}

fn ruled(answers: &Answers, used: Use, rules: Option<&Rules>) -> Ddo {
    let rows = b"age,chol\n63,98765.5\n?,54321\n";
    let looked = look_into("a.csv", rows.len() as u64, Cursor::new(rows), Looking::default(), &|_| ()).unwrap();
    let about = About::new(&looked, B256::repeat_byte(7));
    let about = match rules {
        Some(rules) => about.ruled_by(rules),
        None => about,
    };
    let place =
        Place { chain_id: 8996, nft: NFT, datatoken: Address::repeat_byte(0xd7), timeout: 0, now: 1_700_000_000 };
    Ddo::new(answers, &about, used, place)
}

#[test]
fn the_did_is_oceans() {
    assert_eq!(did(NFT, 8996), DID);
    assert_eq!(did_v5(NFT, 8996), DID.replace("did:op:", "did:ope:"));
    assert!(names(DID, NFT, 8996) && names(&did_v5(NFT, 8996), NFT, 8996));
    assert!(!names(DID, NFT, 1) && !names(&DID[..70], NFT, 8996) && !names("", NFT, 8996));
}

#[test]
fn a_document_says_what_was_seen_and_nothing_of_the_values() {
    for used in [Use::Access, Use::Compute] {
        let ddo = example(used);
        assert_eq!(ddo.check(), []);
        let bytes = ddo.to_bytes().unwrap();
        let Document::V4(again) = Document::read(&bytes).unwrap() else { panic!("of version 4") };
        assert_eq!((&*again, again.to_bytes().unwrap()), (&ddo, bytes.clone()));
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains("98765") && !text.contains("54321"), "{text}");
        let wanted = json!({
            "kind": "dataset", "format": "csv", "bytes": 28, "files": 1, "rows": 2, "asset": B256::repeat_byte(7),
            "columns": [{ "name": "age", "type": "integer" }, { "name": "chol", "type": "number" }],
        });
        assert_eq!(ddo.metadata.additional_information.as_ref().unwrap()["stoa"], wanted);
        assert_eq!(Document::V4(again).about().unwrap(), About::deserialize(wanted).unwrap());
    }
}

#[test]
fn of_a_wide_table_the_first_columns_are_named_and_all_are_counted() {
    let about = |columns: usize| {
        let names: Vec<_> = (0..columns).map(|column| format!("c{column}")).collect();
        let row = names.join(",") + "\n";
        let looked = look_into("a.csv", row.len() as u64, Cursor::new(row), Looking::default(), &|_| ()).unwrap();
        About::new(&looked, B256::ZERO)
    };
    let (wide, narrow) = (about(300), about(MOST_COLUMNS));
    assert_eq!((wide.columns.len(), wide.width), (MOST_COLUMNS, Some(300)));
    assert_eq!((narrow.columns.len(), narrow.width), (MOST_COLUMNS, None));
}

#[test]
fn what_a_document_has_beyond_what_is_known_stays() {
    let mut value = serde_json::to_value(example(Use::Access)).unwrap();
    value["more"] = json!([1, { "x": null }]);
    value["metadata"]["categories"] = json!(["a"]);
    value["metadata"]["additionalInformation"]["other"] = json!({ "y": 2 });
    value["services"][0]["consumerParameters"] = json!([]);
    let Document::V4(ddo) = Document::read(&serde_json::to_vec(&value).unwrap()).unwrap() else { panic!() };
    assert_eq!(serde_json::to_value(&*ddo).unwrap(), value);
}

#[test]
fn each_field_that_is_wrong_is_named() {
    type Change = fn(&mut Ddo);
    let changes: [(&str, Change); 15] = [
        ("metadata.name", |ddo| ddo.metadata.name = "abc".into()),
        ("metadata.name", |ddo| ddo.metadata.name = "a".repeat(513)),
        ("metadata.description", |ddo| ddo.metadata.description = "too short".into()),
        ("metadata.description", |ddo| ddo.metadata.description = "x".repeat(7_001)),
        ("metadata.type", |ddo| ddo.metadata.kind = "model".into()),
        ("metadata.author", |ddo| ddo.metadata.author = "x".repeat(257)),
        ("metadata.license", |ddo| ddo.metadata.license = String::new()),
        ("metadata.tags", |ddo| ddo.metadata.tags = Some(vec!["x".into(); 65])),
        ("metadata.links[1]", |ddo| ddo.metadata.links = Some(vec![String::new(), "x".repeat(513)])),
        ("id", |ddo| ddo.chain_id = 1),
        ("nftAddress", |ddo| ddo.nft_address = ddo.nft_address.replace('D', "d")),
        ("version", |ddo| ddo.version = "4.9.0".into()),
        ("services[0].datatokenAddress", |ddo| ddo.services[0].datatoken_address = "0x12".into()),
        ("services[0].serviceEndpoint", |ddo| ddo.services[0].service_endpoint = "http://x".into()),
        ("metadata.algorithm.container", |ddo| ddo.metadata.kind = "algorithm".into()),
    ];
    for (field, change) in changes {
        let mut ddo = example(Use::Access);
        change(&mut ddo);
        let faults = ddo.check();
        assert!(faults.iter().any(|fault| fault.field == field), "{field}: {faults:?}");
        assert_eq!(faults.len(), 1, "{field}: {faults:?}");
    }
    let mut compute = example(Use::Compute);
    compute.services[0].compute = None;
    assert_eq!(compute.check().len(), 2);
}

#[test]
fn documents_of_version_5_are_known_and_others_are_not() {
    let mut value = json!({
        "id": did_v5(NFT, 8996), "version": "5.0.0", "issuer": "did:jwk:x", "type": ["VerifiableCredential"],
        "credentialSubject": {
            "id": did_v5(NFT, 8996), "chainId": 8996, "nftAddress": NFT.to_checksum(None),
            "metadata": { "name": "x", "created": "x", "updated": "x", "providedBy": "x" },
            "services": [{ "id": "1", "type": "access", "datatokenAddress": "0x", "serviceEndpoint": "x", "timeout": 0 }],
        },
        "additionalDdos": [],
    });
    let read = |value: &Value| Document::read(&serde_json::to_vec(value).unwrap());
    let document = read(&value).unwrap();
    assert_eq!((document.check(), document.id()), (vec![], did_v5(NFT, 8996).as_str()));
    value["id"] = json!(DID);
    value["credentialSubject"]["metadata"]["providedBy"].take();
    value["credentialSubject"]["metadata"].as_object_mut().unwrap().remove("providedBy");
    let faults = read(&value).unwrap().check();
    assert_eq!(faults.len(), 2, "{faults:?}");
    value["version"] = json!("6.0.0");
    assert!(matches!(read(&value), Err(DdoError::Version(_))));
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    for text in [
        "",
        "{}",
        "[]",
        "{\"version\":4}",
        "{\"version\":\"4.7.0\"}",
        &format!("{{\"version\":\"4.7.0\",\"x\":{deep}}}"),
    ] {
        assert!(Document::read(text.as_bytes()).is_err(), "{text:.40}");
    }
    assert!(matches!(Document::read(&vec![b' '; MOST + 1]), Err(DdoError::TooLong(_))));
}

#[test]
fn what_an_event_carries_is_opened_unless_it_is_sealed_or_bursts() {
    let document = example(Use::Access).to_bytes().unwrap();
    for flags in [Flags::default(), Flags { packed: true, sealed: false }] {
        let carried = flags.carry(&document).unwrap();
        assert_eq!(opened(&flags.to_bytes(), &carried, hash(&document)).unwrap(), document);
        let other = opened(&flags.to_bytes(), &carried, B256::ZERO);
        assert!(matches!(other, Err(CarriedError::Hash { .. })));
    }
    assert_eq!(opened(&[], &document, hash(&document)).unwrap(), document);
    for flags in [[2], [3]] {
        assert!(matches!(opened(&flags, &document, hash(&document)), Err(CarriedError::Sealed)));
    }
    assert!(matches!(opened(&[4], &document, hash(&document)), Err(CarriedError::Flags(_))));
    assert!(matches!(opened(&[1, 0], &document, hash(&document)), Err(CarriedError::Flags(_))));
    // What is much longer than it is packed, and what may well be so.
    let unpacks = |bytes: usize| {
        let document = vec![b'a'; bytes];
        let packed = Flags { packed: true, sealed: false }.carry(&document).unwrap();
        opened(&[1], &packed, hash(&document)).is_ok()
    };
    assert!(unpacks(60_000) && !unpacks(1 << 20));
    // Some kilobytes that are a gigabyte of zeros, a dictionary of 4 GiB, and bytes that are nothing.
    let mut bomb = Vec::new();
    lzma_rs::lzma_compress(&mut &vec![0; 8 << 20][..], &mut bomb).unwrap();
    let mut wide = Flags { packed: true, sealed: false }.carry(&document).unwrap();
    wide[1..5].copy_from_slice(&u32::MAX.to_le_bytes());
    wide[5..13].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    for bytes in [&bomb[..], &wide, b"", b"\x5d\0\0", &[0xff; 100]] {
        assert!(matches!(opened(&[1], bytes, B256::ZERO), Err(CarriedError::Packed(_))), "{} bytes", bytes.len());
    }
}

#[test]
fn an_algorithm_says_which_program_it_is_and_other_kinds_are_data_to_ocean() {
    let of = |sort| {
        let ddo = described(&Answers { sort, ..answers() }, Use::Access);
        assert_eq!(ddo.check(), []);
        serde_json::to_value(&ddo).unwrap()
    };
    let algorithm = of(Sort::Algorithm(B256::repeat_byte(9)));
    assert_eq!(algorithm["metadata"]["type"], "algorithm");
    let container = &algorithm["metadata"]["algorithm"]["container"];
    assert_eq!(container["checksum"], format!("blake3:{}", "09".repeat(32)));
    for sort in [Sort::Dataset, Sort::Model, Sort::Feed, Sort::File] {
        let ddo = of(sort);
        assert_eq!(ddo["metadata"]["type"], "dataset");
        assert_eq!(ddo["metadata"]["additionalInformation"]["stoa"]["kind"], sort.name());
    }
}

#[test]
fn a_document_says_in_oceans_words_which_programs_the_rules_let_run() {
    let program = B256::repeat_byte(9);
    let compute = |rules: Option<&Rules>| {
        let ddo = ruled(&answers(), Use::Compute, rules);
        assert_eq!(ddo.check(), []);
        let said = ddo.services[0].compute.clone().unwrap();
        assert_eq!(said["allowNetworkAccess"], false, "no runtime has a network");
        let lists =
            ["publisherTrustedAlgorithms", "publisherTrustedAlgorithmPublishers"].map(|list| said[list].clone());
        (said["allowRawAlgorithm"] == true, lists)
    };
    let algorithm = |container: &str| {
        let star = "*";
        json!([{ "did": star, "serviceId": star, "filesChecksum": star, "containerSectionChecksum": container }])
    };
    // To Ocean's nodes an empty list is nothing: that is so where no rules are known, and not where rules name nobody.
    assert_eq!(compute(None), (false, [json!([]), json!([])]));
    assert_eq!(compute(Some(&Rules::default())), (true, [algorithm("*"), json!(["*"])]));
    // What Ocean's clients come to from the document of the program itself.
    let is = described(&Answers { sort: Sort::Algorithm(program), ..answers() }, Use::Access);
    let container = &is.metadata.rest["algorithm"]["container"];
    let [entrypoint, checksum] = ["entrypoint", "checksum"].map(|name| container[name].as_str().unwrap());
    let named = algorithm(&hex::encode(hash(format!("{entrypoint}{checksum}").as_bytes())));
    let rules = Rules { algorithms: vec![program], ..Rules::default() };
    assert_eq!(compute(Some(&rules)), (false, [named.clone(), json!([])]));
    let by = json!([NFT.to_checksum(None)]);
    // The rules themselves are there as well, and what is none is passed over.
    let mut ddo = ruled(&answers(), Use::Compute, Some(&rules));
    let read = |ddo: &Ddo| Document::read(&ddo.to_bytes().unwrap()).unwrap().rules();
    assert_eq!(read(&ddo), Some(rules.clone()));
    let text = ddo.own()["leaving"].as_str().unwrap().to_owned();
    assert_eq!(hash(text.as_bytes()), rules.hash());
    ddo.own()["leaving"] = json!(text.replace("10000", "many"));
    assert_eq!((read(&ddo), read(&ruled(&answers(), Use::Compute, None))), (None, None));
    let keys = vec!["x".repeat(1000); 70];
    let shape = Shape::Numbers { most: 9, keys, words: Vec::new(), rows: None };
    let long = Rules { files: [("result.json".to_owned(), shape)].into(), ..rules.clone() };
    assert_eq!(read(&ruled(&answers(), Use::Compute, Some(&long))), None);
    // Nor are they read from whoever writes them all the same.
    ddo.own()["leaving"] = String::from_utf8(long.to_json()).unwrap().into();
    assert_eq!(read(&ddo), None);
    let rules = Rules { publishers: vec![NFT], ..rules };
    assert_eq!(compute(Some(&rules)), (false, [named, by.clone()]));
    let rules = Rules { algorithms: Vec::new(), ..rules };
    assert_eq!(compute(Some(&rules)), (false, [algorithm("*"), by]));
}

#[test]
fn a_salt_comes_with_the_seal_and_goes_with_it() {
    let mut plain = Ddo::default();
    plain.unsalted();
    assert_eq!(plain, Ddo::default());
    let mut salted = plain.clone();
    salted.salt();
    let once = salted.clone();
    salted.salt();
    assert!(salted == once && once != plain);
    salted.unsalted();
    assert_ne!(salted, once);
}

#[test]
fn whose_data_they_are_is_said_in_terms_and_can_be_said_anew() {
    let looked = look_into("a.csv", 4, Cursor::new(b"a\n1\n"), Looking::default(), &|_| ()).unwrap();
    let term = |name: &str| format!("https://w3id.org/dpv{name}");
    let people = People { subjects: vec![term("#Patient")], personal: vec![term("/pd#HealthRecord")] };
    let about = About::new(&looked, B256::repeat_byte(7));
    let place =
        Place { chain_id: 8996, nft: NFT, datatoken: Address::repeat_byte(0xd7), timeout: 0, now: 1_700_000_000 };
    let nobodys = Ddo::new(&answers(), &about, Use::Access, place);
    let mut ddo = Ddo::new(&answers(), &about.of(people.clone()), Use::Access, place);
    assert_eq!(ddo.check(), []);
    let said = |ddo: &Ddo| Document::read(&ddo.to_bytes().unwrap()).unwrap().people().unwrap();
    assert_eq!(said(&ddo), (B256::repeat_byte(7), people.clone()));
    assert_eq!(said(&nobodys).1, People::default());
    // What is not said anew stays as it was.
    let others = People { subjects: vec![term("#Student"), term("#Child")], personal: vec![] };
    ddo.say_whose(&others);
    assert_eq!(said(&ddo).1, People { personal: people.personal, ..others });
    for wrong in ["", "Patient", "https://w3id.org/dpv#", "https://w3id.org/dpv#A b", "https://example.org/dpv#A"] {
        assert!(!is_term(wrong), "{wrong}");
    }
    assert!(!is_term(&term(&format!("#{}", "x".repeat(129)))));
}

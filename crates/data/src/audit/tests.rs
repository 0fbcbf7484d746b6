use super::*;
use crate::jobs::{
    abi::{
        BROKEN, FAILED,
        IJobs::{Offer, Receipt},
        LIMITED,
    },
    receipt_digest,
};
use alloy_primitives::{Address, U256, hex};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// An audit of nothing, with every event that there can be.
fn audit() -> Audit {
    let at = Place { block: 7, time: 1_700_000_000, transaction: B256::repeat_byte(1) };
    let asset = B256::repeat_byte(2);
    let evidence = Evidence {
        format: FORMAT.into(),
        chain_id: 31337,
        signed: Bytes::new(),
        job: B256::repeat_byte(9),
        transactions: Vec::new(),
    };
    let receipt = Receipt {
        data: B256::repeat_byte(3),
        params: B256::repeat_byte(0xc),
        output: B256::repeat_byte(0xd),
        rounds: 2,
        fuel: 1_000_000,
        ..Receipt::default()
    };
    let finished = JobFinished { job: evidence.job, asset, receipt, ..JobFinished::default() };
    let terms = crate::abi::IConsent::Terms {
        purpose: "https://w3id.org/dpv#<b>&\"Research".into(),
        kind: 0,
        who: Address::ZERO,
        credential: B256::ZERO,
        uses: 2,
        algorithm: B256::ZERO,
        until: 0,
        limit: 0,
        half: B256::ZERO,
    };
    let registered = AssetRegistered {
        asset,
        owner: Address::repeat_byte(4),
        object: B256::ZERO,
        sharing: B256::ZERO,
        needed: 0,
        keepers: Vec::new(),
        ownerHalf: true,
    };
    let offer = Offer { price: U256::from(1), ..Offer::default() };
    let (consumer, payer) = (Address::repeat_byte(6), Address::repeat_byte(7));
    let (order, service, until) = (B256::repeat_byte(8), U256::ZERO, U256::ZERO);
    let ordered = OrderRecorded { order, consumer, payer, serviceIndex: service, until };
    let published = ProgramPublished {
        algorithm: B256::ZERO,
        asset,
        publisher: Address::repeat_byte(0xa),
        source: B256::repeat_byte(0xb),
        url: "https://a.example/<i>\u{1b}[2J".into(),
    };
    Audit {
        evidence,
        network_key: Bytes::from(vec![5; 96]),
        steps: vec![Step { name: "blocks", holds: true, found: "<script>".into() }],
        registered: Some(Found { at, event: registered }),
        offered: Some(Found { at, event: Offered { asset, offer, ..Offered::default() } }),
        granted: Some(Found { at, event: Granted { asset, grant: B256::ZERO, who: Address::ZERO, terms } }),
        started: Some(Found { at, event: JobStarted { asset, order, ..JobStarted::default() } }),
        used: None,
        ordered: Some(Found { at, event: ordered }),
        order_paid: None,
        sources: vec![Found { at, event: published }],
        finished: Some(Found { at, event: finished }),
        drawn: None,
        spared: None,
        checked: None,
        erased: Vec::new(),
    }
}

/// The same of a job that ended so, with nothing left.
fn audit_of_nothing(ended: u8) -> Audit {
    let mut audit = audit();
    let receipt = &mut audit.finished.as_mut().unwrap().event.receipt;
    (receipt.ended, receipt.rounds, receipt.output) = (ended, 0, B256::ZERO);
    if ended == BROKEN {
        receipt.params = B256::ZERO;
    }
    audit
}

/// What something of its chain is called.
fn named(kind: &str, hash: B256) -> String {
    format!("urn:stoa:eip155:31337:{kind}:{hash}")
}

/// A node of a graph.
fn node<'a>(prov: &'a Value, id: &str) -> Option<&'a Value> {
    prov["@graph"].as_array().unwrap().iter().find(|node| node["@id"] == id)
}

#[test]
fn the_evidence_is_found_in_each_form_that_an_audit_is_written_in() {
    let audit = audit();
    let json = serde_json::to_vec(&audit.evidence).unwrap();
    let page = audit.page();
    assert!(!page.contains("<b>") && page.contains("&lt;script&gt;"), "what others wrote is text");
    let forms = [
        json.clone(),
        page.into_bytes(),
        serde_json::to_vec(&audit.prov().unwrap()).unwrap(),
        serde_json::to_vec(&audit.in_toto().unwrap()).unwrap(),
    ];
    for form in forms {
        assert_eq!(Evidence::read(&form).unwrap(), audit.evidence);
    }
    // Another version is told by its name, whatever else is in it.
    let other = String::from_utf8(json).unwrap().replace(FORMAT, "stoa-audit/9");
    for other in [other.as_str(), r#"{"format":"stoa-audit/1"}"#] {
        assert!(matches!(Evidence::read(other.as_bytes()), Err(EvidenceError::Format(_))));
    }
    for none in [&b"{}"[..], b"[]", b"\xff", b"null", b"<html></html>"] {
        assert!(Evidence::read(none).is_err());
    }
    assert!(matches!(Evidence::read(&vec![b' '; MOST + 1]), Err(EvidenceError::TooLong)));
}

#[test]
fn a_document_of_which_readers_may_see_different_things_is_refused() {
    let audit = audit();
    let json = serde_json::to_string(&audit.evidence).unwrap();
    let (prov, in_toto) = (audit.prov().unwrap().to_string(), audit.in_toto().unwrap().to_string());
    for (text, key) in
        [(json, "format"), (audit.page(), "format"), (prov, "@graph"), (in_toto.clone(), "subject"), (in_toto, "job")]
    {
        let is = format!("\"{key}\":");
        assert_eq!(text.matches(&is).count(), 1, "{key}");
        let twice = text.replace(&is, &format!("{is}[],{is}"));
        let why = match Evidence::read(twice.as_bytes()) {
            Err(EvidenceError::Json(why)) => why.to_string(),
            other => panic!("{key}: {other:?}"),
        };
        assert!(why.contains(&format!("the key {key:?} twice")), "{why}");
        assert!(audit.shown(twice.as_bytes()).differs.is_some(), "{key}");
    }
}

#[test]
fn the_evidence_is_the_receipts_own_in_a_graph_and_is_still_found_beside_one() {
    let audit = audit();
    let mut prov = audit.prov().unwrap();
    let keys: Vec<_> = prov.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["@context", "@graph"], "more would give the graph a name");
    let receipt = named("receipt", audit.evidence.job);
    assert_eq!(node(&prov, &receipt).unwrap()["stoa:evidence"]["@type"], "@json");
    let at = prov["@graph"].as_array().unwrap().iter().position(|node| node["@id"] == receipt).unwrap();
    let evidence = prov["@graph"][at].as_object_mut().unwrap().remove("stoa:evidence").unwrap();
    assert!(matches!(Evidence::read(prov.to_string().as_bytes()), Err(EvidenceError::None)));
    prov["stoa:evidence"] = evidence;
    assert_eq!(Evidence::read(prov.to_string().as_bytes()).unwrap(), audit.evidence);
    let differs = audit.shown(prov.to_string().as_bytes()).differs;
    assert_eq!(differs, Some(format!("the document: /@graph/{at}/stoa:evidence")));
}

#[test]
fn a_job_that_left_nothing_has_no_output_and_each_form_says_how_it_ended() {
    let whole = audit();
    let output = named("output", B256::repeat_byte(0xd));
    assert_eq!(node(&whole.prov().unwrap(), &output).unwrap()["prov:wasDerivedFrom"].as_array().unwrap().len(), 3);
    assert_eq!(whole.in_toto().unwrap()["predicate"]["runDetails"]["metadata"]["stoa_outcome"], "succeeded");
    assert!(!whole.page().contains("the job succeeded"));
    for (ended, how) in [(FAILED, "failed"), (LIMITED, "used up its limits"), (BROKEN, "was not done")] {
        let audit = audit_of_nothing(ended);
        let (page, prov, in_toto) = (audit.page(), audit.prov().unwrap(), audit.in_toto().unwrap());
        let receipt = &audit.finished.as_ref().unwrap().event.receipt;
        let job = audit.evidence.job;
        for form in [&prov, &in_toto] {
            let (text, zero) = (form.to_string(), hex::encode(B256::ZERO));
            assert!(!text.contains(&format!(":output:0x{zero}")) && !text.contains("stoaOutputs"), "{text}");
            // What stood in its place before the first round stands nowhere either.
            assert_eq!(text.contains(":parameters:0x"), ended != BROKEN, "{text}");
            assert!(!text.contains(&format!(":parameters:0x{zero}")), "{text}");
            assert_eq!(audit.shown(text.as_bytes()), Shown::default());
        }
        let activity = node(&prov, &named("job", job)).unwrap();
        assert_eq!((&activity["stoa:ended"], &activity["stoa:outcome"]), (&json!(ended), &json!(how)));
        let digest = hex::encode(receipt_digest(31337, job, receipt));
        let subject = json!([{ "name": named("receipt", job), "digest": { "stoaReceipt": digest } }]);
        assert_eq!(in_toto["subject"], subject);
        assert_eq!(in_toto["predicate"]["runDetails"]["metadata"]["stoa_outcome"], how);
        assert!(page.contains(">none</text>") && page.contains(&format!(">the job {how}</text>")), "{page}");
        assert!(!page.contains("hash 0x00000000"), "{page}");
    }
}

#[test]
fn a_transaction_has_one_name_in_linked_data() {
    let audit = audit();
    let prov = audit.prov().unwrap();
    let job = node(&prov, &named("job", audit.evidence.job)).unwrap();
    assert_eq!(job["stoa:transaction"], named("tx", B256::repeat_byte(1)), "as in the record of consent");
    assert_eq!(prov["@context"]["stoa:transaction"]["@type"], "@id");
}

#[test]
fn a_file_that_shows_something_else_than_its_evidence_proves_is_known() {
    let audit = audit();
    let rerun = Step { name: "rerun", holds: true, found: "the same </script>, bit for bit".into() };
    let whole = Audit { steps: [&audit.steps[..], std::slice::from_ref(&rerun)].concat(), ..audit.clone() };
    let page = whole.page();
    // What its writer has compared is told as his word.
    let shown = audit.shown(page.as_bytes());
    assert_eq!(shown, Shown { differs: None, said: vec![rerun] });
    assert_eq!(audit.shown(audit.page().as_bytes()), Shown::default());
    for (is, other, part) in [
        ("finished 2023", "finished 2024", "the heading"),
        ("Every step holds.", "All is well.", "the verdict"),
        ("0x07070707…070707 paid", "0x17070707…070707 paid", "the graph"),
        ("&lt;script&gt;", "Ann was paid", "the steps"),
        ("bit for bit</td>", "nearly</td>", "the steps"),
        ("--network-key 0x05", "--network-key 0x06", "how to check it"),
        ("</body>", "<h1>Ann was paid</h1></body>", "the evidence, or behind it"),
    ] {
        assert_eq!(page.matches(is).count(), 1, "{is}");
        let differs = audit.shown(page.replace(is, other).as_bytes()).differs;
        assert_eq!(differs, Some(format!("the page: {part}")));
    }
    let evidence = serde_json::to_value(&audit.evidence).unwrap();
    for (document, place) in [
        (audit.prov().unwrap(), "/@graph/6/stoa:paid"),
        (audit.prov().unwrap(), "/@context/prov"),
        (audit.in_toto().unwrap(), "/subject/0/name"),
        (evidence, "/more"),
    ] {
        assert_eq!(audit.shown(document.to_string().as_bytes()), Shown::default());
        let mut other = document;
        match other.pointer_mut(place) {
            Some(part) => *part = "0x99".into(),
            None => other["more"] = "0x99".into(),
        }
        let differs = audit.shown(other.to_string().as_bytes()).differs;
        assert_eq!(differs, Some(format!("the document: {place}")));
    }
}

#[test]
fn each_form_tells_the_order_and_the_source() {
    let audit = audit();
    let (page, prov, in_toto) = (audit.page(), audit.prov().unwrap(), audit.in_toto().unwrap());
    assert!(page.contains("Order") && page.contains("0x07070707…070707 paid"), "{page}");
    assert!(page.contains("Source") && page.contains("hash 0x0b0b0b0b…0b0b0b"), "{page}");
    let (order, source) = (B256::repeat_byte(8), B256::repeat_byte(0xb));
    let of = |id: String| node(&prov, &id).unwrap_or_else(|| panic!("{id}"));
    let is = of(named("order", order));
    assert_eq!(is["prov:wasAttributedTo"], format!("did:pkh:eip155:31337:{}", Address::repeat_byte(7)));
    let used = of(named("job", audit.evidence.job))["prov:used"].as_array().unwrap();
    assert!(used.iter().any(|one| *one == named("order", order)), "{used:?}");
    // What a publisher wrote moves nobody's cursor.
    assert_eq!(of(named("source", source))["stoa:url"], "https://a.example/<i>[2J");
    assert_eq!(of(named("program", B256::ZERO))["prov:wasDerivedFrom"][0], named("source", source));
    let definition = &in_toto["predicate"]["buildDefinition"];
    assert_eq!(definition["externalParameters"]["order"], order.to_string());
    assert_eq!(definition["externalParameters"]["datatoken"], json!(Address::repeat_byte(8)));
    let materials = definition["resolvedDependencies"].as_array().unwrap();
    assert_eq!(materials.last().unwrap()["uri"], named("source", source));
}

#[test]
fn a_source_that_its_publisher_has_withdrawn_is_shown_as_such_and_data_that_are_erased() {
    let mut audit = audit();
    let source = named("source", B256::repeat_byte(0xb));
    let ended = |audit: &Audit| node(&audit.prov().unwrap(), &source).unwrap().get("prov:invalidatedAtTime").cloned();
    assert!(ended(&audit).is_none() && !audit.page().contains("withdrawn"));
    let at = Place { block: 9, time: 1_700_000_060, transaction: B256::repeat_byte(3) };
    let asset = B256::repeat_byte(2);
    audit.erased.push(Found { at, event: Erased { asset, by: Address::repeat_byte(0xa) } });
    assert_eq!(ended(&audit).unwrap()["@value"], "2023-11-14T22:14:20Z");
    assert!(audit.page().contains("block 7, withdrawn in 9"), "{}", audit.page());
    let data = named("data", B256::repeat_byte(3));
    assert!(node(&audit.prov().unwrap(), &data).unwrap().get("prov:invalidatedAtTime").is_some());
}

#[test]
fn a_round_that_was_noted_and_not_run_is_left_out_of_the_parameters() {
    let compared = |rounds: u32, named: usize| {
        let mut audit = audit();
        let noted = [1, 2, 3].map(|round: u8| vec![round]);
        let receipt = &mut audit.finished.as_mut().unwrap().event.receipt;
        receipt.rounds = rounds;
        receipt.params = crate::jobs::params_hash(noted[..named].iter().map(Vec::as_slice));
        audit.compare(Material { params: Some(noted.to_vec()), ..Material::default() });
        audit.steps.pop().unwrap()
    };
    // One that failed has begun, and is not counted.
    for (rounds, named, left_out) in [(3, 3, false), (2, 3, false), (2, 2, true), (1, 2, true), (0, 0, true)] {
        let Step { name, holds, found } = compared(rounds, named);
        assert_eq!((name, holds, found.contains("noted and not run")), ("parameters", true, left_out), "{found}");
    }
    assert!(!compared(3, 1).holds, "three rounds have the parameters of three");
}

#[test]
fn what_is_called_by_a_known_digests_name_is_that_of_a_files_bytes() {
    let audit = audit();
    let in_toto = audit.in_toto().unwrap();
    let of = |one: &Value| {
        let digest = one["digest"].as_object().unwrap();
        digest.keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of(&in_toto["subject"][0]), "stoaOutputs");
    let materials = in_toto["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    // Of these the rules and the program are a file each.
    let digests: Vec<_> = materials.iter().map(of).collect();
    assert_eq!(digests, ["stoaFiles", "blake3", "sha256", "stoaParameters", "stoaFiles"]);
    // A resource has a URI, a digest or its content: the evidence the digest of the file that it is by itself.
    let evidence = &in_toto["predicate"]["runDetails"]["byproducts"][0];
    let hash = hex::encode(Sha256::digest(serde_json::to_vec(&audit.evidence).unwrap()));
    assert_eq!(evidence["digest"], json!({ "sha256": hash }));
}

#[test]
fn what_is_not_in_the_evidence_is_shown_as_not_shown() {
    let box_of = |audit: &Audit, title: &str| {
        let page = audit.page();
        let (_, rest) = page.split_once(&format!(r#"<text class="title" x="379" y="594">{title}</text>"#)).unwrap();
        rest.split_once("<rect").unwrap().0.to_owned()
    };
    let mut audit = audit();
    audit.sources.clear();
    assert!(!audit.page().contains("not published") && box_of(&audit, "Check").contains("none offered"));
    audit.offered.as_mut().unwrap().event.offer.checks.drawn = 2;
    assert!(box_of(&audit, "Check").contains("not shown"));
    let at = audit.offered.as_ref().unwrap().at;
    audit.spared = Some(Found { at, event: JobSpared { job: audit.evidence.job } });
    assert!(box_of(&audit, "Check").contains("nobody was drawn"));
    audit.drawn = Some(Found { at, event: JobDrawn::default() });
    assert!(box_of(&audit, "Check").contains("drawn, and no verdict shown"));
    let empty = audit.evidence.audit(Bytes::from(vec![5; 96]));
    assert!(box_of(&empty, "Check").contains("not shown") && !empty.page().contains("none of a datatoken"));
}

#[test]
fn what_the_evidence_does_not_show_does_not_hold() {
    let evidence = audit().evidence;
    let empty = evidence.audit(Bytes::from(vec![5; 96]));
    assert!(!empty.holds() && empty.prov().is_none() && empty.in_toto().is_none());
    assert!(empty.page().contains("Not every step holds"));
}

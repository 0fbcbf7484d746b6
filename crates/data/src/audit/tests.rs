use super::*;
use crate::jobs::abi::IJobs::{Offer, Receipt};
use alloy_primitives::{Address, U256};

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
    let receipt = Receipt { data: B256::repeat_byte(3), rounds: 2, fuel: 1_000_000, ..Receipt::default() };
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
        checked: None,
    }
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
        (audit.prov().unwrap(), "/@graph/7/stoa:paid"),
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
    let named = |kind: &str, hash: B256| format!("urn:stoa:eip155:31337:{kind}:{hash}");
    let graph = prov["@graph"].as_array().unwrap();
    let of = |id: String| graph.iter().find(|node| node["@id"] == id.as_str()).unwrap_or_else(|| panic!("{id}"));
    let is = of(named("order", order));
    assert_eq!(is["prov:wasAttributedTo"], format!("did:pkh:eip155:31337:{}", Address::repeat_byte(7)));
    let used = of(named("job", audit.evidence.job))["prov:used"].as_array().unwrap();
    assert!(used.iter().any(|one| *one == named("order", order)), "{used:?}");
    // What a publisher wrote moves nobody's cursor.
    assert_eq!(of(named("source", source))["stoa:url"], "https://a.example/<i>[2J");
    assert_eq!(of(named("program", B256::ZERO))["prov:wasDerivedFrom"][0], named("source", source));
    let definition = &in_toto["predicate"]["buildDefinition"];
    assert_eq!(definition["externalParameters"]["order"], order.to_string());
    assert_eq!(definition["externalParameters"]["datatoken"], serde_json::json!(Address::repeat_byte(8)));
    let materials = definition["resolvedDependencies"].as_array().unwrap();
    assert_eq!(materials.last().unwrap()["uri"], named("source", source));
}

#[test]
fn what_is_called_by_a_known_digests_name_is_that_of_a_files_bytes() {
    let in_toto = audit().in_toto().unwrap();
    let of = |one: &serde_json::Value| {
        let digest = one["digest"].as_object().unwrap();
        digest.keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of(&in_toto["subject"][0]), "stoaOutputs");
    let materials = in_toto["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    // Of these the rules and the program are a file each.
    let digests: Vec<_> = materials.iter().map(of).collect();
    assert_eq!(digests, ["stoaFiles", "blake3", "stoaParameters", "sha256", "stoaFiles"]);
}

#[test]
fn what_the_evidence_does_not_show_does_not_hold() {
    let evidence = audit().evidence;
    let empty = evidence.audit(Bytes::from(vec![5; 96]));
    assert!(!empty.holds() && empty.prov().is_none() && empty.in_toto().is_none());
    assert!(empty.page().contains("Not every step holds"));
}

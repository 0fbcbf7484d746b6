use super::*;
use crate::jobs::abi::IJobs::{Offer, Receipt};
use alloy_primitives::{Address, U256};

/// An audit of nothing, with every event that there can be.
fn audit() -> Audit {
    let at = Place { block: 7, time: 1_700_000_000, transaction: B256::repeat_byte(1) };
    let asset = B256::repeat_byte(2);
    let evidence =
        Evidence { format: FORMAT.into(), chain_id: 31337, job: B256::repeat_byte(9), transactions: Vec::new() };
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
    Audit {
        evidence,
        network_key: Bytes::from(vec![5; 96]),
        steps: vec![Step { name: "blocks", holds: true, found: "<script>".into() }],
        registered: Some(Found { at, event: registered }),
        offered: Some(Found { at, event: Offered { asset, offer, ..Offered::default() } }),
        granted: Some(Found { at, event: Granted { asset, grant: B256::ZERO, who: Address::ZERO, terms } }),
        started: Some(Found { at, event: JobStarted { asset, ..JobStarted::default() } }),
        used: None,
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
    let other = String::from_utf8(json).unwrap().replace(FORMAT, "stoa-audit/9");
    assert!(matches!(Evidence::read(other.as_bytes()), Err(EvidenceError::Format(_))));
    for none in [&b"{}"[..], b"[]", b"\xff", b"null", b"<html></html>"] {
        assert!(Evidence::read(none).is_err());
    }
    assert!(matches!(Evidence::read(&vec![b' '; MOST + 1]), Err(EvidenceError::TooLong)));
}

#[test]
fn what_the_evidence_does_not_show_does_not_hold() {
    let evidence = audit().evidence;
    let empty = evidence.audit(Bytes::from(vec![5; 96]));
    assert!(!empty.holds() && empty.prov().is_none() && empty.in_toto().is_none());
    assert!(empty.page().contains("Not every step holds"));
}

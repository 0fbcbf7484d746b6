//! Steps of audits of what the contracts have really said; the blocks around it are proven elsewhere.

use super::*;
use crate::{
    abi::IConsent::{self, Terms},
    audit::FORMAT,
    jobs::{
        abi::{IJobs, SUCCEEDED},
        tests::terms,
    },
    market::{
        abi::{FACTORY, IDatatoken, IFactory},
        order_id,
        tests::{self as shared, OWNER},
    },
};
use alloy_primitives::{Address, hex};
use alloy_sol_types::{SolCall, SolEvent as _};
use ed25519_dalek::{Signer as _, SigningKey};
use stoa_contract::{
    Natives,
    bench::{Bench, Failure},
};

const BUYER: Address = Address::repeat_byte(0xb0);
const FRIEND: Address = Address::repeat_byte(0xb1);
const CHAIN: u64 = 31337;
const PROGRAM: B256 = B256::repeat_byte(8);

fn node() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A chain with a transaction in each block, and what they left behind.
struct Told {
    bench: Bench,
    events: Vec<(Place, Log)>,
    block: u64,
}

impl Told {
    fn new() -> Self {
        let rich = [OWNER, BUYER, FRIEND].map(|account| (account, shared::whole(1_000)));
        let bench = Bench::new(crate::natives(Natives::stoa())).with_coin(&rich);
        Self { bench, events: Vec::new(), block: 0 }
    }

    fn send<C: SolCall>(&mut self, from: Address, to: Address, call: &C) -> C::Return {
        let sent = self.bench.send(from, to, call).unwrap_or_else(|why: Failure| panic!("{}: {why:?}", C::SIGNATURE));
        self.block += 1;
        let transaction = B256::with_last_byte(self.block as u8);
        let at = Place { block: self.block, time: self.bench.time(), transaction };
        self.events.extend(sent.logs.into_iter().map(|log| (at, log)));
        sent.value
    }

    /// An asset that is offered, and its datatoken, an order of which lets the buyer compute: paid by a friend, whom he has said yes to.
    fn sold(&mut self) -> (B256, Address, B256) {
        let register = IConsent::registerCall {
            salt: B256::repeat_byte(1),
            object: B256::repeat_byte(2),
            sharing: B256::ZERO,
            needed: 0,
            keepers: vec![],
            ownerHalf: true,
        };
        let asset = self.send(OWNER, CONSENT, &register);
        let offer = IJobs::Offer {
            node: node().verifying_key().to_bytes().into(),
            data: B256::repeat_byte(3),
            token: jobs::COIN,
            payTo: OWNER,
            fuel: 10 * MILLION,
            time: 3600,
            runtimes: WASM,
            ..IJobs::Offer::default()
        };
        self.send(OWNER, JOBS, &IJobs::offerCall { asset, offer });
        let create = IFactory::createNftWithErc20Call { nft: shared::nft_data(), datatoken: shared::datatoken_data() };
        let token = self.send(OWNER, FACTORY, &create).erc20Address;
        let terms = Terms { kind: CREDENTIAL, credential: U256::ONE.into(), ..terms(token) };
        let grant = self.send(OWNER, CONSENT, &IConsent::grantCall { asset, terms });
        self.send(OWNER, token, &IDatatoken::mintCall { account: FRIEND, value: shared::whole(1) });
        self.send(FRIEND, token, &shared::start(BUYER, shared::no_quote()));
        self.send(BUYER, token, &IDatatoken::acceptOrderCall { order: order_id(token, 1) });
        (asset, token, grant)
    }

    /// A job under a grant, with its receipt.
    fn job(&mut self, grant: B256) -> B256 {
        let start = IJobs::startCall {
            grant,
            algorithm: PROGRAM,
            client: B256::repeat_byte(9),
            runtime: WASM,
            fuel: MILLION,
            most: U256::ZERO,
            offer: 1,
        };
        let job = self.send(BUYER, JOBS, &start);
        let receipt =
            Receipt { data: B256::repeat_byte(3), rounds: 1, fuel: 5, ended: SUCCEEDED, ..Receipt::default() };
        let digest = jobs::receipt_digest(CHAIN, job, &receipt);
        let signature = node().sign(digest.as_slice()).to_bytes().into();
        self.send(BUYER, JOBS, &IJobs::finishCall { job, receipt, signature });
        job
    }
}

/// What an audit says of these events, but for the blocks.
fn audited(job: B256, events: &[(Place, Log)]) -> Audit {
    let evidence =
        Evidence { format: FORMAT.into(), chain_id: CHAIN, signed: Bytes::new(), job, transactions: Vec::new() };
    let mut audit = evidence.audit(Bytes::new());
    audit.steps.clear();
    audit.read(events);
    audit.link();
    audit
}

fn said<'a>(audit: &'a Audit, name: &str) -> (bool, &'a str) {
    let step = audit.steps.iter().find(|step| step.name == name).unwrap_or_else(|| panic!("no step {name}"));
    (step.holds, step.found.as_str())
}

/// The events, with those of a kind changed, or without them.
fn changed<E: alloy_sol_types::SolEvent>(
    events: &[(Place, Log)],
    change: impl Fn(E) -> Option<E>,
) -> Vec<(Place, Log)> {
    let mut found = false;
    let each = events.iter().filter_map(|(at, log)| match E::decode_log(log) {
        Ok(event) => {
            found = true;
            let data = change(event.data)?.encode_log_data();
            Some((*at, Log { address: log.address, data }))
        }
        Err(_) => Some((*at, log.clone())),
    });
    let all = each.collect();
    assert!(found, "there is no {}", E::SIGNATURE);
    all
}

#[test]
fn an_order_is_followed_to_who_paid_it_and_another_is_none_of_the_job() {
    let mut told = Told::new();
    let (asset, token, grant) = told.sold();
    let job = told.job(grant);
    let audit = audited(job, &told.events);
    assert!(audit.holds(), "{:?}", audit.steps);
    let (_, order) = said(&audit, "order");
    for part in [&asset.to_string(), &order_id(token, 1).to_string(), &FRIEND.to_string(), &token.to_string()] {
        assert!(order.contains(part.as_str()), "{part} in {order}");
    }
    let fails = |events: Vec<(Place, Log)>, why: &str| {
        let audit = audited(job, &events);
        let (holds, found) = said(&audit, "order");
        assert!(!holds && found.contains(why), "{why}: {found}");
    };
    // What is left out is missed.
    fails(changed::<OrderRecorded>(&told.events, |_| None), "the order by which");
    fails(changed::<OrderStarted>(&told.events, |_| None), "was paid");
    // An order of somebody else's, of another service, or over.
    fails(changed(&told.events, |event: OrderRecorded| Some(OrderRecorded { consumer: OWNER, ..event })), "was paid");
    let other = changed(&told.events, |event: OrderRecorded| Some(OrderRecorded { consumer: OWNER, ..event }));
    fails(changed(&other, |event: OrderStarted| Some(OrderStarted { consumer: OWNER, ..event })), "somebody else");
    let other =
        changed(&told.events, |event: OrderRecorded| Some(OrderRecorded { serviceIndex: U256::from(1), ..event }));
    fails(
        changed(&other, |event: OrderStarted| Some(OrderStarted { serviceIndex: U256::from(1), ..event })),
        "service",
    );
    fails(
        changed(&told.events, |event: OrderRecorded| Some(OrderRecorded { until: U256::from(1), ..event })),
        "time was over",
    );
    // The node has signed for the job's id, which covers what the job came of.
    fails(
        changed(&told.events, |event: JobStarted| Some(JobStarted { order: order_id(token, 2), ..event })),
        "signed for another",
    );
    fails(
        changed(&told.events, |event: JobStarted| Some(JobStarted { order: B256::ZERO, ..event })),
        "signed for another",
    );
    fails(
        changed(&told.events, |event: JobStarted| Some(JobStarted { algorithm: B256::repeat_byte(9), ..event })),
        "signed for another",
    );
    // Whoever emits the same is not the datatoken.
    let forged = told.events.iter().map(|(at, log)| {
        let address = if log.address == token { Address::repeat_byte(0xee) } else { log.address };
        (*at, Log { address, ..log.clone() })
    });
    fails(forged.collect(), "the order by which");
}

#[test]
fn a_job_without_an_order_says_so() {
    let mut told = Told::new();
    let (asset, ..) = told.sold();
    let grant = told.send(OWNER, CONSENT, &IConsent::grantCall { asset, terms: terms(BUYER) });
    let job = told.job(grant);
    let audit = audited(job, &told.events);
    assert!(audit.holds(), "{:?}", audit.steps);
    assert!(said(&audit, "order").1.contains("without an order"));
    assert!(audit.steps.iter().all(|step| step.name != "source"), "nobody has published a source");
}

#[test]
fn what_came_of_a_check_is_told_where_it_is_shown_and_is_else_not_taken_for_nothing() {
    let mut told = Told::new();
    let (asset, ..) = told.sold();
    let grant = told.send(OWNER, CONSENT, &IConsent::grantCall { asset, terms: terms(BUYER) });
    let job = told.job(grant);
    let unchecked = audited(job, &told.events);
    assert!(said(&unchecked, "check").1.contains("offers no checks"), "{:?}", unchecked.steps);
    let offered = changed(&told.events, |mut event: Offered| {
        (event.offer.checks.drawn, event.offer.checks.chance) = (1, 1_000);
        Some(event)
    });
    let auditor = B256::repeat_byte(0xd);
    let at = Place { block: told.block + 1, time: told.bench.time(), transaction: B256::repeat_byte(0xe) };
    let with = |data: Vec<alloy_primitives::LogData>| {
        let more = data.into_iter().map(|data| (at, Log { address: JOBS, data }));
        let audit = audited(job, &offered.iter().cloned().chain(more).collect::<Vec<_>>());
        let (holds, found) = said(&audit, "check");
        (holds, found.to_owned())
    };
    let drawn = IJobs::JobDrawn { job, auditors: vec![auditor], ..IJobs::JobDrawn::default() }.encode_log_data();
    let spared = IJobs::JobSpared { job }.encode_log_data();
    let found_false = IJobs::JobChecked { job, state: FALSE, ..IJobs::JobChecked::default() }.encode_log_data();
    let (holds, found) = with(vec![drawn.clone(), found_false.clone()]);
    assert!(!holds && found.contains(&format!("by {auditor}, who ran it again")), "{found}");
    // Whoever gives the evidence leaves out what he likes: that shows nothing.
    assert_eq!(
        with(vec![drawn]),
        (true, format!("{auditor} were drawn; what came of it is not shown by the evidence"))
    );
    let nothing = "a check is not shown by the evidence; 10 % of these jobs are checked".to_owned();
    assert_eq!(with(Vec::new()), (true, nothing));
    let (holds, found) = with(vec![found_false]);
    assert!(!holds && found.contains("auditors whom the evidence does not show"), "{found}");
    assert_eq!(with(vec![spared]), (true, format!("nobody was drawn to run it again: block {}", at.block)));
}

#[test]
fn the_source_of_a_program_is_shown_as_it_was_published_before_the_job_and_compared() {
    let mut told = Told::new();
    let (.., grant) = told.sold();
    let register = IConsent::registerCall {
        salt: PROGRAM,
        object: PROGRAM,
        sharing: B256::ZERO,
        needed: 0,
        keepers: vec![],
        ownerHalf: true,
    };
    told.send(FRIEND, CONSENT, &register);
    let publish = |source: u8| IJobs::publishProgramCall {
        algorithm: PROGRAM,
        source: B256::repeat_byte(source),
        url: "https://a.example/mean".into(),
    };
    told.send(FRIEND, JOBS, &publish(0));
    told.send(FRIEND, JOBS, &publish(5));
    let job = told.job(grant);
    told.send(FRIEND, JOBS, &publish(6));
    let mut audit = audited(job, &told.events);
    assert!(audit.holds(), "{:?}", audit.steps);
    let (source, later) = (B256::repeat_byte(5), B256::repeat_byte(6));
    let (_, found) = said(&audit, "source");
    assert!(found.contains(&source.to_string()) && found.contains("https://a.example/mean"), "{found}");
    assert!(found.contains(&FRIEND.to_string()) && !found.contains(&later.to_string()), "{found}");
    audit.compare_source(source);
    assert!(audit.holds() && said(&audit, "source files").0);
    audit.compare_source(later);
    assert!(!audit.holds());
}

#[test]
fn a_source_that_its_publisher_has_withdrawn_is_said_to_be_so() {
    let mut told = Told::new();
    let (data, _, grant) = told.sold();
    let register = IConsent::registerCall {
        salt: PROGRAM,
        object: PROGRAM,
        sharing: B256::ZERO,
        needed: 0,
        keepers: vec![],
        ownerHalf: true,
    };
    let program = told.send(FRIEND, CONSENT, &register);
    let source = B256::repeat_byte(5);
    told.send(FRIEND, JOBS, &IJobs::publishProgramCall { algorithm: PROGRAM, source, url: String::new() });
    let before = told.job(grant);
    told.send(FRIEND, CONSENT, &IConsent::eraseCall { asset: program });
    let withdrawn = told.block;
    let after = told.job(grant);
    told.send(OWNER, CONSENT, &IConsent::eraseCall { asset: data });
    for (job, when) in [(before, "after the job began"), (after, "before the job began")] {
        let mut audit = audited(job, &told.events);
        let want = format!("(withdrawn in block {withdrawn}, {when})");
        assert!(audit.holds() && said(&audit, "source").1.ends_with(&want), "{:?}", audit.steps);
        audit.compare_source(source);
        assert!(said(&audit, "source files").1.ends_with(&want), "{:?}", audit.steps);
        let want = format!("(withdrawn in block {}, after the job began)", told.block);
        assert!(said(&audit, "data").1.ends_with(&want), "{:?}", audit.steps);
    }
}

/// What a node answered about a transaction, and its network's key.
fn recorded() -> (Proven, Bytes) {
    let recorded: serde_json::Value =
        serde_json::from_str(include_str!("../../../../light/src/recorded.json")).unwrap();
    let receipt = &recorded["receipt"];
    let proven = Proven {
        transaction: serde_json::from_value(receipt["transaction"].clone()).unwrap(),
        proof: serde_json::from_value(receipt["reply"].clone()).unwrap(),
        certificate: serde_json::from_value(recorded["certificate"].clone()).unwrap(),
    };
    (proven, serde_json::from_value(recorded["networkKey"].clone()).unwrap())
}

#[test]
fn what_is_said_beside_a_proof_has_to_be_so() {
    let (proven, key) = recorded();
    proven.verify(&key).unwrap();
    let mut other = proven.clone();
    other.certificate.network_key = Bytes::from(vec![5; 96]);
    assert!(other.verify(&key).unwrap_err().contains("another network key"));
    let mut other = proven;
    other.proof.block_number += U256::ONE;
    assert!(other.verify(&key).unwrap_err().contains("its header is of block"));
}

#[test]
fn a_transaction_that_is_there_twice_is_refused() {
    let (proven, key) = recorded();
    let blocks = |count: usize| {
        let mut audit = audited(B256::ZERO, &[]);
        audit.network_key = key.clone();
        audit.evidence.transactions = vec![proven.clone(); count];
        assert!(audit.blocks().is_none(), "nothing says which chain it is of");
        assert_eq!(audit.evidence.genesis_hash(), Some(proven.certificate.genesis_hash));
        audit.steps.pop().unwrap().found
    };
    assert!(!blocks(1).contains("twice"));
    assert!(blocks(2).contains(&format!("transaction {} is there twice", proven.transaction)));
}

#[test]
fn the_chain_of_an_audit_is_the_one_that_a_transaction_of_it_was_signed_for() {
    // The example of EIP-155, which is for chain 1.
    let signed = hex!(
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    );
    let signed = Bytes::from(signed.to_vec());
    let mut audit = audited(B256::ZERO, &[]);
    audit.evidence.transactions = vec![Proven { transaction: keccak256(&signed), ..recorded().0 }];
    audit.evidence.signed = signed;
    audit.evidence.chain_id = 1;
    assert_eq!(audit.chain(), Ok(()));
    audit.evidence.chain_id = CHAIN;
    assert!(audit.chain().unwrap_err().contains("not signed for chain 31337"));
    audit.evidence.chain_id = 1;
    audit.evidence.transactions[0].transaction = B256::ZERO;
    assert!(audit.chain().unwrap_err().contains("none of the transactions"));
}

use super::{
    Jobs,
    abi::{BROKEN, EXPIRED, FAILED, FINISHED, IJobs::*, JOBS, LIMITED, RUNNING, STOPPED, SUCCEEDED, WITHHELD},
    receipt_digest,
};
use crate::{
    abi::{
        ADDRESS, COMPUTE, CONSENT,
        IConsent::{
            ConsentEnded, ConsentNotGranted, ConsentNotJobs, ConsentOtherAlgorithm, ConsentRevoked, ConsentUsedUp,
            Terms, grantCall, grantOfCall, registerCall, revokeCall, useGrantForCall, useOfCall,
        },
        READ,
    },
    market::tests::tokens::{FEE, ITestToken, PLAIN, REENTRANT, TestToken},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolEvent as _};
use ed25519_dalek::{Signer as _, SigningKey};
use proptest::{prelude::*, sample::Index};
use stoa_contract::{
    Natives,
    bench::{Bench, Failure, Sent, assert_handles},
    interfaces::IERC20,
};

const OWNER: Address = Address::repeat_byte(0xa1);
const BUYER: Address = Address::repeat_byte(0xb0);
const OTHER: Address = Address::repeat_byte(0xb1);
/// Who is paid, who is not the owner.
const PURSE: Address = Address::repeat_byte(0xc0);
const CHAIN: u64 = 31337;
const DAY: u32 = 24 * 3600;

fn word(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

fn node() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn terms(who: Address) -> Terms {
    Terms {
        kind: ADDRESS,
        who,
        credential: B256::ZERO,
        purpose: "https://w3id.org/dpv#ScientificResearch".into(),
        uses: COMPUTE,
        algorithm: B256::ZERO,
        until: 0,
        limit: 0,
        half: B256::ZERO,
    }
}

fn offered(token: Address) -> Offer {
    Offer {
        node: node().verifying_key().to_bytes().into(),
        data: word(1),
        rules: word(2),
        token,
        payTo: PURSE,
        base: U256::from(100),
        price: U256::from(3),
        fuel: 50_000_000,
        time: DAY,
    }
}

fn bench() -> Bench {
    let token = |calls_back, keeps| TestToken { decimals: 18, keeps, calls_back };
    let natives = crate::natives(Natives::stoa())
        .with(PLAIN, token(false, false))
        .with(FEE, token(false, true))
        .with(REENTRANT, token(true, false));
    let mut bench = Bench::new(natives);
    for token in [PLAIN, FEE, REENTRANT] {
        for account in [BUYER, OTHER] {
            let mint = ITestToken::mintCall { account, value: U256::from(1_000_000) };
            bench.send(account, token, &mint).unwrap();
            let approve = IERC20::approveCall { spender: JOBS, value: U256::MAX };
            bench.send(account, token, &approve).unwrap();
        }
    }
    bench
}

fn send<C: SolCall>(bench: &mut Bench, from: Address, call: C) -> Result<Sent<C::Return>, Failure> {
    bench.send(from, JOBS, &call)
}

fn balance(bench: &mut Bench, token: Address, account: Address) -> u64 {
    bench.view(token, &IERC20::balanceOfCall { account }).unwrap().to()
}

/// An asset that the owner offers for this token, and a grant for the buyer.
fn asset(bench: &mut Bench, token: Address, terms: Terms) -> (B256, B256) {
    let register = registerCall {
        salt: B256::from(U256::from(bench.time())),
        object: word(4),
        sharing: B256::ZERO,
        needed: 0,
        keepers: vec![],
        ownerHalf: true,
    };
    let asset = bench.send(OWNER, CONSENT, &register).unwrap().value;
    send(bench, OWNER, offerCall { asset, offer: offered(token) }).unwrap();
    let grant = bench.send(OWNER, CONSENT, &grantCall { asset, terms }).unwrap().value;
    (asset, grant)
}

fn start(grant: B256) -> startCall {
    startCall { grant, algorithm: word(8), client: word(9), fuel: 10_000_000, most: U256::from(130) }
}

fn receipt(fuel: u64, ended: u8) -> Receipt {
    let (data, params, runtime, output) = (word(1), word(11), word(12), word(13));
    Receipt { data, params, runtime, output, rounds: 2, fuel, ended }
}

fn finish(job: B256, receipt: Receipt) -> finishCall {
    let signature = node().sign(receipt_digest(CHAIN, job, &receipt).as_slice()).to_bytes().into();
    finishCall { job, receipt, signature }
}

#[test]
fn every_function_has_a_handler() {
    assert_handles::<IJobsCalls>(Jobs);
}

#[test]
fn a_job_is_paid_by_use_and_the_rest_is_given_back_to_the_last_unit() {
    let mut bench = bench();
    let (asset, grant) = asset(&mut bench, PLAIN, terms(BUYER));
    assert_eq!(bench.view(JOBS, &costCall { asset, fuel: 10_000_000 }), Ok(U256::from(130)));
    let sent = send(&mut bench, BUYER, start(grant)).unwrap();
    let job = sent.value;
    let started = sent.logs.iter().find_map(|log| JobStarted::decode_log(log).ok()).unwrap();
    assert_eq!((started.job, started.asset, started.buyer, started.fuel), (job, asset, BUYER, 10_000_000));
    let is = bench.view(JOBS, &jobOfCall { job }).unwrap();
    assert_eq!((is.state, is.locked, is.client, &is.offer), (RUNNING, U256::from(130), word(9), &offered(PLAIN)));
    assert_eq!(is.until, bench.time() + u64::from(DAY));
    // It is a use of the grant, on record.
    let used = bench.view(CONSENT, &useOfCall { id: is.used }).unwrap();
    assert_eq!((used.grant, used.user, used.kind, used.algorithm), (grant, BUYER, COMPUTE, word(8)));
    assert_eq!((balance(&mut bench, PLAIN, BUYER), balance(&mut bench, PLAIN, JOBS)), (999_870, 130));

    // Two and a bit million steps are three.
    let call = finish(job, receipt(2_000_001, SUCCEEDED));
    let digest = receiptDigestCall { job, receipt: call.receipt.clone() };
    assert_eq!(bench.view(JOBS, &digest), Ok(receipt_digest(CHAIN, job, &call.receipt)));
    let sent = send(&mut bench, OTHER, call.clone()).unwrap();
    let finished = sent.logs.iter().find_map(|log| JobFinished::decode_log(log).ok()).unwrap();
    assert_eq!((finished.paid, finished.refunded), (U256::from(109), U256::from(21)));
    let balances = [PURSE, BUYER, JOBS].map(|account| balance(&mut bench, PLAIN, account));
    assert_eq!(balances, [109, 999_891, 0]);
    let kept = bench.view(JOBS, &receiptOfCall { job }).unwrap();
    assert_eq!((kept.receipt, kept.number), (call.receipt.clone(), 1));
    // Once.
    let over = Failure::revert(JobIsOver { job, state: FINISHED });
    assert_eq!(send(&mut bench, OTHER, call).map(drop), Err(over.clone()));
    bench.pass(10 * u64::from(DAY));
    assert_eq!(send(&mut bench, BUYER, expireCall { job }).map(drop), Err(over.clone()));
    assert_eq!(send(&mut bench, BUYER, stopCall { job }).map(drop), Err(over));
    assert_eq!(bench.view(JOBS, &jobsOfCall { asset, from: U256::ZERO, most: U256::MAX }), Ok(vec![job]));
}

#[test]
fn who_pays_what_in_which_failure() {
    let mut bench = bench();
    let (_, grant) = asset(&mut bench, PLAIN, terms(BUYER));
    let table = [(SUCCEEDED, 103), (FAILED, 103), (LIMITED, 103), (STOPPED, 103), (WITHHELD, 103), (BROKEN, 0)];
    for (ended, paid) in table {
        let job = send(&mut bench, BUYER, start(grant)).unwrap().value;
        let before = [PURSE, BUYER].map(|account| balance(&mut bench, PLAIN, account));
        send(&mut bench, OTHER, finish(job, receipt(1, ended))).unwrap();
        let after = [PURSE, BUYER].map(|account| balance(&mut bench, PLAIN, account));
        assert_eq!([after[0] - before[0], after[1] - before[1]], [paid, 130 - paid], "{ended}");
    }
    // The node took the order and vanished.
    let job = send(&mut bench, BUYER, start(grant)).unwrap().value;
    let until = bench.time() + u64::from(DAY);
    let early = Failure::revert(JobNotOver { job, until });
    assert_eq!(send(&mut bench, OTHER, expireCall { job }).map(drop), Err(early.clone()));
    bench.pass(u64::from(DAY));
    assert_eq!(send(&mut bench, OTHER, expireCall { job }).map(drop), Err(early));
    bench.pass(1);
    let before = balance(&mut bench, PLAIN, BUYER);
    send(&mut bench, OTHER, expireCall { job }).unwrap();
    assert_eq!((balance(&mut bench, PLAIN, BUYER) - before, balance(&mut bench, PLAIN, JOBS)), (130, 0));
    let over = Failure::revert(JobIsOver { job, state: EXPIRED });
    assert_eq!(send(&mut bench, OTHER, finish(job, receipt(1, SUCCEEDED))).map(drop), Err(over));
    // Late, but before anybody has asked for it back, a receipt still counts.
    let job = send(&mut bench, BUYER, start(grant)).unwrap().value;
    bench.pass(2 * u64::from(DAY));
    send(&mut bench, OTHER, finish(job, receipt(1, SUCCEEDED))).unwrap();
}

#[test]
fn only_the_node_that_was_offered_signs_and_only_for_what_was_ordered() {
    let mut bench = bench();
    let (asset, grant) = asset(&mut bench, PLAIN, terms(BUYER));
    let job = send(&mut bench, BUYER, start(grant)).unwrap().value;
    let (good, key) = (receipt(5, SUCCEEDED), offered(PLAIN).node);
    let forged = |receipt: &Receipt, by: &SigningKey, of: B256| {
        let signature = by.sign(receipt_digest(CHAIN, of, receipt).as_slice()).to_bytes().into();
        finishCall { job, receipt: receipt.clone(), signature }
    };
    let refused = Failure::revert(JobInvalidSignature { job, node: key });
    for call in [
        forged(&good, &SigningKey::from_bytes(&[8; 32]), job),
        forged(&good, &node(), word(5)),
        finishCall { signature: Bytes::new(), ..forged(&good, &node(), job) },
        finishCall { receipt: receipt(6, SUCCEEDED), ..forged(&good, &node(), job) },
    ] {
        assert_eq!(send(&mut bench, OWNER, call).map(drop), Err(refused.clone()));
    }
    let other = Receipt { data: word(3), ..good.clone() };
    let refused = Failure::revert(JobOtherData { job, data: word(3) });
    assert_eq!(send(&mut bench, OWNER, finish(job, other)).map(drop), Err(refused));
    let refused = Failure::revert(JobsTooMuchFuel { fuel: 10_000_001, most: 10_000_000 });
    assert_eq!(send(&mut bench, OWNER, finish(job, receipt(10_000_001, SUCCEEDED))).map(drop), Err(refused));
    assert!(send(&mut bench, OWNER, finish(job, receipt(1, 6))).is_err());
    // What the owner offers later is nothing to a job that has begun.
    let later = Offer { node: word(0x33), price: U256::from(1000), payTo: OWNER, data: word(6), ..offered(PLAIN) };
    send(&mut bench, OWNER, offerCall { asset, offer: later }).unwrap();
    send(&mut bench, OWNER, finish(job, good)).unwrap();
    assert_eq!(balance(&mut bench, PLAIN, PURSE), 103);
    let unknown = Failure::revert(JobUnknown { job: word(5) });
    assert_eq!(send(&mut bench, OWNER, finish(word(5), receipt(1, 0))).map(drop), Err(unknown));
}

#[test]
fn a_price_that_has_risen_since_it_was_asked_begins_nothing() {
    let mut bench = bench();
    let (asset, grant) = asset(&mut bench, PLAIN, terms(BUYER));
    let dearer = Offer { price: U256::from(4), ..offered(PLAIN) };
    send(&mut bench, OWNER, offerCall { asset, offer: dearer }).unwrap();
    let refused = Failure::revert(JobsTooDear { cost: U256::from(140), most: U256::from(130) });
    assert_eq!(send(&mut bench, BUYER, start(grant)).map(drop), Err(refused));
    let refused = Failure::revert(JobsTooMuchFuel { fuel: 50_000_001, most: 50_000_000 });
    let much = startCall { fuel: 50_000_001, ..start(grant) };
    assert_eq!(send(&mut bench, BUYER, much).map(drop), Err(refused));
    // Withdrawn: nothing begins, and a use of the grant was not counted.
    let nothing = Offer { node: B256::ZERO, ..offered(PLAIN) };
    send(&mut bench, OWNER, offerCall { asset, offer: nothing }).unwrap();
    assert_eq!(send(&mut bench, BUYER, start(grant)).map(drop), Err(Failure::revert(JobsNotOffered { asset })));
    assert_eq!(bench.view(CONSENT, &grantOfCall { grant }).unwrap().used, 0);
}

#[test]
fn an_offer_is_its_owners_and_can_be() {
    let mut bench = bench();
    let (asset, _) = asset(&mut bench, PLAIN, terms(BUYER));
    let refused = Failure::revert(JobsNotOwner { asset, caller: BUYER });
    assert_eq!(send(&mut bench, BUYER, offerCall { asset, offer: offered(PLAIN) }).map(drop), Err(refused));
    let good = offered(PLAIN);
    for wrong in [
        Offer { token: Address::ZERO, ..good.clone() },
        Offer { payTo: Address::ZERO, ..good.clone() },
        Offer { fuel: 0, ..good.clone() },
        Offer { time: 0, ..good.clone() },
        Offer { time: 8 * DAY, ..good.clone() },
        Offer { price: U256::MAX, ..good.clone() },
        Offer { base: U256::MAX, price: U256::from(1), ..good.clone() },
    ] {
        assert!(send(&mut bench, OWNER, offerCall { asset, offer: wrong }).is_err());
    }
    assert_eq!(bench.view(JOBS, &offerOfCall { asset }), Ok(good));
}

#[test]
fn consent_decides_who_may_begin_what_and_a_revocation_in_the_same_block_counts() {
    let mut bench = bench();
    let (_, grant) = asset(&mut bench, PLAIN, Terms { limit: 1, algorithm: word(8), ..terms(BUYER) });
    let refused = Failure::revert(ConsentNotGranted { grant, user: OTHER });
    assert_eq!(send(&mut bench, OTHER, start(grant)).map(drop), Err(refused));
    let refused = Failure::revert(ConsentOtherAlgorithm { grant, algorithm: word(7) });
    let other = startCall { algorithm: word(7), ..start(grant) };
    assert_eq!(send(&mut bench, BUYER, other).map(drop), Err(refused));
    send(&mut bench, BUYER, start(grant)).unwrap();
    let refused = Failure::revert(ConsentUsedUp { grant, limit: 1 });
    assert_eq!(send(&mut bench, BUYER, start(grant)).map(drop), Err(refused));

    bench.pass(1);
    let (_, reading) = asset(&mut bench, PLAIN, Terms { uses: READ, ..terms(BUYER) });
    assert!(send(&mut bench, BUYER, start(reading)).is_err());
    bench.pass(1);
    let until = bench.time() + 5;
    let (_, short) = asset(&mut bench, PLAIN, Terms { until, ..terms(BUYER) });
    bench.pass(5);
    let refused = Failure::revert(ConsentEnded { grant: short, until });
    assert_eq!(send(&mut bench, BUYER, start(short)).map(drop), Err(refused));
    let (_, grant) = asset(&mut bench, PLAIN, terms(BUYER));
    bench.send(OWNER, CONSENT, &revokeCall { grant }).unwrap();
    // The bench's block has not moved.
    let refused = Failure::revert(ConsentRevoked { grant, number: 4 });
    assert_eq!(send(&mut bench, BUYER, start(grant)).map(drop), Err(refused));
    // Nobody but the contract of jobs uses a grant in another's name.
    let call = useGrantForCall { user: BUYER, grant: short, algorithm: word(8) };
    let refused = Failure::revert(ConsentNotJobs { caller: OTHER });
    assert_eq!(bench.send(OTHER, CONSENT, &call).map(drop), Err(refused));
}

#[test]
fn tokens_that_keep_a_part_or_call_back_gain_nothing() {
    let mut bench = bench();
    let (_, grant) = asset(&mut bench, FEE, terms(BUYER));
    assert!(send(&mut bench, BUYER, start(grant)).is_err(), "less arrives than is held");
    bench.pass(1);
    let (_, grant) = asset(&mut bench, REENTRANT, terms(BUYER));
    let first = send(&mut bench, BUYER, start(grant)).unwrap().value;
    let second = send(&mut bench, BUYER, start(grant)).unwrap().value;
    bench.pass(2 * u64::from(DAY));
    // While the first is paid back, the token asks for the second, and for the first again.
    for job in [first, second] {
        let data = expireCall { job }.abi_encode().into();
        bench.send(OTHER, REENTRANT, &ITestToken::armCall { target: JOBS, data }).unwrap();
        let _ = send(&mut bench, BUYER, expireCall { job: first });
        assert_eq!(bench.view(REENTRANT, &ITestToken::callsCall {}), Ok(U256::ZERO));
    }
    assert_eq!(balance(&mut bench, REENTRANT, JOBS), 130);
}

#[derive(Clone, Debug)]
enum Step {
    Start { other: bool, fuel: u64 },
    Finish { which: Index, fuel: u64, ended: u8 },
    Stop(Index),
    Expire(Index),
    Offer { base: u64, price: u64 },
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), 1..60_000_000_u64).prop_map(|(other, fuel)| Step::Start { other, fuel }),
        4 => (any::<Index>(), 0..60_000_000_u64, 0..7_u8)
            .prop_map(|(which, fuel, ended)| Step::Finish { which, fuel, ended }),
        1 => any::<Index>().prop_map(Step::Stop),
        2 => any::<Index>().prop_map(Step::Expire),
        1 => (0..1000_u64, 0..1000_u64).prop_map(|(base, price)| Step::Offer { base, price }),
        1 => (0..2 * u64::from(DAY)).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_what_is_held_is_what_running_jobs_hold(steps in proptest::collection::vec(step(), 1..40)) {
        let mut bench = bench();
        let (asset, mine) = asset(&mut bench, PLAIN, terms(BUYER));
        let theirs = bench.send(OWNER, CONSENT, &grantCall { asset, terms: terms(OTHER) }).unwrap().value;
        let mut jobs = Vec::new();
        for step in steps {
            match step {
                Step::Start { other, fuel } => {
                    let (who, grant) = if other { (OTHER, theirs) } else { (BUYER, mine) };
                    let call = startCall { fuel, most: U256::MAX, ..start(grant) };
                    jobs.extend(send(&mut bench, who, call).map(|sent| sent.value));
                }
                Step::Finish { which, fuel, ended } if !jobs.is_empty() => {
                    let job = *which.get(&jobs);
                    let _ = send(&mut bench, OTHER, finish(job, receipt(fuel, ended)));
                }
                Step::Stop(which) if !jobs.is_empty() => drop(send(&mut bench, BUYER, stopCall { job: *which.get(&jobs) })),
                Step::Expire(which) if !jobs.is_empty() => {
                    let _ = send(&mut bench, OTHER, expireCall { job: *which.get(&jobs) });
                }
                Step::Offer { base, price } => {
                    let offer = Offer { base: U256::from(base), price: U256::from(price), ..offered(PLAIN) };
                    send(&mut bench, OWNER, offerCall { asset, offer }).unwrap();
                }
                Step::Pass(seconds) => bench.pass(seconds),
                _ => {}
            }
            let mut held = 0;
            for job in &jobs {
                let is = bench.view(JOBS, &jobOfCall { job: *job }).unwrap();
                prop_assert_eq!(is.state == RUNNING || is.locked.is_zero(), true);
                held += is.locked.to::<u64>();
            }
            prop_assert_eq!(held, balance(&mut bench, PLAIN, JOBS));
            let all = [BUYER, OTHER, PURSE, JOBS].map(|account| balance(&mut bench, PLAIN, account));
            prop_assert_eq!(all.iter().sum::<u64>(), 2_000_000);
        }
    }
}

#[test]
fn the_gas_of_a_job() {
    let mut bench = bench();
    let (_, grant) = asset(&mut bench, PLAIN, terms(BUYER));
    let started = send(&mut bench, BUYER, start(grant)).unwrap();
    let finished = send(&mut bench, OTHER, finish(started.value, receipt(2_000_001, SUCCEEDED))).unwrap();
    let thousands = [started.gas, finished.gas].map(|gas| gas.div_ceil(1000));
    assert_eq!(thousands, [400, 183]);
}

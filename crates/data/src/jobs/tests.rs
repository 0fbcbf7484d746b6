use super::{
    Jobs,
    abi::{
        BROKEN, CONFIRMED, EXPIRED, FAILED, FALSE, FINISHED, IJobs::*, JOBS, LIMITED, PROCESS, REFUTED, REPEATABLE,
        RUNNING, SPARED, STOPPED, SUCCEEDED, UNDECIDED, WAITING, WASM, WITHHELD,
    },
    commitment_digest, commitment_of, job_id, receipt_digest,
};
use crate::{
    abi::{
        COMPUTE, CONSENT, CREDENTIAL,
        IConsent::{
            ConsentAssetUnknown, ConsentEnded, ConsentErased, ConsentNotGranted, ConsentNotJobs, ConsentOtherAlgorithm,
            ConsentRevoked, ConsentUsedUp, Terms, eraseCall, grantCall, grantOfCall, registerCall, revokeCall,
            useGrantForCall, useOfCall,
        },
        READ,
    },
    contract::{self, asset_id},
    market::{
        abi::{FACTORY, FIXED_RATE, IDatatoken, IFactory, IFixedRate},
        order_id,
        tests::{
            self as shared, Made,
            tokens::{BURNS, DENIES, FEE, ITestToken, LIES, PLAIN, REENTRANT, REVERTS, TestToken},
            whole,
        },
    },
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_sol_types::{SolCall, SolEvent as _};
use ed25519_dalek::{Signer as _, SigningKey};
use proptest::{prelude::*, sample::Index};
use stoa_contract::{
    MAX_NATIVE_DEPTH, Natives,
    bench::{Bench, DEEP, Deep, Failure, Sent, assert_handles},
    interfaces::IERC20,
    nodes::{self, INodes},
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

/// What lets somebody have any program run.
pub(crate) fn terms(who: Address) -> Terms {
    Terms { uses: COMPUTE, half: B256::ZERO, ..contract::tests::terms(who) }
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
        runtimes: WASM,
        checks: Checks::default(),
    }
}

fn bench() -> Bench {
    let token = |calls_back, keeps| TestToken { decimals: 18, keeps, calls_back };
    let natives = crate::natives(Natives::stoa())
        .with(PLAIN, token(false, false))
        .with(FEE, token(false, true))
        .with(REENTRANT, token(true, false))
        .with(DEEP, Deep);
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
    asset_with(bench, offered(token), terms)
}

/// One that he offers so.
fn asset_with(bench: &mut Bench, offer: Offer, terms: Terms) -> (B256, B256) {
    let register = registerCall {
        salt: B256::from(U256::from(bench.time())),
        object: word(4),
        sharing: B256::ZERO,
        needed: 0,
        keepers: vec![],
        ownerHalf: true,
    };
    let asset = bench.send(OWNER, CONSENT, &register).unwrap().value;
    send(bench, OWNER, offerCall { asset, offer }).unwrap();
    let grant = bench.send(OWNER, CONSENT, &grantCall { asset, terms }).unwrap().value;
    (asset, grant)
}

/// What begins a job on the first offer of an asset.
fn start(grant: B256) -> startCall {
    let (algorithm, client, most) = (word(8), word(9), U256::from(130));
    startCall { grant, algorithm, client, runtime: WASM, fuel: 10_000_000, most, offer: 1 }
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
fn who_takes_back_what_he_allowed_before_anything_is_done_gets_nothing_and_the_buyer_everything_back() {
    let mut bench = bench();
    for erases in [false, true] {
        bench.pass(1);
        let (asset, grant) = asset(&mut bench, PLAIN, terms(BUYER));
        let [undone, begun] = [(); 2].map(|()| send(&mut bench, BUYER, start(grant)).unwrap().value);
        let ends = match erases {
            true => bench.send(OWNER, CONSENT, &eraseCall { asset }).map(drop),
            false => bench.send(OWNER, CONSENT, &revokeCall { grant }).map(drop),
        };
        ends.unwrap();
        // As the node says of a job of which it had begun no round, and of one of which it had.
        let nothing = Receipt { rounds: 0, ..receipt(0, BROKEN) };
        for (job, receipt, paid) in [(undone, nothing, 0), (begun, receipt(1, STOPPED), 103)] {
            let before = [PURSE, BUYER].map(|account| balance(&mut bench, PLAIN, account));
            send(&mut bench, OTHER, finish(job, receipt)).unwrap();
            let after = [PURSE, BUYER].map(|account| balance(&mut bench, PLAIN, account));
            assert_eq!([after[0] - before[0], after[1] - before[1]], [paid, 130 - paid], "{erases}");
        }
        assert_eq!(balance(&mut bench, PLAIN, JOBS), 0);
    }
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
    assert_eq!(send(&mut bench, BUYER, startCall { offer: 2, ..start(grant) }).map(drop), Err(refused));
    let refused = Failure::revert(JobsTooMuchFuel { fuel: 50_000_001, most: 50_000_000 });
    let much = startCall { fuel: 50_000_001, offer: 2, ..start(grant) };
    assert_eq!(send(&mut bench, BUYER, much).map(drop), Err(refused));
    // Withdrawn: nothing begins, and a use of the grant was not counted.
    let nothing = Offer { node: B256::ZERO, ..offered(PLAIN) };
    send(&mut bench, OWNER, offerCall { asset, offer: nothing }).unwrap();
    let withdrawn = startCall { offer: 3, ..start(grant) };
    assert_eq!(send(&mut bench, BUYER, withdrawn).map(drop), Err(Failure::revert(JobsNotOffered { asset })));
    assert_eq!(bench.view(CONSENT, &grantOfCall { grant }).unwrap().used, 0);
}

#[test]
fn what_is_offered_anew_after_it_was_looked_at_begins_nothing() {
    let mut bench = bench();
    let unknown = bench.view(JOBS, &presentOfferOfCall { asset: word(5) }).unwrap();
    assert_eq!((unknown.offer, unknown.number), (Offer::default(), 0));
    let (asset, grant) = asset(&mut bench, PLAIN, terms(BUYER));
    let seen = bench.view(JOBS, &presentOfferOfCall { asset }).unwrap();
    assert_eq!((seen.offer, seen.number), (offered(PLAIN), 1));
    // Nothing of it costs more: it computes elsewhere, by other rules, on other data, and nobody checks it.
    let other = Offer { node: word(0x33), rules: word(0x34), data: word(0x35), ..offered(PLAIN) };
    send(&mut bench, OWNER, offerCall { asset, offer: other }).unwrap();
    for offer in [0, 1, 3] {
        let refused = Failure::revert(JobsOtherOffer { asset, offer, present: 2 });
        assert_eq!(send(&mut bench, BUYER, startCall { offer, ..start(grant) }).map(drop), Err(refused));
    }
    assert_eq!(bench.view(CONSENT, &grantOfCall { grant }).unwrap().used, 0);
    let sent = send(&mut bench, BUYER, startCall { offer: 2, ..start(grant) }).unwrap();
    let started = sent.logs.iter().find_map(|log| JobStarted::decode_log(log).ok()).unwrap();
    assert_eq!(started.offer, 2);
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

/// From now on this account is not paid in the token that refuses.
fn refuse(bench: &mut Bench, account: Address, how: u8) {
    bench.send(OTHER, REENTRANT, &ITestToken::refuseCall { account, how }).unwrap();
}

fn credit(bench: &mut Bench, account: Address) -> u64 {
    bench.view(JOBS, &creditOfCall { account, token: REENTRANT }).unwrap().to()
}

fn withdraw(to: Address) -> withdrawCall {
    withdrawCall { token: REENTRANT, to }
}

#[test]
fn whom_a_token_does_not_pay_holds_up_nobody_and_has_a_credit_that_he_withdraws() {
    for how in [REVERTS, DENIES, LIES, BURNS] {
        for (refused, paid, credited) in [(BUYER, PURSE, 27), (PURSE, BUYER, 103)] {
            let mut bench = bench();
            let (_, grant) = asset(&mut bench, REENTRANT, terms(BUYER));
            let job = send(&mut bench, BUYER, start(grant)).unwrap().value;
            let before = [refused, paid].map(|account| balance(&mut bench, REENTRANT, account));
            refuse(&mut bench, refused, how);
            let sent = send(&mut bench, OTHER, finish(job, receipt(1, SUCCEEDED))).unwrap();
            let finished = sent.logs.iter().find_map(|log| JobFinished::decode_log(log).ok()).unwrap();
            assert_eq!((finished.paid, finished.refunded), (U256::from(103), U256::from(27)));
            let kept: Vec<_> = sent.logs.iter().filter_map(|log| Credited::decode_log(log).ok()).collect();
            assert_eq!(kept.len(), 1);
            assert_eq!((kept[0].account, kept[0].token, kept[0].amount), (refused, REENTRANT, U256::from(credited)));
            // Whoever burns gas burns no more than is for him.
            assert!(sent.gas < 650_000, "{how}: {}", sent.gas);
            let after = [refused, paid].map(|account| balance(&mut bench, REENTRANT, account));
            assert_eq!([after[0] - before[0], after[1] - before[1]], [0, 130 - credited], "{how}");
            let held = [credit(&mut bench, refused), balance(&mut bench, REENTRANT, JOBS)];
            assert_eq!(held, [credited; 2], "{how}");
            // It is his alone, and goes to whom the token pays.
            let nothing = Failure::revert(JobsNoCredit { account: OTHER, token: REENTRANT });
            assert_eq!(send(&mut bench, OTHER, withdraw(OTHER)).map(drop), Err(nothing));
            assert!(send(&mut bench, refused, withdraw(refused)).is_err(), "{how}");
            let elsewhere = Address::repeat_byte(0xe0);
            let sent = send(&mut bench, refused, withdraw(elsewhere)).unwrap();
            let left = sent.logs.iter().find_map(|log| Withdrawn::decode_log(log).ok()).unwrap();
            assert_eq!((sent.value, left.account, left.to), (U256::from(credited), refused, elsewhere));
            let held = [elsewhere, JOBS].map(|account| balance(&mut bench, REENTRANT, account));
            assert_eq!((held, credit(&mut bench, refused)), ([credited, 0], 0));
            let nothing = Failure::revert(JobsNoCredit { account: refused, token: REENTRANT });
            assert_eq!(send(&mut bench, refused, withdraw(elsewhere)).map(drop), Err(nothing));
        }
    }
}

#[test]
fn credits_of_several_jobs_add_up_and_a_job_without_a_receipt_ends_all_the_same() {
    let mut bench = bench();
    let (_, grant) = asset(&mut bench, REENTRANT, terms(BUYER));
    let jobs = [(); 2].map(|()| send(&mut bench, BUYER, start(grant)).unwrap().value);
    refuse(&mut bench, BUYER, REVERTS);
    bench.pass(u64::from(DAY) + 1);
    for job in jobs {
        send(&mut bench, OTHER, expireCall { job }).unwrap();
        assert_eq!(bench.view(JOBS, &jobOfCall { job }).unwrap().state, EXPIRED);
    }
    assert_eq!((credit(&mut bench, BUYER), balance(&mut bench, REENTRANT, JOBS)), (260, 260));
    // Served again.
    refuse(&mut bench, BUYER, 0);
    assert_eq!(send(&mut bench, BUYER, withdraw(BUYER)).unwrap().value, U256::from(260));
    assert_eq!(balance(&mut bench, REENTRANT, BUYER), 1_000_000);
}

#[test]
fn anybody_has_a_credit_paid_to_its_own_account_and_to_no_other() {
    let mut bench = bench();
    let (_, grant) = asset(&mut bench, REENTRANT, terms(BUYER));
    let job = send(&mut bench, BUYER, start(grant)).unwrap().value;
    refuse(&mut bench, BUYER, REVERTS);
    bench.pass(u64::from(DAY) + 1);
    send(&mut bench, OTHER, expireCall { job }).unwrap();
    let call = || withdrawForCall { token: REENTRANT, account: BUYER };
    assert!(send(&mut bench, OTHER, call()).is_err());
    assert_eq!((credit(&mut bench, BUYER), balance(&mut bench, REENTRANT, JOBS)), (130, 130));
    // Served again.
    refuse(&mut bench, BUYER, 0);
    let others = balance(&mut bench, REENTRANT, OTHER);
    let sent = send(&mut bench, OTHER, call()).unwrap();
    let left = sent.logs.iter().find_map(|log| Withdrawn::decode_log(log).ok()).unwrap();
    assert_eq!((sent.value, left.account, left.to), (U256::from(130), BUYER, BUYER));
    let held = [BUYER, OTHER, JOBS].map(|account| balance(&mut bench, REENTRANT, account));
    assert_eq!((held, credit(&mut bench, BUYER)), ([1_000_000, others, 0], 0));
    let nothing = Failure::revert(JobsNoCredit { account: BUYER, token: REENTRANT });
    assert_eq!(send(&mut bench, OTHER, call()).map(drop), Err(nothing));
}

#[test]
fn no_payee_of_a_check_keeps_the_others_from_their_money_or_the_bond_reserved() {
    let mut bench = bench();
    let (asset, grant) = checked_asset_in(&mut bench, REENTRANT, 10_000);
    let (job, drawn) = finished_and_drawn(&mut bench, grant);
    let payees = [operator(drawn[0]), BUYER];
    for (account, how) in payees.into_iter().zip([BURNS, REVERTS]) {
        refuse(&mut bench, account, how);
    }
    judged(&mut bench, job, &drawn, &[word(99); 3]);
    assert_eq!(state_of(&mut bench, job), (REFUTED, FALSE));
    assert_eq!(payees.map(|account| credit(&mut bench, account)), [7, 1103]);
    assert_eq!([1, 2].map(|at| balance(&mut bench, REENTRANT, operator(drawn[at]))), [7, 7]);
    let bonded = bench.view(JOBS, &bondOfCall { asset, token: REENTRANT }).unwrap();
    let (all, left) = (balance(&mut bench, REENTRANT, JOBS), 2000 - 1103 - 21);
    assert_eq!((bonded.bond, bonded.reserved, all), (U256::from(left), U256::ZERO, left + 7 + 1103));
    // What is left of it is its owner's, whom the token need not pay either.
    refuse(&mut bench, OWNER, DENIES);
    send(&mut bench, OWNER, unbondCall { asset, token: REENTRANT, amount: U256::from(left) }).unwrap();
    assert_eq!(credit(&mut bench, OWNER), left);
}

#[test]
fn whoever_brings_a_receipt_with_too_little_gas_brings_none() {
    let mut bench = bench();
    let (_, grant) = asset(&mut bench, REENTRANT, terms(BUYER));
    let job = send(&mut bench, BUYER, start(grant)).unwrap().value;
    let data: Bytes = finish(job, receipt(1, SUCCEEDED)).abi_encode().into();
    // What it takes is less, but a payment could take more.
    for gas_limit in (100_000..400_000).step_by(20_000) {
        let mut tx = bench.tx(OTHER, TxKind::Call(JOBS), U256::ZERO, data.clone());
        tx.gas_limit = gas_limit;
        assert!(!bench.transact(tx).is_success(), "{gas_limit}");
    }
    assert_eq!(bench.view(JOBS, &jobOfCall { job }).unwrap().state, RUNNING);
    assert!(bench.send_raw(OTHER, JOBS, U256::ZERO, data).unwrap().gas < 250_000);
    assert_eq!((credit(&mut bench, PURSE), credit(&mut bench, BUYER)), (0, 0));
}

#[test]
fn whoever_brings_a_receipt_from_too_deep_brings_none() {
    let mut bench = bench();
    let (_, grant) = asset(&mut bench, PLAIN, terms(BUYER));
    let job = send(&mut bench, BUYER, start(grant)).unwrap().value;
    let before = [PURSE, BUYER].map(|account| balance(&mut bench, PLAIN, account));
    let call = finish(job, receipt(1, SUCCEEDED));
    // This contract is one more frame, and its token may have half of all.
    let deepest = (1..MAX_NATIVE_DEPTH as u8)
        .rev()
        .find(|frames| bench.send_raw(OTHER, DEEP, U256::ZERO, Deep::via(*frames, JOBS, &call)).is_ok());
    assert_eq!(deepest, Some(MAX_NATIVE_DEPTH as u8 / 2 - 1));
    let after = [PURSE, BUYER].map(|account| balance(&mut bench, PLAIN, account));
    assert_eq!([after[0] - before[0], after[1] - before[1]], [103, 27]);
    for account in [PURSE, BUYER] {
        assert_eq!(bench.view(JOBS, &creditOfCall { account, token: PLAIN }), Ok(U256::ZERO));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Start { other: bool, fuel: u64 },
    Finish { which: Index, fuel: u64, ended: u8 },
    Stop(Index),
    Expire(Index),
    Offer { base: u64, price: u64, checked: bool },
    Bond(u64),
    Unbond(u64),
    Check { which: Index, verdicts: Vec<bool> },
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), 1..60_000_000_u64).prop_map(|(other, fuel)| Step::Start { other, fuel }),
        4 => (any::<Index>(), 0..60_000_000_u64, 0..7_u8)
            .prop_map(|(which, fuel, ended)| Step::Finish { which, fuel, ended }),
        1 => any::<Index>().prop_map(Step::Stop),
        2 => any::<Index>().prop_map(Step::Expire),
        1 => (0..1000_u64, 0..1000_u64, any::<bool>())
            .prop_map(|(base, price, checked)| Step::Offer { base, price, checked }),
        1 => (0..20_000_u64).prop_map(Step::Bond),
        1 => (0..20_000_u64).prop_map(Step::Unbond),
        2 => (any::<Index>(), proptest::collection::vec(any::<bool>(), 0..4))
            .prop_map(|(which, verdicts)| Step::Check { which, verdicts }),
        1 => (0..2 * u64::from(DAY)).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_what_is_held_is_what_running_jobs_and_bonds_hold(steps in proptest::collection::vec(step(), 1..40)) {
        let mut bench = bench();
        let (asset, mine) = checked_asset(&mut bench, 10_000);
        let mint = ITestToken::mintCall { account: OWNER, value: U256::from(1_000_000) };
        bench.send(OWNER, PLAIN, &mint).unwrap();
        let theirs = bench.send(OWNER, CONSENT, &grantCall { asset, terms: terms(OTHER) }).unwrap().value;
        let (mut jobs, mut offers) = (Vec::new(), 1);
        for step in steps {
            match step {
                Step::Start { other, fuel } => {
                    let (who, grant) = if other { (OTHER, theirs) } else { (BUYER, mine) };
                    let call = startCall { fuel, most: U256::MAX, offer: offers, ..start(grant) };
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
                Step::Offer { base, price, checked: is_checked } => {
                    let offer = if is_checked { checked(10_000) } else { offered(PLAIN) };
                    let offer = Offer { base: U256::from(base), price: U256::from(price), ..offer };
                    send(&mut bench, OWNER, offerCall { asset, offer }).unwrap();
                    offers += 1;
                }
                Step::Bond(amount) => {
                    let _ = send(&mut bench, OWNER, bondCall { asset, token: PLAIN, amount: U256::from(amount) });
                }
                Step::Unbond(amount) => {
                    let _ = send(&mut bench, OWNER, unbondCall { asset, token: PLAIN, amount: U256::from(amount) });
                }
                Step::Check { which, verdicts } if !jobs.is_empty() => {
                    let job = *which.get(&jobs);
                    to_the_draw(&mut bench);
                    let Ok(drawn) = bench.view(JOBS, &drawOfCall { job }) else { continue };
                    send(&mut bench, OTHER, drawCall { job }).unwrap();
                    let kept = bench.view(JOBS, &receiptOfCall { job }).unwrap().receipt;
                    let honest = receipt_digest(CHAIN, job, &kept);
                    let verdicts: Vec<_> = verdicts.iter().map(|is| if *is { honest } else { word(99) }).collect();
                    let drawn: Vec<_> =
                        drawn.iter().filter_map(|key| (0..5).find(|number| key_of(*number) == *key)).collect();
                    judged(&mut bench, job, &drawn, &verdicts);
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
            let (bonded, reserved) = bond(&mut bench, asset);
            let reservations: u64 = jobs
                .iter()
                .map(|job| bench.view(JOBS, &checkOfCall { job: *job }).unwrap().reserved.to::<u64>())
                .sum();
            prop_assert!(reserved <= bonded && reserved == reservations, "{} {} {}", bonded, reserved, reservations);
            prop_assert_eq!(held + bonded, balance(&mut bench, PLAIN, JOBS));
            let operators = (0..5).map(operator);
            let all = [OWNER, BUYER, OTHER, PURSE, JOBS].into_iter().chain(operators);
            let all: u64 = all.map(|account| balance(&mut bench, PLAIN, account)).sum();
            prop_assert_eq!(all, 3_002_000);
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
    assert_eq!(thousands, [409, 190]);
}

/// An asset of the market's, whose datatoken costs two of a token.
fn listed(bench: &mut Bench) -> Made {
    let call = IFactory::createNftWithErc20WithFixedRateCall {
        nft: shared::nft_data(),
        datatoken: shared::datatoken_data(),
        fixedRate: shared::rate_data(PLAIN, 18, whole(2), 0, true),
    };
    let made = bench.send(OWNER, FACTORY, &call).unwrap().value;
    Made { asset: made.erc721Address, token: made.erc20Address, exchange: made.exchangeId }
}

/// Terms for whoever has an order of the first service of a datatoken.
fn for_buyers(datatoken: Address) -> Terms {
    Terms { kind: CREDENTIAL, who: datatoken, credential: U256::ONE.into(), ..terms(OWNER) }
}

#[test]
fn a_job_names_the_order_by_which_it_began_and_its_receipt_is_about_that() {
    let mut bench = bench();
    let token = listed(&mut bench).token;
    let (asset, grant) = asset(&mut bench, PLAIN, for_buyers(token));
    let refused = Failure::revert(ConsentNotGranted { grant, user: BUYER });
    assert_eq!(send(&mut bench, BUYER, start(grant)).map(drop), Err(refused));
    bench.send(OWNER, token, &IDatatoken::mintCall { account: BUYER, value: whole(2) }).unwrap();
    bench.send(BUYER, token, &shared::start(BUYER, shared::no_quote())).unwrap();
    bench.send(BUYER, token, &shared::start(OTHER, shared::no_quote())).unwrap();
    let began = |bench: &mut Bench, buyer: Address, grant: B256| {
        let sent = send(bench, buyer, start(grant)).unwrap();
        let started = sent.logs.iter().find_map(|log| JobStarted::decode_log(log).ok()).unwrap().data;
        let is = bench.view(JOBS, &jobOfCall { job: sent.value }).unwrap();
        assert_eq!((started.job, started.order), (sent.value, is.order));
        assert_eq!(sent.value, job_id(is.used, is.asset, word(8), is.order));
        (sent.value, is)
    };
    let (job, is) = began(&mut bench, BUYER, grant);
    assert_eq!((is.asset, is.order), (asset, order_id(token, 1)));
    // What somebody else paid is one's own order once one has accepted it.
    let refused = Failure::revert(ConsentNotGranted { grant, user: OTHER });
    assert_eq!(send(&mut bench, OTHER, start(grant)).map(drop), Err(refused));
    bench.send(OTHER, token, &IDatatoken::acceptOrderCall { order: order_id(token, 2) }).unwrap();
    assert_eq!(began(&mut bench, OTHER, grant).1.order, order_id(token, 2));
    // The node signs for the job, and so for all that its id is made of.
    for (asset, algorithm, order) in
        [(word(3), word(8), is.order), (asset, word(7), is.order), (asset, word(8), order_id(token, 2))]
    {
        let other = job_id(is.used, asset, algorithm, order);
        let receipt = receipt(1, SUCCEEDED);
        let signature = node().sign(receipt_digest(CHAIN, other, &receipt).as_slice()).to_bytes().into();
        let refused = Failure::revert(JobInvalidSignature { job, node: offered(PLAIN).node });
        assert_eq!(send(&mut bench, OWNER, finishCall { job, receipt, signature }).map(drop), Err(refused));
    }
    send(&mut bench, OWNER, finish(job, receipt(1, SUCCEEDED))).unwrap();
    // A grant to somebody by name is nobody's order.
    let named = bench.send(OWNER, CONSENT, &grantCall { asset, terms: terms(BUYER) }).unwrap().value;
    assert_eq!(began(&mut bench, BUYER, named).1.order, B256::ZERO);
}

#[test]
fn what_an_order_has_cost_is_not_given_back_when_its_owner_vanishes() {
    let mut bench = bench();
    let made = listed(&mut bench);
    let (_, grant) = asset(&mut bench, PLAIN, for_buyers(made.token));
    bench.send(BUYER, PLAIN, &ITestToken::mintCall { account: BUYER, value: whole(5) }).unwrap();
    bench.send(BUYER, PLAIN, &IERC20::approveCall { spender: FIXED_RATE, value: U256::MAX }).unwrap();
    let before = balance(&mut bench, PLAIN, BUYER);
    let buy = IFixedRate::buyDTCall {
        exchangeId: made.exchange,
        datatokenAmount: whole(1),
        maxBaseTokenAmount: whole(3),
        consumeMarketAddress: Address::ZERO,
        consumeMarketSwapFeeAmount: U256::ZERO,
    };
    bench.send(BUYER, FIXED_RATE, &buy).unwrap();
    let price = before - balance(&mut bench, PLAIN, BUYER);
    assert!(price >= 2_000_000_000_000_000_000, "{price}");
    bench.send(BUYER, made.token, &shared::start(BUYER, shared::no_quote())).unwrap();
    // Job after job, and no node answers: what was held for them comes back, what the order has cost does not.
    for _ in 0..2 {
        let job = send(&mut bench, BUYER, start(grant)).unwrap().value;
        assert_eq!(balance(&mut bench, PLAIN, BUYER), before - price - 130);
        bench.pass(u64::from(DAY) + 1);
        send(&mut bench, BUYER, expireCall { job }).unwrap();
        assert_eq!(balance(&mut bench, PLAIN, BUYER), before - price);
    }
}

#[test]
fn a_publisher_says_of_his_own_program_alone_from_which_source_it_is_built() {
    let mut bench = bench();
    let program = word(8);
    let publish = |source: B256, url: &str| publishProgramCall { algorithm: program, source, url: url.into() };
    let register = registerCall {
        salt: program,
        object: program,
        sharing: B256::ZERO,
        needed: 0,
        keepers: vec![],
        ownerHalf: true,
    };
    let unknown = Failure::revert(ConsentAssetUnknown { asset: asset_id(CHAIN, OWNER, program) });
    assert_eq!(send(&mut bench, OWNER, publish(word(1), "")).map(drop), Err(unknown));
    let asset = bench.send(OWNER, CONSENT, &register).unwrap().value;
    // Who has registered something else under that name has published nothing, and nobody speaks for others.
    bench.send(OTHER, CONSENT, &registerCall { object: word(9), ..register }).unwrap();
    let unknown = Failure::revert(ConsentAssetUnknown { asset: asset_id(CHAIN, OTHER, program) });
    assert_eq!(send(&mut bench, OTHER, publish(word(1), "")).map(drop), Err(unknown));
    let long = Failure::revert(JobsInvalidOffer { what: "the place of a source has at most 512 bytes".into() });
    assert_eq!(send(&mut bench, OWNER, publish(word(1), &"x".repeat(513))).map(drop), Err(long));
    let sent = send(&mut bench, OWNER, publish(word(1), "https://a.example")).unwrap();
    let said = sent.logs.iter().find_map(|log| ProgramPublished::decode_log(log).ok()).unwrap().data;
    assert_eq!((said.algorithm, said.asset, said.publisher, said.source), (program, asset, OWNER, word(1)));
    assert_eq!(said.url, "https://a.example");
    bench.pass(1);
    send(&mut bench, OWNER, publish(word(2), "")).unwrap();
    let page = |from: u64, most: u64| publicationsOfCall {
        algorithm: program,
        from: U256::from(from),
        most: U256::from(most),
    };
    let at = |number| Publication { publisher: OWNER, number };
    assert_eq!(bench.view(JOBS, &page(0, 9)), Ok(vec![at(1), at(2)]));
    assert_eq!(bench.view(JOBS, &page(1, 1)), Ok(vec![at(2)]));
    bench.send(OWNER, CONSENT, &eraseCall { asset }).unwrap();
    let erased = Failure::revert(ConsentErased { asset, number: 2 });
    assert_eq!(send(&mut bench, OWNER, publish(word(3), "")).map(drop), Err(erased));
}

/// Nodes that check, and who runs them.
fn auditor(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[20 + number; 32])
}

fn key_of(number: u8) -> B256 {
    auditor(number).verifying_key().to_bytes().into()
}

fn operator(number: u8) -> Address {
    Address::repeat_byte(0xd0 + number)
}

/// An offer of which every job is checked by three of five.
fn checked(chance: u16) -> Offer {
    let auditors = (0..5).map(key_of).collect();
    let checks = Checks { auditors, drawn: 3, chance, fee: U256::from(7), stake: U256::from(1000) };
    Offer { checks, ..offered(PLAIN) }
}

/// What is reserved for one of its jobs: what is held, the stake, three fees.
const RESERVED: u64 = 130 + 1000 + 3 * 7;

/// An asset that is offered so, with a bond of 2,000, its auditors registered, and a grant for the buyer.
fn checked_asset(bench: &mut Bench, chance: u16) -> (B256, B256) {
    checked_asset_in(bench, PLAIN, chance)
}

/// The same, paid in this token.
fn checked_asset_in(bench: &mut Bench, token: Address, chance: u16) -> (B256, B256) {
    let (asset, grant) = asset_with(bench, Offer { token, ..checked(chance) }, terms(BUYER));
    let mint = ITestToken::mintCall { account: OWNER, value: U256::from(2000) };
    bench.send(OWNER, token, &mint).unwrap();
    bench.send(OWNER, token, &IERC20::approveCall { spender: JOBS, value: U256::MAX }).unwrap();
    send(bench, OWNER, bondCall { asset, token, amount: U256::from(2000) }).unwrap();
    for number in 0..5 {
        let digest = nodes::operator_digest(CHAIN, key_of(number), operator(number), U256::ZERO);
        let signature = auditor(number).sign(digest.as_slice()).to_bytes().into();
        let (key, host, domain) = (key_of(number), "a.example:1".to_owned(), String::new());
        let join = INodes::joinCall { key, signature, host, domain, capacity: 0, roles: 0 };
        bench.send(operator(number), nodes::ADDRESS, &join).unwrap();
    }
    (asset, grant)
}

/// From a receipt's block to the one whose randomness draws.
fn to_the_draw(bench: &mut Bench) {
    (0..3).for_each(|_| bench.pass(1));
}

/// A job whose receipt is there, and who is drawn for it.
fn finished_and_drawn(bench: &mut Bench, grant: B256) -> (B256, Vec<u8>) {
    let job = send(bench, BUYER, start(grant)).unwrap().value;
    send(bench, OTHER, finish(job, receipt(1, SUCCEEDED))).unwrap();
    to_the_draw(bench);
    let drawn = bench.view(JOBS, &drawOfCall { job }).unwrap();
    send(bench, OTHER, drawCall { job }).unwrap();
    assert_eq!(bench.view(JOBS, &checkOfCall { job }).unwrap().auditors, drawn);
    let number = |key: &B256| (0..5).find(|number| key_of(*number) == *key).unwrap();
    (job, drawn.iter().map(number).collect())
}

fn commitment(job: B256, number: u8, verdict: B256) -> commitCall {
    let commitment = commitment_of(job, key_of(number), verdict, word(number));
    let signature = auditor(number).sign(commitment_digest(CHAIN, job, commitment).as_slice()).to_bytes().into();
    commitCall { job, auditor: key_of(number), commitment, signature }
}

fn revelation(job: B256, number: u8, verdict: B256) -> revealCall {
    revealCall { job, auditor: key_of(number), verdict, salt: word(number) }
}

/// Those who were drawn say this, in order; then the check is settled.
fn judged(bench: &mut Bench, job: B256, drawn: &[u8], verdicts: &[B256]) {
    for (number, verdict) in drawn.iter().zip(verdicts) {
        send(bench, OTHER, commitment(job, *number, *verdict)).unwrap();
    }
    if verdicts.len() < drawn.len() {
        bench.pass(u64::from(DAY) + 1);
    }
    for (number, verdict) in drawn.iter().zip(verdicts) {
        send(bench, OTHER, revelation(job, *number, *verdict)).unwrap();
    }
    if verdicts.len() < drawn.len() {
        bench.pass(600);
    }
    send(bench, OTHER, settleCall { job }).unwrap();
}

fn state_of(bench: &mut Bench, job: B256) -> (u8, u8) {
    (bench.view(JOBS, &jobOfCall { job }).unwrap().state, bench.view(JOBS, &checkOfCall { job }).unwrap().state)
}

fn bond(bench: &mut Bench, asset: B256) -> (u64, u64) {
    let bond = bench.view(JOBS, &bondOfCall { asset, token: PLAIN }).unwrap();
    (bond.bond.to(), bond.reserved.to())
}

#[test]
fn a_receipt_that_most_auditors_come_to_is_confirmed_and_they_get_their_fee() {
    let mut bench = bench();
    let (asset, grant) = checked_asset(&mut bench, 10_000);
    let (job, drawn) = finished_and_drawn(&mut bench, grant);
    assert_eq!((drawn.len(), bond(&mut bench, asset)), (3, (2000, RESERVED)));
    let honest = receipt_digest(CHAIN, job, &receipt(1, SUCCEEDED));
    judged(&mut bench, job, &drawn, &[honest, word(99), honest]);
    assert_eq!(state_of(&mut bench, job), (FINISHED, CONFIRMED));
    let fees = drawn.iter().map(|number| balance(&mut bench, PLAIN, operator(*number))).collect::<Vec<_>>();
    assert_eq!((fees, bond(&mut bench, asset)), (vec![7, 0, 7], (2000 - 14, 0)));
    // Once.
    let over = Failure::revert(JobCheckNotNow { job, state: CONFIRMED });
    assert_eq!(send(&mut bench, OTHER, settleCall { job }).map(drop), Err(over.clone()));
    assert_eq!(send(&mut bench, OTHER, drawCall { job }).map(drop), Err(over));
}

#[test]
fn a_false_receipt_costs_its_owner_the_stake_and_the_buyer_is_paid_back() {
    let mut bench = bench();
    let (asset, grant) = checked_asset(&mut bench, 10_000);
    let before = balance(&mut bench, PLAIN, BUYER);
    let (job, drawn) = finished_and_drawn(&mut bench, grant);
    assert_eq!(balance(&mut bench, PLAIN, PURSE), 103, "the owner is paid at once");
    judged(&mut bench, job, &drawn, &[word(99), word(99)]);
    assert_eq!(state_of(&mut bench, job), (REFUTED, FALSE));
    assert_eq!(balance(&mut bench, PLAIN, BUYER) - before, 1000, "what was paid, and the stake");
    assert_eq!(bond(&mut bench, asset), (2000 - 1000 - 103 - 14, 0));
    // A node that does not give what it ran the job with is as bad as one that lies.
    let (job, drawn) = finished_and_drawn_with(&mut bench, asset, grant);
    judged(&mut bench, job, &drawn, &[B256::ZERO; 3]);
    assert_eq!(state_of(&mut bench, job), (REFUTED, FALSE));
}

/// The same, with a bond that suffices again.
fn finished_and_drawn_with(bench: &mut Bench, asset: B256, grant: B256) -> (B256, Vec<u8>) {
    let refused = Failure::revert(JobsBondTooLow { asset, free: U256::from(883), needed: U256::from(RESERVED) });
    assert_eq!(send(bench, BUYER, start(grant)).map(drop), Err(refused));
    send(bench, BUYER, bondCall { asset, token: PLAIN, amount: U256::from(1000) }).unwrap();
    finished_and_drawn(bench, grant)
}

#[test]
fn auditors_who_say_nothing_or_disagree_decide_nothing() {
    let mut bench = bench();
    let (asset, grant) = checked_asset(&mut bench, 10_000);
    for verdicts in [&[word(97), word(98), word(99)][..], &[word(99)], &[]] {
        let (job, drawn) = finished_and_drawn(&mut bench, grant);
        let before = balance(&mut bench, PLAIN, BUYER);
        judged(&mut bench, job, &drawn, verdicts);
        assert_eq!(state_of(&mut bench, job), (FINISHED, UNDECIDED));
        assert_eq!((balance(&mut bench, PLAIN, BUYER), bond(&mut bench, asset)), (before, (2000, 0)));
    }
}

#[test]
fn nobody_sees_a_verdict_before_all_are_bound_to_theirs() {
    let mut bench = bench();
    let (_, grant) = checked_asset(&mut bench, 10_000);
    let (job, drawn) = finished_and_drawn(&mut bench, grant);
    let honest = receipt_digest(CHAIN, job, &receipt(1, SUCCEEDED));
    let (first, second) = (drawn[0], drawn[1]);
    // Not one who was not drawn, and not in the name of another.
    let other = (0..5).find(|number| !drawn.contains(number)).unwrap();
    let refused = Failure::revert(JobNotAuditor { job, auditor: key_of(other) });
    assert_eq!(send(&mut bench, OTHER, commitment(job, other, honest)).map(drop), Err(refused));
    let forged = commitCall { auditor: key_of(first), ..commitment(job, second, honest) };
    let refused = Failure::revert(JobInvalidSignature { job, node: key_of(first) });
    assert_eq!(send(&mut bench, OTHER, forged).map(drop), Err(refused));
    send(&mut bench, OTHER, commitment(job, first, honest)).unwrap();
    // Not again, not yet, and what another committed to is worth nothing to whoever copies it.
    let refused = Failure::revert(JobCommitted { job, auditor: key_of(first) });
    assert_eq!(send(&mut bench, OTHER, commitment(job, first, word(1))).map(drop), Err(refused));
    let until = bench.view(JOBS, &checkOfCall { job }).unwrap().committing;
    let early = Failure::revert(JobCheckNotOver { job, until });
    assert_eq!(send(&mut bench, OTHER, revelation(job, first, honest)).map(drop), Err(early));
    let copied = commitment(job, first, honest).commitment;
    let signature = auditor(second).sign(commitment_digest(CHAIN, job, copied).as_slice()).to_bytes().into();
    send(&mut bench, OTHER, commitCall { job, auditor: key_of(second), commitment: copied, signature }).unwrap();
    send(&mut bench, OTHER, commitment(job, drawn[2], honest)).unwrap();
    let copier = revealCall { auditor: key_of(second), ..revelation(job, first, honest) };
    let refused = Failure::revert(JobOtherVerdict { job, auditor: key_of(second) });
    assert_eq!(send(&mut bench, OTHER, copier).map(drop), Err(refused));
    // What was committed to, once, and in time.
    let refused = Failure::revert(JobOtherVerdict { job, auditor: key_of(first) });
    assert_eq!(send(&mut bench, OTHER, revelation(job, first, word(1))).map(drop), Err(refused.clone()));
    send(&mut bench, OTHER, revelation(job, first, honest)).unwrap();
    assert_eq!(send(&mut bench, OTHER, revelation(job, first, honest)).map(drop), Err(refused));
    let revealing = bench.view(JOBS, &checkOfCall { job }).unwrap().revealing;
    let early = Failure::revert(JobCheckNotOver { job, until: revealing });
    assert_eq!(send(&mut bench, OTHER, settleCall { job }).map(drop), Err(early));
    let left = revealing - bench.time();
    bench.pass(left + 1);
    let late = Failure::revert(JobCheckOver { job, until: revealing });
    assert_eq!(send(&mut bench, OTHER, revelation(job, drawn[2], honest)).map(drop), Err(late));
    send(&mut bench, OTHER, settleCall { job }).unwrap();
    assert_eq!(state_of(&mut bench, job), (FINISHED, UNDECIDED));
}

#[test]
fn a_draw_is_of_a_block_after_the_receipt_and_takes_as_many_as_was_said() {
    let mut bench = bench();
    let (asset, grant) = checked_asset(&mut bench, 5000);
    let job = send(&mut bench, BUYER, start(grant)).unwrap().value;
    let unchecked = Failure::revert(JobCheckNotNow { job, state: WAITING });
    assert_eq!(send(&mut bench, OTHER, drawCall { job }).map(drop), Err(unchecked));
    send(&mut bench, OTHER, finish(job, receipt(1, SUCCEEDED))).unwrap();
    // Whoever chose what the receipt's block has may have known what the two after it draw.
    let number = bench.view(JOBS, &receiptOfCall { job }).unwrap().number + 3;
    for _ in 0..3 {
        let early = Failure::revert(JobNotDrawnYet { job, number });
        assert_eq!(send(&mut bench, OTHER, drawCall { job }).map(drop), Err(early));
        bench.pass(1);
    }
    // Nobody asked while the randomness was kept.
    for _ in 0..8192 {
        bench.pass(1);
    }
    send(&mut bench, OTHER, drawCall { job }).unwrap();
    assert_eq!((state_of(&mut bench, job), bond(&mut bench, asset)), ((FINISHED, SPARED), (2000, 0)));
    // About half of them are checked, each by three, and in the end by all of the five.
    let (mut checked, mut by) = (0, std::collections::BTreeSet::new());
    for _ in 0..40 {
        let job = send(&mut bench, BUYER, start(grant)).unwrap().value;
        send(&mut bench, OTHER, finish(job, receipt(1, SUCCEEDED))).unwrap();
        to_the_draw(&mut bench);
        let drawn = bench.view(JOBS, &drawOfCall { job }).unwrap();
        send(&mut bench, OTHER, drawCall { job }).unwrap();
        if !drawn.is_empty() {
            assert_eq!(drawn.len(), 3);
            checked += 1;
            by.extend(drawn);
            bench.pass(2 * u64::from(DAY));
            send(&mut bench, OTHER, settleCall { job }).unwrap();
        }
    }
    assert!((10..=30).contains(&checked) && by.len() == 5, "{checked} by {}", by.len());
}

#[test]
fn what_another_run_cannot_come_to_is_not_checked_and_reserves_nothing() {
    let mut bench = bench();
    let (asset, grant) = checked_asset(&mut bench, 10_000);
    for ended in [STOPPED, WITHHELD, BROKEN] {
        let job = send(&mut bench, BUYER, start(grant)).unwrap().value;
        assert_eq!(bond(&mut bench, asset), (2000, RESERVED));
        let before = [PURSE, BUYER].map(|account| balance(&mut bench, PLAIN, account));
        // All that it may take, which the node may not have done.
        send(&mut bench, OTHER, finish(job, receipt(10_000_000, ended))).unwrap();
        assert_eq!((state_of(&mut bench, job), bond(&mut bench, asset)), ((FINISHED, 0), (2000, 0)));
        let paid = if ended == BROKEN { 0 } else { 100 };
        let after = [PURSE, BUYER].map(|account| balance(&mut bench, PLAIN, account));
        assert_eq!([after[0] - before[0], after[1] - before[1]], [paid, 130 - paid], "{ended}");
    }
    let job = send(&mut bench, BUYER, start(grant)).unwrap().value;
    bench.pass(u64::from(DAY) + 1);
    send(&mut bench, OTHER, expireCall { job }).unwrap();
    assert_eq!((state_of(&mut bench, job), bond(&mut bench, asset)), ((EXPIRED, 0), (2000, 0)));
    // Of processes nothing is said, so they are neither checked nor stand for anything.
    let both = Offer { runtimes: WASM | PROCESS, ..checked(10_000) };
    send(&mut bench, OWNER, offerCall { asset, offer: both }).unwrap();
    let process = startCall { runtime: PROCESS, offer: 2, ..start(grant) };
    send(&mut bench, BUYER, process).unwrap();
    assert_eq!(bond(&mut bench, asset), (2000, 0));
    for runtime in [0, 3, 4] {
        let refused = Failure::revert(JobsOtherRuntime { asset, runtime });
        let other = startCall { runtime, offer: 2, ..start(grant) };
        assert_eq!(send(&mut bench, BUYER, other).map(drop), Err(refused));
    }
    // Unless the offer says that another run comes close to the same; not within the limits of another machine.
    let close = Offer { runtimes: WASM | PROCESS | REPEATABLE, ..checked(10_000) };
    send(&mut bench, OWNER, offerCall { asset, offer: close }).unwrap();
    for (ended, check, paid) in [(LIMITED, 0, 100), (SUCCEEDED, WAITING, 103)] {
        let process = startCall { runtime: PROCESS, offer: 3, ..start(grant) };
        let job = send(&mut bench, BUYER, process).unwrap().value;
        let before = balance(&mut bench, PLAIN, PURSE);
        send(&mut bench, OTHER, finish(job, receipt(1, ended))).unwrap();
        assert_eq!(state_of(&mut bench, job), (FINISHED, check));
        assert_eq!(balance(&mut bench, PLAIN, PURSE) - before, paid);
    }
    assert_eq!(bond(&mut bench, asset), (2000, RESERVED));
    for runtimes in [0, REPEATABLE, WASM | REPEATABLE, 8, 255] {
        let offer = Offer { runtimes, ..checked(10_000) };
        assert!(send(&mut bench, OWNER, offerCall { asset, offer }).is_err());
    }
}

#[test]
fn a_bond_is_its_owners_but_for_what_is_reserved() {
    let mut bench = bench();
    let (asset, grant) = checked_asset(&mut bench, 10_000);
    send(&mut bench, BUYER, start(grant)).unwrap();
    let free = U256::from(2000 - RESERVED);
    let refused = Failure::revert(JobsBondTooLow { asset, free, needed: U256::from(RESERVED) });
    assert_eq!(send(&mut bench, BUYER, start(grant)).map(drop), Err(refused));
    let unbond = |amount: U256| unbondCall { asset, token: PLAIN, amount };
    let refused = Failure::revert(JobsNotOwner { asset, caller: BUYER });
    assert_eq!(send(&mut bench, BUYER, unbond(U256::ONE)).map(drop), Err(refused));
    let refused = Failure::revert(JobsBondTooLow { asset, free, needed: free + U256::ONE });
    assert_eq!(send(&mut bench, OWNER, unbond(free + U256::ONE)).map(drop), Err(refused));
    send(&mut bench, OWNER, unbond(free)).unwrap();
    assert_eq!((balance(&mut bench, PLAIN, OWNER), bond(&mut bench, asset)), (2000 - RESERVED, (RESERVED, RESERVED)));
    for wrong in [
        Checks { drawn: 6, ..checked(1).checks },
        Checks { drawn: 0, ..checked(1).checks },
        Checks { chance: 0, ..checked(1).checks },
        Checks { chance: 10_001, ..checked(1).checks },
        Checks { stake: U256::MAX, ..checked(1).checks },
        Checks { fee: U256::MAX, ..checked(1).checks },
        Checks { auditors: vec![key_of(1), key_of(2), key_of(1)], ..checked(1).checks },
        Checks { auditors: vec![key_of(1), key_of(2), checked(1).node], ..checked(1).checks },
        Checks { auditors: (0..17).map(key_of).collect(), ..checked(1).checks },
    ] {
        let offer = Offer { checks: wrong, ..offered(PLAIN) };
        assert!(send(&mut bench, OWNER, offerCall { asset, offer }).is_err());
    }
}

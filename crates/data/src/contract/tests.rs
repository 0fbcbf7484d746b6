use super::{
    Consent,
    consent::{MOST_GAS, asset_id},
};
use crate::abi::{
    ADDRESS, COMPUTE, CONSENT, CREDENTIAL,
    IConsent::{self, *},
    READ, TOKEN,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall, SolError as _, SolEvent as _, SolValue as _};
use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;
use stoa_contract::{
    MAX_NATIVE_DEPTH, Natives,
    bench::{Bench, DEEP, Deep, Failure, Sent, assert_handles},
    coin,
    interfaces::IERC20,
};

const OWNER: Address = Address::repeat_byte(0xa1);
const ALICE: Address = Address::repeat_byte(0xa2);
const BOB: Address = Address::repeat_byte(0xb0);
const DAY: u64 = 24 * 3600;

fn word(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

fn keepers(count: u8) -> Vec<B256> {
    (1..=count).map(|seed| SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes().into()).collect()
}

/// What lets somebody read.
pub(crate) fn terms(who: Address) -> Terms {
    Terms {
        kind: ADDRESS,
        who,
        credential: B256::ZERO,
        purpose: "https://w3id.org/dpv#ScientificResearch".into(),
        uses: READ,
        algorithm: B256::ZERO,
        until: 0,
        limit: 0,
        half: word(7),
    }
}

fn bench() -> Bench {
    Bench::new(crate::natives(Natives::stoa()).with(DEEP, Deep)).with_coin(&[(ALICE, U256::from(10))])
}

fn send<C: SolCall>(bench: &mut Bench, from: Address, call: C) -> Result<Sent<C::Return>, Failure> {
    bench.send(from, CONSENT, &call)
}

fn register(salt: u8, keepers: Vec<B256>) -> registerCall {
    let needed = keepers.len().div_ceil(2) as u8;
    let sharing = if keepers.is_empty() { B256::ZERO } else { word(5) };
    registerCall { salt: word(salt), object: word(4), sharing, needed, keepers, ownerHalf: true }
}

/// An asset of `OWNER` with a grant.
fn with_grant(bench: &mut Bench, terms: Terms) -> (B256, B256) {
    let asset = send(bench, OWNER, register(1, keepers(3))).unwrap().value;
    let grant = send(bench, OWNER, grantCall { asset, terms }).unwrap().value;
    (asset, grant)
}

fn use_it(bench: &mut Bench, from: Address, grant: B256, kind: u8) -> Result<B256, Failure> {
    send(bench, from, useGrantCall { grant, kind, algorithm: B256::ZERO }).map(|sent| sent.value)
}

#[test]
fn every_function_has_a_handler() {
    assert_handles::<IConsent::IConsentCalls>(Consent);
}

#[test]
fn an_asset_is_its_owners_and_says_who_has_a_part_in_its_key() {
    let mut bench = bench();
    let sent = send(&mut bench, OWNER, register(1, keepers(3))).unwrap();
    let asset = sent.value;
    assert_eq!(asset, asset_id(31337, OWNER, word(1)));
    assert_eq!(bench.view(CONSENT, &assetIdCall { owner: OWNER, salt: word(1) }), Ok(asset));
    let event = AssetRegistered::decode_log(&sent.logs[0]).unwrap();
    assert_eq!((event.asset, event.owner, &event.keepers), (asset, OWNER, &keepers(3)));
    let is = bench.view(CONSENT, &assetOfCall { asset }).unwrap();
    assert_eq!((is.owner, is.object, is.needed, is.keepers, is.generation), (OWNER, word(4), 2, 3, 0));
    assert_eq!((is.ownerHalf, is.registered, is.erased), (true, 1, 0));
    assert_eq!(bench.view(CONSENT, &keepersOfCall { asset }), Ok(keepers(3)));
    // The same again is refused; the same salt of somebody else is another asset.
    let refused = Failure::revert(ConsentAssetExists { asset });
    assert_eq!(send(&mut bench, OWNER, register(1, keepers(3))), Err(refused));
    assert_ne!(send(&mut bench, BOB, register(1, vec![])).unwrap().value, asset);
    let unknown = Failure::revert(ConsentAssetUnknown { asset: word(9) });
    assert_eq!(bench.view(CONSENT, &assetOfCall { asset: word(9) }), Err(unknown));

    let not_owner = Failure::revert(ConsentNotOwner { asset, caller: BOB });
    let other = setObjectCall { asset, object: word(6) };
    assert_eq!(send(&mut bench, BOB, other.clone()), Err(not_owner.clone()));
    assert_eq!(send(&mut bench, BOB, grantCall { asset, terms: terms(BOB) }).map(drop), Err(not_owner.clone()));
    assert_eq!(send(&mut bench, BOB, revokeAllCall { asset }).map(drop), Err(not_owner.clone()));
    assert_eq!(send(&mut bench, BOB, eraseCall { asset }).map(drop), Err(not_owner));
    send(&mut bench, OWNER, other).unwrap();
    assert_eq!(bench.view(CONSENT, &assetOfCall { asset }).unwrap().object, word(6));
}

#[test]
fn keepers_that_cannot_be_are_refused() {
    let mut bench = bench();
    let good = register(1, keepers(3));
    let twice = vec![keepers(1)[0]; 2];
    let many = (1..=65).map(B256::with_last_byte).collect();
    for wrong in [
        registerCall { needed: 0, ..good.clone() },
        registerCall { needed: 4, ..good.clone() },
        registerCall { sharing: B256::ZERO, ..good.clone() },
        registerCall { keepers: vec![B256::ZERO], needed: 1, ..good.clone() },
        registerCall { keepers: twice, ..good.clone() },
        registerCall { keepers: many, ..good.clone() },
        registerCall { keepers: vec![], needed: 0, ..good.clone() },
        registerCall { keepers: vec![], needed: 0, sharing: B256::ZERO, ownerHalf: false, ..good.clone() },
    ] {
        let Err(Failure::Revert(data)) = send(&mut bench, OWNER, wrong.clone()) else { panic!("{wrong:?}") };
        assert_eq!(data[..4], <ConsentInvalidKeepers as alloy_sol_types::SolError>::SELECTOR, "{wrong:?}");
    }
    send(&mut bench, OWNER, good).unwrap();
}

#[test]
fn terms_that_cannot_be_are_refused() {
    let mut bench = bench();
    let asset = send(&mut bench, OWNER, register(1, vec![])).unwrap().value;
    let (good, now) = (terms(ALICE), bench.time());
    for wrong in [
        Terms { kind: 3, ..good.clone() },
        Terms { who: Address::ZERO, ..good.clone() },
        Terms { kind: CREDENTIAL, ..good.clone() },
        Terms { credential: word(1), ..good.clone() },
        Terms { purpose: "research".into(), ..good.clone() },
        Terms { purpose: "https://w3id.org/dpv#".into(), ..good.clone() },
        Terms { purpose: "https://w3id.org/dpv#a b".into(), ..good.clone() },
        Terms { purpose: format!("https://w3id.org/dpv#{}", "a".repeat(300)), ..good.clone() },
        Terms { uses: 0, ..good.clone() },
        Terms { uses: 4, ..good.clone() },
        Terms { algorithm: word(1), ..good.clone() },
        Terms { algorithm: word(1), uses: READ | COMPUTE, ..good.clone() },
        Terms { until: now, ..good.clone() },
    ] {
        let call = grantCall { asset, terms: wrong.clone() };
        let Err(Failure::Revert(data)) = send(&mut bench, OWNER, call) else { panic!("{wrong:?}") };
        assert_eq!(data[..4], <ConsentInvalidTerms as alloy_sol_types::SolError>::SELECTOR, "{wrong:?}");
    }
    send(&mut bench, OWNER, grantCall { asset, terms: good }).unwrap();
}

#[test]
fn a_grant_allows_what_it_says_and_each_refusal_says_why() {
    let mut bench = bench();
    let until = bench.time() + 10 * DAY;
    let (asset, grant) = with_grant(&mut bench, Terms { until, limit: 2, ..terms(ALICE) });
    assert_eq!(use_it(&mut bench, BOB, grant, READ), Err(Failure::revert(ConsentNotGranted { grant, user: BOB })));
    for kind in [0, COMPUTE, READ | COMPUTE] {
        let refused = Failure::revert(ConsentUseNotGranted { grant, kind });
        assert_eq!(use_it(&mut bench, ALICE, grant, kind), Err(refused));
    }
    let with_algorithm = useGrantCall { grant, kind: READ, algorithm: word(3) };
    let refused = Failure::revert(ConsentOtherAlgorithm { grant, algorithm: word(3) });
    assert_eq!(send(&mut bench, ALICE, with_algorithm).map(drop), Err(refused));
    let check = checkCall { grant, user: ALICE, kind: READ, algorithm: B256::ZERO };
    bench.view(CONSENT, &check).unwrap();
    let first = use_it(&mut bench, ALICE, grant, READ).unwrap();
    let second = use_it(&mut bench, ALICE, grant, READ).unwrap();
    assert_ne!(first, second);
    assert_eq!(use_it(&mut bench, ALICE, grant, READ), Err(Failure::revert(ConsentUsedUp { grant, limit: 2 })));
    assert_eq!(bench.view(CONSENT, &check).map(drop), Err(Failure::revert(ConsentUsedUp { grant, limit: 2 })));
    // A use that was recorded still stands.
    let is = bench.view(CONSENT, &checkUseCall { id: first }).unwrap();
    assert_eq!((is.asset, is.grant, is.user, is.kind), (asset, grant, ALICE, READ));
    assert_eq!(bench.view(CONSENT, &grantOfCall { grant }).unwrap().used, 2);
    assert_eq!(bench.view(CONSENT, &useOfCall { id: second }).unwrap().user, ALICE);
    // The last second in which it stands, and the first in which it does not.
    bench.pass(10 * DAY - 1);
    bench.view(CONSENT, &checkUseCall { id: first }).unwrap();
    bench.pass(1);
    let ended = Failure::revert(ConsentEnded { grant, until });
    assert_eq!(bench.view(CONSENT, &checkUseCall { id: first }).map(drop), Err(ended.clone()));
    assert_eq!(use_it(&mut bench, ALICE, grant, READ), Err(ended));
    let unknown = Failure::revert(ConsentGrantUnknown { grant: word(1) });
    assert_eq!(use_it(&mut bench, ALICE, word(1), READ), Err(unknown));
    let unknown = Failure::revert(ConsentUseUnknown { id: word(1) });
    assert_eq!(bench.view(CONSENT, &checkUseCall { id: word(1) }).map(drop), Err(unknown));
}

#[test]
fn one_algorithm_computes_or_any() {
    let mut bench = bench();
    let (asset, any) = with_grant(&mut bench, Terms { uses: COMPUTE, ..terms(ALICE) });
    let only = Terms { uses: COMPUTE, algorithm: word(3), ..terms(ALICE) };
    let one = send(&mut bench, OWNER, grantCall { asset, terms: only }).unwrap().value;
    let mut compute = |grant, algorithm| {
        send(&mut bench, ALICE, useGrantCall { grant, kind: COMPUTE, algorithm }).map(|sent| sent.logs.len())
    };
    assert_eq!(compute(any, word(9)), Ok(1));
    assert_eq!(compute(one, word(3)), Ok(1));
    let refused = Failure::revert(ConsentOtherAlgorithm { grant: one, algorithm: word(9) });
    assert_eq!(compute(one, word(9)), Err(refused));
}

#[test]
fn a_revocation_bites_from_its_transaction_on() {
    let mut bench = bench();
    let (asset, grant) = with_grant(&mut bench, terms(ALICE));
    bench.pass(1);
    // In one block: before it, after it.
    let used = use_it(&mut bench, ALICE, grant, READ).unwrap();
    let not_owner = Failure::revert(ConsentNotOwner { asset, caller: BOB });
    assert_eq!(send(&mut bench, BOB, revokeCall { grant }).map(drop), Err(not_owner));
    let sent = send(&mut bench, OWNER, revokeCall { grant }).unwrap();
    assert_eq!(Revoked::decode_log(&sent.logs[0]).unwrap().grant, grant);
    let revoked = Failure::revert(ConsentRevoked { grant, number: 2 });
    assert_eq!(use_it(&mut bench, ALICE, grant, READ), Err(revoked.clone()));
    assert_eq!(bench.view(CONSENT, &checkUseCall { id: used }).map(drop), Err(revoked.clone()));
    assert_eq!(send(&mut bench, OWNER, revokeCall { grant }).map(drop), Err(revoked));
    assert_eq!(bench.view(CONSENT, &grantOfCall { grant }).unwrap().revoked, 2);
    // Whom it is for may give it up.
    let again = send(&mut bench, OWNER, grantCall { asset, terms: terms(ALICE) }).unwrap().value;
    send(&mut bench, ALICE, revokeCall { grant: again }).unwrap();
    assert!(use_it(&mut bench, ALICE, again, READ).is_err());
}

#[test]
fn all_grants_end_at_once_and_an_erased_asset_has_no_more() {
    let mut bench = bench();
    let (asset, first) = with_grant(&mut bench, terms(ALICE));
    let second = send(&mut bench, OWNER, grantCall { asset, terms: terms(BOB) }).unwrap().value;
    bench.pass(1);
    send(&mut bench, OWNER, revokeAllCall { asset }).unwrap();
    for (user, grant) in [(ALICE, first), (BOB, second)] {
        let revoked = Failure::revert(ConsentRevoked { grant, number: 2 });
        assert_eq!(use_it(&mut bench, user, grant, READ), Err(revoked));
    }
    let third = bench.view(CONSENT, &nextGrantCall { asset }).unwrap();
    assert_eq!(send(&mut bench, OWNER, grantCall { asset, terms: terms(ALICE) }).unwrap().value, third);
    use_it(&mut bench, ALICE, third, READ).unwrap();
    let list = |from: u64| grantsOfCall { asset, from: U256::from(from), most: U256::from(2) };
    assert_eq!(bench.view(CONSENT, &list(0)), Ok(vec![first, second]));
    assert_eq!(bench.view(CONSENT, &list(2)), Ok(vec![third]));

    bench.pass(1);
    send(&mut bench, OWNER, eraseCall { asset }).unwrap();
    // Each has the block of the end that was its own.
    let revoked = [first, second, third].map(|grant| bench.view(CONSENT, &grantOfCall { grant }).unwrap().revoked);
    assert_eq!(revoked, [2, 2, 3]);
    assert_eq!(
        use_it(&mut bench, ALICE, third, READ),
        Err(Failure::revert(ConsentRevoked { grant: third, number: 3 }))
    );
    let erased = Failure::revert(ConsentErased { asset, number: 3 });
    assert_eq!(send(&mut bench, OWNER, grantCall { asset, terms: terms(ALICE) }).map(drop), Err(erased.clone()));
    assert_eq!(send(&mut bench, OWNER, eraseCall { asset }).map(drop), Err(erased));
}

#[test]
fn holders_of_a_token_may_for_as_long_as_they_hold_it() {
    let mut bench = bench();
    let (_, grant) = with_grant(&mut bench, Terms { kind: TOKEN, ..terms(coin::ADDRESS) });
    let used = use_it(&mut bench, ALICE, grant, READ).unwrap();
    assert_eq!(use_it(&mut bench, BOB, grant, READ), Err(Failure::revert(ConsentNotGranted { grant, user: BOB })));
    let all = IERC20::transferCall { to: BOB, value: U256::from(10) };
    bench.send(ALICE, coin::ADDRESS, &all).unwrap();
    use_it(&mut bench, BOB, grant, READ).unwrap();
    let refused = Failure::revert(ConsentNotGranted { grant, user: ALICE });
    assert_eq!(bench.view(CONSENT, &checkUseCall { id: used }).map(drop), Err(refused));
}

/// Solidity's bytes for a contract that runs this.
fn deploy(bench: &mut Bench, code: &[u8]) -> Address {
    let init = [&[0x60, code.len() as u8, 0x60, 0x0c, 0x60, 0, 0x39, 0x60, code.len() as u8, 0x60, 0, 0xf3], code];
    bench.deploy(BOB, Bytes::from(init.concat()))
}

#[test]
fn a_contract_that_answers_wrong_says_no() {
    let mut bench = bench();
    let asset = send(&mut bench, OWNER, register(1, vec![])).unwrap().value;
    let reverts = [0x60, 0, 0x60, 0, 0xfd];
    let nothing = [0x00];
    // Returns 2, which is no truth value.
    let garbage = [0x60, 2, 0x60, 0, 0x52, 0x60, 32, 0x60, 0, 0xf3];
    // Writes to its storage, which a static call does not allow.
    let writes = [0x60, 1, 0x60, 0, 0x55, 0x60, 1, 0x60, 0, 0x52, 0x60, 32, 0x60, 0, 0xf3];
    // Goes on for as long as there is gas.
    let for_ever = [0x5b, 0x60, 0, 0x56];
    let yes = [0x60, 1, 0x60, 0, 0x52, 0x60, 32, 0x60, 0, 0xf3];
    for (code, holds) in [
        (&reverts[..], false),
        (&nothing[..], false),
        (&garbage[..], false),
        (&writes[..], false),
        (&for_ever[..], false),
        (&yes[..], true),
    ] {
        let who = deploy(&mut bench, code);
        let terms = Terms { kind: CREDENTIAL, credential: word(8), ..terms(who) };
        let grant = send(&mut bench, OWNER, grantCall { asset, terms }).unwrap().value;
        let used = use_it(&mut bench, ALICE, grant, READ);
        assert_eq!(used.is_ok(), holds, "{code:?}: {used:?}");
    }
    // Where there is no contract nobody is anything.
    let terms = Terms { kind: TOKEN, ..terms(BOB) };
    let grant = send(&mut bench, OWNER, grantCall { asset, terms }).unwrap().value;
    assert!(use_it(&mut bench, ALICE, grant, READ).is_err());
}

/// A contract that answers whether a call of consent with this data went through.
fn calling_back(bench: &mut Bench, data: &[u8]) -> Address {
    let length = data.len() as u8;
    // Copies the data, which lie behind the code, to memory; calls; returns what CALL says.
    let code = [
        &[0x60, length, 0x60, 50, 0x60, 0, 0x39, 0x60, 0, 0x60, 0, 0x60, length, 0x60, 0, 0x60, 0, 0x73],
        CONSENT.as_slice(),
        &[0x5a, 0xf1, 0x60, 0, 0x52, 0x60, 32, 0x60, 0, 0xf3, 0, 0],
        data,
    ];
    deploy(bench, &code.concat())
}

#[test]
fn who_is_asked_may_look_at_consent_and_not_change_it() {
    let mut bench = bench();
    let asset = send(&mut bench, OWNER, register(1, vec![])).unwrap().value;
    let looks = calling_back(&mut bench, &assetOfCall { asset }.abi_encode());
    let announces = calling_back(&mut bench, &announceCall { announcement: vec![1].into() }.abi_encode());
    for (who, holds) in [(looks, true), (announces, false)] {
        let made = send(&mut bench, OWNER, grantCall { asset, terms: Terms { kind: TOKEN, ..terms(who) } });
        let grant = made.unwrap().value;
        assert_eq!(use_it(&mut bench, ALICE, grant, READ).is_ok(), holds);
        assert_eq!(bench.view(CONSENT, &grantOfCall { grant }).unwrap().used, u32::from(holds));
    }
    assert_eq!(bench.view(CONSENT, &announcementOfCall { wallet: announces }), Ok(Bytes::new()));
}

#[test]
fn who_is_asked_cannot_burn_more_gas_than_the_bound() {
    let mut bench = bench();
    let asset = send(&mut bench, OWNER, register(1, vec![])).unwrap().value;
    let who = deploy(&mut bench, &[0x5b, 0x60, 0, 0x56]);
    let grant = send(&mut bench, OWNER, grantCall { asset, terms: Terms { kind: TOKEN, ..terms(who) } }).unwrap().value;
    let call = useGrantCall { grant, kind: READ, algorithm: B256::ZERO };
    let tx = bench.tx(ALICE, TxKind::Call(CONSENT), U256::ZERO, call.abi_encode().into());
    let result = bench.transact(tx);
    assert!(!result.is_success() && result.tx_gas_used() < MOST_GAS + 60_000, "{result:?}");
}

#[test]
fn who_asks_with_too_little_gas_or_from_too_deep_hears_no_no() {
    let mut bench = bench();
    let (_, grant) = with_grant(&mut bench, Terms { kind: TOKEN, ..terms(coin::ADDRESS) });
    let id = use_it(&mut bench, ALICE, grant, READ).unwrap();
    let call = checkUseCall { id };
    let no: Bytes = ConsentNotGranted { grant, user: ALICE }.abi_encode().into();

    let mut answers = [0; 2];
    for gas_limit in (25_000..400_000).step_by(500) {
        let mut tx = bench.tx(BOB, TxKind::Call(CONSENT), U256::ZERO, call.abi_encode().into());
        tx.gas_limit = gas_limit;
        let result = bench.transact(tx);
        assert_ne!(result.output(), Some(&no), "{gas_limit}");
        answers[usize::from(result.is_success())] += 1;
    }
    assert!(answers.into_iter().all(|count| count > 0), "{answers:?}");

    for frames in 1..MAX_NATIVE_DEPTH as u8 {
        let said = bench.send_raw(BOB, DEEP, U256::ZERO, Deep::via(frames, CONSENT, &call));
        assert_eq!(said.is_ok(), usize::from(frames) < MAX_NATIVE_DEPTH / 2, "{frames}: {said:?}");
        assert_ne!(said, Err(Failure::Revert(no.clone())), "{frames}");
    }
}

fn number(word: B256) -> U256 {
    U256::from_be_bytes(word.0)
}

/// As a mapping of Solidity's has it.
fn entry(key: B256, slot: u64) -> U256 {
    number(keccak256((key, U256::from(slot)).abi_encode_params()))
}

#[test]
fn what_is_kept_lies_as_in_solidity() {
    let mut bench = bench();
    let until = bench.time() + DAY;
    let (asset, grant) = with_grant(&mut bench, Terms { until, limit: 9, ..terms(ALICE) });
    let used = use_it(&mut bench, ALICE, grant, READ).unwrap();
    send(&mut bench, OWNER, revokeAllCall { asset }).unwrap();
    send(&mut bench, ALICE, announceCall { announcement: vec![0xab; 3].into() }).unwrap();
    let mut at = |slot: U256| bench.storage(CONSENT, slot);

    // address owner; uint8 needed; bool ownerHalf; uint32 generation | uint64 registered, erased | bytes32 object, sharing |
    // bytes32[] keepers, grants; uint64[] ends.
    let base = entry(asset, 0);
    let owner = U256::from_be_slice(OWNER.as_slice());
    assert_eq!(at(base), owner | (U256::from(2) << 160) | (U256::from(1) << 168));
    assert_eq!(at(base + U256::from(1)), U256::from(1));
    assert_eq!([2, 3].map(|slot| at(base + U256::from(slot))), [word(4), word(5)].map(number));
    assert_eq!([4, 5, 6].map(|slot| at(base + U256::from(slot))), [3, 1, 1].map(U256::from));
    let ends = keccak256((base + U256::from(6)).to_be_bytes::<32>());
    assert_eq!(at(number(ends)), U256::from(1));

    // bytes32 asset | address who; uint8 kind, uses; uint64 until | uint64 granted, revoked, ends; uint32 limit, used |
    // bytes32 credential, algorithm, half | string purpose.
    let base = entry(grant, 1);
    assert_eq!(at(base), number(asset));
    let alice = U256::from_be_slice(ALICE.as_slice());
    assert_eq!(at(base + U256::from(1)), alice | (U256::from(READ) << 168) | (U256::from(until) << 176));
    assert_eq!(at(base + U256::from(2)), U256::from(1) | (U256::from(9) << 192) | (U256::from(1) << 224));
    assert_eq!([3, 4, 5].map(|slot| at(base + U256::from(slot))), [B256::ZERO, B256::ZERO, word(7)].map(number));
    let length = terms(ALICE).purpose.len();
    assert_eq!(at(base + U256::from(6)), U256::from(2 * length + 1));

    // bytes32 grant | address user; uint8 kind; uint64 number | bytes32 algorithm.
    let base = entry(used, 2);
    assert_eq!(at(base), number(grant));
    assert_eq!(at(base + U256::from(1)), alice | (U256::from(READ) << 160) | (U256::from(1) << 168));

    let announcement = at(entry(ALICE.into_word(), 3));
    assert_eq!(announcement, (U256::from(0x00ab_abab) << 232) | U256::from(6));
}

#[test]
fn calls_cost_what_the_docs_say() {
    let mut bench = bench();
    let sent = send(&mut bench, OWNER, register(1, vec![])).unwrap();
    let (asset, mut gas) = (sent.value, vec![sent.gas]);
    gas.push(send(&mut bench, OWNER, register(2, keepers(5))).unwrap().gas);
    let first = send(&mut bench, OWNER, grantCall { asset, terms: terms(ALICE) }).unwrap();
    gas.push(first.gas);
    let call = useGrantCall { grant: first.value, kind: READ, algorithm: B256::ZERO };
    gas.push(send(&mut bench, ALICE, call).unwrap().gas);
    gas.push(send(&mut bench, OWNER, revokeCall { grant: first.value }).unwrap().gas);
    gas.push(send(&mut bench, OWNER, revokeAllCall { asset }).unwrap().gas);
    let thousands = gas.into_iter().map(|gas| gas.div_ceil(1000)).collect::<Vec<_>>();
    assert_eq!(thousands, [96, 254, 242, 87, 38, 72]);
}

/// A move, with the votes of these keepers for it.
fn moved(bench: &mut Bench, asset: B256, sharing: B256, keepers: Vec<B256>, voters: &[u8]) -> moveKeepersCall {
    let needed = keepers.len() as u8;
    let digest = moveDigestCall { asset, sharing, needed, keepers: keepers.clone() };
    let digest = bench.view(CONSENT, &digest).unwrap();
    let vote = |seed: &u8| {
        let key = SigningKey::from_bytes(&[*seed; 32]);
        let (keeper, signature) = (key.verifying_key().to_bytes().into(), key.sign(digest.as_slice()));
        Vote { keeper, signature: signature.to_bytes().into() }
    };
    let from = bench.view(CONSENT, &assetOfCall { asset }).unwrap().sharing;
    moveKeepersCall { asset, from, sharing, needed, keepers, until: 0, votes: voters.iter().map(vote).collect() }
}

/// A move that the owner brings.
fn owners(asset: B256, from: B256, sharing: B256, keepers: Vec<B256>) -> moveKeepersCall {
    moveKeepersCall { asset, from, sharing, needed: keepers.len() as u8, keepers, until: 0, votes: vec![] }
}

#[test]
fn as_many_keepers_as_release_the_key_move_it_and_no_fewer() {
    let mut bench = bench();
    let asset = send(&mut bench, OWNER, register(1, keepers(3))).unwrap().value;
    let fresh = keepers(5)[1..].to_vec();
    for voters in [&[1][..], &[1, 1]] {
        let call = moved(&mut bench, asset, word(8), fresh.clone(), voters);
        let refused = Failure::revert(ConsentTooFewVotes { asset, needed: 2, votes: U256::ONE });
        assert_eq!(send(&mut bench, BOB, call).map(drop), Err(refused));
    }
    let call = moved(&mut bench, asset, word(8), fresh.clone(), &[1, 4]);
    let refused = Failure::revert(ConsentNotKeeper { asset, keeper: keepers(4)[3] });
    assert_eq!(send(&mut bench, BOB, call).map(drop), Err(refused));
    // A vote for another move, and one in the name of another.
    let call = moved(&mut bench, asset, word(8), fresh.clone(), &[1, 3]);
    let refused = |keeper| Failure::revert(ConsentInvalidVote { asset, keeper });
    let other = moveKeepersCall { sharing: word(9), ..call.clone() };
    assert_eq!(send(&mut bench, BOB, other).map(drop), Err(refused(keepers(1)[0])));
    let mut forged = call.clone();
    forged.votes[1].keeper = keepers(2)[1];
    assert_eq!(send(&mut bench, BOB, forged).map(drop), Err(refused(keepers(2)[1])));
    // Anybody may bring the votes.
    let sent = send(&mut bench, BOB, call.clone()).unwrap();
    assert_eq!(sent.logs.len(), 1);
    let is = bench.view(CONSENT, &assetOfCall { asset }).unwrap();
    assert_eq!((is.generation, is.sharing, is.needed, is.keepers), (1, word(8), 4, 4));
    assert_eq!(bench.view(CONSENT, &keepersOfCall { asset }), Ok(fresh));
    // Once: they are about the keepers that there were.
    assert!(send(&mut bench, BOB, call).is_err());
    let back = owners(asset, word(8), word(3), keepers(1));
    assert!(send(&mut bench, BOB, back.clone()).is_err());
    send(&mut bench, OWNER, back).unwrap();
    assert_eq!(bench.view(CONSENT, &assetOfCall { asset }).unwrap().generation, 2);
    let away = owners(asset, word(3), B256::ZERO, vec![]);
    assert!(send(&mut bench, OWNER, away).is_err());
}

#[test]
fn a_move_is_from_the_sharing_that_there_is_and_ends() {
    let mut bench = bench();
    let asset = send(&mut bench, OWNER, register(1, keepers(3))).unwrap().value;
    let until = bench.time() + 60;
    let call = |from: u8, to: u8| moveKeepersCall { until, ..owners(asset, word(from), word(to), keepers(3)) };
    let mut moves = |from, to| send(&mut bench, OWNER, call(from, to)).map(drop);
    moves(5, 8).unwrap();
    // Another that begins where this one did, in a later block.
    let other = |present: u8| Err(Failure::revert(ConsentOtherSharing { asset, sharing: word(present) }));
    assert_eq!(moves(5, 9), other(8));
    moves(8, 9).unwrap();
    // With votes as well.
    let by_votes = moved(&mut bench, asset, word(6), keepers(2), &[1, 2, 3]);
    let elsewhere = moveKeepersCall { from: word(8), ..by_votes.clone() };
    assert_eq!(send(&mut bench, BOB, elsewhere).map(drop), other(9));
    let ended = |until| Err(Failure::revert(ConsentMoveEnded { asset, until }));
    let over = moveKeepersCall { until: 1, ..by_votes.clone() };
    assert_eq!(send(&mut bench, BOB, over).map(drop), ended(1));
    send(&mut bench, BOB, by_votes).unwrap();

    bench.pass(60);
    assert_eq!(send(&mut bench, OWNER, call(6, 7)).map(drop), ended(until));
    assert_eq!(bench.view(CONSENT, &assetOfCall { asset }).unwrap().sharing, word(6));
}

#[test]
fn votes_for_a_move_are_worth_nothing_once_the_keepers_have_changed() {
    let mut bench = bench();
    let asset = send(&mut bench, OWNER, register(1, keepers(3))).unwrap().value;
    let call = moved(&mut bench, asset, word(8), keepers(4)[3..].to_vec(), &[1, 2]);
    // The owner shares anew among the same: what they signed was about other shares.
    let anew = moveKeepersCall { needed: 2, ..owners(asset, word(5), word(6), keepers(3)) };
    send(&mut bench, OWNER, anew).unwrap();
    let refused = Failure::revert(ConsentInvalidVote { asset, keeper: keepers(1)[0] });
    assert_eq!(send(&mut bench, BOB, call).map(drop), Err(refused));
    // An asset without keepers has none that could agree.
    let bare = send(&mut bench, OWNER, register(2, vec![])).unwrap().value;
    let call = moved(&mut bench, bare, word(8), keepers(1), &[1]);
    assert!(send(&mut bench, BOB, call).is_err());

    let asset = send(&mut bench, OWNER, register(3, keepers(3))).unwrap().value;
    let call = moved(&mut bench, asset, word(8), keepers(1), &[1, 2]);
    send(&mut bench, OWNER, eraseCall { asset }).unwrap();
    let erased = Failure::revert(ConsentErased { asset, number: 1 });
    assert_eq!(send(&mut bench, BOB, call).map(drop), Err(erased.clone()));
    let call = setObjectCall { asset, object: word(1) };
    assert_eq!(send(&mut bench, OWNER, call).map(drop), Err(erased));
}

#[test]
fn a_reading_key_is_announced_by_its_wallet() {
    let mut bench = bench();
    assert_eq!(bench.view(CONSENT, &announcementOfCall { wallet: ALICE }), Ok(Bytes::new()));
    for length in [0, 513] {
        let refused = Failure::revert(ConsentInvalidAnnouncement {});
        let call = announceCall { announcement: vec![1; length].into() };
        assert_eq!(send(&mut bench, ALICE, call).map(drop), Err(refused));
    }
    for length in [512, 40] {
        let announcement = Bytes::from(vec![1; length]);
        send(&mut bench, ALICE, announceCall { announcement: announcement.clone() }).unwrap();
        assert_eq!(bench.view(CONSENT, &announcementOfCall { wallet: ALICE }), Ok(announcement));
    }
}

/// What the rules say, in other words: a list of grants, each with what it allows, the block in which it was revoked (0 if it
/// was not), and how often it was used.
#[derive(Default)]
struct Model {
    grants: Vec<(B256, Terms, u64, u32)>,
    erased: bool,
}

impl Model {
    fn may(&self, at: usize, user: Address, kind: u8, now: u64) -> bool {
        let (_, terms, revoked, used) = &self.grants[at];
        let in_time = terms.until == 0 || now < terms.until;
        let often = terms.limit == 0 || *used < terms.limit;
        *revoked == 0 && in_time && often && terms.who == user && terms.uses & kind != 0
    }
}

#[derive(Clone, Debug)]
enum Step {
    Grant { to: u8, uses: u8, days: u8, limit: u8 },
    Use { at: prop::sample::Index, by: u8, kind: u8 },
    Revoke { at: prop::sample::Index, by: u8 },
    RevokeAll,
    Erase,
    Pass(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..3_u8, 1..4_u8, 0..4_u8, 0..3_u8).prop_map(|(to, uses, days, limit)| Step::Grant { to, uses, days, limit }),
        12 => (any::<prop::sample::Index>(), 0..3_u8, 1..3_u8).prop_map(|(at, by, kind)| Step::Use { at, by, kind }),
        3 => (any::<prop::sample::Index>(), 0..3_u8).prop_map(|(at, by)| Step::Revoke { at, by }),
        1 => Just(Step::RevokeAll),
        1 => Just(Step::Erase),
        3 => (0..3_u8).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_the_contract_allows_what_the_rules_say(steps in prop::collection::vec(step(), 1..60)) {
        let (mut bench, mut model) = (bench(), Model::default());
        let people = [OWNER, ALICE, BOB];
        let asset = send(&mut bench, OWNER, register(1, keepers(2))).unwrap().value;
        for step in steps {
            let (now, block) = (bench.time(), bench.evm.ctx().block.number.to());
            match step {
                Step::Grant { to, uses, days, limit } => {
                    let until = if days == 0 { 0 } else { now + u64::from(days) * DAY };
                    let terms = Terms { uses, until, limit: limit.into(), ..terms(people[usize::from(to)]) };
                    let made = send(&mut bench, OWNER, grantCall { asset, terms: terms.clone() });
                    prop_assert_eq!(made.is_ok(), !model.erased);
                    if let Ok(made) = made {
                        model.grants.push((made.value, terms, 0, 0));
                    }
                }
                Step::Use { at, by, kind } if !model.grants.is_empty() => {
                    let (at, user) = (at.index(model.grants.len()), people[usize::from(by)]);
                    let may = model.may(at, user, kind, now);
                    let check = checkCall { grant: model.grants[at].0, user, kind, algorithm: B256::ZERO };
                    prop_assert_eq!(bench.view(CONSENT, &check).is_ok(), may);
                    prop_assert_eq!(use_it(&mut bench, user, model.grants[at].0, kind).is_ok(), may);
                    model.grants[at].3 += u32::from(may);
                }
                Step::Revoke { at, by } if !model.grants.is_empty() => {
                    let (at, caller) = (at.index(model.grants.len()), people[usize::from(by)]);
                    let (grant, terms, revoked, _) = &mut model.grants[at];
                    let may = *revoked == 0 && (caller == OWNER || caller == terms.who);
                    prop_assert_eq!(send(&mut bench, caller, revokeCall { grant: *grant }).is_ok(), may);
                    *revoked = if may { block } else { *revoked };
                }
                Step::RevokeAll | Step::Erase => {
                    let done = match step {
                        Step::Erase => send(&mut bench, OWNER, eraseCall { asset }).is_ok(),
                        _ => send(&mut bench, OWNER, revokeAllCall { asset }).is_ok(),
                    };
                    prop_assert_eq!(done, !model.erased);
                    let standing = model.grants.iter_mut().filter(|grant| done && grant.2 == 0);
                    standing.for_each(|grant| grant.2 = block);
                    model.erased |= matches!(step, Step::Erase);
                }
                Step::Pass(days) => bench.pass(u64::from(days) * DAY),
                Step::Use { .. } | Step::Revoke { .. } => {}
            }
        }
        for (grant, _, revoked, used) in &model.grants {
            let is = bench.view(CONSENT, &grantOfCall { grant: *grant }).unwrap();
            prop_assert_eq!((is.revoked, is.used), (*revoked, *used));
        }
    }
}

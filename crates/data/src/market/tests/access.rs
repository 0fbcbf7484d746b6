//! Who may order: allow lists and deny lists that bind on the ledger.

use super::*;
use crate::{
    abi::ICredentials::hasCredentialCall,
    market::abi::INft::{AccessDenied, AccessListTransferable, AccessNotAllowed, AccessTooMany},
};
use alloy_primitives::TxKind;
use stoa_contract::MAX_NATIVE_DEPTH;

fn set(bench: &mut Bench, asset: Address, allow: &[Address], deny: &[Address]) -> Result<(), Failure> {
    send(bench, OWNER, asset, INft::setAccessCall { allow: allow.to_vec(), deny: deny.to_vec() }).map(drop)
}

/// A list of people, of the market's factory.
fn list_of(bench: &mut Bench, users: &[Address], transferable: bool) -> Address {
    let call = IAccessListFactory::deployAccessListContractCall {
        name: "Doctors".into(),
        symbol: "DOC".into(),
        transferable,
        owner: OWNER,
        users: users.to_vec(),
        uris: vec![String::new(); users.len()],
    };
    send(bench, OWNER, ACCESS_LIST_FACTORY, call).unwrap().value
}

fn denied<T>(account: Address) -> Result<T, Failure> {
    Err(Failure::revert(AccessDenied { account }))
}

fn not_allowed<T>(account: Address) -> Result<T, Failure> {
    Err(Failure::revert(AccessNotAllowed { account }))
}

#[test]
fn orders_are_taken_for_those_who_are_allowed_and_for_nobody_who_is_denied() {
    let mut bench = bench();
    let Made { asset, token, .. } = publish(&mut bench);
    give(&mut bench, token, BUYER, 9);
    give(&mut bench, token, OTHER, 9);
    assert_eq!(bench.view(asset, &INft::checkAccessCall { account: BUYER }).map(drop), Ok(()), "nobody has said so");
    set(&mut bench, asset, &[], &[OTHER]).unwrap();
    assert_eq!(order(&mut bench, token, OTHER, OTHER), denied(OTHER));
    order(&mut bench, token, BUYER, BUYER).unwrap();
    // It is for him whoever pays, and his is what he pays for others.
    assert_eq!(order(&mut bench, token, BUYER, OTHER), denied(OTHER));
    order(&mut bench, token, OTHER, BUYER).unwrap();
    set(&mut bench, asset, &[BUYER, OTHER], &[OTHER]).unwrap();
    assert_eq!(order(&mut bench, token, OTHER, OTHER), denied(OTHER));
    assert_eq!(order(&mut bench, token, BUYER, MARKET), not_allowed(MARKET));
    order(&mut bench, token, BUYER, BUYER).unwrap();
    let is = bench.view(asset, &INft::getAccessCall {}).unwrap();
    let one = |who| AccessEntry { who, list: false };
    assert_eq!((is.allow, is.deny), (vec![one(BUYER), one(OTHER)], vec![one(OTHER)]));
    // Datatokens are money: who may not order may have them and sell them.
    send(&mut bench, OTHER, token, IERC20::transferCall { to: BUYER, value: whole(1) }).unwrap();
    set(&mut bench, asset, &[], &[]).unwrap();
    order(&mut bench, token, OTHER, OTHER).unwrap();
}

/// Ocean's nodes look at lists, and its contracts at none: whoever calls the datatoken, or the factory for several, passes them by.
#[test]
fn no_way_to_an_order_passes_the_lists_by() {
    let mut bench = bench();
    let Made { asset, token, .. } = publish(&mut bench);
    give(&mut bench, token, BUYER, 3);
    approve(&mut bench, token, BUYER, FACTORY);
    let before = order(&mut bench, token, BUYER, BUYER).unwrap();
    let credential = hasCredentialCall { holder: BUYER, credential: U256::ONE.into() };
    let several = IFactory::startMultipleTokenOrderCall {
        orders: vec![TokenOrder {
            token,
            consumer: BUYER,
            serviceIndex: U256::ZERO,
            providerFee: no_quote(),
            consumeMarketFee: no_market(),
        }],
    };
    let reuse = IDatatoken::reuseOrderCall { orderTxId: before, providerFee: no_quote() };
    let again = ReuseOrder { token, orderTxId: before, providerFee: no_quote() };
    let reuse_several = IFactory::reuseMultipleTokenOrderCall { orders: vec![again] };
    let valid = IDatatoken::validOrderCall { consumer: BUYER, payer: BUYER, serviceIndex: U256::ZERO };
    let check = IDatatoken::checkOrderCall { order: before, account: BUYER };
    set(&mut bench, asset, &[], &[BUYER]).unwrap();
    let spent = balance(&mut bench, token, BUYER);
    assert_eq!(order(&mut bench, token, BUYER, BUYER), denied(BUYER));
    assert_eq!(send(&mut bench, BUYER, FACTORY, several.clone()).map(drop), denied(BUYER));
    assert_eq!(send(&mut bench, BUYER, token, reuse.clone()).map(drop), denied(BUYER));
    assert_eq!(send(&mut bench, BUYER, FACTORY, reuse_several.clone()).map(drop), denied(BUYER));
    // What nodes ask before they serve, and what consent asks at each use.
    assert_eq!(bench.view(token, &check).map(drop), denied(BUYER));
    assert_eq!(bench.view(token, &valid), Ok(B256::ZERO));
    assert_eq!(bench.view(token, &credential), Ok(false));
    assert_eq!(balance(&mut bench, token, BUYER), spent);
    set(&mut bench, asset, &[BUYER], &[]).unwrap();
    assert_eq!(bench.view(token, &valid), Ok(before));
    assert_eq!(bench.view(token, &credential), Ok(true));
    send(&mut bench, BUYER, token, reuse).unwrap();
    send(&mut bench, BUYER, FACTORY, reuse_several).unwrap();
    send(&mut bench, BUYER, FACTORY, several).unwrap();
}

#[test]
fn a_list_is_asked_who_is_on_it_now_and_nobody_leaves_one_that_keeps_him_out() {
    let mut bench = bench();
    let Made { asset, token, .. } = publish(&mut bench);
    for account in [BUYER, OTHER] {
        give(&mut bench, token, account, 9);
    }
    let list = list_of(&mut bench, &[BUYER], false);
    let put = IAccessList::mintCall { user: OTHER, uri: String::new() };
    set(&mut bench, asset, &[list], &[]).unwrap();
    assert_eq!(bench.view(asset, &INft::getAccessCall {}).unwrap().allow, [AccessEntry { who: list, list: true }]);
    order(&mut bench, token, BUYER, BUYER).unwrap();
    assert_eq!(order(&mut bench, token, OTHER, OTHER), not_allowed(OTHER));
    let place = send(&mut bench, OWNER, list, put.clone()).unwrap().value;
    order(&mut bench, token, OTHER, OTHER).unwrap();
    send(&mut bench, OWNER, list, IAccessList::burnCall { tokenId: place }).unwrap();
    assert_eq!(order(&mut bench, token, OTHER, OTHER), not_allowed(OTHER));

    set(&mut bench, asset, &[], &[list]).unwrap();
    order(&mut bench, token, OTHER, OTHER).unwrap();
    assert_eq!(order(&mut bench, token, BUYER, BUYER), denied(BUYER));
    // His place is his to burn, and does not let him in.
    send(&mut bench, BUYER, list, IAccessList::burnCall { tokenId: U256::ONE }).unwrap();
    let is = bench.view(list, &IAccessList::placeOfCall { account: BUYER }).unwrap();
    assert_eq!((is.listed, is.gaveUp), (false, true));
    assert_eq!(order(&mut bench, token, BUYER, BUYER), denied(BUYER));
    // Where a list lets people in, who has left it is out.
    set(&mut bench, asset, &[list], &[]).unwrap();
    assert_eq!(order(&mut bench, token, BUYER, BUYER), not_allowed(BUYER));
    // Its owner takes him off: he puts him on it once more, and burns that.
    set(&mut bench, asset, &[], &[list]).unwrap();
    let again = IAccessList::mintCall { user: BUYER, uri: String::new() };
    let place = send(&mut bench, OWNER, list, again).unwrap().value;
    send(&mut bench, OWNER, list, IAccessList::burnCall { tokenId: place }).unwrap();
    order(&mut bench, token, BUYER, BUYER).unwrap();
}

#[test]
fn managers_say_who_may_order_and_name_no_list_whose_places_are_passed_on() {
    let mut bench = bench();
    let Made { asset, token, .. } = publish(&mut bench);
    give(&mut bench, token, BUYER, 9);
    let call = INft::setAccessCall { allow: vec![], deny: vec![BUYER] };
    let refusal = refused("ERC721RolesAddress: NOT MANAGER");
    assert_eq!(send(&mut bench, OTHER, asset, call.clone()).map(drop), Err(refusal.clone()));
    // Those who write metadata or prices are no managers.
    for role in 1..=3_u8 {
        let roles = INft::addMultipleUsersToRolesCall { addresses: vec![OTHER], roles: vec![role] };
        send(&mut bench, OWNER, asset, roles).unwrap();
    }
    assert_eq!(send(&mut bench, OTHER, asset, call.clone()).map(drop), Err(refusal));
    send(&mut bench, OWNER, asset, INft::addManagerCall { manager: OTHER }).unwrap();
    let sent = send(&mut bench, OTHER, asset, call).unwrap();
    let said = event::<INft::AccessSet>(&sent.logs);
    assert_eq!((said.allow, said.deny, said.setBy), (vec![], vec![BUYER], OTHER));
    assert_eq!(order(&mut bench, token, BUYER, BUYER), denied(BUYER));

    let passed_on = list_of(&mut bench, &[], true);
    let refusal = Failure::revert(AccessListTransferable { list: passed_on });
    assert_eq!(set(&mut bench, asset, &[passed_on], &[]), Err(refusal.clone()));
    assert_eq!(set(&mut bench, asset, &[], &[passed_on]), Err(refusal));
    let many: Vec<_> = (1..=7).map(Address::repeat_byte).collect();
    let refusal = Failure::revert(AccessTooMany { most: U256::from(6) });
    assert_eq!(set(&mut bench, asset, &many, &[]), Err(refusal.clone()));
    assert_eq!(set(&mut bench, asset, &[], &many), Err(refusal));
    // What was refused has changed nothing; as many as there may be are asked within what consent allows a check.
    assert_eq!(order(&mut bench, token, BUYER, BUYER), denied(BUYER));
    let lists: Vec<_> = (0..11).map(|_| list_of(&mut bench, &[OTHER], false)).collect();
    let last = list_of(&mut bench, &[BUYER], false);
    set(&mut bench, asset, &[&lists[..5], &[last]].concat(), &lists[5..]).unwrap();
    order(&mut bench, token, BUYER, BUYER).unwrap();
    let credential = hasCredentialCall { holder: BUYER, credential: U256::ONE.into() };
    let asked = send(&mut bench, BUYER, token, credential).unwrap();
    assert!(asked.value && asked.gas < 200_000, "{}", asked.gas);
    // They outlive a sale of the asset, and are its new owner's to change.
    let pass = stoa_contract::interfaces::IERC721::transferFromCall { from: OWNER, to: MARKET, tokenId: U256::ONE };
    send(&mut bench, OWNER, asset, pass).unwrap();
    assert_eq!(order(&mut bench, token, BUYER, OTHER), denied(OTHER));
    let open = INft::setAccessCall { allow: vec![], deny: vec![] };
    send(&mut bench, MARKET, asset, open).unwrap();
    order(&mut bench, token, BUYER, OTHER).unwrap();
}

#[test]
fn an_order_is_never_said_not_to_stand_for_want_of_gas_or_from_too_deep() {
    let mut bench = bench();
    let Made { asset, token, .. } = publish(&mut bench);
    give(&mut bench, token, BUYER, 1);
    order(&mut bench, token, BUYER, BUYER).unwrap();
    let list = list_of(&mut bench, &[BUYER], false);
    set(&mut bench, asset, &[list], &[]).unwrap();
    let credential = hasCredentialCall { holder: BUYER, credential: U256::ONE.into() };
    let yes: Bytes = hasCredentialCall::abi_encode_returns(&true).into();

    let data: Bytes = credential.abi_encode().into();
    let mut answers = [0; 2];
    for gas_limit in (25_000..100_000).step_by(200) {
        let mut tx = bench.tx(OTHER, TxKind::Call(token), U256::ZERO, data.clone());
        tx.gas_limit = gas_limit;
        let result = bench.transact(tx);
        if result.is_success() {
            assert_eq!(result.output(), Some(&yes), "{gas_limit}");
        }
        answers[usize::from(result.is_success())] += 1;
    }
    assert!(answers.into_iter().all(|count| count > 0), "{answers:?}");

    // The datatoken asks the asset, and that the list: three of them.
    for frames in 1..MAX_NATIVE_DEPTH as u8 {
        let said = bench.send_raw(OTHER, DEEP, U256::ZERO, Deep::via(frames, token, &credential));
        match usize::from(frames) + 3 <= MAX_NATIVE_DEPTH {
            true => assert_eq!(said.map(|sent| sent.value), Ok(yes.clone()), "{frames}"),
            false => assert!(said.is_err(), "{frames}: {said:?}"),
        }
    }
}

//! Lists of who may and who may not.

use super::*;
use crate::market::{AccessList, AccessListFactory};
use stoa_contract::{
    bench::assert_handles,
    interfaces::{
        IERC721, IERC721Enumerable::tokenOfOwnerByIndexCall, IERC721Metadata::tokenURICall,
        IOwnable::OwnableUnauthorizedAccount,
    },
};

fn deploy(bench: &mut Bench, transferable: bool, users: &[Address]) -> Address {
    let call = IAccessListFactory::deployAccessListContractCall {
        name: "Doctors".into(),
        symbol: "DOC".into(),
        transferable,
        owner: OWNER,
        users: users.to_vec(),
        uris: vec!["https://a.example".into(); users.len()],
    };
    let sent = send(bench, BUYER, ACCESS_LIST_FACTORY, call).unwrap();
    let new = event::<IAccessListFactory::NewAccessList>(&sent.logs);
    assert_eq!((new.contractAddress, new.owner), (sent.value, OWNER));
    sent.value
}

fn is_on(bench: &mut Bench, list: Address, who: Address) -> bool {
    !bench.view(list, &IERC721::balanceOfCall { owner: who }).unwrap().is_zero()
}

#[test]
fn every_function_of_a_list_has_a_handler() {
    assert_handles::<IAccessList::IAccessListCalls>(AccessList);
    assert_handles::<IERC721::IERC721Calls>(AccessList);
    assert_handles::<IAccessListFactory::IAccessListFactoryCalls>(AccessListFactory);
}

#[test]
fn the_owner_puts_people_on_a_list_and_takes_them_off() {
    let mut bench = bench();
    let nobody = Ok(Address::ZERO);
    assert_eq!(bench.view(ACCESS_LIST_FACTORY, &IAccessListFactory::ownerCall {}), nobody, "lists have owners alone");
    let list = deploy(&mut bench, false, &[BUYER]);
    assert!(is_on(&mut bench, list, BUYER) && !is_on(&mut bench, list, OTHER));
    let put = IAccessList::mintCall { user: OTHER, uri: "b".into() };
    let not_owner = Failure::revert(OwnableUnauthorizedAccount { account: OTHER });
    assert_eq!(send(&mut bench, OTHER, list, put.clone()).map(drop), Err(not_owner.clone()));
    let sent = send(&mut bench, OWNER, list, put).unwrap();
    assert_eq!(event::<IAccessList::AddressAdded>(&sent.logs).wallet, OTHER);
    assert_eq!(bench.view(list, &tokenURICall { tokenId: sent.value }), Ok("b".to_owned()));
    let at = tokenOfOwnerByIndexCall { owner: OTHER, index: U256::ZERO };
    assert_eq!(bench.view(list, &at), Ok(sent.value));
    let more = |users: Vec<Address>, uris: usize| IAccessList::batchMintCall { users, uris: vec![String::new(); uris] };
    assert_eq!(send(&mut bench, OTHER, list, more(vec![MARKET], 1)).map(drop), Err(not_owner));
    let odd = refused("Invalid input");
    assert_eq!(send(&mut bench, OWNER, list, more(vec![MARKET], 2)).map(drop), Err(odd.clone()));
    assert_eq!(send(&mut bench, OWNER, list, more(vec![MARKET; 65], 65)).map(drop), Err(odd));
    send(&mut bench, OWNER, list, more(vec![MARKET, COMMUNITY], 2)).unwrap();

    let off = |token_id: U256| IAccessList::burnCall { tokenId: token_id };
    let stranger = refused("ERC721: Not owner");
    assert_eq!(send(&mut bench, BUYER, list, off(sent.value)).map(drop), Err(stranger));
    let gone = send(&mut bench, OWNER, list, off(sent.value)).unwrap();
    assert_eq!(event::<IAccessList::AddressRemoved>(&gone.logs).tokenId, sent.value);
    send(&mut bench, BUYER, list, off(U256::ONE)).unwrap();
    assert!([BUYER, OTHER].iter().all(|who| !is_on(&mut bench, list, *who)));
    // A number is not used twice.
    let again = send(&mut bench, OWNER, list, IAccessList::mintCall { user: OTHER, uri: String::new() }).unwrap();
    assert_eq!(again.value, U256::from(5));
}

#[test]
fn a_place_on_a_list_is_passed_on_only_where_it_was_made_so() {
    let mut bench = bench();
    for transferable in [false, true] {
        let list = deploy(&mut bench, transferable, &[BUYER]);
        let soul_bound = IAccessListFactory::isSoulBoundCall { contractAddress: list };
        assert_eq!(bench.view(ACCESS_LIST_FACTORY, &soul_bound), Ok(!transferable));
        let pass = IERC721::transferFromCall { from: BUYER, to: OTHER, tokenId: U256::ONE };
        let passed = send(&mut bench, BUYER, list, pass).map(drop);
        assert_eq!(passed, if transferable { Ok(()) } else { Err(refused("Token not transferable")) });
        assert_eq!(is_on(&mut bench, list, OTHER), transferable);
        let initialize = IAccessList::initializeCall {
            owner: OTHER,
            name: String::new(),
            symbol: String::new(),
            transferable: true,
            users: vec![],
            uris: vec![],
        };
        for to in [list, ACCESS_LIST] {
            let refusal = Failure::Revert(Bytes::new());
            assert_eq!(send(&mut bench, OTHER, to, initialize.clone()).map(drop), Err(refusal));
        }
    }
    let strange = IAccessListFactory::isSoulBoundCall { contractAddress: OTHER };
    assert_eq!(bench.view(ACCESS_LIST_FACTORY, &strange), Err(refused("Not deployed by factory")));
}

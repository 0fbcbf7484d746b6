//! Assets: creation, metadata, roles, origins.

use super::*;
use crate::market::{Datatoken, Nft};
use stoa_contract::{
    bench::assert_handles,
    interfaces::{IERC721, IERC721Errors::ERC721InsufficientApproval},
};

fn metadata(state: u8, proofs: Vec<MetaDataProof>) -> INft::setMetaDataCall {
    INft::setMetaDataCall {
        state,
        decryptorUrl: "https://node.example".into(),
        decryptorAddress: "0x01".into(),
        flags: vec![2].into(),
        data: vec![7; 40].into(),
        dataHash: B256::repeat_byte(9),
        proofs,
    }
}

fn roles(bench: &mut Bench, asset: Address, user: Address) -> [bool; 4] {
    let Roles { manager, deployERC20, updateMetadata, store } =
        bench.view(asset, &INft::getPermissionsCall { user }).unwrap();
    [manager, deployERC20, updateMetadata, store]
}

/// Whom it is told of that they manage an asset, and who has made it so.
fn managers_told(logs: &[alloy_primitives::Log]) -> Vec<(Address, Address)> {
    let added = logs.iter().filter_map(|log| INft::AddedManager::decode_log(log).ok());
    added.map(|event| (event.data.user, event.data.signer)).collect()
}

/// Of whom it is told that they mint a datatoken.
fn minters(logs: &[alloy_primitives::Log]) -> Vec<Address> {
    let added = logs.iter().filter_map(|log| IDatatoken::AddedMinter::decode_log(log).ok());
    added.map(|event| event.data.user).collect()
}

#[test]
fn every_function_has_a_handler() {
    assert_handles::<INft::INftCalls>(Nft);
    assert_handles::<IERC721::IERC721Calls>(Nft);
    assert_handles::<IDatatoken::IDatatokenCalls>(Datatoken);
    assert_handles::<IERC20::IERC20Calls>(Datatoken);
    assert_handles::<IFactory::IFactoryCalls>(crate::market::Factory);
    assert_handles::<IRouter::IRouterCalls>(Router::default());
    assert_handles::<IFixedRate::IFixedRateCalls>(crate::market::FixedRate);
    assert_handles::<IDispenser::IDispenserCalls>(crate::market::Dispenser);
    assert_handles::<IEscrow::IEscrowCalls>(crate::market::Escrow);
}

#[test]
fn an_asset_with_a_datatoken_and_a_price_is_made_in_one_call() {
    let mut bench = bench();
    let call = IFactory::createNftWithErc20WithFixedRateCall {
        nft: nft_data(),
        datatoken: datatoken_data(),
        fixedRate: rate_data(PLAIN, 18, whole(2), 0, true),
    };
    let sent = bench.send(OWNER, FACTORY, &call).unwrap();
    let (asset, token) = (sent.value.erc721Address, sent.value.erc20Address);
    let nft = event::<IFactory::NFTCreated>(&sent.logs);
    assert_eq!((nft.newTokenAddress, nft.templateAddress, nft.admin, nft.creator), (asset, NFT, OWNER, OWNER));
    assert_eq!((&nft.tokenName[..], &nft.symbol[..], nft.transferable), ("Weather", "WTH", true));
    let made = event::<IFactory::TokenCreated>(&sent.logs);
    assert_eq!((made.newTokenAddress, made.templateAddress, made.creator), (token, DATATOKEN, asset));
    let priced = event::<IDatatoken::NewFixedRate>(&sent.logs);
    assert_eq!((priced.exchangeId, priced.owner, priced.baseToken), (sent.value.exchangeId, OWNER, PLAIN));
    assert_eq!(event::<IFixedRate::ExchangeCreated>(&sent.logs).fixedRate, whole(2));
    // Programs that make lists of roles and prices from events hear of the first ones, as from Ocean's contracts.
    assert_eq!(event::<IFixedRate::ExchangeActivated>(&sent.logs).exchangeOwner, OWNER);
    assert_eq!((managers_told(&sent.logs), minters(&sent.logs)), (vec![(OWNER, FACTORY)], vec![OWNER, FIXED_RATE]));

    assert_eq!(bench.view(asset, &IERC721::ownerOfCall { tokenId: U256::ONE }), Ok(OWNER));
    assert_eq!(bench.view(asset, &INft::getTokensListCall {}), Ok(vec![token]));
    assert_eq!(bench.view(asset, &INft::isDeployedCall { datatoken: token }), Ok(true));
    assert_eq!(bench.view(token, &IDatatoken::getERC721AddressCall {}), Ok(asset));
    assert_eq!(bench.view(token, &IDatatoken::isMinterCall { account: FIXED_RATE }), Ok(true));
    assert_eq!(bench.view(token, &IDatatoken::getPaymentCollectorCall {}), Ok(OWNER));
    assert_eq!(bench.view(FACTORY, &IFactory::erc721ListCall { token: asset }), Ok(asset));
    assert_eq!(bench.view(FACTORY, &IFactory::erc20ListCall { token }), Ok(true));
    assert_eq!(bench.view(FACTORY, &IFactory::getCurrentNFTCountCall {}), Ok(U256::ONE));
    assert_eq!(bench.view(FACTORY, &IFactory::ownerCall {}), Ok(Address::ZERO), "it is nobody's");
    let again = IFactory::getNFTTemplateCall { index: U256::ONE };
    assert_eq!(bench.view(FACTORY, &again), Ok(Template { templateAddress: NFT, isActive: true }));
}

#[test]
fn an_asset_is_made_with_its_metadata_or_a_dispenser() {
    let mut bench = bench();
    let INft::setMetaDataCall { state, decryptorUrl, decryptorAddress, flags, data, dataHash, proofs } =
        metadata(0, vec![]);
    let metadata = MetaData { state, decryptorUrl, decryptorAddress, flags, data, dataHash, proofs };
    let call = IFactory::createNftWithMetaDataCall { nft: nft_data(), metaData: metadata };
    let sent = bench.send(BUYER, FACTORY, &call).unwrap();
    assert_eq!(event::<INft::MetadataCreated>(&sent.logs).metaDataHash, B256::repeat_byte(9));
    assert_eq!(bench.view(sent.value, &IERC721::ownerOfCall { tokenId: U256::ONE }), Ok(OWNER));
    // Who called has no part in it.
    assert_eq!(roles(&mut bench, sent.value, BUYER), [false; 4]);

    let dispenser = DispenserData {
        dispenserAddress: DISPENSER,
        maxTokens: whole(1),
        maxBalance: whole(1),
        withMint: true,
        allowedSwapper: Address::ZERO,
    };
    let call =
        IFactory::createNftWithErc20WithDispenserCall { nft: nft_data(), datatoken: datatoken_data(), dispenser };
    let token = bench.send(BUYER, FACTORY, &call).unwrap().value.erc20Address;
    let status = bench.view(DISPENSER, &IDispenser::statusCall { datatoken: token }).unwrap();
    assert_eq!((status.active, status.owner, status.isMinter), (true, OWNER, true));
}

#[test]
fn nobody_initializes_an_asset_or_a_datatoken_again() {
    let mut bench = bench();
    let made = publish(&mut bench);
    let nft = INft::initializeCall {
        owner: OTHER,
        name: String::new(),
        symbol: String::new(),
        tokenFactory: FACTORY,
        additionalERC20Deployer: Address::ZERO,
        additionalMetaDataUpdater: Address::ZERO,
        tokenURI: String::new(),
        transferable: true,
    };
    let datatoken = IDatatoken::initializeCall {
        strings: vec![String::new(); 2],
        addresses: vec![OTHER; 4],
        factoryAddresses: vec![made.asset],
        uints: vec![U256::ONE; 2],
        bytess: vec![],
    };
    for to in [made.asset, NFT] {
        let already = refused("ERC721Template: token instance already initialized");
        assert_eq!(send(&mut bench, OTHER, to, nft.clone()).map(drop), Err(already));
    }
    for to in [made.token, DATATOKEN] {
        let already = refused("ERC20Template: token instance already initialized");
        assert_eq!(send(&mut bench, OTHER, to, datatoken.clone()).map(drop), Err(already));
    }
    let create = IFactory::createTokenCall {
        templateIndex: U256::ONE,
        strings: vec![String::new(); 2],
        addresses: vec![OTHER; 4],
        uints: vec![U256::ONE; 2],
        bytess: vec![],
    };
    let refusal = refused("ERC721Factory: ONLY ERC721 INSTANCE FROM ERC721FACTORY");
    assert_eq!(send(&mut bench, OTHER, FACTORY, create).map(drop), Err(refusal));
}

#[test]
fn what_there_is_no_template_for_is_not_made() {
    let mut bench = bench();
    let (nft, datatoken) = (nft_data(), datatoken_data());
    let two = U256::from(2);
    let mut no_cap = datatoken.clone();
    no_cap.uints[0] = U256::ZERO;
    let cases = [
        (
            NftData { templateIndex: two, ..nft.clone() },
            datatoken.clone(),
            "ERC721DTFactory: Template index doesnt exist",
        ),
        (
            NftData { owner: Address::ZERO, ..nft.clone() },
            datatoken.clone(),
            "ERC721DTFactory: address(0) cannot be owner",
        ),
        (nft.clone(), DatatokenData { templateIndex: two, ..datatoken }, "ERC20Factory: Template index doesnt exist"),
        (nft, no_cap, "ERC20Factory: zero cap is not allowed"),
    ];
    for (nft, datatoken, refusal) in cases {
        let call = IFactory::createNftWithErc20Call { nft, datatoken };
        assert_eq!(send(&mut bench, OWNER, FACTORY, call).map(drop), Err(refused(refusal)));
    }
    let index = IFactory::getTokenTemplateCall { index: two };
    let refusal = refused("ERC20DTFactory: Template index doesnt exist");
    assert_eq!(bench.view(FACTORY, &index).map(drop), Err(refusal));
}

#[test]
fn metadata_are_set_by_who_may_and_validators_sign_their_hash() {
    let mut bench = bench();
    let asset = publish(&mut bench).asset;
    let refusal = refused("ERC721Template: NOT METADATA_ROLE");
    assert_eq!(send(&mut bench, OTHER, asset, metadata(0, vec![])).map(drop), Err(refusal.clone()));
    let validator = signer(1);
    let (v, r, s) = sign(&validator, B256::repeat_byte(9));
    let proof = MetaDataProof { validatorAddress: validator.address(), v, r, s };
    let sent = send(&mut bench, OWNER, asset, metadata(0, vec![proof.clone()])).unwrap();
    assert_eq!(event::<INft::MetadataCreated>(&sent.logs).createdBy, OWNER);
    assert_eq!(event::<INft::MetadataValidated>(&sent.logs).validator, validator.address());
    assert_eq!(bench.view(asset, &INft::metaDataHashCall {}), Ok(B256::repeat_byte(9)));
    let sent = send(&mut bench, OWNER, asset, metadata(5, vec![])).unwrap();
    assert_eq!((count::<INft::MetadataCreated>(&sent.logs), count::<INft::MetadataUpdated>(&sent.logs)), (0, 1));
    let is = bench.view(asset, &INft::getMetaDataCall {}).unwrap();
    assert_eq!((&is.decryptorUrl[..], is.state, is.hasMetaData), ("https://node.example", 5, true));

    // A proof by another, and one over another hash.
    let forged = MetaDataProof { validatorAddress: OTHER, ..proof.clone() };
    let invalid = Failure::revert(INft::AssetProofInvalid { validator: OTHER });
    assert_eq!(send(&mut bench, OWNER, asset, metadata(0, vec![forged])).map(drop), Err(invalid));
    let other_hash = INft::setMetaDataCall { dataHash: B256::repeat_byte(8), ..metadata(0, vec![proof.clone()]) };
    assert!(send(&mut bench, OWNER, asset, other_hash).is_err());
    let many = refused("Too Many Proofs");
    assert_eq!(send(&mut bench, OWNER, asset, metadata(0, vec![proof; 51])).map(drop), Err(many));

    let unknown = Failure::revert(INft::AssetStateUnknown { state: 6 });
    assert_eq!(send(&mut bench, OWNER, asset, INft::setMetaDataStateCall { state: 6 }).map(drop), Err(unknown));
    let sent = send(&mut bench, OWNER, asset, INft::setMetaDataStateCall { state: 3 }).unwrap();
    assert_eq!(event::<INft::MetadataState>(&sent.logs).state, 3);
    let update = INft::addToMetadataListCall { account: OTHER };
    send(&mut bench, OWNER, asset, update).unwrap();
    send(&mut bench, OTHER, asset, INft::setMetaDataStateCall { state: 0 }).unwrap();
    let uri = INft::setTokenURICall { tokenId: U256::ONE, tokenURI: "https://b.example".into() };
    let other = INft::setTokenURICall { tokenId: U256::ZERO, ..uri.clone() };
    let none = refused("ERC721URIStorage: URI set of nonexistent token");
    assert_eq!(send(&mut bench, OWNER, asset, other).map(drop), Err(none));
    // That is the owner's alone, as in Ocean.
    let not_owner = refused("ERC721Template: not NFTOwner");
    assert_eq!(send(&mut bench, OTHER, asset, uri.clone()).map(drop), Err(not_owner.clone()));
    let INft::setMetaDataCall { state, decryptorUrl, decryptorAddress, flags, data, dataHash, proofs } =
        metadata(0, vec![]);
    let (tokenId, tokenURI) = (U256::ONE, "https://c.example".into());
    let metaData =
        MetaDataAndUri { state, decryptorUrl, decryptorAddress, flags, data, dataHash, tokenId, tokenURI, proofs };
    let both = INft::setMetaDataAndTokenURICall { metaData };
    assert_eq!(send(&mut bench, OTHER, asset, both).map(drop), Err(not_owner));
    send(&mut bench, OWNER, asset, uri).unwrap();
    let shown = bench.view(asset, &stoa_contract::interfaces::IERC721Metadata::tokenURICall { tokenId: U256::ONE });
    assert_eq!(shown, Ok("https://b.example".to_owned()));
}

#[test]
fn each_role_is_given_by_who_may_and_allows_one_thing() {
    let mut bench = bench();
    let made = publish(&mut bench);
    let asset = made.asset;
    assert_eq!(roles(&mut bench, asset, OWNER), [true; 4]);
    let no_manager = refused("ERC721RolesAddress: NOT MANAGER");
    let call = INft::addTo725StoreListCall { account: OTHER };
    assert_eq!(send(&mut bench, OTHER, asset, call).map(drop), Err(no_manager));
    let not_owner = refused("ERC721Template: not NFTOwner");
    assert_eq!(send(&mut bench, OTHER, asset, INft::addManagerCall { manager: OTHER }).map(drop), Err(not_owner));
    send(&mut bench, OWNER, asset, INft::addManagerCall { manager: BUYER }).unwrap();
    send(&mut bench, BUYER, asset, INft::addTo725StoreListCall { account: OTHER }).unwrap();
    assert_eq!(roles(&mut bench, asset, OTHER), [false, false, false, true]);
    let (key, value) = (B256::repeat_byte(1), Bytes::from(vec![5; 70]));
    send(&mut bench, OTHER, asset, INft::setNewDataCall { key, value: value.clone() }).unwrap();
    let no_store = refused("ERC721Template: NOT STORE UPDATER");
    let call = INft::setNewDataCall { key, value: Bytes::new() };
    assert_eq!(send(&mut bench, MARKET, asset, call).map(drop), Err(no_store));
    assert_eq!(bench.view(asset, &INft::getDataCall { key }), Ok(value));
    let not_deployer = refused("ERC721Template: NOT ERC20DEPLOYER_ROLE");
    let DatatokenData { templateIndex, strings, addresses, uints, bytess } = datatoken_data();
    let create = INft::createERC20Call { templateIndex, strings, addresses, uints, bytess };
    assert_eq!(send(&mut bench, OTHER, asset, create.clone()).map(drop), Err(not_deployer));
    // Several at once: other roles by a manager, managers by the owner alone.
    let many = INft::addMultipleUsersToRolesCall { addresses: vec![OTHER, OTHER], roles: vec![1, 2] };
    send(&mut bench, BUYER, asset, many).unwrap();
    assert_eq!(roles(&mut bench, asset, OTHER), [false, true, true, true]);
    let token = send(&mut bench, OTHER, asset, create).unwrap().value;
    let managers = INft::addMultipleUsersToRolesCall { addresses: vec![OTHER], roles: vec![0] };
    assert!(send(&mut bench, BUYER, asset, managers.clone()).is_err());
    send(&mut bench, OWNER, asset, managers).unwrap();
    let size = refused("Invalid array size");
    for (users, roles) in [(1, 2), (0, 0), (50, 50)] {
        let call = INft::addMultipleUsersToRolesCall { addresses: vec![MARKET; users], roles: vec![1; roles] };
        assert_eq!(send(&mut bench, OWNER, asset, call).map(drop), Err(size.clone()));
    }
    let no_role = INft::addMultipleUsersToRolesCall { addresses: vec![MARKET], roles: vec![4] };
    assert_eq!(send(&mut bench, OWNER, asset, no_role).map(drop), Err(Failure::Revert(Bytes::new())));
    // A stranger takes no role away.
    for (call, refusal) in [
        (INft::removeManagerCall { manager: OTHER }.abi_encode(), "ERC721Template: not NFTOwner"),
        (
            INft::removeFrom725StoreListCall { account: OTHER }.abi_encode(),
            "ERC721RolesAddress: Not enough permissions to remove from 725StoreList",
        ),
    ] {
        let sent = bench.send_raw(MARKET, asset, U256::ZERO, call.into());
        assert_eq!(sent.map(drop), Err(refused(refusal)));
    }
    // Who has a role may give it up.
    send(&mut bench, OTHER, asset, INft::removeFrom725StoreListCall { account: OTHER }).unwrap();
    assert_eq!(roles(&mut bench, asset, OTHER), [true, true, true, false]);
    // A datatoken writes its own key.
    send(&mut bench, OTHER, token, IDatatoken::setDataCall { value: vec![1, 2].into() }).unwrap();
    let key = keccak256(token);
    assert_eq!(bench.view(asset, &INft::getDataCall { key }), Ok(Bytes::from(vec![1, 2])));
    let not_token = refused("ERC721Template: NOT ERC20 Contract");
    let call = INft::setDataERC20Call { key, value: Bytes::new() };
    assert_eq!(send(&mut bench, OWNER, asset, call).map(drop), Err(not_token));
    let sent = send(&mut bench, OWNER, asset, INft::cleanPermissionsCall {}).unwrap();
    assert_eq!(managers_told(&sent.logs), [(OWNER, OWNER)], "the owner keeps all roles");
    assert_eq!((roles(&mut bench, asset, OTHER), roles(&mut bench, asset, OWNER)), ([false; 4], [true; 4]));
}

#[test]
fn a_transfer_of_the_asset_ends_all_roles_and_keeps_the_exchange() {
    let mut bench = bench();
    let made = publish_at(&mut bench, PLAIN, 18, whole(1), 0);
    let (asset, token) = (made.asset, made.token);
    send(&mut bench, OWNER, asset, INft::addManagerCall { manager: OTHER }).unwrap();
    send(&mut bench, OWNER, token, IDatatoken::addMinterCall { minter: OTHER }).unwrap();
    send(&mut bench, OWNER, token, IDatatoken::setPaymentCollectorCall { collector: OTHER }).unwrap();
    send(&mut bench, OTHER, token, IDatatoken::mintCall { account: OTHER, value: whole(1) }).unwrap();
    let may = bench.view(token, &IDatatoken::permissionsCall { user: OTHER }).unwrap();
    assert_eq!((may.minter, may.paymentManager), (true, false));
    let transfer = |from, to| IERC721::transferFromCall { from, to, tokenId: U256::ONE };
    let stranger = Failure::revert(ERC721InsufficientApproval { operator: OTHER, tokenId: U256::ONE });
    assert_eq!(send(&mut bench, OTHER, asset, transfer(OWNER, OTHER)).map(drop), Err(stranger));
    let sent = send(&mut bench, OWNER, asset, transfer(OWNER, BUYER)).unwrap();
    assert_eq!((count::<INft::CleanedPermissions>(&sent.logs), managers_told(&sent.logs)), (1, vec![(BUYER, OWNER)]));

    assert_eq!(roles(&mut bench, asset, OTHER), [false; 4]);
    assert_eq!(roles(&mut bench, asset, OWNER), [false; 4]);
    assert_eq!(roles(&mut bench, asset, BUYER), [true; 4]);
    let no_minter = refused("ERC20Template: NOT MINTER");
    for former in [OWNER, OTHER] {
        let mint = IDatatoken::mintCall { account: former, value: whole(1) };
        assert_eq!(send(&mut bench, former, token, mint).map(drop), Err(no_minter.clone()));
    }
    assert_eq!(bench.view(token, &IDatatoken::getPaymentCollectorCall {}), Ok(BUYER));
    let not_owner = refused("FixedRateExchange: invalid exchange owner");
    let rate = IFixedRate::setRateCall { exchangeId: made.exchange, newRate: whole(9) };
    assert_eq!(send(&mut bench, OWNER, FIXED_RATE, rate.clone()).map(drop), Err(not_owner));
    send(&mut bench, BUYER, FIXED_RATE, rate).unwrap();
    // The exchange goes on selling, for the new owner.
    fund(&mut bench, PLAIN, OTHER, whole(100));
    approve(&mut bench, PLAIN, OTHER, FIXED_RATE);
    buy(&mut bench, OTHER, made.exchange, whole(1), whole(100)).unwrap();
    // The former roles do not come back with the former owner.
    send(&mut bench, BUYER, asset, transfer(BUYER, OWNER)).unwrap();
    assert_eq!(roles(&mut bench, asset, OTHER), [false; 4]);
    assert_eq!(bench.view(token, &IDatatoken::isMinterCall { account: OTHER }), Ok(false));

    let bound = NftData { transferable: false, ..nft_data() };
    let call = IFactory::createNftWithErc20Call { nft: bound, datatoken: datatoken_data() };
    let asset = bench.send(OWNER, FACTORY, &call).unwrap().value.erc721Address;
    let fixed = refused("ERC721Template: Is non transferable");
    assert_eq!(send(&mut bench, OWNER, asset, transfer(OWNER, BUYER)).map(drop), Err(fixed));
}

#[test]
fn an_asset_tells_what_it_was_made_from() {
    let mut bench = bench();
    let [asset, first, second] = [(); 3].map(|()| publish(&mut bench).asset);
    let record = |ancestors: Vec<Address>| INft::recordDerivationCall { ancestors };
    let refusal = refused("ERC721Template: NOT METADATA_ROLE");
    assert_eq!(send(&mut bench, OTHER, asset, record(vec![first])).map(drop), Err(refusal));
    let sent = send(&mut bench, OWNER, asset, record(vec![first, second])).unwrap();
    assert_eq!(count::<INft::DerivationRecorded>(&sent.logs), 2);
    assert_eq!(bench.view(asset, &INft::getDerivationsCall {}), Ok(vec![first, second]));
    for ancestor in [asset, OTHER, Address::ZERO] {
        let invalid = Failure::revert(INft::AssetAncestryInvalid { ancestor });
        assert_eq!(send(&mut bench, OWNER, asset, record(vec![ancestor])).map(drop), Err(invalid));
    }
    send(&mut bench, OWNER, asset, record(vec![first; 62])).unwrap();
    let too_many = Failure::revert(INft::AssetAncestorsTooMany { most: U256::from(64) });
    assert_eq!(send(&mut bench, OWNER, asset, record(vec![first])).map(drop), Err(too_many));
}

#[test]
fn the_owner_of_an_asset_ends_the_roles_of_one_datatoken() {
    let mut bench = bench();
    let made = publish_at(&mut bench, PLAIN, 18, whole(1), 0);
    let token = made.token;
    for call in [
        IDatatoken::addMinterCall { minter: OTHER }.abi_encode(),
        IDatatoken::addPaymentManagerCall { manager: OTHER }.abi_encode(),
        IDatatoken::setPaymentCollectorCall { collector: OTHER }.abi_encode(),
    ] {
        bench.send_raw(OWNER, token, U256::ZERO, call.into()).unwrap();
    }
    let twice = refused("ERC20Roles:  ALREADY A MINTER");
    assert_eq!(send(&mut bench, OWNER, token, IDatatoken::addMinterCall { minter: OTHER }).map(drop), Err(twice));
    send(&mut bench, OTHER, token, IDatatoken::setPaymentCollectorCall { collector: MARKET }).unwrap();
    let not_owner = refused("ERC20Template: not NFTOwner");
    assert_eq!(send(&mut bench, OTHER, token, IDatatoken::cleanPermissionsCall {}).map(drop), Err(not_owner));
    let sent = send(&mut bench, OWNER, token, IDatatoken::cleanPermissionsCall {}).unwrap();
    assert_eq!(minters(&sent.logs), [FIXED_RATE], "an exchange that mints goes on");
    let none = DatatokenRoles { minter: false, paymentManager: false };
    assert_eq!(bench.view(token, &IDatatoken::getPermissionsCall { user: OTHER }), Ok(none));
    assert_eq!(bench.view(token, &IDatatoken::getPaymentCollectorCall {}), Ok(OWNER));
    let no_manager = refused("ERC20Template: NOT PAYMENT MANAGER or OWNER");
    let call = IDatatoken::setPaymentCollectorCall { collector: OTHER };
    assert_eq!(send(&mut bench, OTHER, token, call).map(drop), Err(no_manager));
    assert_eq!(bench.view(token, &IDatatoken::isMinterCall { account: FIXED_RATE }), Ok(true));
}

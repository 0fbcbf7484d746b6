//! What Ocean's clients look for: selectors and topics as in the artifacts of `@oceanprotocol/contracts` 2.6.0.

use super::*;
use alloy_primitives::hex;

fn topic<E: SolEvent>() -> String {
    hex::encode(&E::SIGNATURE_HASH[..4])
}

fn selector<C: SolCall>() -> String {
    hex::encode(C::SELECTOR)
}

#[test]
fn events_have_the_topics_of_oceans_contracts() {
    let topics = [
        (topic::<IFactory::NFTCreated>(), "8125264e"),
        (topic::<IFactory::TokenCreated>(), "567699db"),
        (topic::<INft::AddedManager>(), "af8fc8b6"),
        (topic::<INft::MetadataCreated>(), "5463569d"),
        (topic::<INft::MetadataUpdated>(), "e5c4cf86"),
        (topic::<INft::MetadataState>(), "a8336411"),
        (topic::<INft::MetadataValidated>(), "2819d8ba"),
        (topic::<INft::TokenURIUpdate>(), "6de6cd39"),
        (topic::<IDatatoken::AddedMinter>(), "4f7e100e"),
        (topic::<IDatatoken::OrderStarted>(), "e1c4fa79"),
        (topic::<IDatatoken::OrderReused>(), "526e3144"),
        (topic::<IDatatoken::OrderExecuted>(), "c9a10280"),
        (topic::<IDatatoken::ProviderFee>(), "f8ed11cd"),
        (topic::<IFixedRate::ExchangeCreated>(), "eb7a3536"),
        (topic::<IFixedRate::ExchangeActivated>(), "c7344c45"),
        (topic::<IFixedRate::ExchangeRateChanged>(), "e50f9919"),
        (topic::<IFixedRate::Swapped>(), "7b072645"),
        (topic::<IDispenser::DispenserCreated>(), "7d0aa581"),
        (topic::<IDispenser::TokensDispensed>(), "63e223ff"),
        (topic::<IEscrow::Auth>(), "118cb6c6"),
        (topic::<IEscrow::Lock>(), "b746b042"),
        (topic::<IEscrow::Claimed>(), "77aeb72a"),
        (topic::<IEscrow::Canceled>(), "5bcb66e3"),
        (topic::<IEscrow::Deposit>(), "5548c837"),
        (topic::<IEscrow::Withdraw>(), "9b1bfa7f"),
        (topic::<IAccessListFactory::NewAccessList>(), "d65bc8e3"),
        (topic::<IAccessList::AddressAdded>(), "9cc98767"),
        (topic::<IAccessList::AddressRemoved>(), "b1e73188"),
    ];
    for (is, oceans) in topics {
        assert_eq!(is, oceans);
    }
}

#[test]
fn functions_have_the_selectors_of_oceans_contracts() {
    let selectors = [
        (selector::<IFactory::deployERC721ContractCall>(), "3147c798"),
        (selector::<IFactory::createNftWithErc20Call>(), "f86b2bcf"),
        (selector::<IFactory::createNftWithErc20WithFixedRateCall>(), "d282aa86"),
        (selector::<IFactory::createNftWithErc20WithDispenserCall>(), "aa897ddc"),
        (selector::<IFactory::createNftWithMetaDataCall>(), "26f20066"),
        (selector::<IFactory::startMultipleTokenOrderCall>(), "94be0e88"),
        (selector::<IFactory::reuseMultipleTokenOrderCall>(), "2515422e"),
        (selector::<IFactory::ownerCall>(), "8da5cb5b"),
        (selector::<IFactory::getTokenTemplateCall>(), "042ab9b3"),
        (selector::<IFactory::getCurrentTemplateCountCall>(), "95c60305"),
        (selector::<INft::createERC20Call>(), "e38d7cad"),
        (selector::<INft::setMetaDataCall>(), "1aa3adf9"),
        (selector::<INft::setMetaDataStateCall>(), "467c97f5"),
        (selector::<INft::getMetaDataCall>(), "d2786ba4"),
        (selector::<INft::getPermissionsCall>(), "160a7925"),
        (selector::<IDatatoken::startOrderCall>(), "79d9d7f3"),
        (selector::<IDatatoken::reuseOrderCall>(), "361fef49"),
        (selector::<IDatatoken::orderExecutedCall>(), "89208f0f"),
        (selector::<IDatatoken::createFixedRateCall>(), "8b96412b"),
        (selector::<IDatatoken::createDispenserCall>(), "191c918a"),
        (selector::<IFixedRate::buyDTCall>(), "68c4b7e9"),
        (selector::<IFixedRate::sellDTCall>(), "50d571d5"),
        (selector::<IFixedRate::calcBaseInGivenOutDTCall>(), "dd1bc96a"),
        (selector::<IFixedRate::getExchangeCall>(), "4c87087d"),
        (selector::<IDispenser::dispenseCall>(), "1d746d83"),
        (selector::<IDispenser::statusCall>(), "645b8b1b"),
        (selector::<IEscrow::depositCall>(), "47e7ef24"),
        (selector::<IEscrow::authorizeCall>(), "15fac1cc"),
        (selector::<IEscrow::createLockCall>(), "842d2c20"),
        (selector::<IEscrow::claimLockCall>(), "57d92e45"),
        (selector::<IEscrow::cancelExpiredLockCall>(), "3f918c03"),
        (selector::<IEscrow::withdrawCall>(), "de6d6d96"),
        (selector::<IAccessListFactory::deployAccessListContractCall>(), "73282534"),
        (selector::<IAccessListFactory::ownerCall>(), "8da5cb5b"),
        (selector::<IAccessList::mintCall>(), "d0def521"),
        (selector::<IAccessList::batchMintCall>(), "64ba144e"),
        (selector::<IAccessList::burnCall>(), "42966c68"),
    ];
    for (is, oceans) in selectors {
        assert_eq!(is, oceans);
    }
}

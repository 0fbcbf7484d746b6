//! From call data to the functions of the factory.

use super::{Factory, template};
use crate::market::abi::{
    DATATOKEN,
    IFactory::{
        IFactoryCalls as Calls, createNftWithErc20Return, createNftWithErc20WithDispenserReturn,
        createNftWithErc20WithFixedRateReturn,
    },
    NFT, NftData, ROUTER,
};
use alloy_primitives::{Address, Bytes, U256};
use stoa_contract::{Context, Error, NativeContract, Result, abi};

impl NativeContract for Factory {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        let state = self.state();
        match abi::decode(cx)?.ok_or(Error::UnknownFunction)? {
            Calls::deployERC721Contract(call) => {
                let data = NftData {
                    name: call.name.clone(),
                    symbol: call.symbol.clone(),
                    templateIndex: call.templateIndex,
                    tokenURI: call.tokenURI.clone(),
                    transferable: call.transferable,
                    owner: call.owner,
                };
                let helpers = [call.additionalERC20Deployer, call.additionalMetaDataUpdater];
                abi::reply(&call, self.create_asset(cx, data, helpers))
            }
            Calls::createToken(call) => abi::reply(&call, self.create_token(cx, &call)),
            Calls::createNftWithErc20(call) => {
                let made = self.create_both(cx, call.nft.clone(), call.datatoken.clone());
                let made =
                    made.map(|(erc721Address, erc20Address)| createNftWithErc20Return { erc721Address, erc20Address });
                abi::reply(&call, made)
            }
            Calls::createNftWithErc20WithFixedRate(call) => {
                let made = self.create_with_rate(cx, call.nft.clone(), call.datatoken.clone(), call.fixedRate.clone());
                let made = made.map(|(erc721Address, erc20Address, exchangeId)| {
                    createNftWithErc20WithFixedRateReturn { erc721Address, erc20Address, exchangeId }
                });
                abi::reply(&call, made)
            }
            Calls::createNftWithErc20WithDispenser(call) => {
                let (asset, token, dispenser) = (call.nft.clone(), call.datatoken.clone(), call.dispenser.clone());
                let made = self.create_with_dispenser(cx, asset, token, dispenser);
                let made = made.map(|(erc721Address, erc20Address)| createNftWithErc20WithDispenserReturn {
                    erc721Address,
                    erc20Address,
                });
                abi::reply(&call, made)
            }
            Calls::createNftWithMetaData(call) => {
                abi::reply(&call, self.create_with_metadata(cx, call.nft.clone(), call.metaData.clone()))
            }
            Calls::startMultipleTokenOrder(call) => abi::done(self.start_orders(cx, call.orders)),
            Calls::reuseMultipleTokenOrder(call) => abi::done(self.reuse_orders(cx, call.orders)),
            // What Ocean's owner may do, register templates, nobody can here.
            Calls::owner(call) => abi::reply(&call, Ok(Address::ZERO)),
            Calls::router(call) => abi::reply(&call, Ok(ROUTER)),
            Calls::erc20List(call) => abi::reply(&call, state.datatokens.at(&call.token).read(cx)),
            Calls::erc721List(call) => {
                let listed = state.assets.at(&call.token).read(cx);
                abi::reply(&call, listed.map(|listed| if listed { call.token } else { Address::ZERO }))
            }
            Calls::getCurrentNFTCount(call) => abi::reply(&call, state.asset_count.read(cx).map(U256::from)),
            Calls::getCurrentTokenCount(call) => abi::reply(&call, state.datatoken_count.read(cx).map(U256::from)),
            Calls::getCurrentNFTTemplateCount(call) => abi::reply(&call, Ok(U256::ONE)),
            Calls::getCurrentTemplateCount(call) => abi::reply(&call, Ok(U256::ONE)),
            Calls::getNFTTemplate(call) => abi::reply(&call, template(call.index, NFT)),
            Calls::getTokenTemplate(call) => abi::reply(&call, template(call.index, DATATOKEN)),
        }
    }

    fn interfaces(&self) -> Vec<[u8; 4]> {
        vec![abi::interface_id::<Calls>()]
    }

    /// There is one list of what was made: on another account's storage it would be anybody's.
    fn may_be_delegated(&self) -> bool {
        false
    }
}

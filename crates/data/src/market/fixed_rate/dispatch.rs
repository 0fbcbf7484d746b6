//! From call data to the functions of the exchange.

use super::{FixedRate, HIGHEST_FEE, LOWEST_FEE, LOWEST_RATE, State, exchange_id};
use crate::market::abi::{IFixedRate::IFixedRateCalls as Calls, ROUTER};
use alloy_primitives::{Bytes, U256};
use stoa_contract::{Context, Error, NativeContract, Result, abi};

impl NativeContract for FixedRate {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        match abi::decode(cx)?.ok_or(Error::UnknownFunction)? {
            Calls::MIN_FEE(call) => abi::reply(&call, Ok(U256::from(LOWEST_FEE))),
            Calls::MAX_FEE(call) => abi::reply(&call, Ok(U256::from(HIGHEST_FEE))),
            Calls::MIN_RATE(call) => abi::reply(&call, Ok(U256::from(LOWEST_RATE))),
            Calls::getId(call) => abi::reply(&call, Ok(1)),
            Calls::router(call) => abi::reply(&call, Ok(ROUTER)),
            Calls::createWithDecimals(call) => abi::reply(&call, self.create(cx, &call)),
            Calls::generateExchangeId(call) => abi::reply(&call, Ok(exchange_id(call.baseToken, call.datatoken))),
            Calls::calcBaseInGivenOutDT(call) => abi::reply(
                &call,
                self.price_in(cx, call.exchangeId, call.datatokenAmount, call.consumeMarketSwapFeeAmount),
            ),
            Calls::calcBaseOutGivenInDT(call) => abi::reply(
                &call,
                self.price_out(cx, call.exchangeId, call.datatokenAmount, call.consumeMarketSwapFeeAmount),
            ),
            Calls::buyDT(call) => abi::done(self.buy(cx, &call)),
            Calls::sellDT(call) => abi::done(self.sell(cx, &call)),
            Calls::collectBT(call) => abi::done(self.collect_base(cx, call.exchangeId, call.amount)),
            Calls::collectDT(call) => abi::done(self.collect_datatokens(cx, call.exchangeId, call.amount)),
            Calls::collectMarketFee(call) => abi::done(self.collect_market_fee(cx, call.exchangeId)),
            Calls::collectOceanFee(call) => abi::done(self.collect_community_fee(cx, call.exchangeId)),
            Calls::updateMarketFee(call) => abi::done(self.set_market_fee(cx, call.exchangeId, call.newMarketFee)),
            Calls::updateMarketFeeCollector(call) => {
                abi::done(self.set_market(cx, call.exchangeId, call.newMarketCollector))
            }
            Calls::setRate(call) => abi::done(self.set_rate(cx, call.exchangeId, call.newRate)),
            Calls::toggleExchangeState(call) => abi::done(self.toggle(cx, call.exchangeId)),
            Calls::toggleMintState(call) => abi::done(self.set_mint(cx, call.exchangeId, call.withMint)),
            Calls::setAllowedSwapper(call) => abi::done(self.set_swapper(cx, call.exchangeId, call.newAllowedSwapper)),
            Calls::getExchange(call) => abi::reply(&call, self.get(cx, call.exchangeId)),
            Calls::getFeesInfo(call) => abi::reply(&call, self.fees(cx, call.exchangeId)),
            Calls::getAllowedSwapper(call) => {
                let (exchange, _) = self.exchange(cx, call.exchangeId)?;
                abi::reply(&call, exchange.swapper.read(cx))
            }
            Calls::getBTSupply(call) => abi::reply(&call, self.base_supply(cx, call.exchangeId)),
            Calls::getDTSupply(call) => abi::reply(&call, self.datatoken_supply(cx, call.exchangeId)),
            Calls::getMarketFee(call) => {
                let (exchange, _) = self.exchange(cx, call.exchangeId)?;
                abi::reply(&call, exchange.market_fee.read(cx).map(U256::from))
            }
            Calls::getOPCFee(call) => abi::reply(&call, self.community_fee(cx, call.baseTokenAddress)),
            Calls::getRate(call) => {
                let (exchange, _) = self.exchange(cx, call.exchangeId)?;
                abi::reply(&call, exchange.rate.read(cx))
            }
            Calls::isActive(call) => abi::reply(&call, State::root().exchanges.at(&call.exchangeId).active.read(cx)),
            Calls::getNumberOfExchanges(call) => abi::reply(&call, State::root().ids.len(cx).map(U256::from)),
            Calls::getExchanges(call) => abi::reply(&call, State::root().ids.values(cx)),
        }
    }

    fn interfaces(&self) -> Vec<[u8; 4]> {
        vec![abi::interface_id::<Calls>()]
    }

    /// There is one exchange: on another account's storage it would be anybody's.
    fn may_be_delegated(&self) -> bool {
        false
    }
}

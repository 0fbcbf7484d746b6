//! From call data to the functions of the table of fees.

use super::Router;
use crate::market::abi::{
    DISPENSER, FACTORY, FIXED_RATE,
    IRouter::{IRouterCalls as Calls, getOPCFeesReturn},
};
use alloy_primitives::{Bytes, U256};
use stoa_contract::{Context, Error, NativeContract, Result, abi};

impl NativeContract for Router {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        let state = self.state();
        match abi::decode(cx)?.ok_or(Error::UnknownFunction)? {
            Calls::routerOwner(call) => abi::reply(&call, state.owner.read(cx)),
            Calls::changeRouterOwner(call) => abi::done(self.change_owner(cx, call.owner)),
            Calls::factory(call) => abi::reply(&call, Ok(FACTORY)),
            Calls::getOPCCollector(call) => abi::reply(&call, state.collector.read(cx)),
            Calls::opcCollector(call) => abi::reply(&call, state.collector.read(cx)),
            Calls::updateOPCCollector(call) => abi::done(self.update_collector(cx, call.collector)),
            Calls::getOPCFee(call) => abi::reply(&call, self.swap_fee(cx, call.baseToken)),
            Calls::getOPCFees(call) => {
                let swapOceanFee = U256::from(state.swap_approved.read(cx)?);
                let swapNonOceanFee = U256::from(state.swap_other.read(cx)?);
                abi::reply(&call, Ok(getOPCFeesReturn { swapOceanFee, swapNonOceanFee }))
            }
            Calls::getOPCConsumeFee(call) => abi::reply(&call, self.effective(cx, state.consume)),
            Calls::getOPCProviderFee(call) => abi::reply(&call, self.effective(cx, state.provider)),
            Calls::swapOceanFee(call) => abi::reply(&call, state.swap_approved.read(cx).map(U256::from)),
            Calls::swapNonOceanFee(call) => abi::reply(&call, state.swap_other.read(cx).map(U256::from)),
            Calls::consumeFee(call) => abi::reply(&call, state.consume.read(cx).map(U256::from)),
            Calls::providerFee(call) => abi::reply(&call, state.provider.read(cx).map(U256::from)),
            Calls::updateOPCFee(call) => abi::done(self.update_fees(cx, &call)),
            Calls::isApprovedToken(call) => abi::reply(&call, self.is_approved(cx, call.token)),
            Calls::getApprovedTokens(call) => abi::reply(&call, self.approved(cx)),
            Calls::addApprovedToken(call) => abi::done(self.approve_token(cx, call.token, true)),
            Calls::removeApprovedToken(call) => abi::done(self.approve_token(cx, call.token, false)),
            Calls::isFixedRateContract(call) => abi::reply(&call, Ok(call.fixedRate == FIXED_RATE)),
            Calls::getFixedRatesContracts(call) => abi::reply(&call, Ok(vec![FIXED_RATE])),
            Calls::isDispenserContract(call) => abi::reply(&call, Ok(call.dispenser == DISPENSER)),
            Calls::getDispensersContracts(call) => abi::reply(&call, Ok(vec![DISPENSER])),
            Calls::buyDTBatch(call) => abi::done(self.buy_batch(cx, call.operations)),
        }
    }

    fn interfaces(&self) -> Vec<[u8; 4]> {
        vec![abi::interface_id::<Calls>()]
    }

    /// There is one table: on another account's storage it would be anybody's.
    fn may_be_delegated(&self) -> bool {
        false
    }

    fn genesis_storage(&self, _supply: U256, _timestamp: u64) -> Vec<(U256, U256)> {
        self.first_storage()
    }
}

//! From call data to the functions of the dispenser.

use super::{Dispenser, State};
use crate::market::abi::{IDispenser::IDispenserCalls as Calls, ROUTER};
use alloy_primitives::Bytes;
use stoa_contract::{Context, Error, NativeContract, Result, abi};

impl NativeContract for Dispenser {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        match abi::decode(cx)?.ok_or(Error::UnknownFunction)? {
            Calls::getId(call) => abi::reply(&call, Ok(1)),
            Calls::router(call) => abi::reply(&call, Ok(ROUTER)),
            Calls::create(call) => abi::done(self.create(cx, &call)),
            Calls::activate(call) => abi::done(self.activate(cx, call.datatoken, call.maxTokens, call.maxBalance)),
            Calls::deactivate(call) => abi::done(self.deactivate(cx, call.datatoken)),
            Calls::setAllowedSwapper(call) => abi::done(self.set_swapper(cx, call.datatoken, call.newAllowedSwapper)),
            Calls::dispense(call) => abi::done(self.dispense(cx, call.datatoken, call.amount, call.destination)),
            Calls::ownerWithdraw(call) => abi::done(self.withdraw(cx, call.datatoken)),
            Calls::status(call) => abi::reply(&call, self.status(cx, call.datatoken)),
            Calls::datatokensList(call) => {
                let datatoken = State::root().datatokens.get(cx, call.index.saturating_to())?;
                abi::reply(&call, datatoken.read(cx))
            }
        }
    }

    fn interfaces(&self) -> Vec<[u8; 4]> {
        vec![abi::interface_id::<Calls>()]
    }

    /// There is one dispenser: on another account's storage it would be anybody's.
    fn may_be_delegated(&self) -> bool {
        false
    }
}

//! From call data to the functions of a datatoken.

use super::{
    Datatoken, Head, State,
    orders::Wanted,
    roles::{MINTER, PAYMENT_MANAGER},
};
use crate::{
    abi::ICredentials::ICredentialsCalls,
    market::abi::{
        DatatokenRoles,
        IDatatoken::{IDatatokenCalls as Calls, permissionsReturn},
        ROUTER,
    },
};
use alloy_primitives::{Bytes, U256};
use stoa_contract::{
    Context, Error, NativeContract, Result, abi,
    interfaces::{
        IERC20::IERC20Calls, IERC20Metadata::IERC20MetadataCalls, IERC20Permit::IERC20PermitCalls,
        IERC5267::IERC5267Calls,
    },
    parts::{eip712, erc20},
};

impl NativeContract for Datatoken {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        if let Some(call) = abi::decode(cx)? {
            return erc20::token(self, cx, call);
        }
        if let Some(call) = abi::decode::<Calls>(cx)? {
            return self.run(cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return erc20::metadata(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return erc20::permit(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return erc20::burnable(self, cx, call);
        }
        if let Some(ICredentialsCalls::hasCredential(call)) = abi::decode(cx)? {
            return abi::reply(&call, self.has_order(cx, call.holder, call.credential));
        }
        eip712::dispatch(self, cx, abi::decode(cx)?.ok_or(Error::UnknownFunction)?)
    }

    fn interfaces(&self) -> Vec<[u8; 4]> {
        vec![
            abi::interface_id::<IERC20Calls>(),
            abi::interface_id::<IERC20MetadataCalls>(),
            abi::interface_id::<IERC20PermitCalls>(),
            abi::interface_id::<IERC5267Calls>(),
            abi::interface_id::<ICredentialsCalls>(),
            abi::interface_id::<Calls>(),
        ]
    }
}

impl Datatoken {
    fn run(self, cx: &mut Context<'_>, call: Calls) -> Result<Bytes> {
        let state = State::root();
        match call {
            Calls::initialize(call) => abi::reply(&call, self.initialize(cx, &call)),
            Calls::isInitialized(call) => abi::reply(&call, state.asset.read(cx).map(|asset| !asset.is_zero())),
            Calls::getId(call) => abi::reply(&call, Ok(1)),
            Calls::router(call) => abi::reply(&call, Ok(ROUTER)),
            Calls::cap(call) => abi::reply(&call, Ok(U256::MAX)),
            Calls::getERC721Address(call) => abi::reply(&call, state.asset.read(cx)),
            Calls::mint(call) => abi::done(self.mint_by_caller(cx, call.account, call.value)),
            Calls::isMinter(call) => abi::reply(&call, self.is_minter(cx, call.account)),
            Calls::isERC20Deployer(call) => abi::reply(&call, self.is_deployer(cx, call.user)),
            Calls::getPermissions(call) => abi::reply(&call, self.permissions(cx, call.user)),
            Calls::permissions(call) => {
                let DatatokenRoles { minter, paymentManager } = self.permissions(cx, call.user)?;
                abi::reply(&call, Ok(permissionsReturn { minter, paymentManager }))
            }
            Calls::addMinter(call) => abi::done(self.add_role(cx, call.minter, MINTER)),
            Calls::removeMinter(call) => abi::done(self.remove_role(cx, call.minter, MINTER)),
            Calls::addPaymentManager(call) => abi::done(self.add_role(cx, call.manager, PAYMENT_MANAGER)),
            Calls::removePaymentManager(call) => abi::done(self.remove_role(cx, call.manager, PAYMENT_MANAGER)),
            Calls::cleanPermissions(_) => abi::done(self.clean_permissions(cx)),
            Calls::setPaymentCollector(call) => abi::done(self.set_payment_collector(cx, call.collector)),
            Calls::getPaymentCollector(call) => abi::reply(&call, self.payment_collector(cx)),
            Calls::setPublishingMarketFee(call) => abi::done(self.set_market_fee(cx, &call)),
            Calls::getPublishingMarketFee(call) => {
                let head = Head::read(cx)?;
                abi::reply(&call, self.market_fee(cx, head))
            }
            Calls::setData(call) => abi::done(self.set_data(cx, &call.value)),
            Calls::createFixedRate(call) => abi::reply(&call, self.create_fixed_rate(cx, &call)),
            Calls::createDispenser(call) => abi::done(self.create_dispenser(cx, &call)),
            Calls::getFixedRates(call) => abi::reply(&call, self.fixed_rates(cx)),
            Calls::getDispensers(call) => abi::reply(&call, self.dispensers(cx)),
            Calls::startOrder(call) => {
                let wanted = Wanted {
                    payer: cx.caller(),
                    consumer: call.consumer,
                    service: call.serviceIndex,
                    provider: call.providerFee,
                    market: call.consumeMarketFee,
                };
                abi::done(self.place(cx, wanted).map(drop))
            }
            Calls::startOrderFor(call) => {
                self.only_factory(cx)?;
                let wanted = Wanted {
                    payer: call.payer,
                    consumer: call.consumer,
                    service: call.serviceIndex,
                    provider: call.providerFee.clone(),
                    market: call.consumeMarketFee.clone(),
                };
                abi::reply(&call, self.place(cx, wanted))
            }
            Calls::reuseOrder(call) => abi::done(self.reuse(cx, cx.caller(), call.orderTxId, call.providerFee)),
            Calls::reuseOrderFor(call) => {
                self.only_factory(cx)?;
                abi::done(self.reuse(cx, call.caller, call.order, call.providerFee))
            }
            Calls::orderExecuted(call) => abi::done(self.executed(cx, call)),
            Calls::setServiceTimeout(call) => abi::done(self.set_timeout(cx, call.serviceIndex, call.timeout)),
            Calls::serviceTimeout(call) => abi::reply(&call, self.timeout(cx, call.serviceIndex)),
            Calls::orderCount(call) => abi::reply(&call, state.orders.read(cx).map(U256::from)),
            Calls::orderOf(call) => abi::reply(&call, self.order_of(cx, call.order)),
            Calls::checkOrder(call) => abi::done(self.check_order(cx, call.order, call.account)),
            Calls::acceptOrder(call) => abi::done(self.accept(cx, call.order)),
            Calls::validOrder(call) => {
                abi::reply(&call, self.valid_order(cx, call.consumer, call.payer, call.serviceIndex))
            }
            Calls::timesTransferred(call) => abi::reply(&call, self.standing(cx).map(|standing| standing.transfers)),
        }
    }
}

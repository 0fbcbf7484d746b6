//! Orders: rights to use a service, kept on the ledger.
//!
//! An order's id is the datatoken's address, four zero bytes and the order's number: it tells whose order it is. It stands for
//! the timeout that the service had when it was placed, so that nobody shortens what was paid for; when the asset is revoked
//! (state 3), no order of it stands, and none while its consumer is one of those who may not order ([`Nft`](crate::market::Nft)).
//!
//! An order that somebody else paid is nothing that its consumer has said yes to. Once he accepts it, it counts as one of his own.
//!
//! Clients of Ocean's call what they pass to `reuseOrder` and `orderExecuted` the hash of the ordering transaction, which no
//! contract can know, and which Ocean's contracts hence believe. Here it is the order's id: `OrderRecorded` has it, next to
//! `OrderStarted`, in the receipt of that transaction, and a provider that is shown the transaction answers with it as
//! `validOrder`, which clients pass on unchanged.

use super::{Datatoken, Has, Head, State};
use crate::market::{
    Router,
    abi::{
        FACTORY,
        IDatatoken::{
            OrderAccepted, OrderExecuted, OrderExpired, OrderInvalidService, OrderInvalidTimeout, OrderNotYours,
            OrderRecorded, OrderReused, OrderStandsAlready, OrderStarted, OrderUnknown, OrderingClosed,
            ServiceTimeoutSet, orderExecutedCall,
        },
        INft::{AccessDenied, AccessNotAllowed, checkAccessCall, standingReturn},
        MarketQuote, Order, ProviderQuote, ROUTER,
    },
    lock::locked,
    money::{ONE, check_signed, split},
};
use alloy_primitives::{Address, B256, U256, aliases::U56, keccak256};
use stoa_contract::{Context, Error, Result, storage::Value};

/// States of an asset: to be had; not listed, but to be had; withdrawn.
const ACTIVE: u8 = 0;
const REVOKED: u8 = 3;
const UNLISTED: u8 = 5;

/// The longest timeout, in seconds: some 35,000 years.
const LONGEST: u64 = 1 << 40;

stoa_contract::storage! {
    /// An order, in one slot, or two where somebody else paid.
    pub(super) struct Placed {
        consumer: Value<Address>,
        service: Value<u32>,
        /// Seconds since 1970; 0 for no end.
        until: Value<U56>,
        /// Whether somebody else paid.
        gift: Value<bool>,
        payer: Value<Address>,
    }
}

/// What is ordered, and by whom.
pub(super) struct Wanted {
    pub(super) payer: Address,
    pub(super) consumer: Address,
    pub(super) service: U256,
    pub(super) provider: ProviderQuote,
    pub(super) market: MarketQuote,
}

/// The id of an order of a datatoken.
pub fn order_id(datatoken: Address, number: u64) -> B256 {
    let mut id = B256::ZERO;
    id[..20].copy_from_slice(datatoken.as_slice());
    id[24..].copy_from_slice(&number.to_be_bytes());
    id
}

/// The datatoken that an order is of, as its id says.
pub fn datatoken_of(order: B256) -> Address {
    Address::from_slice(&order[..20])
}

/// The number of an order, as its id says.
fn number_of(order: B256) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&order[24..]);
    u64::from_be_bytes(number)
}

impl Datatoken {
    /// Places an order: `startOrder` by whoever pays, `startOrderFor` by the factory, which pays with what it took from the payer.
    ///
    /// # Errors
    ///
    /// `OrderingClosed` in a state other than active and unlisted; `AccessDenied`, `AccessNotAllowed` where the consumer may not order;
    /// `Not enough datatokens to start Order`; `OrderInvalidService` for an index above 2^32 - 1; the errors of the fees; `ReentrancyGuardReentrantCall`.
    pub(super) fn place(self, cx: &mut Context<'_>, wanted: Wanted) -> Result<B256> {
        locked(cx, |cx| {
            let (from, head) = (cx.caller(), Head::read(cx)?);
            let standing = head.standing(cx)?;
            if let Some(closed) = closed(standing.state) {
                return Err(closed.into());
            }
            self.only_admitted(cx, &standing, wanted.consumer)?;
            let (order, until) = self.record(cx, head, &wanted)?;
            let collector = self.collector(cx, head, &standing)?;
            self.pay_seller(cx, from, collector)?;
            let Wanted { payer, consumer, service: serviceIndex, provider, market } = wanted;
            let market_fee = self.market_fee(cx, head)?;
            cx.emit(&OrderStarted {
                consumer,
                payer,
                amount: ONE,
                serviceIndex,
                timestamp: U256::from(cx.timestamp()),
                publishMarketAddress: market_fee.feeAddress,
                blockNumber: U256::from(cx.block_number()),
            })?;
            cx.emit(&OrderRecorded { order, consumer, payer, serviceIndex, until })?;
            self.pay_publish_market(cx, from, &market_fee)?;
            self.pay_consume_market(cx, from, &market)?;
            self.pay_provider(cx, from, provider)?;
            Ok(order)
        })
    }

    /// Lets pass who may order, as the asset says.
    fn only_admitted(self, cx: &mut Context<'_>, standing: &standingReturn, consumer: Address) -> Result<()> {
        if !standing.restricted {
            return Ok(());
        }
        let asset = State::root().asset.read(cx)?;
        cx.view_typed(asset, &checkAccessCall { account: consumer }).map(drop)
    }

    /// Takes the caller's datatoken and writes the order down; returns its id and its end.
    fn record(self, cx: &mut Context<'_>, head: Head, wanted: &Wanted) -> Result<(B256, U256)> {
        let (state, from, &Wanted { consumer, payer, service, .. }) = (State::root(), cx.caller(), wanted);
        let holder = self.holder(from);
        let held = holder.balance.word(cx)?;
        if U256::from(holder.balance.of(held)) < ONE {
            return Err(Error::message("Not enough datatokens to start Order"));
        }
        let service = service_index(service)?;
        let until = match self.timeout_of(cx, head, service)? {
            0 => 0,
            timeout => cx.timestamp().saturating_add(timeout),
        };
        let number = state.orders.of(head.0).saturating_add(1);
        state.orders.write_word(cx, state.orders.put(head.0, number))?;

        let (placed, gift) = (state.placed.at(&number), payer != consumer);
        // Numbers do not come again: nothing lies there.
        let word = placed.service.put(placed.consumer.put(U256::ZERO, consumer), service);
        let word = placed.gift.put(placed.until.put(word, U56::saturating_from(until)), gift);
        placed.consumer.write_word(cx, word)?;
        if gift {
            placed.payer.write_word(cx, placed.payer.put(U256::ZERO, payer))?;
        }

        let left = held.wrapping_sub(ONE);
        match from == consumer && is_beside_balance(consumer, payer, service) {
            true => holder.balance.write_word(cx, holder.last.put(left, number))?,
            false => {
                holder.balance.write_word(cx, left)?;
                self.last(consumer, payer, service).write(cx, number)?;
            }
        }
        Ok((order_id(cx.this(), number), U256::from(until)))
    }

    /// Where the number of the last order of a service is that `payer` paid for `consumer`; of one's own, that one paid for or accepted.
    fn last(self, consumer: Address, payer: Address, service: u32) -> Value<u64> {
        match is_beside_balance(consumer, payer, service) {
            true => self.holder(consumer).last,
            false => State::root().last.at(&consumer).at(&payer).at(&service),
        }
    }

    /// Gives the datatoken of an order, which was taken, to its seller, less the community's part.
    fn pay_seller(self, cx: &mut Context<'_>, from: Address, collector: Address) -> Result<()> {
        let (community, to) = cx.view_native(ROUTER, |cx| Router::default().order_fee(cx))?;
        let community = community.min(ONE);
        if !community.is_zero() {
            self.receive(cx, from, to, community)?;
        }
        self.receive(cx, from, collector, ONE - community)
    }

    /// Uses an order again: `reuseOrder` by its payer or consumer, `reuseOrderFor` by the factory for them. Costs what the
    /// provider asks.
    ///
    /// # Errors
    ///
    /// As [`Datatoken::check_order`]; the errors of a provider's fee; `ReentrancyGuardReentrantCall`.
    pub(super) fn reuse(self, cx: &mut Context<'_>, by: Address, order: B256, provider: ProviderQuote) -> Result<()> {
        locked(cx, |cx| {
            self.check_order(cx, order, by)?;
            let (timestamp, number) = (U256::from(cx.timestamp()), U256::from(cx.block_number()));
            cx.emit(&OrderReused { orderTxId: order, caller: by, timestamp, number })?;
            self.pay_provider(cx, cx.caller(), provider)
        })
    }

    /// Lets only the factory pass, for functions that name whom it acts for.
    ///
    /// # Errors
    ///
    /// Without data for everybody else.
    pub(super) fn only_factory(self, cx: &Context<'_>) -> Result<()> {
        if cx.caller() == FACTORY { Ok(()) } else { Err(Error::EMPTY) }
    }

    /// `orderOf`.
    ///
    /// # Errors
    ///
    /// `OrderUnknown` if it is no order of this datatoken; out of gas.
    pub(super) fn order_of(self, cx: &mut Context<'_>, order: B256) -> Result<Order> {
        let number = number_of(order);
        let count = State::root().orders.read(cx)?;
        if order != order_id(cx.this(), number) || number == 0 || number > count {
            return Err(OrderUnknown { order }.into());
        }
        let placed = State::root().placed.at(&number);
        let word = placed.consumer.word(cx)?;
        let (consumer, service, until) = (placed.consumer.of(word), placed.service.of(word), placed.until.of(word));
        let payer = if placed.gift.of(word) { placed.payer.read(cx)? } else { consumer };
        Ok(Order { consumer, payer, serviceIndex: U256::from(service), until: U256::from(until) })
    }

    /// `checkOrder`.
    ///
    /// # Errors
    ///
    /// `OrderUnknown` if it is no order of this datatoken, `OrderNotYours` if the account neither paid for it nor may use it,
    /// `OrderExpired` at its end, `OrderingClosed` if the asset is revoked, `AccessDenied` and `AccessNotAllowed` while its consumer may
    /// not order; out of gas.
    pub(super) fn check_order(self, cx: &mut Context<'_>, order: B256, account: Address) -> Result<()> {
        let Order { consumer, payer, until, .. } = self.order_of(cx, order)?;
        if account != consumer && account != payer {
            return Err(OrderNotYours { order, caller: account }.into());
        }
        if !until.is_zero() && U256::from(cx.timestamp()) >= until {
            return Err(OrderExpired { order, until }.into());
        }
        let standing = self.standing(cx)?;
        if standing.state == REVOKED {
            return Err(OrderingClosed { state: REVOKED }.into());
        }
        self.only_admitted(cx, &standing, consumer)
    }

    /// `acceptOrder`, by its consumer.
    ///
    /// # Errors
    ///
    /// As [`Datatoken::check_order`]; `OrderNotYours` for everybody but its consumer; `OrderStandsAlready` if one of his own stands as
    /// long; out of gas.
    pub(super) fn accept(self, cx: &mut Context<'_>, order: B256) -> Result<()> {
        let caller = cx.caller();
        self.check_order(cx, order, caller)?;
        let Order { consumer, payer, serviceIndex, until } = self.order_of(cx, order)?;
        if consumer != caller {
            return Err(OrderNotYours { order, caller }.into());
        }
        let own = self.valid_order(cx, caller, caller, serviceIndex)?;
        if !own.is_zero() {
            let ends = self.order_of(cx, own)?.until;
            if ends.is_zero() || (!until.is_zero() && until <= ends) {
                return Err(OrderStandsAlready { order: own }.into());
            }
        }
        let service = service_index(serviceIndex)?;
        self.last(caller, caller, service).write(cx, number_of(order))?;
        cx.emit(&OrderAccepted { order, consumer, payer })
    }

    /// `validOrder`.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub(super) fn valid_order(
        self,
        cx: &mut Context<'_>,
        consumer: Address,
        payer: Address,
        service: U256,
    ) -> Result<B256> {
        let service = service_index(service)?;
        let order = match self.last(consumer, payer, service).read(cx)? {
            0 => return Ok(B256::ZERO),
            number => order_id(cx.this(), number),
        };
        match self.check_order(cx, order, consumer) {
            Ok(()) => Ok(order),
            Err(error) if refuses(&error) => Ok(B256::ZERO),
            // Anything else, such as a call too deep, is up to whoever calls.
            Err(error) => Err(error),
        }
    }

    /// `hasCredential`: whether an account has an order that stands, which it has paid for itself or accepted. The credential is one
    /// more than the index of the service, so that a grant of consent can be for whoever has bought it.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub(super) fn has_order(self, cx: &mut Context<'_>, holder: Address, credential: B256) -> Result<bool> {
        let Some(service) = U256::from_be_bytes(credential.0).checked_sub(U256::ONE) else { return Ok(false) };
        if service > U256::from(u32::MAX) {
            return Ok(false);
        }
        Ok(!self.valid_order(cx, holder, holder, service)?.is_zero())
    }

    /// `setServiceTimeout`, by who may make datatokens.
    ///
    /// # Errors
    ///
    /// `ERC20Template: NOT DEPLOYER ROLE`; `OrderInvalidService`; `OrderInvalidTimeout` above 2^40 seconds; out of gas.
    pub(super) fn set_timeout(self, cx: &mut Context<'_>, service: U256, timeout: U256) -> Result<()> {
        self.only_deployer(cx)?;
        let seconds = u64::try_from(timeout).ok().filter(|seconds| *seconds <= LONGEST);
        let seconds = seconds.ok_or(OrderInvalidTimeout { timeout })?;
        self.set_has(cx, Has::Timeouts)?;
        State::root().timeouts.at(&service_index(service)?).write(cx, seconds)?;
        cx.emit(&ServiceTimeoutSet { serviceIndex: service, timeout })
    }

    /// `serviceTimeout`.
    ///
    /// # Errors
    ///
    /// `OrderInvalidService`; out of gas.
    pub(super) fn timeout(self, cx: &mut Context<'_>, service: U256) -> Result<U256> {
        let (service, head) = (service_index(service)?, Head::read(cx)?);
        self.timeout_of(cx, head, service).map(U256::from)
    }

    fn timeout_of(self, cx: &mut Context<'_>, head: Head, service: u32) -> Result<u64> {
        match head.has(Has::Timeouts) {
            true => State::root().timeouts.at(&service).read(cx),
            false => Ok(0),
        }
    }

    /// `orderExecuted`, by the provider: both say that an order was served.
    ///
    /// # Errors
    ///
    /// `Provider cannot be the consumer`; `OrderUnknown`; `OrderNotYours` if it is not the consumer's; `Provider signature
    /// check failed` unless the caller signed the order and its data; `Consumer signature check failed` unless the consumer
    /// signed its own.
    pub(super) fn executed(self, cx: &mut Context<'_>, call: orderExecutedCall) -> Result<()> {
        let orderExecutedCall {
            orderTxId,
            providerData,
            providerSignature,
            consumerData,
            consumerSignature,
            consumerAddress,
        } = call;
        let provider = cx.caller();
        if provider == consumerAddress {
            return Err(Error::message("Provider cannot be the consumer"));
        }
        if self.order_of(cx, orderTxId)?.consumer != consumerAddress {
            return Err(OrderNotYours { order: orderTxId, caller: consumerAddress }.into());
        }
        let signed = keccak256([orderTxId.as_slice(), &providerData].concat());
        check_signed(cx, provider, signed, split(&providerSignature), "Provider signature check failed")?;
        let signed = keccak256(&consumerData);
        check_signed(cx, consumerAddress, signed, split(&consumerSignature), "Consumer signature check failed")?;
        cx.emit(&OrderExecuted {
            providerAddress: provider,
            consumerAddress,
            orderTxId,
            providerData,
            providerSignature,
            consumerData,
            consumerSignature,
            timestamp: U256::from(cx.timestamp()),
            blockNumber: U256::from(cx.block_number()),
        })
    }
}

/// What refuses orders in this state of the asset, if it takes none: it does where it is active, and where it is unlisted.
pub(super) fn closed(state: u8) -> Option<OrderingClosed> {
    (!matches!(state, ACTIVE | UNLISTED)).then_some(OrderingClosed { state })
}

/// Whether this says of an order of somebody's own that it does not stand. What calls say that failed says nothing of it.
fn refuses(error: &Error) -> bool {
    error.decode::<OrderExpired>().is_some()
        || error.decode::<OrderingClosed>().is_some()
        || error.decode::<AccessDenied>().is_some()
        || error.decode::<AccessNotAllowed>().is_some()
}

/// Whether the number of the last such order lies in its consumer's slot among the balances: most orders are for oneself, of the one
/// service that there is.
fn is_beside_balance(consumer: Address, payer: Address, service: u32) -> bool {
    consumer == payer && service == 0
}

fn service_index(index: U256) -> Result<u32> {
    u32::try_from(index).map_err(|_| OrderInvalidService { serviceIndex: index }.into())
}

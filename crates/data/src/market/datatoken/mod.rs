//! Datatokens: ERC-20 tokens of which one (10^18) buys one order of a service.
//!
//! A datatoken is a clone of this code, made by the factory for an asset. Ocean's standard template (number 1): the cap that it
//! is created with is no limit, and what an order costs goes to the payment collector, less the community's part.
//!
//! Who may make datatokens of an asset may give roles here: minters mint, payment managers name the payment collector. Both end
//! when the asset changes hands, and so does the collector; until another is named it is the asset's owner. The exchange and the
//! dispenser that this token was given keep what they were given: they act by their own rules, not for a person.
//!
//! [`orders`] tells what an order is, [`fees`] who is paid for it, [`holders`] where balances lie.

mod dispatch;
mod fees;
mod holders;
mod orders;
mod roles;

pub use orders::{datatoken_of, order_id};

use crate::market::{
    Nft,
    abi::{
        DISPENSER, ExchangeRef, FACTORY, FIXED_RATE,
        IDatatoken::{
            NewDispenser, NewFixedRate, NewPaymentCollector, OrderingClosed, PublishMarketFeeChanged,
            createDispenserCall, createFixedRateCall, getPublishingMarketFeeReturn, initializeCall,
            setPublishingMarketFeeCall,
        },
        IDispenser::createCall,
        IFixedRate::createWithDecimalsCall,
        INft::{setDataERC20Call, standingReturn},
    },
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use std::borrow::Cow;
use stoa_contract::{
    Context, Error, Result,
    parts::{
        eip712::Eip712,
        erc20::{Erc20 as _, Erc20Permit, Erc20State},
        nonces::Nonces,
    },
    storage::{Array, Mapping, Value},
};

stoa_contract::storage! {
    /// A datatoken.
    struct State {
        token: Erc20State,
        asset: Value<Address>,
        orders: Value<u64>,
        /// Which of the rarer things it has, so that others need not look for them: bits of [`Has`].
        has: Value<u8>,
        collector: Value<Address>,
        /// How often the asset had changed hands when the collector was named.
        collector_transfers: Value<u32>,
        /// How often all roles were ended here.
        ended: Value<u32>,
        market: Value<Address>,
        market_token: Value<Address>,
        market_amount: Value<U256>,
        nonces: Nonces,
        roles: Mapping<Address, roles::Granted>,
        exchanges: Array<Value<B256>>,
        /// By service, how long orders stand, in seconds.
        timeouts: Mapping<u32, Value<u64>>,
        /// By number.
        placed: Mapping<u64, orders::Placed>,
        /// By consumer, payer and service, the number of the last order, but for those that [`holders`] keep.
        last: Mapping<Address, Mapping<Address, Mapping<u32, Value<u64>>>>,
        /// Quotes of providers that were paid.
        spent: Mapping<B256, Value<bool>>,
    }
}

/// What not every datatoken has.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Has {
    Dispenser = 1,
    Collector = 2,
    MarketFee = 4,
    Timeouts = 8,
}

/// What an order reads and changes beside its own, in the word of the slot that it shares: the asset, how many orders there were, and
/// what the datatoken has.
#[derive(Clone, Copy, Debug)]
struct Head(U256);

impl Head {
    fn read(cx: &mut Context<'_>) -> Result<Self> {
        State::root().asset.word(cx).map(Self)
    }

    fn has(self, what: Has) -> bool {
        State::root().has.of(self.0) & what as u8 != 0
    }

    /// The asset: its owner, its state and how often it changed hands. It is one of the factory's, and so is its code.
    fn standing(self, cx: &mut Context<'_>) -> Result<standingReturn> {
        cx.view_native(State::root().asset.of(self.0), |cx| Nft.standing(cx))
    }
}

/// The code of a datatoken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Datatoken;

impl Eip712 for Datatoken {
    fn name_and_version(&self, cx: &mut Context<'_>) -> Result<(Cow<'static, str>, Cow<'static, str>)> {
        Ok((self.name(cx)?.into(), "1".into()))
    }
}

impl Erc20Permit for Datatoken {
    fn permit_nonces(&self) -> Nonces {
        State::root().nonces
    }
}

impl Datatoken {
    /// `initialize`, by the factory, once.
    ///
    /// # Errors
    ///
    /// `ERC20Template: token instance already initialized` for everybody else and ever after; without data where there are too
    /// few arguments; out of gas.
    fn initialize(self, cx: &mut Context<'_>, call: &initializeCall) -> Result<bool> {
        let state = State::root();
        if cx.caller() != FACTORY || !cx.is_delegated() || !state.asset.read(cx)?.is_zero() {
            return Err(Error::message("ERC20Template: token instance already initialized"));
        }
        let ([name, symbol, ..], [minter, collector, market, market_token, ..], [asset, ..], [_, amount, ..]) =
            (&call.strings[..], &call.addresses[..], &call.factoryAddresses[..], &call.uints[..])
        else {
            return Err(Error::EMPTY);
        };
        state.asset.write(cx, *asset)?;
        state.token.name.write(cx, name)?;
        state.token.symbol.write(cx, symbol)?;
        let standing = self.standing(cx)?;
        match *minter {
            Address::ZERO => {}
            // The owner mints in any case: it is told, and nothing is kept.
            minter if minter == standing.owner => self.tell_added(cx, minter, roles::MINTER)?,
            minter => self.give(cx, minter, roles::MINTER, standing.transfers)?,
        }
        if !collector.is_zero() && *collector != standing.owner {
            self.write_collector(cx, *collector, standing.transfers)?;
        }
        if !market.is_zero() {
            self.write_market_fee(cx, *market, *market_token, *amount)?;
        }
        Ok(true)
    }

    fn set_has(self, cx: &mut Context<'_>, what: Has) -> Result<()> {
        let has = State::root().has.read(cx)?;
        State::root().has.write(cx, has | what as u8)
    }

    fn standing(self, cx: &mut Context<'_>) -> Result<standingReturn> {
        Head::read(cx)?.standing(cx)
    }

    /// What refuses orders of a datatoken now, if its asset takes none. Exchange and dispenser ask, so that nobody is given one that
    /// orders nothing. It is one of the factory's, and so is its code; no more is read than where its asset is, and the state of that.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub(super) fn closed(self, cx: &mut Context<'_>, datatoken: Address) -> Result<Option<OrderingClosed>> {
        let state = cx.view_native(datatoken, |cx| {
            let asset = State::root().asset.read(cx)?;
            cx.view_native(asset, |cx| Nft.state(cx))
        })?;
        Ok(orders::closed(state))
    }

    /// `mint`.
    ///
    /// # Errors
    ///
    /// `ERC20Template: NOT MINTER`; the errors of a mint.
    fn mint_by_caller(self, cx: &mut Context<'_>, account: Address, value: U256) -> Result<()> {
        match self.is_minter(cx, cx.caller())? {
            true => self.mint(cx, account, value),
            false => Err(Error::message("ERC20Template: NOT MINTER")),
        }
    }

    /// `getPaymentCollector`.
    fn payment_collector(self, cx: &mut Context<'_>) -> Result<Address> {
        let head = Head::read(cx)?;
        let standing = head.standing(cx)?;
        self.collector(cx, head, &standing)
    }

    /// Whom orders pay: the named collector, or the asset's owner.
    fn collector(self, cx: &mut Context<'_>, head: Head, standing: &standingReturn) -> Result<Address> {
        if !head.has(Has::Collector) {
            return Ok(standing.owner);
        }
        let state = State::root();
        let named = state.collector.read(cx)?;
        let stands = !named.is_zero() && state.collector_transfers.read(cx)? == standing.transfers;
        Ok(if stands { named } else { standing.owner })
    }

    fn write_collector(self, cx: &mut Context<'_>, collector: Address, transfers: u32) -> Result<()> {
        self.set_has(cx, Has::Collector)?;
        State::root().collector.write(cx, collector)?;
        State::root().collector_transfers.write(cx, transfers)?;
        let (caller, timestamp, blockNumber) = (cx.caller(), U256::from(cx.timestamp()), U256::from(cx.block_number()));
        cx.emit(&NewPaymentCollector { caller, newPaymentCollector: collector, timestamp, blockNumber })
    }

    /// `setPaymentCollector`, by the asset's owner, who may make datatokens, or a payment manager.
    ///
    /// # Errors
    ///
    /// `ERC20Template: NOT PAYMENT MANAGER or OWNER`; out of gas.
    fn set_payment_collector(self, cx: &mut Context<'_>, collector: Address) -> Result<()> {
        let caller = cx.caller();
        let roles = self.roles_of(cx, caller)?;
        if roles & roles::PAYMENT_MANAGER == 0 && !self.is_deployer(cx, caller)? {
            return Err(Error::message("ERC20Template: NOT PAYMENT MANAGER or OWNER"));
        }
        let transfers = self.standing(cx)?.transfers;
        self.write_collector(cx, collector, transfers)
    }

    fn write_market_fee(self, cx: &mut Context<'_>, market: Address, token: Address, amount: U256) -> Result<()> {
        self.set_has(cx, Has::MarketFee)?;
        State::root().market.write(cx, market)?;
        State::root().market_token.write(cx, token)?;
        State::root().market_amount.write(cx, amount)?;
        cx.emit(&PublishMarketFeeChanged {
            caller: cx.caller(),
            PublishMarketFeeAddress: market,
            PublishMarketFeeToken: token,
            PublishMarketFeeAmount: amount,
        })
    }

    /// `setPublishingMarketFee`, by whoever gets it.
    ///
    /// # Errors
    ///
    /// `ERC20Template: not publishMarketFeeAddress`; `Invalid _publishMarketFeeAddress address` and `Invalid
    /// _publishMarketFeeToken address` for address zero; out of gas.
    fn set_market_fee(self, cx: &mut Context<'_>, call: &setPublishingMarketFeeCall) -> Result<()> {
        if State::root().market.read(cx)? != cx.caller() {
            return Err(Error::message("ERC20Template: not publishMarketFeeAddress"));
        }
        if call.feeAddress.is_zero() {
            return Err(Error::message("Invalid _publishMarketFeeAddress address"));
        }
        if call.feeToken.is_zero() {
            return Err(Error::message("Invalid _publishMarketFeeToken address"));
        }
        self.write_market_fee(cx, call.feeAddress, call.feeToken, call.amount)
    }

    /// `getPublishingMarketFee`.
    fn market_fee(self, cx: &mut Context<'_>, head: Head) -> Result<getPublishingMarketFeeReturn> {
        let state = State::root();
        if !head.has(Has::MarketFee) {
            let nobody = Address::ZERO;
            return Ok(getPublishingMarketFeeReturn { feeAddress: nobody, feeToken: nobody, amount: U256::ZERO });
        }
        let feeAddress = state.market.read(cx)?;
        let (feeToken, amount) = (state.market_token.read(cx)?, state.market_amount.read(cx)?);
        Ok(getPublishingMarketFeeReturn { feeAddress, feeToken, amount })
    }

    /// `setData`: data of the asset under the hash of this token's address, by who may make datatokens.
    ///
    /// # Errors
    ///
    /// `ERC20Template: NOT DEPLOYER ROLE`; out of gas.
    fn set_data(self, cx: &mut Context<'_>, value: &Bytes) -> Result<()> {
        self.only_deployer(cx)?;
        let (asset, key) = (State::root().asset.read(cx)?, keccak256(cx.this()));
        cx.call_typed(asset, U256::ZERO, &setDataERC20Call { key, value: value.clone() })?;
        Ok(())
    }

    /// `createFixedRate`, by who may make datatokens.
    ///
    /// # Errors
    ///
    /// `ERC20Template: NOT DEPLOYER ROLE`; `FACTORY ROUTER: Invalid FixedPriceContract` for an exchange that is not the
    /// market's; the exchange's.
    fn create_fixed_rate(self, cx: &mut Context<'_>, call: &createFixedRateCall) -> Result<B256> {
        self.only_deployer(cx)?;
        if call.fixedPriceAddress != FIXED_RATE {
            return Err(Error::message("FACTORY ROUTER: Invalid FixedPriceContract"));
        }
        let (datatoken, addresses, uints) = (cx.this(), call.addresses.clone(), call.uints.clone());
        let create = createWithDecimalsCall { datatoken, addresses, uints };
        let exchangeId = cx.call_typed(FIXED_RATE, U256::ZERO, &create)?;
        // The exchange has refused arguments that are too few.
        let (baseToken, owner, mints) = (call.addresses[0], call.addresses[1], !call.uints[4].is_zero());
        if mints {
            self.give(cx, FIXED_RATE, roles::MINTER | roles::LASTING, 0)?;
        }
        State::root().exchanges.push(cx, exchangeId)?;
        cx.emit(&NewFixedRate { exchangeId, owner, exchangeContract: FIXED_RATE, baseToken })?;
        Ok(exchangeId)
    }

    /// `createDispenser`, by who may make datatokens.
    ///
    /// # Errors
    ///
    /// `ERC20Template: NOT DEPLOYER ROLE`; `FACTORY ROUTER: Invalid DispenserContract` for a dispenser that is not the
    /// market's; the dispenser's.
    fn create_dispenser(self, cx: &mut Context<'_>, call: &createDispenserCall) -> Result<()> {
        self.only_deployer(cx)?;
        if call.dispenser != DISPENSER {
            return Err(Error::message("FACTORY ROUTER: Invalid DispenserContract"));
        }
        let &createDispenserCall { maxTokens, maxBalance, withMint, allowedSwapper, .. } = call;
        let (datatoken, caller) = (cx.this(), cx.caller());
        // The factory acts for whom the asset belongs to.
        let owner = if caller == FACTORY { self.standing(cx)?.owner } else { caller };
        let create = createCall { datatoken, maxTokens, maxBalance, owner, allowedSwapper };
        cx.call_typed(DISPENSER, U256::ZERO, &create)?;
        if withMint {
            self.give(cx, DISPENSER, roles::MINTER | roles::LASTING, 0)?;
        }
        self.set_has(cx, Has::Dispenser)?;
        cx.emit(&NewDispenser { dispenserContract: DISPENSER })
    }

    /// `getFixedRates`.
    fn fixed_rates(self, cx: &mut Context<'_>) -> Result<Vec<ExchangeRef>> {
        let ids = State::root().exchanges.values(cx)?;
        Ok(ids.into_iter().map(|id| ExchangeRef { contractAddress: FIXED_RATE, id }).collect())
    }

    /// `getDispensers`.
    fn dispensers(self, cx: &mut Context<'_>) -> Result<Vec<Address>> {
        Ok(if Head::read(cx)?.has(Has::Dispenser) { vec![DISPENSER] } else { Vec::new() })
    }
}

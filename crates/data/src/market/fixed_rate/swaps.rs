//! Buying and selling.

use super::{Exchange, FixedRate, fee};
use crate::market::{
    Datatoken,
    abi::{
        IDatatoken::mintCall,
        IFixedRate::{
            ConsumeMarketFee, SWAP_FEES, Swapped, buyDTCall, calcBaseInGivenOutDTReturn, calcBaseOutGivenInDTReturn,
            sellDTCall,
        },
    },
    lock::locked,
    money::{ONE, add, part, pay, pull},
};
use alloy_primitives::{Address, B256, U256};
use stoa_contract::{Context, Error, Result, storage::Value};

/// What a swap moves, in base tokens.
pub(super) struct Price {
    /// Without fees.
    base: U256,
    community: U256,
    market: U256,
    consume_market: U256,
}

/// What was swapped.
struct Swap {
    id: B256,
    base: Address,
    /// The token that the caller got.
    out: Address,
    /// Datatokens.
    amount: U256,
    /// Base tokens that the caller paid or got.
    base_amount: U256,
}

impl Price {
    fn fees(&self) -> Result<U256> {
        add(add(self.community, self.market)?, self.consume_market)
    }

    fn with_fees(&self) -> Result<U256> {
        add(self.base, self.fees()?)
    }

    /// Fees above half each may come to more than the whole.
    fn without_fees(&self) -> Result<U256> {
        self.base.checked_sub(self.fees()?).ok_or_else(Error::overflow)
    }
}

impl FixedRate {
    fn price(
        self,
        cx: &mut Context<'_>,
        exchange: Exchange,
        amount: U256,
        consume_fee: U256,
        buys: bool,
    ) -> Result<Price> {
        let unit = U256::from(10).pow(U256::from(exchange.decimals.read(cx)?));
        let product = amount.checked_mul(exchange.rate.read(cx)?).and_then(|value| value.checked_mul(unit));
        let (product, divisor) = (product.ok_or_else(Error::overflow)?, ONE * ONE);
        let base = if buys { product.div_ceil(divisor) } else { product / divisor };
        let token = exchange.base.read(cx)?;
        Ok(Price {
            base,
            community: part(base, self.community_fee(cx, token)?)?,
            market: part(base, U256::from(exchange.market_fee.read(cx)?))?,
            consume_market: part(base, consume_fee)?,
        })
    }

    /// `calcBaseInGivenOutDT`.
    pub(super) fn price_in(
        self,
        cx: &mut Context<'_>,
        id: B256,
        amount: U256,
        consume_fee: U256,
    ) -> Result<calcBaseInGivenOutDTReturn> {
        let (exchange, _) = self.exchange(cx, id)?;
        let price = self.price(cx, exchange, amount, consume_fee, true)?;
        Ok(calcBaseInGivenOutDTReturn {
            baseTokenAmount: price.with_fees()?,
            oceanFeeAmount: price.community,
            publishMarketFeeAmount: price.market,
            consumeMarketFeeAmount: price.consume_market,
        })
    }

    /// `calcBaseOutGivenInDT`.
    pub(super) fn price_out(
        self,
        cx: &mut Context<'_>,
        id: B256,
        amount: U256,
        consume_fee: U256,
    ) -> Result<calcBaseOutGivenInDTReturn> {
        let (exchange, _) = self.exchange(cx, id)?;
        let price = self.price(cx, exchange, amount, consume_fee, false)?;
        Ok(calcBaseOutGivenInDTReturn {
            baseTokenAmount: price.without_fees()?,
            oceanFeeAmount: price.community,
            publishMarketFeeAmount: price.market,
            consumeMarketFeeAmount: price.consume_market,
        })
    }

    /// The exchange, if the caller may swap so many datatokens there now with this fee.
    ///
    /// # Errors
    ///
    /// `FixedRateExchange: Exchange does not exist!`, `FixedRateExchange: Exchange is inactive!`, `FixedRateExchange: zero
    /// datatoken amount`, `FixedRateExchange: This address is not allowed to swap`, `ConsumeSwapFee too low`, `ConsumeSwapFee
    /// too high`; out of gas.
    fn open(self, cx: &mut Context<'_>, id: B256, amount: U256, consume_fee: U256) -> Result<(Exchange, Address)> {
        let (exchange, datatoken) = self.exchange(cx, id)?;
        if !exchange.active.read(cx)? {
            return Err(Error::message("FixedRateExchange: Exchange is inactive!"));
        }
        if amount.is_zero() {
            return Err(Error::message("FixedRateExchange: zero datatoken amount"));
        }
        let swapper = exchange.swapper.read(cx)?;
        if !swapper.is_zero() && swapper != cx.caller() {
            return Err(Error::message("FixedRateExchange: This address is not allowed to swap"));
        }
        fee(consume_fee, "ConsumeSwapFee too low", "ConsumeSwapFee too high")?;
        Ok((exchange, datatoken))
    }

    /// `buyDT`.
    ///
    /// # Errors
    ///
    /// As [`FixedRate::open`]; `OrderingClosed` while the datatoken orders nothing, in states of the asset other than active and
    /// unlisted; `FixedRateExchange: Too many base tokens` if it costs more than the caller allows; the tokens'; `Transfer amount is
    /// too low` for a base token that keeps a fee; `Panic(0x11)` for amounts out of range; `ReentrancyGuardReentrantCall`.
    pub(super) fn buy(self, cx: &mut Context<'_>, call: &buyDTCall) -> Result<()> {
        locked(cx, |cx| {
            let &buyDTCall { exchangeId: id, datatokenAmount: amount, consumeMarketAddress, .. } = call;
            let (exchange, datatoken) = self.open(cx, id, amount, call.consumeMarketSwapFeeAmount)?;
            if let Some(closed) = Datatoken.closed(cx, datatoken)? {
                return Err(closed.into());
            }
            let (buyer, this) = (cx.caller(), cx.this());
            let mut price = self.price(cx, exchange, amount, call.consumeMarketSwapFeeAmount, true)?;
            if consumeMarketAddress.is_zero() {
                price.consume_market = U256::ZERO;
            }
            let costs = price.with_fees()?;
            if costs > call.maxBaseTokenAmount {
                return Err(Error::message("FixedRateExchange: Too many base tokens"));
            }
            self.credit_fees(cx, exchange, &price)?;
            credit(cx, exchange.base_balance, price.base)?;
            let kept = exchange.datatoken_balance;
            let from_kept = U256::from(kept.read(cx)?) >= amount;
            if from_kept {
                debit(cx, kept, amount)?;
            }
            let base = exchange.base.read(cx)?;
            pull(cx, base, buyer, this, costs)?;
            if from_kept {
                pay(cx, datatoken, buyer, amount)?;
            } else if exchange.with_mint.read(cx)? {
                cx.call_typed(datatoken, U256::ZERO, &mintCall { account: buyer, value: amount })?;
            } else if self.is_of_old(cx, exchange, datatoken)? {
                let owner = exchange.owner.read(cx)?;
                pull(cx, datatoken, owner, buyer, amount)?;
            } else {
                return Err(Error::message("FixedRateExchange: Not enough datatokens"));
            }
            self.pay_consume_market(cx, id, base, consumeMarketAddress, &price)?;
            self.report(cx, &Swap { id, base, out: datatoken, amount, base_amount: costs }, &price)
        })
    }

    /// `sellDT`, whether the asset takes orders or not.
    ///
    /// # Errors
    ///
    /// As [`FixedRate::open`]; `FixedRateExchange: Too few base tokens` if it brings less than the caller asks;
    /// `FixedRateExchange: Not enough base tokens` if purchases have not brought so much; the tokens'; `Panic(0x11)` for amounts
    /// out of range, and fees that come to more than the whole; `ReentrancyGuardReentrantCall`.
    pub(super) fn sell(self, cx: &mut Context<'_>, call: &sellDTCall) -> Result<()> {
        locked(cx, |cx| {
            let &sellDTCall { exchangeId: id, datatokenAmount: amount, consumeMarketAddress, .. } = call;
            let (exchange, datatoken) = self.open(cx, id, amount, call.consumeMarketSwapFeeAmount)?;
            let (seller, this) = (cx.caller(), cx.this());
            let mut price = self.price(cx, exchange, amount, call.consumeMarketSwapFeeAmount, false)?;
            if consumeMarketAddress.is_zero() {
                price.consume_market = U256::ZERO;
            }
            let brings = price.without_fees()?;
            if brings < call.minBaseTokenAmount {
                return Err(Error::message("FixedRateExchange: Too few base tokens"));
            }
            if U256::from(exchange.base_balance.read(cx)?) < price.base {
                return Err(Error::message("FixedRateExchange: Not enough base tokens"));
            }
            debit(cx, exchange.base_balance, price.base)?;
            self.credit_fees(cx, exchange, &price)?;
            credit(cx, exchange.datatoken_balance, amount)?;
            let base = exchange.base.read(cx)?;
            pull(cx, datatoken, seller, this, amount)?;
            pay(cx, base, seller, brings)?;
            self.pay_consume_market(cx, id, base, consumeMarketAddress, &price)?;
            self.report(cx, &Swap { id, base, out: base, amount, base_amount: brings }, &price)
        })
    }

    fn credit_fees(self, cx: &mut Context<'_>, exchange: Exchange, price: &Price) -> Result<()> {
        credit(cx, exchange.market_due, price.market)?;
        credit(cx, exchange.community_due, price.community)
    }

    fn pay_consume_market(
        self,
        cx: &mut Context<'_>,
        id: B256,
        base: Address,
        market: Address,
        price: &Price,
    ) -> Result<()> {
        let amount = price.consume_market;
        if amount.is_zero() {
            return Ok(());
        }
        pay(cx, base, market, amount)?;
        cx.emit(&ConsumeMarketFee { exchangeId: id, to: market, token: base, amount })
    }

    /// Says what happened.
    fn report(self, cx: &mut Context<'_>, swap: &Swap, price: &Price) -> Result<()> {
        cx.emit(&SWAP_FEES {
            exchangeId: swap.id,
            oceanFeeAmount: price.community,
            marketFeeAmount: price.market,
            consumeMarketFeeAmount: price.consume_market,
            tokenFeeAddress: swap.base,
        })?;
        cx.emit(&Swapped {
            exchangeId: swap.id,
            by: cx.caller(),
            baseTokenSwappedAmount: swap.base_amount,
            datatokenSwappedAmount: swap.amount,
            tokenOutAddress: swap.out,
            marketFeeAmount: price.market,
            oceanFeeAmount: price.community,
            consumeMarketFeeAmount: price.consume_market,
        })
    }
}

/// Adds to what waits here; nothing to add costs nothing.
///
/// # Errors
///
/// `Panic(0x11)` from 2^128 on; out of gas.
fn credit(cx: &mut Context<'_>, account: Value<u128>, amount: U256) -> Result<()> {
    if amount.is_zero() {
        return Ok(());
    }
    let sum = add(U256::from(account.read(cx)?), amount)?;
    account.write(cx, u128::try_from(sum).map_err(|_| Error::overflow())?)
}

/// Takes from what waits here.
///
/// # Errors
///
/// `Panic(0x11)` if it is less; out of gas.
pub(super) fn debit(cx: &mut Context<'_>, account: Value<u128>, amount: U256) -> Result<()> {
    let left = U256::from(account.read(cx)?).checked_sub(amount).ok_or_else(Error::overflow)?;
    account.write(cx, left.saturating_to())
}

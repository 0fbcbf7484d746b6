//! What those who decide over an exchange do, and those who are owed.

use super::{Exchange, FixedRate, LOWEST_RATE, fee, swaps::debit};
use crate::market::{
    abi::{
        IDatatoken::getPaymentCollectorCall,
        IFixedRate::{
            ExchangeActivated, ExchangeAllowedSwapperChanged, ExchangeDeactivated, ExchangeMintStateChanged,
            ExchangeRateChanged, MarketFeeCollected, OceanFeeCollected, PublishMarketFeeChanged, TokenCollected,
        },
        IRouter::getOPCCollectorCall,
        ROUTER,
    },
    lock::locked,
    money::pay,
};
use alloy_primitives::{Address, B256, U256};
use stoa_contract::{Context, Error, Result};

impl FixedRate {
    /// `setRate`, by who decides over the exchange.
    ///
    /// # Errors
    ///
    /// As [`FixedRate::only_owner`]; `FixedRateExchange: Invalid exchange rate value` below 10^10.
    pub(super) fn set_rate(self, cx: &mut Context<'_>, id: B256, rate: U256) -> Result<()> {
        let (exchange, exchangeOwner) = self.only_owner(cx, id)?;
        if rate < U256::from(LOWEST_RATE) {
            return Err(Error::message("FixedRateExchange: Invalid exchange rate value"));
        }
        exchange.rate.write(cx, rate)?;
        cx.emit(&ExchangeRateChanged { exchangeId: id, exchangeOwner, newRate: rate })
    }

    /// `toggleExchangeState`, by who decides over the exchange.
    ///
    /// # Errors
    ///
    /// As [`FixedRate::only_owner`].
    pub(super) fn toggle(self, cx: &mut Context<'_>, id: B256) -> Result<()> {
        let (exchange, exchangeOwner) = self.only_owner(cx, id)?;
        let active = !exchange.active.read(cx)?;
        exchange.active.write(cx, active)?;
        match active {
            true => cx.emit(&ExchangeActivated { exchangeId: id, exchangeOwner }),
            false => cx.emit(&ExchangeDeactivated { exchangeId: id, exchangeOwner }),
        }
    }

    /// `toggleMintState`, by who decides over the exchange: whether it mints, if its datatoken lets it.
    ///
    /// # Errors
    ///
    /// As [`FixedRate::only_owner`].
    pub(super) fn set_mint(self, cx: &mut Context<'_>, id: B256, with_mint: bool) -> Result<()> {
        let (exchange, exchangeOwner) = self.only_owner(cx, id)?;
        exchange.with_mint.write(cx, with_mint)?;
        cx.emit(&ExchangeMintStateChanged { exchangeId: id, exchangeOwner, withMint: with_mint })
    }

    /// `setAllowedSwapper`, by who decides over the exchange.
    ///
    /// # Errors
    ///
    /// As [`FixedRate::only_owner`].
    pub(super) fn set_swapper(self, cx: &mut Context<'_>, id: B256, swapper: Address) -> Result<()> {
        let (exchange, _) = self.only_owner(cx, id)?;
        exchange.swapper.write(cx, swapper)?;
        cx.emit(&ExchangeAllowedSwapperChanged { exchangeId: id, allowedSwapper: swapper })
    }

    /// `updateMarketFee`, by the market.
    ///
    /// # Errors
    ///
    /// As [`FixedRate::only_market`]; `SwapFee too low`, `SwapFee too high`.
    pub(super) fn set_market_fee(self, cx: &mut Context<'_>, id: B256, said: U256) -> Result<()> {
        let exchange = self.only_market(cx, id)?;
        exchange.market_fee.write(cx, fee(said, "SwapFee too low", "SwapFee too high")?)?;
        let market = cx.caller();
        cx.emit(&PublishMarketFeeChanged { exchangeId: id, caller: market, newMarketCollector: market, swapFee: said })
    }

    /// `updateMarketFeeCollector`, by the market.
    ///
    /// # Errors
    ///
    /// As [`FixedRate::only_market`]; `Invalid market fee collector` for address zero.
    pub(super) fn set_market(self, cx: &mut Context<'_>, id: B256, market: Address) -> Result<()> {
        let exchange = self.only_market(cx, id)?;
        if market.is_zero() {
            return Err(Error::message("Invalid market fee collector"));
        }
        exchange.market.write(cx, market)?;
        let swapFee = U256::from(exchange.market_fee.read(cx)?);
        cx.emit(&PublishMarketFeeChanged { exchangeId: id, caller: cx.caller(), newMarketCollector: market, swapFee })
    }

    /// Lets pass who collects the market's fee.
    ///
    /// # Errors
    ///
    /// `FixedRateExchange: Exchange does not exist!`, `not marketFeeCollector`; out of gas.
    fn only_market(self, cx: &mut Context<'_>, id: B256) -> Result<Exchange> {
        let (exchange, _) = self.exchange(cx, id)?;
        match exchange.market.read(cx)? == cx.caller() {
            true => Ok(exchange),
            false => Err(Error::message("not marketFeeCollector")),
        }
    }

    /// `collectBT`, by anybody: pays what purchases brought to the datatoken's payment collector.
    ///
    /// # Errors
    ///
    /// `FixedRateExchange: Exchange does not exist!`; `Panic(0x11)` for more than there is; the tokens';
    /// `ReentrancyGuardReentrantCall`.
    pub(super) fn collect_base(self, cx: &mut Context<'_>, id: B256, amount: U256) -> Result<()> {
        locked(cx, |cx| {
            let (exchange, datatoken) = self.exchange(cx, id)?;
            debit(cx, exchange.base_balance, amount)?;
            let token = exchange.base.read(cx)?;
            self.collect(cx, id, datatoken, token, amount)
        })
    }

    /// `collectDT`, by anybody: gives what was sold to the datatoken's payment collector.
    ///
    /// # Errors
    ///
    /// As [`FixedRate::collect_base`].
    pub(super) fn collect_datatokens(self, cx: &mut Context<'_>, id: B256, amount: U256) -> Result<()> {
        locked(cx, |cx| {
            let (exchange, datatoken) = self.exchange(cx, id)?;
            debit(cx, exchange.datatoken_balance, amount)?;
            self.collect(cx, id, datatoken, datatoken, amount)
        })
    }

    fn collect(self, cx: &mut Context<'_>, id: B256, datatoken: Address, token: Address, amount: U256) -> Result<()> {
        let to = cx.view_typed(datatoken, &getPaymentCollectorCall {})?;
        pay(cx, token, to, amount)?;
        cx.emit(&TokenCollected { exchangeId: id, to, token, amount })
    }

    /// `collectMarketFee`, by anybody: pays the market what is due to it.
    ///
    /// # Errors
    ///
    /// `FixedRateExchange: Exchange does not exist!`; the token's; `ReentrancyGuardReentrantCall`.
    pub(super) fn collect_market_fee(self, cx: &mut Context<'_>, id: B256) -> Result<()> {
        locked(cx, |cx| {
            let (exchange, _) = self.exchange(cx, id)?;
            let (to, token) = (exchange.market.read(cx)?, exchange.base.read(cx)?);
            let feeAmount = U256::from(exchange.market_due.read(cx)?);
            exchange.market_due.write(cx, 0)?;
            pay(cx, token, to, feeAmount)?;
            cx.emit(&MarketFeeCollected { exchangeId: id, feeToken: token, feeAmount })
        })
    }

    /// `collectOceanFee`, by anybody: pays the community what is due to it.
    ///
    /// # Errors
    ///
    /// As [`FixedRate::collect_market_fee`].
    pub(super) fn collect_community_fee(self, cx: &mut Context<'_>, id: B256) -> Result<()> {
        locked(cx, |cx| {
            let (exchange, _) = self.exchange(cx, id)?;
            let token = exchange.base.read(cx)?;
            let feeAmount = U256::from(exchange.community_due.read(cx)?);
            exchange.community_due.write(cx, 0)?;
            let to = cx.view_typed(ROUTER, &getOPCCollectorCall {})?;
            pay(cx, token, to, feeAmount)?;
            cx.emit(&OceanFeeCollected { exchangeId: id, feeToken: token, feeAmount })
        })
    }
}

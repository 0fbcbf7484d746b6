//! Datatokens at a fixed rate, in any ERC-20 token: Ocean's `FixedRateExchange`.
//!
//! What a purchase costs, with rate and fees as parts of 10^18:
//!
//! ```text
//! base  = amount · rate · 10^(decimals of the base token) / 10^18 / 10^18        rounded up when bought, down when sold
//! fee   = base · (community's, market's, consuming market's part)                each rounded down
//! buyer pays base + fees          seller gets base − fees
//! ```
//!
//! So the exchange never gets less, nor gives more, than the rate says, and who pays a fee pays no more of it than its part.
//! (Ocean rounds a purchase down, in favour of the buyer.) What is due to the market and the community waits here until somebody
//! has it collected; the consuming market is paid at once.
//!
//! `buyDT` names the most that it may cost, so that a rate that changed since it was looked up is refused. Where the exchange
//! may mint, datatokens that it does not have are minted; where not, they come from its owner, who allowed that. Sold datatokens
//! are paid with what purchases brought, and with nothing else: Ocean would also take base tokens that the owner allowed the
//! exchange to take for purchases of his own.
//!
//! While the asset takes no orders the exchange sells nothing, and pays for what is sold to it as ever: nobody pays for a datatoken that
//! orders nothing, and whoever has one gets back what is there.
//!
//! An exchange's owner decides over it only as long as the asset does not change hands. Who may make datatokens of the asset
//! always does. Decimals are what the tokens say, not what a creator says of them. Amounts that wait here are below 2^128.

mod administration;
mod dispatch;
mod swaps;

use crate::market::{
    Datatoken,
    abi::{
        FACTORY,
        IDatatoken::{isERC20DeployerCall, isMinterCall, timesTransferredCall},
        IFactory::erc20ListCall,
        IFixedRate::{
            ExchangeActivated, ExchangeAllowedSwapperChanged, ExchangeCreated, ExchangeWrongDecimals,
            PublishMarketFeeChanged, createWithDecimalsCall, getExchangeReturn, getFeesInfoReturn,
        },
        IRouter::getOPCFeeCall,
        ROUTER,
    },
};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue as _;
use stoa_contract::{
    Context, Error, Result,
    interfaces::{IERC20, IERC20Metadata},
    storage::{Array, Mapping, Value},
};

/// The lowest and highest fee of a market, as parts of 10^18: 0.01 % and 50 %.
const LOWEST_FEE: u64 = 100_000_000_000_000;
const HIGHEST_FEE: u64 = 500_000_000_000_000_000;

/// The lowest rate: 10^-8 base tokens for a datatoken.
const LOWEST_RATE: u64 = 10_000_000_000;

/// The most decimals of a base token: 10^36 times a rate leaves room for amounts.
const MOST_DECIMALS: u8 = 36;

stoa_contract::storage! {
    /// An exchange.
    struct Exchange {
        owner: Value<Address>,
        decimals: Value<u8>,
        active: Value<bool>,
        with_mint: Value<bool>,
        /// How often the asset had changed hands when the exchange was made.
        transfers: Value<u32>,
        datatoken: Value<Address>,
        market_fee: Value<u64>,
        base: Value<Address>,
        rate: Value<U256>,
        swapper: Value<Address>,
        market: Value<Address>,
        /// Base tokens due to the market and to the community.
        market_due: Value<u128>,
        community_due: Value<u128>,
        /// What purchases and sales brought.
        base_balance: Value<u128>,
        datatoken_balance: Value<u128>,
    }

    /// All of them.
    struct State {
        exchanges: Mapping<B256, Exchange>,
        ids: Array<Value<B256>>,
    }
}

/// The contract.
#[derive(Clone, Copy, Debug, Default)]
pub struct FixedRate;

/// The id of the exchange of a pair.
pub fn exchange_id(base: Address, datatoken: Address) -> B256 {
    keccak256((base, datatoken).abi_encode())
}

impl FixedRate {
    /// `createWithDecimals`, by a datatoken of the factory, for itself.
    ///
    /// # Errors
    ///
    /// `FixedRateExchange: only router` for everybody else; `Invalid addresses length`, `Invalid uints length`;
    /// `FixedRateExchange: Invalid baseToken,  zero address`; `FixedRateExchange: Invalid datatoken,  equals baseToken`;
    /// `FixedRateExchange: Exchange already exists!`; `FixedRateExchange: Invalid exchange rate value` below 10^10;
    /// `SwapFee too low`, `SwapFee too high`; `ExchangeWrongDecimals` where a token has others, or more than 36.
    fn create(self, cx: &mut Context<'_>, call: &createWithDecimalsCall) -> Result<B256> {
        let datatoken = cx.caller();
        if call.datatoken != datatoken || !cx.view_typed(FACTORY, &erc20ListCall { token: datatoken })? {
            return Err(Error::message("FixedRateExchange: only router"));
        }
        let &[base, owner, market, swapper] = &call.addresses[..] else {
            return Err(Error::message("Invalid addresses length"));
        };
        let &[base_decimals, decimals, rate, market_fee, with_mint] = &call.uints[..] else {
            return Err(Error::message("Invalid uints length"));
        };
        if base.is_zero() {
            return Err(Error::message("FixedRateExchange: Invalid baseToken,  zero address"));
        }
        if base == datatoken {
            return Err(Error::message("FixedRateExchange: Invalid datatoken,  equals baseToken"));
        }
        if rate < U256::from(LOWEST_RATE) {
            return Err(Error::message("FixedRateExchange: Invalid exchange rate value"));
        }
        if decimals != U256::from(18) {
            return Err(ExchangeWrongDecimals { token: datatoken, said: decimals }.into());
        }
        let has = cx.view_typed(base, &IERC20Metadata::decimalsCall {})?;
        if base_decimals != U256::from(has) || has > MOST_DECIMALS {
            return Err(ExchangeWrongDecimals { token: base, said: base_decimals }.into());
        }
        let market_fee = fee(market_fee, "SwapFee too low", "SwapFee too high")?;
        // What nobody collects is not taken.
        let market_fee = if market.is_zero() { 0 } else { market_fee };
        let id = exchange_id(base, datatoken);
        let exchange = State::root().exchanges.at(&id);
        if !exchange.datatoken.read(cx)?.is_zero() {
            return Err(Error::message("FixedRateExchange: Exchange already exists!"));
        }
        let transfers = cx.view_typed(datatoken, &timesTransferredCall {})?;
        exchange.owner.write(cx, owner)?;
        exchange.decimals.write(cx, has)?;
        exchange.active.write(cx, true)?;
        exchange.with_mint.write(cx, !with_mint.is_zero())?;
        exchange.transfers.write(cx, transfers)?;
        exchange.datatoken.write(cx, datatoken)?;
        exchange.market_fee.write(cx, market_fee)?;
        exchange.base.write(cx, base)?;
        exchange.rate.write(cx, rate)?;
        State::root().ids.push(cx, id)?;
        cx.emit(&ExchangeCreated {
            exchangeId: id,
            baseToken: base,
            datatoken,
            exchangeOwner: owner,
            fixedRate: rate,
        })?;
        cx.emit(&ExchangeActivated { exchangeId: id, exchangeOwner: owner })?;
        if !swapper.is_zero() {
            exchange.swapper.write(cx, swapper)?;
        }
        cx.emit(&ExchangeAllowedSwapperChanged { exchangeId: id, allowedSwapper: swapper })?;
        if !market.is_zero() {
            exchange.market.write(cx, market)?;
        }
        let swapFee = U256::from(market_fee);
        cx.emit(&PublishMarketFeeChanged { exchangeId: id, caller: cx.caller(), newMarketCollector: market, swapFee })?;
        Ok(id)
    }

    /// An exchange and its datatoken.
    ///
    /// # Errors
    ///
    /// `FixedRateExchange: Exchange does not exist!`; out of gas.
    fn exchange(self, cx: &mut Context<'_>, id: B256) -> Result<(Exchange, Address)> {
        let exchange = State::root().exchanges.at(&id);
        match exchange.datatoken.read(cx)? {
            Address::ZERO => Err(Error::message("FixedRateExchange: Exchange does not exist!")),
            datatoken => Ok((exchange, datatoken)),
        }
    }

    /// Whether the asset still belongs to whom it did when the exchange was made.
    fn is_of_old(self, cx: &mut Context<'_>, exchange: Exchange, datatoken: Address) -> Result<bool> {
        let transfers = exchange.transfers.read(cx)?;
        Ok(cx.view_typed(datatoken, &timesTransferredCall {})? == transfers)
    }

    /// Lets pass who decides over an exchange; returns its owner too.
    ///
    /// # Errors
    ///
    /// `FixedRateExchange: Exchange does not exist!`, `FixedRateExchange: invalid exchange owner`; out of gas.
    fn only_owner(self, cx: &mut Context<'_>, id: B256) -> Result<(Exchange, Address)> {
        let (exchange, datatoken) = self.exchange(cx, id)?;
        let (owner, caller) = (exchange.owner.read(cx)?, cx.caller());
        let may = owner == caller && self.is_of_old(cx, exchange, datatoken)?
            || cx.view_typed(datatoken, &isERC20DeployerCall { user: caller })?;
        match may {
            true => Ok((exchange, owner)),
            false => Err(Error::message("FixedRateExchange: invalid exchange owner")),
        }
    }

    /// `getOPCFee`: the community's part of a swap with this base token.
    fn community_fee(self, cx: &mut Context<'_>, base: Address) -> Result<U256> {
        cx.view_typed(ROUTER, &getOPCFeeCall { baseToken: base })
    }

    /// `getDTSupply`: how many datatokens can be bought now, none while the asset takes no orders.
    fn datatoken_supply(self, cx: &mut Context<'_>, id: B256) -> Result<U256> {
        let (exchange, datatoken) = self.exchange(cx, id)?;
        if !exchange.active.read(cx)? || Datatoken.closed(cx, datatoken)?.is_some() {
            return Ok(U256::ZERO);
        }
        let this = cx.this();
        if exchange.with_mint.read(cx)? && cx.view_typed(datatoken, &isMinterCall { account: this })? {
            let minted = cx.view_typed(datatoken, &IERC20::totalSupplyCall {})?;
            return Ok(U256::MAX - minted);
        }
        let kept = U256::from(exchange.datatoken_balance.read(cx)?);
        if !self.is_of_old(cx, exchange, datatoken)? {
            return Ok(kept);
        }
        let owner = exchange.owner.read(cx)?;
        let balance = cx.view_typed(datatoken, &IERC20::balanceOfCall { account: owner })?;
        let allowed = cx.view_typed(datatoken, &IERC20::allowanceCall { owner, spender: this })?;
        // An order takes one or the other: more than all datatokens can be neither.
        Ok(kept.saturating_add(balance.min(allowed)))
    }

    /// `getBTSupply`: how many base tokens can be had for datatokens now.
    fn base_supply(self, cx: &mut Context<'_>, id: B256) -> Result<U256> {
        let (exchange, _) = self.exchange(cx, id)?;
        match exchange.active.read(cx)? {
            true => exchange.base_balance.read(cx).map(U256::from),
            false => Ok(U256::ZERO),
        }
    }

    /// `getExchange`.
    fn get(self, cx: &mut Context<'_>, id: B256) -> Result<getExchangeReturn> {
        let (exchange, datatoken) = self.exchange(cx, id)?;
        Ok(getExchangeReturn {
            exchangeOwner: exchange.owner.read(cx)?,
            datatoken,
            dtDecimals: U256::from(18),
            baseToken: exchange.base.read(cx)?,
            btDecimals: U256::from(exchange.decimals.read(cx)?),
            fixedRate: exchange.rate.read(cx)?,
            active: exchange.active.read(cx)?,
            dtSupply: self.datatoken_supply(cx, id)?,
            btSupply: self.base_supply(cx, id)?,
            dtBalance: U256::from(exchange.datatoken_balance.read(cx)?),
            btBalance: U256::from(exchange.base_balance.read(cx)?),
            withMint: exchange.with_mint.read(cx)?,
        })
    }

    /// `getFeesInfo`.
    fn fees(self, cx: &mut Context<'_>, id: B256) -> Result<getFeesInfoReturn> {
        let (exchange, _) = self.exchange(cx, id)?;
        let base = exchange.base.read(cx)?;
        Ok(getFeesInfoReturn {
            marketFee: U256::from(exchange.market_fee.read(cx)?),
            marketFeeCollector: exchange.market.read(cx)?,
            opcFee: self.community_fee(cx, base)?,
            marketFeeAvailable: U256::from(exchange.market_due.read(cx)?),
            oceanFeeAvailable: U256::from(exchange.community_due.read(cx)?),
        })
    }
}

/// A fee between the lowest and the highest, or none.
fn fee(said: U256, too_low: &str, too_high: &str) -> Result<u64> {
    match u64::try_from(said) {
        Ok(fee) if fee == 0 || (LOWEST_FEE..=HIGHEST_FEE).contains(&fee) => Ok(fee),
        Ok(fee) if fee < LOWEST_FEE => Err(Error::message(too_low)),
        _ => Err(Error::message(too_high)),
    }
}

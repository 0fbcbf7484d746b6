//! Who is paid for an order besides its seller: the market it was published by, the market it was bought through, the provider.
//!
//! All three are amounts in tokens of their own, taken from whoever pays for the order, exact to the last unit. A provider's fee
//! is what the provider signed: `keccak256(providerData ‖ feeAddress ‖ feeToken ‖ amount ‖ validUntil)`, as wallets sign messages.
//! The signature names neither order nor consumer. Hence a quote is refused after `validUntil` (0 is no end), and one that asks
//! for money is good for one order or reuse of a datatoken. Ocean checks neither.
//!
//! The community's part of a provider's fee is rounded down; the provider has the rest.

use super::{Datatoken, State};
use crate::market::{
    abi::{
        IDatatoken::{
            ConsumeMarketFee, ProviderFee, ProviderFeeExpired, ProviderFeeSpent, PublishMarketFee,
            getPublishingMarketFeeReturn,
        },
        IRouter::{getOPCCollectorCall, getOPCProviderFeeCall},
        MarketQuote, ProviderQuote, ROUTER,
    },
    money::{check_signed, part, pull},
};
use alloy_primitives::{Address, U256, keccak256};
use alloy_sol_types::SolValue as _;
use stoa_contract::{Context, Result};

impl Datatoken {
    /// Takes the fee of the market that published this datatoken.
    pub(super) fn pay_publish_market(
        self,
        cx: &mut Context<'_>,
        from: Address,
        fee: &getPublishingMarketFeeReturn,
    ) -> Result<()> {
        if fee.feeToken.is_zero() || fee.amount.is_zero() {
            return Ok(());
        }
        pull(cx, fee.feeToken, from, fee.feeAddress, fee.amount)?;
        cx.emit(&PublishMarketFee {
            PublishMarketFeeAddress: fee.feeAddress,
            PublishMarketFeeToken: fee.feeToken,
            PublishMarketFeeAmount: fee.amount,
        })
    }

    /// Takes the fee of the market that the buyer came through.
    pub(super) fn pay_consume_market(self, cx: &mut Context<'_>, from: Address, fee: &MarketQuote) -> Result<()> {
        if fee.feeAddress.is_zero() || fee.feeToken.is_zero() || fee.amount.is_zero() {
            return Ok(());
        }
        pull(cx, fee.feeToken, from, fee.feeAddress, fee.amount)?;
        cx.emit(&ConsumeMarketFee {
            consumeMarketFeeAddress: fee.feeAddress,
            consumeMarketFeeToken: fee.feeToken,
            consumeMarketFeeAmount: fee.amount,
        })
    }

    /// Takes what the provider asks; a quote of address zero asks nothing.
    ///
    /// # Errors
    ///
    /// `Invalid provider fee` if the provider did not sign it; `ProviderFeeExpired`; `ProviderFeeSpent`; the token's.
    pub(super) fn pay_provider(self, cx: &mut Context<'_>, from: Address, quote: ProviderQuote) -> Result<()> {
        let ProviderQuote { feeAddress, feeToken, amount, v, r, s, validUntil, data } = quote;
        if feeAddress.is_zero() {
            return Ok(());
        }
        let packed = (&data, feeAddress, feeToken, amount, validUntil).abi_encode_packed();
        cx.charge(30 + 6 * packed.len().div_ceil(32) as u64)?;
        let digest = keccak256(packed);
        check_signed(cx, feeAddress, digest, (v, r, s), "Invalid provider fee")?;
        if !validUntil.is_zero() && U256::from(cx.timestamp()) > validUntil {
            return Err(ProviderFeeExpired { validUntil }.into());
        }
        cx.emit(&ProviderFee {
            providerFeeAddress: feeAddress,
            providerFeeToken: feeToken,
            providerFeeAmount: amount,
            providerData: data,
            v,
            r,
            s,
            validUntil,
        })?;
        if feeToken.is_zero() || amount.is_zero() {
            return Ok(());
        }
        let spent = State::root().spent.at(&digest);
        if spent.read(cx)? {
            return Err(ProviderFeeSpent { digest }.into());
        }
        spent.write(cx, true)?;
        let of_one = cx.view_typed(ROUTER, &getOPCProviderFeeCall {})?;
        let community = part(amount, of_one)?;
        if !community.is_zero() {
            let collector = cx.view_typed(ROUTER, &getOPCCollectorCall {})?;
            pull(cx, feeToken, from, collector, community)?;
        }
        pull(cx, feeToken, from, feeAddress, amount - community)
    }
}

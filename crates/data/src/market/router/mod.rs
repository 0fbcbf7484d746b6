//! The table of community fees: Ocean's `FactoryRouter`.
//!
//! Fees are parts of 10^18. Where the community has no collector nobody pays any. The chain's own coin is always an approved
//! token, at the lower fee; the owner approves others. Who owns the table, and who collects, is a choice of the chain
//! ([`Router`]); the owner may be the chain's governance.
//!
//! There is one exchange and one dispenser, and they are code of the chain: Ocean's functions that add others are not here, nor
//! those of its retired pools.

mod dispatch;

use crate::market::{
    abi::{
        DISPENSER, FIXED_RATE,
        IDispenser::dispenseCall,
        IFixedRate::{buyDTCall, calcBaseInGivenOutDTCall},
        IRouter::{
            OPCCollectorChanged, OPCFeeChanged, RouterChanged, RouterFeeTooHigh, TokenAdded, TokenRemoved,
            updateOPCFeeCall,
        },
        Operation,
    },
    lock::locked,
    money::{approve, pay, pull},
};
use alloy_primitives::{Address, U256};
use stoa_contract::{
    Context, Error, Result, coin,
    storage::{EnumerableSet, Layout as _, Value, Word as _},
};

/// The highest fee: half of what is paid.
const HIGHEST: u64 = 500_000_000_000_000_000;

/// The most purchases at a time.
const MOST_OPERATIONS: usize = 50;

/// Numbers of purchases in [`Operation`], as in Ocean's `operationType`.
const BUY: u8 = 2;
const DISPENSE: u8 = 3;

/// Fees in the beginning, which are Ocean's: swaps with an approved token 0.1 %, with another 0.2 %, 0.03 datatokens an order,
/// nothing of a provider's fee.
const FEES: [u64; 4] = [1_000_000_000_000_000, 2_000_000_000_000_000, 30_000_000_000_000_000, 0];

stoa_contract::storage! {
    /// The table.
    struct State {
        owner: Value<Address>,
        collector: Value<Address>,
        swap_approved: Value<u64>,
        swap_other: Value<u64>,
        consume: Value<u64>,
        provider: Value<u64>,
        approved: EnumerableSet<Address>,
    }
}

/// The contract, with whom a fresh chain has as owner and collector; address zero for nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Router {
    /// Who changes the table.
    pub owner: Address,
    /// Who gets the community's fees.
    pub collector: Address,
}

impl Router {
    fn state(self) -> State {
        State::root()
    }

    /// Owner, collector and fees in the storage of a fresh chain.
    fn first_storage(self) -> Vec<(U256, U256)> {
        let state = self.state();
        let fees = [state.swap_approved, state.swap_other, state.consume, state.provider];
        let mut slots = std::collections::BTreeMap::<U256, U256>::new();
        let addresses = [(state.owner.place(), self.owner), (state.collector.place(), self.collector)];
        let words = addresses.map(|(place, address)| (place, address.to_word())).into_iter();
        for (place, word) in words.chain(fees.map(|fee| fee.place()).into_iter().zip(FEES.map(U256::from))) {
            *slots.entry(place.slot).or_default() |= word << (8 * usize::from(place.offset));
        }
        slots.into_iter().filter(|(_, word)| !word.is_zero()).collect()
    }

    /// Lets the owner pass.
    ///
    /// # Errors
    ///
    /// `OnlyOwner: Not Authorized`; out of gas.
    fn only_owner(self, cx: &mut Context<'_>) -> Result<()> {
        match self.state().owner.read(cx)? == cx.caller() {
            true => Ok(()),
            false => Err(Error::message("OnlyOwner: Not Authorized")),
        }
    }

    /// `changeRouterOwner`, by the owner.
    ///
    /// # Errors
    ///
    /// `OnlyOwner: Not Authorized`; `Invalid new router owner` for address zero; out of gas.
    fn change_owner(self, cx: &mut Context<'_>, owner: Address) -> Result<()> {
        self.only_owner(cx)?;
        if owner.is_zero() {
            return Err(Error::message("Invalid new router owner"));
        }
        self.state().owner.write(cx, owner)?;
        cx.emit(&RouterChanged { caller: cx.caller(), newRouter: owner })
    }

    /// `updateOPCCollector`, by the owner; address zero ends the fees.
    ///
    /// # Errors
    ///
    /// `OnlyOwner: Not Authorized`; out of gas.
    fn update_collector(self, cx: &mut Context<'_>, collector: Address) -> Result<()> {
        self.only_owner(cx)?;
        self.state().collector.write(cx, collector)?;
        cx.emit(&OPCCollectorChanged { caller: cx.caller(), newOpcCollector: collector })
    }

    /// `updateOPCFee`, by the owner.
    ///
    /// # Errors
    ///
    /// `OnlyOwner: Not Authorized`; `RouterFeeTooHigh` above one half; out of gas.
    fn update_fees(self, cx: &mut Context<'_>, call: &updateOPCFeeCall) -> Result<()> {
        self.only_owner(cx)?;
        let &updateOPCFeeCall { newSwapOceanFee, newSwapNonOceanFee, newConsumeFee, newProviderFee } = call;
        let state = self.state();
        for (kept, fee) in [
            (state.swap_approved, newSwapOceanFee),
            (state.swap_other, newSwapNonOceanFee),
            (state.consume, newConsumeFee),
            (state.provider, newProviderFee),
        ] {
            let fee = u64::try_from(fee).ok().filter(|fee| *fee <= HIGHEST).ok_or(RouterFeeTooHigh { fee })?;
            kept.write(cx, fee)?;
        }
        let caller = cx.caller();
        cx.emit(&OPCFeeChanged { caller, newSwapOceanFee, newSwapNonOceanFee, newConsumeFee, newProviderFee })
    }

    /// A fee of the table; 0 where nobody collects.
    fn effective(self, cx: &mut Context<'_>, fee: Value<u64>) -> Result<U256> {
        match self.state().collector.read(cx)?.is_zero() {
            true => Ok(U256::ZERO),
            false => fee.read(cx).map(U256::from),
        }
    }

    /// The community's part of an order, and who gets it: nothing and nobody where nobody collects.
    pub(super) fn order_fee(self, cx: &mut Context<'_>) -> Result<(U256, Address)> {
        let collector = self.state().collector.read(cx)?;
        match collector.is_zero() {
            true => Ok((U256::ZERO, collector)),
            false => Ok((self.state().consume.read(cx).map(U256::from)?, collector)),
        }
    }

    /// `getOPCFee`: the part of a swap with this token, and of a claim in it.
    fn swap_fee(self, cx: &mut Context<'_>, token: Address) -> Result<U256> {
        let approved = self.is_approved(cx, token)?;
        self.effective(cx, if approved { self.state().swap_approved } else { self.state().swap_other })
    }

    /// `isApprovedToken`.
    fn is_approved(self, cx: &mut Context<'_>, token: Address) -> Result<bool> {
        Ok(token == coin::ADDRESS || self.state().approved.contains(cx, token)?)
    }

    /// `getApprovedTokens`.
    fn approved(self, cx: &mut Context<'_>) -> Result<Vec<Address>> {
        let others = self.state().approved.values(cx)?;
        Ok([coin::ADDRESS].into_iter().chain(others).collect())
    }

    /// `addApprovedToken`, `removeApprovedToken`, by the owner.
    ///
    /// # Errors
    ///
    /// `OnlyOwner: Not Authorized`; out of gas.
    fn approve_token(self, cx: &mut Context<'_>, token: Address, approved: bool) -> Result<()> {
        self.only_owner(cx)?;
        let caller = cx.caller();
        if token == coin::ADDRESS {
            return Ok(());
        }
        match approved {
            true if self.state().approved.add(cx, token)? => cx.emit(&TokenAdded { caller, token }),
            false if self.state().approved.remove(cx, token)? => cx.emit(&TokenRemoved { caller, token }),
            _ => Ok(()),
        }
    }

    /// `buyDTBatch`: several purchases, of which all succeed or none. `amountsIn` is the most base token that one may cost.
    ///
    /// # Errors
    ///
    /// `FactoryRouter: Too Many Operations` above 50; `FactoryRouter: Invalid operation` for others than buying at a fixed rate
    /// and dispensing; the exchange's and the dispenser's; `ReentrancyGuardReentrantCall`.
    fn buy_batch(self, cx: &mut Context<'_>, operations: Vec<Operation>) -> Result<()> {
        if operations.len() > MOST_OPERATIONS {
            return Err(Error::message("FactoryRouter: Too Many Operations"));
        }
        locked(cx, |cx| operations.into_iter().try_for_each(|operation| self.buy(cx, operation)))
    }

    fn buy(self, cx: &mut Context<'_>, operation: Operation) -> Result<()> {
        let (buyer, this) = (cx.caller(), cx.this());
        let Operation { exchangeId, source, tokenIn, amountsIn, tokenOut, amountsOut, swapMarketFee, .. } = operation;
        match (operation.operation, source) {
            (BUY, FIXED_RATE) => {
                let quote = calcBaseInGivenOutDTCall {
                    exchangeId,
                    datatokenAmount: amountsOut,
                    consumeMarketSwapFeeAmount: swapMarketFee,
                };
                let costs = cx.view_typed(FIXED_RATE, &quote)?.baseTokenAmount;
                pull(cx, tokenIn, buyer, this, costs)?;
                approve(cx, tokenIn, FIXED_RATE, costs)?;
                let buy = buyDTCall {
                    exchangeId,
                    datatokenAmount: amountsOut,
                    maxBaseTokenAmount: amountsIn,
                    consumeMarketAddress: operation.marketFeeAddress,
                    consumeMarketSwapFeeAmount: swapMarketFee,
                };
                cx.call_typed(FIXED_RATE, U256::ZERO, &buy)?;
                pay(cx, tokenOut, buyer, amountsOut)
            }
            (DISPENSE, DISPENSER) => {
                let take = dispenseCall { datatoken: tokenOut, amount: amountsOut, destination: buyer };
                cx.call_typed(DISPENSER, U256::ZERO, &take).map(drop)
            }
            _ => Err(Error::message("FactoryRouter: Invalid operation")),
        }
    }
}

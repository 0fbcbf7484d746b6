//! Datatokens for nothing: Ocean's `Dispenser`.
//!
//! A dispenser gives at most `maxTokens` at a time, to accounts that then have at most `maxBalance`. It gives what it was sent,
//! and mints the rest where its datatoken lets it. That somebody who moves datatokens away gets more is in the nature of a gift.
//!
//! While the asset takes no orders it gives nothing: such a datatoken orders nothing.
//!
//! Who opened a dispenser decides over it only as long as the asset does not change hands; who may make datatokens of the asset
//! always does.

mod dispatch;

use crate::market::{
    Datatoken,
    abi::{
        FACTORY,
        IDatatoken::{getPaymentCollectorCall, isERC20DeployerCall, isMinterCall, mintCall, timesTransferredCall},
        IDispenser::{
            DispenserActivated, DispenserAllowedSwapperChanged, DispenserCreated, DispenserDeactivated,
            OwnerWithdrawed, TokensDispensed, createCall, statusReturn,
        },
        IFactory::erc20ListCall,
    },
    lock::locked,
    money::{add, balance, pay},
};
use alloy_primitives::{Address, U256};
use stoa_contract::{
    Context, Error, Result,
    storage::{Array, Mapping, Value},
};

stoa_contract::storage! {
    /// A dispenser of a datatoken.
    struct Tap {
        owner: Value<Address>,
        exists: Value<bool>,
        active: Value<bool>,
        /// How often the asset had changed hands when it was opened.
        transfers: Value<u32>,
        most: Value<U256>,
        most_balance: Value<U256>,
        swapper: Value<Address>,
    }

    /// All of them.
    struct State {
        taps: Mapping<Address, Tap>,
        datatokens: Array<Value<Address>>,
    }
}

/// The contract.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dispenser;

impl Dispenser {
    /// `create`, by a datatoken of the factory, for itself.
    ///
    /// # Errors
    ///
    /// `Dispenser: only router` for everybody else; `Datatoken already created`; out of gas.
    fn create(self, cx: &mut Context<'_>, call: &createCall) -> Result<()> {
        let &createCall { datatoken, maxTokens, maxBalance, owner, allowedSwapper } = call;
        if cx.caller() != datatoken || !cx.view_typed(FACTORY, &erc20ListCall { token: datatoken })? {
            return Err(Error::message("Dispenser: only router"));
        }
        let tap = State::root().taps.at(&datatoken);
        if tap.exists.read(cx)? {
            return Err(Error::message("Datatoken already created"));
        }
        let transfers = cx.view_typed(datatoken, &timesTransferredCall {})?;
        tap.owner.write(cx, owner)?;
        tap.exists.write(cx, true)?;
        tap.active.write(cx, true)?;
        tap.transfers.write(cx, transfers)?;
        tap.most.write(cx, maxTokens)?;
        tap.most_balance.write(cx, maxBalance)?;
        if !allowedSwapper.is_zero() {
            tap.swapper.write(cx, allowedSwapper)?;
        }
        State::root().datatokens.push(cx, datatoken)?;
        cx.emit(&DispenserCreated { datatokenAddress: datatoken, owner, maxTokens, maxBalance, allowedSwapper })?;
        cx.emit(&DispenserAllowedSwapperChanged { datatoken, newAllowedSwapper: allowedSwapper })
    }

    /// Lets pass who decides over a dispenser.
    ///
    /// # Errors
    ///
    /// `Invalid owner`; out of gas.
    fn only_owner(self, cx: &mut Context<'_>, datatoken: Address) -> Result<Tap> {
        let (tap, caller) = (State::root().taps.at(&datatoken), cx.caller());
        if !tap.exists.read(cx)? {
            return Err(Error::message("Invalid owner"));
        }
        let transfers = tap.transfers.read(cx)?;
        let may = tap.owner.read(cx)? == caller && cx.view_typed(datatoken, &timesTransferredCall {})? == transfers
            || cx.view_typed(datatoken, &isERC20DeployerCall { user: caller })?;
        if may { Ok(tap) } else { Err(Error::message("Invalid owner")) }
    }

    /// `activate`, by who decides over it.
    ///
    /// # Errors
    ///
    /// `Invalid owner`; out of gas.
    fn activate(self, cx: &mut Context<'_>, datatoken: Address, most: U256, most_balance: U256) -> Result<()> {
        let tap = self.only_owner(cx, datatoken)?;
        tap.active.write(cx, true)?;
        tap.most.write(cx, most)?;
        tap.most_balance.write(cx, most_balance)?;
        cx.emit(&DispenserActivated { datatokenAddress: datatoken })
    }

    /// `deactivate`, by who decides over it.
    ///
    /// # Errors
    ///
    /// `Invalid owner`; out of gas.
    fn deactivate(self, cx: &mut Context<'_>, datatoken: Address) -> Result<()> {
        self.only_owner(cx, datatoken)?.active.write(cx, false)?;
        cx.emit(&DispenserDeactivated { datatokenAddress: datatoken })
    }

    /// `setAllowedSwapper`, by who decides over it.
    ///
    /// # Errors
    ///
    /// `Invalid owner`; out of gas.
    fn set_swapper(self, cx: &mut Context<'_>, datatoken: Address, swapper: Address) -> Result<()> {
        self.only_owner(cx, datatoken)?.swapper.write(cx, swapper)?;
        cx.emit(&DispenserAllowedSwapperChanged { datatoken, newAllowedSwapper: swapper })
    }

    /// `dispense`.
    ///
    /// # Errors
    ///
    /// `Dispenser not active`; `OrderingClosed` while the datatoken orders nothing, in states of the asset other than active and
    /// unlisted; `This address is not allowed to request DT`; `Amount too high`; `Caller balance too high`; `Not enough reserves`
    /// where it has too few and may not mint; the datatoken's; `ReentrancyGuardReentrantCall`.
    fn dispense(self, cx: &mut Context<'_>, datatoken: Address, amount: U256, to: Address) -> Result<()> {
        locked(cx, |cx| {
            let (tap, this) = (State::root().taps.at(&datatoken), cx.this());
            if !tap.active.read(cx)? {
                return Err(Error::message("Dispenser not active"));
            }
            // One that has a dispenser is the factory's.
            if let Some(closed) = Datatoken.closed(cx, datatoken)? {
                return Err(closed.into());
            }
            let swapper = tap.swapper.read(cx)?;
            if !swapper.is_zero() && swapper != cx.caller() {
                return Err(Error::message("This address is not allowed to request DT"));
            }
            if amount > tap.most.read(cx)? {
                return Err(Error::message("Amount too high"));
            }
            let then = add(balance(cx, datatoken, to)?, amount)?;
            if then > tap.most_balance.read(cx)? {
                return Err(Error::message("Caller balance too high"));
            }
            let kept = balance(cx, datatoken, this)?;
            if kept >= amount {
                pay(cx, datatoken, to, amount)?;
            } else if cx.view_typed(datatoken, &isMinterCall { account: this })? {
                cx.call_typed(datatoken, U256::ZERO, &mintCall { account: to, value: amount })?;
            } else {
                return Err(Error::message("Not enough reserves"));
            }
            cx.emit(&TokensDispensed { datatokenAddress: datatoken, userAddress: to, amount })
        })
    }

    /// `ownerWithdraw`, by who decides over it: gives what it was sent to the datatoken's payment collector.
    ///
    /// # Errors
    ///
    /// `Invalid owner`; out of gas.
    fn withdraw(self, cx: &mut Context<'_>, datatoken: Address) -> Result<()> {
        self.only_owner(cx, datatoken)?;
        let this = cx.this();
        let amount = balance(cx, datatoken, this)?;
        if amount.is_zero() {
            return Ok(());
        }
        let to = cx.view_typed(datatoken, &getPaymentCollectorCall {})?;
        pay(cx, datatoken, to, amount)?;
        cx.emit(&OwnerWithdrawed { datatoken, owner: to, amount })
    }

    /// `status`.
    ///
    /// # Errors
    ///
    /// `Invalid token contract address` for address zero; the errors of a call where there is no datatoken.
    fn status(self, cx: &mut Context<'_>, datatoken: Address) -> Result<statusReturn> {
        if datatoken.is_zero() {
            return Err(Error::message("Invalid token contract address"));
        }
        let (tap, this) = (State::root().taps.at(&datatoken), cx.this());
        Ok(statusReturn {
            active: tap.active.read(cx)?,
            owner: tap.owner.read(cx)?,
            isMinter: cx.view_typed(datatoken, &isMinterCall { account: this })?,
            maxTokens: tap.most.read(cx)?,
            maxBalance: tap.most_balance.read(cx)?,
            balance: balance(cx, datatoken, this)?,
            allowedSwapper: tap.swapper.read(cx)?,
        })
    }
}

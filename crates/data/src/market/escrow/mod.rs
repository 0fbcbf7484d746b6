//! Money locked until the work is done: Ocean's `Escrow`.
//!
//! A payer deposits tokens, and authorizes a payee to lock so much of them, for so long, so many times. The payee locks an amount
//! for a job before it begins and claims what the job cost, with a proof of it; the rest goes back to the payer. From the expiry
//! of a lock on nothing can be claimed, and anybody returns all of it.
//!
//! Sums are exact. A deposit is what arrived: a token that keeps a fee is refused. The community's part of a claim is that of a
//! swap with the token, rounded down; it is credited here to the community's collector, who withdraws it as anybody does. Locks
//! are found by job, token, payer and payee, so that no call becomes dearer by what others locked.
//!
//! Where Ocean lists locks that have the payer *or* the token asked for, this lists those that have both.

mod dispatch;
mod locks;
mod views;

use crate::market::{
    abi::{
        IEscrow::{Auth, Deposit, Withdraw, authorizeCall, depositWithPermitCall},
        IRouter::{getOPCCollectorCall, getOPCFeeCall},
        ROUTER,
    },
    lock::locked,
    money::{add, part, pay, pull},
};
use alloy_primitives::{Address, B256, U256, aliases::U96};
use alloy_sol_types::SolCall as _;
use stoa_contract::{
    Context, Error, Result,
    interfaces::IERC20Permit::permitCall,
    storage::{Array, EnumerableSet, Mapping, Value},
};

stoa_contract::storage! {
    /// Money of an account in a token.
    struct Account {
        available: Value<U256>,
        locked: Value<U256>,
    }

    /// What a payee may lock.
    struct Allowed {
        most: Value<U256>,
        amount: Value<U256>,
        most_seconds: Value<U96>,
        most_locks: Value<U96>,
        locks: Value<u32>,
        /// Whether it was ever authorized.
        known: Value<bool>,
    }

    /// Money locked for a job.
    struct Locked {
        payer: Value<Address>,
        expiry: Value<u64>,
        token: Value<Address>,
        job: Value<U256>,
        amount: Value<U256>,
    }

    /// All of it.
    struct State {
        /// By owner and token.
        accounts: Mapping<Address, Mapping<Address, Account>>,
        /// By owner, the tokens that it ever had.
        tokens: Mapping<Address, EnumerableSet<Address>>,
        /// By payer, token and payee.
        allowed: Mapping<Address, Mapping<Address, Mapping<Address, Allowed>>>,
        /// By payer and token, the payees that it ever authorized.
        payees: Mapping<Address, Mapping<Address, Array<Value<Address>>>>,
        /// By the hash of job, token, payer and payee.
        locks: Mapping<B256, Locked>,
        /// By payee.
        locks_of: Mapping<Address, EnumerableSet<B256>>,
    }
}

/// The contract.
#[derive(Clone, Copy, Debug, Default)]
pub struct Escrow;

impl Escrow {
    fn account(self, owner: Address, token: Address) -> Account {
        State::root().accounts.at(&owner).at(&token)
    }

    fn allowed(self, payer: Address, token: Address, payee: Address) -> Allowed {
        State::root().allowed.at(&payer).at(&token).at(&payee)
    }

    /// `deposit`.
    ///
    /// # Errors
    ///
    /// `Invalid token address` for address zero; `Transfer amount is too low` for a token that keeps a fee; the token's;
    /// `ReentrancyGuardReentrantCall`.
    fn deposit(self, cx: &mut Context<'_>, token: Address, amount: U256) -> Result<()> {
        locked(cx, |cx| {
            if token.is_zero() {
                return Err(Error::message("Invalid token address"));
            }
            let (payer, this) = (cx.caller(), cx.this());
            pull(cx, token, payer, this, amount)?;
            self.credit(cx, payer, token, amount)?;
            cx.emit(&Deposit { payer, token, amount })
        })
    }

    /// `depositWithPermit`: a deposit that the payer allows by signature. One that was used already, as by somebody who saw it,
    /// has done its work.
    ///
    /// # Errors
    ///
    /// As [`Escrow::deposit`].
    fn deposit_with_permit(self, cx: &mut Context<'_>, call: &depositWithPermitCall) -> Result<()> {
        let &depositWithPermitCall { token, amount: value, deadline, v, r, s } = call;
        let (owner, spender) = (cx.caller(), cx.this());
        let permit = permitCall { owner, spender, value, deadline, v, r, s };
        cx.call(token, U256::ZERO, permit.abi_encode().into())?;
        self.deposit(cx, token, value)
    }

    /// Adds to what an account has.
    fn credit(self, cx: &mut Context<'_>, owner: Address, token: Address, amount: U256) -> Result<()> {
        if amount.is_zero() {
            return Ok(());
        }
        let available = self.account(owner, token).available;
        let before = available.read(cx)?;
        available.write(cx, add(before, amount)?)?;
        if before.is_zero() {
            State::root().tokens.at(&owner).add(cx, token)?;
        }
        Ok(())
    }

    /// `withdraw`.
    ///
    /// # Errors
    ///
    /// `Invalid input` for lists that differ; `Not enough available funds`; the tokens'; `ReentrancyGuardReentrantCall`.
    fn withdraw(self, cx: &mut Context<'_>, tokens: &[Address], amounts: &[U256]) -> Result<()> {
        check_lists(tokens.len(), &[amounts.len()])?;
        locked(cx, |cx| {
            for (token, amount) in tokens.iter().zip(amounts) {
                self.pay_out(cx, *token, *amount)?;
            }
            Ok(())
        })
    }

    fn pay_out(self, cx: &mut Context<'_>, token: Address, amount: U256) -> Result<()> {
        let payer = cx.caller();
        let available = self.account(payer, token).available;
        let Some(left) = available.read(cx)?.checked_sub(amount) else {
            return Err(Error::message("Not enough available funds"));
        };
        if amount.is_zero() {
            return Ok(());
        }
        available.write(cx, left)?;
        pay(cx, token, payer, amount)?;
        cx.emit(&Withdraw { payer, token, amount })
    }

    /// `authorize`: what a payee may lock from now on, instead of what it might. Seconds and counts above 2^96 - 1 stand for
    /// that number: clients write them with the decimals of an amount.
    ///
    /// # Errors
    ///
    /// `Invalid token address`, `Invalid payee` for address zero; out of gas.
    fn authorize(self, cx: &mut Context<'_>, call: &authorizeCall) -> Result<()> {
        let &authorizeCall { token, payee, maxLockedAmount, maxLockSeconds, maxLockCounts } = call;
        if token.is_zero() {
            return Err(Error::message("Invalid token address"));
        }
        if payee.is_zero() {
            return Err(Error::message("Invalid payee"));
        }
        let payer = cx.caller();
        let allowed = self.allowed(payer, token, payee);
        if !allowed.known.read(cx)? {
            allowed.known.write(cx, true)?;
            State::root().payees.at(&payer).at(&token).push(cx, payee)?;
        }
        allowed.most.write(cx, maxLockedAmount)?;
        allowed.most_seconds.write(cx, U96::saturating_from(maxLockSeconds))?;
        allowed.most_locks.write(cx, U96::saturating_from(maxLockCounts))?;
        cx.emit(&Auth { payer, payee, maxLockedAmount, maxLockSeconds, maxLockCounts })
    }

    /// The community's part of a claim, and who gets it.
    fn community(self, cx: &mut Context<'_>, token: Address, amount: U256) -> Result<(U256, Address)> {
        let of_one = cx.view_typed(ROUTER, &getOPCFeeCall { baseToken: token })?;
        let due = part(amount, of_one)?;
        match due.is_zero() {
            true => Ok((due, Address::ZERO)),
            false => Ok((due, cx.view_typed(ROUTER, &getOPCCollectorCall {})?)),
        }
    }
}

/// Passes if lists that go together are of one length.
///
/// # Errors
///
/// `Invalid input`.
fn check_lists(len: usize, others: &[usize]) -> Result<()> {
    match others.iter().all(|other| *other == len) {
        true => Ok(()),
        false => Err(Error::message("Invalid input")),
    }
}

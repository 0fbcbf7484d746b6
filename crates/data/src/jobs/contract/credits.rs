//! Money that the contract of jobs pays out: at once, or, where its token refuses, when whoever it belongs to asks for it.
//!
//! A token may refuse an account: one that it does not serve (as USDC does by a list), or whose own code is asked and fails (hooks, as
//! ERC-777 has them). Nobody is to hold up others by that, who are paid by the same receipt or check, nor the bond that it sets free. So
//! each payment is tried by itself, with gas and room for calls of its own, and what fails is credited: the contract keeps it until it is withdrawn, to
//! whatever account its owner names. Anybody may have it tried again to the owner's own account, for an owner that is a contract may have
//! no way to ask.

use super::Jobs;
use crate::{
    jobs::abi::IJobs::{Credited, JobsNoCredit, Withdrawn},
    market::{
        lock::locked,
        money::{add, pay, pay_within},
    },
};
use alloy_primitives::{Address, U256};
use stoa_contract::{Context, Error, Result};

/// Gas for one payment, ten times what a plain token takes: no more, or an account's code could use up all that was sent for a receipt,
/// and no less, or whoever sends it could have a payment fail that would not.
const PAYING: u64 = 300_000;

impl Jobs {
    /// Pays tokens out, or credits them where their token refuses: out of gas; halts where the token could be too deep.
    pub(super) fn pay_out(self, cx: &mut Context<'_>, token: Address, account: Address, amount: U256) -> Result<()> {
        if amount.is_zero() {
            return Ok(());
        }
        match pay_within(cx, token, account, amount, PAYING) {
            // The token's doing: for want of gas or room the whole call fails.
            Err(Error::Revert(_)) => {}
            paid => return paid,
        }
        let credit = self.state().credits.at(&account).at(&token);
        let all = add(credit.read(cx)?, amount)?;
        credit.write(cx, all)?;
        cx.emit(&Credited { account, token, amount })
    }

    pub(in crate::jobs) fn credit_of(self, cx: &mut Context<'_>, account: Address, token: Address) -> Result<U256> {
        self.state().credits.at(&account).at(&token).read(cx)
    }

    /// As [`withdraw_of`](Self::withdraw_of), of the caller's.
    pub(in crate::jobs) fn withdraw(self, cx: &mut Context<'_>, token: Address, to: Address) -> Result<U256> {
        let account = cx.caller();
        self.withdraw_of(cx, token, account, to)
    }

    /// As [`withdraw_of`](Self::withdraw_of), to the account itself, whoever asks for it.
    pub(in crate::jobs) fn withdraw_for(self, cx: &mut Context<'_>, token: Address, account: Address) -> Result<U256> {
        self.withdraw_of(cx, token, account, account)
    }

    /// `JobsNoCredit`; what the token refuses.
    fn withdraw_of(self, cx: &mut Context<'_>, token: Address, account: Address, to: Address) -> Result<U256> {
        locked(cx, |cx| {
            let credit = self.state().credits.at(&account).at(&token);
            let amount = credit.read(cx)?;
            if amount.is_zero() {
                return Err(JobsNoCredit { account, token }.into());
            }
            credit.write(cx, U256::ZERO)?;
            pay(cx, token, to, amount)?;
            cx.emit(&Withdrawn { account, token, to, amount })?;
            Ok(amount)
        })
    }
}

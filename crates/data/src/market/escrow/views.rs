//! What can be looked up.

use super::{Escrow, State};
use crate::market::abi::{Authorization, Funds, LockedFunds};
use alloy_primitives::{Address, U256};
use stoa_contract::{Context, Result};

impl Escrow {
    /// `getUserFunds`, and for the caller `getFunds`.
    pub(super) fn funds(self, cx: &mut Context<'_>, owner: Address, token: Address) -> Result<Funds> {
        let account = self.account(owner, token);
        Ok(Funds { available: account.available.read(cx)?, locked: account.locked.read(cx)? })
    }

    /// `getUserTokens`: the tokens that an account ever had here.
    pub(super) fn tokens(self, cx: &mut Context<'_>, user: Address) -> Result<Vec<Address>> {
        State::root().tokens.at(&user).values(cx)
    }

    /// `getLocks`: a payee's locks of this payer's money in this token; address zero stands for any payer, and any token.
    pub(super) fn locks(
        self,
        cx: &mut Context<'_>,
        token: Address,
        payer: Address,
        payee: Address,
    ) -> Result<Vec<LockedFunds>> {
        let mut locks = Vec::new();
        for id in State::root().locks_of.at(&payee).values(cx)? {
            let lock = State::root().locks.at(&id);
            let is = (lock.token.read(cx)?, lock.payer.read(cx)?);
            if (token.is_zero() || token == is.0) && (payer.is_zero() || payer == is.1) {
                locks.push(LockedFunds {
                    jobId: lock.job.read(cx)?,
                    payer: is.1,
                    amount: lock.amount.read(cx)?,
                    expiry: U256::from(lock.expiry.read(cx)?),
                    token: is.0,
                });
            }
        }
        Ok(locks)
    }

    /// `getAuthorizations`: what a payer allows a payee; address zero stands for all payees.
    pub(super) fn authorizations(
        self,
        cx: &mut Context<'_>,
        token: Address,
        payer: Address,
        payee: Address,
    ) -> Result<Vec<Authorization>> {
        let payees = match payee.is_zero() {
            true => State::root().payees.at(&payer).at(&token).values(cx)?,
            false => vec![payee],
        };
        let mut found = Vec::new();
        for payee in payees {
            let allowed = self.allowed(payer, token, payee);
            if allowed.known.read(cx)? {
                found.push(Authorization {
                    payee,
                    maxLockedAmount: allowed.most.read(cx)?,
                    currentLockedAmount: allowed.amount.read(cx)?,
                    maxLockSeconds: U256::from(allowed.most_seconds.read(cx)?),
                    maxLockCounts: U256::from(allowed.most_locks.read(cx)?),
                    currentLocks: U256::from(allowed.locks.read(cx)?),
                });
            }
        }
        Ok(found)
    }
}

//! Locking, claiming, returning.

use super::{Escrow, Locked, State};
use crate::market::{
    abi::IEscrow::{Canceled, Claimed, Lock, cancelExpiredLockCall, claimLockCall, createLockCall},
    lock::locked,
    money::add,
};
use alloy_primitives::{Address, B256, U256, aliases::U96};
use alloy_sol_types::SolValue as _;
use stoa_contract::{Context, Error, Result};

/// A lock that is there, and its parties.
struct Found {
    id: B256,
    lock: Locked,
    job: U256,
    token: Address,
    payer: Address,
    payee: Address,
    amount: U256,
}

impl Escrow {
    fn lock_id(self, cx: &mut Context<'_>, job: U256, token: Address, payer: Address, payee: Address) -> Result<B256> {
        cx.keccak256(&(job, token, payer, payee).abi_encode())
    }

    /// `createLock`, by the payee.
    ///
    /// # Errors
    ///
    /// `Invalid token address`; `Invalid jobId` for 0; `Payeer cannot be payee`; `No auth found`; `Expiry too high`; `Exceeds
    /// maxLockedAmount`; `Exceeds maxLockCounts`; `Payer does not have enough funds`; `JobId already exists`; out of gas.
    pub(super) fn create_lock(self, cx: &mut Context<'_>, call: &createLockCall) -> Result<()> {
        let (payee, &createLockCall { jobId, token, payer, amount, expiry: seconds }) = (cx.caller(), call);
        if token.is_zero() {
            return Err(Error::message("Invalid token address"));
        }
        if jobId.is_zero() {
            return Err(Error::message("Invalid jobId"));
        }
        if payer == payee {
            return Err(Error::message("Payeer cannot be payee"));
        }
        let (account, allowed) = (self.account(payer, token), self.allowed(payer, token, payee));
        let Some(left) = account.available.read(cx)?.checked_sub(amount) else {
            return Err(Error::message("Payer does not have enough funds"));
        };
        if !allowed.known.read(cx)? {
            return Err(Error::message("No auth found"));
        }
        if seconds > U256::from(allowed.most_seconds.read(cx)?) {
            return Err(Error::message("Expiry too high"));
        }
        let amount_then = add(allowed.amount.read(cx)?, amount)?;
        if amount_then > allowed.most.read(cx)? {
            return Err(Error::message("Exceeds maxLockedAmount"));
        }
        let locks = allowed.locks.read(cx)?;
        if U96::from(locks) >= allowed.most_locks.read(cx)? || locks == u32::MAX {
            return Err(Error::message("Exceeds maxLockCounts"));
        }
        let id = self.lock_id(cx, jobId, token, payer, payee)?;
        let lock = State::root().locks.at(&id);
        if !lock.payer.read(cx)?.is_zero() {
            return Err(Error::message("JobId already exists"));
        }
        account.available.write(cx, left)?;
        let held = account.locked.read(cx)?;
        account.locked.write(cx, add(held, amount)?)?;
        allowed.amount.write(cx, amount_then)?;
        allowed.locks.write(cx, locks + 1)?;
        let expiry = cx.timestamp().saturating_add(seconds.saturating_to());
        lock.payer.write(cx, payer)?;
        lock.expiry.write(cx, expiry)?;
        lock.token.write(cx, token)?;
        lock.job.write(cx, jobId)?;
        lock.amount.write(cx, amount)?;
        State::root().locks_of.at(&payee).add(cx, id)?;
        cx.emit(&Lock { payer, payee, jobId, amount, expiry: U256::from(expiry), token })
    }

    /// # Errors
    ///
    /// `Lock not found`; out of gas.
    fn find(self, cx: &mut Context<'_>, job: U256, token: Address, payer: Address, payee: Address) -> Result<Found> {
        let id = self.lock_id(cx, job, token, payer, payee)?;
        let lock = State::root().locks.at(&id);
        match lock.payer.read(cx)?.is_zero() {
            true => Err(Error::message("Lock not found")),
            false => Ok(Found { id, lock, job, token, payer, payee, amount: lock.amount.read(cx)? }),
        }
    }

    /// `claimLock`, by the payee: takes `amount` of what is locked; the rest is the payer's again. What has expired is returned
    /// as a whole, as by [`Escrow::cancel`].
    ///
    /// # Errors
    ///
    /// `Lock not found`; `Amount too high`; out of gas.
    pub(super) fn claim(self, cx: &mut Context<'_>, call: &claimLockCall, pays_out: bool) -> Result<()> {
        let found = self.find(cx, call.jobId, call.token, call.payer, cx.caller())?;
        let (amount, token) = (call.amount, call.token);
        if amount > found.amount {
            return Err(Error::message("Amount too high"));
        }
        if found.lock.expiry.read(cx)? <= cx.timestamp() {
            return self.end(cx, &found);
        }
        let rest = found.amount - amount;
        self.clear(cx, &found)?;
        self.credit(cx, found.payer, token, rest)?;
        let (due, collector) = self.community(cx, token, amount)?;
        self.credit(cx, found.payee, token, amount - due)?;
        self.credit(cx, collector, token, due)?;
        let Found { job: jobId, payer, payee, .. } = found;
        cx.emit(&Claimed { payee, jobId, token, payer, amount, proof: call.proof.clone() })?;
        if pays_out { locked(cx, |cx| self.pay_out(cx, token, amount - due)) } else { Ok(()) }
    }

    /// `cancelExpiredLock`, by anybody: returns to the payer what was not claimed in time.
    ///
    /// # Errors
    ///
    /// `Lock not found`; `Lock is not expired`; out of gas.
    pub(super) fn cancel(self, cx: &mut Context<'_>, call: &cancelExpiredLockCall) -> Result<()> {
        let found = self.find(cx, call.jobId, call.token, call.payer, call.payee)?;
        match found.lock.expiry.read(cx)? <= cx.timestamp() {
            true => self.end(cx, &found),
            false => Err(Error::message("Lock is not expired")),
        }
    }

    fn end(self, cx: &mut Context<'_>, found: &Found) -> Result<()> {
        self.clear(cx, found)?;
        let &Found { job: jobId, token, payer, payee, amount, .. } = found;
        self.credit(cx, payer, token, amount)?;
        cx.emit(&Canceled { payee, jobId, token, payer, amount })
    }

    /// Takes a lock away; the caller gives its money to somebody.
    fn clear(self, cx: &mut Context<'_>, found: &Found) -> Result<()> {
        let &Found { id, lock, token, payer, payee, amount, .. } = found;
        // What is subtracted was added when the lock was made.
        let (held, allowed) = (self.account(payer, token).locked, self.allowed(payer, token, payee));
        let before = held.read(cx)?;
        held.write(cx, before.saturating_sub(amount))?;
        let (sum, locks) = (allowed.amount.read(cx)?, allowed.locks.read(cx)?);
        allowed.amount.write(cx, sum.saturating_sub(amount))?;
        allowed.locks.write(cx, locks.saturating_sub(1))?;
        lock.payer.write(cx, Address::ZERO)?;
        lock.expiry.write(cx, 0)?;
        lock.token.write(cx, Address::ZERO)?;
        lock.job.write(cx, U256::ZERO)?;
        lock.amount.write(cx, U256::ZERO)?;
        State::root().locks_of.at(&payee).remove(cx, id)?;
        Ok(())
    }
}

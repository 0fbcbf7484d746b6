//! From call data to the functions of the escrow. The plural forms do the singular one for each, all or none.

use super::{Escrow, check_lists};
use crate::market::abi::{
    IEscrow::{
        IEscrowCalls as Calls, authorizeCall, cancelExpiredLockCall, claimLockCall, claimLocksAndWithdrawCall,
        claimLocksCall, createLockCall,
    },
    IRouter::getOPCCollectorCall,
    ROUTER,
};
use alloy_primitives::{Bytes, U256};
use stoa_contract::{Context, Error, NativeContract, Result, abi};

impl NativeContract for Escrow {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        match abi::decode(cx)?.ok_or(Error::UnknownFunction)? {
            Calls::factoryRouter(call) => abi::reply(&call, Ok(ROUTER)),
            Calls::opcCollector(call) => abi::reply(&call, cx.view_typed(ROUTER, &getOPCCollectorCall {})),
            Calls::deposit(call) => abi::done(self.deposit(cx, call.token, call.amount)),
            Calls::depositMultiple(call) => {
                check_lists(call.tokens.len(), &[call.amounts.len()])?;
                let mut both = call.tokens.iter().zip(&call.amounts);
                abi::done(both.try_for_each(|(token, amount)| self.deposit(cx, *token, *amount)))
            }
            Calls::depositWithPermit(call) => abi::done(self.deposit_with_permit(cx, &call)),
            Calls::withdraw(call) => abi::done(self.withdraw(cx, &call.tokens, &call.amounts)),
            Calls::authorize(call) => abi::done(self.authorize(cx, &call)),
            Calls::authorizeMultiple(call) => {
                let seconds = call.maxLockSeconds.len();
                let others = [call.payees.len(), call.maxLockedAmounts.len(), seconds, call.maxLockCounts.len()];
                check_lists(call.tokens.len(), &others)?;
                let each = (0..call.tokens.len()).try_for_each(|at| {
                    let one = authorizeCall {
                        token: call.tokens[at],
                        payee: call.payees[at],
                        maxLockedAmount: call.maxLockedAmounts[at],
                        maxLockSeconds: call.maxLockSeconds[at],
                        maxLockCounts: call.maxLockCounts[at],
                    };
                    self.authorize(cx, &one)
                });
                abi::done(each)
            }
            Calls::createLock(call) => abi::done(self.create_lock(cx, &call)),
            Calls::createLocks(call) => {
                let others = [call.tokens.len(), call.payers.len(), call.amounts.len(), call.expiries.len()];
                check_lists(call.jobIds.len(), &others)?;
                let each = (0..call.jobIds.len()).try_for_each(|at| {
                    let one = createLockCall {
                        jobId: call.jobIds[at],
                        token: call.tokens[at],
                        payer: call.payers[at],
                        amount: call.amounts[at],
                        expiry: call.expiries[at],
                    };
                    self.create_lock(cx, &one)
                });
                abi::done(each)
            }
            Calls::claimLock(call) => abi::done(self.claim(cx, &call, false)),
            Calls::claimLocks(call) => abi::done(self.claims(cx, call, false)),
            Calls::claimLockAndWithdraw(call) => {
                let (jobId, token, payer, amount, proof) =
                    (call.jobId, call.token, call.payer, call.amount, call.proof);
                abi::done(self.claim(cx, &claimLockCall { jobId, token, payer, amount, proof }, true))
            }
            Calls::claimLocksAndWithdraw(call) => {
                let claimLocksAndWithdrawCall { jobIds, tokens, payers, amounts, proofs } = call;
                abi::done(self.claims(cx, claimLocksCall { jobIds, tokens, payers, amounts, proofs }, true))
            }
            Calls::cancelExpiredLock(call) => abi::done(self.cancel(cx, &call)),
            Calls::cancelExpiredLocks(call) => {
                check_lists(call.jobIds.len(), &[call.tokens.len(), call.payers.len(), call.payees.len()])?;
                let each = (0..call.jobIds.len()).try_for_each(|at| {
                    let one = cancelExpiredLockCall {
                        jobId: call.jobIds[at],
                        token: call.tokens[at],
                        payer: call.payers[at],
                        payee: call.payees[at],
                    };
                    self.cancel(cx, &one)
                });
                abi::done(each)
            }
            Calls::getFunds(call) => abi::reply(&call, self.funds(cx, cx.caller(), call.token)),
            Calls::getUserFunds(call) => abi::reply(&call, self.funds(cx, call.payer, call.token)),
            Calls::getUserTokens(call) => abi::reply(&call, self.tokens(cx, call.user)),
            Calls::getLocks(call) => abi::reply(&call, self.locks(cx, call.token, call.payer, call.payee)),
            Calls::getAuthorizations(call) => {
                abi::reply(&call, self.authorizations(cx, call.token, call.payer, call.payee))
            }
        }
    }

    fn interfaces(&self) -> Vec<[u8; 4]> {
        vec![abi::interface_id::<Calls>()]
    }

    /// There is one escrow: on another account's storage it would be anybody's.
    fn may_be_delegated(&self) -> bool {
        false
    }
}

impl Escrow {
    fn claims(self, cx: &mut Context<'_>, call: claimLocksCall, pays_out: bool) -> Result<()> {
        let lists = [call.tokens.len(), call.payers.len(), call.amounts.len(), call.proofs.len()];
        check_lists(call.jobIds.len(), &lists)?;
        (0..call.jobIds.len()).try_for_each(|at| {
            let (token, payer, amount): (_, _, U256) = (call.tokens[at], call.payers[at], call.amounts[at]);
            let one = claimLockCall { jobId: call.jobIds[at], token, payer, amount, proof: call.proofs[at].clone() };
            self.claim(cx, &one, pays_out)
        })
    }
}

//! From call data to the functions of jobs.

use super::{
    Jobs,
    abi::IJobs::{self, IJobsCalls as Calls},
    contract::{commitment_digest, commitment_of, receipt_digest},
};
use alloy_primitives::Bytes;
use stoa_contract::{Context, Error, NativeContract, Result, abi};

impl NativeContract for Jobs {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        match abi::decode(cx)?.ok_or(Error::UnknownFunction)? {
            Calls::offer(call) => abi::done(self.offer(cx, call.asset, &call.offer)),
            Calls::offerOf(call) => abi::reply(&call, self.offer_of(cx, call.asset)),
            Calls::presentOfferOf(call) => {
                let (offer, number) = self.present_offer_of(cx, call.asset)?;
                abi::reply(&call, Ok(IJobs::presentOfferOfReturn { offer, number }))
            }
            Calls::cost(call) => abi::reply(&call, self.cost(cx, call.asset, call.fuel)),
            Calls::start(call) => abi::reply(&call, self.start(cx, &call)),
            Calls::stop(call) => abi::done(self.stop(cx, call.job)),
            Calls::finish(call) => abi::done(self.finish(cx, &call)),
            Calls::expire(call) => abi::done(self.expire(cx, call.job)),
            Calls::jobOf(call) => abi::reply(&call, self.job_of(cx, call.job)),
            Calls::receiptOf(call) => {
                let (receipt, number) = self.receipt_of(cx, call.job)?;
                abi::reply(&call, Ok(IJobs::receiptOfReturn { receipt, number }))
            }
            Calls::receiptDigest(call) => abi::reply(&call, Ok(receipt_digest(cx.chain_id(), call.job, &call.receipt))),
            Calls::bond(call) => abi::done(self.bond(cx, call.asset, call.token, call.amount)),
            Calls::unbond(call) => abi::done(self.unbond(cx, call.asset, call.token, call.amount)),
            Calls::bondOf(call) => {
                let (bond, reserved) = self.bond_of(cx, call.asset, call.token)?;
                abi::reply(&call, Ok(IJobs::bondOfReturn { bond, reserved }))
            }
            Calls::creditOf(call) => abi::reply(&call, self.credit_of(cx, call.account, call.token)),
            Calls::withdraw(call) => abi::reply(&call, self.withdraw(cx, call.token, call.to)),
            Calls::withdrawFor(call) => abi::reply(&call, self.withdraw_for(cx, call.token, call.account)),
            Calls::draw(call) => abi::done(self.draw(cx, call.job)),
            Calls::drawOf(call) => abi::reply(&call, self.draw_of(cx, call.job)),
            Calls::commit(call) => abi::done(self.commit(cx, &call)),
            Calls::reveal(call) => abi::done(self.reveal(cx, &call)),
            Calls::settle(call) => abi::done(self.settle(cx, call.job)),
            Calls::checkOf(call) => abi::reply(&call, self.check_of(cx, call.job)),
            Calls::verdictOf(call) => {
                let (commitment, verdict, revealed) = self.verdict_of(cx, call.job, call.auditor)?;
                abi::reply(&call, Ok(IJobs::verdictOfReturn { commitment, verdict, revealed }))
            }
            Calls::commitmentOf(call) => {
                abi::reply(&call, Ok(commitment_of(call.job, call.auditor, call.verdict, call.salt)))
            }
            Calls::commitmentDigest(call) => {
                abi::reply(&call, Ok(commitment_digest(cx.chain_id(), call.job, call.commitment)))
            }
            Calls::jobsOf(call) => abi::reply(&call, self.jobs_of(cx, call.asset, call.from, call.most)),
            Calls::publishProgram(call) => abi::done(self.publish_program(cx, call.algorithm, call.source, call.url)),
            Calls::publicationsOf(call) => {
                abi::reply(&call, self.publications_of(cx, call.algorithm, call.from, call.most))
            }
        }
    }

    fn interfaces(&self) -> Vec<[u8; 4]> {
        vec![abi::interface_id::<Calls>()]
    }

    /// There is one account of jobs: on another account's storage it would be anybody's.
    fn may_be_delegated(&self) -> bool {
        false
    }
}

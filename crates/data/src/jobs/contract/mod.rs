//! The rules of jobs: who may begin one, what it costs, when it ends.
//!
//! ```text
//!             start                    finish (a receipt that the node signed)
//!  offer ───────────────▶ running ───────────────────────────────────────────▶ finished: base and steps to the owner, rest back
//!    grant stands, cost held │
//!                            └── expire (until is over) ─────────────────────▶ expired: everything back
//! ```
//!
//! Thousands of gas, the transaction's own 21 among them: `start` 409, `finish` 190, which wants 300 more to be there for a payment that
//! takes more.
//!
//! A job is a use of a grant: what the terms of the grant say, the contract of consent checks, in the same transaction, after
//! whatever came before in the block. A job names the offer under which it began, which is the one that its buyer has looked at, so that
//! nothing that an owner offers later touches it, and the order of a datatoken, where its grant is for those who have one. Its id
//! covers what it comes of ([`job_id`]), and its node signs the id.
//!
//! | what happens | the owner gets | the buyer gets back |
//! |---|---|---|
//! | the program ends well, or ill; is stopped; uses up its limits; leaves what must not leave | base, and price × millions of steps begun | the rest |
//! | it may be checked, and ends so that no check could find that false: is stopped; is withheld; a process uses up its limits | base | the rest |
//! | the node says that it could not do it, or that its owner did not look at the result in time | nothing | everything |
//! | no receipt in time | nothing | everything, by `expire` |
//! | the grant is revoked while it runs | as if it were stopped | the rest |
//! | it is revoked before a round of it ran: its node says that it could not do it | nothing | everything |
//! | the token does not pay one of them | what is his, or a credit if it is he | the same |
//!
//! What an order of a datatoken has cost is between its buyer and its seller: no job gives it back, also if its owner vanishes.
//!
//! A finished job may be checked, and refuted ([`checks`]).
//!
//! Money that is held for jobs is held by this contract, and what it holds of a token is at least the sum of what is held for running
//! jobs, of bonds and of credits: what arrives is measured, and a token that takes a part of what it moves is refused. Whom a token
//! does not pay has a credit, and holds up nobody ([`credits`]).

mod checks;
mod credits;
mod publications;

use crate::jobs::abi::{
    BROKEN, EXPIRED, FAILED, FINISHED,
    IJobs::{
        Checks, Job, JobExpired, JobFinished, JobInvalidSignature, JobIsOver, JobNoSuchEnd, JobNotBuyer, JobNotOver,
        JobOtherData, JobStarted, JobStopped, JobUnknown, JobsInvalidOffer, JobsNotOffered, JobsNotOwner,
        JobsOtherOffer, JobsOtherRuntime, JobsTooDear, JobsTooMuchFuel, Offer, Offered, Receipt, finishCall, startCall,
    },
    JOBS, LIMITED, PROCESS, REPEATABLE, RUNNING, SUCCEEDED, WASM,
};
use crate::{
    abi::{
        CONSENT, CREDENTIAL,
        IConsent::{Terms, assetOfCall, grantOfCall, useGrantForCall},
    },
    market::{
        abi::{FACTORY, IDatatoken::validOrderCall, IFactory::erc20ListCall},
        lock::locked,
        money::{add, pull},
    },
};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue as _;
use checks::{Bond, Drawing, Verdict};
use stoa_contract::{
    Context, Error, Result, nodes,
    storage::{Array, Mapping, Value},
};

pub use checks::{commitment_digest, commitment_of};

/// Steps that the price is for.
pub const MILLION: u64 = 1_000_000;

/// The longest that a node may have for a job, in seconds: a week.
const LONGEST: u32 = 7 * 24 * 3600;

/// How a job ends at most: `BROKEN`.
const MOST_ENDED: u8 = BROKEN;

stoa_contract::storage! {
    /// An offer.
    struct OfferState {
        node: Value<B256>,
        data: Value<B256>,
        rules: Value<B256>,
        token: Value<Address>,
        fuel: Value<u64>,
        time: Value<u32>,
        pay_to: Value<Address>,
        runtimes: Value<u8>,
        drawn: Value<u8>,
        chance: Value<u16>,
        base: Value<U256>,
        price: Value<U256>,
        fee: Value<U256>,
        stake: Value<U256>,
        auditors: Array<Value<B256>>,
    }

    /// A job.
    struct JobState {
        buyer: Value<Address>,
        started: Value<u64>,
        state: Value<u8>,
        stopped: Value<bool>,
        runtime: Value<u8>,
        /// How it is checked (see `checks`).
        check: Value<u8>,
        fuel: Value<u64>,
        until: Value<u64>,
        /// Which of the asset's offers, from 1.
        offer: Value<u32>,
        client: Value<B256>,
        asset: Value<B256>,
        grant: Value<B256>,
        used: Value<B256>,
        algorithm: Value<B256>,
        locked: Value<U256>,
        receipt: ReceiptState,
        /// What is reserved of the asset's bond.
        reserved: Value<U256>,
        drawing: Drawing,
        /// The order of a datatoken; zero if there is none.
        order: Value<B256>,
    }

    /// A receipt.
    struct ReceiptState {
        params: Value<B256>,
        runtime: Value<B256>,
        output: Value<B256>,
        rounds: Value<u32>,
        ended: Value<u8>,
        fuel: Value<u64>,
        number: Value<u64>,
    }

    /// All of it.
    struct State {
        /// By the hash of an asset and the number of the offer: what has been offered stays, for the jobs that began under it.
        offers: Mapping<B256, OfferState>,
        /// The number of an asset's offer now; 0 before the first.
        offered: Mapping<B256, Value<u32>>,
        jobs: Mapping<B256, JobState>,
        of: Mapping<B256, Array<Value<B256>>>,
        /// By the hash of an asset and a token.
        bonds: Mapping<B256, Bond>,
        /// By the hash of a job and an auditor.
        verdicts: Mapping<B256, Verdict>,
        /// By program.
        published: Mapping<B256, Array<publications::Entry>>,
        /// What could not be paid out, by account and token.
        credits: Mapping<Address, Mapping<Address, Value<U256>>>,
    }
}

impl OfferState {
    fn read(&self, cx: &mut Context<'_>) -> Result<Offer> {
        Ok(Offer {
            node: self.node.read(cx)?,
            data: self.data.read(cx)?,
            rules: self.rules.read(cx)?,
            token: self.token.read(cx)?,
            payTo: self.pay_to.read(cx)?,
            base: self.base.read(cx)?,
            price: self.price.read(cx)?,
            fuel: self.fuel.read(cx)?,
            time: self.time.read(cx)?,
            runtimes: self.runtimes.read(cx)?,
            checks: Checks {
                auditors: self.auditors.values(cx)?,
                drawn: self.drawn.read(cx)?,
                chance: self.chance.read(cx)?,
                fee: self.fee.read(cx)?,
                stake: self.stake.read(cx)?,
            },
        })
    }

    fn write(&self, cx: &mut Context<'_>, offer: &Offer) -> Result<()> {
        self.node.write(cx, offer.node)?;
        self.data.write(cx, offer.data)?;
        self.rules.write(cx, offer.rules)?;
        self.token.write(cx, offer.token)?;
        self.fuel.write(cx, offer.fuel)?;
        self.time.write(cx, offer.time)?;
        self.pay_to.write(cx, offer.payTo)?;
        self.base.write(cx, offer.base)?;
        self.price.write(cx, offer.price)?;
        self.runtimes.write(cx, offer.runtimes)?;
        let Checks { auditors, drawn, chance, fee, stake } = &offer.checks;
        self.drawn.write(cx, *drawn)?;
        self.chance.write(cx, *chance)?;
        self.fee.write(cx, *fee)?;
        self.stake.write(cx, *stake)?;
        auditors.iter().try_for_each(|auditor| self.auditors.push(cx, *auditor))
    }
}

/// What so many steps cost under an offer: its base, and its price for each million, one that is only begun included.
///
/// # Errors
///
/// `Panic(0x11)` if no amount is as large.
pub(crate) fn cost(offer: &Offer, fuel: u64) -> Result<U256> {
    let steps = offer.price.checked_mul(U256::from(fuel.div_ceil(MILLION))).ok_or_else(Error::overflow)?;
    add(offer.base, steps)
}

/// Whether an offer may say this of what runs there.
const fn runs(runtimes: u8) -> bool {
    let (what, repeatable) = (runtimes & !REPEATABLE, runtimes & REPEATABLE != 0);
    what != 0 && what <= WASM | PROCESS && (!repeatable || what & PROCESS != 0)
}

/// Whether receipts of this runtime may be checked.
pub(in crate::jobs) fn is_checked(offer: &Offer, runtime: u8) -> bool {
    offer.checks.drawn > 0 && (runtime == WASM || offer.runtimes & REPEATABLE != 0)
}

/// Whether another run of a job can come to this end.
pub(in crate::jobs) const fn repeats(runtime: u8, ended: u8) -> bool {
    matches!(ended, SUCCEEDED | FAILED) || ended == LIMITED && runtime == WASM
}

/// What an owner is due for a receipt that says so under an offer: nothing if his node could not do it; else for the steps. Where receipts
/// of this runtime are checked, and no other run can come to this end, the base alone: a node that lies would always say that.
///
/// # Errors
///
/// `Panic(0x11)` if no amount is as large.
pub(crate) fn due(offer: &Offer, runtime: u8, ended: u8, fuel: u64) -> Result<U256> {
    match ended {
        BROKEN => Ok(U256::ZERO),
        _ if is_checked(offer, runtime) && !repeats(runtime, ended) => Ok(offer.base),
        _ => cost(offer, fuel),
    }
}

/// The contract.
#[derive(Clone, Copy, Debug, Default)]
pub struct Jobs;

impl Jobs {
    fn state(self) -> State {
        State::root()
    }

    /// `ConsentAssetUnknown`.
    fn owner_of(self, cx: &mut Context<'_>, asset: B256) -> Result<Address> {
        Ok(cx.view_typed(CONSENT, &assetOfCall { asset })?.owner)
    }

    /// `JobsNotOwner`; `JobsInvalidOffer`; `ConsentAssetUnknown`.
    pub(in crate::jobs) fn offer(self, cx: &mut Context<'_>, asset: B256, offer: &Offer) -> Result<()> {
        let caller = cx.caller();
        if self.owner_of(cx, asset)? != caller {
            return Err(JobsNotOwner { asset, caller }.into());
        }
        let wrong = match offer {
            Offer { node, .. } if node.is_zero() => None,
            Offer { token, .. } if token.is_zero() => Some("it is paid in no token"),
            Offer { payTo, .. } if payTo.is_zero() => Some("nobody is paid"),
            Offer { fuel: 0, .. } => Some("a job takes steps"),
            Offer { time, .. } if !(1..=LONGEST).contains(time) => Some("a node has a second to a week"),
            Offer { runtimes, .. } if !runs(*runtimes) => Some("nothing runs there"),
            offer => checks::wrong(offer).or_else(|| {
                let most = cost(offer, offer.fuel).and_then(|held| checks::needed(&offer.checks, held));
                most.err().map(|_| "no amount is as large as what a job may cost")
            }),
        };
        if let Some(what) = wrong {
            return Err(JobsInvalidOffer { what: what.into() }.into());
        }
        let offered = self.state().offered.at(&asset);
        let number = offered.read(cx)?.checked_add(1).ok_or_else(Error::overflow)?;
        offered.write(cx, number)?;
        self.numbered(cx, asset, number)?.write(cx, offer)?;
        cx.emit(&Offered { asset, node: offer.node, number, offer: offer.clone() })
    }

    fn numbered(self, cx: &mut Context<'_>, asset: B256, number: u32) -> Result<OfferState> {
        let key = cx.keccak256(&(asset, U256::from(number)).abi_encode_params())?;
        Ok(self.state().offers.at(&key))
    }

    pub(in crate::jobs) fn offer_of(self, cx: &mut Context<'_>, asset: B256) -> Result<Offer> {
        Ok(self.present_offer_of(cx, asset)?.0)
    }

    pub(in crate::jobs) fn present_offer_of(self, cx: &mut Context<'_>, asset: B256) -> Result<(Offer, u32)> {
        let number = self.state().offered.at(&asset).read(cx)?;
        Ok((self.numbered(cx, asset, number)?.read(cx)?, number))
    }

    /// What had been offered when a job began.
    fn offer_under(self, cx: &mut Context<'_>, job: &JobState) -> Result<Offer> {
        let (asset, number) = (job.asset.read(cx)?, job.offer.read(cx)?);
        self.numbered(cx, asset, number)?.read(cx)
    }

    fn offered(self, cx: &mut Context<'_>, asset: B256) -> Result<Offer> {
        let offer = self.offer_of(cx, asset)?;
        if offer.node.is_zero() { Err(JobsNotOffered { asset }.into()) } else { Ok(offer) }
    }

    /// `JobsNotOffered`; `JobsTooMuchFuel`.
    pub(in crate::jobs) fn cost(self, cx: &mut Context<'_>, asset: B256, fuel: u64) -> Result<U256> {
        let offer = self.offered(cx, asset)?;
        if fuel == 0 || fuel > offer.fuel {
            return Err(JobsTooMuchFuel { fuel, most: offer.fuel }.into());
        }
        cost(&offer, fuel)
    }

    /// `JobsOtherOffer` where the owner offers something else than was looked at; what the contract of consent refuses a use of the grant
    /// with; `JobsNotOffered`; `JobsTooMuchFuel`; `JobsTooDear`; `JobsOtherRuntime`; `JobsBondTooLow`; what the token refuses, and
    /// `Transfer amount is too low`.
    pub(in crate::jobs) fn start(self, cx: &mut Context<'_>, call: &startCall) -> Result<B256> {
        locked(cx, |cx| {
            let startCall { grant, algorithm, client, runtime, fuel, most, offer: seen } = call;
            let (buyer, number) = (cx.caller(), cx.block_number());
            let granted = cx.view_typed(CONSENT, &grantOfCall { grant: *grant })?;
            let (asset, terms) = (granted.asset, granted.terms);
            let present = self.state().offered.at(&asset).read(cx)?;
            if *seen != present {
                return Err(JobsOtherOffer { asset, offer: *seen, present }.into());
            }
            let held = self.cost(cx, asset, *fuel)?;
            if held > *most {
                return Err(JobsTooDear { cost: held, most: *most }.into());
            }
            let (user, grant, algorithm) = (buyer, *grant, *algorithm);
            let used = cx.call_typed(CONSENT, U256::ZERO, &useGrantForCall { user, grant, algorithm })?;
            let order = self.order_of(cx, &terms, buyer)?;
            // A use is one of its grant, and so names one job.
            let id = cx.keccak256(&named(used, asset, algorithm, order))?;
            let offer = self.numbered(cx, asset, present)?.read(cx)?;
            if ![WASM, PROCESS].contains(runtime) || offer.runtimes & runtime == 0 {
                return Err(JobsOtherRuntime { asset, runtime: *runtime }.into());
            }
            let until = cx.timestamp().saturating_add(offer.time.into());
            let job = self.state().jobs.at(&id);
            job.buyer.write(cx, buyer)?;
            job.started.write(cx, number)?;
            job.state.write(cx, RUNNING)?;
            job.runtime.write(cx, *runtime)?;
            job.client.write(cx, *client)?;
            job.asset.write(cx, asset)?;
            job.grant.write(cx, grant)?;
            job.used.write(cx, used)?;
            job.algorithm.write(cx, algorithm)?;
            job.offer.write(cx, present)?;
            job.fuel.write(cx, *fuel)?;
            job.until.write(cx, until)?;
            job.locked.write(cx, held)?;
            if !order.is_zero() {
                job.order.write(cx, order)?;
            }
            self.state().of.at(&asset).push(cx, id)?;
            if is_checked(&offer, *runtime) {
                self.reserve(cx, &job, asset, &offer, held)?;
            }
            let own = cx.this();
            if !held.is_zero() {
                pull(cx, offer.token, buyer, own, held)?;
            }
            let (fuel, runtime) = (*fuel, *runtime);
            cx.emit(&JobStarted {
                job: id,
                asset,
                buyer,
                grant,
                algorithm,
                offer: present,
                runtime,
                fuel,
                locked: held,
                order,
            })?;
            Ok(id)
        })
    }

    /// The order by which a buyer has a grant that is for those who have one of a datatoken of the market's; zero for all other grants.
    fn order_of(self, cx: &mut Context<'_>, terms: &Terms, buyer: Address) -> Result<B256> {
        let service = U256::from_be_bytes(terms.credential.0).checked_sub(U256::ONE);
        let Some(service) = service.filter(|_| terms.kind == CREDENTIAL) else { return Ok(B256::ZERO) };
        if !cx.view_typed(FACTORY, &erc20ListCall { token: terms.who })? {
            return Ok(B256::ZERO);
        }
        cx.view_typed(terms.who, &validOrderCall { consumer: buyer, payer: buyer, serviceIndex: service })
    }

    /// The state of a job: `JobUnknown`.
    fn known(self, cx: &mut Context<'_>, job: B256) -> Result<u8> {
        match self.state().jobs.at(&job).state.read(cx)? {
            0 => Err(JobUnknown { job }.into()),
            state => Ok(state),
        }
    }

    fn running(self, cx: &mut Context<'_>, job: B256) -> Result<()> {
        match self.known(cx, job)? {
            RUNNING => Ok(()),
            state => Err(JobIsOver { job, state }.into()),
        }
    }

    /// `JobUnknown`; `JobIsOver`; `JobNotBuyer`.
    pub(in crate::jobs) fn stop(self, cx: &mut Context<'_>, id: B256) -> Result<()> {
        self.running(cx, id)?;
        let (job, caller) = (self.state().jobs.at(&id), cx.caller());
        if job.buyer.read(cx)? != caller {
            return Err(JobNotBuyer { job: id, caller }.into());
        }
        job.stopped.write(cx, true)?;
        cx.emit(&JobStopped { job: id })
    }

    /// `JobUnknown`; `JobIsOver`; `JobOtherData`; `JobsTooMuchFuel`; `JobNoSuchEnd`; `JobInvalidSignature`.
    pub(in crate::jobs) fn finish(self, cx: &mut Context<'_>, call: &finishCall) -> Result<()> {
        locked(cx, |cx| {
            let finishCall { job: id, receipt, signature } = call;
            self.running(cx, *id)?;
            let job = self.state().jobs.at(id);
            let (offer, most) = (self.offer_under(cx, &job)?, job.fuel.read(cx)?);
            if receipt.data != offer.data {
                return Err(JobOtherData { job: *id, data: receipt.data }.into());
            }
            if receipt.fuel > most {
                return Err(JobsTooMuchFuel { fuel: receipt.fuel, most }.into());
            }
            if receipt.ended > MOST_ENDED {
                return Err(JobNoSuchEnd { ended: receipt.ended }.into());
            }
            cx.charge(nodes::SIGNATURE_GAS)?;
            if !nodes::signed(offer.node, receipt_digest(cx.chain_id(), *id, receipt), signature) {
                return Err(JobInvalidSignature { job: *id, node: offer.node }.into());
            }
            let held = job.locked.read(cx)?;
            let paid = due(&offer, job.runtime.read(cx)?, receipt.ended, receipt.fuel)?;
            let refunded = held.checked_sub(paid).ok_or_else(Error::overflow)?;
            let number = cx.block_number();
            job.state.write(cx, FINISHED)?;
            job.locked.write(cx, U256::ZERO)?;
            let entry = &job.receipt;
            entry.params.write(cx, receipt.params)?;
            entry.runtime.write(cx, receipt.runtime)?;
            entry.output.write(cx, receipt.output)?;
            entry.rounds.write(cx, receipt.rounds)?;
            entry.ended.write(cx, receipt.ended)?;
            entry.fuel.write(cx, receipt.fuel)?;
            entry.number.write(cx, number)?;
            self.finished(cx, &job, &offer, receipt.ended)?;
            let (asset, buyer) = (job.asset.read(cx)?, job.buyer.read(cx)?);
            for (to, amount) in [(offer.payTo, paid), (buyer, refunded)] {
                self.pay_out(cx, offer.token, to, amount)?;
            }
            cx.emit(&JobFinished { job: *id, asset, buyer, receipt: receipt.clone(), paid, refunded })
        })
    }

    /// `JobUnknown`; `JobIsOver`; `JobNotOver`.
    pub(in crate::jobs) fn expire(self, cx: &mut Context<'_>, id: B256) -> Result<()> {
        locked(cx, |cx| {
            self.running(cx, id)?;
            let job = self.state().jobs.at(&id);
            let until = job.until.read(cx)?;
            if cx.timestamp() <= until {
                return Err(JobNotOver { job: id, until }.into());
            }
            let (refunded, buyer, offer) = (job.locked.read(cx)?, job.buyer.read(cx)?, self.offer_under(cx, &job)?);
            if job.check.read(cx)? != 0 {
                self.release(cx, &job, &offer, 0)?;
            }
            job.state.write(cx, EXPIRED)?;
            job.locked.write(cx, U256::ZERO)?;
            self.pay_out(cx, offer.token, buyer, refunded)?;
            cx.emit(&JobExpired { job: id, refunded })
        })
    }

    /// `JobUnknown`.
    pub(in crate::jobs) fn job_of(self, cx: &mut Context<'_>, id: B256) -> Result<Job> {
        let (state, job) = (self.known(cx, id)?, self.state().jobs.at(&id));
        Ok(Job {
            buyer: job.buyer.read(cx)?,
            client: job.client.read(cx)?,
            asset: job.asset.read(cx)?,
            grant: job.grant.read(cx)?,
            used: job.used.read(cx)?,
            algorithm: job.algorithm.read(cx)?,
            runtime: job.runtime.read(cx)?,
            offer: self.offer_under(cx, &job)?,
            fuel: job.fuel.read(cx)?,
            locked: job.locked.read(cx)?,
            started: job.started.read(cx)?,
            until: job.until.read(cx)?,
            state,
            stopped: job.stopped.read(cx)?,
            order: job.order.read(cx)?,
        })
    }

    /// `JobUnknown`; zeros for a job that has none.
    pub(in crate::jobs) fn receipt_of(self, cx: &mut Context<'_>, id: B256) -> Result<(Receipt, u64)> {
        self.known(cx, id)?;
        let job = self.state().jobs.at(&id);
        let entry = &job.receipt;
        let number = entry.number.read(cx)?;
        let data = if number == 0 { B256::ZERO } else { self.offer_under(cx, &job)?.data };
        let receipt = Receipt {
            data,
            params: entry.params.read(cx)?,
            runtime: entry.runtime.read(cx)?,
            output: entry.output.read(cx)?,
            rounds: entry.rounds.read(cx)?,
            fuel: entry.fuel.read(cx)?,
            ended: entry.ended.read(cx)?,
        };
        Ok((receipt, number))
    }

    pub(in crate::jobs) fn jobs_of(
        self,
        cx: &mut Context<'_>,
        asset: B256,
        from: U256,
        most: U256,
    ) -> Result<Vec<B256>> {
        self.state().of.at(&asset).page(cx, from, most)
    }
}

/// What is hashed to a job's id.
fn named(used: B256, asset: B256, algorithm: B256, order: B256) -> Vec<u8> {
    ("job", used, asset, algorithm, order).abi_encode_params()
}

/// The id of a job, and so what its node signs for: the use of a grant that it is, what it computes on, its program, and the order of a
/// datatoken by which its buyer has the grant, or zero.
pub fn job_id(used: B256, asset: B256, algorithm: B256, order: B256) -> B256 {
    keccak256(named(used, asset, algorithm, order))
}

/// What a node signs, by ed25519, who has done a job.
pub fn receipt_digest(chain_id: u64, job: B256, receipt: &Receipt) -> B256 {
    let domain = ("Stoa job receipt", U256::from(chain_id), JOBS, job).abi_encode_params();
    keccak256([domain, receipt.abi_encode()].concat())
}

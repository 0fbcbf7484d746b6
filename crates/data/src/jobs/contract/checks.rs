//! How receipts are checked: nodes that the chain's randomness draws run a job again, and a false receipt costs its owner's bond.
//!
//! ```text
//!                  the draw (randomness of a later block)
//!  finished ──▶ waiting ──▶ drawn: commit … reveal ──▶ settle ──▶ confirmed   the auditors get their fee
//!                  │                                         ├──▶ false       the buyer gets what was paid, and the stake
//!                  └──▶ spared                               └──▶ undecided   nothing moves
//! ```
//!
//! Those who may check are whom the owner names, for they see the data; buyers see who they are before they begin a job. Who
//! of them checks a job is decided by randomness that nobody knows when its receipt is agreed on. An auditor first commits to what
//! it came to and reveals it when all have committed, so that nobody gains by copying.
//!
//! What a false receipt would cost is reserved of the bond when a job begins, so that no number of jobs is checked for less than
//! they would owe. Receipts that say that a job was stopped, that its result was withheld or that the node could not do it
//! are not checked: another run cannot come to that. Nor are those of processes, unless the offer says that they come close to the
//! same again, and then not those that used up what they may, for that depends on the machine. So that no node says that to be paid for
//! what it did not do, such a receipt of a job that could have been checked pays the base at most ([`due`](super::due)).
//!
//! Nobody has to draw, and a job that nobody draws while the randomness is kept is spared: its buyer, who gains by a false receipt, sees
//! to that, beside the node and its auditors.

use super::{JobState, Jobs, Offer, repeats};
use crate::{
    jobs::abi::{
        CONFIRMED, DRAWN, FALSE, FINISHED,
        IJobs::{
            Bonded, Check, CheckCommitted, CheckRevealed, Checks, JobCheckNotNow, JobCheckNotOver, JobCheckOver,
            JobChecked, JobCommitted, JobDrawn, JobInvalidSignature, JobNotAuditor, JobNotDrawnYet, JobOtherVerdict,
            JobSpared, JobsBondTooLow, JobsNotOwner, commitCall, revealCall,
        },
        JOBS, REFUTED, SPARED, UNDECIDED, WAITING,
    },
    market::{
        lock::locked,
        money::{add, pull},
    },
};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue as _;
use stoa_contract::{
    Context, Error, Result,
    nodes::{
        self,
        INodes::{NodeUnknown, nodeOfCall},
    },
    randomness::{
        self,
        IRandomness::{RandomnessNotKept, randomnessOfCall},
    },
    storage::Value,
};

/// The most auditors of an asset.
const MOST_AUDITORS: usize = 16;

/// All jobs, in ten thousandths.
const ALL: u16 = 10_000;

/// By how many blocks the one whose randomness draws comes after the receipt's. The next block's is that of the round in which the receipt's
/// block is voted for, which its leader and some colluders may know before they choose what is in it; and where an epoch begins with the
/// next block or the one after it, its is a hash of what the block before has. The third block's comes from a round that is still to come.
const DRAWN_AFTER: u64 = 3;

/// How long those who were drawn may take to reveal, in seconds.
const REVEALING: u64 = 600;

stoa_contract::storage! {
    /// A bond.
    pub(super) struct Bond {
        amount: Value<U256>,
        reserved: Value<U256>,
    }

    /// What was drawn for a job.
    pub(super) struct Drawing {
        seed: Value<B256>,
        committing: Value<u64>,
        revealing: Value<u64>,
        committed: Value<u8>,
        revealed: Value<u8>,
    }

    /// What an auditor says.
    pub(super) struct Verdict {
        commitment: Value<B256>,
        verdict: Value<B256>,
        revealed: Value<bool>,
    }
}

/// What is wrong with how an offer has its receipts checked.
pub(super) fn wrong(offer: &Offer) -> Option<&'static str> {
    let Checks { auditors, drawn, chance, .. } = &offer.checks;
    let named = |(at, auditor): (usize, &B256)| auditors[..at].contains(auditor);
    match usize::from(*drawn) {
        _ if auditors.len() > MOST_AUDITORS => Some("it has more than 16 auditors"),
        _ if auditors.iter().enumerate().any(named) => Some("it names an auditor twice"),
        _ if auditors.contains(&offer.node) => Some("a node does not check itself"),
        drawn if drawn > auditors.len() => Some("more auditors are to be drawn than it names"),
        _ if *chance > ALL => Some("more jobs than all are to be checked"),
        0 if *chance > 0 => Some("jobs are to be checked, and nobody is drawn"),
        drawn if drawn > 0 && *chance == 0 => Some("auditors are to be drawn, and no job is checked"),
        _ => None,
    }
}

/// What is reserved for a job for which so much is held: all of it, the stake and the fees.
///
/// # Errors
///
/// `Panic(0x11)` if no amount is as large.
pub(super) fn needed(checks: &Checks, held: U256) -> Result<U256> {
    let fees = checks.fee.checked_mul(U256::from(checks.drawn)).ok_or_else(Error::overflow)?;
    add(add(held, checks.stake)?, fees)
}

/// Some of these, as a seed draws them: the first of a shuffle (Fisher and Yates).
fn drawn(cx: &mut Context<'_>, mut auditors: Vec<B256>, count: u8, seed: B256) -> Result<Vec<B256>> {
    let count = usize::from(count).min(auditors.len());
    for at in 0..count {
        let value: U256 = cx.keccak256(&(seed, U256::from(at)).abi_encode_params())?.into();
        let left = U256::from(auditors.len() - at);
        auditors.swap(at, at + (value % left).to::<usize>());
    }
    auditors.truncate(count);
    Ok(auditors)
}

impl Jobs {
    fn bond_at(self, cx: &mut Context<'_>, asset: B256, token: Address) -> Result<Bond> {
        let key = cx.keccak256(&(asset, token).abi_encode_params())?;
        Ok(self.state().bonds.at(&key))
    }

    /// `ConsentAssetUnknown`; what the token refuses.
    pub(in crate::jobs) fn bond(self, cx: &mut Context<'_>, asset: B256, token: Address, amount: U256) -> Result<()> {
        locked(cx, |cx| {
            self.owner_of(cx, asset)?;
            let (caller, own) = (cx.caller(), cx.this());
            let bond = self.bond_at(cx, asset, token)?;
            let all = add(bond.amount.read(cx)?, amount)?;
            bond.amount.write(cx, all)?;
            pull(cx, token, caller, own, amount)?;
            cx.emit(&Bonded { asset, token, bond: all })
        })
    }

    /// `JobsNotOwner`; `JobsBondTooLow`.
    pub(in crate::jobs) fn unbond(self, cx: &mut Context<'_>, asset: B256, token: Address, amount: U256) -> Result<()> {
        locked(cx, |cx| {
            let caller = cx.caller();
            if self.owner_of(cx, asset)? != caller {
                return Err(JobsNotOwner { asset, caller }.into());
            }
            let bond = self.bond_at(cx, asset, token)?;
            let all = bond.amount.read(cx)?;
            let free = all.saturating_sub(bond.reserved.read(cx)?);
            if amount > free {
                return Err(JobsBondTooLow { asset, free, needed: amount }.into());
            }
            let left = all.saturating_sub(amount);
            bond.amount.write(cx, left)?;
            self.pay_out(cx, token, caller, amount)?;
            cx.emit(&Bonded { asset, token, bond: left })
        })
    }

    pub(in crate::jobs) fn bond_of(self, cx: &mut Context<'_>, asset: B256, token: Address) -> Result<(U256, U256)> {
        let bond = self.bond_at(cx, asset, token)?;
        Ok((bond.amount.read(cx)?, bond.reserved.read(cx)?))
    }

    /// Sets aside what a false receipt of a job would cost: `JobsBondTooLow`.
    pub(super) fn reserve(
        self,
        cx: &mut Context<'_>,
        job: &JobState,
        asset: B256,
        offer: &Offer,
        held: U256,
    ) -> Result<()> {
        let needed = needed(&offer.checks, held)?;
        let bond = self.bond_at(cx, asset, offer.token)?;
        let reserved = bond.reserved.read(cx)?;
        let free = bond.amount.read(cx)?.saturating_sub(reserved);
        if needed > free {
            return Err(JobsBondTooLow { asset, free, needed }.into());
        }
        bond.reserved.write(cx, add(reserved, needed)?)?;
        job.check.write(cx, WAITING)?;
        job.reserved.write(cx, needed)
    }

    /// Ends a check, or what may have become one: gives back to the bond what was set aside.
    pub(super) fn release(self, cx: &mut Context<'_>, job: &JobState, offer: &Offer, state: u8) -> Result<()> {
        job.check.write(cx, state)?;
        let reserved = job.reserved.read(cx)?;
        if !reserved.is_zero() {
            let asset = job.asset.read(cx)?;
            let bond = self.bond_at(cx, asset, offer.token)?;
            let left = bond.reserved.read(cx)?.saturating_sub(reserved);
            bond.reserved.write(cx, left)?;
            job.reserved.write(cx, U256::ZERO)?;
        }
        Ok(())
    }

    /// A receipt came: one that another run cannot come to is not checked.
    pub(super) fn finished(self, cx: &mut Context<'_>, job: &JobState, offer: &Offer, ended: u8) -> Result<()> {
        if job.check.read(cx)? == 0 || repeats(job.runtime.read(cx)?, ended) {
            return Ok(());
        }
        self.release(cx, job, offer, 0)
    }

    /// Lets a check pass that is in this state: `JobUnknown`; `JobCheckNotNow`.
    fn only_in(self, cx: &mut Context<'_>, id: B256, wanted: u8) -> Result<JobState> {
        self.known(cx, id)?;
        let job = self.state().jobs.at(&id);
        match job.check.read(cx)? {
            state if state == wanted => Ok(job),
            state => Err(JobCheckNotNow { job: id, state }.into()),
        }
    }

    /// The seed of a job's draw; nothing if the randomness is not kept any more: `JobNotDrawnYet`.
    fn seed(self, cx: &mut Context<'_>, id: B256, job: &JobState) -> Result<Option<B256>> {
        if job.state.read(cx)? != FINISHED {
            return Err(JobCheckNotNow { job: id, state: WAITING }.into());
        }
        let number = job.receipt.number.read(cx)? + DRAWN_AFTER;
        if cx.block_number() < number {
            return Err(JobNotDrawnYet { job: id, number }.into());
        }
        match cx.view_typed(randomness::ADDRESS, &randomnessOfCall { blockNumber: U256::from(number) }) {
            Ok(value) => Ok(Some(cx.keccak256(&(value, id).abi_encode_params())?)),
            // Anything else, such as a call too deep, is up to whoever calls.
            Err(error) if error.decode::<RandomnessNotKept>().is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whom a seed draws for a job; nobody if it spares it.
    fn draws(self, cx: &mut Context<'_>, offer: &Offer, seed: Option<B256>) -> Result<Vec<B256>> {
        let Some(seed) = seed else { return Ok(Vec::new()) };
        let Checks { auditors, drawn: count, chance, .. } = &offer.checks;
        if U256::from_be_bytes(seed.0) % U256::from(ALL) >= U256::from(*chance) {
            return Ok(Vec::new());
        }
        drawn(cx, auditors.clone(), *count, seed)
    }

    /// `JobUnknown`; `JobCheckNotNow`; `JobNotDrawnYet`.
    pub(in crate::jobs) fn draw_of(self, cx: &mut Context<'_>, id: B256) -> Result<Vec<B256>> {
        let job = self.only_in(cx, id, WAITING)?;
        let (seed, offer) = (self.seed(cx, id, &job)?, self.offer_under(cx, &job)?);
        self.draws(cx, &offer, seed)
    }

    /// `JobUnknown`; `JobCheckNotNow`; `JobNotDrawnYet`.
    pub(in crate::jobs) fn draw(self, cx: &mut Context<'_>, id: B256) -> Result<()> {
        let job = self.only_in(cx, id, WAITING)?;
        let (seed, offer) = (self.seed(cx, id, &job)?, self.offer_under(cx, &job)?);
        let auditors = self.draws(cx, &offer, seed)?;
        if auditors.is_empty() {
            self.release(cx, &job, &offer, SPARED)?;
            return cx.emit(&JobSpared { job: id });
        }
        let committing = cx.timestamp().saturating_add(offer.time.into());
        let revealing = committing.saturating_add(REVEALING);
        job.check.write(cx, DRAWN)?;
        job.drawing.seed.write(cx, seed.unwrap_or_default())?;
        job.drawing.committing.write(cx, committing)?;
        job.drawing.revealing.write(cx, revealing)?;
        cx.emit(&JobDrawn { job: id, auditors, committing, revealing })
    }

    /// Those who were drawn.
    fn auditors(self, cx: &mut Context<'_>, job: &JobState) -> Result<Vec<B256>> {
        let (offer, seed) = (self.offer_under(cx, job)?, job.drawing.seed.read(cx)?);
        drawn(cx, offer.checks.auditors, offer.checks.drawn, seed)
    }

    fn verdict_at(self, cx: &mut Context<'_>, job: B256, auditor: B256) -> Result<Verdict> {
        let key = cx.keccak256(&(job, auditor).abi_encode_params())?;
        Ok(self.state().verdicts.at(&key))
    }

    /// `JobUnknown`; `JobCheckNotNow`; `JobCheckOver`; `JobNotAuditor`; `JobCommitted`; `JobInvalidSignature`.
    pub(in crate::jobs) fn commit(self, cx: &mut Context<'_>, call: &commitCall) -> Result<()> {
        let commitCall { job: id, auditor, commitment, signature } = call;
        let (id, auditor) = (*id, *auditor);
        let job = self.only_in(cx, id, DRAWN)?;
        let until = job.drawing.committing.read(cx)?;
        if cx.timestamp() > until {
            return Err(JobCheckOver { job: id, until }.into());
        }
        if !self.auditors(cx, &job)?.contains(&auditor) {
            return Err(JobNotAuditor { job: id, auditor }.into());
        }
        let said = self.verdict_at(cx, id, auditor)?;
        if !said.commitment.read(cx)?.is_zero() || commitment.is_zero() {
            return Err(JobCommitted { job: id, auditor }.into());
        }
        cx.charge(nodes::SIGNATURE_GAS)?;
        if !nodes::signed(auditor, commitment_digest(cx.chain_id(), id, *commitment), signature) {
            return Err(JobInvalidSignature { job: id, node: auditor }.into());
        }
        said.commitment.write(cx, *commitment)?;
        let committed = job.drawing.committed.read(cx)?.saturating_add(1);
        job.drawing.committed.write(cx, committed)?;
        cx.emit(&CheckCommitted { job: id, auditor, commitment: *commitment })
    }

    /// `JobUnknown`; `JobCheckNotNow`; `JobCheckNotOver` while others may still commit themselves; `JobCheckOver`;
    /// `JobOtherVerdict` for what was not committed to.
    pub(in crate::jobs) fn reveal(self, cx: &mut Context<'_>, call: &revealCall) -> Result<()> {
        let revealCall { job: id, auditor, verdict, salt } = *call;
        let job = self.only_in(cx, id, DRAWN)?;
        let (offer, now) = (self.offer_under(cx, &job)?, cx.timestamp());
        let (committing, revealing) = (job.drawing.committing.read(cx)?, job.drawing.revealing.read(cx)?);
        if job.drawing.committed.read(cx)? < offer.checks.drawn && now <= committing {
            return Err(JobCheckNotOver { job: id, until: committing }.into());
        }
        if now > revealing {
            return Err(JobCheckOver { job: id, until: revealing }.into());
        }
        let said = self.verdict_at(cx, id, auditor)?;
        cx.charge(60)?;
        if said.revealed.read(cx)? || said.commitment.read(cx)? != commitment_of(id, auditor, verdict, salt) {
            return Err(JobOtherVerdict { job: id, auditor }.into());
        }
        said.verdict.write(cx, verdict)?;
        said.revealed.write(cx, true)?;
        let revealed = job.drawing.revealed.read(cx)?.saturating_add(1);
        job.drawing.revealed.write(cx, revealed)?;
        cx.emit(&CheckRevealed { job: id, auditor, verdict })
    }

    /// `JobUnknown`; `JobCheckNotNow`; `JobCheckNotOver`.
    pub(in crate::jobs) fn settle(self, cx: &mut Context<'_>, id: B256) -> Result<()> {
        locked(cx, |cx| {
            let job = self.only_in(cx, id, DRAWN)?;
            let auditors = self.auditors(cx, &job)?;
            let until = job.drawing.revealing.read(cx)?;
            if usize::from(job.drawing.revealed.read(cx)?) < auditors.len() && cx.timestamp() <= until {
                return Err(JobCheckNotOver { job: id, until }.into());
            }
            let mut said = Vec::new();
            for auditor in &auditors {
                let verdict = self.verdict_at(cx, id, *auditor)?;
                if verdict.revealed.read(cx)? {
                    said.push((*auditor, verdict.verdict.read(cx)?));
                }
            }
            let agreed = |one: &B256| said.iter().filter(|(_, other)| other == one).count() * 2 > auditors.len();
            let most = said.iter().map(|(_, verdict)| *verdict).find(agreed);
            let (receipt, _) = self.receipt_of(cx, id)?;
            cx.charge(100)?;
            let signed = super::receipt_digest(cx.chain_id(), id, &receipt);
            let state = match most {
                Some(verdict) if verdict == signed => CONFIRMED,
                Some(_) => FALSE,
                None => UNDECIDED,
            };
            self.settled(cx, id, &job, state, most, &said)
        })
    }

    /// Pays what a settled check costs.
    fn settled(
        self,
        cx: &mut Context<'_>,
        id: B256,
        job: &JobState,
        state: u8,
        most: Option<B256>,
        said: &[(B256, B256)],
    ) -> Result<()> {
        let offer = self.offer_under(cx, job)?;
        self.release(cx, job, &offer, state)?;
        let mut payments = Vec::new();
        for (auditor, verdict) in said {
            if Some(*verdict) == most
                && let Some(operator) = operator(cx, *auditor)?
            {
                payments.push((operator, offer.checks.fee));
            }
        }
        let mut slashed = U256::ZERO;
        if state == FALSE {
            job.state.write(cx, REFUTED)?;
            let fuel = job.receipt.fuel.read(cx)?;
            slashed = add(super::cost(&offer, fuel)?, offer.checks.stake)?;
            payments.push((job.buyer.read(cx)?, slashed));
        }
        let asset = job.asset.read(cx)?;
        let bond = self.bond_at(cx, asset, offer.token)?;
        let mut left = bond.amount.read(cx)?;
        for (_, amount) in &payments {
            left = left.checked_sub(*amount).ok_or_else(Error::overflow)?;
        }
        bond.amount.write(cx, left)?;
        for (to, amount) in payments {
            self.pay_out(cx, offer.token, to, amount)?;
        }
        cx.emit(&JobChecked { job: id, state, verdict: most.unwrap_or_default(), slashed })
    }

    /// `JobUnknown`.
    pub(in crate::jobs) fn check_of(self, cx: &mut Context<'_>, id: B256) -> Result<Check> {
        self.known(cx, id)?;
        let job = self.state().jobs.at(&id);
        let auditors = if job.drawing.seed.read(cx)?.is_zero() { Vec::new() } else { self.auditors(cx, &job)? };
        Ok(Check {
            state: job.check.read(cx)?,
            auditors,
            committing: job.drawing.committing.read(cx)?,
            revealing: job.drawing.revealing.read(cx)?,
            committed: job.drawing.committed.read(cx)?,
            revealed: job.drawing.revealed.read(cx)?,
            reserved: job.reserved.read(cx)?,
        })
    }

    pub(in crate::jobs) fn verdict_of(
        self,
        cx: &mut Context<'_>,
        job: B256,
        auditor: B256,
    ) -> Result<(B256, B256, bool)> {
        let said = self.verdict_at(cx, job, auditor)?;
        Ok((said.commitment.read(cx)?, said.verdict.read(cx)?, said.revealed.read(cx)?))
    }
}

/// Who is paid for what a node does; nobody if it is not registered any more.
fn operator(cx: &mut Context<'_>, key: B256) -> Result<Option<Address>> {
    match cx.view_typed(nodes::ADDRESS, &nodeOfCall { key }) {
        Ok(node) => Ok(Some(node.operator)),
        Err(error) if error.decode::<NodeUnknown>().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What hides a verdict until it is revealed.
pub fn commitment_of(job: B256, auditor: B256, verdict: B256, salt: B256) -> B256 {
    keccak256(("Stoa job verdict", job, auditor, verdict, salt).abi_encode_params())
}

/// What an auditor signs, by ed25519, who commits to a verdict.
pub fn commitment_digest(chain_id: u64, job: B256, commitment: B256) -> B256 {
    keccak256(("Stoa job commitment", U256::from(chain_id), JOBS, job, commitment).abi_encode_params())
}

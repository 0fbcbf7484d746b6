//! What a node does that computes on its owner's data.
//!
//! A buyer begins a job on the ledger, then talks to the node under the key that the job names: the program once, then round after
//! round parameters, and for each what may leave. Before each round, and before anything leaves, the node asks its own copy of
//! the ledger whether the job goes on, its grant stands, and its program is still one that may run. When the buyer is done, or says
//! nothing for a while, the node signs the receipt, which anybody may bring to the ledger: it pays the owner and gives the rest back.
//!
//! What a job has done so far is on the disk before anything of it leaves, so that a node that was ended goes on with the same
//! account of steps, rounds and budgets. The program is sent again then; a round that was under way is run again, but a job ends, and costs
//! nothing, of which something waited for its owner to look at it. A buyer who comes later finds what left in the newest round, sealed to
//! him.
//!
//! A round runs on what was offered and on nothing else: if something shows that the data are not the same any more they are read again
//! before it runs, and when it has run ([`here`]). If they are others or gone the node says that it could not do the job, which costs
//! nothing. So it says of a job of which nothing was done when it was ended in its first round, when its grant was revoked, or when the
//! first round waited for its turn until the job's time was over.
//!
//! A round counts against the budget before it runs, for its end and its steps tell something however it ends, but for one that never has
//! its turn; where nothing may leave any more none runs. What it counts is on the disk before its end is told. While it runs it is said
//! for how long, and nothing that the program could change.
//!
//! Anybody may offer an asset of his and name this node. Jobs on one of which nothing is here are not taken: they have no place among the
//! node's jobs, leave nothing on its disk, and it brings no receipts of them.
//!
//! One buyer has some of the node's jobs and no more, and one of his programs is compiled or waits to run at a time ([`turns`]). Processes
//! run on one asset at a time ([`alone`]). An asset has no more jobs than there are places left, so that there are always some for the jobs
//! of others.
//!
//! ```text
//! <folder>/<asset>/files, rules.json       the data (`DataSet`)
//! <folder>/<asset>/jobs/<job>/             what it was run with, until it is checked (`Kept`)
//! <folder>/<asset>/jobs/<job>.begun        its first round has begun
//! <folder>/<asset>/jobs/<job>.result       what left in its newest round, sealed (`results`)
//! <folder>/<asset>/jobs/<job>-<N>.result   what is to leave in round N, until that is written down
//! <folder>/<asset>/held/<job>-<round>/     what would leave, until its owner has looked at it (`held`)
//! <folder>/<asset>/spent.json              what has left, by buyer, and what jobs have done (`Notes`)
//! <folder>/<asset>/spent-day.json          what has left on the newest day to all buyers, if that is bounded
//! ```

mod alone;
mod guard;
mod here;
mod notes;
mod places;
mod ready;
mod runtimes;
mod session;
mod settle;
mod turns;

use super::{
    abi::{
        BROKEN, DRAWN,
        IJobs::{Check, IJobsErrors, Job, Offer, Receipt, checkOfCall, jobOfCall, receiptOfCall},
        JOBS, PROCESS, RUNNING, STOPPED, SUCCEEDED, WITHHELD,
    },
    contract::receipt_digest,
    data::DataSet,
    kept::Kept,
    results,
    rules::{Leaving, Rules},
    run::{Done, Ran, round_job, run_unless_dropped},
    wire::{self, MOST_PARAMS, Request, Round},
};
use crate::{
    abi::{
        CONSENT,
        IConsent::{IConsentErrors, assetOfCall, checkUseCall},
    },
    contract::asset_id,
    registry::sign_digest,
};
use alloy_primitives::{Address, B256};
use alloy_sol_types::SolCall;
use alone::never_ran;
use commonware_codec::Encode as _;
use commonware_cryptography::{Signer as _, ed25519};
use futures::{FutureExt as _, future::BoxFuture};
pub(crate) use guard::Guard;
use guard::{Aside, Reserved};
use here::Here;
use notes::Notes;
use parking_lot::Mutex;
use places::full;
pub use runtimes::Runtimes;
use session::{Session, State};
pub(super) use session::{read, write};
use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use stoa_base::{NodeId, create_private};
use stoa_client::{Chain, ViewError, view};
use stoa_net::{Denied, Service, answer};
use stoa_sandbox::{Control, Runtime};
use tokio::{sync::Notify, task::spawn_blocking, time::timeout};
#[cfg(test)]
pub(super) use turns::Turn;
use turns::Turns;

/// How long a buyer may say nothing before the node takes the job for done.
const SILENCE: Duration = Duration::from_secs(600);

/// How long a question waits for a round to end.
const WAIT: Duration = Duration::from_secs(20);

/// How often is looked whether a round that waits for its turn was cancelled.
const CANCELLED: Duration = Duration::from_millis(200);

/// How is said that a job is none of this node's, that it cannot be done for want of its data, and that nothing of it was done yet when the
/// node was ended, or the job's time was over.
const NOTHING: &str = "nothing is here of the asset that the job is on";
const OTHERS: &str = "the data or rules that were offered are not those that are here";
const RESTARTED: &str = "the node was restarted while it ran";
const LATE: &str = "the job's time was over before it was its turn";

/// How is said that a program may not run any more that might before: whoever had published it has withdrawn it.
const WITHDRAWN: &str = "the program was withdrawn by the account that had published it, whom the owner trusts";

pub(super) type Outcomes<T> = Result<T, Denied>;

pub(super) fn refused<T>(why: impl Into<String>) -> Outcomes<T> {
    Err(Denied::Refused(why.into()))
}

/// Troubles of the disk are this node's own business.
pub(super) fn own(error: impl std::fmt::Display) -> Denied {
    tracing::error!(%error, "a job cannot be done");
    Denied::Refused("the node cannot do it now; ask later".into())
}

/// Calls the contract of jobs from the node's account, with this call data; an error is in words.
pub type Sender = Box<dyn Fn(Vec<u8>) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// A node that computes.
pub struct Computer {
    pub(super) key: ed25519::PrivateKey,
    pub(super) chain_id: u64,
    pub(crate) chain: Arc<dyn Chain>,
    pub(crate) folder: PathBuf,
    pub(crate) runtimes: Runtimes,
    pub(crate) turns: Turns,
    sessions: Mutex<HashMap<B256, Arc<Session>>>,
    pub(crate) spending: Arc<Mutex<Aside>>,
    here: Here,
}

/// A round that is to run.
struct Running {
    number: u32,
    code: Arc<[u8]>,
    params: Vec<u8>,
    control: Control,
}

/// Why a job does not go on, as the ledger says.
struct Ends {
    why: String,
    /// What its owner had allowed stands no more, by the owner's word, by that of the account that it was for, which may give it up, or of
    /// one whose programs he trusts: it is not that the job was stopped at its buyer's word, or that he is not whom it is for any more.
    revoked: bool,
}

impl Ends {
    /// How a job ends by that which has done so much: who takes back what he allowed is not paid for nothing.
    const fn ended(&self, done: &Done) -> u8 {
        if self.revoked && done.is_nothing() { BROKEN } else { STOPPED }
    }
}

/// Waits for a round's turn; nothing if the round is cancelled before.
async fn unless_cancelled<T>(control: &Control, turn: impl Future<Output = T>) -> Option<T> {
    let mut turn = pin!(turn);
    while !control.is_cancelled() {
        if let Ok(turn) = timeout(CANCELLED, turn.as_mut()).await {
            return Some(turn);
        }
    }
    None
}

impl Computer {
    /// Computes on what lies in `folder`. `chain` is the node's own copy of the ledger.
    ///
    /// # Errors
    ///
    /// If the folder cannot be made or read.
    pub fn open(
        folder: &Path,
        runtimes: Runtimes,
        key: ed25519::PrivateKey,
        chain_id: u64,
        chain: Arc<dyn Chain>,
    ) -> io::Result<Self> {
        create_private(folder)?;
        for asset in fs::read_dir(folder)?.flatten().filter(|asset| asset.path().is_dir()) {
            if let Err(error) = Notes::recover(&asset.path()) {
                tracing::error!(asset = %asset.path().display(), %error, "what jobs have done on an asset cannot be read");
            }
        }
        let (turns, sessions, spending, here) = (Turns::default(), Mutex::default(), Arc::default(), Here::default());
        Ok(Self { key, chain_id, chain, folder: folder.to_owned(), runtimes, turns, sessions, spending, here })
    }

    /// Its node.
    pub fn id(&self) -> NodeId {
        NodeId::from(&self.key.public_key())
    }

    pub(super) async fn asks<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return, ViewError> {
        Ok(view(&*self.chain, to, call).await?.0)
    }

    pub(super) async fn job(&self, job: B256) -> Outcomes<Job> {
        self.asks(JOBS, &jobOfCall { job }).await.map_err(|error| match error.reason::<IJobsErrors>() {
            Some(_) => Denied::Refused(format!("there is no job {job}")),
            None => own(error),
        })
    }

    /// Whether a job goes on and its grant stands; why not if not.
    async fn stands(&self, id: B256) -> Outcomes<Result<(), Ends>> {
        let job = self.job(id).await?;
        let ends = |why: &str| Ok(Err(Ends { why: why.to_owned(), revoked: false }));
        if job.state != RUNNING {
            return ends("the job is over");
        }
        match self.asks(CONSENT, &checkUseCall { id: job.used }).await {
            // One whose grant is revoked may be stopped for that.
            Ok(_) if job.stopped => ends("its buyer stopped it"),
            Ok(_) => Ok(Ok(())),
            Err(error) => match error.reason::<IConsentErrors>() {
                Some(reason) => {
                    // All grants of an asset that is erased are.
                    let revoked = matches!(reason, IConsentErrors::ConsentRevoked(_));
                    Ok(Err(Ends { why: crate::client::words(&reason), revoked }))
                }
                None => Err(own(error)),
            },
        }
    }

    /// Whether a job goes on, and its program, which might run when it was sent, may do so still; why not if not.
    async fn goes_on(&self, session: &Session) -> Outcomes<Result<(), Ends>> {
        let stands = self.stands(session.id).await?;
        match &session.data {
            Some(data) if stands.is_ok() && !self.trusts(&data.rules, session.job.algorithm).await? => {
                Ok(Err(Ends { why: WITHDRAWN.to_owned(), revoked: true }))
            }
            _ => Ok(stands),
        }
    }

    /// How a job ends that was stopped when it had done so much, and why.
    async fn stops(&self, session: &Session, done: &Done) -> (u8, String) {
        match self.stands(session.id).await {
            Ok(Err(ends)) => (ends.ended(done), ends.why),
            _ if done.is_nothing() && session.state.lock().late => (BROKEN, LATE.to_owned()),
            _ => (STOPPED, "it was stopped".to_owned()),
        }
    }

    /// What lies in an asset's folder, if it is what this offer names.
    async fn has(&self, folder: &Path, offer: &Offer) -> Option<DataSet> {
        let data = self.here.read(folder).await.ok()?;
        (data.hash == offer.data && data.rules.hash() == offer.rules).then_some(data)
    }

    /// Whether the data are here still that a job runs on. Its rules are those that it began with.
    async fn still_has(&self, session: &Session) -> bool {
        self.here.read(&session.folder).await.is_ok_and(|data| data.hash == session.job.offer.data)
    }

    /// Ends a job of which nothing was done as one that this node could not do, if that is so: it was ended in the first round, has not
    /// the data any more, or may not use them any more.
    async fn end_undone(&self, session: &Session) {
        let (undone, lost) = {
            let state = session.state.lock();
            let undone = state.running.is_none() && state.done.ended.is_none() && state.done.rounds == 0;
            (undone, state.lost)
        };
        if undone && lost {
            session.miss(RESTARTED);
        } else if undone && !self.still_has(session).await {
            session.miss(OTHERS);
        } else if undone
            && let Ok(Err(ends)) = self.stands(session.id).await
            && ends.revoked
        {
            session.miss(&ends.why);
        }
    }

    /// The session of a job, which is opened if it was not. One whose data are not here has none, and has ended if nothing of it was done.
    /// There is none of a job on an asset of which nothing is here: that this node is to do it is said by whoever made the asset, and
    /// by nobody here.
    async fn session(&self, from: NodeId, id: B256) -> Outcomes<Arc<Session>> {
        let known = self.sessions.lock().get(&id).cloned();
        let session = match known {
            Some(session) => session,
            None => {
                let job = self.job(id).await?;
                if NodeId::from(job.offer.node) != self.id() {
                    return refused("another node does this job");
                }
                if NodeId::from(job.client) != from {
                    return refused("the job names another key than the one that asks");
                }
                if job.state != RUNNING {
                    return refused("the job is over");
                }
                let folder = self.folder.join(job.asset.to_string());
                let (done, begun) = (Notes::of(&folder, id).map_err(own)?, Notes::has_begun(&folder, id));
                let ran = begun || !done.is_nothing();
                if !ran && !folder.join("rules.json").try_exists().map_err(own)? {
                    return refused(NOTHING);
                }
                // It had a place before this node was ended, and its receipt has to come.
                let had = ran || done != Done::default();
                let data = self.has(&folder, &job.offer).await;
                create_private(&folder.join("jobs")).map_err(own)?;
                let (state, changed, spending) =
                    (Mutex::new(State::new(done, begun)), Notify::new(), self.spending.clone());
                let session = Session { id, job, data, folder, state, changed, spending };
                let (asset, buyer) = (session.job.asset, session.job.buyer);
                let mut sessions = self.sessions.lock();
                if !had
                    && !sessions.contains_key(&id)
                    && let Some(why) = full(&sessions, asset, "of this buyer", |other| other.job.buyer == buyer)
                {
                    return refused(why);
                }
                sessions.entry(id).or_insert_with(|| Arc::new(session)).clone()
            }
        };
        if NodeId::from(session.job.client) != from {
            return refused("the job names another key than the one that asks");
        }
        let undone = {
            let mut state = session.state.lock();
            state.heard = Instant::now();
            state.done.rounds == 0
        };
        if session.data.is_none() && undone {
            session.miss(OTHERS);
        }
        Ok(session)
    }

    async fn handle(self: Arc<Self>, from: NodeId, request: Request) -> Outcomes<Vec<u8>> {
        match request {
            Request::Show(job, number) => self.kept(from, job).await?.show(number).map_err(own)?.ok_or(Denied::NotHere),
            Request::Left(job, number) => {
                let kept = self.kept(from, job).await?;
                // What a round would have left that came to nothing may lie there as well.
                let rounds = self.asks(JOBS, &receiptOfCall { job }).await.map_err(own)?.receipt.rounds;
                let left = if number < rounds { kept.show_left(number).map_err(own)? } else { None };
                left.ok_or(Denied::NotHere)
            }
            Request::Result(job) => self.result(from, job).await,
            Request::Ready { asset, rules, algorithm, runtime, rounds, signature } => {
                self.ready((from, signature), (asset, rules), (algorithm, runtime), rounds).await.map(|()| Vec::new())
            }
            Request::Status(job) => Ok(Self::status(&*self.session(from, job).await?).encode().to_vec()),
            Request::Code(job, code) => {
                let session = self.session(from, job).await?;
                self.take(&session, code).await.map(String::into_bytes)
            }
            Request::Round(job, number, params) => {
                let session = self.session(from, job).await?;
                self.begin(session, number, params).await.map(|()| Vec::new())
            }
            Request::Look(job, number) => {
                let session = self.session(from, job).await?;
                Self::look(&session, number).await.map(|round| round.encode().to_vec())
            }
            Request::End(job) => {
                let session = self.session(from, job).await?;
                let (receipt, signature) = self.receipt(&session).await?;
                Ok(wire::signed_to_bytes(&receipt, &signature))
            }
        }
    }

    /// Takes the program; what will run it.
    async fn take(&self, session: &Session, code: Vec<u8>) -> Outcomes<String> {
        let hash = super::algorithm(&code);
        if hash != session.job.algorithm {
            return refused(format!("the job is for the program {}, this is {hash}", session.job.algorithm));
        }
        let Some(data) = &session.data else {
            session.miss(OTHERS);
            return refused(OTHERS);
        };
        if !self.trusts(&data.rules, hash).await? {
            return refused("the owner does not let this program run on these data");
        }
        if session.is_checked() {
            session.kept().put_code(&code).map_err(own)?;
        }
        self.keep(session, code.into());
        Ok(self.runtimes.of(session.job.runtime).map(|runtime| runtime.id().0).unwrap_or_default())
    }

    /// Keeps a job's program in memory, once for all jobs that run the same.
    fn keep(&self, session: &Session, code: Arc<[u8]>) {
        let sessions = self.sessions.lock();
        let mut same = sessions.values().filter(|other| other.job.algorithm == session.job.algorithm);
        let known = same.find_map(|other| other.state.lock().code.clone());
        let mut state = session.state.lock();
        if state.done.ended.is_none() {
            state.code = Some(known.unwrap_or(code));
        }
    }

    /// The programs in memory.
    #[cfg(test)]
    pub(super) fn programs(&self) -> Vec<Arc<[u8]>> {
        self.sessions.lock().values().filter_map(|session| session.state.lock().code.clone()).collect()
    }

    /// Whether rules let a program run: they name none, or it, or somebody who has published it.
    pub(crate) async fn trusts(&self, rules: &Rules, program: B256) -> Outcomes<bool> {
        if !rules.names_programs() || rules.algorithms.contains(&program) {
            return Ok(true);
        }
        for publisher in &rules.publishers {
            // A publisher's program is an asset of his that is named after it.
            let asset = asset_id(self.chain_id, *publisher, program);
            match self.asks(CONSENT, &assetOfCall { asset }).await {
                Ok(is) if is.owner == *publisher && is.object == program && is.erased == 0 => return Ok(true),
                Ok(_) => {}
                Err(error) if error.reason::<IConsentErrors>().is_some() => {}
                Err(error) => return Err(own(error)),
            }
        }
        Ok(false)
    }

    /// Begins a round.
    async fn begin(self: Arc<Self>, session: Arc<Session>, number: u32, params: Vec<u8>) -> Outcomes<()> {
        if params.len() > MOST_PARAMS {
            return refused(format!("parameters have {MOST_PARAMS} bytes at most"));
        }
        if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&params) {
            return refused(format!("the parameters are not JSON: {error}"));
        }
        if session.is_checked() && !session.kept().takes(number, &params).map_err(own)? {
            return refused("the parameters of this job are more than is kept until it is checked");
        }
        let goes_on = self.goes_on(&session).await?;
        let (control, code, done) = {
            let mut state = session.state.lock();
            let done = state.done.clone();
            if done.ended.is_some() {
                return refused(format!("the job is over: {}", done.why));
            }
            if state.running.is_some() || number != done.rounds {
                // Said twice, as one does who was not sure to be heard.
                let again = state.running.is_some() && number == done.rounds;
                return if again { Ok(()) } else { refused(format!("round {} is next", done.rounds)) };
            }
            let Some(data) = &session.data else { return refused(OTHERS) };
            if number >= data.rules.rounds {
                return refused(format!("the owner lets a program run {} times in a job", data.rules.rounds));
            }
            let Some(code) = state.code.clone() else { return refused("send the program first") };
            if number == 0 {
                Notes::begin(&session.folder, session.id).map_err(own)?;
            }
            let control = Control::new();
            (state.running, state.left) = (Some((control.clone(), Instant::now())), None);
            (control, code, done)
        };
        if let Err(ends) = goes_on {
            let ended = ends.ended(&done);
            session.over(done, number, ended, ends.why);
            return Ok(());
        }
        let Some(runtime) = self.runtimes.of(session.job.runtime) else {
            session.over(done, number, BROKEN, "this node runs no processes");
            return Ok(());
        };
        tokio::spawn(async move {
            let round = Running { number, code, params, control };
            if let Err(error) = self.run(&session, round, done.clone(), runtime).await {
                tracing::error!(job = %session.id, %error, "a round of a job could not be done");
                session.broke(done, number);
            }
        });
        Ok(())
    }

    /// Does a round. What came of it is on the disk, and counted there, before anybody is told.
    async fn run(&self, session: &Session, round: Running, done: Done, runtime: Arc<dyn Runtime>) -> eyre::Result<()> {
        let number = round.number;
        let data = session.data.as_ref().ok_or_else(|| eyre::eyre!(OTHERS))?;
        if !self.still_has(session).await {
            session.over(done, number, BROKEN, OTHERS);
            return Ok(());
        }
        let guard = session.guard(data, &*self.chain);
        let (done, came) = match guard.reserve(data.rules.round())? {
            Ok(reserved) => self.ran(session, round, done, runtime, (data, reserved)).await?,
            Err(why) => (done, Round::Over(WITHHELD, why)),
        };
        session.put(done, number, came);
        Ok(())
    }

    /// What a job has done with a round that has run, and what came of that, which is counted on the disk then; if something left, what the
    /// job has done is there as well.
    async fn ran(
        &self,
        session: &Session,
        round: Running,
        mut done: Done,
        runtime: Arc<dyn Runtime>,
        (data, mut reserved): (&DataSet, Reserved<'_>),
    ) -> eyre::Result<(Done, Round)> {
        let Running { number, code, params, control } = round;
        let (rules, guard) = (&data.rules, reserved.guard);
        let process_on = (session.job.runtime == PROCESS).then_some(session.job.asset);
        let Some(own) = unless_cancelled(&control, self.turns.own(session.job.buyer)).await.transpose()? else {
            let came = self.stopped(session, &done, reserved).await;
            return Ok((done, came));
        };
        if session.is_checked() {
            session.kept().put(number, &params)?;
        }
        let not_begun = done.clone();
        done.begin(&params);
        let fuel = session.job.fuel.saturating_sub(done.fuel);
        let inputs = data.inputs()?;
        let limits = rules.limits(session.job.runtime, fuel);
        let job = Arc::new(round_job(session.id, &session.job, number, code, params, inputs, limits));
        let prepared = {
            let (runtime, job) = (runtime.clone(), job.clone());
            spawn_blocking(move || runtime.prepare(&job)).await?
        };
        let outcome = match prepared {
            Ok(()) => {
                let turn = self.turns.of(session.job.buyer, process_on);
                match unless_cancelled(&control, turn).await.transpose()? {
                    Some(_turn) => {
                        drop(own);
                        Some(run_unless_dropped(control.clone(), move |control| runtime.run(&job, control)).await?)
                    }
                    None => None,
                }
            }
            Err(error) => Some(Err(error)),
        };
        let Some(outcome) = outcome.filter(|outcome| !outcome.as_ref().is_ok_and(never_ran)) else {
            let came = self.stopped(session, &not_begun, reserved).await;
            return Ok((not_begun, came));
        };
        if let Err(error @ stoa_sandbox::Error::CompileTime(_)) = &outcome {
            return Ok((done, Round::Over(BROKEN, reserved.told(error.to_string())?)));
        }
        if let Ok(outcome) = &outcome {
            done.used(&outcome.used, &session.job);
        }
        if !self.still_has(session).await {
            // Whatever it came to is not about what was offered.
            return Ok((done, Round::Over(BROKEN, reserved.told(OTHERS)?)));
        }
        let before = done.clone();
        let (Leaving { files, counts }, log) = match done.end(outcome, rules, guard.left()?)? {
            Ran::Left(leaving, log) => (leaving, log),
            Ran::Over(STOPPED, _) if control.is_cancelled() => {
                let (ended, why) = self.stops(session, &done).await;
                return Ok((done, Round::Over(ended, reserved.told(why)?)));
            }
            Ran::Over(ended, why) => return Ok((done, Round::Over(ended, reserved.told(why)?))),
        };
        if rules.approval {
            // That something waits for its owner is told.
            reserved.keep()?;
        }
        let waits = || session.state.lock().held = true;
        let looked = guard.looked_at((session.id, number), &files, log.as_deref(), &control, waits).await?;
        let stays = match looked {
            // It may have been taken back meanwhile.
            None => self.goes_on(session).await?.err().map(|ends| (ends.ended(&before), ends.why)),
            Some((STOPPED, _)) => Some(self.stops(session, &before).await),
            stays => stays,
        };
        if let Some((ended, why)) = stays {
            return Ok((before, Round::Over(ended, reserved.told(why)?)));
        }
        let came = Round::Left { files, log };
        let laid = session.lay(number, &came)?;
        Ok(match reserved.spend(counts, Some((session.id, &done)))? {
            Ok(()) => {
                session.keep(laid);
                (done, came)
            }
            Err(why) => (before, Round::Over(WITHHELD, why)),
        })
    }

    /// How a round ends that was cancelled before its turn, which counts nothing.
    async fn stopped(&self, session: &Session, done: &Done, reserved: Reserved<'_>) -> Round {
        reserved.give_back();
        let (ended, why) = match self.still_has(session).await {
            true => self.stops(session, done).await,
            false => (BROKEN, OTHERS.to_owned()),
        };
        Round::Over(ended, why)
    }

    /// How a round stands: at once if it has ended, after a while if not.
    async fn look(session: &Session, number: u32) -> Outcomes<Round> {
        let deadline = Instant::now() + WAIT;
        loop {
            let changed = session.changed.notified();
            {
                let state = session.state.lock();
                if let Some((_, left)) = state.left.as_ref().filter(|(round, _)| *round == number) {
                    return Ok(left.clone());
                }
                if let Some(ended) = state.done.ended {
                    return Ok(Round::Over(ended, state.done.why.clone()));
                }
                match state.running() {
                    None => {
                        return refused(format!("round {number} does not run here: begin round {}", state.done.rounds));
                    }
                    Some(round) if Instant::now() >= deadline => return Ok(round),
                    Some(_) => {}
                }
            }
            let _ = timeout(deadline.saturating_duration_since(Instant::now()), changed).await;
        }
    }

    /// How the newest round stands, at once and without what left.
    fn status(session: &Session) -> Round {
        let state = session.state.lock();
        state.running().unwrap_or_else(|| match &state.done.ended {
            Some(ended) => Round::Over(*ended, state.done.why.clone()),
            None if state.done.rounds > 0 => Round::Left { files: BTreeMap::new(), log: None },
            None => Round::Idle,
        })
    }

    /// What left in the newest round of a job, for its buyer, even if the job is over.
    async fn result(&self, from: NodeId, id: B256) -> Outcomes<Vec<u8>> {
        let job = self.job(id).await?;
        if NodeId::from(job.client) != from {
            return refused("the job names another key than the one that asks");
        }
        results::kept(&self.folder.join(job.asset.to_string()), id).map_err(own)?.ok_or(Denied::NotHere)
    }

    /// What is kept of a job, for a node that was drawn to check it.
    async fn kept(&self, from: NodeId, id: B256) -> Outcomes<Kept> {
        let job = self.job(id).await?;
        let check = self.check(id).await?;
        if check.state != DRAWN || !check.auditors.contains(&from.into()) {
            return refused("only nodes that were drawn to check this job see what it was run with");
        }
        Ok(Kept::of(&self.folder.join(job.asset.to_string()), id))
    }

    pub(super) async fn check(&self, job: B256) -> Outcomes<Check> {
        self.asks(JOBS, &checkOfCall { job }).await.map_err(own)
    }

    /// Ends a job, and signs what came of it.
    async fn receipt(&self, session: &Session) -> Outcomes<(Receipt, [u8; 64])> {
        for _ in 0..100 {
            let changed = session.changed.notified();
            match &session.state.lock().running {
                Some((control, _)) => control.cancel(),
                None => break,
            }
            let _ = timeout(Duration::from_millis(100), changed).await;
        }
        self.end_undone(session).await;
        let done = {
            let mut state = session.state.lock();
            if state.running.is_some() {
                return refused("a round still runs; ask again");
            }
            // Of what has never run nobody could be shown anything.
            let ended = if state.done.rounds > 0 { SUCCEEDED } else { STOPPED };
            state.done.ended.get_or_insert(ended);
            state.code = None;
            state.done.clone()
        };
        session.note(&done).map_err(own)?;
        let runtime = self.runtimes.of(session.job.runtime).map(|runtime| runtime.id().hash());
        let receipt = done.receipt(&session.job, runtime.unwrap_or_default().into());
        let signature = sign_digest(&self.key, receipt_digest(self.chain_id, session.id, &receipt));
        Ok((receipt, signature))
    }
}

/// Answers buyers.
pub struct Answering(pub Arc<Computer>);

impl Service for Answering {
    const MOST_REQUEST: usize = wire::MOST_REQUEST;

    fn answer(&self, from: NodeId, request: Vec<u8>) -> BoxFuture<'_, Vec<u8>> {
        let computer = self.0.clone();
        async move {
            let handled = match Request::from_bytes(&request) {
                Ok(request) => computer.handle(from, request).await,
                Err(error) => refused(format!("the request is none: {error}")),
            };
            answer(handled)
        }
        .boxed()
    }
}

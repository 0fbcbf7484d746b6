//! What a node does that computes on its owner's data.
//!
//! A buyer begins a job on the ledger, then talks to the node under the key that the job names: the program once, then round after
//! round parameters, and for each what may leave. Before each round, and before anything leaves, the node asks its own copy of
//! the ledger whether the job goes on and its grant stands. When the buyer is done, or says nothing for a while, the node
//! signs the receipt, which anybody may bring to the ledger: it pays the owner and gives the rest back.
//!
//! What a job has done so far is on the disk before anything of it leaves, so that a node that was ended goes on with the same
//! account of steps, rounds and budgets. The program is sent again then; a round that was under way is run again.
//!
//! ```text
//! <folder>/<asset>/files, rules.json       the data (`DataSet`)
//! <folder>/<asset>/jobs/<job>.json         what a job has done
//! <folder>/<asset>/jobs/<job>/             what it was run with, until it is checked (`Kept`)
//! <folder>/<asset>/spent.json              what has left, by buyer
//! ```

use super::{
    abi::{
        BROKEN, DRAWN,
        IJobs::{
            Check, IJobsErrors, Job, Receipt, checkOfCall, drawCall, drawOfCall, finishCall, jobOfCall, settleCall,
        },
        JOBS, RUNNING, STOPPED, SUCCEEDED, WAITING, WASM,
    },
    contract::{MILLION, receipt_digest},
    data::DataSet,
    kept::Kept,
    run::{Done, Ran, round_job},
    wire::{self, MOST_PARAMS, Request, Round},
};
use crate::{
    abi::{
        CONSENT,
        IConsent::{IConsentErrors, checkUseCall},
    },
    registry::sign_digest,
};
use alloy_primitives::{Address, B256};
use alloy_sol_types::SolCall;
use commonware_codec::Encode as _;
use commonware_cryptography::{Signer as _, ed25519};
use futures::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use stoa_base::{NodeId, write_private};
use stoa_client::{Chain, ViewError, view};
use stoa_net::{Denied, Service, answer};
use stoa_sandbox::{Control, Runtime, Wasm};
use tokio::{
    sync::{Notify, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

/// How long a buyer may say nothing before the node takes the job for done.
const SILENCE: Duration = Duration::from_secs(600);

/// How long before the end of its time a job is ended, so that the receipt comes in time.
const EARLY: u64 = 30;

/// How long a question waits for a round to end.
const WAIT: Duration = Duration::from_secs(20);

/// Jobs that are open at a time, and programs that run at a time.
const MOST_JOBS: usize = 256;
const AT_ONCE: usize = 2;

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
    pub(super) chain: Arc<dyn Chain>,
    pub(super) folder: PathBuf,
    pub(super) runtime: Arc<Wasm>,
    pub(super) turns: Arc<Semaphore>,
    sessions: Mutex<HashMap<B256, Arc<Session>>>,
}

/// A job that this node does.
struct Session {
    id: B256,
    job: Job,
    data: DataSet,
    folder: PathBuf,
    state: Mutex<State>,
    /// A round has ended.
    changed: Notify,
}

struct State {
    done: Done,
    code: Option<Arc<[u8]>>,
    running: Option<Control>,
    /// The newest round that ended, until the next one begins.
    left: Option<(u32, Round)>,
    heard: Instant,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

pub(super) fn read<T: DeserializeOwned + Default>(path: &Path) -> io::Result<T> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error),
    }
}

pub(super) fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    write_private(path, &serde_json::to_vec(value).map_err(io::Error::other)?)
}

impl Session {
    /// Whether its receipt may be checked, so that what it is run with is kept.
    fn is_checked(&self) -> bool {
        self.job.runtime == WASM && self.job.offer.checks.drawn > 0
    }

    fn kept(&self) -> Kept {
        Kept::of(&self.folder, self.id)
    }

    fn account(&self) -> PathBuf {
        self.folder.join("jobs").join(format!("{}.json", self.id))
    }

    /// What has left to the buyer in all.
    fn spent(&self) -> io::Result<BTreeMap<Address, u64>> {
        read(&self.folder.join("spent.json"))
    }

    /// Writes down what a round came to, then lets it be seen.
    fn put(&self, done: Done, spent: u64, round: u32, left: Round) -> io::Result<()> {
        if spent > 0 {
            let mut all = self.spent()?;
            let of = all.entry(self.job.buyer).or_default();
            *of = of.saturating_add(spent);
            write(&self.folder.join("spent.json"), &all)?;
        }
        write(&self.account(), &done)?;
        let mut state = self.state.lock();
        (state.done, state.running, state.left, state.heard) = (done, None, Some((round, left)), Instant::now());
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Ends the job, for a reason that may be told.
    fn over(&self, mut done: Done, round: u32, ended: u8, why: impl Into<String>) -> io::Result<()> {
        let why = why.into();
        (done.ended, done.why) = (Some(ended), why.clone());
        self.put(done, 0, round, Round::Over(ended, why))
    }
}

impl Computer {
    /// Computes on what lies in `folder`; compiled programs are kept in `cache`. `chain` is the node's own copy of the ledger.
    ///
    /// # Errors
    ///
    /// If the folder cannot be made, or this machine runs no WebAssembly.
    pub fn open(
        folder: &Path,
        cache: Option<PathBuf>,
        key: ed25519::PrivateKey,
        chain_id: u64,
        chain: Arc<dyn Chain>,
    ) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let runtime = Arc::new(Wasm::new(cache).map_err(io::Error::other)?);
        let (turns, sessions) = (Arc::new(Semaphore::new(AT_ONCE)), Mutex::default());
        Ok(Self { key, chain_id, chain, folder: folder.to_owned(), runtime, turns, sessions })
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

    /// Whether a job goes on and its grant stands; how it ends and why if not.
    async fn stands(&self, id: B256) -> Outcomes<Result<(), (u8, String)>> {
        let job = self.job(id).await?;
        if job.state != RUNNING {
            return Ok(Err((STOPPED, "the job is over".into())));
        }
        if job.stopped {
            return Ok(Err((STOPPED, "its buyer stopped it".into())));
        }
        match self.asks(CONSENT, &checkUseCall { id: job.used }).await {
            Ok(_) => Ok(Ok(())),
            Err(error) => match error.reason::<IConsentErrors>() {
                Some(reason) => Ok(Err((STOPPED, crate::client::words(&reason)))),
                None => Err(own(error)),
            },
        }
    }

    /// The session of a job, which is opened if it was not.
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
                let opening = {
                    let folder = folder.clone();
                    spawn_blocking(move || DataSet::open(&folder))
                };
                let data = opening.await.map_err(own)?.map_err(own)?;
                if data.hash != job.offer.data || data.rules.hash() != job.offer.rules {
                    return refused("the data or rules that were offered are not those that are here");
                }
                fs::create_dir_all(folder.join("jobs")).map_err(own)?;
                let account = folder.join("jobs").join(format!("{id}.json"));
                let done = read(&account).map_err(own)?;
                let state = State { done, code: None, running: None, left: None, heard: Instant::now() };
                let session = Session { id, job, data, folder, state: Mutex::new(state), changed: Notify::new() };
                let mut sessions = self.sessions.lock();
                if sessions.len() >= MOST_JOBS && !sessions.contains_key(&id) {
                    return refused("the node has too many jobs; ask later");
                }
                sessions.entry(id).or_insert_with(|| Arc::new(session)).clone()
            }
        };
        if NodeId::from(session.job.client) != from {
            return refused("the job names another key than the one that asks");
        }
        session.state.lock().heard = Instant::now();
        Ok(session)
    }

    async fn handle(self: Arc<Self>, from: NodeId, request: Request) -> Outcomes<Vec<u8>> {
        if let Request::Show(job, number) = request {
            return self.show(from, job, number).await;
        }
        let session = self.session(from, request.job()).await?;
        match request {
            Request::Show(..) => refused("nothing is shown"),
            Request::Code(_, code) => Self::take(&session, code).map(|()| Vec::new()),
            Request::Round(_, number, params) => self.begin(session, number, params).await.map(|()| Vec::new()),
            Request::Look(_, number) => Self::look(&session, number).await.map(|round| round.encode().to_vec()),
            Request::End(_) => {
                let (receipt, signature) = self.receipt(&session).await?;
                Ok(wire::signed_to_bytes(&receipt, &signature))
            }
        }
    }

    fn take(session: &Session, code: Vec<u8>) -> Outcomes<()> {
        let hash = super::algorithm(&code);
        if hash != session.job.algorithm {
            return refused(format!("the job is for the program {}, this is {hash}", session.job.algorithm));
        }
        let trusted = &session.data.rules.algorithms;
        if !trusted.is_empty() && !trusted.contains(&hash) {
            return refused("the owner does not let this program run on these data");
        }
        if session.is_checked() {
            session.kept().put_code(&code).map_err(own)?;
        }
        session.state.lock().code = Some(code.into());
        Ok(())
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
        let stands = self.stands(session.id).await?;
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
            if number >= session.data.rules.rounds {
                return refused(format!("the owner lets a program run {} times in a job", session.data.rules.rounds));
            }
            let Some(code) = state.code.clone() else { return refused("send the program first") };
            let control = Control::new();
            (state.running, state.left) = (Some(control.clone()), None);
            (control, code, done)
        };
        if let Err((ended, why)) = stands {
            return session.over(done, number, ended, why).map_err(own);
        }
        tokio::spawn(async move {
            let ran = self.run(&session, number, code, params, done.clone(), control).await;
            if let Err(error) = ran {
                tracing::error!(job = %session.id, %error, "a round of a job could not be done");
                if let Err(error) = session.over(done, number, BROKEN, "the node could not do it") {
                    tracing::error!(job = %session.id, %error, "what a job did could not be written down");
                }
            }
        });
        Ok(())
    }

    async fn run(
        &self,
        session: &Arc<Session>,
        number: u32,
        code: Arc<[u8]>,
        params: Vec<u8>,
        mut done: Done,
        control: Control,
    ) -> eyre::Result<()> {
        let _turn = self.turns.clone().acquire_owned().await?;
        if session.is_checked() {
            session.kept().put(number, &params)?;
        }
        done.begin(&params);
        let fuel = session.job.fuel.saturating_sub(done.fuel);
        let inputs = session.data.inputs()?;
        let job = round_job(session.id, &session.job, number, code, params, inputs, fuel);
        let runtime = self.runtime.clone();
        let outcome = spawn_blocking(move || runtime.run(&job, &control)).await?;
        if let Ok(outcome) = &outcome {
            done.used(outcome.used.fuel, session.job.fuel);
        }
        // It may have been taken back meanwhile.
        if let Err((ended, why)) = self.stands(session.id).await? {
            return Ok(session.over(done, number, ended, why)?);
        }
        let spent = session.spent()?.get(&session.job.buyer).copied().unwrap_or(0);
        let left = session.data.rules.budget.saturating_sub(spent);
        match done.end(outcome, &session.data.rules, left)? {
            Ran::Left(leaving, log) => {
                let files = leaving.files;
                session.put(done, leaving.counts, number, Round::Left { files, log })?;
            }
            Ran::Over(ended, why) => session.over(done, number, ended, why)?,
        }
        Ok(())
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
                match &state.running {
                    None => {
                        return refused(format!("round {number} does not run here: begin round {}", state.done.rounds));
                    }
                    Some(control) if Instant::now() >= deadline => return Ok(Round::Running(control.fuel() / MILLION)),
                    Some(_) => {}
                }
            }
            let _ = timeout(deadline.saturating_duration_since(Instant::now()), changed).await;
        }
    }

    /// Shows a node that was drawn to check a job what the job was run with.
    async fn show(&self, from: NodeId, id: B256, number: u32) -> Outcomes<Vec<u8>> {
        let job = self.job(id).await?;
        let check = self.check(id).await?;
        if check.state != DRAWN || !check.auditors.contains(&from.into()) {
            return refused("only nodes that were drawn to check this job see what it was run with");
        }
        let kept = Kept::of(&self.folder.join(job.asset.to_string()), id);
        kept.show(number).map_err(own)?.ok_or(Denied::NotHere)
    }

    pub(super) async fn check(&self, job: B256) -> Outcomes<Check> {
        self.asks(JOBS, &checkOfCall { job }).await.map_err(own)
    }

    /// Ends a job, and signs what came of it.
    async fn receipt(&self, session: &Session) -> Outcomes<(Receipt, [u8; 64])> {
        for _ in 0..100 {
            let changed = session.changed.notified();
            match &session.state.lock().running {
                Some(control) => control.cancel(),
                None => break,
            }
            let _ = timeout(Duration::from_millis(100), changed).await;
        }
        let done = {
            let mut state = session.state.lock();
            if state.running.is_some() {
                return refused("a round still runs; ask again");
            }
            state.done.ended.get_or_insert(SUCCEEDED);
            state.done.clone()
        };
        write(&session.account(), &done).map_err(own)?;
        let receipt = done.receipt(&session.job, self.runtime.id().hash().into());
        let signature = sign_digest(&self.key, receipt_digest(self.chain_id, session.id, &receipt));
        Ok((receipt, signature))
    }

    /// Brings the receipts of jobs that are over, or whose buyers say nothing any more, to the ledger. What cannot be done is logged,
    /// and done another time.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked.
    pub async fn settle(&self, send: &Sender) -> Result<(), Denied> {
        self.find_again().await?;
        let sessions: Vec<_> = self.sessions.lock().values().cloned().collect();
        for session in sessions {
            let job = self.job(session.id).await?;
            if job.state != RUNNING {
                self.sessions.lock().remove(&session.id);
                let _ = fs::remove_file(session.account());
                continue;
            }
            let (silent, over) = {
                let state = session.state.lock();
                (state.heard.elapsed() > SILENCE, state.done.ended.is_some())
            };
            let stands = self.stands(session.id).await?;
            if let Err((ended, why)) = &stands {
                let mut state = session.state.lock();
                if state.running.is_none() && state.done.ended.is_none() {
                    (state.done.ended, state.done.why) = (Some(*ended), why.clone());
                }
            }
            if over || silent || now() + EARLY > job.until || stands.is_err() {
                let Ok((receipt, signature)) = self.receipt(&session).await else { continue };
                let call = finishCall { job: session.id, receipt, signature: signature.to_vec().into() };
                if let Err(why) = send(call.abi_encode()).await {
                    tracing::warn!(job = %session.id, why, "the receipt of a job could not be brought to the ledger");
                }
            }
        }
        self.let_go(send).await
    }

    /// Has its finished jobs drawn, and checks settled whose time is over; what jobs were run with goes when nobody asks any more.
    async fn let_go(&self, send: &Sender) -> Result<(), Denied> {
        for asset in fs::read_dir(&self.folder).map_err(own)?.flatten() {
            for id in Kept::all(&asset.path()) {
                if self.job(id).await?.state == RUNNING {
                    continue;
                }
                let (check, at) = view(&*self.chain, JOBS, &checkOfCall { job: id }).await.map_err(own)?;
                let call = match check.state {
                    WAITING => {
                        let may = self.asks(JOBS, &drawOfCall { job: id }).await.is_ok();
                        may.then(|| drawCall { job: id }.abi_encode())
                    }
                    DRAWN => (at.timestamp > check.revealing).then(|| settleCall { job: id }.abi_encode()),
                    _ => {
                        Kept::of(&asset.path(), id).remove().map_err(own)?;
                        continue;
                    }
                };
                if let Some(call) = call
                    && let Err(why) = send(call).await
                {
                    tracing::warn!(job = %id, why, "the check of a job does not go on");
                }
            }
        }
        Ok(())
    }

    /// Opens jobs again that this node had begun before it was ended.
    async fn find_again(&self) -> Result<(), Denied> {
        for asset in fs::read_dir(&self.folder).map_err(own)?.flatten() {
            for entry in fs::read_dir(asset.path().join("jobs")).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let Some(id) = name.strip_suffix(".json").and_then(|id| id.parse::<B256>().ok()) else { continue };
                if self.sessions.lock().contains_key(&id) {
                    continue;
                }
                let job = self.job(id).await?;
                match job.state {
                    RUNNING => drop(self.session(NodeId::from(job.client), id).await),
                    _ => drop(fs::remove_file(entry.path())),
                }
            }
        }
        Ok(())
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

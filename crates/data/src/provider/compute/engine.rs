//! Jobs that a node does for Ocean's clients: who may start how many, how each stands, and what it has left.
//!
//! ```text
//! <data>/ocean/runs/<job>/job.json               how it stands
//! <data>/ocean/runs/<job>/outputs.tar, *.log     what it has left, for a week
//! <data>/ocean/runs/<job>/stage/                 what it sees, while it runs
//! <data>/ocean/<asset>/spent.json, held/         what has left, and what waits to be looked at, where its owner has rules
//! ```

use super::{
    super::{Fees, Place, Refusal, Sources},
    Share,
    machine::{AT_ONCE, Machine, PROCESSES},
    record::{Record, Status},
    run::End,
};
use crate::jobs::{self, COIN, role::Computer, rules::Rules};
use alloy_primitives::{Address, B256, hex};
use futures::future::BoxFuture;
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt, fs, io, path::PathBuf, sync::Arc};
use stoa_base::write_private;
use stoa_sandbox::Control;
use tokio::sync::{Notify, Semaphore};

/// Jobs of one account, and of all, that are not over, nor wait for their owners to look at what they would leave.
const OPEN_EACH: usize = 3;
const OPEN: usize = 32;

/// Jobs on an asset that wait for that, of one account, and of all, with which one more begins there.
const HELD_EACH: usize = 3;
const HELD: usize = 32;

/// Jobs of one account, and of all, of which something is kept, and for how many seconds.
const KEPT_EACH: usize = 16;
const KEPT: usize = 512;
const STORED: u64 = 7 * 24 * 3600;

/// Where jobs are, in the folder of all that is done for Ocean's clients, and how each stands.
const RUNS: &str = "runs";
const RECORD: &str = "job.json";
const STAGE: &str = "stage";

/// Data that a program runs on, or the program's own asset.
#[derive(Clone, Debug)]
pub struct Used {
    /// The asset.
    pub did: String,
    /// Its NFT.
    pub nft: Address,
    /// Its document.
    pub document: String,
    /// Where its files are.
    pub places: Vec<Place>,
    /// What may leave.
    pub rules: Option<Rules>,
}

/// What the documents of a job's assets say.
pub trait Documents: fmt::Debug + Send + Sync {
    /// Passes while they let the job's owner use the assets, and its program run on them.
    fn stand(&self) -> BoxFuture<'_, Result<(), Refusal>>;
}

/// A job, after all has been looked at that it takes.
#[derive(Clone, Debug)]
pub struct Task {
    /// For whom it is.
    pub owner: Address,
    /// Whether it was asked for as one that costs nothing.
    pub free: bool,
    /// The order of the first data set.
    pub agreement: B256,
    /// Which fee has paid for it, if computing costs something: one job at a time runs on it.
    pub fee: Option<String>,
    /// How much of the machine it gets.
    pub share: Share,
    /// For how many seconds it may run.
    pub seconds: u64,
    /// What its owner wants to have kept with it.
    pub metadata: Value,
    /// What runs it.
    pub runtime: u8,
    /// Its command line.
    pub command: Vec<String>,
    /// The program.
    pub code: Arc<[u8]>,
    /// What it is told: JSON.
    pub custom: Vec<u8>,
    /// The asset that the program is of, if it was published.
    pub algorithm: Option<Used>,
    /// What it runs on.
    pub datasets: Vec<Used>,
    /// What is asked again when its turn has come, and before anything leaves.
    pub documents: Arc<dyn Documents>,
}

/// What does jobs.
pub struct Engine {
    pub(super) computer: Arc<Computer>,
    /// The node's account, which orders may be for.
    account: Address,
    /// Whose the data and programs are.
    pub(super) publisher: Address,
    pub(super) sources: Arc<Sources>,
    machine: Machine,
    pub(super) folder: PathBuf,
    pub(super) turns: Semaphore,
    /// One is got ready or runs.
    pub(super) processes: Semaphore,
    jobs: Mutex<BTreeMap<String, Arc<Job>>>,
}

/// A job.
pub(super) struct Job {
    pub(super) folder: PathBuf,
    /// Nothing if the node was ended since.
    share: Option<Share>,
    pub(super) control: Control,
    pub(super) stopped: Notify,
    pub(super) record: Mutex<Record>,
}

impl Engine {
    /// Does jobs on files of this publisher's with what `computer` runs programs in, and beside what it keeps.
    ///
    /// # Errors
    ///
    /// If the disk refuses.
    pub fn open(
        computer: Arc<Computer>,
        account: Address,
        publisher: Address,
        sources: Arc<Sources>,
    ) -> io::Result<Arc<Self>> {
        let folder = computer.folder.join("ocean");
        fs::create_dir_all(folder.join(RUNS))?;
        let mut jobs = BTreeMap::new();
        for entry in fs::read_dir(folder.join(RUNS))? {
            let path = entry?.path();
            match Job::again(path.clone()) {
                Ok((id, job)) => drop(jobs.insert(id, Arc::new(job))),
                Err(error) => tracing::warn!(path = %path.display(), %error, "a job cannot be read any more"),
            }
        }
        // What waited to be looked at, of jobs that are over now, or was only being laid out.
        for asset in fs::read_dir(&folder)? {
            let held = asset?.path().join("held");
            if held.exists() {
                fs::remove_dir_all(held)?;
            }
        }
        let (machine, jobs) = (Machine::this(), Mutex::new(jobs));
        let [turns, processes] = [AT_ONCE, PROCESSES].map(Semaphore::new);
        Ok(Arc::new(Self { computer, account, publisher, sources, machine, folder, turns, processes, jobs }))
    }

    fn environment(&self) -> String {
        format!("{}-1", hex::encode(self.account))
    }

    /// What clients are told of where programs run, and what that costs.
    pub fn environments(&self, chain_id: u64, fees: &Fees) -> Value {
        let (mut open, mut used) = (0, Vec::new());
        for job in self.jobs().values() {
            let record = job.record.lock();
            open += usize::from(!record.is_over() && !record.is_held());
            used.extend(job.share.filter(|_| record.is_running()));
        }
        let runs = match self.computer.runtimes.of(jobs::abi::PROCESS) {
            Some(_) => "scripts of Python (python $ALGO) and WebAssembly modules ($ALGO)",
            None => "WebAssembly modules ($ALGO)",
        };
        let prices = [("cpu", fees.price()), ("ram", 0.into()), ("disk", 0.into())];
        let prices = prices.map(|(id, price)| json!({ "id": id, "price": price }));
        let token = if fees.has_minutes() { fees.token() } else { COIN };
        let mut said = self.machine.environment(&used);
        said["id"] = self.environment().into();
        said["description"] = format!("Runs {runs} beside the data, {}, without a network", fees.said()).into();
        said["consumerAddress"] = self.account.to_checksum(None).into();
        said["fees"] = json!({ (chain_id.to_string()): [{ "feeToken": token, "prices": prices }] });
        (said["storageExpiry"], said["maxJobs"]) = (STORED.into(), OPEN.into());
        (said["runningJobs"], said["queuedJobs"]) = (used.len().into(), (open - used.len()).into());
        for jobs in ["runningfreeJobs", "queuedFreeJobs"] {
            said[jobs] = json!(0);
        }
        for wait in ["queMaxWaitTime", "queMaxWaitTimeFree", "runMaxWaitTime", "runMaxWaitTimeFree"] {
            said[wait] = json!(0);
        }
        (said["free"]["storageExpiry"], said["free"]["maxJobs"]) = (STORED.into(), OPEN.into());
        if let Some(said) = said.as_object_mut().filter(|_| fees.has_minutes()) {
            said.remove("free");
        }
        json!([said])
    }

    /// What a job gets of the machine in this environment.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] if there is no such environment, or not so much in it.
    pub fn share(&self, environment: &str, resources: &Value) -> Result<Share, Refusal> {
        let own = self.environment();
        if environment != own {
            return Err(Refusal::Malformed(format!("Invalid C2D Environment: this node has {own}")));
        }
        self.machine.share(resources)
    }

    /// For how many seconds a job runs that asks for so many.
    pub const fn seconds(asked: u64) -> u64 {
        Machine::seconds(asked)
    }

    /// Passes if a program runs here, and the rules of the data do not say otherwise.
    ///
    /// # Errors
    ///
    /// [`Refusal::Forbidden`] if not, [`Refusal::Unavailable`] if the ledger cannot be asked.
    pub async fn accepts(&self, runtime: u8, code: &[u8], rules: &[&Rules]) -> Result<(), Refusal> {
        if self.computer.runtimes.of(runtime).is_none() {
            return Err(Refusal::Forbidden(
                "this node runs WebAssembly modules alone, and no scripts (`stoa follow --processes`)".to_owned(),
            ));
        }
        for rules in rules {
            match self.computer.trusts(rules, jobs::algorithm(code)).await {
                Ok(true) => {}
                Ok(false) => {
                    let why = "the owner's rules do not let this program run on these data";
                    return Err(Refusal::Forbidden(why.to_owned()));
                }
                Err(_) => return Err(Refusal::Unavailable("the ledger cannot be asked now".to_owned())),
            }
        }
        Ok(())
    }

    /// Starts a job; what clients are told of it.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unavailable`] if there are too many, or the disk refuses.
    pub fn start(self: &Arc<Self>, task: Task) -> Result<Value, Refusal> {
        let job = self.admit(&task)?;
        let said = json!([*job.record.lock()]);
        let engine = self.clone();
        tokio::spawn(async move { engine.run(&job, task).await });
        Ok(said)
    }

    /// Writes a job down, if there is room for it.
    fn admit(&self, task: &Task) -> Result<Arc<Job>, Refusal> {
        let owner = task.owner.to_checksum(None);
        let mut jobs = self.jobs();
        let (mut open, mut own, mut ended) = (0, 0, Vec::new());
        for job in jobs.values() {
            let record = job.record.lock();
            if record.is_over() {
                ended.push((record.began(), record.owner.clone(), record.job_id.clone()));
                continue;
            }
            if task.fee.is_some() && task.fee == record.fee {
                let why = "the fee that is shown pays for one job at a time, and one is under way: wait for its end, or stop it";
                return Err(Refusal::Unavailable(why.to_owned()));
            }
            if record.is_held() {
                continue;
            }
            open += 1;
            own += usize::from(record.owner == owner);
        }
        if own >= OPEN_EACH || open >= OPEN {
            return Err(Refusal::Unavailable(format!(
                "too many jobs are under way, want {OPEN_EACH} of one account at most: try again when some have ended"
            )));
        }
        may_wait(&jobs, task, &owner)?;
        let id = format!("{}-{}", hex::encode(self.account), hex::encode(rand::random::<[u8; 32]>()));
        let record = Record {
            owner: owner.clone(),
            job_id: id.clone(),
            environment: self.environment(),
            inputs: task.datasets.iter().map(|used| used.did.clone()).collect(),
            algorithm: task.algorithm.as_ref().map(|used| used.did.clone()),
            agreement_id: task.agreement.to_string(),
            fee: task.fee.clone(),
            is_free: task.free,
            resources: task.share.told().map(|(id, amount)| json!({ "id": id, "amount": amount })).to_vec(),
            max_job_duration: task.seconds,
            metadata: task.metadata.clone(),
            ..Record::default()
        };
        let job = Job::new(self.folder.join(RUNS).join(&id), Some(task.share), record.begun());
        if let Err(error) = fs::create_dir(&job.folder).and_then(|()| job.write(&job.record.lock())) {
            tracing::error!(%error, "a job cannot be written down");
            let _ = fs::remove_dir_all(&job.folder);
            return Err(Refusal::Unavailable("the node cannot do it now: try again".to_owned()));
        }
        ended.sort_by(|(one, ..), (other, ..)| one.total_cmp(other));
        let ended: Vec<_> = ended.into_iter().map(|(_, owner, id)| (owner, id)).collect();
        give_way(&ended, &owner, jobs.len()).into_iter().filter_map(|id| jobs.remove(id)).for_each(|job| job.remove());
        let job = Arc::new(job);
        jobs.insert(id, job.clone());
        Ok(job)
    }

    /// All jobs, but for those that ended long ago, which are forgotten.
    fn jobs(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Job>>> {
        let mut jobs = self.jobs.lock();
        jobs.retain(|_, job| {
            let is_old = job.record.lock().is_older(STORED);
            if is_old {
                job.remove();
            }
            !is_old
        });
        jobs
    }

    /// A job of this account.
    fn job(&self, owner: Address, id: &str) -> Result<Arc<Job>, Refusal> {
        let owner = owner.to_checksum(None);
        let job = self.jobs().get(id).filter(|job| job.record.lock().owner == owner).cloned();
        job.ok_or_else(|| Refusal::Unknown("jobId: this account has no such job here".to_owned()))
    }

    /// How jobs of an account stand: this one, or all of them, the newest first.
    pub fn status(&self, owner: Address, id: Option<&str>) -> Value {
        let owner = owner.to_checksum(None);
        let mut told: Vec<_> = self.jobs().values().map(|job| job.record.lock().clone()).collect();
        told.retain(|record| record.owner == owner && id.is_none_or(|id| record.job_id == id));
        told.sort_by(|one, other| other.began().total_cmp(&one.began()));
        json!(told)
    }

    /// Ends a job of this account, if it is not over.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unknown`] if there is none.
    pub fn stop(&self, owner: Address, id: &str) -> Result<Value, Refusal> {
        let job = self.job(owner, id)?;
        job.control.cancel();
        job.stopped.notify_one();
        let mut record = job.record.lock();
        record.stop_requested |= !record.is_over();
        Ok(json!([*record]))
    }

    /// Where something lies that a job of this account has left, and what it is called.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unknown`] if there is none.
    pub fn result(&self, owner: Address, id: &str, index: usize) -> Result<(PathBuf, String), Refusal> {
        let job = self.job(owner, id)?;
        let record = job.record.lock();
        match record.results.get(index) {
            Some(kept) => Ok((job.folder.join(&kept.filename), kept.filename.clone())),
            None => {
                let count = record.results.len();
                Err(Refusal::Unknown(format!("index: the job has left {count} files so far, from 0 on")))
            }
        }
    }
}

/// Passes if what a job leaves can wait to be looked at, where its data's rules want that, beside what waits there already.
fn may_wait(jobs: &BTreeMap<String, Arc<Job>>, task: &Task, owner: &str) -> Result<(), Refusal> {
    let approved = |used: &&Used| used.rules.as_ref().is_some_and(|rules| rules.approval);
    for used in task.datasets.iter().filter(approved) {
        let (mut all, mut own) = (0, 0);
        for job in jobs.values() {
            let record = job.record.lock();
            if record.is_held() && record.inputs.contains(&used.did) {
                all += 1;
                own += usize::from(record.owner == owner);
            }
        }
        if own >= HELD_EACH || all >= HELD {
            return Err(Refusal::Unavailable(format!(
                "too many jobs on {} wait for its owner to look at what they would leave, want {HELD_EACH} of one account at most: \
                 try again when he has",
                used.did
            )));
        }
    }
    Ok(())
}

/// Which of the jobs that have ended, by owner and number and the oldest first, go when one more of this owner's begins: the
/// oldest of his own beyond what he may keep. If there are too many of all owners, it is the oldest of whoever keeps most, so
/// that nobody crowds out the others.
pub(super) fn give_way<'a>(ended: &'a [(String, String)], owner: &str, kept: usize) -> Vec<&'a str> {
    let of = |owner: &str| {
        let owner = owner.to_owned();
        ended.iter().filter(move |(of, _)| *of == owner).map(|(_, id)| id.as_str())
    };
    let many = of(owner).count().saturating_sub(KEPT_EACH - 1);
    if many > 0 || kept < KEPT {
        return of(owner).take(many).collect();
    }
    let mut counts = BTreeMap::<&str, usize>::new();
    for (owner, _) in ended {
        *counts.entry(owner).or_default() += 1;
    }
    let most = counts.iter().max_by_key(|(_, count)| **count);
    most.and_then(|(&owner, _)| of(owner).next()).into_iter().collect()
}

impl Job {
    fn new(folder: PathBuf, share: Option<Share>, record: Record) -> Self {
        Self { folder, share, control: Control::new(), stopped: Notify::new(), record: Mutex::new(record) }
    }

    /// One that was written down before the node was ended. If it was under way, it is over: what it had done is lost.
    fn again(folder: PathBuf) -> io::Result<(String, Self)> {
        // Data do not stay here, whatever else can be read.
        let stage = folder.join(STAGE);
        if stage.exists() {
            fs::remove_dir_all(stage)?;
        }
        let record: Record = serde_json::from_slice(&fs::read(folder.join(RECORD))?).map_err(io::Error::other)?;
        let (id, is_over) = (record.job_id.clone(), record.is_over());
        let job = Self::new(folder, None, record);
        if !is_over {
            job.finish(End::of(Status::Failed, "the node was ended while the job was under way: start it again"));
        }
        Ok((id, job))
    }

    fn write(&self, record: &Record) -> io::Result<()> {
        write_private(&self.folder.join(RECORD), &serde_json::to_vec(record).map_err(io::Error::other)?)
    }

    /// It is over. If what came of it cannot be kept it has failed, for else nobody would hear of its end, and it counted for
    /// ever as one that is under way.
    pub(super) fn finish(&self, end: End) {
        let Err(error) = self.keep(end) else { return };
        tracing::error!(job = %self.folder.display(), %error, "what a job has left cannot be kept");
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name() != RECORD {
                let _ = fs::remove_file(entry.path());
            }
        }
        self.record.lock().end(Status::Failed, &[]);
    }

    /// Writes down what came of it, then lets it be seen.
    fn keep(&self, end: End) -> io::Result<()> {
        let mut left = Vec::new();
        for (name, kind, bytes) in end.left()? {
            write_private(&self.folder.join(name), &bytes)?;
            left.push((name, kind, bytes.len()));
        }
        let mut record = self.record.lock().clone();
        record.end(end.status, &left);
        self.write(&record)?;
        *self.record.lock() = record;
        Ok(())
    }

    /// It is forgotten.
    fn remove(&self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(path = %self.folder.display(), %error, "what a job left cannot be removed");
        }
    }

    /// What names it where jobs are named by 32 bytes.
    pub(super) fn key(&self) -> B256 {
        let record = self.record.lock();
        record.job_id.rsplit('-').next().and_then(|key| key.parse().ok()).unwrap_or_default()
    }

    /// Where what it sees is put together.
    pub(super) fn stage(&self) -> PathBuf {
        self.folder.join(STAGE)
    }
}

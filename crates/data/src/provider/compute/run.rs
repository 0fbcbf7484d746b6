//! One job: what its program sees, that it runs, and what of what it leaves may leave.
//!
//! A program sees its data under the names of their files, as all programs do here, and once more where Ocean's programs look for them:
//!
//! ```text
//! /data/inputs/<did>/<number>           the files of each data set
//! /data/inputs/algoCustomData.json      what the program is told; here `/data/params.json`
//! /data/ddos/<did>                      the documents
//! /data/outputs, /data/transformations/algorithm   of scripts: links to `/out` and the script
//! ```

use super::{
    super::{Refusal, Standing, files::plain_name},
    Task,
    engine::{Engine, Job, Used},
    record::{Status, tar},
};
use crate::jobs::{
    Files,
    abi::{PROCESS, STOPPED},
    judge,
    role::Guard,
    run_unless_dropped,
};
use alloy_primitives::B256;
use eyre::WrapErr as _;
use futures::FutureExt as _;
use serde_json::json;
use std::{
    fs, io,
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};
use stoa_base::now;
use stoa_sandbox::{Ended, Error, Input, Limits, Outcome, PARAMS, Source};
use tokio::time::sleep;

/// Bytes of what a program leaves, and prints, at most.
const MOST_OUTPUT: u64 = 16 << 20;
const MOST_LOG: u64 = 64 << 10;

/// Bytes of data that are copied for a job at most. Those that lie on the same disk are not.
const MOST_COPIED: u64 = 8 << 30;

/// Steps of a WebAssembly module in a second: its processor would have to be a fast one.
const STEPS: u64 = 16_000_000_000;

/// How often documents are asked for when they cannot be read, and how long it takes in between.
const TRIES: u32 = 5;
const BETWEEN: Duration = Duration::from_secs(2);

/// How a job ends.
pub(super) struct End {
    pub(super) status: Status,
    /// What leaves, if anything does.
    files: Option<Files>,
    log: Option<String>,
    /// Why nothing leaves, so far as that may be told.
    why: Option<String>,
}

impl End {
    pub(super) fn of(status: Status, why: impl ToString) -> Self {
        Self { status, files: None, log: None, why: Some(why.to_string()) }
    }

    /// As files, each with the name and the kind that Ocean's nodes give it.
    pub(super) fn left(&self) -> io::Result<Vec<(&'static str, &'static str, Vec<u8>)>> {
        let text = |text: &String| text.as_bytes().to_vec();
        let files = self.files.as_ref().map(|files| tar("outputs", files)).transpose()?;
        let all = [
            ("algorithm.log", "algorithmLog", self.log.as_ref().map(text)),
            ("outputs.tar", "output", files),
            ("publish.log", "publishLog", self.why.as_ref().map(text)),
        ];
        Ok(all.into_iter().filter_map(|(name, kind, bytes)| Some((name, kind, bytes?))).collect())
    }
}

/// Waits for a job's turn, and says that it does; nothing if the job is stopped before.
async fn unless_stopped<T>(job: &Job, turn: impl Future<Output = T>) -> Option<T> {
    if job.control.is_cancelled() {
        return None;
    }
    let mut turn = pin!(turn);
    if let Some(turn) = turn.as_mut().now_or_never() {
        return Some(turn);
    }
    job.record.lock().set(Status::Queued);
    tokio::select! {
        turn = turn => Some(turn),
        () = job.stopped.notified() => None,
    }
}

impl Engine {
    /// Does a job.
    pub(super) async fn run(&self, job: &Job, task: Task) {
        let end = self.ran(job, &task).await.unwrap_or_else(|error| {
            tracing::error!(job = %job.folder.display(), error = %format!("{error:#}"), "a job could not be done");
            End::of(Status::Failed, "the node could not do it")
        });
        // It was never made if the job was stopped before.
        let _ = fs::remove_dir_all(job.stage());
        job.finish(end);
    }

    async fn ran(&self, job: &Job, task: &Task) -> eyre::Result<End> {
        let set = |status| job.record.lock().set(status);
        let stopped = || Ok(End::of(Status::Finished, "it was stopped"));
        let (is_process, computer) = (task.runtime == PROCESS, &self.computer);
        let own = if is_process { &self.processes } else { &self.turns };
        let Some(own) = unless_stopped(job, own.acquire()).await.transpose()? else { return stopped() };
        // Much may have changed while others ran.
        if let Err(why) = self.lasts(task).await {
            return Ok(End::of(Status::Failed, why));
        }
        set(Status::Provisioning);
        let inputs = match self.provide(task, &job.stage()).await {
            Ok(inputs) => inputs,
            Err(why) => return Ok(End::of(Status::DataFailed, why)),
        };
        let turn = match is_process {
            // Among the node's own. It runs beside no other, for nothing else is on what it is on.
            true => match unless_stopped(job, computer.turns.of(task.owner, Some(job.key()))).await.transpose()? {
                Some(turn) => Some(turn),
                None => return stopped(),
            },
            false => None,
        };
        let guards = self.guards(task)?;
        for guard in &guards {
            if let Err(why) = guard.charge(guard.rules.round())? {
                return Ok(End::of(Status::Withheld, why));
            }
        }
        let runtime = computer.runtimes.of(task.runtime).ok_or_else(|| eyre::eyre!("no such runtime"))?;
        let program = task.program(job.key(), inputs);
        set(Status::Running);
        let outcome = run_unless_dropped(job.control.clone(), move |control| runtime.run(&program, control)).await?;
        drop((own, turn));
        let tells = guards.iter().all(|guard| guard.rules.log);
        let told = outcome.as_ref().ok().filter(|_| tells).map(|outcome| &outcome.ended);
        let exit = told.and_then(|ended| if let Ended::Exited(code) = ended { Some(*code) } else { None });
        job.record.lock().ran(exit, told.map(|ended| *ended == Ended::OutOfMemory));
        let outcome = match outcome {
            // About what he has sent its owner may know all.
            Err(error @ (Error::Code(_) | Error::Job(_))) => return Ok(End::of(Status::Failed, error)),
            outcome => outcome?,
        };
        let end = left(job, &guards, outcome).await?;
        // It may have been taken back meanwhile.
        match self.lasts(task).await {
            Ok(()) => Ok(end),
            Err(why) => Ok(End::of(Status::Withheld, why)),
        }
    }

    /// Passes while all assets of a job are their publisher's to give to its owner, also by their documents.
    async fn lasts(&self, task: &Task) -> Result<(), Refusal> {
        for used in task.datasets.iter().chain(&task.algorithm) {
            Standing::lasting(&*self.computer.chain, used.nft, self.publisher, task.owner).await?;
        }
        // Others may ask much of what reads them at that moment.
        for _ in 1..TRIES {
            match task.documents.stand().await {
                Err(Refusal::Unavailable(_)) => sleep(BETWEEN).await,
                said => return said,
            }
        }
        task.documents.stand().await
    }

    /// Puts together what a program sees.
    async fn provide(&self, task: &Task, stage: &Path) -> Result<Vec<Input>, Refusal> {
        let disk = |error: std::io::Error| {
            tracing::error!(%error, "what a job sees cannot be put together");
            Refusal::Unavailable("the node cannot do it now".to_owned())
        };
        let [own, documents] = ["inputs", "ddos"].map(|name| stage.join(name));
        fs::create_dir_all(&documents).map_err(disk)?;
        let mut inputs = ["inputs", "ddos"].map(|name| input(name.to_owned(), stage.join(name))).to_vec();
        let mut room = MOST_COPIED;
        for used in &task.datasets {
            let folder = own.join(&used.did);
            fs::create_dir_all(&folder).map_err(disk)?;
            for (number, place) in used.places.iter().enumerate() {
                let to = folder.join(number.to_string());
                let name = self.sources.bring(place, &to, &mut room).await?;
                inputs.push(input(free(&name, &inputs), to));
            }
        }
        fs::write(own.join("algoCustomData.json"), &task.custom).map_err(disk)?;
        for used in task.datasets.iter().chain(&task.algorithm) {
            fs::write(documents.join(&used.did), &used.document).map_err(disk)?;
        }
        Ok(inputs)
    }

    /// What stands before those data that have rules.
    fn guards<'a>(&'a self, task: &'a Task) -> eyre::Result<Vec<Guard<'a>>> {
        let mut guards = Vec::new();
        for Used { did, rules, .. } in &task.datasets {
            let Some(rules) = rules else { continue };
            let asset: B256 = did.trim_start_matches("did:op:").parse().wrap_err("a DID that is none")?;
            let folder = self.folder.join(asset.to_string());
            fs::create_dir_all(&folder).wrap_err("no folder for what has left")?;
            let (patience, chain, spending) = (rules.patience(), &*self.computer.chain, &*self.computer.spending);
            guards.push(Guard { rules, asset, folder, buyer: task.owner, patience, chain, spending });
        }
        Ok(guards)
    }
}

/// What may leave of what a program has left: what the rules of all its data let, and all of it if there are none.
async fn left(job: &Job, guards: &[Guard<'_>], outcome: Outcome) -> eyre::Result<End> {
    let tells = guards.iter().all(|guard| guard.rules.log);
    if let Err((ended, why)) = judge(&outcome, tells) {
        let why = guards.iter().try_fold(why, |why, guard| guard.told(why))?.to_string();
        let stopped = ended == STOPPED && job.control.is_cancelled();
        return Ok(End::of(if stopped { Status::Finished } else { Status::Failed }, why));
    }
    let (mut files, log) = (outcome.output.files, tells.then(|| outcome.log.text()));
    let printed = log.as_ref().map_or(0, |log| log.len() as u64);
    let mut counts = Vec::new();
    for guard in guards {
        match guard.rules.leaving_of(&files, guard.left()?) {
            Ok(leaving) => {
                files = leaving.files;
                counts.push(leaving.counts.saturating_add(printed));
            }
            Err(why) => return Ok(End::of(Status::Withheld, why)),
        }
    }
    for guard in guards {
        let waits = || job.record.lock().set(Status::Filtering);
        let looked = guard.looked_at((job.key(), 0), &files, log.as_deref(), &job.control, waits).await?;
        if let Some((ended, why)) = looked {
            return Ok(End::of(if ended == STOPPED { Status::Finished } else { Status::Withheld }, why));
        }
    }
    for (guard, counts) in guards.iter().zip(counts) {
        if let Err(why) = guard.charge(counts)? {
            return Ok(End::of(Status::Withheld, why));
        }
    }
    Ok(End { status: Status::Finished, files: Some(files), log, why: None })
}

impl Task {
    /// What the sandbox is given.
    fn program(&self, key: B256, inputs: Vec<Input>) -> stoa_sandbox::Job {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut job = stoa_sandbox::Job::new(Source::Bytes(self.code.clone()));
        job.command = self.command.clone();
        job.inputs = inputs;
        if self.custom != b"{}" {
            job.params = self.custom.clone();
        }
        let dids: Vec<_> = self.datasets.iter().map(|used| &used.did).collect();
        job.variables = vec![pair("DIDS", &json!(dids).to_string())];
        if let Some(Used { did, .. }) = &self.algorithm {
            job.variables.extend(["TRANSFORMATION_DID", "ALGO_DID"].map(|name| pair(name, did)));
        }
        job.links = vec![pair("/data/outputs", "/out"), pair("/data/transformations/algorithm", "/code/main")];
        job.limits = self.limits();
        job.seed = key.0;
        job.time = now();
        job.sender = Some(self.owner.into_word().0);
        job
    }

    fn limits(&self) -> Limits {
        let gib = |amount: f64| (amount * f64::from(1_u32 << 30)) as u64;
        let (wall, usual, memory) = (Duration::from_secs(self.seconds), Limits::default(), gib(self.share.ram));
        let ruled = self.datasets.iter().filter_map(|used| used.rules.as_ref()?.memory).min();
        Limits {
            fuel: self.seconds.saturating_mul(STEPS),
            cpu: wall.mul_f64(self.share.cpu),
            wall,
            memory: ruled.map_or(memory, |mib| memory.min(u64::from(mib) << 20)),
            output_bytes: MOST_OUTPUT,
            scratch_bytes: usual.scratch_bytes.max(gib(self.share.disk)),
            log_bytes: MOST_LOG,
            ..usual
        }
    }
}

fn input(name: String, path: PathBuf) -> Input {
    Input { name, source: Source::Path(path) }
}

/// A name under `/data` for a file of this name that nothing else has.
fn free(name: &str, inputs: &[Input]) -> String {
    let taken = |name: &str| {
        ["outputs", "transformations", PARAMS].contains(&name) || inputs.iter().any(|input| input.name == name)
    };
    let plain = plain_name(name.trim_start_matches('.'));
    let (mut name, mut number) = (plain.clone(), 1);
    while taken(&name) {
        name = format!("{number}-{plain}");
        number += 1;
    }
    name
}

//! What a round of a job is run with, and what comes of it: the same on the node that does the job and wherever it is run again.

use super::{
    abi::{
        BROKEN, FAILED,
        IJobs::{Job, Receipt},
        LIMITED, PROCESS, STOPPED, SUCCEEDED, WITHHELD,
    },
    contract::{MILLION, is_checked, repeats},
    data::{DataSet, list_hash},
    rules::{Leaving, Remaining, Rules, is_close},
};
use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use stoa_sandbox::{Control, Ended, Error, Input, Limits, Outcome, Runtime, Source, Used};
use tokio::task::{JoinError, spawn_blocking};

/// What left in a round: files by their paths.
pub type Files = BTreeMap<String, Vec<u8>>;

/// How many times as long as another run a process may have taken by its receipt, and so many steps more: machines differ. So many times
/// as long another run may take.
const SLOWER: u32 = 4;
const LONGER: u64 = 1_000_000_000;

/// What a job has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Done {
    pub(super) rounds: u32,
    pub(super) fuel: u64,
    pub(super) params: B256,
    pub(super) output: B256,
    /// The steps and the parameters of the rounds in which something left, without one that came to nothing. Zero in notes of nodes that did
    /// not keep them.
    #[serde(default)]
    pub(super) left_fuel: u64,
    #[serde(default)]
    pub(super) left_params: B256,
    /// How it ended, if it is over, and why, so far as it may be told.
    pub(super) ended: Option<u8>,
    pub(super) why: String,
}

/// What came of a round.
pub(super) enum Ran {
    /// This may leave, and the log if the owner lets that leave.
    Left(Leaving, Option<String>),
    /// The job is over: how it ended, and why so far as the owner lets that be known.
    Over(u8, Reason),
}

/// Why nothing leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// What is told of it in any case.
    pub(crate) brief: String,
    /// How exactly a program failed and what it printed besides, where the owner lets that be known.
    pub(crate) whole: Option<String>,
}

impl Reason {
    /// What telling it counts.
    pub(crate) fn counts(&self) -> u64 {
        self.whole.as_ref().map_or(0, |whole| whole.len() as u64)
    }
}

impl From<String> for Reason {
    fn from(brief: String) -> Self {
        Self { brief, whole: None }
    }
}

impl From<&str> for Reason {
    fn from(brief: &str) -> Self {
        brief.to_owned().into()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.whole.as_ref().unwrap_or(&self.brief))
    }
}

/// How is said that a program has taken all steps that it may: more can be asked for. Its receipt tells that as well.
pub(super) const OUT_OF_STEPS: &str = "the program used up what it may use: its steps";

/// The next link of a chain of hashes.
fn link(chain: B256, next: [u8; 32]) -> B256 {
    B256::new(Sha256::new().chain_update(chain).chain_update(next).finalize().into())
}

/// The hash of what leaves in a round.
fn output_hash(files: &Files) -> [u8; 32] {
    list_hash(files.iter().map(|(path, bytes)| (path.as_str(), blake3::hash(bytes)))).0
}

/// The chain of hashes over what left in the rounds of a job, as its receipt has it.
pub fn outputs_hash<'a>(rounds: impl IntoIterator<Item = &'a Files>) -> B256 {
    rounds.into_iter().fold(B256::ZERO, |chain, files| link(chain, output_hash(files)))
}

/// The chain of hashes over the parameters of the rounds of a job, as its receipt has it.
pub fn params_hash<'a>(rounds: impl IntoIterator<Item = &'a [u8]>) -> B256 {
    rounds.into_iter().fold(B256::ZERO, |chain, params| link(chain, *blake3::hash(params).as_bytes()))
}

impl Done {
    /// Whether nothing is done: no program has begun to run.
    pub(super) const fn is_nothing(&self) -> bool {
        self.rounds == 0 && self.fuel == 0
    }

    /// A round begins.
    pub(super) fn begin(&mut self, params: &[u8]) {
        self.params = link(self.params, *blake3::hash(params).as_bytes());
    }

    /// It has used so much.
    pub(super) fn used(&mut self, used: &Used, job: &Job) {
        self.fuel = self.fuel.saturating_add(steps(job.runtime, used.fuel, used.cpu)).min(job.fuel);
    }

    /// It has ended: what may leave to a buyer who may still have so much, or how the job ends.
    ///
    /// # Errors
    ///
    /// If the sandbox could not run it.
    pub(super) fn end(
        &mut self,
        outcome: Result<Outcome, Error>,
        rules: &Rules,
        left: Remaining,
    ) -> Result<Ran, Error> {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            // The buyer's own doing, about which he may know all.
            Err(error @ (Error::Code(_) | Error::Job(_))) => return Ok(Ran::Over(FAILED, error.to_string().into())),
            Err(error) => return Err(error),
        };
        if let Err((ended, why)) = judge(&outcome, rules.log) {
            return Ok(Ran::Over(ended, why));
        }
        let log = rules.log.then(|| outcome.log.text());
        let leaving = rules.leaving_of(&outcome.output.files, left).and_then(|mut leaving| {
            leaving.counts = leaving.counts.saturating_add(log.as_ref().map_or(0, |log| log.len() as u64));
            match leaving.counts > left.least() {
                true => Err(rules.short(left, "what would leave and the log count more", leaving.counts)),
                false => Ok(leaving),
            }
        });
        Ok(match leaving {
            Ok(leaving) => {
                self.rounds += 1;
                self.output = link(self.output, output_hash(&leaving.files));
                (self.left_fuel, self.left_params) = (self.fuel, self.params);
                Ran::Left(leaving, log)
            }
            Err(why) => Ran::Over(WITHHELD, why.into()),
        })
    }

    /// What its node signs. Where receipts are checked, one that nobody can check pays no steps: if something left before, it is about
    /// that, which another run comes to.
    pub(super) fn receipt(&self, job: &Job, runtime: B256) -> Receipt {
        let ended = self.ended.unwrap_or(SUCCEEDED);
        let unchecked = is_checked(&job.offer, job.runtime) && ended != BROKEN && !repeats(job.runtime, ended);
        let (params, fuel, ended) = match unchecked && !self.left_params.is_zero() {
            true => (self.left_params, self.left_fuel, SUCCEEDED),
            false => (self.params, self.fuel, ended),
        };
        let fuel = paid(fuel, job);
        Receipt { data: job.offer.data, params, runtime, output: self.output, rounds: self.rounds, fuel, ended }
    }
}

/// The steps that are paid for: exact ones could tell something of the data.
fn paid(fuel: u64, job: &Job) -> u64 {
    fuel.div_ceil(MILLION).saturating_mul(MILLION).min(job.fuel)
}

/// Whether a program ended well; if not, how that is told.
pub(crate) fn judge(outcome: &Outcome, tells: bool) -> Result<(), (u8, Reason)> {
    let (ended, why) = match &outcome.ended {
        Ended::Exited(0) => return Ok(()),
        Ended::Cancelled => return Err((STOPPED, "it was stopped".into())),
        // Where it runs faster it comes further.
        Ended::OutOfTime => return Err((STOPPED, "it took more time than a program may".into())),
        Ended::OutOfFuel | Ended::OutOfCpu => (LIMITED, OUT_OF_STEPS),
        Ended::OutOfMemory | Ended::OutputTooLarge | Ended::TooManyProcesses => (
            LIMITED,
            "the program used up what it may use: memory, processes or room for what it leaves, and not its steps",
        ),
        Ended::Exited(_) | Ended::Trapped(_) | Ended::Signalled(_) => (FAILED, "the program failed"),
    };
    // How it failed, and what it said of that, could be data.
    let whole = || {
        let (how, log) = (how_ended(&outcome.ended), outcome.log.text());
        format!("{why} ({how})\n{log}").trim_end().chars().take(2000).collect()
    };
    Err((ended, Reason { brief: why.to_owned(), whole: tells.then(whole) }))
}

/// How a run ended, in words.
pub fn how_ended(ended: &Ended) -> String {
    match ended {
        Ended::Exited(0) => "well".into(),
        Ended::Exited(code) => format!("with code {code}"),
        Ended::Trapped(why) => format!("trapped: {why}"),
        Ended::Signalled(signal) => format!("killed by signal {signal}"),
        Ended::OutOfFuel | Ended::OutOfCpu => "it used up its steps".into(),
        Ended::OutOfMemory => "it used up its memory".into(),
        Ended::OutOfTime => "it ran too long".into(),
        Ended::OutputTooLarge => "it wrote more than it may".into(),
        Ended::TooManyProcesses => "it began more processes than it may".into(),
        Ended::Cancelled => "it was stopped".into(),
    }
}

/// Steps that a program has taken: those of WebAssembly, or the nanoseconds of a processor that a process has used.
pub fn steps(runtime: u8, fuel: u64, cpu: Duration) -> u64 {
    match runtime {
        PROCESS => u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX),
        _ => fuel,
    }
}

/// What a round is run with: its program sees the data, and the same of everything else wherever it is run again. As a process
/// it is one file that can be executed: a script that says in its first line what runs it, or a program of the machine's. The owner's
/// rules say within which limits.
pub fn round_job(
    id: B256,
    job: &Job,
    round: u32,
    code: Arc<[u8]>,
    params: Vec<u8>,
    inputs: Vec<Input>,
    limits: Limits,
) -> stoa_sandbox::Job {
    let seed =
        Sha256::new().chain_update("stoa job seed").chain_update(id).chain_update(round.to_be_bytes()).finalize();
    let command = if job.runtime == PROCESS { "/code/main" } else { "algorithm" };
    stoa_sandbox::Job {
        code: Source::Bytes(code),
        command: vec![command.into()],
        inputs,
        params,
        variables: Vec::new(),
        links: Vec::new(),
        limits,
        seed: seed.into(),
        time: job.until.saturating_sub(job.offer.time.into()),
        sender: Some(job.buyer.into_word().0),
    }
}

/// What another run of a job came to.
#[derive(Clone, Debug)]
pub struct Rerun {
    /// The receipt that whoever ran it would sign.
    pub receipt: Receipt,
    /// What left in each round.
    pub left: Vec<Files>,
    /// The steps of all rounds, as they are paid for: with those of a last one of which nothing leaves, which the receipt may be without.
    pub fuel: u64,
}

impl Rerun {
    /// Whether a process came close to the same before: the same but for numbers within the rules' tolerance, in a time that a
    /// machine may take. `left` is what left then.
    pub(super) fn is_close(&self, receipt: &Receipt, left: &[Files], tolerance: u32) -> bool {
        let same = |one: &Files, other: &Files| {
            one.len() == other.len()
                && one.iter().all(|(path, one)| other.get(path).is_some_and(|other| is_close(one, other, tolerance)))
        };
        let again = &self.receipt;
        (again.data, again.params, again.rounds, again.ended)
            == (receipt.data, receipt.params, receipt.rounds, receipt.ended)
            && receipt.fuel <= again.fuel.saturating_mul(SLOWER.into()).saturating_add(LONGER)
            && self.left.len() == left.len()
            && self.left.iter().zip(left).all(|(one, other)| same(one, other))
    }
}

/// A run that somebody waits for.
struct Waited(Option<Control>);

impl Drop for Waited {
    fn drop(&mut self) {
        if let Some(control) = &self.0 {
            control.cancel();
        }
    }
}

/// Runs what blocks, and cancels it if nobody waits for it any more, as when a node stops, which else would wait for its end.
///
/// # Errors
///
/// If it panics.
pub(crate) async fn run_unless_dropped<T: Send + 'static>(
    control: Control,
    work: impl FnOnce(&Control) -> T + Send + 'static,
) -> Result<T, JoinError> {
    let mut waited = Waited(Some(control.clone()));
    let done = spawn_blocking(move || work(&control)).await;
    waited.0 = None;
    done
}

/// Runs a job again, on data that whoever asks may see. `params` are those of its rounds. Budgets are not looked at, for they
/// depend on a buyer's other jobs, nor is anybody asked whether it may leave. Blocks.
///
/// # Errors
///
/// If the program cannot be run, or this machine is too slow for it.
pub fn rerun(
    runtime: &dyn Runtime,
    id: B256,
    job: &Job,
    data: &DataSet,
    code: &[u8],
    params: &[Vec<u8>],
    control: &Control,
) -> eyre::Result<Rerun> {
    let (mut done, mut left, code): (_, _, Arc<[u8]>) = (Done::default(), Vec::new(), code.into());
    // A process may compute longer here: a receipt of one that is checked says that its steps were enough where it ran.
    let fuel = if job.runtime == PROCESS { job.fuel.saturating_mul(SLOWER.into()) } else { job.fuel };
    let allowed = Job { fuel, ..job.clone() };
    for (number, params) in (0..).zip(params) {
        done.begin(params);
        let mut limits = data.rules.limits(job.runtime, fuel.saturating_sub(done.fuel));
        if job.runtime == PROCESS {
            // It may wait for a slower disk here, or for a machine that is busy: that says nothing of its node.
            (limits.wall, limits.idle) = (limits.wall.saturating_add(limits.idle * SLOWER), Duration::MAX);
        }
        let round = round_job(id, job, number, code.clone(), params.clone(), data.inputs()?, limits);
        let outcome = runtime.run(&round, control);
        if let Ok(outcome) = &outcome {
            eyre::ensure!(
                outcome.deterministic || !runtime.deterministic(),
                "it takes more time here than a program may"
            );
            done.used(&outcome.used, &allowed);
        }
        match done.end(outcome, &data.rules, u64::MAX.into())? {
            Ran::Left(leaving, _) => left.push(leaving.files),
            Ran::Over(ended, _) => {
                done.ended = Some(ended);
                break;
            }
        }
    }
    debug_assert_ne!(done.ended, Some(BROKEN));
    let fuel = paid(done.fuel, job);
    Ok(Rerun { receipt: done.receipt(job, runtime.id().hash().into()), left, fuel })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{
        abi::{
            IJobs::{Checks, Offer},
            WASM,
        },
        rules::Shape,
    };
    use futures::poll;
    use parking_lot::Mutex;
    use std::{fs, sync::mpsc, thread};
    use stoa_sandbox::RuntimeId;
    use tempfile::TempDir;

    #[test]
    fn how_a_program_failed_is_told_in_words() {
        let outcome = |ended| Outcome {
            ended,
            output: stoa_sandbox::Output::default(),
            log: stoa_sandbox::Log { bytes: b"no column\n".to_vec(), truncated: false },
            used: Used::default(),
            deterministic: true,
        };
        let told = |ended, tells| judge(&outcome(ended), tells).unwrap_err().1.to_string();
        assert_eq!(told(Ended::Exited(1), true), "the program failed (with code 1)\nno column");
        assert_eq!(told(Ended::OutOfCpu, true), format!("{OUT_OF_STEPS} (it used up its steps)\nno column"));
        assert_eq!(told(Ended::Exited(1), false), "the program failed");
    }

    #[test]
    fn where_receipts_are_checked_one_is_about_what_left_before_rather_than_about_what_nobody_can_check() {
        let (params, left_params) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let (fuel, left_fuel) = (5 * MILLION, 2 * MILLION);
        let signed = |drawn, ended, left_params, runtime| {
            let offer = Offer { checks: Checks { drawn, ..Checks::default() }, ..Offer::default() };
            let job = Job { offer, runtime, fuel: 10 * MILLION, ..Job::default() };
            let done = Done { rounds: 1, fuel, params, left_fuel, left_params, ended: Some(ended), ..Done::default() };
            let receipt = done.receipt(&job, B256::ZERO);
            (receipt.ended, receipt.fuel, receipt.params)
        };
        let before = (SUCCEEDED, left_fuel, left_params);
        for ended in [STOPPED, WITHHELD] {
            assert_eq!(signed(1, ended, left_params, WASM), before);
            // Nothing is checked, or nothing left, or a node that did not note it was ended meanwhile.
            assert_eq!(signed(0, ended, left_params, WASM), (ended, fuel, params));
            assert_eq!(signed(1, ended, B256::ZERO, WASM), (ended, fuel, params));
        }
        for ended in [SUCCEEDED, FAILED, LIMITED, BROKEN] {
            assert_eq!(signed(1, ended, left_params, WASM), (ended, fuel, params));
        }
    }

    const SECOND: u64 = 1_000_000_000;

    /// A machine on which programs, which leave their parameters, take five seconds and half again as many million steps as one. It notes
    /// what they might use.
    #[derive(Default)]
    struct Slow(Mutex<Vec<Limits>>);

    impl Runtime for Slow {
        fn id(&self) -> RuntimeId {
            RuntimeId("slow".into())
        }

        fn deterministic(&self) -> bool {
            false
        }

        fn run(&self, job: &stoa_sandbox::Job, _control: &Control) -> Result<Outcome, Error> {
            self.0.lock().push(job.limits);
            let used = Used { fuel: MILLION * 3 / 2, cpu: Duration::from_secs(5), ..Used::default() };
            let ended = if used.cpu > job.limits.cpu { Ended::OutOfCpu } else { Ended::Exited(0) };
            let files = [("result.json".to_owned(), job.params.clone())].into();
            let output = stoa_sandbox::Output { files, ..stoa_sandbox::Output::default() };
            Ok(Outcome { ended, output, log: stoa_sandbox::Log::default(), used, deterministic: false })
        }
    }

    /// Data of which a number may leave, and where they lie.
    fn data() -> (DataSet, TempDir) {
        let shape = Shape::Numbers { most: 9, keys: vec!["rows".into()], words: Vec::new(), rows: None };
        let files = [("result.json".to_owned(), shape)].into();
        let rules = Rules { files, rounds: 3, budget: 100, ..Rules::default() };
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::create_dir(&from).unwrap();
        fs::write(from.join("rows.csv"), "63").unwrap();
        (DataSet::create(&folder.path().join("data"), &from, &rules).unwrap(), folder)
    }

    #[test]
    fn a_process_comes_to_the_same_on_a_machine_that_is_slow_or_busy() {
        let (slow, (data, _folder)) = (Slow::default(), data());
        let fuel = 4 * SECOND;
        let job = Job { runtime: PROCESS, fuel, ..Job::default() };
        let params = [br#"{"rows":12}"#, br#"{"rows":13}"#].map(|params| params.to_vec());
        let again = rerun(&slow, B256::ZERO, &job, &data, b"#!", &params, &Control::new()).unwrap();
        assert_eq!((again.receipt.ended, again.receipt.rounds, again.receipt.fuel), (SUCCEEDED, 2, fuel));
        let left = again.left.clone();
        assert!(again.is_close(&Receipt { fuel: 3 * SECOND, ..again.receipt.clone() }, &left, 0));
        let there = data.rules.limits(PROCESS, fuel);
        let limits = slow.0.into_inner();
        assert!(limits[0].wall >= there.wall * SLOWER, "{limits:?}");
        assert!(limits.iter().all(|limits| limits.idle == Duration::MAX), "{limits:?}");
    }

    #[test]
    fn another_run_tells_the_steps_of_rounds_as_well_of_which_nothing_leaves() {
        let (slow, (data, _folder)) = (Slow::default(), data());
        let offer = Offer { checks: Checks { drawn: 1, ..Checks::default() }, ..Offer::default() };
        let job = Job { offer, runtime: WASM, fuel: 10 * MILLION, ..Job::default() };
        let params = [br#"{"rows":12}"#.to_vec(), br#"{"age":63}"#.to_vec()];
        let again = rerun(&slow, B256::ZERO, &job, &data, b"\0asm", &params, &Control::new()).unwrap();
        assert_eq!((again.receipt.ended, again.receipt.fuel, again.fuel), (SUCCEEDED, 2 * MILLION, 3 * MILLION));
    }

    #[tokio::test]
    async fn a_run_that_nobody_waits_for_any_more_is_cancelled_and_no_other() {
        let (control, (end, ended)) = (Control::new(), mpsc::channel());
        let endless = move |control: &Control| {
            while !control.is_cancelled() {
                thread::yield_now();
            }
            end.send(()).unwrap();
        };
        let mut waited = Box::pin(run_unless_dropped(control.clone(), endless));
        assert!(poll!(&mut waited).is_pending() && !control.is_cancelled());
        drop(waited);
        ended.recv().unwrap();
        let control = Control::new();
        assert_eq!((run_unless_dropped(control.clone(), |_| 7).await.unwrap(), control.is_cancelled()), (7, false));
    }
}

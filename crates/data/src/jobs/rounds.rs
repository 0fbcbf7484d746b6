//! A program that runs in rounds on the data of several owners: what leaves is combined here, and goes into the next round.
//!
//! ```text
//! the owners' nodes     run the program, each on its own data    ── what may leave ──▶   combine, on this machine
//!                       with the next round's parameters         ◀──── its result ─────
//! ```

use super::{
    abi::WASM,
    algorithm,
    client::{Begun, Buyer, Ended, Left, Wanted},
    run::{Files, how_ended},
    runtime_of, units,
    wire::Round,
};
use crate::client::DataError;
use alloy_primitives::{B256, U256};
use eyre::{ContextCompat as _, Result, WrapErr as _, ensure, eyre};
use futures::future::{join_all, try_join_all};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};
use stoa_base::{create_private, write_private};
use stoa_sandbox::{Control, Input, Job, Process, Runtime, Source, Wasm};
use tokio::task::{JoinHandle, spawn_blocking};

/// The file of a combined result that a plan passes on.
pub const RESULT: &str = "result.json";

/// The most rounds of a plan.
const MOST_ROUNDS: u64 = 10_000;

/// What is done in which order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    /// Parameters of what combines.
    combine: Map<String, Value>,
    /// The parameter by which a combined result goes into the next round.
    pass: String,
    rounds: Vec<Step>,
}

/// A round, or several alike.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    params: Map<String, Value>,
    #[serde(default = "once")]
    times: u32,
}

const fn once() -> u32 {
    1
}

/// How what left is combined.
pub struct Combining {
    /// Kept, for it has the program compiled.
    runtime: Arc<dyn Runtime>,
    program: Source,
    command: &'static str,
    params: Map<String, Value>,
    pass: String,
}

/// What is to be done on whose data, for how much.
pub struct Work {
    /// The assets.
    pub on: Vec<B256>,
    /// The program.
    pub code: Vec<u8>,
    /// The parameters of each round, but for what is passed on.
    pub rounds: Vec<Map<String, Value>>,
    /// How what leaves is combined, if it is.
    pub combining: Option<Combining>,
    /// Steps on each asset at most.
    pub fuel: u64,
    /// What each job may cost at most.
    pub most: U256,
}

/// What came of it.
pub struct Worked {
    /// The results: of each round and the last one combined, or those of each asset.
    pub files: Files,
    /// The parameters of each round, as nodes got them.
    pub params: Vec<Vec<u8>>,
    /// What left in each round, of each asset.
    pub left: Vec<Vec<Files>>,
    /// The jobs, one for each asset.
    pub ended: Vec<(Begun, Ended)>,
    /// What each asset's node runs programs with.
    pub runtimes: Vec<String>,
}

/// What is being done.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// This job has begun: it goes on and costs what it uses, whatever becomes of the program that began it.
    Begun(&'a Begun),
    /// This round begins, counted from 1, with these parameters.
    Round(usize, &'a [u8]),
    /// How it stands at the node of this asset, by its place in the list.
    Stands(usize, &'a Round),
    /// This left in the round, of this asset, by its place in the list.
    Left(usize, &'a Left),
    /// This came of the round, of all assets: what there is of it in [`Worked::files`].
    Came(&'a Files),
    /// Receipts are brought to the ledger.
    Ending,
}

/// The rounds of a plan, and how what leaves is combined by this program. As nodes do, it keeps what it compiles in `cache`, if one is
/// given: a folder that is this user's alone ([`Wasm::new`]).
///
/// # Errors
///
/// If it is none, has no rounds or more than 10,000, or this machine does not run such programs.
pub fn plan(json: &[u8], program: &[u8], cache: Option<PathBuf>) -> Result<(Vec<Map<String, Value>>, Combining)> {
    let Plan { combine, pass, rounds } = serde_json::from_slice(json)?;
    let count: u64 = rounds.iter().map(|step| u64::from(step.times)).sum();
    ensure!((1..=MOST_ROUNDS).contains(&count), "it has {count} rounds: want 1 to {MOST_ROUNDS}");
    let step = |step: Step| vec![step.params; step.times as usize];
    let rounds: Vec<_> = rounds.into_iter().flat_map(step).collect();
    let (runtime, command): (Arc<dyn Runtime>, _) = match runtime_of(program) {
        WASM => (Arc::new(Wasm::new(cache)?), "combine"),
        _ => (Arc::new(Process::new()?), "/code/main"),
    };
    Ok((rounds, Combining { runtime, program: Source::from(program), command, params: combine, pass }))
}

/// Begins jobs, runs rounds, and ends the jobs, however that went. Nothing is paid before each node says that it could do its job.
///
/// # Errors
///
/// If a job does not begin, nothing may leave, or what left cannot be combined.
pub async fn run_rounds(buyer: &Buyer, work: Work, told: &(dyn Fn(Told<'_>) + Sync)) -> Result<Worked> {
    let Work { on, code, rounds, combining, fuel, most } = work;
    let (algorithm, runtime) = (algorithm(&code), runtime_of(&code));
    let wanted = Wanted { algorithm, runtime, rounds: rounds.len() as u32, fuel, most };
    let (mut begun, mut sent, mut all, mut runtimes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let working = async {
        let (those, all_begun) = buyer.begin_all(&on, &wanted).await;
        begun = those;
        begun.iter().for_each(|begun| told(Told::Begun(begun)));
        all_begun?;
        // It takes as long as at the nodes, which do it in the first round: not after that.
        let mut preparing = combining.as_ref().map(Combining::prepare);
        runtimes = try_join_all(begun.iter().map(|begun| buyer.send(begun, &code))).await?;
        let (mut results, mut passed) = (Files::new(), None);
        for (number, mut params) in rounds.into_iter().enumerate() {
            if let Some(combining) = &combining {
                combining.pass_on(passed.take(), &mut params);
            }
            let bytes = serde_json::to_vec(&params)?;
            told(Told::Round(number + 1, &bytes));
            let each = begun.iter().enumerate().map(|(which, begun)| {
                let bytes = &bytes;
                async move {
                    let stands = move |round: &Round| told(Told::Stands(which, round));
                    let left = buyer.round(begun, number as u32, bytes, stands).await?;
                    // It is paid for, whatever becomes of the others.
                    told(Told::Left(which, &left));
                    Ok::<_, DataError>(left.files)
                }
            });
            let left: Vec<Files> = try_join_all(each).await?;
            sent.push(bytes);
            let came = match &combining {
                None => named(&on, &left),
                Some(combining) => {
                    if let Some(preparing) = preparing.take() {
                        preparing.await?;
                    }
                    let (mut files, result) = combining.combine(&left)?;
                    passed = Some(result);
                    let result = files[RESULT].clone();
                    files.insert(format!("rounds/{:03}.json", number + 1), result);
                    files
                }
            };
            all.push(left);
            told(Told::Came(&came));
            results.extend(came);
        }
        Ok::<_, eyre::Report>(results)
    };
    let mut outcome = working.await;
    told(Told::Ending);
    let (mut ended, mut open) = (Vec::new(), Vec::new());
    let ends = join_all(begun.iter().map(|begun| buyer.end(begun))).await;
    for (begun, end) in begun.into_iter().zip(ends) {
        match end {
            Ok(end) => ended.push((begun, end)),
            Err(error) => {
                open.push(begun.job);
                if outcome.is_ok() {
                    outcome = Err(error.into());
                } else {
                    // What went wrong before is what there is to know.
                    tracing::warn!(%error, "a job was not ended");
                }
            }
        }
    }
    let paid = |(begun, ended): &(Begun, Ended)| {
        let (paid, job) = (units(ended.paid, begun.token), begun.job);
        format!("; {paid} were paid for job {job} (stoa audit {job} --network-key KEY)")
    };
    let held = |job: &B256| {
        format!(
            "; job {job} has not ended: `stoa job cancel` asks its node again, and once its time is over `stoa job expire` takes back \
             what is held for it"
        )
    };
    let more: String = ended.iter().map(paid).chain(open.iter().map(held)).collect();
    let outcome =
        outcome.map_err(|error| if more.is_empty() { error } else { eyre!(with(&format!("{error:#}"), &more)) });
    Ok(Worked { files: outcome?, params: sent, left: all, ended, runtimes })
}

/// What left of each asset, in a folder of its own.
fn named(on: &[B256], left: &[Files]) -> Files {
    let each = on.iter().zip(left);
    each.flat_map(|(asset, left)| left.iter().map(move |(path, bytes)| (format!("{asset}/{path}"), bytes.clone())))
        .collect()
}

/// Says more of what went wrong, before what a program has printed, which begins in the second line.
fn with(why: &str, more: &str) -> String {
    let (why, printed) = why.split_at(why.find('\n').unwrap_or(why.len()));
    format!("{why}{more}{printed}")
}

impl Combining {
    /// Compiles the program meanwhile. Why that cannot be [`combine`](Self::combine) says.
    fn prepare(&self) -> JoinHandle<()> {
        let (runtime, job) = (self.runtime.clone(), Job::new(self.program.clone()));
        spawn_blocking(move || drop(runtime.prepare(&job)))
    }

    /// Gives the combined result of the round before to the next.
    pub fn pass_on(&self, result: Option<Value>, params: &mut Map<String, Value>) {
        params.extend(result.map(|result| (self.pass.clone(), result)));
    }

    /// Combines what left, on this machine: each owner's files are seen under `/data/<number>`. The files that come of it, and the
    /// result among them that is passed on. Blocks.
    ///
    /// # Errors
    ///
    /// If the program fails, or leaves no result.
    pub fn combine(&self, left: &[Files]) -> Result<(Files, Value)> {
        let folder = tempfile::tempdir().wrap_err("there is no folder for temporary files")?;
        let mut job = Job::new(self.program.clone());
        for (number, left) in left.iter().enumerate() {
            let (name, place) = (number.to_string(), folder.path().join(number.to_string()));
            lay_out(&place, left).wrap_err("what left cannot be laid out to be combined")?;
            job.inputs.push(Input { name, source: Source::Path(place) });
        }
        job.command = vec![self.command.into()];
        job.params = serde_json::to_vec(&self.params)?;
        let outcome = self.runtime.run(&job, &Control::new())?;
        let (how, log) = (how_ended(&outcome.ended), outcome.log.text());
        ensure!(outcome.succeeded(), "{}", format!("what combines failed ({how})\n{log}").trim_end());
        let files = outcome.output.files;
        let result = files.get(RESULT).wrap_err("what combines left no result.json")?;
        let result = serde_json::from_slice(result).wrap_err("what combines left a result.json that is not JSON")?;
        Ok((files, result))
    }
}

/// Writes files into a folder of this process's, for a program to read soon: nobody waits until they are on the disk.
fn lay_out(folder: &Path, files: &Files) -> io::Result<()> {
    for (path, bytes) in files {
        let path = folder.join(path);
        create_private(path.parent().unwrap_or(folder))?;
        fs::write(path, bytes)?;
    }
    Ok(())
}

/// Writes files into a folder, for nobody else on this machine to read.
///
/// # Errors
///
/// If the disk refuses.
pub fn write(folder: &Path, files: &Files) -> Result<()> {
    for (path, bytes) in files {
        let path = folder.join(path);
        write_private(&path, bytes).wrap_err_with(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::role_tests::copies, *};
    use std::os::unix::fs::PermissionsExt as _;

    const TWO: &str = r#"{"combine":{},"pass":"model","rounds":[{"params":{}},{"params":{}}]}"#;

    #[tokio::test]
    async fn what_combines_is_compiled_before_something_has_left_and_once_for_all_later_plans() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, program) = (folder.path().join("cache"), copies("0/deep/result.json"));
        let compiled = || {
            let entries = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
            entries.map(|entry| entry.modified().unwrap()).collect::<Vec<_>>()
        };
        let (_, combining) = plan(TWO.as_bytes(), &program, Some(cache.clone())).unwrap();
        assert_eq!(compiled().len(), 0);
        combining.prepare().await.unwrap();
        let first = compiled();
        assert_eq!(first.len(), 1);
        let left = [Files::from([("deep/result.json".to_owned(), br#"{"rows":3}"#.to_vec())])];
        let (_, later) = plan(TWO.as_bytes(), &program, Some(cache.clone())).unwrap();
        for combining in [combining, later] {
            let (files, result) = combining.combine(&left).unwrap();
            assert_eq!((&files[RESULT][..], result), (&br#"{"rows":3}"#[..], serde_json::json!({ "rows": 3 })));
        }
        assert_eq!(compiled(), first);
    }

    #[test]
    fn what_a_job_cost_is_told_before_what_its_program_printed() {
        assert_eq!(with("it failed", "; 1 STOA was paid"), "it failed; 1 STOA was paid");
        assert_eq!(
            with("it failed\nno column\nbye", "; 1 STOA was paid"),
            "it failed; 1 STOA was paid\nno column\nbye"
        );
    }

    #[test]
    fn what_left_is_written_for_nobody_else_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::from([("deep/result.json".to_owned(), b"[1]".to_vec())]);
        write(&folder.path().join("to"), &files).unwrap();
        for (path, mode) in [("to", 0o700), ("to/deep", 0o700), ("to/deep/result.json", 0o600)] {
            let found = folder.path().join(path).metadata().unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode, "{path}");
        }
    }

    #[test]
    fn a_plan_has_rounds_and_no_more_than_anybody_waits_for() {
        let rounds = |times: &str| {
            let json = r#"{"combine":{},"pass":"model","rounds":[{"params":{}},{"params":{},"times":TIMES}]}"#;
            let planned = plan(json.replace("TIMES", times).as_bytes(), b"\0asm", None);
            planned.map(|(rounds, _)| rounds.len()).map_err(|error| error.to_string())
        };
        assert_eq!((rounds("0"), rounds("11"), rounds("9999")), (Ok(1), Ok(12), Ok(10_000)));
        for many in ["10000", "4294967295"] {
            assert!(rounds(many).is_err_and(|why| why.contains("want 1 to 10000")), "{many}");
        }
        assert!(rounds("4294967296").is_err());
    }
}

//! What buyers do: have programs run on the data of one or several owners, and combine what leaves.

use super::{ENDS, Parameters, later::told, read};
use crate::{node::coins, store::progress, wallet::WalletOptions};
use alloy_primitives::{B256, U256, utils::format_ether};
use clap::Args;
use commonware_cryptography::Signer as _;
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure, eyre};
use futures::future::try_join_all;
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use stoa_base::NodeId;
use stoa_client::Wallet;
pub(crate) use stoa_data::jobs::Files;
use stoa_data::{
    jobs::{
        self, MILLION,
        abi::WASM,
        client::{Begun, Buyer, Ended},
        wire::Round,
    },
    reading::identity,
    registry::Registry,
};
use stoa_net::{Endpoint, PeerAddress};
use stoa_sandbox::{Control, Input, Job, Process, Runtime, Source, Wasm};

/// Where is what a result was derived from: which jobs on which assets.
pub(crate) const PROVENANCE: &str = "provenance.json";

/// The file of a combined result that a plan passes on.
pub(crate) const RESULT: &str = "result.json";

/// Where the parameters of the rounds are, as nodes got them: whoever runs a job again needs them.
pub(crate) const PARAMS: &str = "params";

/// Where is what left of each asset in each round: its hash is in the asset's receipt.
pub(crate) const LEFT: &str = "left";

/// Options of `stoa job run`.
#[derive(Args)]
pub(crate) struct RunOptions {
    /// The program: a WebAssembly module of WASI preview 1 or component of preview 2; or, where an owner lets processes run, a file that can be executed, such as
    /// a script that begins with `#!/usr/bin/env python3`, or a Python zip application.
    #[arg(long, value_name = "FILE")]
    algorithm: PathBuf,
    /// What to run it on: assets, separated by commas.
    #[arg(long, value_name = "ASSET", value_delimiter = ',', required = true)]
    on: Vec<B256>,
    /// Several rounds, and how what leaves is combined.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// The program that combines, if it is another one.
    #[arg(long, value_name = "FILE", requires = "plan")]
    combine: Option<PathBuf>,
    #[command(flatten)]
    parameters: Parameters,
    /// Millions of steps on each asset at most, all rounds together.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    steps: u64,
    /// Coins that each job may cost at most.
    #[arg(long, value_name = "STOA", default_value = "1", value_parser = coins)]
    most: U256,
    /// Folder for what comes of it; must not be there yet.
    #[arg(long, value_name = "DIR", required_unless_present = "detach")]
    to: Option<PathBuf>,
    /// Begin the jobs and wait for nothing: `stoa job status` tells how they stand, `stoa job result` fetches what left.
    #[arg(long, conflicts_with_all = ["plan", "to"])]
    detach: bool,
}

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
pub(crate) struct Combining {
    program: Vec<u8>,
    params: Map<String, Value>,
    pass: String,
}

/// What is to be done on whose data, for how much.
pub(crate) struct Work {
    pub(crate) on: Vec<B256>,
    pub(crate) code: Vec<u8>,
    /// The parameters of each round, but for what is passed on.
    pub(crate) rounds: Vec<Map<String, Value>>,
    pub(crate) combining: Option<Combining>,
    /// Steps on each asset at most.
    pub(crate) fuel: u64,
    /// What each job may cost at most.
    pub(crate) most: U256,
}

/// What came of it.
pub(crate) struct Worked {
    pub(crate) files: Files,
    /// The parameters of each round, as nodes got them.
    pub(crate) params: Vec<Vec<u8>>,
    /// What left in each round, of each asset.
    pub(crate) left: Vec<Vec<Files>>,
    pub(crate) ended: Vec<(Begun, Ended)>,
    /// What each node runs it with.
    pub(crate) runtimes: Vec<String>,
}

impl Plan {
    /// The rounds, and how they are combined by this program.
    fn split(self, program: Vec<u8>) -> (Vec<Map<String, Value>>, Combining) {
        let step = |step: &Step| vec![step.params.clone(); step.times as usize];
        let rounds = self.rounds.iter().flat_map(step).collect();
        (rounds, Combining { program, params: self.combine, pass: self.pass })
    }
}

/// The rounds of a plan, and how what leaves is combined.
pub(crate) fn plan(json: &[u8], program: Vec<u8>) -> Result<(Vec<Map<String, Value>>, Combining)> {
    let (rounds, combining) = serde_json::from_slice::<Plan>(json)?.split(program);
    ensure!(!rounds.is_empty(), "it has no rounds");
    Ok((rounds, combining))
}

/// Somebody who has others compute, and the endpoint by which nodes know him.
pub(crate) async fn buyer(account: &Wallet) -> Result<(Buyer, Endpoint)> {
    let registry = Registry::new(Arc::new(account.client().clone()));
    let nodes = registry.nodes().await.wrap_err("the registry of nodes cannot be read")?;
    let addresses = nodes.iter().filter_map(|node| PeerAddress::new(node.key.into(), &node.host).ok());
    let addresses: Vec<_> = addresses.collect();
    ensure!(!addresses.is_empty(), "no node is registered (`stoa node join` registers one)");
    let key = identity(account.signer());
    let endpoint = Endpoint::bind(&key, PeerAddress::toward(&addresses)).await?;
    let client = NodeId::from(&key.public_key());
    Ok((Buyer::new(account.clone(), registry, &endpoint, client), endpoint))
}

pub(super) async fn run_on(options: RunOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    if let Some(to) = options.to.as_ref().filter(|to| to.symlink_metadata().is_ok()) {
        bail!("{} is there already", to.display());
    }
    let code = read(&options.algorithm)?;
    let algorithm = jobs::algorithm(&code);
    let given = options.parameters.read()?;
    let (mut rounds, mut combining) = (vec![given.clone()], None);
    if let Some(file) = &options.plan {
        let program = options.combine.as_deref().map_or_else(|| Ok(code.clone()), read)?;
        let planned = plan(&read(file)?, program).wrap_err_with(|| format!("{} is no plan", file.display()))?;
        (rounds, combining) = (planned.0, Some(planned.1));
        rounds.iter_mut().for_each(|params| params.extend(given.clone()));
    }
    let (fuel, most) = (options.steps * MILLION, options.most);
    let (count, work) = (rounds.len(), Work { on: options.on, code, rounds, combining, fuel, most });
    let (buyer, endpoint) = buyer(&wallet.open().await?).await?;
    let bar = progress("beginning jobs");
    let Some(to) = options.to else {
        let begun = detach(&buyer, work).await;
        bar.finish_and_clear();
        endpoint.close().await;
        return tell(&begun?, json);
    };
    let done = run_rounds(&buyer, work, &bar).await;
    bar.finish_and_clear();
    endpoint.close().await;
    let Worked { mut files, params, left, ended, runtimes } = done?;
    files.extend((1..).zip(params).map(|(number, params)| (format!("{PARAMS}/{number:03}.json"), params)));
    for (number, left) in (1..).zip(left) {
        for (left, (begun, _)) in left.into_iter().zip(&ended) {
            let folder = format!("{LEFT}/{}/{number:03}", begun.asset);
            files.extend(left.into_iter().map(|(path, bytes)| (format!("{folder}/{path}"), bytes)));
        }
    }
    let receipts: Vec<_> =
        ended.iter().zip(&runtimes).map(|((begun, ended), name)| receipt(begun, ended, name)).collect();
    let provenance = json!({ "algorithm": algorithm, "jobs": receipts });
    files.insert(PROVENANCE.to_owned(), serde_json::to_vec_pretty(&provenance)?);
    write(&to, &files)?;
    if json {
        println!("{}", json!({ "to": to, "rounds": count, "jobs": receipts }));
        return Ok(());
    }
    println!("{}", to.display());
    for (begun, ended) in &ended {
        let (paid, back) = (format_ether(ended.paid), format_ether(ended.refunded));
        println!("job {} on {}: {paid} paid, {back} back", begun.job, begun.asset);
    }
    Ok(())
}

/// Begins jobs of one round, which go on without anybody waiting for them.
async fn detach(buyer: &Buyer, work: Work) -> Result<Vec<Begun>> {
    let Work { on, code, rounds, fuel, most, .. } = work;
    let params = serde_json::to_vec(rounds.first().wrap_err("it has no rounds")?)?;
    let mut all = Vec::new();
    for asset in on {
        let begun = buyer.begin(asset, jobs::algorithm(&code), jobs::runtime_of(&code), fuel, most).await?;
        let going = async {
            buyer.send(&begun, &code).await?;
            buyer.begin_round(&begun, 0, &params).await
        };
        going.await.wrap_err_with(|| format!("job {} has begun and does not go on (`stoa job cancel`)", begun.job))?;
        all.push(begun);
    }
    Ok(all)
}

fn tell(begun: &[Begun], json: bool) -> Result<()> {
    if json {
        let jobs: Vec<_> = begun.iter().map(|begun| json!({ "job": begun.job, "asset": begun.asset })).collect();
        println!("{}", json!({ "jobs": jobs }));
        return Ok(());
    }
    begun.iter().for_each(|begun| println!("{}", begun.job));
    Ok(())
}

/// What each of several jobs is at.
struct Standing<'a> {
    bar: &'a ProgressBar,
    head: String,
    all: Mutex<Vec<Round>>,
}

impl<'a> Standing<'a> {
    fn new(bar: &'a ProgressBar, head: String, count: usize) -> Self {
        bar.set_message(head.clone());
        Self { bar, head, all: Mutex::new(vec![Round::Running(0); count]) }
    }

    fn hear(&self, which: usize, round: &Round) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all[which] = round.clone();
        let said: Vec<_> = all.iter().map(told).collect();
        self.bar.set_message(format!("{}: {}", self.head, said.join(", ")));
    }
}

/// Begins jobs, runs rounds, and ends the jobs, however that went.
pub(crate) async fn run_rounds(buyer: &Buyer, work: Work, bar: &ProgressBar) -> Result<Worked> {
    let Work { on, code, rounds, combining, fuel, most } = work;
    let (algorithm, count) = (jobs::algorithm(&code), rounds.len());
    let (mut begun, mut sent, mut all, mut runtimes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let working = async {
        // One after the other, for they are transactions of one account.
        for asset in &on {
            begun.push(buyer.begin(*asset, algorithm, jobs::runtime_of(&code), fuel, most).await?);
        }
        runtimes = try_join_all(begun.iter().map(|begun| buyer.send(begun, &code))).await?;
        let (mut results, mut passed) = (Files::new(), None);
        for (number, mut params) in rounds.into_iter().enumerate() {
            let standing = Standing::new(bar, format!("round {} of {count}", number + 1), on.len());
            if let Some(combining) = &combining {
                combining.pass_on(passed.take(), &mut params);
            }
            let bytes = serde_json::to_vec(&params)?;
            let (standing, bytes) = (&standing, &bytes);
            let one =
                |(which, begun)| buyer.round(begun, number as u32, bytes, move |round| standing.hear(which, round));
            let left = try_join_all(begun.iter().enumerate().map(one)).await?;
            sent.push(bytes.clone());
            left.iter().filter_map(|left| left.log.as_ref()).for_each(|log| bar.println(log));
            let left: Vec<Files> = left.into_iter().map(|left| left.files).collect();
            all.push(left.clone());
            let Some(combining) = &combining else {
                let named = left.into_iter().zip(&on);
                results.extend(named.flat_map(|(left, asset)| {
                    left.into_iter().map(move |(path, bytes)| (format!("{asset}/{path}"), bytes))
                }));
                continue;
            };
            let (files, result) = combining.combine(&left)?;
            results.insert(format!("rounds/{:03}.json", number + 1), files[RESULT].clone());
            results.extend(files);
            passed = Some(result);
        }
        Ok::<_, eyre::Report>(results)
    };
    let mut outcome = working.await;
    bar.set_message("bringing receipts to the ledger");
    let mut ended = Vec::new();
    for begun in begun {
        match buyer.end(&begun).await {
            Ok(end) => ended.push((begun, end)),
            // What went wrong before is what there is to know.
            Err(error) if outcome.is_ok() => outcome = Err(error.into()),
            Err(error) => tracing::warn!(%error, "a job was not ended"),
        }
    }
    Ok(Worked { files: outcome?, params: sent, left: all, ended, runtimes })
}

impl Combining {
    /// Gives the combined result of the round before to the next.
    pub(crate) fn pass_on(&self, result: Option<Value>, params: &mut Map<String, Value>) {
        params.extend(result.map(|result| (self.pass.clone(), result)));
    }

    /// Combines what left, on this machine: each owner's files are seen under `/data/<number>`. The files that come of it, and the
    /// result among them that is passed on.
    pub(crate) fn combine(&self, left: &[Files]) -> Result<(Files, Value)> {
        let folder = tempfile::tempdir().wrap_err("there is no folder for temporary files")?;
        let mut job = Job::new(&self.program[..]);
        for (number, left) in left.iter().enumerate() {
            let (name, place) = (number.to_string(), folder.path().join(number.to_string()));
            write(&place, left)?;
            job.inputs.push(Input { name, source: Source::Path(place) });
        }
        let (runtime, command): (Box<dyn Runtime>, _) = match jobs::runtime_of(&self.program) {
            WASM => (Box::new(Wasm::new(None)?), "combine"),
            _ => (Box::new(Process::new()?), "/code/main"),
        };
        job.command = vec![command.into()];
        job.params = serde_json::to_vec(&self.params)?;
        let outcome = runtime.run(&job, &Control::new())?;
        ensure!(outcome.succeeded(), "what combines failed ({:?}): {}", outcome.ended, outcome.log.text());
        let files = outcome.output.files;
        let result = files.get(RESULT).wrap_err("what combines left no result.json")?;
        let result = serde_json::from_slice(result).wrap_err("what combines left a result.json that is not JSON")?;
        Ok((files, result))
    }
}

pub(super) fn write(folder: &Path, files: &Files) -> Result<()> {
    for (path, bytes) in files {
        let path = folder.join(path);
        let parent = path.parent().ok_or_else(|| eyre!("{} is no file", path.display()))?;
        fs::create_dir_all(parent).wrap_err_with(|| format!("cannot write to {}", parent.display()))?;
        fs::write(&path, bytes).wrap_err_with(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

pub(super) fn receipt(begun: &Begun, ended: &Ended, runtime: &str) -> Value {
    let receipt = &ended.receipt;
    json!({
        "job": begun.job, "asset": begun.asset, "ended": ENDS.get(usize::from(receipt.ended)), "rounds": receipt.rounds,
        "steps": receipt.fuel, "paid": ended.paid, "refunded": ended.refunded, "output": receipt.output,
        "runtime": receipt.runtime, "runtimeName": runtime, "data": receipt.data, "params": receipt.params,
    })
}

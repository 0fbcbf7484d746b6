//! What buyers do: have programs run on the data of one or several owners, and combine what leaves.

use super::{ENDS, Parameters, later::told, read};
use crate::{algo::caching, network::interrupted, node::coins, output, progress::progress, wallet::WalletOptions};
use alloy_primitives::{B256, U256};
use clap::Args;
use commonware_cryptography::Signer as _;
use eyre::{Report, Result, WrapErr as _, ensure, eyre};
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use stoa_base::{NodeId, write_private};
use stoa_client::Wallet;
use stoa_data::{
    client::DataError,
    jobs::{
        self, Files, MILLION,
        client::{Begun, Buyer, Ended, Wanted},
        rounds::{Told, Work, Worked, plan, run_rounds, write},
        units,
        wire::{MOST_CODE, MOST_PARAMS, Round},
    },
    reading::identity,
    registry::Registry,
};
use stoa_net::{Endpoint, PeerAddress};

/// Where is what a result was derived from: which jobs on which assets.
pub(crate) const PROVENANCE: &str = "provenance.json";

/// Where the parameters of the rounds are, as nodes got them: whoever runs a job again needs them.
pub(crate) const PARAMS: &str = "params";

/// Where is what left of each asset in each round: its hash is in the asset's receipt.
pub(crate) const LEFT: &str = "left";

/// Millions of steps that a job asks for if nothing is said.
pub(crate) const STEPS: u64 = 10_000;

/// Options of `stoa job run`.
#[derive(Args)]
pub(crate) struct RunOptions {
    /// The program: a WebAssembly module of WASI preview 1 or component of preview 2; or, where an owner lets processes run, a file that can be executed, such as
    /// a script that begins with `#!/usr/bin/env python3`, or a Python zip application.
    #[arg(long, value_name = "FILE")]
    algorithm: PathBuf,
    /// What to run it on: ids of assets, as their owners or `stoa data show` tell them, separated by commas.
    #[arg(long, value_name = "ASSET", value_parser = crate::typed::id, value_delimiter = ',', required = true)]
    on: Vec<B256>,
    /// A file that says which rounds there are, and how what leaves is combined (above).
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// The program that combines, on this machine, if it is another one.
    #[arg(long, value_name = "FILE", requires = "plan")]
    combine: Option<PathBuf>,
    #[command(flatten)]
    parameters: Parameters,
    /// Millions of steps on each asset at most, all rounds together: a step is an instruction of WebAssembly, about a
    /// nanosecond, or a nanosecond of a processor for other programs.
    #[arg(long, value_name = "N", default_value_t = STEPS, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    steps: u64,
    /// Coins that each job may cost at most; there is one for each asset.
    #[arg(long, value_name = "STOA", default_value = "1", value_parser = coins)]
    most: U256,
    /// Folder for what comes of it; must not be there yet.
    #[arg(long, value_name = "DIR", required_unless_present = "detach")]
    to: Option<PathBuf>,
    /// Begin the jobs and wait for nothing: `stoa job status` tells how they stand, `stoa job result` fetches what left.
    #[arg(long, conflicts_with_all = ["plan", "to"])]
    detach: bool,
    /// Folder of what this machine knows of the jobs that it began: their parameters, which `stoa job result` puts beside
    /// what left, so that an audit can compare them.
    #[arg(long, value_name = "DIR", default_value = ".stoa")]
    dir: PathBuf,
}

/// Where the parameters of a job of one round are that was begun from here.
pub(super) fn noted(dir: &Path, job: B256) -> PathBuf {
    dir.join("jobs").join(format!("{job}.params"))
}

/// Notes them. Without the note the job goes on all the same.
fn note(dir: &Path, job: B256, params: &[u8]) {
    let file = noted(dir, job);
    if let Err(error) = write_private(&file, params) {
        tracing::warn!(file = %file.display(), %error, "the parameters are not noted");
    }
}

/// The parameters of each round as they are sent, so far as they are known before it.
fn written(rounds: &[Map<String, Value>]) -> Result<Vec<Vec<u8>>> {
    let all = rounds.iter().map(serde_json::to_vec).collect::<Result<Vec<_>, _>>()?;
    let longest = all.iter().map(Vec::len).max().unwrap_or_default();
    ensure!(
        longest <= MOST_PARAMS,
        "the parameters of a round have {}, and nodes take {} at most",
        output::bytes(longest as u64),
        output::bytes(MOST_PARAMS as u64)
    );
    Ok(all)
}

/// What left in a round, of an asset, as others who check it look for it.
pub(super) fn left_of(asset: B256, round: usize, left: Files) -> impl Iterator<Item = (String, Vec<u8>)> {
    left.into_iter().map(move |(path, bytes)| (format!("{LEFT}/{asset}/{round:03}/{path}"), bytes))
}

/// The parameters of a round, as others who check it look for them.
pub(super) fn params_of(round: usize) -> String {
    format!("{PARAMS}/{round:03}.json")
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
    if let Some(to) = &options.to {
        ensure!(to.symlink_metadata().is_err(), "{} is there already", to.display());
        writable(to)?;
    }
    for (at, asset) in options.on.iter().enumerate() {
        ensure!(!options.on[..at].contains(asset), "asset {asset} is named twice: one job runs on it");
    }
    let code = read(&options.algorithm)?;
    ensure!(
        code.len() <= MOST_CODE,
        "{} has {}, and nodes take programs of {} at most",
        options.algorithm.display(),
        output::bytes(code.len() as u64),
        output::bytes(MOST_CODE as u64)
    );
    let algorithm = jobs::algorithm(&code);
    let given = options.parameters.read()?;
    let (mut rounds, mut combining) = (vec![given.clone()], None);
    if let Some(file) = &options.plan {
        let program = options.combine.as_deref().map_or_else(|| Ok(code.clone()), read)?;
        let steps = read(file)?;
        let planned = caching(|cache| plan(&steps, &program, cache));
        let planned = planned.wrap_err_with(|| format!("{} is no plan", file.display()))?;
        (rounds, combining) = (planned.0, Some(planned.1));
        rounds.iter_mut().for_each(|params| params.extend(given.clone()));
    }
    let params = written(&rounds)?;
    let (fuel, most) = (options.steps * MILLION, options.most);
    let (jobs, count) = (options.on.len(), rounds.len());
    let work = Work { on: options.on, code, rounds, combining, fuel, most };
    let (buyer, endpoint) = buyer(&wallet.open().await?).await?;
    let bar = progress("beginning jobs");
    let Some(to) = options.to else {
        let begun = detach(&buyer, work, &params[0], &options.dir).await;
        bar.finish_and_clear();
        endpoint.close().await;
        return tell(&begun?, json);
    };
    let standing = Standing::new(&bar, jobs, count);
    let begun = Mutex::new(Vec::new());
    let told = |told: Told<'_>| match told {
        Told::Begun(job) => {
            // Of several rounds `stoa job result` could fetch the newest alone.
            if let [params] = &params[..] {
                note(&options.dir, job.job, params);
            }
            begun.lock().unwrap_or_else(PoisonError::into_inner).push((job.job, job.asset));
        }
        Told::Round(number) => standing.begin(number),
        Told::Stands(which, round) => standing.hear(which, round),
        // As the bar would write it, which writes nothing where there is no terminal.
        Told::Log(log) => bar.suspend(|| eprintln!("{}", log.trim_end())),
        Told::Ending => bar.set_message("bringing receipts to the ledger"),
    };
    let done = tokio::select! {
        done = run_rounds(&buyer, work, &told) => done,
        stopped = interrupted() => {
            stopped.and_then(|()| Err(broken_off(&begun.lock().unwrap_or_else(PoisonError::into_inner))))
        }
    };
    bar.finish_and_clear();
    endpoint.close().await;
    let Worked { mut files, params, left, ended, runtimes } = done?;
    files.extend((1..).zip(params).map(|(number, params)| (params_of(number), params)));
    for (number, left) in (1..).zip(left) {
        for (left, (begun, _)) in left.into_iter().zip(&ended) {
            files.extend(left_of(begun.asset, number, left));
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
        let (paid, back) = (units(ended.paid, begun.token), units(ended.refunded, begun.token));
        println!("job {} on {}: {paid} paid, {back} back", begun.job, begun.asset);
    }
    Ok(())
}

/// Whether a folder can be made there: nobody pays for what goes nowhere.
fn writable(to: &Path) -> Result<()> {
    let here = |folder: &Path| folder.as_os_str().is_empty();
    let there = to.ancestors().skip(1).find(|&folder| here(folder) || folder.exists());
    let there = there.filter(|&folder| !here(folder)).unwrap_or(Path::new("."));
    let tried = tempfile::NamedTempFile::new_in(there).map(drop);
    tried.wrap_err_with(|| format!("{} cannot be written; no job was begun", to.display()))
}

/// Jobs that have begun, each in a line.
fn listed(begun: impl IntoIterator<Item = (B256, B256)>) -> String {
    begun.into_iter().map(|(job, asset)| format!("\n  job {job} on {asset}")).collect()
}

/// Tells whoever does not wait any more what goes on without him.
fn broken_off(begun: &[(B256, B256)]) -> Report {
    match begun.is_empty() {
        true => eyre!(
            "it was broken off, and a job may have begun all the same: `stoa job list --on ASSET` shows it, `stoa job \
             cancel JOB` ends it"
        ),
        false => eyre!(
            "it was broken off, and what has begun costs what it uses: `stoa job cancel JOB` ends it, `stoa job status JOB` tells how \
             it stands, `stoa job result JOB --to DIR` fetches what left{}",
            listed(begun.iter().copied())
        ),
    }
}

/// Begins jobs of one round, which go on without anybody waiting for them.
async fn detach(buyer: &Buyer, work: Work, params: &[u8], dir: &Path) -> Result<Vec<Begun>> {
    let Work { on, code, fuel, most, .. } = work;
    let wanted = Wanted { algorithm: jobs::algorithm(&code), runtime: jobs::runtime_of(&code), rounds: 1, fuel, most };
    let (all, all_begun) = buyer.begin_all(&on, &wanted).await;
    all.iter().for_each(|begun| note(dir, begun.job, params));
    let going = async {
        all_begun?;
        for begun in &all {
            buyer.send(begun, &code).await?;
            buyer.begin_round(begun, 0, params).await?;
        }
        Ok::<_, DataError>(())
    };
    let went = going.await;
    match went {
        Ok(()) => Ok(all),
        Err(error) if all.is_empty() => Err(error.into()),
        Err(error) => {
            let begun = listed(all.iter().map(|begun| (begun.job, begun.asset)));
            Err(eyre!("{error}. What has begun costs what it uses: `stoa job cancel JOB` ends it{begun}"))
        }
    }
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
    rounds: usize,
    /// The number of the round, and how it stands at each node.
    all: Mutex<(usize, Vec<Round>)>,
}

impl<'a> Standing<'a> {
    fn new(bar: &'a ProgressBar, jobs: usize, rounds: usize) -> Self {
        Self { bar, rounds, all: Mutex::new((0, vec![Round::Running(0); jobs])) }
    }

    fn begin(&self, number: usize) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.0 = number;
        all.1.fill(Round::Running(0));
        self.bar.set_message(format!("round {number} of {}", self.rounds));
    }

    fn hear(&self, which: usize, round: &Round) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.1[which] = round.clone();
        let said: Vec<_> = all.1.iter().map(told).collect();
        self.bar.set_message(format!("round {} of {}: {}", all.0, self.rounds, said.join(", ")));
    }
}

/// A receipt; what its node ran the program with, if that is known.
pub(super) fn receipt(begun: &Begun, ended: &Ended, runtime: &str) -> Value {
    let receipt = &ended.receipt;
    let mut said = json!({
        "job": begun.job, "asset": begun.asset, "ended": ENDS.get(usize::from(receipt.ended)), "rounds": receipt.rounds,
        "steps": receipt.fuel, "paid": ended.paid, "refunded": ended.refunded, "output": receipt.output,
        "runtime": receipt.runtime, "data": receipt.data, "params": receipt.params,
    });
    if !runtime.is_empty() {
        said["runtimeName"] = runtime.into();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn where_a_result_goes_is_known_before_anybody_is_paid() {
        let folder = tempfile::tempdir().unwrap();
        for to in [Path::new("result"), &folder.path().join("result"), &folder.path().join("not/yet/there")] {
            writable(to).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was left there");
        fs::write(folder.path().join("file"), "").unwrap();
        for to in [Path::new("/proc/result"), &folder.path().join("file/result")] {
            assert!(writable(to).unwrap_err().to_string().contains("no job was begun"), "{}", to.display());
        }
    }

    #[test]
    fn parameters_that_no_node_takes_are_known_before_anybody_is_paid() {
        let round = |bytes: usize| Map::from_iter([("rows".to_owned(), Value::from("x".repeat(bytes)))]);
        let all = written(&[round(1), Map::new()]).unwrap();
        assert_eq!(all, [br#"{"rows":"x"}"#.to_vec(), b"{}".to_vec()]);
        let why = written(&[round(1), round(MOST_PARAMS)]).unwrap_err().to_string();
        assert!(why.contains("nodes take 4.0 MiB at most"), "{why}");
    }

    #[test]
    fn whoever_breaks_off_hears_what_goes_on_without_him() {
        let (job, asset) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let said = broken_off(&[(job, asset)]).to_string();
        assert!(said.contains(&format!("job {job} on {asset}")) && said.contains("`stoa job cancel JOB`"), "{said}");
        assert!(broken_off(&[]).to_string().contains("a job may have begun"));
    }
}

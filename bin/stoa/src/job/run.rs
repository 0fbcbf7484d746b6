//! What buyers do: have programs run on the data of one or several owners, and combine what leaves.

use super::{ENDS, Parameters, later::told, read};
use crate::{
    algo::{caching, check_program},
    network::interrupted,
    node::coins,
    output,
    progress::progress,
    wallet::WalletOptions,
};
use alloy_primitives::{B256, U256};
use clap::Args;
use commonware_cryptography::Signer as _;
use eyre::{Report, Result, WrapErr as _, ensure, eyre};
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use stoa_base::{NodeId, write_private};
use stoa_client::Wallet;
use stoa_data::{
    client::DataError,
    jobs::{
        self, Files, MILLION,
        client::{Begun, Buyer, Ended, Left, Wanted, draw_soon},
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

/// Where is what the programs printed of each asset in each round, so far as owners let that leave.
const LOGS: &str = "logs";

/// Millions of steps that a job asks for if nothing is said.
pub(crate) const STEPS: u64 = 10_000;

/// Why nobody is drawn yet who checks a job.
pub(super) const UNDRAWN: &str = "nobody is drawn yet who checks the receipt (`stoa job status` tries again)";

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
    /// Coins that each job may cost at most; there is one for each asset. 1 pays for 10,000 million steps at a price of 0.0001.
    #[arg(long, value_name = "STOA", default_value = "1", value_parser = coins)]
    most: U256,
    /// Folder for what comes of it, which is put there round by round; must not be there yet.
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

/// Where the parameters of a round, counted from 1, are of a job that was begun from here.
pub(super) fn noted(dir: &Path, job: B256, round: usize) -> PathBuf {
    let name = if round == 1 { format!("{job}.params") } else { format!("{job}.{round:03}.params") };
    dir.join("jobs").join(name)
}

/// Notes them. Without the note the job goes on all the same.
fn note(dir: &Path, job: B256, round: usize, params: &[u8]) {
    let file = noted(dir, job, round);
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

/// What a program printed in a round, of an asset, if that left.
pub(super) fn log_of(asset: B256, round: usize) -> String {
    format!("{LOGS}/{asset}/{round:03}.txt")
}

/// What a result was derived from, before its jobs have ended.
pub(super) fn begun_by(algorithm: B256, begun: &[(B256, B256)]) -> Value {
    let jobs: Vec<_> = begun.iter().map(|(job, asset)| json!({ "job": job, "asset": asset })).collect();
    json!({ "algorithm": algorithm, "jobs": jobs })
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

/// Has those drawn who check jobs whose receipts have just come. It is no failure of theirs if that cannot be done now.
pub(super) async fn drawn(account: &Wallet, jobs: impl IntoIterator<Item = B256>) {
    if let Err(error) = draw_soon(account, jobs).await {
        tracing::warn!("{UNDRAWN}: {error}");
    }
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
    check_program(&options.algorithm, &code)?;
    ensure!(
        code.len() <= MOST_CODE,
        "{} has {}, and nodes take programs of {} at most",
        options.algorithm.display(),
        output::bytes(code.len() as u64),
        output::bytes(MOST_CODE as u64)
    );
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
    let count = rounds.len();
    let work = Work { on: options.on, code, rounds, combining, fuel, most };
    let account = wallet.open().await?;
    let (buyer, endpoint) = buyer(&account).await?;
    let bar = progress("beginning jobs");
    let Some(to) = options.to else {
        let begun = detach(&buyer, work, &params[0], &options.dir).await;
        bar.finish_and_clear();
        endpoint.close().await;
        return tell(&begun?, json);
    };
    let done = watched(&buyer, work, &to, &options.dir, &bar).await;
    if let Ok((ended, _)) = &done {
        drawn(&account, ended.iter().map(|(begun, _)| begun.job)).await;
    }
    bar.finish_and_clear();
    endpoint.close().await;
    let (ended, receipts) = done?;
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

/// Has the work done, tells how it stands, and writes into a folder what comes of it, as it comes. The jobs, and what is told of them.
async fn watched(
    buyer: &Buyer,
    work: Work,
    to: &Path,
    dir: &Path,
    bar: &ProgressBar,
) -> Result<(Vec<(Begun, Ended)>, Vec<Value>)> {
    let (on, standing) = (work.on.clone(), Standing::new(bar, work.on.len(), work.rounds.len()));
    let saved = Saved::new(to, jobs::algorithm(&work.code));
    let told = |told: Told<'_>| match told {
        Told::Begun(begun) => saved.begun(begun.job, begun.asset),
        Told::Round(number, params) => {
            saved.round(number, params).iter().for_each(|(job, _)| note(dir, *job, number, params));
            standing.begin(number);
        }
        Told::Stands(which, round) => standing.hear(which, round),
        Told::Left(which, left) => {
            saved.left(on[which], left);
            let whose = if on.len() > 1 { format!("asset {}:\n", on[which]) } else { String::new() };
            // As the bar would write it, which writes nothing where there is no terminal.
            left.log.iter().for_each(|log| bar.suspend(|| eprintln!("{whose}{}", log.trim_end())));
        }
        Told::Came(files) => saved.came(files),
        Told::Ending => bar.set_message("bringing receipts to the ledger"),
    };
    let done = tokio::select! {
        done = run_rounds(buyer, work, &told) => done,
        stopped = interrupted() => stopped.and_then(|()| Err(broken_off(&saved.all_begun()))),
    };
    let Worked { ended, runtimes, .. } = done.map_err(|error| saved.told(error))?;
    let receipts: Vec<_> =
        ended.iter().zip(&runtimes).map(|((begun, ended), name)| receipt(begun, ended, name)).collect();
    saved.done(&receipts)?;
    Ok((ended, receipts))
}

/// A folder into which goes what comes of rounds while others are still to come: a later one may fail, and this is paid for. It is made
/// when something has left.
struct Saved<'a> {
    to: &'a Path,
    algorithm: B256,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The jobs, and their assets.
    begun: Vec<(B256, B256)>,
    /// The round that runs, counted from 1.
    round: usize,
    /// What is to be written.
    files: Files,
    /// Whether something has left.
    any: bool,
}

impl<'a> Saved<'a> {
    fn new(to: &'a Path, algorithm: B256) -> Self {
        Self { to, algorithm, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begun(&self, job: B256, asset: B256) {
        self.state().begun.push((job, asset));
    }

    fn all_begun(&self) -> Vec<(B256, B256)> {
        self.state().begun.clone()
    }

    /// A round begins. The jobs.
    fn round(&self, number: usize, params: &[u8]) -> Vec<(B256, B256)> {
        let mut state = self.state();
        state.round = number;
        state.files.insert(params_of(number), params.to_vec());
        self.write_soon(&mut state);
        state.begun.clone()
    }

    /// Something has left of an asset.
    fn left(&self, asset: B256, left: &Left) {
        let mut state = self.state();
        let round = state.round;
        if !state.any {
            let provenance = begun_by(self.algorithm, &state.begun);
            state.files.insert(PROVENANCE.to_owned(), provenance.to_string().into_bytes());
        }
        state.any = true;
        state.files.extend(left_of(asset, round, left.files.clone()));
        state.files.extend(left.log.as_ref().map(|log| (log_of(asset, round), log.clone().into_bytes())));
        self.write_soon(&mut state);
    }

    /// This came of the round.
    fn came(&self, files: &Files) {
        let mut state = self.state();
        state.files.extend(files.clone());
        self.write_soon(&mut state);
    }

    /// What cannot be written now is tried again with the next.
    fn write_soon(&self, state: &mut State) {
        if !state.any {
            return;
        }
        match write(self.to, &state.files) {
            Ok(()) => state.files.clear(),
            Err(error) => tracing::warn!("what has left is not written yet: {error:#}"),
        }
    }

    /// All jobs have ended, with these receipts.
    fn done(&self, receipts: &[Value]) -> Result<()> {
        let mut state = self.state();
        let provenance = json!({ "algorithm": self.algorithm, "jobs": receipts });
        state.files.insert(PROVENANCE.to_owned(), serde_json::to_vec_pretty(&provenance)?);
        write(self.to, &state.files)
    }

    /// Why it was not done, and where is what was paid for.
    fn told(&self, error: Report) -> Report {
        let mut state = self.state();
        self.write_soon(&mut state);
        if !state.any {
            return error;
        }
        let to = self.to.display();
        let there = match state.files.is_empty() {
            true => format!("what left before, and what came of it, is in {to}, with the parameters"),
            false => format!("not all of what left before could be written into {to}"),
        };
        eyre!(
            "{error:#}\n{there}; `stoa job result JOB --to DIR` fetches what left in the newest round of a job{}",
            listed(state.begun.iter().copied())
        )
    }
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
    all.iter().for_each(|begun| note(dir, begun.job, 1, params));
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
    use clap::Parser;
    use std::fs;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        options: RunOptions,
    }

    #[test]
    fn whoever_says_nothing_of_steps_and_coins_can_pay_the_prices_of_the_examples() {
        let (asset, job) = (B256::ZERO.to_string(), crate::job::Options::augment_args(clap::Command::new("job")));
        let usual = ["job run", "--algorithm", "mean.wasm", "--on", &asset, "--to", "result"];
        let usual = Typed::try_parse_from(usual).unwrap().options;
        let all = [&job].into_iter().chain(job.get_subcommands());
        let all = all.filter_map(|command| command.get_after_help().map(ToString::to_string));
        let all = all.chain([include_str!("../../../../docs/jobs.md").to_owned()]).collect::<Vec<_>>().join("\n");
        let prices = all.split("--price ").skip(1).filter_map(|after| after.split_whitespace().next());
        let prices = prices.map(|price| coins(price).unwrap()).collect::<Vec<_>>();
        assert!(prices.len() > 4, "{all}");
        for price in prices {
            let cost = price * U256::from(usual.steps);
            assert!(cost <= usual.most, "{} are held", units(cost, jobs::COIN));
        }
    }

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
    fn what_left_before_a_round_that_fails_is_there() {
        let (folder, [job, asset]) = (tempfile::tempdir().unwrap(), [1, 2].map(B256::repeat_byte));
        let to = folder.path().join("lost");
        let saved = Saved::new(&to, B256::repeat_byte(3));
        saved.begun(job, asset);
        assert_eq!(saved.round(1, b"{}"), [(job, asset)]);
        assert!(!to.exists(), "nothing has left");
        assert_eq!(saved.told(eyre!("it failed")).to_string(), "it failed");
        let files = Files::from([("result.json".to_owned(), b"1".to_vec())]);
        saved.left(asset, &Left { files: files.clone(), log: Some("hello".into()) });
        saved.came(&files);
        saved.round(2, br#"{"model":1}"#);
        let (left, log) = (format!("{LEFT}/{asset}/001/result.json"), log_of(asset, 1));
        let [first, second] = [1, 2].map(params_of);
        let all = [(&first, "{}"), (&second, r#"{"model":1}"#), (&left, "1"), (&log, "hello")];
        for (path, want) in all.into_iter().chain([(&"result.json".to_owned(), "1")]) {
            assert_eq!(fs::read_to_string(to.join(path)).unwrap(), want, "{path}");
        }
        let provenance: Value = serde_json::from_slice(&fs::read(to.join(PROVENANCE)).unwrap()).unwrap();
        assert_eq!(provenance["jobs"][0]["job"], job.to_string());
        let why = saved.told(eyre!("it failed")).to_string();
        assert!(why.starts_with("it failed\n") && why.contains(&to.display().to_string()), "{why}");
        assert!(why.contains("`stoa job result JOB") && why.contains(&format!("job {job} on {asset}")), "{why}");
        saved.done(&[json!({ "job": job, "ended": "succeeded" })]).unwrap();
        assert!(fs::read_to_string(to.join(PROVENANCE)).unwrap().contains("succeeded"));
    }

    #[test]
    fn parameters_of_each_round_are_noted() {
        let (folder, job) = (tempfile::tempdir().unwrap(), B256::repeat_byte(1));
        for (round, params) in [(1, "{}"), (2, "[]")] {
            note(folder.path(), job, round, params.as_bytes());
            assert_eq!(fs::read_to_string(noted(folder.path(), job, round)).unwrap(), params);
        }
    }

    #[test]
    fn whoever_breaks_off_hears_what_goes_on_without_him() {
        let (job, asset) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let said = broken_off(&[(job, asset)]).to_string();
        assert!(said.contains(&format!("job {job} on {asset}")) && said.contains("`stoa job cancel JOB`"), "{said}");
        assert!(broken_off(&[]).to_string().contains("a job may have begun"));
    }
}

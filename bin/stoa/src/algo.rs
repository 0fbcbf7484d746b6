//! `stoa algo`: writing programs that go to the data, building them, and trying them here as a node would run them.

use crate::{job::Parameters, network::wait, output, progress::progress, sale, wallet::WalletOptions};
use alloy_primitives::B256;
use clap::{Args, Subcommand, ValueEnum};
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use stoa_algorithms::{Folder, Language};
use stoa_base::now;
use stoa_client::{ViewError, plain};
use stoa_data::{
    abi::{CONSENT, IConsent::assetOfCall},
    client::DataError,
    jobs::{
        self, MILLION,
        abi::{IJobs::publishProgramCall, JOBS, PROCESS},
        client::Owner,
        data::{inputs, source_hash},
        role::Runtimes,
        rules::{Leaving, Rules},
        wire::MOST_CODE,
    },
};
use stoa_sandbox::{Control, Ended, Input, Job, Outcome, Runtime as _, Wasm};
use tempfile::TempDir;

/// The rules that lie in an algorithm's folder.
const RULES: &str = "rules.json";

/// Commands on programs that go to the data.
#[derive(Subcommand)]
#[command(
    after_help = "Examples: stoa algo new mean --lang python\n          stoa algo test mean --data mean/sample.csv --param column=age\n          stoa algo publish mean/mean.wasm --wallet me.key"
)]
pub(crate) enum Command {
    /// Make a folder with a small program that runs on data where they are: an example that works, with its README.
    #[command(
        after_help = "Example: stoa algo new mean --lang python && stoa algo test mean --data mean/sample.csv --param column=age"
    )]
    New(NewOptions),
    /// Build a folder to the one WebAssembly module that owners consent to. Prints its hash.
    #[command(after_help = "Example: stoa algo build mean")]
    Build(BuildOptions),
    /// Run a program here on sample rows, as an owner's node would, and show what would leave and what would not. A folder is built
    /// before, if its sources have changed. Fails if nothing would leave. The rows are your own, or those that an owner has published.
    #[command(
        after_help = "Examples: stoa algo test mean --data mean/sample.csv --param column=age\n          stoa algo test mean --on did:op:343c… --param column=age\n          stoa algo test train.wasm --data samples/ --rules rules.json --params-file params.json --steps 500"
    )]
    Test(TestOptions),
    /// Put your name to a program on the ledger: owners who trust your account (`publishers` in their rules) let it run from then on.
    /// With --source, audits of what it computes show from which source it is built. Prints the program's hash, and its asset. `stoa data
    /// erase` withdraws it, for good: your account does not publish the same bytes again, but what differs from them in any byte, which is
    /// another program.
    #[command(
        after_help = "Examples: stoa algo publish mean/mean.wasm --wallet me.key\n          stoa algo publish mean/mean.wasm --source mean --source-url https://a.example/mean --wallet me.key"
    )]
    Publish(PublishOptions),
}

#[derive(Args)]
pub(crate) struct PublishOptions {
    /// The file: a module, or a script or program that runs as a process.
    file: PathBuf,
    /// What it is built from: its hash is published, without what is hidden, what compilers leave, and modules. May be said of a program
    /// that was published before.
    #[arg(long, value_name = "FILE|DIR")]
    source: Option<PathBuf>,
    /// Where others find that.
    #[arg(long, value_name = "URL", requires = "source")]
    source_url: Option<String>,
    #[command(flatten)]
    wallet: WalletOptions,
}

#[derive(Args)]
pub(crate) struct NewOptions {
    /// What it is called: small letters, digits, '-' and '_'.
    name: String,
    /// What it is written in.
    #[arg(long, value_name = "LANGUAGE", value_enum)]
    lang: Lang,
    /// The folder to make, if not one of its name here.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// Languages as they are typed.
#[derive(Clone, Copy, ValueEnum)]
enum Lang {
    /// Compiled for wasm32-wasip1.
    Rust,
    /// Compiled by clang with wasi-libc.
    C,
    /// Compiled by its compiler from npm.
    #[value(alias = "as")]
    Assemblyscript,
    /// Run by QuickJS, which is put into the module.
    #[value(alias = "js")]
    Javascript,
    /// Run by MicroPython, which is put into the module.
    #[value(alias = "py")]
    Python,
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::Rust => Self::Rust,
            Lang::C => Self::C,
            Lang::Assemblyscript => Self::AssemblyScript,
            Lang::Javascript => Self::JavaScript,
            Lang::Python => Self::Python,
        }
    }
}

#[derive(Args)]
pub(crate) struct BuildOptions {
    /// The folder, as `stoa algo new` made it.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

#[derive(Args)]
pub(crate) struct TestOptions {
    /// The module, or the folder that it is built from; or a script or program that runs as a process.
    #[arg(value_name = "FILE|DIR")]
    program: PathBuf,
    /// The file or folder that it sees under /data.
    #[arg(long, value_name = "FILE|DIR", required_unless_present = "on", conflicts_with = "on")]
    data: Option<PathBuf>,
    /// An asset on the market, by its DID or its NFT's address: the program sees the sample rows that its owner has published.
    #[arg(long, value_name = "DID|ADDRESS")]
    on: Option<String>,
    #[command(flatten)]
    wallet: WalletOptions,
    /// What may leave; if not given, the rules.json of the program's folder, or what `stoa job rules` prints, of this program.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    #[command(flatten)]
    parameters: Parameters,
    /// Millions of steps at most.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    steps: u64,
    /// A folder that a process sees besides the system's programs, as `stoa follow` has it.
    #[arg(long, value_name = "DIR")]
    environment: Vec<PathBuf>,
}

/// Runs `stoa algo`.
pub(crate) fn run(command: Command, json: bool) -> Result<()> {
    match command {
        Command::New(options) => new(&options, json),
        Command::Build(options) => {
            let folder = Folder::open(&options.folder)?;
            let built = Built::of(&folder)?;
            if json {
                println!("{}", built.json());
            } else {
                println!(
                    "{}\n{}, {}",
                    built.algorithm(),
                    built.module.display(),
                    output::bytes(built.code.len() as u64)
                );
            }
            Ok(())
        }
        Command::Test(options) => test(&options, json),
        Command::Publish(options) => wait(publish(options, json))?,
    }
}

async fn publish(options: PublishOptions, json: bool) -> Result<()> {
    let code = read(&options.file)?;
    check_program(&options.file, &code)?;
    let algorithm = jobs::algorithm(&code);
    let source = options.source.as_deref().map(source_hash).transpose()?;
    let account = options.wallet.open().await?;
    let owner = Owner::new(account.clone());
    // Named after what it is, so that nodes find it.
    let asset = owner.asset(algorithm);
    match stoa_client::view(account.client(), CONSENT, &assetOfCall { asset }).await {
        Ok((is, _)) => again(algorithm, asset, is.erased, source.is_some())?,
        Err(ViewError::Reverted(_)) => owner.register(algorithm, algorithm).await?,
        Err(error) => return Err(error).wrap_err("the ledger cannot be asked"),
    }
    let url = options.source_url.unwrap_or_default();
    let call = publishProgramCall { algorithm, source: source.unwrap_or_default(), url };
    let said = account.call(JOBS, &call).await.map_err(DataError::from);
    said.wrap_err("it is published, and not said from which source; say so with the same command and --source")?;
    match json {
        true => println!("{}", json!({ "algorithm": algorithm, "asset": asset, "source": source })),
        false => {
            println!("{algorithm}\nasset {asset}");
            source.iter().for_each(|source| println!("source {source}"));
        }
    }
    Ok(())
}

/// Refuses what the account has published before, but for what was not said then: from which source it is. `erased` is the block in which it
/// was withdrawn, 0 if it was not.
fn again(algorithm: B256, asset: B256, erased: u64, has_source: bool) -> Result<()> {
    ensure!(
        erased == 0,
        "program {algorithm} was withdrawn for good: this account published it as asset {asset}, which was erased in block {erased}. \
         Change any byte of it, which makes another program, and publish that"
    );
    ensure!(has_source, "program {algorithm} is published already, as asset {asset}");
    Ok(())
}

fn new(options: &NewOptions, json: bool) -> Result<()> {
    let path = options.to.clone().unwrap_or_else(|| PathBuf::from(&options.name));
    ensure!(path.symlink_metadata().is_err(), "{} is there already: say another folder with --to", path.display());
    let folder = Folder::create(&path, &options.name, options.lang.into())?;
    if json {
        println!("{}", json!({ "folder": path, "name": folder.name, "language": folder.language }));
        return Ok(());
    }
    println!("{}", path.display());
    println!("next: stoa algo test {0} --data {0}/sample.csv --param column=age", path.display());
    Ok(())
}

/// A module, and the folder it is from if there is one.
struct Built {
    module: PathBuf,
    folder: Option<PathBuf>,
    code: Vec<u8>,
}

impl Built {
    /// Builds a folder, and checks that a node would take what comes of it.
    fn of(folder: &Folder) -> Result<Self> {
        check_script(folder)?;
        let bar = progress("building");
        let code = folder.build();
        bar.finish_and_clear();
        let built = Self { module: folder.module(), folder: Some(folder.path.clone()), code: code? };
        ensure!(
            built.code.len() <= MOST_CODE,
            "{} has {}, and nodes take {} at most",
            built.module.display(),
            output::bytes(built.code.len() as u64),
            output::bytes(MOST_CODE as u64)
        );
        let bar = progress("checking that a node can run it");
        let prepared = caching(Wasm::new)?.prepare(&Job::new(&built.code[..]));
        bar.finish_and_clear();
        prepared.wrap_err_with(|| format!("{} was built, but is of no use", built.module.display()))?;
        Ok(built)
    }

    /// What is to be tried: a module, or a folder, which is built if need be.
    fn find(program: &Path) -> Result<Self> {
        if program.is_dir() {
            let folder = Folder::open(program)?;
            if !folder.is_built()? {
                return Self::of(&folder);
            }
            return Ok(Self {
                module: folder.module(),
                folder: Some(folder.path.clone()),
                code: read(&folder.module())?,
            });
        }
        let code = read(program)?;
        check_program(program, &code)?;
        Ok(Self { module: program.to_owned(), folder: None, code })
    }

    /// What consent names it by.
    fn algorithm(&self) -> B256 {
        jobs::algorithm(&self.code)
    }

    /// What a run of it is paid by: no more than it may take, though a process that is ended for it may have taken some more by then.
    fn steps(&self, outcome: &Outcome, most: u64) -> u64 {
        jobs::steps(jobs::runtime_of(&self.code), outcome.used.fuel, outcome.used.cpu).min(most)
    }

    fn json(&self) -> Value {
        json!({ "algorithm": self.algorithm(), "module": self.module, "bytes": self.code.len() })
    }
}

/// Refuses a script that its interpreter could not run, with what that says of it: a module takes any text.
fn check_script(folder: &Folder) -> Result<()> {
    let Some(check) = folder.check()? else { return Ok(()) };
    let mut job = Job::new(&check.parser[..]);
    job.inputs = vec![Input { name: "script".into(), source: check.script.clone().into() }];
    let bar = progress("reading the script");
    let outcome = caching(Wasm::new)?.run(&job, &Control::new());
    bar.finish_and_clear();
    let outcome = outcome.wrap_err_with(|| format!("{} cannot be read", check.script.display()))?;
    let said: Vec<_> = outcome.log.text().lines().map(plain).collect();
    ensure!(outcome.ended != Ended::Exited(1), "{} cannot be run: {}", check.script.display(), said.join(", "));
    Ok(())
}

/// How what can be run begins: WebAssembly, a script that says what runs it, an executable of Linux.
const BEGINNINGS: [&[u8]; 3] = [b"\0asm", b"#!", b"\x7fELF"];

/// Refuses what is no program: a shell would read it as if it were one of its own.
pub(crate) fn check_program(file: &Path, code: &[u8]) -> Result<()> {
    ensure!(
        BEGINNINGS.iter().any(|beginning| code.starts_with(beginning)),
        "{} is no program: want a WebAssembly module, a script whose first line says what runs it (#!/usr/bin/env python3), or an \
         executable",
        file.display()
    );
    Ok(())
}

/// What compiles programs: what it has compiled is kept in the user's cache, where that is the user's alone.
pub(crate) fn caching<T, E>(open: impl Fn(Option<PathBuf>) -> Result<T, E>) -> Result<T, E> {
    let folder = stoa_algorithms::cache().ok().map(|cache| cache.join("modules"));
    open(folder).or_else(|_| open(None))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let about = || format!("cannot read {}", file.display());
    ensure!(
        file.metadata().wrap_err_with(about)?.len() <= MOST_CODE as u64,
        "{} is longer than nodes take",
        file.display()
    );
    fs::read(file).wrap_err_with(about)
}

/// What may leave: as said, as the folder says, or what owners get who say nothing. Where no programs are named it is as if this one
/// were.
fn rules(named: Option<&Path>, folder: Option<&Path>, program: B256) -> Result<Rules> {
    let beside = folder.map(|folder| folder.join(RULES)).filter(|file| file.exists());
    let Some(file) = named.map(Path::to_owned).or(beside) else { return Ok(Rules::usual(program)) };
    let bytes = fs::read(&file).wrap_err_with(|| format!("cannot read {}", file.display()))?;
    Rules::read_for(&bytes, program).wrap_err_with(|| format!("{} does not say what may leave", file.display()))
}

fn test(options: &TestOptions, json: bool) -> Result<()> {
    let built = Built::find(&options.program)?;
    let rules = rules(options.rules.as_deref(), built.folder.as_deref(), built.algorithm())?;
    let sample = options.on.as_deref().map(|asset| wait(sale::sample_of(asset, &options.wallet))).transpose()?;
    let sample = sample.transpose()?;
    let data = sample.as_ref().map(TempDir::path).or(options.data.as_deref()).wrap_err("say --data or --on")?;
    let inputs = inputs(data).wrap_err_with(|| format!("{} is no data", data.display()))?;
    let params = serde_json::to_vec(&options.parameters.read()?)?;
    // All that a node gives, but for a seed and a time that are the job's.
    let runtime = jobs::runtime_of(&built.code);
    let is = jobs::abi::IJobs::Job { runtime, until: now(), ..Default::default() };
    let (code, fuel) = (built.code.clone().into(), options.steps.saturating_mul(MILLION));
    let job = jobs::round_job(B256::ZERO, &is, 0, code, params, inputs, rules.limits(is.runtime, fuel));
    let outcome = run_seen(&job, runtime, &options.environment)?;
    drop(sample);
    let algorithm = built.algorithm();
    let trusted = !rules.names_programs() || rules.algorithms.contains(&algorithm);
    let leaving = match &outcome.ended {
        Ended::Exited(0) if trusted => leaving_of(&rules, &outcome),
        Ended::Exited(0) if rules.publishers.is_empty() => Err("the rules name other programs".into()),
        Ended::Exited(0) => Err("the rules want programs of certain publishers; a node would ask the ledger".into()),
        _ if rules.log => Err("the program did not end well; the rules let its log go to the buyer".into()),
        _ => Err("the program did not end well; its buyer is told no more than that".into()),
    };
    let (leaves, steps) = (leaving.is_ok(), built.steps(&outcome, fuel));
    if json {
        println!("{}", as_json(&built, &rules, &outcome, steps, leaving));
        if !leaves {
            std::process::exit(1);
        }
        return Ok(());
    }
    show(&built, &rules, &outcome, steps, leaving);
    if leaves { Ok(()) } else { bail!("nothing would leave") }
}

/// What would leave in a buyer's first round. As at a node the round counts too, and so does the log if that leaves.
fn leaving_of(rules: &Rules, outcome: &Outcome) -> Result<Leaving, String> {
    let log = if rules.log { outcome.log.text().len() as u64 } else { 0 };
    let counts = rules.round().saturating_add(log);
    let mut leaving = rules.leaving(&outcome.output.files, rules.budget.saturating_sub(counts))?;
    leaving.counts = leaving.counts.saturating_add(counts);
    Ok(leaving)
}

/// What a node runs programs with.
fn runtimes(runtime: u8, environments: &[PathBuf]) -> Result<Runtimes> {
    let runtimes = caching(Runtimes::new)?;
    Ok(if runtime == PROCESS { runtimes.with_processes(environments)? } else { runtimes })
}

/// Runs it on a thread of its own, so that people see how far it is.
fn run_seen(job: &Job, kind: u8, environments: &[PathBuf]) -> Result<Outcome> {
    let (bar, control) = (progress("compiling"), Control::new());
    let runtime = runtimes(kind, environments)?.of(kind).wrap_err("nothing here runs it")?;
    let outcome = std::thread::scope(|scope| {
        let running = scope.spawn(|| runtime.run(job, &control));
        while !running.is_finished() {
            let steps = jobs::steps(kind, control.fuel(), control.cpu());
            if steps > 0 {
                bar.set_message(format!("running: {} million steps", steps / MILLION));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        running.join()
    });
    bar.finish_and_clear();
    Ok(outcome.ok().wrap_err("the sandbox gave up")??)
}

/// How a run ended, in words.
fn ended(ended: &Ended) -> String {
    let more = if matches!(ended, Ended::OutOfFuel | Ended::OutOfCpu) { " (--steps allows more)" } else { "" };
    jobs::how_ended(ended) + more
}

fn as_json(built: &Built, rules: &Rules, outcome: &Outcome, steps: u64, leaving: Result<Leaving, String>) -> Value {
    let mut said = built.json();
    let left = outcome.output.files.iter().map(|(path, bytes)| (path.clone(), json!(bytes.len())));
    let (leaves, counts, withheld) = match leaving {
        Ok(Leaving { files, counts }) => {
            // What is no text has its length here, and is in nobody's way.
            let shown = files.into_iter().map(|(path, bytes)| {
                let length = bytes.len();
                (path, String::from_utf8(bytes).map_or_else(|_| json!(length), Value::String))
            });
            (Value::Object(shown.collect()), json!(counts), Value::Null)
        }
        Err(why) => (Value::Null, Value::Null, json!(why)),
    };
    let more = json!({
        "succeeded": outcome.succeeded(), "ended": ended(&outcome.ended), "steps": steps,
        "memory": outcome.used.memory, "deterministic": outcome.deterministic,
        "left": Value::Object(left.collect()), "leaves": leaves, "counts": counts, "budget": rules.budget, "withheld": withheld,
        "log": outcome.log.text(), "logLeaves": rules.log,
    });
    if let (Value::Object(said), Value::Object(more)) = (&mut said, more) {
        said.extend(more);
    }
    said
}

fn show(built: &Built, rules: &Rules, outcome: &Outcome, steps: u64, leaving: Result<Leaving, String>) {
    println!("algorithm  {}", built.algorithm());
    println!("module     {}, {}", built.module.display(), output::bytes(built.code.len() as u64));
    println!("ended      {}", plain(&ended(&outcome.ended)));
    println!("steps      {steps} ({} million to pay)", steps.div_ceil(MILLION));
    println!("memory     {}", output::bytes(outcome.used.memory));
    if !outcome.deterministic {
        println!("           a second run may end otherwise");
    }
    for (path, bytes) in &outcome.output.files {
        println!("left       /out/{}, {}", plain(path), output::bytes(bytes.len() as u64));
    }
    match leaving {
        Ok(Leaving { files, counts }) => {
            for (path, bytes) in files {
                println!("leaves     {}: {}", plain(&path), shown(&bytes));
            }
            println!("counts     {counts} of a budget of {} for each buyer", rules.budget);
        }
        Err(why) => println!("withheld   {}", plain(&why)),
    }
    let log = outcome.log.text();
    if !log.trim().is_empty() {
        println!("log        {}", if rules.log { "goes to the buyer:" } else { "stays with the owner:" });
        log.lines().for_each(|line| println!("  {}", plain(line)));
    }
}

/// The beginning of what leaves.
fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 200;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]);
    let more = if bytes.len() > MOST { " …" } else { "" };
    format!("{}{more}", plain(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use stoa_sandbox::{Log, Output, Used};

    #[derive(Parser)]
    struct Typed {
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn what_was_withdrawn_is_not_said_to_be_published() {
        let [algorithm, asset] = [1, 2].map(B256::repeat_byte);
        for has_source in [false, true] {
            let why = again(algorithm, asset, 7, has_source).unwrap_err().to_string();
            assert!(why.contains("withdrawn for good") && why.contains("erased in block 7"), "{why}");
            assert!(why.contains("Change any byte") && !why.contains("is published already"), "{why}");
        }
        assert!(again(algorithm, asset, 0, false).unwrap_err().to_string().contains("is published already"));
        again(algorithm, asset, 0, true).unwrap();
    }

    #[test]
    fn a_process_that_took_more_than_it_may_is_paid_for_what_it_may() {
        let built = |code: &[u8]| Built { module: PathBuf::new(), folder: None, code: code.to_vec() };
        let used = Used { fuel: 5 * MILLION, cpu: Duration::from_millis(3006), ..Used::default() };
        let outcome = Outcome {
            ended: Ended::OutOfCpu,
            output: Output::default(),
            log: Log::default(),
            used,
            deterministic: false,
        };
        assert_eq!(built(b"#!/bin/sh\n").steps(&outcome, 3000 * MILLION), 3000 * MILLION);
        assert_eq!(built(b"#!/bin/sh\n").steps(&outcome, 4000 * MILLION), 3006 * MILLION);
        assert_eq!(built(b"\0asm").steps(&outcome, 3000 * MILLION), 5 * MILLION);
    }

    #[test]
    fn how_a_program_ended_is_told_in_words() {
        let all = [
            Ended::Exited(1),
            Ended::Signalled(9),
            Ended::OutOfFuel,
            Ended::OutOfCpu,
            Ended::OutOfMemory,
            Ended::OutOfTime,
            Ended::OutputTooLarge,
            Ended::TooManyProcesses,
            Ended::Cancelled,
        ];
        for one in all {
            let (said, name) = (ended(&one), format!("{one:?}"));
            let name = name.split('(').next().unwrap_or_default();
            assert!(!said.is_empty() && !said.contains(name), "{said}");
        }
    }

    #[test]
    fn a_table_is_neither_run_as_a_program_nor_published_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("patients.csv");
        fs::write(&table, "name,age\nBob,63\n").unwrap();
        let file = table.to_str().unwrap();
        for words in [&["algo", "test", file, "--data", file][..], &["algo", "publish", file, "--account", "0"]] {
            let why = run(Typed::try_parse_from(words).unwrap().command, true).unwrap_err().to_string();
            assert!(why.contains("patients.csv is no program") && why.contains("#!/usr/bin/env"), "{words:?}: {why}");
        }
        for code in [&b"\0asm\x01"[..], b"#!/bin/sh\n", b"\x7fELF\x02"] {
            check_program(&table, code).unwrap();
        }
    }
}

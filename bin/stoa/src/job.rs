//! `stoa job`: programs that run on data where they are.

use crate::{
    network::{now, wait},
    node::coins,
    store::progress,
    wallet::WalletOptions,
};
use alloy_primitives::{Address, B256, U256, utils::format_ether};
use clap::{Args, Subcommand};
use commonware_cryptography::Signer as _;
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure};
use serde_json::{Map, Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use stoa_base::NodeId;
use stoa_client::Wallet;
use stoa_data::{
    jobs::{
        self, COIN, MILLION,
        abi::{
            IJobs::{Checks, Offer, bondOfCall, checkOfCall, jobOfCall, offerOfCall, receiptOfCall},
            JOBS, WASM,
        },
        client::{Begun, Buyer, Ended, Leave, Owner, Who},
        data::DataSet,
        rounds::{Told, Work, Worked, plan, run_rounds, write},
        rules::Rules,
    },
    reading::identity,
    registry::Registry,
};
use stoa_net::{Endpoint, PeerAddress};
use stoa_sandbox::Wasm;

/// Where the parameters of the rounds are, as nodes got them: whoever runs a job again needs them.
pub(crate) const PARAMS: &str = "params";

/// Where is what left of each asset in each round: its hash is in the asset's receipt.
pub(crate) const LEFT: &str = "left";

/// How a job ended, as its receipt says.
const ENDS: [&str; 6] = ["succeeded", "failed", "limited", "stopped", "withheld", "broken"];

/// How it stands with the check of a receipt.
const CHECKS: [&str; 7] = ["none", "waiting for the draw", "drawn", "confirmed", "false", "undecided", "spared"];

/// Options of `stoa job`.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Let others compute on data that never leave your node: put a copy where the node finds it, and offer it on the ledger.
    /// Prints the asset's id. Nobody may run anything until you say who (`stoa job allow`).
    #[command(
        after_help = "Example: stoa job offer patients.csv --data node-data --node 0x3b6a… --rules rules.json --price 0.001 --wallet me.key"
    )]
    Offer(OfferOptions),
    /// Let somebody have programs run on an asset. Prints the grant's id; `stoa data revoke` ends it.
    #[command(
        after_help = "Examples: stoa job allow 0x5f8e… --to 0x7099… --purpose ScientificResearch --wallet me.key\n          stoa job allow 0x5f8e… --to-buyers-of 0x90f7… --algorithm train.wasm --wallet me.key"
    )]
    Allow(AllowOptions),
    /// Have a WebAssembly program run on the data of one or several owners, each beside its data, and get what may leave. A plan
    /// has it run several times, and combines what leaves on this machine in between.
    ///
    /// A plan is JSON: {"combine": {…}, "pass": "model", "rounds": [{"params": {…}, "times": 10}, …]}. After each round the program
    /// of --combine (else the same one) runs here with the parameters of "combine", and sees what left as /data/<number>; its
    /// result.json is the parameter "pass" of the next round.
    #[command(
        after_help = "Examples: stoa job run --algorithm mean.wasm --on 0x5f8e… --to result --wallet me.key\n          stoa job run --algorithm train.wasm --plan plan.json --on 0x5f8e…,0x91ab… --to model --wallet me.key"
    )]
    Run(RunOptions),
    /// Put the data of an asset where a node finds them that checks its jobs. They and the rules are those that were offered.
    #[command(after_help = "Example: stoa job copy 0x5f8e… patients.csv --data auditor-data --rules rules.json")]
    Copy(CopyOptions),
    /// Add coins to the bond of an asset, which pays for checks and for false receipts.
    #[command(after_help = "Example: stoa job bond 0x5f8e… 100 --wallet me.key")]
    Bond {
        /// The asset.
        asset: B256,
        /// Coins.
        #[arg(value_name = "STOA", value_parser = coins)]
        amount: U256,
    },
    /// Take coins of an asset's bond back, so far as they are not reserved for jobs.
    #[command(after_help = "Example: stoa job unbond 0x5f8e… 100 --wallet me.key")]
    Unbond {
        /// The asset.
        asset: B256,
        /// Coins.
        #[arg(value_name = "STOA", value_parser = coins)]
        amount: U256,
    },
    /// Show a job: what it computes on, under which leave, how it stands, its receipt.
    #[command(after_help = "Example: stoa job show 0x77d1…")]
    Show {
        /// The job.
        job: B256,
    },
    /// Run a finished job again, on data that you have, and compare what comes of it with its receipt, bit for bit.
    #[command(
        after_help = "Example: stoa job verify 0x77d1… --algorithm train.wasm --data node-data --params model/params"
    )]
    Verify(VerifyOptions),
    /// Print the rules that `offer` uses if none are named, to begin your own with.
    #[command(after_help = "Example: stoa job rules > rules.json")]
    Rules,
}

/// Options of `stoa job offer`.
#[derive(Args)]
pub(crate) struct OfferOptions {
    /// The file or folder; programs see it under /data.
    path: PathBuf,
    /// The node's folder of data (`stoa follow --data`).
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The node's public key, as `stoa node key` printed it.
    #[arg(long, value_name = "KEY")]
    node: B256,
    /// What may leave; `stoa job rules` prints what is meant if not given.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Coins for each job.
    #[arg(long, value_name = "STOA", default_value = "0", value_parser = coins)]
    base: U256,
    /// Coins for each million steps that are begun.
    #[arg(long, value_name = "STOA", default_value = "0", value_parser = coins)]
    price: U256,
    /// Millions of steps of one job at most.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    steps: u64,
    /// Seconds within which a job ends, or the buyer is paid back.
    #[arg(long, value_name = "SECONDS", default_value_t = 24 * 3600, value_parser = clap::value_parser!(u32).range(60..=604_800))]
    time: u32,
    #[command(flatten)]
    checks: ChecksOptions,
}

/// How an owner has the receipts of his node checked.
#[derive(Args)]
pub(crate) struct ChecksOptions {
    /// The public key of a node that has the data as well (`stoa job copy`) and runs jobs again; may be given several times.
    #[arg(long, value_name = "KEY")]
    auditor: Vec<B256>,
    /// How many of them are drawn for a job that is checked; an odd number, for more than half decide.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "auditor")]
    drawn: u8,
    /// Per cent of all jobs that are checked.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, value_parser = percent, requires = "auditor")]
    chance: f64,
    /// Coins that each gets who was drawn and says what most say.
    #[arg(long, value_name = "STOA", default_value = "0", value_parser = coins, requires = "auditor")]
    fee: U256,
    /// Coins that a false receipt costs you, besides what was paid for the job: the buyer gets both.
    #[arg(long, value_name = "STOA", default_value = "0", value_parser = coins, requires = "auditor")]
    stake: U256,
    /// Coins to pay for checks and false receipts from. A job begins only while what it could cost is free.
    #[arg(long, value_name = "STOA", default_value = "0", value_parser = coins, requires = "auditor")]
    bond: U256,
}

impl ChecksOptions {
    fn checks(&self) -> Checks {
        if self.auditor.is_empty() {
            return Checks::default();
        }
        let (drawn, fee, stake) = (self.drawn, self.fee, self.stake);
        Checks { auditors: self.auditor.clone(), drawn, chance: (self.chance * 100.0).round() as u16, fee, stake }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse::<f64>().ok().filter(|percent| (0.01..=100.0).contains(percent));
    percent.ok_or_else(|| "want a number from 0.01 to 100".to_owned())
}

/// Options of `stoa job copy`.
#[derive(Args)]
pub(crate) struct CopyOptions {
    /// The asset.
    asset: B256,
    /// The file or folder.
    path: PathBuf,
    /// The folder of data of the node that checks (`stoa follow --data`).
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// What may leave, as it was offered.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

/// Options of `stoa job verify`.
#[derive(Args)]
pub(crate) struct VerifyOptions {
    /// The job.
    job: B256,
    /// The program.
    #[arg(long, value_name = "FILE")]
    algorithm: PathBuf,
    /// The node's folder of data, or one that `stoa job copy` filled.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The folder with the parameters of the rounds, which `stoa job run` left in its own.
    #[arg(long, value_name = "DIR")]
    params: PathBuf,
}

/// Options of `stoa job allow`.
#[derive(Args)]
pub(crate) struct AllowOptions {
    /// The asset.
    asset: B256,
    /// Who.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "to_buyers_of")]
    to: Option<Address>,
    /// Whoever has an order of this datatoken that stands.
    #[arg(long, value_name = "DATATOKEN", conflicts_with = "to")]
    to_buyers_of: Option<Address>,
    /// Which service of the datatoken.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "to_buyers_of")]
    service: u32,
    /// The one program that may run: its module, or the BLAKE3 hash of that (`stoa algo build` prints it); any if not given.
    #[arg(long, value_name = "HASH|FILE", value_parser = algorithm)]
    algorithm: Option<B256>,
    /// For what: a term of the W3C Data Privacy Vocabulary (https://w3id.org/dpv).
    #[arg(long, value_name = "TERM", default_value = "ServiceProvision")]
    purpose: String,
    /// For how many days; 0 for no end.
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    days: u64,
    /// How often; 0 for any number of times.
    #[arg(long, value_name = "N", default_value_t = 0)]
    times: u32,
}

/// Options of `stoa job run`.
#[derive(Args)]
pub(crate) struct RunOptions {
    /// The program: a WebAssembly module of WASI preview 1.
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
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// What a program is told.
#[derive(Args)]
pub(crate) struct Parameters {
    /// A parameter; JSON, or else text. May be given several times.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = param)]
    params: Vec<(String, Value)>,
    /// File with the parameters, a JSON object; those of --param come over it.
    #[arg(long, value_name = "FILE", alias = "params")]
    params_file: Option<PathBuf>,
}

impl Parameters {
    /// All of them.
    pub(crate) fn read(&self) -> Result<Map<String, Value>> {
        let mut given = match &self.params_file {
            Some(file) => serde_json::from_slice::<Map<String, Value>>(&read(file)?)
                .wrap_err_with(|| format!("{} is no JSON object", file.display()))?,
            None => Map::new(),
        };
        given.extend(self.params.iter().cloned());
        Ok(given)
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).wrap_err_with(|| format!("cannot read {}", file.display()))
}

/// A program by its hash, or the file of its module.
fn algorithm(text: &str) -> Result<B256, String> {
    if let Ok(hash) = text.parse() {
        return Ok(hash);
    }
    let module =
        fs::read(text).map_err(|error| format!("it is neither a hash nor a file that can be read ({error})"))?;
    Ok(jobs::algorithm(&module))
}

fn param(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("want NAME=VALUE, got {text}"))?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

/// Runs `stoa job`.
pub(crate) fn run(options: Options, json: bool) -> Result<()> {
    let Options { wallet, command } = options;
    match command {
        Command::Offer(options) => wait(offer(options, &wallet, json))?,
        Command::Allow(options) => wait(allow(options, &wallet, json))?,
        Command::Run(options) => wait(run_on(options, &wallet, json))?,
        Command::Show { job } => wait(show(job, &wallet, json))?,
        Command::Verify(options) => wait(verify(options, &wallet, json))?,
        Command::Copy(options) => wait(copy(options, &wallet, json))?,
        Command::Bond { asset, amount } => wait(bond(asset, amount, false, &wallet, json))?,
        Command::Unbond { asset, amount } => wait(bond(asset, amount, true, &wallet, json))?,
        Command::Rules => {
            println!("{}", String::from_utf8_lossy(&Rules::default().to_json()));
            Ok(())
        }
    }
}

fn read_rules(file: Option<&Path>) -> Result<Rules> {
    let Some(file) = file else { return Ok(Rules::default()) };
    let bytes = fs::read(file).wrap_err_with(|| format!("cannot read {}", file.display()))?;
    Rules::read(&bytes).wrap_err_with(|| format!("{} does not say what may leave", file.display()))
}

/// Puts data where a node finds them.
fn put(folder: &Path, from: &Path, rules: &Rules) -> Result<DataSet> {
    let bar = progress("copying and hashing");
    let data = DataSet::create(folder, from, rules);
    bar.finish_and_clear();
    data.wrap_err_with(|| format!("{} cannot be put into {}", from.display(), folder.display()))
}

/// Gives a node that checks jobs the data that they are computed on.
async fn copy(options: CopyOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let CopyOptions { asset, path, data, rules } = options;
    let rules = read_rules(rules.as_deref())?;
    let (offer, _) = stoa_client::view(&wallet.client(), JOBS, &offerOfCall { asset }).await?;
    let folder = data.join(asset.to_string());
    let copied = put(&folder, &path, &rules)?;
    if copied.hash != offer.data || rules.hash() != offer.rules {
        fs::remove_dir_all(&folder).wrap_err_with(|| format!("cannot remove {}", folder.display()))?;
        bail!("this is not what asset {asset} was offered with: the same files and rules are wanted");
    }
    match json {
        true => println!("{}", json!({ "asset": asset, "data": copied.hash })),
        false => println!("{}", folder.display()),
    }
    Ok(())
}

async fn bond(asset: B256, amount: U256, back: bool, wallet: &WalletOptions, json: bool) -> Result<()> {
    let owner = Owner::new(wallet.open().await?);
    let (offer, _) = stoa_client::view(&wallet.client(), JOBS, &offerOfCall { asset }).await?;
    let token = if offer.token.is_zero() { COIN } else { offer.token };
    match back {
        true => owner.unbond(asset, token, amount).await?,
        false => owner.bond(asset, token, amount).await?,
    }
    let (now, _) = stoa_client::view(&wallet.client(), JOBS, &bondOfCall { asset, token }).await?;
    match json {
        true => println!("{}", json!({ "asset": asset, "token": token, "bond": now.bond, "reserved": now.reserved })),
        false => println!("bond {}, {} of it reserved", format_ether(now.bond), format_ether(now.reserved)),
    }
    Ok(())
}

/// Data that others may compute on, before they are offered.
pub(crate) struct Offering<'a> {
    /// The file or folder.
    pub(crate) path: &'a Path,
    /// The node's folder of data.
    pub(crate) data: &'a Path,
    /// The node's public key.
    pub(crate) node: B256,
    /// What may leave, if that is said.
    pub(crate) rules: Option<&'a Path>,
    /// Coins for each job.
    pub(crate) base: U256,
    /// Coins for each million steps.
    pub(crate) price: U256,
    /// Millions of steps of one job at most.
    pub(crate) steps: u64,
    /// Seconds of one job at most.
    pub(crate) time: u32,
    /// How its receipts are checked.
    pub(crate) checks: &'a ChecksOptions,
}

/// Puts a copy of data where their owner's node finds it, and offers computing on it. The asset.
pub(crate) async fn offer_data(wallet: &Wallet, offering: &Offering<'_>) -> Result<(B256, DataSet)> {
    let (rules, checks) = (read_rules(offering.rules)?, offering.checks.checks());
    let (owner, salt) = (Owner::new(wallet.clone()), B256::from(rand::random::<[u8; 32]>()));
    let asset = owner.asset(salt);
    let folder = offering.data.join(asset.to_string());
    let data = put(&folder, offering.path, &rules)?;
    let offered = async {
        owner.register(salt, data.hash).await?;
        let offer = Offer {
            node: offering.node,
            data: data.hash,
            rules: rules.hash(),
            token: COIN,
            payTo: wallet.address(),
            base: offering.base,
            price: offering.price,
            fuel: offering.steps.saturating_mul(MILLION),
            time: offering.time,
            runtimes: WASM,
            checks,
        };
        owner.offer(asset, offer).await
    };
    if let Err(error) = offered.await {
        // Nothing is left behind that was not offered.
        let _ = fs::remove_dir_all(&folder);
        return Err(error.into());
    }
    let bond = offering.checks.bond;
    if !bond.is_zero() {
        owner.bond(asset, COIN, bond).await.wrap_err_with(|| format!("{asset} is offered without a bond"))?;
    }
    Ok((asset, data))
}

async fn offer(options: OfferOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let OfferOptions { path, data, node, rules, base, price, steps, time, checks } = &options;
    let (base, price, steps, time) = (*base, *price, *steps, *time);
    let offering = Offering { path, data, node: *node, rules: rules.as_deref(), base, price, steps, time, checks };
    let (asset, data) = offer_data(&wallet.open().await?, &offering).await?;
    match json {
        true => println!("{}", json!({ "asset": asset, "data": data.hash, "rules": data.rules.hash() })),
        false => println!("{asset}\noffered; nobody may run anything on it until you say who (`stoa job allow`)"),
    }
    Ok(())
}

async fn allow(options: AllowOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let who = match (options.to, options.to_buyers_of) {
        (Some(account), _) => Who::Account(account),
        (None, Some(datatoken)) => Who::Order(datatoken, options.service),
        (None, None) => bail!("who may? Say --to or --to-buyers-of"),
    };
    let leave = Leave {
        who,
        algorithm: options.algorithm.unwrap_or_default(),
        purpose: format!("https://w3id.org/dpv#{}", options.purpose),
        until: if options.days == 0 { 0 } else { now() + options.days * 24 * 3600 },
        limit: options.times,
    };
    let grant = Owner::new(wallet.open().await?).grant(options.asset, leave).await?;
    match json {
        true => println!("{}", json!({ "grant": grant, "asset": options.asset })),
        false => println!("{grant}"),
    }
    Ok(())
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

async fn run_on(options: RunOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    if options.to.symlink_metadata().is_ok() {
        bail!("{} is there already", options.to.display());
    }
    let code = read(&options.algorithm)?;
    let given = options.parameters.read()?;
    let (mut rounds, mut combining) = (vec![given.clone()], None);
    if let Some(file) = &options.plan {
        let program = options.combine.as_deref().map_or_else(|| Ok(code.clone()), read)?;
        let planned = plan(&read(file)?, &program).wrap_err_with(|| format!("{} is no plan", file.display()))?;
        (rounds, combining) = (planned.0, Some(planned.1));
        rounds.iter_mut().for_each(|params| params.extend(given.clone()));
    }
    let (fuel, most) = (options.steps * MILLION, options.most);
    let (count, work) = (rounds.len(), Work { on: options.on, code, rounds, combining, fuel, most });
    let (buyer, endpoint) = buyer(&wallet.open().await?).await?;
    let bar = progress("beginning jobs");
    let told = |told: Told<'_>| match told {
        Told::Round(number) => bar.set_message(format!("round {number} of {count}")),
        Told::Log(log) => bar.println(log),
        Told::Ending => bar.set_message("bringing receipts to the ledger"),
    };
    let done = run_rounds(&buyer, work, &told).await;
    bar.finish_and_clear();
    endpoint.close().await;
    let Worked { mut files, params, left, ended } = done?;
    files.extend((1..).zip(params).map(|(number, params)| (format!("{PARAMS}/{number:03}.json"), params)));
    for (number, left) in (1..).zip(left) {
        for (left, (begun, _)) in left.into_iter().zip(&ended) {
            let folder = format!("{LEFT}/{}/{number:03}", begun.asset);
            files.extend(left.into_iter().map(|(path, bytes)| (format!("{folder}/{path}"), bytes)));
        }
    }
    write(&options.to, &files)?;
    let receipts: Vec<_> = ended.iter().map(|(begun, ended)| receipt(begun, ended)).collect();
    if json {
        println!("{}", json!({ "to": options.to, "rounds": count, "jobs": receipts }));
        return Ok(());
    }
    println!("{}", options.to.display());
    for (begun, ended) in &ended {
        let (paid, back) = (format_ether(ended.paid), format_ether(ended.refunded));
        println!("job {} on {}: {paid} paid, {back} back", begun.job, begun.asset);
    }
    Ok(())
}

fn receipt(begun: &Begun, ended: &Ended) -> Value {
    let receipt = &ended.receipt;
    json!({
        "job": begun.job, "asset": begun.asset, "ended": ENDS.get(usize::from(receipt.ended)), "rounds": receipt.rounds,
        "steps": receipt.fuel, "paid": ended.paid, "refunded": ended.refunded, "output": receipt.output,
        "runtime": receipt.runtime, "data": receipt.data, "params": receipt.params,
    })
}

/// The files of a folder in the order of their names.
pub(crate) fn params(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let cannot = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(folder).wrap_err_with(cannot)?.collect::<Result<Vec<_>, _>>().wrap_err_with(cannot)?;
    let mut paths: Vec<_> = entries.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    let read = |path: &PathBuf| fs::read(path).wrap_err_with(|| format!("cannot read {}", path.display()));
    paths.iter().map(read).collect()
}

async fn verify(options: VerifyOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let VerifyOptions { job: id, algorithm, data, params: folder } = options;
    let client = wallet.client();
    let job = stoa_client::view(&client, JOBS, &jobOfCall { job: id }).await;
    let (job, _) = job.wrap_err_with(|| format!("there is no job {id}"))?;
    let signed = stoa_client::view(&client, JOBS, &receiptOfCall { job: id }).await?.0;
    ensure!(signed.number > 0, "job {id} has no receipt yet");
    ensure!(job.runtime == WASM, "job {id} was run as a process: another run need not come to the same");
    let code = fs::read(&algorithm).wrap_err_with(|| format!("cannot read {}", algorithm.display()))?;
    let hash = jobs::algorithm(&code);
    ensure!(hash == job.algorithm, "job {id} ran the program {}; {} is {hash}", job.algorithm, algorithm.display());
    let set = DataSet::open(&data.join(job.asset.to_string())).wrap_err_with(|| {
        format!("{} has no data of asset {} (`stoa job copy` puts them there)", data.display(), job.asset)
    })?;
    ensure!(set.hash == job.offer.data, "the data of asset {} there are not those that were offered", job.asset);
    ensure!(set.rules.hash() == job.offer.rules, "the rules there are not those that were offered");
    let (params, runtime) = (params(&folder)?, Wasm::new(None)?);
    let bar = progress("running it again");
    let again = tokio::task::spawn_blocking(move || jobs::rerun(&runtime, id, &job, &set, &code, &params)).await?;
    bar.finish_and_clear();
    let (again, signed) = (again?, signed.receipt);
    let differs: Vec<_> = [
        ("data", again.data != signed.data),
        ("parameters", again.params != signed.params),
        ("runtime", again.runtime != signed.runtime),
        ("output", again.output != signed.output),
        ("rounds", again.rounds != signed.rounds),
        ("steps", again.fuel != signed.fuel),
        ("end", again.ended != signed.ended),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect();
    if json {
        println!("{}", json!({ "job": id, "same": differs.is_empty(), "differs": differs, "output": again.output }));
    }
    ensure!(differs.is_empty(), "another run comes to something else than the receipt says: {}", differs.join(", "));
    if !json {
        println!("another run comes to the same, bit for bit: output {}", again.output);
    }
    Ok(())
}

async fn show(job: B256, wallet: &WalletOptions, json: bool) -> Result<()> {
    let client = wallet.client();
    let is = stoa_client::view(&client, JOBS, &jobOfCall { job }).await;
    let (is, _) = is.wrap_err_with(|| format!("there is no job {job}"))?;
    let kept = stoa_client::view(&client, JOBS, &receiptOfCall { job }).await?.0;
    let (check, _) = stoa_client::view(&client, JOBS, &checkOfCall { job }).await?;
    let check_state = CHECKS.get(usize::from(check.state)).wrap_err("a state of a check")?;
    let state = ["none", "running", "finished", "expired", "refuted"].get(usize::from(is.state)).wrap_err("a state")?;
    let ended = (kept.number > 0).then(|| ENDS.get(usize::from(kept.receipt.ended))).flatten();
    if json {
        let receipt = ended.map(|ended| {
            let receipt = &kept.receipt;
            json!({
                "ended": ended, "block": kept.number, "rounds": receipt.rounds, "steps": receipt.fuel, "data": receipt.data,
                "params": receipt.params, "runtime": receipt.runtime, "output": receipt.output,
            })
        });
        let said = json!({
            "job": job, "state": state, "buyer": is.buyer, "asset": is.asset, "grant": is.grant, "use": is.used,
            "algorithm": is.algorithm, "node": is.offer.node, "data": is.offer.data, "rules": is.offer.rules,
            "steps": is.fuel, "held": is.locked, "started": is.started, "until": is.until, "receipt": receipt,
            "runtime": is.runtime, "check": {
                "state": check_state, "auditors": check.auditors, "committed": check.committed, "revealed": check.revealed,
                "committing": check.committing, "revealing": check.revealing, "reserved": check.reserved,
            },
        });
        println!("{said}");
        return Ok(());
    }
    println!("job        {job}, {state}");
    println!("buyer      {}", is.buyer);
    println!("asset      {}", is.asset);
    println!("grant      {}, use {}", is.grant, is.used);
    println!("algorithm  {}", is.algorithm);
    println!("node       {}", is.offer.node);
    println!("data       {}", is.offer.data);
    println!("rules      {}", is.offer.rules);
    if let Some(ended) = ended {
        let receipt = &kept.receipt;
        println!(
            "receipt    in block {}: {ended} after {} rounds, {} steps",
            kept.number, receipt.rounds, receipt.fuel
        );
        println!("output     {}", receipt.output);
        println!("runtime    {}", receipt.runtime);
        println!("check      {check_state}");
        check.auditors.iter().for_each(|auditor| println!("           by {auditor}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_by_its_hash_or_by_its_file() {
        let place = tempfile::NamedTempFile::new().unwrap();
        fs::write(place.path(), "a module").unwrap();
        let hash = jobs::algorithm(b"a module");
        assert_eq!(algorithm(&place.path().to_string_lossy()), Ok(hash));
        assert_eq!(algorithm(&hash.to_string()), Ok(hash));
        assert!(algorithm("train.wsam").is_err_and(|why| why.contains("neither")));
    }
}

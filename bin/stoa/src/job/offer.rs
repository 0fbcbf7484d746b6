//! What owners do: offer their data to programs, say who may run them, stand for receipts.

use super::{UNASKED, algorithm};
use crate::{
    consent::{self, TermsOptions},
    node::coins,
    output::short,
    progress::progress,
    wallet::WalletOptions,
};
use alloy_primitives::{Address, B256, U256};
use clap::Args;
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use stoa_client::{Wallet, counted, iso_8601};
use stoa_data::{
    client::Holders,
    jobs::{
        COIN, MILLION,
        abi::{
            IJobs::{Checks, Offer, bondOfCall, offerOfCall},
            JOBS, PROCESS, REPEATABLE, WASM,
        },
        client::{Leave, Owner, Who},
        data::DataSet,
        rules::{Rules, Shape},
        units,
    },
    registry::Registry,
};

/// Seconds of a day.
const DAY: u32 = 24 * 3600;

/// The most names that a line shows, and characters of one.
const MOST_NAMES: usize = 20;
const MOST_NAME: usize = 100;

/// Options of `stoa job offer`.
#[derive(Args)]
pub(crate) struct OfferOptions {
    /// The file or folder; programs see it under /data.
    path: PathBuf,
    /// The node's folder of data (`stoa follow --data`).
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The node's public key, as `stoa node key` printed it.
    #[arg(long, value_name = "KEY", value_parser = crate::typed::id)]
    node: B256,
    /// Offer what is hidden in a folder as well, such as more/.env: otherwise a folder with such files is refused.
    #[arg(long)]
    hidden: bool,
    /// What may leave, of which programs. If not given: what `stoa job rules` prints, numbers of ten rows or more, of --algorithm.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// The program that may run, where the rules name none: its module, or the BLAKE3 hash of that (`stoa algo build` prints it).
    #[arg(long, value_name = "HASH|FILE", value_parser = algorithm)]
    algorithm: Option<B256>,
    /// Coins for each job.
    #[arg(long, value_name = "STOA", default_value = "0", allow_negative_numbers = true, value_parser = coins)]
    base: U256,
    /// Coins for each million steps that are begun: a step is an instruction of WebAssembly, about a nanosecond.
    #[arg(long, value_name = "STOA", default_value = "0", allow_negative_numbers = true, value_parser = coins)]
    price: U256,
    /// Millions of steps of one job at most.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    steps: u64,
    /// Seconds within which a job ends, or the buyer is paid back: from 60, a minute, to 604800, a week. If not given: a day, or a week
    /// where you look at results before they leave (`approval`).
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(60..=604_800))]
    time: Option<u32>,
    /// Let programs run as processes too: Python and whatever else is no WebAssembly. The node has to run them as well (`stoa follow
    /// --processes`). A step is a nanosecond of a processor then. Auditors check them if the rules say by how much another run may
    /// differ (`tolerance`).
    #[arg(long)]
    processes: bool,
    #[command(flatten)]
    checks: ChecksOptions,
}

/// How an owner has the receipts of his node checked.
#[derive(Args, Debug)]
pub(crate) struct ChecksOptions {
    /// The public key of a node that has the data as well (`stoa job copy`) and runs jobs again; may be given several times.
    #[arg(long, value_name = "KEY", value_parser = crate::typed::id)]
    auditor: Vec<B256>,
    /// How many of them are drawn for a job that is checked; an odd number, for more than half decide.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16), requires = "auditor")]
    drawn: u8,
    /// Per cent of all jobs that are checked.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, value_parser = percent, requires = "auditor")]
    chance: f64,
    /// Coins that each gets who was drawn and says what most say.
    #[arg(long, value_name = "STOA", default_value = "0", allow_negative_numbers = true, value_parser = coins, requires = "auditor")]
    fee: U256,
    /// Coins that a false receipt costs you, besides what was paid for the job: the buyer gets both.
    #[arg(long, value_name = "STOA", default_value = "0", allow_negative_numbers = true, value_parser = coins, requires = "auditor")]
    stake: U256,
    /// Coins to pay for checks and false receipts from, which the ledger keeps. A job begins only while what it could cost is
    /// free.
    #[arg(long, value_name = "STOA", default_value = "0", allow_negative_numbers = true, value_parser = coins, requires = "auditor")]
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

    /// What checks cost the owner, for people; nothing if there are none.
    pub(crate) fn said(&self) -> Option<String> {
        let [fee, stake, bond] = [self.fee, self.stake, self.bond].map(|amount| units(amount, COIN));
        (!self.auditor.is_empty()).then(|| {
            format!(
                "{bond} are put into its bond. Of it {fee} go to each of {} who check a job, of {} per cent of all; a false receipt \
                 costs {stake}, and what was paid for the job",
                self.drawn, self.chance
            )
        })
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
    #[arg(value_parser = crate::typed::id)]
    asset: B256,
    /// The file or folder, as it was offered.
    path: PathBuf,
    /// The folder of data of the node that checks (`stoa follow --data`).
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// What may leave, as it was offered.
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// The program that may run, as it was offered.
    #[arg(long, value_name = "HASH|FILE", value_parser = algorithm)]
    algorithm: Option<B256>,
}

/// Whom `stoa job allow` allows something.
#[derive(Args)]
#[group(id = "whom", required = true, multiple = false)]
pub(crate) struct Whom {
    /// Who may: his account.
    #[arg(long, value_name = "ADDRESS", value_parser = crate::typed::address)]
    to: Option<Address>,
    /// Whoever has an order that stands of this datatoken, by which an asset is sold (`stoa data buy`).
    #[arg(long, value_name = "DATATOKEN", value_parser = crate::typed::address)]
    to_buyers_of: Option<Address>,
    /// Whoever holds a token of this contract (ERC-20 or ERC-721) when his job begins, and while it runs.
    #[arg(long, value_name = "CONTRACT", value_parser = crate::typed::address)]
    to_holders_of: Option<Address>,
    /// Whoever holds this credential then, as --issuer knows it.
    #[arg(long, value_name = "HASH", value_parser = crate::typed::id, requires = "issuer")]
    credential: Option<B256>,
}

/// Options of `stoa job allow`.
#[derive(Args)]
pub(crate) struct AllowOptions {
    /// The asset.
    #[arg(value_parser = crate::typed::id)]
    asset: B256,
    #[command(flatten)]
    whom: Whom,
    /// The contract that says who holds the credential, by hasCredential(address,bytes32).
    #[arg(long, value_name = "CONTRACT", value_parser = crate::typed::address, requires = "credential")]
    issuer: Option<Address>,
    /// Which service of the datatoken.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "to_buyers_of")]
    service: u32,
    /// The one program that may run: its module, or the BLAKE3 hash of that (`stoa algo build` prints it); any if not given.
    #[arg(long, value_name = "HASH|FILE", value_parser = algorithm)]
    algorithm: Option<B256>,
    #[command(flatten)]
    terms: TermsOptions,
}

/// The rules in a file, or those that are meant of this program if none is named. Where they name no program they name this one, if one
/// is said.
pub(crate) fn read_rules(file: Option<&Path>, program: Option<B256>) -> Result<Rules> {
    let Some(file) = file else {
        return program.map(Rules::usual).wrap_err(
            "which program may run on them? Say --algorithm FILE: of what it leaves, numbers of ten rows or more may leave. Or say with \
             --rules FILE what may leave of which programs (`stoa job rules` prints some to begin with)",
        );
    };
    let bytes = fs::read(file).wrap_err_with(|| format!("cannot read {}", file.display()))?;
    let Some(program) = program else {
        return Rules::read(&bytes).wrap_err_with(|| {
            format!(
                "{} does not say what may leave (--algorithm names the program, where they name none)",
                file.display()
            )
        });
    };
    let rules = Rules::read_for(&bytes, program);
    let rules = rules.wrap_err_with(|| format!("{} does not say what may leave", file.display()))?;
    ensure!(
        rules.algorithms.contains(&program),
        "{} names other programs or publishers, and not {program}",
        file.display()
    );
    Ok(rules)
}

/// What rules let leave, for people. Anybody may have written them: what they call things is cut where it is long.
pub(crate) fn leaving(rules: &Rules) -> Vec<String> {
    let file = |(path, shape): (&String, _)| format!("{}: {}", cut(path), shown(shape));
    let mut lines: Vec<_> = rules.files.iter().map(file).collect();
    let named = rules.algorithms.iter().map(ToString::to_string);
    let named = named.chain(rules.publishers.iter().map(|account| format!("those that {account} publishes")));
    lines.push(match rules.names_programs() {
        true => format!("of these programs: {}", listed(named)),
        false => "of any program that a buyer sends".to_owned(),
    });
    let day = rules.budget_per_day.map_or_else(String::new, |most| format!(", {most} on one day to all"));
    let counts = if rules.round() == 1 { "numbers" } else { "bytes and numbers" };
    let rounds = counted(rules.rounds.into(), "round");
    lines.push(format!("{} {counts} to one buyer in all{day}; {rounds} in a job", rules.budget));
    if rules.log {
        lines.push("what programs print leaves too".to_owned());
    }
    if rules.approval {
        let days = rules.patience() / u64::from(DAY);
        lines.push(format!(
            "nothing before the owner has looked at it (`stoa job held`): within {}, or half of the time that a job has, or it is \
             destroyed, and the job costs nothing",
            counted(days, "day")
        ));
    }
    lines
}

/// What a file may be, for people.
fn shown(shape: &Shape) -> String {
    match shape {
        Shape::Anything { most } => format!("{} of anything, rows of the data too", counted(*most, "byte")),
        Shape::Numbers { most, keys, words, rows } => {
            let rows = match rows {
                Some(rows) => format!("of {} or more, as the program counts them", counted(rows.least, "row")),
                None => "of a single row too".to_owned(),
            };
            let texts = match words.is_empty() {
                true => String::new(),
                false => format!(" or texts ({})", listed(words.iter().map(|word| format!("{:?}", cut(word))))),
            };
            format!("{}{texts} in {}, {rows}", counted(*most, "number"), listed(keys.iter().map(|key| cut(key))))
        }
    }
}

/// What somebody calls something, for a line.
fn cut(name: &str) -> String {
    short(name, MOST_NAME)
}

/// Several names, for a line: the first, and how many more there are.
fn listed(mut names: impl Iterator<Item = String>) -> String {
    let shown = names.by_ref().take(MOST_NAMES).collect::<Vec<_>>().join(", ");
    match names.count() {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Puts data where a node finds them, and tells what programs do not see of them.
fn put(node: &Path, asset: B256, from: &Path, hidden: bool, rules: &Rules) -> Result<(DataSet, PathBuf)> {
    ensure!(
        node.is_dir(),
        "{} is no folder: want the one that the node computes on, which `stoa follow --data DIR` makes",
        node.display()
    );
    let folder = node.join(asset.to_string());
    let (before, bar) = (folder.exists(), progress("copying and hashing"));
    let data = match hidden {
        true => DataSet::create_with_hidden(&folder, from, rules),
        false => DataSet::create(&folder, from, rules),
    };
    bar.finish_and_clear();
    if data.is_err() && !before {
        let _ = fs::remove_dir_all(&folder);
    }
    let data = data.wrap_err_with(|| format!("{} cannot be put into {}", from.display(), folder.display()))?;
    if !data.passed_over.is_empty() {
        let named = listed(data.passed_over.iter().map(|each| cut(each)));
        tracing::warn!("passed over, so that no program sees it: {named}");
    }
    Ok((data, folder))
}

/// Tells that nobody finds a node yet.
async fn warn_of(node: B256, wallet: &Wallet) {
    let registry = Registry::new(Arc::new(wallet.client().clone()));
    if registry.addresses([node]).await.is_ok_and(|found| found.is_empty()) {
        tracing::warn!("node {node} is not registered: no job begins on the data before it is (`stoa node join`)");
    }
}

/// Gives a node that checks jobs the data that they are computed on.
pub(super) async fn copy(options: CopyOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let CopyOptions { asset, path, data, rules, algorithm } = options;
    let rules = read_rules(rules.as_deref(), algorithm)?;
    let offer = stoa_client::view(&wallet.client(), JOBS, &offerOfCall { asset }).await;
    let (offer, _) = offer.wrap_err(UNASKED)?;
    ensure!(!offer.node.is_zero(), "nobody computes on asset {asset}: is it another one?");
    // Whether it is to be there, who offered it has said: its hash is compared.
    let (copied, folder) = put(&data, asset, &path, true, &rules)?;
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

pub(super) async fn bond(asset: B256, amount: U256, back: bool, wallet: &WalletOptions, json: bool) -> Result<()> {
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
        false => println!("bond {}, {} of it reserved", units(now.bond, token), units(now.reserved, token)),
    }
    Ok(())
}

/// Seconds of one job at most: those that are said, or as many as it takes under these rules.
pub(crate) fn time_of(said: Option<u32>, rules: &Rules) -> u32 {
    said.unwrap_or(if rules.approval { 7 * DAY } else { DAY })
}

/// Data that others may compute on, before they are offered.
pub(crate) struct Offering<'a> {
    /// The file or folder.
    pub(crate) path: &'a Path,
    /// Whether what is hidden in a folder is offered as well.
    pub(crate) hidden: bool,
    /// The node's folder of data.
    pub(crate) data: &'a Path,
    /// The node's public key.
    pub(crate) node: B256,
    /// What may leave.
    pub(crate) rules: &'a Rules,
    /// Coins for each job.
    pub(crate) base: U256,
    /// Coins for each million steps.
    pub(crate) price: U256,
    /// Millions of steps of one job at most.
    pub(crate) steps: u64,
    /// Seconds of one job at most, if they are said.
    pub(crate) time: Option<u32>,
    /// Whether programs may run as processes.
    pub(crate) processes: bool,
    /// How its receipts are checked.
    pub(crate) checks: &'a ChecksOptions,
}

/// Puts a copy of data where their owner's node finds it, and offers computing on it. The asset.
pub(crate) async fn offer_data(wallet: &Wallet, offering: &Offering<'_>) -> Result<(B256, DataSet)> {
    let (rules, checks) = (offering.rules, offering.checks.checks());
    let checked = if rules.tolerance.is_some() { REPEATABLE } else { 0 };
    let runtimes = if offering.processes { WASM | PROCESS | checked } else { WASM };
    let (drawn, auditors) = (usize::from(checks.drawn), checks.auditors.len());
    ensure!(drawn <= auditors, "--drawn {drawn}: only {auditors} are named that may be drawn (--auditor)");
    let (owner, salt) = (Owner::new(wallet.clone()), B256::from(rand::random::<[u8; 32]>()));
    let asset = owner.asset(salt);
    let (data, folder) = put(offering.data, asset, offering.path, offering.hidden, rules)?;
    warn_of(offering.node, wallet).await;
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
            time: time_of(offering.time, rules),
            runtimes,
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

pub(super) async fn offer(options: OfferOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let rules = &read_rules(options.rules.as_deref(), options.algorithm)?;
    let OfferOptions { path, hidden, data, checks, node, base, price, steps, time, processes, .. } = &options;
    let (hidden, node, base, price) = (*hidden, *node, *base, *price);
    let (steps, time, processes) = (*steps, *time, *processes);
    let offering = Offering { path, hidden, data, node, rules, base, price, steps, time, processes, checks };
    let (asset, data) = offer_data(&wallet.open().await?, &offering).await?;
    let leaves = leaving(&data.rules);
    match json {
        true => {
            let rules = data.rules.hash();
            let passed_over = &data.passed_over;
            println!(
                "{}",
                json!({ "asset": asset, "data": data.hash, "rules": rules, "leaves": leaves, "passedOver": passed_over })
            );
        }
        false => {
            println!("{asset}\noffered; nobody may run anything on it until you say who (`stoa job allow`)");
            println!("What may leave then:\n  {}", leaves.join("\n  "));
        }
    }
    Ok(())
}

pub(super) async fn allow(options: AllowOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let who = match (options.whom, options.issuer) {
        (Whom { to: Some(account), .. }, _) => Who::Account(account),
        (Whom { to_buyers_of: Some(datatoken), .. }, _) => Who::Order(datatoken, options.service),
        (Whom { to_holders_of: Some(token), .. }, _) => Who::Holders(Holders::Token(token)),
        (Whom { credential: Some(credential), .. }, Some(issuer)) => {
            Who::Holders(Holders::Credential { issuer, credential })
        }
        _ => bail!("who may? Say --to, --to-buyers-of, --to-holders-of, or --credential and --issuer"),
    };
    let account = wallet.open().await?;
    let until = options.terms.until(account.client()).await?;
    let TermsOptions { purpose, times: limit, .. } = options.terms;
    let allowed = consent::terms(&purpose, until, limit);
    let leave = Leave { who, algorithm: options.algorithm.unwrap_or_default(), until, purpose, limit };
    let asset = options.asset;
    let (offer, _) = stoa_client::view(account.client(), JOBS, &offerOfCall { asset }).await.wrap_err(UNASKED)?;
    let offered = !offer.node.is_zero();
    let grant = Owner::new(account).grant(asset, leave.clone()).await?;
    if !offered {
        tracing::warn!(
            "nobody computes on asset {asset}, so that no job can begin under this grant: data that `stoa job offer` offers are an asset \
             of their own, and of what is sealed `stoa data grant` lets somebody read"
        );
    }
    match json {
        true => println!("{}", told(grant, asset, &leave, offered)),
        false => println!("{grant}\n{allowed}"),
    }
    Ok(())
}

/// A grant for programs: who may have which one run, for what, until when and how often, and whether somebody computes on the asset.
fn told(grant: B256, asset: B256, leave: &Leave, offered: bool) -> Value {
    let Leave { who, algorithm, purpose, until, limit } = leave;
    let (algorithm, until) = ((!algorithm.is_zero()).then_some(algorithm), (*until > 0).then(|| iso_8601(*until)));
    let mut said = json!({
        "grant": grant, "asset": asset, "to": null, "toBuyersOf": null, "service": null, "toHoldersOf": null, "credential": null,
        "issuer": null, "algorithm": algorithm, "until": until, "purpose": purpose, "times": (*limit > 0).then_some(limit),
        "offered": offered,
    });
    match who {
        Who::Account(account) => said["to"] = json!(account),
        Who::Order(datatoken, service) => {
            said["toBuyersOf"] = json!(datatoken);
            said["service"] = json!(service);
        }
        Who::Holders(Holders::Token(token)) => said["toHoldersOf"] = json!(token),
        Who::Holders(Holders::Credential { issuer, credential }) => {
            said["issuer"] = json!(issuer);
            said["credential"] = json!(credential);
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Allowing {
        #[command(flatten)]
        options: AllowOptions,
    }

    #[test]
    fn whoever_allows_nobody_anything_is_told_of_the_ways_to_say_whom() {
        let (asset, to) = (B256::ZERO.to_string(), Address::ZERO.to_string());
        let typed = |more: &[&str]| Allowing::try_parse_from([&["allow", asset.as_str()][..], more].concat());
        let why = typed(&[]).err().unwrap().to_string();
        assert!(
            ["--to <ADDRESS>", "--to-buyers-of <DATATOKEN>", "--to-holders-of"].iter().all(|way| why.contains(way)),
            "{why}"
        );
        let credential = B256::ZERO.to_string();
        assert!(typed(&["--credential", &credential]).is_err());
        let known = typed(&["--credential", &credential, "--issuer", &to]).ok().unwrap().options;
        assert_eq!((known.whom.credential, known.issuer), (Some(B256::ZERO), Some(Address::ZERO)));
        assert_eq!(typed(&["--to", &to]).ok().unwrap().options.whom.to, Some(Address::ZERO));
        assert_eq!(typed(&["--to-buyers-of", &to, "--service", "1"]).ok().unwrap().options.service, 1);
        assert!(typed(&["--to", &to, "--to-buyers-of", &to]).is_err());
    }

    #[test]
    fn programs_are_told_of_a_grant_what_people_are() {
        let (id, contract) = (B256::repeat_byte(1), Address::repeat_byte(2));
        let said = |who, algorithm, limit| {
            let purpose = "https://w3id.org/dpv#ScientificResearch".to_owned();
            told(id, id, &Leave { who, algorithm, purpose, until: 951_787_425, limit }, true)
        };
        let order = said(Who::Order(contract, 3), id, 2);
        assert_eq!((&order["toBuyersOf"], &order["service"]), (&json!(contract), &json!(3)));
        assert_eq!((&order["algorithm"], &order["times"]), (&json!(id), &json!(2)));
        assert_eq!((&order["until"], &order["to"]), (&json!("2000-02-29T01:23:45Z"), &Value::Null));
        assert_eq!(order["purpose"], "https://w3id.org/dpv#ScientificResearch");
        let account = said(Who::Account(contract), B256::ZERO, 0);
        assert_eq!((&account["to"], &account["toBuyersOf"]), (&json!(contract), &Value::Null));
        assert_eq!((&account["algorithm"], &account["times"]), (&Value::Null, &Value::Null));
        let token = said(Who::Holders(Holders::Token(contract)), id, 0);
        assert_eq!(token["toHoldersOf"], json!(contract));
        let known = said(Who::Holders(Holders::Credential { issuer: contract, credential: id }), id, 0);
        assert_eq!((&known["issuer"], &known["credential"]), (&json!(contract), &json!(id)));
    }

    #[test]
    fn who_says_nothing_of_what_may_leave_names_the_program_and_lets_nothing_of_a_few_rows_leave() {
        let why = read_rules(None, None).unwrap_err().to_string();
        assert!(why.contains("--algorithm FILE") && why.contains("--rules FILE"), "{why}");
        let rules = read_rules(None, Some(B256::repeat_byte(1))).unwrap();
        assert_eq!((rules.algorithms.as_slice(), rules.publishers.len()), ([B256::repeat_byte(1)].as_slice(), 0));
        let leaves = |rows: u32| {
            let result = format!(r#"{{"rows":{rows},"values":[1.5]}}"#).into_bytes();
            rules.leaving(&[("result.json".to_owned(), result)].into(), rules.budget).is_ok()
        };
        assert!(leaves(10) && !leaves(9) && !leaves(1));
    }

    #[test]
    fn what_may_leave_is_said_before_it_does() {
        let usual = leaving(&Rules::usual(B256::repeat_byte(1))).join("\n");
        assert!(usual.contains("1000 numbers in rows, values, of 10 rows or more"), "{usual}");
        assert!(usual.contains("0x0101") && usual.contains("10000 numbers to one buyer"), "{usual}");
        let any = r#"{"files":{"a.json":{"kind":"numbers","most":9,"keys":["n"]},"b":{"kind":"anything","most":7}},
            "rounds":1,"budget":10,"budgetPerDay":9,"approval":true,"log":true}"#;
        let any = leaving(&Rules::read(any.as_bytes()).unwrap()).join("\n");
        for part in ["of a single row too", "7 bytes of anything", "any program", "9 on one day", "print", "job held"] {
            assert!(any.contains(part), "{part} is not in {any}");
        }
    }

    #[test]
    fn texts_that_may_leave_are_said_and_no_line_has_no_end() {
        let said = |path: &str, keys: Vec<String>, words: Vec<String>| {
            let shape = Shape::Numbers { most: 9, keys, words, rows: None };
            leaving(&Rules { files: [(path.to_owned(), shape)].into(), ..Rules::default() }).swap_remove(0)
        };
        let texts = said("a.json", vec!["answer".into()], vec!["yes".into(), "no\u{1b}[2J".into()]);
        assert_eq!(texts, r#"a.json: 9 numbers or texts ("yes", "no [2J") in answer, of a single row too"#);
        let many: Vec<_> = (0..5000).map(|number| format!("{number}{}", "x".repeat(200))).collect();
        let long = said(&"x".repeat(5000), many.clone(), many);
        assert!(long.chars().count() < 5000 && long.matches("and 4980 more").count() == 2, "{long}");
        assert!(long.ends_with("of a single row too"), "{long}");
        let programs = Rules { algorithms: vec![B256::ZERO; 23], ..Rules::default() };
        assert!(leaving(&programs)[1].ends_with(" and 3 more"));
    }

    #[test]
    fn data_go_where_a_node_looks_for_them_and_nothing_is_left_of_what_was_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [node, rows] = ["node", "rows.csv"].map(|name| folder.path().join(name));
        let rules = Rules::usual(B256::ZERO);
        let put = |asset: u8| put(&node, B256::repeat_byte(asset), &rows, false, &rules);
        assert!(put(1).unwrap_err().to_string().contains("`stoa follow --data DIR`"));
        fs::create_dir(&node).unwrap();
        assert!(put(1).is_err(), "there are no rows yet");
        assert_eq!(fs::read_dir(&node).unwrap().count(), 0);
        fs::write(&rows, "age\n63\n").unwrap();
        let (_, place) = put(1).unwrap();
        assert!(put(1).is_err() && place.join("files/rows.csv").exists(), "nothing is put over what is there");
    }

    #[test]
    fn rules_that_take_a_programs_word_name_it_once_it_is_said() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let rules = r#"{"files":{"result.json":{"kind":"numbers","most":9,"keys":["rows"],"rows":{"key":"rows","least":10}}},"rounds":1,"budget":9}"#;
        fs::write(file.path(), rules).unwrap();
        let (program, file) = (B256::repeat_byte(1), Some(file.path()));
        let why = read_rules(file, None).unwrap_err().to_string();
        assert!(why.contains("--algorithm"), "{why}");
        assert_eq!(read_rules(file, Some(program)).unwrap().algorithms, [program]);
        let other = rules.replace(r#""rounds""#, &format!(r#""algorithms":["{}"],"rounds""#, B256::repeat_byte(2)));
        fs::write(file.unwrap(), other).unwrap();
        assert!(read_rules(file, Some(program)).unwrap_err().to_string().contains("names other programs"));
    }
}

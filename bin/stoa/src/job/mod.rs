//! `stoa job`: programs that run on data where they are.

mod later;
mod offer;
mod run;
mod show;

use crate::{algo::check_program, network::wait, node::coins, wallet::WalletOptions};
use alloy_primitives::{Address, B256, U256};
use clap::{Args, Subcommand};
use eyre::{ContextCompat as _, Result, WrapErr as _, bail};
use later::{ApproveOptions, DecisionOptions, ResultOptions};
use offer::{AllowOptions, CopyOptions, OfferOptions};
pub(crate) use offer::{ChecksOptions, Offering, leaving, offer_data, read_rules, time_of};
use run::RunOptions;
pub(crate) use run::{LEFT, PARAMS, PROVENANCE, STEPS, buyer};
use serde_json::{Map, Value};
use show::VerifyOptions;
pub(crate) use show::{by_number, params};
use std::{
    fs,
    path::{Path, PathBuf},
};
use stoa_client::{Client, ViewError, view};
use stoa_data::jobs::{
    self,
    abi::{
        IJobs::{Job, jobOfCall},
        JOBS,
    },
    rules::Rules,
};

/// How a job stands, as the ledger says.
const STATES: [&str; 5] = ["none", "running", "finished", "expired", "refuted"];

/// How a job ended, as its receipt says.
const ENDS: [&str; 6] = ["succeeded", "failed", "limited", "stopped", "withheld", "broken"];

/// How it stands with the check of a receipt.
const CHECKS: [&str; 7] = ["none", "waiting for the draw", "drawn", "confirmed", "false", "undecided", "spared"];

/// What somebody has to know who reads this for the first time.
const WORDS: &str = "\
Words: an asset is somebody's data, by their id on the ledger. Its offer says which node computes on it, for how much, and by which \
rules: what may leave, of which programs. A grant lets somebody have programs run on it. A job is one program on one asset, in one \
round or several. It is paid by steps: instructions of WebAssembly, or nanoseconds of a processor for other programs. What it may cost \
at most is held on the ledger until its receipt, which the node signs, pays the owner for what was done and gives the rest back.\n\n\
Examples: stoa job run --algorithm mean.wasm --on 0x5f8e… --to result --wallet me.key\n          \
stoa job offer patients.csv --data node-data --node 0x3b6a… --algorithm mean.wasm --price 0.0001 --wallet me.key";

/// Options of `stoa job`.
#[derive(Args)]
#[command(after_help = WORDS)]
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
        after_help = "Examples: stoa job offer patients.csv --data node-data --node 0x3b6a… --algorithm mean.wasm --price 0.0001 --wallet me.key\n          stoa job offer patients.csv --data node-data --node 0x3b6a… --rules rules.json --price 0.0001 --wallet me.key"
    )]
    Offer(OfferOptions),
    /// Let somebody have programs run on an asset of yours (a grant). Prints the grant's id, and until when, for what and how
    /// often it is; `stoa data revoke` ends it.
    #[command(
        after_help = "Examples: stoa job allow 0x5f8e… --to 0x7099… --purpose ScientificResearch --wallet me.key\n          stoa job allow 0x5f8e… --to-buyers-of 0x90f7… --algorithm train.wasm --wallet me.key\n          stoa job allow 0x5f8e… --to-holders-of 0x5fbd… --days 30 --wallet me.key\n          stoa job allow 0x5f8e… --to 0x7099… --until 2027-01-31T18:00:00Z --wallet me.key"
    )]
    Allow(AllowOptions),
    /// Have a program run on the data of one or several owners, each beside its data, and get what may leave. A plan
    /// has it run several times, and combines what leaves on this machine in between. Each owner's node is asked first
    /// whether it is there and would do it: until all of them say so, nothing is paid.
    ///
    /// A plan is JSON: {"combine": {…}, "pass": "model", "rounds": [{"params": {…}, "times": 10}, …]}. After each round the program
    /// of --combine (else the same one) runs here with the parameters of "combine", and sees what left as /data/<number>; its
    /// result.json is the parameter "pass" of the next round.
    #[command(
        after_help = "Examples: stoa job run --algorithm mean.wasm --on 0x5f8e… --to result --wallet me.key\n          stoa job run --algorithm train.wasm --plan plan.json --on 0x5f8e…,0x91ab… --to model --wallet me.key\n          stoa job run --algorithm train.py --on 0x5f8e… --detach --wallet me.key"
    )]
    Run(RunOptions),
    /// List the jobs on an asset.
    #[command(after_help = "Example: stoa job list --on 0x5f8e…")]
    List {
        /// The asset, by its id, as `stoa job offer` printed it.
        #[arg(long, value_name = "ASSET", value_parser = crate::typed::id)]
        on: Option<B256>,
    },
    /// Tell how a job of yours stands: on the ledger, and at the node that does it. Where that does not answer, until when it
    /// has time: after that, `stoa job expire` gives everything back.
    #[command(after_help = "Example: stoa job status 0x77d1… --wallet me.key")]
    Status {
        /// The job.
        #[arg(value_parser = crate::typed::id)]
        job: B256,
    },
    /// Fetch what left in the newest round of a job of yours, which its node keeps for a week sealed to your wallet, and end the job. It
    /// lies in the folder as `stoa job run` would have left it.
    #[command(after_help = "Example: stoa job result 0x77d1… --to result --wallet me.key")]
    Result(ResultOptions),
    /// End a job of yours; what it has used is paid.
    #[command(after_help = "Example: stoa job cancel 0x77d1… --wallet me.key")]
    Cancel {
        /// The job.
        #[arg(value_parser = crate::typed::id)]
        job: B256,
    },
    /// Give back what is held for a job whose receipt did not come in time, for its node is gone. Anybody may; it goes to the
    /// buyer.
    #[command(after_help = "Example: stoa job expire 0x77d1… --wallet me.key")]
    Expire {
        /// The job.
        #[arg(value_parser = crate::typed::id)]
        job: B256,
    },
    /// List what would leave of your data and waits for you to look at it, where your rules say `"approval": true`. It does so for three
    /// days, or as many as they say (`approvalDays`), and no longer than half of the time that a job has: then it is destroyed, and you
    /// get nothing for the job.
    #[command(after_help = "Example: stoa job held --data node-data")]
    Held {
        /// The node's folder of data (`stoa follow --data`).
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Let what waits of a job leave, if it is what you have looked at: what lies there now has the digest that `stoa job held` printed.
    #[command(after_help = "Example: stoa job approve 0x77d1… --digest 0x3c1f… --data node-data")]
    Approve(ApproveOptions),
    /// Let nothing of what waits of a job leave. The job ends; what it used is paid.
    #[command(after_help = "Example: stoa job refuse 0x77d1… --data node-data")]
    Refuse(DecisionOptions),
    /// Put the data of an asset where a node finds them that checks its jobs. They, the rules and the program that the rules name are
    /// those that were offered.
    #[command(after_help = "Example: stoa job copy 0x5f8e… patients.csv --data auditor-data --rules rules.json")]
    Copy(CopyOptions),
    /// Add coins to the bond of an asset: money of its owner's, from which checks are paid, and buyers where a receipt was
    /// false.
    #[command(after_help = "Example: stoa job bond 0x5f8e… 100 --wallet me.key")]
    Bond {
        /// The asset.
        #[arg(value_parser = crate::typed::id)]
        asset: B256,
        /// Coins.
        #[arg(value_name = "STOA", value_parser = coins)]
        amount: U256,
    },
    /// Take coins of an asset's bond back, so far as they are not reserved for jobs.
    #[command(after_help = "Example: stoa job unbond 0x5f8e… 100 --wallet me.key")]
    Unbond {
        /// The asset.
        #[arg(value_parser = crate::typed::id)]
        asset: B256,
        /// Coins.
        #[arg(value_name = "STOA", value_parser = coins)]
        amount: U256,
    },
    /// Take what the contract of jobs keeps for you because a token did not pay you: it does not serve your account, or that is a contract
    /// which refused.
    #[command(after_help = "Example: stoa job withdraw 0xa0b8… --to 0x7099… --wallet me.key")]
    Withdraw {
        /// The token.
        #[arg(value_name = "TOKEN", value_parser = crate::typed::address)]
        token: Address,
        /// Who gets it; your own account if nobody is named.
        #[arg(long, value_name = "ADDRESS", value_parser = crate::typed::address)]
        to: Option<Address>,
    },
    /// Show a job, whosever it is: what it computes on, under which grant, how it stands, its receipt and how that was
    /// checked.
    #[command(after_help = "Example: stoa job show 0x77d1…")]
    Show {
        /// The job.
        #[arg(value_parser = crate::typed::id)]
        job: B256,
    },
    /// Run a finished job again, on data that you have, and compare what comes of it with its receipt, bit for bit. Of
    /// WebAssembly alone: another run of a process need not come to the same.
    #[command(
        after_help = "Example: stoa job verify 0x77d1… --algorithm train.wasm --data node-data --params model/params"
    )]
    Verify(VerifyOptions),
    /// Print the rules that `stoa job offer` uses if none are said, to begin your own with. It adds the program
    /// that its --algorithm names.
    #[command(after_help = "Example: stoa job rules > rules.json")]
    Rules,
}

impl Command {
    /// Whether somebody's account signs something for it, or opens what was sealed to it.
    const fn signs(&self) -> bool {
        !matches!(
            self,
            Self::List { .. }
                | Self::Held { .. }
                | Self::Approve(_)
                | Self::Refuse(_)
                | Self::Copy(_)
                | Self::Show { .. }
                | Self::Verify(_)
                | Self::Rules
        )
    }
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

/// What whoever names no asset is told.
const ON_WHAT: &str = "which jobs? The ledger lists them by the asset that they are on: say --on ASSET, its id (`stoa data show` tells \
                       that of a DID, `stoa job show` that of a job)";

/// Why nothing is known where nobody answers.
const UNASKED: &str = "the ledger cannot be asked";

/// A job as the ledger has it.
async fn known(client: &Client, job: B256) -> Result<Job> {
    match view(client, JOBS, &jobOfCall { job }).await {
        Ok((is, _)) => Ok(is),
        Err(ViewError::Reverted(_)) => bail!("there is no job {job} (`stoa job list --on ASSET` lists an asset's)"),
        Err(error) => Err(error).wrap_err(UNASKED),
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).wrap_err_with(|| format!("cannot read {}", file.display()))
}

/// A program by its hash, or its file.
pub(crate) fn algorithm(text: &str) -> Result<B256, String> {
    if let Ok(hash) = text.parse() {
        return Ok(hash);
    }
    let module =
        fs::read(text).map_err(|error| format!("it is neither a hash nor a file that can be read ({error})"))?;
    check_program(Path::new(text), &module).map_err(|error| error.to_string())?;
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
    if !command.signs() {
        wallet.unused();
    }
    match command {
        Command::Offer(options) => wait(offer::offer(options, &wallet, json))?,
        Command::Allow(options) => wait(offer::allow(options, &wallet, json))?,
        Command::Run(options) => wait(run::run_on(options, &wallet, json))?,
        Command::List { on } => wait(show::list(on.wrap_err(ON_WHAT)?, &wallet, json))?,
        Command::Status { job } => wait(later::status(job, &wallet, json))?,
        Command::Result(options) => wait(later::result(options, &wallet, json))?,
        Command::Cancel { job } => wait(later::cancel(job, &wallet, json))?,
        Command::Expire { job } => wait(later::expire(job, &wallet, json))?,
        Command::Held { data } => later::held(&data, json),
        Command::Approve(options) => later::approve(&options, json),
        Command::Refuse(options) => later::refuse(&options, json),
        Command::Show { job } => wait(show::show(job, &wallet, json))?,
        Command::Verify(options) => wait(show::verify(options, &wallet, json))?,
        Command::Copy(options) => wait(offer::copy(options, &wallet, json))?,
        Command::Bond { asset, amount } => wait(offer::bond(asset, amount, false, &wallet, json))?,
        Command::Unbond { asset, amount } => wait(offer::bond(asset, amount, true, &wallet, json))?,
        Command::Withdraw { token, to } => wait(later::withdraw(token, to, &wallet, json))?,
        Command::Rules => {
            println!("{}", String::from_utf8_lossy(&Rules::default().to_json()));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn whoever_names_an_account_where_nothing_is_signed_is_told() {
        let id = B256::ZERO.to_string();
        let signs = |words: &[&str]| {
            let words = [&["stoa"][..], words, &["--wallet", "me.key"]].concat();
            Typed::try_parse_from(words).unwrap().options.command.signs()
        };
        assert!(signs(&["status", &id]) && signs(&["cancel", &id]));
        assert!(!signs(&["show", &id]) && !signs(&["list", "--on", &id]));
        assert!(!signs(&["verify", &id, "--algorithm", "a.wasm", "--data", "data", "--params", "params"]));
    }

    #[test]
    fn whoever_lists_jobs_and_names_no_asset_is_told_how_to() {
        let typed = Typed::try_parse_from(["stoa", "list"]).unwrap();
        let why = run(typed.options, true).unwrap_err().to_string();
        assert!(why.contains("--on ASSET") && why.contains("`stoa data show`"), "{why}");
    }

    #[test]
    fn a_program_is_named_by_its_hash_or_by_its_file() {
        let place = tempfile::NamedTempFile::new().unwrap();
        fs::write(place.path(), "\0asm, a module").unwrap();
        let hash = jobs::algorithm(b"\0asm, a module");
        assert_eq!(algorithm(&place.path().to_string_lossy()), Ok(hash));
        assert_eq!(algorithm(&hash.to_string()), Ok(hash));
        assert!(algorithm("train.wsam").is_err_and(|why| why.contains("neither")));
        fs::write(place.path(), "name,age\nBob,63\n").unwrap();
        assert!(algorithm(&place.path().to_string_lossy()).is_err_and(|why| why.contains("is no program")));
    }
}

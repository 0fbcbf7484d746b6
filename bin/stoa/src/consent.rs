//! `stoa consent`: who was allowed what, by whom, and what they did with it.

mod breach;
mod people;
mod purpose;

pub(crate) use breach::RELEASES;
pub(crate) use people::{PeopleOptions, names};
pub(crate) use purpose::purpose;

use crate::network;
use alloy_primitives::B256;
use clap::{Args, Subcommand};
use eyre::{Result, WrapErr as _};
use indicatif::{ProgressBar, ProgressStyle};
use stoa_base::now;
use stoa_client::{Client, counted, utc};
use stoa_data::record::Record;

/// Commands on consent.
#[derive(Subcommand)]
#[command(
    after_help = "Examples: stoa consent log 0x5f8e…\n          stoa consent breach 0x5f8e… --network-key 0x8a… --evidence breach.json"
)]
pub(crate) enum Command {
    /// Show all that happened to an asset: grants, uses, revocations, moves of its keepers, its end.
    ///
    /// With --json it is a JSON-LD document: a dpv:ConsentRecord for each grant (Data Privacy Vocabulary), a prov:Activity for
    /// each use.
    #[command(after_help = "Example: stoa consent log 0x5f8e… --http http://127.0.0.1:8545 --json > record.jsonld")]
    Log(LogOptions),
    /// Find keepers that released their share of an asset's key after the grant was revoked: what they signed, which `stoa data get`
    /// has kept, is compared with the ledger, with nothing but the network key. What is found is evidence that others check the same
    /// way.
    #[command(
        after_help = "Examples: stoa consent breach 0x5f8e… --network-key 0x8a… --evidence breach.json\n          stoa consent breach --verify breach.json --network-key 0x8a…"
    )]
    Breach(breach::BreachOptions),
}

/// The longest grant that has an end: a hundred years. What somebody types beyond that is a slip.
const MOST_DAYS: u64 = 36_500;

/// For what and for how long a grant is, as its owner types it.
#[derive(Args)]
pub(crate) struct TermsOptions {
    /// For what: a purpose of the W3C Data Privacy Vocabulary (https://w3id.org/dpv), by its name or its whole IRI.
    #[arg(long, value_name = "PURPOSE", default_value = "ServiceProvision", value_parser = purpose)]
    pub(crate) purpose: String,
    /// For how many days, 36,500 at most; 0 for no end.
    #[arg(long, value_name = "DAYS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=MOST_DAYS))]
    days: u64,
    /// How often in all; 0 for any number of times.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) times: u32,
}

impl TermsOptions {
    /// Until when, in seconds since 1970; 0 for no end. This machine's clock tells it, which must agree with the network's.
    pub(crate) async fn until(&self, client: &Client) -> Result<u64> {
        if self.days == 0 {
            return Ok(0);
        }
        client.check_clock().await?;
        Ok(now() + self.days * 24 * 3600)
    }
}

/// What a grant is for, until when and how often, for people.
pub(crate) fn terms(purpose: &str, until: u64, times: u32) -> String {
    let until = if until == 0 { "without end".to_owned() } else { format!("until {}", utc(until)) };
    let times = if times == 0 { "any number of times".to_owned() } else { counted(times.into(), "time") };
    format!("{until}, for {}, {times}", names(&[purpose.to_owned()]))
}

/// Options of `stoa consent log`.
#[derive(Args)]
pub(crate) struct LogOptions {
    /// The asset's id.
    #[arg(value_parser = crate::typed::id)]
    asset: B256,
    /// The node that is asked.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    http: String,
}

/// Runs `stoa consent`.
pub(crate) fn run(command: Command, json: bool) -> Result<()> {
    match command {
        Command::Log(options) => log(&options, json),
        Command::Breach(options) => breach::run(&options, json),
    }
}

fn log(options: &LogOptions, json: bool) -> Result<()> {
    let client = Client::new(&options.http);
    let style = ProgressStyle::with_template("reading blocks {bar:40} {pos} of {len}");
    // Nothing is drawn where nobody looks.
    let bar = ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let record = network::wait(Record::read(&client, options.asset, |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    }))?;
    bar.finish_and_clear();
    let record = record.wrap_err("the record of consent cannot be read")?;
    match json {
        true => println!("{}", record.json_ld()),
        false => println!("{record}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        terms: TermsOptions,
    }

    #[derive(Parser)]
    struct Asked {
        #[command(flatten)]
        log: LogOptions,
    }

    #[test]
    fn what_is_no_asset_is_told_what_one_looks_like() {
        let asked = |text: &str| Asked::try_parse_from(["stoa", text]).map(|asked| asked.log.asset);
        assert_eq!(asked(&B256::ZERO.to_string()).ok(), Some(B256::ZERO));
        let why = asked("did:op:5f8e").unwrap_err().to_string();
        assert!(why.contains("64 hex digits") && why.contains("`stoa data show`"), "{why}");
    }

    #[test]
    fn the_end_of_a_grant_is_told_and_what_it_is_for() {
        let research = "https://w3id.org/dpv#ScientificResearch";
        assert_eq!(terms(research, 951_787_425, 3), "until 2000-02-29 01:23:45 UTC, for ScientificResearch, 3 times");
        assert_eq!(terms(research, 0, 0), "without end, for ScientificResearch, any number of times");
        assert!(terms(research, 0, 1).ends_with("1 time"));
    }

    #[tokio::test]
    async fn a_grant_without_end_asks_no_clock() {
        let nobody = Client::new("http://127.0.0.1:1");
        let until = async |days: &str| {
            let typed = Typed::try_parse_from(["stoa", "--days", days]).unwrap();
            typed.terms.until(&nobody).await
        };
        assert_eq!(until("0").await.unwrap(), 0);
        assert!(until("1").await.is_err(), "nobody tells the time");
    }

    #[test]
    fn a_grant_ends_within_a_hundred_years_or_never() {
        let days = |days: &str| Typed::try_parse_from(["stoa", "--days", days]).map(|typed| typed.terms.days).ok();
        assert_eq!([days("0"), days("90"), days("36500")], [Some(0), Some(90), Some(36_500)]);
        assert_eq!([days("36501"), days("99999999999")], [None, None]);
    }
}

//! `stoa consent`: who was allowed what, by whom, and what they did with it.

mod breach;
mod people;
mod purpose;

pub(crate) use breach::RELEASES;
pub(crate) use people::{PeopleOptions, names};
pub(crate) use purpose::purpose;

use crate::network;
use alloy_primitives::B256;
use chrono::DateTime;
use clap::{Args, Subcommand};
use eyre::{Result, WrapErr as _, ensure};
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
    /// For how many hours, instead of days.
    #[arg(long, value_name = "HOURS", conflicts_with = "days", value_parser = clap::value_parser!(u64).range(1..=24 * MOST_DAYS))]
    hours: Option<u64>,
    /// Until when, instead of for how long: a moment within a hundred years, as RFC 3339 has it, such as 2027-01-31T18:00:00Z.
    #[arg(long, value_name = "MOMENT", conflicts_with_all = ["days", "hours"], value_parser = moment)]
    until: Option<u64>,
    /// How often in all; 0 for any number of times.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) times: u32,
}

impl TermsOptions {
    /// Until when, in seconds since 1970; 0 for no end. This machine's clock tells it, which must agree with the network's.
    pub(crate) async fn until(&self, client: &Client) -> Result<u64> {
        let seconds = self.hours.unwrap_or(24 * self.days) * 3600;
        if seconds == 0 && self.until.is_none() {
            return Ok(0);
        }
        client.check_clock().await?;
        ends(now(), seconds, self.until)
    }
}

/// When what is granted now for so many seconds ends, or at this moment if one is said.
fn ends(now: u64, seconds: u64, moment: Option<u64>) -> Result<u64> {
    let Some(moment) = moment else { return Ok(now + seconds) };
    ensure!(moment > now, "{} is over", utc(moment));
    ensure!(moment - now <= MOST_DAYS * 24 * 3600, "{} is more than a hundred years away", utc(moment));
    Ok(moment)
}

/// A moment as RFC 3339 has it, in seconds since 1970. What is less than a second is cut off.
fn moment(text: &str) -> Result<u64, String> {
    let seconds = DateTime::parse_from_rfc3339(text).ok().and_then(|moment| u64::try_from(moment.timestamp()).ok());
    seconds
        .ok_or_else(|| format!("want a moment such as 2027-01-31T18:00:00Z or 2027-01-31T19:00:00+01:00, got {text}"))
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
    fn a_moment_is_what_rfc_3339_has() {
        // As `date +%s --date=…` has them.
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T01:23:45Z", 951_787_425),
            ("2027-01-31t18:00:00.999z", 1_801_418_400),
            ("2027-01-31T19:30:00+01:30", 1_801_418_400),
            ("2027-01-31T00:00:00-18:00", 1_801_418_400),
            ("2100-03-01T00:00:00+00:00", 4_107_542_400),
        ] {
            assert_eq!(moment(text), Ok(seconds), "{text}");
        }
        for wrong in [
            "",
            "tomorrow",
            "1800000000",
            "2027-01-31",
            "2027-01-31T18:00:00",
            "2027-02-29T00:00:00Z",
            "2027-13-01T00:00:00Z",
            "2027-00-01T00:00:00Z",
            "2027-01-00T00:00:00Z",
            "2027-01-31T24:00:00Z",
            "2027-01-31T18:60:00Z",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "+027-01-31T18:00:00Z",
            "2027/01/31T18:00:00Z",
            "2027-01-31T18:00:00.Z",
            "2027-01-31T18:00:00+1:00",
            "2027-01-31T18:00:00-24:00",
            "1970-01-01T00:00:00+01:00",
        ] {
            assert!(moment(wrong).is_err_and(|why| why.contains("2027-01-31T18:00:00Z")), "{wrong}");
        }
    }

    #[test]
    fn a_grant_ends_after_days_or_hours_or_at_a_moment_to_come() {
        let typed = |words: &[&str]| Typed::try_parse_from([&["stoa"][..], words].concat()).map(|typed| typed.terms);
        let hours = typed(&["--hours", "36"]).ok().unwrap();
        assert_eq!((hours.hours, hours.days, hours.until), (Some(36), 0, None));
        assert_eq!(typed(&["--until", "2027-01-31T18:00:00Z"]).ok().unwrap().until, Some(1_801_418_400));
        let moment = ["--until", "2027-01-31T18:00:00Z"];
        let [days, hours] = ["--days", "--hours"].map(|option| [option, "1"]);
        for (one, other) in [(days, hours), (days, moment), (hours, moment)] {
            assert!(typed(&[one, other].concat()).is_err(), "{one:?} {other:?}");
        }
        assert!(typed(&["--hours", "0"]).is_err() && typed(&["--hours", "876001"]).is_err());
        let now = 1_800_000_000;
        assert_eq!(ends(now, 3600, None).unwrap(), now + 3600);
        assert_eq!(ends(now, 0, Some(now + 1)).unwrap(), now + 1);
        assert!(ends(now, 0, Some(now)).unwrap_err().to_string().ends_with("UTC is over"));
        assert!(ends(now, 0, Some(now + 36_501 * 24 * 3600)).unwrap_err().to_string().contains("a hundred years"));
    }

    #[test]
    fn a_grant_ends_within_a_hundred_years_or_never() {
        let days = |days: &str| Typed::try_parse_from(["stoa", "--days", days]).map(|typed| typed.terms.days).ok();
        assert_eq!([days("0"), days("90"), days("36500")], [Some(0), Some(90), Some(36_500)]);
        assert_eq!([days("36501"), days("99999999999")], [None, None]);
    }
}

//! What is typed after the commands.

use super::look::HeaderOptions;
use crate::{
    consent::{PeopleOptions, purpose},
    job::{ChecksOptions, algorithm},
    node::coins,
};
use alloy_primitives::{Address, B256, U256};
use clap::{Args, ValueEnum};
use eyre::{Result, WrapErr as _, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
};
use stoa_data::{ddo::Sort, jobs, search::State};

/// What is said of data that are put on the market.
#[derive(Args)]
pub(crate) struct SaleOptions {
    /// Sell them: what an order costs.
    #[arg(
        long,
        value_name = "AMOUNT",
        allow_negative_numbers = true,
        conflicts_with = "free",
        help_heading = "On the market"
    )]
    pub(super) price: Option<String>,
    /// In which ERC-20 token; the chain's coin if not given.
    #[arg(long, value_name = "ADDRESS", value_parser = crate::typed::address, requires = "price", help_heading = "On the market")]
    pub(super) token: Option<Address>,
    /// Give them to whoever orders, for nothing.
    #[arg(long, help_heading = "On the market")]
    pub(super) free: bool,
    /// What they are called, in 4 characters at least. Public.
    #[arg(long, value_name = "TEXT", help_heading = "On the market")]
    pub(super) name: Option<String>,
    /// What they are, in 10 characters at least. Public.
    #[arg(long, value_name = "TEXT", help_heading = "On the market")]
    pub(super) description: Option<String>,
    /// Who made them; the account's address if not given. Public.
    #[arg(long, value_name = "TEXT", help_heading = "On the market")]
    pub(super) author: Option<String>,
    /// Under what they may be used; what lies with them if not given. Public.
    #[arg(long, value_name = "NAME", help_heading = "On the market")]
    pub(super) license: Option<String>,
    /// By what they are found; may be given several times. Public.
    #[arg(long, value_name = "WORD", help_heading = "On the market")]
    pub(super) tag: Vec<String>,
    /// Where there is more about them; may be given several times. Public.
    #[arg(long, value_name = "URL", help_heading = "On the market")]
    pub(super) link: Vec<String>,
    /// How long an order stands, such as 30d, 12h or 90s; for ever if not given.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = seconds, help_heading = "On the market")]
    pub(super) lasts: u64,
    /// What they are. Of an algorithm, the program's hash becomes public, by which owners let it run.
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Kind::Dataset, help_heading = "On the market")]
    pub(super) kind: Kind,
    /// The folder of `stoa job run` that they came of: which jobs on which assets they were derived from is recorded. Public.
    #[arg(long, value_name = "DIR", help_heading = "On the market")]
    pub(super) from_run: Option<PathBuf>,
    /// For what whoever orders may use them: a purpose of the W3C Data Privacy Vocabulary (https://w3id.org/dpv), by its name or its
    /// whole IRI.
    #[arg(long, value_name = "PURPOSE", default_value = "ServiceProvision", value_parser = purpose, help_heading = "On the market")]
    pub(super) purpose: String,
    #[command(flatten, next_help_heading = "On the market")]
    pub(super) people: PeopleOptions,
    #[command(flatten, next_help_heading = "On the market")]
    pub(super) header: HeaderOptions,
    #[command(flatten, next_help_heading = "On the market")]
    pub(super) audience: AudienceOptions,
    #[command(flatten, next_help_heading = "On the market")]
    pub(super) access: AccessOptions,
    /// Rows that everybody may read, for programs to be tried on (`stoa algo test --on`): a text of 64 KiB at most, such as CSV. Made up
    /// or altered ones will do. Public.
    #[arg(long, value_name = "FILE", help_heading = "On the market")]
    pub(super) sample: Option<PathBuf>,
    /// A node that looks at what they say of themselves (`stoa up --index`, or Ocean's), whose signature is published beside it; may be
    /// given several times.
    #[arg(long, value_name = "URL", conflicts_with = "sealed", help_heading = "On the market")]
    pub(super) validator: Vec<String>,
    /// Do not ask before anything is sent.
    #[arg(long, help_heading = "On the market")]
    pub(super) yes: bool,
    /// Nobody gets the data: they stay on your node, and whoever orders has programs run there.
    #[arg(long, requires_all = ["data", "node"], help_heading = "Computing where the data are")]
    pub(super) compute: bool,
    /// The node's folder of data (`stoa follow --data`).
    #[arg(long, value_name = "DIR", requires = "compute", help_heading = "Computing where the data are")]
    pub(super) data: Option<PathBuf>,
    /// The node's public key, as `stoa node key` printed it.
    #[arg(long, value_name = "KEY", value_parser = crate::typed::id, requires = "compute", help_heading = "Computing where the data are")]
    pub(super) node: Option<B256>,
    /// Let programs run as processes too (see `stoa job offer`).
    #[arg(long, requires = "compute", help_heading = "Computing where the data are")]
    pub(super) processes: bool,
    /// What may leave, of which programs. If not given: what `stoa job rules` prints, numbers of ten rows or more, of --algorithm.
    #[arg(long, value_name = "FILE", requires = "compute", help_heading = "Computing where the data are")]
    pub(super) rules: Option<PathBuf>,
    /// The program that may run, where the rules name none: its module, or the BLAKE3 hash of that.
    #[arg(long, value_name = "HASH|FILE", value_parser = algorithm, requires = "compute", help_heading = "Computing where the data are")]
    pub(super) algorithm: Option<B256>,
    /// Coins for each job, beside the price of the order. Buyers see it before they order.
    #[arg(long, value_name = "STOA", default_value = "0", allow_negative_numbers = true, value_parser = coins, help_heading = "Computing where the data are")]
    pub(super) base: U256,
    /// Coins for each million steps that are begun: a step is an instruction of WebAssembly, about a nanosecond, or a
    /// nanosecond of a processor for other programs.
    #[arg(long, value_name = "STOA", default_value = "0", allow_negative_numbers = true, value_parser = coins, help_heading = "Computing where the data are")]
    pub(super) step_price: U256,
    /// Millions of steps of one job at most.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000), help_heading = "Computing where the data are")]
    pub(super) steps: u64,
    /// Seconds within which a job ends, or the buyer is paid back. If not given: a day, or a week where you look at results first.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(60..=604_800), help_heading = "Computing where the data are")]
    pub(super) time: Option<u32>,
    #[command(flatten, next_help_heading = "Having jobs checked")]
    pub(super) checks: ChecksOptions,
}

/// Who reads what an asset says of itself.
#[derive(Args)]
pub(super) struct AudienceOptions {
    /// Seal what it says of itself, such as name, description and columns, to you and --reader: nobody else finds it by that. Owner,
    /// price, orders and what it was derived from stay public.
    #[arg(long)]
    pub(super) sealed: bool,
    /// Who may read it beside you, and has announced a key (`stoa data announce`); may be given several times.
    #[arg(long, value_name = "ADDRESS", value_parser = crate::typed::address, requires = "sealed")]
    pub(super) reader: Vec<Address>,
}

impl AudienceOptions {
    pub(super) fn readers(&self) -> Option<Vec<Address>> {
        self.sealed.then(|| self.reader.clone())
    }
}

/// Who may order.
#[derive(Args)]
pub(super) struct AccessOptions {
    /// Take orders for these alone: an account, or a list of accounts (`stoa data access-list` makes one); may be given several times, 6
    /// at most. Public.
    #[arg(long, value_name = "ADDRESS|LIST", value_parser = crate::typed::address)]
    pub(super) allow: Vec<Address>,
    /// Take no orders for these, nor let those be of use that they have, whoever else is allowed. Public.
    #[arg(long, value_name = "ADDRESS|LIST", value_parser = crate::typed::address)]
    pub(super) deny: Vec<Address>,
}

/// Options of `stoa data edit`.
#[derive(Args)]
pub(crate) struct EditOptions {
    /// The asset: its DID, or its NFT's address.
    pub(super) asset: String,
    /// What it is called from now on.
    #[arg(long, value_name = "TEXT")]
    pub(super) name: Option<String>,
    /// What it is.
    #[arg(long, value_name = "TEXT")]
    pub(super) description: Option<String>,
    /// Who made it.
    #[arg(long, value_name = "TEXT")]
    pub(super) author: Option<String>,
    /// Under what it may be used.
    #[arg(long, value_name = "NAME")]
    pub(super) license: Option<String>,
    /// By what it is found, in place of what was said before; may be given several times.
    #[arg(long, value_name = "WORD")]
    pub(super) tag: Vec<String>,
    /// Whose data it is, in place of what was said before.
    #[command(flatten)]
    pub(super) people: PeopleOptions,
    /// How it stands: active, end-of-life, deprecated, revoked, disabled or unlisted. Orders are taken while it is active or unlisted; no
    /// order stands once it is revoked.
    #[arg(long, value_name = "STATE")]
    pub(super) state: Option<State>,
    /// Who reads it, in place of those who could before.
    #[command(flatten)]
    pub(super) audience: AudienceOptions,
    /// Let everybody read what it says of itself.
    #[arg(long, conflicts_with = "sealed")]
    pub(super) public: bool,
    /// Who may order, in place of what was said before of those who are allowed, or of those who are denied.
    #[command(flatten)]
    pub(super) access: AccessOptions,
    /// Allow everybody to order, but for those who are denied.
    #[arg(long, conflicts_with = "allow")]
    pub(super) allow_everybody: bool,
    /// Deny nobody.
    #[arg(long, conflicts_with = "deny")]
    pub(super) deny_nobody: bool,
    /// A node that looks at what it says of itself, whose signature is published beside it; may be given several times.
    #[arg(long, value_name = "URL", conflicts_with = "sealed")]
    pub(super) validator: Vec<String>,
}

/// Options of `stoa data price`.
#[derive(Args)]
pub(crate) struct PriceOptions {
    /// The asset: its DID, or its NFT's address.
    pub(super) asset: String,
    /// What an order costs from now on.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    pub(super) set: Option<String>,
}

/// Options of `stoa data buy`.
#[derive(Args)]
pub(crate) struct BuyOptions {
    /// The asset: its DID, or its NFT's address.
    pub(super) asset: String,
    /// What it may cost at most; what it costs now if not given.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    pub(super) most: Option<String>,
    /// Order for somebody else, and pay. He accepts it with --accept, and then it opens to him what an order of his own would.
    #[arg(long = "for", value_name = "ADDRESS", value_parser = crate::typed::address)]
    pub(super) consumer: Option<Address>,
    /// Accept this order, which somebody else has paid for you, instead of paying for one. One that waits is accepted without this too.
    #[arg(long, value_name = "ORDER", value_parser = crate::typed::id, conflicts_with_all = ["most", "consumer"])]
    pub(super) accept: Option<B256>,
    /// Do not ask before it is paid. Wanted where nobody is there to be asked, and with --json.
    #[arg(long)]
    pub(super) yes: bool,
}

/// Options of `stoa data earnings`.
#[derive(Args)]
pub(crate) struct EarningsOptions {
    /// The asset: its DID, its NFT's address, or its id on the ledger if it is not on the market; all that the account owns now if not
    /// given, also those of `stoa job offer`.
    pub(super) asset: Option<String>,
    /// Have what waits at exchanges paid out, to the account that collects it.
    #[arg(long)]
    pub(super) collect: bool,
}

/// Kinds of assets as they are typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Data.
    Dataset,
    /// A program that runs on data where they are.
    Algorithm,
    /// A trained model.
    Model,
    /// Data that go on.
    Feed,
    /// Any other file.
    File,
}

impl Kind {
    pub(super) fn sort(self, path: &Path) -> Result<Sort> {
        Ok(match self {
            Self::Dataset => Sort::Dataset,
            Self::Algorithm => {
                ensure!(path.is_file(), "an algorithm is one file: {} is none", path.display());
                let program = fs::read(path).wrap_err_with(|| format!("cannot read {}", path.display()))?;
                Sort::Algorithm(jobs::algorithm(&program))
            }
            Self::Model => Sort::Model,
            Self::Feed => Sort::Feed,
            Self::File => Sort::File,
        })
    }
}

fn seconds(text: &str) -> Result<u64, String> {
    let unit = text.trim_start_matches(|each: char| each.is_ascii_digit());
    let number: Option<u64> = text[..text.len() - unit.len()].parse().ok();
    let each = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => 0,
    };
    let seconds = number.filter(|_| each > 0).and_then(|number| number.checked_mul(each));
    seconds.ok_or_else(|| format!("want a time such as 30d, 12h, 5m or 90s, got {text}"))
}

/// A time in the largest unit that it is a multiple of.
pub(crate) fn lasting(seconds: u64) -> String {
    let units = [("day", 86_400), ("hour", 3_600), ("minute", 60)];
    let (unit, each) = units.into_iter().find(|(_, each)| seconds.is_multiple_of(*each)).unwrap_or(("second", 1));
    let number = seconds / each;
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    enum Typed {
        Price(PriceOptions),
        Buy(BuyOptions),
        Publish(Box<SaleOptions>),
    }

    #[test]
    fn an_amount_below_zero_is_refused_as_an_amount() {
        let typed = |words: &[&str]| Typed::try_parse_from([&["data"][..], words].concat());
        let Ok(Typed::Price(price)) = typed(&["price", "did:op:1", "--set", "-1"]) else { panic!("no price") };
        let Ok(Typed::Buy(buy)) = typed(&["buy", "did:op:1", "--most", "-2.5"]) else { panic!("no purchase") };
        let Ok(Typed::Publish(sale)) = typed(&["publish", "--price", "-3"]) else { panic!("no sale") };
        let said = [price.set, buy.most, sale.price].map(Option::unwrap_or_default);
        assert_eq!(said, ["-1", "-2.5", "-3"]);
        for option in ["--base", "--step-price", "--fee", "--stake", "--bond"] {
            let why = typed(&["publish", "--compute", option, "-1"]).err().unwrap().to_string();
            assert!(why.contains("it cannot be negative") && !why.contains("tip:"), "{why}");
        }
        // What follows is an option still.
        assert!(typed(&["price", "did:op:1", "--set", "--json"]).is_err());
    }

    #[test]
    fn times_have_a_number_and_a_unit() {
        assert_eq!(["90s", "5m", "12h", "30d", "0s"].map(seconds), [Ok(90), Ok(300), Ok(43_200), Ok(2_592_000), Ok(0)]);
        for text in ["", "d", "10", "-1d", "1 d", "1w", "99999999999999999999d", "18446744073709551615d"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(
            [2_592_000, 86_400, 43_200, 5_400, 90].map(lasting),
            ["30 days", "1 day", "12 hours", "90 minutes", "90 seconds"]
        );
    }
}

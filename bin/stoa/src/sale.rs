//! `stoa data` at the market: look, publish for sale, edit, price, buy, earnings.

use crate::{
    job::{ChecksOptions, Offering, PROVENANCE, offer_data},
    network::now,
    node::coins,
    output,
    progress::{bytes, progress, size},
    wallet::WalletOptions,
};
use alloy_primitives::{
    Address, B256, U256,
    utils::{format_units, parse_units},
};
use clap::{Args, ValueEnum};
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};
use stoa_base::write_private;
use stoa_client::{Client, Wallet, view};
use stoa_contract::interfaces::IERC20Metadata;
use stoa_data::{
    client::reader_key,
    ddo::{self, About, Answers, Ddo, Derived, Document, Sealed, Sort, Use},
    jobs::{
        self, COIN,
        abi::{FINISHED, IJobs::jobOfCall, JOBS},
    },
    look::{Header, Looked, Looking, look},
    reading::Reading,
    record::iso_8601,
    sale::{self, Audience, Begun, Buyer, Found, MOST_DERIVED, Price, STATES, Seller, Selling, Told},
};

/// Columns that are shown of a table.
const SHOWN: usize = 40;

/// Options of `stoa data look`.
#[derive(Args)]
pub(crate) struct LookOptions {
    /// The file or folder.
    path: PathBuf,
    /// Tables have no header: their first rows are values, and columns are called by their numbers.
    #[arg(long)]
    no_header: bool,
}

/// What is said of data that are put on the market.
#[derive(Args)]
pub(crate) struct SaleOptions {
    /// Sell them: what an order costs.
    #[arg(long, value_name = "AMOUNT", conflicts_with = "free", help_heading = "On the market")]
    price: Option<String>,
    /// In which ERC-20 token; the chain's coin if not given.
    #[arg(long, value_name = "ADDRESS", requires = "price", help_heading = "On the market")]
    token: Option<Address>,
    /// Give them to whoever orders, for nothing.
    #[arg(long, help_heading = "On the market")]
    free: bool,
    /// What they are called, in 4 characters at least. Public.
    #[arg(long, value_name = "TEXT", help_heading = "On the market")]
    name: Option<String>,
    /// What they are, in 10 characters at least. Public.
    #[arg(long, value_name = "TEXT", help_heading = "On the market")]
    description: Option<String>,
    /// Who made them; the account's address if not given. Public.
    #[arg(long, value_name = "TEXT", help_heading = "On the market")]
    author: Option<String>,
    /// Under what they may be used; what lies with them if not given. Public.
    #[arg(long, value_name = "NAME", help_heading = "On the market")]
    license: Option<String>,
    /// By what they are found; may be given several times. Public.
    #[arg(long, value_name = "WORD", help_heading = "On the market")]
    tag: Vec<String>,
    /// Where there is more about them; may be given several times. Public.
    #[arg(long, value_name = "URL", help_heading = "On the market")]
    link: Vec<String>,
    /// How long an order stands, such as 30d, 12h or 90s; for ever if not given.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = seconds, help_heading = "On the market")]
    lasts: u64,
    /// What they are. Of an algorithm, the program's hash becomes public, by which owners let it run.
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Kind::Dataset, help_heading = "On the market")]
    kind: Kind,
    /// The folder of `stoa job run` that they came of: which jobs on which assets they were derived from is recorded. Public.
    #[arg(long, value_name = "DIR", help_heading = "On the market")]
    from_run: Option<PathBuf>,
    /// For what whoever orders may use them: a term of the W3C Data Privacy Vocabulary (https://w3id.org/dpv).
    #[arg(long, value_name = "TERM", default_value = "ServiceProvision", help_heading = "On the market")]
    purpose: String,
    /// Tables have no header (see `stoa data look`).
    #[arg(long, help_heading = "On the market")]
    no_header: bool,
    #[command(flatten, next_help_heading = "On the market")]
    audience: AudienceOptions,
    /// Do not ask before anything is sent.
    #[arg(long, help_heading = "On the market")]
    yes: bool,
    /// Nobody gets the data: they stay on your node, and whoever orders has programs run there.
    #[arg(long, requires_all = ["data", "node"], help_heading = "Computing where the data are")]
    compute: bool,
    /// The node's folder of data (`stoa follow --data`).
    #[arg(long, value_name = "DIR", requires = "compute", help_heading = "Computing where the data are")]
    data: Option<PathBuf>,
    /// The node's public key, as `stoa node key` printed it.
    #[arg(long, value_name = "KEY", requires = "compute", help_heading = "Computing where the data are")]
    node: Option<B256>,
    /// Let programs run as processes too (see `stoa job offer`).
    #[arg(long, requires = "compute", help_heading = "Computing where the data are")]
    processes: bool,
    /// What may leave; `stoa job rules` prints what is meant if not given.
    #[arg(long, value_name = "FILE", requires = "compute", help_heading = "Computing where the data are")]
    rules: Option<PathBuf>,
    /// Coins for each job, beside the price of the order.
    #[arg(long, value_name = "STOA", default_value = "0", value_parser = coins, help_heading = "Computing where the data are")]
    base: U256,
    /// Coins for each million steps that are begun.
    #[arg(long, value_name = "STOA", default_value = "0", value_parser = coins, help_heading = "Computing where the data are")]
    step_price: U256,
    /// Millions of steps of one job at most.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000), help_heading = "Computing where the data are")]
    steps: u64,
    /// Seconds within which a job ends, or the buyer is paid back.
    #[arg(long, value_name = "SECONDS", default_value_t = 24 * 3600, value_parser = clap::value_parser!(u32).range(60..=604_800), help_heading = "Computing where the data are")]
    time: u32,
    #[command(flatten, next_help_heading = "Having jobs checked")]
    checks: ChecksOptions,
}

/// Who reads what an asset says of itself.
#[derive(Args)]
struct AudienceOptions {
    /// Seal what it says of itself, such as name, description and columns, to you and --reader: nobody else finds it by that. Owner,
    /// price, orders and what it was derived from stay public.
    #[arg(long)]
    sealed: bool,
    /// Who may read it beside you, and has announced a key (`stoa data announce`); may be given several times.
    #[arg(long, value_name = "ADDRESS", requires = "sealed")]
    reader: Vec<Address>,
}

impl AudienceOptions {
    fn readers(&self) -> Option<Vec<Address>> {
        self.sealed.then(|| self.reader.clone())
    }
}

/// Options of `stoa data edit`.
#[derive(Args)]
pub(crate) struct EditOptions {
    /// The asset: its DID, or its NFT's address.
    asset: String,
    /// What it is called from now on.
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// What it is.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Who made it.
    #[arg(long, value_name = "TEXT")]
    author: Option<String>,
    /// Under what it may be used.
    #[arg(long, value_name = "NAME")]
    license: Option<String>,
    /// By what it is found, in place of what was said before; may be given several times.
    #[arg(long, value_name = "WORD")]
    tag: Vec<String>,
    /// How it stands. Orders are taken while it is active or unlisted; no order stands once it is revoked.
    #[arg(long, value_name = "STATE", value_parser = STATES)]
    state: Option<String>,
    /// Who reads it, in place of those who could before.
    #[command(flatten)]
    audience: AudienceOptions,
    /// Let everybody read what it says of itself.
    #[arg(long, conflicts_with = "sealed")]
    public: bool,
}

/// Options of `stoa data price`.
#[derive(Args)]
pub(crate) struct PriceOptions {
    /// The asset: its DID, or its NFT's address.
    asset: String,
    /// What an order costs from now on.
    #[arg(long, value_name = "AMOUNT")]
    set: Option<String>,
}

/// Options of `stoa data buy`.
#[derive(Args)]
pub(crate) struct BuyOptions {
    /// The asset: its DID, or its NFT's address.
    asset: String,
    /// What it may cost at most; what it costs now if not given.
    #[arg(long, value_name = "AMOUNT")]
    most: Option<String>,
    /// Order for somebody else, as Ocean's contracts have it. Grants of consent are for whoever has ordered for himself, so that such
    /// an order is worth something to programs alone that ask the datatoken.
    #[arg(long = "for", value_name = "ADDRESS")]
    consumer: Option<Address>,
}

/// Options of `stoa data earnings`.
#[derive(Args)]
pub(crate) struct EarningsOptions {
    /// The asset: its DID, or its NFT's address; all of the account's if not given.
    asset: Option<String>,
    /// Have what waits at exchanges paid out, to the account that collects it.
    #[arg(long)]
    collect: bool,
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

/// Looks at a file or folder, and shows how far it has come.
fn looked(path: &Path, no_header: bool) -> Result<Looked> {
    let header = if no_header { Header::None } else { Header::Guessed };
    let bar = bytes("looking", size(path));
    let looked = look(path, Looking { header, ..Looking::default() }, &|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    Ok(looked?)
}

/// `stoa data look`.
pub(crate) fn run_look(options: &LookOptions, json: bool) -> Result<()> {
    let looked = looked(&options.path, options.no_header)?;
    match json {
        true => println!("{}", serde_json::to_string(&looked)?),
        false => show(&looked),
    }
    Ok(())
}

/// What was found, for people: what would be public, then what would not.
fn show(looked: &Looked) {
    println!("What publishing it would tell everybody:");
    println!("  format   {}", looked.format);
    println!(
        "  size     {}, {} {}",
        output::bytes(looked.bytes),
        looked.files,
        if looked.files == 1 { "file" } else { "files" }
    );
    if let Some(table) = &looked.table {
        match table.rows {
            Some(rows) => println!("  rows     {rows}"),
            None => println!("  rows     not counted"),
        }
        println!("  columns  {}", table.width);
        for column in table.columns.iter().take(SHOWN) {
            println!("    {:<9} {}", format!("{:?}", column.kind).to_lowercase(), column.name);
        }
        if table.columns.len() > SHOWN {
            println!("    and {} more (--json shows all)", table.columns.len() - SHOWN);
        }
    }
    println!("What it tells nobody but you:");
    for (format, count) in &looked.formats {
        println!("  {} of {format}, {}", count.files, output::bytes(count.bytes));
    }
    let missing = looked.table.iter().flat_map(|table| &table.columns).filter(|column| column.missing > Some(0));
    for column in missing.take(SHOWN) {
        println!("  {} values are missing in {}", column.missing.unwrap_or(0), column.name);
    }
    if let Some(picture) = looked.picture {
        println!("  {} by {} pixels", picture.width, picture.height);
    }
    if let Some(model) = &looked.model {
        let count = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
        let kind = model.architecture.as_deref().unwrap_or("a model");
        println!("  {kind}: {} tensors, {} parameters", count(model.tensors), count(model.parameters));
    }
    if let Some(licence) = &looked.licence {
        println!(
            "  licence  {} ({})",
            licence.name.as_deref().unwrap_or("a text that is none of the known"),
            licence.file
        );
    }
    if looked.skipped > 0 {
        println!("  {} links and other things that are no files were left out", looked.skipped);
    }
    if !looked.whole {
        println!("  not all of it was looked at");
    }
    if let Some(problem) = &looked.problem {
        println!("A problem: {problem}");
    }
    for warning in &looked.warnings {
        let place = warning.file.as_ref().map_or_else(String::new, |file| format!(" in {file}"));
        let why = match (warning.values, warning.by_name) {
            (0, _) => "it is called so".to_owned(),
            (values, false) => format!("{values} values look so"),
            (values, true) => format!("it is called so, and {values} values look so"),
        };
        println!("Warning: column {:?}{place} looks like {}: {why}", warning.column, warning.kind);
    }
}

/// A token as people write amounts of it.
struct Token {
    address: Address,
    decimals: u8,
    symbol: String,
}

impl Token {
    async fn at(client: &Client, address: Address) -> Result<Self> {
        if address == COIN {
            return Ok(Self { address, decimals: 18, symbol: "STOA".into() });
        }
        let decimals = view(client, address, &IERC20Metadata::decimalsCall {}).await;
        let (decimals, _) = decimals.wrap_err_with(|| format!("{address} is no ERC-20 token"))?;
        let symbol = view(client, address, &IERC20Metadata::symbolCall {}).await.map(|(symbol, _)| symbol);
        let symbol: String = symbol.unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).take(12).collect();
        Ok(Self { address, decimals, symbol })
    }

    fn amount(&self, text: &str) -> Result<U256> {
        let amount = parse_units(text, self.decimals).ok().filter(|amount| !amount.is_negative());
        Ok(amount
            .wrap_err_with(|| format!("want an amount of {} such as 0.5, got {text}", self.symbol))?
            .get_absolute())
    }

    fn shown(&self, amount: U256) -> String {
        let digits = format_units(amount, self.decimals).unwrap_or_else(|_| amount.to_string());
        let short = digits.trim_end_matches('0').trim_end_matches('.');
        format!("{} {}", if short.is_empty() { "0" } else { short }, self.symbol)
    }
}

/// A rate, which has 18 decimals whatever the token has.
fn rate(text: &str) -> Result<U256> {
    let rate = parse_units(text, 18).ok().filter(|rate| !rate.is_negative());
    let rate = rate.wrap_err_with(|| format!("want a price such as 0.5, got {text}"))?.get_absolute();
    ensure!(rate >= U256::from(10_000_000_000_u64), "a price is 0.00000001 at least; --free gives it away");
    Ok(rate)
}

/// What this machine knows of an asset that it has put on the market.
#[derive(Serialize, Deserialize)]
struct Listing {
    did: String,
    nft: Address,
    datatoken: Address,
    asset: B256,
    grant: B256,
}

/// The NFT that a DID or an address names: as this machine knows it, else as the ledger does.
async fn nft(dir: &Path, client: &Client, name: &str) -> Result<Address> {
    let chain: U256 = client.call("eth_chainId", ()).await.wrap_err("the node does not answer (see --http)")?;
    let chain = chain.saturating_to();
    for entry in fs::read_dir(dir.join("listings")).into_iter().flatten().flatten() {
        let listing = fs::read(entry.path()).ok().and_then(|bytes| serde_json::from_slice::<Listing>(&bytes).ok());
        if let Some(listing) = listing.filter(|listing| ddo::names(name, listing.nft, chain)) {
            return Ok(listing.nft);
        }
    }
    let bar = progress("looking for the asset");
    let found = sale::find(client, name, &|done, of| bar.set_message(format!("looking at block {done} of {of}"))).await;
    bar.finish_and_clear();
    Ok(found?)
}

/// A sale before anything is sent.
pub(crate) struct Sale {
    answers: Answers,
    about: Looked,
    derived: Vec<Derived>,
    selling: Selling,
    /// What was begun before.
    begun: Option<Begun>,
    /// Where it is written down.
    file: PathBuf,
}

impl SaleOptions {
    /// Whether they are to be put on the market.
    pub(crate) const fn sells(&self) -> bool {
        self.price.is_some() || self.free
    }

    /// Refuses what only makes sense at the market.
    pub(crate) fn refuse(&self) -> Result<()> {
        let said = self.name.is_some() || self.description.is_some() || self.compute || !self.tag.is_empty();
        ensure!(!said, "this is about the market: say --price AMOUNT or --free as well");
        Ok(())
    }

    /// Looks at what is to be sold, shows it and what will be public, and asks.
    pub(crate) async fn prepare(&self, dir: &Path, path: &Path, account: &Wallet, json: bool) -> Result<Sale> {
        let asks = !self.yes;
        ensure!(
            !asks || (io::stdin().is_terminal() && !json),
            "nobody is there to be asked: look with `stoa data look`, then say --yes"
        );
        let about = looked(path, self.no_header)?;
        let text =
            |said: &Option<String>, what: &str| said.clone().wrap_err_with(|| format!("what is it? Say --{what} TEXT"));
        let own = about.licence.as_ref().and_then(|licence| licence.name.clone());
        let license = self.license.clone().or(own);
        let answers = Answers {
            sort: self.kind.sort(path)?,
            name: text(&self.name, "name")?,
            description: text(&self.description, "description")?,
            author: self.author.clone().unwrap_or_else(|| account.address().to_string()),
            license: license.wrap_err("under which licence? Say --license NAME, for example CC-BY-4.0")?,
            tags: self.tag.clone(),
            links: self.link.clone(),
        };
        let used = if self.compute { Use::Compute } else { Use::Access };
        let token = Token::at(account.client(), self.token.unwrap_or(COIN)).await?;
        let price = match &self.price {
            Some(amount) => Price::Fixed { token: token.address, rate: rate(amount)? },
            None => Price::Free,
        };
        let purpose = format!("https://w3id.org/dpv#{}", self.purpose);
        let readers = self.audience.readers();
        for reader in readers.iter().flatten() {
            reader_key(account, *reader).await?;
        }
        let selling = Selling { used, price, timeout: self.lasts, purpose, readers };
        let whole = path.canonicalize().wrap_err_with(|| format!("cannot read {}", path.display()))?;
        let key = alloy_primitives::keccak256(format!("{} {}", account.address(), whole.display()));
        let file = dir.join("sales").join(format!("{key}.json"));
        let mut begun: Option<Begun> = match fs::read(&file) {
            Ok(bytes) => {
                Some(serde_json::from_slice(&bytes).wrap_err_with(|| format!("{} is damaged", file.display()))?)
            }
            Err(_) => None,
        };
        sale::check(&answers, &about, used)?;
        let derived = match &self.from_run {
            Some(folder) => derived(folder, account).await?,
            None => Vec::new(),
        };
        if let Some(begun) = &mut begun {
            ensure!(
                (begun.selling.used, begun.selling.price) == (used, price),
                "this sale was begun at another price or for another use, and was cut off: say the same, or remove {} to begin anew",
                file.display()
            );
            begun.selling = selling.clone();
        }
        if !json {
            show(&about);
            println!("  name     {}\n  what     {}", answers.name, answers.description);
            println!("  author   {}\n  licence  {}", answers.author, answers.license);
            println!("  tags     {}", answers.tags.join(", "));
            derived.iter().for_each(|from| println!("  from     job {} on {}", from.job, from.asset));
            let costs = match &self.price {
                Some(amount) => format!("{amount} {}", token.symbol),
                None => "nothing".into(),
            };
            let how = if self.compute { "have programs run on it where it is" } else { "read it" };
            let lasts = if self.lasts == 0 { "for ever".into() } else { format!("for {} seconds", self.lasts) };
            if let Some(readers) = &selling.readers {
                let also: String = readers.iter().map(|reader| format!(", {reader}")).collect();
                println!("Sealed: all this is read by you{also}, and by nobody else.");
            }
            println!("Whoever pays {costs} may {how}, {lasts}. What is published cannot be taken off the ledger.");
        }
        if asks && !agreed("Publish it?")? {
            bail!("nothing was sent");
        }
        Ok(Sale { answers, about, derived, selling, begun, file })
    }

    /// `stoa data publish --compute`: a copy for the node, and an offer of computing on it.
    pub(crate) async fn offer(&self, path: &Path, account: &Wallet) -> Result<(B256, Option<(B256, B256)>)> {
        let (data, node) = self.data.as_ref().zip(self.node).wrap_err("--compute wants --data DIR and --node KEY")?;
        let (base, price, steps, time) = (self.base, self.step_price, self.steps, self.time);
        let (rules, checks) = (self.rules.as_deref(), &self.checks);
        let processes = self.processes;
        let offering = Offering { path, data, node, rules, base, price, steps, time, processes, checks };
        let (asset, set) = offer_data(account, &offering).await?;
        Ok((asset, Some((node, set.rules.hash()))))
    }

    /// Whether nobody gets the data.
    pub(crate) const fn computes(&self) -> bool {
        self.compute
    }
}

/// Kinds of assets as they are typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
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
    fn sort(self, path: &Path) -> Result<Sort> {
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

/// What somebody's result was derived from: the jobs of a run, which the ledger knows as his.
async fn derived(folder: &Path, account: &Wallet) -> Result<Vec<Derived>> {
    #[derive(serde::Deserialize)]
    struct Provenance {
        jobs: Vec<Derived>,
    }
    let file = folder.join(PROVENANCE);
    let read = fs::read(&file).wrap_err_with(|| format!("cannot read {}", file.display()))?;
    let Provenance { jobs } =
        serde_json::from_slice(&read).wrap_err_with(|| format!("{} does not say what ran", file.display()))?;
    ensure!(jobs.len() <= MOST_DERIVED, "{MOST_DERIVED} jobs at most can be named, these are {}", jobs.len());
    for Derived { job, asset } in &jobs {
        let (is, _) = stoa_client::view(account.client(), JOBS, &jobOfCall { job: *job }).await?;
        let own = (is.buyer, is.asset, is.state) == (account.address(), *asset, FINISHED);
        ensure!(own, "the ledger knows of no finished job {job} of {} on {asset}", account.address());
    }
    Ok(jobs)
}

/// Asks on the terminal.
fn agreed(question: &str) -> Result<bool> {
    print!("{question} [y/N] ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

impl Sale {
    /// The asset of consent that was made before the sale was cut off.
    pub(crate) const fn begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Writes down that there is an asset of consent to be sold.
    pub(crate) async fn begin(&mut self, account: &Wallet, asset: B256, computes: Option<(B256, B256)>) -> Result<()> {
        let begun = Seller::new(account.clone()).begin(asset, self.selling.clone(), computes).await?;
        write(&self.file, &begun)?;
        self.begun = Some(begun);
        Ok(())
    }

    /// Does what is missing, and prints what there is then.
    pub(crate) async fn finish(self, dir: &Path, account: &Wallet, json: bool) -> Result<()> {
        let Self { answers, about, derived, begun, file, .. } = self;
        let mut begun = begun.wrap_err("a sale that has begun")?;
        let about = About { derived, ..About::new(&about, begun.asset) };
        let bar = progress("publishing");
        let seller = Seller::new(account.clone());
        let mut save = |begun: &Begun| write(&file, begun).map_err(io::Error::other);
        let told = |what: &str| bar.set_message(what.to_owned());
        let done = seller.go_on(&mut begun, &answers, about, now(), &mut save, &told).await;
        bar.finish_and_clear();
        let (ddo, grant) = done.wrap_err("not all of it was done; the same command goes on where it was cut off")?;
        let listed = begun.listed.wrap_err("an NFT")?;
        let (nft, datatoken, asset) = (listed.nft, listed.datatoken, begun.asset);
        let listing = Listing { did: ddo.id.clone(), nft, datatoken, asset, grant };
        write(&dir.join("listings").join(format!("{nft}.json")), &listing)?;
        fs::remove_file(&file).wrap_err_with(|| format!("cannot remove {}", file.display()))?;
        match json {
            true => println!("{}", serde_json::to_string(&listing)?),
            false => println!("{}\nNFT {nft}, asset {asset}; `stoa data buy` orders it", ddo.id),
        }
        Ok(())
    }
}

fn write(file: &Path, value: &impl Serialize) -> Result<()> {
    let folder = file.parent().wrap_err("a folder")?;
    fs::create_dir_all(folder).wrap_err_with(|| format!("cannot write to {}", folder.display()))?;
    let bytes = serde_json::to_vec_pretty(value)?;
    write_private(file, &bytes).wrap_err_with(|| format!("cannot write {}", file.display()))
}

/// `stoa data edit`.
pub(crate) async fn edit(dir: &Path, options: EditOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let account = wallet.open().await?;
    let client = account.client();
    let found = Found::at(client, nft(dir, client, &options.asset).await?).await?;
    let state = options.state.as_deref().and_then(|name| STATES.iter().position(|state| *state == name));
    let state = state.map_or(found.state, |state| state as u8);
    let EditOptions { name, description, author, license, tag, audience, public, .. } = options;
    let said = [&name, &description, &author, &license].iter().any(|said| said.is_some()) || !tag.is_empty();
    let says = said || audience.sealed || public;
    ensure!(
        says || state != found.state,
        "what is to be changed? Say --name, --description, --tag, --license, --state, --sealed or --public"
    );
    let seller = Seller::new(account.clone());
    if says {
        let (mut ddo, before) = own_document(&account, &found).await?;
        let metadata = &mut ddo.metadata;
        for (field, said) in [
            (&mut metadata.name, name),
            (&mut metadata.description, description),
            (&mut metadata.author, author),
            (&mut metadata.license, license),
        ] {
            if let Some(said) = said {
                *field = said;
            }
        }
        if !tag.is_empty() {
            metadata.tags = Some(tag);
        }
        metadata.updated = iso_8601(now());
        let audience = match (audience.readers(), before) {
            (Some(readers), _) => Audience::To(readers),
            (None, Some(before)) if !public => Audience::As(before),
            _ => Audience::Public,
        };
        seller.describe(found.nft, ddo, state, &audience).await?;
    } else {
        seller.set_state(found.nft, state).await?;
    }
    let state = STATES.get(usize::from(state)).copied().unwrap_or("unknown");
    match json {
        true => println!("{}", json!({ "nft": found.nft, "state": state, "document": says })),
        false => println!("{} is {state}{}", found.nft, if says { ", and its document is changed" } else { "" }),
    }
    Ok(())
}

/// The document of an asset that this account can read.
pub(crate) async fn document(account: &Wallet, found: &Found) -> Result<Option<Told>> {
    let reading = Reading::of(account.signer(), account.chain_id())?;
    let bar = progress("looking for the document");
    let told = |done: u64, of: u64| bar.set_message(format!("{done} of {of} blocks"));
    let told = sale::document(account.client(), found, Some(&reading.secret), &told).await;
    bar.finish_and_clear();
    Ok(told?)
}

/// The document of an asset, to be changed, and as it is sealed.
async fn own_document(account: &Wallet, found: &Found) -> Result<(Ddo, Option<Sealed>)> {
    let told = document(account, found).await?.wrap_err("it has no document yet: `stoa data publish` makes one")?;
    match Document::read(&told.document)? {
        Document::V4(ddo) => Ok((*ddo, told.sealed)),
        Document::V5(_) => bail!("its document is of version 5, which is read and not written"),
    }
}

/// `stoa data price`.
pub(crate) async fn price(dir: &Path, options: PriceOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let client = wallet.client();
    let found = Found::at(&client, nft(dir, &client, &options.asset).await?).await?;
    if let Some(amount) = &options.set {
        let account = wallet.open().await?;
        let fixed = match found.price {
            Some((Price::Fixed { token, .. }, exchange)) => (token, exchange),
            Some((Price::Free, _)) => bail!("it is given away for nothing, and has no price that could be set"),
            None => bail!("it is not for sale"),
        };
        Seller::new(account).set_rate(fixed.1, rate(amount)?).await?;
        let token = Token::at(&client, fixed.0).await?;
        match json {
            true => println!("{}", json!({ "nft": found.nft, "price": amount, "token": fixed.0 })),
            false => println!("it costs {amount} {} from now on", token.symbol),
        }
        return Ok(());
    }
    let (said, words) = match found.price {
        Some((Price::Fixed { token: address, rate }, _)) => {
            let (token, rate) = (Token::at(&client, address).await?, format_units(rate, 18)?);
            let rate = rate.trim_end_matches('0').trim_end_matches('.').to_owned();
            (json!({ "nft": found.nft, "price": rate, "token": address }), format!("{rate} {}", token.symbol))
        }
        Some((Price::Free, _)) => (json!({ "nft": found.nft, "price": "0" }), "nothing".into()),
        None => (json!({ "nft": found.nft, "price": Value::Null }), "it is not for sale".into()),
    };
    match json {
        true => println!("{said}"),
        false => println!("{words}"),
    }
    Ok(())
}

/// `stoa data buy`.
pub(crate) async fn buy(dir: &Path, options: BuyOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let account = wallet.open().await?;
    let client = account.client();
    let nft = nft(dir, client, &options.asset).await?;
    let (buyer, bar) = (Buyer::new(account.clone()), progress("asking the market"));
    let own = options.consumer.is_none_or(|consumer| consumer == account.address());
    let consumer = options.consumer.unwrap_or(account.address());
    let bought = async {
        let offered = buyer.offered(nft).await?;
        ensure!(
            !offered.opens.is_empty(),
            "an order of it would open nothing: its owner has made no grant to those who order. Nothing was paid"
        );
        let most = match (&options.most, &offered.costs) {
            (Some(most), Some((token, _))) => Some(Token::at(client, *token).await?.amount(most)?),
            _ => None,
        };
        if let (Some((address, costs)), Some(most)) = (offered.costs, most)
            && costs > most
            && offered.order.is_none()
        {
            let token = Token::at(client, address).await?;
            bail!("it costs {} now, which is more than {}: nothing was paid", token.shown(costs), token.shown(most));
        }
        if own && offered.opens.iter().any(|open| open.read) {
            bar.set_message("announcing your key");
            stoa_data::client::announce(&account).await?;
        }
        bar.set_message("buying and ordering");
        let bought = buyer.buy(&offered, consumer, most).await?;
        let opened = if own { buyer.opened(&offered.opens).await?.cloned() } else { None };
        Ok((offered, bought, opened))
    };
    let done = bought.await;
    bar.finish_and_clear();
    let (offered, bought, opened) = done?;
    let paid = match bought.paid {
        Some((address, amount)) => Some((Token::at(client, address).await?, amount)),
        None => None,
    };
    if json {
        let said = json!({
            "nft": nft, "datatoken": offered.found.datatoken, "asset": offered.found.asset, "order": bought.order,
            "until": bought.until, "before": bought.before, "consumer": consumer,
            "paid": paid.as_ref().map(|(_, amount)| amount), "token": paid.as_ref().map(|(token, _)| token.address),
            "grant": opened.as_ref().map(|open| open.grant), "read": opened.as_ref().map(|open| open.read),
            "compute": opened.as_ref().map(|open| open.compute), "purpose": opened.as_ref().map(|open| &open.purpose),
        });
        println!("{said}");
        return Ok(());
    }
    match (&paid, bought.before) {
        (_, true) => println!("An order of yours stands already: nothing was paid."),
        (Some((token, amount)), _) => println!("{} paid", token.shown(*amount)),
        (None, _) => println!("It cost nothing."),
    }
    println!(
        "order {}, {}",
        bought.order,
        if bought.until == 0 { "for ever".into() } else { format!("until {}", iso_8601(bought.until)) }
    );
    match opened {
        Some(open) if open.read => println!("stoa data get {} --to PATH reads it, for {}", open.grant, open.purpose),
        Some(open) => {
            let asset = offered.found.asset.unwrap_or_default();
            println!(
                "stoa job run --on {asset} --algorithm FILE --to DIR computes on it (grant {}), for {}",
                open.grant, open.purpose
            );
        }
        None => println!("It opens no grant to you: those are for whoever orders for himself."),
    }
    Ok(())
}

/// `stoa data earnings`.
pub(crate) async fn earnings(dir: &Path, options: EarningsOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let client = wallet.client();
    let bar = progress("reading the ledger");
    let told = |done: u64, of: u64| bar.set_message(format!("reading block {done} of {of}"));
    let read = async {
        let all = match &options.asset {
            Some(name) => vec![(nft(dir, &client, name).await?, 0)],
            None => sale::of_owner(&client, wallet.open().await?.address(), &told).await?,
        };
        let mut earned = Vec::new();
        for (nft, first) in all {
            let found = Found::at(&client, nft).await?;
            earned.push(sale::earnings(&client, &found, first, &told).await?);
        }
        if options.collect {
            bar.set_message("having it paid out");
            let seller = Seller::new(wallet.open().await?);
            for (exchange, amount) in earned.iter().flat_map(|earned| &earned.waiting) {
                seller.collect(*exchange, *amount).await?;
            }
        }
        Ok::<_, eyre::Report>(earned)
    };
    let earned = read.await;
    bar.finish_and_clear();
    let earned = earned?;
    if json {
        println!("{}", json!({ "assets": earned, "collected": options.collect }));
        return Ok(());
    }
    if earned.is_empty() {
        println!("This account has nothing on the market.");
    }
    for earned in &earned {
        let (sold, given, orders, jobs) = (earned.sold, earned.given, earned.orders, earned.jobs);
        println!("{}  {sold} sold, {given} given away, {orders} orders, {jobs} jobs", earned.nft);
        for (address, amounts) in &earned.tokens {
            let token = Token::at(&client, *address).await?;
            let [sales, jobs, fees] = [amounts.sales, amounts.jobs, amounts.fees].map(|amount| token.shown(amount));
            println!("  {sales} by sales, {jobs} by jobs; buyers paid {fees} of fees beside");
            if !amounts.waiting.is_zero() {
                let waiting = token.shown(amounts.waiting);
                let what =
                    if options.collect { "was paid out" } else { "waits at the exchange (--collect has it paid out)" };
                println!("  {waiting} {what}");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_number_and_a_unit() {
        assert_eq!(["90s", "5m", "12h", "30d", "0s"].map(seconds), [Ok(90), Ok(300), Ok(43_200), Ok(2_592_000), Ok(0)]);
        for text in ["", "d", "10", "-1d", "1 d", "1w", "99999999999999999999d", "18446744073709551615d"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_are_written_as_people_write_them() {
        let token = Token { address: Address::ZERO, decimals: 6, symbol: "USDC".into() };
        assert_eq!(token.shown(token.amount("2.5").unwrap()), "2.5 USDC");
        assert_eq!((token.shown(U256::ZERO), token.shown(U256::from(10_000_000))), ("0 USDC".into(), "10 USDC".into()));
        assert!(token.amount("-1").is_err() && token.amount("x").is_err());
        assert!(rate("0").is_err() && rate("0.5").is_ok());
    }
}

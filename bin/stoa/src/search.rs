//! `stoa data search`, `list` and `show`: finding assets in an index that this machine makes from the ledger.

use crate::{
    consent::names,
    network::wait,
    output::{self, short},
    progress::progress,
    sale::{Token, costs, lasting, leaves},
    wallet::WalletOptions,
};
use alloy_primitives::{Address, B256, U256};
use clap::{Args, Subcommand, ValueEnum};
use eyre::{ContextCompat as _, Result, WrapErr as _, eyre};
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::{OwoColorize as _, Stream};
use serde::Serialize;
use std::{fs, path::Path};
use stoa_client::{Client, coins, counted, decimal, plain, view};
use stoa_data::{
    abi::{CONSENT, IConsent::assetOfCall},
    ddo::{self, People},
    record::iso_8601,
    sale::{self, Access, Computing, Grade, Sample},
    search::{Asset, Datatoken, Found, Index, Metadata, PAGE, Price, Query, Sort, State, Summary, follow},
};

/// Commands that find assets.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Find assets of the market, in an index that this machine keeps of the ledger.
    #[command(after_help = "Example: stoa data search heart disease --type dataset --column age:integer --max-price 5")]
    Search(SearchOptions),
    /// List an account's assets: those on the market, then all that it has registered for consent, those that are not on the market
    /// as well, the newest first.
    #[command(after_help = "Example: stoa data list --owner 0x7099…")]
    List(ListOptions),
    /// Show all that is known of an asset: what it is, whose data it says they are, what it costs, who may order it and for
    /// what, what a job on it costs and what may leave, how often it was ordered, who has a part in its key. With --json its
    /// DDO as well. What is sealed is opened for --wallet or --account.
    #[command(after_help = "Example: stoa data show did:op:343c… --json")]
    Show(ShowOptions),
}

/// Runs one of them.
pub(crate) fn run(command: Command, dir: &Path, wallet: &WalletOptions, json: bool) -> Result<()> {
    match command {
        Command::Search(options) => search(dir, wallet, options, json),
        Command::List(options) => list(dir, wallet, options, json),
        Command::Show(options) => show(dir, wallet, &options, json),
    }
}

/// How assets are put in order.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Order {
    /// Those that fit the words best; without words the newest.
    #[default]
    Relevance,
    /// The newest first.
    Newest,
    /// Those first whose metadata changed last.
    Changed,
    /// Those first that were ordered most often.
    Orders,
    /// The cheapest first; what nobody can buy is left out.
    Price,
}

impl From<Order> for Sort {
    fn from(order: Order) -> Self {
        match order {
            Order::Relevance => Self::Relevance,
            Order::Newest => Self::Newest,
            Order::Changed => Self::Changed,
            Order::Orders => Self::Orders,
            Order::Price => Self::Price,
        }
    }
}

/// Options of `stoa data search`.
#[derive(Args)]
pub(crate) struct SearchOptions {
    /// Words that must all be in its name, tags, columns, description or author; `cardio*` stands for all that begin so.
    words: Vec<String>,
    /// A tag that it must have; may be given several times.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// What it is: `dataset`, `algorithm` or another type.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Whose it is.
    #[arg(long, value_name = "ADDRESS", value_parser = crate::typed::address)]
    owner: Option<Address>,
    /// The most that a datatoken may cost, in whole tokens, for example 2.5.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true, value_parser = crate::node::coins)]
    max_price: Option<U256>,
    /// The least that a datatoken may cost, in whole tokens.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true, value_parser = crate::node::coins)]
    min_price: Option<U256>,
    /// That it can be had for nothing.
    #[arg(long)]
    free: bool,
    /// The token that it must be sold for.
    #[arg(long, value_name = "ADDRESS", value_parser = crate::typed::address)]
    token: Option<Address>,
    /// A column that its data must have, of any type or of this one; may be given several times.
    #[arg(long = "column", value_name = "NAME[:TYPE]", value_parser = column)]
    columns: Vec<(String, Option<String>)>,
    /// What its publisher says about its use: active, end-of-life, deprecated, revoked, disabled, unlisted, or any; may be given
    /// several times. If not given, those that are meant to be found: active, end-of-life and disabled.
    #[arg(long = "state", value_name = "STATE", value_parser = states)]
    states: Vec<States>,
    #[command(flatten)]
    shown: Shown,
}

/// Options of `stoa data list`.
#[derive(Args)]
pub(crate) struct ListOptions {
    /// Whose; those of --wallet or --account if not given.
    #[arg(long, value_name = "ADDRESS", value_parser = crate::typed::address)]
    owner: Option<Address>,
    /// As for `stoa data search`, on the market. If not given, those of an owner's profile: active, disabled and unlisted.
    #[arg(long = "state", value_name = "STATE", value_parser = states)]
    states: Vec<States>,
    #[command(flatten)]
    shown: Shown,
}

/// Which of those that were found are shown.
#[derive(Args)]
struct Shown {
    /// In which order.
    #[arg(long, value_enum, value_name = "ORDER", default_value = "relevance")]
    sort: Order,
    /// Which page.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    page: u64,
    /// How many on a page.
    #[arg(long, value_name = "N", default_value_t = PAGE, value_parser = clap::value_parser!(u64).range(1..=100))]
    size: u64,
}

impl Shown {
    fn first(&self) -> u64 {
        (self.page - 1).saturating_mul(self.size)
    }
}

/// Options of `stoa data show`.
#[derive(Args)]
pub(crate) struct ShowOptions {
    /// Its DID, or the address of its contract.
    #[arg(value_name = "DID|ADDRESS")]
    asset: String,
}

/// An asset, and what the ledger says of it now that no event of the index's tells.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    asset: Asset,
    /// Whether orders are taken.
    sells: bool,
    access: Access,
    /// Who has a part in the key of its data; nothing if it does not say which data it sells.
    keepers: Option<Grade>,
    /// Whose data they are, as its document says.
    people: People,
    /// For what whoever orders it may use it.
    purposes: Vec<String>,
    /// For how many seconds an order stands; 0 for ever. Nothing if it has no datatoken.
    lasts: Option<u64>,
    /// What whoever orders has programs run for, where the data stay with their owner, and what may leave.
    computing: Option<Computing>,
    /// What a job on it costs, in words.
    jobs: Vec<String>,
}

/// An account's assets.
#[derive(Serialize)]
struct Own {
    #[serde(flatten)]
    market: Found,
    /// The assets of consent, on the market or not.
    registered: Vec<Registered>,
}

/// An asset of consent.
#[derive(Serialize)]
struct Registered {
    asset: B256,
    /// The block in which it was registered.
    registered: u64,
    /// The block in which it was erased, if it was.
    erased: Option<u64>,
    #[serde(flatten)]
    key: Grade,
}

/// One state, or all.
#[derive(Clone, Debug)]
struct States(Vec<State>);

fn states(text: &str) -> Result<States, String> {
    match text {
        "any" => Ok(States(State::ALL.to_vec())),
        text => Ok(States(vec![text.parse::<State>().map_err(|why| format!("{why}, any"))?])),
    }
}

fn states_or(given: Vec<States>, usual: &[State]) -> Vec<State> {
    if given.is_empty() { usual.to_vec() } else { given.into_iter().flat_map(|States(states)| states).collect() }
}

fn column(text: &str) -> Result<(String, Option<String>), String> {
    let (name, kind) = text.split_once(':').map_or((text, None), |(name, kind)| (name, Some(kind.to_owned())));
    match name.is_empty() {
        true => Err("want NAME or NAME:TYPE, for example age:integer".to_owned()),
        false => Ok((name.to_owned(), kind)),
    }
}

/// The index of a folder, up to the newest block of the node.
pub(crate) async fn up_to_date(dir: &Path, wallet: &WalletOptions) -> Result<Index> {
    fs::create_dir_all(dir).wrap_err_with(|| format!("cannot write to {}", dir.display()))?;
    let client = wallet.client();
    let chain = follow::chain(&client).await;
    let chain = chain.wrap_err_with(|| output::unanswered(&client.url()))?;
    let mut index = Index::open(&dir.join("index.sqlite"), chain)?;
    let style = ProgressStyle::with_template("reading blocks {bar:40} {pos} of {len}");
    // Nothing is drawn where nobody looks.
    let bar = ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let caught_up = follow::catch_up(&mut index, &client, |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    });
    let caught_up = caught_up.await;
    bar.finish_and_clear();
    caught_up.wrap_err("the market's events cannot be read")?;
    Ok(index)
}

fn search(dir: &Path, wallet: &WalletOptions, options: SearchOptions, json: bool) -> Result<()> {
    let price = match (options.min_price, options.max_price) {
        (None, None) => None,
        (least, most) => Some(least.unwrap_or_default()..=most.unwrap_or(U256::MAX)),
    };
    let query = Query {
        words: options.words.join(" "),
        tags: options.tags,
        kind: options.kind,
        owner: options.owner,
        price,
        free: options.free,
        token: options.token,
        columns: options.columns,
        states: states_or(options.states, &State::FOUND),
        sort: options.shown.sort.into(),
        first: options.shown.first(),
        size: options.shown.size,
        ..Query::default()
    };
    wait(async { found(&up_to_date(dir, wallet).await?, &query, json) })?
}

fn list(dir: &Path, wallet: &WalletOptions, options: ListOptions, json: bool) -> Result<()> {
    wait(async {
        let owner = wallet.whose(options.owner, "whose assets? Name --owner").await?;
        let query = Query {
            owner: Some(owner),
            states: states_or(options.states, &State::IN_PROFILE),
            sort: options.shown.sort.into(),
            first: options.shown.first(),
            size: options.shown.size,
            ..Query::default()
        };
        let market = up_to_date(dir, wallet).await?.search(&query)?;
        let own = Own { market, registered: registered(&wallet.client(), owner, query.first, query.size).await? };
        match json {
            true => println!("{}", serde_json::to_string(&own)?),
            false => listed(&own),
        }
        Ok(())
    })?
}

/// A page of the assets of consent that an account has registered, the newest first.
async fn registered(client: &Client, owner: Address, first: u64, size: u64) -> Result<Vec<Registered>> {
    let bar = progress("looking for assets");
    let told = |done: u64, of: u64| bar.set_message(format!("looking for assets: {done} of {of} blocks"));
    let all = sale::registered_by(client, owner, &told).await;
    bar.finish_and_clear();
    let mut page = Vec::new();
    for asset in all?.into_iter().rev().skip(first as usize).take(size as usize) {
        let (is, _) = view(client, CONSENT, &assetOfCall { asset }).await?;
        let key = Grade { needed: is.needed, keepers: is.keepers, owner_half: is.ownerHalf };
        let erased = (is.erased > 0).then_some(is.erased);
        page.push(Registered { asset, registered: is.registered, erased, key });
    }
    Ok(page)
}

/// An account's assets for people.
fn listed(own: &Own) {
    if own.market.total.count > 0 || own.registered.is_empty() {
        tell(&own.market);
    }
    if !own.registered.is_empty() {
        println!("Registered for consent (`stoa consent log ID` shows what happened to one):");
    }
    for Registered { asset, registered, erased, key } in &own.registered {
        let state = erased.map_or_else(|| kept(*key), |number| format!("erased in block {number}"));
        println!("  {asset}\n    in block {registered}; {state}");
    }
}

fn show(dir: &Path, wallet: &WalletOptions, options: &ShowOptions, json: bool) -> Result<()> {
    let text = &options.asset;
    wait(async {
        let index = up_to_date(dir, wallet).await?;
        let asset = match text.parse::<Address>() {
            Ok(nft) => index.asset(nft)?,
            Err(_) if text.starts_with("did:") => index.asset_by_did(text)?,
            Err(_) if text.parse::<B256>().is_ok() => {
                return Err(eyre!(
                    "{text} is the id of an asset of consent: `stoa consent log {text}` shows what happened to it. Here an asset of the \
                     market is named, by its DID (did:op:…) or its contract's address (0x…)"
                ));
            }
            Err(_) => return Err(eyre!("{text:?} is neither a DID (did:op:…) nor an address (0x…)")),
        };
        let mut asset = asset.wrap_err_with(|| {
            format!("{text} is no asset of this chain's market (`stoa data search` shows what there is)")
        })?;
        if asset.metadata == Metadata::Sealed && wallet.is_named() {
            let account = wallet.open().await?;
            let found = sale::Found::any(account.client(), asset.nft).await?;
            // Sealed to others it stays as it is.
            if let Ok(Some(told)) = crate::sale::document(&account, &found).await {
                asset.open(account.chain_id(), &told.document).map_err(|why| eyre!("its document: {why}"))?;
            }
        }
        let (client, nft) = (wallet.client(), asset.nft);
        let (access, keepers) = (Access::of(&client, nft).await?, Grade::of(&client, nft).await?);
        let people = match &asset.metadata {
            Metadata::Readable { document, .. } => ddo::Document::read(document.text().as_bytes()).ok(),
            _ => None,
        };
        let people = people.and_then(|document| document.people()).map(|(_, people)| people).unwrap_or_default();
        // Of what is somebody else's an order opens nothing.
        let (mut purposes, mut lasts, mut computing) = (Vec::new(), None, None);
        if keepers.is_some() {
            let found = sale::Found::any(&client, nft).await?;
            if !found.datatoken.is_zero() {
                purposes = sale::purposes(&client, &found).await?;
                lasts = Some(sale::lasts(&client, found.datatoken).await?);
            }
            let document = match &asset.metadata {
                Metadata::Readable { document, .. } => Some(document.text().as_bytes()),
                _ => None,
            };
            if let Some(asset) = found.asset {
                computing = Computing::of(&client, asset, document).await?;
            }
        }
        let jobs = match &computing {
            Some(computing) => costs(computing, &Token::at(&client, computing.token).await?),
            None => Vec::new(),
        };
        let sells = asset.state.sells() && !asset.datatokens.is_empty();
        let whole = Whole { asset, sells, access, keepers, people, purposes, lasts, computing, jobs };
        match json {
            true => println!("{}", serde_json::to_string(&whole)?),
            false => describe(&whole),
        }
        Ok(())
    })?
}

fn found(index: &Index, query: &Query, json: bool) -> Result<()> {
    let found = index.search(query)?;
    match json {
        true => println!("{}", serde_json::to_string(&found)?),
        false => tell(&found),
    }
    Ok(())
}

/// What was found, for people.
fn tell(found: &Found) {
    let Found { total, first, assets } = found;
    assets.iter().for_each(brief);
    let more = if total.more { "more than " } else { "" };
    match (total.count, assets.is_empty()) {
        (0, _) => println!("Nothing was found."),
        (count, true) => println!("There are {more}{count}, and none on this page."),
        (count, false) => println!("{} to {} of {more}{count}", first + 1, first + assets.len() as u64),
    }
}

fn cost(price: &Price) -> String {
    match price.token {
        None => "free".to_owned(),
        Some(stoa_data::search::COIN) => coins(price.amount),
        Some(token) => format!("{} of {token}", decimal(price.amount, 18)),
    }
}

/// How many columns data have, and how many of them are not named.
fn columns(summary: &Summary) -> (u64, u64) {
    let named = summary.columns.len() as u64;
    let all = summary.width.unwrap_or(0).max(named);
    (all, all - named)
}

/// What there is of data.
fn data(summary: &Summary) -> Vec<String> {
    let (columns, _) = columns(summary);
    let parts = [
        (!summary.format.is_empty()).then(|| short(&summary.format, 20)),
        summary.bytes.map(output::bytes),
        summary.files.map(|count| counted(count, "file")),
        summary.rows.map(|count| counted(count, "row")),
        (columns > 0).then(|| counted(columns, "column")),
    ];
    parts.into_iter().flatten().collect()
}

/// An asset in three lines.
fn brief(asset: &Asset) {
    let name = short(asset.name(), 72);
    println!("{}", name.if_supports_color(Stream::Stdout, |text| text.bold()));
    let mut parts = Vec::new();
    match &asset.metadata {
        Metadata::Readable { summary, .. } => {
            parts.extend((!summary.kind.is_empty()).then(|| short(&summary.kind, 20)));
            parts.extend(data(summary));
            parts.extend((!summary.author.is_empty()).then(|| format!("by {}", short(&summary.author, 30))));
        }
        Metadata::Sealed => parts.push("its metadata are encrypted".to_owned()),
        Metadata::Bad { why } => parts.push(format!("without metadata: {}", short(why, 60))),
        Metadata::None => parts.push("without metadata".to_owned()),
    }
    if asset.state != State::Active {
        parts.push(asset.state.to_string());
    }
    parts.push(asset.price().map_or_else(|| "not for sale".to_owned(), cost));
    if asset.orders > 0 {
        parts.push(counted(asset.orders, "order"));
    }
    println!("  {}\n  {}\n", parts.join(" · "), asset.id);
}

/// Whom it takes to read the data.
fn kept(grade: Grade) -> String {
    let Grade { needed, keepers, owner_half } = grade;
    match (keepers, owner_half) {
        (0, _) => "shared with nobody: the data stay with their owner".to_owned(),
        (_, true) => format!("{needed} of {keepers} keepers and its owner's half; the keepers alone learn nothing"),
        (_, false) => format!("{needed} of {keepers} keepers, who could read it themselves if they act together"),
    }
}

/// All that is known of an asset.
fn describe(whole: &Whole) {
    let Whole { asset, sells, access, keepers, people, purposes, lasts, computing, jobs } = whole;
    let line = |label: &str, text: String| {
        if !text.is_empty() {
            println!("{label:<11} {text}");
        }
    };
    println!("{}", plain(asset.name()).if_supports_color(Stream::Stdout, |text| text.bold()));
    line("did", asset.id.clone());
    line("contract", asset.nft.to_string());
    line("owner", asset.owner.to_string());
    let sells = match (sells, asset.datatokens.is_empty()) {
        (true, _) => format!("orders are taken (stoa data buy {})", asset.id),
        (false, true) => "no orders are taken, as it has no datatoken".to_owned(),
        (false, false) => "no orders are taken".to_owned(),
    };
    line("state", format!("{}: {sells}", asset.state));
    for (label, entries) in [("allowed", &access.allow), ("denied", &access.deny)] {
        for entry in entries {
            line(label, format!("{}{}", if entry.list { "those on list " } else { "" }, entry.who));
        }
    }
    line("key", keepers.map_or_else(String::new, kept));
    line("purpose", names(purposes));
    line("about", names(&people.subjects));
    line("kinds", names(&people.personal));
    line("created", format!("{} in block {}", iso_8601(asset.created.time), asset.created.number));
    if let Some(published) = &asset.published {
        let place = published.place;
        line("published", format!("{} in block {} by {}", iso_8601(place.time), place.number, published.by));
        line("hash", published.hash.to_string());
        for validator in &published.validators {
            line("validated", format!("by {validator}"));
        }
    }
    let description = match &asset.metadata {
        Metadata::Readable { summary, document } => {
            line("type", plain(&summary.kind));
            line("author", plain(&summary.author));
            line("licence", plain(&summary.licence));
            line("tags", plain(&summary.tags.join(", ")));
            line("data", data(summary).join(", "));
            let (_, unnamed) = columns(summary);
            let named = summary.columns.iter().map(|column| match column.kind.is_empty() {
                true => column.name.clone(),
                false => format!("{}:{}", column.name, column.kind),
            });
            line("columns", plain(&named.collect::<Vec<_>>().join(" ")));
            if unnamed > 0 {
                line("", format!("and {unnamed} more that it does not name"));
            }
            if let Ok(Some(sample)) = Sample::of(document.text().as_bytes()) {
                let (name, bytes) = (plain(&sample.name), output::bytes(sample.text.len() as u64));
                line("sample", format!("{name}, {bytes} (stoa algo test --on {})", asset.id));
            }
            line("asset", plain(&summary.asset));
            line("node", plain(&summary.node));
            summary.derived.iter().for_each(|asset| line("derived", format!("from {}", plain(asset))));
            &summary.description
        }
        Metadata::Sealed => {
            line("metadata", "they are sealed: name an account that may read them (--wallet)".to_owned());
            ""
        }
        Metadata::Bad { why } => {
            line("metadata", format!("they cannot be used: {}", plain(why)));
            ""
        }
        Metadata::None => {
            line("metadata", "none were published".to_owned());
            ""
        }
    };
    for Datatoken { address, symbol, orders, prices, .. } in &asset.datatokens {
        line("datatoken", format!("{address} {}, {}", short(symbol, 20), counted(*orders, "order")));
        for price in prices {
            let off = if price.active { "" } else { ", not now" };
            let only = price.only.map_or_else(String::new, |who| format!(", for {who} only"));
            let exchange = price.exchange.map_or_else(String::new, |id| format!(", exchange {id}"));
            line("  price", format!("{}{off}{only}{exchange}", cost(price)));
        }
    }
    if let Some(lasts) = lasts {
        let lasts = if *lasts == 0 { "for ever".to_owned() } else { format!("for {}", lasting(*lasts)) };
        line("order", format!("costs one datatoken, stands {lasts}, and is not given back"));
    }
    let listed = |label: &str, lines: &[String]| {
        lines.iter().enumerate().for_each(|(at, text)| line(if at == 0 { label } else { "" }, text.clone()));
    };
    listed("jobs", jobs);
    listed("leaves", &computing.as_ref().map_or_else(Vec::new, leaves));
    if !description.is_empty() {
        println!();
        description.lines().for_each(|text| println!("{}", plain(text)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::coins as amount;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        search: SearchOptions,
    }

    #[test]
    fn a_price_below_zero_is_refused_as_a_price() {
        for option in ["--min-price", "--max-price"] {
            let why = Typed::try_parse_from(["search", "heart", option, "-1"]).err().unwrap().to_string();
            assert!(why.contains("it cannot be negative") && !why.contains("tip:"), "{why}");
            let typed = Typed::try_parse_from(["search", option, "2.5", "heart"]).unwrap();
            assert_eq!(typed.search.words, ["heart"]);
        }
    }

    #[test]
    fn what_others_wrote_does_not_command_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\r\u{202e}c\u{9b}d"), "a [2Jb  c d");
        assert_eq!(short("Überlang\n", 4), "Über…");
    }

    #[test]
    fn prices_are_said_as_they_are_asked_for() {
        let price = |text: &str| {
            let amount = amount(text).unwrap();
            cost(&Price { amount, token: Some(stoa_data::search::COIN), exchange: None, active: true, only: None })
        };
        assert_eq!(price("2.50"), "2.5 STOA");
        assert_eq!(price("100"), "100 STOA");
        assert_eq!(price("0.000000000000000001"), "0.000000000000000001 STOA");
        assert!(amount("-1").is_err() && amount("x").is_err() && amount("1e400").is_err());
    }

    #[test]
    fn columns_are_counted_that_are_not_named() {
        let column = || stoa_data::search::Column { name: "a".to_owned(), kind: String::new() };
        let of = |width| Summary { columns: vec![column(), column()], width, ..Summary::default() };
        assert_eq!([None, Some(1), Some(10_000)].map(|width| columns(&of(width))), [(2, 0), (2, 0), (10_000, 9_998)]);
        assert_eq!(data(&of(Some(10_000))), ["10000 columns"]);
    }

    #[test]
    fn whom_it_takes_to_read_the_data_is_said() {
        let grade = |keepers, owner_half| kept(Grade { needed: 2, keepers, owner_half });
        assert!(grade(0, true).contains("stay with their owner"));
        assert!(grade(3, true).contains("2 of 3 keepers and its owner's half"));
        assert!(grade(3, false).contains("if they act together"));
    }

    #[test]
    fn columns_and_states_are_read() {
        assert_eq!(column("age:int:eger"), Ok(("age".into(), Some("int:eger".into()))));
        assert!(column(":integer").is_err());
        assert_eq!(states("any").unwrap().0.len(), 6);
        assert!(states("gone").unwrap_err().contains("end-of-life"));
    }
}

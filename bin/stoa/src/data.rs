//! `stoa data`: data that only those can read whom their owner allows, for as long as he does.

mod erase;
mod notes;

use crate::{
    consent::{RELEASES, TermsOptions, terms},
    network::wait,
    note,
    progress::progress,
    sale::{self, BuyOptions, EarningsOptions, EditOptions, ListCommand, LookOptions, PriceOptions, SaleOptions},
    search,
    spread::{Online, Spread, extended, warnings},
    store::{is_stdout, not_there, open, write_to},
    wallet::WalletOptions,
};
use alloy_primitives::{Address, B256};
use clap::{Args, Subcommand};
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure};
use notes::{Notes, Sent, let_go};
use serde_json::{Value, json};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use stoa_base::NodeId;
use stoa_client::{Wallet, iso_8601};
use stoa_data::{
    breach::Kept,
    client::{Allowed, Conditions, Data, Failure, Holders, Opened, Published, Uses},
    sale::{Ends, Seller},
};
use stoa_store::{ObjectId, Store, days_from_now};

/// What somebody has to know who reads this for the first time.
const WORDS: &str = "\
Words: an asset is somebody's data, by their id on the ledger. They are sealed, that is, encrypted, and spread over nodes; the key is \
shared among keepers, nodes that release their part while the ledger says that they may, and with its owner where he keeps a half. A \
grant lets somebody read it, for a purpose, until its owner revokes it. On the market an asset has a DID (did:op:…) as well, and an \
order, paid for in its datatoken, opens a grant to whoever buys it.\n\n\
Examples: stoa data publish patients.csv --keepers 3/5 --wallet me.key\n          \
stoa data grant 0x5f8e… --to 0x7099… --days 90 --wallet me.key\n          \
stoa data get 0x91ab… --to patients.csv --wallet me.key";

/// Options of `stoa data`.
#[derive(Args)]
#[command(after_help = WORDS)]
pub(crate) struct Options {
    /// Folder of what this machine knows of its assets, and of the store.
    #[arg(long, global = true, value_name = "DIR", default_value = ".stoa")]
    dir: PathBuf,
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Find(search::Command),
    /// Publish the key that others encrypt to when they share something with you. Once for each account, before it is given a
    /// grant.
    #[command(after_help = "Example: stoa data announce --wallet me.key")]
    Announce,
    /// Say what a file or folder is, what publishing it would tell everybody, and what in it looks personal. Sends nothing.
    #[command(after_help = "Example: stoa data look patients.csv")]
    Look(LookOptions),
    /// Seal a file or folder, spread it over the network's nodes, and share its key among keepers. Prints the asset's id. With
    /// --price or --free it is put on the market as well, where whoever orders it may read it; with --compute the data stay on your
    /// node, and whoever orders may have programs run on them. What was cut off goes on with the same command, and what is published
    /// already is not published twice.
    #[command(
        after_help = "Examples: stoa data publish patients.csv --keepers 3/5 --wallet me.key\n          stoa data publish heart.csv --price 2 --keepers-only --name Heart --description 'Rows of hearts' --license CC-BY-4.0 --wallet me.key\n          stoa data publish heart.csv --price 2 --compute --data node-data --node 0x3b6a… --algorithm mean.wasm --name Heart --description 'Rows of hearts' --license CC-BY-4.0 --wallet me.key"
    )]
    Publish(Box<PublishOptions>),
    /// Change what an asset on the market says of itself, or how it stands.
    #[command(
        after_help = "Example: stoa data edit did:op:5f8e… --name 'Hearts of 1988' --state unlisted --wallet me.key"
    )]
    Edit(EditOptions),
    /// Show what an order of an asset costs, or say what it costs from now on.
    #[command(
        after_help = "Examples: stoa data price did:op:5f8e…\n          stoa data price did:op:5f8e… --set 2.5 --wallet me.key"
    )]
    Price(PriceOptions),
    /// Make lists of people, put people on them and take them off: assets name lists where they say who may order (--allow and --deny of
    /// `publish` and `edit`).
    #[command(
        subcommand,
        after_help = "Example: stoa data access-list new 0x7099… 0x3c44… --name Hospitals --wallet me.key"
    )]
    AccessList(ListCommand),
    /// Order an asset: says what the order costs, and what a job does, pays once you agree, and prints the order, its end,
    /// and the grant that it opens. What was paid is not given back.
    #[command(after_help = "Example: stoa data buy did:op:5f8e… --most 2.5 --wallet me.key")]
    Buy(BuyOptions),
    /// Show what assets have brought, those of `stoa job offer` too: sales, orders, jobs, what went back to buyers, and fees,
    /// by token. What is paid from a bond to those who check jobs is not counted.
    #[command(after_help = "Example: stoa data earnings --wallet me.key --collect")]
    Earnings(EarningsOptions),
    /// Let somebody read an asset that was published from this machine, or whoever holds a token or a credential. Prints the
    /// grant's id, and until when, for what and how often it is.
    #[command(
        after_help = "Examples: stoa data grant 0x5f8e… --to 0x7099… --purpose ScientificResearch --days 90 --wallet me.key\n          stoa data grant 0x5f8e… --to-holders-of 0x90f7… --times 100 --wallet me.key\n          stoa data grant 0x5f8e… --credential 0x1c2d… --issuer 0x3c44… --wallet me.key"
    )]
    Grant(GrantOptions),
    /// Read an asset with a grant: records the use, and asks the keepers for the key. What they sign is kept: `stoa consent breach`
    /// shows who released a share after a revocation. What was cut off goes on with the use that is on record.
    #[command(after_help = "Example: stoa data get 0x91ab… --to patients.csv --wallet me.key")]
    Get {
        /// The grant.
        #[arg(value_parser = crate::typed::id)]
        grant: B256,
        /// Where to; must not be there yet. `-` writes a file to standard output.
        #[arg(long, value_name = "PATH")]
        to: PathBuf,
    },
    /// End a grant, or all that an asset has: keepers release nothing more for it, and no job begins under it. What is on the
    /// market, and would open nothing any more to whoever orders it, is revoked there first (see `stoa data edit --state`).
    #[command(
        after_help = "Examples: stoa data revoke 0x91ab… --wallet me.key\n          stoa data revoke 0x5f8e… --all --wallet me.key"
    )]
    Revoke {
        /// The grant; with --all the asset.
        #[arg(value_parser = crate::typed::id)]
        id: B256,
        /// End all grants of the asset that there are. Others can be made later.
        #[arg(long)]
        all: bool,
    },
    /// Have the nodes keep the data of an asset that was published from this machine longer than they had promised. Says for
    /// how long they keep them now, and for how long it was before.
    #[command(after_help = "Example: stoa data extend 0x5f8e… --days 90 --wallet me.key")]
    Extend {
        /// The asset.
        #[arg(value_parser = crate::typed::id)]
        asset: B256,
        /// For how many days from now on.
        #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=365))]
        days: u64,
    },
    /// Share the key of an asset anew: among other keepers in place of those named and of those who have left, or among the same
    /// ones, whose old shares are worth nothing then. Readers notice nothing.
    #[command(after_help = "Example: stoa data move 0x5f8e… --without 0x3b6a… --wallet me.key")]
    Move {
        /// The asset.
        #[arg(value_parser = crate::typed::id)]
        asset: B256,
        /// A keeper that is to be none any more; may be given several times.
        #[arg(long, value_name = "NODE", value_parser = crate::typed::id)]
        without: Vec<B256>,
    },
    /// End an asset for ever: revoke it at the market, destroy this machine's half of its key, end all grants, and ask all
    /// who keep a part of it to delete that and sign that they did. Nodes that compute on it delete their copies. Reports what
    /// cannot be taken back.
    #[command(after_help = "Example: stoa data erase 0x5f8e… --wallet me.key --json")]
    Erase {
        /// The asset.
        #[arg(value_parser = crate::typed::id)]
        asset: B256,
    },
}

/// Options of `stoa data grant`.
#[derive(Args)]
struct GrantOptions {
    /// The asset.
    #[arg(value_parser = crate::typed::id)]
    asset: B256,
    /// Who may read. He must have announced a key (`stoa data announce`).
    #[arg(long, value_name = "ADDRESS", value_parser = crate::typed::address, required_unless_present_any = ["to_holders_of", "credential"])]
    to: Option<Address>,
    /// Whoever holds a token of this contract (ERC-20 or ERC-721) when he reads. The asset must have been published with
    /// --keepers-only.
    #[arg(long, value_name = "CONTRACT", value_parser = crate::typed::address, conflicts_with_all = ["to", "credential"])]
    to_holders_of: Option<Address>,
    /// Whoever holds this credential when he reads, as --issuer knows it. The asset must have been published with --keepers-only.
    #[arg(long, value_name = "HASH", value_parser = crate::typed::id, requires = "issuer", conflicts_with = "to")]
    credential: Option<B256>,
    /// The contract that says who holds the credential, by hasCredential(address,bytes32).
    #[arg(long, value_name = "CONTRACT", value_parser = crate::typed::address, requires = "credential")]
    issuer: Option<Address>,
    #[command(flatten)]
    terms: TermsOptions,
}

/// Options of `stoa data publish`.
#[derive(Args)]
struct PublishOptions {
    /// The file or folder.
    path: PathBuf,
    /// How many keepers have a part in the key, and how many of them release it.
    #[arg(long, value_name = "T/M", default_value = "2/3", value_parser = threshold)]
    keepers: (usize, usize),
    /// Without a half of the key of your own: who gets a grant can read although you are not there, and T keepers who act together
    /// can read without anybody's leave.
    #[arg(long)]
    keepers_only: bool,
    /// For how many days nodes are to keep the data.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=365))]
    days: u64,
    /// Publish what is hidden in a folder as well, such as .env: otherwise a folder with such files is refused.
    #[arg(long)]
    hidden: bool,
    /// Publish another asset of what is published already and has not changed since.
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    sale: SaleOptions,
}

impl PublishOptions {
    /// Refuses a folder with something hidden in it, which people do not see when they look what is there.
    fn refuse(&self) -> Result<()> {
        if self.hidden {
            return Ok(());
        }
        let found = self.path.canonicalize().and_then(|whole| hidden(&whole));
        match found.wrap_err_with(|| format!("cannot read {}", self.path.display()))? {
            Some(path) => {
                bail!("{} is hidden: take it out of the folder, or say --hidden to publish it as well", path.display())
            }
            None => Ok(()),
        }
    }
}

/// Something in a folder whose name begins with a dot.
fn hidden(folder: &Path) -> io::Result<Option<PathBuf>> {
    if !folder.symlink_metadata()?.is_dir() {
        return Ok(None);
    }
    let mut inside = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    inside.sort_by_key(fs::DirEntry::file_name);
    for entry in inside {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            return Ok(Some(path));
        }
        if let Some(found) = hidden(&path)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn threshold(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once('/').and_then(|(t, m)| Some((t.parse().ok()?, m.parse().ok()?)));
    let threshold = numbers.filter(|(t, m)| (1..=*m).contains(t) && *m <= 64);
    threshold.ok_or_else(|| "want T/M with 1 ≤ T ≤ M ≤ 64, for example 3/5".to_owned())
}

/// Runs `stoa data`.
pub(crate) fn run(options: Options, json: bool) -> Result<()> {
    let Options { dir, wallet, command } = options;
    // What needs neither store nor other nodes.
    let command = match command {
        Command::Find(command) => return search::run(command, &dir, &wallet, json),
        Command::Look(options) => return sale::run_look(&options, json),
        Command::Edit(options) => return wait(sale::edit(&dir, options, &wallet, json))?,
        Command::Price(options) => return wait(sale::price(&dir, options, &wallet, json))?,
        Command::AccessList(command) => return wait(sale::access_list(command, &wallet, json))?,
        Command::Buy(options) => return wait(sale::buy(&dir, options, &wallet, json))?,
        Command::Earnings(options) => return wait(sale::earnings(&dir, options, &wallet, json))?,
        Command::Publish(options) if options.sale.sells() && options.sale.computes() => {
            return wait(sell(&dir, &options, &wallet, None, json))?;
        }
        other => other,
    };
    wait(async {
        let store = open(&dir.join("store"))?;
        let account = wallet.open().await?;
        let online = Online::with(&store, &wallet, Some(&account)).await?;
        let data = Data::new(account.clone(), online.registry.clone(), &online.endpoint)?;
        let data = data.keeping(Kept::at(dir.join(RELEASES))).noting(Uses::at(dir.join("uses")));
        let done = match command {
            // These went another way above.
            Command::Find(_)
            | Command::Look(_)
            | Command::Edit(_)
            | Command::Price(_)
            | Command::AccessList(_)
            | Command::Buy(_)
            | Command::Earnings(_) => Ok(()),
            Command::Announce => announce(&data, &account, json).await,
            Command::Publish(options) if options.sale.sells() => {
                sell(&dir, &options, &wallet, Some((&online, &data)), json).await
            }
            Command::Publish(options) => publish(&dir, &online, &data, &account, &options, json).await,
            Command::Grant(options) => grant(&dir, &data, &account, options, json).await,
            Command::Get { grant, to } => get(&store, &online, &data, grant, &to, json).await,
            Command::Revoke { id, all } => revoke(&account, id, all, json).await,
            Command::Extend { asset, days } => extend(&dir, &online, &account, asset, days, json).await,
            Command::Move { asset, without } => move_shares(&data, asset, &without, json).await,
            Command::Erase { asset } => erase::erase(&dir, &online, &data, &account, asset, json).await,
        };
        online.endpoint.close().await;
        done
    })?
}

fn place(dir: &Path, asset: B256) -> PathBuf {
    dir.join("assets").join(format!("{asset}.json"))
}

/// Where is until when nodes have promised to keep an asset's data, in seconds since 1970.
fn promised(dir: &Path, asset: B256) -> PathBuf {
    dir.join("promised").join(format!("{asset}.json"))
}

/// Where is what was published of an asset that is erased, to ask for its objects again.
fn erased(dir: &Path, asset: B256) -> PathBuf {
    dir.join("erased").join(format!("{asset}.json"))
}

fn published(dir: &Path, asset: B256) -> Result<Published> {
    let known: Option<Published> = note::found(&place(dir, asset))?;
    known.wrap_err_with(|| match erased(dir, asset).exists() {
        true => format!("{asset} is erased (`stoa data erase`): nobody can be given it any more"),
        false => format!("{asset} was not published from {} (see --dir)", dir.display()),
    })
}

async fn announce(data: &Data, account: &Wallet, json: bool) -> Result<()> {
    let new = data.announce().await?;
    match json {
        true => println!("{}", json!({ "address": account.address(), "new": new })),
        false if new => println!("Others can share with {} now.", account.address()),
        false => println!("The key of {} was announced before.", account.address()),
    }
    Ok(())
}

/// An asset's data, where nodes keep them.
struct Placed {
    asset: B256,
    object: ObjectId,
    /// Pieces that no node took.
    missing: usize,
    survives_a_domain: bool,
    /// Keepers that have not taken their share of the key.
    shareless: Vec<Failure>,
}

impl Placed {
    fn new(asset: B256, sent: &Sent) -> Result<Self> {
        let (missing, survives_a_domain) = (sent.missing, sent.survives_a_domain);
        Ok(Self { asset, object: sent.object()?, missing, survives_a_domain, shareless: Vec::new() })
    }

    /// What its owner has to know.
    fn warnings(&self) -> Vec<String> {
        let shareless = self.shareless.iter().map(|Failure { node, why }| {
            format!(
                "keeper {node} has no share of the key: {why}. `stoa data move {}` gives it one once it is there, and with `--without \
                 {node}` another keeper in its place",
                self.asset
            )
        });
        warnings(self.missing, self.survives_a_domain).chain(shareless).collect()
    }
}

/// Keepers that failed, for programs.
fn failures(failed: &[Failure]) -> Vec<Value> {
    failed.iter().map(|Failure { node, why }| json!({ "node": node.to_string(), "why": why })).collect()
}

/// Seals, spreads and registers what is named, or goes on with that.
async fn spread(
    dir: &Path,
    online: &Online,
    data: &Data,
    account: &Wallet,
    options: &PublishOptions,
    notes: &Notes,
) -> Result<Placed> {
    let bar = progress("choosing keepers");
    let prepared = notes.prepare(online, data, account, options.keepers, !options.keepers_only).await;
    bar.finish_and_clear();
    let prepared = prepared?;
    let (asset, seal) = (prepared.asset(), prepared.seal());
    let sent = match notes.sent() {
        Some(sent) => sent,
        None => {
            let terms = Spread { code: None, days: options.days, public: false };
            let (id, outcomes) = online.spread(&options.path, &seal, &terms).await?;
            let sent = Sent::new(id, &outcomes);
            notes.note_sent(&sent)?;
            note::write(&promised(dir, asset), &days_from_now(options.days))?;
            sent
        }
    };
    let (mut placed, objects) = (Placed::new(asset, &sent)?, sent.objects()?);
    let bar = progress("sharing the key among keepers");
    let published = data.register(prepared, &objects).await;
    bar.finish_and_clear();
    let (published, shareless) = published?;
    placed.shareless = shareless;
    note::write(&place(dir, asset), &published)?;
    if let Err(error) = let_go(online, asset, &seal, &objects).await {
        tracing::warn!(%error, "what an earlier try has sealed is kept until its time is over");
    }
    Ok(placed)
}

async fn publish(
    dir: &Path,
    online: &Online,
    data: &Data,
    account: &Wallet,
    options: &PublishOptions,
    json: bool,
) -> Result<()> {
    options.sale.refuse()?;
    options.refuse()?;
    let notes = Notes::of(dir, account.address(), &options.path)?;
    notes.refuse(account, options.again).await?;
    account.client().check_clock().await?;
    let placed = spread(dir, online, data, account, options, &notes).await?;
    let Placed { asset, object, missing, survives_a_domain, .. } = placed;
    notes.note(asset, Some(asset.to_string()))?;
    let ((needed, total), own_half) = (options.keepers, !options.keepers_only);
    let grade = match own_half {
        true => format!("your half of the key and {needed} of {total} keepers; the keepers alone learn nothing"),
        false => format!("{needed} of {total} keepers, who could read it themselves if they act together"),
    };
    match json {
        true => {
            let said = json!({
                "asset": asset, "object": object.to_string(), "needed": needed, "keepers": total, "ownerHalf": own_half,
                "missingPieces": missing, "survivesADomain": survives_a_domain, "withoutShare": failures(&placed.shareless),
            });
            println!("{said}");
        }
        false => {
            println!("{asset}\nsealed and spread; to read it takes {grade}");
            placed.warnings().iter().for_each(|warning| println!("{warning}"));
        }
    }
    Ok(())
}

/// `stoa data publish` for the market: sealed and spread by way of the network, or without it for computing where the data are.
async fn sell(
    dir: &Path,
    options: &PublishOptions,
    wallet: &WalletOptions,
    network: Option<(&Online, &Data)>,
    json: bool,
) -> Result<()> {
    ensure!(
        options.keepers_only || network.is_none(),
        "who will buy is not known yet, and your half of a key is sealed to each reader by name. Publish with --keepers-only (so many \
         keepers as release the key could then read it if they acted together), or with --compute, where the data stay on your node"
    );
    options.refuse()?;
    let account = wallet.open().await?;
    let notes = Notes::of(dir, account.address(), &options.path)?;
    notes.refuse(&account, options.again).await?;
    let mut sale = options.sale.prepare(dir, &options.path, &account, json).await?;
    if !sale.begun() {
        let (asset, computes) = match (network, notes.made()) {
            (Some(_), Some(asset)) => (asset, None),
            (Some((online, data)), None) => {
                account.client().check_clock().await?;
                let placed = spread(dir, online, data, &account, options, &notes).await?;
                placed.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
                notes.note(placed.asset, None)?;
                (placed.asset, None)
            }
            (None, _) => options.sale.offer(&sale, &options.path, &account).await?,
        };
        sale.begin(&account, asset, computes).await?;
    }
    let (did, asset) = sale.finish(dir, &account, json).await?;
    notes.note(asset, Some(did))
}

async fn grant(dir: &Path, data: &Data, account: &Wallet, options: GrantOptions, json: bool) -> Result<()> {
    let GrantOptions { asset, to, to_holders_of, credential, issuer, terms: typed } = options;
    let until = typed.until(account.client()).await?;
    let TermsOptions { purpose, times: limit, .. } = typed;
    let allowed = terms(&purpose, until, limit);
    let (id, have, without) = match (to, to_holders_of, issuer.zip(credential)) {
        (Some(who), _, _) => {
            let purpose = purpose.clone();
            data.grant(&published(dir, asset)?, Allowed { who, purpose, until, limit }).await?
        }
        (None, token, known) => {
            let holders = match (token, known) {
                (Some(token), _) => Holders::Token(token),
                (None, Some((issuer, credential))) => Holders::Credential { issuer, credential },
                (None, None) => bail!("who may? Say --to, --to-holders-of or --credential"),
            };
            let conditions = Conditions { purpose: purpose.clone(), until, limit };
            (data.grant_holders(asset, holders, conditions).await?, 0, Vec::new())
        }
    };
    match json {
        true => {
            let said = json!({
                "grant": id, "asset": asset, "to": to, "toHoldersOf": to_holders_of, "credential": credential,
                "issuer": issuer, "until": (until > 0).then(|| iso_8601(until)), "purpose": purpose,
                "times": (limit > 0).then_some(limit), "withHalf": have, "withoutHalf": failures(&without),
            });
            println!("{said}");
        }
        false => {
            println!("{id}\n{allowed}");
            without_half(have, &without).iter().for_each(|warning| println!("{warning}"));
        }
    }
    Ok(())
}

/// What the owner has to know of a grant if not all keepers have the reader's half of the key.
fn without_half(have: usize, without: &[Failure]) -> Option<String> {
    let why = without.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let has = if have == 1 { "has" } else { "have" };
    (!without.is_empty()).then(|| {
        format!(
            "{have} of {} keepers {has} the reader's half of the key now; the others fetch it from them some minutes after they are there \
             again, and until then nobody reads without one of those that have it: {why}",
            have + without.len()
        )
    })
}

/// Whether something can be written there: a grant is not used for what goes nowhere.
fn writable(to: &Path) -> Result<()> {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let tried = tempfile::NamedTempFile::new_in(folder).map(drop);
    tried.wrap_err_with(|| format!("{} cannot be written; the grant was not used", to.display()))
}

async fn get(store: &Store, online: &Online, data: &Data, grant: B256, to: &Path, json: bool) -> Result<()> {
    not_there(to)?;
    if !is_stdout(to) {
        writable(to)?;
    }
    let bar = progress("asking the keepers for the key");
    let opened = data.open(grant).await;
    bar.finish_and_clear();
    let Opened { object, seal, failed, again } = opened.wrap_err("it cannot be read")?;
    for Failure { node, why } in &failed {
        tracing::warn!(keeper = %node, why, "a keeper did not do what it should");
    }
    let brought = online.bring(object, &|id| Ok(store.folder(id, &seal)?)).await?;
    write_to(store, object, to, &seal).wrap_err("nothing was written; the next try goes on with the same use")?;
    if let Err(error) = data.arrived(grant) {
        tracing::warn!(%error, "the next `stoa data get` with this grant goes on with the same use");
    }
    online.forget(&brought)?;
    let went_on = "read with a use that was on record and of which nothing had come: no other one was made";
    match json {
        // There is what was read, and nothing else.
        _ if is_stdout(to) && again => eprintln!("{went_on}"),
        _ if is_stdout(to) => {}
        true => {
            let said = json!({
                "grant": grant, "object": object.to_string(), "to": to, "failedKeepers": failures(&failed), "usedBefore": again,
            });
            println!("{said}");
        }
        false => {
            println!("{}", to.display());
            if again {
                println!("{went_on}");
            }
        }
    }
    Ok(())
}

async fn revoke(account: &Wallet, id: B256, all: bool, json: bool) -> Result<()> {
    // First, so that nobody pays for what he is not given if this is cut off in between.
    let ends = if all { Ends::All(id) } else { Ends::Grant(id) };
    let closed = Seller::new(account.clone()).close(ends).await?;
    let revoked = match all {
        true => stoa_data::client::revoke_all(account, id).await,
        false => stoa_data::client::revoke(account, id).await,
    };
    if !json {
        closed.iter().for_each(|nft| println!("{}", no_longer_sold(*nft)));
    }
    revoked?;
    match json {
        true => println!("{}", json!({ "revoked": id, "all": all, "closed": closed })),
        false => println!(
            "Revoked. Keepers release nothing more for it, and no job begins; what was read before cannot be taken back."
        ),
    }
    Ok(())
}

/// That orders are not taken any more of what nobody who orders could use.
fn no_longer_sold(nft: Address) -> String {
    format!(
        "{nft} is revoked at the market as well, for an order would open nothing: none is taken any more, and none stands. What buyers \
         have paid for orders is not given back. Once there is a grant to them again, `stoa data edit {nft} --state active` opens it."
    )
}

async fn extend(dir: &Path, online: &Online, account: &Wallet, asset: B256, days: u64, json: bool) -> Result<()> {
    account.client().check_clock().await?;
    let objects = published(dir, asset)?.objects.iter().map(|object| ObjectId(object.0)).collect();
    let bar = progress("asking the nodes");
    let outcome = online.extend(objects, days, None).await;
    bar.finish_and_clear();
    let (outcome, note) = (outcome?, promised(dir, asset));
    let before: Option<u64> = note::read(&note);
    // What they had promised for longer they keep for longer.
    let until = days_from_now(days).max(before.unwrap_or_default());
    note::write(&note, &until)?;
    extended(outcome, (before, until), json);
    Ok(())
}

async fn move_shares(data: &Data, asset: B256, without: &[B256], json: bool) -> Result<()> {
    let without: Vec<_> = without.iter().map(|node| NodeId::from(*node)).collect();
    let bar = progress("dealing the shares anew");
    let moved = data.move_shares(asset, &without).await;
    bar.finish_and_clear();
    let keepers = moved?;
    match json {
        true => {
            let keepers: Vec<_> = keepers.iter().map(ToString::to_string).collect();
            println!("{}", json!({ "asset": asset, "keepers": keepers }));
        }
        false => {
            println!("The key is shared anew. Its keepers are:");
            keepers.iter().for_each(|keeper| println!("  {keeper}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoa_store::Spreading;

    #[test]
    fn what_cannot_be_written_is_known_before_a_grant_is_used() {
        let folder = tempfile::tempdir().unwrap();
        writable(&folder.path().join("copy.csv")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was left there");
        writable(Path::new("copy.csv")).unwrap();
        for to in [Path::new("/proc/x.csv"), &folder.path().join("nodir/copy.csv")] {
            let why = writable(to).unwrap_err().to_string();
            assert!(why.contains("the grant was not used"), "{why}");
        }
    }

    #[test]
    fn what_is_erased_is_told_from_what_was_not_published_here() {
        let folder = tempfile::tempdir().unwrap();
        let asset = B256::repeat_byte(1);
        let why = || published(folder.path(), asset).err().unwrap().to_string();
        assert!(why().contains("was not published from"), "{}", why());
        note::write(&erased(folder.path(), asset), &0).unwrap();
        assert!(why().contains("is erased") && !why().contains("--dir"), "{}", why());
    }

    #[test]
    fn what_is_hidden_in_a_folder_is_seen_and_a_file_that_is_named_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        fs::create_dir_all(at("data/more")).unwrap();
        fs::write(at("data/more/rows.csv"), "1").unwrap();
        assert_eq!(hidden(&at("data")).unwrap(), None);
        fs::write(at("data/more/.env"), "secret").unwrap();
        assert_eq!(hidden(&at("data")).unwrap(), Some(at("data/more/.env")));
        assert_eq!(hidden(&at("data/more/.env")).unwrap(), None);
    }

    #[test]
    fn pieces_that_no_node_took_are_told() {
        let (asset, object) = (B256::repeat_byte(1), ObjectId([2; 32]));
        let spread = |missing: &[usize], survives_a_domain| {
            (object, Spreading { missing: missing.to_vec(), survives_a_domain, ..Spreading::default() })
        };
        let placed = |outcomes: &[_]| Placed::new(asset, &Sent::new(object, outcomes)).unwrap();
        let whole = placed(&[spread(&[], true), spread(&[], true)]);
        assert_eq!((whole.missing, whole.survives_a_domain, whole.warnings()), (0, true, vec![]));
        // One file of a folder is enough.
        let less = placed(&[spread(&[], true), spread(&[3, 4], false), spread(&[0], true)]);
        assert_eq!((less.missing, less.survives_a_domain), (3, false));
        let warnings = less.warnings();
        assert!(warnings[0].starts_with("3 pieces found no node") && warnings[1].contains("failure domains"));
        // So are keepers that have no share of the key, and what gives them one.
        let gone = Failure { node: NodeId([7; 32]), why: "it is gone".into() };
        let warnings = Placed { shareless: vec![gone.clone()], ..whole }.warnings();
        let (node, moves) = (gone.node.to_string(), format!("`stoa data move {asset}`"));
        assert_eq!(warnings.len(), 1);
        for part in [node.as_str(), "it is gone", &moves, "--without"] {
            assert!(warnings[0].contains(part), "{part} is not in {warnings:?}");
        }
        assert_eq!(failures(&[gone])[0]["node"], node);
    }

    #[test]
    fn an_owner_is_told_how_many_keepers_have_the_readers_half_if_it_is_not_all() {
        assert_eq!(without_half(3, &[]), None);
        let gone = [7, 8].map(|byte| Failure { node: NodeId([byte; 32]), why: "it is gone".into() });
        let said = without_half(1, &gone).unwrap();
        for part in ["1 of 3 keepers has", "the others fetch it", &gone[0].to_string(), &gone[1].to_string()] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
    }
}

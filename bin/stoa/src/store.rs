//! `stoa store`: files and folders on this machine's own store, or spread over the network's, under the hash of what they are.

use crate::{
    network::wait,
    output,
    progress::{Meter, size},
    spread::{self, Spread, Spreads, left},
    wallet::WalletOptions,
};
use clap::{Args, Subcommand};
use eyre::{Result, WrapErr as _, bail};
use serde_json::json;
use std::{io::Write as _, path::PathBuf, time::Duration};
use stoa_base::now;
use stoa_client::plain;
use stoa_store::{Bounds, Code, Kind, Limits, Manifest, ObjectId, Owner, Put, Root, Store};

/// Options of `stoa store`.
#[derive(Args)]
pub(crate) struct Options {
    /// Folder of the store.
    #[arg(long, global = true, value_name = "DIR", default_value = ".stoa/store")]
    dir: PathBuf,
    #[command(flatten)]
    wallet: WalletOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Keep a file or a folder, and print its id. Nothing of it leaves this machine, but with --spread: then it is sealed for
    /// the wallet's owner, and any few of its pieces on other nodes suffice to read it. What was cut off goes on with the same command.
    #[command(
        after_help = "Examples: stoa store put measurements.parquet\n          stoa store put measurements.parquet --spread --wallet me.key"
    )]
    Put {
        /// The file or folder.
        path: PathBuf,
        /// Hand sealed pieces to nodes of the network, which keep them; nothing is kept here.
        #[arg(long)]
        spread: bool,
        /// Do not seal it: the nodes that keep it, and everybody else, can read it.
        #[arg(long, requires = "spread")]
        public: bool,
        /// For how many days the nodes are to keep it.
        #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=365))]
        days: u64,
        /// Into how many pieces, and how many of them suffice: 4/10 where there are ten nodes, and alike where there are
        /// fewer.
        #[arg(long, value_name = "K/N", value_parser = code, requires = "spread")]
        code: Option<Code>,
    },
    /// Write an object to a file or folder, from here or from the network, checked against its id and opened; `-` writes a
    /// file to standard output. What was cut off goes on with the same command.
    #[command(after_help = "Example: stoa store get 5f8e… --to measurements.parquet --wallet me.key")]
    Get {
        /// What `put` has printed.
        id: ObjectId,
        /// Where to; must not be there yet.
        #[arg(long, value_name = "PATH")]
        to: PathBuf,
    },
    /// List what is kept here, and what was spread from here: whoever loses its id cannot find it again.
    #[command(after_help = "Example: stoa store ls --json")]
    Ls,
    /// Bring an object here from the network and keep it, as it is sealed. One that was spread without --public wants the wallet
    /// that it was sealed for.
    #[command(after_help = "Example: stoa store pin 5f8e… --wallet me.key")]
    Pin {
        /// What `put` has printed.
        id: ObjectId,
    },
    /// Have the nodes keep an object that was spread for this wallet longer than they had promised.
    #[command(after_help = "Example: stoa store extend 5f8e… --days 90 --wallet me.key")]
    Extend {
        /// What `put --spread` has printed.
        id: ObjectId,
        /// For how many days from now on.
        #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=365))]
        days: u64,
    },
    /// Keep an object no longer, and free what nothing else needs.
    #[command(
        after_help = "Examples: stoa store rm 5f8e…\n          stoa store rm 5f8e… --everywhere --wallet me.key\n          stoa store rm --unfinished"
    )]
    Rm {
        /// What `put` has printed.
        #[arg(required_unless_present = "unfinished")]
        id: Option<ObjectId>,
        /// Ask the nodes that keep it for this wallet to let it go, and drop what a `get` has left of it here.
        #[arg(long)]
        everywhere: bool,
        /// Drop what puts and gets that were broken off have left for the next try.
        #[arg(long, conflicts_with_all = ["id", "everywhere"])]
        unfinished: bool,
    },
    /// Show how full the store is; `--scrub` compares everything with its hash.
    #[command(after_help = "Example: stoa store status --scrub")]
    Status {
        /// Read everything, and name what is damaged.
        #[arg(long)]
        scrub: bool,
    },
}

/// How long what was put of a folder is kept if it breaks off before the end.
const RESUME: Duration = Duration::from_secs(7 * 24 * 3600);

fn code(text: &str) -> Result<Code, String> {
    let numbers = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    let code = numbers.and_then(|(k, n)| Code::new(k, n));
    code.ok_or_else(|| "want K/N with 1 ≤ K ≤ N ≤ 255, for example 4/10".to_owned())
}

pub(crate) fn describe(manifest: &Manifest) -> &'static str {
    match manifest.kind {
        Kind::File => "file",
        Kind::Folder => "folder",
    }
}

/// Runs `stoa store`.
pub(crate) fn run(options: Options, json: bool) -> Result<()> {
    let Options { dir, wallet, command } = options;
    let store = Store::open(&dir, Limits::default())
        .wrap_err_with(|| format!("cannot open the store in {} (does another program use it?)", dir.display()))?;
    let found = store.found();
    if !found.lost.is_empty() {
        tracing::warn!(blobs = found.lost.len(), "files of the store are gone or cut: what they held cannot be read");
    }
    let spreads = Spreads::of(&dir);
    match command {
        Command::Put { path, spread: true, public, days, code } => {
            wait(spread::put(&store, &spreads, &path, Spread { code, days, public }, &wallet, json))?
        }
        Command::Put { path, .. } => put(&store, &path, json),
        Command::Get { id, to } => get(&store, id, &to, &wallet, json),
        Command::Pin { id } => spread::pin(&store, id, &wallet, json),
        Command::Extend { id, days } => wait(spread::extend(&store, &spreads, id, days, &wallet, json))?,
        Command::Ls => list(&store, &spreads, json),
        Command::Rm { unfinished: true, .. } | Command::Rm { id: None, .. } => drop_unfinished(&store, &spreads, json),
        Command::Rm { id: Some(id), everywhere: true, .. } => {
            wait(spread::let_go(&store, &spreads, id, &wallet, json))?
        }
        Command::Rm { id: Some(id), .. } => remove(&store, &spreads, id, json),
        Command::Status { scrub } => status(&store, &spreads, scrub, json),
    }
}

fn put(store: &Store, path: &std::path::Path, json: bool) -> Result<()> {
    let metadata = path.metadata().wrap_err_with(|| format!("cannot read {}", path.display()))?;
    let bytes = size(path);
    let meter = Meter::new(store, "reading, hashing and writing", move |_| Some(bytes));
    let kept = match metadata.is_dir() {
        true => store.put_folder(path, Put::default(), now() + RESUME.as_secs()),
        false => store.put_file(path, Put::default()),
    };
    drop(meter);
    let id = kept.wrap_err_with(|| spread::unkept(path, store))?;
    let manifest = store.manifest(id)?;
    match json {
        true => {
            let said = json!({
                "id": id.to_string(), "kind": describe(&manifest), "size": manifest.size, "resumed": store.resumed(),
            });
            println!("{said}");
        }
        false => {
            went_on(store);
            println!("{id}");
        }
    }
    Ok(())
}

/// Says beside what is printed that an earlier try was gone on with.
fn went_on(store: &Store) {
    let there = store.resumed();
    if there > 0 {
        eprintln!(
            "went on where it was cut off: {} were written before, and are as they should be",
            output::bytes(there)
        );
    }
}

fn get(store: &Store, id: ObjectId, to: &std::path::Path, wallet: &WalletOptions, json: bool) -> Result<()> {
    let stdout = to.as_os_str() == "-";
    if !stdout && to.symlink_metadata().is_ok() {
        bail!("{} is there already: name another place with --to", to.display());
    }
    let reading = spread::reading(wallet)?;
    let write = || {
        let (manifest, seal) = (store.manifest(id)?, spread::seal_of(store, id, reading.as_ref())?);
        let bytes = spread::everything(store, id, &*seal)?.into_iter().map(|id| Ok(store.manifest(id)?.size));
        let bytes = bytes.sum::<Result<u64>>()?;
        let meter = Meter::new(store, "reading, checking and writing", move |_| Some(bytes));
        let got = match (manifest.kind, stdout) {
            (Kind::Folder, true) => bail!("{id} is a folder: name the folder to write it to"),
            (Kind::Folder, false) => store.get_folder(id, to, &*seal, Bounds::default()),
            (Kind::File, true) => {
                let mut out = seal.open(&manifest.sealing, Box::new(output::Stdout::lock()))?;
                store.get(id, &mut out).map(drop).and_then(|()| Ok(out.flush()?))
            }
            (Kind::File, false) => store.get_to(id, to, &*seal).map(drop),
        };
        drop(meter);
        got.wrap_err_with(|| format!("{id} cannot be written to {}", to.display()))?;
        Ok(manifest)
    };
    let manifest = spread::brought(store, id, wallet, reading.as_ref(), write)?;
    match json && !stdout {
        true => {
            let said = json!({ "id": id.to_string(), "to": to, "size": manifest.size, "resumed": store.resumed() });
            println!("{said}");
        }
        false => went_on(store),
    }
    Ok(())
}

fn list(store: &Store, spreads: &Spreads, json: bool) -> Result<()> {
    let (mut own, mut others, spread) = (Vec::new(), Vec::new(), spreads.all(store)?);
    for root in store.roots() {
        let (root, kept) = root?;
        if root.owner == Owner::LOCAL {
            let manifest = store.manifest(root.object)?;
            own.push((root.object, describe(&manifest), manifest.size, kept.bytes));
        } else if root.owner != Owner::TRANSIT && !spread.iter().any(|(id, known)| known.root(*id) == root) {
            others.push((root, kept));
        }
    }
    if json {
        let own = own
            .iter()
            .map(|(id, kind, size, bytes)| json!({ "id": id.to_string(), "kind": kind, "size": size, "bytes": bytes }));
        let spread = spread.iter().map(|(id, known)| {
            let (name, time, until, done) = (&known.name, known.time, known.until, known.done);
            json!({ "id": id.to_string(), "name": name, "time": time, "until": until, "done": done })
        });
        let others = others.iter().map(|(Root { object, owner }, kept)| {
            let (id, owner, until, bytes) = (object.to_string(), owner.to_string(), kept.until, kept.bytes);
            json!({ "id": id, "owner": owner, "until": until, "bytes": bytes })
        });
        let (own, spread, others) = (own.collect::<Vec<_>>(), spread.collect::<Vec<_>>(), others.collect::<Vec<_>>());
        println!("{}", json!({ "objects": own, "spread": spread, "others": others }));
        return Ok(());
    }
    for (id, kind, _, bytes) in own {
        println!("{id}  {kind:6}  {}", output::bytes(bytes));
    }
    for (id, known) in spread {
        let how = if known.done { left(known.until) } else { "broken off: put it again, or rm it".to_owned() };
        println!("{id}  spread  {}, {how}", plain(&known.name));
    }
    for (Root { object, owner }, kept) in others {
        let until = kept.until.map_or_else(|| "for ever".to_owned(), left);
        println!("{object}  kept    {} for {owner}, {until}", output::bytes(kept.bytes));
    }
    Ok(())
}

fn remove(store: &Store, spreads: &Spreads, id: ObjectId, json: bool) -> Result<()> {
    let before = store.status()?.kept;
    let is_own = store.release(Root { object: id, owner: Owner::LOCAL })?;
    match spreads.get(id)? {
        Some(known) if !known.done || known.until <= now() => {
            store.release(known.root(id))?;
            spreads.forget(id)?;
        }
        _ if is_own => {}
        Some(_) => bail!("{id} is kept by other nodes, not here: --everywhere asks them to let it go"),
        None => bail!("the store does not keep {id} for you (`stoa store ls` lists what it keeps)"),
    }
    store.collect(now())?;
    let freed = before - store.status()?.kept;
    match json {
        true => println!("{}", json!({ "id": id.to_string(), "freed": freed })),
        false => println!("{} freed", output::bytes(freed)),
    }
    Ok(())
}

/// `stoa store rm --unfinished`.
fn drop_unfinished(store: &Store, spreads: &Spreads, json: bool) -> Result<()> {
    let before = store.status()?.kept;
    let mut dropped = store.drop_unfinished()?;
    for (id, known) in spreads.all(store)?.iter().filter(|(_, known)| !known.done) {
        store.release(known.root(*id))?;
        spreads.forget(*id)?;
        dropped += 1;
    }
    spreads.abandon()?;
    let freed = before - store.status()?.kept;
    match json {
        true => println!("{}", json!({ "dropped": dropped, "freed": freed })),
        false => println!("{dropped} dropped, {} freed", output::bytes(freed)),
    }
    Ok(())
}

fn status(store: &Store, spreads: &Spreads, scrub: bool, json: bool) -> Result<()> {
    let status = store.status()?;
    let (mut objects, mut unfinished, mut unfinished_bytes) = (0_u64, status.unfinished, status.unfinished_bytes);
    let spread = spreads.all(store)?;
    for root in store.roots() {
        let (root, kept) = root?;
        if spread.iter().any(|(id, known)| !known.done && known.root(*id) == root) {
            unfinished += 1;
            unfinished_bytes += kept.bytes;
        } else if root.owner != Owner::TRANSIT {
            objects += 1;
        }
    }
    let damaged = match scrub {
        true => {
            let bytes = status.kept;
            let _meter = Meter::new(store, "reading everything", move |_| Some(bytes));
            Some(store.scrub()?)
        }
        false => None,
    };
    if json {
        let damaged = damaged.as_ref().map(|blobs| blobs.iter().map(ToString::to_string).collect::<Vec<_>>());
        let said = json!({
            "objects": objects, "blobs": status.blobs, "bytes": status.kept, "unfinished": unfinished,
            "unfinishedBytes": unfinished_bytes, "free": status.free, "damaged": damaged,
        });
        println!("{said}");
    } else {
        println!("objects  {objects}");
        println!("kept     {} in {} blobs", output::bytes(status.kept), status.blobs);
        if unfinished > 0 {
            let bytes = output::bytes(unfinished_bytes);
            println!("         {bytes} of it are {unfinished} unfinished puts and gets: run again they go on,");
            println!("         and `stoa store rm --unfinished` drops them");
        }
        println!("free     {}", output::bytes(status.free));
        for blob in damaged.iter().flatten() {
            println!("damaged  {blob}");
        }
        if damaged.as_ref().is_some_and(Vec::is_empty) {
            println!("checked  everything is as it was");
        }
    }
    match damaged.map_or(0, |blobs| blobs.len()) {
        0 => Ok(()),
        count => bail!("{count} blobs are damaged: put what they belong to again"),
    }
}

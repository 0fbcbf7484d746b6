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
use std::{
    collections::BTreeSet,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};
use stoa_base::now;
use stoa_client::{counted, plain};
use stoa_privacy::object::Layout;
use stoa_store::{
    BlobHash, Bounds, Code, Kind, Limits, Manifest, ObjectId, Owner, Put, Root, SMALL, Seal, Sealing, Store,
};

/// Options of `stoa store`.
#[derive(Args)]
pub(crate) struct Options {
    /// Folder of the store. Of its disk 1 GiB stays free, or a quarter of one of less than 4 GiB.
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
    /// Keep an object no longer, and free what nothing else needs. Files of up to 64 KiB stand in the store's log: what they were stays
    /// in it, on this disk, until it is written anew.
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
    /// Show how full the store is; `--scrub` compares everything with its hash. What is damaged of your own is set aside in the
    /// store's folder `damaged`, until it is put again or removed.
    #[command(after_help = "Example: stoa store status --scrub")]
    Status {
        /// Read everything, and name what is damaged or cannot be read.
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

/// Bytes of a file when it is opened; nothing of a folder, whose content is a list of names.
pub(crate) fn opened(manifest: &Manifest) -> Option<u64> {
    match (manifest.kind, &manifest.sealing) {
        (Kind::Folder, _) => None,
        (Kind::File, Sealing::Plain) => Some(manifest.size),
        (Kind::File, Sealing::Sealed(_)) => Layout::of_sealed(manifest.size).ok().map(|layout| layout.plain_len()),
    }
}

pub(crate) fn describe(manifest: &Manifest) -> &'static str {
    match manifest.kind {
        Kind::File => "file",
        Kind::Folder => "folder",
    }
}

/// The store in a folder. Why it cannot be opened says who has it open, where that is it.
pub(crate) fn open(dir: &Path) -> Result<Store> {
    let store = Store::open(dir, Limits::default());
    store.wrap_err_with(|| format!("cannot open the store in {} (--dir names another folder)", dir.display()))
}

/// Runs `stoa store`.
pub(crate) fn run(options: Options, json: bool) -> Result<()> {
    let Options { dir, wallet, command } = options;
    let store = open(&dir)?;
    let found = store.found();
    if !found.lost.is_empty() {
        tracing::warn!(
            blobs = found.lost.len(),
            "files of the store are gone or cut: `stoa store ls` names what of yours needs them"
        );
    }
    let spreads = Spreads::of(&dir);
    match command {
        Command::Put { path, spread: true, public, days, code } => {
            wait(spread::put(&store, &spreads, &path, Spread { code, days, public }, &wallet, json))?
        }
        Command::Put { path, .. } => put(&store, &path, json),
        Command::Get { id, to } => get(&store, &spreads, id, &to, &wallet, json),
        Command::Pin { id } => spread::pin(&store, &spreads, id, &wallet, json),
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

fn put(store: &Store, path: &Path, json: bool) -> Result<()> {
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
            let bytes = opened(&manifest).unwrap_or(bytes);
            let said = json!({
                "id": id.to_string(), "kind": describe(&manifest), "size": bytes, "resumed": store.resumed(),
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
        eprintln!("went on where it was cut off: {} were there already", output::bytes(there));
    }
}

/// Whether something is to be written to standard output.
pub(crate) fn is_stdout(to: &Path) -> bool {
    to.as_os_str() == "-"
}

/// Refuses a place where something is.
pub(crate) fn not_there(to: &Path) -> Result<()> {
    if !is_stdout(to) && to.symlink_metadata().is_ok() {
        bail!("{} is there already: name another place with --to", to.display());
    }
    Ok(())
}

/// Writes an object that is here to a file or folder, opened; a file to standard output for `-`.
pub(crate) fn write_to(store: &Store, id: ObjectId, to: &Path, seal: &dyn Seal) -> Result<()> {
    let manifest = store.manifest(id)?;
    match (manifest.kind, is_stdout(to)) {
        (Kind::Folder, true) => bail!("{id} is a folder: name the folder to write it to"),
        (Kind::Folder, false) => store.get_folder(id, to, seal, Bounds::default()),
        (Kind::File, true) => {
            let mut out = seal.open(&manifest.sealing, Box::new(output::Stdout::lock()))?;
            store.get(id, &mut out).map(drop).and_then(|()| Ok(out.flush()?))
        }
        (Kind::File, false) => store.get_new(id, to, seal).map(drop),
    }
    .wrap_err_with(|| format!("{id} cannot be written to {}", to.display()))
}

fn get(store: &Store, spreads: &Spreads, id: ObjectId, to: &Path, wallet: &WalletOptions, json: bool) -> Result<()> {
    not_there(to)?;
    let reading = spread::reading(spreads, id, wallet)?.map(|(reading, _)| reading);
    let write = || {
        let (manifest, seal) = (store.manifest(id)?, spread::seal_of(store, id, reading.as_ref())?);
        let bytes = spread::everything(store, id, &*seal)?.into_iter().map(|id| Ok(store.manifest(id)?.size));
        let bytes = bytes.sum::<Result<u64>>()?;
        let meter = Meter::new(store, "reading, checking and writing", move |_| Some(bytes));
        let got = write_to(store, id, to, &*seal);
        drop(meter);
        got.map(|()| manifest)
    };
    let manifest = spread::brought(store, id, wallet, reading.as_ref(), write)?;
    match json && !is_stdout(to) {
        true => {
            let bytes = opened(&manifest).unwrap_or_else(|| size(to));
            let said = json!({ "id": id.to_string(), "to": to, "size": bytes, "resumed": store.resumed() });
            println!("{said}");
        }
        false => went_on(store),
    }
    Ok(())
}

/// Own objects of which something is lost.
fn damaged(store: &Store) -> Result<BTreeSet<ObjectId>> {
    let mut objects = BTreeSet::new();
    for blob in store.lost()? {
        for root in store.holders(blob) {
            let root = root?;
            if root.owner == Owner::LOCAL {
                objects.insert(root.object);
            }
        }
    }
    Ok(objects)
}

fn list(store: &Store, spreads: &Spreads, json: bool) -> Result<()> {
    let (mut own, mut others, spread) = (Vec::new(), Vec::new(), spreads.all(store)?);
    let damaged = damaged(store)?;
    for root in store.roots() {
        let (root, kept) = root?;
        if root.owner == Owner::LOCAL {
            // Where that is damaged, nothing says what it was.
            let manifest = store.manifest(root.object).ok();
            let is_damaged = manifest.is_none() || damaged.contains(&root.object);
            own.push((root.object, manifest, kept.bytes, is_damaged));
        } else if root.owner != Owner::TRANSIT && !spread.iter().any(|(id, known)| known.root(*id) == root) {
            others.push((root, kept));
        }
    }
    if json {
        let own = own.iter().map(|(id, manifest, bytes, damaged)| {
            let (kind, size) = (manifest.as_ref().map(describe), manifest.as_ref().and_then(opened));
            json!({ "id": id.to_string(), "kind": kind, "size": size, "bytes": bytes, "damaged": damaged })
        });
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
    for (id, manifest, bytes, damaged) in own {
        let kind = manifest.as_ref().map_or("?", describe);
        let how = if damaged { ", damaged: put it again (`stoa store status --scrub` tells more)" } else { "" };
        println!("{id}  {kind:6}  {}{how}", output::bytes(bytes));
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

/// Whether something of an object that is not sealed stands in the store's log, which has it for a while after it was removed.
fn lingers(manifest: &Manifest) -> bool {
    let is_small = manifest.kind == Kind::Folder || manifest.size <= SMALL as u64;
    is_small && matches!(manifest.sealing, Sealing::Plain)
}

fn remove(store: &Store, spreads: &Spreads, id: ObjectId, json: bool) -> Result<()> {
    let before = store.status()?.kept;
    let lingers = store.manifest(id).is_ok_and(|manifest| lingers(&manifest));
    let is_own = store.release(Root { object: id, owner: Owner::LOCAL })?;
    spreads.forget_chain(id)?;
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
    let lingers = lingers && freed > 0;
    if json {
        println!("{}", json!({ "id": id.to_string(), "freed": freed, "lingers": lingers }));
        return Ok(());
    }
    println!("{} freed", output::bytes(freed));
    if lingers {
        eprintln!(
            "files of up to 64 KiB stand in the store's log: what they were stays in it, on this disk, until it is written anew. Where \
             that matters, remove the whole store, or encrypt the disk"
        );
    }
    Ok(())
}

/// So many files and objects, in words.
fn things(count: u64) -> String {
    match count {
        1 => "1 file or object".to_owned(),
        _ => format!("{count} files and objects"),
    }
}

/// What puts and gets that were broken off have left, and what becomes of it, in two lines.
fn waiting(count: u64, bytes: u64) -> [String; 2] {
    let (of, goes, them) = match count {
        1 => ("an unfinished put or get", "it goes", "it"),
        _ => ("unfinished puts and gets", "they go", "them"),
    };
    let first = format!("{} of it are {} of {of}: run again", output::bytes(bytes), things(count));
    [first, format!("{goes} on, and `stoa store rm --unfinished` drops {them}")]
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
        false => println!("{} dropped, {} freed", things(dropped), output::bytes(freed)),
    }
    Ok(())
}

/// What is wrong with a blob, and the object that needs it, as `ls` names it.
struct Fault {
    object: ObjectId,
    blob: BlobHash,
    /// Where what is left of it is, if it was set aside.
    aside: Option<PathBuf>,
    /// Why it cannot be read; nothing if it could be, and is damaged.
    unread: Option<String>,
}

/// Reads everything, and says what is wrong.
fn scrub(store: &Store, bytes: u64) -> Result<Vec<Fault>> {
    let _meter = Meter::new(store, "reading everything", move |_| Some(bytes));
    let scrubbed = store.scrub()?;
    let damaged = scrubbed.damaged.into_iter().map(|blob| (blob, None));
    let unread = scrubbed.unread.into_iter().map(|(blob, why)| (blob, Some(why.to_string())));
    let mut faults = Vec::new();
    for (blob, unread) in damaged.chain(unread) {
        // Several may keep the same object.
        let objects = store.holders(blob).map(|root| Ok(root?.object)).collect::<Result<BTreeSet<_>>>()?;
        let fault = |object| Fault { object, blob, aside: store.set_aside(blob), unread: unread.clone() };
        faults.extend(objects.into_iter().map(fault));
    }
    Ok(faults)
}

impl Fault {
    fn to_json(&self) -> serde_json::Value {
        let (object, blob) = (self.object.to_string(), self.blob.to_string());
        let aside = self.aside.as_ref().map(|aside| aside.display().to_string());
        match &self.unread {
            Some(why) => json!({ "object": object, "blob": blob, "why": why }),
            None => json!({ "object": object, "blob": blob, "setAside": aside }),
        }
    }

    fn to_line(&self) -> String {
        let Self { object, blob, aside, unread } = self;
        match (unread, aside) {
            (Some(why), _) => format!("unread   {object}: its blob {blob} cannot be read, and stays as it is: {why}"),
            (None, Some(aside)) => format!("damaged  {object}: its blob {blob} is set aside in {}", aside.display()),
            (None, None) => format!("damaged  {object}: its blob {blob} is lost"),
        }
    }
}

/// Those that cannot be read, or those that are damaged.
fn those(faults: &[Fault], are_unread: bool) -> impl Iterator<Item = &Fault> {
    faults.iter().filter(move |fault| fault.unread.is_some() == are_unread)
}

/// How much is wrong and what to do about it; nothing if nothing is.
fn complaint(faults: &[Fault]) -> Option<String> {
    let objects =
        |are_unread| those(faults, are_unread).map(|fault| fault.object).collect::<BTreeSet<_>>().len() as u64;
    let (damaged, unread) = (objects(false), objects(true));
    let damaged = (damaged > 0).then(|| {
        format!("{} damaged: put again what is yours, rm and pin again what was pinned", counted(damaged, "object"))
    });
    let unread =
        (unread > 0).then(|| format!("{} not to be read: mend why, and scrub again", counted(unread, "object")));
    let said: Vec<_> = damaged.into_iter().chain(unread).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

fn status(store: &Store, spreads: &Spreads, scrubs: bool, json: bool) -> Result<()> {
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
    let faults = scrubs.then(|| scrub(store, status.kept)).transpose()?;
    let complaint = faults.as_deref().and_then(complaint);
    if json {
        let found = |are_unread| {
            faults.as_deref().map(|faults| those(faults, are_unread).map(Fault::to_json).collect::<Vec<_>>())
        };
        let mut said = json!({
            "objects": objects, "blobs": status.blobs, "bytes": status.kept, "unfinished": unfinished,
            "unfinishedBytes": unfinished_bytes, "free": status.free, "damaged": found(false), "unread": found(true),
        });
        if let Some(complaint) = complaint {
            said["error"] = json!(complaint);
            println!("{said}");
            std::process::exit(1);
        }
        println!("{said}");
        return Ok(());
    }
    println!("objects  {objects}");
    println!("kept     {} in {}", output::bytes(status.kept), counted(status.blobs, "blob"));
    if unfinished > 0 {
        waiting(unfinished, unfinished_bytes).iter().for_each(|line| println!("         {line}"));
    }
    println!("free     {}", output::bytes(status.free));
    faults.iter().flatten().for_each(|fault| println!("{}", fault.to_line()));
    match complaint {
        Some(complaint) => bail!(complaint),
        None if scrubs => println!("checked  everything is as it was"),
        None => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(object: u8, unread: Option<&str>) -> Fault {
        let aside = unread.is_none().then(|| PathBuf::from("store/damaged/blob"));
        Fault { object: ObjectId([object; 32]), blob: BlobHash([9; 32]), aside, unread: unread.map(str::to_owned) }
    }

    #[test]
    fn what_a_scrub_finds_is_said_by_object_and_what_cannot_be_read_is_not_called_damaged() {
        assert_eq!(complaint(&[]), None);
        let said = complaint(&[fault(1, None), fault(1, None), fault(2, Some("Permission denied"))]);
        let said = said.unwrap();
        assert!(
            said.starts_with("1 object damaged: put again") && said.contains("; 1 object not to be read"),
            "{said}"
        );
        let unread = fault(2, Some("Permission denied"));
        assert!(!complaint(&[unread]).unwrap().contains("damaged"));
        let lines = [fault(1, None), fault(2, Some("Permission denied"))].map(|fault| fault.to_line());
        assert!(lines[0].contains(&ObjectId([1; 32]).to_string()) && lines[0].contains("store/damaged/blob"));
        assert!(lines[1].starts_with("unread") && lines[1].ends_with("Permission denied"));
    }

    #[test]
    fn of_what_is_small_and_not_sealed_it_is_said_that_it_lingers() {
        let is_said = |kind, sealing, size| {
            let (content, coding) = (BlobHash([1; 32]), stoa_store::Coding::Whole);
            lingers(&Manifest { kind, sealing, size, content, coding })
        };
        let small = SMALL as u64;
        assert!(is_said(Kind::File, Sealing::Plain, small) && !is_said(Kind::File, Sealing::Plain, small + 1));
        // Its list of names does at least.
        assert!(is_said(Kind::Folder, Sealing::Plain, small + 1));
        assert!(!is_said(Kind::File, Sealing::Sealed(Vec::new()), 7));
    }

    #[test]
    fn what_is_unfinished_is_said_of_one_and_of_several() {
        assert_eq!([things(1), things(2)], ["1 file or object", "2 files and objects"]);
        let one = waiting(1, 1536).join(" ");
        assert!(
            one.starts_with("1.5 KiB of it are 1 file or object of an unfinished put or get: run again it goes on")
        );
        let two = waiting(2, 1536).join(" ");
        assert!(two.contains("2 files and objects of unfinished puts and gets: run again they go on"), "{two}");
        assert!(one.ends_with("drops it") && two.ends_with("drops them"));
    }

    #[test]
    fn why_a_store_cannot_be_opened_is_said_and_no_other_process_is_blamed_unless_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "").unwrap();
        let _held = open(&at("store")).unwrap();
        let why = |name: &str| format!("{:#}", open(&at(name)).err().unwrap());
        let said = why("store");
        assert!(said.contains("in use by another process") && said.contains("--dir"), "{said}");
        let said = why("file/store");
        assert!(said.contains("Not a directory") && !said.contains("in use") && !said.contains("program"), "{said}");
    }

    #[test]
    fn the_size_of_a_sealed_file_is_that_of_what_is_in_it_and_a_folders_is_not_that_of_its_names() {
        let sealed = Layout::of_plain(2_000_000).unwrap().sealed_len();
        let manifest = |kind, sealing, size| {
            let (content, coding) = (BlobHash([1; 32]), stoa_store::Coding::Whole);
            opened(&Manifest { kind, sealing, size, content, coding })
        };
        assert_eq!(manifest(Kind::File, Sealing::Plain, 7), Some(7));
        assert_eq!(manifest(Kind::File, Sealing::Sealed(Vec::new()), sealed), Some(2_000_000));
        assert_eq!(manifest(Kind::Folder, Sealing::Plain, 245), None);
    }
}

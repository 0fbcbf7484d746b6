//! Objects on other nodes: sealed, in pieces, spread, and brought back.

mod begun;
mod known;

use crate::{
    output,
    progress::{Meter, needed, pieces, progress, size},
    store::{describe, opened},
    wallet::WalletOptions,
};
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure};
use serde_json::json;
use std::{cell::Cell, path::Path, sync::Arc};
use stoa_base::{NodeId, now};
use stoa_client::{Wallet, counted};
use stoa_data::{
    reading::{Reading, identity},
    registry::Registry,
};
use stoa_net::{Endpoint, PeerAddress};
use stoa_store::{
    Code, Fetch, Folder, KeySource, Kind, Members as _, Network, ObjectId, Owner, Plain, Put, Root, Seal, Sealed,
    Spreading, Store, Terms, code_for, days_from_now, transit,
};

use begun::Begun;
pub(crate) use known::{Known, Spreads, left};

const NOBODY: &str = "no node of this network keeps anything for others (`stoa node join` registers one)";

/// For how many days what was fetched waits for the rest.
const WAIT: u64 = 7;

/// What is known of the network while a command runs.
pub(crate) struct Online {
    pub(crate) network: Network,
    pub(crate) registry: Registry,
    pub(crate) endpoint: Endpoint,
    pub(crate) owner: Owner,
}

impl Online {
    /// The nodes' stores, asked in the name of this wallet, or of nobody.
    pub(crate) async fn with(store: &Store, options: &WalletOptions, wallet: Option<&Wallet>) -> Result<Self> {
        let online = Self::at(store, Registry::new(Arc::new(options.client())), wallet).await;
        online.wrap_err_with(|| format!("the network cannot be used through {}", options.client().url()))
    }

    /// The same of the nodes in this registry.
    pub(crate) async fn at(store: &Store, registry: Registry, wallet: Option<&Wallet>) -> Result<Self> {
        let nodes = registry.members().await.map_err(eyre::Report::msg);
        let nodes = nodes.wrap_err("the registry of nodes cannot be read")?;
        let key = match wallet {
            Some(wallet) => identity(wallet.signer()),
            None => {
                use commonware_codec::DecodeExt as _;
                let seed = rand::random::<[u8; 32]>();
                commonware_cryptography::ed25519::PrivateKey::decode(commonware_codec::Copying(&seed))?
            }
        };
        let owner = Owner(NodeId::from(&commonware_cryptography::Signer::public_key(&key)).0);
        let toward = PeerAddress::toward(nodes.iter().map(|member| &member.address));
        let endpoint = Endpoint::bind(&key, toward).await?;
        let network = Network::new(store.clone(), &endpoint, Arc::new(registry.clone()));
        Ok(Self { network, registry, endpoint, owner })
    }

    fn asked() -> Fetch {
        Fetch::until(days_from_now(WAIT))
    }

    /// Brings an object here, and all that is in it if it is a folder, which `open` reads; what was brought, to be released
    /// when it was read.
    pub(crate) async fn bring(&self, id: ObjectId, open: &dyn Fn(ObjectId) -> Result<Folder>) -> Result<Vec<ObjectId>> {
        let nodes = self.registry.members().await.map_err(eyre::Report::msg)?;
        ensure!(!nodes.is_empty(), NOBODY);
        let (mut brought, mut next) = (Vec::new(), vec![id]);
        while let Some(id) = next.pop() {
            let what = format!("bringing object {}", brought.len() + 1);
            let meter = Meter::new(self.network.store(), &what, move |store| needed(store, id));
            let fetched = self.network.fetch(id, Self::asked()).await;
            drop(meter);
            let fetched = fetched.wrap_err_with(|| format!("{id} cannot be had from the network"))?;
            for report in fetched.reports {
                tracing::warn!(%report, "a node did not do what it should");
            }
            brought.push(id);
            if self.network.store().manifest(id)?.kind == Kind::Folder {
                next.extend(open(id)?.entries().iter().map(|entry| entry.id));
            }
        }
        Ok(brought)
    }

    pub(crate) fn forget(&self, brought: &[ObjectId]) -> Result<()> {
        forget(self.network.store(), brought)
    }

    /// Puts a file or folder into pieces, sealed, and hands the pieces to nodes apart from each other.
    pub(crate) async fn spread(
        &self,
        path: &Path,
        seal: &dyn Seal,
        terms: &Spread,
    ) -> Result<(ObjectId, Vec<(ObjectId, Spreading)>)> {
        let (id, code) = self.cut(path, seal, terms).await?;
        let outcomes = self.hand_over(id, code, seal, terms).await;
        Ok((id, outcomes.wrap_err_with(|| waits(path, true))?))
    }

    /// Puts a file or folder into pieces, sealed, which are here then; how many they are.
    async fn cut(&self, path: &Path, seal: &dyn Seal, terms: &Spread) -> Result<(ObjectId, Code)> {
        let nodes = self.registry.members().await.map_err(eyre::Report::msg)?.len();
        ensure!(nodes > 0, NOBODY);
        let code = match terms.code {
            Some(code) => code,
            None => code_for(nodes).wrap_err(NOBODY)?,
        };
        let (needed, pieces) = (code.needed(), code.pieces());
        let there = if nodes == 1 { "is 1 node that keeps".to_owned() } else { format!("are {nodes} nodes that keep") };
        ensure!(
            nodes >= needed,
            "there {there} for others; {needed} of {pieces} pieces want {needed} different ones: take another --code, or none"
        );
        let store = self.network.store();
        // What was broken off waits to go on, and not for ever.
        let until = Some(days_from_now(WAIT));
        let put = Put { owner: self.owner, until, code: Some(code), seal, durable: false };
        let metadata = path.metadata().wrap_err_with(|| format!("cannot read {}", path.display()))?;
        let bytes = size(path);
        let meter = Meter::new(store, "sealing, coding and writing", move |_| Some(bytes));
        let kept = match metadata.is_dir() {
            true => store.put_folder(path, put, days_from_now(WAIT)),
            false => store.put_file(path, put),
        };
        drop(meter);
        let kept = kept.wrap_err_with(|| unkept(path, store));
        Ok((kept?, code))
    }

    /// Hands the pieces of an object that is here, and of all that is in it, to nodes apart from each other.
    async fn hand_over(
        &self,
        id: ObjectId,
        code: Code,
        seal: &dyn Seal,
        terms: &Spread,
    ) -> Result<Vec<(ObjectId, Spreading)>> {
        let (store, until) = (self.network.store(), days_from_now(terms.days));
        let all = everything(store, id, seal)?;
        let mut outcomes = Vec::new();
        let numbers: Vec<_> = (0..code.pieces()).collect();
        for (number, object) in all.iter().enumerate() {
            let (what, id) = (format!("handing over object {} of {}", number + 1, all.len()), *object);
            let meter = Meter::new(store, &what, move |store| pieces(store, id));
            let terms = Terms { owner: self.owner, until, public: terms.public };
            let outcome = self.network.spread(*object, &numbers, terms).await;
            drop(meter);
            let outcome = outcome.wrap_err_with(|| format!("{object} was not spread"))?;
            ensure!(
                outcome.kept.len() >= code.needed(),
                "only {} of the {} pieces that it takes were taken: {}",
                outcome.kept.len(),
                code.needed(),
                refusals(&outcome)
            );
            outcomes.push((*object, outcome));
        }
        // The network has it now.
        for object in all {
            store.release(Root { object, owner: self.owner })?;
        }
        Ok(outcomes)
    }
}

/// Releases what was here only to be read.
fn forget(store: &Store, brought: &[ObjectId]) -> Result<()> {
    for id in brought {
        store.release(transit(*id))?;
    }
    Ok(())
}

/// What bounds the room of a node that is not full.
const SHARES: &str = "of what a node offers one account gets a quarter at most, and all whose keys are no registered nodes together get \
                      three quarters, which others may have used";

/// What nodes said who refused, or have no room, in words.
fn refusals(outcome: &Spreading) -> String {
    let refused = outcome.failed.iter().map(|(_, node, why)| format!("node {node}: {why}"));
    let full = outcome.full.iter().map(|(node, free)| {
        format!("node {node}: it has room for {} from this account, and a piece takes more", output::bytes(*free))
    });
    let why = (!outcome.full.is_empty()).then(|| SHARES.to_owned());
    let said: Vec<_> = refused.chain(full).chain(why).collect();
    match said.is_empty() {
        true => "no other node answered that could".to_owned(),
        false => said.join("; "),
    }
}

/// What becomes of what was not handed over, which `goes_on` when it is put again, or is made anew.
fn waits(path: &Path, goes_on: bool) -> String {
    let path = path.display();
    match goes_on {
        true => format!("{path} is not spread: it waits here for {WAIT} days, and goes on when it is put again"),
        false => format!(
            "{path} is not spread, and had changed too short a while before to go on with: it is sealed anew when it is put again, \
             which then drops what waits here now (or `stoa store rm --unfinished` does)"
        ),
    }
}

/// How an object is spread.
pub(crate) struct Spread {
    pub(crate) code: Option<Code>,
    pub(crate) days: u64,
    pub(crate) public: bool,
}

/// An object that is here, then what is in it.
pub(crate) fn everything(store: &Store, id: ObjectId, seal: &dyn Seal) -> Result<Vec<ObjectId>> {
    let (mut all, mut next) = (Vec::new(), vec![id]);
    while let Some(id) = next.pop() {
        all.push(id);
        if store.manifest(id)?.kind == Kind::Folder {
            let folder = store.folder(id, seal)?;
            next.extend(folder.entries().iter().map(|entry| entry.id));
        }
    }
    Ok(all)
}

/// What opens an object that is here.
pub(crate) fn seal_of(store: &Store, id: ObjectId, reading: Option<&Reading>) -> Result<Box<dyn Seal>> {
    match (KeySource::of(&store.manifest(id)?.sealing)?, reading) {
        (None, _) => Ok(Box::new(Plain)),
        (Some(KeySource::Reader(sealed)), Some(reading)) => {
            let key = sealed.open(&reading.secret).wrap_err("the object was sealed for another wallet")?;
            Ok(Box::new(Sealed::new(key, KeySource::Reader(sealed))))
        }
        (Some(KeySource::Reader(_)), None) => {
            bail!("{id} is sealed: name the wallet that it was sealed for (--wallet)")
        }
        (Some(KeySource::Asset(asset)), _) => {
            bail!("{id} is the data of asset {}: `stoa data get` reads it with a grant", asset.0)
        }
    }
}

/// Reads what is in folders that are here, sealed for this reader or not sealed.
fn opening(store: &Store, reading: Option<&Reading>) -> impl Fn(ObjectId) -> Result<Folder> {
    move |id| Ok(store.folder(id, &*seal_of(store, id, reading)?)?)
}

/// What an error says of what the store does not keep: where it is tells which disk is full.
pub(crate) fn unkept(path: &Path, store: &Store) -> String {
    format!("{} is not kept in {}", path.display(), store.place().display())
}

/// What is put with, under its own key or none.
fn seal_with(begun: Option<&Begun>) -> &dyn Seal {
    match begun {
        Some(begun) => &begun.seal,
        None => &Plain,
    }
}

/// `stoa store put --spread`.
pub(crate) async fn put(
    store: &Store,
    spreads: &Spreads,
    path: &Path,
    terms: Spread,
    options: &WalletOptions,
    json: bool,
) -> Result<()> {
    let wallet = options.open().await?;
    wallet.client().check_clock().await?;
    let online = Online::with(store, options, Some(&wallet)).await?;
    let spread = async {
        // What is not sealed is the same object each time that it is put.
        let mut begun = match terms.public {
            true => None,
            false => {
                let reading = Reading::of(wallet.signer(), wallet.chain_id())?;
                Some(spreads.begin(path, online.owner, &reading)?)
            }
        };
        let there = begun.as_ref().map_or(Ok(None), |begun| begun.object(store, online.owner, terms.code))?;
        let (id, code) = match there {
            Some(there) => there,
            None => {
                let cut = online.cut(path, seal_with(begun.as_ref()), &terms).await?;
                begun.as_mut().map_or(Ok(()), |begun| begun.sealed(cut.0))?;
                cut
            }
        };
        let done = spreads.get(id)?.is_some_and(|before| before.done);
        let (name, until) = (path.display().to_string(), days_from_now(terms.days));
        let mut known = Known { name, time: now(), until, owner: online.owner.0.into(), done };
        // Whatever comes in between, the id is not lost.
        spreads.note(id, &known)?;
        let outcomes = online.hand_over(id, code, seal_with(begun.as_ref()), &terms).await;
        let goes_on = begun.as_ref().is_none_or(|begun| begun.goes_on(id));
        let outcomes = outcomes.wrap_err_with(|| waits(path, goes_on))?;
        known.done = true;
        spreads.note(id, &known)?;
        begun.map_or(Ok(()), |begun| begun.end(store, spreads))?;
        Ok::<_, eyre::Report>((id, outcomes))
    };
    let spread = spread.await;
    online.endpoint.close().await;
    let (id, outcomes) = spread?;
    store.collect(now())?;
    let (_, own) = outcomes.iter().find(|(object, _)| *object == id).wrap_err("it was spread")?;
    let bytes: u64 = outcomes.iter().map(|(_, outcome)| outcome.bytes).sum();
    let missing: usize = outcomes.iter().map(|(_, outcome)| outcome.missing.len()).sum();
    if json {
        let nodes = own.kept.iter().map(|(_, node)| node.to_string()).collect::<Vec<_>>();
        let said = json!({
            "id": id.to_string(), "nodes": nodes, "bytes": bytes, "missingPieces": missing,
            "survivesADomain": own.survives_a_domain, "until": days_from_now(terms.days),
        });
        println!("{said}");
        return Ok(());
    }
    println!("{id}");
    let [nodes, days] = [(own.kept.len() as u64, "node"), (terms.days, "day")].map(|(count, one)| counted(count, one));
    eprintln!("{} went to {nodes}, for {days}", output::bytes(bytes));
    warnings(missing, own.survives_a_domain).for_each(|warning| eprintln!("{warning}"));
    Ok(())
}

/// What whoever spread an object has to know: of pieces that no node took, and of domains that could take it with them.
pub(crate) fn warnings(missing: usize, survives_a_domain: bool) -> impl Iterator<Item = String> {
    let lacking =
        format!("{} found no node: fewer may be lost than with all of them", counted(missing as u64, "piece"));
    let crowded = "there are too few failure domains: one of them could take the object with it".to_owned();
    [(missing > 0, lacking), (!survives_a_domain, crowded)]
        .into_iter()
        .filter_map(|(is_so, warning)| is_so.then_some(warning))
}

impl Online {
    /// Has the nodes that have pieces of these objects keep them for so many days from now on, or longer if they do anyway. `open` reads
    /// what is in a folder, or says nothing if all its objects were named. How many objects, pieces that are kept, and pieces that are
    /// missing.
    pub(crate) async fn extend(
        &self,
        objects: Vec<ObjectId>,
        days: u64,
        open: Option<&dyn Fn(ObjectId) -> Result<Folder>>,
    ) -> Result<(usize, usize, usize)> {
        let terms = Terms { owner: self.owner, until: days_from_now(days), public: false };
        let (mut next, mut brought, mut extended) = (objects, Vec::new(), (0, 0, 0));
        while let Some(id) = next.pop() {
            let (manifest, outcome) = self.network.extend(id, terms, Self::asked()).await?;
            let needed = manifest.needed();
            ensure!(
                outcome.kept.len() >= needed,
                "only {} of {id} would be kept longer, and {needed} are needed to read it: {}",
                counted(outcome.kept.len() as u64, "piece"),
                refusals(&outcome)
            );
            extended = (extended.0 + 1, extended.1 + outcome.kept.len(), extended.2 + outcome.missing.len());
            if let Some(open) = open.filter(|_| manifest.kind == Kind::Folder) {
                self.network.fetch(id, Self::asked()).await.wrap_err_with(|| format!("{id} cannot be had"))?;
                brought.push(id);
                next.extend(open(id)?.entries().iter().map(|entry| entry.id));
            }
        }
        self.forget(&brought)?;
        Ok(extended)
    }
}

/// So many pieces of so many objects are kept for so many days, in words.
fn kept_for(pieces: usize, objects: usize, days: u64) -> String {
    let (are, days) = (if pieces == 1 { "is" } else { "are" }, counted(days, "day"));
    let (pieces, objects) = (counted(pieces as u64, "piece"), counted(objects as u64, "object"));
    format!("{pieces} of {objects} {are} kept for {days} from now on")
}

/// How long the nodes had promised before, in words.
fn before_that(before: Option<u64>, until: u64, now: u64) -> String {
    match before {
        None => "how long they had promised before is not known on this machine".to_owned(),
        Some(before) if before >= until => "as they had promised before".to_owned(),
        Some(before) if before <= now => "before that their promise was over".to_owned(),
        Some(before) => format!("before that it was for {}", counted(days_left(before, now), "day")),
    }
}

fn days_left(until: u64, now: u64) -> u64 {
    until.saturating_sub(now).div_ceil(24 * 3600)
}

/// Says what was extended: until when it was kept before, if that is known, and is now (seconds since 1970).
pub(crate) fn extended(
    (objects, pieces, missing): (usize, usize, usize),
    (before, until): (Option<u64>, u64),
    json: bool,
) {
    if json {
        let said = json!({
            "objects": objects, "pieces": pieces, "missingPieces": missing, "before": before, "until": until,
        });
        println!("{said}");
        return;
    }
    let now = now();
    println!("{}; {}", kept_for(pieces, objects, days_left(until, now)), before_that(before, until, now));
    if missing > 0 {
        let (missing, were) = (counted(missing as u64, "piece"), if missing == 1 { "was" } else { "were" });
        println!("{missing} {were} not found: the nodes make anew what those had who stay silent");
    }
}

/// `stoa store extend`.
pub(crate) async fn extend(
    store: &Store,
    spreads: &Spreads,
    id: ObjectId,
    days: u64,
    options: &WalletOptions,
    json: bool,
) -> Result<()> {
    let wallet = options.open().await?;
    wallet.client().check_clock().await?;
    let reading = Reading::of(wallet.signer(), wallet.chain_id())?;
    let online = Online::with(store, options, Some(&wallet)).await?;
    let open = opening(store, Some(&reading));
    let bar = progress("asking the nodes");
    let outcome = online.extend(vec![id], days, Some(&open)).await;
    bar.finish_and_clear();
    online.endpoint.close().await;
    let outcome = outcome?;
    let (mut before, mut until) = (None, days_from_now(days));
    if let Some(known) = spreads.get(id)? {
        before = Some(known.until);
        until = until.max(known.until);
        spreads.note(id, &Known { until, ..known })?;
    }
    extended(outcome, (before, until), json);
    Ok(())
}

/// Brings what is not here, of a folder what is in it as well, lets `work` use it, and forgets it again. What an earlier try has brought
/// is not brought twice.
pub(crate) fn brought<T>(
    store: &Store,
    id: ObjectId,
    options: &WalletOptions,
    reading: Option<&Reading>,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let open = opening(store, reading);
    let here = store.here(id, &open)?;
    if here.is_whole() {
        let done = work()?;
        forget(store, &here.objects)?;
        return Ok(done);
    }
    let lacks = match store.kept(Root { object: id, owner: Owner::LOCAL })? {
        Some(_) => format!(
            "{id} is damaged here (`stoa store status --scrub` names what): put it again, or if it was pinned, rm it and pin it again"
        ),
        None if here.objects.is_empty() => format!("the store does not have {id}"),
        None => format!("the store does not have all of {id}"),
    };
    crate::network::wait(async {
        let online = Online::with(store, options, None).await;
        let online = online.wrap_err_with(|| lacks.clone())?;
        let unopened = Cell::new(false);
        let opening = |id| open(id).inspect_err(|_| unopened.set(true));
        let brought = online.bring(id, &opening).await;
        online.endpoint.close().await;
        // What came, and does not open, is not what is lacking.
        let brought = if unopened.get() { brought } else { brought.wrap_err(lacks) }?;
        let done = work()?;
        online.forget(&brought)?;
        Ok(done)
    })?
}

/// The reading key of the wallet, if one is named, and on which chain: a node is asked unless that was noted when the object was pinned.
pub(crate) fn reading(spreads: &Spreads, id: ObjectId, options: &WalletOptions) -> Result<Option<(Reading, u64)>> {
    if !options.is_named() {
        return Ok(None);
    }
    let (signer, chain_id) = match spreads.chain(id) {
        Some(chain_id) => (options.signer()?, chain_id),
        None => {
            let wallet = crate::network::wait(options.open())??;
            (wallet.signer().clone(), wallet.chain_id())
        }
    };
    Ok(Some((Reading::of(&signer, chain_id)?, chain_id)))
}

/// `stoa store pin`: keeps as many pieces of an object here as it takes to read it.
pub(crate) fn pin(store: &Store, spreads: &Spreads, id: ObjectId, options: &WalletOptions, json: bool) -> Result<()> {
    let (reading, chain_id) = reading(spreads, id, options)?.unzip();
    let adopt = || {
        let all = everything(store, id, &*seal_of(store, id, reading.as_ref())?)?;
        let mut batch = store.batch(Put::default());
        batch.adopt(id, &all)?;
        batch.commit()?;
        Ok(all)
    };
    let all = brought(store, id, options, reading.as_ref(), adopt)?;
    if let Some(chain_id) = chain_id {
        spreads.note_chain(id, chain_id)?;
    }
    let manifest = store.manifest(id)?;
    let sizes = all.into_iter().map(|id| Ok(opened(&store.manifest(id)?).unwrap_or(0)));
    let size = sizes.sum::<Result<u64>>()?;
    match json {
        true => println!("{}", json!({ "id": id.to_string(), "kind": describe(&manifest), "size": size })),
        false => println!("{id} is kept here"),
    }
    Ok(())
}

/// `stoa store rm --everywhere`: asks all nodes to keep an object no longer.
pub(crate) async fn let_go(
    store: &Store,
    spreads: &Spreads,
    id: ObjectId,
    options: &WalletOptions,
    json: bool,
) -> Result<()> {
    let wallet = options.open().await?;
    let online = Online::with(store, options, Some(&wallet)).await?;
    let answers = online.network.let_go(id).await;
    online.endpoint.close().await;
    let answers = answers?;
    let (mut let_go, mut silent) = (Vec::new(), Vec::new());
    for (node, answer) in answers {
        match answer {
            Ok(true) => let_go.push(node.to_string()),
            Ok(false) => {}
            Err(why) => silent.push((node.to_string(), why.to_string())),
        }
    }
    // What was fetched to be read waits here for a while, and would be read again.
    let reading = Reading::of(wallet.signer(), wallet.chain_id())?;
    let here = store.here(id, opening(store, Some(&reading)));
    // Of what has come in part something waits as well.
    forget(store, &here.map_or_else(|_| vec![id], |here| [here.objects, here.missing].concat()))?;
    // Another account's word does not count, and who is silent may have it still.
    let root = Root { object: id, owner: online.owner };
    if silent.is_empty() && spreads.get(id)?.is_some_and(|known| known.root(id) == root) {
        store.release(root)?;
        spreads.forget(id)?;
    }
    if let_go.is_empty() {
        let silent = silent.iter().map(|(node, why)| format!("; node {node} did not answer ({why}): ask again later"));
        bail!("no node kept {id} for this account (is it the wallet that put it?){}", silent.collect::<String>());
    }
    match json {
        true => println!("{}", json!({ "id": id.to_string(), "letGo": let_go, "silent": silent })),
        false => {
            let keep = if let_go.len() == 1 { "keeps" } else { "keep" };
            println!("{} {keep} it no longer", counted(let_go.len() as u64, "node"));
            silent.iter().for_each(|(node, why)| println!("node {node} did not answer ({why}): ask again later"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_codec::Encode as _;
    use stoa_net::Denied;
    use stoa_store::{Entry, EntryKind, Limits};

    #[test]
    fn a_folder_is_used_when_all_that_is_in_it_is_here_and_what_was_brought_goes_with_that() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Limits { margin: 0, ..Limits::default() }).unwrap();
        // As it comes to be read.
        let put = Put { owner: Owner::TRANSIT, until: Some(u64::MAX - 1), ..Put::default() };
        let file = store.put(&b"rows"[..], put).unwrap();
        let entry = Entry { name: "file".into(), kind: EntryKind::File, id: file };
        let listed = Folder::new(vec![entry]).unwrap().encode();
        let mut batch = store.batch(put);
        let id = batch.put(&listed[..], Kind::Folder).unwrap();
        batch.commit().unwrap();
        // Nobody is asked of what is here, and nobody answers.
        let http = "http://127.0.0.1:1".to_owned();
        let options = WalletOptions { http, wallet: None, passphrase_file: None, account: None, chain_id: None };
        let used = |works: bool| brought(&store, id, &options, None, || if works { Ok(()) } else { bail!("no room") });
        assert_eq!(used(false).unwrap_err().to_string(), "no room");
        // What broke off has left the list of names, and not the file.
        store.release(transit(file)).unwrap();
        let why = format!("{:#}", used(true).unwrap_err());
        assert!(why.contains(&format!("does not have all of {id}")) && why.contains("cannot be reached"), "{why}");
        store.put(&b"rows"[..], put).unwrap();
        used(true).unwrap();
        assert_eq!(store.status().unwrap().blobs, 0);
        let why = used(true).unwrap_err().to_string();
        assert!(why.contains(&format!("does not have {id}")), "{why}");
    }

    #[test]
    fn who_has_no_key_or_another_to_a_folder_that_is_here_is_told_so_and_who_has_it_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (files, at) = (folder.path().join("files"), folder.path().join("store"));
        std::fs::create_dir(&files).unwrap();
        std::fs::write(files.join("file"), "rows").unwrap();
        let store = Store::open(&at, Limits { margin: 0, ..Limits::default() }).unwrap();
        let reading = || Reading::of(&alloy_signer_local::PrivateKeySigner::random(), 1).unwrap();
        let (own, other) = (reading(), reading());
        let begun = Spreads::of(&at).begin(&files, Owner::LOCAL, &own).unwrap();
        let put = Put { seal: &begun.seal, ..Put::default() };
        let id = store.put_folder(&files, put, u64::MAX - 1).unwrap();
        let http = "http://127.0.0.1:1".to_owned();
        let options = WalletOptions { http, wallet: None, passphrase_file: None, account: None, chain_id: None };
        let used = |reading: Option<&Reading>| brought(&store, id, &options, reading, || Ok(()));
        for _ in 0..2 {
            assert!(used(None).unwrap_err().to_string().contains("name the wallet"));
            assert!(used(Some(&other)).unwrap_err().to_string().contains("another wallet"));
        }
        used(Some(&own)).unwrap();
    }

    #[test]
    fn for_how_long_pieces_are_kept_is_said() {
        assert_eq!(kept_for(1, 1, 1), "1 piece of 1 object is kept for 1 day from now on");
        assert_eq!(kept_for(8, 2, 30), "8 pieces of 2 objects are kept for 30 days from now on");
    }

    #[test]
    fn nodes_that_refuse_or_have_no_room_are_told_from_those_that_do_not_answer() {
        assert_eq!(refusals(&Spreading::default()), "no other node answered that could");
        let [one, other] = [1, 2].map(|byte| NodeId([byte; 32]));
        let failed = vec![(0, one, Denied::Refused("it is full".into()))];
        let said = refusals(&Spreading { failed, full: vec![(other, 1536)], ..Spreading::default() });
        let room = "it has room for 1.5 KiB from this account, and a piece takes more";
        assert_eq!(said, format!("node {one}: it refuses: it is full; node {other}: {room}; {SHARES}"));
        assert!(SHARES.contains("no registered nodes together"));
    }

    #[test]
    fn that_something_goes_on_is_promised_of_what_does() {
        let said = |goes_on| waits(Path::new("rows"), goes_on);
        assert!(said(true).contains("goes on") && !said(false).contains("goes on"));
        assert!(said(false).contains("sealed anew") && said(false).contains("rm --unfinished"));
    }

    #[test]
    fn what_was_promised_before_is_said_beside_what_is_now() {
        let (now, day) = (1_700_000_000, 24 * 3600);
        let said = |before: Option<u64>| before_that(before.map(|days| now + days * day), now + 30 * day, now);
        assert_eq!(said(Some(12)), "before that it was for 12 days");
        assert_eq!(said(Some(1)), "before that it was for 1 day");
        assert_eq!([said(Some(30)), said(Some(60))], ["as they had promised before"; 2]);
        assert_eq!(said(Some(0)), "before that their promise was over");
        assert!(said(None).contains("not known"));
    }
}

//! What this machine notes of publishing a file or folder: the same command goes on with what was cut off, and publishes nothing twice
//! without being told so.

use super::{erase::destroy, place};
use crate::{
    note::{Counts, read, remove, told, write},
    spread::{Online, everything},
};
use alloy_primitives::{Address, B256, keccak256};
use eyre::{ContextCompat as _, Result, WrapErr as _, bail};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};
use stoa_base::now;
use stoa_client::Wallet;
use stoa_data::client::{Data, DataError, Draft, Prepared, is_registered};
use stoa_privacy::AssetId;
use stoa_store::{KeySource, ObjectId, Seal, Spreading};

/// An asset that was begun of what is there.
#[derive(Serialize, Deserialize)]
struct Begun {
    is: B256,
    draft: Draft,
    /// What nodes keep of it, once they have all of it.
    sent: Option<Sent>,
}

/// What nodes keep of what is published.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Sent {
    /// The whole.
    object: String,
    /// The whole and what is in it.
    objects: Vec<String>,
    /// Pieces that no node took.
    pub(super) missing: usize,
    pub(super) survives_a_domain: bool,
    /// When, in seconds since 1970.
    at: u64,
}

/// For how many seconds a repeat takes what was sent for what nodes keep.
const SENT: u64 = 24 * 3600;

fn read_id(id: &str) -> Result<ObjectId> {
    id.parse().ok().wrap_err_with(|| format!("{id} is the id of no object"))
}

impl Sent {
    /// An object and what is in it, as they were spread now.
    pub(super) fn new(object: ObjectId, outcomes: &[(ObjectId, Spreading)]) -> Self {
        let objects = outcomes.iter().map(|(object, _)| object.to_string()).collect();
        let missing = outcomes.iter().map(|(_, outcome)| outcome.missing.len()).sum();
        let survives_a_domain = outcomes.iter().all(|(_, outcome)| outcome.survives_a_domain);
        Self { object: object.to_string(), objects, missing, survives_a_domain, at: now() }
    }

    /// The whole.
    pub(super) fn object(&self) -> Result<ObjectId> {
        read_id(&self.object)
    }

    /// The whole and what is in it.
    pub(super) fn objects(&self) -> Result<Vec<ObjectId>> {
        self.objects.iter().map(|id| read_id(id)).collect()
    }
}

/// An asset that was made of it.
#[derive(Serialize, Deserialize)]
struct Made {
    is: B256,
    asset: B256,
    /// As what it is published, once all of it was done.
    done: Option<String>,
}

/// The notes on one file or folder of an account's.
pub(super) struct Notes {
    dir: PathBuf,
    path: PathBuf,
    begun: PathBuf,
    made: PathBuf,
    /// What tells whether it has changed.
    is: B256,
}

impl Notes {
    /// Of what this account publishes.
    pub(super) fn of(dir: &Path, account: Address, path: &Path) -> Result<Self> {
        let cannot = || format!("cannot read {}", path.display());
        let whole = path.canonicalize().wrap_err_with(cannot)?;
        let (is, _) = told(&whole, Counts::Nothing)?;
        let name = keccak256(format!("{account} {}", whole.display()));
        let at = |end: &str| dir.join("published").join(format!("{name}.{end}"));
        Ok(Self { dir: dir.to_owned(), path: path.to_owned(), begun: at("begun"), made: at("json"), is })
    }

    /// Refuses what is published already and has not changed, unless it is to be published `again`.
    pub(super) async fn refuse(&self, account: &Wallet, again: bool) -> Result<()> {
        let Some(Made { is, asset, done: Some(done) }) = read(&self.made) else { return Ok(()) };
        if !again && is == self.is && is_registered(account, asset).await? {
            bail!(
                "{} is published already, as {done}, and has not changed since: --again publishes another asset of it",
                self.path.display()
            );
        }
        remove(&self.made)
    }

    /// The asset that was made of it before the command was cut off.
    pub(super) fn made(&self) -> Option<B256> {
        read::<Made>(&self.made).filter(|made| made.is == self.is).map(|made| made.asset)
    }

    /// Notes the asset that was made; `done` is as what it is published, once all of it was done.
    pub(super) fn note(&self, asset: B256, done: Option<String>) -> Result<()> {
        write(&self.made, &Made { is: self.is, asset, done })?;
        self.forget()
    }

    /// What nodes keep of the asset that was begun, if an earlier try came as far as that.
    pub(super) fn sent(&self) -> Option<Sent> {
        let sent = read::<Begun>(&self.begun).filter(|begun| begun.is == self.is).and_then(|begun| begun.sent);
        sent.filter(|sent| sent.at + SENT > now())
    }

    /// Notes what nodes keep of the asset that was begun.
    pub(super) fn note_sent(&self, sent: &Sent) -> Result<()> {
        match read::<Begun>(&self.begun) {
            Some(begun) => write(&self.begun, &Begun { sent: Some(sent.clone()), ..begun }),
            None => Ok(()),
        }
    }

    /// Destroys the seed of what was begun.
    fn forget(&self) -> Result<()> {
        if self.begun.exists() {
            destroy(&self.begun).wrap_err_with(|| format!("cannot destroy {}", self.begun.display()))?;
        }
        Ok(())
    }

    /// Refuses to give up what was begun if the ledger knows the asset, so that others may hold it, and only its seed here opens it.
    fn losable(&self, asset: B256, registered: bool) -> Result<()> {
        if registered && !place(&self.dir, asset).exists() {
            bail!(
                "{asset} was registered of {}, and the command was cut off then: what opens it is in {} alone. What is there, or how it is \
                 to be published, has changed since, so that it cannot be gone on with. Put back what was there and say the same as \
                 then, or end it with `stoa data erase {asset}` and publish what is there now",
                self.path.display(),
                self.begun.display()
            );
        }
        Ok(())
    }

    /// The asset that it is to be: the one that was begun, if nothing has changed, else a new one.
    pub(super) async fn prepare(
        &self,
        online: &Online,
        data: &Data,
        account: &Wallet,
        (needed, total): (usize, usize),
        own_half: bool,
    ) -> Result<Prepared> {
        if let Some(Begun { is, mut draft, sent }) = read(&self.begun) {
            let goes_on = is == self.is && draft.is(needed, total, own_half);
            if goes_on {
                draft = data.renew(draft).await?;
                write(&self.begun, &Begun { is, draft: draft.clone(), sent })?;
            }
            let prepared = match data.prepare(&draft).await {
                Err(error @ DataError::Draft { .. }) => {
                    tracing::warn!(%error, "it is begun anew");
                    None
                }
                prepared => Some(prepared?),
            };
            match prepared {
                Some(prepared) if goes_on => return Ok(prepared),
                prepared => {
                    self.losable(draft.asset, is_registered(account, draft.asset).await?)?;
                    if let Some(prepared) = prepared {
                        let_go(online, draft.asset, &prepared.seal(), &[]).await?;
                    }
                }
            }
            self.forget()?;
        }
        let draft = data.draft(needed, total, own_half).await?;
        write(&self.begun, &Begun { is: self.is, draft: draft.clone(), sent: None })?;
        Ok(data.prepare(&draft).await?)
    }
}

/// Destroys the seeds of an asset's keys, which are here still if the command was cut off after it was registered; whether there were any.
pub(super) fn destroy_seeds(dir: &Path, asset: B256) -> Result<bool> {
    let mut found = false;
    for entry in fs::read_dir(dir.join("published")).into_iter().flatten().flatten() {
        let file = entry.path();
        let is_begun = file.extension().is_some_and(|end| end == "begun");
        if is_begun && read::<Begun>(&file).is_some_and(|begun| begun.draft.asset == asset) {
            destroy(&file).wrap_err_with(|| format!("cannot destroy {}", file.display()))?;
            found = true;
        }
    }
    Ok(found)
}

/// Lets go, here and at the nodes, of what earlier tries have sealed for an asset, but for these objects.
pub(super) async fn let_go(online: &Online, asset: B256, seal: &dyn Seal, but: &[ObjectId]) -> Result<()> {
    let store = online.network.store();
    let mut left = Vec::new();
    for root in store.roots() {
        let (root, _) = root?;
        let Ok(manifest) = store.manifest(root.object) else { continue };
        if matches!(KeySource::of(&manifest.sealing), Ok(Some(KeySource::Asset(AssetId(of)))) if of == asset)
            && !but.contains(&root.object)
        {
            left.push(root);
        }
    }
    for root in left {
        let all = everything(store, root.object, seal).unwrap_or_else(|_| vec![root.object]);
        store.release(root)?;
        for object in all.into_iter().filter(|object| !but.contains(object)) {
            // Who does not answer keeps it until its time is over.
            online.network.let_go(object).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_known_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, path) = (folder.path().join("alice"), folder.path().join("rows"));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("a.csv"), "1").unwrap();
        let of = |account: u8| Notes::of(&dir, Address::repeat_byte(account), &path).unwrap();
        let asset = B256::repeat_byte(7);
        assert_eq!(of(1).made(), None);
        of(1).note(asset, None).unwrap();
        assert_eq!((of(1).made(), of(2).made()), (Some(asset), None));
        fs::write(path.join("a.csv"), "12").unwrap();
        assert_eq!(of(1).made(), None);
        of(1).note(asset, None).unwrap();
        fs::write(path.join("b.csv"), "").unwrap();
        assert_eq!(of(1).made(), None);
    }

    #[test]
    fn what_alone_opens_an_asset_on_the_ledger_is_not_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, path, asset) = (folder.path().join("alice"), folder.path().join("rows"), B256::repeat_byte(7));
        fs::write(&path, "1").unwrap();
        let notes = Notes::of(&dir, Address::repeat_byte(1), &path).unwrap();
        let why = notes.losable(asset, true).unwrap_err().to_string();
        assert!(why.contains(&format!("stoa data erase {asset}")), "{why}");
        notes.losable(asset, false).unwrap();
        // What opens it is written down by now.
        write(&place(&dir, asset), &7).unwrap();
        notes.losable(asset, true).unwrap();
    }

    #[test]
    fn the_seed_of_an_asset_is_destroyed_and_that_of_another_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = [1, 2].map(B256::repeat_byte);
        assert!(!destroy_seeds(folder.path(), one).unwrap());
        let at = |asset: B256| folder.path().join("published").join(format!("{asset}.begun"));
        for asset in [one, other] {
            let draft =
                serde_json::json!({ "asset": asset, "needed": 1, "keepers": [], "ownHalf": true, "seed": "0x" });
            write(&at(asset), &serde_json::json!({ "is": asset, "draft": draft, "sent": null })).unwrap();
        }
        assert!(destroy_seeds(folder.path(), one).unwrap());
        assert!(!at(one).exists() && at(other).exists());
        assert!(!destroy_seeds(folder.path(), one).unwrap());
    }
}

//! What was spread from this machine. Nobody but whoever has an object's id finds it, so the ids are written down.
//!
//! ```text
//! STORE/spread/ID           name, times and owner as JSON; beside it what is being spread (`begun`)
//! STORE/spread/ID.chain     of what was pinned, and sealed for a wallet: on which chain, for a wallet's reading key is another on each
//! ```

use crate::note;
use alloy_primitives::B256;
use eyre::{Result, WrapErr as _};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use stoa_base::now;
use stoa_client::counted;
use stoa_store::{ObjectId, Owner, Root, Store};

/// One object that was spread, or is to be.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// What it was called here.
    pub(crate) name: String,
    /// When it was spread, in seconds since 1970.
    pub(crate) time: u64,
    /// Until when the nodes keep it.
    pub(crate) until: u64,
    /// For whom they do.
    pub(super) owner: B256,
    /// Whether they have it: what was broken off waits here to go on.
    pub(crate) done: bool,
}

impl Known {
    /// What keeps it here until it is done.
    pub(crate) fn root(&self, object: ObjectId) -> Root {
        Root { object, owner: Owner(self.owner.0) }
    }
}

/// What was spread from the machine of a store.
pub(crate) struct Spreads {
    pub(super) folder: PathBuf,
}

impl Spreads {
    /// Of the store in this folder.
    pub(crate) fn of(store: &Path) -> Self {
        Self { folder: store.join("spread") }
    }

    fn file(&self, id: ObjectId) -> PathBuf {
        self.folder.join(id.to_string())
    }

    pub(crate) fn note(&self, id: ObjectId, known: &Known) -> Result<()> {
        note::write(&self.file(id), known)
    }

    pub(crate) fn get(&self, id: ObjectId) -> Result<Option<Known>> {
        let file = self.file(id);
        let bytes = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.wrap_err_with(|| format!("cannot read {}", file.display()))?,
        };
        serde_json::from_slice(&bytes).wrap_err_with(|| format!("{} is damaged", file.display()))
    }

    pub(crate) fn forget(&self, id: ObjectId) -> Result<()> {
        self.abandon_one(id)?;
        note::remove(&self.file(id))
    }

    fn chain_file(&self, id: ObjectId) -> PathBuf {
        self.folder.join(format!("{id}.chain"))
    }

    /// Notes on which chain an object that is pinned was sealed for a wallet.
    pub(crate) fn note_chain(&self, id: ObjectId, chain_id: u64) -> Result<()> {
        note::write(&self.chain_file(id), &chain_id)
    }

    /// On which chain it was, if that was noted.
    pub(crate) fn chain(&self, id: ObjectId) -> Option<u64> {
        note::read(&self.chain_file(id))
    }

    pub(crate) fn forget_chain(&self, id: ObjectId) -> Result<()> {
        note::remove(&self.chain_file(id))
    }

    /// All of them, the oldest first. What was broken off and waits no more is forgotten.
    pub(crate) fn all(&self, store: &Store) -> Result<Vec<(ObjectId, Known)>> {
        self.forget_old()?;
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            match self.get(id)? {
                Some(known) if known.done || store.kept(known.root(id))?.is_some() => all.push((id, known)),
                _ => self.forget(id)?,
            }
        }
        all.sort_by_key(|(_, known)| known.time);
        Ok(all)
    }
}

/// For how long something is kept still.
pub(crate) fn left(until: u64) -> String {
    match until.saturating_sub(now()).div_ceil(24 * 3600) {
        0 => "its time is over".to_owned(),
        days => format!("for {}", counted(days, "more day")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoa_store::{Limits, Put};

    #[test]
    fn for_how_long_something_is_kept_still_is_said() {
        let said = |days: u64| left(now() + days * 24 * 3600);
        assert_eq!([left(0), said(1)], ["its time is over", "for 1 more day"]);
        assert_eq!(said(30), "for 30 more days");
    }

    #[test]
    fn what_was_spread_is_known_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Limits { margin: 0, ..Limits::default() }).unwrap();
        let spreads = Spreads::of(folder.path());
        assert!(spreads.all(&store).unwrap().is_empty());
        let known = |time, done| Known { name: "a file".into(), time, until: 9, owner: B256::repeat_byte(1), done };
        let put = Put { owner: Owner([1; 32]), until: Some(u64::MAX - 1), ..Put::default() };
        let waits = store.put(&b"it waits"[..], put).unwrap();
        let [done, gone] = [2, 3].map(|byte| ObjectId([byte; 32]));
        for (id, known) in [(waits, known(2, false)), (done, known(1, true)), (gone, known(3, false))] {
            spreads.note(id, &known).unwrap();
        }
        // Of what was not spread and is not here any more nobody has anything.
        assert_eq!(spreads.all(&store).unwrap(), [(done, known(1, true)), (waits, known(2, false))]);
        assert_eq!(spreads.get(gone).unwrap(), None);
        // Nor does it matter what was pinned.
        spreads.note_chain(gone, 31337).unwrap();
        assert_eq!((spreads.chain(gone), spreads.all(&store).unwrap().len()), (Some(31337), 2));
        spreads.forget_chain(gone).unwrap();
        assert_eq!(spreads.chain(gone), None);
        store.release(known(2, false).root(waits)).unwrap();
        spreads.forget(done).unwrap();
        spreads.forget(done).unwrap();
        assert!(spreads.all(&store).unwrap().is_empty());
    }
}

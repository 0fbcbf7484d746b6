//! What is being sealed and spread from this machine. The same command goes on with what was cut off: with the same key, so that what was
//! sealed before opens with what is sealed now, and with the object once there is one, whose pieces nodes may have already.
//!
//! ```text
//! STORE/spread/HASH.begun     what is put, its key sealed to the wallet as in the manifests, and the object, as JSON
//! ```

use super::{Spreads, WAIT};
use crate::note::{Counts, read, remove, told, write};
use alloy_primitives::{B256, Bytes, keccak256};
use commonware_codec::{Copying, DecodeExt as _, Encode as _};
use eyre::{Result, WrapErr as _};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
};
use stoa_base::now;
use stoa_data::reading::Reading;
use stoa_privacy::{AssetId, DataKey, SealedKey};
use stoa_store::{Code, KeySource, ObjectId, Owner, Root, Sealed, Store};

/// What was changed so few seconds ago may change again without its times telling.
const SETTLED: u64 = 2;

/// As it is written down.
#[derive(Serialize, Deserialize)]
struct Note {
    /// What tells whether what is put has changed.
    is: B256,
    /// When it was begun, or gone on with, in seconds since 1970.
    time: u64,
    /// Sealed to the wallet.
    key: Bytes,
    /// What was made of it, once it is sealed whole.
    object: Option<String>,
    /// All that was made of what is there, now and before it changed: what of it no node has is dropped when the last is spread.
    #[serde(default)]
    tries: Vec<String>,
}

/// A file or folder that is sealed and spread.
pub(crate) struct Begun {
    path: PathBuf,
    file: PathBuf,
    note: Note,
    /// Whether nothing in it was changed just now.
    is_settled: bool,
    /// With its own key, which its owner's wallet opens, and nobody else's.
    pub(crate) seal: Sealed,
}

impl Note {
    /// The key, if it is this wallet's.
    fn open(&self, reading: &Reading) -> Option<(SealedKey, DataKey)> {
        let sealed = SealedKey::decode(Copying(&self.key[..])).ok()?;
        Some((sealed, sealed.open(&reading.secret).ok()?))
    }
}

impl Spreads {
    /// The putting of what is there by this owner: that which was cut off, if nothing has changed since, or a new one, with a key of its
    /// own.
    pub(crate) fn begin(&self, path: &Path, owner: Owner, reading: &Reading) -> Result<Begun> {
        self.forget_old()?;
        let path = path.canonicalize().wrap_err_with(|| format!("cannot read {}", path.display()))?;
        let (is, changed) = told(&path, Counts::Place)?;
        let file = self.folder.join(format!("{}.begun", keccak256(format!("{owner} {}", path.display()))));
        let before = read::<Note>(&file);
        let tries = before.as_ref().map(|note| note.tries.clone()).unwrap_or_default();
        let known = match before.filter(|note| note.is == is) {
            // Another putting of what the nodes have already is another object.
            Some(note) if self.is_done(&note)? => None,
            note => note.and_then(|note| note.open(reading).map(|key| (note, key))),
        };
        let (note, (sealed, key)) = match known {
            Some((note, key)) => (Note { time: now(), ..note }, key),
            None => {
                let mut rng = rand::rng();
                let (asset, key) = (AssetId(rand::random::<[u8; 32]>().into()), DataKey::generate(&mut rng));
                let sealed = SealedKey::seal(asset, &reading.key, &key, &mut rng)?;
                let note = Note { is, time: now(), key: sealed.encode().to_vec().into(), object: None, tries };
                (note, (sealed, key))
            }
        };
        let (is_settled, seal) = (changed + SETTLED <= now(), Sealed::new(key, KeySource::Reader(sealed)));
        let begun = Begun { path, file, note, is_settled, seal };
        begun.write()?;
        Ok(begun)
    }

    fn is_done(&self, note: &Note) -> Result<bool> {
        match note.object.as_deref().and_then(|id| id.parse().ok()) {
            Some(id) => Ok(self.get(id)?.is_some_and(|known| known.done)),
            None => Ok(false),
        }
    }

    /// Forgets the keys of those that this says, and what is damaged.
    fn forget_begun(&self, which: impl Fn(&Note) -> bool) -> Result<()> {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let file = entry.path();
            if file.extension().is_some_and(|end| end == "begun") && read(&file).is_none_or(|note: Note| which(&note)) {
                remove(&file)?;
            }
        }
        Ok(())
    }

    /// Forgets the keys of what nothing waits for any more.
    pub(super) fn forget_old(&self) -> Result<()> {
        self.forget_begun(|note| note.time.saturating_add(WAIT * 24 * 3600) <= now())
    }

    /// Forgets the keys of all that was cut off.
    pub(crate) fn abandon(&self) -> Result<()> {
        self.forget_begun(|_| true)
    }

    /// Forgets the key of what has become this object.
    pub(super) fn abandon_one(&self, id: ObjectId) -> Result<()> {
        self.forget_begun(|note| note.object.as_deref() == Some(&id.to_string()))
    }
}

impl Begun {
    fn write(&self) -> Result<()> {
        write(&self.file, &self.note)
    }

    /// What an earlier try has made of it, whole, in such pieces if they are said, and with how many it is; if it waits here still.
    pub(crate) fn object(&self, store: &Store, owner: Owner, code: Option<Code>) -> Result<Option<(ObjectId, Code)>> {
        let Some(object) = self.note.object.as_deref().and_then(|id| id.parse().ok()) else { return Ok(None) };
        // It may have been damaged meanwhile, or something in it.
        let here = store.here(object, |id| store.folder(id, &self.seal));
        if store.kept(Root { object, owner })?.is_none() || !here.is_ok_and(|here| here.is_whole()) {
            return Ok(None);
        }
        let own = store.manifest(object)?.layout().map(|layout| layout.code());
        Ok(own.filter(|own| code.is_none_or(|code| code == *own)).map(|own| (object, own)))
    }

    /// Notes what was made of it; to be gone on with, unless it may have changed meanwhile.
    pub(crate) fn sealed(&mut self, id: ObjectId) -> Result<()> {
        let id = id.to_string();
        if !self.note.tries.contains(&id) {
            self.note.tries.push(id.clone());
        }
        if self.is_settled && told(&self.path, Counts::Place)?.0 == self.note.is {
            self.note.object = Some(id);
        }
        self.write()
    }

    /// Whether the next putting goes on with this object.
    pub(crate) fn goes_on(&self, id: ObjectId) -> bool {
        self.note.object == Some(id.to_string())
    }

    /// Forgets the key, and drops what earlier tries have left: all of it is spread.
    pub(crate) fn end(self, store: &Store, spreads: &Spreads) -> Result<()> {
        for id in self.note.tries.iter().filter_map(|id| id.parse::<ObjectId>().ok()) {
            if let Some(known) = spreads.get(id)?.filter(|known| !known.done) {
                store.release(known.root(id))?;
                spreads.forget(id)?;
            }
        }
        remove(&self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spread::Known;
    use alloy_signer_local::PrivateKeySigner;
    use std::time::{Duration, SystemTime};
    use stoa_store::{Limits, Put, Seal as _};
    use tempfile::TempDir;

    const OWNER: Owner = Owner([7; 32]);

    struct Scene {
        folder: TempDir,
        store: Store,
        spreads: Spreads,
        reading: Reading,
    }

    fn reading() -> Reading {
        Reading::of(&PrivateKeySigner::random(), 1).unwrap()
    }

    /// A folder with a file, that has not changed for a while, and a store.
    fn scene() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("files")).unwrap();
        let at = folder.path().join("store");
        let store = Store::open(&at, Limits { margin: 0, ..Limits::default() }).unwrap();
        let scene = Scene { folder, store, spreads: Spreads::of(&at), reading: reading() };
        scene.write("file", "rows");
        scene
    }

    impl Scene {
        fn files(&self) -> PathBuf {
            self.folder.path().join("files")
        }

        fn write(&self, name: &str, content: &str) {
            fs::write(self.files().join(name), content).unwrap();
            for path in [self.files().join(name), self.files()] {
                let old = SystemTime::now() - Duration::from_secs(60);
                fs::File::open(path).unwrap().set_modified(old).unwrap();
            }
        }

        fn begin(&self) -> Begun {
            self.spreads.begin(&self.files(), OWNER, &self.reading).unwrap()
        }

        fn put(&self, begun: &Begun) -> ObjectId {
            let until = now() + 1000;
            let put =
                Put { owner: OWNER, until: Some(until), code: Code::new(1, 2), seal: &begun.seal, durable: false };
            self.store.put_folder(&self.files(), put, until).unwrap()
        }

        fn notes(&self) -> usize {
            let names = fs::read_dir(&self.spreads.folder).into_iter().flatten().flatten();
            names.filter(|name| name.path().extension().is_some()).count()
        }

        /// Whether what was sealed opens with this key as well.
        fn opens(&self, id: ObjectId, begun: &Begun) -> bool {
            begun.seal.fits(&self.store.manifest(id).unwrap().sealing, false)
        }
    }

    #[test]
    fn what_was_cut_off_goes_on_with_its_key_and_its_pieces_until_it_changes() {
        let scene = scene();
        let first = scene.begin();
        let id = scene.put(&first);
        assert_eq!(first.object(&scene.store, OWNER, None).unwrap(), None);
        // Killed before the object was written down, and after that.
        drop(first);
        let mut second = scene.begin();
        assert!(scene.opens(id, &second));
        second.sealed(id).unwrap();
        drop(second);
        let third = scene.begin();
        let code = Code::new(1, 2).unwrap();
        assert!(scene.opens(id, &third));
        for said in [None, Some(code)] {
            assert_eq!(third.object(&scene.store, OWNER, said).unwrap(), Some((id, code)));
        }
        // Other pieces are another object, and what is gone is gone.
        assert_eq!(third.object(&scene.store, OWNER, Code::new(2, 3)).unwrap(), None);
        scene.store.release(Root { object: id, owner: OWNER }).unwrap();
        assert_eq!(third.object(&scene.store, OWNER, None).unwrap(), None);
        // Another wallet has its own, and so has what is there now.
        let other = scene.spreads.begin(&scene.files(), OWNER, &reading()).unwrap();
        let same = |one: &Begun, other: &Begun| one.note.key == other.note.key;
        assert!(!same(&other, &third) && !same(&other, &scene.begin()));
        let before = scene.begin();
        scene.write("another", "more rows");
        assert!(!same(&before, &scene.begin()));
        assert_eq!(scene.notes(), 1);
    }

    #[test]
    fn a_key_goes_when_all_is_spread_or_it_is_abandoned_or_has_waited_for_a_week() {
        let scene = scene();
        scene.begin().end(&scene.store, &scene.spreads).unwrap();
        assert_eq!(scene.notes(), 0);
        drop(scene.begin());
        scene.spreads.abandon().unwrap();
        assert_eq!(scene.notes(), 0);
        // With the object that it has become.
        let mut begun = scene.begin();
        let id = scene.put(&begun);
        begun.sealed(id).unwrap();
        scene.spreads.forget(ObjectId([1; 32])).unwrap();
        assert_eq!(scene.notes(), 1);
        scene.spreads.forget(id).unwrap();
        assert_eq!(scene.notes(), 0);
        // Killed between the last two steps: the nodes have all of it.
        let mut begun = scene.begin();
        begun.sealed(id).unwrap();
        let known = Known { name: "files".into(), time: 1, until: u64::MAX, owner: OWNER.0.into(), done: true };
        scene.spreads.note(id, &known).unwrap();
        assert!(scene.begin().note.key != begun.note.key);
        // Nobody has gone on with it, or it is damaged.
        let mut begun = scene.begin();
        begun.note.time = now() - WAIT * 24 * 3600;
        begun.write().unwrap();
        fs::write(scene.spreads.folder.join("damaged.begun"), "{").unwrap();
        scene.spreads.all(&scene.store).unwrap();
        assert_eq!(scene.notes(), 0);
    }

    #[test]
    fn what_was_written_to_just_now_is_sealed_anew_for_it_may_have_changed() {
        let scene = scene();
        fs::write(scene.files().join("file"), "new rows").unwrap();
        let mut begun = scene.begin();
        let id = scene.put(&begun);
        begun.sealed(id).unwrap();
        assert!(!begun.goes_on(id));
        assert_eq!(scene.begin().object(&scene.store, OWNER, None).unwrap(), None);
        assert!(scene.opens(id, &scene.begin()), "with the same key");
    }

    #[test]
    fn what_earlier_tries_have_left_goes_when_all_is_spread() {
        let scene = scene();
        let known = |done| Known { name: "files".into(), time: 1, until: u64::MAX, owner: OWNER.0.into(), done };
        let mut tries = Vec::new();
        for done in [false, true, false] {
            scene.write("file", &format!("{} rows", tries.len()));
            let mut begun = scene.begin();
            let id = scene.put(&begun);
            scene.spreads.note(id, &known(done)).unwrap();
            begun.sealed(id).unwrap();
            assert!(begun.goes_on(id));
            tries.push(id);
        }
        scene.write("file", "the last rows");
        let mut last = scene.begin();
        let id = scene.put(&last);
        last.sealed(id).unwrap();
        scene.spreads.note(id, &known(true)).unwrap();
        last.end(&scene.store, &scene.spreads).unwrap();
        let is_there = |id: &ObjectId| scene.spreads.get(*id).unwrap().is_some();
        assert_eq!(tries.iter().map(is_there).collect::<Vec<_>>(), [false, true, false]);
        assert!(is_there(&id) && scene.notes() == 0);
        let kept = |id| scene.store.kept(Root { object: id, owner: OWNER }).unwrap().is_some();
        assert_eq!(tries.into_iter().map(kept).collect::<Vec<_>>(), [false, true, false]);
    }
}

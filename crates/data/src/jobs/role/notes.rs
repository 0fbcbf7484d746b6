//! What a node has to know again after it was ended: what has left of an asset, by buyer, and what each job on it has done that is not
//! over on the ledger. Both are in one file, so that one write counts what left in a round and says that its job has done it: whoever reads
//! it later finds both or neither.

use super::{
    super::{results, run::Done},
    guard::Aside,
    session::{read, write},
};
use alloy_primitives::{Address, B256};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};
use stoa_base::gone;

/// How a file is called after the job's id that shows that its first round has begun.
const BEGUN: &str = ".begun";

fn begun(asset: &Path, job: B256) -> PathBuf {
    asset.join("jobs").join(format!("{job}{BEGUN}"))
}

/// The notes of an asset.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Notes {
    /// What jobs have done that are not over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) jobs: BTreeMap<B256, Done>,
    /// What has left, by buyer. It stays for as long as the asset's folder does: a budget has no window after which it begins anew.
    #[serde(flatten)]
    pub(super) spent: BTreeMap<Address, u64>,
}

impl Notes {
    /// Those of the asset in this folder; none yet if there are none.
    pub(super) fn read(asset: &Path) -> io::Result<Self> {
        read(&asset.join("spent.json"))
    }

    /// What a job has done so far. Refused as long as that is in a file of its own, as nodes wrote it before, which could not be taken
    /// over: begun anew, its receipt would be false.
    pub(super) fn of(asset: &Path, job: B256) -> io::Result<Done> {
        let before = asset.join("jobs").join(format!("{job}.json"));
        if before.try_exists()? {
            return Err(io::Error::other(format!("{} was not taken over", before.display())));
        }
        Ok(Self::read(asset)?.jobs.remove(&job).unwrap_or_default())
    }

    /// Writes them, to be done with `spending` held since they were read.
    pub(super) fn write(&self, asset: &Path) -> io::Result<()> {
        write(&asset.join("spent.json"), self)
    }

    /// Notes what a job has done. What is noted already is not written again: a buyer may ask for his receipt as often as he likes.
    pub(super) fn put(asset: &Path, spending: &Mutex<Aside>, job: B256, done: &Done) -> io::Result<()> {
        let _alone = spending.lock();
        let mut notes = Self::read(asset)?;
        match notes.jobs.insert(job, done.clone()) {
            Some(noted) if noted == *done => Ok(()),
            _ => notes.write(asset),
        }
    }

    /// Notes that the first round of a job begins, for a node that is ended while it runs. Nobody waits until that is on the disk: a
    /// machine that loses its power has the job as one that never began.
    pub(super) fn begin(asset: &Path, job: B256) -> io::Result<()> {
        fs::write(begun(asset, job), [])
    }

    /// Whether the first round of a job has begun.
    pub(super) fn has_begun(asset: &Path, job: B256) -> bool {
        begun(asset, job).exists()
    }

    /// The jobs of which something is noted.
    pub(super) fn all(asset: &Path) -> io::Result<BTreeSet<B256>> {
        let mut all: BTreeSet<_> = Self::read(asset)?.jobs.into_keys().collect();
        let entries = fs::read_dir(asset.join("jobs")).into_iter().flatten().flatten();
        let begun = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(BEGUN)?.parse::<B256>().ok();
        all.extend(entries.filter_map(begun));
        Ok(all)
    }

    /// Forgets a job that is over. What has left stays.
    pub(super) fn forget(asset: &Path, spending: &Mutex<Aside>, job: B256) -> io::Result<()> {
        fs::remove_file(begun(asset, job)).or_else(gone)?;
        let _alone = spending.lock();
        let mut notes = Self::read(asset)?;
        match notes.jobs.remove(&job) {
            Some(_) => notes.write(asset),
            None => Ok(()),
        }
    }

    /// Sees to what a node that was ended has left behind, before any job goes on: results that were laid out, and what jobs have done
    /// that have a file each, as nodes wrote it before.
    pub(super) fn recover(asset: &Path) -> io::Result<()> {
        let (mut notes, mut files) = (Self::read(asset)?, Vec::new());
        for entry in fs::read_dir(asset.join("jobs")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(job) = name.strip_suffix(".json").and_then(|job| job.parse().ok()) else { continue };
            let done = read(&entry.path())?;
            notes.jobs.entry(job).or_insert(done);
            files.push(entry.path());
        }
        if !files.is_empty() {
            notes.write(asset)?;
            files.iter().try_for_each(fs::remove_file)?;
        }
        results::recover(asset, |job| notes.jobs.get(&job).map_or(0, |done| done.rounds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nodes_wrote_before_is_taken_over() {
        let (folder, [one, other]) = (tempfile::tempdir().unwrap(), [1, 2].map(B256::repeat_byte));
        let (asset, buyer) = (folder.path(), Address::repeat_byte(3));
        let file = |job: B256| asset.join("jobs").join(format!("{job}.json"));
        write(&asset.join("spent.json"), &BTreeMap::from([(buyer, 7_u64)])).unwrap();
        for (job, rounds) in [(one, 4), (other, 0)] {
            write(&file(job), &Done { rounds, ..Done::default() }).unwrap();
        }
        Notes::recover(asset).unwrap();
        let notes = Notes::read(asset).unwrap();
        assert_eq!((notes.spent, notes.jobs[&one].rounds), (BTreeMap::from([(buyer, 7)]), 4));
        assert_eq!(notes.jobs.into_keys().collect::<BTreeSet<_>>(), BTreeSet::from([one, other]));
        assert!(!file(one).exists() && !file(other).exists());
        // What is noted is newer than a file that stayed behind.
        let spending = Mutex::default();
        Notes::put(asset, &spending, one, &Done { rounds: 5, ..Done::default() }).unwrap();
        write(&file(one), &Done::default()).unwrap();
        Notes::recover(asset).unwrap();
        assert_eq!(Notes::read(asset).unwrap().jobs[&one].rounds, 5);
        // What cannot be taken over is not begun anew.
        fs::write(file(other), "{").unwrap();
        assert!(Notes::recover(asset).is_err() && Notes::of(asset, other).is_err());
        assert_eq!(Notes::of(asset, one).unwrap().rounds, 5);
        fs::remove_file(file(other)).unwrap();
        // The same again is no write, which would fail.
        fs::create_dir(asset.join("spent.json.part")).unwrap();
        let put = |rounds| Notes::put(asset, &spending, one, &Done { rounds, ..Done::default() });
        assert!(put(5).is_ok() && put(6).is_err());
        fs::remove_dir(asset.join("spent.json.part")).unwrap();
        for job in [one, other, one] {
            Notes::forget(asset, &spending, job).unwrap();
        }
        let notes = Notes::read(asset).unwrap();
        assert_eq!((notes.spent, notes.jobs.len()), (BTreeMap::from([(buyer, 7)]), 0));
    }
}

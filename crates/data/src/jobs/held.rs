//! What would leave, where the owner wants to look at it first: it lies in the node's folder of data until he says yes or no, or has
//! said nothing for so long as his rules give him.
//!
//! ```text
//! <asset>/held/<job>-<round>/…          the files as they would leave, `log.txt` among them if the log would
//! <asset>/held/<job>-<round>.decision   yes or no, and the hash of what was looked at
//! ```

use super::{
    abi::{BROKEN, IJobs::jobsOfCall, JOBS, STOPPED, WITHHELD},
    run::{Files, outputs_hash},
    wire::MOST_ANSWER,
};
use alloy_primitives::{B256, U256};
use eyre::{Result, WrapErr as _, bail};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use stoa_base::{create_private, gone, write_private};
use stoa_client::{Chain, ViewError, view};
use stoa_sandbox::Control;

/// How often is looked whether an owner has said yes or no.
const LOOK: Duration = Duration::from_millis(500);

/// How often the ledger is asked for its time meanwhile.
const ASK: Duration = if cfg!(test) { LOOK } else { Duration::from_secs(10) };

/// The log among the files.
pub(super) const LOG: &str = "log.txt";

/// What would leave in a round of a job.
#[derive(Clone, Debug)]
pub struct Held {
    /// The asset.
    pub asset: B256,
    /// The job.
    pub job: B256,
    /// Which round of it, from 0.
    pub round: u32,
    /// Where it lies.
    pub folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Decision {
    leaves: bool,
    what: B256,
}

/// All that would leave, as files.
fn whole(files: &Files, log: Option<&str>) -> Files {
    let log = log.map(|log| (LOG.to_owned(), log.as_bytes().to_vec()));
    files.clone().into_iter().chain(log).collect()
}

impl Held {
    /// That of a job on the asset in this folder.
    pub(crate) fn of(folder: &Path, asset: B256, job: B256, round: u32) -> Self {
        Self { asset, job, round, folder: folder.join("held").join(format!("{job}-{round}")) }
    }

    /// All that waits in a node's folder of data.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn all(data: &Path) -> io::Result<Vec<Self>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(data)?.flatten() {
            let Ok(asset) = entry.file_name().to_string_lossy().parse::<B256>() else { continue };
            for entry in fs::read_dir(entry.path().join("held")).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let Some((job, round)) = name.split_once('-') else { continue };
                if let (Ok(job), Ok(round)) = (job.parse(), round.parse()) {
                    all.push(Self { asset, job, round, folder: entry.path() });
                }
            }
        }
        all.sort_by_key(|held| (held.asset, held.job, held.round));
        Ok(all)
    }

    fn decision(&self) -> PathBuf {
        self.folder.with_extension("decision")
    }

    /// Lays out what would leave, and nothing that lay there before. All of it is there at once, for somebody may be looking.
    pub(crate) fn put(&self, files: &Files, log: Option<&str>) -> io::Result<()> {
        let laying = self.folder.with_extension("laying");
        for folder in [&laying, &self.folder] {
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
        }
        create_private(&laying)?;
        for (path, bytes) in whole(files, log) {
            write_private(&laying.join(path), &bytes)?;
        }
        fs::rename(&laying, &self.folder)
    }

    /// Whether this may leave; nothing if nobody has said so yet, or it was something else that was looked at.
    pub(super) fn decided(&self, files: &Files, log: Option<&str>) -> io::Result<Option<bool>> {
        let Some(said) = super::kept::found(&self.decision())? else { return Ok(None) };
        let said: Decision = serde_json::from_slice(&said).map_err(io::Error::other)?;
        Ok((said.what == outputs_hash([&whole(files, log)])).then_some(said.leaves))
    }

    /// Waits until the owner has looked at what was laid out, for so many seconds of the ledger's time; how its job ends and why if it
    /// does not leave. Nothing of it stays there.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub(crate) async fn wait(
        &self,
        files: &Files,
        log: Option<&str>,
        control: &Control,
        (chain, patience): (&dyn Chain, u64),
    ) -> io::Result<Option<(u8, String)>> {
        let (mut until, mut asked) = (None, None::<Instant>);
        let decided = loop {
            match self.decided(files, log)? {
                Some(true) => break None,
                Some(false) => break Some((WITHHELD, "its owner did not let it leave".to_owned())),
                None if control.is_cancelled() => break Some((STOPPED, "it was stopped".to_owned())),
                None => {}
            }
            if asked.is_none_or(|asked| asked.elapsed() >= ASK) {
                asked = Some(Instant::now());
                // Where the ledger cannot be asked its time stands still.
                if let Ok(now) = self.time(chain).await
                    && now > *until.get_or_insert(now.saturating_add(patience))
                {
                    break Some((BROKEN, "its owner did not look at it in time, and it was destroyed".to_owned()));
                }
            }
            tokio::time::sleep(LOOK).await;
        };
        self.remove()?;
        Ok(decided)
    }

    /// The ledger's time, which every answer of it comes with.
    async fn time(&self, chain: &dyn Chain) -> std::result::Result<u64, ViewError> {
        let nothing = jobsOfCall { asset: self.asset, from: U256::ZERO, most: U256::ZERO };
        Ok(view(chain, JOBS, &nothing).await?.1.timestamp)
    }

    /// Removes what lay there.
    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder).or_else(gone)?;
        fs::remove_file(self.decision()).or_else(gone)
    }

    /// What lies in the folder of an asset, each with its job: what would leave, be it half laid out, and decisions.
    fn lying(asset: &Path) -> impl Iterator<Item = (B256, PathBuf)> + use<> {
        let entries = fs::read_dir(asset.join("held")).into_iter().flatten().flatten();
        entries.filter_map(|entry| {
            let name = entry.file_name();
            Some((name.to_str()?.split_once('-')?.0.parse().ok()?, entry.path()))
        })
    }

    /// The jobs of which something lies in the folder of an asset.
    pub(super) fn jobs(asset: &Path) -> BTreeSet<B256> {
        Self::lying(asset).map(|(job, _)| job).collect()
    }

    /// Removes all that lies there of a job.
    pub(super) fn clear(asset: &Path, job: B256) -> io::Result<()> {
        for (_, path) in Self::lying(asset).filter(|(of, _)| *of == job) {
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.or_else(gone)?;
        }
        Ok(())
    }

    /// What would leave.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn files(&self) -> Result<Files> {
        let (mut files, mut next, mut size) = (Files::new(), vec![String::new()], 0);
        while let Some(within) = next.pop() {
            let folder = self.folder.join(&within);
            for entry in fs::read_dir(&folder).wrap_err_with(|| format!("cannot read {}", folder.display()))? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = if within.is_empty() { name } else { format!("{within}/{name}") };
                if entry.file_type()?.is_dir() {
                    next.push(path);
                    continue;
                }
                let bytes = fs::read(entry.path()).wrap_err_with(|| format!("cannot read {path}"))?;
                size += bytes.len();
                if size > MOST_ANSWER {
                    bail!("there is more in {} than can have left", folder.display());
                }
                files.insert(path, bytes);
            }
        }
        Ok(files)
    }

    /// Lets leave what has this digest ([`outputs_hash`] of its files), and nothing else: it is what somebody has looked at.
    ///
    /// # Errors
    ///
    /// If something else lies there now, it cannot be read, or the decision not written.
    pub fn approve(&self, digest: B256) -> Result<()> {
        let now = self.digest()?;
        if now != digest {
            bail!(
                "what waits of job {} is not what has digest {digest}: it has changed since, and has {now} now. Look at it again \
                 (`stoa job held`)",
                self.job
            );
        }
        self.decide(true, digest)
    }

    /// Lets nothing leave of what lies there now.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or the decision not written.
    pub fn refuse(&self) -> Result<()> {
        self.decide(false, self.digest()?)
    }

    fn digest(&self) -> Result<B256> {
        Ok(outputs_hash([&self.files()?]))
    }

    fn decide(&self, leaves: bool, what: B256) -> Result<()> {
        let said = serde_json::to_vec(&Decision { leaves, what })?;
        write_private(&self.decision(), &said).wrap_err("the decision cannot be written")
    }

    /// Lets leave, in tests, what lies there now, or not.
    #[cfg(test)]
    pub(crate) fn say(&self, leaves: bool) {
        if leaves { self.approve(self.digest().unwrap()) } else { self.refuse() }.unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::tests::Ledger;
    use futures::poll;
    use tokio::time::timeout;

    #[test]
    fn what_was_looked_at_leaves_and_nothing_else_under_the_same_name() {
        let folder = tempfile::tempdir().unwrap();
        let (asset, job) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let held = Held::of(&folder.path().join(asset.to_string()), asset, job, 3);
        let files: Files = [("a/result.json".to_owned(), b"[1]".to_vec())].into();
        held.put(&files, Some("said")).unwrap();
        assert_eq!(held.decided(&files, Some("said")).unwrap(), None);
        let all = Held::all(folder.path()).unwrap();
        assert_eq!((all.len(), all[0].asset, all[0].job, all[0].round), (1, asset, job, 3));
        assert_eq!(all[0].files().unwrap().len(), 2);
        let seen = outputs_hash([&all[0].files().unwrap()]);
        all[0].approve(seen).unwrap();
        assert_eq!(held.decided(&files, Some("said")).unwrap(), Some(true));
        let other: Files = [("a/result.json".to_owned(), b"[2]".to_vec())].into();
        assert_eq!(held.decided(&other, Some("said")).unwrap(), None);
        assert_eq!(held.decided(&files, Some("more")).unwrap(), None);
        all[0].refuse().unwrap();
        assert_eq!(held.decided(&files, Some("said")).unwrap(), Some(false));
        // A node that was ended meanwhile, and came to something else: nothing is left of what it laid out before.
        let fewer = Files::from([("result.json".to_owned(), b"[1]".to_vec())]);
        held.put(&fewer, None).unwrap();
        assert_eq!((all[0].files().unwrap(), held.decided(&fewer, None).unwrap()), (fewer.clone(), None));
        // Whoever has looked at the former lets nothing of that leave.
        let why = all[0].approve(seen).unwrap_err().to_string();
        assert!(why.contains("has changed since") && why.contains("`stoa job held`"), "{why}");
        assert_eq!(held.decided(&fewer, None).unwrap(), None);
        held.remove().unwrap();
        held.remove().unwrap();
        assert!(Held::all(folder.path()).unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_nobody_looks_at_in_time_is_destroyed_and_time_is_the_ledgers() {
        let (folder, ledger, asset) = (tempfile::tempdir().unwrap(), Ledger::new(), B256::repeat_byte(1));
        let held = Held::of(&folder.path().join(asset.to_string()), asset, B256::repeat_byte(2), 0);
        let (files, control) = (Files::from([("result.json".to_owned(), b"[1]".to_vec())]), Control::new());
        held.put(&files, None).unwrap();
        let mut waiting = Box::pin(held.wait(&files, None, &control, (&ledger, 60)));
        assert!(poll!(&mut waiting).is_pending());
        ledger.with(|bench| bench.pass(60));
        assert!(timeout(2 * LOOK, &mut waiting).await.is_err() && held.folder.exists());
        ledger.with(|bench| bench.pass(1));
        let (ended, why) = waiting.await.unwrap().unwrap();
        assert!(ended == BROKEN && why.contains("in time"), "{ended} {why}");
        assert!(Held::all(folder.path()).unwrap().is_empty() && !held.folder.exists());
    }

    #[test]
    fn of_a_job_that_is_over_nothing_is_left_to_look_at() {
        let folder = tempfile::tempdir().unwrap();
        let [over, open] = [1, 2].map(|number| Held::of(folder.path(), B256::ZERO, B256::repeat_byte(number), 0));
        let files = Files::from([("result.json".to_owned(), b"[1]".to_vec())]);
        for held in [&over, &open] {
            held.put(&files, None).unwrap();
            held.say(true);
            fs::create_dir(held.folder.with_extension("laying")).unwrap();
        }
        assert_eq!(Held::jobs(folder.path()), BTreeSet::from([over.job, open.job]));
        Held::clear(folder.path(), over.job).unwrap();
        assert_eq!(Held::jobs(folder.path()), BTreeSet::from([open.job]));
        assert_eq!((open.decided(&files, None).unwrap(), open.files().unwrap()), (Some(true), files));
    }
}

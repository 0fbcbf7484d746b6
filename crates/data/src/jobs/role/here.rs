//! What lies here of assets, read whole once, and again where something shows that it is not the same any more.
//!
//! Files are taken for what they were when they were hashed as long as their paths, sizes, numbers on the disk and times are the same. The
//! time at which a file was changed last in any way (`ctime`) is the kernel's own: nobody sets it. What was read so soon after a change
//! that another one could have the same time is not relied on.

use super::super::data::DataSet;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fs, io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};
use stoa_base::now;
use tokio::{sync, task::spawn_blocking};

/// For how many seconds after a change another one could have the same time, on file systems whose clock is coarse.
const COARSE: u64 = 2;

/// Files and folders of an asset at most.
const MOST_ENTRIES: usize = 1_000_000;

/// How files look without being read.
struct Stamp {
    hash: blake3::Hash,
    /// When the last of them was changed, in seconds since 1970.
    changed: u64,
}

/// An asset's data and rules as they were when they looked so.
struct Known {
    looks: blake3::Hash,
    /// Whether any later change shows.
    shows: bool,
    data: DataSet,
}

/// What is known of an asset. One asks for it at a time.
type Slot = Arc<sync::Mutex<Option<Known>>>;

/// What lies here of assets, by their folders.
#[derive(Default)]
pub(super) struct Here(Mutex<HashMap<PathBuf, Slot>>);

impl Here {
    /// The data and rules in an asset's folder, as they are now. Whoever waits no longer leaves what was read for the next.
    ///
    /// # Errors
    ///
    /// If they cannot be read, or there are none.
    pub(super) async fn read(&self, folder: &Path) -> eyre::Result<DataSet> {
        let known = self.0.lock().entry(folder.to_owned()).or_default().clone();
        let (mut known, folder) = (known.lock_owned().await, folder.to_owned());
        let reading = spawn_blocking(move || {
            let read = again(&folder, known.as_ref());
            // Said once: anybody may ask.
            match (&read, known.as_ref().map(|known| known.data.hash)) {
                (Ok(Some(read)), Some(before)) if read.data.hash != before => {
                    tracing::warn!(folder = %folder.display(), "the data in a folder are others than before");
                }
                (Err(error), Some(_)) => {
                    tracing::warn!(folder = %folder.display(), %error, "the data in a folder cannot be read any more");
                    *known = None;
                }
                _ => {}
            }
            if let Some(read) = read? {
                *known = Some(read);
            }
            known.as_ref().map(|known| known.data.clone()).ok_or_else(|| eyre::eyre!("nothing was read"))
        });
        reading.await?
    }
}

/// What is in an asset's folder, if that is not what is known of it.
fn again(folder: &Path, known: Option<&Known>) -> eyre::Result<Option<Known>> {
    // Before it is read: what changes meanwhile shows the next time.
    let (Stamp { hash: looks, changed }, read) = (stamp(folder)?, now());
    if known.is_some_and(|known| known.shows && known.looks == looks) {
        return Ok(None);
    }
    let data = DataSet::open(folder)?;
    Ok(Some(Known { looks, shows: changed.saturating_add(COARSE) < read, data }))
}

/// How an asset's rules and files look.
fn stamp(folder: &Path) -> io::Result<Stamp> {
    let (mut hash, mut changed, mut entries) = (blake3::Hasher::new(), 0, 0);
    let mut next = vec![folder.join("rules.json"), folder.join("files")];
    while let Some(place) = next.pop() {
        entries += 1;
        if entries + next.len() > MOST_ENTRIES {
            return Err(io::Error::other(format!("{} has more than {MOST_ENTRIES} entries", folder.display())));
        }
        let (path, is) = (place.as_os_str().as_bytes(), place.symlink_metadata()?);
        hash.update(&(path.len() as u64).to_be_bytes()).update(path);
        for number in [is.dev(), is.ino(), is.size(), is.mode().into()] {
            hash.update(&number.to_be_bytes());
        }
        for time in [is.mtime(), is.mtime_nsec(), is.ctime(), is.ctime_nsec()] {
            hash.update(&time.to_be_bytes());
        }
        changed = changed.max(u64::try_from(is.ctime()).unwrap_or(0));
        if is.is_dir() {
            let within = fs::read_dir(&place)?.map(|entry| entry.map(|entry| entry.path()));
            let mut within = within.collect::<io::Result<Vec<_>>>()?;
            within.sort();
            next.extend(within);
        }
    }
    Ok(Stamp { hash: hash.finalize(), changed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::rules::Rules;
    use alloy_primitives::B256;
    use std::{fs::FileTimes, time::SystemTime};

    fn made(rows: &str) -> (tempfile::TempDir, PathBuf, B256) {
        let folder = tempfile::tempdir().unwrap();
        let (from, asset) = (folder.path().join("from"), folder.path().join("asset"));
        fs::create_dir_all(from.join("deep")).unwrap();
        fs::write(from.join("deep/rows.csv"), rows).unwrap();
        let data = DataSet::create(&asset, &from, &Rules::usual(B256::ZERO)).unwrap();
        (folder, asset, data.hash)
    }

    #[tokio::test]
    async fn what_was_changed_removed_or_put_back_is_read_anew() {
        let (_folder, asset, offered) = made("63,1");
        let (here, file) = (Here::default(), asset.join("files/deep/rows.csv"));
        assert_eq!(here.read(&asset).await.unwrap().hash, offered);
        // Of the same length, and as if it were as old as before.
        let at = FileTimes::new().set_modified(file.metadata().unwrap().modified().unwrap());
        fs::write(&file, "64,1").unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_times(at).unwrap();
        assert_ne!(here.read(&asset).await.unwrap().hash, offered);
        fs::rename(&file, asset.join("away")).unwrap();
        assert!(here.read(&asset).await.is_err());
        fs::write(&file, "63,1").unwrap();
        assert_eq!(here.read(&asset).await.unwrap().hash, offered);
        let other = Rules::usual(B256::repeat_byte(1));
        fs::write(asset.join("rules.json"), other.to_json()).unwrap();
        assert_eq!(here.read(&asset).await.unwrap().rules, other);
    }

    #[test]
    fn what_looks_the_same_is_not_read_again_once_each_change_would_show() {
        let (_folder, asset, hash) = made("63,1");
        let Stamp { hash: looks, changed } = stamp(&asset).unwrap();
        assert!(changed.abs_diff(now()) < 60);
        let known = |shows| Known { looks, shows, data: DataSet::open(&asset).unwrap() };
        assert!(again(&asset, Some(&known(true))).unwrap().is_none());
        let read = again(&asset, Some(&known(false))).unwrap().unwrap();
        assert!(read.data.hash == hash && read.looks == looks);
        // Touched.
        let file = fs::File::options().write(true).open(asset.join("files/deep/rows.csv")).unwrap();
        file.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH)).unwrap();
        assert!(again(&asset, Some(&known(true))).unwrap().is_some());
    }
}

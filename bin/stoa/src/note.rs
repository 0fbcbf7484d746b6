//! Notes on the disk of what a command has begun or made, and what tells whether that has changed since.

use alloy_primitives::{B256, Keccak256, keccak256};
use eyre::{Result, WrapErr as _};
use serde::{Serialize, de::DeserializeOwned};
use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};
use stoa_base::{gone, write_private};

/// What counts of a file beside its name, size and time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// Nothing: a copy is the same.
    Nothing,
    /// Its place on the disk: what was put in its stead is another.
    Place,
}

/// Tells names, sizes and times of a file, or of all that is in a folder; when the last of it was changed, in seconds since 1970.
fn tell(path: &Path, counts: Counts, hash: &mut Keccak256) -> io::Result<i64> {
    let is = path.symlink_metadata()?;
    let mut changed = is.mtime();
    if is.is_dir() {
        let mut inside = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
        inside.sort_by_key(fs::DirEntry::file_name);
        hash.update((inside.len() as u64).to_be_bytes());
        for entry in inside {
            hash.update(keccak256(entry.file_name().as_encoded_bytes()));
            changed = changed.max(tell(&entry.path(), counts, hash)?);
        }
    } else {
        let mut numbers = vec![is.len(), is.mtime() as u64, is.mtime_nsec() as u64];
        if counts == Counts::Place {
            numbers.extend([is.dev(), is.ino()]);
        }
        numbers.iter().for_each(|number| hash.update(number.to_be_bytes()));
    }
    Ok(changed)
}

/// What tells whether what is there has changed, and when it has, in seconds since 1970.
pub(crate) fn told(path: &Path, counts: Counts) -> Result<(B256, u64)> {
    let mut hash = Keccak256::new();
    let changed = tell(path, counts, &mut hash).wrap_err_with(|| format!("cannot read {}", path.display()))?;
    Ok((hash.finalize(), changed.try_into().unwrap_or(0)))
}

/// A note, if there is one. One that cannot be read is an error: what it says may not be done twice.
pub(crate) fn found<T: DeserializeOwned>(file: &Path) -> Result<Option<T>> {
    let bytes = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.wrap_err_with(|| format!("cannot read {}", file.display()))?,
    };
    serde_json::from_slice(&bytes).wrap_err_with(|| format!("{} is damaged", file.display()))
}

/// A note, if there is one that can be read: without it something is done again.
pub(crate) fn read<T: DeserializeOwned>(file: &Path) -> Option<T> {
    found(file).ok().flatten()
}

pub(crate) fn write(file: &Path, note: &impl Serialize) -> Result<()> {
    write_private(file, &serde_json::to_vec_pretty(note)?).wrap_err_with(|| format!("cannot write {}", file.display()))
}

/// Removes one, if it is there.
pub(crate) fn remove(file: &Path) -> Result<()> {
    fs::remove_file(file).or_else(gone).wrap_err_with(|| format!("cannot remove {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_note_that_is_damaged_is_told_from_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("notes/one");
        assert_eq!(found::<u32>(&file).unwrap(), None);
        write(&file, &7).unwrap();
        assert_eq!((found(&file).unwrap(), read(&file)), (Some(7), Some(7)));
        fs::write(&file, "seven").unwrap();
        assert!(found::<u32>(&file).unwrap_err().to_string().contains("is damaged"));
        assert_eq!(read::<u32>(&file), None);
        remove(&file).unwrap();
        remove(&file).unwrap();
        assert_eq!(found::<u32>(&file).unwrap(), None);
    }

    #[test]
    fn what_is_in_a_folder_tells_whether_it_has_changed_and_where_it_lies_if_that_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, other) = (folder.path().join("inside"), folder.path().join("other"));
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let put = |path: &Path, content: &str| {
            fs::write(path, content).unwrap();
            fs::File::open(path).unwrap().set_modified(then).unwrap();
        };
        let told = |counts| told(&inside, counts).unwrap().0;
        fs::create_dir(&inside).unwrap();
        put(&inside.join("file"), "rows");
        let before = [told(Counts::Nothing), told(Counts::Place)];
        // Another file of its name, size and time.
        put(&other, "sown");
        fs::rename(&other, inside.join("file")).unwrap();
        assert_eq!((told(Counts::Nothing) == before[0], told(Counts::Place) == before[1]), (true, false));
        put(&inside.join("file"), "more rows");
        assert_ne!(told(Counts::Nothing), before[0]);
        put(&inside.join("file"), "rows");
        assert_eq!(told(Counts::Nothing), before[0]);
        fs::rename(inside.join("file"), inside.join("filé")).unwrap();
        assert_ne!(told(Counts::Nothing), before[0]);
    }
}

//! Remembering what a set-up step worked from, so that it is done once.

use eyre::{Result, WrapErr as _};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A hash over files (name and content) and words, in the order given.
pub fn hash(files: &[PathBuf], words: &[&str]) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for file in files {
        add(file.file_name().unwrap_or_default().as_encoded_bytes());
        add(&fs::read(file).wrap_err_with(|| format!("cannot read {}", file.display()))?);
    }
    for word in words {
        add(word.as_bytes());
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Does the work unless the stamp in the folder says that it was done from the same hash. Says whether it did.
pub fn once(folder: &Path, hash: &str, work: impl FnOnce() -> Result<()>) -> Result<bool> {
    let stamp = folder.join(".stamp");
    if fs::read_to_string(&stamp).is_ok_and(|done| done == hash) {
        return Ok(false);
    }
    // Work that stops halfway must not look done.
    if stamp.exists() {
        fs::remove_file(&stamp)?;
    }
    work()?;
    fs::write(&stamp, hash).wrap_err_with(|| format!("cannot write {}", stamp.display()))?;
    Ok(true)
}

/// The files of a folder and the folders in it with one of the endings, sorted; `node_modules` left out.
pub fn files(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).wrap_err_with(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "node_modules") {
                found.extend(files(&path, endings)?);
            }
        } else if path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyre::bail;

    #[test]
    fn work_is_done_once_for_a_hash_and_again_for_another() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let mut times = 0;
        for (hash, worked) in [("a", true), ("a", false), ("b", true), ("b", false), ("a", true)] {
            let did = once(folder.path(), hash, || {
                times += 1;
                Ok(())
            })?;
            assert_eq!(did, worked, "{hash}");
        }
        assert_eq!(times, 3);
        Ok(())
    }

    #[test]
    fn work_that_failed_is_done_again() -> Result<()> {
        let folder = tempfile::tempdir()?;
        assert!(once(folder.path(), "a", || Ok(()))?);
        assert!(once(folder.path(), "b", || bail!("stopped halfway")).is_err());
        // The folder may be half changed: not even what was there before counts as done.
        assert!(once(folder.path(), "a", || Ok(()))?);
        Ok(())
    }

    #[test]
    fn a_hash_changes_with_the_content_the_name_and_the_words() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        fs::write(&one, "x")?;
        fs::write(&two, "x")?;
        let first = hash(std::slice::from_ref(&one), &["w"])?;
        assert_eq!(first, hash(std::slice::from_ref(&one), &["w"])?);
        assert_ne!(first, hash(&[two], &["w"])?);
        assert_ne!(first, hash(std::slice::from_ref(&one), &["v"])?);
        fs::write(&one, "y")?;
        assert_ne!(first, hash(&[one], &["w"])?);
        Ok(())
    }
}

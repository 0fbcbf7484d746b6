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

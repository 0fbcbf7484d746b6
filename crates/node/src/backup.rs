//! A copy of what a validator cannot get back from others: its key, its secrets, and what it runs with.

use crate::{
    config::File,
    validator::{COMMITTEE, COPIED, SECRETS},
};
use eyre::{Result, WrapErr as _, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
};
use stoa_base::{create_private, write_private};

/// The files of a backup, but for the configuration.
const GENESIS: &str = "genesis.json";
const KEY: &str = "validator.key";
const DATA: &str = "data";
const CONFIG: &str = "stoa.toml";

/// Copies what the configuration file at `config` names into a new folder, from which the validator can run as well. The chain
/// is not copied: others have it. Nor is the passphrase.
///
/// # Errors
///
/// If a file is missing (before the first start there are no secrets yet), or the new folder is there and not empty, or within that of
/// the chain.
pub fn copy(config: &Path, to: &Path) -> Result<Vec<PathBuf>> {
    let file = File::read(config)?;
    let folder = config.parent().unwrap_or(Path::new("."));
    let empty =
        !to.exists() || fs::read_dir(to).wrap_err_with(|| format!("cannot read {}", to.display()))?.next().is_none();
    ensure!(empty, "{} is not empty (choose another folder)", to.display());
    let data = folder.join(&file.data);
    ensure!(
        !resolved(to).starts_with(resolved(&data)),
        "{} is in the folder {}, which the copy is there to replace (choose another folder, on another disk if there is one)",
        to.display(),
        data.display()
    );
    let parts = [
        (folder.join(&file.genesis), to.join(GENESIS)),
        (folder.join(&file.key), to.join(KEY)),
        (data.join(COMMITTEE), to.join(DATA).join(COMMITTEE)),
        (data.join(SECRETS), to.join(DATA).join(SECRETS)),
    ];
    // All are read before any is written.
    let read = |(from, to): (PathBuf, PathBuf)| {
        let bytes = fs::read(&from).wrap_err_with(|| {
            let later = !from.exists() && [COMMITTEE, SECRETS].iter().any(|name| from.ends_with(name));
            let why = if later { " (a validator has it from its first start on: back it up after that)" } else { "" };
            format!("cannot read {}{why}", from.display())
        })?;
        Ok((to, bytes))
    };
    let mut parts = parts.into_iter().map(read).collect::<Result<Vec<_>>>()?;
    let config = File { genesis: GENESIS.into(), data: DATA.into(), key: KEY.into(), passphrase_file: None, ..file };
    parts.push((to.join(CONFIG), config.to_text()?.into_bytes()));
    let data = to.join(DATA);
    create_private(&data).wrap_err_with(|| format!("cannot create {}", data.display()))?;
    // Whoever starts from the copy may have voted since, for the first time even.
    let copied = data.join(COPIED);
    write_private(&copied, &[]).wrap_err_with(|| format!("cannot write {}", copied.display()))?;
    for (path, bytes) in &parts {
        write_private(path, bytes).wrap_err_with(|| format!("cannot write {}", path.display()))?;
    }
    Ok(parts.into_iter().map(|(path, _)| path).collect())
}

/// Where a path leads, through links as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = |there: &Path| Some(there.canonicalize().ok()?.join(path.strip_prefix(there).ok()?));
    path.ancestors().find_map(there).unwrap_or_else(|| path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{new_key, public, read_key, tests};

    #[test]
    fn a_copy_is_a_folder_to_run_from_and_overwrites_nothing() {
        let here = tempfile::tempdir().unwrap();
        let folder = here.path().join("validator");
        let key = new_key(&folder.join("keys/mine"), "correct horse").unwrap();
        let file = File {
            genesis: "first.json".into(),
            data: "chain".into(),
            key: "keys/mine".into(),
            passphrase_file: Some("passphrase".into()),
            ..tests::file()
        };
        let config = folder.join("my.toml");
        fs::write(&config, file.to_text().unwrap()).unwrap();
        fs::write(folder.join("first.json"), "{}").unwrap();
        let to = here.path().join("backup");
        let error = copy(&config, &to).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(COMMITTEE) && error.contains("from its first start on"), "{error}");
        assert!(!to.exists(), "half a backup was made");

        fs::create_dir_all(folder.join("chain")).unwrap();
        fs::write(folder.join("chain").join(COMMITTEE), "the committee").unwrap();
        fs::write(folder.join("chain").join(SECRETS), "the secrets").unwrap();
        std::os::unix::fs::symlink(folder.join("chain"), here.path().join("link")).unwrap();
        for within in [folder.join("chain"), folder.join("chain/backup/1"), here.path().join("link/backup")] {
            assert!(copy(&config, &within).is_err() && !folder.join("chain/backup").exists(), "{}", within.display());
        }
        let error = copy(&config, &here.path().join("link/backup")).unwrap_err().to_string();
        assert!(error.contains("there to replace"), "{error}");
        assert_eq!(copy(&config, &to).unwrap().len(), 5);
        let copied = File::read(&to.join(CONFIG)).unwrap();
        assert_eq!(fs::read_to_string(to.join(&copied.genesis)).unwrap(), "{}");
        assert_eq!(fs::read_to_string(to.join(&copied.data).join(SECRETS)).unwrap(), "the secrets");
        assert!(to.join(&copied.data).join(COPIED).exists(), "the copy does not say that it is one");
        assert_eq!(public(&read_key(&to.join(&copied.key), "correct horse").unwrap()), public(&key));
        assert_eq!((copied.validators, copied.passphrase_file), (file.validators, None));
        assert!(copy(&config, &to).is_err(), "a backup was overwritten");
        // What was copied can be copied back.
        copy(&to.join(CONFIG), &here.path().join("again")).unwrap();
    }
}

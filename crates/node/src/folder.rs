//! A node's folder, which one process uses at a time.

use eyre::{Result, WrapErr as _, bail};
use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};
use stoa_base::create_private;

/// The file of a folder that is locked while a process uses the folder. It is empty, and stays.
pub const LOCK: &str = "lock";

/// Keeps a folder from other processes for as long as it is there.
#[derive(Debug)]
#[must_use = "the folder is free again when this is dropped"]
pub struct Held {
    /// It is locked for as long as it is open.
    _file: File,
}

/// Takes a node's folder for this process, and makes it if it is not there.
///
/// # Errors
///
/// If another process has it, or it cannot be written to.
pub fn hold(folder: &Path) -> Result<Held> {
    create_private(folder).wrap_err_with(|| format!("cannot create the folder {}", folder.display()))?;
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(folder.join(LOCK));
    let file = opened.wrap_err_with(|| format!("cannot write to the folder {}", folder.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Held { _file: file }),
        Err(TryLockError::WouldBlock) => bail!(
            "the folder {} is used by another process (stop that one first, or choose another folder)",
            folder.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).wrap_err_with(|| format!("the folder {} cannot be locked", folder.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    #[test]
    fn a_folder_that_is_in_use_is_refused_and_free_again_afterwards() {
        let here = tempfile::tempdir().unwrap();
        let folder = here.path().join("data");
        let held = hold(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        let error = hold(&folder).unwrap_err().to_string();
        assert!(error.contains("data is used by another process"), "{error}");
        drop(held);
        let _held = hold(&folder).unwrap();
    }
}

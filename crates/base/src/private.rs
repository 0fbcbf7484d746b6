//! Folders and files that nobody but their owner may look into.

use std::{
    fs::{DirBuilder, File, OpenOptions, rename},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Makes a folder that only its owner may look into, and those that it lies in, where they are not there yet.
///
/// # Errors
///
/// If one cannot be made, or is no folder.
pub fn create_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a file that only its owner may read, whole or not at all, in a folder that is [made](create_private) if it is not there.
///
/// # Errors
///
/// If the disk fails.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    create_private(folder)?;
    let part = path.with_added_extension("part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    rename(&part, path)?;
    File::open(folder)?.sync_all()
}

/// Lets pass that there was nothing to remove: `fs::remove_file(path).or_else(gone)`.
///
/// # Errors
///
/// Whatever else went wrong.
pub fn gone(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Where a file lies: a name alone, in the folder that the process is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    #[test]
    fn a_private_file_is_its_owners_alone_and_so_is_a_folder_that_is_made_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let (made, file) = (folder.path().join("a/b"), folder.path().join("a/b/note"));
        for bytes in ["one", "another"] {
            write_private(&file, bytes.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), bytes);
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!([folder.path().join("a"), made, file].map(|path| mode(&path)), [0o700, 0o700, 0o600]);
        assert_eq!(fs::read_dir(folder.path().join("a/b")).unwrap().count(), 1, "nothing half written is left");
        assert!(write_private(&folder.path().join("a/b/note/under"), b"").is_err());
    }

    #[test]
    fn what_is_not_there_may_be_removed_and_what_cannot_be_removed_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (file, remove) = (folder.path().join("note"), |path: &Path| fs::remove_file(path).or_else(gone));
        fs::write(&file, "").unwrap();
        remove(&file).unwrap();
        remove(&file).unwrap();
        assert!(remove(folder.path()).is_err() && folder.path().exists());
    }

    #[test]
    fn a_name_alone_lies_where_the_process_is() {
        assert_eq!(["note", "a/note", "/note"].map(|path| folder_of(Path::new(path))), [".", "a", "/"].map(Path::new));
    }
}

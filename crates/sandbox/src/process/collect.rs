//! Taking the files out of `/out` once all processes are gone.

use crate::{Limits, Output};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
};

/// Folders within each other that are looked into.
const MOST_DEPTH: usize = 64;

const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// What was there.
pub(super) enum Collected {
    /// All of it.
    Whole(Output),
    /// More than the limits allow; what was read until then.
    TooLarge(Output),
}

/// Reads the regular files below a folder. Nothing else is opened, no link is followed, no file that has a second name is
/// read, and what its maker lets nobody look into is passed over: it must not be a reason why a run has come to nothing.
///
/// # Errors
///
/// If the folder cannot be read.
pub(super) fn collect(out: &OwnedFd, limits: &Limits) -> io::Result<Collected> {
    let mut output = Output::default();
    let (mut bytes, mut entries) = (limits.output_bytes, limits.output_files);
    let mut folders = vec![String::new()];
    while let Some(within) = folders.pop() {
        let Some(folder) = open_within(out, &within) else {
            output.skipped.push(within);
            continue;
        };
        // As it was opened: to open it again its maker might not let us.
        for entry in Dir::new(folder.try_clone()?)? {
            let entry = entry?;
            let name = entry.file_name();
            if [&b"."[..], b".."].contains(&name.to_bytes()) {
                continue;
            }
            let Some(left) = entries.checked_sub(1) else { return Ok(Collected::TooLarge(output)) };
            entries = left;
            let path = |name: &str| if within.is_empty() { name.to_owned() } else { format!("{within}/{name}") };
            let Ok(text) = name.to_str() else {
                output.skipped.push(path(&name.to_string_lossy()));
                continue;
            };
            let path = path(text);
            let Ok(stat) = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
                output.skipped.push(path);
                continue;
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if path.split('/').count() <= MOST_DEPTH => folders.push(path),
                FileType::RegularFile if stat.st_nlink == 1 => {
                    let Some(left) = bytes.checked_sub(stat.st_size.cast_unsigned()) else {
                        return Ok(Collected::TooLarge(output));
                    };
                    bytes = left;
                    match openat(&folder, name, READ, Mode::empty()) {
                        Ok(file) => {
                            let mut content = Vec::new();
                            File::from(file).take(stat.st_size.cast_unsigned()).read_to_end(&mut content)?;
                            output.files.insert(path, content);
                        }
                        Err(_) => output.skipped.push(path),
                    }
                }
                _ => output.skipped.push(path),
            }
        }
    }
    output.skipped.sort();
    Ok(Collected::Whole(output))
}

/// Opens a folder below `out`, each part of the path by itself, none of them a link.
fn open_within(out: &OwnedFd, path: &str) -> Option<OwnedFd> {
    let mut at = out.try_clone().ok()?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        at = openat(&at, name, READ | OFlags::DIRECTORY, Mode::empty()).ok()?;
    }
    Some(at)
}

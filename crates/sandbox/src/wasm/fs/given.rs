//! Inputs: bytes, and files of this machine, opened so that no link can lead anywhere.

use super::{Files, Kind};
use crate::{Error, Input, Source};
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, openat};
use std::{
    collections::BTreeMap,
    ffi::{CString, OsStr},
    fs::File,
    io,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt as _, fs::FileExt as _},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

/// Non-blocking, or opening a pipe would wait for whoever writes to it.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// A file that is read-only.
#[derive(Debug)]
pub(super) struct Given {
    size: u64,
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    Bytes(Arc<[u8]>),
    File {
        /// The folder that was given, and the place in it. No folder: the file itself was given.
        root: Option<Arc<OwnedFd>>,
        path: PathBuf,
        /// While somebody has it open.
        file: Option<File>,
    },
}

impl Given {
    pub fn bytes(bytes: Arc<[u8]>) -> Self {
        Self { size: bytes.len() as u64, origin: Origin::Bytes(bytes) }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Opens the file, if nobody has.
    pub fn open(&mut self) -> Result<(), (PathBuf, io::Error)> {
        let size = self.size;
        let Origin::File { root: Some(root), path, file } = &mut self.origin else { return Ok(()) };
        if file.is_none() {
            let opened = open_within(root, path, OFlags::empty()).map(File::from);
            let opened = opened.and_then(|opened| same_size(&opened, size).map(|()| opened));
            *file = Some(opened.map_err(|error| (path.clone(), error))?);
        }
        Ok(())
    }

    /// Nobody has it open any more.
    pub fn close(&mut self) {
        if let Origin::File { root: Some(_), file, .. } = &mut self.origin {
            *file = None;
        }
    }

    /// Reads from a place on, as far as there is room or the file goes.
    pub fn read(&mut self, offset: u64, to: &mut [u8]) -> Result<usize, (PathBuf, io::Error)> {
        let left = self.size.saturating_sub(offset);
        let count = to.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match &self.origin {
            Origin::Bytes(bytes) => {
                if count > 0 {
                    let from = usize::try_from(offset).unwrap_or(usize::MAX);
                    to[..count].copy_from_slice(&bytes[from..from + count]);
                }
                Ok(count)
            }
            Origin::File { file, path, .. } => {
                let read = file
                    .as_ref()
                    .ok_or_else(|| io::Error::other("it is not open"))
                    .and_then(|file| file.read_exact_at(&mut to[..count], offset));
                read.map(|()| count).map_err(|error| (path.clone(), error))
            }
        }
    }
}

fn same_size(file: &File, size: u64) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() != size {
        return Err(io::Error::other("it was changed while the job ran"));
    }
    Ok(())
}

/// Opens what is below a folder, each part of the path by itself, none of them a link.
fn open_within(root: &OwnedFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let mut at = root.try_clone()?;
    let mut names = path.iter().peekable();
    while let Some(name) = names.next() {
        let flags = if names.peek().is_none() { flags } else { OFlags::DIRECTORY };
        at = openat(&at, name, READ | flags, Mode::empty())?;
    }
    Ok(at)
}

/// Adds an input to `/data`.
pub(super) fn add(files: &mut Files, input: &Input) -> Result<(), Error> {
    let path = match &input.source {
        Source::Bytes(bytes) => {
            files.give(Files::DATA, &input.name, Kind::Given(Given::bytes(bytes.clone())))?;
            return Ok(());
        }
        Source::Path(path) => path,
    };
    // The place that the owner named may be a link; nothing below it is followed.
    let opened = openat(CWD, path, READ.difference(OFlags::NOFOLLOW), Mode::empty());
    let file = File::from(opened.map_err(io::Error::from).map_err(Error::input(path))?);
    let metadata = file.metadata().map_err(Error::input(path))?;
    if metadata.is_file() {
        let origin = Origin::File { root: None, path: path.clone(), file: Some(file) };
        files.give(Files::DATA, &input.name, Kind::Given(Given { size: metadata.len(), origin }))?;
        return Ok(());
    }
    if !metadata.is_dir() {
        return Err(Error::input(path)(io::Error::other("it is neither a file nor a folder")));
    }
    let root = Arc::new(OwnedFd::from(file));
    let top = files.give(Files::DATA, &input.name, Kind::Folder(BTreeMap::new()))?;
    let mut folders = vec![(top, PathBuf::new())];
    while let Some((id, within)) = folders.pop() {
        let named = |error| Error::Input { path: path.join(&within), error };
        let folder = open_within(&root, &within, OFlags::DIRECTORY).map_err(named)?;
        for name in sorted(&folder).map_err(named)? {
            let place = within.join(OsStr::from_bytes(name.to_bytes()));
            let named = |error| Error::Input { path: path.join(&place), error };
            // What is a link, a pipe or a device is not there for the program.
            let stat = rustix::fs::statat(&folder, &name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| named(error.into()))?;
            let kind = FileType::from_raw_mode(stat.st_mode);
            if kind != FileType::RegularFile && kind != FileType::Directory {
                continue;
            }
            let text = name.to_str().map_err(|_| named(io::Error::other("names have to be UTF-8")))?;
            if kind == FileType::RegularFile {
                let origin = Origin::File { root: Some(root.clone()), path: place, file: None };
                files.give(id, text, Kind::Given(Given { size: stat.st_size.cast_unsigned(), origin }))?;
            } else {
                let id = files.give(id, text, Kind::Folder(BTreeMap::new()))?;
                folders.push((id, place));
            }
        }
    }
    Ok(())
}

/// The names in a folder, in their order.
fn sorted(folder: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if ![&b"."[..], b".."].contains(&entry.file_name().to_bytes()) {
            names.push(entry.file_name().to_owned());
        }
        if names.len() > super::MOST_GIVEN {
            break;
        }
    }
    names.sort();
    Ok(names)
}

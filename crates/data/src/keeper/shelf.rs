//! Where a keeper keeps what it was given: one file for each thing, which is there whole or not at all.
//!
//! Shares lie here as they came, sealed to the node's own key: whoever has the disk and not the key has nothing.

use alloy_primitives::B256;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};
use stoa_base::write_private;

/// A keeper's folder.
#[derive(Clone, Debug)]
pub(super) struct Shelf(PathBuf);

/// A kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A sharing with the node's share, under the asset.
    Share,
    /// Receipts of what was deleted, under the asset.
    Receipts,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Receipts => "receipts",
        }
    }
}

impl Shelf {
    /// Opens the folder, or makes it.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self(folder.to_owned()))
    }

    fn asset(&self, asset: B256) -> PathBuf {
        self.0.join(asset.to_string())
    }

    fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        write_private(&folder.join(name), bytes)
    }

    fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn put(&self, asset: B256, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        Self::write(&self.asset(asset), kind.name(), bytes)
    }

    pub fn get(&self, asset: B256, kind: Kind) -> io::Result<Option<Vec<u8>>> {
        Self::read(&self.asset(asset).join(kind.name()))
    }

    /// Removes it, if it is there.
    pub fn remove(&self, asset: B256, kind: Kind) -> io::Result<()> {
        Self::delete(&self.asset(asset).join(kind.name()))
    }

    fn delete(path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Ok(()) => path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub fn put_half(&self, asset: B256, grant: B256, bytes: &[u8]) -> io::Result<()> {
        Self::write(&self.asset(asset), &format!("{grant}.half"), bytes)
    }

    pub fn half(&self, asset: B256, grant: B256) -> io::Result<Option<Vec<u8>>> {
        Self::read(&self.asset(asset).join(format!("{grant}.half")))
    }

    pub fn remove_half(&self, asset: B256, grant: B256) -> io::Result<()> {
        Self::delete(&self.asset(asset).join(format!("{grant}.half")))
    }

    /// The grants of which an owner's half is here.
    pub fn halves(&self, asset: B256) -> io::Result<Vec<B256>> {
        Ok(Self::names(&self.asset(asset))?
            .iter()
            .filter_map(|name| name.strip_suffix(".half")?.parse().ok())
            .collect())
    }

    /// Keeps a move, under the sharing that it ends in.
    pub fn put_move(&self, asset: B256, to: B256, bytes: &[u8]) -> io::Result<()> {
        Self::write(&self.asset(asset), &format!("{to}.move"), bytes)
    }

    pub fn moved(&self, asset: B256, to: B256) -> io::Result<Option<Vec<u8>>> {
        Self::read(&self.asset(asset).join(format!("{to}.move")))
    }

    /// The moves of an asset that are here: the sharings that they end in.
    pub fn moves(&self, asset: B256) -> io::Result<Vec<B256>> {
        let names = Self::names(&self.asset(asset))?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(".move")?.parse().ok()).collect())
    }

    pub fn remove_move(&self, asset: B256, to: B256) -> io::Result<()> {
        Self::delete(&self.asset(asset).join(format!("{to}.move")))
    }

    /// All assets of which something is here.
    pub fn assets(&self) -> io::Result<Vec<B256>> {
        Ok(Self::names(&self.0)?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    fn names(folder: &Path) -> io::Result<Vec<String>> {
        match fs::read_dir(folder) {
            Ok(entries) => entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

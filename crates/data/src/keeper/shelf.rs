//! Where a keeper keeps what it was given: one file for each thing, which is there whole or not at all.
//!
//! Shares lie here as they came, sealed to the node's own key: whoever has the disk and not the key has nothing.

use alloy_primitives::B256;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};
use stoa_base::{gone, write_private};

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

/// A move that is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Brought {
    /// The sharing that it ends in.
    pub to: B256,
    /// Which node brought it; an earlier version did not note that.
    pub by: Option<B256>,
}

impl Brought {
    fn name(self) -> String {
        let Self { to, by } = self;
        by.map_or_else(|| format!("{to}.move"), |by| format!("{to}.{by}.move"))
    }

    fn named(name: &str) -> Option<Self> {
        let name = name.strip_suffix(".move")?;
        match name.split_once('.') {
            Some((to, by)) => Some(Self { to: to.parse().ok()?, by: Some(by.parse().ok()?) }),
            None => Some(Self { to: name.parse().ok()?, by: None }),
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
            Err(error) => gone(error),
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

    /// Keeps a move, under the sharing that it ends in and the node that brought it.
    pub fn put_move(&self, asset: B256, moved: Brought, bytes: &[u8]) -> io::Result<()> {
        Self::write(&self.asset(asset), &moved.name(), bytes)
    }

    pub fn moved(&self, asset: B256, moved: Brought) -> io::Result<Option<Vec<u8>>> {
        Self::read(&self.asset(asset).join(moved.name()))
    }

    /// The moves of an asset that are here.
    pub fn moves(&self, asset: B256) -> io::Result<Vec<Brought>> {
        let names = Self::names(&self.asset(asset))?;
        Ok(names.iter().filter_map(|name| Brought::named(name)).collect())
    }

    pub fn remove_move(&self, asset: B256, moved: Brought) -> io::Result<()> {
        Self::delete(&self.asset(asset).join(moved.name()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_are_known_by_who_brought_them_and_those_of_an_earlier_version_by_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let (shelf, asset) = (Shelf::open(folder.path()).unwrap(), B256::repeat_byte(1));
        let all = [None, Some(B256::repeat_byte(3))].map(|by| Brought { to: B256::repeat_byte(2), by });
        assert_eq!(shelf.moves(asset).unwrap(), []);
        for (number, moved) in all.into_iter().enumerate() {
            shelf.put_move(asset, moved, &[number as u8]).unwrap();
            assert_eq!(shelf.moved(asset, moved).unwrap(), Some(vec![number as u8]));
        }
        let name = format!("{}.move", B256::repeat_byte(2));
        assert!(folder.path().join(asset.to_string()).join(name).exists());
        let mut moves = shelf.moves(asset).unwrap();
        moves.sort_by_key(|moved| moved.by);
        assert_eq!(moves, all);
        shelf.remove_move(asset, all[0]).unwrap();
        assert_eq!(shelf.moves(asset).unwrap(), all[1..]);
    }
}

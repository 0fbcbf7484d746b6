//! Where a keeper keeps what it was given: one file for each thing, which is there whole or not at all.
//!
//! Shares lie here as they came, sealed to the node's own key: whoever has the disk and not the key has nothing. What has to be known of
//! a move stands in its name, so that none is read for that; the names, and how long each move is, are held in memory.

use alloy_primitives::B256;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use stoa_base::{gone, write_private};

/// In the name of a move, the place of the node that brought it, where the asset's owner did.
const OWNER: &str = "owner";

/// The moves of each asset, and how many bytes each has.
type Moves = BTreeMap<B256, Vec<(Brought, u64)>>;

/// A keeper's folder. A clone is the same one.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    moves: Arc<Mutex<Moves>>,
}

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
    /// The sharing that it begins in, while it waits for the ledger; earlier versions did not note that.
    pub from: Option<B256>,
    /// Which keeper brought it, while it waits; nobody if the asset's owner did.
    pub by: Option<B256>,
    /// When it was brought last, while it waits: the ledger's time, in seconds since 1970.
    pub since: u64,
}

impl Brought {
    /// One that the ledger has named.
    pub const fn named(to: B256) -> Self {
        Self { to, from: None, by: None, since: 0 }
    }

    /// `to.from.since.by.move`; `to.move` if the ledger has named it. An earlier version wrote `to.by.move` for all.
    fn name(self) -> String {
        let Self { to, from, by, since } = self;
        match (from, by) {
            (None, None) => format!("{to}.move"),
            (None, Some(by)) => format!("{to}.{by}.move"),
            (Some(from), None) => format!("{to}.{from}.{since}.{OWNER}.move"),
            (Some(from), Some(by)) => format!("{to}.{from}.{since}.{by}.move"),
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        let parts: Vec<_> = name.strip_suffix(".move")?.split('.').collect();
        let word = |part: &str| part.parse::<B256>().ok();
        match parts[..] {
            [to] => Some(Self::named(word(to)?)),
            [to, by] => Some(Self { by: Some(word(by)?), ..Self::named(word(to)?) }),
            [to, from, since, by] => {
                let by = if by == OWNER { None } else { Some(word(by)?) };
                Some(Self { to: word(to)?, from: Some(word(from)?), by, since: since.parse().ok()? })
            }
            _ => None,
        }
    }
}

impl Shelf {
    /// Opens the folder, or makes it.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let shelf = Self { folder: folder.to_owned(), moves: Arc::default() };
        for asset in shelf.assets()? {
            let of_asset = shelf.asset(asset);
            for name in Self::names(&of_asset)? {
                if let Some(moved) = Brought::of_name(&name) {
                    let bytes = fs::metadata(of_asset.join(name))?.len();
                    shelf.moves.lock().entry(asset).or_default().push((moved, bytes));
                }
            }
        }
        Ok(shelf)
    }

    fn asset(&self, asset: B256) -> PathBuf {
        self.folder.join(asset.to_string())
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

    /// Keeps a move.
    pub fn put_move(&self, asset: B256, moved: Brought, bytes: &[u8]) -> io::Result<()> {
        Self::write(&self.asset(asset), &moved.name(), bytes)?;
        let mut moves = self.moves.lock();
        let of_asset = moves.entry(asset).or_default();
        of_asset.retain(|(other, _)| *other != moved);
        of_asset.push((moved, bytes.len() as u64));
        Ok(())
    }

    pub fn moved(&self, asset: B256, moved: Brought) -> io::Result<Option<Vec<u8>>> {
        Self::read(&self.asset(asset).join(moved.name()))
    }

    /// The moves of an asset that are here.
    pub fn moves(&self, asset: B256) -> Vec<Brought> {
        self.moves.lock().get(&asset).into_iter().flatten().map(|(moved, _)| *moved).collect()
    }

    /// How many bytes those moves have, of all that are here, for which this is true of the asset and the move.
    pub fn bytes(&self, is: impl Fn(B256, &Brought) -> bool) -> u64 {
        let mut all = 0;
        for (asset, moves) in self.moves.lock().iter() {
            all += moves.iter().filter(|(moved, _)| is(*asset, moved)).map(|(_, bytes)| bytes).sum::<u64>();
        }
        all
    }

    /// Notes something else of a move that is here.
    pub fn rename_move(&self, asset: B256, moved: Brought, now: Brought) -> io::Result<()> {
        let folder = self.asset(asset);
        fs::rename(folder.join(moved.name()), folder.join(now.name()))?;
        if let Some(of_asset) = self.moves.lock().get_mut(&asset) {
            of_asset.iter_mut().filter(|(other, _)| *other == moved).for_each(|(other, _)| *other = now);
        }
        File::open(folder)?.sync_all()
    }

    /// Removes a move, and the asset's folder when nothing else is there.
    pub fn remove_move(&self, asset: B256, moved: Brought) -> io::Result<()> {
        Self::delete(&self.asset(asset).join(moved.name()))?;
        let mut moves = self.moves.lock();
        let of_asset = moves.entry(asset).or_default();
        of_asset.retain(|(other, _)| *other != moved);
        if of_asset.is_empty() {
            moves.remove(&asset);
        }
        // One that is not empty stays.
        drop(fs::remove_dir(self.asset(asset)));
        Ok(())
    }

    /// All assets of which something is here.
    pub fn assets(&self) -> io::Result<Vec<B256>> {
        Ok(Self::names(&self.folder)?.iter().filter_map(|name| name.parse().ok()).collect())
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
    fn what_is_known_of_a_move_stands_in_its_name_and_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (shelf, asset) = (Shelf::open(folder.path()).unwrap(), B256::repeat_byte(1));
        let [to, from, by] = [2, 3, 4].map(B256::repeat_byte);
        let owners = Brought { to, from: Some(from), by: None, since: 7 };
        let all = [
            // Of earlier versions, or named.
            Brought::named(to),
            Brought { by: Some(by), ..Brought::named(to) },
            owners,
            Brought { by: Some(by), ..owners },
        ];
        assert_eq!(shelf.moves(asset), []);
        for (number, moved) in all.into_iter().enumerate() {
            shelf.put_move(asset, moved, &vec![number as u8; number + 1]).unwrap();
            assert_eq!(shelf.moved(asset, moved).unwrap(), Some(vec![number as u8; number + 1]));
        }
        for name in [format!("{to}.move"), format!("{to}.{by}.move"), format!("{to}.{from}.7.owner.move")] {
            assert!(folder.path().join(asset.to_string()).join(name).exists());
        }
        let again = Shelf::open(folder.path()).unwrap();
        for shelf in [&shelf, &again] {
            let mut moves = shelf.moves(asset);
            moves.sort_by_key(|moved| (moved.from, moved.by));
            assert_eq!(moves, all);
            assert_eq!(shelf.bytes(|_, _| true), 10);
            assert_eq!(shelf.bytes(|of, moved| of == asset && moved.by == Some(by)), 6);
        }
        // Brought again, and named at last.
        let later = Brought { since: 8, ..owners };
        shelf.rename_move(asset, owners, later).unwrap();
        assert_eq!(shelf.moved(asset, later).unwrap(), Some(vec![2; 3]));
        assert!(shelf.moves(asset).contains(&later) && !shelf.moves(asset).contains(&owners));
        for moved in shelf.moves(asset) {
            assert_eq!(shelf.assets().unwrap(), [asset]);
            shelf.remove_move(asset, moved).unwrap();
        }
        // Nothing is left to look at.
        assert_eq!((shelf.bytes(|_, _| true), shelf.assets().unwrap()), (0, vec![]));
    }

    #[test]
    fn a_folder_in_which_something_else_lies_stays_when_its_last_move_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (shelf, asset) = (Shelf::open(folder.path()).unwrap(), B256::repeat_byte(1));
        let moved = Brought::named(B256::repeat_byte(2));
        shelf.put_move(asset, moved, &[1]).unwrap();
        shelf.put(asset, Kind::Share, &[2]).unwrap();
        shelf.remove_move(asset, moved).unwrap();
        assert_eq!(shelf.get(asset, Kind::Share).unwrap(), Some(vec![2]));
    }
}

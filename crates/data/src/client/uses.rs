//! Uses of grants of which nothing has come yet, as a reader's machine notes them: who was cut off, or whom too few keepers served, goes
//! on with the use that is on record, and makes no other one.

use alloy_primitives::{Address, B256};
use std::{fs, io, path::PathBuf};
use stoa_base::{gone, write_private};

/// A folder with a file for each grant whose use has begun: the block from which on the use may be on record.
#[derive(Clone, Debug)]
pub struct Uses(PathBuf);

impl Uses {
    /// In this folder, which need not be there yet.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    fn file(&self, grant: B256, user: Address) -> PathBuf {
        self.0.join(format!("{grant}.{user}"))
    }

    /// The block from which on this account's use of a grant may be on record; `next`, and noted, if none has begun.
    pub(super) fn since(&self, grant: B256, user: Address, next: u64) -> io::Result<u64> {
        let file = self.file(grant, user);
        if let Some(block) = fs::read_to_string(&file).ok().and_then(|text| text.parse().ok()) {
            return Ok(block);
        }
        write_private(&file, next.to_string().as_bytes()).map(|()| next)
    }

    /// Something came of it, or it is not on record: the next use is another one.
    pub(super) fn forget(&self, grant: B256, user: Address) -> io::Result<()> {
        fs::remove_file(self.file(grant, user)).or_else(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_that_has_begun_is_known_until_something_came_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let uses = Uses::at(folder.path().join("uses"));
        let (grant, [bob, carol]) = (B256::repeat_byte(1), [Address::repeat_byte(2), Address::repeat_byte(3)]);
        uses.forget(grant, bob).unwrap();
        assert_eq!(uses.since(grant, bob, 7).unwrap(), 7);
        assert_eq!(uses.since(grant, bob, 9).unwrap(), 7);
        // Of another account, and of another grant, it says nothing.
        assert_eq!(uses.since(grant, carol, 9).unwrap(), 9);
        assert_eq!(uses.since(B256::ZERO, bob, 9).unwrap(), 9);
        uses.forget(grant, bob).unwrap();
        assert_eq!((uses.since(grant, bob, 9).unwrap(), uses.since(grant, carol, 11).unwrap()), (9, 9));
    }
}

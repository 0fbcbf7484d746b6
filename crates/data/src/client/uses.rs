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

    /// The block from which on this account's use of a grant may be on record, if one has begun.
    pub(super) fn since(&self, grant: B256, user: Address) -> Option<u64> {
        fs::read_to_string(self.file(grant, user)).ok()?.parse().ok()
    }

    /// One begins, and is on record in block `next` at the earliest.
    pub(super) fn begin(&self, grant: B256, user: Address, next: u64) -> io::Result<()> {
        write_private(&self.file(grant, user), next.to_string().as_bytes())
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
        assert_eq!(uses.since(grant, bob), None);
        uses.begin(grant, bob, 7).unwrap();
        // Of another account, and of another grant, it says nothing.
        assert_eq!(
            [uses.since(grant, bob), uses.since(grant, carol), uses.since(B256::ZERO, bob)],
            [Some(7), None, None]
        );
        uses.begin(grant, carol, 9).unwrap();
        uses.forget(grant, bob).unwrap();
        assert_eq!([uses.since(grant, bob), uses.since(grant, carol)], [None, Some(9)]);
    }
}

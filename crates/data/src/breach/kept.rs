//! What keepers have signed, as a reader's machine keeps it.

use alloy_primitives::B256;
use commonware_codec::{Copying, DecodeExt as _, Encode as _, FixedSize as _};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use stoa_base::write_private;
use stoa_privacy::Evidence;

/// How many releases are kept, of all assets together: some 1.2 MB. The oldest go first.
pub const MOST_KEPT: usize = 4_096;

/// Releases that keepers gave to this machine, without what was in them: a file of nothing else, one after the other.
#[derive(Clone, Debug)]
pub struct Kept(PathBuf);

impl Kept {
    /// In this file, which need not be there yet.
    pub fn at(file: impl Into<PathBuf>) -> Self {
        Self(file.into())
    }

    /// Where they are.
    pub fn file(&self) -> &Path {
        &self.0
    }

    /// All that are kept, the oldest first, and how many are damaged, which are passed over.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn all(&self) -> io::Result<(Vec<Evidence>, usize)> {
        let bytes = match fs::read(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
            read => read?,
        };
        let all: Vec<_> =
            bytes.chunks(Evidence::SIZE).filter_map(|bytes| Evidence::decode(Copying(bytes)).ok()).collect();
        let damaged = bytes.len().div_ceil(Evidence::SIZE) - all.len();
        Ok((all, damaged))
    }

    /// Those of an asset, and how many of all are damaged: of which asset those were is not known.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn of(&self, asset: B256) -> io::Result<(Vec<Evidence>, usize)> {
        let (mut all, damaged) = self.all()?;
        all.retain(|release| release.claim().grant.asset.0 == asset);
        Ok((all, damaged))
    }

    /// Keeps releases; the oldest make room for them. A file of which something is damaged is copied first: where to.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written.
    pub fn add(&self, new: &[Evidence]) -> io::Result<Option<PathBuf>> {
        let (mut all, damaged) = self.all()?;
        let before = all.len();
        for release in new {
            if !all.contains(release) {
                all.push(release.clone());
            }
        }
        if all.len() == before {
            return Ok(None);
        }
        let copy = if damaged > 0 { Some(self.copied()?) } else { None };
        let newest = &all[all.len().saturating_sub(MOST_KEPT)..];
        write_private(&self.0, &newest.iter().flat_map(|release| release.encode().to_vec()).collect::<Vec<_>>())?;
        Ok(copy)
    }

    /// A copy of the file as it is, beside it and beside those that were made before.
    fn copied(&self) -> io::Result<PathBuf> {
        let (mut number, mut copy) = (1_u32, self.0.with_added_extension("damaged"));
        while copy.exists() {
            number += 1;
            copy = self.0.with_added_extension(format!("damaged-{number}"));
        }
        fs::copy(&self.0, &copy).map(|_| copy)
    }
}

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

    /// All that are kept, the oldest first. What is damaged is passed over.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn all(&self) -> io::Result<Vec<Evidence>> {
        let bytes = match fs::read(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read?,
        };
        Ok(bytes.chunks_exact(Evidence::SIZE).filter_map(|bytes| Evidence::decode(Copying(bytes)).ok()).collect())
    }

    /// Those of an asset.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn of(&self, asset: B256) -> io::Result<Vec<Evidence>> {
        let mut all = self.all()?;
        all.retain(|release| release.claim().grant.asset.0 == asset);
        Ok(all)
    }

    /// Keeps releases; the oldest make room for them.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written.
    pub fn add(&self, new: &[Evidence]) -> io::Result<()> {
        let mut all = self.all()?;
        let before = all.len();
        for release in new {
            if !all.contains(release) {
                all.push(release.clone());
            }
        }
        if all.len() == before {
            return Ok(());
        }
        if let Some(folder) = self.0.parent() {
            fs::create_dir_all(folder)?;
        }
        let newest = &all[all.len().saturating_sub(MOST_KEPT)..];
        write_private(&self.0, &newest.iter().flat_map(|release| release.encode().to_vec()).collect::<Vec<_>>())
    }
}

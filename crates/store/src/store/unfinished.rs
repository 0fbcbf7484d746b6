//! Files that were being put when the process ended, and how the next try goes on with them.
//!
//! ```text
//! unfinished/    as much of a file as came to the disk, under the hash of what tells the file
//! ```
//!
//! Nothing of it is believed: it is compared with what would be written, and what is the same is not written again. So neither a
//! disk that lost something, nor a file that became another one, makes an object of it that was not put.

use super::{recovery::list, space::Space};
use crate::{BlobHash, Error};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How many files wait to be gone on with; those that were written to last.
const MOST: usize = 4;

/// For how long one waits, in seconds.
const WAIT: u64 = 7 * 24 * 3600;

/// What waits to be gone on with, and what is gone on with now.
pub(crate) struct Unfinished {
    folder: PathBuf,
    space: Arc<Space>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many bytes wait of which file; they count as kept.
    waiting: HashMap<BlobHash, u64>,
    taken: HashSet<BlobHash>,
}

/// A file that nobody else writes to meanwhile. It is to be dropped after the file was moved or removed.
pub(crate) struct Turn {
    of: Arc<Unfinished>,
    file: BlobHash,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.of.state.lock().taken.remove(&self.file);
    }
}

impl Unfinished {
    pub fn new(folder: PathBuf, space: &Arc<Space>) -> Self {
        Self { folder, space: space.clone(), state: Mutex::default() }
    }

    fn place(&self, file: BlobHash) -> PathBuf {
        self.folder.join(file.to_string())
    }

    /// Looks at what an earlier process has left, and removes what is too much; how many files that were.
    pub fn find(&self) -> Result<usize, Error> {
        let (mut found, mut removed) = (Vec::new(), 0);
        let mut remove = |path: &Path| {
            removed += 1;
            fs::remove_file(path).map_err(Error::at(path))
        };
        for path in list(&self.folder)? {
            let metadata = fs::metadata(&path).map_err(Error::at(&path))?;
            let file: Option<BlobHash> = path.file_name().and_then(|name| name.to_str()?.parse().ok());
            match file.filter(|_| metadata.len() > 0) {
                Some(file) => found.push((metadata.modified().map_err(Error::at(&path))?, file, metadata.len(), path)),
                None => remove(&path)?,
            }
        }
        found.sort_by_key(|(modified, ..)| std::cmp::Reverse(*modified));
        let mut state = self.state.lock();
        for (number, (_, file, len, path)) in found.into_iter().enumerate() {
            if number < MOST {
                self.space.keep(len as i64);
                state.waiting.insert(file, len);
            } else {
                remove(&path)?;
            }
        }
        Ok(removed)
    }

    /// Begins a file, or goes on with it: where it is, and how many bytes are there. Nothing if it is being written now, or cannot be
    /// opened.
    pub fn begin(self: &Arc<Self>, file: BlobHash) -> Option<(File, PathBuf, u64, Turn)> {
        let turn = {
            let mut state = self.state.lock();
            if !state.taken.insert(file) {
                return None;
            }
            if let Some(len) = state.waiting.remove(&file) {
                self.space.keep(-(len as i64));
            }
            Turn { of: self.clone(), file }
        };
        let path = self.place(file);
        let mut options = File::options();
        let opened = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).ok()?;
        let len = opened.metadata().ok()?.len();
        Some((opened, path, len, turn))
    }

    /// Removes what has waited for a week at `now` (seconds since 1970).
    pub fn collect(&self, now: u64) {
        self.remove(|file| {
            let written = fs::metadata(self.place(*file)).and_then(|file| file.modified());
            let written = written.unwrap_or(SystemTime::UNIX_EPOCH).duration_since(UNIX_EPOCH);
            written.unwrap_or(Duration::ZERO).as_secs().saturating_add(WAIT) <= now
        });
    }

    /// Removes all that waits; how many files that were.
    pub fn clear(&self) -> u64 {
        self.remove(|_| true)
    }

    fn remove(&self, is_over: impl Fn(&BlobHash) -> bool) -> u64 {
        let mut state = self.state.lock();
        let before = state.waiting.len();
        state.waiting.retain(|file, len| {
            let over = is_over(file);
            if over {
                // If it fails, another time does it.
                drop(fs::remove_file(self.place(*file)));
                self.space.keep(-(*len as i64));
            }
            !over
        });
        (before - state.waiting.len()) as u64
    }

    /// How many files wait, and their bytes.
    pub fn figures(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.waiting.len() as u64, state.waiting.values().sum())
    }
}

/// How far a file is written that may have been begun before.
#[derive(Default)]
pub(crate) struct Written {
    /// Bytes that are as they should be.
    at: u64,
    /// Bytes that were there at the beginning, until one of them was another.
    left: u64,
    /// How many of them were as they should be.
    found: u64,
    buffer: Vec<u8>,
}

impl Written {
    /// Of a file with so many bytes.
    pub fn after(left: u64) -> Self {
        Self { left, ..Self::default() }
    }

    /// Bytes that had not to be written.
    pub fn found(&self) -> u64 {
        self.found
    }

    /// Writes the next bytes, unless they are there.
    pub fn append(&mut self, file: &File, bytes: &[u8]) -> io::Result<()> {
        let (start, len) = (self.at, bytes.len() as u64);
        if start + len <= self.left {
            self.buffer.resize(bytes.len(), 0);
            // What cannot be read is written anew.
            if file.read_exact_at(&mut self.buffer, start).is_ok() && self.buffer == bytes {
                self.at += len;
                self.found += len;
                return Ok(());
            }
        }
        self.finish(file)?;
        file.write_all_at(bytes, start)?;
        self.at += len;
        Ok(())
    }

    /// Cuts off what was there and comes after what is written.
    pub fn finish(&mut self, file: &File) -> io::Result<()> {
        if self.left > self.at {
            file.set_len(self.at)?;
            self.left = self.at;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_was_there_the_file_is_what_was_written(
            there in prop::collection::vec(0..3_u8, 0..60), bytes in prop::collection::vec(0..3_u8, 0..60), step in 1..20_usize,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            fs::write(&path, &there).unwrap();
            let file = File::options().read(true).write(true).open(&path).unwrap();
            let mut written = Written::after(there.len() as u64);
            for part in bytes.chunks(step) {
                written.append(&file, part).unwrap();
            }
            written.finish(&file).unwrap();
            prop_assert_eq!(fs::read(&path).unwrap(), bytes.clone());
            // Whole parts that are the same are found, and nothing else is.
            let same = there.iter().zip(&bytes).take_while(|(one, other)| one == other).count();
            let whole = bytes.chunks(step).map(<[u8]>::len).scan(0, |end, len| { *end += len; Some(*end) });
            prop_assert_eq!(written.found(), whole.take_while(|end| *end <= same).last().unwrap_or(0) as u64);
        }
    }
}

//! Pieces that nobody shows, and since when, on the disk: a node that is started again before a grace is over goes on counting.
//!
//! ```text
//! BLAKE3 of the rest 32 | for each: object 32, piece u8, since u64
//! ```

use crate::ObjectId;
use std::{collections::BTreeMap, fs, io, path::PathBuf};
use stoa_base::write_private;

/// Bytes of one piece.
const ENTRY: usize = 32 + 1 + 8;

type Since = BTreeMap<(ObjectId, usize), u64>;

pub(super) struct Silent {
    path: PathBuf,
    since: Since,
    changed: bool,
}

impl Silent {
    /// What was saved there. If it cannot be read, all is counted from now on.
    pub fn open(path: PathBuf) -> Self {
        let since = match fs::read(&path) {
            Ok(bytes) => decode(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Since::new()),
            Err(_) => None,
        };
        if since.is_none() {
            let path = path.display();
            tracing::warn!(%path, "since when others are silent cannot be read: it is counted from now on");
        }
        Self { path, since: since.unwrap_or_default(), changed: false }
    }

    /// Somebody has shown a piece.
    pub fn shown(&mut self, object: ObjectId, piece: usize) {
        self.changed |= self.since.remove(&(object, piece)).is_some();
    }

    /// Nobody has shown a piece, which was shown `last`: since when nobody has.
    pub fn since(&mut self, object: ObjectId, piece: usize, last: u64, now: u64) -> u64 {
        let known = self.since.get(&(object, piece)).copied();
        // The clock may have been ahead.
        let since = known.unwrap_or(last).min(now);
        if known != Some(since) {
            self.since.insert((object, piece), since);
            self.changed = true;
        }
        since
    }

    /// Forgets all other objects.
    pub fn retain(&mut self, keep: impl Fn(&ObjectId) -> bool) {
        let before = self.since.len();
        self.since.retain(|(object, _), _| keep(object));
        self.changed |= self.since.len() != before;
    }

    /// Writes it down, if it has changed. What cannot be written is tried again.
    pub fn save(&mut self) {
        if !self.changed {
            return;
        }
        match write_private(&self.path, &encode(&self.since)) {
            Ok(()) => self.changed = false,
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "since when others are silent cannot be written down");
            }
        }
    }
}

fn encode(all: &Since) -> Vec<u8> {
    let mut body = Vec::with_capacity(all.len() * ENTRY);
    for ((object, piece), since) in all {
        body.extend_from_slice(&object.0);
        body.push(*piece as u8);
        body.extend_from_slice(&since.to_be_bytes());
    }
    [&blake3::hash(&body).as_bytes()[..], &body].concat()
}

fn decode(bytes: &[u8]) -> Option<Since> {
    let (hash, body) = bytes.split_first_chunk::<32>()?;
    let (entries, rest) = body.as_chunks::<ENTRY>();
    if blake3::hash(body).as_bytes() != hash || !rest.is_empty() {
        return None;
    }
    let entry = |entry: &[u8; ENTRY]| {
        let (object, rest) = entry.split_first_chunk::<32>()?;
        let ([piece], since) = rest.split_first_chunk::<1>()?;
        Some(((ObjectId(*object), usize::from(*piece)), u64::from_be_bytes(since.try_into().ok()?)))
    };
    entries.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_counted_from_its_beginning_through_restarts_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("silent");
        let (one, other) = (ObjectId([1; 32]), ObjectId([2; 32]));
        let mut silent = Silent::open(path.clone());
        assert_eq!(silent.since(one, 254, 70, 100), 70);
        assert_eq!(silent.since(one, 0, 80, 100), 80);
        assert_eq!(silent.since(other, 1, 90, 100), 90);
        silent.save();
        let mut silent = Silent::open(path.clone());
        assert_eq!(silent.since(one, 254, 200, 200), 70);
        silent.shown(one, 0);
        silent.retain(|object| *object == one);
        silent.save();
        let mut silent = Silent::open(path);
        assert_eq!(silent.since(one, 254, 300, 300), 70);
        assert_eq!(silent.since(one, 0, 300, 300), 300);
        assert_eq!(silent.since(other, 1, 300, 300), 300);
        // The clock was set back.
        assert_eq!(silent.since(one, 254, 50, 50), 50);
    }

    #[test]
    fn what_is_damaged_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("silent");
        let mut silent = Silent::open(path.clone());
        silent.since(ObjectId([1; 32]), 3, 70, 100);
        silent.since(ObjectId([1; 32]), 4, 70, 100);
        silent.save();
        let saved = fs::read(&path).unwrap();
        let mut flipped = saved.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let cut = &saved[..saved.len() - ENTRY];
        for wrong in [&flipped[..], cut, &saved[..5], &[]] {
            fs::write(&path, wrong).unwrap();
            let mut silent = Silent::open(path.clone());
            assert_eq!(silent.since(ObjectId([1; 32]), 3, 500, 500), 500);
            // It begins anew.
            silent.save();
            assert_eq!(Silent::open(path.clone()).since(ObjectId([1; 32]), 3, 600, 600), 500);
        }
    }
}

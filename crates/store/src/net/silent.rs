//! What does not answer, and since when, on the disk: a node that is started again before a grace is over goes on counting.
//!
//! What passes while nobody listens is left out: what a node was not there to hear is nobody's silence.
//!
//! ```text
//! BLAKE3 of the rest 32 | when was listened last u64 | for each: name, since u64
//! ```

use std::{collections::BTreeMap, fs, io, path::PathBuf};
use stoa_base::write_private;

/// Who has not listened for more seconds than these was away.
const AWAY: u64 = 3600;

/// What was written down: when was listened last, and who is silent since when.
type Heard<const N: usize> = (u64, BTreeMap<[u8; N], u64>);

/// What does not answer, by names of `N` bytes, and since when, in seconds of the clock that its owner goes by.
pub struct Silent<const N: usize> {
    path: PathBuf,
    /// When was listened last; 0 if never, or nobody knows.
    at: u64,
    since: BTreeMap<[u8; N], u64>,
    changed: bool,
}

impl<const N: usize> Silent<N> {
    /// What was saved there. If it cannot be read, all is counted from now on.
    pub fn open(path: PathBuf) -> Self {
        let heard = match fs::read(&path) {
            Ok(bytes) => decode(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Heard::default()),
            Err(_) => None,
        };
        if heard.is_none() {
            let path = path.display();
            tracing::warn!(%path, "since when others are silent cannot be read: it is counted from now on");
        }
        let (at, since) = heard.unwrap_or_default();
        Self { path, at, since, changed: false }
    }

    /// Listens now. If that was so long ago that this node was away, what has passed meanwhile counts for nobody.
    pub fn listen(&mut self, now: u64) {
        let passed = now.saturating_sub(self.at);
        if self.at > 0 && passed > AWAY {
            self.since.values_mut().for_each(|since| *since = since.saturating_add(passed));
        }
        self.changed |= self.at != now && !self.since.is_empty();
        self.at = now;
    }

    /// When was listened last.
    pub fn listened(&self) -> u64 {
        self.at
    }

    /// Whether nobody has listened for so long that what is known tells nothing, or the clock was set back since.
    pub fn is_away(&self, now: u64) -> bool {
        now.checked_sub(self.at).is_none_or(|passed| passed > AWAY)
    }

    /// It has answered.
    pub fn heard(&mut self, name: &[u8; N]) {
        self.changed |= self.since.remove(name).is_some();
    }

    /// It has not, and has `last`: since when it is silent.
    pub fn unheard(&mut self, name: [u8; N], last: u64) -> u64 {
        let known = self.since.get(&name).copied();
        // The clock may have been ahead.
        let since = known.unwrap_or(last).min(self.at);
        if known != Some(since) {
            self.since.insert(name, since);
            self.changed = true;
        }
        since
    }

    /// Since when it is silent, if it is.
    pub fn since(&self, name: &[u8; N]) -> Option<u64> {
        self.since.get(name).copied()
    }

    /// All that is silent, and since when.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8; N], u64)> {
        self.since.iter().map(|(name, since)| (name, *since))
    }

    /// Forgets all others.
    pub fn retain(&mut self, keep: impl Fn(&[u8; N]) -> bool) {
        let before = self.since.len();
        self.since.retain(|name, _| keep(name));
        self.changed |= self.since.len() != before;
    }

    /// Writes it down, if it has changed. What cannot be written is tried again.
    pub fn save(&mut self) {
        if !self.changed {
            return;
        }
        match write_private(&self.path, &encode(self.at, &self.since)) {
            Ok(()) => self.changed = false,
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "since when others are silent cannot be written down");
            }
        }
    }
}

fn encode<const N: usize>(at: u64, all: &BTreeMap<[u8; N], u64>) -> Vec<u8> {
    let mut body = at.to_be_bytes().to_vec();
    for (name, since) in all {
        body.extend_from_slice(name);
        body.extend_from_slice(&since.to_be_bytes());
    }
    [&blake3::hash(&body).as_bytes()[..], &body].concat()
}

fn decode<const N: usize>(bytes: &[u8]) -> Option<Heard<N>> {
    let (hash, body) = bytes.split_first_chunk::<32>()?;
    if blake3::hash(body).as_bytes() != hash {
        return None;
    }
    let (at, entries) = match body.len() % (N + 8) {
        // An earlier version wrote no time.
        0 => (0, body),
        _ => body.split_first_chunk::<8>().map(|(at, entries)| (u64::from_be_bytes(*at), entries))?,
    };
    let entry = |entry: &[u8]| {
        let (name, since) = entry.split_first_chunk::<N>()?;
        Some((*name, u64::from_be_bytes(since.try_into().ok()?)))
    };
    let since = entries.chunks(N + 8).map(entry).collect::<Option<_>>()?;
    Some((at, since))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const ONE: [u8; 4] = [1; 4];
    const OTHER: [u8; 4] = [2; 4];

    fn path() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("silent");
        (folder, path)
    }

    /// One that listens now, and was saved there.
    fn at(path: &Path, now: u64) -> Silent<4> {
        let mut silent = Silent::open(path.to_owned());
        silent.listen(now);
        silent
    }

    #[test]
    fn silence_is_counted_from_its_beginning_through_restarts_until_it_ends() {
        let (_folder, path) = path();
        let mut silent = at(&path, 100);
        assert_eq!([silent.unheard(ONE, 70), silent.unheard(OTHER, 90)], [70, 90]);
        silent.save();
        let mut silent = at(&path, 200);
        assert_eq!(silent.unheard(ONE, 200), 70);
        silent.heard(&OTHER);
        assert_eq!((silent.since(&ONE), silent.since(&OTHER)), (Some(70), None));
        silent.save();
        let mut silent = at(&path, 300);
        assert_eq!([silent.unheard(ONE, 300), silent.unheard(OTHER, 300)], [70, 300]);
        silent.retain(|name| *name == ONE);
        assert_eq!(silent.iter().collect::<Vec<_>>(), [(&ONE, 70)]);
        // The clock was set back.
        assert!(silent.is_away(299) && !silent.is_away(300));
        silent.listen(50);
        assert_eq!(silent.unheard(ONE, 50), 50);
    }

    #[test]
    fn what_passes_while_nobody_listens_is_nobodys_silence() {
        let (_folder, path) = path();
        let mut silent = at(&path, 10_000);
        silent.unheard(ONE, 9_000);
        silent.save();
        assert!(!silent.is_away(10_000 + AWAY) && silent.is_away(10_001 + AWAY));
        // Started again at once, and after a week.
        assert_eq!(at(&path, 10_000 + AWAY).unheard(ONE, 0), 9_000);
        let week = 7 * 24 * 3600;
        let mut silent = at(&path, 10_000 + week);
        assert_eq!(silent.unheard(ONE, 0), 9_000 + week);
        silent.save();
        assert_eq!(at(&path, 10_600 + week).unheard(ONE, 0), 9_000 + week);
    }

    #[test]
    fn what_is_damaged_is_not_believed() {
        let (_folder, path) = path();
        let mut silent = at(&path, 100);
        silent.unheard(ONE, 70);
        silent.unheard(OTHER, 70);
        silent.save();
        let saved = fs::read(&path).unwrap();
        let mut flipped = saved.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let cut = &saved[..saved.len() - 12];
        for wrong in [&flipped[..], cut, &saved[..5], &[], b"{\"at\":1}"] {
            fs::write(&path, wrong).unwrap();
            let mut silent = at(&path, 500);
            assert_eq!(silent.unheard(ONE, 500), 500);
            // It begins anew.
            silent.save();
            assert_eq!(at(&path, 600).unheard(ONE, 600), 500);
        }
    }

    #[test]
    fn what_an_earlier_version_wrote_without_the_time_is_read() {
        let (_folder, path) = path();
        let body = [&ONE[..], &70_u64.to_be_bytes(), &OTHER[..], &80_u64.to_be_bytes()].concat();
        fs::write(&path, [&blake3::hash(&body).as_bytes()[..], &body].concat()).unwrap();
        let mut silent = at(&path, 1_000_000);
        assert_eq!([silent.unheard(ONE, 0), silent.unheard(OTHER, 0)], [70, 80]);
    }
}

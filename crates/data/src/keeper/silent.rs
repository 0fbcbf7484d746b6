//! Which other keepers do not answer, and since when, on the disk: a node that is started again goes on counting.
//!
//! Time is the ledger's, as this node has it. A node that is off, or cut off from all others, sees none pass, and what has passed
//! when it is back it leaves out: what it was not there to hear is nobody's silence.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
};
use stoa_base::write_private;

/// Seconds of silence after which another may have a keeper's place: as long as the store waits for pieces.
pub(super) const GRACE: u64 = 12 * 3600;

/// Seconds from one time that the others are asked to the next, at least.
const PAUSE: u64 = 300;

/// Who has asked nobody for more seconds than these was away.
const AWAY: u64 = 3600;

/// As it lies on the disk, in JSON.
#[derive(Default, Serialize, Deserialize)]
struct Heard {
    /// When the others were asked last.
    at: u64,
    /// Who did not answer then, and since when.
    silent: BTreeMap<B256, u64>,
}

pub(super) struct Silent {
    path: PathBuf,
    heard: Heard,
}

impl Silent {
    /// What was written down there. If it cannot be read, all is counted from now on.
    pub fn open(path: PathBuf) -> Self {
        let heard = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Heard::default()),
            Err(_) => None,
        };
        if heard.is_none() {
            let path = path.display();
            tracing::warn!(%path, "since when other keepers are silent cannot be read: it is counted from now on");
        }
        Self { path, heard: heard.unwrap_or_default() }
    }

    /// Whether it is time to ask the others again.
    pub fn is_due(&self, now: u64) -> bool {
        now.saturating_sub(self.heard.at) >= PAUSE
    }

    /// Notes which of the others has answered, of all that there are, and writes it down.
    pub fn note(&mut self, answers: &[(B256, bool)], now: u64) {
        let passed = now.saturating_sub(self.heard.at);
        let away = if passed > AWAY { passed } else { 0 };
        let since = |node: &B256| self.heard.silent.get(node).map_or(now, |since| since.saturating_add(away).min(now));
        let silent = answers.iter().filter(|(_, answers)| !answers).map(|(node, _)| (*node, since(node))).collect();
        self.heard = Heard { at: now, silent };
        let written = serde_json::to_vec(&self.heard).map_err(io::Error::from);
        if let Err(error) = written.and_then(|bytes| write_private(&self.path, &bytes)) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "since when other keepers are silent cannot be written down");
        }
    }

    /// Whether a node did not answer the last two times that it was asked: once may be chance.
    pub fn is_silent(&self, node: &B256) -> bool {
        self.heard.silent.get(node).is_some_and(|since| *since < self.heard.at)
    }

    /// Who has been silent for the whole grace. Nobody, for whoever was away and has not asked since.
    pub fn gone(&self, now: u64) -> BTreeSet<B256> {
        let Heard { at, silent } = &self.heard;
        if now.saturating_sub(*at) > AWAY {
            return BTreeSet::new();
        }
        silent.iter().filter(|(_, since)| at.saturating_sub(**since) >= GRACE).map(|(node, _)| *node).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const ONE: B256 = B256::repeat_byte(1);
    const OTHER: B256 = B256::repeat_byte(2);
    const BEGUN: u64 = 1_700_000_000;
    const HALF_HOUR: u64 = 1800;

    fn path() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("silent");
        (folder, path)
    }

    /// A node that is started again, and asks two others, the first of which does not answer.
    fn asks(path: &Path, other: bool, now: u64) -> BTreeSet<B256> {
        let mut silent = Silent::open(path.to_owned());
        silent.note(&[(ONE, false), (OTHER, other)], now);
        silent.gone(now)
    }

    #[test]
    fn who_does_not_answer_for_the_whole_grace_is_gone_until_he_answers_through_restarts() {
        let (_folder, path) = path();
        for at in (BEGUN..BEGUN + GRACE).step_by(HALF_HOUR as usize) {
            assert_eq!(asks(&path, true, at), BTreeSet::new());
        }
        let end = BEGUN + GRACE;
        assert_eq!(asks(&path, false, end), BTreeSet::from([ONE]));
        // The other is silent since now.
        assert!(!Silent::open(path.clone()).is_silent(&OTHER));
        assert_eq!(asks(&path, false, end + HALF_HOUR), BTreeSet::from([ONE]));
        assert!(Silent::open(path.clone()).is_silent(&OTHER));
        let mut silent = Silent::open(path.clone());
        silent.note(&[(ONE, true), (OTHER, false)], end + 2 * HALF_HOUR);
        assert_eq!(silent.gone(end + 2 * HALF_HOUR), BTreeSet::new());
        assert!(!silent.is_silent(&ONE));
        // And is counted from the beginning when it falls silent again.
        assert_eq!(asks(&path, true, end + 3 * HALF_HOUR), BTreeSet::new());
    }

    #[test]
    fn what_a_node_was_not_there_to_hear_is_nobodys_silence() {
        let (_folder, path) = path();
        let last = BEGUN + GRACE - HALF_HOUR;
        for at in (BEGUN..=last).step_by(HALF_HOUR as usize) {
            asks(&path, true, at);
        }
        // Half an hour is missing, and a week in which this node is off makes it no shorter.
        let back = last + 7 * 24 * 3600;
        assert_eq!(asks(&path, true, back), BTreeSet::new());
        assert_eq!(asks(&path, true, back + HALF_HOUR), BTreeSet::from([ONE]));
        // Who was gone before this node was away is asked again before anything is said of him.
        let again = back + 7 * 24 * 3600;
        assert_eq!(Silent::open(path.clone()).gone(again), BTreeSet::new());
        assert_eq!(asks(&path, true, again), BTreeSet::from([ONE]));
    }

    #[test]
    fn the_others_are_asked_now_and_then() {
        let (_folder, path) = path();
        let mut silent = Silent::open(path);
        assert!(silent.is_due(BEGUN));
        silent.note(&[], BEGUN);
        assert!(!silent.is_due(BEGUN + PAUSE - 1) && silent.is_due(BEGUN + PAUSE));
    }

    #[test]
    fn what_is_damaged_is_not_believed() {
        let (_folder, path) = path();
        asks(&path, true, BEGUN);
        let saved = fs::read(&path).unwrap();
        for wrong in [&saved[..saved.len() - 1], &saved[1..], b"[]", b""] {
            fs::write(&path, wrong).unwrap();
            for at in (BEGUN + HALF_HOUR..BEGUN + HALF_HOUR + GRACE).step_by(HALF_HOUR as usize) {
                assert_eq!(asks(&path, true, at), BTreeSet::new());
            }
            assert_eq!(asks(&path, true, BEGUN + HALF_HOUR + GRACE), BTreeSet::from([ONE]));
        }
    }
}

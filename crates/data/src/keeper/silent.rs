//! Which other keepers do not answer, and since when.
//!
//! Time is the ledger's, as this node has it. A node that is off, or cut off from all others, sees none pass, and what has passed
//! when it is back it leaves out: what it was not there to hear is nobody's silence. Who hears nobody at all is cut off himself.

use alloy_primitives::B256;
use std::{collections::BTreeSet, path::PathBuf};
use stoa_store::Silent;

/// Seconds of silence after which another may have a keeper's place: as long as the store waits for pieces.
pub(super) const GRACE: u64 = 12 * 3600;

/// Seconds from one time that the others are asked to the next, at least.
const PAUSE: u64 = 300;

/// What a keeper hears of the others.
pub(super) struct Hearing {
    /// When the others were asked last, whether or not one of them answered.
    asked: u64,
    silent: Silent<32>,
}

impl Hearing {
    /// What was written down there.
    pub fn open(path: PathBuf) -> Self {
        let silent = Silent::open(path);
        Self { asked: silent.listened(), silent }
    }

    /// Whether it is time to ask the others again.
    pub fn is_due(&self, now: u64) -> bool {
        now.saturating_sub(self.asked) >= PAUSE
    }

    /// Notes which of the others has answered, of all that there are, and writes it down.
    pub fn note(&mut self, answers: &[(B256, bool)], now: u64) {
        self.asked = now;
        if !answers.is_empty() && answers.iter().all(|(_, answers)| !answers) {
            return;
        }
        self.silent.listen(now);
        for (node, answers) in answers {
            if *answers {
                self.silent.heard(&node.0);
            } else {
                self.silent.unheard(node.0, now);
            }
        }
        let there: BTreeSet<_> = answers.iter().map(|(node, _)| node.0).collect();
        self.silent.retain(|node| there.contains(node));
        self.silent.save();
    }

    /// Whether a node did not answer the last two times that it was asked: once may be chance.
    pub fn is_silent(&self, node: &B256) -> bool {
        self.silent.since(&node.0).is_some_and(|since| since < self.silent.listened())
    }

    /// Who has been silent for the whole grace. Nobody, for whoever was away and has not asked since, or whose ledger is behind.
    pub fn gone(&self, now: u64) -> BTreeSet<B256> {
        if self.silent.is_away(now) {
            return BTreeSet::new();
        }
        let at = self.silent.listened();
        let gone = self.silent.iter().filter(|(_, since)| at.saturating_sub(*since) >= GRACE);
        gone.map(|(node, _)| B256::from(*node)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const ONE: B256 = B256::repeat_byte(1);
    const OTHER: B256 = B256::repeat_byte(2);
    const THIRD: B256 = B256::repeat_byte(3);
    const BEGUN: u64 = 1_700_000_000;
    const HALF_HOUR: u64 = 1800;

    fn path() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("silent");
        (folder, path)
    }

    /// A node that is started again, and asks three others, of which the first does not answer and the third does.
    fn asks(path: &Path, other: bool, now: u64) -> BTreeSet<B256> {
        let mut hearing = Hearing::open(path.to_owned());
        hearing.note(&[(ONE, false), (OTHER, other), (THIRD, true)], now);
        hearing.gone(now)
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
        assert!(!Hearing::open(path.clone()).is_silent(&OTHER));
        assert_eq!(asks(&path, false, end + HALF_HOUR), BTreeSet::from([ONE]));
        assert!(Hearing::open(path.clone()).is_silent(&OTHER));
        let mut hearing = Hearing::open(path.clone());
        hearing.note(&[(ONE, true), (OTHER, false)], end + 2 * HALF_HOUR);
        assert_eq!(hearing.gone(end + 2 * HALF_HOUR), BTreeSet::new());
        assert!(!hearing.is_silent(&ONE));
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
        assert_eq!(Hearing::open(path.clone()).gone(again), BTreeSet::new());
        assert_eq!(asks(&path, true, again), BTreeSet::from([ONE]));
        // And so it is by a ledger that is behind what was heard.
        assert_eq!(Hearing::open(path).gone(again - 1), BTreeSet::new());
    }

    #[test]
    fn who_hears_nobody_at_all_says_of_nobody_that_he_is_silent() {
        let (_folder, path) = path();
        let mut hearing = Hearing::open(path.clone());
        let alone = |hearing: &mut Hearing, at: u64| {
            hearing.note(&[(ONE, false), (OTHER, false), (THIRD, false)], at);
            assert!(!hearing.is_due(at + PAUSE - 1) && hearing.is_due(at + PAUSE));
            hearing.gone(at)
        };
        // Another was silent for half of the grace when this node was cut off, for a day.
        for at in (BEGUN..=BEGUN + GRACE / 2).step_by(HALF_HOUR as usize) {
            asks(&path, true, at);
        }
        let cut = BEGUN + GRACE / 2 + HALF_HOUR;
        let mut hearing_later = Hearing::open(path.clone());
        for at in (cut..cut + 24 * 3600).step_by(HALF_HOUR as usize) {
            assert_eq!(alone(&mut hearing, at), BTreeSet::new());
            assert_eq!(alone(&mut hearing_later, at), BTreeSet::new());
        }
        // When it hears others again it goes on counting.
        let back = cut + 24 * 3600;
        for at in (back..back + GRACE / 2).step_by(HALF_HOUR as usize) {
            assert_eq!(asks(&path, true, at), BTreeSet::new());
        }
        assert_eq!(asks(&path, true, back + GRACE / 2), BTreeSet::from([ONE]));
    }

    #[test]
    fn the_others_are_asked_now_and_then() {
        let (_folder, path) = path();
        let mut hearing = Hearing::open(path);
        assert!(hearing.is_due(BEGUN));
        hearing.note(&[], BEGUN);
        assert!(!hearing.is_due(BEGUN + PAUSE - 1) && hearing.is_due(BEGUN + PAUSE));
    }
}

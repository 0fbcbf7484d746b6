//! Says so when no block comes, and when they come again.

use commonware_runtime::Clock;
use std::time::Duration;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(5);

/// It is said again when it has lasted twice as long, but not more seldom than this.
const SELDOM: Duration = Duration::from_secs(3600);

/// Whether something that has lasted for so many looks is said again: it is at the first, and ever more seldom, but not more
/// seldom than at every 64th.
pub(crate) fn is_due(looks: u64) -> bool {
    looks.is_power_of_two() || (looks > 0 && looks.is_multiple_of(64))
}

/// What there is to say, and how long no block has become final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// None has come for so long, at this block.
    Silent(u64, Duration),
    /// After so long they come again, from this block on.
    Again(u64, Duration),
}

/// Since when no block has come.
struct Silence {
    patience: Duration,
    block: u64,
    lasted: Duration,
    /// When something is said next.
    next: Duration,
}

impl Silence {
    const fn new(patience: Duration, block: u64) -> Self {
        Self { patience, block, lasted: Duration::ZERO, next: patience }
    }

    /// What there is to say when this is the newest block, so long after the last look. `patience` is how long the one after a
    /// new one may be missing.
    fn look(&mut self, block: u64, passed: Duration, patience: impl FnOnce() -> Duration) -> Option<Said> {
        self.lasted += passed;
        let Self { lasted, next, patience: before, .. } = *self;
        if block != self.block {
            *self = Self::new(patience(), block);
            return (next > before).then_some(Said::Again(block, lasted));
        }
        (lasted >= next).then(|| {
            self.next = lasted + lasted.min(SELDOM);
            Said::Silent(block, lasted)
        })
    }
}

/// Looks at the newest block for ever, and says when none has come for longer than is usual, in growing intervals. Time is what passes
/// between two looks: a clock that is set means nothing.
pub(crate) async fn watch(
    clock: impl Clock,
    patience: impl Fn() -> Duration,
    newest: impl Fn() -> u64,
    say: impl Fn(Said),
) {
    let mut silence = Silence::new(patience(), newest());
    loop {
        clock.sleep(LOOK).await;
        if let Some(said) = silence.look(newest(), LOOK, &patience) {
            say(said);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_runtime::{Runner as _, Spawner as _, Supervisor as _, deterministic};
    use parking_lot::Mutex;
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn that_no_block_comes_is_said_once_then_ever_more_seldom_until_they_come_again() {
        deterministic::Runner::default().start(async |runtime| {
            let (newest, said) = (Arc::new(AtomicU64::new(7)), Arc::new(Mutex::new(Vec::new())));
            let (look, say) = (newest.clone(), said.clone());
            runtime.child("watch").spawn(async move |runtime| {
                let newest = move || look.load(Ordering::Relaxed);
                watch(runtime, || PATIENCE, newest, move |what| say.lock().push(what)).await;
            });
            let wait = async |seconds| runtime.sleep(Duration::from_secs(seconds)).await;
            let take = || std::mem::take(&mut *said.lock());
            // One now and then is as it should be.
            for block in 8..20 {
                wait(25).await;
                newest.store(block, Ordering::Relaxed);
            }
            assert!(take().is_empty());
            wait(300).await;
            let silent = |seconds| Said::Silent(19, Duration::from_secs(seconds));
            assert_eq!(take(), [30, 60, 120, 240].map(silent));
            newest.store(20, Ordering::Relaxed);
            wait(6).await;
            let last = take();
            assert!(matches!(last[..], [Said::Again(20, lasted)] if lasted >= Duration::from_secs(290)), "{last:?}");
            wait(23).await;
            assert!(take().is_empty());
            wait(8).await;
            assert_eq!(take(), [Said::Silent(20, PATIENCE)]);
        });
    }

    #[test]
    fn what_lasts_is_said_at_once_and_ever_more_seldom_but_not_too_seldom() {
        let said = (0..300).filter(|looks| is_due(*looks)).collect::<Vec<_>>();
        assert_eq!(said, [1, 2, 4, 8, 16, 32, 64, 128, 192, 256]);
    }

    #[test]
    fn what_lasts_for_days_is_said_every_hour() {
        let mut silence = Silence::new(PATIENCE, 1);
        let hours = |silence: &mut Silence, hours: u64| {
            (0..hours * 720).filter_map(|_| silence.look(1, LOOK, || PATIENCE)).count()
        };
        hours(&mut silence, 24);
        assert_eq!(hours(&mut silence, 24), 24);
    }
}

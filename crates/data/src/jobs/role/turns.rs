//! Turns at running programs: few run at a time, and one of each buyer's, so that a buyer with many jobs waits for himself, and others
//! for one of his at most.

use alloy_primitives::Address;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Programs that run at a time.
const AT_ONCE: usize = 2;

/// Who runs programs, and who waits.
pub(in crate::jobs) struct Turns {
    all: Arc<Semaphore>,
    /// Those of whom one is under way.
    each: Mutex<HashMap<Address, Weak<Semaphore>>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_ONCE)), each: Mutex::default() }
    }
}

impl Turns {
    /// Waits until none of this buyer's programs is under way: it is his turn to have one made ready, and then to have it
    /// [run](Self::run).
    pub(super) async fn own(&self, buyer: Address) -> Result<OwnedSemaphorePermit, AcquireError> {
        let own = {
            let mut each = self.each.lock();
            each.retain(|_, own| own.strong_count() > 0);
            each.get(&buyer).and_then(Weak::upgrade).unwrap_or_else(|| {
                let own = Arc::new(Semaphore::new(1));
                each.insert(buyer, Arc::downgrade(&own));
                own
            })
        };
        own.acquire_owned().await
    }

    /// Waits until few enough programs run.
    pub(in crate::jobs) async fn run(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.all.clone().acquire_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt as _, poll};

    #[tokio::test]
    async fn a_buyer_with_many_jobs_waits_for_himself_and_others_do_not() {
        let (turns, [one, other]) = (Turns::default(), [1, 2].map(Address::repeat_byte));
        let first = turns.own(one).await.unwrap();
        let running = turns.run().await.unwrap();
        let mut seconds: Vec<_> = (0..20).map(|_| Box::pin(turns.own(one))).collect();
        for second in &mut seconds {
            assert!(poll!(second).is_pending());
        }
        // One of his runs, so that there is room for another's.
        let others = turns.own(other).now_or_never().unwrap().unwrap();
        let run = turns.run().now_or_never().unwrap().unwrap();
        assert!(turns.run().now_or_never().is_none());
        drop((first, running));
        // His own in the order in which he asked.
        let second = seconds.remove(0).await.unwrap();
        assert!(poll!(&mut seconds[0]).is_pending());
        drop((seconds, second, others, run));
        assert!(turns.own(one).now_or_never().is_some());
        assert_eq!(turns.each.lock().len(), 1, "who has nothing under way is forgotten");
    }
}

//! Turns at running programs: few run at a time, and one of each buyer's is made ready or waits to run, so that a buyer with many jobs
//! has all turns while nobody else wants any, and others wait behind one of his.

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
    /// Those of whom one is made ready or waits.
    each: Mutex<HashMap<Address, Weak<Semaphore>>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(AT_ONCE)), each: Mutex::default() }
    }
}

impl Turns {
    /// Waits until none of this buyer's programs is made ready or waits: it is his turn to have one made ready. It is to be held until
    /// that [runs](Self::run), and no longer.
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
    async fn a_buyer_with_many_jobs_has_all_turns_until_others_come_who_wait_behind_one_of_his() {
        let (turns, [one, other]) = (Turns::default(), [1, 2].map(Address::repeat_byte));
        let mut running = Vec::new();
        for _ in 0..AT_ONCE {
            let _own = turns.own(one).now_or_never().unwrap().unwrap();
            running.push(turns.run().now_or_never().unwrap().unwrap());
        }
        let own = turns.own(one).now_or_never().unwrap().unwrap();
        let mut waits = Box::pin(turns.run());
        assert!(poll!(&mut waits).is_pending());
        let mut behind: Vec<_> = (0..20).map(|_| Box::pin(turns.own(one))).collect();
        for next in &mut behind {
            assert!(poll!(next).is_pending());
        }
        // Another's is made ready meanwhile, and waits behind the one that waits already.
        let others = turns.own(other).now_or_never().unwrap().unwrap();
        let mut others_waits = Box::pin(turns.run());
        assert!(poll!(&mut others_waits).is_pending());
        running.pop();
        running.push(waits.now_or_never().unwrap().unwrap());
        drop(own);
        // His own in the order in which he asked, behind the other's.
        let second = behind.remove(0).now_or_never().unwrap().unwrap();
        let mut waits = Box::pin(turns.run());
        assert!(poll!(&mut behind[0]).is_pending() && poll!(&mut waits).is_pending());
        running.pop();
        let run = others_waits.now_or_never().unwrap().unwrap();
        assert!(poll!(&mut waits).is_pending());
        drop((behind, second, others, run));
        assert!(waits.now_or_never().is_some() && turns.own(one).now_or_never().is_some());
        assert_eq!(turns.each.lock().len(), 1, "who has nothing that waits is forgotten");
    }
}

//! Turns at running programs: few run at a time, and one of each buyer's is made ready or waits to run, so that a buyer with many jobs
//! has all turns while nobody else wants any, and others wait behind one of his. Of those that wait one of a buyer's of whom none runs is
//! first, so that nobody has all turns for longer than a round while another waits. Checks, which have little time, come before all.
//!
//! Processes run at the same time on one asset only: two could tell each other things, by how busy they keep the machine if by nothing
//! else, and rows of one asset would leave by the rules of another. One that would run beside those of another asset waits here, without a
//! turn, those of checks and of Ocean's clients as well; [`Alone`](super::alone::Alone) sees to it once more.

use alloy_primitives::{Address, B256};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
};
use tokio::sync::{
    AcquireError, OwnedSemaphorePermit, Semaphore,
    oneshot::{self, error::RecvError},
};

/// Programs that run at a time.
const AT_ONCE: usize = 2;

/// Who runs programs, and who waits.
#[derive(Default)]
pub(crate) struct Turns {
    all: Arc<Mutex<All>>,
    /// Those of whom one is made ready or waits.
    each: Mutex<HashMap<Address, Weak<Semaphore>>>,
}

/// Programs that run, and those that wait, in the order in which they came.
#[derive(Default)]
struct All {
    running: Vec<Program>,
    waiting: VecDeque<(Program, oneshot::Sender<Turn>)>,
}

/// A program that runs or waits.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Program {
    /// Whose it is; nobody's if this node checks another.
    buyer: Option<Address>,
    /// What it runs on, if it is a process: an asset, or what no other has.
    process_on: Option<B256>,
}

impl All {
    /// Takes the next one that may run from those that wait to those that run.
    fn take(&mut self) -> Option<(Program, oneshot::Sender<Turn>)> {
        self.waiting.retain(|(_, waits)| !waits.is_closed());
        if self.running.len() >= AT_ONCE {
            return None;
        }
        let at = self.chosen()?;
        let next = self.waiting.remove(at)?;
        self.running.push(next.0);
        Some(next)
    }

    /// Which of those that wait is next.
    fn chosen(&self) -> Option<usize> {
        let runs_one = |buyer: Option<Address>| buyer.is_some() && self.running.iter().any(|one| one.buyer == buyer);
        let mut order: Vec<_> = self.waiting.iter().map(|(program, _)| *program).enumerate().collect();
        // Otherwise as they came.
        order.sort_by_key(|(_, program)| (program.buyer.is_some(), runs_one(program.buyer)));
        // The first process says on which asset the next ones run, or those on another would never end.
        let next = order.iter().find_map(|(_, program)| program.process_on);
        let runs = self.running.iter().find_map(|program| program.process_on);
        let may = |on: Option<B256>| on.is_none() || (on == next && (runs.is_none() || runs == on));
        order.into_iter().find(|(_, program)| may(program.process_on)).map(|(at, _)| at)
    }
}

/// Gives those that may run now their turns.
fn give(all: &Arc<Mutex<All>>) {
    loop {
        let next = all.lock().take();
        let Some((program, waits)) = next else { return };
        // Of whoever waits no longer it comes back, as any that is over.
        drop(waits.send(Turn { program, all: all.clone() }));
    }
}

/// One that waits. When it does so no longer others may have turns that waited for what it would run on.
struct Waits<'a>(&'a Arc<Mutex<All>>);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        give(self.0);
    }
}

/// A turn, until it is dropped.
pub(crate) struct Turn {
    program: Program,
    all: Arc<Mutex<All>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(at) = all.running.iter().position(|program| *program == self.program) {
            all.running.swap_remove(at);
        }
        drop(all);
        give(&self.all);
    }
}

impl Turns {
    /// Waits until none of this buyer's programs is made ready or waits: it is his turn to have one made ready. It is to be held until
    /// that [runs](Self::of), and no longer.
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

    /// Waits until few enough programs run for one of this buyer's. `process_on` is the asset that it runs on, if it is a process, or what no
    /// other has, if it runs beside no other process.
    pub(crate) async fn of(&self, buyer: Address, process_on: Option<B256>) -> Result<Turn, RecvError> {
        self.turn(Program { buyer: Some(buyer), process_on }).await
    }

    /// The same for one that is nobody's.
    pub(in crate::jobs) async fn run(&self, process_on: Option<B256>) -> Result<Turn, RecvError> {
        self.turn(Program { buyer: None, process_on }).await
    }

    async fn turn(&self, program: Program) -> Result<Turn, RecvError> {
        let _waits = Waits(&self.all);
        let (gives, waits) = oneshot::channel();
        self.all.lock().waiting.push_back((program, gives));
        give(&self.all);
        waits.await
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
            running.push(turns.of(one, None).now_or_never().unwrap().unwrap());
        }
        let own = turns.own(one).now_or_never().unwrap().unwrap();
        let mut waits = Box::pin(turns.of(one, None));
        assert!(poll!(&mut waits).is_pending());
        let mut behind: Vec<_> = (0..20).map(|_| Box::pin(turns.own(one))).collect();
        for next in &mut behind {
            assert!(poll!(next).is_pending());
        }
        // Another's is made ready meanwhile, and comes before the one that waits already, of whose buyer one runs.
        let others = turns.own(other).now_or_never().unwrap().unwrap();
        let mut others_waits = Box::pin(turns.of(other, None));
        assert!(poll!(&mut others_waits).is_pending());
        running.pop();
        assert!(poll!(&mut waits).is_pending());
        let run = others_waits.now_or_never().unwrap().unwrap();
        drop(others);
        // Then it is his turn again, for one of the other's runs.
        let mut others_waits = Box::pin(turns.of(other, None));
        assert!(poll!(&mut others_waits).is_pending());
        running.pop();
        running.push(waits.now_or_never().unwrap().unwrap());
        assert!(poll!(&mut others_waits).is_pending());
        drop(own);
        // His own in the order in which he asked.
        let second = behind.remove(0).now_or_never().unwrap().unwrap();
        assert!(poll!(&mut behind[0]).is_pending());
        drop((behind, second, run));
        assert!(others_waits.now_or_never().is_some() && turns.own(one).now_or_never().is_some());
        assert_eq!(turns.each.lock().len(), 1, "who has nothing that waits is forgotten");
    }

    #[tokio::test]
    async fn whoever_does_not_wait_any_more_has_no_turn() {
        let (turns, [one, other]) = (Turns::default(), [1, 2].map(Address::repeat_byte));
        let mut running: Vec<_> = (0..AT_ONCE).map(|_| turns.run(None).now_or_never().unwrap().unwrap()).collect();
        let (mut gone, mut given) = (Box::pin(turns.of(one, None)), Box::pin(turns.of(one, None)));
        let mut waits = Box::pin(turns.of(other, None));
        assert!(poll!(&mut gone).is_pending() && poll!(&mut given).is_pending() && poll!(&mut waits).is_pending());
        drop(gone);
        running.pop();
        assert!(poll!(&mut waits).is_pending());
        // It was given its turn, and has not taken it.
        drop(given);
        assert!(poll!(&mut waits).is_ready());
    }

    #[tokio::test]
    async fn processes_of_two_assets_never_have_turns_at_the_same_time() {
        let turns = Turns::default();
        let ([one, other, third], [strict, open]) =
            ([1, 2, 3].map(Address::repeat_byte), [8, 9].map(B256::repeat_byte));
        let runs = turns.of(one, Some(strict)).now_or_never().unwrap().unwrap();
        let mut waits = Box::pin(turns.of(other, Some(open)));
        assert!(poll!(&mut waits).is_pending());
        // It holds no turn meanwhile; and those on the asset of the one that runs do not keep it waiting without end.
        let mut same = Box::pin(turns.of(third, Some(strict)));
        assert!(poll!(&mut same).is_pending());
        let wasm = turns.of(third, None).now_or_never().unwrap().unwrap();
        drop(runs);
        let runs = waits.now_or_never().unwrap().unwrap();
        drop(wasm);
        assert!(poll!(&mut same).is_pending());
        let beside = turns.of(one, Some(open)).now_or_never();
        assert!(beside.is_none(), "the other asset's was there before");
        drop(runs);
        let same = same.now_or_never().unwrap().unwrap();
        // On the same asset as many run as may.
        assert!(turns.of(one, Some(strict)).now_or_never().is_some());
        drop(same);
    }

    #[tokio::test]
    async fn what_waits_for_a_process_on_another_asset_has_its_turn_when_that_waits_no_longer() {
        let turns = Turns::default();
        let ([one, other, third], [strict, open]) =
            ([1, 2, 3].map(Address::repeat_byte), [8, 9].map(B256::repeat_byte));
        let _runs = turns.of(one, Some(strict)).now_or_never().unwrap().unwrap();
        let mut waits = Box::pin(turns.of(other, Some(open)));
        let mut same = Box::pin(turns.of(third, Some(strict)));
        assert!(poll!(&mut waits).is_pending() && poll!(&mut same).is_pending());
        drop(waits);
        assert!(poll!(&mut same).is_ready());
    }

    #[tokio::test]
    async fn checks_come_first_and_wait_without_a_turn_for_processes_on_another_asset() {
        let turns = Turns::default();
        let ([one, other], [strict, open]) = ([1, 2].map(Address::repeat_byte), [8, 9].map(B256::repeat_byte));
        let runs = turns.of(one, Some(strict)).now_or_never().unwrap().unwrap();
        let mut waits = Box::pin(turns.of(other, Some(strict)));
        let wasm = turns.of(other, None).now_or_never().unwrap().unwrap();
        assert!(poll!(&mut waits).is_pending());
        let mut check = Box::pin(turns.run(Some(open)));
        assert!(poll!(&mut check).is_pending());
        drop(wasm);
        assert!(poll!(&mut check).is_pending() && poll!(&mut waits).is_pending());
        assert!(turns.of(one, None).now_or_never().is_some());
        drop(runs);
        let check = check.now_or_never().unwrap().unwrap();
        assert!(poll!(&mut waits).is_pending());
        drop(check);
        assert!(poll!(&mut waits).is_ready());
    }
}

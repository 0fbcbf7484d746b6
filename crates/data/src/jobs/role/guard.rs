//! What stands between an asset's data and a buyer: the owner's rules, and what has left so far, on the disk before anything
//! leaves.
//!
//! What a round counts in any case is set aside before it runs, in memory: it counts at once, for all rounds. When the round ends, however
//! that is, it is written down with what leaves in it and what its job has done, in one write, before anybody is told. If the node is ended
//! before, nothing was told.

use super::{
    super::{
        held::Held,
        rules::{Remaining, Rules},
        run::{Done, Files, Reason},
    },
    notes::Notes,
    session::{read, write},
};
use alloy_primitives::{Address, B256};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io, mem,
    path::{Path, PathBuf},
};
use stoa_base::now;
use stoa_client::Chain;
use stoa_sandbox::Control;

/// What has left on one day to all buyers together.
#[derive(Default, Serialize, Deserialize)]
struct Day {
    /// Its number since 1970.
    day: u64,
    spent: u64,
}

/// What is set aside for rounds that run, by the asset's folder and the buyer.
#[derive(Default)]
pub(crate) struct Aside(BTreeMap<PathBuf, BTreeMap<Address, u64>>);

impl Aside {
    /// So much for a buyer, and for all.
    fn of(&self, folder: &Path, buyer: Address) -> (u64, u64) {
        let own = self.0.get(folder).and_then(|all| all.get(&buyer));
        (own.copied().unwrap_or(0), self.0.get(folder).map_or(0, |all| all.values().sum()))
    }

    fn add(&mut self, folder: &Path, buyer: Address, counts: u64) {
        let own = self.0.entry(folder.to_owned()).or_default().entry(buyer).or_default();
        *own = own.saturating_add(counts);
    }

    fn take(&mut self, folder: &Path, buyer: Address, counts: u64) {
        if let Some(all) = self.0.get_mut(folder) {
            if let Some(own) = all.get_mut(&buyer) {
                *own = own.saturating_sub(counts);
            }
            all.retain(|_, own| *own > 0);
        }
        self.0.retain(|_, all| !all.is_empty());
    }
}

const SECONDS_OF_A_DAY: u64 = 24 * 3600;

/// What may leave of an asset to one buyer.
pub(crate) struct Guard<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) asset: B256,
    /// The asset's folder at this node.
    pub(crate) folder: PathBuf,
    pub(crate) buyer: Address,
    /// For how many seconds of the ledger's time what would leave waits for its owner, and the ledger.
    pub(crate) patience: u64,
    pub(crate) chain: &'a dyn Chain,
    /// Held by whoever changes what has left of any asset.
    pub(crate) spending: &'a Mutex<Aside>,
}

impl Guard<'_> {
    fn spent_on_day(&self) -> PathBuf {
        self.folder.join("spent-day.json")
    }

    /// What has left, and how much may still leave to the buyer.
    fn read(&self, aside: &Aside) -> io::Result<(Notes, Day, Remaining)> {
        let (notes, mut day): (_, Day) = (Notes::read(&self.folder)?, read(&self.spent_on_day())?);
        let today = now() / SECONDS_OF_A_DAY;
        // A clock that is set back gives nothing anew.
        if day.day < today {
            day = Day { day: today, spent: 0 };
        }
        let (aside, of_all) = aside.of(&self.folder, self.buyer);
        let own = notes.spent.get(&self.buyer).copied().unwrap_or(0).saturating_add(aside);
        let all = day.spent.saturating_add(of_all);
        let left = Remaining {
            own: self.rules.budget.saturating_sub(own),
            day: self.rules.budget_per_day.map(|most| most.saturating_sub(all)),
        };
        Ok((notes, day, left))
    }

    /// How much may still leave to the buyer.
    pub(crate) fn left(&self) -> io::Result<Remaining> {
        Ok(self.read(&self.spending.lock())?.2)
    }

    /// Sets so much aside for a round that is to run. Says why, and sets nothing aside, if so much may not leave any more.
    pub(crate) fn reserve(&self, counts: u64) -> io::Result<Result<Reserved<'_>, String>> {
        let mut aside = self.spending.lock();
        let left = self.read(&aside)?.2;
        if counts > left.least() {
            return Ok(Err(self.rules.short(left, &format!("a round counts {counts}"), counts)));
        }
        aside.add(&self.folder, self.buyer, counts);
        Ok(Ok(Reserved { guard: self, counts }))
    }

    /// Counts so much as left to the buyer, on the disk. Says why, and counts nothing, if so much may not leave any more.
    pub(crate) fn charge(&self, counts: u64) -> io::Result<Result<(), String>> {
        self.settle(0, counts, None)
    }

    /// Counts on the disk what was set aside, and more, and notes what a job has done by that. Says why, and counts no more and notes
    /// nothing, if so much may not leave any more. What was set aside stays so if the disk refuses.
    fn settle(&self, reserved: u64, more: u64, done: Option<(B256, &Done)>) -> io::Result<Result<(), String>> {
        let mut aside = self.spending.lock();
        let (mut notes, mut day, left) = self.read(&aside)?;
        let fits = more <= left.least();
        let counts = reserved.saturating_add(if fits { more } else { 0 });
        let done = done.filter(|_| fits);
        if counts > 0 && self.rules.budget_per_day.is_some() {
            day.spent = day.spent.saturating_add(counts);
            write(&self.spent_on_day(), &day)?;
        }
        if counts > 0 || done.is_some() {
            let of = notes.spent.entry(self.buyer).or_default();
            *of = of.saturating_add(counts);
            notes.jobs.extend(done.map(|(job, done)| (job, done.clone())));
            notes.write(&self.folder)?;
        }
        aside.take(&self.folder, self.buyer, reserved);
        Ok(fits.then_some(()).ok_or_else(|| self.rules.short(left, "it counts more", more)))
    }

    /// What is said of why a program has left nothing. How exactly it failed and what it printed counts, and is left out if so much may
    /// not leave any more.
    pub(crate) fn told(&self, why: Reason) -> io::Result<Reason> {
        Reserved { guard: self, counts: 0 }.tell(why)
    }

    /// Waits until the owner has looked at what would leave in a round of a job, if he wants to, or his time for that is over; how the
    /// job ends and why if it does not leave. `waits` is called if that takes a while.
    pub(crate) async fn looked_at(
        &self,
        (job, round): (B256, u32),
        files: &Files,
        log: Option<&str>,
        control: &Control,
        waits: impl FnOnce(),
    ) -> io::Result<Option<(u8, String)>> {
        if !self.rules.approval {
            return Ok(None);
        }
        let held = Held::of(&self.folder, self.asset, job, round);
        held.put(files, log)?;
        waits();
        held.wait(files, log, control, (self.chain, self.patience)).await
    }
}

/// What is set aside for a round that runs. It is counted on the disk when this is dropped, if it was not before, nor given back.
pub(crate) struct Reserved<'a> {
    pub(super) guard: &'a Guard<'a>,
    counts: u64,
}

impl Reserved<'_> {
    /// Counts it on the disk, now.
    pub(super) fn keep(&mut self) -> io::Result<()> {
        self.guard.settle(mem::take(&mut self.counts), 0, None).map(drop)
    }

    /// Counts nothing: its round never ran, and tells nothing of the data.
    pub(super) fn give_back(mut self) {
        let (guard, counts) = (self.guard, mem::take(&mut self.counts));
        guard.spending.lock().take(&guard.folder, guard.buyer, counts);
    }

    /// Counts it on the disk, and so much more as left to the buyer, and notes what a job has done by that. Says why, and counts no more
    /// and notes nothing, if so much may not leave any more.
    pub(super) fn spend(mut self, more: u64, done: Option<(B256, &Done)>) -> io::Result<Result<(), String>> {
        self.guard.settle(mem::take(&mut self.counts), more, done)
    }

    /// As [`Guard::told`], for the round's end.
    pub(super) fn told(self, why: impl Into<Reason>) -> io::Result<String> {
        Ok(self.tell(why.into())?.to_string())
    }

    fn tell(self, why: Reason) -> io::Result<Reason> {
        Ok(match self.spend(why.counts(), None)? {
            Ok(()) => why,
            Err(short) => format!("{}. How exactly, and what was printed, is not told: {short}", why.brief).into(),
        })
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if self.counts > 0
            && let Err(error) = self.keep()
        {
            tracing::error!(%error, "what a round counts could not be written down");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::tests::Ledger;
    use proptest::prelude::*;
    use std::fs;
    use tempfile::TempDir;

    const BUYER: Address = Address::repeat_byte(0xa2);
    const OTHER: Address = Address::repeat_byte(0xa3);
    const JOB: B256 = B256::repeat_byte(0xb1);

    /// A node's folder, as it goes on after the node was ended.
    struct Node {
        rules: Rules,
        folder: TempDir,
        ledger: Ledger,
        spending: Mutex<Aside>,
    }

    impl Node {
        fn new(rules: Rules) -> Self {
            let (folder, ledger) = (tempfile::tempdir().unwrap(), Ledger::new());
            Self { rules, folder, ledger, spending: Mutex::default() }
        }

        fn again(self) -> Self {
            Self { spending: Mutex::default(), ..self }
        }

        fn of(&self, buyer: Address) -> Guard<'_> {
            let (rules, folder, chain, spending) =
                (&self.rules, self.folder.path().to_owned(), &self.ledger, &self.spending);
            Guard { rules, asset: B256::ZERO, folder, buyer, patience: 0, chain, spending }
        }

        fn on_disk(&self, buyer: Address) -> u64 {
            Notes::read(self.folder.path()).unwrap().spent.get(&buyer).copied().unwrap_or(0)
        }

        /// How many rounds are noted of the job.
        fn noted(&self) -> Option<u32> {
            Notes::read(self.folder.path()).unwrap().jobs.get(&JOB).map(|done| done.rounds)
        }
    }

    fn budget(budget: u64) -> Rules {
        Rules { budget, ..Rules::default() }
    }

    #[test]
    fn what_is_set_aside_counts_at_once_and_is_on_the_disk_when_its_round_ends() {
        let node = Node::new(budget(10));
        let guard = node.of(BUYER);
        let [first, second, third] = [4, 4, 2].map(|counts| guard.reserve(counts).unwrap().unwrap());
        assert!(guard.reserve(1).unwrap().is_err_and(|why| why.contains("used up: 0 of 10")));
        let left = |guard: &Guard<'_>| guard.left().unwrap().least();
        assert_eq!((left(&guard), left(&node.of(OTHER)), node.on_disk(BUYER)), (0, 10, 0));
        // Two at once take no more than there is.
        assert!(first.spend(1, None).unwrap().is_err());
        assert_eq!((left(&guard), node.on_disk(BUYER)), (0, 4));
        drop(second);
        assert_eq!((left(&guard), node.on_disk(BUYER)), (0, 8));
        let why = Reason { brief: "it failed".into(), whole: Some("it failed with code 7".into()) };
        let said = third.told(why).unwrap();
        assert_eq!(
            said,
            "it failed. How exactly, and what was printed, is not told: what may leave to this buyer is used up: 0 of 10 are left"
        );
        assert_eq!(node.on_disk(BUYER), 10);
    }

    #[test]
    fn what_was_set_aside_for_a_round_that_never_ran_is_given_back() {
        let node = Node::new(Rules { budget_per_day: Some(6), ..budget(10) });
        let guard = node.of(BUYER);
        let [runs, never] = [2, 3].map(|counts| guard.reserve(counts).unwrap().unwrap());
        never.give_back();
        assert_eq!((guard.left().unwrap(), node.on_disk(BUYER)), (Remaining { own: 8, day: Some(4) }, 0));
        drop(runs);
        assert_eq!((guard.left().unwrap(), node.on_disk(BUYER)), (Remaining { own: 8, day: Some(4) }, 2));
    }

    #[test]
    fn what_is_told_of_how_a_program_failed_counts_if_there_is_room_for_it_and_stays_if_not() {
        let node = Node::new(budget(20));
        let guard = node.of(BUYER);
        let why = |code| Reason { brief: "it failed".into(), whole: Some(format!("it failed ({code})")) };
        assert_eq!(guard.told(why(7)).unwrap().to_string(), "it failed (7)");
        assert_eq!(
            (guard.told("it failed".into()).unwrap().to_string(), node.on_disk(BUYER)),
            ("it failed".to_owned(), 13)
        );
        let said = guard.told(why(8)).unwrap().to_string();
        let short = "it counts more: 7 of the 20 that may leave to this buyer are left";
        assert_eq!(said, format!("it failed. How exactly, and what was printed, is not told: {short}"));
        assert_eq!(node.on_disk(BUYER), 13);
    }

    #[test]
    fn a_node_that_is_ended_while_a_round_runs_has_counted_what_was_told_and_nothing_else() {
        let node = Node::new(budget(10));
        let guard = node.of(BUYER);
        let [ended, mut told, running] = [1; 3].map(|counts| guard.reserve(counts).unwrap().unwrap());
        ended.spend(3, None).unwrap().unwrap();
        told.keep().unwrap();
        // As if by kill -9.
        mem::forget((told, running));
        drop(guard);
        let node = node.again();
        assert_eq!((node.of(BUYER).left().unwrap().own, node.on_disk(BUYER)), (5, 5));
    }

    #[test]
    fn what_the_disk_does_not_take_does_not_leave_and_stays_set_aside() {
        let node = Node::new(budget(10));
        let (guard, laying) = (node.of(BUYER), node.folder.path().join("spent.json.part"));
        let [first, second] = [1; 2].map(|counts| guard.reserve(counts).unwrap().unwrap());
        fs::create_dir(&laying).unwrap();
        assert!(first.spend(3, Some((JOB, &Done::default()))).is_err());
        drop(second);
        fs::remove_dir(&laying).unwrap();
        assert_eq!((guard.left().unwrap().own, node.on_disk(BUYER), node.noted()), (8, 0, None));
        guard.charge(8).unwrap().unwrap();
        assert_eq!((guard.left().unwrap().own, node.on_disk(BUYER)), (0, 8));
    }

    #[test]
    fn what_a_job_has_done_is_noted_with_what_it_counts_or_not_at_all() {
        let node = Node::new(budget(10));
        let guard = node.of(BUYER);
        let rounds = |rounds| Done { rounds, ..Done::default() };
        let [first, second, told] = [1; 3].map(|counts| guard.reserve(counts).unwrap().unwrap());
        first.spend(3, Some((JOB, &rounds(1)))).unwrap().unwrap();
        assert_eq!((node.on_disk(BUYER), node.noted()), (4, Some(1)));
        assert!(second.spend(9, Some((JOB, &rounds(2)))).unwrap().is_err());
        told.told("it failed").unwrap();
        assert_eq!((node.on_disk(BUYER), node.noted()), (6, Some(1)));
    }

    #[test]
    fn what_is_set_aside_for_one_buyer_counts_for_the_day_of_all() {
        let node = Node::new(Rules { budget_per_day: Some(6), ..budget(100) });
        let (one, other) = (node.of(BUYER), node.of(OTHER));
        let first = one.reserve(4).unwrap().unwrap();
        for (guard, own) in [(&one, 96), (&other, 100)] {
            assert_eq!(guard.left().unwrap(), Remaining { own, day: Some(2) });
        }
        let why = other.reserve(3).unwrap().err().unwrap();
        assert_eq!(why, "a round counts 3: less than that may still leave to all buyers on this day (UTC)");
        let second = other.reserve(1).unwrap().unwrap();
        first.spend(1, None).unwrap().unwrap();
        assert!(second.spend(1, None).unwrap().is_err());
        let day: Day = read(&one.spent_on_day()).unwrap();
        assert_eq!((day.spent, node.on_disk(BUYER), node.on_disk(OTHER)), (6, 5, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

        #[test]
        fn however_rounds_end_no_more_leaves_than_may_and_all_of_it_is_counted(
            steps in proptest::collection::vec((0..4_u8, 1..5_u64), 1..16),
        ) {
            let node = Node::new(budget(20));
            let guard = node.of(BUYER);
            let (mut open, mut counted): (Vec<(Reserved<'_>, u64)>, _) = (Vec::new(), 0);
            for (step, counts) in steps {
                match (step, open.pop()) {
                    (0, Some((reserved, aside))) => {
                        let fits = reserved.spend(counts, None).unwrap().is_ok();
                        counted += aside + if fits { counts } else { 0 };
                    }
                    (1, Some((reserved, aside))) => {
                        drop(reserved);
                        counted += aside;
                    }
                    (_, last) => {
                        open.extend(last);
                        open.extend(guard.reserve(counts).unwrap().ok().map(|reserved| (reserved, counts)));
                    }
                }
                let aside: u64 = open.iter().map(|(_, aside)| aside).sum();
                prop_assert_eq!(node.on_disk(BUYER), counted);
                prop_assert!(counted + aside <= 20);
                prop_assert_eq!(guard.left().unwrap().own, 20 - counted - aside);
            }
        }
    }
}

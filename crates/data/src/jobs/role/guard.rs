//! What stands between an asset's data and a buyer: the owner's rules, and what has left so far, on the disk before anything
//! leaves.

use super::{
    super::{held::Held, rules::Rules, run::Files},
    now,
    session::{read, write},
};
use alloy_primitives::{Address, B256};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io, path::PathBuf};
use stoa_sandbox::Control;

/// What has left, by buyer.
type Spent = BTreeMap<Address, u64>;

/// What has left on one day to all buyers together.
#[derive(Default, Serialize, Deserialize)]
struct Day {
    /// Its number since 1970.
    day: u64,
    spent: u64,
}

const SECONDS_OF_A_DAY: u64 = 24 * 3600;

/// What may leave of an asset to one buyer.
pub(crate) struct Guard<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) asset: B256,
    /// The asset's folder at this node.
    pub(crate) folder: PathBuf,
    pub(crate) buyer: Address,
    /// Held by whoever changes what has left of any asset.
    pub(crate) spending: &'a Mutex<()>,
}

impl Guard<'_> {
    fn spent(&self) -> PathBuf {
        self.folder.join("spent.json")
    }

    fn spent_on_day(&self) -> PathBuf {
        self.folder.join("spent-day.json")
    }

    /// What has left, and how much may still leave to the buyer. To be called with `spending` held.
    fn read(&self) -> io::Result<(Spent, Day, u64)> {
        let (spent, mut day): (Spent, Day) = (read(&self.spent())?, read(&self.spent_on_day())?);
        let today = now() / SECONDS_OF_A_DAY;
        // A clock that is set back gives nothing anew.
        if day.day < today {
            day = Day { day: today, spent: 0 };
        }
        let own = self.rules.budget.saturating_sub(spent.get(&self.buyer).copied().unwrap_or(0));
        let left = self.rules.budget_per_day.map_or(own, |most| own.min(most.saturating_sub(day.spent)));
        Ok((spent, day, left))
    }

    /// How much may still leave to the buyer.
    pub(crate) fn left(&self) -> io::Result<u64> {
        let _held = self.spending.lock();
        Ok(self.read()?.2)
    }

    /// Counts so much as left to the buyer, on the disk. Says why, and counts nothing, if so much may not leave any more.
    pub(crate) fn charge(&self, counts: u64) -> io::Result<Result<(), String>> {
        let _held = self.spending.lock();
        let (mut spent, mut day, left) = self.read()?;
        if counts > left {
            return Ok(Err(self.rules.used_up(left)));
        }
        if self.rules.budget_per_day.is_some() {
            day.spent = day.spent.saturating_add(counts);
            write(&self.spent_on_day(), &day)?;
        }
        let of = spent.entry(self.buyer).or_default();
        *of = of.saturating_add(counts);
        write(&self.spent(), &spent)?;
        Ok(Ok(()))
    }

    /// What is said of why a program has left nothing. What it printed is told where logs are (`tells`), and counts as they do.
    pub(crate) fn told(&self, why: String, tells: bool) -> io::Result<String> {
        let counts = if tells { why.len() as u64 } else { 0 };
        Ok(self.charge(counts)?.map_or_else(|used_up| used_up, |()| why))
    }

    /// Waits until the owner has looked at what would leave in a round of a job, if he wants to; how the job ends and why if it
    /// does not leave. `waits` is called if that takes a while.
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
        held.wait(files, log, control).await
    }
}

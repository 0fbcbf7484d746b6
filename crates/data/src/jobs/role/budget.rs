//! What has left of an asset, and how much may still leave to a buyer: on the disk before anything leaves.

use super::{
    super::rules::Rules,
    now,
    session::{read, write},
};
use alloy_primitives::Address;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

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
pub(crate) struct Budget<'a> {
    /// The asset's folder at this node.
    pub(crate) folder: &'a Path,
    pub(crate) rules: &'a Rules,
    pub(crate) buyer: Address,
    /// Held by whoever changes what has left of any asset.
    pub(crate) spending: &'a Mutex<()>,
}

impl Budget<'_> {
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

    /// Counts so much as left to the buyer, on the disk. Says no, and counts nothing, if so much may not leave any more.
    pub(crate) fn charge(&self, counts: u64) -> io::Result<bool> {
        let _held = self.spending.lock();
        let (mut spent, mut day, left) = self.read()?;
        if counts > left {
            return Ok(false);
        }
        if self.rules.budget_per_day.is_some() {
            day.spent = day.spent.saturating_add(counts);
            write(&self.spent_on_day(), &day)?;
        }
        let of = spent.entry(self.buyer).or_default();
        *of = of.saturating_add(counts);
        write(&self.spent(), &spent)?;
        Ok(true)
    }
}

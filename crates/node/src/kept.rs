//! A node's folder, and what to do when it cannot be read, or not be written.

use eyre::{Report, Result, eyre};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
};
use stoa_ledger::LedgerError;

/// Of so many validators, the others go on without one.
const ENOUGH: usize = 4;

/// A disk with fewer bytes free than that has no room for what a node writes at a time.
const FULL: u64 = 16 << 20;

/// A node's folder, and whether others have the chain that is in it.
#[derive(Clone, Debug)]
pub struct Kept {
    folder: PathBuf,
    elsewhere: bool,
}

impl Kept {
    /// The folder of a node that gets its chain from others.
    pub fn elsewhere(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), elsewhere: true }
    }

    /// The folder of a node that nobody else has the chain of.
    pub fn here(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), elsewhere: false }
    }

    /// The folder of one of so many validators. Fewer than four can agree on nothing while one of them does not know how it has
    /// voted, which no other can tell it.
    pub fn by_one_of(validators: usize, folder: &Path) -> Self {
        Self { folder: folder.to_owned(), elsewhere: validators >= ENOUGH }
    }

    /// What to do when the folder cannot be read, or not be written.
    fn remedy(&self) -> String {
        let disk = rustix::fs::statvfs(&self.folder).ok();
        self.remedy_where(disk.map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)))
    }

    /// The same where so many bytes are free on its disk, if that is known.
    fn remedy_where(&self, free: Option<u64>) -> String {
        if let Some(free) = free.filter(|free| *free < FULL) {
            return format!("Its disk is full, with {free} bytes free: make room and start it again, nothing is lost");
        }
        let remedy = match self.elsewhere {
            true => {
                "If its disk is full, make room and start it again: nothing is lost. If what lies in its folder was damaged, \
                 remove `history` and `state` from it, and nothing else: a node of a network takes both from the others, and a \
                 validator votes again in the next epoch or the one after it; no other validator does the same before that"
            }
            false => {
                "If its disk is full, make room and start it again: nothing is lost. If what lies in its folder was damaged, \
                 remove nothing from it, for no other node can replace it: put back a copy of the whole folder, or begin a new \
                 chain (in another folder, or with `--fresh`, which `stoa up` and `stoa dev` take)"
            }
        };
        remedy.to_owned()
    }

    /// What an error says of a chain that cannot be opened.
    pub(crate) fn unusable(&self) -> String {
        format!("the chain in {} cannot be used. {}", self.folder.display(), self.remedy())
    }

    /// Why the chain does not open, and what to do about it.
    pub(crate) fn unopened(&self, error: LedgerError) -> Report {
        let what = if matches!(error, LedgerError::OtherGenesis) {
            // Nothing is damaged, and what is there is worth keeping.
            format!("the chain in {} is not that of the genesis file", self.folder.display())
        } else {
            self.unusable()
        };
        Report::new(error).wrap_err(what)
    }

    /// Runs a node. Storage that cannot be read ends its task, and with it the node: that becomes an error.
    ///
    /// # Errors
    ///
    /// Those of the node.
    pub fn guard<T>(&self, run: impl FnOnce() -> Result<T>) -> Result<T> {
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(self.stopped(panic)))
    }

    /// The error of a node that ended with a panic.
    pub(crate) fn stopped(&self, panic: Box<dyn Any + Send>) -> Report {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        if text.is_some_and(|text| text.starts_with("failed printing to ")) {
            // Nothing is wrong with the folder.
            resume_unwind(panic);
        }
        let why = text.unwrap_or("no reason was given").to_owned();
        let what = format!("the node in {} cannot go on. {}", self.folder.display(), self.remedy());
        let other = "If the reason that follows is about something else, it is a fault of the program: remove nothing";
        eyre!("{why}").wrap_err(format!("{what}. {other} (RUST_LOG=debug tells more)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kept: &Kept) -> [String; 2] {
        let stopped = kept.guard::<()>(|| panic!("a page is damaged")).unwrap_err();
        [kept.unusable(), format!("{stopped:#}")]
    }

    #[test]
    fn nobody_is_told_to_remove_what_no_other_node_has() {
        let folder = Path::new("data/2");
        for kept in [Kept::elsewhere(folder), Kept::by_one_of(4, folder)] {
            for said in said(&kept) {
                assert!(said.contains("data/2") && said.contains("remove `history` and `state`"), "{said}");
            }
        }
        for kept in [Kept::here(folder), Kept::by_one_of(1, folder), Kept::by_one_of(3, folder)] {
            for said in said(&kept) {
                assert!(
                    said.contains("data/2") && said.contains("remove nothing") && !said.contains("`history`"),
                    "{said}"
                );
            }
        }
        let [unusable, stopped] = said(&Kept::here(folder));
        assert!(stopped.contains("a page is damaged") && !unusable.contains("fault of the program"));
        // Whatever ends a task of the node ends it, and not all of that is about what is kept.
        assert!(stopped.contains("about something else, it is a fault of the program"), "{stopped}");
    }

    #[test]
    fn a_disk_that_is_full_is_named_and_nothing_else_is_to_be_done_about_it() {
        for kept in [Kept::elsewhere(Path::new("data")), Kept::here(Path::new("data"))] {
            let remedy = kept.remedy_where(Some(4096));
            assert!(remedy.contains("full, with 4096 bytes free") && !remedy.contains("remove"), "{remedy}");
            for enough in [None, Some(FULL)] {
                assert!(kept.remedy_where(enough).contains("If its disk is full"));
            }
        }
    }

    #[test]
    fn nobody_is_told_to_remove_the_chain_of_another_genesis_file() {
        let said = |error| format!("{:#}", Kept::elsewhere(Path::new("data")).unopened(error));
        assert!(said(LedgerError::Damaged("a seal".into())).contains("remove `history`"));
        let other = said(LedgerError::OtherGenesis);
        assert!(other.contains("another genesis") && !other.contains("remove"), "{other}");
    }

    #[test]
    fn what_cannot_be_printed_is_no_fault_of_the_folder() {
        let print = || -> Result<()> { panic!("failed printing to stdout: Broken pipe (os error 32)") };
        assert!(catch_unwind(|| Kept::here(Path::new("data")).guard(print)).is_err());
    }
}

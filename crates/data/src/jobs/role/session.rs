//! A job that a node does: what it has done so far, on the disk before anything of it leaves.

use super::super::{
    abi::{BROKEN, IJobs::Job, PROCESS},
    contract::is_checked,
    data::DataSet,
    held::Held,
    kept::{Kept, found},
    results::{self, Laid},
    run::Done,
    wire::{MOST_WHY, Round},
};
use super::{
    guard::{Aside, Guard},
    notes::Notes,
};
use alloy_primitives::B256;
use commonware_codec::Encode as _;
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};
use stoa_base::write_private;
use stoa_client::Chain;
use stoa_sandbox::Control;
use tokio::sync::Notify;

/// A job that this node does.
pub(super) struct Session {
    pub(super) id: B256,
    pub(super) job: Job,
    /// What it runs on; nothing if that was not here when this was opened.
    pub(super) data: Option<DataSet>,
    pub(super) folder: PathBuf,
    pub(super) state: Mutex<State>,
    /// A round has ended.
    pub(super) changed: Notify,
    /// Held by whoever changes what has left of any asset.
    pub(super) spending: Arc<Mutex<Aside>>,
}

pub(super) struct State {
    pub(super) done: Done,
    pub(super) code: Option<Arc<[u8]>>,
    /// The program that runs, and since when it was asked for.
    pub(super) running: Option<(Control, Instant)>,
    /// What the running round would leave is looked at.
    pub(super) held: bool,
    /// The newest round that ended, until the next one begins.
    pub(super) left: Option<(u32, Round)>,
    pub(super) heard: Instant,
    /// The node was ended in the first round, and none has ended since.
    pub(super) lost: bool,
    /// The node ends it, for its time is over.
    pub(super) late: bool,
}

impl State {
    /// That of a job which has done so much, and of which a round has `begun`.
    pub(super) fn new(done: Done, begun: bool) -> Self {
        let lost = begun && done.rounds == 0;
        Self { done, code: None, running: None, held: false, left: None, heard: Instant::now(), lost, late: false }
    }

    /// How the running round stands, if one runs.
    pub(super) fn running(&self) -> Option<Round> {
        let (_, since) = self.running.as_ref()?;
        Some(if self.held { Round::Held } else { Round::Running(since.elapsed().as_secs()) })
    }
}

pub(in crate::jobs) fn read<T: DeserializeOwned + Default>(path: &Path) -> io::Result<T> {
    match found(path)? {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
        None => Ok(T::default()),
    }
}

pub(in crate::jobs) fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    write_private(path, &serde_json::to_vec(value).map_err(io::Error::other)?)
}

impl Session {
    /// Whether its receipt may be checked, so that what it is run with is kept.
    pub(super) fn is_checked(&self) -> bool {
        is_checked(&self.job.offer, self.job.runtime)
    }

    pub(super) fn kept(&self) -> Kept {
        Kept::of(&self.folder, self.id)
    }

    /// Notes what the job has done.
    pub(super) fn note(&self, done: &Done) -> io::Result<()> {
        Notes::put(&self.folder, &self.spending, self.id, done)
    }

    /// What may leave to the buyer over all his jobs. What waits for its owner does so for half of the time that a job has at most, or
    /// whoever does not look would always be paid for a job whose time is over.
    pub(super) fn guard<'a>(&'a self, data: &'a DataSet, chain: &'a dyn Chain) -> Guard<'a> {
        let Self { folder, job, spending, .. } = self;
        let (rules, asset, buyer, folder) = (&data.rules, job.asset, job.buyer, folder.clone());
        let patience = rules.patience().min(u64::from(job.offer.time) / 2);
        Guard { rules, asset, folder, buyer, patience, chain, spending }
    }

    /// Lays out what is to leave in a round: for those who check a process, and for a buyer who comes later.
    pub(super) fn lay(&self, round: u32, left: &Round) -> io::Result<Option<Laid>> {
        if self.is_checked() && self.job.runtime == PROCESS {
            self.kept().put_left(round, &left.encode())?;
        }
        let laid = results::lay(&self.folder, (self.id, round), self.job.client.into(), left);
        Ok(laid.inspect_err(|error| self.lost(error)).ok())
    }

    /// Keeps what was laid out, now that it is counted and its round noted; of what could not be, nothing, nor what left before it.
    pub(super) fn keep(&self, laid: Option<Laid>) {
        let kept = laid.map_or_else(|| results::forget(&self.folder, self.id), Laid::keep);
        if let Err(error) = kept {
            self.lost(&error);
        }
    }

    fn lost(&self, error: &io::Error) {
        tracing::warn!(job = %self.id, %error, "what left is not kept for later");
    }

    /// Lets be seen what a round came to. What left was counted and noted with its round before.
    pub(super) fn put(&self, done: Done, round: u32, came: Round) {
        match came {
            Round::Over(ended, why) => self.over(done, round, ended, why),
            left => self.finish(done, round, left),
        }
    }

    fn finish(&self, done: Done, round: u32, left: Round) {
        let mut state = self.state.lock();
        // No round of a job that is over runs any more.
        let code = state.code.take().filter(|_| done.ended.is_none());
        let (left, heard, late) = (Some((round, left)), Instant::now(), state.late);
        *state = State { done, code, running: None, held: false, left, heard, lost: false, late };
        drop(state);
        self.changed.notify_waiters();
    }

    /// Ends the job as one that this node could not do, if it goes on and no round runs.
    pub(super) fn miss(&self, why: &str) {
        let mut state = self.state.lock();
        if state.running.is_some() || state.done.ended.is_some() {
            return;
        }
        (state.done.ended, state.done.why) = (Some(BROKEN), why.to_owned());
        tracing::warn!(job = %self.id, why, "a job cannot be done");
        // Its receipt is not signed before that.
        if let Err(error) = self.note(&state.done) {
            tracing::error!(job = %self.id, %error, "that a job could not be done could not be written down");
        }
    }

    /// Ends the job if something of it waits to be looked at, and no round runs that it is of: the node was ended meanwhile, and nobody
    /// would ever bring it to the buyer.
    pub(super) fn end_held(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.running.is_some() || !Held::jobs(&self.folder).contains(&self.id) {
            return Ok(());
        }
        if state.done.ended.is_none() {
            let why = "the node was restarted while its owner looked at it";
            (state.done.ended, state.done.why) = (Some(BROKEN), why.to_owned());
            self.note(&state.done)?;
        }
        Held::clear(&self.folder, self.id)
    }

    /// Ends the job, for a reason that may be told; if the disk takes no notes, as one that this node could not do.
    pub(super) fn over(&self, done: Done, round: u32, ended: u8, why: impl Into<String>) {
        let mut why: String = why.into();
        // No more than is read of it.
        why.truncate(why.floor_char_boundary(MOST_WHY));
        let over = Done { ended: Some(ended), why: why.clone(), ..done.clone() };
        match self.note(&over) {
            Ok(()) => self.finish(over, round, Round::Over(ended, why)),
            Err(error) => {
                tracing::error!(job = %self.id, %error, "how a job ended could not be written down");
                self.broke(done, round);
            }
        }
    }

    /// Ends the job, for this node could not do a round of it. Its buyer, who pays nothing, is told even if the disk takes no notes.
    pub(super) fn broke(&self, mut done: Done, round: u32) {
        (done.ended, done.why) = (Some(BROKEN), "the node could not do it".to_owned());
        if let Err(error) = self.note(&done) {
            tracing::error!(job = %self.id, %error, "what a job did could not be written down");
        }
        let why = done.why.clone();
        self.finish(done, round, Round::Over(BROKEN, why));
    }
}

//! Bringing what is over to the ledger, whether or not its buyer is heard of again: several receipts at a time, and those of jobs first
//! whose time is over first. The more there are to bring, the earlier jobs are ended for it.

use super::{
    super::{
        abi::{
            DRAWN,
            IJobs::{checkOfCall, drawCall, drawOfCall, finishCall, settleCall},
            JOBS, RUNNING, WAITING,
        },
        held::Held,
        kept::Kept,
        results,
    },
    Computer, SILENCE, Sender,
    notes::Notes,
    own,
    session::Session,
};
use crate::abi::{CONSENT, IConsent::assetOfCall};
use alloy_primitives::B256;
use alloy_sol_types::SolCall as _;
use futures::future::join_all;
use rand::seq::SliceRandom as _;
use std::{collections::HashSet, fs, path::Path, sync::Arc};
use stoa_base::{NodeId, gone, now};
use stoa_client::view;
use stoa_net::Denied;

/// How many seconds before the end of its time a job is ended, so that the receipt comes in time; and how many more for each that is to
/// come after it, where the ledger takes one after the other.
const EARLY: u64 = 30;
const EACH: u64 = 1;

/// The part of its time that a job gives up at most so that others' receipts come in time as well.
const SHARE: u64 = 4;

/// Transactions that are on their way at a time. Before the next ones it is looked again which jobs are to be ended.
const AT_ONCE: usize = 16;

/// By which second jobs are ended, so that their receipts and those of all that end after them come in time. `jobs` are the ends of their
/// time and how many seconds it had, in the order of these ends.
fn ended_by(jobs: &[(u64, u32)]) -> Vec<u64> {
    let mut next = u64::MAX;
    let by = jobs.iter().rev().map(|(until, time)| {
        next = next.saturating_sub(EACH).min(until.saturating_sub(EARLY));
        next.max(until.saturating_sub(EARLY.max(u64::from(*time) / SHARE)))
    });
    let mut by: Vec<_> = by.collect();
    by.reverse();
    by
}

impl Computer {
    /// Brings the receipts of jobs that are over, or whose buyers say nothing any more, to the ledger. What cannot be done is logged,
    /// and done another time.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked.
    pub async fn settle(&self, send: &Sender) -> Result<(), Denied> {
        self.find_again().await?;
        self.end_held().await?;
        let mut tried = HashSet::new();
        let looked = loop {
            let (due, looked) = self.due(&tried).await;
            if due.is_empty() {
                break looked;
            }
            // One that does not go through holds up no other.
            tried.extend(due.iter().map(|session| session.id));
            join_all(due.into_iter().map(|session| self.bring(session, send))).await;
        };
        let let_go = self.let_go(send).await;
        looked.and(let_go)
    }

    /// The jobs of which a receipt is to be brought now and none was `tried` yet, so many as are at once, in the order of the ends of their
    /// time; but those last of which a round still runs, which takes a while to break off. Those that are over on the ledger are
    /// forgotten. Where the ledger cannot be asked about some, the others are there all the same.
    async fn due(&self, tried: &HashSet<B256>) -> (Vec<Arc<Session>>, Result<(), Denied>) {
        let mut sessions: Vec<_> = self.sessions.lock().values().cloned().collect();
        sessions.retain(|session| !tried.contains(&session.id));
        sessions.sort_by_key(|session| (session.job.until, session.id));
        let ends: Vec<_> = sessions.iter().map(|session| (session.job.until, session.job.offer.time)).collect();
        let (mut due, mut looked) = (Vec::new(), Ok(()));
        for (session, by) in sessions.into_iter().zip(ended_by(&ends)) {
            match self.is_due(&session, by).await {
                Ok(true) => due.push(session),
                Ok(false) => {}
                Err(error) => looked = Err(error),
            }
        }
        due.sort_by_cached_key(|session| session.state.lock().running.is_some());
        due.truncate(AT_ONCE);
        (due, looked)
    }

    /// Whether the receipt of a job that is to be ended by that second is to be brought now. A round that runs of it is cancelled then.
    async fn is_due(&self, session: &Session, by: u64) -> Result<bool, Denied> {
        let cancel = || {
            if let Some((control, _)) = &session.state.lock().running {
                control.cancel();
            }
        };
        if self.job(session.id).await?.state != RUNNING {
            cancel();
            self.sessions.lock().remove(&session.id);
            self.forget(&session.folder, session.id);
            return Ok(false);
        }
        let (late, silent, over) = {
            let mut state = session.state.lock();
            // It stays so when there are fewer to bring.
            state.late |= now() > by;
            let silent = state.running.is_none() && state.heard.elapsed() > SILENCE;
            (state.late, silent, state.done.ended.is_some())
        };
        let stands = self.stands(session.id).await?;
        if let Err(ends) = &stands {
            self.end_undone(session).await;
            let mut state = session.state.lock();
            if state.running.is_none() && state.done.ended.is_none() {
                (state.done.ended, state.done.why) = (Some(ends.ended(&state.done)), ends.why.clone());
            }
        }
        let due = over || silent || late || stands.is_err();
        if due {
            cancel();
        }
        Ok(due)
    }

    /// Brings a job's receipt to the ledger.
    async fn bring(&self, session: Arc<Session>, send: &Sender) {
        let Ok((receipt, signature)) = self.receipt(&session).await else { return };
        let call = finishCall { job: session.id, receipt, signature: signature.to_vec().into() };
        let Err(why) = send(call.abi_encode()).await else { return };
        // Its buyer may have been first.
        let over = self.job(session.id).await.is_ok_and(|job| job.state != RUNNING);
        if !over {
            tracing::warn!(job = %session.id, why, "the receipt of a job could not be brought to the ledger");
        }
    }

    /// Has its finished jobs drawn, and checks settled whose time is over; what jobs were run with, and would have left, goes when nobody
    /// asks any more.
    async fn let_go(&self, send: &Sender) -> Result<(), Denied> {
        let mut calls = Vec::new();
        for asset in fs::read_dir(&self.folder).map_err(own)?.flatten() {
            results::sweep(&asset.path()).map_err(own)?;
            for id in Held::jobs(&asset.path()) {
                if self.job(id).await.is_ok_and(|job| job.state != RUNNING) {
                    Held::clear(&asset.path(), id).map_err(own)?;
                }
            }
            for id in Kept::all(&asset.path()) {
                match self.next_call(&asset.path(), id).await {
                    Ok(call) => calls.extend(call.map(|call| (id, call))),
                    Err(error) => tracing::warn!(job = %id, %error, "what a job was run with cannot be seen to"),
                }
            }
        }
        // Receipts do not wait for more than these, and those that do not go through are not always among them.
        calls.shuffle(&mut rand::rng());
        join_all(calls.into_iter().take(AT_ONCE).map(|(id, call)| async move {
            if let Err(why) = send(call).await {
                tracing::warn!(job = %id, why, "the check of a job does not go on");
            }
        }))
        .await;
        Ok(())
    }

    /// What is to be called for the check of a job to go on, if anything is. What the job was run with goes if nobody asks any more.
    async fn next_call(&self, asset: &Path, job: B256) -> Result<Option<Vec<u8>>, Denied> {
        if self.job(job).await?.state == RUNNING {
            return Ok(None);
        }
        let (check, at) = view(&*self.chain, JOBS, &checkOfCall { job }).await.map_err(own)?;
        Ok(match check.state {
            WAITING => {
                let may = self.asks(JOBS, &drawOfCall { job }).await.is_ok();
                may.then(|| drawCall { job }.abi_encode())
            }
            DRAWN => (at.timestamp > check.revealing).then(|| settleCall { job }.abi_encode()),
            _ => {
                Kept::of(asset, job).remove().map_err(own)?;
                None
            }
        })
    }

    /// Ends jobs of which something waited to be looked at when this node was ended.
    async fn end_held(&self) -> Result<(), Denied> {
        for asset in fs::read_dir(&self.folder).map_err(own)?.flatten() {
            for id in Held::jobs(&asset.path()) {
                let Ok(job) = self.job(id).await else { continue };
                if job.state == RUNNING
                    && let Ok(session) = self.session(NodeId::from(job.client), id).await
                {
                    session.end_held().map_err(own)?;
                }
            }
        }
        Ok(())
    }

    /// Opens jobs again that this node had begun before it was ended.
    async fn find_again(&self) -> Result<(), Denied> {
        for asset in fs::read_dir(&self.folder).map_err(own)?.flatten().filter(|asset| asset.path().is_dir()) {
            // Other assets' jobs go on where an asset's notes are damaged.
            let Ok(noted) = Notes::all(&asset.path()).map_err(own) else { continue };
            for id in noted {
                if self.sessions.lock().contains_key(&id) {
                    continue;
                }
                match self.job(id).await {
                    Ok(job) if job.state == RUNNING => drop(self.session(NodeId::from(job.client), id).await),
                    Ok(_) => self.forget(&asset.path(), id),
                    // It may be behind. Nothing is forgotten, and the others go on.
                    Err(error) => {
                        tracing::warn!(job = %id, %error, "the ledger tells nothing of a job that is noted here")
                    }
                }
            }
        }
        Ok(())
    }

    /// Deletes the data of an asset that its owner has erased, once no job here needs them: those that go on end first, for no grant of
    /// theirs stands any more. What has left, and results that wait for their buyers, stay.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub(crate) async fn let_go_of(&self, asset: B256, folder: &Path) -> Result<(), Denied> {
        let files = folder.join("files");
        if !files.exists() {
            return Ok(());
        }
        // A ledger that knows of no such asset says nothing of its end.
        let erased = self.asks(CONSENT, &assetOfCall { asset }).await.is_ok_and(|is| is.erased > 0);
        let runs = || self.sessions.lock().values().any(|session| session.job.asset == asset);
        if erased && !runs() && Notes::read(folder).map_err(own)?.jobs.is_empty() {
            fs::remove_dir_all(&files).or_else(gone).map_err(own)?;
            tracing::info!(%asset, "its owner has erased it, and its data are deleted here");
        }
        Ok(())
    }

    /// Forgets what a job has done that is over.
    fn forget(&self, asset: &Path, job: B256) {
        if let Err(error) = Notes::forget(asset, &self.spending, job) {
            tracing::warn!(%job, %error, "what a job has done that is over is still noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_receipts_are_to_come_the_earlier_jobs_are_ended_but_none_gives_up_more_than_a_part_of_its_time() {
        const HOUR: u32 = 3600;
        assert!(ended_by(&[]).is_empty());
        assert_eq!(ended_by(&[(10_000, HOUR)]), [9_970]);
        assert_eq!(ended_by(&[(10_000, HOUR); 3]), [9_968, 9_969, 9_970]);
        assert_eq!(ended_by(&[(9_999, HOUR), (10_000, HOUR)]), [9_969, 9_970]);
        // Those that end much later have time enough.
        assert_eq!(ended_by(&[(10_000, HOUR), (20_000, HOUR), (20_000, HOUR)]), [9_970, 19_969, 19_970]);
        let many = ended_by(&[(10_000, HOUR); 256]);
        assert!(many[0] == 9_970 - 255 && many.is_sorted());
        let longer = ended_by(&[(10_000, 200); 256]);
        assert_eq!((longer[0], longer[235], longer[236], longer[255]), (9_950, 9_950, 9_951, 9_970));
        // Of two minutes and less no more than for one.
        assert_eq!([120, 30, 1].map(|time| ended_by(&[(10_000, time); 200])[0]), [9_970; 3]);
    }
}

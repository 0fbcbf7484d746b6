//! Bringing what is over to the ledger, whether or not its buyer is heard of again.

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
    Computer, EARLY, SILENCE, Sender,
    notes::Notes,
    own,
};
use crate::abi::{CONSENT, IConsent::assetOfCall};
use alloy_primitives::B256;
use alloy_sol_types::SolCall as _;
use std::{fs, path::Path};
use stoa_base::{NodeId, gone, now};
use stoa_client::view;
use stoa_net::Denied;

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
        let sessions: Vec<_> = self.sessions.lock().values().cloned().collect();
        for session in sessions {
            let job = self.job(session.id).await?;
            if job.state != RUNNING {
                if let Some((control, _)) = &session.state.lock().running {
                    control.cancel();
                }
                self.sessions.lock().remove(&session.id);
                self.forget(&session.folder, session.id);
                continue;
            }
            let late = now() + EARLY > job.until;
            let (silent, over) = {
                let mut state = session.state.lock();
                state.late = late;
                (state.running.is_none() && state.heard.elapsed() > SILENCE, state.done.ended.is_some())
            };
            let stands = self.stands(session.id).await?;
            if let Err(ends) = &stands {
                self.end_undone(&session).await;
                let mut state = session.state.lock();
                if state.running.is_none() && state.done.ended.is_none() {
                    (state.done.ended, state.done.why) = (Some(ends.ended(&state.done)), ends.why.clone());
                }
            }
            if over || silent || late || stands.is_err() {
                let Ok((receipt, signature)) = self.receipt(&session).await else { continue };
                let call = finishCall { job: session.id, receipt, signature: signature.to_vec().into() };
                if let Err(why) = send(call.abi_encode()).await
                    // Its buyer may have been first.
                    && self.job(session.id).await?.state == RUNNING
                {
                    tracing::warn!(job = %session.id, why, "the receipt of a job could not be brought to the ledger");
                }
            }
        }
        self.let_go(send).await
    }

    /// Has its finished jobs drawn, and checks settled whose time is over; what jobs were run with, and would have left, goes when nobody
    /// asks any more.
    async fn let_go(&self, send: &Sender) -> Result<(), Denied> {
        for asset in fs::read_dir(&self.folder).map_err(own)?.flatten() {
            results::sweep(&asset.path()).map_err(own)?;
            for id in Held::jobs(&asset.path()) {
                if self.job(id).await.is_ok_and(|job| job.state != RUNNING) {
                    Held::clear(&asset.path(), id).map_err(own)?;
                }
            }
            for id in Kept::all(&asset.path()) {
                if self.job(id).await?.state == RUNNING {
                    continue;
                }
                let (check, at) = view(&*self.chain, JOBS, &checkOfCall { job: id }).await.map_err(own)?;
                let call = match check.state {
                    WAITING => {
                        let may = self.asks(JOBS, &drawOfCall { job: id }).await.is_ok();
                        may.then(|| drawCall { job: id }.abi_encode())
                    }
                    DRAWN => (at.timestamp > check.revealing).then(|| settleCall { job: id }.abi_encode()),
                    _ => {
                        Kept::of(&asset.path(), id).remove().map_err(own)?;
                        continue;
                    }
                };
                if let Some(call) = call
                    && let Err(why) = send(call).await
                {
                    tracing::warn!(job = %id, why, "the check of a job does not go on");
                }
            }
        }
        Ok(())
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
                let job = self.job(id).await?;
                match job.state {
                    RUNNING => drop(self.session(NodeId::from(job.client), id).await),
                    _ => self.forget(&asset.path(), id),
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

//! Having those drawn who check a job. Its node and its auditors see to that as well, but it is the buyer who gains by it: a job that nobody
//! has drawn while the randomness is kept is spared.

use super::{Result, said};
use crate::{
    client::DataError,
    jobs::abi::{
        IJobs::{IJobsErrors, checkOfCall, drawCall, drawOfCall},
        JOBS, WAITING,
    },
};
use alloy_primitives::B256;
use std::time::{Duration, Instant};
use stoa_client::{Wallet, view};
use tokio::time::sleep;

/// How long is waited for the blocks that draw, and how often is looked whether they are there.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(300);

/// Has those drawn who check a job, if its receipt is there and anybody is to check it. Whether there is nothing left to draw: before the
/// third block after the receipt's there is.
///
/// # Errors
///
/// If there is no such job, or the ledger refuses.
pub async fn draw(wallet: &Wallet, job: B256) -> Result<bool> {
    if !waits(wallet, job).await? {
        return Ok(true);
    }
    match view(wallet.client(), JOBS, &drawOfCall { job }).await {
        Ok((auditors, _)) if auditors.is_empty() => return Ok(true),
        Ok(_) => {}
        Err(error) if error.reason::<IJobsErrors>().is_some() => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    let drawn = wallet.call(JOBS, &drawCall { job }).await;
    // Somebody else may have been first.
    if drawn.is_err() && !waits(wallet, job).await? {
        return Ok(true);
    }
    drawn.map(|_| true).map_err(said)
}

/// As [`draw`], for jobs whose receipts have just come: waits for the blocks that draw, some seconds at most.
///
/// # Errors
///
/// As [`draw`], or if those blocks do not come.
pub async fn draw_soon(wallet: &Wallet, jobs: impl IntoIterator<Item = B256>) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    for job in jobs {
        while !draw(wallet, job).await? {
            if Instant::now() > until {
                return Err(DataError::Ledger(format!("the block that draws who checks job {job} does not come")));
            }
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Whether the check of a job waits for the draw.
async fn waits(wallet: &Wallet, job: B256) -> Result<bool> {
    let check = view(wallet.client(), JOBS, &checkOfCall { job }).await.map_err(|error| said(error.into()))?;
    Ok(check.0.state == WAITING)
}

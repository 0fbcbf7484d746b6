//! What anybody sees of a job, and what whoever has the data finds who runs it again.

use super::{CHECKS, ENDS, STATES, UNASKED, known};
use crate::{output::AlreadySaid, progress::progress, wallet::WalletOptions};
use alloy_primitives::{B256, U256};
use clap::Args;
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};
use stoa_client::counted;
use stoa_data::jobs::{
    self,
    abi::{
        IJobs::{checkOfCall, jobOfCall, jobsOfCall, receiptOfCall},
        JOBS, WASM,
    },
    check::{begun, differs},
    data::DataSet,
};
use stoa_sandbox::{Control, Wasm};

/// Jobs that one question brings.
const PAGE: usize = 100;

/// Options of `stoa job verify`.
#[derive(Args)]
pub(crate) struct VerifyOptions {
    /// The job.
    #[arg(value_parser = crate::typed::id)]
    job: B256,
    /// The program that the job ran.
    #[arg(long, value_name = "FILE")]
    algorithm: PathBuf,
    /// The node's folder of data, or one that `stoa job copy` filled.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The folder with the parameters of the rounds, which `stoa job run` left in its own.
    #[arg(long, value_name = "DIR")]
    params: PathBuf,
}

/// Puts what lies in a folder in the order of its numbers, of which those beyond 999 are longer.
pub(crate) fn by_number(paths: &mut [PathBuf]) {
    paths.sort_by_cached_key(|path| (path.as_os_str().len(), path.clone()));
}

/// The files of a folder in the order of their numbers.
pub(crate) fn params(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let cannot = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(folder).wrap_err_with(cannot)?.collect::<Result<Vec<_>, _>>().wrap_err_with(cannot)?;
    let mut paths: Vec<_> = entries.iter().map(fs::DirEntry::path).collect();
    by_number(&mut paths);
    let read = |path: &PathBuf| fs::read(path).wrap_err_with(|| format!("cannot read {}", path.display()));
    paths.iter().map(read).collect()
}

/// Which rounds are not run again, of which there are parameters, and why; nothing if all are.
fn left_out(begun: usize, noted: usize) -> Option<String> {
    let why = "the receipt says that nothing was run with the parameters that are there";
    match noted - begun {
        0 => None,
        1 => Some(format!("round {noted} is left out: {why}")),
        _ => Some(format!("rounds {} to {noted} are left out: {why}", begun + 1)),
    }
}

pub(super) async fn verify(options: VerifyOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let VerifyOptions { job: id, algorithm, data, params: folder } = options;
    let client = wallet.client();
    let job = known(&client, id).await?;
    let signed = stoa_client::view(&client, JOBS, &receiptOfCall { job: id }).await?.0;
    ensure!(signed.number > 0, "job {id} has no receipt yet");
    ensure!(job.runtime == WASM, "job {id} was run as a process: another run need not come to the same");
    let code = fs::read(&algorithm).wrap_err_with(|| format!("cannot read {}", algorithm.display()))?;
    let hash = jobs::algorithm(&code);
    ensure!(hash == job.algorithm, "job {id} ran the program {}; {} is {hash}", job.algorithm, algorithm.display());
    let set = DataSet::open(&data.join(job.asset.to_string())).wrap_err_with(|| {
        format!("{} has no data of asset {} (`stoa job copy` puts them there)", data.display(), job.asset)
    })?;
    ensure!(set.hash == job.offer.data, "the data of asset {} there are not those that were offered", job.asset);
    ensure!(set.rules.hash() == job.offer.rules, "the rules there are not those that were offered");
    let ran = !signed.receipt.params.is_zero();
    ensure!(ran, "job {id} was over before its first round, as its receipt says: there is nothing to run again");
    let (mut params, runtime) = (params(&folder)?, Wasm::new(None)?);
    let (begun, noted) = (begun(&params, &signed.receipt), params.len());
    if let Some(left_out) = left_out(begun, noted) {
        tracing::warn!("{left_out}");
        params.truncate(begun);
    }
    let bar = progress("running it again");
    let (output, receipt) = (signed.receipt.output, signed.receipt);
    let work = move || {
        let again = jobs::rerun(&runtime, id, &job, &set, &code, &params, &Control::new())?;
        let differs = differs(&again, &params, &receipt);
        eyre::Ok((again.receipt, differs))
    };
    let again = tokio::task::spawn_blocking(work).await?;
    bar.finish_and_clear();
    let (again, differs) = again?;
    let why = (!differs.is_empty())
        .then(|| format!("another run comes to something else than the receipt says: {}", differs.join(", ")));
    if json {
        let mut said = json!({
            "job": id, "same": differs.is_empty(), "differs": differs, "output": again.output, "rounds": begun,
            "leftOut": noted - begun,
        });
        let ended = AlreadySaid::within(&mut said, why);
        println!("{said}");
        return Ok(ended?);
    }
    if let Some(why) = why {
        bail!(why);
    }
    println!("another run comes to the same, bit for bit: output {output}");
    Ok(())
}

/// Lists the jobs on an asset, in the order in which they began.
pub(super) async fn list(asset: B256, wallet: &WalletOptions, json: bool) -> Result<()> {
    let client = wallet.client();
    let mut said = Vec::new();
    loop {
        let (from, most) = (U256::from(said.len()), U256::from(PAGE));
        let jobs = stoa_client::view(&client, JOBS, &jobsOfCall { asset, from, most }).await;
        let (jobs, _) = jobs.wrap_err(UNASKED)?;
        for job in &jobs {
            let (is, _) = stoa_client::view(&client, JOBS, &jobOfCall { job: *job }).await?;
            let state = STATES.get(usize::from(is.state)).wrap_err("a state")?;
            if !json {
                println!("{job}  {state:<9} {}", is.buyer);
            }
            said.push(json!({
                "job": job, "state": state, "buyer": is.buyer, "algorithm": is.algorithm, "started": is.started,
                "held": is.locked,
            }));
        }
        if jobs.len() < PAGE {
            break;
        }
    }
    match json {
        true => println!("{}", json!({ "asset": asset, "jobs": said })),
        false if said.is_empty() => println!("there are none"),
        false => {}
    }
    Ok(())
}

pub(super) async fn show(job: B256, wallet: &WalletOptions, json: bool) -> Result<()> {
    let client = wallet.client();
    let is = known(&client, job).await?;
    let kept = stoa_client::view(&client, JOBS, &receiptOfCall { job }).await?.0;
    let (check, _) = stoa_client::view(&client, JOBS, &checkOfCall { job }).await?;
    let check_state = CHECKS.get(usize::from(check.state)).wrap_err("a state of a check")?;
    let state = STATES.get(usize::from(is.state)).wrap_err("a state")?;
    let ended = (kept.number > 0).then(|| ENDS.get(usize::from(kept.receipt.ended))).flatten();
    if json {
        let receipt = ended.map(|ended| {
            let receipt = &kept.receipt;
            json!({
                "ended": ended, "block": kept.number, "rounds": receipt.rounds, "steps": receipt.fuel, "data": receipt.data,
                "params": receipt.params, "runtime": receipt.runtime, "output": receipt.output,
            })
        });
        let said = json!({
            "job": job, "state": state, "buyer": is.buyer, "asset": is.asset, "grant": is.grant, "use": is.used,
            "order": (!is.order.is_zero()).then_some(is.order), "algorithm": is.algorithm, "node": is.offer.node, "data": is.offer.data, "rules": is.offer.rules,
            "steps": is.fuel, "held": is.locked, "started": is.started, "until": is.until, "receipt": receipt,
            "runtime": is.runtime, "check": {
                "state": check_state, "auditors": check.auditors, "committed": check.committed, "revealed": check.revealed,
                "committing": check.committing, "revealing": check.revealing, "reserved": check.reserved,
            },
        });
        println!("{said}");
        return Ok(());
    }
    println!("job        {job}, {state}");
    println!("buyer      {}", is.buyer);
    println!("asset      {}", is.asset);
    println!("grant      {}, use {}", is.grant, is.used);
    if !is.order.is_zero() {
        println!("order      {}", is.order);
    }
    println!("algorithm  {}", is.algorithm);
    println!("node       {}", is.offer.node);
    println!("data       {}", is.offer.data);
    println!("rules      {}", is.offer.rules);
    if let Some(ended) = ended {
        let receipt = &kept.receipt;
        println!(
            "receipt    in block {}: {ended} after {}, {}",
            kept.number,
            counted(receipt.rounds.into(), "round"),
            counted(receipt.fuel, "step")
        );
        println!("output     {}", receipt.output);
        println!("runtime    {}", receipt.runtime);
        println!("check      {check_state}");
        check.auditors.iter().for_each(|auditor| println!("           by {auditor}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::run::params_of;

    #[test]
    fn rounds_that_were_not_run_are_named_and_not_run_again() {
        assert_eq!([left_out(3, 3), left_out(0, 0)], [None, None]);
        assert!(left_out(2, 3).is_some_and(|said| said.starts_with("round 3 is left out")));
        assert!(left_out(1, 3).is_some_and(|said| said.starts_with("rounds 2 to 3 are left out")));
    }

    #[test]
    fn parameters_of_many_rounds_are_read_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let rounds = [1, 2, 10, 999, 1000, 1001, 9999, 10_000];
        for round in rounds {
            let place = folder.path().join(params_of(round));
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, round.to_string()).unwrap();
        }
        let read = params(&folder.path().join(crate::job::PARAMS)).unwrap();
        assert_eq!(read, rounds.map(|round| round.to_string().into_bytes()));
    }
}

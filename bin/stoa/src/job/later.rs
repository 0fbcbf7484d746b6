//! Jobs that go on while nobody waits for them, and results that wait for somebody to look at them.

use super::{
    ENDS, known,
    run::{PROVENANCE, UNDRAWN, begun_by, buyer, drawn, left_of, log_of, noted, params_of, receipt},
};
use crate::wallet::WalletOptions;
use alloy_primitives::{Address, B256};
use clap::Args;
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};
use stoa_base::now;
use stoa_client::{counted, utc};
use stoa_data::jobs::{
    Files,
    abi::{FINISHED, RUNNING},
    client::{self, Begun, Ended, Left},
    held::Held,
    outputs_hash,
    rounds::write,
    units,
    wire::Round,
};

/// Options of `stoa job result`.
#[derive(Args)]
pub(crate) struct ResultOptions {
    /// The job.
    #[arg(value_parser = crate::typed::id)]
    job: B256,
    /// Folder for what left; must not be there yet.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Folder of what this machine knows of the jobs that it began (`stoa job run --dir`): their parameters.
    #[arg(long, value_name = "DIR", default_value = ".stoa")]
    dir: PathBuf,
}

/// Options of `stoa job approve`.
#[derive(Args)]
pub(crate) struct ApproveOptions {
    #[command(flatten)]
    of: DecisionOptions,
    /// The digest of what you have looked at, as `stoa job held` printed it: nothing else leaves.
    #[arg(long, value_name = "HASH", value_parser = crate::typed::id)]
    digest: B256,
}

/// Options of `stoa job refuse`.
#[derive(Args)]
pub(crate) struct DecisionOptions {
    /// The job.
    #[arg(value_parser = crate::typed::id)]
    job: B256,
    /// The node's folder of data (`stoa follow --data`).
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// How a round stands, in words.
pub(super) fn told(round: &Round) -> String {
    match round {
        Round::Running(seconds) => format!("{seconds} s"),
        Round::Held => "waits for its owner to look at what would leave".into(),
        Round::Left { .. } => "has left something".into(),
        Round::Over(ended, why) => {
            let ended = ENDS.get(usize::from(*ended)).copied().unwrap_or("ended");
            format!("{ended}: {why}")
        }
        Round::Idle => "waits for its buyer".into(),
    }
}

fn name(round: &Round) -> &'static str {
    match round {
        Round::Running(_) => "running",
        Round::Held => "held",
        Round::Left { .. } => "left",
        Round::Over(..) => "over",
        Round::Idle => "idle",
    }
}

/// Shows how a job stands, on the ledger and at its node.
pub(super) async fn status(job: B256, wallet: &WalletOptions, json: bool) -> Result<()> {
    let account = wallet.open().await?;
    let (buyer, endpoint) = buyer(&account).await?;
    let (begun, is) = buyer.again(job).await?;
    let state = super::STATES.get(usize::from(is.state)).wrap_err("a state")?;
    let round = if is.state == RUNNING { Some(buyer.status(&begun).await) } else { None };
    let ended = buyer.ended(job).await;
    endpoint.close().await;
    // What the ledger knows is told whether or not the node answers.
    let ended = ended?;
    if ended.is_some()
        && let Err(error) = client::draw(&account, job).await
    {
        tracing::warn!("{UNDRAWN}: {error}");
    }
    if json {
        let node = round.as_ref().map(|round| match round {
            Ok(round) => json!({ "round": name(round), "told": told(round) }),
            Err(error) => json!({ "error": error.to_string() }),
        });
        let receipt = ended.as_ref().map(|ended| receipt(&begun, ended, ""));
        let said = json!({
            "job": job, "asset": is.asset, "state": state, "node": node, "until": is.until, "receipt": receipt,
        });
        println!("{said}");
        return Ok(());
    }
    match (round, ended) {
        (Some(Ok(round)), _) => println!("{state}; {}", told(&round)),
        (Some(Err(error)), _) => {
            println!("{state} until {}; its node does not tell how it stands ({error})", utc(is.until));
        }
        (None, Some(ended)) => println!("{state}: {}", over(&begun, &ended)),
        (None, None) => println!("{state}"),
    }
    Ok(())
}

/// How a job ended, and what it cost, in words.
fn over(begun: &Begun, ended: &Ended) -> String {
    let how = ENDS.get(usize::from(ended.receipt.ended)).copied().unwrap_or("ended");
    let [paid, back] = [ended.paid, ended.refunded].map(|amount| units(amount, begun.token));
    format!("{how} after {}; {paid} paid, {back} back", counted(ended.receipt.rounds.into(), "round"))
}

fn tell(begun: &Begun, ended: &Ended, more: Value, json: bool) -> Result<()> {
    if json {
        let receipt = receipt(begun, ended, "");
        let mut said = json!({ "job": begun.job, "asset": begun.asset, "receipt": receipt });
        if let (Some(said), Value::Object(more)) = (said.as_object_mut(), more) {
            said.extend(more);
        }
        println!("{said}");
        return Ok(());
    }
    let (paid, back) = (units(ended.paid, begun.token), units(ended.refunded, begun.token));
    println!("job {} on {}: {paid} paid, {back} back", begun.job, begun.asset);
    Ok(())
}

/// The parameters of a job's rounds, so far as they are noted.
fn sent(dir: &Path, job: B256) -> Vec<Vec<u8>> {
    (1..).map_while(|round| fs::read(noted(dir, job, round)).ok()).collect()
}

/// What left in the newest round of a job, as `stoa job run` leaves it, and with which parameters. Which round that is, counted from 1, its
/// receipt says: what is noted on this machine may be less, or more, as of a round that was never run.
fn fetched_of(asset: B256, round: Option<usize>, params: Vec<Vec<u8>>, left: &Left) -> Files {
    let mut files: Files = left.files.iter().map(|(path, bytes)| (format!("{asset}/{path}"), bytes.clone())).collect();
    if let Some(round) = round {
        files.extend(left_of(asset, round, left.files.clone()));
        files.extend(left.log.as_ref().map(|log| (log_of(asset, round), log.clone().into_bytes())));
    }
    files.extend((1..).zip(params).map(|(number, params)| (params_of(number), params)));
    files
}

/// Fetches what left, and ends the job.
pub(super) async fn result(options: ResultOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let ResultOptions { job, to, dir } = options;
    if to.symlink_metadata().is_ok() {
        bail!("{} is there already", to.display());
    }
    let account = wallet.open().await?;
    let (buyer, endpoint) = buyer(&account).await?;
    let fetching = async {
        let (begun, is) = buyer.again(job).await?;
        ensure!([RUNNING, FINISHED].contains(&is.state), "job {job} came to nothing (`stoa job show`)");
        if is.state == RUNNING {
            match buyer.status(&begun).await? {
                Round::Left { .. } => {}
                Round::Over(_, why) => {
                    buyer.end(&begun).await?;
                    bail!("nothing left of job {job}: {why}");
                }
                round => bail!("job {job} is not done: {}", told(&round)),
            }
        }
        let left = buyer.result(&begun).await?;
        let params = sent(&dir, job);
        if params.is_empty() {
            tracing::warn!("{} does not know the job's parameters: no audit compares them", dir.display());
        }
        let provenance = begun_by(is.algorithm, &[(job, is.asset)]);
        let ended = buyer.end(&begun).await;
        // What left is put there whether or not the receipt has come.
        let round = ended.as_ref().ok().map(|ended| ended.receipt.rounds as usize).filter(|round| *round > 0);
        let mut files = fetched_of(is.asset, round, params, &left);
        files.insert(PROVENANCE.to_owned(), serde_json::to_vec_pretty(&provenance)?);
        write(&to, &files)?;
        Ok((ended?, begun, left))
    };
    let fetched = fetching.await;
    endpoint.close().await;
    let (ended, begun, left) = fetched?;
    drawn(&account, [job]).await;
    if let Some(log) = &left.log {
        eprintln!("{}", log.trim_end());
    }
    if !json {
        println!("{}", to.display());
    }
    tell(&begun, &ended, json!({ "to": to }), json)
}

/// Ends a job that its buyer does not want any more.
pub(super) async fn cancel(job: B256, wallet: &WalletOptions, json: bool) -> Result<()> {
    let account = wallet.open().await?;
    let (buyer, endpoint) = buyer(&account).await?;
    let cancelling = async {
        let (begun, _) = buyer.again(job).await?;
        buyer.stop(job).await?;
        let ended = buyer.end(&begun).await;
        Ok::<_, eyre::Report>((begun, ended))
    };
    let cancelled = cancelling.await;
    endpoint.close().await;
    let (begun, ended) = cancelled?;
    let ended = ended.wrap_err("the job is stopped, but its node has given no receipt yet: it brings it by itself")?;
    drawn(&account, [job]).await;
    tell(&begun, &ended, Value::Null, json)
}

/// Takes what a token did not pay out.
pub(super) async fn withdraw(token: Address, to: Option<Address>, wallet: &WalletOptions, json: bool) -> Result<()> {
    let wallet = wallet.open().await?;
    let to = to.unwrap_or(wallet.address());
    let amount = client::withdraw(&wallet, token, to).await?;
    match json {
        true => println!("{}", json!({ "token": token, "to": to, "amount": amount })),
        false => println!("{} to {to}", units(amount, token)),
    }
    Ok(())
}

/// Takes back what is held for a job whose receipt did not come.
pub(super) async fn expire(job: B256, wallet: &WalletOptions, json: bool) -> Result<()> {
    let wallet = wallet.open().await?;
    let is = known(wallet.client(), job).await?;
    ensure!(is.state == RUNNING, "job {job} is over (`stoa job show`)");
    let now = now();
    ensure!(now > is.until, "its node has {} yet", counted(is.until - now, "second"));
    client::expire(&wallet, job).await?;
    match json {
        true => println!("{}", json!({ "job": job, "refunded": is.locked })),
        false => println!("{} back", units(is.locked, is.offer.token)),
    }
    Ok(())
}

/// What waits in a node's folder of data.
fn waiting(data: &Path) -> Result<Vec<Held>> {
    let cannot = || format!("cannot read {}", data.display());
    let found = fs::read_dir(data).wrap_err_with(cannot)?.collect::<Result<Vec<_>, _>>().wrap_err_with(cannot)?;
    // Of one where nothing was offered yet there is nothing to tell it by.
    let of_asset = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().parse::<B256>().is_ok();
    ensure!(
        found.is_empty() || found.iter().any(of_asset),
        "{} is no node's folder of data: nothing of an asset lies in it. Want the one of `stoa follow --data DIR`",
        data.display()
    );
    Held::all(data).wrap_err_with(cannot)
}

/// Lists what waits for an owner to look at it.
pub(super) fn held(data: &Path, json: bool) -> Result<()> {
    let all = waiting(data)?;
    let mut said = Vec::new();
    for held in &all {
        let files = held.files()?;
        let digest = outputs_hash([&files]);
        let sizes: Vec<_> = files.into_iter().map(|(path, bytes)| (path, bytes.len())).collect();
        if !json {
            println!("{}  round {} on {}, in {}", held.job, held.round + 1, held.asset, held.folder.display());
            println!("    digest {digest}");
            sizes.iter().for_each(|(path, size)| println!("    {path}, {}", counted(*size as u64, "byte")));
        }
        let files: Vec<_> = sizes.iter().map(|(path, size)| json!({ "path": path, "bytes": size })).collect();
        said.push(json!({
            "job": held.job, "asset": held.asset, "round": held.round + 1, "folder": held.folder, "digest": digest, "files": files,
        }));
    }
    match json {
        true => println!("{}", json!({ "held": said })),
        false if all.is_empty() => println!("nothing waits"),
        false => {}
    }
    Ok(())
}

/// Lets what waits of a job leave, if it is what was looked at.
pub(super) fn approve(options: &ApproveOptions, json: bool) -> Result<()> {
    decide(&options.of, Some(options.digest), json)
}

/// Lets nothing leave of what waits of a job.
pub(super) fn refuse(options: &DecisionOptions, json: bool) -> Result<()> {
    decide(options, None, json)
}

fn decide(options: &DecisionOptions, approved: Option<B256>, json: bool) -> Result<()> {
    let DecisionOptions { job, data } = options;
    let leaves = approved.is_some();
    let all = waiting(data)?;
    let mut of: Vec<_> = all.into_iter().filter(|held| held.job == *job).collect();
    let held = of.pop().wrap_err_with(|| format!("nothing of job {job} waits (`stoa job held`)"))?;
    approved.map_or_else(|| held.refuse(), |digest| held.approve(digest))?;
    match json {
        true => println!("{}", json!({ "job": job, "round": held.round + 1, "leaves": leaves })),
        false if leaves => println!("it leaves once its node sees this"),
        false => println!("it stays, and the job ends"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fetched_lies_as_what_somebody_waited_for() {
        let asset = B256::repeat_byte(2);
        let files = Files::from([("result.json".to_owned(), b"1".to_vec())]);
        let left = Left { files, log: Some("hello\n".into()) };
        let paths = |round, params| fetched_of(asset, round, params, &left).into_keys().collect::<Vec<_>>();
        let at = |path: &str| path.replace("ASSET", &asset.to_string());
        let want = ["ASSET/result.json", "left/ASSET/001/result.json", "logs/ASSET/001.txt"].map(at);
        assert_eq!(paths(Some(1), vec![]), want);
        // Of several rounds it is the newest that is fetched, whatever is noted here.
        let newest = ["ASSET/result.json", "left/ASSET/002/result.json", "logs/ASSET/002.txt"].map(at).to_vec();
        let params = [1, 2, 3].map(params_of);
        for noted in [0, 2, 3] {
            let want = [&newest[..], &params[..noted]].concat();
            assert_eq!(paths(Some(2), vec![b"{}".to_vec(); noted]), want);
        }
        // Nobody knows which it was.
        assert_eq!(paths(None, vec![]), ["ASSET/result.json"].map(at));
    }

    #[test]
    fn a_folder_that_is_no_nodes_is_not_taken_for_one_where_nothing_waits() {
        let folder = tempfile::tempdir().unwrap();
        let why = |folder: &Path| waiting(folder).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(why(&folder.path().join("nothing")).starts_with("cannot read"));
        assert_eq!(why(folder.path()), "", "nothing is offered there yet");
        fs::create_dir_all(folder.path().join("store")).unwrap();
        assert!(why(folder.path()).contains("is no node's folder of data"));
        fs::create_dir_all(folder.path().join(B256::repeat_byte(1).to_string())).unwrap();
        assert_eq!(why(folder.path()), "");
    }
}

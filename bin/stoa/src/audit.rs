//! `stoa audit`: what led to a receipt, from the network key alone.

use crate::{
    job::{LEFT, PARAMS, by_number, params},
    network::wait,
    output::AlreadySaid,
    progress::progress,
};
use alloy_primitives::{B256, Bytes};
use clap::Args;
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure, eyre};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};
use stoa_client::{Client, counted, plain};
use stoa_data::{
    audit::{Audit, Evidence, Material, Shown},
    jobs::{
        Files,
        data::{DataSet, source_hash},
    },
};

/// Options of `stoa audit`.
#[derive(Args)]
pub(crate) struct Options {
    /// The job, the transaction that ended it, or a file that an earlier audit wrote: then nobody is asked.
    #[arg(value_name = "JOB|FILE")]
    what: String,
    /// The key that verifies the network's certificates (`stoa status` shows it; get it from people whom you trust).
    #[arg(long, value_name = "HEX", value_parser = crate::typed::network_key)]
    network_key: Bytes,
    /// Hash of the chain's block 0, if you know it (`stoa status --json` says it, as `genesisHash`): evidence of another chain with the same
    /// key is refused.
    #[arg(long, value_name = "HASH", value_parser = genesis)]
    genesis: Option<B256>,
    /// The node that is asked. It need not be trusted.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    http: String,
    /// The program, to be compared with the one that ran.
    #[arg(long, value_name = "FILE")]
    algorithm: Option<PathBuf>,
    /// The source of the program, if one was published (`stoa algo publish --source`): it is compared with that. That the program is built
    /// from it, a build tells.
    #[arg(long, value_name = "FILE|DIR")]
    source: Option<PathBuf>,
    /// The folder that `stoa job run` or `stoa job result` left: parameters, and results where those of all rounds are there, are compared
    /// with those of the receipt.
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// A node's folder of data, if you may see them: they are compared, and with --algorithm and --run the job is run again.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Write it as a page with the graph drawn, which holds the evidence.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write it as W3C PROV (JSON-LD), which holds the evidence.
    #[arg(long, value_name = "FILE")]
    prov: Option<PathBuf>,
    /// Write it as an in-toto statement with SLSA provenance, which holds the evidence.
    #[arg(long, value_name = "FILE")]
    in_toto: Option<PathBuf>,
    /// Write the evidence alone, as JSON.
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
}

/// The hash of block 0.
fn genesis(text: &str) -> Result<B256, String> {
    text.parse().map_err(|_| format!("{text} is no hash of a block: want 0x and 64 hex digits"))
}

/// That evidence is of the chain that begins so, if that was said. That it is of the one that it names, its signatures prove.
fn of_chain(evidence: &Evidence, genesis: Option<B256>) -> Result<()> {
    let Some(wanted) = genesis else { return Ok(()) };
    let is = evidence.genesis_hash().wrap_err("the evidence names no chain: there is no transaction in it")?;
    ensure!(is == wanted, "the evidence is of the chain whose block 0 is {is}, not {wanted}");
    Ok(())
}

/// Runs `stoa audit`.
pub(crate) fn run(options: Options, json: bool) -> Result<()> {
    let (evidence, file) = match options.what.parse::<B256>() {
        Ok(id) => {
            let bar = progress("asking for the evidence");
            let found = wait(Evidence::collect(&Client::new(&options.http), id))?;
            bar.finish_and_clear();
            (found?, None)
        }
        Err(_) => {
            let file = Path::new(&options.what);
            let bytes = fs::read(file).wrap_err_with(|| format!("{} is no job and no file", options.what))?;
            (Evidence::read(&bytes).wrap_err_with(|| format!("{} is no audit", file.display()))?, Some(bytes))
        }
    };
    of_chain(&evidence, options.genesis)?;
    let mut audit = evidence.audit(options.network_key.clone());
    let Shown { differs, said } = file.map(|bytes| audit.shown(&bytes)).unwrap_or_default();
    let material = material(&options, &audit)?;
    let bar = progress("comparing");
    audit.compare(material);
    if let Some(path) = &options.source {
        audit.compare_source(source_hash(path)?);
    }
    bar.finish_and_clear();
    write(&options, &audit)?;
    let why = failed(&audit, differs.as_deref(), &options.what);
    match json {
        true => {
            let steps = &audit.steps;
            let mut said = json!({
                "job": audit.evidence.job, "holds": why.is_none(), "steps": steps, "fileDiffers": differs, "fileSays": said,
                "networkKey": audit.network_key, "genesisHash": audit.evidence.genesis_hash(),
            });
            let ended = AlreadySaid::within(&mut said, why);
            println!("{said}");
            Ok(ended?)
        }
        false => {
            println!("job {}", audit.evidence.job);
            for step in &audit.steps {
                println!("{} {:<12} {}", if step.holds { "holds" } else { "FAILS" }, step.name, step.found);
            }
            for step in &said {
                let (says, found) = (if step.holds { "holds" } else { "fails" }, plain(&step.found));
                println!(
                    "?     {:<12} the file says that it {says}, which its evidence does not prove: {found}",
                    step.name
                );
            }
            if let Some(differs) = &differs {
                println!("FAILS {:<12} not what the evidence proves: {}", "file", plain(differs));
            }
            why.map_or(Ok(()), |why| Err(eyre!(why)))
        }
    }
}

/// Why it does not hold, if it does not: by its steps, or for the file differs from what its evidence proves.
fn failed(audit: &Audit, differs: Option<&str>, what: &str) -> Option<String> {
    let failed: Vec<_> = audit.steps.iter().filter(|step| !step.holds).map(|step| step.name).collect();
    if !failed.is_empty() {
        return Some(format!("these steps do not hold: {}", failed.join(", ")));
    }
    differs.map(|differs| {
        format!(
            "{what} shows something else than what its evidence proves ({differs}). What was printed here is proven. Another version of \
             stoa than {} may have written the file: --html, --prov and --in-toto write it anew",
            env!("CARGO_PKG_VERSION")
        )
    })
}

/// What is not on the ledger, so far as it was given.
fn material(options: &Options, audit: &Audit) -> Result<Material> {
    let asset = || {
        let registered = audit.registered.as_ref().map(|found| found.event.asset);
        registered.wrap_err("the evidence does not show which asset the job is about")
    };
    let read = |file: &PathBuf| fs::read(file).wrap_err_with(|| format!("cannot read {}", file.display()));
    let program = options.algorithm.as_ref().map(read).transpose()?;
    let (mut sent, mut left) = (None, None);
    if let Some(folder) = &options.run {
        let place = folder.join(PARAMS);
        match place.exists() {
            true => sent = Some(params(&place)?),
            false => tracing::warn!("{} does not have the parameters: they are not compared", folder.display()),
        }
        let count = audit.finished.as_ref().map_or(0, |found| found.event.receipt.rounds);
        left = rounds(&folder.join(LEFT).join(asset()?.to_string()), count)?;
    }
    let data = match &options.data {
        Some(folder) => {
            let folder = folder.join(asset()?.to_string());
            Some(DataSet::open(&folder).wrap_err_with(|| format!("{} has no data", folder.display()))?)
        }
        None => None,
    };
    Ok(Material { program, params: sent, left, data })
}

/// What left in each of so many rounds: the files of a folder each, in the order of their numbers. Nothing if that of one is not there,
/// which is told: `stoa job result` fetches the newest round's alone.
fn rounds(folder: &Path, count: u32) -> Result<Option<Vec<Files>>> {
    if count == 0 && !folder.exists() {
        return Ok(Some(Vec::new()));
    }
    let cannot = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(folder).wrap_err_with(cannot)?.collect::<Result<Vec<_>, _>>().wrap_err_with(cannot)?;
    let mut folders: Vec<_> = entries.iter().map(fs::DirEntry::path).collect();
    by_number(&mut folders);
    let of = |round: u32| folder.join(format!("{round:03}"));
    if let Some(missing) = (1..=count).map(of).find(|of| !of.is_dir()) {
        tracing::warn!(
            "what left is not compared: the receipt is about {}, and {} is not there. `stoa job run` leaves each round's, `stoa job \
             result` fetches the newest round's alone",
            counted(count.into(), "round"),
            missing.display()
        );
        return Ok(None);
    }
    folders.iter().map(|folder| files(folder)).collect::<Result<_>>().map(Some)
}

fn files(root: &Path) -> Result<Files> {
    let (mut found, mut next) = (Files::new(), vec![root.to_owned()]);
    while let Some(folder) = next.pop() {
        for entry in fs::read_dir(&folder).wrap_err_with(|| format!("cannot read {}", folder.display()))? {
            let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
            if kind.is_dir() {
                next.push(path);
            } else if kind.is_file() {
                let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).wrap_err_with(|| format!("cannot read {}", path.display()))?);
            }
        }
    }
    Ok(found)
}

fn write(options: &Options, audit: &Audit) -> Result<()> {
    let put = |file: &PathBuf, bytes: Vec<u8>| {
        fs::write(file, bytes).wrap_err_with(|| format!("cannot write {}", file.display()))
    };
    if let Some(file) = &options.html {
        put(file, audit.page().into_bytes())?;
    }
    if let Some(file) = &options.evidence {
        put(file, serde_json::to_vec(&audit.evidence)?)?;
    }
    for (file, document) in [(&options.prov, audit.prov()), (&options.in_toto, audit.in_toto())] {
        match (file, document) {
            (Some(file), Some(document)) => put(file, serde_json::to_vec_pretty(&document)?)?,
            (Some(file), None) => bail!("{} is not written: the evidence shows no receipt", file.display()),
            (None, _) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_of_another_chain_than_was_named_is_refused() {
        // One without a transaction is of no chain.
        let none = json!({
            "format": "stoa-audit/2", "chainId": 1, "signed": "0x", "job": B256::ZERO, "transactions": [],
        });
        let none = Evidence::read(none.to_string().as_bytes()).unwrap();
        of_chain(&none, None).unwrap();
        assert!(of_chain(&none, Some(B256::ZERO)).unwrap_err().to_string().contains("names no chain"));
        let recorded = include_str!("../../../crates/light/src/recorded.json");
        let recorded: serde_json::Value = serde_json::from_str(recorded).unwrap();
        let receipt = &recorded["receipt"];
        let (is, other) = (recorded["certificate"]["genesisHash"].as_str().unwrap(), B256::repeat_byte(1));
        let proven = json!({
            "transaction": receipt["transaction"], "proof": receipt["reply"], "certificate": recorded["certificate"],
        });
        let evidence = json!({
            "format": "stoa-audit/2", "chainId": 1, "signed": "0x", "job": B256::ZERO, "transactions": [proven],
        });
        let evidence = Evidence::read(evidence.to_string().as_bytes()).unwrap();
        of_chain(&evidence, Some(genesis(is).unwrap())).unwrap();
        assert!(of_chain(&evidence, Some(other)).unwrap_err().to_string().contains(is));
        assert!(genesis("latest").unwrap_err().contains("64 hex digits"));
    }

    #[test]
    fn what_left_is_compared_where_all_rounds_of_it_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("0x01");
        assert!(rounds(&left, 0).unwrap().is_some_and(|left| left.is_empty()), "nothing left, and nothing is there");
        assert!(rounds(&left, 1).unwrap_err().to_string().starts_with("cannot read"));
        let leave = |round: &str| {
            fs::create_dir_all(left.join(round)).unwrap();
            fs::write(left.join(round).join("result.json"), round).unwrap();
        };
        leave("002");
        assert!(rounds(&left, 2).unwrap().is_none(), "the newest round alone");
        leave("001");
        let all = rounds(&left, 2).unwrap().unwrap();
        let texts: Vec<_> = all.iter().map(|files| files["result.json"].clone()).collect();
        assert_eq!(texts, [b"001", b"002"]);
    }
}

//! `stoa consent breach`: whether keepers released shares of a key after a grant was revoked, from the network key alone.

use crate::{network::wait, output::AlreadySaid, progress::progress};
use alloy_primitives::{B256, Bytes};
use clap::Args;
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};
use stoa_base::NodeId;
use stoa_client::Client;
use stoa_data::breach::{Case, Judged, Kept, Verdict};
use stoa_privacy::Breach;

/// What the file of kept releases is called in the folder of what this machine knows of assets.
pub(crate) const RELEASES: &str = "releases";

/// Options of `stoa consent breach`.
#[derive(Args)]
pub(crate) struct BreachOptions {
    /// The asset, of whose keepers this machine has kept what they signed when `stoa data get` read it.
    #[arg(required_unless_present = "verify", conflicts_with = "verify", value_parser = crate::typed::id)]
    asset: Option<B256>,
    /// Check evidence that somebody else has written. Nobody is asked.
    #[arg(long, value_name = "FILE")]
    verify: Option<PathBuf>,
    /// The key that verifies the network's certificates (`stoa status` shows it; get it from people whom you trust).
    #[arg(long, value_name = "HEX", value_parser = crate::typed::network_key)]
    network_key: Bytes,
    /// The node that is asked. It need not be trusted: it can hide a breach, and make none.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545", conflicts_with = "verify")]
    http: String,
    /// Folder of what this machine knows of assets, as `stoa data get` had it.
    #[arg(long, value_name = "DIR", default_value = ".stoa", conflicts_with = "verify")]
    dir: PathBuf,
    /// Write the evidence of what was found, for others to check with --verify. --json prints it as well.
    #[arg(long, value_name = "FILE", conflicts_with = "verify")]
    evidence: Option<PathBuf>,
}

/// Runs `stoa consent breach`.
pub(super) fn run(options: &BreachOptions, json: bool) -> Result<()> {
    match (&options.verify, options.asset) {
        (Some(file), _) => {
            let bytes = fs::read(file).wrap_err_with(|| format!("cannot read {}", file.display()))?;
            let case = Case::read(&bytes).wrap_err_with(|| format!("{} is no evidence", file.display()))?;
            let judged = case.judge(&options.network_key).wrap_err("the evidence does not hold")?;
            let found = Found::of(&judged);
            ensure!(!found.breaches.is_empty(), "the evidence shows no breach: {}", found.why());
            found.tell(case.asset, Some(&case), 0, json)
        }
        (None, asset) => look(options, asset.wrap_err("which asset?")?, json),
    }
}

/// Looks at what this machine has kept.
fn look(options: &BreachOptions, asset: B256, json: bool) -> Result<()> {
    let kept = Kept::at(options.dir.join(RELEASES));
    let (releases, damaged) = kept.of(asset).wrap_err_with(|| format!("cannot read {}", kept.file().display()))?;
    if releases.is_empty() {
        let file = kept.file().display();
        let lost = if damaged > 0 { format!(" ({damaged} releases in {file} are damaged)") } else { String::new() };
        bail!("nothing was kept in {} for this asset: nothing was compared{lost}", options.dir.display());
    }
    let client = Client::new(&options.http);
    let bar = progress("asking for what they are judged by");
    let judged = wait(async {
        let judged = Case::collect(&client, asset, &releases).await?.judge(&options.network_key)?;
        // What others are shown is no more than it takes.
        let is_breach = |judged: &&Judged| matches!(judged.verdict, Verdict::Breach(_));
        let guilty: Vec<_> = judged.iter().filter(is_breach).map(|judged| judged.release.clone()).collect();
        let evidence = match guilty.is_empty() {
            true => None,
            false => Some(Case::collect(&client, asset, &guilty).await?),
        };
        if let Some(evidence) = &evidence {
            evidence.judge(&options.network_key)?;
        }
        Ok::<_, eyre::Report>((judged, evidence))
    });
    bar.finish_and_clear();
    let (judged, evidence) = judged?.wrap_err("what keepers have signed cannot be judged")?;
    if let (Some(file), Some(evidence)) = (&options.evidence, &evidence) {
        let written = fs::write(file, serde_json::to_vec(evidence)?);
        written.wrap_err_with(|| format!("cannot write {}", file.display()))?;
    }
    Found::of(&judged).tell(asset, evidence.as_ref(), damaged, json)
}

/// What was found, sorted.
struct Found<'a> {
    stood: usize,
    breaches: Vec<(&'a Judged, &'a Breach)>,
    open: Vec<(&'a Judged, &'a str)>,
}

impl<'a> Found<'a> {
    fn of(judged: &'a [Judged]) -> Self {
        let mut found = Self { stood: 0, breaches: Vec::new(), open: Vec::new() };
        for one in judged {
            match &one.verdict {
                Verdict::Stood => found.stood += 1,
                Verdict::Breach(breach) => found.breaches.push((one, breach)),
                Verdict::Open(why) => found.open.push((one, why.as_str())),
            }
        }
        found
    }

    /// Why there is no breach.
    fn why(&self) -> String {
        match self.open[..] {
            [] => "the grants stood".to_owned(),
            [(_, why), ..] => why.to_owned(),
        }
    }

    /// Says it; `damaged` releases could not be read.
    fn tell(&self, asset: B256, evidence: Option<&Case>, damaged: usize, json: bool) -> Result<()> {
        let Self { stood, breaches, open } = self;
        let releases = stood + breaches.len() + open.len();
        if json {
            let breaches = breaches.iter().map(|(judged, breach)| about(judged, &breach.to_string()));
            let open = open.iter().map(|(judged, why)| about(judged, why));
            let mut said = json!({
                "asset": asset, "releases": releases, "stood": stood, "damaged": damaged,
                "breaches": breaches.collect::<Vec<_>>(), "open": open.collect::<Vec<_>>(), "evidence": evidence,
            });
            let ended = AlreadySaid::within(&mut said, self.unjudged());
            println!("{said}");
            return Ok(ended?);
        }
        println!("asset    {asset}");
        println!("signed   {releases} releases");
        if damaged > 0 {
            println!("damaged  {damaged} releases that were kept, of this asset or others: they were not compared");
        }
        println!("good     {stood}, whose grants stood in the blocks that their keepers name");
        for (judged, why) in open {
            let claim = judged.release.claim();
            println!("unknown  grant {} at block {}: {why}", claim.grant.id.0, claim.seen.number);
        }
        for (judged, breach) in breaches {
            let grant = &judged.release.claim().grant;
            println!("BREACH   {breach}\n         grant {}, to {}", grant.id.0, grant.reader);
        }
        if let Some(why) = self.unjudged() {
            bail!(why);
        }
        if breaches.is_empty() {
            println!("no breach is shown");
        }
        Ok(())
    }

    /// Why nothing was compared, if so.
    fn unjudged(&self) -> Option<String> {
        let none = self.stood == 0 && self.breaches.is_empty();
        none.then(|| format!("none of the releases could be judged, so nothing is known: {}", self.why()))
    }
}

/// A release for programs.
fn about(judged: &Judged, said: &str) -> Value {
    let claim = judged.release.claim();
    json!({
        "keeper": NodeId::from(&claim.keeper).to_string(), "grant": claim.grant.id.0,
        "reader": claim.grant.reader.to_string(), "block": claim.seen.number, "blockHash": claim.seen.hash, "said": said,
    })
}

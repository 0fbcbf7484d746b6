//! `stoa data publish` for the market.

use super::{
    Listing,
    look::{PASSED_OVER, looked, show_own, show_public, warn},
    options::{SaleOptions, lasting},
    terms::costs,
    token::Token,
};
use crate::{
    consent::names,
    job::{Offering, PROVENANCE, leaving, offer_data, read_rules, time_of},
    note, output,
    progress::progress,
};
use alloy_primitives::{B256, keccak256};
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use stoa_base::now;
use stoa_client::{Wallet, plain};
use stoa_data::{
    client::reader_key,
    ddo::{About, Answers, Derived, People, Use},
    jobs::{
        COIN, MILLION,
        abi::{FINISHED, IJobs::jobOfCall, JOBS},
        data::inputs,
        rules::Rules,
    },
    look::{Header, Looked},
    sale::{self, Begun, Computing, MOST_DERIVED, MOST_SAMPLE, Price, Sample, Seller, Selling},
};

/// Rows that are shown of a sample.
const SHOWN: usize = 10;

/// An asset of consent that is offered, and the node that computes with the hash of its rules, if one does.
type Offered = (B256, Option<(B256, B256)>);

/// A sale before anything is sent.
pub(crate) struct Sale {
    answers: Answers,
    about: Looked,
    derived: Vec<Derived>,
    people: People,
    /// What may leave, where programs run on them.
    rules: Option<Rules>,
    selling: Selling,
    validators: Vec<String>,
    /// What was begun before.
    begun: Option<Begun>,
    /// Where it is written down.
    file: PathBuf,
    of: Of,
}

/// What a sale is of, which its asset has for good.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Of {
    /// What tells whether the data have changed.
    is: B256,
    /// The hash of the terms on which programs run on them, if they do.
    terms: Option<B256>,
}

/// What is written down of a sale.
#[derive(Serialize, Deserialize)]
struct Noted {
    #[serde(flatten)]
    begun: Begun,
    /// Nothing where an earlier version wrote it down.
    of: Option<Of>,
}

impl Noted {
    /// Refuses to go on where something else is sold now than what is on the ledger already.
    fn refuse(&self, now: Of, path: &Path, file: &Path) -> Result<()> {
        let Some(of) = self.of else { return Ok(()) };
        let (asset, file) = (self.begun.asset, file.display());
        ensure!(
            of.is == now.is,
            "{} has changed since its sale was begun, as asset {asset}, and was cut off: put back what was there, or remove {file} to \
             begin anew (`stoa data erase {asset}` ends what was begun)",
            path.display()
        );
        ensure!(
            of.terms == now.terms,
            "this sale was begun on other terms of computing (--node, --base, --step-price, --steps, --time, --processes, --auditor and \
             what goes with it), which its offer names, and was cut off: say the same, or remove {file} to begin anew (`stoa data erase \
             {asset}` ends what was begun)"
        );
        Ok(())
    }
}

impl SaleOptions {
    /// Whether they are to be put on the market.
    pub(crate) const fn sells(&self) -> bool {
        self.price.is_some() || self.free
    }

    /// Refuses what only makes sense at the market.
    pub(crate) fn refuse(&self) -> Result<()> {
        let texts = [&self.name, &self.description, &self.author, &self.license];
        let lists = [&self.tag, &self.link, &self.validator];
        let files = [&self.sample, &self.from_run];
        let said = texts.iter().any(|text| text.is_some()) || lists.iter().any(|list| !list.is_empty());
        let said = said || files.iter().any(|file| file.is_some()) || !self.people.is_empty();
        let access = !self.access.allow.is_empty() || !self.access.deny.is_empty();
        let how = self.compute || self.lasts > 0 || self.audience.sealed;
        ensure!(!said && !access && !how, "this is about the market: say --price AMOUNT or --free as well");
        Ok(())
    }

    /// Looks at what is to be sold, shows it and what will be public, and asks.
    pub(crate) async fn prepare(&self, dir: &Path, path: &Path, account: &Wallet, json: bool) -> Result<Sale> {
        output::askable(self.yes, json, "look with `stoa data look`")?;
        let about = looked(path, self.header.header())?;
        // Known before anybody is asked.
        match &about.unkept {
            _ if self.compute => drop(inputs(path)?),
            Some(unkept) => bail!("{}: take it away, {PASSED_OVER}. Nothing was sent", plain(unkept)),
            None => {}
        }
        let text =
            |said: &Option<String>, what: &str| said.clone().wrap_err_with(|| format!("what is it? Say --{what} TEXT"));
        let own = about.licence.as_ref().and_then(|licence| licence.name.clone());
        let license = self.license.clone().or(own);
        let answers = Answers {
            sort: self.kind.sort(path)?,
            name: text(&self.name, "name")?,
            description: text(&self.description, "description")?,
            author: self.author.clone().unwrap_or_else(|| account.address().to_string()),
            license: license.wrap_err("under which licence? Say --license NAME, for example CC-BY-4.0")?,
            tags: self.tag.clone(),
            links: self.link.clone(),
        };
        let used = if self.compute { Use::Compute } else { Use::Access };
        let token = Token::at(account.client(), self.token.unwrap_or(COIN)).await?;
        let price = match &self.price {
            Some(amount) => Price::Fixed { token: token.address, rate: token.rate(amount)? },
            None => Price::Free,
        };
        let purpose = self.purpose.clone();
        let readers = self.audience.readers();
        for reader in readers.iter().flatten() {
            reader_key(account, *reader).await?;
        }
        let sample = self.sample.as_deref().map(|file| sample(file, self.header.header())).transpose()?;
        let selling = Selling {
            used,
            price,
            timeout: self.lasts,
            purpose,
            readers,
            allow: self.access.allow.clone(),
            deny: self.access.deny.clone(),
            sample: sample.as_ref().map(|(sample, _)| sample.clone()),
        };
        let whole = path.canonicalize().wrap_err_with(|| format!("cannot read {}", path.display()))?;
        let key = keccak256(format!("{} {}", account.address(), whole.display()));
        let file = dir.join("sales").join(format!("{key}.json"));
        sale::check(&answers, &about, used)?;
        let derived = match &self.from_run {
            Some(folder) => derived(folder, account).await?,
            None => Vec::new(),
        };
        let people = self.people.people();
        let rules = if self.compute { Some(read_rules(self.rules.as_deref(), self.algorithm)?) } else { None };
        let terms = rules.as_ref().map(|rules| self.terms(rules)).transpose()?;
        let of = Of { is: note::told(&whole, note::Counts::Nothing)?.0, terms };
        let noted: Option<Noted> = note::found(&file)?;
        if let Some(noted) = &noted {
            let begun = &noted.begun;
            ensure!(
                (begun.selling.used, begun.selling.price) == (used, price),
                "this sale was begun at another price or for another use, and was cut off: say the same, or remove {} to begin anew",
                file.display()
            );
            let ruled = begun.computes.map(|(_, hash)| hash);
            ensure!(
                ruled.is_none() || ruled == rules.as_ref().map(Rules::hash),
                "this sale was begun with other rules of what may leave, which its offer names, and was cut off: say the same, or remove \
                 {} to begin anew",
                file.display()
            );
            noted.refuse(of, path, &file)?;
        }
        let begun = noted.map(|noted| Begun { selling: selling.clone(), ..noted.begun });
        if !json {
            show_public(&about);
            println!("  name     {}\n  what     {}", answers.name, answers.description);
            println!("  author   {}\n  licence  {}", answers.author, answers.license);
            if !answers.tags.is_empty() {
                println!("  tags     {}", answers.tags.join(", "));
            }
            derived.iter().for_each(|from| println!("  from     job {} on {}", from.job, from.asset));
            for (what, terms) in [("about", &people.subjects), ("kinds", &people.personal)] {
                if !terms.is_empty() {
                    println!("  {what:<8} {}", names(terms));
                }
            }
            show_own(&about);
            if people == People::default() && !about.warnings.is_empty() {
                println!("Nothing is said of whom they are about: --data-subject and --personal-data do that.");
            }
            let price = match &self.price {
                Some(amount) => format!("{amount} {}", token.symbol),
                None => "nothing".into(),
            };
            if let Some((sample, seen)) = &sample {
                println!("Sample rows, which are told as they are ({}):", output::bytes(sample.text.len() as u64));
                sample.text.lines().take(SHOWN).for_each(|row| println!("    {}", plain(row)));
                let more = sample.text.lines().count().saturating_sub(SHOWN);
                if more > 0 {
                    println!("    and {more} more");
                }
                warn(seen);
            }
            for (whom, accounts) in [("for these alone", &selling.allow), ("for none of these", &selling.deny)] {
                if !accounts.is_empty() {
                    println!("Orders are taken {whom}, which everybody sees:");
                    accounts.iter().for_each(|account| println!("  {account}"));
                }
            }
            if let Some(rules) = &rules {
                println!("What may leave of it when programs run on your node, which stands in its document:");
                leaving(rules).iter().for_each(|line| println!("  {line}"));
                println!("What that costs whoever ordered, who sees it before he does:");
                costs(&self.computing(rules), &Token::coin()).iter().for_each(|line| println!("  {line}"));
                if let Some(said) = self.checks.said() {
                    println!("What checks cost you: {said}.");
                }
            }
            let how = if self.compute { "have programs run on it where it is" } else { "read it" };
            let lasts = if self.lasts == 0 { "for ever".into() } else { format!("for {}", lasting(self.lasts)) };
            if let Some(readers) = &selling.readers {
                let also: String = readers.iter().map(|reader| format!(", {reader}")).collect();
                println!("Sealed: all this is read by you{also}, and by nobody else.");
            }
            println!(
                "Whoever pays {price} for an order may {how}, {lasts}. Publishing costs you the fees of some transactions. What is \
                 published cannot be taken off the ledger."
            );
        }
        if !self.yes && !output::agreed("Publish it?")? {
            bail!("nothing was sent");
        }
        let validators = self.validator.clone();
        Ok(Sale { answers, about, derived, people, rules, selling, validators, begun, file, of })
    }

    /// `stoa data publish --compute`: a copy for the node, and an offer of computing on it.
    pub(crate) async fn offer(&self, sale: &Sale, path: &Path, account: &Wallet) -> Result<Offered> {
        let wanted = "--compute wants --data DIR and --node KEY";
        let (data, node) = self.data.as_ref().zip(self.node).wrap_err(wanted)?;
        let rules = sale.rules.as_ref().wrap_err(wanted)?;
        let (base, price, steps, time) = (self.base, self.step_price, self.steps, self.time);
        let (processes, checks) = (self.processes, &self.checks);
        // Without --hidden it was refused before.
        let hidden = true;
        let offering = Offering { path, hidden, data, node, rules, base, price, steps, time, processes, checks };
        let (asset, set) = offer_data(account, &offering).await?;
        Ok((asset, Some((node, set.rules.hash()))))
    }

    /// What buyers will see of what is offered to them.
    fn computing(&self, rules: &Rules) -> Computing {
        Computing {
            node: self.node.unwrap_or_default(),
            token: COIN,
            base: self.base,
            price: self.step_price,
            steps: self.steps.saturating_mul(MILLION),
            time: time_of(self.time, rules),
            wasm: true,
            processes: self.processes,
            rules: rules.hash(),
            leaving: Some(rules.clone()),
        }
    }

    /// A hash of the terms on which programs run on the data.
    fn terms(&self, rules: &Rules) -> Result<B256> {
        let computing = serde_json::to_string(&self.computing(rules))?;
        Ok(keccak256(format!("{computing} {:?}", self.checks)))
    }

    /// Whether nobody gets the data.
    pub(crate) const fn computes(&self) -> bool {
        self.compute
    }
}

/// Sample rows, and what is seen of them.
fn sample(file: &Path, header: Header) -> Result<(Sample, Looked)> {
    let seen = looked(file, header)?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    ensure!(
        seen.bytes <= MOST_SAMPLE as u64,
        "a sample has {MOST_SAMPLE} bytes at most, and {} has {}: fewer rows will do",
        file.display(),
        seen.bytes
    );
    let content = fs::read(file).wrap_err_with(|| format!("cannot read {}", file.display()))?;
    Ok((Sample::new(&name, content)?, seen))
}

/// What somebody's result was derived from: the jobs of a run, which the ledger knows as his.
async fn derived(folder: &Path, account: &Wallet) -> Result<Vec<Derived>> {
    #[derive(serde::Deserialize)]
    struct Provenance {
        jobs: Vec<Derived>,
    }
    let file = folder.join(PROVENANCE);
    let read = fs::read(&file).wrap_err_with(|| format!("cannot read {}", file.display()))?;
    let Provenance { jobs } =
        serde_json::from_slice(&read).wrap_err_with(|| format!("{} does not say what ran", file.display()))?;
    ensure!(jobs.len() <= MOST_DERIVED, "{MOST_DERIVED} jobs at most can be named, these are {}", jobs.len());
    for Derived { job, asset } in &jobs {
        let (is, _) = stoa_client::view(account.client(), JOBS, &jobOfCall { job: *job }).await?;
        let own = (is.buyer, is.asset, is.state) == (account.address(), *asset, FINISHED);
        ensure!(own, "the ledger knows of no finished job {job} of {} on {asset}", account.address());
    }
    Ok(jobs)
}

impl Sale {
    /// The asset of consent that was made before the sale was cut off.
    pub(crate) const fn begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Writes down that there is an asset of consent to be sold.
    pub(crate) async fn begin(&mut self, account: &Wallet, asset: B256, computes: Option<(B256, B256)>) -> Result<()> {
        let begun = Seller::new(account.clone()).begin(asset, self.selling.clone(), computes).await?;
        note::write(&self.file, &Noted { begun: begun.clone(), of: Some(self.of) })?;
        self.begun = Some(begun);
        Ok(())
    }

    /// Does what is missing, and prints what there is then: its DID and the asset of consent as well.
    pub(crate) async fn finish(self, dir: &Path, account: &Wallet, json: bool) -> Result<(String, B256)> {
        let Self { answers, about, derived, people, rules, validators, begun, file, of, .. } = self;
        let mut begun = begun.wrap_err("a sale that has begun")?;
        let about = About { derived, ..About::new(&about, begun.asset).of(people) };
        let about = match &rules {
            Some(rules) => about.ruled_by(rules),
            None => about,
        };
        let bar = progress("publishing");
        let seller = Seller::new(account.clone()).validated_by(validators);
        let mut save =
            |begun: &Begun| note::write(&file, &Noted { begun: begun.clone(), of: Some(of) }).map_err(io::Error::other);
        let told = |what: &str| bar.set_message(what.to_owned());
        let done = seller.go_on(&mut begun, &answers, about, now(), &mut save, &told).await;
        bar.finish_and_clear();
        let (ddo, grant) = done.wrap_err("not all of it was done; the same command goes on where it was cut off")?;
        let listed = begun.listed.wrap_err("an NFT")?;
        let (nft, datatoken, asset) = (listed.nft, listed.datatoken, begun.asset);
        let listing = Listing { did: ddo.id.clone(), nft, datatoken, asset, grant };
        note::write(&dir.join("listings").join(format!("{nft}.json")), &listing)?;
        note::remove(&file)?;
        match json {
            true => println!("{}", serde_json::to_string(&listing)?),
            false => println!(
                "{}\nNFT {nft}, asset {asset}; `stoa data buy` orders it, `stoa data earnings` tells what it brings",
                ddo.id
            ),
        }
        Ok((ddo.id, asset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sale_goes_on_with_the_same_data_and_terms_alone() {
        let (asset, [is, terms, other]) = (B256::repeat_byte(9), [1, 2, 3].map(B256::repeat_byte));
        let selling = json!({ "used": Use::Compute, "price": Price::Free, "timeout": 0, "purpose": "dpv:Purpose" });
        let begun = json!({ "asset": asset, "selling": selling, "computes": [other, terms], "from": 7 });
        let begun: Begun = serde_json::from_value(begun).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = (folder.path().join("rows.csv"), folder.path().join("sale.json"));
        let of = Of { is, terms: Some(terms) };
        note::write(&file, &Noted { begun: begun.clone(), of: Some(of) }).unwrap();
        let noted: Noted = note::found(&file).unwrap().unwrap();
        assert_eq!(noted.begun, begun);
        let refused = |now| noted.refuse(now, &path, &file).unwrap_err().to_string();
        noted.refuse(of, &path, &file).unwrap();
        let changed = refused(Of { is: other, ..of });
        assert!(changed.contains("rows.csv has changed") && changed.contains(&asset.to_string()), "{changed}");
        for terms in [Some(other), None] {
            assert!(refused(Of { terms, ..of }).contains("other terms of computing"));
        }
        // As an earlier version wrote it down.
        note::write(&file, &begun).unwrap();
        let noted: Noted = note::found(&file).unwrap().unwrap();
        assert!(noted.begun == begun && noted.refuse(of, &path, &file).is_ok());
    }
}

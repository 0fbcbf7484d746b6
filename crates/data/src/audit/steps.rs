//! The steps of an audit.

use super::{Audit, Evidence, Found, Material, Place, Proven, all, find};
use crate::{
    abi::{ADDRESS, COMPUTE, CONSENT, CREDENTIAL, IConsent::Erased, TOKEN, within},
    jobs::{
        self, MILLION,
        abi::{
            CONFIRMED, FALSE,
            IJobs::{Job, JobFinished, JobStarted, Offered, ProgramPublished, Receipt},
            JOBS, PROCESS, WASM,
        },
        units,
    },
    market::{
        abi::IDatatoken::{OrderRecorded, OrderStarted},
        datatoken_of,
    },
    record::iso_8601,
};
use alloy_primitives::{B256, Bytes, Log, U256, keccak256};
use std::{cmp::Ordering, collections::BTreeSet};
use stoa_base::chain_id_of;
use stoa_client::{ProvenReceipt, counted};
use stoa_sandbox::{Control, Wasm};

#[cfg(test)]
mod tests;

/// How jobs end, as receipts count it.
const ENDS: [&str; 6] = ["succeeded", "failed", "used up its limits", "was stopped", "was withheld", "was not done"];

/// How a job ended, in words; nothing if there is no such end.
pub(super) fn ended(receipt: &Receipt) -> Option<&'static str> {
    ENDS.get(usize::from(receipt.ended)).copied()
}

impl Proven {
    /// What the transaction left behind, if a block holds it that the key has signed. What a node says beside the proof, its network's key
    /// and the block's number, has to be so.
    pub(crate) fn verify(&self, network_key: &[u8]) -> Result<ProvenReceipt, String> {
        let header = self.certificate.verify(network_key).map_err(|error| error.to_string())?;
        let proven = self.proof.verify(header.hash_slow(), self.transaction).map_err(|error| error.to_string())?;
        ensure(self.certificate.network_key[..] == *network_key, || {
            "the certificate names another network key".into()
        })?;
        ensure(self.proof.block_number == U256::from(header.number), || {
            format!("the proof names block {}, its header is of block {}", self.proof.block_number, header.number)
        })?;
        if proven.receipt.success { Ok(proven) } else { Err("the transaction failed".into()) }
    }

    /// Its events, if it is so.
    fn events(&self, network_key: &[u8]) -> Result<Vec<(Place, Log)>, String> {
        let proven = self.verify(network_key)?;
        let at = Place { block: proven.header.number, time: proven.header.timestamp, transaction: self.transaction };
        Ok(proven.receipt.logs.into_iter().map(|log| (at, log)).collect())
    }
}

impl Evidence {
    /// Checks every step with nothing but the network key.
    pub fn audit(self, network_key: Bytes) -> Audit {
        let mut audit = Audit {
            network_key,
            steps: Vec::new(),
            registered: None,
            offered: None,
            granted: None,
            started: None,
            used: None,
            ordered: None,
            order_paid: None,
            sources: Vec::new(),
            finished: None,
            drawn: None,
            spared: None,
            checked: None,
            erased: Vec::new(),
            evidence: self,
        };
        let Some(events) = audit.blocks() else { return audit };
        audit.read(&events);
        audit.link();
        audit
    }
}

/// Leaves out what is missing: the step that looks for it says so.
fn wanted<'a, T>(found: Option<&'a T>, what: &str) -> Result<&'a T, String> {
    found.ok_or_else(|| format!("the evidence has no event that shows {what}"))
}

/// A place that somebody has written, for a terminal and a page.
pub(super) fn plain(url: &str) -> String {
    url.chars().filter(char::is_ascii_graphic).collect()
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

impl Audit {
    /// The events of all transactions, each in a block that the network has signed; nothing if one is not.
    fn blocks(&mut self) -> Option<Vec<(Place, Log)>> {
        let (mut events, mut blocks, mut failed) = (Vec::new(), BTreeSet::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for proven in &self.evidence.transactions {
            // Its events would count twice.
            if !seen.insert(proven.transaction) {
                failed.push(format!("transaction {} is there twice", proven.transaction));
                continue;
            }
            match proven.events(&self.network_key) {
                Ok(found) => {
                    blocks.extend(found.iter().map(|(at, _)| at.block));
                    events.extend(found);
                }
                Err(why) => failed.push(format!("transaction {}: {why}", proven.transaction)),
            }
        }
        // Certificates are bound to block 0: those of two chains with one key would be told apart by it.
        let chains: BTreeSet<_> = self.evidence.transactions.iter().map(|one| one.certificate.genesis_hash).collect();
        if chains.len() != 1 {
            failed.push(format!("the blocks are of {} chains", chains.len()));
        }
        failed.extend(self.chain().err());
        events.sort_by_key(|(at, _)| at.block);
        let holds = failed.is_empty();
        let count = self.evidence.transactions.len();
        let outcome = match holds {
            true => {
                let (count, blocks) = (counted(count as u64, "transaction"), counted(blocks.len() as u64, "block"));
                let first = self.evidence.genesis_hash().unwrap_or_default();
                Ok(format!("{count} in {blocks} that the network has signed, of the chain whose block 0 is {first}"))
            }
            false => Err(failed.join("; ")),
        };
        self.step("blocks", outcome);
        holds.then_some(events)
    }

    /// That a transaction of the evidence was signed for the chain that names are built with.
    fn chain(&self) -> Result<(), String> {
        let Evidence { chain_id, signed, transactions, .. } = &self.evidence;
        let hash = keccak256(signed);
        ensure(transactions.iter().any(|one| one.transaction == hash), || {
            "what is said to be signed is none of the transactions".into()
        })?;
        ensure(chain_id_of(signed) == Some(*chain_id), || {
            format!("transaction {hash} is not signed for chain {chain_id}, which the evidence names")
        })
    }

    fn read(&mut self, events: &[(Place, Log)]) {
        let job = self.evidence.job;
        self.finished = find(events, JOBS, |event: &JobFinished| event.job == job);
        self.started = find(events, JOBS, |event: &JobStarted| event.job == job);
        let Some(started) = self.started.as_ref().map(|found| found.event.clone()) else { return };
        let at = self.started.as_ref().map(|found| found.at);
        let (asset, grant) = (started.asset, started.grant);
        let uses = all(events, CONSENT, |event: &crate::abi::IConsent::Used| {
            event.asset == asset && event.grant == grant && event.user == started.buyer
        });
        // One transaction may have begun several jobs.
        let mut uses: Vec<_> = uses.filter(|found| Some(found.at) == at).collect();
        let is = |found: &Found<crate::abi::IConsent::Used>| {
            jobs::job_id(found.event.r#use, asset, started.algorithm, started.order) == job
        };
        let own = uses.iter().position(is).unwrap_or(0);
        self.used = (!uses.is_empty()).then(|| uses.swap_remove(own));
        self.granted = find(events, CONSENT, |event: &crate::abi::IConsent::Granted| event.grant == grant);
        self.registered = find(events, CONSENT, |event: &crate::abi::IConsent::AssetRegistered| event.asset == asset);
        self.offered = find(events, JOBS, |event: &Offered| event.asset == asset && event.number == started.offer);
        let datatoken = datatoken_of(started.order);
        self.ordered = find(events, datatoken, |event: &OrderRecorded| event.order == started.order);
        // That it was paid is said right beside, without its id.
        if let Some(Found { at, event: of }) = &self.ordered {
            let same = |event: &OrderStarted| {
                (event.consumer, event.payer, event.serviceIndex) == (of.consumer, of.payer, of.serviceIndex)
            };
            self.order_paid = all(events, datatoken, same).find(|found| found.at == *at);
        }
        let published = all(events, JOBS, |event: &ProgramPublished| event.algorithm == started.algorithm);
        let before = |found: &Found<ProgramPublished>| Some(found.at.block) <= at.map(|at| at.block);
        self.sources = published.filter(|found| !found.event.source.is_zero() && before(found)).collect();
        self.drawn = find(events, JOBS, |event: &jobs::abi::IJobs::JobDrawn| event.job == job);
        self.spared = find(events, JOBS, |event: &jobs::abi::IJobs::JobSpared| event.job == job);
        self.checked = find(events, JOBS, |event: &jobs::abi::IJobs::JobChecked| event.job == job);
        self.erased = all(events, CONSENT, |_: &Erased| true).collect();
    }

    fn link(&mut self) {
        let steps = [
            ("receipt", self.receipt()),
            ("order", self.order()),
            ("consent", self.consent()),
            ("offer", self.offer()),
            ("data", self.data()),
            ("payment", self.payment()),
            ("check", self.check()),
        ];
        steps.into_iter().for_each(|(name, outcome)| self.step(name, outcome));
        if !self.sources.is_empty() {
            self.step("source", Ok(self.source()));
        }
    }

    fn receipt(&self) -> Result<String, String> {
        let Found { at, event } = wanted(self.finished.as_ref(), "the receipt")?;
        let ended = ended(&event.receipt).ok_or("it ended in a way that there is not")?;
        let (rounds, steps) = (counted(event.receipt.rounds.into(), "round"), counted(event.receipt.fuel, "step"));
        let when = iso_8601(at.time);
        Ok(format!("block {}, {when}: the job {ended} after {rounds} and {steps}, signed by its node", at.block))
    }

    fn order(&self) -> Result<String, String> {
        let started = wanted(self.started.as_ref(), "how the job began")?;
        let finished = wanted(self.finished.as_ref(), "the receipt")?;
        let same = (started.event.asset, started.event.buyer) == (finished.event.asset, finished.event.buyer);
        ensure(same, || "the receipt is of another asset or buyer than the job".into())?;
        ensure(started.at.block <= finished.at.block, || "the receipt is older than the job".into())?;
        let JobStarted { job, asset, buyer, algorithm, order, .. } = &started.event;
        let used = wanted(self.used.as_ref(), "which use of the grant the job is")?;
        let id = jobs::job_id(used.event.r#use, *asset, *algorithm, *order);
        ensure(id == *job, || {
            "the receipt is signed for another asset, program or order than the job began with".into()
        })?;
        let (block, how) = (started.at.block, self.bought()?);
        Ok(format!("block {block}: {buyer} had program {algorithm} run on asset {asset}, {how}"))
    }

    /// By which order of a datatoken the buyer had the grant.
    fn bought(&self) -> Result<String, String> {
        let started = wanted(self.started.as_ref(), "how the job began")?;
        let order = started.event.order;
        if order.is_zero() {
            return Ok("without an order of a datatoken".into());
        }
        let granted = wanted(self.granted.as_ref(), "the grant")?;
        let Found { at, event } = wanted(self.ordered.as_ref(), "the order by which the buyer had the grant")?;
        wanted(self.order_paid.as_ref(), "that the order was paid")?;
        let terms = &granted.event.terms;
        let of = event.serviceIndex.checked_add(U256::ONE).map(B256::from);
        let same = (terms.kind, terms.who, Some(terms.credential)) == (CREDENTIAL, datatoken_of(order), of);
        ensure(same, || "the order is of another datatoken or service than the grant is for".into())?;
        ensure(event.consumer == started.event.buyer, || "the order is for somebody else".into())?;
        ensure(at.block <= started.at.block, || "the order is younger than the job".into())?;
        let over = !event.until.is_zero() && U256::from(started.at.time) >= event.until;
        ensure(!over, || "the order's time was over".into())?;
        let (block, payer, datatoken) = (at.block, event.payer, datatoken_of(order));
        Ok(format!("by order {order} of block {block}, which {payer} paid with datatoken {datatoken}"))
    }

    /// Where an asset was erased, if the evidence shows that.
    pub(super) fn end_of(&self, asset: B256) -> Option<Place> {
        self.erased.iter().find(|found| found.event.asset == asset).map(|found| found.at)
    }

    /// That the owner of an asset has withdrawn it, if so.
    fn withdrawn(&self, asset: B256) -> String {
        let (Some(at), Some(started)) = (self.end_of(asset), &self.started) else { return String::new() };
        let when = match at.block.cmp(&started.at.block) {
            Ordering::Less => "before the job began",
            Ordering::Equal => "in which the job began",
            Ordering::Greater => "after the job began",
        };
        format!(" (withdrawn in block {}, {when})", at.block)
    }

    /// Who has said from which source the program is built, before the job began.
    fn source(&self) -> String {
        let said = |Found { at, event }: &Found<ProgramPublished>| {
            let ProgramPublished { asset, publisher, source, url, .. } = event;
            let place = if url.is_empty() { String::new() } else { format!(", at {}", plain(url)) };
            let withdrawn = self.withdrawn(*asset);
            format!("published by {publisher} in block {}, hash {source}{place}{withdrawn}", at.block)
        };
        self.sources.iter().map(said).collect::<Vec<_>>().join("; ")
    }

    /// Compares the source that somebody has, by its [hash](crate::jobs::data::source_hash), with what was published. That the program is
    /// built from it, a build tells.
    pub fn compare_source(&mut self, hash: B256) {
        let found = self.sources.iter().find(|found| found.event.source == hash);
        let outcome = match found {
            Some(Found { event, .. }) => {
                let withdrawn = self.withdrawn(event.asset);
                Ok(format!("the source is what {} published: {hash}{withdrawn}", event.publisher))
            }
            None if self.sources.is_empty() => Err("the evidence shows no source of this program".into()),
            None => Err(format!("the source hashes to {hash}, and another was published")),
        };
        self.step("source files", outcome);
    }

    fn consent(&self) -> Result<String, String> {
        let started = wanted(self.started.as_ref(), "how the job began")?;
        let used = wanted(self.used.as_ref(), "that the grant stood when the job began")?;
        let granted = wanted(self.granted.as_ref(), "the grant")?;
        let (terms, event) = (&granted.event.terms, &started.event);
        ensure(granted.event.asset == event.asset, || "the grant is of another asset".into())?;
        ensure(granted.at.block <= started.at.block, || "the grant is younger than the job".into())?;
        ensure(used.event.kind == COMPUTE && used.event.algorithm == event.algorithm, || {
            "what was used is not a leave to compute with this program".into()
        })?;
        let allowed = terms.algorithm.is_zero() || terms.algorithm == event.algorithm;
        ensure(allowed && terms.uses & COMPUTE != 0, || "the grant does not let this program compute".into())?;
        ensure(within(terms.until, started.at.time), || "the grant's time was over".into())?;
        ensure(terms.kind != ADDRESS || terms.who == event.buyer, || "the grant is for somebody else".into())?;
        let whom = match terms.kind {
            ADDRESS => "its buyer".to_owned(),
            TOKEN => format!("whoever holds a token of {}", terms.who),
            _ => format!("whoever has a credential of {}, such as an order of a datatoken", terms.who),
        };
        let purpose = terms.purpose.rsplit(['#', '/']).next().unwrap_or_default();
        let (when, block) = (granted.at.block, started.at.block);
        Ok(format!(
            "granted in block {when} to {whom}, for {purpose}; it stood in block {block}, in which the job began"
        ))
    }

    fn offer(&self) -> Result<String, String> {
        let started = wanted(self.started.as_ref(), "how the job began")?;
        let Found { at, event } = wanted(self.offered.as_ref(), "what the owner offered")?;
        ensure(at.block <= started.at.block, || "the offer is younger than the job".into())?;
        let runs = event.offer.runtimes & started.event.runtime != 0;
        ensure(runs, || "the job was run by what was not offered".into())?;
        let guarantee = match started.event.runtime {
            WASM => "WebAssembly, the same bit for bit wherever it runs",
            PROCESS => "a process, whose output need not be the same twice",
            _ => return Err("there is no such runtime".into()),
        };
        Ok(format!("block {}: node {} computes; {guarantee}", at.block, event.node))
    }

    fn data(&self) -> Result<String, String> {
        let finished = wanted(self.finished.as_ref(), "the receipt")?;
        let offered = wanted(self.offered.as_ref(), "what the owner offered")?;
        let registered = wanted(self.registered.as_ref(), "whose the asset is")?;
        let data = finished.event.receipt.data;
        ensure(data == offered.event.offer.data, || "the receipt is about other data than were offered".into())?;
        ensure(registered.event.asset == finished.event.asset, || "the asset is another".into())?;
        let (asset, owner) = (registered.event.asset, registered.event.owner);
        Ok(format!("{data}, asset {asset} of {owner}{}", self.withdrawn(asset)))
    }

    fn payment(&self) -> Result<String, String> {
        let finished = wanted(self.finished.as_ref(), "the receipt")?;
        let (started, offered) =
            (wanted(self.started.as_ref(), "how the job began")?, wanted(self.offered.as_ref(), "the offer")?);
        let JobFinished { receipt, paid, refunded, .. } = &finished.event;
        let offer = &offered.event.offer;
        let cost = |fuel: u64| {
            let steps = offer.price.checked_mul(U256::from(fuel.div_ceil(MILLION)));
            steps.and_then(|steps| offer.base.checked_add(steps)).ok_or("no amount is as large")
        };
        let due = jobs::due(offer, started.event.runtime, receipt.ended, receipt.fuel);
        let due = due.map_err(|_| "no amount is as large")?;
        ensure(*paid == due, || {
            format!("{} was paid, and {} was due", units(*paid, offer.token), units(due, offer.token))
        })?;
        let held = started.event.locked;
        ensure(held == cost(started.event.fuel)?, || "another amount was held than the offer says".into())?;
        ensure(paid.checked_add(*refunded) == Some(held), || "what was held was not paid out to the last unit".into())?;
        let (paid, back) = (units(*paid, offer.token), units(*refunded, offer.token));
        Ok(format!("{paid} to {}, {back} back to the buyer", offer.payTo))
    }

    /// What came of a check. Evidence proves what is in it: where an event is not, it may have been left out.
    fn check(&self) -> Result<String, String> {
        let offered = wanted(self.offered.as_ref(), "the offer")?;
        let names = |auditors: &[B256]| auditors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let drawn = self.drawn.as_ref().map(|drawn| names(&drawn.event.auditors));
        match (&self.checked, drawn, &self.spared) {
            (Some(checked), drawn, _) => {
                let by = drawn.unwrap_or_else(|| "auditors whom the evidence does not show".into());
                match checked.event.state {
                    CONFIRMED => Ok(format!("confirmed in block {} by {by}, who ran it again", checked.at.block)),
                    FALSE => Err(format!(
                        "found false in block {} by {by}, who ran it again; {} went to the buyer",
                        checked.at.block,
                        units(checked.event.slashed, offered.event.offer.token)
                    )),
                    _ => Ok(format!("undecided: those who were drawn ({by}) disagree, or said nothing")),
                }
            }
            (None, Some(drawn), _) => Ok(format!("{drawn} were drawn; what came of it is not shown by the evidence")),
            (None, None, Some(Found { at, .. })) => Ok(format!("nobody was drawn to run it again: block {}", at.block)),
            (None, None, None) if offered.event.offer.checks.drawn == 0 => {
                Ok("the owner offers no checks: run it again where the data are (`stoa job verify`)".into())
            }
            (None, None, None) => {
                let chance = f64::from(offered.event.offer.checks.chance) / 100.0;
                Ok(format!("a check is not shown by the evidence; {chance} % of these jobs are checked"))
            }
        }
    }

    /// Compares what whoever audits has with what the ledger says of it; runs the job again if all of it is there. Blocks.
    pub fn compare(&mut self, material: Material) {
        let Some(receipt) = self.finished.as_ref().map(|found| found.event.receipt.clone()) else { return };
        let Some(started) = self.started.clone() else { return };
        let same = |what: &str, is: B256, should: B256| match is == should {
            true => Ok(format!("{what} is what the ledger names: {is}")),
            false => Err(format!("{what} hashes to {is}, and the ledger names {should}")),
        };
        let Material { program, mut params, left, data } = material;
        if let Some(program) = &program {
            let outcome = same("the program", jobs::algorithm(program), started.event.algorithm);
            self.step("program", outcome);
        }
        if let Some(params) = &mut params {
            let (noted, begun) = (params.len(), jobs::check::begun(params, &receipt));
            params.truncate(begun);
            let what = match begun == noted {
                true => "the list of parameters",
                false => "the list of parameters, but for rounds that were noted and not run,",
            };
            let hash = jobs::params_hash(params.iter().map(Vec::as_slice));
            self.step("parameters", same(what, hash, receipt.params));
        }
        if let Some(left) = &left {
            self.step("output", same("what left", jobs::outputs_hash(left), receipt.output));
        }
        let Some(data) = data else { return };
        self.step("data set", same("the data", data.hash, receipt.data));
        if let (Some(program), Some(params), Some(offered)) = (program, params, self.offered.clone()) {
            let outcome = again(&started, &offered, &receipt, &program, &params, &data);
            self.step("rerun", outcome);
        }
    }
}

/// Runs a job again, and compares.
fn again(
    started: &Found<JobStarted>,
    offered: &Found<Offered>,
    receipt: &Receipt,
    program: &[u8],
    params: &[Vec<u8>],
    data: &crate::jobs::data::DataSet,
) -> Result<String, String> {
    if started.event.runtime != WASM {
        return Ok("it was run as a process: another run need not come to the same".into());
    }
    if receipt.params.is_zero() {
        return Ok("no round was run, as the receipt says: there is nothing to run again".into());
    }
    let offer = offered.event.offer.clone();
    let until = started.at.time.saturating_add(offer.time.into());
    let job = Job { offer, until, fuel: started.event.fuel, runtime: WASM, ..Job::default() };
    let runtime = Wasm::new(None).map_err(|error| error.to_string())?;
    let again = jobs::rerun(&runtime, started.event.job, &job, data, program, params, &Control::new());
    match again.map_err(|error| format!("it cannot be run again: {error}"))? {
        again if jobs::check::differs(&again, params, receipt).is_empty() => {
            Ok("another run comes to the same receipt, bit for bit".into())
        }
        again => {
            let output = again.receipt.output;
            Err(format!("another run comes to the output {output}, and the receipt says {}", receipt.output))
        }
    }
}

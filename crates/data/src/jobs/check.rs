//! What a node does that checks others' jobs: it looks on the ledger for those that it was drawn for, asks their nodes what they
//! were run with, runs them again on its own copy of the data, commits to what it came to, and reveals that when all have.
//!
//! WebAssembly comes to the same bytes; a process, where its owner lets those be checked, comes as close to what left before as his
//! rules say, or to nothing that all who check would agree on: they then say zero.
//!
//! A node that does not give what a job was run with, until the time to commit is nearly over, is judged as one that lied: else
//! every liar would rather say nothing. What an auditor cannot judge, for its runtime or its data are others, it leaves.
//!
//! ```text
//! <folder>/<asset>/checks.json             which jobs it has looked at, and what it has committed to
//! ```

use super::{
    abi::{
        DRAWN,
        IJobs::{
            Check, IJobsErrors, Job, Receipt, commitCall, drawCall, drawOfCall, jobsOfCall, receiptOfCall, revealCall,
            settleCall, verdictOfCall,
        },
        JOBS, PROCESS, RUNNING, WAITING, WASM,
    },
    contract::{commitment_digest, commitment_of, receipt_digest, repeats},
    data::DataSet,
    kept::{MOST_KEPT, read_head},
    role::{Computer, Outcomes, Sender, own, read, write},
    rules::Rules,
    run::{Files, Rerun, outputs_hash, params_hash, rerun, run_unless_dropped},
    wire::{JOB, MOST_ANSWER, Request, Round},
};
use crate::registry::{Registry, sign_digest};
use alloy_primitives::{B256, U256};
use alloy_sol_types::SolCall as _;
use commonware_codec::{Copying, DecodeExt as _};
use futures::{FutureExt as _, future::BoxFuture};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use stoa_client::view;
use stoa_net::{Connections, Denied, Endpoint, answered};
use stoa_sandbox::Control;
use tokio::{task::spawn_blocking, time::timeout};

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Jobs that one question brings.
const PAGE: u64 = 100;

/// The part of the time to commit that is left when a node is asked for the last time.
const LAST: u64 = 4;

/// Rounds of one job at most that an auditor fetches.
const MOST_ROUNDS: u32 = 100_000;

/// Asks the node with this key.
pub type Asking = Box<dyn Fn(B256, Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, Denied>> + Send + Sync>;

/// Asks nodes where the registry says that they are.
pub fn asking(registry: Registry, endpoint: &Endpoint) -> Asking {
    let nodes = Connections::new(endpoint, JOB);
    Box::new(move |node, request| {
        let (registry, nodes) = (registry.clone(), nodes.clone());
        async move {
            let address = registry.addresses([node]).await.map_err(|error| Denied::Gone(error.to_string()))?.pop();
            let address = address.ok_or_else(|| Denied::Gone("it is not registered".into()))?;
            answered(PATIENCE, nodes.ask(&address, &request, MOST_ANSWER + 1)).await
        }
        .boxed()
    })
}

/// Which jobs on an asset were looked at.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Looked {
    /// The number of the first that was not.
    next: u64,
    /// Those that are not settled, with what it has committed to.
    open: BTreeMap<B256, Option<Bound>>,
}

/// What it has committed to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Bound {
    verdict: B256,
    salt: B256,
}

/// How many rounds of a job a receipt is about, of those whose parameters its buyer has noted before he sent them: one that was cut off
/// may never have come to its node, or never had its turn there. All where the receipt names other parameters.
pub fn begun(params: &[Vec<u8>], receipt: &Receipt) -> usize {
    let rounds = receipt.rounds as usize;
    // A round that failed has begun, and is not counted.
    let mut begun = [rounds, rounds + 1].into_iter().filter_map(|count| params.get(..count));
    let named = |params: &&[Vec<u8>]| params_hash(params.iter().map(Vec::as_slice)) == receipt.params;
    begun.find(named).unwrap_or(params).len()
}

/// In what another run of a job of WebAssembly, with the parameters of the rounds that have [`begun`], comes to something else than its
/// receipt says. That it was stopped, withheld or could not be done is nothing that another run comes to: of such a receipt is compared what
/// left before, and that the program takes no fewer steps.
pub fn differs(again: &Rerun, params: &[Vec<u8>], receipt: &Receipt) -> Vec<&'static str> {
    let (is, whole) = (&again.receipt, repeats(WASM, receipt.ended));
    let left = again.left.iter().take(receipt.rounds as usize);
    [
        ("data", is.data != receipt.data),
        ("parameters", params_hash(params.iter().map(Vec::as_slice)) != receipt.params),
        ("runtime", is.runtime != receipt.runtime),
        ("output", outputs_hash(left) != receipt.output),
        ("rounds", if whole { is.rounds != receipt.rounds } else { is.rounds < receipt.rounds }),
        ("steps", if whole { is.fuel != receipt.fuel } else { again.fuel < receipt.fuel }),
        ("end", whole && is.ended != receipt.ended),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

/// Why it has no verdict.
enum NoVerdict {
    /// Not now.
    Yet(String),
    /// Never.
    Ever(String),
}

/// A node that checks jobs.
pub struct Auditor {
    pub(super) computer: Arc<Computer>,
    pub(super) asks: Asking,
}

impl Auditor {
    /// One with the data of this node.
    pub const fn new(computer: Arc<Computer>, asks: Asking) -> Self {
        Self { computer, asks }
    }

    /// Goes on with all checks. What cannot be done is logged, and done another time.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked, or the disk fails.
    pub async fn look(&self, send: &Sender) -> Outcomes<()> {
        for entry in fs::read_dir(&self.computer.folder).map_err(own)?.flatten() {
            let id = entry.file_name().to_str().and_then(|name| name.parse::<B256>().ok());
            if let Some(asset) = id {
                self.look_at(asset, &entry.path(), send).await?;
            }
        }
        Ok(())
    }

    async fn look_at(&self, asset: B256, folder: &Path, send: &Sender) -> Outcomes<()> {
        let path = folder.join("checks.json");
        let mut looked: Looked = read(&path).map_err(own)?;
        let before = (looked.next, looked.open.len());
        loop {
            let (from, most) = (U256::from(looked.next), U256::from(PAGE));
            let jobs = self.computer.asks(JOBS, &jobsOfCall { asset, from, most }).await.map_err(own)?;
            looked.next += jobs.len() as u64;
            let is_last = (jobs.len() as u64) < PAGE;
            for id in jobs {
                let offer = self.computer.job(id).await?.offer;
                if offer.checks.auditors.contains(&self.computer.id().into()) {
                    looked.open.insert(id, None);
                }
            }
            if is_last {
                break;
            }
        }
        if before != (looked.next, looked.open.len()) {
            write(&path, &looked).map_err(own)?;
        }
        for id in looked.open.keys().copied().collect::<Vec<_>>() {
            match self.go_on(id, folder, &path, &mut looked, send).await {
                Ok(true) => {}
                Ok(false) => {
                    looked.open.remove(&id);
                    write(&path, &looked).map_err(own)?;
                }
                Err(why) => tracing::warn!(job = %id, why, "the check of a job does not go on"),
            }
        }
        match looked.open.is_empty() {
            true => self.computer.let_go_of(asset, folder).await,
            // They may have to be run again.
            false => Ok(()),
        }
    }

    /// Goes on with the check of one job; whether there is more to do.
    async fn go_on(
        &self,
        id: B256,
        folder: &Path,
        path: &Path,
        looked: &mut Looked,
        send: &Sender,
    ) -> Result<bool, String> {
        let words = |denied: Denied| denied.to_string();
        let me: B256 = self.computer.id().into();
        let job = self.computer.job(id).await.map_err(words)?;
        if job.state == RUNNING {
            return Ok(true);
        }
        let check = self.computer.check(id).await.map_err(words)?;
        match check.state {
            WAITING => match self.computer.asks(JOBS, &drawOfCall { job: id }).await {
                Ok(auditors) if auditors.contains(&me) => {
                    send(drawCall { job: id }.abi_encode()).await?;
                    return Ok(true);
                }
                Ok(_) => return Ok(false),
                // The block that draws is still to come.
                Err(error) if error.reason::<IJobsErrors>().is_some() => return Ok(true),
                Err(error) => return Err(error.to_string()),
            },
            DRAWN if check.auditors.contains(&me) => {}
            _ => return Ok(false),
        }
        let chain = &*self.computer.chain;
        let said = view(chain, JOBS, &verdictOfCall { job: id, auditor: me }).await;
        let (said, at) = said.map_err(|error| error.to_string())?;
        let open = at.timestamp <= check.committing;
        let Some(bound) = looked.open.get(&id).copied().flatten() else {
            if !open {
                return Ok(false);
            }
            let left = check.committing - at.timestamp;
            let last = left < u64::from(job.offer.time) / LAST;
            let verdict = match self.verdict(id, &job, folder, Duration::from_secs(left)).await {
                Ok(verdict) => verdict,
                Err(NoVerdict::Ever(why)) => {
                    tracing::warn!(job = %id, why, "this node cannot check a job for which it was drawn");
                    return Ok(false);
                }
                Err(NoVerdict::Yet(why)) if last => {
                    tracing::warn!(job = %id, why, "a node does not give what a job was run with");
                    B256::ZERO
                }
                Err(NoVerdict::Yet(why)) => return Err(why),
            };
            let bound = Bound { verdict, salt: rand::random::<[u8; 32]>().into() };
            looked.open.insert(id, Some(bound));
            write(path, looked).map_err(|error| error.to_string())?;
            return self.commit(id, bound, send).await.map(|()| true);
        };
        if said.commitment.is_zero() {
            return match open {
                true => self.commit(id, bound, send).await.map(|()| true),
                false => Ok(false),
            };
        }
        self.reveal(id, &check, bound, said.revealed, at.timestamp, send).await
    }

    async fn commit(&self, id: B256, bound: Bound, send: &Sender) -> Result<(), String> {
        let auditor: B256 = self.computer.id().into();
        let commitment = commitment_of(id, auditor, bound.verdict, bound.salt);
        let digest = commitment_digest(self.computer.chain_id, id, commitment);
        let signature = sign_digest(&self.computer.key, digest).to_vec().into();
        send(commitCall { job: id, auditor, commitment, signature }.abi_encode()).await
    }

    async fn reveal(
        &self,
        id: B256,
        check: &Check,
        bound: Bound,
        revealed: bool,
        now: u64,
        send: &Sender,
    ) -> Result<bool, String> {
        let all = check.auditors.len();
        if now > check.revealing || revealed && usize::from(check.revealed) == all {
            return send(settleCall { job: id }.abi_encode()).await.map(|()| false);
        }
        if !revealed && (usize::from(check.committed) == all || now > check.committing) {
            let (auditor, Bound { verdict, salt }) = (self.computer.id().into(), bound);
            send(revealCall { job: id, auditor, verdict, salt }.abi_encode()).await?;
        }
        Ok(true)
    }

    /// What the node should have signed, if another run comes to an end within a time: later it is of no use.
    async fn verdict(&self, id: B256, job: &Job, folder: &Path, within: Duration) -> Result<B256, NoVerdict> {
        let ever = |why: String| NoVerdict::Ever(why);
        let (folder, kept): (PathBuf, _) = (folder.to_owned(), receiptOfCall { job: id });
        let receipt = self.computer.asks(JOBS, &kept).await.map_err(|error| NoVerdict::Yet(error.to_string()))?.receipt;
        let runtime = self.computer.runtimes.of(job.runtime);
        let runtime = runtime.filter(|runtime| B256::from(runtime.id().hash()) == receipt.runtime);
        let runtime = runtime
            .ok_or_else(|| ever(format!("it was run by the runtime {}, which is not this node's", receipt.runtime)))?;
        let data = spawn_blocking(move || DataSet::open(&folder)).await;
        let data = data.map_err(|error| ever(error.to_string()))?.map_err(|error| ever(error.to_string()))?;
        if data.hash != job.offer.data || data.rules.hash() != job.offer.rules {
            return Err(ever("the data or rules here are not those that were offered".into()));
        }
        let (code, mut params) = self.given(id, job).await?;
        // A round that came to nothing need not be in it.
        params.truncate(begun(&params, &receipt));
        if params_hash(params.iter().map(Vec::as_slice)) != receipt.params {
            return Err(NoVerdict::Yet("the node gives other parameters than it signed".into()));
        }
        // A process comes close to what it came to before, so far as the rules have it.
        let close = match (job.runtime, data.rules.tolerance) {
            (PROCESS, None) => {
                return Err(ever("the rules do not say how close another run of a process comes".into()));
            }
            (PROCESS, Some(tolerance)) => Some((self.left(id, job, &receipt, &data.rules).await?, tolerance)),
            _ => None,
        };
        let process_on = (job.runtime == PROCESS).then_some(job.asset);
        let (job, chain) = (job.clone(), self.computer.chain_id);
        let work = move |control: &Control| rerun(&*runtime, id, &job, &data, &code, &params, control);
        let again = async {
            let _turn = self.computer.turns.run(process_on).await.map_err(|error| error.to_string())?;
            run_unless_dropped(Control::new(), work).await.map_err(|error| error.to_string())
        };
        let late = |_| ever("another run takes longer than there is time for a check".into());
        let again =
            timeout(within, again).await.map_err(late)?.map_err(ever)?.map_err(|error| ever(error.to_string()))?;
        Ok(match close {
            None => receipt_digest(chain, id, &again.receipt),
            Some((left, tolerance)) if again.is_close(&receipt, &left, tolerance) => {
                receipt_digest(chain, id, &receipt)
            }
            Some(_) => B256::ZERO,
        })
    }

    /// What left in the rounds of a job, from its node: what it signed. It is no more than the rules let leave to one buyer.
    async fn left(&self, id: B256, job: &Job, receipt: &Receipt, rules: &Rules) -> Result<Vec<Files>, NoVerdict> {
        let (mut left, mut budget) = (Vec::new(), rules.budget);
        for number in 0..receipt.rounds.min(MOST_ROUNDS) {
            let bytes = (self.asks)(job.offer.node, Request::Left(id, number).to_bytes()).await;
            let bytes = bytes.map_err(|why| NoVerdict::Yet(format!("node {}: {why}", job.offer.node)))?;
            let Ok(Round::Left { files, .. }) = Round::decode(Copying(&bytes[..])) else {
                return Err(NoVerdict::Yet("what the node gives as what left is none".into()));
            };
            let leaving = rules.leaving(&files, budget).map_err(NoVerdict::Yet)?;
            if leaving.files != files {
                return Err(NoVerdict::Yet("what the node gives as what left has not left so".into()));
            }
            budget = budget.saturating_sub(leaving.counts.saturating_add(rules.round()));
            left.push(files);
        }
        match outputs_hash(&left) == receipt.output {
            true => Ok(left),
            false => Err(NoVerdict::Yet("the node gives something else as what left than it signed".into())),
        }
    }

    /// The program of a job and the parameters of its rounds, from its node.
    async fn given(&self, id: B256, job: &Job) -> Result<(Vec<u8>, Vec<Vec<u8>>), NoVerdict> {
        let ask = |number| (self.asks)(job.offer.node, Request::Show(id, number).to_bytes());
        let yet = |why: Denied| NoVerdict::Yet(format!("node {}: {why}", job.offer.node));
        let shown = ask(0).await.map_err(yet)?;
        let (rounds, code) = read_head(&shown).ok_or_else(|| NoVerdict::Yet("what the node gives is none".into()))?;
        if super::algorithm(code) != job.algorithm || rounds > MOST_ROUNDS {
            return Err(NoVerdict::Yet("the node gives another program".into()));
        }
        let (mut params, mut length) = (Vec::new(), 0);
        for number in 1..=rounds {
            let next = ask(number).await.map_err(yet)?;
            length += next.len() as u64;
            if length > MOST_KEPT {
                return Err(NoVerdict::Yet("the node gives more parameters than a job has".into()));
            }
            params.push(next);
        }
        Ok((code.to_vec(), params))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            MILLION,
            abi::{STOPPED, SUCCEEDED, WITHHELD},
        },
        *,
    };

    #[test]
    fn of_a_job_that_was_stopped_is_compared_what_left_before_and_that_its_steps_are_no_more_than_another_run_takes() {
        let files = |text: &str| Files::from([("result.json".to_owned(), text.as_bytes().to_vec())]);
        let (left, params) = (vec![files("1"), files("2")], vec![b"{}".to_vec(); 2]);
        let hashes =
            |rounds: usize| (params_hash(params[..rounds].iter().map(Vec::as_slice)), outputs_hash(&left[..rounds]));
        let (params_of_both, output) = hashes(2);
        let fuel = 9 * MILLION;
        let all = Receipt { params: params_of_both, output, rounds: 2, fuel, ended: SUCCEEDED, ..Receipt::default() };
        let again = Rerun { receipt: all.clone(), left: left.clone(), fuel };
        assert_eq!(differs(&again, &params, &all), [""; 0]);
        // The second round was cut off, or what it came to was not let go.
        let (_, first) = hashes(1);
        let cut = Receipt { output: first, rounds: 1, fuel: 7 * MILLION, ended: STOPPED, ..all.clone() };
        let withheld = Receipt { fuel, ended: WITHHELD, ..cut.clone() };
        for receipt in [&cut, &withheld] {
            assert_eq!(differs(&again, &params, receipt), [""; 0]);
        }
        let false_ones = [
            (Receipt { fuel: 10 * MILLION, ..cut.clone() }, "steps"),
            (Receipt { output, ..cut.clone() }, "output"),
            (Receipt { params: B256::ZERO, ..cut.clone() }, "parameters"),
            (Receipt { rounds: 3, output, ..cut }, "rounds"),
            (Receipt { fuel: 8 * MILLION, ..all.clone() }, "steps"),
        ];
        for (receipt, what) in false_ones {
            assert_eq!(differs(&again, &params, &receipt), [what]);
        }
        // What another run signs is about what left before; a node of the version before signed the steps of what was withheld as well.
        let signs = Receipt { params: hashes(1).0, output: first, rounds: 1, fuel: 7 * MILLION, ..all };
        let again = Rerun { receipt: signs, left: left[..1].to_vec(), fuel };
        assert_eq!(differs(&again, &params, &withheld), [""; 0]);
        assert_eq!(differs(&again, &params, &Receipt { fuel: 10 * MILLION, ..withheld }), ["steps"]);
    }
}

//! Asking a node for evidence.

use super::{Evidence, FORMAT, Proven};
use crate::{
    abi::{
        CONSENT,
        IConsent::{self, Erased, assetOfCall, grantOfCall},
    },
    jobs::abi::{
        EXPIRED,
        IJobs::{IJobsErrors, Job, JobFinished, Offered, ProgramPublished, jobOfCall, publicationsOfCall},
        JOBS, RUNNING,
    },
    market::{abi::IDatatoken::OrderRecorded, datatoken_of},
    record::paged,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_eth::{Filter, Log, TransactionReceipt};
use alloy_sol_types::SolEvent as _;
use futures::future::try_join_all;
use std::{collections::BTreeSet, time::Duration};
use stoa_base::chain_id_of;
use stoa_client::{Client, ClientError, ViewError, view};

/// Publications of a program that are looked at.
const MOST_PUBLICATIONS: u64 = 32;

/// How long to wait for the certificate of a block.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// There is no such job.
    #[error("the node knows no job {0}, and no transaction of this hash that ended one")]
    Unknown(B256),
    /// It goes on.
    #[error("job {0} has not ended: it is audited once its receipt is on the ledger")]
    Running(B256),
    /// It ended without a receipt.
    #[error("job {0} ended without a receipt: its time was over, and its buyer got everything back")]
    Expired(B256),
    /// The contract could not be asked.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The node cannot be reached, or refuses.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The node does not tell of something that must be.
    #[error("the node does not tell {0}: ask one that keeps old blocks")]
    Silent(&'static str),
}

type Result<T> = std::result::Result<T, CollectError>;

/// The transactions of events by this contract with these topics, in these blocks.
async fn transactions(client: &Client, by: Address, topics: [Option<B256>; 3], from: u64, to: u64) -> Result<Vec<Log>> {
    let found = paged(from, to, async |from, to| {
        let mut filter = Filter::new().address(by).from_block(from).to_block(to);
        for (place, topic) in filter.topics.iter_mut().zip(topics) {
            if let Some(topic) = topic {
                *place = topic.into();
            }
        }
        client.call::<Vec<Log>>("eth_getLogs", (filter,)).await
    });
    Ok(found.await?)
}

/// The transaction of the order by which a job's buyer had the grant; nothing if he had it otherwise. Most assets are registered before
/// they are sold, so later blocks are looked at first.
async fn order(client: &Client, job: &Job, registered: u64) -> Result<Vec<Log>> {
    if job.order.is_zero() {
        return Ok(Vec::new());
    }
    let topics = [Some(OrderRecorded::SIGNATURE_HASH), Some(job.order), None];
    let of = datatoken_of(job.order);
    let found = transactions(client, of, topics, registered, job.started).await?;
    match registered.checked_sub(1) {
        Some(before) if found.is_empty() => transactions(client, of, topics, 0, before).await,
        _ => Ok(found),
    }
}

/// The transactions in which a program was published before a job began that ran it.
async fn publications(client: &Client, job: &Job) -> Result<Vec<Log>> {
    let (algorithm, most) = (job.algorithm, U256::from(MOST_PUBLICATIONS));
    let (all, _) = view(client, JOBS, &publicationsOfCall { algorithm, from: U256::ZERO, most }).await?;
    let topics = [Some(ProgramPublished::SIGNATURE_HASH), Some(algorithm), None];
    let blocks: BTreeSet<_> = all.iter().map(|one| one.number).filter(|number| *number <= job.started).collect();
    let found = blocks.into_iter().map(|number| transactions(client, JOBS, topics, number, number));
    Ok(try_join_all(found).await?.into_iter().flatten().collect())
}

/// The transactions in which assets were erased, of these.
async fn erasures(client: &Client, assets: BTreeSet<B256>) -> Result<Vec<Log>> {
    let found = assets.into_iter().map(|asset| async move {
        let (is, _) = view(client, CONSENT, &assetOfCall { asset }).await?;
        match is.erased {
            0 => Ok(Vec::new()),
            number => {
                let topics = [Some(Erased::SIGNATURE_HASH), Some(asset), None];
                transactions(client, CONSENT, topics, number, number).await
            }
        }
    });
    Ok(try_join_all(found).await?.into_iter().flatten().collect())
}

/// A transaction, with what proves it.
pub(crate) async fn prove(client: &Client, transaction: B256) -> Result<Proven> {
    let proof = client.prove_receipt(transaction).await?.ok_or(CollectError::Silent("the proof of a transaction"))?;
    let certificate = client.certificate_within(proof.block_number.saturating_to(), PATIENCE).await?;
    Ok(Proven { transaction, proof, certificate })
}

impl Evidence {
    /// Asks a node for all that shows how the receipt of a job came about. `id` is the job, or the transaction that ended it.
    ///
    /// # Errors
    ///
    /// If there is no such job, if it has no receipt, or if the node does not tell.
    pub async fn collect(client: &Client, id: B256) -> Result<Self> {
        let (id, (job, at)) = match view(client, JOBS, &jobOfCall { job: id }).await {
            Ok(job) => (id, job),
            Err(error) if error.reason::<IJobsErrors>().is_some() => {
                let receipt: Option<TransactionReceipt> = client.call("eth_getTransactionReceipt", (id,)).await?;
                let logs = receipt.iter().flat_map(|receipt| receipt.inner.logs());
                let mut ended = logs.filter(|log| log.address() == JOBS);
                let ended = ended.find_map(|log| JobFinished::decode_log(&log.inner).ok());
                let job = ended.ok_or(CollectError::Unknown(id))?.job;
                (job, view(client, JOBS, &jobOfCall { job }).await?)
            }
            Err(error) => return Err(error.into()),
        };
        match job.state {
            RUNNING => return Err(CollectError::Running(id)),
            EXPIRED => return Err(CollectError::Expired(id)),
            _ => {}
        }
        let (grant, _) = view(client, CONSENT, &grantOfCall { grant: job.grant }).await?;
        let (asset, _) = view(client, CONSENT, &assetOfCall { asset: job.asset }).await?;
        let (registered, offered) = (IConsent::AssetRegistered::SIGNATURE_HASH, Offered::SIGNATURE_HASH);
        let granted = IConsent::Granted::SIGNATURE_HASH;
        let first = asset.registered;
        let (mut found, mut offers, about, leave) = (
            transactions(client, CONSENT, [Some(registered), Some(job.asset), None], first, first).await?,
            transactions(client, JOBS, [Some(offered), Some(job.asset), None], first, job.started).await?,
            transactions(client, JOBS, [None, Some(id), None], job.started, at.number).await?,
            transactions(
                client,
                CONSENT,
                [Some(granted), Some(job.asset), Some(job.grant)],
                grant.granted,
                grant.granted,
            )
            .await?,
        );
        // Of the offers the one that the job began under: it says the same as the job.
        offers.retain(|log| Offered::decode_log(&log.inner).is_ok_and(|event| event.offer == job.offer));
        found.extend(offers.pop());
        found.extend(leave);
        found.extend(about);
        found.extend(order(client, &job, first).await?);
        let published = publications(client, &job).await?;
        let programs = published.iter().filter_map(|log| Some(ProgramPublished::decode_log(&log.inner).ok()?.asset));
        let assets = programs.chain([job.asset]).collect();
        found.extend(published);
        found.extend(erasures(client, assets).await?);
        found.sort_by_key(|log| (log.block_number, log.log_index));
        let mut hashes: Vec<_> = found.iter().filter_map(|log| log.transaction_hash).collect();
        hashes.dedup();
        let mut seen = BTreeSet::new();
        hashes.retain(|hash| seen.insert(*hash));
        let mut named = None;
        for hash in hashes.iter().rev() {
            let signed: Bytes = client.call("eth_getRawTransactionByHash", (*hash,)).await?;
            named = chain_id_of(&signed).map(|chain_id| (chain_id, signed));
            if named.is_some() {
                break;
            }
        }
        let (chain_id, signed) = named.ok_or(CollectError::Silent("a transaction that names its chain"))?;
        let transactions = try_join_all(hashes.into_iter().map(|hash| prove(client, hash))).await?;
        Ok(Self { format: FORMAT.into(), chain_id, signed, job: id, transactions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answering::{node, usual};
    use serde::Deserialize as _;
    use serde_json::{Value, json};
    use stoa_contract::{Natives, bench::Bench};

    const OWNER: Address = Address::repeat_byte(1);

    #[tokio::test]
    async fn the_end_of_what_was_erased_is_found_and_of_nothing_else() {
        let (client, [kept, gone]) = node(|| {
            let mut bench = Bench::new(crate::natives(Natives::stoa()));
            let [kept, gone] = [1, 2].map(|salt| {
                let register = IConsent::registerCall {
                    salt: B256::repeat_byte(salt),
                    object: B256::repeat_byte(salt),
                    sharing: B256::ZERO,
                    needed: 0,
                    keepers: vec![],
                    ownerHalf: true,
                };
                bench.send(OWNER, CONSENT, &register).unwrap().value
            });
            let logs = bench.send(OWNER, CONSENT, &IConsent::eraseCall { asset: gone }).unwrap().logs;
            let answer = move |method: &str, params: &Value| match method {
                "eth_getLogs" => {
                    let filter = Filter::deserialize(&params[0]).unwrap();
                    let found = logs.iter().filter(|log| filter.matches(log));
                    let found = found.map(|log| Log { inner: log.clone(), ..Log::default() });
                    Ok(json!(found.collect::<Vec<_>>()))
                }
                _ => usual(&mut bench, method, params),
            };
            (answer, [kept, gone])
        });
        let found = erasures(&client, [kept, gone].into()).await.unwrap();
        let assets: Vec<_> = found.iter().map(|log| Erased::decode_log(&log.inner).unwrap().asset).collect();
        assert_eq!(assets, [gone]);
    }
}

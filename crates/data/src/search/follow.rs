//! Bringing an index up to date from a node's events.
//!
//! What a node answers is its word; who trusts none runs one (`stoa follow`). Nodes bound what they answer at once, so blocks are
//! asked for in pages that shrink when one is refused. Whoever wants to can fill a block with events that look like those of
//! assets. If even one block is too much, the events of known assets are asked for by their addresses: that takes more
//! questions, and nobody can stop it.

use super::{
    event::{CONTRACT_TOPICS, CONTRACTS, INSTANCE_TOPICS, Logged, TRANSFER},
    index::{ChainId, Cursor, Index, SearchError},
};
use crate::market::abi::{
    FACTORY,
    IFactory::{NFTCreated, TokenCreated},
};
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::{Filter, Log};
use alloy_sol_types::SolEvent as _;
use serde::Deserialize;
use serde_json::{Value, json};
use std::cmp::min;
use stoa_client::{Client, ClientError};

/// Blocks that a node is asked for at once, at most.
const PAGE: u64 = 10_000;

/// Addresses that a node is asked for at once.
const ADDRESSES: usize = 500;

/// Why an index is not up to date.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The node cannot be reached, or refuses.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The file is of no use.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The node told something else than it was asked for.
    #[error("the node's answer makes no sense: {0}; ask another (--http)")]
    Malformed(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    number: U256,
    hash: B256,
}

async fn head(client: &Client, which: Value) -> Result<Option<Cursor>, FollowError> {
    let head: Option<Head> = client.call("eth_getBlockByNumber", (which, false)).await?;
    Ok(head.map(|Head { number, hash }| Cursor { number: number.saturating_to(), hash }))
}

/// Which chain a node has.
///
/// # Errors
///
/// [`FollowError::Client`], [`FollowError::Malformed`].
pub async fn chain(client: &Client) -> Result<ChainId, FollowError> {
    let id: U256 = client.call("eth_chainId", ()).await?;
    let first = head(client, json!("0x0")).await?;
    let first = first.ok_or_else(|| FollowError::Malformed("it has no block 0".to_owned()))?;
    Ok(ChainId { id: id.saturating_to(), genesis: first.hash })
}

/// Brings an index up to the node's newest block. One that is damaged, or has blocks that the chain no longer has (development
/// chains go back), is built anew. `progress` is told how many of how many blocks have been looked at.
///
/// # Errors
///
/// See [`FollowError`].
pub async fn catch_up(
    index: &mut Index,
    client: &Client,
    mut progress: impl FnMut(u64, u64),
) -> Result<Cursor, FollowError> {
    let newest = head(client, json!("latest")).await?;
    let newest = newest.ok_or_else(|| FollowError::Malformed("it has no newest block".to_owned()))?;
    match bring(index, client, newest, &mut progress).await {
        Err(FollowError::Search(SearchError::Damaged(why))) => {
            tracing::info!(why, "the index of assets is built anew");
            index.renew()?;
            bring(index, client, newest, &mut progress).await?;
        }
        other => other?,
    }
    Ok(newest)
}

async fn bring(
    index: &mut Index,
    client: &Client,
    newest: Cursor,
    progress: &mut impl FnMut(u64, u64),
) -> Result<(), FollowError> {
    // A node that has not come so far yet has nothing to add.
    if let Some(has) = index.cursor()?.filter(|has| has.number <= newest.number)
        && head(client, json!(format!("{:#x}", has.number))).await? != Some(has)
    {
        index.renew()?;
    }
    let mut from = index.cursor()?.map_or(0, |has| has.number + 1);
    let (first, mut page) = (from, PAGE);
    while from <= newest.number {
        progress(from - first, newest.number + 1 - first);
        let to = min(newest.number, from.saturating_add(page - 1));
        let logs = match page_of(client, from, to).await {
            Ok(logs) => logs,
            // Too many blocks, or too many events: how many is the node's own rule.
            Err(FollowError::Client(ClientError::Refused { .. })) if to > from => {
                page = (to - from).div_ceil(2);
                continue;
            }
            Err(FollowError::Client(ClientError::Refused { .. })) => crowded(index, client, from).await?,
            Err(error) => return Err(error),
        };
        let reached = match to == newest.number {
            true => newest,
            false => {
                let block = head(client, json!(format!("{to:#x}"))).await?;
                block.ok_or_else(|| FollowError::Malformed(format!("it has no block {to}")))?
            }
        };
        index.apply(from, reached, &logs)?;
        from = to + 1;
        page = min(2 * page, PAGE);
    }
    Ok(())
}

/// The events of some blocks.
async fn page_of(client: &Client, from: u64, to: u64) -> Result<Vec<Logged>, FollowError> {
    let between = Filter::new().from_block(from).to_block(to);
    let contracts = between.clone().address(CONTRACTS.to_vec()).event_signature(CONTRACT_TOPICS.to_vec());
    let instances = between.clone().event_signature(INSTANCE_TOPICS.to_vec());
    let (transfer, token) = TRANSFER;
    let transfers = between.event_signature(transfer).topic3(token);
    Ok(in_order(told(client, from, to, [contracts, instances, transfers]).await?))
}

/// The events of a block that has too many to be asked for, by the addresses of those that matter.
async fn crowded(index: &Index, client: &Client, number: u64) -> Result<Vec<Logged>, FollowError> {
    let within = Filter::new().from_block(number).to_block(number);
    let contracts = within.clone().address(CONTRACTS.to_vec()).event_signature(CONTRACT_TOPICS.to_vec());
    let mut logs = told(client, number, number, [contracts]).await?;
    let mut known = index.instances()?;
    for (_, logged) in logs.iter().filter(|(_, logged)| logged.log.address == FACTORY) {
        known.extend(NFTCreated::decode_log(&logged.log).ok().map(|log| log.newTokenAddress));
        known.extend(TokenCreated::decode_log(&logged.log).ok().map(|log| log.newTokenAddress));
    }
    let topics: Vec<_> = INSTANCE_TOPICS.into_iter().chain([TRANSFER.0]).collect();
    for some in known.chunks(ADDRESSES) {
        let filter = within.clone().address(some.to_vec()).event_signature(topics.clone());
        logs.extend(told(client, number, number, [filter]).await?);
    }
    Ok(in_order(logs))
}

/// Where in the chain an event stands, and the event.
type Placed = ((u64, u64), Logged);

fn in_order(mut logs: Vec<Placed>) -> Vec<Logged> {
    logs.sort_by_key(|(place, _)| *place);
    logs.into_iter().map(|(_, logged)| logged).collect()
}

/// What a node tells of these filters, which are all about blocks `from..=to`.
async fn told(
    client: &Client,
    from: u64,
    to: u64,
    filters: impl IntoIterator<Item = Filter>,
) -> Result<Vec<Placed>, FollowError> {
    let mut all = Vec::new();
    for filter in filters {
        for log in client.call::<Vec<Log>>("eth_getLogs", (filter,)).await? {
            let placed = placed(log).filter(|((number, _), _)| (from..=to).contains(number));
            all.push(placed.ok_or_else(|| {
                FollowError::Malformed(format!("an event of blocks {from} to {to} lacks its place, or has another"))
            })?);
        }
    }
    Ok(all)
}

fn placed(log: Log) -> Option<Placed> {
    let (number, time, transaction) = (log.block_number?, log.block_timestamp?, log.transaction_hash?);
    Some(((number, log.log_index?), Logged { number, time, transaction, log: log.inner }))
}

impl Index {
    /// The contracts of all assets and datatokens.
    fn instances(&self) -> Result<Vec<Address>, SearchError> {
        let sql = "SELECT nft FROM assets UNION ALL SELECT address FROM datatokens";
        let mut statement = self.connection.prepare_cached(sql)?;
        let addresses = statement.query_map([], |row| row.get::<_, [u8; 20]>(0).map(Address::from))?;
        Ok(addresses.collect::<Result<_, _>>()?)
    }
}

//! What an asset has brought its owner, from the ledger's events.

use super::{Result, ask, find::Found, find::events, find::head};
use crate::{
    jobs::abi::{
        IJobs::{JobFinished, jobOfCall},
        JOBS,
    },
    market::abi::{
        DISPENSER, FIXED_RATE,
        IDatatoken::{OrderStarted, getFixedRatesCall},
        IDispenser::TokensDispensed,
        IFixedRate::{Swapped, getExchangeCall},
    },
};
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::Filter;
use serde::Serialize;
use std::collections::BTreeMap;
use stoa_client::Client;

/// Amounts of one token, in its units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amounts {
    /// What datatokens were sold for, without fees, less what some were bought back for.
    pub sales: U256,
    /// What of it waits at the exchange.
    pub waiting: U256,
    /// What jobs were paid.
    pub jobs: U256,
    /// What buyers paid beside that: fees of markets and of the community.
    pub fees: U256,
}

/// What an asset has brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Earnings {
    /// The NFT.
    pub nft: Address,
    /// How many datatokens were sold, and how many were given away.
    pub sold: u64,
    /// How many were given away.
    pub given: u64,
    /// How many orders there were.
    pub orders: u64,
    /// How many jobs have ended.
    pub jobs: u64,
    /// By token.
    pub tokens: BTreeMap<Address, Amounts>,
    /// The exchanges at which something waits, and how much.
    #[serde(skip)]
    pub waiting: Vec<(B256, U256)>,
}

/// Reads what an asset has brought, from block `first` on; `told` hears how many of how many blocks were looked at.
///
/// # Errors
///
/// If the ledger cannot be asked, or the node does not keep these blocks any more.
pub async fn earnings(client: &Client, found: &Found, first: u64, told: &dyn Fn(u64, u64)) -> Result<Earnings> {
    let (last, datatoken) = (head(client).await?, found.datatoken);
    let mut earned = Earnings {
        nft: found.nft,
        sold: 0,
        given: 0,
        orders: 0,
        jobs: 0,
        tokens: BTreeMap::new(),
        waiting: Vec::new(),
    };
    for exchange in ask(client, datatoken, &getFixedRatesCall {}).await? {
        if exchange.contractAddress != FIXED_RATE {
            continue;
        }
        let is = ask(client, FIXED_RATE, &getExchangeCall { exchangeId: exchange.id }).await?;
        let of = earned.tokens.entry(is.baseToken).or_default();
        of.waiting = of.waiting.saturating_add(is.btBalance);
        if !is.btBalance.is_zero() {
            earned.waiting.push((exchange.id, is.btBalance));
        }
        let filter = Filter::new().address(FIXED_RATE).topic1(exchange.id);
        for (swap, _) in events::<Swapped>(client, &filter, first, last, told).await? {
            let fees =
                swap.marketFeeAmount.saturating_add(swap.oceanFeeAmount).saturating_add(swap.consumeMarketFeeAmount);
            of.fees = of.fees.saturating_add(fees);
            let amount = swap.baseTokenSwappedAmount;
            if swap.tokenOutAddress == datatoken {
                earned.sold += 1;
                of.sales = of.sales.saturating_add(amount.saturating_sub(fees));
            } else {
                of.sales = of.sales.saturating_sub(amount.saturating_add(fees));
            }
        }
    }
    let filter = Filter::new().address(DISPENSER).topic1(datatoken.into_word());
    earned.given = events::<TokensDispensed>(client, &filter, first, last, told).await?.len() as u64;
    let filter = Filter::new().address(datatoken);
    earned.orders = events::<OrderStarted>(client, &filter, first, last, told).await?.len() as u64;
    if let Some(asset) = found.asset {
        let filter = Filter::new().address(JOBS).topic2(asset);
        for (finished, _) in events::<JobFinished>(client, &filter, first, last, told).await? {
            earned.jobs += 1;
            let job = ask(client, JOBS, &jobOfCall { job: finished.job }).await?;
            let of = earned.tokens.entry(job.offer.token).or_default();
            of.jobs = of.jobs.saturating_add(finished.paid);
        }
    }
    Ok(earned)
}

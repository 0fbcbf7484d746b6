//! What an asset has brought its owner: sales and orders from the ledger's events, jobs from its state.

use super::{Result, ask, find::Found, find::events, find::head};
use crate::{
    abi::{CONSENT, IConsent::AssetRegistered},
    client::DataError,
    jobs::{
        abi::{
            BROKEN, EXPIRED, FINISHED,
            IJobs::{Job, Receipt, jobOfCall, jobsOfCall, receiptOfCall},
            JOBS, REFUTED, RUNNING,
        },
        cost,
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
use futures::{
    StreamExt as _, TryStreamExt as _,
    future::{ready, try_join},
    stream,
};
use serde::Serialize;
use std::collections::BTreeMap;
use stoa_client::Client;

/// Jobs that one question brings.
const PAGE: u64 = 100;

/// How many jobs are asked about at once.
const AT_ONCE: usize = 8;

/// Amounts of one token, in its units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amounts {
    /// What datatokens were sold for, without fees, less what some were bought back for.
    pub sales: U256,
    /// What of it waits at the exchange.
    pub waiting: U256,
    /// What jobs were paid, also those whose receipts were found false later.
    pub jobs: U256,
    /// What was held for jobs that are over, and went back to their buyers.
    pub refunded: U256,
    /// What is held for jobs that run.
    pub held: U256,
    /// What false receipts cost: the bond gave it to the buyers, what the jobs were paid and the stake. What those were paid who found
    /// out, or who confirmed receipts, is not in it.
    pub lost: U256,
    /// What buyers paid beside that: fees of markets and of the community.
    pub fees: U256,
}

/// What an asset has brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Earnings {
    /// The NFT; none of an asset that is not on the market.
    pub nft: Option<Address>,
    /// The asset of consent.
    pub asset: Option<B256>,
    /// How many datatokens were sold.
    pub sold: u64,
    /// How many were given away.
    pub given: u64,
    /// How many orders there were.
    pub orders: u64,
    /// How many jobs have ended with a receipt.
    pub jobs: u64,
    /// How many jobs run.
    pub running: u64,
    /// How many jobs have ended without a receipt.
    pub expired: u64,
    /// How many receipts were found false.
    pub refuted: u64,
    /// Whether receipts of some are checked, which those who do it are paid for from the bond.
    pub checked: bool,
    /// By token.
    pub tokens: BTreeMap<Address, Amounts>,
    /// The exchanges at which something waits, and how much.
    #[serde(skip)]
    pub waiting: Vec<(B256, U256)>,
}

/// Reads what an asset of the market has brought, from block `first` on; `told` hears how many of how many blocks were looked at.
///
/// # Errors
///
/// If the ledger cannot be asked, or the node does not keep these blocks any more.
pub async fn earnings(client: &Client, found: &Found, first: u64, told: &dyn Fn(u64, u64)) -> Result<Earnings> {
    let (last, datatoken) = (head(client).await?, found.datatoken);
    let mut earned = Earnings { nft: Some(found.nft), asset: found.asset, ..Earnings::default() };
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
        earned.count_jobs(client, asset).await?;
    }
    Ok(earned)
}

/// Reads what jobs have brought on an asset of consent, whether or not it is on the market.
///
/// # Errors
///
/// If the ledger cannot be asked.
pub async fn earned_by_jobs(client: &Client, asset: B256) -> Result<Earnings> {
    let mut earned = Earnings { asset: Some(asset), ..Earnings::default() };
    earned.count_jobs(client, asset).await?;
    Ok(earned)
}

/// The assets of consent that this account has registered; `told` hears how many of how many blocks were looked at.
///
/// # Errors
///
/// If the ledger cannot be asked.
pub async fn registered_by(client: &Client, owner: Address, told: &dyn Fn(u64, u64)) -> Result<Vec<B256>> {
    let filter = Filter::new().address(CONSENT).topic2(owner.into_word());
    let registered = events::<AssetRegistered>(client, &filter, 0, head(client).await?, told).await?;
    Ok(registered.into_iter().map(|(event, _)| event.asset).collect())
}

impl Earnings {
    /// Whether a job has begun, or anything was sold or given away.
    pub const fn is_something(&self) -> bool {
        self.sold + self.given + self.orders + self.jobs + self.running + self.expired > 0
    }

    async fn count_jobs(&mut self, client: &Client, asset: B256) -> Result<()> {
        for from in (0..u64::MAX).step_by(PAGE as usize) {
            let page = jobsOfCall { asset, from: U256::from(from), most: U256::from(PAGE) };
            let jobs = ask(client, JOBS, &page).await?;
            let last = (jobs.len() as u64) < PAGE;
            let asked = |job: B256| async move {
                let (is, of) = (jobOfCall { job }, receiptOfCall { job });
                let (is, of) = try_join(ask(client, JOBS, &is), ask(client, JOBS, &of)).await?;
                Ok::<_, DataError>((is, of.receipt))
            };
            self.count_each(jobs, asked).await?;
            if last {
                break;
            }
        }
        Ok(())
    }

    /// Counts jobs, some of which are asked about at a time.
    async fn count_each<F>(&mut self, jobs: Vec<B256>, asked: impl Fn(B256) -> F) -> Result<()>
    where
        F: Future<Output = Result<(Job, Receipt)>>,
    {
        let told = stream::iter(jobs).map(asked).buffered(AT_ONCE);
        told.try_for_each(|(is, receipt)| ready(self.count(&is, &receipt))).await
    }

    /// Counts a job as the contract of jobs has paid it: what it holds for one that is over it does not keep.
    fn count(&mut self, is: &Job, receipt: &Receipt) -> Result<()> {
        let cost = |steps| cost(&is.offer, steps).map_err(|_| DataError::Receipt);
        let (held, used) = (cost(is.fuel)?, cost(receipt.fuel)?);
        let paid = if receipt.ended == BROKEN { U256::ZERO } else { used };
        self.checked |= is.offer.checks.drawn > 0;
        let of = self.tokens.entry(is.offer.token).or_default();
        match is.state {
            RUNNING => {
                self.running += 1;
                of.held = of.held.saturating_add(held);
            }
            EXPIRED => {
                self.expired += 1;
                of.refunded = of.refunded.saturating_add(held);
            }
            FINISHED | REFUTED => {
                self.jobs += 1;
                of.jobs = of.jobs.saturating_add(paid);
                of.refunded = of.refunded.saturating_add(held.saturating_sub(paid));
                if is.state == REFUTED {
                    self.refuted += 1;
                    of.lost = of.lost.saturating_add(used).saturating_add(is.offer.checks.stake);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{
        MILLION,
        abi::{
            IJobs::{Checks, Offer},
            SUCCEEDED,
        },
    };
    use std::cell::Cell;

    #[tokio::test]
    async fn jobs_are_asked_about_some_at_a_time_and_each_is_counted() {
        let (now, most) = (Cell::new(0), Cell::new(0));
        let asked = |job: B256| {
            let (now, most) = (&now, &most);
            async move {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                tokio::task::yield_now().await;
                now.set(now.get() - 1);
                let offer = Offer { price: U256::from(7), ..Offer::default() };
                let receipt = Receipt { fuel: u64::from(job[31]) * MILLION, ended: SUCCEEDED, ..Receipt::default() };
                Ok((Job { state: FINISHED, fuel: 30 * MILLION, offer, ..Job::default() }, receipt))
            }
        };
        let jobs = (1..=30).map(B256::with_last_byte).collect();
        let mut earned = Earnings::default();
        earned.count_each(jobs, asked).await.unwrap();
        assert_eq!(most.get(), AT_ONCE);
        let of = earned.tokens[&Address::ZERO];
        let all: u64 = (1..=30).sum();
        assert_eq!((earned.jobs, of.jobs, of.refunded), (30, U256::from(7 * all), U256::from(7 * (30 * 30 - all))));
    }

    #[test]
    fn jobs_are_counted_as_they_were_paid_to_the_last_unit() {
        let token = Address::repeat_byte(1);
        let checks = Checks { drawn: 1, stake: U256::from(1000), fee: U256::from(3), ..Checks::default() };
        let offer = Offer { token, base: U256::from(50), price: U256::from(7), checks, ..Offer::default() };
        // 50 and ten times 7 are held.
        let job = |state| Job { state, fuel: 10 * MILLION, offer: offer.clone(), ..Job::default() };
        let receipt = |fuel, ended| Receipt { fuel, ended, ..Receipt::default() };
        let mut earned = Earnings::default();
        assert!(!earned.is_something());
        for (state, receipt) in [
            (RUNNING, receipt(0, 0)),
            (EXPIRED, receipt(0, 0)),
            (FINISHED, receipt(2 * MILLION + 1, SUCCEEDED)),
            (FINISHED, receipt(MILLION, BROKEN)),
            (REFUTED, receipt(4 * MILLION, SUCCEEDED)),
        ] {
            earned.count(&job(state), &receipt).unwrap();
        }
        assert_eq!((earned.jobs, earned.running, earned.expired, earned.refuted), (3, 1, 1, 1));
        assert!(earned.is_something() && earned.checked);
        let wanted = Amounts {
            held: U256::from(120),
            jobs: U256::from((50 + 21) + (50 + 28)),
            // All of the one without a receipt, 49 of 120, all of the one that the node could not do, 42 of 120.
            refunded: U256::from(120 + 49 + 120 + 42),
            lost: U256::from(50 + 28 + 1000),
            ..Amounts::default()
        };
        assert_eq!(earned.tokens, BTreeMap::from([(token, wanted)]));
    }
}

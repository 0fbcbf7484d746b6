//! What an asset has brought its owner: sales and orders from the ledger's events, jobs from its state.

use super::{
    Result, ask,
    find::{events, head, own_asset},
};
use crate::{
    abi::{CONSENT, IConsent::AssetRegistered},
    client::DataError,
    jobs::{
        abi::{
            EXPIRED, FINISHED,
            IJobs::{Job, Receipt, jobOfCall, jobsOfCall, receiptOfCall},
            JOBS, REFUTED, RUNNING,
        },
        cost, due,
    },
    market::abi::{
        DISPENSER, FIXED_RATE,
        IDatatoken::{OrderStarted, getFixedRatesCall},
        IDispenser::TokensDispensed,
        IFixedRate::{Swapped, getExchangeCall},
        INft::getTokensListCall,
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
use std::collections::{BTreeMap, BTreeSet};
use stoa_client::Client;

/// Jobs that one question brings.
const PAGE: u64 = 100;

/// How many jobs are asked about at once.
const AT_ONCE: usize = 8;

/// Exchanges, and datatokens, that a node is asked for the events of at once.
const NAMED: usize = 500;

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
    /// The asset of consent; none of an NFT that says of none of its owner's that it sells it.
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
    /// The exchanges at which something waits.
    #[serde(skip)]
    pub waiting: Vec<Waiting>,
}

/// What waits at an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The exchange.
    pub exchange: B256,
    /// The token.
    pub token: Address,
    /// How much of it.
    pub amount: U256,
}

/// What all assets of an account have brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// Those of which it is known.
    pub assets: Vec<Earnings>,
    /// What went wrong with the others.
    pub failed: Vec<Failed>,
}

/// Something that went wrong with one asset, and stopped no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Its NFT; none of an asset that is not on the market.
    pub nft: Option<Address>,
    /// The asset of consent, if there is no NFT.
    pub asset: Option<B256>,
    /// What.
    pub why: String,
}

/// Reads what an asset of the market has brought, from block `first` on: sales and orders of all its datatokens, and jobs, if what it says
/// it sells is its owner's. `told` hears how many of how many blocks were looked at.
///
/// # Errors
///
/// If the ledger cannot be asked, or the node does not keep these blocks any more.
pub async fn earnings(client: &Client, nft: Address, first: u64, told: &dyn Fn(u64, u64)) -> Result<Earnings> {
    of_market(client, (nft, first), &BTreeSet::new(), told).await
}

/// Reads what all assets of an account have brought: these NFTs, which it owns, with the blocks in which they were made, and what it has
/// registered for consent. One that cannot be read is named, and the others are read all the same.
///
/// # Errors
///
/// If the ledger does not tell what it has registered.
pub async fn earned_by(
    client: &Client,
    owner: Address,
    nfts: &[(Address, u64)],
    told: &dyn Fn(u64, u64),
) -> Result<Brought> {
    let (mut brought, mut counted) = (Brought::default(), BTreeSet::new());
    for made in nfts {
        match of_market(client, *made, &counted, told).await {
            Ok(earned) => {
                counted.extend(earned.asset);
                brought.assets.push(earned);
            }
            Err(error) => brought.failed.push(Failed { nft: Some(made.0), asset: None, why: error.to_string() }),
        }
    }
    // Programs run on what was never on the market too.
    for asset in registered_by(client, owner, told).await? {
        if !counted.insert(asset) {
            continue;
        }
        match earned_by_jobs(client, asset).await {
            Ok(earned) => brought.assets.extend(earned.is_something().then_some(earned)),
            Err(error) => brought.failed.push(Failed { nft: None, asset: Some(asset), why: error.to_string() }),
        }
    }
    Ok(brought)
}

/// What an NFT has brought that was made in this block. Several may say that they sell the same: the jobs on what is counted already are
/// not counted again.
async fn of_market(
    client: &Client,
    (nft, first): (Address, u64),
    counted: &BTreeSet<B256>,
    told: &dyn Fn(u64, u64),
) -> Result<Earnings> {
    // Anybody makes an NFT for anybody, and it need not have a datatoken: then nothing was sold.
    let tokens = ask(client, nft, &getTokensListCall {}).await?;
    let asset = own_asset(client, nft).await?.map(|(asset, _)| asset);
    let mut earned = Earnings { nft: Some(nft), asset, ..Earnings::default() };
    earned.count_sales(client, &tokens, first, told).await?;
    if let Some(asset) = asset.filter(|asset| !counted.contains(asset)) {
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

    /// Counts what these datatokens have brought, from block `first` on.
    async fn count_sales(
        &mut self,
        client: &Client,
        datatokens: &[Address],
        first: u64,
        told: &dyn Fn(u64, u64),
    ) -> Result<()> {
        let (last, mut exchanges) = (head(client).await?, BTreeMap::new());
        for datatoken in datatokens {
            for exchange in ask(client, *datatoken, &getFixedRatesCall {}).await? {
                if exchange.contractAddress != FIXED_RATE {
                    continue;
                }
                let is = ask(client, FIXED_RATE, &getExchangeCall { exchangeId: exchange.id }).await?;
                let (exchange, token, amount) = (exchange.id, is.baseToken, is.btBalance);
                exchanges.insert(exchange, (*datatoken, token));
                let of = self.tokens.entry(token).or_default();
                of.waiting = of.waiting.saturating_add(amount);
                if !amount.is_zero() {
                    self.waiting.push(Waiting { exchange, token, amount });
                }
            }
        }
        let ids: Vec<_> = exchanges.keys().copied().collect();
        for some in ids.chunks(NAMED) {
            let filter = Filter::new().address(FIXED_RATE).topic1(some.to_vec());
            for (swap, _) in events::<Swapped>(client, &filter, first, last, told).await? {
                if let Some((datatoken, token)) = exchanges.get(&swap.exchangeId) {
                    self.count_swap(&swap, *datatoken, *token);
                }
            }
        }
        for some in datatokens.chunks(NAMED) {
            let words: Vec<_> = some.iter().map(|datatoken| datatoken.into_word()).collect();
            let filter = Filter::new().address(DISPENSER).topic1(words);
            self.given += events::<TokensDispensed>(client, &filter, first, last, told).await?.len() as u64;
            let filter = Filter::new().address(some.to_vec());
            self.orders += events::<OrderStarted>(client, &filter, first, last, told).await?.len() as u64;
        }
        Ok(())
    }

    /// Counts a purchase of a datatoken for a token, or that it was sold back.
    fn count_swap(&mut self, swap: &Swapped, datatoken: Address, token: Address) {
        let of = self.tokens.entry(token).or_default();
        let fees = swap.marketFeeAmount.saturating_add(swap.oceanFeeAmount).saturating_add(swap.consumeMarketFeeAmount);
        of.fees = of.fees.saturating_add(fees);
        let amount = swap.baseTokenSwappedAmount;
        if swap.tokenOutAddress == datatoken {
            self.sold += 1;
            of.sales = of.sales.saturating_add(amount.saturating_sub(fees));
        } else {
            of.sales = of.sales.saturating_sub(amount.saturating_add(fees));
        }
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
        let held = cost(&is.offer, is.fuel).map_err(|_| DataError::Receipt)?;
        let paid = due(&is.offer, is.runtime, receipt.ended, receipt.fuel).map_err(|_| DataError::Receipt)?;
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
                    of.lost = of.lost.saturating_add(paid).saturating_add(is.offer.checks.stake);
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
            BROKEN,
            IJobs::{Checks, Offer},
            STOPPED, SUCCEEDED, WASM,
        },
    };
    use crate::{
        abi::IConsent::registerCall,
        market::{
            abi::{
                FACTORY, IDatatoken,
                IFactory::{createNftWithErc20WithFixedRateCall, deployERC721ContractCall},
                IFixedRate::buyDTCall,
                INft,
            },
            tests::{OWNER, datatoken_data, nft_data, rate_data, whole},
        },
        sale::{
            LINK,
            node::{Ledger, node},
        },
    };
    use std::cell::Cell;
    use stoa_contract::{
        coin,
        interfaces::{IERC20, IERC721},
    };

    const BUYER: Address = Address::repeat_byte(0xb1);
    const HEIR: Address = Address::repeat_byte(0xee);

    /// An NFT of the owner's with a datatoken that costs so many coins, and the exchange.
    fn sold_at(ledger: &mut Ledger, price: u128) -> (Address, B256) {
        let fixed = rate_data(coin::ADDRESS, 18, whole(price), 0, true);
        let call =
            createNftWithErc20WithFixedRateCall { nft: nft_data(), datatoken: datatoken_data(), fixedRate: fixed };
        let made = ledger.send(OWNER, FACTORY, &call);
        (made.erc721Address, made.exchangeId)
    }

    fn buy(ledger: &mut Ledger, exchange: B256) {
        let call = buyDTCall {
            exchangeId: exchange,
            datatokenAmount: whole(1),
            maxBaseTokenAmount: whole(100),
            consumeMarketAddress: Address::ZERO,
            consumeMarketSwapFeeAmount: U256::ZERO,
        };
        ledger.send(BUYER, coin::ADDRESS, &IERC20::approveCall { spender: FIXED_RATE, value: U256::MAX });
        ledger.send(BUYER, FIXED_RATE, &call);
    }

    /// An asset of consent of the owner's.
    fn register(ledger: &mut Ledger) -> B256 {
        let call = registerCall {
            salt: B256::repeat_byte(1),
            object: B256::repeat_byte(4),
            sharing: B256::ZERO,
            needed: 0,
            keepers: Vec::new(),
            ownerHalf: true,
        };
        ledger.send(OWNER, CONSENT, &call)
    }

    fn link(ledger: &mut Ledger, nft: Address, asset: B256) {
        ledger.send(OWNER, nft, &INft::setNewDataCall { key: LINK, value: asset.to_vec().into() });
    }

    #[tokio::test]
    async fn every_datatoken_counts_and_an_asset_that_fails_or_sells_nothing_stops_no_other() {
        let (client, (bare, nft, exchanges)) = node(&[BUYER], |ledger| {
            // Anybody makes an NFT for anybody.
            let bare = ledger.send(
                BUYER,
                FACTORY,
                &deployERC721ContractCall {
                    name: "Bare".into(),
                    symbol: "BARE".into(),
                    templateIndex: U256::ONE,
                    additionalERC20Deployer: Address::ZERO,
                    additionalMetaDataUpdater: Address::ZERO,
                    tokenURI: String::new(),
                    transferable: true,
                    owner: OWNER,
                },
            );
            let (nft, first) = sold_at(ledger, 2);
            let data = datatoken_data();
            let second = INft::createERC20Call {
                templateIndex: data.templateIndex,
                strings: data.strings,
                addresses: data.addresses,
                uints: data.uints,
                bytess: data.bytess,
            };
            let second = ledger.send(OWNER, nft, &second);
            let fixed = rate_data(coin::ADDRESS, 18, whole(3), 0, true);
            let call = IDatatoken::createFixedRateCall {
                fixedPriceAddress: fixed.fixedPriceAddress,
                addresses: fixed.addresses,
                uints: fixed.uints,
            };
            let exchanges = [first, ledger.send(OWNER, second, &call)];
            exchanges.iter().for_each(|exchange| buy(ledger, *exchange));
            (bare, nft, exchanges)
        });
        let none = Address::repeat_byte(0xdd);
        let brought = earned_by(&client, OWNER, &[(bare, 1), (none, 1), (nft, 1)], &|_, _| ()).await.unwrap();
        let [nothing, sold] = &brought.assets[..] else { panic!("{brought:?}") };
        assert_eq!(*nothing, Earnings { nft: Some(bare), ..Earnings::default() });
        let of = sold.tokens[&coin::ADDRESS];
        assert_eq!((sold.nft, sold.sold, of.sales, of.waiting), (Some(nft), 2, whole(5), whole(5)));
        let [two, three] = [2, 3].map(whole);
        let waiting = exchanges.into_iter().zip([two, three]);
        let waiting = waiting.map(|(exchange, amount)| Waiting { exchange, token: coin::ADDRESS, amount });
        assert_eq!(sold.waiting, waiting.collect::<Vec<_>>());
        let [failed] = &brought.failed[..] else { panic!("{brought:?}") };
        assert!(failed.nft == Some(none) && failed.why.contains("cannot be understood"), "{failed:?}");
    }

    #[tokio::test]
    async fn what_an_nft_says_it_sells_counts_once_and_if_its_owner_has_it() {
        let (client, (nfts, asset)) = node(&[BUYER], |ledger| {
            let asset = register(ledger);
            let nfts = [1, 2, 3].map(|price| {
                let (nft, exchange) = sold_at(ledger, price);
                link(ledger, nft, asset);
                buy(ledger, exchange);
                nft
            });
            let call = IERC721::transferFromCall { from: OWNER, to: HEIR, tokenId: U256::ONE };
            ledger.send(OWNER, nfts[2], &call);
            (nfts, asset)
        });
        let [first, second, given] = nfts;
        let told: &dyn Fn(u64, u64) = &|_, _| ();
        let brought = earned_by(&client, OWNER, &[(first, 1), (second, 1)], told).await.unwrap();
        let assets: Vec<_> = brought.assets.iter().map(|earned| (earned.nft, earned.asset)).collect();
        assert_eq!(assets, [(Some(first), Some(asset)), (Some(second), Some(asset))], "and not once more by its id");
        // The NFT is another's, with all that it has sold; the data are not.
        let brought = earned_by(&client, HEIR, &[(given, 1)], told).await.unwrap();
        let [one] = &brought.assets[..] else { panic!("{brought:?}") };
        assert_eq!((one.asset, one.sold, one.tokens[&coin::ADDRESS].sales), (None, 1, whole(3)));
    }

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
        let job = |state| Job { state, fuel: 10 * MILLION, runtime: WASM, offer: offer.clone(), ..Job::default() };
        let receipt = |fuel, ended| Receipt { fuel, ended, ..Receipt::default() };
        let mut earned = Earnings::default();
        assert!(!earned.is_something());
        for (state, receipt) in [
            (RUNNING, receipt(0, 0)),
            (EXPIRED, receipt(0, 0)),
            (FINISHED, receipt(2 * MILLION + 1, SUCCEEDED)),
            (FINISHED, receipt(MILLION, BROKEN)),
            // Nobody could check that.
            (FINISHED, receipt(10 * MILLION, STOPPED)),
            (REFUTED, receipt(4 * MILLION, SUCCEEDED)),
        ] {
            earned.count(&job(state), &receipt).unwrap();
        }
        assert_eq!((earned.jobs, earned.running, earned.expired, earned.refuted), (4, 1, 1, 1));
        assert!(earned.is_something() && earned.checked);
        let wanted = Amounts {
            held: U256::from(120),
            jobs: U256::from((50 + 21) + 50 + (50 + 28)),
            // All of the one without a receipt, 49 of 120, all of the one that the node could not do, the steps of the one that was stopped,
            // 42 of 120.
            refunded: U256::from(120 + 49 + 120 + 70 + 42),
            lost: U256::from(50 + 28 + 1000),
            ..Amounts::default()
        };
        assert_eq!(earned.tokens, BTreeMap::from([(token, wanted)]));
    }
}

//! What a buyer does.

use super::{
    Found, ONE, Price, Result, SERVICE, ask, asked, closed, event,
    find::{events, head},
    lasts, sells, sent, shown,
};
use crate::{
    abi::{
        COMPUTE, CONSENT, CREDENTIAL,
        IConsent::{Grant, assetOfCall, checkCall, grantOfCall, grantsOfCall},
        READ, within,
    },
    client::DataError,
    market::abi::{
        DISPENSER, FIXED_RATE,
        IDatatoken::{
            OrderRecorded, acceptOrderCall, getPublishingMarketFeeCall, orderOfCall, startOrderCall, validOrderCall,
        },
        IDispenser::dispenseCall,
        IFixedRate::{buyDTCall, calcBaseInGivenOutDTCall},
        INft::checkAccessCall,
        MarketQuote, ProviderQuote,
    },
};
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::Filter;
use stoa_client::{Client, Wallet, view};
use stoa_contract::interfaces::IERC20;

/// Grants that one question brings, and that are looked through in all: whoever makes more hides nothing but his own.
const PAGE: u64 = 100;
const MOST_GRANTS: u64 = 2_000;

/// Orders of others for one account that are looked at, from the newest on.
const MOST_WAITING: usize = 16;

/// A grant that an order opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opens {
    /// The grant.
    pub grant: B256,
    /// Whether it is for reading.
    pub read: bool,
    /// Whether it is for computing.
    pub compute: bool,
    /// For what.
    pub purpose: String,
}

/// What is offered to a buyer.
#[derive(Clone, Debug)]
pub struct Offered {
    /// The asset.
    pub found: Found,
    /// What one datatoken costs now, fees included, and in which token; nothing if it is given away.
    pub costs: Option<(Address, U256)>,
    /// For how many seconds an order stands that is placed now; 0 for ever.
    pub lasts: u64,
    /// The grants that an order opens.
    pub opens: Vec<Opens>,
    /// An order of this account that stands.
    pub order: Option<B256>,
}

/// What was bought.
#[derive(Clone, Debug)]
pub struct Bought {
    /// The order.
    pub order: B256,
    /// The first second since 1970 at which it no longer stands; 0 for no end.
    pub until: u64,
    /// What was paid, and in which token; nothing if it cost nothing.
    pub paid: Option<(Address, U256)>,
    /// Whether the order was there before.
    pub before: bool,
}

/// Somebody who buys.
pub struct Buyer {
    wallet: Wallet,
}

impl Buyer {
    /// The wallet's owner.
    pub const fn new(wallet: Wallet) -> Self {
        Self { wallet }
    }

    /// What is offered of an NFT of the market.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked, or what the NFT says it sells is another owner's.
    pub async fn offered(&self, nft: Address) -> Result<Offered> {
        let client = self.wallet.client();
        let found = Found::at(client, nft).await?;
        let asset = found.asset.ok_or_else(|| {
            DataError::Ledger(format!(
                "{nft} does not say which asset of consent it sells: Ocean's clients may know how to use it"
            ))
        })?;
        let owner = ask(client, CONSENT, &assetOfCall { asset }).await?.owner;
        if owner != found.owner {
            return Err(DataError::Ledger(format!(
                "{nft} says that it sells asset {asset}, which {owner} owns, and is {}'s",
                found.owner
            )));
        }
        let costs = match found.price {
            Some((Price::Fixed { token, .. }, exchange)) => Some((token, self.costs(exchange).await?)),
            Some((Price::Free, _)) | None => None,
        };
        let lasts = lasts(client, found.datatoken).await?;
        let opens = opens(client, asset, found.datatoken).await?;
        let order = self.order(found.datatoken, self.wallet.address()).await?;
        Ok(Offered { found, costs, lasts, opens, order })
    }

    async fn costs(&self, exchange: B256) -> Result<U256> {
        let call = calcBaseInGivenOutDTCall {
            exchangeId: exchange,
            datatokenAmount: ONE,
            consumeMarketSwapFeeAmount: U256::ZERO,
        };
        Ok(ask(self.wallet.client(), FIXED_RATE, &call).await?.baseTokenAmount)
    }

    /// The last order that this wallet paid for somebody, if it stands.
    async fn order(&self, datatoken: Address, consumer: Address) -> Result<Option<B256>> {
        self.paid_by(self.wallet.address(), datatoken, consumer).await
    }

    /// The last order that somebody paid for somebody, if it stands.
    async fn paid_by(&self, payer: Address, datatoken: Address, consumer: Address) -> Result<Option<B256>> {
        let call = validOrderCall { consumer, payer, serviceIndex: U256::from(SERVICE) };
        let order = ask(self.wallet.client(), datatoken, &call).await?;
        Ok((!order.is_zero()).then_some(order))
    }

    /// An order that stands, which somebody else has paid for this wallet and which it can [accept](Self::accept) instead of paying
    /// for one; nothing if one of its own stands.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked.
    pub async fn waiting(&self, offered: &Offered) -> Result<Option<B256>> {
        let (Some(asset), None) = (offered.found.asset, offered.order) else { return Ok(None) };
        let (client, datatoken, own) = (self.wallet.client(), offered.found.datatoken, self.wallet.address());
        let first = ask(client, CONSENT, &assetOfCall { asset }).await?.registered;
        let filter = Filter::new().address(datatoken).topic2(own.into_word());
        let placed = events::<OrderRecorded>(client, &filter, first, head(client).await?, &|_, _| ()).await?;
        let payers = placed.iter().rev().map(|(order, _)| order.payer).filter(|payer| *payer != own);
        for payer in payers.take(MOST_WAITING) {
            if let Some(order) = self.paid_by(payer, datatoken, own).await? {
                return Ok(Some(order));
            }
        }
        Ok(None)
    }

    /// The grant among these that lets this wallet read now, or else compute.
    ///
    /// # Errors
    ///
    /// If the ledger cannot be asked.
    pub async fn opened<'a>(&self, opens: &'a [Opens]) -> Result<Option<&'a Opens>> {
        let (client, user) = (self.wallet.client(), self.wallet.address());
        for kind in [READ, COMPUTE] {
            for open in opens.iter().filter(|open| if kind == READ { open.read } else { open.compute }) {
                let grant = ask(client, CONSENT, &grantOfCall { grant: open.grant }).await?;
                let check = checkCall { grant: open.grant, user, kind, algorithm: grant.terms.algorithm };
                if view(client, CONSENT, &check).await.is_ok() {
                    return Ok(Some(open));
                }
            }
        }
        Ok(None)
    }

    /// That an order for `consumer` stands, or would be taken now.
    ///
    /// # Errors
    ///
    /// Why none would be taken.
    pub async fn check(&self, offered: &Offered, consumer: Address) -> Result<()> {
        if self.order(offered.found.datatoken, consumer).await?.is_none() {
            self.taken(offered, consumer).await?;
        }
        Ok(())
    }

    /// That an order for `consumer` would be taken, and whether the wallet has a datatoken for it: who paid for a datatoken that buys no
    /// order would have paid for nothing.
    async fn taken(&self, offered: &Offered, consumer: Address) -> Result<bool> {
        let (client, found) = (self.wallet.client(), &offered.found);
        if consumer.is_zero() {
            let why = "address zero is nobody's: nobody could accept an order for it, and none was paid for";
            return Err(DataError::Ledger(why.into()));
        }
        if !sells(found.state) {
            return Err(DataError::Ledger(closed(found.state)));
        }
        ask(client, found.nft, &checkAccessCall { account: consumer }).await?;
        let fee = ask(client, found.datatoken, &getPublishingMarketFeeCall {}).await?;
        if !fee.feeToken.is_zero() && !fee.amount.is_zero() {
            let fee = shown(client, fee.feeToken, fee.amount).await?;
            return Err(DataError::Ledger(format!(
                "the market that published it asks {fee} for each order beside the price: order with Ocean's client"
            )));
        }
        let account = self.wallet.address();
        let has = ask(client, found.datatoken, &IERC20::balanceOfCall { account }).await? >= ONE;
        if has || found.price.is_some() { Ok(has) } else { Err(not_sold(found)) }
    }

    /// Orders for `consumer`: buys a datatoken for `most` units at most, if the wallet has none, and places the order. One that stands
    /// is not placed twice.
    ///
    /// # Errors
    ///
    /// If it is for address zero, not for sale, costs more, would not stand as long as was offered, or the ledger refuses. A datatoken that
    /// was bought before that stays the wallet's, and the next try uses it.
    pub async fn buy(&self, offered: &Offered, consumer: Address, most: Option<U256>) -> Result<Bought> {
        let (client, datatoken) = (self.wallet.client(), offered.found.datatoken);
        if let Some(order) = self.order(datatoken, consumer).await? {
            let is = ask(client, datatoken, &orderOfCall { order }).await?;
            return Ok(Bought { order, until: is.until.saturating_to(), paid: None, before: true });
        }
        let has = self.taken(offered, consumer).await?;
        self.stands(offered).await?;
        let paid = if has { None } else { self.datatoken(offered, most).await? };
        // Its seller may have said otherwise when he saw that it was bought.
        self.stands(offered).await?;
        let call = startOrderCall {
            consumer,
            serviceIndex: U256::from(SERVICE),
            providerFee: nothing(),
            consumeMarketFee: MarketQuote { feeAddress: Address::ZERO, feeToken: Address::ZERO, amount: U256::ZERO },
        };
        let receipt = self.wallet.call(datatoken, &call).await.map_err(sent)?;
        let recorded: OrderRecorded = event(&receipt, datatoken)?;
        Ok(Bought { order: recorded.order, until: recorded.until.saturating_to(), paid, before: false })
    }

    /// Accepts an order that somebody else paid for this wallet: it opens to it what one of its own would. One that was accepted stands.
    ///
    /// # Errors
    ///
    /// If it is none of this asset's, for somebody else, or over.
    pub async fn accept(&self, offered: &Offered, order: B256) -> Result<Bought> {
        let datatoken = offered.found.datatoken;
        let before = self.order(datatoken, self.wallet.address()).await? == Some(order);
        if !before {
            self.wallet.call(datatoken, &acceptOrderCall { order }).await.map_err(sent)?;
        }
        let is = ask(self.wallet.client(), datatoken, &orderOfCall { order }).await?;
        Ok(Bought { order, until: is.until.saturating_to(), paid: None, before })
    }

    /// That an order which is placed now stands as long as was offered.
    async fn stands(&self, offered: &Offered) -> Result<()> {
        let now = lasts(self.wallet.client(), offered.found.datatoken).await?;
        if now == 0 || (offered.lasts > 0 && now >= offered.lasts) {
            return Ok(());
        }
        let offered = if offered.lasts == 0 { "no end".to_owned() } else { format!("{} seconds", offered.lasts) };
        Err(DataError::Ledger(format!(
            "an order would stand for {now} seconds now, and {offered} was offered: nothing was ordered, and a datatoken that was bought \
             stays this account's"
        )))
    }

    /// What this wallet lacks of a whole datatoken, of which others may have given it a part.
    async fn lacks(&self, datatoken: Address) -> Result<U256> {
        let has = IERC20::balanceOfCall { account: self.wallet.address() };
        Ok(ONE.saturating_sub(ask(self.wallet.client(), datatoken, &has).await?))
    }

    /// Gets a datatoken. What was paid for it.
    async fn datatoken(&self, offered: &Offered, most: Option<U256>) -> Result<Option<(Address, U256)>> {
        let (client, datatoken) = (self.wallet.client(), offered.found.datatoken);
        let (_, exchange) = offered.found.price.ok_or_else(|| not_sold(&offered.found))?;
        let Some((token, quoted)) = offered.costs else {
            let amount = self.lacks(datatoken).await?;
            if !amount.is_zero() {
                let call = dispenseCall { datatoken, amount, destination: self.wallet.address() };
                self.wallet.call(DISPENSER, &call).await.map_err(sent)?;
            }
            return Ok(None);
        };
        let most = most.unwrap_or(quoted);
        let costs = self.costs(exchange).await?;
        if costs > most {
            let [costs, most] = [shown(client, token, costs).await?, shown(client, token, most).await?];
            return Err(DataError::Ledger(format!("it costs {costs} now, and {most} at most may be paid")));
        }
        let account = self.wallet.address();
        let has = ask(client, token, &IERC20::balanceOfCall { account }).await?;
        if has < costs {
            let [has, costs] = [shown(client, token, has).await?, shown(client, token, costs).await?];
            return Err(DataError::Ledger(format!("{account} has {has}, and {costs} are needed: nothing was paid")));
        }
        let allowed = IERC20::allowanceCall { owner: self.wallet.address(), spender: FIXED_RATE };
        if ask(self.wallet.client(), token, &allowed).await? < costs {
            let call = IERC20::approveCall { spender: FIXED_RATE, value: most };
            self.wallet.call(token, &call).await.map_err(sent)?;
        }
        let call = buyDTCall {
            exchangeId: exchange,
            datatokenAmount: ONE,
            maxBaseTokenAmount: most,
            consumeMarketAddress: Address::ZERO,
            consumeMarketSwapFeeAmount: U256::ZERO,
        };
        let receipt = self.wallet.call(FIXED_RATE, &call).await.map_err(sent)?;
        let swapped: crate::market::abi::IFixedRate::Swapped = event(&receipt, FIXED_RATE)?;
        Ok(Some((token, swapped.baseTokenSwappedAmount)))
    }
}

fn not_sold(found: &Found) -> DataError {
    DataError::Ledger(format!("{} is not for sale now", found.nft))
}

/// The grants of an asset, among so many that it had first, that are for whoever has an order of a datatoken, and whether each stands.
pub(super) async fn for_orders(client: &Client, asset: B256, most: u64) -> Result<Vec<(B256, Grant, bool)>> {
    let mut found = Vec::new();
    let credential: B256 = U256::from(u64::from(SERVICE) + 1).into();
    for from in (0..most).step_by(PAGE as usize) {
        let page = grantsOfCall { asset, from: U256::from(from), most: U256::from(PAGE) };
        let grants = ask(client, CONSENT, &page).await?;
        let is_last = (grants.len() as u64) < PAGE;
        for grant in grants {
            let (is, at) = view(client, CONSENT, &grantOfCall { grant }).await.map_err(asked)?;
            if (is.terms.kind, is.terms.credential) == (CREDENTIAL, credential) {
                let stands = is.revoked == 0 && within(is.terms.until, at.timestamp);
                found.push((grant, is, stands));
            }
        }
        if is_last {
            break;
        }
    }
    Ok(found)
}

/// The grants of an asset that are for whoever has an order of this datatoken, and stand.
async fn opens(client: &Client, asset: B256, datatoken: Address) -> Result<Vec<Opens>> {
    let stand = for_orders(client, asset, MOST_GRANTS).await?.into_iter();
    let stand = stand.filter(|(_, is, stands)| is.terms.who == datatoken && *stands);
    let opens = stand.map(|(grant, Grant { terms, .. }, _)| {
        let (read, compute) = (terms.uses & READ > 0, terms.uses & COMPUTE > 0);
        Opens { grant, read, compute, purpose: terms.purpose }
    });
    Ok(opens.collect())
}

/// For what whoever orders an asset may use it: a term of the Data Privacy Vocabulary for each grant that an order opens.
///
/// # Errors
///
/// If the ledger cannot be asked.
pub async fn purposes(client: &Client, found: &Found) -> Result<Vec<String>> {
    let Some(asset) = found.asset else { return Ok(Vec::new()) };
    let mut purposes: Vec<_> =
        opens(client, asset, found.datatoken).await?.into_iter().map(|open| open.purpose).collect();
    purposes.dedup();
    Ok(purposes)
}

/// No provider asks for anything.
fn nothing() -> ProviderQuote {
    ProviderQuote {
        feeAddress: Address::ZERO,
        feeToken: Address::ZERO,
        amount: U256::ZERO,
        v: 0,
        r: B256::ZERO,
        s: B256::ZERO,
        validUntil: U256::ZERO,
        data: alloy_primitives::Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        market::{
            abi::{
                DatatokenData, FACTORY,
                IDatatoken::{mintCall, setServiceTimeoutCall},
                IFactory::{createNftWithErc20Call, createNftWithErc20WithFixedRateCall},
                INft::{setAccessCall, setMetaDataStateCall},
            },
            tests::{OWNER, datatoken_data, nft_data, rate_data, whole},
        },
        sale::node::{Ledger, node},
    };
    use alloy_signer_local::PrivateKeySigner;
    use stoa_contract::coin;

    /// An NFT that is for sale.
    fn for_sale(ledger: &mut Ledger, datatoken: DatatokenData) -> Address {
        let fixed = rate_data(coin::ADDRESS, 18, whole(2), 0, true);
        let call = createNftWithErc20WithFixedRateCall { nft: nft_data(), datatoken, fixedRate: fixed };
        ledger.send(OWNER, FACTORY, &call).erc721Address
    }

    #[tokio::test]
    async fn what_takes_no_order_is_told_before_anything_is_paid() {
        let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap();
        let (account, friend) = (signer.address(), Address::repeat_byte(0xb2));
        let (client, (sold, closed, denies, charges, unsold, had)) = node(&[], move |ledger| {
            let [sold, closed, denies] = [(); 3].map(|()| for_sale(ledger, datatoken_data()));
            ledger.send(OWNER, closed, &setMetaDataStateCall { state: 4 });
            ledger.send(OWNER, denies, &setAccessCall { allow: Vec::new(), deny: vec![friend] });
            let addresses = vec![OWNER, Address::ZERO, OWNER, coin::ADDRESS];
            let fee = DatatokenData { addresses, uints: vec![U256::MAX, U256::ONE], ..datatoken_data() };
            let charges = for_sale(ledger, fee);
            let [unsold, had] = [(); 2].map(|()| {
                let call = createNftWithErc20Call { nft: nft_data(), datatoken: datatoken_data() };
                let made = ledger.send(OWNER, FACTORY, &call);
                (made.erc721Address, made.erc20Address)
            });
            ledger.send(OWNER, had.1, &mintCall { account, value: ONE });
            (sold, closed, denies, charges, unsold.0, had.0)
        });
        let buyer = Buyer::new(Wallet::new(client.clone(), signer).await.unwrap());
        let check = async |nft: Address, consumer: Address| {
            let found = Found::at(&client, nft).await.unwrap();
            let offered = Offered { found, costs: None, lasts: 0, opens: Vec::new(), order: None };
            buyer.check(&offered, consumer).await.map_err(|error| error.to_string())
        };
        for (nft, consumer) in [(sold, account), (sold, friend), (denies, account), (had, account)] {
            assert_eq!(check(nft, consumer).await, Ok(()));
        }
        for (nft, consumer, want) in [
            (sold, Address::ZERO, "address zero"),
            (closed, account, "the asset is disabled"),
            (denies, friend, "denied"),
            (charges, account, "for each order beside the price"),
            (unsold, account, "is not for sale now"),
        ] {
            let why = check(nft, consumer).await.unwrap_err();
            assert!(why.contains(want), "{why}");
        }
    }

    #[tokio::test]
    async fn nothing_is_ordered_that_ends_sooner_than_was_offered_and_no_more_is_taken_of_what_is_free_than_lacks() {
        let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap();
        let account = signer.address();
        let (client, (ends, stays)) = node(&[], move |ledger| {
            let [ends, stays] = [(); 2].map(|()| {
                let call = createNftWithErc20Call { nft: nft_data(), datatoken: datatoken_data() };
                let made = ledger.send(OWNER, FACTORY, &call);
                (made.erc721Address, made.erc20Address)
            });
            let timeout = setServiceTimeoutCall { serviceIndex: U256::from(SERVICE), timeout: U256::from(60) };
            ledger.send(OWNER, ends.1, &timeout);
            ledger.send(OWNER, ends.1, &mintCall { account, value: U256::ONE });
            ledger.send(OWNER, stays.1, &mintCall { account, value: ONE + U256::ONE });
            (ends, stays)
        });
        let buyer = Buyer::new(Wallet::new(client.clone(), signer).await.unwrap());
        for ((nft, _), lasts, orders) in [
            (ends, 60, true),
            (ends, 59, true),
            (ends, 61, false),
            (ends, 0, false),
            (stays, 0, true),
            (stays, 60, true),
        ] {
            let found = Found::at(&client, nft).await.unwrap();
            let offered = Offered { found, costs: None, lasts, opens: Vec::new(), order: None };
            assert_eq!(buyer.stands(&offered).await.is_ok(), orders, "{lasts}");
        }
        assert_eq!(buyer.lacks(ends.1).await.unwrap(), ONE - U256::ONE);
        assert_eq!(buyer.lacks(stays.1).await.unwrap(), U256::ZERO);
    }
}

//! `stoa data buy` and `stoa data earnings`.

use super::{
    document, nft,
    options::{BuyOptions, EarningsOptions, lasting},
    terms::{costs, leaves},
    token::Token,
};
use crate::{
    consent::names,
    job::STEPS,
    output::{self, AlreadySaid},
    progress::progress,
    search::up_to_date,
    wallet::WalletOptions,
};
use alloy_primitives::{Address, B256, U256};
use eyre::{Result, bail, ensure, eyre};
use serde_json::json;
use std::{collections::BTreeSet, path::Path};
use stoa_client::{Client, Wallet, counted, decimal, plain};
use stoa_data::{
    jobs::MILLION,
    record::iso_8601,
    sale::{self, Amounts, Brought, Buyer, Computing, Earnings, Failed, Offered, Opens, Seller, Waiting},
};

/// What somebody knows before he orders.
struct Terms {
    /// What the order costs, at most as he says.
    most: Option<U256>,
    /// For how many seconds it stands; 0 for ever.
    lasts: u64,
    /// What is offered to whoever computes, if it opens that.
    computing: Option<Computing>,
    /// An order that somebody else has paid, which is accepted instead of paying for one.
    accept: Option<B256>,
}

/// What is offered, and what it may cost.
async fn asked(buyer: &Buyer, account: &Wallet, nft: Address, options: &BuyOptions) -> Result<(Offered, Terms)> {
    let client = account.client();
    let own = options.consumer.is_none_or(|consumer| consumer == account.address());
    let bar = progress("asking the market");
    let asked = async {
        let offered = buyer.offered(nft).await?;
        let accept = match options.accept {
            // What is paid already is not paid once more.
            None if own => buyer.waiting(&offered).await?,
            said => said,
        };
        Ok::<_, eyre::Report>((offered, accept))
    };
    let asked = asked.await;
    bar.finish_and_clear();
    let (offered, accept) = asked?;
    ensure!(
        !offered.opens.is_empty(),
        "an order of it would open nothing: its owner has made no grant to those who order. Nothing was paid"
    );
    // Before anybody reads what it would cost.
    if accept.is_none() {
        buyer.check(&offered, options.consumer.unwrap_or(account.address())).await?;
    }
    let most = match (&options.most, &offered.costs) {
        (Some(most), Some((token, _))) => Some(Token::at(client, *token).await?.amount(most)?),
        _ => None,
    };
    if let (Some((address, costs)), Some(most)) = (offered.costs, most)
        && costs > most
        && offered.order.or(accept).is_none()
    {
        let token = Token::at(client, address).await?;
        bail!("it costs {} now, which is more than {}: nothing was paid", token.shown(costs), token.shown(most));
    }
    let computes = offered.opens.iter().any(|open| open.compute);
    let computing = match offered.found.asset.filter(|_| computes) {
        Some(asset) => {
            // What is sealed to others tells this account nothing.
            let told = document(account, &offered.found).await.ok().flatten();
            Computing::of(client, asset, told.as_ref().map(|told| &told.document[..])).await?
        }
        None => None,
    };
    ensure!(
        computing.is_some() || offered.opens.iter().any(|open| open.read),
        "an order of it would open nothing: nobody computes on it now. Nothing was paid"
    );
    let lasts = offered.lasts;
    Ok((offered, Terms { most, lasts, computing, accept }))
}

/// Says what is offered, and on which terms.
async fn say(client: &Client, offered: &Offered, terms: &Terms) -> Result<()> {
    let costs_now = match offered.costs {
        Some((address, amount)) => Token::at(client, address).await?.shown(amount),
        None => "nothing".into(),
    };
    let lasts = if terms.lasts == 0 { "for ever".into() } else { format!("for {}", lasting(terms.lasts)) };
    println!("An order costs {costs_now}, stands {lasts}, and is not given back. It lets whoever has it");
    for open in &offered.opens {
        let how = match (open.read, open.compute) {
            (true, true) => "read it, and have programs run on it",
            (true, false) => "read it",
            _ => "have programs run on it, where it stays with its owner",
        };
        println!("  {how}, for {}", plain(&names(std::slice::from_ref(&open.purpose))));
    }
    if let Some(computing) = &terms.computing {
        println!("What that costs then:");
        let token = Token::at(client, computing.token).await?;
        costs(computing, &token).iter().for_each(|line| println!("  {line}"));
        println!("What may leave:");
        leaves(computing).iter().for_each(|line| println!("  {line}"));
    }
    Ok(())
}

/// How whoever has ordered has a program run.
fn run(asset: B256, computing: Option<&Computing>) -> String {
    let command = format!("stoa job run --on {asset} --algorithm FILE --to DIR");
    let Some(computing) = computing else { return command };
    // As much as a job asks for if nothing is said, where that is offered.
    let millions = STEPS.min(computing.steps / MILLION).max(1);
    let most = decimal(computing.cost(millions * MILLION), 18);
    format!("{command} --steps {millions} --most {most}")
}

/// `stoa data buy`.
pub(crate) async fn buy(dir: &Path, options: BuyOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let account = wallet.open().await?;
    let client = account.client();
    let nft = nft(dir, client, &options.asset).await?;
    let buyer = Buyer::new(account.clone());
    let own = options.consumer.is_none_or(|consumer| consumer == account.address());
    let consumer = options.consumer.unwrap_or(account.address());
    let (offered, terms) = asked(&buyer, &account, nft, &options).await?;
    if !json {
        say(client, &offered, &terms).await?;
    }
    let accepts = terms.accept.is_some();
    let is_free = accepts || (own && offered.order.is_some());
    let pays = offered.costs.filter(|_| !is_free);
    if let Some((address, costs)) = pays.filter(|_| !options.yes) {
        let costs = Token::at(client, address).await?.shown(costs);
        let first = format!("an order costs {costs}, and nothing was paid: look with `stoa data show`");
        output::askable(false, json, &first)?;
        ensure!(output::agreed("Order it?")?, "nothing was paid");
    }
    let bar = progress("ordering");
    let bought = async {
        if own && offered.opens.iter().any(|open| open.read) {
            bar.set_message("announcing your key");
            stoa_data::client::announce(&account).await?;
        }
        let bought = match terms.accept {
            Some(order) => {
                bar.set_message("accepting the order");
                buyer.accept(&offered, order).await?
            }
            None => {
                bar.set_message("buying and ordering");
                buyer.buy(&offered, consumer, terms.most).await?
            }
        };
        let opened = if own { buyer.opened(&offered.opens).await?.cloned() } else { None };
        Ok::<_, eyre::Report>((bought, opened))
    };
    let done = bought.await;
    bar.finish_and_clear();
    let (bought, opened) = done?;
    let paid = match bought.paid {
        Some((address, amount)) => Some((Token::at(client, address).await?, amount)),
        None => None,
    };
    if json {
        let said = json!({
            "nft": nft, "datatoken": offered.found.datatoken, "asset": offered.found.asset, "order": bought.order,
            "until": bought.until, "before": bought.before, "accepted": accepts, "consumer": consumer,
            "paid": paid.as_ref().map(|(_, amount)| amount), "token": paid.as_ref().map(|(token, _)| token.address),
            "grant": opened.as_ref().map(|open| open.grant), "read": opened.as_ref().map(|open| open.read),
            "compute": opened.as_ref().map(|open| open.compute), "purpose": opened.as_ref().map(|open| &open.purpose),
            "computing": terms.computing,
        });
        println!("{said}");
        return Ok(());
    }
    match (&paid, bought.before) {
        (_, true) if accepts => println!("It was accepted before, and stands already."),
        _ if accepts => println!("Somebody else has paid for it: his order is accepted, and you paid nothing."),
        (_, true) => println!("An order of yours stands already: nothing was paid."),
        (Some((token, amount)), _) => println!("{} paid", token.shown(*amount)),
        (None, _) => println!("It cost nothing."),
    }
    println!(
        "order {}, {}",
        bought.order,
        if bought.until == 0 { "for ever".into() } else { format!("until {}", iso_8601(bought.until)) }
    );
    let purpose = |open: &Opens| plain(&names(std::slice::from_ref(&open.purpose)));
    match opened {
        Some(open) if open.read => println!("stoa data get {} --to PATH reads it, for {}", open.grant, purpose(&open)),
        Some(open) => {
            let run = run(offered.found.asset.unwrap_or_default(), terms.computing.as_ref());
            println!("{run} computes on it (grant {}), for {}", open.grant, purpose(&open));
        }
        None if own => println!("It opens no grant to you."),
        None => println!("{consumer} accepts it: stoa data buy {} --accept {}", options.asset, bought.order),
    }
    Ok(())
}

/// Whose earnings are asked for.
enum Whose {
    /// Those of an asset of consent: its jobs alone.
    Asset(B256),
    /// Those of an NFT.
    Nft(Address),
    /// Those of an account that owns these NFTs, which were made in these blocks.
    Account(Address, Vec<(Address, u64)>),
}

impl Whose {
    /// What is named, or the account.
    async fn named(dir: &Path, name: Option<&str>, wallet: &WalletOptions) -> Result<Self> {
        let Some(name) = name else {
            let owner = wallet.open().await?.address();
            // As `stoa data list` finds them: also what others have made for it, or passed on to it.
            return Ok(Self::Account(owner, up_to_date(dir, wallet).await?.owned_by(owner)?));
        };
        Ok(match name.parse() {
            Ok(asset) => Self::Asset(asset),
            Err(_) => Self::Nft(nft(dir, &wallet.client(), name).await?),
        })
    }

    /// What they have brought.
    async fn brought(&self, client: &Client, told: &dyn Fn(u64, u64)) -> Result<Brought> {
        let one = match self {
            Self::Asset(asset) => sale::earned_by_jobs(client, *asset).await?,
            Self::Nft(nft) => sale::earnings(client, *nft, 0, told).await?,
            Self::Account(owner, nfts) => return Ok(sale::earned_by(client, *owner, nfts, told).await?),
        };
        Ok(Brought { assets: vec![one], failed: Vec::new() })
    }
}

/// Has all paid out that waits. The exchanges that have paid; one that does not stops no other.
async fn collect(seller: &Seller, brought: &mut Brought) -> BTreeSet<B256> {
    let mut paid = BTreeSet::new();
    for earned in &brought.assets {
        for Waiting { exchange, amount, .. } in &earned.waiting {
            match seller.collect(*exchange, *amount).await {
                Ok(()) => {
                    paid.insert(*exchange);
                }
                Err(error) => {
                    let why = format!("what waits at exchange {exchange} was not paid out: {error}");
                    brought.failed.push(Failed { nft: earned.nft, asset: None, why });
                }
            }
        }
    }
    paid
}

/// What an asset is called here.
fn name(nft: Option<Address>, asset: Option<B256>) -> String {
    match (nft, asset) {
        (Some(nft), _) => nft.to_string(),
        (None, asset) => format!("asset {}", asset.unwrap_or_default()),
    }
}

/// What an asset has brought, in a line.
fn brief(earned: &Earnings) -> String {
    let mut parts = Vec::new();
    if earned.nft.is_some() {
        parts.extend([format!("{} sold", earned.sold), format!("{} given away", earned.given)]);
        parts.push(counted(earned.orders, "order"));
    }
    parts.push(counted(earned.jobs, "job"));
    for (count, what) in [
        (earned.running, "running"),
        (earned.expired, "without a receipt in time"),
        (earned.refuted, "with a receipt that was false"),
    ] {
        parts.extend((count > 0).then(|| format!("{count} {what}")));
    }
    format!("{}  {}", name(earned.nft, earned.asset), parts.join(", "))
}

/// What an asset has brought of a token, line by line; `paid` are the exchanges that have paid out what waited.
fn amounts(earned: &Earnings, of: &Amounts, token: &Token, paid: &BTreeSet<B256>) -> Vec<String> {
    let mut lines = Vec::new();
    let [sales, jobs, fees] = [of.sales, of.jobs, of.fees].map(|amount| token.shown(amount));
    lines.push(match earned.nft {
        Some(_) => format!("{sales} by sales, {jobs} by jobs; buyers paid {fees} of fees beside"),
        None => format!("{jobs} by jobs"),
    });
    let own = earned.waiting.iter().filter(|waiting| waiting.token == token.address);
    let out = own.filter(|waiting| paid.contains(&waiting.exchange));
    let out = out.fold(U256::ZERO, |sum, waiting| sum.saturating_add(waiting.amount));
    for (amount, what) in [
        (out, "was paid out"),
        (of.waiting.saturating_sub(out), "waits at the exchange (--collect has it paid out)"),
        (of.held, "is held for jobs that run"),
        (of.refunded, "that was held for jobs went back to their buyers"),
        (of.lost, "went from the bond to buyers whose receipts were false"),
    ] {
        lines.extend((!amount.is_zero()).then(|| format!("{} {what}", token.shown(amount))));
    }
    lines
}

/// `stoa data earnings`.
pub(crate) async fn earnings(dir: &Path, options: EarningsOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let client = wallet.client();
    let whose = Whose::named(dir, options.asset.as_deref(), wallet).await?;
    let bar = progress("reading the ledger");
    let told = |done: u64, of: u64| bar.set_message(format!("reading block {done} of {of}"));
    let read = async {
        let mut brought = whose.brought(&client, &told).await?;
        let mut paid = BTreeSet::new();
        if options.collect {
            bar.set_message("having it paid out");
            paid = collect(&Seller::new(wallet.open().await?), &mut brought).await;
        }
        Ok::<_, eyre::Report>((brought, paid))
    };
    let read = read.await;
    bar.finish_and_clear();
    let (Brought { assets, failed }, paid) = read?;
    let each = failed.iter().map(|Failed { nft, asset, why }| format!("{}: {}", name(*nft, *asset), plain(why)));
    let each: Vec<_> = each.collect();
    let why = (!each.is_empty()).then(|| format!("not all could be done. {}", each.join("; ")));
    if json {
        let mut said = json!({ "assets": assets, "collected": options.collect, "failed": failed });
        let ended = AlreadySaid::within(&mut said, why);
        println!("{said}");
        return Ok(ended?);
    }
    tell(&client, &assets, &failed, &paid).await;
    why.map_or(Ok(()), |why| Err(eyre!(why)))
}

/// What assets have brought, for people.
async fn tell(client: &Client, assets: &[Earnings], failed: &[Failed], paid: &BTreeSet<B256>) {
    if assets.is_empty() && failed.is_empty() {
        println!("This account has nothing on the market, and no job has begun on what it has.");
    }
    for earned in assets {
        println!("{}", brief(earned));
        for (address, of) in &earned.tokens {
            // Anybody makes an exchange for any contract, and gives it to whom he likes.
            let token = Token::at(client, *address).await.unwrap_or_else(|_| Token::in_units(*address));
            amounts(earned, of, &token, paid).iter().for_each(|line| println!("  {line}"));
        }
    }
    if assets.iter().any(|earned| earned.checked) {
        println!("What those got who check jobs, from the bond, is not counted.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_come_in_is_told_of_what_is_on_the_market_and_of_what_is_not() {
        let asset = B256::repeat_byte(7);
        let offered = Earnings { asset: Some(asset), jobs: 2, expired: 1, ..Earnings::default() };
        assert_eq!(brief(&offered), format!("asset {asset}  2 jobs, 1 without a receipt in time"));
        let ten = U256::from(10).pow(U256::from(19));
        let of = Amounts { jobs: ten, refunded: U256::ONE, ..Amounts::default() };
        let back = "0.000000000000000001 STOA that was held for jobs went back to their buyers";
        let none = BTreeSet::new();
        assert_eq!(amounts(&offered, &of, &Token::coin(), &none), ["10 STOA by jobs", back]);
        let sold = Earnings { nft: Some(Address::ZERO), sold: 1, orders: 1, ..offered };
        assert!(brief(&sold).ends_with("1 sold, 0 given away, 1 order, 2 jobs, 1 without a receipt in time"));
        let token = Token::coin();
        let waits = |exchange, token, amount| Waiting { exchange, token, amount };
        let [first, second] = [1, 2].map(B256::repeat_byte);
        let waiting = vec![
            waits(first, token.address, ten),
            waits(second, token.address, U256::ONE),
            waits(first, Address::repeat_byte(9), ten),
        ];
        let sold = Earnings { waiting, ..sold };
        let of = Amounts { sales: ten, waiting: ten + U256::ONE, ..Amounts::default() };
        let said = amounts(&sold, &of, &token, &BTreeSet::from([first]));
        assert!(said[0].starts_with("10 STOA by sales, 0 STOA by jobs"), "{said:?}");
        assert_eq!(said[1], "10 STOA was paid out");
        assert!(said[2].starts_with("0.000000000000000001 STOA waits at the exchange") && said.len() == 3, "{said:?}");
        let said = amounts(&sold, &of, &token, &none);
        assert!(said[1].starts_with("10.000000000000000001 STOA waits") && said.len() == 2, "{said:?}");
    }

    #[test]
    fn the_command_that_is_named_asks_for_no_more_than_is_offered_and_may_cost_it() {
        let ether = U256::from(10).pow(U256::from(18));
        let computing = |millions: u64| Computing {
            node: B256::ZERO,
            token: Address::ZERO,
            base: ether,
            price: ether / U256::from(1_000),
            steps: millions * MILLION,
            time: 60,
            wasm: true,
            processes: false,
            rules: B256::ZERO,
            leaving: None,
        };
        assert!(run(B256::ZERO, Some(&computing(100_000))).ends_with("--steps 10000 --most 11"));
        assert!(run(B256::ZERO, Some(&computing(500))).ends_with("--steps 500 --most 1.5"));
        assert!(run(B256::ZERO, None).ends_with("--to DIR"));
    }
}

//! `stoa data buy` and `stoa data earnings`.

use super::{
    nft,
    options::{BuyOptions, EarningsOptions},
    token::Token,
};
use crate::{progress::progress, wallet::WalletOptions};
use eyre::{Result, bail, ensure};
use serde_json::json;
use std::path::Path;
use stoa_data::{
    record::iso_8601,
    sale::{self, Buyer, Found, Seller},
};

/// `stoa data buy`.
pub(crate) async fn buy(dir: &Path, options: BuyOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let account = wallet.open().await?;
    let client = account.client();
    let nft = nft(dir, client, &options.asset).await?;
    let (buyer, bar) = (Buyer::new(account.clone()), progress("asking the market"));
    let own = options.consumer.is_none_or(|consumer| consumer == account.address());
    let consumer = options.consumer.unwrap_or(account.address());
    let bought = async {
        let offered = buyer.offered(nft).await?;
        ensure!(
            !offered.opens.is_empty(),
            "an order of it would open nothing: its owner has made no grant to those who order. Nothing was paid"
        );
        let most = match (&options.most, &offered.costs) {
            (Some(most), Some((token, _))) => Some(Token::at(client, *token).await?.amount(most)?),
            _ => None,
        };
        if let (Some((address, costs)), Some(most)) = (offered.costs, most)
            && costs > most
            && offered.order.is_none()
        {
            let token = Token::at(client, address).await?;
            bail!("it costs {} now, which is more than {}: nothing was paid", token.shown(costs), token.shown(most));
        }
        if own && offered.opens.iter().any(|open| open.read) {
            bar.set_message("announcing your key");
            stoa_data::client::announce(&account).await?;
        }
        let bought = match options.accept {
            Some(order) => {
                bar.set_message("accepting the order");
                buyer.accept(&offered, order).await?
            }
            None => {
                bar.set_message("buying and ordering");
                buyer.buy(&offered, consumer, most).await?
            }
        };
        let opened = if own { buyer.opened(&offered.opens).await?.cloned() } else { None };
        Ok((offered, bought, opened))
    };
    let done = bought.await;
    bar.finish_and_clear();
    let (offered, bought, opened) = done?;
    let paid = match bought.paid {
        Some((address, amount)) => Some((Token::at(client, address).await?, amount)),
        None => None,
    };
    if json {
        let said = json!({
            "nft": nft, "datatoken": offered.found.datatoken, "asset": offered.found.asset, "order": bought.order,
            "until": bought.until, "before": bought.before, "consumer": consumer,
            "paid": paid.as_ref().map(|(_, amount)| amount), "token": paid.as_ref().map(|(token, _)| token.address),
            "grant": opened.as_ref().map(|open| open.grant), "read": opened.as_ref().map(|open| open.read),
            "compute": opened.as_ref().map(|open| open.compute), "purpose": opened.as_ref().map(|open| &open.purpose),
        });
        println!("{said}");
        return Ok(());
    }
    match (&paid, bought.before) {
        (_, true) if options.accept.is_some() => println!("It was accepted before, and stands already."),
        _ if options.accept.is_some() => println!("Somebody else has paid for it."),
        (_, true) => println!("An order of yours stands already: nothing was paid."),
        (Some((token, amount)), _) => println!("{} paid", token.shown(*amount)),
        (None, _) => println!("It cost nothing."),
    }
    println!(
        "order {}, {}",
        bought.order,
        if bought.until == 0 { "for ever".into() } else { format!("until {}", iso_8601(bought.until)) }
    );
    match opened {
        Some(open) if open.read => println!("stoa data get {} --to PATH reads it, for {}", open.grant, open.purpose),
        Some(open) => {
            let asset = offered.found.asset.unwrap_or_default();
            println!(
                "stoa job run --on {asset} --algorithm FILE --to DIR computes on it (grant {}), for {}",
                open.grant, open.purpose
            );
        }
        None if own => println!("It opens no grant to you."),
        None => println!("{consumer} accepts it: stoa data buy {} --accept {}", options.asset, bought.order),
    }
    Ok(())
}

/// `stoa data earnings`.
pub(crate) async fn earnings(dir: &Path, options: EarningsOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let client = wallet.client();
    let bar = progress("reading the ledger");
    let told = |done: u64, of: u64| bar.set_message(format!("reading block {done} of {of}"));
    let read = async {
        let all = match &options.asset {
            Some(name) => vec![(nft(dir, &client, name).await?, 0)],
            None => sale::of_owner(&client, wallet.open().await?.address(), &told).await?,
        };
        let mut earned = Vec::new();
        for (nft, first) in all {
            let found = Found::at(&client, nft).await?;
            earned.push(sale::earnings(&client, &found, first, &told).await?);
        }
        if options.collect {
            bar.set_message("having it paid out");
            let seller = Seller::new(wallet.open().await?);
            for (exchange, amount) in earned.iter().flat_map(|earned| &earned.waiting) {
                seller.collect(*exchange, *amount).await?;
            }
        }
        Ok::<_, eyre::Report>(earned)
    };
    let earned = read.await;
    bar.finish_and_clear();
    let earned = earned?;
    if json {
        println!("{}", json!({ "assets": earned, "collected": options.collect }));
        return Ok(());
    }
    if earned.is_empty() {
        println!("This account has nothing on the market.");
    }
    for earned in &earned {
        let (sold, given, orders, jobs) = (earned.sold, earned.given, earned.orders, earned.jobs);
        println!("{}  {sold} sold, {given} given away, {orders} orders, {jobs} jobs", earned.nft);
        for (address, amounts) in &earned.tokens {
            let token = Token::at(&client, *address).await?;
            let [sales, jobs, fees] = [amounts.sales, amounts.jobs, amounts.fees].map(|amount| token.shown(amount));
            println!("  {sales} by sales, {jobs} by jobs; buyers paid {fees} of fees beside");
            if !amounts.waiting.is_zero() {
                let waiting = token.shown(amounts.waiting);
                let what =
                    if options.collect { "was paid out" } else { "waits at the exchange (--collect has it paid out)" };
                println!("  {waiting} {what}");
            }
        }
    }
    Ok(())
}

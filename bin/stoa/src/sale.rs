//! `stoa data` at the market: look, publish for sale, edit, price, lists of people, buy, earnings.

mod buying;
mod editing;
mod lists;
mod look;
mod options;
mod publishing;
mod sampling;
mod terms;
mod token;

use crate::{note, output, progress::progress};
use alloy_primitives::{Address, B256, U256};
use eyre::{Result, WrapErr as _};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};
use stoa_client::{Client, Wallet};
use stoa_data::{
    ddo,
    reading::Reading,
    sale::{self, Found, Told},
};

pub(crate) use buying::{buy, earnings};
pub(crate) use editing::{edit, price};
pub(crate) use lists::{ListCommand, access_list};
pub(crate) use look::{LookOptions, run_look};
pub(crate) use options::{BuyOptions, EarningsOptions, EditOptions, PriceOptions, SaleOptions, lasting};
pub(crate) use sampling::sample_of;
pub(crate) use terms::{costs, leaves};
pub(crate) use token::Token;

/// What this machine knows of an asset that it has put on the market.
#[derive(Serialize, Deserialize)]
struct Listing {
    did: String,
    nft: Address,
    datatoken: Address,
    asset: B256,
    grant: B256,
}

/// The NFT that a DID or an address names: as this machine knows it, else as the ledger does.
async fn nft(dir: &Path, client: &Client, name: &str) -> Result<Address> {
    let chain = client.call::<U256>("eth_chainId", ()).await.wrap_err_with(|| output::unanswered(&client.url()))?;
    let chain = chain.saturating_to();
    for entry in fs::read_dir(dir.join("listings")).into_iter().flatten().flatten() {
        let listing = note::read::<Listing>(&entry.path());
        if let Some(listing) = listing.filter(|listing| ddo::names(name, listing.nft, chain)) {
            return Ok(listing.nft);
        }
    }
    let bar = progress("looking for the asset");
    let found = sale::find(client, name, &|done, of| bar.set_message(format!("looking at block {done} of {of}"))).await;
    bar.finish_and_clear();
    Ok(found?)
}

/// The document of an asset that this account can read.
pub(crate) async fn document(account: &Wallet, found: &Found) -> Result<Option<Told>> {
    let reading = Reading::of(account.signer(), account.chain_id())?;
    let bar = progress("looking for the document");
    let told = |done: u64, of: u64| bar.set_message(format!("{done} of {of} blocks"));
    let told = sale::document(account.client(), found, Some(&reading.secret), &told).await;
    bar.finish_and_clear();
    Ok(told?)
}

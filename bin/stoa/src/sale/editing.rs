//! `stoa data edit` and `stoa data price`.

use super::{
    document, nft,
    options::{AccessOptions, EditOptions, PriceOptions},
    token::Token,
};
use crate::wallet::WalletOptions;
use alloy_primitives::{Address, B256};
use eyre::{ContextCompat as _, Result, bail, ensure};
use serde_json::{Value, json};
use std::path::Path;
use stoa_base::now;
use stoa_client::{Wallet, decimal};
use stoa_data::{
    ddo::{Ddo, Document, Sealed},
    record::iso_8601,
    sale::{self, Access, Audience, Entry, Found, Price, STATES, Seller},
};

/// `stoa data edit`.
pub(crate) async fn edit(dir: &Path, options: EditOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let account = wallet.open().await?;
    let client = account.client();
    let found = Found::at(client, nft(dir, client, &options.asset).await?).await?;
    let state = options.state.map_or(found.state, |state| state as u8);
    let EditOptions { name, description, author, license, tag, people, audience, public, validator, .. } = options;
    let said = [&name, &description, &author, &license].iter().any(|said| said.is_some()) || !tag.is_empty();
    let said = said || !people.is_empty();
    let admitted = admitted(&account, &found, options.access, options.allow_everybody, options.deny_nobody).await?;
    let says = said || audience.sealed || public || admitted.is_some() || !validator.is_empty();
    ensure!(
        says || state != found.state,
        "what is to be changed? Say --name, --description, --author, --tag, --license, --data-subject, --personal-data, --state, \
         --sealed, --public, --allow, --deny or --validator"
    );
    // Nobody pays for what he would not be given: after a revocation there is a grant first.
    let opens = match options.state {
        Some(state) if state.sells() && found.asset.is_some() => !sale::purposes(client, &found).await?.is_empty(),
        _ => true,
    };
    ensure!(
        opens,
        "an order of it would open nothing: no grant to those who order stands. Make one first: {}",
        to_buyers(&found)
    );
    let seller = Seller::new(account.clone()).validated_by(validator);
    let changing = async {
        if says {
            let (mut ddo, before) = own_document(&account, &found).await?;
            if let Some((allow, deny)) = admitted {
                ddo.credentials = seller.admit(found.nft, &allow, &deny).await?.credentials(account.chain_id());
            }
            let metadata = &mut ddo.metadata;
            for (field, said) in [
                (&mut metadata.name, name),
                (&mut metadata.description, description),
                (&mut metadata.author, author),
                (&mut metadata.license, license),
            ] {
                if let Some(said) = said {
                    *field = said;
                }
            }
            if !tag.is_empty() {
                metadata.tags = Some(tag);
            }
            metadata.updated = iso_8601(now());
            ddo.say_whose(&people.people());
            let audience = match (audience.readers(), before) {
                (Some(readers), _) => Audience::To(readers),
                (None, Some(before)) if !public => Audience::As(before),
                _ => Audience::Public,
            };
            seller.describe(found.nft, ddo, state, &audience).await?;
        } else {
            seller.set_state(found.nft, state).await?;
        }
        Ok::<_, eyre::Report>(())
    };
    whose(changing.await, &found, &account)?;
    let state = STATES.get(usize::from(state)).copied().unwrap_or("unknown");
    match json {
        true => println!("{}", json!({ "nft": found.nft, "state": state, "document": says })),
        false => println!("{} is {state}{}", found.nft, if says { ", and its document is changed" } else { "" }),
    }
    Ok(())
}

/// How an asset is granted to those who order it.
fn to_buyers(found: &Found) -> String {
    let (asset, datatoken) = (found.asset.unwrap_or_default(), found.datatoken);
    format!(
        "`stoa job allow {asset} --to-buyers-of {datatoken}` lets them have programs run on it, `stoa data grant {asset} --credential {} \
         --issuer {datatoken}` read it",
        B256::with_last_byte(1)
    )
}

/// What was refused to another account than the owner's says whose the asset is.
fn whose<T>(done: Result<T>, found: &Found, account: &Wallet) -> Result<T> {
    match done {
        Err(error) if found.owner != account.address() => Err(error.wrap_err(format!(
            "{} belongs to {}; this wallet is {}",
            found.nft,
            found.owner,
            account.address()
        ))),
        done => done,
    }
}

/// Who may order from now on, and who may not; nothing if that stays as it is.
async fn admitted(
    account: &Wallet,
    found: &Found,
    named: AccessOptions,
    everybody: bool,
    nobody: bool,
) -> Result<Option<(Vec<Address>, Vec<Address>)>> {
    let AccessOptions { allow, deny } = named;
    let (allows, denies) = (everybody || !allow.is_empty(), nobody || !deny.is_empty());
    if !allows && !denies {
        return Ok(None);
    }
    let before = Access::of(account.client(), found.nft).await?;
    let as_before = |entries: Vec<Entry>| entries.into_iter().map(|entry| entry.who).collect::<Vec<_>>();
    let allow = if allows { allow } else { as_before(before.allow) };
    let deny = if denies { deny } else { as_before(before.deny) };
    Ok(Some((allow, deny)))
}

/// The document of an asset, to be changed, and as it is sealed.
async fn own_document(account: &Wallet, found: &Found) -> Result<(Ddo, Option<Sealed>)> {
    let told = document(account, found).await?.wrap_err("it has no document yet: `stoa data publish` makes one")?;
    match Document::read(&told.document)? {
        Document::V4(ddo) => Ok((*ddo, told.sealed)),
        Document::V5(_) => bail!("its document is of version 5, which is read and not written"),
    }
}

/// `stoa data price`.
pub(crate) async fn price(dir: &Path, options: PriceOptions, wallet: &WalletOptions, json: bool) -> Result<()> {
    let client = wallet.client();
    let found = Found::at(&client, nft(dir, &client, &options.asset).await?).await?;
    if let Some(amount) = &options.set {
        let account = wallet.open().await?;
        let (token, exchange) = match found.price {
            Some((Price::Fixed { token, .. }, exchange)) => (Token::at(&client, token).await?, exchange),
            Some((Price::Free, _)) => bail!("it is given away for nothing, and has no price that could be set"),
            None => bail!("it is not for sale"),
        };
        let set = Seller::new(account.clone()).set_rate(exchange, token.rate(amount)?).await;
        whose(set.map_err(Into::into), &found, &account)?;
        match json {
            true => println!("{}", json!({ "nft": found.nft, "price": amount, "token": token.address })),
            false => println!("it costs {amount} {} from now on", token.symbol),
        }
        return Ok(());
    }
    let (said, words) = match found.price {
        Some((Price::Fixed { token: address, rate }, _)) => {
            let (token, rate) = (Token::at(&client, address).await?, decimal(rate, 18));
            (json!({ "nft": found.nft, "price": rate, "token": address }), format!("{rate} {}", token.symbol))
        }
        Some((Price::Free, _)) => (json!({ "nft": found.nft, "price": "0" }), "nothing".into()),
        None => (json!({ "nft": found.nft, "price": Value::Null }), "it is not for sale".into()),
    };
    match json {
        true => println!("{said}"),
        false => println!("{words}"),
    }
    Ok(())
}

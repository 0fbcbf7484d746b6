//! Sample rows that owners have published, for `stoa algo test --on`.

use super::document;
use crate::{progress::progress, wallet::WalletOptions};
use eyre::{ContextCompat as _, Result, WrapErr as _};
use std::fs;
use stoa_data::sale::{self, Found, Sample};
use tempfile::TempDir;

/// The sample rows of an asset on the market, in a folder that is removed with what is returned. A document that is sealed is opened for
/// the wallet, if one is named.
pub(crate) async fn sample_of(asset: &str, wallet: &WalletOptions) -> Result<TempDir> {
    let (client, bar) = (wallet.client(), progress("looking for the asset"));
    let looking = |done: u64, of: u64| bar.set_message(format!("looking at block {done} of {of}"));
    let found = async {
        let nft = sale::find(&client, asset, &looking).await?;
        Found::at(&client, nft).await
    };
    let found = found.await;
    bar.finish_and_clear();
    let found = found?;
    let told = if wallet.wallet.is_some() || wallet.account.is_some() {
        document(&wallet.open().await?, &found).await?
    } else {
        sale::document(&client, &found, None, &|_, _| ()).await?
    };
    let told = told.wrap_err_with(|| format!("{asset} has no document"))?;
    let sample = Sample::of(&told.document)?;
    let sample = sample.wrap_err_with(|| format!("the owner of {asset} has published no sample rows: ask him"))?;
    let folder = tempfile::tempdir().wrap_err("there is no place for the sample")?;
    fs::write(folder.path().join(&sample.name), &sample.text).wrap_err("the sample cannot be written")?;
    Ok(folder)
}

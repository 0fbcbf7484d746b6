//! Coins on the command line: how many an account has, and sending some of them.

use alloy_primitives::U256;
use eyre::{ContextCompat as _, Result, ensure};
use serde_json::Value;
use stoa_tests::stage::{Stage, stoa};

fn amount(said: &Value, name: &str) -> Result<U256> {
    Ok(serde_json::from_value(said[name].clone())?)
}

#[test]
fn coins_are_sent_once_that_is_agreed_and_who_lacks_them_is_told_what_is_missing() -> Result<()> {
    let stage = Stage::new(0)?;
    let to = "0x00000000000000000000000000000000000000b0";
    let send = ["wallet", "send", "--to", to, "--amount", "2.5"];
    let unasked = stage.attempt(0, &send)?.err().wrap_err("it was sent unasked")?;
    ensure!(unasked.contains("say --yes"), "{unasked}");
    let before = amount(&stage.run(0, &["wallet", "balance"])?, "balance")?;
    let sent = stage.run(0, &[&send[..], &["--yes"]].concat())?;
    let (coins, fee) = (U256::from(25) * U256::from(10).pow(U256::from(17)), amount(&sent, "fee")?);
    ensure!(!fee.is_zero() && amount(&sent, "left")? == before - coins - fee, "{before}: {sent}");
    ensure!(amount(&stage.run(0, &["wallet", "balance", to])?, "balance")? == coins);

    let said = |words: &[&str]| -> Result<(bool, Value)> {
        let key = ["--wallet", "poor.key", "--passphrase-file", "passphrase"];
        let output = stoa(stage.folder.path(), &[words, &key].concat())?.output()?;
        Ok((output.status.success(), serde_json::from_slice(&output.stdout)?))
    };
    let (_, made) = said(&["wallet", "new"])?;
    let address = made["address"].as_str().wrap_err("an address")?;
    let (done, why) = said(&[&send[..], &["--yes", "--http", stage.chain.http()]].concat())?;
    let why = why["error"].as_str().wrap_err("an error")?.to_lowercase();
    let parts = [address, "has 0 stoa", "2.5 stoa"];
    ensure!(!done && parts.iter().all(|part| why.contains(&part.to_lowercase())), "{why}");
    Ok(())
}

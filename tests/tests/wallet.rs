//! Coins on the command line: how many an account has, and sending some of them.

use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use alloy_signer_local::PrivateKeySigner;
use eyre::{ContextCompat as _, Result, ensure};
use serde_json::Value;
use stoa_client::{Client, Wallet};
use stoa_tests::stage::{Stage, stoa};

/// Of one of the development accounts, which everybody knows.
const MAKER: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";

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

/// Makes a contract of this code.
async fn contract(stage: &Stage, code: &[u8]) -> Result<Address> {
    let signer = PrivateKeySigner::from_slice(&hex::decode(MAKER)?)?;
    let wallet = Wallet::new(Client::new(stage.chain.http()), signer).await?;
    // PUSH1 length, DUP1, PUSH1 9, RETURNDATASIZE, CODECOPY, RETURNDATASIZE, RETURN: it returns what stands behind it.
    let init = [&[0x60, u8::try_from(code.len())?, 0x80, 0x60, 9, 0x3d, 0x39, 0x3d, 0xf3][..], code].concat();
    let made = wallet.send(TxKind::Create, U256::ZERO, Bytes::from(init)).await?;
    made.contract_address.wrap_err("a contract")
}

#[tokio::test]
async fn a_contract_that_takes_no_coins_is_told_from_one_whose_gas_runs_out() -> Result<()> {
    let stage = Stage::new(0)?;
    // Both take coins where gas costs nothing, as when it is asked how much it takes (GASPRICE, ISZERO, PUSH1, JUMPI … JUMPDEST, STOP).
    // Else one reverts (PUSH0, PUSH0, REVERT), and the other goes round for ever (JUMPDEST, PUSH1 5, JUMP).
    let refuses = hex!("3a156008575f5ffd5b00");
    let runs = hex!("3a156009575b6005565b00");
    for (code, want) in [(&refuses[..], "did not take the coins"), (&runs[..], "used up all of its")] {
        let to = contract(&stage, code).await?.to_string();
        let sent = stage.attempt(0, &["wallet", "send", "--to", &to, "--amount", "1", "--yes"])?;
        let why = sent.err().wrap_err("they were taken")?;
        ensure!(why.contains(&format!("the contract at {to} {want}")), "{why}");
    }
    Ok(())
}

//! Coins on the command line: how many an account has, and sending some of them.

use alloy_primitives::{Address, Bytes, TxKind, U256, hex};
use alloy_signer_local::PrivateKeySigner;
use eyre::{ContextCompat as _, Result, ensure};
use serde_json::Value;
use std::process::Command;
use stoa_client::{Client, Wallet};
use stoa_tests::{
    stage::{Stage, stoa},
    variable,
};

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

/// Runs the program on a terminal until it asks for a passphrase, ends it, and says by which signal that was, and whether the
/// terminal shows what is typed before, while it is asked, and afterwards.
const ON_A_TERMINAL: &str = "
import os, sys, termios, time
def shows(): return bool(termios.tcgetattr(held)[3] & termios.ECHO)
terminal, held = os.openpty()
before = shows()
child = os.fork()
if child == 0:
    os.login_tty(held)
    os.execv(sys.argv[1], [sys.argv[1], 'wallet', 'new', '--file', sys.argv[2]])
said, late = b'', time.monotonic() + 60
while b'Passphrase: ' not in said: said += os.read(terminal, 100)
while shows() and time.monotonic() < late: time.sleep(0.01)
asked = shows()
os.write(terminal, b'corr\\x03') if sys.argv[3] == '0' else os.kill(child, int(sys.argv[3]))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), before, asked, shows())
";

#[test]
fn whoever_is_asked_for_a_passphrase_and_ends_the_program_sees_again_what_he_types() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("me.key");
    // Ctrl-C, and signals from outside.
    for (signal, ends_by) in [("0", "-2"), ("15", "-15"), ("1", "-1")] {
        let mut python = Command::new(variable("STOA_PYTHON")?);
        python.args(["-c", ON_A_TERMINAL]).arg(variable("STOA_BIN")?).arg(&file).arg(signal);
        let output = python.output()?;
        let said = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
        ensure!(said.trim() == format!("{ends_by} True False True"), "{said}");
        ensure!(!file.exists());
    }
    Ok(())
}

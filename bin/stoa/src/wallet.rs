//! Accounts on the command line: `stoa wallet`, and who signs what other commands send.

use crate::node::passphrase;
use alloy_signer_local::PrivateKeySigner;
use clap::{Args, Subcommand};
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure, eyre};
use serde_json::json;
use std::{
    fs::File,
    path::{Path, PathBuf},
};
use stoa_base::DEVELOPMENT_MNEMONIC;
use stoa_client::{Client, Wallet};
use stoa_node::{config, development};

/// Who signs, and where it is sent.
#[derive(Args, Clone, Debug)]
pub(crate) struct WalletOptions {
    /// A node of the network: its JSON-RPC.
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    pub(crate) http: String,
    /// The account's key, encrypted (Ethereum keystore v3; `stoa wallet new` makes one).
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) wallet: Option<PathBuf>,
    /// File with the passphrase of the key; asked for if not given.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// One of the ten well-known accounts of a development network, in place of a wallet.
    #[arg(long, global = true, value_name = "N", conflicts_with = "wallet")]
    pub(crate) account: Option<usize>,
}

impl WalletOptions {
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.http)
    }

    /// The account at the node.
    pub(crate) async fn open(&self) -> Result<Wallet> {
        let signer = match (&self.wallet, self.account) {
            (Some(file), _) => read(file, self.passphrase_file.as_deref())?,
            (None, Some(index)) => {
                let accounts = development::accounts(DEVELOPMENT_MNEMONIC)?;
                let count = accounts.len();
                accounts.into_iter().nth(index).wrap_err_with(|| format!("--account: want 0 to {}", count - 1))?
            }
            (None, None) => bail!("who signs? Name a key with --wallet FILE (`stoa wallet new` makes one)"),
        };
        let client = self.client();
        let url = client.url();
        let wallet = Wallet::new(client, signer).await;
        let unreached = || format!("no node answers at {url} (`stoa up` runs some here; --http names another)");
        let wallet = wallet.wrap_err_with(unreached)?;
        // Everybody has the keys of these.
        ensure!(
            self.account.is_none() || wallet.chain_id() == development::CHAIN_ID,
            "--account is for development networks (chain {}), this is chain {}",
            development::CHAIN_ID,
            wallet.chain_id()
        );
        Ok(wallet)
    }
}

/// The account in a file, whose passphrase is in another or is asked for.
fn read(file: &Path, passphrase_file: Option<&Path>) -> Result<PrivateKeySigner> {
    // Before anybody is asked for the passphrase of nothing.
    File::open(file).wrap_err_with(|| format!("cannot read the key {}", file.display()))?;
    let secret = config::read_secret(file, &passphrase(passphrase_file, false)?)?;
    PrivateKeySigner::from_slice(&secret).map_err(|error| eyre!("{} holds no account: {error}", file.display()))
}

/// Commands on accounts.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make an account's key, encrypted, and print its address.
    #[command(after_help = "Example: stoa wallet new --file me.key")]
    New {
        /// The file to write.
        #[arg(long, value_name = "FILE", default_value = "wallet.key")]
        file: PathBuf,
        /// File with the passphrase to encrypt it with; asked for if not given.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Print the address of an account.
    #[command(after_help = "Example: stoa wallet address --file me.key")]
    Address {
        /// The key's file.
        #[arg(long, value_name = "FILE", default_value = "wallet.key")]
        file: PathBuf,
        /// File with its passphrase; asked for if not given.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
}

/// Runs `stoa wallet`.
pub(crate) fn run(command: Command, json: bool) -> Result<()> {
    let (file, signer) = match command {
        Command::New { file, passphrase_file } => {
            let secret = config::new_secret(&file, &passphrase(passphrase_file.as_deref(), true)?)?;
            let signer = PrivateKeySigner::from_slice(&secret[..]).wrap_err("no account has this key; try again")?;
            (file, signer)
        }
        Command::Address { file, passphrase_file } => {
            let signer = read(&file, passphrase_file.as_deref())?;
            (file, signer)
        }
    };
    match json {
        true => println!("{}", json!({ "file": file, "address": signer.address() })),
        false => println!("{}", signer.address()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_there_is_said_before_anybody_asks_for_its_passphrase() {
        let folder = tempfile::tempdir().unwrap();
        let [key, passphrase] = ["me.key", "words"].map(|name| folder.path().join(name));
        let said = |file: Option<&Path>| format!("{:#}", read(&key, file).unwrap_err());
        assert!(said(None).contains("No such file") && !said(None).contains("passphrase"), "{}", said(None));
        std::fs::write(&passphrase, "correct horse").unwrap();
        config::new_secret(&key, "another").unwrap();
        assert!(said(Some(passphrase.as_path())).contains("is the passphrase right?"));
    }
}

//! Accounts on the command line: `stoa wallet`, and who signs what other commands send.

use crate::{
    network,
    node::{coins, passphrase, passphrase_of},
    output, typed,
};
use alloy_primitives::{Address, Bytes, U256};
use alloy_signer_local::PrivateKeySigner;
use clap::{Args, Subcommand};
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure, eyre};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use stoa_base::DEVELOPMENT_MNEMONIC;
use stoa_client::{Client, Wallet};
use stoa_data::jobs::{COIN, units};
use stoa_node::{config, development};

/// Who signs, and where it is sent.
#[derive(Args, Clone, Debug)]
pub(crate) struct WalletOptions {
    /// A node of the network: its JSON-RPC.
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    pub(crate) http: String,
    /// The key of the account that signs, encrypted (Ethereum keystore v3; `stoa wallet new` makes one). Commands that only
    /// read want none.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) wallet: Option<PathBuf>,
    /// File with the passphrase of --wallet; asked for if not given.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// One of the well-known accounts of a development network, counted from 0, in place of a wallet. `stoa up` has ten.
    #[arg(long, global = true, value_name = "N", conflicts_with = "wallet")]
    pub(crate) account: Option<usize>,
}

impl WalletOptions {
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.http)
    }

    /// Whether an account is named.
    pub(crate) const fn is_named(&self) -> bool {
        self.wallet.is_some() || self.account.is_some()
    }

    /// Tells whoever says who signs where nothing is signed.
    pub(crate) fn unused(&self) {
        if self.is_named() {
            tracing::warn!("this command signs nothing: whose account it is makes no difference (--wallet, --account)");
        }
    }

    /// Whose something is: the address that is named, else the account's. Where there is neither, `question` is asked.
    pub(crate) async fn whose(&self, named: Option<Address>, question: &str) -> Result<Address> {
        match named {
            Some(named) => {
                self.unused();
                Ok(named)
            }
            None => {
                ensure!(self.is_named(), "{question}, or an account (--wallet FILE)");
                Ok(self.open().await?.address())
            }
        }
    }

    /// The account, without asking any node.
    pub(crate) fn signer(&self) -> Result<PrivateKeySigner> {
        match (&self.wallet, self.account) {
            (Some(file), _) => read(file, self.passphrase_file.as_deref()),
            (None, Some(index)) => {
                let accounts = development::accounts(DEVELOPMENT_MNEMONIC, development::DEV_ACCOUNTS)?;
                let count = accounts.len();
                accounts.into_iter().nth(index).wrap_err_with(|| format!("--account: want 0 to {}", count - 1))
            }
            (None, None) => bail!("who signs? Name a key with --wallet FILE (`stoa wallet new` makes one)"),
        }
    }

    /// The account at the node.
    pub(crate) async fn open(&self) -> Result<Wallet> {
        let signer = self.signer()?;
        let client = self.client();
        let url = client.url();
        let wallet = Wallet::new(client, signer).await;
        let wallet = wallet.wrap_err_with(|| output::unanswered(&url))?;
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
    let passphrase = passphrase_of(file, "stoa wallet new", "--passphrase-file", passphrase_file)?;
    let secret = config::read_secret(file, &passphrase)?;
    PrivateKeySigner::from_slice(&secret).map_err(|error| eyre!("{} holds no account: {error}", file.display()))
}

/// Commands on accounts.
#[derive(Subcommand)]
#[command(
    after_help = "Examples: stoa wallet new --file me.key\n          stoa wallet send --to 0x7099… --amount 2.5 --wallet me.key"
)]
pub(crate) enum Command {
    /// Make an account's key, encrypted, and print its address.
    #[command(after_help = "Example: stoa wallet new --file me.key")]
    New {
        /// The file to write.
        #[arg(long, visible_alias = "wallet", value_name = "FILE", default_value = "wallet.key")]
        file: PathBuf,
        /// File with the passphrase to encrypt it with; asked for if not given.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Print the address of an account.
    #[command(after_help = "Example: stoa wallet address --wallet me.key")]
    Address {
        /// The key's file.
        #[arg(long, visible_alias = "wallet", value_name = "FILE", default_value = "wallet.key")]
        file: PathBuf,
        /// File with its passphrase; asked for if not given.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Show how many coins an account has, as the node says (`stoa verify` proves it).
    #[command(after_help = "Examples: stoa wallet balance 0x7099…\n          stoa wallet balance --wallet me.key")]
    Balance {
        /// Whose; that of --wallet or --account if not given.
        #[arg(value_parser = typed::address)]
        address: Option<Address>,
        #[command(flatten)]
        wallet: WalletOptions,
    },
    /// Send coins to somebody, wait until that is final, and say what it has cost and what is left.
    #[command(after_help = "Example: stoa wallet send --to 0x7099… --amount 2.5 --wallet me.key")]
    Send {
        /// Who gets them.
        #[arg(long, value_name = "ADDRESS", value_parser = typed::address)]
        to: Address,
        /// How many.
        #[arg(long, value_name = "COINS", value_parser = coins)]
        amount: U256,
        /// Do not ask before they are sent.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        wallet: WalletOptions,
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
        Command::Balance { address, wallet } => return network::wait(balance(address, &wallet, json))?,
        Command::Send { to, amount, yes, wallet } => return network::wait(send(to, amount, yes, &wallet, json))?,
    };
    match json {
        true => println!("{}", json!({ "file": file, "address": signer.address() })),
        false => println!("{}", signer.address()),
    }
    Ok(())
}

/// Shows how many coins an account has.
async fn balance(address: Option<Address>, wallet: &WalletOptions, json: bool) -> Result<()> {
    let account = wallet.whose(address, "whose balance? Name an ADDRESS").await?;
    let has = wallet.client().balance(account).await?;
    match json {
        true => println!("{}", json!({ "address": account, "balance": has })),
        false => println!("{account} has {}", units(has, COIN)),
    }
    Ok(())
}

/// Sends coins, once whoever types has agreed.
async fn send(to: Address, amount: U256, yes: bool, options: &WalletOptions, json: bool) -> Result<()> {
    ensure!(!amount.is_zero(), "--amount 0 sends nothing");
    output::askable(yes, json, "look with `stoa wallet balance`")?;
    let wallet = options.open().await?;
    let (from, client, sends) = (wallet.address(), wallet.client(), units(amount, COIN));
    if !yes {
        let has = units(client.balance(from).await?, COIN);
        ensure!(output::agreed(&format!("{from} has {has}. Send {sends} to {to}?"))?, "nothing was sent");
    }
    let receipt = wallet.send(to.into(), amount, Bytes::new()).await?;
    let fee = U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
    let left = client.balance(from).await?;
    let transaction = receipt.transaction_hash;
    if !receipt.status() {
        let sent = client.call::<Value>("eth_getTransactionByHash", (transaction,)).await.unwrap_or_default();
        let limit = serde_json::from_value::<U256>(sent["gas"].clone()).ok();
        let why = match limit == Some(U256::from(receipt.gas_used)) {
            true => format!("used up all of its {} gas", receipt.gas_used),
            false => "did not take the coins".to_owned(),
        };
        bail!(
            "transaction {transaction} was reverted, for the contract at {to} {why}: it has cost {}, and {from} has {} left",
            units(fee, COIN),
            units(left, COIN)
        );
    }
    match json {
        true => {
            let said = json!({
                "transaction": transaction, "block": receipt.block_number, "from": from, "to": to, "amount": amount, "fee": fee,
                "left": left,
            });
            println!("{said}");
        }
        false => {
            println!("{transaction}");
            println!(
                "{to} has got {sends}; the fee was {}, and {from} has {} left",
                units(fee, COIN),
                units(left, COIN)
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn a_key_is_named_as_everywhere_and_as_it_was_before() {
        for name in ["--wallet", "--file"] {
            for command in ["new", "address"] {
                match Typed::try_parse_from(["wallet", command, name, "me.key"]).unwrap().command {
                    Command::New { file, .. } | Command::Address { file, .. } => assert_eq!(file, Path::new("me.key")),
                    _ => panic!("another command"),
                }
            }
        }
    }

    #[test]
    fn coins_go_to_no_mistyped_address_and_nowhere_unasked() {
        let send = |to: &str, more: &[&str]| {
            let words = [&["wallet", "send", "--to", to, "--amount", "2.5"][..], more].concat();
            let typed = Typed::try_parse_from(words).map_err(|error| error.to_string())?;
            run(typed.command, true).map_err(|error| format!("{error:#}"))
        };
        let to = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
        assert!(send(&to.replace("2266", "2267"), &[]).unwrap_err().contains("checksum"));
        assert!(send(to, &[]).unwrap_err().contains("say --yes"));
        assert!(send(to, &["--yes"]).unwrap_err().contains("who signs?"));
    }

    #[tokio::test]
    async fn whoever_names_an_account_is_told_why_it_cannot_be_had_and_not_asked_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let [key, passphrase] = ["me.key", "words"].map(|name| folder.path().join(name));
        std::fs::write(&passphrase, "correct horse").unwrap();
        config::new_secret(&key, "another").unwrap();
        let mut options = WalletOptions {
            http: "http://127.0.0.1:1".into(),
            wallet: None,
            passphrase_file: Some(passphrase),
            account: None,
        };
        let said = async |options: &WalletOptions| {
            format!("{:#}", options.whose(None, "whose? Name --owner").await.unwrap_err())
        };
        assert!(said(&options).await.starts_with("whose? Name --owner, or an account"));
        options.account = Some(0);
        assert!(said(&options).await.starts_with("no node answers"));
        (options.account, options.wallet) = (None, Some(key));
        assert!(said(&options).await.contains("its passphrase is another one"));
        assert_eq!(options.whose(Some(Address::ZERO), "").await.unwrap(), Address::ZERO);
    }

    #[test]
    fn a_key_that_is_not_there_is_said_before_anybody_asks_for_its_passphrase() {
        let folder = tempfile::tempdir().unwrap();
        let [key, passphrase] = ["me.key", "words"].map(|name| folder.path().join(name));
        let said = |file: Option<&Path>| format!("{:#}", read(&key, file).unwrap_err());
        assert!(said(None).contains("No such file") && !said(None).contains("passphrase"), "{}", said(None));
        assert!(said(None).contains("`stoa wallet new` makes one"), "{}", said(None));
        std::fs::write(&passphrase, "correct horse").unwrap();
        config::new_secret(&key, "another").unwrap();
        assert!(said(Some(passphrase.as_path())).contains("its passphrase is another one"));
        let nothing = said(Some(&folder.path().join("nothing")));
        assert!(nothing.contains("? --passphrase-file names a file with it"), "{nothing}");
    }
}

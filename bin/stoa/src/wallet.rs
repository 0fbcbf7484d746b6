//! Accounts on the command line: `stoa wallet`, and who signs what other commands send.

use crate::{
    network,
    node::{coins, passphrase, passphrase_of},
    note, output, typed,
};
use alloy_primitives::{Address, Bytes, U256};
use alloy_signer_local::PrivateKeySigner;
use clap::{Args, Subcommand};
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure, eyre};
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use stoa_base::DEVELOPMENT_MNEMONIC;
use stoa_client::{Client, Wallet};
use stoa_data::jobs::{COIN, units};
use stoa_node::{config, development};

/// Chains of others whose coins have a price. No network of this kind has their ids, and what a key signs for them moves their coins.
const ELSEWHERE: [u64; 9] = [1, 10, 56, 61, 100, 137, 8453, 42_161, 43_114];

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
    /// The EIP-155 id of the chain that is signed for. To be named where --wallet has signed for another one before; a node of any
    /// other chain is refused then.
    #[arg(long, global = true, value_name = "N")]
    pub(crate) chain_id: Option<u64>,
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
                Ok(self.connect().await?.address())
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

    /// The account at the node, to sign for its chain.
    pub(crate) async fn open(&self) -> Result<Wallet> {
        let wallet = self.connect().await?;
        let (chain_id, url) = (wallet.chain_id(), wallet.client().url());
        if let Some(wanted) = self.chain_id {
            ensure!(chain_id == wanted, "the node at {url} is of chain {chain_id}, and --chain-id says {wanted}");
        }
        if let Some(file) = &self.wallet {
            check_chain(file, chain_id, self.chain_id.is_some(), &url)?;
        }
        Ok(wallet)
    }

    /// The account at the node.
    async fn connect(&self) -> Result<Wallet> {
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

/// Sees to it that no node has a key sign for another chain than is meant: the first one is noted beside the key's file, and any other has
/// to be `named`.
fn check_chain(file: &Path, chain_id: u64, named: bool, url: &str) -> Result<()> {
    // Nothing has a price there.
    if chain_id == development::CHAIN_ID {
        return Ok(());
    }
    let (key, noted) = (file.display(), file.with_added_extension("chain"));
    if let Some(before) = note::found::<u64>(&noted)? {
        ensure!(
            named || before == chain_id,
            "{key} signs for chain {before}, as {} has it, and the node at {url} says that it is of chain {chain_id}: if that is the \
             one that is meant, say --chain-id {chain_id}",
            noted.display()
        );
        return Ok(());
    }
    ensure!(
        named || !ELSEWHERE.contains(&chain_id),
        "the node at {url} says that it is of chain {chain_id}, which is another network, and what {key} signs for it moves coins there: if \
         that is meant, say --chain-id {chain_id}"
    );
    if let Err(why) = note::write(&noted, &chain_id) {
        tracing::warn!(
            "that {key} signs for chain {chain_id} is not noted, so nobody is warned of another one: {why:#}"
        );
    }
    Ok(())
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

/// Of a transaction.
#[derive(Deserialize)]
struct Limit {
    gas: U256,
}

/// Sends coins, once whoever types has agreed.
async fn send(to: Address, amount: U256, yes: bool, options: &WalletOptions, json: bool) -> Result<()> {
    ensure!(!amount.is_zero(), "--amount 0 sends nothing");
    output::askable(yes, json, "look with `stoa wallet balance`")?;
    let wallet = options.open().await?;
    let (from, client, sends) = (wallet.address(), wallet.client(), units(amount, COIN));
    if !yes {
        let (has, chain_id) = (units(client.balance(from).await?, COIN), wallet.chain_id());
        let question = format!("{from} has {has}. Send {sends} to {to} on chain {chain_id}?");
        ensure!(output::agreed(&question)?, "nothing was sent");
    }
    let receipt = wallet.send(to.into(), amount, Bytes::new()).await?;
    let fee = U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
    let transaction = receipt.transaction_hash;
    if receipt.status() && !json {
        println!("{transaction}");
    }
    // What has happened is said whether or not the node goes on to answer.
    let left = client.balance(from).await.ok();
    let remains = match left {
        Some(left) => format!("{from} has {} left", units(left, COIN)),
        None => format!("the node does not say what {from} has left"),
    };
    if !receipt.status() {
        let limit = client.call::<Limit>("eth_getTransactionByHash", (transaction,)).await.ok();
        let why = match limit.is_some_and(|limit| limit.gas == U256::from(receipt.gas_used)) {
            true => format!("used up all of its {} gas", receipt.gas_used),
            false => "did not take the coins".to_owned(),
        };
        bail!(
            "transaction {transaction} was reverted, for the contract at {to} {why}: it has cost {}, and {remains}",
            units(fee, COIN)
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
        false => println!("{to} has got {sends}; the fee was {}, and {remains}", units(fee, COIN)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{B256, Bloom};
    use clap::Parser;
    use serde_json::Value;
    use std::{
        io::{Read as _, Write as _},
        net::{Ipv4Addr, TcpListener},
    };

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
            chain_id: None,
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

    #[test]
    fn a_key_signs_for_the_chain_that_it_has_signed_for_first_and_for_one_that_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("me.key");
        let said = |chain_id, named| match check_chain(&key, chain_id, named, "http://a.example") {
            Ok(()) => String::new(),
            Err(why) => why.to_string(),
        };
        // Before there is any.
        assert!(said(1, false).contains("another network") && said(1, false).contains("say --chain-id 1"));
        assert_eq!(said(development::CHAIN_ID, false), "");
        assert!(!folder.path().join("me.key.chain").exists());
        assert_eq!([said(4242, false), said(4242, false), said(development::CHAIN_ID, false)], [""; 3]);
        for other in [1, 4243] {
            let why = said(other, false);
            let parts = ["signs for chain 4242", "http://a.example", &format!("say --chain-id {other}")];
            assert!(parts.iter().all(|part| why.contains(part)), "{why}");
            // For this once.
            assert_eq!(said(other, true), "");
            assert!(!said(other, false).is_empty());
        }
        std::fs::write(folder.path().join("me.key.chain"), "none").unwrap();
        assert!(said(4242, false).contains("me.key.chain is damaged"), "{}", said(4242, false));
    }

    /// A node of a development network, where each transaction is in a block at once, and which says nothing of balances.
    fn node() -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut request, mut part) = (stream.unwrap(), Vec::new(), [0; 4096]);
                while !request.ends_with(b"}") {
                    let length = stream.read(&mut part).unwrap();
                    assert!(length > 0, "the request has no end");
                    request.extend_from_slice(&part[..length]);
                }
                let body = request.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
                let request: Value = serde_json::from_slice(&request[body..]).unwrap();
                let said = match request["method"].as_str().unwrap() {
                    "eth_chainId" => json!({ "result": "0x7a69" }),
                    "eth_getBalance" => json!({ "error": { "code": -32000, "message": "the node shuts down" } }),
                    "eth_sendRawTransactionSync" => json!({ "result": {
                        "type": "0x2", "status": "0x1", "cumulativeGasUsed": "0x5208", "logsBloom": Bloom::ZERO,
                        "logs": [], "transactionHash": B256::ZERO, "transactionIndex": "0x0", "blockHash": B256::ZERO,
                        "blockNumber": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": "0x1", "from": Address::ZERO,
                        "to": Address::ZERO, "contractAddress": null,
                    } }),
                    _ => json!({ "result": "0x5208" }),
                };
                write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{said}").unwrap();
            }
        });
        url
    }

    #[tokio::test]
    async fn coins_that_were_sent_are_not_said_to_be_unsent_where_nobody_tells_what_is_left() {
        let (http, wallet, passphrase_file) = (node(), None, None);
        let mut options = WalletOptions { http, wallet, passphrase_file, account: Some(0), chain_id: None };
        for json in [false, true] {
            send(Address::ZERO, U256::ONE, true, &options, json).await.unwrap();
        }
        options.chain_id = Some(4242);
        let why = send(Address::ZERO, U256::ONE, true, &options, false).await.unwrap_err().to_string();
        assert!(why.contains("is of chain 31337, and --chain-id says 4242"), "{why}");
    }
}

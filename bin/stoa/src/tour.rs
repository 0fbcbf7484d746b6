//! `stoa tour`: what Stoa does, on an embedded network, in plain words.
//!
//! Everything goes through JSON-RPC with signed transactions, as a wallet's would, and every number that is printed has
//! been measured or computed a moment before.

mod asked;
mod hospitals;
mod model;
mod money;
mod report;
mod share;

use crate::{network, output};
use alloy_network_primitives::ReceiptResponse as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, hex, keccak256};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolConstructor as _, SolError as _, SolEvent as _, sol};
use clap::Args;
use commonware_cryptography::ed25519;
use eyre::{Result, WrapErr as _, bail, ensure, eyre};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};
use stoa_base::gone;
use stoa_client::{Client, ClientError, Wallet, coins};
use stoa_consensus::follow::Start;
use stoa_node::{follower, up};

use asked::Asked;

/// Options of the tour.
#[derive(Args)]
pub(crate) struct Options {
    /// End the network when the tour is over. Else it stays up, for a wallet to be pointed at.
    #[arg(long)]
    exit: bool,
    /// Folder for the report.
    #[arg(long, value_name = "DIR", default_value = "stoa-tour")]
    report: PathBuf,
    /// Folder of the network; a temporary one if not given.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The coin as an ERC-20 token.
const COIN: Address = address!("0000000000000000000000000000000000000C01");

/// For how long files may still be written that nodes write which were left in the middle of something.
const WRITING: Duration = Duration::from_secs(10);

sol! {
    interface Erc20 {
        function balanceOf(address account) external view returns (uint256);
        function transfer(address to, uint256 value) external returns (bool);
        function approve(address spender, uint256 value) external returns (bool);
    }

    contract Notary {
        event Claimed(bytes32 indexed document, address indexed claimant);
        error AlreadyClaimed(bytes32 document, address claimant);
        constructor(uint256 fee);
        function claim(bytes32 document) external;
    }
}

/// What the tour measured, for programs.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    milliseconds_to_final_receipt: u64,
    transfer_fee: U256,
    notary: Address,
    proven_balance: U256,
    proof_bytes: usize,
    forged_proof: String,
    validators: usize,
    height_before_stop: u64,
    transfers_without_it: usize,
    milliseconds_without_it: u64,
    height_after_restart: u64,
    state_root_after_restart: B256,
    milliseconds_to_join: u64,
    follower_block: u64,
    milliseconds_to_read: u64,
    refused: String,
    entries_of_consent: usize,
    trained: serde_json::Value,
    /// The pages.
    report: PathBuf,
    audit: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockHash {
    hash: B256,
}

async fn balance(client: &Client, address: Address) -> Result<U256> {
    Ok(client.call("eth_getBalance", (address, "latest")).await?)
}

/// What an account had after a block.
async fn balance_at(client: &Client, address: Address, block: u64) -> Result<U256> {
    Ok(client.call("eth_getBalance", (address, format!("{block:#x}"))).await?)
}

async fn token_balance(client: &Client, address: Address) -> Result<U256> {
    let input = Bytes::from(Erc20::balanceOfCall { account: address }.abi_encode());
    let output: Bytes = client.call("eth_call", (json!({ "to": COIN, "input": input }), "latest")).await?;
    Ok(Erc20::balanceOfCall::abi_decode_returns(&output)?)
}

fn ether(coins: u64) -> U256 {
    U256::from(coins) * U256::from(10).pow(U256::from(18))
}

/// Runs the tour, and leaves nothing but the report and the folder that was named, however it ends.
pub(crate) fn run(options: Options, json: bool) -> Result<()> {
    // Before there is anything to be left.
    let asked = Asked::listen()?;
    let temporary = tempfile::Builder::new().prefix("stoa-tour-").tempdir()?;
    let ended = tour(&options, temporary.path(), &asked, Voice { json });
    if let Err(error) = remove(temporary.path(), WRITING) {
        tracing::warn!(folder = %temporary.path().display(), %error, "what the tour has left can be deleted");
    }
    ended
}

/// Removes a folder, in which something may be written for a while.
fn remove(folder: &Path, patience: Duration) -> io::Result<()> {
    let until = Instant::now() + patience;
    loop {
        let removed = fs::remove_dir_all(folder).or_else(gone);
        if Instant::now() >= until || removed.is_ok() && !folder.exists() {
            return removed;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn unwritten(report: &Path) -> String {
    format!("the report cannot be written to {} (--report names another folder)", report.display())
}

/// The tour, with its network in a temporary folder if none was named.
fn tour(options: &Options, temporary: &Path, asked: &Asked, voice: Voice) -> Result<()> {
    let report = &options.report;
    let tried = fs::create_dir_all(report).and_then(|()| tempfile::NamedTempFile::new_in(report));
    tried.map(drop).wrap_err_with(|| unwritten(report))?;
    let folder = options.dir.clone().unwrap_or_else(|| temporary.join("chain"));
    let _held = stoa_node::folder::hold(&folder)?;
    let mut config = network::Options::embedded(folder).up(None)?;
    config.store_gib = 1;
    let accounts = config.accounts.clone();
    let keys = config.validators.iter().map(|(identity, _)| identity.key.clone()).collect::<Vec<_>>();
    let mut network = up::Network::start(config)?;
    let walked = steps(options, temporary, asked, voice, &mut network, (&accounts, &keys));
    let ended = network.end();
    walked.and(ended)
}

/// One step after the other, and the report.
fn steps(
    options: &Options,
    temporary: &Path,
    asked: &Asked,
    voice: Voice,
    network: &mut up::Network,
    (accounts, keys): (&[PrivateKeySigner], &[ed25519::PrivateKey]),
) -> Result<()> {
    let nodes = network.http().collect::<Vec<_>>();
    let client = Client::new(format!("http://{}", nodes[0]));
    let wallets = accounts.iter().map(|signer| Wallet::new(client.clone(), signer.clone()));
    let wallets = asked.unless(async { Ok(futures::future::try_join_all(wallets).await?) })?;
    let mut report = Report::default();
    asked.unless(walk(&nodes, &wallets, voice, &mut report))?;
    lose_one(network, &wallets, voice, &mut report)?;
    asked.unless(async { Ok(()) })?;
    join(network, temporary.join("follower"), &wallets, voice, &mut report)?;
    let people = temporary.join("people");
    asked.unless(share::share(network, keys, &wallets, &people, voice, &mut report))?;
    let place = temporary.join("hospitals");
    let pictures = asked.unless(hospitals::hospitals(network, &wallets, &place, voice, &mut report))?;
    let pages = std::path::absolute(&options.report).unwrap_or_else(|_| options.report.clone());
    (report.report, report.audit) = (pages.join(report::PAGE), pages.join(report::AUDIT));
    let written = report::write(&pages, &pictures, &json!(report));
    written.wrap_err_with(|| unwritten(&options.report))?;
    voice.say(format!("\nA report with pictures: {}, and beside it the audit.", report.report.display()));
    if voice.json {
        println!("{}", serde_json::to_string(&report)?);
    }
    if !options.exit {
        voice.say(format!("The network stays up at http://{}: point a wallet at it. Stop with Ctrl-C.", nodes[0]));
        asked.wait()?;
    }
    Ok(())
}

/// Tells people what happens, and programs nothing.
#[derive(Clone, Copy)]
struct Voice {
    json: bool,
}

impl Voice {
    fn say(self, text: String) {
        if !self.json {
            output::line(text);
        }
    }

    fn head(self, number: usize, text: &str) {
        if !self.json {
            output::heading(number, text);
        }
    }
}

async fn walk(nodes: &[SocketAddr], wallets: &[Wallet], voice: Voice, report: &mut Report) -> Result<()> {
    let say = |text| voice.say(text);
    let head = |number, text: &str| voice.head(number, text);
    let [alice, bob, carol, ..] = wallets else { bail!("the network has no accounts") };
    let client = alice.client();

    head(1, "A network");
    report.validators = nodes.len();
    say(format!(
        "{} validators run in this process, each with keys, a disk and sockets of its own. They agree on every",
        nodes.len()
    ));
    say("block by votes, and no one of them is needed for that. Each serves Ethereum's JSON-RPC, the first at".into());
    say(format!("http://{}: any Ethereum wallet or library can use it.", nodes[0]));

    head(2, "A payment");
    let (before, sender_before) = (balance(client, bob.address()).await?, balance(client, alice.address()).await?);
    let start = Instant::now();
    let receipt = alice.send(TxKind::Call(bob.address()), ether(3) / U256::from(2), Bytes::new()).await?;
    let took = start.elapsed();
    let fee = U256::from(receipt.gas_used()) * U256::from(receipt.effective_gas_price());
    let spent = sender_before - balance(client, alice.address()).await?;
    ensure!(balance(client, bob.address()).await? - before == ether(3) / U256::from(2), "Bob got another amount");
    ensure!(spent >= ether(3) / U256::from(2), "Alice paid too little");
    report.milliseconds_to_final_receipt = took.as_millis() as u64;
    report.transfer_fee = fee;
    say(format!(
        "Alice signs a transfer of 1.5 STOA to Bob. {} ms later it is final, in block {}:",
        took.as_millis(),
        receipt.block_number().unwrap_or_default()
    ));
    say(format!("no later block can undo it. It cost {} gas, a fee of {}.", receipt.gas_used(), coins(fee)));

    head(3, "The coin is a token, too");
    let input = Erc20::transferCall { to: carol.address(), value: ether(2) };
    let receipt = bob.call(COIN, &input).await?;
    let (plain, token) = (balance(client, carol.address()).await?, token_balance(client, carol.address()).await?);
    ensure!(plain == token, "coin and token disagree: {plain} and {token}");
    say(format!("Bob calls transfer(Carol, 2 STOA) on the ERC-20 contract at {COIN}:"));
    say(format!(
        "Rust code that every node runs. {} gas. Carol's balance, asked for as a coin's: {};",
        receipt.gas_used(),
        coins(plain)
    ));
    say(format!("asked for as a token's: {}. They are the same thing.", coins(token)));

    head(4, "A contract in Solidity");
    let code = hex::decode(include_str!("../contracts/Notary.hex").trim())?;
    let fee = ether(1) / U256::from(4);
    let code = [code, Notary::constructorCall { fee }.abi_encode()].concat();
    let receipt = alice.send(TxKind::Create, U256::ZERO, code.into()).await?;
    let notary = receipt.contract_address().ok_or_else(|| eyre!("no contract was created"))?;
    report.notary = notary;
    say(format!("Alice deploys a notary (bin/stoa/contracts/Notary.sol) at {notary}."));
    let document = keccak256("the diary of Bob");
    bob.call(COIN, &Erc20::approveCall { spender: notary, value: fee }).await?;
    let receipt = bob.call(notary, &Notary::claimCall { document }).await?;
    let claimed = receipt.inner.logs().iter().find_map(|log| Notary::Claimed::decode_log(&log.inner).ok());
    let claimed = claimed.ok_or_else(|| eyre!("no claim was logged"))?;
    ensure!(claimed.claimant == bob.address(), "somebody else claimed the document");
    say(format!(
        "Bob claims a document. Solidity calls the coin's Rust code, which moves the fee of {} to Alice,",
        coins(fee)
    ));
    say(format!("and logs Claimed({document}, Bob)."));
    let again = json!({ "from": carol.address(), "to": notary, "input": Bytes::from(Notary::claimCall { document }.abi_encode()) });
    match client.call::<Bytes>("eth_call", (again, "latest")).await {
        Err(ClientError::Refused { data: Some(data), .. }) => {
            let data: Bytes = serde_json::from_value(data)?;
            let refused = Notary::AlreadyClaimed::abi_decode(&data)?;
            ensure!(refused.claimant == bob.address(), "the refusal names somebody else");
            say(format!("Carol tries the same and is refused: AlreadyClaimed, by {}.", refused.claimant));
        }
        other => bail!("Carol's claim was not refused as it should have been: {other:?}"),
    }

    head(5, "Trust nobody: a proof");
    let proof = client.prove(bob.address(), &[], None).await?;
    let trusted: BlockHash = client.call("eth_getBlockByNumber", (proof.block_number, false)).await?;
    let proven = proof.verify(trusted.hash, bob.address(), &[]).wrap_err("the node's proof does not hold")?;
    report.proven_balance = proven.balance;
    report.proof_bytes = proof.account_proof.len();
    say(format!(
        "The node says that Bob has {}, and proves it in {} bytes: hashes that lead",
        coins(proven.balance),
        proof.account_proof.len()
    ));
    say(format!(
        "from his account to the state root of block {}, checked here with nothing but the block's hash.",
        proof.block_number
    ));
    let mut forged = proof.clone();
    let mut bytes = forged.account_proof.to_vec();
    // Inside the balance.
    bytes[8] ^= 1;
    forged.account_proof = bytes.into();
    let refusal = match forged.verify(trusted.hash, bob.address(), &[]) {
        Err(refusal) => refusal.to_string(),
        Ok(_) => bail!("a forged balance was believed"),
    };
    say(format!("The same proof with one bit of the balance changed is refused: {refusal}."));
    report.forged_proof = refusal;

    Ok(())
}

/// Kills a validator while transfers are on their way, goes on without it, and starts it again.
fn lose_one(network: &mut up::Network, wallets: &[Wallet], voice: Voice, report: &mut Report) -> Result<()> {
    let [_, bob, carol, ..] = wallets else { bail!("the network has no accounts") };
    let lost = report.validators - 1;
    voice.head(6, "A machine dies");
    // Carol pays Bob again and again, until nobody wants to hear of it any more.
    let (tell, told) = mpsc::channel();
    let (payer, payee) = (carol.clone(), TxKind::Call(bob.address()));
    let pay = move || {
        network::wait(async {
            loop {
                let sent = payer.send(payee, U256::from(1), Bytes::new()).await;
                let failed = sent.is_err();
                if tell.send(sent.map(|receipt| receipt.transaction_hash)).is_err() || failed {
                    break;
                }
            }
        })
    };
    let paying = thread::Builder::new().name("payments".into()).stack_size(8 << 20).spawn(pay)?;
    let mut hashes = vec![told.recv()??];
    let before = network.ledger(lost).head();
    report.height_before_stop = before.number();
    network.kill(lost)?;
    let start = Instant::now();
    voice.say(format!(
        "Carol pays Bob a little, again and again. Validator {} is killed at block {}, in the middle of that: it says",
        lost + 1,
        before.number()
    ));
    voice.say("goodbye to nobody, and finishes nothing.".into());
    for hash in told.try_iter() {
        hashes.push(hash?);
    }
    // One was on its way when it died.
    hashes.push(told.recv()??);
    let with_it = hashes.len();
    while hashes.len() < with_it + 3 {
        hashes.push(told.recv()??);
    }
    report.transfers_without_it = hashes.len() - with_it;
    report.milliseconds_without_it = start.elapsed().as_millis() as u64;
    voice.say(format!(
        "The others go on: {} more transfers became final without it, in {} ms.",
        report.transfers_without_it, report.milliseconds_without_it
    ));
    drop(told);
    paying.join().map_err(|_| eyre!("the payments ended badly"))??;
    network.restart(lost)?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while network.ledger(lost).head().number() < network.ledger(0).head().number() {
        ensure!(Instant::now() < deadline, "the validator did not catch up within 30 seconds");
        std::thread::sleep(Duration::from_millis(10));
    }
    let (ledger, head) = (network.ledger(lost), network.ledger(lost).head());
    (report.height_after_restart, report.state_root_after_restart) = (head.number(), head.header().state_root);
    let kept = ledger.block(before.number())?.is_some_and(|kept| kept.block.hash() == before.hash());
    ensure!(kept, "block {} was lost", before.number());
    for hash in hashes {
        ensure!(ledger.transaction(hash)?.is_some(), "it never got transaction {hash}");
    }
    let same = network.ledger(0).block(head.number())?.is_some_and(|other| other.block.hash() == head.hash());
    ensure!(same, "two validators disagree on block {}", head.number());
    voice.say(format!(
        "Started again from its disk, it caught up from the others to block {}, which they have as well:",
        head.number()
    ));
    voice.say(format!("state root {}. Nothing was lost.", report.state_root_after_restart));
    Ok(())
}

/// Joins the network with a node that nobody has let in, and that trusts none of the validators.
fn join(network: &up::Network, folder: PathBuf, wallets: &[Wallet], voice: Voice, report: &mut Report) -> Result<()> {
    let [_, bob, carol, ..] = wallets else { bail!("the network has no accounts") };
    let network_key = network.network_key().ok_or_else(|| eyre!("the network has no key"))?;
    voice.head(7, "Anybody may join");
    let start = Instant::now();
    let follower = follower::launch(follower::Config {
        folder,
        http: SocketAddr::from(([127, 0, 0, 1], 0)),
        network_key: network_key.clone(),
        peers: network.addresses().cloned().collect(),
        listen: None,
        history: 10_000,
        cache: 64 << 20,
        start: Start::State { from: 1 },
        compute: None,
        store: None,
        index: false,
        provider: None,
        hosts: Vec::new(),
    })?;
    report.milliseconds_to_join = start.elapsed().as_millis() as u64;
    let at = follower.ledger.head().number();
    voice.say(
        "A node that nobody has let in follows the network over QUIC. It is given the network's public key and".into(),
    );
    voice.say(format!(
        "addresses, and trusts none of them. In {} ms it took over the state of block {at}, each part of it proven.",
        report.milliseconds_to_join
    ));
    let client = Client::new(format!("http://{}", follower.http));
    let mine = carol.at(client.clone());
    let receipt = network::wait(mine.send(TxKind::Call(bob.address()), U256::from(1), Bytes::new()))??;
    let hash = receipt.transaction_hash;
    voice.say(format!(
        "Carol gives it a transfer; it passes it on, and executes block {}, in which the",
        receipt.block_number.unwrap_or_default()
    ));
    let proven = network::wait(async {
        let proof = client.prove_receipt(hash).await?.ok_or_else(|| eyre!("it has no proof of {hash}"))?;
        let certificate = client.certificate_within(proof.block_number.to(), Duration::from_secs(20)).await?;
        let header = certificate.verify(&network_key).wrap_err("the certificate does not hold")?;
        proof.verify(header.hash_slow(), hash).wrap_err("the proof does not hold")
    })??;
    ensure!(proven.receipt.success, "the transfer failed");
    report.follower_block = proven.header.number;
    voice.say("validators have put it. The receipt that it gives her is proven with the network's key alone.".into());
    follower.stop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_removed_although_something_is_written_there_for_a_while() {
        let here = tempfile::tempdir().unwrap();
        let folder = here.path().join("tour");
        let written = folder.join("node/state");
        fs::create_dir_all(&written).unwrap();
        let writing = thread::spawn(move || {
            let until = Instant::now() + Duration::from_millis(200);
            for number in 0.. {
                if Instant::now() > until || fs::write(written.join(number.to_string()), "").is_err() {
                    break;
                }
            }
        });
        remove(&folder, Duration::from_secs(10)).unwrap();
        writing.join().unwrap();
        assert!(!folder.exists());
        remove(&folder, Duration::ZERO).unwrap();
    }
}

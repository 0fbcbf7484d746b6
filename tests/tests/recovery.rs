//! A node that is killed, and a folder that is damaged.

use alloy_primitives::{Address, B256, U256};
use alloy_signer_local::PrivateKeySigner;
use eyre::{ContextCompat as _, Result, WrapErr as _, bail, ensure};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use stoa_client::Client;
use stoa_tests::{files, transfer};

const CHAIN_ID: u64 = 31337;

/// A node on a folder that outlives it.
struct Node {
    process: Child,
    client: Client,
}

fn program(folder: &Path) -> Result<Command> {
    let program = env::var_os("STOA_BIN").wrap_err("STOA_BIN is not set: run `cargo xtask test --only clients`")?;
    let mut command = Command::new(program);
    command.args(["--json", "up", "--validators", "1", "--http", "127.0.0.1:0", "--dir"]).arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    Ok(command)
}

impl Node {
    fn start(folder: &Path) -> Result<Self> {
        let mut process = program(folder)?.spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().wrap_err("no standard output")?).read_line(&mut line)?;
        let said: Value = serde_json::from_str(&line)?;
        let Some(http) = said["http"].as_str() else { bail!("the node did not start: {line}") };
        Ok(Self { client: Client::new(http), process })
    }

    /// `kill -9`.
    fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

async fn receipt(client: &Client, hash: B256) -> Result<Option<(B256, U256)>> {
    let receipt: Option<Value> = client.call("eth_getTransactionReceipt", (hash,)).await?;
    let Some(receipt) = receipt else { return Ok(None) };
    let (block, number) = (&receipt["blockHash"], &receipt["blockNumber"]);
    Ok(Some((serde_json::from_value(block.clone())?, serde_json::from_value(number.clone())?)))
}

async fn state_root(client: &Client, number: U256) -> Result<B256> {
    let block: Value = client.call("eth_getBlockByNumber", (number, false)).await?;
    Ok(serde_json::from_value(block["stateRoot"].clone())?)
}

#[tokio::test]
async fn a_node_killed_again_and_again_loses_no_receipt_and_no_accepted_transaction() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let chain = folder.path().join("chain");
    let signer: PrivateKeySigner = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80".parse()?;
    let mut random = StdRng::seed_from_u64(7);
    let mut accepted = Vec::new();
    let mut seen = BTreeMap::<B256, (B256, U256)>::new();
    let mut roots = BTreeMap::<U256, B256>::new();
    for _ in 0..6 {
        let node = Node::start(&chain)?;
        // At once: what was seen is there when the node serves, not later.
        for (hash, place) in &seen {
            ensure!(receipt(&node.client, *hash).await?.as_ref() == Some(place), "the receipt of {hash} is lost");
        }
        for (number, root) in &roots {
            ensure!(state_root(&node.client, *number).await? == *root, "the state root of block {number} changed");
        }
        let end = Instant::now() + Duration::from_millis(random.random_range(500..2500));
        while Instant::now() < end {
            let (hash, raw) = transfer(CHAIN_ID, &signer, accepted.len() as u64)?;
            let returned: B256 = node.client.call("eth_sendRawTransaction", (raw,)).await?;
            ensure!(returned == hash);
            accepted.push(hash);
            let asked = accepted[random.random_range(0..accepted.len())];
            // As fast as this, receipts would come in only after the kill.
            tokio::time::sleep(Duration::from_millis(2)).await;
            if let Some(place) = receipt(&node.client, asked).await? {
                roots.insert(place.1, state_root(&node.client, place.1).await?);
                seen.insert(asked, place);
            }
        }
        node.kill()?;
    }
    ensure!(seen.len() > 5, "the test saw only {} receipts", seen.len());

    let node = Node::start(&chain)?;
    let end = Instant::now() + Duration::from_secs(30);
    for hash in &accepted {
        while receipt(&node.client, *hash).await?.is_none() {
            ensure!(Instant::now() < end, "{hash} was accepted and is lost");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let balance: U256 = node.client.call("eth_getBalance", (Address::repeat_byte(0xaa), "latest")).await?;
    ensure!(balance == U256::from(accepted.len()), "{} transfers gave {balance}", accepted.len());
    node.kill()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// What a node says that does not start in this folder.
fn refusal(folder: &Path) -> Result<String> {
    let mut process = program(folder)?.spawn()?;
    let mut line = String::new();
    BufReader::new(process.stdout.take().wrap_err("no standard output")?).read_line(&mut line)?;
    // A node that started is ended here; one that did not has ended.
    drop(process.kill());
    process.wait()?;
    let said: Value = serde_json::from_str(&line).unwrap_or(json!(null));
    let Some(error) = said["error"].as_str() else { bail!("the node said {line:?}") };
    Ok(error.to_owned())
}

#[tokio::test]
async fn damaged_state_and_history_are_noticed_at_the_start_and_said_in_words() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let chain = folder.path().join("chain");
    let node = Node::start(&chain)?;
    let signer: PrivateKeySigner = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80".parse()?;
    let (hash, raw) = transfer(CHAIN_ID, &signer, 0)?;
    node.client.call::<B256>("eth_sendRawTransaction", (raw,)).await?;
    while receipt(&node.client, hash).await?.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    node.kill()?;

    // The files that the newest state and the oldest history are read from.
    let targets = ["stoa-state-log_data", "stoa-state-tree-blobs", "history/version", "genesis.json"];
    let mut damaged = 0;
    for path in files(&chain)? {
        let name = path.strip_prefix(&chain)?.display().to_string();
        if !targets.iter().any(|target| name.contains(target)) {
            continue;
        }
        for flip in [false, true] {
            let broken = folder.path().join("broken");
            copy(&chain, &broken)?;
            let path = broken.join(&name);
            let mut bytes = fs::read(&path)?;
            if flip {
                let at = bytes.len() / 3;
                bytes[at] ^= 0x55;
            } else {
                bytes.truncate(bytes.len() / 2);
            }
            fs::write(&path, bytes)?;
            let said = refusal(&broken).wrap_err_with(|| format!("{name} was damaged (flipped: {flip})"))?;
            // Nobody else has this chain.
            ensure!(!said.contains("remove `history`"), "{name} was damaged (flipped: {flip}), and it says: {said}");
            damaged += 1;
            fs::remove_dir_all(&broken)?;
        }
    }
    ensure!(damaged >= 6, "only {damaged} damages were tried");

    // It does not begin a new chain where it has had one.
    for gone in [&["history", "state"][..], &["history"], &["state"]] {
        let broken = folder.path().join("broken");
        copy(&chain, &broken)?;
        gone.iter().try_for_each(|part| fs::remove_dir_all(broken.join("0").join(part)))?;
        let said = refusal(&broken).wrap_err_with(|| format!("{gone:?} are gone"))?;
        ensure!(said.contains("a copy of the whole folder"), "{gone:?} are gone, and it says: {said}");
        fs::remove_dir_all(&broken)?;
    }
    Ok(())
}

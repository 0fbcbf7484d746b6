//! What the handbook (docs/operate.md) tells operators to do, done on a network of four processes: looking whether it is well,
//! checking what a node says, and coming back from a backup.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer_local::PrivateKeySigner;
use eyre::{ContextCompat as _, Result, WrapErr as _, ensure};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};
use stoa_tests::{
    OTHER_KEY, RECIPIENT, get, stage, transaction,
    validators::{CHAIN_ID, SYNC_FROM, Validators, included, on_loopback},
};

/// So many blocks that a validator that comes back is given a share for the next epoch, and few enough to see that.
const EPOCH: u64 = 24;

/// Runs a command of the program: the object that it printed, or what it complained of.
fn stoa(folder: &Path, words: &[&str]) -> Result<std::result::Result<Value, String>> {
    let output = stage::stoa(folder, words)?.output()?;
    let (said, errors) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    match output.status.success() {
        true => serde_json::from_str(&said).map(Ok).wrap_err_with(|| format!("{words:?}: {said}")),
        false => Ok(Err(said + &errors)),
    }
}

/// Every metric comes with words that say what it is.
fn are_described(metrics: &str) -> Result<()> {
    let described = metrics.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
    let described = described.filter(|(_, words)| !words.trim().is_empty()).map(|(name, _)| name);
    let described = described.collect::<BTreeSet<_>>();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        // Of one counter or histogram there are several lines.
        let parts = ["", "_total", "_created", "_bucket", "_sum", "_count", "_info"];
        let is_described =
            parts.iter().any(|part| name.strip_suffix(*part).is_some_and(|name| described.contains(name)));
        ensure!(is_described, "{name} comes without HELP");
    }
    ensure!(!described.is_empty(), "there are no metrics");
    Ok(())
}

#[tokio::test]
async fn health_proofs_and_a_backup_are_as_the_handbook_says() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let signer = PrivateKeySigner::random();
    let mut network =
        Validators::start_in_epochs(folder.path(), &[signer.address()], on_loopback(4)?, EPOCH, |_| Ok(()))?;
    network.agree().await?;
    let key = network.status(0)?.network_key.to_string();
    let mut seen = Vec::new();
    network.pay(0, &signer, 3, &mut seen).await?;
    // A contract without code, which keeps 42 in its first slot: PUSH1 42, PUSH1 0, SSTORE.
    let code = Bytes::from_static(&[0x60, 42, 0x60, 0, 0x55]);
    let (created, raw) = transaction(CHAIN_ID, &signer, 3, TxKind::Create, 0, code)?;
    let _: B256 = network.clients()[0].call("eth_sendRawTransaction", (raw,)).await?;
    seen.push((created, included(&network.clients()[0], created).await?));
    for (hash, block) in &seen {
        ensure!(network.agreed(*hash).await? == *block);
    }

    // Is it well?
    let http = network.machine(1).http;
    ensure!(get(http, "/health")? == (200, "ok\n".to_owned()));
    // Asked from a machine without certificates as well.
    let mut asking = stage::stoa(folder.path(), &["status", "--http", &format!("http://{http}")])?;
    let asked = asking.env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", "/dev/null").output()?;
    ensure!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let (status, said) = get(http, "/ready")?;
    ensure!(status == 200 && said.starts_with("block "), "{status}: {said}");
    let (status, metrics) = get(http, "/metrics")?;
    ensure!(status == 200, "{status}: {metrics}");
    are_described(&metrics)?;
    let head = metrics.lines().find_map(|line| line.strip_prefix("stoa_head_block ")).wrap_err("it tells no height")?;
    ensure!(head.parse::<u64>()? >= 4, "it tells block {head}");
    let figures = ["stoa_ready 1", "stoa_peers_expected 3", "stoa_consensus_votes 1", "stoa_consensus_key_elsewhere 0"];
    for figure in figures {
        ensure!(metrics.lines().any(|line| line == figure), "it does not tell {figure}: {metrics}");
    }
    network.until(0, "has three peers", |status| status.peers.len() == 3).await?;
    network.until(0, "is connected to all", |status| status.peers.iter().all(|peer| peer.used)).await?;

    // What a node says is checked with the network key, and nothing is believed with another.
    let http = format!("http://{}", network.machine(2).http);
    let verify = |what: &[&str], key: &str| {
        stoa(folder.path(), &[&["verify"][..], what, &["--network-key", key, "--http", &http]].concat())
    };
    let contract = signer.address().create(3);
    let [recipient, contract_at, created_by] = [RECIPIENT.to_string(), contract.to_string(), created.to_string()];
    let balance = [recipient.as_str()];
    let slot = [contract_at.as_str(), "--slot", "0"];
    let receipt = ["--receipt", created_by.as_str()];
    let proven = verify(&balance, &key)?.map_err(eyre::Report::msg)?;
    ensure!(serde_json::from_value::<U256>(proven["balance"].clone())? == U256::from(3), "{proven}");
    ensure!(proven["block"].is_u64() && proven["nonce"] == 0, "{proven}");
    let proven = verify(&slot, &key)?.map_err(eyre::Report::msg)?;
    ensure!(serde_json::from_value::<U256>(proven["storage"][0]["value"].clone())? == U256::from(42), "{proven}");
    let proven = verify(&receipt, &key)?.map_err(eyre::Report::msg)?;
    ensure!(proven["success"] == true && proven["block"].is_u64() && proven["gasUsed"].is_u64(), "{proven}");
    ensure!(serde_json::from_value::<Address>(proven["contractAddress"].clone())? == contract, "{proven}");
    ensure!(serde_json::from_value::<B256>(proven["blockHash"].clone())? == seen[3].1, "{proven}");
    for what in [&balance[..], &slot, &receipt] {
        let why =
            verify(what, OTHER_KEY)?.err().wrap_err("it believes what another network's validators would sign")?;
        ensure!(why.contains("certificate does not hold"), "{what:?}: {why}");
    }

    // A machine is lost, and its validator comes back on another, from its backup.
    let [config, backup, restored] =
        [network.folder(1).join("stoa.toml"), folder.path().join("backup"), folder.path().join("restored")]
            .map(|path| path.display().to_string());
    // Before that, what operators compare; and a genesis file that is not the one of the chain.
    let check = || stoa(folder.path(), &["node", "check", "--config", &config]);
    let checked = check()?.map_err(eyre::Report::msg)?;
    serde_json::from_value::<B256>(checked["genesisFileHash"].clone()).wrap_err_with(|| checked.to_string())?;
    let file = network.folder(1).join("genesis.json");
    let genesis = fs::read_to_string(&file)?;
    fs::write(&file, genesis.replace("\"chainId\": 4242", "\"chainId\": 4243"))?;
    let why = check()?.err().wrap_err("a check takes the chain for that of another genesis file")?;
    ensure!(why.contains("the genesis file was changed"), "{why}");
    fs::write(&file, genesis)?;
    let copied = stoa(folder.path(), &["node", "backup", "--config", &config, "--to", &backup])?;
    ensure!(copied.as_ref().is_ok_and(|copied| copied["files"].as_array().is_some_and(|files| files.len() == 5)));
    let me = network.status(1)?.validators.into_iter().find(|validator| validator.me);
    let validator = me.wrap_err("it is no validator")?.key;
    network.stop(1)?;
    fs::remove_dir_all(network.folder(1))?;
    let host = network.machine(1).host.clone();
    let gone = |status: &stoa_client::Status| {
        status.peers.iter().all(|peer| peer.used != peer.address.ends_with(&format!("@{host}")))
    };
    network.until(0, "is connected to all but the one that was lost", gone).await?;
    while network.clients()[0].block_number().await? <= SYNC_FROM {
        network.pay(0, &signer, 3, &mut seen).await?;
    }
    let restoring = stoa(folder.path(), &["node", "restore", "--from", &backup, "--to", &restored])?;
    restoring.map_err(eyre::Report::msg)?;
    network.move_to(1, restored.into())?;
    let height = network.clients()[0].block_number().await?;
    let before = network.last_vote(validator)?;
    network.launch(1)?;
    network.reach(1, height).await?;
    network.hold(&seen).await?;
    // It does not know how it has voted, so that it waits for the next epoch. Without it there is no quorum then.
    let vote = network.next_vote(validator, before, &signer, &mut seen).await?;
    ensure!(Some(vote.epoch) > before.map(|before| before.epoch), "it votes in the epoch in which it was lost");
    network.kill(3)?;
    let height = network.clients()[0].block_number().await? + 3;
    network.reach(0, height).await?;
    network.reach(1, height).await
}

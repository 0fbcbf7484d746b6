//! Nodes that follow a network of four processes: they trust none of it, and outlive those that they follow.

use alloy_primitives::{B256, U64};
use alloy_signer_local::PrivateKeySigner;
use eyre::{ContextCompat as _, Result, ensure};
use std::{
    process::Command,
    time::{Duration, Instant},
};
use stoa_client::Client;
use stoa_tests::{
    Node, program, transfer,
    validators::{CHAIN_ID, LONG, Validators, included, on_loopback, place},
};

/// Waits until a node is at a height.
async fn reach(node: &Node, height: u64) -> Result<()> {
    let (client, until) = (Client::new(node.http()), Instant::now() + LONG);
    while client.block_number().await? < height {
        ensure!(Instant::now() < until, "{} does not reach block {height}: {}", node.http(), node.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn followers_of_four_processes_trust_none_and_outlive_those_that_they_follow() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let signer = PrivateKeySigner::random();
    let mut machines = on_loopback(4)?;
    let named = machines[0].host.replace("127.0.0.1", "localhost");
    machines[0].host.clone_from(&named);
    let mut network = Validators::start(folder.path(), signer.address(), machines)?;
    network.agree().await?;
    let status = network.status(0)?;
    let key = status.network_key.to_string();
    // As the others call it, whatever it listens on.
    let shown = status.follow_at.as_deref().and_then(|address| address.split_once('@'));
    ensure!(shown.is_some_and(|(_, host)| host == named), "it is followed at {:?}", status.follow_at);
    let addresses = (0..2).map(|index| network.status(index)?.follow_at.wrap_err("it cannot be followed"));
    let addresses = addresses.collect::<Result<Vec<_>>>()?;

    // One executes all blocks and serves others, by a key of its own.
    let (own, passphrase) = (folder.path().join("follower.key"), folder.path().join("passphrase"));
    let mut make = Command::new(program()?);
    make.args(["node", "key", "--file"]).arg(&own).arg("--passphrase-file").arg(&passphrase);
    ensure!(make.output()?.status.success(), "`stoa node key` failed");
    let (own, passphrase) = (own.display().to_string(), passphrase.display().to_string());
    let serving = ["--from-genesis", "--listen", "127.0.0.1:0", "--key", &own, "--passphrase-file", &passphrase];
    let mut follower = Node::follow(&key, &addresses, &serving)?;
    // Its folder is its own while it runs.
    let mut second = Command::new("timeout");
    second.arg("60").arg(program()?).args(["follow", "--network-key", &key, "--peer", &addresses[0]]);
    let second = second.args(["--http", "127.0.0.1:0", "--dir"]).arg(follower.chain_folder()).output()?;
    let said = String::from_utf8_lossy(&second.stderr);
    ensure!(second.status.code() == Some(1) && said.contains("is used by another process"), "it says: {said}");
    // A transaction given to it reaches the validators, and its receipt comes back.
    let client = Client::new(follower.http());
    let (hash, raw) = transfer(CHAIN_ID, &signer, 0)?;
    let _: B256 = client.call("eth_sendRawTransaction", (raw,)).await?;
    let block = included(&client, hash).await?;
    ensure!(place(&network.clients()[3], hash).await? == Some(block));

    // Another knows only the follower, and takes over its state.
    let far = Node::follow(&key, &[follower.announced("followAt")?.to_owned()], &["--sync-from", "1"])?;
    let (hash, raw) = transfer(CHAIN_ID, &signer, 1)?;
    let far_client = Client::new(far.http());
    let _: B256 = far_client.call("eth_sendRawTransaction", (raw,)).await?;
    let block = included(&far_client, hash).await?;
    ensure!(place(&network.clients()[2], hash).await? == Some(block));
    // Nothing is missing, and it has one peer.
    ensure!(!far_client.call::<bool>("eth_syncing", ()).await?);
    ensure!(far_client.call::<U64>("net_peerCount", ()).await? == U64::from(1));
    // What it says can be proven.
    let proof = far_client.prove(signer.address(), &[], None).await?;
    let certificate = far_client.certificate_within(proof.block_number.to(), LONG).await?;
    let header = certificate.verify(&status.network_key)?;
    ensure!(proof.verify(header.hash_slow(), signer.address(), &[])?.nonce == 2);

    // The validator that is followed is gone; then the follower itself, and comes back.
    network.kill(0)?;
    let height = network.clients()[1].block_number().await? + 2;
    reach(&follower, height).await?;
    reach(&far, height).await?;
    follower.restart()?;
    let height = network.clients()[1].block_number().await? + 2;
    reach(&follower, height).await?;
    let client = Client::new(follower.http());
    ensure!(place(&client, hash).await? == Some(block), "the follower lost a receipt");

    // With another network's key there is nothing to follow.
    let mut wrong = status.network_key.to_vec();
    wrong.reverse();
    let refused = Node::follow(&alloy_primitives::Bytes::from(wrong).to_string(), &addresses, &[]);
    let error = refused.err().wrap_err("it followed another network")?;
    ensure!(format!("{error:#}").contains("network key"), "{error:#}");
    Ok(())
}

//! A network of four processes: they generate a key, agree, are killed, and lose nothing.

use alloy_primitives::{B256, U256};
use alloy_signer_local::PrivateKeySigner;
use eyre::{ContextCompat as _, Result, WrapErr as _, ensure};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::fs;
use stoa_tests::{
    transfer,
    validators::{CHAIN_ID, LONG, SYNC_FROM, Validators, included, on_loopback},
};

#[tokio::test]
async fn four_processes_of_which_one_is_killed_again_and_again_lose_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let signer = PrivateKeySigner::random();
    let mut network = Validators::start(folder.path(), signer.address(), on_loopback(4)?)?;
    for index in 0..4 {
        network.reach(index, 1).await.wrap_err("the validators did not generate a key")?;
    }
    let status = network.status(1)?;
    ensure!(status.validators.len() == 4, "{status}");

    let mut random = StdRng::seed_from_u64(11);
    let mut seen = Vec::new();
    let mut nonce = 0;
    for round in 0..4 {
        let victim = random.random_range(0..4_usize);
        network.kill(victim)?;
        // Given to any of the others, none of whom has to be the one that proposes next.
        for _ in 0..5 {
            let node = (victim + random.random_range(1..4_usize)) % 4;
            let (hash, raw) = transfer(CHAIN_ID, &signer, nonce)?;
            nonce += 1;
            let given: B256 = network.clients()[node].call("eth_sendRawTransaction", (raw,)).await?;
            ensure!(given == hash);
            let block = included(&network.clients()[node], hash).await;
            let block = block.wrap_err_with(|| format!("round {round}: a transfer without node {victim}"))?;
            seen.push((hash, block));
        }
        network.launch(victim)?;
        let height = network.clients()[(victim + 1) % 4].block_number().await?;
        network.reach(victim, height).await?;
    }
    network.hold(&seen).await?;

    // A folder that is damaged beyond use: keys and the outcome of the ceremony are all that is kept. The validator takes
    // over the state of the others.
    let height = network.clients()[0].block_number().await?;
    ensure!(height > SYNC_FROM, "the chain has only {height} blocks");
    network.kill(2)?;
    for part in ["state", "history", "mempool"] {
        let path = network.data(2).join(part);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.wrap_err_with(|| format!("cannot remove {}", path.display()))?;
    }
    network.launch(2)?;
    network.reach(2, height).await?;
    network.hold(&seen).await?;
    let before = network.clients()[2].call::<U256>("eth_getBalance", (signer.address(), "0x1")).await;
    ensure!(before.is_err(), "it has executed what it should have taken over");
    // It votes: without it there is no quorum now.
    network.kill(0)?;
    let height = network.clients()[1].block_number().await? + 3;
    network.reach(1, height).await?;
    network.reach(2, height).await?;
    network.launch(0)?;
    network.reach(0, height).await?;
    // And it goes on from its own folder as others do.
    network.kill(2)?;
    network.launch(2)?;
    network.reach(2, height + 2).await?;

    // A light client believes none of them.
    let key = status.network_key;
    let proof = network.clients()[2].prove(signer.address(), &[], None).await?;
    let certificate = network.clients()[3].certificate_within(proof.block_number.to(), LONG).await?;
    let header = certificate.verify(&key)?;
    let proven = proof.verify(header.hash_slow(), signer.address(), &[])?;
    ensure!(proven.nonce == nonce);
    let receipt = network.clients()[2].prove_receipt(seen[0].0).await?;
    let receipt = receipt.wrap_err("there is no proof of a receipt")?;
    let at = network.clients()[1].certificate(Some(receipt.block_number.to())).await?.verify(&key)?;
    let proven = receipt.verify(at.hash_slow(), seen[0].0)?;
    ensure!(proven.receipt.success && at.hash_slow() == seen[0].1);
    let mut forged = certificate.clone();
    forged.headers[0] = proof.header.iter().rev().copied().collect::<Vec<_>>().into();
    ensure!(forged.verify(&key).is_err());
    let other = [&key[..key.len() - 1], &[key[key.len() - 1] ^ 1]].concat();
    ensure!(certificate.verify(&other).is_err());
    Ok(())
}

#[tokio::test]
async fn four_processes_share_the_key_anew_while_one_is_killed_and_comes_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let signer = PrivateKeySigner::random();
    let length = 16;
    let mut network =
        Validators::start_in_epochs(folder.path(), signer.address(), on_loopback(4)?, length, |_| Ok(()))?;
    for index in 0..4 {
        network.reach(index, 1).await.wrap_err("the validators did not generate a key")?;
    }
    let key = network.status(0)?.network_key;
    // It misses what is said of the next epoch, and most of what is dealt.
    network.kill(1)?;
    let (hash, raw) = transfer(CHAIN_ID, &signer, 0)?;
    let _: B256 = network.clients()[2].call("eth_sendRawTransaction", (raw,)).await?;
    let block = included(&network.clients()[2], hash).await?;
    network.reach(0, length + 2).await?;
    network.launch(1)?;
    network.reach(1, 2 * length + 2).await?;
    // It votes: without it there is no quorum now.
    network.kill(3)?;
    let height = network.clients()[1].block_number().await? + 3;
    network.reach(1, height).await?;
    network.launch(3)?;
    network.reach(3, height + 2).await?;
    network.hold(&[(hash, block)]).await?;
    let status = network.status(3)?;
    ensure!(status.epoch.to::<u64>() >= 2 && status.network_key == key, "{status}");
    let certificate = network.clients()[3].certificate_within(2 * length + 1, LONG).await?;
    certificate.verify(&key)?;
    Ok(())
}

//! A network of four processes: they generate a key, agree, are killed and damaged, and lose nothing.

use alloy_primitives::{Address, U256};
use alloy_signer_local::PrivateKeySigner;
use eyre::{ContextCompat as _, Result, WrapErr as _, ensure};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{fs, ops::Range, path::Path, time::Duration};
use stoa_client::{Client, Status};
use stoa_tests::{
    Node, RECIPIENT, files,
    load::{Load, settled},
    validators::{LONG, LONG_EPOCH, SYNC_FROM, Validators, last_vote, on_loopback},
};

/// How many transactions an account has sent.
async fn nonce(client: &Client, account: Address) -> Result<u64> {
    Ok(client.call::<U256>("eth_getTransactionCount", (account, "latest")).await?.saturating_to())
}

/// Waits for some time in a range of milliseconds.
async fn wait(random: &mut StdRng, milliseconds: Range<u64>) {
    tokio::time::sleep(Duration::from_millis(random.random_range(milliseconds))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_of_which_one_is_killed_again_and_again_lose_nothing() -> Result<()> {
    let seed = match std::env::var("STOA_SEED") {
        Ok(seed) => seed.parse::<u64>()?,
        Err(_) => rand::random(),
    };
    eprintln!("STOA_SEED={seed} kills the same nodes after the same times");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir()?;
    let signers = (0..3).map(|_| PrivateKeySigner::random()).collect::<Vec<_>>();
    let funded = signers.iter().map(PrivateKeySigner::address).collect::<Vec<_>>();
    let mut network = Validators::start_in_epochs(folder.path(), &funded, on_loopback(4)?, LONG_EPOCH, |_| Ok(()))?;
    network.agree().await?;
    let status = network.status(1)?;
    ensure!(status.validators.len() == 4, "{status}");

    // Transfers are on their way all the time, to whichever nodes answer.
    let load = Load::start(&signers, network.clients());
    for round in 0..5 {
        wait(&mut random, 300..1500).await;
        let victim = random.random_range(0..4_usize);
        network.kill(victim)?;
        wait(&mut random, 100..1500).await;
        network.launch(victim)?;
        // Sometimes again, before it is back.
        if random.random_range(0..3) == 0 {
            wait(&mut random, 50..1500).await;
            network.kill(victim)?;
            network.launch(victim)?;
        }
        let height = network.clients()[(victim + 1) % 4].block_number().await?;
        network.reach(victim, height).await.wrap_err_with(|| format!("round {round}, seed {seed}"))?;
    }
    let sent = load.stop().await?;
    let seen = sent.iter().map(|sent| sent.seen.len()).sum::<usize>();
    ensure!(seen > 20, "only {seen} receipts were seen while nodes were killed");
    settled(&network, &sent).await.wrap_err_with(|| format!("seed {seed}"))?;
    // Nothing was executed twice.
    for client in network.clients() {
        let mut sent = 0;
        for account in &funded {
            sent += nonce(client, *account).await?;
        }
        let got: U256 = client.call("eth_getBalance", (RECIPIENT, "latest")).await?;
        ensure!(got == U256::from(sent), "{sent} transfers gave {got}");
    }

    // A light client believes none of them.
    let (key, (transaction, block)) = (status.network_key, *sent[0].seen.first().wrap_err("one saw no receipt")?);
    let proof = network.clients()[2].prove(funded[0], &[], None).await?;
    let certificate = network.clients()[3].certificate_within(proof.block_number.to(), LONG).await?;
    let header = certificate.verify(&key)?;
    let proven = proof.verify(header.hash_slow(), funded[0], &[])?;
    ensure!(proven.nonce == nonce(&network.clients()[0], funded[0]).await?);
    let receipt = network.clients()[2].prove_receipt(transaction).await?;
    let receipt = receipt.wrap_err("there is no proof of a receipt")?;
    let at = network.clients()[1].certificate_within(receipt.block_number.to(), LONG).await?.verify(&key)?;
    let proven = receipt.verify(at.hash_slow(), transaction)?;
    ensure!(proven.receipt.success && at.hash_slow() == block);
    let mut forged = certificate.clone();
    forged.headers[0] = proof.header.iter().rev().copied().collect::<Vec<_>>().into();
    ensure!(forged.verify(&key).is_err());
    let other = [&key[..key.len() - 1], &[key[key.len() - 1] ^ 1]].concat();
    ensure!(certificate.verify(&other).is_err());
    Ok(())
}

/// Changes a byte of every half a kilobyte of the files whose names in a folder begin so.
fn damage(folder: &Path, names: &[&str]) -> Result<()> {
    let mut changed = 0;
    for path in files(folder)? {
        let name = path.strip_prefix(folder)?.display().to_string();
        if !names.iter().any(|begin| name.starts_with(begin)) {
            continue;
        }
        let mut bytes = fs::read(&path)?;
        // Beyond what tells the kind of file; and not where nothing was written yet.
        for byte in bytes.iter_mut().skip(300).step_by(512).filter(|byte| **byte != 0) {
            *byte ^= 0x55;
            changed += 1;
        }
        fs::write(&path, bytes)?;
    }
    ensure!(changed > 0, "nothing in {} could be damaged", folder.display());
    Ok(())
}

#[tokio::test]
async fn a_validator_whose_folder_is_damaged_says_what_to_remove_and_votes_again_after_that() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let signer = PrivateKeySigner::random();
    let length = 24;
    let mut network =
        Validators::start_in_epochs(folder.path(), &[signer.address()], on_loopback(4)?, length, |_| Ok(()))?;
    network.agree().await?;
    let me = network.status(2)?.validators.iter().find(|validator| validator.me).wrap_err("it is no validator")?.key;
    let mut seen = Vec::new();
    while network.clients()[2].block_number().await? <= SYNC_FROM {
        network.pay(2, &signer, 3, &mut seen).await?;
    }
    for names in [&["history/"][..], &["state/stoa-state-log_data", "state/stoa-state-tree-blobs"]] {
        network.kill(2)?;
        damage(&network.data(2), names)?;
        network.launch(2)?;
        let said = network.ended(2).await?;
        ensure!(said.contains("remove `history` and `state`"), "{names:?} was damaged, and it says: {said}");
        let before = network.last_vote(me)?;
        // That, and nothing else: it takes over the state of the others.
        for part in ["history", "state"] {
            fs::remove_dir_all(network.data(2).join(part))?;
        }
        let height = network.clients()[0].block_number().await?;
        network.launch(2)?;
        network.reach(2, height).await?;
        let early = network.clients()[2].call::<U256>("eth_getBalance", (signer.address(), "0x1")).await;
        ensure!(early.is_err(), "it has executed what it should have taken over");
        network.hold(&seen).await?;
        // It does not know any more how it has voted in this epoch, so that it waits for the next.
        let vote = network.next_vote(me, before, &signer, &mut seen).await?;
        ensure!(
            Some(vote.epoch) > before.map(|before| before.epoch),
            "it votes in the epoch in which it lost its votes"
        );
        // Without it there is no quorum now.
        network.kill(0)?;
        let height = network.clients()[1].block_number().await? + 3;
        network.reach(1, height).await?;
        network.reach(2, height).await?;
        network.launch(0)?;
        network.reach(0, height).await?;
    }
    // And it goes on from its own folder as others do, also without the share that it has voted with.
    for secrets_are_gone in [false, true] {
        let height = network.clients()[0].block_number().await?;
        network.kill(2)?;
        if secrets_are_gone {
            fs::remove_file(network.data(2).join("secrets"))?;
        }
        let before = network.last_vote(me)?;
        network.launch(2)?;
        network.reach(2, height + 2).await?;
        let vote = network.next_vote(me, before, &signer, &mut seen).await?;
        let is_later = Some(vote.epoch) > before.map(|before| before.epoch);
        ensure!(is_later || !secrets_are_gone, "it votes without a share");
    }
    Ok(())
}

#[tokio::test]
async fn four_processes_share_the_key_anew_while_one_is_killed_and_comes_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let signer = PrivateKeySigner::random();
    let length = 16;
    let mut network =
        Validators::start_in_epochs(folder.path(), &[signer.address()], on_loopback(4)?, length, |_| Ok(()))?;
    network.agree().await?;
    let key = network.status(0)?.network_key;
    // It misses what is said of the next epoch, and most of what is dealt.
    network.kill(1)?;
    let mut seen = Vec::new();
    network.pay(2, &signer, 1, &mut seen).await?;
    network.reach(0, length + 2).await?;
    network.launch(1)?;
    network.reach(1, 2 * length + 2).await?;
    // It votes: without it there is no quorum now.
    network.kill(3)?;
    let height = network.clients()[1].block_number().await? + 3;
    network.reach(1, height).await?;
    network.launch(3)?;
    network.reach(3, height + 2).await?;
    network.hold(&seen).await?;
    let status = network.status(3)?;
    ensure!(status.epoch.to::<u64>() >= 2 && status.network_key == key, "{status}");
    let certificate = network.clients()[3].certificate_within(2 * length + 1, LONG).await?;
    certificate.verify(&key)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_that_was_away_for_ten_epochs_comes_back_and_votes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let signers = (0..2).map(|_| PrivateKeySigner::random()).collect::<Vec<_>>();
    let funded = signers.iter().map(PrivateKeySigner::address).collect::<Vec<_>>();
    // The shortest there may be: the others wait for the one that is away whenever it should lead.
    let length = 8;
    let mut network = Validators::start_in_epochs(folder.path(), &funded, on_loopback(4)?, length, |_| Ok(()))?;
    network.agree().await?;
    let status = network.status(3)?;
    let away = status.validators.iter().find(|validator| validator.me).wrap_err("it is no validator")?.key;
    let load = Load::start(&signers, network.clients());
    network.kill(3)?;
    let left = network.clients()[0].block_number().await?;
    network.reach(0, left + 10 * length).await?;
    let sent = load.stop().await?;
    network.launch(3)?;
    network.reach(3, left + 10 * length).await?;
    let epoch = network.status(3)?.epoch;
    let votes = |status: &Status| last_vote(status, away).is_some_and(|vote| vote.epoch > epoch);
    network.until(0, "hears votes of the one that was away", votes).await?;
    // Without it there is no quorum now.
    network.kill(1)?;
    let height = network.clients()[0].block_number().await? + 3;
    network.reach(0, height).await?;
    network.reach(3, height).await?;
    network.launch(1)?;
    network.reach(1, height).await?;
    settled(&network, &sent).await?;
    // It has executed all that it missed.
    let got: U256 = network.clients()[3].call("eth_getBalance", (RECIPIENT, "latest")).await?;
    ensure!(got >= U256::from(sent.iter().map(|sent| sent.taken.len()).sum::<usize>()), "{got} wei came");
    Ok(())
}

#[tokio::test]
async fn a_validator_that_was_killed_between_catching_up_and_going_on_starts_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let signer = PrivateKeySigner::random();
    let mut network = Validators::start(folder.path(), signer.address(), on_loopback(4)?)?;
    network.agree().await?;
    let status = network.status(0)?;
    let (key, peer) = (status.network_key.to_string(), status.follow_at.wrap_err("it cannot be followed")?);
    let mut seen = Vec::new();
    network.pay(0, &signer, 3, &mut seen).await?;
    // As the kill leaves its folder: it had nothing and has taken over the others' state, as whoever follows does, and its consensus
    // has not heard of that.
    network.kill(3)?;
    let mut follower = Node::follow(&key, &[peer], &["--sync-from", "1"])?;
    follower.kill()?;
    for part in ["history", "state"] {
        fs::remove_dir_all(network.data(3).join(part))?;
        fs::rename(follower.chain_folder().join(part), network.data(3).join(part))?;
    }
    let mark = network.data(3).join("catching-up");
    fs::write(&mark, [])?;
    // Alone it does not get anywhere, and removes nothing.
    for other in 0..3 {
        network.kill(other)?;
    }
    network.launch(3)?;
    let said = network.ended(3).await?;
    ensure!(said.contains("while it caught up") && mark.exists(), "it says: {said}");
    // The others are not so far ahead that it would catch up without being told to.
    for other in 0..3 {
        network.launch(other)?;
    }
    for other in 0..3 {
        network.reach(other, 1).await?;
    }
    network.pay(0, &signer, 3, &mut seen).await?;
    let height = network.clients()[0].block_number().await?;
    network.launch(3)?;
    network.reach(3, height).await?;
    network.hold(&seen).await?;
    network.pay(3, &signer, 1, &mut seen).await?;
    ensure!(!mark.exists(), "it still says that it is catching up");
    Ok(())
}

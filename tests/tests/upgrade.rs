//! A network whose machines go over to a newer program, one by one, while clients go on.

use alloy_signer_local::PrivateKeySigner;
use eyre::{Result, ensure};
use std::time::Instant;
use stoa_tests::{
    validators::{LONG, Validators, last_vote, on_loopback},
    variable,
};

/// Blocks of an epoch: a second or two while clients pay.
const EPOCH: u64 = 40;

#[tokio::test]
#[ignore = "needs an older program: `cargo xtask upgrade`"]
async fn machines_go_over_to_a_newer_program_one_by_one_and_lose_nothing() -> Result<()> {
    let older = variable("STOA_OLDER_BIN")?;
    let newer = variable("STOA_BIN")?;
    ensure!(std::fs::read(&older)? != std::fs::read(&newer)?, "both programs are the same");
    let folder = tempfile::tempdir()?;
    let signer = PrivateKeySigner::random();
    let funded = [signer.address()];
    let mut network = Validators::start_program(&older, folder.path(), &funded, on_loopback(4)?, EPOCH, |_| Ok(()))?;
    network.agree().await?;
    let mut seen = Vec::new();
    network.pay(0, &signer, 3, &mut seen).await?;

    for index in 0..4 {
        let other = (index + 1) % 4;
        network.stop(index)?;
        network.pay(other, &signer, 3, &mut seen).await?;
        network.upgrade(index)?;
        let height = network.clients()[other].block_number().await?;
        network.launch(index)?;
        network.reach(index, height).await?;
        network.pay(index, &signer, 3, &mut seen).await?;
        network.hold(&seen).await?;

        // Older and newer validators share the key anew together, and the newer one votes with its share.
        let status = network.status(index)?;
        let me = status.validators.iter().find(|validator| validator.me).map(|validator| validator.key);
        let Some(me) = me else { eyre::bail!("validator {index} is none: {status}") };
        let votes = |now: &stoa_client::Status| {
            last_vote(now, me).is_some_and(|vote| vote.epoch.to::<u64>() > status.epoch.to::<u64>() + 1)
        };
        let until = Instant::now() + LONG;
        while !votes(&network.status(other)?) {
            ensure!(Instant::now() < until, "validator {index} does not vote again: {}", network.status(other)?);
            network.pay(other, &signer, 5, &mut seen).await?;
        }
    }
    network.pay(0, &signer, 3, &mut seen).await?;
    network.hold(&seen).await
}

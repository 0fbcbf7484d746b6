//! What operators of a network of four processes meet: a machine that was away for long, a restart of all, one by one, and a
//! disk that is full.

use alloy_signer_local::PrivateKeySigner;
use eyre::{Result, bail, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use stoa_tests::{
    is_root, program,
    validators::{SYNC_FROM, Validators, on_loopback},
};

/// A small disk, which goes with this.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, megabytes: u64) -> Result<Self> {
        fs::create_dir_all(at)?;
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "stoa-test"]).arg(at).output()?;
        if !mounted.status.success() {
            bail!("no disk: {}", String::from_utf8_lossy(&mounted.stderr));
        }
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_machine_that_was_away_a_restart_of_all_and_a_full_disk_lose_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let signer = PrivateKeySigner::random();
    let mut disk = None;
    // Mounting wants root.
    let root = is_root()?;
    let mut network = Validators::start_with(folder.path(), signer.address(), on_loopback(4)?, |network| {
        if root {
            disk = Some(Disk::mount(&network.data(3), 64)?);
        }
        Ok(())
    })?;
    network.agree().await?;
    let mut seen = Vec::new();

    // A second process in a folder that is in use says so, and does not wait.
    let mut second = Command::new("timeout");
    second.arg("60").arg(program()?).args(["node", "run", "--config"]).arg(network.folder(0).join("stoa.toml"));
    let second = second.output()?;
    let said = String::from_utf8_lossy(&second.stderr);
    ensure!(second.status.code() == Some(1) && said.contains("is used by another process"), "it says: {said}");

    // Away for longer than the others wait: it executes what it missed, and keeps all receipts.
    network.stop(1)?;
    let height = network.clients()[0].block_number().await?;
    while network.clients()[0].block_number().await? < height + SYNC_FROM + 5 {
        network.pay(0, &signer, 3, &mut seen).await?;
    }
    network.launch(1)?;
    network.reach(1, height + SYNC_FROM + 5).await?;
    network.hold(&seen).await?;

    // Each is stopped and started in turn, while clients go on.
    for index in 0..4 {
        network.stop(index)?;
        network.pay((index + 1) % 4, &signer, 3, &mut seen).await?;
        let height = network.clients()[(index + 1) % 4].block_number().await?;
        network.launch(index)?;
        network.reach(index, height).await?;
    }
    network.hold(&seen).await?;

    // One that cannot write stops and says so; the others go on, and it comes back when there is room.
    if root {
        let filler = network.data(3).join("filler");
        let filled =
            Command::new("dd").args(["if=/dev/zero", "bs=1M"]).arg(format!("of={}", filler.display())).output()?;
        ensure!(!filled.status.success(), "the disk is not full");
        network.pay(0, &signer, 10, &mut seen).await?;
        let said = network.ended(3).await?;
        ensure!(said.contains("disk is full"), "it says: {said}");
        network.pay(0, &signer, 3, &mut seen).await?;
        fs::remove_file(&filler)?;
        let height = network.clients()[0].block_number().await?;
        network.launch(3)?;
        network.reach(3, height).await?;
        network.hold(&seen).await?;
    }
    Ok(())
}

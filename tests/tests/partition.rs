//! Four validators whose network is cut: each process in a network namespace of its own, two and two behind a switch, and one
//! cable between the switches.

use alloy_primitives::Address;
use eyre::{Result, bail, ensure};
use std::{net::SocketAddr, process::Command, time::Duration};
use stoa_tests::validators::{Machine, Validators};

/// Namespaces that are gone with this.
struct Cables {
    name: String,
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip").args(arguments.split_whitespace()).output()?;
    if !output.status.success() {
        bail!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

impl Cables {
    /// Lays cables: `switch-0` has machines 0 and 1, `switch-1` has 2 and 3.
    fn lay() -> Result<Self> {
        let cables = Self { name: format!("stoa{}", std::process::id()) };
        let name = &cables.name;
        ip(&format!("netns add {name}sw"))?;
        for switch in 0..2 {
            ip(&format!("-n {name}sw link add switch-{switch} type bridge"))?;
            ip(&format!("-n {name}sw link set switch-{switch} up"))?;
        }
        ip(&format!("-n {name}sw link add left type veth peer name right"))?;
        for (end, switch) in [("left", 0), ("right", 1)] {
            ip(&format!("-n {name}sw link set {end} master switch-{switch}"))?;
            ip(&format!("-n {name}sw link set {end} up"))?;
        }
        for machine in 0..4 {
            ip(&format!("netns add {name}m{machine}"))?;
            ip(&format!("-n {name}m{machine} link add eth0 type veth peer name port-{machine} netns {name}sw"))?;
            ip(&format!("-n {name}sw link set port-{machine} master switch-{}", machine / 2))?;
            ip(&format!("-n {name}sw link set port-{machine} up"))?;
            ip(&format!("-n {name}m{machine} addr add 10.0.0.{}/24 dev eth0", machine + 1))?;
            ip(&format!("-n {name}m{machine} link set eth0 up"))?;
            ip(&format!("-n {name}m{machine} link set lo up"))?;
        }
        Ok(cables)
    }

    fn machines(&self) -> Vec<Machine> {
        let machine = |index: u8| Machine {
            host: format!("10.0.0.{}:9000", index + 1),
            http: SocketAddr::from(([127, 0, 0, 1], 8545)),
            before: ["ip", "netns", "exec", &format!("{}m{index}", self.name)].map(str::to_owned).to_vec(),
        };
        (0..4).map(machine).collect()
    }

    /// Cuts the cable between the switches, or mends it.
    fn cable(&self, up: bool) -> Result<()> {
        ip(&format!("-n {}sw link set left {}", self.name, if up { "up" } else { "down" }))
    }
}

impl Drop for Cables {
    fn drop(&mut self) {
        for part in ["sw", "m0", "m1", "m2", "m3"] {
            let _ = ip(&format!("netns delete {}{part}", self.name));
        }
    }
}

fn is_root() -> Result<bool> {
    Ok(String::from_utf8(Command::new("id").arg("-u").output()?.stdout)?.trim() == "0")
}

#[tokio::test]
async fn two_halves_that_do_not_hear_each_other_stop_and_go_on_when_they_do() -> Result<()> {
    if !is_root()? {
        eprintln!("network namespaces need root: this was not tested");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let cables = Cables::lay()?;
    let network = Validators::start(folder.path(), Address::repeat_byte(1), cables.machines())?;
    for index in 0..4 {
        network.reach(index, 3).await?;
    }
    cables.cable(false)?;
    // What had a quorum before the cut may still become final.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = (0..4).map(|index| network.status(index)).collect::<Result<Vec<_>>>()?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    for (index, before) in before.iter().enumerate() {
        let now = network.status(index)?;
        ensure!(now.block_number == before.block_number, "validator {index} agreed with half of the network: {now}");
    }
    cables.cable(true)?;
    let height = before.iter().map(|status| status.block_number.to::<u64>()).max().unwrap_or_default() + 3;
    for index in 0..4 {
        network.reach(index, height).await?;
    }
    Ok(())
}

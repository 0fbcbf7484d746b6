//! Four validators whose network is cut: each process in a network namespace of its own, two and two behind a switch, and one
//! cable between the switches.

use alloy_primitives::{B256, Bytes, TxKind, U256};
use alloy_signer_local::PrivateKeySigner;
use eyre::{Result, bail, ensure};
use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Command,
    time::{Duration, Instant},
};
use stoa_tests::{
    RECIPIENT, is_root, transaction, transfer,
    validators::{CHAIN_ID, LONG, LONG_EPOCH, Machine, Validators, place},
};

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
    /// Lays cables: `switch-0` has machines 0 and 1, `switch-1` has 2 and 3. Another leads from each machine to this test alone,
    /// whose transactions reach it whatever is cut.
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
            let [here, there] = [0, 1].map(|end| Self::address(machine, end));
            ip(&format!("link add {name}c{machine} type veth peer name client netns {name}m{machine}"))?;
            ip(&format!("addr add {here}/30 dev {name}c{machine}"))?;
            ip(&format!("link set {name}c{machine} up"))?;
            ip(&format!("-n {name}m{machine} addr add {there}/30 dev client"))?;
            ip(&format!("-n {name}m{machine} link set client up"))?;
        }
        Ok(cables)
    }

    /// An end of the cable between this test and a machine, in the network that is kept for tests (RFC 2544). Another run of this
    /// test has others.
    fn address(machine: u32, end: u32) -> Ipv4Addr {
        let first = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + std::process::id() % 8192 * 16;
        Ipv4Addr::from(first + 4 * machine + 1 + end)
    }

    fn machines(&self) -> Vec<Machine> {
        let machine = |index: u32| Machine {
            host: format!("10.0.0.{}:9000", index + 1),
            http: SocketAddr::from((Self::address(index, 1), 8545)),
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

/// Gives a transaction to a node, which takes it; returns its hash.
async fn give(network: &Validators, node: usize, (hash, raw): (B256, Bytes)) -> Result<B256> {
    let given: B256 = network.clients()[node].call("eth_sendRawTransaction", (raw,)).await?;
    ensure!(given == hash, "a transaction has another hash");
    Ok(hash)
}

#[tokio::test]
async fn two_halves_that_do_not_hear_each_other_stop_and_go_on_when_they_do() -> Result<()> {
    if !is_root()? {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let cables = Cables::lay()?;
    let signers = [(); 3].map(|()| PrivateKeySigner::random());
    let funded = signers.each_ref().map(PrivateKeySigner::address);
    let [alice, bob, carol] = &signers;
    let network = Validators::start_in_epochs(folder.path(), &funded, cables.machines(), LONG_EPOCH, |_| Ok(()))?;
    for index in 0..4 {
        network.reach(index, 3).await?;
    }
    let (mut of_alice, mut of_bob) = (Vec::new(), Vec::new());
    network.pay(0, alice, 2, &mut of_alice).await?;
    network.pay(3, bob, 2, &mut of_bob).await?;

    cables.cable(false)?;
    // What had a quorum before the cut may still become final.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = (0..4).map(|index| network.status(index)).collect::<Result<Vec<_>>>()?;
    let mut given = Vec::new();
    for (node, signer, nonce) in [(0, alice, 2), (1, alice, 3), (2, bob, 2), (3, bob, 3)] {
        given.push(give(&network, node, transfer(CHAIN_ID, signer, nonce)?).await?);
    }
    // The same coin is spent in both halves.
    let mut spent = Vec::new();
    for (node, value) in [(1, 1), (2, 2)] {
        let transaction = transaction(CHAIN_ID, carol, 0, TxKind::Call(RECIPIENT), value, Bytes::new())?;
        spent.push(give(&network, node, transaction).await?);
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    for (index, before) in before.iter().enumerate() {
        let now = network.status(index)?;
        ensure!(now.block_number == before.block_number, "validator {index} agreed with half of the network: {now}");
        for hash in given.iter().chain(&spent) {
            let block = place(&network.clients()[index], *hash).await?;
            ensure!(
                block.is_none(),
                "validator {index} says that {hash} is final, and only half of the network knows it"
            );
        }
    }

    cables.cable(true)?;
    let height = before.iter().map(|status| status.block_number.to::<u64>()).max().unwrap_or_default() + 3;
    for index in 0..4 {
        network.reach(index, height).await?;
    }
    for hash in &given {
        network.agreed(*hash).await?;
    }
    // It was spent once, and on all nodes in the same way.
    let mut spendings = Vec::new();
    for client in network.clients() {
        let until = Instant::now() + LONG;
        while client.call::<U256>("eth_getTransactionCount", (carol.address(), "latest")).await? != U256::from(1) {
            ensure!(Instant::now() < until, "neither of two transactions with one nonce is final");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        spendings.push([place(client, spent[0]).await?, place(client, spent[1]).await?]);
    }
    ensure!(spendings[0].iter().flatten().count() == 1, "a coin was spent twice: {spendings:?}");
    ensure!(spendings.iter().all(|there| *there == spendings[0]), "nodes differ in how it was spent: {spendings:?}");
    // And it goes on.
    for (node, signer) in [(2, alice), (1, bob)] {
        let hash = give(&network, node, transfer(CHAIN_ID, signer, 4)?).await?;
        network.agreed(hash).await?;
    }
    network.hold(&of_alice).await?;
    network.hold(&of_bob).await
}

//! Other people's clients, unmodified, against a running node.

use alloy_primitives::U256;
use eyre::{ContextCompat as _, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};
use stoa_data::jobs::{self, units};
use stoa_tests::{
    Network, Node, hardhat_suite, node_suite, python_suite,
    stage::{Stage, copies, stoa},
    variable,
};

/// The network's own coin, as an ERC-20.
const COIN: &str = "0x0000000000000000000000000000000000000c01";

/// Nobody's account.
const RECEIVER: &str = "0x00000000000000000000000000000000000000aa";

/// The second of the development accounts.
const PUBLISHER: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

fn javascript(network: Network, file: &str) -> Result<()> {
    Node::start(network)?.suite(&mut node_suite(file))
}

fn python(network: Network, file: &str) -> Result<()> {
    Node::start(network)?.suite(&mut python_suite(file)?)
}

#[test]
fn ethers_works_against_a_network() -> Result<()> {
    javascript(Network::Up, "js/ethers.test.js")
}

#[test]
fn permit2_moves_tokens_that_uniswaps_sdk_permits() -> Result<()> {
    javascript(Network::Up, "js/permit2.test.js")
}

#[test]
fn viem_works_against_a_network() -> Result<()> {
    javascript(Network::Up, "js/viem.test.js")
}

#[test]
fn cast_works_against_a_network() -> Result<()> {
    javascript(Network::Up, "js/cast.test.js")
}

#[test]
fn web3_py_works_against_a_network() -> Result<()> {
    python(Network::Up, "python/test_web3.py")
}

#[test]
fn viems_test_client_drives_a_development_chain() -> Result<()> {
    javascript(Network::Dev, "js/dev.test.js")
}

#[test]
fn openzeppelins_governor_takes_a_proposal_from_vote_to_execution() -> Result<()> {
    javascript(Network::Up, "js/governor.test.js")
}

#[test]
fn oceans_contracts_and_its_client_publish_sell_order_and_settle() -> Result<()> {
    javascript(Network::Dev, "js/ocean.test.js")
}

#[test]
fn oceans_client_finds_what_was_published_at_a_node_that_keeps_an_index() -> Result<()> {
    Node::start_with(Network::Up, &["--index"])?.suite(&mut node_suite("js/aquarius.test.js"))
}

/// A node that gives files to those who order them, with these options beside, and its folder of files.
fn provider(stage: &Stage, options: &[&str]) -> Result<(Node, PathBuf)> {
    let files = stage.at("files");
    fs::create_dir(&files)?;
    let rows = (0..20_000).map(|row| format!("{row},{},{}\n", row % 90, row % 2)).collect::<String>();
    fs::write(files.join("hearts.csv"), format!("id,age,sex\n{rows}"))?;
    let folder = files.to_string_lossy();
    let own = ["--from-genesis", "--index", "--provide", &folder, "--provide-for", PUBLISHER];
    let (node, _) = stage.node("provider", 5, &[&own[..], options].concat(), &[])?;
    Ok((node, files))
}

#[test]
fn oceans_client_seals_orders_and_downloads_at_a_node_that_gives_files_to_buyers() -> Result<()> {
    let stage = Stage::new(0)?;
    let (mut node, files) = provider(&stage, &[])?;
    node.suite(node_suite("js/provider.test.js").env("STOA_FILES", files))
}

#[test]
fn oceans_client_has_programs_run_at_a_node_on_files_that_are_not_given_away() -> Result<()> {
    let stage = Stage::new(0)?;
    let data = stage.at("data");
    fs::create_dir(&data)?;
    let python = Path::new(&variable("STOA_PYTHON")?).parent().and_then(Path::parent).wrap_err("a place")?.to_owned();
    let [data, python] = [data, python].map(|folder| folder.to_string_lossy().into_owned());
    let (mut node, files) = provider(&stage, &["--data", &data, "--processes", "--environment", &python])?;
    fs::write(files.join("copies.wasm"), copies("hearts.csv")?)?;
    node.suite(node_suite("js/provider-compute.test.js").env("STOA_FILES", files))
}

#[test]
fn oceans_client_pays_a_node_that_charges_for_files_and_for_computing() -> Result<()> {
    let stage = Stage::new(0)?;
    let data = stage.at("data");
    fs::create_dir(&data)?;
    let data = data.to_string_lossy();
    let fees = ["--provide-fee", "0.5", "--provide-fee-minute", "0.01", "--provide-fee-token", COIN];
    let (mut node, files) = provider(&stage, &[&["--data", &data][..], &fees].concat())?;
    fs::write(files.join("copies.wasm"), copies("hearts.csv")?)?;
    node.suite(node_suite("js/provider-fees.test.js").env("STOA_FILES", files))?;
    // What it has earned its owner gets out of it, and no more than there is.
    let key =
        ["node", "withdraw", "--key", "provider.key", "--key-passphrase-file", "passphrase", "--http", node.http()];
    let withdraw = |amount: &str| -> Result<(bool, String)> {
        let mut command = stoa(stage.folder.path(), &[&key[..], &["--to", RECEIVER, "--amount", amount]].concat())?;
        let output = command.output()?;
        Ok((output.status.success(), String::from_utf8([output.stdout, output.stderr].concat())?))
    };
    let (done, said) = withdraw("1.5")?;
    let said: serde_json::Value = serde_json::from_str(&said)?;
    // In the coin's units, as all amounts are for programs.
    ensure!(done && said["paid"] == "0x14d1120d7b160000" && said["to"] == RECEIVER, "{said}");
    ensure!(said["token"] == COIN, "{said}");
    let left = said["left"].as_str().wrap_err("what is left")?.parse::<U256>()?;
    let (done, said) = withdraw("1000")?;
    ensure!(!done && said.contains(&format!("has {}, which is less than that", units(left, jobs::COIN))), "{said}");
    Ok(())
}

#[test]
fn oceans_programs_take_what_is_published_here() -> Result<()> {
    javascript(Network::Up, "js/ddo.test.js")
}

#[test]
fn bad_input_gets_errors_and_the_node_goes_on() -> Result<()> {
    python(Network::Up, "python/test_bad_input.py")
}

/// How many tests of a Hardhat project passed, and in how many seconds.
fn hardhat(command: &mut Command) -> Result<(usize, f64)> {
    let begin = Instant::now();
    let output = command.output()?;
    let seconds = begin.elapsed().as_secs_f64();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "the suite failed, {}: {said}{errors}", output.status);
    let summary = said.lines().find_map(|line| line.trim().split_once(" passing (")).wrap_err("no summary")?;
    Ok((summary.0.parse()?, seconds))
}

#[test]
fn a_hardhat_project_passes_as_it_does_on_hardhats_own_network() -> Result<()> {
    let (expected, hardhat_seconds) = hardhat(&mut hardhat_suite("hardhat"))?;
    let node = Node::start(Network::Dev)?;
    let (passed, seconds) = hardhat(hardhat_suite("stoa").env("STOA_URL", node.http()))?;
    println!("{expected} tests on Hardhat's own network in {hardhat_seconds:.1} s, {passed} on stoa in {seconds:.1} s");
    ensure!(passed == expected, "{expected} tests pass on Hardhat's own network, {passed} on stoa");
    Ok(())
}

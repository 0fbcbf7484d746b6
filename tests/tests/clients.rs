//! Other people's clients, unmodified, against a running node.

use eyre::Result;
use stoa_tests::{Network, Node, node_suite, python_suite};

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
fn openzeppelins_governor_takes_a_proposal_from_vote_to_execution() -> Result<()> {
    javascript(Network::Up, "js/governor.test.js")
}

#[test]
fn bad_input_gets_errors_and_the_node_goes_on() -> Result<()> {
    python(Network::Up, "python/test_bad_input.py")
}

//! The light client's WebAssembly module, in Node and in a page.

use eyre::Result;
use stoa_tests::{Network, Node, node_suite};

/// Runs a suite which is told the network key by the program that made it, not by the node that it checks.
fn light(file: &str) -> Result<()> {
    let mut node = Node::start(Network::Up)?;
    let key = node.announced("networkKey")?.to_owned();
    node.suite(node_suite(file).env("STOA_NETWORK_KEY", key))
}

#[test]
fn the_light_client_proves_what_a_node_says_and_believes_nothing_else() -> Result<()> {
    light("js/light.test.js")
}

#[test]
fn a_page_in_chromium_shows_a_balance_only_if_it_is_proven() -> Result<()> {
    light("js/page.test.js")
}

//! Puts the roles of a node together.
//!
//! [`validator`] is a validator that serves JSON-RPC, [`up`] an embedded network of several; [`dev`] is the same ledger
//! driven without consensus.

pub mod dev;
pub mod development;
mod stoa_methods;
pub mod up;
pub mod validator;
mod waiting;

use std::net::SocketAddr;
use stoa_base::Genesis;

/// Refuses to serve a chain whose money everybody has the keys of to other machines.
fn check_loopback(genesis: &Genesis, http: SocketAddr) -> eyre::Result<()> {
    if genesis.development && !http.ip().is_loopback() {
        eyre::bail!(
            "this is a development network, whose keys everybody knows: it is served on loopback only, not on {http} \
             (use --http 127.0.0.1:{})",
            http.port()
        );
    }
    Ok(())
}

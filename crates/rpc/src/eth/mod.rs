//! The `eth_` methods.

mod accounts;
mod blocks;
mod call;
mod config;
mod fees;
mod polling;
mod send;
mod simulate;
mod state;
mod transfers;

pub(crate) use blocks::{find as find_block, raw_block, raw_transaction};
pub(crate) use call::{estimate, newest, place, prepare, relax};
pub(crate) use fees::priority_fee;
pub use send::{fill, recover};
pub(crate) use send::{send_and_wait, taken};

use crate::Methods;

pub(crate) fn register(methods: &mut Methods) {
    accounts::register(methods);
    blocks::register(methods);
    call::register(methods);
    config::register(methods);
    fees::register(methods);
    polling::register(methods);
    send::register(methods);
    simulate::register(methods);
    state::register(methods);
}

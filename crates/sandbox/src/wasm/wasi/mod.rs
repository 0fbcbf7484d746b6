//! WASI preview 1: what a program may call.
//!
//! The calls are those of `wasi_snapshot_preview1.witx`. Whatever a program gives is a number that is checked: pointers
//! against its memory ([`memory`]), descriptors against its table ([`system`]), paths against its folders. Calls for which
//! there is nothing here (sockets, links, signals) answer that they are not supported.

mod descriptors;
mod link;
mod memory;
mod paths;
mod system;
#[cfg(test)]
mod tests;

pub(super) use link::link;
pub(super) use system::Descriptors;

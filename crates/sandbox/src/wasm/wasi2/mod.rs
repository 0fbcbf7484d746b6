//! WASI preview 2: what a component may call.
//!
//! The calls are those of the world `wasi:cli/command` 0.2.12, which all of 0.2 are part of; their declarations are in
//! `crates/sandbox/wit`. Behind them are the same files, log, clock and randomness as behind preview 1. Whatever a component
//! gives is checked: wasmtime reads its arguments, so many bytes at most for a call, and handles lead to the table of what it
//! has ([`resources`]) and nowhere else. Sockets are declared, since standard libraries link them, and denied.

mod cli;
mod clocks;
mod files;
mod filesystem;
mod link;
mod resources;
mod sockets;
mod streams;
#[cfg(test)]
mod tests;
mod types;

pub(super) use link::link;
pub(super) use resources::Resources;
#[cfg(test)]
pub(super) use types::ErrorCode;

/// Bytes that one call reads from a program's memory at most.
pub(super) const MOST_GIVEN: usize = 32 << 20;
/// Handles at one time at most, borrowed ones included.
pub(super) const MOST_HANDLES: usize = 4096;

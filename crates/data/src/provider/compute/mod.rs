//! Having programs run on files that are not given away, as Ocean's clients ask for it: compute-to-data.
//!
//! ```text
//! buyer   initializeCompute: which orders he has, and quotes for those he has not ──▶ startOrder, of data and program
//!         compute, signed ──▶ a job: queued, running, over ──▶ computeStatus ──▶ computeResult, signed ──▶ outputs.tar
//! ```
//!
//! Requests and answers are those of `@oceanprotocol/lib` 8.6.2, numbers and words of a job's status those of Ocean's node 3.2. What is
//! different from Ocean's nodes:
//!
//! - **What runs is what was trusted** ([`Trust`]): the bytes whose hash was compared are the bytes that run, under the entrypoint of
//!   the program's document. A caller adds nothing to a program that was published: no code, no container, no variables.
//! - **No job without orders**, whether it is asked for as a free one or not: of each data set and of the program, for whoever asks, or
//!   for the node and paid by whoever asks, as Ocean's clients order for an environment. An order is good for any number of jobs while it
//!   stands.
//! - **A fee for computing** is the provider's ([`Fees`](super::Fees)), paid with the order of the first data set: a time for
//!   which it is good, and within it one job at a time, none longer or on more processors than was paid for. Nothing is locked in
//!   the escrow.
//! - **No images.** Scripts of Python run in the node's own sandbox of processes, if it has one, WebAssembly modules in its runtime of
//!   those ([`Container::command`]); neither has a network, whatever a document says.
//! - **What may leave** is what the owner's [rules](crate::jobs::rules) let, where he has sealed some with his files: files, log, exit code
//!   and budgets as with [jobs](crate::jobs) of this network. Where he has none, his trust in the program has to do,
//!   which names it or its publisher: all of `/out` and the log leave, within a size.
//! - **Whoever started a job** sees it, stops it and is given what it has left, and nobody else is. Its number cannot be guessed: who has
//!   it is told how it stands without a signature, for Ocean's clients sign no such question.
//! - **A job is written down** ([`Engine`]). One that was under way when the node ended is over, and failed.

mod engine;
mod machine;
mod record;
mod request;
mod run;
#[cfg(test)]
mod tests;
mod trust;

pub use engine::{Documents, Engine, Task, Used};
pub use machine::Share;
pub use request::{Code, MOST_REQUEST, Ordered, Request};
pub use trust::{Container, Published, Trust, checksum};

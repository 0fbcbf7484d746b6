//! Writing programs that go to the data: a folder to begin with in one of several languages, and the module that it builds to.
//!
//! ```text
//!  stoa algo new ──▶ algorithm.json, sources, sample.csv, rules.json, README.md
//!  stoa algo build ─▶  rust, c, assemblyscript   a compiler for WASI preview 1 that this machine has
//!                      javascript, python        an interpreter that a package has, with the script embedded (`embed`)
//!                    ──▶ <name>.wasm             one file with one hash, which consent names
//! ```
//!
//! What a compiler says of a mistake, an interpreter says as well before anything is run ([`Folder::check`]).
//!
//! Nothing is installed but into the folder itself (npm) and the user's cache (interpreters). What the machine lacks is said with
//! the command that brings it.
//!
//! What compilers and package managers do here is what they do anywhere: whoever builds a folder runs what its author wrote, on
//! his own machine. Only the module that comes of it is made for those who do not trust its author.

mod build;
pub mod embed;
mod error;
mod folder;
mod interpreter;
mod language;
pub mod rust;
mod template;

pub use build::cache;
pub use error::Error;
pub use folder::{Check, Folder};
pub use interpreter::Interpreter;
pub use language::Language;

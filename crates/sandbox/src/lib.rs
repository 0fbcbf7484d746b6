//! Running code nobody trusts.

mod error;
mod job;
mod outcome;
mod runtime;
mod wasm;

pub use error::Error;
pub(crate) use job::SCRATCH_FILES;
pub use job::{Input, Job, Limits, PARAMS, Source};
pub use outcome::{Control, Ended, Log, Outcome, Output, Used};
pub use runtime::{Runtime, RuntimeId};
pub use wasm::Wasm;

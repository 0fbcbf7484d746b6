//! The system of one run, whichever calls its program makes: files, log, clock, randomness, and what the calls cost.

use super::{errno::Errno, fs::Files, wasi::Descriptors, wasi2::Resources};
use crate::{Job, Log};

/// Steps that a call costs.
const CALL: u64 = 500;

/// What ends a program during a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    #[error("the program ended with code {0}")]
    Exit(u32),
    #[error("cancelled")]
    Cancelled,
    #[error("out of time")]
    OutOfTime,
    #[error("the module exports no memory of the name \"memory\", which calls need")]
    NoExport,
    #[error("it has more resources at one time than a program may")]
    TooManyResources,
    #[error("it asked for what a call may not do: {0}")]
    Misuse(&'static str),
}

/// The system of one run.
pub(crate) struct System {
    pub files: Files,
    /// What a module has open.
    pub descriptors: Descriptors,
    /// What a component has.
    pub resources: Resources,
    pub arguments: Vec<String>,
    pub log: Log,
    log_limit: u64,
    random: blake3::OutputReader,
    /// Nanoseconds since 1970 at which the clock started.
    start: u64,
    /// Nanoseconds that the program has waited.
    waited: u64,
    /// Steps used before the current call.
    used: u64,
    /// Steps that the current call costs.
    pub cost: u64,
}

impl System {
    pub fn new(job: &Job, files: Files) -> Self {
        let mut random = blake3::Hasher::new_derive_key("stoa sandbox randomness 1");
        random.update(&job.seed);
        let name = || vec!["program".to_owned()];
        Self {
            files,
            descriptors: Descriptors::new(),
            resources: Resources::new(),
            arguments: if job.command.is_empty() { name() } else { job.command.clone() },
            log: Log::default(),
            log_limit: job.limits.log_bytes,
            random: random.finalize_xof(),
            start: job.time.saturating_mul(1_000_000_000),
            waited: 0,
            used: 0,
            cost: 0,
        }
    }

    /// A call begins, after so many steps.
    pub fn begin(&mut self, used: u64) {
        (self.used, self.cost) = (used, CALL);
    }

    /// The bytes cost steps.
    pub fn charge(&mut self, bytes: usize) {
        self.cost = self.cost.saturating_add(bytes as u64 / 8);
    }

    pub fn say(&mut self, text: &[u8]) {
        self.log.push(text, self.log_limit);
    }

    /// Nanoseconds since the start: one for each step, and what was waited.
    pub fn elapsed(&self) -> u64 {
        self.used.saturating_add(self.waited)
    }

    /// The time of all files, in nanoseconds since 1970.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Nanoseconds since 1970.
    pub fn now(&self) -> u64 {
        self.start.saturating_add(self.elapsed())
    }

    /// Lets time pass until so many nanoseconds from the start.
    pub fn wait_until(&mut self, due: u64) {
        self.waited = self.waited.saturating_add(due.saturating_sub(self.elapsed()));
    }

    pub fn random(&mut self, to: &mut [u8]) {
        self.random.fill(to);
        self.charge(to.len());
    }

    /// Makes a file longer or shorter.
    pub fn resize(&mut self, id: super::fs::NodeId, size: u64) -> Result<(), Errno> {
        let before = self.files.stat(id)?.size;
        self.files.set_size(id, size)?;
        self.charge(usize::try_from(size.saturating_sub(before)).unwrap_or(usize::MAX));
        Ok(())
    }
}

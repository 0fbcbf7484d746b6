use crate::{Control, Error, Job, Outcome};

/// What runs jobs.
pub trait Runtime: Send + Sync {
    /// What it is, for receipts.
    fn id(&self) -> RuntimeId;

    /// Whether whoever runs a job again gets the same, bit for bit. [`Outcome::deterministic`] says so for each run.
    fn deterministic(&self) -> bool;

    /// Does what a job's program takes before it runs: compiles it, where that is done. A run does so too, if it was not. Blocks.
    ///
    /// # Errors
    ///
    /// If it is none that could run, or could not be made ready.
    fn prepare(&self, _job: &Job) -> Result<(), Error> {
        Ok(())
    }

    /// Runs a job to its end. Blocks; several jobs may run at the same time.
    ///
    /// # Errors
    ///
    /// If the job cannot be run. A program that fails is no error.
    fn run(&self, job: &Job, control: &Control) -> Result<Outcome, Error>;
}

/// What ran a job: name and version, and all settings that what comes out depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeId(pub String);

impl RuntimeId {
    /// Its BLAKE3 hash, which a receipt names.
    pub fn hash(&self) -> [u8; 32] {
        blake3::derive_key("stoa sandbox runtime 1", self.0.as_bytes())
    }
}

impl std::fmt::Display for RuntimeId {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(&self.0)
    }
}

use std::{io, path::PathBuf};

/// Why a job did not run. What a program does once it runs is no error: its [`Outcome`](crate::Outcome) tells.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The job cannot be taken as it is.
    #[error("this job cannot be run: {0}")]
    Job(String),
    /// The code is not what the runtime takes, or beyond its bounds.
    #[error("this code cannot be run: {0}")]
    Code(String),
    /// An input cannot be read, or changed while the job ran. What the program had done by then is void.
    #[error("{path}: {error}")]
    Input {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The code could not be compiled in the time that is given for it.
    #[error("the code was not compiled within {0:?}")]
    CompileTime(std::time::Duration),
    /// A program that the runtime needs is missing.
    #[error("{program} cannot be run ({error}); install it: apt-get install {package}")]
    Missing {
        /// Its name.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// The machine lacks something, or refuses it. Another machine may run the job.
    #[error("this machine could not run the job: {0}")]
    Machine(String),
}

impl Error {
    pub(crate) fn input(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |error| Self::Input { path, error }
    }

    pub(crate) fn machine(what: &str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Machine(format!("{what}: {error}"))
    }
}

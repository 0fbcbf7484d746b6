//! What went wrong, in words for whoever sent the job.

use std::fmt;

/// A sentence that says what was expected and what came, without values of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// From the sentence.
    pub fn new(said: impl Into<String>) -> Self {
        Self(said.into())
    }

    /// The same, after the name of where it happened.
    pub fn within(self, place: impl fmt::Display) -> Self {
        Self(format!("{place}: {}", self.0))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

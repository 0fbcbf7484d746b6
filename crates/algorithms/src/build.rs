//! From a folder to a module, with what this machine has.

use crate::{Error, Folder, Interpreter, Language, error::at, folder::Check, rust};
use std::{
    env, fs, io,
    path::{self, PathBuf},
    process::{Command, Stdio},
};

/// Bytes of what a command said that an error shows: the end.
const MOST_SAID: usize = 8 << 10;
/// Bytes of a script at most.
const MOST_SCRIPT: u64 = 16 << 20;

/// Debian's packages that compile C.
const C_PACKAGES: &str =
    "apt-get install clang lld wasi-libc libclang-rt-dev-wasm32 (or set WASI_SDK_PATH to a wasi-sdk)";

/// What clang says where some of them are missing.
const C_LACKING: [&str; 5] =
    ["stdio.h' file not found", "wasm-ld", "libclang_rt.builtins", "crt1", "No available targets are compatible"];

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("{program} cannot be run: {error}")]
    Start { program: String, error: io::Error },
    #[error("{command}: {said}")]
    Ended { command: String, said: String },
}

/// Runs a command to its end; shows nothing of it unless it fails.
pub(crate) fn run(command: &mut Command) -> Result<(), Failed> {
    let shown: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let shown = shown.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failed::Start { program: command.get_program().to_string_lossy().into_owned(), error })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said[said.len().saturating_sub(MOST_SAID)..]).trim().to_owned();
    Err(Failed::Ended { command: shown, said })
}

/// The user's folder for what can be had again: `stoa` in his cache.
///
/// # Errors
///
/// If the environment names no such folder.
pub fn cache() -> Result<PathBuf, Error> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    cache.map(|cache| cache.join("stoa")).ok_or_else(|| Error::Io {
        path: "~/.cache".into(),
        error: io::Error::new(io::ErrorKind::NotFound, "neither HOME nor XDG_CACHE_HOME is set"),
    })
}

/// The build of a folder.
pub(crate) fn build(folder: &Folder) -> Result<Vec<u8>, Error> {
    let module = folder.module();
    match folder.language {
        Language::Rust => compile_rust(folder)?,
        Language::C => compile_c(folder)?,
        Language::AssemblyScript => compile_assemblyscript(folder)?,
        Language::JavaScript => put_script(folder, Interpreter::JAVASCRIPT)?,
        Language::Python => put_script(folder, Interpreter::PYTHON)?,
    }
    fs::read(&module).map_err(at(&module))
}

/// Where a folder's script is, if it is none too long.
fn script(folder: &Folder, interpreter: Interpreter) -> Result<PathBuf, Error> {
    let file = folder.path.join(interpreter.script);
    let length = file.metadata().map_err(at(&file))?.len();
    if length > MOST_SCRIPT {
        return Err(at(&file)(io::Error::other(format!("a script has at most {MOST_SCRIPT} bytes"))));
    }
    Ok(file)
}

fn put_script(folder: &Folder, interpreter: Interpreter) -> Result<(), Error> {
    let (file, module) = (script(folder, interpreter)?, folder.module());
    let bytes = interpreter.with(&fs::read_to_string(&file).map_err(at(&file))?)?;
    fs::write(&module, bytes).map_err(at(&module))
}

/// What reads a folder's script, if it has one.
pub(crate) fn check(folder: &Folder) -> Result<Option<Check>, Error> {
    let interpreter = match folder.language {
        Language::Rust | Language::C | Language::AssemblyScript => return Ok(None),
        Language::JavaScript => Interpreter::JAVASCRIPT,
        Language::Python => Interpreter::PYTHON,
    };
    Ok(Some(Check { script: script(folder, interpreter)?, parser: interpreter.parser()? }))
}

/// Runs what builds a language. That it is not there is another error than that it found one.
fn build_with(language: Language, remedy: &str, command: &mut Command) -> Result<(), Error> {
    run(command).map_err(|failed| match failed {
        Failed::Start { .. } => Error::Toolchain { language, lacking: failed.to_string(), remedy: remedy.to_owned() },
        Failed::Ended { command, said } => Error::Build { command, said },
    })
}

fn compile_rust(folder: &Folder) -> Result<(), Error> {
    let toolchain = rust::Toolchain::find()?;
    let target = match (env::var_os("CARGO_TARGET_DIR"), &toolchain) {
        (Some(target), _) => PathBuf::from(target),
        (None, rust::Toolchain::Installed) => folder.path.join("target"),
        // It builds its standard library, which takes a minute: once for all algorithms.
        (None, rust::Toolchain::Unpacked { .. }) => cache()?.join("algorithms"),
    };
    let target = path::absolute(&target).map_err(at(&target))?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    toolchain.prepare(&mut cargo, &[], &folder.path.canonicalize().map_err(at(&folder.path))?)?;
    // Where the folder is: cargo looks for its settings from there on.
    cargo.current_dir(&folder.path).env("CARGO_TARGET_DIR", &target);
    build_with(Language::Rust, "install Rust: https://rustup.rs", &mut cargo)?;
    let built = target.join(rust::TARGET).join("release").join(format!("{}.wasm", folder.name));
    fs::copy(&built, folder.module()).map(|_| ()).map_err(at(&built))
}

fn compile_c(folder: &Folder) -> Result<(), Error> {
    let sources = folder.path.join("src");
    let mut files = Vec::new();
    for entry in fs::read_dir(&sources).map_err(at(&sources))? {
        let path = entry.map_err(at(&sources))?.path();
        if path.extension().is_some_and(|ending| ending == "c") {
            files.push(path);
        }
    }
    files.sort();
    let kit = env::var_os("WASI_SDK_PATH").map(PathBuf::from);
    let mut clang = Command::new(kit.as_ref().map_or_else(|| "clang".into(), |kit| kit.join("bin/clang")));
    if let Some(kit) = kit {
        clang.arg(format!("--sysroot={}", kit.join("share/wasi-sysroot").display()));
    }
    clang.args(["--target=wasm32-wasi", "-std=c17", "-O2", "-Wall", "-Wextra", "-Wl,--strip-all", "-o"]);
    clang.arg(folder.module()).args(files).arg("-lm");
    match build_with(Language::C, C_PACKAGES, &mut clang) {
        Err(Error::Build { said, .. }) if C_LACKING.iter().any(|lacking| said.contains(lacking)) => {
            Err(Error::Toolchain { language: Language::C, lacking: said, remedy: C_PACKAGES.to_owned() })
        }
        other => other,
    }
}

fn compile_assemblyscript(folder: &Folder) -> Result<(), Error> {
    const REMEDY: &str = "apt-get install nodejs npm";
    let compiler = folder.path.join("node_modules/assemblyscript/bin/asc.js");
    if !compiler.exists() {
        let mut npm = Command::new("npm");
        // No package's own script runs.
        npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        let installed = build_with(Language::AssemblyScript, REMEDY, npm.current_dir(&folder.path));
        installed.map_err(|error| match error {
            Error::Build { command, said } => Error::Toolchain {
                language: Language::AssemblyScript,
                lacking: format!("its compiler was not fetched ({command}: {said})"),
                remedy: "npm has to reach its registry, once".into(),
            },
            other => other,
        })?;
    }
    let mut npm = Command::new("npm");
    npm.args(["run", "--silent", "build"]).current_dir(&folder.path);
    build_with(Language::AssemblyScript, REMEDY, &mut npm)
}

//! Rust for WASI: rustup's target where it is there, else Debian's compiler, unpacked into a folder.
//!
//! rustup need not have the standard library of `wasm32-wasip1`. Debian has a compiler, the sources of its standard library and
//! a libc for WASI, which `cargo xtask algorithms` unpacks into the user's cache. rustup's linker links with both.

use crate::{Error, Language, build::cache, error::at};
use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What is compiled for.
pub const TARGET: &str = "wasm32-wasip1";

/// The beginning of the name of the folder in the cache that Debian's compiler is unpacked into.
pub const UNPACKED: &str = "rust-wasi-";

/// Which compiler.
#[derive(Clone, Debug)]
pub enum Toolchain {
    /// The one that is installed, with its target for WASI.
    Installed,
    /// Debian's: a folder as `/usr` with the compiler, the sources of its standard library and WASI's libc.
    Unpacked {
        /// That folder.
        usr: PathBuf,
        /// `rust-lld`, of the toolchain that is installed.
        linker: PathBuf,
    },
}

fn lacking(lacking: impl Into<String>) -> Error {
    let remedy = "rustup target add wasm32-wasip1 (or, where rustup cannot download it, `cargo xtask algorithms` in Stoa's \
                  repository, which unpacks Debian's compiler into the user's cache)";
    Error::Toolchain { language: Language::Rust, lacking: lacking.into(), remedy: remedy.into() }
}

/// What a command prints, if it succeeds.
fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn has_target(rustc: &str) -> bool {
    let Some(folder) = output(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET])) else {
        return false;
    };
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

/// `rust-lld` of the toolchain that is installed.
fn linker() -> Option<PathBuf> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "))?;
    let linker = Path::new(&sysroot).join("lib/rustlib").join(host).join("bin/rust-lld");
    linker.exists().then_some(linker)
}

/// The folder in the cache that was unpacked last.
fn unpacked() -> Result<Option<PathBuf>, Error> {
    let cache = cache()?;
    let Ok(entries) = fs::read_dir(&cache) else { return Ok(None) };
    let found = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(UNPACKED));
    let found = found.map(|entry| entry.path().join("usr")).filter(|usr| usr.join("bin/rustc").exists());
    Ok(found.max_by_key(|usr| usr.metadata().and_then(|metadata| metadata.modified()).ok()))
}

impl Toolchain {
    /// What there is on this machine.
    ///
    /// # Errors
    ///
    /// If there is none; says what to do.
    pub fn find() -> Result<Self, Error> {
        Self::find_of("rustc")
    }

    /// The same where Rust's compiler is called so.
    fn find_of(rustc: &str) -> Result<Self, Error> {
        if has_target(rustc) {
            return Ok(Self::Installed);
        }
        if output(Command::new(rustc).arg("--version")).is_none() {
            let (lacking, remedy) =
                ("Rust is not installed: rustc does not run", "install it (https://rustup.rs), then: ");
            let remedy = format!("{remedy}rustup target add {TARGET}");
            return Err(Error::Toolchain { language: Language::Rust, lacking: lacking.into(), remedy });
        }
        let usr = unpacked()?.ok_or_else(|| lacking(format!("there is no standard library for {TARGET}")))?;
        let linker = linker().ok_or_else(|| lacking("Rust's own linker, rust-lld, is missing"))?;
        Ok(Self::Unpacked { usr, linker })
    }

    /// Has `cargo` compile a crate for WASI, with these options besides. `hidden` is a folder of this machine that is not to be seen
    /// in the module: the crate's, or one that it is in.
    ///
    /// # Errors
    ///
    /// If what was unpacked is not whole.
    pub fn prepare(&self, cargo: &mut Command, options: &[&OsStr], hidden: &Path) -> Result<(), Error> {
        for (variable, _) in env::vars_os() {
            let name = variable.to_string_lossy();
            if ["CARGO_PROFILE_", "CARGO_BUILD_", "CARGO_TARGET_", "RUSTC", "RUSTFLAGS"]
                .iter()
                .any(|beginning| name.starts_with(beginning))
            {
                cargo.env_remove(variable);
            }
        }
        let hide = |path: &Path, by: &str| format!("--remap-path-prefix={}={by}", path.display());
        cargo.args(["rustc", "--quiet", "--release", "--target", TARGET]);
        // For all crates, and the same wherever one is built: the standard library is then compiled once.
        let mut flags: Vec<_> = cargo_home().map(|home| hide(&home, "/cargo")).into_iter().collect();
        if let Self::Unpacked { usr, linker } = self {
            let libc = usr.join("lib/wasm32-wasi");
            let path = env::var_os("PATH").unwrap_or_default();
            let path = linker.parent().map(Path::to_owned).into_iter().chain(env::split_paths(&path));
            let path = env::join_paths(path).map_err(|error| lacking(error.to_string()))?;
            flags.extend([
                hide(usr, "/usr"),
                format!("-Lnative={}", libc.display()),
                "-Clink-self-contained=no".into(),
                format!("-Clink-arg={}", libc.join("crt1-command.o").display()),
                "-Zunstable-options".into(),
                "-Ctarget-feature=+simd128".into(),
                // A panic, which there should be none of, ends it without a word.
                "-Cpanic=immediate-abort".into(),
            ]);
            cargo
                .env("RUSTC", usr.join("bin/rustc"))
                // Its standard library is built with what is not stable, and so is asking for that.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("LD_LIBRARY_PATH", libraries(usr)?)
                .env("PATH", path)
                .args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"]);
        }
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        cargo.args(options).args(["--", &hide(hidden, "")]);
        Ok(())
    }
}

/// Where cargo keeps the sources of dependencies.
fn cargo_home() -> Option<PathBuf> {
    let named = env::var_os("CARGO_HOME").map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?.canonicalize().ok()
}

/// Where the compiler's own libraries are: a folder named for the processor.
fn libraries(usr: &Path) -> Result<PathBuf, Error> {
    let lib = usr.join("lib");
    let entries = fs::read_dir(&lib).map_err(at(&lib))?;
    let found = entries.flatten().map(|entry| entry.path()).find(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    found.ok_or_else(|| lacking("the compiler's libraries are not among what was unpacked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_no_rust_is_told_to_install_it_first() {
        let why = Toolchain::find_of("no-such-rustc").unwrap_err().to_string();
        assert!(why.contains("Rust is not installed") && why.contains("https://rustup.rs"), "{why}");
    }
}

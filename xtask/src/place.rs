//! Where things are: the repository, the build folder, the user's cache, and the commands run between them.

use eyre::{ContextCompat as _, Result, WrapErr as _, bail};
use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The folders that all steps share.
pub struct Place {
    /// The repository.
    pub root: PathBuf,
    /// Cargo's build folder.
    pub target: PathBuf,
    /// What outlives a build folder: Python packages.
    pub cache: PathBuf,
}

impl Place {
    /// Asks cargo's environment; works from any folder of the repository.
    pub fn find() -> Result<Self> {
        let xtask = env::var_os("CARGO_MANIFEST_DIR").wrap_err("run this as `cargo xtask`")?;
        let root = Path::new(&xtask).parent().wrap_err("xtask is not inside a repository")?.to_owned();
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder));
        let cache = match env::var_os("XDG_CACHE_HOME").filter(|folder| Path::new(folder).is_absolute()) {
            Some(folder) => PathBuf::from(folder),
            None => {
                PathBuf::from(env::var_os("HOME").wrap_err("neither HOME nor XDG_CACHE_HOME is set")?).join(".cache")
            }
        };
        Ok(Self { root, target, cache: cache.join("stoa") })
    }

    /// The folder of tests across crates.
    pub fn tests(&self) -> PathBuf {
        self.root.join("tests")
    }

    /// One JSON file for each Solidity contract.
    pub fn solidity(&self) -> PathBuf {
        self.target.join("solidity")
    }

    /// The light client for web pages: its module and the script that loads it.
    pub fn light(&self) -> PathBuf {
        self.target.join("web")
    }

    /// The Python environment's folder; its name changes with what is in it.
    pub fn python(&self) -> Result<PathBuf> {
        self.environment("python", self.tests().join("python/requirements.txt"))
    }

    /// The folder of the Python environment with Flower.
    pub fn flower(&self) -> Result<PathBuf> {
        self.environment("flower", self.root.join("benchmarks/flower/requirements.txt"))
    }

    fn environment(&self, name: &str, requirements: PathBuf) -> Result<PathBuf> {
        Ok(self.cache.join(format!("{name}-{}", &crate::stamp::hash(&[requirements], &["venv"])?[..16])))
    }

    /// A command that runs in the repository and reads no input.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).stdin(Stdio::null());
        command
    }

    /// Cargo with what the tests and benchmarks look for in the environment.
    pub fn cargo(&self) -> Result<Command> {
        let mut command = self.command(&env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        command
            .env("CARGO_TARGET_DIR", &self.target)
            .env("STOA_BIN", env::var_os("STOA_BIN").unwrap_or_else(|| self.target.join("debug/stoa").into()))
            .env("STOA_SOLIDITY", self.solidity())
            .env("STOA_LIGHT", self.light())
            .env("STOA_HARDHAT", self.target.join("hardhat"))
            .env("STOA_PYTHON", self.python()?.join("bin/python"));
        // Set for xtask alone: what xtask starts is another package.
        for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
            command.env_remove(name);
        }
        Ok(command)
    }
}

/// Runs a command to its end, its output shown.
pub fn check(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command.status().wrap_err_with(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// Runs a command to its end, its output shown; ends it if that takes longer.
pub fn check_within(command: &mut Command, patience: Duration) -> Result<()> {
    let shown = show(command);
    let mut process = command.spawn().wrap_err_with(|| format!("cannot start {shown}"))?;
    let until = Instant::now() + patience;
    let status = loop {
        match process.try_wait()? {
            Some(status) => break status,
            None if Instant::now() > until => {
                process.kill()?;
                process.wait()?;
                bail!("{shown}: not done after {} s", patience.as_secs());
            }
            None => thread::sleep(Duration::from_millis(50)),
        }
    };
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// Runs a command to its end, its output shown only if it fails.
pub fn check_quietly(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let output = command.output().wrap_err_with(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{shown}: {}\n{}", output.status, String::from_utf8_lossy(&said));
    }
    Ok(())
}

/// Runs a command that downloads, as [`check_quietly`]; tries it again twice, for networks fail.
pub fn download(command: &mut Command) -> Result<()> {
    again(command, &[3, 15])
}

/// Runs a command to its end, and again after so many seconds if it fails.
fn again(command: &mut Command, pauses: &[u64]) -> Result<()> {
    for pause in pauses {
        if check_quietly(command).is_ok() {
            return Ok(());
        }
        eprintln!("   {}: failed, again in {pause} s", show(command));
        thread::sleep(Duration::from_secs(*pause));
    }
    check_quietly(command)
}

/// The command as one would type it.
pub fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A finished command's standard output, or nothing if it failed or is not there.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_once_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        // Fails unless it has been run before.
        command.current_dir(&folder).args(["-c", "test -e there || { touch there; exit 1; }"]);
        again(&mut command, &[0]).unwrap();
        assert!(again(Command::new("false").arg("again"), &[0]).is_err());
    }
}

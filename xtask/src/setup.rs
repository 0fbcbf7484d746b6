//! What has to be there before tests run: programs, packages of other languages, compiled Solidity.

use crate::{
    place::{Place, check, check_quietly, download, output},
    stamp,
};
use eyre::{Result, bail};
use std::{fs, path::Path};

/// How to see that a program is there, and the Debian package that brings it.
type Program<'a> = (&'a str, &'a [&'a str], &'a str);

/// Installs Debian packages for the programs that are missing, if any is.
pub fn install(place: &Place, wanted: &[Program<'_>]) -> Result<bool> {
    let missing: Vec<_> = wanted
        .iter()
        .filter(|(program, arguments, _)| output(place.command(program).args(*arguments)).is_none())
        .map(|(_, _, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(false);
    }
    if output(place.command("id").arg("-u")).as_deref() != Some("0") {
        bail!("missing programs; as root: apt-get install {}", missing.join(" "));
    }
    println!("   apt-get install {}", missing.join(" "));
    let apt = |arguments: &[&str]| {
        let mut apt = place.command("apt-get");
        // A machine that was just started may be installing something else.
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "DPkg::Lock::Timeout=300"]).args(arguments);
        download(&mut apt)
    };
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], missing.as_slice()].concat())?;
    Ok(true)
}

/// What shows web pages in the tests.
const BROWSER: Program<'_> = ("chromium", &["--version"], "chromium");

/// Installs a browser if there is none.
pub fn browser(place: &Place) -> Result<bool> {
    install(place, &[BROWSER])
}

/// Whether there is a browser.
pub fn has_browser(place: &Place) -> bool {
    output(place.command(BROWSER.0).args(BROWSER.1)).is_some()
}

/// What compiles C for WASI, in tests of algorithms; that there is a libc, only a file of it shows.
pub fn wasi(place: &Place) -> Result<bool> {
    install(
        place,
        &[
            ("clang", &["--version"], "clang"),
            ("wasm-ld", &["--version"], "lld"),
            ("test", &["-e", "/usr/lib/wasm32-wasi/libc.a"], "wasi-libc"),
            (
                "sh",
                &["-c", "ls /usr/lib/llvm-*/lib/clang/*/lib/wasi/libclang_rt.builtins-wasm32.a"],
                "libclang-rt-dev-wasm32",
            ),
        ],
    )
}

/// What libFuzzer is compiled with.
pub fn cpp(place: &Place) -> Result<bool> {
    install(place, &[("c++", &["--version"], "g++")])
}

const PYTHON: Program<'_> = ("python3", &["-c", "import ensurepip, venv"], "python3-venv");
const BUBBLEWRAP: Program<'_> = ("bwrap", &["--version"], "bubblewrap");

/// The programs that the tests run.
pub fn programs(place: &Place) -> Result<bool> {
    let wanted: &[Program<'_>] = &[
        ("cc", &["--version"], "gcc"),
        ("node", &["--version"], "nodejs"),
        ("npm", &["--version"], "npm"),
        PYTHON,
        ("ip", &["-V"], "iproute2"),
        ("taskset", &["--version"], "util-linux"),
        BUBBLEWRAP,
    ];
    let installed = install(place, wanted)?;
    if output(place.cargo()?.args(["nextest", "--version"])).is_none() {
        bail!("cargo-nextest is missing: cargo install --locked cargo-nextest");
    }
    let node = output(place.command("node").arg("--version")).unwrap_or_default();
    let major: u32 = node.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < 20 {
        bail!("Node 20 or newer is needed, this is {node:?} (https://nodejs.org has newer ones)");
    }
    if output(place.command("python3").args(["-c", "import sys; sys.exit(sys.version_info < (3, 11))"])).is_none() {
        let python = output(place.command("python3").arg("--version")).unwrap_or_default();
        bail!("Python 3.11 or newer is needed, this is {python:?}");
    }
    Ok(installed)
}

/// Makes the Python environment with the packages of `tests/python/requirements.txt`.
pub fn python(place: &Place) -> Result<bool> {
    environment(place, &place.python()?, &place.tests().join("python/requirements.txt"))
}

/// What programs at the data are compared with: bubblewrap, and the Python environment of Flower.
pub fn flower(place: &Place) -> Result<bool> {
    install(place, &[PYTHON, BUBBLEWRAP])?;
    environment(place, &place.flower()?, &place.root.join("benchmarks/flower/requirements.txt"))
}

fn environment(place: &Place, folder: &Path, requirements: &Path) -> Result<bool> {
    stamp::once(folder, "done", || {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        check(place.command("python3").args(["-m", "venv"]).arg(folder))?;
        let python = folder.join("bin/python");
        let pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-input", "--requirement"];
        download(place.command(&python.to_string_lossy()).args(pip).arg(requirements))
    })
}

/// Installs the packages of `tests/package-lock.json`.
pub fn node(place: &Place) -> Result<bool> {
    let tests = place.tests();
    let locked = [tests.join("package.json"), tests.join("package-lock.json"), tests.join(".npmrc")];
    let version = output(place.command("node").arg("--version")).unwrap_or_default();
    stamp::once(&tests.join("node_modules"), &stamp::hash(&locked, &[&version])?, || {
        // No package's own script runs: none of them is needed.
        download(place.command("npm").current_dir(&tests).args(["ci", "--ignore-scripts", "--loglevel=error"]))
    })
}

/// Compiles the Solidity of the tests, for us and for the Hardhat project.
pub fn solidity(place: &Place) -> Result<bool> {
    let tests = place.tests();
    let mut sources = stamp::files(&tests.join("solidity"), &["sol", "js"])?;
    sources.extend([tests.join("hardhat/contracts/TimelockedGovernor.sol"), tests.join("package-lock.json")]);
    sources.extend(stamp::files(&tests.join("../crates/base/contracts"), &["sol", "hex"])?);
    let ours = stamp::once(&place.solidity(), &stamp::hash(&sources, &[])?, || {
        check_quietly(place.command("node").arg(tests.join("solidity/compile.js")).arg(place.solidity()))
    })?;

    let mut sources = stamp::files(&tests.join("hardhat/contracts"), &["sol"])?;
    sources.extend([tests.join("hardhat/hardhat.config.js"), tests.join("package-lock.json")]);
    let folder = place.target.join("hardhat");
    let hardhat = stamp::once(&folder, &stamp::hash(&sources, &[])?, || {
        fs::create_dir_all(&folder)?;
        let mut command = place.command("node");
        command.current_dir(tests.join("hardhat")).env("STOA_HARDHAT", &folder);
        // Quietly, for it warns of each imported contract.
        check_quietly(command.arg(tests.join("node_modules/.bin/hardhat")).args(["compile", "--quiet"]))
    })?;
    Ok(ours || hardhat)
}

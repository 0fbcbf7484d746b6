//! The modules in `algorithms/`, which are committed beside their sources: that they are what the sources compile to.
//!
//! rustup need not have the standard library of `wasm32-wasip1`. Debian has a compiler, the sources of its standard library and
//! a libc for WASI, so that what a module is made of is a list of packages with their versions. They are unpacked into the
//! user's cache folder, and nothing is installed: `rustc-web` would put another `rustc` into the path.

use crate::{
    light,
    place::{Place, check, check_within, output, show},
    stamp,
};
use eyre::{Result, WrapErr as _, bail};
use sha2::{Digest as _, Sha256};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process,
    time::Duration,
};
use stoa_algorithms::rust::{TARGET, Toolchain, UNPACKED};

/// The folders in `algorithms/`; each becomes the module of its name.
const ALGORITHMS: [&str; 1] = ["federated"];

/// Debian 12's packages that the modules are built with, and their versions. Another version may give other bytes: change it
/// together with the modules.
const PACKAGES: [(&str, &str); 6] = [
    ("rustc-web", "1.96.0+dfsg1-1~deb12u2"),
    ("libstd-rust-web-1.96", "1.96.0+dfsg1-1~deb12u2"),
    ("libstd-rust-web-dev", "1.96.0+dfsg1-1~deb12u2"),
    ("rust-web-src", "1.96.0+dfsg1-1~deb12u2"),
    ("libllvm22", "1:22.1.8-1~deb12u1"),
    ("wasi-libc", "0.0~git20220510.9886d3d-2"),
];

/// How long it may take to download them (140 MB).
const PATIENCE: Duration = Duration::from_secs(300);

/// A folder as `/usr` with the compiler, the sources of its standard library and WASI's libc.
pub struct Tools(PathBuf);

/// Gets what the modules are built with, once.
///
/// # Errors
///
/// Says what this machine lacks; nothing else of the project needs it.
pub fn tools(place: &Place) -> Result<Tools> {
    if !light::linker(place)?.exists() {
        bail!("Rust's own linker, rust-lld, is missing: use a toolchain that rustup installed");
    }
    let packages = PACKAGES.map(|(package, version)| format!("{package}={version}"));
    let hash = stamp::hash(&[], &packages.each_ref().map(String::as_str))?;
    let folder = place.cache.join(format!("{UNPACKED}{}", &hash[..16]));
    if !folder.exists() {
        // It has its name when it is whole, whoever else does the same at this time.
        let begun = place.cache.join(format!("unpacking-{}", process::id()));
        fs::create_dir_all(&begun)?;
        let unpacked = unpack(place, &begun, &packages).and_then(|()| {
            fs::rename(&begun, &folder).or_else(|error| if folder.exists() { Ok(()) } else { Err(error.into()) })
        });
        if begun.exists() {
            fs::remove_dir_all(&begun)?;
        }
        unpacked.wrap_err("no compiler for WASI")?;
    }
    Ok(Tools(folder.join("usr")))
}

fn unpack(place: &Place, folder: &Path, packages: &[String]) -> Result<()> {
    let download = || {
        let mut apt = place.command("apt-get");
        apt.current_dir(folder).args(["download", "-qq"]).args(packages);
        println!("   {}", show(&apt));
        check_within(&mut apt, PATIENCE)
    };
    if let Err(error) = download() {
        // Its lists may be old, or there are none yet.
        if output(place.command("id").arg("-u")).as_deref() != Some("0") {
            return Err(error);
        }
        check_within(place.command("apt-get").args(["update", "-q"]), PATIENCE)?;
        download()?;
    }
    for package in stamp::files(folder, &["deb"])? {
        check(place.command("dpkg").arg("-x").arg(&package).arg(folder))?;
        fs::remove_file(package)?;
    }
    Ok(())
}

/// Builds the modules from their sources, and puts them beside these.
pub fn build(place: &Place, tools: &Tools) -> Result<()> {
    for name in ALGORITHMS {
        let bytes = compile(place, tools, name)?;
        fs::write(module(place, name), &bytes)?;
        tell(name, &bytes);
    }
    Ok(())
}

/// Builds the modules from their sources, and compares them with those that lie there.
pub fn compare(place: &Place, tools: &Tools) -> Result<()> {
    for name in ALGORITHMS {
        let (built, file) = (compile(place, tools, name)?, module(place, name));
        let lies_there = fs::read(&file).wrap_err_with(|| format!("cannot read {}", file.display()))?;
        if built != lies_there {
            bail!("{} is not what its source compiles to: `cargo xtask algorithms` builds it anew", file.display());
        }
        tell(name, &built);
    }
    Ok(())
}

/// Style, lints and tests of the sources, which are no part of the workspace, with the project's own compiler.
pub fn test(place: &Place) -> Result<()> {
    for name in ALGORITHMS {
        let manifest = manifest(place, name);
        for (command, options) in [
            ("fmt", &["--check"][..]),
            ("clippy", &["--quiet", "--locked", "--all-targets", "--", "-D", "warnings"]),
            ("test", &["--quiet", "--locked"]),
        ] {
            let mut cargo = place.cargo()?;
            cargo.args([command, "--manifest-path"]).arg(&manifest).args(options);
            println!("   {}", show(&cargo));
            check(&mut cargo)?;
        }
    }
    Ok(())
}

fn manifest(place: &Place, name: &str) -> PathBuf {
    place.root.join("algorithms").join(name).join("Cargo.toml")
}

fn module(place: &Place, name: &str) -> PathBuf {
    place.root.join("algorithms").join(format!("{name}.wasm"))
}

fn tell(name: &str, bytes: &[u8]) {
    let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    println!("   {name}.wasm: {} KB, SHA-256 {hash}", bytes.len().div_ceil(1000));
}

fn compile(place: &Place, Tools(usr): &Tools, name: &str) -> Result<Vec<u8>> {
    let folder = place.target.join("algorithms");
    let toolchain = Toolchain::Unpacked { usr: usr.clone(), linker: light::linker(place)? };
    let mut cargo = place.cargo()?;
    let manifest = manifest(place, name);
    let options = ["--locked", "--manifest-path"].map(OsStr::new);
    toolchain.prepare(&mut cargo, &[&options[..], &[manifest.as_os_str()]].concat(), &place.root)?;
    cargo.env("CARGO_TARGET_DIR", &folder);
    println!("   {}", show(&cargo));
    check(&mut cargo)?;
    let built = folder.join(TARGET).join("release").join(format!("{name}.wasm"));
    fs::read(&built).wrap_err_with(|| format!("cannot read {}", built.display()))
}

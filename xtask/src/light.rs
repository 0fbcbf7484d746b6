//! The light client's WebAssembly module, and what only that needs: the target's standard library and a compiler of C for it.

use crate::{
    place::{Place, check, check_within, output, show},
    setup,
};
use eyre::{ContextCompat as _, Result, WrapErr as _, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

const TARGET: &str = "wasm32-unknown-unknown";

/// What `crates/light/src/abi.rs` shows to the module's host, and nothing else.
const EXPORTS: [&str; 3] = ["request", "verify", "answer"];

/// How long fetching a target's standard library (some 20 MB) may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// Installs what is missing of what the module is built with.
///
/// # Errors
///
/// Says what this machine lacks and what to do; nothing else of the project needs it.
pub fn tools(place: &Place) -> Result<()> {
    target(place, TARGET)?;
    if !linker(place)?.exists() {
        bail!("Rust's own linker, rust-lld, is missing: use a toolchain that rustup installed");
    }
    setup::install(place, &[("clang", &["--version"], "clang"), ("llvm-ar", &["--version"], "llvm")])?;
    Ok(())
}

/// Gets Rust's standard library for a target, if it is not there.
///
/// # Errors
///
/// If it cannot be had.
pub fn target(place: &Place, target: &str) -> Result<()> {
    if library(place, Some(target))?.exists() {
        return Ok(());
    }
    let mut rustup = place.command("rustup");
    rustup.args(["target", "add", target]);
    println!("   {}", show(&rustup));
    check_within(&mut rustup, PATIENCE)
        .wrap_err_with(|| format!("no standard library for {target}; run this again where rustup can download it"))
}

/// Builds the module, with the script that loads it, and returns the folder of both.
pub fn build(place: &Place) -> Result<PathBuf> {
    let folder = place.light();
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    // A library to be linked by hand: a module that Cargo links shows its host every symbol of every dependency, and keeps a
    // thousand functions of wasm-bindgen for it, which is there only for a source of randomness that is never asked.
    let mut cargo = place.cargo()?;
    cargo.args(["rustc", "--quiet", "--locked", "--package", "stoa-light", "--lib", "--crate-type", "staticlib"]);
    cargo.args(["--profile", "light", "--target", TARGET]);
    println!("   {}", show(&cargo));
    check(&mut cargo)?;

    fs::create_dir_all(&folder)?;
    let module = folder.join("light.wasm");
    let mut link = place.command(&linker(place)?.to_string_lossy());
    link.args(["-flavor", "wasm", "--no-entry", "--gc-sections", "--strip-all"]);
    link.args(EXPORTS.map(|name| format!("--export={name}")));
    // A stack that overflows ends the check instead of running into what lies beside it; 256 MiB are eight times what the
    // longest request has.
    link.args(["--stack-first", "-z", "stack-size=1048576", "--max-memory=268435456", "-o"]).arg(&module);
    check(link.arg(place.target.join(TARGET).join("light/libstoa_light.a")))?;

    let linked = fs::read(&module).wrap_err_with(|| format!("cannot read {}", module.display()))?;
    let bare = without_custom_sections(&linked).wrap_err("what was linked is no WebAssembly module")?;
    fs::write(&module, &bare)?;
    for file in ["light.js", "package.json", "example.html"] {
        fs::copy(place.root.join("crates/light").join(file), folder.join(file))?;
    }
    println!("   {}: {} KB", module.display(), bare.len().div_ceil(1000));
    Ok(folder)
}

/// Where the standard library of a target is, if it is there; of this machine if none is named.
fn library(place: &Place, target: Option<&str>) -> Result<PathBuf> {
    let mut rustc = place.command("rustc");
    rustc.args(["--print", "target-libdir"]);
    if let Some(target) = target {
        rustc.args(["--target", target]);
    }
    output(&mut rustc).map(PathBuf::from).wrap_err_with(|| format!("{} failed", show(&rustc)))
}

/// Rust's own linker.
pub fn linker(place: &Place) -> Result<PathBuf> {
    let library = library(place, None)?;
    Ok(library.parent().unwrap_or(Path::new("")).join("bin/rust-lld"))
}

/// A module without its custom sections, which say something to tools only: wasm-bindgen's are as large as the code.
/// `None` if it is no module. Format: <https://webassembly.github.io/spec/core/binary/modules.html>.
fn without_custom_sections(module: &[u8]) -> Option<Vec<u8>> {
    let (magic, mut rest) = module.split_at_checked(8)?;
    if magic != b"\0asm\x01\0\0\0" {
        return None;
    }
    let mut bare = magic.to_vec();
    while let Some(&kind) = rest.first() {
        let (mut length, mut at) = (0_usize, 1);
        loop {
            let byte = *rest.get(at)?;
            length |= usize::from(byte & 0x7f).checked_shl(7 * (at as u32 - 1))?;
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (section, others) = rest.split_at_checked(at.checked_add(length)?)?;
        if kind != 0 {
            bare.extend_from_slice(section);
        }
        rest = others;
    }
    Some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_sections_are_left_out_and_no_others() {
        let long = [&[11, 0x80, 0x01][..], &[7; 128]].concat();
        let module = [&b"\0asm\x01\0\0\0\x00\x02\x01a"[..], &long, b"\x00\x01\x00", b"\x01\x01\x00"].concat();
        let bare = [&b"\0asm\x01\0\0\0"[..], &long, b"\x01\x01\x00"].concat();
        assert_eq!(without_custom_sections(&module), Some(bare.clone()));
        assert_eq!(without_custom_sections(&bare), Some(bare));
    }

    #[test]
    fn what_is_cut_off_is_no_module() {
        for module in [&b"\0asm"[..], b"\0elf\x01\0\0\0", b"\0asm\x01\0\0\0\x01", b"\0asm\x01\0\0\0\x01\x05\x00"] {
            assert_eq!(without_custom_sections(module), None);
        }
    }
}

//! What a module may be, checked before anything costly is done with it.

use crate::Error;
use wasmparser::{Encoding, Parser, Payload};

/// Bytes of a module at most. CPython with its library has some 30 MB.
pub(super) const MOST_MODULE: u64 = 64 << 20;
/// Bytes of one function at most. Compiling takes time and memory that grow faster than a function does.
const MOST_FUNCTION: usize = 512 << 10;
/// Locals of one function at most.
const MOST_LOCALS: u32 = 10_000;
/// Functions at most, imported or defined.
const MOST_FUNCTIONS: u32 = 200_000;
/// Entries of any other section at most.
const MOST_ENTRIES: u32 = 200_000;

fn refused<T>(why: impl Into<String>) -> Result<T, Error> {
    Err(Error::Code(why.into()))
}

fn at_most(what: &str, most: u32, are: u32) -> Result<(), Error> {
    if are > most { refused(format!("it may have {most} {what}, and has {are}")) } else { Ok(()) }
}

/// Checks that bytes are a module of bearable size. Whether it is valid, the compiler checks.
///
/// # Errors
///
/// [`Error::Code`] if not.
pub(super) fn check(code: &[u8]) -> Result<(), Error> {
    if !code.starts_with(b"\0asm") {
        return refused("it is no WebAssembly: a module in the binary format begins with \"\\0asm\"");
    }
    for payload in Parser::new(0).parse_all(code) {
        match payload.map_err(|error| Error::Code(format!("it is damaged: {error}")))? {
            Payload::Version { encoding: Encoding::Component, .. } => {
                return refused(
                    "it is a component; modules that use WASI preview 1 are taken: build for wasm32-wasip1 \
                     (Rust, C) or leave out the step that makes a component of the module",
                );
            }
            Payload::TypeSection(section) => at_most("types", MOST_ENTRIES, section.count())?,
            Payload::ImportSection(section) => at_most("imports", MOST_FUNCTIONS, section.count())?,
            Payload::FunctionSection(section) => at_most("functions", MOST_FUNCTIONS, section.count())?,
            Payload::TableSection(section) => at_most("tables", 64, section.count())?,
            Payload::MemorySection(section) => at_most("memories", 8, section.count())?,
            Payload::TagSection(section) => at_most("tags", 1_000, section.count())?,
            Payload::GlobalSection(section) => at_most("globals", MOST_ENTRIES, section.count())?,
            Payload::ExportSection(section) => at_most("exports", MOST_ENTRIES, section.count())?,
            Payload::ElementSection(section) => at_most("element segments", MOST_ENTRIES, section.count())?,
            Payload::DataSection(section) => at_most("data segments", MOST_ENTRIES, section.count())?,
            Payload::CodeSectionEntry(body) => {
                let size = body.range().len();
                if size > MOST_FUNCTION {
                    return refused(format!("a function may have {MOST_FUNCTION} bytes, one has {size}"));
                }
                let mut locals = 0_u32;
                let damaged = |error| Error::Code(format!("it is damaged: {error}"));
                for group in body.get_locals_reader().map_err(damaged)? {
                    locals = locals.saturating_add(group.map_err(damaged)?.0);
                }
                at_most("locals in a function", MOST_LOCALS, locals)?;
            }
            _ => {}
        }
    }
    Ok(())
}

//! What a module or component may be, checked before anything costly is done with it.
//!
//! A compiler may need far more than a module's size: where control can come from several places, every local has a value
//! for each of them, so that a hundred kilobytes of nested loops over many locals would take it gigabytes and hours. Calls by
//! way of tables are such places too, and so are calls where exceptions are caught, and copies of memory. So functions are
//! weighed: the locals, at each place where control meets. The time that a function takes grows with the
//! square of its weight (measured: nested loops that weigh 120,000 took 14 s in a debug build, twice the weight 57 s and
//! 156 MB). What compilers make of people's programs weighs little: of MicroPython's functions, none 40,000.

mod component;
mod function;

use crate::Error;
pub(super) use component::MOST_INSTANCES;
use component::Parts;
use function::MOST_WEIGHT;
use wasmparser::{
    AbstractHeapType, CompositeInnerType, Encoding, HeapType, ImportSectionReader, Parser, Payload, TypeRef, ValType,
};

/// Bytes of a module or component at most. CPython with its library has some 30 MB.
pub(super) const MOST_MODULE: u64 = 64 << 20;
/// Results of one function at most.
const MOST_RESULTS: usize = 64;
/// The squares of what functions weigh, of all together: three of the heaviest.
const MOST_TIME: u64 = 3 * MOST_WEIGHT * MOST_WEIGHT;
/// Entries of a section at most.
const MOST_ENTRIES: u32 = 200_000;

fn refused<T>(why: impl Into<String>) -> Result<T, Error> {
    Err(Error::Code(why.into()))
}

fn damaged(error: wasmparser::BinaryReaderError) -> Error {
    Error::Code(format!("it is damaged: {error}"))
}

fn at_most(what: &str, most: u64, are: u64) -> Result<(), Error> {
    if are > most { refused(format!("it may have {most} {what}, and has {are}")) } else { Ok(()) }
}

/// How many parameters and results a type of functions has, and how many of both are collected.
#[derive(Clone, Copy, Default)]
struct Arity {
    params: u64,
    results: u64,
    collected: u64,
}

/// What is known of a module so far.
#[derive(Default)]
struct Module {
    types: Vec<Arity>,
    /// The types of functions, imported ones first.
    functions: Vec<u32>,
    /// Those of which the code was not read yet begin here.
    next: usize,
    /// What an instance costs: functions, globals and so on, its own and imported ones, and each 64 bytes of data.
    entries: u64,
}

impl Module {
    /// A part of the module. Returns how heavy a function in it is, if it is one.
    fn add(&mut self, payload: Payload<'_>) -> Result<u64, Error> {
        if let Payload::ElementSection(_) | Payload::DataSection(_) = &payload {
            let bytes = payload.as_section().map_or(0, |(_, range)| range.len());
            self.entries += bytes as u64 / 64;
        }
        let (what, most, are) = match payload {
            Payload::TypeSection(section) => {
                at_most("types", MOST_ENTRIES.into(), section.count().into())?;
                for group in section {
                    for kind in group.map_err(damaged)?.types() {
                        self.types.push(arity(&kind.composite_type.inner)?);
                    }
                }
                return Ok(0);
            }
            Payload::CodeSectionEntry(body) => {
                let kind = self.functions.get(self.next).and_then(|kind| self.types.get(*kind as usize));
                self.next += 1;
                return function::weigh(&body, kind.copied().unwrap_or_default(), &self.types, &self.functions);
            }
            Payload::ExportSection(section) => {
                at_most("exports", MOST_ENTRIES.into(), section.count().into())?;
                return Ok(0);
            }
            Payload::FunctionSection(section) => {
                let are = section.count();
                at_most("functions", MOST_ENTRIES.into(), are.into())?;
                self.next = self.functions.len();
                for kind in section {
                    self.functions.push(kind.map_err(damaged)?);
                }
                ("functions", MOST_ENTRIES, are)
            }
            Payload::ImportSection(section) => ("imports", MOST_ENTRIES, self.import(section)?),
            Payload::TableSection(section) => {
                let are = section.count();
                at_most("tables", 64, are.into())?;
                for table in section {
                    kept(ValType::Ref(table.map_err(damaged)?.ty.element_type))?;
                }
                ("tables", 64, are)
            }
            Payload::MemorySection(section) => ("memories", 8, section.count()),
            Payload::TagSection(section) => ("tags", 1_000, section.count()),
            Payload::GlobalSection(section) => {
                let are = section.count();
                at_most("globals", MOST_ENTRIES.into(), are.into())?;
                for global in section {
                    kept(global.map_err(damaged)?.ty.content_type)?;
                }
                ("globals", MOST_ENTRIES, are)
            }
            Payload::ElementSection(section) => ("element segments", MOST_ENTRIES, section.count()),
            Payload::DataSection(section) => ("data segments", MOST_ENTRIES, section.count()),
            _ => return Ok(0),
        };
        at_most(what, most.into(), are.into())?;
        self.entries += u64::from(are);
        Ok(0)
    }

    /// Looks at imports. Returns how many there are.
    fn import(&mut self, section: ImportSectionReader<'_>) -> Result<u32, Error> {
        let mut are = 0;
        for import in section.into_imports() {
            are += 1;
            at_most("imports", MOST_ENTRIES.into(), are.into())?;
            match import.map_err(damaged)?.ty {
                TypeRef::Func(kind) | TypeRef::FuncExact(kind) => self.functions.push(kind),
                TypeRef::Table(table) => kept(ValType::Ref(table.element_type))?,
                TypeRef::Global(global) => kept(global.content_type)?,
                TypeRef::Memory(_) | TypeRef::Tag(_) => {}
            }
        }
        Ok(are)
    }
}

/// What is being read: a module, a component, or one within that.
enum Within {
    Module(Module),
    Component,
}

/// Checks that bytes are a module or component of bearable size. Whether it is valid, the compiler checks.
///
/// # Errors
///
/// [`Error::Code`] if not.
pub(super) fn check(code: &[u8]) -> Result<(), Error> {
    if !code.starts_with(b"\0asm") {
        return refused("it is no WebAssembly: a module or component in the binary format begins with \"\\0asm\"");
    }
    let (mut within, mut parts, mut sum) = (Vec::new(), Parts::default(), 0_u64);
    for payload in Parser::new(0).parse_all(code) {
        match (payload.map_err(damaged)?, within.last_mut()) {
            (Payload::Version { encoding: Encoding::Module, .. }, _) => within.push(Within::Module(Module::default())),
            (Payload::Version { encoding: Encoding::Component, .. }, _) => within.push(Within::Component),
            (Payload::End(_), _) => {
                if let (Some(Within::Module(module)), Some(_)) = (within.pop(), within.last()) {
                    parts.module(module.entries)?;
                }
            }
            (payload, Some(Within::Module(module))) => {
                let weight = module.add(payload)?;
                sum += weight * weight;
                at_most("squared locals at places where control meets", MOST_TIME, sum)?;
            }
            (payload, _) => parts.add(payload, within.len() > 1)?,
        }
    }
    Ok(())
}

fn arity(kind: &CompositeInnerType) -> Result<Arity, Error> {
    let CompositeInnerType::Func(function) = kind else {
        return refused("it has garbage-collected types, structs or arrays, which programs here have not");
    };
    let results = function.results().len();
    if results > MOST_RESULTS {
        return refused(format!("a function may have {MOST_RESULTS} results, one has {results}"));
    }
    let all = function.params().iter().chain(function.results());
    let collected = all.filter(|kind| collected(**kind)).count() as u64;
    Ok(Arity { params: function.params().len() as u64, results: results as u64, collected })
}

/// Whether values of this type are references to what is collected once nobody has one: exceptions, and what others give.
fn collected(kind: ValType) -> bool {
    let ValType::Ref(kind) = kind else { return false };
    let HeapType::Abstract { ty, .. } = kind.heap_type() else { return false };
    !matches!(ty, AbstractHeapType::Func | AbstractHeapType::NoFunc)
}

/// Checks that a table or global keeps no exceptions: to look through all of them, again and again, costs no steps.
fn kept(kind: ValType) -> Result<(), Error> {
    if !collected(kind) {
        return Ok(());
    }
    refused(
        "it keeps exceptions or others' references in a table or a global: only those to functions may be kept there",
    )
}

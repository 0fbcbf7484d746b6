//! What a module or component may be, checked before anything costly is done with it.
//!
//! A compiler may need far more than a module's size: where control can come from several places, every local has a value
//! for each of them, so that a hundred kilobytes of nested loops over many locals would take it gigabytes and hours. So
//! functions are weighed: the locals, at each place where control meets. The time that a function takes grows with the
//! square of its weight (measured: nested loops that weigh 120,000 took 14 s in a debug build, twice the weight 57 s and
//! 156 MB). What compilers make of people's programs weighs little: of MicroPython's functions, none 30,000.

mod component;

use crate::Error;
pub(super) use component::MOST_INSTANCES;
use component::Parts;
use wasmparser::{BlockType, CompositeInnerType, Encoding, FunctionBody, Operator, Parser, Payload, TryTable};

/// Bytes of a module or component at most. CPython with its library has some 30 MB.
pub(super) const MOST_MODULE: u64 = 64 << 20;
/// Bytes of one function at most.
const MOST_FUNCTION: usize = 512 << 10;
/// Parameters and locals of one function at most.
const MOST_LOCALS: u64 = 10_000;
/// Results of one function at most.
const MOST_RESULTS: usize = 64;
/// Locals at places where control meets, of one function.
const MOST_WEIGHT: u64 = 400_000;
/// The squares of that, of all functions together: three of the heaviest.
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

/// How many parameters, and how many parameters and results, a type of functions has.
#[derive(Clone, Copy, Default)]
struct Arity {
    params: u64,
    all: u64,
}

/// What is known of a module so far.
#[derive(Default)]
struct Module {
    types: Vec<Arity>,
    functions: Vec<u32>,
    bodies: usize,
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
                let kind = self.functions.get(self.bodies).and_then(|kind| self.types.get(*kind as usize));
                self.bodies += 1;
                return weigh(&body, kind.copied().unwrap_or_default().params, &self.types);
            }
            Payload::ExportSection(section) => {
                at_most("exports", MOST_ENTRIES.into(), section.count().into())?;
                return Ok(0);
            }
            Payload::FunctionSection(section) => {
                let are = section.count();
                at_most("functions", MOST_ENTRIES.into(), are.into())?;
                self.functions = section.into_iter().collect::<Result<Vec<_>, _>>().map_err(damaged)?;
                ("functions", MOST_ENTRIES, are)
            }
            Payload::ImportSection(section) => ("imports", MOST_ENTRIES, section.count()),
            Payload::TableSection(section) => ("tables", 64, section.count()),
            Payload::MemorySection(section) => ("memories", 8, section.count()),
            Payload::TagSection(section) => ("tags", 1_000, section.count()),
            Payload::GlobalSection(section) => ("globals", MOST_ENTRIES, section.count()),
            Payload::ElementSection(section) => ("element segments", MOST_ENTRIES, section.count()),
            Payload::DataSection(section) => ("data segments", MOST_ENTRIES, section.count()),
            _ => return Ok(0),
        };
        at_most(what, most.into(), are.into())?;
        self.entries += u64::from(are);
        Ok(0)
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
    let CompositeInnerType::Func(function) = kind else { return Ok(Arity::default()) };
    let (params, results) = (function.params().len(), function.results().len());
    if results > MOST_RESULTS {
        return refused(format!("a function may have {MOST_RESULTS} results, one has {results}"));
    }
    Ok(Arity { params: params as u64, all: (params + results) as u64 })
}

/// What compiling a function costs: its locals, as often as control meets in it.
fn weigh(body: &FunctionBody<'_>, params: u64, types: &[Arity]) -> Result<u64, Error> {
    let size = body.range().len();
    if size > MOST_FUNCTION {
        return refused(format!("a function may have {MOST_FUNCTION} bytes, one has {size}"));
    }
    let mut locals = params;
    for group in body.get_locals_reader().map_err(damaged)? {
        locals = locals.saturating_add(group.map_err(damaged)?.0.into());
    }
    at_most("locals in a function", MOST_LOCALS, locals)?;

    let values = |block: &BlockType| match block {
        BlockType::Empty => 0,
        BlockType::Type(_) => 1,
        BlockType::FuncType(kind) => types.get(*kind as usize).map_or(0, |arity| arity.all),
    };
    // What a block takes and gives goes along each way to it.
    let (mut weight, mut widest) = (0_u64, 1);
    for operator in body.get_operators_reader().map_err(damaged)? {
        weight += match operator.map_err(damaged)? {
            Operator::Block { blockty: block }
            | Operator::Loop { blockty: block }
            | Operator::If { blockty: block }
            | Operator::TryTable { try_table: TryTable { ty: block, .. } } => {
                widest = widest.max(values(&block));
                locals + widest
            }
            Operator::BrTable { targets } => locals + widest * (1 + u64::from(targets.len())),
            Operator::Else | Operator::Br { .. } | Operator::BrIf { .. } => locals + widest,
            _ => 0,
        };
    }
    at_most("locals at places where control meets in a function", MOST_WEIGHT, weight)?;
    Ok(weight)
}

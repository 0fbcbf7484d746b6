//! An interpreter and a script as one module, so that one hash names both: whoever consents to it consents to that script.
//!
//! The script lies in the module as a data segment. Interpreters are modules that were built by others and stay as they are but
//! for what hands them their command line:
//!
//! - a *command* asks the system for its arguments (`args_sizes_get`, `args_get`). Its calls lead to two functions within the
//!   module instead, which answer with those that are embedded, whatever the system would have said;
//! - a *reactor* exports functions that have to be called. It is given a `_start` that calls them: first `_initialize`, then the
//!   one that takes the number of arguments and a pointer to them, as `main` does.

use wasm_encoder::{
    BlockType, CodeSection, DataCountSection, DataSection, ExportKind, ExportSection, Function, FunctionSection,
    Instruction, MemArg, Module, SectionId, TypeSection, ValType,
    reencode::{self, Reencode, utils},
};
use wasmparser::{
    CodeSectionReader, DataSectionReader, Encoding, ExportSectionReader, ExternalKind, FunctionSectionReader, Imports,
    Parser, Payload, TypeRef, TypeSectionReader,
};

const WASI: &str = "wasi_snapshot_preview1";

/// Bytes of an interpreter at most, and of all arguments.
const MOST: usize = 64 << 20;

/// How an interpreter gets its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It exports `_start` and asks the system.
    Command,
    /// This export takes their number and a pointer to them, and returns 0 if all went well.
    Reactor(&'static str),
}

/// Why there is no such module.
#[derive(Debug, thiserror::Error)]
#[error("the script cannot be put into the interpreter: {0}")]
pub struct EmbedError(String);

impl From<wasmparser::BinaryReaderError> for EmbedError {
    fn from(error: wasmparser::BinaryReaderError) -> Self {
        Self(format!("the interpreter is damaged: {error}"))
    }
}

fn refused<T>(why: impl Into<String>) -> Result<T, EmbedError> {
    Err(EmbedError(why.into()))
}

/// What has to be known of an interpreter before it is written anew.
#[derive(Default)]
struct Known {
    types: u32,
    /// Functions of its imports, and all functions.
    imported: u32,
    functions: u32,
    data: u32,
    counts_data: bool,
    args_sizes_get: Option<u32>,
    args_get: Option<u32>,
    exit: Option<u32>,
    exports: Vec<(String, u32)>,
    has_memory: bool,
}

impl Known {
    fn read(interpreter: &[u8]) -> Result<Self, EmbedError> {
        let mut known = Self::default();
        for payload in Parser::new(0).parse_all(interpreter) {
            match payload? {
                Payload::Version { encoding: Encoding::Component, .. } => {
                    return refused("the interpreter is a component, and has to be a module of WASI preview 1");
                }
                Payload::TypeSection(section) => {
                    for group in section {
                        known.types += u32::try_from(group?.types().len()).unwrap_or(u32::MAX);
                    }
                }
                Payload::ImportSection(section) => {
                    for imports in section {
                        let Imports::Single(_, import) = imports? else {
                            return refused("the interpreter's imports are of a kind that is not known");
                        };
                        let TypeRef::Func(_) = import.ty else { continue };
                        let index = Some(known.imported);
                        known.imported += 1;
                        match (import.module, import.name) {
                            (WASI, "args_sizes_get") => known.args_sizes_get = index,
                            (WASI, "args_get") => known.args_get = index,
                            (WASI, "proc_exit") => known.exit = index,
                            _ => {}
                        }
                    }
                }
                Payload::FunctionSection(section) => known.functions = known.imported.saturating_add(section.count()),
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        match export.kind {
                            ExternalKind::Func => known.exports.push((export.name.to_owned(), export.index)),
                            ExternalKind::Memory => known.has_memory |= export.name == "memory" && export.index == 0,
                            _ => {}
                        }
                    }
                }
                Payload::DataCountSection { .. } => known.counts_data = true,
                Payload::DataSection(section) => known.data = section.count(),
                _ => {}
            }
        }
        match known {
            Self { has_memory: false, .. } => refused("the interpreter exports no memory"),
            Self { data: 0, .. } => refused("the interpreter has no data"),
            known => Ok(known),
        }
    }

    fn export(&self, name: &str) -> Result<u32, EmbedError> {
        let found = self.exports.iter().find(|(known, _)| known == name);
        found
            .map(|(_, index)| *index)
            .ok_or_else(|| EmbedError(format!("the interpreter exports no function {name:?}")))
    }
}

/// The arguments as they lie in memory, one after the other, each with a zero at its end.
struct Arguments {
    bytes: Vec<u8>,
    /// Where each begins.
    starts: Vec<u32>,
}

impl Arguments {
    fn new(words: &[&str]) -> Result<Self, EmbedError> {
        let (mut bytes, mut starts) = (Vec::new(), Vec::new());
        for word in words {
            if word.contains('\0') {
                return refused("the script has a zero byte");
            }
            starts.push(bytes.len() as u32);
            bytes.extend_from_slice(word.as_bytes());
            bytes.push(0);
            if bytes.len() > MOST {
                return refused(format!("the script has more than {MOST} bytes"));
            }
        }
        Ok(Self { bytes, starts })
    }

    fn size(&self) -> i32 {
        self.bytes.len() as i32
    }

    fn count(&self) -> i32 {
        self.starts.len() as i32
    }
}

const fn word(offset: u64) -> MemArg {
    MemArg { offset, align: 2, memory_index: 0 }
}

/// Copies the arguments to where local `text` points to, and pointers to them to where local `list` does.
fn lay(function: &mut Function, arguments: &Arguments, segment: u32, list: u32, text: u32) {
    function.instructions().local_get(text).i32_const(0).i32_const(arguments.size()).memory_init(0, segment);
    for (number, start) in (0_u64..).zip(&arguments.starts) {
        function.instructions().local_get(list).local_get(text);
        function.instructions().i32_const(start.cast_signed()).i32_add().i32_store(word(4 * number));
    }
}

/// A function to add: what it takes and gives, and its code.
type Added = (Vec<ValType>, Vec<ValType>, Function);

/// Writes an interpreter anew with what is added to it.
struct Writer<'a> {
    known: &'a Known,
    arguments: &'a Arguments,
    added: Vec<Added>,
    /// Calls that lead elsewhere.
    instead: Vec<(u32, u32)>,
    /// What the module exports besides, by name.
    exported: Option<(&'static str, u32)>,
}

type Done = Result<(), reencode::Error<EmbedError>>;

impl Reencode for Writer<'_> {
    type Error = EmbedError;

    fn function_index(&mut self, function: u32) -> Result<u32, reencode::Error<EmbedError>> {
        Ok(self.instead.iter().find(|(from, _)| *from == function).map_or(function, |(_, to)| *to))
    }

    fn parse_type_section(&mut self, types: &mut TypeSection, section: TypeSectionReader<'_>) -> Done {
        utils::parse_type_section(self, types, section)?;
        for (takes, gives, _) in &self.added {
            types.ty().function(takes.iter().copied(), gives.iter().copied());
        }
        Ok(())
    }

    fn parse_function_section(&mut self, functions: &mut FunctionSection, section: FunctionSectionReader<'_>) -> Done {
        utils::parse_function_section(self, functions, section)?;
        for (number, _) in (0..).zip(&self.added) {
            functions.function(self.known.types + number);
        }
        Ok(())
    }

    fn parse_export_section(&mut self, exports: &mut ExportSection, section: ExportSectionReader<'_>) -> Done {
        utils::parse_export_section(self, exports, section)?;
        if let Some((name, index)) = self.exported {
            exports.export(name, ExportKind::Func, index);
        }
        Ok(())
    }

    fn data_count(&mut self, count: u32) -> Result<u32, reencode::Error<EmbedError>> {
        Ok(count + 1)
    }

    fn intersperse_section_hook(
        &mut self,
        module: &mut Module,
        _: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Done {
        if before == Some(SectionId::Code) && !self.known.counts_data {
            module.section(&DataCountSection { count: self.known.data + 1 });
        }
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Done {
        utils::parse_code_section(self, code, section)?;
        for (.., function) in &self.added {
            code.function(function);
        }
        Ok(())
    }

    fn parse_data_section(&mut self, data: &mut DataSection, section: DataSectionReader<'_>) -> Done {
        utils::parse_data_section(self, data, section)?;
        data.passive(self.arguments.bytes.iter().copied());
        Ok(())
    }

    /// Names of functions and the like are of no use to a node.
    fn parse_custom_section(&mut self, _: &mut Module, _: wasmparser::CustomSectionReader<'_>) -> Done {
        Ok(())
    }
}

/// An interpreter that sees these arguments, and no others, as one module. The first is its own name.
///
/// # Errors
///
/// If the interpreter is no module that could take them.
pub fn embed(interpreter: &[u8], kind: Kind, arguments: &[&str]) -> Result<Vec<u8>, EmbedError> {
    if interpreter.len() > MOST {
        return refused(format!("the interpreter has more than {MOST} bytes"));
    }
    let known = &Known::read(interpreter)?;
    let arguments = &Arguments::new(arguments)?;
    let mut writer = Writer { known, arguments, added: Vec::new(), instead: Vec::new(), exported: None };
    match kind {
        Kind::Command => {
            known.export("_start")?;
            let (Some(sizes), Some(get)) = (known.args_sizes_get, known.args_get) else {
                return refused("the interpreter does not ask for arguments");
            };
            writer.instead = vec![(sizes, known.functions), (get, known.functions + 1)];
            writer.added = vec![args_sizes_get(arguments), args_get(arguments, known.data)];
        }
        Kind::Reactor(main) => {
            writer.exported = Some(("_start", known.functions));
            writer.added = vec![start(known, arguments, main)?];
        }
    }
    let mut module = Module::new();
    match writer.parse_core_module(&mut module, Parser::new(0), interpreter) {
        Ok(()) => Ok(module.finish()),
        Err(reencode::Error::UserError(error)) => Err(error),
        Err(error) => refused(error.to_string()),
    }
}

/// `args_sizes_get`: how many there are, and their bytes in all.
fn args_sizes_get(arguments: &Arguments) -> Added {
    let mut function = Function::new([]);
    function.instructions().local_get(0).i32_const(arguments.count()).i32_store(word(0));
    function.instructions().local_get(1).i32_const(arguments.size()).i32_store(word(0));
    function.instructions().i32_const(0).end();
    (vec![ValType::I32; 2], vec![ValType::I32], function)
}

/// `args_get`: pointers to the arguments, and these.
fn args_get(arguments: &Arguments, segment: u32) -> Added {
    let mut function = Function::new([]);
    lay(&mut function, arguments, segment, 0, 1);
    function.instructions().i32_const(0).end();
    (vec![ValType::I32; 2], vec![ValType::I32], function)
}

/// `_start` of a reactor. What its `main` returns, if it is not 0, is the code to exit with: 1.
fn start(known: &Known, arguments: &Arguments, main: &str) -> Result<Added, EmbedError> {
    let exit = known.exit.ok_or_else(|| EmbedError("the interpreter cannot end with a code".into()))?;
    let (initialize, malloc, main) = (known.export("_initialize")?, known.export("malloc")?, known.export(main)?);
    let (list, text) = (0, 1);
    let mut function = Function::new([(2, ValType::I32)]);
    function.instructions().call(initialize);
    // One pointer more, which is none.
    for (local, size) in [(list, 4 * (arguments.count() + 1)), (text, arguments.size())] {
        function.instructions().i32_const(size).call(malloc).local_tee(local).i32_eqz();
        function.instructions().if_(BlockType::Empty).unreachable().end();
    }
    lay(&mut function, arguments, known.data, list, text);
    function.instructions().local_get(list).i32_const(0).i32_store(word(4 * arguments.starts.len() as u64));
    function.instructions().i32_const(arguments.count()).local_get(list).call(main);
    function.instructions().if_(BlockType::Empty).i32_const(1).call(exit).end();
    function.instruction(&Instruction::End);
    Ok((Vec::new(), Vec::new(), function))
}

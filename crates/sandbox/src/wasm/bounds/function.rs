//! What compiling a function takes.

use super::{Arity, at_most, collected, damaged, refused};
use crate::Error;
use wasmparser::{BlockType, Catch, FunctionBody, Operator, TryTable};

/// Bytes of one function at most.
const MOST_FUNCTION: usize = 512 << 10;
/// Parameters and locals of one function at most.
const MOST_LOCALS: u64 = 10_000;
/// Locals at places where control meets, of one function. The heaviest of QuickJS has 203,000.
pub(super) const MOST_WEIGHT: u64 = 400_000;
/// What a place weighs beside the locals there: 40,000 of them take 20 s, whatever locals there are.
const PLACE: u64 = 8;
/// Locals and values of blocks, times the places where control meets: for each of these the compiler has room for four numbers
/// of four bytes. The largest of QuickJS has 196,000.
const MOST_ROOM: u64 = 4_000_000;

/// A function, as far as it was read.
struct Function<'a> {
    types: &'a [Arity],
    /// The types of all functions, imported ones first.
    functions: &'a [u32],
    /// Which locals have what is collected.
    locals: Vec<bool>,
    /// Locals, and what blocks take and give.
    values: u64,
    /// Values a block takes and gives at most: they go along each way to it.
    widest: u64,
    /// Values that are collected: at each call the compiler lists those that are still used.
    collected: u64,
    /// Handlers of exceptions around where it is, and how many of them each block around it brought: each call there lists them.
    handlers: u64,
    blocks: Vec<u64>,
    places: u64,
    weight: u64,
}

/// What compiling a function costs: its locals, as often as control meets in it.
///
/// # Errors
///
/// [`Error::Code`] if that is too much.
pub(super) fn weigh(body: &FunctionBody<'_>, kind: Arity, types: &[Arity], functions: &[u32]) -> Result<u64, Error> {
    let size = body.range().len();
    if size > MOST_FUNCTION {
        return refused(format!("a function may have {MOST_FUNCTION} bytes, one has {size}"));
    }
    let mut count = kind.params;
    at_most("locals in a function", MOST_LOCALS, count)?;
    let mut locals: Vec<_> = (0..count).map(|_| kind.collected > 0).collect();
    for group in body.get_locals_reader().map_err(damaged)? {
        let (more, kind) = group.map_err(damaged)?;
        count += u64::from(more);
        at_most("locals in a function", MOST_LOCALS, count)?;
        locals.extend((0..more).map(|_| collected(kind)));
    }
    let mut function = Function {
        types,
        functions,
        values: count + kind.results,
        widest: kind.results.max(1),
        collected: locals.iter().filter(|collected| **collected).count() as u64,
        locals,
        handlers: 0,
        blocks: Vec::new(),
        places: 0,
        weight: 0,
    };
    for operator in body.get_operators_reader().map_err(damaged)? {
        function.add(&operator.map_err(damaged)?);
        at_most("locals at places where control meets in a function", MOST_WEIGHT, function.weight)?;
    }
    let room = function.values.saturating_mul(function.places);
    at_most("values in a function, times places where control meets", MOST_ROOM, room)?;
    Ok(function.weight)
}

impl Function<'_> {
    /// So many places where control meets.
    fn places(&mut self, count: u64) {
        self.places += count;
        self.weight += count * (self.locals.len() as u64 + self.widest + self.collected + PLACE);
    }

    fn block(&mut self, kind: BlockType) {
        let (all, collected) = match kind {
            BlockType::Empty => (0, 0),
            BlockType::Type(kind) => (1, collected(kind).into()),
            BlockType::FuncType(kind) => {
                let Arity { params, results, collected } = self.kind(kind);
                (params + results, collected)
            }
        };
        self.widest = self.widest.max(all);
        self.values += all;
        self.collected += collected;
        self.places(1);
    }

    fn kind(&self, kind: u32) -> Arity {
        self.types.get(kind as usize).copied().unwrap_or_default()
    }

    /// A call, which may end in one of the handlers.
    fn call(&mut self, kind: u32) {
        let Arity { results, collected, .. } = self.kind(kind);
        self.weight += results + self.collected + self.handlers;
        self.collected += collected;
        if self.handlers > 0 {
            self.places(1);
        }
    }

    /// The operators that make the compiler split code, and calls. What others do so is of features that programs have not.
    fn add(&mut self, operator: &Operator<'_>) {
        match operator {
            Operator::Block { blockty: kind } | Operator::Loop { blockty: kind } | Operator::If { blockty: kind } => {
                self.block(*kind);
                self.blocks.push(0);
            }
            Operator::TryTable { try_table: TryTable { ty, catches } } => {
                self.block(*ty);
                let count = catches.len() as u64;
                self.places(count);
                let kept = |catch: &&Catch| matches!(catch, Catch::OneRef { .. } | Catch::AllRef { .. });
                self.collected += catches.iter().filter(kept).count() as u64;
                self.handlers += count;
                self.blocks.push(count);
            }
            Operator::End => self.handlers -= self.blocks.pop().unwrap_or(0),
            Operator::BrTable { targets } => {
                let targets = u64::from(targets.len());
                self.places(1);
                self.places += targets;
                self.weight += self.widest * targets;
            }
            Operator::Else | Operator::Br { .. } | Operator::BrIf { .. } => self.places(1),
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                // One that is not there is refused when its module is looked at whole.
                let kind = self.functions.get(*function_index as usize).copied();
                self.call(kind.unwrap_or(u32::MAX));
            }
            // Entries of tables are made when they are first used.
            Operator::CallIndirect { type_index, .. } | Operator::ReturnCallIndirect { type_index, .. } => {
                self.places(2);
                self.call(*type_index);
            }
            Operator::TableGet { .. } => self.places(2),
            // Whether there are steps left is asked before them.
            Operator::MemoryCopy { .. }
            | Operator::MemoryFill { .. }
            | Operator::MemoryInit { .. }
            | Operator::MemoryGrow { .. } => self.places(1),
            Operator::TableCopy { .. }
            | Operator::TableFill { .. }
            | Operator::TableInit { .. }
            | Operator::TableGrow { .. } => self.places(4),
            Operator::Throw { .. } | Operator::ThrowRef => {
                self.weight += self.handlers;
                self.places(2);
            }
            Operator::RefFunc { .. } | Operator::DataDrop { .. } | Operator::ElemDrop { .. } => {
                self.weight += 1 + self.collected;
            }
            Operator::RefNull { .. } => self.collected += 1,
            Operator::TypedSelect { ty } => self.collected += u64::from(collected(*ty)),
            Operator::LocalGet { local_index } | Operator::LocalTee { local_index } => {
                let collected = self.locals.get(*local_index as usize).copied().unwrap_or(false);
                self.collected += u64::from(collected);
            }
            _ => {}
        }
    }
}

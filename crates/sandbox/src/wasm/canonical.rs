//! One form for results that are no numbers.
//!
//! Which sign and payload arithmetic gives to a NaN is up to the processor. Runs are the same bit for bit, so such a result gets one
//! form: positive, quiet, no payload. An engine can be told to see to that after each operation, which doubles the time of a loop that
//! adds up products. Here the program is written anew before it is compiled, and only those results get the form that somebody can tell
//! apart: a result that goes into further arithmetic, a comparison or a conversion to an integer, by way of the stack or of locals, gives
//! the same whatever form it has.
//!
//! ```text
//! f64.mul ──▶ f64.add ──▶ local 3 ──▶ f64.add ...                nobody sees a form
//!                            └──────▶ f64.store, call, return    what is written to local 3 gets it
//! ```
//!
//! It is exact: a NaN that was read from memory, is a constant or was given by a caller keeps its bits, as the specification wants.
//! Within a function each local counts as one place; what goes over the end of a block counts as seen.

use super::FEATURES;
use crate::Error;
use std::ops::Range;
use wasm_encoder::{CodeSection, Encode as _, Ieee32, Ieee64, Instruction, Module, RawSection};
use wasmparser::{
    BinaryReader, FuncValidator, FunctionBody, Operator, Parser, Payload, ValidPayload, Validator, WasmModuleResources,
};

/// The section of a component that holds a module.
const CORE_MODULE: u8 = 1;

/// Bytes before the first section.
const HEADER: usize = 8;

const NAN_32: u32 = 0x7fc0_0000;
const NAN_64: u64 = 0x7ff8_0000_0000_0000;

fn damaged(error: wasmparser::BinaryReaderError) -> Error {
    Error::Code(format!("{error:#}"))
}

/// A module or component in which results that can be told apart have one form. Names and other notes are left out.
///
/// # Errors
///
/// [`Error::Code`] if it is not valid.
pub(super) fn rewrite(code: &[u8]) -> Result<Vec<u8>, Error> {
    if !Parser::is_component(code) {
        return module(code);
    }
    // Modules are the only sections that have code; what is nested deeper was refused before.
    let (mut out, mut reader) = (code[..HEADER].to_vec(), BinaryReader::new(&code[HEADER..], HEADER));
    while !reader.eof() {
        let id = reader.read_u8().map_err(damaged)?;
        let bytes = reader.read_var_u32().and_then(|length| reader.read_bytes(length as usize)).map_err(damaged)?;
        let written = (id == CORE_MODULE).then(|| module(bytes)).transpose()?;
        out.push(id);
        written.as_deref().unwrap_or(bytes).encode(&mut out);
    }
    Ok(out)
}

fn module(code: &[u8]) -> Result<Vec<u8>, Error> {
    let (mut validator, mut allocations) = (Validator::new_with_features(FEATURES), Some(Default::default()));
    let (mut out, mut functions) = (Module::new(), CodeSection::new());
    for payload in Parser::new(0).parse_all(code) {
        let payload = payload.map_err(damaged)?;
        match validator.payload(&payload).map_err(damaged)? {
            ValidPayload::Func(function, body) => {
                let mut validator = function.into_validator(allocations.take().unwrap_or_default());
                functions.raw(&rewritten(code, &body, &mut validator)?);
                allocations = Some(validator.into_allocations());
            }
            _ if matches!(payload, Payload::CodeSectionStart { .. } | Payload::CustomSection(_)) => {}
            _ => {
                // The code comes before the data and after all else.
                if matches!(payload, Payload::DataSection(_) | Payload::End(_)) && !functions.is_empty() {
                    out.section(&std::mem::take(&mut functions));
                }
                if let Some((id, range)) = payload.as_section() {
                    out.section(&RawSection { id, data: &code[range] });
                }
            }
        }
    }
    Ok(out.finish())
}

/// What arithmetic makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Float {
    F32,
    F64,
    F32x4,
    F64x2,
}

impl Float {
    /// How NaNs are looked at among them that nobody tells apart.
    const fn alike(self) -> Look {
        match self {
            Self::F32 | Self::F32x4 => AS_32,
            Self::F64 | Self::F64x2 => AS_64,
        }
    }

    /// The type of a local that holds one.
    const fn local(self) -> u8 {
        match self {
            Self::F32 => 0x7d,
            Self::F64 => 0x7c,
            Self::F32x4 | Self::F64x2 => 0x7b,
        }
    }

    /// Gives what lies on the stack its form, by way of a local.
    fn canonical(self, local: u32, out: &mut Vec<u8>) {
        let (nan, same, choose) = match self {
            Self::F32 => (Instruction::F32Const(Ieee32::new(NAN_32)), Instruction::F32Eq, Instruction::Select),
            Self::F64 => (Instruction::F64Const(Ieee64::new(NAN_64)), Instruction::F64Eq, Instruction::Select),
            Self::F32x4 => {
                let lanes = u128::from(NAN_32) * 0x0000_0001_0000_0001_0000_0001_0000_0001;
                (Instruction::V128Const(lanes.cast_signed()), Instruction::F32x4Eq, Instruction::V128Bitselect)
            }
            Self::F64x2 => {
                let lanes = u128::from(NAN_64) << 64 | u128::from(NAN_64);
                (Instruction::V128Const(lanes.cast_signed()), Instruction::F64x2Eq, Instruction::V128Bitselect)
            }
        };
        let get = Instruction::LocalGet(local);
        for instruction in [Instruction::LocalTee(local), nan, get.clone(), get, same, choose] {
            instruction.encode(out);
        }
    }
}

/// How bits of floats are looked at: by somebody who may tell forms apart, or as numbers of 32 or 64 bits, of which all NaNs are
/// alike. What was made of two numbers of 64 bits is no four NaNs of 32.
type Look = u8;

const SEEN: Look = 1;
const AS_32: Look = 2;
const AS_64: Look = 4;
/// Not at all.
const NOT: Look = 0;

/// What an operator does with bits of floats.
enum Does {
    /// Arithmetic: it looks at its operands so, and what it makes of a NaN has any form.
    Makes(Look, Float),
    /// It looks at its operands so, and its result is none of their bits.
    Reads(Look),
    /// It looks so, and its result has the bits of its first so many operands, or their lanes.
    Passes(Look, usize),
    /// As that of the first, and the second is seen.
    Signs(Look),
    /// It puts its operand into a local, and may leave it on the stack.
    Sets(u32),
    /// It takes what a local has.
    Gets(u32),
    /// Somebody may see what its operands are.
    Sees,
}

impl Does {
    fn of(operator: &Operator<'_>) -> Self {
        use Operator as O;
        match operator {
            O::F32Add | O::F32Sub | O::F32Mul | O::F32Div | O::F32Sqrt | O::F32Min | O::F32Max => {
                Self::Makes(AS_32, Float::F32)
            }
            O::F32Ceil | O::F32Floor | O::F32Trunc | O::F32Nearest => Self::Makes(AS_32, Float::F32),
            O::F32DemoteF64 => Self::Makes(AS_64, Float::F32),
            O::F64PromoteF32 => Self::Makes(AS_32, Float::F64),
            O::F64Add | O::F64Sub | O::F64Mul | O::F64Div | O::F64Sqrt | O::F64Min | O::F64Max => {
                Self::Makes(AS_64, Float::F64)
            }
            O::F64Ceil | O::F64Floor | O::F64Trunc | O::F64Nearest => Self::Makes(AS_64, Float::F64),
            O::F32x4Add | O::F32x4Sub | O::F32x4Mul | O::F32x4Div | O::F32x4Sqrt | O::F32x4Min | O::F32x4Max => {
                Self::Makes(AS_32, Float::F32x4)
            }
            O::F32x4Ceil | O::F32x4Floor | O::F32x4Trunc | O::F32x4Nearest => Self::Makes(AS_32, Float::F32x4),
            O::F32x4DemoteF64x2Zero => Self::Makes(AS_64, Float::F32x4),
            O::F64x2PromoteLowF32x4 => Self::Makes(AS_32, Float::F64x2),
            O::F32x4RelaxedMadd | O::F32x4RelaxedNmadd | O::F32x4RelaxedMin | O::F32x4RelaxedMax => {
                Self::Makes(AS_32, Float::F32x4)
            }
            O::F64x2Add | O::F64x2Sub | O::F64x2Mul | O::F64x2Div | O::F64x2Sqrt | O::F64x2Min | O::F64x2Max => {
                Self::Makes(AS_64, Float::F64x2)
            }
            O::F64x2Ceil | O::F64x2Floor | O::F64x2Trunc | O::F64x2Nearest => Self::Makes(AS_64, Float::F64x2),
            O::F64x2RelaxedMadd | O::F64x2RelaxedNmadd | O::F64x2RelaxedMin | O::F64x2RelaxedMax => {
                Self::Makes(AS_64, Float::F64x2)
            }
            O::F32Eq | O::F32Ne | O::F32Lt | O::F32Gt | O::F32Le | O::F32Ge => Self::Reads(AS_32),
            O::F64Eq | O::F64Ne | O::F64Lt | O::F64Gt | O::F64Le | O::F64Ge => Self::Reads(AS_64),
            O::F32x4Eq | O::F32x4Ne | O::F32x4Lt | O::F32x4Gt | O::F32x4Le | O::F32x4Ge => Self::Reads(AS_32),
            O::F64x2Eq | O::F64x2Ne | O::F64x2Lt | O::F64x2Gt | O::F64x2Le | O::F64x2Ge => Self::Reads(AS_64),
            O::I32TruncF32S | O::I32TruncF32U => Self::Reads(AS_32),
            O::I32TruncF64S | O::I32TruncF64U => Self::Reads(AS_64),
            O::I64TruncF32S | O::I64TruncF32U => Self::Reads(AS_32),
            O::I64TruncF64S | O::I64TruncF64U => Self::Reads(AS_64),
            O::I32TruncSatF32S | O::I32TruncSatF32U => Self::Reads(AS_32),
            O::I32TruncSatF64S | O::I32TruncSatF64U => Self::Reads(AS_64),
            O::I64TruncSatF32S | O::I64TruncSatF32U => Self::Reads(AS_32),
            O::I64TruncSatF64S | O::I64TruncSatF64U => Self::Reads(AS_64),
            O::Drop => Self::Reads(NOT),
            O::F32Neg | O::F32Abs | O::F32x4Neg | O::F32x4Abs => Self::Passes(AS_32, 1),
            O::F64Neg | O::F64Abs | O::F64x2Neg | O::F64x2Abs => Self::Passes(AS_64, 1),
            O::F32x4Splat | O::F32x4ExtractLane { .. } => Self::Passes(AS_32, 1),
            O::F64x2Splat | O::F64x2ExtractLane { .. } => Self::Passes(AS_64, 1),
            O::F32x4ReplaceLane { .. } => Self::Passes(AS_32, 2),
            O::F64x2ReplaceLane { .. } => Self::Passes(AS_64, 2),
            // The third operand chooses.
            O::Select | O::TypedSelect { .. } => Self::Passes(NOT, 2),
            O::I8x16Shuffle { lanes } if moves_halves(lanes) => Self::Passes(NOT, 2),
            O::F32Copysign => Self::Signs(AS_32),
            O::F64Copysign => Self::Signs(AS_64),
            O::LocalSet { local_index } | O::LocalTee { local_index } => Self::Sets(*local_index),
            O::LocalGet { local_index } => Self::Gets(*local_index),
            _ => Self::Sees,
        }
    }
}

/// Whether a shuffle of bytes moves halves of a vector as they are, each of them one number or two.
fn moves_halves(lanes: &[u8; 16]) -> bool {
    let (halves, _) = lanes.as_chunks::<8>();
    halves.iter().all(|half| half[0].is_multiple_of(8) && half.is_sorted_by(|one, next| one + 1 == *next))
}

/// A place that bits of floats go through: a local, by its number, or a result.
type Place = usize;

/// What goes where in a function.
struct Flow {
    /// What lies on the stack; nothing where the bits are those that everybody has.
    stack: Vec<Option<Place>>,
    /// From where bits come to each place.
    sources: Vec<Vec<Place>>,
    /// Places that are looked at, and how.
    looks: Vec<(Place, Look)>,
}

impl Flow {
    fn place(&mut self) -> Place {
        self.sources.push(Vec::new());
        self.sources.len() - 1
    }

    /// A place that has the bits of these.
    fn merged(&mut self, of: impl Iterator<Item = Option<Place>>) -> Option<Place> {
        let of: Vec<_> = of.flatten().collect();
        if of.len() < 2 {
            return of.first().copied();
        }
        let place = self.place();
        self.sources[place] = of;
        Some(place)
    }

    /// Follows an operator that takes and gives so many values. Where its result is, if it is arithmetic's.
    fn follow(&mut self, does: &Does, takes: usize, gives: usize, bottom: usize) -> Option<Place> {
        // Behind a branch the stack has whatever is asked for.
        let from = self.stack.len().saturating_sub(takes).max(bottom.min(self.stack.len()));
        let mut taken = self.stack.split_off(from);
        taken.splice(0..0, std::iter::repeat_n(None, takes.saturating_sub(taken.len())));
        let look = match *does {
            Does::Makes(look, _) | Does::Reads(look) | Does::Passes(look, _) | Does::Signs(look) => look,
            Does::Sets(..) | Does::Gets(_) => NOT,
            Does::Sees => SEEN,
        };
        self.looks.extend(taken.iter().flatten().map(|place| (*place, look)));
        let first = taken.first().copied().flatten();
        let given = match *does {
            Does::Makes(..) => {
                let place = self.place();
                self.stack.push(Some(place));
                return Some(place);
            }
            Does::Reads(_) | Does::Sees => None,
            Does::Passes(_, many) => self.merged(taken.into_iter().take(many)),
            Does::Signs(_) => {
                self.looks.extend(taken.get(1).copied().flatten().map(|place| (place, SEEN)));
                first
            }
            Does::Sets(local) => {
                self.sources[local as usize].extend(first);
                first
            }
            Does::Gets(local) => Some(local as usize),
        };
        self.stack.extend(std::iter::repeat_n(given, gives));
        None
    }

    /// How each place is looked at, be it where its bits go to.
    fn looks(self) -> Vec<Look> {
        let (mut all, mut next) = (vec![NOT; self.sources.len()], self.looks);
        while let Some((place, look)) = next.pop() {
            let new = look & !all[place];
            all[place] |= new;
            if new != NOT {
                next.extend(self.sources[place].iter().map(|source| (*source, new)));
            }
        }
        all
    }
}

/// A function's locals and instructions.
fn rewritten<T: WasmModuleResources>(
    code: &[u8],
    body: &FunctionBody<'_>,
    validator: &mut FuncValidator<T>,
) -> Result<Vec<u8>, Error> {
    let mut locals = body.get_binary_reader();
    validator.read_locals(&mut locals).map_err(damaged)?;
    let count = validator.len_locals();
    let mut flow = Flow { stack: Vec::new(), sources: vec![Vec::new(); count as usize], looks: Vec::new() };
    // Behind which byte results of arithmetic lie.
    let mut made: Vec<(usize, Place, Float)> = Vec::new();
    let mut operators = body.get_operators_reader().map_err(damaged)?;
    let start = operators.original_position();
    while !operators.eof() {
        let (operator, at) = operators.read_with_offset().map_err(damaged)?;
        let arity = operator.operator_arity(&*validator);
        let bottom = validator.get_control_frame(0).map_or(0, |frame| frame.height);
        validator.op(at, &operator).map_err(damaged)?;
        let (takes, gives) = arity.ok_or_else(|| Error::Code("an instruction takes no one knows what".into()))?;
        let does = Does::of(&operator);
        let place = flow.follow(&does, takes as usize, gives as usize, bottom);
        if let (Does::Makes(_, float), Some(place)) = (does, place) {
            made.push((operators.original_position(), place, float));
        }
        flow.stack.resize(validator.operand_stack_height() as usize, None);
    }
    let end = operators.original_position();
    let looks = flow.looks();
    made.retain(|(_, place, float)| looks[*place] & !float.alike() != NOT);
    Ok(write(code, body.range(), start..end, &made, count))
}

/// Writes a function with forms for what was made.
fn write(
    code: &[u8],
    body: Range<usize>,
    instructions: Range<usize>,
    made: &[(usize, Place, Float)],
    count: u32,
) -> Vec<u8> {
    let mut kinds: Vec<u8> = Vec::new();
    for (.., float) in made {
        if !kinds.contains(&float.local()) {
            kinds.push(float.local());
        }
    }
    let mut out = Vec::with_capacity(body.len() + 24 * made.len());
    let mut locals = BinaryReader::new(&code[body.start..instructions.start], 0);
    // It was read before.
    let groups = locals.read_var_u32().unwrap_or_default();
    (groups + kinds.len() as u32).encode(&mut out);
    out.extend_from_slice(&code[body.start + locals.original_position()..instructions.start]);
    kinds.iter().for_each(|kind| out.extend([1, *kind]));
    let mut from = instructions.start;
    for (behind, _, float) in made {
        out.extend_from_slice(&code[from..*behind]);
        let which = kinds.iter().position(|kind| *kind == float.local()).unwrap_or_default();
        float.canonical(count + which as u32, &mut out);
        from = *behind;
    }
    out.extend_from_slice(&code[from..instructions.end]);
    out
}

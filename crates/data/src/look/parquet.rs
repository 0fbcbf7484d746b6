//! Apache Parquet: what the footer says, read element by element.
//!
//! Only the footer is read, not the values: how many rows there are is its word. It is read with the Thrift reader of Polars, which
//! is told how much it may allocate. Arrow's own crate (`parquet` 60) builds the tree of the schema while it reads it, and believes the
//! numbers of children that stand there: 30 bytes make it ask for 16 GiB, and some thousand nested groups overflow the stack.

use super::{
    Looked,
    table::{Column, Kind, MOST_COLUMNS, Table, cut, warn},
};
use polars_parquet_format::{
    ColumnChunk, ConvertedType, LogicalType, SchemaElement, Type,
    thrift::{
        self,
        protocol::{TCompactInputProtocol, TInputProtocol, TType},
    },
};
use std::{
    collections::HashMap,
    io::{self, Read, Seek, SeekFrom},
};

/// Bytes of a footer at most.
const MOST_FOOTER: u64 = 16 << 20;

/// Groups within each other at most.
const MOST_DEPTH: usize = 64;

/// What stands at both ends of a file.
const MAGIC: [u8; 4] = *b"PAR1";

/// What the footer says.
#[derive(Default)]
struct Footer {
    columns: Vec<Column>,
    width: u64,
    rows: Option<i64>,
    /// Rows of all groups.
    grouped: i64,
    /// Where the columns are that have no parts, by their names.
    places: HashMap<String, usize>,
    /// Missing values of each, as far as every group says so.
    missing: Vec<Option<u64>>,
}

/// Looks at a file.
pub(super) fn look(looked: &mut Looked, mut file: impl Read + Seek) -> io::Result<()> {
    let mut wrong = |what: &str| {
        (looked.problem, looked.whole) = (Some(what.to_owned()), false);
        Ok(())
    };
    let end = file.seek(SeekFrom::End(0))?;
    if end < 12 {
        return wrong("it is shorter than a Parquet file's footer");
    }
    file.seek(SeekFrom::Start(end - 8))?;
    let mut tail = [0; 8];
    file.read_exact(&mut tail)?;
    let [a, b, c, d, magic @ ..] = tail;
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    if magic == *b"PARE" {
        return wrong("its footer is encrypted");
    }
    if magic != MAGIC {
        return wrong("it ends without a Parquet file's mark: it is cut, or was not finished");
    }
    if length > end - 12 {
        return wrong("its footer says that it is longer than the file");
    }
    if length > MOST_FOOTER {
        return wrong("its footer is longer than 16 MiB, and is not looked into");
    }
    file.seek(SeekFrom::Start(end - 8 - length))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    // A list counts eight bytes an element before it is read, and each has one byte at least.
    let mut from = TCompactInputProtocol::new(&bytes[..], 64 + 12 * bytes.len());
    let mut footer = Footer::default();
    if footer.read(&mut from).is_err() {
        return wrong("its footer cannot be read");
    }
    let rows = footer.rows.and_then(|rows| u64::try_from(rows).ok());
    if rows.is_none() || footer.rows != Some(footer.grouped) {
        return wrong("its footer contradicts itself in how many rows there are");
    }
    let Footer { mut columns, width, missing, .. } = footer;
    for (column, missing) in columns.iter_mut().zip(missing) {
        column.missing = missing;
        warn(&mut looked.warnings, column, true, Vec::new());
    }
    looked.table = Some(Table { columns, width, rows, header: true, delimiter: None });
    Ok(())
}

/// Calls `read` with each field's number until the structure ends.
fn fields<P: TInputProtocol>(
    from: &mut P,
    mut read: impl FnMut(&mut P, i16, TType) -> thrift::Result<()>,
) -> thrift::Result<()> {
    from.read_struct_begin()?;
    loop {
        let field = from.read_field_begin()?;
        if field.field_type == TType::Stop {
            break;
        }
        read(from, field.id.unwrap_or_default(), field.field_type)?;
        from.read_field_end()?;
    }
    from.read_struct_end()
}

/// Calls `read` for each structure of a list.
fn structures<P: TInputProtocol>(
    from: &mut P,
    mut read: impl FnMut(&mut P) -> thrift::Result<()>,
) -> thrift::Result<()> {
    let list = from.read_list_begin()?;
    if list.element_type != TType::Struct && list.size > 0 {
        return Err("structures are wanted".into());
    }
    (0..list.size).try_for_each(|_| read(from))?;
    from.read_list_end()
}

impl Footer {
    /// `FileMetaData`.
    fn read<P: TInputProtocol>(&mut self, from: &mut P) -> thrift::Result<()> {
        let (mut open, mut first) = (Vec::new(), true);
        fields(from, |from, number, kind| match (number, kind) {
            (2, TType::List) => structures(from, |from| {
                let element = SchemaElement::read_from_in_protocol(from)?;
                self.element(&element, &mut open, std::mem::take(&mut first))
            }),
            (3, TType::I64) => {
                self.rows = Some(from.read_i64()?);
                Ok(())
            }
            (4, TType::List) => structures(from, |from| self.group(from)),
            (_, kind) => from.skip(kind),
        })
    }

    /// An element of the schema: a column if it is one step below the root. The groups that are open count what is missing in them.
    fn element(&mut self, element: &SchemaElement, open: &mut Vec<u32>, first: bool) -> thrift::Result<()> {
        let children = u32::try_from(element.num_children.unwrap_or(0)).map_err(|_| "a negative number of children")?;
        if !first {
            let parent = open.last_mut().ok_or("elements outside the root")?;
            *parent -= 1;
            if open.len() == 1 {
                self.width += 1;
                if self.columns.len() < MOST_COLUMNS {
                    let (name, kind) = (cut(&element.name), kind(element));
                    if children == 0 {
                        self.places.insert(element.name.clone(), self.columns.len());
                    }
                    self.missing.push((children == 0).then_some(0));
                    self.columns.push(Column { name, kind, missing: None });
                }
            }
        }
        if children > 0 {
            if open.len() == MOST_DEPTH {
                return Err("groups too deep".into());
            }
            open.push(children);
        }
        while open.last() == Some(&0) {
            open.pop();
        }
        Ok(())
    }

    /// `RowGroup`.
    fn group<P: TInputProtocol>(&mut self, from: &mut P) -> thrift::Result<()> {
        fields(from, |from, number, kind| match (number, kind) {
            (1, TType::List) => structures(from, |from| {
                let chunk = ColumnChunk::read_from_in_protocol(from)?;
                self.chunk(&chunk);
                Ok(())
            }),
            (3, TType::I64) => {
                self.grouped = self.grouped.saturating_add(from.read_i64()?.max(0));
                Ok(())
            }
            (_, kind) => from.skip(kind),
        })
    }

    fn chunk(&mut self, chunk: &ColumnChunk) {
        let Some(is) = &chunk.meta_data else { return };
        let [name] = &is.path_in_schema[..] else { return };
        let Some(missing) = self.places.get(name).and_then(|place| self.missing.get_mut(*place)) else { return };
        let nulls = is.statistics.as_ref().and_then(|statistics| statistics.null_count);
        let nulls = nulls.and_then(|nulls| u64::try_from(nulls).ok());
        *missing = missing.zip(nulls).map(|(sum, nulls)| sum.saturating_add(nulls));
    }
}

/// What the values of a column are.
fn kind(element: &SchemaElement) -> Kind {
    use ConvertedType as C;
    if element.num_children.unwrap_or(0) > 0 {
        return Kind::Other;
    }
    match (&element.logical_type, element.converted_type) {
        (Some(LogicalType::DATE(_) | LogicalType::TIMESTAMP(_)), _) => return Kind::Date,
        (Some(LogicalType::STRING(_) | LogicalType::ENUM(_) | LogicalType::JSON(_) | LogicalType::UUID(_)), _) => {
            return Kind::Text;
        }
        (Some(LogicalType::DECIMAL(_) | LogicalType::FLOAT16(_)), _) => return Kind::Number,
        (Some(LogicalType::UNKNOWN(_)), _) => return Kind::Empty,
        (None, Some(C::DATE | C::TIMESTAMP_MILLIS | C::TIMESTAMP_MICROS)) => return Kind::Date,
        (None, Some(C::UTF8 | C::ENUM | C::JSON)) => return Kind::Text,
        (None, Some(C::DECIMAL)) => return Kind::Number,
        _ => {}
    }
    match element.type_ {
        Some(Type::BOOLEAN) => Kind::Boolean,
        Some(Type::INT32 | Type::INT64) => Kind::Integer,
        Some(Type::FLOAT | Type::DOUBLE) => Kind::Number,
        Some(Type::INT96) => Kind::Date,
        _ => Kind::Other,
    }
}

//! Rows of values: read field by field, so that neither a row nor a value has to fit into memory.

use super::{
    Header, Looked, Looking,
    personal::Seen,
    table::{Kind, MOST_COLUMNS, MOST_VALUE, Tallies, Tally},
};
use csv_core::{ReadFieldResult, Reader, ReaderBuilder};
use std::{
    borrow::Cow,
    collections::HashSet,
    io::{self, Read},
};

/// What may separate values; the first of those that fit as well is taken.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Rows of the sample by which a delimiter and a header are found.
const ROWS: usize = 100;

/// What separates values in text that begins so; nothing if it is no table.
pub(super) fn delimiter(name: &str, sample: &[u8]) -> Option<u8> {
    let end = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    let said = matches!(end.as_deref(), Some("csv" | "tsv"));
    let fits = |delimiter: u8| {
        let rows = rows_of(sample, delimiter);
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        let alike = rows.iter().filter(|row| row.len() == width).count();
        // Where nothing else says that it is a table, all rows must be.
        let enough = if said { 2 * alike > rows.len() } else { rows.len() > 1 && alike == rows.len() };
        (width > 1 && enough).then_some((alike * ROWS / rows.len().max(1), width, delimiter))
    };
    let best = DELIMITERS
        .into_iter()
        .filter_map(fits)
        .reduce(|one, other| if (other.0, other.1) > (one.0, one.1) { other } else { one });
    match (best, end.as_deref()) {
        (Some((.., delimiter)), _) => Some(delimiter),
        (None, Some("tsv")) => Some(b'\t'),
        (None, Some("csv")) => Some(b','),
        _ => None,
    }
}

/// The first rows of a sample; the last one is left out where it may be cut.
fn rows_of(sample: &[u8], delimiter: u8) -> Vec<Vec<String>> {
    let (mut rows, mut row) = (Vec::new(), Vec::new());
    let (mut fields, is_all) = (Fields::new(delimiter), (sample.len() as u64) < super::SAMPLE);
    let mut sink = |value: &[u8], last: bool| {
        if row.len() < MOST_COLUMNS {
            row.push(String::from_utf8_lossy(value).trim().to_owned());
        }
        if last {
            rows.push(std::mem::take(&mut row));
        }
        rows.len() < ROWS
    };
    if fields.feed(sample, &mut sink) && is_all {
        fields.end(&mut sink);
    }
    if rows.is_empty() { vec![row] } else { rows }
}

/// Takes bytes, and gives fields.
struct Fields {
    reader: Reader,
    value: Vec<u8>,
    /// Bytes of the field that are in `value`.
    length: usize,
}

impl Fields {
    fn new(delimiter: u8) -> Self {
        let reader = ReaderBuilder::new().delimiter(delimiter).build();
        Self { reader, value: vec![0; MOST_VALUE], length: 0 }
    }

    /// Gives each field that ends in these bytes, and whether it ends its row, to `sink`, until that wants no more. Whether it wants
    /// more. A value is cut where it is longer than anything that is looked at.
    fn feed(&mut self, mut bytes: &[u8], sink: &mut dyn FnMut(&[u8], bool) -> bool) -> bool {
        while !bytes.is_empty() {
            if !self.step(&mut bytes, sink) {
                return false;
            }
        }
        true
    }

    /// Gives the last field, which nothing ends. Whether the quote was closed by then that it may have begun with.
    fn end(&mut self, sink: &mut dyn FnMut(&[u8], bool) -> bool) -> bool {
        // The end of a line ends any field, but for one in a quote, of which it is a part.
        let (result, _, written) = self.reader.read_field(b"\n", &mut [0; 2]);
        if let ReadFieldResult::Field { record_end } = result {
            sink(&self.value[..self.length], record_end);
            self.length = 0;
        }
        // With nothing to read, the reader ends the field, then itself.
        while self.step(&mut &[][..], sink) {}
        written == 0
    }

    fn step(&mut self, bytes: &mut &[u8], sink: &mut dyn FnMut(&[u8], bool) -> bool) -> bool {
        // What comes after the longest value that is kept goes nowhere.
        let mut rest = [0; 256];
        let kept = self.length < self.value.len();
        let output = if kept { &mut self.value[self.length..] } else { &mut rest[..] };
        let (result, read, written) = self.reader.read_field(bytes, output);
        *bytes = &bytes[read..];
        self.length += if kept { written } else { 0 };
        match result {
            ReadFieldResult::Field { record_end } => {
                let goes_on = sink(&self.value[..self.length], record_end);
                self.length = 0;
                goes_on
            }
            ReadFieldResult::End => false,
            ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => true,
        }
    }
}

/// Whether the first row names the columns.
fn has_header(rows: &[Vec<String>], header: Header) -> bool {
    match header {
        Header::First => !rows.is_empty(),
        Header::None => false,
        Header::Guessed => names_columns(rows),
    }
}

/// Whether the first row looks like names: words, all of them others. Where some are none, or stand there twice, something in the row has
/// to be of another kind than what stands below it.
fn names_columns(rows: &[Vec<String>]) -> bool {
    let Some((first, below)) = rows.split_first() else { return false };
    // The first column of a table of figures often has no name.
    let unnamed = usize::from(first.len() > 1 && first[0].is_empty());
    let (mut words, mut differing) = (0, 0);
    for (at, cell) in first.iter().enumerate().skip(unnamed) {
        let differs = differs(cell, below.iter().filter_map(|row| row.get(at)));
        let is_text = matches!(Kind::of(cell), Some(Kind::Text) | None);
        let is_word = is_text && cell.chars().any(char::is_alphabetic) && !Seen::is_personal(cell);
        if !is_word && !differs {
            return false;
        }
        words += usize::from(is_word);
        differing += usize::from(differs);
    }
    let others: HashSet<_> = first.iter().collect();
    words > 0 && (differing > 0 || others.len() == first.len())
}

/// Whether something is of another kind than all that stands below it, where that is no text: a word or a day over figures, or a year
/// over figures most of which are none.
fn differs<'a>(cell: &str, below: impl Iterator<Item = &'a String>) -> bool {
    let is_year = |text: &str| text.len() == 4 && text.parse().is_ok_and(|year: u16| (1_800..=2_200).contains(&year));
    let (mut kind, mut there, mut years) = (Kind::Empty, 0, 0);
    for (text, is) in below.filter_map(|text| Kind::of(text).map(|is| (text, is))) {
        kind = kind.or(is);
        there += 1;
        years += usize::from(is_year(text));
    }
    match (Kind::of(cell), kind) {
        (_, Kind::Empty | Kind::Text | Kind::Other) => false,
        (Some(Kind::Text), _) => !Seen::is_personal(cell),
        (Some(Kind::Date), _) => kind != Kind::Date,
        (Some(Kind::Integer), _) => is_year(cell) && 2 * years < there,
        _ => false,
    }
}

/// A table while its rows are read.
struct Rows {
    tallies: Tallies,
    /// Which value of its row comes next.
    at: u64,
    /// Whether this row names the columns.
    naming: bool,
    /// How many values the first row had.
    first: Option<u64>,
    /// Rows that have another number.
    uneven: u64,
    /// Values that are not UTF-8.
    broken: u64,
}

impl Rows {
    /// Sees a value, and whether it is the last of its row.
    fn see(&mut self, value: &[u8], last: bool) {
        let column = usize::try_from(self.at).unwrap_or(usize::MAX);
        self.at += 1;
        if column < MOST_COLUMNS {
            let text = lossy(value, &mut self.broken);
            let columns = &mut self.tallies.columns;
            // Rows may be longer than the first one.
            if column == columns.len() {
                let own = self.naming && !text.trim().is_empty();
                columns.push(if own { Tally::new(&text) } else { Tally::new(&format!("column {}", column + 1)) });
            }
            if !self.naming {
                columns[column].text(&text);
            }
        }
        if last {
            self.uneven += u64::from(*self.first.get_or_insert(self.at) != self.at);
            self.tallies.width = self.tallies.width.max(self.at);
            self.tallies.rows += u64::from(!self.naming);
            (self.at, self.naming) = (0, false);
        }
    }
}

/// Looks at a table whose values are separated so, and which begins with this sample.
pub(super) fn look(
    looked: &mut Looked,
    sample: &[u8],
    delimiter: u8,
    mut file: impl Read,
    looking: Looking,
) -> io::Result<()> {
    let header = has_header(&rows_of(sample, delimiter), looking.header);
    let tallies = Tallies::default();
    let mut rows = Rows { tallies, at: 0, naming: header, first: None, uneven: 0, broken: 0 };
    let mut sink = |value: &[u8], last: bool| {
        rows.see(value, last);
        true
    };
    let (mut fields, mut buffer, mut left) = (Fields::new(delimiter), vec![0; 64 << 10], looking.most);
    let whole = loop {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            break false;
        }
        match file.read(&mut buffer[..most]) {
            Ok(0) => break true,
            Ok(read) => {
                left -= read as u64;
                fields.feed(&buffer[..read], &mut sink);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    let closed = !whole || fields.end(&mut sink);
    looked.problem = match (rows.uneven, rows.broken) {
        _ if !closed => Some(
            "a quote is never closed, and all that stands behind it was taken for one value of the last row".to_owned(),
        ),
        (0, 0) => None,
        (0, broken) => Some(format!("{broken} values are not UTF-8")),
        (uneven, _) => Some(format!("{uneven} rows have another number of values than the first one")),
    };
    let (table, warnings) = rows.tallies.finish(header, Some(char::from(delimiter)), whole);
    (looked.whole, looked.warnings, looked.table) = (whole, warnings, Some(table));
    Ok(())
}

/// A value as text. It may be cut within a character at its end, which is nobody's fault.
fn lossy<'a>(value: &'a [u8], broken: &mut u64) -> Cow<'a, str> {
    let text = String::from_utf8_lossy(value);
    *broken += u64::from(matches!(text, Cow::Owned(_)) && value.len() < MOST_VALUE);
    text
}

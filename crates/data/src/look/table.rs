//! Tables: what is known of each column after its values were seen one by one.

use super::{
    MOST_WARNINGS,
    personal::{self, Personal, Seen, Warning},
};
use serde::{Deserialize, Serialize};

/// Columns of which something is told at most; more are counted.
pub(super) const MOST_COLUMNS: usize = 4_096;

/// Bytes of a column's name, with the mark of what was cut, and of a value, that are looked at.
pub(super) const MOST_NAME: usize = 128;
pub(super) const MOST_VALUE: usize = 4 << 10;

/// What stands for a value that is missing.
const MISSING: [&str; 7] = ["na", "n/a", "nan", "null", "none", "?", "-"];

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Whole numbers.
    Integer,
    /// Numbers.
    Number,
    /// Yes or no.
    Boolean,
    /// Days, or times, as ISO 8601 has them, or days as `31.12.1999` or `12/31/1999`.
    Date,
    /// Anything that is written.
    Text,
    /// All of them are missing.
    Empty,
    /// Bytes, lists, and what has parts.
    Other,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// What it is called, cut where that is longer than 128 bytes; `…` is its end then.
    pub name: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// How many values are missing, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<u64>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its columns, the first [4,096](MOST_COLUMNS) of them.
    pub columns: Vec<Column>,
    /// How many columns there are; of objects in JSON that have more than a million, as many as were told from each other.
    pub width: u64,
    /// How many rows, without the header, if they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Whether the columns are called as the table itself says.
    pub header: bool,
    /// What separates values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
}

impl Table {
    /// This and another one below it, if they have the same columns.
    pub(super) fn with(mut self, other: &Self) -> Option<Self> {
        let same = |(one, other): (&Column, &Column)| one.name == other.name;
        if self.width != other.width || !self.columns.iter().zip(&other.columns).all(same) {
            return None;
        }
        for (one, other) in self.columns.iter_mut().zip(&other.columns) {
            one.kind = one.kind.or(other.kind);
            one.missing = one.missing.zip(other.missing).map(|(one, other)| one.saturating_add(other));
        }
        self.rows = self.rows.zip(other.rows).map(|(one, other)| one.saturating_add(other));
        Some(self)
    }
}

impl Kind {
    /// What values are that are of these two kinds.
    pub(super) fn or(self, other: Self) -> Self {
        use Kind as K;
        match (self, other) {
            (one, other) if one == other => one,
            (K::Empty, kind) | (kind, K::Empty) => kind,
            (K::Integer, K::Number) | (K::Number, K::Integer) => K::Number,
            (K::Other, _) | (_, K::Other) => K::Other,
            _ => K::Text,
        }
    }

    /// What a written value is; nothing if it is missing.
    pub(super) fn of(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || MISSING.iter().any(|missing| text.eq_ignore_ascii_case(missing)) {
            return None;
        }
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let is_number = || {
            let marks =
                digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
            marks && !digits.starts_with(['+', '-']) && digits.parse::<f64>().is_ok_and(f64::is_finite)
        };
        Some(if !digits.is_empty() && digits.len() <= 38 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            Self::Integer
        } else if is_number() {
            Self::Number
        } else if ["true", "false", "yes", "no"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
            Self::Boolean
        } else if year(text).is_some() {
            Self::Date
        } else {
            Self::Text
        })
    }
}

/// The year of a date.
pub(super) fn year(text: &str) -> Option<u16> {
    let bytes = text.as_bytes();
    let number = |range: std::ops::Range<usize>| {
        let digits = bytes.get(range)?;
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |sum, digit| 10 * sum + u16::from(digit - b'0')))
    };
    let day = |year: u16, months: [u16; 2], end: usize| {
        let [one, other] = months;
        let plausible = (1..=31).contains(&one) && (1..=31).contains(&other) && (one <= 12 || other <= 12);
        let time = bytes.get(end..)?;
        let clock = time.is_empty()
            || (time.len() <= 30
                && matches!(time[0], b'T' | b't' | b' ')
                && time[1..].iter().all(|byte| byte.is_ascii_digit() || b":.+-Zz ".contains(byte)));
        (plausible && clock).then_some(year)
    };
    match (bytes.get(4)?, bytes.get(2)?) {
        (b'-' | b'/', _) if bytes.get(7) == bytes.get(4) => day(number(0..4)?, [number(5..7)?, number(8..10)?], 10),
        (_, b'.' | b'/' | b'-') if bytes.get(5) == bytes.get(2) => {
            day(number(6..10)?, [number(0..2)?, number(3..5)?], 10)
        }
        _ => None,
    }
}

/// A column while its values are seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    name: String,
    kind: Option<Kind>,
    there: u64,
    seen: Seen,
}

impl Tally {
    pub(super) fn new(name: &str) -> Self {
        Self { name: cut(name), ..Self::default() }
    }

    /// Sees a value as it is written.
    pub(super) fn text(&mut self, text: &str) {
        let Some(kind) = Kind::of(text) else { return };
        self.kind(kind);
        self.seen.look(text.trim(), kind);
    }

    /// Sees a value of a kind.
    pub(super) fn kind(&mut self, kind: Kind) {
        self.there += 1;
        self.kind = Some(self.kind.unwrap_or(Kind::Empty).or(kind));
    }

    /// Sees a number that is written so.
    pub(super) fn number(&mut self, text: &str, kind: Kind) {
        self.kind(kind);
        self.seen.look(text, kind);
    }

    fn column(&self, rows: u64) -> Column {
        let (name, kind) = (self.name.clone(), self.kind.unwrap_or(Kind::Empty));
        Column { name, kind, missing: Some(rows.saturating_sub(self.there)) }
    }
}

/// A table while its values are seen.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    pub(super) columns: Vec<Tally>,
    pub(super) width: u64,
    pub(super) rows: u64,
}

impl Tallies {
    /// What came out, and what looks like personal data; `whole` if every row was seen.
    pub(super) fn finish(self, header: bool, delimiter: Option<char>, whole: bool) -> (Table, Vec<Warning>) {
        let columns: Vec<_> = self.columns.iter().map(|tally| tally.column(self.rows)).collect();
        let mut warnings = Vec::new();
        for (tally, column) in self.columns.iter().zip(&columns) {
            let found = tally.seen.found(column.kind, tally.there);
            warn(&mut warnings, column, header, found);
        }
        let unknown = |column| Column { missing: None, ..column };
        let columns = if whole { columns } else { columns.into_iter().map(unknown).collect() };
        (Table { columns, width: self.width, rows: whole.then_some(self.rows), header, delimiter }, warnings)
    }
}

/// Adds what looks like personal data in a column, by its values and by its name.
pub(super) fn warn(warnings: &mut Vec<Warning>, column: &Column, named: bool, mut found: Vec<(Personal, u64)>) {
    let by_name = if named { personal::by_name(&column.name, column.kind) } else { None };
    if let Some(kind) = by_name.filter(|kind| found.iter().all(|(other, _)| other != kind)) {
        found.insert(0, (kind, 0));
    }
    for (kind, values) in found {
        if warnings.len() < MOST_WARNINGS {
            warnings.push(Warning {
                file: None,
                column: column.name.clone(),
                kind,
                values,
                by_name: by_name == Some(kind),
            });
        }
    }
}

/// A name as it is shown: not longer than anybody calls a column, with a mark where it was cut, and without what moves a terminal's
/// cursor.
pub(super) fn cut(name: &str) -> String {
    const MARK: char = '…';
    // The end of what is shown of a long name, once that is known.
    let (mut shown, mut end) = (String::new(), 0);
    for each in name.trim().chars().filter(|each| !each.is_control()) {
        shown.push(each);
        if shown.len() > MOST_NAME {
            shown.truncate(end);
            shown.push(MARK);
            return shown;
        }
        if shown.len() <= MOST_NAME - MARK.len_utf8() {
            end = shown.len();
        }
    }
    shown
}

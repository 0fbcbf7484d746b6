//! JSON: a value in each line, or one of which an array of objects is a table. Values are looked at while they are read, and none is
//! kept, so that what is within each other however deep takes no memory.

use super::{
    Looked, Looking,
    table::{Kind, MOST_COLUMNS, Tallies, Tally, cut},
};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    hash::BuildHasher as _,
    io::{self, BufRead as _, BufReader, Read},
};

/// Bytes of one line at most.
const MOST_LINE: u64 = 4 << 20;

/// Bytes of one document at most that is looked into: a text in it may be as long as it is.
const MOST_DOCUMENT: u64 = 32 << 20;

/// Columns at most that are told from each other beyond those of which something is told. Their number is that of those.
const MOST_COUNTED: usize = 1 << 20;

/// Objects, as a table.
#[derive(Default)]
struct Objects {
    tallies: Tallies,
    places: HashMap<String, usize>,
    /// Hashes of the names of further columns, which are counted alone.
    further: HashSet<u64>,
    /// Rows that are no objects.
    others: u64,
}

impl Objects {
    /// The column of this name.
    fn column(&mut self, name: &str) -> Option<&mut Tally> {
        let name = cut(name);
        if let Some(place) = self.places.get(&name) {
            return self.tallies.columns.get_mut(*place);
        }
        if self.places.len() >= MOST_COLUMNS {
            if self.further.len() < MOST_COUNTED && self.further.insert(self.places.hasher().hash_one(&name)) {
                self.tallies.width += 1;
            }
            return None;
        }
        self.tallies.width += 1;
        self.tallies.columns.push(Tally::new(&name));
        self.places.insert(name, self.tallies.columns.len() - 1);
        self.tallies.columns.last_mut()
    }

    /// What came out, if most of it were objects.
    fn finish(self, looked: &mut Looked, whole: bool) {
        if self.others == 0 && !self.tallies.columns.is_empty() {
            let (table, warnings) = self.tallies.finish(true, None, whole);
            (looked.table, looked.warnings) = (Some(table), warnings);
        }
    }
}

/// A row.
struct Row<'a>(&'a mut Objects);

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

/// What is no object.
macro_rules! other {
    ($($name:ident: $type:ty),*) => {
        $(fn $name<E>(self, _: $type) -> Result<(), E> {
            self.0.others += 1;
            self.0.tallies.rows += 1;
            Ok(())
        })*
    };
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    other!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.visit_bool(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.visit_bool(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            map.next_value_seed(Cell(self.0.column(&key)))?;
        }
        self.0.tallies.rows += 1;
        Ok(())
    }
}

/// A value of a row.
struct Cell<'a>(Option<&'a mut Tally>);

impl Cell<'_> {
    fn see<E>(self, see: impl FnOnce(&mut Tally)) -> Result<(), E> {
        if let Some(tally) = self.0 {
            see(tally);
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Cell<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Cell<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.see(|tally| tally.kind(Kind::Boolean))
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.see(|tally| tally.number(&value.to_string(), Kind::Integer))
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.see(|tally| tally.number(&value.to_string(), Kind::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.see(|tally| tally.kind(Kind::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        let end = text.char_indices().map(|(at, _)| at).find(|at| *at > super::table::MOST_VALUE);
        let text = &text[..end.unwrap_or(text.len())];
        // A text is one, whatever it reads like; but days are written as text.
        self.see(|tally| match Kind::of(text) {
            Some(Kind::Date | Kind::Text) | None => tally.text(text),
            Some(_) => tally.number(text, Kind::Text),
        })
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.see(|tally| tally.kind(Kind::Other))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.see(|tally| tally.kind(Kind::Other))
    }
}

/// Whether the first lines of a sample are values of their own.
pub(super) fn are_lines(sample: &[u8]) -> bool {
    let mut lines = sample.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let (first, second) = (lines.next(), lines.next());
    let is_value = |line: &[u8]| serde_json::from_slice::<IgnoredAny>(line).is_ok();
    // The second may be cut where the sample ends; a document in one line is no lines.
    first.zip(second).is_some_and(|(first, second)| is_value(first) && second.first() == first.first())
}

/// Whether a sample is JSON, as far as it goes.
pub(super) fn begins(sample: &[u8]) -> bool {
    match serde_json::from_slice::<IgnoredAny>(sample) {
        Ok(_) => true,
        Err(error) => error.is_eof() && sample.len() as u64 >= super::SAMPLE,
    }
}

/// What is wrong with a number that is written as it should be, such as `1e999`.
const OUT_OF_RANGE: &str = "a number that is out of range";

/// Whether that is all that is wrong. The library tells it in words alone.
fn is_out_of_range(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("number out of range")
}

/// Looks at lines.
pub(super) fn look_at_lines(looked: &mut Looked, file: impl Read, looking: Looking) -> io::Result<()> {
    let mut file = BufReader::with_capacity(64 << 10, file.take(looking.most));
    let (mut objects, mut line, mut number, mut beyond) = (Objects::default(), Vec::new(), 0_u64, None);
    loop {
        line.clear();
        (&mut file).take(MOST_LINE).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            break;
        }
        number += 1;
        if line.len() as u64 == MOST_LINE && !line.ends_with(b"\n") {
            looked.problem = Some(format!("line {number} is longer than {} MiB", MOST_LINE >> 20));
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let mut from = serde_json::Deserializer::from_slice(&line);
        match Row(&mut objects).deserialize(&mut from).and_then(|()| from.end()) {
            // It is a row, of which what stands behind that number is passed over.
            Err(error) if is_out_of_range(&error) => {
                objects.tallies.rows += 1;
                beyond.get_or_insert(number);
            }
            Err(_) if file.get_ref().limit() > 0 => {
                looked.problem = Some(format!("line {number} is no JSON"));
                break;
            }
            Ok(()) | Err(_) => {}
        }
    }
    let whole = looked.problem.is_none() && file.get_ref().limit() > 0;
    looked.whole = whole && beyond.is_none();
    if let Some(line) = beyond {
        let why = || format!("line {line} has {OUT_OF_RANGE}: what stands behind it there was not looked at");
        looked.problem.get_or_insert_with(why);
    }
    objects.finish(looked, whole);
    Ok(())
}

/// An array of rows, or anything else.
struct Document<'a>(&'a mut Objects);

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    other!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.visit_bool(false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.visit_bool(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Row(self.0))?.is_some() {}
        Ok(())
    }
}

/// Looks at one document.
pub(super) fn look(looked: &mut Looked, file: impl Read) -> io::Result<()> {
    if looked.bytes > MOST_DOCUMENT {
        looked.whole = false;
        return Ok(());
    }
    let mut objects = Objects::default();
    let mut from = serde_json::Deserializer::from_reader(BufReader::with_capacity(64 << 10, file.take(MOST_DOCUMENT)));
    match from.deserialize_any(Document(&mut objects)).and_then(|()| from.end()) {
        Ok(()) => objects.finish(looked, true),
        Err(error) if error.is_io() => return Err(error.into()),
        Err(error) => {
            let what = match is_out_of_range(&error) {
                true => format!("it has {OUT_OF_RANGE}"),
                false => "it is no JSON".to_owned(),
            };
            let problem = format!("{what} at line {}, column {}", error.line(), error.column());
            (looked.whole, looked.problem) = (false, Some(problem));
        }
    }
    Ok(())
}

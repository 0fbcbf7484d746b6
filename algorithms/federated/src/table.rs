//! The rows of a site as numbers.

use crate::{
    csv::{Reader, number},
    error::Error,
    json::quoted,
};
use std::fmt;

/// Fewer rows than this are not summed up, whatever the parameters say: they come from whoever wants to know.
pub const MIN_ROWS: usize = 10;

/// Features at most.
pub const MOST_FEATURES: usize = 1000;

/// Numbers in memory at most: 64 MiB.
const MOST_NUMBERS: usize = 8 << 20;

/// Rows that are worked on at a time, and a number for each of them. Not a number where there is none.
pub const LANES: usize = 8;
pub type Lanes = [f64; LANES];
const MISSING: Lanes = [f64::NAN; LANES];

/// How many times so many rows a block has.
pub const GROUPS: usize = 4;

/// Rows of a block.
const BLOCK: usize = GROUPS * LANES;

/// What a model sees of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    column: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// `age`: the number in a column.
    Number,
    /// `thal=7`: 1 where the number is this one, else 0, and missing where it is missing.
    Equals(f64),
    /// `thal?`: 1 where it is missing, else 0.
    Missing,
}

impl Feature {
    /// Reads `column`, `column=number` or `column?`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (column, kind) = if let Some(column) = text.strip_suffix('?') {
            (column, Kind::Missing)
        } else if let Some((column, value)) = text.split_once('=') {
            (
                column,
                Kind::Equals(number(value).ok_or_else(|| Error::new(format!("feature {}: no number", quoted(text))))?),
            )
        } else {
            (text, Kind::Number)
        };
        if column.is_empty() {
            return Err(Error::new(format!("feature {} names no column", quoted(text))));
        }
        Ok(Self { column: column.to_owned(), kind })
    }

    /// Of what is in its column; not a number where it is missing.
    fn of(&self, column: &Lanes) -> Lanes {
        match self.kind {
            Kind::Missing => column.map(|value| if value.is_nan() { 1.0 } else { 0.0 }),
            Kind::Number => *column,
            Kind::Equals(wanted) => column.map(|value| match value {
                value if value.is_nan() => f64::NAN,
                value if value == wanted => 1.0,
                _ => 0.0,
            }),
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Number => write!(to, "{}", self.column),
            Kind::Equals(value) => write!(to, "{}={value}", self.column),
            Kind::Missing => write!(to, "{}?", self.column),
        }
    }
}

/// Which rows and columns of a table are looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The column that is to be predicted: 0 or 1.
    pub label: String,
    /// The column that is 1 where a row is for testing, else 0.
    pub held_out: String,
    /// How many rows there have to be.
    pub min_rows: usize,
}

/// Rows of features with a label each, in blocks of so many groups that lie one after the other.
#[derive(Debug, PartialEq)]
pub struct Table {
    width: usize,
    rows: usize,
    /// Of each group, each feature.
    values: Vec<Lanes>,
    /// 0 or 1 for each row. Not a number where the last block has none.
    labels: Vec<Lanes>,
}

impl Table {
    /// Reads the rows for training, or those held out, from CSV. Empty fields are missing values.
    ///
    /// # Errors
    ///
    /// If a column is not there or there twice, a line has more or fewer fields than the first, a field that is looked at is
    /// no number, a label is missing, or there are fewer rows than the selection wants.
    pub fn read(text: &str, features: &[Feature], selection: &Selection, held_out: bool) -> Result<Self, Error> {
        let (mut reader, mut fields) = (Reader::new(text), Vec::new());
        reader.next(&mut fields)?;
        let header = fields.clone();
        let place = |column: &str| {
            let mut places =
                header.iter().enumerate().filter(|(_, name)| name.trim() == column).map(|(place, _)| place);
            match (places.next(), places.next()) {
                (Some(place), None) => Ok(place),
                (None, _) => Err(Error::new(format!("there is no column {}", quoted(column)))),
                _ => Err(Error::new(format!("there are two columns {}", quoted(column)))),
            }
        };
        let label = place(&selection.label)?;
        let split = place(&selection.held_out)?;
        // Each column is read once, whatever features it has.
        let (mut columns, mut which) = (Vec::new(), Vec::with_capacity(features.len()));
        for feature in features {
            let place = place(&feature.column)?;
            which.push(columns.iter().position(|known| *known == place).unwrap_or_else(|| {
                columns.push(place);
                columns.len() - 1
            }));
        }

        // Rows at most, by the ends of lines.
        let most = text.bytes().filter(|byte| *byte == b'\n').count().min(MOST_NUMBERS / (features.len() + 1));
        let mut table = Self {
            width: features.len(),
            rows: 0,
            values: Vec::with_capacity(most.next_multiple_of(BLOCK) / LANES * features.len()),
            labels: Vec::with_capacity(most.next_multiple_of(BLOCK) / LANES),
        };
        let wanted = if held_out { 1.0 } else { 0.0 };
        let (mut row, mut group) = (vec![f64::NAN; header.len()], vec![MISSING; columns.len()]);
        loop {
            let plain = reader.numbers(&mut row);
            if !plain && !reader.next(&mut fields)? {
                break;
            }
            let wrong = |said: &str| Error::new(format!("line {}: {said}", reader.line()));
            if !plain {
                if fields.len() != header.len() {
                    return Err(wrong(&format!("{} fields, expected {}", fields.len(), header.len())));
                }
                // What is not looked at may be anything.
                let mut read = |place: usize| {
                    let text = fields[place].trim();
                    let value = if text.is_empty() { Some(f64::NAN) } else { number(text) };
                    row[place] = value.ok_or_else(|| wrong(&format!("{} is no number", quoted(&header[place]))))?;
                    Ok::<_, Error>(row[place])
                };
                if read(split)? == wanted {
                    [label].iter().chain(&columns).try_for_each(|place| read(*place).map(|_| ()))?;
                }
            }
            let binary = |place: usize| match row[place] {
                value if value == 0.0 || value == 1.0 => Ok(value),
                _ => Err(wrong(&format!("{} is neither 0 nor 1", quoted(&header[place])))),
            };
            if binary(split)? != wanted {
                continue;
            }
            if (table.rows + 1) * (features.len() + 1) > MOST_NUMBERS {
                return Err(wrong(&format!("more than {MOST_NUMBERS} numbers")));
            }
            let lane = table.rows % LANES;
            if lane == 0 {
                table.labels.push(MISSING);
            }
            if let Some(labels) = table.labels.last_mut() {
                labels[lane] = binary(label)?;
            }
            for (column, place) in group.iter_mut().zip(&columns) {
                column[lane] = row[*place];
            }
            table.rows += 1;
            if lane == LANES - 1 {
                table.values.extend(features.iter().zip(&which).map(|(feature, column)| feature.of(&group[*column])));
            }
        }
        let rest = table.rows % LANES;
        if rest > 0 {
            table.values.extend(features.iter().zip(&which).map(|(feature, column)| {
                let mut values = feature.of(&group[*column]);
                values[rest..].fill(f64::NAN);
                values
            }));
        }
        let groups = table.labels.len().next_multiple_of(GROUPS);
        table.labels.resize(groups, MISSING);
        table.values.resize(groups * features.len(), MISSING);
        let least = selection.min_rows.max(MIN_ROWS);
        if table.rows < least {
            let kind = if held_out { "held-out" } else { "training" };
            return Err(Error::new(format!("fewer than {least} {kind} rows, which are not summed up")));
        }
        Ok(table)
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// The features of each group of each block, and the labels of its rows, not a number where there is none.
    pub fn blocks(&self) -> impl Iterator<Item = [(&[Lanes], &Lanes); GROUPS]> {
        let (blocks, _) = self.labels.as_chunks::<GROUPS>();
        blocks.iter().enumerate().map(|(index, labels)| {
            let values = &self.values[index * GROUPS * self.width..];
            std::array::from_fn(|group| (&values[group * self.width..(group + 1) * self.width], &labels[group]))
        })
    }

    /// The features of each group and the labels of its rows, not a number where there is none.
    pub fn groups(&self) -> impl Iterator<Item = (&[Lanes], &Lanes)> {
        self.blocks().flatten()
    }

    /// Brings features to mean 0 and deviation 1, missing values to the mean.
    pub fn standardize(&mut self, mean: &[f64], deviation: &[f64]) {
        let scale: Vec<_> = deviation.iter().map(|deviation| deviation.recip()).collect();
        for group in self.values.chunks_exact_mut(self.width) {
            for ((values, mean), scale) in group.iter_mut().zip(mean).zip(&scale) {
                *values = values.map(|value| if value.is_nan() { 0.0 } else { (value - mean) * scale });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection() -> Selection {
        Selection { label: "ill".into(), held_out: "test".into(), min_rows: 0 }
    }

    fn features(texts: &[&str]) -> Vec<Feature> {
        texts.iter().filter_map(|text| Feature::parse(text).ok()).collect()
    }

    fn rows(count: usize) -> String {
        format!("age,ill,test\n{}{}", "50,1,0\n".repeat(count), "60,0,1\n".repeat(11))
    }

    #[test]
    fn features_are_numbers_codes_and_what_is_missing() {
        let text = format!("test,ill,age,kind\n{}1,1,9,9\n0,1,50,2\n", "0,1,50,2\n0,0,,\n".repeat(21));
        let features = features(&["age", "kind=2", "kind=3", "age?"]);
        let table = Table::read(&text, &features, &selection(), false).expect("a table");
        assert_eq!(table.len(), 43);
        let groups: Vec<_> = table.groups().collect();
        assert_eq!((groups.len(), table.blocks().count()), (2 * GROUPS, 2));
        for row in 0..2 * BLOCK {
            let (values, labels) = groups[row / LANES];
            let values: Vec<_> = values.iter().map(|values| values[row % LANES]).collect();
            let label = labels[row % LANES];
            if row >= 43 {
                assert!(label.is_nan() && values.iter().all(|value| value.is_nan()));
            } else if row % 2 == 0 {
                assert_eq!((label, &values[..]), (1.0, &[50.0, 1.0, 0.0, 0.0][..]));
            } else {
                assert!(label == 0.0 && values[..3].iter().all(|value| value.is_nan()) && values[3] == 1.0);
            }
        }
    }

    #[test]
    fn features_are_written_as_they_are_read() {
        for text in ["age", "thal=7", "thal=-0.5", "thal?"] {
            assert_eq!(Feature::parse(text).map(|feature| feature.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "?", "=1", "a=", "a=b", "a=nan"] {
            assert!(Feature::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn missing_values_become_the_mean() {
        let lanes = |first, second| std::array::from_fn(|lane| [first, second, f64::NAN][lane.min(2)]);
        let values = vec![lanes(3.0, 1.0), lanes(f64::NAN, 5.0)];
        let mut table = Table { width: 2, rows: 2, values, labels: vec![lanes(0.0, 1.0)] };
        table.standardize(&[2.0, 4.0], &[1.0, 0.5]);
        assert_eq!(table.values[0][..3], [1.0, -1.0, 0.0]);
        assert_eq!(table.values[1][..3], [0.0, 2.0, 0.0]);
    }

    #[test]
    fn fewer_than_ten_rows_are_refused_whatever_is_asked_for() {
        let read = |count, min_rows, held_out| {
            let selection = Selection { min_rows, ..selection() };
            Table::read(&rows(count), &features(&["age"]), &selection, held_out).map(|table| table.len())
        };
        assert_eq!(read(10, 0, false), Ok(10));
        assert_eq!(read(9, 0, true), Ok(11));
        assert!(read(9, 0, false).is_err_and(|error| error.to_string().contains("fewer than 10")));
        assert!(read(19, 20, false).is_err_and(|error| error.to_string().contains("fewer than 20")));
    }

    #[test]
    fn errors_name_lines_and_columns_but_no_values() {
        let cases = [
            ("age,ill\n50,1\n", "there is no column \"test\""),
            ("age,ill,test,age\n", "there are two columns \"age\""),
            ("", "there is no column \"ill\""),
            ("age,ill,test\n1,1,0\n1,1\n", "line 3: 2 fields, expected 3"),
            ("age,ill,test\nsecret,1,0\n", "line 2: \"age\" is no number"),
            ("age,ill,test\ninf,1,0\n", "line 2: \"age\" is no number"),
            ("age,ill,test\n1,2,0\n", "line 2: \"ill\" is neither 0 nor 1"),
            ("age,ill,test\n1,,0\n", "line 2: \"ill\" is neither 0 nor 1"),
            ("age,ill,test\n1,1,\n", "line 2: \"test\" is neither 0 nor 1"),
        ];
        for (text, said) in cases {
            assert_eq!(Table::read(text, &features(&["age"]), &selection(), false), Err(Error::new(said)), "{text}");
        }
    }
}

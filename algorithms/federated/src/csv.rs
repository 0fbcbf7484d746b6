//! CSV ([RFC 4180](https://www.rfc-editor.org/rfc/rfc4180)), line by line.

use crate::error::Error;
use std::borrow::Cow;

/// Fields of a line at most.
const MOST_FIELDS: usize = 1000;

/// Whole numbers of so many digits are exact, and so are the powers of ten up to there: a division of two is right to the last bit.
const EXACT: usize = 15;
const POWERS: [f64; EXACT + 1] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A finite number as CSV has it.
pub fn number(text: &str) -> Option<f64> {
    // Rust reads "inf" and "nan" as well.
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The same, quickly where it has few digits and no exponent.
fn decimal(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mut whole, mut digits, mut point) = (0_i64, 0, None);
    for byte in unsigned.bytes() {
        match byte {
            b'0'..=b'9' => {
                whole = whole.wrapping_mul(10).wrapping_add((byte - b'0').into());
                digits += 1;
            }
            b'.' if point.is_none() => point = Some(digits),
            _ => return number(text),
        }
    }
    if !(1..=EXACT).contains(&digits) {
        return number(text);
    }
    let value = whole as f64 / POWERS[digits - point.unwrap_or(digits)];
    Some(if unsigned.len() < text.len() { -value } else { value })
}

/// Where in the text it is.
pub struct Reader<'a> {
    text: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    /// From the first line. A mark of the byte order before it is left out.
    pub fn new(text: &'a str) -> Self {
        Self { text: text.strip_prefix('\u{feff}').unwrap_or(text), line: 0 }
    }

    /// The number of the line that was read last, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Reads the fields of the next line that is not empty. Whether there is one.
    ///
    /// # Errors
    ///
    /// For quotes that do not match and lines of more than 1000 fields, with the line's number.
    pub fn next(&mut self, fields: &mut Vec<Cow<'a, str>>) -> Result<bool, Error> {
        fields.clear();
        while let Some(rest) = self.text.strip_prefix("\r\n").or_else(|| self.text.strip_prefix('\n')) {
            self.text = rest;
            self.line += 1;
        }
        if self.text.is_empty() {
            return Ok(false);
        }
        self.line += 1;
        let number = self.line;
        loop {
            if fields.len() == MOST_FIELDS {
                return Err(Error::new(format!("line {number} has more than {MOST_FIELDS} fields")));
            }
            let field = match self.text.strip_prefix('"') {
                Some(quoted) => {
                    Cow::Owned(self.quoted(quoted).map_err(|error| error.within(format_args!("line {number}")))?)
                }
                None => {
                    let ends = |byte: u8| matches!(byte, b',' | b'\n' | b'"');
                    let end = self.text.bytes().position(ends).unwrap_or(self.text.len());
                    let (field, rest) = self.text.split_at(end);
                    self.text = rest;
                    // The end of a line on Windows.
                    let ends = rest.is_empty() || rest.starts_with('\n');
                    Cow::Borrowed(if ends { field.strip_suffix('\r').unwrap_or(field) } else { field })
                }
            };
            fields.push(field);
            let (more, rest) = match self.text.as_bytes() {
                [b',', ..] => (true, &self.text[1..]),
                [b'\n', ..] => (false, &self.text[1..]),
                [b'\r', b'\n', ..] => (false, &self.text[2..]),
                [] | [b'\r'] => (false, ""),
                [b'\r', ..] => return Err(Error::new(format!("line {number}: something after a quoted field"))),
                _ => return Err(Error::new(format!("line {number}: a quote within a field, or text after one"))),
            };
            self.text = rest;
            if !more {
                return Ok(true);
            }
        }
    }

    /// Reads the next line if it has as many fields as there is room for and all are numbers, or empty, without anything around them, as
    /// most lines have. Empty ones are not a number. Whether it was such a line; nothing was read if not.
    pub fn numbers(&mut self, values: &mut [f64]) -> bool {
        let (bytes, mut at, last) = (self.text.as_bytes(), 0, values.len().saturating_sub(1));
        for (index, value) in values.iter_mut().enumerate() {
            let (start, mut whole) = (at, 0_i64);
            let mut byte = loop {
                let byte = bytes.get(at).copied().unwrap_or(b'\n');
                let digit = byte.wrapping_sub(b'0');
                if digit > 9 {
                    break byte;
                }
                whole = whole.wrapping_mul(10).wrapping_add(digit.into());
                at += 1;
            };
            *value = if at == start && byte != b'-' && byte != b'.' {
                f64::NAN
            } else if byte != b'.' && (1..=EXACT).contains(&(at - start)) {
                whole as f64
            } else {
                at += bytes[at..].iter().position(|byte| matches!(byte, b',' | b'\n')).unwrap_or(bytes.len() - at);
                byte = bytes.get(at).copied().unwrap_or(b'\n');
                let Some(value) = decimal(&self.text[start..at]) else { return false };
                value
            };
            let end = if index == last { b'\n' } else { b',' };
            // A line without anything is none.
            if byte != end || at == 0 && index == last {
                return false;
            }
            at += 1;
        }
        self.text = self.text.get(at..).unwrap_or_default();
        self.line += 1;
        true
    }

    /// The field whose opening quote was taken.
    fn quoted(&mut self, mut text: &'a str) -> Result<String, Error> {
        let mut field = String::new();
        loop {
            let (part, rest) = text.split_once('"').ok_or_else(|| Error::new("a quote that does not end"))?;
            self.line += part.matches('\n').count();
            field.push_str(part);
            match rest.strip_prefix('"') {
                Some(more) => {
                    field.push('"');
                    text = more;
                }
                None => {
                    self.text = rest;
                    return Ok(field);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Vec<String>>, Error> {
        let (mut reader, mut fields, mut lines) = (Reader::new(text), Vec::new(), Vec::new());
        while reader.next(&mut fields)? {
            lines.push(fields.iter().map(|field| field.clone().into_owned()).collect());
        }
        Ok(lines)
    }

    #[test]
    fn fields_quotes_and_ends_of_lines_are_read() {
        let text = "\u{feff}a,b\r\n\r\n1,\"x, \"\"y\"\"\nz\"\r\n\n,\n\"\",2";
        let lines = [vec!["a", "b"], vec!["1", "x, \"y\"\nz"], vec!["", ""], vec!["", "2"]];
        assert_eq!(read(text), Ok(lines.map(|line| line.into_iter().map(str::to_owned).collect()).to_vec()));
        assert_eq!(read("a\r"), Ok(vec![vec!["a".to_owned()]]));
        assert_eq!(read(""), Ok(vec![]));
    }

    #[test]
    fn quotes_that_do_not_match_are_refused_with_their_line() {
        for text in ["a\n\"b", "a\nb\"c\"", "a\n\"b\"c", "a\n\"b\"\rc", "a\n\"b\"\"", "a\n1\"\""] {
            assert!(read(text).is_err_and(|error| error.to_string().starts_with("line 2")), "{text:?}");
        }
        assert!(read(&",".repeat(2000)).is_err());
    }

    #[test]
    fn lines_of_numbers_are_read_as_the_others_are() {
        let lines = [
            "1,2.5,\n-3,999999999999999,1234567890123456789\n",
            ",,\n0,-0,0.1",
            "5.,-.5,00.10\n-1.25,123456789.012345,1234567.890123456\n",
            "1,2,3.4.5\n",
            "1,2,--3\n",
            "1,2,-.\n",
            "1,2\n",
            "1,2,3,4\n",
            "1,2,-\n",
            "1,2,.\n",
            "1, 2,3\n",
            "1,\"2\",3\n",
            "1,2,3\r\n",
            "\n1,2,3\n",
            "1,2,1e3\n",
            "1,2,\u{e4}\n",
            "",
        ];
        for text in lines {
            let (mut fast, mut values) = (Reader::new(text), [0.0; 3]);
            while fast.numbers(&mut values) {
                let (mut slow, mut fields) = (Reader::new(text), Vec::new());
                while slow.line() < fast.line() {
                    assert_eq!(slow.next(&mut fields), Ok(true), "{text:?}");
                }
                let bits = |value: Option<f64>| value.filter(|value| !value.is_nan()).map(f64::to_bits);
                let same: Vec<_> = fields.iter().map(|field| bits(number(field))).collect();
                assert_eq!(values.map(|value| bits(Some(value))), same[..], "{text:?}");
                assert_eq!(slow.text, fast.text, "{text:?}");
            }
            // What it does not take it leaves.
            let before = fast.text;
            assert!(!fast.numbers(&mut values) && fast.text == before);
        }
        let (mut reader, mut values) = (Reader::new(lines[0]), [0.0; 3]);
        assert!(reader.numbers(&mut values) && values[..2] == [1.0, 2.5] && values[2].is_nan());
        assert!(reader.numbers(&mut values) && reader.line() == 2 && !reader.numbers(&mut values));
    }

    #[test]
    fn the_number_of_a_line_counts_those_within_quotes() {
        let (mut reader, mut fields) = (Reader::new("a\n\"1\n2\"\n\n3"), Vec::new());
        while reader.next(&mut fields).is_ok_and(|more| more) {}
        assert_eq!(reader.line(), 5);
    }
}

//! CSV ([RFC 4180](https://www.rfc-editor.org/rfc/rfc4180)), line by line.

use crate::error::Error;
use std::borrow::Cow;

/// Fields of a line at most.
const MOST_FIELDS: usize = 1000;

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
    fn the_number_of_a_line_counts_those_within_quotes() {
        let (mut reader, mut fields) = (Reader::new("a\n\"1\n2\"\n\n3"), Vec::new());
        while reader.next(&mut fields).is_ok_and(|more| more) {}
        assert_eq!(reader.line(), 5);
    }
}

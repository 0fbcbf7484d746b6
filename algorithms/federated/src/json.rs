//! JSON ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)), as much as this program needs of it.

use crate::error::Error;
use std::fmt::{self, Write as _};

/// Arrays and objects within each other at most.
const DEPTH: usize = 32;

/// The bits of -0.0.
const SIGNED_ZERO: u64 = 1 << 63;

/// A value. Numbers are 64-bit floats, written with as many digits as it takes to read the same one back.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(f64),
    String(String),
    Array(Vec<Value>),
    /// In the order of the text; no key is there twice.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// Reads a text that is one value.
    ///
    /// # Errors
    ///
    /// Says at which byte the text is no JSON. Numbers beyond what a float can hold, keys that are there twice and more than
    /// 32 levels are refused as well.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut parser = Parser { text, at: 0 };
        let value = parser.value(DEPTH)?;
        parser.space();
        if parser.at < text.len() { Err(parser.error("something after the value")) } else { Ok(value) }
    }

    /// An object of these.
    pub fn object<const N: usize>(entries: [(&str, Value); N]) -> Self {
        Self::Object(entries.map(|(key, value)| (key.to_owned(), value)).to_vec())
    }

    /// An array of numbers.
    pub fn numbers(numbers: &[f64]) -> Self {
        Self::Array(numbers.iter().map(|number| Self::Number(*number)).collect())
    }

    /// An array of strings.
    pub fn strings(strings: impl IntoIterator<Item = impl fmt::Display>) -> Self {
        Self::Array(strings.into_iter().map(|string| Self::String(string.to_string())).collect())
    }

    /// What an object has under a key.
    ///
    /// # Errors
    ///
    /// If this is no object, or has no such key.
    pub fn get(&self, key: &str) -> Result<&Self, Error> {
        self.find(key).ok_or_else(|| Error::new(format!("expected an object with `{key}`")))
    }

    /// What an object has under a key, if it has.
    pub fn find(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The number under a key.
    pub fn number(&self, key: &str) -> Result<f64, Error> {
        match self.get(key)? {
            Self::Number(number) => Ok(*number),
            _ => Err(Error::new(format!("`{key}` is no number"))),
        }
    }

    /// The number under a key, which counts something: 0, 1, 2, up to 2^53.
    pub fn count(&self, key: &str) -> Result<f64, Error> {
        self.number(key).and_then(|number| if is_count(number) { Ok(number) } else { Err(no_count(key)) })
    }

    /// The numbers under a key, of which there are so many.
    pub fn list(&self, key: &str, length: usize) -> Result<Vec<f64>, Error> {
        let Self::Array(values) = self.get(key)? else { return Err(Error::new(format!("`{key}` is no array"))) };
        if values.len() != length {
            return Err(Error::new(format!("`{key}` has {} values, expected {length}", values.len())));
        }
        let number = |value: &Self| match value {
            Self::Number(number) => Ok(*number),
            _ => Err(Error::new(format!("`{key}` has values that are no numbers"))),
        };
        values.iter().map(number).collect()
    }

    /// As [`list`](Self::list), of numbers that count something.
    pub fn counts(&self, key: &str, length: usize) -> Result<Vec<f64>, Error> {
        let counts = self.list(key, length)?;
        if counts.iter().all(|count| is_count(*count)) { Ok(counts) } else { Err(no_count(key)) }
    }

    /// Whether no number in it is infinite or none at all: such cannot be written.
    pub fn is_finite(&self) -> bool {
        match self {
            Self::Number(number) => number.is_finite(),
            Self::Array(values) => values.iter().all(Self::is_finite),
            Self::Object(entries) => entries.iter().all(|(_, value)| value.is_finite()),
            _ => true,
        }
    }
}

/// A string as JSON has it, for messages: whatever is in it, it stays on its line.
pub fn quoted(text: &str) -> impl fmt::Display {
    Value::String(text.to_owned())
}

fn is_count(number: f64) -> bool {
    (0.0..=9_007_199_254_740_992.0).contains(&number) && number.fract() == 0.0
}

fn no_count(key: &str) -> Error {
    Error::new(format!("`{key}` is to count something: 0, 1, 2, up to 2^53"))
}

impl fmt::Display for Value {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => to.write_str("null"),
            Self::Bool(value) => write!(to, "{value}"),
            // Whole numbers as such. A float's debug form is the shortest that reads back as the same, and JSON.
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 && number.to_bits() != SIGNED_ZERO => {
                write!(to, "{}", *number as i64)
            }
            Self::Number(number) => write!(to, "{number:?}"),
            Self::String(string) => quote(string, to),
            Self::Array(values) => {
                to.write_char('[')?;
                for (index, value) in values.iter().enumerate() {
                    write!(to, "{}{value}", if index == 0 { "" } else { ", " })?;
                }
                to.write_char(']')
            }
            Self::Object(entries) => {
                to.write_char('{')?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    to.write_str(if index == 0 { "" } else { ", " })?;
                    quote(key, to)?;
                    write!(to, ": {value}")?;
                }
                to.write_char('}')
            }
        }
    }
}

fn quote(string: &str, to: &mut fmt::Formatter<'_>) -> fmt::Result {
    to.write_char('"')?;
    for character in string.chars() {
        match character {
            '"' | '\\' => write!(to, "\\{character}")?,
            '\0'..='\x1f' => write!(to, "\\u{:04x}", character as u32)?,
            _ => to.write_char(character)?,
        }
    }
    to.write_char('"')
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn error(&self, said: &str) -> Error {
        Error::new(format!("no JSON at byte {}: {said}", self.at))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes this byte if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        let Some(inner) = depth.checked_sub(1) else { return Err(self.error("more than 32 levels")) };
        self.space();
        match self.peek() {
            Some(b'{') => self.object(inner),
            Some(b'[') => self.array(inner),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            _ => {
                for (word, value) in [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))]
                {
                    if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.error("expected a value"))
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Error> {
        self.at += 1;
        let mut values = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Value::Array(values));
        }
        loop {
            values.push(self.value(depth)?);
            self.space();
            if self.take(b']') {
                return Ok(Value::Array(values));
            }
            if !self.take(b',') {
                return Err(self.error("expected `,` or `]`"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Error> {
        self.at += 1;
        let mut entries: Vec<(String, Value)> = Vec::new();
        self.space();
        if self.take(b'}') {
            return Ok(Value::Object(entries));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.error("expected a key"));
            }
            let key = self.string()?;
            // So few that nobody can make this slow.
            if entries.len() >= 1000 || entries.iter().any(|(name, _)| *name == key) {
                return Err(self.error("a key that is there already, or more than 1000 of them"));
            }
            self.space();
            if !self.take(b':') {
                return Err(self.error("expected `:`"));
            }
            entries.push((key, self.value(depth)?));
            self.space();
            if self.take(b'}') {
                return Ok(Value::Object(entries));
            }
            if !self.take(b',') {
                return Err(self.error("expected `,` or `}`"));
            }
        }
    }

    fn digits(&mut self) -> Result<usize, Error> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.error("expected a digit")) } else { Ok(self.at - start) }
    }

    fn number(&mut self) -> Result<f64, Error> {
        let start = self.at;
        self.take(b'-');
        let zero = self.peek() == Some(b'0');
        if self.digits()? > 1 && zero {
            return Err(self.error("a number that begins with zero"));
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        match self.text[start..self.at].parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(self.error("a number too large for a 64-bit float")),
        }
    }

    fn string(&mut self) -> Result<String, Error> {
        self.at += 1;
        let mut string = String::new();
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte != b'"' && byte != b'\\' && byte >= b' ') {
                self.at += 1;
            }
            string.push_str(&self.text[start..self.at]);
            if self.take(b'"') {
                return Ok(string);
            }
            if !self.take(b'\\') {
                return Err(self.error("a string without end, or with a control character"));
            }
            let escape = self.peek().ok_or_else(|| self.error("a string without end"))?;
            self.at += 1;
            string.push(match escape {
                b'"' | b'\\' | b'/' => escape.into(),
                b'b' => '\x08',
                b'f' => '\x0c',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => self.escaped()?,
                _ => return Err(self.error("an unknown escape")),
            });
        }
    }

    /// What follows `\u`.
    fn escaped(&mut self) -> Result<char, Error> {
        let mut code = self.hexadecimal()?;
        if (0xd800..0xdc00).contains(&code) && self.take(b'\\') && self.take(b'u') {
            let low = self.hexadecimal()?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(self.error("half of a character"));
            }
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        char::from_u32(code).ok_or_else(|| self.error("half of a character"))
    }

    fn hexadecimal(&mut self) -> Result<u32, Error> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.error("expected four hexadecimal digits"))?;
            self.at += 1;
        }
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_exactly() {
        let numbers = [0.1, -2.6, 1e300, 5e-324, 1.0 / 3.0, 1e15, 123456789012345680.0, -0.75, 42.0, -0.0, f64::MAX];
        let value = Value::object([
            ("numbers", Value::numbers(&numbers)),
            ("text\n", Value::String("\"quoted\" \\ \u{1f600} \u{1}".into())),
            ("nothing", Value::Array(vec![Value::Null, Value::Bool(true), Value::object([])])),
        ]);
        assert_eq!(Value::parse(&value.to_string()), Ok(value.clone()));
        // -0.0 and 0.0 are equal, but not the same.
        let read = Value::parse(&value.to_string()).and_then(|value| value.list("numbers", numbers.len()));
        assert_eq!(
            read.map(|read| read.iter().map(|number| number.to_bits()).collect()),
            Ok(numbers.map(f64::to_bits).to_vec())
        );
    }

    #[test]
    fn texts_of_the_standard_are_read() {
        let value = Value::parse(" {\"a\" : [1, -0.5e+2 , \"\\u00e4\\ud83d\\ude00\\/\"] ,\"b\":{ }}\r\n");
        let list = Value::Array(vec![Value::Number(1.0), Value::Number(-50.0), Value::String("ä\u{1f600}/".into())]);
        assert_eq!(value, Ok(Value::object([("a", list), ("b", Value::object([]))])));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            " ",
            "{",
            "[1",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "-",
            "1 2",
            "nul",
            "\"",
            "\"\\",
            "\"\\u12",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\x\"",
            "\"\n\"",
            "1e999",
            "NaN",
            "{\"a\":1,\"a\":2}",
            "ä",
            &deep,
        ] {
            assert!(Value::parse(text).is_err(), "{text}");
        }
    }
}

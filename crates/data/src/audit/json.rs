//! JSON that all readers read alike.
//!
//! Of a key that an object has twice, some readers take the first value and others the last, so that a document could show people another
//! thing than what is compared here. And `serde_json` takes one key for itself (`$serde_json::private::RawValue`) and reads what is in its
//! string; here it is a key like any other.

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use std::fmt;

/// Reads a document.
///
/// # Errors
///
/// If it is no JSON, or an object of it has a key twice.
pub(crate) fn read(text: &[u8]) -> serde_json::Result<Value> {
    Ok(serde_json::from_slice::<Unique>(text)?.0)
}

/// A value in which no object has a key twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, is: bool) -> Result<Value, E> {
        Ok(is.into())
    }

    fn visit_u64<E>(self, is: u64) -> Result<Value, E> {
        Ok(is.into())
    }

    fn visit_i64<E>(self, is: i64) -> Result<Value, E> {
        Ok(is.into())
    }

    fn visit_f64<E>(self, is: f64) -> Result<Value, E> {
        Ok(is.into())
    }

    fn visit_str<E>(self, is: &str) -> Result<Value, E> {
        Ok(is.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("an object has the key {key:?} twice")));
            }
            let Unique(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_an_object_has_twice_is_named_wherever_it_is() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"b":{"a":1,"c":2,"a":3}}"#,
            r#"[0,[{"a":null,"\u0061":[]}]]"#,
            r#"{"$serde_json::private::RawValue":"{}","a":1,"a":2}"#,
        ] {
            let why = read(text.as_bytes()).unwrap_err().to_string();
            assert!(why.starts_with("an object has the key \"a\" twice at line 1 column "), "{text}: {why}");
        }
        assert!(read(br#"[{"a":1},{"a":{"a":2}}]"#).is_ok(), "each object has its own");
    }

    #[test]
    fn else_a_document_is_read_as_it_is() {
        for text in [
            r#"{"a":[null,true,false,0,-0,-1,18446744073709551615,-9223372036854775808,1e300,0.1],"b":"\u00e9\n","":{}}"#,
            "[]",
            " null ",
            "\"a\"",
        ] {
            assert_eq!(read(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
        for text in ["", "{", "{} {}", r#"{"a":1,}"#, "01", "[".repeat(1000).as_str()] {
            assert!(read(text.as_bytes()).is_err());
        }
        assert!(read(b"\"\xff\"").is_err(), "it is no UTF-8");
        let raw = r#"{"$serde_json::private::RawValue":"[1]"}"#;
        assert_eq!(read(raw.as_bytes()).unwrap().to_string(), raw, "what a string holds is text");
    }
}

//! Numbers as development tools write them.

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, de};
use std::fmt;

/// A number of at most 256 bits: a JSON integer, hexadecimal with or without leading zeros, or decimal in quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number(pub U256);

/// The same of at most 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number64(pub u64);

fn number(text: &str) -> Result<U256, String> {
    let invalid = || format!("invalid value {:?}: not a number", text.chars().take(80).collect::<String>());
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // Hardhat's helpers write zero so.
        Some("") => return Ok(U256::ZERO),
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    if digits.is_empty() || digits.len() > 80 || !digits.bytes().all(|digit| char::from(digit).is_digit(radix)) {
        return Err(invalid());
    }
    U256::from_str_radix(digits, radix.into()).map_err(|_| invalid())
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Number;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a non-negative integer")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(U256::from(number)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                number(text).map(Number).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl<'de> Deserialize<'de> for Number64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Number(number) = Number::deserialize(deserializer)?;
        let small = u64::try_from(number).map_err(|_| de::Error::custom("must be less than 2^64"))?;
        Ok(Self(small))
    }
}

/// Milliseconds between blocks: one number, or the least and the most of a random one. Zero is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Interval {
    Fixed(u64),
    Range([u64; 2]),
}

impl Interval {
    /// Least and most, `None` for no mining.
    ///
    /// # Errors
    ///
    /// If the least is more than the most.
    pub fn bounds(self) -> Result<Option<(u64, u64)>, crate::RpcError> {
        match self {
            Self::Fixed(0) => Ok(None),
            Self::Fixed(interval) => Ok(Some((interval, interval))),
            Self::Range([least, most]) if least > most => {
                Err(crate::RpcError::invalid_params("Minimum value in range is greater than maximum value"))
            }
            Self::Range([least, most]) => Ok(Some((least.max(1), most.max(1)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(json: &str) -> Option<U256> {
        serde_json::from_str::<Number>(json).ok().map(|Number(number)| number)
    }

    #[test]
    fn numbers_are_read_in_every_form_the_tools_write() {
        for json in ["10", r#""0xa""#, r#""0x0a""#, r#""10""#] {
            assert_eq!(read(json), Some(U256::from(10)), "{json}");
        }
        assert_eq!(read(r#""0x""#), Some(U256::ZERO));
        for json in ["-1", "1.5", r#""""#, r#""ten""#, r#""0xg""#, "null", "[]", r#""+1""#] {
            assert_eq!(read(json), None, "{json}");
        }
        assert_eq!(read(&format!("\"0x{}\"", "f".repeat(64))), Some(U256::MAX));
        assert_eq!(read(&format!("\"0x1{}\"", "0".repeat(64))), None);
        assert!(serde_json::from_str::<Number64>(r#""0x10000000000000000""#).is_err());
    }

    #[test]
    fn intervals_are_a_number_or_a_range() {
        let bounds = |json| serde_json::from_str::<Interval>(json).unwrap().bounds();
        assert_eq!(bounds("0").unwrap(), None);
        assert_eq!(bounds("500").unwrap(), Some((500, 500)));
        assert_eq!(bounds("[100, 200]").unwrap(), Some((100, 200)));
        assert!(bounds("[200, 100]").is_err());
        assert!(serde_json::from_str::<Interval>(r#""1""#).is_err());
    }

    proptest! {
        #[test]
        fn every_number_comes_back(limbs: [u64; 4]) {
            let number = U256::from_limbs(limbs);
            prop_assert_eq!(read(&format!("\"{number}\"")), Some(number));
            prop_assert_eq!(read(&format!("\"{number:#x}\"")), Some(number));
        }
    }
}

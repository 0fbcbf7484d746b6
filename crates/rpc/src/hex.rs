//! Hex in JSON, read as strictly as geth reads it and refused with the same words.
//!
//! A *quantity* is a number without leading zeros (`0x0`, `0x2a`); *data* are bytes, two digits each. The types here
//! exist for reading parameters; what goes out is written by [`crate::view`].

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use serde::{Deserialize, Deserializer, Serializer, de};
use std::fmt;

/// A quantity of at most 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uint64(pub u64);

/// A quantity of at most 256 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Big(pub U256);

/// Bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data(pub Bytes);

/// Exactly 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hash(pub B256);

/// A storage slot: up to 32 bytes, with or without leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub U256);

/// Exactly 20 bytes, upper or lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account(pub Address);

fn digits(text: &str) -> Result<&str, String> {
    if text.is_empty() {
        return Err("empty hex string".into());
    }
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).ok_or_else(|| "hex string without 0x prefix".into())
}

/// Reads a quantity.
///
/// # Errors
///
/// Geth's words for what is wrong with it.
pub fn quantity(text: &str, bits: usize) -> Result<U256, String> {
    let digits = digits(text)?;
    if digits.is_empty() {
        return Err("hex string \"0x\"".into());
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return Err("hex number with leading zero digits".into());
    }
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("invalid hex string".into());
    }
    if digits.len() > bits / 4 {
        return Err(format!("hex number > {bits} bits"));
    }
    U256::from_str_radix(digits, 16).map_err(|_| "invalid hex string".into())
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let digits = digits(text)?;
    if digits.len() % 2 == 1 {
        return Err("hex string of odd length".into());
    }
    hex::decode(digits).map_err(|_| "invalid hex string".into())
}

fn fixed<const N: usize>(text: &str, type_name: &str) -> Result<[u8; N], String> {
    let digits = digits(text)?;
    let mut out = [0; N];
    if digits.len() != 2 * N {
        if digits.len() % 2 == 1 {
            return Err("hex string of odd length".into());
        }
        return Err(format!("hex string has length {}, want {} for {type_name}", digits.len(), 2 * N));
    }
    hex::decode_to_slice(digits, &mut out).map_err(|_| "invalid hex string")?;
    Ok(out)
}

/// Reads a storage slot.
///
/// # Errors
///
/// Geth's words for what is wrong with it.
pub(crate) fn slot(text: &str) -> Result<U256, String> {
    // Any number of digits up to 64, as geth takes for `eth_getStorageAt`.
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if digits.len() > 64 {
        return Err("storage key too long (want at most 32 bytes)".into());
    }
    if digits.is_empty() {
        return Ok(U256::ZERO);
    }
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("invalid hex in storage key".into());
    }
    U256::from_str_radix(digits, 16).map_err(|_| "invalid hex in storage key".into())
}

macro_rules! from_string {
    ($type:ident, $name:literal, $read:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $type;

                    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                        formatter.write_str(concat!("a hex string for ", $name))
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        let read: fn(&str) -> Result<_, String> = $read;
                        read(text).map($type).map_err(|why| {
                            E::custom(format_args!("json: cannot unmarshal {why} into Go value of type {}", $name))
                        })
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }
    };
}

from_string!(Uint64, "hexutil.Uint64", |text| quantity(text, 64).map(|number| number.to()));
from_string!(Big, "hexutil.Big", |text| quantity(text, 256));
from_string!(Data, "hexutil.Bytes", |text| bytes(text).map(Bytes::from));
from_string!(Hash, "common.Hash", |text| fixed::<32>(text, "common.Hash").map(B256::from));
from_string!(Slot, "common.Hash", slot);
from_string!(Account, "common.Address", |text| fixed::<20>(text, "common.Address").map(Address::from));

/// Writes a number as a quantity, for `#[serde(serialize_with)]`.
pub(crate) fn to_quantity<T: fmt::LowerHex, S: Serializer>(number: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{number:#x}"))
}

/// The same for a number that may be missing.
pub(crate) fn to_quantity_opt<T: fmt::LowerHex, S: Serializer>(
    number: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => to_quantity(number, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused<T: for<'de> Deserialize<'de>>(json: &str) -> String {
        match serde_json::from_str::<T>(json) {
            Ok(_) => panic!("{json} was accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn quantities_are_read_strictly() {
        assert_eq!(serde_json::from_str::<Uint64>(r#""0x0""#).unwrap(), Uint64(0));
        assert_eq!(serde_json::from_str::<Uint64>(r#""0xffffffffffffffff""#).unwrap(), Uint64(u64::MAX));
        for (json, why) in [
            (r#""""#, "empty hex string"),
            (r#""12""#, "hex string without 0x prefix"),
            (r#""0x""#, "hex string \"0x\""),
            (r#""0x01""#, "hex number with leading zero digits"),
            (r#""0xg""#, "invalid hex string"),
            (r#""0x10000000000000000""#, "hex number > 64 bits"),
            ("12", "invalid type: integer"),
            ("null", "invalid type: null"),
        ] {
            let said = refused::<Uint64>(json);
            assert!(said.contains(why), "{json}: {said}");
        }
        assert!(refused::<Big>(&format!("\"0x1{}\"", "0".repeat(64))).contains("hex number > 256 bits"));
    }

    #[test]
    fn data_need_whole_bytes_of_the_right_number() {
        assert!(refused::<Data>(r#""0xabc""#).contains("hex string of odd length"));
        assert!(refused::<Account>(r#""0xab""#).contains("hex string has length 2, want 40 for common.Address"));
        assert!(refused::<Hash>(r#""0xab""#).contains("want 64 for common.Hash"));
        assert_eq!(serde_json::from_str::<Data>(r#""0x""#).unwrap(), Data::default());
    }

    #[test]
    fn a_slot_may_be_short_or_padded() {
        assert_eq!(serde_json::from_str::<Slot>(r#""0x0""#).unwrap(), Slot(U256::ZERO));
        let padded = format!("\"0x{:064x}\"", 5);
        assert_eq!(serde_json::from_str::<Slot>(&padded).unwrap(), Slot(U256::from(5)));
        assert!(refused::<Slot>(&format!("\"0x{}\"", "0".repeat(65))).contains("too long"));
    }

    proptest! {
        #[test]
        fn every_number_comes_back(number: [u64; 4]) {
            let number = U256::from_limbs(number);
            prop_assert_eq!(serde_json::from_str::<Big>(&format!("\"{number:#x}\"")).unwrap(), Big(number));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let json = serde_json::to_string(&text).unwrap();
            let _ = serde_json::from_str::<Uint64>(&json);
            let _ = serde_json::from_str::<Big>(&json);
            let _ = serde_json::from_str::<Data>(&json);
            let _ = serde_json::from_str::<Account>(&json);
            let _ = serde_json::from_str::<Slot>(&json);
        }
    }
}

//! Positional parameters, and the ways to name a block.

use crate::{
    RpcError,
    hex::{Hash, quantity},
};
use alloy_primitives::B256;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use std::{fmt, marker::PhantomData};

/// More than any method takes: a parameter list is cut off here, however long it is.
const MAX_PARAMETERS: usize = 16;

/// The parameters of one request, still as JSON text. Cheap to clone and to move to a worker.
#[derive(Clone, Debug, Default)]
pub struct Params {
    json: Option<Bytes>,
}

/// Up to [`MAX_PARAMETERS`] raw values of an array.
struct Values<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Values<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Values<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut sequence: A) -> Result<Values<'de>, A::Error> {
                let mut values = Vec::with_capacity(4);
                while let Some(value) = sequence.next_element()? {
                    if values.len() == MAX_PARAMETERS {
                        return Err(de::Error::custom(format_args!(
                            "too many arguments, want at most {MAX_PARAMETERS}"
                        )));
                    }
                    values.push(value);
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_seq(Visitor)
    }
}

/// A list of which one value more than `MOST` is kept at most, so that a long one takes no memory and whoever counts sees that it
/// is too long.
#[derive(Debug)]
pub(crate) struct Few<T, const MOST: usize>(pub Vec<T>);

impl<T, const MOST: usize> Default for Few<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Few<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> de::Visitor<'de> for Visitor<T, MOST> {
            type Value = Few<T, MOST>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while values.len() <= MOST
                    && let Some(value) = sequence.next_element()?
                {
                    values.push(value);
                }
                while sequence.next_element::<de::IgnoredAny>()?.is_some() {}
                Ok(Few(values))
            }
        }
        deserializer.deserialize_seq(Visitor(PhantomData))
    }
}

/// What serde_json says, without the line and column, which mean nothing inside a parameter.
pub(crate) fn json_error(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(at) = text.rfind(" at line ") {
        text.truncate(at);
    }
    text
}

impl Params {
    /// Parameters given as the text of a JSON array.
    pub fn new(json: Bytes) -> Self {
        Self { json: Some(json) }
    }

    /// Bytes of the JSON text.
    pub(crate) fn size(&self) -> usize {
        self.json.as_ref().map_or(0, Bytes::len)
    }

    /// The JSON text, if there are any parameters.
    pub fn json(&self) -> Option<&str> {
        self.json.as_deref().and_then(|json| std::str::from_utf8(json).ok())
    }

    /// Reads the parameters one after the other.
    ///
    /// # Errors
    ///
    /// -32602 if they aren't an array or far too many.
    pub fn reader(&self) -> Result<Reader<'_>, RpcError> {
        let values = match self.json() {
            None => Vec::new(),
            Some("null") => Vec::new(),
            Some(json) if json.starts_with('[') => {
                serde_json::from_str::<Values<'_>>(json)
                    .map_err(|error| RpcError::invalid_params(json_error(&error)))?
                    .0
            }
            Some(_) => return Err(RpcError::invalid_params("non-array args")),
        };
        Ok(Reader { values, next: 0 })
    }

    /// For methods without parameters: checks that there are none.
    ///
    /// # Errors
    ///
    /// -32602 if there are.
    pub fn none(&self) -> Result<(), RpcError> {
        self.reader()?.end()
    }
}

/// Takes parameters in order.
pub struct Reader<'a> {
    values: Vec<&'a RawValue>,
    next: usize,
}

impl<'a> Reader<'a> {
    /// The next parameter, which must be there.
    ///
    /// # Errors
    ///
    /// -32602 if it is missing or of the wrong form.
    pub fn required<T: Deserialize<'a>>(&mut self) -> Result<T, RpcError> {
        let position = self.next;
        match self.optional()? {
            Some(value) => Ok(value),
            None => Err(RpcError::invalid_params(format!("missing value for required argument {position}"))),
        }
    }

    /// The next parameter, `None` if missing or null.
    ///
    /// # Errors
    ///
    /// -32602 if it is of the wrong form.
    pub fn optional<T: Deserialize<'a>>(&mut self) -> Result<Option<T>, RpcError> {
        let position = self.next;
        self.next += 1;
        match self.values.get(position) {
            None => Ok(None),
            Some(value) if value.get() == "null" => Ok(None),
            Some(value) => serde_json::from_str(value.get())
                .map(Some)
                .map_err(|error| RpcError::invalid_argument(position, json_error(&error))),
        }
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    ///
    /// -32602 if there are parameters that the method does not know.
    pub fn end(self) -> Result<(), RpcError> {
        if self.values.len() > self.next {
            return Err(RpcError::invalid_params(format!("too many arguments, want at most {}", self.next)));
        }
        Ok(())
    }
}

/// A block, as clients name it: by tag, number, hash, or an EIP-1898 object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockId {
    /// The newest block. `safe` and `finalized` mean the same: every block is final.
    #[default]
    Latest,
    /// The block being built on top of the newest.
    Pending,
    /// By number; `earliest` is 0.
    Number(u64),
    /// By hash.
    Hash(B256),
}

/// A block named by tag or number only, as in `eth_getBlockByNumber`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockNumber(pub BlockId);

fn tag_or_number(text: &str) -> Result<BlockId, String> {
    Ok(match text {
        "latest" | "safe" | "finalized" => BlockId::Latest,
        "pending" => BlockId::Pending,
        "earliest" => BlockId::Number(0),
        number => {
            let number: u64 = quantity(number, 64)?.to();
            if number > i64::MAX as u64 {
                return Err("block number larger than int64".into());
            }
            BlockId::Number(number)
        }
    })
}

impl<'de> Deserialize<'de> for BlockNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = BlockNumber;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a block number or tag")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<BlockNumber, E> {
                tag_or_number(text).map(BlockNumber).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

impl<'de> Deserialize<'de> for BlockId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Named {
            block_number: Option<BlockNumber>,
            block_hash: Option<Hash>,
            // Every known block is canonical, so requiring it changes nothing.
            #[serde(default, rename = "requireCanonical")]
            _require_canonical: bool,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = BlockId;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a block number, tag, hash or an object with blockNumber or blockHash")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<BlockId, E> {
                if text.len() == 66 {
                    return text.parse().map(BlockId::Hash).map_err(|_| E::custom("invalid hex string"));
                }
                tag_or_number(text).map_err(E::custom)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<BlockId, A::Error> {
                let named = Named::deserialize(de::value::MapAccessDeserializer::new(map))?;
                match (named.block_number, named.block_hash) {
                    (Some(BlockNumber(id)), None) => Ok(id),
                    (None, Some(Hash(hash))) => Ok(BlockId::Hash(hash)),
                    (Some(_), Some(_)) => {
                        Err(de::Error::custom("cannot specify both BlockHash and BlockNumber, choose one or the other"))
                    }
                    (None, None) => Err(de::Error::custom("blockNumber or blockHash is missing")),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::{Account, Uint64};

    fn params(json: &'static str) -> Params {
        Params::new(Bytes::from_static(json.as_bytes()))
    }

    #[test]
    fn parameters_are_taken_in_order() {
        let params = params(r#"["0x1", null, "0x3"]"#);
        let mut reader = params.reader().unwrap();
        assert_eq!(reader.required::<Uint64>().unwrap(), Uint64(1));
        assert_eq!(reader.optional::<Uint64>().unwrap(), None);
        assert_eq!(reader.required::<Uint64>().unwrap(), Uint64(3));
        reader.end().unwrap();
    }

    #[test]
    fn what_is_wrong_is_said_with_its_position() {
        let one = params(r#"["0x1", "zz"]"#);
        let mut reader = one.reader().unwrap();
        reader.required::<Uint64>().unwrap();
        assert_eq!(
            reader.required::<Account>().unwrap_err().message,
            "invalid argument 1: json: cannot unmarshal hex string without 0x prefix into Go value of type common.Address"
        );
        assert_eq!(reader.required::<Uint64>().unwrap_err().message, "missing value for required argument 2");
        assert_eq!(params("[1]").none().unwrap_err().message, "too many arguments, want at most 0");
        assert_eq!(params(r#"{"a":1}"#).none().unwrap_err().message, "non-array args");
    }

    #[test]
    fn a_million_parameters_are_cut_off() {
        let many = Params::new(Bytes::from(format!("[{}1]", "1,".repeat(1_000_000))));
        assert_eq!(many.reader().err().unwrap().message, "too many arguments, want at most 16");
    }

    #[test]
    fn a_long_list_is_cut_off_where_it_shows_that_it_is_too_long() {
        let read = |count: usize| serde_json::from_str::<Few<u8, 3>>(&format!("[{}1]", "1,".repeat(count))).unwrap().0;
        for (count, kept) in [(0, 1), (2, 3), (3, 4), (1_000, 4)] {
            assert_eq!(read(count).len(), kept);
        }
        assert!(serde_json::from_str::<Few<u8, 3>>("[1,1,1,1,1,1,").is_err());
        assert!(serde_json::from_str::<Few<u8, 3>>("1").is_err());
    }

    #[test]
    fn blocks_can_be_named_in_every_usual_way() {
        let hash = B256::repeat_byte(7);
        for (json, id) in [
            (r#""latest""#.into(), BlockId::Latest),
            (r#""safe""#.into(), BlockId::Latest),
            (r#""finalized""#.into(), BlockId::Latest),
            (r#""pending""#.into(), BlockId::Pending),
            (r#""earliest""#.into(), BlockId::Number(0)),
            (r#""0x10""#.into(), BlockId::Number(16)),
            (format!("\"{hash}\""), BlockId::Hash(hash)),
            (format!(r#"{{"blockHash":"{hash}","requireCanonical":true}}"#), BlockId::Hash(hash)),
            (r#"{"blockNumber":"0x2"}"#.into(), BlockId::Number(2)),
        ] {
            assert_eq!(serde_json::from_str::<BlockId>(&json).unwrap(), id, "{json}");
        }
        for json in [r#""0x01""#, r#""newest""#, r#""0xffffffffffffffff""#, "{}", "1", r#"{"blockHash":"0x1"}"#] {
            assert!(serde_json::from_str::<BlockId>(json).is_err(), "{json}");
        }
    }
}

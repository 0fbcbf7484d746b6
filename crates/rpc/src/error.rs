use alloy_primitives::{B256, Bytes, U256, hex};
use alloy_sol_types::{Panic, Revert, SolError};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::borrow::Cow;
use stoa_ledger::LedgerError;

/// The code of what was once there and is not kept (EIP-4444).
pub(crate) const NOT_KEPT: i64 = 4444;

/// A JSON-RPC error: codes and messages are those that geth gives, since programs match on them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// Error code.
    pub code: i64,
    /// What went wrong.
    pub message: Cow<'static, str>,
    /// Bytes that belong to the error: what a contract reverted with, or a transaction's hash.
    pub data: Option<Bytes>,
    /// How the data are shown.
    pub style: ErrorStyle,
}

/// How an error's data are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorStyle {
    /// As hexadecimal text.
    #[default]
    Geth,
    /// In an object beside the message, as Hardhat's network shows them.
    Hardhat {
        /// The transaction that failed on the chain, if it was one.
        transaction: Option<B256>,
    },
}

impl RpcError {
    /// An error with any code.
    pub fn new(code: i64, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), data: None, style: ErrorStyle::Geth }
    }

    /// Not JSON (-32700).
    pub fn parse(why: impl std::fmt::Display) -> Self {
        Self::new(-32700, format!("parse error: {why}"))
    }

    /// JSON, but not a request (-32600).
    pub fn invalid_request(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(-32600, why)
    }

    /// No such method (-32601).
    pub fn no_such_method(name: &str) -> Self {
        // A name can be as long as the body: the answer shows its beginning.
        let shown: String = name.chars().take(100).collect();
        Self::new(-32601, format!("the method {shown} does not exist/is not available"))
    }

    /// Wrong parameters (-32602).
    pub fn invalid_params(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(-32602, why)
    }

    /// The parameter at this position is wrong (-32602).
    pub fn invalid_argument(position: usize, why: impl std::fmt::Display) -> Self {
        Self::new(-32602, format!("invalid argument {position}: {why}"))
    }

    /// The node cannot do it (-32000).
    pub fn server(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(-32000, why)
    }

    /// A bound of the node was reached (-32005).
    pub fn limit(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(-32005, why)
    }

    /// The method has a fault of its own (-32603).
    pub(crate) fn crashed() -> Self {
        Self::new(-32603, "method handler crashed")
    }

    /// The request took too long (-32002).
    pub fn timeout() -> Self {
        Self::new(-32002, "request timed out")
    }

    /// The answer is larger than the so many bytes that the node sends (-32003).
    pub fn response_too_large(limit: usize) -> Self {
        Self::new(-32003, format!("response too large, at most {limit} bytes"))
    }

    /// The block asked for does not exist (-32000).
    pub fn header_not_found() -> Self {
        Self::server("header not found")
    }

    /// A contract reverted (3): the reason is decoded, the data are the bytes themselves.
    pub fn reverted(data: Bytes) -> Self {
        let message = match revert_reason(&data) {
            Some(reason) => format!("execution reverted: {reason}").into(),
            None => Cow::Borrowed("execution reverted"),
        };
        Self { data: Some(data), ..Self::new(3, message) }
    }
}

/// The words in `Error(string)` or `Panic(uint256)`, whose meanings are those of Solidity's documentation.
fn revert_reason(data: &[u8]) -> Option<String> {
    if let Ok(revert) = Revert::abi_decode(data) {
        return Some(revert.reason);
    }
    let panic = Panic::abi_decode(data).ok()?;
    let known: Option<u64> = (panic.code <= U256::from(u64::MAX)).then(|| panic.code.to());
    Some(match known {
        Some(0x00) => "generic panic".into(),
        Some(0x01) => "assert(false)".into(),
        Some(0x11) => "arithmetic underflow or overflow".into(),
        Some(0x12) => "division or modulo by zero".into(),
        Some(0x21) => "enum overflow".into(),
        Some(0x22) => "invalid encoded storage byte array accessed".into(),
        Some(0x31) => "out-of-bounds array access; popping on an empty array".into(),
        Some(0x32) => "out-of-bounds access of an array or bytesN".into(),
        Some(0x41) => "out of memory".into(),
        Some(0x51) => "uninitialized function".into(),
        _ => format!("unknown panic code: {:#x}", panic.code),
    })
}

impl Serialize for RpcError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", &self.code)?;
        map.serialize_entry("message", &self.message)?;
        match (&self.data, self.style) {
            (None, _) => {}
            (Some(data), ErrorStyle::Geth) => map.serialize_entry("data", &hex::encode_prefixed(data))?,
            (Some(data), ErrorStyle::Hardhat { transaction }) => {
                #[derive(Serialize)]
                #[serde(rename_all = "camelCase")]
                struct Wrapped<'a> {
                    message: &'a str,
                    #[serde(skip_serializing_if = "Option::is_none")]
                    tx_hash: Option<B256>,
                    data: &'a Bytes,
                }
                map.serialize_entry("data", &Wrapped { message: &self.message, tx_hash: transaction, data })?;
            }
        }
        map.end()
    }
}

impl From<LedgerError> for RpcError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unknown { .. } => Self::header_not_found(),
            LedgerError::Pruned { .. } => Self::server(error.to_string()),
            LedgerError::NotKept { .. } => Self::new(NOT_KEPT, format!("pruned history unavailable: {error}")),
            LedgerError::TooManyLogs { limit } => {
                Self::limit(format!("query returned more than {limit} results, narrow the block range or the filter"))
            }
            // What the disk says is for the operator, not for whoever asks.
            other => {
                tracing::error!(%other, "the ledger cannot answer");
                Self::new(-32603, "internal error: the node cannot read its data")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::bytes;

    #[test]
    fn a_revert_with_words_shows_them_and_keeps_the_bytes() {
        let data = Bytes::from(Revert::from("no").abi_encode());
        let error = RpcError::reverted(data.clone());
        assert_eq!((error.code, &*error.message, error.data), (3, "execution reverted: no", Some(data)));
    }

    #[test]
    fn a_panic_is_put_in_words() {
        let overflow = RpcError::reverted(Panic::from(0x11).abi_encode().into());
        assert_eq!(overflow.message, "execution reverted: arithmetic underflow or overflow");
        let unknown = RpcError::reverted(Panic::from(0x99).abi_encode().into());
        assert_eq!(unknown.message, "execution reverted: unknown panic code: 0x99");
    }

    #[test]
    fn a_custom_error_is_left_to_the_caller() {
        let error = RpcError::reverted(bytes!("deadbeef"));
        assert_eq!(error.message, "execution reverted");
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            r#"{"code":3,"message":"execution reverted","data":"0xdeadbeef"}"#
        );
    }

    #[test]
    fn what_a_node_does_not_keep_is_no_fault_of_its_own() {
        let error = RpcError::from(LedgerError::NotKept { asked: 1, first: 9 });
        assert_eq!(error.code, 4444);
        assert!(error.message.starts_with("pruned history unavailable: block 1 is not kept"), "{}", error.message);
        let error = RpcError::from(LedgerError::Damaged("a secret".into()));
        assert_eq!((error.code, error.message.contains("secret")), (-32603, false));
    }

    #[test]
    fn a_long_method_name_is_cut() {
        assert!(RpcError::no_such_method(&"x".repeat(1 << 20)).message.len() < 200);
    }
}

//! Failed executions in the words of Hardhat's network, for Hardhat.

use crate::{ErrorStyle, RpcError};
use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::{Panic, Revert, SolError};
use revm::context::result::{ExecutionResult, HaltReason};

/// Internal error: the code that Hardhat's network gives failed executions.
const FAILED: i64 = -32603;

/// The error for an execution that did not succeed, `None` if it did. `transaction` is the one that failed on the chain.
pub(crate) fn failure(result: &ExecutionResult, transaction: Option<B256>) -> Option<RpcError> {
    match result {
        ExecutionResult::Success { .. } => None,
        ExecutionResult::Revert { output, .. } => Some(reverted(output.clone(), transaction)),
        ExecutionResult::Halt { reason, .. } => Some(halted(reason, transaction)),
    }
}

/// The error for a revert with these bytes.
pub(crate) fn reverted(output: Bytes, transaction: Option<B256>) -> RpcError {
    let message = match reason(&output) {
        Some(reason) => format!("VM Exception while processing transaction: {reason}"),
        None => "Transaction reverted without a reason string".to_owned(),
    };
    error(FAILED, message, output, transaction)
}

fn halted(reason: &HaltReason, transaction: Option<B256>) -> RpcError {
    let (code, message) = match reason {
        HaltReason::OutOfGas(_) => (-32000, "Transaction ran out of gas".to_owned()),
        HaltReason::OpcodeNotFound | HaltReason::InvalidFEOpcode => {
            (FAILED, "VM Exception while processing transaction: invalid opcode".to_owned())
        }
        HaltReason::CreateContractSizeLimit => {
            (FAILED, "Transaction reverted: trying to deploy a contract whose code is too large".to_owned())
        }
        other => (FAILED, format!("EVM error {other:?}")),
    };
    error(code, message, Bytes::new(), transaction)
}

fn error(code: i64, message: String, output: Bytes, transaction: Option<B256>) -> RpcError {
    RpcError { data: Some(output), style: ErrorStyle::Hardhat { transaction }, ..RpcError::new(code, message) }
}

fn reason(output: &Bytes) -> Option<String> {
    if output.is_empty() {
        return None;
    }
    if let Ok(revert) = Revert::abi_decode(output) {
        return Some(format!("reverted with reason string '{}'", revert.reason));
    }
    if let Ok(panic) = Panic::abi_decode(output) {
        let code = panic.code;
        return Some(match panic_reason(code) {
            Some(reason) => format!("reverted with panic code {code:#x} ({reason})"),
            None => format!("reverted with unknown panic code {code:#x}"),
        });
    }
    Some(format!("reverted with an unrecognized custom error (return data: {output})"))
}

/// Hardhat's words for the panic codes of Solidity's documentation.
fn panic_reason(code: U256) -> Option<&'static str> {
    Some(match u8::try_from(code).ok()? {
        0x01 => "Assertion error",
        0x11 => "Arithmetic operation overflowed outside of an unchecked block",
        0x12 => "Division or modulo division by zero",
        0x21 => "Tried to convert a value into an enum, but the value was too big or negative",
        0x22 => "Incorrectly encoded storage byte array",
        0x31 => ".pop() was called on an empty array",
        0x32 => "Array accessed at an out-of-bounds or negative index",
        0x41 => "Too much memory was allocated, or an array was created that is too large",
        0x51 => "Called a zero-initialized variable of internal function type",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::bytes;

    fn said(output: Vec<u8>) -> String {
        reverted(output.into(), None).message.into_owned()
    }

    #[test]
    fn reverts_are_told_in_hardhats_words() {
        let vm = "VM Exception while processing transaction: ";
        assert_eq!(said(Revert::from("no").abi_encode()), format!("{vm}reverted with reason string 'no'"));
        assert_eq!(
            said(Panic::from(0x11).abi_encode()),
            format!(
                "{vm}reverted with panic code 0x11 (Arithmetic operation overflowed outside of an unchecked block)"
            )
        );
        assert_eq!(said(Panic::from(0x99).abi_encode()), format!("{vm}reverted with unknown panic code 0x99"));
        assert_eq!(
            said(vec![0xde, 0xad, 0xbe, 0xef]),
            format!("{vm}reverted with an unrecognized custom error (return data: 0xdeadbeef)")
        );
        assert_eq!(said(vec![]), "Transaction reverted without a reason string");
    }

    #[test]
    fn the_data_are_an_object_with_the_returned_bytes() {
        let transaction = Some(B256::repeat_byte(1));
        let json = serde_json::to_value(reverted(bytes!("deadbeef"), transaction)).unwrap();
        assert_eq!(json["code"], -32603);
        assert_eq!(json["data"]["data"], "0xdeadbeef");
        assert_eq!(json["data"]["txHash"], format!("{}", B256::repeat_byte(1)));
        assert_eq!(json["data"]["message"], json["message"]);
        let json = serde_json::to_value(reverted(Bytes::new(), None)).unwrap();
        assert_eq!(json["data"]["data"], "0x");
        assert!(json["data"].get("txHash").is_none());
    }

    #[test]
    fn what_stops_without_a_revert_has_empty_data() {
        let error = halted(&HaltReason::InvalidFEOpcode, None);
        assert_eq!(error.message, "VM Exception while processing transaction: invalid opcode");
        assert_eq!(error.data, Some(Bytes::new()));
        assert_eq!(halted(&HaltReason::StackUnderflow, None).message, "EVM error StackUnderflow");
    }
}

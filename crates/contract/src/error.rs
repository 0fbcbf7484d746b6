//! How a native call ends when it does not succeed.

use alloy_primitives::Bytes;
use alloy_sol_types::{Panic, PanicKind, SolError};
use revm::interpreter::InstructionResult;

/// Why a native call failed. All of its changes are undone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The contract refused; its caller gets the data, and the gas that is left.
    #[error("reverted with {0}")]
    Revert(Bytes),
    /// There is no such function. The caller sees a revert without data, as Solidity gives; tests see the difference.
    #[error("no such function")]
    UnknownFunction,
    /// The machine stopped the call, or one that it cannot do without: out of gas, a write in a static call. All of the call's gas is
    /// gone, unless it would have been too deep or had not enough coin.
    #[error("halted: {0:?}")]
    Halt(InstructionResult),
    /// The state could not be read. The transaction has no result; the machine holds the cause.
    #[error("the state could not be read")]
    Fatal,
}

/// What the parts of a native call return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A revert without data, as Solidity gives for malformed calls.
    pub const EMPTY: Self = Self::Revert(Bytes::new());

    /// Out of gas.
    pub const OUT_OF_GAS: Self = Self::Halt(InstructionResult::OutOfGas);

    /// A revert with Solidity's `Error(string)`.
    pub fn message(text: &str) -> Self {
        alloy_sol_types::Revert::from(text).into()
    }

    /// A revert with Solidity's `Panic(uint256)`.
    pub fn panic(kind: PanicKind) -> Self {
        Panic::from(kind).into()
    }

    /// An addition, subtraction or multiplication left its type: `Panic(0x11)`.
    pub fn overflow() -> Self {
        Self::panic(PanicKind::UnderOverflow)
    }

    /// The custom error, if this is a revert with it.
    pub fn decode<E: SolError>(&self) -> Option<E> {
        match self {
            Self::Revert(data) => E::abi_decode(data).ok(),
            _ => None,
        }
    }
}

/// Reverts with a typed custom error: `return Err(ERC20InvalidSender { sender }.into())`.
impl<E: SolError> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Revert(error.abi_encode().into())
    }
}

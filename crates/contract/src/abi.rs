//! From call data to a function and back: what stands between a contract's logic and its callers.
//!
//! An interface written with [`sol!`](alloy_sol_types::sol) has an enum of its calls. A contract's dispatch decodes
//! into it and matches, without a wildcard, so that the compiler misses a function that has no handler:
//!
//! ```
//! use alloy_primitives::{Bytes, U256};
//! use stoa_contract::{Context, Error, NativeContract, Result, abi, storage::Value};
//!
//! alloy_sol_types::sol! {
//!     interface ICounter {
//!         function count() external view returns (uint256);
//!         function add(uint256 amount) external;
//!     }
//! }
//!
//! stoa_contract::storage! {
//!     /// Counts.
//!     pub struct State { count: Value<U256> }
//! }
//!
//! struct Counter;
//!
//! impl Counter {
//!     fn add(&self, cx: &mut Context<'_>, amount: U256) -> Result<()> {
//!         let count = State::root().count;
//!         let sum = count.read(cx)?.checked_add(amount).ok_or_else(Error::overflow)?;
//!         count.write(cx, sum)
//!     }
//! }
//!
//! impl NativeContract for Counter {
//!     fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
//!         use ICounter::ICounterCalls as Calls;
//!         match abi::decode(cx)?.ok_or(Error::UnknownFunction)? {
//!             Calls::count(call) => abi::reply(&call, State::root().count.read(cx)),
//!             Calls::add(call) => abi::done(self.add(cx, call.amount)),
//!         }
//!     }
//! }
//! ```
//!
//! Decoding is as strict as Solidity's: dirty high bits, offsets that lead outside and numbers out of range revert
//! without data. It is stricter in that text must be UTF-8, and that overlapping parts must not make the arguments
//! much larger than the call data: memory is bounded by what was paid for.

use crate::{Context, Error, Result};
use alloy_primitives::Bytes;
use alloy_sol_types::{SolCall, SolInterface, abi::AbiDecoderConfig};

/// How data from outside is decoded: checked, and with memory bounded by its length.
pub(crate) const fn decoder(len: usize) -> AbiDecoderConfig {
    AbiDecoderConfig::new().validate(true).memory_limit(len.saturating_mul(16).saturating_add(4096))
}

/// Decodes the call if its function is one of the interface's; `None` if it is not. No function of the interface
/// takes coin.
///
/// # Errors
///
/// Reverts without data if coin came with the call, or the arguments are malformed.
pub fn decode<I: SolInterface>(cx: &Context<'_>) -> Result<Option<I>> {
    let call = decode_payable(cx)?;
    if call.is_some() {
        reject_value(cx)?;
    }
    Ok(call)
}

/// [`decode`] for an interface that has payable functions; the others call [`reject_value`].
///
/// # Errors
///
/// Reverts without data if the arguments are malformed.
pub fn decode_payable<I: SolInterface>(cx: &Context<'_>) -> Result<Option<I>> {
    let Some((selector, arguments)) = cx.data().split_first_chunk::<4>() else {
        return Ok(None);
    };
    if !I::valid_selector(*selector) {
        return Ok(None);
    }
    I::abi_decode_raw_with_config(*selector, arguments, decoder(arguments.len())).map(Some).map_err(|_| Error::EMPTY)
}

/// What a function that is not payable does first.
///
/// # Errors
///
/// Reverts without data if coin came with the call.
pub fn reject_value(cx: &Context<'_>) -> Result<()> {
    if cx.value().is_zero() { Ok(()) } else { Err(Error::EMPTY) }
}

/// Encodes what a function returns.
///
/// # Errors
///
/// The function's own.
pub fn reply<C: SolCall>(_: &C, result: Result<C::Return>) -> Result<Bytes> {
    result.map(|value| C::abi_encode_returns(&value).into())
}

/// Encodes the result of a function that returns nothing.
///
/// # Errors
///
/// The function's own.
pub fn done(result: Result<()>) -> Result<Bytes> {
    result.map(|()| Bytes::new())
}

/// An interface's id as of ERC-165: all its selectors combined with exclusive or.
pub fn interface_id<I: SolInterface>() -> [u8; 4] {
    I::selectors().fold([0; 4], |id, selector| std::array::from_fn(|i| id[i] ^ selector[i]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, U256};

    alloy_sol_types::sol! {
        struct Call {
            address target;
            uint256 value;
            bytes data;
        }

        interface IBatch {
            function run(Call[] calldata calls) external;
            function texts(string[] calldata texts) external;
            function numbers(uint256[][] calldata numbers) external;
        }
    }

    fn decode_call<C: SolCall>(data: &[u8]) -> Option<C> {
        C::abi_decode_raw_with_config(data, decoder(data.len())).ok()
    }

    fn word(number: usize) -> [u8; 32] {
        U256::from(number).to_be_bytes()
    }

    #[test]
    fn honest_arguments_of_any_size_are_decoded() {
        for len in [0, 1, 10, 1000] {
            let call = Call { target: Address::ZERO, value: U256::ONE, data: Bytes::new() };
            let call = IBatch::runCall { calls: vec![call; len] }.abi_encode();
            assert_eq!(decode_call::<IBatch::runCall>(&call[4..]).unwrap().calls.len(), len);
            let call = IBatch::textsCall { texts: vec![String::new(); len] }.abi_encode();
            assert_eq!(decode_call::<IBatch::textsCall>(&call[4..]).unwrap().texts.len(), len);
            let call = IBatch::numbersCall { numbers: vec![vec![U256::ONE]; len] }.abi_encode();
            assert_eq!(decode_call::<IBatch::numbersCall>(&call[4..]).unwrap().numbers.len(), len);
        }
    }

    #[test]
    fn overlapping_arguments_do_not_multiply() {
        // A thousand arrays of a thousand numbers, all the same one.
        let mut data = [word(32), word(1000)].concat();
        data.extend((0..1000).flat_map(|_| word(32 * 1000)));
        data.extend(word(1000));
        data.extend((0..1000).flat_map(word));
        assert!(decode_call::<IBatch::numbersCall>(&data).is_none());
    }

    #[test]
    fn lengths_and_offsets_beyond_the_data_are_refused() {
        for data in [
            [word(32), word(usize::MAX)].concat(),
            [word(usize::MAX), word(1)].concat(),
            [[0xff; 32], [0xff; 32]].concat(),
            [word(32), word(1)].concat(),
            word(31).to_vec(),
            Vec::new(),
        ] {
            assert!(decode_call::<IBatch::numbersCall>(&data).is_none(), "{data:?}");
            assert!(decode_call::<IBatch::textsCall>(&data).is_none(), "{data:?}");
        }
    }
}

//! From call data to the coin's functions.

use super::{Coin, genesis_storage};
use crate::{
    Context, Error, NativeContract, Result, abi,
    parts::{eip712, erc20, votes},
};
use alloy_primitives::{Bytes, U256};

impl NativeContract for Coin {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        if let Some(call) = abi::decode(cx)? {
            return erc20::token(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return erc20::metadata(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return votes::dispatch(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return erc20::permit(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return votes::dispatch_clock(cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return votes::dispatch_checkpoints(self, cx, call);
        }
        if let Some(call) = abi::decode(cx)? {
            return eip712::dispatch(self, cx, call);
        }
        Err(Error::UnknownFunction)
    }

    /// There is one coin: on another account's storage its allowances would be anybody's.
    fn may_be_delegated(&self) -> bool {
        false
    }

    fn genesis_storage(&self, supply: U256, timestamp: u64) -> Vec<(U256, U256)> {
        genesis_storage(supply, timestamp)
    }
}

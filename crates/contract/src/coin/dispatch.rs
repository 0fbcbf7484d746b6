//! From call data to the coin's functions.

use super::{Coin, genesis_storage};
use crate::{
    Context, Error, NativeContract, Result, abi,
    interfaces::{
        IERC20::IERC20Calls, IERC20Metadata::IERC20MetadataCalls, IERC20Permit::IERC20PermitCalls,
        IERC5267::IERC5267Calls, IERC6372::IERC6372Calls, IVotes::IVotesCalls,
    },
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

    /// ERC-5805 adds no function to votes and clock, so that its id is that of the votes.
    fn interfaces(&self) -> Vec<[u8; 4]> {
        vec![
            abi::interface_id::<IERC20Calls>(),
            abi::interface_id::<IERC20MetadataCalls>(),
            abi::interface_id::<IERC20PermitCalls>(),
            abi::interface_id::<IVotesCalls>(),
            abi::interface_id::<IERC6372Calls>(),
            abi::interface_id::<IERC5267Calls>(),
        ]
    }

    /// There is one coin: on another account's storage its allowances would be anybody's.
    fn may_be_delegated(&self) -> bool {
        false
    }

    fn genesis_storage(&self, supply: U256, timestamp: u64) -> Vec<(U256, U256)> {
        genesis_storage(supply, timestamp)
    }
}

//! Randomness of past blocks, for drawing verifiers and winners.
//!
//! Each block's `prevrandao` is the validators' threshold signature of the round in which its parent was agreed on: nobody
//! can choose it, and anyone with the network key can check it. It is known before the block is final, to the leader of the block before with
//! some colluders before that one is, and the first block of an epoch has a hash of the value before it. So a draw must bind itself to
//! the third block that is still to come or a later one, and use that block's value afterwards. The contract
//! keeps the values of the last [`WINDOW`] blocks; the ledger writes each before the block's first transaction.

use self::IRandomness::{IRandomnessCalls, RandomnessNotKept};
use crate::{
    Context, Error, NativeContract, Result, abi, natives,
    storage::{FixedArray, Layout, Value},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::sol;

/// Where the contract lives.
pub const ADDRESS: Address = natives::address(2);

/// Of how many blocks randomness is kept, the running one included.
pub const WINDOW: u64 = 8192;

sol! {
    /// Randomness of past blocks.
    #[derive(Debug, PartialEq, Eq)]
    interface IRandomness {
        /// The block is still to come, or no longer one of the last `window()`.
        error RandomnessNotKept(uint256 blockNumber, uint256 oldest, uint256 newest);

        /// The randomness of a block: its `prevrandao`.
        function randomnessOf(uint256 blockNumber) external view returns (bytes32);
        /// Of how many blocks it is kept.
        function window() external view returns (uint256);
    }
}

crate::storage! {
    /// A ring: the value of block `n` lies at `n % WINDOW`.
    pub struct State {
        values: FixedArray<Value<B256>, { WINDOW as usize }>,
    }
}

/// The slot that the randomness of a block goes to.
pub fn slot(block: u64) -> U256 {
    State::root().values.place().slot + U256::from(block % WINDOW)
}

/// The contract.
#[derive(Clone, Copy, Debug, Default)]
pub struct Randomness;

impl Randomness {
    fn randomness_of(self, cx: &mut Context<'_>, block: U256) -> Result<B256> {
        let newest = cx.block_number();
        // Block 0 comes from nobody.
        let oldest = (newest + 1).saturating_sub(WINDOW).max(1);
        match u64::try_from(block) {
            Ok(number) if (oldest..=newest).contains(&number) => {
                State::root().values.get((number % WINDOW) as usize)?.read(cx)
            }
            _ => {
                Err(RandomnessNotKept { blockNumber: block, oldest: U256::from(oldest), newest: U256::from(newest) }
                    .into())
            }
        }
    }
}

impl NativeContract for Randomness {
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes> {
        match abi::decode(cx)?.ok_or(Error::UnknownFunction)? {
            IRandomnessCalls::randomnessOf(call) => abi::reply(&call, self.randomness_of(cx, call.blockNumber)),
            IRandomnessCalls::window(call) => abi::reply(&call, Ok(U256::from(WINDOW))),
        }
    }

    fn interfaces(&self) -> Vec<[u8; 4]> {
        vec![abi::interface_id::<IRandomnessCalls>()]
    }

    /// On another account's storage there are no values.
    fn may_be_delegated(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Natives,
        bench::{Bench, Failure},
    };

    #[test]
    fn only_values_that_are_kept_are_told() {
        let mut bench = Bench::new(Natives::stoa());
        let value = |number: u64| U256::from(number * number + 7);
        for number in [1, 2, WINDOW + 5] {
            bench.evm.ctx_mut().block.number = U256::from(number);
            let Ok(()) = bench.evm.db_mut().insert_account_storage(ADDRESS, slot(number), value(number));
            let mut of =
                |block: u64| bench.view(ADDRESS, &IRandomness::randomnessOfCall { blockNumber: U256::from(block) });
            assert_eq!(of(number), Ok(value(number).into()));
            let oldest = (number + 1).saturating_sub(WINDOW).max(1);
            for asked in [0, number + 1, oldest - 1] {
                let (oldest, newest) = (U256::from(oldest), U256::from(number));
                let expected = RandomnessNotKept { blockNumber: U256::from(asked), oldest, newest };
                assert_eq!(of(asked), Err(Failure::revert(expected)));
            }
        }
        assert_eq!(bench.view(ADDRESS, &IRandomness::windowCall {}), Ok(U256::from(WINDOW)));
    }
}

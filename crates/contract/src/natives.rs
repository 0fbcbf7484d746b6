//! Which addresses run Rust.
//!
//! Native contracts live at `0x0000000000000000000000000000000000000Cnn`: one comparison of a prefix tells that an
//! address is none, and the last byte is the index of the one that it is. Their accounts hold the single byte `0xfe`
//! (`INVALID`), so that `eth_getCode` and Solidity's check for code see a contract; the contract does not run it. The
//! addresses are always warm, as those of precompiled contracts are. An account that delegates its code to a native
//! address (EIP-7702) runs that byte, and fails: native code runs where a call or a clone names its address.
//!
//! The registry says what code runs at which address, for all nodes alike: it is a rule of the chain, not a setting.

use crate::{Context, Result, abi, coin, interfaces::IERC165::IERC165Calls, nodes, parts::erc165, randomness};
use alloy_primitives::{Address, B256, Bytes, U256};
use std::{fmt, sync::Arc};

/// What the account of a native contract shows as its code: one `INVALID` instruction.
pub const CODE: [u8; 1] = [0xfe];

/// The address of the native contract with this number.
pub const fn address(number: u8) -> Address {
    let mut bytes = [0; 20];
    bytes[18] = 0x0c;
    bytes[19] = number;
    Address::new(bytes)
}

/// Rules that run at an address, called with the Solidity ABI.
///
/// One value serves all calls of all threads; what a contract remembers is in its account's storage.
pub trait NativeContract: Send + Sync + 'static {
    /// Runs one call and returns its ABI-encoded result.
    ///
    /// # Errors
    ///
    /// Whatever ends the call: everything that it changed is undone.
    fn call(&self, cx: &mut Context<'_>) -> Result<Bytes>;

    /// The ids ([`abi::interface_id`]) of the interfaces that it tells of by ERC-165. `supportsInterface` itself every
    /// contract has without doing anything for it.
    fn interfaces(&self) -> Vec<[u8; 4]> {
        Vec::new()
    }

    /// Whether the code may run on the storage of another account, as a clone's implementation does. A contract that
    /// may not refuses with empty revert data.
    fn may_be_delegated(&self) -> bool {
        true
    }

    /// The storage that its account has in a fresh chain, where all accounts together have so much coin (in wei),
    /// and whose first block has this time (in seconds since 1970): slots and their values.
    fn genesis_storage(&self, _supply: U256, _timestamp: u64) -> Vec<(U256, U256)> {
        Vec::new()
    }
}

/// Runs one call of a contract. `supportsInterface` is answered here for all of them.
pub(crate) fn run(contract: &dyn NativeContract, cx: &mut Context<'_>) -> Result<Bytes> {
    match abi::decode::<IERC165Calls>(cx)? {
        Some(call) => erc165::dispatch(&contract.interfaces(), call),
        None => contract.call(cx),
    }
}

/// What the genesis block must hold for one native contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeAccount {
    /// Where the contract is.
    pub address: Address,
    /// The code to show.
    pub code: Bytes,
    /// Slots that are not zero.
    pub storage: Vec<(B256, B256)>,
}

/// The registry of native contracts. Cheap to clone.
#[derive(Clone)]
pub struct Natives {
    contracts: Arc<[Option<Arc<dyn NativeContract>>; 256]>,
}

impl Natives {
    /// None at all: a plain Ethereum machine.
    pub fn none() -> Self {
        Self { contracts: Arc::new([const { None }; 256]) }
    }

    /// The chain's own contracts.
    pub fn stoa() -> Self {
        Self::none()
            .with(coin::ADDRESS, coin::Coin)
            .with(randomness::ADDRESS, randomness::Randomness)
            .with(nodes::ADDRESS, nodes::Nodes)
    }

    /// Adds a contract, or replaces the one at its address.
    ///
    /// # Panics
    ///
    /// If `at` is no address of [`address`]: the registry is put together from constants.
    #[must_use]
    pub fn with(mut self, at: Address, contract: impl NativeContract) -> Self {
        assert_eq!(at, address(at[19]), "native contracts live below the prefix 0x…0c");
        let mut contracts = (*self.contracts).clone();
        contracts[usize::from(at[19])] = Some(Arc::new(contract));
        self.contracts = Arc::new(contracts);
        self
    }

    /// The contract at an address.
    #[inline]
    pub fn get(&self, at: &Address) -> Option<&Arc<dyn NativeContract>> {
        if at[18] != 0x0c || at[..18] != [0; 18] {
            return None;
        }
        self.contracts[usize::from(at[19])].as_ref()
    }

    /// All addresses, in order.
    pub fn addresses(&self) -> impl Iterator<Item = Address> + '_ {
        (0..=u8::MAX).filter(|number| self.contracts[usize::from(*number)].is_some()).map(address)
    }

    /// What the genesis block must hold for them, where all accounts together have `supply` wei, and whose time is
    /// `timestamp`, in seconds since 1970.
    pub fn genesis(&self, supply: U256, timestamp: u64) -> Vec<NativeAccount> {
        self.addresses()
            .filter_map(|address| Some((address, self.get(&address)?)))
            .map(|(address, contract)| NativeAccount {
                address,
                code: Bytes::from_static(&CODE),
                storage: contract
                    .genesis_storage(supply, timestamp)
                    .into_iter()
                    .map(|(slot, value)| (slot.into(), value.into()))
                    .collect(),
            })
            .collect()
    }
}

impl fmt::Debug for Natives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.addresses()).finish()
    }
}

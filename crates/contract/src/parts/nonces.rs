//! Counters that make signatures valid once: OpenZeppelin's `Nonces`.

use crate::{
    Context, Result,
    interfaces::INonces::InvalidAccountNonce,
    storage::{Mapping, Value},
};
use alloy_primitives::{Address, U256};

crate::storage! {
    /// For every account, the nonce that its next signature must have.
    pub struct Nonces {
        /// By account.
        pub nonces: Mapping<Address, Value<U256>>,
    }
}

impl Nonces {
    /// The next nonce of an account.
    ///
    /// # Errors
    ///
    /// Out of gas.
    pub fn nonces(&self, cx: &mut Context<'_>, owner: Address) -> Result<U256> {
        self.nonces.at(&owner).read(cx)
    }

    /// Takes the next nonce of an account.
    ///
    /// # Errors
    ///
    /// Out of gas; halts in a static call.
    pub fn use_nonce(&self, cx: &mut Context<'_>, owner: Address) -> Result<U256> {
        let nonce = self.nonces.at(&owner).read(cx)?;
        // Nobody signs 2^256 times.
        self.nonces.at(&owner).write(cx, nonce.wrapping_add(U256::ONE))?;
        Ok(nonce)
    }

    /// Takes the next nonce of an account, which must be this one.
    ///
    /// # Errors
    ///
    /// `InvalidAccountNonce` if it is not; out of gas; halts in a static call.
    pub fn use_checked_nonce(&self, cx: &mut Context<'_>, owner: Address, nonce: U256) -> Result<()> {
        let current = self.use_nonce(cx, owner)?;
        match current == nonce {
            true => Ok(()),
            false => Err(InvalidAccountNonce { account: owner, currentNonce: current }.into()),
        }
    }
}

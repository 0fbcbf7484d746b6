//! Reading the state as it was after a block.

use super::Ledger;
use crate::{
    LedgerError,
    state::{AccountLeaf, Key, Leaf, account_key, code_key, slot_key},
    view::{account_info, as_account, as_code, as_slot},
};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use futures::executor::block_on;
use revm::{DatabaseRef, bytecode::Bytecode, state::AccountInfo};

/// The state after one block, read-only; a `revm` database. Blocking.
#[derive(Clone)]
pub struct StateAt {
    pub(super) ledger: Ledger,
    pub(super) number: u64,
}

/// An account as the sender of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Transactions sent.
    pub nonce: u64,
    /// Wei.
    pub balance: U256,
    /// Whether code stands there that is no EIP-7702 delegation: such an account cannot send (EIP-3607).
    pub has_code: bool,
}

impl StateAt {
    /// The block after which this state stands.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Wei.
    ///
    /// # Errors
    ///
    /// All methods fail if the disk does, or if the state is no longer kept.
    pub fn balance(&self, address: Address) -> Result<U256, LedgerError> {
        Ok(self.account(address)?.map_or(U256::ZERO, |account| account.balance))
    }

    /// Transactions sent, or contracts created.
    ///
    /// # Errors
    ///
    /// See [`balance`](Self::balance).
    pub fn nonce(&self, address: Address) -> Result<u64, LedgerError> {
        Ok(self.account(address)?.map_or(0, |account| account.nonce))
    }

    /// Runtime code, empty where there is none.
    ///
    /// # Errors
    ///
    /// See [`balance`](Self::balance).
    pub fn code(&self, address: Address) -> Result<Bytes, LedgerError> {
        match self.account(address)? {
            Some(account) if account.code_hash() != KECCAK256_EMPTY => {
                Ok(self.code_by_hash_ref(account.code_hash())?.original_bytes())
            }
            _ => Ok(Bytes::new()),
        }
    }

    /// One slot.
    ///
    /// # Errors
    ///
    /// See [`balance`](Self::balance).
    pub fn storage(&self, address: Address, slot: U256) -> Result<U256, LedgerError> {
        as_slot(self.get(slot_key(&address, &slot))?)
    }

    /// What a mempool must know of a sender.
    ///
    /// # Errors
    ///
    /// See [`balance`](Self::balance).
    pub fn sender(&self, address: Address) -> Result<Sender, LedgerError> {
        let account = self.account(address)?.unwrap_or_default();
        let has_code =
            account.code_hash() != KECCAK256_EMPTY && !self.code_by_hash_ref(account.code_hash())?.is_eip7702();
        Ok(Sender { nonce: account.nonce, balance: account.balance, has_code })
    }

    fn account(&self, address: Address) -> Result<Option<AccountLeaf>, LedgerError> {
        as_account(self.get(account_key(&address))?)
    }

    fn get(&self, key: Key) -> Result<Option<Leaf>, LedgerError> {
        let inner = &self.ledger.inner;
        let version = inner.cache.version();
        if version == self.number {
            if let Some(leaf) = inner.cache.get(&key) {
                // A block taken over meanwhile may have changed what was read.
                if inner.cache.version() == version {
                    return Ok(leaf);
                }
            }
        } else if let Some(leaf) = inner.history.value_after(&key, self.number)? {
            return Ok(leaf);
        }
        let leaf = block_on(self.ledger.reader()?.get(key))?;
        // History is written before the state changes: a change that we might have seen is found now.
        if inner.cache.version() == self.number {
            inner.cache.keep(self.number, key, leaf.clone());
            return Ok(leaf);
        }
        if self.number < self.ledger.oldest_state(inner.cache.version()) {
            let oldest = self.ledger.oldest_state(inner.cache.version());
            return Err(LedgerError::Pruned { asked: self.number, oldest });
        }
        Ok(inner.history.value_after(&key, self.number)?.unwrap_or(leaf))
    }
}

impl DatabaseRef for StateAt {
    type Error = LedgerError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, LedgerError> {
        Ok(self.account(address)?.as_ref().map(account_info))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, LedgerError> {
        if let Some(code) = self.ledger.inner.cache.code(&code_hash) {
            return Ok(code);
        }
        let code = as_code(code_hash, self.get(code_key(&code_hash))?)?;
        self.ledger.inner.cache.keep_code(code_hash, code)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, LedgerError> {
        self.storage(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, LedgerError> {
        Ok(self.ledger.block(number)?.map_or(B256::ZERO, |committed| committed.block.hash()))
    }
}

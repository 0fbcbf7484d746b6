//! The state that a block is executed on: changes of pending blocks, then a cache, then the database.

use crate::{
    LedgerError,
    execute::Changes,
    fiber::Suspender,
    state::{AccountLeaf, Batch, Key, Leaf, Runtime, State, account_key, code_key, slot_key},
};
use alloy_primitives::{
    Address, B256, Bytes, U256,
    map::{HashMap, hash_map::Entry},
};
use parking_lot::RwLock;
use quick_cache::sync::Cache;
use revm::{Database, bytecode::Bytecode, state::AccountInfo};
use std::{future::Future, sync::Arc};

/// Values of the newest final state, kept by how often they are read. Shared by execution and readers.
pub(crate) struct StateCache {
    leaves: Cache<Key, Option<Leaf>>,
    codes: Cache<B256, Bytecode>,
    /// The newest block taken over: a value read before it was may be older than what the cache holds.
    version: RwLock<u64>,
}

impl StateCache {
    /// Keeps up to `entries` values.
    pub(crate) fn new(entries: usize) -> Self {
        Self { leaves: Cache::new(entries), codes: Cache::new(1024), version: RwLock::new(0) }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Option<Leaf>> {
        self.leaves.get(key)
    }

    /// To be asked before reading what shall be kept.
    pub(crate) fn version(&self) -> u64 {
        *self.version.read()
    }

    /// Keeps a value that was read at `version`, unless a block has been taken over since.
    pub(crate) fn keep(&self, version: u64, key: Key, leaf: Option<Leaf>) {
        let current = self.version.read();
        if *current == version {
            self.leaves.insert(key, leaf);
        }
    }

    /// Takes over what a block changed.
    pub(crate) fn apply(&self, number: u64, changes: &Changes) {
        let mut version = self.version.write();
        *version = number;
        for (key, change) in changes.iter() {
            self.leaves.insert(*key, change.new.clone());
        }
    }

    /// Forgets everything: the state is now that of block `number`.
    pub(crate) fn reset(&self, number: u64) {
        let mut version = self.version.write();
        *version = number;
        self.leaves.clear();
    }

    pub(crate) fn code(&self, hash: &B256) -> Option<Bytecode> {
        self.codes.get(hash)
    }

    /// Analyses code once and keeps it.
    pub(crate) fn keep_code(&self, hash: B256, code: Bytes) -> Result<Bytecode, LedgerError> {
        let code = Bytecode::new_raw_checked(code)
            .map_err(|error| LedgerError::Damaged(format!("code {hash} is no code: {error}")))?;
        self.codes.insert(hash, code.clone());
        Ok(code)
    }
}

/// Where values come from that no pending block changed and no cache holds.
pub(crate) trait Source: Send + Sync {
    /// One value.
    fn get(&self, key: &Key) -> impl Future<Output = Result<Option<Leaf>, LedgerError>> + Send;

    /// Several values at once, in the order of the keys.
    fn get_many(&self, keys: &[Key]) -> impl Future<Output = Result<Vec<Option<Leaf>>, LedgerError>> + Send;
}

/// A batch over the state database, to read from.
pub(crate) struct BatchSource<'a, E: Runtime>(pub(crate) &'a Batch<E>);

impl<E: Runtime> Source for BatchSource<'_, E> {
    async fn get(&self, key: &Key) -> Result<Option<Leaf>, LedgerError> {
        self.0.get(key).await.map_err(|error| LedgerError::Storage(format!("state: {error}")))
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Leaf>>, LedgerError> {
        let keys = keys.iter().collect::<Vec<_>>();
        self.0.get_many(&keys).await.map_err(|error| LedgerError::Storage(format!("state: {error}")))
    }
}

/// The state database itself, to read from.
pub(crate) struct StateSource<'a, E: Runtime>(pub(crate) &'a State<E>);

impl<E: Runtime> Source for StateSource<'_, E> {
    async fn get(&self, key: &Key) -> Result<Option<Leaf>, LedgerError> {
        let db = self.0.read().await;
        db.get(key).await.map_err(|error| LedgerError::Storage(format!("state: {error}")))
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Leaf>>, LedgerError> {
        let keys = keys.iter().collect::<Vec<_>>();
        let db = self.0.read().await;
        db.get_many(&keys).await.map_err(|error| LedgerError::Storage(format!("state: {error}")))
    }
}

/// Where values are looked for, in this order: pending blocks, the cache, the database.
pub(crate) struct Reads<'a, S> {
    pub(crate) source: &'a S,
    /// Changes of the blocks between the final state and this one, newest first.
    pub(crate) pending: Vec<Arc<Changes>>,
    pub(crate) cache: &'a StateCache,
}

impl<S: Source> Reads<'_, S> {
    fn at_hand(&self, key: &Key) -> Option<Option<Leaf>> {
        let pending = self.pending.iter().find_map(|changes| changes.get(key));
        pending.map(|change| change.new.clone()).or_else(|| self.cache.get(key))
    }

    /// Reads accounts that will be needed in one go: about `expected` of them, some twice.
    pub(crate) async fn prefetch(
        &self,
        addresses: impl Iterator<Item = Address>,
        expected: usize,
    ) -> Result<Accounts, LedgerError> {
        let mut accounts = Accounts::with_capacity_and_hasher(expected, Default::default());
        let mut missing = Vec::new();
        for address in addresses {
            let Entry::Vacant(entry) = accounts.entry(address) else { continue };
            let key = account_key(&address);
            let at_hand = self.at_hand(&key);
            if at_hand.is_none() {
                missing.push((key, address));
            }
            entry.insert((key, as_account(at_hand.flatten())?.unwrap_or_default()));
        }
        // In pieces, so that a full block never asks for more memory than a few reads of it need.
        for piece in missing.chunks(4096) {
            let keys = piece.iter().map(|(key, _)| *key).collect::<Vec<_>>();
            let version = self.cache.version();
            for ((key, address), leaf) in piece.iter().zip(self.source.get_many(&keys).await?) {
                self.cache.keep(version, *key, leaf.clone());
                accounts.insert(*address, (*key, as_account(leaf)?.unwrap_or_default()));
            }
        }
        Ok(accounts)
    }
}

/// Accounts with their keys; the default for one that does not exist.
pub(crate) type Accounts = HashMap<Address, (Key, AccountLeaf)>;

/// The state that one block is executed on, and what was read of it: a `revm` database, for use on a coroutine.
pub(crate) struct View<'a, S> {
    reads: Reads<'a, S>,
    suspender: &'a Suspender<'a>,
    hashes: &'a (dyn Fn(u64) -> Option<B256> + Send + Sync),
    /// Accounts as they were when first read.
    pub(crate) accounts: Accounts,
    /// Slots as they were when first read.
    pub(crate) slots: HashMap<(Address, U256), (Key, U256)>,
}

impl<'a, S: Source> View<'a, S> {
    pub(crate) fn new(
        reads: Reads<'a, S>,
        suspender: &'a Suspender<'a>,
        hashes: &'a (dyn Fn(u64) -> Option<B256> + Send + Sync),
        accounts: Accounts,
    ) -> Self {
        Self { reads, suspender, hashes, accounts, slots: HashMap::default() }
    }

    /// What a key holds before the block.
    pub(crate) fn read(&self, key: &Key) -> Result<Option<Leaf>, LedgerError> {
        if let Some(leaf) = self.reads.at_hand(key) {
            return Ok(leaf);
        }
        let version = self.reads.cache.version();
        let read = self.suspender.block_on(self.reads.source.get(key));
        let leaf = read.map_err(|error| LedgerError::Storage(error.to_string()))??;
        self.reads.cache.keep(version, *key, leaf.clone());
        Ok(leaf)
    }
}

/// What a key of an account holds.
pub(crate) fn as_account(leaf: Option<Leaf>) -> Result<Option<AccountLeaf>, LedgerError> {
    match leaf {
        None => Ok(None),
        Some(Leaf::Account(account)) => Ok(Some(account)),
        Some(other) => Err(LedgerError::Damaged(format!("an account's key holds {other:?}"))),
    }
}

/// What a key of a slot holds; zero where there is nothing.
pub(crate) fn as_slot(leaf: Option<Leaf>) -> Result<U256, LedgerError> {
    match leaf {
        None => Ok(U256::ZERO),
        Some(Leaf::Slot(value)) => Ok(value),
        Some(other) => Err(LedgerError::Damaged(format!("a slot's key holds {other:?}"))),
    }
}

/// What a key of a code holds.
pub(crate) fn as_code(hash: B256, leaf: Option<Leaf>) -> Result<Bytes, LedgerError> {
    match leaf {
        Some(Leaf::Code(code)) => Ok(code),
        other => Err(LedgerError::Damaged(format!("the key of code {hash} holds {other:?}"))),
    }
}

/// The account as `revm` wants it.
pub(crate) fn account_info(account: &AccountLeaf) -> AccountInfo {
    let mut info = AccountInfo {
        balance: account.balance,
        nonce: account.nonce,
        code_hash: account.code_hash(),
        code: None,
        ..AccountInfo::default()
    };
    stoa_contract::set_delegate(&mut info, account.delegate());
    info
}

impl<S: Source> Database for View<'_, S> {
    type Error = LedgerError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, LedgerError> {
        if let Some((_, account)) = self.accounts.get(&address) {
            return Ok((!account.is_empty()).then(|| account_info(account)));
        }
        let key = account_key(&address);
        let account = as_account(self.read(&key)?)?;
        let info = account.as_ref().map(account_info);
        self.accounts.insert(address, (key, account.unwrap_or_default()));
        Ok(info)
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, LedgerError> {
        if let Some(code) = self.reads.cache.code(&code_hash) {
            return Ok(code);
        }
        let code = as_code(code_hash, self.read(&code_key(&code_hash))?)?;
        self.reads.cache.keep_code(code_hash, code)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, LedgerError> {
        let key = slot_key(&address, &slot);
        let value = as_slot(self.read(&key)?)?;
        self.slots.entry((address, slot)).or_insert((key, value));
        Ok(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, LedgerError> {
        Ok((self.hashes)(number).unwrap_or_default())
    }
}

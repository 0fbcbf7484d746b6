//! The ledger driven directly, without consensus: blocks are mined when the caller says so, or come from elsewhere.
//!
//! For contract developers (`stoa dev`), nodes that follow a chain, and tests. State can be set by hand, and set back to a
//! snapshot.

use crate::{
    Committed, InvalidBlock, Ledger, LedgerConfig, LedgerError,
    execute::{self, Change, Changes, Choices, Executed, ExecutionError, Transactions, merkle_root, transactions_root},
    state::{self, AccountLeaf, Leaf, Runtime, State, StateConfig, Tip, account_key, code_key, slot_key},
    view::{StateSource, as_account},
};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256, map::HashMap};
use commonware_glue::stateful::db::DatabaseSet;
use futures::StreamExt as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    pin::pin,
    sync::Arc,
};
use stoa_base::{Account, Block, Genesis, Recovered, Seal};
use stoa_contract::coin;

/// A ledger and its state database, for one caller at a time.
pub struct Direct<E: Runtime> {
    runtime: E,
    ledger: Ledger,
    state: State<E>,
    /// Old values of everything that changed since the first snapshot, oldest first.
    undone: Vec<(state::Key, Option<Leaf>)>,
    /// What all keys that have changed since held at the first block, if it is pinned.
    first: Option<HashMap<state::Key, Option<Leaf>>>,
    snapshots: Vec<Snapshot>,
    last_id: u64,
}

struct Snapshot {
    id: u64,
    head: Arc<Block>,
    undone: usize,
}

/// A field of an account or a slot to set by hand.
#[derive(Clone, Debug)]
pub enum Set {
    /// Wei.
    Balance(U256),
    /// Transactions sent.
    Nonce(u64),
    /// Runtime code.
    Code(Bytes),
    /// A slot and its value.
    Storage(U256, U256),
    /// To whom it gives its votes; address zero is nobody.
    Delegate(Address),
}

impl Set {
    /// The slot that this writes, set of this account, and the account that has it.
    pub fn slot(&self, address: Address) -> Option<(Address, U256)> {
        match self {
            Self::Storage(slot, _) => Some((address, *slot)),
            Self::Delegate(_) => Some((coin::ADDRESS, coin::delegatee_slot(address))),
            Self::Balance(_) | Self::Nonce(_) | Self::Code(_) => None,
        }
    }
}

impl<E: Runtime> Direct<E> {
    /// Opens the chain in the runtime's storage and `config.folder`, or starts it.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Damaged`] if what lies there cannot be read, or belongs to another chain.
    pub async fn open(
        runtime: E,
        genesis: Genesis,
        config: LedgerConfig,
        cache: usize,
        threads: NonZeroUsize,
    ) -> Result<Self, LedgerError> {
        let state_config = state::config(&runtime, "stoa", cache, threads);
        let ledger = Ledger::open(runtime.child("genesis"), genesis, config, state_config.clone()).await?;
        Self::reopen(runtime, ledger, state_config).await
    }

    /// Opens the state database of a ledger.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn reopen(runtime: E, ledger: Ledger, state_config: StateConfig) -> Result<Self, LedgerError> {
        let state = <State<E> as DatabaseSet<E>>::init(runtime.child("state"), state_config, None).await;
        Self::join(runtime, ledger, state).await
    }

    /// Joins a ledger and its state database.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Damaged`] if they do not belong together.
    pub async fn join(runtime: E, ledger: Ledger, state: State<E>) -> Result<Self, LedgerError> {
        let number = Tip::of(&*state.read().await).await?.number;
        // Blocks that the state has not seen were never shown to anybody.
        ledger.history().truncate(number)?;
        ledger.attach(state.clone()).await?;
        Ok(Self { runtime, ledger, state, undone: Vec::new(), first: None, snapshots: Vec::new(), last_id: 0 })
    }

    /// The ledger that blocks join.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Mines one block on the head, with `context` in its seal. It survives the end of the process only after [`sync`](Self::sync).
    ///
    /// # Errors
    ///
    /// If state or history fail, or `transactions` insists on one that is refused.
    pub async fn mine(
        &mut self,
        choices: &Choices,
        context: Bytes,
        transactions: Box<dyn Transactions + '_>,
        ahead: &[Arc<Recovered>],
    ) -> Result<(Committed, Arc<Changes>), ExecutionError> {
        let parent = self.ledger.head();
        let batch = self.state.new_batches().await;
        let built = self.ledger.build::<E>(batch, &parent, choices, context, transactions, ahead).await?;
        let (block, sealed) = built;
        self.ledger.record(block.hash())?;
        if self.first.is_some() || !self.snapshots.is_empty() {
            let changes = self.ledger.changes(block.hash())?;
            self.remember(&changes);
        }
        self.state.apply(sealed).await;
        Ok(self.ledger.publish(block.hash())?)
    }

    /// Mines blocks without transactions on the head, one for each of the choices, in a fraction of the time that
    /// [`mine`](Self::mine) takes for as many: the last one changes the state for all of them, so that those before it have the
    /// state of the head. They survive the end of the process only after [`sync`](Self::sync).
    ///
    /// # Errors
    ///
    /// If state or history fail; then none of them has joined the chain.
    pub async fn mine_empty(&mut self, choices: &[Choices]) -> Result<Vec<Committed>, ExecutionError> {
        let ledger = self.ledger.clone();
        let root = Tip::of(&*self.state.read().await).await?.root;
        let seal = state::seal_of_tip(&self.state).await;
        let mut blocks = Vec::<Arc<Block>>::with_capacity(choices.len());
        let mut kept = BTreeMap::<(Address, U256), B256>::new();
        let Some((last, others)) = choices.split_last() else { return Ok(Vec::new()) };
        let mut parent = ledger.head();
        let mut next = |parent: &Block, choices: &Choices| {
            let header = execute::next_header(ledger.genesis(), parent.header(), parent.hash(), choices);
            let values = execute::kept_for_later(&header);
            kept.extend(values.map(|(address, slot, value)| ((address, slot), value)));
            header
        };
        for choices in others {
            parent = Arc::new(empty(next(&parent, choices), root, seal.clone()));
            blocks.push(parent.clone());
        }
        let header = next(&parent, last);
        let changes = Arc::new(self.writes(kept).await?);
        let sealed = state::seal::<E>(self.state.new_batches().await, &changes, header.number).await?;
        blocks.push(Arc::new(empty(header, state::root(&sealed), state::seal_of(&sealed, Bytes::new()))));

        let committed = |block| Committed { block, receipts: Arc::default(), senders: Arc::default() };
        let mined = blocks.into_iter().map(committed).collect::<Vec<_>>();
        let nothing = Arc::<Changes>::default();
        let mut recorded = mined.iter().map(|committed| (committed.clone(), nothing.clone())).collect::<Vec<_>>();
        if let Some((_, of_last)) = recorded.last_mut() {
            *of_last = changes.clone();
        }
        ledger.record_all(&recorded)?;
        self.remember(&changes);
        self.state.apply(sealed).await;
        mined.iter().for_each(|committed| ledger.advance(committed));
        Ok(mined)
    }

    /// What it changes to write these slots, where the contract is deployed.
    async fn writes(&self, slots: BTreeMap<(Address, U256), B256>) -> Result<Changes, LedgerError> {
        let mut deployed = BTreeMap::<Address, bool>::new();
        for address in slots.keys().map(|(address, _)| *address).collect::<BTreeSet<_>>() {
            let account = as_account(self.read(account_key(&address)).await?)?;
            deployed.insert(address, account.is_some_and(|account| account.code_hash() != KECCAK256_EMPTY));
        }
        let mut changes = Vec::with_capacity(slots.len());
        for ((address, slot), value) in slots {
            if deployed.get(&address) == Some(&true) {
                let (key, value) = (slot_key(&address, &slot), U256::from_be_bytes(value.0));
                let new = (!value.is_zero()).then_some(Leaf::Slot(value));
                changes.push((key, Change { old: self.read(key).await?, new }));
            }
        }
        changes.retain(|(_, change)| change.old != change.new);
        Ok(changes.into())
    }

    /// Executes known blocks on top of the head, each with its transactions and their senders, and checks all that they
    /// claim. While a block is sealed and written, the next one is executed. `joined` is told of each. They survive the end
    /// of the process only after [`sync`](Self::sync).
    ///
    /// # Errors
    ///
    /// Says what is wrong with a block, or that state or history fail. The blocks before that one have joined the chain.
    pub async fn replay(
        &mut self,
        blocks: impl IntoIterator<Item = (Arc<Block>, Vec<Arc<Recovered>>)>,
        joined: impl Fn(&Committed, &Changes) + Send + 'static,
    ) -> Result<(), InvalidBlock> {
        let (executed, mut waiting) = tokio::sync::mpsc::channel::<(Arc<Block>, Executed)>(1);
        let (ledger, state) = (self.ledger.clone(), self.state.clone());
        let joining = self.runtime.child("replay").spawn(async move |_| {
            while let Some((block, executed)) = waiting.recv().await {
                let batch = state.new_batches().await;
                let sealed = ledger.seal_known(batch, &block, &executed).await?;
                ledger.record(block.hash())?;
                state.apply(sealed).await;
                let (committed, changes) = ledger.publish(block.hash())?;
                joined(&committed, &changes);
            }
            Ok(())
        });
        let execute = async {
            let mut parent = self.ledger.head();
            for (block, transactions) in blocks {
                let source = StateSource(&self.state);
                let outcome = self.ledger.execute_known(&source, &parent, &block, transactions).await?;
                self.ledger.remember(&block, outcome.clone());
                if executed.send((block.clone(), outcome)).await.is_err() {
                    break;
                }
                parent = block;
            }
            drop(executed);
            Ok(())
        };
        let outcome: Result<(), InvalidBlock> = execute.await;
        let joining = joining.await.map_err(|error| LedgerError::Storage(format!("the replay was stopped: {error}")));
        let outcome = joining?.and(outcome);
        // What was executed and did not join the chain is no longer of use.
        self.ledger.forget_pending();
        outcome
    }

    /// Gives up what the state's log holds beyond the states that can be read and proven: after [`sync`](Self::sync).
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub async fn prune(&mut self) -> Result<(), LedgerError> {
        let Some(number) = self.ledger.head().number().checked_sub(self.ledger.window()) else { return Ok(()) };
        match self.ledger.block(number) {
            Ok(Some(committed)) => self.state.prune(&state::target(committed.block.seal())).await,
            // The log that was taken over begins after it.
            Ok(None) | Err(LedgerError::NotKept { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Makes everything so far survive a crash.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub async fn sync(&mut self) -> Result<(), LedgerError> {
        self.ledger.history().sync()?;
        if self.state.finalize().await.durable().await {
            Ok(())
        } else {
            Err(LedgerError::Storage("the runtime stopped before the state was written".into()))
        }
    }

    /// Sets a field of an account at the head, outside any block.
    ///
    /// # Errors
    ///
    /// If state or history fail.
    pub async fn set(&mut self, address: Address, what: Set) -> Result<(), ExecutionError> {
        self.set_all(vec![(address, what)]).await
    }

    /// Sets fields of accounts at the head, outside any block: each balance and delegation by itself, since votes and supply
    /// follow it, and then the rest at once. Of a slot that is named twice, the first value counts.
    ///
    /// # Errors
    ///
    /// If state or history fail; balances and delegations may have been set then.
    pub async fn set_all(&mut self, fields: Vec<(Address, Set)>) -> Result<(), ExecutionError> {
        let is_counted = |(_, what): &(Address, Set)| matches!(what, Set::Balance(_) | Set::Delegate(_));
        let (counted, others) = fields.into_iter().partition::<Vec<_>, _>(is_counted);
        for (address, what) in counted {
            let batch = self.state.new_batches().await;
            self.change(self.ledger.set_counted::<E>(&batch, address, &what).await?).await?;
        }
        let mut accounts = BTreeMap::<Address, (Option<Leaf>, AccountLeaf)>::new();
        for address in others.iter().map(|(address, _)| *address).collect::<BTreeSet<_>>() {
            let old = self.read(account_key(&address)).await?;
            accounts.insert(address, (old.clone(), as_account(old)?.unwrap_or_default()));
        }
        let mut changes = Vec::new();
        for (address, what) in others {
            let Some((_, account)) = accounts.get_mut(&address) else { continue };
            match what {
                Set::Balance(_) | Set::Delegate(_) => {}
                Set::Nonce(nonce) => account.nonce = nonce,
                Set::Code(code) => {
                    let code_hash = keccak256(&code);
                    *account = AccountLeaf::new(account.nonce, account.balance, code_hash, account.delegate());
                    if !code.is_empty() {
                        let key = code_key(&code_hash);
                        changes.push((key, Change { old: self.read(key).await?, new: Some(Leaf::Code(code)) }));
                    }
                }
                Set::Storage(slot, value) => {
                    let key = slot_key(&address, &slot);
                    let new = (!value.is_zero()).then_some(Leaf::Slot(value));
                    changes.push((key, Change { old: self.read(key).await?, new }));
                }
            }
        }
        changes.extend(accounts.into_iter().map(|(address, (old, account))| {
            let new = (!account.is_empty()).then_some(Leaf::Account(account));
            (account_key(&address), Change { old, new })
        }));
        changes.retain(|(_, change)| change.old != change.new);
        if changes.is_empty() { Ok(()) } else { self.change(changes.into()).await }
    }

    /// All accounts at the head, with code and storage. The state holds hashes of addresses and slots alone: `names` has the
    /// addresses that there may be, each with the slots that it may have.
    ///
    /// # Errors
    ///
    /// If the state fails, or holds an account that has none of the names.
    pub async fn dump(
        &self,
        names: &BTreeMap<Address, BTreeSet<U256>>,
    ) -> Result<BTreeMap<Address, Account>, LedgerError> {
        let mut known = HashMap::<state::Key, (Address, Option<U256>)>::default();
        for (address, slots) in names {
            known.insert(account_key(address), (*address, None));
            known.extend(slots.iter().map(|slot| (slot_key(address, slot), (*address, Some(*slot)))));
        }
        let mut accounts = BTreeMap::<Address, Account>::new();
        let (mut codes, mut hashes) = (HashMap::<B256, Bytes>::default(), Vec::new());
        let db = self.state.read().await;
        let mut leaves = pin!(db.stream_range(..));
        while let Some(entry) = leaves.next().await {
            let (key, leaf) = entry.map_err(|error| LedgerError::Storage(format!("state: {error}")))?;
            match (leaf, known.get(&key)) {
                (Leaf::Account(leaf), Some((address, None))) => {
                    let account = accounts.entry(*address).or_default();
                    (account.nonce, account.balance) = (leaf.nonce, leaf.balance);
                    hashes.push((*address, leaf.code_hash()));
                }
                (Leaf::Account(_), _) => {
                    let why = "the state holds an account that no block and nobody is known to have written";
                    return Err(LedgerError::Damaged(why.to_owned()));
                }
                (Leaf::Slot(value), Some((address, Some(slot)))) => {
                    accounts.entry(*address).or_default().storage.insert((*slot).into(), value.into());
                }
                (Leaf::Slot(_), _) => {}
                (Leaf::Code(code), _) => {
                    codes.insert(keccak256(&code), code);
                }
            }
        }
        for (address, code_hash) in hashes {
            if let Some(code) = codes.get(&code_hash) {
                accounts.entry(address).or_default().code = code.clone();
            }
        }
        Ok(accounts)
    }

    async fn change(&mut self, changes: Changes) -> Result<(), ExecutionError> {
        self.ledger.history().note(&changes)?;
        self.remember(&changes);
        Ok(self.write(&changes, self.ledger.head()).await?)
    }

    /// Remembers what changes replace, for whoever goes back.
    fn remember(&mut self, changes: &Changes) {
        if let Some(first) = &mut self.first {
            for (key, change) in changes.iter() {
                first.entry(*key).or_insert_with(|| change.old.clone());
            }
        }
        if !self.snapshots.is_empty() {
            self.undone.extend(changes.iter().map(|(key, change)| (*key, change.old.clone())));
        }
    }

    async fn read(&self, key: state::Key) -> Result<Option<Leaf>, LedgerError> {
        let db = self.state.read().await;
        db.get(&key).await.map_err(|error| LedgerError::Storage(format!("state: {error}")))
    }

    async fn write(&self, changes: &Changes, head: Arc<Block>) -> Result<(), LedgerError> {
        let batch = self.state.new_batches().await;
        let sealed = state::seal::<E>(batch, changes, head.number()).await?;
        self.state.apply(sealed).await;
        self.ledger.reset(head);
        Ok(())
    }

    /// Remembers the chain as it is; returns a number to come back by.
    pub fn snapshot(&mut self) -> u64 {
        self.last_id += 1;
        let snapshot = Snapshot { id: self.last_id, head: self.ledger.head(), undone: self.undone.len() };
        self.snapshots.push(snapshot);
        self.last_id
    }

    /// Sets the chain back to a snapshot, which is used up, with those after it. `false` if there is none of that
    /// number.
    ///
    /// # Errors
    ///
    /// If state or history fail.
    pub async fn revert(&mut self, id: u64) -> Result<bool, LedgerError> {
        let Some(at) = self.snapshots.iter().position(|snapshot| snapshot.id == id) else { return Ok(false) };
        let snapshot = self.snapshots.drain(at..).next().expect("a position is in bounds");
        let mut first = HashMap::<state::Key, Option<Leaf>>::default();
        for (key, old) in self.undone.drain(snapshot.undone..) {
            first.entry(key).or_insert(old);
        }
        let changes = first.into_iter().map(|(key, new)| (key, Change { old: None, new })).collect();
        self.write(&changes, snapshot.head.clone()).await?;
        self.ledger.history().truncate(snapshot.head.number())?;
        Ok(true)
    }

    /// Keeps the way back to the first block in memory from now on, so that [`reset`](Self::reset) finds it after any number
    /// of blocks that are mined here; not if the ledger has lost it already.
    ///
    /// # Errors
    ///
    /// If the history fails.
    pub fn pin_first(&mut self) -> Result<(), LedgerError> {
        if self.ledger.state(0).is_ok() {
            self.first = Some(self.ledger.history().values_before(0)?.into_iter().collect());
        }
        Ok(())
    }

    /// Sets the chain back to its first block; all snapshots are gone.
    ///
    /// # Errors
    ///
    /// If state or history fail, or the values of the first block are no longer kept and it is not
    /// [pinned](Self::pin_first).
    pub async fn reset(&mut self) -> Result<(), LedgerError> {
        let before = match &mut self.first {
            Some(first) => std::mem::take(first).into_iter().collect(),
            None => {
                self.ledger.state(0)?;
                self.ledger.history().values_before(0)?
            }
        };
        let changes = before.into_iter().map(|(key, new)| (key, Change { old: None, new })).collect();
        self.snapshots.clear();
        self.undone.clear();
        self.write(&changes, self.ledger.first()).await?;
        self.ledger.history().truncate(0)
    }
}

/// A block without transactions, after which the state is this one.
fn empty(header: Header, state_root: B256, seal: Seal) -> Block {
    let header = Header {
        state_root,
        transactions_root: transactions_root(std::iter::empty()),
        receipts_root: merkle_root(std::iter::empty()),
        extra_data: Bytes::copy_from_slice(seal.hash().as_slice()),
        ..header
    };
    Block::new(header, seal, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{List, RECIPIENT, genesis};
    use alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
    use commonware_runtime::{Runner as _, deterministic};
    use commonware_utils::NZUsize;
    use stoa_contract::randomness;

    #[test]
    fn fields_are_set_at_once_and_all_that_has_a_name_is_told() {
        deterministic::Runner::seeded(1).start(async |runtime| {
            let folder = tempfile::tempdir().unwrap();
            let config = LedgerConfig::new(folder.path());
            let mut chain = Direct::open(runtime, genesis(2), config, 1 << 20, NZUsize!(1)).await.unwrap();
            let (other, code) = (Address::repeat_byte(3), Bytes::from_static(&[0x60, 0x00]));
            let slot = |number: u64| U256::from(number);
            let fields = vec![
                (RECIPIENT, Set::Nonce(4)),
                (RECIPIENT, Set::Code(code.clone())),
                (RECIPIENT, Set::Storage(slot(1), slot(11))),
                (RECIPIENT, Set::Storage(slot(1), slot(12))),
                (RECIPIENT, Set::Storage(slot(2), U256::ZERO)),
                (RECIPIENT, Set::Balance(slot(7))),
                (other, Set::Storage(slot(3), slot(13))),
            ];
            chain.set_all(fields).await.unwrap();

            let slots = BTreeSet::from([slot(1), slot(2), slot(9)]);
            let mut names: BTreeMap<_, _> =
                genesis(2).alloc.into_keys().map(|address| (address, BTreeSet::new())).collect();
            assert!(matches!(chain.dump(&names).await, Err(LedgerError::Damaged(_))), "an account has no name");
            names.extend([(RECIPIENT, slots.clone()), (other, slots), (Address::ZERO, BTreeSet::new())]);
            let dumped = chain.dump(&names).await.unwrap();
            let storage = BTreeMap::from([(B256::from(slot(1)), B256::from(slot(11)))]);
            let recipient = Account { balance: slot(7), nonce: 4, code, storage };
            let expected = genesis(2).alloc.into_iter().chain([(RECIPIENT, recipient)]).collect::<BTreeMap<_, _>>();
            assert_eq!(dumped, expected);
            names.get_mut(&other).unwrap().insert(slot(3));
            assert_eq!(chain.dump(&names).await.unwrap()[&other].storage.len(), 1);
        });
    }

    /// A few blocks without transactions, mined at once or one by one: their headers.
    fn mine_without_transactions(at_once: bool) -> Vec<Header> {
        deterministic::Runner::seeded(2).start(async |runtime| {
            let folder = tempfile::tempdir().unwrap();
            let contract = Account { code: Bytes::from_static(&[0xfe]), ..Account::default() };
            let mut genesis = genesis(1);
            genesis.alloc.extend([HISTORY_STORAGE_ADDRESS, randomness::ADDRESS].map(|at| (at, contract.clone())));
            let config = LedgerConfig::new(folder.path());
            let mut chain = Direct::open(runtime, genesis, config, 1 << 20, NZUsize!(1)).await.unwrap();
            let ledger = chain.ledger().clone();
            let snapshot = chain.snapshot();
            let choices = (1..=9).map(|number: u8| Choices {
                timestamp: 1_700_000_000 + 60 * u64::from(number),
                beneficiary: RECIPIENT,
                prevrandao: B256::repeat_byte(number),
                base_fee: None,
                gas_limit: None,
            });
            let choices = choices.collect::<Vec<_>>();
            if at_once {
                assert_eq!(chain.mine_empty(&choices).await.unwrap().len(), choices.len());
            } else {
                for choices in &choices {
                    let mut refused = Vec::new();
                    let nothing = Box::new(List(Vec::new(), &mut refused));
                    chain.mine(choices, Bytes::new(), nothing, &[]).await.unwrap();
                }
            }
            let headers = (0..=9).map(|number| ledger.block(number).unwrap().unwrap().block.header().clone());
            let headers = headers.collect::<Vec<_>>();
            let state = ledger.state(9).unwrap();
            for (parent, header) in headers.iter().zip(&headers[1..]) {
                let (before, number) = (U256::from(parent.number), header.number);
                assert_eq!(header.parent_hash, parent.hash_slow(), "block {number}");
                let kept = state.storage(HISTORY_STORAGE_ADDRESS, before).unwrap();
                assert_eq!(B256::from(kept), header.parent_hash, "block {number}");
                let kept = state.storage(randomness::ADDRESS, randomness::slot(number)).unwrap();
                assert_eq!(B256::from(kept), header.mix_hash, "block {number}");
            }
            // What was there before is there again.
            assert!(chain.revert(snapshot).await.unwrap());
            assert_eq!(ledger.head().number(), 0);
            let kept = ledger.state(0).unwrap().storage(randomness::ADDRESS, randomness::slot(9)).unwrap();
            assert_eq!(kept, U256::ZERO);
            headers
        })
    }

    #[test]
    fn blocks_without_transactions_that_are_mined_at_once_are_as_if_they_came_one_by_one() {
        let rid_of_hashes = |at_once| {
            let headers = mine_without_transactions(at_once).into_iter();
            let bare = |header: Header| Header {
                parent_hash: B256::ZERO,
                state_root: B256::ZERO,
                extra_data: Bytes::new(),
                ..header
            };
            headers.map(bare).collect::<Vec<_>>()
        };
        let at_once = rid_of_hashes(true);
        assert_eq!(at_once, rid_of_hashes(false));
        assert!(at_once[9].base_fee_per_gas < at_once[1].base_fee_per_gas);
    }
}

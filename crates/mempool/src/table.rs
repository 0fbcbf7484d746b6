//! All waiting transactions and what is kept in step with them: this stands behind the pool's lock.

use crate::{
    Account, Config, PoolError,
    check::{Checked, Price},
    queue::{Entry, Queue},
};
use alloy_consensus::Transaction as _;
use alloy_primitives::{
    Address, B256, U256,
    map::{Entry as MapEntry, HashMap},
};
use std::{cmp::Reverse, collections::BTreeSet, sync::Arc};
use stoa_base::Recovered;

/// What the last transaction of a sender is worth to a full pool; the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    class: Class,
    /// The worst price up to and with it.
    floor: Price,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// It waits behind a gap.
    Queued,
    /// Its sender has more than a share.
    Beyond,
    /// It is within its sender's share.
    Within,
}

type Rank = (Standing, Reverse<u64>, Address);

/// Why [`Table::insert`] does not take a transaction.
pub(crate) enum Refused {
    /// The sender has none waiting: the account must be looked up.
    AccountNeeded,
    Because(PoolError),
}

impl From<PoolError> for Refused {
    fn from(error: PoolError) -> Self {
        Self::Because(error)
    }
}

/// Newly pending transactions.
pub(crate) type Promoted = Vec<Arc<Recovered>>;

/// The last transaction of a sender, taken away, and what brings it back.
struct Evicted {
    sender: Address,
    account: Account,
    born: u64,
    entry: Entry,
}

pub(crate) struct Table {
    config: Config,
    queues: HashMap<Address, Queue>,
    by_hash: HashMap<B256, Arc<Recovered>>,
    /// Every sender under the standing of its last transaction.
    ranks: BTreeSet<Rank>,
    bytes: usize,
    pending: usize,
    last_seq: u64,
    now: u64,
    /// Counts how often accounts have changed: one that was looked up before may be out of date.
    version: u64,
}

impl Table {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            queues: HashMap::default(),
            by_hash: HashMap::default(),
            ranks: BTreeSet::new(),
            bytes: 0,
            pending: 0,
            last_seq: 0,
            now: 0,
            version: 0,
        }
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn pending(&self) -> usize {
        self.pending
    }

    pub fn get(&self, hash: &B256) -> Option<&Arc<Recovered>> {
        self.by_hash.get(hash)
    }

    pub fn queue(&self, sender: &Address) -> Option<&Queue> {
        self.queues.get(sender)
    }

    pub fn queues(&self) -> impl Iterator<Item = (&Address, &Queue)> {
        self.queues.iter()
    }

    /// Takes a transaction in. `account` is its sender's, looked up at the [`version`](Self::version) that comes with it.
    pub fn insert(&mut self, checked: Checked, account: Option<(u64, Account)>) -> Result<Promoted, Refused> {
        let tx = &checked.transaction;
        let (sender, nonce, hash) = (tx.signer(), tx.nonce(), *tx.inner().hash());
        if self.by_hash.contains_key(&hash) {
            return Err(PoolError::AlreadyKnown.into());
        }
        let queue = self.queues.get(&sender);
        let account = match (queue, account) {
            (Some(queue), _) => queue.account,
            (None, Some((version, account))) if version == self.version => account,
            _ => return Err(Refused::AccountNeeded),
        };
        if nonce < account.nonce {
            return Err(PoolError::NonceTooLow { next: account.nonce, nonce }.into());
        }
        if account.has_code {
            return Err(PoolError::SenderNotEoa(sender).into());
        }
        if checked.cost > account.balance {
            return Err(PoolError::InsufficientFunds { balance: account.balance, cost: checked.cost }.into());
        }
        let mut standing = Standing { class: Class::Within, floor: checked.price };
        let mut more = (1, checked.size);
        if let Some(queue) = queue {
            let (position, replaced) = match queue.position(nonce) {
                Ok(position) => (position, queue.get(position)),
                Err(position) => (position, None),
            };
            let stays = queue.cost() - replaced.map_or(U256::ZERO, |entry| entry.checked.cost);
            if stays.saturating_add(checked.cost) > account.balance {
                let (balance, cost) = (account.balance, checked.cost);
                return Err(PoolError::QueueOverdraft { balance, queued: stays, cost }.into());
            }
            if let Some(old) = replaced {
                if !self.outbids(checked.price, old.checked.price) {
                    return Err(PoolError::ReplacementUnderpriced.into());
                }
                more = (0, checked.size.saturating_sub(old.checked.size));
            }
            if let Some(floor) = queue.floor_before(position) {
                standing.floor = standing.floor.min(floor);
            }
            let runs = position <= queue.pending() && nonce - account.nonce == position as u64;
            standing.class = self.class(!runs, queue.len() + more.0);
            if replaced.is_none() {
                self.check_sender_limits(queue, runs)?;
            }
        } else if nonce != account.nonce {
            standing.class = Class::Queued;
        }
        self.make_room(more, standing, (sender, nonce))?;

        self.last_seq += 1;
        let (seq, now) = (self.last_seq, self.now);
        self.by_hash.insert(hash, tx.clone());
        self.bytes += checked.size;
        self.queues.entry(sender).or_insert_with(|| Queue::new(account, seq));
        let (replaced, promoted) =
            self.edit(sender, |queue| queue.insert(checked, seq, now)).expect("the queue was just put there");
        self.forget(replaced);
        Ok(promoted)
    }

    /// Whether a price replaces another: both parts must be higher by the bump.
    fn outbids(&self, new: Price, old: Price) -> bool {
        let bumped = |new: u128, old: u128| {
            let least = U256::from(old) * U256::from(100 + self.config.price_bump);
            new > old && U256::from(new) * U256::from(100) >= least
        };
        bumped(new.fee_cap, old.fee_cap) && bumped(new.tip_cap, old.tip_cap)
    }

    fn check_sender_limits(&self, queue: &Queue, runs: bool) -> Result<(), PoolError> {
        let (most, most_queued) = (self.config.max_per_sender, self.config.max_queued_per_sender);
        if queue.len() >= most {
            return Err(PoolError::AccountLimit { waiting: queue.len(), limit: most });
        }
        if !runs && queue.queued() >= most_queued {
            return Err(PoolError::AccountLimit { waiting: queue.queued(), limit: most_queued });
        }
        Ok(())
    }

    fn class(&self, queued: bool, len: usize) -> Class {
        match queued {
            true => Class::Queued,
            false if len > self.config.share_per_sender => Class::Beyond,
            false => Class::Within,
        }
    }

    /// Pushes out what stands lower until a newcomer has room, or changes nothing.
    fn make_room(
        &mut self,
        (count, bytes): (usize, usize),
        standing: Standing,
        (sender, nonce): (Address, u64),
    ) -> Result<(), PoolError> {
        let mut evicted = Vec::new();
        while self.len() + count > self.config.max_transactions || self.bytes + bytes > self.config.max_bytes {
            let victim = self.ranks.first().copied().filter(|(lowest, _, victim)| {
                let own = *victim == sender;
                let behind = || self.queues[victim].tail().is_some_and(|tail| tail.nonce() > nonce);
                *lowest < standing && (!own || behind())
            });
            let taken = victim.and_then(|(_, _, victim)| self.evict(victim));
            let Some(taken) = taken else {
                while let Some(evicted) = evicted.pop() {
                    self.restore(evicted);
                }
                let queued = standing.class == Class::Queued;
                return Err(if queued { PoolError::Full } else { PoolError::Underpriced });
            };
            evicted.push(taken);
        }
        for evicted in evicted {
            tracing::debug!(hash = %evicted.entry.checked.transaction.inner().hash(), "pushed out of the full pool");
        }
        Ok(())
    }

    fn evict(&mut self, sender: Address) -> Option<Evicted> {
        let queue = self.queues.get(&sender)?;
        let (account, born) = (queue.account, queue.born);
        let entry = self.edit(sender, Queue::pop)??;
        self.forget([entry.clone()]);
        Some(Evicted { sender, account, born, entry })
    }

    fn restore(&mut self, evicted: Evicted) {
        let Evicted { sender, account, born, entry } = evicted;
        let tx = &entry.checked.transaction;
        self.by_hash.insert(*tx.inner().hash(), tx.clone());
        self.bytes += entry.checked.size;
        self.queues.entry(sender).or_insert_with(|| Queue::new(account, born));
        self.edit(sender, |queue| queue.push(entry));
    }

    /// Takes over what a block changed: accounts with their nonce and balance, and the hashes it included.
    pub fn on_block(
        &mut self,
        changed: impl IntoIterator<Item = (Address, u64, U256)>,
        included: impl IntoIterator<Item = B256>,
    ) -> Promoted {
        self.version += 1;
        // Each queue is worked out once, however many of its transactions the block has.
        let mut accounts = HashMap::<Address, Account>::default();
        let changed = changed.into_iter().map(|(sender, nonce, balance)| (sender, nonce, Some(balance)));
        let used = |hash| self.by_hash.get(&hash).map(|tx| (tx.signer(), tx.nonce() + 1, None));
        for (sender, nonce, balance) in changed.chain(included.into_iter().filter_map(used)) {
            let Some(queue) = self.queues.get(&sender) else { continue };
            let account = accounts.entry(sender).or_insert(queue.account);
            // An account that was looked up after this block may be ahead of it.
            account.nonce = account.nonce.max(nonce);
            account.balance = balance.unwrap_or(account.balance);
        }
        accounts.into_iter().flat_map(|(sender, account)| self.update(sender, account)).collect()
    }

    /// Sets accounts to what was looked up, even if a nonce has become lower.
    pub fn set_accounts(&mut self, accounts: impl IntoIterator<Item = (Address, Account)>) -> Promoted {
        self.version += 1;
        accounts.into_iter().flat_map(|(sender, account)| self.update(sender, account)).collect()
    }

    fn update(&mut self, sender: Address, account: Account) -> Promoted {
        let now = self.now;
        let Some((dropped, promoted)) = self.edit(sender, |queue| queue.update(account, now)) else {
            return Vec::new();
        };
        self.forget(dropped);
        promoted
    }

    /// Takes one away.
    pub fn remove(&mut self, hash: &B256) -> Option<Arc<Recovered>> {
        let tx = self.by_hash.get(hash)?.clone();
        let now = self.now;
        let removed = self.edit(tx.signer(), |queue| {
            let position = queue.position(tx.nonce()).ok()?;
            queue.remove(position, now)
        })?;
        self.forget(removed);
        Some(tx)
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        self.queues.clear();
        self.by_hash.clear();
        self.ranks.clear();
        (self.bytes, self.pending) = (0, 0);
    }

    /// Sets the time, and drops what has waited behind a gap for too long.
    pub fn expire(&mut self, now: u64) {
        self.now = now;
        let Some(deadline) = now.checked_sub(self.config.queued_lifetime) else { return };
        if self.len() == self.pending {
            return;
        }
        let senders = self.queues.iter().filter(|(_, queue)| queue.queued() > 0);
        for sender in senders.map(|(sender, _)| *sender).collect::<Vec<_>>() {
            let gone = self.edit(sender, |queue| queue.expire(deadline));
            self.forget(gone.into_iter().flatten());
        }
    }

    /// Changes a queue and keeps the rest in step with it, except for what [`forget`](Self::forget) does.
    fn edit<R>(&mut self, sender: Address, change: impl FnOnce(&mut Queue) -> R) -> Option<R> {
        let (before, pending) = {
            let queue = self.queues.get(&sender)?;
            (self.rank(sender, queue), queue.pending())
        };
        let MapEntry::Occupied(mut entry) = self.queues.entry(sender) else { return None };
        let result = change(entry.get_mut());
        self.pending = self.pending - pending + entry.get().pending();
        if entry.get().len() == 0 {
            entry.remove();
        }
        let after = self.queues.get(&sender).and_then(|queue| self.rank(sender, queue));
        if before != after {
            if let Some(before) = before {
                self.ranks.remove(&before);
            }
            self.ranks.extend(after);
        }
        Some(result)
    }

    fn rank(&self, sender: Address, queue: &Queue) -> Option<Rank> {
        let class = self.class(queue.queued() > 0, queue.len());
        Some((Standing { class, floor: queue.floor()? }, Reverse(queue.born), sender))
    }

    fn forget(&mut self, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            self.by_hash.remove(entry.checked.transaction.inner().hash());
            self.bytes -= entry.checked.size;
        }
    }

    /// Panics unless all indexes agree and no limit is passed.
    #[cfg(test)]
    pub fn assert_consistent(&self) {
        let (mut len, mut pending, mut bytes) = (0, 0, 0);
        for (sender, queue) in &self.queues {
            queue.assert_consistent();
            assert!(queue.len() > 0 && queue.len() <= self.config.max_per_sender);
            len += queue.len();
            pending += queue.pending();
            for entry in queue.entries() {
                let tx = &entry.checked.transaction;
                assert_eq!(tx.signer(), *sender);
                assert!(Arc::ptr_eq(&self.by_hash[tx.inner().hash()], tx));
                bytes += entry.checked.size;
            }
            assert!(self.ranks.contains(&self.rank(*sender, queue).unwrap()));
        }
        assert_eq!((len, pending, bytes), (self.by_hash.len(), self.pending, self.bytes));
        assert_eq!(self.ranks.len(), self.queues.len());
        assert!(len <= self.config.max_transactions && bytes <= self.config.max_bytes);
    }
}

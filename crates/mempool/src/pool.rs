use crate::{
    Best, Config, PoolError, State,
    check::{Checked, check},
    decode::recover,
    journal::Journal,
    records::{self, Record},
    table::{Promoted, Refused, Table},
};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, U256, map::HashMap};
use parking_lot::{Mutex, MutexGuard};
use std::{io, path::Path, sync::Arc};
use stoa_base::Recovered;
use tokio::sync::broadcast;

/// Transactions that wait for a block. Cheap to clone; every method can be called from any thread.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    state: Arc<dyn State>,
    table: Mutex<Table>,
    journal: Option<Journal>,
    events: broadcast::Sender<Arc<Recovered>>,
    given: broadcast::Sender<Arc<Recovered>>,
}

/// How many transactions wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Those that can run now.
    pub pending: usize,
    /// Those behind a gap, or beyond what the balance pays for.
    pub queued: usize,
}

/// Waiting transactions, each part ordered by sender and nonce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Those that can run now.
    pub pending: Vec<Arc<Recovered>>,
    /// Those behind a gap, or beyond what the balance pays for.
    pub queued: Vec<Arc<Recovered>>,
}

impl Pool {
    /// A pool that forgets everything with the process.
    pub fn new(config: Config, state: Arc<dyn State>) -> Self {
        let table = Table::new(config.clone());
        Self::assemble(config, state, table, None)
    }

    /// A pool that keeps what it accepts in the file `path`, and takes in what stands there already. Blocking.
    ///
    /// Records that are damaged are passed over with a warning; all others are read. Transactions that the chain has
    /// included meanwhile, or that their senders can no longer pay for, are dropped.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written, or the state cannot be read.
    pub fn open(path: &Path, config: Config, state: Arc<dyn State>) -> io::Result<Self> {
        let mut pool = Self::new(config, state);
        let (mut read, mut refused) = (0_u64, 0_u64);
        let (journal, damaged) = Journal::open(path, |record| {
            match record {
                Record::Accepted(transaction) => {
                    read += 1;
                    match pool.admit(*transaction) {
                        Ok(_) => {}
                        Err(PoolError::State(why)) => return Err(io::Error::other(why)),
                        Err(_) => refused += 1,
                    }
                }
                Record::Removed(hash) => {
                    pool.table().remove(&hash);
                }
            }
            Ok(())
        })?;
        if read > 0 {
            tracing::info!(waiting = pool.table().len(), done = refused, "read the transactions that were waiting");
        }
        let shared = Arc::get_mut(&mut pool.shared).expect("nobody else has the pool yet");
        shared.journal = Some(journal);
        if damaged > 0 {
            tracing::warn!(
                path = %path.display(),
                bytes = damaged,
                "the transaction journal was damaged: what could not be read is lost, the rest is kept"
            );
            pool.rewrite()?;
        }
        Ok(pool)
    }

    fn assemble(config: Config, state: Arc<dyn State>, table: Table, journal: Option<Journal>) -> Self {
        let (events, given) = (broadcast::Sender::new(config.events), broadcast::Sender::new(config.events));
        Self { shared: Arc::new(Shared { config, state, table: Mutex::new(table), journal, events, given }) }
    }

    /// Takes a transaction in. The signer is believed: see [`recover`]. May block on the state and, shortly, on the file.
    ///
    /// # Errors
    ///
    /// Says why the transaction cannot wait here.
    pub fn add(&self, transaction: Recovered) -> Result<B256, PoolError> {
        let hash = self.add_from_peer(transaction)?;
        self.tell_given(&hash);
        Ok(hash)
    }

    /// As [`add`](Self::add), of a transaction that other nodes have already: [`given`](Self::given) leaves it out.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn add_from_peer(&self, transaction: Recovered) -> Result<B256, PoolError> {
        let (transaction, promoted) = self.admit(transaction)?;
        self.accepted(&transaction, promoted)
    }

    fn tell_given(&self, hash: &B256) {
        if self.shared.given.receiver_count() > 0
            && let Some(transaction) = self.get(hash)
        {
            let _ = self.shared.given.send(transaction);
        }
    }

    /// As [`add`](Self::add), if the sender's account is known because others of its transactions wait; `None` if it would
    /// have to be read. Does not wait for the state.
    pub fn add_if_known(&self, transaction: &Recovered) -> Option<Result<B256, PoolError>> {
        let checked = match self.check(transaction.clone()) {
            Ok(checked) => checked,
            Err(error) => return Some(Err(error)),
        };
        let transaction = checked.transaction.clone();
        let inserted = self.table().insert(checked, None);
        match inserted {
            Ok(promoted) => Some(self.accepted(&transaction, promoted).inspect(|hash| self.tell_given(hash))),
            Err(Refused::Because(error)) => Some(Err(error)),
            Err(Refused::AccountNeeded) => None,
        }
    }

    /// Writes down what was taken in, and tells.
    fn accepted(&self, transaction: &Arc<Recovered>, promoted: Promoted) -> Result<B256, PoolError> {
        let hash = *transaction.inner().hash();
        if let Some(journal) = &self.shared.journal
            && let Err(error) = journal.append(&records::accepted(transaction))
        {
            self.table().remove(&hash);
            return Err(PoolError::Journal(error.to_string()));
        }
        self.announce(promoted);
        Ok(hash)
    }

    /// Decodes an EIP-2718 transaction, recovers its sender and takes it in.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the bytes, or why the transaction cannot wait here.
    pub fn add_raw(&self, raw: &[u8]) -> Result<B256, PoolError> {
        self.add(recover(raw)?)
    }

    fn check(&self, transaction: Recovered) -> Result<Checked, PoolError> {
        let Shared { config, state, .. } = &*self.shared;
        check(config, state.chain_id(), state.gas_limit(), transaction)
    }

    fn admit(&self, transaction: Recovered) -> Result<(Arc<Recovered>, Promoted), PoolError> {
        let state = &self.shared.state;
        let checked = self.check(transaction)?;
        let Checked { transaction, .. } = &checked;
        let (transaction, sender) = (transaction.clone(), transaction.signer());
        let mut account = None;
        loop {
            let version = {
                let mut table = self.table();
                match table.insert(checked.clone(), account) {
                    Ok(promoted) => return Ok((transaction, promoted)),
                    Err(Refused::Because(error)) => return Err(error),
                    Err(Refused::AccountNeeded) => table.version(),
                }
            };
            // The disk is read without the lock. If a block comes in between, the account is read again.
            account = Some((version, state.account(sender).map_err(PoolError::State)?));
        }
    }

    fn announce(&self, promoted: Promoted) {
        if self.shared.events.receiver_count() > 0 {
            for transaction in promoted {
                let _ = self.shared.events.send(transaction);
            }
        }
    }

    /// Pending transactions for a block with this base fee (wei per gas): best tip first, each sender's by nonce, the
    /// earliest first among equals. Those that can't pay the base fee are left out.
    pub fn best(&self, base_fee: u64) -> Best {
        self.best_after(base_fee, &HashMap::default())
    }

    /// As [`best`](Self::best), for a block on top of some that are not final yet: `used` has the next nonces of the
    /// senders of their transactions.
    pub fn best_after(&self, base_fee: u64, used: &HashMap<Address, u64>) -> Best {
        Best::new(self.clone(), base_fee, used)
    }

    /// Whether nothing is pending but what `used` says is in blocks that are not final yet: the next nonces of the senders
    /// of their transactions.
    pub fn is_empty_after(&self, used: &HashMap<Address, u64>) -> bool {
        let table = self.table();
        let included = used.iter().filter_map(|(sender, next)| {
            let queue = table.queue(sender)?;
            Some(
                usize::try_from(next.saturating_sub(queue.account.nonce))
                    .map_or(queue.pending(), |used| used.min(queue.pending())),
            )
        });
        table.pending() == included.sum::<usize>()
    }

    /// Takes over what a block changed: accounts with their new nonce and balance, and the transactions it included.
    /// Drops those, and what is stale or can no longer be paid for; what a gap held back may become pending.
    ///
    /// To be called for every block in order, after the [`State`] has moved on to it.
    pub fn on_block(
        &self,
        changed: impl IntoIterator<Item = (Address, u64, U256)>,
        included: impl IntoIterator<Item = B256>,
    ) {
        // The caller's iterator may read from disk: not under the lock.
        let changed: Vec<_> = changed.into_iter().collect();
        let promoted = self.table().on_block(changed, included);
        self.announce(promoted);
    }

    /// Reads the accounts of all senders again: for when the chain was set back, or accounts were set by hand.
    ///
    /// # Errors
    ///
    /// If the state cannot be read; then nothing has changed.
    pub fn refresh(&self) -> Result<(), PoolError> {
        let senders: Vec<Address> = self.table().queues().map(|(sender, _)| *sender).collect();
        let look_up = |sender| Ok((sender, self.shared.state.account(sender).map_err(PoolError::State)?));
        let accounts: Vec<_> = senders.into_iter().map(look_up).collect::<Result<_, PoolError>>()?;
        let promoted = self.table().set_accounts(accounts);
        self.announce(promoted);
        Ok(())
    }

    /// Takes a transaction away; those behind it wait for its nonce from then on. It stays away after a restart.
    pub fn remove(&self, hash: &B256) -> Option<Arc<Recovered>> {
        let removed = self.table().remove(hash)?;
        if let Some(journal) = &self.shared.journal
            && let Err(error) = journal.append(&records::removed(hash))
        {
            tracing::warn!(%error, %hash, "a removed transaction may be back after a restart");
        }
        Some(removed)
    }

    /// Takes all transactions away. They stay away after a restart, if not after a power cut.
    ///
    /// # Errors
    ///
    /// If the journal cannot be emptied: then they may be back after a restart.
    pub fn clear(&self) -> io::Result<()> {
        self.table().clear();
        self.shared.journal.as_ref().map_or(Ok(()), Journal::clear)
    }

    /// Drops what has waited behind a gap for too long, and rewrites the journal when it has grown far beyond its
    /// content. `now` is in milliseconds since any moment that stays the same. To be called every few seconds from a
    /// thread that may block.
    ///
    /// # Errors
    ///
    /// If the journal cannot be rewritten; it stays in use as it is.
    pub fn maintain(&self, now: u64) -> io::Result<()> {
        let content = {
            let mut table = self.table();
            table.expire(now);
            // What a record adds to its transaction.
            (table.bytes() + 37 * table.len()) as u64
        };
        match &self.shared.journal {
            Some(journal) if journal.length() > 2 * content + self.shared.config.journal_slack => self.rewrite(),
            _ => Ok(()),
        }
    }

    fn rewrite(&self) -> io::Result<()> {
        let Some(journal) = &self.shared.journal else { return Ok(()) };
        journal.rewrite(|| {
            let table = self.table();
            let mut queues: Vec<_> = table.queues().map(|(_, queue)| queue).collect();
            // Whoever came first stays first among equals, and nobody's queue is read with gaps.
            queues.sort_unstable_by_key(|queue| queue.born);
            queues
                .into_iter()
                .flat_map(|queue| queue.entries())
                .map(|entry| entry.checked.transaction.clone())
                .collect()
        })
    }

    /// Every transaction that becomes pending from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Recovered>> {
        self.shared.events.subscribe()
    }

    /// Every transaction that clients give to this node from now on, pending or not.
    pub fn given(&self) -> broadcast::Receiver<Arc<Recovered>> {
        self.shared.given.subscribe()
    }

    /// A waiting transaction.
    pub fn get(&self, hash: &B256) -> Option<Arc<Recovered>> {
        self.table().get(hash).cloned()
    }

    /// The nonce after a sender's last pending transaction, `None` if none is pending.
    pub fn pending_nonce(&self, sender: Address) -> Option<u64> {
        let table = self.table();
        let queue = table.queue(&sender).filter(|queue| queue.pending() > 0)?;
        Some(queue.account.nonce + queue.pending() as u64)
    }

    /// How many transactions wait.
    pub fn status(&self) -> Status {
        let table = self.table();
        Status { pending: table.pending(), queued: table.len() - table.pending() }
    }

    /// Encoded bytes of all transactions that wait.
    pub fn bytes(&self) -> usize {
        self.table().bytes()
    }

    /// All that wait.
    pub fn content(&self) -> Content {
        let mut content = Content::default();
        {
            let table = self.table();
            table.queues().for_each(|(_, queue)| content.extend(queue));
        }
        let by_place = |tx: &Arc<Recovered>| (tx.signer(), tx.nonce());
        content.pending.sort_unstable_by_key(by_place);
        content.queued.sort_unstable_by_key(by_place);
        content
    }

    /// All of one sender that wait.
    pub fn content_from(&self, sender: Address) -> Content {
        let mut content = Content::default();
        if let Some(queue) = self.table().queue(&sender) {
            content.extend(queue);
        }
        content
    }

    /// The bounds.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.shared.table.lock()
    }
}

impl Content {
    fn extend(&mut self, queue: &crate::queue::Queue) {
        let mut all = queue.entries().map(|entry| entry.checked.transaction.clone());
        self.pending.extend(all.by_ref().take(queue.pending()));
        self.queued.extend(all);
    }
}

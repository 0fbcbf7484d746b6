mod checks;
mod disorder;
mod drawn;
mod epochs;
mod faults;
mod forgeries;
mod latency;
mod malice;
mod network;
mod pace;
pub(crate) mod secrets;
mod simulation;
mod validator;

use crate::{Origin, Waiting};
use alloy_consensus::transaction::SignerRecoverable as _;
use alloy_consensus::{SignableTransaction, Transaction as _, TxLegacy, transaction::Recovered as AlloyRecovered};
use alloy_primitives::{Address, B256, TxKind, U256, map::HashMap};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use futures::{Stream, StreamExt as _, channel::mpsc, stream};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};
use stoa_base::{Account, Genesis, Recovered, Transaction};
use stoa_ledger::{
    Committed,
    execute::{Changes, Refusal},
    state::{Leaf, account_key},
};
use tokio::sync::Notify;

pub(crate) const RECIPIENT: Address = Address::repeat_byte(0xaa);

/// What each sender has in block 0, in wei.
pub(crate) const WEALTH: u64 = 1 << 60;

type ByNonce = BTreeMap<(Address, u64), Arc<Recovered>>;

/// Waiting transactions without a mempool's limits.
#[derive(Clone, Default)]
pub(crate) struct List {
    waiting: Arc<Mutex<ByNonce>>,
    /// The next nonces of senders, as far as final blocks have told.
    next: Arc<Mutex<HashMap<Address, u64>>>,
    given: Arc<Vec<Arc<Recovered>>>,
    later: Arc<Mutex<Vec<mpsc::UnboundedSender<Arc<Recovered>>>>>,
    arrived: Arc<Notify>,
}

impl List {
    /// One that clients have given these to.
    pub(crate) fn new(given: Vec<Arc<Recovered>>) -> Self {
        let list = Self { given: Arc::new(given), ..Self::default() };
        list.given.iter().for_each(|transaction| list.add(transaction.clone()));
        list
    }

    fn add(&self, transaction: Arc<Recovered>) {
        let (sender, nonce) = (transaction.signer(), transaction.nonce());
        // What comes late, or again, may be final already.
        let next = self.next.lock().get(&sender).copied().unwrap_or_default();
        if nonce >= next {
            self.waiting.lock().insert((sender, nonce), transaction);
            self.arrived.notify_waiters();
        }
    }

    /// A client gives another.
    pub(crate) fn give(&self, transaction: Arc<Recovered>) {
        self.add(transaction.clone());
        self.later.lock().retain(|later| later.unbounded_send(transaction.clone()).is_ok());
    }
}

impl Waiting for List {
    fn best(&self, _: u64, mut gas: u64, used: &HashMap<Address, u64>) -> Vec<Arc<Recovered>> {
        let waiting = self.waiting.lock();
        let next = waiting.iter().filter(|((sender, nonce), _)| used.get(sender).is_none_or(|next| nonce >= next));
        let fits = |transaction: &Arc<Recovered>| {
            let has_room = gas > 0;
            gas = gas.saturating_sub(transaction.gas_limit());
            has_room
        };
        next.map(|(_, transaction)| transaction.clone()).take_while(fits).collect()
    }

    fn is_empty(&self, _: &HashMap<Address, u64>) -> bool {
        self.waiting.lock().is_empty()
    }

    fn arrived(&self) -> impl Future<Output = ()> + Send + use<> {
        self.arrived.clone().notified_owned()
    }

    fn given(&self) -> impl Stream<Item = Arc<Recovered>> + Send + use<> {
        let (later, coming) = mpsc::unbounded();
        self.later.lock().push(later);
        stream::iter(self.given.to_vec()).chain(coming)
    }

    fn take(&self, transactions: Vec<Transaction>, _: Origin) -> bool {
        for transaction in transactions {
            let sender = transaction.recover_signer().unwrap();
            self.add(Arc::new(Recovered::new_unchecked(transaction, sender)));
        }
        true
    }

    fn sender(&self, _: &B256) -> Option<Address> {
        None
    }

    fn refused(&self, transaction: &Recovered, why: &Refusal) {
        // Some nonces before this one have not arrived yet; what was included before a restart is given again; a block is full.
        let expected = why.to_string().contains("nonce") || matches!(why, Refusal::BlockFull { .. });
        assert!(expected, "{:?} was refused: {why}", transaction.tx_hash());
    }

    fn finalized(&self, committed: &Committed, changes: &Changes) {
        let mut waiting = self.waiting.lock();
        for sender in &*committed.senders {
            let next = match changes.get(&account_key(sender)).and_then(|change| change.new.as_ref()) {
                Some(Leaf::Account(account)) => account.nonce,
                _ => 0,
            };
            waiting.retain(|(waits, nonce), _| waits != sender || *nonce >= next);
            self.next.lock().insert(*sender, next);
        }
    }
}

pub(crate) fn signer(n: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(n + 1)).unwrap()
}

/// A transfer that nobody has signed.
pub(crate) fn unsigned(nonce: u64) -> TxLegacy {
    TxLegacy {
        chain_id: Some(31337),
        nonce,
        gas_limit: 21_000,
        gas_price: 2_000_000_000,
        to: TxKind::Call(RECIPIENT),
        value: U256::from(1),
        ..TxLegacy::default()
    }
}

/// What a sender has signed.
pub(crate) fn signed(sender: u8, tx: TxLegacy) -> Arc<Recovered> {
    let signer = signer(sender);
    let signature = signer.sign_hash_sync(&tx.signature_hash()).unwrap();
    Arc::new(AlloyRecovered::new_unchecked(tx.into_signed(signature).into(), signer.address()))
}

pub(crate) fn transfer_from(sender: u8, nonce: u64) -> Arc<Recovered> {
    signed(sender, unsigned(nonce))
}

pub(crate) fn transfer(nonce: u64) -> Arc<Recovered> {
    transfer_from(0, nonce)
}

/// Short, so that epochs change in the middle of what tests do.
pub(crate) const EPOCH_LENGTH: u64 = 12;

/// A chain with this committee on which so many senders have coins.
pub(crate) fn genesis(committee: &crate::Committee, senders: u8) -> Genesis {
    let rich = Account { balance: U256::from(WEALTH), ..Account::default() };
    Genesis {
        chain_id: 31337,
        timestamp: 0,
        gas_limit: 30_000_000,
        fees: Default::default(),
        development: true,
        epoch_length: EPOCH_LENGTH,
        committee: Some(committee.into()),
        alloc: (0..senders).map(|n| (signer(n).address(), rich.clone())).collect(),
    }
}

/// Runs on a thread with a stack that unoptimized futures fit on.
pub(crate) fn with_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, run).unwrap();
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

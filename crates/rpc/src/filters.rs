//! Filters that clients poll: `eth_newFilter` and its relatives.
//!
//! A filter holds no results. It remembers how far its client has read, and each poll asks the ledger for what came
//! after, so ten thousand filters cost no more than their own few bytes and the addresses and topics that they name, which
//! are counted. Hashes of waiting transactions are in no ledger; the newest of them stand in one ring that all filters share.

use crate::{
    RpcError,
    budget::Share,
    context::{Context, Slot},
    logs::Query,
};
use alloy_primitives::{B128, B256};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::AtomicUsize},
    time::Instant,
};

/// What a filter reports.
#[derive(Clone)]
pub(crate) enum Kind {
    /// Hashes of new blocks.
    Blocks,
    /// Logs.
    Logs(Arc<Query>),
    /// Hashes of transactions that begin to wait.
    Pending,
}

struct Filter {
    kind: Kind,
    /// The last block, or the last place in the ring, that was reported.
    last: u64,
    polled: Instant,
    _slots: [Slot; 2],
    _alternatives: Option<[Share; 2]>,
}

/// The newest hashes of waiting transactions and how many came before them.
#[derive(Default)]
struct Ring {
    hashes: VecDeque<B256>,
    before: u64,
}

/// How many hashes a client may be behind.
const RING: usize = 65_536;

/// All filters of the node.
#[derive(Default)]
pub(crate) struct Filters {
    by_id: Mutex<HashMap<B128, Filter>>,
    count: Arc<AtomicUsize>,
    /// Addresses and topics in them.
    alternatives: Arc<AtomicUsize>,
    ring: Mutex<Ring>,
}

/// What is new for a filter.
pub(crate) enum Changes {
    /// Blocks after the first number, up to and including the second.
    Blocks(u64, u64),
    /// Logs of those blocks.
    Logs(Arc<Query>, u64, u64),
    /// These.
    Hashes(Vec<B256>),
}

fn not_found() -> RpcError {
    RpcError::server("filter not found")
}

impl Filters {
    /// Remembers that a transaction waits.
    pub fn push_pending(&self, hash: B256) {
        let mut ring = self.ring.lock();
        ring.hashes.push_back(hash);
        if ring.hashes.len() > RING {
            ring.hashes.pop_front();
            ring.before += 1;
        }
    }

    fn ring_end(&self) -> u64 {
        let ring = self.ring.lock();
        ring.before + ring.hashes.len() as u64
    }

    /// Installs a filter.
    ///
    /// # Errors
    ///
    /// -32005 if there are too many, or too many addresses and topics in them.
    pub fn install(&self, context: &Context, kind: Kind) -> Result<B128, RpcError> {
        let config = context.config();
        let slots = Slot::take(&context.connection.filters, config.max_filters_per_connection)
            .zip(Slot::take(&self.count, config.max_filters))
            .ok_or_else(|| {
                RpcError::limit(format!(
                    "too many filters: at most {} per connection and {} in all",
                    config.max_filters_per_connection, config.max_filters
                ))
            })?;
        let alternatives = match &kind {
            Kind::Logs(query) => Some(query.hold(context, &self.alternatives)?),
            Kind::Blocks | Kind::Pending => None,
        };
        let last = match kind {
            Kind::Pending => self.ring_end(),
            Kind::Blocks | Kind::Logs(_) => context.head().number(),
        };
        let id = B128::random();
        let (polled, slots) = (Instant::now(), [slots.0, slots.1]);
        self.by_id.lock().insert(id, Filter { kind, last, polled, _slots: slots, _alternatives: alternatives });
        Ok(id)
    }

    pub fn uninstall(&self, id: B128) -> bool {
        self.by_id.lock().remove(&id).is_some()
    }

    /// Removes filters that nobody polls.
    pub fn expire(&self, config: &crate::Config) {
        self.by_id.lock().retain(|_, filter| filter.polled.elapsed() < config.filter_timeout);
    }

    /// The log query of a filter, for `eth_getFilterLogs`.
    ///
    /// # Errors
    ///
    /// -32000 if there is no such filter of logs.
    pub fn query(&self, id: B128) -> Result<Arc<Query>, RpcError> {
        let mut by_id = self.by_id.lock();
        let filter = by_id.get_mut(&id).ok_or_else(not_found)?;
        filter.polled = Instant::now();
        match &filter.kind {
            Kind::Logs(query) => Ok(query.clone()),
            Kind::Blocks | Kind::Pending => Err(not_found()),
        }
    }

    /// What is new since the last poll, at most `max_blocks` blocks of it; the rest comes with the next poll.
    ///
    /// # Errors
    ///
    /// -32000 if there is no such filter.
    pub fn poll(&self, id: B128, head: u64, max_blocks: u64) -> Result<Changes, RpcError> {
        let mut by_id = self.by_id.lock();
        let filter = by_id.get_mut(&id).ok_or_else(not_found)?;
        filter.polled = Instant::now();
        if let Kind::Pending = filter.kind {
            let ring = self.ring.lock();
            let known = filter.last.saturating_sub(ring.before) as usize;
            let hashes = ring.hashes.iter().skip(known).copied().collect();
            filter.last = ring.before + ring.hashes.len() as u64;
            return Ok(Changes::Hashes(hashes));
        }
        // A development node may have turned back.
        let from = filter.last.min(head);
        let to = head.min(from.saturating_add(max_blocks));
        filter.last = to;
        Ok(match &filter.kind {
            Kind::Logs(query) => Changes::Logs(query.clone(), from, to),
            Kind::Blocks | Kind::Pending => Changes::Blocks(from, to),
        })
    }
}

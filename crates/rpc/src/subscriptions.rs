//! Subscriptions of a WebSocket: `eth_subscribe` and `eth_unsubscribe`.
//!
//! A connection listens to the chain and the pool once, however many subscriptions it has; each event is held against
//! its table. So a subscription costs an entry in a table, and no task or queue of its own.

use crate::{
    Context, Params, RpcError,
    context::Slot,
    logs::Query,
    view::{BlockView, Detail, TransactionView},
};
use alloy_primitives::B128;
use parking_lot::Mutex;
use serde::Serialize;
use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicUsize},
};
use stoa_base::Recovered;
use stoa_ledger::Committed;

/// What a subscription tells of.
#[derive(Clone)]
pub(crate) enum Kind {
    Heads,
    Logs(Arc<Query>),
    Pending { full: bool },
    Syncing,
}

struct Subscription {
    kind: Kind,
    /// The message that asked for it, until that has been answered.
    unanswered: Option<u64>,
    _slots: [Slot; 2],
}

/// The table of one connection.
#[derive(Default)]
pub(crate) struct Subscriptions {
    by_id: Mutex<HashMap<B128, Subscription>>,
    count: Arc<AtomicUsize>,
}

#[derive(Serialize)]
struct Notification<'a, T> {
    jsonrpc: &'static str,
    method: &'static str,
    params: NotificationParams<'a, T>,
}

#[derive(Serialize)]
struct NotificationParams<'a, T> {
    subscription: B128,
    result: &'a T,
}

fn notification<T: Serialize>(subscription: B128, result: &T) -> Option<String> {
    let params = NotificationParams { subscription, result };
    let message = Notification { jsonrpc: "2.0", method: "eth_subscription", params };
    serde_json::to_string(&message)
        .inspect_err(|error| tracing::error!(%error, "a notification cannot be written as JSON"))
        .ok()
}

impl Subscriptions {
    /// The answer to `message` has been sent: what it subscribed to may speak now.
    pub fn answered(&self, message: u64) {
        for subscription in self.by_id.lock().values_mut() {
            if subscription.unanswered == Some(message) {
                subscription.unanswered = None;
            }
        }
    }

    /// Those that may speak.
    pub fn active(&self) -> Vec<(B128, Kind)> {
        let by_id = self.by_id.lock();
        let active = by_id.iter().filter(|(_, subscription)| subscription.unanswered.is_none());
        active.map(|(id, subscription)| (*id, subscription.kind.clone())).collect()
    }
}

/// The messages that a new block causes, made one after the other.
pub(crate) fn on_block<'a>(
    active: &'a [(B128, Kind)],
    committed: &'a Committed,
) -> impl Iterator<Item = String> + Send + 'a {
    active.iter().flat_map(move |(id, kind)| -> Box<dyn Iterator<Item = String> + Send + 'a> {
        match kind {
            Kind::Heads => {
                let head = BlockView { committed: committed.clone(), detail: Detail::Header, pending: false };
                Box::new(notification(*id, &head).into_iter())
            }
            Kind::Logs(query) => Box::new(query.logs_of(committed).filter_map(move |log| notification(*id, &log))),
            Kind::Pending { .. } | Kind::Syncing => Box::new(std::iter::empty()),
        }
    })
}

/// The messages that a newly waiting transaction causes, made one after the other.
pub(crate) fn on_pending<'a>(
    active: &'a [(B128, Kind)],
    transaction: &'a Recovered,
) -> impl Iterator<Item = String> + Send + 'a {
    active.iter().filter_map(move |(id, kind)| match kind {
        Kind::Pending { full: false } => notification(*id, transaction.inner().hash()),
        Kind::Pending { full: true } => {
            let (from, transaction) = (transaction.signer(), transaction.inner());
            notification(*id, &TransactionView { transaction, from, place: None })
        }
        Kind::Heads | Kind::Logs(_) | Kind::Syncing => None,
    })
}

fn table(context: &Context) -> Result<&Subscriptions, RpcError> {
    let none = || RpcError::new(-32601, "notifications not supported");
    context.connection.subscriptions.as_ref().ok_or_else(none)
}

/// `eth_subscribe`.
///
/// # Errors
///
/// -32601 over HTTP, -32602 for an unknown kind, -32005 if there are too many subscriptions.
pub(crate) fn subscribe(context: &Context, params: &Params) -> Result<B128, RpcError> {
    let table = table(context)?;
    let mut reader = params.reader()?;
    let name: String = reader.required()?;
    let kind = match name.as_str() {
        "newHeads" => Kind::Heads,
        "logs" => {
            let query: Query = reader.optional()?.unwrap_or_default();
            query.check(context)?;
            Kind::Logs(Arc::new(query))
        }
        // Taken, and silent: how far a node has caught up with others is what `eth_syncing` tells.
        "syncing" => Kind::Syncing,
        "newPendingTransactions" => Kind::Pending { full: reader.optional()?.unwrap_or_default() },
        other => {
            let shown: String = other.chars().take(100).collect();
            return Err(RpcError::new(-32601, format!("no \"{shown}\" subscription in eth namespace")));
        }
    };
    reader.end()?;
    let config = context.config();
    let slots = Slot::take(&table.count, config.max_subscriptions_per_connection)
        .zip(context.node.traffic.subscribe(config.max_subscriptions))
        .ok_or_else(|| {
            RpcError::limit(format!(
                "too many subscriptions: at most {} per connection and {} in all",
                config.max_subscriptions_per_connection, config.max_subscriptions
            ))
        })?;
    let id = B128::random();
    let subscription = Subscription { kind, unanswered: Some(context.message), _slots: [slots.0, slots.1] };
    table.by_id.lock().insert(id, subscription);
    Ok(id)
}

/// `eth_unsubscribe`.
///
/// # Errors
///
/// -32601 over HTTP, -32000 if there is no such subscription.
pub(crate) fn unsubscribe(context: &Context, params: &Params) -> Result<bool, RpcError> {
    let table = table(context)?;
    let mut reader = params.reader()?;
    let id: String = reader.required()?;
    reader.end()?;
    // Anything that is no identifier is the identifier of no subscription.
    match id.parse::<B128>().ok().and_then(|id| table.by_id.lock().remove(&id)) {
        Some(_) => Ok(true),
        None => Err(RpcError::server("subscription not found")),
    }
}

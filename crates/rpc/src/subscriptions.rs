//! Subscriptions of a WebSocket: `eth_subscribe` and `eth_unsubscribe`.
//!
//! A connection listens to the chain and the pool once, however many subscriptions it has; each event is held against
//! its table. So a subscription costs an entry in a table, and no task or queue of its own.

use crate::{
    Context, Params, RpcError,
    budget::Share,
    context::Slot,
    logs::{Query, Watch},
};
use alloy_primitives::B128;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicUsize},
};

/// What a subscription tells of.
#[derive(Clone)]
pub(crate) enum Kind {
    Heads,
    Logs(Arc<Watch>),
    Pending { full: bool },
    Syncing,
}

struct Subscription {
    kind: Kind,
    /// The message that asked for it, until that has been answered.
    unanswered: Option<u64>,
    _slots: [Slot; 2],
    _alternatives: Option<[Share; 2]>,
}

/// The table of one connection.
#[derive(Default)]
pub(crate) struct Subscriptions {
    by_id: Mutex<HashMap<B128, Subscription>>,
    count: Arc<AtomicUsize>,
}

#[derive(Serialize)]
struct Notification<'a> {
    jsonrpc: &'static str,
    method: &'static str,
    params: NotificationParams<'a>,
}

#[derive(Serialize)]
struct NotificationParams<'a> {
    subscription: B128,
    result: &'a RawValue,
}

fn notification(subscription: B128, result: &RawValue) -> Option<String> {
    let params = NotificationParams { subscription, result };
    written(serde_json::to_string(&Notification { jsonrpc: "2.0", method: "eth_subscription", params }))
}

fn written<T>(json: serde_json::Result<T>) -> Option<T> {
    json.inspect_err(|error| tracing::error!(%error, "a notification cannot be written as JSON")).ok()
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

    /// Those of such kinds that may speak.
    pub fn active(&self, of: impl Fn(&Kind) -> bool) -> Vec<(B128, Kind)> {
        let by_id = self.by_id.lock();
        let may_speak = |subscription: &Subscription| subscription.unanswered.is_none() && of(&subscription.kind);
        let active = by_id.iter().filter(|(_, subscription)| may_speak(subscription));
        active.map(|(id, subscription)| (*id, subscription.kind.clone())).collect()
    }
}

/// Those of such a kind.
pub(crate) fn ids(active: &[(B128, Kind)], of: impl Fn(&Kind) -> bool) -> Vec<B128> {
    active.iter().filter(|(_, kind)| of(kind)).map(|(id, _)| *id).collect()
}

/// The messages that tell these subscriptions of something, made one after the other. What they tell is written as JSON once for all
/// of them, and for none not at all.
pub(crate) fn messages<'a, T: Serialize>(
    ids: &'a [B128],
    result: &T,
) -> impl Iterator<Item = String> + Send + use<'a, T> {
    let result = if ids.is_empty() { None } else { written(to_raw_value(result)) };
    ids.iter().filter_map(move |id| notification(*id, result.as_deref()?))
}

fn table(context: &Context) -> Result<&Subscriptions, RpcError> {
    let none = || RpcError::new(-32601, "notifications not supported");
    context.connection.subscriptions.as_ref().ok_or_else(none)
}

/// `eth_subscribe`.
///
/// # Errors
///
/// -32601 over HTTP, -32602 for an unknown kind, -32005 if there are too many subscriptions, or too many addresses and topics in
/// them.
pub(crate) fn subscribe(context: &Context, params: &Params) -> Result<B128, RpcError> {
    let table = table(context)?;
    let mut reader = params.reader()?;
    let name: String = reader.required()?;
    let mut alternatives = None;
    let kind = match name.as_str() {
        "newHeads" => Kind::Heads,
        "logs" => {
            let query: Query = reader.optional()?.unwrap_or_default();
            query.check(context)?;
            alternatives = Some(query.hold(context, &context.node.alternatives)?);
            Kind::Logs(Arc::new(query.into()))
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
    let (unanswered, slots) = (Some(context.message), [slots.0, slots.1]);
    table.by_id.lock().insert(id, Subscription { kind, unanswered, _slots: slots, _alternatives: alternatives });
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serializer;
    use std::sync::atomic::Ordering;

    /// Counts how often it is written.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Serialize for Counting {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            serializer.collect_seq([7, 8])
        }
    }

    #[test]
    fn what_many_subscriptions_hear_is_written_once() {
        let result = Counting::default();
        assert_eq!(messages(&[], &result).count(), 0);
        assert_eq!(result.0.load(Ordering::Relaxed), 0);
        let ids = [1, 2, 3].map(B128::repeat_byte);
        for (message, id) in messages(&ids, &result).zip(ids) {
            let wanted = format!(
                r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{id}","result":[7,8]}}}}"#
            );
            assert_eq!(message, wanted);
        }
        assert_eq!(result.0.load(Ordering::Relaxed), 1);
    }
}

//! One WebSocket connection.
//!
//! A single task reads messages, runs a bounded number of them at a time, and writes answers and notifications in the
//! order they come about. While it writes it does not read, so a client that does not read its answers gets no new
//! ones; one that does not read at all is dropped after the write timeout. While it holds a block's logs against many
//! subscriptions it lets others have their turn, so no client's subscriptions hold up a thread.
//!
//! A message counts in the memory for large bodies from when it is complete. The parts that come before are the library's, which
//! shows neither them nor what others' frames come between them: that some are there is seen from how much came over the connection
//! ([`Unfinished`]), and a message has as much time as a body over HTTP.

use crate::{
    context::{Connection, Context, Node, crowded},
    protocol,
    subscriptions::{Kind, ids, messages},
    view::{BlockView, Detail, LogView, Place, TransactionView},
};
use alloy_primitives::B128;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use stoa_base::Recovered;
use stoa_ledger::Committed;
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    task::yield_now,
    time::{Instant, MissedTickBehavior, interval, interval_at, timeout},
};

/// Blocks that a connection which fell behind is told of at most; it misses what lies before them.
const MAX_CATCH_UP: u64 = 256;

/// Logs and subscriptions that are held against each other before others have their turn: well below a millisecond.
const LOGS_PER_TURN: usize = 4_096;

/// How often it is looked whether a message is unfinished, in the time that one may take.
const LOOKS: u32 = 4;

/// Whether a part of a message is here, and for how long.
struct Unfinished {
    /// Bytes that came over the connection.
    received: Arc<AtomicU64>,
    /// How many of them belong to what is complete, at least.
    complete: u64,
    /// At how many looks in a row a part has been here.
    looks: u32,
}

impl Unfinished {
    fn new(received: Arc<AtomicU64>) -> Self {
        let complete = received.load(Ordering::Relaxed);
        Self { received, complete, looks: 0 }
    }

    /// A message, or one of the frames that may come between the parts of one, has come.
    fn heard(&mut self, message: &Message) {
        let received = self.received.load(Ordering::Relaxed);
        if let Message::Ping(bytes) | Message::Pong(bytes) = message {
            // Its bytes are known: two of a head, a mask of four, and what it says.
            self.complete = received.min(self.complete + 6 + bytes.len() as u64);
        } else {
            (self.complete, self.looks) = (received, 0);
        }
    }

    /// Looks, and says whether a part of one message has been here for too long. Nothing is known of what is not read.
    fn is_late(&mut self, is_read: bool) -> bool {
        let is_unfinished = is_read && self.received.load(Ordering::Relaxed) > self.complete;
        self.looks = if is_unfinished { self.looks + 1 } else { 0 };
        self.looks > LOOKS
    }
}

struct Session {
    socket: WebSocket,
    context: Context,
    /// The newest block the client has been told of.
    told: u64,
    unfinished: Unfinished,
}

/// Serves one connection until either side ends it. `received` counts what comes over it.
pub(crate) async fn serve(
    socket: WebSocket,
    node: Arc<Node>,
    hardhat: bool,
    received: Arc<AtomicU64>,
    mut shutdown: watch::Receiver<bool>,
) {
    let told = node.ledger.head().number();
    let (mut blocks, mut pending) = (node.ledger.subscribe(), node.pool.subscribe());
    let max_in_flight = node.config.max_in_flight;
    let ping_interval = node.config.ping_interval;
    let mut look = interval((node.config.body_timeout / LOOKS).max(Duration::from_millis(1)));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let unfinished = Unfinished::new(received.clone());
    let context = Context::new(node, Arc::new(Connection::websocket(received)), hardhat);
    let mut session = Session { socket, context, told, unfinished };
    let mut in_flight = FuturesUnordered::new();
    let mut ping = interval_at(Instant::now() + ping_interval, ping_interval);
    let (mut heard, mut pinged) = (true, false);
    loop {
        let goes_on = tokio::select! {
            _ = shutdown.changed() => {
                session.close(close_code::AWAY, "the node shuts down").await;
                false
            }
            message = session.socket.recv(), if in_flight.len() < max_in_flight => {
                heard = true;
                if let Some(Ok(message)) = &message {
                    session.unfinished.heard(message);
                }
                match message {
                    Some(Ok(Message::Text(text))) => { in_flight.push(session.answer(Bytes::from(text))); true }
                    Some(Ok(Message::Binary(bytes))) => { in_flight.push(session.answer(bytes)); true }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => true,
                    Some(Ok(Message::Close(_))) => {
                        session.part().await;
                        false
                    }
                    None => false,
                    Some(Err(error)) => {
                        tracing::debug!(%error, "a WebSocket ends");
                        session.close(close_code::SIZE, "the message is malformed or too large").await;
                        false
                    }
                }
            }
            Some((message, answer)) = in_flight.next(), if !in_flight.is_empty() => {
                session.send_answer(message, answer).await
            }
            event = blocks.recv() => match event {
                Ok(committed) => session.on_block(committed).await,
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => false,
            },
            event = pending.recv() => match event {
                Ok(transaction) => session.on_pending(&transaction).await,
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => false,
            },
            _ = look.tick() => {
                let is_late = session.unfinished.is_late(in_flight.len() < max_in_flight);
                if is_late {
                    session.close(close_code::POLICY, "the message takes too long").await;
                }
                !is_late
            }
            _ = ping.tick() => {
                if heard {
                    (heard, pinged) = (false, false);
                    true
                } else if pinged {
                    false
                } else {
                    pinged = true;
                    session.send(Message::Ping(Bytes::new())).await
                }
            }
        };
        if !goes_on {
            return;
        }
    }
}

/// Lets others have their turn when so much has been looked at, and begins to count anew.
async fn take_turns(looked: &mut usize) {
    if *looked >= LOGS_PER_TURN {
        *looked = 0;
        yield_now().await;
    }
}

/// What is answered to a message that there is no room for: so much to each of its requests, or if there is no room for that either, to
/// none of them.
fn refuse(node: &Node, body: &Bytes) -> Option<Bytes> {
    let mut out = protocol::refuse(body, crowded(), node.config.max_batch, node.config.max_depth)?;
    let mut charge = node.memory.charge();
    if !charge.grow_to(out.len()) {
        out = Vec::new();
        protocol::write(&mut out, None, &Err(crowded()));
    }
    Some(charge.hold(out.into()))
}

impl Session {
    fn answer(&mut self, body: Bytes) -> impl Future<Output = (u64, Option<Bytes>)> + use<> {
        self.context.message += 1;
        let context = self.context.clone();
        let mut charge = context.node.memory.charge();
        // It takes its room for as long as anybody holds it. What finds none is read at once, so that nobody holds it.
        let body = if charge.grow_to(body.len()) { Ok(charge.hold(body)) } else { Err(refuse(&context.node, &body)) };
        async move {
            let answer = match body {
                Ok(body) => context.answer(body).await,
                Err(refused) => refused,
            };
            (context.message, answer)
        }
    }

    async fn send_answer(&mut self, message: u64, answer: Option<Bytes>) -> bool {
        if let Some(answer) = answer {
            // Answers are built from JSON text alone, so they are always UTF-8.
            let Ok(text) = Utf8Bytes::try_from(answer) else { return false };
            if !self.send(Message::Text(text)).await {
                return false;
            }
        }
        if let Some(table) = &self.context.connection.subscriptions {
            table.answered(message);
        }
        true
    }

    fn active(&self, of: impl Fn(&Kind) -> bool) -> Vec<(B128, Kind)> {
        self.context.connection.subscriptions.as_ref().map(|table| table.active(of)).unwrap_or_default()
    }

    /// Tells of a transaction that waits.
    async fn on_pending(&mut self, transaction: &Recovered) -> bool {
        let active = self.active(|kind| matches!(kind, Kind::Pending { .. }));
        let hashes = ids(&active, |kind| matches!(kind, Kind::Pending { full: false }));
        let whole = ids(&active, |kind| matches!(kind, Kind::Pending { full: true }));
        let (from, transaction) = (transaction.signer(), transaction.inner());
        self.send_all(messages(&hashes, transaction.hash())).await
            && self.send_all(messages(&whole, &TransactionView { transaction, from, place: None })).await
    }

    /// Tells of a block, and of those before it that were missed.
    async fn on_block(&mut self, committed: Committed) -> bool {
        let number = committed.block.number();
        let active = self.active(|kind| matches!(kind, Kind::Heads | Kind::Logs(_)));
        if !active.is_empty() && number > self.told + 1 {
            for missed in (self.told + 1).max(number.saturating_sub(MAX_CATCH_UP))..number {
                let Ok(Some(block)) = self.context.read(move |context| context.block(missed)).await else { break };
                if !self.tell(&active, &block).await {
                    return false;
                }
            }
        }
        self.told = number;
        self.tell(&active, &committed).await
    }

    /// Tells of one block. Others have their turn in between.
    async fn tell(&mut self, active: &[(B128, Kind)], committed: &Committed) -> bool {
        let heads = ids(active, |kind| matches!(kind, Kind::Heads));
        let head = BlockView { committed: committed.clone(), detail: Detail::Header, pending: false };
        if !self.send_all(messages(&heads, &head)).await {
            return false;
        }
        let mut looked = 0;
        let mut watches = Vec::new();
        for (id, kind) in active {
            if let Kind::Logs(watch) = kind
                && watch.may_be_in(committed)
            {
                watches.push((*id, watch));
            }
            looked += 1;
            take_turns(&mut looked).await;
        }
        if watches.is_empty() {
            return true;
        }
        let mut log_index = 0;
        for (index, receipt) in committed.receipts.iter().enumerate() {
            let place = Place::new(committed, index);
            let transaction_hash = *committed.block.transactions()[index].hash();
            for log in &receipt.logs {
                let wanting = watches.iter().filter(|(_, watch)| watch.matches(log));
                let wanting = wanting.map(|(id, _)| *id).collect::<Vec<_>>();
                if !self.send_all(messages(&wanting, &LogView { log, place, transaction_hash, log_index })).await {
                    return false;
                }
                log_index += 1;
                looked += watches.len();
                take_turns(&mut looked).await;
            }
        }
        true
    }

    async fn send_all(&mut self, messages: impl Iterator<Item = String>) -> bool {
        for message in messages {
            if !self.send(Message::Text(message.into())).await {
                return false;
            }
        }
        true
    }

    async fn send(&mut self, message: Message) -> bool {
        let limit = self.context.config().write_timeout;
        matches!(timeout(limit, self.socket.send(message)).await, Ok(Ok(())))
    }

    /// Answers the client's farewell, which is done by reading on.
    async fn part(&mut self) {
        let limit = self.context.config().write_timeout;
        let _ = timeout(limit, self.socket.recv()).await;
    }

    async fn close(&mut self, code: u16, reason: &'static str) {
        self.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_late_when_a_part_of_it_has_been_here_for_long() {
        let received = Arc::new(AtomicU64::new(500));
        let mut unfinished = Unfinished::new(received.clone());
        let come = |bytes| received.fetch_add(bytes, Ordering::Relaxed);
        let late_after = |unfinished: &mut Unfinished| (1..100_u32).find(|_| unfinished.is_late(true));
        assert_eq!(late_after(&mut unfinished), None, "nothing came");
        // An empty pong, and a ping that says something.
        come(6 + 6 + 9);
        unfinished.heard(&Message::Pong(Bytes::new()));
        unfinished.heard(&Message::Ping(Bytes::from_static(b"something")));
        assert_eq!(late_after(&mut unfinished), None, "all of it is complete");
        come(6 + 1);
        unfinished.heard(&Message::Pong(Bytes::new()));
        assert_eq!(late_after(&mut unfinished), Some(LOOKS + 1));
        assert!(unfinished.is_late(true) && !unfinished.is_late(false), "nothing is known of what is not read");
        come(100);
        unfinished.heard(&Message::Binary(Bytes::new()));
        assert_eq!(late_after(&mut unfinished), None, "it is complete");
    }
}

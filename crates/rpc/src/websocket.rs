//! One WebSocket connection.
//!
//! A single task reads messages, runs a bounded number of them at a time, and writes answers and notifications in the
//! order they come about. While it writes it does not read, so a client that does not read its answers gets no new
//! ones; one that does not read at all is dropped after the write timeout.

use crate::{
    context::{Connection, Context, Node},
    subscriptions::{Kind, Subscriptions, on_block, on_pending},
};
use alloy_primitives::B128;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use std::sync::Arc;
use stoa_ledger::Committed;
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    time::{Instant, timeout},
};

/// Blocks that a connection which fell behind is told of at most; it misses what lies before them.
const MAX_CATCH_UP: u64 = 256;

struct Session {
    socket: WebSocket,
    context: Context,
    /// The newest block the client has been told of.
    told: u64,
}

/// Serves one connection until either side ends it.
pub(crate) async fn serve(socket: WebSocket, node: Arc<Node>, hardhat: bool, mut shutdown: watch::Receiver<bool>) {
    let told = node.ledger.head().number();
    let (mut blocks, mut pending) = (node.ledger.subscribe(), node.pool.subscribe());
    let max_in_flight = node.config.max_in_flight;
    let ping_interval = node.config.ping_interval;
    let context = Context { node, connection: Arc::new(Connection::websocket()), message: 0, hardhat };
    let mut session = Session { socket, context, told };
    let mut in_flight = FuturesUnordered::new();
    let mut ping = tokio::time::interval_at(Instant::now() + ping_interval, ping_interval);
    let (mut heard, mut pinged) = (true, false);
    loop {
        let goes_on = tokio::select! {
            _ = shutdown.changed() => {
                session.close(close_code::AWAY, "the node shuts down").await;
                false
            }
            message = session.socket.recv(), if in_flight.len() < max_in_flight => {
                heard = true;
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
                Ok(transaction) => {
                    let active = session.active();
                    session.send_all(on_pending(&active, &transaction)).await
                }
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => false,
            },
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

impl Session {
    fn answer(&mut self, body: Bytes) -> impl Future<Output = (u64, Option<Bytes>)> + use<> {
        self.context.message += 1;
        let context = self.context.clone();
        async move { (context.message, context.answer(body).await) }
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

    fn active(&self) -> Vec<(B128, Kind)> {
        self.context.connection.subscriptions.as_ref().map(Subscriptions::active).unwrap_or_default()
    }

    /// Tells of a block, and of those before it that were missed.
    async fn on_block(&mut self, committed: Committed) -> bool {
        let number = committed.block.number();
        let active = self.active();
        if !active.is_empty() && number > self.told + 1 {
            for missed in (self.told + 1).max(number.saturating_sub(MAX_CATCH_UP))..number {
                let Ok(Some(block)) = self.context.read(move |context| context.block(missed)).await else { break };
                if !self.send_all(on_block(&active, &block)).await {
                    return false;
                }
            }
        }
        self.told = number;
        self.send_all(on_block(&active, &committed)).await
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

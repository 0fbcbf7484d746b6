use crate::{
    Config, Methods, Params, RpcError,
    budget::Budget,
    filters::Filters,
    methods::Method,
    pending::{Newest, Pending},
    protocol::{self, Body, Invalid, Request},
    recent::Recent,
    subscriptions::Subscriptions,
    traffic::Traffic,
    workers::{Crashed, Workers},
};
use alloy_primitives::B256;
use alloy_signer_local::PrivateKeySigner;
use bytes::Bytes;
use revm::context::BlockEnv;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use stoa_base::Block;
use stoa_ledger::{Committed, Ledger, StateAt};
use stoa_mempool::Pool;
use tokio::{
    task::yield_now,
    time::{Instant, timeout_at},
};

/// What says how the next block is going to be.
pub(crate) type NextBlock = Box<dyn Fn(&Ledger) -> BlockEnv + Send + Sync>;

/// What all connections share.
pub(crate) struct Node {
    pub ledger: Ledger,
    pub pool: Pool,
    pub config: Config,
    pub methods: Methods,
    pub accounts: Vec<PrivateKeySigner>,
    pub client_version: String,
    pub next_block: Option<NextBlock>,
    pub reads: Workers,
    pub executions: Workers,
    pub filters: Filters,
    /// Addresses and topics in the subscriptions of all connections.
    pub alternatives: Arc<AtomicUsize>,
    pub recent: Recent,
    pub pending: Newest,
    pub traffic: Traffic,
    pub memory: Budget,
}

/// Bodies and parameters of more bytes are read by a worker: a connection's thread has others to serve meanwhile.
pub(crate) const LARGE: usize = 256 << 10;

/// Requests of a batch that are answered before others have their turn, and how many bytes of parameters weigh as much as one.
const REQUESTS_PER_TURN: usize = 32;
const BYTES_PER_REQUEST: usize = 8 << 10;

/// One client's connection, and what it holds of things that are counted.
pub(crate) struct Connection {
    pub filters: Arc<AtomicUsize>,
    /// Addresses and topics in its filters and subscriptions.
    pub alternatives: Arc<AtomicUsize>,
    /// Bytes that came over it.
    pub received: Arc<AtomicU64>,
    /// Only a WebSocket has subscriptions.
    pub subscriptions: Option<Subscriptions>,
}

impl Connection {
    pub fn http(received: Arc<AtomicU64>) -> Self {
        Self { filters: Arc::default(), alternatives: Arc::default(), received, subscriptions: None }
    }

    pub fn websocket(received: Arc<AtomicU64>) -> Self {
        Self { subscriptions: Some(Subscriptions::default()), ..Self::http(received) }
    }
}

/// A place in something that is counted, given back when dropped.
pub(crate) struct Slot(Arc<AtomicUsize>);

impl Slot {
    /// Takes a place, if fewer than `limit` are taken.
    pub fn take(count: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| (taken < limit).then_some(taken + 1))
            .is_ok()
            .then(|| Self(count.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Other clients' large bodies and answers take all the memory there is for them: nothing was done of what was asked.
pub(crate) fn crowded() -> RpcError {
    RpcError::limit("the node is busy with large requests, try again later")
}

/// The same of an answer to what was done. By these words clients tell the two apart.
fn unanswered() -> RpcError {
    RpcError::limit("no room for the answer: the node is busy with large requests")
}

/// What a method gets to work with: the chain, the pool, the settings. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    pub(crate) node: Arc<Node>,
    pub(crate) connection: Arc<Connection>,
    /// Which message of the connection this is: a subscription speaks only after its own answer has been sent.
    pub(crate) message: u64,
    /// Whether the client is Hardhat: a development node answers it as Hardhat's own network does.
    pub(crate) hardhat: bool,
    /// Whether the request is one of a batch.
    pub(crate) in_batch: bool,
    /// Set when nobody waits any more for what a worker does.
    abandoned: Arc<AtomicBool>,
}

/// Tells a worker, when it is dropped, that nobody waits any more for what it does.
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Context {
    /// What the requests of a connection, or of a message over it, work with.
    pub(crate) fn new(node: Arc<Node>, connection: Arc<Connection>, hardhat: bool) -> Self {
        Self { node, connection, message: 0, hardhat, in_batch: false, abandoned: Arc::default() }
    }

    /// The chain.
    pub fn ledger(&self) -> &Ledger {
        &self.node.ledger
    }

    /// The transactions that wait.
    pub fn pool(&self) -> &Pool {
        &self.node.pool
    }

    /// The bounds.
    pub fn config(&self) -> &Config {
        &self.node.config
    }

    /// The names of all methods.
    pub fn methods(&self) -> &Methods {
        &self.node.methods
    }

    /// The keys of the accounts that this node signs for, for development.
    pub fn accounts(&self) -> &[PrivateKeySigner] {
        &self.node.accounts
    }

    /// What `web3_clientVersion` answers.
    pub fn client_version(&self) -> &str {
        &self.node.client_version
    }

    /// EIP-155 chain id.
    pub fn chain_id(&self) -> u64 {
        self.node.ledger.genesis().chain_id
    }

    /// The newest block.
    pub fn head(&self) -> Arc<Block> {
        self.node.ledger.head()
    }

    /// The environment of the block that comes next, as far as it is known.
    pub fn next_block_env(&self) -> BlockEnv {
        match &self.node.next_block {
            Some(next) => next(self.ledger()),
            None => self.ledger().next_block_env(),
        }
    }

    /// Forgets what is remembered of blocks above `number`: a development node calls it when it has turned back.
    pub fn forget_after(&self, number: u64) {
        self.node.recent.forget_after(number);
        self.forget_pending();
    }

    /// Has the block being built executed anew: a development node calls it when it has changed the newest state by hand.
    pub fn forget_pending(&self) {
        self.node.pending.forget();
    }

    /// The block being built. Blocking.
    ///
    /// # Errors
    ///
    /// When the ledger cannot read.
    pub(crate) fn pending(&self) -> Result<Arc<Pending>, RpcError> {
        self.node.pending.get(self)
    }

    /// A block with its receipts, from memory if it is one of the newest. Blocking.
    ///
    /// # Errors
    ///
    /// When the ledger cannot read.
    pub fn block(&self, number: u64) -> Result<Option<Committed>, RpcError> {
        let head = self.head();
        if let Some(found) = self.node.recent.block(number, &head) {
            return Ok(Some(found));
        }
        Ok(self.node.ledger.block(number)?)
    }

    /// Where a transaction stands: its block and its position there. Blocking.
    ///
    /// # Errors
    ///
    /// When the ledger cannot read.
    pub fn transaction(&self, hash: B256) -> Result<Option<(Committed, usize)>, RpcError> {
        if let Some(found) = self.node.recent.transaction(hash, &self.head()) {
            return Ok(Some(found));
        }
        let Some((number, index)) = self.node.ledger.transaction(hash)? else { return Ok(None) };
        Ok(self.block(number)?.map(|committed| (committed, index)))
    }

    /// The number of the block that `id` names; the newest for `pending`. `None` if there is no such block. Blocking.
    ///
    /// # Errors
    ///
    /// When the ledger cannot read.
    pub fn number(&self, id: crate::BlockId) -> Result<Option<u64>, RpcError> {
        use crate::BlockId::{Hash, Latest, Number, Pending};
        let head = self.head();
        Ok(match id {
            Latest | Pending => Some(head.number()),
            Number(number) => (number <= head.number()).then_some(number),
            Hash(hash) if hash == head.hash() => Some(head.number()),
            Hash(hash) => self.node.ledger.block_number(hash)?,
        })
    }

    /// The state after the block that `id` names; the newest for `pending`. Blocking.
    ///
    /// # Errors
    ///
    /// -32000 if there is no such block or its state is no longer kept.
    pub fn state(&self, id: crate::BlockId) -> Result<StateAt, RpcError> {
        match self.number(id)? {
            Some(number) => Ok(self.node.ledger.state(number)?),
            None if matches!(id, crate::BlockId::Hash(_)) => Err(RpcError::server("header for hash not found")),
            None => Err(RpcError::header_not_found()),
        }
    }

    /// Whether somebody still waits for what a worker does: not so once the request has timed out or its client has gone. What
    /// takes long asks now and then, and ends.
    pub fn is_awaited(&self) -> bool {
        !self.abandoned.load(Ordering::Relaxed)
    }

    /// Runs blocking work that reads from disk, when a worker is free.
    ///
    /// # Errors
    ///
    /// Those of the work, and -32603 if it panics.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        self.run(&self.node.reads, work).await
    }

    /// Runs blocking work that executes contracts, when a worker is free.
    ///
    /// # Errors
    ///
    /// Those of the work, and -32603 if it panics.
    pub async fn execute<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        self.run(&self.node.executions, work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        workers: &Workers,
        work: impl FnOnce(&Self) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let context = Self { abandoned: Arc::default(), ..self.clone() };
        let _abandon = Abandon(context.abandoned.clone());
        let outcome = workers.run(move || work(&context)).await;
        outcome.unwrap_or_else(|Crashed| Err(RpcError::crashed()))
    }

    /// Answers a body; `None` if it holds only notifications. The answer is counted until it has been sent.
    pub(crate) async fn answer(&self, body: Bytes) -> Option<Bytes> {
        let deadline = Instant::now() + self.config().request_timeout;
        match self.requests(body, deadline).await {
            Err(error) => {
                self.node.traffic.ended("", Some(error.code));
                let mut out = Vec::with_capacity(256);
                protocol::write(&mut out, None, &Err(error));
                Some(out.into())
            }
            Ok(Body::Single(request)) => self.answer_single(request, deadline).await,
            Ok(Body::Batch(requests)) => self.answer_batch(requests, deadline).await,
        }
    }

    /// The requests of a body.
    async fn requests(&self, body: Bytes, deadline: Instant) -> Result<Body, RpcError> {
        let is_large = body.len() > LARGE;
        let read = move |context: &Self| {
            let config = context.config();
            protocol::read(&body, config.max_batch, config.max_depth)
        };
        if is_large {
            timeout_at(deadline, self.read(read)).await.unwrap_or_else(|_| Err(RpcError::timeout()))
        } else {
            read(self)
        }
    }

    async fn answer_single(&self, request: Result<Request, Invalid>, mut deadline: Instant) -> Option<Bytes> {
        let (id, outcome) = self.outcome(request, &mut deadline).await;
        let id = id?;
        let (mut out, mut charge) = (Vec::with_capacity(256), self.node.memory.charge());
        protocol::write(&mut out, Some(&id), &outcome);
        if !charge.grow_to(out.len()) {
            out.clear();
            protocol::write(&mut out, Some(&id), &Err(unanswered()));
        }
        Some(charge.hold(out.into()))
    }

    /// Others have their turn in between, however many the requests are.
    async fn answer_batch(&self, requests: Vec<Result<Request, Invalid>>, mut deadline: Instant) -> Option<Bytes> {
        let context = Self { in_batch: true, ..self.clone() };
        let (mut out, mut charge) = (Vec::with_capacity(256), self.node.memory.charge());
        let (mut refused, mut done) = (None, 0);
        for request in requests {
            done += weight(&request);
            if done > REQUESTS_PER_TURN {
                done = 0;
                yield_now().await;
            }
            let (id, outcome) = match (request, &refused) {
                (Ok(request), Some(error)) => (request.id, Err(RpcError::clone(error))),
                (request, _) => context.outcome(request, &mut deadline).await,
            };
            let Some(id) = id else { continue };
            let before = out.len();
            out.push(if out.is_empty() { b'[' } else { b',' });
            protocol::write(&mut out, Some(&id), &outcome);
            if refused.is_none() {
                let most = self.config().max_response_bytes;
                // What is told of this one, which was done, and of those behind it, which are not.
                let refusals = match out.len() {
                    length if length > most => {
                        Some((RpcError::response_too_large(most), RpcError::response_too_large(most)))
                    }
                    length if !charge.grow_to(length) => Some((unanswered(), crowded())),
                    _ => None,
                };
                if let Some((own, others)) = refusals {
                    out.truncate(before);
                    out.push(if out.is_empty() { b'[' } else { b',' });
                    protocol::write(&mut out, Some(&id), &Err(own));
                    refused = Some(others);
                }
            }
        }
        if out.is_empty() {
            return None;
        }
        out.push(b']');
        Some(charge.hold(out.into()))
    }

    /// The identifier to answer under, if any, and the outcome. What takes as long as it takes moves the deadline.
    async fn outcome(
        &self,
        request: Result<Request, Invalid>,
        deadline: &mut Instant,
    ) -> (Option<Bytes>, Result<Vec<u8>, RpcError>) {
        let Request { id, method, params } = match request {
            Ok(request) => request,
            Err(Invalid { id }) => {
                let error = Invalid::error();
                self.node.traffic.ended("", Some(error.code));
                return (Some(id.unwrap_or_else(|| Bytes::from_static(b"null"))), Err(error));
            }
        };
        let _under_way = self.node.traffic.begun();
        let params = params.map(Params::new).unwrap_or_default();
        let (call, begun) = (self.call(&method, params), Instant::now());
        let outcome = if self.node.methods.is_patient(&method) {
            let outcome = call.await;
            *deadline += begun.elapsed();
            outcome
        } else {
            timeout_at(*deadline, call).await.unwrap_or_else(|_| Err(RpcError::timeout()))
        };
        self.node.traffic.ended(&method, outcome.as_ref().err().map(|error| error.code));
        (id, outcome)
    }

    /// Calls a method by name; the result is JSON text.
    ///
    /// # Errors
    ///
    /// Those of the method, and -32601 if there is none of that name.
    pub async fn call(&self, name: &str, params: Params) -> Result<Vec<u8>, RpcError> {
        let Some(method) = self.node.methods.get(name) else { return Err(RpcError::no_such_method(name)) };
        match method {
            Method::Instant(handler) if params.size() <= LARGE => handler(self, &params),
            Method::Asynchronous(handler) => handler(self.clone(), params).await,
            Method::Instant(handler) | Method::Read(handler) => {
                let handler = handler.clone();
                self.read(move |context| handler(context, &params)).await
            }
            Method::Execute(handler) => {
                let handler = handler.clone();
                self.execute(move |context| handler(context, &params)).await
            }
        }
    }

    /// How long a call may wait for a receipt: `asked`, or what the node allows.
    pub(crate) fn sync_timeout(&self, asked: Option<u64>) -> Duration {
        let most = self.config().sync_timeout;
        asked.map_or(most, |milliseconds| Duration::from_millis(milliseconds).min(most))
    }
}

/// How many small requests one of a batch counts for.
fn weight(request: &Result<Request, Invalid>) -> usize {
    let params = request.as_ref().ok().and_then(|request| request.params.as_ref());
    1 + params.map_or(0, Bytes::len) / BYTES_PER_REQUEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_bounded_and_given_back() {
        let count = Arc::default();
        let first = Slot::take(&count, 2).unwrap();
        let _second = Slot::take(&count, 2).unwrap();
        assert!(Slot::take(&count, 2).is_none());
        drop(first);
        assert!(Slot::take(&count, 2).is_some());
    }
}

//! Listening, and what all connections share.

use crate::{
    Config, Context, Methods, RpcError,
    budget::Budget,
    context::{Connection, NextBlock, Node},
    filters::Filters,
    http,
    pending::Newest,
    recent::Recent,
    traffic::Traffic,
    workers::Workers,
};
use alloy_signer_local::PrivateKeySigner;
use axum::Router;
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use revm::context::BlockEnv;
use serde::Serialize;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use stoa_base::Recovered;
use stoa_ledger::Ledger;
use stoa_mempool::Pool;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{
        OwnedSemaphorePermit, Semaphore,
        broadcast::{self, error::RecvError},
        watch,
    },
    task::JoinHandle,
    time::timeout,
};

/// The JSON-RPC server: [`Server::builder`] begins.
pub struct Server;

/// Collects what a server serves.
pub struct Builder {
    ledger: Ledger,
    pool: Pool,
    config: Config,
    accounts: Vec<PrivateKeySigner>,
    client_version: String,
    next_block: Option<NextBlock>,
    methods: Methods,
    router: Router,
    home: Bytes,
    traffic: Traffic,
}

impl Server {
    /// A server of this chain and these waiting transactions, with all standard methods.
    pub fn builder(ledger: Ledger, pool: Pool) -> Builder {
        let mut methods = Methods::default();
        crate::eth::register(&mut methods);
        crate::net::register(&mut methods);
        crate::txpool::register(&mut methods);
        crate::debug::register(&mut methods);
        crate::parity::register(&mut methods);
        Builder {
            ledger,
            pool,
            config: Config::default(),
            accounts: Vec::new(),
            client_version: concat!("Stoa/v", env!("CARGO_PKG_VERSION")).to_owned(),
            next_block: None,
            methods,
            router: Router::new(),
            home: Bytes::new(),
            traffic: Traffic::default(),
        }
    }
}

impl Builder {
    /// The bounds.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Keys that the node signs with when asked to, for development.
    pub fn accounts(mut self, accounts: impl IntoIterator<Item = PrivateKeySigner>) -> Self {
        self.accounts.extend(accounts);
        self
    }

    /// What `web3_clientVersion` answers.
    pub fn client_version(mut self, version: impl Into<String>) -> Self {
        self.client_version = version.into();
        self
    }

    /// Says how the next block is going to be, where somebody decides that; else it is what the fee rules say, a second
    /// after the newest.
    pub fn next_block(mut self, next: impl Fn(&Ledger) -> BlockEnv + Send + Sync + 'static) -> Self {
        self.next_block = Some(Box::new(next));
        self
    }

    /// Adds an async method, or replaces the one of that name.
    pub fn method<T, F>(
        mut self,
        name: &str,
        handler: impl Fn(Context, crate::Params) -> F + Send + Sync + 'static,
    ) -> Self
    where
        T: Serialize,
        F: Future<Output = Result<T, RpcError>> + Send + 'static,
    {
        self.methods.add(name, handler);
        self
    }

    /// Adds methods of all kinds.
    pub fn methods(mut self, add: impl FnOnce(&mut Methods)) -> Self {
        add(&mut self.methods);
        self
    }

    /// Routes that are served on the same port. `/` and `/ws` are the server's own.
    pub fn router(mut self, router: Router) -> Self {
        self.router = self.router.merge(router);
        self
    }

    /// What `GET /` answers, in JSON; nothing if this is not said.
    pub fn home(mut self, json: impl Into<Bytes>) -> Self {
        self.home = json.into();
        self
    }

    /// Where to count what clients ask and have open.
    pub fn traffic(mut self, traffic: Traffic) -> Self {
        self.traffic = traffic;
        self
    }

    /// Listens on `address`; port 0 takes any free one.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    pub async fn bind(self, address: SocketAddr) -> io::Result<Handle> {
        let listener = TcpListener::bind(address).await?;
        let local = listener.local_addr()?;
        let memory = Budget::new(self.config.max_buffered_bytes);
        let node = Arc::new(Node {
            reads: Workers::start("rpc-read", self.config.read_workers)?,
            executions: Workers::start("rpc-execute", self.config.execution_workers)?,
            ledger: self.ledger,
            pool: self.pool,
            config: self.config,
            methods: self.methods,
            accounts: self.accounts,
            client_version: self.client_version,
            next_block: self.next_block,
            filters: Filters::default(),
            alternatives: Arc::default(),
            recent: Recent::default(),
            pending: Newest::default(),
            traffic: self.traffic,
            memory,
        });
        let (stop, stopped) = watch::channel(false);
        let service = http::Service {
            node: node.clone(),
            loopback: local.ip().is_loopback(),
            home: self.home,
            shutdown: stopped.clone(),
        };
        let router = http::router(service, self.router);
        let tasks = vec![
            tokio::spawn(remember_blocks(node.clone(), stopped.clone())),
            tokio::spawn(remember_pending(node.clone(), node.pool.subscribe(), stopped.clone())),
            tokio::spawn(accept(listener, node, router, stopped)),
        ];
        Ok(Handle { local, stop, tasks })
    }
}

/// A running server; dropping it stops the server.
pub struct Handle {
    local: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Handle {
    /// Where the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Takes no new connections, lets running requests end, and waits until the listener is closed.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::warn!(%error, "a task of the server ended badly");
            }
        }
    }
}

/// Keeps the newest blocks at hand.
async fn remember_blocks(node: Arc<Node>, mut stopped: watch::Receiver<bool>) {
    let mut blocks = node.ledger.subscribe();
    let mut tidy = tokio::time::interval(node.config.filter_timeout / 8 + Duration::from_millis(1));
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            _ = tidy.tick() => node.filters.expire(&node.config),
            event = blocks.recv() => match event {
                Ok(committed) => node.recent.insert(committed),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// Keeps the hashes of the newest waiting transactions at hand.
async fn remember_pending(
    node: Arc<Node>,
    mut pending: broadcast::Receiver<Arc<Recovered>>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            event = pending.recv() => match event {
                Ok(transaction) => node.filters.push_pending(*transaction.inner().hash()),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// Clients being turned away at the same time, and how long each may take.
const FAREWELLS: usize = 64;
const FAREWELL: Duration = Duration::from_secs(1);

async fn accept(listener: TcpListener, node: Arc<Node>, router: Router, mut stopped: watch::Receiver<bool>) {
    let farewells = Arc::new(Semaphore::new(FAREWELLS));
    loop {
        let stream = tokio::select! {
            _ = stopped.changed() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Answers are written whole; waiting to join them would only delay them.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "a connection ended before it began");
                        continue;
                    }
                    stream
                }
                Err(error) => {
                    // Too many open files, mostly: give connections time to end.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        match node.traffic.connect(node.config.max_connections) {
            Some(place) => {
                let stream = crate::stream::PatientStream::new(stream, node.config.write_timeout, place);
                tokio::spawn(connection(stream, node.clone(), router.clone(), stopped.clone()));
            }
            None => {
                // Who comes when even these places are taken is hung up on.
                if let Ok(place) = farewells.clone().try_acquire_owned() {
                    tokio::spawn(turn_away(stream, place));
                }
            }
        }
    }
}

/// Tells a client that there are too many connections, once it has begun to ask: an answer to nothing would be taken
/// for a broken server.
async fn turn_away(mut stream: TcpStream, _place: OwnedSemaphorePermit) {
    let body = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"too many connections"}}"#;
    let text = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    let farewell = async {
        let mut asked = [0; 4096];
        if stream.read(&mut asked).await? > 0 {
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await?;
        }
        io::Result::Ok(())
    };
    if !matches!(timeout(FAREWELL, farewell).await, Ok(Ok(()))) {
        tracing::debug!("a client was turned away without a word");
    }
}

async fn connection(
    stream: crate::stream::PatientStream,
    node: Arc<Node>,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let client = Arc::new(Connection::http(stream.received()));
    let router = router.layer(axum::Extension(client));
    let mut builder = http1::Builder::new();
    builder
        .timer(stream.head_timer(node.config.header_timeout))
        .header_read_timeout(node.config.idle_timeout)
        .max_header_size(node.config.max_header_bytes)
        .half_close(false);
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).with_upgrades();
    tokio::pin!(served);
    let outcome = tokio::select! {
        outcome = &mut served => outcome,
        _ = stopped.changed() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended badly");
    }
}

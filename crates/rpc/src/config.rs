use std::time::Duration;

/// Who may call from a browser: the origins that get CORS headers and may open a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Pages of every origin: wallets sign on their own. Of a node that signs with accounts of its own, pages of this machine, of
    /// the names in [`hosts`](Config::hosts), and of the very IP address and port that the node is called at, alone.
    Any,
    /// Only these, for example `https://wallet.example`. Empty: no page at all.
    Only(Vec<String>),
}

/// Bounds on what clients may cost. Whatever goes over one is refused with an error that names it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Connections open at the same time; the next one gets HTTP status 503.
    pub max_connections: usize,
    /// How many of the connections may be WebSockets; the next one gets HTTP status 503.
    pub max_websockets: usize,
    /// Bytes of a request's head, the request line and all headers.
    pub max_header_bytes: usize,
    /// How long a client may take for a request's head, from its first byte on; for the first one from when it connects.
    pub header_timeout: Duration,
    /// How long a connection may stay idle between requests.
    pub idle_timeout: Duration,
    /// How long a client may take to send a request's body, or a message over a WebSocket.
    pub body_timeout: Duration,
    /// How long a client may take without reading anything of what is sent to it.
    pub write_timeout: Duration,
    /// Bytes of an HTTP body.
    pub max_request_bytes: usize,
    /// Bytes of a WebSocket message.
    pub max_message_bytes: usize,
    /// Bytes that large bodies, messages and answers of all connections may take together. What there is of a message before it is
    /// complete does not count.
    pub max_buffered_bytes: usize,
    /// Levels of arrays and objects inside each other in a request.
    pub max_depth: usize,
    /// Requests in a batch.
    pub max_batch: usize,
    /// Bytes of the answer to one request, or to a whole batch.
    pub max_response_bytes: usize,
    /// How long one request may take altogether, waiting for a free worker included; mining by hand takes as long as it takes.
    pub request_timeout: Duration,
    /// Threads that read from disk and check signatures for clients at the same time.
    pub read_workers: usize,
    /// Threads that execute calls, estimates and traces for clients at the same time.
    pub execution_workers: usize,
    /// Requests that one WebSocket connection may have under way.
    pub max_in_flight: usize,
    /// A WebSocket that is silent this long is pinged, and closed when it stays silent as long again.
    pub ping_interval: Duration,
    /// Subscriptions of one WebSocket connection.
    pub max_subscriptions_per_connection: usize,
    /// Subscriptions of all connections together.
    pub max_subscriptions: usize,
    /// Filters that one connection may have installed.
    pub max_filters_per_connection: usize,
    /// Filters of all connections together.
    pub max_filters: usize,
    /// Addresses and topics in all log filters and subscriptions of one connection.
    pub max_alternatives_per_connection: usize,
    /// Addresses and topics in all log filters of all connections together, and in all subscriptions as many again.
    pub max_alternatives: usize,
    /// A filter that nobody has asked for this long is removed.
    pub filter_timeout: Duration,
    /// Blocks that one log query may span.
    pub max_log_blocks: u64,
    /// Logs in one answer.
    pub max_logs: usize,
    /// Addresses, or alternatives at one topic position, in a log filter.
    pub max_log_alternatives: usize,
    /// Gas that `eth_call` and the like may use.
    pub gas_cap: u64,
    /// Bytes of memory that what a trace records may take, about.
    pub max_trace_bytes: usize,
    /// The longest that `eth_sendRawTransactionSync` waits for a receipt.
    pub sync_timeout: Duration,
    /// Tip suggested while no block shows what others pay, in wei per gas.
    pub default_priority_fee: u128,
    /// Pages that may call.
    pub origins: Origins,
    /// Names in the `Host` header that are served besides `localhost` and plain IP addresses. Looked at only on
    /// loopback, where a page could otherwise reach the node under a name of its own (DNS rebinding), and for pages of them
    /// ([`Origins::Any`]).
    pub hosts: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            max_connections: 4_096,
            max_websockets: 512,
            max_header_bytes: 32 << 10,
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(120),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            max_request_bytes: 10 << 20,
            max_message_bytes: 4 << 20,
            max_buffered_bytes: 512 << 20,
            max_depth: 100,
            max_batch: 1_000,
            max_response_bytes: 25 << 20,
            request_timeout: Duration::from_secs(30),
            read_workers: 4 * cores,
            execution_workers: cores.max(2),
            max_in_flight: 32,
            ping_interval: Duration::from_secs(30),
            max_subscriptions_per_connection: 1_000,
            max_subscriptions: 10_000,
            max_filters_per_connection: 1_000,
            max_filters: 10_000,
            max_alternatives_per_connection: 50_000,
            max_alternatives: 500_000,
            filter_timeout: Duration::from_secs(5 * 60),
            max_log_blocks: 10_000,
            max_logs: 20_000,
            max_log_alternatives: 1_000,
            gas_cap: 50_000_000,
            max_trace_bytes: 128 << 20,
            sync_timeout: Duration::from_secs(20),
            default_priority_fee: 1_000_000_000,
            origins: Origins::Any,
            hosts: Vec::new(),
        }
    }
}

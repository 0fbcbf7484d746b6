/// Bounds of a [`Pool`](crate::Pool).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Transactions in all. 200,000 are a few seconds of a busy chain.
    pub max_transactions: usize,
    /// Encoded bytes of all transactions.
    pub max_bytes: usize,
    /// Transactions of one sender: a tenth of the pool, so that a single busy sender can fill whole blocks.
    pub max_per_sender: usize,
    /// Transactions of one sender behind a gap. A client that sends on many connections at once makes short gaps; long
    /// ones only cost memory.
    pub max_queued_per_sender: usize,
    /// Transactions of a sender that a full pool gives up only to better paid ones.
    pub share_per_sender: usize,
    /// Least priority fee (or gas price, in transactions without one) in wei per gas.
    pub minimum_tip: u128,
    /// By how many per cent both fees of a replacement must exceed those of the transaction it replaces.
    pub price_bump: u128,
    /// Gas that a transaction may ask for: as EIP-7825 has it, or more on a development chain that does without.
    pub max_gas: u64,
    /// Bytes of code that creates a contract: as EIP-3860 has it, or more on a development chain that does without.
    pub max_initcode: usize,
    /// Whether transactions without a chain id (EIP-155) are taken.
    pub allow_unprotected: bool,
    /// How long a transaction may wait behind a gap, in milliseconds.
    pub queued_lifetime: u64,
    /// How many newly pending transactions a slow subscriber may lag behind before it misses some.
    pub events: usize,
    /// The journal is rewritten when it is longer than twice its content and these bytes.
    pub journal_slack: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_transactions: 200_000,
            max_bytes: 256 << 20,
            max_per_sender: 20_000,
            max_queued_per_sender: 1024,
            share_per_sender: 64,
            minimum_tip: 0,
            price_bump: 10,
            max_gas: revm::primitives::eip7825::TX_GAS_LIMIT_CAP,
            max_initcode: revm::primitives::eip3860::MAX_INITCODE_SIZE,
            allow_unprotected: false,
            queued_lifetime: 3 * 60 * 60 * 1000,
            events: 8192,
            journal_slack: 16 << 20,
        }
    }
}

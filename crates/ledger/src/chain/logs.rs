use alloy_primitives::{Address, B256, Log};

/// Which logs to find: an empty list matches everything, as in `eth_getLogs`.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Emitting contracts, any of them.
    pub addresses: Vec<Address>,
    /// For each position the topics that match, any of them.
    pub topics: [Vec<B256>; 4],
}

impl LogFilter {
    /// Whether the filter wants this log.
    pub fn matches(&self, log: &Log) -> bool {
        let topic = |at: usize| log.topics().get(at);
        (self.addresses.is_empty() || self.addresses.contains(&log.address))
            && self
                .topics
                .iter()
                .enumerate()
                .all(|(at, any)| any.is_empty() || topic(at).is_some_and(|topic| any.contains(topic)))
    }
}

/// A log with its place in the chain.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// The log.
    pub log: Log,
    /// Number of the block.
    pub block_number: u64,
    /// Hash of the block.
    pub block_hash: B256,
    /// Seconds since 1970.
    pub block_timestamp: u64,
    /// Hash of the transaction.
    pub transaction_hash: B256,
    /// Position of the transaction in the block.
    pub transaction_index: u64,
    /// Position of the log in the block.
    pub log_index: u64,
}

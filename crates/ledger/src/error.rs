/// Why the ledger cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The block is past the newest one.
    #[error("block {asked} does not exist yet, the newest is {head}")]
    Unknown {
        /// The number asked for.
        asked: u64,
        /// The newest block's number.
        head: u64,
    },
    /// The state at that block is no longer kept.
    #[error("state of block {asked} is no longer kept, the oldest kept is that of block {oldest} (see --history)")]
    Pruned {
        /// The number asked for.
        asked: u64,
        /// The oldest block whose state can be read.
        oldest: u64,
    },
    /// The block is not kept here: the state was taken over from another node at a later one.
    #[error("block {asked} is not kept by this node, the oldest after it is block {first}: ask another node")]
    NotKept {
        /// The number asked for.
        asked: u64,
        /// The first block after it that is kept.
        first: u64,
    },
    /// Proofs at a past block would take too long.
    #[error(
        "the state at that block cannot be proven any more: {operations} entries would have to be read again, at most \
         {most} are; ask for the newest block"
    )]
    TooLarge {
        /// Entries of the state's log.
        operations: u64,
        /// How many are read at most.
        most: u64,
    },
    /// More logs than one answer may hold.
    #[error("the query matches more than {limit} logs, narrow the block range or the filter")]
    TooManyLogs {
        /// How many one answer may hold.
        limit: usize,
    },
    /// No block here has a certificate yet.
    #[error("it has no certificate yet")]
    NoCertificate,
    /// The folder holds another chain.
    #[error("the folder holds a chain with another genesis: give each network a folder of its own")]
    OtherGenesis,
    /// What was read from disk isn't what was written.
    #[error("damaged data: {0}")]
    Damaged(String),
    /// The disk or the database failed.
    #[error("storage: {0}")]
    Storage(String),
}

impl revm::database_interface::DBErrorMarker for LedgerError {}

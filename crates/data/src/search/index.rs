//! The file: its tables, and when it is made anew.

use alloy_primitives::{B256, U256};
use rusqlite::{
    Connection, ErrorCode, InterruptHandle, OpenFlags, OptionalExtension as _, ToSql, Transaction, TransactionBehavior,
    params,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use stoa_base::gone;

/// What marks a file as an index of ours: `STOA`.
const APPLICATION: i64 = 0x5354_4f41;

/// The form of what is in it. Another number makes all indices be built anew.
const FORM: i64 = 5;

/// Kibibytes of memory for pages of the file.
const CACHE: i64 = 64 << 10;

/// Bytes of a page of the file. Documents of some kilobytes leave half of smaller ones empty.
const PAGE_SIZE: i64 = 8192;

/// How long to wait for another program that writes to the file.
const PATIENCE: Duration = Duration::from_secs(30);

/// The tables. `standing` is what every search looks at, and therefore small. What `search` has under an asset's id follows from
/// the rows of the asset in the others.
pub(super) const TABLES: &str = "
    CREATE TABLE progress (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        chain_id INTEGER NOT NULL, genesis BLOB NOT NULL, number INTEGER, hash BLOB
    ) STRICT;
    CREATE TABLE assets (
        id INTEGER PRIMARY KEY, nft BLOB NOT NULL UNIQUE, did BLOB NOT NULL UNIQUE,
        owner BLOB NOT NULL, creator BLOB NOT NULL, name TEXT NOT NULL, symbol TEXT NOT NULL, uri TEXT NOT NULL,
        number INTEGER NOT NULL, time INTEGER NOT NULL, tx BLOB NOT NULL
    ) STRICT;
    CREATE TABLE standing (
        id INTEGER PRIMARY KEY, state INTEGER NOT NULL, orders INTEGER NOT NULL, changed INTEGER NOT NULL, price BLOB,
        kind ANY
    ) STRICT;
    CREATE INDEX standing_orders ON standing (orders);
    CREATE INDEX standing_changed ON standing (changed);
    CREATE INDEX standing_price ON standing (price);
    CREATE TABLE metadata (
        asset INTEGER PRIMARY KEY, by BLOB NOT NULL, decryptor TEXT NOT NULL, hash BLOB NOT NULL,
        number INTEGER NOT NULL, time INTEGER NOT NULL, tx BLOB NOT NULL,
        sealed INTEGER NOT NULL, why TEXT, packed INTEGER NOT NULL, document BLOB
    ) STRICT;
    CREATE TABLE validators (asset INTEGER, validator BLOB, PRIMARY KEY (asset, validator)) STRICT, WITHOUT ROWID;
    CREATE TABLE datatokens (
        id INTEGER PRIMARY KEY, asset INTEGER NOT NULL, address BLOB NOT NULL UNIQUE, name TEXT NOT NULL, symbol TEXT NOT NULL,
        orders INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX datatokens_asset ON datatokens (asset);
    CREATE TABLE prices (
        id INTEGER PRIMARY KEY, asset INTEGER NOT NULL, datatoken INTEGER NOT NULL, exchange BLOB UNIQUE, token BLOB,
        amount BLOB NOT NULL, active INTEGER NOT NULL, swapper BLOB
    ) STRICT;
    CREATE INDEX prices_asset ON prices (asset, datatoken);
    CREATE INDEX prices_free ON prices (datatoken) WHERE exchange IS NULL;
    CREATE VIRTUAL TABLE search USING fts5 (
        words, tokenize = \"ascii tokenchars ':'\", detail = none, columnsize = 0, prefix = '2 3 4 5 6'
    );
    INSERT INTO search (search, rank) VALUES ('hashsize', 16777216);
";

/// A number of 256 bits as it stands in a table: in as few bytes as it has, after how many those are, so that numbers compare as
/// their bytes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Amount(pub U256);

impl ToSql for Amount {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let bytes = self.0.to_be_bytes_trimmed_vec();
        Ok([&[bytes.len() as u8], &bytes[..]].concat().into())
    }
}

impl FromSql for Amount {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = value.as_blob()?.split_first().and_then(|(_, bytes)| U256::try_from_be_slice(bytes));
        number.map(Self).ok_or(FromSqlError::InvalidType)
    }
}

/// Which chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainId {
    /// EIP-155.
    pub id: u64,
    /// The hash of block 0: development chains have all the same number.
    pub genesis: B256,
}

/// The block up to which all is in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Its number.
    pub number: u64,
    /// Its hash, by which a chain that went back is noticed.
    pub hash: B256,
}

/// Why an index is of no use.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// What the file holds is no index.
    #[error("the index of assets is damaged: {0}")]
    Damaged(String),
    /// The file cannot be read or written.
    #[error("the index of assets in {} cannot be used: {why}", path.display())]
    Storage {
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// Blocks were left out.
    #[error("the index has blocks up to {has:?}, and was given those from {from} on")]
    Gap {
        /// The newest that it has.
        has: Option<u64>,
        /// The first that came.
        from: u64,
    },
}

impl From<rusqlite::Error> for SearchError {
    fn from(error: rusqlite::Error) -> Self {
        let fine = [
            ErrorCode::DiskFull,
            ErrorCode::DatabaseBusy,
            ErrorCode::DatabaseLocked,
            ErrorCode::ReadOnly,
            ErrorCode::CannotOpen,
            ErrorCode::PermissionDenied,
            ErrorCode::SystemIoFailure,
            ErrorCode::OutOfMemory,
            ErrorCode::OperationInterrupted,
            ErrorCode::FileLockingProtocolFailed,
        ];
        // All else means that there is something else in the file than was put there.
        match error.sqlite_error_code() {
            Some(code) if fine.contains(&code) => Self::Storage { path: PathBuf::new(), why: error.to_string() },
            _ => Self::Damaged(error.to_string()),
        }
    }
}

/// An index of a chain's assets in a file. All of it is blocking.
#[derive(Debug)]
pub struct Index {
    pub(super) connection: Connection,
    pub(super) chain: ChainId,
    path: Option<PathBuf>,
}

impl Index {
    /// The index of this chain in a file. It is empty where there was none, and where what was there is damaged, of another
    /// chain, or of another form.
    ///
    /// # Errors
    ///
    /// [`SearchError::Storage`] if the file cannot be read or written.
    pub fn open(path: &Path, chain: ChainId) -> Result<Self, SearchError> {
        let at = || -> Result<Self, SearchError> {
            let connection = Connection::open(path)?;
            Self::with(connection, chain, Some(path.to_owned()))
        };
        let place = |error| match error {
            SearchError::Storage { why, .. } => SearchError::Storage { path: path.to_owned(), why },
            error => error,
        };
        match at() {
            Err(SearchError::Damaged(why)) => {
                tracing::info!(why, path = %path.display(), "the index of assets is built anew");
                remove(path).map_err(|why| SearchError::Storage { path: path.to_owned(), why: why.to_string() })?;
                at().map_err(place)
            }
            other => other.map_err(place),
        }
    }

    /// An index in memory.
    ///
    /// # Errors
    ///
    /// If there is no memory.
    pub fn in_memory(chain: ChainId) -> Result<Self, SearchError> {
        Self::with(Connection::open_in_memory()?, chain, None)
    }

    fn with(mut connection: Connection, chain: ChainId, path: Option<PathBuf>) -> Result<Self, SearchError> {
        connection.busy_timeout(PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "page_size", PAGE_SIZE)?;
        // What a power cut loses, the ledger has.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "cache_size", -CACHE)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let number = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let empty = number("schema_version")? == 0;
        if empty {
            create(&transaction, chain)?;
        } else if (number("application_id")?, number("user_version")?) != (APPLICATION, FORM) {
            return Err(SearchError::Damaged("it has another form than this program's".to_owned()));
        }
        let of = transaction.query_one("SELECT chain_id, genesis FROM progress", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?))
        })?;
        if of != (chain.id.cast_signed(), chain.genesis.0) {
            return Err(SearchError::Damaged("it is that of another chain".to_owned()));
        }
        transaction.commit()?;
        Ok(Self { connection, chain, path })
    }

    /// Forgets all, to be built anew.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn renew(&mut self) -> Result<(), SearchError> {
        let memory = Self::in_memory(self.chain)?;
        let old = std::mem::replace(self, memory);
        let Some(path) = old.path.clone() else { return Ok(()) };
        drop(old);
        remove(&path).map_err(|why| SearchError::Storage { path: path.clone(), why: why.to_string() })?;
        *self = Self::open(&path, self.chain)?;
        Ok(())
    }

    /// Another access to the same file, which reads and does not write; searches on several threads take one each.
    ///
    /// # Errors
    ///
    /// [`SearchError::Storage`]; an index in memory has none.
    pub fn reader(&self) -> Result<Self, SearchError> {
        let path = self.path.clone().unwrap_or_default();
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "cache_size", -CACHE)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        Ok(Self { connection, chain: self.chain, path: Some(path) })
    }

    /// What ends a search from another thread, which then fails.
    pub fn interrupter(&self) -> InterruptHandle {
        self.connection.get_interrupt_handle()
    }

    /// Which chain's it is.
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    /// The newest block that is in it.
    ///
    /// # Errors
    ///
    /// [`SearchError::Damaged`], [`SearchError::Storage`].
    pub fn cursor(&self) -> Result<Option<Cursor>, SearchError> {
        cursor(&self.connection)
    }
}

/// The newest block that is in it.
pub(super) fn cursor(connection: &Connection) -> Result<Option<Cursor>, SearchError> {
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<[u8; 32]>>(1)?));
    let found = connection.query_row("SELECT number, hash FROM progress", [], row).optional()?;
    let (number, hash) = found.ok_or_else(|| SearchError::Damaged("it does not say how far it is".to_owned()))?;
    Ok(number.zip(hash).map(|(number, hash)| Cursor { number: number.cast_unsigned(), hash: hash.into() }))
}

fn create(transaction: &Transaction<'_>, chain: ChainId) -> Result<(), SearchError> {
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", FORM)?;
    transaction.execute_batch(TABLES)?;
    let row = params![chain.id.cast_signed(), chain.genesis.0];
    transaction.execute("INSERT INTO progress (one, chain_id, genesis) VALUES (1, ?, ?)", row)?;
    Ok(())
}

/// Removes a file and what SQLite has beside it.
fn remove(path: &Path) -> io::Result<()> {
    for end in ["", "-wal", "-shm"] {
        let mut name = OsString::from(path);
        name.push(end);
        fs::remove_file(&name).or_else(gone)?;
    }
    Ok(())
}

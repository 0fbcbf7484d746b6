//! The authenticated state: accounts, storage slots and code in one QMDB.
//!
//! Every value stands under a SHA-256 key (see [`account_key`], [`slot_key`], [`code_key`]) in an ordered `current`
//! QMDB, whose root proves that a key has a value now, or that it has none. The root is the `stateRoot` of every block.

mod db;
mod past;
mod proof;
mod sync;

pub use db::{Batch, Sealed, StateDb};
pub(crate) use past::PastState;
pub(crate) use proof::prove;
pub use stoa_proof::{
    AccountLeaf, CHUNK, Family, Key, KeyProof, Leaf, MAX_CODE, ProofError, account_key, code_key, slot_key, verify_key,
};
pub use sync::{MOST_BYTES, SyncOperation, SyncRequest, SyncResponse, SyncSource, decode_request, decode_response};
pub(crate) use sync::{root_of, serve, sync};

use crate::{LedgerError, execute::Changes};
use alloy_primitives::{B256, Bytes, U256};

use commonware_cryptography::sha256::Digest;
use commonware_glue::stateful::db::{Shared, Unmerkleized as _};
use commonware_parallel::Rayon;
use commonware_runtime::{Spawner, Strategizer, Supervisor, buffer::paged::CacheRef};
use commonware_storage::{
    Context,
    journal::contiguous::variable::Config as JournalConfig,
    merkle::{Location, full::Config as MerkleConfig},
    qmdb::{self, current::VariableConfig},
    translator::EightCap,
};
use commonware_utils::{NZU16, NZU64, NZUsize, non_empty_range};
use std::num::NonZeroUsize;
use stoa_base::Seal;

/// The state database as execution and readers share it.
pub type State<E> = Shared<StateDb<E>>;

/// What state sync aims for: root and range of the operation log.
pub type Target = qmdb::sync::Target<Family, Digest>;

/// Configuration that opens a [`StateDb`].
pub type StateConfig = VariableConfig<EightCap, ((), ()), Rayon, NonZeroUsize>;

/// A runtime that the state database runs on: real, or deterministic in tests.
pub trait Runtime: Context + Spawner + Strategizer + Supervisor {}
impl<E: Context + Spawner + Strategizer + Supervisor> Runtime for E {}

const PAGE: std::num::NonZeroU16 = NZU16!(4084);
const WRITE_BUFFER: NonZeroUsize = NZUsize!(1 << 20);
const REPLAY_BUFFER: NonZeroUsize = NZUsize!(1 << 20);

/// How the state database is laid out under `prefix`, with `cache` bytes of pages in memory and `threads` threads to
/// hash with.
pub fn config<E: Runtime>(runtime: &E, prefix: &str, cache: usize, threads: NonZeroUsize) -> StateConfig {
    let pages = NonZeroUsize::new(cache / usize::from(PAGE.get())).unwrap_or(NZUsize!(64));
    let page_cache = CacheRef::new(PAGE, pages);
    let strategy = runtime.strategy(threads);
    VariableConfig {
        merkle_config: MerkleConfig {
            journal_partition: format!("{prefix}-state-tree"),
            metadata_partition: format!("{prefix}-state-tree-pinned"),
            items_per_blob: NZU64!(1 << 22),
            write_buffer: WRITE_BUFFER,
            replay_buffer: REPLAY_BUFFER,
            strategy,
            page_cache: page_cache.clone(),
        },
        journal_config: JournalConfig {
            partition: format!("{prefix}-state-log"),
            items_per_section: NZU64!(1 << 20),
            compression: None,
            codec_config: ((), ()),
            page_cache,
            write_buffer: WRITE_BUFFER,
            replay_buffer: REPLAY_BUFFER,
        },
        grafted_metadata_partition: format!("{prefix}-state-activity"),
        translator: EightCap,
        init_cache: Some(NZUsize!(1 << 20)),
        init_buffer: NZUsize!(1 << 21),
        init_concurrency: threads,
    }
}

/// Writes changes on top of a state and computes the root. The commit says that it is that of block `number`.
pub(crate) async fn seal<E: Runtime>(
    mut batch: Batch<E>,
    changes: &Changes,
    number: u64,
) -> Result<Sealed<E>, LedgerError> {
    // In order, so that each goes to the end of the batch's tree.
    for (key, change) in changes.iter() {
        batch = batch.write(*key, change.new.clone());
    }
    let sealed = batch.with_metadata(Leaf::Slot(U256::from(number))).merkleize().await;
    sealed.map_err(|error| LedgerError::Storage(format!("state: {error}")))
}

/// The root that a block's header carries.
pub(crate) fn root<E: Runtime>(sealed: &Sealed<E>) -> B256 {
    B256::from(commonware_glue::stateful::db::Merkleized::root(sealed).0)
}

/// What a block says about the operation log after it.
pub(crate) fn seal_of<E: Runtime>(sealed: &Sealed<E>, context: Bytes) -> Seal {
    Seal {
        context,
        ops_root: B256::from(sealed.ops_root().0),
        ops_start: *sealed.sync_boundary(),
        ops_end: *sealed.bounds().tip.size,
    }
}

/// The same about the newest commit, with no context.
pub(crate) async fn seal_of_tip<E: Runtime>(state: &State<E>) -> Seal {
    let db = state.read().await;
    Seal {
        context: Bytes::new(),
        ops_root: B256::from(db.ops_root().0),
        ops_start: *db.sync_boundary(),
        ops_end: *db.bounds().end,
    }
}

/// What state sync aims for to reach the state after a block with this seal.
pub fn target(seal: &Seal) -> Target {
    let range = non_empty_range!(Location::new(seal.ops_start), Location::new(seal.ops_end));
    Target::new(Digest(seal.ops_root.0), range)
}

/// The newest commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    /// After which block it was made.
    pub number: u64,
    /// The state's root.
    pub root: B256,
}

impl Tip {
    pub async fn of<E: Runtime>(db: &StateDb<E>) -> Result<Self, LedgerError> {
        let metadata = db.get_metadata().await.map_err(|error| LedgerError::Storage(format!("state: {error}")))?;
        let number = match metadata {
            None => return Err(LedgerError::Damaged("the state that belongs to the history is missing".into())),
            Some(Leaf::Slot(number)) => number.saturating_to(),
            Some(other) => return Err(LedgerError::Damaged(format!("the state's newest commit holds {other:?}"))),
        };
        Ok(Self { number, root: B256::from(db.root().0) })
    }
}

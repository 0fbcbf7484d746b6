//! QMDB as the state needs it: an index in partitions, and a floor of its log that moves up slowly.
//!
//! `commonware-glue` brings batches for other indices, and one policy for the floor, under which half of all that is
//! appended to the log is old operations that are moved up. See [`Slowly`] for what ours costs and saves.

use super::{CHUNK, Family, Key, Leaf, Runtime, StateConfig, Target};
use commonware_cryptography::{Sha256, sha256::Digest};
use commonware_glue::stateful::db::{self, BatchContext, InitError, ManagedDb, Shared};
use commonware_parallel::Rayon;
use commonware_runtime::Handle;
use commonware_storage::{
    merkle::Location,
    qmdb::{
        self,
        any::{initial_root, ordered, value::VariableEncoding},
        current::{
            batch::{MerkleizedBatch, UnmerkleizedBatch},
            ordered::variable::partitioned,
        },
        floor::{Decision, Entry, Limits, Policy},
    },
    translator::EightCap,
};
use commonware_utils::non_empty_range;
use std::{ops::Deref, sync::Arc};

/// A key's first two bytes say in which part of the index it is; a part is an array in the order of the next eight.
const PARTITION_BYTES: usize = 2;

/// An entry of the log that gives a key its value.
pub(super) type Update = ordered::Update<Key, VariableEncoding<Leaf>>;

type Error = qmdb::Error<Family>;

/// QMDB with our types.
pub(super) type Inner<E> = partitioned::Db<Family, E, Key, Leaf, Sha256, EightCap, PARTITION_BYTES, CHUNK, Rayon>;

/// The state database over a runtime's storage.
pub struct StateDb<E: Runtime>(pub(super) Inner<E>);

impl<E: Runtime> Deref for StateDb<E> {
    type Target = Inner<E>;

    fn deref(&self) -> &Inner<E> {
        &self.0
    }
}

/// Moves up one old operation for every four that a block makes obsolete, and at least one.
///
/// Obsolete operations go from the log only when the floor has passed them, and each that still counts has to be written
/// anew to pass it. With one for each (as `commonware-storage`'s `Proportional` has it) two operations are appended where
/// one value changes, with one for four 1.25. For that the log is longer: where all of `n` values change equally often, it
/// has 2.0 `n` operations instead of 1.4 `n`, and where some change always and the others never, 5 `n` instead of 2 `n`.
struct Slowly;

impl<F: commonware_storage::merkle::Family, K, V> Policy<F, K, V> for Slowly {
    fn evicts(&self) -> bool {
        false
    }

    fn limits(&self, made_inactive: usize) -> Limits {
        Limits { entries: made_inactive / 4 + 1, skips: u64::MAX }
    }

    fn decide<'a>(&mut self, entry: Entry<'a, F, K, V>) -> Decision<'a, V> {
        entry.keep()
    }
}

/// Changes on top of a state, without root.
pub struct Batch<E: Runtime> {
    batch: UnmerkleizedBatch<Family, Sha256, Update, CHUNK, Rayon>,
    db: Shared<StateDb<E>>,
    metadata: Option<Leaf>,
}

impl<E: Runtime> Batch<E> {
    /// Gives the key a value, or takes it away.
    pub(super) fn write(mut self, key: Key, value: Option<Leaf>) -> Self {
        self.batch = self.batch.write(key, value);
        self
    }

    /// What the commit says.
    pub(super) fn with_metadata(mut self, metadata: Leaf) -> Self {
        self.metadata = Some(metadata);
        self
    }

    pub(crate) async fn get(&self, key: &Key) -> Result<Option<Leaf>, Error> {
        self.batch.get(key, &self.db.read().await.0).await
    }

    /// In the order of the keys.
    pub(crate) async fn get_many(&self, keys: &[&Key]) -> Result<Vec<Option<Leaf>>, Error> {
        self.batch.get_many(keys, &self.db.read().await.0).await
    }
}

impl<E: Runtime> db::Unmerkleized for Batch<E> {
    type Merkleized = Sealed<E>;
    type Error = Error;

    async fn merkleize(self) -> Result<Sealed<E>, Error> {
        let Self { batch, db, metadata } = self;
        let batch = batch.merkleize(&db.read().await.0, metadata, &mut Slowly).await?;
        Ok(Sealed { batch, db })
    }
}

/// Changes on top of a state, with root.
pub struct Sealed<E: Runtime> {
    batch: Arc<MerkleizedBatch<Family, Digest, Update, CHUNK, Rayon>>,
    db: Shared<StateDb<E>>,
}

impl<E: Runtime> Clone for Sealed<E> {
    fn clone(&self) -> Self {
        Self { batch: self.batch.clone(), db: self.db.clone() }
    }
}

impl<E: Runtime> Deref for Sealed<E> {
    type Target = MerkleizedBatch<Family, Digest, Update, CHUNK, Rayon>;

    fn deref(&self) -> &Self::Target {
        &self.batch
    }
}

impl<E: Runtime> db::Merkleized for Sealed<E> {
    type Digest = Digest;
    type Unmerkleized = Batch<E>;

    fn root(&self) -> Digest {
        self.batch.root()
    }

    fn new_batch(&self) -> Batch<E> {
        Batch { batch: self.batch.new_batch::<Sha256>(), db: self.db.clone(), metadata: None }
    }
}

impl<E: Runtime> ManagedDb<E> for StateDb<E> {
    type Unmerkleized = Batch<E>;
    type Merkleized = Sealed<E>;
    type Error = Error;
    type Config = StateConfig;
    type SyncTarget = Target;

    async fn init(context: E, config: StateConfig, expected: Option<Target>) -> Result<Self, InitError<Error, Target>> {
        let size = expected.as_ref().map(|target| target.range.end());
        let db = Self(Inner::<E>::init(context, config, size).await.map_err(InitError::Database)?);
        let recovered = db.sync_target();
        match expected {
            Some(expected) if expected != recovered => Err(InitError::TargetMismatch { expected, recovered }),
            _ => Ok(db),
        }
    }

    fn initial_sync_target() -> Target {
        let range = non_empty_range!(Location::new(0), Location::new(1));
        Target::new(initial_root::<Family, Update, Sha256>(), range)
    }

    fn new_batch(database: BatchContext<'_, Self>) -> Batch<E> {
        let (database, db) = database.into_parts();
        Batch { batch: database.0.new_batch(), db, metadata: None }
    }

    fn matches_sync_target(sealed: &Sealed<E>, target: &Target) -> bool {
        sealed.ops_root() == target.root
            && *target.range.start() == sealed.sync_boundary()
            && *target.range.end() == sealed.bounds().tip.size
    }

    async fn apply(self, sealed: Sealed<E>) -> Result<Self, Error> {
        self.0.apply_batch(sealed.batch).await.map(Self)
    }

    async fn finalize(self) -> Result<(Self, Handle<()>), Error> {
        let (db, durable) = self.0.start_sync().await?;
        Ok((Self(db), durable))
    }

    async fn prune(self, target: &Target) -> Result<Self, Error> {
        self.0.prune(target.range.start()).await.map(Self)
    }

    fn sync_target(&self) -> Target {
        Target::new(self.0.ops_root(), non_empty_range!(self.0.sync_boundary(), self.0.bounds().end))
    }
}

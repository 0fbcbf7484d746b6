//! Proofs against the states of past blocks.
//!
//! QMDB proves against its newest commit, and overwrites what it needs for that: which operations of its log were active.
//! For an earlier commit this can be told again from the operations between the commit's floor and the commit, which the
//! log keeps for as long as the state can be read. The digests of operations never change; those above them that also cover
//! the activity ("grafted") are computed anew. One pass over the operations serves any number of proofs of the same block.

use super::{CHUNK, Family, Key, KeyProof, Leaf, Runtime, State, StateDb};
use crate::LedgerError;
use alloy_primitives::map::HashMap;
use commonware_cryptography::{Hasher as _, Sha256, sha256::Digest};
use commonware_storage::{
    merkle::{self, Family as _, Graftable as _, Location, Position, hasher::Hasher as _, storage::Storage},
    qmdb::{
        self,
        any::{
            ordered::{Operation, Update},
            value::VariableEncoding,
        },
        current::{
            grafting,
            ordered::proof::constant::{ExclusionProof, KeyValueProof},
            proof::{RangeProof, constant::OperationProof},
        },
    },
};
use commonware_utils::bitmap;
use std::num::NonZeroU64;
use stoa_base::Seal;

/// The most operations that are read again for the proofs of one block: some seconds of work, and 200 MB meanwhile.
const MAX_OPERATIONS: u64 = 1 << 22;

/// How many are read at once: the state database cannot move on meanwhile.
const PIECE: u64 = 1 << 13;

/// Height of the nodes that cover one chunk of the bitmap.
const HEIGHT: u32 = grafting::height::<CHUNK>();

const BITS: u64 = 8 * CHUNK as u64;

type Op = Operation<Family, Key, VariableEncoding<Leaf>>;

/// What proofs against the state after one block need.
pub(crate) struct PastState {
    /// How many operations the log held.
    size: u64,
    /// No operation before this was active.
    floor: u64,
    ops_root: Digest,
    activity: Activity,
    /// Digests from [`HEIGHT`] up, of all that covers a chunk of [`Activity`].
    nodes: HashMap<u64, Digest>,
    /// The first eight bytes of each key, and where the operation is that gave it its value; in order.
    places: Vec<(u64, u64)>,
}

/// Which operations were active: one bit for each, from the floor's chunk on.
struct Activity {
    first: u64,
    chunks: Vec<[u8; CHUNK]>,
    len: u64,
}

fn failed(error: impl std::fmt::Display) -> LedgerError {
    LedgerError::Storage(format!("cannot prove a past state: {error}"))
}

fn prefix(key: &Key) -> u64 {
    u64::from_be_bytes(*key.0.first_chunk().expect("a key has 32 bytes"))
}

/// Operations from `from` on, at most `most`, as the log stood at `size`.
async fn read<E: Runtime>(db: &StateDb<E>, size: u64, from: u64, most: u64) -> Result<Vec<Op>, LedgerError> {
    let most = NonZeroU64::new(most).unwrap_or(NonZeroU64::MIN);
    let read = db.ops_historical_proof(Location::new(size), Location::new(from), most).await;
    read.map(|(_, operations)| operations).map_err(failed)
}

/// What the commit that ends the log at `size` says: its metadata and its floor.
async fn commit_at<E: Runtime>(db: &StateDb<E>, size: u64) -> Result<(Option<Leaf>, u64), LedgerError> {
    match read(db, size, size - 1, 1).await?.pop() {
        Some(Operation::CommitFloor(value, floor)) => Ok((value, *floor)),
        _ => Err(failed("no commit ends at the seal")),
    }
}

impl PastState {
    /// Reads what the state after the block with this seal was.
    ///
    /// # Errors
    ///
    /// [`LedgerError::TooLarge`] if that would take too long, and if the log no longer holds it.
    pub(crate) async fn read<E: Runtime>(state: &State<E>, seal: &Seal) -> Result<Self, LedgerError> {
        let size = seal.ops_end;
        let last = size.checked_sub(1).ok_or_else(|| failed("the block's seal is of an empty log"))?;
        let (_, floor) = commit_at(&*state.read().await, size).await?;
        if size - floor > MAX_OPERATIONS {
            return Err(LedgerError::TooLarge { operations: size - floor, most: MAX_OPERATIONS });
        }

        let mut places = HashMap::<Key, u64>::default();
        let mut at = floor;
        while at < last {
            let operations = read(&*state.read().await, size, at, PIECE.min(last - at)).await?;
            if operations.is_empty() {
                return Err(failed("the log ends too early"));
            }
            for operation in operations {
                match operation {
                    Operation::Update(update) => drop(places.insert(update.key, at)),
                    Operation::Delete(key) => drop(places.remove(&key)),
                    Operation::CommitFloor(..) => {}
                }
                at += 1;
            }
        }
        let activity = Activity::new(floor, size, places.values().copied().chain([last]));
        let mut places = places.into_iter().map(|(key, place)| (prefix(&key), place)).collect::<Vec<_>>();
        places.sort_unstable();
        let nodes = activity.nodes(&*state.read().await).await?;
        Ok(Self { size, floor, ops_root: Digest(seal.ops_root.0), activity, nodes, places })
    }

    /// Proves what keys held.
    pub(crate) async fn prove<E: Runtime>(&self, state: &State<E>, keys: &[Key]) -> Result<Vec<KeyProof>, LedgerError> {
        let db = state.read().await;
        let mut proofs = Vec::with_capacity(keys.len());
        for key in keys {
            proofs.push(match self.around(&db, key).await? {
                Some((place, update)) => {
                    let proof = self.operation(&db, place).await?;
                    if update.key == *key {
                        KeyProof::Present(update.value, KeyValueProof { proof, next_key: update.next_key })
                    } else {
                        KeyProof::Absent(ExclusionProof::KeyValue(proof, update))
                    }
                }
                None => {
                    let (value, _) = commit_at(&db, self.size).await?;
                    KeyProof::Absent(ExclusionProof::Commit(self.operation(&db, self.size - 1).await?, value))
                }
            });
        }
        Ok(proofs)
    }

    /// The active operation of the key, or of the one before it in the circle of all keys; `None` if there was no key.
    async fn around<E: Runtime>(
        &self,
        db: &StateDb<E>,
        key: &Key,
    ) -> Result<Option<(u64, Update<Key, VariableEncoding<Leaf>>)>, LedgerError> {
        let wanted = prefix(key);
        let alike = |wanted| {
            let from = self.places.partition_point(|(prefix, _)| *prefix < wanted);
            self.places[from..].iter().take_while(move |(prefix, _)| *prefix == wanted)
        };
        let from = self.places.partition_point(|(prefix, _)| *prefix < wanted);
        let Some((before, _)) = self.places[..from].last().or(self.places.last()).copied() else { return Ok(None) };
        for (_, place) in alike(wanted).chain(alike(before)) {
            let Some(Operation::Update(update)) = read(db, self.size, *place, 1).await?.pop() else {
                return Err(failed("an operation changed"));
            };
            let (low, high) = (&update.key, &update.next_key);
            let between = if low < high { low < key && key < high } else { low < key || key < high };
            if low == key || between {
                return Ok(Some((*place, update)));
            }
        }
        Err(failed("the keys have a gap"))
    }

    async fn operation<E: Runtime>(
        &self,
        db: &StateDb<E>,
        place: u64,
    ) -> Result<OperationProof<Family, Digest, CHUNK>, LedgerError> {
        let loc = Location::new(place);
        let storage = Grafted { size: self.size, nodes: &self.nodes, newest: db.grafted_storage() };
        let floor = Location::new(self.floor);
        let range_proof =
            RangeProof::new::<Sha256, _, CHUNK>(&self.activity, &storage, floor, loc..loc + 1, self.ops_root);
        let chunk = bitmap::Readable::get_chunk(&self.activity, (place / BITS) as usize);
        Ok(OperationProof { loc, chunk, range_proof: range_proof.await.map_err(failed)? })
    }
}

impl Activity {
    fn new(floor: u64, len: u64, active: impl Iterator<Item = u64>) -> Self {
        let first = floor / BITS;
        let mut chunks = vec![[0; CHUNK]; (len.div_ceil(BITS) - first) as usize];
        for place in active {
            let (chunk, bit) = (place / BITS - first, place % BITS);
            chunks[chunk as usize][(bit / 8) as usize] |= 1 << (bit % 8);
        }
        Self { first, chunks, len }
    }

    /// Digests of all nodes that cover at least one of these chunks, and no incomplete one, by position.
    async fn nodes<E: Runtime>(&self, db: &StateDb<E>) -> Result<HashMap<u64, Digest>, LedgerError> {
        let hasher = qmdb::hasher::<Sha256>();
        let storage = db.grafted_storage();
        let complete = self.len / BITS;
        let mut nodes = HashMap::default();
        let mut level = Vec::new();
        for index in self.first..complete {
            let position = Family::subtree_root_position(Location::new(index * BITS), HEIGHT);
            let (left, right) = Family::children(position, HEIGHT);
            let below = storage.get_nodes(&[left, right]).await.map_err(failed)?;
            let operations = hasher.node_digest(position, &below[0], &below[1]);
            let chunk = &self.chunks[(index - self.first) as usize];
            // As QMDB grafts: a chunk without any active operation leaves the digest of the operations as it is.
            let digest = if *chunk == [0; CHUNK] {
                operations
            } else {
                Sha256::hash(&[chunk.as_slice(), operations.0.as_slice()])
            };
            level.push(digest);
            nodes.insert(*position, digest);
        }
        let (mut first, mut height) = (self.first, HEIGHT);
        while level.len() > 1 || first > 0 && !level.is_empty() {
            // A left sibling before the floor is the same now as it was then.
            if first % 2 == 1 {
                let position = Family::subtree_root_position(Location::new((first - 1) << height), height);
                level.insert(
                    0,
                    storage.get_node(position).await.map_err(failed)?.ok_or_else(|| failed("a node is gone"))?,
                );
                first -= 1;
            }
            height += 1;
            first /= 2;
            level = (first..)
                .zip(level.chunks_exact(2))
                .map(|(index, pair)| {
                    let position = Family::subtree_root_position(Location::new(index << height), height);
                    let digest = hasher.node_digest(position, &pair[0], &pair[1]);
                    nodes.insert(*position, digest);
                    digest
                })
                .collect();
        }
        Ok(nodes)
    }
}

impl bitmap::Readable<CHUNK> for Activity {
    fn complete_chunks(&self) -> usize {
        (self.len / BITS) as usize
    }

    fn get_chunk(&self, chunk: usize) -> [u8; CHUNK] {
        self.chunks[chunk - self.first as usize]
    }

    fn last_chunk(&self) -> ([u8; CHUNK], u64) {
        let bits = self.len % BITS;
        (self.chunks.last().copied().unwrap_or([0; CHUNK]), if bits == 0 { BITS } else { bits })
    }

    fn pruned_chunks(&self) -> usize {
        self.first as usize
    }

    fn len(&self) -> u64 {
        self.len
    }
}

/// The tree as it stood: the past's nodes where activity is in them, else those of today.
struct Grafted<'a, S> {
    size: u64,
    nodes: &'a HashMap<u64, Digest>,
    newest: S,
}

impl<S: Storage<Family, Digest = Digest>> Storage<Family> for Grafted<'_, S> {
    type Digest = Digest;

    fn size(&self) -> Position<Family> {
        Position::try_from(Location::new(self.size)).expect("a log's size has a position")
    }

    async fn get_node(&self, position: Position<Family>) -> Result<Option<Digest>, merkle::Error<Family>> {
        match self.nodes.get(&*position) {
            Some(digest) => Ok(Some(*digest)),
            None => self.newest.get_node(position).await,
        }
    }
}

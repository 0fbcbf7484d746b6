//! BLAKE3's hash tree over groups of 16 KiB, so that a part of a blob can be checked without the rest.
//!
//! The pairs of hashes of all inner nodes, in post-order, are what `bao-tree` calls an outboard, with the groups that iroh's
//! blobs have. A stream of unknown length can write them as it goes. The tree is BLAKE3's own: its root is the blob's hash
//! (BLAKE3 paper, section 2.1).

use crate::BlobHash;
use bao_tree::BlockSize;
use blake3::{
    CHUNK_LEN, Hasher,
    hazmat::{ChainingValue, HasherExt as _, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root},
};
use std::{io, ops::Range};

/// Bytes of a leaf of the tree.
pub(crate) const GROUP: usize = 16 * CHUNK_LEN;

/// A leaf, as `bao-tree` says it.
pub(crate) const BLOCK: BlockSize = BlockSize::from_chunk_log(4);

/// Bytes of a pair of hashes.
pub(crate) const PAIR: usize = 64;

/// Bytes of the outboard of a blob.
pub(crate) fn outboard_len(len: u64) -> u64 {
    (len.div_ceil(GROUP as u64).max(1) - 1) * PAIR as u64
}

/// Hashes of the groups of a run of bytes.
pub(crate) struct Run {
    groups: Vec<ChainingValue>,
    /// What the blob's hash is if there is nothing else in it.
    alone: Option<BlobHash>,
}

impl Run {
    /// Of the bytes at `offset`, which must be at a group's start. Only a blob's last group may be shorter.
    pub fn new(offset: u64, bytes: &[u8]) -> Self {
        Self::by(GROUP, offset, bytes)
    }

    /// The same by larger nodes of the tree, each a power of two of groups, where nobody asks for the pairs below them: more at
    /// once is hashed faster. All runs of a tree must have the same nodes.
    pub fn by(node: usize, offset: u64, bytes: &[u8]) -> Self {
        debug_assert_eq!(offset % node as u64, 0);
        let group = |(index, group): (usize, &[u8])| {
            let offset = offset + (index * node) as u64;
            Hasher::new().set_input_offset(offset).update(group).finalize_non_root()
        };
        let groups = bytes.chunks(node).enumerate().map(group).collect();
        let alone = (offset == 0 && bytes.len() <= node).then(|| BlobHash::of(bytes));
        Self { groups, alone }
    }
}

/// Puts runs together.
#[derive(Default)]
pub(crate) struct Tree {
    /// Roots of whole subtrees, larger ones first.
    stack: Vec<ChainingValue>,
    groups: u64,
    alone: Option<BlobHash>,
}

impl Tree {
    /// Appends a run, and to `pairs` the pairs of hashes that are known now.
    pub fn push(&mut self, run: &Run, pairs: &mut Vec<u8>) {
        if self.groups == 0 {
            self.alone = run.alone;
        }
        for group in &run.groups {
            // A subtree is closed only when something follows, for the root is hashed otherwise.
            while self.stack.len() > self.groups.count_ones() as usize {
                let (left, right) = self.pop(pairs);
                self.stack.push(merge_subtrees_non_root(&left, &right, Mode::Hash));
            }
            self.stack.push(*group);
            self.groups += 1;
        }
    }

    /// The blob's hash, after the last pairs.
    pub fn finish(mut self, pairs: &mut Vec<u8>) -> BlobHash {
        if self.groups <= 1 {
            return self.alone.unwrap_or_else(|| BlobHash::of(&[]));
        }
        while self.stack.len() > 2 {
            let (left, right) = self.pop(pairs);
            self.stack.push(merge_subtrees_non_root(&left, &right, Mode::Hash));
        }
        let (left, right) = self.pop(pairs);
        merge_subtrees_root(&left, &right, Mode::Hash).into()
    }

    fn pop(&mut self, pairs: &mut Vec<u8>) -> (ChainingValue, ChainingValue) {
        let right = self.stack.pop().expect("two subtrees are there");
        let left = self.stack.pop().expect("two subtrees are there");
        pairs.extend_from_slice(&left);
        pairs.extend_from_slice(&right);
        (left, right)
    }
}

/// Whether `bytes` are what stands at `range` of the blob. The range must be a node of the tree: as much as a power of two
/// of groups, at a multiple of that, or what is left of it at the blob's end.
///
/// `pair` reads a pair of the blob's outboard by its number. What it says is checked against the root on the way down.
///
/// # Errors
///
/// If a pair cannot be read.
pub(crate) fn matches(
    hash: BlobHash,
    len: u64,
    range: Range<u64>,
    bytes: &[u8],
    pair: impl Fn(u64) -> io::Result<[u8; PAIR]>,
) -> io::Result<bool> {
    if range == (0..len) {
        return Ok(BlobHash::of(bytes) == hash);
    }
    let (mut node, mut base, mut expected, mut is_root) = (0..len, 0, hash.0, true);
    while node != range {
        if node.end - node.start <= GROUP as u64 {
            return Ok(false);
        }
        let groups = |len: u64| len.div_ceil(GROUP as u64);
        let length = node.end - node.start;
        let Some([left, right]) = halves(&pair(base + groups(length) - 2)?, is_root, expected) else {
            return Ok(false);
        };
        let middle = node.start + left_subtree_len(length);
        if range.start < middle {
            (node, expected) = (node.start..middle, left);
        } else {
            base += groups(middle - node.start) - 1;
            (node, expected) = (middle..node.end, right);
        }
        is_root = false;
    }
    Ok(Hasher::new().set_input_offset(range.start).update(bytes).finalize_non_root() == expected)
}

/// The hashes of a pair, if they make the one that is expected of their node.
fn halves(pair: &[u8; PAIR], is_root: bool, expected: ChainingValue) -> Option<[ChainingValue; 2]> {
    let (left, right) = pair.split_at(PAIR / 2);
    let [left, right]: [ChainingValue; 2] = [left, right].map(|half| half.try_into().expect("half of a pair"));
    let merged = if is_root {
        merge_subtrees_root(&left, &right, Mode::Hash).into()
    } else {
        merge_subtrees_non_root(&left, &right, Mode::Hash)
    };
    (merged == expected).then_some([left, right])
}

/// What an encoding holds.
pub(crate) enum Part<'a> {
    /// Bytes, and where they stand in the blob.
    Bytes(u64, &'a [u8]),
    /// A pair of the blob's outboard, and its number.
    Pair(u64, &'a [u8; PAIR]),
}

/// The parts of an encoding of bao, which has the pairs from the root down to a range before its bytes, all of them checked, or what is
/// wrong with it. The range begins and ends where a group does, or the blob.
pub(crate) fn decode<'a>(
    hash: BlobHash,
    len: u64,
    range: &Range<u64>,
    encoded: &'a [u8],
) -> Result<Vec<Part<'a>>, String> {
    let mut decoding = Decoding { range, rest: encoded, parts: Vec::new() };
    decoding.node(0..len, 0, hash.0, true)?;
    match decoding.rest.len() {
        0 => Ok(decoding.parts),
        over => Err(format!("{over} bytes too many")),
    }
}

struct Decoding<'a, 'b> {
    range: &'b Range<u64>,
    rest: &'a [u8],
    parts: Vec<Part<'a>>,
}

impl<'a> Decoding<'a, '_> {
    fn take(&mut self, length: u64) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(length as usize).ok_or("it ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    /// The node of these bytes, whose pairs are numbered from `base` on. As deep as the tree is, whose length has 64 bits.
    fn node(&mut self, node: Range<u64>, base: u64, expected: ChainingValue, is_root: bool) -> Result<(), String> {
        let (length, start) = (node.end - node.start, node.start);
        if length <= GROUP as u64 {
            let bytes = self.take(length)?;
            let found = if is_root {
                BlobHash::of(bytes).0
            } else {
                Hasher::new().set_input_offset(start).update(bytes).finalize_non_root()
            };
            if found != expected {
                return Err(format!("the bytes from {start} on do not have the hash that they should"));
            }
            self.parts.push(Part::Bytes(start, bytes));
            return Ok(());
        }
        let groups = |len: u64| len.div_ceil(GROUP as u64);
        let pair: &[u8; PAIR] = self.take(PAIR as u64)?.try_into().expect("as long as a pair");
        let [left, right] = halves(pair, is_root, expected)
            .ok_or_else(|| format!("the hashes of the bytes from {start} on are not those that they should be"))?;
        self.parts.push(Part::Pair(base + groups(length) - 2, pair));
        let middle = start + left_subtree_len(length);
        if self.range.start < middle {
            self.node(start..middle, base, left, false)?;
        }
        if middle < self.range.end {
            self.node(middle..node.end, base + groups(middle - start) - 1, right, false)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bao_tree::io::outboard::PostOrderMemOutboard;
    use proptest::prelude::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8 ^ (at >> 10) as u8).collect()
    }

    fn build(bytes: &[u8], run: usize) -> (BlobHash, Vec<u8>) {
        let (mut tree, mut pairs) = (Tree::default(), Vec::new());
        for (index, part) in bytes.chunks(run).enumerate() {
            tree.push(&Run::new((index * run) as u64, part), &mut pairs);
        }
        (tree.finish(&mut pairs), pairs)
    }

    fn reader(pairs: &[u8]) -> impl Fn(u64) -> io::Result<[u8; PAIR]> {
        |number| Ok(pairs[number as usize * PAIR..][..PAIR].try_into().unwrap())
    }

    fn sizes() -> impl Strategy<Value = usize> {
        let near =
            (0..40_usize, -2..=2_i64).prop_map(|(groups, by)| (groups as i64 * GROUP as i64 + by).max(0) as usize);
        prop_oneof![0..100_usize, near, 0..40 * GROUP]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn root_and_pairs_are_those_of_blake3_and_bao(len in sizes(), run in 1..6_usize) {
            let bytes = bytes(len);
            let (hash, pairs) = build(&bytes, run * GROUP);
            prop_assert_eq!(hash, BlobHash::of(&bytes));
            prop_assert_eq!(pairs.len() as u64, outboard_len(len as u64));
            prop_assert_eq!(pairs, PostOrderMemOutboard::create(&bytes, BLOCK).data);
        }

        #[test]
        fn larger_nodes_give_the_same_root(len in sizes(), log in 0..5_u32, run in 1..4_usize) {
            let (bytes, node) = (bytes(len), GROUP << log);
            let (mut tree, mut pairs) = (Tree::default(), Vec::new());
            for (index, part) in bytes.chunks(run * node).enumerate() {
                tree.push(&Run::by(node, (index * run * node) as u64, part), &mut pairs);
            }
            prop_assert_eq!(tree.finish(&mut pairs), BlobHash::of(&bytes));
        }

        #[test]
        fn every_window_is_known_and_no_changed_byte_passes(
            len in sizes(), log in 0..4_u32, at in any::<prop::sample::Index>(), flip in 1..=255_u8,
        ) {
            prop_assume!(len > 0);
            let mut bytes = bytes(len);
            let (hash, mut pairs) = build(&bytes, GROUP);
            let window = GROUP << log;
            let check = |bytes: &[u8], pairs: &[u8], start: usize| {
                let range = start..(start + window).min(len);
                let place = range.start as u64..range.end as u64;
                matches(hash, len as u64, place, &bytes[range], reader(pairs)).unwrap()
            };
            for start in (0..len).step_by(window) {
                prop_assert!(check(&bytes, &pairs, start));
            }
            let at = at.index(len);
            bytes[at] ^= flip;
            prop_assert!(!check(&bytes, &pairs, at / window * window));
            bytes[at] ^= flip;
            // A wrong pair is never believed: whatever lies below it is refused.
            if len > window {
                let last = pairs.len() - 1;
                pairs[last] ^= flip;
                prop_assert!(!check(&bytes, &pairs, at / window * window));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_bao_encodes_is_decoded_and_nothing_else(
            len in sizes(), from in 0..40_u64, groups in 1..40_u64, at in any::<prop::sample::Index>(), flip in 1..=255_u8,
        ) {
            prop_assume!(len > 0);
            let bytes = bytes(len);
            let (hash, pairs) = build(&bytes, GROUP);
            let start = from * GROUP as u64 % (len as u64).next_multiple_of(GROUP as u64);
            let range = start..(start + groups * GROUP as u64).min(len as u64);
            let mut encoded = Vec::new();
            let chunks = bao_tree::ChunkRanges::from(
                bao_tree::ChunkNum::full_chunks(range.start)..bao_tree::ChunkNum::chunks(range.end),
            );
            let outboard = PostOrderMemOutboard::create(&bytes, BLOCK);
            bao_tree::io::sync::encode_ranges_validated(&bytes[..], outboard, &chunks, &mut encoded).unwrap();
            let mut came = Vec::new();
            for part in decode(hash, len as u64, &range, &encoded).unwrap() {
                match part {
                    Part::Bytes(start, part) => {
                        prop_assert_eq!(start, range.start + came.len() as u64);
                        came.extend_from_slice(part);
                    }
                    Part::Pair(number, pair) => prop_assert_eq!(&pairs[number as usize * PAIR..][..PAIR], pair),
                }
            }
            prop_assert_eq!(&came[..], &bytes[range.start as usize..range.end as usize]);
            let more = [&encoded[..], &[0]].concat();
            prop_assert!(decode(hash, len as u64, &range, &more).is_err());
            let at = at.index(encoded.len());
            prop_assert!(decode(hash, len as u64, &range, &encoded[..at]).is_err());
            encoded[at] ^= flip;
            prop_assert!(decode(hash, len as u64, &range, &encoded).is_err());
        }
    }

    #[test]
    fn a_blob_without_bytes_has_the_hash_of_none() {
        let [nothing, some] = [&[][..], &[1]].map(BlobHash::of);
        assert!(decode(nothing, 0, &(0..0), &[]).is_ok());
        assert!(decode(some, 0, &(0..0), &[]).is_err());
        assert!(decode(nothing, 0, &(0..0), &[0]).is_err());
    }

    #[test]
    fn a_range_that_is_no_node_is_refused() {
        let bytes = bytes(5 * GROUP);
        let (hash, pairs) = build(&bytes, GROUP);
        for range in [GROUP..3 * GROUP, 0..GROUP + 1, 10..20, 3 * GROUP..5 * GROUP] {
            let place = range.start as u64..range.end as u64;
            assert!(!matches(hash, bytes.len() as u64, place, &bytes[range], reader(&pairs)).unwrap());
        }
    }
}

use crate::tree::GROUP;
use std::ops::Range;

/// How many pieces are made of an object and how many of them suffice to read it: any `k` of `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    k: u8,
    n: u8,
}

/// Four of ten: six nodes may be lost at once, for two and a half times the space.
impl Default for Code {
    fn default() -> Self {
        Self { k: 4, n: 10 }
    }
}

impl Code {
    /// `None` unless 1 ≤ k ≤ n.
    pub fn new(k: u8, n: u8) -> Option<Self> {
        (1 <= k && k <= n).then_some(Self { k, n })
    }

    /// Pieces that suffice.
    pub fn needed(self) -> usize {
        self.k.into()
    }

    /// Pieces in all.
    pub fn pieces(self) -> usize {
        self.n.into()
    }

    /// Pieces that may be lost.
    pub fn spare(self) -> usize {
        (self.n - self.k).into()
    }
}

/// Largest object: 1 PiB, so that no sum of sizes leaves 64 bits.
pub const MAX_SIZE: u64 = 1 << 50;

/// Bytes of a shard of a full stripe, for codes of few pieces.
const SHARD: usize = 256 << 10;

/// Bytes of a full stripe's shards together, for codes of many pieces: what is in memory is a few stripes.
const STRIPE: usize = 8 << 20;

/// Where an object's bytes stand in its pieces.
///
/// The content is cut into stripes, each stripe into k data shards of the same length (filled up with zeros), to which the
/// code adds n − k more. Piece i is shard i of every stripe, one after the other: one blob a node, readable stripe by
/// stripe, and memory that does not grow with the object. All stripes but the last are full; the last one's shards are as
/// short as what remains allows, so that a small object has small pieces. All of it follows from the size and the code:
/// a manifest has nothing to lie about here.
///
/// Shards of full stripes are 2^j × 16 KiB long: a piece's hash tree has a node for each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    size: u64,
    code: Code,
    shard: usize,
}

impl Layout {
    /// Of an object of `size` bytes.
    pub fn new(size: u64, code: Code) -> Self {
        let mut shard = SHARD;
        while shard * code.pieces() > STRIPE {
            shard /= 2;
        }
        Self { size, code, shard }
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Bytes of the object.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of the object in a full stripe.
    pub fn stripe(&self) -> usize {
        self.shard * self.code.needed()
    }

    /// How many stripes.
    pub fn stripes(&self) -> u64 {
        self.size.div_ceil(self.stripe() as u64)
    }

    /// Bytes of the object in stripe `index`.
    pub fn content_of(&self, index: u64) -> usize {
        let start = index * self.stripe() as u64;
        self.size.saturating_sub(start).min(self.stripe() as u64) as usize
    }

    /// Bytes of each shard of stripe `index`.
    pub fn shard_of(&self, index: u64) -> usize {
        shard_of(self.content_of(index), self.code)
    }

    /// Bytes of each piece.
    pub fn piece(&self) -> u64 {
        let (full, rest) = (self.size / self.stripe() as u64, (self.size % self.stripe() as u64) as usize);
        full * self.shard as u64 + shard_of(rest, self.code) as u64
    }

    /// Bytes of the nodes of the content's hash tree by which `content` bytes of stripe `index` are hashed: a shard's, which are
    /// hashed fast, but for an object that may have one node alone, which would be hashed twice.
    pub(crate) fn node(&self, index: u64, content: usize) -> usize {
        if index == 0 && content < self.stripe() { GROUP } else { self.shard }
    }

    /// Where the shard of stripe `index` stands in every piece.
    pub fn place_of(&self, index: u64) -> Range<u64> {
        let start = index * self.shard as u64;
        start..start + self.shard_of(index) as u64
    }
}

/// Bytes of a shard that holds its part of `content` bytes. The code works on 16-bit words, so that it is even.
pub(crate) fn shard_of(content: usize, code: Code) -> usize {
    content.div_ceil(code.needed()).next_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_code_must_be() {
        assert_eq!(Code::new(0, 1), None);
        assert_eq!(Code::new(3, 2), None);
        assert_eq!(Code::new(4, 10), Some(Code::default()));
    }

    proptest! {
        #[test]
        fn shards_hold_the_object_and_little_more(k in 1..=255_u8, more in 0..=254_u8, size in 0..1_u64 << 34) {
            let code = Code::new(k, k.saturating_add(more)).unwrap();
            let layout = Layout::new(size, code);
            let stripes = layout.stripes();
            prop_assert!(stripes == 0 || layout.content_of(stripes - 1) > 0);
            prop_assert_eq!(layout.content_of(stripes), 0);
            prop_assert!(layout.stripe() * code.pieces() / code.needed() <= STRIPE.max(SHARD));
            prop_assert_eq!(layout.shard % (16 << 10), 0);
            let last = stripes.saturating_sub(1);
            prop_assert_eq!(layout.place_of(last).end, layout.piece());
            let coded = layout.piece() * u64::from(k);
            prop_assert!(coded >= size && coded <= size + 2 * u64::from(k), "{coded} for {size}");
        }
    }
}

//! How many keepers it takes to release a key.

/// How many of how many keepers release a key: `1 ≤ t ≤ m ≤ 64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Threshold {
    t: u8,
    m: u8,
}

impl Threshold {
    /// The most keepers an object has. What is published for each of them stays below some kilobytes.
    pub const MOST: u8 = 64;

    /// `t` of `m`; `None` if that cannot be.
    pub const fn new(t: usize, m: usize) -> Option<Self> {
        if 1 <= t && t <= m && m <= Self::MOST as usize { Some(Self { t: t as u8, m: m as u8 }) } else { None }
    }

    /// How many keepers release the key.
    pub const fn required(self) -> u8 {
        self.t
    }

    /// How many keepers there are.
    pub const fn total(self) -> u8 {
        self.m
    }
}

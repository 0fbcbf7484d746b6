//! How private an asset is, in a form that it can state and a person can read.

use bytes::BufMut;
use commonware_codec::{Buf, Error as CodecError, FixedSize, Read, ReadExt as _, Write};
use std::fmt;

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

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.t, self.m)
    }
}

/// Who could open an asset's objects without the owner's leave.
///
/// `grade (1) | t (1) | m (1)`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrivacyGrade {
    /// No number of keepers alone: the owner seals its half of the key to each reader.
    TwoHalves(Threshold),
    /// As many keepers as release the key, if they act together: it has no other half, so that who buys while the owner
    /// is away can read at once.
    KeepersOnly(Threshold),
}

const TWO_HALVES: u8 = 1;
const KEEPERS_ONLY: u8 = 2;

impl PrivacyGrade {
    /// How many keepers release the keepers' half.
    pub const fn threshold(self) -> Threshold {
        match self {
            Self::TwoHalves(threshold) | Self::KeepersOnly(threshold) => threshold,
        }
    }
}

impl fmt::Display for PrivacyGrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoHalves(threshold) => write!(
                f,
                "two halves: a reader needs the owner's half of the key and {threshold} keepers; \
                 the keepers alone, even all of them, learn nothing"
            ),
            Self::KeepersOnly(threshold) => write!(
                f,
                "keepers only: a reader needs {threshold} keepers; \
                 {} of them who act together could read it themselves",
                threshold.t
            ),
        }
    }
}

impl FixedSize for PrivacyGrade {
    const SIZE: usize = 3;
}

impl Write for PrivacyGrade {
    fn write(&self, buf: &mut impl BufMut) {
        let (grade, threshold) = match self {
            Self::TwoHalves(threshold) => (TWO_HALVES, threshold),
            Self::KeepersOnly(threshold) => (KEEPERS_ONLY, threshold),
        };
        [grade, threshold.t, threshold.m].write(buf);
    }
}

impl Read for PrivacyGrade {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let [grade, t, m] = <[u8; 3]>::read(buf)?;
        let threshold = Threshold::new(t.into(), m.into())
            .ok_or(CodecError::Invalid("PrivacyGrade", "it takes 1 ≤ t ≤ m ≤ 64 keepers"))?;
        match grade {
            TWO_HALVES => Ok(Self::TwoHalves(threshold)),
            KEEPERS_ONLY => Ok(Self::KeepersOnly(threshold)),
            tag => Err(CodecError::InvalidEnum(tag)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_codec::{Copying, DecodeExt as _, Encode as _};

    #[test]
    fn a_grade_says_who_could_read() {
        let threshold = Threshold::new(5, 9).unwrap();
        let two = PrivacyGrade::TwoHalves(threshold).to_string();
        assert!(two.contains("5 of 9 keepers") && two.contains("learn nothing"), "{two}");
        let one = PrivacyGrade::KeepersOnly(threshold).to_string();
        assert!(one.contains("5 of them who act together could read it themselves"), "{one}");
    }

    #[test]
    fn every_grade_there_can_be_and_no_other_is_decoded() {
        for grade in 0..=3 {
            for t in 0..=70 {
                for m in 0..=70 {
                    let bytes = [grade, t, m];
                    let can_be = (1..=2).contains(&grade) && 1 <= t && t <= m && m <= 64;
                    match PrivacyGrade::decode(Copying(&bytes[..])) {
                        Ok(decoded) => assert!(can_be && decoded.encode().as_ref() == bytes),
                        Err(_) => assert!(!can_be),
                    }
                }
            }
        }
    }
}

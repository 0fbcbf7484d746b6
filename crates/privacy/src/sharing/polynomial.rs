//! Polynomials over the scalars of ristretto255, and their commitments.

use super::read_count;
use crate::key::{DataKey, expand};
use bytes::BufMut;
use commonware_codec::{Buf, EncodeSize, Error as CodecError, Read, ReadExt as _, Write};
use commonware_cryptography::Secret;
use curve25519_dalek::{
    RistrettoPoint, Scalar,
    ristretto::CompressedRistretto,
    traits::{Identity as _, IsIdentity as _, VartimeMultiscalarMul as _},
};
use rand::CryptoRng;
use zeroize::Zeroizing;

const COEFFICIENT: &[u8] = b"stoa/privacy/coefficient/v1";

/// Coefficients from the constant on. Erased when dropped.
pub(super) struct Polynomial(Zeroizing<Vec<Scalar>>);

impl Polynomial {
    /// With so many coefficients, all drawn at random.
    pub(super) fn random(t: usize, rng: &mut impl CryptoRng) -> Self {
        // Its whole length at once: growing would leave coefficients behind.
        let mut coefficients = Zeroizing::new(Vec::with_capacity(t));
        coefficients.extend((0..t).map(|_| Scalar::random(rng)));
        Self(coefficients)
    }

    /// The same with this constant.
    pub(super) fn with_constant(constant: &Secret<Scalar>, t: usize, rng: &mut impl CryptoRng) -> Self {
        let mut polynomial = Self::random(t, rng);
        constant.expose(|constant| polynomial.0[0] = *constant);
        polynomial
    }

    /// With the same constant. The other coefficients follow from the seed, for what is named.
    pub(super) fn rederived(mut self, seed: &DataKey, named: &[u8]) -> Self {
        for (place, coefficient) in self.0.iter_mut().enumerate().skip(1) {
            let mut wide = Zeroizing::new([0_u8; 64]);
            seed.expose(|seed| expand(COEFFICIENT, seed, &[named, &[place as u8]], &mut wide[..]));
            *coefficient = Scalar::from_bytes_mod_order_wide(&wide);
        }
        self
    }

    /// Horner's rule.
    pub(super) fn at(&self, index: u8) -> Secret<Scalar> {
        let x = Scalar::from(index);
        Secret::new(self.0.iter().rev().fold(Scalar::ZERO, |sum, coefficient| sum * x + coefficient))
    }

    pub(super) fn commit(&self) -> Commitment {
        Commitment::new(self.0.iter().map(RistrettoPoint::mul_base).collect())
    }
}

/// Each coefficient of a polynomial times the base point.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Commitment {
    points: Vec<RistrettoPoint>,
    /// The same, encoded: to encode a point takes as long as to decode it.
    bytes: Vec<[u8; 32]>,
}

impl Commitment {
    pub(super) fn new(points: Vec<RistrettoPoint>) -> Self {
        let bytes = points.iter().map(|point| point.compress().0).collect();
        Self { points, bytes }
    }

    /// How many coefficients: the degree and one.
    pub(super) const fn len(&self) -> usize {
        self.points.len()
    }

    pub(super) fn has_identity(&self) -> bool {
        self.points.iter().any(RistrettoPoint::is_identity)
    }

    /// What the polynomial has there, times the base point.
    pub(super) fn at(&self, index: u8) -> RistrettoPoint {
        self.points.iter().rev().fold(RistrettoPoint::identity(), |sum, point| times(sum, index) + point)
    }

    /// Whether the polynomial has this value there.
    pub(super) fn opens_to(&self, index: u8, value: &Scalar) -> bool {
        RistrettoPoint::mul_base(value) == self.at(index)
    }

    /// The commitment of `Σ weight · polynomial`; all are of one length.
    pub(super) fn sum(weights: &[Scalar], commitments: &[&Self]) -> Self {
        let length = commitments.first().map_or(0, |commitment| commitment.len());
        let coefficient = |place: usize| {
            let points = commitments.iter().map(|commitment| commitment.points[place]);
            RistrettoPoint::vartime_multiscalar_mul(weights, points)
        };
        Self::new((0..length).map(coefficient).collect())
    }
}

/// A small multiple of a public point: an index has 7 bits where a scalar has 253.
fn times(point: RistrettoPoint, factor: u8) -> RistrettoPoint {
    let bits = (0..u8::BITS - factor.leading_zeros()).rev();
    bits.fold(RistrettoPoint::identity(), |sum, bit| {
        let double = sum + sum;
        if factor >> bit & 1 == 1 { double + point } else { double }
    })
}

/// What the values at these indices, all different and none 0, weigh in the value at 0 (Lagrange's formula).
pub(super) fn weights(indices: &[u8]) -> Vec<Scalar> {
    let product =
        |factors: &mut dyn Iterator<Item = Scalar>| factors.fold(Scalar::ONE, |product, factor| product * factor);
    let others = |index: u8| indices.iter().filter(move |other| **other != index).map(|other| Scalar::from(*other));
    let mut inverses: Vec<_> =
        indices.iter().map(|index| product(&mut others(*index).map(|other| other - Scalar::from(*index)))).collect();
    Scalar::invert_batch_alloc(&mut inverses);
    indices.iter().zip(inverses).map(|(index, inverse)| product(&mut others(*index)) * inverse).collect()
}

/// The value at 0 of the polynomial through these points.
pub(super) fn interpolate(points: &[(u8, &Secret<Scalar>)]) -> Secret<Scalar> {
    let weights = weights(&points.iter().map(|(index, _)| *index).collect::<Vec<_>>());
    let terms = points.iter().zip(weights).map(|((_, value), weight)| value.expose(|value| value * weight));
    Secret::new(terms.fold(Scalar::ZERO, |sum, term| sum + term))
}

impl Write for Commitment {
    fn write(&self, buf: &mut impl BufMut) {
        (self.bytes.len() as u8).write(buf);
        self.bytes.iter().for_each(|point| point.write(buf));
    }
}

impl EncodeSize for Commitment {
    fn encode_size(&self) -> usize {
        1 + 32 * self.bytes.len()
    }
}

impl Read for Commitment {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let count = read_count(buf)?;
        let bytes = (0..count).map(|_| <[u8; 32]>::read(buf)).collect::<Result<Vec<_>, _>>()?;
        let points = bytes.iter().map(|bytes| CompressedRistretto(*bytes).decompress()).collect::<Option<_>>();
        let points = points.ok_or(CodecError::Invalid("Commitment", "not the encoding of a point of ristretto255"))?;
        Ok(Self { points, bytes })
    }
}

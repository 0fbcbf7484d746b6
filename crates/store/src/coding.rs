//! The erasure code: shards of a stripe from its content, and back.
//!
//! Reed-Solomon over 16-bit words in Leopard's form (`reed-solomon-simd`), systematic: the first k shards are the content
//! itself. The code corrects what is missing, not what is wrong. A wrong shard would spoil the whole stripe, so that shards
//! are checked against their piece's hash before they come here.
//!
//! The library decodes by a transform of as many shards as there are pieces, up to the next power of two, however few there are.
//! But each missing shard is a sum of the k that are here, each multiplied by a factor that depends on their numbers alone. Where
//! there are few, adding these up is several times as fast, and reads each shard from the cache.

use crate::{Code, Error, layout::shard_of};
use reed_solomon_simd::{
    ReedSolomonDecoder, ReedSolomonEncoder,
    engine::{DefaultEngine, Engine as _, GfElement, tables::get_exp_log, utils::xor},
};
use std::io;

/// Bytes that the code works on at once: the low halves of so many words, then their high halves (`reed_solomon_simd::algorithm`).
const BLOCK: usize = 64;
const WORDS: usize = 32;

/// Blocks that are multiplied at a time: few enough to stay in a core's first cache.
const BLOCKS: usize = 128;

/// Products up to which adding them up is faster than the transform.
const PRODUCTS: usize = 64;

/// What one thread codes with; the working space is kept between stripes.
pub(crate) struct Coder {
    code: Code,
    encoder: Option<ReedSolomonEncoder>,
    decoder: Option<ReedSolomonDecoder>,
    /// Those of the last stripe, for the next one lacks the same shards more often than not.
    sums: Option<Sums>,
    /// Shards that are no data, and the numbers of those that were read.
    extra: Vec<Vec<u8>>,
    here: Vec<usize>,
}

/// How missing data shards are added up from those that are here.
struct Sums {
    engine: DefaultEngine,
    here: Vec<usize>,
    /// For each missing one, the logarithm of the factor of each that is here; `None` for zero.
    factors: Vec<(usize, Vec<Option<GfElement>>)>,
}

/// The library refuses what no [`Code`] and [`Layout`](crate::Layout) ask of it.
fn failed(error: reed_solomon_simd::Error) -> Error {
    io::Error::other(format!("Reed-Solomon: {error}")).into()
}

impl Sums {
    /// From the shards of these numbers.
    fn new(code: Code, here: &[usize]) -> Result<Self, Error> {
        let (k, spare) = (code.needed(), code.spare());
        // The factors are what the library makes of a one in each shard. All at once, for each stands in a place of its own.
        let low = |place: usize| place / WORDS * BLOCK + place % WORDS;
        let length = k.div_ceil(WORDS) * BLOCK;
        let mut decoder = ReedSolomonDecoder::new(k, spare, length).map_err(failed)?;
        for (place, &number) in here.iter().enumerate() {
            let mut one = vec![0_u8; length];
            one[low(place)] = 1;
            match number.checked_sub(k) {
                None => decoder.add_original_shard(number, &one),
                Some(extra) => decoder.add_recovery_shard(extra, &one),
            }
            .map_err(failed)?;
        }
        let log = &get_exp_log().log;
        let factors = |(missing, shard): (usize, &[u8])| {
            let factor = |place: usize| {
                let word = u16::from_le_bytes([shard[low(place)], shard[low(place) + WORDS]]);
                (word != 0).then(|| log[usize::from(word)])
            };
            (missing, (0..k).map(factor).collect())
        };
        let factors = decoder.decode().map_err(failed)?.restored_original_iter().map(factors).collect();
        Ok(Self { engine: DefaultEngine::new(), here: here.to_vec(), factors })
    }

    /// Fills in the missing shards of `data`, each of `length` bytes in whole blocks.
    fn restore(&self, k: usize, length: usize, extra: &[Vec<u8>], data: &mut [u8]) {
        let mut product = [[0; BLOCK]; BLOCKS];
        for start in (0..length).step_by(BLOCK * BLOCKS) {
            let bytes = (length - start).min(BLOCK * BLOCKS);
            let product = &mut product[..bytes / BLOCK];
            for (missing, factors) in &self.factors {
                let sum = missing * length + start..missing * length + start + bytes;
                data[sum.clone()].fill(0);
                for (number, factor) in self.here.iter().zip(factors) {
                    let Some(factor) = factor else { continue };
                    let shard = match number.checked_sub(k) {
                        None => &data[number * length + start..][..bytes],
                        Some(number) => &extra[number][start..][..bytes],
                    };
                    product.as_flattened_mut().copy_from_slice(shard);
                    self.engine.mul(product, *factor);
                    xor(data[sum.clone()].as_chunks_mut().0, product);
                }
            }
        }
    }
}

impl Coder {
    pub fn new(code: Code) -> Self {
        let (extra, here) = (vec![Vec::new(); code.spare()], Vec::new());
        Self { code, encoder: None, decoder: None, sums: None, extra, here }
    }

    /// Fills `content` up with zeros to k shards, and `coded` with the other n − k. The length of a shard.
    pub fn encode(&mut self, content: &mut Vec<u8>, coded: &mut Vec<u8>) -> Result<usize, Error> {
        let (k, spare, length) = (self.code.needed(), self.code.spare(), shard_of(content.len(), self.code));
        content.resize(k * length, 0);
        coded.clear();
        if spare == 0 {
            return Ok(length);
        }
        let encoder = match &mut self.encoder {
            Some(encoder) => {
                encoder.reset(k, spare, length).map_err(failed)?;
                encoder
            }
            none => none.insert(ReedSolomonEncoder::new(k, spare, length).map_err(failed)?),
        };
        for shard in content.chunks_exact(length) {
            encoder.add_original_shard(shard).map_err(failed)?;
        }
        for shard in encoder.encode().map_err(failed)?.recovery_iter() {
            coded.extend_from_slice(shard);
        }
        Ok(length)
    }

    /// Fills `data` with the k data shards, each of `length` bytes.
    ///
    /// `numbers` says which shards there may be, in the order in which they are wanted: data first, for they need no decoding.
    /// `read` fills in the one at that place of `numbers`, or says that it is not to be had. Whether there were k of them.
    pub fn decode(
        &mut self,
        numbers: &[usize],
        length: usize,
        mut read: impl FnMut(usize, &mut [u8]) -> Result<bool, Error>,
        data: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let (k, spare) = (self.code.needed(), self.code.spare());
        data.resize(k * length, 0);
        self.here.clear();
        for (place, &number) in numbers.iter().enumerate() {
            if self.here.len() == k {
                break;
            }
            let shard = match number.checked_sub(k) {
                None => &mut data[number * length..][..length],
                Some(extra) => {
                    let shard = &mut self.extra[extra];
                    shard.resize(length, 0);
                    &mut shard[..]
                }
            };
            if read(place, shard)? {
                self.here.push(number);
            }
        }
        if self.here.len() < k {
            return Ok(false);
        }
        let missing = self.here.iter().filter(|number| **number >= k).count();
        if missing == 0 {
            return Ok(true);
        }
        if length.is_multiple_of(BLOCK) && k * missing <= PRODUCTS {
            if self.sums.as_ref().is_none_or(|sums| sums.here != self.here) {
                self.sums = Some(Sums::new(self.code, &self.here)?);
            }
            if let Some(sums) = &self.sums {
                sums.restore(k, length, &self.extra, data);
            }
            return Ok(true);
        }
        let decoder = match &mut self.decoder {
            Some(decoder) => {
                decoder.reset(k, spare, length).map_err(failed)?;
                decoder
            }
            none => none.insert(ReedSolomonDecoder::new(k, spare, length).map_err(failed)?),
        };
        for &number in &self.here {
            match number.checked_sub(k) {
                None => decoder.add_original_shard(number, &data[number * length..][..length]),
                Some(extra) => decoder.add_recovery_shard(extra, &self.extra[extra]),
            }
            .map_err(failed)?;
        }
        for (number, shard) in decoder.decode().map_err(failed)?.restored_original_iter() {
            data[number * length..][..length].copy_from_slice(shard);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn codes() -> impl Strategy<Value = Code> {
        let any = (1..=40_u8, 0..=40_u8).prop_map(|(k, more)| (k, k + more));
        let named =
            prop::sample::select(vec![(4, 10), (1, 1), (1, 3), (16, 24), (5, 5), (1, 255), (200, 255), (255, 255)]);
        prop_oneof![any, named].prop_map(|(k, n)| Code::new(k, n).unwrap())
    }

    fn shards(coder: &mut Coder, content: &[u8]) -> Vec<Vec<u8>> {
        let (mut content, mut coded) = (content.to_vec(), Vec::new());
        let length = coder.encode(&mut content, &mut coded).unwrap();
        content.chunks(length).chain(coded.chunks(length)).map(<[u8]>::to_vec).collect()
    }

    fn decode(coder: &mut Coder, shards: &[Vec<u8>], numbers: &[usize]) -> Option<Vec<u8>> {
        let mut data = vec![1; 7];
        let read = |place: usize, shard: &mut [u8]| {
            shard.copy_from_slice(&shards[numbers[place]]);
            Ok(true)
        };
        coder.decode(numbers, shards[0].len(), read, &mut data).unwrap().then_some(data)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_k_shards_give_the_content_and_every_other_shard(
            code in codes(), content in prop::collection::vec(any::<u8>(), 1..3000), seed in any::<u64>(),
        ) {
            let mut coder = Coder::new(code);
            let all = shards(&mut coder, &content);
            prop_assert_eq!(all.len(), code.pieces());
            // Which are left is drawn: those whose number hashes lowest.
            let mut left: Vec<usize> = (0..code.pieces()).collect();
            left.sort_by_key(|number| *blake3::hash(&[seed.to_be_bytes(), number.to_be_bytes()].concat()).as_bytes());
            left.truncate(code.needed());
            let mut data = decode(&mut coder, &all, &left).unwrap();
            data.truncate(content.len());
            prop_assert_eq!(&data, &content);
            prop_assert_eq!(shards(&mut coder, &data), all);
        }

        #[test]
        fn sums_of_products_give_what_the_transform_gives(
            (k, n) in (1..=12_u8, 1..=12_u8).prop_map(|(k, more)| (k, k + more)),
            blocks in prop_oneof![1..5_usize, BLOCKS - 1..BLOCKS + 2], seed in any::<u64>(),
        ) {
            let (code, length) = (Code::new(k, n).unwrap(), blocks * BLOCK);
            let mut content = vec![0; usize::from(k) * length];
            blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof().fill(&mut content);
            let mut coder = Coder::new(code);
            let all = shards(&mut coder, &content);
            // One after the other, with other shards each time.
            for draw in 0..3_u64 {
                let mut left: Vec<usize> = (0..code.pieces()).collect();
                left.sort_by_key(|number| {
                    let drawn = [seed.to_be_bytes(), draw.to_be_bytes(), number.to_be_bytes()].concat();
                    *blake3::hash(&drawn).as_bytes()
                });
                left.truncate(code.needed());
                left.sort_unstable();
                let missing = left.iter().filter(|number| **number >= code.needed()).count();
                prop_assert_eq!(&decode(&mut coder, &all, &left).unwrap(), &content);
                if missing > 0 {
                    let added_up = coder.sums.as_ref().is_some_and(|sums| sums.here == left);
                    prop_assert_eq!(added_up, code.needed() * missing <= PRODUCTS);
                }
            }
        }
    }

    #[test]
    fn fewer_than_k_give_nothing() {
        let mut coder = Coder::new(Code::default());
        let all = shards(&mut coder, &[7; 1000]);
        for few in [&[0, 1, 2][..], &[0, 7, 9], &[]] {
            assert_eq!(decode(&mut coder, &all, few), None);
        }
        assert!(decode(&mut coder, &all, &[9, 0, 7, 3]).is_some());
    }
}

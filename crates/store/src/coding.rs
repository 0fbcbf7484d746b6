//! The erasure code: shards of a stripe from its content, and back.
//!
//! Reed-Solomon over 16-bit words in Leopard's form (`reed-solomon-simd`), systematic: the first k shards are the content
//! itself. The code corrects what is missing, not what is wrong. A wrong shard would spoil the whole stripe, so that shards
//! are checked against their piece's hash before they come here.

use crate::{Code, Error, layout::shard_of};
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};
use std::io;

/// What one thread codes with; the working space is kept between stripes.
pub(crate) struct Coder {
    code: Code,
    encoder: Option<ReedSolomonEncoder>,
    decoder: Option<ReedSolomonDecoder>,
    /// Shards that are no data, and the numbers of those that were read.
    extra: Vec<Vec<u8>>,
    here: Vec<usize>,
}

/// The library refuses what no [`Code`] and [`Layout`](crate::Layout) ask of it.
fn failed(error: reed_solomon_simd::Error) -> Error {
    io::Error::other(format!("Reed-Solomon: {error}")).into()
}

impl Coder {
    pub fn new(code: Code) -> Self {
        Self { code, encoder: None, decoder: None, extra: vec![Vec::new(); code.spare()], here: Vec::new() }
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
        if self.here.iter().all(|number| *number < k) {
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

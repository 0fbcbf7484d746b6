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
}

/// The library refuses what no [`Code`] and [`Layout`](crate::Layout) ask of it.
fn failed(error: reed_solomon_simd::Error) -> Error {
    io::Error::other(format!("Reed-Solomon: {error}")).into()
}

impl Coder {
    pub fn new(code: Code) -> Self {
        Self { code, encoder: None, decoder: None }
    }

    /// All n shards of a stripe.
    pub fn encode(&mut self, content: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let length = shard_of(content.len(), self.code);
        let mut shards = Vec::with_capacity(self.code.pieces());
        for index in 0..self.code.needed() {
            let part = &content[(index * length).min(content.len())..((index + 1) * length).min(content.len())];
            let mut shard = Vec::with_capacity(length);
            shard.extend_from_slice(part);
            shard.resize(length, 0);
            shards.push(shard);
        }
        self.extend(&mut shards, length)?;
        Ok(shards)
    }

    /// Appends the other n − k shards to the k data shards.
    fn extend(&mut self, shards: &mut Vec<Vec<u8>>, length: usize) -> Result<(), Error> {
        let (k, spare) = (self.code.needed(), self.code.spare());
        if spare == 0 {
            return Ok(());
        }
        let encoder = match &mut self.encoder {
            Some(encoder) => {
                encoder.reset(k, spare, length).map_err(failed)?;
                encoder
            }
            none => none.insert(ReedSolomonEncoder::new(k, spare, length).map_err(failed)?),
        };
        for shard in &*shards {
            encoder.add_original_shard(shard).map_err(failed)?;
        }
        let coded = encoder.encode().map_err(failed)?;
        shards.extend(coded.recovery_iter().map(<[u8]>::to_vec));
        Ok(())
    }

    /// The k data shards of a stripe, from any k shards with their numbers, each once.
    fn data(&mut self, shards: Vec<(usize, Vec<u8>)>) -> Result<Vec<Vec<u8>>, Error> {
        let (k, spare) = (self.code.needed(), self.code.spare());
        let mut data = vec![None; k];
        let length = shards.first().map_or(0, |(_, shard)| shard.len());
        if shards.iter().all(|(index, _)| *index < k) {
            for (index, shard) in shards {
                data[index] = Some(shard);
            }
        } else {
            let decoder = match &mut self.decoder {
                Some(decoder) => {
                    decoder.reset(k, spare, length).map_err(failed)?;
                    decoder
                }
                none => none.insert(ReedSolomonDecoder::new(k, spare, length).map_err(failed)?),
            };
            for (index, shard) in shards {
                if index < k {
                    decoder.add_original_shard(index, &shard).map_err(failed)?;
                    data[index] = Some(shard);
                } else {
                    decoder.add_recovery_shard(index - k, &shard).map_err(failed)?;
                }
            }
            let decoded = decoder.decode().map_err(failed)?;
            for (index, shard) in decoded.restored_original_iter() {
                data[index] = Some(shard.to_vec());
            }
        }
        data.into_iter().collect::<Option<_>>().ok_or_else(|| {
            failed(reed_solomon_simd::Error::NotEnoughShards {
                original_count: k,
                original_received_count: 0,
                recovery_received_count: 0,
            })
        })
    }

    /// A stripe's content of `length` bytes, from any k shards with their numbers.
    pub fn decode(&mut self, shards: Vec<(usize, Vec<u8>)>, length: usize) -> Result<Vec<u8>, Error> {
        let mut content = self.data(shards)?.concat();
        content.truncate(length);
        Ok(content)
    }

    /// Those shards of a stripe that `wanted` names, from any k.
    pub fn rebuild(&mut self, shards: Vec<(usize, Vec<u8>)>, wanted: &[usize]) -> Result<Vec<Vec<u8>>, Error> {
        let mut all = self.data(shards)?;
        let length = all.first().map_or(0, Vec::len);
        if wanted.iter().any(|index| *index >= self.code.needed()) {
            self.extend(&mut all, length)?;
        }
        Ok(wanted.iter().map(|index| all[*index].clone()).collect())
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_k_shards_give_the_content_and_every_other_shard(
            code in codes(), content in prop::collection::vec(any::<u8>(), 1..3000), seed in any::<u64>(),
        ) {
            let mut coder = Coder::new(code);
            let shards = coder.encode(&content).unwrap();
            prop_assert_eq!(shards.len(), code.pieces());
            // Which are left is drawn: those whose number hashes lowest.
            let mut left: Vec<usize> = (0..code.pieces()).collect();
            left.sort_by_key(|index| blake3::hash(&[seed.to_be_bytes(), index.to_be_bytes()].concat()).to_hex().to_string());
            let (left, lost) = left.split_at(code.needed());
            let have = || left.iter().map(|index| (*index, shards[*index].clone())).collect::<Vec<_>>();
            prop_assert_eq!(coder.decode(have(), content.len()).unwrap(), content);
            let rebuilt = coder.rebuild(have(), lost).unwrap();
            prop_assert_eq!(rebuilt, lost.iter().map(|index| shards[*index].clone()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn fewer_than_k_give_nothing() {
        let mut coder = Coder::new(Code::default());
        let shards = coder.encode(&[7; 1000]).unwrap();
        let some = |numbers: &[usize]| numbers.iter().map(|index| (*index, shards[*index].clone())).collect::<Vec<_>>();
        assert!(coder.decode(some(&[0, 1, 2]), 1000).is_err());
        assert!(coder.decode(some(&[0, 7, 9]), 1000).is_err());
        assert!(coder.decode(Vec::new(), 1000).is_err());
    }
}

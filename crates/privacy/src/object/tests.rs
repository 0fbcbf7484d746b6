use super::*;
use crate::testing::{ASSET, Counter, rng};
use aead_stream::{NewStream as _, StreamBE32, StreamPrimitive as _};
use alloy_primitives::{B256, hex};
use chacha20poly1305_011::XChaCha20Poly1305;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use std::io::{self, BufRead as _, Cursor, ErrorKind, Read, Write as _};

const KEY: [u8; 32] = [7; 32];

fn key() -> DataKey {
    DataKey::from_bytes(KEY)
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 256) as u8).collect()
}

fn sealed(length: usize) -> Vec<u8> {
    seal(&key(), ASSET, &content(length), &mut rng(1)).unwrap()
}

/// Reads all of it from a source that gives odd numbers of bytes, and writes it in odd numbers of bytes as well.
fn read(sealed: &[u8]) -> io::Result<Vec<u8>> {
    let (mut read, mut written) = (Vec::new(), Vec::new());
    let reading = OpenReader::new(&key(), ASSET, Trickle(sealed, 1)).and_then(|mut from| from.read_to_end(&mut read));
    let mut to = OpenWriter::new(key(), ASSET, &mut written);
    let writing = io::copy(&mut Trickle(sealed, 1), &mut to).and_then(|_| to.flush());
    assert!(reading.is_ok() == writing.is_ok() && (reading.is_err() || read == written), "both ways see the same");
    reading.map(|_| read)
}

struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.1 = self.1 * 7 % 50_021;
        let most = out.len().min(self.1);
        self.0.read(&mut out[..most])
    }
}

/// That neither way of reading gives the content of a damaged object.
fn is_refused(damaged: &[u8], what: &str) {
    assert!(open(&key(), ASSET, damaged).is_err(), "{what}");
    assert_eq!(read(damaged).expect_err(what).kind(), ErrorKind::InvalidData, "{what}");
}

#[test]
fn every_length_around_a_chunks_end_comes_back() {
    let chunk = CHUNK_LEN;
    for length in [0, 1, 15, 16, 17, chunk - 1, chunk, chunk + 1, chunk + 16, 2 * chunk - 1, 2 * chunk, 3 * chunk + 5] {
        let sealed = sealed(length);
        let layout = Layout::of_plain(length as u64).unwrap();
        assert_eq!(sealed.len() as u64, layout.sealed_len(), "{length}");
        assert_eq!(Layout::of_sealed(sealed.len() as u64).unwrap(), layout, "{length}");
        assert!(open(&key(), ASSET, &sealed).unwrap() == content(length), "{length}");
        assert!(read(&sealed).unwrap() == content(length), "{length}");
        let mut streamed = Vec::new();
        let plain = content(length);
        SealReader::new(&key(), ASSET, Trickle(&plain, 3), &mut rng(1)).read_to_end(&mut streamed).unwrap();
        assert!(streamed == sealed, "{length}: one object, however it is sealed");
    }
}

#[test]
fn the_format_is_frozen() {
    let sealed = seal(&key(), ASSET, b"what is written here stays", &mut Counter(1)).unwrap();
    assert_eq!(
        hex::encode(&sealed),
        "53544f4101100102030405060708090a0b0c0d0e0f10111213e98ae81aabbe058d23110c87910a2c50576d974ccd542dd86522760fe7e05e9272485167cdf579c44a0b6447482868544b94cb9877db5ea0e9cbede3cb5de32507ae2f4313d2e64d7bdb"
    );
    let large = seal(&key(), ASSET, &content(2 * CHUNK_LEN + 100), &mut Counter(1)).unwrap();
    assert_eq!(hex::encode(Sha256::digest(&large)), "8f3395acd5bde869d15e253c173bfebb1191110d05649f93b315f1e8b47d5624");
}

#[test]
fn it_is_stream_over_xchacha20_poly1305_as_others_have_it() {
    let plain = content(2 * CHUNK_LEN + 77);
    let object = seal(&key(), ASSET, &plain, &mut rng(5)).unwrap();
    let mut keys = [0; 64];
    let fields = &object[..HEADER_LEN - 32];
    hkdf::Hkdf::<Sha256>::new(Some(b"stoa/privacy/object/v1"), &KEY)
        .expand_multi_info(&[fields, ASSET.0.as_slice()], &mut keys)
        .unwrap();
    assert_eq!(keys[32..], object[HEADER_LEN - 32..HEADER_LEN]);
    let stream_key: [u8; 32] = keys[..32].try_into().unwrap();
    let prefix: [u8; 19] = fields[6..].try_into().unwrap();
    let stream = StreamBE32::<XChaCha20Poly1305>::new(&stream_key.into(), &prefix.into());
    let layout = Layout::of_plain(plain.len() as u64).unwrap();
    for index in layout.indices() {
        let (from, to) = (layout.plain_range(index), layout.sealed_range(index));
        let mut chunk = plain[from.start as usize..from.end as usize].to_vec();
        stream.encrypt_in_place(index, index == layout.last(), &[], &mut chunk).unwrap();
        assert!(chunk == object[to.start as usize..to.end as usize], "chunk {index}");
    }
}

#[test]
fn a_chunk_opens_alone_and_in_its_place_only() {
    let plain = content(3 * CHUNK_LEN + 9);
    let object = seal(&key(), ASSET, &plain, &mut rng(1)).unwrap();
    let layout = Layout::of_sealed(object.len() as u64).unwrap();
    let opener = Opener::new(&key(), ASSET, &Header::from_bytes(&object).unwrap()).unwrap();
    let chunk = |index| {
        let range = layout.sealed_range(index);
        object[range.start as usize..range.end as usize].to_vec()
    };
    assert_eq!(layout.covering(&(CHUNK_LEN as u64 - 1..CHUNK_LEN as u64 + 1)), 0..2);
    assert_eq!(layout.covering(&(3 * CHUNK_LEN as u64..u64::MAX)), 3..4);
    assert_eq!(layout.covering(&(layout.plain_len()..u64::MAX)), 0..0);
    for index in [2, 0, 3, 1] {
        let range = layout.plain_range(index);
        let mut chunk = chunk(index);
        let opened = opener.open_chunk(&layout, index, &mut chunk).unwrap();
        assert!(opened == &plain[range.start as usize..range.end as usize]);
    }
    assert_eq!(opener.open_chunk(&layout, 1, &mut chunk(0)), Err(ObjectError::Chunk { index: 1 }));
    // Without what follows it, chunk 2 would be the last.
    let short = Layout::of_sealed(layout.sealed_range(2).end).unwrap();
    assert_eq!(opener.open_chunk(&short, 2, &mut chunk(2)), Err(ObjectError::Chunk { index: 2 }));
    assert_eq!(opener.open_chunk(&layout, 4, &mut []), Err(ObjectError::NoChunk { index: 4, chunks: 4 }));
    let expected = (CHUNK_LEN + TAG_LEN) as u64;
    assert_eq!(opener.open_chunk(&layout, 0, &mut [0; 5]), Err(ObjectError::Buffer { expected, got: 5 }));
}

#[test]
fn pieces_are_sealed_in_any_order() {
    let plain = content(5 * CHUNK_LEN + 1);
    let mut out = vec![0; Layout::of_plain(plain.len() as u64).unwrap().sealed_len() as usize];
    let mut pieces = Sealer::new(&key(), ASSET, &mut rng(1)).pieces(plain.len() as u64, &mut out).unwrap();
    pieces.reverse();
    std::thread::scope(|scope| {
        for mut piece in pieces {
            let plain = &plain;
            scope.spawn(move || {
                let range = piece.plain_range();
                piece.plain_mut().copy_from_slice(&plain[range.start as usize..range.end as usize]);
                piece.seal();
            });
        }
    });
    assert!(out == sealed(plain.len()));
}

#[test]
fn whatever_is_cut_off_moved_repeated_or_added_is_refused() {
    let object = sealed(3 * CHUNK_LEN);
    let step = CHUNK_LEN + TAG_LEN;
    let part = |from: usize, to: usize| &object[HEADER_LEN + from * step..HEADER_LEN + to * step];
    let header = &object[..HEADER_LEN];
    for length in [0, 1, HEADER_LEN - 1, HEADER_LEN, HEADER_LEN + 15, HEADER_LEN + 16, HEADER_LEN + step - 1] {
        is_refused(&object[..length], &format!("cut to {length}"));
    }
    is_refused(&[header, part(0, 1)].concat(), "one chunk left");
    is_refused(&[header, part(0, 2)].concat(), "two chunks left");
    is_refused(&object[..object.len() - 1], "a byte less");
    is_refused(&[&object[..], &[0]].concat(), "a byte more");
    is_refused(&[&object[..], &[0; TAG_LEN]].concat(), "an empty chunk more");
    is_refused(&[header, part(1, 2), part(0, 1), part(2, 3)].concat(), "two chunks swapped");
    is_refused(&[header, part(0, 1), part(0, 1), part(2, 3)].concat(), "one chunk twice");
    is_refused(&[header, part(0, 2), part(2, 3), part(2, 3)].concat(), "the last twice");
    is_refused(&[header, part(1, 3)].concat(), "the first left out");
    is_refused(&[header, part(0, 1), part(2, 3)].concat(), "one in the middle left out");
}

#[test]
fn chunks_of_another_object_are_refused() {
    let mine = sealed(2 * CHUNK_LEN);
    let step = CHUNK_LEN + TAG_LEN;
    // The same key and content, under another nonce prefix, and under another id.
    let again = seal(&key(), ASSET, &content(2 * CHUNK_LEN), &mut rng(2)).unwrap();
    let other = seal(&key(), AssetId(B256::ZERO), &content(2 * CHUNK_LEN), &mut rng(1)).unwrap();
    for theirs in [again, other] {
        is_refused(&[&mine[..HEADER_LEN + step], &theirs[HEADER_LEN + step..]].concat(), "the second chunk");
        is_refused(&[&mine[..HEADER_LEN], &theirs[HEADER_LEN..]].concat(), "all chunks");
        is_refused(&[&theirs[..HEADER_LEN], &mine[HEADER_LEN..]].concat(), "the header");
    }
}

#[test]
fn a_wrong_key_or_id_is_told_before_any_chunk() {
    let object = sealed(10);
    let header = Header::from_bytes(&object).unwrap();
    assert_eq!(Opener::new(&DataKey::from_bytes([8; 32]), ASSET, &header).err(), Some(ObjectError::Key));
    assert_eq!(Opener::new(&key(), AssetId(B256::ZERO), &header).err(), Some(ObjectError::Key));
    let mut damaged = object;
    for at in 0..HEADER_LEN {
        damaged[at] ^= 1;
        let error = open(&key(), ASSET, &damaged).unwrap_err();
        assert!(matches!(error, ObjectError::Key | ObjectError::Header(_)), "byte {at}: {error}");
        damaged[at] ^= 1;
    }
}

#[test]
fn no_two_lengths_are_sealed_alike() {
    let step = (CHUNK_LEN + TAG_LEN) as u64;
    let header = HEADER_LEN as u64;
    for length in (0..header + 16).chain(header + step + 1..=header + step + 16) {
        assert_eq!(Layout::of_sealed(length), Err(ObjectError::Length { sealed: length }));
    }
    assert_eq!(Layout::of_sealed(header + step + 17).unwrap().plain_len(), CHUNK_LEN as u64 + 1);
    let most = Layout::of_plain(MAX_PLAIN_LEN).unwrap();
    assert_eq!((most.chunks(), most.last()), (1 << 32, u32::MAX));
    assert_eq!(Layout::of_sealed(most.sealed_len()), Ok(most));
    assert_eq!(most.sealed_range(u32::MAX).end, most.sealed_len());
    assert_eq!(Layout::of_plain(MAX_PLAIN_LEN + 1), Err(ObjectError::TooLong { plain: MAX_PLAIN_LEN + 1 }));
    for length in [most.sealed_len() + 1, most.sealed_len() + 17, u64::MAX] {
        assert_eq!(Layout::of_sealed(length), Err(ObjectError::Length { sealed: length }));
    }
}

#[test]
fn a_source_that_fails_is_not_read_on() {
    struct Fails(usize);
    impl Read for Fails {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            if self.0 == 2 { Err(io::Error::other("the disk is gone")) } else { Ok(out.len().min(9)) }
        }
    }
    let mut reader = SealReader::new(&key(), ASSET, Fails(0), &mut rng(1));
    let header = reader.fill_buf().unwrap().len();
    reader.consume(header);
    assert_eq!(reader.fill_buf().unwrap_err().to_string(), "the disk is gone");
    assert!(reader.fill_buf().unwrap_err().to_string().contains("begin again"));
}

#[test]
fn nothing_is_given_out_of_a_chunk_that_does_not_open() {
    let mut object = sealed(2 * CHUNK_LEN);
    *object.last_mut().unwrap() ^= 1;
    let mut reader = OpenReader::new(&key(), ASSET, Cursor::new(&object)).unwrap();
    let mut plain = Vec::new();
    let error = reader.read_to_end(&mut plain).unwrap_err();
    assert!(plain == content(CHUNK_LEN), "the first chunk is whole");
    assert!(error.to_string().contains("chunk 1"), "{error}");
    assert!(reader.fill_buf().is_err(), "and there is no end after it");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_content_comes_back(plain in prop::collection::vec(any::<u8>(), 0..200_000), seed: u64) {
        let object = seal(&key(), ASSET, &plain, &mut rng(seed)).unwrap();
        prop_assert!(open(&key(), ASSET, &object).unwrap() == plain);
        prop_assert!(read(&object).unwrap() == plain);
    }

    #[test]
    fn any_changed_bit_is_refused(length in 0..2 * CHUNK_LEN, at: prop::sample::Index, bit in 0..8) {
        let mut object = sealed(length);
        let at = at.index(object.len());
        object[at] ^= 1u8 << bit;
        is_refused(&object, &format!("byte {at}"));
    }

    #[test]
    fn any_cut_is_refused(length in 0..2 * CHUNK_LEN, at: prop::sample::Index) {
        let object = sealed(length);
        is_refused(&object[..at.index(object.len())], "a cut");
    }

    #[test]
    fn any_bytes_are_taken_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), magic: bool) {
        let bytes = if magic { [b"STOA\x01\x10", &bytes[..]].concat() } else { bytes };
        prop_assert!(open(&key(), ASSET, &bytes).is_err());
        prop_assert!(read(&bytes).is_err());
        if let Ok(header) = Header::from_bytes(&bytes) {
            prop_assert_eq!(&header.to_bytes()[..], &bytes[..HEADER_LEN]);
        }
    }
}

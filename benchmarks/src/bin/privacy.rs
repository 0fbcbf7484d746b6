//! Sealing and opening objects against the bare cipher, and giving out keys against the bare primitives, each pair in turn
//! on the same bytes.
//!
//! The primitives alone are what a protocol for the same must do at least: for a release one HPKE seal and one signature;
//! for a reader an HPKE open for each box, and for each keeper's a signature's check and a multiplication of the base point.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use commonware_cryptography::{Signer as _, Verifier as _, ed25519};
use curve25519_dalek::{RistrettoPoint, Scalar};
use eyre::{Result, WrapErr as _};
use hpke::{
    Kem as _, OpModeR, OpModeS,
    aead::{AeadTag, ChaCha20Poly1305},
    inout::InOutBuf,
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
    single_shot_open_inout_detached, single_shot_seal_inout_detached_with_rng,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rayon::prelude::*;
use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use stoa_benchmarks::{median, rate, row};
use stoa_privacy::{
    AssetId, DataKey, GrantId, GrantedHalf, OwnerHalf, ReaderKey, ReadingSecret, Release, Seen, Wanted, deal,
    object::{CHUNK_LEN, HEADER_LEN, Header, Layout, Opener, Piece, Sealer, TAG_LEN},
};

/// Bytes that are sealed, and how often.
const OBJECT_LEN: usize = 64 << 20;
const ROUNDS: usize = 15;

/// Keys given out, and objects' keys put together.
const RELEASES: usize = 2_000;

/// Keepers, and how many of them it takes.
const KEEPERS: usize = 9;
const REQUIRED: usize = 5;

const OBJECT: AssetId = AssetId(alloy_primitives::B256::repeat_byte(1));

fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let out = run();
    (out, start.elapsed())
}

/// Megabytes a second.
fn speed(time: Duration) -> f64 {
    OBJECT_LEN as f64 / 1e6 / time.as_secs_f64()
}

fn nonce(index: usize) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&index.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// One chunk by the cipher and nothing else.
fn bare_seal(cipher: &LessSafeKey, (index, chunk): (usize, &mut [u8])) {
    let (plain, place) = chunk.split_at_mut(chunk.len() - TAG_LEN);
    let tag = cipher.seal_in_place_separate_tag(nonce(index), Aad::empty(), plain);
    place.copy_from_slice(tag.expect("a chunk is short").as_ref());
}

fn bare_open(cipher: &LessSafeKey, (index, chunk): (usize, &mut [u8])) {
    let (sealed, tag) = chunk.split_at_mut(chunk.len() - TAG_LEN);
    cipher.open_in_place_separate_tag(nonce(index), Aad::empty(), tag, sealed).expect("it was sealed so");
}

fn objects() -> Result<()> {
    let mut rng = StdRng::seed_from_u64(1);
    let key = DataKey::generate(&mut rng);
    let layout = Layout::of_plain(OBJECT_LEN as u64)?;
    let mut buffer = vec![7; layout.sealed_len() as usize];
    let cipher = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &[1; 32]).wrap_err("32 bytes are a key")?);
    let step = CHUNK_LEN + TAG_LEN;
    let mut figures: [[Vec<f64>; 2]; 4] = Default::default();
    // The content is whatever stands in the buffer: the cipher takes as long for any.
    for _ in 0..ROUNDS {
        for cores in [false, true] {
            let at = usize::from(cores) * 2;
            let (pieces, setup) = timed(|| Sealer::new(&key, OBJECT, &mut rng).pieces(OBJECT_LEN as u64, &mut buffer));
            let pieces = pieces?;
            let ((), time) = timed(|| match cores {
                true => pieces.into_par_iter().for_each(Piece::seal),
                false => pieces.into_iter().for_each(Piece::seal),
            });
            figures[at][0].push(speed(setup + time));
            let (opened, time) = timed(|| {
                let (header, body) = buffer.split_at_mut(HEADER_LEN);
                let opener = Opener::new(&key, OBJECT, &Header::from_bytes(header)?)?;
                let open = |(index, chunk): (usize, &mut [u8])| {
                    opener.open_chunk(&layout, index as u32, chunk).map(|plain| _ = black_box(plain))
                };
                match cores {
                    true => body.par_chunks_mut(step).enumerate().try_for_each(open),
                    false => body.chunks_mut(step).enumerate().try_for_each(open),
                }
            });
            opened?;
            figures[at + 1][0].push(speed(time));
            let body = &mut buffer[HEADER_LEN..];
            let ((), time) = timed(|| match cores {
                true => body.par_chunks_mut(step).enumerate().for_each(|chunk| bare_seal(&cipher, chunk)),
                false => body.chunks_mut(step).enumerate().for_each(|chunk| bare_seal(&cipher, chunk)),
            });
            figures[at][1].push(speed(time));
            let ((), time) = timed(|| match cores {
                true => body.par_chunks_mut(step).enumerate().for_each(|chunk| bare_open(&cipher, chunk)),
                false => body.chunks_mut(step).enumerate().for_each(|chunk| bare_open(&cipher, chunk)),
            });
            figures[at + 1][1].push(speed(time));
        }
    }
    let names = ["seal, one core", "open, one core", "seal, all cores", "open, all cores"];
    for (name, [ours, bare]) in names.into_iter().zip(&mut figures) {
        row(name, median(ours), median(bare), "MB/s", "0.8");
    }
    Ok(())
}

type Suite = X25519HkdfSha256;
type Sealed = (<Suite as hpke::Kem>::EncappedKey, [u8; 32], AeadTag<ChaCha20Poly1305>);

/// A box as HPKE makes it and nothing else.
struct Bare {
    secret: <Suite as hpke::Kem>::PrivateKey,
    public: <Suite as hpke::Kem>::PublicKey,
}

impl Bare {
    fn seal(&self, rng: &mut StdRng) -> Sealed {
        let mut secret = [7; 32];
        let (enc, tag) = single_shot_seal_inout_detached_with_rng::<ChaCha20Poly1305, HkdfSha256, Suite>(
            &OpModeS::Base,
            &self.public,
            b"",
            InOutBuf::from(&mut secret[..]),
            b"",
            rng,
        )
        .expect("the key is one");
        (enc, secret, tag)
    }

    fn open(&self, (enc, sealed, tag): &Sealed) {
        let mut secret = *sealed;
        single_shot_open_inout_detached::<ChaCha20Poly1305, HkdfSha256, Suite>(
            &OpModeR::Base,
            &self.secret,
            enc,
            b"",
            InOutBuf::from(&mut secret[..]),
            b"",
            tag,
        )
        .expect("it was sealed so");
    }
}

fn keys() -> Result<()> {
    let mut rng = StdRng::seed_from_u64(1);
    let keepers: Vec<_> = (0..KEEPERS as u64).map(ed25519::PrivateKey::from_seed).collect();
    let public: Vec<_> = keepers.iter().map(|keeper| keeper.public_key()).collect();
    let dealt = deal(OBJECT, REQUIRED, public.clone(), &mut rng)?;
    let node = ed25519::PrivateKey::from_seed(100);
    let (reader, secret) = (ReaderKey::of_node(&node.public_key())?, ReadingSecret::of_node(&node));
    let owner = OwnerHalf::generate(&mut rng);
    let granted = GrantedHalf::seal(OBJECT, GrantId(Default::default()), &reader, &owner, &mut rng)?;
    let (grant, seen) = (granted.grant, Seen { number: 100, hash: Default::default() });
    let wanted = Wanted { grant: &grant, sharing: &dealt.sharing, not_before: 90 };
    let release = |keeper: usize, rng: &mut StdRng| {
        let share = &dealt.shares[keeper];
        Release::new(&keepers[keeper], &dealt.sharing, share, &grant, &reader, seen, rng)
    };
    let (secret_key, public_key) = Suite::gen_keypair_with_rng(&mut rng);
    let bare = Bare { secret: secret_key, public: public_key };
    let (message, mut scalar) = ([0; 233], [0; 64]);
    rng.fill_bytes(&mut scalar);
    let scalar = Scalar::from_bytes_mod_order_wide(&scalar);

    let (mut ours, mut least) = (Vec::new(), Vec::new());
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    for round in 0..RELEASES {
        let (made, time) = timed(|| release(round % KEEPERS, &mut rng));
        black_box(made?);
        ours.push(time.as_secs_f64());
        let (_, time) = timed(|| black_box((bare.seal(&mut rng), keepers[0].sign(b"bench", &message))));
        least.push(time.as_secs_f64());

        let five: Vec<_> =
            (0..REQUIRED).map(|at| release((round + at) % KEEPERS, &mut rng)).collect::<Result<_, _>>()?;
        let (key, time) = timed(|| {
            let shares = five.iter().map(|release| release.open(&wanted, &secret)).collect::<Result<Vec<_>, _>>()?;
            let owner = granted.open(&grant, &secret)?;
            Ok::<_, eyre::Report>(DataKey::from_halves(&owner, &dealt.sharing.combine(&shares)?, OBJECT))
        });
        black_box(key?);
        whole.push(time.as_secs_f64());
        let boxes: Vec<_> = (0..=REQUIRED).map(|_| bare.seal(&mut rng)).collect();
        let signature = keepers[0].sign(b"bench", &message);
        let ((), time) = timed(|| {
            boxes.iter().for_each(|sealed| bare.open(sealed));
            for _ in 0..REQUIRED {
                assert!(public[0].verify(b"bench", &message, &signature));
                black_box(RistrettoPoint::mul_base(&scalar));
            }
        });
        parts.push(time.as_secs_f64());
    }
    let each = |figures: &mut [f64]| rate(1, Duration::from_secs_f64(median(figures)));
    row("a keeper releases a share, one core", each(&mut ours), each(&mut least), "/s", "0.8");
    let what = format!("a reader puts {REQUIRED} of {KEEPERS} shares and the owner's half together, one core");
    row(&what, each(&mut whole), each(&mut parts), "/s", "0.8");
    let at = |figures: &[f64], part: f64| figures[(figures.len() as f64 * part) as usize] * 1e6;
    println!("\n| {REQUIRED} of {KEEPERS}, in microseconds | p50 | p99 | p50 of the primitives | p99 |");
    println!("|---|---|---|---|---|");
    for (name, ours, least) in [("a keeper's release", &ours, &least), ("a reader's opening", &whole, &parts)] {
        let [p50, p99] = [0.5, 0.99].map(|part| at(ours, part));
        let [least50, least99] = [0.5, 0.99].map(|part| at(least, part));
        println!("| {name} | {p50:.0} | {p99:.0} | {least50:.0} | {least99:.0} |");
    }
    Ok(())
}

fn main() -> Result<()> {
    println!("Objects of {} MiB in memory, and keys of {REQUIRED} of {KEEPERS} keepers.\n", OBJECT_LEN >> 20);
    println!("| what | ours | primitives alone | ratio | to reach |");
    println!("|---|---|---|---|---|");
    objects()?;
    keys()
}

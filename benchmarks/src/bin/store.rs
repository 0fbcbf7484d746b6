//! The store: a large file and many small ones against the file system, and the coding pipeline against its slowest stage.
//!
//! `store [MiB] [COUNT]`: the size of the large file and how many small ones, 1024 and 100,000 if left out.

use eyre::{Result, ensure};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use rayon::prelude::*;
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    time::Instant,
};
use stoa_benchmarks::row;
use stoa_store::{Code, Kind, Limits, ObjectId, Owner, Plain, Put, Root, Store};

/// How often each is measured, one after the other. The best counts: whatever else happens on the machine only slows down.
const ROUNDS: usize = 5;

/// Bytes of a small object.
const SMALL: usize = 4096;

/// Bytes of a shard in the stages that are measured alone: those of the store's stripes of this code.
const SHARD: usize = 256 << 10;

/// Four of ten.
const K: usize = 4;
const N: usize = 10;

fn main() -> Result<()> {
    let mut options = std::env::args().skip(1).map(|option| option.parse::<usize>());
    let mib = options.next().transpose()?.unwrap_or(1024);
    let count = options.next().transpose()?.unwrap_or(100_000);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    let mut random = SmallRng::seed_from_u64(1);
    let mut writer = File::create(&file)?;
    let mut part = vec![0; 1 << 20];
    for _ in 0..mib {
        random.fill(&mut part[..]);
        writer.write_all(&part)?;
    }
    writer.sync_all()?;
    println!("A file of {mib} MiB, {count} of {SMALL} bytes; {} cores.\n", rayon::current_num_threads());
    println!("| work | ours | the bound | ratio | to reach |\n|---|---|---|---|---|");
    large(folder.path(), &file, mib as f64)?;
    small(folder.path(), count)?;
    coding(folder.path(), &file, mib as f64)
}

fn open(folder: &Path) -> Result<Store> {
    Ok(Store::open(folder.join("store"), Limits::default())?)
}

/// The highest rate.
fn best(rates: &[f64]) -> f64 {
    rates.iter().copied().fold(0.0, f64::max)
}

/// MiB or pieces a second.
fn measure(amount: f64, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(amount / start.elapsed().as_secs_f64())
}

/// Leaves nothing unwritten that would slow the next work down, and as much free memory as it will fill that this machine
/// has touched before: a virtual machine gets memory from its host when it touches it first, which takes longer than the work.
fn settle(folder: &Path, mib: f64) -> Result<()> {
    rustix::fs::syncfs(File::open(folder)?)?;
    let (part, path) = (vec![1; 1 << 20], folder.join("touched"));
    let mut file = File::create(&path)?;
    for _ in 0..mib as usize {
        file.write_all(&part)?;
    }
    Ok(fs::remove_file(&path)?)
}

/// `b3sum` of a file: on all cores, from memory that the file is mapped into.
fn sum(file: &Path) -> Result<blake3::Hash> {
    Ok(blake3::Hasher::new().update_mmap_rayon(file)?.finalize())
}

fn large(folder: &Path, file: &Path, mib: f64) -> Result<()> {
    let (copy, out) = (folder.join("copy"), folder.join("out"));
    let [mut put, mut synced, mut copied, mut get] = [(); 4].map(|()| Vec::new());
    let mut peak = 0;
    for _ in 0..ROUNDS {
        settle(folder, mib)?;
        synced.push(measure(mib, || {
            fs::copy(file, &copy)?;
            File::open(&copy)?.sync_all()?;
            sum(&copy).map(drop)
        })?);
        fs::remove_file(&copy)?;
        settle(folder, mib)?;
        copied.push(measure(mib, || {
            fs::copy(file, &copy)?;
            sum(&copy).map(drop)
        })?);
        fs::remove_file(&copy)?;
        settle(folder, mib)?;
        let store = open(folder)?;
        forget_peak();
        let mut id = None;
        put.push(measure(mib, || {
            id = Some(store.put(File::open(file)?, Put::default())?);
            Ok(())
        })?);
        settle(folder, mib)?;
        let id = id.expect("it was put");
        get.push(measure(mib, || Ok(store.get_to(id, &out, &Plain).map(drop)?))?);
        peak = peak.max(peak_memory());
        ensure!(sum(&out)? == sum(file)?, "it came back otherwise");
        fs::remove_file(&out)?;
        drop(store);
        fs::remove_dir_all(folder.join("store"))?;
    }
    let (copied, synced) = (best(&copied), best(&synced));
    row("put, durable; `cp`, sync and `b3sum`", best(&put), synced, "MiB/s", "0.7");
    row("put, durable; `cp` and `b3sum`, not durable", best(&put), copied, "MiB/s", "-");
    row("get, every byte checked; `cp` and `b3sum`", best(&get), copied, "MiB/s", "0.7");
    println!("| most memory meanwhile | {peak} MiB | 256 MiB | | below |");
    Ok(())
}

fn small(folder: &Path, count: usize) -> Result<()> {
    let content = |number: usize| {
        let mut bytes = [0; SMALL];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        bytes
    };
    let (amount, files) = (count as f64, folder.join("files"));
    let [mut put, mut get, mut written, mut read] = [(); 4].map(|()| Vec::new());
    for _ in 0..ROUNDS {
        settle(folder, amount / 128.0)?;
        fs::create_dir(&files)?;
        written.push(measure(amount, || {
            for number in 0..count {
                fs::write(files.join(number.to_string()), content(number))?;
            }
            Ok(rustix::fs::syncfs(File::open(&files)?)?)
        })?);
        read.push(measure(amount, || {
            for number in 0..count {
                ensure!(fs::read(files.join(number.to_string()))? == content(number), "it came back otherwise");
            }
            Ok(())
        })?);
        fs::remove_dir_all(&files)?;
        settle(folder, amount / 128.0)?;
        let store = open(folder)?;
        let mut ids = Vec::with_capacity(count);
        put.push(measure(amount, || {
            let mut batch = store.batch(Put::default());
            for number in 0..count {
                ids.push(batch.put(&content(number)[..], Kind::File)?);
            }
            Ok(batch.commit()?)
        })?);
        get.push(measure(amount, || {
            let mut bytes = Vec::with_capacity(SMALL);
            for (number, id) in ids.iter().enumerate() {
                bytes.clear();
                store.get(*id, &mut bytes)?;
                ensure!(bytes == content(number), "it came back otherwise");
            }
            Ok(())
        })?);
        drop(store);
        fs::remove_dir_all(folder.join("store"))?;
    }
    row("put small objects in a batch; files, then one sync", best(&put), best(&written), "a second", "0.3");
    row("get small objects, checked; files", best(&get), best(&read), "a second", "0.3");
    Ok(())
}

/// Every stage alone on all cores, in MiB of content a second, and the whole.
fn coding(folder: &Path, file: &Path, mib: f64) -> Result<()> {
    let content = fs::read(file)?;
    let stripes = content.len() / (K * SHARD);
    let stripe = |number: usize| content[number * K * SHARD..][..K * SHARD].chunks(SHARD);
    let put = Put { code: Code::new(K as u8, N as u8), ..Put::default() };
    let [mut encode, mut decode, mut rebuild] = [(); 3].map(|()| Vec::new());
    let [mut code, mut hash, mut write, mut restore, mut check, mut sink] = [(); 6].map(|()| Vec::new());
    let (mut peak, mut piece) = (0, 0);
    for _ in 0..ROUNDS {
        code.push(measure(mib, || {
            let new = || ReedSolomonEncoder::new(K, N - K, SHARD).expect("there is such a code");
            Ok((0..stripes).into_par_iter().try_for_each_init(new, |encoder, number| {
                stripe(number).try_for_each(|shard| encoder.add_original_shard(shard))?;
                encoder.encode().map(drop)
            })?)
        })?);
        // The content once, and its pieces.
        hash.push(measure(mib, || {
            let all = (0..stripes * (K + N)).into_par_iter();
            all.for_each(|number| {
                blake3::hash(&content[number % (stripes * K) * SHARD..][..SHARD]);
            });
            Ok(())
        })?);
        settle(folder, 2.5 * mib)?;
        write.push(measure(mib, || {
            let pieces = (0..N).map(|piece| File::create(folder.join(format!("piece{piece}"))));
            let mut pieces = pieces.collect::<io::Result<Vec<_>>>()?;
            for number in 0..stripes {
                for (index, piece) in pieces.iter_mut().enumerate() {
                    piece.write_all(&content[(number * K + index % K) * SHARD..][..SHARD])?;
                }
            }
            Ok(pieces.iter().try_for_each(File::sync_data)?)
        })?);
        for piece in 0..N {
            fs::remove_file(folder.join(format!("piece{piece}")))?;
        }
        restore.push(measure(mib, || {
            let mut encoder = ReedSolomonEncoder::new(K, N - K, SHARD)?;
            stripe(0).try_for_each(|shard| encoder.add_original_shard(shard))?;
            let coded = encoder.encode()?;
            let shards: Vec<_> = coded.recovery_iter().take(K).collect();
            let new = || ReedSolomonDecoder::new(K, N - K, SHARD).expect("there is such a code");
            Ok((0..stripes).into_par_iter().try_for_each_init(new, |decoder, _| {
                shards.iter().enumerate().try_for_each(|(index, shard)| decoder.add_recovery_shard(index, shard))?;
                decoder.decode().map(drop)
            })?)
        })?);
        // The pieces, and the content.
        check.push(measure(mib, || {
            let all = (0..stripes * 2 * K).into_par_iter();
            all.for_each(|number| {
                blake3::hash(&content[number % (stripes * K) * SHARD..][..SHARD]);
            });
            Ok(())
        })?);
        settle(folder, mib)?;
        sink.push(measure(mib, || Ok(fs::write(folder.join("out"), &content)?))?);
        fs::remove_file(folder.join("out"))?;

        settle(folder, 2.5 * mib)?;
        let store = open(folder)?;
        forget_peak();
        let mut id = None;
        encode.push(measure(mib, || {
            id = Some(store.put(File::open(file)?, put)?);
            Ok(())
        })?);
        peak = peak.max(peak_memory());
        let id = id.expect("it was put");
        piece = store.manifest(id)?.blobs()[0].1;
        without_data_pieces(folder, &store, id)?;
        settle(folder, mib)?;
        forget_peak();
        decode.push(measure(mib, || Ok(store.get_to(id, &folder.join("out"), &Plain).map(drop)?))?);
        peak = peak.max(peak_memory());
        ensure!(sum(&folder.join("out"))? == blake3::hash(&content), "it came back otherwise");
        settle(folder, mib)?;
        forget_peak();
        rebuild.push(measure(mib, || Ok(store.rebuild(id, Root { object: id, owner: Owner::LOCAL }, None, &[0])?))?);
        peak = peak.max(peak_memory());
        drop(store);
        fs::remove_file(folder.join("out"))?;
        fs::remove_dir_all(folder.join("store"))?;
    }
    let [code, hash, write, restore, check, sink] =
        [&code, &hash, &write, &restore, &check, &sink].map(|figures| best(figures));
    let slowest = |stages: &[f64]| stages.iter().copied().fold(f64::INFINITY, f64::min);
    println!("| stages of encoding alone: code, hash, write | {code:.0}, {hash:.0}, {write:.0} MiB/s | | | |");
    row("encode 4 of 10, durable; its slowest stage", best(&encode), slowest(&[code, hash, write]), "MiB/s", "0.6");
    println!("| stages of decoding alone: code, hash, write | {restore:.0}, {check:.0}, {sink:.0} MiB/s | | | |");
    let bound = slowest(&[restore, check, sink]);
    row("decode without data pieces; its slowest stage", best(&decode), bound, "MiB/s", "0.6");
    row("rebuild one piece; decoding alone", best(&rebuild), restore, "MiB/s", "-");
    println!(
        "| most memory meanwhile, less the content | {} MiB | 256 MiB | | below |",
        peak.saturating_sub(mib as u64)
    );
    println!(
        "\nA piece is {:.0} MiB: to make one anew, four are read and one is written.",
        piece as f64 / (1 << 20) as f64
    );
    Ok(())
}

/// Loses the pieces that can be read without decoding.
fn without_data_pieces(folder: &Path, store: &Store, id: ObjectId) -> Result<()> {
    for (hash, _) in &store.manifest(id)?.blobs()[..K] {
        let name = hash.to_string();
        File::options().write(true).open(folder.join("store/blobs").join(&name[..2]).join(&name))?.set_len(0)?;
    }
    let lost = store.scrub()?.damaged;
    ensure!(lost.len() == K, "{} pieces were lost", lost.len());
    Ok(())
}

/// MiB, as Linux counts them.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) >> 10
}

/// Begins to look for the most memory anew.
fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

//! A file sealed, cut into pieces and spread over ten nodes on this machine over QUIC, and read back, each against the slowest of
//! its own stages alone, with all cores of the machine.
//!
//! A stage alone does once what each machine of a network would do once. Here one machine is all of them: pieces are written and
//! hashed at the owner and at the nodes.
//!
//! `spread [MiB]`: the size of the file, 1024 if left out.

use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::ed25519::PrivateKey;
use eyre::{ContextCompat as _, Result, ensure, eyre};
use futures::{FutureExt as _, future::BoxFuture};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use rayon::prelude::*;
use reed_solomon_simd::ReedSolomonEncoder;
use std::{
    fs::{self, File},
    hint::black_box,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use stoa_benchmarks::row;
use stoa_net::{
    Connections, Endpoint,
    iroh::{
        endpoint::Connection,
        protocol::{AcceptError, ProtocolHandler, Router},
    },
    send,
};
use stoa_privacy::{
    AssetId, DataKey,
    object::{self, CHUNK_LEN, HEADER_LEN, Header, Layout, Opener, Sealer, TAG_LEN},
};
use stoa_store::{
    BLOBS, Code, Domain, Fetch, Guard, KeySource, Limits, Member, Members, Network, Owner, Put, Root, STORE, Sealed,
    Store, Terms, days_from_now, transit,
};

/// How often each is measured. The best counts: whatever else happens on the machine only slows down.
const ROUNDS: usize = 3;

const NODES: u8 = 10;

/// Four of ten, a piece for each node.
const K: usize = 4;
const N: usize = NODES as usize;

/// Bytes of the memory that stages alone work on, again and again, and of a shard in it: that of the store's stripes.
const PART: usize = 16 << 20;
const SHARD: usize = 256 << 10;

/// What is sent where only sending is measured.
const BYTES: &[u8] = b"stoa/benchmark";
static SENT: [u8; SHARD] = [7; SHARD];

#[derive(Default)]
struct Registry(Mutex<Vec<Member>>);

impl Members for Registry {
    fn members(&self) -> BoxFuture<'_, Result<Vec<Member>, String>> {
        async { self.0.lock().map(|all| all.clone()).map_err(|error| error.to_string()) }.boxed()
    }
}

struct Node {
    network: Network,
    endpoint: Endpoint,
    _router: Router,
}

async fn endpoint(number: u8) -> Result<Endpoint> {
    let key = PrivateKey::decode(Copying(&[number; 32])).map_err(|error| eyre!("{error}"))?;
    Endpoint::bind(&key, ([127, 0, 0, 1], 0).into()).await
}

async fn node(number: u8, folder: &Path, registry: &Arc<Registry>, keeps: bool) -> Result<Node> {
    let endpoint = endpoint(number).await?;
    let store = Store::open(folder.join(number.to_string()), Limits::default())?;
    let network = Network::new(store, &endpoint, registry.clone());
    let server = network.server(Guard { keeps, members: registry.clone() });
    let router = endpoint.router().accept(BLOBS, server.blobs_only()).accept(STORE, server).spawn();
    if keeps {
        let address = endpoint.address().wrap_err("it listens")?;
        let mut all = registry.0.lock().map_err(|_| eyre!("poisoned"))?;
        all.push(Member { address, domain: Domain(number.to_string()) });
    }
    Ok(Node { network, endpoint, _router: router })
}

fn measure(mib: f64, start: Instant) -> f64 {
    mib / start.elapsed().as_secs_f64()
}

fn best(rates: &[f64]) -> f64 {
    rates.iter().copied().fold(0.0, f64::max)
}

/// The key that everything is sealed with, and what it belongs to.
fn key() -> (DataKey, AssetId) {
    (DataKey::from_bytes([1; 32]), AssetId([2; 32].into()))
}

/// What each stage does alone, in MiB of the file a second.
struct Stages {
    folder: PathBuf,
    part: Vec<u8>,
    /// How many times the memory makes the file.
    times: usize,
}

impl Stages {
    fn new(folder: &Path, mib: f64) -> Self {
        Self { folder: folder.to_owned(), part: vec![7; PART], times: (mib as usize / (PART >> 20)).max(1) }
    }

    fn rate(&self, start: Instant) -> f64 {
        measure((self.times * (PART >> 20)) as f64, start)
    }

    /// Shards of the file.
    fn shards(&self) -> usize {
        self.times * (PART / SHARD)
    }

    fn seal(&self) -> Result<f64> {
        let (key, asset) = key();
        let mut out = vec![0; Layout::of_plain(PART as u64)?.sealed_len() as usize];
        let start = Instant::now();
        for _ in 0..self.times {
            let pieces = Sealer::new(&key, asset, &mut rand::rng()).pieces(PART as u64, &mut out)?;
            pieces.into_par_iter().for_each(|mut piece| {
                let range = piece.plain_range();
                piece.plain_mut().copy_from_slice(&self.part[range.start as usize..range.end as usize]);
                piece.seal();
            });
        }
        Ok(self.rate(start))
    }

    fn open(&self) -> Result<f64> {
        let ((key, asset), layout) = (key(), Layout::of_plain(PART as u64)?);
        let sealed = object::seal(&key, asset, &self.part, &mut rand::rng())?;
        let (header, body) = sealed.split_at(HEADER_LEN);
        let opener = Opener::new(&key, asset, &Header::from_bytes(header)?)?;
        let start = Instant::now();
        for _ in 0..self.times {
            let chunks = body.par_chunks(CHUNK_LEN + TAG_LEN).enumerate();
            chunks.try_for_each_init(Vec::<u8>::new, |buffer, (index, chunk)| {
                buffer.clear();
                buffer.extend_from_slice(chunk);
                opener.open_chunk(&layout, index as u32, buffer).map(|plain| _ = black_box(plain))
            })?;
        }
        Ok(self.rate(start))
    }

    fn code(&self) -> Result<f64> {
        let start = Instant::now();
        let new = || ReedSolomonEncoder::new(K, N - K, SHARD).expect("there is such a code");
        (0..self.shards() / K).into_par_iter().try_for_each_init(new, |encoder, number| {
            let stripe = &self.part[number * K * SHARD % PART..][..K * SHARD];
            stripe.chunks(SHARD).try_for_each(|shard| encoder.add_original_shard(shard))?;
            encoder.encode().map(drop)
        })?;
        Ok(self.rate(start))
    }

    /// Hashes as many shards.
    fn hash(&self, shards: usize) -> f64 {
        let start = Instant::now();
        (0..shards).into_par_iter().for_each(|number| {
            black_box(blake3::hash(&self.part[number * SHARD % PART..][..SHARD]));
        });
        self.rate(start)
    }

    /// Writes as many pieces, durable, and then maybe the file, which is not.
    fn write(&self, pieces: usize, file: bool) -> Result<f64> {
        let folder = self.folder.join("written");
        fs::create_dir(&folder)?;
        rustix::fs::syncfs(File::open(&folder)?)?;
        let shard = &self.part[..SHARD];
        let start = Instant::now();
        let all = (0..pieces).map(|number| File::create(folder.join(number.to_string())));
        let mut all = all.collect::<io::Result<Vec<_>>>()?;
        for _ in 0..self.shards() / K {
            all.iter_mut().try_for_each(|piece| piece.write_all(shard))?;
        }
        all.iter().try_for_each(File::sync_data)?;
        if file {
            let mut file = File::create(folder.join("file"))?;
            (0..self.shards()).try_for_each(|_| file.write_all(shard))?;
        }
        let rate = self.rate(start);
        fs::remove_dir_all(&folder)?;
        Ok(rate)
    }

    /// Sends a piece from each of so many nodes to each of so many others.
    async fn transfer(&self, from: u8, to: u8) -> Result<f64> {
        let (mut endpoints, mut givers, mut connections) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..from {
            let giver = endpoint(120 + number).await?;
            givers.push((giver.address().wrap_err("it listens")?, giver.router().accept(BYTES, Gives).spawn()));
            endpoints.push(giver);
        }
        for number in 0..to {
            let taker = endpoint(140 + number).await?;
            for (giver, _) in &givers {
                connections.push(Connections::new(&taker, BYTES).to(giver, |_| ()).await?);
            }
            endpoints.push(taker);
        }
        let piece = (self.shards() / K * SHARD) as u64;
        let start = Instant::now();
        let taking: Vec<_> = connections.into_iter().map(|giver| tokio::spawn(take(giver, piece))).collect();
        for one in taking {
            one.await??;
        }
        let rate = self.rate(start);
        for endpoint in endpoints {
            endpoint.close().await;
        }
        Ok(rate)
    }

    /// Sealing, coding, hashing the content and its pieces, writing the pieces, sending each to a node of its own.
    async fn of_put(&self) -> Result<[f64; 5]> {
        let hashed = self.shards() * (K + N) / K;
        Ok([self.seal()?, self.code()?, self.hash(hashed), self.write(N, false)?, self.transfer(1, NODES).await?])
    }

    /// Sending as many pieces as suffice from a node each, hashing them and the content, opening it, writing the pieces and the file.
    /// Nothing is decoded, for all nodes are there: pieces of data are fetched.
    async fn of_get(&self) -> Result<[f64; 4]> {
        let hashed = 2 * self.shards();
        Ok([self.transfer(K as u8, 1).await?, self.hash(hashed), self.open()?, self.write(K, true)?])
    }
}

/// Gives as many bytes as it is asked for.
#[derive(Clone, Debug)]
struct Gives;

impl ProtocolHandler for Gives {
    async fn accept(&self, connection: Connection) -> Result<(), AcceptError> {
        while let Ok((mut to, mut from)) = connection.accept_bi().await {
            let asked = from.read_to_end(8).await.unwrap_or_default();
            let mut left = <[u8; 8]>::try_from(asked).map_or(0, u64::from_be_bytes);
            while left > 0 {
                let part = &SENT[..left.min(SHARD as u64) as usize];
                if to.write_all(part).await.is_err() {
                    break;
                }
                left -= part.len() as u64;
            }
            let _ = to.finish();
        }
        Ok(())
    }
}

/// Takes so many bytes, in parts, as nodes ask each other.
async fn take(from: Connection, bytes: u64) -> Result<()> {
    let mut came = 0;
    while came < bytes {
        let mut stream = send(&from, &(PART as u64).min(bytes - came).to_be_bytes()).await?;
        let before = came;
        while let Some(chunk) = stream.read_chunk(1 << 20).await? {
            came += chunk.len() as u64;
        }
        ensure!(came > before && came <= bytes, "{came} of {bytes} bytes came");
    }
    Ok(())
}

/// The best of each stage.
fn best_of<const STAGES: usize>(rounds: &[[f64; STAGES]]) -> [f64; STAGES] {
    std::array::from_fn(|stage| rounds.iter().map(|rates| rates[stage]).fold(0.0, f64::max))
}

fn slowest(rates: &[f64]) -> f64 {
    rates.iter().copied().fold(f64::INFINITY, f64::min)
}

fn main() -> Result<()> {
    let mib = std::env::args().nth(1).map(|option| option.parse::<usize>()).transpose()?.unwrap_or(1024);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("file");
    let (mut random, mut part) = (SmallRng::seed_from_u64(1), vec![0; 1 << 20]);
    let mut file = File::create(&path)?;
    for _ in 0..mib {
        random.fill(&mut part[..]);
        file.write_all(&part)?;
    }
    file.sync_all()?;
    println!("A file of {mib} MiB over {NODES} nodes on one disk, 4 of 10; {} cores.\n", rayon::current_num_threads());
    println!("| work | ours | its slowest stage alone | ratio | to reach |\n|---|---|---|---|---|");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(folder.path(), &path, mib as f64))
}

async fn run(folder: &Path, path: &Path, mib: f64) -> Result<()> {
    let (mut put, mut get, mut put_stages, mut get_stages) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let stages = Stages::new(folder, mib);
    for round in 0..ROUNDS {
        put_stages.push(stages.of_put().await?);
        get_stages.push(stages.of_get().await?);
        let here = folder.join(format!("round{round}"));
        let registry = Arc::<Registry>::default();
        let mut nodes = Vec::new();
        for number in 1..=NODES {
            nodes.push(node(number, &here, &registry, true).await?);
        }
        let (owner, reader) = (node(100, &here, &registry, false).await?, node(101, &here, &registry, false).await?);
        let sealed = || {
            let (key, asset) = key();
            Sealed::new(key, KeySource::Asset(asset))
        };
        let mine = Owner(owner.endpoint.address().wrap_err("it listens")?.node().0);

        let start = Instant::now();
        let store = owner.network.store().clone();
        let id = {
            let (path, seal) = (path.to_owned(), sealed());
            let work = move || {
                store.put(
                    File::open(path)?,
                    Put { owner: mine, code: Some(Code::default()), seal: &seal, durable: false, ..Put::default() },
                )
            };
            tokio::task::spawn_blocking(work).await??
        };
        let terms = Terms { owner: mine, until: days_from_now(1), public: false };
        let outcome = owner.network.spread(id, &(0..10).collect::<Vec<_>>(), terms).await?;
        ensure!(outcome.kept.len() == 10, "{:?}", outcome.failed);
        put.push(measure(mib, start));
        owner.network.store().release(Root { object: id, owner: mine })?;

        let start = Instant::now();
        let asked = Fetch { patience: Duration::from_secs(60), ..Fetch::until(days_from_now(1)) };
        reader.network.fetch(id, asked).await?;
        let (store, out, seal) = (reader.network.store().clone(), here.join("out"), sealed());
        let read = out.clone();
        tokio::task::spawn_blocking(move || store.get_to(id, &read, &seal).map(drop)).await??;
        get.push(measure(mib, start));
        reader.network.store().release(transit(id))?;
        let sum = |file: &Path| Ok::<_, std::io::Error>(blake3::Hasher::new().update_mmap_rayon(file)?.finalize());
        ensure!(sum(&out)? == sum(path)?, "it came back otherwise");
        for node in nodes.iter().chain([&owner, &reader]) {
            node.endpoint.close().await;
        }
        drop((nodes, owner, reader));
        fs::remove_dir_all(&here)?;
    }
    let ([seal, code, hash, write, transfer], bound) = (best_of(&put_stages), slowest(&best_of(&put_stages)));
    println!(
        "| stages of putting alone: seal, code, hash, write, transfer \
         | {seal:.0}, {code:.0}, {hash:.0}, {write:.0}, {transfer:.0} MiB/s | | | |"
    );
    row("put: seal, code, spread, durable on ten nodes", best(&put), bound, "MiB/s", "0.6");
    let ([transfer, hash, open, write], bound) = (best_of(&get_stages), slowest(&best_of(&get_stages)));
    println!(
        "| stages of getting alone: transfer, hash, open, write | {transfer:.0}, {hash:.0}, {open:.0}, {write:.0} MiB/s \
         | | | |"
    );
    row("get: fetch, check, open", best(&get), bound, "MiB/s", "0.6");
    Ok(())
}

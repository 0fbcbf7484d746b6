//! A file sealed, cut into pieces and spread over ten nodes on this machine over QUIC, and read back, against the slowest of
//! the stages alone on the same cores.
//!
//! `spread [MiB]`: the size of the file, 1024 if left out.

use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::ed25519::PrivateKey;
use eyre::{ContextCompat as _, Result, ensure, eyre};
use futures::{FutureExt as _, future::BoxFuture};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use stoa_benchmarks::row;
use stoa_net::{Endpoint, iroh::protocol::Router};
use stoa_privacy::{AssetId, DataKey, object};
use stoa_store::{
    BLOBS, Code, Domain, Fetch, Guard, KeySource, Limits, Member, Members, Network, Owner, Put, Root, STORE, Sealed,
    Store, Terms, days_from_now, transit,
};

/// How often each is measured. The best counts: whatever else happens on the machine only slows down.
const ROUNDS: usize = 3;

const NODES: u8 = 10;

/// Bytes of the memory that stages alone work on, again and again.
const PART: usize = 16 << 20;

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

async fn node(number: u8, folder: &Path, registry: &Arc<Registry>, keeps: bool) -> Result<Node> {
    let key = PrivateKey::decode(Copying(&[number; 32])).map_err(|error| eyre!("{error}"))?;
    let endpoint = Endpoint::bind(&key, ([127, 0, 0, 1], 0).into()).await?;
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

/// What the stages can do alone, in MiB of the file a second: hashing and sealing on all cores, writing to the disk.
fn stages(folder: &Path, mib: f64) -> Result<(f64, f64, f64)> {
    let part = vec![7; PART];
    let rounds = (mib as usize / (PART >> 20)).max(1);
    let start = Instant::now();
    // The content, and two and a half times as much in pieces, at the owner and at the nodes.
    for _ in 0..rounds * 6 {
        blake3::Hasher::new().update_rayon(&part);
    }
    let hash = measure(mib, start);
    let key = DataKey::from_bytes([1; 32]);
    let start = Instant::now();
    for _ in 0..rounds {
        object::seal(&key, AssetId([2; 32].into()), &part, &mut rand::rng())?;
    }
    let seal = measure(mib, start);
    // Pieces are on the owner's disk, then on the nodes': five times the file, all on this disk.
    let start = Instant::now();
    let mut file = File::create(folder.join("written"))?;
    for _ in 0..rounds * 5 {
        file.write_all(&part)?;
    }
    file.sync_all()?;
    let write = measure(mib, start);
    fs::remove_file(folder.join("written"))?;
    Ok((hash, seal, write))
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
    println!("| work | ours | the slowest stage alone | ratio | to reach |\n|---|---|---|---|---|");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(folder.path(), &path, mib as f64))
}

async fn run(folder: &Path, path: &Path, mib: f64) -> Result<()> {
    let [mut put, mut get, mut hashes, mut seals, mut writes] = [(); 5].map(|()| Vec::new());
    for round in 0..ROUNDS {
        let (hash, seal, write) = stages(folder, mib)?;
        hashes.push(hash);
        seals.push(seal);
        writes.push(write);
        let here = folder.join(format!("round{round}"));
        let registry = Arc::<Registry>::default();
        let mut nodes = Vec::new();
        for number in 1..=NODES {
            nodes.push(node(number, &here, &registry, true).await?);
        }
        let (owner, reader) = (node(100, &here, &registry, false).await?, node(101, &here, &registry, false).await?);
        let key = || DataKey::from_bytes([1; 32]);
        let seal = Sealed::new(key(), KeySource::Asset(AssetId([2; 32].into())));
        let mine = Owner(owner.endpoint.address().wrap_err("it listens")?.node().0);

        let start = Instant::now();
        let store = owner.network.store().clone();
        let id = {
            let (path, seal) = (path.to_owned(), Sealed::new(key(), KeySource::Asset(AssetId([2; 32].into()))));
            let work = move || {
                store.put(
                    File::open(path)?,
                    Put { owner: mine, code: Some(Code::default()), seal: &seal, ..Put::default() },
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
        let (store, out) = (reader.network.store().clone(), here.join("out"));
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
    let (hash, seal, write) = (best(&hashes), best(&seals), best(&writes));
    println!("| stages alone: hash all, seal, write all | {hash:.0}, {seal:.0}, {write:.0} MiB/s | | | |");
    let bound = hash.min(seal).min(write);
    row("put: seal, code, spread, durable on ten nodes", best(&put), bound, "MiB/s", "0.6");
    row("get: fetch, decode, open", best(&get), bound, "MiB/s", "0.6");
    Ok(())
}

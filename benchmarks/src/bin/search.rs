//! The index of a large market: how long it takes to build, what it takes of disk and memory, and how long searches take.
//!
//! `search [ASSETS]`: so many assets (1,000,000), as their events tell of them, with documents of the size and the kinds of words
//! that datasets have: some words that a third of all have, and many that few have.

use alloy_primitives::{Address, B256, Log, U256};
use alloy_sol_types::SolEvent as _;
use eyre::{ContextCompat as _, Result, WrapErr as _, ensure};
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::{
    env, fs,
    io::Write as _,
    time::{Duration, Instant},
};
use stoa_benchmarks::{account, rate};
use stoa_data::{
    ddo::did,
    market::{
        abi::{
            DATATOKEN, DISPENSER, FACTORY, FIXED_RATE,
            IDispenser::DispenserCreated,
            IFactory::{NFTCreated, TokenCreated},
            IFixedRate::ExchangeCreated,
            INft::MetadataCreated,
            NFT,
        },
        exchange_id,
    },
    search::{COIN, ChainId, Cursor, Index, Logged, Query, Sort},
};

const CHAIN: ChainId = ChainId { id: 31337, genesis: B256::ZERO };

/// Assets whose events come in one piece.
const PIECE: u64 = 2_000;

/// Searches of each kind.
const SEARCHES: usize = 200;

/// Words, and how often one is taken: the one at place n in proportion to 1/n (Zipf's law), as in any language.
struct Words {
    words: Vec<String>,
    sums: Vec<f64>,
}

impl Words {
    fn new(count: usize, rng: &mut StdRng) -> Self {
        let syllables =
            ["ba", "den", "ko", "ri", "tal", "mu", "sen", "vi", "gor", "ne", "pla", "thi", "ur", "as", "el", "fo"];
        let word = |_| (0..rng.random_range(2..=4)).map(|_| syllables[rng.random_range(0..syllables.len())]).collect();
        let words = (0..count).map(word).collect();
        let mut sum = 0.0;
        let sums = (1..=count).map(|place| {
            sum += 1.0 / place as f64;
            sum
        });
        let sums = sums.collect();
        Self { words, sums }
    }

    fn one(&self, rng: &mut StdRng) -> &str {
        let at = rng.random::<f64>() * self.sums[self.sums.len() - 1];
        &self.words[self.sums.partition_point(|sum| *sum < at).min(self.words.len() - 1)]
    }

    fn several(&self, rng: &mut StdRng, from: usize, to: usize) -> String {
        (0..rng.random_range(from..=to)).map(|_| self.one(rng)).collect::<Vec<_>>().join(" ")
    }
}

/// A market from a seed.
struct Market {
    rng: StdRng,
    words: Words,
    tags: Words,
    columns: Words,
}

const KINDS: [&str; 4] = ["integer", "float", "text", "time"];

impl Market {
    fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let [words, tags, columns] = [50_000, 2_000, 5_000].map(|count| Words::new(count, &mut rng));
        Self { rng, words, tags, columns }
    }

    /// The events of an asset. Every third is free, every sixth not for sale.
    fn publish(&mut self, n: u64, logs: &mut Vec<Logged>) {
        let rng = &mut self.rng;
        let (nft, token, owner) = (account(2 * n), account(2 * n + 1), account(n % 10_000 + (1 << 40)));
        let mut told = |address, data| {
            let log = Log { address, data };
            logs.push(Logged { number: n, time: 1_700_000_000 + n, transaction: B256::from(U256::from(n)), log });
        };
        let created = NFTCreated {
            newTokenAddress: nft,
            templateAddress: NFT,
            tokenName: self.words.several(rng, 1, 2),
            admin: owner,
            symbol: "DATA".into(),
            tokenURI: String::new(),
            transferable: true,
            creator: owner,
        };
        told(FACTORY, created.encode_log_data());
        let created = TokenCreated {
            newTokenAddress: token,
            templateAddress: DATATOKEN,
            name: "Access".into(),
            symbol: "ACC".into(),
            cap: U256::MAX,
            creator: nft,
        };
        told(FACTORY, created.encode_log_data());
        match n % 6 {
            0 => {}
            1 | 2 => {
                let created = DispenserCreated {
                    datatokenAddress: token,
                    owner,
                    maxTokens: U256::ONE,
                    maxBalance: U256::ONE,
                    allowedSwapper: Address::ZERO,
                };
                told(DISPENSER, created.encode_log_data());
            }
            _ => {
                // From a hundredth to ten thousand coins, as many in each order of magnitude.
                let price = 10_f64.powf(rng.random_range(-2.0..4.0));
                let created = ExchangeCreated {
                    exchangeId: exchange_id(COIN, token),
                    baseToken: COIN,
                    datatoken: token,
                    exchangeOwner: owner,
                    fixedRate: U256::from((price * 1e18) as u128),
                };
                told(FIXED_RATE, created.encode_log_data());
            }
        }
        let column = |rng: &mut StdRng| {
            let kind = KINDS[rng.random_range(0..KINDS.len())];
            json!({ "name": self.columns.several(rng, 1, 2).replace(' ', "_"), "type": kind })
        };
        let columns: Vec<_> = (0..rng.random_range(2..=20)).map(|_| column(rng)).collect();
        let tags: Vec<_> = (0..rng.random_range(1..=5)).map(|_| self.tags.one(rng)).collect();
        let document = json!({
            "@context": ["https://w3id.org/did/v1"],
            "id": did(nft, CHAIN.id),
            "version": "4.7.0",
            "chainId": CHAIN.id,
            "nftAddress": nft.to_checksum(None),
            "metadata": {
                "created": "2026-01-01T00:00:00Z",
                "updated": "2026-01-01T00:00:00Z",
                "type": if n.is_multiple_of(10) { "algorithm" } else { "dataset" },
                "name": self.words.several(rng, 2, 6),
                "description": self.words.several(rng, 30, 150),
                "author": self.words.several(rng, 1, 2),
                "license": "https://creativecommons.org/licenses/by/4.0/",
                "tags": tags,
                "additionalInformation": { "stoa": {
                    "format": "csv", "bytes": rng.random_range(1_000..1_000_000_000_u64), "files": 1,
                    "rows": rng.random_range(100..10_000_000_u64), "columns": columns,
                } },
            },
            "services": [{
                "id": "1", "type": "compute", "files": "0x", "datatokenAddress": token.to_checksum(None),
                "serviceEndpoint": "http://127.0.0.1:8001", "timeout": 86_400,
                "compute": { "allowRawAlgorithm": false, "allowNetworkAccess": false,
                    "publisherTrustedAlgorithmPublishers": [], "publisherTrustedAlgorithms": [] },
            }],
            "credentials": { "allow": [], "deny": [] },
        });
        let text = document.to_string();
        let published = MetadataCreated {
            createdBy: owner,
            state: 0,
            decryptorUrl: "http://127.0.0.1:8001".into(),
            flags: [0].into(),
            metaDataHash: B256::from_slice(&Sha256::digest(&text)),
            data: text.into_bytes().into(),
            timestamp: U256::from(n),
            blockNumber: U256::from(n),
        };
        told(nft, published.encode_log_data());
    }

    /// What somebody may ask.
    fn query(&mut self, kind: Kind) -> Query {
        let rng = &mut self.rng;
        let mut query = Query::default();
        match kind {
            Kind::OneWord => query.words = self.words.one(rng).to_owned(),
            Kind::TwoWords => query.words = format!("{} {}", self.words.one(rng), self.words.one(rng)),
            Kind::CommonWords => {
                // Of the ten that most have.
                let mut word = || self.words.words[rng.random_range(0..10)].as_str();
                query.words = format!("{} {}", word(), word());
            }
            Kind::Prefix => {
                let word = self.words.one(rng);
                let length = rng.random_range(2..=word.len().min(5));
                query.words = format!("{}*", &word[..length]);
            }
            Kind::TagAndPrice => {
                query.tags = vec![self.tags.one(rng).to_owned()];
                let most = 10_f64.powf(rng.random_range(-1.0..3.0));
                query.price = Some(U256::ZERO..=U256::from((most * 1e18) as u128));
                query.sort = Sort::Price;
            }
            Kind::Column => {
                let kind = rng.random_bool(0.5).then(|| KINDS[rng.random_range(0..KINDS.len())].to_owned());
                query.columns = vec![(self.columns.one(rng).to_owned(), kind)];
            }
            Kind::WordAndAll => {
                query.words = self.words.one(rng).to_owned();
                query.kind = Some("dataset".to_owned());
                query.tags = vec![self.tags.one(rng).to_owned()];
                query.price = Some(U256::ZERO..=U256::from(10_u128.pow(19)));
            }
            Kind::Newest => query.first = 20 * rng.random_range(0..20),
            Kind::Owner => query.owner = Some(account(rng.next_u64() % 10_000 + (1 << 40))),
        }
        query
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    OneWord,
    TwoWords,
    CommonWords,
    Prefix,
    TagAndPrice,
    Column,
    WordAndAll,
    Newest,
    Owner,
}

const ALL: [(Kind, &str); 9] = [
    (Kind::OneWord, "one word"),
    (Kind::TwoWords, "two words"),
    (Kind::CommonWords, "two of the ten commonest words"),
    (Kind::Prefix, "a prefix of 2 to 5 letters"),
    (Kind::TagAndPrice, "a tag and a highest price, cheapest first"),
    (Kind::Column, "a column, half with its type"),
    (Kind::WordAndAll, "a word, a type, a tag and a price"),
    (Kind::Newest, "the newest, pages 1 to 20"),
    (Kind::Owner, "an owner's"),
];

/// Bytes of memory that are this process's own.
fn memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).wrap_err("no RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

/// What this thread has used of the processor: other programs on the machine have no part in it.
fn processor_time() -> Result<Duration> {
    Ok(Duration::try_from(clock_gettime(ClockId::ThreadCPUTime))?)
}

fn at(times: &mut [Duration], part: f64) -> f64 {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * part).round() as usize].as_secs_f64() * 1e3
}

fn main() -> Result<()> {
    let assets: u64 = env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse()).wrap_err("how many assets?")?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("index.sqlite");
    let mut index = Index::open(&path, CHAIN)?;
    let mut market = Market::new();
    let (mut building, mut longest, mut bytes) = (Duration::ZERO, Duration::ZERO, 0);
    for from in (0..assets).step_by(PIECE as usize) {
        let to = (from + PIECE).min(assets);
        let mut logs = Vec::new();
        (from..to).for_each(|n| market.publish(n, &mut logs));
        bytes += logs.iter().map(|logged| logged.log.data.data.len() as u64).sum::<u64>();
        let start = Instant::now();
        index.apply(from, Cursor { number: to - 1, hash: B256::ZERO }, &logs)?;
        let took = start.elapsed();
        (building, longest) = (building + took, longest.max(took));
        if from % 100_000 == 0 {
            eprint!("\r{to} of {assets}");
            std::io::stderr().flush()?;
        }
    }
    eprintln!("\r{assets} of {assets}");
    drop(index);
    let disk = fs::metadata(&path)?.len();
    let before = memory()?;
    println!("| {assets} assets | |\n|---|---|");
    println!("| events | {} MiB |", bytes >> 20);
    println!("| built in | {:.0} s, {:.0} assets a second |", building.as_secs_f64(), rate(assets, building));
    println!("| the slowest {PIECE} | {:.1} s |", longest.as_secs_f64());
    println!("| on disk | {} MiB, {} bytes an asset |", disk >> 20, disk / assets);

    let index = Index::open(&path, CHAIN)?;
    println!("\n| search | p50 | p90 | p99 | slowest | p50, p99 of the processor's time | matches, median |");
    println!("|---|---|---|---|---|---|---|");
    let (mut every, mut all_work) = (Vec::new(), Vec::new());
    for (kind, name) in ALL {
        let (mut times, mut work, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        let mut slowest = (Duration::ZERO, String::new());
        for _ in 0..SEARCHES {
            let query = market.query(kind);
            let (start, before) = (Instant::now(), processor_time()?);
            let found = index.search(&query)?;
            let took = start.elapsed();
            work.push(processor_time()?.saturating_sub(before));
            ensure!(found.assets.len() <= 20);
            if took > slowest.0 {
                slowest = (took, query.words.clone());
            }
            times.push(took);
            counts.push(found.total.count);
        }
        counts.sort_unstable();
        let (count, more) = (counts[SEARCHES / 2], if counts[SEARCHES / 2] >= 10_000 { " or more" } else { "" });
        let [p50, p90, p99, most] = [0.5, 0.9, 0.99, 1.0].map(|part| at(&mut times, part));
        let own = [0.5, 0.99].map(|part| format!("{:.1} ms", at(&mut work, part))).join(", ");
        println!("| {name} | {p50:.1} ms | {p90:.1} ms | {p99:.1} ms | {most:.1} ms | {own} | {count}{more} |");
        eprintln!("  slowest {:?}: {:?}", slowest.1, slowest.0);
        every.extend(times);
        all_work.extend(work);
    }
    let [p50, p90, p99, most] = [0.5, 0.9, 0.99, 1.0].map(|part| at(&mut every, part));
    let own = [0.5, 0.99].map(|part| format!("{:.1} ms", at(&mut all_work, part))).join(", ");
    println!("| all of these | {p50:.1} ms | {p90:.1} ms | {p99:.1} ms | {most:.1} ms | {own} | |");
    println!("\nMemory for searching: {} MiB.", memory()?.saturating_sub(before) >> 20);
    Ok(())
}

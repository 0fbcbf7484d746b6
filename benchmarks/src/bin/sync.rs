//! How long a new node takes to take over the state of a long chain, over QUIC on this machine, against writing and hashing
//! the same bytes, and against putting the same values into a state database.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, map::HashMap};
use commonware_codec::Encode as _;
use commonware_consensus::{
    simplex::types::{Context as RoundContext, Finalization, Finalize, Proposal},
    types::{Epoch, Round, View},
};
use commonware_cryptography::sha256::Digest;
use commonware_parallel::Sequential;
use commonware_runtime::{Runner as _, Supervisor as _, tokio};
use commonware_utils::NZU32;
use eyre::{ContextCompat as _, Result, ensure};
use futures::{Stream, stream};
use rand::{SeedableRng as _, rngs::StdRng};
use sha2::Digest as _;
use std::{
    fs,
    io::{Read as _, Write as _},
    num::NonZeroUsize,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};
use stoa_base::{Genesis, Recovered, Transaction};
use stoa_benchmarks::{account, chain, transaction};
use stoa_consensus::{
    Committee, Origin, Waiting,
    follow::{Follower, Link, Options, Peers, Server, Start},
    namespace,
};
use stoa_ledger::{
    Committed, Ledger, LedgerConfig,
    execute::{Changes, Refusal},
    state,
};
use stoa_net::Endpoint;
use stoa_node::quic::{self, Quic};

const PER_BLOCK: u64 = 10_000;

/// No transactions.
#[derive(Clone)]
struct Nothing;

impl Waiting for Nothing {
    fn best(&self, _: u64, _: u64, _: &HashMap<Address, u64>) -> Vec<Arc<Recovered>> {
        Vec::new()
    }

    fn is_empty(&self, _: &HashMap<Address, u64>) -> bool {
        true
    }

    fn arrived(&self) -> impl Future<Output = ()> + Send + use<> {
        std::future::pending()
    }

    fn given(&self) -> impl Stream<Item = Arc<Recovered>> + Send + use<> {
        stream::pending()
    }

    fn take(&self, _: Vec<Transaction>, _: Origin) -> bool {
        false
    }

    fn sender(&self, _: &B256) -> Option<Address> {
        None
    }

    fn refused(&self, _: &Recovered, _: &Refusal) {}

    fn finalized(&self, _: &Committed, _: &Changes) {}
}

/// Counts what comes.
#[derive(Clone)]
struct Counted(Quic, Arc<AtomicU64>);

impl Link for Counted {
    fn count(&self) -> usize {
        self.0.count()
    }

    fn name(&self, peer: usize) -> String {
        self.0.name(peer)
    }

    fn ask(
        &self,
        peer: usize,
        request: Vec<u8>,
        most: usize,
    ) -> impl Future<Output = Result<Vec<u8>, String>> + Send + use<> {
        let (asked, counted) = (self.0.ask(peer, request, most), self.1.clone());
        async move {
            let answer = asked.await?;
            counted.fetch_add(answer.len() as u64, Ordering::Relaxed);
            Ok(answer)
        }
    }
}

/// Bytes of the files in a folder.
fn size(folder: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(folder)? {
        let (path, kind) = {
            let entry = entry?;
            (entry.path(), entry.file_type()?)
        };
        total += if kind.is_dir() { size(&path)? } else { fs::metadata(&path)?.len() };
    }
    Ok(total)
}

/// Writes so many bytes to a file, durably, and hashes them, in pieces of a megabyte.
fn raw(folder: &Path, bytes: u64) -> Result<f64> {
    let mut random = fs::File::open("/dev/urandom")?;
    let mut piece = vec![0; 1 << 20];
    random.read_exact(&mut piece)?;
    let start = Instant::now();
    let mut file = fs::File::create(folder.join("raw"))?;
    for _ in 0..bytes.div_ceil(1 << 20) {
        std::hint::black_box(sha2::Sha256::digest(&piece));
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Makes a chain of this length with so many accounts, whose last block is signed, and works with it.
fn with_chain<T>(
    folder: &Path,
    accounts: u64,
    blocks: u64,
    work: impl AsyncFnOnce(&tokio::Context, Ledger) -> Result<T>,
) -> Result<T> {
    let (committee, identities) = Committee::deal(&mut StdRng::seed_from_u64(1), NZU32!(4));
    let mut genesis = chain::genesis(1);
    genesis.committee = Some((&committee).into());
    chain::on(folder, genesis, async |runtime, chain| {
        let leader = committee.validators().iter().next().wrap_err("there are validators")?.clone();
        let (mut given, mut nonce) = (1, 0);
        while chain.ledger().head().number() < blocks {
            let head = chain.ledger().head();
            let number = head.number() + 1;
            let context = RoundContext {
                round: Round::new(Epoch::zero(), View::new(number)),
                leader: leader.clone(),
                parent: (View::zero(), Digest(head.hash().0)),
            };
            let new = given..(given + PER_BLOCK).min(accounts);
            given = new.end.max(given);
            let transfers = new.map(|to| {
                nonce += 1;
                transaction(account(0), nonce - 1, TxKind::Call(account(to)), U256::from(1), 21_000, Bytes::new())
            });
            let transfers = transfers.collect::<Vec<_>>();
            chain::mine_sealed(chain, &transfers, context.encode().to_vec().into()).await;
            if number % 1000 == 0 {
                chain.sync().await?;
            }
        }
        let head = chain.ledger().head();
        let namespace = namespace(chain.ledger());
        let signers = identities.iter().map(|identity| committee.signer(&namespace, identity));
        let signers = signers.collect::<Option<Vec<_>>>().wrap_err("every identity is one of the committee's")?;
        let round = Round::new(Epoch::zero(), View::new(blocks));
        let proposal = Proposal::new(round, View::new(blocks - 1), Digest(head.hash().0));
        let votes = signers.iter().map(|signer| Finalize::sign(signer, proposal.clone()));
        let votes = votes.collect::<Option<Vec<_>>>().wrap_err("every validator can sign")?;
        let certificate =
            Finalization::from_finalizes(&signers[0], commonware_utils::non_empty![@votes.iter()], &Sequential)?;
        chain.ledger().certify(blocks, &certificate.encode())?;
        chain.sync().await?;
        work(runtime, chain.ledger().clone()).await
    })
}

/// Takes over the state over QUIC; returns seconds and bytes that came.
async fn take_over(runtime: &tokio::Context, ledger: &Ledger, folder: &Path) -> Result<(f64, u64)> {
    let key = |byte: u8| commonware_codec::DecodeExt::decode(commonware_codec::Copying(&[byte; 32]));
    let local = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let (server, client) = (Endpoint::bind(&key(1)?, local).await?, Endpoint::bind(&key(2)?, local).await?);
    let (router, _) = quic::serve(&server, Server::new(runtime.child("server"), ledger.clone(), Nothing));
    let _router = router.spawn();
    let count = Arc::new(AtomicU64::new(0));
    let link = Counted(Quic::new(&client, vec![server.address().wrap_err("it listens")?]), count.clone());
    let genesis = ledger.genesis().clone();
    let folder = folder.to_owned();
    // A process of its own has a storage of its own.
    let taking = move || {
        let config = tokio::Config::new().with_storage_directory(folder.join("state"));
        tokio::Runner::new(config).start(async move |runtime| taken(runtime, genesis, &folder, link).await)
    };
    let (done, result) = futures::channel::oneshot::channel();
    thread::Builder::new().stack_size(64 << 20).spawn(move || drop(done.send(taking())))?;
    Ok((result.await??, count.load(Ordering::Relaxed)))
}

async fn taken(runtime: tokio::Context, genesis: Genesis, folder: &Path, link: Counted) -> Result<f64> {
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let layout = state::config(&runtime, "stoa", 1 << 30, threads);
    let config =
        LedgerConfig { durable: false, natives: stoa_node::natives(), ..LedgerConfig::new(folder.join("history")) };
    let ledger = Ledger::open(runtime.child("ledger"), genesis, config, layout.clone()).await?;
    let options = Options { start: Start::State { from: 1 }, max_bytes: 4 << 20 };
    let start = Instant::now();
    let opening = Follower::open(runtime.child("follower"), ledger, layout, Peers::new(link), Nothing, options);
    let follower = Box::pin(opening).await?;
    let taken = start.elapsed().as_secs_f64();
    ensure!(follower.ledger().head().number() > 0, "nothing was taken over");
    Ok(taken)
}

fn main() -> Result<()> {
    let most = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse::<u64>())?;
    println!("A new node takes over the state of a chain of 100000 blocks, over QUIC on this machine.\n");
    println!(
        "| accounts | taken over in | came | same bytes written and hashed | ratio | same values put in | ratio (3) |"
    );
    println!("|---|---|---|---|---|---|---|");
    for accounts in [10_000, 100_000, 1_000_000].into_iter().filter(|accounts| *accounts <= most) {
        let folders = [tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?];
        let (seconds, bytes) = with_chain(folders[0].path(), accounts, 100_000, async |runtime, ledger| {
            take_over(runtime, &ledger, folders[1].path()).await
        })?;
        let raw = raw(folders[2].path(), size(&folders[1].path().join("state"))?)?;
        let put = chain::put(accounts)?;
        println!(
            "| {accounts} | {seconds:.2} s | {} MiB | {raw:.2} s | {:.1} | {put:.2} s | {:.1} |",
            bytes >> 20,
            seconds / raw,
            seconds / put
        );
    }
    Ok(())
}

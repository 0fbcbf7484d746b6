//! How long a chain takes to open again after so many blocks, and what a block and a transaction take on disk.

use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Bytes, TxKind, U256};
use eyre::Result;
use std::{
    fs, io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use stoa_base::Recovered;
use stoa_benchmarks::{account, chain, transaction};

const ACCOUNTS: u64 = 1000;

/// Blocks after which is measured.
const LEVELS: [u64; 4] = [1000, 10_000, 100_000, 1_000_000];

/// How many transactions the full blocks hold, and how many such blocks there are.
const FULL: (u64, u64) = (1000, 1000);

/// The `n`th transfer of the chain.
fn transfer(n: u64) -> Arc<Recovered> {
    let (from, to) = (account(n % ACCOUNTS), account((n + 1) % ACCOUNTS));
    transaction(from, n / ACCOUNTS, TxKind::Call(to), U256::from(1), 21_000, Bytes::new())
}

/// Bytes on disk of all files in a folder.
fn size(folder: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    fs::read_dir(folder)?.try_fold(0, |sum, entry| {
        let (path, about) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
        Ok(sum + if about.is_dir() { size(&path)? } else { 512 * about.blocks() })
    })
}

/// Mines blocks of transfers up to a height, and opens the chain again: how long that took.
fn grow(folder: &Path, height: u64, each: u64) -> Duration {
    chain::with(folder, chain::genesis(ACCOUNTS), async |chain| {
        let mut number = chain.ledger().head().number();
        while number < height {
            let block: Vec<_> = (number * each..(number + 1) * each).map(transfer).collect();
            number = chain::mine(chain, &block).await.block.number();
        }
    });
    let start = Instant::now();
    chain::with(folder, chain::genesis(ACCOUNTS), async |chain| {
        assert_eq!(chain.ledger().head().number(), height, "blocks are missing");
        start.elapsed()
    })
}

fn main() -> Result<()> {
    let most = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse::<u64>())?;
    println!("A chain of blocks with one transfer each, closed and opened again.\n");
    println!("| blocks | opens in | state on disk | history on disk | a block |\n|---|---|---|---|---|");
    let folder = tempfile::tempdir()?;
    for level in LEVELS.into_iter().filter(|level| *level <= most) {
        let took = grow(folder.path(), level, 1);
        let (state, history) = (size(&folder.path().join("state"))?, size(&folder.path().join("history"))?);
        println!(
            "| {level} | {:.0} ms | {:.1} MB | {:.1} MB | {} bytes |",
            took.as_secs_f64() * 1e3,
            state as f64 / 1e6,
            history as f64 / 1e6,
            (state + history) / level
        );
    }

    let folder = tempfile::tempdir()?;
    let (each, blocks) = FULL;
    let took = grow(folder.path(), blocks, each);
    let (state, history) = (size(&folder.path().join("state"))?, size(&folder.path().join("history"))?);
    println!(
        "\nA transfer of coin is {} bytes as it is signed. In {blocks} full blocks of {each} it takes {} bytes of history and \
         {} of state on disk; that chain opens in {:.0} ms.",
        transfer(0).inner().encoded_2718().len(),
        history / (each * blocks),
        state / (each * blocks),
        took.as_secs_f64() * 1e3,
    );
    Ok(())
}

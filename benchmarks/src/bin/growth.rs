//! How block execution and memory grow with the number of accounts: one chain, filled up by transfers to new accounts, and
//! measured at each level with transfers between any of them.

use alloy_primitives::{Bytes, TxKind, U256};
use eyre::{ContextCompat as _, Result};
use std::{fs, sync::Arc, time::Instant};
use stoa_base::Recovered;
use stoa_benchmarks::{account, chain, median, random, rate, transaction};

/// Accounts at which is measured.
const LEVELS: [u64; 4] = [10_000, 100_000, 1_000_000, 10_000_000];

/// Transactions of a block that makes new accounts.
const PER_BLOCK: u64 = 10_000;

/// Transactions of blocks that are measured. Of many transactions between few accounts most change what another of the same block
/// changes as well, so that there is less to do for each.
const SIZES: [u64; 2] = [10_000, 1_000];

/// Transactions before a measurement, so that the caches hold what they would, and measured ones.
const TRANSACTIONS: (u64, u64) = (100_000, 200_000);

/// Blocks after which everything is written to the disk, as a node does again and again.
const SYNC: u64 = 50;

/// Who sent how many transactions, four bytes each: these are not to weigh on the memory that is measured.
struct Senders(Vec<u32>);

impl Senders {
    fn transfer(&mut self, from: u64, to: u64, value: U256) -> Arc<Recovered> {
        let nonce = &mut self.0[from as usize];
        *nonce += 1;
        let nonce = u64::from(*nonce - 1);
        transaction(account(from), nonce, TxKind::Call(account(to)), value, 21_000, Bytes::new())
    }
}

/// Bytes of this process in memory, without pages of files.
fn memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).wrap_err("no RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

fn main() -> Result<()> {
    let most = std::env::args().nth(1).map_or(Ok(10_000_000), |text| text.parse::<u64>())?;
    println!("Coin transfers between any two of so many accounts, on disk, with root, senders known.\n");
    let [large, small] = SIZES;
    println!(
        "| accounts | blocks of {large} | of the first (to reach: 0.7) | blocks of {small} | of the first | memory | more for each account |"
    );
    println!("|---|---|---|---|---|---|---|");
    let folder = tempfile::tempdir()?;
    let first = LEVELS[0];
    chain::with(folder.path(), chain::genesis(first), async |chain| {
        let mut senders = Senders(vec![0; most as usize]);
        let mut random = random();
        let (mut accounts, mut at_first, mut before) = (first, [None; 2], None);
        for level in LEVELS.into_iter().filter(|level| *level <= most) {
            while accounts < level {
                let new = accounts..(accounts + PER_BLOCK).min(level);
                let gift = U256::from(10).pow(U256::from(18));
                let block: Vec<_> = new.clone().map(|to| senders.transfer(to % first, to, gift)).collect();
                let number = chain::mine(chain, &block).await.block.number();
                accounts = new.end;
                if number % SYNC == 0 || accounts == level {
                    chain.sync().await.expect("the state is written");
                }
            }
            let mut measured = String::new();
            for (size, at_first) in SIZES.into_iter().zip(&mut at_first) {
                let mut rates = Vec::new();
                for number in 0..(TRANSACTIONS.0 + TRANSACTIONS.1) / size {
                    let one = |_| senders.transfer(random() % accounts, random() % accounts, U256::from(1));
                    let block: Vec<_> = (0..size).map(one).collect();
                    let start = Instant::now();
                    chain::mine(chain, &block).await;
                    if number * size >= TRANSACTIONS.0 {
                        rates.push(rate(size, start.elapsed()));
                    }
                }
                let rate = median(&mut rates);
                measured += &format!(" {rate:.0} tx/s | {:.2} |", rate / *at_first.get_or_insert(rate));
            }
            let memory = memory()?;
            let each = before.replace((accounts, memory)).map_or_else(String::new, |(fewer, less)| {
                format!("{:.0} bytes", (memory as f64 - less as f64) / (accounts - fewer) as f64)
            });
            println!("| {accounts} |{measured} {} MiB | {each} |", memory >> 20);
        }
        Ok(())
    })
}

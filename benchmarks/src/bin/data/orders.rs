//! Orders a second through the ledger, against its own transfers: both built block by block, on disk, with the root.

use crate::start::{listing, order};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_sol_types::{SolCall as _, SolEvent as _};
use eyre::{Result, ensure};
use std::{path::Path, sync::Arc, time::Instant};
use stoa_base::{Account, Genesis, Recovered};
use stoa_benchmarks::{account, chain, median, random, rate, row, transaction};
use stoa_contract::interfaces::IERC20;
use stoa_data::{
    jobs::COIN,
    market::abi::{
        FACTORY,
        IDatatoken::{OrderRecorded, mintCall},
        IFactory::TokenCreated,
    },
};

const PER_BLOCK: u64 = 10_000;
const ACCOUNTS: u64 = 20_000;

/// Assets that are ordered, each of a publisher of its own.
const ASSETS: u64 = 1_000;

/// Blocks of each kind.
const BLOCKS: usize = 9;

const GAS: u64 = 1_000_000;

fn genesis() -> Genesis {
    let mut genesis = chain::genesis(ACCOUNTS);
    let supply = genesis.alloc.values().map(|account| account.balance).sum();
    for native in stoa_node::natives().genesis(supply, 1) {
        let storage = native.storage.into_iter().collect();
        genesis.alloc.insert(native.address, Account { nonce: 1, code: native.code, storage, ..Account::default() });
    }
    genesis
}

/// Makes transactions of accounts, each with its next nonce.
struct Senders(Vec<u64>);

impl Senders {
    fn send(&mut self, from: u64, to: Address, value: U256, gas: u64, input: Vec<u8>) -> Arc<Recovered> {
        let nonce = self.0[from as usize];
        self.0[from as usize] += 1;
        transaction(account(from), nonce, TxKind::Call(to), value, gas, Bytes::from(input))
    }
}

/// Transactions a second in each block: coin transfers, native ERC-20 transfers, orders.
fn rates(folder: &Path) -> Result<[Vec<f64>; 3]> {
    let mut senders = Senders(vec![0; ACCOUNTS as usize]);
    let mut random = random();
    chain::with(folder, genesis(), async |chain| {
        let publishing: Vec<_> = (0..ASSETS)
            .map(|n| senders.send(n, FACTORY, U256::ZERO, 3 * GAS, listing(account(n)).abi_encode()))
            .collect();
        let made = chain::mine(chain, &publishing).await;
        let logs = made.receipts.iter().flat_map(|receipt| &receipt.logs);
        let tokens: Vec<_> =
            logs.filter_map(|log| TokenCreated::decode_log(log).ok()).map(|log| log.newTokenAddress).collect();
        ensure!(tokens.len() == ASSETS as usize, "{} datatokens were made", tokens.len());
        let mut rates: [Vec<f64>; 3] = Default::default();
        for _ in 0..BLOCKS {
            // Who orders what; each gets a datatoken for it first, which is not measured.
            let wanted: Vec<_> = (0..PER_BLOCK).map(|_| (random() % ACCOUNTS, random() % ASSETS)).collect();
            let given = wanted.iter().map(|(buyer, asset)| {
                let value = U256::from(10).pow(U256::from(18));
                let call = mintCall { account: account(*buyer), value };
                senders.send(*asset, tokens[*asset as usize], U256::ZERO, GAS, call.abi_encode())
            });
            let given: Vec<_> = given.collect();
            chain::mine(chain, &given).await;
            let mut coin = |senders: &mut Senders| {
                senders.send(random() % ACCOUNTS, account(random() % ACCOUNTS), U256::ONE, 21_000, Vec::new())
            };
            let coins: Vec<_> = (0..PER_BLOCK).map(|_| coin(&mut senders)).collect();
            let mut token = |senders: &mut Senders| {
                let call = IERC20::transferCall { to: account(random() % ACCOUNTS), value: U256::ONE };
                senders.send(random() % ACCOUNTS, COIN, U256::ZERO, 100_000, call.abi_encode())
            };
            let transfers: Vec<_> = (0..PER_BLOCK).map(|_| token(&mut senders)).collect();
            let orders = wanted.iter().map(|(buyer, asset)| {
                let call = order(account(*buyer)).abi_encode();
                senders.send(*buyer, tokens[*asset as usize], U256::ZERO, GAS, call)
            });
            let orders: Vec<_> = orders.collect();
            for (block, rates) in [coins, transfers, orders].iter().zip(&mut rates) {
                let start = Instant::now();
                let mined = chain::mine(chain, block).await;
                rates.push(rate(PER_BLOCK, start.elapsed()));
                let logs = mined.receipts.iter().flat_map(|receipt| &receipt.logs);
                let recorded = logs.filter(|log| OrderRecorded::decode_log(log).is_ok()).count();
                ensure!(recorded == 0 || recorded == block.len(), "{recorded} orders were recorded");
            }
        }
        Ok(rates)
    })
}

/// Prints the table.
pub fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [coins, transfers, orders] = rates(folder.path())?.each_mut().map(|rates| median(rates));
    println!("\nOrders ({ASSETS} assets, {ACCOUNTS} buyers), {BLOCKS} blocks of {PER_BLOCK} of each kind, medians.\n");
    println!(
        "| built block by block, on disk, with root | orders | transfers | ratio | to reach |\n|---|---|---|---|---|"
    );
    row("orders; coin transfers", orders, coins, "tx/s", "0.3");
    row("orders; transfers of the native ERC-20", orders, transfers, "tx/s", "-");
    Ok(())
}

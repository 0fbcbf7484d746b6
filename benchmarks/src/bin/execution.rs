//! Block execution: the ledger, with state on disk, root computed and history written, against bare `revm` with its
//! in-memory database, on the same transactions in the same run.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use alloy_sol_types::{SolCall, sol};
use eyre::Result;
use revm::{
    Context, DatabaseCommit as _, ExecuteEvm as _, MainBuilder as _, MainContext as _,
    context::{BlockEnv, CfgEnv},
    database::{CacheDB, EmptyDB},
    primitives::hardfork::SpecId,
    state::{AccountInfo, Bytecode},
};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use stoa_base::{Account, Block, Genesis, Recovered};
use stoa_benchmarks::{CHAIN_ID, account, chain, median, random, rate, row, transaction};
use stoa_contract::Natives;
use stoa_ledger::execute::tx_env;

sol! {
    function transfer(address to, uint256 value) external returns (bool);
}

const COIN: Address = alloy_primitives::address!("0000000000000000000000000000000000000C01");
const TOKEN: Address = Address::repeat_byte(0x70);
const PER_BLOCK: u64 = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Coin,
    Native,
    Solidity,
    Mixed,
}

fn genesis(accounts: u64) -> Genesis {
    let mut genesis = chain::genesis(accounts);
    let code = Bytes::from(hex::decode(include_str!("../../contracts/Token.hex").trim()).expect("the file is hex"));
    let storage = (0..accounts).map(|n| (balance_slot(account(n)), B256::from(U256::from(1) << 100)));
    genesis.alloc.insert(TOKEN, Account { nonce: 1, code, storage: storage.collect(), ..Account::default() });
    let supply = genesis.alloc.values().map(|account| account.balance).sum();
    for native in stoa_contract::Natives::stoa().genesis(supply, 1) {
        let storage = native.storage.into_iter().collect();
        genesis.alloc.insert(native.address, Account { nonce: 1, code: native.code, storage, ..Account::default() });
    }
    genesis
}

/// Where OpenZeppelin's ERC-20 keeps a balance: the mapping at slot 0.
fn balance_slot(owner: Address) -> B256 {
    let mut key = [0; 64];
    key[12..32].copy_from_slice(owner.as_slice());
    alloy_primitives::keccak256(key)
}

/// Blocks of transactions among `accounts`, each sent by another account of its block.
fn blocks(kind: Kind, accounts: u64, count: u64) -> Vec<Vec<Arc<Recovered>>> {
    let mut nonces = vec![0; accounts as usize];
    let mut random = random();
    let mut one = |index: u64| {
        let (from, to) = (random() % accounts, account(random() % accounts));
        let nonce = nonces[from as usize];
        nonces[from as usize] += 1;
        let kind = match kind {
            Kind::Mixed => [Kind::Coin, Kind::Native, Kind::Solidity][index as usize % 3],
            kind => kind,
        };
        let input = Bytes::from(transferCall { to, value: U256::from(1) }.abi_encode());
        match kind {
            Kind::Coin => transaction(account(from), nonce, TxKind::Call(to), U256::from(1), 21_000, Bytes::new()),
            Kind::Native => transaction(account(from), nonce, TxKind::Call(COIN), U256::ZERO, 100_000, input),
            _ => transaction(account(from), nonce, TxKind::Call(TOKEN), U256::ZERO, 100_000, input),
        }
    };
    (0..count).map(|_| (0..PER_BLOCK).map(&mut one).collect()).collect()
}

/// Builds blocks, one after the other: how many transactions a second in each, and the blocks.
fn built(folder: &Path, genesis: Genesis, blocks: &[Vec<Arc<Recovered>>]) -> (Vec<f64>, Vec<Arc<Block>>) {
    chain::with(folder, genesis, async |chain| {
        let (mut rates, mut made) = (Vec::new(), Vec::new());
        for block in blocks {
            let start = Instant::now();
            made.push(chain::mine(chain, block).await.block);
            rates.push(rate(PER_BLOCK, start.elapsed()));
        }
        (rates, made)
    })
}

/// Executes known blocks, as a node does that catches up: how many transactions a second.
fn replayed(folder: &Path, genesis: Genesis, made: &[Arc<Block>], blocks: &[Vec<Arc<Recovered>>]) -> f64 {
    chain::with(folder, genesis, async |chain| {
        let known = made.iter().cloned().zip(blocks.iter().cloned());
        let start = Instant::now();
        chain.replay(known, |_, _| {}).await.expect("the blocks are valid");
        chain.sync().await.expect("the state is written");
        assert_eq!(chain.ledger().head().hash(), made.last().expect("there are blocks").hash());
        rate(PER_BLOCK * made.len() as u64, start.elapsed())
    })
}

/// The genesis in memory.
fn in_memory(genesis: &Genesis) -> CacheDB<EmptyDB> {
    let mut db = CacheDB::new(EmptyDB::default());
    for (address, account) in &genesis.alloc {
        let code = Bytecode::new_legacy(account.code.clone());
        let info = AccountInfo { balance: account.balance, nonce: account.nonce, ..AccountInfo::from_bytecode(code) };
        db.insert_account_info(*address, info);
        for (slot, value) in &account.storage {
            let _ = db.insert_account_storage(*address, (*slot).into(), (*value).into());
        }
    }
    db
}

/// Our machine by itself, in memory and without a root: how many transactions a second in each block.
fn machine(genesis: &Genesis, blocks: &[Vec<Arc<Recovered>>]) -> Vec<f64> {
    let mut db = in_memory(genesis);
    let mut rates = Vec::new();
    for (number, block) in (1..).zip(blocks) {
        let env =
            BlockEnv { number: U256::from(number), gas_limit: genesis.gas_limit, basefee: 0, ..BlockEnv::default() };
        let start = Instant::now();
        let mut evm = stoa_contract::Evm::new(&mut db, env, stoa_contract::cfg(CHAIN_ID), Natives::stoa());
        for transaction in block {
            let env = tx_env(transaction).expect("no blob transactions");
            let result = evm.transact_one(env).expect("the transaction is valid");
            assert!(result.is_success(), "a transaction failed");
        }
        let state = evm.finalize();
        rates.push(rate(PER_BLOCK, start.elapsed()));
        drop(evm);
        db.commit(state);
    }
    rates
}

fn bare(genesis: &Genesis, blocks: &[Vec<Arc<Recovered>>]) -> Vec<f64> {
    let mut db = in_memory(genesis);
    let mut cfg = CfgEnv::new_with_spec(SpecId::OSAKA);
    cfg.chain_id = CHAIN_ID;
    let mut rates = Vec::new();
    for (number, block) in (1..).zip(blocks) {
        let env =
            BlockEnv { number: U256::from(number), gas_limit: genesis.gas_limit, basefee: 0, ..BlockEnv::default() };
        let start = Instant::now();
        let mut evm = Context::mainnet().with_db(&mut db).with_block(env).with_cfg(cfg.clone()).build_mainnet();
        for transaction in block {
            let env = tx_env(transaction).expect("no blob transactions");
            let result = evm.transact_one(env).expect("the transaction is valid");
            assert!(result.is_success(), "a transaction failed");
        }
        let state = evm.finalize();
        drop(evm);
        db.commit(state);
        rates.push(rate(PER_BLOCK, start.elapsed()));
    }
    rates
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let accounts = arguments.next().map_or(Ok(100_000), |text| text.parse::<u64>())?;
    let count = arguments.next().map_or(Ok(20), |text| text.parse::<u64>())?;
    println!("Block execution, {accounts} accounts, {count} blocks of {PER_BLOCK} transactions, senders known.\n");
    println!("| transactions | ledger, on disk, with root | bare revm in memory | ratio | to reach |");
    println!("|---|---|---|---|---|");
    let genesis = genesis(accounts);
    let mut native_time = Duration::ZERO;
    let mut solidity_time = Duration::ZERO;
    // Coin, native, Solidity.
    let mut alone = [0.0; 3];
    let only = arguments.next();
    for kind in [Kind::Coin, Kind::Native, Kind::Solidity, Kind::Mixed] {
        if only.as_ref().is_some_and(|only| *only != format!("{kind:?}")) {
            continue;
        }
        let (first, second) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let blocks = blocks(kind, accounts, count);
        let (mut rates, made) = built(first.path(), genesis.clone(), &blocks);
        let building = median(&mut rates);
        let ours = replayed(second.path(), genesis.clone(), &made, &blocks);
        let by_itself = median(&mut machine(&genesis, &blocks));
        match kind {
            Kind::Coin => alone[0] = by_itself,
            Kind::Native => alone[1] = by_itself,
            Kind::Solidity => alone[2] = by_itself,
            Kind::Mixed => {}
        }
        match kind {
            Kind::Native => native_time = Duration::from_secs_f64(1.0 / ours),
            Kind::Solidity => solidity_time = Duration::from_secs_f64(1.0 / ours),
            _ => {}
        }
        // Bare revm knows no native contracts: the same transfers on the Solidity token stand in for them.
        let comparable = match kind {
            Kind::Native => self::blocks(Kind::Solidity, accounts, count),
            Kind::Mixed => blocks
                .iter()
                .map(|block| {
                    let mut block = block.clone();
                    for transaction in &mut block {
                        use alloy_consensus::Transaction as _;
                        if transaction.to() == Some(COIN) {
                            *transaction = stoa_benchmarks::transaction(
                                transaction.signer(),
                                transaction.nonce(),
                                TxKind::Call(TOKEN),
                                U256::ZERO,
                                100_000,
                                transaction.input().clone(),
                            );
                        }
                    }
                    block
                })
                .collect(),
            _ => blocks,
        };
        let bare = median(&mut bare(&genesis, &comparable));
        row(&format!("{kind:?}, known blocks"), ours, bare, "tx/s", "0.5");
        row(&format!("{kind:?}, blocks built one by one"), building, bare, "tx/s", "-");
    }
    let ratio = solidity_time.as_secs_f64() / native_time.as_secs_f64();
    println!(
        "\nA native ERC-20 transfer takes {:.2} µs, the same in Solidity {:.2} µs: {ratio:.2}× (to reach: 3×).",
        native_time.as_secs_f64() * 1e6,
        solidity_time.as_secs_f64() * 1e6
    );
    let [coin, native, solidity] = alone.map(|rate| 1e6 / rate);
    println!(
        "In our machine alone, in memory and without a root: {native:.2} µs and {solidity:.2} µs; of both {coin:.2} µs are \
         what any transaction takes. What the call adds: {:.2} µs and {:.2} µs, {:.2}×.",
        native - coin,
        solidity - coin,
        (solidity - coin) / (native - coin)
    );
    Ok(())
}

//! From an order to a program's first instruction, and what of that is the sandbox's.

use crate::{MODULE, both, market::Market, milliseconds, times};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_sol_types::SolEvent as _;
use eyre::{ContextCompat as _, Result, ensure};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};
use stoa_benchmarks::median;
use stoa_client::Wallet;
use stoa_data::{
    jobs::{
        MILLION,
        abi::WASM,
        algorithm,
        client::{Wanted, Who},
        rules::{Rules, Shape},
    },
    market::abi::{
        DatatokenData, FACTORY,
        IDatatoken::{mintCall, startOrderCall},
        IFactory::{TokenCreated, createNftWithErc20Call},
        MarketQuote, NftData, ProviderQuote,
    },
};
use stoa_sandbox::{Control, Ended, Job, Process, Runtime as _, Wasm};
use wasmtime::{Engine, InstancePre, Linker, Module, Store};

/// How often each is measured.
const ROUNDS: usize = 51;

/// A program that writes a byte and ends.
const TINY: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 8) "\20\00\00\00\01\00\00\00") (data (i32.const 32) "1") (data (i32.const 64) "result")
    (func (export "_start")
        (drop (call $open (i32.const 4) (i32.const 0) (i32.const 64) (i32.const 6) (i32.const 1) (i64.const 66)
            (i64.const 0) (i32.const 0) (i32.const 0)))
        (drop (call $write (i32.load (i32.const 0)) (i32.const 8) (i32.const 1) (i32.const 16)))))"#;

/// Prints the table.
pub fn run() -> Result<()> {
    println!("\nThe start of a program, {ROUNDS} times each, medians; ours ends the program as well.\n");
    println!("| start | ours | bare | ratio | to reach |\n|---|---|---|---|---|");
    modules()?;
    process()?;
    job()
}

fn failed(error: wasmtime::Error) -> eyre::Report {
    eyre::eyre!("{error:#}")
}

fn instantiate(engine: &Engine, module: &InstancePre<()>) -> Result<()> {
    module.instantiate(&mut Store::new(engine, ())).map(drop).map_err(failed)
}

/// Bare wasmtime: a module, and what it wants traps.
fn bare(engine: &Engine, module: &Module) -> Result<InstancePre<()>> {
    let mut linker = Linker::new(engine);
    linker.define_unknown_imports_as_traps(module).map_err(failed)?;
    linker.instantiate_pre(module).map_err(failed)
}

/// Runs the module without parameters, so that it ends as soon as it has begun.
fn ends(wasm: &Wasm) -> Result<()> {
    let mut job = Job::new(MODULE);
    job.command = vec!["algorithm".into()];
    let outcome = wasm.run(&job, &Control::new())?;
    ensure!(outcome.ended == Ended::Exited(1), "the program did not miss its parameters: {:?}", outcome.ended);
    Ok(())
}

#[expect(unsafe_code, reason = "what wasmtime has compiled is run as it is")]
fn load(engine: &Engine, file: &Path) -> Result<Module> {
    // SAFETY: the file was written by `Module::serialize` of this engine a moment ago, in a folder of this process.
    unsafe { Module::deserialize_file(engine, file) }.map_err(failed)
}

fn modules() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let engine = Engine::default();
    let module = Module::new(&engine, MODULE).map_err(failed)?;
    let wasm = Wasm::new(None)?;
    wasm.prepare(&Job::new(MODULE))?;
    let ready = bare(&engine, &module)?;
    let (ours, other) = both(ROUNDS, || ends(&wasm), || instantiate(&engine, &ready))?;
    times("a module of 166 KB that is in memory", ours, other, "-");

    let (cache, file) = (folder.path().join("cache"), folder.path().join("compiled"));
    Wasm::new(Some(cache.clone()))?.prepare(&Job::new(MODULE))?;
    fs::write(&file, module.serialize().map_err(failed)?)?;
    let ours = || ends(&Wasm::new(Some(cache.clone()))?);
    let other = || {
        let engine = Engine::default();
        let module = load(&engine, &file)?;
        instantiate(&engine, &bare(&engine, &module)?)
    };
    let (ours, other) = both(ROUNDS, ours, other)?;
    times("compiled before, from the disk, in a new runtime", ours, other, "10 ms");

    let ours = || ends(&Wasm::new(None)?);
    let other = || {
        let engine = Engine::default();
        let module = Module::new(&engine, MODULE).map_err(failed)?;
        instantiate(&engine, &bare(&engine, &module)?)
    };
    let (ours, other) = both(5, ours, other)?;
    times("never seen before: compiled", ours, other, "-");
    Ok(())
}

fn process() -> Result<()> {
    let process = Process::new()?;
    let mut job = Job::new(&b""[..]);
    job.command = vec!["true".into()];
    let ours = || {
        let outcome = process.run(&job, &Control::new())?;
        ensure!(outcome.succeeded(), "{:?}: {}", outcome.ended, outcome.log.text());
        Ok(())
    };
    let other = || {
        let mut command = Command::new("bwrap");
        let status = command.args(["--ro-bind", "/", "/", "--unshare-all", "true"]).stdin(Stdio::null()).status()?;
        ensure!(status.success(), "bwrap: {status}");
        Ok(())
    };
    let (ours, other) = both(ROUNDS, ours, other)?;
    times("a process: `true`; `bwrap --unshare-all true`", ours, other, "-");
    Ok(())
}

fn nobody() -> (ProviderQuote, MarketQuote) {
    let (zero, none) = (Address::ZERO, U256::ZERO);
    let provider = ProviderQuote {
        feeAddress: zero,
        feeToken: zero,
        amount: none,
        v: 0,
        r: B256::ZERO,
        s: B256::ZERO,
        validUntil: none,
        data: Bytes::new(),
    };
    (provider, MarketQuote { feeAddress: zero, feeToken: zero, amount: none })
}

/// An order for whoever sends it.
pub fn order(consumer: Address) -> startOrderCall {
    let (provider, market) = nobody();
    startOrderCall { consumer, serviceIndex: U256::ZERO, providerFee: provider, consumeMarketFee: market }
}

/// What makes an NFT and its datatoken.
pub fn listing(owner: Address) -> createNftWithErc20Call {
    let (zero, one) = (Address::ZERO, U256::ONE);
    let nft = NftData {
        name: "Data".into(),
        symbol: "DATA".into(),
        templateIndex: one,
        tokenURI: String::new(),
        transferable: true,
        owner,
    };
    let datatoken = DatatokenData {
        templateIndex: one,
        strings: vec!["Access".into(), "ACC".into()],
        addresses: vec![owner, zero, zero, zero],
        uints: vec![U256::MAX, U256::ZERO],
        bytess: Vec::new(),
    };
    createNftWithErc20Call { nft, datatoken }
}

async fn datatoken(owner: &Wallet, buyer: Address) -> Result<Address> {
    let receipt = owner.call(FACTORY, &listing(owner.address())).await?;
    let made = receipt.inner.logs().iter().find_map(|log| TokenCreated::decode_log(&log.inner).ok());
    let token = made.wrap_err("a datatoken was made")?.newTokenAddress;
    let value = U256::from(1000) * U256::from(10).pow(U256::from(18));
    owner.call(token, &mintCall { account: buyer, value }).await?;
    Ok(token)
}

/// An order is placed for a datatoken that the buyer has, a job begun under the grant that it opens, the program sent, and run.
fn job() -> Result<()> {
    let market = Market::start(1)?;
    let files = [("result".to_owned(), Shape::Anything { most: 1 })].into();
    let rules = Rules { files, rounds: 1, budget: 1_000_000, ..Rules::default() };
    let tiny = wat::parse_str(TINY)?;
    let (site, wallet, buyer) = (&market.sites[0], &market.wallet, &market.buyer);
    let mut parts: [Vec<f64>; 6] = Default::default();
    market.runtime.block_on(async {
        let token = datatoken(&site.wallet, wallet.address()).await?;
        let asset = site.offer("nothing", &rules, Who::Order(token, 0)).await?;
        let wanted = Wanted { algorithm: algorithm(&tiny), runtime: WASM, rounds: 1, fuel: MILLION, most: U256::MAX };
        for round in 0..=ROUNDS {
            let mut at = vec![Instant::now()];
            wallet.send(TxKind::Call(wallet.address()), U256::ONE, Bytes::new()).await?;
            at.push(Instant::now());
            wallet.call(token, &order(wallet.address())).await?;
            at.push(Instant::now());
            let begun = buyer.begin(asset, &wanted).await?;
            at.push(Instant::now());
            buyer.send(&begun, &tiny).await?;
            at.push(Instant::now());
            buyer.round(&begun, 0, b"{}", |_| ()).await?;
            at.push(Instant::now());
            buyer.end(&begun).await?;
            // The first one compiles.
            if round > 0 {
                for (part, pair) in parts.iter_mut().zip(at.windows(2)) {
                    part.push(milliseconds(pair[1] - pair[0]));
                }
                parts[5].push(milliseconds(at[5] - at[1]));
            }
        }
        Ok::<_, eyre::Report>(())
    })?;
    market.stop()?;
    let [block, order, begin, send, round, all] = parts.each_mut().map(|part| median(part));
    let bound = 2.0 * block + 20.0;
    times("order to first instruction; two transfers and 20 ms", all, bound, "1");
    println!(
        "\nA transfer is final in {block:.1} ms. Order {order:.1}, job begun {begin:.1}, program sent {send:.1}, run and \
         its end told {round:.1} ms."
    );
    Ok(())
}

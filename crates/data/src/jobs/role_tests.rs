//! Nodes that compute, with the contracts themselves on a ledger in memory, and programs that do what they should not.

mod gone;
mod holes;
mod leaks;
mod notes;
mod places;
mod ready;

use super::{
    abi::{
        BROKEN, CONFIRMED, DRAWN, FAILED, FALSE, FINISHED, IJobs::*, JOBS, LIMITED, PROCESS, REFUTED, REPEATABLE,
        STOPPED, SUCCEEDED, UNDECIDED, WASM, WITHHELD,
    },
    check::{Asking, Auditor},
    data::DataSet,
    held::Held,
    receipt_digest, rerun,
    role::{Answering, Computer, Runtimes, Sender},
    rules::{Rules, Shape},
    tests::terms,
    wire::{Request, Round, signed_from_bytes},
};
use crate::{
    abi::IConsent::{eraseCall, grantCall, registerCall, revokeCall},
    keeper::tests::Ledger,
    registry::sign_digest,
};
use alloy_primitives::{Address, B256, U256};
use commonware_codec::{Copying, DecodeExt as _};
use commonware_cryptography::{Signer as _, ed25519};
use futures::FutureExt as _;
use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};
use stoa_base::NodeId;
use stoa_contract::coin;
use stoa_net::{Denied, Service as _, read_answer};
use stoa_sandbox::{Control, Wasm};
use tempfile::TempDir;

const CHAIN: u64 = 31337;
const OWNER: Address = Address::repeat_byte(0xa1);
const BUYER: Address = Address::repeat_byte(0xa2);
const PUBLISHER: Address = Address::repeat_byte(0xa3);

const FUEL: u64 = 10_000_000_000;
const ROWS: &str = "63,1,1,145";
const RESULT: &str = r#"{"rows":12,"values":[1.5,2]}"#;

/// A program that copies a file to `/out/result.json`, and prints it.
pub(crate) fn copies(path: &str) -> Vec<u8> {
    program(&format!(
        r#"(data (i32.const 4096) "{path}") (data (i32.const 5000) "result.json")
        (func (export "_start")
            (if (call $open (i32.const 3) (i32.const 0) (i32.const 4096) (i32.const {}) (i32.const 0) (i64.const 2) (i64.const 0)
                    (i32.const 0) (i32.const 0)) (then (call $exit (i32.const 7))))
            (i32.store (i32.const 100) (i32.const 65536)) (i32.store (i32.const 104) (i32.const 60000))
            (drop (call $read (i32.load (i32.const 0)) (i32.const 100) (i32.const 1) (i32.const 108)))
            (i32.store (i32.const 104) (i32.load (i32.const 108)))
            (drop (call $open (i32.const 4) (i32.const 0) (i32.const 5000) (i32.const 11) (i32.const 1) (i64.const 66)
                (i64.const 0) (i32.const 0) (i32.const 4)))
            (drop (call $write (i32.load (i32.const 4)) (i32.const 100) (i32.const 1) (i32.const 108)))
            (drop (call $write (i32.const 1) (i32.const 100) (i32.const 1) (i32.const 108))))"#,
        path.len()
    ))
}

fn program(rest: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (memory (export "memory") 4) {rest})"#
    ))
    .unwrap()
}

pub(crate) fn loops() -> Vec<u8> {
    program(r#"(func (export "_start") (loop $again (br $again)))"#)
}

fn rules() -> Rules {
    let keys = ["rows", "values"].map(str::to_owned).to_vec();
    let shape = Shape::Numbers { most: 100, keys, words: Vec::new(), rows: None };
    Rules { files: [("result.json".to_owned(), shape)].into(), rounds: 3, budget: 9, ..Rules::default() }
}

/// The key by which the node knows the buyer.
static CLIENTS_KEY: LazyLock<ed25519::PrivateKey> = LazyLock::new(|| ed25519::PrivateKey::from_seed(9));
static CLIENT: LazyLock<NodeId> = LazyLock::new(|| NodeId::from(&CLIENTS_KEY.public_key()));

struct Scene {
    ledger: Arc<Ledger>,
    computer: Answering,
    folder: TempDir,
    asset: B256,
    grant: B256,
}

fn key() -> ed25519::PrivateKey {
    ed25519::PrivateKey::decode(Copying(&[7; 32])).unwrap()
}

fn open(folder: &TempDir, ledger: &Arc<Ledger>) -> Answering {
    let runtimes = Runtimes::new(None).unwrap().with_processes(&[]).unwrap();
    let computer = Computer::open(&folder.path().join("data"), runtimes, key(), CHAIN, ledger.clone()).unwrap();
    Answering(Arc::new(computer))
}

/// Data offered by a node, and a grant for the buyer.
fn scene(rules: &Rules) -> Scene {
    scene_with(rules, Checks::default())
}

fn scene_with(rules: &Rules, checks: Checks) -> Scene {
    scene_of(&[("rows.csv", ROWS.as_bytes()), ("good.json", RESULT.as_bytes())], rules, checks)
}

/// These files offered by a node, and a grant for the buyer.
fn scene_of(files: &[(&str, &[u8])], rules: &Rules, checks: Checks) -> Scene {
    let (ledger, folder) = (Arc::new(Ledger::new()), tempfile::tempdir().unwrap());
    let register = registerCall {
        salt: B256::ZERO,
        object: B256::ZERO,
        sharing: B256::ZERO,
        needed: 0,
        keepers: vec![],
        ownerHalf: true,
    };
    let asset = ledger.send(OWNER, register);
    let from = folder.path().join("from");
    fs::create_dir(&from).unwrap();
    for (name, bytes) in files {
        fs::write(from.join(name), bytes).unwrap();
    }
    let data = DataSet::create(&folder.path().join("data").join(asset.to_string()), &from, rules).unwrap();
    let computer = open(&folder, &ledger);
    let offer = Offer {
        node: computer.0.id().into(),
        data: data.hash,
        rules: rules.hash(),
        token: coin::ADDRESS,
        payTo: OWNER,
        base: U256::ZERO,
        price: U256::ZERO,
        fuel: FUEL,
        time: 3600,
        runtimes: WASM | PROCESS | if rules.tolerance.is_some() { REPEATABLE } else { 0 },
        checks,
    };
    ledger.attempt(OWNER, JOBS, offerCall { asset, offer }).unwrap();
    let grant = ledger.send(OWNER, grantCall { asset, terms: terms(BUYER) });
    Scene { ledger, computer, folder, asset, grant }
}

/// The account of a node.
fn sender(ledger: &Arc<Ledger>) -> Sender {
    let ledger = ledger.clone();
    Box::new(move |call| {
        let sent = ledger.with(move |bench| {
            bench.pass(1);
            bench.send_raw(OWNER, JOBS, U256::ZERO, call.into()).map(drop)
        });
        async { sent.map_err(|error| format!("{error:?}")) }.boxed()
    })
}

fn why<T: std::fmt::Debug>(outcome: Result<T, Denied>) -> String {
    outcome.expect_err("it was done").to_string()
}

impl Scene {
    /// What begins a job of this program.
    fn call(&self, code: &[u8]) -> startCall {
        let (grant, client, algorithm) = (self.grant, (*CLIENT).into(), super::algorithm(code));
        // A tenth of a second of a processor is little for a process.
        let (runtime, fuel) = (super::runtime_of(code), if code.starts_with(b"#!") { FUEL } else { 100_000_000 });
        startCall { grant, algorithm, client, runtime, fuel, most: U256::ZERO, offer: 1 }
    }

    fn start(&self, code: &[u8]) -> B256 {
        self.ledger.attempt(BUYER, JOBS, self.call(code)).unwrap()
    }

    async fn ask(&self, request: Request) -> Result<Vec<u8>, Denied> {
        let answered = self.computer.answer(*CLIENT, request.to_bytes()).await;
        read_answer(&answered).map(<[u8]>::to_vec)
    }

    /// Runs a round to its end.
    async fn round(&self, job: B256, number: u32, params: &str) -> Result<Round, Denied> {
        self.ask(Request::Round(job, number, params.as_bytes().to_vec())).await?;
        loop {
            let bytes = self.ask(Request::Look(job, number)).await?;
            match Round::decode(Copying(&bytes[..])).unwrap() {
                Round::Running(_) | Round::Held => {}
                round => return Ok(round),
            }
        }
    }

    /// A job of one round.
    async fn run(&self, code: Vec<u8>) -> (B256, Round) {
        self.run_with(code, "{}").await
    }

    async fn run_with(&self, code: Vec<u8>, params: &str) -> (B256, Round) {
        let job = self.start(&code);
        self.ask(Request::Code(job, code)).await.unwrap();
        (job, self.round(job, 0, params).await.unwrap())
    }

    async fn end(&self, job: B256) -> Receipt {
        let bytes = self.ask(Request::End(job)).await.unwrap();
        let (receipt, signature) = signed_from_bytes(&bytes).unwrap();
        let call = finishCall { job, receipt: receipt.clone(), signature: signature.to_vec().into() };
        self.ledger.attempt(BUYER, JOBS, call).unwrap();
        receipt
    }
}

/// How the newest round of a job stands.
async fn status(scene: &Scene, job: B256) -> Round {
    let status = scene.ask(Request::Status(job)).await.unwrap();
    Round::decode(Copying(&status[..])).unwrap()
}

fn left(round: Round) -> String {
    match round {
        Round::Left { files, .. } => String::from_utf8(files["result.json"].clone()).unwrap(),
        round => panic!("{round:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_runs_beside_the_data_and_what_may_leave_leaves_under_a_receipt() {
    let scene = scene(&Rules { budget: 100, ..rules() });
    let code = copies("params.json");
    let job = scene.start(&code);
    assert!(why(scene.round(job, 0, "{}").await).contains("send the program first"));
    assert!(why(scene.ask(Request::Code(job, loops())).await).contains("this is"));
    scene.ask(Request::Code(job, code.clone())).await.unwrap();
    assert!(why(scene.round(job, 1, "{}").await).contains("round 0 is next"));
    assert!(why(scene.round(job, 0, "not json").await).contains("not JSON"));
    let rounds = [RESULT, r#"{"rows":10,"values":[3]}"#, r#"{"rows":11}"#];
    for (number, params) in (0..).zip(rounds) {
        let round = scene.round(job, number, params).await.unwrap();
        let Round::Left { log, .. } = &round else { panic!("{round:?}") };
        assert_eq!(*log, None, "the owner lets no log leave");
        assert_eq!(left(round), params);
    }
    assert!(why(scene.round(job, 3, "{}").await).contains("3 times in a job"));
    // Nobody else is heard.
    let strange = scene.computer.answer(NodeId([8; 32]), Request::Look(job, 2).to_bytes()).await;
    assert!(why(read_answer(&strange)).contains("another key"));
    let receipt = scene.end(job).await;
    assert_eq!((receipt.rounds, receipt.ended, receipt.fuel % 1_000_000), (3, SUCCEEDED, 0));

    // Somebody who may see the data runs it again, and comes to the same.
    let is = scene.ledger.with(move |bench| bench.view(JOBS, &jobOfCall { job })).unwrap();
    let data = DataSet::open(&scene.folder.path().join("data").join(scene.asset.to_string())).unwrap();
    let (wasm, params) = (Wasm::new(None).unwrap(), rounds.map(|params| params.as_bytes().to_vec()));
    assert_eq!(rerun(&wasm, job, &is, &data, &code, &params, &Control::new()).unwrap().receipt, receipt);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_do_not_leave_by_files_the_log_or_errors() {
    let scene = scene(&rules());
    let (job, round) = scene.run(copies("rows.csv")).await;
    let Round::Over(WITHHELD, said) = round else { panic!("{round:?}") };
    assert!(said.contains("not JSON") && !said.contains("63"), "{said}");
    let receipt = scene.end(job).await;
    assert_eq!((receipt.ended, receipt.rounds, receipt.output), (WITHHELD, 0, B256::ZERO));
    // The owner's own file with the right shape, and one that there is not: how it failed is not told.
    let (_, round) = scene.run(copies("nothing")).await;
    assert_eq!(round, Round::Over(FAILED, "the program failed".into()));
    // Where the owner lets the log leave it leaves.
    let open = scene_with_log();
    let (_, round) = open.run(copies("good.json")).await;
    assert!(matches!(&round, Round::Left { log: Some(log), .. } if log == RESULT), "{round:?}");
    let (_, round) = open.run(copies("nothing")).await;
    assert!(matches!(&round, Round::Over(FAILED, said) if said.contains("(with code 7)")), "{round:?}");
}

fn scene_with_log() -> Scene {
    scene(&Rules { log: true, budget: 1000, ..rules() })
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_jobs_are_as_good_as_a_large_one_and_the_budget_knows() {
    let scene = scene(&rules());
    // Three numbers each, and one for the round, of nine.
    for _ in 0..2 {
        assert_eq!(left(scene.run(copies("good.json")).await.1), RESULT);
    }
    let (_, round) = scene.run(copies("good.json")).await;
    assert!(matches!(&round, Round::Over(WITHHELD, said) if said.contains("used up: 0 of 9")), "{round:?}");
    // The node remembers after it was ended.
    let again = Scene { computer: open(&scene.folder, &scene.ledger), ..scene };
    let (_, round) = again.run(copies("good.json")).await;
    assert!(matches!(round, Round::Over(WITHHELD, _)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_does_not_end_is_ended_by_its_steps_or_its_buyer() {
    let scene = scene(&rules());
    let (job, round) = scene.run(loops()).await;
    assert_eq!(round, Round::Over(LIMITED, super::run::OUT_OF_STEPS.into()));
    assert_eq!(scene.end(job).await.fuel, 100_000_000);
    // Stopped while it runs.
    let job = scene.start(&loops());
    scene.ask(Request::Code(job, loops())).await.unwrap();
    scene.ask(Request::Round(job, 0, b"{}".to_vec())).await.unwrap();
    let receipt = scene.end(job).await;
    assert!([STOPPED, LIMITED].contains(&receipt.ended), "{receipt:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_waits_for_its_turn_is_stopped_by_its_buyer() {
    let scene = scene(&rules());
    let (code, mut turns, mut jobs) = (copies("good.json"), Vec::new(), Vec::new());
    while let Some(turn) = scene.computer.0.turns.run(None).now_or_never() {
        turns.push(turn.unwrap());
    }
    // One waits to run, the other to be made ready.
    for _ in 0..2 {
        let job = scene.start(&code);
        scene.ask(Request::Code(job, code.clone())).await.unwrap();
        scene.ask(Request::Round(job, 0, b"{}".to_vec())).await.unwrap();
        jobs.push(job);
    }
    for job in jobs.into_iter().rev() {
        let receipt = scene.end(job).await;
        assert_eq!((receipt.ended, receipt.rounds, receipt.fuel), (STOPPED, 0, 0));
    }
    drop(turns);
    assert_eq!(left(scene.run(code).await.1), RESULT);
    assert_eq!(spent(&scene), 4, "rounds that never ran count nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_is_stopped_while_another_program_of_the_machine_runs_on_other_data_has_not_run() {
    let scene = scene(&rules());
    let (process, control) = (scene.computer.0.runtimes.of(PROCESS).unwrap(), Control::new());
    let own = control.clone();
    let mut endless = stoa_sandbox::Job::new(&b"#!/bin/sh\nwhile true; do true; done\n"[..]);
    endless.command = vec!["/code/main".into()];
    let other = std::thread::spawn(move || process.run(&endless, &own).unwrap());
    while control.cpu().is_zero() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let script = leaves(RESULT);
    let job = scene.start(&script);
    scene.ask(Request::Code(job, script.clone())).await.unwrap();
    scene.ask(Request::Round(job, 0, b"{}".to_vec())).await.unwrap();
    // It has its turn, and waits all the same.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(matches!(status(&scene, job).await, Round::Running(_)));
    let receipt = scene.end(job).await;
    assert_eq!((receipt.ended, receipt.rounds, receipt.fuel, receipt.params), (STOPPED, 0, 0, B256::ZERO));
    control.cancel();
    other.join().unwrap();
    assert_eq!(left(scene.run(script).await.1), RESULT);
    assert_eq!(spent(&scene), 4, "a round that never ran counts nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_consent_refuses_the_next_round_and_the_next_job() {
    let scene = scene(&Rules { budget: 100, ..rules() });
    let code = copies("params.json");
    let job = scene.start(&code);
    scene.ask(Request::Code(job, code.clone())).await.unwrap();
    left(scene.round(job, 0, RESULT).await.unwrap());
    scene.ledger.send(OWNER, revokeCall { grant: scene.grant });
    let round = scene.round(job, 1, RESULT).await.unwrap();
    assert!(matches!(&round, Round::Over(STOPPED, said) if said.contains("was revoked in block")), "{round:?}");
    // What was done until then is paid, and on record.
    let receipt = scene.end(job).await;
    assert_eq!((receipt.rounds, receipt.ended), (1, STOPPED));
    let algorithm = super::algorithm(&code);
    let (grant, client) = (scene.grant, (*CLIENT).into());
    let call = startCall { grant, algorithm, client, runtime: WASM, fuel: 1_000_000, most: U256::ZERO, offer: 1 };
    assert!(scene.ledger.attempt(BUYER, JOBS, call).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_ended_goes_on_with_the_same_account() {
    let scene = scene(&Rules { budget: 100, ..rules() });
    let code = copies("params.json");
    let job = scene.start(&code);
    scene.ask(Request::Code(job, code.clone())).await.unwrap();
    left(scene.round(job, 0, RESULT).await.unwrap());
    let again = Scene { computer: open(&scene.folder, &scene.ledger), ..scene };
    assert!(why(again.round(job, 1, RESULT).await).contains("send the program first"));
    again.ask(Request::Code(job, code)).await.unwrap();
    assert!(why(again.round(job, 0, RESULT).await).contains("round 1 is next"), "a round is not run twice");
    left(again.round(job, 1, r#"{"rows":10}"#).await.unwrap());
    assert_eq!(again.end(job).await.rounds, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_programs_that_the_owner_trusts_run_if_he_names_some() {
    let trusted = super::algorithm(&copies("good.json"));
    let scene = scene(&Rules { algorithms: vec![trusted], ..rules() });
    left(scene.run(copies("good.json")).await.1);
    let job = scene.start(&copies("rows.csv"));
    let refused = scene.ask(Request::Code(job, copies("rows.csv"))).await;
    assert!(why(refused).contains("does not let this program run"));
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_of_publishers_whom_the_owner_trusts_run_until_they_are_withdrawn() {
    let scene = scene(&Rules { publishers: vec![PUBLISHER], budget: 100, ..rules() });
    let code = copies("good.json");
    let program = super::algorithm(&code);
    let other = copies("params.json");
    let refuses = async |code: &[u8]| {
        let asked = Request::Code(scene.start(code), code.to_vec());
        why(scene.ask(asked).await).contains("does not let this program run")
    };
    assert!(refuses(&code).await);
    let publish =
        |salt, object| registerCall { salt, object, sharing: B256::ZERO, needed: 0, keepers: vec![], ownerHalf: true };
    // Somebody else's, and another program under this one's name, are not his.
    scene.ledger.send(BUYER, publish(program, program));
    assert!(refuses(&code).await);
    let asset = scene.ledger.send(PUBLISHER, publish(program, program));
    left(scene.run(code.clone()).await.1);
    // One that has begun, and one of which nothing is done, when he takes his name off it.
    let [begun, sent] = [scene.start(&code), scene.start(&code)];
    for job in [begun, sent] {
        scene.ask(Request::Code(job, code.clone())).await.unwrap();
    }
    left(scene.round(begun, 0, "{}").await.unwrap());
    scene.ledger.send(PUBLISHER, eraseCall { asset });
    assert!(refuses(&code).await);
    for (job, number, how) in [(begun, 1, STOPPED), (sent, 0, BROKEN)] {
        let round = scene.round(job, number, "{}").await.unwrap();
        assert!(matches!(&round, Round::Over(ended, said) if *ended == how && said.contains("withdrawn")), "{round:?}");
        assert_eq!(scene.end(job).await.rounds, number);
    }
    scene.ledger.send(PUBLISHER, publish(super::algorithm(&other), program));
    assert!(refuses(&other).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_of_a_program_that_was_withdrawn_while_it_ran() {
    let scene = scene(&Rules { publishers: vec![PUBLISHER], ..rules() });
    let script = format!("#!/bin/sh\nsleep 3\nprintf '%s' '{RESULT}' > /out/result.json\n").into_bytes();
    let object = super::algorithm(&script);
    let publish =
        registerCall { salt: object, object, sharing: B256::ZERO, needed: 0, keepers: vec![], ownerHalf: true };
    let asset = scene.ledger.send(PUBLISHER, publish);
    let job = scene.start(&script);
    scene.ask(Request::Code(job, script)).await.unwrap();
    scene.ask(Request::Round(job, 0, b"{}".to_vec())).await.unwrap();
    scene.ledger.send(PUBLISHER, eraseCall { asset });
    let round = scene.round(job, 0, "{}").await.unwrap();
    assert!(matches!(&round, Round::Over(STOPPED, said) if said.contains("withdrawn")), "{round:?}");
    assert_eq!((scene.end(job).await.rounds, spent(&scene)), (0, 1));
}

/// A script for `/bin/sh` that leaves this.
fn leaves(text: &str) -> Vec<u8> {
    format!("#!/bin/sh\nprintf '%s' '{text}' > /out/result.json\n").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_runs_as_a_process_under_the_same_rules_and_is_paid_by_its_time() {
    let scene = scene(&Rules { budget: 100, ..rules() });
    let script = b"#!/usr/bin/env python3
import json
rows = open('/data/rows.csv').read().split(',')
rounds = json.load(open('/data/params.json'))['rounds']
for _ in range(rounds * 1000000): pass
json.dump({'rows': 10, 'values': [len(rows)]}, open('/out/result.json', 'w'))
print('63')
";
    let (job, params) = (scene.start(script), r#"{"rounds": 10}"#);
    let name = scene.ask(Request::Code(job, script.to_vec())).await.unwrap();
    let round = scene.round(job, 0, params).await.unwrap();
    assert!(matches!(&round, Round::Left { log: None, .. }), "{round:?}");
    assert_eq!(left(round), r#"{"rows":10,"values":[4]}"#);
    let receipt = scene.end(job).await;
    assert!(receipt.fuel >= 50_000_000 && receipt.fuel < FUEL, "{receipt:?}");
    assert_eq!((receipt.ended, receipt.rounds), (SUCCEEDED, 1));
    // The receipt names what ran it.
    let name = stoa_sandbox::RuntimeId(String::from_utf8(name).unwrap());
    assert!(name.0.starts_with("stoa-process-3"));
    assert_eq!(receipt.runtime, B256::from(name.hash()));
    // What may not leave stays, whatever runs it; limits are limits.
    for (script, ended) in [
        ("#!/bin/sh\ncp /data/rows.csv /out/result.json\n", WITHHELD),
        ("#!/bin/sh\ncat /data/rows.csv; exit 3\n", FAILED),
        ("#!/nowhere\n", FAILED),
        ("#!/bin/sh\nwhile true; do true; done\n", LIMITED),
    ] {
        let (_, round) = scene.run(script.into()).await;
        assert!(matches!(&round, Round::Over(over, said) if *over == ended && !said.contains("63")), "{round:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_unfolds_more_than_fits_is_ended_and_its_node_goes_on() {
    let scene = scene(&Rules { budget: 100, ..rules() });
    // Data that say they are a table and are four gigabytes of nothing once they are unfolded.
    let script = b"#!/usr/bin/env python3
import zlib
pack = zlib.compressobj(9)
small = b''.join(pack.compress(bytes(1 << 20)) for _ in range(64)) + pack.flush()
rows = []
while True:
    rows.append(zlib.decompress(small))
";
    let (job, round) = scene.run(script.to_vec()).await;
    // Python sees that it gets no more, or it is ended.
    assert!(matches!(&round, Round::Over(FAILED | LIMITED, said) if !said.contains("63")), "{round:?}");
    let receipt = scene.end(job).await;
    assert!(receipt.fuel > 0 && receipt.rounds == 0, "{receipt:?}");
    assert_eq!(left(scene.run(copies("good.json")).await.1), RESULT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_runs_no_processes_says_so_and_it_costs_nothing() {
    let scene = scene(&rules());
    let runtimes = Runtimes::new(None).unwrap();
    let folder = scene.folder.path().join("data");
    let computer = Computer::open(&folder, runtimes, key(), CHAIN, scene.ledger.clone()).unwrap();
    let scene = Scene { computer: Answering(Arc::new(computer)), ..scene };
    let (job, round) = scene.run(leaves(RESULT)).await;
    assert_eq!(round, Round::Over(BROKEN, "this node runs no processes".into()));
    assert_eq!(scene.end(job).await.ended, BROKEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_before_the_owner_has_looked_at_it() {
    let scene = scene(&Rules { approval: true, budget: 100, ..rules() });
    let code = copies("params.json");
    let job = scene.start(&code);
    scene.ask(Request::Code(job, code)).await.unwrap();
    let data = scene.folder.path().join("data");
    for (number, leave) in [(0, true), (1, false)] {
        let owner = tokio::spawn({
            let data = data.clone();
            async move {
                loop {
                    if let Some(held) = Held::all(&data).unwrap().pop() {
                        assert_eq!((held.job, held.round), (job, number));
                        assert_eq!(held.files().unwrap()["result.json"], RESULT.as_bytes());
                        return held.say(leave);
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            }
        });
        let round = scene.round(job, number, RESULT).await.unwrap();
        owner.await.unwrap();
        match leave {
            true => assert_eq!(left(round), RESULT),
            false => assert_eq!(round, Round::Over(WITHHELD, "its owner did not let it leave".into())),
        }
        assert!(Held::all(&data).unwrap().is_empty());
    }
    let receipt = scene.end(job).await;
    assert_eq!((receipt.rounds, receipt.ended), (1, WITHHELD));
    // A buyer who does not want to wait.
    let (job, _) = waiting(&scene).await;
    assert_eq!(status(&scene, job).await, Round::Held);
    assert_eq!(scene.end(job).await.ended, STOPPED);
}

/// A job of which something waits to be looked at, and the folder of data.
async fn waiting(scene: &Scene) -> (B256, PathBuf) {
    let (code, data) = (copies("good.json"), scene.folder.path().join("data"));
    let job = scene.start(&code);
    scene.ask(Request::Code(job, code)).await.unwrap();
    scene.ask(Request::Round(job, 0, b"{}".to_vec())).await.unwrap();
    while Held::all(&data).unwrap().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    (job, data)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_time_is_over_while_its_owner_looks_at_it_is_paid_for_what_was_done() {
    let scene = scene(&Rules { approval: true, budget: 100, ..rules() });
    let (job, data) = waiting(&scene).await;
    scene.computer.0.settle(&sender(&scene.ledger)).await.unwrap();
    let kept = scene.ledger.with(move |bench| bench.view(JOBS, &receiptOfCall { job }).unwrap());
    assert_eq!((kept.receipt.ended, kept.receipt.rounds), (STOPPED, 0));
    assert!(kept.receipt.fuel > 0 && Held::all(&data).unwrap().is_empty(), "{:?}", kept.receipt);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_node_was_ended_while_its_owner_looked_at_it_ends_and_costs_nothing() {
    let scene = scene(&Rules { approval: true, budget: 100, ..rules() });
    let (job, data) = waiting(&scene).await;
    let again = open(&scene.folder, &scene.ledger);
    again.0.settle(&sender(&scene.ledger)).await.unwrap();
    let kept = scene.ledger.with(move |bench| bench.view(JOBS, &receiptOfCall { job }).unwrap());
    assert_eq!((kept.receipt.ended, kept.receipt.rounds, kept.receipt.output), (BROKEN, 0, B256::ZERO));
    assert!(Held::all(&data).unwrap().is_empty(), "nobody is to say yes to what does not leave");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_looks_at_in_time_is_destroyed_and_the_job_costs_nothing() {
    let scene = scene(&Rules { approval: true, approval_days: Some(1), budget: 100, ..rules() });
    let (job, data) = waiting(&scene).await;
    let round = loop {
        // A day, and again, for it may have begun just now.
        scene.ledger.with(|bench| bench.pass(24 * 3600 + 1));
        match status(&scene, job).await {
            Round::Held | Round::Running(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            round => break round,
        }
    };
    assert!(matches!(&round, Round::Over(BROKEN, said) if said.contains("did not look at it in time")), "{round:?}");
    assert!(Held::all(&data).unwrap().is_empty());
    let receipt = scene.end(job).await;
    assert_eq!((receipt.ended, receipt.rounds, receipt.output), (BROKEN, 0, B256::ZERO));
}

/// What is counted on the disk as left to the buyer.
fn spent(scene: &Scene) -> u64 {
    let file = scene.folder.path().join("data").join(scene.asset.to_string()).join("spent.json");
    let notes: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let his = notes.iter().find(|(key, _)| key.parse().is_ok_and(|buyer: Address| buyer == BUYER));
    his.unwrap().1.as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn that_something_waits_to_be_looked_at_is_counted_before_it_is_told() {
    let scene = scene(&Rules { approval: true, budget: 100, ..rules() });
    waiting(&scene).await;
    assert_eq!(spent(&scene), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_that_the_disk_does_not_count() {
    let scene = scene(&rules());
    let laying = scene.folder.path().join("data").join(scene.asset.to_string()).join("spent.json.part");
    fs::create_dir(&laying).unwrap();
    let (job, round) = scene.run(copies("good.json")).await;
    assert_eq!(round, Round::Over(BROKEN, "the node could not do it".into()));
    assert!(matches!(scene.ask(Request::Result(job)).await, Err(Denied::NotHere)));
    fs::remove_dir(&laying).unwrap();
    let receipt = scene.end(job).await;
    assert_eq!((receipt.ended, receipt.output), (BROKEN, B256::ZERO));
    // What the round counts by itself stays set aside: of nine are left eight, so that two more have room, and no third.
    for counted in [4, 8] {
        assert_eq!(left(scene.run(copies("good.json")).await.1), RESULT);
        assert_eq!(spent(&scene), counted);
    }
    let (_, round) = scene.run(copies("good.json")).await;
    assert!(matches!(&round, Round::Over(WITHHELD, said) if said.contains("used up: 0 of 9")), "{round:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_buyer_has_some_of_a_nodes_jobs_and_another_finds_room() {
    let scene = scene(&Rules { budget: 100, ..rules() });
    let code = copies("good.json");
    let mut jobs = Vec::new();
    for _ in 0..16 {
        let job = scene.start(&code);
        scene.ask(Request::Code(job, code.clone())).await.unwrap();
        jobs.push(job);
    }
    let another = scene.start(&code);
    let refused = scene.ask(Request::Code(another, code.clone())).await;
    assert!(why(refused).contains("has 16 jobs of this buyer"));
    let grant = scene.ledger.send(OWNER, grantCall { asset: scene.asset, terms: terms(PUBLISHER) });
    let others = scene.ledger.attempt(PUBLISHER, JOBS, startCall { grant, ..scene.call(&code) }).unwrap();
    scene.ask(Request::Code(others, code.clone())).await.unwrap();
    // The same program is in memory once, and not at all where it does not run any more.
    let programs = scene.computer.0.programs();
    assert!(programs.len() == 17 && programs.iter().all(|program| Arc::ptr_eq(program, &programs[0])));
    scene.end(jobs[0]).await;
    assert_eq!(scene.computer.0.programs().len(), 16);
    // What is over makes room at once.
    scene.ask(Request::Code(another, code)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_is_no_longer_than_its_buyer_reads() {
    let scene = scene(&Rules { log: true, budget: 100_000, ..rules() });
    let script = "#!/usr/bin/env python3\nprint('\u{e9}\u{1f984}' * 3000); raise SystemExit(3)\n";
    let (_, round) = scene.run(script.into()).await;
    let Round::Over(FAILED, said) = &round else { panic!("{round:?}") };
    assert!(said.contains("(with code 3)") && said.len() > 4000, "{} {said}", said.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_waits_for_its_buyer_sealed_even_when_the_job_is_over() {
    let scene = scene(&rules());
    let (job, _) = scene.run(copies("good.json")).await;
    assert!(matches!(status(&scene, job).await, Round::Left { files, .. } if files.is_empty()));
    scene.end(job).await;
    // By a node that was ended meanwhile.
    let again = Scene { computer: open(&scene.folder, &scene.ledger), ..scene };
    let kept = again.ask(Request::Result(job)).await.unwrap();
    assert_eq!(left(super::results::read(job, &kept, &CLIENTS_KEY).unwrap()), RESULT);
    let strange = again.computer.answer(NodeId([8; 32]), Request::Result(job).to_bytes()).await;
    assert!(why(read_answer(&strange)).contains("another key"));
    let (job, _) = again.run(copies("nothing")).await;
    assert!(matches!(again.ask(Request::Result(job)).await, Err(Denied::NotHere)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_in_a_round_before_is_not_given_out_as_the_newest() {
    let scene = scene(&rules());
    let code = copies("good.json");
    let (job, _) = scene.run(code).await;
    assert!(scene.ask(Request::Result(job)).await.is_ok());
    // Nothing can be laid out there.
    let jobs = scene.folder.path().join("data").join(scene.asset.to_string()).join("jobs");
    fs::create_dir(jobs.join(format!("{job}-1.result"))).unwrap();
    assert_eq!(left(scene.round(job, 1, "{}").await.unwrap()), RESULT);
    assert!(matches!(scene.ask(Request::Result(job)).await, Err(Denied::NotHere)));
}

#[tokio::test(flavor = "multi_thread")]
async fn data_or_rules_that_are_not_those_that_were_offered_are_not_computed_on() {
    let scene = scene(&rules());
    let files: PathBuf = scene.folder.path().join("data").join(scene.asset.to_string());
    let code = copies("good.json");
    let refuses = async |job| {
        let refused = why(scene.ask(Request::Code(job, code.clone())).await).contains("not those that are here");
        // It said that it could not do it, and says so still when they are as they were.
        assert!(
            matches!(status(&scene, job).await, Round::Over(BROKEN, why) if why.contains("not those that are here"))
        );
        refused
    };
    fs::write(files.join("files/rows.csv"), "1,1,1,1").unwrap();
    let jobs = [(); 2].map(|()| scene.start(&code));
    assert!(refuses(jobs[0]).await);
    fs::write(files.join("files/rows.csv"), ROWS).unwrap();
    fs::write(files.join("rules.json"), Rules { budget: 8, ..rules() }.to_json()).unwrap();
    assert!(refuses(jobs[1]).await);
    fs::write(files.join("rules.json"), rules().to_json()).unwrap();
    for job in jobs {
        assert!(why(scene.round(job, 0, "{}").await).contains("the job is over"));
        assert_eq!(scene.end(job).await.ended, BROKEN);
    }
    left(scene.run(code.clone()).await.1);
    let unknown = Request::End(B256::repeat_byte(5));
    assert!(why(scene.ask(unknown).await).contains("there is no job"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_vanishes_leaves_a_job_that_is_settled_without_him() {
    let scene = scene(&rules());
    let (job, _) = scene.run(copies("nothing")).await;
    let send = sender(&scene.ledger);
    // By a node that was ended meanwhile, and does not know of it but by its disk, where results were just being laid out.
    let held = scene.folder.path().join("data").join(scene.asset.to_string()).join("held");
    fs::create_dir_all(held.join(format!("{job}-0.laying"))).unwrap();
    let again = open(&scene.folder, &scene.ledger);
    again.0.settle(&send).await.unwrap();
    let (kept, is) = scene.ledger.with(move |bench| {
        (bench.view(JOBS, &receiptOfCall { job }).unwrap(), bench.view(JOBS, &jobOfCall { job }).unwrap())
    });
    assert_eq!((kept.receipt.ended, is.state), (FAILED, super::abi::FINISHED));
    again.0.settle(&send).await.unwrap();
    let jobs = scene.folder.path().join("data").join(scene.asset.to_string()).join("jobs");
    for place in [jobs, held] {
        assert_eq!(fs::read_dir(place).unwrap().count(), 0, "what is settled is forgotten");
    }
}

/// A scene each of whose jobs is checked by one other node, which has the same data.
struct Checked {
    scene: Scene,
    auditor: Auditor,
    send: Sender,
}

fn auditors_key() -> ed25519::PrivateKey {
    ed25519::PrivateKey::decode(Copying(&[8; 32])).unwrap()
}

impl Checked {
    fn new() -> Self {
        Self::with(&Rules { budget: 100, ..rules() })
    }

    fn with(rules: &Rules) -> Self {
        let auditor = NodeId::from(&auditors_key().public_key());
        let checks = Checks { auditors: vec![auditor.into()], drawn: 1, chance: 10_000, ..Checks::default() };
        let scene = scene_with(rules, checks);
        let (own, copy) = (scene.folder.path().join("data"), scene.folder.path().join("copy"));
        let at = |folder: &PathBuf| folder.join(scene.asset.to_string());
        DataSet::create(&at(&copy), &at(&own).join("files"), rules).unwrap();
        let runtimes = Runtimes::new(None).unwrap().with_processes(&[]).unwrap();
        let computer = Computer::open(&copy, runtimes, auditors_key(), CHAIN, scene.ledger.clone()).unwrap();
        let node = scene.computer.0.clone();
        let asks: Asking = Box::new(move |_, request| {
            let node = Answering(node.clone());
            async move { read_answer(&node.answer(auditor, request).await).map(<[u8]>::to_vec) }.boxed()
        });
        let send = sender(&scene.ledger);
        Self { auditor: Auditor::new(Arc::new(computer), asks), scene, send }
    }

    /// Lets the auditor look until nothing is left to do; how job and check stand.
    async fn settled(&self, job: B256) -> (u8, u8) {
        for _ in 0..6 {
            self.scene.ledger.with(|bench| bench.pass(1));
            self.auditor.look(&self.send).await.unwrap();
        }
        self.scene.ledger.with(move |bench| {
            bench.pass(1);
            let is = bench.view(JOBS, &jobOfCall { job }).unwrap();
            (is.state, bench.view(JOBS, &checkOfCall { job }).unwrap().state)
        })
    }

    fn kept(&self) -> usize {
        let jobs = self.scene.folder.path().join("data").join(self.scene.asset.to_string()).join("jobs");
        fs::read_dir(jobs).unwrap().flatten().filter(|entry| entry.path().is_dir()).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_drawn_runs_the_job_again_and_confirms_it() {
    let checked = Checked::new();
    let (job, round) = checked.scene.run(copies("rows.csv")).await;
    assert!(matches!(round, Round::Over(..)), "it leaves nothing that may leave");
    checked.scene.end(job).await;
    // Withheld: another run may come to something else.
    assert_eq!(checked.settled(job).await, (FINISHED, 0));
    let code = copies("params.json");
    let job = checked.scene.start(&code);
    checked.scene.ask(Request::Code(job, code)).await.unwrap();
    for (number, params) in (0..).zip([RESULT, r#"{"rows":10,"values":[3]}"#]) {
        left(checked.scene.round(job, number, params).await.unwrap());
    }
    let asked = checked.scene.ask(Request::Show(job, 0)).await;
    assert!(why(asked).contains("only nodes that were drawn"));
    checked.scene.end(job).await;
    let asked = checked.scene.ask(Request::Show(job, 0)).await;
    assert!(why(asked).contains("only nodes that were drawn"));
    assert_eq!(checked.settled(job).await, (FINISHED, CONFIRMED));
    // Programs that fail, or do not end, come to the same wherever they run.
    for code in [copies("nothing"), loops()] {
        let (job, _) = checked.scene.run(code).await;
        let receipt = checked.scene.end(job).await;
        assert!([FAILED, LIMITED].contains(&receipt.ended));
        assert_eq!(checked.settled(job).await, (FINISHED, CONFIRMED), "{receipt:?}");
    }
    // What has never run cannot be shown, and is nothing that a buyer could have its owner punished for.
    for sent in [false, true] {
        let job = checked.scene.start(&loops());
        if sent {
            checked.scene.ask(Request::Code(job, loops())).await.unwrap();
        }
        assert_eq!(checked.scene.end(job).await.ended, STOPPED);
        assert_eq!(checked.settled(job).await, (FINISHED, 0));
    }
    // What left before a round that nobody could check is signed, and checked: the node keeps the parameters of both.
    let code = copies("params.json");
    let job = checked.scene.start(&code);
    checked.scene.ask(Request::Code(job, code)).await.unwrap();
    left(checked.scene.round(job, 0, RESULT).await.unwrap());
    let round = checked.scene.round(job, 1, r#"{"age":63}"#).await.unwrap();
    assert!(matches!(round, Round::Over(WITHHELD, _)), "{round:?}");
    let receipt = checked.scene.end(job).await;
    assert_eq!((receipt.ended, receipt.rounds), (SUCCEEDED, 1));
    assert_eq!(checked.settled(job).await, (FINISHED, CONFIRMED));
    // What they were run with is kept until then, and no longer.
    assert!(checked.kept() > 0);
    checked.scene.computer.0.settle(&checked.send).await.unwrap();
    assert_eq!(checked.kept(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_an_erased_asset_are_deleted_where_they_lie_once_no_job_needs_them() {
    let checked = Checked::new();
    let (scene, send) = (&checked.scene, &checked.send);
    let nobody: Asking = Box::new(|_, _| async { Err(Denied::NotHere) }.boxed());
    let own = Auditor::new(scene.computer.0.clone(), nobody);
    let there = |node: &str| scene.folder.path().join(node).join(scene.asset.to_string()).join("files").exists();
    let (job, round) = scene.run_with(copies("params.json"), RESULT).await;
    left(round);
    for erased in [false, true] {
        if erased {
            scene.ledger.send(OWNER, eraseCall { asset: scene.asset });
        }
        own.look(send).await.unwrap();
        checked.auditor.look(send).await.unwrap();
        assert!(there("data") && there("copy"), "a job needs them: {erased}");
    }
    // The job ends, for its grant does not stand any more.
    for _ in 0..2 {
        scene.computer.0.settle(send).await.unwrap();
    }
    assert_eq!(checked.settled(job).await.0, FINISHED);
    own.look(send).await.unwrap();
    assert!(!there("data") && !there("copy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_signs_what_it_did_not_come_to_is_found_out() {
    let checked = Checked::new();
    for lie in [
        |receipt: &mut Receipt| receipt.output = B256::repeat_byte(1),
        |receipt: &mut Receipt| receipt.fuel += 1_000_000,
        |receipt: &mut Receipt| receipt.ended = FAILED,
    ] {
        let (job, _) = checked.scene.run(copies("good.json")).await;
        let signed = checked.scene.ask(Request::End(job)).await.unwrap();
        let (mut receipt, _) = signed_from_bytes(&signed).unwrap();
        lie(&mut receipt);
        let signature = sign_digest(&key(), receipt_digest(CHAIN, job, &receipt)).to_vec().into();
        checked.scene.ledger.attempt(BUYER, JOBS, finishCall { job, receipt, signature }).unwrap();
        assert_eq!(checked.settled(job).await, (REFUTED, FALSE));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_checked_by_how_close_another_run_comes() {
    // Numbers that are a little off each time, by what the parameters say: enough of them that no two runs are close by chance.
    let script = b"#!/usr/bin/env python3
import json, random
off = json.load(open('/data/params.json'))['off']
json.dump({'rows': 10, 'values': [100 * (1 + off * random.random()) for _ in range(8)]}, open('/out/result.json', 'w'))
";
    let program = super::algorithm(script);
    let rules = Rules { tolerance: Some(1000), algorithms: vec![program], budget: 100, ..rules() };
    let checked = Checked::with(&rules);
    let run = |off: &'static str| {
        let job = checked.scene.start(script);
        let scene = &checked.scene;
        async move {
            scene.ask(Request::Code(job, script.to_vec())).await.unwrap();
            left(scene.round(job, 0, &format!(r#"{{"off": {off}}}"#)).await.unwrap());
            job
        }
    };
    let job = run("0.0005").await;
    checked.scene.end(job).await;
    assert_eq!(checked.settled(job).await, (FINISHED, CONFIRMED));
    // A node that signs what was not so: another output, another time.
    for lie in [
        |receipt: &mut Receipt| receipt.output = B256::repeat_byte(1),
        |receipt: &mut Receipt| receipt.fuel = FUEL,
        |receipt: &mut Receipt| receipt.ended = FAILED,
    ] {
        let job = run("0").await;
        let signed = checked.scene.ask(Request::End(job)).await.unwrap();
        let (mut receipt, _) = signed_from_bytes(&signed).unwrap();
        lie(&mut receipt);
        let signature = sign_digest(&key(), receipt_digest(CHAIN, job, &receipt)).to_vec().into();
        checked.scene.ledger.attempt(BUYER, JOBS, finishCall { job, receipt, signature }).unwrap();
        // What left is not what it signed: judged so when the time is nearly over.
        checked.settled(job).await;
        checked.scene.ledger.with(|bench| bench.pass(3000));
        assert_eq!(checked.settled(job).await, (REFUTED, FALSE));
    }
    // One that comes to something else each time, by more than it may.
    let job = run("5").await;
    checked.scene.end(job).await;
    assert_eq!(checked.settled(job).await, (REFUTED, FALSE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_a_process_has_no_turn_while_it_waits_for_one_on_another_asset() {
    let script = leaves(RESULT);
    let algorithms = vec![super::algorithm(&script)];
    let checked = Checked::with(&Rules { tolerance: Some(1000), algorithms, budget: 100, ..rules() });
    let (job, _) = checked.scene.run(script).await;
    checked.scene.end(job).await;
    let turns = &checked.auditor.computer.turns;
    let other = turns.of(BUYER, Some(B256::repeat_byte(5))).now_or_never().unwrap().unwrap();
    let mut settles = Box::pin(checked.settled(job));
    assert!(tokio::time::timeout(std::time::Duration::from_secs(2), settles.as_mut()).await.is_err());
    assert!(turns.of(BUYER, None).now_or_never().is_some(), "WebAssembly runs");
    drop(other);
    assert_eq!(settles.await, (FINISHED, CONFIRMED));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_does_not_come_to_an_end_in_its_time_is_broken_off() {
    let script = leaves(RESULT);
    let algorithms = vec![super::algorithm(&script)];
    let checked = Checked::with(&Rules { tolerance: Some(1000), algorithms, budget: 100, ..rules() });
    let (job, _) = checked.scene.run(script).await;
    checked.scene.end(job).await;
    let check = || checked.scene.ledger.with(move |bench| bench.view(JOBS, &checkOfCall { job }).unwrap());
    while check().state != DRAWN {
        checked.scene.ledger.with(|bench| bench.pass(1));
        checked.auditor.look(&checked.send).await.unwrap();
    }
    let turns = &checked.auditor.computer.turns;
    let other = turns.of(BUYER, Some(B256::repeat_byte(5))).now_or_never().unwrap().unwrap();
    let until = check().committing;
    checked.scene.ledger.with(move |bench| bench.pass(until - bench.time() - 1));
    let look = || tokio::time::timeout(std::time::Duration::from_secs(20), checked.auditor.look(&checked.send));
    look().await.expect("it waits on").unwrap();
    drop(other);
    look().await.expect("it does not come back to it").unwrap();
    assert_eq!((check().state, check().committed), (DRAWN, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_gives_without_end_is_heard_no_longer_than_its_rules_let_leave() {
    let script = leaves(RESULT);
    let algorithms = vec![super::algorithm(&script)];
    let mut checked = Checked::with(&Rules { tolerance: Some(1000), algorithms, budget: 100, ..rules() });
    let (job, _) = checked.scene.run(script).await;
    let signed = checked.scene.ask(Request::End(job)).await.unwrap();
    let (mut receipt, _) = signed_from_bytes(&signed).unwrap();
    receipt.rounds = 1_000_000;
    let signature = sign_digest(&key(), receipt_digest(CHAIN, job, &receipt)).to_vec().into();
    checked.scene.ledger.attempt(BUYER, JOBS, finishCall { job, receipt, signature }).unwrap();
    let (node, auditor) = (checked.scene.computer.0.clone(), NodeId::from(&auditors_key().public_key()));
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    checked.auditor.asks = Box::new(move |_, request| {
        let (node, count) = (Answering(node.clone()), count.clone());
        async move {
            // As if there were as many rounds as it has signed.
            let request = match Request::from_bytes(&request).unwrap() {
                Request::Left(job, _) => {
                    count.fetch_add(1, Ordering::Relaxed);
                    Request::Left(job, 0).to_bytes()
                }
                _ => request,
            };
            read_answer(&node.answer(auditor, request).await).map(<[u8]>::to_vec)
        }
        .boxed()
    });
    checked.settled(job).await;
    checked.scene.ledger.with(|bench| bench.pass(3000));
    assert_eq!(checked.settled(job).await, (REFUTED, FALSE));
    // Of a hundred numbers, three and one for the round each time.
    let asked = asked.load(Ordering::Relaxed);
    assert!((25..1_000).contains(&asked), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_round_would_have_left_that_came_to_nothing_is_not_shown_to_those_who_check() {
    let script = leaves(RESULT);
    let algorithms = vec![super::algorithm(&script)];
    let mut checked = Checked::with(&Rules { tolerance: Some(1000), algorithms, budget: 100, ..rules() });
    let (job, _) = checked.scene.run(script).await;
    // As if another round had been laid out, and withheld then.
    let asset = checked.scene.folder.path().join("data").join(checked.scene.asset.to_string());
    let kept = asset.join("jobs").join(job.to_string());
    fs::copy(kept.join("left-0"), kept.join("left-1")).unwrap();
    checked.scene.end(job).await;
    checked.auditor.asks = Box::new(|_, _| async { Err(Denied::Gone("it is away".into())) }.boxed());
    assert_eq!(checked.settled(job).await, (FINISHED, DRAWN));
    let auditor = NodeId::from(&auditors_key().public_key());
    let asked = async |number| {
        let answered = checked.scene.computer.answer(auditor, Request::Left(job, number).to_bytes()).await;
        read_answer(&answered).map(<[u8]>::to_vec)
    };
    assert!(asked(0).await.is_ok());
    assert!(matches!(asked(1).await, Err(Denied::NotHere)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_show_what_it_ran_is_judged_as_one_that_lies_when_the_time_is_nearly_over() {
    let mut checked = Checked::new();
    checked.auditor.asks = Box::new(|_, _| async { Err(Denied::Gone("it is away".into())) }.boxed());
    let (job, _) = checked.scene.run(copies("good.json")).await;
    checked.scene.end(job).await;
    assert_eq!(checked.settled(job).await, (FINISHED, DRAWN), "it may come back");
    checked.scene.ledger.with(|bench| bench.pass(3000));
    assert_eq!(checked.settled(job).await, (REFUTED, FALSE));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_with_other_data_says_nothing() {
    let checked = Checked::new();
    let copy = checked.scene.folder.path().join("copy").join(checked.scene.asset.to_string());
    fs::write(copy.join("files/rows.csv"), "1,1,1,1").unwrap();
    let (job, _) = checked.scene.run(copies("good.json")).await;
    checked.scene.end(job).await;
    assert_eq!(checked.settled(job).await, (FINISHED, DRAWN));
    checked.scene.ledger.with(|bench| bench.pass(5000));
    checked.scene.computer.0.settle(&checked.send).await.unwrap();
    assert_eq!(checked.settled(job).await, (FINISHED, UNDECIDED));
}

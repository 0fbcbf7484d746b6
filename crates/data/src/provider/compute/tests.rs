//! Jobs of Ocean's clients, with the contracts themselves on a ledger in memory.

use super::{
    super::{Fees, Place, Refusal, Sources},
    Documents, Engine, Share, Task, Used,
    engine::give_way,
};
use crate::{
    ddo::did,
    jobs::{
        abi::{PROCESS, WASM},
        algorithm,
        held::Held,
        role::{Computer, Runtimes},
        role_tests::{copies, loops},
        rules::{Rules, Shape},
    },
    keeper::tests::Ledger,
    market::{
        abi::{FACTORY, IFactory::createNftWithErc20Call, INft::setMetaDataStateCall},
        tests::{OWNER, datatoken_data, nft_data},
    },
};
use alloy_primitives::{Address, B256, U256};
use commonware_cryptography::{Signer as _, ed25519};
use futures::{
    FutureExt as _,
    future::{BoxFuture, ready},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{fs, path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::time::sleep;

const CHAIN: u64 = 31337;
const NODE: Address = Address::repeat_byte(0xc1);
const BUYER: Address = Address::repeat_byte(0xb1);
const OTHER: Address = Address::repeat_byte(0xb2);

const ROWS: &str = "63,1,1,145";
const RESULT: &str = r#"{"values":[1.50,2],"rows":12}"#;

/// What documents say.
#[derive(Debug, Default)]
struct Says(Mutex<Option<Refusal>>);

impl Documents for Says {
    fn stand(&self) -> BoxFuture<'_, Result<(), Refusal>> {
        ready(self.0.lock().clone().map_or(Ok(()), Err)).boxed()
    }
}

struct Scene {
    ledger: Arc<Ledger>,
    engine: Arc<Engine>,
    folder: TempDir,
    nft: Address,
}

fn open(folder: &TempDir, ledger: &Arc<Ledger>) -> Arc<Engine> {
    open_with(folder, ledger, Runtimes::new(None).unwrap())
}

fn open_with(folder: &TempDir, ledger: &Arc<Ledger>, runtimes: Runtimes) -> Arc<Engine> {
    let key = ed25519::PrivateKey::from_seed(7);
    let computer = Computer::open(&folder.path().join("data"), runtimes, key, CHAIN, ledger.clone()).unwrap();
    let sources = Sources::open(&folder.path().join("files"), Vec::new()).unwrap();
    Engine::open(Arc::new(computer), NODE, OWNER, Arc::new(sources)).unwrap()
}

fn scene() -> Scene {
    let (ledger, folder) = (Arc::new(Ledger::new()), tempfile::tempdir().unwrap());
    let files = folder.path().join("files");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("rows.csv"), ROWS).unwrap();
    fs::write(files.join("good.json"), RESULT).unwrap();
    let create = createNftWithErc20Call { nft: nft_data(), datatoken: datatoken_data() };
    let nft = ledger.attempt(OWNER, FACTORY, create).unwrap().erc721Address;
    Scene { engine: open(&folder, &ledger), ledger, folder, nft }
}

/// Ten numbers in `result.json`.
fn rules() -> Rules {
    let keys = ["rows", "values"].map(str::to_owned).to_vec();
    let shape = Shape::Numbers { most: 10, keys, words: Vec::new(), rows: None };
    Rules { files: [("result.json".to_owned(), shape)].into(), budget: 9, ..Rules::default() }
}

impl Scene {
    /// A job of the buyer's on both files.
    fn task(&self, code: Vec<u8>, rules: Option<Rules>) -> Task {
        let places = ["rows.csv", "good.json"].map(|name| Place::Local(name.to_owned())).to_vec();
        let data = Used { did: did(self.nft, CHAIN), nft: self.nft, document: "{}".into(), places, rules };
        Task {
            owner: BUYER,
            free: false,
            agreement: B256::ZERO,
            fee: None,
            share: Share { cpu: 1.0, ram: 1.0, disk: 0.0 },
            seconds: 60,
            metadata: json!({ "mine": 1 }),
            runtime: WASM,
            command: vec!["algorithm".into()],
            code: code.into(),
            custom: b"{}".to_vec(),
            algorithm: None,
            datasets: vec![data],
            documents: Arc::new(Says::default()),
        }
    }

    fn start(&self, task: Task) -> Result<String, Refusal> {
        self.engine.start(task).map(|said| said[0]["jobId"].as_str().unwrap().to_owned())
    }

    async fn until(&self, id: &str, is: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..3_000 {
            let said = self.engine.status(BUYER, Some(id));
            if is(&said[0]) {
                return said[0].clone();
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("it still stands at {}", self.engine.status(BUYER, Some(id)));
    }

    async fn runs(&self, id: &str) {
        self.until(id, |job| job["status"] == 40).await;
    }

    /// How a job ended, and what it has left, by name.
    async fn ended(&self, id: &str) -> (Value, Vec<(String, Vec<u8>)>) {
        let job = self.until(id, |job| !job["dateFinished"].is_null()).await;
        let count = job["results"].as_array().unwrap().len();
        let read = |index| {
            let (path, name) = self.engine.result(BUYER, id, index).unwrap();
            (name, fs::read(path).unwrap())
        };
        (job["status"].clone(), (0..count).map(read).collect())
    }

    async fn run(&self, task: Task) -> (Value, Vec<(String, Vec<u8>)>) {
        self.ended(&self.start(task).unwrap()).await
    }

    fn ocean(&self) -> PathBuf {
        self.folder.path().join("data/ocean")
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn a_program_runs_beside_the_data_and_what_it_leaves_is_for_whoever_started_it() {
    let scene = scene();
    // By the file's name, and where Ocean's programs look for it.
    for path in ["rows.csv".to_owned(), format!("inputs/{}/0", did(scene.nft, CHAIN))] {
        let (status, left) = scene.run(scene.task(copies(&path), None)).await;
        assert_eq!((status, left.len()), (json!(70), 2), "{path}");
        assert_eq!(left[0], ("algorithm.log".to_owned(), ROWS.as_bytes().to_vec()));
        assert_eq!(left[1].0, "outputs.tar");
        assert!(contains(&left[1].1, "outputs/result.json") && contains(&left[1].1, ROWS));
    }
    let told = scene.engine.status(BUYER, None);
    assert_eq!(told.as_array().unwrap().len(), 2);
    let job = &told[0];
    assert_eq!(
        (&job["metadata"], &job["isFree"], &job["algoDID"]),
        (&json!({ "mine": 1 }), &json!(false), &Value::Null)
    );
    assert_eq!(job["terminationDetails"]["exitCode"], 0);
    assert_eq!(scene.engine.status(OTHER, None), json!([]));
    let id = job["jobId"].as_str().unwrap();
    for (account, id, index) in [(OTHER, id, 0), (BUYER, id, 2), (BUYER, "../job", 0)] {
        assert!(matches!(scene.engine.result(account, id, index), Err(Refusal::Unknown(_))), "{account} {id} {index}");
    }
    assert!(matches!(scene.engine.stop(OTHER, id), Err(Refusal::Unknown(_))));
    // What it was told, and that there is nothing where it was told nothing.
    let task = Task { custom: br#"{"deep":3}"#.to_vec(), ..scene.task(copies("params.json"), None) };
    assert!(contains(&scene.run(task).await.1[1].1, r#"{"deep":3}"#));
    let (status, left) = scene.run(scene.task(copies("params.json"), None)).await;
    assert_eq!((status, left.len(), &*left[0].0), (json!(41), 1, "publish.log"));
    assert!(contains(&left[0].1, "with code 7"));
    // Nothing of what programs saw is left.
    assert!(fs::read_dir(scene.ocean().join("runs")).unwrap().all(|run| !run.unwrap().path().join("stage").exists()));
    assert_eq!(fs::read_to_string(scene.folder.path().join("files/rows.csv")).unwrap(), ROWS);
}

#[tokio::test]
async fn where_an_owner_has_rules_they_say_what_leaves_and_how_much() {
    let scene = scene();
    let (good, bad) = (copies("good.json"), copies("rows.csv"));
    let (status, left) = scene.run(scene.task(good.clone(), Some(rules()))).await;
    assert_eq!((status, left.len(), &*left[0].0), (json!(70), 1, "outputs.tar"));
    // As the node writes it, and no log.
    assert!(contains(&left[0].1, r#"{"rows":12,"values":[1.5,2]}"#) && !contains(&left[0].1, "1.50"));
    let (status, left) = scene.run(scene.task(bad, Some(rules()))).await;
    assert_eq!((status, left.len(), &*left[0].0), (json!(61), 1, "publish.log"));
    assert!(contains(&left[0].1, "not JSON") && !contains(&left[0].1, ROWS));
    // Of how a program fails nothing is told. Three numbers and three rounds are six of nine, and another round leaves too few.
    let (status, left) = scene.run(scene.task(copies("none"), Some(rules()))).await;
    assert_eq!((status, &left[0].1[..]), (json!(41), &b"the program failed"[..]));
    assert_eq!(scene.engine.status(BUYER, None)[0]["terminationDetails"]["exitCode"], Value::Null);
    let (status, left) = scene.run(scene.task(good, Some(rules()))).await;
    assert_eq!((status, &*left[0].0), (json!(61), "publish.log"));
    assert!(contains(&left[0].1, "what would leave counts more: 2 of the 9 that may leave to this buyer are left"));
    // Data without rules let nothing leave that data with rules keep.
    let mut both = scene.task(copies("rows.csv"), Some(Rules { budget: 100, ..rules() }));
    let open = Used { did: format!("did:op:{}", "0".repeat(64)), rules: None, ..both.datasets[0].clone() };
    both.datasets.push(open);
    assert_eq!(scene.run(both).await.0, 61);
}

#[tokio::test]
async fn rules_name_programs_and_a_node_says_what_it_does_not_run() {
    let scene = scene();
    let code = copies("good.json");
    let named = Rules { algorithms: vec![algorithm(&code)], ..rules() };
    scene.engine.accepts(WASM, &code, &[&named, &rules()]).await.unwrap();
    let refused = scene.engine.accepts(WASM, b"other", &[&rules(), &named]).await;
    assert!(matches!(refused, Err(Refusal::Forbidden(why)) if why.contains("rules")));
    let refused = scene.engine.accepts(PROCESS, b"print(1)", &[]).await;
    assert!(matches!(refused, Err(Refusal::Forbidden(why)) if why.contains("--processes")));
    let said = &scene.engine.environments(CHAIN, &Fees::default())[0];
    assert_eq!(said["fees"][CHAIN.to_string()][0]["prices"][0], json!({ "id": "cpu", "price": 0 }));
    assert!(said["description"].as_str().unwrap().contains("WebAssembly") && !said.to_string().contains("Python"));
    let id = said["id"].as_str().unwrap();
    scene.engine.share(id, &said["resources"]).unwrap();
    assert!(matches!(scene.engine.share("ocean-compute", &json!([])), Err(Refusal::Malformed(_))));
}

#[tokio::test]
async fn a_process_runs_beside_none_of_the_nodes_own_and_keeps_no_other_program_waiting_meanwhile() {
    let scene = scene();
    let runtimes = Runtimes::new(None).unwrap().with_processes(&[]).unwrap();
    let scene = Scene { engine: open_with(&scene.folder, &scene.ledger, runtimes), ..scene };
    let (turns, asset) = (&scene.engine.computer.turns, B256::repeat_byte(8));
    let script = |text: &str| Task {
        runtime: PROCESS,
        command: vec!["/code/main".into()],
        ..scene.task(text.as_bytes().to_vec(), None)
    };
    let own = turns.of(OTHER, Some(asset)).now_or_never().unwrap().unwrap();
    let waits = scene.start(script("#!/bin/sh\ncat /data/rows.csv > /out/result.json\n")).unwrap();
    let gone = scene.start(script("#!/bin/sh\n")).unwrap();
    for id in [&waits, &gone] {
        scene.until(id, |job| job["status"] == 1).await;
    }
    assert_eq!(scene.run(scene.task(copies("rows.csv"), None)).await.0, 70);
    assert!(turns.of(OTHER, None).now_or_never().is_some());
    scene.engine.stop(BUYER, &gone).unwrap();
    let (status, left) = scene.ended(&gone).await;
    assert_eq!((status, &left[0].1[..]), (json!(70), &b"it was stopped"[..]));
    drop(own);
    let (status, left) = scene.ended(&waits).await;
    assert!(status == 70 && contains(&left[1].1, ROWS), "{status} {left:?}");
    // While one runs, none of the node's own does.
    let id = scene.start(script("#!/bin/sh\nwhile true; do true; done\n")).unwrap();
    scene.runs(&id).await;
    assert!(turns.of(OTHER, Some(asset)).now_or_never().is_none() && turns.of(OTHER, None).now_or_never().is_some());
    scene.engine.stop(BUYER, &id).unwrap();
    scene.ended(&id).await;
}

#[tokio::test]
async fn what_would_leave_waits_for_its_owner_if_he_wants_to_see_it() {
    let scene = scene();
    for (leaves, status) in [(true, 70), (false, 61)] {
        let rules = Rules { approval: true, budget: 100, ..rules() };
        let id = scene.start(scene.task(copies("good.json"), Some(rules))).unwrap();
        scene.until(&id, |job| job["status"] == 50).await;
        let held = Held::all(&scene.ocean()).unwrap();
        assert_eq!((held.len(), held[0].files().unwrap().len()), (1, 1));
        held[0].say(leaves);
        assert_eq!(scene.ended(&id).await.0, status);
    }
    // And no longer than he has said.
    let rules = Rules { approval: true, approval_days: Some(1), budget: 100, ..rules() };
    let id = scene.start(scene.task(copies("good.json"), Some(rules))).unwrap();
    scene.until(&id, |job| job["status"] == 50).await;
    while scene.engine.status(BUYER, Some(&id))[0]["dateFinished"].is_null() {
        scene.ledger.with(|bench| bench.pass(24 * 3600 + 1));
        sleep(Duration::from_millis(20)).await;
    }
    let (status, left) = scene.ended(&id).await;
    assert_eq!((status, left.len(), &*left[0].0), (json!(61), 1, "publish.log"));
    assert!(contains(&left[0].1, "did not look at it in time"));
    assert!(Held::all(&scene.ocean()).unwrap().is_empty());
}

#[tokio::test]
async fn a_job_ends_when_it_is_stopped_and_lets_nothing_out_when_the_asset_is_taken_back() {
    let scene = scene();
    let id = scene.start(scene.task(loops(), None)).unwrap();
    scene.runs(&id).await;
    assert_eq!(scene.engine.environments(CHAIN, &Fees::default())[0]["runningJobs"], 1);
    assert_eq!(scene.engine.stop(BUYER, &id).unwrap()[0]["stopRequested"], true);
    let (status, left) = scene.ended(&id).await;
    assert_eq!((status, &left[0].1[..], left.len()), (json!(70), &b"it was stopped"[..], 1));
    let slow = Task { seconds: 1, ..scene.task(loops(), None) };
    let (status, left) = scene.run(slow).await;
    assert_eq!((status, left.len()), (json!(41), 1));
    assert!(contains(&left[0].1, "more time"), "{}", String::from_utf8_lossy(&left[0].1));

    let id = scene.start(scene.task(loops(), None)).unwrap();
    scene.runs(&id).await;
    scene.ledger.attempt(OWNER, scene.nft, setMetaDataStateCall { state: 3 }).unwrap();
    scene.engine.stop(BUYER, &id).unwrap();
    let (status, left) = scene.ended(&id).await;
    assert_eq!((status, left.len(), contains(&left[0].1, "taken back")), (json!(61), 1, true));
    let (status, left) = scene.run(scene.task(copies("rows.csv"), None)).await;
    assert_eq!((status, contains(&left[0].1, "taken back")), (json!(41), true));
}

#[tokio::test]
async fn a_job_lets_nothing_out_when_a_document_no_longer_lets_it() {
    let scene = scene();
    let documents = Arc::new(Says::default());
    let task = |code| Task { documents: documents.clone(), ..scene.task(code, None) };
    assert_eq!(scene.run(task(copies("rows.csv"))).await.0, 70);
    let id = scene.start(task(loops())).unwrap();
    scene.runs(&id).await;
    *documents.0.lock() = Some(Refusal::Forbidden("the document denies him".to_owned()));
    scene.engine.stop(BUYER, &id).unwrap();
    let (status, left) = scene.ended(&id).await;
    assert_eq!((status, left.len(), &left[0].1[..]), (json!(61), 1, &b"the document denies him"[..]));
    let (status, left) = scene.run(task(copies("rows.csv"))).await;
    assert_eq!((status, left.len(), &left[0].1[..]), (json!(41), 1, &b"the document denies him"[..]));
}

#[tokio::test]
async fn jobs_that_wait_to_be_looked_at_keep_no_others_from_running_and_are_not_many() {
    let scene = scene();
    let approved = || scene.task(copies("good.json"), Some(Rules { approval: true, budget: 100, ..rules() }));
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let id = scene.start(approved()).unwrap();
        scene.until(&id, |job| job["status"] == 50).await;
        waiting.push(id);
    }
    let refused = scene.start(approved());
    assert!(matches!(&refused, Err(Refusal::Unavailable(why)) if why.contains("look at")), "{refused:?}");
    assert_eq!(scene.engine.environments(CHAIN, &Fees::default())[0]["queuedJobs"], 0);
    assert_eq!(scene.run(scene.task(copies("rows.csv"), None)).await.0, 70);
    // Others' may still wait there.
    let others = scene.engine.start(Task { owner: OTHER, ..approved() }).unwrap();
    scene.engine.stop(OTHER, others[0]["jobId"].as_str().unwrap()).unwrap();
    for id in waiting {
        scene.engine.stop(BUYER, &id).unwrap();
        assert_eq!(scene.ended(&id).await.0, 70);
    }
}

#[tokio::test]
async fn jobs_are_there_after_a_restart_and_those_that_were_under_way_have_failed() {
    let scene = scene();
    let done = scene.start(scene.task(copies("rows.csv"), None)).unwrap();
    let before = scene.ended(&done).await;
    let id = scene.start(scene.task(loops(), None)).unwrap();
    scene.runs(&id).await;
    assert!(scene.ocean().join("runs").join(&id).join("stage").exists());
    let again = open(&scene.folder, &scene.ledger);
    let told = again.status(BUYER, Some(&id));
    assert_eq!((&told[0]["status"], &told[0]["statusText"]), (&json!(41), &json!("Failed to run algorithm")));
    let (path, name) = again.result(BUYER, &id, 0).unwrap();
    assert_eq!(name, "publish.log");
    assert!(contains(&fs::read(path).unwrap(), "start it again"));
    assert!(!scene.ocean().join("runs").join(&id).join("stage").exists());
    let (path, _) = again.result(BUYER, &done, 1).unwrap();
    assert_eq!(fs::read(path).unwrap(), before.1[1].1);
    scene.engine.stop(BUYER, &id).unwrap();
    scene.ended(&id).await;
}

#[tokio::test]
async fn nothing_of_the_data_or_of_what_would_have_left_stays_after_a_restart() {
    let scene = scene();
    let run = scene.ocean().join("runs").join("1-2");
    let laying = scene.ocean().join(B256::ZERO.to_string()).join("held").join("0x01-0.laying");
    // Cut off while a record was written, and while results were laid out.
    for folder in [run.join("stage"), laying.clone()] {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("rows.csv"), ROWS).unwrap();
    }
    fs::write(run.join("job.json"), "{").unwrap();
    let again = open(&scene.folder, &scene.ledger);
    assert!(!run.join("stage").exists() && !laying.exists());
    assert_eq!(again.status(BUYER, None), json!([]));
}

#[tokio::test]
async fn a_job_is_over_also_where_what_it_left_cannot_be_kept() {
    let scene = scene();
    for _ in 0..4 {
        let id = scene.start(scene.task(loops(), None)).unwrap();
        scene.runs(&id).await;
        // As if the disk were full.
        fs::create_dir(scene.ocean().join("runs").join(&id).join("publish.log.part")).unwrap();
        scene.engine.stop(BUYER, &id).unwrap();
        let (status, left) = scene.ended(&id).await;
        assert_eq!((status, left), (json!(41), Vec::new()));
    }
    assert_eq!(scene.run(scene.task(copies("rows.csv"), None)).await.0, 70);
}

#[tokio::test]
async fn a_fee_pays_for_one_job_at_a_time_and_environments_say_what_a_minute_costs() {
    let scene = scene();
    let paid = |nonce: &str| Task { fee: Some(nonce.to_owned()), ..scene.task(loops(), None) };
    let id = scene.start(paid("1")).unwrap();
    let second = scene.start(paid("1"));
    assert!(matches!(&second, Err(Refusal::Unavailable(why)) if why.contains("one job at a time")), "{second:?}");
    let other = scene.start(paid("2")).unwrap();
    scene.engine.stop(BUYER, &id).unwrap();
    assert_eq!(scene.ended(&id).await.0, 70);
    let again = scene.start(paid("1")).unwrap();
    for id in [other, again] {
        scene.engine.stop(BUYER, &id).unwrap();
        scene.ended(&id).await;
    }
    let cent = U256::from(10_000_000_000_000_000_u64);
    let said = &scene.engine.environments(CHAIN, &Fees::new(Some(OTHER), None, Some(cent)).unwrap())[0];
    let fees = &said["fees"][CHAIN.to_string()][0];
    assert_eq!((&fees["feeToken"], &fees["prices"][0]["price"]), (&json!(OTHER), &json!(0.01)));
    assert_eq!((&fees["prices"][1]["price"], said.get("free")), (&json!(0), None));
    assert!(said["description"].as_str().unwrap().contains("0.01 of the token"), "{said}");
}

#[test]
fn where_too_many_results_are_kept_those_go_of_whoever_has_most() {
    let jobs = |owner: &str, from: usize, count: usize| -> Vec<(String, String)> {
        (from..from + count).map(|number| (owner.to_owned(), format!("{owner}{number}"))).collect()
    };
    let few = [jobs("a", 0, 3), jobs("b", 0, 16)].concat();
    assert!(give_way(&few, "a", few.len()).is_empty() && give_way(&few, "c", few.len()).is_empty());
    assert_eq!(give_way(&few, "b", few.len()), ["b0"]);
    assert_eq!(give_way(&[few, jobs("b", 16, 2)].concat(), "b", 21), ["b0", "b1", "b2"]);
    // One's only results stay, though they are the oldest, while somebody has more.
    let many = [jobs("a", 0, 1), jobs("b", 0, 16), jobs("c", 0, 15)].concat();
    for owner in ["a", "c", "d"] {
        assert_eq!(give_way(&many, owner, 512), ["b0"], "{owner}");
    }
    assert!(give_way(&[], "a", 512).is_empty());
}

#[tokio::test]
async fn nobody_has_more_jobs_than_he_may_and_old_results_make_room() {
    let scene = scene();
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(scene.start(scene.task(loops(), None)).unwrap());
    }
    assert!(matches!(scene.start(scene.task(loops(), None)), Err(Refusal::Unavailable(_))));
    // Another account's are its own; all wait for a turn.
    let others = scene.engine.start(Task { owner: OTHER, ..scene.task(loops(), None) }).unwrap();
    scene.engine.stop(OTHER, others[0]["jobId"].as_str().unwrap()).unwrap();
    for id in open {
        scene.engine.stop(BUYER, &id).unwrap();
        assert_eq!(scene.ended(&id).await.0, 70);
    }
    let mut all = Vec::new();
    for _ in 0..17 {
        let id = scene.start(scene.task(copies("rows.csv"), None)).unwrap();
        scene.ended(&id).await;
        all.push(id);
    }
    assert_eq!(scene.engine.status(BUYER, None).as_array().unwrap().len(), 16);
    assert_eq!(scene.engine.status(BUYER, Some(&all[0])), json!([]));
    assert!(!scene.ocean().join("runs").join(&all[0]).exists());
    assert_ne!(scene.engine.status(BUYER, Some(&all[16])), json!([]));
}

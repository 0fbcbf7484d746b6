//! Who has places for jobs at a node, and whose receipts it brings when there are many.

use super::{ready::signature, *};
use crate::jobs::{algorithm, run::Done};
use alloy_sol_types::SolCall as _;
use parking_lot::Mutex;
use std::{collections::BTreeSet, time::Duration};
use tokio::{sync::Barrier, time::timeout};

/// Another asset, of somebody else, offered at the scene's node with the same data, and a grant for this buyer.
fn another(scene: &Scene, owner: Address, buyer: Address) -> (B256, B256) {
    let (salt, of, [object, sharing]) = (B256::repeat_byte(1), scene.asset, [B256::ZERO; 2]);
    let register = registerCall { salt, object, sharing, needed: 0, keepers: vec![], ownerHalf: true };
    let asset = scene.ledger.send(owner, register);
    let offer = scene.ledger.with(move |bench| bench.view(JOBS, &offerOfCall { asset: of }).unwrap());
    scene.ledger.attempt(owner, JOBS, offerCall { asset, offer }).unwrap();
    (asset, scene.ledger.send(owner, grantCall { asset, terms: terms(buyer) }))
}

/// Begins a job of this buyer's by this grant.
fn begin(scene: &Scene, buyer: Address, grant: B256) -> B256 {
    let call = startCall { grant, ..scene.call(&copies("good.json")) };
    scene.ledger.attempt(buyer, JOBS, call).unwrap()
}

fn folder(scene: &Scene, asset: B256) -> PathBuf {
    scene.folder.path().join("data").join(asset.to_string())
}

/// The account of a node, and the jobs whose receipts it has brought.
fn noting(scene: &Scene) -> (Sender, Arc<Mutex<Vec<B256>>>) {
    let (account, brought) = (sender(&scene.ledger), Arc::<Mutex<Vec<B256>>>::default());
    let noted = brought.clone();
    let send = move |call: Vec<u8>| {
        noted.lock().push(finishCall::abi_decode(&call).unwrap().job);
        account(call)
    };
    (Box::new(send), brought)
}

fn is_finished(scene: &Scene, job: B256) -> bool {
    scene.ledger.with(move |bench| bench.view(JOBS, &jobOfCall { job }).unwrap().state) == FINISHED
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_on_an_asset_of_which_a_node_has_nothing_take_no_place_and_cost_it_nothing() {
    let scene = scene(&rules());
    let (asset, grant) = another(&scene, PUBLISHER, BUYER);
    let (send, brought) = noting(&scene);
    let code = copies("good.json");
    // More than one buyer may have open.
    for _ in 0..17 {
        let job = begin(&scene, BUYER, grant);
        for request in [Request::Status(job), Request::Code(job, code.clone()), Request::End(job)] {
            assert!(why(scene.ask(request).await).contains("nothing is here of the asset"));
        }
    }
    scene.computer.0.settle(&send).await.unwrap();
    assert!(brought.lock().is_empty() && !folder(&scene, asset).exists());
    // As nodes left it that had such jobs: they do not begin again.
    fs::create_dir_all(folder(&scene, asset).join("jobs")).unwrap();
    let job = begin(&scene, BUYER, grant);
    let noted = serde_json::json!({ "jobs": { (job.to_string()): Done { ended: Some(BROKEN), ..Done::default() } } });
    fs::write(folder(&scene, asset).join("spent.json"), noted.to_string()).unwrap();
    let again = Scene { computer: open(&scene.folder, &scene.ledger), ..scene };
    again.computer.0.settle(&send).await.unwrap();
    assert!(brought.lock().is_empty());
    // There is room for those on what is here.
    left(again.run(code).await.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_paid_of_an_asset_whose_folder_was_lost_but_for_the_notes() {
    let scene = scene(&rules());
    let (job, _) = scene.run(copies("good.json")).await;
    for part in ["rules.json", "files"] {
        fs::rename(folder(&scene, scene.asset).join(part), scene.folder.path().join(part)).unwrap();
    }
    let again = Scene { computer: open(&scene.folder, &scene.ledger), ..scene };
    again.computer.0.settle(&sender(&again.ledger)).await.unwrap();
    let kept = again.ledger.with(move |bench| bench.view(JOBS, &receiptOfCall { job }).unwrap().receipt);
    assert!(is_finished(&again, job) && (kept.ended, kept.rounds) == (SUCCEEDED, 1), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_on_one_asset_leave_as_many_places_for_those_on_others() {
    let rules = rules();
    let scene = scene(&rules);
    let buyer = Address::repeat_byte;
    let allow = |to| scene.ledger.send(OWNER, grantCall { asset: scene.asset, terms: terms(to) });
    for number in 1..=8 {
        let grant = allow(buyer(number));
        for _ in 0..16 {
            let job = begin(&scene, buyer(number), grant);
            assert_eq!(status(&scene, job).await, Round::Idle);
        }
    }
    // Of 256. One who has none yet finds none either, and hears of it before he begins one.
    let job = begin(&scene, buyer(9), allow(buyer(9)));
    let said = "128 jobs on this asset, and keeps the 128 places left for others";
    assert!(why(scene.ask(Request::Status(job)).await).contains(said));
    let (asset, offered, algorithm) = (scene.asset, rules.hash(), algorithm(&copies("good.json")));
    let asks = Request::Ready { asset, rules: offered, algorithm, runtime: WASM, rounds: 1, signature: signature() };
    let strange = scene.computer.answer(NodeId([8; 32]), asks.to_bytes()).await;
    assert!(why(read_answer(&strange)).contains(said));
    // Those on another asset do.
    let (other, grant) = another(&scene, PUBLISHER, buyer(9));
    DataSet::create(&folder(&scene, other), &scene.folder.path().join("from"), &rules).unwrap();
    let job = begin(&scene, buyer(9), grant);
    assert_eq!(status(&scene, job).await, Round::Idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_brought_several_at_a_time_and_those_first_whose_time_is_over_first() {
    let scene = scene(&rules());
    let mut jobs = Vec::new();
    for _ in 0..20 {
        let job = begin(&scene, BUYER, scene.grant);
        scene.ask(Request::End(job)).await.unwrap();
        jobs.push(job);
    }
    // Where none goes through each is tried all the same, once, and again another time.
    let tried = Arc::<Mutex<Vec<B256>>>::default();
    let noted = tried.clone();
    let refuses: Sender = Box::new(move |call| {
        noted.lock().push(finishCall::abi_decode(&call).unwrap().job);
        async { Err("it is full".to_owned()) }.boxed()
    });
    scene.computer.0.settle(&refuses).await.unwrap();
    let tried = tried.lock().clone();
    assert_eq!((tried.len(), tried.iter().collect::<BTreeSet<_>>().len()), (20, 20));
    // None of the first is through before sixteen are on their way.
    let (account, brought) = noting(&scene);
    let (together, noted) = (Arc::new(Barrier::new(16)), brought.clone());
    let waits: Sender = Box::new(move |call| {
        let sending = account(call);
        let (together, is_first) = (together.clone(), noted.lock().len() <= 16);
        async move {
            if is_first {
                timeout(Duration::from_secs(60), together.wait()).await.expect("the others do not come");
            }
            sending.await
        }
        .boxed()
    });
    scene.computer.0.settle(&waits).await.unwrap();
    let brought = brought.lock().clone();
    assert_eq!(brought.len(), 20);
    let first = |jobs: &[B256]| jobs[..16].iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(first(&brought), first(&jobs));
    assert!(jobs.iter().all(|job| is_finished(&scene, *job)));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_a_node_had_before_it_was_ended_are_settled_however_many_come_before_them() {
    let scene = scene(&rules());
    let begun = || begin(&scene, BUYER, scene.grant);
    let before: Vec<_> = (0..16).map(|_| begun()).collect();
    for job in &before {
        scene.ask(Request::End(*job)).await.unwrap();
    }
    let new: Vec<_> = (0..17).map(|_| begun()).collect();
    let again = Scene { computer: open(&scene.folder, &scene.ledger), ..scene };
    for job in &new[..16] {
        assert_eq!(status(&again, *job).await, Round::Idle);
    }
    assert!(why(again.ask(Request::Status(new[16])).await).contains("has 16 jobs of this buyer"));
    again.computer.0.settle(&sender(&again.ledger)).await.unwrap();
    assert!(before.iter().all(|job| is_finished(&again, *job)));
}

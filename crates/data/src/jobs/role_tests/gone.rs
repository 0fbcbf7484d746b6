//! Data that are changed or gone when a job runs on them, and nodes that are ended: what that costs, and what is told.

use super::{ready::signature, *};
use crate::jobs::{algorithm, role::Turn, wire::UNOFFERED};

fn place(scene: &Scene, name: &str) -> PathBuf {
    scene.folder.path().join("data").join(scene.asset.to_string()).join(name)
}

/// Takes an asset's data away, or puts them back.
fn move_away(scene: &Scene, away: bool) {
    let (here, there) = (place(scene, "files"), place(scene, "away"));
    if away { fs::rename(here, there) } else { fs::rename(there, here) }.unwrap();
}

fn change(scene: &Scene) {
    fs::write(place(scene, "files/rows.csv"), "1,1,1,1").unwrap();
}

fn stop(scene: &Scene, job: B256) {
    scene.ledger.attempt(BUYER, JOBS, stopCall { job }).unwrap();
}

/// The receipt that a node has brought by itself.
async fn settled(scene: &Scene, job: B256) -> Receipt {
    scene.computer.0.settle(&sender(&scene.ledger)).await.unwrap();
    scene.ledger.with(move |bench| bench.view(JOBS, &receiptOfCall { job }).unwrap().receipt)
}

/// A job whose first round waits for its turn, and the turns.
async fn waits(scene: &Scene) -> (B256, Vec<Turn>) {
    let (code, mut turns) = (copies("good.json"), Vec::new());
    while let Some(turn) = scene.computer.0.turns.run(None).now_or_never() {
        turns.push(turn.unwrap());
    }
    let job = scene.start(&code);
    scene.ask(Request::Code(job, code)).await.unwrap();
    scene.ask(Request::Round(job, 0, b"{}".to_vec())).await.unwrap();
    (job, turns)
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_data_are_gone_or_changed_no_job_begins() {
    let rules = rules();
    let scene = scene(&rules);
    let (asset, algorithm) = (scene.asset, algorithm(&copies("good.json")));
    let asked = || {
        let (rules, signature) = (rules.hash(), signature());
        scene.ask(Request::Ready { asset, rules, algorithm, runtime: WASM, rounds: 1, signature })
    };
    assert!(asked().await.is_ok());
    move_away(&scene, true);
    assert!(why(asked().await).contains("not those that are here"));
    move_away(&scene, false);
    assert!(asked().await.is_ok());
    change(&scene);
    assert!(why(asked().await).contains("not those that are here"));
    fs::write(place(&scene, "files/rows.csv"), ROWS).unwrap();
    assert!(asked().await.is_ok());
    // The ledger has another node's offer now, or a block with this one's is on its way.
    let mut offer = scene.ledger.with(move |bench| bench.view(JOBS, &offerOfCall { asset }).unwrap());
    offer.node = B256::repeat_byte(5);
    scene.ledger.attempt(OWNER, JOBS, offerCall { asset, offer }).unwrap();
    assert!(why(asked().await).contains(UNOFFERED));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_data_are_gone_before_anything_is_done_costs_nothing_whoever_ends_it() {
    let scene = scene(&rules());
    let code = copies("good.json");
    let [asked, cancelled, open, refused] = [(); 4].map(|()| scene.start(&code));
    assert_eq!(status(&scene, open).await, Round::Idle);
    move_away(&scene, true);
    assert_eq!(scene.end(asked).await.ended, BROKEN);
    stop(&scene, cancelled);
    assert_eq!(scene.end(cancelled).await.ended, BROKEN);
    // One that its node knew before, and brings by itself.
    stop(&scene, open);
    assert_eq!(settled(&scene, open).await.ended, BROKEN);
    // What it has said it keeps to, when it was ended meanwhile and they are back.
    assert!(why(scene.ask(Request::Code(refused, code.clone())).await).contains("not those that are here"));
    move_away(&scene, false);
    let again = Scene { computer: super::open(&scene.folder, &scene.ledger), ..scene };
    assert_eq!(settled(&again, refused).await.ended, BROKEN);
    // While they are here it is the buyer who ends it.
    let job = again.start(&code);
    stop(&again, job);
    assert_eq!(again.end(job).await.ended, STOPPED);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_round_runs_on_other_data_and_what_was_done_before_is_paid() {
    let scene = scene(&Rules { budget: 100, ..rules() });
    let code = copies("good.json");
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(scene.run(code.clone()).await.0);
    }
    change(&scene);
    // Another round is wanted.
    let round = scene.round(jobs[0], 1, "{}").await.unwrap();
    assert!(matches!(&round, Round::Over(BROKEN, said) if said.contains("not those that are here")), "{round:?}");
    assert_eq!(scene.end(jobs[0]).await.ended, BROKEN);
    // Nothing more is.
    let receipt = scene.end(jobs[1]).await;
    assert_eq!((receipt.ended, receipt.rounds), (SUCCEEDED, 1));
    let again = Scene { computer: super::open(&scene.folder, &scene.ledger), ..scene };
    let receipt = again.end(jobs[2]).await;
    assert_eq!((receipt.ended, receipt.rounds), (SUCCEEDED, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_came_to_while_the_data_were_changed_does_not_leave() {
    let scene = scene(&rules());
    for ends in [false, true] {
        let (job, turns) = waits(&scene).await;
        // It has looked already.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        change(&scene);
        if ends {
            assert_eq!(scene.end(job).await.ended, BROKEN);
        } else {
            drop(turns);
            let round = scene.round(job, 0, "{}").await;
            assert!(round.is_err() || matches!(round, Ok(Round::Over(BROKEN, _))), "{round:?}");
            assert_eq!(scene.end(job).await.ended, BROKEN);
        }
        fs::write(place(&scene, "files/rows.csv"), ROWS).unwrap();
    }
    left(scene.run(copies("good.json")).await.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_costs_nothing_whose_node_was_ended_in_its_first_round_unless_it_is_done_again() {
    let scene = scene(&Rules { budget: 100, ..rules() });
    let ((ended, turns), (stopped, _), (done, _)) = (waits(&scene).await, waits(&scene).await, waits(&scene).await);
    let again = Scene { computer: super::open(&scene.folder, &scene.ledger), ..scene };
    assert_eq!(again.end(ended).await.ended, BROKEN);
    let code = copies("good.json");
    again.ask(Request::Code(done, code)).await.unwrap();
    left(again.round(done, 0, "{}").await.unwrap());
    let receipt = again.end(done).await;
    assert_eq!((receipt.ended, receipt.rounds), (SUCCEEDED, 1));
    stop(&again, stopped);
    assert_eq!(settled(&again, stopped).await.ended, BROKEN);
    // Nothing of them stays.
    again.computer.0.settle(&sender(&again.ledger)).await.unwrap();
    let begun = fs::read_dir(place(&again, "jobs")).unwrap().flatten();
    assert_eq!(begun.filter(|entry| entry.path().extension().is_some_and(|end| end == "begun")).count(), 0);
    drop(turns);
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_consent_is_taken_back_in_the_middle_of_a_round_hears_of_it() {
    let revoked = async |scene: &Scene, job| {
        scene.ledger.send(OWNER, revokeCall { grant: scene.grant });
        scene.computer.0.settle(&sender(&scene.ledger)).await.unwrap();
        let round = status(scene, job).await;
        let Round::Over(ended, said) = &round else { panic!("{round:?}") };
        assert!(said.contains("was revoked in block"), "{round:?}");
        *ended
    };
    let rules = Rules { budget: 100, ..rules() };
    let running = scene(&rules);
    let script = b"#!/bin/sh\nwhile true; do true; done\n";
    let job = running.start(script);
    running.ask(Request::Code(job, script.to_vec())).await.unwrap();
    running.ask(Request::Round(job, 0, b"{}".to_vec())).await.unwrap();
    // It runs, and has not its end from its turn alone.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(revoked(&running, job).await, STOPPED);
    // Of one that waits nothing is done.
    let waiting = scene(&rules);
    let (job, _turns) = waits(&waiting).await;
    assert_eq!(revoked(&waiting, job).await, BROKEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_takes_back_what_he_allowed_gets_nothing_for_jobs_of_which_nothing_is_done_whoever_ends_them() {
    for erases in [false, true] {
        let scene = scene(&Rules { budget: 100, ..rules() });
        let code = copies("good.json");
        let (done, _) = scene.run(code.clone()).await;
        let [asked, cancelled, sent, open] = [(); 4].map(|()| scene.start(&code));
        scene.ask(Request::Code(sent, code)).await.unwrap();
        assert_eq!(status(&scene, open).await, Round::Idle);
        if erases {
            scene.ledger.send(OWNER, eraseCall { asset: scene.asset });
        } else {
            scene.ledger.send(OWNER, revokeCall { grant: scene.grant });
        }
        assert_eq!(scene.end(asked).await.ended, BROKEN);
        // As a buyer does who sees that it does not go on.
        stop(&scene, cancelled);
        assert_eq!(scene.end(cancelled).await.ended, BROKEN);
        let round = scene.round(sent, 0, "{}").await.unwrap();
        assert!(matches!(&round, Round::Over(BROKEN, said) if said.contains("was revoked in block")), "{round:?}");
        let receipt = settled(&scene, open).await;
        assert_eq!((receipt.ended, receipt.rounds, receipt.fuel), (BROKEN, 0, 0));
        // What was done is paid.
        let receipt = settled(&scene, done).await;
        assert!(receipt.ended == STOPPED && receipt.rounds == 1 && receipt.fuel > 0, "{receipt:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_first_round_waits_for_its_turn_until_its_time_is_over_costs_nothing() {
    let scene = scene(&Rules { budget: 100, ..rules() });
    let (done, _) = scene.run(copies("good.json")).await;
    let (job, _turns) = waits(&scene).await;
    scene.ask(Request::Round(done, 1, b"{}".to_vec())).await.unwrap();
    // By this machine's clock the time of all jobs here is over.
    let receipt = settled(&scene, job).await;
    assert_eq!((receipt.ended, receipt.rounds, receipt.fuel, receipt.params), (BROKEN, 0, 0, B256::ZERO));
    // The first round of the other was done, and is paid.
    let receipt = settled(&scene, done).await;
    assert_eq!((receipt.ended, receipt.rounds), (STOPPED, 1));
}

//! What a node finds on its disk that was ended between two writes of a round.

use super::{super::results, *};

fn at(scene: &Scene, name: &str) -> PathBuf {
    scene.folder.path().join("data").join(scene.asset.to_string()).join("jobs").join(name)
}

async fn result(scene: &Scene, job: B256) -> String {
    let kept = scene.ask(Request::Result(job)).await.unwrap();
    left(results::read(job, &kept, &CLIENTS_KEY).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_in_a_round_that_was_just_written_down_waits_for_its_buyer() {
    let scene = scene(&Rules { budget: 100, ..rules() });
    let (job, _) = scene.run(copies("good.json")).await;
    fs::rename(at(&scene, &format!("{job}.result")), at(&scene, &format!("{job}-0.result"))).unwrap();
    let again = Scene { computer: open(&scene.folder, &scene.ledger), ..scene };
    assert_eq!(result(&again, job).await, RESULT);
    assert_eq!((again.end(job).await.rounds, spent(&again)), (1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_given_of_a_round_that_was_not_written_down_yet_and_it_runs_again() {
    let scene = scene(&Rules { budget: 100, ..rules() });
    let code = copies("params.json");
    let (job, _) = scene.run_with(code.clone(), RESULT).await;
    // The second is laid out already.
    let laid = at(&scene, &format!("{job}-1.result"));
    fs::write(&laid, "what would leave").unwrap();
    let again = Scene { computer: open(&scene.folder, &scene.ledger), ..scene };
    assert!(!laid.exists());
    assert_eq!((result(&again, job).await, spent(&again)), (RESULT.to_owned(), 4));
    again.ask(Request::Code(job, code)).await.unwrap();
    let second = r#"{"rows":10}"#;
    assert_eq!(left(again.round(job, 1, second).await.unwrap()), second);
    assert_eq!(result(&again, job).await, second);
    assert_eq!((again.end(job).await.rounds, spent(&again)), (2, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_ledger_does_not_know_holds_up_no_other() {
    let scene = scene(&rules());
    let (job, _) = scene.run(copies("nothing")).await;
    let unknown = B256::repeat_byte(5);
    // What nodes note of a job, and what they keep of one that is checked.
    fs::write(at(&scene, &format!("{unknown}.begun")), "").unwrap();
    fs::create_dir(at(&scene, &unknown.to_string())).unwrap();
    let again = Scene { computer: open(&scene.folder, &scene.ledger), ..scene };
    again.computer.0.settle(&sender(&again.ledger)).await.unwrap();
    let is = again.ledger.with(move |bench| bench.view(JOBS, &jobOfCall { job }).unwrap());
    assert_eq!(is.state, FINISHED);
    let stays = [format!("{unknown}.begun"), unknown.to_string()].map(|name| at(&again, &name).exists());
    assert_eq!(stays, [true; 2], "the ledger may be behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_before_its_round_does_so_even_if_the_disk_takes_no_notes() {
    let scene = scene(&rules());
    let code = copies("good.json");
    let job = scene.start(&code);
    scene.ask(Request::Code(job, code)).await.unwrap();
    scene.ledger.send(OWNER, revokeCall { grant: scene.grant });
    let laying = scene.folder.path().join("data").join(scene.asset.to_string()).join("spent.json.part");
    fs::create_dir(&laying).unwrap();
    let round = scene.round(job, 0, "{}").await.unwrap();
    assert_eq!(round, Round::Over(BROKEN, "the node could not do it".into()));
    fs::remove_dir(&laying).unwrap();
    assert_eq!(scene.end(job).await.ended, BROKEN);
}

//! What a node says before anything is paid.

use super::*;
use crate::jobs::algorithm;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_would_not_do_it_says_before_a_job_begins() {
    let code = copies("good.json");
    let program = algorithm(&code);
    let rules = Rules { algorithms: vec![program], ..rules() };
    let scene = scene(&rules);
    let (asset, offered, other) = (scene.asset, rules.hash(), B256::repeat_byte(7));
    let asked = |asset, rules, algorithm, runtime, rounds| {
        scene.ask(Request::Ready { asset, rules, algorithm, runtime, rounds, buyer: BUYER })
    };
    assert!(asked(asset, offered, program, WASM, 3).await.unwrap().is_empty());
    assert!(why(asked(other, offered, program, WASM, 1).await).contains("not those that are here"));
    assert!(why(asked(asset, other, program, WASM, 1).await).contains("not those that are here"));
    assert!(why(asked(asset, offered, program, 7, 1).await).contains("runs no such programs"));
    assert!(why(asked(asset, offered, program, WASM, 4).await).contains("3 times in a job, not 4"));
    assert!(why(asked(asset, offered, other, WASM, 1).await).ends_with("does not let this program run on these data"));
    let kept = scene.folder.path().join("data").join(asset.to_string()).join("jobs");
    assert!(!kept.exists(), "nothing is kept of what was only asked");
    // One who has as many jobs there as one may have.
    for _ in 0..16 {
        let job = scene.start(&code);
        scene.ask(Request::Code(job, code.clone())).await.unwrap();
    }
    assert!(why(asked(asset, offered, program, WASM, 1).await).contains("has 16 jobs that name this key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_nobody_has_published_yet_may_be_so_in_a_later_block() {
    let rules = Rules { publishers: vec![PUBLISHER], ..rules() };
    let scene = scene(&rules);
    let (asset, algorithm) = (scene.asset, algorithm(&copies("good.json")));
    let asked = Request::Ready { asset, rules: rules.hash(), algorithm, runtime: WASM, rounds: 1, buyer: BUYER };
    assert!(why(scene.ask(asked).await).contains(crate::jobs::wire::UNPUBLISHED));
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_budget_is_used_up_hears_of_it_before_a_job_begins() {
    let rules = rules();
    let scene = scene(&rules);
    let (code, asset) = (copies("good.json"), scene.asset);
    let algorithm = algorithm(&code);
    let asked = |rounds, buyer| {
        scene.ask(Request::Ready { asset, rules: rules.hash(), algorithm, runtime: WASM, rounds, buyer })
    };
    // Of nine, four have left: three numbers and a round.
    left(scene.run(code.clone()).await.1);
    assert!(asked(2, BUYER).await.is_ok());
    let said = why(asked(3, BUYER).await);
    assert_eq!(said, "it refuses: 3 rounds count at least 6: 5 of the 9 that may leave to this buyer are left");
    left(scene.run(code).await.1);
    let said = why(asked(1, BUYER).await);
    assert!(said.contains("a round counts at least 2: 1 of the 9 that may leave to this buyer are left"), "{said}");
    assert!(asked(3, PUBLISHER).await.is_ok(), "another buyer has a budget of his own");
}

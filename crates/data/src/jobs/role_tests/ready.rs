//! What a node says before anything is paid.

use super::*;
use crate::jobs::{algorithm, wire::sign_asking};
use alloy_signer_local::PrivateKeySigner;

/// What an account signs that asks by the buyer's key.
fn signed(wallet: &PrivateKeySigner) -> [u8; 65] {
    sign_asking(wallet, CHAIN, *CLIENT).unwrap()
}

/// What some account signs.
pub(super) fn signature() -> [u8; 65] {
    signed(&PrivateKeySigner::random())
}

/// Lets an account run a program once, of which something leaves.
async fn run_by(scene: &Scene, wallet: &PrivateKeySigner, code: &[u8]) {
    let grant = scene.ledger.send(OWNER, grantCall { asset: scene.asset, terms: terms(wallet.address()) });
    let call = startCall { grant, ..scene.call(code) };
    let job = scene.ledger.attempt(wallet.address(), JOBS, call).unwrap();
    scene.ask(Request::Code(job, code.to_vec())).await.unwrap();
    left(scene.round(job, 0, "{}").await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_would_not_do_it_says_before_a_job_begins() {
    let code = copies("good.json");
    let program = algorithm(&code);
    let rules = Rules { algorithms: vec![program], ..rules() };
    let scene = scene(&rules);
    let (asset, offered, other) = (scene.asset, rules.hash(), B256::repeat_byte(7));
    let asked = |asset, rules, algorithm, runtime, rounds| {
        scene.ask(Request::Ready { asset, rules, algorithm, runtime, rounds, signature: signature() })
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
    let (rules, signature) = (rules.hash(), signature());
    let asked = Request::Ready { asset, rules, algorithm, runtime: WASM, rounds: 1, signature };
    assert!(why(scene.ask(asked).await).contains(crate::jobs::wire::UNPUBLISHED));
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_budget_is_used_up_hears_of_it_before_a_job_begins_and_nobody_else_does() {
    let rules = rules();
    let scene = scene(&rules);
    let (code, asset, wallet) = (copies("good.json"), scene.asset, PrivateKeySigner::random());
    let algorithm = algorithm(&code);
    let request =
        |rounds, signature| Request::Ready { asset, rules: rules.hash(), algorithm, runtime: WASM, rounds, signature };
    let asked = |rounds, signature| scene.ask(request(rounds, signature));
    // Of nine, four have left: three numbers and a round.
    run_by(&scene, &wallet, &code).await;
    assert!(asked(2, signed(&wallet)).await.is_ok());
    let said = why(asked(3, signed(&wallet)).await);
    assert_eq!(said, "it refuses: 3 rounds count at least 6: 5 of the 9 that may leave to this buyer are left");
    run_by(&scene, &wallet, &code).await;
    let said = why(asked(1, signed(&wallet)).await);
    assert!(said.contains("a round counts at least 2: 1 of the 9 that may leave to this buyer are left"), "{said}");
    // Another account has a budget of its own, and who repeats by another key what this one has signed is not this one.
    assert!(asked(3, signature()).await.is_ok());
    let strange = scene.computer.answer(NodeId([8; 32]), request(3, signed(&wallet)).to_bytes()).await;
    assert!(read_answer(&strange).is_ok());
    assert!(why(asked(1, [0; 65]).await).contains("no account has signed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn how_much_others_have_got_on_a_day_is_told_to_nobody_who_only_asks() {
    let rules = Rules { budget: 100, budget_per_day: Some(6), ..rules() };
    let scene = scene(&rules);
    let (code, asset, rules) = (copies("good.json"), scene.asset, rules.hash());
    let algorithm = algorithm(&code);
    let asked =
        |rounds, signature| scene.ask(Request::Ready { asset, rules, algorithm, runtime: WASM, rounds, signature });
    run_by(&scene, &PrivateKeySigner::random(), &code).await;
    assert!(asked(1, signature()).await.is_ok());
    let said = why(asked(2, signature()).await);
    let want = "2 rounds count at least 4: less than that may still leave to all buyers on this day (UTC)";
    assert_eq!(said, format!("it refuses: {want}"));
}

//! Holes of Ocean's nodes, each with a test that it is closed here; those of its contracts are in the market's tests.

use super::*;
use crate::jobs::algorithm;
use std::net::TcpListener;

/// In Ocean, whoever names a trusted algorithm and sends a container of his own with it has that one run.
#[tokio::test(flavor = "multi_thread")]
async fn hole_3_under_a_trusted_programs_name_no_other_program_runs() {
    let (trusted, own) = (copies("good.json"), copies("params.json"));
    let scene = scene(&Rules { algorithms: vec![algorithm(&trusted)], ..rules() });
    let job = scene.start(&trusted);
    assert!(why(scene.ask(Request::Code(job, own.clone())).await).contains("the job is for the program"));
    assert!(why(scene.round(job, 0, RESULT).await).contains("send the program first"));
    let job = scene.start(&own);
    assert!(why(scene.ask(Request::Code(job, own)).await).contains("does not let this program run"));
    left(scene.run(trusted).await.1);
}

/// In Ocean, a job that is free asks neither for an order nor for a trusted algorithm.
#[tokio::test(flavor = "multi_thread")]
async fn hole_4_a_job_that_costs_nothing_takes_leave_and_a_trusted_program_as_any_other() {
    let trusted = copies("good.json");
    let scene = scene(&Rules { algorithms: vec![algorithm(&trusted)], ..rules() });
    assert!(scene.ledger.attempt(PUBLISHER, JOBS, scene.call(&trusted)).is_err(), "a stranger has no leave");
    let own = copies("rows.csv");
    let job = scene.start(&own);
    assert!(why(scene.ask(Request::Code(job, own)).await).contains("does not let this program run"));
    left(scene.run(trusted.clone()).await.1);
    scene.ledger.send(OWNER, revokeCall { grant: scene.grant });
    assert!(scene.ledger.attempt(BUYER, JOBS, scene.call(&trusted)).is_err(), "it was taken back");
}

/// In Ocean, anybody's token passes for every consumer's address.
#[tokio::test(flavor = "multi_thread")]
async fn hole_5_one_buyers_key_opens_no_other_buyers_job() {
    let scene = scene(&rules());
    let code = copies("good.json");
    let (job, _) = scene.run(code.clone()).await;
    let refusal = async |request: &Request| {
        let answered = scene.computer.answer(NodeId([8; 32]), request.to_bytes()).await;
        why(read_answer(&answered))
    };
    for request in [
        Request::Code(job, code),
        Request::Round(job, 1, b"{}".to_vec()),
        Request::Look(job, 0),
        Request::Status(job),
        Request::Result(job),
        Request::End(job),
    ] {
        let said = refusal(&request).await;
        assert!(said.contains("another key"), "{request:?}: {said}");
    }
    for request in [Request::Show(job, 0), Request::Left(job, 0)] {
        let said = refusal(&request).await;
        assert!(said.contains("only nodes that were drawn"), "{request:?}: {said}");
    }
}

/// In Ocean, what is signed names neither the job nor the node: a relay sends it elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn hole_6_what_was_said_to_one_node_of_one_job_is_nothing_elsewhere() {
    let scene = scene(&rules());
    let code = copies("good.json");
    let (job, _) = scene.run(code.clone()).await;
    // Another node with the same data.
    let (folder, runtimes) = (scene.folder.path().join("data"), Runtimes::new(None).unwrap());
    let other = Computer::open(&folder, runtimes, auditors_key(), CHAIN, scene.ledger.clone()).unwrap();
    let other = Answering(Arc::new(other));
    for request in [
        Request::Code(job, code.clone()),
        Request::Round(job, 0, b"{}".to_vec()),
        Request::Look(job, 0),
        Request::Status(job),
        Request::End(job),
    ] {
        let answered = other.answer(*CLIENT, request.to_bytes()).await;
        let said = why(read_answer(&answered));
        assert!(said.contains("another node does this job"), "{request:?}: {said}");
    }
    // The receipt of one job does not end another of the same buyer's, on the same data.
    let second = scene.start(&code);
    let bytes = scene.ask(Request::End(job)).await.unwrap();
    let (receipt, signature) = signed_from_bytes(&bytes).unwrap();
    let finish = |job| finishCall { job, receipt: receipt.clone(), signature: signature.to_vec().into() };
    assert!(scene.ledger.attempt(BUYER, JOBS, finish(second)).is_err());
    scene.ledger.attempt(BUYER, JOBS, finish(job)).unwrap();
}

/// In Ocean, a node does not look at `allowNetworkAccess`, nor at what a program leaves and prints.
#[tokio::test(flavor = "multi_thread")]
async fn hole_9_no_program_has_a_network_and_what_it_prints_stays() {
    let scene = scene(&rules());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let script = b"#!/usr/bin/env python3
import json, socket
rows, port = open('/data/rows.csv').read(), json.load(open('/data/params.json'))['port']
print(rows)
reached = 0
try:
    socket.create_connection(('127.0.0.1', port), 1).sendall(rows.encode())
    reached = 1
except OSError:
    pass
json.dump({'rows': 10, 'values': [reached]}, open('/out/result.json', 'w'))
open('/out/rows.csv', 'w').write(rows)
";
    let port = listener.local_addr().unwrap().port();
    let params = format!(r#"{{"port":{port},"allowNetworkAccess":true}}"#);
    let (_, round) = scene.run_with(script.to_vec(), &params).await;
    assert!(matches!(&round, Round::Left { files, log: None } if files.len() == 1), "{round:?}");
    assert_eq!(left(round), r#"{"rows":10,"values":[0]}"#);
    assert!(listener.accept().is_err(), "nobody has come");
}

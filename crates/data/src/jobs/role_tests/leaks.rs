//! What programs could tell without a file that leaves, and data that are not what they say.

use super::*;
use crate::look::{Format, Looking, look};
use std::{process::Command, time::Duration};

#[tokio::test(flavor = "multi_thread")]
async fn rows_do_not_leave_by_steps_or_ends_of_many_jobs() {
    let scene = scene(&Rules { budget: 3, ..rules() });
    // A program could choose by what is in a row how it ends, and after how many steps.
    for (code, ended) in [(copies("nothing"), FAILED), (copies("rows.csv"), WITHHELD), (loops(), LIMITED)] {
        let (job, round) = scene.run(code).await;
        assert!(matches!(&round, Round::Over(over, _) if *over == ended), "{round:?}");
        assert_eq!(scene.end(job).await.fuel % 1_000_000, 0);
    }
    // So each end counts. Now nothing runs any more, and tells nothing: not even what would have ended well, nor elsewhere.
    let again = Scene { computer: open(&scene.folder, &scene.ledger), ..scene };
    for _ in 0..2 {
        let (job, round) = again.run(copies("good.json")).await;
        assert!(matches!(&round, Round::Over(WITHHELD, said) if said.contains("used up: 0 of 3")), "{round:?}");
        let receipt = again.end(job).await;
        assert_eq!((receipt.ended, receipt.rounds, receipt.fuel), (WITHHELD, 0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_program_runs_nothing_is_told_that_it_could_change() {
    let scene = scene(&rules());
    let script = b"#!/bin/sh\nwhile true; do true; done\n";
    let job = scene.start(script);
    scene.ask(Request::Code(job, script.to_vec())).await.unwrap();
    scene.ask(Request::Round(job, 0, b"{}".to_vec())).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let status = status(&scene, job).await;
    // Seconds: it has taken more than a thousand million steps.
    assert!(matches!(status, Round::Running(2..100)), "{status:?}");
    scene.end(job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_on_a_day_to_all_buyers_together_is_bounded() {
    let scene = scene(&Rules { budget: 100, budget_per_day: Some(6), ..rules() });
    // Three numbers and one for the round, of six.
    left(scene.run(copies("good.json")).await.1);
    // The same person with another account.
    let code = copies("good.json");
    let grant = scene.ledger.send(OWNER, grantCall { asset: scene.asset, terms: terms(PUBLISHER) });
    let job = scene.ledger.attempt(PUBLISHER, JOBS, startCall { grant, ..scene.call(&code) }).unwrap();
    scene.ask(Request::Code(job, code)).await.unwrap();
    let round = scene.round(job, 0, "{}").await.unwrap();
    let Round::Over(WITHHELD, said) = &round else { panic!("{round:?}") };
    // Three numbers, of which one has room. How much others have got is told to nobody.
    assert_eq!(said, "what would leave counts more: less than that may still leave to all buyers on this day (UTC)");
    // The next day, as if that had been the first of 1970.
    let asset = scene.folder.path().join("data").join(scene.asset.to_string());
    fs::write(asset.join("spent-day.json"), r#"{"day":0,"spent":6}"#).unwrap();
    left(scene.run(copies("good.json")).await.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_may_leave_counts_by_its_bytes() {
    let scene = scene(&Rules { log: true, budget: 30, ..rules() });
    // Eight for the round, three numbers, and a log of 28 bytes.
    let (_, round) = scene.run(copies("good.json")).await;
    let Round::Over(WITHHELD, said) = &round else { panic!("{round:?}") };
    assert_eq!(said, "what would leave and the log count more: 22 of the 30 that may leave to this buyer are left");
    // How a program failed is no shorter; that it failed is told all the same.
    let (_, round) = scene.run(copies("nothing")).await;
    let Round::Over(FAILED, said) = &round else { panic!("{round:?}") };
    assert!(said.starts_with("the program failed. How exactly") && said.contains(": 14 of the 30 that may"), "{said}");
}

/// Writes a Parquet file of one column and eight numbers, whose one page of 64 bytes unfolds to two gigabytes.
const BOMB: &str = r"
import gzip, sys

def number(value):
    value, out = value << 1, b''
    while value > 127:
        value, out = value >> 7, out + bytes([value & 127 | 128])
    return out + bytes([value])

def text(value): return bytes([len(value)]) + value
def small(value): return b'\x15' + number(value)
def large(value): return b'\x16' + number(value)

# Thrift's compact form: each field begins with how far it is from the one before, and its type.
page = gzip.compress(bytes(64 << 20), 9) * 32
values = small(8) + small(0) + small(3) + small(3) + b'\0'
head = small(0) + small(64) + small(len(page)) + b'\x2c' + values + b'\0'
column = (small(2) + b'\x19\x15' + number(0) + b'\x19\x18' + text(b'age') + small(2) + large(8) + large(64)
          + large(len(head + page)) + b'\x26' + number(4) + b'\0')
group = b'\x19\x1c' + b'\x26' + number(4) + b'\x1c' + column + b'\0' + large(64) + large(8) + b'\0'
schema = b'\x48' + text(b'schema') + small(1) + b'\0' + small(2) + b'\x25' + number(0) + b'\x18' + text(b'age') + b'\0'
footer = small(1) + b'\x19\x2c' + schema + large(8) + b'\x19\x1c' + group + b'\0'
open(sys.argv[1], 'wb').write(b'PAR1' + head + page + footer + len(footer).to_bytes(4, 'little') + b'PAR1')
";

#[tokio::test(flavor = "multi_thread")]
async fn a_parquet_file_that_unfolds_to_gigabytes_ends_its_program_and_the_node_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.parquet");
    assert!(Command::new("python3").args(["-c", BOMB]).arg(&file).status().unwrap().success());
    // Nothing of it is strange to whoever looks at it.
    let looked = look(&file, Looking::default(), &|_| ()).unwrap();
    assert_eq!((looked.format, looked.problem, looked.table.unwrap().rows), (Format::Parquet, None, Some(8)));
    let bytes = fs::read(&file).unwrap();
    let files = [("table.parquet", &bytes[..]), ("good.json", RESULT.as_bytes())];
    let scene = scene_of(&files, &rules(), Checks::default());
    let script = b"#!/usr/bin/env python3
import gzip
table = open('/data/table.parquet', 'rb').read()
gzip.decompress(table[table.index(b'\\x1f\\x8b'):])
";
    let (job, round) = scene.run(script.to_vec()).await;
    // Python sees that it gets no more, or it is ended.
    assert!(matches!(&round, Round::Over(FAILED | LIMITED, _)), "{round:?}");
    let receipt = scene.end(job).await;
    assert!(receipt.fuel > 0 && receipt.rounds == 0, "{receipt:?}");
    assert_eq!(left(scene.run(copies("good.json")).await.1), RESULT);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_are_not_what_their_schema_says_end_the_program_and_tell_nothing() {
    let program = include_bytes!("../../../../../algorithms/federated.wasm");
    let rules = Rules::read(include_bytes!("../../../../../data/heart/rules.json")).unwrap();
    let params = r#"{"step":"summarize","features":["age"]}"#;
    for (row, leaves) in [("63,1,0", true), ("Ann Meier,1,0", false), ("63,1,0,145", false)] {
        let table = format!("age,disease,held_out\n{}{row}\n", "50,0,0\n".repeat(12));
        let scene = scene_of(&[("patients.csv", table.as_bytes())], &rules, Checks::default());
        let (_, round) = scene.run_with(program.to_vec(), params).await;
        match leaves {
            true => assert!(left(round).contains(r#""rows":13"#)),
            false => assert_eq!(round, Round::Over(FAILED, "the program failed".into()), "{row}"),
        }
    }
}

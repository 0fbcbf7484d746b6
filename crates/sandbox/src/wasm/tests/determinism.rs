use super::*;
use crate::Input;

/// Writes to the log: randomness, the time, three odd not-numbers, and the entries of `/data/set`.
fn curious() -> Program {
    let mut program = Program::new();
    let open = program.open(3, "set", 2, READ);
    program.does(&format!(
        "(drop (call $random (i32.const 65536) (i32.const 32)))
        (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 65568)))
        (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 65576)))
        (f32.store (i32.const 65584) (f32.div (f32.const 0) (f32.const 0)))
        (f32.store (i32.const 65588) (f32.sub (f32.const inf) (f32.const inf)))
        (f64.store (i32.const 65592) (f64.add (f64.const -nan:0x7ff) (f64.const 1)))
        (drop {open})
        (drop (call $fd_readdir (call $told) (i32.const 65600) (i32.const 300) (i64.const 0) (i32.const 108)))
        (drop (call $put (i32.const 1) (i32.const 65536) (i32.const 364)))"
    ));
    program
}

fn folder(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        std::fs::write(folder.path().join(name), name).unwrap();
    }
    folder
}

#[test]
fn the_same_job_gives_the_same_bytes_wherever_its_inputs_lie() {
    let mut job = curious().job();
    (job.seed, job.time) = ([7; 32], 1_700_000_000);
    let [one, two] = [folder(&["b", "a", "c"]), folder(&["c", "b", "a"])].map(|folder| {
        let mut job = job.clone();
        job.inputs.push(Input { name: "set".into(), source: folder.path().to_owned().into() });
        // Another engine, as on another machine.
        let outcome = Wasm::new(None).unwrap().run(&job, &Control::new()).unwrap();
        assert!(outcome.succeeded() && outcome.deterministic);
        outcome
    });
    assert_eq!((&one.log, &one.output, one.used.fuel), (&two.log, &two.output, two.used.fuel));

    let log = &one.log.bytes;
    let time = u64::from_le_bytes(log[32..40].try_into().unwrap());
    assert_eq!(time / 1_000_000_000, 1_700_000_000);
    assert_eq!(log[48..52], f32::NAN.to_bits().to_le_bytes());
    assert_eq!(log[52..56], f32::NAN.to_bits().to_le_bytes());
    assert_eq!(log[56..64], f64::NAN.to_bits().to_le_bytes());
    // Entries have 24 bytes and their names.
    assert_eq!([24, 49, 74].map(|at| log[64 + at]), *b"abc");

    job.seed = [8; 32];
    job.inputs.push(Input { name: "set".into(), source: folder(&[]).path().to_owned().into() });
    let folder = folder(&["a"]);
    job.inputs[0].source = folder.path().to_owned().into();
    assert_ne!(run(&job).log.bytes[..32], log[..32]);
}

#[test]
fn what_randomness_a_seed_gives_does_not_change() {
    let mut program = Program::new();
    program.does(
        "(drop (call $random (i32.const 65536) (i32.const 3))) (drop (call $random (i32.const 65539) (i32.const 5)))
        (drop (call $put (i32.const 1) (i32.const 65536) (i32.const 8)))",
    );
    let mut random = blake3::Hasher::new_derive_key("stoa sandbox randomness 1");
    random.update(&[0; 32]);
    let mut expected = [0; 8];
    random.finalize_xof().fill(&mut expected);
    assert_eq!(program.run().log.bytes, expected);
}

#[test]
fn a_program_that_waits_for_the_clock_goes_on() {
    // Polls until ten virtual milliseconds have passed, then sleeps for a year.
    let mut program = Program::new();
    program.does(
        "(loop $again
            (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 0)))
            (br_if $again (i64.lt_u (i64.load (i32.const 0)) (i64.const 10000000))))
        (i32.store8 (i32.const 1008) (i32.const 0))
        (i32.store (i32.const 1016) (i32.const 1))
        (i64.store (i32.const 1024) (i64.const 31536000000000000))
        (drop (call $poll (i32.const 1000) (i32.const 2000) (i32.const 1) (i32.const 100)))
        (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 0)))
        (call $exit (i32.wrap_i64 (i64.div_u (i64.load (i32.const 0)) (i64.const 86400000000000))))",
    );
    let outcome = program.run();
    assert_eq!(outcome.ended, Ended::Exited(365));
    assert!(outcome.used.wall < Duration::from_secs(10));
}

#[test]
fn a_folder_is_listed_whole_while_it_is_emptied() {
    // Lists with room for one entry and a bit, removing each: ends with how many were removed.
    let mut program = Program::new();
    for name in ["one", "two", "three", "four", "five"] {
        let open = program.open(5, name, CREATE, WRITE);
        program.does(&format!("(drop {open})"));
    }
    let open = program.open(5, ".", 2, READ);
    program.functions = "(global $cookie (mut i64) (i64.const 0))".into();
    program.does(&format!(
        "(drop {open})
        (block $done (loop $again
            (drop (call $fd_readdir (call $told) (i32.const 65536) (i32.const 40) (global.get $cookie) (i32.const 100)))
            (br_if $done (i32.lt_u (i32.load (i32.const 100)) (i32.const 25)))
            (global.set $cookie (i64.load (i32.const 65536)))
            (if (call $unlink (i32.const 5) (i32.const 65560) (i32.load (i32.const 65552))) (then (unreachable)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $again)))"
    ));
    assert_eq!(program.exits("(local.get $i)").ended(), Ended::Exited(5));
}

#[test]
fn the_runtime_names_the_version_that_runs() {
    let lock = include_str!("../../../../../Cargo.lock");
    assert!(
        lock.contains(&format!("name = \"wasmtime\"\nversion = \"{WASMTIME}\"")),
        "set WASMTIME to what Cargo.lock has"
    );
    assert_eq!(WASM.id().to_string(), format!("wasmtime {WASMTIME} / stoa-wasm-4"));
    assert_eq!(WASM.id().hash(), Wasm::new(None).unwrap().id().hash());
}
